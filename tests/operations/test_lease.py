"""Instances of one validator take turns at a real Redis: one leads, and a window has one row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from subnet.errors import InvalidSetting, LeaseLost
from tests.patience import until
from tests.wire.redisserver import RedisServer, needs_redis, redis_server
from validators.lease import GRACE_BLOCKS, Lease, open_lease

pytest.importorskip("redis", reason="needs subnetkit[redis]")
pytestmark = needs_redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


class Instances:
    """Several instances of one validator."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self._server, self._stack = server, stack

    async def open(self, lease_s: float = 60.0, hotkey: str = "5V") -> Lease:
        opening = open_lease(self._server.url, netuid=2, hotkey=hotkey, lease_s=lease_s)
        return await self._stack.enter_async_context(opening)


async def test_one_leads_and_another_follows_with_a_higher_token(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(server, stack)
        first, second = await instances.open(), await instances.open(lease_s=1.0)
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        stranger = await instances.open(hotkey="5W")
        await stranger.acquire()  # another validator's lease is its own
        assert not waiting.done()
        await first.release()
        await waiting
        assert (first.token, second.token) == (1, 2)


async def test_who_does_not_renew_loses_it_and_may_not_claim(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(server, stack)
        first, second = await instances.open(lease_s=1.0), await instances.open(lease_s=60.0)
        await first.acquire()
        # The process stands still for longer than its lease: nothing renews.
        server.ask("DEL subnet:{2:5V}:lease")
        await second.acquire()
        with pytest.raises(LeaseLost):
            await first.claim(7, 100, 0)
        with pytest.raises(LeaseLost):
            await first.keep()
        assert await second.claim(7, 100, 0) is None


async def test_a_lease_that_is_renewed_is_kept(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(server, stack)
        first = await instances.open(lease_s=1.0)
        await first.acquire()
        keeping = asyncio.create_task(first.keep())
        server.ask("PEXPIRE subnet:{2:5V}:lease 100000")
        # A renewal sets it back to one second.
        await until(lambda: int((server.ask("PTTL subnet:{2:5V}:lease") or b":0")[1:]) <= 1000)
        assert not keeping.done()
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_a_claimed_window_is_waited_for_and_taken_when_nothing_came(
    server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(server, stack)
        dead, heir = await instances.open(), await instances.open()
        await dead.acquire()
        assert await dead.claim(7, 100, last_update=50) is None
        assert await dead.claim(7, 101, last_update=50) is None  # its own, again
        await dead.release()
        await heir.acquire()
        # The dead one's row may still be on its way; it is, and it comes.
        assert await heir.claim(7, 103, last_update=50) == 101 + GRACE_BLOCKS
        assert await heir.claim(7, 104, last_update=104) == 104
        # Nothing came at all.
        assert await heir.claim(7, 101 + GRACE_BLOCKS, last_update=50) is None
        assert await heir.claim(7, 120, last_update=50) is None
        assert await heir.claim(8, 121, last_update=50) is None


async def test_without_redis_nobody_leads_and_nobody_sets_weights(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(server, stack)
        first = await instances.open(lease_s=1.0)
        await first.acquire()
        server.kill()
        with pytest.raises(LeaseLost):
            await first.claim(7, 100, 0)
        with pytest.raises(LeaseLost):
            await first.keep()
        waiting = asyncio.create_task((await instances.open(lease_s=1.0)).acquire())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        server.start()
        await waiting


@pytest.mark.parametrize(
    "url", ["redis://host:port", "redis://:pass/word@host:6379", "redis://[::1"]
)
async def test_an_address_that_is_none_is_a_setting_to_mend_and_not_quoted(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        async with open_lease(url, netuid=2, hotkey="5V", lease_s=60.0):
            pass
    text = str(caught.value)
    assert text == "setting validator.lease in the settings: no address of Redis"
