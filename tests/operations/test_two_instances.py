"""Two instances with one lease: the leader is killed at its worst moment; one row a window."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin
from tests.neurons import unanswered
from tests.neurons.test_neuron_processes import World, founded, player, world
from tests.wire.redisserver import needs_redis, redis_server

__all__ = ["world"]  # the fixture

TEMPO = 120
ENOUGH_BLOCKS = 60  # for an heir to open its state, run a round and wait out the grace
LEASE_S = "10"  # a process that starts may not run its loop for seconds


async def rows_by_epoch(chain: Chain, netuid: int, first: int, last: int) -> Counter[int]:
    """How often weights were set in each epoch, in blocks `first` to `last`."""
    found: Counter[int] = Counter()
    for block in range(first, last + 1):
        events = await chain.events(block)
        count = sum(event.name == "WeightsSet" for event in events)
        if count:
            found[(await chain.schedule(netuid, block)).epochs] += count
    return found


@pytest.mark.slow
@needs_redis
async def test_the_leader_is_killed_after_its_claim_and_every_window_has_one_row(
    world: World, tmp_path: Path
) -> None:
    pytest.importorskip("redis", reason="needs subnetkit[redis]")
    # In the working folder, as an author's own: all weight is burned.
    shutil.copy(unanswered.__file__, tmp_path / "burning.py")
    validator = player(world, 4, "validator", "validator", stake=100)
    bank = Keypair.create_from_uri("//Alice")
    with redis_server(tmp_path) as redis:
        async with founded(world, validator) as (chain, netuid):
            for call in (
                admin("sudo_set_weights_set_rate_limit", netuid=netuid, weights_set_rate_limit=0),
                admin("sudo_set_tempo", netuid=netuid, tempo=TEMPO),
            ):
                await chain.submit(call, bank)  # no rate limit: the chain would take both rows
            names = ("one", "two")
            for name in names:
                await world.neuron(
                    name, "validator", netuid,
                    network_wallet="validator", validator_state=str(tmp_path / name),
                    validator_lease=redis.url, validator_lease_s=LEASE_S,
                    subnet_definition="burning:Unanswered",
                )  # fmt: skip
            await world.until(lambda: any("this instance leads" in world.log(n) for n in names))
            leader = next(n for n in names if "this instance leads" in world.log(n))
            heir = next(n for n in names if n != leader)
            await world.until(lambda: "waiting for its lease" in world.log(heir))

            window = f"subnet:{{{netuid}:{validator.hotkey.ss58_address}}}:window"
            await world.until(lambda: redis.ask(f"HSTRLEN {window} epoch") != b":0", pause_s=0.005)
            # It has claimed the window, and its row is sent, or just not.
            assert await world.end(leader, signal.SIGKILL) == -signal.SIGKILL
            killed = await chain.block()
            epoch = (await chain.schedule(netuid, killed)).epochs
            await world.until(lambda: "this instance leads, token 2" in world.log(heir))
            schedule = await chain.schedule(netuid)
            assert schedule.next_block is not None
            # On a slow machine the window may be over before the heir has begun.
            in_time = (schedule.epochs, True) == (
                epoch, schedule.block + ENOUGH_BLOCKS < schedule.next_block,
            )  # fmt: skip

            async def has_begun(number: int) -> bool:
                return (await chain.schedule(netuid)).epochs >= number

            for number in (epoch + 1, epoch + 2):
                await world.until(partial(has_begun, number), pause_s=1.0)
            rows = await rows_by_epoch(chain, netuid, killed - TEMPO, await chain.block())
            assert world.processes[heir].returncode is None, world.log(heir)
    assert rows[epoch] == 1 or not in_time, (rows, world.log(heir)[-3000:])
    assert rows[epoch + 1] == 1, (rows, world.log(heir)[-3000:])
    assert set(rows.values()) == {1}
