"""Block time: the wall clock moved by an offset, never backwards.

The only place where the node reads the time of day.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from chain.errors import ChainError

__all__ = ["ChainClock", "TimestampInThePast", "wall_ms"]

MAX_TIMESTAMP_MS = 2**53 - 1  # what a JSON number carries exactly


class TimestampInThePast(ChainError):
    """A block cannot be dated at or before its parent."""

    def __init__(self, timestamp_ms: int, parent_ms: int) -> None:
        super().__init__(f"timestamp {timestamp_ms} is not after the head's, {parent_ms}")
        self.timestamp_ms = timestamp_ms
        self.parent_ms = parent_ms


class TimestampTooLarge(ChainError):
    """A date beyond what clients can represent."""

    def __init__(self, timestamp_ms: int) -> None:
        super().__init__(f"timestamp {timestamp_ms} is above {MAX_TIMESTAMP_MS}")
        self.timestamp_ms = timestamp_ms


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ChainClock:
    """Dates blocks at max(parent + 1 ms, wall clock + offset)."""

    def __init__(self, wall: Callable[[], int] = wall_ms, offset_ms: int = 0) -> None:
        self._wall = wall
        self.offset_ms = offset_ms
        self._next_ms: int | None = None

    def stamp(self, parent_ms: int) -> int:
        """The timestamp of a block on a parent dated `parent_ms`."""
        planned = self._wall() + self.offset_ms if self._next_ms is None else self._next_ms
        return max(parent_ms + 1, planned)

    def stamped(self) -> None:
        """A block was made: a timestamp that was set for it is used up."""
        self._next_ms = None

    def advance(self, milliseconds: int) -> None:
        """Let the chain's time run `milliseconds` further ahead of the wall clock."""
        ahead = self._wall() + self.offset_ms + milliseconds
        if ahead > MAX_TIMESTAMP_MS:
            raise TimestampTooLarge(ahead)
        self.offset_ms += milliseconds

    def set_next(self, timestamp_ms: int, parent_ms: int) -> None:
        """Date the next block `timestamp_ms`, and let time go on from there."""
        if timestamp_ms <= parent_ms:
            raise TimestampInThePast(timestamp_ms, parent_ms)
        if timestamp_ms > MAX_TIMESTAMP_MS:
            raise TimestampTooLarge(timestamp_ms)
        self._next_ms = timestamp_ms
        self.offset_ms = timestamp_ms - self._wall()

    def reset(self, offset_ms: int) -> None:
        """Back to a remembered offset."""
        self.offset_ms = offset_ms
        self._next_ms = None
