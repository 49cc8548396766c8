"""Who sent these bytes: btauth/1 requests and twresp/1 answers, signed and verified.

Pure functions: bytes and a clock reading in, facts or an error out. btauth/1 is the format of
`bittensor.http_auth`, byte for byte; this verifier accepts a subset of what that one does (see
`is_signed_by`). Whoever asks for it gets its answer signed as twresp/1+request, which names the
question as well. Replay and permission are decided elsewhere.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NewType, Protocol

import bittensor_core
import ed25519_zebra
import sr25519

from subnet.protocol import Signature
from subnet.wire.errors import (
    AnswerForged,
    AnswerUnsigned,
    BadSignature,
    MalformedAuth,
    StaleRequest,
    WrongReceiver,
)

MAX_AGE_NS: Final = 10_000_000_000
"""btauth/1: how old a nonce may be."""
MAX_AHEAD_NS: Final = 2_000_000_000
"""btauth/1: how far a nonce may be ahead of the receiver's clock."""
HASHED_INLINE: Final = 262_144
"""Bytes: hashing so many takes a millisecond on a processor without instructions for it."""

VERSION: Final = "X-Bittensor-Version"
HOTKEY: Final = "X-Bittensor-Hotkey"
RECEIVER: Final = "X-Bittensor-Receiver"
NONCE: Final = "X-Bittensor-Nonce"
CRYPTO: Final = "X-Bittensor-Crypto"
SIGNATURE: Final = "X-Bittensor-Signature"

ANSWER_VERSION: Final = "X-TW-Resp-Version"
ANSWER_HOTKEY: Final = "X-TW-Resp-Hotkey"
ANSWER_CRYPTO: Final = "X-TW-Resp-Crypto"
ANSWER_SIGNATURE: Final = "X-TW-Resp-Signature"
ANSWER_ACCEPT: Final = "X-TW-Resp-Accept"
"""In a request: the version that its answer shall be signed as, if the miner knows it."""

PLAIN: Final = "1"
"""The answer's signature names the answer, the asker and the request's nonce."""
BOUND: Final = "1+request"
"""And the request's method, target and body: which question this is the answer to."""

_REQUEST_HEADERS = {
    spelling: name
    for name in (VERSION, HOTKEY, RECEIVER, NONCE, CRYPTO, SIGNATURE)
    for spelling in (name, name.lower())
}
_SHORTEST_NAME = min(map(len, _REQUEST_HEADERS))
_ANSWER_PREFIX = "x-tw-resp-"

SR25519: Final = "sr25519"
ED25519: Final = "ed25519"
_SCHEMES = {bittensor_core.CRYPTO_SR25519: SR25519, bittensor_core.CRYPTO_ED25519: ED25519}

_SS58_PREFIX = 42
_SS58_LENGTH = 48  # of every 32-byte key under prefix 42
_NONCE_FORM = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_SIGNATURE_FORM = re.compile(r"0x[0-9a-fA-F]{128}", re.ASCII)
_ANSWER_SIGNATURE_FORM = re.compile(r"0x[0-9a-f]{128}", re.ASCII)

# Keys for which anybody can make a signature over any message. The sr25519 one is the neutral
# element, the all-zero account; the ed25519 ones are the points of small order in all their
# encodings, sign bit cleared. Lenient verifiers accept both.
_WEAK_SR25519 = bytes(32)
_WEAK_ED25519 = frozenset(
    bytes.fromhex(encoding)
    for encoding in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


Digest = NewType("Digest", str)
"""The sha256 of a body, lowercase hex, where it stands for the body."""


class Signer(Protocol):
    """What signs: a `bittensor_core.Keypair`, or anything with its four members."""

    @property
    def ss58_address(self) -> str:
        """The key's address under prefix 42."""

    @property
    def public_key(self) -> bytes:
        """The key's 32 bytes."""

    @property
    def crypto_type(self) -> int:
        """1 for sr25519, 0 for ed25519."""

    def sign(self, data: bytes, /) -> bytes:
        """64 bytes over `data`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a verified request (ss58), and its nonce in Unix nanoseconds."""

    hotkey: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers of a request say, well formed and not yet believed."""

    scheme: str
    hotkey: str
    receiver: str | None
    nonce: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, as the signature of a bound answer names it: `body` by its digest."""

    method: str
    target: str
    body: Digest


def digest_of(body: bytes) -> Digest:
    """The digest of a body."""
    return Digest(hashlib.sha256(body).hexdigest())


async def hash_body(body: bytes) -> Digest:
    """The digest of a body; of a large one it is made in a thread, while the loop goes on."""
    if len(body) <= HASHED_INLINE:
        return digest_of(body)
    return await asyncio.to_thread(digest_of, body)


def sign_request(
    keypair: Signer, *, method: str, target: str, body: bytes | Digest, receiver: str, nonce: int
) -> dict[str, str]:
    """Headers that prove `keypair` sends `body` to `receiver`.

    `target` is the request target as it will be sent: path and query, percent-encoded.
    Raises ValueError for a method or target that HTTP cannot carry.
    """
    scheme = _scheme_of(keypair)
    sender = keypair.ss58_address
    payload = request_payload(
        scheme=scheme,
        method=method,
        target=target,
        body=body,
        nonce=nonce,
        sender=sender,
        receiver=receiver,
    )
    headers = {
        VERSION: "1",
        HOTKEY: sender,
        RECEIVER: receiver,
        NONCE: str(nonce),
        SIGNATURE: "0x" + keypair.sign(payload).hex(),
    }
    if scheme != SR25519:
        headers[CRYPTO] = scheme
    return headers


def verify_request(
    headers: Iterable[tuple[str, str]],
    *,
    method: str,
    target: str,
    body: bytes | Digest,
    receiver: str,
    now_ns: int,
) -> Caller:
    """The caller of one request, or an `AuthRefused`.

    `headers` are the lines as received, doubles included; `target` is undecoded; `body` is the
    raw bytes. `receiver` is the hotkey of the one who verifies. Replay is not checked here.
    """
    claim = read_claim(headers)
    check_receiver(claim, receiver)
    check_freshness(claim, now_ns)
    check_signature(claim, method=method, target=target, body=body)
    return Caller(claim.hotkey, claim.nonce)


def read_claim(headers: Iterable[tuple[str, str]]) -> Claim:
    """The claim of a request's headers. Lengths come first: base58 is quadratic in them."""
    values: dict[str, str] = {}
    for line, value in headers:
        if len(line) < _SHORTEST_NAME:
            continue
        name = _REQUEST_HEADERS.get(line) or _REQUEST_HEADERS.get(line.lower())
        if name is not None:
            if name in values:
                raise MalformedAuth(name, "sent twice")
            values[name] = value
    for name in (VERSION, HOTKEY, NONCE, SIGNATURE):
        if name not in values:
            raise MalformedAuth(name, "missing")
    if values[VERSION] != "1":
        raise MalformedAuth(VERSION, "must be 1")
    hotkey, nonce, signature = values[HOTKEY], values[NONCE], values[SIGNATURE]
    if not _is_address_shaped(hotkey):
        raise MalformedAuth(HOTKEY, "must be an ss58 address of 48 characters")
    if not _NONCE_FORM.fullmatch(nonce):
        raise MalformedAuth(NONCE, "must be Unix nanoseconds in decimal")
    if not _SIGNATURE_FORM.fullmatch(signature):
        raise MalformedAuth(SIGNATURE, "must be 0x and 128 hex digits")
    scheme = values.get(CRYPTO, SR25519)
    if scheme not in (SR25519, ED25519):
        raise MalformedAuth(CRYPTO, "must be sr25519 or ed25519")
    return Claim(scheme, hotkey, values.get(RECEIVER), int(nonce), bytes.fromhex(signature[2:]))


def check_receiver(claim: Claim, receiver: str) -> None:
    """Raise WrongReceiver unless the request is bound to `receiver`."""
    if claim.receiver != receiver:
        raise WrongReceiver


def check_freshness(claim: Claim, now_ns: int) -> None:
    """Raise StaleRequest unless the nonce is in the btauth/1 window around `now_ns`."""
    if not now_ns - MAX_AGE_NS <= claim.nonce <= now_ns + MAX_AHEAD_NS:
        raise StaleRequest(claim.nonce, now_ns)


def check_signature(claim: Claim, *, method: str, target: str, body: bytes | Digest) -> None:
    """Raise unless the claimed hotkey signed this method, target and body."""
    public_key = find_public_key(claim.hotkey)
    if public_key is None:
        raise MalformedAuth(HOTKEY, "is no ss58 address of prefix 42")
    try:
        payload = request_payload(
            scheme=claim.scheme,
            method=method,
            target=target,
            body=body,
            nonce=claim.nonce,
            sender=claim.hotkey,
            receiver=claim.receiver,
        )
    except ValueError:  # nobody can have signed such a target
        raise BadSignature from None
    if not is_signed_by(public_key, claim.scheme, payload, claim.signature):
        raise BadSignature


def request_payload(
    *,
    scheme: str,
    method: str,
    target: str,
    body: bytes | Digest,
    nonce: int,
    sender: str,
    receiver: str | None,
) -> bytes:
    """The bytes btauth/1 signs: eight lines, no trailing newline.

    Raises ValueError where a line break would let one request pass for another, or for a target
    that is not Unicode text.
    """
    if "\n" in method or "\n" in target:
        raise ValueError("a method or target with a line break")
    return "\n".join(
        (
            "btauth/1",
            scheme,
            method.upper(),
            target,
            body if isinstance(body, str) else hashlib.sha256(body).hexdigest(),
            str(nonce),
            sender,
            receiver or "-",
        )
    ).encode()


def sign_answer(
    keypair: Signer,
    *,
    nonce: int,
    sender: str,
    status: int,
    body: bytes | Digest,
    asked: Asked | None = None,
) -> dict[str, str]:
    """Headers that prove `keypair` gives `body` to the request `nonce` of `sender`.

    With `asked`, that it is the answer to this question. The body of a stream is the digest of
    its chunks, and its status 200.
    """
    scheme = _scheme_of(keypair)
    payload = answer_payload(
        scheme=scheme,
        nonce=nonce,
        sender=sender,
        responder=keypair.ss58_address,
        status=status,
        body=body,
        asked=asked,
    )
    headers = name_signer(keypair)
    if asked is not None:
        headers[ANSWER_VERSION] = BOUND
    headers[ANSWER_SIGNATURE] = "0x" + keypair.sign(payload).hex()
    return headers


def name_signer(keypair: Signer) -> dict[str, str]:
    """The headers of an answer that say who signs it: all that a stream starts with."""
    headers = {ANSWER_VERSION: PLAIN, ANSWER_HOTKEY: keypair.ss58_address}
    scheme = _scheme_of(keypair)
    if scheme != SR25519:
        headers[ANSWER_CRYPTO] = scheme
    return headers


def verify_answer(
    headers: Iterable[tuple[str, str]],
    *,
    hotkey: str,
    nonce: int,
    sender: str,
    status: int,
    body: bytes | Digest,
    asked: Asked | None = None,
) -> Signature:
    """What `hotkey` signed for this answer to the request `nonce` of `sender`.

    A bound signature is taken only with `asked`, and then a plain one too: not every kit makes
    others. Raises AnswerUnsigned when no signature header is there, AnswerForged when they do not
    hold. A failed check is never tried again under the other scheme, nor as the other version.
    """
    values: dict[str, str] = {}
    for line, value in headers:
        name = line.lower()
        if name.startswith(_ANSWER_PREFIX):
            if name in values:
                raise AnswerForged("a signature header sent twice")
            values[name] = value
    if not values:
        raise AnswerUnsigned
    version = values.get(ANSWER_VERSION.lower(), "")
    if version != PLAIN and (asked is None or version != BOUND):
        raise AnswerForged(f"{ANSWER_VERSION} must be {PLAIN}")
    if values.get(ANSWER_HOTKEY.lower()) != hotkey:
        raise AnswerForged("the answer is signed by another hotkey, or names none")
    scheme = values.get(ANSWER_CRYPTO.lower(), SR25519)
    if scheme not in (SR25519, ED25519):
        raise AnswerForged(f"{ANSWER_CRYPTO} must be sr25519 or ed25519")
    signature = values.get(ANSWER_SIGNATURE.lower(), "")
    if not _ANSWER_SIGNATURE_FORM.fullmatch(signature):
        raise AnswerForged(f"{ANSWER_SIGNATURE} must be 0x and 128 lowercase hex digits")
    digest = Digest(body) if isinstance(body, str) else digest_of(body)
    found = Signature(version, scheme, nonce, digest, bytes.fromhex(signature[2:]))
    if not is_answer_signed(found, hotkey=hotkey, sender=sender, status=status, asked=asked):
        raise AnswerForged("the signature does not match the answer")
    return found


def is_answer_signed(
    signature: Signature, *, hotkey: str, sender: str, status: int, asked: Asked | None
) -> bool:
    """Whether `signature` is `hotkey`'s, for the body of its digest, to this request of `sender`.

    `asked` counts where the signature names a question, and must be there then.
    """
    public_key = find_public_key(hotkey)
    bound = signature.version == BOUND
    if public_key is None or (bound and asked is None):
        return False
    try:
        payload = answer_payload(
            scheme=signature.scheme,
            nonce=signature.nonce,
            sender=sender,
            responder=hotkey,
            status=status,
            body=Digest(signature.digest),
            asked=asked if bound else None,
        )
    except ValueError:  # nobody can have signed such a target
        return False
    return is_signed_by(public_key, signature.scheme, payload, signature.value)


def answer_payload(
    *,
    scheme: str,
    nonce: int,
    sender: str,
    responder: str,
    status: int,
    body: bytes | Digest,
    asked: Asked | None = None,
) -> bytes:
    """The bytes that an answer's signature is over: seven lines, or ten with `asked`.

    No trailing newline. Raises ValueError for a method or target with a line break.
    """
    lines = [
        f"twresp/{PLAIN}",
        scheme,
        str(nonce),
        sender,
        responder,
        str(status),
        body if isinstance(body, str) else hashlib.sha256(body).hexdigest(),
    ]
    if asked is not None:
        if "\n" in asked.method or "\n" in asked.target:
            raise ValueError("a method or target with a line break")
        lines[0] = f"twresp/{BOUND}"
        lines += [asked.method.upper(), asked.target, asked.body]
    return "\n".join(lines).encode()


@functools.lru_cache(maxsize=4096)
def find_public_key(address: str) -> bytes | None:
    """The 32 bytes behind an ss58 address of prefix 42, or None."""
    if not _is_address_shaped(address):
        return None
    try:
        public_key = bytes(bittensor_core.ss58_decode(address))
    except ValueError:
        return None
    # Other prefixes also have 48 characters: one key must not be two callers.
    canonical = bittensor_core.ss58_encode(public_key, _SS58_PREFIX) == address
    return public_key if canonical else None


def is_signed_by(public_key: bytes, scheme: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is one of `public_key` over exactly `message`.

    Stricter than `bittensor_core.verify`, which also takes a signature over
    `<Bytes>message</Bytes>` (a wallet's "sign this text" must not sign requests) and keys for
    which anybody can sign.
    """
    try:
        if scheme == SR25519:
            return public_key != _WEAK_SR25519 and bool(
                sr25519.verify(signature, message, public_key)
            )
        unsigned_point = public_key[:31] + bytes([public_key[31] & 0x7F])
        return unsigned_point not in _WEAK_ED25519 and bool(
            ed25519_zebra.ed_verify(signature, message, public_key)
        )
    except ValueError:  # no point of the curve, or no number of its field
        return False


def _is_address_shaped(text: str) -> bool:
    return len(text) == _SS58_LENGTH and text.isascii() and text.isalnum()


def _scheme_of(keypair: Signer) -> str:
    scheme = _SCHEMES.get(keypair.crypto_type)
    if scheme is None:
        raise ValueError(f"a key of crypto type {keypair.crypto_type} cannot sign on the wire")
    return scheme
