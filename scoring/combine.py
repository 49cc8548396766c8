"""Several scores of one answer made into one.

A weighted product behind gates. No strength pays for a missing one: a zero anywhere is a zero. But
a product alone pays a wrong answer a little if it was fast; a gate pays it nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

K = TypeVar("K")


def combine(
    scores: Mapping[K, float],
    weights: Mapping[K, float],
    gates: Mapping[K, bool] | None = None,
    least: Mapping[K, float] | None = None,
) -> float:
    """Return the product of score ** (weight / sum of weights), or 0 if any gate is shut.

    `scores` are in 0..1 and so is the result, which never falls as one of them rises; `weights`
    are above 0, finite, and name the same parts. `gates` and `least` are as in `shut`. Raises
    ValueError for anything else, NaN included.
    """
    if scores.keys() != weights.keys() or not scores:
        raise ValueError(f"scores name {sorted(map(str, scores))}, weights other parts or none")
    if not all(0.0 < weight < math.inf for weight in weights.values()):
        raise ValueError(f"a weight is not above 0: {dict(weights)}")
    if shut(scores, gates, least):
        return 0.0
    # Relative to the largest, since sums can overflow.
    most = max(weights.values())
    parts = {part: weight / most for part, weight in weights.items()}
    total = math.fsum(parts.values())
    return float(math.prod(score ** (parts[part] / total) for part, score in scores.items()))


def shut(
    scores: Mapping[K, float],
    gates: Mapping[K, bool] | None = None,
    least: Mapping[K, float] | None = None,
) -> list[K]:
    """Return which gates are shut, in order: the false ones, then the parts below their least.

    `gates` are conditions, not scores: signed, complete, in time. `least` is the score, in 0..1,
    that a part must have for the answer to be worth anything: 1 for the truth of it. Raises
    ValueError for a score not in 0..1, a gate that is no bool, and a least of no such part.
    """
    if not all(0.0 <= score <= 1.0 for score in scores.values()):
        raise ValueError(f"a score is not in 0..1: {dict(scores)}")
    # A score in place of a condition would open at 0.01.
    if gates is not None and not all(isinstance(g, bool | np.bool_) for g in gates.values()):
        raise ValueError(f"a gate is neither true nor false: {dict(gates)}")
    bars = least or {}
    if not all(part in scores and 0.0 <= bar <= 1.0 for part, bar in bars.items()):
        raise ValueError(f"a least score is of no part, or not in 0..1: {dict(bars)}")
    closed = [gate for gate, is_open in (gates or {}).items() if not is_open]
    return closed + [part for part, bar in bars.items() if scores[part] < bar]
