"""Child keys: a hotkey lends other hotkeys its stake's vote on a subnet, in fixed proportions.

Who is whose child is stored twice, with the parent and with the child, and always agrees. On a
subnet that has started a change waits for a cooldown and then for the next epoch. No hotkey is
both parent and child of another; grandparents lend nothing, since only own stake is lent.
Sharing the dividends is in `payout`, the take of a child in `hotkeys`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from chain.errors import ModuleError
from chain.runtime.fixed import U64_MAX, U64F64, U96F32
from chain.runtime.frame import Ctx, StorageDoubleMap, ensure, ensure_root, ensure_signed
from chain.runtime.pallets import swap
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import hotkeys, ratelimits, shares
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U64
from chain.types import AccountId, NetUid, Rao

ROOT_NETUID = NetUid(0)
MAX_CHILDREN = 5
EVERYTHING = U64_MAX
"""The proportion that lends all stake; any other is over this."""

Children: TypeAlias = list[tuple[U64, AccountId]]
"""Proportion and hotkey, as calls and storage have them."""

# Calls


@pallet.call(67)
def set_children(ctx: Ctx, hotkey: AccountId, netuid: NetUid, children: Children) -> None:
    """Choose all children of `hotkey` on a subnet anew; its coldkey signs.

    An empty list ends all lending. It comes into force at the first epoch after the cooldown, or at
    once where the subnet has not started.
    """
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS, EFFECTS and EVENT
    _schedule(ctx, coldkey, hotkey, netuid, children)


def _schedule(
    ctx: Ctx, coldkey: AccountId, hotkey: AccountId, netuid: NetUid, children: Children
) -> None:
    # CHECKS
    limit = ratelimits.Transaction.SetChildren
    ratelimits.ensure_within(ctx, hotkey, netuid, limit)
    ensure(netuid != ROOT_NETUID, er.RegistrationNotPermittedOnRootSubnet)
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(hotkeys.owns(ctx, coldkey, hotkey), er.NonAssociatedColdKey)
    ensure(len({child for _, child in children}) == len(children), er.DuplicateChild)
    _ensure_consistent(hotkey, children, _edges(ctx, s.ParentKeys, hotkey, netuid))
    ensure(
        not children
        or stake_value(ctx, hotkey) >= s.StakeThreshold.get(ctx)
        or s.SubnetOwnerHotkey.find(ctx, netuid) == hotkey,
        er.NotEnoughStakeToSetChildkeys,
    )

    # EFFECTS
    ratelimits.record(ctx, hotkey, netuid, limit)
    if not s.SubtokenEnabled.get(ctx, netuid):
        _apply(ctx, netuid, hotkey, children)
        return
    cooldown_block = ctx.block + s.PendingChildKeyCooldown.get(ctx)
    s.PendingChildKeys.put(ctx, netuid, hotkey, (children, cooldown_block))

    # EVENT
    ctx.deposit(ev.SetChildrenScheduled(hotkey, netuid, cooldown_block, children))


def _ensure_consistent(
    parent: AccountId, children: Children, parents: Mapping[AccountId, int]
) -> None:
    ensure(all(child != parent for _, child in children), er.InvalidChild)
    ensure(len(children) <= MAX_CHILDREN, er.TooManyChildren)
    ensure(sum(proportion for proportion, _ in children) <= EVERYTHING, er.ProportionOverflow)
    ensure(all(child not in parents for _, child in children), er.ChildParentInconsistency)


def stake_value(ctx: Ctx, hotkey: AccountId) -> Rao:
    """What all stake through `hotkey`, on every subnet, is worth at spot prices."""
    total = 0
    for netuid, _ in s.NetworksAdded.items(ctx):
        alpha = U96F32.of(int(shares.total(ctx, hotkey, netuid)))
        price = U96F32.convert(swap.price(ctx, netuid), U64F64)
        total = U96F32.add(total, U96F32.mul(alpha, price))
    return Rao(U96F32.to_u64(total))


@pallet.call(109)
def set_pending_childkey_cooldown(ctx: Ctx, cooldown: U64) -> None:
    """Set how many blocks new children wait, by root; what waits already keeps its time."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    s.PendingChildKeyCooldown.put(ctx, cooldown)


@pallet.call(135)
def set_auto_parent_delegation_enabled(ctx: Ctx, hotkey: AccountId, enabled: bool) -> None:
    """Choose whether a root validator lends all its stake to every new subnet's owner."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(hotkeys.owns(ctx, coldkey, hotkey), er.NonAssociatedColdKey)
    ensure(s.Uids.contains(ctx, ROOT_NETUID, hotkey), er.HotKeyNotRegisteredInSubNet)

    # EFFECTS
    s.AutoParentDelegationEnabled.put(ctx, hotkey, enabled)

    # EVENT
    ctx.deposit(ev.AutoParentDelegationEnabledSet(hotkey, enabled))


# What happens by itself


def inherit_root_validators(ctx: Ctx, netuid: NetUid) -> None:
    """Make the owner's hotkey of a new subnet the child of every root validator that agrees.

    A validator that may not have children, for lack of stake say, is passed over.
    """
    owner_hotkey = s.SubnetOwnerHotkey.get(ctx, netuid)
    for _, validator in list(s.Keys.row(ctx, ROOT_NETUID)):
        if validator == owner_hotkey or not s.AutoParentDelegationEnabled.get(ctx, validator):
            continue
        coldkey = s.Owner.get(ctx, validator)
        try:
            _schedule(ctx, coldkey, validator, netuid, [(EVERYTHING, owner_hotkey)])
        except ModuleError:
            continue


def apply_due_children(ctx: Ctx, netuids: Iterable[NetUid]) -> None:
    """On subnets whose epoch ran in this block, apply the children that waited long enough."""
    for netuid in netuids:
        if s.LastEpochBlock.get(ctx, netuid) == ctx.block:
            apply_pending_children(ctx, netuid)


def apply_pending_children(ctx: Ctx, netuid: NetUid) -> None:
    """Apply what has waited longer than its cooldown, or all where the subnet has not started."""
    started = s.SubtokenEnabled.get(ctx, netuid)
    for hotkey, (children, cooldown_block) in list(s.PendingChildKeys.row(ctx, netuid)):
        if cooldown_block < ctx.block or not started:
            _apply(ctx, netuid, hotkey, children)
            s.PendingChildKeys.remove(ctx, netuid, hotkey)


def drop_pending_children(ctx: Ctx, hotkey: AccountId) -> None:
    """Forget children that wait, once the stake through `hotkey` is worth less than is asked."""
    if stake_value(ctx, hotkey) < s.StakeThreshold.get(ctx):
        for netuid, _ in s.NetworksAdded.items(ctx):
            s.PendingChildKeys.remove(ctx, netuid, hotkey)


def _apply(ctx: Ctx, netuid: NetUid, hotkey: AccountId, children: Children) -> None:
    """Store `children`, unless one has become a parent meanwhile: then nothing happens."""
    parents = _edges(ctx, s.ParentKeys, hotkey, netuid)
    # A swap of keys may have made the hotkey a child of its own; that one is passed over.
    wanted = {child: proportion for proportion, child in children if child != hotkey}
    if wanted.keys() & parents.keys():
        return
    _relate(ctx, netuid, hotkey, wanted, parents)
    ctx.deposit(ev.SetChildren(hotkey, netuid, children))


def rename(ctx: Ctx, netuid: NetUid, old: AccountId, new: AccountId) -> None:
    """Give all relations of `old`, those that wait too, to `new`, which loses its own.

    Raises InvalidChild where `new` is related to `old`, and ChildParentInconsistency.
    """
    children = _edges(ctx, s.ChildKeys, old, netuid)
    parents = _edges(ctx, s.ParentKeys, old, netuid)
    _relate(ctx, netuid, old, {}, {})
    ensure(new not in children and new not in parents, er.InvalidChild)
    waiting = s.PendingChildKeys.find(ctx, netuid, old)
    if waiting is not None:
        _ensure_consistent(new, waiting[0], parents)
        s.PendingChildKeys.remove(ctx, netuid, old)
        s.PendingChildKeys.put(ctx, netuid, new, waiting)
    _relate(ctx, netuid, new, children, parents)
    for parent, (wanted, cooldown_block) in list(s.PendingChildKeys.row(ctx, netuid)):
        of_old = [(proportion, new) for proportion, child in wanted if child == old]
        if of_old:
            others = [edge for edge in wanted if edge[1] != old]
            s.PendingChildKeys.put(ctx, netuid, parent, (others + of_old, cooldown_block))


# The two sides of a relation

Edges: TypeAlias = StorageDoubleMap[AccountId, NetUid, Children]


def _edges(ctx: Ctx, side: Edges, hotkey: AccountId, netuid: NetUid) -> dict[AccountId, int]:
    return {key: proportion for proportion, key in side.get(ctx, hotkey, netuid)}


def _relate(
    ctx: Ctx,
    netuid: NetUid,
    hotkey: AccountId,
    children: Mapping[AccountId, int],
    parents: Mapping[AccountId, int],
) -> None:
    """Make these, and no others, the children and parents of `hotkey`, on both sides."""
    _replace(ctx, netuid, hotkey, s.ChildKeys, s.ParentKeys, children)
    _replace(ctx, netuid, hotkey, s.ParentKeys, s.ChildKeys, parents)


def _replace(
    ctx: Ctx,
    netuid: NetUid,
    hotkey: AccountId,
    own: Edges,
    others: Edges,
    wanted: Mapping[AccountId, int],
) -> None:
    before = _edges(ctx, own, hotkey, netuid)
    _put(ctx, own, hotkey, netuid, dict(sorted(wanted.items())))
    for key in sorted(wanted.keys() | before.keys()):
        edges = _edges(ctx, others, key, netuid)
        if key in wanted:
            edges[hotkey] = wanted[key]
        else:
            edges.pop(hotkey, None)
        _put(ctx, others, key, netuid, edges)


def _put(
    ctx: Ctx, side: Edges, hotkey: AccountId, netuid: NetUid, edges: Mapping[AccountId, int]
) -> None:
    if edges:
        side.put(ctx, hotkey, netuid, [(proportion, key) for key, proportion in edges.items()])
    else:
        side.remove(ctx, hotkey, netuid)
