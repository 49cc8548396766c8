"""One connection: bytes out exactly as given, one response in, both bounded in time and size.

An HTTP client would mend what the suite breaks on purpose, so this is a socket and a small reader
of responses. Knows nothing of signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from subnet.errors import SubnetError

RESPONSE_BYTES: Final = 8 << 20
CONNECT_S: Final = 5.0
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: |$)", re.ASCII)
_INTERIM: Final = 4
"""Interim responses that are read over."""


@dataclass(eq=False)
class MinerAway(SubnetError):
    """Nobody answers at `host`:`port`."""

    host: str
    port: int
    problem: str

    def __str__(self) -> str:
        return f"no connection to {self.host}:{self.port}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a miner listens. With `tls` any certificate is taken: answers prove who speaks."""

    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """What is sent over one connection: `parts` with `pause_s` between them.

    A response is waited for until `wait_s` after the connection. `nonce` and `sender` are those of
    the signed request, for whoever judges the answer.
    """

    parts: Sequence[bytes]
    nonce: int
    sender: str
    pause_s: float = 0.0
    wait_s: float = 30.0


class Ending(enum.Enum):
    """How a connection ended."""

    ANSWERED = "answered"
    CLOSED = "closed the connection without an answer"
    SILENT = "neither answered nor closed the connection"
    AWAY = "took no connection"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one shot; `status` is None unless a whole response came.

    `ended` is how the reading ended; `took_s` counts from the connection.
    """

    shot: Shot
    ended: Ending
    took_s: float
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


async def exchange(endpoint: Endpoint, shot: Shot) -> Heard:
    """Send one shot and hear what comes; a miner's misbehaviour is a result, never an error."""
    context = None
    if endpoint.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                endpoint.host, endpoint.port, ssl=context
            )
    except (OSError, TimeoutError):
        return Heard(shot, Ending.AWAY, 0.0)
    started = time.perf_counter()
    pump = asyncio.create_task(_pump(writer, shot))
    data = bytearray()
    response = None
    ended = Ending.SILENT
    try:
        async with asyncio.timeout(shot.wait_s):
            while response is None:
                piece = await reader.read(65536)
                data += piece
                response = parse(bytes(data), at_end=not piece)
                if not piece or len(data) > RESPONSE_BYTES:
                    ended = Ending.CLOSED
                    break
    except TimeoutError:
        pass
    except OSError:  # reset: what was received before it is gone
        ended = Ending.CLOSED
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    took = time.perf_counter() - started
    if response is None:
        return Heard(shot, ended, took)
    return Heard(shot, Ending.ANSWERED, took, *response)


async def ensure_listening(endpoint: Endpoint) -> None:
    """Raise MinerAway unless somebody takes connections there."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except TimeoutError:
        raise MinerAway(endpoint.host, endpoint.port, f"none within {CONNECT_S:g} s") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise MinerAway(endpoint.host, endpoint.port, reason) from error
    writer.transport.abort()


async def _pump(writer: asyncio.StreamWriter, shot: Shot) -> None:
    with contextlib.suppress(OSError):  # the reader sees how it ended
        for part in shot.parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(shot.pause_s)


Response = tuple[int, tuple[tuple[str, str], ...], bytes]


def parse(data: bytes, *, at_end: bool) -> Response | None:
    """Status, headers and body of the first response in `data`; None while it is not whole.

    `at_end` says that nothing more comes: then a body without a length is whole.
    """
    rest = data
    for _ in range(_INTERIM):
        head, separator, rest = rest.partition(b"\r\n\r\n")
        if not separator:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        found = _STATUS_LINE.match(first)
        if found is None:
            return None
        status = int(found[1])
        if status >= 200:  # the others are interim: the real one follows
            break
    else:
        return None
    headers = tuple(
        (name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    fields = {name.lower(): value for name, value in headers}
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _dechunked(rest)
    elif _LENGTH.fullmatch(length := fields.get("content-length", "")):
        body = rest[: int(length)] if len(rest) >= int(length) else None
    else:
        body = rest if at_end else None
    return None if body is None else (status, headers, body)


def _dechunked(data: bytes) -> bytes | None:
    # Looked for first: a hostile miner's million small chunks shall be counted once.
    if not data.endswith(b"\r\n\r\n"):
        return None
    body = bytearray()
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = data[at:end].partition(b";")[0]
        if not _CHUNK_SIZE.fullmatch(size):
            return None
        at = end + 2 + int(size, 16)
        if at == end + 2:
            return bytes(body)
        body += data[end + 2 : at]
        at += 2
    return None
