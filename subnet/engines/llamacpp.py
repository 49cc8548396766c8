"""An engine over llama.cpp, on the CPU: its C interface in a child process, many answers at once.

A child, because llama.cpp aborts the process it lives in when it is unhappy, cannot be stopped,
and writes to the terminal. One thread, and a place of its own in memory for every answer:
log-probabilities then depend neither on load nor on company nor on how a prompt was cut into
batches (see `BATCH`), so two engines with one quantised model agree to the last bit on one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from subnet.engines.batch import PREFILL, Chunk, Seen, common_start
from subnet.engines.batched import BatchedEngine
from subnet.engines.llama_worker import PLACE, read_frame, write_frame
from subnet.engines.models import check_model
from subnet.engines.sampling import check_text
from subnet.errors import EngineAway, EngineRefused

logger = logging.getLogger(__name__)

BATCH = 32
"""Tokens computed at once. Flash attention computes 64 queries and more in tiles, in another order
of sums: below 64 a token has the same bits however it was batched; above, up to 0.6 nats apart."""

_WORTH_COPYING = 8
"""Tokens to compute; for fewer it is not worth to copy the memory of a whole sequence."""

_MOST_TEXT = 1 << 20
"""Bytes that are made into tokens; the child takes a second or two for them."""

_START_S = 120.0
_STOP_S = 1.0  # a model being loaded hears nothing; and there is nothing to lose

Frame: TypeAlias = "tuple[dict[str, Any], bytes]"


class LlamaEngine(BatchedEngine):
    """One open model; see the `Engine` protocol. Use `async with LlamaEngine.open(...)`."""

    def __init__(
        self,
        child: _Child,
        described: Frame,
        model_sha256: str,
        *,
        context: int,
        places: int,
        timeout_s: float,
    ) -> None:
        self._child = child
        self._timeout_s = timeout_s
        self._reading = asyncio.Lock()
        about, spelled = described
        ends = list(itertools.accumulate(about["lengths"], initial=0))
        self._pieces = [spelled[start:end] for start, end in itertools.pairwise(ends)]
        super().__init__(
            model_sha256,
            vocabulary=about["vocabulary"],
            end_token=about["end_token"],
            turn=([], []),
            context=context,
            places=places,
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        sha256: str,
        allow_other_weights: bool = False,
        context: int = 1024,
        exact: bool = True,
        slots: int = 4,
        waiting_limit: int = 32,
        step_timeout_s: float = 60.0,
    ) -> AsyncIterator[LlamaEngine]:
        """Open the GGUF at `path` after checking its hash; prompt + answer fit `context` tokens.

        `slots` requests are worked on at once and `waiting_limit` more wait; each slot holds the
        keys and values of a whole context, whether it is used or not. `step_timeout_s` is what one
        step may take before the engine counts as hanging.
        `allow_other_weights` is a weakening: it opens a file that is not the model asked for.
        `exact=False` computes as an untuned server would (no flash attention, whole prompts a
        batch): an honest engine with other arithmetic, to measure what a judge must forgive.

        Raises ModelMismatch (another file), EngineRefused (the file holds no usable model),
        EngineAway (the engine did not start), OSError (the file cannot be read).
        """
        found = await asyncio.to_thread(check_model, path, sha256, allow_other=allow_other_weights)
        settings = {
            "path": str(path),
            "slots": slots,
            "context": context,
            "batch": BATCH if exact else context,
            "flash_attention": exact,
        }
        async with _Child.run(settings) as (child, described):
            engine = cls(
                child,
                described,
                found,
                context=context,
                places=slots + waiting_limit,
                timeout_s=step_timeout_s,
            )
            await engine._learn_turn(described[0]["turn"])
            async with engine._running(
                _Rows(child, described[0]["vocabulary"], slots),
                slots=slots,
                step_timeout_s=step_timeout_s,
                prefill=PREFILL if exact else context,
            ):
                yield engine

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        return await self._tokenize(text, control=False)

    def _decode(self, token_ids: Sequence[int]) -> str:
        return b"".join(self._pieces[token] for token in token_ids).decode(errors="replace")

    async def _tokenize(self, text: str, *, control: bool) -> list[int]:
        self._ensure_alive()
        check_text(text)
        if len(text.encode()) > _MOST_TEXT:
            raise EngineRefused(f"the text has more than {_MOST_TEXT} bytes")
        task = {"text": text, "control": control}
        try:
            # One at a time, so that each has the whole time.
            async with self._reading, asyncio.timeout(self._timeout_s):
                # On a thread: a child that hangs may leave no room to write.
                answered = await asyncio.to_thread(self._child.ask, task)
                head, _ = await asyncio.wrap_future(answered)
        except TimeoutError:
            self._die(EngineAway(f"no answer within {self._timeout_s:g} s"))
            raise EngineAway(f"no answer within {self._timeout_s:g} s") from None
        tokens: list[int] = head["tokens"]
        return tokens

    async def _learn_turn(self, turn: str) -> None:
        """Learn what the model's chat format puts around what a user says."""
        before, _, after = turn.partition(PLACE)
        self._before_prompt = await self._tokenize(before, control=True)
        self._after_prompt = await self._tokenize(after, control=True)

    def _die(self, reason: EngineAway) -> None:
        super()._die(reason)
        self._child.kill()  # the model's thread may be waiting for it


class _Rows:
    """The model in the child: see `batch.Model`. A row of the batch is one of its sequences."""

    def __init__(self, child: _Child, vocabulary: int, slots: int) -> None:
        self.vocabulary = vocabulary
        self._child = child
        self._sequences = list(range(slots))
        """Of every row, the sequence that it is; rows that are not in use come last."""
        self._holds: list[list[int]] = [[] for _ in range(slots)]
        """What each sequence has read; it stays there when its row is left."""
        self._changes: list[tuple[str, int, int] | tuple[str, int, int, int]] = []
        """For the child to do before its next pass."""

    def known(self, tokens: Sequence[int]) -> int:
        return self._fullest(tokens, range(len(self._holds)))[1]

    def adopt(self, row: int, tokens: Sequence[int]) -> int:
        free = self._sequences[row:]
        sequence, own = self._fullest(tokens, free)
        other, length = self._fullest(tokens, self._sequences[:row])
        at = self._sequences.index(sequence)
        self._sequences[row], self._sequences[at] = sequence, self._sequences[row]
        if length > own + _WORTH_COPYING:
            self._changes.append(("copy", other, sequence, length))
        else:
            length = own
            self._changes.append(("trim", sequence, length))
        self._holds[sequence] = list(tokens[:length])
        return length

    def forward(self, chunks: Sequence[Chunk]) -> list[Seen]:
        task = {
            "changes": self._changes,
            "chunks": [
                {
                    "sequence": self._sequences[chunk.row],
                    "start": chunk.start,
                    "tokens": list(chunk.tokens),
                    "wanted": chunk.wanted,
                    "forced": list(chunk.forced),
                    "hidden": chunk.hidden,
                }
                for chunk in chunks
            ],
        }
        self._changes = []
        head, rest = self._child.ask(task).result()
        for chunk in chunks:
            self._holds[self._sequences[chunk.row]] += chunk.tokens
        return _unpack(chunks, head, rest)

    def keep(self, row: int, tokens: Sequence[int]) -> None:
        """Nothing to do: what a sequence has read stays until another needs the place."""

    def move(self, origin: int, target: int, length: int) -> None:
        rows = self._sequences
        rows[origin], rows[target] = rows[target], rows[origin]

    def wipe(self, row: int, length: int, *, sound: bool) -> None:
        """Leave it to whoever begins alike, unless it is unsound."""
        if not sound:
            self._holds[self._sequences[row]] = []

    def rest(self) -> None:
        """Nothing to do: the memory is taken once."""

    def _fullest(self, tokens: Sequence[int], sequences: Sequence[int]) -> tuple[int, int]:
        """Return the sequence that has most of `tokens` as its start, and how many."""
        tokens = list(tokens)
        found = ((one, common_start(self._holds[one], tokens)) for one in sequences)
        return max(found, key=lambda one: one[1], default=(-1, 0))


def _unpack(chunks: Sequence[Chunk], head: dict[str, Any], rest: bytes) -> list[Seen]:
    """Return what the child saw, a `Seen` for each chunk."""
    count, top, hidden = head["wanted"], head["top"], head["hidden"]
    ends = list(itertools.accumulate((8 * count * top, 8 * count * top, 8 * count), initial=0))
    ids = np.frombuffer(rest, np.int64, count * top, ends[0]).reshape(count, top)
    logprobs = np.frombuffer(rest, np.float64, count * top, ends[1]).reshape(count, top)
    own = np.frombuffer(rest, np.float64, count, ends[2])
    last = _as_bfloat16(np.frombuffer(rest, np.float32, offset=ends[3]).reshape(hidden))
    seen, at, layer = [], 0, 0
    for chunk in chunks:
        part = slice(at, at := at + chunk.wanted)
        rows = slice(layer, layer := layer + chunk.wanted) if chunk.hidden else None
        seen.append(
            Seen(ids[part], logprobs[part], own[part], None if rows is None else last[rows])
        )
    return seen


def _as_bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the nearest that bfloat16 holds, halves to even, as torch does."""
    bits = values.view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return np.asarray((rounded & np.uint32(0xFFFF0000)).view(np.float32))


class _Child:
    """The child process, its last words, and what it is asked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._last_lines: deque[str] = deque(maxlen=50)
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Frame]] = {}
        self._writing = threading.Lock()
        self._hearing = threading.Thread(target=self._hear, name="llama-errors", daemon=True)
        self._reading = threading.Thread(target=self._read, name="llama-answers", daemon=True)
        self._opened = self._expect(next(self._numbers))
        self._hearing.start()
        self._reading.start()

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, settings: dict[str, Any]) -> AsyncIterator[tuple[_Child, Frame]]:
        """Start it and have it open its model; yield it and how it describes that."""
        process = await asyncio.to_thread(
            subprocess.Popen,
            [sys.executable, "-P", str(Path(__file__).with_name("llama_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Threads that spin while they wait starve the other processes of a small machine.
            env={**os.environ, "OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"},
        )
        child = cls(process)
        try:
            child._send(settings)
            try:
                described = await asyncio.wait_for(asyncio.wrap_future(child._opened), _START_S)
            except TimeoutError:
                raise EngineAway(f"it did not start within {_START_S:g} s") from None
            except EngineAway as error:
                if process.returncode is None or process.returncode < 0:  # no memory left, say
                    raise
                raise EngineRefused(f"cannot open {settings['path']}: {error.problem}") from None
            yield child, described
        finally:
            await asyncio.to_thread(child._stop)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def ask(self, task: dict[str, Any]) -> Future[Frame]:
        """Have it do something; the future raises EngineAway if it dies before."""
        number = next(self._numbers)
        answered = self._expect(number)
        if self._process.returncode is None:
            self._send(task | {"number": number})
        else:
            self._give_up()
        return answered

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()

    def _expect(self, number: int) -> Future[Frame]:
        answered: Future[Frame] = Future()
        self._asked[number] = answered
        return answered

    def _send(self, head: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        # A pipe that nobody reads any more: the reading thread says so to all who wait.
        with self._writing, contextlib.suppress(OSError, ValueError):
            write_frame(self._process.stdin, head)

    def _read(self) -> None:
        assert self._process.stdout is not None
        while (frame := read_frame(self._process.stdout)) is not None:
            answered = self._asked.pop(frame[0]["number"])
            if answered.set_running_or_notify_cancel():
                answered.set_result(frame)
        self._hearing.join()
        self._process.wait()
        self._give_up()

    def _give_up(self) -> None:
        """Tell all who wait that it is dead."""
        while self._asked:
            with contextlib.suppress(KeyError):
                _, answered = self._asked.popitem()
                if answered.set_running_or_notify_cancel():
                    answered.set_exception(EngineAway(self._obituary()))

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last_lines.append(line.decode(errors="replace").strip())
            logger.debug("llama.cpp: %s", self._last_lines[-1])

    def _obituary(self) -> str:
        errors = [line[2:] for line in self._last_lines if line.startswith("E ")]
        said = (errors or [*self._last_lines, "it said nothing"])[0]
        return f"exit code {self._process.returncode}: {said}"

    def _stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reading.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
