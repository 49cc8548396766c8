"""Where not every answer is looked at: who is, is the chain's draw, and an audit draws again."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chain.client import Chain
from chain.types import AccountId
from scoring.evidence import Trial
from scoring.policies import Memory
from scoring.verify.statement import Outcome, Statement
from subnet.definition import Judgement, load
from subnet.errors import DefinitionError
from subnet.protocol import Reply, Task
from tests.client.conftest import Devnet as Node
from tests.patience import until
from tests.prompts.test_audit import flaws, of
from tests.prompts.town import Sum, Sums, Total, Town, town
from validators.audit import Flaw
from validators.drawing import Beacon, next_beacon

TRIAL = Trial(false_ban=0.001, invalid=5.0, unknown=0.0, sentence=8)


class Drawn(Sums):
    """Looks at half of the answers; who is wrong there is soon banned."""

    audit_rate: ClassVar[float] = 0.5
    memory = Memory(trial=TRIAL)

    async def score(self, task: Task[Sum], reply: Reply[Total]) -> Judgement:
        judgement = await super().score(task, reply)
        nats = -1.0 if judgement.score == 1.0 else 4.0
        said = Statement("sum", Outcome.MEASURED, "", nats)
        return dataclasses.replace(judgement, statements=(said,))


class Often(Drawn):
    audit_rate = 1.5


class Never(Drawn):
    audit_rate = 0.0


class Unpunished(Drawn):
    memory = Memory()


def entries(line: dict[str, Any], uid: int) -> list[dict[str, Any]]:
    return [entry for entry in line["replies"] if entry["uid"] == uid]


async def test_a_draw_and_what_can_be_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(
        tmp_path, monkeypatch, Drawn(), tasks_per_round=12, rounds_per_epoch=2
    ) as place:
        epoch = await place.epochs()
        found = await place.audit(epoch)
        assert (found.verdict, found.differences, found.unchecked) == ("honest", [], [])
        line = of(place.lines(), epoch)
        right, wrong = sorted({entry["uid"] for entry in line["replies"]})

        # Each as the chain's own hash has it, and the hash is of a block after the answers.
        beacon = Beacon.of(line["beacon"])
        assert beacon.hash == await place.chain.block_hash(beacon.block)
        assert line["block"] <= beacon.answered_at < beacon.block
        for entry in line["replies"]:
            hotkey = bytes(AccountId.from_ss58(entry["hotkey"]))
            drawn = beacon.draws(entry["task"], hotkey)
            assert entry.get("audited", True) is drawn
            if not drawn:
                assert (entry["score"], entry["reason"]) == (1.0, "trusted")
                assert "statements" not in entry
        # Of 48, none would be drawn, or all, once in 10^14 runs.
        kinds = {entry.get("audited", True) for entry in _all(place, epoch)}
        assert kinds == {True, False}

        # What nobody looked at was paid, until what somebody did was enough.
        assert all(entry["reason"] in ("wrong", "trusted") for entry in entries(line, wrong))
        hotkey = entries(line, wrong)[0]["hotkey"]
        assert (line["scores"][hotkey], line["withheld"][hotkey]) == (0.0, "banned")
        assert line["scores"][entries(line, right)[0]["hotkey"]] == 1.0
        assert set(line["weights"]["found"]) == {str(right)}

        await _planted(place, epoch)

        # By what miners signed for, the draw was there before they were asked.
        monkeypatch.setattr("validators.audit.drawn.CLOCKS_S", -3600.0)
        found = await place.audit(epoch)
        assert (found.verdict, len(found.unchecked)) == ("incomplete", 2)
        assert f"24 of 24 were asked when block {beacon.block} was there" in found.unchecked[-1]


def _all(place: Town, epoch: int) -> list[dict[str, Any]]:
    rounds = [line for line in place.lines() if (line["kind"], line["epoch"]) == ("round", epoch)]
    return [entry for line in rounds for entry in line["replies"]]


async def _planted(place: Town, epoch: int) -> None:
    """What a validator could try that wants to look away, or only at some."""
    lines = place.lines()

    def line(told: list[dict[str, Any]]) -> dict[str, Any]:
        return of(told, epoch)

    spared = copy.deepcopy(lines)
    entry = next(e for e in line(spared)["replies"] if e["reason"] == "wrong")
    entry |= {"audited": False, "score": 1.0, "reason": "trusted", "statements": []}
    ((flaw, where), *_) = await flaws(place, epoch, spared)
    assert flaw is Flaw.DRAWN and entry["task"] in where and entry["hotkey"] in where

    harried = copy.deepcopy(lines)
    entry = next(e for e in line(harried)["replies"] if not e.get("audited", True))
    del entry["audited"]
    ((flaw, where), *_) = await flaws(place, epoch, harried)
    assert flaw is Flaw.DRAWN and entry["task"] in where

    invented = copy.deepcopy(lines)
    line(invented)["beacon"]["hash"] = "0x" + "5a" * 32
    found = await flaws(place, epoch, invented)
    assert (Flaw.DRAWN, "the hash of block") in [
        (flaw, where.partition(": ")[2][:17]) for flaw, where in found
    ]

    # A real hash, of a block that was known before the round began.
    early = copy.deepcopy(lines)
    block = line(early)["block"]
    line(early)["beacon"] |= {
        "block": block, "answered_at": block - 1, "hash": await place.chain.block_hash(block)
    }  # fmt: skip
    ((flaw, where), *_) = await flaws(place, epoch, early)
    assert flaw is Flaw.DRAWN and f"block {block}" in where

    for change in ({"rate": 0.25}, {"rate": 2.0}, {"block": "?"}, {"hash": "0xno"}):
        other = copy.deepcopy(lines)
        line(other)["beacon"] |= change
        ((flaw, _), *_) = await flaws(place, epoch, other)
        assert flaw is Flaw.DRAWN

    none = copy.deepcopy(lines)
    del line(none)["beacon"]
    ((flaw, where), *_) = await flaws(place, epoch, none)
    assert flaw is Flaw.DRAWN and "share of answers" in where


async def test_a_chain_that_goes_away_once_the_answers_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    node = Node(tmp_path)
    await node.start()
    try:
        async with Chain.connect(node.url) as chain:
            before = await chain.block()
            await node.hang_up()
            drawing = asyncio.create_task(next_beacon(chain, 0.5))
            await until(lambda: "will be drawn by a later block" in caplog.text)
            assert not drawing.done()
            await node.start()
            beacon = await drawing
            assert before < beacon.block == beacon.answered_at + 1
            assert beacon.hash == await chain.block_hash(beacon.block)
            # The node that gave the round its block was ahead of this one.
            ahead = beacon.block + 20
            assert (await next_beacon(chain, 0.5, since=ahead)).answered_at >= ahead
    finally:
        await node.kill()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("Often", "not above 0"), ("Never", "not above 0"), ("Unpunished", "needs a trial")],
)
def test_a_rate_that_pays_cheats_is_refused(name: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        load(f"tests.prompts.test_drawn:{name}")


def test_a_rate_that_is_one() -> None:
    assert load("tests.prompts.test_drawn:Drawn").audit_rate == 0.5
