"""The listening socket: connections are counted at their address before they cost anything.

An address without a token or a place left is hung up on right after `accept`, and told why if that
takes no TLS and it does not knock too often even for that: no transport, no parser. Several
processes may accept at one socket; whoever is idle takes the next connection, and a process that
dies takes none of those still queued with it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import socket
import ssl
from typing import Any, Final

from subnet.errors import PortTaken
from subnet.wire.door import Door, GuardedConnection, raw_refusal
from subnet.wire.limits import RateLimiter, address_key

logger = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Connections that the kernel holds until they are accepted; it may allow fewer (somaxconn)."""
_BATCH: Final = 8
"""Accepted in a row before other work, and other processes at this socket, get their turn."""
_REST_S: Final = 0.5
"""Before accepting again when this process can hold no more files."""
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises PortTaken, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    try:
        sock = socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from None
        raise
    sock.setblocking(False)
    return sock


class Listener:
    """Accepts at `sock` for `door` until it is closed; with `tls`, whoever comes must speak TLS."""

    def __init__(
        self, sock: socket.socket, door: Door, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._sock = sock
        self._door = door
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        # As many refusals in words as there are requests; whoever knocks on is only hung up on.
        self._words = RateLimiter(door.limits.ip_rate, door.limits.ip_burst)
        self._opening: set[asyncio.Task[Any]] = set()
        self._rest: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._accept)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        bound = self._sock.getsockname()
        return str(bound[0]), int(bound[1])

    def close(self) -> None:
        """Accept no more, and close the socket."""
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._opening:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                connection, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                logger.error("no more connections can be held: %s", error.strerror)
                self._loop.remove_reader(self._sock)
                self._rest = self._loop.call_later(_REST_S, self._go_on)
                return
            place = _place_of(peer[0])
            refused = self._door.find_refusal(place)
            if refused is None:
                self._open(connection, place)
            elif self._tls is None and self._words.take(place):
                _turn_away(connection, refused)
            else:
                connection.close()

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._sock, self._accept)

    def _open(self, connection: socket.socket, place: str) -> None:
        protocol = GuardedConnection(self._door, place)
        connection.setblocking(False)
        opening = self._loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else self._door.limits.head_s,
        )
        task = self._loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(functools.partial(self._opened, connection, protocol))

    def _opened(
        self, connection: socket.socket, protocol: GuardedConnection, task: asyncio.Task[Any]
    ) -> None:
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:  # no TLS, or gone already
            protocol.leave()
            connection.close()
        if error is not None and not isinstance(error, OSError):
            logger.error("a connection could not be opened", exc_info=error)


_place_of = functools.lru_cache(maxsize=4096)(address_key)


@functools.cache
def _refusal(code: str) -> bytes:
    return raw_refusal(429, code, "too many connections from this address")


def _turn_away(connection: socket.socket, code: str) -> None:
    try:
        connection.setblocking(False)
        connection.send(_refusal(code))
        # What is left unread would turn the close into a reset that overtakes the refusal.
        connection.recv(65536)
    except OSError:
        pass
    finally:
        connection.close()
