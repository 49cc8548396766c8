"""A subnet without a model and without miners, for tests of what becomes of scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from subnet.definition import MinerOptions, Subnet
from subnet.protocol import Answer, Challenge, Reply, Task


class Ask(Challenge):
    number: int


class Said(Answer):
    number: int


class Unanswered(Subnet[Ask, Said]):
    """Asks what nobody is there to answer."""

    challenge, answer = Ask, Said

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        return (Task(str(number), Ask(number=number)) for number in itertools.count())

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> float:
        return 1.0

    def miner(self, options: MinerOptions) -> AbstractAsyncContextManager[Any]:
        return nullcontext()
