"""How often things may be done, and who may change a subnet.

A limit passes when the thing was never done or at least `limit` blocks ago; block 0 is "never".
Root is not limited and leaves no record. Limits of weights, serving and takes stand beside their
calls.
"""

from __future__ import annotations

import enum

from chain.errors import BadOrigin, ModuleError
from chain.runtime.frame import ROOT, Ctx, ensure, ensure_signed
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import tempo
from chain.runtime.pallets.subtensor.records import Hyperparameter
from chain.scale import Tagged
from chain.types import AccountId, NetUid

CHILDREN_INTERVAL = 150
OWNER_HOTKEY_INTERVAL = 50_400  # blocks between changes of a subnet's owner hotkey
TEMPO_INTERVAL = 360
MECHANISM_INTERVAL = 7200
TRIMMING_INTERVAL = 216_000


class Transaction(enum.IntEnum):
    """What is counted by account and subnet, under these numbers."""

    SetChildren = 0
    SetChildkeyTake = 1
    SetWeightsVersionKey = 4
    MechanismCountUpdate = 7
    MechanismEmission = 8
    MaxUidsTrimming = 9
    TempoUpdate = 11


Limit = Hyperparameter | Transaction
"""A hyperparameter is counted by subnet alone, a transaction by account and subnet."""

NETWORK_REGISTRATION = Tagged("NetworkLastRegistered")


def owner_hotkey_change(netuid: NetUid) -> Tagged:
    """The key under which changes of a subnet's owner hotkey are counted."""
    return Tagged("SetSNOwnerHotkey", netuid)


def passes(ctx: Ctx, last: int, limit: int) -> bool:
    """Whether something last done at block `last` may be done again."""
    return last == 0 or max(ctx.block - last, 0) >= limit


def is_owner(ctx: Ctx, netuid: NetUid, who: AccountId) -> bool:
    """Whether the coldkey `who` owns the subnet."""
    return s.SubnetOwner.get(ctx, netuid) == who


def ensure_owner(ctx: Ctx, netuid: NetUid) -> AccountId:
    """The owner of the subnet, if it signed. Raises BadOrigin."""
    who = ensure_signed(ctx)
    if not is_owner(ctx, netuid, who):
        raise BadOrigin("only the subnet's owner may call this")
    return who


def ensure_owner_or_root(ctx: Ctx, netuid: NetUid) -> AccountId | None:
    """The owner of the subnet, or None when root calls. Raises BadOrigin for anybody else."""
    return None if ctx.origin == ROOT else ensure_owner(ctx, netuid)


def ensure_window_open(ctx: Ctx, netuid: NetUid) -> None:
    """Refuse changes in the last blocks before an epoch."""
    ensure(
        not tempo.in_freeze_window(ctx, netuid),
        er.AdminActionProhibitedDuringWeightsWindow,
    )


def ensure_within(
    ctx: Ctx,
    who: AccountId | None,
    netuid: NetUid,
    limit: Limit,
    error: type[ModuleError] = er.TxRateLimitExceeded,
) -> None:
    """Raise `error` when `limit` holds `who` back; None is root."""
    if who is not None:
        last = _last(ctx, who, netuid, limit)
        ensure(passes(ctx, last, _interval(ctx, netuid, limit)), error)


def record(ctx: Ctx, who: AccountId | None, netuid: NetUid, limit: Limit) -> None:
    """Count this block for `limit`, unless `who` is None, which is root."""
    if who is None:
        return
    if isinstance(limit, Hyperparameter):
        s.LastRateLimitedBlock.put(ctx, hyperparameter_change(netuid, limit), ctx.block)
    else:
        s.TransactionKeyLastBlock.put(ctx, who, netuid, int(limit), ctx.block)


def hyperparameter_change(netuid: NetUid, hyperparameter: Hyperparameter) -> Tagged:
    """The key under which an owner's changes of a hyperparameter are counted."""
    return Tagged("OwnerHyperparamUpdate", (netuid, hyperparameter))


def _last(ctx: Ctx, who: AccountId, netuid: NetUid, limit: Limit) -> int:
    if isinstance(limit, Hyperparameter):
        return s.LastRateLimitedBlock.get(ctx, hyperparameter_change(netuid, limit))
    return s.TransactionKeyLastBlock.get(ctx, who, netuid, int(limit))


def _interval(ctx: Ctx, netuid: NetUid, limit: Limit) -> int:
    if isinstance(limit, Hyperparameter):
        return s.OwnerHyperparamRateLimit.get(ctx) * s.Tempo.get(ctx, netuid)
    match limit:
        case Transaction.SetWeightsVersionKey:
            return s.WeightsVersionKeyRateLimit.get(ctx) * s.Tempo.get(ctx, netuid)
        case Transaction.SetChildren:
            return CHILDREN_INTERVAL
        case Transaction.SetChildkeyTake:
            return s.TxChildkeyTakeRateLimit.get(ctx)
        case Transaction.MechanismCountUpdate | Transaction.MechanismEmission:
            return MECHANISM_INTERVAL
        case Transaction.MaxUidsTrimming:
            return TRIMMING_INTERVAL
        case Transaction.TempoUpdate:
            return TEMPO_INTERVAL
