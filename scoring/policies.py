"""How a validator's memory of one miner becomes one score: small policies, chosen by the subnet.

Each is a pure function of the miner's questions in order of rounds, so that whoever has the record
gets the same score. `Memory` puts them together. Knows nothing of other miners, of who owns a key,
or of where the record is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scoring.evidence import Ban, Trial
from scoring.verify.statement import Statement


@dataclass(frozen=True, slots=True)
class Claim:
    """What a miner said it can do, and what a test showed; in 0..1 of the most the subnet pays for.

    `shown` is None where this question did not test it. Raises ValueError for other numbers.
    """

    claimed: float
    shown: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no share: the author scales, the miner does not."""
        for name, value in (("claimed", self.claimed), ("shown", self.shown)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}, not in 0..1")


@dataclass(frozen=True, slots=True)
class Seen:
    """One question to one miner, as it is remembered."""

    round: int
    score: float
    answered: bool
    statements: tuple[Statement, ...] = ()
    claim: Claim | None = None


History = Sequence[Seen]
"""The questions to one miner, in order of rounds."""


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of all scores, a score counting half after each half-life (an exponential mean).

    Between the least and the largest score. Rounds in which it was not asked change nothing.
    """

    half_life_rounds: float = 8.0

    def __post_init__(self) -> None:
        """Refuse a half-life that is none."""
        if not 0.0 < self.half_life_rounds < math.inf:
            raise ValueError(f"half_life_rounds is {self.half_life_rounds}; it must be above 0")

    def mean(self, history: History) -> float:
        """Return the mean, 0 for nothing."""
        if not history:
            return 0.0
        last = history[-1].round
        # Relative to the last question, whose weight is 1: no power can overflow.
        weights = [0.5 ** ((last - seen.round) / self.half_life_rounds) for seen in history]
        scored = [weight * seen.score for weight, seen in zip(weights, history, strict=True)]
        return _share(math.fsum(scored) / math.fsum(weights))


@dataclass(frozen=True, slots=True)
class Window:
    """The plain mean of the last `questions` scores: what was before is as if it had never been.

    Between the least and the largest of them.
    """

    questions: int

    def __post_init__(self) -> None:
        """Refuse a window that shows nothing."""
        if self.questions < 1:
            raise ValueError(f"questions is {self.questions}; it must be 1 or more")

    def mean(self, history: History) -> float:
        """Return the mean, 0 for nothing."""
        scores = [seen.score for seen in history[-self.questions :]]
        return _share(math.fsum(scores) / len(scores)) if scores else 0.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """A newcomer is paid in proportion to how often it answered, in full from `answers` on.

    A factor in 0..1. It makes a new hotkey worth less than an old one, so that to begin anew after
    being caught costs something, and one lucky answer earns next to nothing.
    """

    answers: int

    def __post_init__(self) -> None:
        """Refuse a ramp that is none."""
        if self.answers < 1:
            raise ValueError(f"answers is {self.answers}; it must be 1 or more")

    def factor(self, history: History) -> float:
        """Return the share of the mean that is paid."""
        return min(1.0, sum(seen.answered for seen in history) / self.answers)


@dataclass(frozen=True, slots=True)
class Silence:
    """Who has not answered for more than `grace_rounds` loses half for each half-life after that.

    A factor in 0..1, 1 again with the next answer. The mean alone would keep what a miner earned
    while it takes its axon off the chain whenever it would fail.
    """

    grace_rounds: int
    half_life_rounds: float

    def __post_init__(self) -> None:
        """Refuse what does not fade."""
        if self.grace_rounds < 0:
            raise ValueError(f"grace_rounds is {self.grace_rounds}; it must be 0 or more")
        if not 0.0 < self.half_life_rounds < math.inf:
            raise ValueError(f"half_life_rounds is {self.half_life_rounds}; it must be above 0")

    def factor(self, history: History, now: int) -> float:
        """Return the share of the mean that is paid in round `now`; 0 without any answer."""
        last = next((seen.round for seen in reversed(history) if seen.answered), None)
        if last is None:
            return 0.0
        late = max(0, now - last - self.grace_rounds)
        return float(0.5 ** (late / self.half_life_rounds))


@dataclass(frozen=True, slots=True)
class Proof:
    """Claims are paid as far as they were proven, and no further.

    What is proven begins at 0. A test that shows what was claimed, or more, brings it `step` of the
    way up to the claim. A test that shows less brings it down to `keep` of what was shown, or of
    what was proven where that is less. Paid is the last claim, up to what is proven: so to claim
    more than one can show never pays, neither now nor later, and to claim less is paid less.
    """

    step: float = 0.25
    keep: float = 0.5

    def __post_init__(self) -> None:
        """Refuse steps that are none."""
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"step is {self.step}, not above 0 and up to 1")
        if not 0.0 <= self.keep <= 1.0:
            raise ValueError(f"keep is {self.keep}, not in 0..1")

    def proven(self, history: History) -> float:
        """Return what the tests have proven, in 0..1, never above the most that one showed."""
        proven = 0.0
        for seen in history:
            if seen.claim is None or seen.claim.shown is None:
                continue
            claimed, shown = seen.claim.claimed, seen.claim.shown
            if shown < claimed:
                proven = self.keep * min(proven, shown)
            elif claimed > proven:
                proven = min(claimed, proven + self.step * (claimed - proven))
        return proven

    def factor(self, history: History) -> float:
        """Return the share of the mean that is paid; 0 for who claimed nothing."""
        claim = next((seen.claim for seen in reversed(history) if seen.claim is not None), None)
        return 0.0 if claim is None else min(claim.claimed, self.proven(history))


BANNED, NEW, SILENT, UNPROVEN = "banned", "new", "silent", "unproven"
"""Reason codes: why a miner's score is less than its mean."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a miner's past is worth now: a score in 0..1.

    `reason` is a code and says what held most of it back, "" if nothing did. `facts` are the parts:
    "mean", the factors by name, "nats" and "banned_until" of a trial.
    """

    score: float
    reason: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)
    new_bans: tuple[Ban, ...] = ()
    """Pronounced now, for the caller to remember: they outlast the answers they were made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The policies of one subnet: a mean, times whichever factors it wants, unless banned.

    Of each miner only the last `rounds` rounds are known. So nothing is held against anyone for
    longer than that, and a ramp must be such that it can be climbed in that time. After a ban a
    miner is a newcomer: only what it did since counts.
    """

    mean: Average | Window = field(default_factory=Average)
    ramp: Ramp | None = None
    silence: Silence | None = None
    proof: Proof | None = None
    trial: Trial | None = None
    rounds: int = 512

    def __post_init__(self) -> None:
        """Refuse a memory too short for its own bans."""
        if self.rounds < 1:
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or more")
        if self.trial is not None and self.trial.sentence > self.rounds:
            raise ValueError(
                f"a ban of {self.trial.sentence} rounds outlasts a memory of {self.rounds}"
            )

    def standing(self, history: History, bans: Sequence[Ban], now: int) -> Standing:
        """Return what `history` is worth after round `now`.

        `bans` are all that were pronounced before, oldest first. Those that ended more than
        `rounds` rounds ago do not make later ones longer.
        """
        facts: dict[str, float] = {}
        new: tuple[Ban, ...] = ()
        if self.trial is not None:
            known = [ban for ban in bans if ban.until > now - self.rounds]
            course = self.trial.run([(seen.round, seen.statements) for seen in history], known)
            facts["nats"], new = course.nats, course.bans[len(known) :]
            if course.bans:
                free_from = max(ban.until for ban in course.bans)
                if now < free_from:
                    return Standing(0.0, BANNED, {**facts, "banned_until": free_from}, new)
                history = [seen for seen in history if seen.round >= free_from]
        facts["mean"] = mean = self.mean.mean(history)
        factors: dict[str, float] = {}
        if self.ramp is not None:
            factors[NEW] = facts["ramp"] = self.ramp.factor(history)
        if self.silence is not None:
            factors[SILENT] = facts["silence"] = self.silence.factor(history, now)
        if self.proof is not None:
            factors[UNPROVEN] = facts["proof"] = self.proof.factor(history)
        held_back = min(factors, key=lambda code: factors[code], default="")
        if factors.get(held_back, 1.0) >= 1.0:
            held_back = ""
        return Standing(mean * math.prod(factors.values()), held_back, facts, new)


def _share(mean: float) -> float:
    return min(1.0, max(0.0, mean))  # a quotient of rounded sums can pass 1 by rounding
