"""kill -9 a real validator at random points of its rounds: nothing that was shown is lost.

A devnet, miners that answer, and one validator process after the other on the same folder. Odd
kills aim at the time between the ledger's transaction and the journal's line, the others at any
moment from the start on.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.policy import AnyPolicy
from tests.neurons.parrot import Parrot, Said, Say
from tests.neurons.test_neuron_processes import World, founded, player, set_tempo, world
from validators import journal

__all__ = ["world"]

ROOT = Path(__file__).parents[2]
MINERS = 3
KILLS = 50


@asynccontextmanager
async def miners(players: list[Any], chain: Any, netuid: int) -> AsyncIterator[None]:
    """Miners that answer, published on the chain."""

    async def answer(challenge: Say, caller: Caller) -> Said:
        return Said(text=challenge.text)

    async with AsyncExitStack() as stack:
        for one in players:
            axon = Axon(one.hotkey, policy=AnyPolicy())
            axon.handle(Parrot.path, Say, Said, answer)
            host, port = await axon.start(one.host, 0)
            stack.push_async_callback(axon.stop, 0.1)
            await chain.serve_axon(one.hotkey, netuid, host, port)
        yield


def rounds_in(state: Path) -> list[dict[str, Any]]:
    path = state / "journal.jsonl"
    lines = list(journal.read(path)) if path.exists() else []
    return [line for line in lines if line["kind"] == "round"]


def remembered(state: Path) -> dict[int, dict[str, tuple[float, str]]]:
    """By round what the ledger holds of each hotkey; the validator must not run."""
    with sqlite3.connect(f"file:{state / 'ledger.sqlite'}?mode=ro", uri=True) as db:
        found: dict[int, dict[str, tuple[float, str]]] = {
            int(number): {} for (number,) in db.execute("SELECT round FROM rounds")
        }
        for number, hotkey, score, reason in db.execute(
            "SELECT round, hotkey, score, reason FROM outcomes"
        ):
            found[number][hotkey] = (score, reason)
    db.close()
    return found


def is_seated(world: World, name: str) -> bool:  # noqa: F811
    return "has seat" in world.log(name)


async def ended(world: World, name: str) -> None:  # noqa: F811
    """Ask it to end, and give it time: how long it takes is tested elsewhere."""
    process = world.processes.pop(name)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def until_held(state: Path, seconds: float) -> None:
    """Until a round is between ledger and journal, or it takes too long."""
    deadline = time.monotonic() + seconds
    while not (state / "journal.jsonl.held").exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.0005)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_at_random_points(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  shown by pytest when it fails
    rng = random.Random(seed)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    state = world.folder / "state"
    settings = {
        "validator_state": str(state),
        "validator_rounds_per_epoch": "4",
        "validator_in_flight": "8",
        "validator_explain_port": "0",
        "subnet_definition": "tests.neurons.parrot:Parrot",
    }
    crew = [player(world, 2 + n, f"miner{n}", "miner") for n in range(MINERS)]
    boss = player(world, 20, "validator", "validator", stake=100)
    shown: dict[int, str] = {}
    async with founded(world, *crew, boss) as (chain, netuid), miners(crew, chain, netuid):
        await set_tempo(chain, netuid)
        await world.neuron("first", "validator", netuid, network_wallet="validator", **settings)
        await world.until(lambda: len(rounds_in(state)) >= 1)
        assert "miners can ask about themselves" in world.log("first")
        await ended(world, "first")
        for attempt in range(KILLS):
            name = f"run{attempt}"
            await world.neuron(name, "validator", netuid, network_wallet="validator", **settings)
            if attempt % 10:  # or while it starts
                await world.until(functools.partial(is_seated, world, name))
            if attempt % 2:
                await until_held(state, 5.0)
                await asyncio.sleep(rng.choice((0.0, 0.0, 0.001, 0.01, 0.1)))
            else:
                await asyncio.sleep(rng.uniform(0.0, 2.5))
            assert await world.end(name, signal.SIGKILL) == -signal.SIGKILL
            # What was on the disk once stays as it was.
            now = {line["round"]: json.dumps(line) for line in rounds_in(state)}
            assert {number: now.get(number) for number in shown} == shown
            shown = now
            told = [line for line in world.log(name).splitlines() if " answered, weights " in line]
            saved = [int(line.partition("round ")[2].partition(",")[0]) for line in told]
            assert set(saved) <= set(now)
        before = max(shown)
        await world.neuron("last", "validator", netuid, network_wallet="validator", **settings)
        await world.until(lambda: rounds_in(state)[-1]["round"] >= before + 2)
        await ended(world, "last")
        uids = {n.hotkey: n.uid for n in (await chain.metagraph(netuid)).neurons}
    lines = rounds_in(state)
    assert {line["round"]: json.dumps(line) for line in lines if line["round"] in shown} == shown
    numbers = [line["round"] for line in lines]
    assert numbers == list(range(1, len(numbers) + 1))
    # Ledger and journal tell of the same rounds, and of the same scores in them.
    told_by_journal = {
        line["round"]: {
            reply["hotkey"]: (reply["score"], reply["reason"]) for reply in line["replies"]
        }
        for line in lines
    }
    assert told_by_journal == remembered(state)
    # No weights before somebody was judged, and none for who was not.
    judged: set[int] = set()
    for line in lines:
        judged |= {uids[reply["hotkey"]] for reply in line["replies"] if reply["score"] > 0}
        if line["weights"]["set"] and not line["weights"]["burned"]:
            assert {int(uid) for uid in line["weights"]["meant"]} <= judged
    runs = {line["run"] for line in lines}
    recovered = sum(line.get("recovered", False) for line in lines)
    print(f"{len(lines)} rounds in {len(runs)} runs, {recovered} recovered")  # noqa: T201
    assert "a bug" not in "".join(world.log(f"run{n}") for n in range(KILLS))
    assert Keypair.create_from_uri("//validator//hotkey").ss58_address == lines[0]["validator"]
