"""What miners signed for: no answer is invented, changed, or called none, and none came too early.

A failure that nobody signed stays the validator's word.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chain.client.chain import Chain
from subnet.definition import Subnet
from subnet.protocol import Failure
from subnet.wire import codec
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.sealed import Leaves
from validators.prompts.vault import task_of
from validators.prompts.withheld import Opened
from validators.signatures import (
    Signed,
    answer_bytes,
    asked_at,
    find_forged,
    find_repeated,
    is_quoted,
    signed_for,
)


async def check_signed(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    rounds: Sequence[Line],
    leaves: Leaves,
    opened: Mapping[tuple[str, int], Opened],
) -> None:
    """Every answer of `rounds` is one that its miner signed, and was asked for when it may be."""
    for line in rounds:
        root, where = str(line.get("root")), f"round {line['round']}"
        since = await time_of(chain, found.roots.get(root))
        _check_bytes(found, subnet, line, where)
        if line.get("path", subnet.path) != subnet.path:
            # A miner signs that it knows no such path, and that is not its answer.
            text = f"{where}: asked at {line['path']!r}, and the definition here at {subnet.path!r}"
            found.unchecked.append(text)
        kinds: Counter[Signed] = Counter()
        for entry in line["replies"]:
            at = f"{where}, task {entry['task']}, miner {entry['hotkey']}"
            leaf = leaves.get(root, {}).get(entry["task"])
            question = None
            if leaf is not None and not leaf.organic and "withheld" in entry:
                text = f"{at}: withheld, and the question is nobody's own words"
                found.differences.append(Difference(Flaw.ANSWER_FORGED, text))
                continue
            if leaf is not None and "withheld" in entry:
                entry = _with_withheld(entry, opened.get((root, leaf.index)))
                question = codec.encode(task_of(subnet, leaf).challenge)
            problem = find_forged(line, entry, question=question) or _find_hidden(subnet, entry)
            if problem is not None:
                found.differences.append(Difference(Flaw.ANSWER_FORGED, f"{at}: {problem}"))
                continue
            kind = signed_for(line, entry)
            if leaf is not None or kind is not Signed.WITHHELD:  # or that is said of its leaf
                kinds[kind] += 1
            asked = asked_at(entry)
            if asked is not None and since is not None and asked < since:
                found.differences.append(Difference(Flaw.ASKED_EARLY, at, since, asked))
            if _is_out_of_sight(entry):
                found.unchecked.append(f"{at}: whether it is no answer; it is not in the journal")
        _note_kinds(found, where, kinds)
    for line, entry in find_repeated(rounds):
        text = f"round {line['round']}, task {entry['task']}, miner {entry['hotkey']}"
        found.differences.append(
            Difference(Flaw.ANSWER_FORGED, f"{text}: signed for a request that is told twice")
        )


def _note_kinds(found: Audit, where: str, kinds: Mapping[Signed, int]) -> None:
    if count := kinds.get(Signed.NOT_KEPT):
        found.unchecked.append(
            f"{where}: whether {count} answers are the miners'; the line is of a version that kept "
            "no signatures"
        )
    if count := kinds.get(Signed.WITHHELD):
        found.unchecked.append(f"{where}: whether {count} answers to somebody's own words are the "
                               "miners'; their signatures are withheld")  # fmt: skip
    if count := kinds.get(Signed.ANSWER):
        found.notes.append(
            f"{where}: {count} answers are signed without their question: by miners of other "
            "versions, or because they were not asked to"
        )


def _check_bytes(found: Audit, subnet: Subnet[Any, Any], line: Line, where: str) -> None:
    """The bytes that were sent, where they are not those of the challenge as it is published."""
    for task in line["tasks"]:
        if "challenge" not in task or not {"text", "body"} & task.keys():
            continue
        try:
            right = is_quoted(subnet, line, task["id"])
        except ValueError:
            right = False
        if not right:
            text = f"{where}, task {task['id']}: the bytes that were sent"
            found.differences.append(Difference(Flaw.QUESTION_SWAPPED, text))


def _find_hidden(subnet: Subnet[Any, Any], entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a reply that its miner signed, but that is told as something else."""
    failure = entry["failure"]
    if failure is None:
        there = [entry.get(key) for key in ("answer", "body", "left_out", "withheld")]
        return None if any(part is not None for part in there) else "an answer that is not there"
    if entry.get("signature") is None or failure == Failure.REFUSED:
        refused = entry.get("signature") is not None and entry["status"] == 200
        return "an answer, told as a refusal" if refused else None
    if failure != Failure.MALFORMED:
        return f"{failure}, and yet something that is signed"
    body = answer_bytes(entry)
    if body is None:
        return None
    try:
        codec.decode(subnet.answer, body)
    except Exception:  # a definition's own validators may raise anything
        return None
    return "an answer, told as malformed"


def _is_out_of_sight(entry: Mapping[str, Any]) -> bool:
    """Whether something is called malformed of which there is only the hash."""
    signed = entry.get("signature") is not None
    return signed and entry["failure"] == Failure.MALFORMED and answer_bytes(entry) is None


def _with_withheld(entry: Mapping[str, Any], kept: Opened | None) -> dict[str, Any]:
    """An entry as it would be if its question were nobody's own words."""
    if kept is None:
        return dict(entry)
    body, signature = kept.answers.get(entry["hotkey"]), kept.signatures.get(entry["hotkey"])
    if body is None or signature is None:
        return dict(entry)
    return {**entry, "signature": signature, "body": base64.b64encode(body).decode()}


async def time_of(chain: Chain, block: int | None) -> float | None:
    """When `block` was made, Unix time in seconds."""
    if block is None:
        return None
    now = await chain.query("Timestamp", "Now", block=block)
    return int(now) / 1000
