"""The journal's line for one round: everything needed to dispute it or to judge it again."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import inspect
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError

from subnet.definition import Judgement, Subnet
from subnet.protocol import Form, Reply
from validators.judge import Judged
from validators.moment import Moment
from validators.prompts.vault import Turn
from validators.prompts.withheld import answer_hash
from validators.weights import WeightsReport


def record(
    *,
    round: int,
    run: int,
    time: float,
    validator: str,
    moment: Moment,
    turn: Turn[Any],
    judged: Sequence[Judged],
    weights: WeightsReport,
    most_bytes: int,
) -> dict[str, Any]:
    """A line of kind "round".

    `block` and `epoch` are those the round began at; `replies` has one entry per question and
    miner; `scores`, what is remembered of each hotkey asked after this round, is filled in when
    it is. Rows in `weights` are {uid: u16}. Times are seconds, `time` Unix time. The largest
    answers are left out where all together would pass `most_bytes`: there is their hash instead.
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
        "tasks": [question.line for question in turn.questions],
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
        "queued_s": reply.timing.queued_s,
        "first_byte_s": reply.timing.first_byte_s,
        "total_s": reply.timing.total_s,
        "score": judgement.score,
        "reason": judgement.reason,
        "facts": dict(judgement.facts),
        **_grounds(judgement),
    }


def _grounds(judgement: Judgement) -> dict[str, Any]:
    """What `Subnet.memory` weighs besides the score, where there is any."""
    grounds: dict[str, Any] = {}
    if judgement.statements:
        grounds["statements"] = [
            {**dataclasses.asdict(said), "outcome": said.outcome.value}
            for said in judgement.statements
        ]
    if judgement.claim is not None:
        grounds["claim"] = dataclasses.asdict(judgement.claim)
    return grounds


def _answer(reply: Reply[Any], *, left_out: bool) -> dict[str, Any]:
    """The answer as JSON, or as the bytes that came where it is none: `body`, in base64."""
    if reply.answer is None:
        return {"answer": None}
    if left_out:
        digest = hashlib.sha256(reply.body).hexdigest()
        return {"answer": None, "left_out": {"bytes": len(reply.body), "sha256": digest}}
    if reply.answer.form is Form.JSON:
        try:
            answer = reply.answer.model_dump(mode="json")
            text = json.dumps(answer, allow_nan=False)
            if type(reply.answer).model_validate_json(text) == reply.answer:
                return {"answer": answer}
        except (PydanticSerializationError, ValueError, TypeError, RecursionError):
            pass
        # A field of type Any takes what JSON has no word for: this costs one miner, not the round.
    return {"answer": None, "body": base64.b64encode(reply.body).decode()}


def _withheld(item: Judged, salt: str) -> dict[str, Any]:
    """Of an answer to somebody's own words: a hash, and no text that could repeat any of them."""
    facts = item.judgement.facts.items()
    body = item.reply.body
    return {
        "detail": "",
        "facts": {name: value for name, value in facts if not isinstance(value, str)},
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
