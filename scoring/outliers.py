"""Validators whose weights stand apart from what the others' stake agrees on.

Rows and stake are read from the chain. To stand apart is no fault: a validator that saw something
first stands apart as well as one that favours its own miners, or leaks them its questions. So this
names who to look at, and at which miner.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from scoring.shaping import normalise

V = TypeVar("V", bound=Hashable)
U = TypeVar("U", bound=Hashable)

MAD_TO_SIGMA = 1.4826
"""Of a normal distribution, the standard deviation over the median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Position(Generic[U]):
    """Where a validator's row stands.

    `distance` is the share of its weight that would have to move for the row to be the consensus of
    the others, in 0..1. `sigmas` is how far that is from the median distance, in standard
    deviations as told by the median deviation; 0 among fewer than four. `favourite` is the miner
    that gets most above the consensus, by `excess` (0..1); None where none does.
    """

    distance: float
    sigmas: float
    favourite: U | None
    excess: float


def consensus(
    rows: Mapping[V, Mapping[U, float]], stake: Mapping[V, float], kappa: float = 0.5
) -> dict[U, float]:
    """Return the weight of each miner that `kappa` of the stake gives at least, scaled to sum 1.

    It is Yuma's consensus, a weighted median, in floats. Rows are scaled to sum to 1 first; those
    that are empty or all 0 abstain. Raises ValueError for a stake that is missing or negative.
    """
    if not 0.0 < kappa < 1.0:
        raise ValueError(f"kappa is {kappa}, not within (0, 1)")
    if not all(0.0 <= stake.get(v, -1.0) < math.inf for v in rows):
        raise ValueError("every row needs a stake of 0 or more")
    whole = {v: normalise(row) for v, row in rows.items() if any(row.values())}
    enough = kappa * math.fsum(stake[v] for v in whole)
    found: dict[U, float] = {}
    for miner in dict.fromkeys(miner for row in whole.values() for miner in row):
        given = sorted(((row.get(miner, 0.0), stake[v]) for v, row in whole.items()), reverse=True)
        behind = 0.0
        for weight, by in given:
            behind += by
            if behind >= enough > 0.0:
                found[miner] = weight
                break
    return normalise(found)


def positions(
    rows: Mapping[V, Mapping[U, float]], stake: Mapping[V, float], kappa: float = 0.5
) -> dict[V, Position[U]]:
    """Return where each row stands against the consensus of all others.

    Of the others, since whoever has most of the stake would else be its own consensus. A validator
    with an empty row has no position, nor has one whom nobody is left to compare with.
    """
    apart: dict[V, tuple[float, U | None, float]] = {}
    for v, row in rows.items():
        others = consensus({o: r for o, r in rows.items() if o != v}, stake, kappa)
        if not any(row.values()) or not any(others.values()):
            continue
        own = normalise(row)
        above = {u: own.get(u, 0.0) - others.get(u, 0.0) for u in {**own, **others}}
        most = max(above, key=lambda u: above[u])
        distance = math.fsum(abs(gap) for gap in above.values()) / 2.0
        favourite = most if above[most] > 1e-12 else None
        apart[v] = (min(1.0, distance), favourite, max(0.0, above[most]))
    return {
        v: Position(distance, _sigmas(distance, [d for d, _, _ in apart.values()]), u, excess)
        for v, (distance, u, excess) in apart.items()
    }


def _sigmas(distance: float, distances: list[float]) -> float:
    if len(distances) < 4:
        return 0.0
    middle = statistics.median(distances)
    spread = MAD_TO_SIGMA * statistics.median([abs(d - middle) for d in distances])
    # Where most agree to the digit the spread is 0; one in a hundred then counts as one deviation.
    return (distance - middle) / max(spread, 0.01)
