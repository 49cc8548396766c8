"""Why a miner got what it got: one hotkey's rounds, reasons, standing and weight, from the journal.

An explanation holds what concerns that hotkey alone, and is small: it can be sent. Knows nothing
of sockets; `explaining` serves it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from subnet.definition import Fact
from subnet.protocol import Answer, Challenge
from validators.signatures import Signed, signed_for, verified

PATH = "/explain"
KEPT_ROUNDS = 32
QUESTIONS = 64
"""In one explanation, the newest ones."""
FACTS = 32
TEXT = 200
"""Characters of a detail or of a fact that is text."""


class Why(Challenge):
    """Ask a validator about oneself: `hotkey` (ss58) must be the asker's own.

    Without `round`, about all rounds that it still has at hand.
    """

    hotkey: Annotated[str, Field(min_length=1, max_length=64)]
    round: Annotated[int, Field(ge=1, lt=2**53)] | None = None


class Question(BaseModel):
    """One question and what its answer was worth; times in seconds as `Timing` counts them.

    `signed` says what the journal can prove: see `signatures.Signed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    block: int
    epoch: int
    time: float
    task: str
    answered: bool
    score: float
    reason: str
    detail: str
    total_s: float
    queued_s: float
    facts: dict[str, Fact]
    signed: str = ""


class Weight(BaseModel):
    """What the validator meant to set for the hotkey's seat after round `round`.

    `share` is that of the whole row; `burned` says that no miner had earned anything; `problem`
    why nothing was set, if nothing was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    set: bool
    uid: int
    value: int
    share: float
    burned: bool
    read_back: bool | None
    block: int | None
    problem: str | None


class Explanation(Answer):
    """What one validator knows of one hotkey.

    `standing` is what is remembered of it, 0..1, after round `round`, and `rank` how many stand
    higher, plus one. `withheld` is the reason code if its past is worth less than its mean says:
    a ban, say, or other hotkeys on the same coldkey. `memory` are the numbers behind that, and
    `follows` the hotkey whose past it took over. `reasons` counts reason codes over `rounds`
    rounds, and `signed` what the hotkey has signed for in them. `burn` is the share of all weight
    that goes to nobody.
    """

    validator: str
    hotkey: str
    netuid: int
    round: int
    rounds: int
    asked: int
    answered: int
    reasons: dict[str, int]
    standing: float | None
    rank: int | None
    ranked: int
    withheld: str | None
    memory: dict[str, float]
    follows: str | None
    burn: float
    weight: Weight | None
    code: dict[str, str | None] | None
    questions: tuple[Question, ...]
    signed: dict[str, int] = {}


_KEPT = ("task", "uid", "failure", "score", "reason", "detail", "total_s", "queued_s", "facts")


_OF_EVERYBODY = ("scores", "withheld", "memory", "moved", "coldkeys")


class Unknown(LookupError):
    """This hotkey was not asked in any round at hand, or not in that one."""


class Hidden(LookupError):
    """It was, but no row that was made of it is on the chain for all to see."""


class Recent:
    """The last rounds, as far as explanations need them; bounded however long they are noted.

    With `only`, of that hotkey alone, and what concerns all the others of the newest rounds only:
    that would be most of a long journal. `burn` is the setting that the validator runs with.
    """

    def __init__(
        self, *, rounds: int = KEPT_ROUNDS, only: str | None = None, burn: float = 0.0
    ) -> None:
        self._most = rounds
        self._only = only
        self._burn = burn
        self._rounds: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._weighed: dict[str, Any] | None = None
        self._ended: set[tuple[int, int]] = set()

    def note(self, line: Mapping[str, Any]) -> None:
        """Take in one line of the journal."""
        if line.get("kind") == "reveal":
            self._note_reveal(line)
        if line.get("kind") != "round":
            return
        number = int(line["round"])
        self._rounds.pop(number, None)  # of rounds asked twice the later line holds
        replies: dict[str, list[Mapping[str, Any]]] = {}
        for reply in line["replies"]:
            hotkey = str(reply["hotkey"])
            if self._only in (None, hotkey):
                # Whoever reads a journal verifies; whoever writes it has just done so.
                look = signed_for if self._only is None else verified
                entry = {key: reply[key] for key in _KEPT} | {"signed": look(line, reply).value}
                replies.setdefault(hotkey, []).append(entry)
        kept = {key: value for key, value in line.items() if key not in ("tasks", "replies")}
        kept["replies"] = replies
        if self._only is not None:
            if not replies:
                return
            self._strip_older(kept)
        self._rounds[number] = kept
        while len(self._rounds) > self._most:
            self._rounds.popitem(last=False)
        oldest = next(iter(self._rounds))
        self._ended = {(round, number) for round, number in self._ended if round >= oldest}

    def _note_reveal(self, line: Mapping[str, Any]) -> None:
        round, mechanism = int(line["round"]), int(line.get("mechanism", 0))
        self._ended.add((round, mechanism))
        kept = self._rounds.get(round)
        if kept is not None and mechanism == 0 and kept["weights"]["set"]:
            same = line["ending"] == "revealed"
            kept["weights"] = {**kept["weights"], "read_back": same, "block": line["block"]}

    def _last_shown(self) -> int:
        """The newest round whose rows are on the chain for all to see; 0 if none is."""
        for round, line in reversed(self._rounds.items()):
            weights = line["weights"]
            others = weights.get("others") or {}
            reports = {0: weights} | {int(number): other for number, other in others.items()}
            if weights["set"] and all(
                not report["set"]
                or report["read_back"] is not None
                or (round, number) in self._ended
                for number, report in reports.items()
            ):
                return round
        return 0

    def _strip_older(self, newer: dict[str, Any]) -> None:
        """Let go of what `explain` takes from the newest round, or the newest that set weights."""
        if self._rounds:
            newest = self._rounds[next(reversed(self._rounds))]
            for name in _OF_EVERYBODY:
                newest.pop(name, None)
        if newer["weights"]["set"]:
            if self._weighed is not None:
                self._weighed["weights"] = {"set": False}
            self._weighed = newer

    def knows(self, hotkey: str) -> bool:
        """Whether this hotkey (ss58) was asked in a round at hand."""
        return any(hotkey in line["replies"] for line in self._rounds.values())

    def explain(
        self, hotkey: str, round: int | None = None, *, shown_only: bool = False
    ) -> Explanation:
        """Everything at hand about `hotkey`, or what concerns `round`. Raises Unknown.

        With `shown_only` nothing that would tell of weights which are hidden now, or will be:
        rounds up to the last one whose rows are on the chain for all to see. Raises Hidden.
        """
        numbers = [
            number
            for number, line in self._rounds.items()
            if hotkey in line["replies"] and round in (None, number)
        ]
        if not numbers:
            raise Unknown(hotkey)
        if shown_only:
            last_shown = self._last_shown()
            numbers = [number for number in numbers if number <= last_shown]
            if not numbers:
                raise Hidden(hotkey)
        lines = [self._rounds[number] for number in numbers]
        questions = [_question(line, reply) for line in lines for reply in line["replies"][hotkey]]
        last = lines[-1]
        scores: Mapping[str, float] = last["scores"]
        standing = scores.get(hotkey)
        return Explanation(
            validator=last["validator"],
            hotkey=hotkey,
            netuid=last["netuid"],
            round=last["round"],
            rounds=len(lines),
            asked=len(questions),
            answered=sum(question.answered for question in questions),
            reasons=dict(Counter(question.reason for question in questions).most_common(FACTS)),
            standing=standing,
            rank=None if standing is None else 1 + sum(s > standing for s in scores.values()),
            ranked=len(scores),
            withheld=last.get("withheld", {}).get(hotkey),
            memory=_numbers(last.get("memory", {}).get(hotkey, {})),
            follows=last.get("moved", {}).get(hotkey),
            burn=self._burn,
            weight=_weight(lines, hotkey),
            code=last["code"],
            questions=tuple(questions[-QUESTIONS:]),
            signed=dict(Counter(question.signed for question in questions)),
        )


def _question(line: Mapping[str, Any], reply: Mapping[str, Any]) -> Question:
    return Question(
        round=line["round"],
        block=line["block"],
        epoch=line["epoch"],
        time=line["time"],
        task=reply["task"],
        answered=reply["failure"] is None,
        score=reply["score"],
        reason=reply["reason"],
        detail=reply["detail"][:TEXT],
        total_s=reply["total_s"],
        queued_s=reply["queued_s"],
        facts={name: _fact(value) for name, value in list(reply["facts"].items())[:FACTS]},
        signed=reply["signed"],
    )


def _fact(value: object) -> Fact:
    """As it can be sent; before they were looked at when judged, an author's could be anything."""
    if isinstance(value, int | float | None):
        return value
    return str(value)[:TEXT].encode(errors="replace").decode()  # halves of a pair cannot be sent


def _weight(lines: list[dict[str, Any]], hotkey: str) -> Weight | None:
    """The newest weights of these rounds: those that were set, before those that were not."""
    tried = [line for line in lines if line["weights"]["set"]] or lines
    if not tried:
        return None
    line = tried[-1]
    weights = line["weights"]
    uid = line["replies"][hotkey][-1]["uid"]
    meant = {int(seat): int(value) for seat, value in weights["meant"].items()}
    value, whole = meant.get(uid, 0), sum(meant.values())
    return Weight(
        round=line["round"],
        set=weights["set"],
        uid=uid,
        value=value,
        share=value / whole if whole else 0.0,
        burned=weights.get("burned", False),
        read_back=weights["read_back"],
        block=weights["block"],
        problem=weights["problem"],
    )


def _numbers(facts: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in list(facts.items())[:FACTS]}


_WORDS = {
    "unreachable": "could not be reached",
    "tls": "did not prove to hold the TLS key it published",
    "timeout": "gave no whole answer in time",
    "refused": "refused to answer",
    "unsigned": "did not sign its answer",
    "bad_signature": "signed wrongly",
    "malformed": "sent what is no answer of this subnet",
    "broken_stream": "ended its stream without the signed end",
    "oversize": "sent more than is read",
    "private_address": "published an address that is not public, and was not asked",
    "judge_failed": "sent what broke the scorer",
    "engine_refused": "sent what the judge's model cannot be shown",
    "scored": "answered, and was scored without a reason",
    "folded": "other hotkeys on its coldkey stand higher, and only the best are paid",
}


_SIGNED = {
    Signed.QUESTION: "with this hotkey's signature for answer and question",
    Signed.ANSWER: "with this hotkey's signature for the answer, without the question",
    Signed.WITHHELD: "with a signature that is kept with somebody's own words",
    Signed.NOT_KEPT: "signed, by a version that did not keep signatures",
    Signed.NOTHING: "unsigned: what came, if anything, is the validator's word",
    Signed.FORGED: "with a signature that is not this hotkey's for that",
}


def words(found: Explanation) -> str:
    """An explanation for a person to read."""
    out = [
        f"{found.hotkey} on subnet {found.netuid}, as validator {found.validator} sees it",
        f"asked {_count(found.asked, 'question')} in {_count(found.rounds, 'round')}, the last is "
        f"{found.round}; answered {found.answered}",
    ]
    for reason, count in found.reasons.items():
        out.append(f"  {count:>5} x {reason}" + (f": {_WORDS[reason]}" if reason in _WORDS else ""))
    out.append("in the journal:")
    for signed, text in _SIGNED.items():
        if signed.value in found.signed:
            out.append(f"  {found.signed[signed.value]:>5} x {text}")
    if found.standing is None:
        out.append("its standing was not written down: that round was cut off")
    else:
        out.append(f"standing {found.standing:.4f}, rank {found.rank} of {found.ranked}")
    if found.follows is not None:
        out.append(f"its past is that of {found.follows}, whose seat it took over")
    if found.withheld is not None:
        known = _WORDS.get(found.withheld, "the subnet's rules of memory")
        out.append(f"worth less than its mean: {found.withheld} ({known})")
    out += [f"  {name} = {value:g}" for name, value in found.memory.items()]
    out += _weight_words(found)
    out.append("")
    for question in found.questions:
        facts = ", ".join(f"{name} {_short(value)}" for name, value in question.facts.items())
        told = "; ".join(filter(None, (question.detail, facts)))
        out.append(
            f"round {question.round}, block {question.block}: {question.score:.4f} "
            f"{question.reason} in {question.total_s:.3f} s" + (f" ({told})" if told else "")
        )
    return "\n".join(out)


def _weight_words(found: Explanation) -> list[str]:
    weight = found.weight
    if weight is None or (not weight.set and weight.problem is None):
        return []
    if not weight.set:
        return [f"no weights were set after round {weight.round}: {weight.problem}"]
    if weight.burned:
        return [f"after round {weight.round} all weight was burned: no miner had earned anything"]
    landed = "read back from the chain" if weight.read_back else "the chain holds another row"
    if weight.read_back is None:
        landed = "hidden until it is revealed"
    out = [
        f"weight {weight.value} of uid {weight.uid} after round {weight.round}: "
        f"{weight.share:.2%} of the row; {landed}"
    ]
    if found.burn:
        out.append(f"{found.burn:.0%} of all weight is burned, whoever answers how")
    return out


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _short(value: Fact) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
