"""The door of an axon: what a connection may cost before a request is even whole.

aiohttp's server protocol with what it lacks: connections counted by address, a deadline and a
size for the head of a request, refusals in our form. Knows nothing of hotkeys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from subnet.wire.limits import Limits, RateLimiter, Slots, address_key

SERVER: Final = "subnet"
"""The `Server` header: aiohttp would tell its version and Python's."""

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def refusal_body(code: str, message: str, request_id: str, **facts: int) -> bytes:
    """The JSON body of every refusal."""
    error = {"error": code, "message": message, "request_id": request_id, **facts}
    return json.dumps(error).encode()


class Door(web.Server):
    """Makes one guarded connection after another; hands whole request heads to `respond`.

    `refused` is told the code of every refusal made here.
    """

    def __init__(self, respond: Respond, limits: Limits, refused: Callable[[str], None]) -> None:
        # A caller who hangs up is not worth a GPU: its handler is cancelled.
        super().__init__(respond, handler_cancellation=True)
        self.limits = limits
        self.refused = refused
        self.places = Slots(limits.connections, limits.ip_connections)
        self.rate = RateLimiter(limits.ip_rate, limits.ip_burst)

    def __call__(self) -> GuardedConnection:
        """A protocol for the next connection."""
        return GuardedConnection(self)


class GuardedConnection(web.RequestHandler):
    """One connection: counted by address, with a deadline for each request's head."""

    __slots__ = ("_deadline", "_door", "_head_bytes", "_place", "_prepaid")

    def __init__(self, door: Door) -> None:
        limits = door.limits
        super().__init__(
            door,
            loop=asyncio.get_running_loop(),
            access_log=cast(Any, None),
            keepalive_timeout=limits.keepalive_s,
            lingering_time=limits.linger_s,
            max_headers=limits.headers,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            # A body is hashed as it was sent; and a small one must not become a large one.
            auto_decompress=False,
        )
        self._door = door
        self._place: str | None = None
        self._prepaid = False
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in if its address has a place and a token left."""
        peer = transport.get_extra_info("peername")
        key = address_key(str(peer[0]) if peer else "")
        if not self._door.rate.take(key):
            self._turn_away(transport, "rate_limited")
        elif not self._door.places.take(key):
            self._turn_away(transport, "too_many_connections")
        else:
            self._place = key
            self._prepaid = True
            super().connection_made(transport)
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._head_is_whole()
        if self._place is not None:
            self._door.places.give(self._place)
            self._place = None
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a head in parts keeps its deadline, whatever drips in."""
        if self._place is None:
            return
        super().data_received(data)
        # Heads parsed and waiting, or a request being answered: this is no part of a head.
        if self._messages or self._current_request is not None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._door.limits.head_bytes:
            self._refuse_head(431, "head_too_large", "the request's headers are too large")
        elif self._deadline is None:
            self._await_head()

    def begin_request(self) -> bool:
        """The head is whole: lift its deadline, and pay for it from this address's tokens.

        False when there is no token left; the connection itself has paid for its first request.
        """
        self._head_is_whole()
        if self._prepaid:
            self._prepaid = False
            return True
        return self._place is not None and self._door.rate.take(self._place)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request; the parser's own words stay inside."""
        if isinstance(exc, LineTooLong):
            status, code, text = 431, "head_too_large", "the request's headers are too large"
        elif status == 500:
            self.log_exception("a request failed outside its handler", exc_info=exc)
            code, text = "internal", "the server failed"
        else:
            code, text = "bad_request", "this is not a well-formed HTTP/1.1 request"
        self._door.refused(code)
        response = web.Response(
            status=status,
            body=refusal_body(code, text, ""),
            content_type="application/json",
            headers={"Server": SERVER},
        )
        response.force_close()
        return response

    def _await_head(self) -> None:
        self._deadline = self._loop.call_later(self._door.limits.head_s, self._head_is_late)

    def _head_is_whole(self) -> None:
        self._head_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        self._refuse_head(408, "head_too_slow", "the request's headers did not arrive in time")

    def _refuse_head(self, status: int, code: str, message: str) -> None:
        self._head_is_whole()
        self._door.refused(code)
        if self.transport is not None:
            self.transport.write(_raw_refusal(status, code, message))
        self.force_close()

    def _turn_away(self, transport: asyncio.BaseTransport, code: str) -> None:
        self._door.refused(code)
        turned = cast(asyncio.Transport, transport)
        turned.write(_raw_refusal(429, code, "too many connections from this address"))
        turned.close()


def _raw_refusal(status: int, code: str, message: str) -> bytes:
    body = refusal_body(code, message, "")
    head = (
        f"HTTP/1.1 {status} Refused\r\nServer: {SERVER}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
