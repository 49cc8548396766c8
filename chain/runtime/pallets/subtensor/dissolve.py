"""The end of a subnet: its TAO goes back to its stakers, and nothing else of it is left.

Each stake is a claim on the pool's TAO in proportion to its alpha; the pool's own alpha claims too,
and what it gets is recycled. Root ends a subnet, or one who creates another when all places are
taken: then the cheapest subnet past its immunity makes room.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from chain.errors import TokenError
from chain.runtime.fixed import U16_MAX, U64F64, U96F32
from chain.runtime.frame import (
    Ctx,
    Item,
    Pallet,
    StorageDoubleMap,
    StorageTripleMap,
    ensure,
    ensure_root,
)
from chain.runtime.pallets import alpha_assets, balances, commitments, swap
from chain.runtime.pallets.subtensor import coinbase, recycling, shares, uids
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import codec
from chain.types import AccountId, NetUid, Rao

ROOT_NETUID = NetUid(0)

# Calls


@pallet.call(61)
def dissolve_network(ctx: Ctx, coldkey: AccountId, netuid: NetUid) -> None:
    """End a subnet, by root; the named coldkey is ignored."""
    # ORIGIN
    ensure_root(ctx)

    # CHECKS, EFFECTS and EVENT
    dissolve(ctx, netuid)


@pallet.call(120)
def root_dissolve_network(ctx: Ctx, netuid: NetUid) -> None:
    """End a subnet, by root."""
    # ORIGIN
    ensure_root(ctx)

    # CHECKS, EFFECTS and EVENT
    dissolve(ctx, netuid)


def find_prunable(ctx: Ctx) -> NetUid | None:
    """The subnet that makes room for a new one: the lowest moving price past its immunity, or None.

    Of equal prices the oldest goes.
    """
    immunity = s.NetworkImmunityPeriod.get(ctx)
    candidates = [
        (coinbase.moving_price(ctx, netuid), born, order, netuid)
        for order, netuid in enumerate(coinbase.subnets(ctx))
        if ctx.block >= (born := s.NetworkRegisteredAt.get(ctx, netuid)) + immunity
    ]
    return min(candidates)[3] if candidates else None


def dissolve(ctx: Ctx, netuid: NetUid) -> None:
    """Pay out the pool of a subnet and forget the subnet. Raises SubnetNotExists, also for root."""
    # CHECKS
    ensure(netuid != ROOT_NETUID and s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)

    # EFFECTS
    _forget_root_dividends(ctx, netuid)
    _pay_out(ctx, netuid)
    named = s.SubnetIdentitiesV3.contains(ctx, netuid)
    _purge(ctx, netuid)
    s.TotalNetworks.put(ctx, s.TotalNetworks.get(ctx) - 1)

    # EVENT
    if named:
        ctx.deposit(ev.SubnetIdentityRemoved(netuid))
    ctx.deposit(ev.NetworkRemoved(netuid))


def _forget_root_dividends(ctx: Ctx, netuid: NetUid) -> None:
    """Drop what root stakers have not claimed: their alpha pays nobody."""
    for hotkey, rates in list(s.RootClaimable.items(ctx)):
        if netuid in rates:
            left = {key: rate for key, rate in rates.items() if key != netuid}
            s.RootClaimable.put(ctx, hotkey, left)
    s.RootClaimed.clear(ctx, netuid)


# Paying out


def _pay_out(ctx: Ctx, netuid: NetUid) -> None:
    """Share the pool's TAO among the stakers, and recycle what is left in the subnet's account."""
    account = subnet_account(netuid)
    pot = s.SubnetTAO.get(ctx, netuid)
    refund = _owner_refund(ctx, netuid)
    stakes = _stakes(ctx, netuid)
    protocol = _protocol_alpha(ctx, netuid)
    total = protocol + sum(alpha for _, alpha in stakes)
    paid = Rao(0)
    for coldkey, tao in _portions(int(pot), total, stakes).items():
        paid += Rao(tao)
        _send(ctx, account, coldkey, Rao(tao))
    s.TotalStake.put(ctx, s.TotalStake.get(ctx).saturating_sub(pot))

    if refund:
        kept = Rao(int(pot) * int(s.SubnetProtocolAlpha.get(ctx, netuid)) // total if total else 0)
        refund += pot.saturating_sub(paid + refund)
        spare = balances.free(ctx, account).saturating_sub(kept)
        _send(ctx, account, s.SubnetOwner.get(ctx, netuid), min(refund, spare))

    recycling.recycle(ctx, account, balances.reducible(ctx, account))


def _stakes(ctx: Ctx, netuid: NetUid) -> list[tuple[AccountId, int]]:
    """Every position on the subnet: its coldkey and its alpha, in chain order."""
    return [
        (coldkey, int(alpha))
        for (hotkey, on), _ in s.TotalHotkeyAlpha.items(ctx)
        if on == netuid
        for (coldkey, position), _ in s.AlphaV2.rows(ctx, hotkey)
        if position == netuid and (alpha := shares.value(ctx, hotkey, coldkey, netuid))
    ]


def _protocol_alpha(ctx: Ctx, netuid: NetUid) -> int:
    """Alpha whose claim stays with the protocol; of old subnets the pool itself claims nothing."""
    bought = int(s.SubnetProtocolAlpha.get(ctx, netuid))
    if s.NetworkRegisteredAt.get(ctx, netuid) > s.TaoInRefundDeploymentBlock.get(ctx):
        return bought + int(s.SubnetAlphaIn.get(ctx, netuid))
    return bought


def _portions(pot: int, total: int, stakes: list[tuple[AccountId, int]]) -> dict[AccountId, int]:
    """What each coldkey gets of `pot` rao: floor(pot * alpha / total), then single rao.

    The stakes' remainders sum to some whole rao; they go to the largest remainders, one each.
    """
    if not total:
        return {}
    shared = [divmod(pot * alpha, total) for _, alpha in stakes]
    spare = sum(rest for _, rest in shared) // total
    by_rest = sorted(range(len(stakes)), key=lambda i: -shared[i][1])
    lucky = set(by_rest[:spare])
    portions: dict[AccountId, int] = {}
    for i, (coldkey, _) in enumerate(stakes):
        portions[coldkey] = portions.get(coldkey, 0) + shared[i][0] + (i in lucky)
    return {coldkey: portions[coldkey] for coldkey in sorted(portions) if portions[coldkey]}


def _owner_refund(ctx: Ctx, netuid: NetUid) -> Rao:
    """The lock less what the owner's cut is worth, for subnets older than today's way to create.

    Later ones get nothing: their lock is in the pool.
    """
    if s.NetworkRegisteredAt.get(ctx, netuid) >= s.NetworkRegistrationStartBlock.get(ctx):
        return Rao(0)
    cut = U96F32.ratio(s.SubnetOwnerCut.get(ctx), U16_MAX)
    alpha = U96F32.mul(U96F32.of(coinbase.alpha_issuance(ctx, netuid)), cut)
    price = U96F32.convert(swap.price(ctx, netuid), U64F64)
    worth = U96F32.to_u64(U96F32.mul(U96F32.of(U96F32.to_u64(alpha)), price))
    return s.SubnetLocked.get(ctx, netuid).saturating_sub(Rao(worth))


def _send(ctx: Ctx, account: AccountId, coldkey: AccountId, tao: Rao) -> None:
    """Pay a coldkey, or nobody where the sum is too small to bring its account to life."""
    try:
        with ctx.transaction():
            balances.transfer(ctx, account, coldkey, tao, keep_alive=False)
    except TokenError:
        return


# Forgetting

_KEPT = (s.RegisteredSubnetCounter,)
"""How often a netuid was used stays known, so that a later subnet is told from an earlier one."""
_HOLDERS: tuple[Pallet, ...] = (pallet, swap.pallet, commitments.pallet, alpha_assets.pallet)


def _purge(ctx: Ctx, netuid: NetUid) -> None:
    """Remove all that is stored under the netuid, as whichever key.

    When a hyperparameter was last changed stays known: that key only contains the netuid.
    """
    for index in uids.indices(ctx, netuid):
        s.Incentive.remove(ctx, index)
        s.LastUpdate.remove(ctx, index)
        for rows in (s.Weights, s.Bonds, s.WeightCommits, s.TimelockedWeightCommits):
            rows.clear(ctx, index)
    waiting = commitments.TimelockedIndex.get(ctx)
    left = frozenset(key for key in waiting if key[0] != netuid)
    if left != waiting:
        commitments.TimelockedIndex.put(ctx, left)
    for item, position in _by_netuid():
        if position == 0:
            item.clear(ctx, netuid)
        elif isinstance(item, StorageDoubleMap | StorageTripleMap):
            for keys, _ in list(item.items(ctx)):
                if keys[position] == netuid:
                    item.remove(ctx, *keys)


@functools.cache
def _by_netuid() -> Sequence[tuple[Item[Any], int]]:
    """Every storage item that a netuid is a key of, and which of its keys that is."""
    kind = codec(NetUid)
    return [
        (item, kinds.index(kind))
        for holder in _HOLDERS
        for item in holder.storage.values()
        if kind in (kinds := [each for _, each in item.keys]) and item not in _KEPT
    ]
