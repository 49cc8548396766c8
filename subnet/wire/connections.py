"""A dendrite's connections: one question and its answer at a time on each, kept a while after.

aiohttp's client protocol and its parser, without its session: a question is one write, stamped as
it leaves, and nothing is redirected, unpacked, retried, sent through a proxy or remembered in
cookies. Knows nothing of signatures.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Mapping
from typing import Final

from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from subnet.wire.errors import NotHttp
from subnet.wire.limits import Limits
from subnet.wire.stamps import Stamps, arrival

KEEPALIVE_S: Final = 4.0
"""Shorter than any common server's (uvicorn closes after 5 s): a request on a connection that the
other side is closing is lost, and is not sent again unless the asker allows it."""

_INTERIM: Final = 8
"""Interim answers (1xx) that are read over; whoever sends more costs us time and says nothing."""

Place = tuple[str, int, ssl.SSLContext | None]
"""Address, port, and the TLS to speak there."""


class Response:
    """The head of an answer, and its body to be read."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self,
        connection: Connection,
        status: int,
        headers: Mapping[str, str],
        content: StreamReader,
    ) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self.content = content

    def arrival(self) -> float:
        """When the last byte came that was read; see `stamps`."""
        return arrival(self._connection.transport)


class _Bounded(ResponseHandler):
    """Hangs up on whoever sends more than an answer can have, under whatever name."""

    left = 65536
    """Bytes that may still come for this question; so many before the first."""

    def data_received(self, data: bytes) -> None:
        """Parse, as long as there is not too much of it."""
        self.left -= len(data)
        if self.left >= 0:
            super().data_received(data)
        elif self.transport is not None:
            self.transport.abort()


class Connection:
    """One connection to a miner."""

    __slots__ = ("_answered", "_poll", "_protocol", "idle_since", "transport")

    def __init__(self, transport: asyncio.Transport, protocol: _Bounded) -> None:
        self.transport = transport
        self._protocol = protocol
        self.idle_since = 0.0
        self._answered = True
        self._poll: select.poll | None = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            # Hung up, half or wholly; not data, which TLS may have for itself.
            wanted = getattr(select, "POLLRDHUP", 0)
            self._poll.register(transport.get_extra_info("socket").fileno(), wanted)
        # uvloop would keep a write until its loop turns, and our stamp would be early.
        transport.set_write_buffer_limits(high=0)

    async def ask(self, head: bytes, body: bytes, stamps: Stamps, most_bytes: int) -> Response:
        """Send one request, and wait for the head of its answer.

        The answer, everything included, may have `most_bytes`: see `is_overrun`. Raises NotHttp,
        aiohttp.ClientError or OSError.
        """
        self._answered = False
        self._protocol.left = most_bytes
        stamps.stamp_written()
        self.transport.write(head + body)
        for _ in range(_INTERIM + 1):
            try:
                message, content = await self._protocol.read()
            except HttpProcessingError as error:
                raise NotHttp(error.message) from None
            if not 100 <= message.code < 200:
                self._answered = True
                return Response(self, message.code, message.headers, content)
        raise NotHttp("too many interim answers")

    @property
    def is_overrun(self) -> bool:
        """Whether it was closed because too much came."""
        return self._protocol.left < 0

    @property
    def is_free(self) -> bool:
        """Whether another question can be asked: the last answer was read, and no more came."""
        return (
            self._answered
            and self._protocol.is_connected()
            and not self._protocol.should_close
            and not self.transport.get_write_buffer_size()
        )

    @property
    def is_hung_up(self) -> bool:
        """Whether the miner has closed, even if the loop had no time to notice."""
        return self._poll is not None and bool(self._poll.poll(0))

    def close(self) -> None:
        """Drop it, with whatever is still to be read or written."""
        self.transport.abort()


class Connections:
    """Opens connections, and keeps those that can be used again for `KEEPALIVE_S`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._kept: dict[Place, list[Connection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, place: Place) -> Connection:
        """A connection to `place`, kept or new. Raises OSError, of which ssl.SSLError is one."""
        kept = self._kept.get(place)
        while kept:
            connection = kept.pop()
            if not kept:
                del self._kept[place]
            fresh = self._loop.time() - connection.idle_since < KEEPALIVE_S
            if fresh and connection.is_free and not connection.is_hung_up:
                return connection
            connection.close()
        host, port, tls = place
        limits = self._limits
        transport, protocol = await self._loop.create_connection(
            lambda: _Bounded(self._loop), host, port, ssl=tls
        )
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            max_headers=limits.headers,
        )
        return Connection(transport, protocol)

    def give(self, place: Place, connection: Connection) -> None:
        """Keep a connection for the next question, if it can be used for one."""
        if not connection.is_free:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._kept.setdefault(place, []).append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

    def close(self) -> None:
        """Drop all that are kept."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for kept in self._kept.values():
            for connection in kept:
                connection.close()
        self._kept.clear()

    def _sweep(self) -> None:
        """Drop those that nobody has asked for."""
        self._sweeper = None
        oldest = self._loop.time() - KEEPALIVE_S
        for place, kept in list(self._kept.items()):
            for connection in kept:
                if connection.idle_since <= oldest:
                    connection.close()
            self._kept[place] = [one for one in kept if one.idle_since > oldest]
            if not self._kept[place]:
                del self._kept[place]
        if self._kept:
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)


def request_head(target: str, host: str, headers: Mapping[str, str]) -> bytes:
    """The head of a POST to `target` (percent-encoded) at `host` (with its port).

    Raises ValueError for what HTTP cannot carry: headers here hold what strangers published.
    """
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "User-Agent: subnet"]
    lines += ["Accept: */*", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode("ascii")
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise ValueError("a header with a line break")
    return head + b"\r\n\r\n"
