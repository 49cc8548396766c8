"""An audit: does what a validator published of one epoch hold together, and with the chain?

From the root on the chain to the row of weights: every leaf has its path, every question is a
leaf, every score is computed again with the subnet's own code, memory and weights follow from the
scores, and the chain holds the row. What cannot be checked is said, and is never "honest".

It believes the chain and nothing else. What it cannot see: whether an answer is the one that the
miner gave, and whether a miner was asked what was never sealed.
"""

from __future__ import annotations

import base64
import enum
import json
import math
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chain.client.calls import quantize
from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from scoring.shaping import burn
from scoring.verify.merkle import is_hash_member, is_member
from subnet.config import WeightsTable
from subnet.definition import Judgement, Subnet
from subnet.errors import EngineError, MissingExtra, ModelError, StateError
from subnet.protocol import Challenge, Reply, Target, Task
from subnet.wire.errors import MalformedMessage
from validators.judge import Judged, judge
from validators.ledger import Ledger, Seat
from validators.memory import outcome_of, reach, stand
from validators.prompts.leaf import Leaf, NoLeaf, Statement, is_for
from validators.prompts.origin import find_strange, is_close
from validators.prompts.vault import task_of
from validators.prompts.withheld import Opened, answer_hash
from validators.proof import U16_MAX, Cause, explain
from validators.record import code_of
from validators.replay import answer_of, judgement_of, reply_of
from validators.sampler import sample

EXACT = 1e-9
"""Two scores this close are the same."""
MODEL_TOLERANCE = 0.01
"""As above, where a model judged: another machine adds up in another order."""

MOST_MISSING = 1000
"""Where more leaves are missing they are not told one by one: their number is a stranger's word."""

Line = Mapping[str, Any]


class Flaw(enum.StrEnum):
    """In what a published epoch can differ, in the order in which it is looked for."""

    MALFORMED = "malformed"
    """A line is not what a journal has."""
    EPOCH = "epoch"
    """A round's block is in another epoch than its line says."""
    ROOT_MISSING = "root_missing"
    ROOT_LATE = "root_late"
    LEAF_MISSING = "leaf_missing"
    LEAF_FORGED = "leaf_forged"
    """It has no path to the root."""
    QUESTION_SWAPPED = "question_swapped"
    QUESTION_MISSING = "question_missing"
    """It was to be asked with the others of its round."""
    QUESTION_UNSEALED = "question_unsealed"
    QUESTION_REPEATED = "question_repeated"
    WRONG_MINER = "wrong_miner"
    """Asked of somebody it is not for."""
    REPLY_MISSING = "reply_missing"
    SCORE = "score"
    MEMORY = "memory"
    """What is remembered of a hotkey does not follow from its scores."""
    WEIGHTS = "weights"
    """The row does not follow from what is remembered."""
    WEIGHTS_ON_CHAIN = "weights_on_chain"
    """The chain holds another row than the journal tells."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be: `published` against `found`."""

    flaw: Flaw
    where: str
    published: Any = None
    found: Any = None

    def __str__(self) -> str:
        text = f"{self.flaw.value}: {self.where}"
        if self.published is None and self.found is None:
            return text
        return f"{text}: published {self.published}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Leak:
    """A miner that knew what only others were told: who gave it to whom, and who answered with it.

    `asker` (ss58) is the validator whose journal has the answer, in `round`.
    """

    validator: str
    audience: str
    task: str
    hotkey: str
    asker: str
    round: int

    def __str__(self) -> str:
        return (
            f"miner {self.hotkey} answered {self.asker} in round {self.round} with the canary of "
            f"task {self.task}, which {self.validator} gave to {self.audience} only"
        )


@dataclass(slots=True)
class Audit:
    """What an audit found of one epoch of one validator (ss58)."""

    validator: str
    netuid: int
    epoch: int
    differences: list[Difference] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What could not be checked, and why."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and proves nothing."""
    roots: dict[str, int] = field(default_factory=dict)
    """Root (hex) to the block in which it got onto the chain."""
    rounds: int = 0
    leaves: int = 0
    scores: int = 0
    """So many were computed again."""
    row: Mapping[int, int] | None = None
    """The row that the chain holds, where it was compared."""
    leaks: list[Leak] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Return "honest"; "incomplete" when nothing is wrong but not all was checked.

        "leaked" when all is as it should be, but somebody knew what others were asked.
        """
        if self.differences:
            return "different"
        if self.leaks:
            return "leaked"
        return "incomplete" if self.unchecked else "honest"


@asynccontextmanager
async def open_judge(subnet: Subnet[Any, Any]) -> AsyncIterator[str | None]:
    """What `subnet` needs to score, open; or why it cannot be had here."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(subnet.judge())
        except (ModelError, EngineError, MissingExtra) as error:
            yield str(error)
            return
        yield None


async def audit(
    chain: Chain,
    subnet: Subnet[Any, Any],
    journal: Iterable[Line],
    *,
    validator: str,
    netuid: int,
    epoch: int,
    weights: WeightsTable,
    no_judge: str | None = None,
    tolerance: float | None = None,
    opened: Sequence[Opened] = (),
    others: Iterable[Line] = (),
) -> Audit:
    """Audit `epoch` of `validator` (ss58) from its journal's lines, oldest first.

    `weights` is the public file's table. `no_judge` says why scores cannot be computed again; None
    when the judge is open. `opened` is what the epoch's audit key opens. `others` are lines of
    other validators, whose answers are searched for canaries too. Raises ChainAway, ChainRefused.
    """
    found = Audit(validator, netuid, epoch)
    try:
        mine = (
            line
            for line in journal
            if line.get("validator") == validator and line.get("netuid") == netuid
        )
        lines = list(_needed(mine, epoch))
        # What is published after the epoch may be known to anybody.
        told = [
            line for line in others if (line.get("kind"), line.get("epoch")) == ("round", epoch)
        ]
        await _audit(chain, found, subnet, lines, weights, no_judge, tolerance, list(opened), told)
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError,
        RecursionError, StateError,
    ) as error:  # fmt: skip
        # The lines are a stranger's.
        found.differences.append(Difference(Flaw.MALFORMED, f"the journal: {error!r}"))
    return found


_REMEMBERED = (
    "task", "uid", "hotkey", "failure", "status", "signed", "queued_s", "first_byte_s", "total_s",
    "score", "reason", "statements", "claim",
)  # fmt: skip
"""Of a reply of an earlier epoch: what is remembered of it, which is little beside the answer."""


def _needed(lines: Iterable[Line], epoch: int) -> Iterator[Line]:
    """What an audit of `epoch` goes by: a journal may be larger than the memory there is."""
    for line in lines:
        if line["kind"] == "reveal" or line.get("epoch") == epoch:
            yield line
        elif line["kind"] == "round" and line["epoch"] < epoch:
            replies = [
                {key: reply[key] for key in _REMEMBERED if key in reply}
                | {"detail": "", "facts": {}}
                for reply in line["replies"]
            ]
            kept = {key: line[key] for key in ("kind", "round", "epoch", "block")}
            yield {**kept, "scores": dict.fromkeys(line["scores"], 0.0), "replies": replies}


async def _audit(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    lines: Sequence[Line],
    weights: WeightsTable,
    no_judge: str | None,
    tolerance: float | None,
    opened: Sequence[Opened],
    others: Sequence[Line],
) -> None:
    epoch = found.epoch
    rounds = [line for line in lines if line["kind"] == "round" and line["epoch"] == epoch]
    found.rounds = len(rounds)
    if not rounds:
        found.unchecked.append(f"the journal tells of no round of epoch {epoch}")
        return
    published = [line for line in lines if line["kind"] == "leaves" and line["epoch"] == epoch]
    statements = await _check_roots(chain, found, rounds, published)
    known = {(item.root, item.index): item for item in opened}
    leaves = await _check_leaves(chain, found, rounds, published, statements, known)
    askable = {
        block: _askable(await chain.metagraph(found.netuid, block), found.validator)
        for block in sorted({int(line["block"]) for line in rounds})
    }
    _check_questions(found, rounds, leaves, askable)
    _note_code(found, subnet, rounds)
    if no_judge is None:
        limit = tolerance if tolerance is not None else EXACT
        if tolerance is None and subnet.model_sha256 is not None:
            limit = MODEL_TOLERANCE
        answers = {(item.root, item.index): item.answers for item in opened}
        await _check_origin(found, subnet, leaves, limit)
        await _check_scores(found, subnet, rounds, leaves, limit, answers)
    else:
        found.unchecked.append(f"no score was computed again: {no_judge}")
    await _check_memory(chain, found, subnet, lines, weights, askable)
    await _check_weights(chain, found, subnet, lines, rounds, weights)
    found.leaks = list(_find_leaks(found, rounds, leaves, [*rounds, *others]))


Askable = Mapping[int, frozenset[str]]
"""By block the hotkeys (ss58) that a round which begins there asks."""


def _askable(metagraph: Metagraph, asker: str) -> frozenset[str]:
    return frozenset(t.hotkey for t in sample(metagraph.neurons, asker=asker, seed=b""))


# The root


async def _check_roots(
    chain: Chain, found: Audit, rounds: Sequence[Line], published: Sequence[Line]
) -> dict[str, Statement]:
    """What the chain says of every root that rounds are under, by its hex digits."""
    statements: dict[str, Statement] = {}
    for line in rounds:
        root, block = str(line.get("root")), int(line["block"])
        epochs = (await chain.schedule(found.netuid, block)).epochs
        if epochs != found.epoch:
            where = f"round {line['round']}, block {block}"
            found.differences.append(Difference(Flaw.EPOCH, where, found.epoch, epochs))
        told = {str(other.get("root")) for other in [*rounds, *published]}
        await _note_other_roots(chain, found, told, block)
        held = await _statement(chain, found, root, block)
        if held is not None:
            found.roots.setdefault(root, held[0])
            statements[root] = held[1]
            continue
        where = f"round {line['round']}, asked from block {block} on, root {root[:16]}"
        late = await _find_late(chain, found, root, [*rounds, *published])
        if late is None:
            found.differences.append(Difference(Flaw.ROOT_MISSING, where))
        else:
            found.roots.setdefault(root, late[0])
            statements[root] = late[1]
            text = f"on the chain in block {late[0]}"
            before = f"on the chain by block {block}"
            found.differences.append(Difference(Flaw.ROOT_LATE, where, before, text))
    return statements


async def _statement(
    chain: Chain, found: Audit, root: str, block: int | None
) -> tuple[int, Statement] | None:
    """What the chain said at `block` of this root, and since which block."""
    held = await chain.commitment(found.netuid, found.validator, block)
    for data in () if held is None else held.fields:
        statement = Statement.parse(data)
        if statement is not None and (statement.root.hex(), statement.epoch) == (root, found.epoch):
            assert held is not None
            return held.block, statement
    return None


async def _note_other_roots(chain: Chain, found: Audit, told: set[str], block: int) -> None:
    """Questions that were fixed for this epoch, and of which the journal tells nothing.

    Another instance of this validator may have asked them, or nobody; or the rounds were left out.
    """
    held = await chain.commitment(found.netuid, found.validator, block)
    for data in () if held is None else held.fields:
        statement = Statement.parse(data)
        if statement is None or statement.epoch != found.epoch or statement.root.hex() in told:
            continue
        text = f"nothing here is under root {statement.root.hex()[:16]}, which the chain has too"
        if text not in found.unchecked:
            found.unchecked.append(text)


async def _find_late(
    chain: Chain, found: Audit, root: str, lines: Sequence[Line]
) -> tuple[int, Statement] | None:
    """The same root, where it got onto the chain after it was needed."""
    blocks: set[int] = {line["block"] for line in lines if line.get("block") is not None}
    for block in [*sorted(blocks), None]:
        held = await _statement(chain, found, root, block)
        if held is not None:
            return held
    return None


# The leaves

Leaves = Mapping[str, Mapping[str, Leaf]]
"""Root to task id to leaf."""


async def _check_leaves(
    chain: Chain,
    found: Audit,
    rounds: Sequence[Line],
    published: Sequence[Line],
    statements: Mapping[str, Statement],
    opened: Mapping[tuple[str, int], Opened],
) -> Leaves:
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
            if leaf is not None:
                leaves[root][leaf.task] = leaf
        found.leaves += count
    for root in by_root.keys() - leaves.keys():
        text = f"root {root[:16]}: {len(by_root[root])} leaves, and no round here asked any"
        found.notes.append(text)  # an epoch's end that moves leaves such roots, too
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


def _check_questions(
    found: Audit, rounds: Sequence[Line], leaves: Leaves, askable: Askable
) -> None:
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
            if not leaf.organic and task.get("challenge") != leaf.challenge:
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


# The scores


async def _check_origin(
    found: Audit, subnet: Subnet[Any, Any], leaves: Leaves, tolerance: float
) -> None:
    """Questions are what their seed gives: a reference of one's own could make anybody right."""
    for root, sealed in leaves.items():
        for leaf, problem in await find_strange(subnet, sealed.values(), tolerance=tolerance):
            found.unchecked.append(f"leaf {leaf.index} under root {root[:16]}: {problem}")


async def _check_scores(
    found: Audit,
    subnet: Subnet[Any, Any],
    rounds: Sequence[Line],
    leaves: Leaves,
    tolerance: float,
    opened: Mapping[tuple[str, int], Mapping[str, bytes]],
) -> None:
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


def _note_code(found: Audit, subnet: Subnet[Any, Any], rounds: Sequence[Line]) -> None:
    """Say where the scores were made by other code than the one at work here."""
    here = code_of(subnet)
    for line in rounds:
        code = line.get("code")
        if code is not None and code != here:
            found.notes.append(f"round {line['round']} was judged by {code}; here is {here}")


# Leaks


def _find_leaks(
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


# Memory and weights


async def _check_memory(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    lines: Sequence[Line],
    weights: WeightsTable,
    askable: Askable,
) -> None:
    """Go through all rounds up to the epoch, and see what is remembered after each of its own."""
    own = Counter(
        int(line["round"])
        for line in lines
        if line["kind"] == "round" and line["epoch"] == found.epoch
    )
    for number in sorted(number for number, count in own.items() if count > 1):
        found.unchecked.append(f"round {number} was asked {own[number]} times; the last one counts")
    # A validator whose ledger was restored asks again under old numbers: the later line holds.
    by_round = {
        int(line["round"]): line
        for line in lines
        if line["kind"] == "round" and line["epoch"] <= found.epoch
    }
    rounds = [by_round[number] for number in sorted(by_round)]
    if list(by_round) != list(range(1, len(rounds) + 1)):
        first = rounds[0]["round"]
        found.unchecked.append(
            f"what is remembered: of rounds 1 to {rounds[-1]['round']} the journal has "
            f"{len(rounds)}, from {first} on"
        )
        return
    views = subnet.memory is not None or weights.coldkey_seats is not None
    half_life = weights.half_life_rounds
    with Ledger(
        Path(":memory:"),
        half_life_rounds=half_life,
        clock=lambda: 0.0,
        keep_rounds=reach(subnet.memory),
    ) as ledger:
        for line in rounds:
            block = int(line["block"])
            metagraph = Metagraph(found.netuid, block, 0, 0, "", "", ())
            if views:
                metagraph = await chain.metagraph(found.netuid, block)
            present = line["epoch"] == found.epoch
            hotkeys = askable[block] if present else frozenset(line["scores"])
            again = _remember(ledger, subnet, line, metagraph, weights, hotkeys)
            if not present:
                continue
            if line.get("recovered"):
                found.unchecked.append(f"round {line['round']} was cut off before it was done")
                continue
            for hotkey in sorted({*line["scores"], *again}):
                told, right = line["scores"].get(hotkey, 0.0), again.get(hotkey, 0.0)
                if not math.isclose(told, right, rel_tol=0, abs_tol=EXACT):
                    where = f"round {line['round']}, {hotkey}"
                    found.differences.append(Difference(Flaw.MEMORY, where, told, right))


def _remember(
    ledger: Ledger,
    subnet: Subnet[Any, Any],
    line: Line,
    metagraph: Metagraph,
    weights: WeightsTable,
    hotkeys: frozenset[str],
) -> Mapping[str, float]:
    """What each of `hotkeys` is worth after a round, by what was judged in it."""
    neurons = metagraph.neurons
    coldkeys = {neuron.hotkey: neuron.coldkey for neuron in neurons}
    judged = []
    for entry in line["replies"]:
        # Of the answer only this counts here: whether there was one.
        reply = replace(reply_of(entry, None), answer=True if entry["failure"] is None else None)
        judged.append(Judged(Task(entry["task"], Challenge()), reply, judgement_of(entry)))
    moved = ledger.remember(
        line["round"],
        block=line["block"],
        epoch=line["epoch"],
        digests=(),
        outcomes=[outcome_of(item, coldkeys.get(item.reply.hotkey)) for item in judged],
        seats=[Seat(neuron.hotkey, neuron.uid, neuron.registered_at) for neuron in neurons],
        follow_swaps=subnet.memory is not None,
    )
    return stand(
        ledger,
        subnet.memory,
        metagraph,
        [Target(0, hotkey, "", 0) for hotkey in hotkeys],
        now=line["round"],
        coldkey_seats=weights.coldkey_seats,
        moved=moved,
    ).scores


async def _check_weights(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    lines: Sequence[Line],
    rounds: Sequence[Line],
    weights: WeightsTable,
) -> None:
    told = [line for line in rounds if line["weights"]["set"]]
    for line in told:
        await _check_meant(chain, found, subnet, line, weights)
        await _check_landed(chain, found, lines, line, last=line is told[-1])
    if told or any(line.get("recovered") for line in rounds):
        return
    report = rounds[-1]["weights"]
    found.notes.append(f"no weights were set in this epoch: {report['problem']}")
    # Weights in the block in which an epoch runs count for the next one.
    first = (await chain.schedule(found.netuid, int(rounds[0]["block"]))).last_block
    end = await _end_of_epoch(chain, found, int(rounds[-1]["block"]))
    me = (await chain.metagraph(found.netuid, end)).find(found.validator)
    if me is None or me.last_update < first:
        return
    if report.get("code") == "window_taken":
        found.unchecked.append(
            "another instance of this validator set the weights: see its journal"
        )
        return
    where = f"weights taken in block {me.last_update}"
    found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where, "none", "a row"))


def _reports(line: Line) -> dict[int, Mapping[str, Any]]:
    """What became of the row of each mechanism that was set."""
    told = line["weights"]
    others = told.get("others") or {}
    reports = {0: told} | {int(number): other for number, other in others.items()}
    return {number: report for number, report in reports.items() if report["set"]}


async def _check_meant(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    line: Line,
    weights: WeightsTable,
) -> None:
    """The rows, made again of what is remembered and of who sat where."""
    block = line["weights"]["block"]
    metagraph = await chain.metagraph(found.netuid, block - 1)
    scores, owner = line["scores"], metagraph.owner_uid
    by_uid = {n.uid: float(scores[n.hotkey]) for n in metagraph.neurons if n.hotkey in scores}
    rows = subnet.mechanisms(by_uid)
    for number in sorted(rows.keys() - _reports(line).keys()):
        found.unchecked.append(f"{_name(number)} was not set in round {line['round']}")
    for number, report in _reports(line).items():
        shares = burn(rows.get(number, {}), owner, weights.burn)
        if not any(shares.values()) and owner is not None:
            shares = {owner: 1.0}
        again = quantize(shares) if any(shares.values()) else {}
        meant = _row(report["meant"])
        if meant != again:
            where = f"round {line['round']}, {_name(number)} of block {block}"
            found.differences.append(Difference(Flaw.WEIGHTS, where, meant, again))


async def _check_landed(
    chain: Chain, found: Audit, lines: Sequence[Line], line: Line, *, last: bool
) -> None:
    """The rows that the chain took, at once or when they were revealed, and at the epoch's end."""
    for number, report in _reports(line).items():
        block = report["block"]
        if report["commit"] is None and report["reveal_round"] is None:
            blocks = [block]
            if last:
                blocks.append(await _end_of_epoch(chain, found, block))
        else:
            endings = [
                later
                for later in lines
                if number == 0 and later["kind"] == "reveal" and later["round"] == line["round"]
            ]
            if not endings:
                what = f"{_name(number)} of round {line['round']}"
                found.unchecked.append(f"{what} is not revealed yet, by the journal")
                continue
            if endings[-1]["ending"] != "revealed":
                where = f"round {line['round']}: its commit was {endings[-1]['ending']}"
                found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where))
                continue
            blocks = [int(endings[-1]["block"])]
            if blocks[0] <= block:
                where = f"round {line['round']}: revealed before it was committed"
                text = f"block {blocks[0]}"
                found.differences.append(
                    Difference(Flaw.WEIGHTS_ON_CHAIN, where, text, f"committed in block {block}")
                )
        for at in dict.fromkeys(blocks):
            await _compare_row(chain, found, line, number, report, at)


async def _compare_row(
    chain: Chain,
    found: Audit,
    line: Line,
    mechanism: int,
    report: Mapping[str, Any],
    block: int,
) -> None:
    """A row as it was meant against the one of the chain at `block`.

    The chain takes away what was set on a seat that is sold, and cuts shares above its limit.
    """
    then = await chain.metagraph(found.netuid, report["block"] - 1)
    now = await chain.metagraph(found.netuid, block)
    me = now.find(found.validator)
    held = {} if me is None else await chain.weights(
        found.netuid, me.uid, block, mechanism=mechanism
    )  # fmt: skip
    there, meant = _row(held), _row(report["meant"])
    if mechanism == 0:
        found.row = there
    seats = {neuron.uid: neuron.hotkey for neuron in now.neurons}
    sold = {n.uid for n in then.neurons if seats.get(n.uid) != n.hotkey}
    if all(there.get(uid) == meant.get(uid) for uid in {*there, *meant} - sold):
        return
    limit = await chain.query("SubtensorModule", "MaxWeightsLimit", found.netuid, block=block)
    if limit and int(limit) < U16_MAX:
        shares = {uid: float(value) for uid, value in meant.items()}
        causes = explain(shares, there, limit=int(limit), moved=sold)
        if causes and all(item.cause in (Cause.CLIPPED, Cause.PRUNED) for item in causes):
            found.notes.append(f"{_name(mechanism)} was cut to the chain's limit of {limit}")
            return
    where = f"round {line['round']}, {_name(mechanism)} in block {block}"
    found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where, meant, there))


def _name(mechanism: int) -> str:
    return f"the row of mechanism {mechanism}" if mechanism else "the row"


async def _end_of_epoch(chain: Chain, found: Audit, block: int) -> int:
    """Last block of the epoch that `block` is in, as far as there are blocks."""
    head = await chain.block()
    planned = (await chain.schedule(found.netuid, block)).next_block
    end = head if planned is None else min(head, planned - 1)
    while end > block and (await chain.schedule(found.netuid, end)).epochs != found.epoch:
        end = block + (end - block) // 2  # the owner had an epoch run early
    return end


def _row(published: Mapping[Any, Any]) -> dict[int, int]:
    return {int(uid): int(value) for uid, value in published.items() if value}
