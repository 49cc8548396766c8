"""From judged answers into the ledger, and from the ledger to what each miner's past is worth.

The policies are the subnet's (`Subnet.memory`); without any, the ledger's own mean is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.client.metagraph import Metagraph
from scoring.owners import FOLDED, fold
from scoring.policies import Memory, Standing
from subnet.protocol import Target
from validators.judge import Judged
from validators.ledger import KEEP_ROUNDS, Ledger, Outcome, Seat
from validators.moment import Moment


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

    `now` is the round just remembered. New bans are written down before anything follows from
    them; a process killed in between finds them again, since the answers are there.
    """
    hotkeys = sorted({target.hotkey for target in targets})
    found = {} if memory is None else dict(_each(ledger, memory, hotkeys, now))
    return _together(ledger, found, memory, metagraph, hotkeys, coldkey_seats, moved)


async def stand_by_turns(
    ledger: Ledger,
    memory: Memory | None,
    metagraph: Metagraph,
    targets: Sequence[Target],
    *,
    now: int,
    coldkey_seats: int | None,
    moved: Mapping[str, str],
) -> Standings:
    """As `stand`, and other tasks go on meanwhile: a long past takes milliseconds, many of them
    seconds."""
    hotkeys = sorted({target.hotkey for target in targets})
    found: dict[str, Standing] = {}
    if memory is not None:
        for hotkey, standing in _each(ledger, memory, hotkeys, now):
            found[hotkey] = standing
            await asyncio.sleep(0)
    return _together(ledger, found, memory, metagraph, hotkeys, coldkey_seats, moved)


def _each(
    ledger: Ledger, memory: Memory, hotkeys: Sequence[str], now: int
) -> Iterator[tuple[str, Standing]]:
    for hotkey in hotkeys:
        history = ledger.history(hotkey, since=now - memory.rounds + 1)
        standing = memory.standing(history, ledger.bans(hotkey), now)
        if standing.new_bans:
            ledger.ban(hotkey, standing.new_bans)
        yield hotkey, standing


def _together(
    ledger: Ledger,
    found: Mapping[str, Standing],
    memory: Memory | None,
    metagraph: Metagraph,
    hotkeys: Sequence[str],
    coldkey_seats: int | None,
    moved: Mapping[str, str],
) -> Standings:
    if memory is None:
        evidence = ledger.evidence()
        scores = {hotkey: evidence[hotkey].score for hotkey in hotkeys if hotkey in evidence}
    else:
        scores = {hotkey: standing.score for hotkey, standing in found.items()}
    reasons = {hotkey: standing.reason for hotkey, standing in found.items() if standing.reason}
    facts = {hotkey: standing.facts for hotkey, standing in found.items()}
    if coldkey_seats is None:
        return Standings(scores, reasons, facts, moved)
    coldkeys = {n.hotkey: n.coldkey for n in metagraph.neurons if n.hotkey in scores}
    folded = fold(scores, coldkeys, coldkey_seats)
    lost = [hotkey for hotkey, score in scores.items() if folded[hotkey] < score]
    reasons.update(dict.fromkeys(lost, FOLDED))
    return Standings(folded, reasons, facts, moved, coldkeys)
