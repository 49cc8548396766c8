"""A dendrite: asks many miners at once, and returns one reply for each, in order.

Every request is signed afresh, sent once, never redirected; every answer must be signed by the
miner asked, for this very request. Answers are first all received and then all judged, so that
our own verifying does not count as a miner's latency. Knows nothing of scoring or the chain.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from subnet.protocol import Answer, Challenge, Failure, Reply, Target, Timing
from subnet.wire import codec
from subnet.wire.auth import Signer, sign_request, verify_answer
from subnet.wire.errors import AnswerRefused, AnswerUnsigned, MalformedMessage
from subnet.wire.limits import Limits
from subnet.wire.nonce import NonceSource

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=Answer)

_KEEPALIVE_S: Final = 4.0
"""Shorter than any common server's (uvicorn closes after 5 s): a request on a connection that the
other side is closing is lost, and is not sent again."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(slots=True)
class _Stamps:
    """When things happened to one request, in seconds of one monotonic clock."""

    asked: float
    written: float | None = None
    first_byte: float | None = None

    def timing(self) -> Timing:
        now = time.perf_counter()
        if self.written is None:
            return Timing(queued_s=now - self.asked, first_byte_s=None, total_s=0.0)
        first = self.first_byte
        return Timing(
            queued_s=self.written - self.asked,
            first_byte_s=None if first is None else first - self.written,
            total_s=now - self.written,
        )


@dataclass(frozen=True, slots=True)
class _Received:
    """What came over the socket from one miner, not yet judged."""

    nonce: int
    timing: Timing
    failure: Failure | None = None
    detail: str = ""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Dendrite:
    """Asks miners as `keypair`'s hotkey. Use it as an async context manager.

    `allow_private` is a weakening for local networks: it dials loopback and private addresses,
    which anybody can publish as an axon to make a validator knock on its own doors.
    """

    def __init__(
        self,
        keypair: Signer,
        *,
        allow_private: bool = False,
        limits: Limits | None = None,
        nonces: NonceSource | None = None,
    ) -> None:
        self._keypair = keypair
        self._hotkey = keypair.ss58_address
        self._allow_private = allow_private
        self._limits = limits or Limits()
        self._nonces = nonces or NonceSource()
        self._sockets = asyncio.Semaphore(self._limits.sockets)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Dendrite:
        limits = self._limits
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(_stamp_written)
        trace.on_request_end.append(_stamp_first_byte)
        self._session = aiohttp.ClientSession(
            # The semaphore counts sockets; a pool limit would queue inside the timeout.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "subnet", "Accept-Encoding": "identity"},
            auto_decompress=False,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            max_headers=limits.headers,
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        targets: Sequence[Target],
        path: str,
        challenges: Challenge | Sequence[Challenge],
        answer_type: type[A],
        *,
        timeout_s: float,
    ) -> list[Reply[A]]:
        """One reply for each target, in order; a miner's failure is a reply too.

        `challenges` is one for all, or one for each. `timeout_s` covers a miner's whole answer,
        connecting included, and starts with its turn at a socket. Raises ValueError for a path
        that cannot be sent or a wrong number of challenges.
        """
        if not path.startswith("/") or not path.isascii() or not path.isprintable():
            raise ValueError(f"path {path!r} must start with / and be percent-encoded")
        if any(char in path for char in " #"):
            raise ValueError(f"path {path!r} must be percent-encoded")
        if isinstance(challenges, Challenge):
            bodies = [codec.encode(challenges)] * len(targets)
        else:
            bodies = [codec.encode(challenge) for challenge in challenges]
        if len(bodies) != len(targets):
            raise ValueError(f"{len(bodies)} challenges for {len(targets)} targets")
        if self._session is None:
            raise RuntimeError("ask inside `async with`")
        session = self._session
        asked = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._receive(session, target, path, body, timeout_s, asked))
                for target, body in zip(targets, bodies, strict=True)
            ]
        replies = []
        for target, task in zip(targets, tasks, strict=True):
            replies.append(self._judge(target, task.result(), answer_type))
            await asyncio.sleep(0)  # a signature a turn: other work of this loop is not held up
        return replies

    async def _receive(
        self,
        session: aiohttp.ClientSession,
        target: Target,
        path: str,
        body: bytes,
        timeout_s: float,
        asked: float,
    ) -> _Received:
        """Send one question once and read what comes back. Raises only on cancellation."""
        stamps = _Stamps(asked)
        nonce = 0

        def failed(failure: Failure, detail: str, status: int | None = None) -> _Received:
            return _Received(nonce, stamps.timing(), failure, codec.sanitize(detail), status)

        refused = _find_address_problem(target.host, target.port, self._allow_private)
        if refused is not None:
            return failed(*refused)
        async with self._sockets:
            nonce = self._nonces.next()
            url = _url_of(target, path)
            headers = sign_request(
                self._keypair,
                method="POST",
                target=url.raw_path_qs,
                body=body,
                receiver=target.hotkey,
                nonce=nonce,
            )
            headers["Content-Type"] = "application/json"
            status: int | None = None
            try:
                async with (
                    asyncio.timeout(timeout_s),
                    session.post(
                        url,
                        data=body,
                        headers=headers,
                        allow_redirects=False,
                        trace_request_ctx=stamps,
                    ) as response,
                ):
                    status = response.status
                    content = await _read_capped(response, self._limits.reply_bytes)
                    if content is None:
                        return failed(Failure.OVERSIZE, "the answer is too large", status)
                    return _Received(
                        nonce,
                        stamps.timing(),
                        status=status,
                        headers=tuple(response.headers.items()),
                        body=content,
                    )
            except TimeoutError:
                return failed(Failure.TIMEOUT, f"no whole answer in {timeout_s:g} s", status)
            except aiohttp.ClientResponseError as error:
                return failed(Failure.MALFORMED, f"not an HTTP answer: {error.message}")
            except aiohttp.ClientConnectorError as error:
                reason = error.os_error.strerror or str(error.os_error)
                return failed(Failure.UNREACHABLE, reason)
            except (aiohttp.ClientError, OSError) as error:
                return failed(Failure.UNREACHABLE, f"{type(error).__name__}: {error}", status)
            except Exception as error:
                # One miner's surprise must not lose the replies of all the others.
                logger.exception("asking uid %d failed", target.uid)
                return failed(Failure.UNREACHABLE, type(error).__name__, status)

    def _judge(self, target: Target, received: _Received, answer_type: type[A]) -> Reply[A]:
        """The reply that `received` amounts to."""
        failure, detail, signed = received.failure, received.detail, False
        answer: A | None = None
        if failure is None and received.status is not None:
            try:
                verify_answer(
                    received.headers,
                    hotkey=target.hotkey,
                    nonce=received.nonce,
                    sender=self._hotkey,
                    status=received.status,
                    body=received.body,
                )
                signed = True
            except AnswerRefused as error:
                unsigned = isinstance(error, AnswerUnsigned)
                failure = Failure.UNSIGNED if unsigned else Failure.BAD_SIGNATURE
                detail = str(error)
            # What is said before authentication is never signed, and still says why.
            if received.status != 200 and failure is not Failure.BAD_SIGNATURE:
                failure, detail = Failure.REFUSED, _refusal_of(received)
        if failure is None:
            try:
                answer = codec.decode(answer_type, received.body)
            except MalformedMessage as error:
                failure, detail = Failure.MALFORMED, str(error)
            except Exception as error:
                # An author's validator may fail in any way; it fails on this one answer.
                logger.exception("reading the answer of uid %d failed", target.uid)
                failure, detail = Failure.MALFORMED, type(error).__name__
        return Reply(
            uid=target.uid,
            hotkey=target.hotkey,
            answer=answer,
            failure=failure,
            detail=detail,
            status=received.status,
            signed=signed,
            timing=received.timing,
        )


@functools.lru_cache(maxsize=4096)
def _find_address_problem(host: str, port: int, allow_private: bool) -> tuple[Failure, str] | None:
    """Why a published address is not to be dialled, or None."""
    # An axon is published as an address; a name could resolve to anything when it is dialled.
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Failure.UNREACHABLE, "the published host is not an IP address"
    if not 0 < port < 65536:
        return Failure.UNREACHABLE, "the published port is not a port"
    if address.is_unspecified or address.is_multicast:
        return Failure.UNREACHABLE, "the published address is nobody's"
    if not allow_private and not _is_public(address):
        return Failure.PRIVATE_ADDRESS, "the published address is loopback, private or reserved"
    return None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address, and any IPv4 address it carries inside, is on the public internet."""
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            inner = address.ipv4_mapped or address.sixtofour
    return address.is_global if inner is None else inner.is_global


def _url_of(target: Target, path: str) -> URL:
    host = f"[{target.host}]" if ":" in target.host else target.host
    # Encoded, so that nothing is quoted anew between signing and sending.
    return URL(f"http://{host}:{target.port}{path}", encoded=True)


async def _read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None when it is larger than `limit`; then the connection is dropped."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            return None
    return bytes(body)


def _refusal_of(received: _Received) -> str:
    """A refusing miner's own words, cut short and made printable."""
    try:
        error = json.loads(received.body)
        words = f"{error['error']}: {error['message']}"
        clock = error.get("server_time_ns")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        words, clock = "no reason given", None
    if isinstance(clock, int) and 0 <= clock < 1 << 64:
        # Many miners naming the same gap mean that the clock here is wrong.
        words += f" (its clock minus ours: {(clock - received.nonce) / 1e9:+.1f} s)"
    return codec.sanitize(f"{received.status} {words}")


async def _stamp_written(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestChunkSentParams,
) -> None:
    # Head and body leave in one write, right after this.
    stamps: _Stamps = context.trace_request_ctx
    stamps.written = time.perf_counter()


async def _stamp_first_byte(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestEndParams,
) -> None:
    stamps: _Stamps = context.trace_request_ctx
    stamps.first_byte = time.perf_counter()
