"""An axon: serves signed requests, with signed answers, to those a policy admits.

The order at the door is the cheapest check first, so that a flood costs little: address, sizes,
route, header shape, receiver, freshness, caller, body, signature, replay, caller's share; only
then is the body read as a message. Knows nothing of models, scoring or the chain.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aiohttp import web

from subnet.errors import Declined, PortTaken, RequestRefused
from subnet.protocol import Answer, Challenge
from subnet.wire import codec
from subnet.wire.auth import (
    Caller,
    Claim,
    Signer,
    check_freshness,
    check_receiver,
    check_signature,
    read_claim,
    sign_answer,
)
from subnet.wire.door import SERVER, Door, GuardedConnection, refusal_body
from subnet.wire.errors import MalformedMessage, ReplayedRequest, StaleRequest
from subnet.wire.limits import Limits, RateLimiter, Slots
from subnet.wire.nonce import NonceStore, ReplaySet
from subnet.wire.policy import Policy, Verdict

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=Challenge)
A = TypeVar("A", bound=Answer)

HEALTH_PATH = "/healthz"


@dataclass(frozen=True, slots=True)
class _Route(Generic[C, A]):
    """One question an axon answers."""

    challenge_type: type[C]
    answer_type: type[A]
    handler: Callable[[C, Caller], Awaitable[A]]


@dataclass(slots=True)
class Counters:
    """What an axon has done since it was made; `refused` by code."""

    requests: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)


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
    ) -> None:
        self._keypair = keypair
        self._hotkey = keypair.ss58_address
        self._policy = policy
        self._limits = limits or Limits()
        self._clock = clock
        self._nonces: NonceStore = nonces or ReplaySet(floor_ns=clock())
        self._routes: dict[str, _Route[Challenge, Answer]] = {}
        self._slots = Slots(self._limits.requests, self._limits.hotkey_requests)
        self._rate = RateLimiter(self._limits.hotkey_rate, self._limits.hotkey_burst)
        self._buffered = 0
        self._working = 0
        self._idle = asyncio.Event()
        self._door: Door | None = None
        self._listener: asyncio.Server | None = None
        self._draining = False
        self.counters = Counters()

    def handle(
        self,
        path: str,
        challenge_type: type[C],
        answer_type: type[A],
        handler: Callable[[C, Caller], Awaitable[A]],
    ) -> None:
        """Answer POSTs to `path` with `handler`.

        The path is matched as it travels, percent-encoded. A handler may raise Declined or
        RequestRefused, whose text the caller reads; of any other exception the caller reads
        nothing. A handler that computes must do so in a thread or process of its own.
        """
        if not path.startswith("/") or path == HEALTH_PATH or path in self._routes:
            raise ValueError(f"path {path!r} is taken, or does not start with /")
        self._routes[path] = _Route(challenge_type, answer_type, handler)  # type: ignore[arg-type]

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. The address bound. Raises PortTaken, OSError."""
        if self._listener is not None:
            raise RuntimeError("this axon listens already")
        loop = asyncio.get_running_loop()
        self._draining = False
        self._door = Door(self._respond, self._limits, self._count_refusal)
        try:
            self._listener = await loop.create_server(self._door, host, port, backlog=1024)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(host, port) from None
            raise
        bound = self._listener.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

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
        # For answers still being written; not 0, which aiohttp reads as "for ever".
        await self._door.shutdown(0.25)
        await self._listener.wait_closed()
        self._listener = self._door = None

    # One request

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.counters.requests += 1
        self._working += 1
        request_id = secrets.token_hex(8)
        try:
            return await self._admit(request, request_id)
        except RequestRefused as refusal:
            return self._refuse(refusal, request_id)
        except Exception:
            logger.exception("request %s failed before its handler", request_id)
            return self._refuse(_internal(), request_id)
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    async def _admit(self, request: web.BaseRequest, request_id: str) -> web.Response:
        """The checks in order. Nothing here is signed: strangers get no signatures of ours."""
        limits = self._limits
        # 1. The address.
        connection = request.protocol
        if isinstance(connection, GuardedConnection) and not connection.begin_request():
            raise RequestRefused(429, "rate_limited", "too many requests from this address")
        # 2. Sizes and encodings, as declared.
        if sum(len(n) + len(v) + 4 for n, v in request.raw_headers) > limits.head_bytes:
            raise RequestRefused(431, "head_too_large", "the request's headers are too large")
        if (request.content_length or 0) > limits.body_bytes:
            raise _too_large(limits)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
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
        # 4. Header shape, receiver, freshness.
        claim = read_claim(request.headers.items())
        check_receiver(claim, self._hotkey)
        check_freshness(claim, self._clock())
        # 5. The caller it claims to be: whoever is not served anyway costs no verification.
        admission = self._policy.decide(claim.hotkey)
        if not admission.allowed:
            status = 503 if admission.verdict is Verdict.NOT_LOADED else 403
            raise RequestRefused(status, admission.verdict.value, admission.message)
        # 6. The body, and the signature over all of it.
        body = await self._read_body(request)
        check_signature(claim, method=request.method, target=target, body=body)
        # 7. Replay. The clock is read again: a body may have dripped in until the nonce was
        # stale, and the store may have forgotten it by then.
        now_ns = self._clock()
        check_freshness(claim, now_ns)
        if not await self._nonces.claim(claim.hotkey, claim.nonce, now_ns):
            raise ReplayedRequest
        return await self._answer(route, claim, body, request_id)

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        limits = self._limits
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = bytearray()
        try:
            async with asyncio.timeout(limits.body_s):
                while chunk := await request.content.readany():
                    self._buffered += len(chunk)
                    body += chunk
                    if len(body) > limits.body_bytes:
                        raise _too_large(limits)
                    if self._buffered > limits.buffered_bytes:
                        raise RequestRefused(503, "busy", "the miner is receiving too much at once")
        except TimeoutError:
            raise RequestRefused(408, "body_too_slow", "the body did not arrive in time") from None
        except web.RequestPayloadError:
            raise RequestRefused(400, "bad_request", "the body's framing is broken") from None
        finally:
            self._buffered -= len(body)
        return bytes(body)

    # One authenticated request: every outcome is signed

    async def _answer(
        self, route: _Route[Challenge, Answer], claim: Claim, body: bytes, request_id: str
    ) -> web.Response:
        try:
            payload = await self._work(route, Caller(claim.hotkey, claim.nonce), body, request_id)
        except RequestRefused as refusal:
            return self._refuse(refusal, request_id, signed_for=claim)
        self.counters.answered += 1
        return self._respond_with(200, payload, signed_for=claim)

    async def _work(
        self, route: _Route[Challenge, Answer], caller: Caller, body: bytes, request_id: str
    ) -> bytes:
        if not self._rate.take(caller.hotkey):
            raise RequestRefused(429, "caller_rate_limited", "too many requests from this caller")
        if self._slots.full:
            raise RequestRefused(503, "busy", "the miner is answering as much as it can")
        if not self._slots.take(caller.hotkey):
            raise RequestRefused(429, "caller_busy", "too many requests of this caller at once")
        try:
            challenge = codec.decode(route.challenge_type, body)
            async with asyncio.timeout(self._limits.handler_s) as deadline:
                answer = await route.handler(challenge, caller)
            if not isinstance(answer, route.answer_type):
                raise TypeError(f"the handler returned {type(answer).__name__}")
            return codec.encode(answer)
        except MalformedMessage as error:
            raise RequestRefused(400, "malformed_message", str(error)) from None
        except Declined as error:
            raise RequestRefused(503, "declined", str(error)) from None
        except RequestRefused:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                raise RequestRefused(504, "too_slow", "the miner took too long") from None
            logger.exception("request %s of %s failed", request_id, caller.hotkey)
            raise _internal() from None
        finally:
            self._slots.give(caller.hotkey)

    # Responses

    def _refuse(
        self, refusal: RequestRefused, request_id: str, *, signed_for: Claim | None = None
    ) -> web.Response:
        self._count_refusal(refusal.code)
        logger.debug("request %s refused: %s", request_id, refusal)
        facts = {"server_time_ns": refusal.now_ns} if isinstance(refusal, StaleRequest) else {}
        body = refusal_body(refusal.code, refusal.message, request_id, **facts)
        return self._respond_with(refusal.status, body, signed_for=signed_for)

    def _respond_with(
        self, status: int, body: bytes, *, signed_for: Claim | None = None
    ) -> web.Response:
        headers = {"Server": SERVER}
        if signed_for is not None:
            headers |= sign_answer(
                self._keypair,
                nonce=signed_for.nonce,
                sender=signed_for.hotkey,
                status=status,
                body=body,
            )
        response = web.Response(
            status=status, body=body, headers=headers, content_type="application/json"
        )
        if signed_for is None:
            # Strangers do not get to hold idle connections.
            response.force_close()
        return response

    def _health(self) -> web.Response:
        status = "draining" if self._draining else "ok"
        body = json.dumps({"status": status, "metagraph": self._policy.freshness.value}).encode()
        return self._respond_with(503 if self._draining else 200, body)

    def _count_refusal(self, code: str) -> None:
        self.counters.refused[code] += 1


def _too_large(limits: Limits) -> RequestRefused:
    return RequestRefused(413, "body_too_large", f"at most {limits.body_bytes} bytes are taken")


def _internal() -> RequestRefused:
    return RequestRefused(500, "internal", "the miner failed to answer")
