"""An axon: serves signed requests, with signed answers, to those a policy admits.

The order at the door is the cheapest check first, so that a flood costs little: address, sizes,
route, header shape, receiver, freshness, caller, body, signature, replay, caller's share; only
then is the body read as a message. Knows nothing of models, scoring or the chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import logging
import secrets
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeVar, cast

from aiohttp import web

from subnet.errors import Declined, RequestRefused
from subnet.protocol import A, C, Challenge, Chunk, Form, K, Message
from subnet.wire import codec, stream
from subnet.wire.auth import (
    ANSWER_ACCEPT,
    BOUND,
    Asked,
    Caller,
    Claim,
    Digest,
    Signer,
    check_freshness,
    check_receiver,
    check_signature,
    hash_body,
    name_signer,
    read_claim,
    sign_answer,
)
from subnet.wire.door import SERVER, Door, GuardedConnection, Sealed, refusal_body
from subnet.wire.errors import MalformedMessage, ReplayedRequest, StaleRequest
from subnet.wire.limits import ByteShares, Limits, RateLimiter, Slots
from subnet.wire.listener import Listener, bind
from subnet.wire.nonce import NonceStore, ReplaySet
from subnet.wire.policy import Policy
from subnet.wire.receipts import Receipts
from subnet.wire.waiting import WaitingRoom

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEALTH_PATH = "/healthz"
_HANDLER_THREADS: Final = 64
"""Of plain handlers at most."""
_END_BYTES: Final = 512
"""Kept free in a stream's share of bytes for its signed end."""


@dataclass(frozen=True, slots=True)
class _Route:
    """One question an axon answers, whole or in chunks."""

    challenge_type: type[Challenge]
    answer_type: type[Message]
    handler: Callable[[Any, Caller], Any]
    streams: bool


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose signature holds, and what its answer is signed for.

    `bound` says that the caller wants the question signed for, too.
    """

    claim: Claim
    asked: Asked
    bound: bool


@dataclass(slots=True)
class Counters:
    """What an axon has done since it was made; `refused` by code."""

    requests: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class _StreamCut(Exception):
    """A stream under way that cannot be finished; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Axon:
    """Answers for `keypair`'s hotkey.

    `clock` returns Unix nanoseconds. Without `nonces` this process remembers its own; processes
    that serve one hotkey together need a store they share.
    """

    def __init__(
        self,
        keypair: Signer,
        *,
        policy: Policy,
        nonces: NonceStore | None = None,
        limits: Limits | None = None,
        clock: Callable[[], int] = time.time_ns,
        receipts: Receipts | None = None,
    ) -> None:
        self._keypair = keypair
        self._receipts = receipts
        self._hotkey = keypair.ss58_address
        self._policy = policy
        self._limits = limits = limits or Limits()
        self._clock = clock
        self._nonces: NonceStore = nonces or ReplaySet(floor_ns=clock())
        self._routes: dict[str, _Route] = {}
        self._room = WaitingRoom(
            limits.requests, limits.waiting, limits.waiting_s, limits.hotkey_requests
        )
        self._streams = Slots(limits.requests, limits.hotkey_streams)
        self._rate = RateLimiter(limits.hotkey_rate, limits.hotkey_burst)
        self._bytes = ByteShares(limits.buffered_bytes, limits.ip_buffered_bytes)
        self._threads: ThreadPoolExecutor | None = None
        self._working = 0
        self._idle = asyncio.Event()
        self._door: Door | None = None
        self._listener: Listener | None = None
        self._draining = False
        self._id_stem = secrets.token_hex(4)
        self.counters = Counters()

    def handle(
        self,
        path: str,
        challenge_type: type[C],
        answer_type: type[A],
        handler: Callable[[C, Caller], Awaitable[A]] | Callable[[C, Caller], A],
    ) -> None:
        """Answer POSTs to `path` with `handler`.

        The path is matched as it travels, percent-encoded. A handler may raise Declined or
        RequestRefused, whose text the caller reads; of any other exception the caller reads
        nothing. A plain function is run in a thread, where it may compute or wait; no thread can
        be stopped, so what passes its time goes on unheard. An async one must never do either.
        """
        called = (handler, type(handler).__call__)
        awaits = any(map(inspect.iscoroutinefunction, called))
        handling = handler if awaits else functools.partial(self._run_in_thread, handler)
        self._add(path, _Route(challenge_type, answer_type, handling, False))

    def handle_stream(
        self,
        path: str,
        challenge_type: type[C],
        chunk_type: type[K],
        handler: Callable[[C, Caller], AsyncGenerator[K, None]],
    ) -> None:
        """Answer POSTs to `path` with the chunks that `handler` makes, and sign for all of them.

        What it raises before its first chunk is answered as for `handle`. Later, as when it
        passes a limit, the stream ends without the signed end, and so was for nothing.
        """
        if chunk_type.form is not Form.JSON:
            raise TypeError(f"{chunk_type.__name__} cannot be streamed: chunks travel as JSON")
        self._add(path, _Route(challenge_type, chunk_type, handler, True))

    async def _run_in_thread(self, handler: Any, challenge: Challenge, caller: Caller) -> Any:
        if self._threads is None:
            # Of its own: the loop's threads hash bodies, and must not wait for handlers.
            places = min(self._limits.requests, _HANDLER_THREADS)
            self._threads = ThreadPoolExecutor(places, thread_name_prefix="handler")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, handler, challenge, caller)

    def _add(self, path: str, route: _Route) -> None:
        if not path.startswith("/") or path == HEALTH_PATH or path in self._routes:
            raise ValueError(f"path {path!r} is taken, or does not start with /")
        self._routes[path] = route

    async def start(
        self,
        host: str,
        port: int,
        *,
        sock: socket.socket | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[str, int]:
        """Listen, with TLS if given; port 0 takes a free one. The address bound.

        With `sock`, listen there, perhaps along with other processes. Raises PortTaken, OSError.
        """
        if self._listener is not None:
            raise RuntimeError("this axon listens already")
        self._draining = False
        self._door = Door(self._respond, self._limits, self._count_refusal)
        self._listener = Listener(sock or bind(host, port), self._door, tls=tls)
        return self._listener.address

    async def stop(self, drain_s: float = 5.0) -> None:
        """Take no more requests, let those under way finish for `drain_s`, then cut them off."""
        if self._listener is None or self._door is None:
            return
        self._draining = True
        self._listener.close()
        self._door.pre_shutdown()
        if self._working:
            self._idle.clear()
            try:
                async with asyncio.timeout(drain_s):
                    await self._idle.wait()
            except TimeoutError:
                logger.warning("%d requests were cut off at the stop", self._working)
        left = [connection.transport for connection in self._door.connections]
        # For answers still being written; not 0, which aiohttp reads as "for ever".
        await self._door.shutdown(0.25)
        for transport in left:
            if transport is not None:
                transport.abort()  # whoever does not read its answer does not hold us up
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        self._listener = self._door = None

    # One request

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.counters.requests += 1
        self._working += 1
        connection = cast(GuardedConnection, request.protocol)
        spare = 0 if connection.is_regular else self._limits.buffered_bytes // 4
        held = _Held(self._bytes, connection.address, spare)
        request_id = f"{self._id_stem}{self.counters.requests:x}"
        try:
            return await self._admit(request, connection, held, request_id)
        except RequestRefused as refusal:
            return self._refuse(refusal, request_id)
        except Exception:
            logger.exception("request %s failed before its handler", request_id)
            return self._refuse(_internal(), request_id)
        finally:
            held.give()
            self._working -= 1
            if not self._working:
                self._idle.set()

    async def _admit(
        self,
        request: web.BaseRequest,
        connection: GuardedConnection,
        held: _Held,
        request_id: str,
    ) -> web.StreamResponse:
        """The checks in order. Nothing here is signed: strangers get no signatures of ours."""
        limits = self._limits
        # 1. The address.
        if not connection.begin_request():
            raise RequestRefused(429, "rate_limited", "too many requests from this address")
        # 2. Sizes and encodings, as declared.
        lines = request.raw_headers
        if sum(map(len, chain.from_iterable(lines))) + 4 * len(lines) > limits.head_bytes:
            raise RequestRefused(431, "head_too_large", "the request's headers are too large")
        headers = request.headers
        if int(headers.get("Content-Length", 0)) > limits.body_bytes:
            raise _too_large(limits)
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RequestRefused(415, "encoded_body", "send the body without Content-Encoding")
        # 3. The route, by the target as it travelled.
        target = request.raw_path
        path = target.partition("?")[0]
        if path == HEALTH_PATH and request.method == "GET":
            return self._health()
        if self._draining:
            raise RequestRefused(503, "draining", "the miner is stopping")
        route = self._routes.get(path)
        if route is None:
            raise RequestRefused(404, "not_found", "nothing is served at this path")
        if request.method != "POST":
            raise RequestRefused(405, "method_not_allowed", "questions are asked with POST")
        # The header is not signed: it may get a request refused, and never read otherwise.
        form = route.challenge_type.form
        if not codec.is_of_form(headers.get("Content-Type", ""), form):
            raise RequestRefused(415, "wrong_content_type", f"this path takes {form.value}")
        # 4. Header shape, receiver, freshness.
        claim = read_claim(headers.items())
        check_receiver(claim, self._hotkey)
        check_freshness(claim, self._clock())
        # 5. The caller it claims to be: whoever is not served anyway costs no verification.
        admission = self._policy.decide(claim.hotkey)
        if not admission.allowed:
            raise RequestRefused(admission.status, admission.verdict.value, admission.message)
        # 6. The body, and the signature over all of it.
        body = await self._read_body(request, held)
        asked = Asked(request.method, target, await hash_body(body))
        check_signature(claim, method=request.method, target=target, body=asked.body)
        verified = _Request(claim, asked, headers.get(ANSWER_ACCEPT) == BOUND)
        # 7. Replay. The clock is read again: a body may have dripped in until the nonce was
        # stale, and the store may have forgotten it by then.
        now_ns = self._clock()
        check_freshness(claim, now_ns)
        try:
            if not await self._nonces.claim(claim.hotkey, claim.nonce, now_ns):
                raise ReplayedRequest
        except RequestRefused as refusal:
            if refusal.status != 429:
                raise
            # The nonce was new, and a share that processes have together is used up.
            return await self._refuse_signed(refusal, request_id, verified)
        connection.vouch()
        # From here on every outcome is signed.
        try:
            return await self._answer(request, route, verified, admission.stake, body, request_id)
        except RequestRefused as refusal:
            return await self._refuse_signed(refusal, request_id, verified)

    async def _read_body(self, request: web.BaseRequest, held: _Held) -> bytes:
        limits, content = self._limits, request.content
        if content.is_eof():  # all of it came with the head
            body = content.read_nowait(-1)
            self._hold(held, len(body), len(body))
            return body
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        parts = bytearray()
        try:
            async with asyncio.timeout(limits.body_s):
                while chunk := await content.readany():
                    parts += chunk
                    self._hold(held, len(chunk), len(parts))
        except TimeoutError:
            raise RequestRefused(408, "body_too_slow", "the body did not arrive in time") from None
        except web.RequestPayloadError:
            raise RequestRefused(400, "bad_request", "the body's framing is broken") from None
        return bytes(parts)

    def _hold(self, held: _Held, more: int, together: int) -> None:
        """Account for `more` bytes of a body, which has `together` by now."""
        if together > self._limits.body_bytes:
            raise _too_large(self._limits)
        # By address, not by caller: nobody has proven yet to be the one it names.
        if not held.take(more):
            raise RequestRefused(503, "busy", "the miner is receiving too much at once")

    # One authenticated request

    async def _answer(
        self,
        request: web.BaseRequest,
        route: _Route,
        verified: _Request,
        stake: int,
        body: bytes,
        request_id: str,
    ) -> web.StreamResponse:
        caller = Caller(verified.claim.hotkey, verified.claim.nonce)
        if not self._rate.take(caller.hotkey):
            raise RequestRefused(429, "caller_rate_limited", "too many requests from this caller")
        try:
            challenge = codec.decode(route.challenge_type, body)
        except MalformedMessage as error:
            raise RequestRefused(400, "malformed_message", str(error)) from None
        await self._room.enter(caller.hotkey, stake)
        try:
            if route.streams:
                return await self._stream(request, route, verified, challenge, caller, request_id)
            handling = route.handler(challenge, caller)
            payload = await self._work(handling, route, caller, self._limits.handler_s, request_id)
        finally:
            self._room.leave(caller.hotkey)
        self.counters.answered += 1
        return await self._sign(200, payload, verified, route.answer_type.form.value)

    async def _work(
        self,
        handling: Awaitable[object],
        route: _Route,
        caller: Caller,
        seconds: float,
        request_id: str,
    ) -> bytes:
        """The bytes of what a handler gives, or the refusal that its failure amounts to."""
        try:
            async with asyncio.timeout(seconds) as deadline:
                answer = await handling
            if not isinstance(answer, route.answer_type):
                raise TypeError(f"the handler returned {type(answer).__name__}")
            return codec.encode(answer)
        except (RequestRefused, StopAsyncIteration):
            raise
        except Declined as error:
            raise RequestRefused(503, "declined", str(error)) from None
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                raise RequestRefused(504, "too_slow", "the miner took too long") from None
            logger.exception("request %s of %s failed", request_id, caller.hotkey)
            raise _internal() from None

    # Streams

    async def _stream(
        self,
        request: web.BaseRequest,
        route: _Route,
        verified: _Request,
        challenge: Challenge,
        caller: Caller,
        request_id: str,
    ) -> web.StreamResponse:
        if not self._streams.take(caller.hotkey):
            raise RequestRefused(429, "caller_streams", "too many streams of this caller at once")
        limits = self._limits
        try:
            chunks: AsyncGenerator[Chunk, None] = route.handler(challenge, caller)
            async with contextlib.aclosing(chunks):

                async def next_chunk(seconds: float) -> bytes | None:
                    try:
                        return await self._work(anext(chunks), route, caller, seconds, request_id)
                    except StopAsyncIteration:
                        return None

                # Before the first chunk there is still time for a refusal in words.
                data = await next_chunk(limits.handler_s)
                headers = {"Server": SERVER, "Content-Type": stream.CONTENT_TYPE}
                response = web.StreamResponse(headers=headers | name_signer(self._keypair))
                await response.prepare(request)
                try:
                    async with asyncio.timeout(limits.stream_s):
                        await self._send_chunks(request, verified, data, next_chunk)
                except ConnectionError:
                    logger.debug("the caller has left stream %s", request_id)
                except (TimeoutError, RequestRefused, _StreamCut, ValueError) as error:
                    self._cut(request, error, caller, request_id)
                else:
                    self.counters.answered += 1
                return response
        finally:
            self._streams.give(caller.hotkey)

    async def _send_chunks(
        self,
        request: web.BaseRequest,
        verified: _Request,
        data: bytes | None,
        next_chunk: Callable[[float], Awaitable[bytes | None]],
    ) -> None:
        limits, tally, room = self._limits, stream.Tally(), self._limits.stream_bytes - _END_BYTES
        while data is not None:
            event = stream.chunk_event(data)
            room -= len(event)
            if room < 0 or tally.count == limits.stream_chunks:
                raise _StreamCut("stream_too_large")
            await self._write(request, event)
            tally.add(data)
            data = await next_chunk(limits.stream_idle_s)
        claim = verified.claim
        end = stream.end_event(self._keypair, tally, nonce=claim.nonce, sender=claim.hotkey)
        await self._write(request, end)
        self._keep(verified, stream.STATUS, tally.digest)

    async def _write(self, request: web.BaseRequest, data: bytes) -> None:
        # Its own draining knows no deadline.
        await cast(Any, request.writer).write(data, drain=False)
        await cast(GuardedConnection, request.protocol).drain()

    def _cut(
        self, request: web.BaseRequest, error: Exception, caller: Caller, request_id: str
    ) -> None:
        """End a stream without its signed end: nobody shall take a part for the whole."""
        code = "stream_too_slow" if isinstance(error, TimeoutError) else "stream_failed"
        code = getattr(error, "code", code)
        self._count_refusal(code)
        logger.warning("stream %s of %s was cut: %s", request_id, caller.hotkey, code)
        if request.transport is not None:
            request.transport.abort()

    # Responses

    async def _refuse_signed(
        self, refusal: RequestRefused, request_id: str, verified: _Request
    ) -> web.StreamResponse:
        body = self._refusal(refusal, request_id)
        return await self._sign(refusal.status, body, verified, Form.JSON.value)

    async def _sign(
        self, status: int, body: bytes, verified: _Request, content_type: str
    ) -> web.StreamResponse:
        digest = await hash_body(body)
        headers = sign_answer(
            self._keypair,
            nonce=verified.claim.nonce,
            sender=verified.claim.hotkey,
            status=status,
            body=digest,
            asked=verified.asked if verified.bound else None,
        )
        self._keep(verified, status, digest)
        headers["Content-Type"] = content_type
        return cast(web.StreamResponse, Sealed(status, headers, body))

    def _keep(self, verified: _Request, status: int, answer: Digest) -> None:
        if self._receipts is not None:
            asked = verified.asked
            self._receipts.add(
                verified.claim,
                miner=self._hotkey,
                target=asked.target,
                request=asked.body,
                status=status,
                answer=answer,
                time=self._clock() / 1e9,
            )

    def _refuse(self, refusal: RequestRefused, request_id: str) -> web.StreamResponse:
        return self._unsigned(refusal.status, self._refusal(refusal, request_id))

    def _refusal(self, refusal: RequestRefused, request_id: str) -> bytes:
        self._count_refusal(refusal.code)
        logger.debug("request %s refused: %s", request_id, refusal)
        facts = {"server_time_ns": refusal.now_ns} if isinstance(refusal, StaleRequest) else {}
        return refusal_body(refusal.code, refusal.message, request_id, **facts)

    def _unsigned(self, status: int, body: bytes) -> web.StreamResponse:
        # Strangers do not get to hold idle connections.
        headers = {"Content-Type": Form.JSON.value}
        return cast(web.StreamResponse, Sealed(status, headers, body, close=True))

    def _health(self) -> web.StreamResponse:
        status = "draining" if self._draining else "ok"
        body = json.dumps({"status": status, "metagraph": self._policy.freshness.value}).encode()
        return self._unsigned(503 if self._draining else 200, body)

    def _count_refusal(self, code: str) -> None:
        self.counters.refused[code] += 1


class _Held:
    """The bytes of one request's body, while it is under way."""

    __slots__ = ("_address", "_bytes", "_shares", "_spare")

    def __init__(self, shares: ByteShares, address: str, spare: int) -> None:
        self._shares = shares
        self._address = address
        self._spare = spare
        self._bytes = 0

    def take(self, count: int) -> bool:
        """Hold so many more, if there is room."""
        if not self._shares.take(self._address, count, spare=self._spare):
            return False
        self._bytes += count
        return True

    def give(self) -> None:
        """Let go of all of them."""
        self._shares.give(self._address, self._bytes)


def _too_large(limits: Limits) -> RequestRefused:
    return RequestRefused(413, "body_too_large", f"at most {limits.body_bytes} bytes are taken")


def _internal() -> RequestRefused:
    return RequestRefused(500, "internal", "the miner failed to answer")
