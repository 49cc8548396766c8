"""Nonces: where a sender takes them from, and how a receiver knows one it has seen.

A nonce is Unix time in nanoseconds. A receiver keeps a set, not a high-water mark: concurrent
requests overtake each other. One process only; nothing here is shared between processes.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from subnet.wire.auth import MAX_AGE_NS, MAX_AHEAD_NS


class NonceSource:
    """Nonces for one key: the clock, but never the same value twice.

    Give all senders of one key the same source. `clock` returns Unix nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A nonce greater than the last one, unless the clock was set back.

        After a step back of more than the window, continuing from the old value would make every
        receiver refuse us as coming from the future until the clock has caught up.
        """
        now = self._clock()
        if self._last - now > MAX_AHEAD_NS:
            self._last = now
        else:
            self._last = max(now, self._last + 1)
        return self._last


class NonceStore(Protocol):
    """Remembers accepted nonces. An error raised here refuses the request, never accepts it."""

    async def claim(self, hotkey: str, nonce: int, now_ns: int) -> bool:
        """True once for each (hotkey, nonce), False ever after. Call it after verification."""


class ReplaySet:
    """The nonces accepted in this process, each kept while it is fresh, in bounded memory.

    What is forgotten leaves a floor: a nonce at or below the greatest forgotten one of its hotkey
    is refused. So the set fails closed: when the clock is set back, when a hotkey sends more than
    `per_key` requests in a window (then only its own older nonces suffer), when more than `keys`
    hotkeys come. `floor_ns`, the time of start, does the same for what a former process accepted.
    """

    def __init__(self, *, floor_ns: int = 0, per_key: int = 8192, keys: int = 4096) -> None:
        self._floor = floor_ns
        self._per_key = per_key
        self._keys = keys
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def claim(self, hotkey: str, nonce: int, now_ns: int) -> bool:
        """True once for each (hotkey, nonce); see `NonceStore`."""
        seen = self._seen.get(hotkey)
        if seen is None:
            seen = self._seen[hotkey] = _Seen()
            if len(self._seen) > self._keys:
                _, oldest = self._seen.popitem(last=False)
                self._floor = max(self._floor, oldest.newest)
        self._seen.move_to_end(hotkey)
        seen.forget_below(now_ns - MAX_AGE_NS)
        if nonce <= self._floor or nonce <= seen.floor or nonce in seen.nonces:
            return False
        seen.add(nonce)
        if len(seen.order) > self._per_key:
            seen.forget_oldest()
        return True

    def __len__(self) -> int:
        """How many nonces are held."""
        return sum(len(seen.order) for seen in self._seen.values())


class _Seen:
    """One hotkey's nonces: a set to look up, a heap to forget the oldest first."""

    __slots__ = ("floor", "newest", "nonces", "order")

    def __init__(self) -> None:
        self.nonces: set[int] = set()
        self.order: list[int] = []
        self.floor = 0
        self.newest = 0

    def add(self, nonce: int) -> None:
        self.nonces.add(nonce)
        heapq.heappush(self.order, nonce)
        self.newest = max(self.newest, nonce)

    def forget_below(self, oldest_fresh: int) -> None:
        while self.order and self.order[0] < oldest_fresh:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        self.floor = heapq.heappop(self.order)
        self.nonces.discard(self.floor)
