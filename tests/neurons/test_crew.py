"""Worker processes at one port: they share the load, the nonces and the model, and may die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from miners.crew import Crew, WorkerFailed
from miners.front import limits_of, policy_of, store_of, tls_of
from subnet.config import MinerSettings, load
from subnet.errors import InvalidSetting
from subnet.protocol import Failure, Reply, Target
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.listener import bind
from subnet.wire.policy import PermitPolicy
from subnet.wire.receipts import read_receipts
from tests.neurons.parrot import Parrot, Said, Say
from tests.patience import PATIENCE_S, until
from tests.wire.redisserver import RedisServer, needs_redis, redis_server
from tests.wire.world import Heard, hear, request_bytes, signed

pytestmark = needs_redis

ROOT = Path(__file__).parents[2]
WORKER = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "subnet.cli.worker")
MINER = Keypair.create_from_uri("//Crew//Miner")
VALIDATOR = Keypair.create_from_uri("//Crew//Validator")
HOST = "127.0.0.2"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def settings_of(folder: Path, url: str | None, **miner: Any) -> MinerSettings:
    hotkey = folder / "w" / "hotkeys" / "default"
    if not hotkey.exists():
        hotkey.parent.mkdir(parents=True)
        hotkey.write_bytes(serialized_keypair_to_keyfile_data(MINER))
    return load(
        MinerSettings,
        environment={},
        flags={
            "network": {"netuid": 1, "wallet": "w", "wallet_path": str(folder)},
            "subnet": {"definition": "tests.neurons.parrot:Parrot"},
            "miner": {"workers": 2, "redis": url, "min_stake": 0} | miner,
        },
    )


class Served:
    """A crew that serves, and what it is asked with."""

    def __init__(self, crew: Crew, policy: PermitPolicy, address: tuple[str, int]) -> None:
        self.crew = crew
        self.policy = policy
        self.host, self.port = address
        self.target = Target(0, MINER.ss58_address, *address)
        self.cancelled = 0
        self.asked = 0

    async def answer(self, challenge: Say, caller: Caller) -> Said:
        self.asked += 1
        assert caller.hotkey == VALIDATOR.ss58_address
        async with Parrot().miner(options=None) as parrot:  # type: ignore[arg-type]
            try:
                return await parrot.answer(challenge, caller.hotkey)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    async def ask(self, *texts: str, after_s: float = 0.0) -> list[Reply[Said]]:
        """Each text on a connection of its own, all at once."""
        async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
            return await dendrite.ask(
                [self.target] * len(texts), "/say",
                [Say(text=text, after_s=after_s) for text in texts], Said, timeout_s=20,
            )  # fmt: skip

    async def send(self, request: bytes) -> Heard:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(request)
        try:
            return await hear(reader)
        finally:
            writer.close()

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.crew._workers.values()]


@asynccontextmanager
async def crew_of(settings: MinerSettings) -> AsyncIterator[Served]:
    policy = policy_of(settings.miner)
    policy.update({VALIDATOR.ss58_address: (1, True)})
    served: Served

    async def answer(challenge: Any, caller: Caller) -> Any:
        return await served.answer(challenge, caller)

    crew = Crew(settings, WORKER, Parrot(), policy, answer)
    listener = bind(HOST, 0)
    served = Served(crew, policy, listener.getsockname()[:2])
    try:
        await crew.start(listener)
        # A store that has just begun takes nothing that may have been used before.
        await until_answered(served)
        served.asked = 0
        yield served
    finally:
        await crew.stop(2.0)


async def until_answered(served: Served) -> None:
    async def is_answered() -> bool:
        return (await served.ask("hello"))[0].answer is not None

    await until(is_answered, pause_s=0.1)


async def test_all_workers_keep_their_receipts_in_one_file(
    tmp_path: Path, redis: RedisServer
) -> None:
    path = tmp_path / "receipts.jsonl"
    async with crew_of(settings_of(tmp_path, redis.url, receipts=path)) as served:
        replies = await served.ask("a", "b", "c", "d")
    kept = {receipt.nonce: receipt for receipt in read_receipts(path)}
    assert len(replies) == 4 <= len(kept)
    for reply in replies:
        assert reply.nonce is not None and reply.signature is not None
        receipt = kept[reply.nonce]
        assert receipt.holds and (receipt.miner, receipt.status) == (reply.hotkey, reply.status)
        assert receipt.answer == reply.signature.digest


async def test_workers_share_a_port_a_model_and_what_they_know(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with crew_of(settings_of(tmp_path, redis.url)) as served:
        assert (served.crew.serving, len(set(served.pids()))) == (2, 2)

        # Whatever comes of a question in the main process is told to the caller, signed.
        said, declined, failed = await served.ask("x", "no", "boom")
        assert (said.answer, said.signed) == (Said(text="x"), True)
        assert (declined.status, declined.code, declined.signed) == (503, "declined", True)
        assert (failed.status, failed.code, failed.signed) == (500, "internal", True)
        assert "secret" not in failed.detail

        # The replayer who tries every worker is answered once.
        body = Say(text="again").model_dump_json().encode()
        lines = signed(
            body, nonce=time.time_ns(), keypair=VALIDATOR,
            receiver=MINER.ss58_address, target="/say",
        )  # fmt: skip
        request = request_bytes(lines, body, target="/say")
        heard = await asyncio.gather(*(served.send(request) for _ in range(30)))
        statuses = sorted(h.status for h in heard)
        assert statuses == [200] + [401] * 29
        assert served.asked == 4

        # The caller's places are counted for all workers together.
        replies = await served.ask(*"abcdefghijklmnop", after_s=0.5)
        codes = {reply.code for reply in replies}
        assert sum(reply.answer is not None for reply in replies) <= 4 and "caller_busy" in codes

        # Both took part, and what they did adds up.
        def both() -> bool:
            tallies = [worker.counters.requests for worker in served.crew._workers.values()]
            return min(tallies) > 0 and sum(tallies) >= 49

        await until(both)
        assert served.crew.counters.refused["replayed"] == 29

        # Who may call is told to all of them.
        served.policy.update({})
        served.crew.callers_changed()
        await asyncio.sleep(0.2)
        assert {reply.code for reply in await served.ask(*"abcdefgh")} == {"not_registered"}


async def test_a_worker_that_dies_costs_nobody_else_and_comes_back(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with crew_of(settings_of(tmp_path, redis.url)) as served:
        for _ in range(5):
            await served.ask("a", "b", "c")
        await until(lambda: served.crew.counters.answered >= 15)
        done = served.crew.counters.answered
        busiest = max(served.crew._workers.values(), key=lambda worker: worker.counters.answered)
        assert busiest.counters.answered > 5
        victim = busiest.process.pid
        os.kill(victim, signal.SIGKILL)
        for _ in range(15):
            (reply,) = await served.ask("still")
            assert reply.answer == Said(text="still"), reply
        await until(lambda: served.crew.serving == 2 and victim not in served.pids())
        assert served.crew.restarts == 1
        await until(lambda: served.crew.counters.answered >= done + 15)
        # The new one knows who may call.
        replies = [reply for _ in range(4) for reply in await served.ask("a", "b", "c")]
        assert all(reply.answer for reply in replies)


@pytest.mark.slow
async def test_without_redis_no_worker_accepts(tmp_path: Path, redis: RedisServer) -> None:
    async with crew_of(settings_of(tmp_path, redis.url)) as served:
        redis.kill()
        for reply in await served.ask(*"abcdef"):
            assert (reply.status, reply.code, reply.answer) == (503, "store_away", None)
        assert served.asked == 0
        redis.start()
        await until_answered(served)


async def test_questions_under_way_are_finished_at_the_stop_and_hung_up_ones_are_given_up(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with crew_of(settings_of(tmp_path, redis.url)) as served:
        async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
            (reply,) = await dendrite.ask(
                [served.target], "/say", Say(text="x", after_s=30), Said, timeout_s=0.3
            )
        assert reply.failure is Failure.TIMEOUT
        await until(lambda: served.cancelled == 1)

        asking = asyncio.create_task(served.ask("last", "words", after_s=0.7))
        await until(lambda: served.asked >= 3)
        pids = served.pids()
        await served.crew.stop(5.0)
        assert [reply.answer for reply in await asking] == [Said(text="last"), Said(text="words")]
        with pytest.raises(OSError):
            await asyncio.open_connection(served.host, served.port)
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_workers_end_when_their_miner_is_gone(tmp_path: Path, redis: RedisServer) -> None:
    listener = bind(HOST, 0)
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        *WORKER, str(listener.fileno()), str(theirs.fileno()),
        pass_fds=(listener.fileno(), theirs.fileno()),
    )  # fmt: skip
    theirs.close()
    listener.close()
    ours.close()
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


async def test_a_crew_whose_workers_cannot_start_is_given_up(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "redis://127.0.0.1:1/0")
    crew = Crew(settings, ("false",), Parrot(), policy_of(settings.miner), None)  # type: ignore[arg-type]
    with pytest.raises(WorkerFailed, match="exit code 1"):
        await crew.start(bind(HOST, 0))


async def test_a_worker_that_cannot_be_started_leaves_nothing_open(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "redis://127.0.0.1:1/0")
    held = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        crew = Crew(settings, ("/no/such/program",), Parrot(), policy_of(settings.miner), None)  # type: ignore[arg-type]
        with pytest.raises(WorkerFailed):
            await crew.start(bind(HOST, 0))
    await until(lambda: len(os.listdir("/proc/self/fd")) == held)


@pytest.mark.parametrize("workers", [1, 2, 8])
async def test_the_one_with_many_slow_bodies_does_not_fill_a_worker(
    tmp_path: Path, workers: int
) -> None:
    """It needs no key: whoever names a permitted hotkey may send a body before it is verified."""
    settings = settings_of(tmp_path, "redis://127.0.0.1:1/0", workers=workers)
    policy = policy_of(settings.miner)
    policy.update({VALIDATOR.ss58_address: (1, True)})
    axon = Axon(MINER, policy=policy, limits=limits_of(settings.miner))
    parrot = Parrot()
    async with parrot.miner(options=None) as one:  # type: ignore[arg-type]

        async def answer(challenge: Say, caller: Caller) -> Said:
            return await one.answer(challenge, caller.hotkey)

        axon.handle("/say", Say, Said, answer)
        host, port = await axon.start(HOST, 0)
        slow = []
        try:
            for _ in range(64):
                lines = signed(
                    b"", nonce=time.time_ns(), keypair=VALIDATOR,
                    receiver=MINER.ss58_address, target="/say",
                )  # fmt: skip
                most = limits_of(settings.miner).body_bytes
                head = request_bytes(lines, b"", target="/say")
                head = head.replace(b"Content-Length: 0", b"Content-Length: %d" % most)
                reader, writer = await asyncio.open_connection(
                    host, port, local_addr=("127.0.0.66", 0)
                )
                writer.write(head + bytes(most - 1))
                slow.append((reader, writer))
            # Either all of its last parts wait, or it is refused.
            await until(lambda: axon.counters.refused["busy"] > 0)
            async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
                (reply,) = await dendrite.ask(
                    [Target(0, MINER.ss58_address, host, port)], "/say", Say(text="x"), Said,
                    timeout_s=5,
                )  # fmt: skip
            assert reply.answer == Said(text="x"), reply
        finally:
            for _, writer in slow:
                writer.transport.abort()
            await axon.stop(0.2)


def test_more_than_one_worker_needs_redis(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="--redis URL"):
        store_of(settings_of(tmp_path, None).miner, MINER.ss58_address)
    assert store_of(settings_of(tmp_path, None, workers=1).miner, MINER.ss58_address) is None


@pytest.mark.slow
async def test_a_worker_that_talks_nonsense_is_replaced(tmp_path: Path, redis: RedisServer) -> None:
    """As one might that a stranger has taken over; what it says is never more than data."""
    async with crew_of(settings_of(tmp_path, redis.url, workers=1)) as served:
        (worker,) = served.crew._workers.values()
        victim = worker.process.pid
        worker.channel._reader.feed_data(b"\xff" * 64)
        await until(lambda: served.crew.serving == 1 and victim not in served.pids())
        await until_answered(served)


def test_tls_settings_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.touch()
    for given, name in (
        ({"tls_certificate": file}, "miner.tls_certificate"),
        ({"tls_key": file, "tls": True}, "miner.tls_key"),
        ({"tls_certificate": file, "tls": True}, "chmod 600"),
    ):
        with pytest.raises(InvalidSetting, match=name):
            tls_of(settings_of(tmp_path, None, **given))
    assert tls_of(settings_of(tmp_path, None)) is None


def test_an_address_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="miner.redis"):
        store_of(settings_of(tmp_path, "http://nowhere").miner, MINER.ss58_address)


def test_what_protects_the_model_is_divided_between_workers(tmp_path: Path) -> None:
    one, three = (
        limits_of(settings_of(tmp_path, None, workers=n, requests=16).miner) for n in (1, 3)
    )
    assert (one.requests, three.requests) == (16, 6)
    assert three.ip_connections == one.ip_connections
    for workers in (1, 3, 16, 17, 256):
        limits = limits_of(settings_of(tmp_path, None, workers=workers).miner)
        assert limits.ip_buffered_bytes >= limits.body_bytes  # a whole one fits
        assert limits.buffered_bytes >= 4 * limits.ip_buffered_bytes
