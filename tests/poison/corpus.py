"""Poisoned miners: each answers one real request over a real socket, in the worst way it knows.

Generated, not stored. `EXPECTED` says what each has to come to; the names are the corpus.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bittensor_core import Keypair

from subnet.protocol import Target
from subnet.wire.auth import sign_answer

MIB = 2**20
CHUNK = b"x" * MIB


@dataclass(frozen=True)
class Asked:
    """One request as a miner hears it."""

    keypair: Keypair
    nonce: int
    sender: str
    number: int
    """What the question holds; twice that is the right answer."""

    @property
    def right(self) -> bytes:
        return json.dumps({"number": 2 * self.number, "text": "", "note": None}).encode()

    def head(
        self,
        body: bytes,
        *,
        status: int = 200,
        keypair: Keypair | None = None,
        nonce: int | None = None,
        length: int | None = None,
        content_type: str = "application/json",
        more: Sequence[str] = (),
    ) -> bytes:
        """The head of a signed answer."""
        headers = sign_answer(
            keypair or self.keypair,
            nonce=nonce or self.nonce,
            sender=self.sender,
            status=status,
            body=body,
        )
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body) if length is None else length}", *more]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def answer(self, body: bytes, **changes: object) -> bytes:
        """A signed answer."""
        return self.head(body, **changes) + body  # type: ignore[arg-type]

    def fields(self, **fields: object) -> bytes:
        """A signed answer, right but for `fields`."""
        return self.answer(json.dumps({**json.loads(self.right), **fields}).encode())

    def raw(self, **fields: str) -> bytes:
        """A signed answer with `fields` as they are written, for what JSON has no word for."""
        written = {"number": str(2 * self.number), "text": '""', "note": "null"} | fields
        body = "{" + ",".join(f'"{name}":{text}' for name, text in written.items()) + "}"
        return self.answer(body.encode("utf-8", "surrogatepass"))


Writer = asyncio.StreamWriter
Poison = Callable[[Asked, Writer], Awaitable[None]]


def says(make: Callable[[Asked], bytes]) -> Poison:
    """Answers with the bytes that `make` makes, and hangs up."""

    async def poison(asked: Asked, writer: Writer) -> None:
        writer.write(make(asked))
        await writer.drain()

    return poison


async def megabytes(asked: Asked, writer: Writer) -> None:
    """100 MB, as announced."""
    writer.write(asked.head(b"", length=100 * MIB))
    for _ in range(100):
        writer.write(CHUNK)
        await writer.drain()


async def megabytes_in_chunks(asked: Asked, writer: Writer) -> None:
    """100 MB that nobody announced."""
    head = asked.head(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    writer.write(head)
    for _ in range(100):
        writer.write(b"%x\r\n" % len(CHUNK) + CHUNK + b"\r\n")
        await writer.drain()


async def endless_head(asked: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
        await writer.drain()


async def endless_continue(asked: Asked, writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()


async def endless_extension(asked: Asked, writer: Writer) -> None:
    """A chunk whose extension never ends."""
    head = asked.head(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    writer.write(head + b"1;")
    for _ in range(100):
        writer.write(CHUNK)
        await writer.drain()


async def drip(asked: Asked, writer: Writer) -> None:
    """A byte now and then, of an answer that would be right."""
    whole = asked.answer(asked.right)
    writer.write(whole[:-20])
    for byte in whole[-20:]:
        await asyncio.sleep(2)
        writer.write(bytes([byte]))
        await writer.drain()


async def drip_head(asked: Asked, writer: Writer) -> None:
    for byte in asked.answer(asked.right):
        await asyncio.sleep(0.5)
        writer.write(bytes([byte]))
        await writer.drain()


async def silent(asked: Asked, writer: Writer) -> None:
    await asyncio.sleep(3600)


async def half_closed(asked: Asked, writer: Writer) -> None:
    """Half an answer, and the end of the stream, but not of the connection."""
    whole = asked.answer(asked.right)
    writer.write(whole[:-5])
    writer.write_eof()
    await asyncio.sleep(3600)


async def half_closed_mute(asked: Asked, writer: Writer) -> None:
    writer.write_eof()
    await asyncio.sleep(3600)


async def reset(asked: Asked, writer: Writer) -> None:
    whole = asked.answer(asked.right)
    writer.write(whole[:-5])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


STRANGER = Keypair.create_from_uri("//poison//stranger")

CORPUS: Mapping[str, tuple[Poison, str]] = {
    # Fine: what stands between the poison must not notice.
    "honest": (says(lambda asked: asked.answer(asked.right)), "right"),
    "honest, in pieces": (
        says(lambda asked: asked.answer(asked.right, more=("X-Note: fine", "X-Other: too"))),
        "right",
    ),
    # Sizes.
    "100 MB": (megabytes, "oversize"),
    "100 MB in chunks": (megabytes_in_chunks, "oversize"),
    "a chunk extension of 100 MB": (endless_extension, "oversize"),
    "a head without end": (endless_head, "malformed"),
    "100 Continue without end": (endless_continue, "malformed"),
    "a number of 5000 digits": (says(lambda asked: asked.raw(number="9" * 5000)), "malformed"),
    "a number of 4000 digits": (says(lambda asked: asked.raw(number="9" * 4000)), "judge_failed"),
    "a number of 5000 digits where anything goes": (
        says(lambda asked: asked.raw(note="9" * 5000)),
        "malformed",
    ),
    "a megabyte of text": (says(lambda asked: asked.fields(text="x" * (MIB - 500))), "right"),
    # JSON.
    "deep JSON": (says(lambda asked: asked.raw(text=nested(100_000))), "malformed"),
    "deep JSON where anything goes": (
        says(lambda asked: asked.raw(note=nested(100_000))),
        "malformed",
    ),
    "rather deep JSON where anything goes": (
        says(lambda asked: asked.raw(note=nested(150))),
        "right",
    ),
    "deep objects": (
        says(lambda asked: asked.raw(note='{"a":' * 50_000 + "1" + "}" * 50_000)),
        "malformed",
    ),
    "NaN": (says(lambda asked: asked.raw(ratio="NaN")), "malformed"),
    "Infinity": (says(lambda asked: asked.raw(ratio="-Infinity")), "malformed"),
    "1e400": (says(lambda asked: asked.raw(ratio="1e400")), "malformed"),
    "NaN where anything goes": (says(lambda asked: asked.raw(note="NaN")), "right"),
    "1e400 where anything goes": (says(lambda asked: asked.raw(note="1e400")), "right"),
    "a lone surrogate": (says(lambda asked: asked.raw(text='"\\ud800"')), "malformed"),
    "a lone surrogate where anything goes": (
        says(lambda asked: asked.raw(note='"\\udfff"')),
        "malformed",
    ),
    "a surrogate in UTF-8": (says(lambda asked: asked.raw(text='"\ud800"')), "malformed"),
    "not UTF-8": (
        says(lambda asked: asked.answer(asked.right.replace(b'""', b'"\xff\xfe"'))),
        "malformed",
    ),
    "keys twice, the wrong one first": (
        says(lambda asked: asked.answer(b'{"number":0,' + asked.right[1:])),
        "right",
    ),
    "keys twice, the wrong one last": (
        says(lambda asked: asked.answer(asked.right[:-1] + b',"number":0}')),
        "wrong",
    ),
    "wrong types": (says(lambda asked: asked.fields(text=["not", "text"])), "malformed"),
    "true for a number": (says(lambda asked: asked.fields(number="twelve")), "malformed"),
    "a list": (says(lambda asked: asked.answer(b"[]")), "malformed"),
    "null": (says(lambda asked: asked.answer(b"null")), "malformed"),
    "nothing": (says(lambda asked: asked.answer(b"")), "malformed"),
    "more fields": (says(lambda asked: asked.fields(score=1.0)), "malformed"),
    "two documents": (says(lambda asked: asked.answer(asked.right + asked.right)), "malformed"),
    "a null byte": (says(lambda asked: asked.fields(text="\0" * 1000)), "right"),
    "control characters": (says(lambda asked: asked.fields(text="\x1b[2J\r\n\x07" * 99)), "right"),
    "a regex bomb": (says(lambda asked: asked.fields(text="a" * 100_000 + "!")), "right"),
    # Encodings.
    "a gzip bomb": (
        says(
            lambda asked: asked.answer(
                gzip.compress(b"[" * 100 * MIB, 1), more=("Content-Encoding: gzip",)
            )
        ),
        "malformed",
    ),
    "gzip that was not asked for": (
        says(
            lambda asked: asked.answer(gzip.compress(asked.right), more=("Content-Encoding: gzip",))
        ),
        "malformed",
    ),
    "another content type": (
        says(lambda asked: asked.answer(asked.right, content_type="text/html")),
        "right",
    ),
    # Time and connections.
    "a drip": (drip, "timeout"),
    "a drip of a head": (drip_head, "timeout"),
    "silence": (silent, "timeout"),
    "half closed": (half_closed, "unreachable"),
    "half closed, and mute": (half_closed_mute, "unreachable"),
    "reset": (reset, "unreachable"),
    "hangs up": (says(lambda asked: b""), "unreachable"),
    # HTTP.
    "not HTTP": (says(lambda asked: b"\x16\x03\x01" + b"\0" * 500), "malformed"),
    "two lengths": (
        says(lambda asked: asked.answer(asked.right, more=("Content-Length: 3",))),
        "malformed",
    ),
    "a length below 0": (says(lambda asked: asked.answer(asked.right, length=-5)), "malformed"),
    "a redirect": (
        says(lambda asked: asked.answer(b"", status=302, more=("Location: http://127.0.0.1/",))),
        "refused",
    ),
    "an error page of a megabyte": (
        says(lambda asked: asked.answer(b"<html>" * 150_000, status=500)),
        "refused",
    ),
    "a refusal in deep JSON": (
        says(lambda asked: asked.answer(nested(100_000).encode(), status=503)),
        "refused",
    ),
    # Signatures.
    "not signed": (
        says(
            lambda asked: (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(asked.right), asked.right)
            )
        ),
        "unsigned",
    ),
    "signed by another": (
        says(lambda asked: asked.answer(asked.right, keypair=STRANGER)),
        "bad_signature",
    ),
    "signed for another time": (
        says(lambda asked: asked.answer(asked.right, nonce=asked.nonce - 1)),
        "bad_signature",
    ),
}
"""Name: how it answers, and the reason code that its answer has to get."""


@asynccontextmanager
async def poisoned(names: Sequence[str]) -> AsyncIterator[list[Target]]:
    """A miner at a port of its own for each name, as targets in the same order."""
    async with AsyncExitStack() as stack:
        targets = []
        for uid, name in enumerate(names):
            poison, _ = CORPUS[name]
            keypair = Keypair.create_from_uri(f"//poison//{name.replace('/', ' ')}")
            server = await asyncio.start_server(_serving(keypair, poison), "127.0.0.1", 0)
            stack.push_async_callback(_stop, server)
            port = server.sockets[0].getsockname()[1]
            targets.append(Target(uid, keypair.ss58_address, "127.0.0.1", port))
        yield targets


_tasks: set[asyncio.Task[None]] = set()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    for task in tuple(_tasks):
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)


def _serving(
    keypair: Keypair, poison: Poison
) -> Callable[[asyncio.StreamReader, Writer], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        _tasks.add(task)
        try:
            await poison(await _hear(keypair, reader), writer)
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked has had enough, or the test has
        finally:
            writer.transport.abort()
            _tasks.discard(task)

    return serve


async def _hear(keypair: Keypair, reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])
    }
    body = await reader.readexactly(int(headers["content-length"]))
    return Asked(
        keypair,
        int(headers["x-bittensor-nonce"]),
        headers["x-bittensor-hotkey"],
        int(json.loads(body)["number"]),
    )
