"""Whose turn it is: stakes, patience, and those who try to sit on all the chairs."""

from __future__ import annotations

import asyncio

import pytest

from subnet.errors import RequestRefused
from subnet.wire.auth import Caller
from subnet.wire.limits import Limits
from subnet.wire.policy import PermitPolicy
from subnet.wire.waiting import PATIENCE, WaitingRoom
from tests.wire.world import (
    ED_VALIDATOR,
    NOW,
    VALIDATOR,
    Echo,
    FakeClock,
    Heard,
    Question,
    request_bytes,
    send,
    serving,
    signed,
)

BODY = b'{"text":"hi"}'


class Door:
    """A room with people in it, each known by name; `served` in the order of their turns."""

    def __init__(self, places: int = 1, waiting: int = 100, waiting_s: float = 30.0) -> None:
        self.room = WaitingRoom(places, waiting, waiting_s, per_key=3)
        self.served: list[str] = []
        self.sent_away: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.left: set[str] = set()

    async def come(self, name: str, stake: int, hotkey: str | None = None) -> None:
        """Somebody comes, and stays as long as the test likes once it is its turn."""

        async def stand() -> None:
            try:
                await self.room.enter(hotkey or name, stake)
            except RequestRefused as refusal:
                self.sent_away.append(f"{name} {refusal.status} {refusal.code}")
            else:
                self.served.append(name)

        self.tasks[name] = asyncio.create_task(stand())
        await asyncio.sleep(0)

    async def go(self, name: str) -> None:
        """Somebody who was served leaves."""
        self.left.add(name)
        self.room.leave(name)
        for _ in range(3):
            await asyncio.sleep(0)

    async def drain(self) -> list[str]:
        """Everybody leaves in turn; the order."""
        while staying := [name for name in self.served if name not in self.left]:
            await self.go(staying[0])
        assert (self.room.taken, self.room.waiting, self.room._held) == (0, 0, {})
        return self.served


async def test_bigger_stakes_go_first_and_equals_in_order() -> None:
    door = Door()
    for name, stake in [("first", 1), ("small", 5), ("big", 9), ("small too", 5)]:
        await door.come(name, stake)
    assert door.served == ["first"]
    assert await door.drain() == ["first", "big", "small", "small too"]


async def test_nobody_waits_for_ever_however_many_bigger_ones_come() -> None:
    door = Door()
    await door.come("first", 1)
    await door.come("poor", 1)
    turn = 0
    while "poor" not in door.served:
        await door.come(f"rich {turn}", 1000)
        await door.go(door.served[-1])
        turn += 1
    assert door.served.index("poor") == PATIENCE
    assert len(await door.drain()) == turn + 2


async def test_in_a_full_room_the_smallest_makes_place_for_a_bigger_one() -> None:
    door = Door(waiting=2)
    for name, stake in [("first", 1), ("small", 5), ("medium", 6), ("big", 9), ("tiny", 4)]:
        await door.come(name, stake)
    assert door.sent_away == ["small 503 busy", "tiny 503 busy"]
    await door.come("equal", 6)  # as much as the smallest there: it came later
    assert door.sent_away[2:] == ["equal 503 busy"]
    assert await door.drain() == ["first", "big", "medium"]


async def test_the_whale_that_sends_many_cannot_fill_the_room() -> None:
    door = Door(waiting=10)
    for number in range(5):
        await door.come(f"whale {number}", 10**15, hotkey="whale")
    assert door.sent_away == ["whale 3 429 caller_busy", "whale 4 429 caller_busy"]
    await door.come("small", 1)
    assert door.room.waiting == 3
    for _ in range(3):
        door.room.leave("whale")
        await asyncio.sleep(0)
    assert door.served == ["whale 0", "whale 1", "whale 2", "small"]


async def test_whoever_waits_too_long_is_told_so() -> None:
    door = Door(waiting_s=0.02)
    await door.come("first", 1)
    await door.come("second", 1)
    await door.tasks["second"]
    assert door.sent_away == ["second 503 busy"]
    assert door.room.waiting == 0
    await door.come("third", 1)
    assert await door.drain() == ["first", "third"]


@pytest.mark.parametrize("granted", [False, True])
async def test_the_one_who_hangs_up_while_waiting_loses_no_place(granted: bool) -> None:
    door = Door()
    for name in ("first", "second", "third"):
        await door.come(name, 1)
    if granted:  # in the very turn of the loop in which the place is handed over
        door.room.leave("first")
        door.tasks["second"].cancel()
    else:
        door.tasks["second"].cancel()
        door.room.leave("first")
    await asyncio.wait([door.tasks["second"]])
    for _ in range(3):
        await asyncio.sleep(0)
    assert door.served == ["first", "third"]
    assert door.room.taken == 1
    door.room.leave("third")
    assert (door.room.taken, door.room._held) == (0, {})


async def test_the_one_who_hangs_up_as_it_is_sent_away_leaves_no_trace() -> None:
    door = Door(waiting=1)
    await door.come("first", 1)
    await door.come("small", 1)
    door.tasks["small"].cancel()
    await door.come("big", 2)  # before the cancelled one has run
    assert await door.drain() == ["first", "big"]


# Over sockets


async def test_a_bigger_stake_is_answered_first_and_the_smallest_sent_away_signed() -> None:
    started, release, order = asyncio.Event(), asyncio.Event(), []

    async def work(question: Question, caller: Caller) -> Echo:
        order.append(question.text)
        started.set()
        await release.wait()
        return Echo(text=question.text)

    policy = PermitPolicy(1)
    policy.update({VALIDATOR.ss58_address: (1, True), ED_VALIDATOR.ss58_address: (2, True)})
    limits = Limits(requests=1, waiting=2)
    async with serving(work, policy=policy, limits=limits, clock=FakeClock()) as served:

        async def ask(text: str, nonce: int, rich: bool = False) -> Heard:
            body = Question(text=text).model_dump_json().encode()
            keypair = ED_VALIDATOR if rich else VALIDATOR
            return await send(served, signed(body, nonce=NOW + nonce, keypair=keypair), body)

        asking = [asyncio.create_task(ask("running", 1))]
        await started.wait()
        room = served.axon._room
        for turn, (text, rich) in enumerate([("poor 1", False), ("poor 2", False), ("rich", True)]):
            asking.append(asyncio.create_task(ask(text, turn + 2, rich)))
            while room.waiting < min(turn + 1, 2) or served.axon.counters.requests < turn + 2:
                await asyncio.sleep(0.001)
        sent_away = await asking[2]
        assert (sent_away.status, sent_away.error) == (503, "busy")
        sent_away.check_signed(NOW + 3)
        release.set()
        assert [(await asking[index]).status for index in (0, 1, 3)] == [200] * 3
    assert order == ["running", "rich", "poor 1"]


async def test_the_one_who_hangs_up_in_the_line_makes_room() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def work(question: Question, caller: Caller) -> Echo:
        started.set()
        await release.wait()
        return Echo(text=question.text)

    async with serving(work, limits=Limits(requests=1), clock=FakeClock()) as served:
        first = asyncio.create_task(send(served, signed(BODY), BODY))
        await started.wait()
        _, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(request_bytes(signed(BODY, nonce=NOW + 2), BODY))
        async with asyncio.timeout(5):
            while not served.axon._room.waiting:
                await asyncio.sleep(0.001)
            writer.close()
            while served.axon._room.waiting:
                await asyncio.sleep(0.001)
        release.set()
        assert (await first).status == 200
        assert served.axon._room.taken == 0
