"""What is remembered of every hotkey after each round: made again of all the scores before it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from subnet.config import WeightsTable
from subnet.definition import Subnet
from subnet.protocol import Challenge, Target, Task
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.sealed import Askable
from validators.judge import Judged
from validators.ledger import Ledger, Seat
from validators.memory import outcome_of, reach, stand
from validators.replay import judgement_of, reply_of

EXACT = 1e-9
"""Two scores this close are the same."""


async def check_memory(
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
