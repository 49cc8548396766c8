"""A transformers model as the rows of a batch: padded passes, and one cache of keys and values.

Rows stay packed, so that a pass works on views of the cache and copies nothing. This module imports
torch; import it only where the `torch` extra is known to be there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from subnet.engines.base import TOP
from subnet.engines.batch import Chunk, Seen, common_start, likeliest_first

_GROW = 64
"""Positions: the cache grows by at least so many at once."""

_SPARE = 64
"""Tokens looked at beyond the likeliest. torch takes any of those alike at the end, the seed lock
those with the lower ids; in half precision many are alike."""

_KEPT = 4
"""Prompts whose keys and values outlive their requests: a judge reads many answers to one."""

_KEPT_TOKENS = 1024
"""A longer prompt is not kept."""

Tensor: TypeAlias = Any
Function = TypeVar("Function", bound=Callable[..., Any])


def _inferring(function: Function) -> Function:
    """`torch.inference_mode`, which keeps the types."""
    inferring: Function = torch.inference_mode()(function)
    return inferring


class TorchModel:
    """See `batch.Model`."""

    def __init__(self, model: Any, *, slots: int, threads: int) -> None:
        self.vocabulary: int = model.config.get_text_config().vocab_size
        self._model = model
        self._threads = threads
        self._cache = _Cache(slots)

    def known(self, tokens: Sequence[int]) -> int:
        """Return how many of the first of `tokens` are in a kept prompt."""
        return self._cache.known(tokens)[1]

    @_inferring
    def adopt(self, row: int, tokens: Sequence[int]) -> int:
        """Copy what is known of `tokens` into an empty row."""
        return self._cache.adopt(row, tokens)

    @_inferring
    def keep(self, row: int, tokens: Sequence[int]) -> None:
        """Copy the keys and values of a prompt."""
        self._cache.keep(row, tuple(tokens))

    @_inferring
    def move(self, origin: int, target: int, length: int) -> None:
        """Copy a row, and empty where it was."""
        self._cache.move(origin, target, length)

    @_inferring
    def wipe(self, row: int, length: int, *, sound: bool) -> None:
        """Fill what was in use of a row with zeros."""
        self._cache.wipe(row, length)

    def rest(self) -> None:
        """Give all memory back but for the kept prompts."""
        self._cache.clear()

    @_inferring
    def forward(self, chunks: Sequence[Chunk]) -> list[Seen]:
        """Read one chunk for each of some rows that follow one another.

        Shorter chunks are padded on the left, so that the last tokens of all stand in one column.
        What padding computes is written to a place that nobody reads.
        """
        torch.set_num_threads(self._threads)  # of the calling thread
        width = max(len(chunk.tokens) for chunk in chunks)
        keep = max(1, *(chunk.wanted for chunk in chunks))
        shape = (len(chunks), width)
        tokens, places = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
        forced = np.zeros((len(chunks), keep), np.int64)
        for at, chunk in enumerate(chunks):
            size = len(chunk.tokens)
            tokens[at, width - size :] = chunk.tokens
            places[at, width - size :] = np.arange(chunk.start, chunk.start + size)
            if chunk.forced:
                forced[at, keep - chunk.wanted :] = chunk.forced
        device = self._model.device
        at_places = torch.from_numpy(places).to(device)
        # Padding looks at the first token: an attention to nothing would be no number.
        positions = at_places.clamp(min=0)
        length = max(chunk.start + len(chunk.tokens) for chunk in chunks)
        seen_by = torch.arange(length, device=device) <= positions[:, :, None]
        self._cache.open(chunks[0].row, at_places, length)
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(device),
            position_ids=positions,
            attention_mask=seen_by[:, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
            output_hidden_states=any(chunk.hidden for chunk in chunks),
        )
        logits = output.logits.float()
        total = logits.logsumexp(-1, keepdim=True)
        top = logits.topk(min(TOP + _SPARE, logits.shape[-1]), sorted=False)
        chosen = logits.gather(-1, torch.from_numpy(forced).to(device).unsqueeze(-1)) - total
        own = _numpy(chosen[..., 0].double())
        ids, logprobs = likeliest_first(_numpy(top.indices), _numpy((top.values - total).double()))
        last = None
        if any(chunk.hidden for chunk in chunks):
            last = _numpy(output.hidden_states[-1][:, -keep:].bfloat16().float())
        return [
            Seen(
                ids[at, keep - chunk.wanted :],
                logprobs[at, keep - chunk.wanted :],
                own[at, keep - chunk.wanted :],
                last[at, keep - chunk.wanted :] if last is not None and chunk.hidden else None,
            )
            for at, chunk in enumerate(chunks)
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
        self._kept: OrderedDict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = OrderedDict()
        """Prompts and, of every layer, their keys and values (heads, n, d); the latest last."""

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

    def known(self, tokens: Sequence[int]) -> tuple[tuple[int, ...], int]:
        """Return the kept prompt that has most of `tokens` as its start, and how many."""
        tokens = tuple(tokens)
        found = ((kept, common_start(kept, tokens)) for kept in reversed(self._kept))
        return max(found, key=lambda one: one[1], default=((), 0))

    def adopt(self, row: int, tokens: Sequence[int]) -> int:
        """Copy what is known of `tokens` into an empty row; return how many positions that is."""
        kept, length = self.known(tokens)
        if length == 0:
            return 0
        self._kept.move_to_end(kept)
        self._length = length
        for layer, tensors in enumerate(self._kept[kept]):
            keys, values = (tensor[None, :, :length] for tensor in tensors)
            stored = self._with_room(layer, keys, values, row + 1)
            stored[0][row, :, :length], stored[1][row, :, :length] = keys[0], values[0]
        return length

    def keep(self, row: int, tokens: tuple[int, ...]) -> None:
        """Copy the first positions of a row, which are `tokens`, for those to come."""
        if len(tokens) > _KEPT_TOKENS or self.known(tokens)[1] == len(tokens):
            return
        self._kept[tokens] = [
            (keys[row, :, : len(tokens)].clone(), values[row, :, : len(tokens)].clone())
            for _, (keys, values) in sorted(self._layers.items())
        ]
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

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
        """Give all memory back but for the kept prompts."""
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


def _numpy(tensor: Tensor) -> NDArray[Any]:
    found: NDArray[Any] = tensor.cpu().numpy()
    return found
