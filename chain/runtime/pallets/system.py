"""System: accounts and their nonces, block numbers and hashes, events, receipts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from chain.errors import DispatchError
from chain.runtime.frame import (
    RUNTIME_EVENT,
    Ctx,
    Pallet,
    Twox64Concat,
    ensure_root,
    ensure_signed,
)
from chain.runtime.outcome import DISPATCH_ERROR, DispatchInfo, Weight
from chain.scale import (
    U8,
    U16,
    U32,
    U64,
    U128,
    Codec,
    Compact,
    Described,
    FixedBytes,
    Shape,
    Tagged,
    Variants,
    Vector,
    codec,
)
from chain.types import H256, AccountId, Rao, blake2_256

pallet = Pallet("System", 0, path="frame_system")

BLOCK_HASH_COUNT = 2400
"""Blocks whose hash is kept, and so the oldest birth of a mortal extrinsic."""

# Storage


@dataclass(frozen=True)
class AccountData:
    """Balances of an account."""

    __scale_path__ = ("pallet_balances", "types", "AccountData")
    free: Rao
    reserved: Rao
    frozen: Rao
    flags: U128


@dataclass(frozen=True)
class AccountInfo:
    """An account: its nonce, what keeps it alive, its balances."""

    __scale_path__ = ("frame_system", "AccountInfo")
    nonce: U32
    consumers: U32
    providers: U32
    sufficients: U32
    data: AccountData

    def with_nonce(self, nonce: int) -> AccountInfo:
        """The same account, after another extrinsic."""
        return AccountInfo(nonce, self.consumers, self.providers, self.sufficients, self.data)

    def with_free(self, free: Rao, providers: int) -> AccountInfo:
        """The same account, with another free balance."""
        data = AccountData(free, self.data.reserved, self.data.frozen, self.data.flags)
        return AccountInfo(self.nonce, self.consumers, providers, self.sufficients, data)


# The flag marks an account of the current balances logic; a fresh account carries it.
NEW_LOGIC = 1 << 127
EMPTY = AccountInfo(0, 0, 0, 0, AccountData(Rao(0), Rao(0), Rao(0), NEW_LOGIC))

PHASE: Codec[Tagged] = Variants(
    ("frame_system", "Phase"),
    ((0, "ApplyExtrinsic", codec(U32)), (1, "Finalization", None), (2, "Initialization", None)),
)


@dataclass(frozen=True)
class EventRecord:
    """One event, when it happened, and its topics (none here)."""

    __scale_path__ = ("frame_system", "EventRecord")
    phase: Annotated[Tagged, PHASE]
    event: Annotated[Any, RUNTIME_EVENT]
    topics: list[H256]


_RECORD = codec(EventRecord)


def _record_shape() -> Shape:
    params = (("E", RUNTIME_EVENT), ("T", codec(H256)))
    return replace(_RECORD.shape(), params=params)


EVENT_RECORD: Codec[EventRecord] = Described(_record_shape, _RECORD.encode, _RECORD.read)


_ENGINE_ITEM = codec(tuple[Annotated[bytes, FixedBytes(4)], bytes])
DIGEST_ITEM: Codec[Tagged] = Variants(
    ("sp_runtime", "generic", "digest", "DigestItem"),
    (
        (6, "PreRuntime", _ENGINE_ITEM),
        (4, "Consensus", _ENGINE_ITEM),
        (5, "Seal", _ENGINE_ITEM),
        (0, "Other", codec(bytes)),
        (8, "RuntimeEnvironmentUpdated", None),
    ),
)


@dataclass(frozen=True)
class Digest:
    """The header's digest items."""

    __scale_path__ = ("sp_runtime", "generic", "digest", "Digest")
    logs: list[Annotated[Tagged, DIGEST_ITEM]]


@dataclass(frozen=True)
class LastRuntimeUpgradeInfo:
    """The runtime that last upgraded the chain."""

    __scale_path__ = ("frame_system", "LastRuntimeUpgradeInfo")
    spec_version: Annotated[int, Compact(codec(U32))]
    spec_name: str


Account = pallet.map("Account", AccountId, AccountInfo, default=EMPTY)
ExtrinsicCount = pallet.value("ExtrinsicCount", U32)
BlockHash = pallet.map("BlockHash", U32, H256, default=H256(bytes(32)), hasher=Twox64Concat)
Number = pallet.value("Number", U32, default=0)
ParentHash = pallet.value("ParentHash", H256, default=H256(bytes(32)))
DigestItem = pallet.value("Digest", Digest, default=Digest([]))
Events = pallet.value("Events", Vector(EVENT_RECORD), default=[])
EventCount = pallet.value("EventCount", U32, default=0)
LastRuntimeUpgrade = pallet.value("LastRuntimeUpgrade", LastRuntimeUpgradeInfo)
ExecutionPhase = pallet.value("ExecutionPhase", PHASE)

# Constants


@dataclass(frozen=True)
class WeightsPerClass:
    """Limits of one dispatch class."""

    __scale_path__ = ("frame_system", "limits", "WeightsPerClass")
    base_extrinsic: Weight
    max_extrinsic: Weight | None
    max_total: Weight | None
    reserved: Weight | None


@dataclass(frozen=True)
class PerDispatchClassWeights:
    """Limits by dispatch class."""

    __scale_path__ = ("frame_support", "dispatch", "PerDispatchClass")
    normal: WeightsPerClass
    operational: WeightsPerClass
    mandatory: WeightsPerClass


@dataclass(frozen=True)
class BlockWeights:
    """How much computation a block holds."""

    __scale_path__ = ("frame_system", "limits", "BlockWeights")
    base_block: Weight
    max_block: Weight
    per_class: PerDispatchClassWeights


@dataclass(frozen=True)
class PerDispatchClassLength:
    """Bytes by dispatch class."""

    __scale_path__ = ("frame_support", "dispatch", "PerDispatchClass")
    normal: U32
    operational: U32
    mandatory: U32


@dataclass(frozen=True)
class BlockLength:
    """How many bytes a block holds."""

    __scale_path__ = ("frame_system", "limits", "BlockLength")
    max: PerDispatchClassLength


@dataclass(frozen=True)
class RuntimeDbWeight:
    """What a read and a write of storage weigh."""

    __scale_path__ = ("sp_weights", "RuntimeDbWeight")
    read: U64
    write: U64


@dataclass(frozen=True)
class RuntimeVersion:
    """Which runtime this is; clients key their metadata caches by it."""

    __scale_path__ = ("sp_version", "RuntimeVersion")
    spec_name: str
    impl_name: str
    authoring_version: U32
    spec_version: U32
    impl_version: U32
    apis: list[tuple[Annotated[bytes, FixedBytes(8)], U32]]
    transaction_version: U32
    system_version: U8


BASE_EXTRINSIC_WEIGHT = 108_157_000
"""ref_time of the empty extrinsic, part of every fee."""
MAX_BLOCK_WEIGHT = 4_000_000_000_000
MAX_BLOCK_BYTES = 10 * 1024 * 1024
_NO_PROOF_LIMIT = 2**64 - 1
_CLASS = WeightsPerClass(
    Weight(BASE_EXTRINSIC_WEIGHT, 0),
    Weight(MAX_BLOCK_WEIGHT * 3 // 4, _NO_PROOF_LIMIT),
    Weight(MAX_BLOCK_WEIGHT * 3 // 4, _NO_PROOF_LIMIT),
    Weight(0, 0),
)
pallet.constant(
    "BlockWeights",
    BlockWeights,
    BlockWeights(
        Weight(431_614_000, 0),
        Weight(MAX_BLOCK_WEIGHT, _NO_PROOF_LIMIT),
        PerDispatchClassWeights(_CLASS, _CLASS, replace(_CLASS, max_total=None, reserved=None)),
    ),
    "Block & extrinsics weights: base values and limits.",
)
pallet.constant(
    "BlockLength",
    BlockLength,
    BlockLength(PerDispatchClassLength(MAX_BLOCK_BYTES * 3 // 4, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES)),
    "The maximum length of a block (in bytes).",
)
pallet.constant("BlockHashCount", U32, BLOCK_HASH_COUNT, "Block hashes that are kept.")
pallet.constant("DbWeight", RuntimeDbWeight, RuntimeDbWeight(25_000_000, 100_000_000))
pallet.constant("SS58Prefix", U16, 42, "The prefix of addresses.")

# Events and errors


@pallet.event(0)
@dataclass(frozen=True)
class ExtrinsicSuccess:
    """An extrinsic completed successfully."""

    dispatch_info: DispatchInfo


@pallet.event(1)
@dataclass(frozen=True)
class ExtrinsicFailed:
    """An extrinsic failed."""

    dispatch_error: Annotated[DispatchError, DISPATCH_ERROR]
    dispatch_info: DispatchInfo


@pallet.event(3)
@dataclass(frozen=True)
class NewAccount:
    """A new account was created."""

    account: AccountId


@pallet.event(4)
@dataclass(frozen=True)
class KilledAccount:
    """An account was reaped."""

    account: AccountId


@pallet.event(5)
@dataclass(frozen=True)
class Remarked:
    """On on-chain remark happened."""

    sender: AccountId
    hash: H256


InvalidSpecName = pallet.error("InvalidSpecName", 0)
SpecVersionNeedsToIncrease = pallet.error("SpecVersionNeedsToIncrease", 1)
FailedToExtractRuntimeVersion = pallet.error("FailedToExtractRuntimeVersion", 2)
NonDefaultComposite = pallet.error("NonDefaultComposite", 3)
NonZeroRefCount = pallet.error("NonZeroRefCount", 4)
CallFiltered = pallet.error("CallFiltered", 5, "The origin filter prevents the call.")
MultiBlockMigrationsOngoing = pallet.error("MultiBlockMigrationsOngoing", 6)
NothingAuthorized = pallet.error("NothingAuthorized", 7)
Unauthorized = pallet.error("Unauthorized", 8)

# Calls


@pallet.call(0)
def remark(ctx: Ctx, remark: bytes) -> None:
    """Make some on-chain remark. Changes nothing."""
    # ORIGIN
    ensure_signed(ctx)


@pallet.call(4)
def set_storage(ctx: Ctx, items: list[tuple[bytes, bytes]]) -> None:
    """Write raw storage items."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    for key, value in items:
        ctx.state.put(key, value)


@pallet.call(5)
def kill_storage(ctx: Ctx, keys: list[bytes]) -> None:
    """Remove raw storage items."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    for key in keys:
        ctx.state.remove(key)


@pallet.call(7)
def remark_with_event(ctx: Ctx, remark: bytes) -> None:
    """Make some on-chain remark and emit its hash."""
    # ORIGIN
    sender = ensure_signed(ctx)

    # EVENT
    ctx.deposit(Remarked(sender, H256(blake2_256(remark))))


def inc_nonce(ctx: Ctx, who: AccountId) -> None:
    """One more extrinsic of `who`. An account without balance may exist by its nonce alone."""
    info = Account.get(ctx, who)
    Account.put(ctx, who, info.with_nonce(info.nonce + 1))
