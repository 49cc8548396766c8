"""Hotkeys and who owns them, and the shares that delegates and childkeys take.

A hotkey comes to exist when a coldkey first uses it, and stays with that coldkey. The accounts of
subnets are never hotkeys. Swapping keys is not here.
"""

from __future__ import annotations

from chain.runtime.frame import Call, Ctx, ensure, ensure_root, ensure_signed
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import is_system_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.runtime.pallets.subtensor.ratelimits import Transaction, ensure_within, record
from chain.runtime.pallets.subtensor.records import PerU16
from chain.scale import U64
from chain.types import AccountId, NetUid


def exists(ctx: Ctx, hotkey: AccountId) -> bool:
    """Whether any coldkey has used `hotkey`."""
    return s.Owner.contains(ctx, hotkey)


def owns(ctx: Ctx, coldkey: AccountId, hotkey: AccountId) -> bool:
    """Whether `hotkey` exists and belongs to `coldkey`."""
    return s.Owner.find(ctx, hotkey) == coldkey


def adopt(ctx: Ctx, coldkey: AccountId, hotkey: AccountId) -> None:
    """Give a new `hotkey` to `coldkey`; one that exists stays where it is.

    Raises CannotUseSystemAccount.
    """
    ensure(not is_system_account(hotkey), er.CannotUseSystemAccount)
    if exists(ctx, hotkey):
        return
    s.Owner.put(ctx, hotkey, coldkey)
    for listed in (s.OwnedHotkeys, s.StakingHotkeys):
        hotkeys = listed.get(ctx, coldkey)
        if hotkey not in hotkeys:
            listed.put(ctx, coldkey, [*hotkeys, hotkey])


@pallet.call(91)
def try_associate_hotkey(ctx: Ctx, hotkey: AccountId) -> None:
    """Make `hotkey` the signing coldkey's, if it is nobody's yet; otherwise do nothing."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    adopt(ctx, coldkey, hotkey)


# Takes


@pallet.call(65, pays=False)
def decrease_take(ctx: Ctx, hotkey: AccountId, take: PerU16) -> None:
    """Lower the share that `hotkey` keeps of its nominators' dividends; its coldkey signs."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _ensure_take(ctx, coldkey, hotkey, take)
    current = s.Delegates.find(ctx, hotkey)
    ensure(current is None or take < current, er.DelegateTakeTooLow)

    # EFFECTS
    s.Delegates.put(ctx, hotkey, take)
    s.LastTxBlockDelegateTake.put(ctx, hotkey, ctx.block)

    # EVENT
    ctx.deposit(ev.TakeDecreased(coldkey, hotkey, take))


@pallet.call(66, pays=False)
def increase_take(ctx: Ctx, hotkey: AccountId, take: PerU16) -> None:
    """Raise the share that `hotkey` keeps; its coldkey signs, at most once in 30 days."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _ensure_take(ctx, coldkey, hotkey, take)
    current = s.Delegates.find(ctx, hotkey)
    ensure(current is None or take > current, er.DelegateTakeTooLow)
    # Unlike other limits this one is still refused on the very block it ends.
    last = s.LastTxBlockDelegateTake.get(ctx, hotkey)
    limit = s.TxDelegateTakeRateLimit.get(ctx)
    ensure(not last or not limit or ctx.block - last > limit, er.DelegateTxRateLimitExceeded)

    # EFFECTS
    s.Delegates.put(ctx, hotkey, take)
    s.LastTxBlockDelegateTake.put(ctx, hotkey, ctx.block)

    # EVENT
    ctx.deposit(ev.TakeIncreased(coldkey, hotkey, take))


def _ensure_take(ctx: Ctx, coldkey: AccountId, hotkey: AccountId, take: int) -> None:
    ensure(exists(ctx, hotkey), er.HotKeyAccountNotExists)
    ensure(owns(ctx, coldkey, hotkey), er.NonAssociatedColdKey)
    ensure(take >= s.MinDelegateTake.get(ctx), er.DelegateTakeTooLow)
    ensure(take <= s.MaxDelegateTake.get(ctx), er.DelegateTakeTooHigh)


# Takes of childkeys


@pallet.call(75)
def set_childkey_take(ctx: Ctx, hotkey: AccountId, netuid: NetUid, take: PerU16) -> None:
    """Set what `hotkey` keeps of its parents' dividends on a subnet; its coldkey signs."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(owns(ctx, coldkey, hotkey), er.NonAssociatedColdKey)
    least = max(s.MinChildkeyTake.get(ctx), s.MinChildkeyTakePerSubnet.get(ctx, netuid))
    ensure(least <= take <= s.MaxChildkeyTake.get(ctx), er.InvalidChildkeyTake)
    limit = Transaction.SetChildkeyTake
    if take > s.ChildkeyTake.get(ctx, hotkey, netuid):
        ensure_within(ctx, hotkey, netuid, limit, er.TxChildkeyTakeRateLimitExceeded)

    # EFFECTS
    s.ChildkeyTake.put(ctx, hotkey, netuid, take)
    record(ctx, hotkey, netuid, limit)

    # EVENT
    ctx.deposit(ev.ChildKeyTakeSet(hotkey, take))


@pallet.call(69)
def sudo_set_tx_childkey_take_rate_limit(ctx: Ctx, tx_rate_limit: U64) -> None:
    """Set after how many blocks a childkey's take may be raised again, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    s.TxChildkeyTakeRateLimit.put(ctx, tx_rate_limit)

    # EVENT
    ctx.deposit(ev.TxChildKeyTakeRateLimitSet(tx_rate_limit))


@pallet.call(76)
def sudo_set_min_childkey_take(ctx: Ctx, take: PerU16) -> None:
    """Set the least any childkey takes, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    s.MinChildkeyTake.put(ctx, take)

    # EVENT
    ctx.deposit(ev.MinChildKeyTakeSet(take))


@pallet.call(77)
def sudo_set_max_childkey_take(ctx: Ctx, take: PerU16) -> None:
    """Set the most any childkey takes, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    s.MaxChildkeyTake.put(ctx, take)

    # EVENT
    ctx.deposit(ev.MaxChildKeyTakeSet(take))


@pallet.guard
def check_delegate_take(ctx: Ctx, who: AccountId, call: Call) -> None:
    """Keep a take that is out of bounds, or not the signer's, out of the pool."""
    if call.pallet == pallet.name and call.name in ("decrease_take", "increase_take"):
        _ensure_take(ctx, who, call.args["hotkey"], call.args["take"])
