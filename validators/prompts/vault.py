"""The vault: hidden tasks, drawn from the validator's secret, none of them ever asked before.

What was asked is known by digest, in this run and all before it: another seed gives other tasks,
but two streams may meet.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic

from subnet.definition import Subnet
from subnet.errors import DefinitionError
from subnet.protocol import A, C, Challenge, Task

log = logging.getLogger(__name__)

REPEATS_ALLOWED = 1000
"""So many questions in a row that were all asked before: the definition has run dry."""


def digest(challenge: Challenge) -> bytes:
    """What a question is known by: 32 bytes over its content."""
    return hashlib.sha256(challenge.model_dump_json().encode()).digest()


class Vault(Generic[C, A]):
    """Tasks one after the other; `prepare` makes the next ones while there is time for it.

    `asked` tells whether the question with this digest was ever given out.
    """

    def __init__(
        self, subnet: Subnet[C, A], *, seed: bytes, asked: Callable[[bytes], bool]
    ) -> None:
        self._subnet = subnet
        self._name = type(subnet).__name__
        self._seed = seed
        self._streams = 0
        self._tasks: Iterator[Task[C]] | AsyncIterator[Task[C]] = subnet.tasks(seed)
        self._asked = asked
        self._taken: set[bytes] = set()
        self._ready: list[Task[C]] = []

    async def prepare(self, count: int) -> None:
        """Have `count` tasks ready, so that a round does not wait for them."""
        while len(self._ready) < count:
            self._ready.append(await self._draw())

    async def take(self, count: int) -> tuple[Task[C], ...]:
        """`count` tasks that nobody was ever asked. Raises DefinitionError when there are none."""
        await self.prepare(count)
        taken, self._ready = self._ready[:count], self._ready[count:]
        return tuple(taken)

    async def _draw(self) -> Task[C]:
        for _ in range(REPEATS_ALLOWED):
            task = await self._next()
            key = digest(task.challenge)
            if key not in self._taken and not self._asked(key):
                self._taken.add(key)
                return task
            log.debug("task %s was asked before; drawing another", task.id)
        raise DefinitionError(self._name, f"tasks() repeated itself {REPEATS_ALLOWED} times")

    async def _next(self) -> Task[C]:
        try:
            if isinstance(self._tasks, AsyncIterator):
                task = await anext(self._tasks, None)
            else:
                task = next(self._tasks, None)
        except Exception:
            # A generator that raised is over for good; whoever asks again needs another stream.
            self._streams += 1
            place = self._streams.to_bytes(8, "little")
            self._tasks = self._subnet.tasks(
                hashlib.blake2b(self._seed + place, digest_size=32).digest()
            )
            raise
        if task is None:
            raise DefinitionError(self._name, "tasks() ended; it must go on forever")
        return task
