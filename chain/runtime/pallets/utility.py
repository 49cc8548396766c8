"""Utility: several calls in one extrinsic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from chain.errors import DispatchError
from chain.runtime.frame import (
    RUNTIME_CALL,
    Call,
    Ctx,
    Pallet,
    dispatch,
    ensure,
)
from chain.runtime.outcome import DISPATCH_ERROR, DISPATCH_RESULT
from chain.runtime.pallets import system
from chain.scale import U32

pallet = Pallet("Utility", 11, path="pallet_utility")

BATCHED_CALLS_LIMIT = 10_922
pallet.constant("batched_calls_limit", U32, BATCHED_CALLS_LIMIT, "The limit on batched calls.")

Calls = list[Annotated[Call, RUNTIME_CALL]]


@pallet.event(0)
@dataclass(frozen=True)
class BatchInterrupted:
    """A batch stopped at the first error."""

    index: U32
    error: Annotated[DispatchError, DISPATCH_ERROR]


@pallet.event(1)
@dataclass(frozen=True)
class BatchCompleted:
    """Batch of dispatches completed fully with no error."""


@pallet.event(2)
@dataclass(frozen=True)
class BatchCompletedWithErrors:
    """Batch of dispatches completed but has errors."""


@pallet.event(3)
@dataclass(frozen=True)
class ItemCompleted:
    """A single item within a batch of dispatches has completed with no error."""


@pallet.event(4)
@dataclass(frozen=True)
class ItemFailed:
    """A single item within a batch of dispatches has completed with error."""

    error: Annotated[DispatchError, DISPATCH_ERROR]


@pallet.event(5)
@dataclass(frozen=True)
class DispatchedAs:
    """A call was dispatched."""

    result: Annotated[DispatchError | None, DISPATCH_RESULT]


TooManyCalls = pallet.error("TooManyCalls", 0, "Too many calls batched.")
InvalidDerivedAccount = pallet.error("InvalidDerivedAccount", 1)


def _run(ctx: Ctx, call: Call, *, may: Callable[[Call], bool]) -> None:
    ensure(may(call), system.CallFiltered)
    dispatch(ctx, call)
    ctx.deposit(ItemCompleted())


def _not(*names: str) -> Callable[[Call], bool]:
    """A batch does not hold a batch of its own kind."""
    return lambda call: not (call.pallet == "Utility" and call.name in names)


@pallet.call(0)
def batch(ctx: Ctx, calls: Calls) -> None:
    """Dispatch calls in order; the first failure stops the rest and keeps what was done."""
    # CHECKS
    ensure(len(calls) <= BATCHED_CALLS_LIMIT, TooManyCalls)

    # EFFECTS
    for index, call in enumerate(calls):
        try:
            _run(ctx, call, may=_not("batch"))
        except DispatchError as error:
            ctx.deposit(BatchInterrupted(index, error))
            return

    # EVENT
    ctx.deposit(BatchCompleted())


@pallet.call(2)
def batch_all(ctx: Ctx, calls: Calls) -> None:
    """Dispatch calls in order; all of them or none."""
    # CHECKS
    ensure(len(calls) <= BATCHED_CALLS_LIMIT, TooManyCalls)

    # EFFECTS
    for call in calls:
        _run(ctx, call, may=_not("batch_all"))

    # EVENT
    ctx.deposit(BatchCompleted())


@pallet.call(4)
def force_batch(ctx: Ctx, calls: Calls) -> None:
    """Dispatch calls in order; a failure does not stop the rest."""
    # CHECKS
    ensure(len(calls) <= BATCHED_CALLS_LIMIT, TooManyCalls)

    # EFFECTS
    failed = False
    for call in calls:
        try:
            _run(ctx, call, may=_not("force_batch"))
        except DispatchError as error:
            failed = True
            ctx.deposit(ItemFailed(error))

    # EVENT
    ctx.deposit(BatchCompletedWithErrors() if failed else BatchCompleted())
