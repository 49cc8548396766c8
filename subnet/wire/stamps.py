"""When things happened to a question: by the kernel's account, not by when we came to look.

A validator that judges other answers looks late at its sockets, and no miner is to pay for that.
Linux keeps for every TCP connection when its last data came in, whoever reads it when; elsewhere
the moment of reading counts. One debt remains: an answer larger than the kernel's buffer (64 KiB
to start with) comes in only as it is read. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from types import TracebackType
from typing import Final

GRACE_S: Final = 0.02
"""What came in before a deadline is still read so long after it."""
_LATE_MS: Final = 8
"""The kernel counts in ticks of up to 4 ms: a lateness below two of them may be none."""
_LAST_DATA_RECEIVED: Final = struct.Struct("@52xI")
"""`tcpi_last_data_recv` of Linux's `struct tcp_info`: milliseconds since data came."""


def arrival(transport: asyncio.BaseTransport | None) -> float:
    """When the last byte came that was read from `transport`, on `time.perf_counter`.

    Nothing that the peer does afterwards makes it earlier; more data makes it later.
    """
    now = time.perf_counter()
    try:
        sock = None if transport is None else transport.get_extra_info("socket")
    except AttributeError:  # asyncio's TLS transport has forgotten its socket when it is closed
        return now
    if sock is None or sys.platform != "linux":
        return now
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
        late_ms = _LAST_DATA_RECEIVED.unpack(info)[0]
    except (OSError, struct.error):  # closed already, or no such account is kept here
        return now
    return float(now - late_ms / 1000) if late_ms >= _LATE_MS else now


class Stamps:
    """When things happened to one question, in seconds on `time.perf_counter`.

    Sent again, it keeps its first times: whoever hangs up to think gains nothing by it.
    """

    __slots__ = ("asked", "first_byte", "last_byte", "written")

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.written: float | None = None
        self.first_byte: float | None = None
        self.last_byte: float | None = None

    def stamp_written(self) -> None:
        """The request leaves now."""
        if self.written is None:
            self.written = time.perf_counter()

    def timing(self) -> tuple[float, float | None, float]:
        """Queued until written, and from there to the first byte and to the last or to now."""
        now = time.perf_counter()
        if self.written is None:
            return now - self.asked, None, 0.0
        total = max(0.0, (self.last_byte or now) - self.written)
        first = None
        if self.first_byte is not None:
            first = min(max(0.0, self.first_byte - self.written), total)
        return self.written - self.asked, first, total


class Patience:
    """A deadline for an `async with`, after which it raises TimeoutError.

    Unlike `asyncio.timeout` it first lets the loop read what has already come in: in a loop that
    was busy, deadlines and data are found at once, and the deadlines would win.
    """

    __slots__ = ("_loop", "_timeout", "_timer", "_when")

    def __init__(self, when: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._when = when
        self._timer: asyncio.TimerHandle | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Patience:
        await self._timeout.__aenter__()
        self._timer = self._loop.call_at(self._when, self._is_over)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def extend(self, when: float) -> None:
        """Move the deadline to `when`, in the loop's time."""
        self._when = when

    def _is_over(self) -> None:
        now = self._loop.time()
        if self._when > now:
            self._timer = self._loop.call_at(self._when, self._is_over)
        else:
            self._timer = self._loop.call_at(now + GRACE_S, self._give_up, self._when)

    def _give_up(self, when: float) -> None:
        if self._when > when:
            self._is_over()
        else:
            self._timeout.reschedule(self._loop.time())
