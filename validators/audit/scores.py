"""What the answers are worth: every score made again, where questions come from, and who leaked.

The subnet's own code judges again; what is compared is the score and what the memory goes by.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from subnet.definition import Judgement, Subnet
from subnet.errors import EngineError
from subnet.protocol import Reply, Task
from subnet.wire.errors import MalformedMessage
from validators.audit.findings import Audit, Difference, Flaw, Leak, Line
from validators.audit.sealed import Leaves
from validators.judge import judge
from validators.prompts.leaf import Leaf, Statement
from validators.prompts.origin import find_left_out, find_strange, is_close
from validators.prompts.stream import digests_of
from validators.prompts.vault import task_of
from validators.prompts.withheld import answer_hash
from validators.record import code_of
from validators.replay import answer_of, judgement_of, reply_of


def note_asked(
    lines: Iterable[Line], subnet: Subnet[Any, Any], epoch: int, asked: set[bytes]
) -> Iterator[Line]:
    """`lines` as they pass; the digests of all questions from before `epoch` go into `asked`."""
    for line in lines:
        challenges: list[Any] = []
        if line["kind"] == "round" and line["epoch"] < epoch:
            challenges = [task.get("challenge") for task in line["tasks"]]
        elif line["kind"] == "leaves" and line["epoch"] < epoch:
            leaves = [json.loads(entry.get("leaf", "{}")) for entry in line["leaves"]]
            challenges = [leaf.get("challenge") for leaf in leaves]
        for challenge in challenges:
            with suppress(ValidationError):  # none, or of another version
                known = subnet.challenge.model_validate_json(json.dumps(challenge))
                asked.update(digests_of(subnet, known))
        yield line


async def check_origin(
    found: Audit,
    subnet: Subnet[Any, Any],
    leaves: Leaves,
    statements: Mapping[str, Statement],
    tolerance: float,
    asked: Container[bytes],
) -> None:
    """Questions are what their seed gives: a reference of one's own could make anybody right.

    And all that it gives, from the first on, but for what was `asked` before (by digests): who
    could leave tasks out could pick them.
    """
    for root, sealed in leaves.items():
        for leaf, problem in await find_strange(subnet, sealed.values(), tolerance=tolerance):
            found.unchecked.append(f"leaf {leaf.index} under root {root[:16]}: {problem}")
        if root not in statements or len(sealed) != statements[root].count:
            continue  # some are hidden, or missing, which is said
        picked = [
            number
            for number, digests in await find_left_out(subnet, sealed.values())
            if not any(known in asked for known in digests)
        ]
        if picked:
            found.unchecked.append(
                f"root {root[:16]}: {len(picked)} tasks of its seed were left out, the first of "
                f"them task {picked[0]}; by this journal they were not asked before"
            )


async def check_scores(
    found: Audit,
    subnet: Subnet[Any, Any],
    rounds: Sequence[Line],
    leaves: Leaves,
    tolerance: float,
    opened: Mapping[tuple[str, int], Mapping[str, bytes]],
) -> None:
    """Judge every answer again, by the reference in its leaf; `opened` has the withheld ones."""
    for line in rounds:
        sealed = leaves.get(str(line.get("root")), {})
        for entry in line["replies"]:
            where = f"round {line['round']}, task {entry['task']}, miner {entry['hotkey']}"
            leaf = sealed.get(entry["task"])
            if leaf is None or "left_out" in entry:
                what = "its question" if leaf is None else "the answer"
                found.unchecked.append(f"{where}: {what} is not in the journal")
                continue
            try:
                task: Task[Any] = task_of(subnet, leaf)
                if "withheld" in entry:
                    bodies = opened.get((str(line["root"]), leaf.index), {})
                    entry = {**entry, **_opened_answer(leaf, entry, bodies)}
                reply: Reply[Any] = reply_of(entry, answer_of(subnet, entry))
            except (ValidationError, MalformedMessage, ValueError, KeyError, TypeError) as error:
                text = f"{where}: not of this subnet"
                found.differences.append(Difference(Flaw.SCORE, text, entry["score"], str(error)))
                continue
            try:
                ((judged),) = await judge(subnet, [(task, reply)])
            except EngineError as error:
                found.unchecked.append(f"{where}: not scored again: {error}")
                continue
            found.scores += 1
            again = judged.judgement
            if not math.isclose(again.score, entry["score"], rel_tol=0, abs_tol=tolerance):
                text = f"{where} ({again.reason or 'scored'})"
                found.differences.append(Difference(Flaw.SCORE, text, entry["score"], again.score))
                continue
            said, right = _weighed(judgement_of(entry)), _weighed(again)
            if not is_close(said, right, tolerance):
                text = f"{where}: what its memory goes by"
                found.differences.append(Difference(Flaw.SCORE, text, said, right))


def _weighed(judgement: Judgement) -> list[Any]:
    """What `Subnet.memory` goes by besides the score."""
    claim = judgement.claim
    return [
        [
            [said.check, said.outcome.value, said.log_ratio]
            + [[measure.name, measure.value, measure.p] for measure in said.measures]
            for said in judgement.statements
        ],
        None if claim is None else [claim.claimed, claim.shown],
    ]


def _opened_answer(
    leaf: Leaf, entry: Mapping[str, Any], bodies: Mapping[str, bytes]
) -> dict[str, Any]:
    """An answer to somebody's own words. Raises ValueError when it is not the one that came."""
    if entry["withheld"] is None:
        return {}
    body = bodies.get(entry["hotkey"], b"")
    if answer_hash(leaf.salt, body) != entry["withheld"]:
        raise ValueError("another answer than the hash in the journal is of")
    return {"body": base64.b64encode(body).decode()}


def note_code(found: Audit, subnet: Subnet[Any, Any], rounds: Sequence[Line]) -> None:
    """Say where the scores were made by other code than the one at work here."""
    here = code_of(subnet)
    for line in rounds:
        code = line.get("code")
        if code is not None and code != here:
            found.notes.append(f"round {line['round']} was judged by {code}; here is {here}")


# Leaks


def find_leaks(
    found: Audit, rounds: Sequence[Line], leaves: Leaves, everything: Sequence[Line]
) -> Iterator[Leak]:
    """Answers that hold a canary, of miners that were never given it."""
    answers = [
        (line, entry["hotkey"], _plain(_text_of(entry)))
        for line in everything
        for entry in line["replies"]
    ]
    for root, sealed in leaves.items():
        for leaf in sealed.values():
            mark = _plain(leaf.canary or "")
            if not mark or mark not in _plain(json.dumps(leaf.challenge, ensure_ascii=False)):
                continue  # no canary, or a probe, which does not tell it
            given = {
                entry["hotkey"]
                for line in rounds
                for entry in line["replies"]
                if line["root"] == root and entry["task"] == leaf.task
            }
            told = set()
            for line, hotkey, text in answers:
                if hotkey in given or hotkey in told or mark not in text:
                    continue
                told.add(hotkey)
                yield Leak(
                    found.validator, leaf.audience, leaf.task, hotkey, line["validator"],
                    line["round"],
                )  # fmt: skip


def _text_of(entry: Mapping[str, Any]) -> str:
    if entry.get("body") is not None:
        return base64.b64decode(entry["body"]).decode("utf-8", "replace")
    return json.dumps(entry["answer"], ensure_ascii=False)


def _plain(text: str) -> str:
    """Letters and digits only, small: a canary is known however it was spelled."""
    return "".join(filter(str.isalnum, text)).casefold()
