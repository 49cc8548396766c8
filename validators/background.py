"""Work that may be slow, fail or hang, done beside the rounds: one task, one bounded queue.

What does not fit into the queue is dropped, the oldest first, and said once; a round never waits.
Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Background(Generic[T]):
    """Does `work` on each item put in, in order, in a task of its own.

    When `work` raises, that is logged once and the rest is left alone.
    """

    def __init__(self, name: str, work: Callable[[T], Awaitable[None]], *, most: int) -> None:
        self.name = name
        self.dropped = 0
        self.failed = False
        self._work = work
        self._most = most
        self._items: deque[T] = deque()
        self._come = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def put(self, item: T) -> None:
        """Take one more; returns at once. Needs a running loop."""
        if self.failed or self._closing:
            return
        if len(self._items) == self._most:
            if not self.dropped:
                log.warning("%s is too slow: the oldest of what waits for it is dropped", self.name)
            self.dropped += 1
            self._items.popleft()
        self._items.append(item)
        self._come.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self.name)

    def take(self) -> list[T]:
        """What waits and was not begun; it is the caller's now."""
        items = list(self._items)
        self._items.clear()
        return items

    async def close(self, most_s: float) -> None:
        """Do what waits, within `most_s` seconds, and end."""
        self._closing = True
        self._come.set()
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=most_s)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while not (self._closing and not self._items):
            if not self._items:
                self._come.clear()
                await self._come.wait()
                continue
            try:
                await self._work(self._items.popleft())
            except Exception:
                log.exception("%s failed and is not used any more", self.name)
                self.failed = True
                self._items.clear()
                return
