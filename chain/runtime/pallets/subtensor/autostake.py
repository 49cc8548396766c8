"""Auto-stake: a coldkey chooses, subnet by subnet, through which hotkey its miners' pay is staked.

Without a choice it is staked through the miner's own hotkey. Paying is in `payout`.
"""

from __future__ import annotations

from chain.runtime.frame import Ctx, ensure, ensure_signed
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.types import AccountId, NetUid


@pallet.call(114)
def set_coldkey_auto_stake_hotkey(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    """Have what the signing coldkey's miners earn on a subnet staked through `hotkey`."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(s.Uids.contains(ctx, netuid, hotkey), er.HotKeyNotRegisteredInSubNet)
    current = s.AutoStakeDestination.find(ctx, coldkey, netuid)
    ensure(current != hotkey, er.SameAutoStakeHotkeyAlreadySet)

    # EFFECTS
    if current is not None:
        _unlist(ctx, netuid, current, coldkey)
    _choose(ctx, netuid, hotkey, coldkey)

    # EVENT
    ctx.deposit(ev.AutoStakeDestinationSet(coldkey, netuid, hotkey))


def rename_hotkey(ctx: Ctx, netuid: NetUid, old: AccountId, new: AccountId) -> None:
    """Let everybody who chose `old` have chosen `new`."""
    for coldkey in s.AutoStakeDestinationColdkeys.get(ctx, old, netuid):
        _unlist(ctx, netuid, old, coldkey)
        _choose(ctx, netuid, new, coldkey)


def rename_coldkey(ctx: Ctx, netuid: NetUid, old: AccountId, new: AccountId) -> None:
    """Hand the choice of coldkey `old` on to `new`, which loses its own."""
    hotkey = s.AutoStakeDestination.find(ctx, old, netuid)
    if hotkey is None:
        return
    own = s.AutoStakeDestination.find(ctx, new, netuid)
    if own is not None:
        _unlist(ctx, netuid, own, new)
    _unlist(ctx, netuid, hotkey, old)
    s.AutoStakeDestination.remove(ctx, old, netuid)
    _choose(ctx, netuid, hotkey, new)


def _choose(ctx: Ctx, netuid: NetUid, hotkey: AccountId, coldkey: AccountId) -> None:
    s.AutoStakeDestination.put(ctx, coldkey, netuid, hotkey)
    chosen_by = s.AutoStakeDestinationColdkeys.get(ctx, hotkey, netuid)
    if coldkey not in chosen_by:
        s.AutoStakeDestinationColdkeys.put(ctx, hotkey, netuid, [*chosen_by, coldkey])


def _unlist(ctx: Ctx, netuid: NetUid, hotkey: AccountId, coldkey: AccountId) -> None:
    chosen_by = s.AutoStakeDestinationColdkeys.get(ctx, hotkey, netuid)
    left = [each for each in chosen_by if each != coldkey]
    if left:
        s.AutoStakeDestinationColdkeys.put(ctx, hotkey, netuid, left)
    else:
        s.AutoStakeDestinationColdkeys.remove(ctx, hotkey, netuid)
