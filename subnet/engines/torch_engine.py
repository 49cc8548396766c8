"""An engine over torch and transformers: many answers at once, on a GPU or on the CPU.

It opens GGUF files and folders of safetensors, and runs models whose every layer attends to the
whole text. A batch of answers sums in another order than one answer alone, and one GPU in another
order than the next: log-probabilities agree to about 1e-4 nats in float32 and far less closely in
bfloat16, which a judge has to forgive. Needs the `torch` extra.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import io
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import Params, Pick, Step, Token
from subnet.engines.models import check_model
from subnet.engines.sampling import GrowingText, Sampler, check_request, check_tokens
from subnet.errors import EngineAway, EngineBusy, EngineRefused, MissingExtra

if TYPE_CHECKING:
    from subnet.engines.torch_batch import Batch, Made, Request

logger = logging.getLogger(__name__)

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
_STOP_S = 10.0


class TransformersEngine:
    """One open model; see the `Engine` protocol. Use `async with TransformersEngine.open(...)`."""

    def __init__(
        self, model: Any, tokenizer: Any, model_sha256: str, *, context: int, places: int
    ) -> None:
        self._tokenizer = tokenizer.backend_tokenizer
        self._model_sha256 = model_sha256
        self._context = context
        self._end_token = int(tokenizer.eos_token_id)
        self._vocabulary: int = model.config.get_text_config().vocab_size
        self._places = places
        self._open: dict[Request, asyncio.Queue[Any]] = {}
        self._gone: EngineAway | None = None
        self._batch: Batch
        before, _, after = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PLACE}], tokenize=False, add_generation_prompt=True
        ).partition(_PLACE)
        self._before_prompt = self._encode(before)
        self._after_prompt = self._encode(after)
        # From here on, control tokens spelled in a text stay text.
        self._tokenizer.encode_special_tokens = True

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        sha256: str,
        allow_other_weights: bool = False,
        device: str = "auto",
        dtype: Precision = "auto",
        context: int = 2048,
        slots: int = 32,
        waiting_limit: int = 64,
        step_timeout_s: float = 60.0,
        threads: int = 1,
    ) -> AsyncIterator[TransformersEngine]:
        """Open the GGUF file or the folder of safetensors at `path` after checking its hash.

        `device` is torch's name of one; "auto" takes the first GPU, or else the CPU. `dtype` "auto"
        is bfloat16 on a GPU and float32 on the CPU. Prompt + answer fit `context` tokens, or fewer
        if the model knows fewer. `slots` requests are worked on at once and `waiting_limit` more
        wait. `step_timeout_s` is what one step may take before the engine counts as hanging.
        `threads` are torch's on the CPU. `allow_other_weights` is a weakening, as for llama.cpp.

        Raises ModelMismatch (another file, which it names), EngineRefused (no usable model, no such
        device), MissingExtra (torch is not installed), OSError (a file cannot be read).
        """
        for package in ("torch", "transformers", "accelerate", "gguf"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, "torch")
        found = await asyncio.to_thread(check_model, path, sha256, allow_other=allow_other_weights)
        model, tokenizer = await asyncio.to_thread(_load, path, device, dtype, threads)
        limit = getattr(model.config.get_text_config(), "max_position_embeddings", context)
        engine = cls(
            model,
            tokenizer,
            found,
            context=min(context, limit),
            places=slots + waiting_limit,
        )
        from subnet.engines.torch_batch import Batch

        engine._batch = Batch(
            model,
            slots=slots,
            end_token=engine._end_token,
            threads=threads,
            deliver=functools.partial(engine._carry, asyncio.get_running_loop()),
        )
        watching = asyncio.create_task(engine._watch(step_timeout_s))
        try:
            yield engine
        finally:
            watching.cancel()
            engine._die(EngineAway("it was closed"))
            await asyncio.to_thread(engine._batch.stop, _STOP_S)

    @property
    def model_sha256(self) -> str:
        """Hash of the model that is really open."""
        return self._model_sha256

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""
        return self._end_token

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        return await asyncio.to_thread(self._encode, text)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""
        return [*self._before_prompt, *await self.tokenize(prompt), *self._after_prompt]

    async def generate(
        self, prompt_ids: Sequence[int], params: Params
    ) -> AsyncGenerator[Token, None]:
        """Stream an answer; the end token is last if the model ends it before `max_tokens`."""
        text = GrowingText(self.detokenize, self._end_token)
        top, left = slice(params.logprobs), params.max_tokens
        made = self._answer(prompt_ids, params.max_tokens, Sampler(params).choose)
        async with contextlib.aclosing(made):
            async for one in made:
                left -= 1
                yield Token(
                    id=one.token,
                    text=await text.add(one.token, last=left == 0),
                    logprob=float(one.top_logprobs[one.top_ids == one.token][0]),
                    top_ids=one.top_ids[top],
                    top_logprobs=one.top_logprobs[top],
                )

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`, on the model's thread."""
        return [made.token async for made in self._answer(prompt_ids, length, pick)]

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids`, read in one pass."""
        steps: list[Step] = await self._along(prompt_ids, answer_ids, hidden=False)
        return steps

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return the last hidden layer that each token of `answer_ids` was chosen from: (n, d)."""
        rows: list[NDArray[np.float32]] = await self._along(prompt_ids, answer_ids, hidden=True)
        return np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)

    async def _answer(
        self, prompt_ids: Sequence[int], length: int, pick: Pick
    ) -> AsyncGenerator[Made, None]:
        from subnet.engines.torch_batch import Request

        self._check(prompt_ids, (), length)
        if length == 0:
            return
        with self._joined(Request(prompt_ids, pick=pick, length=length)) as queue:
            while (made := _unless_error(await queue.get())) is not None:
                yield made

    async def _along(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int], *, hidden: bool
    ) -> Any:
        from subnet.engines.torch_batch import Request

        self._check(prompt_ids, answer_ids, len(answer_ids))
        if not answer_ids:
            return []
        with self._joined(Request(prompt_ids, answer=answer_ids, hidden=hidden)) as queue:
            return _unless_error(await queue.get())

    @contextlib.contextmanager
    def _joined(self, request: Request) -> Iterator[asyncio.Queue[Any]]:
        """Have `request` worked on; leaving early, by an error or a cancellation, ends it."""
        if self._gone is not None:
            raise EngineAway(self._gone.problem)
        if len(self._open) >= self._places:
            raise EngineBusy(len(self._open))
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._open[request] = queue
        self._batch.submit(request)
        try:
            yield queue
        finally:
            request.cancelled = True
            self._open.pop(request, None)

    def _carry(
        self,
        loop: asyncio.AbstractEventLoop,
        made: list[tuple[Request, object]],
        failure: EngineAway | None,
    ) -> None:
        """Bring what a step made from the model's thread to the callers'."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there any more
            loop.call_soon_threadsafe(self._deliver, made, failure)

    def _deliver(self, made: list[tuple[Request, object]], failure: EngineAway | None) -> None:
        for request, item in made:
            if request in self._open:
                self._open[request].put_nowait(item)
        if failure is not None:
            self._die(failure)

    def _die(self, reason: EngineAway) -> None:
        """Turn everybody away, now and from now on."""
        if self._gone is None:
            self._gone = reason
        for queue in self._open.values():
            queue.put_nowait(self._gone)

    async def _watch(self, step_timeout_s: float) -> None:
        while self._gone is None:
            await asyncio.sleep(step_timeout_s / 4)
            since = self._batch.working_since
            if since is not None and time.monotonic() - since > step_timeout_s:
                self._die(EngineAway(f"no step ended within {step_timeout_s:g} s"))

    def _check(self, prompt_ids: Sequence[int], answer_ids: Sequence[int], length: int) -> None:
        check_request(
            prompt_ids, answer_ids, length, vocabulary=self._vocabulary, context=self._context
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _unless_error(item: Any) -> Any:
    if isinstance(item, Exception):
        raise item
    return item


def _load(path: Path, device: str, dtype: Precision, threads: int) -> tuple[Any, Any]:
    """Return the model on its device, and its tokenizer; nothing is looked for elsewhere."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    folder = path
    if not path.is_dir():
        folder, where["gguf_file"] = path.parent, path.name
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where its progress bars go
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **where)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                **where,
                dtype=getattr(torch, dtype),
                attn_implementation="sdpa",
                use_safetensors=True,
            )
        if folder is not path:
            _cut_as_the_file_says(path, tokenizer.backend_tokenizer)
        model = model.to(device).eval()
    except EngineRefused:
        raise
    except Exception as error:  # a file that is no model can raise anything
        raise EngineRefused(f"cannot open {path} on {device}: {error}") from error
    _ensure_usable(path, model, tokenizer)
    logger.info("%s is open on %s in %s", path, device, dtype)
    return model, tokenizer


def _cut_as_the_file_says(path: Path, tokenizer: Any) -> None:
    """Have text cut into words as the GGUF's own tokenizer does, which transformers leaves out.

    Otherwise a third of all texts with digits or line ends in them would have other ids than
    llama.cpp gives them, and an honest miner would answer another prompt. Raises EngineRefused for
    a way to cut that is not known here to be the same.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(path).fields.get("tokenizer.ggml.pre")
    way = field.contents() if field is not None else None
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if way == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    elif way == "gpt-2":
        tokenizer.pre_tokenizer = words
    else:
        raise EngineRefused(
            f"{path} cuts text in the way {way!r}, which is not known here; "
            "open the model's folder of safetensors instead"
        )


def _ensure_usable(path: Path, model: Any, tokenizer: Any) -> None:
    """Raise EngineRefused for models that the batch would run wrongly."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None) is not None:
        raise EngineRefused(f"{path} has layers that do not attend to the whole text")
    if tokenizer.eos_token_id is None:
        raise EngineRefused(f"{path} names no end token")
    if not tokenizer.chat_template:
        raise EngineRefused(f"{path} has no chat format")
