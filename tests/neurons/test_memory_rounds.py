"""Rounds of a real validator whose subnet has policies of its own: bans, folding, a swapped key."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest
from bittensor_core import Keypair

from chain.client.calls import Call
from scoring.evidence import Trial
from scoring.policies import Memory, Ramp, Window
from scoring.verify.statement import Outcome, Statement
from subnet.definition import Judgement
from subnet.protocol import Reply, Task
from subnet.wire.dendrite import Dendrite
from tests.neurons.ground import open_bench, settings_of
from tests.neurons.parrot import Parrot, Said, Say
from tests.neurons.test_neuron_processes import World, founded, player, set_tempo, world
from tests.patience import PATIENCE_S
from validators import journal
from validators.loop import next_moment, run_round

__all__ = ["world"]  # the fixture

INVALID = Statement("form", Outcome.INVALID, "the proof has another form")


class Strict(Parrot):
    """A parrot's subnet that remembers: newcomers climb, whoever sends an invalid proof is out."""

    memory: ClassVar[Memory | None] = Memory(
        mean=Window(8),
        ramp=Ramp(2),
        trial=Trial(false_ban=1e-6, invalid=20.0, unknown=0.0, sentence=16),
    )

    def __init__(self, cheat: str) -> None:
        self.cheat = cheat

    async def score(  # type: ignore[override]  # a subnet may return either
        self, task: Task[Say], reply: Reply[Said]
    ) -> Judgement:
        score = await super().score(task, reply)
        cheats = reply.hotkey == self.cheat
        return Judgement(score, statements=(INVALID,) if cheats else ())


async def test_policies_decide_what_a_validator_pays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    one, cheat = player(world, 2, "one", "miner"), player(world, 4, "cheat", "miner")
    twin = dataclasses.replace(player(world, 3, "twin", "miner"), coldkey=one.coldkey)
    validator = player(world, 5, "validator", "validator", stake=100)
    first, second, third = (str(who.hotkey.ss58_address) for who in (one, twin, cheat))
    # Of equals the first by name is paid.
    paid, folded = sorted([first, second])
    subnet = Strict(third)
    async with founded(world, one, twin, cheat, validator) as (chain, netuid):
        settings = settings_of(netuid, weights={"coldkey_seats": 1})
        await set_tempo(chain, netuid)
        for miner in (one, twin, cheat):
            await world.neuron(
                miner.name, "miner", netuid, miner_host=miner.host, miner_port="0",
                subnet_definition="tests.neurons.parrot:Parrot",
            )  # fmt: skip
        async with Dendrite(validator.hotkey, allow_private=True) as dendrite:
            with open_bench(
                world.folder, settings, validator.hotkey, chain, subnet, dendrite=dendrite
            ) as bench:
                ledger = bench.ledger
                landed = False

                async def round_of(done: tuple[int, int] | None) -> tuple[int, int]:
                    nonlocal landed
                    moment = await next_moment(bench, done)
                    line = await run_round(bench, moment)
                    landed = line["weights"]["read_back"] is True
                    return moment.schedule.epochs, moment.part

                done = None
                async with asyncio.timeout(PATIENCE_S):
                    while len(ledger.history(third)) < 1 or len(ledger.history(first)) < 2:
                        done = await round_of(done)
                heir = str(Keypair.create_from_uri("//heir").ss58_address)
                swap = {"hotkey": third, "new_hotkey": heir, "netuid": netuid}
                await chain.submit(Call("SubtensorModule", "swap_hotkey", swap), cheat.coldkey)
                async with asyncio.timeout(PATIENCE_S):
                    while not (landed and ledger.bans(heir)):
                        done = await round_of(done)
                metagraph = await chain.metagraph(netuid)
                found = await chain.weights(netuid, _uid(metagraph, validator.hotkey))
                seats = {n.hotkey: n.uid for n in metagraph.neurons}
        lines = [line for line in journal.read(bench.journal.path) if line["kind"] == "round"]

    climbing = next(line for line in lines if line["scores"].get(paid) == 0.5)
    assert climbing["memory"][paid] == {"nats": 0.0, "mean": 1.0, "ramp": 0.5}
    assert climbing["withheld"][paid] == "new"
    judged = next(line for line in lines if line.get("withheld", {}).get(third) == "banned")
    assert judged["scores"][third] == 0.0
    (reply,) = [reply for reply in judged["replies"] if reply["hotkey"] == third]
    assert reply["score"] == 1.0  # what it said was right, and it is out all the same
    assert reply["statements"][0]["outcome"] == "invalid"
    assert [line["moved"] for line in lines if "moved" in line] == [{heir: third}]
    last = lines[-1]
    assert last["withheld"] == {folded: "folded", heir: "banned"}
    assert last["scores"] == {paid: 1.0, folded: 0.0, heir: 0.0}
    assert last["coldkeys"][first] == last["coldkeys"][second] == one.coldkey.ss58_address
    assert found == {seats[paid]: 65535}


def _uid(metagraph: object, hotkey: object) -> int:
    seat = metagraph.find(hotkey.ss58_address)  # type: ignore[attr-defined]
    assert seat is not None
    return int(seat.uid)
