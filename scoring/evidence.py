"""What is believed of a miner after many answers: the mean of its scores, and whether it cheats.

Keys are whatever stays the same for one miner; a hotkey does, a uid does not. A mean says what its
answers are worth; a `Trial` weighs what the verifiers' statements say of its honesty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.verify.statement import Outcome, Statement

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


EXPONENTS = np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.85])
"""The cheats that a trial looks for: their p-values have the density k * p**(k - 1) on 0..1. At a
small k they are far off, near 1 next to honest."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A miner was found cheating in `round` and earns nothing before round `until`."""

    round: int
    until: int
    nats: float
    """How much spoke against it then."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a trial stands: `nats` speak against the miner now; `bans` is every ban, oldest first."""

    nats: float
    bans: tuple[Ban, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A sequential test of honesty, from the likelihood ratios of the verifiers' statements.

    Nats against the miner are summed over its answers: each measure of each check by itself, and
    each against every cheat of `EXPONENTS`, ln k + (1 - k) * -ln p an answer, and of `occasional`.
    A statement without measures adds its own ratio. The mean of the likelihood ratios is taken
    last. So neither a measure that always says a little is drowned by others, nor a slight cheat by
    strong ones: that is what a mean for each answer, the statement's own `log_ratio`, would do.
    A miner is banned where the mean reaches ln(1 / `false_ban`). No sum falls below -`credit`: a
    long honest past buys little, whoever turns is caught `credit` nats later than a newcomer.

    An honest miner is ever banned within n checked answers with chance
    false_ban * (1 + n * exp(-credit)) or less. That is Doob's inequality for the process that
    begins anew at every answer (Shin, Ramdas and Rinaldo, "E-detectors", 2023). It holds while
    every ratio is 1 or less in the mean for honest answers, whatever came before; for a fixed set
    of measures; and with `unknown` at 0.
    """

    false_ban: float
    """Chance, within (0, 1)."""
    invalid: float
    """Nats for a statement that the answer was not of the form asked for: an honest one is."""
    unknown: float
    """Nats for a statement that nothing could be measured. At 0, whoever can have himself left
    unmeasured is never caught; above, honest miners pay for what is not their fault."""
    credit: float = 7.0
    """Nats; infinity is the plain test over a whole life (Ville's inequality)."""
    sentence: int = 64
    """Rounds of the first ban. Each further one within memory lasts twice as long as the last."""
    occasional: tuple[float, ...] = ()
    """Who cheats at a share f of its answers and is honest at the others, looked for besides: an
    answer adds ln(1 - f + f / `bad`) if its p is `bad` or less, else ln(1 - f). A miner that mixes
    looks more honest than chance at most answers, and `EXPONENTS` forgive it the others."""
    bad: float = 0.05
    """A floor must be able to say so little: see `Sample.p`."""

    def __post_init__(self) -> None:
        """Refuse what is no test with a ValueError."""
        if not 0.0 < self.false_ban < 1.0:
            raise ValueError(f"false_ban is {self.false_ban}, not within (0, 1)")
        for name in ("invalid", "unknown"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not self.credit >= 0.0:
            raise ValueError(f"credit is {self.credit}; it must be 0 or more")
        if self.sentence < 1:
            raise ValueError(f"sentence is {self.sentence}; it must be 1 or more")
        if not all(0.0 < share < 1.0 for share in (*self.occasional, self.bad)):
            raise ValueError(f"{self.occasional} or {self.bad} are not within (0, 1)")

    @property
    def bound(self) -> float:
        """Nats at which a miner is banned."""
        return -math.log(self.false_ban)

    def run(
        self, answers: Iterable[tuple[int, Sequence[Statement]]], bans: Sequence[Ban] = ()
    ) -> Course:
        """Return how the trial stands after `answers`, (round, statements) in order of rounds.

        `bans` are those already pronounced. What was answered before all of them ended is passed
        over: it was dealt with. After each ban the sums begin at 0.
        """
        pronounced = list(bans)
        # Not the last one's: two pasts with bans can have been joined.
        free_from = max((ban.until for ban in pronounced), default=0)
        sums = _Sums(self)
        for round, statements in answers:
            if round < free_from:
                continue
            nats = sums.add(statements)
            if nats >= self.bound:
                free_from = round + self.sentence * 2 ** min(len(pronounced), 30)
                pronounced.append(Ban(round, free_from, nats))
                sums = _Sums(self)
        return Course(sums.nats(), tuple(pronounced))


_LOG_EXPONENTS = np.log(EXPONENTS)


class _Sums:
    """Nats by measure and cheat, and what was charged: a measure first seen late begins there."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._shares = np.array(trial.occasional, dtype=np.float64)
        self._cheats = len(EXPONENTS) + len(trial.occasional)
        self._by_measure: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._charged = 0.0

    def add(self, statements: Sequence[Statement]) -> float:
        """Weigh one answer more; return the nats after it."""
        if not statements:  # most answers are not checked
            return self.nats()
        charge = 0.0
        gained: dict[tuple[str, str], NDArray[np.float64]] = {}
        for said in statements:
            if said.log_ratio is None:
                invalid = said.outcome is Outcome.INVALID
                charge += self._trial.invalid if invalid else self._trial.unknown
            elif said.measures:
                for measure in said.measures:
                    name = (said.check, measure.name)
                    gained[name] = gained.get(name, 0.0) + self._against(measure.p)
            else:
                name = (said.check, "")
                gained[name] = gained.get(name, 0.0) + np.full(self._cheats, said.log_ratio)
        least = -self._trial.credit
        for name in gained:
            self._by_measure.setdefault(name, np.full(self._cheats, self._charged))
        for name, nats in self._by_measure.items():
            self._by_measure[name] = np.maximum(least, nats + charge + gained.get(name, 0.0))
        self._charged = max(least, self._charged + charge)
        return self.nats()

    def _against(self, p: float) -> NDArray[np.float64]:
        """Return the nats of one p for every cheat that is looked for."""
        steady: NDArray[np.float64] = _LOG_EXPONENTS - (1.0 - EXPONENTS) * math.log(p)
        if not self._shares.size:
            return steady
        density = 1.0 / self._trial.bad if p <= self._trial.bad else 0.0
        return np.concatenate([steady, np.log(1.0 - self._shares + self._shares * density)])

    def nats(self) -> float:
        """Return the logarithm of the mean likelihood ratio."""
        if not self._by_measure:
            return self._charged
        nats = np.concatenate(list(self._by_measure.values()))
        most = float(nats.max())
        return most + math.log(float(np.exp(nats - most).mean()))
