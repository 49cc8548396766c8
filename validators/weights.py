"""Weights: when they may be set, setting them, and the proof that they landed.

Where no miner has earned anything, the owner's seat takes the whole weight, and the chain burns
what it would have paid: old weights must not go on paying miners that stopped working.
What was sent is compared with what the chain holds afterwards, u16 for u16. Where a subnet hides
weights until they are revealed there is nothing to compare yet: they are committed, and `commits`
sees to the rest.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chain.client.calls import U16_MAX, quantize
from chain.client.chain import SIGN_ANEW, Chain, Signer
from chain.client.commits import SALT_WORDS
from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Schedule
from chain.errors import ChainRefused
from validators.commits import Commits, Pending
from validators.proof import Difference, explain, has_landed

log = logging.getLogger(__name__)


class Code(enum.StrEnum):
    """Why a round set no weights: for scripts, where `problem` is for people."""

    LATER = "later"
    """Another round of this epoch sets them, or an earlier one did."""
    GATE = "first_weights_gate"
    """Too few miners are known, after a start."""
    SEAT = "no_seat"
    NOTHING = "nothing_earned"
    """Nobody has earned anything, and there is no owner's seat to burn it with."""
    REFUSED = "refused"
    INVALID = "invalid"
    """What the subnet's definition made of the scores are no weights."""
    WINDOW = "window_taken"
    """Another instance with the same lease has set this epoch's."""


class Overtaken(Exception):
    """The chain has taken another extrinsic with the number of this one, which has no effect."""


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of one round's weights, rows as {uid: u16}.

    `read_back` is None while the chain keeps them hidden, or when nothing was set; `problem` says
    why nothing was set. `commit` is the hash that hides them, `reveal_round` the round of the
    beacon that opens them.
    """

    set: bool = False
    read_back: bool | None = None
    block: int | None = None
    meant: Mapping[int, int] = field(default_factory=dict)
    found: Mapping[int, int] | None = None
    commit: str | None = None
    reveal_round: int | None = None
    burned: bool = False
    """No miner had earned anything: the weight is the owner's, which the chain never pays out."""
    problem: str | None = None
    code: Code | None = None
    """Which kind of problem."""
    differences: tuple[Difference, ...] = ()
    """Why what was read back is not what was meant, seat by seat."""
    others: Mapping[int, WeightsReport] = field(default_factory=dict)
    """The rows of the subnet's other mechanisms, by their number."""

    @property
    def landed(self) -> bool:
        """Whether the chain holds the rows, but for what the chain's own rules make of them.

        What is hidden for now has not landed: `commits` sees the end of it.
        """
        mine = self.read_back is not None and has_landed(self.differences)
        return mine and all(other.landed for other in self.others.values())


@dataclass(frozen=True, slots=True)
class Hiding:
    """How weights are hidden where a subnet wants it: which call, and for which round.

    `metagraph` is the view that the weights were made for.
    """

    call: Literal["commit_weights", "commit_timelocked_weights"]
    commits: Commits
    round: int
    metagraph: Metagraph


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
    hiding: Hiding | None = None,
    mechanism: int = 0,
    nonce: int | None = None,
) -> WeightsReport:
    """Set the weights of `uid` and read them back, or commit to them where they are to be hidden.

    Raises ChainAway; a refusal is in the report. `owner` is the seat of the subnet's owner, if it
    has one: it takes what nobody has earned. With `nonce` the row is sent with that number only;
    raises Overtaken where the chain has taken another extrinsic with it.
    """
    burned = not any(weights.values())
    if burned:
        if owner is None:
            log.warning("no miner has earned anything, and the owner has no seat to burn it with")
            return WeightsReport(
                problem="no miner has earned anything, and the owner has no seat: "
                "the old weights stay",
                code=Code.NOTHING,
            )
        log.warning("no miner has earned anything: all weight to uid %d, the owner's", owner)
        weights = {owner: 1.0}
    try:
        if hiding is None:
            own = None if uid == owner else uid
            report = await _set_plainly(
                chain, hotkey, netuid, uid, weights, version_key, own, mechanism, nonce
            )
        else:
            report = await _commit(
                chain, hotkey, netuid, weights, version_key, hiding, mechanism, nonce
            )
    except ChainRefused as error:
        if nonce is not None and error.name in SIGN_ANEW:
            raise Overtaken(str(error)) from error
        log.warning("the chain refused the weights: %s", error)
        return WeightsReport(problem=f"refused: {error}", code=Code.REFUSED)
    return dataclasses.replace(report, burned=burned)


async def _set_plainly(
    chain: Chain,
    hotkey: Signer,
    netuid: int,
    uid: int,
    weights: Mapping[int, float],
    version_key: int,
    own: int | None,
    mechanism: int,
    nonce: int | None,
) -> WeightsReport:
    receipt = await chain.set_weights(
        hotkey, netuid, weights, version=version_key, mechanism=mechanism, nonce=nonce
    )
    if receipt.reveal_round is not None:  # the owner has switched to commit-reveal just now
        return WeightsReport(
            set=True, block=receipt.block, meant=receipt.row, reveal_round=receipt.reveal_round
        )
    return await read_back(chain, netuid, uid, receipt.block, weights, own=own, mechanism=mechanism)


async def read_back(
    chain: Chain,
    netuid: int,
    uid: int,
    block: int,
    weights: Mapping[int, float],
    *,
    own: int | None,
    mechanism: int = 0,
) -> WeightsReport:
    """The row of `uid` in `block` beside the `weights` that were sent, every difference explained.

    `own` is the seat whose weight on itself counts for nothing, if that is so for it.
    """
    report = await _compared(chain, netuid, uid, block, weights, own=own, mechanism=mechanism)
    if not report.landed:
        text = "the chain holds other weights than were sent: %s, not %s"
        log.error(text, report.found, report.meant)
    for item in report.differences:
        log.warning(
            "weight of uid %d: meant %.6f, the chain has %.6f: %s",
            item.uid, item.meant, item.found, item.cause.value,
        )  # fmt: skip
    return report


async def _compared(
    chain: Chain,
    netuid: int,
    uid: int,
    block: int,
    weights: Mapping[int, float],
    *,
    own: int | None,
    mechanism: int,
) -> WeightsReport:
    meant = quantize(weights)
    found = await chain.weights(netuid, uid, block, mechanism=mechanism)
    same = {target: value for target, value in found.items() if value} == meant
    limit = U16_MAX
    if not same:
        limit = int(
            await chain.query("SubtensorModule", "MaxWeightsLimit", netuid, block=block) or U16_MAX
        )
    differences = explain(weights, found, own=own, limit=limit)
    return WeightsReport(True, same, block, meant, found, differences=differences)


async def _commit(
    chain: Chain,
    hotkey: Signer,
    netuid: int,
    weights: Mapping[int, float],
    version_key: int,
    hiding: Hiding,
    mechanism: int,
    nonce: int | None,
) -> WeightsReport:
    row = quantize(weights)
    seats = {neuron.uid: neuron.hotkey for neuron in hiding.metagraph.neurons}
    salted = hiding.call == "commit_weights"
    pending = Pending(
        round=hiding.round,
        hotkey=hotkey.ss58_address,
        netuid=netuid,
        row=row,
        salt=tuple(secrets.randbelow(2**16) for _ in range(SALT_WORDS)) if salted else None,
        version=version_key,
        sent=hiding.metagraph.block,
        seats={uid: seats[uid] for uid in row if uid in seats},
        mechanism=mechanism,
    )
    tried = any(commit.key == pending.key for commit in hiding.commits.pending)
    hiding.commits.put(pending)
    try:
        commit = pending.salted
        if commit is not None:
            block = (await chain.commit_weights(hotkey, commit, nonce=nonce)).block
            reveal_round = None
        else:
            receipt = await chain.set_weights(
                hotkey, netuid, weights, version=version_key, mechanism=mechanism, nonce=nonce
            )
            block, reveal_round = receipt.block, receipt.reveal_round
    except ChainRefused:
        # It may have landed all the same, or an earlier one of this round, and it was refused for
        # that. One without a salt that was never sent before is not known from another instance's.
        if not salted and not tried:
            hiding.commits.drop(pending)
        landed = await find_landed(chain, hotkey, hiding, mechanism=mechanism)
        if salted and (landed is None or landed.commit != pending.key):
            hiding.commits.drop(pending)
        if landed is None:
            raise
        return landed
    pending = dataclasses.replace(pending, block=block, reveal_round=reveal_round)
    hiding.commits.put(pending)
    log.info(
        "weights%s committed in block %d; %s",
        f" of mechanism {mechanism}" if mechanism else "",
        block,
        "to be revealed after the next epoch"
        if reveal_round is None
        else f"they open in round {reveal_round} of the beacon",
    )
    return _report(pending)


async def find_row(
    chain: Chain,
    metagraph: Metagraph,
    me: Neuron,
    weights: Mapping[int, float],
    *,
    block: int,
    mechanism: int = 0,
) -> WeightsReport | None:
    """What a plain row that seemed to fail came to, if the chain holds it after all, cut or whole.

    `block` is that of the last row the chain has taken. Without this look it would count as never
    set, once the rate limit refuses a second one.
    """
    owner = metagraph.owner_uid
    burned = not any(weights.values())
    if burned and owner is None:
        return None
    meant = {owner: 1.0} if burned and owner is not None else weights
    report = await _compared(
        chain, metagraph.netuid, me.uid, metagraph.block, meant,
        own=None if me.uid == owner else me.uid, mechanism=mechanism,
    )  # fmt: skip
    return dataclasses.replace(report, block=block, burned=burned) if report.landed else None


async def find_landed(
    chain: Chain, hotkey: Signer, hiding: Hiding, *, mechanism: int = 0
) -> WeightsReport | None:
    """What an attempt of this round came to that seemed to fail, and did land after all.

    Without this look a second commit would follow, and wait for the rate limit first.
    """
    mine = [
        commit
        for commit in hiding.commits.pending
        if (commit.round, commit.mechanism) == (hiding.round, mechanism)
    ]
    if not mine:
        return None
    metagraph = hiding.metagraph
    waiting = await chain.waiting_commits(
        metagraph.netuid, hotkey.ss58_address, mechanism=mechanism
    )
    for pending in mine:
        held = pending.find(waiting)
        if held is not None:
            hiding.commits.put(pending := pending.held_as(held))
            burned = set(pending.row) == {metagraph.owner_uid}
            return dataclasses.replace(_report(pending), burned=burned)
    return None


def _report(pending: Pending) -> WeightsReport:
    return WeightsReport(
        set=True,
        block=pending.block,
        meant=pending.row,
        commit=None if pending.salt is None else pending.key,
        reveal_round=pending.reveal_round,
    )
