"""From judged answers into the ledger, and from the ledger to what each miner's past is worth.

The policies are the subnet's (`Subnet.memory`); without any, the ledger's own mean is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chain.client.metagraph import Metagraph
from scoring.owners import FOLDED, fold
from scoring.policies import Memory, Standing
from subnet.protocol import Target
from validators.judge import Judged
from validators.ledger import KEEP_ROUNDS, Ledger, Outcome, Seat
from validators.moment import Moment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standings:
    """What every hotkey that can be asked is worth now, 0..1.

    `reasons` has a code for each that is worth less than its mean, `facts` the numbers behind every
    score, and `moved` the hotkeys that took over a past, {new: old}. They are empty without
    policies and folding.
    """

    scores: Mapping[str, float]
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    coldkeys: Mapping[str, str] = field(default_factory=dict)
    """By which it was folded, by hotkey."""

    def line(self) -> dict[str, Any]:
        """For the journal's line of the round, beside its `scores`; nothing where nothing is."""
        parts = {
            "withheld": self.reasons,
            "memory": self.facts,
            "moved": self.moved,
            "coldkeys": self.coldkeys,
        }
        return {name: dict(part) for name, part in parts.items() if part}


def reach(memory: Memory | None) -> int:
    """How many rounds a ledger has to keep one by one."""
    return KEEP_ROUNDS if memory is None else memory.rounds


def remember_round(
    ledger: Ledger,
    round: int,
    moment: Moment,
    judged: Sequence[Judged],
    *,
    digests: Iterable[bytes],
    follow_swaps: bool,
) -> Mapping[str, str]:
    """Write the round into the ledger, by hotkey.

    Returns {new: old} of the hotkeys that took over a past, with `follow_swaps`.
    """
    neurons = moment.metagraph.neurons
    coldkeys = {neuron.hotkey: neuron.coldkey for neuron in neurons}
    return ledger.remember(
        round,
        block=moment.metagraph.block,
        epoch=moment.schedule.epochs,
        digests=digests,
        outcomes=[outcome_of(item, coldkeys.get(item.reply.hotkey)) for item in judged],
        seats=[Seat(neuron.hotkey, neuron.uid, neuron.registered_at) for neuron in neurons],
        follow_swaps=follow_swaps,
    )


def outcome_of(item: Judged, coldkey: str | None) -> Outcome:
    """One judged answer, as the ledger remembers it."""
    reply, judgement = item.reply, item.judgement
    return Outcome(
        reply.hotkey,
        judgement.score,
        reply.answer is not None,
        reason=judgement.reason,
        coldkey=coldkey,
        seconds=reply.timing.total_s,
        statements=judgement.statements,
        claim=judgement.claim,
    )


def stand(
    ledger: Ledger,
    memory: Memory | None,
    metagraph: Metagraph,
    targets: Sequence[Target],
    *,
    now: int,
    coldkey_seats: int | None,
    moved: Mapping[str, str],
) -> Standings:
    """What is remembered of every hotkey that can be asked; who cannot be asked earns nothing.

    `now` is the round just remembered.
    """
    found = dict(look_back(ledger, memory, targets, now))
    return together(found, metagraph, coldkey_seats=coldkey_seats, moved=moved)


def look_back(
    ledger: Ledger, memory: Memory | None, targets: Sequence[Target], now: int
) -> Iterator[tuple[str, Standing]]:
    """Each hotkey's own past; without policies, of those that have one.

    New bans are written down before anything follows from them; a process killed in between finds
    them again, since the answers are there.
    """
    hotkeys = sorted({target.hotkey for target in targets})
    if memory is None:
        evidence = ledger.evidence()
        yield from ((key, Standing(evidence[key].score)) for key in hotkeys if key in evidence)
        return
    for hotkey in hotkeys:
        history = ledger.history(hotkey, since=now - memory.rounds + 1)
        standing = memory.standing(history, ledger.bans(hotkey), now)
        if standing.new_bans:
            ledger.ban(hotkey, standing.new_bans)
        yield hotkey, standing


async def by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """`items`, and other tasks go on meanwhile: one long past takes milliseconds, many of them
    seconds."""
    for item in items:
        yield item
        await asyncio.sleep(0)


def together(
    found: Mapping[str, Standing],
    metagraph: Metagraph,
    *,
    coldkey_seats: int | None,
    moved: Mapping[str, str],
) -> Standings:
    """The standings of all, folded by coldkey where there is a limit to a coldkey's seats."""
    scores = {hotkey: standing.score for hotkey, standing in found.items()}
    reasons = {hotkey: standing.reason for hotkey, standing in found.items() if standing.reason}
    facts = {hotkey: standing.facts for hotkey, standing in found.items() if standing.facts}
    if coldkey_seats is None:
        return Standings(scores, reasons, facts, moved)
    coldkeys = {n.hotkey: n.coldkey for n in metagraph.neurons if n.hotkey in scores}
    folded = fold(scores, coldkeys, coldkey_seats)
    lost = [hotkey for hotkey, score in scores.items() if folded[hotkey] < score]
    reasons.update(dict.fromkeys(lost, FOLDED))
    return Standings(folded, reasons, facts, moved, coldkeys)
