"""A subnet of which every answer has a score of its own, so that none can be taken for another."""

from __future__ import annotations

import hashlib

from subnet.protocol import Reply, Task
from tests.neurons.parrot import Parrot, Said, Say


def grade(text: str) -> float:
    """0..1, drawn from the answer."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32


class Grader(Parrot):
    """Pays by what is said, whatever it is."""

    async def score(self, task: Task[Say], reply: Reply[Said]) -> float:
        assert reply.answer is not None
        return grade(reply.answer.text)
