"""What was fixed before it was asked: the leaves under the roots, and the questions of rounds."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from scoring.verify.merkle import is_hash_member, is_member
from subnet.definition import Subnet
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.prompts.leaf import (
    ALL,
    Leaf,
    NoLeaf,
    Statement,
    group_names,
    is_for,
    who_is_probed,
)
from validators.prompts.origin import canary_seed
from validators.prompts.withheld import Opened
from validators.sampler import sample

MOST_MISSING = 1000
"""Where more leaves are missing they are not told one by one: their number is a stranger's word."""

Askable = Mapping[int, frozenset[str]]
"""By block the hotkeys (ss58) that a round which begins there asks."""

Leaves = Mapping[str, Mapping[str, Leaf]]
"""Root to task id to leaf."""


def find_askable(metagraph: Metagraph, asker: str) -> frozenset[str]:
    """Whom `asker` (ss58) asks in a round that begins at the block of `metagraph`."""
    return frozenset(t.hotkey for t in sample(metagraph.neurons, asker=asker, seed=b""))


# The leaves


async def check_leaves(
    chain: Chain,
    found: Audit,
    rounds: Sequence[Line],
    published: Sequence[Line],
    statements: Mapping[str, Statement],
    opened: Mapping[tuple[str, int], Opened],
    *,
    is_over: bool,
) -> Leaves:
    """The leaves that are published under the roots of `rounds`, each with its path checked.

    `is_over` says that the journal tells of a later epoch: before its rounds a validator publishes.
    """
    by_root: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for line in published:
        for entry in line["leaves"]:
            by_root[line["root"]].setdefault(int(entry["index"]), entry)
    leaves: dict[str, dict[str, Leaf]] = {}
    for root in dict.fromkeys(str(line.get("root")) for line in rounds):
        leaves[root] = {}
        entries, statement = by_root.get(root, {}), statements.get(root)
        if not entries and (await chain.schedule(found.netuid)).epochs <= found.epoch:
            found.unchecked.append("the epoch is not over: its leaves are not published yet")
            continue
        if not entries and not is_over:
            text = (
                f"root {root[:16]}: its leaves are not published; the journal ends with the epoch"
            )
            found.unchecked.append(text)
            continue
        # Without a word on the chain only the journal tells how many there are.
        count = statement.count if statement is not None else len(entries)
        if count > 2 * len(entries) + MOST_MISSING:
            where = f"{count - len(entries)} leaves of {count} under root {root[:16]}"
            found.differences.append(Difference(Flaw.LEAF_MISSING, where))
            count = 0
        for index in range(count):
            entry = entries.get(index)
            where = f"leaf {index} of {count} under root {root[:16]}"
            if entry is None:
                found.differences.append(Difference(Flaw.LEAF_MISSING, where))
                continue
            known = opened.get((root, index))
            leaf = _check_leaf(found, root, count, index, entry, where, known)
            if leaf is not None and leaf.task in leaves[root]:
                found.unchecked.append(f"{where}: another leaf's task has the same id")
            elif leaf is not None:
                leaves[root][leaf.task] = leaf
        found.leaves += count
    for root in sorted(by_root.keys() - leaves.keys()):
        text = f"root {root[:16]}: {len(by_root[root])} leaves, and no round here asked any"
        found.unchecked.append(f"{text}, or its rounds were left out")
    return leaves


def _check_leaf(
    found: Audit,
    root: str,
    count: int,
    index: int,
    entry: Mapping[str, Any],
    where: str,
    opened: Opened | None,
) -> Leaf | None:
    try:
        path = [bytes.fromhex(node) for node in entry["path"]]
        base = bytes.fromhex(root)
        if "leaf" not in entry and opened is None:
            if not is_hash_member(base, bytes.fromhex(entry["hash"]), index, count, path):
                raise NoLeaf("its hash has no path to the root")
            found.unchecked.append(f"{where} is somebody's own words; there is only its hash")
            return None
        text = str(entry["leaf"]) if opened is None else opened.text
        if not is_member(base, text.encode(), index, count, path):
            raise NoLeaf("it has no path to the root")
        leaf = Leaf.parse(text)
        place = (leaf.validator, leaf.netuid, leaf.epoch, leaf.index)
        if place != (found.validator, found.netuid, found.epoch, index):
            raise NoLeaf(f"it is made for {place}")
    except (NoLeaf, ValueError, KeyError, TypeError) as error:
        found.differences.append(Difference(Flaw.LEAF_FORGED, f"{where}: {error}"))
        return None
    return leaf


# The questions


def check_dealt(
    found: Audit, subnet: Subnet[Any, Any], leaves: Leaves, statements: Mapping[str, Statement]
) -> None:
    """Who gets which question is as the definition deals: who could choose could favour a friend.

    By another version of the definition it may be right.
    """
    for root, sealed in leaves.items():
        if root not in statements or len(sealed) != statements[root].count:
            continue  # some are hidden, or missing, which is said
        problem = _find_misdealt(subnet, list(sealed.values()))
        if problem is not None:
            found.unchecked.append(f"root {root[:16]}: not dealt as the definition does: {problem}")


def _find_misdealt(subnet: Subnet[Any, Any], leaves: Sequence[Leaf]) -> str | None:
    if len({leaf.seed for leaf in leaves}) > 1:
        return "not all of one seed"
    drawn = sorted((leaf for leaf in leaves if leaf.number >= 0), key=lambda leaf: leaf.number)
    if subnet.groups == "each":
        audiences = sorted({leaf.audience for leaf in drawn})
        strange = [who for who in audiences if "/" in who or (who == ALL and len(audiences) > 1)]
        if strange:
            return f"a question to {strange[0]}"
    else:
        audiences = list(group_names(subnet.groups))
    # However many a stranger says that there are: what cannot be dealt evenly is not gone through.
    turns = max((1, *(1 + leaf.turn for leaf in leaves)))
    tasks, rest = divmod(len(drawn), max(1, turns * len(audiences)))
    if not tasks or rest:
        return f"{len(drawn)} questions for {len(audiences)} audiences in {turns} turns"
    places = itertools.product(range(turns), audiences, range(tasks))
    for leaf, (turn, who, _) in zip(drawn, places, strict=True):
        if (leaf.turn, leaf.audience) != (turn, who):
            text = f"task {leaf.number} of its seed goes to {leaf.audience} in turn {leaf.turn}"
            return f"{text}, and not to {who} in turn {turn}"
    return _find_misplanted(subnet, audiences, leaves)


def _find_misplanted(
    subnet: Subnet[Any, Any], audiences: Sequence[str], leaves: Sequence[Leaf]
) -> str | None:
    planted = Counter((leaf.number, leaf.audience) for leaf in leaves if leaf.number < 0)
    right: Counter[tuple[int, str]] = Counter()
    for number, audience in enumerate(audiences if len(audiences) > 1 else ()):
        try:
            if subnet.canary(canary_seed(bytes.fromhex(leaves[0].seed), number)) is None:
                break
        except Exception as error:  # an author's code, and what it draws from
            return f"its seed gives no canaries here: {error!r}"
        right.update((-1 - number, who) for who in (audience, who_is_probed(audiences, number)))
    for number, who in sorted(planted - right):
        return f"canary {-1 - number} goes to {who}"
    for number, who in sorted(right - planted, reverse=True):
        return f"canary {-1 - number} does not go to {who}"
    return None


def check_questions(found: Audit, rounds: Sequence[Line], leaves: Leaves, askable: Askable) -> None:
    """Every round asked what was sealed for it, all of it, everybody it is for, and once."""
    asked: dict[tuple[str, str], int] = {}
    told: set[tuple[str, int]] = set()
    for line in rounds:
        sealed = leaves.get(str(line.get("root")), {})
        if not sealed:
            continue
        where = f"round {line['round']}"
        turns = set()
        for task in line["tasks"]:
            leaf = sealed.get(task["id"])
            at = f"{where}, task {task['id']}"
            if leaf is None:
                if "challenge" in task:
                    found.differences.append(Difference(Flaw.QUESTION_UNSEALED, at))
                continue
            turns.add(leaf.turn)
            if not leaf.organic and not _is_same(task.get("challenge"), leaf.challenge):
                found.differences.append(
                    Difference(Flaw.QUESTION_SWAPPED, at, task.get("challenge"), leaf.challenge)
                )
            before = asked.setdefault((str(line["root"]), task["id"]), line["round"])
            if before != line["round"]:
                text = f"{at}, asked in round {before} already"
                found.differences.append(Difference(Flaw.QUESTION_REPEATED, text))
        told |= {(str(line["root"]), turn) for turn in turns}
        due = [leaf for leaf in sealed.values() if leaf.turn in turns]
        ids = {task["id"] for task in line["tasks"]}
        for leaf in due:
            if leaf.task not in ids:
                text = f"{where}, task {leaf.task} (leaf {leaf.index})"
                found.differences.append(Difference(Flaw.QUESTION_MISSING, text))
        present = [leaf for leaf in due if leaf.task in ids]
        _check_audiences(found, line, present, ids, askable[int(line["block"])])
    sealed_turns = {(root, leaf.turn) for root, known in leaves.items() for leaf in known.values()}
    for root, turn in sorted(sealed_turns - told):
        found.unchecked.append(
            f"turn {turn} under root {root[:16]}: no round here asked it, or its round was left out"
        )


def _is_same(one: Any, other: Any) -> bool:
    # To Python 1, 1.0 and true are equal; to a miner they are three questions.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check_audiences(
    found: Audit, line: Line, leaves: Sequence[Leaf], ids: set[str], askable: frozenset[str]
) -> None:
    """Everybody who can be asked was asked all that is for it, once, and nothing else."""
    times = Counter((reply["task"], reply["hotkey"]) for reply in line["replies"])
    asked = set(times)
    everybody = sorted(askable | {hotkey for _, hotkey in asked})
    for (task, hotkey), count in times.items():
        where = f"round {line['round']}, task {task}, miner {hotkey}"
        if task not in ids:
            text = f"{where}: an answer to what the round did not ask"
            found.differences.append(Difference(Flaw.QUESTION_MISSING, text))
        if count > 1:
            text = f"{where}: {count} answers"
            found.differences.append(Difference(Flaw.QUESTION_REPEATED, text))
    for leaf in leaves:
        for hotkey in everybody:
            meant = is_for(leaf.audience, leaf.seed, hotkey)
            if meant == ((leaf.task, hotkey) in asked):
                continue
            where = f"round {line['round']}, task {leaf.task}, miner {hotkey}"
            flaw = Flaw.REPLY_MISSING if meant else Flaw.WRONG_MINER
            found.differences.append(Difference(flaw, f"{where} (it is for {leaf.audience})"))
