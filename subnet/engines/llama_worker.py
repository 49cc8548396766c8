"""The child process of `LlamaEngine`: llama.cpp's C interface, called for batches of tokens.

Run as a file, so that it imports nothing of ours. It talks in frames (see `read_frame`) over
standard input and output and lives until standard input ends: a parent that dies, however it dies,
takes it along. What llama.cpp warns of goes to standard error.

The C interface is that of the library inside `xllamacpp`. Its structs are known here by the bytes
of their default values; another layout is refused, since nobody could say what it would do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

TOP = 64
SPARE = 64
"""Tokens looked at beyond the likeliest, so that of tokens alike the lower ids are reported."""

MOST_FRAME = 1 << 30

PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for what a user says."""

_RENDER_S = 10.0
_RENDER_BYTES = 1 << 28
_RENDERED_CHARACTERS = 1 << 16
"""What a chat format may take. A real one takes milliseconds for a few hundred characters."""

_LARGEST_STRUCT = 512
_CONTEXT_DEFAULTS = bytes.fromhex(
    "00020000000800000002000001000000000000000000000001000000040000000400000000000000"
    "ffffffffffffffffffffffffffffffff0000000000000000000080bf000080bf000080bf000080bf"
    "00000000000080bf0000000000000000000000000000000001000000010000000000000000000000"
    "00000000000000000000000000000000000101010100"
).ljust(168, b"\0")
_MODEL_DEFAULTS = bytes.fromhex("00000000000000000000000000000000ffffffff01000000ffffffff01").ljust(
    74, b"\0"
) + b"\1".ljust(6, b"\0")
"""What llama_context_default_params and llama_model_default_params return, byte for byte."""
_CONTEXT_GAPS = frozenset((142, 143))
_MODEL_GAPS = frozenset((36, 37, 38, 39, 78, 79))
"""Bytes between their fields, which nobody writes: what lay there before is found in them."""

_GPU_LAYERS = 0x10
_N_CTX, _N_BATCH, _N_UBATCH, _N_SEQ_MAX = 0x00, 0x04, 0x08, 0x0C
_N_THREADS, _N_THREADS_BATCH, _FLASH_ATTENTION = 0x1C, 0x20, 0x34
_LOG_WARNING, _LOG_ERROR = 3, 4


class _Struct(ctypes.Structure):
    """Room for a struct that is passed and returned by value."""

    _fields_ = [("bytes", ctypes.c_ubyte * _LARGEST_STRUCT)]

    def put(self, offset: int, value: int) -> None:
        struct.pack_into("<i", self.bytes, offset, value)


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.c_void_p),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.c_void_p),
        ("n_seq_id", ctypes.c_void_p),
        ("seq_id", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
    ]


_Log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

_INTERFACE: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_Log, ctypes.c_void_p]),
    "llama_model_default_params": (_Struct, []),
    "llama_context_default_params": (_Struct, []),
    "llama_model_load_from_file": (ctypes.c_void_p, [ctypes.c_char_p, _Struct]),
    "llama_init_from_model": (ctypes.c_void_p, [ctypes.c_void_p, _Struct]),
    "llama_model_get_vocab": (ctypes.c_void_p, [ctypes.c_void_p]),
    "llama_model_is_recurrent": (ctypes.c_bool, [ctypes.c_void_p]),
    "llama_model_is_hybrid": (ctypes.c_bool, [ctypes.c_void_p]),
    "llama_model_has_encoder": (ctypes.c_bool, [ctypes.c_void_p]),
    "llama_model_n_embd_out": (ctypes.c_int32, [ctypes.c_void_p]),
    "llama_model_chat_template": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "llama_vocab_n_tokens": (ctypes.c_int32, [ctypes.c_void_p]),
    "llama_vocab_bos": (ctypes.c_int32, [ctypes.c_void_p]),
    "llama_vocab_eos": (ctypes.c_int32, [ctypes.c_void_p]),
    "llama_tokenize": (
        ctypes.c_int32,
        [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_bool,
            ctypes.c_bool,
        ],
    ),
    "llama_token_to_piece": (
        ctypes.c_int32,
        [
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_int32,
            ctypes.c_bool,
        ],
    ),
    "llama_batch_init": (_Batch, [ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]),
    "llama_batch_free": (None, [_Batch]),
    "llama_decode": (ctypes.c_int32, [ctypes.c_void_p, _Batch]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
    "llama_get_embeddings_ith": (ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
    "llama_set_embeddings": (None, [ctypes.c_void_p, ctypes.c_bool]),
    "llama_get_memory": (ctypes.c_void_p, [ctypes.c_void_p]),
    "llama_memory_seq_rm": (
        ctypes.c_bool,
        [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32],
    ),
    "llama_memory_seq_cp": (
        None,
        [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32],
    ),
}


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return the next frame, an object and bytes beside it; None at the end of the stream.

    A frame is two lengths of 4 bytes, little-endian, then so many bytes of JSON, then the rest.
    """
    lengths = stream.read(8)
    if len(lengths) < 8:
        return None
    head, rest = struct.unpack("<II", lengths)
    if head + rest > MOST_FRAME:
        return None
    body = stream.read(head + rest)
    if len(body) < head + rest:
        return None
    return json.loads(body[:head]), body[head:]


def write_frame(stream: IO[bytes], head: dict[str, Any], rest: bytes = b"") -> None:
    """Write one frame."""
    text = json.dumps(head).encode()
    stream.write(struct.pack("<II", len(text), len(rest)) + text + rest)
    stream.flush()


def is_model(found: _Struct) -> bool:
    """Whether these are the defaults of a model, laid out as they are known here."""
    return _is(found, _MODEL_DEFAULTS, _MODEL_GAPS)


def is_context(found: _Struct) -> bool:
    """The same of a context."""
    return _is(found, _CONTEXT_DEFAULTS, _CONTEXT_GAPS)


def _is(found: _Struct, known: bytes, gaps: frozenset[int]) -> bool:
    return all(found.bytes[at] == byte for at, byte in enumerate(known) if at not in gaps)


class Library:
    """llama.cpp with one model open; see the C interface for what its functions do."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import xllamacpp

        self._c: Any = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        for name, (result, arguments) in _INTERFACE.items():
            function = getattr(self._c, name, None)
            if function is None:
                _refuse(f"xllamacpp {xllamacpp.__version__} has no {name}")
            function.restype, function.argtypes = result, arguments
        model, context = (
            self._c.llama_model_default_params(),
            self._c.llama_context_default_params(),
        )
        if not is_model(model) or not is_context(context):
            _refuse(f"xllamacpp {xllamacpp.__version__} has an interface not known here")
        if not self._knows_batches():
            _refuse(f"xllamacpp {xllamacpp.__version__} has batches not known here")
        self._log = _Log(_note)  # kept: llama.cpp calls it as long as it lives
        self._c.llama_log_set(self._log, None)
        self._c.llama_backend_init()
        model.put(_GPU_LAYERS, 0)
        self._model = self._c.llama_model_load_from_file(os.fsencode(settings["path"]), model)
        if not self._model:
            _refuse("the file holds no model that llama.cpp can load")
        self._check_kind()
        self._vocab = self._c.llama_model_get_vocab(self._model)
        self.vocabulary = int(self._c.llama_vocab_n_tokens(self._vocab))
        self.bos_token = int(self._c.llama_vocab_bos(self._vocab))
        self.end_token = int(self._c.llama_vocab_eos(self._vocab))
        self._width = int(self._c.llama_model_n_embd_out(self._model))
        self._batch: int = settings["batch"]
        context.put(_N_CTX, settings["slots"] * settings["context"])
        # llama.cpp aborts at the first pass where there are more sequences than this.
        context.put(_N_BATCH, max(self._batch, settings["slots"]))
        context.put(_N_UBATCH, self._batch)
        context.put(_N_SEQ_MAX, settings["slots"])
        context.put(_N_THREADS, 1)
        context.put(_N_THREADS_BATCH, 1)
        context.put(_FLASH_ATTENTION, int(settings["flash_attention"]))
        self._context = self._c.llama_init_from_model(self._model, context)
        if not self._context:
            _refuse("there is no memory for the model's context")
        self._memory = self._c.llama_get_memory(self._context)
        self._embeds = False

    def _check_kind(self) -> None:
        kinds = self._c.llama_model_is_recurrent, self._c.llama_model_is_hybrid
        if any(kind(self._model) for kind in kinds):
            _refuse("the model is recurrent: what it has read cannot be cut back")
        if self._c.llama_model_has_encoder(self._model):
            _refuse("the model has an encoder, which would be left out here")

    def describe(self) -> tuple[dict[str, Any], bytes]:
        """Return what the parent has to know, and how each token is spelled."""
        pieces = [self.piece(token) for token in range(self.vocabulary)]
        if self.end_token < 0:
            _refuse("the model names no end token")
        template = self._c.llama_model_chat_template(self._model, None)
        if not template:
            _refuse("the model has no chat format")
        bos = pieces[self.bos_token].decode() if self.bos_token >= 0 else ""
        return {
            "vocabulary": self.vocabulary,
            "end_token": self.end_token,
            "turn": render(template.decode(), bos, pieces[self.end_token].decode()),
            "lengths": [len(piece) for piece in pieces],
        }, b"".join(pieces)

    def piece(self, token: int) -> bytes:
        """Return how a token is spelled, control tokens too."""
        for size in (64, 4096):
            room = ctypes.create_string_buffer(size)
            length = self._c.llama_token_to_piece(self._vocab, token, room, size, 0, True)
            if length >= 0:
                return room.raw[:length]
        return b""

    def tokenize(self, text: str, control: bool) -> list[int]:
        """Return the tokens of a text; `control` reads control tokens spelled in it."""
        raw = text.encode()
        size = len(raw) + 8
        while True:
            room = np.empty(size, np.int32)
            count = self._c.llama_tokenize(
                self._vocab, raw, len(raw), room.ctypes.data, room.size, False, control
            )
            if count >= 0:
                return [int(token) for token in room[:count]]
            if -count <= size:
                raise ValueError("llama.cpp cannot read the text")
            size = -count  # a tokenizer that spells a character out may make more than its bytes

    def decode(self, chunks: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
        """Read chunks, each for a sequence; return what comes after the wanted tokens of them.

        Of each wanted token, in order: the ids and log-probabilities of the likeliest, the
        log-probability of the forced token, and the last hidden layer of the chunks that want it.
        """
        hidden = any(chunk["hidden"] for chunk in chunks)
        if hidden != self._embeds:
            self._c.llama_set_embeddings(self._context, hidden)
            self._embeds = hidden
        entries = []
        for chunk in chunks:
            tokens, wanted, forced = chunk["tokens"], chunk["wanted"], chunk["forced"]
            for at, token in enumerate(tokens):
                nth = at - len(tokens) + wanted
                after = (forced[nth] if forced else 0) if nth >= 0 else -1
                entries.append((chunk["sequence"], chunk["start"] + at, token, after))
        wants = [chunk["hidden"] for chunk in chunks for _ in range(chunk["wanted"])]
        ids: list[Any] = []
        logprobs: list[Any] = []
        own: list[float] = []
        last: list[Any] = []
        for at in range(0, len(entries), self._batch):
            part = entries[at : at + self._batch]
            self._compute(part)
            for place, (_, _, _, after) in enumerate(part):
                if after < 0:
                    continue
                if wants[len(own)]:
                    layer = self._c.llama_get_embeddings_ith(self._context, place)
                    last.append(np.ctypeslib.as_array(layer, (self._width,)).copy())
                top, values, mine = self._distribution(place, after)
                ids.append(top)
                logprobs.append(values)
                own.append(mine)
        parts = [
            np.array(ids, np.int64).tobytes(),
            np.array(logprobs, np.float64).tobytes(),
            np.array(own, np.float64).tobytes(),
            np.array(last, np.float32).tobytes(),
        ]
        top_size = len(ids[0]) if ids else 0
        about = {"wanted": len(own), "top": top_size, "hidden": [len(last), self._width]}
        return about, b"".join(parts)

    def trim(self, sequence: int, length: int) -> None:
        """Forget all of a sequence but the first `length` tokens."""
        if not self._c.llama_memory_seq_rm(self._memory, sequence, length, -1):
            raise RuntimeError("llama.cpp cannot forget the end of a text")

    def copy(self, origin: int, target: int, length: int) -> None:
        """Make a sequence the first `length` tokens of another."""
        self.trim(target, 0)
        self._c.llama_memory_seq_cp(self._memory, origin, target, -1, -1)
        self.trim(target, length)

    def _knows_batches(self) -> bool:
        """Whether the library makes batches as we do: it fills just what these have."""
        made = self._c.llama_batch_init(1, 0, 1)
        empty = [entry[0] for entry in _Batch._fields_ if not getattr(made, entry[0])]
        self._c.llama_batch_free(made)
        return empty == ["n_tokens", "embd"]

    def _compute(self, part: Sequence[tuple[int, int, int, int]]) -> None:
        sequences, places, tokens, after = np.array(part, np.int32).T.copy()
        counts = np.ones(len(part), np.int32)
        pointers = sequences.ctypes.data + 4 * np.arange(len(part), dtype=np.uint64)
        outputs = (after >= 0).astype(np.int8)
        status = self._c.llama_decode(
            self._context,
            _Batch(
                len(part),
                tokens.ctypes.data,
                None,
                places.ctypes.data,
                counts.ctypes.data,
                pointers.ctypes.data,
                outputs.ctypes.data,
            ),
        )
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")

    def _distribution(self, place: int, forced: int) -> tuple[Any, Any, float]:
        found = self._c.llama_get_logits_ith(self._context, place)
        logits = np.ctypeslib.as_array(found, (self.vocabulary,))
        with np.errstate(all="ignore"):  # what is no number is seen by the parent
            largest = logits.max()
            total = np.exp(logits - largest).sum(dtype=np.float64)
            total = float(largest) + np.log(total)
            size = min(TOP + SPARE, self.vocabulary)
            top = np.argpartition(-logits, size - 1)[:size]
            order = np.lexsort((top, -logits[top]))[:TOP]
            top = top[order]
            return top, logits[top].astype(np.float64) - total, float(logits[forced]) - total


def render(template: str, bos: str, end: str) -> str:
    """Return a user's turn around `PLACE` in a chat format, as transformers would.

    A chat format is a program that came with a model's file. It is refused, and this process ends,
    if it takes more time, memory or room than any needs.
    """
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    room = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    problem = "the model's chat format cannot be used"
    done = threading.Event()
    threading.Thread(target=_watch, args=(done, problem), daemon=True).start()
    turn = ""
    try:
        with _less_memory(_RENDER_BYTES):
            for part in room.from_string(template).generate(
                messages=[{"role": "user", "content": PLACE}],
                add_generation_prompt=True,
                bos_token=bos,
                eos_token=end,
            ):
                turn += part
                if len(turn) > _RENDERED_CHARACTERS:
                    _refuse(f"{problem}: it has more than {_RENDERED_CHARACTERS} characters")
    except Exception as error:  # a template can raise anything
        _refuse(f"{problem}: {type(error).__name__}: {error}")
    finally:
        done.set()
    if PLACE not in turn:
        _refuse(f"{problem}: it leaves out what the user says")
    return turn


def _watch(done: threading.Event, problem: str) -> None:
    """End this process if it computes for too long; on a busy machine waiting does not count."""
    end = time.process_time() + _RENDER_S
    while not done.wait(0.2):
        if time.process_time() > end:
            _refuse(f"{problem}: it takes more than {_RENDER_S:g} s")


@contextlib.contextmanager
def _less_memory(more: int) -> Iterator[None]:
    """Let this process take no more than `more` bytes beyond what it has, where Linux says that."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    limited = False
    with contextlib.suppress(OSError, ValueError):  # no /proc, or a sandbox that forbids limits
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits = [has + more, *(one for one in before if one != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_AS, (min(limits), before[1]))
        limited = True
    try:
        yield
    finally:
        if limited:
            resource.setrlimit(resource.RLIMIT_AS, before)


def _note(level: int, text: bytes, _: object) -> None:
    if level in (_LOG_WARNING, _LOG_ERROR):
        sys.stderr.buffer.write((b"E " if level == _LOG_ERROR else b"W ") + text)
        sys.stderr.buffer.flush()


def _refuse(problem: str) -> NoReturn:
    sys.stderr.buffer.write(f"\nE {problem}\n".encode())
    sys.stderr.buffer.flush()
    os._exit(1)


def main() -> None:
    """Serve the model named in the first frame until the parent is gone."""
    # Ctrl-C and kill reach a whole process group; the parent decides when its engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asked = sys.stdin.buffer
    first = read_frame(asked)
    if first is None:
        return
    writing = threading.Lock()
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def answer(number: int, head: dict[str, Any], rest: bytes = b"") -> None:
        with writing:
            write_frame(out, head | {"number": number}, rest)

    def work() -> None:
        """Open the model and compute, apart from the thread that hears of the parent's end."""
        try:
            library = Library(first[0])
            opened.append(library)
            answer(0, *library.describe())
            while True:
                task = tasks.get()
                for change in task["changes"]:
                    getattr(library, change[0])(*change[1:])
                answer(task["number"], *library.decode(task["chunks"]))
        except BaseException as error:
            _refuse(f"{type(error).__name__}: {error}")

    opened: list[Library] = []
    threading.Thread(target=work, daemon=True).start()
    while (frame := read_frame(asked)) is not None:
        task = frame[0]
        if "text" in task:
            answer(task["number"], {"tokens": opened[0].tokenize(task["text"], task["control"])})
        else:
            tasks.put(task)
    # Nothing here needs flushing, and a model that computes would be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
