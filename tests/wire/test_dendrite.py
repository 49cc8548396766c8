"""A dendrite over real sockets: honest miners, and attackers, each by name."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import random
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from bittensor import http_auth
from bittensor_core import CRYPTO_ED25519, Keypair
from pydantic import field_validator

from subnet.protocol import Answer, Failure, Reply, Target
from subnet.wire import auth
from subnet.wire.auth import Caller
from subnet.wire.codec import encode
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from tests.wire.world import (
    ED_VALIDATOR,
    LOOPBACK,
    MINER,
    SECOND,
    STRANGER,
    VALIDATOR,
    Echo,
    FakeClock,
    Question,
    permits,
    serving,
)

QUESTION = Question(text="hi")
ANSWER = b'{"text":"hi"}'


@dataclass(frozen=True)
class Asked:
    """One request as a miner hears it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def nonce(self) -> int:
        return int(self.headers[auth.NONCE])

    @property
    def sender(self) -> str:
        return self.headers[auth.HOTKEY]


Miner = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


async def read_asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["Content-Length"]))
    method, target, _ = first.split(" ")
    return Asked(method, target, headers, body)


@asynccontextmanager
async def mining(miner: Miner) -> AsyncIterator[Target]:
    """A miner of a stranger's making: reads a request, and writes whatever it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await miner(await read_asked(reader), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield Target(0, MINER.ss58_address, LOOPBACK, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


def response(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def signed_response(
    asked: Asked,
    *,
    body: bytes = ANSWER,
    status: int = 200,
    keypair: Keypair = MINER,
    nonce: int | None = None,
    sender: str | None = None,
) -> bytes:
    """What an honest miner answers, but for the changes."""
    headers = auth.sign_answer(
        keypair,
        nonce=nonce or asked.nonce,
        sender=sender or asked.sender,
        status=status,
        body=body,
    )
    return response(status, body, headers)


async def ask_one(
    target: Target,
    *,
    timeout_s: float = 10.0,
    limits: Limits | None = None,
    keypair: Keypair = VALIDATOR,
) -> Reply[Echo]:
    async with Dendrite(keypair, allow_private=True, limits=limits) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=timeout_s)
    assert (reply.answer is None) != (reply.failure is None)
    assert (reply.uid, reply.hotkey) == (target.uid, target.hotkey)
    return reply


# Honest miners


@pytest.mark.parametrize("keypair", [VALIDATOR, ED_VALIDATOR], ids=["sr25519", "ed25519"])
async def test_a_miner_with_the_sdk_can_verify_us_and_answer(keypair: Keypair) -> None:
    callers = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        callers.append(
            http_auth.verify(
                asked.headers,
                asked.body,
                method=asked.method,
                path=asked.target,
                self_hotkey_ss58=MINER.ss58_address,
            )
        )
        writer.write(signed_response(asked))

    async with mining(miner) as target:
        reply = await ask_one(target, keypair=keypair)
    assert reply.answer == Echo(text="hi")
    assert (reply.status, reply.signed, reply.detail) == (200, True, "")
    assert [caller.hotkey_ss58 for caller in callers] == [keypair.ss58_address]


async def test_a_miner_with_an_ed25519_key_is_believed() -> None:
    keypair = Keypair.create_from_uri("//Miner", crypto_type=CRYPTO_ED25519)

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, keypair=keypair))

    async with mining(miner) as target:
        reply = await ask_one(Target(3, keypair.ss58_address, target.host, target.port))
    assert reply.answer == Echo(text="hi")


async def test_the_target_travels_as_it_is_signed() -> None:
    targets = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        targets.append(asked.target)
        http_auth.verify(
            asked.headers,
            asked.body,
            method=asked.method,
            path=asked.target,
            self_hotkey_ss58=MINER.ss58_address,
        )
        writer.write(signed_response(asked))

    paths = ["/echo?m=a%20b+c&n=%2f", "/caf%c3%a9/../x//y", "/echo?"]
    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        for path in paths:
            [reply] = await dendrite.ask([target], path, QUESTION, Echo, timeout_s=10)
            assert reply.failure is None
    assert targets == paths


async def test_two_hundred_asks_keep_their_order() -> None:
    async def dawdle(question: Question, caller: Caller) -> Echo:
        await asyncio.sleep(random.Random(question.text).random() / 50)
        if question.text == "7":
            raise RuntimeError
        return Echo(text=question.text)

    limits = Limits(hotkey_requests=300, hotkey_burst=300, ip_connections=300, ip_burst=300)
    async with (
        serving(dawdle, limits=limits) as served,
        Dendrite(VALIDATOR, allow_private=True) as dendrite,
    ):
        targets = [served.target(uid) for uid in range(200)]
        targets[13] = Target(13, MINER.ss58_address, "10.0.0.256", 80)
        questions = [Question(text=str(uid)) for uid in range(200)]
        replies = await dendrite.ask(targets, "/echo", questions, Echo, timeout_s=30)
    assert [reply.uid for reply in replies] == list(range(200))
    failures = {reply.uid: reply.failure for reply in replies if reply.failure}
    assert failures == {7: Failure.REFUSED, 13: Failure.UNREACHABLE}
    for reply in replies:
        if reply.failure is None:
            assert reply.answer == Echo(text=str(reply.uid))


async def test_more_miners_than_sockets_wait_on_our_own_account() -> None:
    at_once = most = 0

    async def count(question: Question, caller: Caller) -> Echo:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.3)
        at_once -= 1
        return Echo(text="")

    limits = Limits(sockets=2)
    async with (
        serving(count) as served,
        Dendrite(VALIDATOR, allow_private=True, limits=limits) as dendrite,
    ):
        targets = [served.target(uid) for uid in range(6)]
        # Shorter than the three turns together: a miner's time starts with its turn.
        replies = await dendrite.ask(targets, "/echo", QUESTION, Echo, timeout_s=0.85)
    assert most == 2
    assert [reply.failure for reply in replies] == [None] * 6
    assert replies[5].timing.queued_s > 0.55
    assert replies[5].timing.total_s < replies[5].timing.queued_s


async def test_timing_counts_from_the_write_to_the_socket() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        data = signed_response(asked)
        writer.write(data[:-1])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(data[-1:])

    async with mining(miner) as target:
        timing = (await ask_one(target)).timing
    assert timing.first_byte_s is not None
    assert 0.1 <= timing.first_byte_s <= timing.total_s - 0.09
    assert timing.queued_s >= 0


async def test_an_axon_that_refuses_us_says_why() -> None:
    async with serving(policy=permits(stake=1)) as served:
        reply = await ask_one(served.target())
    assert (reply.failure, reply.status, reply.signed) == (Failure.REFUSED, 403, False)
    assert reply.detail.startswith("403 stake_too_low: ")


async def test_a_signed_refusal_is_known_as_signed() -> None:
    async with serving(limits=Limits(hotkey_burst=1, hotkey_rate=0.001)) as served:
        await ask_one(served.target())
        reply = await ask_one(served.target())
    assert (reply.failure, reply.status, reply.signed) == (Failure.REFUSED, 429, True)


async def test_a_clock_that_drifts_is_named() -> None:
    clock = FakeClock(time.time_ns() + 60 * SECOND)
    async with serving(clock=clock) as served:
        reply = await ask_one(served.target())
    assert (reply.failure, reply.status) == (Failure.REFUSED, 401)
    assert re.search(r"stale: .*\(its clock minus ours: \+(60\.0|59\.\d) s\)", reply.detail)


# Attackers


async def test_the_unsigned_miner_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, ANSWER, {}))

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.status, reply.signed) == (Failure.UNSIGNED, 200, False)


async def test_the_miner_that_replays_an_old_answer_is_not_believed() -> None:
    first: list[int] = []

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        first.append(asked.nonce)
        writer.write(signed_response(asked, nonce=first[0]))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is None
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_the_miner_that_passes_on_another_validators_answer_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, sender=STRANGER.ss58_address))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_the_relay_that_signs_with_its_own_key_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, keypair=STRANGER))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_the_one_on_the_path_who_changes_the_answer_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked).replace(b'"hi"', b'"ho"'))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_the_one_on_the_path_who_turns_a_refusal_into_an_answer_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, status=503).replace(b" 503 ", b" 200 "))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_a_refusal_with_a_forged_signature_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, status=200).replace(b" 200 ", b" 503 "))

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.status) == (Failure.BAD_SIGNATURE, 503)


async def test_the_miner_that_doubles_a_signature_header_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        double = f"\r\n{auth.ANSWER_HOTKEY.lower()}: {MINER.ss58_address}\r\n\r\n".encode()
        writer.write(signed_response(asked).replace(b"\r\n\r\n", double))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.BAD_SIGNATURE


async def test_the_miner_that_signs_nonsense_has_answered_nothing() -> None:
    bodies = [b"", b"null", b'{"text":1}', b'{"text":"hi","more":1}', b"\xff" * 100]

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, body=bodies[int(json.loads(asked.body)["text"])]))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        questions = [Question(text=str(index)) for index in range(len(bodies))]
        replies = await dendrite.ask([target] * len(bodies), "/echo", questions, Echo, timeout_s=10)
    assert {reply.failure for reply in replies} == {Failure.MALFORMED}
    assert {reply.signed for reply in replies} == {True}


async def test_the_miner_that_says_no_content_has_answered_nothing() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, status=206))

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.status) == (Failure.REFUSED, 206)


async def test_the_redirecting_miner_leads_nowhere() -> None:
    led: list[Asked] = []

    async def inner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        led.append(asked)
        writer.write(signed_response(asked))

    async with mining(inner) as private:

        async def outer(asked: Asked, writer: asyncio.StreamWriter) -> None:
            location = {"Location": f"http://{private.host}:{private.port}/echo"}
            writer.write(response(307, b"", location))

        async with mining(outer) as target:
            reply = await ask_one(target)
    assert (reply.failure, reply.status) == (Failure.REFUSED, 307)
    assert not led


@pytest.mark.parametrize("declared", [True, False])
async def test_the_miner_with_a_100_mb_reply_is_cut_off(declared: bool) -> None:
    size, sent = 100 * 1024 * 1024, 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = f"Content-Length: {size}\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        chunk = b"a" * 65536
        while sent < size:
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.status) == (Failure.OVERSIZE, 200)
    assert sent < size / 4


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WRAPPINGS = {
    "an extension of a chunk": (CHUNKED + b"1;", b"a" * 65536),
    "chunks of a byte": (CHUNKED, b"1\r\na\r\n" * 10_000),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
async def test_the_miner_with_more_wrapping_than_answer_is_cut_off(wrapping: str) -> None:
    head, piece = WRAPPINGS[wrapping]
    sent = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head)
        while sent < 10**8:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    async with mining(miner) as target:
        reply = await ask_one(target, limits=Limits(reply_bytes=10**6))
    assert (reply.failure, reply.status) == (Failure.OVERSIZE, 200)
    assert reply.detail == "the answer is too large"
    assert sent < 10**7


async def test_the_miner_with_endless_headers_is_cut_off() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for index in range(100_000):
            writer.write(b"X-%d: y\r\n" % index)
            await writer.drain()

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.MALFORMED


async def test_the_slow_dripper_is_cut_off() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        for byte in signed_response(asked):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with mining(miner) as target:
        reply = await ask_one(target, timeout_s=0.3)
    assert reply.failure is Failure.TIMEOUT


async def test_the_silent_miner_is_cut_off() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)

    async with mining(miner) as target:
        reply = await ask_one(target, timeout_s=0.2)
        assert (reply.failure, reply.timing.first_byte_s) == (Failure.TIMEOUT, None)
        assert reply.timing.total_s >= 0.19


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"])
async def test_the_miner_that_hangs_up_is_not_asked_again(data: bytes) -> None:
    asked_times = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_times
        asked_times += 1
        writer.write(data)

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.UNREACHABLE
    assert asked_times == 1


async def test_the_miner_that_speaks_no_http_has_answered_nothing() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is Failure.MALFORMED


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"Content-Length: 99999999999999999999999\r\n\r\nab",
        b"Bad Header: 1\r\n\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\nab",
    ],
)
@pytest.mark.parametrize("status", [b"200", b"101"])
async def test_the_miner_with_broken_framing_costs_only_its_own_reply(
    rest: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 " + status + b" X\r\n" + rest)

    async with mining(miner) as target:
        reply = await ask_one(target, timeout_s=5)
    assert reply.failure in {
        Failure.MALFORMED,
        Failure.UNREACHABLE,
        Failure.UNSIGNED,
        Failure.REFUSED,
    }
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("pause_s", "failure"), [(0.1, Failure.TIMEOUT), (0.0, Failure.MALFORMED)])
async def test_the_miner_that_never_stops_promising_is_cut_off(
    pause_s: float, failure: Failure
) -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(pause_s)

    async with mining(miner) as target:
        reply = await ask_one(target, timeout_s=0.35)
    assert (reply.failure, reply.status) == (failure, None)


async def test_a_promise_before_the_answer_is_passed_over() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + signed_response(asked))

    async with mining(miner) as target:
        assert (await ask_one(target)).failure is None


async def test_the_miner_that_refuses_in_terminal_codes_is_quoted_harmlessly() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        words = {"error": "\x1b[2J" * 1000, "message": ["\r\nforged log line"]}
        writer.write(response(400, json.dumps(words).encode(), {}))

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert reply.detail.isprintable()
    assert len(reply.detail) < 200


@pytest.mark.parametrize("clock", ["-1" + "0" * 400, "1" + "0" * 400, "1e999", "NaN", '"noon"'])
async def test_the_miner_with_an_impossible_clock_costs_only_its_own_reply(clock: str) -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        words = f'{{"error": "stale", "message": "late", "server_time_ns": {clock}}}'
        writer.write(response(401, words.encode(), {}))

    async with mining(miner) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.detail) == (Failure.REFUSED, "401 stale: late")


class Figure(Answer):
    value: float

    @field_validator("value")
    @classmethod
    def _inverse(cls, value: float) -> float:
        return 1 / value


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "0"])
async def test_the_miner_with_a_number_that_is_none_has_answered_nothing(value: str) -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(signed_response(asked, body=b'{"value":%s}' % value.encode()))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Figure, timeout_s=10)
    assert (reply.failure, reply.signed) == (Failure.MALFORMED, True)


async def test_a_miner_that_is_not_there_is_unreachable() -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    reply = await ask_one(Target(5, MINER.ss58_address, LOOPBACK, port))
    assert (reply.failure, reply.status) == (Failure.UNREACHABLE, None)
    assert (reply.timing.first_byte_s, reply.timing.total_s) == (None, 0.0)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "2001:0:1::1",
        "240.0.0.1",
    ],
)
async def test_the_miner_that_publishes_a_private_address_is_not_dialled(host: str) -> None:
    async with Dendrite(VALIDATOR) as dendrite:
        target = Target(1, MINER.ss58_address, host, 80)
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=1)
    assert reply.failure is Failure.PRIVATE_ADDRESS


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("localhost", 80),
        ("miner.example", 80),
        ("0.0.0.0", 80),
        ("::", 80),
        ("224.0.0.1", 80),
        ("127.1", 80),
        ("2130706433", 80),
        ("", 80),
        ("127.0.0.2", 0),
        ("127.0.0.2", 65536),
        ("127.0.0.2@evil", 80),
    ],
)
async def test_the_miner_that_publishes_no_address_is_not_dialled(host: str, port: int) -> None:
    async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
        target = Target(1, MINER.ss58_address, host, port)
        [reply] = await dendrite.ask([target], "/echo", QUESTION, Echo, timeout_s=1)
    assert reply.failure is Failure.UNREACHABLE
    assert reply.detail.startswith("the published ")  # so it was not tried


@pytest.mark.parametrize("hotkey", ["x\r\nHost: y", "x\ny", "\ud800", "é"])
async def test_the_miner_with_a_hotkey_that_breaks_lines_costs_only_its_own_reply(
    hotkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        evil = Target(1, hotkey, served.host, served.port)
        replies = await dendrite.ask(
            [evil, served.target(2)], "/echo", QUESTION, Echo, timeout_s=10
        )
    assert [reply.failure for reply in replies] == [Failure.UNREACHABLE, None]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# Callers' mistakes and cancellation


async def test_a_cancelled_ask_hangs_up() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> Echo:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()
        raise AssertionError

    async with serving(wait) as served, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        asking = asyncio.create_task(
            dendrite.ask([served.target()] * 3, "/echo", QUESTION, Echo, timeout_s=30)
        )
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(5):
            await closed.wait()


async def test_wrong_calls_are_refused() -> None:
    async with Dendrite(VALIDATOR) as dendrite:
        for path in ("echo", "/é", "/a b", "/a#b", "/a\r\n"):
            with pytest.raises(ValueError, match="path"):
                await dendrite.ask([], path, QUESTION, Echo, timeout_s=1)
        with pytest.raises(ValueError, match="2 challenges for 0 targets"):
            await dendrite.ask([], "/echo", [QUESTION, QUESTION], Echo, timeout_s=1)
        assert await dendrite.ask([], "/echo", QUESTION, Echo, timeout_s=1) == []
    with pytest.raises(RuntimeError, match="async with"):
        await dendrite.ask([], "/echo", QUESTION, Echo, timeout_s=1)


# Answers that name their question


async def test_a_reply_carries_what_the_miner_signed() -> None:
    async with serving() as served:
        reply = await ask_one(served.target())
    signature = reply.signature
    assert signature is not None and signature.version == auth.BOUND
    assert signature.digest == auth.digest_of(reply.body)
    asked = auth.Asked("POST", "/echo", auth.digest_of(encode(QUESTION)))
    facts = {"hotkey": MINER.ss58_address, "sender": VALIDATOR.ss58_address, "status": 200}
    assert auth.is_answer_signed(signature, asked=asked, **facts)
    other = dataclasses.replace(signature, nonce=signature.nonce + 1)
    assert not auth.is_answer_signed(other, asked=asked, **facts)
    assert not auth.is_answer_signed(signature, asked=None, **facts)


async def test_an_answer_signed_for_another_question_is_worthless() -> None:
    async def mistaken(asked: Asked, writer: asyncio.StreamWriter) -> None:
        assert asked.headers[auth.ANSWER_ACCEPT] == auth.BOUND
        headers = auth.sign_answer(
            MINER,
            nonce=asked.nonce,
            sender=asked.sender,
            status=200,
            body=ANSWER,
            asked=auth.Asked("POST", asked.target, auth.digest_of(asked.body + b" ")),
        )
        writer.write(response(200, ANSWER, headers))
        await writer.drain()

    async with mining(mistaken) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.signed, reply.signature) == (Failure.BAD_SIGNATURE, False, None)
