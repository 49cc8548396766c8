"""From what is believed of each miner to the weight it gets.

A power above 1 spreads good from better; a floor keeps luck and near misses from being paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")


def shape(scores: Mapping[K, float], power: float = 1.0, floor: float = 0.0) -> dict[K, float]:
    """Return weights that sum to 1, proportional to score ** power; 0 for scores below `floor`.

    `scores` are in 0..1. Where nobody earns anything every weight is 0: there is then nothing to
    set. Raises ValueError for other scores (NaN included) or a `power` of 0 or below.
    """
    if not power > 0.0:
        raise ValueError(f"power is {power}; it must be above 0")
    if not all(0.0 <= score <= 1.0 for score in scores.values()):
        raise ValueError(f"a score is not in 0..1: {dict(scores)}")
    # Relative to the best, or a high power would round everyone down to 0.
    best = max(scores.values(), default=0.0)
    raw = {
        key: (score / best) ** power if best > 0.0 and score >= floor else 0.0
        for key, score in scores.items()
    }
    total = sum(raw.values())
    return {key: value / total if total > 0.0 else 0.0 for key, value in raw.items()}
