"""Tasks drawn from a definition, none that was asked before, nor one that reads the same.

Two questions are the same when their prompts are, once case, blanks and punctuation are gone:
that is what a miner would look up among the answers it has kept.
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

from subnet.definition import Subnet
from subnet.errors import DefinitionError
from subnet.protocol import A, C, Challenge, Task

log = logging.getLogger(__name__)

REPEATS_ALLOWED = 1000
"""So many questions in a row that were all asked before: the definition has run dry."""

_BETWEEN_DIGITS = r"(?<!\d)[.,:](?!\d)|(?<=\d)[.,:](?!\d)|(?<!\d)[.,:](?=\d)"
_PUNCTUATION = re.compile(rf"[;!?\"'`“”‘’…]|{_BETWEEN_DIGITS}")


def normalized(text: str) -> str:
    """`text` without what does not change the question.

    A minus and an operator do change it, and so does a point between digits.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_PUNCTUATION.sub(" ", folded).split())


def digest(challenge: Challenge) -> bytes:
    """What a question is known by, letter for letter: 32 bytes over its content."""
    return hashlib.sha256(challenge.model_dump_json().encode()).digest()


def prompt_digest(subnet: Subnet[Any, Any], challenge: Challenge) -> bytes:
    """What a question and all that read the same are known by: 32 bytes over its prompt."""
    text = normalized(subnet.prompt(challenge))
    return hashlib.sha256(b"prompt\0" + text.encode("utf-8", "surrogatepass")).digest()


def digests_of(subnet: Subnet[Any, Any], challenge: Challenge) -> tuple[bytes, ...]:
    """What a question is known by, and what everything that reads the same is known by."""
    return digest(challenge), prompt_digest(subnet, challenge)


@dataclass(frozen=True, slots=True)
class Drawn(Generic[C]):
    """A task, the `number`-th (from 0) of those that `seed` gives, and what it is known by."""

    task: Task[C]
    seed: bytes
    number: int
    digests: tuple[bytes, ...]


class Stream(Generic[C, A]):
    """The tasks of one seed, one after the other; `asked` knows the digests of all before them."""

    def __init__(
        self, subnet: Subnet[C, A], *, seed: bytes, asked: Callable[[bytes], bool]
    ) -> None:
        self._subnet = subnet
        self._name = type(subnet).__name__
        self._first_seed = seed
        self._asked = asked
        self._taken: set[bytes] = set()
        self._restarts = 0
        self._begin(seed)

    async def draw(self) -> Drawn[C]:
        """A task that nobody was ever asked. Raises DefinitionError when there is none."""
        for _ in range(REPEATS_ALLOWED):
            task, number = await self._next()
            digests = digests_of(self._subnet, task.challenge)
            if not any(known in self._taken or self._asked(known) for known in digests):
                self._taken.update(digests)
                return Drawn(task, self._seed, number, digests)
            log.debug("task %s was asked before; drawing another", task.id)
        raise DefinitionError(self._name, f"tasks() repeated itself {REPEATS_ALLOWED} times")

    def _begin(self, seed: bytes) -> None:
        self._seed = seed
        self._number = 0
        self._tasks: Iterator[Task[C]] | AsyncIterator[Task[C]] = self._subnet.tasks(seed)

    async def _next(self) -> tuple[Task[C], int]:
        try:
            if isinstance(self._tasks, AsyncIterator):
                task = await anext(self._tasks, None)
            else:
                task = next(self._tasks, None)
        except Exception:
            # A generator that raised is over for good; whoever asks again needs another stream.
            self._restarts += 1
            place = self._restarts.to_bytes(8, "little")
            self._begin(hashlib.blake2b(self._first_seed + place, digest_size=32).digest())
            raise
        if task is None:
            raise DefinitionError(self._name, "tasks() ended; it must go on forever")
        self._number += 1
        return task, self._number - 1
