"""Registration: a coldkey buys a seat on a subnet for one of its hotkeys.

The price buys the subnet's alpha, which is recycled; it rises with every registration and decays
with every block. Proof of work is not accepted: `register` takes its arguments and asks the price.
Seats on root are taken in `subnets`.
"""

from __future__ import annotations

import functools

from chain.runtime.fixed import U64F64
from chain.runtime.frame import Ctx, ensure, ensure_signed
from chain.runtime.pallets import balances, swap
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import hotkeys, staking, tempo, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U64
from chain.types import AccountId, NetUid, Rao

ROOT_NETUID = NetUid(0)
_Q32 = 1 << 32


@pallet.call(7)
def burned_register(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    """Buy a seat on `netuid` for `hotkey`; the signing coldkey pays the subnet's burn price."""
    _register(ctx, netuid, hotkey)


@pallet.call(6)
def register(
    ctx: Ctx,
    netuid: NetUid,
    block_number: U64,
    nonce: U64,
    work: bytes,
    hotkey: AccountId,
    coldkey: AccountId,
) -> None:
    """Buy a seat as `burned_register` does; the work and the named coldkey are ignored."""
    _register(ctx, netuid, hotkey)


@pallet.call(134)
def register_limit(ctx: Ctx, netuid: NetUid, hotkey: AccountId, limit_price: U64) -> None:
    """Buy a seat as `burned_register` does, if it costs at most `limit_price` rao."""
    _register(ctx, netuid, hotkey, limit_price)


def _register(ctx: Ctx, netuid: NetUid, hotkey: AccountId, limit_price: int | None = None) -> None:
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(netuid != ROOT_NETUID, er.RegistrationNotPermittedOnRootSubnet)
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    price = s.Burn.get(ctx, netuid)
    ensure(limit_price is None or price <= limit_price, er.RegistrationPriceLimitExceeded)
    ensure(s.NetworkRegistrationAllowed.get(ctx, netuid), er.SubNetRegistrationDisabled)
    ensure(not s.Uids.contains(ctx, netuid, hotkey), er.HotKeyAlreadyRegisteredInSubNet)
    spendable = balances.reducible(ctx, coldkey, keep_alive=False)
    ensure(spendable >= price, er.NotEnoughBalanceToStake)
    hotkeys.adopt(ctx, coldkey, hotkey)
    ensure(hotkeys.owns(ctx, coldkey, hotkey), er.NonAssociatedColdKey)
    seats = s.MaxAllowedUids.get(ctx, netuid)
    full = s.SubnetworkN.get(ctx, netuid) >= seats
    evicted = uids.find_prunable(ctx, netuid) if full else None
    ensure(seats > 0 and (not full or evicted is not None), er.NoNeuronIdAvailable)

    # EFFECTS
    # A coldkey that can pay only by ending its account pays what keeps it alive.
    paid = min(price, balances.reducible(ctx, coldkey, keep_alive=True))
    balances.transfer(ctx, coldkey, subnet_account(netuid), paid)
    trade = swap.buy(ctx, netuid, paid)
    staking.recycle(ctx, netuid, trade.paid_out)
    staking.pay_author(ctx, netuid, trade.fee)
    uid = take_seat(ctx, netuid, hotkey, evicted)
    _raise_price(ctx, netuid, price)
    s.RegistrationsThisBlock.put(ctx, netuid, s.RegistrationsThisBlock.get(ctx, netuid) + 1)
    recycled = s.RAORecycledForRegistration.get(ctx, netuid)
    s.RAORecycledForRegistration.put(ctx, netuid, recycled.saturating_add(price))
    staking.record_flow(ctx, netuid, int(paid))

    # EVENT
    ctx.deposit(ev.NeuronRegistered(netuid, uid, hotkey))


def take_seat(ctx: Ctx, netuid: NetUid, hotkey: AccountId, evicted: int | None) -> int:
    """Seat `hotkey` on a new uid, or on `evicted`."""
    if evicted is None:
        return uids.append(ctx, netuid, hotkey)
    uids.replace(ctx, netuid, evicted, hotkey)
    return evicted


# The price


def update_registration_prices(ctx: Ctx) -> None:
    """Let every subnet's price decay by one block, and start its counters anew.

    A price halves in `BurnHalfLife` blocks and stays within `MinBurn` and `MaxBurn`.
    """
    for netuid, _ in s.NetworksAdded.items(ctx):
        half_life = s.BurnHalfLife.get(ctx, netuid)
        before = s.Burn.get(ctx, netuid)
        price = int(before)
        if half_life > 0 and ctx.block > 1:
            price = price * decay_factor(half_life) >> 32
        price = _clamp(ctx, netuid, price)
        if price != before:
            s.Burn.put(ctx, netuid, Rao(price))
        if s.RegistrationsThisBlock.get(ctx, netuid):
            s.RegistrationsThisBlock.put(ctx, netuid, 0)
    # Root's epoch never runs, so once its first tempo has passed this holds in every block.
    if tempo.should_run_epoch(ctx, ROOT_NETUID, ctx.block):
        s.RegistrationsThisInterval.put(ctx, ROOT_NETUID, 0)


def _raise_price(ctx: Ctx, netuid: NetUid, price: Rao) -> None:
    factor = max(s.BurnIncreaseMult.get(ctx, netuid), U64F64.ONE)
    raised = U64F64.to_u64(U64F64.mul(U64F64.of(int(price)), factor))
    s.Burn.put(ctx, netuid, Rao(_clamp(ctx, netuid, raised)))


def _clamp(ctx: Ctx, netuid: NetUid, price: int) -> int:
    raised = max(price, int(s.MinBurn.get(ctx, netuid)))
    return min(raised, int(s.MaxBurn.get(ctx, netuid)))


@functools.cache
def decay_factor(half_life: int) -> int:
    """What a price is multiplied by each block, over 2^32: the largest that still halves.

    That is about 2^(-1/half_life); 2^32, no decay, for a half-life of 0.
    """
    if half_life == 0:
        return _Q32
    low, high = 0, _Q32
    while low < high:
        middle = (low + high + 1) // 2
        if _power(middle, half_life) <= _Q32 // 2:
            low = middle
        else:
            high = middle - 1
    return low


def _power(base: int, exponent: int) -> int:
    """base^exponent over 2^32, every product floored: the chain's order of multiplications."""
    result = _Q32
    while exponent:
        if exponent & 1:
            result = result * base >> 32
        base = base * base >> 32
        exponent >>= 1
    return result
