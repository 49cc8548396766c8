"""Evidence across miners and validators, for a person to look into: from a journal and the chain.

Who shares an owner, an address, failures, latencies or answers, and whose weights stand apart. A
hint is no proof, and nothing here decides about pay: two strangers in one data centre share its
failures, and whoever saw a change first stands apart. What each kind can and cannot tell is said
in `scoring.owners`, `scoring.copies` and `scoring.outliers`.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from scoring import copies, outliers, owners

LEVEL = 0.01
"""Of the hints of one kind, this share is expected to be false."""
ROUNDS = 500
"""The newest ones, in which failures and latencies are compared."""
QUESTIONS = 200
"""The newest ones, of which answers are compared."""
LEAST_WORDS = 8
"""Shorter answers are the same by themselves."""
LEAST_LIKENESS = 0.8
"""Of two answers' runs of words, the share that both must have to count as one copied."""
PRESENT = 0.9
"""Miners asked in a smaller share of the rounds are not compared: they are new, or gone."""
APART = 3.0
"""Standard deviations from which on a validator's row is said to stand apart."""


@dataclass(frozen=True, slots=True)
class Hint:
    """`hotkeys` (ss58) look alike in `what`, or one of them stands apart.

    `what` is "coldkey", "address", "failures", "latencies", "answers" or "weights". `p` is the
    chance of so much likeness among those who have nothing in common, corrected for how many pairs
    were compared; None where it is a fact. `detail` is for a person.
    """

    what: str
    hotkeys: tuple[str, ...]
    detail: str
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What was found in `rounds` rounds of `questions` questions, at `block` of the chain.

    `miners` were compared, `left_out` were not asked often enough. A block of None: the chain was
    not looked at.
    """

    rounds: int
    questions: int
    miners: int
    left_out: int
    block: int | None
    hints: tuple[Hint, ...]


@dataclass(frozen=True, slots=True)
class Weighers:
    """The rows of the validators that have a permit, {hotkey: {hotkey: u16}}, and their stake."""

    rows: Mapping[str, Mapping[str, float]]
    stake: Mapping[str, float]


def find_hints(
    lines: Iterable[Mapping[str, Any]],
    metagraph: Metagraph | None = None,
    weighers: Weighers | None = None,
) -> Hints:
    """Everything that `lines` of a journal, oldest first, and the chain hint at.

    Failures, latencies and answers need scipy, from the extra `judging`: raises ImportError.
    """
    rounds = [line for line in lines if line.get("kind") == "round"][-ROUNDS:]
    seconds, left_out = _seconds(rounds)
    found = [Hint(h.what, (str(h.a), str(h.b)), "together", h.p) for h in owners.hints(seconds)]
    answers = list(_answers(rounds))[-QUESTIONS:]
    found += _copied(answers)
    if metagraph is not None:
        found += _shared(metagraph)
    if weighers is not None:
        found += _apart(weighers)
    return Hints(
        rounds=len(rounds),
        questions=len(answers),
        miners=len(seconds),
        left_out=left_out,
        block=None if metagraph is None else metagraph.block,
        hints=tuple(found),
    )


async def read_weighers(chain: Chain, metagraph: Metagraph) -> Weighers:
    """The rows of mechanism 0 as the chain holds them; hidden ones are the last that were shown."""
    hotkeys = {neuron.uid: neuron.hotkey for neuron in metagraph.neurons}
    rows, stake = {}, {}
    for neuron in metagraph.neurons:
        if not neuron.permit:
            continue
        row = await chain.weights(metagraph.netuid, neuron.uid, metagraph.block)
        rows[neuron.hotkey] = {
            hotkeys[uid]: float(value)
            for uid, value in row.items()
            if uid in hotkeys and uid != neuron.uid
        }
        stake[neuron.hotkey] = float(int(neuron.stake))
    return Weighers(rows, stake)


def _seconds(
    rounds: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[float | None]], int]:
    """How long each miner took for each question, in the same order for all; and who is left out.

    Of one round the first questions are compared with each other, the second, and so on. Who could
    not be asked, its address withdrawn, has not answered.
    """
    table: list[dict[tuple[str, int], float | None]] = []
    for line in rounds:
        asked: Counter[str] = Counter()
        row: dict[tuple[str, int], float | None] = {}
        for reply in line["replies"]:
            hotkey = reply["hotkey"]
            row[hotkey, asked[hotkey]] = None if reply["failure"] else reply["total_s"]
            asked[hotkey] += 1
        table.append(row)
    times = Counter(hotkey for row in table for hotkey, number in row if number == 0)
    present = [hotkey for hotkey in times if times[hotkey] >= PRESENT * len(table)]
    seconds: dict[str, list[float | None]] = {hotkey: [] for hotkey in present}
    for row in table:
        for number in sorted({number for _, number in row}):
            for hotkey in present:
                seconds[hotkey].append(row.get((hotkey, number)))
    return seconds, len(times) - len(present)


def _answers(rounds: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The texts that were answered to each question, by hotkey, where there are two at least."""
    for line in rounds:
        by_task: dict[str, dict[str, str]] = defaultdict(dict)
        for reply in line["replies"]:
            text = " ".join(_texts(reply.get("answer")))
            if len(text.split()) >= LEAST_WORDS:
                by_task[reply["task"]][reply["hotkey"]] = text
        yield from (texts for texts in by_task.values() if len(texts) > 1)


def _texts(answer: Any) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, Mapping):
        for value in answer.values():
            yield from _texts(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _texts(value)


def _copied(questions: Sequence[Mapping[str, str]]) -> Iterator[Hint]:
    """Pairs whose answers are the same more often than if every pair's were as likely to be.

    So where everybody's answers are much alike, nobody's are a hint.
    """
    key = secrets.token_bytes(16)
    both, same = Counter[frozenset[str]](), Counter[frozenset[str]]()
    rates: dict[frozenset[str], list[float]] = defaultdict(list)
    for answers in questions:
        pairs = {frozenset(pair) for pair in combinations(answers, 2)}
        found = copies.alike(answers, LEAST_LIKENESS, key=key)
        alike = {frozenset((pair.a, pair.b)) for pair in found}
        for pair in pairs:
            both[pair] += 1
            same[pair] += pair in alike
            # As likely as of any other pair, if nobody has anything in common with anybody.
            rates[pair].append(len(alike) / len(pairs))
    suspects = [pair for pair in both if same[pair]]
    if not suspects:
        return
    p_of = [_p(same[pair], rates[pair]) for pair in suspects]
    # Corrected for all pairs that were compared, also those with nothing in common.
    corrected = _corrected([*p_of, *[1.0] * (len(both) - len(suspects))])[: len(suspects)]
    for pair, p in sorted(zip(suspects, corrected, strict=True), key=lambda item: item[1]):
        if p <= LEVEL:
            a, b = sorted(pair)
            yield Hint("answers", (a, b), f"{same[pair]} of {both[pair]} the same", p)


def _p(same: int, rates: Sequence[float]) -> float:
    """The chance of so many or more, each question having its own rate: by its mean, as Hoeffding's
    "On the distribution of the number of successes in independent trials" (1956) allows above it.
    """
    from scipy import stats

    return float(stats.binom.sf(same - 1, len(rates), math.fsum(rates) / len(rates)))


def _corrected(p_of: Sequence[float]) -> list[float]:
    from scipy import stats

    return [float(p) for p in stats.false_discovery_control(p_of)]


def _shared(metagraph: Metagraph) -> Iterator[Hint]:
    """Who has a common coldkey, or has published a common address under different ones."""
    by_coldkey: dict[str, list[str]] = defaultdict(list)
    by_host: dict[str, dict[str, str]] = defaultdict(dict)
    for neuron in metagraph.neurons:
        by_coldkey[neuron.coldkey].append(neuron.hotkey)
        if neuron.host is not None:
            by_host[neuron.host][neuron.hotkey] = neuron.coldkey
    for coldkey, hotkeys in by_coldkey.items():
        if len(hotkeys) > 1:
            yield Hint("coldkey", tuple(hotkeys), coldkey)
    for host, owned in by_host.items():
        if len(set(owned.values())) > 1:
            yield Hint("address", tuple(owned), host)


def _apart(weighers: Weighers) -> Iterator[Hint]:
    found = outliers.positions(weighers.rows, weighers.stake)
    for hotkey, at in sorted(found.items(), key=lambda item: -item[1].sigmas):
        if at.sigmas >= APART:
            detail = f"{at.distance:.1%} from the others, {at.sigmas:.1f} deviations"
            favoured = () if at.favourite is None else (at.favourite,)
            if favoured:
                detail += f"; {at.excess:+.1%} for the second"
            yield Hint("weights", (hotkey, *favoured), detail)
