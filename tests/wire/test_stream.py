"""Streams, taken apart and over sockets: one vector, and cheats of every kind, each by name."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from bittensor_core import CRYPTO_ED25519, Keypair
from hypothesis import given, settings
from hypothesis import strategies as st
from taowire.extensions import streaming as theirs

from subnet.errors import Declined
from subnet.protocol import Chunk, Failure, Form, Reply, Target, Unverified
from subnet.wire import auth, stream
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.errors import AnswerForged, AnswerRefused, StreamBroken
from subnet.wire.limits import Limits
from subnet.wire.policy import AnyPolicy
from tests.patience import until
from tests.wire.test_dendrite import Asked, mining
from tests.wire.world import (
    LOOPBACK,
    MINER,
    NOW,
    STRANGER,
    VALIDATOR,
    FakeClock,
    Question,
    permits,
    request_bytes,
    send,
    signed,
)
from tests.wire.world import Served as ServedAxon

BODY = b'{"text":"hi"}'
QUESTION = Question(text="a b c")


class Word(Chunk):
    word: str


# Computed by hand from the rule: sha256 over the chunks, and the ed25519 signature of //Bob (which
# is deterministic) over the seven lines.
VECTOR_DIGEST = "08a4566b37f55ec3678208e3a7f4b67683a271943761677158ec6d282b9edf6a"
VECTOR_SIGNATURE = (
    "0x016d2810bf3080a73427c08c4e77de9e0c7d2b91542b3e46213325388ede1f3e"
    "bb6ac09d0ce32587552264d4ce44d0123d77d3df7237ac68410aa6cb30154608"
)


def read(data: bytes, step: int = 0) -> tuple[stream.StreamReader, list[bytes]]:
    """A reader fed with `data`, at once or `step` bytes at a time."""
    reader, chunks = stream.StreamReader(), []
    for start in range(0, len(data), step or len(data) or 1):
        chunks += reader.feed(data[start : start + (step or len(data))])
    return reader, chunks


START = {auth.ANSWER_VERSION: "1", auth.ANSWER_HOTKEY: MINER.ss58_address}


def check(reader: stream.StreamReader, **changes: object) -> None:
    facts = {
        "hotkey": MINER.ss58_address,
        "nonce": NOW,
        "sender": VALIDATOR.ss58_address,
        **changes,
    }
    reader.check_end(START.items(), **facts)


def good(*chunks: bytes, keypair: auth.Signer = MINER, nonce: int = NOW) -> bytes:
    """A whole stream that an honest miner sends."""
    tally = stream.Tally()
    for chunk in chunks:
        tally.add(chunk)
    end = stream.end_event(keypair, tally, nonce=nonce, sender=VALIDATOR.ss58_address)
    return b"".join(map(stream.chunk_event, chunks)) + end


ONE, TWO = b'{"word":"a"}', b'{"word":"b"}'


def test_a_stream_of_a_foreign_kit_is_read() -> None:
    """Written by taowire's own functions, and signed by its rule with another library's key."""
    digest = theirs.StreamDigest()
    sent = b""
    for item in ({"word": "žluť"}, {"word": "\u2028"}, ["x", 1]):
        data = theirs.encode_chunk(item)
        digest.update(data)
        sent += theirs.encode_event(theirs.EVENT_CHUNK, data)
    payload = "\n".join(
        (
            "twresp/1",
            "sr25519",
            str(NOW),
            VALIDATOR.ss58_address,
            MINER.ss58_address,
            "200",
            digest.hexdigest(),
        )
    )
    trailer = theirs.Trailer(
        digest.hexdigest(), digest.count, "0x" + MINER.sign(payload.encode()).hex()
    )
    sent += theirs.encode_event(theirs.EVENT_END, theirs.encode_trailer(trailer))
    reader, chunks = read(sent)
    check(reader)
    assert [json.loads(chunk) for chunk in chunks] == [
        {"word": "žluť"},
        {"word": "\u2028"},
        ["x", 1],
    ]


def test_a_foreign_kit_reads_our_stream() -> None:
    events = theirs.SSEParser().feed(good(ONE, TWO))
    assert [event.event for event in events] == ["chunk", "chunk", "tw-end"]
    trailer = theirs.parse_trailer(events[-1].data)
    digest = theirs.StreamDigest()
    for event in events[:-1]:
        theirs.decode_chunk(event.data)
        digest.update(event.data)
    assert (trailer.digest, trailer.count) == (digest.hexdigest(), 2)


def test_the_bytes_of_a_stream() -> None:
    """The vector: an ed25519 stream, every byte of it."""
    bob = Keypair.create_from_uri("//Bob", crypto_type=CRYPTO_ED25519)
    sent = good(b'{"token":"Hel"}', b'{"token":"lo"}', keypair=bob)
    assert sent.decode() == (
        'event: chunk\ndata: {"token":"Hel"}\n\n'
        'event: chunk\ndata: {"token":"lo"}\n\n'
        f'event: tw-end\ndata: {{"digest":"{VECTOR_DIGEST}","count":2,'
        f'"signature":"{VECTOR_SIGNATURE}"}}\n\n'
    )


@settings(deadline=None)
@given(
    words=st.lists(st.text(max_size=5), max_size=5),
    step=st.integers(1, 40),
    ends=st.sampled_from([b"\n", b"\r\n"]),
)
def test_a_good_stream_is_read_however_it_is_cut(words: list[str], step: int, ends: bytes) -> None:
    chunks = [Word(word=word).model_dump_json().encode() for word in words]
    reader, seen = read(good(*chunks).replace(b"\n", ends), step)
    assert seen == chunks
    check(reader)


def test_comments_and_other_events_are_passed_over() -> None:
    noise = b": ping\n\nevent: note\ndata: 1\n\nid: 7\nretry: 100\n\nevent: chunk\n\n"
    reader, chunks = read(b"\xef\xbb\xbf" + noise + good(ONE, TWO))
    assert chunks == [ONE, TWO]
    check(reader)


def test_a_chunk_in_two_lines_is_one_chunk() -> None:
    two_lines = good(b'{"word":\n"a"}'.replace(b"\n", b" ")).split(b"\n\n", 1)[1]
    sent = b'event: chunk\ndata: {"word":\ndata: "a"}\n\n' + two_lines
    reader, chunks = read(sent)
    assert chunks == [b'{"word":\n"a"}']
    with pytest.raises(StreamBroken):  # a line break is a byte like others: not what was signed
        check(reader)


# Cheats


def refused(data: bytes, **changes: object) -> None:
    for step in (0, 1, 7):
        with pytest.raises(AnswerRefused):
            check(read(data, step)[0], **changes)


def test_the_one_who_drops_the_end_is_refused() -> None:
    whole = good(ONE, TWO)
    refused(whole[: whole.index(b"event: tw-end")])
    refused(whole[:-1])
    refused(b"")


def test_the_one_who_drops_a_chunk_is_refused() -> None:
    refused(good(ONE, TWO).replace(stream.chunk_event(ONE), b""))


def test_the_one_who_repeats_a_chunk_is_refused() -> None:
    refused(stream.chunk_event(ONE) + good(ONE, TWO))


def test_the_one_who_swaps_chunks_is_refused() -> None:
    one, two = stream.chunk_event(ONE), stream.chunk_event(TWO)
    refused(good(ONE, TWO).replace(one + two, two + one))


def test_the_one_who_changes_a_chunk_is_refused() -> None:
    refused(good(ONE, TWO).replace(b'"b"', b'"c"'))


def test_the_one_who_moves_the_border_between_chunks_is_refused() -> None:
    joined = good(ONE, TWO).replace(b"\n\nevent: chunk\ndata: ", b"", 1)
    refused(joined)
    for border in range(1, len(ONE)):
        moved = stream.chunk_event(ONE).replace(ONE, ONE[:border])
        moved += b"event: chunk\ndata: " + ONE[border:] + TWO + b"\n\n"
        with pytest.raises(AnswerRefused):
            check(read(moved + good(ONE, TWO).split(b"\n\n", 2)[2])[0])


@pytest.mark.parametrize("scalar", [b"1", b'"a"', b"null", b"true", b" {}"])
def test_the_one_who_streams_scalars_is_refused(scalar: bytes) -> None:
    tally = stream.Tally()
    tally.add(scalar)
    end = stream.end_event(MINER, tally, nonce=NOW, sender=VALIDATOR.ss58_address)
    event = b"event: chunk\ndata:" + (b"  " if scalar[:1] == b" " else b" ") + scalar.strip()
    refused(event + b"\n\n" + end)
    with pytest.raises(ValueError, match="object or array"):
        stream.chunk_event(scalar)


@pytest.mark.parametrize(
    "more", [stream.chunk_event(ONE), b"event: x\ndata: 1\n\n", b": hi\n", b"x", b"\n"]
)
def test_the_one_who_goes_on_after_the_end_is_refused(more: bytes) -> None:
    refused(good(ONE) + more)


def test_the_one_who_ends_twice_is_refused() -> None:
    end = good(ONE).split(b"\n\n", 1)[1]
    refused(good(ONE) + end)


def test_the_one_who_hides_a_line_behind_a_carriage_return_is_refused() -> None:
    """Some readers end a line there and some do not: nobody shall read two things in one stream."""
    refused(b": comment\revent: chunk\rdata: {}\r\r\n" + good(ONE))
    hidden = b'{"word":\r"a"}'
    tally = stream.Tally()
    tally.add(hidden)
    end = stream.end_event(MINER, tally, nonce=NOW, sender=VALIDATOR.ss58_address)
    refused(b"event: chunk\ndata: " + hidden + b"\n\n" + end)


def test_the_one_who_counts_wrong_is_refused() -> None:
    for count in (b"0", b"1", b"3", b"-2", b"2.0", b"2e0", b'"2"', b"true", b"null", b"9" * 5000):
        refused(good(ONE, TWO).replace(b'"count":2', b'"count":' + count))


def test_the_one_who_writes_another_end_is_refused() -> None:
    sent = good(ONE)
    for old, new in [
        (b'"digest":"', b'"digest":"0'),
        (b'"signature":"0x', b'"signature":"'),
        (b'"signature":', b'"more":1,"signature":'),
        (b'"count":1', b'"count":1,"count":1'),
        (b'"count":1,', b""),
        (b'data: {"digest"', b'data: [{"digest"'),
        (b'{"digest"', b'["digest"'),
    ]:
        assert old in sent
        refused(sent.replace(old, new))
    refused(b"event: tw-end\ndata: " + b"[" * 100_000 + b"\n\n")
    pairs = json.dumps([["digest", "x"], ["count", 0], ["signature", "x"]]).encode()
    refused(b"event: tw-end\ndata: " + pairs + b"\n\n")


def test_the_one_who_signs_for_another_question_is_refused() -> None:
    refused(good(ONE), nonce=NOW + 1)
    refused(good(ONE), sender=STRANGER.ss58_address)
    refused(good(ONE), hotkey=STRANGER.ss58_address)


def test_the_relay_that_signs_a_stream_with_its_own_key_is_refused() -> None:
    refused(good(ONE, keypair=STRANGER))


def test_the_one_who_passes_off_a_whole_answer_as_a_stream_is_refused() -> None:
    """The two are signed alike: a signed body that happens to be the chunks' bytes."""
    headers = auth.sign_answer(
        MINER, nonce=NOW, sender=VALIDATOR.ss58_address, status=503, body=ONE
    )
    digest = auth.digest_of(ONE)
    end = {"digest": digest, "count": 1, "signature": headers[auth.ANSWER_SIGNATURE]}
    refused(stream.chunk_event(ONE) + b"event: tw-end\ndata: " + json.dumps(end).encode() + b"\n\n")


def test_the_one_who_doubles_a_signature_header_is_refused() -> None:
    reader, _ = read(good(ONE))
    for extra in (auth.ANSWER_HOTKEY.lower(), auth.ANSWER_SIGNATURE):
        with pytest.raises(AnswerForged):
            reader.check_end(
                [*START.items(), (extra, START[auth.ANSWER_HOTKEY])],
                hotkey=MINER.ss58_address,
                nonce=NOW,
                sender=VALIDATOR.ss58_address,
            )


# Over sockets

Words = Callable[[Question, Caller], AsyncGenerator[Word, None]]


async def speak(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    for word in question.text.split():
        yield Word(word=word)


@asynccontextmanager
async def streaming(
    handler: Words = speak, *, limits: Limits | None = None, clock: Callable[[], int] | None = None
) -> AsyncIterator[ServedAxon]:
    if clock is None:
        axon = Axon(MINER, policy=permits(), limits=limits)
    else:
        axon = Axon(MINER, policy=permits(), limits=limits, clock=clock)
    axon.handle_stream("/echo", Question, Word, handler)
    host, port = await axon.start(LOOPBACK, 0)
    try:
        yield ServedAxon(axon, host, port)
    finally:
        await axon.stop(0.2)


async def ask_one(
    target: Target,
    *,
    question: Question = QUESTION,
    timeout_s: float = 10.0,
    limits: Limits | None = None,
    on_chunk: Callable[[Unverified[Word]], None] | None = None,
) -> Reply[tuple[Word, ...]]:
    async with Dendrite(VALIDATOR, allow_private=True, limits=limits) as dendrite:
        [reply] = await dendrite.ask_stream(
            [target], "/echo", question, Word, timeout_s=timeout_s, on_chunk=on_chunk
        )
    assert (reply.answer is None) != (reply.failure is None)
    return reply


async def test_a_stream_arrives_whole_and_signed() -> None:
    seen: list[Unverified[Word]] = []
    async with streaming() as served:
        reply = await ask_one(served.target(7), on_chunk=seen.append)
        assert reply.answer == (Word(word="a"), Word(word="b"), Word(word="c"))
        assert (reply.status, reply.signed, reply.detail) == (200, True, "")
        assert served.axon.counters.answered == 1
    assert seen == [Unverified(7, index, Word(word="abc"[index])) for index in range(3)]


async def test_a_stream_of_nothing_is_an_answer() -> None:
    async with streaming() as served:
        assert (await ask_one(served.target(), question=Question(text=""))).answer == ()


async def test_many_streams_keep_their_order_and_connections_serve_again() -> None:
    limits = Limits(hotkey_streams=50, hotkey_requests=50, hotkey_burst=200)
    async with (
        streaming(limits=limits) as served,
        Dendrite(VALIDATOR, allow_private=True) as dendrite,
    ):
        for _ in range(2):
            questions = [Question(text=str(index)) for index in range(20)]
            replies = await dendrite.ask_stream(
                [served.target(uid) for uid in range(20)], "/echo", questions, Word, timeout_s=10
            )
            assert [reply.answer for reply in replies] == [
                (Word(word=str(index)),) for index in range(20)
            ]


async def test_chunks_are_seen_while_the_miner_still_works() -> None:
    go_on, seen = asyncio.Event(), []

    async def wait(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        yield Word(word="first")
        await go_on.wait()
        yield Word(word="second")

    def note(chunk: Unverified[Word]) -> None:
        seen.append(chunk.chunk.word)
        go_on.set()

    async with streaming(wait) as served:
        reply = await ask_one(served.target(), on_chunk=note)
    assert seen == ["first", "second"]
    assert reply.failure is None


async def test_the_first_byte_of_a_stream_is_its_first_chunk() -> None:
    async def late(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(good(ONE, nonce=asked.nonce))

    async with mining(late) as target:
        timing = (await ask_one(target)).timing
    assert timing.first_byte_s is not None
    assert 0.1 <= timing.first_byte_s <= timing.total_s


async def test_what_a_handler_says_before_the_first_chunk_is_a_signed_refusal() -> None:
    async def decline(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        raise Declined("not today")
        yield Word(word="")

    async with streaming(decline) as served:
        reply = await ask_one(served.target())
    assert (reply.failure, reply.status, reply.signed) == (Failure.REFUSED, 503, True)
    assert (reply.code, reply.detail) == ("declined", "503 declined: not today")


async def test_a_handler_that_fails_midway_signs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        yield Word(word="a")
        raise RuntimeError("the secret path")

    async with streaming(fail) as served:
        reply = await ask_one(served.target())
        assert (reply.failure, reply.signed) == (Failure.BROKEN_STREAM, False)
        assert served.axon.counters.refused == {"internal": 1}
        assert served.axon._streams.taken == served.axon._room.taken == 0
    assert "the secret path" in caplog.text


async def test_a_callback_that_raises_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(chunk: Unverified[Word]) -> None:
        raise RuntimeError("broken display")

    async with streaming() as served:
        reply = await ask_one(served.target(), on_chunk=fail)
    assert reply.failure is None
    assert caplog.text.count("showing a chunk") == 1


def test_chunks_travel_as_json() -> None:
    class Packed(Chunk):
        form = Form.MSGPACK
        word: str

    async def pack(question: Question, caller: Caller) -> AsyncGenerator[Packed, None]:
        yield Packed(word="a")

    with pytest.raises(TypeError, match="JSON"):
        Axon(MINER, policy=AnyPolicy()).handle_stream("/echo", Question, Packed, pack)


# Limits of the axon


async def endless(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    while True:
        yield Word(word="a" * 1000)
        await asyncio.sleep(0)


async def silent(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    yield Word(word="a")
    await asyncio.Event().wait()


async def dripping(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    while True:
        yield Word(word="a")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("handler", "limits", "code"),
    [
        (endless, Limits(stream_bytes=100_000), "stream_too_large"),
        (endless, Limits(stream_chunks=50), "stream_too_large"),
        (silent, Limits(stream_idle_s=0.1), "too_slow"),
        (dripping, Limits(stream_s=0.3), "stream_too_slow"),
    ],
    ids=["bytes", "chunks", "idle", "time"],
)
async def test_the_handler_that_never_ends_is_cut_off_unsigned(
    handler: Words, limits: Limits, code: str
) -> None:
    async with streaming(handler, limits=limits) as served:
        reply = await ask_one(served.target())
        assert (reply.failure, reply.signed) == (Failure.BROKEN_STREAM, False)
        assert served.axon.counters.refused == {code: 1}
        assert served.axon._room.taken == 0


async def test_the_validator_that_opens_many_streams_is_told_so_signed() -> None:
    release = asyncio.Event()

    async def wait(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        yield Word(word="a")
        await release.wait()

    async with (
        streaming(wait, limits=Limits(hotkey_streams=2)) as served,
        Dendrite(VALIDATOR, allow_private=True) as dendrite,
    ):
        asking = asyncio.create_task(
            dendrite.ask_stream([served.target()] * 3, "/echo", QUESTION, Word, timeout_s=10)
        )
        await until(lambda: served.axon.counters.refused, pause_s=0.001)
        release.set()
        replies = await asking
    assert sorted(reply.code for reply in replies) == ["", "", "caller_streams"]
    assert all(reply.signed for reply in replies)


async def test_the_one_who_never_reads_its_stream_is_cut_off() -> None:
    limits = Limits(write_s=0.2, stream_bytes=10**9, stream_chunks=10**9)
    async with streaming(endless, limits=limits, clock=FakeClock()) as served:
        _, writer = await asyncio.open_connection(served.host, served.port, limit=1)
        writer.write(request_bytes(signed(BODY), BODY))
        async with asyncio.timeout(10):
            while not served.axon.counters.refused:
                await asyncio.sleep(0.01)
        assert served.axon.counters.refused == {"answer_not_read": 1}
        writer.close()


async def test_the_one_who_leaves_a_stream_frees_the_handler() -> None:
    started, left = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        try:
            yield Word(word="a")
            started.set()
            await asyncio.Event().wait()
        finally:
            left.set()

    async with streaming(wait, clock=FakeClock()) as served:
        _, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(request_bytes(signed(BODY), BODY))
        async with asyncio.timeout(5):
            await started.wait()
            writer.close()
            await left.wait()
            while served.axon._streams.taken or served.axon._room.taken:
                await asyncio.sleep(0.001)


async def test_a_stop_lets_streams_finish() -> None:
    release, started = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
        yield Word(word="a")
        started.set()
        await release.wait()
        yield Word(word="b")

    async with streaming(wait) as served:
        asking = asyncio.create_task(ask_one(served.target()))
        await started.wait()
        stopping = asyncio.create_task(served.axon.stop(600))
        await asyncio.sleep(0.05)
        release.set()
        assert (await asking).failure is None
        await stopping


async def test_strangers_open_no_streams() -> None:
    async with streaming(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, keypair=STRANGER), BODY)
        assert (heard.status, heard.is_signed) == (403, False)


# Limits of the dendrite


def head(extra: dict[str, str] | None = None) -> bytes:
    lines = {**START, "Content-Type": stream.CONTENT_TYPE, **(extra or {})}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"HTTP/1.1 200 OK\r\n" + text.encode() + b"Connection: close\r\n\r\n"


def sending(
    make: Callable[[Asked], bytes],
) -> Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + make(asked))

    return miner


async def test_a_stream_that_is_written_by_hand_is_believed() -> None:
    async with mining(sending(lambda asked: good(ONE, TWO, nonce=asked.nonce))) as target:
        reply = await ask_one(target)
    assert reply.answer == (Word(word="a"), Word(word="b"))


@pytest.mark.parametrize(
    ("make", "failure"),
    [
        (lambda asked: good(ONE, nonce=asked.nonce)[:-5], Failure.BROKEN_STREAM),
        (lambda asked: good(ONE, nonce=asked.nonce) + b"\n", Failure.BROKEN_STREAM),
        (lambda asked: good(ONE, nonce=asked.nonce + 1), Failure.BAD_SIGNATURE),
        (lambda asked: good(ONE, nonce=asked.nonce, keypair=STRANGER), Failure.BAD_SIGNATURE),
        (lambda asked: good(b'{"word":1}', nonce=asked.nonce), Failure.MALFORMED),
        (lambda asked: good(b"[1]", nonce=asked.nonce), Failure.MALFORMED),
        (lambda asked: b"", Failure.BROKEN_STREAM),
        (lambda asked: b'{"text":"no stream"}', Failure.BROKEN_STREAM),
    ],
    ids=["no end", "more", "other nonce", "other key", "other chunk", "array", "empty", "whole"],
)
async def test_the_miner_whose_stream_does_not_hold_has_answered_nothing(
    make: Callable[[Asked], bytes], failure: Failure
) -> None:
    async with mining(sending(make)) as target:
        reply = await ask_one(target)
    assert (reply.failure, reply.answer, reply.signed) == (failure, None, False)


async def test_the_miner_that_hangs_up_midway_is_not_asked_again() -> None:
    asked_times = 0

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_times
        asked_times += 1
        writer.write(head({"Content-Length": "100000"}) + stream.chunk_event(ONE))

    async with mining(miner) as target, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        [reply] = await dendrite.ask_stream(
            [target], "/echo", QUESTION, Word, timeout_s=5, retries=3
        )
    assert (reply.failure, asked_times) == (Failure.BROKEN_STREAM, 1)


@pytest.mark.parametrize(
    ("limits", "failure"),
    [
        (Limits(stream_bytes=100_000), Failure.OVERSIZE),
        (Limits(stream_chunks=100), Failure.OVERSIZE),
    ],
    ids=["bytes", "chunks"],
)
async def test_the_miner_that_streams_without_end_is_cut_off(
    limits: Limits, failure: Failure
) -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        while True:
            writer.write(stream.chunk_event(b'{"word":"%s"}' % (b"a" * 500)))
            await writer.drain()

    async with mining(miner) as target:
        assert (await ask_one(target, limits=limits)).failure is failure


@pytest.mark.parametrize("filler", [b"\n", b": \n", b"data\n"])
async def test_the_miner_that_streams_empty_lines_is_cut_off(filler: bytes) -> None:
    """Four megabytes of line ends took five seconds of the validator's processor."""

    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + filler * 50_000 + b"\n" + good(ONE, nonce=asked.nonce))

    async with mining(miner) as target:
        assert (await ask_one(target)).answer == (Word(word="a"),)
        reply = await ask_one(target, limits=Limits(stream_chunks=1000))
    assert reply.failure is Failure.BROKEN_STREAM and "lines" in reply.detail


async def test_a_long_stream_may_take_its_time_between_chunks() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        for event in good(*[ONE] * 8, nonce=asked.nonce).split(b"\n\n")[:-1]:
            await asyncio.sleep(0.08)
            writer.write(event + b"\n\n")
            await writer.drain()

    async with mining(miner) as target:
        reply = await ask_one(target, limits=Limits(stream_idle_s=0.4))
    assert reply.answer == (Word(word="a"),) * 8


async def test_the_miner_that_drips_comments_between_chunks_is_cut_off() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + stream.chunk_event(ONE))
        while True:
            writer.write(b": still thinking\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with mining(miner) as target:
        reply = await ask_one(target, limits=Limits(stream_idle_s=0.3))
    assert reply.failure is Failure.TIMEOUT
    assert reply.timing.total_s < 5


async def test_the_miner_that_drips_chunks_is_cut_off_at_the_budget() -> None:
    async def miner(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        while True:
            writer.write(stream.chunk_event(ONE))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with mining(miner) as target:
        reply = await ask_one(target, timeout_s=0.4)
    assert (reply.failure, reply.answer) == (Failure.TIMEOUT, None)


async def test_the_one_on_the_path_who_cuts_a_stream_short_is_not_believed() -> None:
    """A relay in front of an honest axon that forwards all but the end."""
    async with streaming() as served:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection(served.host, served.port)
            inner_writer.write(await reader.readuntil(b"\r\n\r\n"))
            inner_writer.write(await reader.readexactly(len(QUESTION.model_dump_json())))
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                writer.write(await inner_reader.readuntil(b"event: tw-end"))
            writer.close()
            inner_writer.close()

        server = await asyncio.start_server(relay, LOOPBACK, 0)
        port = server.sockets[0].getsockname()[1]
        seen: list[Unverified[Word]] = []
        reply = await ask_one(Target(0, MINER.ss58_address, LOOPBACK, port), on_chunk=seen.append)
        server.close()
    assert (reply.failure, len(seen)) == (Failure.BROKEN_STREAM, 3)
