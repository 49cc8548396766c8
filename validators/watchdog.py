"""A watchdog in a thread of its own: it ends the process when nothing goes on any more.

Two things are watched: that the event loop runs (a scorer that blocks it, a deadlock), and that
rounds are over in their time (whatever hangs in them). Its supervisor then starts the process
again. How a process is ended is the caller's business.

A thread of Python does not run either while C code keeps the interpreter to itself (a regular
expression that backtracks for ever). For that there is a fuse, which needs no Python to burn down.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

log = logging.getLogger(__name__)

TICK_S = 1.0
"""The event loop says so often that it runs."""
FUSE_S = 30.0
"""So much longer than the loop may stand still does the fuse burn: the thread comes first."""


class Fuse(Protocol):
    """Ends the process by itself, without Python, unless it is lit anew or put out in time."""

    def light(self, seconds: float) -> None:
        """Let it burn so long from now, whatever was left of it."""
        ...

    def put_out(self) -> None:
        """Let it not burn any more."""
        ...


class Watchdog:
    """Calls `bite` with the reason, once, from its own thread; never, when `bite` is None.

    `loop_s` seconds without the event loop, or no `beat` before the time that the last one set.
    The `fuse` is lit anew whenever the loop runs.
    """

    def __init__(
        self,
        bite: Callable[[str], None] | None,
        *,
        loop_s: float,
        fuse: Fuse | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bite = bite
        self._fuse = fuse
        self._loop_s = loop_s
        self._clock = clock
        self._ticked = clock()
        self._due: float | None = None
        self._limit_s = 0.0
        self._ended = threading.Event()
        self._ticking: asyncio.Task[None] | None = None

    def beat(self, limit_s: float) -> None:
        """Something was done; the next must be within `limit_s` seconds."""
        self._limit_s = limit_s
        self._due = self._clock() + limit_s

    def find_problem(self) -> str | None:
        """What has stopped; None when all goes on."""
        now = self._clock()
        if now - self._ticked > self._loop_s:
            return f"the event loop has not run for {now - self._ticked:.0f} s"
        if self._due is not None and now > self._due:
            return f"no round was over within {self._limit_s:.0f} s"
        return None

    async def __aenter__(self) -> Self:
        self._ticked = self._clock()
        self._ticking = asyncio.create_task(self._tick())
        if self._bite is not None:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        if self._fuse is not None:
            self._fuse.put_out()

    async def _tick(self) -> None:
        while True:
            self._ticked = self._clock()
            if self._fuse is not None:
                self._fuse.light(self._loop_s + FUSE_S)
            await asyncio.sleep(TICK_S)

    def _watch(self) -> None:
        while not self._ended.wait(min(TICK_S, self._loop_s / 4)):
            problem = self.find_problem()
            if problem is not None:
                assert self._bite is not None
                self._bite(problem)
                return
