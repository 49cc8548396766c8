"""Our verifier beside the SDK's, on generated requests: ours takes a subset, and says which.

Ours takes exactly what the SDK takes and no named class holds: a closed list, told from the
request alone. Anything else is a failure of this test.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bittensor_core
import pytest
from bittensor import http_auth
from bittensor_core import CRYPTO_ED25519, CRYPTO_SR25519, Keypair
from multidict import CIMultiDict

from subnet.wire import auth
from subnet.wire.errors import AuthRefused
from tests.wire.world import MINER, NOW, SECOND, SMALL_ORDER, STRANGER

CHUNK = 10_000
MILLION = 100 * CHUNK
PER_BASE = 25
"""Requests made of one signature: signing is the dear part."""

RECEIVER = MINER.ss58_address
SENDERS = [
    Keypair.create_from_uri(f"//Sender{number}", crypto_type=scheme)
    for number in range(4)
    for scheme in (CRYPTO_SR25519, CRYPTO_ED25519)
]
ALL = (auth.VERSION, auth.HOTKEY, auth.RECEIVER, auth.NONCE, auth.CRYPTO, auth.SIGNATURE)
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the curve's group: s and s + ORDER satisfy the same equation."""


@dataclass(frozen=True)
class Request:
    """What a server has of one request."""

    lines: tuple[tuple[str, str], ...]
    method: str
    target: str
    body: bytes
    nonce: int
    """As it was signed, whatever the lines say now."""
    now: int = NOW

    def get(self, name: str) -> str | None:
        """The value that a mapping of these lines has: the last one."""
        values = [value for line, value in self.lines if line.lower() == name.lower()]
        return values[-1] if values else None

    def set(self, name: str, value: str) -> Request:
        return self.map(name, lambda _: value)

    def map(self, name: str, change: Callable[[str], str]) -> Request:
        lines = [
            (line, change(value) if line.lower() == name.lower() else value)
            for line, value in self.lines
        ]
        return dataclasses.replace(self, lines=tuple(lines))

    def add(self, name: str, value: str, at: int | None = None) -> Request:
        lines = list(self.lines)
        lines.insert(len(lines) if at is None else at, (name, value))
        return dataclasses.replace(self, lines=tuple(lines))

    def drop(self, name: str) -> Request:
        lines = tuple(pair for pair in self.lines if pair[0].lower() != name.lower())
        return dataclasses.replace(self, lines=lines)


# Verdicts


def ours(request: Request) -> auth.Caller | None:
    try:
        return auth.verify_request(
            request.lines,
            method=request.method,
            target=request.target,
            body=request.body,
            receiver=RECEIVER,
            now_ns=request.now,
        )
    except AuthRefused:
        return None


def theirs(request: Request) -> auth.Caller | str:
    """The caller, or the name of what was raised."""
    try:
        caller = http_auth.verify(
            CIMultiDict(request.lines),
            request.body,
            method=request.method,
            path=request.target,
            self_hotkey_ss58=RECEIVER,
            now_ns=request.now,
            nonce_store=_Forgetful(),
        )
    except http_auth.AuthError as error:
        return type(error).__name__
    except (ValueError, OverflowError) as error:  # a bug of theirs, and a refusal all the same
        return f"unexpected {type(error).__name__}"
    return auth.Caller(caller.hotkey_ss58, caller.nonce_ns)


class _Forgetful:
    """Replay is not what is compared here."""

    def check_and_store(self, hotkey_ss58: str, nonce_ns: int) -> bool:
        return True


# What ours refuses and the SDK takes, closed: each class is told from the request alone


def _payload(request: Request, scheme: str) -> bytes:
    """The bytes btauth/1 has signed, written down anew: neither side's code."""
    lines = (
        "btauth/1",
        scheme,
        request.method.upper(),
        request.target,
        hashlib.sha256(request.body).hexdigest(),
        str(int(request.get(auth.NONCE) or "0")),
        request.get(auth.HOTKEY) or "",
        request.get(auth.RECEIVER) or "-",
    )
    return "\n".join(lines).encode()


def _scheme(request: Request) -> str:
    """The scheme the SDK takes the request to be signed under."""
    return "ed25519" if _is_ed25519(request.get(auth.CRYPTO)) else "sr25519"


def _is_ed25519(value: str | None) -> bool:
    """As the SDK reads it: names in any case, and numbers however written."""
    word = (value or "").strip().lower()
    return word == "ed25519" or (word.isdigit() and int(word) == 0)


def _doubled(request: Request) -> bool:
    names = [line.lower() for line, _ in request.lines]
    return any(names.count(name.lower()) > 1 for name in ALL)


def _respelled_nonce(request: Request) -> bool:
    value = request.get(auth.NONCE) or ""
    return value != str(int(value))


def _respelled_signature(request: Request) -> bool:
    value = request.get(auth.SIGNATURE) or ""
    return len(value) != 130 or not value.startswith("0x")


def _respelled_scheme(request: Request) -> bool:
    return request.get(auth.CRYPTO) not in (None, "sr25519", "ed25519")


def _other_address(request: Request) -> bool:
    """Not the key's one address: another network's prefix, or no address at all."""
    address = request.get(auth.HOTKEY) or ""
    try:
        key = bytes(bittensor_core.ss58_decode(address))
    except ValueError:
        return True
    return str(bittensor_core.ss58_encode(key, 42)) != address


def _weak_key(request: Request) -> bool:
    try:
        key = bytes(bittensor_core.ss58_decode(request.get(auth.HOTKEY) or ""))
    except ValueError:
        return False
    return key in SMALL_ORDER if _scheme(request) == "ed25519" else key == bytes(32)


def _wrapped_signature(request: Request) -> bool:
    """The key signed `<Bytes>payload</Bytes>`, as a wallet signs texts, and not the payload."""
    scheme = _scheme(request)
    key = bytes(bittensor_core.ss58_decode(request.get(auth.HOTKEY) or ""))
    signature = bytes.fromhex((request.get(auth.SIGNATURE) or "").removeprefix("0x"))
    text = b"<Bytes>" + _payload(request, scheme) + b"</Bytes>"
    return auth.is_signed_by(key, scheme, text, signature)


def _line_break(request: Request) -> bool:
    return "\n" in request.method + request.target


CLASSES: dict[str, Callable[[Request], bool]] = {
    "doubled header": _doubled,
    "respelled nonce": _respelled_nonce,
    "respelled signature": _respelled_signature,
    "respelled scheme": _respelled_scheme,
    "other address of the key": _other_address,
    "weak key": _weak_key,
    "wrapped signature": _wrapped_signature,
    "line break in the target": _line_break,
}
BEYOND_REPAIR = {
    "other address of the key",
    "weak key",
    "wrapped signature",
    "line break in the target",
}
"""Of the others the request is right but for its spelling: spelt right, ours must take it."""


def explanations(request: Request) -> list[str]:
    """The classes that a request which the SDK takes belongs to."""
    return [title for title, belongs in CLASSES.items() if belongs(request)]


def repaired(request: Request) -> Request:
    """The same request, each header once and in its one spelling."""
    request = dataclasses.replace(request, lines=tuple(
        (name, value) for name in ALL if (value := request.get(name)) is not None
    ))  # fmt: skip
    scheme = _scheme(request)
    request = request.map(auth.NONCE, lambda value: str(int(value)))
    request = request.map(
        auth.SIGNATURE, lambda value: "0x" + bytes.fromhex(value.removeprefix("0x")).hex()
    )
    return request.set(auth.CRYPTO, scheme)


# Requests


def bases(source: random.Random) -> Iterator[tuple[Keypair, Request]]:
    """Good requests without end, by both signers."""
    while True:
        keypair = source.choice(SENDERS)
        method = source.choice(["POST", "POST", "GET", "post", "PUT"])
        target = _target(source)
        body = source.randbytes(source.choice([0, 1, 30, 200, 2000]))
        nonce = NOW - source.choice([0, 1, source.randrange(10 * SECOND), 10 * SECOND])
        yield keypair, _sign(keypair, source.random() < 0.5, method, target, body, nonce)


def _sign(
    keypair: Keypair, by_sdk: bool, method: str, target: str, body: bytes, nonce: int
) -> Request:
    if by_sdk or "\n" in target:
        headers = http_auth.sign(
            keypair,
            method=method,
            path=target,
            body=body,
            nonce_ns=nonce,
            receiver_ss58=RECEIVER,
        )
    else:
        headers = auth.sign_request(
            keypair, method=method, target=target, body=body, receiver=RECEIVER, nonce=nonce
        )
    return Request(tuple(headers.items()), method, target, body, nonce)


def _target(source: random.Random) -> str:
    path = "/" + "".join(source.choices("abcXYZ019-._~/%", k=source.randrange(12)))
    query = source.choice(["", "?", "?n=1", "?m=a%20b&m=c+d", "?é=ß", "?%C3%A9=%c3%9f", "?😀"])
    return path + query


Mutation = Callable[[random.Random, Keypair, Request], Request]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__] = function
    return function


@mutation
def untouched(source: random.Random, keypair: Keypair, request: Request) -> Request:
    return request


@mutation
def names_in_any_case(source: random.Random, keypair: Keypair, request: Request) -> Request:
    def any_case(name: str) -> str:
        return "".join(source.choice((char.upper(), char.lower())) for char in name)

    lines = tuple((any_case(line), value) for line, value in request.lines)
    return dataclasses.replace(request, lines=lines)


@mutation
def other_order(source: random.Random, keypair: Keypair, request: Request) -> Request:
    lines = list(request.lines)
    source.shuffle(lines)
    return dataclasses.replace(request, lines=tuple(lines))


@mutation
def foreign_headers(source: random.Random, keypair: Keypair, request: Request) -> Request:
    name = source.choice(["Cookie", "X-Bittensor", "X-Bittensor-Uuid", "x-bittensor-hotkey2", ""])
    return request.add(name, _noise(source), source.randrange(len(request.lines)))


@mutation
def header_left_out(source: random.Random, keypair: Keypair, request: Request) -> Request:
    return request.drop(source.choice(ALL))


@mutation
def header_doubled(source: random.Random, keypair: Keypair, request: Request) -> Request:
    name = source.choice(ALL)
    old = request.get(name) or "sr25519"
    value = source.choice([old, old, _noise(source), ""])
    respelled = source.choice([name, name.lower(), name.upper()])
    return request.add(respelled, value, source.randrange(len(request.lines) + 1))


@mutation
def value_respelled(source: random.Random, keypair: Keypair, request: Request) -> Request:
    spellings: list[Callable[[str], str]] = [
        str.upper,
        str.lower,
        str.title,
        lambda value: " " + value,
        lambda value: value + " ",
        lambda value: value + "\t",
        lambda value: value + "\n",
        lambda value: "\xa0" + value,
        lambda value: "+" + value,
        lambda value: "-" + value,
        lambda value: "0" + value,
        lambda value: value + ".0",
        lambda value: value + ",",
        lambda value: f'"{value}"',
        lambda value: value[:4] + "_" + value[4:],
        lambda value: value[:4] + " " + value[4:],
        lambda value: value[:-1],
        lambda value: value[1:],
        lambda value: value.removeprefix("0x"),
        lambda value: value.replace("0x", "0X", 1),
        lambda value: value + "\0",
        # Digits of other scripts: int() reads them all.
        lambda value: value.translate({48 + digit: 0x0660 + digit for digit in range(10)}),
        lambda value: value.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
        lambda value: value[:1] + value[1:].translate({48: 0x0660, 55: 0x0667}),
        lambda value: value.replace("a", "а"),
        lambda value: value.replace("1", "¹"),
    ]
    return request.map(source.choice(ALL), source.choice(spellings))


@mutation
def value_replaced(source: random.Random, keypair: Keypair, request: Request) -> Request:
    return request.set(source.choice(ALL), _noise(source))


@mutation
def value_flipped(source: random.Random, keypair: Keypair, request: Request) -> Request:
    def flip(value: str) -> str:
        at = source.randrange(len(value) or 1)
        return value[:at] + source.choice("0123456789abcdefXYZé \U0001f600") + value[at + 1 :]

    return request.map(source.choice(ALL), flip)


@mutation
def other_sender(source: random.Random, keypair: Keypair, request: Request) -> Request:
    key = bytes(keypair.public_key)
    prefix = source.choice([0, 1, 2, 41, 43, 63])
    return request.set(
        auth.HOTKEY,
        source.choice([
            source.choice(SENDERS).ss58_address,
            RECEIVER,
            str(bittensor_core.ss58_encode(key, prefix)),
            "0x" + key.hex(),
            key.hex(),
        ]),
    )  # fmt: skip


@mutation
def signed_as_another_networks_address(
    source: random.Random, keypair: Keypair, request: Request
) -> Request:
    """An honest signature under an address of the same key that is not its address here."""
    prefix = source.choice([0, 1, 2, 41, 43, 63])
    spelled = bittensor_core.ss58_encode(bytes(keypair.public_key), prefix)
    return _signed_over(request.set(auth.HOTKEY, str(spelled)), keypair)


@mutation
def other_receiver(source: random.Random, keypair: Keypair, request: Request) -> Request:
    mine = bytes(MINER.public_key)
    return request.set(
        auth.RECEIVER,
        source.choice([
            STRANGER.ss58_address,
            keypair.ss58_address,
            str(bittensor_core.ss58_encode(mine, 0)),
            "-",
            "",
        ]),
    )  # fmt: skip


@mutation
def unbound(source: random.Random, keypair: Keypair, request: Request) -> Request:
    """Honestly signed for nobody."""
    return _signed_over(request.drop(auth.RECEIVER), keypair)


@mutation
def other_nonce(source: random.Random, keypair: Keypair, request: Request) -> Request:
    nonce = request.nonce
    spelled = source.choice([
        str(nonce + 1),
        str(-nonce),
        "0",
        "-0",
        "",
        f"{nonce:e}",
        hex(nonce),
        f"0{nonce}",
        "9" * source.choice([19, 20, 21, 400, 5000]),
    ])  # fmt: skip
    return request.set(auth.NONCE, spelled)


@mutation
def other_clock(source: random.Random, keypair: Keypair, request: Request) -> Request:
    drift = source.choice([
        -2 * SECOND - 1, -2 * SECOND, -1, 0, 1, 10 * SECOND, 10 * SECOND + 1, 3600 * SECOND,
        source.randrange(-3 * SECOND, 12 * SECOND),
    ])  # fmt: skip
    return dataclasses.replace(request, now=request.nonce + drift)


@mutation
def other_scheme(source: random.Random, keypair: Keypair, request: Request) -> Request:
    scheme = source.choice([
        "sr25519", "ed25519", "SR25519", "Ed25519", " sr25519", "ed25519 ", "1", "0", "2",
        "ecdsa", "", "sr25519,ed25519", "ｓr25519",
    ])  # fmt: skip
    return request.drop(auth.CRYPTO).add(auth.CRYPTO, scheme)


@mutation
def scheme_respelled(source: random.Random, keypair: Keypair, request: Request) -> Request:
    names = (
        ["ed25519", "ED25519", "Ed25519", "0", " ed25519"]
        if keypair.crypto_type == CRYPTO_ED25519
        else ["sr25519", "SR25519", "Sr25519", "1", "sr25519 "]
    )
    return request.drop(auth.CRYPTO).add(auth.CRYPTO, source.choice(names))


@mutation
def signature_bent(source: random.Random, keypair: Keypair, request: Request) -> Request:
    try:
        signature = bytearray.fromhex((request.get(auth.SIGNATURE) or "").removeprefix("0x"))
    except ValueError:  # another mutation came first
        return request
    if len(signature) != 64:
        return request
    kind = source.randrange(7)
    if kind == 0:
        signature[source.randrange(64)] ^= 1 << source.randrange(8)
    elif kind == 1:
        signature[63] ^= 0x80  # the mark of sr25519, or more than a field element of ed25519
    elif kind == 2:
        scalar = int.from_bytes(signature[32:], "little") % 2**255 + ORDER
        signature[32:] = (scalar % 2**256).to_bytes(32, "little")
    elif kind == 3:
        signature = bytearray(64)
    elif kind == 4:
        signature = signature[: source.choice([0, 1, 32, 63])]
    elif kind == 5:
        signature += source.randbytes(source.choice([1, 64]))
    else:
        signature = signature[32:] + signature[:32]
    return request.set(auth.SIGNATURE, "0x" + signature.hex())


@mutation
def signature_respelled(source: random.Random, keypair: Keypair, request: Request) -> Request:
    def respell(value: str) -> str:
        digits = value.removeprefix("0x")
        pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
        return source.choice(
            [digits, "0x" + " ".join(pairs), "0x" + digits.upper(), f"0x{digits} ", "0X" + digits]
        )

    return request.map(auth.SIGNATURE, respell)


@mutation
def wrapped(source: random.Random, keypair: Keypair, request: Request) -> Request:
    """What a browser wallet signs when it is asked to sign a text."""
    try:
        payload = _payload(request, _scheme_of(keypair))
    except ValueError:  # the nonce was mutated first
        return request
    signature = keypair.sign(b"<Bytes>" + payload + b"</Bytes>")
    return request.set(auth.SIGNATURE, "0x" + signature.hex())


@mutation
def weak_sender(source: random.Random, keypair: Keypair, request: Request) -> Request:
    """Signatures that anybody can make, for keys that have no secret."""
    if source.random() < 0.2:
        key, scheme, forged = bytes(32), "sr25519", bytes(63) + b"\x80"
    else:
        key, scheme, forged = source.choice(SMALL_ORDER), "ed25519", b"\x01" + bytes(63)
    request = request.set(auth.HOTKEY, str(bittensor_core.ss58_encode(key, 42)))
    request = request.drop(auth.CRYPTO).add(auth.CRYPTO, scheme)
    return request.set(auth.SIGNATURE, "0x" + forged.hex())


@mutation
def other_body(source: random.Random, keypair: Keypair, request: Request) -> Request:
    body = bytearray(request.body)
    kind = source.randrange(4)
    if kind == 0 and body:
        body[source.randrange(len(body))] ^= 1 << source.randrange(8)
    elif kind == 1:
        body += source.choice([b"\0", b" ", b"\n", b"\r\n"])
    elif kind == 2:
        body = body[:-1]
    else:
        body = body[::-1]
    return dataclasses.replace(request, body=bytes(body))


@mutation
def other_target(source: random.Random, keypair: Keypair, request: Request) -> Request:
    changes: list[Callable[[str], str]] = [
        str.lower,
        str.upper,
        lambda target: target + "?",
        lambda target: target + "&n=2",
        lambda target: target + "#x",
        lambda target: target + "/",
        lambda target: target.replace("%20", "+"),
        lambda target: target.replace("%C3%A9", "é"),
        lambda target: target.replace("/", "//", 1),
        lambda target: "http://miner" + target,
        lambda target: target + "\nx",
        lambda target: target + "\ud800",
        lambda target: target[1:],
    ]
    return dataclasses.replace(request, target=source.choice(changes)(request.target))


@mutation
def line_break_signed(source: random.Random, keypair: Keypair, request: Request) -> Request:
    """No HTTP carries it; a verifier that takes it reads one signature in two ways."""
    return _signed_over(dataclasses.replace(request, target=request.target + "\n/other"), keypair)


@mutation
def other_method(source: random.Random, keypair: Keypair, request: Request) -> Request:
    methods = ["GET", "POST", "post", "Post", "PUT", "", "POST ", "poﬆ", "POST\n/x"]
    return dataclasses.replace(request, method=source.choice(methods))


def _scheme_of(keypair: Keypair) -> str:
    return "ed25519" if keypair.crypto_type == CRYPTO_ED25519 else "sr25519"


def _signed_over(request: Request, keypair: Keypair) -> Request:
    """The same request with the honest signature of `keypair` over what it says now."""
    try:
        payload = _payload(request, _scheme_of(keypair))
    except ValueError:  # another mutation came first
        return request
    return request.set(auth.SIGNATURE, "0x" + keypair.sign(payload).hex())


def _noise(source: random.Random) -> str:
    return "".join(source.choices("019afAF+-_ x.,é１\0\U0001f600", k=source.randrange(40)))


def requests(source: random.Random, count: int) -> Iterator[tuple[str, Request]]:
    """`count` requests with the name of what was done to them; every fifth has it done twice."""
    names = sorted(MUTATIONS)
    pool = bases(source)
    keypair, base = next(pool)
    for number in range(count):
        if number % PER_BASE == 0:
            keypair, base = next(pool)
        name = names[number % len(names)]
        request = MUTATIONS[name](source, keypair, base)
        if source.random() < 0.2:
            request = MUTATIONS[source.choice(names)](source, keypair, request)
        yield name, request


# The comparison


@dataclass
class Tally:
    """What came of many requests: how they were judged, and why ours differs."""

    judged: Counter[str] = dataclasses.field(default_factory=Counter)
    stricter: Counter[str] = dataclasses.field(default_factory=Counter)
    accepted: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("judged", "stricter", "accepted"):
            getattr(self, name).update(getattr(other, name))

    def __str__(self) -> str:
        lines = [f"{count:9,}  {what}" for what, count in sorted(self.judged.items())]
        lines += ["of those that only ours refused:"]
        lines += [f"{count:9,}  {what}" for what, count in self.stricter.most_common()]
        return "\n".join(lines)


def compare(seed: int, count: int = CHUNK) -> Tally:
    """Judge `count` requests with both. Raises AssertionError on what is not explained."""
    tally = Tally()
    for name, request in requests(random.Random(seed), count):
        mine, others = ours(request), theirs(request)
        if mine is not None:
            assert mine == others, f"seed {seed}, {name}: only ours takes {request}: {others}"
            found = explanations(request)
            assert not found, f"seed {seed}, {name}: ours takes {found}: {request}"
            tally.judged["both accept"] += 1
            tally.accepted[name] += 1
        elif isinstance(others, str):
            tally.judged[f"both refuse, the SDK by {others}"] += 1
        else:
            found = explanations(request)
            assert found, f"seed {seed}, {name}: ours refuses for no reason {request}"
            if BEYOND_REPAIR.isdisjoint(found):
                # Not refused for something else that a class happened to stand beside.
                assert ours(repaired(request)), f"seed {seed}, {name}: {found} in {request}"
            tally.judged["only the SDK accepts"] += 1
            tally.stricter[" + ".join(found)] += 1
    return tally


ALWAYS_TAKEN = ("untouched", "names_in_any_case", "other_order", "foreign_headers")


def check(tally: Tally, total: int) -> None:
    """Whether the requests reached everything they are for."""
    sys.stdout.write(f"\n{total:,} requests\n{tally}\n")
    assert tally.judged.total() == total
    # Mutations that change nothing of meaning, when nothing else was done: most pass both.
    for name in ALWAYS_TAKEN:
        assert tally.accepted[name] > 0.7 * total / len(MUTATIONS), name
    for refusal in ("MalformedAuth", "WrongReceiver", "StaleRequest", "BadSignature"):
        assert tally.judged[f"both refuse, the SDK by {refusal}"] > total / 500, refusal
    for title in CLASSES:
        assert any(title in found for found in tally.stricter), f"nothing reached: {title}"


def test_ours_takes_a_subset_of_the_sdks() -> None:
    tally = compare(seed=0)
    check(tally, CHUNK)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ours_takes_a_subset_of_the_sdks_on_a_million_requests() -> None:
    tally = Tally()
    with concurrent.futures.ProcessPoolExecutor(
        min(4, os.cpu_count() or 1), multiprocessing.get_context("spawn")
    ) as pool:
        for part in pool.map(compare, range(1, 1 + MILLION // CHUNK)):
            tally.add(part)
    check(tally, MILLION)
