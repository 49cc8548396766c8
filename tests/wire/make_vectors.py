"""Writes docs/wire-vectors.json anew: `python -m tests.wire.make_vectors`.

Requests are signed by the SDK, answers and streams by the TaoWire kit, and what only our format has
by bare keys over text made here: not by the code that the vectors are to test. sr25519 signs with
randomness, so every run gives other signatures.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bittensor
import bittensor_core
from bittensor import http_auth
from bittensor_core import CRYPTO_ED25519, Keypair
from taowire.crypto import HotkeySigner
from taowire.extensions import response_sig, streaming

PATH = Path(__file__).parents[2] / "docs" / "wire-vectors.json"

ALICE = Keypair.create_from_uri("//Alice")
BOB = Keypair.create_from_uri("//Bob")
CHARLIE = Keypair.create_from_uri("//Charlie")
ALICE_ED = Keypair.create_from_uri("//Alice", crypto_type=CRYPTO_ED25519)
BOB_ED = Keypair.create_from_uri("//Bob", crypto_type=CRYPTO_ED25519)
NONCE = 1_790_000_000_123_456_789
SECOND = 10**9
BODY = b'{"prompt":"hello"}'

Lines = list[list[str]]


def scheme_of(keypair: Keypair) -> str:
    return "ed25519" if keypair.crypto_type == CRYPTO_ED25519 else "sr25519"


# Requests


def request(
    name: str,
    *,
    keypair: Keypair = ALICE,
    method: str = "POST",
    target: str = "/generate",
    body: bytes = BODY,
    receiver: str | None = BOB.ss58_address,
    nonce: int = NONCE,
    now: int = NONCE,
) -> dict[str, Any]:
    """An honest request, and the bytes that were signed."""
    headers = http_auth.sign(
        keypair, method=method, path=target, body=body, receiver_ss58=receiver, nonce_ns=nonce
    )
    payload = http_auth.build_payload(
        scheme=scheme_of(keypair),
        method=method,
        path=target,
        body=body,
        nonce_ns=nonce,
        sender_ss58=keypair.ss58_address,
        receiver_ss58=receiver,
    )
    return {
        "name": name,
        "method": method,
        "target": target,
        "body": body.hex(),
        "receiver": BOB.ss58_address,
        "now_ns": str(now),
        "payload": payload.decode(),
        "headers": [list(pair) for pair in headers.items()],
    }


def bad(case: dict[str, Any], error: str, *, sdk: str = "refuses", **changes: Any) -> Any:
    """`case` to be refused with `error`; `sdk` says what `bittensor.http_auth.verify` does."""
    del case["payload"]
    return case | changes | {"error": error, "bittensor.http_auth": sdk}


def with_header(case: dict[str, Any], name: str, value: str | None) -> dict[str, Any]:
    lines = [pair for pair in case["headers"] if pair[0] != name]
    return case | {"headers": lines if value is None else [*lines, [name, value]]}


def signed_over(case: dict[str, Any], text: bytes, keypair: Keypair = ALICE) -> dict[str, Any]:
    return with_header(case, "X-Bittensor-Signature", "0x" + keypair.sign(text).hex())


def accepted_requests() -> list[dict[str, Any]]:
    upper = request("the signature in upper-case hex")
    signature = dict(map(tuple, upper["headers"]))["X-Bittensor-Signature"]
    return [
        request("plain"),
        request("ed25519", keypair=ALICE_ED),
        request("a query, as it travels", target="/generate?n=3&mode=a%20b+c&empty="),
        request("percent-encoded UTF-8 in either case", target="/caf%C3%A9?x=%c3%a9"),
        request("an empty body and GET", method="GET", body=b""),
        request("a lower-case method is signed in upper case", method="post"),
        request("a body that is no text", body=bytes(range(256))),
        request("UTF-8 in the body", body='{"prompt":"é ☃ 😀"}'.encode()),
        request("10 s old", now=NONCE + 10 * SECOND),
        request("2 s ahead", now=NONCE - 2 * SECOND),
        with_header(upper, "X-Bittensor-Signature", "0x" + signature[2:].upper()),
        with_header(request("the default scheme named"), "X-Bittensor-Crypto", "sr25519"),
    ]


def refused_requests() -> list[dict[str, Any]]:
    plain = request("", receiver=None)
    payload = request("")["payload"].encode()
    old = str(bittensor_core.ss58_encode(bytes(ALICE.public_key), 0))
    weak = str(bittensor_core.ss58_encode(b"\x01" + bytes(31), 42))
    zero = str(bittensor_core.ss58_encode(bytes(32), 42))
    unsigned = with_header(request("no signature"), "X-Bittensor-Signature", None)
    signature = dict(map(tuple, plain["headers"]))["X-Bittensor-Signature"]
    doubled = request("one header twice")
    doubled["headers"] = [["X-Bittensor-Nonce", "1"], *doubled["headers"]]
    weakling = with_header(request("a weak ed25519 key"), "X-Bittensor-Hotkey", weak)
    weakling = with_header(weakling, "X-Bittensor-Crypto", "ed25519")
    nobody = with_header(request("the all-zero sr25519 key"), "X-Bittensor-Hotkey", zero)
    elsewhere = with_header(request("the key's address on another network"),
                            "X-Bittensor-Hotkey", old)  # fmt: skip
    respelled = request("the nonce with a plus sign")
    grouped = request("the nonce in groups")
    digits = str(NONCE)
    return [
        bad(request("older than 10 s", now=NONCE + 10 * SECOND + 1), "stale"),
        bad(request("more than 2 s ahead", now=NONCE - 2 * SECOND - 1), "stale"),
        bad(request("for another receiver", receiver=CHARLIE.ss58_address), "wrong_receiver"),
        bad(plain | {"name": "for no receiver"}, "wrong_receiver"),
        bad(request("another body"), "bad_signature", body=(BODY + b" ").hex()),
        bad(request("another path"), "bad_signature", target="/other"),
        bad(request("another query"), "bad_signature", target="/generate?n=2"),
        bad(request("another method"), "bad_signature", method="PUT"),
        bad(
            request("signed decoded, sent encoded", target="/a b"),
            "bad_signature",
            target="/a%20b",
        ),
        bad(
            with_header(request("sr25519 declared as ed25519"), "X-Bittensor-Crypto", "ed25519"),
            "bad_signature",
        ),
        bad(
            signed_over(request("a text signed in a wallet"), b"<Bytes>" + payload + b"</Bytes>"),
            "bad_signature",
            sdk="accepts",
        ),
        bad(
            with_header(weakling, "X-Bittensor-Signature", "0x01" + "00" * 63),
            "bad_signature",
            sdk="accepts",
        ),
        bad(
            with_header(nobody, "X-Bittensor-Signature", "0x" + "00" * 63 + "80"),
            "bad_signature",
            sdk="accepts",
        ),
        bad(
            signed_over(elsewhere, payload.replace(ALICE.ss58_address.encode(), old.encode())),
            "malformed_auth",
            sdk="accepts",
        ),
        bad(doubled, "malformed_auth", sdk="accepts"),
        bad(
            with_header(respelled, "X-Bittensor-Nonce", "+" + digits),
            "malformed_auth",
            sdk="accepts",
        ),
        bad(
            with_header(grouped, "X-Bittensor-Nonce", digits[:1] + "_" + digits[1:]),
            "malformed_auth",
            sdk="accepts",
        ),
        bad(
            signed_over(request("the signature without 0x"), payload)
            | {
                "headers": [
                    [name, value.removeprefix("0x")] for name, value in request("")["headers"]
                ]
            },
            "malformed_auth",
            sdk="accepts",
        ),
        bad(
            with_header(request("the scheme in capitals"), "X-Bittensor-Crypto", "SR25519"),
            "malformed_auth",
            sdk="accepts",
        ),
        bad(
            with_header(request("a signature too short"), "X-Bittensor-Signature", signature[:-2]),
            "malformed_auth",
        ),
        bad(
            with_header(request("a hotkey too long"), "X-Bittensor-Hotkey", "5" * 64),
            "malformed_auth",
        ),
        bad(with_header(request("another version"), "X-Bittensor-Version", "2"), "malformed_auth"),
        bad(unsigned, "malformed_auth"),
    ]


# Answers


def answer(
    name: str,
    *,
    keypair: Keypair = BOB,
    nonce: int = NONCE,
    sender: str = ALICE.ss58_address,
    status: int = 200,
    body: bytes = b'{"text":"hi"}',
) -> dict[str, Any]:
    """An honest answer, and the bytes that were signed."""
    facts: dict[str, Any] = {
        "request_nonce": nonce,
        "sender_ss58": sender,
        "status": status,
    }
    headers = response_sig.sign_response(HotkeySigner(keypair), body=body, **facts)
    payload = response_sig.response_payload(
        scheme=scheme_of(keypair),
        responder_ss58=keypair.ss58_address,
        digest=response_sig.body_digest(body),
        **facts,
    )
    return {
        "name": name,
        "hotkey": keypair.ss58_address,
        "nonce": str(nonce),
        "sender": sender,
        "status": status,
        "body": body.hex(),
        "payload": payload.decode(),
        "headers": [list(pair) for pair in headers.items()],
    }


def not_signed_so(case: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    del case["payload"]
    return case | changes | {"name": name}


def accepted_answers() -> list[dict[str, Any]]:
    return [
        answer("plain"),
        answer("ed25519", keypair=BOB_ED),
        answer("to an ed25519 sender", sender=ALICE_ED.ss58_address),
        answer("a refusal after authentication", status=503, body=b'{"error":"busy"}'),
        answer("an empty body", body=b""),
        answer("a body that is no text", body=bytes(range(256))),
        with_header(answer("the default scheme named"), "X-TW-Resp-Crypto", "sr25519"),
    ]


def refused_answers() -> list[dict[str, Any]]:
    headers = answer("")["headers"]
    wrapped = answer("")
    text = b"<Bytes>" + wrapped["payload"].encode() + b"</Bytes>"
    wrapped = with_header(wrapped, "X-TW-Resp-Signature", "0x" + BOB.sign(text).hex())
    doubled = answer("")
    doubled["headers"] = [*headers, ["x-tw-resp-version", "1"]]
    return [
        not_signed_so(answer(""), "to another request", nonce=str(NONCE + 1)),
        not_signed_so(answer(""), "to another sender", sender=CHARLIE.ss58_address),
        not_signed_so(answer(""), "another status", status=500),
        not_signed_so(answer(""), "another body", body=b'{"text":"ho"}'.hex()),
        not_signed_so(answer("", keypair=CHARLIE), "by another miner", hotkey=BOB.ss58_address),
        not_signed_so(doubled, "one header twice"),
        not_signed_so(wrapped, "a text signed in a wallet"),
        not_signed_so(
            with_header(answer(""), "X-TW-Resp-Crypto", "ed25519"), "sr25519 declared as ed25519"
        ),
        not_signed_so(with_header(answer(""), "X-TW-Resp-Crypto", "ecdsa"), "an unknown scheme"),
        not_signed_so(with_header(answer(""), "X-TW-Resp-Version", "2"), "another version"),
        not_signed_so(answer(""), "no signature at all", headers=[]),
    ]


# Streams


def stream(name: str, chunks: Sequence[bytes], *, keypair: Keypair = BOB) -> dict[str, Any]:
    """An honest stream as it travels, and the bytes that were signed."""
    digest = hashlib.sha256(b"".join(chunks)).hexdigest()
    case = answer(name, keypair=keypair)
    facts: dict[str, Any] = {
        "request_nonce": NONCE,
        "sender_ss58": ALICE.ss58_address,
        "status": 200,
        "digest": digest,
    }
    signer = HotkeySigner(keypair)
    signature = response_sig.sign_response(signer, **facts)[response_sig.HEADER_SIGNATURE]
    end = streaming.encode_trailer(streaming.Trailer(digest, len(chunks), signature))
    events = [streaming.encode_event("chunk", chunk) for chunk in chunks]
    payload = response_sig.response_payload(
        scheme=scheme_of(keypair), responder_ss58=keypair.ss58_address, **facts
    )
    return case | {
        "body": b"".join([*events, streaming.encode_event("tw-end", end)]).hex(),
        "chunks": [chunk.decode() for chunk in chunks],
        "payload": payload.decode(),
        "headers": [list(pair) for pair in response_sig.identity_headers(signer).items()],
    }


def accepted_streams() -> list[dict[str, Any]]:
    plain = stream("", [b'{"t":"Hel"}', b'{"t":"lo"}'])
    crlf = bytes.fromhex(plain["body"]).replace(b"\n", b"\r\n")
    return [
        plain | {"name": "plain"},
        stream("ed25519", [b'{"t":"Hel"}', b'{"t":"lo"}'], keypair=BOB_ED),
        stream("no chunk at all", []),
        stream("arrays, and UTF-8", [b"[1, 2]", '{"t":"é ☃"}'.encode()]),
        plain | {"name": "lines that end in CRLF", "body": crlf.hex()},
        plain
        | {
            "name": "comments and other events are nobody's",
            "body": (b": ping\n\nevent: status\ndata: 1\n\n" + bytes.fromhex(plain["body"])).hex(),
        },
    ]


def refused_streams() -> list[dict[str, Any]]:
    honest = stream("", [b'{"t":"Hel"}', b'{"t":"lo"}'])
    body = bytes.fromhex(honest["body"])
    first, second, end = (event + b"\n\n" for event in body.removesuffix(b"\n\n").split(b"\n\n"))
    numbers = stream("", [b"12", b"3"])
    moved = bytes.fromhex(numbers["body"]).replace(b"data: 12\n", b"data: 1\n")
    moved = moved.replace(b"data: 3\n", b"data: 23\n")
    bodies = {
        "no end": first + second,
        "a chunk left out": second + end,
        "chunks in another order": second + first + end,
        "a chunk after the end": first + second + end + second,
        "two ends": first + second + end + end,
        "the count of another stream": body.replace(b'"count":2', b'"count":3'),
        "a key twice in the end": body.replace(b'"count":2', b'"count":2,"count":2'),
        "the end cut off": body[:-2],
    }
    cases = [not_signed_so(honest | {"payload": ""}, name, body=changed.hex())
             for name, changed in bodies.items()]  # fmt: skip
    cases.append(not_signed_so(numbers, "scalars, whose borders can be moved", body=moved.hex()))
    cases.append(
        not_signed_so(honest | {"payload": ""}, "to another request", nonce=str(NONCE + 1))
    )
    for case in cases:
        del case["chunks"]
    return cases


# Answers that name their question, and journals that keep their signatures


def bound(
    name: str,
    *,
    keypair: Keypair = BOB,
    sender: str = ALICE.ss58_address,
    status: int = 200,
    body: bytes = b'{"text":"hi"}',
    method: str = "POST",
    target: str = "/generate",
    question: bytes = BODY,
) -> dict[str, Any]:
    """An honest answer of version 1+request, and the bytes that were signed."""
    payload = "\n".join(
        (
            "twresp/1+request", scheme_of(keypair), str(NONCE), sender, keypair.ss58_address,
            str(status), hashlib.sha256(body).hexdigest(), method, target,
            hashlib.sha256(question).hexdigest(),
        )
    )  # fmt: skip
    headers = [["X-TW-Resp-Version", "1+request"], ["X-TW-Resp-Hotkey", keypair.ss58_address]]
    if keypair.crypto_type == CRYPTO_ED25519:
        headers.append(["X-TW-Resp-Crypto", "ed25519"])
    headers.append(["X-TW-Resp-Signature", "0x" + keypair.sign(payload.encode()).hex()])
    return {
        "name": name,
        "hotkey": keypair.ss58_address,
        "nonce": str(NONCE),
        "sender": sender,
        "status": status,
        "body": body.hex(),
        "request": {"method": method, "target": target, "body": question.hex()},
        "payload": payload,
        "headers": headers,
    }


def accepted_bound() -> list[dict[str, Any]]:
    return [
        bound("plain"),
        bound("ed25519", keypair=BOB_ED),
        bound("to an ed25519 sender", sender=ALICE_ED.ss58_address),
        bound("a refusal after authentication", status=503, body=b'{"error":"busy"}'),
        bound("a query, as it travels", target="/generate?n=3&mode=a%20b"),
        bound("bodies that are no text", body=bytes(range(256)), question=bytes(range(255))),
    ]


def refused_bound() -> list[dict[str, Any]]:
    facts = bound("")["request"]
    return [
        not_signed_so(bound(""), "to another question", request=facts | {"body": "7b7d"}),
        not_signed_so(bound(""), "at another path", request=facts | {"target": "/other"}),
        not_signed_so(bound(""), "by another method", request=facts | {"method": "PUT"}),
        not_signed_so(bound(""), "another body", body=b'{"text":"ho"}'.hex()),
        not_signed_so(bound(""), "another status", status=500),
        not_signed_so(bound(""), "to another request", nonce=str(NONCE + 1)),
        not_signed_so(bound(""), "to another sender", sender=CHARLIE.ss58_address),
        not_signed_so(with_header(bound(""), "X-TW-Resp-Version", "1"), "said to name no question"),
        not_signed_so(
            with_header(answer(""), "X-TW-Resp-Version", "1+request") | {"request": facts},
            "said to name its question",
        ),
    ]


def journal_lines() -> dict[str, Any]:
    """A round's line, and the same with one thing changed, each as text; replies that it forges."""

    def kept(case: dict[str, Any], task: str, **more: Any) -> dict[str, Any]:
        headers = dict(map(tuple, case["headers"]))
        crypto = {"crypto": "ed25519"} if "X-TW-Resp-Crypto" in headers else {}
        value = base64.b64encode(bytes.fromhex(headers["X-TW-Resp-Signature"][2:])).decode()
        version = headers["X-TW-Resp-Version"]
        signature = {"version": version, **crypto, "value": value}
        return {
            "task": task,
            "hotkey": case["hotkey"],
            "failure": None,
            "status": case["status"],
            "signed": True,
            "nonce": case["nonce"],
            "signature": signature,
            "answer": None,
            **more,
        }

    hi, small = {"text": "hi"}, b'{"at":1e-7}'
    refusal = b'{"error":"busy"}'
    failed = {"failure": "refused"}
    came = {"bytes": len(refusal), "sha256": hashlib.sha256(refusal).hexdigest()}
    left = {"bytes": 4096, "sha256": hashlib.sha256(b"x" * 4096).hexdigest()}
    line = {
        "schema": 3,
        "kind": "round",
        "validator": ALICE.ss58_address,
        "path": "/generate",
        "tasks": [
            {"id": "a", "challenge": {"prompt": "hello"}},
            {"id": "b", "challenge": {"at": 1e-7}, "text": small.decode()},
            {"id": "c", "challenge": {"data": ""}, "body": base64.b64encode(BODY).decode()},
        ],
        "replies": [
            kept(bound(""), "a", answer=hi),
            kept(bound("", keypair=BOB_ED), "a", answer=hi),
            kept(bound("", body=b'{"text": "\\u00e9"}'), "a", answer={"text": "é"},
                 spelling="ascii blanks"),
            kept(bound("", question=small), "b", body=base64.b64encode(b'{"text":"hi"}').decode()),
            kept(bound("", body=b"x" * 4096), "c", left_out=left),
            kept(bound("", status=503, body=refusal), "a", came=came, **failed),
            kept(answer(""), "a", answer=hi),
            {"task": "a", "hotkey": CHARLIE.ss58_address, "failure": "timeout", "status": None,
             "signed": False, "nonce": str(NONCE), "signature": None, "answer": None},
        ],
    }  # fmt: skip
    text = json.dumps(line, separators=(",", ":"))
    everybody = list(range(7))
    changes = {
        "another question": ('"prompt":"hello"', '"prompt":"hallo"', [0, 1, 2, 5]),
        "another text of a question": ('\\"at\\":1e-7', '\\"at\\":2e-7', [3]),
        "another answer": ('"answer":{"text":"hi"}', '"answer":{"text":"ho"}', [0, 1, 6]),
        "another spelling": ('"ascii blanks"', '"blanks"', [2]),
        "another path": ('"path":"/generate"', '"path":"/other"', [0, 1, 2, 3, 4, 5]),
        "another validator": (ALICE.ss58_address, CHARLIE.ss58_address, everybody),
        "another miner": (BOB.ss58_address, CHARLIE.ss58_address, [0, 2, 3, 4, 5, 6]),
        "another time": (str(NONCE), str(NONCE + 1), everybody),
        "another status": ('"status":503', '"status":500', [5]),
        "another hash": (left["sha256"], came["sha256"], [4]),
        "an answer of who gave none": ('"failure":"timeout"', '"failure":null', [7]),
    }
    assert all(old in text for old, _, _ in changes.values())
    return {
        "line": text,
        "forged": [
            {"name": name, "line": text.replace(old, new), "replies": replies}
            for name, (old, new, replies) in changes.items()
        ],
    }


def main() -> None:
    keys = {"Alice": ALICE, "Bob": BOB, "Charlie": CHARLIE}
    document = {
        "about": "Bodies are hex. Nonces and clocks are decimal texts: they do not fit a double. "
        "Keys are the development keys //Alice (asks), //Bob (answers) and //Charlie. `error` is "
        "the code that this miner answers; what others answer with is theirs to say.",
        "signed_by": f"requests: bittensor {bittensor.__version__}; answers and streams: taowire "
        "0.1.0a2; bound answers and the journal: bare keys",
        "keys": {
            f"{name}, {scheme_of(key)}": {
                "public_key": bytes(key.public_key).hex(),
                "ss58": key.ss58_address,
            }
            for name, key in [*keys.items(), ("Alice", ALICE_ED), ("Bob", BOB_ED)]
        },
        "requests": {"accepted": accepted_requests(), "refused": refused_requests()},
        "answers": {"accepted": accepted_answers(), "refused": refused_answers()},
        "streams": {"accepted": accepted_streams(), "refused": refused_streams()},
        "bound": {"accepted": accepted_bound(), "refused": refused_bound()},
        "journal": journal_lines(),
    }
    PATH.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
