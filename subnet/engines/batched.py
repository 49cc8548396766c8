"""What the engines share that run a model of their own in batches: callers on one side, `Batch`
on the other.

Callers live on the event loop and the model on a thread; a request is cancelled by leaving it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import Params, Pick, Reading, Step, Token
from subnet.engines.batch import PREFILL, Batch, Made, Model, Request, Results
from subnet.engines.described import Described
from subnet.engines.sampling import GrowingText, Sampler, check_tokens
from subnet.errors import EngineAway, EngineBusy

_STOP_S = 10.0


class BatchedEngine(Described):
    """Everything of the `Engine` protocol but `tokenize` and `_decode`, over a `batch.Model`."""

    def __init__(
        self,
        model_sha256: str,
        *,
        vocabulary: int,
        end_token: int,
        turn: tuple[list[int], list[int]],
        context: int,
        places: int,
    ) -> None:
        super().__init__(
            model_sha256, vocabulary=vocabulary, context=context, end_token=end_token, turn=turn
        )
        self._places = places
        self._open: dict[Request, asyncio.Queue[Any]] = {}
        self._gone: EngineAway | None = None
        self._batch: Batch

    @contextlib.asynccontextmanager
    async def _running(
        self, model: Model, *, slots: int, step_timeout_s: float, prefill: int = PREFILL
    ) -> AsyncIterator[None]:
        """Answer callers with `model` until the block ends; then end those still waiting."""
        self._batch = Batch(
            model,
            slots=slots,
            end_token=self._end_token,
            deliver=functools.partial(self._carry, asyncio.get_running_loop()),
            prefill=prefill,
        )
        watching = asyncio.create_task(self._watch(step_timeout_s))
        try:
            yield
        finally:
            watching.cancel()
            self._die(EngineAway("it was closed"))
            await asyncio.to_thread(self._batch.stop, _STOP_S)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        return self._decode(token_ids)

    @abstractmethod
    def _decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of tokens that there are."""

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
        return (await self._along(prompt_ids, answer_ids, hidden=False)).steps

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return the last hidden layer that each token of `answer_ids` was chosen from: (n, d)."""
        return (await self.read(prompt_ids, answer_ids)).activations

    async def read(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Reading:
        """Return the `score` and the `activations` of an answer, from one pass."""
        return await self._along(prompt_ids, answer_ids, hidden=True)

    async def _answer(
        self, prompt_ids: Sequence[int], length: int, pick: Pick
    ) -> AsyncGenerator[Made, None]:
        self._check(prompt_ids, (), length)
        if length == 0:
            return
        with self._joined(Request(prompt_ids, pick=pick, length=length)) as queue:
            while (made := _unless_error(await queue.get())) is not None:
                yield made

    async def _along(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int], *, hidden: bool
    ) -> Reading:
        self._check(prompt_ids, answer_ids, len(answer_ids))
        if len(answer_ids) == 0:
            return Reading([], np.empty((0, 0), dtype=np.float32))
        with self._joined(Request(prompt_ids, answer=answer_ids, hidden=hidden)) as queue:
            reading: Reading = _unless_error(await queue.get())
            return reading

    @contextlib.contextmanager
    def _joined(self, request: Request) -> Iterator[asyncio.Queue[Any]]:
        """Have `request` worked on; leaving early, by an error or a cancellation, ends it."""
        self._ensure_alive()
        if len(self._open) >= self._places:
            raise EngineBusy(len(self._open))
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._open[request] = queue
        self._batch.submit(request)
        try:
            yield queue
        finally:
            self._batch.cancel(request)
            self._open.pop(request, None)

    def _ensure_alive(self) -> None:
        if self._gone is not None:
            raise EngineAway(self._gone.problem)

    def _carry(
        self, loop: asyncio.AbstractEventLoop, made: Results, failure: EngineAway | None
    ) -> None:
        """Bring what a step made from the model's thread to the callers'."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there any more
            loop.call_soon_threadsafe(self._deliver, made, failure)

    def _deliver(self, made: Results, failure: EngineAway | None) -> None:
        for request, item in made:
            if request in self._open:
                self._open[request].put_nowait(item)
                if not isinstance(item, Made):
                    # It is over, and its place free, even if nobody ever reads it.
                    del self._open[request]
        if failure is not None:
            self._die(failure)

    def _die(self, reason: EngineAway) -> None:
        """Turn everybody away, now and from now on."""
        if self._gone is None:
            self._gone = reason
        for queue in self._open.values():
            queue.put_nowait(EngineAway(self._gone.problem))

    async def _watch(self, step_timeout_s: float) -> None:
        while self._gone is None:
            await asyncio.sleep(step_timeout_s / 4)
            since = self._batch.working_since
            if since is not None and time.monotonic() - since > step_timeout_s:
                self._die(EngineAway(f"no step ended within {step_timeout_s:g} s"))


def _unless_error(item: Any) -> Any:
    if isinstance(item, Exception):
        raise item
    return item
