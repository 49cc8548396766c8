"""The line between a miner's main process and one of its workers: framed messages, both ways.

Questions have numbers of the worker's choosing; whatever is about one carries its number. Who
hears nothing more has lost the other side.
"""

from __future__ import annotations

import asyncio
import enum
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

_HEAD: Final = struct.Struct("!BQI")
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one frame: more than any message may have, and less than hurts."""
_WHO: Final = struct.Struct("!48sQ")


class Kind(enum.IntEnum):
    """What a frame says. The first four go to the worker, the others come from it."""

    SETTINGS = 1
    """The miner's settings; first of all, once."""
    CALLERS = 2
    """Who may call, and how old that knowledge is."""
    ANSWER = 3
    """The bytes of an answer."""
    REFUSAL = 4
    """Instead of an answer: status, code and message."""
    READY = 5
    """The worker serves."""
    ASK = 6
    """Who asks, and the bytes of the challenge."""
    CANCEL = 7
    """The caller has hung up."""
    TALLY = 8
    """What the worker has done since it began, and whom it knows."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    kind: Kind
    number: int
    body: bytes

    @property
    def data(self) -> Any:
        """The body, where it is JSON."""
        return json.loads(self.body)


class Channel:
    """One end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, line: socket.socket) -> Channel:
        """Talk over `line`, which is closed with the channel."""
        return cls(*await asyncio.open_connection(sock=line))

    def send(self, kind: Kind, number: int = 0, body: bytes = b"") -> None:
        """Send a frame, or lose it if the other side is gone: `read` says so."""
        if not self._writer.is_closing():
            self._writer.write(_HEAD.pack(kind, number, len(body)) + body)

    def tell(self, kind: Kind, data: Any, number: int = 0) -> None:
        """Send `data` as JSON."""
        self.send(kind, number, json.dumps(data).encode())

    async def read(self) -> Frame | None:
        """The next frame; None when the other side is gone. Raises ValueError for what is none."""
        try:
            kind, number, size = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
            if size > _MOST_BYTES:
                raise ValueError(f"a frame of {size} bytes")
            return Frame(Kind(kind), number, await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def flush(self) -> None:
        """Until what was sent has left this process."""
        try:
            await self._writer.drain()
        except OSError:
            pass

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def pack_question(hotkey: str, nonce: int, challenge: bytes) -> bytes:
    """The body of an ASK."""
    return _WHO.pack(hotkey.encode(), nonce) + challenge


def unpack_question(body: bytes) -> tuple[str, int, bytes]:
    """Hotkey (ss58), nonce and challenge of an ASK."""
    hotkey, nonce = _WHO.unpack_from(body)
    return hotkey.decode(), nonce, body[_WHO.size :]
