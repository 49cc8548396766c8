"""Streamed answers: chunks as they are made, and at the end one signature over all of them.

Server-sent events, as both sides write and read them: `chunk` with a JSON object or array, and as
the last one `tw-end` with digest, count and signature. Bytes in, bytes out; whatever is odd about
a stream makes all of it worthless. Knows nothing of sockets, time and what the chunks mean.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final

from subnet.protocol import Signature
from subnet.wire.auth import ANSWER_SIGNATURE, Digest, Signer, sign_answer, verify_answer
from subnet.wire.errors import StreamBroken

CONTENT_TYPE: Final = "text/event-stream"
STATUS: Final = 200
"""The status that a stream's signature names."""

_CHUNK: Final = b"chunk"
_END: Final = b"tw-end"
_DIGEST_FORM = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OPENS: Final = (b"{", b"[")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Tally:
    """What the end of a stream vouches for: the chunks so far."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, data: bytes) -> None:
        """Count one more chunk: the bytes of its data."""
        self._hash.update(data)
        self.count += 1

    @property
    def digest(self) -> Digest:
        """Over the chunks' bytes in order."""
        return Digest(self._hash.hexdigest())


def is_chunk(data: bytes) -> bool:
    """Whether `data` starts like an object or array.

    Of those no beginning is whole, so one run of bytes has one split into chunks. With numbers or
    words, `1` and `23`, somebody on the way could make `12` and `3` under the same digest.
    """
    return data.startswith(_OPENS)


def chunk_event(data: bytes) -> bytes:
    """The event that carries one chunk. Raises ValueError for data that is none."""
    if not is_chunk(data) or b"\n" in data or b"\r" in data:
        raise ValueError("a chunk is a JSON object or array on one line")
    return b"event: chunk\ndata: " + data + b"\n\n"


def end_event(keypair: Signer, tally: Tally, *, nonce: int, sender: str) -> bytes:
    """The event that ends a stream: `keypair` signs for its chunks."""
    headers = sign_answer(keypair, nonce=nonce, sender=sender, status=STATUS, body=tally.digest)
    end = {
        "digest": tally.digest,
        "count": tally.count,
        "signature": headers[ANSWER_SIGNATURE],
    }
    return b"event: tw-end\ndata: " + json.dumps(end, separators=(",", ":")).encode() + b"\n\n"


class StreamReader:
    """Takes a stream apart as it comes. Every method raises StreamBroken for what is none.

    Comments, other fields and events of other names are passed over: they are not signed, and
    nothing is made of them. Holds at most what it was fed since the last whole line. Takes `lines`
    at most: of empty ones a few bytes each cost as much time as a chunk.
    """

    def __init__(self, lines: int = 65536) -> None:
        self._lines_left = lines
        self._rest = bytearray()
        self._scanned = 0
        self._begun = False
        self._name = b""
        self._data: list[bytes] = []
        self._tally = Tally()
        self._end: tuple[str, int, str] | None = None

    @property
    def count(self) -> int:
        """Chunks so far."""
        return self._tally.count

    def feed(self, data: bytes) -> list[bytes]:
        """The chunks that `data` completes, in order; nobody has signed for them yet."""
        rest, chunks, start = self._rest, [], 0
        rest += data
        if not self._begun and len(rest) >= len(_BYTE_ORDER_MARK):
            self._begun = True
            if rest.startswith(_BYTE_ORDER_MARK):
                del rest[: len(_BYTE_ORDER_MARK)]
        while (stop := rest.find(b"\n", max(start, self._scanned))) >= 0:
            chunk = self._line(bytes(rest[start:stop]).removesuffix(b"\r"))
            if chunk is not None:
                chunks.append(chunk)
            start = stop + 1
        del rest[:start]
        self._scanned = len(rest)
        if self._end is not None and rest:
            raise StreamBroken("data after the end of the stream")
        return chunks

    def check_end(
        self, headers: Iterable[tuple[str, str]], *, hotkey: str, nonce: int, sender: str
    ) -> Signature:
        """What `hotkey` signed for all chunks of a stream that is over.

        `headers` are those that came before the stream. Raises AnswerRefused.
        """
        if self._end is None:
            raise StreamBroken("the stream has no end")
        digest, count, signature = self._end
        if count != self._tally.count:
            raise StreamBroken("the end of the stream counts other chunks")
        if digest != self._tally.digest:
            raise StreamBroken("the end of the stream is of other chunks")
        return verify_answer(
            [*headers, (ANSWER_SIGNATURE, signature)],
            hotkey=hotkey,
            nonce=nonce,
            sender=sender,
            status=STATUS,
            body=self._tally.digest,
        )

    def _line(self, line: bytes) -> bytes | None:
        if self._end is not None:
            raise StreamBroken("data after the end of the stream")
        self._lines_left -= 1
        if self._lines_left < 0:
            raise StreamBroken("more lines than its chunks need")
        if b"\r" in line:  # a line end to some readers and not to others
            raise StreamBroken("a carriage return within a line")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        return None

    def _dispatch(self) -> bytes | None:
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data = b"", []
        if name == _CHUNK and data:
            if not is_chunk(data):
                raise StreamBroken("a chunk that is no JSON object or array")
            self._tally.add(data)
            return data
        if name == _END and data:
            self._end = _read_end(data)
        return None


def _read_end(data: bytes) -> tuple[str, int, str]:
    """Digest, count and signature, and nothing else, and none of them twice."""
    try:
        pairs = json.loads(data, object_pairs_hook=list)
        names = [name for name, _ in pairs]
        fields = dict(pairs)
    except (ValueError, TypeError, RecursionError):
        raise StreamBroken("the end of the stream is no JSON object") from None
    if not data.startswith(b"{") or sorted(names) != ["count", "digest", "signature"]:
        raise StreamBroken("the end of the stream needs digest, count and signature alone")
    digest, count, signature = fields["digest"], fields["count"], fields["signature"]
    if not isinstance(digest, str) or not _DIGEST_FORM.fullmatch(digest):
        raise StreamBroken("the digest at the end must be 64 lowercase hex digits")
    if type(count) is not int or count < 0:
        raise StreamBroken("the count at the end must be a number of chunks")
    if not isinstance(signature, str):
        raise StreamBroken("the signature at the end must be text")
    return digest, count, signature
