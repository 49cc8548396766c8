"""A validator that judges with torch: miners on llama.cpp and on torch are paid alike."""

from __future__ import annotations

from typing import Any

import pytest

from scoring.verify.statement import Outcome
from tests.neurons import test_neuron_processes
from tests.neurons.test_neuron_processes import World, founded, player, set_tempo, world
from validators import journal

pytest.importorskip("torch", reason="needs the torch extra")
pytest.importorskip("transformers", reason="needs the torch extra")

__all__ = ["world"]
"""The fixture."""

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]


async def test_miners_on_either_engine_are_paid_alike_by_a_judge_on_torch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside other work torch takes a minute to open, in two processes.
    monkeypatch.setattr(test_neuron_processes, "PATIENCE_S", 400.0)
    players = {name: player(world, at, name, "miner") for name, at in (("llama", 2), ("torch", 3))}
    validator = player(world, 4, "validator", "validator", stake=100)
    async with founded(world, *players.values(), validator) as (chain, netuid):
        await set_tempo(chain, netuid)
        for name, who in players.items():
            engine = "torch" if name == "torch" else "llamacpp"
            await world.neuron(
                name, "miner", netuid, miner_host=who.host, miner_port="0",
                engine_kind=engine, engine_device="cpu",
            )  # fmt: skip
        await world.until(lambda: "is open on cpu in float32" in world.log("torch"))
        state = world.folder / "state"
        await world.neuron(
            "validator", "validator", netuid, validator_state=str(state),
            engine_kind="torch", engine_device="cpu",
        )  # fmt: skip
        await world.until(lambda: "is open on cpu in float32" in world.log("validator"))
        path = state / "journal.jsonl"

        def rounds() -> list[dict[str, Any]]:
            lines = journal.read(path) if path.exists() else ()
            return [line for line in lines if line["kind"] == "round"]

        def both_answered() -> list[dict[str, Any]]:
            return [line for line in rounds() if all(reply["ok"] for reply in line["replies"])]

        await world.until(
            lambda: len(both_answered()) > 1 and rounds()[-1]["weights"]["read_back"] is True
        )
        assert await world.end("validator") == 0
        metagraph = await chain.metagraph(netuid)
        uids = {neuron.hotkey: neuron.uid for neuron in metagraph.neurons}
        row = await chain.weights(netuid, uids[validator.hotkey.ss58_address])
    assert "no honest floor" not in world.log("validator")
    replies = [reply for line in both_answered() for reply in line["replies"]]
    assert {reply["hotkey"] for reply in replies} == {
        str(who.hotkey.ss58_address) for who in players.values()
    }
    assert min(reply["score"] for reply in replies) > 0.9
    for reply in replies:
        assert [said["check"] for said in reply["statements"]] == ["seedlock", "logprobs"]
        assert all(said["outcome"] == Outcome.MEASURED.value for said in reply["statements"])
    assert not any(line.get("withheld") for line in rounds())
    low, high = sorted(row[uids[who.hotkey.ss58_address]] for who in players.values())
    assert low > 0.95 * high
