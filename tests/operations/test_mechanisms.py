"""Two mechanisms on a subnet that hides weights: each row is followed to its end by itself."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair
from typer.testing import CliRunner

from chain.client.calls import admin
from chain.devnet.engine import RevealWeights
from chain.errors import ChainAway
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import AccountId, NetUid
from subnet.cli.app import app
from tests.neurons import unanswered
from tests.neurons.ground import ALICE, Stage, alices_subnet, open_bench, settings_of
from tests.neurons.history import bare
from tests.neurons.test_neuron_processes import World, founded, player, world
from tests.neurons.unanswered import Unanswered
from validators import journal, loop, rows
from validators.commits import Commits, Pending
from validators.landing import Landing
from validators.proof import Cause
from validators.status import read_status
from validators.watch import Watch
from validators.weights import WeightsReport

__all__ = ["world"]  # the fixture

TEMPO = 20
HOTKEY = Keypair.create_from_uri("//Alice//validator")
MINER = Keypair.create_from_uri("//Alice//miner")
OTHER = Keypair.create_from_uri("//Alice//other")
ACCOUNT = AccountId.from_ss58(HOTKEY.ss58_address)


class TwoMechanisms(Unanswered):
    """The first pays one miner, the second another."""

    def mechanisms(self, scores: Any) -> Any:
        return {0: {2: 1.0}, 1: {3: 1.0, 2: 0.5}}


MEANT = {0: {2: 65535}, 1: {2: 32768, 3: 65535}}


class Both(Stage):
    """One validator of such a subnet; what it has in memory can be forgotten."""

    def restart(self) -> None:
        """What is not on the disk is gone."""
        commits = Commits(self.bench.commits.path)
        watch = Watch(landing=Landing(2), clock=lambda: 7.0)
        self.bench = dataclasses.replace(self.bench, commits=commits, watch=watch)

    async def pay(self, **how: bool) -> WeightsReport:
        moment = await self.moment()
        report = await rows.set_weights_if_due(self.bench, moment, {}, **how)
        self.bench.watch.set_weights(report, moment.schedule.epochs)
        line = bare(1, epoch=moment.schedule.epochs)
        self.bench.note({**line, "weights": dataclasses.asdict(report)})
        return report

    async def look(self) -> list[dict[str, Any]]:
        """What a validator sees to between rounds: reveals, and a look at where it stands."""
        before = len(self.lines())
        moment = await self.moment()
        await loop.reveal(self.bench, moment.metagraph, moment.schedule)
        me = moment.metagraph.find(HOTKEY.ss58_address)
        assert me is not None
        watch = self.bench.watch
        await watch.look(self.chain, moment.metagraph, moment.schedule, me, self.bench.note)
        return self.lines()[before:]

    async def row(self, mechanism: int) -> dict[int, int]:
        return await self.chain.weights(self.netuid, 1, mechanism=mechanism)

    async def waiting(self, mechanism: int) -> int:
        address = HOTKEY.ss58_address
        return len(await self.chain.waiting_commits(self.netuid, address, mechanism=mechanism))

    def store(self, mechanism: int, row: dict[int, int]) -> None:
        """Put a row on the chain behind everybody's back."""
        key = s.Weights._key(StorageIndex.of(NetUid(self.netuid), mechanism), 1)
        self.node.set_storage({key: s.Weights.value.encode(list(row.items()))})

    def beacon(self, mechanism: int, row: dict[int, int]) -> None:
        """Open what is sealed as the chain does when the round of its beacon has come."""
        uids, values = tuple(row), tuple(row.values())
        self.node.cheat(RevealWeights(self.netuid, mechanism, ACCOUNT, uids, values))


@pytest.fixture(
    params=["commit_weights", pytest.param("commit_timelocked_weights", marks=pytest.mark.slow)]
)
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Both]:
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=[(HOTKEY, 100)], miners=[MINER, OTHER], hidden=True,
        tempo=TEMPO, weights_set_rate_limit=0, max_allowed_uids=64,
    ) as (node, chain, netuid):  # fmt: skip
        await chain.submit(
            admin("sudo_set_mechanism_count", netuid=netuid, mechanism_count=2), ALICE
        )
        settings = settings_of(
            netuid, network={"chain": node.url}, validator={"commit_reveal": request.param}
        )
        watch = Watch(landing=Landing(2), clock=lambda: 7.0)
        with open_bench(
            tmp_path, settings, HOTKEY, chain, TwoMechanisms(), clock=lambda: 7.0, watch=watch
        ) as bench:
            bench.ledger.remember(1, block=1, epoch=1, digests=(), outcomes=[])
            stage = Both(node, chain, netuid, bench)
            await stage.next_epoch()
            yield stage


def is_salted(stage: Both) -> bool:
    return stage.bench.settings.commit_call == "commit_weights"


async def test_each_row_is_hidden_shown_and_compared_though_the_process_was_killed(
    stage: Both, tmp_path: Path
) -> None:
    report = await stage.pay()
    assert report.set and report.others[1].set and not report.landed
    assert (report.meant, report.others[1].meant) == (MEANT[0], MEANT[1])
    assert (await stage.row(0), await stage.row(1)) == ({}, {})
    assert (await stage.waiting(0), await stage.waiting(1)) == (1, 1)
    status = read_status(stage.lines())
    assert [(row.mechanism, row.landed, row.committed) for row in status.rows] == [
        (0, None, 1), (1, None, 1),
    ]  # fmt: skip
    stage.restart()
    await stage.next_epoch()
    if not is_salted(stage):
        # One beacon opens both, yet nobody may depend on their coming in one block.
        stage.beacon(1, MEANT[1])
        (reveal, _) = await stage.look()
        assert (reveal["mechanism"], reveal["ending"]) == (1, "revealed")
        assert stage.bench.watch.landing.epoch is None  # mechanism 0 is still hidden
        stage.beacon(0, MEANT[0])
    await stage.look()
    assert (await stage.row(0), await stage.row(1)) == (MEANT[0], MEANT[1])
    assert stage.bench.commits.pending == ()
    assert stage.bench.watch.landing.epoch is not None
    status = read_status(stage.lines())
    assert [row.landed and row.landed.round for row in status.rows] == [1, 1]
    assert [(row.problem, row.committed) for row in status.rows] == [(None, None)] * 2
    told = CliRunner().invoke(app, ["status", "--state", str(tmp_path)])
    assert "mech. 1    landed at block" in told.output, told.output


@pytest.mark.slow
async def test_the_row_of_the_second_is_never_shown_and_that_is_said(stage: Both) -> None:
    await stage.pay()
    if is_salted(stage):
        lost = next(commit for commit in stage.bench.commits.pending if commit.mechanism == 1)
        stage.bench.commits.drop(lost)  # while its epoch went by nobody could reveal it
        await stage.next_epoch()
        await stage.look()
        stage.bench.commits.put(lost)
    else:
        await stage.next_epoch()
        stage.beacon(0, MEANT[0])
        await stage.look()
    await stage.next_epoch()
    (line,) = [line for line in await stage.look() if line["kind"] == "reveal"]
    assert (line["mechanism"], line["ending"]) == (1, "expired")
    assert {item["cause"] for item in line["differences"]} == {"not revealed"}
    first, second = read_status(stage.lines()).rows
    assert first.landed is not None and first.problem is None
    assert (second.landed, second.problem) == (None, "the commit of round 1 ended expired")
    watch = stage.bench.watch
    assert watch.landing.problem.startswith("the commit for mechanism 1 of round 1 ended expired")


async def test_an_attempt_that_broke_off_between_the_rows_commits_neither_twice(
    stage: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = stage.chain.submit, 0

    async def break_off(*arguments: Any, **more: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise ChainAway("ws://there", "it went")
        return await send(*arguments, **more)

    monkeypatch.setattr(stage.chain, "submit", break_off)
    monkeypatch.setattr(rows, "RETRY_S", (0.0,))
    report = await rows.set_weights_at_last(stage.bench, await stage.moment(), {})
    assert report.set and report.others[1].set
    assert (await stage.waiting(0), await stage.waiting(1)) == (1, 1)
    assert sent == 3


@pytest.mark.slow
async def test_what_the_second_row_differs_in_is_told_of_the_second_row(stage: Both) -> None:
    await stage.pay()
    await stage.next_epoch()
    if is_salted(stage):
        for commit in stage.bench.commits.pending:
            assert commit.salted is not None
            await stage.chain.reveal_weights(HOTKEY, commit.salted)
    else:
        stage.beacon(0, MEANT[0])
        stage.beacon(1, MEANT[1])
    stage.store(1, {3: 65535})
    first, second = [line for line in await stage.look() if line["kind"] == "reveal"]
    assert (first["ending"], second["ending"]) == ("revealed", "different")
    assert {item["cause"] for item in second["differences"]} == {Cause.UNEXPLAINED.value}
    assert stage.bench.watch.landing.epoch is None


@pytest.mark.slow
async def test_rows_that_held_are_compared_in_every_epoch(stage: Both) -> None:
    await stage.pay()
    await stage.next_epoch()
    if not is_salted(stage):
        for mechanism, row in MEANT.items():
            stage.beacon(mechanism, row)
    await stage.look()
    stage.store(1, {2: 65535})
    await stage.next_epoch()
    standing = (await stage.look())[-1]
    assert {item["mechanism"] for item in standing["differences"]} == {1}


DEFINITION = """
from burning import Unanswered


class TwoRows(Unanswered):
    def mechanisms(self, scores):
        return {0: {0: 1.0}, 1: {0: 0.5, 1: 1.0}}
"""
LONG_TEMPO = 120  # time to start again between the commit and the end of the epoch it opens in


@pytest.mark.slow
async def test_a_process_killed_between_commit_and_reveal_shows_both_rows(
    world: World, tmp_path: Path
) -> None:
    shutil.copy(unanswered.__file__, tmp_path / "burning.py")
    (tmp_path / "two_rows.py").write_text(DEFINITION)
    validator = player(world, 4, "validator", "validator", stake=100)
    path = tmp_path / "state" / "journal.jsonl"

    def told(kind: str) -> list[dict[str, Any]]:
        return (
            [line for line in journal.read(path) if line["kind"] == kind] if path.exists() else []
        )

    def committed() -> bool:
        return any(line["weights"]["set"] for line in told("round"))

    async def start(netuid: int) -> None:
        await world.neuron(
            "validator", "validator", netuid, validator_state=str(path.parent),
            subnet_definition="two_rows:TwoRows",
        )  # fmt: skip

    async with founded(world, validator) as (chain, netuid):
        for call in (
            admin("sudo_set_commit_reveal_weights_enabled", netuid=netuid, enabled=True),
            admin("sudo_set_max_allowed_uids", netuid=netuid, max_allowed_uids=64),
            admin("sudo_set_mechanism_count", netuid=netuid, mechanism_count=2),
            admin("sudo_set_weights_set_rate_limit", netuid=netuid, weights_set_rate_limit=0),
            admin("sudo_set_tempo", netuid=netuid, tempo=LONG_TEMPO),
        ):
            await chain.submit(call, ALICE)
        await start(netuid)
        await world.until(committed)
        assert await world.end("validator", signal.SIGKILL) == -signal.SIGKILL
        (first,) = [line for line in told("round") if line["weights"]["set"]]
        report = first["weights"]
        assert report["read_back"] is None and report["others"]["1"]["commit"] is not None
        assert told("reveal") == []
        await start(netuid)
        await world.until(lambda: len(told("reveal")) >= 2)
        uid = await chain.find_uid(netuid, str(validator.hotkey.ss58_address))
        assert uid is not None
        rows = [await chain.weights(netuid, uid, mechanism=number) for number in (0, 1)]
    endings = [(line["round"], line["mechanism"], line["ending"]) for line in told("reveal")]
    assert set(endings) >= {(first["round"], number, "revealed") for number in (0, 1)}
    assert rows == [{0: 65535}, {0: 32768, 1: 65535}]


def test_a_file_of_an_older_program_is_read(tmp_path: Path) -> None:
    old = {
        "round": 1, "hotkey": HOTKEY.ss58_address, "netuid": 2, "row": {"7": 65535}, "salt": [1, 2],
        "version": 0, "sent": 9, "seats": {"7": "5You"}, "block": 11, "epoch": 3,
        "reveal_round": None, "problem": None,
    }  # fmt: skip
    sealed = old | {"salt": None, "reveal_round": 77}
    path = tmp_path / "commits.json"
    path.write_text(json.dumps({"schema": 1, "commits": [old, sealed]}))
    meant = Pending(1, HOTKEY.ss58_address, 2, {7: 65535}, (1, 2), 0, 9, {7: "5You"}, 11, 3)
    commits = Commits(path)
    assert commits.pending == (meant, dataclasses.replace(meant, salt=None, reveal_round=77))
    assert {commit.mechanism for commit in commits.pending} == {0}
    second = dataclasses.replace(meant, salt=None, mechanism=1)
    commits.put(second)
    assert json.loads(path.read_bytes())["schema"] == 2
    assert len(Commits(path).pending) == 3  # two sealed in one block, one a mechanism
