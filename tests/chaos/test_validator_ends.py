"""A real validator is asked to end, has no room left, or hears nothing more from the chain.

Wherever that meets it, it ends in time with the exit code that says why, or goes on; and then
ledger and journal tell of the same rounds.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin
from subnet.cli import exits
from tests.chaos.siege import (
    AIMS,
    MOMENT_S,
    Crew,
    Ledger,
    aim,
    ensure_agree,
    held_in,
    is_posting,
    lines_in,
    points,
    saved_by,
    settings_of,
    shorten_epochs,
    told_by,
)
from tests.client.test_half_dead import Proxy
from tests.neurons.test_neuron_processes import World, founded, player, world
from tests.operations.test_alerts import webhook
from validators.journal import MIB, Journal

__all__ = ["world"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MINERS = 3
ENDINGS = 15


@asynccontextmanager
async def subnet(world: World) -> AsyncIterator[tuple[Chain, int, Crew]]:  # noqa: F811
    """Miners that answer, and a validator's seat."""
    players = [player(world, 2 + n, f"miner{n}", "miner") for n in range(MINERS)]
    boss, crew = player(world, 20, "validator", "validator", stake=100), Crew()
    async with (
        founded(world, *players, boss) as (chain, netuid),
        crew.serving(players, chain, netuid),
    ):
        await shorten_epochs(chain, netuid)
        yield chain, netuid, crew


async def test_asked_to_end_at_random_points(world: World) -> None:  # noqa: F811
    rng = points()
    state = world.folder / "state"
    async with subnet(world) as (_, netuid, crew):
        for attempt, at in enumerate(AIMS * (ENDINGS // len(AIMS))):
            name = f"run{attempt}"
            await world.neuron(name, "validator", netuid, **settings_of(state))
            await aim(at, rng, world, name, state, crew)
            code = await world.end(name)
            log = world.log(name)
            # Before it listens for signals, the system ends it; afterwards it ends itself.
            assert code == 0 or (code == -signal.SIGTERM and not log), (at, code, log)
            assert "Traceback" not in log, log
            if "cut off;" in log:  # what took too long is finished by the next start
                continue
            lines, ledger = lines_in(state), Ledger.read(state, world.folder / "copy")
            assert held_in(state) is None
            assert saved_by(log) <= set(told_by(lines))
            ensure_agree(lines, ledger)
        before = len(told_by(lines_in(state)))
        await world.neuron("last", "validator", netuid, **settings_of(state))
        await world.until(lambda: len(told_by(lines_in(state))) >= before + 2)
        assert await world.end("last") == 0
    ensure_agree(lines_in(state), Ledger.read(state, world.folder / "copy"))


@pytest.mark.parametrize("full", ["ledger", "journal"])
async def test_a_disk_that_is_full(world: World, full: str) -> None:  # noqa: F811
    """Files cannot grow any more: it ends with 9 and says so; with room again it goes on."""
    state = world.folder / "state"
    path = state / "journal.jsonl"
    if full == "journal":  # the largest file is the first that the limit meets
        with Journal(path) as journal:
            journal.append({"kind": "note", "text": "x" * 8 * MIB})

    def size() -> int:
        return max(one.stat().st_size for one in state.iterdir())

    async with subnet(world) as (_, netuid, _), webhook(200) as (url, got):
        settings = settings_of(state) | {"validator_alerts": url}
        await world.neuron("full", "validator", netuid, **settings)
        await world.until(lambda: len(told_by(lines_in(state))) >= 2)
        shown = lines_in(state)
        limit = size() + 1000
        resource.prlimit(world.processes["full"].pid, resource.RLIMIT_FSIZE, (limit, limit))
        assert await world.ended("full") == exits.STATE, world.log("full")
        assert "a bug" not in world.log("full")
        assert [alert["kind"] for alert in got] == ["ended"]
        assert (str(path) if full == "journal" else "ledger.sqlite") in got[0]["text"]

        lines = lines_in(state)
        assert lines[: len(shown)] == shown
        await world.neuron("again", "validator", netuid, **settings)
        before = len(told_by(lines))
        await world.until(lambda: len(told_by(lines_in(state))) >= before + 2)
        assert await world.end("again") == 0
    lines = lines_in(state)
    assert lines[: len(shown)] == shown
    ensure_agree(lines, Ledger.read(state, world.folder / "copy"))


async def test_a_chain_that_falls_silent_in_every_stage(world: World) -> None:  # noqa: F811
    """The connection stays open, and nothing comes over it: a new one is made, rounds go on."""
    state = world.folder / "state"
    node = world.url
    async with subnet(world) as (_, netuid, crew), Proxy(node).open() as proxy:
        world.url = proxy.url

        def landed() -> int:
            return sum(line["kind"] == "round" and line["weights"]["read_back"] is True
                       for line in lines_in(state))  # fmt: skip

        await world.neuron("validator", "validator", netuid, **settings_of(state))
        await world.until(lambda: landed() >= 1)
        for at in ("asking", "held", "waiting", "sealing"):
            asked = crew.heard.total()
            if at == "asking":
                await world.until(lambda: crew.heard.total() > asked, pause_s=MOMENT_S)  # noqa: B023
            elif at == "held":
                await world.until((state / "journal.jsonl.held").exists, pause_s=MOMENT_S)
            elif at == "sealing":
                await world.until(lambda: is_posting(state), pause_s=MOMENT_S)
            else:
                await world.until(lambda: held_in(state) is None, pause_s=MOMENT_S)
                await asyncio.sleep(0.3)
            connections, said = proxy.connections, len(world.log("validator"))
            proxy.silence()
            await world.until(lambda: proxy.connections > connections)  # noqa: B023
            log, before = world.log("validator")[said:], landed()
            # While a block is waited for, the SDK's pings may find out before a read has.
            assert "no answer within" in log or "keepalive ping timeout" in log, (at, log)
            await world.until(lambda: landed() > before)  # noqa: B023
        assert await world.end("validator") == 0
        world.url = node
    ensure_agree(lines_in(state), Ledger.read(state, world.folder / "copy"))


IN_A_HURRY = """
from subnet.cli.app import main
from validators import validator

validator.LEAST_LIMIT_S = 0.0  # short epochs alone are no reason to end; here they are
main()
"""


async def test_weights_that_do_not_land_end_it_and_are_told(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The chain asks for a version of weights that this validator does not set."""
    async with subnet(world) as (chain, netuid, _), webhook(200) as (url, got):
        call = admin("sudo_set_weights_version_key", netuid=netuid, weights_version_key=7)
        await chain.submit(call, Keypair.create_from_uri("//Alice"))
        settings = settings_of(world.folder / "state") | {
            "validator_alerts": url,
            "validator_not_landed_epochs": "1",
        }
        monkeypatch.setattr(world, "program", ("-c", IN_A_HURRY))
        await world.neuron("hopeless", "validator", netuid, **settings)
        assert await world.ended("hopeless") == exits.NOT_LANDED, world.log("hopeless")
    kinds = [alert["kind"] for alert in got]
    assert "weights_refused" in kinds and kinds[-1] == "ended"
    assert kinds.count("weights_not_landed") == 1 and kinds.count("ended") == 1
    assert "weights" in got[-1]["text"] and got[-1]["netuid"] == netuid
