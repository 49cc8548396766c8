"""Judging: one question to one miner, from the reply to a judgement with its grounds."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from subnet.definition import Fact, Judgement, Subnet
from subnet.errors import EngineError, EngineRefused, SubnetError
from subnet.protocol import Reply, Task

log = logging.getLogger(__name__)

JUDGE_FAILED = "judge_failed"
"""Reason code: the definition's own code broke on this answer."""
ENGINE_REFUSED = "engine_refused"
"""Reason code: the judge's model will not take this answer; it holds no such tokens, say."""
UNNAMED = "scored"
"""Reason code: the definition gave a number and no reason."""


@dataclass(eq=False)
class ReferenceUnknown(SubnetError):
    """The scorer wants the reference of `task`, and only whoever asked knows it."""

    task: str

    def __str__(self) -> str:
        return f"the reference of task {self.task} is not known"


@dataclass(frozen=True, slots=True)
class Judged:
    """One question to one miner: what was asked, what came back, what it is worth."""

    task: Task[Any]
    reply: Reply[Any]
    judgement: Judgement


async def judge(
    subnet: Subnet[Any, Any], asked: Sequence[tuple[Task[Any], Reply[Any]]]
) -> tuple[Judged, ...]:
    """A judgement on every reply, in order.

    Raises EngineAway or EngineBusy, which are no miner's fault. What the engine refuses is: an
    answer that the judge's model cannot even be shown is worth nothing.
    """
    return tuple(
        [Judged(task, reply, await _judge_one(subnet, task, reply)) for task, reply in asked]
    )


async def _judge_one(subnet: Subnet[Any, Any], task: Task[Any], reply: Reply[Any]) -> Judgement:
    if reply.failure is not None:
        return Judgement(0.0, reply.failure.value)
    try:
        opinion = await subnet.score(task, reply) if reply.audited else subnet.trust(task, reply)
        judgement = opinion if isinstance(opinion, Judgement) else Judgement(float(opinion))
        judgement = _as_kept(judgement)
    except EngineRefused as error:
        log.warning("judging uid %d on task %s: %s", reply.uid, task.id, error)
        return Judgement(0.0, ENGINE_REFUSED)
    except (EngineError, ReferenceUnknown):
        raise
    except Exception:
        # What breaks the author's code came from this one miner, and costs this one miner.
        log.exception("judging uid %d on task %s failed", reply.uid, task.id)
        return Judgement(0.0, JUDGE_FAILED)
    if not 0.0 <= judgement.score <= 1.0:  # NaN is not, either
        log.error("score() said %r of uid %d; it must be 0..1", judgement.score, reply.uid)
        return Judgement(0.0, JUDGE_FAILED)
    return judgement


def _as_kept(judgement: Judgement) -> Judgement:
    """As the journal can tell it again. Raises TypeError and ValueError for what it cannot."""
    reason = judgement.reason or UNNAMED
    if not isinstance(reason, str):
        raise TypeError(f"the reason {reason!r} is no text")
    for name, fact in judgement.facts.items():
        if not isinstance(name, str) or not isinstance(fact, Fact):
            raise TypeError(f"the fact {name!r} is {fact!r}: neither text nor a number")
    reason.encode()  # the ledger has it in UTF-8
    facts = dict(judgement.facts)  # its author may write into it again
    json.dumps((facts, grounds(judgement)), allow_nan=False)
    return replace(judgement, score=float(judgement.score), reason=reason, facts=facts)


def grounds(judgement: Judgement) -> dict[str, Any]:
    """What `Subnet.memory` weighs besides the score, where there is any."""
    found: dict[str, Any] = {}
    if judgement.statements:
        found["statements"] = [
            {**dataclasses.asdict(said), "outcome": said.outcome.value}
            for said in judgement.statements
        ]
    if judgement.claim is not None:
        found["claim"] = dataclasses.asdict(judgement.claim)
    return found
