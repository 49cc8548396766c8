"""What only the master of a development chain can do: money, impersonation, opened commits.

Each is a pure state change by root, made inside a block of its own so that its events are seen.
A real chain has none of these. A refusal is a DispatchError, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.runtime.frame import Ctx, ensure
from chain.runtime.pallets import balances, devnet
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import weights
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.scale import Tagged
from chain.types import AccountId, NetUid, Rao

__all__ = ["impersonate", "reveal_weights", "set_balance"]


def set_balance(ctx: Ctx, who: AccountId, amount: Rao) -> None:
    """Let `who` have `amount` free; TAO is made or destroyed for it, on both books.

    Less than the existential deposit ends the account.
    """
    before = balances.TotalIssuance.get(ctx)
    balances.force_set_balance(ctx, Tagged("Id", who), amount)
    after = balances.TotalIssuance.get(ctx)
    total = s.TotalIssuance.get(ctx)
    if after > before:
        s.TotalIssuance.put(ctx, total + (after - before))
    else:
        s.TotalIssuance.put(ctx, total.saturating_sub(before - after))


def impersonate(ctx: Ctx, who: AccountId, enabled: bool) -> None:
    """Accept extrinsics of `who` that are signed with 64 zero bytes, or no longer."""
    if enabled:
        devnet.Impersonated.put(ctx, who, True)
    else:
        devnet.Impersonated.remove(ctx, who)


def reveal_weights(
    ctx: Ctx,
    netuid: NetUid,
    mecid: int,
    hotkey: AccountId,
    dests: Sequence[int],
    values: Sequence[int],
) -> None:
    """Open the oldest sealed commit of `hotkey` as if these weights had been in it, now.

    Stands in for the randomness beacon, whose signatures nobody can make. The weights pass every
    check that a real reveal passes. Raises NoWeightsCommitFound when nothing waits.
    """
    # CHECKS
    weights.ensure_mechanism(ctx, netuid, mecid)
    index = StorageIndex.of(netuid, mecid)
    epoch, place = _oldest_commit(ctx, index, hotkey)

    # EFFECTS
    queue = s.TimelockedWeightCommits.get(ctx, index, epoch)
    rest = [*queue[:place], *queue[place + 1 :]]
    if rest:
        s.TimelockedWeightCommits.put(ctx, index, epoch, rest)
    else:
        s.TimelockedWeightCommits.remove(ctx, index, epoch)
    version_key = s.WeightsVersionKey.get(ctx, netuid)
    weights.set_row(ctx, hotkey, netuid, mecid, dests, values, version_key)

    # EVENT
    ctx.deposit(ev.TimelockedWeightsRevealed(index, hotkey))


def _oldest_commit(ctx: Ctx, index: StorageIndex, hotkey: AccountId) -> tuple[int, int]:
    """The epoch that the oldest sealed commit of `hotkey` waits in, and its place there."""
    found = [
        (epoch, place)
        for epoch, queue in s.TimelockedWeightCommits.row(ctx, index)
        for place, entry in enumerate(queue)
        if entry[0] == hotkey
    ]
    ensure(bool(found), er.NoWeightsCommitFound)
    return min(found)
