"""A model server that somebody else runs: bounded requests to one address, and nothing else.

Whatever the server does ends in an answer or in an EngineError: it cannot keep us waiting, fill our
memory, send us to another address, or read its key out of our log. Knows nothing of models.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp

from subnet.engines.sse import EventStream
from subnet.errors import EngineAway, EngineBusy, EngineRefused

ERROR_BYTES = 1 << 16
"""Of an error's body; more of it is not read."""

ANSWER_BYTES = 1 << 20
"""Of an ordinary answer's body, unless the caller expects more."""

EVENT_CHARACTERS = 1 << 20

_CONNECT_S = 10.0
_IDLE_CLOSE_S = 3.0  # uvicorn and llama.cpp close idle connections after 5 s
_QUOTED = 300
_LONGEST_WAIT_S = 3600.0


class ModelServer:
    """One address; use `async with ModelServer.connect(...)`."""

    def __init__(self, session: aiohttp.ClientSession, key: str | None, timeout_s: float) -> None:
        self._session = session
        self._key = key
        self._timeout_s = timeout_s
        self._open = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, url: str, *, key: str | None, timeout_s: float
    ) -> AsyncIterator[ModelServer]:
        """Open the server at `url`, whose paths are appended to; nothing is sent yet.

        `timeout_s` is what a request may take, or a stream from one event to the next. Raises
        EngineRefused for an address or a key that cannot be used.
        """
        base = _base(url)
        headers = {"Accept-Encoding": "identity"}
        if key is not None:
            if not key or not key.isascii() or not key.isprintable() or " " in key:
                raise EngineRefused("the API key has characters that no key has")
            headers["Authorization"] = f"Bearer {key}"
        async with aiohttp.ClientSession(
            headers=headers,
            base_url=base,
            # How much at once is decided above; a connection must never be waited for.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CLOSE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield cls(session, key, timeout_s)

    async def get(self, path: str) -> Any:
        """Return the JSON at `path`; see `request`."""
        return await self.request("GET", path, None)

    async def post(self, path: str, body: dict[str, Any], limit: int = ANSWER_BYTES) -> Any:
        """Return the JSON that answers `body`; see `request`."""
        return await self.request("POST", path, body, limit)

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, limit: int = ANSWER_BYTES
    ) -> Any:
        """Return the JSON of at most `limit` bytes that answers a request.

        Raises EngineRefused (4xx, a redirection), EngineBusy (429, 503) or EngineAway (anything
        else). Numbers that are none (NaN, Infinity) make no JSON.
        """
        async with self._errors(), asyncio.timeout(self._timeout_s):
            async with self._send(method, path, body) as response:
                return parse(await self._read(response, limit))

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[str, None]:
        """Yield the data of the events that answer `body`, until the server ends the stream.

        Every event has the timeout anew; bytes that complete none, and comments, do not count.
        Raises as `request` does. Closing the generator closes the connection.
        """
        events = EventStream(EVENT_CHARACTERS)
        clock = asyncio.get_running_loop().time
        # No timeout is open across a yield: it would run while the reader takes its time.
        async with self._errors(), contextlib.AsyncExitStack() as stack:
            deadline = clock() + self._timeout_s
            async with asyncio.timeout_at(deadline):
                response = await stack.enter_async_context(self._send("POST", path, body))
            if response.content_type != "text/event-stream":
                raise EngineAway(f"asked for a stream, it sent {self.quote(response.content_type)}")
            while not response.content.at_eof():
                async with asyncio.timeout_at(deadline):
                    chunk = await response.content.readany()
                for event in events.feed(chunk):
                    yield event
                    deadline = clock() + self._timeout_s

    async def health(self) -> None:
        """Return if the server calls itself healthy; raise as `request` does if not."""
        async with self._errors(), asyncio.timeout(self._timeout_s):
            try:
                async with self._send("GET", "/health", None) as response:
                    await self._read(response, ERROR_BYTES)
            except EngineBusy as error:
                raise EngineAway("it says that it is not healthy (503)") from error

    @contextlib.asynccontextmanager
    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response once it is a success."""
        self._open += 1
        try:
            response = await self._exchange(method, path, body)
            async with response:
                if response.status != 200:
                    await self._refuse(response)
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise EngineAway("it compressed an answer, which it was asked not to")
                yield response
        finally:
            self._open -= 1

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> aiohttp.ClientResponse:
        sending = self._session.request
        try:
            return await sending(method, path.lstrip("/"), json=body, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # It met a connection that was just being closed. Every request only reads: send it
            # again, once.
            return await sending(method, path.lstrip("/"), json=body, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        parts, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise EngineAway(f"it sent more than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def _refuse(self, response: aiohttp.ClientResponse) -> NoReturn:
        """Raise what the status means, with what the server says about it."""
        status = response.status
        if 300 <= status < 400:
            raise EngineRefused(f"the server redirects ({status}); give its own address")
        if status in (401, 403):
            raise EngineRefused(f"the server does not accept the API key ({status})")
        if status in (429, 503):
            raise EngineBusy(self._open, _seconds(response.headers.get("Retry-After")))
        said = self.quote(await self._complaint(response))
        if 400 <= status < 500 and status != 408:
            raise EngineRefused(f"{said} ({status})")
        raise EngineAway(f"it answered {status}: {said}")

    async def _complaint(self, response: aiohttp.ClientResponse) -> str:
        text = b""
        with contextlib.suppress(EngineAway):
            text = await self._read(response, ERROR_BYTES)
        said = None
        with contextlib.suppress(EngineAway):
            said = complaint(parse(text))
        return said or text.decode(errors="replace") or response.reason or ""

    def quote(self, text: str) -> str:
        """Return what the server said, fit for a log: short, one line, without our key."""
        if self._key is not None:
            text = text.replace(self._key, "***")
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _QUOTED else line[:_QUOTED] + "..."

    @contextlib.asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        """Turn what may happen on the way into an EngineError."""
        try:
            yield
        except TimeoutError as error:
            raise EngineAway(f"nothing came within {self._timeout_s:g} s") from error
        except RuntimeError:  # aiohttp's, for whoever still had something to send
            if not self._session.closed:
                raise
            raise EngineAway("it was closed") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = self.quote(str(error)) or type(error).__name__
            # Not `from error`: what it holds of the request may carry the key.
            raise EngineAway(f"the connection broke: {said}") from None


def parse(text: str | bytes) -> Any:
    """Return what a JSON text says. Raises EngineAway if it is none, or has NaN or Infinity."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise EngineAway("it sent something that is no JSON") from error


def complaint(answer: object) -> str | None:
    """Return the message of an error object, in any of the shapes that servers use."""
    if not isinstance(answer, dict):
        return None
    error = answer.get("error", answer)
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error if isinstance(error, str) else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EngineRefused("the server's address must be http:// or https://")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise EngineRefused(
            "the server's address has a name, password or query in it; leave it out"
        )
    # Addresses are given with and without the API's own folder.
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}/"


def _seconds(header: str | None) -> float | None:
    """Return a Retry-After in seconds; a date, and nonsense, say nothing."""
    try:
        seconds = float(header or "nan")
    except ValueError:
        return None
    return min(seconds, _LONGEST_WAIT_S) if math.isfinite(seconds) and seconds >= 0 else None
