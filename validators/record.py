"""The journal's line for one round: everything needed to dispute it or to judge it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from subnet.protocol import Task
from validators.judge import Judged
from validators.moment import Moment
from validators.weights import WeightsReport


def record(
    *,
    round: int,
    run: int,
    time: float,
    validator: str,
    moment: Moment,
    tasks: Sequence[Task[Any]],
    judged: Sequence[Judged],
    scores: Mapping[str, float],
    weights: WeightsReport,
) -> dict[str, Any]:
    """A line of kind "round".

    `block` and `epoch` are those the round began at; `replies` has one entry per question and
    miner; `scores` is what is remembered of each hotkey asked, after this round. Rows in
    `weights` are {uid: u16}. Times are seconds, `time` Unix time.
    """
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
        "tasks": [
            {"id": task.id, "challenge": task.challenge.model_dump(mode="json")} for task in tasks
        ],
        "replies": [_reply(item) for item in judged],
        "scores": dict(scores),
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
        "answer": None if reply.answer is None else reply.answer.model_dump(mode="json"),
    }
