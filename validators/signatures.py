"""What a miner signed, in a journal: written into a round's line, and verified from the line alone.

A miner's signature is over the bytes that travelled. Where a line holds a question or an answer as
JSON, its bytes are `as_bytes` of it; where those would be others it holds the bytes too.
Knows nothing of sockets, and believes nothing of a line: everything here takes a stranger's.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from subnet.definition import Subnet
from subnet.protocol import Challenge, Form, Signature
from subnet.wire import codec
from subnet.wire.auth import (
    BOUND,
    ED25519,
    PLAIN,
    SR25519,
    Asked,
    Digest,
    digest_of,
    is_answer_signed,
)
from subnet.wire.errors import MalformedMessage

METHOD: Final = "POST"
"""How questions are asked."""
SINCE_SCHEMA: Final = 3
"""Version of the lines that signatures are kept in."""

Line = Mapping[str, Any]

SPELLINGS: Final[Mapping[str, tuple[bool, tuple[str, str]]]] = {
    "": (False, (",", ":")),
    "blanks": (False, (", ", ": ")),
    "ascii": (True, (",", ":")),
    "ascii blanks": (True, (", ", ": ")),
}
"""How JSON can be written: whether beyond ASCII all is escaped, and what separates."""

_NONCE_FORM = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_DIGEST_FORM = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNATURE_BYTES = 64


class Signed(enum.StrEnum):
    """What the miner itself has signed for, of one reply in a round's line."""

    QUESTION = "question"
    """This answer, or refusal, to this question."""
    ANSWER = "answer"
    """This answer to this validator at this time; what the question was is the validator's word."""
    WITHHELD = "withheld"
    """It is kept with the answer, which is to somebody's own words."""
    NOT_KEPT = "not_kept"
    """The line was written by a version that kept no signatures."""
    NOTHING = "nothing"
    """Nothing came that was signed: all of it is the validator's word."""
    FORGED = "forged"
    """The line has a signature, or needs one, and the miner did not sign what it says."""


def as_bytes(content: object, spelling: str = "") -> bytes:
    """JSON on one line, in UTF-8, spelled in one of `SPELLINGS`. Numbers as Python writes them.

    Raises ValueError, TypeError or RecursionError for what cannot be written so.
    """
    ascii_only, separators = SPELLINGS[spelling]
    text = json.dumps(content, ensure_ascii=ascii_only, allow_nan=False, separators=separators)
    return text.encode()


def read_back(body: bytes) -> tuple[dict[str, Any], str]:
    """The JSON object in `body` and its spelling, such that `as_bytes` gives `body` again.

    Raises ValueError where there is none.
    """
    try:
        content = json.loads(body)
        for spelling in SPELLINGS if isinstance(content, dict) else ():
            if as_bytes(content, spelling) == body:
                return content, spelling
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"not to be written down as JSON: {error}") from None
    raise ValueError("it would be written down otherwise than it came")


def line_of(signature: Signature) -> dict[str, Any]:
    """What a line says of a signature, beside the nonce and what was signed."""
    crypto = {} if signature.scheme == SR25519 else {"crypto": signature.scheme}
    value = base64.b64encode(signature.value).decode()
    return {"version": signature.version, **crypto, "value": value}


def signed_for(line: Line, entry: Line) -> Signed:
    """What is signed for in `entry`, a reply of the round in `line`, by what it says."""
    signature = entry.get("signature")
    if isinstance(signature, Mapping):
        return Signed.QUESTION if signature.get("version") == BOUND else Signed.ANSWER
    if _written(line) < SINCE_SCHEMA:
        return Signed.NOT_KEPT if entry.get("signed") else Signed.NOTHING
    if "withheld" in entry:
        return Signed.WITHHELD if entry.get("signed") else Signed.NOTHING
    # Answers are taken with a signature only.
    return Signed.FORGED if entry.get("failure") is None else Signed.NOTHING


def verified(line: Line, entry: Line) -> Signed:
    """As `signed_for`, verified: FORGED where it does not hold. Never raises."""
    return signed_for(line, entry) if find_forged(line, entry) is None else Signed.FORGED


def find_forged(line: Line, entry: Line, *, question: bytes | None = None) -> str | None:
    """Why the miner did not sign what `entry` says, a reply of the round in `line`; or None.

    None says that it did sign, or that there is nothing here to verify: `signed_for` tells which.
    Bound together are the miner, the validator, the answer's status and bytes, the nonce, and
    where the signature has that version the question: `question` is the request's body where the
    line does not hold it. Never raises, whatever the lines are.
    """
    try:
        return _find_forged(line, entry, question)
    except (
        KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError
    ) as error:  # fmt: skip
        return f"malformed: {error!r}"


def _find_forged(line: Line, entry: Line, question: bytes | None) -> str | None:
    kept = entry.get("signature")
    if kept is None:
        if "withheld" in entry:
            return _find_told(entry)
        if _written(line) < SINCE_SCHEMA:
            return None
        if entry["failure"] is None:
            return "an answer that no miner signed"
        return "said to be signed, without the signature" if entry["signed"] else None
    if entry["signed"] is not True:
        return "said not to be signed, with a signature"
    digest = answer_digest(entry)
    version, nonce, scheme = kept["version"], entry["nonce"], kept.get("crypto", SR25519)
    if version not in (PLAIN, BOUND) or scheme not in (SR25519, ED25519):
        return f"a signature of version {version!r}, {scheme!r}"
    if not _NONCE_FORM.fullmatch(nonce):
        return "a nonce that is none"
    value = base64.b64decode(kept["value"], validate=True)
    if len(value) != _SIGNATURE_BYTES or type(entry["status"]) is not int:
        return "a signature or status that is none"
    asked = None
    if version == BOUND:
        body = question_bytes(line, entry["task"]) if question is None else question
        asked = Asked(METHOD, line["path"], digest_of(body))
    right = is_answer_signed(
        Signature(version, scheme, int(nonce), digest, value),
        hotkey=entry["hotkey"],
        sender=line["validator"],
        status=entry["status"],
        asked=asked,
    )
    if right:
        return None
    what = "answer" if entry["failure"] is None else "response"
    to = "to this question" if version == BOUND else "at this time"
    return f"{entry['hotkey']} did not sign this {what} for {line['validator']} {to}"


def _find_told(entry: Line) -> str | None:
    """What is wrong with a reply of which the answer is said to be withheld."""
    if any(entry.get(key) is not None for key in ("answer", "body", "left_out", "came")):
        return "an answer that is withheld, and yet told"
    if (entry["failure"] is None) != (entry["withheld"] is not None):
        return "withheld, and no answer, or an answer, and not withheld"
    if entry["failure"] is None and entry["signed"] is not True:
        return "an answer that no miner signed"
    return None


def question_bytes(line: Line, task: str) -> bytes:
    """The body of the request that asked `task`, an id of the round in `line`.

    Raises ValueError where the line does not hold it, or holds two that are not the same.
    """
    for item in line["tasks"]:
        if item["id"] != task:
            continue
        if item.get("body") is not None:
            return base64.b64decode(item["body"], validate=True)
        if item.get("text") is not None:
            if _sorted(json.loads(item["text"])) != _sorted(item["challenge"]):
                raise ValueError(f"the text of task {task!r} is another question")
            return str(item["text"]).encode()
        if "challenge" in item:
            return as_bytes(item["challenge"])
    raise ValueError(f"the question of task {task!r} is not in its round")


def is_quoted(subnet: Subnet[Any, Any], line: Line, task: str) -> bool:
    """Whether the bytes of a question are those of its challenge, as `subnet` reads both.

    Bytes that are no JSON can be read by the definition only. Raises ValueError as above.
    """
    (challenge,) = [item["challenge"] for item in line["tasks"] if item["id"] == task]
    try:
        sent = codec.decode(subnet.challenge, question_bytes(line, task))
    except MalformedMessage:
        return False
    return bool(sent == subnet.challenge.model_validate_json(json.dumps(challenge)))


def _sorted(content: object) -> str:
    # 1, 1.0 and true are equal in Python, and three different questions.
    return json.dumps(content, sort_keys=True)


def line_of_question(line: Line, challenge: Challenge) -> dict[str, Any]:
    """What a round's line says of a question, `line`, such that the bytes sent are in it."""
    if "challenge" not in line:
        return dict(line)  # somebody's own words
    body = codec.encode(challenge)
    if challenge.form is not Form.JSON:
        return {**line, "body": base64.b64encode(body).decode()}
    try:
        sent, spelling = read_back(body)
    except ValueError:
        return {**line, "text": body.decode()}
    # The same but for the order of its keys: the leaf has them sorted.
    same = not spelling and _sorted(sent) == _sorted(line["challenge"])
    return {**line, **({"challenge": sent} if same else {"text": body.decode()})}


def answer_bytes(entry: Line) -> bytes | None:
    """What came from the miner, byte for byte, where `entry` holds it.

    Raises ValueError, also where it is there twice: readers would not agree which one counts.
    """
    told = [entry.get("answer"), entry.get("body"), (entry.get("came") or {}).get("body")]
    if sum(part is not None for part in told) > 1:
        raise ValueError("more than one answer")
    answer, *encoded = told
    for part in encoded:
        if part is not None:
            return base64.b64decode(part, validate=True)
    return None if answer is None else as_bytes(answer, entry.get("spelling", ""))


def answer_digest(entry: Line) -> Digest:
    """The sha256 of what came; of what the line has no room for it is all there is."""
    body = answer_bytes(entry)
    told = (entry.get("left_out") or entry.get("came") or {}).get("sha256")
    if told is None:
        if body is None:
            raise ValueError("a signature, and nothing that it is for")
        return digest_of(body)
    if not _DIGEST_FORM.fullmatch(told):
        raise ValueError("a sha256 that is none")
    if body is not None and hashlib.sha256(body).hexdigest() != told:
        raise ValueError("the bytes kept are not those of their sha256")
    return Digest(told)


def asked_at(entry: Line) -> float | None:
    """When the question was asked, Unix time in seconds, by the validator's clock.

    Where the reply is signed, so is this: the miner took it for right within 10 s. None where the
    line does not tell.
    """
    nonce = entry.get("nonce")
    return int(nonce) / 1e9 if isinstance(nonce, str) and _NONCE_FORM.fullmatch(nonce) else None


def find_repeated(lines: Iterable[Line]) -> Iterator[tuple[Line, Line]]:
    """Replies whose validator and nonce another reply of these rounds has: one answer told twice.

    A request has a nonce of its own, and the signature of version 1 names the request by that
    alone. Each with its round's line.
    """
    seen: set[tuple[str, str]] = set()
    for line in lines:
        for entry in line["replies"]:
            if entry.get("nonce") is None:
                continue
            request = (str(line["validator"]), str(entry["nonce"]))
            if request in seen:
                yield line, entry
            seen.add(request)


def _written(line: Line) -> int:
    """The version that the line was written in, before it was brought up to date."""
    return int(line.get("written", line["schema"]))
