"""The seed lock inside `transformers`: a logits processor for `model.generate`.

    model.generate(**inputs, do_sample=False, logits_processor=[SeedLockProcessor(locks, length)])

One lock a row of the batch. The model's own generation defaults (penalties, minimum lengths) must
be off: they are no part of the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from subnet.engines.locked import Lock, lock_rows

if TYPE_CHECKING:
    import torch


class SeedLockProcessor:
    """Leaves each row one token to choose from. `transformers` asks only that it can be called."""

    def __init__(self, locks: Sequence[Lock | None], prompt_length: int) -> None:
        """`locks`, one a row, None for a free one; `prompt_length` with all padding, in tokens."""
        self._locks = tuple(locks)
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` (rows, vocabulary) locked; `input_ids` is (rows, tokens so far).

        Raises ValueError unless there is a lock for every row, as with beams there is not.
        """
        if len(self._locks) != scores.shape[0]:
            raise ValueError(f"{len(self._locks)} locks for {scores.shape[0]} rows")
        position = input_ids.shape[1] - self._prompt_length
        wanted = [(row, position, lock) for row, lock in enumerate(self._locks) if lock is not None]
        locked = scores.clone()
        lock_rows(locked, wanted)
        return locked
