"""The node's door: JSON-RPC over WebSocket and over HTTP POST, on one port.

Bounded everywhere: messages, batches, answers, subscriptions, connections, and notifications that
wait for a slow reader. What goes beyond is told so; a connection that does not read its
notifications can only be cut off. All others go on.
Control methods answer only to clients on this machine: who connects through a proxy here is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
from dataclasses import dataclass
from typing import Self

from aiohttp import WSCloseCode, WSMsgType, web

from chain.devnet.node import Node
from chain.devnet.rpc.dispatch import ANSWER_CHARACTERS, Dispatcher, error_text
from chain.devnet.rpc.errors import OVERSIZED_REQUEST, SERVER_IS_BUSY
from chain.devnet.rpc.methods import METHODS
from chain.devnet.rpc.session import Context, Session
from chain.errors import ChainError

__all__ = ["CannotListen", "Server", "ServerLimits"]

CLOSE_S = 1.0
"""How long a connection may take to close before it is cut."""

_log = logging.getLogger(__name__)


class CannotListen(ChainError):
    """The address is taken or not ours."""

    def __init__(self, host: str, port: int, reason: str, *, taken: bool) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason
        self.taken = taken


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """`waiting` is how many notifications one connection may leave unread, and how many bytes.

    `connections` are WebSockets. Batches and subscriptions have limits of their own in `rpc`.
    """

    message_bytes: int = 16 * 2**20
    answer_bytes: int = ANSWER_CHARACTERS
    waiting: int = 4096
    waiting_bytes: int = 64 * 2**20
    connections: int = 1024


def is_loopback(address: str | None) -> bool:
    """Whether a peer's address is this machine's own loopback; unknown is not."""
    try:
        peer = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    return (mapped or peer).is_loopback


class Server:
    """Serves one node: `async with Server(node, port=0) as server: ... server.url`.

    `allow_remote_control` weakens it: whoever can connect may also mine, revert and mint.
    """

    def __init__(
        self,
        node: Node,
        host: str = "127.0.0.1",
        port: int = 9944,
        limits: ServerLimits | None = None,
        *,
        allow_remote_control: bool = False,
    ) -> None:
        self.node = node
        self._allow_remote_control = allow_remote_control
        self._limits = limits or ServerLimits()
        self._dispatcher = Dispatcher(METHODS, self._limits.answer_bytes)
        self._connections: set[_Connection] = set()
        self._runner: web.AppRunner | None = None
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start to listen; port 0 takes a free one. Raises CannotListen."""
        app = web.Application(client_max_size=self._limits.message_bytes)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            raise CannotListen(self.host, self.port, str(error), taken=taken) from error
        self.host, self.port = self._runner.addresses[0][:2]
        if self._allow_remote_control and not is_loopback(self.host):
            _log.warning("remote control allowed: whoever reaches %s owns this chain", self.url)
        self._stop_listening = self.node.reverts.listen(lambda _: self._close_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self._stop_listening()
        await asyncio.gather(*(c.close(WSCloseCode.GOING_AWAY, "") for c in self._connections))
        await self._runner.cleanup()

    def _context(self, request: web.Request, session: Session | None) -> Context:
        may_control = self._allow_remote_control or is_loopback(request.remote)
        return Context(self.node, session, may_control)

    def _close_all(self) -> None:
        for connection in self._connections:
            connection.close_soon(WSCloseCode.SERVICE_RESTART, "the chain was reverted")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._handle_websocket(request)
        if request.method == "POST":
            return await self._handle_post(request)
        return web.Response(
            status=405, text="JSON-RPC 2.0: connect a WebSocket, or POST a request.\n"
        )

    async def _handle_post(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            text = _too_big(self._limits.message_bytes)
            return web.Response(status=413, text=text, content_type="application/json")
        answer = await self._dispatcher.answer(body, self._context(request, None))
        if answer is None:
            return web.Response(status=204)
        return web.Response(text=answer, content_type="application/json")

    async def _handle_websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self._connections) >= self._limits.connections:
            text = error_text(
                SERVER_IS_BUSY, "Server is busy, try again later", self._limits.connections
            )
            return web.Response(status=503, text=text, content_type="application/json")
        # Compression costs more than a loopback saves; pings would end clients that do not read
        # while they are idle, as substrate-interface does not.
        socket = _Socket(self._limits.message_bytes)
        await socket.prepare(request)
        connection = _Connection(socket, request, self._limits)
        self._connections.add(connection)
        try:
            context = self._context(request, connection.session)
            await connection.serve(self._dispatcher, context)
        finally:
            self._connections.discard(connection)
        return socket


def _too_big(limit: int) -> str:
    return error_text(OVERSIZED_REQUEST, "Request is too big", limit)


class _Socket(web.WebSocketResponse):
    """A WebSocket that says in JSON-RPC, too, why it closes on a message that is too big."""

    def __init__(self, limit: int) -> None:
        super().__init__(compress=False, max_msg_size=limit, timeout=CLOSE_S)
        self._limit = limit

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close with a code and a reason."""
        if code == WSCloseCode.MESSAGE_TOO_BIG and not self.closed:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.send_str(_too_big(self._limit))
        return await super().close(code=code, message=message, drain=drain)


class _Connection:
    """One WebSocket: a reader that answers in order, a writer that sends notifications."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, limits: ServerLimits
    ) -> None:
        self._socket = socket
        self._request = request
        self.session = Session(self._push)
        self._waiting: asyncio.Queue[str] = asyncio.Queue(limits.waiting)
        self._room = limits.waiting_bytes
        self._answering = False
        self._closing: tuple[int, str] | None = None
        self._closer: asyncio.Task[None] | None = None

    async def serve(self, dispatcher: Dispatcher, context: Context) -> None:
        """Answer until either side ends."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                self._answering = True
                answer = await dispatcher.answer(message.data, context)
                if answer is not None:
                    await self._socket.send_str(answer)
                self.session.release()
                self._answering = False
                if self._closing is not None:
                    await self.close(*self._closing)
                    break
                await asyncio.sleep(0)  # one busy client must not hold up the chain
        except ConnectionError:
            pass  # it went away in the middle of an answer
        finally:
            self.session.close()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            if self._closer is not None:
                await self._closer

    async def _write(self) -> None:
        try:
            while True:
                text = await self._waiting.get()
                await self._socket.send_str(text)
                self._room += len(text)
        except ConnectionError:
            pass  # the reader notices too, and ends the connection

    def _push(self, text: str) -> None:
        if self._room >= len(text) and not self._waiting.full():
            self._room -= len(text)
            self._waiting.put_nowait(text)
        elif self._request.transport is not None and not self._request.transport.is_closing():
            _log.warning("cut off a client that does not read its notifications")
            self._request.transport.abort()

    def close_soon(self, code: int, reason: str) -> None:
        """Close, after the answer that is being made if there is one."""
        if self._answering:
            self._closing = (code, reason)
        elif self._closer is None:
            self._closer = asyncio.create_task(self.close(code, reason))

    async def close(self, code: int, reason: str) -> None:
        """Close with a code and a reason, within a second."""
        self.session.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(code=code, message=reason.encode())
        except (ConnectionError, TimeoutError):  # it does not even read the close frame
            if self._request.transport is not None:
                self._request.transport.abort()
