"""The door of an axon: what a connection may cost before a request is even whole.

aiohttp's server protocol with what it lacks: connections counted by address, a deadline and a
size for the head of a request, refusals in our form. Knows nothing of hotkeys.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import http
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from subnet.wire.limits import Limits, RateLimiter, Slots

SERVER: Final = "subnet"
"""The `Server` header: aiohttp would tell its version and Python's."""

_REGULARS: Final = 1024

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def refusal_body(code: str, message: str, request_id: str, **facts: int) -> bytes:
    """The JSON body of every refusal."""
    error = {"error": code, "message": message, "request_id": request_id, **facts}
    return json.dumps(error).encode()


class Sealed:
    """A whole response that leaves in one write, for an aiohttp server in place of its own.

    `headers` must be fit for a response: nothing here looks for line breaks.
    """

    __slots__ = ("_body", "_close", "_head", "_request", "keep_alive", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, *, close: bool = False
    ) -> None:
        self.status = status
        self.keep_alive = False
        self._close = close
        self._body = body
        self._request: web.BaseRequest | None = None
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self._head = (
            f"HTTP/1.1 {status} {_phrase(status)}\r\nServer: {SERVER}\r\n"
            f"Date: {_date(int(time.time()))}\r\n{lines}Content-Length: {len(body)}\r\n"
        )

    async def prepare(self, request: web.BaseRequest) -> None:
        """See whether the connection stays open afterwards."""
        self._request = request
        self.keep_alive = request.keep_alive and not self._close

    async def write_eof(self) -> None:
        """Write all of it, and wait until it is off our hands."""
        request = self._request
        if request is None:
            raise RuntimeError("write a response after preparing it")
        if not self.keep_alive:
            self._head += "Connection: close\r\n"
        elif request.version < HttpVersion11:
            self._head += "Connection: keep-alive\r\n"
        body = b"" if request.method == "HEAD" else self._body
        if request.transport is None:
            raise ConnectionResetError("the caller has left")
        request.transport.write((self._head + "\r\n").encode() + body)
        await cast(GuardedConnection, request.protocol).drain()


@functools.cache
def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return email.utils.formatdate(second, usegmt=True)


class Door(web.Server):
    """What all connections share; hands whole request heads to `respond`.

    `refused` is told the code of every refusal made here.
    """

    def __init__(self, respond: Respond, limits: Limits, refused: Callable[[str], None]) -> None:
        # A caller who hangs up is not worth a GPU: its handler is cancelled.
        super().__init__(respond, handler_cancellation=True)
        self.limits = limits
        self.refused = refused
        self.places = Slots(limits.connections, limits.ip_connections)
        self.rate = RateLimiter(limits.ip_rate, limits.ip_burst)
        self._regulars: OrderedDict[str, None] = OrderedDict()

    def remember(self, place: str) -> None:
        """A caller that is served has proven to be at this address: it is let in before strangers.

        Many addresses can fill what is open to all, places or bytes, and not the quarter that is
        kept for these.
        """
        self._regulars[place] = None
        self._regulars.move_to_end(place)
        if len(self._regulars) > _REGULARS:
            self._regulars.popitem(last=False)

    def knows(self, place: str) -> bool:
        """Whether a caller that was served has been at this address."""
        return place in self._regulars

    def find_refusal(self, place: str) -> str | None:
        """Why an address gets no connection now, as a code; None when it has got one.

        It has paid for one request with it, and its place is given back with the connection.
        """
        if not self.rate.take(place):
            code = "rate_limited"
        elif self._is_kept_for_others(place) or not self.places.take(place):
            code = "too_many_connections"
        else:
            return None
        self.refused(code)
        return code

    def _is_kept_for_others(self, place: str) -> bool:
        most = self.limits.connections
        return self.places.taken >= most - most // 4 and not self.knows(place)


class GuardedConnection(web.RequestHandler):
    """One connection from `place`, which the door let in; each request's head has a deadline."""

    __slots__ = ("_body", "_busy", "_deadline", "_door", "_head_bytes", "_place", "_prepaid")

    def __init__(self, door: Door, place: str) -> None:
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
        self._place: str | None = place
        self._prepaid = True
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._busy = False
        self._body: StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request's head."""
        super().connection_made(transport)
        # An answer is off our hands when the system has all of it, and `drain` waits for that.
        # Not 0: behind TLS that would mean paused with nothing to write, for ever.
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=1)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._head_is_whole()
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Give the place back, if it is still held."""
        if self._place is not None:
            self._door.places.give(self._place)
            self._place = None

    def data_received(self, data: bytes) -> None:
        """Parse; a head in parts keeps its deadline, whatever drips in."""
        if self._place is None:
            return
        super().data_received(data)
        # Heads parsed and waiting, a request being answered, the rest of a refused one's body:
        # this is no part of a head.
        self._busy = self._busy or bool(self._messages)
        if self._busy or (self._body is not None and not self._body.is_eof()):
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._door.limits.head_bytes:
            self._refuse_head(431, "head_too_large", "the request's headers are too large")
        elif self._deadline is None:
            self._await_head()

    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        """Go on reading if it was paused; aiohttp parses nothing anew after every small body."""
        if self._reading_paused:
            super().resume_reading(*args, **kwargs)

    def begin_request(self) -> bool:
        """The head is whole: lift its deadline, and pay for it from this address's tokens.

        False when there is no token left; the connection itself has paid for its first request.
        """
        self._head_is_whole()
        if self._prepaid:
            self._prepaid = False
            return True
        return self._place is not None and self._door.rate.take(self._place)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the response; what comes next, after the rest of this one's body, is a head."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._busy, self._body = bool(self._messages), request.content

    async def drain(self) -> None:
        """Wait until what was written is off our hands; a caller that does not read is cut off.

        Raises ConnectionError then.
        """
        if not self.writing_paused:
            return
        try:
            async with asyncio.timeout(self._door.limits.write_s):
                await self._drain_helper()
        except TimeoutError:
            self._door.refused("answer_not_read")
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionAbortedError("the caller does not read") from None

    def vouch(self) -> None:
        """Its request was one that is served."""
        if self._place is not None:
            self._door.remember(self._place)

    @property
    def is_regular(self) -> bool:
        """Whether it comes from where a caller was served before."""
        return self._place is not None and self._door.knows(self._place)

    @property
    def address(self) -> str:
        """What the connection is counted under."""
        return self._place or ""

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
            self.transport.write(raw_refusal(status, code, message))
        self.force_close()


def raw_refusal(status: int, code: str, message: str) -> bytes:
    """A whole refusing answer, for those who get no more than that."""
    body = refusal_body(code, message, "")
    head = (
        f"HTTP/1.1 {status} Refused\r\nServer: {SERVER}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
