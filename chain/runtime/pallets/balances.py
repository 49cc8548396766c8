"""Balances: TAO held by accounts, and how much of it there is.

An account below the existential deposit does not exist: what is left in it is lost and leaves the
issuance. `issue` and `rescind` move the issuance alone, for sums on their way to an account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chain.errors import TokenError
from chain.runtime.frame import Ctx, Pallet, ensure, ensure_root, ensure_signed
from chain.runtime.pallets import system
from chain.scale import U32, UNIT, Codec, Compact, Tagged, Variants, codec
from chain.types import AccountId, Rao

pallet = Pallet("Balances", 5, path="pallet_balances")

EXISTENTIAL_DEPOSIT = Rao(500)
pallet.constant("ExistentialDeposit", Rao, EXISTENTIAL_DEPOSIT, "The least an account may hold.")
pallet.constant("MaxLocks", U32, 50)
pallet.constant("MaxReserves", U32, 50)
pallet.constant("MaxFreezes", U32, 50)

TotalIssuance = pallet.value("TotalIssuance", Rao, default=Rao(0))
InactiveIssuance = pallet.value("InactiveIssuance", Rao, default=Rao(0))

MULTI_ADDRESS: Codec[Tagged] = Variants(
    ("sp_runtime", "multiaddress", "MultiAddress"),
    (
        (0, "Id", codec(AccountId)),
        (1, "Index", Compact(UNIT)),
        (2, "Raw", codec(bytes)),
    ),
    params=(("AccountId", codec(AccountId)), ("AccountIndex", UNIT)),
)
"""Only `Id` names an account here; the other forms are refused where they are looked up."""
Address = Annotated[Tagged, MULTI_ADDRESS]
CompactRao = Annotated[Rao, Compact(codec(Rao))]

# Events and errors


@pallet.event(0)
@dataclass(frozen=True)
class Endowed:
    """An account was created with some free balance."""

    account: AccountId
    free_balance: Rao


@pallet.event(1)
@dataclass(frozen=True)
class DustLost:
    """An account fell below the existential deposit and lost the rest."""

    account: AccountId
    amount: Rao


@pallet.event(2)
@dataclass(frozen=True)
class Transfer:
    """Transfer succeeded."""

    from_: AccountId
    to: AccountId
    amount: Rao


@pallet.event(3)
@dataclass(frozen=True)
class BalanceSet:
    """A balance was set by root."""

    who: AccountId
    free: Rao


@pallet.event(7)
@dataclass(frozen=True)
class Deposit:
    """Some amount was deposited (e.g. for transaction fees)."""

    who: AccountId
    amount: Rao


@pallet.event(8)
@dataclass(frozen=True)
class Withdraw:
    """Some amount was withdrawn from the account (e.g. for transaction fees)."""

    who: AccountId
    amount: Rao


@pallet.event(10)
@dataclass(frozen=True)
class Minted:
    """Some amount was minted into an account."""

    who: AccountId
    amount: Rao


@pallet.event(11)
@dataclass(frozen=True)
class Burned:
    """Some amount was burned from an account."""

    who: AccountId
    amount: Rao


@pallet.event(15)
@dataclass(frozen=True)
class Issued:
    """Total issuance was increased by `amount`, creating a credit to be balanced."""

    amount: Rao


@pallet.event(16)
@dataclass(frozen=True)
class Rescinded:
    """Total issuance was decreased by `amount`, creating a debt to be balanced."""

    amount: Rao


VestingBalance = pallet.error("VestingBalance", 0)
LiquidityRestrictions = pallet.error("LiquidityRestrictions", 1)
InsufficientBalance = pallet.error("InsufficientBalance", 2, "Balance too low to send value.")
ExistentialDeposit = pallet.error("ExistentialDeposit", 3, "Value too low to create account.")
Expendability = pallet.error("Expendability", 4, "Transfer/payment would kill account.")
ExistingVestingSchedule = pallet.error("ExistingVestingSchedule", 5)
DeadAccount = pallet.error("DeadAccount", 6)
TooManyReserves = pallet.error("TooManyReserves", 7)
TooManyHolds = pallet.error("TooManyHolds", 8)
TooManyFreezes = pallet.error("TooManyFreezes", 9)
IssuanceDeactivated = pallet.error("IssuanceDeactivated", 10)
DeltaZero = pallet.error("DeltaZero", 11)

# Reading


def free(ctx: Ctx, who: AccountId) -> Rao:
    """What `who` holds and may not all be able to spend."""
    return system.Account.get(ctx, who).data.free


def reducible(ctx: Ctx, who: AccountId, *, keep_alive: bool = True) -> Rao:
    """What `who` can spend; with `keep_alive`, without ending the account."""
    return _reducible(system.Account.get(ctx, who).data, keep_alive)


def _reducible(data: system.AccountData, keep_alive: bool) -> Rao:
    held = EXISTENTIAL_DEPOSIT if keep_alive else Rao(0)
    return data.free.saturating_sub(max(data.frozen, held))


# Moving balances: accounts only


def _set_free(ctx: Ctx, who: AccountId, info: system.AccountInfo, amount: Rao) -> None:
    """Give `who`, whose account is `info`, a free balance of `amount`."""
    exists = info.providers > 0
    if amount < EXISTENTIAL_DEPOSIT and not info.data.reserved:
        if exists:
            if amount:
                rescind(ctx, amount)
                ctx.deposit(DustLost(who, amount))
            ctx.deposit(system.KilledAccount(who))
        _kill(ctx, who, info)
        return
    if not exists:
        ctx.deposit(system.NewAccount(who))
        ctx.deposit(Endowed(who, amount))
    system.Account.put(ctx, who, info.with_free(amount, providers=1))


def _kill(ctx: Ctx, who: AccountId, info: system.AccountInfo) -> None:
    """End the balances of `who`; its nonce stays, so that old signatures stay worthless."""
    if info.nonce:
        system.Account.put(ctx, who, info.with_free(Rao(0), providers=0))
    else:
        system.Account.remove(ctx, who)


def deposit(ctx: Ctx, who: AccountId, amount: Rao) -> None:
    """Add to `who`. Raises TokenError.BelowMinimum when that would not make an account."""
    if not amount:
        return
    info = system.Account.get(ctx, who)
    now = info.data.free + amount
    if now < EXISTENTIAL_DEPOSIT:
        raise TokenError("BelowMinimum")
    _set_free(ctx, who, info, now)


def withdraw(ctx: Ctx, who: AccountId, amount: Rao, *, keep_alive: bool = True) -> None:
    """Take from `who`. Raises InsufficientBalance, or Expendability when only alive it has less."""
    if not amount:
        return
    info = system.Account.get(ctx, who)
    ensure(amount <= _reducible(info.data, keep_alive=False), InsufficientBalance)
    ensure(amount <= _reducible(info.data, keep_alive), Expendability)
    _set_free(ctx, who, info, info.data.free - amount)


def transfer(
    ctx: Ctx, source: AccountId, destination: AccountId, amount: Rao, *, keep_alive: bool = True
) -> None:
    """Move `amount` from `source` to `destination`.

    Raises TokenError: FundsUnavailable for too little, NotExpendable when `keep_alive` forbids it,
    BelowMinimum when the destination would not come to exist.
    """
    info = system.Account.get(ctx, source)
    if amount > _reducible(info.data, keep_alive=False):
        raise TokenError("FundsUnavailable")
    if amount > _reducible(info.data, keep_alive):
        raise TokenError("NotExpendable")
    if source != destination and amount:
        _set_free(ctx, source, info, info.data.free - amount)
        deposit(ctx, destination, amount)
    ctx.deposit(Transfer(source, destination, amount))


# Issuance


def issue(ctx: Ctx, amount: Rao) -> None:
    """Raise the total issuance; the sum is on its way to an account."""
    if amount:
        TotalIssuance.put(ctx, TotalIssuance.get(ctx) + amount)


def rescind(ctx: Ctx, amount: Rao) -> None:
    """Lower the total issuance; the sum is in no account any more."""
    if amount:
        TotalIssuance.put(ctx, TotalIssuance.get(ctx).saturating_sub(amount))


def mint_into(ctx: Ctx, who: AccountId, amount: Rao) -> None:
    """New TAO for `who`."""
    issue(ctx, amount)
    deposit(ctx, who, amount)
    ctx.deposit(Minted(who, amount))


def burn_from(ctx: Ctx, who: AccountId, amount: Rao, *, keep_alive: bool = True) -> None:
    """Destroy TAO of `who`."""
    withdraw(ctx, who, amount, keep_alive=keep_alive)
    rescind(ctx, amount)
    ctx.deposit(Burned(who, amount))


# Calls


def lookup(address: Tagged) -> AccountId:
    """The account an address names. Raises TokenError for a form this chain does not use."""
    if address.name != "Id":
        raise TokenError("UnknownAsset")
    account: AccountId = address.value
    return account


@pallet.call(0)
def transfer_allow_death(ctx: Ctx, dest: Address, value: CompactRao) -> None:
    """Transfer some liquid free balance to another account; the sender may end."""
    # ORIGIN
    source = ensure_signed(ctx)

    # EFFECTS
    transfer(ctx, source, lookup(dest), value, keep_alive=False)


@pallet.call(2)
def force_transfer(ctx: Ctx, source: Address, dest: Address, value: CompactRao) -> None:
    """Transfer between any two accounts, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    transfer(ctx, lookup(source), lookup(dest), value, keep_alive=False)


@pallet.call(3)
def transfer_keep_alive(ctx: Ctx, dest: Address, value: CompactRao) -> None:
    """Transfer some liquid free balance to another account; the sender stays alive."""
    # ORIGIN
    source = ensure_signed(ctx)

    # EFFECTS
    transfer(ctx, source, lookup(dest), value, keep_alive=True)


@pallet.call(4)
def transfer_all(ctx: Ctx, dest: Address, keep_alive: bool) -> None:
    """Transfer everything the sender can spend."""
    # ORIGIN
    source = ensure_signed(ctx)

    # EFFECTS
    amount = reducible(ctx, source, keep_alive=keep_alive)
    transfer(ctx, source, lookup(dest), amount, keep_alive=keep_alive)


@pallet.call(8)
def force_set_balance(ctx: Ctx, who: Address, new_free: CompactRao) -> None:
    """Set the free balance of an account, by root; the issuance follows."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    account = lookup(who)
    wanted = new_free if new_free >= EXISTENTIAL_DEPOSIT else Rao(0)
    info = system.Account.get(ctx, account)
    before = info.data.free
    if wanted > before:
        issue(ctx, wanted - before)
    else:
        rescind(ctx, before - wanted)
    _set_free(ctx, account, info, wanted)

    # EVENT
    ctx.deposit(BalanceSet(account, wanted))
