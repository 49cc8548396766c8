"""`subnet manifest`: what is printed is what the code and the chain do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chain.client import Chain
from chain.client.calls import admin
from chain.devnet import Devnet
from subnet.cli import exits
from subnet.cli.app import app
from tests.client.test_life_of_a_subnet import ALICE, found, key, tao

AUTHORS = '''
from subnet.definition import Subnet
from subnet.protocol import Answer, Challenge


class Say(Challenge):
    text: str


class Said(Answer):
    text: str
    sure: float = 1.0


class Two(Subnet[Say, Said]):
    """Pays the best, and on a second mechanism everybody.

    More of it, which is not printed.
    """

    challenge, answer = Say, Said
    groups = 3

    def tasks(self, seed): ...
    async def score(self, task, reply): ...
    def miner(self, options): ...

    def mechanisms(self, scores):
        return {0: {max(scores, key=scores.get): 1.0}, 1: dict.fromkeys(scores, 1.0)}


class Broken(Two):
    def mechanisms(self, scores):
        return {0: {uid: 1 / score for uid, score in scores.items()}}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an author's module and public settings, half of all weight burned."""
    (tmp_path / "authors_own.py").write_text(AUTHORS)
    (tmp_path / "subnet.toml").write_text(
        "[subnet]\ndefinition = 'authors_own:Two'\n[weights]\nburn = 0.5\ncoldkey_seats = 2\n"
        "[hyperparameters]\ntempo = 20\nmax_validators = 64\n[validator]\nrounds_per_epoch = 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def manifest(*options: str, code: int = 0) -> str:
    """stdout, or stderr where that is all there is."""
    done = CliRunner().invoke(app, ["manifest", *options])
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    assert bool(done.stdout) != bool(done.stderr)
    return done.stdout or done.stderr


def test_the_text_tells_who_is_paid_and_what_is_burned(folder: Path) -> None:
    lines = manifest().splitlines()
    assert "pays for    Pays the best, and on a second mechanism everybody." in lines
    assert "burned      50.0% of all weight, to the owner's seat" in lines
    assert "coldkey     the best 2 of one coldkey are paid" in lines
    assert "questions   3 groups" in lines
    assert "answer      text, sure" in lines
    assert "looked at   every answer" in lines
    (best,) = [line.split() for line in lines if line.startswith("pay 0")]
    assert best == ["pay", "0", "50.0%", *["0.0%"] * 10]
    (each,) = [line.split() for line in lines if line.startswith("pay 1")]
    assert each == ["pay", "1", *["4.5%"] * 11]


def test_what_makes_no_weights_is_named(folder: Path) -> None:
    said = manifest("--definition", "authors_own:Broken", code=exits.USAGE)
    assert "authors_own:Broken" in said
    assert "ZeroDivisionError" in said


def test_the_template_is_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = json.loads(manifest("--json"))
    assert told["definition"].endswith(":Inference")
    assert told["seed_locked"] is True
    assert told["challenge"]["properties"]["seed"]["pattern"]
    assert told["burn"] == 0.0
    assert sum(told["pay"]["0"]) == pytest.approx(1.0)


async def test_beside_what_the_chain_says(folder: Path) -> None:
    def ask(*more: str, code: int = 0) -> Any:
        options = ("--network", node.url, "--netuid", str(netuid), "--compare", *more)
        return asyncio.to_thread(manifest, *options, code=code)

    async with Devnet() as node, Chain.connect(node.url) as chain:
        netuid = await found(chain)
        cold, hot = key("Validator"), key("Validator//hot")
        judge = await chain.register(cold, netuid, hot.ss58_address)
        paid = await chain.register(key("Miner"), netuid, key("Miner//hot").ss58_address)
        await chain.add_stake(cold, hot.ss58_address, netuid, tao(20))
        await chain.submit(admin("sudo_set_tempo", netuid=netuid, tempo=20), ALICE)
        before = json.loads(await ask("--json"))["chain"]
        assert (before["netuid"], before["seats"], before["owner_share"]) == (netuid, 3, None)
        assert before["differences"] == [["max_validators", 64, 1]]

        await _epoch(node, chain, netuid)
        await chain.set_weights(hot, netuid, {paid: 0.75, 0: 0.25, judge: 0})
        await _epoch(node, chain, netuid)
        text = (await ask()).splitlines()
        assert "owner got   25.0% of the last epoch's incentive, which is burned" in text
        assert "differs     max_validators is 1; [hyperparameters] says 64" in text
    assert "error:" in await ask(code=exits.CHAIN_AWAY)


async def _epoch(node: Devnet, chain: Chain, netuid: int) -> None:
    schedule = await chain.schedule(netuid)
    assert schedule.next_block is not None
    await node.mine(schedule.next_block - schedule.block)
    await chain.wait_for_block(schedule.next_block)
