"""What miners and judges need of a model: its likeliest next tokens, step by step.

An engine samples nothing by itself: the caller picks each token, so that a seed can prescribe it.
Token ids are the model's own; log-probabilities are at temperature 1 over the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pick: TypeAlias = Callable[[int, NDArray[np.int64], NDArray[np.float64]], int | None]
"""(position in the answer from 0, ids (k,), logprobs (k,), likeliest first) -> token; None ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One token of an answer and what the model thought just before it."""

    token: int
    logprob: float
    """Of `token`, in nats, also when it is not among the likeliest."""
    top_ids: NDArray[np.int64]
    """The likeliest tokens, likeliest first, shape (k,)."""
    top_logprobs: NDArray[np.float64]
    """Their log-probabilities in nats, shape (k,)."""


class Engine(Protocol):
    """A model that answers one caller at a time.

    Every method raises EngineBusy if too many callers wait already, EngineRefused if the request
    is wrong, and EngineAway if the engine died or hangs; after that one it must be opened again.
    """

    @property
    def model_sha256(self) -> str:
        """Hash of the model file that is really open."""

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`."""

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`; the end token is last if picked."""

    async def force(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids` after `prompt_ids`."""
