"""A miner written down from the format's text, right by default and broken where a test says.

One request a connection, on plain streams: nothing of an HTTP library stands between a fault and
whoever looks for it.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import bittensor_core

from subnet.wire import auth
from subnet.wire.errors import AuthRefused, BadSignature, ReplayedRequest
from tests.wire.world import ED_VALIDATOR, MINER, VALIDATOR

HEAD_BYTES = 64 << 10
BODY_BYTES = 1 << 20
HEAD_S = 0.3
BODY_S = 0.3
SERVED = {key.ss58_address for key in (VALIDATOR, ED_VALIDATOR)}


class Fault(enum.StrEnum):
    """What is wrong with the miner."""

    NONE = "nothing"
    ELSEWHERE = "serves another path"
    GROWING_NONCES = "wants every nonce to be greater than the last"
    PATH_WITHOUT_QUERY = "verifies the path without its query"
    DECODED_TARGET = "verifies the decoded target"
    ASCII_BODY = "hashes the body as an ASCII text"
    PARSED_BODY = "hashes the body parsed and written anew"
    SR25519_ONLY = "knows one scheme"
    OPEN = "answers requests without any signature"
    ANY_CALLER = "answers whoever can sign"
    NO_CLOCK = "takes any nonce"
    OLD_ONLY = "takes nonces of the future"
    NO_MEMORY = "forgets nonces at once"
    ANY_RECEIVER = "answers requests to others"
    NO_RECEIVER = "answers requests to nobody"
    UNCHECKED = "takes every signature for good"
    ANY_METHOD = "verifies a PUT where it got a POST"
    FIRST_OF_TWO = "takes the first of two headers"
    LAST_OF_TWO = "takes the last of two headers"
    WRAPPED = "takes a wallet's text signatures"
    TRIES_BOTH = "tries both schemes"
    FAILS = "fails on what it cannot parse"
    LEAVES = "hangs up on what it cannot parse"
    FIRST_LENGTH = "takes the first of two lengths"
    LAST_LENGTH = "takes the last of two lengths"
    CHUNKED_WINS = "prefers chunks to a length"
    ENDLESS_HEAD = "reads heads of any size"
    ENDLESS_BODY = "reads bodies of any size"
    WAITS_FOR_BODY = "waits for the whole of what was declared too large"
    PATIENT_HEAD = "waits for a head for ever"
    RESTARTED_HEAD = "gives every byte of a head the full time"
    PATIENT_BODY = "waits for a body for ever"
    UNSIGNED = "signs no answer"
    OTHER_KEY = "signs with another key"
    STORED_ANSWER = "signs once and sends it again"
    SIGNS_REFUSALS = "signs refusals"
    NO_END = "ends its streams without an end"
    CUT_STREAM = "leaves a chunk out of its streams"
    NO_STREAM = "streams something else"


class BadRequest(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class BrokenMiner:
    """Answers `{"text": ...}` with itself at /echo, and streams it from /words."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen: set[tuple[str, int]] = set()
        self.newest = 0
        self.stored: dict[str, str] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status, headers, body = await self.outcome(reader)
            if status:
                headers = {"Content-Length": str(len(body)), "Connection": "close"} | headers
                head = f"HTTP/1.1 {status} X\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(head.encode() + b"\r\n" + body)
                writer.write_eof()
                # Until the other side has read it: closing with bytes unread would reset it.
                async with asyncio.timeout(0.5):
                    while await reader.read(1 << 20):
                        pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def outcome(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        try:
            return await self.respond(reader)
        except BadRequest as error:
            return error.status, {}, b'{"error":"bad"}'
        except TimeoutError:
            return 408, {}, b""
        except ConnectionAbortedError:
            return 0, {}, b""

    async def respond(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        method, target, lines = await self.read_head(reader)
        body = await self.read_body(reader, lines)
        path = target.partition("?")[0]
        if self.fault is Fault.DECODED_TARGET:
            path = unquote(path)
        if path not in ("/echo", "/words") or self.fault is Fault.ELSEWHERE:
            raise BadRequest(404)
        nonce, sender = 1, VALIDATOR.ss58_address
        try:
            if not self.is_open_to(lines):
                nonce, sender = self.authenticate(lines, method, target, body)
        except AuthRefused as error:
            refusal = json.dumps({"error": error.code}).encode()
            signed: dict[str, str] = {}
            if self.fault is Fault.SIGNS_REFUSALS:
                signed = self.sign(1, VALIDATOR.ss58_address, error.status, refusal)
            return error.status, signed, refusal
        if path == "/words":
            return self.stream(nonce, sender, body)
        return 200, self.sign(nonce, sender, 200, body), body

    # HTTP

    async def read_head(
        self, reader: asyncio.StreamReader
    ) -> tuple[str, str, list[tuple[str, str]]]:
        data = b""
        async with asyncio.timeout(60 if self.fault is Fault.PATIENT_HEAD else HEAD_S) as deadline:
            while not data.endswith(b"\r\n\r\n"):
                if self.fault is Fault.RESTARTED_HEAD:
                    deadline.reschedule(asyncio.get_running_loop().time() + HEAD_S)
                    piece = await reader.read(1)
                else:
                    piece = await reader.readline()
                if not piece:
                    raise ConnectionAbortedError
                data += piece
                if len(data) > HEAD_BYTES and self.fault is not Fault.ENDLESS_HEAD:
                    raise BadRequest(431)
        first, *lines = data.decode("latin-1").strip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [line.split(":", 1) for line in lines]
        return method, target, [(name.strip(), value.strip()) for name, value in headers]

    async def read_body(self, reader: asyncio.StreamReader, lines: list[tuple[str, str]]) -> bytes:
        lengths = [int(value) for name, value in lines if name == "Content-Length"]
        chunked = any(name == "Transfer-Encoding" for name, _ in lines)
        if chunked and lengths and self.fault is not Fault.CHUNKED_WINS:
            raise BadRequest(400)
        if len(lengths) > 1 and self.fault not in (Fault.FIRST_LENGTH, Fault.LAST_LENGTH):
            raise BadRequest(400)
        limit = BODY_BYTES if self.fault is not Fault.ENDLESS_BODY else 1 << 50
        async with asyncio.timeout(60 if self.fault is Fault.PATIENT_BODY else BODY_S):
            if chunked:
                return await self.read_chunks(reader, limit)
            length = (lengths or [0])[0 if self.fault is not Fault.LAST_LENGTH else -1]
            if length > limit and self.fault is not Fault.WAITS_FOR_BODY:
                raise BadRequest(413)
            return await reader.readexactly(length)

    async def read_chunks(self, reader: asyncio.StreamReader, limit: int) -> bytes:
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
            if len(body) > limit:
                raise BadRequest(413)
        return bytes(body)

    # btauth/1

    def is_open_to(self, lines: list[tuple[str, str]]) -> bool:
        signed = any(name == auth.SIGNATURE for name, _ in lines)
        return self.fault is Fault.OPEN and not signed

    def authenticate(
        self, lines: list[tuple[str, str]], method: str, target: str, body: bytes
    ) -> tuple[int, str]:
        fault = self.fault
        if fault is Fault.LAST_OF_TWO:
            lines = list(dict(lines).items())
        if fault is Fault.FIRST_OF_TWO:
            lines = list(dict(reversed(lines)).items())
        try:
            claim = auth.read_claim(lines)
        except AuthRefused:
            if fault is Fault.FAILS:
                raise BadRequest(500) from None
            if fault is Fault.LEAVES:
                raise ConnectionAbortedError from None
            raise
        bound = claim.receiver is not None
        if fault is not Fault.ANY_RECEIVER and (bound or fault is not Fault.NO_RECEIVER):
            auth.check_receiver(claim, MINER.ss58_address)
        now = time.time_ns()
        if fault is not Fault.NO_CLOCK and (fault is not Fault.OLD_ONLY or claim.nonce < now):
            auth.check_freshness(claim, now)
        if claim.hotkey not in SERVED and fault is not Fault.ANY_CALLER:
            raise BadRequest(403)
        if fault is not Fault.UNCHECKED and not self.is_signed(claim, method, target, body):
            raise BadSignature
        if fault is Fault.GROWING_NONCES and claim.nonce <= self.newest:
            raise ReplayedRequest
        self.newest = claim.nonce
        if fault is not Fault.NO_MEMORY and (claim.hotkey, claim.nonce) in self.seen:
            raise ReplayedRequest
        self.seen.add((claim.hotkey, claim.nonce))
        return claim.nonce, claim.hotkey

    def is_signed(self, claim: auth.Claim, method: str, target: str, body: bytes) -> bool:
        fault = self.fault
        if fault is Fault.PATH_WITHOUT_QUERY:
            target = target.partition("?")[0]
        if fault is Fault.DECODED_TARGET:
            target = unquote(target)
        if fault is Fault.ASCII_BODY:
            body = body.decode("ascii", "ignore").encode()
        if fault is Fault.PARSED_BODY:
            body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
        if fault is Fault.ANY_METHOD and self.is_signed_as(claim, "PUT", target, body):
            return True
        return self.is_signed_as(claim, method, target, body)

    def is_signed_as(self, claim: auth.Claim, method: str, target: str, body: bytes) -> bool:
        payload = "\n".join([
            "btauth/1",
            claim.scheme,
            method,
            target,
            hashlib.sha256(body).hexdigest(),
            str(claim.nonce),
            claim.hotkey,
            claim.receiver or "-",
        ]).encode()  # fmt: skip
        schemes = {"sr25519": bittensor_core.CRYPTO_SR25519, "ed25519": 0}
        if self.fault is Fault.WRAPPED:
            return bool(
                bittensor_core.verify(payload, claim.signature, claim.hotkey, schemes[claim.scheme])
            )
        if self.fault is Fault.SR25519_ONLY:
            schemes.pop("ed25519")
        key = auth.find_public_key(claim.hotkey) or b""
        tried = schemes if self.fault is Fault.TRIES_BOTH else {claim.scheme} & schemes.keys()
        return any(auth.is_signed_by(key, scheme, payload, claim.signature) for scheme in tried)

    # twresp/1

    def sign(self, nonce: int, sender: str, status: int, body: bytes) -> dict[str, str]:
        if self.fault is Fault.UNSIGNED:
            return {}
        keypair = VALIDATOR if self.fault is Fault.OTHER_KEY else MINER
        signed = auth.sign_answer(keypair, nonce=nonce, sender=sender, status=status, body=body)
        if self.fault is Fault.STORED_ANSWER:
            self.stored = self.stored or signed
            return self.stored
        return signed

    def stream(self, nonce: int, sender: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        chunks = [json.dumps({"word": word}).encode() for word in json.loads(body)["text"].split()]
        digest = auth.digest_of(b"".join(chunks))
        signed = auth.sign_answer(MINER, nonce=nonce, sender=sender, status=200, body=digest)
        end = {
            "digest": digest,
            "count": len(chunks),
            "signature": signed.pop(auth.ANSWER_SIGNATURE),
        }
        if self.fault is Fault.CUT_STREAM:
            chunks = chunks[1:]
        events = [("chunk", chunk) for chunk in chunks]
        if self.fault is not Fault.NO_END:
            events.append(("tw-end", json.dumps(end).encode()))
        text = b"".join(b"event: %b\ndata: %b\n\n" % (n.encode(), data) for n, data in events)
        kind = "text/event-stream" if self.fault is not Fault.NO_STREAM else "text/plain"
        return 200, signed | {"Content-Type": kind}, text


@asynccontextmanager
async def broken(fault: Fault) -> AsyncIterator[tuple[str, int]]:
    """A miner with one fault, listening; its host and port."""
    miner = BrokenMiner(fault)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(miner.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.2", 0, limit=1 << 20)
    try:
        host, port = server.sockets[0].getsockname()
        yield host, port
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
