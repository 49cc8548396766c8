"""Whether this machine's clock is off, by what the miners say of theirs.

A refusal for staleness names the server's clock, unsigned. The median of many miners' word cannot
be moved by a few liars. It is said, and never used: a validator that signs by another's clock can
be made to sign for a time to come, and what it signs be used then.
"""

from __future__ import annotations

import logging
import statistics
from collections import OrderedDict
from typing import Final

logger = logging.getLogger(__name__)

QUORUM: Final = 3
"""Miners that must have said something."""
TELLING_S: Final = 1.0
"""An offset of less is not worth a word."""
_KEPT: Final = 1024


class ClockWatch:
    """What each miner last said of our clock."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, float] = OrderedDict()
        self._told = False

    @property
    def offset_s(self) -> float | None:
        """Seconds that the miners' clocks are ahead of ours, in the median; None if few spoke."""
        if len(self._said) < QUORUM:
            return None
        return statistics.median(self._said.values())

    def note(self, hotkey: str, offset_s: float) -> None:
        """The miner `hotkey` says so, or has taken our time as it was (0)."""
        self._said[hotkey] = offset_s
        self._said.move_to_end(hotkey)
        if len(self._said) > _KEPT:
            self._said.popitem(last=False)

    def tell(self) -> None:
        """Say it in the log if the clock is off, once until it is right again."""
        offset_s = self.offset_s
        if offset_s is None or abs(offset_s) < TELLING_S:
            self._told = False
        elif not self._told:
            self._told = True
            logger.error(
                "this machine's clock is %.1f s %s, by the word of %d miners, which refuse its"
                " requests as stale: set the clock, for instance by NTP",
                abs(offset_s),
                "behind" if offset_s > 0 else "ahead",
                len(self._said),
            )
