"""Several scores of one answer made into one.

A weighted product, so that no strength pays for a missing one: a zero anywhere is a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")


def combine(
    scores: Mapping[K, float], weights: Mapping[K, float], gates: Mapping[K, bool] | None = None
) -> float:
    """Return the product of score ** (weight / sum of weights), or 0 if any gate is shut.

    `scores` are in 0..1 and so is the result; `weights` are above 0 and name the same parts.
    `gates` are conditions, not scores: signed, complete, in time. Raises ValueError for anything
    else, NaN included.
    """
    if scores.keys() != weights.keys() or not scores:
        raise ValueError(f"scores name {sorted(map(str, scores))}, weights other parts or none")
    if not all(0.0 <= score <= 1.0 for score in scores.values()):
        raise ValueError(f"a score is not in 0..1: {dict(scores)}")
    if not all(0.0 < weight < math.inf for weight in weights.values()):
        raise ValueError(f"a weight is not above 0: {dict(weights)}")
    if gates is not None and not all(gates.values()):
        return 0.0
    total = math.fsum(weights.values())
    return float(math.prod(score ** (weights[part] / total) for part, score in scores.items()))
