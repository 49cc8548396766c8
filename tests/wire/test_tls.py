"""Miners behind TLS with a published key, and who stands in between."""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from taowire import tls as taowire_tls

from subnet.protocol import Failure, Reply, Target
from subnet.wire import tls
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from tests.wire.world import LOOPBACK, MINER, VALIDATOR, Echo, Question, echo, permits


def own_certificate(
    folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *, days: int = 10
) -> Path:
    """One PEM file with a key and a certificate that began 20 days ago."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody else")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=20)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / "own.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    path.chmod(0o600)
    return path


def generated(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    path = folder / "tls.pem"
    tls.ensure_certificate(path)
    return tls.server_context(path)


@asynccontextmanager
async def serving(
    context: ssl.SSLContext | None, published: bytes | None, limits: Limits | None = None
) -> AsyncIterator[tuple[Axon, Target]]:
    axon = Axon(MINER, policy=permits(), limits=limits)
    axon.handle("/echo", Question, Echo, echo)
    host, port = await axon.start(LOOPBACK, 0, tls=context)
    try:
        yield axon, Target(0, MINER.ss58_address, host, port, published)
    finally:
        await axon.stop(0.2)


async def ask(target: Target, text: str = "hi") -> Reply[Echo]:
    async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
        (reply,) = await dendrite.ask([target], "/echo", Question(text=text), Echo, timeout_s=10)
    return reply


async def test_a_miner_with_its_published_key_is_asked_over_tls(tmp_path: Path) -> None:
    context, published = generated(tmp_path)
    async with serving(context, published) as (axon, target):
        async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
            for text in ("one", "two"):
                (reply,) = await dendrite.ask(
                    [target], "/echo", Question(text=text), Echo, timeout_s=10
                )
                assert (reply.answer, reply.signed) == (Echo(text=text), True), reply
        assert axon.counters.answered == 2


async def test_a_p256_certificate_of_ones_own_is_pinned_and_its_dates_count_for_nothing(
    tmp_path: Path,
) -> None:
    path = own_certificate(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    context, published = tls.server_context(path)
    assert len(published) == 65
    async with serving(context, published) as (_, target):
        assert (await ask(target)).answer == Echo(text="hi")


async def test_the_man_in_the_middle_with_another_key_gets_no_byte(tmp_path: Path) -> None:
    _, published = generated(tmp_path)
    (tmp_path / "tls.pem").unlink()
    his_context, his = generated(tmp_path)
    assert his != published
    async with serving(his_context, published) as (axon, target):
        reply = await ask(target)
        assert (reply.failure, reply.signed, reply.status) == (Failure.TLS, False, None)
        assert "not the one published" in reply.detail
        assert axon.counters.requests == 0


async def test_the_downgrader_to_plain_http_gets_no_byte(tmp_path: Path) -> None:
    """The chain says a key; what answers speaks HTTP in the clear."""
    _, published = generated(tmp_path)
    heard = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(plain, LOOPBACK, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reply = await ask(Target(0, MINER.ss58_address, LOOPBACK, port, published), "secret")
    assert reply.failure is Failure.TLS
    assert b"secret" not in b"".join(heard) and b"bittensor" not in b"".join(heard).lower()


@pytest.mark.parametrize("published", [b"", b"\0", b"\3" + bytes(32), b"\1" + bytes(31)])
async def test_a_published_key_that_is_none_is_not_asked_in_the_clear(published: bytes) -> None:
    async with serving(None, None) as (axon, target):
        reply = await ask(replace(target, tls_key=published))
        assert reply.failure is Failure.TLS
        assert axon.counters.requests == 0


async def test_the_caller_in_the_clear_gets_nothing_from_a_tls_miner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context, published = generated(tmp_path)
    async with serving(context, published) as (axon, target):
        with caplog.at_level(logging.INFO):
            reply = await ask(replace(target, tls_key=None))
            assert reply.failure is Failure.UNREACHABLE or reply.failure is Failure.MALFORMED
            assert axon.counters.requests == 0
            assert (await ask(target)).answer == Echo(text="hi")
        assert not caplog.records


async def test_the_handshake_that_never_comes_is_hung_up_on(tmp_path: Path) -> None:
    context, published = generated(tmp_path)
    async with serving(context, published, Limits(head_s=0.1, ip_connections=2)) as (_, target):
        for _ in range(4):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
        assert (await ask(target)).answer == Echo(text="hi")


async def test_the_flooder_is_turned_away_before_the_handshake(tmp_path: Path) -> None:
    context, published = generated(tmp_path)
    limits = Limits(ip_rate=0.001, ip_burst=1)
    async with serving(context, published, limits) as (axon, target):
        assert (await ask(target)).answer == Echo(text="hi")
        reader, writer = await asyncio.open_connection(target.host, target.port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        assert axon.counters.refused["rate_limited"] == 1


def test_a_generated_key_is_for_its_owner_only_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tls.pem"
    tls.ensure_certificate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    tls.ensure_certificate(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["tls.pem"]


def test_what_is_published_is_what_others_read(tmp_path: Path) -> None:
    """The same bytes as TaoWire's kit publishes and pins."""
    for number, path in enumerate(
        [tmp_path / "tls.pem", own_certificate(tmp_path, ec.generate_private_key(ec.SECP256R1()))]
    ):
        tls.ensure_certificate(path)
        _, published = tls.server_context(path)
        assert taowire_tls.parse_published(published) == published
        assert published[0] == number + 1
        pem = path.read_bytes()
        der = ssl.PEM_cert_to_DER_cert(pem[pem.index(b"-----BEGIN CERT") :].decode())
        assert taowire_tls.published_key_from_der(der) == published


async def test_the_strangers_kit_pins_our_miner(tmp_path: Path) -> None:
    context, published = generated(tmp_path)
    async with serving(context, published) as (_, target):
        pinned = taowire_tls.pinned_context(published)
        _, writer = await asyncio.open_connection(target.host, target.port, ssl=pinned)
        writer.close()
        wrong = taowire_tls.pinned_context(b"\1" + bytes(32))
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(target.host, target.port, ssl=wrong)


def test_keys_that_cannot_be_published_or_served_are_refused(tmp_path: Path) -> None:
    path = own_certificate(tmp_path, rsa.generate_private_key(65537, 2048))
    with pytest.raises(tls.KeyUnusable, match="neither Ed25519 nor P-256"):
        tls.server_context(path)
    tls.ensure_certificate(tmp_path / "a.pem")
    tls.ensure_certificate(tmp_path / "b.pem")
    with pytest.raises(tls.KeyUnusable, match="no unencrypted private key"):
        tls.server_context(tmp_path / "a.pem", tmp_path / "b.pem")
    (tmp_path / "a.pem").chmod(0o640)
    with pytest.raises(tls.KeyUnusable, match="chmod 600"):
        tls.server_context(tmp_path / "a.pem")
    (tmp_path / "c.pem").write_text("no")
    (tmp_path / "c.pem").chmod(0o600)
    with pytest.raises(tls.KeyUnusable, match="no PEM certificate"):
        tls.server_context(tmp_path / "c.pem")
