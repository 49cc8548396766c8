"""Weights: when they may be set, setting them, and the proof that they landed.

Where no miner has earned anything, the owner's seat takes the whole weight, and the chain burns
what it would have paid: old weights must not go on paying miners that stopped working.
What was sent is compared with what the chain holds afterwards, u16 for u16. Where a subnet hides
weights until they are revealed there is nothing to compare yet, and the report says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from chain.client.chain import Chain, Signer
from chain.client.subnet import Schedule
from chain.errors import ChainRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of one round's weights, rows as {uid: u16}.

    `read_back` is None while the chain keeps them hidden, or when nothing was set; `problem` says
    why nothing was set.
    """

    set: bool = False
    read_back: bool | None = None
    block: int | None = None
    meant: Mapping[int, int] = field(default_factory=dict)
    found: Mapping[int, int] | None = None
    reveal_round: int | None = None
    burned: bool = False
    """No miner had earned anything: the weight is the owner's, which the chain never pays out."""
    problem: str | None = None


def block_to_set(schedule: Schedule, *, last_update: int, rate_limit: int) -> int | None:
    """First block of the current epoch at which new weights are taken; None if there is none.

    The chain takes weights `rate_limit` blocks after the last ones (`last_update` 0: at once).
    Weights in the block in which an epoch runs count for the next one only.
    """
    if schedule.next_block is None:
        return None
    allowed = schedule.block if last_update == 0 else max(schedule.block, last_update + rate_limit)
    return allowed if allowed < schedule.next_block else None


async def set_weights(
    chain: Chain,
    hotkey: Signer,
    netuid: int,
    uid: int,
    weights: Mapping[int, float],
    *,
    owner: int | None,
    version_key: int,
) -> WeightsReport:
    """Set the weights of `uid` and read them back. Raises ChainAway; a refusal is in the report.

    `owner` is the seat of the subnet's owner, if it has one: it takes what nobody has earned.
    """
    burned = not any(weights.values())
    if burned:
        if owner is None:
            log.warning("no miner has earned anything, and the owner has no seat to burn it with")
            return WeightsReport(
                problem="no miner has earned anything, and the owner has no seat: "
                "the old weights stay"
            )
        log.warning("no miner has earned anything: all weight to uid %d, the owner's", owner)
        weights = {owner: 1.0}
    try:
        receipt = await chain.set_weights(hotkey, netuid, weights, version=version_key)
    except ChainRefused as error:
        log.warning("the chain refused the weights: %s", error)
        return WeightsReport(problem=f"refused: {error}")
    if receipt.reveal_round is not None:
        log.info("weights committed; they open in round %d of the beacon", receipt.reveal_round)
        return WeightsReport(
            set=True,
            block=receipt.block,
            meant=receipt.row,
            reveal_round=receipt.reveal_round,
            burned=burned,
        )
    found = await chain.weights(netuid, uid, receipt.block)
    same = {target: value for target, value in found.items() if value} == dict(receipt.row)
    if not same:
        log.error("the chain holds other weights than were sent: %s, not %s", found, receipt.row)
    return WeightsReport(
        set=True,
        read_back=same,
        block=receipt.block,
        meant=receipt.row,
        found=found,
        burned=burned,
    )
