"""A flood from one address, and a validator at another that loses nothing by it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

from benchmarks import flood
from subnet.wire.axon import Axon
from subnet.wire.limits import Limits
from subnet.wire.policy import PermitPolicy
from tests.wire.world import Echo, Question, echo

FLOOD_S = 1.5


@contextlib.asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[tuple[Axon, int]]:
    policy = PermitPolicy(1)
    policy.update({flood.VALIDATOR.ss58_address: (1, True)})
    axon = Axon(flood.MINER, policy=policy, limits=limits)
    axon.handle("/echo", Question, Echo, echo)
    _, port = await axon.start(flood.HOST, 0)
    try:
        yield axon, port
    finally:
        await axon.stop(0.2)


async def test_the_flooder_costs_a_validator_no_question() -> None:
    # A question takes a hundredth of a second under the flood; twenty of them are well within.
    limits = Limits()
    async with serving(limits) as (axon, port):

        async def flooding() -> tuple[Counter[str], float]:
            """It goes on until it was one: the most were turned away, by count and not by time."""
            heard: Counter[str] = Counter()
            begun = time.monotonic()
            while (
                heard["429"] + heard["cut"] <= 5 * limits.ip_burst
                or axon.counters.refused["rate_limited"] <= 1000
            ):
                heard += await asyncio.to_thread(flood.flood, flood.HOST, port, FLOOD_S)
            return heard, time.monotonic() - begun

        async with asyncio.timeout(120):
            heavy = asyncio.create_task(flooding())
            took, lost = await flood.measure(port, 20, 20.0)
            heard, lasted = await heavy
        assert (len(took), lost) == (20, [])
        # And no more were served than the address has tokens.
        assert limits.ip_burst / 2 < heard["429"] < 2 * limits.ip_burst + limits.ip_rate * lasted
        assert axon.counters.requests <= 20 + limits.ip_burst + limits.ip_rate * 10 * lasted


async def test_the_botnet_that_fills_the_places_keeps_no_regular_caller_out() -> None:
    """Each of its addresses holds one connection, and sends a byte now and then."""
    async with serving(Limits(connections=8, ip_connections=2)) as (axon, port):
        assert (await flood.measure(port, 1, 10.0))[1] == []
        writers = []
        for number in range(1, 21):
            source = (f"127.0.1.{number}", 0)
            _, writer = await asyncio.open_connection(flood.HOST, port, local_addr=source)
            writer.write(b"P")
            writers.append(writer)
        async with asyncio.timeout(10):
            while axon.counters.refused["too_many_connections"] < 14:
                await asyncio.sleep(0.01)
        took, lost = await flood.measure(port, 3, 20.0)
        assert (len(took), lost) == (3, [])
        for writer in writers:
            writer.close()


async def test_without_a_limit_by_address_the_flood_is_served() -> None:
    """The control: what holds the flood off is the limit, and nothing else."""
    limits = Limits(ip_rate=1e9, ip_burst=10**9, ip_connections=1000)
    async with serving(limits) as (axon, port):
        heard: Counter[str] = Counter()
        async with asyncio.timeout(60):
            while not heard["403"] and not heard["429"]:  # two threads share one busy processor
                heard += await asyncio.to_thread(flood.flood, flood.HOST, port, 0.5)
        assert heard["429"] == 0 and heard["403"] > 0
        assert axon.counters.refused["not_registered"] > 0
