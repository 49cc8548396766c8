"""When a block is due: at an interval, as soon as an extrinsic is ready, or only when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Instant", "Interval", "Manual", "Schedule", "Ticker", "schedule"]

BREATH_S = 0.01
"""Left to everything else between two blocks when blocks take longer than the interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A block every `seconds`."""

    seconds: float = 0.25

    def __post_init__(self) -> None:
        if not 0.01 <= self.seconds <= 86_400:
            raise ValueError(f"an interval is 0.01 to 86400 seconds, not {self.seconds}")


@dataclass(frozen=True, slots=True)
class Instant:
    """A block as soon as an extrinsic is ready, and after `heartbeat` seconds without one.

    Without a heartbeat (None) a client that waits for a block number may wait for ever.
    """

    heartbeat: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Manual:
    """A block only when asked for."""


Schedule = Interval | Instant | Manual


def schedule(block_time: float | str) -> Schedule:
    """The schedule of a block time: seconds, "instant" or "manual". Raises ValueError."""
    match block_time:
        case "instant":
            return Instant()
        case "manual":
            return Manual()
    try:
        seconds = float(block_time)
    except ValueError:
        raise ValueError(f"{block_time!r} is neither seconds, `instant` nor `manual`") from None
    return Interval(seconds)


class Ticker:
    """Calls `tick` when a block is due; it returns whether more is ready, and never raises."""

    def __init__(self, schedule: Schedule, tick: Callable[[], bool]) -> None:
        self._schedule = schedule
        self._tick = tick
        self._wake = asyncio.Event()
        self._poked = False

    @property
    def schedule(self) -> Schedule:
        """The schedule in force."""
        return self._schedule

    def change(self, schedule: Schedule) -> None:
        """Go on by another schedule, from now."""
        self._schedule = schedule
        self._wake.set()

    def poke(self) -> None:
        """An extrinsic is ready."""
        if isinstance(self._schedule, Instant):
            self._poked = True
            self._wake.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            now = loop.time()
            match self._schedule:
                case Interval(seconds):
                    due = max(due + seconds, now + min(seconds, BREATH_S))
                    wait: float | None = due - now
                case Instant(heartbeat):
                    due, wait = now, heartbeat
                case Manual():
                    due, wait = now, None
            is_due = False
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                is_due = True
            self._wake.clear()
            is_due, self._poked = is_due or self._poked, False
            if not is_due:  # only the schedule has changed: count from now
                due = loop.time()
            elif self._tick():
                self.poke()
