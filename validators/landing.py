"""Whether this validator's weights are where they should be: before the first ones, and ever after.

The gate holds back the first row of a run until enough of the subnet is known: a validator that
came back with an empty memory must not pay as if most miners were gone. The count of epochs says
when weights that should hold do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from subnet.errors import WeightsNotLanded

SILENT_QUESTIONS = 3
"""A miner that never answered so many questions is known: it is silent."""


class Known(Protocol):
    """What the gate must know of one hotkey."""

    @property
    def questions(self) -> int:
        """How many it was asked."""

    @property
    def answers(self) -> int:
        """How many of them it answered."""


@dataclass
class Gate:
    """Shut until `least` (0..1) of the miners that can be asked are known; open ever after.

    Known is who has answered once, or has stayed silent on `SILENT_QUESTIONS`: a validator whose
    own network is down hears from nobody, and must not take that for an empty subnet.
    """

    least: float = 0.0
    passed: bool = False
    """Whether weights were set in this run."""

    def find_problem(self, askable: Sequence[str], evidence: Mapping[str, Known]) -> str | None:
        """Why no weights are set yet; None when they may be. `askable` are hotkeys."""
        if self.passed:
            return None
        known = sum(
            item.answers > 0 or item.questions >= SILENT_QUESTIONS
            for hotkey in askable
            if (item := evidence.get(hotkey)) is not None
        )
        if known >= self.least * len(askable):
            return None
        return (
            f"the first weights wait: {known} of {len(askable)} miners are known, "
            f"and {self.least:.0%} must be"
        )


@dataclass
class Landing:
    """Counts the epochs in which weights could have landed, and did not.

    After `most` of them in a row the validator is to end; 0 is never. Less than `least_s` seconds
    are no reason: on a devnet epochs can be shorter than a round. `epoch` and `block` are those in
    which the weights were last seen to hold.
    """

    most: int = 0
    least_s: float = 0.0
    epoch: int | None = None
    block: int | None = None
    time: float | None = None
    problem: str = ""
    """Why the last attempt did not land."""
    _since: int | None = None
    _since_time: float = 0.0

    def could(self, epoch: int, time: float) -> None:
        """From the epoch after this one on, weights are expected; `time` is now."""
        if self._since is None:
            self._since, self._since_time = epoch + 1, time

    def cannot(self) -> None:
        """Nothing is expected: no permit, or the gate is shut."""
        self._since = None

    def landed(self, epoch: int, block: int, time: float) -> None:
        """The chain was seen to hold the weights."""
        self.epoch, self.block, self.time = epoch, block, time
        self.problem = ""
        self._since, self._since_time = epoch + 1, time

    def missed(self, epoch: int) -> int:
        """Whole epochs without weights, up to `epoch`, which is not over."""
        return 0 if self._since is None else max(0, epoch - self._since)

    def is_late(self, epoch: int, time: float) -> bool:
        """Whether a whole epoch went by without weights, and time enough to set them."""
        return self.missed(epoch) > 0 and time - self._since_time >= self.least_s

    def ensure(self, epoch: int, time: float, grace: int) -> None:
        """Raise WeightsNotLanded after too many.

        `grace` are the epochs that a row takes on this subnet, hidden or held up by a rate limit.
        """
        missed = self.missed(epoch)
        if self.most and missed >= self.most + grace and self.is_late(epoch, time):
            raise WeightsNotLanded(missed, self.problem)
