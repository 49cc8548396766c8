"""An axon over real sockets: strangers who may ask, and attackers, each by name."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time

import aiohttp
import bittensor_core
import pytest
from bittensor import http_auth
from yarl import URL

from subnet.errors import Declined, PortTaken, RequestRefused
from subnet.wire import auth
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.limits import Limits
from subnet.wire.policy import AnyPolicy, PermitPolicy
from tests.patience import until
from tests.wire.world import (
    ED_VALIDATOR,
    LOOPBACK,
    MINER,
    NOW,
    SECOND,
    STRANGER,
    VALIDATOR,
    Echo,
    FakeClock,
    Heard,
    Question,
    Served,
    echo,
    hear,
    permits,
    replaced,
    request_bytes,
    send,
    send_raw,
    serving,
    signed,
    without,
)

BODY = b'{"text":"hi"}'


# Who may ask


async def test_a_validator_with_the_sdk_and_any_http_client_is_served() -> None:
    async with serving() as served, aiohttp.ClientSession() as session:
        target = "/echo?n=1&m=a%20b"
        headers = http_auth.sign(
            VALIDATOR, method="POST", path=target, body=BODY, receiver_ss58=MINER.ss58_address
        )
        url = f"http://{served.host}:{served.port}/echo"
        async with session.post(
            url, params={"n": "1", "m": "a b"}, data=BODY, headers=headers
        ) as response:
            # aiohttp writes the space as +, so the signed target is another one.
            assert response.status == 401
        async with session.post(
            URL(f"http://{served.host}:{served.port}{target}", encoded=True),
            data=BODY,
            headers=headers,
        ) as response:
            body = await response.read()
            assert (response.status, body) == (200, BODY)
            auth.verify_answer(
                response.headers.items(),
                hotkey=MINER.ss58_address,
                nonce=int(headers[http_auth.HEADER_NONCE]),
                sender=VALIDATOR.ss58_address,
                status=200,
                body=body,
            )


async def test_an_ed25519_caller_is_served() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, keypair=ED_VALIDATOR), BODY)
        assert (heard.status, heard.body) == (200, BODY)


async def test_the_handler_is_told_who_asks() -> None:
    callers = []

    async def note(question: Question, caller: Caller) -> Echo:
        callers.append(caller)
        return Echo(text="")

    async with serving(note, clock=FakeClock()) as served:
        assert (await send(served, signed(BODY), BODY)).status == 200
    assert callers == [Caller(VALIDATOR.ss58_address, NOW + 1)]


async def test_a_caller_without_a_seat_is_refused_unsigned() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, keypair=STRANGER), BODY)
        assert (heard.status, heard.error, heard.is_signed) == (403, "not_registered", False)


async def test_a_validator_without_permit_is_refused() -> None:
    policy = PermitPolicy(1000)
    policy.update({VALIDATOR.ss58_address: (10**9, False)})
    async with serving(policy=policy, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (403, "no_permit")


async def test_a_validator_below_the_stake_is_refused() -> None:
    async with serving(policy=permits(stake=999), clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (403, "stake_too_low")


async def test_before_the_metagraph_is_loaded_callers_are_asked_to_come_back() -> None:
    policy = PermitPolicy(1000)
    async with serving(policy=policy, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (503, "metagraph_not_loaded")
        assert "metagraph not loaded" in json.loads(heard.body)["message"]
        policy.update({VALIDATOR.ss58_address: (1000, True)})
        assert (await send(served, signed(BODY), BODY)).status == 200


# Attackers who cannot sign, or sign something else


async def test_the_replayer_is_refused() -> None:
    async with serving(clock=FakeClock()) as served:
        lines = signed(BODY)
        assert (await send(served, lines, BODY)).status == 200
        heard = await send(served, lines, BODY)
        assert (heard.status, heard.error, heard.is_signed) == (401, "replayed", False)


async def test_the_replayer_across_a_restart_is_refused() -> None:
    clock = FakeClock()
    lines = signed(BODY)
    async with serving(clock=clock) as served:
        assert (await send(served, lines, BODY)).status == 200
    clock.now += SECOND
    async with serving(clock=clock) as served:
        assert (await send(served, lines, BODY)).error == "replayed"


async def test_the_late_one_is_refused_and_told_the_time() -> None:
    clock = FakeClock()
    async with serving(clock=clock) as served:
        clock.now = NOW + 11 * SECOND
        heard = await send(served, signed(BODY, nonce=NOW), BODY)
        assert (heard.status, heard.error) == (401, "stale")
        assert json.loads(heard.body)["server_time_ns"] == clock.now


async def test_the_one_from_the_future_is_refused_and_told_the_time() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, nonce=NOW + 3 * SECOND), BODY)
        assert (heard.status, heard.error) == (401, "stale")
        assert json.loads(heard.body)["server_time_ns"] == NOW


async def test_the_one_who_drips_the_body_until_the_nonce_is_forgotten_is_refused() -> None:
    clock = FakeClock()
    async with serving(clock=clock) as served:
        data = request_bytes(signed(BODY), BODY)
        reader, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(data[:-1])
        await until(lambda: served.axon.counters.requests, pause_s=0.001)
        clock.now += 11 * SECOND
        writer.write(data[-1:])
        heard = await hear(reader)
        writer.close()
        assert (heard.status, heard.error) == (401, "stale")


async def test_the_relay_to_another_miner_is_refused() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, receiver=STRANGER.ss58_address), BODY)
        assert (heard.status, heard.error) == (401, "wrong_receiver")


async def test_the_one_who_names_no_receiver_is_refused() -> None:
    unbound = http_auth.sign(VALIDATOR, method="POST", path="/echo", body=BODY, nonce_ns=NOW + 1)
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, list(unbound.items()), BODY)
        assert (heard.status, heard.error) == (401, "wrong_receiver")


@pytest.mark.parametrize(
    ("signed_target", "sent_target", "body"),
    [
        ("/echo", "/echo", b'{"text":"ho"}'),
        ("/echo", "/echo", BODY + b" "),
        ("/other", "/echo", BODY),
        ("/echo", "/echo?n=1", BODY),
        ("/echo?n=1", "/echo?n=2", BODY),
        ("/echo?m=a b", "/echo?m=a%20b", BODY),
        ("/echo?m=%c3%a9", "/echo?m=%C3%A9", BODY),
    ],
)
async def test_the_tamperer_is_refused(signed_target: str, sent_target: str, body: bytes) -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, signed(BODY, target=signed_target), body, target=sent_target)
        assert (heard.status, heard.error, heard.is_signed) == (401, "bad_signature", False)


async def test_the_target_is_signed_as_it_travels() -> None:
    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/caf%C3%A9", Question, Echo, echo)
        for nonce, target in enumerate(["/echo?m=a%20b+c", "/echo?", "/caf%C3%A9?x=%2F"]):
            lines = signed(BODY, target=target, nonce=NOW + 1 + nonce)
            assert (await send(served, lines, BODY, target=target)).status == 200


async def test_the_one_who_writes_the_same_json_otherwise_is_refused() -> None:
    """What is signed are bytes: nothing is parsed and written again before they are checked."""
    body = b'{"text":"\\u0068i"}'
    async with serving(clock=FakeClock()) as served:
        for same in (b'{"text":"hi"}', b'{"text": "hi"}', b'{"text":"\\u0068\\u0069"}'):
            heard = await send(served, signed(body), same)
            assert (heard.status, heard.error) == (401, "bad_signature")
        assert (await send(served, signed(body), body)).body == BODY


async def test_the_replayer_who_waits_for_the_clock_to_be_set_back_is_refused() -> None:
    clock = FakeClock()
    async with serving(clock=clock) as served:
        lines = signed(BODY)
        assert (await send(served, lines, BODY)).status == 200
        clock.now += 3600 * SECOND
        assert (await send(served, signed(BODY, nonce=clock.now), BODY)).status == 200
        clock.now = NOW
        heard = await send(served, lines, BODY)
        assert (heard.status, heard.error) == (401, "replayed")


async def test_requests_that_overtake_each_other_are_all_served() -> None:
    async with serving(clock=FakeClock()) as served:
        for nonce in (5, 1, 4, 2, 3):
            heard = await send(served, signed(BODY, nonce=NOW + nonce * SECOND // 10), BODY)
            assert heard.status == 200


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
async def test_the_holder_of_a_weak_key_is_refused(scheme: str) -> None:
    """Anybody can sign for it: even where it is let in, its signature is none."""
    key = bytes(32) if scheme == "sr25519" else b"\x01" + bytes(31)
    forged = bytes(63) + b"\x80" if scheme == "sr25519" else b"\x01" + bytes(63)
    lines = replaced(signed(BODY), auth.HOTKEY, bittensor_core.ss58_encode(key, 42))
    lines = replaced(lines, auth.SIGNATURE, "0x" + forged.hex()) + [(auth.CRYPTO, scheme)]
    async with serving(policy=AnyPolicy(), clock=FakeClock()) as served:
        heard = await send(served, lines, BODY)
        assert (heard.status, heard.error) == (401, "bad_signature")


async def test_the_one_who_spells_the_path_otherwise_finds_nothing() -> None:
    async with serving(clock=FakeClock()) as served:
        for target in ("/%65cho", "//echo", "/echo/", "/x/../echo", f"http://{LOOPBACK}/echo"):
            heard = await send(served, signed(BODY, target=target), BODY, target=target)
            assert (heard.status, heard.error) == (404, "not_found")


async def test_the_one_with_a_wallets_text_signature_is_refused() -> None:
    lines = signed(BODY)
    payload = auth.request_payload(
        scheme="sr25519",
        method="POST",
        target="/echo",
        body=BODY,
        nonce=NOW + 1,
        sender=VALIDATOR.ss58_address,
        receiver=MINER.ss58_address,
    )
    wrapped = VALIDATOR.sign(b"<Bytes>" + payload + b"</Bytes>").hex()
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, replaced(lines, auth.SIGNATURE, "0x" + wrapped), BODY)
        assert (heard.status, heard.error) == (401, "bad_signature")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        without(signed(BODY), auth.SIGNATURE),
        replaced(signed(BODY), auth.SIGNATURE, "0x" + "00" * 63),
        replaced(signed(BODY), auth.HOTKEY, VALIDATOR.ss58_address[:-1]),
        replaced(signed(BODY), auth.HOTKEY, "5" * 4096),
        [*signed(BODY), (auth.HOTKEY, STRANGER.ss58_address)],
        [*signed(BODY), (auth.SIGNATURE.lower(), "0x" + "00" * 64)],
        [*signed(BODY), signed(BODY)[0]],
    ],
    ids=[
        "unsigned",
        "no signature",
        "short signature",
        "short hotkey",
        "long hotkey",
        "two hotkeys",
        "two signatures",
        "two versions",
    ],
)
async def test_the_one_with_misshapen_headers_is_refused(lines: list[tuple[str, str]]) -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, lines, BODY)
        assert (heard.status, heard.error, heard.is_signed) == (401, "malformed_auth", False)


# Attackers of the door


async def test_the_one_with_a_64_kib_hotkey_is_refused_before_anything_is_decoded() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, replaced(signed(BODY), auth.HOTKEY, "5" * 65536), BODY)
        assert (heard.status, heard.error) == (431, "head_too_large")


async def test_the_one_with_many_small_headers_is_refused() -> None:
    async with serving(clock=FakeClock(), limits=Limits(headers=100)) as served:
        lines = [(f"X-{index}", "a" * 1000) for index in range(50)]
        heard = await send(served, [*signed(BODY), *lines], BODY)
        assert (heard.status, heard.error) == (431, "head_too_large")
        lines = [(f"X-{index}", "a") for index in range(200)]
        heard = await send(served, [*signed(BODY), *lines], BODY)
        assert (heard.status, heard.error) == (400, "bad_request")


async def test_the_one_who_declares_too_large_a_body_is_refused() -> None:
    async with serving(clock=FakeClock(), limits=Limits(body_bytes=1000)) as served:
        # Nothing of the body is sent: what is declared is enough.
        data = request_bytes(signed(BODY), b"").replace(b"Length: 0", b"Length: 1001")
        heard = await send_raw(served, data)
        assert (heard.status, heard.error, heard.is_signed) == (413, "body_too_large", False)


async def test_the_one_who_sends_too_large_a_body_hears_one_refusal() -> None:
    async with serving(clock=FakeClock(), limits=Limits(body_bytes=1000)) as served:
        body = b"a" * 200_000
        heard = await send(served, signed(body), body)
        assert (heard.status, heard.error) == (413, "body_too_large")
        assert served.axon.counters.refused == {"body_too_large": 1}


async def test_the_one_who_chunks_too_large_a_body_is_refused() -> None:
    async with serving(clock=FakeClock(), limits=Limits(body_bytes=1000)) as served:
        head = request_bytes([*signed(BODY), ("Transfer-Encoding", "chunked")], b"")
        head = head.replace(b"Content-Length: 0\r\n", b"")
        chunk = b"64\r\n" + b"a" * 100 + b"\r\n"
        heard = await send_raw(served, head + chunk * 20 + b"0\r\n\r\n")
        assert (heard.status, heard.error) == (413, "body_too_large")


async def test_a_chunked_body_is_signed_whole() -> None:
    async with serving(clock=FakeClock()) as served:
        head = request_bytes([*signed(BODY), ("Transfer-Encoding", "chunked")], b"")
        head = head.replace(b"Content-Length: 0\r\n", b"")
        chunks = b"".join(b"1\r\n" + BODY[i : i + 1] + b"\r\n" for i in range(len(BODY)))
        heard = await send_raw(served, head + chunks + b"0\r\n\r\n")
        assert (heard.status, heard.body) == (200, BODY)


async def test_the_one_who_sends_a_compressed_body_is_refused() -> None:
    async with serving(clock=FakeClock()) as served:
        heard = await send(served, [*signed(BODY), ("Content-Encoding", "gzip")], BODY)
        assert (heard.status, heard.error) == (415, "encoded_body")


async def test_those_who_fill_the_memory_together_are_refused() -> None:
    limits = Limits(buffered_bytes=1500)
    async with serving(clock=FakeClock(), limits=limits) as served:
        body = b"a" * 1000
        reader, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(request_bytes(signed(body), body)[:-1])
        await until(lambda: served.axon._bytes.taken, pause_s=0.001)
        heard = await send(served, signed(body, nonce=NOW + 2), body)
        assert (heard.status, heard.error) == (503, "busy")
        writer.close()
        await until(lambda: not served.axon._bytes.taken, pause_s=0.001)
        heard = await send(served, signed(BODY, nonce=NOW + 3), BODY)
        assert heard.status == 200


async def test_the_botnet_that_fills_the_memory_keeps_no_regular_caller_out() -> None:
    """Each of its addresses holds as much of a body as it may, and sends no more of it."""
    limits = Limits(buffered_bytes=8000, ip_buffered_bytes=1000, body_bytes=1000)
    body = b'{"text":"' + b"a" * 880 + b'"}'
    async with serving(clock=FakeClock(), limits=limits) as served:
        assert (await send(served, signed(BODY), BODY)).status == 200
        writers = []
        for number in range(1, 11):
            _, writer = await asyncio.open_connection(
                served.host, served.port, local_addr=(f"127.0.1.{number}", 0)
            )
            writer.write(request_bytes(signed(body, nonce=NOW + 1 + number), body)[:-1])
            writers.append(writer)
        async with asyncio.timeout(10):
            while served.axon.counters.refused["busy"] < 4:  # as much as they get, they have
                await asyncio.sleep(0.01)
        heard = await send(served, signed(body, nonce=NOW + 50), body)
        assert heard.status == 200
        for writer in writers:
            writer.close()
        async with asyncio.timeout(10):
            while served.axon._bytes.taken:
                await asyncio.sleep(0.01)


async def test_the_one_address_that_fills_the_memory_leaves_room_for_others() -> None:
    limits = Limits(ip_buffered_bytes=3000, body_bytes=1000)
    async with serving(clock=FakeClock(), limits=limits) as served:
        body = b"a" * 1000
        writers = []
        for nonce in range(1, 4):
            _, writer = await asyncio.open_connection(
                served.host, served.port, local_addr=("127.0.0.66", 0)
            )
            writer.write(request_bytes(signed(body, nonce=NOW + nonce), body)[:-1])
            writers.append(writer)
        await until(lambda: served.axon._bytes.taken >= 2997, pause_s=0.001)
        reader, writer = await asyncio.open_connection(
            served.host, served.port, local_addr=("127.0.0.66", 0)
        )
        writer.write(request_bytes(signed(body, nonce=NOW + 4), body))
        heard = await hear(reader)
        assert (heard.status, heard.error, heard.is_signed) == (503, "busy", False)
        heard = await send(served, signed(BODY, nonce=NOW + 5), BODY)
        assert heard.status == 200
        for one in [*writers, writer]:
            one.close()
        async with asyncio.timeout(5):
            while served.axon._bytes.taken:
                await asyncio.sleep(0.001)


async def test_a_body_counts_until_its_answer_is_made() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> Echo:
        started.set()
        await release.wait()
        return Echo(text="")

    async with serving(wait, clock=FakeClock()) as served:
        asking = asyncio.create_task(send(served, signed(BODY), BODY))
        await started.wait()
        assert served.axon._bytes.taken == len(BODY)
        release.set()
        assert (await asking).status == 200
        assert served.axon._bytes.taken == 0


async def test_the_one_who_never_reads_its_answer_is_cut_off() -> None:
    async def much(question: Question, caller: Caller) -> Echo:
        return Echo(text="a" * 20_000_000)

    async with serving(much, clock=FakeClock(), limits=Limits(write_s=0.2)) as served:
        _, writer = await asyncio.open_connection(served.host, served.port, limit=1)
        writer.write(request_bytes(signed(BODY), BODY))
        async with asyncio.timeout(10):
            while not served.axon.counters.refused:
                await asyncio.sleep(0.01)
            while served.axon._door is not None and served.axon._door.places.taken:
                await asyncio.sleep(0.01)
        assert served.axon.counters.refused == {"answer_not_read": 1}
        writer.close()


async def test_many_pipelined_requests_are_answered_in_order() -> None:
    limits = Limits(ip_burst=1000, hotkey_burst=1000)
    async with serving(clock=FakeClock(), limits=limits) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port)
        for number in range(200):
            body = Question(text=f"{number} " + "a" * (number * 100)).model_dump_json().encode()
            data = request_bytes(signed(body, nonce=NOW + 1 + number), body)
            writer.write(data.replace(b"Connection: close\r\n", b"") if number < 199 else data)
        async with asyncio.timeout(20):
            text = await reader.read(-1)
        writer.close()
        assert text.count(b"HTTP/1.1 200 OK") == 200
        texts = [part.split(b" ", 1)[0] for part in text.split(b'{"text":"')[1:]]
        assert texts == [b"%d" % number for number in range(200)]


async def test_the_one_who_pipelines_and_never_reads_is_cut_off() -> None:
    """Small answers: each fits into the buffers alone, and all of them together do not."""

    async def some(question: Question, caller: Caller) -> Echo:
        return Echo(text="a" * 50_000)

    limits = Limits(write_s=0.2, ip_burst=10_000, hotkey_burst=10_000)
    async with serving(some, clock=FakeClock(), limits=limits) as served:
        _, writer = await asyncio.open_connection(served.host, served.port, limit=1)
        for nonce in range(1, 1000):
            data = request_bytes(signed(BODY, nonce=NOW + nonce), BODY)
            writer.write(data.replace(b"Connection: close\r\n", b""))
        async with asyncio.timeout(20):
            while not served.axon.counters.refused:
                await asyncio.sleep(0.01)
        assert served.axon.counters.refused == {"answer_not_read": 1}
        writer.close()


async def test_a_stop_does_not_wait_for_those_who_do_not_read() -> None:
    async def much(question: Question, caller: Caller) -> Echo:
        return Echo(text="a" * 20_000_000)

    async with serving(much, clock=FakeClock()) as served:
        _, writer = await asyncio.open_connection(served.host, served.port, limit=1)
        writer.write(request_bytes(signed(BODY), BODY))
        async with asyncio.timeout(10):
            while not served.axon.counters.answered:
                await asyncio.sleep(0.01)
            await served.axon.stop(0.1)
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"POST /echo HT", b"POST /echo HTTP/1.1\r\nHost: a\r\n"])
async def test_the_one_with_a_slow_head_is_cut_off(sent: bytes) -> None:
    async with serving(limits=Limits(head_s=0.1)) as served:
        heard = await send_raw(served, sent)
        assert (heard.status, heard.error) == (408, "head_too_slow")
        assert served.axon.counters.refused == {"head_too_slow": 1}


async def test_the_one_who_drips_the_head_gets_no_more_time_for_each_drop() -> None:
    async with serving(limits=Limits(head_s=0.2)) as served:
        _, writer = await asyncio.open_connection(served.host, served.port)
        refused = served.axon.counters.refused
        for byte in b"POST /echo HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000:
            if refused:
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        writer.close()
        assert refused == {"head_too_slow": 1}


async def test_the_one_with_a_slow_second_head_is_cut_off() -> None:
    async with serving(clock=FakeClock(), limits=Limits(head_s=0.1)) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port)
        first = request_bytes(signed(BODY), BODY).replace(b"Connection: close\r\n", b"")
        writer.write(first)
        await until(lambda: served.axon.counters.answered, pause_s=0.001)
        await asyncio.sleep(0.2)  # idle is not slow
        writer.write(b"POST /echo HT")
        async with asyncio.timeout(5):
            text = await reader.read(-1)
        writer.close()
        assert text.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in text


async def test_the_one_whose_head_never_ends_is_cut_off() -> None:
    async with serving(limits=Limits(headers=1000)) as served:
        lines = b"".join(b"X-%d: %s\r\n" % (index, b"a" * 1000) for index in range(20))
        heard = await send_raw(served, b"POST /echo HTTP/1.1\r\nHost: a\r\n" + lines)
        assert (heard.status, heard.error) == (431, "head_too_large")


async def test_an_idle_caller_is_not_slow() -> None:
    async with serving(clock=FakeClock(), limits=Limits(head_s=0.4, head_bytes=700)) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port)
        for nonce in range(1, 3):
            data = request_bytes(signed(BODY, nonce=NOW + nonce), BODY)
            data = data.replace(b"Connection: close\r\n", b"")
            writer.write(data[:400])
            await asyncio.sleep(0.01)
            writer.write(data[400:])
            async with asyncio.timeout(5):
                assert (await reader.readuntil(BODY)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.6)
        writer.close()


async def test_a_large_body_is_not_a_large_head() -> None:
    async with serving(clock=FakeClock(), limits=Limits(head_bytes=800)) as served:
        body = Question(text="a" * 5000).model_dump_json().encode()
        assert (await send(served, signed(body), body)).status == 200


async def test_a_body_that_comes_between_parsing_and_handling_is_no_slow_head() -> None:
    async def slow(question: Question, caller: Caller) -> Echo:
        await asyncio.sleep(0.6)
        return Echo(text=question.text)

    async def ask(served: Served, turns: int) -> Heard:
        data = request_bytes(signed(BODY, nonce=NOW + 1 + turns), BODY)
        reader, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(data[: -len(BODY)])
        for _ in range(turns):
            await asyncio.sleep(0)
        writer.write(data[-len(BODY) :])
        heard = await hear(reader)
        writer.close()
        return heard

    async with serving(slow, clock=FakeClock(), limits=Limits(head_s=0.3)) as served:
        heard = await asyncio.gather(*(ask(served, turns) for turns in range(8)))
    assert [one.status for one in heard] == [200] * 8


async def test_a_slow_answer_is_not_a_slow_head() -> None:
    async def slow(question: Question, caller: Caller) -> Echo:
        await asyncio.sleep(0.6)
        return Echo(text=question.text)

    async with serving(slow, clock=FakeClock(), limits=Limits(head_s=0.3)) as served:
        assert (await send(served, signed(BODY), BODY)).status == 200


async def test_the_one_with_a_slow_body_is_cut_off() -> None:
    async with serving(clock=FakeClock(), limits=Limits(body_s=0.1, linger_s=0.1)) as served:
        heard = await send_raw(served, request_bytes(signed(BODY), BODY)[:-1])
        assert (heard.status, heard.error, heard.is_signed) == (408, "body_too_slow", False)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 13\r\nContent-Length: 13\r\n",
        b"Content-Length: 13\r\nContent-Length: 12\r\n",
        b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +13\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Bad Header: 1\r\nContent-Length: 13\r\n",
    ],
)
async def test_the_smuggler_is_refused(lines: bytes) -> None:
    async with serving(clock=FakeClock()) as served:
        data = request_bytes(signed(BODY), BODY).replace(b"Content-Length: 13\r\n", lines)
        heard = await send_raw(served, data)
        assert (heard.status, heard.error) == (400, "bad_request")
        assert served.axon.counters.answered == 0


async def test_the_one_who_speaks_no_http_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        heard = await send_raw(served, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert (heard.status, heard.error) == (400, "bad_request")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_the_one_who_opens_many_connections_is_turned_away() -> None:
    async with serving(limits=Limits(ip_connections=3)) as served:
        held = [await asyncio.open_connection(served.host, served.port) for _ in range(3)]
        heard = await send_raw(served, b"")
        assert (heard.status, heard.error) == (429, "too_many_connections")
        for _, writer in held:
            writer.close()
        await until(
            lambda: not (served.axon._door and served.axon._door.places.taken), pause_s=0.001
        )
        assert (await send(served, [], b"", method="GET", target="/healthz")).status == 200


async def test_the_one_who_asks_too_often_from_one_address_is_turned_away() -> None:
    limits = Limits(ip_rate=0.001, ip_burst=3)
    async with serving(clock=FakeClock(), limits=limits) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port)
        for nonce in range(1, 5):
            data = request_bytes(signed(BODY, nonce=NOW + nonce), BODY)
            writer.write(data.replace(b"Connection: close\r\n", b""))
        async with asyncio.timeout(5):
            text = (await reader.read(-1)).decode()
        writer.close()
        statuses = [line.split(" ")[1] for line in text.split("HTTP/1.1")[1:]]
        assert statuses == ["200", "200", "200", "429"]
        heard = await send_raw(served, b"")
        assert (heard.status, heard.error) == (429, "rate_limited")


async def test_strangers_hold_no_idle_connections() -> None:
    async with serving(clock=FakeClock()) as served:
        for data in (
            request_bytes(signed(BODY, keypair=STRANGER), BODY),
            request_bytes([], b"", method="GET", target="/healthz"),
        ):
            # Read to the end, though the request does not ask for a close.
            heard = await send_raw(served, data.replace(b"Connection: close\r\n", b""))
            assert heard.status in (200, 403)


# After authentication: whatever happens is signed


async def test_the_validator_that_asks_too_often_is_told_so_signed() -> None:
    limits = Limits(hotkey_rate=0.001, hotkey_burst=2)
    async with serving(clock=FakeClock(), limits=limits) as served:
        heard = [await send(served, signed(BODY, nonce=NOW + nonce), BODY) for nonce in range(1, 4)]
        assert [one.status for one in heard] == [200, 200, 429]
        assert heard[2].error == "caller_rate_limited"
        heard[2].check_signed(NOW + 3)
        other = await send(served, signed(BODY, keypair=ED_VALIDATOR), BODY)
        assert other.status == 200


@pytest.mark.parametrize(
    ("limits", "status", "error"),
    [
        (Limits(hotkey_requests=1), 429, "caller_busy"),
        (Limits(requests=1, waiting_s=0.05), 503, "busy"),
    ],
)
async def test_the_validator_that_asks_too_much_at_once_is_told_so_signed(
    limits: Limits, status: int, error: str
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> Echo:
        started.set()
        await release.wait()
        return Echo(text="")

    async with serving(wait, clock=FakeClock(), limits=limits) as served:
        first = asyncio.create_task(send(served, signed(BODY), BODY))
        await started.wait()
        second = await send(served, signed(BODY, nonce=NOW + 2), BODY)
        assert (second.status, second.error) == (status, error)
        second.check_signed(NOW + 2)
        release.set()
        assert (await first).status == 200
        assert (await send(served, signed(BODY, nonce=NOW + 3), BODY)).status == 200


async def test_the_validator_that_sends_no_message_is_told_the_field_signed() -> None:
    async with serving(clock=FakeClock()) as served:
        body = b'{"txt":"secret"}'
        heard = await send(served, signed(body), body)
        assert (heard.status, heard.error) == (400, "malformed_message")
        assert "text: Field required" in json.loads(heard.body)["message"]
        assert b"secret" not in heard.body
        heard.check_signed()


async def test_a_handler_that_raises_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(question: Question, caller: Caller) -> Echo:
        raise RuntimeError("the secret path")

    async with serving(fail, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (500, "internal")
        assert b"secret" not in heard.body
        heard.check_signed()
        record = next(record for record in caplog.records if record.exc_info)
        assert json.loads(heard.body)["request_id"] in record.getMessage()
        assert "the secret path" in caplog.text


async def test_a_handler_that_returns_something_else_leaks_nothing() -> None:
    async def wrong(question: Question, caller: Caller) -> Echo:
        return question  # type: ignore[return-value]

    async with serving(wrong, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (500, "internal")


async def test_a_handler_may_decline_in_its_own_words() -> None:
    async def decline(question: Question, caller: Caller) -> Echo:
        raise Declined("not today")

    async with serving(decline, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (503, "declined")
        assert json.loads(heard.body)["message"] == "not today"
        heard.check_signed()


async def test_a_handler_may_refuse_in_its_own_words() -> None:
    async def refuse(question: Question, caller: Caller) -> Echo:
        raise RequestRefused(422, "too_long", "at most 80 tokens")

    async with serving(refuse, clock=FakeClock()) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (422, "too_long")
        heard.check_signed()


async def test_a_handler_that_hangs_is_cut_off_signed() -> None:
    async def hang(question: Question, caller: Caller) -> Echo:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang, clock=FakeClock(), limits=Limits(handler_s=0.1)) as served:
        heard = await send(served, signed(BODY), BODY)
        assert (heard.status, heard.error) == (504, "too_slow")
        heard.check_signed()
        assert served.axon._room.taken == 0


async def test_the_handler_that_blocks_holds_nobody_else_up() -> None:
    """A plain function: slow code that knows nothing of event loops."""
    started, release = threading.Event(), threading.Event()

    def compute(question: Question, caller: Caller) -> Echo:
        started.set()
        assert release.wait(10)
        return Echo(text=question.text + " of " + caller.hotkey)

    async with serving(clock=FakeClock()) as served:
        served.axon.handle("/slow", Question, Echo, compute)
        slow = asyncio.create_task(send(served, signed(BODY, target="/slow"), BODY, target="/slow"))
        await until(started.is_set, pause_s=0.001)
        assert (await send(served, signed(BODY, nonce=NOW + 2), BODY)).status == 200
        release.set()
        heard = await slow
        assert json.loads(heard.body)["text"] == "hi of " + VALIDATOR.ss58_address


async def test_an_object_with_an_async_call_is_a_handler() -> None:
    class Model:
        async def __call__(self, question: Question, caller: Caller) -> Echo:
            return Echo(text="called")

    async with serving(Model(), clock=FakeClock()) as served:
        assert (await send(served, signed(BODY), BODY)).body == b'{"text":"called"}'


async def test_a_handlers_own_timeout_is_its_failure_not_the_limit() -> None:
    async def give_up(question: Question, caller: Caller) -> Echo:
        raise TimeoutError

    async with serving(give_up, clock=FakeClock()) as served:
        assert (await send(served, signed(BODY), BODY)).error == "internal"


async def test_the_one_who_hangs_up_frees_the_handler() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def work(question: Question, caller: Caller) -> Echo:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with serving(work, clock=FakeClock()) as served:
        _, writer = await asyncio.open_connection(served.host, served.port)
        writer.write(request_bytes(signed(BODY), BODY))
        await started.wait()
        writer.close()
        async with asyncio.timeout(5):
            await cancelled.wait()
        assert served.axon._room.taken == 0


# The rest of its life


async def test_an_axon_says_how_it_is() -> None:
    policy = PermitPolicy(1000)
    async with serving(policy=policy) as served:
        heard = await send(served, [], b"", method="GET", target="/healthz")
        assert json.loads(heard.body) == {"status": "ok", "metagraph": "none"}
        policy.update({})
        heard = await send(served, [], b"", method="GET", target="/healthz?x=1")
        assert json.loads(heard.body) == {"status": "ok", "metagraph": "fresh"}
        assert not heard.is_signed
        assert dict(heard.headers)["Server"] == "subnet"


async def test_only_posts_to_known_paths_are_questions() -> None:
    async with serving() as served:
        heard = await send(served, [], b"", method="GET")
        assert (heard.status, heard.error) == (405, "method_not_allowed")
        heard = await send(served, [], b"", target="/nothing")
        assert (heard.status, heard.error) == (404, "not_found")


async def test_a_body_announced_with_expect_is_asked_for() -> None:
    async with serving(clock=FakeClock()) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port)
        data = request_bytes([*signed(BODY), ("Expect", "100-continue")], BODY)
        writer.write(data[: -len(BODY)])
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        heard = await hear(reader)
        writer.close()
        assert (heard.status, heard.body) == (200, BODY)


async def test_a_stop_lets_requests_finish() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def wait(question: Question, caller: Caller) -> Echo:
        started.set()
        await release.wait()
        return Echo(text=question.text)

    async with serving(wait, clock=FakeClock()) as served:
        first = asyncio.create_task(send(served, signed(BODY), BODY))
        await started.wait()
        stopping = asyncio.create_task(served.axon.stop(600))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(served.host, served.port)
        release.set()
        heard = await first
        assert (heard.status, heard.body) == (200, BODY)
        heard.check_signed()
        async with asyncio.timeout(5):
            await stopping


async def test_a_stop_does_not_wait_for_ever() -> None:
    started = asyncio.Event()

    async def hang(question: Question, caller: Caller) -> Echo:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang, clock=FakeClock()) as served:
        first = asyncio.create_task(send(served, signed(BODY), BODY))
        await started.wait()
        await served.axon.stop(0.05)
        with pytest.raises((ConnectionError, ValueError, IndexError)):
            await first


async def test_a_stopped_axon_starts_again_on_its_port() -> None:
    async with serving() as served:
        await served.axon.stop(0.1)
        assert await served.axon.start(served.host, served.port) == (served.host, served.port)
        heard = await send(served, [], b"", method="GET", target="/healthz")
        assert heard.status == 200


async def test_a_taken_port_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        axon = Axon(MINER, policy=AnyPolicy())
        with pytest.raises(PortTaken, match=str(other.getsockname()[1])):
            await axon.start(LOOPBACK, other.getsockname()[1])


async def test_an_axon_listens_once() -> None:
    async with serving() as served:
        with pytest.raises(RuntimeError, match="already"):
            await served.axon.start(LOOPBACK, 0)


def test_miners_do_without_the_whole_sdk() -> None:
    program = (
        "import subnet.wire.axon, subnet.wire.dendrite, sys; print('bittensor' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


async def test_a_path_is_handled_once() -> None:
    axon = Axon(MINER, policy=AnyPolicy())
    axon.handle("/echo", Question, Echo, echo)
    for path in ("/echo", "echo", "/healthz", ""):
        with pytest.raises(ValueError, match="path"):
            axon.handle(path, Question, Echo, echo)


async def test_an_axon_counts_what_it_did() -> None:
    async with serving(clock=FakeClock()) as served:
        lines = signed(BODY)
        await send(served, lines, BODY)
        await send(served, lines, BODY)
        counters = served.axon.counters
        assert (counters.requests, counters.answered) == (2, 1)
        assert counters.refused == {"replayed": 1}


async def test_the_clock_is_the_real_one_unless_given() -> None:
    async with serving() as served:
        nonce = time.time_ns()
        assert (await send(served, signed(BODY, nonce=nonce), BODY)).status == 200


# Answers that name their question


async def test_the_question_is_signed_for_where_the_caller_wants_it() -> None:
    async def decline(question: Question, caller: Caller) -> Echo:
        raise Declined("no")

    asked = auth.Asked("POST", "/echo?n=1", auth.digest_of(BODY))
    for handler, status in ((echo, 200), (decline, 503)):
        async with serving(handler, clock=FakeClock()) as served:
            for number, wanted in enumerate((None, auth.BOUND, "2", auth.PLAIN)):
                nonce = NOW + 1 + number
                lines = signed(BODY, nonce=nonce, target=asked.target)
                if wanted is not None:
                    lines.append((auth.ANSWER_ACCEPT, wanted))
                heard = await send(served, lines, BODY, target=asked.target)
                found = auth.verify_answer(
                    heard.headers,
                    hotkey=MINER.ss58_address,
                    nonce=nonce,
                    sender=VALIDATOR.ss58_address,
                    status=status,
                    body=heard.body,
                    asked=asked,
                )
                assert found.version == (auth.BOUND if wanted == auth.BOUND else auth.PLAIN)
