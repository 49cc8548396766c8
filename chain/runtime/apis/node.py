"""What every Substrate node answers: version, metadata, nonces, fees, the slot duration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from chain.runtime import extrinsic as envelope
from chain.runtime.apis.api import RuntimeApi
from chain.runtime.frame import RUNTIME_CALL, Call, Ctx
from chain.runtime.outcome import DispatchClass, Weight
from chain.runtime.pallets import aura, payment, system
from chain.scale import U32, Bytes, Integer, Newtype
from chain.types import AccountId, Rao

if TYPE_CHECKING:
    from chain.runtime.runtime import Runtime

OPAQUE_METADATA = Newtype(("sp_core", "OpaqueMetadata"), Bytes(), bytes)
SLOT_DURATION = Newtype(("sp_consensus_slots", "SlotDuration"), Integer(64), int)
Uxt = Annotated[bytes, envelope.UNCHECKED_EXTRINSIC]

core = RuntimeApi("Core", 5)
metadata = RuntimeApi("Metadata", 2)
nonces = RuntimeApi("AccountNonceApi", 1)
fees = RuntimeApi("TransactionPaymentApi", 4)
call_fees = RuntimeApi("TransactionPaymentCallApi", 4)
slots = RuntimeApi("AuraApi", 1)


def _runtime(ctx: Ctx) -> Runtime:
    runtime: Runtime = ctx.block_env.config
    return runtime


@core.method
def version(ctx: Ctx) -> system.RuntimeVersion:
    """Returns the version of the runtime."""
    return _runtime(ctx).version


@metadata.method
def metadata_at_version(ctx: Ctx, version: U32) -> Annotated[bytes, OPAQUE_METADATA] | None:
    """Returns the metadata at a given version, None for one that is not made."""
    return _runtime(ctx).metadata(version) if version in (14, 15) else None


@metadata.method
def metadata_versions(ctx: Ctx) -> list[U32]:
    """Returns the supported metadata versions."""
    return [14, 15]


@nonces.method
def account_nonce(ctx: Ctx, account: AccountId) -> U32:
    """Get current account nonce of given `AccountId`."""
    return system.Account.get(ctx, account).nonce


@dataclass(frozen=True)
class RuntimeDispatchInfo:
    """What an extrinsic would weigh and cost."""

    __scale_path__ = ("pallet_transaction_payment", "types", "RuntimeDispatchInfo")
    weight: Weight
    class_: DispatchClass
    partial_fee: Rao


@dataclass(frozen=True)
class InclusionFee:
    """The parts of a fee."""

    __scale_path__ = ("pallet_transaction_payment", "types", "InclusionFee")
    base_fee: Rao
    len_fee: Rao
    adjusted_weight_fee: Rao


@dataclass(frozen=True)
class FeeDetails:
    """The parts of a fee, None for a free call."""

    __scale_path__ = ("pallet_transaction_payment", "types", "FeeDetails")
    inclusion_fee: InclusionFee | None


def _info(call: Call, length: int) -> RuntimeDispatchInfo:
    weight = Weight(system.BASE_EXTRINSIC_WEIGHT + payment.weight(call), 0)
    return RuntimeDispatchInfo(weight, DispatchClass.Normal, payment.fee(call, length, 0))


def _details(call: Call, length: int) -> FeeDetails:
    if not payment.pays(call):
        return FeeDetails(None)
    base = Rao(system.BASE_EXTRINSIC_WEIGHT * 5 // 10_000)
    whole = payment.fee(call, length, 0)
    return FeeDetails(InclusionFee(base, Rao(length), whole - base - Rao(length)))


# `query_info` is asked about extrinsics with a signature of zeros: nothing is verified here.
@fees.method
def query_info(ctx: Ctx, uxt: Uxt, len_: U32) -> RuntimeDispatchInfo:
    """What the extrinsic weighs and costs."""
    return _info(envelope.decode(uxt).call, len_)


@fees.method
def query_fee_details(ctx: Ctx, uxt: Uxt, len_: U32) -> FeeDetails:
    """The parts of the extrinsic's fee."""
    return _details(envelope.decode(uxt).call, len_)


def _weight_to_fee(ctx: Ctx, weight: Weight) -> Rao:
    """The fee of a weight."""
    return Rao(weight.ref_time * 5 // 10_000)


def _length_to_fee(ctx: Ctx, length: U32) -> Rao:
    """The fee of a length."""
    return Rao(length)


_weight_to_fee.__name__, _length_to_fee.__name__ = "query_weight_to_fee", "query_length_to_fee"
for _api in (fees, call_fees):
    _api.method(_weight_to_fee)
    _api.method(_length_to_fee)


@call_fees.method
def query_call_info(
    ctx: Ctx, call: Annotated[Call, RUNTIME_CALL], len_: U32
) -> RuntimeDispatchInfo:
    """What the call weighs and costs in an extrinsic of that length."""
    return _info(call, len_)


@call_fees.method
def query_call_fee_details(ctx: Ctx, call: Annotated[Call, RUNTIME_CALL], len_: U32) -> FeeDetails:
    """The parts of the call's fee."""
    return _details(call, len_)


@slots.method
def slot_duration(ctx: Ctx) -> Annotated[int, SLOT_DURATION]:
    """The slot duration in milliseconds."""
    return _runtime(ctx).config.slot_duration_ms


@slots.method
def authorities(ctx: Ctx) -> list[Annotated[bytes, aura.AUTHORITY]]:
    """The accounts that make blocks."""
    return aura.Authorities.get(ctx)
