"""Commitments: short public data of neurons, such as where a model is to be found.

Sealed fields are opened in the first block that finds the beacon's pulse for their round stored.
Space is counted by epoch; nothing is deposited.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from chain.runtime.frame import Ctx, Pallet, Twox64Concat, ensure, ensure_root, ensure_signed
from chain.runtime.frame import Identity as IdentityHasher
from chain.runtime.pallets import drand
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import uids
from chain.scale import (
    U32,
    U64,
    Bytes,
    Codec,
    FixedBytes,
    OrderedSet,
    Struct,
    Tagged,
    Tuple,
    Variants,
    Vector,
    codec,
)
from chain.types import AccountId, NetUid, Rao

pallet = Pallet("Commitments", 18, path="pallet_commitments")

MAX_FIELDS = 3
MAX_RAW = 128  # bytes of a field whose length is in its tag
MAX_BIG_RAW = 512
MAX_CIPHERTEXT = 1024
MIN_SPACE = 100  # what even an empty commitment counts for
REVEALED_KEPT = 10  # texts of one hotkey that stay readable, the newest

pallet.constant("MaxFields", U32, MAX_FIELDS)
pallet.constant("InitialDeposit", Rao, Rao(0))
pallet.constant("FieldDeposit", Rao, Rao(0))

# Data


@dataclass(frozen=True)
class Sealed:
    """A field encrypted to a round of the randomness beacon."""

    encrypted: Annotated[bytes, Bytes(limit=MAX_CIPHERTEXT)]
    reveal_round: U64


_HASHES = ("BlakeTwo256", "Sha256", "Keccak256", "ShaThree256")
_FIRST_HASH = MAX_RAW + 2

DATA: Codec[Tagged] = Variants(
    ("pallet_commitments", "types", "Data"),
    (
        (0, "None", None),
        *((size + 1, f"Raw{size}", FixedBytes(size)) for size in range(MAX_RAW + 1)),
        *((_FIRST_HASH + i, name, FixedBytes(32)) for i, name in enumerate(_HASHES)),
        (134, "TimelockEncrypted", Struct(Sealed, ())),
        (135, "ResetBondsFlag", None),
        (136, "BigRaw", Bytes(limit=MAX_BIG_RAW)),
    ),
)
"""One field. The chain gives every length of raw bytes a variant of its own, Raw0 to Raw128."""


def raw(data: bytes) -> Tagged:
    """`data` as a field, of at most 512 bytes."""
    return Tagged(f"Raw{len(data)}", data) if len(data) <= MAX_RAW else Tagged("BigRaw", data)


@dataclass(frozen=True)
class CommitmentInfo:
    """What a neuron commits."""

    __scale_path__ = ("pallet_commitments", "types", "CommitmentInfo")
    fields: Annotated[list[Tagged], Vector(DATA, limit=MAX_FIELDS)]


@dataclass(frozen=True)
class Registration:
    """A commitment and when it was made."""

    __scale_path__ = ("pallet_commitments", "types", "Registration")
    deposit: Rao
    block: U32
    info: CommitmentInfo


@dataclass(frozen=True)
class UsageTracker:
    """Bytes a neuron has committed in one epoch."""

    __scale_path__ = ("pallet_commitments", "types", "UsageTracker")
    last_epoch: U64
    used_space: U64


# Storage

_HASHERS = (IdentityHasher, Twox64Concat)
_REVEALED: Codec[list[tuple[bytes, int]]] = codec(list[tuple[bytes, U64]])
_INDEX: Codec[Any] = OrderedSet(Tuple((codec(NetUid), codec(AccountId))))

CommitmentOf = pallet.double_map("CommitmentOf", NetUid, AccountId, Registration, hashers=_HASHERS)
LastCommitment = pallet.double_map("LastCommitment", NetUid, AccountId, U32, hashers=_HASHERS)
LastBondsReset = pallet.double_map("LastBondsReset", NetUid, AccountId, U32, hashers=_HASHERS)
RevealedCommitments = pallet.double_map(
    "RevealedCommitments", NetUid, AccountId, _REVEALED, hashers=_HASHERS
)
UsedSpaceOf = pallet.double_map("UsedSpaceOf", NetUid, AccountId, UsageTracker, hashers=_HASHERS)
TimelockedIndex = pallet.value("TimelockedIndex", _INDEX, default=frozenset())
MaxSpace = pallet.value("MaxSpace", U32, default=3100)

# Events and errors


@pallet.event(0)
@dataclass(frozen=True)
class Commitment:
    """A commitment was set."""

    netuid: NetUid
    who: AccountId


@pallet.event(1)
@dataclass(frozen=True)
class TimelockCommitment:
    """A timelock-encrypted commitment was set."""

    netuid: NetUid
    who: AccountId
    reveal_round: U64


@pallet.event(2)
@dataclass(frozen=True)
class CommitmentRevealed:
    """A timelock-encrypted commitment was auto-revealed."""

    netuid: NetUid
    who: AccountId


TooManyFieldsInCommitmentInfo = pallet.error(
    "TooManyFieldsInCommitmentInfo",
    0,
    "Account passed too many additional fields to their commitment",
)
AccountNotAllowedCommit = pallet.error(
    "AccountNotAllowedCommit", 1, "Account is not allowed to make commitments to the chain"
)
SpaceLimitExceeded = pallet.error(
    "SpaceLimitExceeded", 2, "Space Limit Exceeded for the current interval"
)
UnexpectedUnreserveLeftover = pallet.error(
    "UnexpectedUnreserveLeftover",
    3,
    "Indicates that unreserve returned a leftover, which is unexpected.",
)
TimelockRevealFailedNotAllowed = pallet.error(
    "TimelockRevealFailedNotAllowed",
    4,
    "`TimelockRevealFailed` fields may only be created by the runtime.",
)

# Calls


@pallet.call(0, pays=False)
def set_commitment(ctx: Ctx, netuid: NetUid, info: CommitmentInfo) -> None:
    """Publish what the signing hotkey commits to; it replaces what it committed before."""
    # ORIGIN
    who = ensure_signed(ctx)

    # CHECKS
    ensure(s.Uids.contains(ctx, netuid, who), AccountNotAllowedCommit)
    ensure(len(info.fields) <= MAX_FIELDS, TooManyFieldsInCommitmentInfo)
    epoch = s.SubnetEpochIndex.get(ctx, netuid)
    usage = UsedSpaceOf.find(ctx, netuid, who)
    used = usage.used_space if usage is not None and usage.last_epoch == epoch else 0
    used += max(MIN_SPACE, sum(map(space, info.fields)))
    ensure(used <= MaxSpace.get(ctx), SpaceLimitExceeded)

    # EFFECTS
    if any(field.name == "ResetBondsFlag" for field in info.fields):
        LastBondsReset.put(ctx, netuid, who, ctx.block)
        uids.reset_bonds(ctx, netuid, who)
    UsedSpaceOf.put(ctx, netuid, who, UsageTracker(epoch, used))
    CommitmentOf.put(ctx, netuid, who, Registration(Rao(0), ctx.block, info))
    LastCommitment.put(ctx, netuid, who, ctx.block)
    sealed = [field.value for field in info.fields if field.name == "TimelockEncrypted"]
    waiting = TimelockedIndex.get(ctx)
    if bool(sealed) != ((netuid, who) in waiting):
        TimelockedIndex.put(ctx, waiting ^ {(netuid, who)})

    # EVENT
    if sealed:
        ctx.deposit(TimelockCommitment(netuid, who, sealed[0].reveal_round))
    else:
        ctx.deposit(Commitment(netuid, who))


def space(data: Tagged) -> int:
    """The bytes a field counts for."""
    if data.name == "TimelockEncrypted":
        return len(data.value.encrypted)
    return 0 if data.value is None else len(data.value)


@pallet.on_initialize
def reveal_sealed(ctx: Ctx) -> None:
    """Open the sealed fields whose round the beacon has signed; what does not open is dropped."""
    waiting = TimelockedIndex.get(ctx)
    if not waiting or not drand.LastStoredRound.get(ctx):
        return
    still = frozenset(place for place in sorted(waiting) if _reveal(ctx, *place))
    if still != waiting:
        TimelockedIndex.put(ctx, still)


def _reveal(ctx: Ctx, netuid: NetUid, who: AccountId) -> bool:
    """Open what can be; whether something sealed is left."""
    registration = CommitmentOf.find(ctx, netuid, who)
    if registration is None:
        return False
    kept, opened = [], []
    for field in registration.info.fields:
        pulse = None
        if field.name == "TimelockEncrypted":
            pulse = drand.Pulses.find(ctx, field.value.reveal_round)
        if pulse is None:
            kept.append(field)
        else:
            text = drand.unseal(field.value.encrypted, pulse)
            opened += [] if text is None else [(text, ctx.block)]
    if not kept:
        CommitmentOf.remove(ctx, netuid, who)
    elif len(kept) < len(registration.info.fields):
        CommitmentOf.put(ctx, netuid, who, replace(registration, info=CommitmentInfo(kept)))
    if opened:
        known = RevealedCommitments.find(ctx, netuid, who) or []
        RevealedCommitments.put(ctx, netuid, who, [*known, *opened][-REVEALED_KEPT:])
    for _ in opened:
        ctx.deposit(CommitmentRevealed(netuid, who))
    return any(field.name == "TimelockEncrypted" for field in kept)


@pallet.call(2)
def set_max_space(ctx: Ctx, new_limit: U32) -> None:
    """Set the bytes a neuron may commit in one epoch, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    MaxSpace.put(ctx, new_limit)
