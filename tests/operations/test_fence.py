"""The chain is the last fence: whatever becomes of Redis and of clocks, one row a window lands.

Two instances of one validator, each with its own connection and memory, on a real devnet whose
subnet has no rate limit: the chain would take both rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.devnet import Devnet
from subnet.errors import LeaseLost
from tests.neurons.ground import alices_subnet, open_bench, settings_of
from tests.neurons.unanswered import Unanswered
from tests.patience import PATIENCE_S
from tests.wire.redisserver import RedisServer, needs_redis, redis_server
from validators import lease as leases
from validators import rows
from validators.bench import Bench
from validators.lease import open_lease
from validators.moment import Moment
from validators.weights import Code, WeightsReport

pytest.importorskip("redis", reason="needs subnetkit[redis]")
pytestmark = needs_redis

TEMPO = 40
LEASE_S = 60.0  # nothing here waits for it to run out by itself
HOTKEY = Keypair.create_from_uri("//Alice//validator")
MINER = Keypair.create_from_uri("//Alice//miner")
TOLD = ("WeightsSet", "WeightsCommitted")


class Instance:
    """One of the two; `held` keeps what it is about to send from leaving."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.about_to_send = asyncio.Event()
        self.held = asyncio.Event()
        self.held.set()
        send = bench.chain.submit

        async def submit(*arguments: Any, **more: Any) -> Any:
            self.about_to_send.set()
            await self.held.wait()
            return await send(*arguments, **more)

        vars(bench.chain)["submit"] = submit

    @property
    def lease(self) -> leases.Lease:
        assert self.bench.lease is not None
        return self.bench.lease

    async def pay(self) -> WeightsReport:
        chain, netuid = self.bench.chain, self.bench.netuid
        metagraph = await chain.metagraph(netuid)
        schedule = await chain.schedule(netuid, metagraph.block)
        moment = Moment(metagraph, schedule, part=0, last=True)
        round, ledger = self.bench.ledger.next_round(), self.bench.ledger
        ledger.remember(round, block=1, epoch=schedule.epochs, digests=(), outcomes=[])
        return await rows.set_weights_if_due(self.bench, moment, {MINER.ss58_address: 1.0})

    async def pay_late(self) -> asyncio.Task[WeightsReport]:
        """Look, claim and sign, but not send until `held` is set."""
        self.held.clear()
        self.about_to_send.clear()
        paying = asyncio.create_task(self.pay())
        await self.about_to_send.wait()
        return paying


class Stage:
    """The chain, and what the instances share."""

    def __init__(self, node: Devnet, chain: Chain, netuid: int, folder: Path) -> None:
        self.node, self.chain, self.netuid, self.folder = node, chain, netuid, folder
        self.stack = AsyncExitStack()

    async def instance(self, name: str, url: str, lease_s: float = LEASE_S) -> Instance:
        enter = self.stack.enter_async_context
        chain = await enter(Chain.connect(self.node.url))
        hotkey = str(HOTKEY.ss58_address)
        opening = open_lease(url, netuid=self.netuid, hotkey=hotkey, lease_s=lease_s)
        settings = settings_of(self.netuid, network={"chain": self.node.url})
        folder = self.folder / name
        folder.mkdir()
        bench = self.stack.enter_context(
            open_bench(folder, settings, HOTKEY, chain, Unanswered(), lease=await enter(opening))
        )
        return Instance(bench)

    async def next_epoch(self) -> None:
        schedule = await self.chain.schedule(self.netuid)
        assert schedule.next_block is not None
        await self.node.mine(schedule.next_block - self.node.head.number)

    async def rows(self) -> list[int]:
        """How many rows each epoch got, or commits to one, of those that got any."""
        found: Counter[int] = Counter()
        for block in range(1, self.node.head.number + 1):
            count = sum(event.name in TOLD for event in await self.chain.events(block))
            if count:
                found[(await self.chain.schedule(self.netuid, block)).epochs] += count
        return [found[epoch] for epoch in sorted(found)]


@asynccontextmanager
async def staged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, hidden: bool = False
) -> AsyncIterator[Stage]:
    async with alices_subnet(
        folder, monkeypatch, stakes=[(HOTKEY, 100)], miners=[MINER], hidden=hidden,
        tempo=TEMPO, weights_set_rate_limit=0,
    ) as (node, chain, netuid):  # fmt: skip
        stage = Stage(node, chain, netuid, folder)
        await stage.next_epoch()
        async with stage.stack:
            yield stage


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with staged(tmp_path, monkeypatch) as stage:
        yield stage


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.mark.parametrize("hidden", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_two_leaders_at_once_land_one_row_in_every_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: bool
) -> None:
    """Each has a Redis of its own: what a failover that lost its writes makes of one."""
    for name in ("r1", "r2"):
        (tmp_path / name).mkdir()
    windows = 3
    with redis_server(tmp_path / "r1") as one, redis_server(tmp_path / "r2") as two:
        async with staged(tmp_path, monkeypatch, hidden=hidden) as stage:
            instances = [await stage.instance("a", one.url), await stage.instance("b", two.url)]
            for instance in instances:
                await instance.lease.acquire()
            for _ in range(windows):
                reports = await asyncio.gather(*(instance.pay() for instance in instances))
                assert sorted(report.set for report in reports) == [False, True]
                (beaten,) = [report for report in reports if not report.set]
                assert beaten.code is Code.WINDOW
                await stage.next_epoch()
            assert await stage.rows() == [1] * windows


async def test_a_row_on_its_way_is_overtaken_when_redis_came_back_empty(
    stage: Stage, server: RedisServer
) -> None:
    first, second = await stage.instance("a", server.url), await stage.instance("b", server.url)
    await first.lease.acquire()
    late = await first.pay_late()  # it holds the lease, it has claimed, it has its number
    server.restart()
    await second.lease.acquire()
    assert (await second.pay()).landed
    first.held.set()
    assert (await late).code is Code.WINDOW
    assert await stage.rows() == [1]


@pytest.mark.slow
async def test_who_leads_after_redis_came_back_empty_sees_the_row_that_is_there(
    stage: Stage, server: RedisServer
) -> None:
    first = await stage.instance("a", server.url, lease_s=10.0)
    second = await stage.instance("b", server.url)
    await first.lease.acquire()
    assert (await first.pay()).landed
    server.restart()
    await second.lease.acquire()
    assert second.lease.token == 1  # Redis has forgotten who led before
    assert (await second.pay()).code is Code.WINDOW
    with pytest.raises(LeaseLost):
        await first.lease.keep()
    await stage.next_epoch()
    assert (await second.pay()).landed
    assert await stage.rows() == [1, 1]


@pytest.mark.slow
async def test_redis_stands_still_for_longer_than_the_lease(
    stage: Stage, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TIMEOUT_S", 0.3)
    first = await stage.instance("a", server.url, lease_s=2.0)
    second = await stage.instance("b", server.url)
    await first.lease.acquire()
    waiting = asyncio.create_task(second.lease.acquire())
    server.pause(True)
    with pytest.raises(LeaseLost):
        await first.pay()
    with pytest.raises(LeaseLost):
        await first.lease.keep()
    assert not waiting.done()
    server.pause(False)
    await waiting
    assert (await second.pay()).landed
    assert (await first.pay()).code is Code.WINDOW
    await stage.next_epoch()
    with pytest.raises(LeaseLost):
        await first.pay()
    assert await stage.rows() == [1]


@pytest.mark.slow
async def test_who_cannot_see_redis_but_the_chain_sets_nothing(
    stage: Stage, server: RedisServer
) -> None:
    async with relay(server.port) as (port, cut):
        first = await stage.instance("a", f"redis://127.0.0.1:{port}/0")
        second = await stage.instance("b", server.url)
        await first.lease.acquire()
        late = await first.pay_late()
        cut()
        # Redis lets the lease run out; nobody tells the one that is cut off.
        server.ask(f"PEXPIRE subnet:{{{stage.netuid}:{HOTKEY.ss58_address}}}:lease 1")
        await second.lease.acquire()
        # The other one's claim is known, and its row may be on its way: it is waited for.
        paying = asyncio.create_task(second.pay())
        async with asyncio.timeout(PATIENCE_S):
            while not paying.done():
                await stage.node.mine(1)
                await asyncio.sleep(0.05)
        assert (await paying).landed
        first.held.set()
        assert (await late).code is Code.WINDOW
        await stage.next_epoch()
        with pytest.raises(LeaseLost):
            await first.pay()
    assert await stage.rows() == [1]


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[tuple[int, Any]]:
    """A port that leads to `port` until it is cut: then connections break, and new ones do."""
    writers: list[asyncio.StreamWriter] = []
    open_ = True

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if not open_:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writers.append(back)
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    def cut() -> None:
        nonlocal open_
        open_ = False
        for writer in writers:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
    try:
        yield server.sockets[0].getsockname()[1], cut
    finally:
        cut()
        server.close()
        await server.wait_closed()


@pytest.mark.slow
async def test_a_clock_that_stands_still_keeps_no_lease(
    stage: Stage, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suspended machine: its own clock says that the lease holds. Redis and the chain decide."""
    first, second = await stage.instance("a", server.url), await stage.instance("b", server.url)
    await first.lease.acquire()
    late = await first.pay_late()
    monkeypatch.setattr(first.lease, "_until", float("inf"))
    server.ask(f"PEXPIRE subnet:{{{stage.netuid}:{HOTKEY.ss58_address}}}:lease 1")
    # A clock of Redis that jumped ahead does the same. The heir is told nothing of the claim:
    server.ask(f"DEL subnet:{{{stage.netuid}:{HOTKEY.ss58_address}}}:window")
    await second.lease.acquire()
    assert (await second.pay()).landed
    first.held.set()
    assert (await late).code is Code.WINDOW
    assert await stage.rows() == [1]


async def test_another_extrinsic_of_the_key_costs_a_look_and_no_row(
    stage: Stage, server: RedisServer
) -> None:
    only = await stage.instance("a", server.url)
    await only.lease.acquire()
    late = await only.pay_late()
    await stage.chain.serve_axon(HOTKEY, stage.netuid, "127.0.0.2", 9)  # takes the number
    only.held.set()
    assert (await late).landed
    assert await stage.rows() == [1]


@pytest.mark.slow
async def test_without_a_lease_the_limit_is_the_chain_s(stage: Stage, server: RedisServer) -> None:
    """What the fence keeps from happening: two rows in one window, where the subnet lets them."""
    only = await stage.instance("a", server.url)
    free = Instance(dataclasses.replace(only.bench, lease=None))
    assert (await free.pay()).landed and (await free.pay()).landed
    assert await stage.rows() == [2]
