"""When blocks are made, of what, with which date; and what a failing one costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain.devnet.clock import ChainClock, TimestampInThePast
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Instant, Interval, Manual, Schedule
from chain.devnet.store import Block
from tests.devnet.tiny import NOW, TinyEngine, extrinsic

ALICE, BOB = b"a" * 32, b"b" * 32


async def next_block(node: Node) -> Block:
    """The next head that is announced."""
    arrived: asyncio.Future[Block] = asyncio.get_running_loop().create_future()
    cancel = node.heads.listen(lambda b: None if arrived.done() else arrived.set_result(b))
    try:
        async with asyncio.timeout(10):
            return await arrived
    finally:
        cancel()


async def test_a_block_every_interval_whether_or_not_there_is_anything() -> None:
    async with Node(TinyEngine(), NodeConfig(Interval(0.02))) as node:
        for number in range(1, 6):
            assert (await next_block(node)).number == number


async def test_instant_makes_a_block_of_an_extrinsic_and_a_heartbeat() -> None:
    async with Node(TinyEngine(), NodeConfig(Instant(heartbeat=None))) as node:
        waiting = asyncio.create_task(next_block(node))
        await asyncio.sleep(0)
        node.submit(extrinsic(ALICE, 0))
        assert extrinsic(ALICE, 0) in (await waiting).extrinsics
        node.submit(extrinsic(ALICE, 2))  # from the future: no block for it
        for _ in range(5):
            await asyncio.sleep(0)
        assert node.head.number == 1
    async with Node(TinyEngine(), NodeConfig(Instant(heartbeat=0.01))) as node:
        assert (await next_block(node)).number == 1
        assert (await next_block(node)).number == 2


@pytest.mark.parametrize("schedule", [Interval(86_400), Manual(), Instant(heartbeat=None)])
async def test_blocks_are_made_on_demand_by_any_schedule(schedule: Schedule) -> None:
    async with Node(TinyEngine(), NodeConfig(schedule)) as node:
        assert (await node.mine(25)).number == 25
        await asyncio.sleep(0.05)
        assert node.head.number == 25


async def test_a_schedule_changed_while_it_runs() -> None:
    async with Node(TinyEngine(), NodeConfig(Manual())) as node:
        node.submit(extrinsic(ALICE, 0))
        waiting = asyncio.create_task(next_block(node))
        await asyncio.sleep(0)
        node.set_schedule(Instant(heartbeat=None))
        assert extrinsic(ALICE, 0) in (await waiting).extrinsics
        node.set_schedule(Interval(0.02))
        await next_block(node)
        await next_block(node)
        node.set_schedule(Manual())
        head = node.head
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert node.head is head


def test_intervals_that_make_no_sense() -> None:
    for seconds in (0, -1, float("nan"), float("inf"), 1e-9):
        with pytest.raises(ValueError, match="interval"):
            Interval(seconds)


def test_dates_follow_the_wall_and_never_go_back() -> None:
    wall = [1000]
    clock = ChainClock(lambda: wall[0])
    assert clock.stamp(0) == 1000
    assert clock.stamp(5000) == 5001  # many blocks in one millisecond
    clock.advance(10_000)
    assert clock.stamp(5001) == 11_000
    wall[0] = 500  # the wall clock was set back
    assert clock.stamp(11_000) == 11_001
    clock.set_next(20_000, 11_001)
    assert clock.stamp(11_001) == 20_000
    clock.stamped()
    wall[0] += 250
    assert clock.stamp(20_000) == 20_250
    with pytest.raises(TimestampInThePast):
        clock.set_next(20_000, 20_000)


async def test_an_extrinsic_that_breaks_the_engine_is_dropped_and_the_others_go_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Node(TinyEngine(), NodeConfig(Manual())) as node:
        fine = [extrinsic(ALICE, n) for n in range(7)]
        bad = [extrinsic(BOB, 0, b"crash"), extrinsic(b"c" * 32, 0, b"crash")]
        said: list[str] = []
        for raw in fine[:3] + bad + fine[3:]:
            node.submit_and_watch(raw, lambda status: said.append(status.name))
        await node.mine(3)
        included = [raw for n in (1, 2, 3) for raw in _body(node, n)]
        assert included == fine
        assert _body(node, 1) == tuple(fine[:3])
        assert said.count("invalid") == 2
        assert said.count("inBlock") == 7
        assert len(node.pool) == 0
        assert caplog.text.count("dropped the extrinsic") == 2
        assert "Traceback" in caplog.text


def _body(node: Node, number: int) -> tuple[bytes, ...]:
    block = node.store.find_number(number)
    assert block is not None
    return block.extrinsics[1:]


class Sick(TinyEngine):
    """An engine that cannot build anything while it is sick."""

    sick = True
    attempts = 0

    def build_block(self, *args: object, **options: object):  # type: ignore[no-untyped-def]
        self.attempts += 1
        if self.sick:
            raise ZeroDivisionError("sick")
        return super().build_block(*args, **options)  # type: ignore[arg-type]


async def test_an_engine_that_recovers_finds_the_pool_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Sick()
    async with Node(engine, NodeConfig(Interval(0.01))) as node:
        node.submit(extrinsic(ALICE, 0))
        async with asyncio.timeout(10):
            while engine.attempts < 9:
                await asyncio.sleep(0.01)
        assert node.head.number == 0
        engine.sick = False
        assert extrinsic(ALICE, 0) in (await next_block(node)).extrinsics
    # Said once, not at each of the ticks.
    assert caplog.text.count("no block on 0") == 1


async def test_a_listener_that_fails_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Node(TinyEngine(), NodeConfig(Manual())) as node:
        heard: list[int] = []

        def fail(block: Block) -> None:
            raise ZeroDivisionError("a bug")

        node.heads.listen(fail)
        node.heads.listen(lambda block: heard.append(block.number))
        await node.mine(2)
        assert heard == [1, 2]
        assert "ZeroDivisionError" in caplog.text


async def test_what_a_restart_keeps(tmp_path: Path) -> None:
    wall = [10_000]
    config = NodeConfig(Manual(), tmp_path / "chain.db", wall=lambda: wall[0])
    async with Node(TinyEngine(), config) as node:
        node.submit(extrinsic(ALICE, 0))
        node.increase_time(5000)
        head = await node.mine(5)
        node.submit(extrinsic(ALICE, 1))
    wall[0] = 20_000
    async with Node(TinyEngine(), config) as node:
        assert node.head == node.finalized == head
        assert len(node.pool) == 0
        await node.mine()
        assert node.state().get(NOW) == (25_000).to_bytes(8, "little")
