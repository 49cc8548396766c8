"""Continuous batching of a transformers model, on a thread of its own.

Requests join and leave the running batch between two steps. A step reads the prompts that just
joined, at most `PREFILL` tokens of them, then gives every answer one more token. Each request has
a row of the key-value cache; rows stay packed, so that a step works on views and copies nothing.
This module imports torch; import it only where the `torch` extra is known to be there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from subnet.engines.base import TOP, Pick, Step
from subnet.engines.sampling import check_tokens
from subnet.errors import EngineAway

logger = logging.getLogger(__name__)

PREFILL = 256
"""Most prompt tokens read between two steps of the answers: what a newcomer costs the others."""

_GROW = 64
"""Positions: the cache grows by at least so many at once."""

_SPARE = 64
"""Tokens looked at beyond the likeliest. torch takes any of those alike at the end, the seed lock
those with the lower ids; in half precision many are alike."""

Tensor: TypeAlias = Any


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One token that was made."""

    token: int
    top_ids: NDArray[np.int64]
    top_logprobs: NDArray[np.float64]


Deliver: TypeAlias = Callable[[list[tuple["Request", object]], EngineAway | None], None]
"""Takes what a step made, on the model's thread: `Made`, the result of a forced pass, an exception
of the caller's own, or None after the last token; and why this was the last step, if it was."""


class Request:
    """An answer to be made token by token, or one to be read along.

    `pick` None reads `answer`: the result is a list of `Step`, or with `hidden` an array of the
    last hidden layer.
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
        self.pick = pick
        self.length = length
        self.answer = list(answer)
        self.hidden = hidden
        self.cancelled = False
        """Set from any thread; the row is free again after the step that runs."""
        self.feed = [*prompt, *self.answer[:-1]]
        """What is to be read before anything is chosen."""
        self.read = 0
        """How many positions are in the cache."""
        self.found: list[Any] = []
        """Of a forced pass, what is known so far."""
        self.broken = False
        """Whether some of that is no number."""

    @property
    def wanted(self) -> int:
        """How many of the last positions of the feed say something about the answer."""
        return 1 if self.pick is not None else len(self.answer)


class Batch:
    """The model, its cache, and the thread that works on both."""

    def __init__(
        self, model: Any, *, slots: int, end_token: int, threads: int, deliver: Deliver
    ) -> None:
        self.vocabulary: int = model.config.get_text_config().vocab_size
        self._model = model
        self._slots = slots
        self._end_token = end_token
        self._threads = threads
        self._deliver = deliver
        self._cache = _Cache(slots)
        self._wake = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._rows: list[Request] = []
        self._ready = 0
        """So many rows, the first ones, are being answered; the prompts of the rest are read."""
        self._stopping = False
        self.working_since: float | None = None
        """When the step that runs began, by `time.monotonic`; None while there is none."""
        self._thread = threading.Thread(target=self._run, name="torch-engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Let `request` join when there is a row for it."""
        with self._wake:
            self._waiting.append(request)
            self._wake.notify()

    def stop(self, timeout_s: float) -> None:
        """End the thread after the step that runs; a thread that hangs is left behind."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        while self._has_work():
            made: list[tuple[Request, object]] = []
            self.working_since = time.monotonic()
            try:
                self._step(made)
            except Exception as error:  # whatever a model or a device can raise
                logger.exception("the model failed")
                self._deliver(made, EngineAway(f"{type(error).__name__}: {error}"))
                return
            self.working_since = None
            self._deliver(made, None)

    def _has_work(self) -> bool:
        """Wait for work; say whether there is any, or the thread is to end."""
        with self._wake:
            if not self._rows and not self._waiting:
                self._cache.clear()
            while not (self._rows or self._waiting or self._stopping):
                self._wake.wait()
            return not self._stopping

    def _step(self, made: list[tuple[Request, object]]) -> None:
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
        with self._wake:
            while self._waiting and len(self._rows) < self._slots:
                request = self._waiting[0]
                joined = len(self._rows) - self._ready
                longest = max(longest, len(request.feed))
                if joined and longest * (joined + 1) > PREFILL:
                    break
                self._waiting.popleft()
                if not request.cancelled:
                    self._rows.append(request)

    def _read(self, made: list[tuple[Request, object]]) -> None:
        """Read on in the prompts of the rows that are not ready."""
        group = self._rows[self._ready :]
        chunks = [request.feed[request.read : request.read + PREFILL] for request in group]
        wanted = [
            max(0, request.read + len(chunk) - len(request.feed) + request.wanted)
            for request, chunk in zip(group, chunks, strict=True)
        ]
        wanted = [min(count, len(chunk)) for count, chunk in zip(wanted, chunks, strict=True)]
        seen = self._forward(self._ready, chunks, wanted)
        for at, (request, count) in enumerate(zip(group, wanted, strict=True)):
            if request.pick is None and count:
                request.broken = request.broken or seen.is_broken(at, count)
                request.found += seen.along(at, count, request)
        if any(request.read < len(request.feed) for request in group):
            return
        for at, request in reversed(list(enumerate(group))):
            if request.pick is None:
                made.append((request, _no_numbers() if request.broken else request.found))
                self._leave(self._ready + at)
            elif not self._choose(request, seen, at, made):
                self._leave(self._ready + at)
        self._ready = len(self._rows)

    def _extend(self, made: list[tuple[Request, object]]) -> None:
        """Give every answer one more token."""
        rows = self._rows[: self._ready]
        seen = self._forward(0, [[request.answer[-1]] for request in rows], [1] * len(rows))
        for at, request in reversed(list(enumerate(rows))):
            if not self._choose(request, seen, at, made):
                self._leave(at)

    def _choose(
        self, request: Request, seen: _Seen, at: int, made: list[tuple[Request, object]]
    ) -> bool:
        """Take the next token of one answer; say whether the answer goes on."""
        assert request.pick is not None
        ids, logprobs = seen.ids[at, -1], seen.logprobs[at, -1]
        if seen.is_broken(at, 1):
            made.append((request, _no_numbers()))
            return False
        try:
            token = request.pick(len(request.answer), ids, logprobs)
            if token is not None:
                check_tokens([token], self.vocabulary)
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

    def _forward(self, first: int, chunks: Sequence[Sequence[int]], wanted: list[int]) -> _Seen:
        """Read one chunk for each row from `first` on; see what comes after the last `wanted`.

        Shorter chunks are padded on the left, so that the last tokens of all stand in one column.
        What padding computes is written to a place that nobody reads.
        """
        requests = self._rows[first : first + len(chunks)]
        width, keep = max(map(len, chunks)), max(1, *wanted)
        shape = (len(chunks), width)
        tokens, places = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
        forced = np.zeros((len(chunks), keep), np.int64)
        for at, (request, chunk) in enumerate(zip(requests, chunks, strict=True)):
            tokens[at, width - len(chunk) :] = chunk
            places[at, width - len(chunk) :] = np.arange(request.read, request.read + len(chunk))
            if request.pick is None and wanted[at]:
                done = len(request.found)
                forced[at, keep - wanted[at] :] = request.answer[done : done + wanted[at]]
            request.read += len(chunk)
        device = self._model.device
        at_places = torch.from_numpy(places).to(device)
        # Padding looks at the first token: an attention to nothing would be no number.
        positions = at_places.clamp(min=0)
        length = max(request.read for request in requests)
        seen_by = torch.arange(length, device=device) <= positions[:, :, None]
        self._cache.open(first, at_places, length)
        hidden = any(request.hidden for request in requests)
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(device),
            position_ids=positions,
            attention_mask=seen_by[:, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
            output_hidden_states=hidden,
        )
        logits = output.logits.float()
        total = logits.logsumexp(-1, keepdim=True)
        top = logits.topk(min(TOP + _SPARE, logits.shape[-1]), sorted=False)
        own = logits.gather(-1, torch.from_numpy(forced).to(device).unsqueeze(-1)) - total
        return _Seen(
            *_likeliest_first(_numpy(top.indices), _numpy((top.values - total).double())),
            own=_numpy(own[..., 0].double()),
            hidden=_numpy(output.hidden_states[-1][:, -keep:].bfloat16().float())
            if hidden
            else None,
        )

    def _leave(self, row: int) -> None:
        """Free a row; the last one takes its place, and those being answered stay in front."""
        self._cache.wipe(row, self._rows[row].read)
        if row < self._ready:
            self._ready -= 1
            self._move(self._ready, row)
            row = self._ready
        self._move(len(self._rows) - 1, row)
        self._rows.pop()

    def _move(self, origin: int, target: int) -> None:
        if origin != target:
            self._rows[target] = self._rows[origin]
            self._cache.move(origin, target, self._rows[origin].read)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What a step saw: b rows, the last n columns of each, the k likeliest tokens of each."""

    ids: NDArray[np.int64]
    """(b, n, k), likeliest first."""
    logprobs: NDArray[np.float64]
    """(b, n, k)."""
    own: NDArray[np.float64]
    """(b, n), of the forced tokens."""
    hidden: NDArray[np.float32] | None
    """(b, n, d)."""

    def is_broken(self, at: int, count: int) -> bool:
        """Whether the last `count` columns of row `at` hold something that is no distribution."""
        return not np.isfinite(self.logprobs[at, -count:, 0]).all()

    def along(self, at: int, count: int, request: Request) -> list[Any]:
        """Return what row `at` says of the next `count` tokens of its answer."""
        if request.hidden:
            assert self.hidden is not None
            return list(self.hidden[at, -count:])
        done = len(request.found)
        return [
            Step(token, float(own), ids, logprobs)
            for token, own, ids, logprobs in zip(
                request.answer[done : done + count],
                self.own[at, -count:],
                self.ids[at, -count:],
                self.logprobs[at, -count:],
                strict=True,
            )
        ]


class _Cache:
    """Keys and values of every row and layer, in the shape of transformers' `Cache` for a model.

    It grows with what is asked of it and is empty when nobody asks. The last position of every row
    is the place for padding. All else that nobody wrote to is 0: a shorter text is computed with
    what stands after it, weighed by nothing, and nothing times infinity is no number.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._first = 0
        self._length = 0
        self._places: Tensor = None

    def open(self, first: int, places: Tensor, length: int) -> None:
        """Say where the next pass writes: rows from `first`, `places` (b, n), -1 for padding."""
        self._first, self._places, self._length = first, places, length

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *ignored: object, **also: object
    ) -> tuple[Tensor, Tensor]:
        """Write (b, heads, n, d) where `open` said; return the rows up to the longest."""
        rows = slice(self._first, self._first + keys.shape[0])
        stored = self._with_room(layer, keys, values, rows.stop)
        at = torch.arange(rows.start, rows.stop, device=keys.device)[:, None]
        for tensor, new in zip(stored, (keys, values), strict=True):
            tensor[at, :, self._places] = new.transpose(1, 2)
        return stored[0][rows, :, : self._length], stored[1][rows, :, : self._length]

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the longest row's length; the models ask, and are told every position anyway."""
        return self._length

    def move(self, origin: int, target: int, length: int) -> None:
        """Move the first `length` positions of one row to another, which is empty."""
        for tensors in self._layers.values():
            for tensor in tensors:
                tensor[target, :, :length] = tensor[origin, :, :length]
        self.wipe(origin, length)

    def wipe(self, row: int, length: int) -> None:
        """Empty the first `length` positions of a row."""
        for tensors in self._layers.values():
            for tensor in tensors:
                tensor[row, :, :length] = 0

    def clear(self) -> None:
        """Give all memory back."""
        self._layers.clear()

    def _with_room(
        self, layer: int, keys: Tensor, values: Tensor, rows: int
    ) -> tuple[Tensor, Tensor]:
        stored = self._layers.get(layer)
        if stored is None or stored[0].shape[0] < rows or stored[0].shape[2] <= self._length:
            had = (0, 0) if stored is None else (stored[0].shape[0], stored[0].shape[2] - 1)
            # Twice as many rows, half as long again: each position is copied a few times in all.
            rows = rows if rows <= had[0] else min(self._slots, max(rows, 2 * had[0]))
            length = had[1]
            if length < self._length:
                length = -(-max(self._length, length * 3 // 2) // _GROW) * _GROW
            stored = self._layers[layer] = (
                _grown(stored and stored[0], keys, max(rows, had[0]), length + 1),
                _grown(stored and stored[1], values, max(rows, had[0]), length + 1),
            )
        return stored


def _grown(old: Tensor, like: Tensor, rows: int, length: int) -> Tensor:
    """Return a tensor of zeros with what `old` holds, but for the place for padding."""
    new = like.new_zeros((rows, like.shape[1], length, like.shape[3]))
    if old is not None:
        new[: old.shape[0], :, : old.shape[2] - 1] = old[:, :, :-1]
    return new


def _no_numbers() -> EngineAway:
    """Half precision that ran over, or damaged weights."""
    return EngineAway("the model computed no numbers")


def _likeliest_first(
    ids: NDArray[np.int64], logprobs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `TOP` likeliest along the last axis; of tokens alike, the lower id first."""
    order = np.lexsort((ids, -logprobs), axis=-1)[..., :TOP]
    return np.take_along_axis(ids, order, -1), np.take_along_axis(logprobs, order, -1)


def _numpy(tensor: Tensor) -> NDArray[Any]:
    found: NDArray[Any] = tensor.cpu().numpy()
    return found
