"""A subnet without a model, for tests of what stands around one: says again what it is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from subnet.definition import Miner, MinerOptions, Subnet
from subnet.errors import Declined
from subnet.protocol import Answer, Challenge, Reply, Task


class Say(Challenge):
    text: str
    after_s: float = 0.0


class Said(Answer):
    text: str


class _Parrot:
    async def answer(self, challenge: Say, caller: str) -> Said:
        if challenge.text == "no":
            raise Declined("this parrot does not say no")
        if challenge.text == "boom":
            raise ValueError("a secret of the parrot's")
        await asyncio.sleep(challenge.after_s)
        return Said(text=challenge.text)


class Parrot(Subnet[Say, Said]):
    """Pays for repeating."""

    challenge, answer = Say, Said
    path = "/say"

    def tasks(self, seed: bytes) -> Iterator[Task[Say]]:
        return (Task(str(n), Say(text=f"{n}"), reference=f"{n}") for n in itertools.count())

    async def score(self, task: Task[Say], reply: Reply[Said]) -> float:
        return float(reply.answer is not None and reply.answer.text == task.reference)

    @asynccontextmanager
    async def miner(self, options: MinerOptions) -> AsyncIterator[Miner[Say, Said]]:
        yield _Parrot()
