"""What an audit finds: differences, leaks, what could not be checked, and the verdict of it all.

Pure data. The flaws stand in the order in which they are looked for.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Line = Mapping[str, Any]
"""One line of a journal."""


class Flaw(enum.StrEnum):
    """In what a published epoch can differ, in the order in which it is looked for."""

    MALFORMED = "malformed"
    """A line is not what a journal has."""
    EPOCH = "epoch"
    """A round's block is in another epoch than its line says."""
    ROOT_MISSING = "root_missing"
    ROOT_LATE = "root_late"
    ROOT_UNTOLD = "root_untold"
    """The chain has had another root of this epoch, of which the journal does not tell."""
    LEAF_MISSING = "leaf_missing"
    LEAF_FORGED = "leaf_forged"
    """It has no path to the root."""
    SEED = "seed"
    """The questions are of another seed than the one that the root before it led to."""
    QUESTION_SWAPPED = "question_swapped"
    QUESTION_MISSING = "question_missing"
    """It was to be asked with the others of its round."""
    QUESTION_UNSEALED = "question_unsealed"
    QUESTION_REPEATED = "question_repeated"
    WRONG_MINER = "wrong_miner"
    """Asked of somebody it is not for."""
    REPLY_MISSING = "reply_missing"
    ANSWER_FORGED = "answer_forged"
    """The miner did not sign what it is said to have answered."""
    ASKED_EARLY = "asked_early"
    """By what the miner signed, it was asked before the root was on the chain."""
    RECEIPT = "receipt"
    """A miner has the validator's own signature for another question than the journal tells."""
    DRAWN = "drawn"
    """Looked at, or not, against the draw; or the draw is not the chain's."""
    SCORE = "score"
    MEMORY = "memory"
    """What is remembered of a hotkey does not follow from its scores."""
    WEIGHTS = "weights"
    """The row does not follow from what is remembered."""
    WEIGHTS_ON_CHAIN = "weights_on_chain"
    """The chain holds another row than the journal tells."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be: `published` against `found`."""

    flaw: Flaw
    where: str
    published: Any = None
    found: Any = None

    def __str__(self) -> str:
        text = f"{self.flaw.value}: {self.where}"
        if self.published is None and self.found is None:
            return text
        return f"{text}: published {self.published}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Leak:
    """A miner that knew what only others were told: who gave it to whom, and who answered with it.

    `asker` (ss58) is the validator whose journal has the answer, in `round`.
    """

    validator: str
    audience: str
    task: str
    hotkey: str
    asker: str
    round: int

    def __str__(self) -> str:
        return (
            f"miner {self.hotkey} answered {self.asker} in round {self.round} with the canary of "
            f"task {self.task}, which {self.validator} gave to {self.audience} only"
        )


@dataclass(slots=True)
class Audit:
    """What an audit found of one epoch of one validator (ss58)."""

    validator: str
    netuid: int
    epoch: int
    differences: list[Difference] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What could not be checked, and why."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and proves nothing."""
    roots: dict[str, int] = field(default_factory=dict)
    """Root (hex) to the block in which it got onto the chain."""
    rounds: int = 0
    leaves: int = 0
    scores: int = 0
    """So many were computed again."""
    row: Mapping[int, int] | None = None
    """The row that the chain holds, where it was compared."""
    leaks: list[Leak] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Return "honest"; "incomplete" when nothing is wrong but not all was checked.

        "leaked" when all is as it should be, but somebody knew what others were asked.
        """
        if self.differences:
            return "different"
        if self.leaks:
            return "leaked"
        return "incomplete" if self.unchecked else "honest"
