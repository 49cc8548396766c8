"""A subnet for many miners: who repeats the text earns, each by an amount of its own."""

from __future__ import annotations

from typing import ClassVar

from scoring.policies import Average, Memory
from subnet.protocol import Reply, Task
from tests.chaos.grader import grade
from tests.neurons.parrot import Parrot, Said, Say

HALF_LIFE_ROUNDS = 8.0


def worth(text: str, said: str) -> float:
    """0..1: what `said` is worth to whoever asked for `text`."""
    return grade(said) if said.startswith(f"{text} ") else 0.0


class Flock(Parrot):
    """Remembers by policies, so that a past follows a hotkey that is swapped."""

    memory: ClassVar[Memory | None] = Memory(mean=Average(HALF_LIFE_ROUNDS))

    async def score(self, task: Task[Say], reply: Reply[Said]) -> float:
        assert reply.answer is not None and isinstance(task.reference, str)
        return worth(task.reference, reply.answer.text)
