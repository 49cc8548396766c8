"""What the miners say of our clock: the median, said once, and liars who would move it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

import pytest

from subnet.protocol import Failure
from subnet.wire.clock import QUORUM, ClockWatch
from subnet.wire.dendrite import Dendrite
from subnet.wire.nonce import NonceSource
from tests.wire.test_dendrite import Asked, mining, response, signed_response
from tests.wire.world import MINER, SECOND, VALIDATOR, Echo, FakeClock, Question, serving

QUESTION = Question(text="hi")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_few_miners_say_nothing_about_the_clock() -> None:
    watch = ClockWatch()
    for number in range(QUORUM - 1):
        watch.note(f"miner {number}", 100.0)
    assert watch.offset_s is None


def test_the_liars_in_the_minority_do_not_move_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    watch = ClockWatch()
    for number in range(5):
        watch.note(f"honest {number}", 0.0)
    for number in range(4):
        watch.note(f"liar {number}", -1e9)
    watch.tell()
    assert watch.offset_s == 0.0
    assert not told(caplog)


def test_the_liar_that_speaks_often_has_one_voice() -> None:
    watch = ClockWatch()
    for _ in range(100):
        watch.note("liar", 1e9)
    for number in range(2):
        watch.note(f"honest {number}", 0.0)
    assert watch.offset_s == 0.0


def test_a_wrong_clock_is_said_once_until_it_is_right(caplog: pytest.LogCaptureFixture) -> None:
    watch = ClockWatch()
    for offset_s in (60.0, 61.0, 59.0):
        for number in range(3):
            watch.note(f"miner {number}", offset_s + number / 10)
        watch.tell()
    assert len(told(caplog)) == 1
    assert "this machine's clock is 60.1 s behind" in told(caplog)[0]
    for offset_s in (0.0, -60.0):
        for number in range(3):
            watch.note(f"miner {number}", offset_s)
        watch.tell()
    assert len(told(caplog)) == 2
    assert "60.0 s ahead" in told(caplog)[1]


def test_the_many_who_speak_cost_bounded_memory() -> None:
    watch = ClockWatch()
    for number in range(5000):
        watch.note(f"miner {number}", 0.0)
    assert len(watch._said) == 1024


async def test_a_validator_with_a_wrong_clock_learns_it_from_its_miners(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ahead = FakeClock(time.time_ns() + 60 * SECOND)
        served = [await stack.enter_async_context(serving(clock=ahead)) for _ in range(3)]
        dendrite = await stack.enter_async_context(Dendrite(VALIDATOR, allow_private=True))
        # One hotkey has one voice, so the three need a hotkey each to be heard.
        watch = dendrite._clock
        for _ in range(2):
            replies = await dendrite.ask(
                [one.target(uid) for uid, one in enumerate(served)],
                "/echo",
                QUESTION,
                Echo,
                timeout_s=10,
            )
            assert {reply.code for reply in replies} == {"stale"}
        assert dendrite.clock_offset_s is None
        for name in ("other", "third"):
            watch.note(name, watch._said[MINER.ss58_address])
        await dendrite.ask([served[0].target()], "/echo", QUESTION, Echo, timeout_s=10)
        assert dendrite.clock_offset_s == pytest.approx(60, abs=2)
    assert [words[:24] for words in told(caplog)] == ["this machine's clock is "]


async def test_the_liar_about_the_time_gets_no_signature_for_a_time_to_come() -> None:
    """Else it could keep the requests that we sign, and use them when their time has come."""
    nonces = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonces.append(asked.nonce)
        later = asked.nonce + 3600 * SECOND
        words = {"error": "stale", "message": "late", "server_time_ns": later}
        writer.write(response(401, json.dumps(words).encode(), {}))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        for number in range(5):
            dendrite._clock.note(f"another liar {number}", 3600.0)
        for _ in range(3):
            [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10, retries=3)
            assert (reply.failure, reply.code, reply.asked) == (Failure.REFUSED, "stale", 1)
        assert dendrite.clock_offset_s == pytest.approx(3600, abs=1)
    assert all(abs(nonce - time.time_ns()) < 60 * SECOND for nonce in nonces)


async def test_a_miner_that_takes_our_time_speaks_for_it() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        dendrite._clock.note(MINER.ss58_address, 99.0)
        await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=10)
        assert dict(dendrite._clock._said) == {MINER.ss58_address: 0.0}


async def test_two_questions_in_the_same_nanosecond_have_two_nonces() -> None:
    nonces = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonces.append(asked.nonce)
        writer.write(signed_response(asked))

    source = NonceSource(FakeClock())
    async with (
        mining(miner) as target,
        Dendrite(VALIDATOR, allow_private=True, nonces=source) as dendrite,
    ):
        replies = await dendrite.ask([target] * 20, "/echo", QUESTION, Echo, timeout_s=10)
    assert {reply.failure for reply in replies} == {None}
    assert len(set(nonces)) == 20
