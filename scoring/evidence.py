"""What is believed about each key after many scores: how many there were, and their mean.

Keys are whatever stays the same for one miner; a hotkey does, a uid does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`count` scores in 0..1 with this `mean`; without any, the mean is 0."""

    count: int = 0
    mean: float = 0.0

    def plus(self, score: float) -> Evidence:
        """Return the evidence with one score more; raise ValueError if it is not in 0..1."""
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"score {score} is not in 0..1")
        count = self.count + 1
        return Evidence(count, self.mean + (score - self.mean) / count)


def observe(evidence: Mapping[K, Evidence], scores: Iterable[tuple[K, float]]) -> dict[K, Evidence]:
    """Return `evidence` with `scores` added in order; a key not seen before begins empty."""
    grown = dict(evidence)
    for key, score in scores:
        grown[key] = grown.get(key, Evidence()).plus(score)
    return grown


def means(evidence: Mapping[K, Evidence], least_count: int = 1) -> dict[K, float]:
    """Return the mean of every key with at least `least_count` scores."""
    return {key: known.mean for key, known in evidence.items() if known.count >= least_count}
