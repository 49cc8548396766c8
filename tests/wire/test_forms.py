"""Bodies of every form between dendrite and axon, and relays that touch the headers on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json

import msgpack
import pytest

from subnet.protocol import Answer, Challenge, Failure, Form, Target
from subnet.wire import auth, codec
from subnet.wire.auth import HASHED_INLINE, Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import MIB, Limits
from tests.wire.test_dendrite import Asked, mining, signed_response
from tests.wire.world import (
    LOOPBACK,
    MINER,
    NOW,
    VALIDATOR,
    Echo,
    FakeClock,
    Question,
    hear,
    permits,
    request_bytes,
    send,
    serving,
    signed,
)

BODY = b'{"text":"hi"}'


class Tensor(Challenge):
    form = Form.MSGPACK
    values: tuple[float, ...]
    data: bytes


class Sum(Answer):
    form = Form.MSGPACK
    total: float
    digest: bytes


class Upload(Challenge):
    form = Form.RAW
    content: bytes


class Download(Answer):
    form = Form.RAW
    content: bytes


async def add(tensor: Tensor, caller: Caller) -> Sum:
    return Sum(total=sum(tensor.values), digest=hashlib.sha256(tensor.data).digest())


async def turn_round(upload: Upload, caller: Caller) -> Download:
    return Download(content=upload.content[::-1])


async def test_packed_and_raw_bodies_travel_both_ways_signed() -> None:
    data = bytes(range(256)) * 4
    async with serving() as served, Dendrite(VALIDATOR, allow_private=True) as asker:
        served.axon.handle("/add", Tensor, Sum, add)
        served.axon.handle("/turn", Upload, Download, turn_round)
        targets = [served.target()]
        question = Tensor(values=(0.5, 1.25), data=data)
        [packed] = await asker.ask(targets, "/add", question, Sum, timeout_s=10)
        [raw] = await asker.ask(targets, "/turn", Upload(content=data), Download, timeout_s=10)
    assert packed.answer == Sum(total=1.75, digest=hashlib.sha256(data).digest())
    assert msgpack.unpackb(packed.body)["total"] == 1.75
    assert raw.answer == Download(content=data[::-1])
    assert raw.body == data[::-1]
    assert packed.signed and raw.signed


async def test_an_answer_says_its_form() -> None:
    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/turn", Upload, Download, turn_round)
        heard = await send(served, signed(b"ab", target="/turn"), b"ab", target="/turn")
        assert (heard.status, heard.body) == (200, b"ba")
        assert dict(heard.headers)["Content-Type"] == "application/octet-stream"
        heard.check_signed()


async def test_the_relay_that_changes_the_content_type_changes_no_meaning() -> None:
    """The header is not signed. It gets the request refused, or decides nothing."""
    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/add", Tensor, Sum, add)
        packed = codec.encode(Tensor(values=(1.0,), data=b""))
        nonce = NOW
        for path, body, outcomes in [
            ("/echo", BODY, {"application/json": 200, "application/msgpack": 415}),
            ("/add", packed, {"application/msgpack": 200, "application/json": 415}),
        ]:
            for declared in (None, "", "application/octet-stream", "text/plain", *outcomes):
                nonce += 1
                lines = signed(body, nonce=nonce, target=path)
                if declared is not None:
                    lines.append(("Content-Type", declared))
                heard = await send(served, lines, body, target=path)
                expected = outcomes.get(declared or "", 415 if declared == "text/plain" else 200)
                assert heard.status == expected, (path, declared)
                assert heard.is_signed == (expected == 200)


async def test_the_relay_that_passes_a_body_to_a_path_of_another_form_is_refused() -> None:
    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/add", Tensor, Sum, add)
        heard = await send(served, signed(BODY), BODY, target="/add")
        assert (heard.status, heard.error) == (401, "bad_signature")


async def test_the_one_on_the_path_who_relabels_an_answer_changes_no_meaning() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        label = b"\r\nContent-Type: text/event-stream\r\nX-Other: 1\r\n\r\n"
        writer.write(signed_response(asked).replace(b"\r\n\r\n", label))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as asker:
        [reply] = await asker.ask([target], "/echo", Question(text=""), Echo, timeout_s=10)
    assert reply.answer == Echo(text="hi")


async def test_the_one_on_the_path_who_encodes_an_answer_is_not_believed() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        label = b"\r\nContent-Encoding: deflate\r\n\r\n"
        writer.write(signed_response(asked).replace(b"\r\n\r\n", label))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as asker:
        [reply] = await asker.ask([target], "/echo", Question(text=""), Echo, timeout_s=10)
    # Nothing is decoded, so nothing grows: the bytes are what was signed, or they are not.
    assert reply.answer == Echo(text="hi")


async def test_a_message_that_msgpack_cannot_carry_is_the_handlers_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(Answer):
        form = Form.MSGPACK
        number: int

    async def answer(question: Question, caller: Caller) -> Odd:
        return Odd(number=1 << 80)

    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/odd", Question, Odd, answer)
        heard = await send(served, signed(BODY, target="/odd"), BODY, target="/odd")
        assert (heard.status, heard.error) == (500, "internal")
        heard.check_signed()
    assert "OverflowError" in caplog.text


# Large bodies


async def test_large_bodies_are_hashed_outside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    hashed_in = []
    real = auth.digest_of

    def digest_of(body: bytes) -> auth.Digest:
        hashed_in.append(threading.current_thread() is threading.main_thread())
        return real(body)

    monkeypatch.setattr(auth, "digest_of", digest_of)
    limits = Limits(body_bytes=4 * MIB, reply_bytes=4 * MIB)
    axon = Axon(MINER, policy=permits(), limits=limits)
    axon.handle("/turn", Upload, Download, turn_round)
    host, port = await axon.start(LOOPBACK, 0)
    target = Target(0, MINER.ss58_address, host, port)
    try:
        async with Dendrite(VALIDATOR, allow_private=True, limits=limits) as asker:
            for size in (HASHED_INLINE + 1, 2 * MIB):
                content = bytes(size)
                [reply] = await asker.ask(
                    [target], "/turn", Upload(content=content), Download, timeout_s=20
                )
                assert reply.answer == Download(content=content)
    finally:
        await axon.stop(0.2)
    # Question and answer, each at both ends, twice.
    assert hashed_in == [False] * 8


async def test_a_large_chunked_body_is_hashed_whole() -> None:
    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/turn", Upload, Download, turn_round)
        body = bytes(range(256)) * 2048
        lines = [*signed(body, target="/turn"), ("Transfer-Encoding", "chunked")]
        data = request_bytes(lines, b"", target="/turn").replace(b"Content-Length: 0\r\n", b"")
        reader, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(data)
        for start in range(0, len(body), 50_000):
            part = body[start : start + 50_000]
            writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
        writer.write(b"0\r\n\r\n")
        heard = await hear(reader)
        writer.close()
        assert (heard.status, heard.body == body[::-1]) == (200, True)
        heard.check_signed()


# Refusals that the reader can use


async def test_a_reply_carries_the_code_and_the_body_of_a_refusal() -> None:
    async with (
        serving(policy=permits(stake=1)) as served,
        Dendrite(VALIDATOR, allow_private=True) as asker,
    ):
        [reply] = await asker.ask([served.target()], "/echo", Question(text=""), Echo, timeout_s=10)
    assert (reply.failure, reply.code) == (Failure.REFUSED, "stake_too_low")
    assert json.loads(reply.body)["error"] == "stake_too_low"
