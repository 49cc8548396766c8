"""Who was looked at: the draw is the chain's, and every answer was treated as it fell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chain.client.chain import Chain
from chain.errors import ChainRefused
from chain.types import AccountId
from subnet.definition import Subnet
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.signed import time_of
from validators.drawing import Beacon
from validators.signatures import asked_at

CLOCKS_S = 12.0
"""So far apart the clocks of a validator and of its miners can be, and the chain's with them."""


async def check_draws(
    chain: Chain, found: Audit, subnet: Subnet[Any, Any], rounds: Sequence[Line]
) -> None:
    """Draw again, by the hashes that the chain has. Raises ChainAway."""
    for line in rounds:
        where = f"round {line['round']}"
        beacon = await _beacon(chain, found, subnet.audit_rate, line, where)
        if beacon is not None:
            await _check_time(chain, found, beacon, line, where)
        for entry in line["replies"]:
            drawn = beacon is None or beacon.draws(
                entry["task"], bytes(AccountId.from_ss58(entry["hotkey"]))
            )
            if entry.get("audited", True) != drawn:
                text = f"{where}, task {entry['task']}, miner {entry['hotkey']}"
                found.differences.append(
                    Difference(Flaw.DRAWN, text, entry.get("audited", True), drawn)
                )


async def _check_time(chain: Chain, found: Audit, beacon: Beacon, line: Line, where: str) -> None:
    """Whoever asks when the draw is known already can tell a friend of it."""
    asked = [at for entry in line["replies"] if entry["signed"] and (at := asked_at(entry))]
    try:
        drawn = await time_of(chain, beacon.block)
    except ChainRefused:
        return  # nor is there its hash, which is said
    late = sum(at > drawn + CLOCKS_S for at in asked) if drawn is not None else 0
    if late:
        found.unchecked.append(
            f"{where}: {late} of {len(asked)} were asked when block {beacon.block} was there, by "
            "whose hash answers are looked at: a node was behind, or the draw was known"
        )


async def _beacon(chain: Chain, found: Audit, rate: float, line: Line, where: str) -> Beacon | None:
    """The beacon of a round, None where all were to be looked at."""
    written = line.get("beacon")
    if written is None:
        if rate < 1.0:
            text = f"{where}: the share of answers looked at"
            found.differences.append(Difference(Flaw.DRAWN, text, 1.0, rate))
        return None
    try:
        beacon = Beacon.of(written)
    except ValueError as error:
        found.differences.append(Difference(Flaw.DRAWN, f"{where}: {error}"))
        return None
    if beacon.rate != rate:
        text = f"{where}: the share of answers looked at"
        found.differences.append(Difference(Flaw.DRAWN, text, beacon.rate, rate))
    if not int(line["block"]) <= beacon.answered_at == beacon.block - 1:
        text = f"{where}: its draw is of block {beacon.block}, which is not the one after"
        found.differences.append(Difference(Flaw.DRAWN, text, beacon.answered_at, line["block"]))
    try:
        there = await chain.block_hash(beacon.block)
    except ChainRefused as error:
        found.unchecked.append(f"{where}: the draw's block {beacon.block}: {error}")
        return beacon
    if there != beacon.hash:
        text = f"{where}: the hash of block {beacon.block}"
        found.differences.append(Difference(Flaw.DRAWN, text, beacon.hash, there))
    return beacon
