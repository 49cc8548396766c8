"""Runs the cases against one miner: one after the other, the slow ones beside each other.

Connects to the one address it is told and to no other; every case sends a handful of requests at
most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from subnet.conformance.cases import CASES, Case, Finding, Verdict
from subnet.conformance.exchange import Heard, ensure_listening, exchange
from subnet.conformance.subject import Subject

TRIES: Final = 3
BUSY_PAUSE_S: Final = 1.5
"""Before a case is run again that the miner was too busy for, or that met a limit of its."""
_BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Row:
    """One case and what came of it."""

    case: str
    sent: str
    must: str
    happened: str
    why: str
    verdict: Verdict


async def run(subject: Subject, cases: Sequence[Case] = CASES) -> list[Row]:
    """A row for each case, in their order. Raises MinerAway when nobody listens."""
    await ensure_listening(subject.endpoint)
    rows: dict[str, Row] = {}
    baseline = await _find(subject, next(case for case in CASES if case.name == "good"))

    def conclude(case: Case, finding: Finding) -> None:
        rows[case.name] = Row(
            case.name, case.sent, case.must, finding.happened, case.why, finding.verdict
        )

    waiting: list[Case] = []
    for case in cases:
        why_not = case.inapplicable(subject)
        if case.name == "good":
            conclude(case, baseline)
        elif why_not is not None:
            conclude(case, Finding(Verdict.NOT_APPLICABLE, why_not))
        elif case.baseline and baseline.verdict is not Verdict.PASSED:
            happened = f"proves nothing: an honest request ended with {baseline.happened}"
            conclude(case, Finding(Verdict.INCONCLUSIVE, happened))
        elif case.slow:
            waiting.append(case)
        else:
            conclude(case, await _find(subject, case))

    async def wait_for(case: Case) -> None:
        conclude(case, await _find(subject, case))

    async with asyncio.TaskGroup() as group:
        for case in waiting:
            group.create_task(wait_for(case))
    return [rows[case.name] for case in cases]


async def _find(subject: Subject, case: Case) -> Finding:
    for attempt in range(TRIES):
        heard: list[Heard] = []
        for shot in case.shots(subject):
            heard.append(await exchange(subject.endpoint, shot))
        if attempt + 1 == TRIES or not any(one.status in _BUSY for one in heard):
            break
        await asyncio.sleep(BUSY_PAUSE_S)
    return case.judge(subject, heard)
