"""A validator's own work is never a miner's latency: the experiment, and those who would gain."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from subnet.protocol import Failure, Target
from subnet.wire import connections
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from subnet.wire.stamps import Patience, arrival
from tests.wire.test_dendrite import Asked, mining, read_asked, response, signed_response
from tests.wire.world import LOOPBACK, MINER, VALIDATOR, Echo, Question

QUESTION = Question(text="hi")
DELAY_S = 0.3
BURST_S = 0.05
AT_ONCE = 8
ROUNDS = 4


@asynccontextmanager
async def slow_miner() -> AsyncIterator[Target]:
    """A miner in another process, so that only the validator's own load can matter."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.wire.slowminer",
        str(DELAY_S),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield Target(0, MINER.ss58_address, LOOPBACK, port)
    finally:
        process.stdin.close()
        await process.wait()


class Judge:
    """A validator's other work: it holds the loop for 50 ms, lets it turn once, and goes on."""

    bursts = 0

    async def work(self) -> None:
        while True:
            end = time.perf_counter() + BURST_S
            while time.perf_counter() < end:
                pass
            self.bursts += 1
            await asyncio.sleep(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps when data arrived")
async def test_the_busy_validator_measures_as_the_idle_one_does() -> None:
    """What is measured is compared with what the miner took, by its own clock."""
    totals: dict[str, list[float]] = {"idle": [], "busy": []}
    firsts: dict[str, list[float]] = {"idle": [], "busy": []}
    judge = Judge()
    async with slow_miner() as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        for _ in range(ROUNDS):
            for load in ("idle", "busy"):
                working = asyncio.create_task(judge.work()) if load == "busy" else None
                replies = await dendrite.ask(
                    [target] * AT_ONCE, "/echo", QUESTION, Echo, timeout_s=30
                )
                if working is not None:
                    working.cancel()
                for reply in replies:
                    assert reply.answer is not None
                    took = float(reply.answer.text)
                    totals[load].append(reply.timing.total_s / took)
                    firsts[load].append((reply.timing.first_byte_s or 0.0) / took)
    for measured in (totals, firsts):
        idle, busy = (statistics.median(measured[load]) for load in ("idle", "busy"))
        assert idle == pytest.approx(1, rel=0.05)
        assert busy == pytest.approx(idle, rel=0.05)
    assert judge.bursts >= 3 * ROUNDS


async def test_the_miner_that_answers_while_we_are_busy_is_not_too_late() -> None:
    """The answer came in before the deadline; both are found together, long after it."""

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked))
        await writer.drain()
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 (the loop is held, on purpose)

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=0.2)
    assert reply.failure is None
    assert reply.timing.total_s < 0.1


async def test_the_miner_that_answers_after_the_deadline_is_too_late_even_if_read() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.25)
        writer.write(signed_response(asked))
        await writer.drain()

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=0.2)
    assert (reply.failure, reply.answer) == (Failure.TIMEOUT, None)


async def test_the_miner_that_hangs_up_to_think_longer_gains_nothing() -> None:
    """It reads the question, works on it, hangs up, and is quick when asked again."""
    asked_times = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_times
        asked_times += 1
        if asked_times == 1:
            await asyncio.sleep(0.3)
        else:
            writer.write(signed_response(asked))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10, retries=2)
    assert (reply.failure, reply.asked, asked_times) == (None, 2, 2)
    assert reply.timing.total_s > 0.3


async def test_the_miner_that_sends_its_head_early_has_not_answered_early() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        whole = signed_response(asked)
        writer.write(whole[: whole.index(b"\r\n\r\n") + 4])
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(whole[whole.index(b"\r\n\r\n") + 4 :])

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10)
    assert reply.timing.first_byte_s is not None
    assert reply.timing.first_byte_s < 0.1
    assert reply.timing.total_s > 0.19


async def test_a_connection_that_was_closed_while_we_were_busy_costs_no_miner_its_answer() -> None:
    """A kept connection ends while the loop is elsewhere: the next question takes a new one."""

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked))  # and closes, without having said so

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        for _ in range(5):
            [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10)
            assert (reply.failure, reply.asked) == (None, 1)


class Keeper:
    """A miner that keeps its connections; `answer` is told how many questions came before."""

    def __init__(
        self, answer: Callable[[int, Asked, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self._answer = answer
        self.asked = self.opened = self.closed = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await read_asked(reader)
                self.asked += 1
                await self._answer(self.asked - 1, asked, writer)
        writer.close()
        self.closed += 1

    async def all_closed(self) -> None:
        async with asyncio.timeout(5):
            while self.closed < self.opened:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def keeping(
    answer: Callable[[int, Asked, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[Keeper, Target, Dendrite]]:
    keeper = Keeper(answer)
    server = await asyncio.start_server(keeper, LOOPBACK, 0)
    target = Target(0, MINER.ss58_address, LOOPBACK, server.sockets[0].getsockname()[1])
    async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
        yield keeper, target, dendrite
    await keeper.all_closed()
    server.close()


async def test_the_late_answer_to_one_question_is_not_taken_for_the_next() -> None:
    """A connection that still owes an answer, or that gave too many, is not used again."""

    async def answer(before: int, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if before == 0:
            await asyncio.sleep(0.3)
        for _ in range(2 if before == 2 else 1):
            writer.write(signed_response(asked))

    async with keeping(answer) as (keeper, target, dendrite):
        outcomes = []
        for timeout_s in (0.1, 5, 5, 5, 5):
            [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=timeout_s)
            outcomes.append(reply.failure)
            await asyncio.sleep(0.05)
        assert outcomes == [Failure.TIMEOUT, None, None, None, None]
        assert keeper.opened == 3


async def test_connections_are_kept_and_dropped_when_nobody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "KEEPALIVE_S", 0.2)

    async def answer(before: int, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked))

    async with keeping(answer) as (keeper, target, dendrite):
        for turn in range(3):
            for _ in range(5):
                [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=5)
                assert reply.failure is None
            assert keeper.opened == turn + 1
            await keeper.all_closed()
        await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=5)


# Retries


async def test_a_question_is_sent_once_unless_it_may_be_answered_twice() -> None:
    nonces: list[int] = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonces.append(asked.nonce)
        if len(nonces) % 3 == 0:
            writer.write(signed_response(asked))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10)
        assert (reply.failure, reply.asked, len(nonces)) == (Failure.UNREACHABLE, 1, 1)
        nonces.clear()
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10, retries=5)
        assert (reply.failure, reply.asked) == (None, 3)
    assert len(set(nonces)) == 3  # each signed afresh


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_miner_that_has_answered_is_not_asked_again(status: int) -> None:
    asked_times = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_times
        asked_times += 1
        writer.write(response(status, b"{}", {}))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10, retries=5)
    assert (reply.failure, reply.asked, asked_times) == (Failure.REFUSED, 1, 1)


@pytest.mark.parametrize("data", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 2000])
async def test_a_miner_that_has_said_nonsense_is_not_asked_again(data: bytes) -> None:
    asked_times = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_times
        asked_times += 1
        writer.write(data)

    limits = Limits(reply_bytes=1000)
    async with (
        mining(miner) as target,
        Dendrite(VALIDATOR, allow_private=True, limits=limits) as dendrite,
    ):
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10, retries=5)
    assert reply.failure in (Failure.MALFORMED, Failure.OVERSIZE)
    assert (reply.asked, asked_times) == (1, 1)


async def test_retries_stay_within_the_budget() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        return

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        started = time.perf_counter()
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=0.5, retries=50)
        assert time.perf_counter() - started < 5
    assert reply.failure is Failure.UNREACHABLE
    assert 2 <= reply.asked < 10


async def test_negative_retries_are_refused() -> None:
    async with Dendrite(VALIDATOR) as dendrite:
        with pytest.raises(ValueError, match="retries"):
            await dendrite.ask([], "/echo", QUESTION, Echo, timeout_s=1, retries=-1)


# The parts


async def test_the_kernels_account_of_arrival_is_read_however_late() -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(send, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    await reader.readexactly(1)
    came = time.perf_counter()
    time.sleep(0.1)
    assert arrival(writer.transport) == pytest.approx(came, abs=0.02)
    writer.close()
    await writer.wait_closed()
    server.close()
    now = time.perf_counter()
    assert arrival(writer.transport) >= now  # no account left: the moment of asking
    assert arrival(None) >= now


async def test_a_deadline_can_be_moved_and_comes_once() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(TimeoutError):
        async with Patience(started + 0.05) as patience:
            for _ in range(5):
                await asyncio.sleep(0.03)
                patience.extend(loop.time() + 0.05)
            await asyncio.Event().wait()
    assert 0.19 < loop.time() - started < 2
    async with Patience(loop.time() + 0.01):
        pass
    await asyncio.sleep(0.05)


async def test_a_deadline_that_passed_while_we_were_busy_leaves_time_to_read() -> None:
    loop = asyncio.get_running_loop()
    async with Patience(loop.time() + 0.01):
        time.sleep(0.1)
        for _ in range(5):  # what came in meanwhile takes some turns of the loop to be read
            await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with Patience(loop.time() + 0.01):
            time.sleep(0.1)
            await asyncio.Event().wait()
