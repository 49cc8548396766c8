"""Redundancy: the same question put to several miners, and who disagrees with whom.

Every answer is weighed under a model of how answers come about, given as a `Floor`: an honest miner
gives the one right answer or, rarely, errs; a cheat gives it by luck, or any wrong one. Nobody
knows the right answer; all the possible ones are weighed. So one answer alone weighs nothing, a tie
makes cheats as likely as not of both sides, and a majority weighs what the honest are thought to.

It cannot see collusion: cheats who agree on one wrong answer look as the honest do. `collusion` is
the judge's own guess of how many do, and bounds what a majority may say; it finds nobody.
Nor can it see one owner behind several hotkeys: ask hotkeys of different owners.

Answers are the same or they are not. Round floats before they come here: "within a tolerance of
each other" is not transitive, so it makes no groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from scoring.verify.statement import Outcome, Statement

K = TypeVar("K", bound=Hashable)

CHECK = "redundancy"

MOST_ANSWERS = 256
"""Answers weighed at once, as many as a subnet has seats: the work grows with their square."""


@dataclass(frozen=True, slots=True)
class Floor:
    """How answers come about; chances within (0, 1). Raises ValueError for others."""

    error: float
    """Chance that an honest miner's answer is not the right one, from other arithmetic or a fault;
    honest errors are taken to differ like any wrong answers."""
    cheats: float
    """Share of miners thought to cheat before any answer was seen."""
    luck: float
    """Chance that a cheat alone gives the right answer."""
    collusion: float
    """Share of the cheats who give one wrong answer all together, in place of each his own."""
    wrong: int
    """How many wrong answers there are to choose from, in effect: 1 / chance that two who err
    independently give the same one. 1 or more."""

    def __post_init__(self) -> None:
        """Refuse what is no floor; at 0 or 1 a single odd answer would be certainty."""
        chances = (self.error, self.cheats, self.luck, self.collusion)
        if not all(0.0 < chance < 1.0 for chance in chances) or not 1 <= self.wrong <= 2**62:
            raise ValueError(f"chances are within (0, 1) and wrong at least 1: {self}")


def verify(answers: Mapping[K, bytes | None], floor: Floor) -> dict[K, Statement]:
    """Return what the answers of all say of each; None is no answer, b"" an invalid one.

    Neither of the two counts for or against anyone else. Raises ValueError above `MOST_ANSWERS`.
    """
    if len(answers) > MOST_ANSWERS:
        raise ValueError(f"{len(answers)} answers, at most {MOST_ANSWERS} are weighed at once")
    groups = Counter(a for a in answers.values() if isinstance(a, bytes) and a)
    # All groups of one size weigh the same, so one of them is weighed.
    of_size = {size: answer for answer, size in groups.items()}
    ratios = {size: _log_ratio(groups, answer, floor) for size, answer in of_size.items()}
    count = groups.total()
    said: dict[K, Statement] = {}
    for miner, answer in answers.items():
        if answer is None:
            said[miner] = Statement(CHECK, Outcome.UNKNOWN, "no answer")
        elif not isinstance(answer, bytes) or not answer:
            said[miner] = Statement(CHECK, Outcome.INVALID, "an answer is some bytes")
        elif count == 1:
            said[miner] = Statement(CHECK, Outcome.UNKNOWN, "nobody to compare with")
        else:
            size = groups[answer]
            reason = f"{size} of {count} agree, in {len(groups)} groups"
            said[miner] = Statement(CHECK, Outcome.MEASURED, reason, ratios[size])
    return said


def _log_ratio(groups: Counter[bytes], own: bytes, floor: Floor) -> float:
    """ln P(all answers | who gave `own` cheats) - ln P(all answers | he is honest).

    Summed over what the right answer is, t, and what those who collude say, z. Answers that nobody
    gave are alike, so they are one entry more, with a multiplicity.
    """
    wrong = max(floor.wrong, len(groups) - 1)
    unseen = float(wrong + 1 - len(groups))
    others = np.array([n - (answer == own) for answer, n in groups.items()] + [0], dtype=np.float64)
    is_own = np.array([answer == own for answer in groups] + [False])

    with np.errstate(divide="ignore"):  # a multiplicity of 0 is a log of -inf
        ways = np.log(np.array([1.0] * len(groups) + [unseen]))
        pairs = ways[:, None] + ways[None, :]
        np.fill_diagonal(pairs, -np.inf)  # z is not t
        pairs[-1, -1] = np.log(unseen) + np.log(max(unseen - 1.0, 0.0))

    # ln P(a miner gives t, z, another), for an honest one, a cheat, and one who may be either.
    error = math.log(floor.error) - math.log(wrong)
    honest = np.array([math.log1p(-floor.error), error, error])
    alone = math.log1p(-floor.collusion)
    miss = alone + math.log1p(-floor.luck) - math.log(wrong)
    plot = np.logaddexp(math.log(floor.collusion), miss)
    cheat = np.array([alone + math.log(floor.luck), plot, miss])
    either = np.logaddexp(math.log1p(-floor.cheats) + honest, math.log(floor.cheats) + cheat)

    t, z = others[:, None], others[None, :]
    worlds = pairs + t * either[0] + z * either[1] + (others.sum() - t - z) * either[2]
    place = np.where(is_own[:, None], 0, np.where(is_own[None, :], 1, 2))
    ratio = np.logaddexp.reduce(worlds + cheat[place], axis=None)
    return float(ratio - np.logaddexp.reduce(worlds + honest[place], axis=None))
