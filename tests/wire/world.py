"""Keys, messages, served axons and raw HTTP for the wire tests; nothing here signs by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bittensor_core import CRYPTO_ED25519, Keypair

from subnet.protocol import Answer, Challenge, Target
from subnet.wire.auth import Caller, sign_request, verify_answer
from subnet.wire.axon import Axon
from subnet.wire.limits import Limits
from subnet.wire.policy import PermitPolicy, Policy

NOW = 1_790_000_000_000_000_000
SECOND = 1_000_000_000

VALIDATOR = Keypair.create_from_uri("//Validator")
ED_VALIDATOR = Keypair.create_from_uri("//Validator", crypto_type=CRYPTO_ED25519)
MINER = Keypair.create_from_uri("//Miner")
STRANGER = Keypair.create_from_uri("//Stranger")
LOOPBACK = "127.0.0.2"


class Question(Challenge):
    text: str


class Echo(Answer):
    text: str


Handler = Callable[[Question, Caller], Awaitable[Echo]]


async def echo(question: Question, caller: Caller) -> Echo:
    return Echo(text=question.text)


class FakeClock:
    """Unix nanoseconds that move when told."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass
class Served:
    """An axon that listens."""

    axon: Axon
    host: str
    port: int

    def target(self, uid: int = 0) -> Target:
        return Target(uid=uid, hotkey=MINER.ss58_address, host=self.host, port=self.port)


def permits(stake: int = 1000, min_stake: int = 1000) -> PermitPolicy:
    """A policy that knows the two validators and no stranger."""
    policy = PermitPolicy(min_stake)
    policy.update({key.ss58_address: (stake, True) for key in (VALIDATOR, ED_VALIDATOR)})
    return policy


@asynccontextmanager
async def serving(
    handler: Handler = echo,
    *,
    policy: Policy | None = None,
    limits: Limits | None = None,
    clock: Callable[[], int] | None = None,
) -> AsyncIterator[Served]:
    extra: dict[str, Any] = {} if clock is None else {"clock": clock}
    axon = Axon(MINER, policy=policy or permits(), limits=limits, **extra)
    axon.handle("/echo", Question, Echo, handler)
    host, port = await axon.start(LOOPBACK, 0)
    try:
        yield Served(axon, host, port)
    finally:
        await axon.stop(0.2)


def signed(
    body: bytes,
    *,
    nonce: int = NOW + 1,
    keypair: Keypair = VALIDATOR,
    receiver: str = MINER.ss58_address,
    target: str = "/echo",
) -> list[tuple[str, str]]:
    """The header lines of a good request of the validator."""
    headers = sign_request(
        keypair, method="POST", target=target, body=body, receiver=receiver, nonce=nonce
    )
    return list(headers.items())


def replaced(lines: Iterable[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [(line, value if line == name else old) for line, old in lines]


def without(lines: Iterable[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [(line, value) for line, value in lines if line != name]


@dataclass(frozen=True)
class Heard:
    """One HTTP response as it came over the socket."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])

    @property
    def is_signed(self) -> bool:
        return any(name.lower().startswith("x-tw-resp") for name, _ in self.headers)

    def check_signed(self, nonce: int = NOW + 1) -> None:
        """Raise unless the miner signed this for the validator's request."""
        verify_answer(
            self.headers,
            hotkey=MINER.ss58_address,
            nonce=nonce,
            sender=VALIDATOR.ss58_address,
            status=self.status,
            body=self.body,
        )


def request_bytes(
    headers: Iterable[tuple[str, str]], body: bytes, *, method: str = "POST", target: str = "/echo"
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: miner", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def send(
    served: Served,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    method: str = "POST",
    target: str = "/echo",
) -> Heard:
    """Send one request, byte by byte as given, and hear the response."""
    return await send_raw(served, request_bytes(headers, body, method=method, target=target))


async def send_raw(served: Served, data: bytes) -> Heard:
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(data)
    try:
        return await hear(reader)
    finally:
        writer.close()


async def hear(reader: asyncio.StreamReader) -> Heard:
    """Read one response until the server closes."""
    async with asyncio.timeout(10):
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
    return Heard(int(status.split(" ")[1]), headers, body)


SMALL_ORDER = [
    bytes.fromhex(encoding)[:31] + bytes([bytes.fromhex(encoding)[31] | sign])
    for encoding in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
    for sign in (0, 0x80)
]
"""ed25519 keys under which anybody can sign: the points of small order, in all encodings."""
