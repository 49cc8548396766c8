"""What moved validator trust, in games on a real chain in which we know what did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin
from chain.devnet import Devnet
from tests.neurons.ground import ALICE, alices_subnet, open_bench, settings_of
from tests.neurons.unanswered import Unanswered
from validators import journal
from validators.bench import Bench
from validators.landing import Landing
from validators.status import Mover, Status, read_status
from validators.watch import Watch

ME = Keypair.create_from_uri("//Alice//me")
OTHERS = [Keypair.create_from_uri(f"//Alice//other{number}") for number in range(2)]
MINERS = [Keypair.create_from_uri(f"//Alice//miner{number}") for number in range(8)]
FIRST = 4
"""Seat of the first miner: before it sit the owner and the validators."""
DAY_EPOCHS_S = 3600.0

Row = Mapping[int, float]


class Game:
    """Three validators of one stake; the other two agree, so theirs is the consensus."""

    def __init__(self, node: Devnet, chain: Chain, netuid: int, bench: Bench) -> None:
        self.node, self.chain, self.netuid, self.bench = node, chain, netuid, bench
        self.now = 0.0

    async def epoch(self, mine: Row, others: Row, *, mechanism: int = 0) -> Status:
        """Set rows by number of the miner, have an epoch run on them, and look."""
        for key, row in ((ME, mine), *((other, others) for other in OTHERS)):
            weights = {FIRST + number: share for number, share in row.items()}
            await self.chain.set_weights(key, self.netuid, weights, mechanism=mechanism)
        return await self.run()

    async def run(self) -> Status:
        schedule = await self.chain.schedule(self.netuid)
        assert schedule.next_block is not None
        await self.node.mine(schedule.next_block - self.node.head.number)
        return await self.look()

    async def look(self) -> Status:
        self.now += DAY_EPOCHS_S
        metagraph = await self.chain.metagraph(self.netuid)
        schedule = await self.chain.schedule(self.netuid, metagraph.block)
        me = metagraph.find(ME.ss58_address)
        assert me is not None
        note = self.bench.note
        await self.bench.watch.look(self.chain, metagraph, schedule, me, note)
        return read_status(journal.read(self.bench.journal.path))


@pytest.fixture
async def game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Game]:
    stakes = [(key, 100) for key in (ME, *OTHERS)]
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=stakes, miners=MINERS, hidden=False,
        weights_set_rate_limit=0, tempo=20, max_allowed_uids=64,
    ) as (node, chain, netuid):  # fmt: skip
        watch = Watch(landing=Landing(0))
        settings = settings_of(netuid, network={"chain": node.url})
        found: list[Game] = []
        with open_bench(
            tmp_path, settings, ME, chain, Unanswered(),
            clock=lambda: found[0].now if found else 0.0, watch=watch,
        ) as bench:  # fmt: skip
            found.append(Game(node, chain, netuid, bench))
            await found[0].run()
            yield found[0]


def named(movers: tuple[Mover, ...]) -> dict[int, tuple[float, float, float]]:
    """By number of the miner: what it cost, the change of our share, and of the consensus."""
    return {
        mover.uid - FIRST: (
            round(mover.change, 3), round(mover.own or 0, 3), round(mover.consensus or 0, 3),
        )
        for mover in movers
    }  # fmt: skip


def accounted(status: Status) -> bool:
    """Whether the seats named make up the whole of what validator trust changed by."""
    assert status.vtrust is not None and status.vtrust_before is not None
    told = sum(mover.change for mover in status.movers)
    return told == pytest.approx(status.vtrust_before - status.vtrust, abs=1e-3)


async def test_it_was_us_or_it_was_the_others(game: Game) -> None:
    half = {0: 0.5, 1: 0.5}
    status = await game.epoch(half, half)
    assert status.vtrust == pytest.approx(1.0, abs=1e-3)
    # We favour the first miner.
    status = await game.epoch({0: 0.8, 1: 0.2}, half)
    assert status.vtrust == pytest.approx(0.7, abs=1e-3)
    assert named(status.movers) == {0: (0.3, 0.3, 0.0)} and accounted(status)
    # We come back.
    status = await game.epoch(half, half)
    assert named(status.movers) == {0: (-0.3, -0.3, 0.0)} and accounted(status)
    # The others leave the first miner; we stay where we were.
    status = await game.epoch(half, {0: 0.2, 1: 0.8})
    assert status.vtrust == pytest.approx(0.7, abs=1e-3)
    assert named(status.movers) == {0: (0.3, 0.0, -0.3)} and accounted(status)
    # Nothing moves.
    status = await game.run()
    assert status.movers == ()


async def test_a_row_set_after_the_epoch_is_not_what_the_epoch_saw(game: Game) -> None:
    half = {0: 0.5, 1: 0.5}
    await game.epoch(half, half)
    await game.node.mine(20)
    await game.chain.set_weights(ME, game.netuid, {FIRST + 7: 1.0})  # before anybody looks
    status = await game.look()
    assert status.vtrust == pytest.approx(1.0, abs=1e-3)
    assert status.distance == pytest.approx(0.0, abs=1e-3)
    assert status.movers == ()


@pytest.mark.slow
async def test_many_seats_moved_it_a_little_each(game: Game) -> None:
    alike = dict.fromkeys(range(8), 1.0)
    await game.epoch(alike, alike)
    status = await game.epoch({**dict.fromkeys(range(7), 0.14), 7: 0.02}, alike)
    assert set(named(status.movers)) == set(range(7)) and accounted(status)
    status = await game.epoch(alike, alike)
    assert len(status.movers) == 7 and accounted(status)


@pytest.mark.slow
async def test_of_two_mechanisms_the_mean_is_told(game: Game) -> None:
    count = admin("sudo_set_mechanism_count", netuid=game.netuid, mechanism_count=2)
    await game.chain.submit(count, ALICE)
    half = {0: 0.5, 1: 0.5}
    await game.epoch(half, half)
    status = await game.epoch(half, half, mechanism=1)
    assert status.vtrust == pytest.approx(1.0, abs=2e-3)
    status = await game.epoch({2: 1.0}, half, mechanism=1)
    assert status.vtrust == pytest.approx(0.5, abs=2e-3)
    assert named(status.movers)[2] == (0.5, 0.5, 0.0) and accounted(status)


@pytest.mark.slow
async def test_what_both_keys_spent_is_told(game: Game) -> None:
    await game.look()
    before = int(await game.chain.balance(ALICE.ss58_address))
    newcomer = Keypair.create_from_uri("//new")
    await game.chain.register(ALICE, game.netuid, newcomer.ss58_address)
    await game.chain.set_weights(ME, game.netuid, {FIRST: 1.0})
    status = await game.run()
    spent = before - int(await game.chain.balance(ALICE.ss58_address))
    days = (game.now - DAY_EPOCHS_S) / 86_400.0  # the first line is the fixture's
    assert spent > 0
    assert status.coldkey_rao_per_day == pytest.approx(spent / days, rel=1e-6)
    # What a validator sends as it works is free: its hotkey loses nothing.
    assert (status.rao_per_day, status.seats_bought) == (0.0, 0)
