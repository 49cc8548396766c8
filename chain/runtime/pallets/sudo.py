"""Sudo: one key that may call as root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chain.errors import DispatchError
from chain.runtime.frame import (
    ROOT,
    RUNTIME_CALL,
    Call,
    Ctx,
    Pallet,
    dispatch,
    ensure,
    ensure_signed,
    signed,
)
from chain.runtime.outcome import DISPATCH_RESULT, Weight
from chain.runtime.pallets.balances import Address, lookup
from chain.types import AccountId

pallet = Pallet("Sudo", 12, path="pallet_sudo")

Key = pallet.value("Key", AccountId)

Result = Annotated[DispatchError | None, DISPATCH_RESULT]


@pallet.event(0)
@dataclass(frozen=True)
class Sudid:
    """A sudo call just took place."""

    sudo_result: Result


@pallet.event(1)
@dataclass(frozen=True)
class KeyChanged:
    """The sudo key has been updated."""

    old: AccountId | None
    new: AccountId


@pallet.event(3)
@dataclass(frozen=True)
class SudoAsDone:
    """A sudo_as call just took place."""

    sudo_result: Result


RequireSudo = pallet.error("RequireSudo", 0, "Sender must be the Sudo account.")


def _ensure_sudo(ctx: Ctx) -> AccountId:
    who = ensure_signed(ctx)
    ensure(who == Key.find(ctx), RequireSudo)
    return who


def _outcome(ctx: Ctx, call: Call) -> DispatchError | None:
    """Run `call`; a refusal is its outcome, not this call's."""
    try:
        dispatch(ctx, call)
    except DispatchError as error:
        return error
    return None


@pallet.call(0, pays=False)
def sudo(ctx: Ctx, call: Annotated[Call, RUNTIME_CALL]) -> None:
    """Call as root. The outcome is in the event: this call itself succeeds."""
    # ORIGIN
    _ensure_sudo(ctx)

    # EVENT
    ctx.deposit(Sudid(_outcome(ctx.as_origin(ROOT), call)))


@pallet.call(1, pays=False)
def sudo_unchecked_weight(ctx: Ctx, call: Annotated[Call, RUNTIME_CALL], weight: Weight) -> None:
    """Call as root, whatever it weighs."""
    # ORIGIN
    _ensure_sudo(ctx)

    # EVENT
    ctx.deposit(Sudid(_outcome(ctx.as_origin(ROOT), call)))


@pallet.call(2, pays=False)
def set_key(ctx: Ctx, new: Address) -> None:
    """Hand the sudo key over."""
    # ORIGIN
    old = _ensure_sudo(ctx)

    # EFFECTS
    account = lookup(new)
    Key.put(ctx, account)

    # EVENT
    ctx.deposit(KeyChanged(old, account))


@pallet.call(3, pays=False)
def sudo_as(ctx: Ctx, who: Address, call: Annotated[Call, RUNTIME_CALL]) -> None:
    """Call as another account."""
    # ORIGIN
    _ensure_sudo(ctx)

    # EVENT
    ctx.deposit(SudoAsDone(_outcome(ctx.as_origin(signed(lookup(who))), call)))
