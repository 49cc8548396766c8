"""Swapping a hotkey: a neuron goes on under a new key, on one subnet or on all.

Seats, what is served, commits, child keys and takes move, and stake unless it is to stay. Weights
and bonds stay with the seat. Claims on root dividends move with the root stake they are owed to.
"""

from __future__ import annotations

from typing import Any

from chain.runtime.frame import Ctx, StorageDoubleMap, StorageMap, ensure, ensure_signed
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import (
    autostake,
    children,
    hotkeys,
    recycling,
    shares,
    subnets,
    uids,
)
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import is_system_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U64
from chain.types import AccountId, Alpha, NetUid, Rao

ROOT_NETUID = NetUid(0)
COST = Rao(100_000_000)  # of a swap on all subnets, and of a coldkey swap
COST_ON_SUBNET = Rao(1_000_000)
INTERVAL = 7200  # blocks between two swaps of one coldkey on one subnet

pallet.constant("KeySwapCost", U64, int(COST))
pallet.constant("KeySwapOnSubnetCost", U64, int(COST_ON_SUBNET))
pallet.constant("HotkeySwapOnSubnetInterval", U64, INTERVAL)

# Calls


@pallet.call(70)
def swap_hotkey(ctx: Ctx, hotkey: AccountId, new_hotkey: AccountId, netuid: NetUid | None) -> None:
    """Let `new_hotkey` be what `hotkey` was, on one subnet or all; its coldkey signs and pays."""
    _swap(ctx, hotkey, new_hotkey, netuid, keep_stake=False)


@pallet.call(72)
def swap_hotkey_v2(
    ctx: Ctx,
    hotkey: AccountId,
    new_hotkey: AccountId,
    netuid: NetUid | None,
    keep_stake: bool,
) -> None:
    """Swap as `swap_hotkey` does; with `keep_stake` all stake stays with the old hotkey."""
    _swap(ctx, hotkey, new_hotkey, netuid, keep_stake=keep_stake)


def _swap(
    ctx: Ctx, old: AccountId, new: AccountId, netuid: NetUid | None, *, keep_stake: bool
) -> None:
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(netuid is None or s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(hotkeys.owns(ctx, coldkey, old), er.NonAssociatedColdKey)
    ensure(
        not hotkeys.exists(ctx, new) or hotkeys.owns(ctx, coldkey, new),
        er.NonAssociatedColdKey,
    )
    ensure(old != new, er.NewHotKeyIsSameWithOld)
    netuids = [n for n, _ in s.NetworksAdded.items(ctx)] if netuid is None else [netuid]
    ensure(
        not any(s.Uids.contains(ctx, n, new) for n in netuids),
        er.HotKeyAlreadyRegisteredInSubNet,
    )
    ensure(ROOT_NETUID not in netuids or _is_clean(ctx, new), er.NewHotKeyNotCleanForRootSwap)
    limited = [n for n in netuids if netuid is not None or _takes_part(ctx, n, old)]
    ensure(
        all(_may_swap_again(ctx, n, coldkey) for n in limited),
        er.HotKeySwapOnSubnetIntervalNotPassed,
    )
    ensure(not is_system_account(new), er.CannotUseSystemAccount)
    cost = COST if netuid is None else COST_ON_SUBNET
    spendable = balances.reducible(ctx, coldkey, keep_alive=False)
    ensure(spendable >= cost, er.NotEnoughBalanceToPaySwapHotKey)

    # EFFECTS
    recycling.recycle(ctx, coldkey, cost)
    _copy_limits(ctx, old, new)
    retired = netuid is None and not keep_stake
    _pass_ownership(ctx, coldkey, old, new, retired=retired)
    for each in netuids:
        _move_seat(ctx, each, old, new)
        if not keep_stake:
            _move_stake(ctx, each, old, new)
    if netuid is None:
        _forget_globally(ctx, old, new)
    if retired:
        _forget_as_staked(ctx, old)
    for each in limited:
        s.LastHotkeySwapOnNetuid.put(ctx, each, coldkey, ctx.block)

    # EVENT
    if netuid is None:
        ctx.deposit(ev.HotkeySwapped(coldkey, old, new))
    else:
        ctx.deposit(ev.HotkeySwappedOnSubnet(coldkey, old, new, netuid))


def _is_clean(ctx: Ctx, hotkey: AccountId) -> bool:
    """Whether `hotkey` has no past on root, so that another's can become its own."""
    return not (
        s.RootClaimable.get(ctx, hotkey)
        or shares.total(ctx, hotkey, ROOT_NETUID)
        or any(s.RootClaimed.row(ctx, ROOT_NETUID, hotkey))
    )


def _takes_part(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> bool:
    """Whether `hotkey` has a seat or children there; others can make it a child, which is not."""
    return s.Uids.contains(ctx, netuid, hotkey) or s.ChildKeys.contains(ctx, hotkey, netuid)


def _may_swap_again(ctx: Ctx, netuid: NetUid, coldkey: AccountId) -> bool:
    last = s.LastHotkeySwapOnNetuid.get(ctx, netuid, coldkey)
    return not last or last + INTERVAL < ctx.block


def forget_old_swaps(ctx: Ctx) -> None:
    """Remove records that hold nobody back any more: of one subnet in a block, in turn."""
    netuid = NetUid(ctx.block % INTERVAL)
    if s.NetworksAdded.get(ctx, netuid):
        for coldkey, block in list(s.LastHotkeySwapOnNetuid.row(ctx, netuid)):
            if block + INTERVAL < ctx.block:
                s.LastHotkeySwapOnNetuid.remove(ctx, netuid, coldkey)


# What moves once


def _copy_limits(ctx: Ctx, old: AccountId, new: AccountId) -> None:
    for item in (s.LastTxBlockDelegateTake, s.LastTxBlockChildKeyTake):
        item.put(ctx, new, item.get(ctx, old))


def _pass_ownership(
    ctx: Ctx, coldkey: AccountId, old: AccountId, new: AccountId, *, retired: bool
) -> None:
    """Make `new` the coldkey's; a retired hotkey is nobody's, one with stake stays as it is."""
    owned = s.OwnedHotkeys.get(ctx, coldkey)
    if new not in owned:
        owned = [*owned, new]
    if retired:
        s.Owner.remove(ctx, old)
        owned = [hotkey for hotkey in owned if hotkey != old]
    s.Owner.put(ctx, new, coldkey)
    s.OwnedHotkeys.put(ctx, coldkey, owned)


def _forget_globally(ctx: Ctx, old: AccountId, new: AccountId) -> None:
    for item in (s.LastTxBlock, s.LastTxBlockDelegateTake, s.LastTxBlockChildKeyTake):
        item.remove(ctx, old)
    _move(ctx, s.Delegates, old, new)


def _forget_as_staked(ctx: Ctx, old: AccountId) -> None:
    """Nobody stakes through a retired hotkey any more."""
    for coldkey, staking in list(s.StakingHotkeys.items(ctx)):
        if old in staking:
            s.StakingHotkeys.put(ctx, coldkey, [hotkey for hotkey in staking if hotkey != old])


def _move(ctx: Ctx, item: StorageMap[AccountId, Any], old: AccountId, new: AccountId) -> None:
    value = item.find(ctx, old)
    if value is not None:
        item.remove(ctx, old)
        item.put(ctx, new, value)


# What moves subnet by subnet


def _move_seat(ctx: Ctx, netuid: NetUid, old: AccountId, new: AccountId) -> None:
    uid = s.Uids.find(ctx, netuid, old)
    if uid is not None:
        s.Uids.remove(ctx, netuid, old)
        s.Uids.put(ctx, netuid, new, uid)
        s.Keys.put(ctx, netuid, uid, new)
        s.IsNetworkMember.remove(ctx, old, netuid)
        s.IsNetworkMember.put(ctx, new, netuid, True)
        for rows in (s.Axons, s.Prometheus, s.NeuronCertificates):
            _move_in_row(ctx, rows, netuid, old, new)
        for index in uids.indices(ctx, netuid):
            _move_in_row(ctx, s.WeightCommits, index, old, new)
    take = s.ChildkeyTake.find(ctx, old, netuid)
    if take is not None:
        s.ChildkeyTake.remove(ctx, old, netuid)
        s.ChildkeyTake.put(ctx, new, netuid, take)
    children.rename(ctx, netuid, old, new)
    autostake.rename_hotkey(ctx, netuid, old, new)
    if s.SubnetOwnerHotkey.find(ctx, netuid) == old:
        subnets.set_owner_hotkey(ctx, netuid, new)


def _move_in_row(
    ctx: Ctx, item: StorageDoubleMap[Any, AccountId, Any], key: Any, old: AccountId, new: AccountId
) -> None:
    value = item.find(ctx, key, old)
    if value is not None:
        item.remove(ctx, key, old)
        item.put(ctx, key, new, value)


def _move_stake(ctx: Ctx, netuid: NetUid, old: AccountId, new: AccountId) -> None:
    """Move every coldkey's stake, what was paid on it last, and on root the claims of it."""
    last_epoch = _taken(ctx, s.TotalHotkeyAlphaLastEpoch, old, netuid)
    last_epoch += s.TotalHotkeyAlphaLastEpoch.get(ctx, new, netuid)
    if last_epoch:
        s.TotalHotkeyAlphaLastEpoch.put(ctx, new, netuid, last_epoch)
    for paid in (s.AlphaDividendsPerSubnet, s.RootAlphaDividendsPerSubnet):
        dividends = _taken(ctx, paid, netuid, old) + paid.get(ctx, netuid, new)
        if dividends:
            paid.put(ctx, netuid, new, dividends)
    for (coldkey, on), _ in list(s.AlphaV2.rows(ctx, old)):
        if on == netuid:
            alpha = shares.value(ctx, old, coldkey, netuid)
            shares.decrease(ctx, old, coldkey, netuid, alpha)
            shares.increase(ctx, new, coldkey, netuid, alpha)
            staking = s.StakingHotkeys.get(ctx, coldkey)
            if new not in staking:
                s.StakingHotkeys.put(ctx, coldkey, [*staking, new])
    if netuid == ROOT_NETUID:
        _move_claims(ctx, old, new)
        _move(ctx, s.AutoParentDelegationEnabled, old, new)


def _taken(
    ctx: Ctx, item: StorageDoubleMap[Any, Any, Alpha], key1: AccountId | NetUid, key2: Any
) -> Alpha:
    value = item.get(ctx, key1, key2)
    item.remove(ctx, key1, key2)
    return value


def _move_claims(ctx: Ctx, old: AccountId, new: AccountId) -> None:
    for netuid in s.RootClaimable.get(ctx, old):
        for coldkey, claimed in list(s.RootClaimed.row(ctx, netuid, old)):
            s.RootClaimed.remove(ctx, netuid, old, coldkey)
            before = s.RootClaimed.get(ctx, netuid, new, coldkey)
            s.RootClaimed.put(ctx, netuid, new, coldkey, before + claimed)
    _move(ctx, s.RootClaimable, old, new)
