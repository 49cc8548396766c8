"""Whom to compare with whom, and how to ask: votes for `similarity.rate`.

All pairs of n answers are n² questions to a judge; a few opponents each are enough, if they hang
together. Every pair is asked with the places swapped. Knows no model: asking is an argument.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from scoring.exact import Unreadable, fold
from scoring.similarity import Verdict, Vote

K = TypeVar("K")

Prefer = Callable[[str, str], Awaitable[Verdict]]
"""(the text shown first, the one shown second) -> which is better, or TIE if that is not said."""


def schedule(keys: Sequence[K], opponents: int, rng: random.Random) -> list[tuple[K, K]]:
    """Return pairs in which each key meets `opponents` different others; all hang together.

    By the circle method, of whose rounds two in a row make one ring: with 2 opponents or more
    `rate` sees one island. Where the number of keys is odd, one sits out in each round and meets
    one fewer. `rng` mixes the keys first, and should not be known to miners. More opponents than
    there are others means all of them. Raises ValueError for fewer than 2 opponents, or a key
    given twice.
    """
    if opponents < 2:
        raise ValueError(f"{opponents} opponents each leave islands; it must be 2 or more")
    if len(set(keys)) != len(keys):
        raise ValueError("a key is given twice")
    ring: list[K | None] = [*keys]
    rng.shuffle(ring)
    if len(ring) % 2:
        ring.append(None)  # whoever meets it sits out
    pairs = []
    for _ in range(min(opponents, len(ring) - 1)):
        half = len(ring) // 2
        for one, other in zip(ring[:half], reversed(ring[half:]), strict=True):
            if one is not None and other is not None:
                pairs.append((one, other))
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return pairs


async def vote(left: K, left_text: str, right: K, right_text: str, prefer: Prefer) -> Vote[K]:
    """Return what `prefer` says of two texts in both orders.

    Who says nothing that can be read (as `exact.fold` has it) loses without being shown, and two
    such tie; so do two who say the same.
    """
    says = [_folded(left_text), _folded(right_text)]
    if says[0] == says[1]:
        return Vote(left, right, Verdict.TIE, Verdict.TIE)
    if None in says:
        won = Verdict.SECOND if says[0] is None else Verdict.FIRST
        lost = Verdict.FIRST if says[0] is None else Verdict.SECOND
        return Vote(left, right, won, lost)
    shown = await prefer(left_text, right_text)
    return Vote(left, right, shown, await prefer(right_text, left_text))


def _folded(text: str) -> str | None:
    try:
        return fold(text, case=True)
    except Unreadable:
        return None
