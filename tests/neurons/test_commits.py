"""Commits on a real chain: revealed in their epoch whatever happened meanwhile, and compared.

"The chain does not show it yet", "it never will" and "it shows something else" are three things.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import Call, admin
from chain.devnet import Devnet
from chain.devnet.engine import RevealWeights
from chain.errors import ChainAway, ChainRefused
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import AccountId, NetUid
from subnet.config import ValidatorSettings, load
from subnet.errors import StateError
from tests.neurons.ground import ALICE, alices_subnet, open_bench, settings_of, to_next_epoch
from tests.neurons.unanswered import Unanswered
from validators import journal, loop, rows
from validators.commits import Commits, Ending, Pending, Settled, settle
from validators.moment import Moment
from validators.weights import Hiding, WeightsReport, find_landed, set_weights

TEMPO = 20
HOTKEY = Keypair.create_from_uri("//Alice//validator")
MINER = Keypair.create_from_uri("//Alice//miner")


class Bench:
    """One validator on a subnet that hides weights, and its file of commits."""

    def __init__(self, node: Devnet, chain: Chain, netuid: int, path: Path) -> None:
        self.node, self.chain, self.netuid, self.path = node, chain, netuid, path
        self.commits = Commits(path)
        self.round = 0

    def restart(self) -> None:
        """What is only in memory is gone."""
        self.commits = Commits(self.path)

    async def uid(self) -> int:
        found = await self.chain.find_uid(self.netuid, HOTKEY.ss58_address)
        assert found is not None
        return found

    async def hiding(self, call: Any = "commit_weights") -> Hiding:
        self.round += 1
        metagraph = await self.chain.metagraph(self.netuid)
        return Hiding(call, self.commits, self.round, metagraph)

    async def commit(
        self, weights: dict[int, float], call: Any = "commit_weights"
    ) -> WeightsReport:
        return await set_weights(
            self.chain, HOTKEY, self.netuid, await self.uid(), weights,
            owner=0, version_key=0, hiding=await self.hiding(call),
        )  # fmt: skip

    async def next_epoch(self) -> None:
        await to_next_epoch(self.node, self.chain, self.netuid)

    async def settle(self) -> list[Settled]:
        metagraph = await self.chain.metagraph(self.netuid)
        schedule = await self.chain.schedule(self.netuid, metagraph.block)
        noted: list[Settled] = []
        chain, commits = self.chain, self.commits
        await settle(chain, HOTKEY, commits, metagraph, schedule, noted.append)
        return noted

    async def ending(self) -> Settled:
        (settled,) = await self.settle()
        assert self.commits.pending == ()
        return settled

    async def store(self, row: list[tuple[int, int]]) -> None:
        """Put a row on the chain behind everybody's back."""
        key = s.Weights._key(StorageIndex.of(NetUid(self.netuid)), await self.uid())
        self.node.set_storage({key: s.Weights.value.encode(row)})

    async def row(self) -> dict[int, int]:
        return await self.chain.weights(self.netuid, await self.uid())


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=[(HOTKEY, 100)], miners=[MINER], hidden=True, tempo=TEMPO
    ) as (node, chain, netuid):
        bench = Bench(node, chain, netuid, tmp_path / "state" / "commits.json")
        await bench.next_epoch()
        yield bench


async def test_hidden_until_its_epoch_then_shown_and_read_back(bench: Bench) -> None:
    report = await bench.commit({2: 0.5, 0: 0.25})
    assert (report.set, report.read_back, report.found) == (True, None, None)
    assert report.meant == {0: 32768, 2: 65535}
    (waiting,) = await bench.chain.waiting_commits(bench.netuid, HOTKEY.ss58_address)
    assert (waiting.hash, waiting.block) == (report.commit, report.block)
    assert await bench.settle() == []
    assert await bench.row() == {}
    await bench.next_epoch()
    settled = await bench.ending()
    assert (settled.ending, settled.moved) == (Ending.REVEALED, ())
    assert settled.found == await bench.row() == report.meant
    line = settled.line()
    assert (line["kind"], line["round"], line["ending"]) == ("reveal", 1, "revealed")
    assert line["commit_block"] == report.block < line["block"]


async def test_killed_between_commit_and_reveal(bench: Bench) -> None:
    report = await bench.commit({2: 1.0})
    bench.restart()
    await bench.next_epoch()
    bench.restart()
    assert (await bench.ending()).ending is Ending.REVEALED
    assert await bench.row() == report.meant


async def test_killed_before_it_could_note_that_the_commit_landed(bench: Bench) -> None:
    hiding = await bench.hiding()
    pending = pending_of(bench, hiding)
    bench.commits.put(pending)
    assert pending.salted is not None
    assert await find_landed(bench.chain, HOTKEY, hiding) is None
    receipt = await bench.chain.commit_weights(HOTKEY, pending.salted)
    bench.restart()
    hiding = dataclasses.replace(hiding, commits=bench.commits)
    landed = await find_landed(bench.chain, HOTKEY, hiding)
    assert landed is not None
    assert (landed.set, landed.block, landed.commit) == (True, receipt.block, pending.key)
    await bench.next_epoch()
    assert (await bench.ending()).ending is Ending.REVEALED


async def test_a_commit_that_is_said_to_be_refused_and_landed_keeps_its_salt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that fails after the commit was taken, when its events are read."""
    commit_weights = bench.chain.commit_weights

    async def refused(*args: Any, **how: Any) -> Any:
        await commit_weights(*args, **how)
        raise ChainRefused("Failed", "State already discarded")

    monkeypatch.setattr(bench.chain, "commit_weights", refused)
    report = await bench.commit({2: 1.0})
    assert (report.set, report.problem) == (True, None)
    bench.restart()
    await bench.next_epoch()
    assert (await bench.ending()).ending is Ending.REVEALED
    assert await bench.row() == report.meant


@pytest.mark.parametrize("blocks", [0, 1])
@pytest.mark.parametrize("call", ["commit_weights", "commit_timelocked_weights"])
async def test_a_commit_refused_for_an_earlier_one_of_its_round_is_that_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, blocks: int
) -> None:
    """The earlier one was retracted, and lands from the pool just before the other comes."""
    limit = admin("sudo_set_weights_set_rate_limit", netuid=bench.netuid, weights_set_rate_limit=5)
    await bench.chain.submit(limit, ALICE)
    name = "commit_weights" if call == "commit_weights" else "set_weights"
    send, sent = getattr(bench.chain, name), list[Any]()

    async def retracted(*args: Any, **how: Any) -> Any:
        sent.append(args)
        if len(sent) == 1:
            raise ChainAway("ws://there", "the extrinsic was retracted")
        await send(*sent[0], **how)
        return await send(*args, **how)

    monkeypatch.setattr(bench.chain, name, retracted)
    hiding, uid = await bench.hiding(call), await bench.uid()

    async def attempt() -> WeightsReport:
        hiding_now = dataclasses.replace(
            hiding, metagraph=await bench.chain.metagraph(bench.netuid)
        )
        return await set_weights(
            bench.chain, HOTKEY, bench.netuid, uid, {2: 1.0},
            owner=0, version_key=0, hiding=hiding_now,
        )  # fmt: skip

    with pytest.raises(ChainAway):
        await attempt()
    (first,) = bench.commits.pending
    await bench.node.mine(blocks)
    report = await attempt()
    assert (len(sent), report.set, report.problem) == (2, True, None)
    assert [pending.key for pending in bench.commits.pending] == [first.key]
    assert bench.commits.pending[0].block == report.block is not None


async def test_killed_before_it_could_write_down_how_it_ended(bench: Bench) -> None:
    report = await bench.commit({2: 1.0})
    await bench.next_epoch()
    metagraph = await bench.chain.metagraph(bench.netuid)
    schedule = await bench.chain.schedule(bench.netuid, metagraph.block)

    def full_disk(settled: Settled) -> None:
        raise StateError(bench.path, "full")

    with pytest.raises(StateError):
        await settle(bench.chain, HOTKEY, bench.commits, metagraph, schedule, full_disk)
    assert await bench.row() == report.meant  # revealed, and nobody knows
    bench.restart()
    assert (await bench.ending()).ending is Ending.REVEALED


async def test_the_commits_of_another_hotkey_stay(bench: Bench) -> None:
    pending = pending_of(bench, await bench.hiding())
    bench.commits.put(dataclasses.replace(pending, hotkey=MINER.ss58_address))
    await bench.node.mine(520)
    assert await bench.settle() == []
    assert len(bench.commits.pending) == 1


async def test_killed_between_the_reveal_and_forgetting_it(bench: Bench) -> None:
    await bench.commit({2: 1.0})
    await bench.next_epoch()
    (pending,) = bench.commits.pending
    assert pending.salted is not None
    await bench.chain.reveal_weights(HOTKEY, pending.salted)
    bench.restart()
    assert (await bench.ending()).ending is Ending.REVEALED


async def test_shown_but_another_row(bench: Bench) -> None:
    await bench.commit({2: 1.0})
    await bench.next_epoch()
    (pending,) = bench.commits.pending
    assert pending.salted is not None
    await bench.chain.reveal_weights(HOTKEY, pending.salted)
    await bench.store([(2, 65535), (1, 7)])
    settled = await bench.ending()
    assert (settled.ending, settled.found) == (Ending.DIFFERENT, {2: 65535, 1: 7})


async def test_a_missed_epoch_is_not_a_difference(bench: Bench) -> None:
    await bench.commit({2: 1.0})
    await bench.next_epoch()
    await bench.next_epoch()
    settled = await bench.ending()
    assert (settled.ending, settled.found) == (Ending.EXPIRED, {})


async def test_a_missed_epoch_when_the_chain_has_dropped_it(bench: Bench) -> None:
    first = await bench.commit({2: 1.0})
    await bench.next_epoch()
    await bench.next_epoch()
    await bench.commit({0: 1.0})  # whoever commits again clears away what has expired
    waiting = await bench.chain.waiting_commits(bench.netuid, HOTKEY.ss58_address)
    assert first.commit not in {commit.hash for commit in waiting}
    (settled,) = await bench.settle()
    assert (settled.commit.round, settled.ending) == (1, Ending.EXPIRED)
    await bench.next_epoch()
    assert (await bench.ending()).ending is Ending.REVEALED


async def test_never_sent(bench: Bench) -> None:
    bench.commits.put(pending_of(bench, await bench.hiding()))
    assert await bench.settle() == []  # it may be on its way
    await bench.node.mine(520)
    assert (await bench.ending()).ending is Ending.LOST


async def test_a_refused_reveal_is_tried_again_and_told(bench: Bench) -> None:
    await bench.commit({2: 1.0})
    await bench.next_epoch()

    async def switch(enabled: bool) -> None:
        args = {"netuid": bench.netuid, "enabled": enabled}
        call = admin("sudo_set_commit_reveal_weights_enabled", **args)
        await bench.chain.submit(call, ALICE)

    await switch(False)
    assert await bench.settle() == []
    (pending,) = bench.commits.pending
    assert pending.problem is not None and "CommitRevealDisabled" in pending.problem
    await switch(True)
    await bench.next_epoch()
    settled = await bench.ending()
    assert settled.ending is Ending.REFUSED
    assert settled.line()["problem"] == pending.problem


async def test_a_disk_that_is_full_keeps_the_commit_at_home(bench: Bench) -> None:
    bench.path.with_name("commits.json.new").mkdir(parents=True)
    with pytest.raises(StateError):
        await bench.commit({2: 1.0})
    assert await bench.chain.waiting_commits(bench.netuid, HOTKEY.ss58_address) == ()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("commit_weights", "WeightVecLengthIsLow"),
        ("commit_timelocked_weights", "requires at least 2 weights"),
    ],
)
async def test_refused_commits_are_forgotten(bench: Bench, call: str, problem: str) -> None:
    least = admin("sudo_set_min_allowed_weights", netuid=bench.netuid, min_allowed_weights=2)
    await bench.chain.submit(least, ALICE)
    report = await bench.commit({2: 1.0}, call)
    assert (report.set, bench.commits.pending) == (False, ())
    assert report.problem is not None and problem in report.problem
    assert (await bench.commit({2: 1.0, 0: 1.0}, call)).set


async def test_a_seat_that_was_sold_meanwhile(bench: Bench) -> None:
    await bench.commit({2: 1.0, 0: 1.0})
    await bench.next_epoch()
    swap = {
        "hotkey": MINER.ss58_address,
        "new_hotkey": Keypair.create_from_uri("//heir").ss58_address,
        "netuid": bench.netuid,
    }
    await bench.chain.submit(Call("SubtensorModule", "swap_hotkey", swap), ALICE)
    settled = await bench.ending()
    assert (settled.ending, settled.moved) == (Ending.REVEALED, (2,))


async def test_the_chain_takes_weights_from_a_seat_that_is_sold(bench: Bench) -> None:
    """After the reveal, and before the validator, killed in between, could read its row back."""
    await bench.commit({2: 1.0, 0: 1.0})
    await bench.next_epoch()
    (pending,) = bench.commits.pending
    assert pending.salted is not None
    await bench.chain.reveal_weights(HOTKEY, pending.salted)
    swap = {
        "hotkey": MINER.ss58_address,
        "new_hotkey": Keypair.create_from_uri("//heir").ss58_address,
        "netuid": bench.netuid,
    }
    await bench.chain.submit(Call("SubtensorModule", "swap_hotkey", swap), ALICE)
    await bench.store([(0, 65535), (2, 0)])
    settled = await bench.ending()
    assert (settled.ending, settled.moved) == (Ending.REVEALED, (2,))


async def test_a_round_commits_and_the_next_one_reveals_first(bench: Bench, tmp_path: Path) -> None:
    settings = settings_of(bench.netuid, network={"chain": bench.node.url}, weights={"burn": 0.5})
    with open_bench(
        tmp_path, settings, HOTKEY, bench.chain, Unanswered(),
        commits=bench.commits, clock=lambda: 7.0,
    ) as whole:  # fmt: skip

        async def view() -> tuple[Any, Any]:
            metagraph = await bench.chain.metagraph(bench.netuid)
            return metagraph, await bench.chain.schedule(bench.netuid, metagraph.block)

        moment = Moment(*await view(), part=0, last=True)
        scores = {MINER.ss58_address: 1.0}
        report = await rows.set_weights_if_due(whole, moment, scores)
        assert (report.meant, report.burned) == ({0: 65535, 2: 65535}, False)
        assert report.commit is not None
        await loop.reveal(whole, *await view())
        assert list(journal.read(whole.journal.path)) == []
        await bench.next_epoch()
        await loop.reveal(whole, *await view())
        (line,) = journal.read(whole.journal.path)
    assert (line["kind"], line["ending"], line["run"], line["time"]) == (
        "reveal", "revealed", 1, 7.0,
    )  # fmt: skip
    assert line["found"] == {"0": 65535, "2": 65535}
    assert await bench.row() == {0: 65535, 2: 65535}


async def test_sealed_rows_are_compared_too(bench: Bench) -> None:
    report = await bench.commit({2: 1.0}, "commit_timelocked_weights")
    assert report.commit is None and report.reveal_round is not None
    await bench.next_epoch()
    assert await bench.settle() == []
    bench.restart()
    hotkey = AccountId.from_ss58(HOTKEY.ss58_address)
    bench.node.cheat(RevealWeights(bench.netuid, 0, hotkey, (2,), (65535,)))
    assert (await bench.ending()).ending is Ending.REVEALED

    await bench.commit({2: 1.0}, "commit_timelocked_weights")
    await bench.next_epoch()
    bench.node.cheat(RevealWeights(bench.netuid, 0, hotkey, (0,), (65535,)))
    assert (await bench.ending()).ending is Ending.DIFFERENT

    await bench.commit({2: 1.0}, "commit_timelocked_weights")
    await bench.next_epoch()
    await bench.next_epoch()
    assert (await bench.ending()).ending is Ending.EXPIRED


def pending_of(bench: Bench, hiding: Hiding) -> Pending:
    return Pending(
        round=hiding.round,
        hotkey=HOTKEY.ss58_address,
        netuid=bench.netuid,
        row={2: 65535},
        salt=(1, 2, 3),
        version=0,
        sent=hiding.metagraph.block,
        seats={2: MINER.ss58_address},
    )


def test_the_file_of_commits(tmp_path: Path) -> None:
    path = tmp_path / "state" / "commits.json"
    commits = Commits(path)
    pending = Pending(1, "5Me", 2, {7: 65535}, (1, 2), 0, 9, {7: "5You"}, problem="no")
    sealed = dataclasses.replace(pending, salt=None)
    commits.put(sealed)
    assert Commits(path).pending == (sealed,)
    assert path.stat().st_mode & 0o077 == 0
    commits.drop(sealed)
    assert Commits(path).pending == ()
    path.write_text('{"schema": 3, "commits": []}')
    with pytest.raises(StateError, match="schema 3"):
        Commits(path)
    path.write_text("{")
    with pytest.raises(StateError, match="not a file of commits"):
        Commits(path)


def test_which_commit_is_sent_where() -> None:
    def call(chain: str, named: str | None = None) -> str:
        flags: dict[str, dict[str, object]] = {
            "network": {"chain": chain},
            "validator": {"commit_reveal": named},
        }
        return load(ValidatorSettings, environment={}, flags=flags).commit_call

    assert call("ws://127.0.0.1:9944") == "commit_weights"
    assert call("test") == call("finney") == "commit_timelocked_weights"
    assert call("finney", "commit_weights") == "commit_weights"
    assert call("local", "commit_timelocked_weights") == "commit_timelocked_weights"
