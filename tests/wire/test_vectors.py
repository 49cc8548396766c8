"""The published vectors hold: by our code, by the SDK, by another kit, and in another language."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import bittensor_core
import pytest
from bittensor import http_auth
from bittensor_core import CRYPTO_ED25519, CRYPTO_SR25519
from multidict import CIMultiDict
from taowire.extensions import response_sig

from subnet.wire import auth
from subnet.wire.errors import AnswerForged, AnswerRefused, AuthRefused
from subnet.wire.stream import StreamReader
from tests.wire.make_vectors import PATH
from validators.signatures import Signed, find_forged, signed_for

PACKAGE = "@polkadot/util-crypto@13.5.9"
SCRIPT = Path(__file__).with_name("verify_vectors.mjs")
VECTORS = json.loads(PATH.read_text())
CRYPTO = {"sr25519": CRYPTO_SR25519, "ed25519": CRYPTO_ED25519}


def cases(section: str, outcome: str) -> list[Any]:
    found = VECTORS[section][outcome]
    assert len({case["name"] for case in found}) == len(found) >= 6
    return [pytest.param(case, id=case["name"]) for case in found]


def lines(case: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in case["headers"]]


# Requests


def ours(case: dict[str, Any]) -> auth.Caller:
    return auth.verify_request(
        lines(case),
        method=case["method"],
        target=case["target"],
        body=bytes.fromhex(case["body"]),
        receiver=case["receiver"],
        now_ns=int(case["now_ns"]),
    )


def the_sdks(case: dict[str, Any]) -> http_auth.Caller:
    return http_auth.verify(
        CIMultiDict(lines(case)),
        bytes.fromhex(case["body"]),
        method=case["method"],
        path=case["target"],
        self_hotkey_ss58=case["receiver"],
        now_ns=int(case["now_ns"]),
        nonce_store=http_auth.InMemoryNonceStore(),
    )


@pytest.mark.parametrize("case", cases("requests", "accepted"))
def test_a_good_request(case: dict[str, Any]) -> None:
    caller = ours(case)
    assert case["payload"].split("\n")[5:7] == [str(caller.nonce), caller.hotkey]
    assert the_sdks(case).hotkey_ss58 == caller.hotkey
    headers = dict(lines(case))
    scheme = headers.get(auth.CRYPTO, "sr25519")
    payload = auth.request_payload(
        scheme=scheme,
        method=case["method"],
        target=case["target"],
        body=bytes.fromhex(case["body"]),
        nonce=caller.nonce,
        sender=caller.hotkey,
        receiver=case["receiver"],
    )
    assert payload == case["payload"].encode()
    signature = bytes.fromhex(headers[auth.SIGNATURE][2:])
    assert bittensor_core.verify(payload, signature, caller.hotkey, CRYPTO[scheme])


@pytest.mark.parametrize("case", cases("requests", "refused"))
def test_a_bad_request(case: dict[str, Any]) -> None:
    with pytest.raises(AuthRefused) as caught:
        ours(case)
    assert caught.value.code == case["error"]
    if case["bittensor.http_auth"] == "accepts":
        the_sdks(case)
    else:
        with pytest.raises(http_auth.AuthError):
            the_sdks(case)


# Answers and streams


@pytest.mark.parametrize("case", cases("answers", "accepted"))
def test_a_good_answer(case: dict[str, Any]) -> None:
    body, nonce = bytes.fromhex(case["body"]), int(case["nonce"])
    facts = {"sender": case["sender"], "status": case["status"], "body": body}
    auth.verify_answer(lines(case), hotkey=case["hotkey"], nonce=nonce, **facts)
    headers = dict(lines(case))
    scheme = headers.get(auth.ANSWER_CRYPTO, "sr25519")
    payload = auth.answer_payload(scheme=scheme, nonce=nonce, responder=case["hotkey"], **facts)
    assert payload == case["payload"].encode()
    signature = bytes.fromhex(headers[auth.ANSWER_SIGNATURE][2:])
    assert bittensor_core.verify(payload, signature, case["hotkey"], CRYPTO[scheme])


@pytest.mark.parametrize("case", cases("answers", "refused"))
def test_a_bad_answer(case: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"status": case["status"], "body": bytes.fromhex(case["body"])}
    with pytest.raises(AnswerRefused):
        auth.verify_answer(
            lines(case),
            hotkey=case["hotkey"],
            nonce=int(case["nonce"]),
            sender=case["sender"],
            **facts,
        )
    with pytest.raises(response_sig.ResponseSignatureError):
        response_sig.verify_response(
            lines(case),
            expected_responder=case["hotkey"],
            request_nonce=int(case["nonce"]),
            sender_ss58=case["sender"],
            **facts,
        )


def read(case: dict[str, Any], step: int) -> list[str]:
    """The stream of `case` in pieces of `step` bytes, checked to its end."""
    reader, chunks = StreamReader(), []
    body = bytes.fromhex(case["body"])
    for at in range(0, len(body), step):
        chunks += [chunk.decode() for chunk in reader.feed(body[at : at + step])]
    reader.check_end(
        lines(case), hotkey=case["hotkey"], nonce=int(case["nonce"]), sender=case["sender"]
    )
    return chunks


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("case", cases("streams", "accepted"))
def test_a_good_stream(case: dict[str, Any], step: int) -> None:
    assert read(case, step) == case["chunks"]


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("case", cases("streams", "refused"))
def test_a_bad_stream(case: dict[str, Any], step: int) -> None:
    with pytest.raises(AnswerRefused):
        read(case, step)


# Answers that name their question


def asked(case: dict[str, Any]) -> auth.Asked:
    request = case["request"]
    digest = auth.digest_of(bytes.fromhex(request["body"]))
    return auth.Asked(request["method"], request["target"], digest)


@pytest.mark.parametrize("case", cases("bound", "accepted"))
def test_a_good_answer_to_its_question(case: dict[str, Any]) -> None:
    body, nonce = bytes.fromhex(case["body"]), int(case["nonce"])
    facts = {"sender": case["sender"], "status": case["status"], "body": body}
    found = auth.verify_answer(
        lines(case), hotkey=case["hotkey"], nonce=nonce, asked=asked(case), **facts
    )
    assert found.version == auth.BOUND
    payload = auth.answer_payload(
        scheme=found.scheme, nonce=nonce, responder=case["hotkey"], asked=asked(case), **facts
    )
    assert payload == case["payload"].encode()
    assert bittensor_core.verify(payload, found.value, case["hotkey"], CRYPTO[found.scheme])
    with pytest.raises(AnswerForged):  # whoever did not ask for it does not take it
        auth.verify_answer(lines(case), hotkey=case["hotkey"], nonce=nonce, **facts)


@pytest.mark.parametrize("case", cases("bound", "refused"))
def test_a_bad_answer_to_its_question(case: dict[str, Any]) -> None:
    with pytest.raises(AnswerForged):
        auth.verify_answer(
            lines(case),
            hotkey=case["hotkey"],
            nonce=int(case["nonce"]),
            sender=case["sender"],
            status=case["status"],
            body=bytes.fromhex(case["body"]),
            asked=asked(case),
        )


# The journal


def forged(text: str) -> list[int]:
    line = json.loads(text)
    return [n for n, entry in enumerate(line["replies"]) if find_forged(line, entry) is not None]


def test_a_journal_that_holds() -> None:
    line = json.loads(VECTORS["journal"]["line"])
    assert forged(VECTORS["journal"]["line"]) == []
    told = [signed_for(line, entry) for entry in line["replies"]]
    assert told == [Signed.QUESTION] * 6 + [Signed.ANSWER, Signed.NOTHING]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c["name"]) for c in VECTORS["journal"]["forged"]]
)
def test_a_journal_that_does_not(case: dict[str, Any]) -> None:
    assert forged(case["line"]) == case["replies"]


# Another language


@pytest.mark.slow
def test_the_vectors_hold_in_another_language(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
    installed = subprocess.run(install, cwd=tmp_path, check=False, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {installed.stderr[-200:]}")
    shutil.copy(SCRIPT, tmp_path)
    done = subprocess.run(
        [node, SCRIPT.name, str(PATH)],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = {line["section"]: line for line in map(json.loads, done.stdout.splitlines())}
    for section in ("requests", "answers", "streams", "bound"):
        names = {case["name"]: True for case in VECTORS[section]["accepted"]}
        assert said[section]["accepted"] == names
    assert said["journal"]["replies"] == [True] * 7 + [False]
    assert said["journal"]["forged"] == {
        case["name"]: case["replies"] for case in VECTORS["journal"]["forged"]
    }
    assert len(said["forged"]["refused"]) >= 6
    # Keys that anybody can sign for are the one thing that its verifiers take.
    taken = {name for name, refused in said["forged"]["refused"].items() if not refused}
    assert taken == {"a weak ed25519 key", "the all-zero sr25519 key"}
