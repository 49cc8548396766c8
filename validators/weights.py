"""Weights: when they may be set, setting them, and the proof that they landed.

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
    version_key: int,
) -> WeightsReport:
    """Set the weights of `uid` and read them back. Raises ChainAway; a refusal is in the report."""
    if not any(weights.values()):
        return WeightsReport(problem="no miner has earned anything: the old weights stay")
    try:
        receipt = await chain.set_weights(hotkey, netuid, weights, version=version_key)
    except ChainRefused as error:
        log.warning("the chain refused the weights: %s", error)
        return WeightsReport(problem=f"refused: {error}")
    if receipt.reveal_round is not None:
        log.info("weights committed; they open in round %d of the beacon", receipt.reveal_round)
        return WeightsReport(
            set=True, block=receipt.block, meant=receipt.row, reveal_round=receipt.reveal_round
        )
    found = await chain.weights(netuid, uid, receipt.block)
    same = {target: value for target, value in found.items() if value} == dict(receipt.row)
    if not same:
        log.error("the chain holds other weights than were sent: %s, not %s", found, receipt.row)
    return WeightsReport(
        set=True, read_back=same, block=receipt.block, meant=receipt.row, found=found
    )
