"""A dendrite: asks many miners at once, and returns one reply for each, in order.

Every request is signed afresh and never redirected; every answer must be signed by the miner
asked, for this very request. Answers are first all received and then all judged, so that our own
verifying does not count as a miner's latency. Knows nothing of scoring or the chain.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import aiohttp

from subnet.protocol import (
    A,
    Challenge,
    Failure,
    K,
    Message,
    Reply,
    Signature,
    Target,
    Timing,
    Unverified,
)
from subnet.wire import codec
from subnet.wire.auth import (
    ANSWER_ACCEPT,
    BOUND,
    Asked,
    Digest,
    Signer,
    hash_body,
    sign_request,
    verify_answer,
)
from subnet.wire.clock import ClockWatch
from subnet.wire.connections import Connection, Connections, Response, request_head
from subnet.wire.errors import (
    AnswerRefused,
    AnswerUnsigned,
    MalformedMessage,
    NotHttp,
    StreamBroken,
)
from subnet.wire.limits import Limits
from subnet.wire.nonce import NonceSource
from subnet.wire.stamps import Patience, Stamps
from subnet.wire.stream import STATUS, StreamReader
from subnet.wire.tls import KeyUnusable, WrongKey, pinned_context

logger = logging.getLogger(__name__)

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_RETRY_S: Final = 0.1
"""Before a question is sent again; doubled for each further time."""

_LINES: Final = 8
"""Of a stream, for each chunk it may have: three make a chunk, comments come between."""

_HELD_S: Final = 0.005
"""For so long answers are judged before other work of the loop gets its turn."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class _Question:
    """What one miner is asked."""

    path: str
    body: bytes
    digest: Digest
    content_type: str
    timeout_s: float
    retries: int
    asked: float
    most_bytes: int


@dataclass(slots=True)
class _Received(Generic[M]):
    """What came over the socket from one miner, not yet judged."""

    stamps: Stamps
    nonce: int = 0
    sent: int = 0
    failure: Failure | None = None
    detail: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: StreamReader | None = None
    chunks: list[M] = field(default_factory=list)

    def fail(self, failure: Failure, detail: str) -> None:
        """Nothing that came counts."""
        self.failure, self.detail = failure, codec.sanitize(detail)


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
        self._connections: Connections | None = None
        self._clock = ClockWatch()

    async def __aenter__(self) -> Dendrite:
        self._connections = Connections(self._limits)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connections is not None:
            self._connections.close()
            self._connections = None
            await asyncio.sleep(0)  # for the loop to let go of them

    @property
    def clock_offset_s(self) -> float | None:
        """Seconds that the miners' clocks are ahead of ours, in the median; None if few spoke.

        Told in the log when it is much, and never signed with: see `clock`.
        """
        return self._clock.offset_s

    async def ask(
        self,
        targets: Sequence[Target],
        path: str,
        challenges: Challenge | Sequence[Challenge],
        answer_type: type[A],
        *,
        timeout_s: float,
        retries: int = 0,
    ) -> list[Reply[A]]:
        """One reply for each target, in order; a miner's failure is a reply too.

        `challenges` is one for all, or one for each. `timeout_s` covers all that one miner is
        given, connecting and retries included, and starts with its turn at a socket. A question
        that may be answered twice can be sent up to `retries` times more when the connection
        failed, signed afresh; timing counts from the first time. Raises ValueError for a path
        that cannot be sent or a wrong number of challenges.
        """

        async def read(response: Response, received: _Received[A], target: Target) -> None:
            await self._read_whole(response, received)

        def judge(received: _Received[A]) -> A:
            return codec.decode(answer_type, received.body)

        most = self._limits.reply_bytes
        questions = await self._questions(targets, path, challenges, timeout_s, retries, most)
        return await self._ask(targets, questions, read, judge)

    async def ask_stream(
        self,
        targets: Sequence[Target],
        path: str,
        challenges: Challenge | Sequence[Challenge],
        chunk_type: type[K],
        *,
        timeout_s: float,
        retries: int = 0,
        on_chunk: Callable[[Unverified[K]], None] | None = None,
    ) -> list[Reply[tuple[K, ...]]]:
        """Like `ask`, of miners that stream: an answer is all chunks, once the end was signed.

        `on_chunk` is shown chunks as they come, before anybody has signed for them. It runs in
        the loop; if it raises, that is logged and it is shown no more. A stream that has begun is
        never asked for again.
        """
        shown = on_chunk

        async def read(response: Response, received: _Received[K], target: Target) -> None:
            def show(chunk: K) -> None:
                nonlocal shown
                if shown is not None:
                    try:
                        shown(Unverified(target.uid, len(received.chunks), chunk))
                    except Exception:
                        logger.exception("showing a chunk of uid %d failed", target.uid)
                        shown = None
                received.chunks.append(chunk)

            if response.status == STATUS:
                await self._read_stream(response, received, chunk_type, show)
            else:
                await self._read_whole(response, received)

        def judge(received: _Received[K]) -> tuple[K, ...]:
            return tuple(received.chunks)

        most = self._limits.stream_bytes
        questions = await self._questions(targets, path, challenges, timeout_s, retries, most)
        return await self._ask(targets, questions, read, judge)

    async def _questions(
        self,
        targets: Sequence[Target],
        path: str,
        challenges: Challenge | Sequence[Challenge],
        timeout_s: float,
        retries: int,
        content_bytes: int,
    ) -> list[_Question]:
        if not path.startswith("/") or not path.isascii() or not path.isprintable():
            raise ValueError(f"path {path!r} must start with / and be percent-encoded")
        if any(char in path for char in " #"):
            raise ValueError(f"path {path!r} must be percent-encoded")
        if retries < 0:
            raise ValueError("retries must not be negative")
        asked = time.perf_counter()
        # What an answer is framed and announced with is seldom a tenth of it.
        most = 2 * content_bytes + 8 * self._limits.head_bytes

        async def question(challenge: Challenge) -> _Question:
            body = codec.encode(challenge)
            form = challenge.form.value
            digest = await hash_body(body)
            return _Question(path, body, digest, form, timeout_s, retries, asked, most)

        if isinstance(challenges, Challenge):
            return [await question(challenges)] * len(targets)
        if len(challenges) != len(targets):
            raise ValueError(f"{len(challenges)} challenges for {len(targets)} targets")
        return [await question(challenge) for challenge in challenges]

    async def _ask(
        self,
        targets: Sequence[Target],
        questions: Sequence[_Question],
        read: Callable[[Response, _Received[M], Target], Any],
        judge: Callable[[_Received[M]], T],
    ) -> list[Reply[T]]:
        if self._connections is None:
            raise RuntimeError("ask inside `async with`")
        connections = self._connections
        if len(targets) == 1:
            received = [await self._receive(connections, targets[0], questions[0], read)]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._receive(connections, target, question, read))
                    for target, question in zip(targets, questions, strict=True)
                ]
            received = [task.result() for task in tasks]
        replies: list[Reply[T]] = []
        held_since = time.perf_counter()
        for target, question, one in zip(targets, questions, received, strict=True):
            if time.perf_counter() - held_since > _HELD_S:
                await asyncio.sleep(0)
                held_since = time.perf_counter()
            replies.append(await self._judge(target, question, one, judge))
        self._clock.tell()
        return replies

    async def _receive(
        self,
        connections: Connections,
        target: Target,
        question: _Question,
        read: Callable[[Response, _Received[M], Target], Any],
    ) -> _Received[M]:
        """Send one question and read what comes back. Raises only on cancellation."""
        received: _Received[M] = _Received(Stamps(question.asked))
        refused = _find_address_problem(target.host, target.port, self._allow_private)
        if refused is not None:
            received.fail(*refused)
            return received
        loop = asyncio.get_running_loop()
        async with self._sockets:
            deadline = loop.time() + question.timeout_s
            latest = time.perf_counter() + question.timeout_s
            for turn in range(question.retries + 1):
                if turn:
                    pause_s = _RETRY_S * 2 ** (turn - 1)
                    if received.failure is not Failure.UNREACHABLE:
                        break
                    if loop.time() + pause_s >= deadline:
                        break
                    await asyncio.sleep(pause_s)
                    received = _Received(received.stamps, sent=received.sent)
                await self._send(connections, target, question, read, received, deadline)
            last_byte = received.stamps.last_byte
            if last_byte is not None and last_byte > latest:  # read within the grace
                received.fail(Failure.TIMEOUT, f"no whole answer in {question.timeout_s:g} s")
            received.stamps.last_byte = last_byte or time.perf_counter()
        return received

    async def _send(
        self,
        connections: Connections,
        target: Target,
        question: _Question,
        read: Callable[[Response, _Received[M], Target], Any],
        received: _Received[M],
        deadline: float,
    ) -> None:
        """Send the question once, signed afresh, and read until `deadline`."""
        try:
            tls = None if target.tls_key is None else pinned_context(target.tls_key)
        except KeyUnusable as error:
            received.fail(Failure.TLS, str(error))
            return
        place = (target.host, target.port, tls)
        received.nonce = self._nonces.next()
        received.sent += 1
        host = f"[{target.host}]" if ":" in target.host else target.host
        connection: Connection | None = None
        try:
            headers = sign_request(
                self._keypair,
                method="POST",
                target=question.path,
                body=question.digest,
                receiver=target.hotkey,
                nonce=received.nonce,
            )
            headers[ANSWER_ACCEPT] = BOUND
            headers["Content-Type"] = question.content_type
            headers["Content-Length"] = str(len(question.body))
            head = request_head(question.path, f"{host}:{target.port}", headers)
            async with Patience(deadline):
                connection = await connections.take(place)
                response = await connection.ask(
                    head, question.body, received.stamps, question.most_bytes
                )
                received.status = response.status
                received.headers = response.headers
                await read(response, received, target)
        except TimeoutError:
            received.fail(Failure.TIMEOUT, f"no whole answer in {question.timeout_s:g} s")
        except MalformedMessage as error:
            received.fail(Failure.MALFORMED, str(error))
        except StreamBroken as error:
            received.fail(Failure.BROKEN_STREAM, str(error))
        except NotHttp as error:
            received.fail(Failure.MALFORMED, str(error))
        except ssl.SSLError as error:
            detail = str(error) if isinstance(error, WrongKey) else error.reason
            received.fail(Failure.TLS, f"no TLS with the published key: {detail}")
        except (aiohttp.ClientError, OSError) as error:
            begun = received.stream is not None
            failure = Failure.BROKEN_STREAM if begun else Failure.UNREACHABLE
            detail = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            if connection is not None and connection.is_overrun:
                failure, detail = Failure.OVERSIZE, "the answer is too large"
            received.fail(failure, detail)
        except Exception as error:
            # One miner's surprise must not lose the replies of all the others.
            logger.exception("asking uid %d failed", target.uid)
            received.fail(Failure.UNREACHABLE, type(error).__name__)
        finally:
            if connection is not None:
                connections.give(place, connection)

    async def _read_whole(self, response: Response, received: _Received[M]) -> None:
        """Read the body; one that is too large is left, and its connection dropped."""
        last = received.stamps.first_byte = response.arrival()
        limit, content = self._limits.reply_bytes, response.content
        body = content.read_nowait(-1)
        if not content.is_eof() and len(body) <= limit:
            parts = bytearray(body)
            async for chunk in content.iter_any():
                parts += chunk
                if len(parts) > limit:
                    break
            body = bytes(parts)
            last = response.arrival()
        received.stamps.last_byte = last
        if len(body) > limit:
            received.fail(Failure.OVERSIZE, "the answer is too large")
            return
        received.body = body

    async def _read_stream(
        self,
        response: Response,
        received: _Received[K],
        chunk_type: type[K],
        show: Callable[[K], None],
    ) -> None:
        """Read chunks until the stream is over; what passes a limit is left where it is."""
        limits, stamps, loop = self._limits, received.stamps, asyncio.get_running_loop()
        reader = received.stream = StreamReader(_LINES * limits.stream_chunks)
        size = 0
        async with Patience(loop.time() + limits.stream_idle_s) as idle:
            async for data in response.content.iter_any():
                arrived = response.arrival()
                size += len(data)
                chunks = reader.feed(data)
                if size > limits.stream_bytes or reader.count > limits.stream_chunks:
                    received.fail(Failure.OVERSIZE, "the stream is too large")
                    return
                for chunk in chunks:
                    show(codec.decode(chunk_type, chunk))
                if chunks:
                    stamps.first_byte = stamps.first_byte or arrived
                    idle.extend(loop.time() + limits.stream_idle_s)
        stamps.last_byte = response.arrival()

    async def _judge(
        self,
        target: Target,
        question: _Question,
        received: _Received[M],
        judge: Callable[[_Received[M]], T],
    ) -> Reply[T]:
        """The reply that `received` amounts to."""
        failure, detail, code = received.failure, received.detail, ""
        signature: Signature | None = None
        answer: T | None = None
        if failure is None and received.status is not None:
            try:
                signature = await self._check_signature(target, question, received)
            except AnswerUnsigned as error:
                failure, detail = Failure.UNSIGNED, str(error)
            except StreamBroken as error:
                failure, detail = Failure.BROKEN_STREAM, str(error)
            except AnswerRefused as error:
                failure, detail = Failure.BAD_SIGNATURE, str(error)
            # What is said before authentication is never signed, and still says why.
            if received.status != 200 and failure is not Failure.BAD_SIGNATURE:
                failure = Failure.REFUSED
                code, detail, offset_s = _read_refusal(received)
                if offset_s is not None:
                    self._clock.note(target.hotkey, offset_s)
        if signature is not None:
            self._clock.note(target.hotkey, 0.0)
        if failure is None:
            try:
                answer = judge(received)
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
            signed=signature is not None,
            timing=Timing(*received.stamps.timing()),
            code=code,
            body=received.body,
            asked=received.sent,
            nonce=received.nonce or None,
            signature=signature,
        )

    async def _check_signature(
        self, target: Target, question: _Question, received: _Received[M]
    ) -> Signature:
        """What the miner has signed for what came, all of it. Raises AnswerRefused."""
        if received.stream is not None:
            return received.stream.check_end(
                received.headers.items(),
                hotkey=target.hotkey,
                nonce=received.nonce,
                sender=self._hotkey,
            )
        return verify_answer(
            received.headers.items(),
            hotkey=target.hotkey,
            nonce=received.nonce,
            sender=self._hotkey,
            status=received.status or 0,
            body=await hash_body(received.body),
            asked=Asked("POST", question.path, question.digest),
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


def _read_refusal(received: _Received[Any]) -> tuple[str, str, float | None]:
    """A refusing miner's code, its words, and seconds its clock is ahead if it refused for that.

    All of it is a stranger's: cut short and made printable.
    """
    try:
        error = json.loads(received.body)
        code, words = codec.sanitize(error["error"]), f"{error['error']}: {error['message']}"
        clock = error.get("server_time_ns")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        code, words, clock = "", "no reason given", None
    offset_s = None
    if isinstance(clock, int) and 0 <= clock < 1 << 64:
        offset_s = (clock - received.nonce) / 1e9
        words += f" (its clock minus ours: {offset_s:+.1f} s)"
    return code, codec.sanitize(f"{received.status} {words}"), offset_s
