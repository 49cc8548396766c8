"""An answer in tokens: what it was asked to be, whether it is of that form, what a judge saw.

What the checks that step along an answer share. Knows nothing of what is measured there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LOGPROB_SLACK = 1e-3
"""Nats: by so much a log-probability may be above 0, after somebody's low-precision softmax."""

LEAST_TEMPERATURE = 1e-3
"""Below it nothing is left to sample; at 0 there is nothing to divide by."""


class Step(Protocol):
    """One token of an answer as the judge's own model saw it."""

    @property
    def token(self) -> int:
        """The token the answer has here."""

    @property
    def logprob(self) -> float:
        """Its log-probability at temperature 1, also when it is not among the likeliest."""

    @property
    def top_ids(self) -> NDArray[np.int64]:
        """Ids of the likeliest tokens, shape (k,)."""

    @property
    def top_logprobs(self) -> NDArray[np.float64]:
        """Their log-probabilities at temperature 1, nats, shape (k,)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answer was asked to be. Raises ValueError for what nobody can be asked."""

    length: int
    """Tokens at most; fewer only with the end token last."""
    end_token: int
    temperature: float
    vocabulary: int
    """Token ids are 0 and more, and below this."""

    def __post_init__(self) -> None:
        """Refuse what would make every answer invalid or a division by 0."""
        if self.length < 1 or not 0 <= self.end_token < self.vocabulary:
            raise ValueError(f"no answer can be like that: {self}")
        if not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}, not {LEAST_TEMPERATURE} or more")


def fault(token_ids: Sequence[int], asked: Asked) -> str | None:
    """Return what makes an answer invalid before any model looks at it, or None.

    Ask this first: an engine given ids outside its vocabulary, or endless ones, may die of it.
    """
    if not isinstance(token_ids, (list, tuple)):
        return "no list of tokens"
    if not 0 < len(token_ids) <= asked.length:
        return f"{len(token_ids)} tokens, of 1 to {asked.length}"
    for at, token in enumerate(token_ids):
        if isinstance(token, bool) or not isinstance(token, int):
            return f"token {at} is no number"
        if not 0 <= token < asked.vocabulary:
            return f"token {at} is not in 0..{asked.vocabulary - 1}"
        if token == asked.end_token and at != len(token_ids) - 1:
            return f"the end token at {at}, and tokens after it"
    if len(token_ids) < asked.length and token_ids[-1] != asked.end_token:
        return f"cut off after {len(token_ids)} of {asked.length} tokens"
    return None


def unmeasurable(token_ids: Sequence[int], steps: Sequence[Step]) -> str | None:
    """Return why a judge's own `steps` along `token_ids` measure nothing, or None."""
    if [step.token for step in steps] != list(token_ids):
        return "the judge stepped along another answer"
    for at, step in enumerate(steps):
        if not _usable(step):
            return f"the judge's log-probabilities at {at}"
    return None


def _usable(step: Step) -> bool:
    """Whether a step is of numbers: -inf is one for what the model holds to be impossible."""
    top = step.top_logprobs
    if not 0 < top.size == step.top_ids.size or not top.max() > -math.inf:
        return False
    return bool((top <= LOGPROB_SLACK).all()) and step.logprob <= LOGPROB_SLACK
