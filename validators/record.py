"""The journal's line for one round: everything needed to dispute it or to judge it again."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import inspect
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from subnet.definition import Subnet
from subnet.protocol import Failure, Form, Reply
from validators.drawing import Beacon
from validators.judge import Judged, grounds
from validators.moment import Moment
from validators.prompts.vault import Turn
from validators.prompts.withheld import answer_hash
from validators.signatures import line_of, line_of_question, read_back
from validators.weights import WeightsReport

CAME_BYTES = 65536
"""Of what is no answer of its subnet so much is kept at most, to show that it is none."""


def record(
    *,
    round: int,
    run: int,
    time: float,
    validator: str,
    moment: Moment,
    turn: Turn[Any],
    path: str,
    judged: Sequence[Judged],
    beacon: Beacon | None = None,
    weights: WeightsReport,
    most_bytes: int,
) -> dict[str, Any]:
    """A line of kind "round".

    `block` and `epoch` are those the round began at; `path` is where its questions were asked,
    which miners sign for; `replies` has one entry per question and miner; `scores`, what is
    remembered of each hotkey asked after this round, is filled in when it is. Rows in `weights`
    are {uid: u16}. Times are seconds, `time` Unix time. The largest answers are left out where all
    together would pass `most_bytes`: there is their hash instead.
    """
    salts = turn.salts
    too_large = _largest([item.reply for item in judged], most_bytes)
    return {
        "kind": "round",
        "round": round,
        "run": run,
        "time": time,
        "netuid": moment.metagraph.netuid,
        "validator": validator,
        "block": moment.metagraph.block,
        "epoch": moment.schedule.epochs,
        "part": moment.part,
        "root": turn.root,
        **({} if beacon is None else {"beacon": dataclasses.asdict(beacon)}),
        "path": path,
        "tasks": [
            line_of_question(question.line, question.task.challenge) for question in turn.questions
        ],
        "replies": [
            _reply(item)
            | (
                _answer(item.reply, left_out=number in too_large)
                if item.task.id not in salts
                else _withheld(item, salts[item.task.id])
            )
            for number, item in enumerate(judged)
        ],
        "scores": {},
        "weights": dataclasses.asdict(weights),
    }


def _reply(item: Judged) -> dict[str, Any]:
    reply, judgement = item.reply, item.judgement
    return {
        "task": item.task.id,
        "uid": reply.uid,
        "hotkey": reply.hotkey,
        "ok": reply.failure is None,
        "failure": None if reply.failure is None else reply.failure.value,
        "detail": reply.detail,
        "status": reply.status,
        "signed": reply.signed,
        # Nonces do not fit a double, which is what many readers make of a number.
        "nonce": None if reply.nonce is None else str(reply.nonce),
        **({} if reply.audited else {"audited": False}),
        "queued_s": reply.timing.queued_s,
        "first_byte_s": reply.timing.first_byte_s,
        "total_s": reply.timing.total_s,
        "score": judgement.score,
        "reason": judgement.reason,
        "facts": dict(judgement.facts),
        "signature": None if reply.signature is None else line_of(reply.signature),
        **grounds(judgement),
    }


def _answer(reply: Reply[Any], *, left_out: bool) -> dict[str, Any]:
    """The answer as JSON, or as the bytes that came, `body` in base64: those that were signed."""
    if reply.answer is None:
        return {"answer": None, **_came(reply, left_out=left_out)}
    if left_out:
        return {"answer": None, "left_out": _fingerprint(reply)}
    if reply.answer.form is Form.JSON:
        try:
            answer, spelling = read_back(reply.body)
            return {"answer": answer, **({"spelling": spelling} if spelling else {})}
        except ValueError:
            pass  # what JSON has no word for, or another way to write numbers
    return {"answer": None, "body": base64.b64encode(reply.body).decode()}


def _came(reply: Reply[Any], *, left_out: bool) -> dict[str, Any]:
    """What a miner signed that is no answer: a refusal, or what the definition cannot read."""
    if reply.signature is None:
        return {}
    came = _fingerprint(reply)
    # That something is no answer of a subnet can be told from the bytes only.
    told = reply.failure is Failure.MALFORMED and len(reply.body) <= CAME_BYTES and not left_out
    if told:
        came["body"] = base64.b64encode(reply.body).decode()
    return {"came": came}


def _fingerprint(reply: Reply[Any]) -> dict[str, Any]:
    return {"bytes": len(reply.body), "sha256": hashlib.sha256(reply.body).hexdigest()}


def _withheld(item: Judged, salt: str) -> dict[str, Any]:
    """Of an answer to somebody's own words: a hash, and no text that could repeat any of them.

    Nor the signature: whoever guesses the words could try the guess by it.
    """
    facts = item.judgement.facts.items()
    body = item.reply.body
    return {
        "detail": "",
        "facts": {name: value for name, value in facts if not isinstance(value, str)},
        "signature": None,
        "answer": None,
        "withheld": None if item.reply.answer is None else answer_hash(salt, body),
    }


def _largest(replies: Sequence[Reply[Any]], most_bytes: int) -> frozenset[int]:
    """Which answers have to go, largest first, for the others to fit into `most_bytes`."""
    # A character that JSON escapes takes three times its bytes; what is around answers is little.
    sizes = [3 * len(reply.body) for reply in replies]
    total, gone = sum(sizes), set[int]()
    for number in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if total <= most_bytes:
            break
        gone.add(number)
        total -= sizes[number]
    return frozenset(gone)


def code_of(subnet: Subnet[Any, Any]) -> dict[str, Any]:
    """Which code judges: the package's version, and the definition with its source file's sha256.

    To be taken when the process starts: the file may be another one later on.
    """
    kind = type(subnet)
    try:
        source = inspect.getsourcefile(kind)
        digest = None if source is None else hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except (OSError, TypeError):
        digest = None  # made at run time
    try:
        package = metadata.version("subnetkit")
    except metadata.PackageNotFoundError:
        package = "unknown"
    return {
        "package": package,
        "definition": f"{kind.__module__}:{kind.__qualname__}",
        "sha256": digest,
    }
