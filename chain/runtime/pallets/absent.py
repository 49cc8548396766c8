"""Calls that need a real runtime: here by name, so that clients can compose them, and refused.

Names, arguments and errors are the chain's; nothing is stored and nothing is ever done. The pool
says which call was refused and what it needs. Where the pool cannot look, as when root calls, the
refusal is CallDisabled. Calls that no client composes are not declared at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

from chain.errors import NeedsRealRuntime
from chain.runtime.frame import RUNTIME_CALL, Call, Ctx, Pallet
from chain.runtime.outcome import Weight
from chain.runtime.pallets import admin
from chain.runtime.pallets.balances import Address, CompactRao
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor.pallet import pallet as subtensor
from chain.runtime.pallets.subtensor.records import EpochConsensus, Fixed128
from chain.scale import U8, U16, U32, U64, Compact, FixedBytes, Newtype, Record, Variants, codec
from chain.scale import Tuple as TupleCodec
from chain.scale import Vector as VectorCodec
from chain.types import H256, AccountId, Alpha, NetUid, Rao

F = TypeVar("F", bound=Callable[..., None])

ABSENT: set[tuple[str, str]] = set()
"""Pallet and name of every call declared here."""

proxy = Pallet("Proxy", 16, path="pallet_proxy")
multisig = Pallet("Multisig", 13, path="pallet_multisig")
evm = Pallet("EVM", 22, path="pallet_evm")
crowdloan = Pallet("Crowdloan", 27, path="pallet_crowdloan")
pallets = (multisig, proxy, evm, crowdloan)
"""Pallets that have nothing but such calls."""

_ERRORS = {
    multisig: (
        "MinimumThreshold", "AlreadyApproved", "NoApprovalsNeeded", "TooFewSignatories",
        "TooManySignatories", "SignatoriesOutOfOrder", "SenderInSignatories", "NotFound",
        "NotOwner", "NoTimepoint", "WrongTimepoint", "UnexpectedTimepoint", "MaxWeightTooLow",
        "AlreadyStored",
    ),
    proxy: (
        "TooMany", "NotFound", "NotProxy", "Unproxyable", "Duplicate", "NoPermission",
        "Unannounced", "NoSelfProxy", "AnnouncementDepositInvariantViolated",
        "InvalidDerivedAccountId",
    ),
    evm: (
        "BalanceLow", "FeeOverflow", "PaymentOverflow", "WithdrawFailed", "GasPriceTooLow",
        "InvalidNonce", "GasLimitTooLow", "GasLimitTooHigh", "InvalidChainId", "InvalidSignature",
        "Reentrancy", "TransactionMustComeFromEOA", "Undefined", "NotAllowed",
        "CreateOriginNotAllowed",
    ),
    crowdloan: (
        "DepositTooLow", "CapTooLow", "MinimumContributionTooLow", "CannotEndInPast",
        "BlockDurationTooShort", "BlockDurationTooLong", "InsufficientBalance", "Overflow",
        "InvalidCrowdloanId", "CapRaised", "ContributionPeriodEnded", "ContributionTooLow",
        "InvalidOrigin", "AlreadyFinalized", "AlreadyFinalizing", "ContributionPeriodNotEnded",
        "NoContribution", "CapNotRaised", "Underflow", "CallUnavailable", "NotReadyToDissolve",
        "DepositCannotBeWithdrawn", "MaxContributorsReached", "InvalidFinalizationConfig",
        "MaxContributionReached", "MaximumContributionTooLow", "MinimumContributionTooHigh",
        "FundsNotSettled",
    ),
}  # fmt: skip
for _pallet, _names in _ERRORS.items():
    for _index, _name in enumerate(_names):
        _pallet.error(_name, _index)


def ensure_here(call: Call) -> None:
    """Raise NeedsRealRuntime for a call of this file, and for one that carries such a call."""
    for each in _within(call):
        if (each.pallet, each.name) in ABSENT:
            raise NeedsRealRuntime(f"{each.pallet}.{each.name}")


def _within(call: Call) -> Iterator[Call]:
    yield call
    for argument in call.args.values():
        for inner in argument if isinstance(argument, list) else [argument]:
            if isinstance(inner, Call):
                yield from _within(inner)


def _absent(
    pallet: Pallet, index: int, *, name: str | None = None, pays: bool = True
) -> Callable[[F], F]:
    """Declare a function's arguments, and its name unless given, as a call that is refused."""

    def declare(function: F) -> F:
        @functools.wraps(function)
        def refuse(ctx: Ctx, **_: Any) -> None:
            raise er.CallDisabled()

        refuse.__name__ = name or function.__name__
        ABSENT.add((pallet.name, refuse.__name__))
        pallet.call(index, pays=pays)(refuse)
        return function

    return declare


# Types

CallBox = Annotated[Call, RUNTIME_CALL]
CompactU32 = Annotated[int, Compact(codec(U32))]
CompactBlock = CompactU32
LoanId = CompactU32
H160 = Annotated[bytes, Newtype(("primitive_types", "H160"), FixedBytes(20), bytes)]
Percent = Annotated[int, Newtype(("sp_arithmetic", "per_things", "Percent"), codec(U8), int)]
EvmSignature = Annotated[bytes, FixedBytes(65)]
CallHash = Annotated[bytes, FixedBytes(32)]
_LEG = TupleCodec((codec(NetUid), codec(NetUid), codec(Alpha), codec(U64)))
Legs = Annotated[list[tuple[NetUid, NetUid, Alpha, int]], VectorCodec(_LEG, limit=128)]
_TIMEPOINT = Record(
    ("pallet_multisig", "Timepoint"), (("height", codec(U32)), ("index", codec(U32)))
)
Timepoint = Annotated[dict[str, Any], _TIMEPOINT]
_PROXY_TYPES = (
    "Any", "Owner", "NonCritical", "NonTransfer", "Senate", "NonFungible", "Triumvirate",
    "Governance", "Staking", "Registration", "Transfer", "SmallTransfer", "RootWeights",
    "ChildKeys", "SudoUncheckedSetCode", "SwapHotkey", "SubnetLeaseBeneficiary", "RootClaim",
)  # fmt: skip
_PROXY_TYPE = Variants(
    ("subtensor_runtime_common", "ProxyType"),
    tuple((index, name, None) for index, name in enumerate(_PROXY_TYPES)),
)
ProxyType = Annotated[Any, _PROXY_TYPE]

# SubtensorModule


@_absent(subtensor, 93, pays=False)
def associate_evm_key(
    ctx: Ctx, netuid: NetUid, evm_key: H160, block_number: U64, signature: EvmSignature
) -> None:
    """Link a hotkey to an EVM key."""


@_absent(subtensor, 110)
def register_leased_network(ctx: Ctx, emissions_share: Percent, end_block: U32 | None) -> None:
    """Create a subnet that a crowdloan owns."""


@_absent(subtensor, 111)
def terminate_lease(ctx: Ctx, lease_id: U32, hotkey: AccountId) -> None:
    """End a lease and take the subnet over."""


@_absent(subtensor, 129)
def enable_voting_power_tracking(ctx: Ctx, netuid: NetUid) -> None:
    """Begin to track the voting power of a subnet's validators."""


@_absent(subtensor, 130)
def disable_voting_power_tracking(ctx: Ctx, netuid: NetUid) -> None:
    """End the tracking of voting power."""


@_absent(subtensor, 131)
def sudo_set_voting_power_ema_alpha(ctx: Ctx, netuid: NetUid, alpha: U64) -> None:
    """Set how fast voting power follows stake."""


@_absent(subtensor, 132)
def add_stake_burn(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid, amount: Rao, limit: Rao | None
) -> None:
    """Buy alpha and burn it."""


@_absent(subtensor, 136)
def lock_stake(ctx: Ctx, hotkey: AccountId, netuid: NetUid, amount: Alpha) -> None:
    """Lock stake toward a hotkey."""


@_absent(subtensor, 137)
def move_lock(ctx: Ctx, destination_hotkey: AccountId, netuid: NetUid) -> None:
    """Move a lock to another hotkey."""


@_absent(subtensor, 138)
def set_perpetual_lock(ctx: Ctx, netuid: NetUid, enabled: bool) -> None:
    """Keep a lock from decaying, or let it decay again."""


@_absent(subtensor, 142)
def set_reject_locked_alpha(ctx: Ctx, enabled: bool) -> None:
    """Refuse, or accept, locked alpha from others."""


@_absent(subtensor, 144)
def add_collateral(
    ctx: Ctx, netuid: NetUid, hotkey: AccountId, alpha: Alpha, limit_price: Rao
) -> None:
    """Lock alpha as a miner's collateral."""


@_absent(subtensor, 145)
def set_min_collateral(ctx: Ctx, netuid: NetUid, hotkey: AccountId, min_locked: Alpha) -> None:
    """Set the collateral that is kept whatever is earned."""


@_absent(subtensor, 147)
def stake_into_basket(ctx: Ctx, hotkey: AccountId, amount_staked: Rao) -> None:
    """Stake TAO into a validator's basket."""


@_absent(subtensor, 150)
def swap_basket(
    ctx: Ctx,
    hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    amount: Alpha,
    min_amount_out: U64,
) -> None:
    """Change what a basket holds."""


@_absent(subtensor, 151)
def swap_basket_many(ctx: Ctx, hotkey: AccountId, legs: Legs) -> None:
    """Change what a basket holds, several subnets at once."""


# No public source gives the index of this one: it is our own.
@_absent(subtensor, 240)
def pow_register(
    ctx: Ctx, netuid: NetUid, work_block: U64, nonce: U64, work: bytes, hotkey: AccountId
) -> None:
    """Register by proof of work."""


# AdminUtils


@_absent(admin.pallet, 98)
def sudo_set_collateral_lock_share(ctx: Ctx, netuid: NetUid, lock_share: U16) -> None:
    """Set what part of the registration price becomes collateral."""


@_absent(admin.pallet, 99)
def sudo_set_collateral_drain_ratio(ctx: Ctx, netuid: NetUid, drain_ratio: Fixed128) -> None:
    """Set how fast collateral is released."""


@_absent(admin.pallet, 111)
def sudo_set_epoch_consensus(ctx: Ctx, netuid: NetUid, mode: EpochConsensus) -> None:
    """Choose how weights become incentive."""


@_absent(admin.pallet, 112)
def sudo_trim_null_uids_batch(ctx: Ctx, netuid: NetUid, target: U16) -> None:
    """Close some of the seats of a subnet without consensus."""


# Multisig


@_absent(multisig, 0)
def as_multi_threshold_1(ctx: Ctx, other_signatories: list[AccountId], call: CallBox) -> None:
    """Call as a group of which any one member may."""


@_absent(multisig, 1)
def as_multi(
    ctx: Ctx,
    threshold: U16,
    other_signatories: list[AccountId],
    maybe_timepoint: Timepoint | None,
    call: CallBox,
    max_weight: Weight,
) -> None:
    """Approve a call of a group, and make it when enough have."""


@_absent(multisig, 2)
def approve_as_multi(
    ctx: Ctx,
    threshold: U16,
    other_signatories: list[AccountId],
    maybe_timepoint: Timepoint | None,
    call_hash: CallHash,
    max_weight: Weight,
) -> None:
    """Approve a call of a group by its hash."""


@_absent(multisig, 3)
def cancel_as_multi(
    ctx: Ctx,
    threshold: U16,
    other_signatories: list[AccountId],
    timepoint: Timepoint,
    call_hash: CallHash,
) -> None:
    """Take back a call of a group."""


# Proxy


@_absent(proxy, 0, name="proxy")
def call_for(ctx: Ctx, real: Address, force_proxy_type: ProxyType | None, call: CallBox) -> None:
    """Call for another account."""


@_absent(proxy, 1)
def add_proxy(ctx: Ctx, delegate: Address, proxy_type: ProxyType, delay: U32) -> None:
    """Let another account call for this one."""


@_absent(proxy, 2)
def remove_proxy(ctx: Ctx, delegate: Address, proxy_type: ProxyType, delay: U32) -> None:
    """Let it no longer."""


@_absent(proxy, 3)
def remove_proxies(ctx: Ctx) -> None:
    """Let nobody any longer."""


@_absent(proxy, 4)
def create_pure(ctx: Ctx, proxy_type: ProxyType, delay: U32, index: U16) -> None:
    """Make an account that only its proxy can use."""


@_absent(proxy, 5)
def kill_pure(
    ctx: Ctx,
    spawner: Address,
    proxy_type: ProxyType,
    index: U16,
    height: CompactU32,
    ext_index: CompactU32,
) -> None:
    """End such an account."""


@_absent(proxy, 6)
def announce(ctx: Ctx, real: Address, call_hash: H256) -> None:
    """Say which call will be made for another account."""


@_absent(proxy, 7)
def remove_announcement(ctx: Ctx, real: Address, call_hash: H256) -> None:
    """Take that back."""


@_absent(proxy, 8)
def reject_announcement(ctx: Ctx, delegate: Address, call_hash: H256) -> None:
    """Refuse a call that was announced."""


@_absent(proxy, 9)
def proxy_announced(
    ctx: Ctx,
    delegate: Address,
    real: Address,
    force_proxy_type: ProxyType | None,
    call: CallBox,
) -> None:
    """Make a call that was announced."""


# EVM


@_absent(evm, 0, name="withdraw")
def withdraw_from_evm(ctx: Ctx, address: H160, value: Rao) -> None:
    """Take TAO out of an EVM account."""


# Crowdloan


@_absent(crowdloan, 0)
def create(
    ctx: Ctx,
    deposit: CompactRao,
    min_contribution: CompactRao,
    cap: CompactRao,
    end: CompactBlock,
    call: CallBox | None,
    target_address: AccountId | None,
) -> None:
    """Begin to collect TAO for a purpose."""


@_absent(crowdloan, 1)
def contribute(ctx: Ctx, crowdloan_id: LoanId, amount: CompactRao) -> None:
    """Give TAO to a crowdloan."""


@_absent(crowdloan, 2)
def withdraw(ctx: Ctx, crowdloan_id: LoanId) -> None:
    """Take what one gave back."""


@_absent(crowdloan, 3)
def finalize(ctx: Ctx, crowdloan_id: LoanId) -> None:
    """Use what was collected."""


@_absent(crowdloan, 4)
def refund(ctx: Ctx, crowdloan_id: LoanId) -> None:
    """Give all back."""


@_absent(crowdloan, 5)
def dissolve(ctx: Ctx, crowdloan_id: LoanId) -> None:
    """End a crowdloan."""


@_absent(crowdloan, 6)
def update_min_contribution(
    ctx: Ctx, crowdloan_id: LoanId, new_min_contribution: CompactRao
) -> None:
    """Change the least that can be given."""


@_absent(crowdloan, 7)
def update_end(ctx: Ctx, crowdloan_id: LoanId, new_end: CompactBlock) -> None:
    """Change when it ends."""


@_absent(crowdloan, 8)
def update_cap(ctx: Ctx, crowdloan_id: LoanId, new_cap: CompactRao) -> None:
    """Change how much is collected."""


@_absent(crowdloan, 9)
def set_max_contribution(ctx: Ctx, crowdloan_id: LoanId, new_max_contribution: Rao | None) -> None:
    """Change the most that one can give."""
