"""Nonces and shares in a real Redis: who replays across processes, and what Redis may lose."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subnet.errors import RequestRefused
from subnet.wire.auth import MAX_AGE_NS, MAX_AHEAD_NS
from subnet.wire.axon import Axon
from subnet.wire.shared import CLOCK_SKEW_NS, SharedStore, StoreAway, StoreNew
from tests.wire.redisserver import RedisServer, needs_redis, redis_server
from tests.wire.world import (
    LOOPBACK,
    MINER,
    NOW,
    SECOND,
    Echo,
    FakeClock,
    Question,
    Served,
    echo,
    permits,
    send,
    signed,
)

pytestmark = needs_redis

BODY = b'{"text":"hi"}'
BIRTH = NOW - 3600 * SECOND
"""When the stores of these tests begin: long before what they are asked."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@asynccontextmanager
async def opened(
    server: RedisServer, *, receiver: str = "miner", born: int = BIRTH, **settings: Any
) -> AsyncIterator[SharedStore]:
    settings = {"rate": 1e6, "burst": 10**6, "timeout_s": 5.0} | settings
    store = SharedStore(server.url, receiver=receiver, clock=FakeClock(born), **settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def two_miners(server: RedisServer, clock: FakeClock) -> AsyncIterator[tuple[Served, Served]]:
    """One hotkey, served twice: as by two processes, or two hosts."""
    async with (
        opened(server, receiver=MINER.ss58_address) as first,
        opened(server, receiver=MINER.ss58_address) as second,
    ):
        axons = [Axon(MINER, policy=permits(), nonces=n, clock=clock) for n in (first, second)]
        for axon in axons:
            axon.handle("/echo", Question, Echo, echo)
        a, b = [Served(axon, *await axon.start(LOOPBACK, 0)) for axon in axons]
        try:
            yield a, b
        finally:
            for axon in axons:
                await axon.stop(0.2)


async def test_the_replayer_across_workers_and_hosts_is_refused(redis: RedisServer) -> None:
    async with two_miners(redis, FakeClock()) as (first, second):
        for nonce in (NOW, NOW + 1):
            request = signed(BODY, nonce=nonce)
            assert (await send(first, request, BODY)).status == 200
            for served in (second, first):
                heard = await send(served, request, BODY)
                assert (heard.status, heard.error, heard.is_signed) == (401, "replayed", False)


async def test_the_replayer_who_asks_everybody_at_once_is_answered_once(redis: RedisServer) -> None:
    async with two_miners(redis, FakeClock()) as miners:
        request = signed(BODY, nonce=NOW)
        heard = await asyncio.gather(*(send(miners[i % 2], request, BODY) for i in range(20)))
        assert sorted(h.status for h in heard) == [200] + [401] * 19


async def test_without_redis_nobody_is_served_and_with_it_everybody_again(
    redis: RedisServer,
) -> None:
    async with two_miners(redis, FakeClock()) as (first, _):
        request = signed(BODY, nonce=NOW)
        assert (await send(first, request, BODY)).status == 200
        redis.kill()
        for nonce in (NOW, NOW + 1):
            heard = await send(first, signed(BODY, nonce=nonce), BODY)
            assert (heard.status, heard.error, heard.is_signed) == (503, "store_away", False)
        redis.start()
        # The clock has not moved since: whatever is fresh now could have been used before.
        for nonce in (NOW, NOW + 1, NOW + 2):
            heard = await send(first, signed(BODY, nonce=nonce), BODY)
            assert (heard.status, heard.error) == (503, "store_new")


async def test_a_redis_that_is_back_serves_what_is_signed_afresh(redis: RedisServer) -> None:
    clock = FakeClock()
    async with two_miners(redis, clock) as (first, second):
        redis.restart()
        for served in (first, second):  # each on a connection of before
            await send(served, signed(BODY, nonce=NOW), BODY)
        assert (await send(first, signed(BODY, nonce=NOW), BODY)).error == "store_new"
        clock.now += MAX_AHEAD_NS + CLOCK_SKEW_NS + SECOND
        heard = await send(first, signed(BODY, nonce=clock.now), BODY)
        assert heard.status == 200
        assert (await send(second, signed(BODY, nonce=clock.now), BODY)).error == "replayed"


async def test_a_worker_that_was_silent_while_redis_restarted_loses_no_question(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOW + 60 * SECOND
    monkeypatch.setattr("subnet.wire.shared._IDLE_S", 0.0)
    async with opened(redis) as busy, opened(redis) as silent:
        assert await silent.claim("a", NOW, NOW)
        redis.restart()
        with pytest.raises((StoreAway, StoreNew)):
            await busy.claim("a", NOW + 1, NOW)  # from here on Redis has a memory again
        assert await busy.claim("a", later, later)
        assert await silent.claim("a", later + 1, later)


async def test_the_replayer_after_a_snapshot_of_redis_came_back_is_refused(tmp_path: Path) -> None:
    """The snapshot holds our marks, and not the nonces accepted after it."""
    with redis_server(tmp_path, snapshots=True) as server:
        async with opened(server) as store:
            assert await store.claim("a", NOW, NOW)
            assert server.ask("SAVE") == b"+OK"
            assert await store.claim("a", NOW + 1, NOW)
            server.restart()
            with pytest.raises(RequestRefused):  # the connection of before
                await store.claim("a", NOW + 1, NOW)
            with pytest.raises(StoreNew):
                await store.claim("a", NOW + 1, NOW)


async def test_the_replayer_is_refused_though_another_miner_was_there_first(tmp_path: Path) -> None:
    """Two miners, one Redis, a snapshot: who begins anew does so for itself alone."""
    with redis_server(tmp_path, snapshots=True) as server:
        async with opened(server) as store, opened(server, receiver="other") as other:
            assert await store.claim("a", NOW, NOW) and await other.claim("a", NOW, NOW)
            assert server.ask("SAVE") == b"+OK"
            assert await store.claim("a", NOW + 1, NOW)
            server.restart()
            for miner, nonce in ((other, NOW), (store, NOW + 1)):
                with pytest.raises(StoreAway):  # the connection of before
                    await miner.claim("a", nonce, NOW)
                with pytest.raises(StoreNew):
                    await miner.claim("a", nonce, NOW)


@pytest.mark.parametrize(
    "lost", ["FLUSHALL", "DEL subnet:{miner}:seen", "DEL subnet:{miner}:floor"]
)
async def test_the_replayer_after_redis_lost_its_keys_is_refused(
    redis: RedisServer, lost: str
) -> None:
    async with opened(redis) as store:
        assert await store.claim("a", NOW, NOW)
        redis.ask(lost)
        for nonce in (NOW, NOW + 1, NOW):
            with pytest.raises(StoreNew):
                await store.claim("a", nonce, NOW)
        later = NOW + 5 * SECOND
        assert await store.claim("a", later, later)
        assert not await store.claim("a", later, later)


async def test_a_new_store_refuses_what_a_lost_one_may_have_accepted(redis: RedisServer) -> None:
    async with opened(redis, born=NOW) as store:
        newest = NOW + MAX_AHEAD_NS + CLOCK_SKEW_NS
        with pytest.raises(StoreNew):
            await store.claim("a", newest, NOW)
        assert await store.claim("a", newest + 1, NOW + SECOND)


async def test_a_second_process_does_not_begin_anew(redis: RedisServer) -> None:
    async with opened(redis) as store:
        assert await store.claim("a", NOW, NOW)
        async with opened(redis, born=NOW) as other:
            assert not await other.claim("a", NOW, NOW)
            assert await other.claim("a", NOW + 1, NOW)


async def test_the_replayer_who_waits_for_the_clock_to_be_set_back_is_refused_everywhere(
    redis: RedisServer,
) -> None:
    async with opened(redis) as store:
        assert await store.claim("a", NOW, NOW)
        for step in range(1, 200):
            later = NOW + step * 60 * SECOND
            assert await store.claim("a", later, later)
        async with opened(redis, born=NOW) as elsewhere:
            assert not await elsewhere.claim("a", NOW, NOW)


async def test_two_miners_in_one_redis_do_not_hear_of_each_other(redis: RedisServer) -> None:
    async with opened(redis) as store, opened(redis, receiver="other") as other:
        for _ in range(2):
            assert await store.claim("a", NOW, NOW) == await other.claim("a", NOW, NOW)
        # The script is there already; the marks of a third are its own all the same.
        async with opened(redis, receiver="third", born=NOW) as third:
            with pytest.raises(StoreNew):
                await third.claim("a", NOW, NOW)


async def test_requests_that_overtake_each_other_are_all_accepted_once(redis: RedisServer) -> None:
    nonces = list(range(NOW, NOW + 300))
    random.Random(7).shuffle(nonces)
    async with opened(redis) as store:
        assert all([await store.claim("a", nonce, NOW) for nonce in nonces])
        assert not any([await store.claim("a", nonce, NOW) for nonce in nonces])


async def test_old_nonces_are_forgotten_and_leave_a_floor(redis: RedisServer) -> None:
    async with opened(redis) as store:
        for step in range(200):
            now = NOW + step * SECOND
            assert await store.claim("a", now, now)
        held = redis.ask("ZCARD subnet:{miner}:seen")
        assert held is not None and int(held.removeprefix(b":")) < 20
        assert not await store.claim("a", NOW + 50 * SECOND, NOW + 50 * SECOND)
        assert await store.claim("b", NOW + 50 * SECOND, NOW + 50 * SECOND)


async def test_a_caller_has_one_share_wherever_it_asks(redis: RedisServer) -> None:
    share: dict[str, Any] = {"rate": 0.001, "burst": 3}
    async with opened(redis, **share) as first, opened(redis, **share) as second:
        for nonce, store in enumerate([first, second, first]):
            assert await store.claim("a", NOW + nonce, NOW)
        for store in (first, second):
            with pytest.raises(RequestRefused) as caught:
                await store.claim("a", NOW + 10, NOW)
            assert caught.value.status == 429
            assert await store.claim(f"b{id(store)}", NOW, NOW)
            break
        assert not await second.claim("a", NOW + 10, NOW)


async def test_a_store_that_is_not_there_is_said_so(redis: RedisServer) -> None:
    async with opened(redis) as store:
        assert await store.find_problem() is None
        redis.kill()
        assert "onnect" in (await store.find_problem() or "")
        with pytest.raises(StoreAway):
            await store.open()
        redis.start()
        assert await store.find_problem() is None


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(-12, 4),
            st.sampled_from([-3600, -30, -5, -1, 0, 0, 0, 1, 5, 30, 3600]),
            st.sampled_from([""] * 12 + ["FLUSHALL", "SCRIPT FLUSH"]),
        ),
        max_size=40,
    )
)
async def test_no_order_of_requests_clock_steps_and_losses_lets_a_nonce_in_twice(
    redis: RedisServer, moves: list[tuple[str, int, int, str]]
) -> None:
    redis.ask("FLUSHALL")
    accepted = set()
    now = NOW
    # Keys lost and, at once, a clock that is set back: that is beyond what can be told.
    lossy = any(loss == "FLUSHALL" for *_, loss in moves)
    async with opened(redis) as store:
        for key, offset, step, loss in moves:
            now += step * SECOND if step > 0 or not lossy else 0
            if loss:
                redis.ask(loss)
            nonce = now + offset * SECOND
            if not now - MAX_AGE_NS <= nonce <= now + MAX_AHEAD_NS:
                continue
            try:
                taken = await store.claim(key, nonce, now)
            except StoreNew:
                continue
            if taken:
                assert (key, nonce) not in accepted
                accepted.add((key, nonce))


async def test_the_script_and_the_floor_hold_nineteen_digits(redis: RedisServer) -> None:
    """A number of Redis would round the last digits away."""
    async with opened(redis) as store:
        base = 1_790_000_000_123_456_789
        assert await store.claim("a", base, base)
        assert await store.claim("a", base + 1, base)
        later = base + 60 * SECOND
        assert await store.claim("a", later, later)  # forgets both
        assert not await store.claim("a", base + 1, base)
        assert await store.claim("a", base + 2, base)


async def test_a_redis_that_takes_no_writes_is_a_problem(redis: RedisServer) -> None:
    """As a replica, or one that is full: it answers a PING as if all were well."""
    async with opened(redis) as store:
        assert await store.find_problem() is None
        redis.ask("CONFIG SET maxmemory 1")
        problem = await store.find_problem()
        assert problem is not None and "OutOfMemory" in problem
        with pytest.raises(StoreAway):
            await store.claim("a", NOW, NOW)
        redis.ask("CONFIG SET maxmemory 0")
        redis.ask("REPLICAOF 127.0.0.1 1")
        problem = await store.find_problem()
        assert problem is not None and "ReadOnly" in problem
        redis.ask("REPLICAOF NO ONE")
        assert await store.find_problem() is None
        assert await store.claim("a", NOW, NOW)


@pytest.mark.parametrize(("version", "fit"), [("6.2.14", False), ("7.0.0", True), ("None", False)])
async def test_a_redis_whose_scripts_outlive_its_memory_serves_nobody(
    version: str, fit: bool
) -> None:
    """Before 7 a promoted replica has the script, and perhaps not the last nonces."""
    begun: list[bytes] = []

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            match words[0].upper(), words[1:2]:
                case b"INFO", _:
                    said = f"# Server\r\nredis_version:{version}\r\n".encode()
                    writer.write(b"$%d\r\n%s\r\n" % (len(said), said))
                case b"SCRIPT", [b"EXISTS"]:
                    writer.write(b"*1\r\n:0\r\n")
                case b"EVALSHA", _:
                    writer.write(b"-NOSCRIPT No matching script.\r\n")
                case b"EXEC", _:
                    begun.append(words[0])
                    writer.write(b"*2\r\n+OK\r\n+OK\r\n")
                case ((b"EVAL" | b"SCRIPT"), _):
                    writer.write(b"+QUEUED\r\n")
                case _:
                    writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(old, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        store = SharedStore(url, receiver="miner", rate=1, burst=1)
        try:
            if fit:
                await store.open()
            else:
                with pytest.raises(StoreAway, match="come back later") as away:
                    await store.open()
                assert "must be 7 or later" in away.value.reason
            with pytest.raises(StoreNew if fit else StoreAway):
                await store.claim("a", NOW, NOW)
        finally:
            await store.close()
    assert bool(begun) is fit
