"""A step of an answer without a model: what a judge of tokens is given in tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Seen:
    """A step that some model is said to have seen."""

    token: int
    logprob: float
    top_ids: NDArray[np.int64]
    top_logprobs: NDArray[np.float64]
