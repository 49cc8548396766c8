"""What one check has to say about one answer: evidence to be weighed, never a verdict.

The weight is a log-likelihood ratio in nats, not-honest over honest: above 0 speaks against the
answer. What honest answers look like is data, a `Sample` per measure; what a check returns without
such a floor comes from a model that the check itself states.
"""

from __future__ import annotations

import enum
import functools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


class Outcome(enum.Enum):
    """Whether there is anything to weigh."""

    MEASURED = "measured"
    INVALID = "invalid"
    """The answer or its proof is not of the form asked for; an honest one never is."""
    UNKNOWN = "unknown"
    """Nothing could be measured, and not for anything the answer did: the judge asks again."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number read off an answer; the larger, the less honest.

    `p` is how likely an honest answer looks at least as bad, in (0, 1].
    """

    name: str
    value: float
    p: float


@dataclass(frozen=True, slots=True)
class Statement:
    """What `check` saw. `log_ratio` is in nats and there exactly when something was measured."""

    check: str
    outcome: Outcome
    reason: str
    log_ratio: float | None = None
    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a ratio that is not finite, or there when it should not be."""
        measured = self.outcome is Outcome.MEASURED
        if measured != (self.log_ratio is not None) or not math.isfinite(self.log_ratio or 0.0):
            raise ValueError(f"{self.outcome.value} with a log ratio of {self.log_ratio}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measure of many honest answers: the floor against which another answer is held.

    Raises ValueError without values or with one that is not finite. From n answers it never says
    more against a single one than p = 1 / (n + 1). And it is itself drawn by chance: a miner whose
    answers are held against it for months meets the same luck at every one of them. `doubt` is the
    chance one takes that some p is smaller than it should be; 0 takes the sample as it is.
    """

    values: tuple[float, ...]
    doubt: float = 0.0
    of: int = 0
    """How many answers `values` are quantiles of, each the largest of its bin; 0: all are here."""
    _sorted: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _p: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """By how many of the values are at least as large."""

    def __post_init__(self) -> None:
        """Sort once: the values are asked about for every answer."""
        if not self.values or not all(map(math.isfinite, self.values)):
            raise ValueError("a sample is of one finite value or more")
        if not 0.0 <= self.doubt < 1.0 or self.of and self.of < len(self.values):
            raise ValueError(f"no sample has a doubt of {self.doubt}, or is of {self.of} answers")
        kept = len(self.values)
        object.__setattr__(self, "_sorted", tuple(sorted(self.values)))
        ps = [(1 + at_least) / (1 + kept) for at_least in range(kept + 1)]
        if self.doubt:
            of = self.of or kept
            reached = [math.ceil(at_least * of / kept) for at_least in range(kept + 1)]
            ps = [
                max(p, _highest_share(k, of, self.doubt)) for p, k in zip(ps, reached, strict=True)
            ]
        object.__setattr__(self, "_p", tuple(ps))

    def p(self, value: float) -> float:
        """Return how likely an honest answer has at least this `value` (not NaN), in (0, 1].

        (1 + how many of the sample do) / (1 + its size). For an honest answer p is at most t with
        chance t or less, whatever the distribution, if the sample was drawn from the same. With a
        `doubt` it is more: the largest share of which k of n are not too few. One half of the doubt
        is for k = 0, where cheats are ((1 - share)^n = doubt / 2), the other for all ranks at once
        (Chernoff: n KL(k/n, share) = ln(2n / doubt)). Then, but for that chance, it holds of this
        very sample too, and so for any number of answers.
        """
        if math.isnan(value):
            raise ValueError("NaN has no rank")
        return self._p[len(self._sorted) - bisect_left(self._sorted, value)]


@functools.lru_cache(maxsize=1 << 14)  # floors of one size ask the same, for every answer
def _highest_share(found: int, of: int, doubt: float) -> float:
    """Return the share of which `found` in `of` may still be too few: see `Sample.p`."""
    if not found:
        return -math.expm1(math.log(doubt / 2.0) / of)
    share, most = found / of, math.log(2.0 * of / doubt) / of
    if found >= of:
        return 1.0
    low, high = share, 1.0
    for _ in range(50):
        u = (low + high) / 2
        if _divergence(share, u) > most:
            high = u
        else:
            low = u
    return high


def least_answers(p: float, doubt: float) -> int:
    """Return how many answers a `Sample` must be of to say so small a `p`; `doubt` is above 0."""
    return math.ceil(math.log(doubt / 2.0) / math.log1p(-p))


def _divergence(share: float, u: float) -> float:
    """Of a coin that shows heads `share` of the time from one that should `u`, nats a throw."""
    if u >= 1.0:
        return math.inf
    heads = share * math.log(share / u) if share else 0.0
    return heads + (1.0 - share) * math.log((1.0 - share) / (1.0 - u))


def log_evidence(p: float) -> float:
    """Return the nats that a p-value is worth against honesty: ln of (e^x - 1 - x) / x², x = -ln p.

    As a function of p that is a density on 0..1, the mean of k p**(k - 1) over all k in 0..1 (Vovk
    and Wang, "E-values: calibration, combination and applications", 2021). So its logarithm is the
    log-likelihood ratio of "p has that density" over "p is uniform". Because it integrates to 1,
    the sum over independent honest answers ever passes ln(1 / a) with chance a or less.
    Grows from ln(1/2) at p = 1 without bound. Raises ValueError outside (0, 1].
    """
    if not 0.0 < p <= 1.0:
        raise ValueError(f"p is {p}")
    x = -math.log(p)
    # Near 1 the fraction is 0 / 0; its series is exact there.
    return math.log((math.expm1(x) - x) / (x * x) if x > 1e-3 else 0.5 + x / 6.0)


def weigh(measures: Iterable[Measure]) -> float:
    """Return the nats that several measures of one answer are worth together.

    The mean of their likelihood ratios, not the product: measures of one answer depend on each
    other, and the mean of ratios is one whatever the dependence.
    """
    nats = [log_evidence(measure.p) for measure in measures]
    if not nats:
        raise ValueError("no measures")
    return _log_mean(nats)


def measured(check: str, measures: Iterable[Measure], reason: str = "") -> Statement:
    """Return the statement of several measures; by default its reason is the worst of them."""
    taken = tuple(measures)
    worst = min(taken, key=lambda measure: measure.p)
    text = reason or f"{worst.name} {worst.value:.4g}, honest so with p {worst.p:.2g}"
    return Statement(check, Outcome.MEASURED, text, weigh(taken), taken)


def total(statements: Iterable[Statement], *, invalid: float, unknown: float) -> float:
    """Return the nats of many statements of one miner, of any checks and any answers; 0 for none.

    Each measure of each check is summed over the answers by itself, and the mean of the likelihood
    ratios is taken last: one measure that always says a little is not drowned by the others.
    `invalid` and `unknown` are what the caller charges for a statement without a ratio. Neither has
    a default: whoever could have himself left unmeasured for nothing would.
    """
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    charged = 0.0
    for said in statements:
        if said.log_ratio is None:
            charged += invalid if said.outcome is Outcome.INVALID else unknown
        elif said.measures:
            for measure in said.measures:
                sums[said.check, measure.name] += log_evidence(measure.p)
        else:
            sums[said.check, ""] += said.log_ratio
    return charged + (_log_mean(list(sums.values())) if sums else 0.0)


def _log_mean(nats: list[float]) -> float:
    return float(np.logaddexp.reduce(nats)) - math.log(len(nats))
