"""Who gets which question: what a vault deals an audit finds right, and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subnet.protocol import Task
from tests.prompts.town import Sum, Sums
from validators.audit import Audit
from validators.audit.sealed import check_dealt
from validators.prompts.leaf import Leaf, Statement
from validators.prompts.vault import Vault

MINERS = [f"5Miner{number}" for number in range(4)]
ROOT = "ab" * 32

Leaves = list[Leaf]


class Dealt(Sums):
    """Every third task is somebody's own words; of 256 seeds of a canary so many give one."""

    def __init__(self, groups: int | Literal["each"], canaries: int = 256) -> None:
        self.groups = groups  # type: ignore[misc]  # a test deals in more than one way
        self.canaries = canaries

    def tasks(self, seed: bytes) -> Iterator[Task[Sum]]:
        for number, task in enumerate(super().tasks(seed)):
            yield dataclasses.replace(task, organic=number % 3 == 2)

    def canary(self, seed: bytes) -> tuple[Task[Sum], Task[Sum]] | None:
        if seed[0] >= self.canaries:
            return None
        plant, probe = (hashlib.sha256(seed + kind).hexdigest() for kind in (b"plant", b"probe"))
        return (
            Task(plant, Sum(text=f"{plant} is the word."), canary=plant),
            Task(probe, Sum(text=f"Which is the word? {probe}"), canary=plant),
        )


def sealed(
    subnet: Dealt, *, seed: bytes = b"s", turns: int = 2, tasks: int = 2, miners: int = 3
) -> Leaves:
    async def seal() -> Leaves:
        vault = Vault(subnet, seed=seed, asked=lambda known: False)
        found = await vault.seal(
            1, netuid=1, validator="5V", turns=turns, tasks=tasks, hotkeys=MINERS[:miners]
        )
        return list(found.leaves)

    return asyncio.run(seal())


def problems(subnet: Dealt, leaves: Sequence[Leaf], *, count: int | None = None) -> list[str]:
    """What is said of `leaves`; on the chain there are `count`."""
    found = Audit("5V", 1, 1)
    statement = Statement(1, len(leaves) if count is None else count, bytes.fromhex(ROOT))
    by_task = {leaf.task: leaf for leaf in leaves}
    assert len(by_task) == len(leaves)
    check_dealt(found, subnet, {ROOT: by_task}, {ROOT: statement})
    assert found.differences == []  # by another version of the definition it may be right
    return found.unchecked


dealings = st.fixed_dictionaries(
    {
        "seed": st.binary(min_size=1, max_size=8),
        "turns": st.integers(1, 4),
        "tasks": st.integers(1, 3),
        "miners": st.integers(0, len(MINERS)),
    }
)
subnets = st.builds(
    Dealt, st.sampled_from([1, 2, 3, "each"]), canaries=st.sampled_from([0, 128, 256])
)


@settings(max_examples=40, deadline=None)
@given(subnets, dealings)
def test_what_is_dealt_right_is_found_right(subnet: Dealt, dealing: dict[str, Any]) -> None:
    leaves = sealed(subnet, **dealing)
    assert problems(subnet, leaves) == []
    # Miners that come and go meanwhile change nothing of it, nor does the leaves' order.
    assert problems(subnet, leaves[::-1]) == []
    # Of somebody's own words there is only a hash: what is told of the others is not enough.
    assert problems(subnet, [x for x in leaves if not x.organic], count=len(leaves) + 1) == []


@settings(max_examples=40, deadline=None)
@given(subnets, dealings, st.data())
def test_two_that_change_places_are_found(
    subnet: Dealt, dealing: dict[str, Any], data: st.DataObject
) -> None:
    leaves = sealed(subnet, **dealing)
    one, other = (data.draw(st.integers(0, len(leaves) - 1)) for _ in range(2))
    first, second = leaves[one], leaves[other]
    leaves[one] = dataclasses.replace(first, audience=second.audience, turn=second.turn)
    leaves[other] = dataclasses.replace(second, audience=first.audience, turn=first.turn)
    if first.number < 0 or second.number < 0:
        same = first.audience == second.audience  # in which turn a canary is asked is not looked at
        same = same and (first.turn == second.turn or max(first.number, second.number) < 0)
    else:
        same = (first.audience, first.turn) == (second.audience, second.turn)
    same = same or first.number == second.number
    assert (problems(subnet, leaves) == []) == same


def task(number: int, /, **changes: Any) -> Callable[[Leaves], Leaves]:
    """Leaves of which the one with this number is another."""
    return lambda leaves: [
        dataclasses.replace(x, **changes) if x.number == number else x for x in leaves
    ]


def without(number: int, audience: str) -> Callable[[Leaves], Leaves]:
    return lambda leaves: [x for x in leaves if (x.number, x.audience) != (number, audience)]


def twice(number: int) -> Callable[[Leaves], Leaves]:
    return lambda leaves: (
        leaves
        + [dataclasses.replace(x, task=f"{x.task} again") for x in leaves if x.number == number]
    )


@pytest.mark.parametrize(
    ("groups", "cheat", "said"),
    [
        (2, task(0, audience="5Friend"), "task 0 of its seed goes to 5Friend in turn 0, and not "),
        (2, task(0, audience="all"), "task 0 of its seed goes to all in turn 0, and not to 0/2 in"),
        (1, task(3, audience="not 0/2"), "task 3 of its seed goes to not 0/2 in turn 1, and not "),
        (2, task(7, turn=0), "task 7 of its seed goes to 1/2 in turn 0, and not to 1/2 in turn 1"),
        (2, task(7, turn=-1), "task 7 of its seed goes to 1/2 in turn -1, and not to "),
        (2, task(7, turn=2), "8 questions for 2 audiences in 3 turns"),
        (2, task(7, turn=10**18), f"8 questions for 2 audiences in {10**18 + 1} turns"),
        (2, task(-1, turn=10**18), f"8 questions for 2 audiences in {10**18 + 1} turns"),
        (2, without(7, "1/2"), "7 questions for 2 audiences in 2 turns"),
        (2, task(1, seed="cd" * 32), "not all of one seed"),
        (2, task(-2, audience="0/2"), "canary 1 goes to 0/2"),
        (2, task(-2, number=-(10**18)), f"canary {10**18 - 1} goes to 1/2"),
        (2, without(-1, "0/2"), "canary 0 does not go to 0/2"),
        (2, without(-2, "not 1/2"), "canary 1 does not go to not 1/2"),
        (2, twice(-1), "canary 0 goes to 0/2"),
        (1, lambda leaves: [*leaves, dataclasses.replace(leaves[0], task="x", number=-1)],
         "canary 0 goes to all"),
        ("each", task(0, audience="5Nobody"), "12 questions for 4 audiences in 2 turns"),
        ("each", task(0, audience="0/2"), "a question to 0/2"),
        ("each", task(0, audience="all"), "a question to all"),
        ("each", without(0, MINERS[0]), "11 questions for 3 audiences in 2 turns"),
        ("each", without(-3, MINERS[0]), f"canary 2 does not go to {MINERS[0]}"),
        ("each", task(-3, audience=MINERS[2]), f"canary 2 goes to {MINERS[2]}"),
    ],
)  # fmt: skip
def test_what_is_dealt_otherwise_is_said(
    groups: Any, cheat: Callable[[Leaves], Leaves], said: str
) -> None:
    subnet = Dealt(groups)
    leaves = cheat(sealed(subnet))
    (text,) = problems(subnet, leaves)
    assert text.startswith(f"root {ROOT[:16]}: not dealt as the definition does: {said}")


def test_canaries_that_are_left_out_leave_their_miners_unwatched() -> None:
    for groups in (2, "each"):
        subnet = Dealt(groups)
        leaves = [leaf for leaf in sealed(subnet) if leaf.number >= 0]
        (text,) = problems(subnet, leaves)
        assert "canary 0 does not go to " in text
        assert problems(Dealt(groups, canaries=0), leaves) == []


def test_canaries_that_cannot_be_made_here_are_said() -> None:
    class Lacking(Dealt):
        def canary(self, seed: bytes) -> tuple[Task[Sum], Task[Sum]] | None:
            raise FileNotFoundError("words.txt")

    (text,) = problems(Lacking(2), sealed(Dealt(2)))
    assert "its seed gives no canaries here: FileNotFoundError('words.txt')" in text
