"""One operator behind many hotkeys: what is known (a common coldkey), and what only looks like it.

`fold` acts on the coldkey, which the chain states. It binds only those who do not hide: a coldkey
more costs nothing but the seat. `hints` look for miners that fail together and slow down together.
They are for a person to look into, never for pay: two strangers in one data centre look the same.
Statistics are scipy's, from the extra `judging`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)

FOLDED = "folded"
"""Reason code: another hotkey of the same coldkey is paid in place of this one."""

LEAST_ROUNDS = 8
"""Below so many rounds in common nothing is said of a pair."""

STEPS = 5
"""In which miners' steadiness and rounds' costs, each known by the other, are found."""


def fold(scores: Mapping[K, float], coldkeys: Mapping[K, str], seats: int = 1) -> dict[K, float]:
    """Return `scores` with 0 for all but the best `seats` hotkeys of each coldkey.

    So whoever has N hotkeys on one coldkey earns what the best `seats` of them earn, whatever
    shape the weights have, and takes no places from others. Of equals the first by name stays: they
    are one owner's. The best of N noisy scores is still better than one: see docs/scoring.md.
    A hotkey of unknown owner (not in `coldkeys`) stands alone.
    """
    if seats < 1:
        raise ValueError(f"seats is {seats}; it must be 1 or more")
    by_owner: dict[str, list[K]] = {}
    for key in scores:
        if key in coldkeys:
            by_owner.setdefault(coldkeys[key], []).append(key)
    out = dict(scores)
    for keys in by_owner.values():
        keys.sort(key=lambda key: (-scores[key], str(key)))
        out.update(dict.fromkeys(keys[seats:], 0.0))
    return out


@dataclass(frozen=True, slots=True)
class Hint:
    """`a` and `b` look alike in `what` ("failures" or "latencies").

    `p` is the chance that two miners who have nothing in common look at least so alike, corrected
    for how many pairs were looked at (Benjamini and Hochberg): of all the hints at p <= q, a share
    of q is expected to be false.
    """

    a: object
    b: object
    what: str
    p: float


def hints(
    seconds: Mapping[K, Sequence[float | None]],
    *,
    level: float = 0.01,
    common: float = 0.2,
) -> list[Hint]:
    """Return the pairs of miners that fail or slow down together, the most alike first.

    `seconds` has one entry per miner and round, in the same order for all: how long the answer
    took, None where there was none. Rounds in which more than `common` (0..1) of the miners failed
    are left out of the comparison of failures, since the cause was elsewhere. Failures are compared
    with Fisher's exact test. Latencies are compared by rank correlation of their logarithms, with
    what each miner always needs and what each round costs everybody taken off first.

    Where that is not how latencies come about, strangers look alike: where a hard question costs
    some miners more than others, or where several get slower over hours, each by itself. So does
    a group hide that is a large part of all: what it has in common is then the round's.
    Raises ValueError for lengths that differ.
    """
    names = list(seconds)
    if len({len(row) for row in seconds.values()}) > 1:
        raise ValueError("every miner needs an entry for every round")
    if len(names) < 2:
        return []
    times = np.array(
        [[math.nan if s is None else max(s, 1e-6) for s in seconds[name]] for name in names]
    )
    stats = _statistics()
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    found: list[Hint] = []
    for what, p_of in (
        ("failures", _failures(np.isnan(times), common, stats)),
        ("latencies", _latencies(np.log(times), stats)),
    ):
        # Each kind is corrected by itself, or the pairs of one would dilute those of the other.
        compared = [(i, j, p) for i, j in pairs if (p := p_of[i, j]) <= 1.0]
        if not compared:
            continue
        corrected = stats.false_discovery_control([p for _, _, p in compared])
        found += [
            Hint(names[i], names[j], what, float(p))
            for (i, j, _), p in zip(compared, corrected, strict=True)
            if p <= level
        ]
    return sorted(found, key=lambda hint: hint.p)


def _failures(failed: NDArray[np.bool_], common: float, stats: Any) -> NDArray[np.float64]:
    """One-sided p by pair; NaN where there is nothing to compare."""
    failed = failed[:, failed.mean(axis=0) <= common]
    rounds = failed.shape[1]
    p = np.full((len(failed), len(failed)), np.nan)
    if rounds < LEAST_ROUNDS:
        return p
    counts = failed.sum(axis=1)
    both = failed.astype(np.int64) @ failed.T.astype(np.int64)
    for i, j in combinations(range(len(failed)), 2):
        if counts[i] and counts[j]:
            p[i, j] = stats.hypergeom.sf(both[i, j] - 1, rounds, counts[i], counts[j])
    return p


def _latencies(logs: NDArray[np.float64], stats: Any) -> NDArray[np.float64]:
    """One-sided p by pair, over the rounds that both answered; NaN where there are too few."""
    p = np.full((len(logs), len(logs)), np.nan)
    answered = ~np.isnan(logs)
    logs = logs[:, answered.sum(axis=0) >= 2]
    answered = ~np.isnan(logs)
    if logs.shape[1] < LEAST_ROUNDS:
        return p
    own = _own(logs)
    for i, j in combinations(range(len(logs)), 2):
        shared = answered[i] & answered[j]
        a, b = own[i, shared], own[j, shared]
        if len(a) >= LEAST_ROUNDS and np.ptp(a) > 0.0 and np.ptp(b) > 0.0:
            p[i, j] = stats.spearmanr(a, b, alternative="greater").pvalue
    return p


def _own(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take off what a miner always needs, and what a round costs everybody.

    The latter is the mean weighted by how steady each miner is. Any other mean or median has noise
    of the unsteady in it, which all the steady ones would then seem to share.
    """
    enough = (~np.isnan(logs)).sum(axis=1) >= LEAST_ROUNDS
    own = np.where(enough[:, None], logs, np.nan)
    if not enough.any():
        return own
    own[enough] -= np.nanmedian(own[enough], axis=1, keepdims=True)
    left = own - _weighted_mean(own, np.ones(len(own)))
    for _ in range(STEPS):
        spread = np.full(len(own), np.inf)
        spread[enough] = np.nanvar(left[enough], axis=1)
        left = own - _weighted_mean(own, 1.0 / np.maximum(spread, 1e-6))
    return left


def _weighted_mean(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    there = np.where(np.isnan(rows), 0.0, weights[:, None])
    total = there.sum(axis=0)
    return np.asarray((there * np.nan_to_num(rows)).sum(axis=0) / np.where(total > 0, total, 1.0))


def _statistics() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError("hints need scipy: pip install 'subnetkit[judging]'") from error
    return stats
