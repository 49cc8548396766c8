"""Continuous batching: many answers made and read together by one model, on a thread of its own.

Requests join and leave between two steps. A step reads the prompts that just joined, at most
`PREFILL` tokens of them, then gives every answer one more token. Each request has a row of the
model's memory; rows stay packed. Which library runs the model is hidden behind `Model`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import TOP, Pick, Reading, Step
from subnet.engines.sampling import check_tokens
from subnet.errors import EngineAway, EngineRefused

logger = logging.getLogger(__name__)

PREFILL = 256
"""Most prompt tokens read between two steps of the answers: what a newcomer costs the others."""

WORTH_WAITING = 16
"""Tokens: a newcomer waits for another that reads a text with so long a start in common."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What one row reads in one pass."""

    row: int
    start: int
    """Position of the first token; all before it were read."""
    tokens: Sequence[int]
    wanted: int
    """How many of the last of them are to say what comes after."""
    forced: Sequence[int]
    """What really comes after those; empty if that is not known yet."""
    hidden: bool
    """Whether the last hidden layer is wanted too."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What comes after the wanted tokens of a chunk: n positions, the k likeliest tokens of each.

    Nothing finite where the model computed no numbers.
    """

    ids: NDArray[np.int64]
    """(n, k), likeliest first; of tokens alike, the lower id first."""
    logprobs: NDArray[np.float64]
    """(n, k)."""
    own: NDArray[np.float64]
    """(n,), of the forced tokens."""
    hidden: NDArray[np.float32] | None = None
    """(n, d), rounded to bfloat16."""

    def is_broken(self) -> bool:
        """Whether something in it is no distribution."""
        return not np.isfinite(self.logprobs[:, 0]).all()


class Model(Protocol):
    """A model with a memory of what each row has read. Called from one thread."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""

    def known(self, tokens: Sequence[int]) -> int:
        """Return how many of the first of `tokens` need no reading, for some row has read them."""

    def adopt(self, row: int, tokens: Sequence[int]) -> int:
        """Give an empty row what is `known` of `tokens`; return how many that is."""

    def forward(self, chunks: Sequence[Chunk]) -> list[Seen]:
        """Read a chunk each for rows that follow one another; see what comes after."""

    def keep(self, row: int, tokens: Sequence[int]) -> None:
        """Remember the `tokens`, which the row began with, for those to come."""

    def move(self, origin: int, target: int, length: int) -> None:
        """Move the first `length` positions of one row to another, which is empty."""

    def wipe(self, row: int, length: int, *, sound: bool) -> None:
        """Empty a row that uses `length` positions; unless `sound`, what is there is no number."""

    def rest(self) -> None:
        """Give memory back: nobody asks."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One token that was made."""

    token: int
    top_ids: NDArray[np.int64]
    top_logprobs: NDArray[np.float64]


class Request:
    """An answer to be made token by token, or one to be read along.

    `pick` None reads `answer`: the result is a `Reading`, with the last hidden layer if `hidden`.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        *,
        pick: Pick | None = None,
        length: int = 0,
        answer: Sequence[int] = (),
        hidden: bool = False,
    ) -> None:
        self.prompt = [*map(int, prompt)]  # numpy's integers make no JSON
        self.pick = pick
        self.length = length
        self.answer = [*map(int, answer)]
        self.hidden = hidden
        self.cancelled = False
        """Set from any thread; the row is free again after the step that runs."""
        self.feed = [*self.prompt, *self.answer[:-1]]
        """What is to be read before anything is chosen."""
        self.read = 0
        """How many positions of the row are in use."""
        self.found: list[Seen] = []
        """Of an answer that is read, what is known so far."""
        self.sound = True
        """Whether all of it are numbers."""

    @property
    def wanted(self) -> int:
        """How many of the last positions of the feed say something about the answer."""
        return 1 if self.pick is not None else len(self.answer)

    @property
    def start(self) -> list[int]:
        """What somebody else may have read already: the feed without what must be looked at."""
        return self.feed[: len(self.feed) - self.wanted]

    def reading(self) -> Reading | EngineRefused:
        """Return the result of an answer that was read."""
        if not self.sound:
            return _no_numbers()
        ids, logprobs, own = (
            np.concatenate([getattr(seen, name) for seen in self.found])
            for name in ("ids", "logprobs", "own")
        )
        steps = [Step(*each) for each in zip(self.answer, own.tolist(), ids, logprobs, strict=True)]
        hidden = [seen.hidden for seen in self.found if seen.hidden is not None]
        return Reading(steps, np.concatenate(hidden) if hidden else np.empty((0, 0), np.float32))


Results: TypeAlias = "list[tuple[Request, object]]"
"""`Made`, a `Reading`, an exception of the request's own, or None after the last token."""

Deliver: TypeAlias = Callable[[Results, EngineAway | None], None]
"""Takes what a step made, on the model's thread; and why this was the last step, if it was."""


class Batch:
    """The rows, those who wait for one, and the thread that works on them."""

    def __init__(
        self, model: Model, *, slots: int, end_token: int, deliver: Deliver, prefill: int = PREFILL
    ) -> None:
        self._model = model
        self._slots = slots
        self._end_token = end_token
        self._deliver = deliver
        self._prefill = prefill
        self._wake = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._rows: list[Request] = []
        self._ready = 0
        """So many rows, the first ones, are being answered; the prompts of the rest are read."""
        self._stopping = False
        self.working_since: float | None = None
        """When the step that runs began, by `time.monotonic`; None while there is none."""
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Let `request` join when there is a row for it."""
        with self._wake:
            self._waiting.append(request)
            self._wake.notify()

    def cancel(self, request: Request) -> None:
        """Take `request` out: at once if it waits, else after the step that runs."""
        request.cancelled = True
        with self._wake:
            if request in self._waiting:
                self._waiting.remove(request)

    def stop(self, timeout_s: float) -> None:
        """End the thread after the step that runs; a thread that hangs is left behind."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        made: Results = []
        try:
            while self._has_work():
                made = []
                self.working_since = time.monotonic()
                self._step(made)
                self.working_since = None
                self._deliver(made, None)
        except EngineAway as error:
            self._deliver(made, error)
        except BaseException as error:  # whatever a model or a device can raise
            logger.exception("the model failed")
            self._deliver(made, EngineAway(f"{type(error).__name__}: {error}"))

    def _has_work(self) -> bool:
        """Wait for work; say whether there is any, or the thread is to end."""
        with self._wake:
            if not self._rows and not self._waiting:
                self._model.rest()
            while not (self._rows or self._waiting or self._stopping):
                self._wake.wait()
            return not self._stopping

    def _step(self, made: Results) -> None:
        for row in reversed(range(len(self._rows))):
            if self._rows[row].cancelled:
                self._leave(row)
        if len(self._rows) == self._ready:
            self._admit()
        if len(self._rows) > self._ready:
            self._read(made)
        if self._ready:
            self._extend(made)

    def _admit(self) -> None:
        """Give rows to the first of those who wait: several short prompts, or one long one."""
        longest = 0
        group: list[Request] = []
        while (request := self._next_waiting(group, longest)) is not None:
            request.read = self._model.adopt(len(self._rows), request.start)
            longest = max(longest, len(request.feed) - request.read)
            self._rows.append(request)
            group.append(request)

    def _next_waiting(self, group: list[Request], longest: int) -> Request | None:
        """Take the first of those who wait, if it can join `group`, whose texts have `longest`."""
        with self._wake:
            if not self._waiting or len(self._rows) == self._slots:
                return None
            request = self._waiting[0]
            if group:
                known = self._model.known(request.start)
                longest = max(longest, len(request.feed) - known)
                common = max(common_start(request.start, other.feed) for other in group)
                # One reads what they have in common, and the rest need not.
                if longest * (len(group) + 1) > self._prefill or common >= known + WORTH_WAITING:
                    return None
            return self._waiting.popleft()

    def _read(self, made: Results) -> None:
        """Read on in the prompts of the rows that are not ready."""
        group = self._rows[self._ready :]
        chunks = []
        for row, request in enumerate(group, self._ready):
            tokens = request.feed[request.read : request.read + self._prefill]
            unread = len(request.feed) - request.read - len(tokens)
            wanted = min(len(tokens), max(0, request.wanted - unread))
            first = request.read + len(tokens) - wanted - len(request.prompt) + 1
            forced = request.answer[first : first + wanted] if request.pick is None else ()
            chunks.append(Chunk(row, request.read, tokens, wanted, forced, request.hidden))
        seen = self._model.forward(chunks)
        for request, chunk, one in zip(group, chunks, seen, strict=True):
            request.read += len(chunk.tokens)
            if request.pick is None and chunk.wanted:
                request.found.append(one)
        if any(request.read < len(request.feed) for request in group):
            return
        for at, request in reversed(list(enumerate(group))):
            row = self._ready + at
            request.sound = not any(one.is_broken() for one in request.found or [seen[at]])
            if request.sound:
                self._model.keep(row, request.prompt)
            if request.pick is None:
                made.append((request, request.reading()))
                self._leave(row)
            elif not self._choose(request, seen[at], made):
                self._leave(row)
        self._ready = len(self._rows)

    def _extend(self, made: Results) -> None:
        """Give every answer one more token."""
        rows = self._rows[: self._ready]
        chunks = [
            Chunk(row, request.read, request.answer[-1:], 1, (), False)
            for row, request in enumerate(rows)
        ]
        seen = self._model.forward(chunks)
        for row, request in reversed(list(enumerate(rows))):
            request.read += 1
            if not self._choose(request, seen[row], made):
                self._leave(row)

    def _choose(self, request: Request, seen: Seen, made: Results) -> bool:
        """Take the next token of one answer; say whether the answer goes on."""
        assert request.pick is not None
        if seen.is_broken():
            request.sound = False
            made.append((request, _no_numbers()))
            return False
        ids, logprobs = seen.ids[-1], seen.logprobs[-1]
        try:
            token = request.pick(len(request.answer), ids, logprobs)
            if token is not None:
                check_tokens([token], self._model.vocabulary)
                token = int(token)
        except Exception as error:  # the caller's own, and for the caller only
            made.append((request, error))
            return False
        if token is not None:
            request.answer.append(token)
            made.append((request, Made(token, ids, logprobs)))
        if token in (None, self._end_token) or len(request.answer) == request.length:
            made.append((request, None))
            return False
        return True

    def _leave(self, row: int) -> None:
        """Free a row; the last one takes its place, and those being answered stay in front."""
        self._model.wipe(row, self._rows[row].read, sound=self._rows[row].sound)
        if row < self._ready:
            self._ready -= 1
            self._move(self._ready, row)
            row = self._ready
        self._move(len(self._rows) - 1, row)
        self._rows.pop()

    def _move(self, origin: int, target: int) -> None:
        if origin != target:
            self._rows[target] = self._rows[origin]
            self._model.move(origin, target, self._rows[origin].read)


def common_start(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many of the first tokens of two texts are the same."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return shorter
    return next(at for at in range(shorter) if one[at] != other[at])


def likeliest_first(
    ids: NDArray[np.int64], logprobs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `TOP` likeliest along the last axis; of tokens alike, the lower id first."""
    order = np.lexsort((ids, -logprobs), axis=-1)[..., :TOP]
    return np.take_along_axis(ids, order, -1), np.take_along_axis(logprobs, order, -1)


def _no_numbers() -> EngineRefused:
    """Half precision that ran over at one text: the engine is well, and goes on with the others."""
    return EngineRefused("the model computed no numbers for this text")
