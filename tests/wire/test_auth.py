"""Signing and verifying as pure functions, against strangers' vectors and strangers' code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bittensor_core
import pytest
from bittensor import http_auth
from bittensor_core import CRYPTO_ED25519, Keypair
from hypothesis import given, settings
from hypothesis import strategies as st

from subnet.wire import auth
from subnet.wire.errors import (
    AnswerForged,
    AnswerUnsigned,
    AuthRefused,
    BadSignature,
    MalformedAuth,
    StaleRequest,
    WrongReceiver,
)
from tests.wire.world import (
    ED_VALIDATOR,
    MINER,
    NOW,
    SECOND,
    SMALL_ORDER,
    STRANGER,
    VALIDATOR,
    replaced,
    signed,
    without,
)

BODY = b'{"text":"hi"}'
BOTH = pytest.mark.parametrize("keypair", [VALIDATOR, ED_VALIDATOR], ids=["sr25519", "ed25519"])


def vectors(name: str) -> list[Any]:
    cases = json.loads((Path(__file__).parent / "vectors" / name).read_text())["cases"]
    assert len(cases) >= 10
    return [pytest.param(case, id=case["name"]) for case in cases]


def verify(
    headers: list[tuple[str, str]],
    *,
    body: bytes = BODY,
    target: str = "/echo",
    method: str = "POST",
    now: int = NOW + 1,
) -> auth.Caller:
    return auth.verify_request(
        headers,
        method=method,
        target=target,
        body=body,
        receiver=MINER.ss58_address,
        now_ns=now,
    )


# The formats, byte for byte


@pytest.mark.parametrize("case", vectors("btauth.json"))
def test_requests_signed_by_the_sdk_verify(case: dict[str, Any]) -> None:
    caller = auth.verify_request(
        case["headers"].items(),
        method=case["method"],
        target=case["target"],
        body=bytes.fromhex(case["body"]),
        receiver=case["receiver"],
        now_ns=case["nonce"],
    )
    assert caller == auth.Caller(case["headers"][auth.HOTKEY], case["nonce"])


@pytest.mark.parametrize("case", vectors("btauth.json"))
def test_the_request_payload_is_the_sdks(case: dict[str, Any]) -> None:
    payload = auth.request_payload(
        scheme=case["headers"].get(auth.CRYPTO, "sr25519"),
        method=case["method"],
        target=case["target"],
        body=bytes.fromhex(case["body"]),
        nonce=case["nonce"],
        sender=case["headers"][auth.HOTKEY],
        receiver=case["receiver"],
    )
    assert payload == case["payload"].encode()


@pytest.mark.parametrize("case", vectors("twresp.json"))
def test_answers_signed_by_a_foreign_miner_verify(case: dict[str, Any]) -> None:
    facts = {"nonce": case["nonce"], "sender": case["sender"], "status": case["status"]}
    body = bytes.fromhex(case["body"])
    auth.verify_answer(case["headers"].items(), hotkey=case["hotkey"], body=body, **facts)
    scheme = case["headers"].get(auth.ANSWER_CRYPTO, "sr25519")
    payload = auth.answer_payload(scheme=scheme, responder=case["hotkey"], body=body, **facts)
    assert payload == case["payload"].encode()


def test_ed25519_answers_are_signed_bit_for_bit_as_the_foreign_miner_does() -> None:
    keypair = Keypair.create_from_uri("//Bob", crypto_type=CRYPTO_ED25519)
    compared = 0
    for parameter in vectors("twresp.json"):
        case = parameter.values[0]
        if case["hotkey"] == keypair.ss58_address:
            compared += 1
            assert case["headers"] == auth.sign_answer(
                keypair,
                nonce=case["nonce"],
                sender=case["sender"],
                status=case["status"],
                body=bytes.fromhex(case["body"]),
            )
    assert compared >= 5


@BOTH
@pytest.mark.parametrize("target", ["/echo", "/echo?n=3&m=a%20b", "/caf%C3%A9"])
def test_our_requests_verify_with_the_sdk(keypair: Keypair, target: str) -> None:
    caller = http_auth.verify(
        dict(signed(BODY, keypair=keypair, target=target)),
        BODY,
        method="POST",
        path=target,
        self_hotkey_ss58=MINER.ss58_address,
        now_ns=NOW,
        nonce_store=http_auth.InMemoryNonceStore(),
    )
    assert caller.hotkey_ss58 == keypair.ss58_address
    assert caller.nonce_ns == NOW + 1


@BOTH
def test_our_requests_verify_here(keypair: Keypair) -> None:
    assert verify(signed(BODY, keypair=keypair)) == auth.Caller(keypair.ss58_address, NOW + 1)


RESPELLED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "no 0x": lambda value: value.removeprefix("0x"),
    "plus": lambda value: "+" + value,
    "spaces": lambda value: f" {value} ",
    "zero": lambda value: "0" + value,
    "grouped": lambda value: value[:4] + "_" + value[4:],
    "empty": lambda value: "",
}


@settings(deadline=None)
@given(
    name=st.sampled_from([auth.VERSION, auth.HOTKEY, auth.RECEIVER, auth.NONCE, auth.SIGNATURE]),
    how=st.sampled_from(sorted(RESPELLED)),
    scheme=st.sampled_from([None, "sr25519", "ed25519", "SR25519", "1", ""]),
    drift=st.sampled_from([-11, -10, 0, 2, 3]),
    ed25519=st.booleans(),
)
def test_what_we_accept_the_sdk_accepts(
    name: str, how: str, scheme: str | None, drift: int, ed25519: bool
) -> None:
    keypair = ED_VALIDATOR if ed25519 else VALIDATOR
    lines = without(signed(BODY, keypair=keypair, nonce=NOW), auth.CRYPTO)
    lines = [(line, RESPELLED[how](old) if line == name else old) for line, old in lines]
    if scheme is not None:
        lines.append((auth.CRYPTO, scheme))
    now = NOW - drift * SECOND
    try:
        caller = verify(lines, now=now)
    except AuthRefused:
        return
    theirs = http_auth.verify(
        dict(lines),
        BODY,
        method="POST",
        path="/echo",
        self_hotkey_ss58=MINER.ss58_address,
        now_ns=now,
        nonce_store=http_auth.InMemoryNonceStore(),
    )
    assert (theirs.hotkey_ss58, theirs.nonce_ns) == (caller.hotkey, caller.nonce)


# The window


@pytest.mark.parametrize("drift", [-2 * SECOND, 0, 10 * SECOND])
def test_the_window_includes_its_edges(drift: int) -> None:
    verify(signed(BODY, nonce=NOW), now=NOW + drift)


@pytest.mark.parametrize("drift", [-2 * SECOND - 1, 10 * SECOND + 1])
def test_outside_the_window_is_stale_and_says_the_servers_clock(drift: int) -> None:
    with pytest.raises(StaleRequest) as caught:
        verify(signed(BODY, nonce=NOW), now=NOW + drift)
    assert caught.value.now_ns == NOW + drift


# Attackers


def test_the_one_who_reads_a_wallets_text_signature_cannot_send_requests() -> None:
    """A browser wallet signs `<Bytes>text</Bytes>`; the SDK's verifier takes that for the text."""
    for keypair in (VALIDATOR, ED_VALIDATOR):
        lines = signed(BODY, keypair=keypair)
        claim = auth.read_claim(lines)
        payload = auth.request_payload(
            scheme=claim.scheme,
            method="POST",
            target="/echo",
            body=BODY,
            nonce=claim.nonce,
            sender=claim.hotkey,
            receiver=claim.receiver,
        )
        wrapped = keypair.sign(b"<Bytes>" + payload + b"</Bytes>")
        assert bittensor_core.verify(payload, wrapped, claim.hotkey, keypair.crypto_type)
        with pytest.raises(BadSignature):
            verify(replaced(lines, auth.SIGNATURE, "0x" + wrapped.hex()))


@pytest.mark.parametrize("key", SMALL_ORDER, ids=lambda key: key.hex()[:8] + key.hex()[-2:])
def test_the_holder_of_a_weak_ed25519_key_is_refused(key: bytes) -> None:
    # R the neutral element and s = 0 satisfy the equation for every message.
    forged = b"\x01" + bytes(63)
    address = bittensor_core.ss58_encode(key, 42)
    assert bittensor_core.verify(b"anything", forged, address, CRYPTO_ED25519)
    assert not auth.is_signed_by(key, "ed25519", b"anything", forged)


def test_the_zero_account_is_refused() -> None:
    forged = bytes(63) + b"\x80"
    address = bittensor_core.ss58_encode(bytes(32), 42)
    assert bittensor_core.verify(b"anything", forged, address, bittensor_core.CRYPTO_SR25519)
    assert not auth.is_signed_by(bytes(32), "sr25519", b"anything", forged)


@pytest.mark.parametrize(
    "lines",
    [
        without(signed(BODY), auth.VERSION),
        without(signed(BODY), auth.HOTKEY),
        without(signed(BODY), auth.NONCE),
        without(signed(BODY), auth.SIGNATURE),
        replaced(signed(BODY), auth.VERSION, "2"),
        replaced(signed(BODY), auth.HOTKEY, VALIDATOR.ss58_address[:-1]),
        replaced(signed(BODY), auth.HOTKEY, VALIDATOR.ss58_address + "1"),
        replaced(signed(BODY), auth.HOTKEY, "0" * 48),
        replaced(signed(BODY), auth.HOTKEY, "é" * 48),
        replaced(signed(BODY), auth.HOTKEY, "5" * 65536),
        replaced(signed(BODY), auth.NONCE, "+" + str(NOW)),
        replaced(signed(BODY), auth.NONCE, "0" + str(NOW)),
        replaced(signed(BODY), auth.NONCE, "1_790_000_000_000_000_000"),
        replaced(signed(BODY), auth.NONCE, "9" * 5000),
        replaced(signed(BODY), auth.NONCE, "١٧٩٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠"),
        replaced(signed(BODY), auth.SIGNATURE, "0x" + "00" * 63),
        replaced(signed(BODY), auth.SIGNATURE, "0x" + "00" * 65),
        replaced(signed(BODY), auth.SIGNATURE, "0x" + "zz" * 64),
        replaced(signed(BODY), auth.SIGNATURE, ""),
        [*signed(BODY), (auth.CRYPTO, "secp256k1")],
        [*signed(BODY), (auth.NONCE.lower(), str(NOW))],
    ],
)
def test_misshapen_headers_are_refused(lines: list[tuple[str, str]]) -> None:
    with pytest.raises(MalformedAuth):
        verify(lines)


def test_one_key_under_another_prefix_is_not_another_caller() -> None:
    # Sign honestly under the foreign address, which is as long as ours.
    foreign = bittensor_core.ss58_encode(VALIDATOR.public_key, 41)
    assert len(foreign) == 48
    payload = auth.request_payload(
        scheme="sr25519",
        method="POST",
        target="/echo",
        body=BODY,
        nonce=NOW,
        sender=foreign,
        receiver=MINER.ss58_address,
    )
    lines = replaced(signed(BODY, nonce=NOW), auth.HOTKEY, foreign)
    lines = replaced(lines, auth.SIGNATURE, "0x" + VALIDATOR.sign(payload).hex())
    with pytest.raises(MalformedAuth):
        verify(lines)


def test_a_request_for_another_miner_or_for_nobody_is_refused() -> None:
    with pytest.raises(WrongReceiver):
        verify(signed(BODY, receiver=STRANGER.ss58_address))
    with pytest.raises(WrongReceiver):
        verify(replaced(signed(BODY), auth.RECEIVER, "-"))
    unbound = http_auth.sign(VALIDATOR, method="POST", path="/echo", body=BODY, nonce_ns=NOW)
    with pytest.raises(WrongReceiver):
        verify(list(unbound.items()))


def test_a_signature_is_not_tried_under_the_other_scheme() -> None:
    with pytest.raises(BadSignature):
        verify([*signed(BODY), (auth.CRYPTO, "ed25519")])
    with pytest.raises(BadSignature):
        verify(without(signed(BODY, keypair=ED_VALIDATOR), auth.CRYPTO))


def test_a_line_break_in_the_target_cannot_move_the_lines_of_the_payload() -> None:
    with pytest.raises(ValueError, match="line break"):
        signed(BODY, target="/echo\n" + "0" * 64)
    with pytest.raises(BadSignature):
        verify(signed(BODY), target="/echo\n")
    with pytest.raises(BadSignature):
        verify(signed(BODY), target="/\udce9")


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit turned over."""
    bit %= len(data) * 8
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


@settings(deadline=None)
@given(
    body=st.binary(min_size=1, max_size=64),
    target=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    nonce=st.integers(NOW - 9 * SECOND, NOW + SECOND),
    where=st.sampled_from(["body", "target", "nonce", "hotkey", "receiver", "signature"]),
    bit=st.integers(0, 10_000),
    ed25519=st.booleans(),
)
def test_any_flipped_bit_is_refused(
    body: bytes, target: str, nonce: int, where: str, bit: int, ed25519: bool
) -> None:
    target = "/" + target
    keypair = ED_VALIDATOR if ed25519 else VALIDATOR
    lines = signed(body, target=target, nonce=nonce, keypair=keypair)
    verify(lines, body=body, target=target, now=NOW)
    if where == "body":
        body = flipped(body, bit)
    elif where == "target":
        target = flipped(target.encode(), bit).decode("utf-8", "surrogateescape")
    elif where == "nonce":
        lines = replaced(lines, auth.NONCE, str(nonce ^ 1 << bit % 33))
    elif where == "hotkey":
        other = bittensor_core.ss58_encode(flipped(keypair.public_key, bit), 42)
        lines = replaced(lines, auth.HOTKEY, other)
    elif where == "receiver":
        other = flipped(MINER.ss58_address.encode(), bit).decode("latin-1")
        lines = replaced(lines, auth.RECEIVER, other)
    else:
        old = bytes.fromhex(dict(lines)[auth.SIGNATURE][2:])
        lines = replaced(lines, auth.SIGNATURE, "0x" + flipped(old, bit).hex())
    with pytest.raises(AuthRefused):
        verify(lines, body=body, target=target, now=NOW)


# Answers


FACTS: dict[str, Any] = {"nonce": NOW, "sender": VALIDATOR.ss58_address, "status": 200}


def answer_headers(**changes: Any) -> list[tuple[str, str]]:
    return list(auth.sign_answer(MINER, **{**FACTS, "body": BODY, **changes}).items())


def verify_answer(headers: list[tuple[str, str]], **changes: Any) -> None:
    facts = {**FACTS, "body": BODY, "hotkey": MINER.ss58_address, **changes}
    auth.verify_answer(headers, **facts)


def test_a_good_answer_verifies() -> None:
    verify_answer(answer_headers())
    verify_answer([*answer_headers(), (auth.ANSWER_CRYPTO, "sr25519")])


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": NOW + 1},
        {"sender": STRANGER.ss58_address},
        {"status": 201},
        {"body": BODY + b" "},
        {"hotkey": STRANGER.ss58_address},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_to_anything_else_is_forged(change: dict[str, Any]) -> None:
    with pytest.raises(AnswerForged):
        verify_answer(answer_headers(), **change)


def test_an_answer_without_headers_is_unsigned() -> None:
    with pytest.raises(AnswerUnsigned):
        verify_answer([("Content-Type", "application/json")])


@pytest.mark.parametrize(
    "headers",
    [
        without(answer_headers(), auth.ANSWER_VERSION),
        without(answer_headers(), auth.ANSWER_HOTKEY),
        without(answer_headers(), auth.ANSWER_SIGNATURE),
        [*answer_headers(), (auth.ANSWER_CRYPTO, "ed25519")],
        [*answer_headers(), (auth.ANSWER_CRYPTO, "SR25519")],
        [*answer_headers(), answer_headers()[0]],
        [*answer_headers(), ("x-tw-resp-count", "1"), ("X-TW-Resp-Count", "2")],
        replaced(answer_headers(), auth.ANSWER_SIGNATURE, "0x" + "AB" * 64),
        replaced(answer_headers(), auth.ANSWER_SIGNATURE, "00" * 64),
    ],
)
def test_misshapen_answer_headers_are_forged(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(AnswerForged):
        verify_answer(headers)


@settings(deadline=None)
@given(bit=st.integers(0, 8 * 64 - 1), body_bit=st.integers(0, 8 * len(BODY) - 1))
def test_any_flipped_bit_of_an_answer_is_forged(bit: int, body_bit: int) -> None:
    headers = answer_headers()
    with pytest.raises(AnswerForged):
        verify_answer(headers, body=flipped(BODY, body_bit))
    old = bytes.fromhex(dict(headers)[auth.ANSWER_SIGNATURE][2:])
    with pytest.raises(AnswerForged):
        verify_answer(replaced(headers, auth.ANSWER_SIGNATURE, "0x" + flipped(old, bit).hex()))


# Answers that name their question

QUESTION = auth.Asked("POST", "/echo?n=1", auth.digest_of(BODY))


def test_a_bound_answer_is_taken_by_who_knows_the_question() -> None:
    headers = answer_headers(asked=QUESTION)
    verify_answer(headers, asked=QUESTION)
    with pytest.raises(AnswerForged):
        verify_answer(headers)
    verify_answer(answer_headers(), asked=QUESTION)  # not every kit makes others


@pytest.mark.parametrize(
    "asked",
    [
        auth.Asked("PUT", QUESTION.target, QUESTION.body),
        auth.Asked("POST", "/echo?n=2", QUESTION.body),
        auth.Asked("POST", QUESTION.target, auth.digest_of(b"")),
        auth.Asked("POST", "/echo\n?n=1", QUESTION.body),
        auth.Asked("POST", "\udc80", QUESTION.body),
    ],
)
def test_a_bound_answer_to_another_question_is_forged(asked: auth.Asked) -> None:
    with pytest.raises(AnswerForged):
        verify_answer(answer_headers(asked=QUESTION), asked=asked)


def test_a_version_is_not_tried_as_the_other() -> None:
    for headers, version in (
        (answer_headers(asked=QUESTION), auth.PLAIN),
        (answer_headers(), auth.BOUND),
        (answer_headers(), "2"),
    ):
        with pytest.raises(AnswerForged):
            verify_answer(replaced(headers, auth.ANSWER_VERSION, version), asked=QUESTION)


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_plain_signature_is_one_of_a_question(target: str, other: str) -> None:
    """No two things that can be signed for are signed for by the same bytes."""
    facts = {**FACTS, "body": BODY, "scheme": "sr25519", "responder": MINER.ss58_address}
    payloads = set()
    for asked in (None, *(auth.Asked("POST", t, QUESTION.body) for t in {target, other})):
        try:
            payloads.add(auth.answer_payload(asked=asked, **facts))
        except ValueError:
            payloads.add(repr(asked).encode())
    assert len(payloads) == 1 + len({target, other})
