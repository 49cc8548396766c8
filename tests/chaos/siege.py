"""A real validator under attack: its miners, its files, and the moments it can be met at."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.policy import AnyPolicy
from tests.chaos.grader import Grader
from tests.neurons.parrot import Said, Say
from tests.neurons.test_neuron_processes import World
from validators import journal

AIMS = ("start", "ask", "hold", "weigh", "any")
ANSWER_S = 0.3
TEMPO = 20
HALF_LIFE = 8.0
MOMENT_S = 0.0005
"""The moments looked for here are short: it is looked so often."""

Outcomes = Mapping[int, Mapping[str, tuple[float, str]]]
"""By round and hotkey: a score, and the reason of it."""


def settings_of(state: Path) -> dict[str, str]:
    """Of a validator with two rounds in each short epoch, whose state is in `state`."""
    return {
        "network_wallet": "validator",
        "validator_state": str(state),
        "validator_rounds_per_epoch": "2",
        "validator_in_flight": "8",
        "validator_explain_port": "0",
        "validator_first_weights": "1.0",
        "weights_half_life_rounds": str(HALF_LIFE),
        "subnet_definition": "tests.chaos.grader:Grader",
    }


async def shorten_epochs(chain: Chain, netuid: int) -> None:
    """Begin a cycle of short ones."""
    tempo = admin("sudo_set_tempo", netuid=netuid, tempo=TEMPO)
    await chain.submit(tempo, Keypair.create_from_uri("//Alice"))


@dataclass
class Crew:
    """Miners in this process, and what they have heard."""

    heard: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a hotkey was asked a text."""

    @asynccontextmanager
    async def serving(self, players: list[Any], chain: Chain, netuid: int) -> AsyncIterator[None]:
        """Publish and answer; each says something of its own."""
        async with AsyncExitStack() as stack:
            for one in players:
                axon = Axon(one.hotkey, policy=AnyPolicy())
                axon.handle(Grader.path, Say, Said, self._answer(str(one.hotkey.ss58_address)))
                host, port = await axon.start(one.host, 0)
                stack.push_async_callback(axon.stop, 0.1)
                await chain.serve_axon(one.hotkey, netuid, host, port)
            yield

    def _answer(self, hotkey: str) -> Any:
        async def answer(challenge: Say, caller: Caller) -> Said:
            self.heard[hotkey, challenge.text] += 1
            await asyncio.sleep(ANSWER_S)
            return Said(text=f"{challenge.text} {hotkey}")

        return answer


@dataclass
class Ledger:
    """What a ledger's files hold, read from a copy: the validator's own are not touched."""

    rounds: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By round the run and the block it began at."""
    outcomes: dict[int, dict[str, tuple[float, str]]] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)
    evidence: dict[str, tuple[float, float, int, int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, state: Path, copy: Path) -> Ledger:
        found = cls()
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            if (state / name).exists():
                shutil.copy(state / name, copy / name)
        with closing(sqlite3.connect(copy / "ledger.sqlite")) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcomes'").fetchone():
                return found  # killed before its first transaction
            for number, run, block in db.execute("SELECT round, run, block FROM rounds"):
                found.rounds[number], found.outcomes[number] = (run, block), {}
            for number, hotkey, score, reason, answered in db.execute(
                "SELECT round, hotkey, score, reason, answered FROM outcomes"
            ):
                assert hotkey not in found.outcomes[number]  # one question a round
                found.outcomes[number][hotkey] = (score, reason)
                found.answered[hotkey] += answered
            for hotkey, *row in db.execute(
                "SELECT hotkey, total, weight, round, questions, answers FROM evidence"
            ):
                found.evidence[hotkey] = tuple(row)
        return found

    def ensure_counted_once(self) -> None:
        """What is remembered of everybody is what the outcomes come to, each taken once."""
        for hotkey, (total, weight, last, questions, answers) in self.evidence.items():
            scores = {
                number: outcomes[hotkey][0]
                for number, outcomes in self.outcomes.items()
                if hotkey in outcomes
            }
            fades = {number: 0.5 ** ((last - number) / HALF_LIFE) for number in scores}
            assert (last, questions, answers) == (
                max(scores), len(scores), self.answered[hotkey]
            )  # fmt: skip
            assert weight == pytest.approx(sum(fades.values()))
            assert total == pytest.approx(sum(scores[n] * fades[n] for n in scores))


def lines_in(state: Path) -> list[dict[str, Any]]:
    path = state / "journal.jsonl"
    return list(journal.read(path)) if path.exists() else []


def told_by(lines: list[dict[str, Any]]) -> Outcomes:
    return {
        line["round"]: {
            reply["hotkey"]: (reply["score"], reply["reason"]) for reply in line["replies"]
        }
        for line in lines
        if line["kind"] == "round"
    }


def held_in(state: Path) -> dict[str, Any] | None:
    path = state / "journal.jsonl.held"
    return json.loads(path.read_bytes()) if path.exists() else None


def points() -> random.Random:
    """Where to strike: other points in every run, and the same ones again by KILL_SEED."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(2**32))
    print(f"KILL_SEED={seed}")  # noqa: T201  shown by pytest when it fails
    return random.Random(seed)


async def aim(
    at: str, rng: random.Random, world: World, name: str, state: Path, crew: Crew
) -> None:
    """Wait for a random point of what is aimed at."""
    if at == "start":
        await asyncio.sleep(rng.uniform(0.0, 1.2))
        return
    await world.until(lambda: "has seat" in world.log(name), pause_s=MOMENT_S)
    asked = crew.heard.total()
    if at == "ask":
        await world.until(lambda: crew.heard.total() > asked, pause_s=MOMENT_S)
        await asyncio.sleep(rng.uniform(0.0, ANSWER_S))
    elif at == "any":
        await asyncio.sleep(rng.uniform(0.0, 3.0))
    else:
        await world.until((state / "journal.jsonl.held").exists, pause_s=MOMENT_S)
        await asyncio.sleep(rng.choice((0.0, 0.0, 0.001, 0.01)) if at == "hold" else rng.random())


def stage(log: str, held: Any, ledger: Ledger, told: Outcomes, lost: bool, sealed: Path) -> str:
    """Where a kill met the validator, by what it left behind."""
    if "has seat" not in log:
        return "starting" if held is None else "recovering"
    if held is not None:
        if held["round"] not in ledger.rounds:
            return "held"
        return "written" if held["round"] in told else "weighing"
    if lost:
        return "asking"
    return "sealing" if is_posting(sealed.parent) else "waiting"


def is_posting(state: Path) -> bool:
    """Whether questions are sealed whose root is not known to be on the chain."""
    path = state / "sealed.json"
    found = json.loads(path.read_bytes())["sealings"] if path.exists() else ()
    return any(item["block"] is None for item in found)


def saved_by(log: str) -> set[int]:
    """The rounds that a log shows as done."""
    done = [line for line in log.splitlines() if " answered, weights " in line]
    return {int(line.partition("round ")[2].partition(",")[0]) for line in done}


def ensure_agree(lines: list[dict[str, Any]], ledger: Ledger) -> None:
    """Ledger and journal tell of the same rounds, in a row, and of the same scores in them."""
    told = told_by(lines)
    assert list(told) == list(range(1, len(told) + 1))
    assert told == ledger.outcomes
    assert not {line["kind"] for line in lines} & {"lost", "rewound", "dropped"}
    ledger.ensure_counted_once()
