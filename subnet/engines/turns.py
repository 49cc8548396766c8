"""Callers of a server: some are served, some wait, the rest are turned away. No model here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from subnet.engines.base import Token
from subnet.errors import EngineBusy


class Turns:
    """At most `slots` callers at once; `waiting_limit` more wait, in the order they came."""

    def __init__(self, slots: int, waiting_limit: int) -> None:
        self._turn = asyncio.Semaphore(slots)
        self._places = slots + waiting_limit
        self.taken = 0
        """Callers inside, those who wait included."""

    @contextlib.asynccontextmanager
    async def mine(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises EngineBusy; a cancelled caller leaves at once."""
        if self.taken >= self._places:
            raise EngineBusy(self.taken)
        self.taken += 1
        try:
            async with self._turn:
                yield
        finally:
            self.taken -= 1


async def made_by(
    make: Callable[[Callable[[Token], None]], Awaitable[None]],
) -> AsyncGenerator[Token, None]:
    """Yield the tokens that `make` hands over as it makes them; its error comes after them.

    It runs in a task of its own: a reader who is slow keeps nobody else waiting. Closing the
    stream cancels it.
    """
    made: asyncio.Queue[Token | None] = asyncio.Queue()

    async def making() -> None:
        try:
            await make(made.put_nowait)
        finally:
            made.put_nowait(None)

    task = asyncio.create_task(making())
    try:
        while (token := await made.get()) is not None:
            yield token
        await task
    finally:
        task.cancel()
        # Whoever closes the stream no longer cares how it would have ended.
        await asyncio.gather(task, return_exceptions=True)
