"""Replay: judge recorded answers again, by another definition, and see who would gain and lose.

Works on the journal alone: neither the chain nor a miner is asked. What cannot be judged again (a
question whose reference is not known yet, an answer that no journal holds) counts in neither the
old result nor the new one, and is listed. Both results are remembered by ledgers of their own, so
that they hold what these rounds say and nothing of the rounds before.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chain.client.metagraph import Metagraph
from scoring.owners import fold
from scoring.policies import Claim, Memory
from scoring.verify.statement import Measure, Statement
from scoring.verify.statement import Outcome as Seeing
from subnet.definition import Judgement, Subnet
from subnet.errors import StateError
from subnet.protocol import Answer, C, Failure, Reply, Target, Task, Timing
from subnet.wire import codec
from subnet.wire.errors import MalformedMessage
from validators import journal
from validators.judge import Judged, ReferenceUnknown, judge
from validators.ledger import Ledger
from validators.memory import outcome_of, reach, stand
from validators.prompts.leaf import Leaf, NoLeaf
from validators.prompts.sealing import Sealings
from validators.signatures import verified

NO_REFERENCE = "reference_unknown"
"""Not judged again: the scorer wants the reference, which is not published yet."""
NO_ANSWER = "answer_not_kept"
"""Not judged again: the answer was too large for the journal, or to somebody's own words."""
OTHER_MESSAGES = "other_messages"
"""Not judged again: the definition has other messages than the one that asked."""
SHOWN = 1000
"""Entries that are told one by one: a journal can have millions."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One question to one miner, judged again; `problem` says why not, where it was not."""

    round: int
    task: str
    hotkey: str
    old: float
    new: float | None
    old_reason: str
    new_reason: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What becomes of one hotkey (ss58): standings 0..1, and shares of all weight."""

    hotkey: str
    uid: int
    old_standing: float
    new_standing: float
    old_share: float
    new_share: float

    @property
    def change(self) -> float:
        """By how much its share grows."""
        return self.new_share - self.old_share


@dataclass(frozen=True)
class Replayed:
    """What a replay found. `shifts` are sorted by change, the greatest gain first.

    `problems` counts the entries that were not judged again, by why; `not_judged` are the first
    `SHOWN` of them.
    """

    rounds: int
    judged: int
    changed: int
    shifts: tuple[Shift, ...]
    not_judged: tuple[Entry, ...]
    problems: Mapping[str, int]
    codes: tuple[Mapping[str, Any], ...] = ()
    """The versions of the code that judged these rounds."""
    signed: Mapping[str, int] = field(default_factory=dict)
    """How many replies their miners signed for, and for what: see `signatures.Signed`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What turns standings into shares, besides the definition."""

    half_life_rounds: float
    burn: float = 0.0
    coldkey_seats: int | None = None


class Unrevealed(Task[C]):
    """A task whose reference nobody has told us: who only reads the challenge can judge it."""

    __slots__ = ()

    def __init__(self, id: str, challenge: C) -> None:
        for name, value in (("id", id), ("challenge", challenge), ("canary", None)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "organic", False)

    @property
    def reference(self) -> object:
        """Raises ReferenceUnknown."""
        raise ReferenceUnknown(self.id)


class _Leaves:
    """What was published, in a file: a journal can tell of more questions than memory holds."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")  # it does not outlive this process
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE leaves (task BLOB PRIMARY KEY, text BLOB) WITHOUT ROWID")

    def add(self, texts: Iterable[str], path: Path) -> None:
        """Keep leaves that stand in the file at `path`. Raises StateError where one is none."""
        try:
            rows = [(_bytes(Leaf.parse(text).task), _bytes(text)) for text in texts]
        except NoLeaf as error:
            raise StateError(path, str(error)) from error
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO leaves VALUES (?, ?)", rows)
        self._db.execute("COMMIT")

    def find(self, task: str) -> Leaf | None:
        """The leaf of this task, if it was told."""
        query = "SELECT text FROM leaves WHERE task = ?"
        row = self._db.execute(query, (_bytes(task),)).fetchone()
        return None if row is None else Leaf.parse(row[0].decode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _bytes(text: str) -> bytes:
    """An author's text can hold what no UTF-8 has, and SQLite would refuse."""
    return text.encode("utf-8", "surrogatepass")


@dataclass
class _Survey:
    """The first reading: what the second needs to know."""

    leaves: _Leaves
    last: dict[int, int] = field(default_factory=dict)
    """By round the line that holds: of those written after a ledger was restored, the later."""


async def replay(
    path: Path,
    new: Subnet[Any, Any],
    *,
    old: Subnet[Any, Any] | None = None,
    rules: Rules,
    since: float | None = None,
    sealed: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Replayed:
    """Judge the rounds in the journal at `path` by `new`, from Unix time `since` on.

    `old` is the definition whose weights the old shares are made by; left out, `new`. `sealed` is
    the validator's own file of questions that are not published yet. `tell` hears of rounds done
    and rounds in all. Raises StateError, FileNotFoundError and what `new` needs and cannot have.
    """
    entries: list[Entry] = []
    problems: Counter[str] = Counter()
    codes: dict[str, Mapping[str, Any]] = {}
    signed: Counter[str] = Counter()
    done = judged = changed = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-")))
        leaves = stack.enter_context(closing(_Leaves(folder / "leaves.sqlite")))
        survey = _survey(path, since, sealed, leaves)
        sides = [
            _Side(stack.enter_context(_ledger(folder / name, rules, subnet.memory)), subnet, rules)
            for name, subnet in (("old", old or new), ("new", new))
        ]
        async with new.judge():
            for number, line in enumerate(journal.read(path, since=since)):
                if line.get("kind") != "round" or survey.last[int(line["round"])] != number:
                    continue
                if line["code"] is not None:
                    codes[json.dumps(line["code"], sort_keys=True)] = line["code"]
                kept: list[tuple[Judged, Judged]] = []
                for asked in line["replies"]:
                    signed[verified(line, asked).value] += 1
                    was = _was(path, line, asked)
                    entry, pair = await _again(new, survey, line, asked, was)
                    if pair is None:
                        problems[str(entry.problem)] += 1
                        if len(entries) < SHOWN:
                            entries.append(entry)
                        continue
                    kept.append(pair)
                    judged += 1
                    changed += entry.new != entry.old
                for index, side in enumerate(sides):
                    side.add(line, [pair[index] for pair in kept])
                done += 1
                tell(done, len(survey.last))
        before, after = (side.shares() for side in sides)
    shifts = [
        Shift(hotkey, sides[1].uids[hotkey], *_columns(hotkey, sides, before, after))
        for hotkey in sides[1].uids
    ]
    shifts.sort(key=lambda shift: (-shift.change, shift.uid))
    versions = tuple(codes.values())
    return Replayed(
        done, judged, changed, tuple(shifts), tuple(entries), problems, versions, signed
    )


def _columns(
    hotkey: str, sides: Sequence[_Side], before: Mapping[int, float], after: Mapping[int, float]
) -> tuple[float, float, float, float]:
    old, new = sides
    uid = new.uids[hotkey]
    return (
        old.scores.get(hotkey, 0.0),
        new.scores.get(hotkey, 0.0),
        before.get(uid, 0.0),
        after.get(uid, 0.0),
    )


def _survey(path: Path, since: float | None, sealed: Path | None, leaves: _Leaves) -> _Survey:
    survey = _Survey(leaves)
    for number, line in enumerate(journal.read(path, since=since)):
        if line.get("kind") == "round":
            survey.last[int(line["round"])] = number
        elif line.get("kind") == "leaves":
            leaves.add((entry["leaf"] for entry in line["leaves"] if "leaf" in entry), path)
    if sealed is not None and sealed.exists():
        for sealing in Sealings(sealed).items:
            leaves.add(sealing.texts, sealed)
    return survey


def _was(path: Path, line: Mapping[str, Any], asked: Mapping[str, Any]) -> Judgement:
    try:
        return judgement_of(asked)
    except (KeyError, TypeError, ValueError) as error:
        where = f"round {line['round']}, task {asked['task']}, uid {asked['uid']}"
        raise StateError(path, f"{where}: no judgement: {error!r}"[:300]) from error


async def _again(
    subnet: Subnet[Any, Any],
    survey: _Survey,
    line: Mapping[str, Any],
    asked: Mapping[str, Any],
    was: Judgement,
) -> tuple[Entry, tuple[Judged, Judged] | None]:
    """One entry judged again, with the old judgement and the new; None where it cannot be."""

    def not_judged(problem: str) -> tuple[Entry, None]:
        return _entry(line, asked, None, "", problem), None

    reply: Reply[Any] = reply_of(asked, None)
    if reply.failure is not None:
        # No definition is asked about these; what failed then fails by every rule.
        task: Task[Any] = Unrevealed(str(asked["task"]), subnet.challenge.model_construct())
    else:
        challenges = {str(item["id"]): item for item in line["tasks"]}
        item = challenges.get(str(asked["task"]), {})
        if item.get("challenge") is None:
            return not_judged(NO_ANSWER)
        try:
            answer = answer_of(subnet, asked)
            task = _task(subnet, survey, item)
        except (ValidationError, MalformedMessage):
            return not_judged(OTHER_MESSAGES)
        if answer is None:
            return not_judged(NO_ANSWER)
        reply = reply_of(asked, answer)
    try:
        (now,) = await judge(subnet, [(task, reply)])
    except ReferenceUnknown:
        return not_judged(NO_REFERENCE)
    entry = _entry(line, asked, now.judgement.score, now.judgement.reason, None)
    return entry, (Judged(task, reply, was), now)


def _entry(
    line: Mapping[str, Any],
    asked: Mapping[str, Any],
    score: float | None,
    reason: str,
    problem: str | None,
) -> Entry:
    return Entry(
        int(line["round"]),
        str(asked["task"]),
        str(asked["hotkey"]),
        float(asked["score"]),
        score,
        str(asked["reason"]),
        reason,
        problem,
    )


def _task(subnet: Subnet[Any, Any], survey: _Survey, item: Mapping[str, Any]) -> Task[Any]:
    """The task that was asked, with its reference if a leaf tells it."""
    name, challenge = str(item["id"]), item["challenge"]
    asked = subnet.challenge.model_validate_json(json.dumps(challenge))
    leaf = survey.leaves.find(name)
    if leaf is None or leaf.challenge != challenge:
        return Unrevealed(name, asked)
    return Task(name, asked, subnet.reference(leaf.reference), canary=leaf.canary)


def answer_of(subnet: Subnet[Any, Any], asked: Mapping[str, Any]) -> Answer | None:
    """The answer in a round's reply, None where there is none.

    Raises ValidationError and MalformedMessage where it is no answer of `subnet`.
    """
    if asked.get("body") is not None:
        try:
            body = base64.b64decode(asked["body"])
        except (TypeError, ValueError):
            raise MalformedMessage(("body: no base64",)) from None
        decoded: Answer = codec.decode(subnet.answer, body)
        return decoded
    if asked["answer"] is None:
        return None
    found: Answer = subnet.answer.model_validate_json(json.dumps(asked["answer"]))
    return found


def reply_of(asked: Mapping[str, Any], answer: Answer | None) -> Reply[Any]:
    """The reply that was written down, with `answer` in it; its body is not kept."""
    return Reply(
        uid=int(asked["uid"]),
        hotkey=str(asked["hotkey"]),
        answer=answer,
        failure=None if asked["failure"] is None else Failure(asked["failure"]),
        detail=str(asked["detail"]),
        status=asked["status"],
        signed=bool(asked["signed"]),
        timing=Timing(asked["queued_s"], asked["first_byte_s"], asked["total_s"]),
        audited=bool(asked.get("audited", True)),
    )


def judgement_of(asked: Mapping[str, Any]) -> Judgement:
    """The judgement that was written down. Raises KeyError, TypeError or ValueError for none."""
    claim = asked.get("claim")
    return Judgement(
        float(asked["score"]),
        str(asked["reason"]),
        asked["facts"],
        statements=tuple(map(_statement, asked.get("statements", ()))),
        claim=None if claim is None else Claim(**claim),
    )


def _statement(said: Mapping[str, Any]) -> Statement:
    return Statement(
        said["check"],
        Seeing(said["outcome"]),
        said["reason"],
        said["log_ratio"],
        tuple(Measure(**measure) for measure in said["measures"]),
    )


def _ledger(path: Path, rules: Rules, memory: Memory | None) -> Ledger:
    return Ledger(
        path / "ledger.sqlite",
        half_life_rounds=rules.half_life_rounds,
        clock=lambda: 0.0,
        keep_rounds=reach(memory),
    )


class _Side:
    """What one definition makes of the rounds: a memory, standings and shares."""

    def __init__(self, ledger: Ledger, subnet: Subnet[Any, Any], rules: Rules) -> None:
        self._ledger = ledger
        self._subnet = subnet
        self._rules = rules
        self.uids: dict[str, int] = {}
        """Who was asked last, and where each sat then."""
        self.scores: Mapping[str, float] = {}

    def add(self, line: Mapping[str, Any], judged: Sequence[Judged]) -> None:
        """Remember one round."""
        number = int(line["round"])
        coldkeys: Mapping[str, str] = line.get("coldkeys", {})
        for new, old in line.get("moved", {}).items():
            self._ledger.move(old, new)
        self._ledger.remember(
            number,
            block=int(line["block"]),
            epoch=int(line["epoch"]),
            digests=(),
            outcomes=[outcome_of(item, coldkeys.get(item.reply.hotkey)) for item in judged],
        )
        self.uids = {str(asked["hotkey"]): int(asked["uid"]) for asked in line["replies"]}
        standings = stand(
            self._ledger,
            self._subnet.memory,
            Metagraph(int(line["netuid"]), int(line["block"]), 0, 0, "", "", ()),
            [Target(uid, hotkey, "", 0) for hotkey, uid in self.uids.items()],
            now=number,
            coldkey_seats=None,
            moved={},
        )
        self.scores = standings.scores
        if self._rules.coldkey_seats is not None:
            known = {hotkey: coldkeys.get(hotkey, hotkey) for hotkey in self.scores}
            self.scores = fold(self.scores, known, self._rules.coldkey_seats)

    def shares(self) -> Mapping[int, float]:
        """Share of all weight by uid, after the last round; what is burned goes to no miner."""
        by_uid = {self.uids[hotkey]: score for hotkey, score in self.scores.items()}
        weights = self._subnet.weights(by_uid)
        total = sum(weights.values())
        if not total:
            return {}
        return {uid: (1 - self._rules.burn) * w / total for uid, w in weights.items()}
