"""Whether sealed questions are what their seed gives: a leaf names its seed and its number.

A validator that wrote a question or a reference itself could make any answer the right one. Whoever
checks needs what the definition draws from; where that is not at hand nothing is proved.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from subnet.definition import Subnet
from subnet.protocol import C, Task
from validators.prompts.leaf import Leaf
from validators.prompts.stream import REPEATS_ALLOWED, digests_of

MOST_SKIPPED = REPEATS_ALLOWED
"""A number that is higher than the leaves of its seed by more than this is not drawn up to."""


def canary_seed(seed: bytes, number: int) -> bytes:
    """What the `number`-th (from 0) plant and probe of a sealing with `seed` are made of."""
    return hashlib.blake2b(number.to_bytes(8, "big"), key=seed, digest_size=32).digest()


async def find_strange(
    subnet: Subnet[Any, Any], leaves: Iterable[Leaf], *, tolerance: float
) -> list[tuple[Leaf, str]]:
    """Those of `leaves` that could not be made again, each with why; organic ones are left out.

    Numbers in references may differ by `tolerance`: some are measured by a model.
    """
    by_seed: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        if not leaf.organic:
            by_seed.setdefault(leaf.seed, []).append(leaf)
    found: list[tuple[Leaf, str]] = []
    for seed, same in by_seed.items():
        try:
            made = await _make_again(subnet, bytes.fromhex(seed), same)
        except Exception as error:  # an author's code, and what it draws from
            found += [(leaf, f"its seed gives no tasks here: {error!r}") for leaf in same]
            continue
        for leaf in same:
            if not any(_is_made_of(task, leaf, tolerance) for task in made.get(leaf.number, ())):
                problem = f"it is not task {leaf.number} of its seed, by the code and data here"
                found.append((leaf, problem))
    return found


async def find_left_out(
    subnet: Subnet[Any, Any], leaves: Iterable[Leaf]
) -> list[tuple[int, tuple[bytes, ...]]]:
    """Tasks that came before others of `leaves`, all of one sealing, and that no leaf has.

    Each with its number and digests: a validator leaves out what was asked before, and nothing
    else. Organic ones are left out here. What raises is told by `find_strange`.
    """
    by_seed: dict[str, set[int]] = {}
    for leaf in leaves:
        if leaf.number >= 0:
            by_seed.setdefault(leaf.seed, set()).add(leaf.number)
    found: list[tuple[int, tuple[bytes, ...]]] = []
    for seed, numbers in by_seed.items():
        gaps = set(range(max(numbers))) - numbers
        if not gaps or max(numbers) >= len(numbers) + MOST_SKIPPED:
            continue
        try:
            made = await _draw(subnet, bytes.fromhex(seed), gaps)
        except Exception:
            continue
        found += [
            (number, digests_of(subnet, task.challenge))
            for number, task in made.items()
            if not task.organic
        ]
    return found


async def _make_again(
    subnet: Subnet[C, Any], seed: bytes, leaves: list[Leaf]
) -> Mapping[int, tuple[Task[C], ...]]:
    """Tasks by number; of a canary's the plant and the probe."""
    wanted = {leaf.number for leaf in leaves}
    made: dict[int, tuple[Task[C], ...]] = {}
    for number in wanted:
        if -len(leaves) <= number < 0:
            made[number] = subnet.canary(canary_seed(seed, -1 - number)) or ()
    drawn = await _draw(subnet, seed, {n for n in wanted if 0 <= n < len(leaves) + MOST_SKIPPED})
    return made | {number: (task,) for number, task in drawn.items()}


async def _draw(subnet: Subnet[C, Any], seed: bytes, wanted: set[int]) -> dict[int, Task[C]]:
    made: dict[int, Task[C]] = {}
    tasks = subnet.tasks(seed)
    for number in range(max(wanted, default=-1) + 1):
        if isinstance(tasks, AsyncIterator):
            task = await anext(tasks, None)
        else:
            task = next(tasks, None)
        if task is None:
            break
        if number in wanted:
            made[number] = task
    return made


def _is_made_of(task: Task[Any], leaf: Leaf, tolerance: float) -> bool:
    reference = to_jsonable_python(task.reference, inf_nan_mode="constants")
    return (
        task.challenge.model_dump(mode="json") == leaf.challenge
        and is_close(reference, leaf.reference, tolerance)
        and (task.organic, task.canary) == (leaf.organic, leaf.canary)
    )


def is_close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two JSON values are the same, but for numbers that are off by `tolerance`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            is_close(value, other[key], tolerance) for key, value in one.items()
        )
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(
            is_close(left, right, tolerance) for left, right in zip(one, other, strict=True)
        )
    if isinstance(one, float) or isinstance(other, float):
        if isinstance(one, (str, bool)) or isinstance(other, (str, bool)):
            return False
        if one is None or other is None:
            return one is other
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return bool(one == other)
