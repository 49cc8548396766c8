"""AdminUtils: setting the hyperparameters of subnets and of the whole chain.

Most setters are one row of a table: which item, under which call, by whom, with which bounds. They
check in one order: who calls, the owner's rate limit, the freeze window before an epoch, that the
subnet exists, the value. Calls of this pallet that steer parts this chain does not have (consensus
keys, EVM, baskets, collateral, the emission gate) are not declared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.runtime.fixed import U64F64
from chain.runtime.frame import Ctx, Pallet, StorageMap, StorageValue, ensure, ensure_root
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import ratelimits, staking, subnets, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import is_system_account
from chain.runtime.pallets.subtensor.ratelimits import Limit, Transaction
from chain.runtime.pallets.subtensor.records import (
    Fixed128,
    Hyperparameter,
    MechId,
)
from chain.scale import I16, U16, U32, U64
from chain.types import RAO_PER_TAO, AccountId, NetUid, Rao

V = TypeVar("V")
H = Hyperparameter

pallet = Pallet("AdminUtils", 19, path="pallet_admin_utils")

ROOT_NETUID = NetUid(0)
MAX_UIDS = 256  # of all mechanisms of a subnet together
MIN_BURN_BELOW = Rao(RAO_PER_TAO)
MAX_BURN_ABOVE = Rao(RAO_PER_TAO // 10)
MAX_OWNER_BONDS_AVERAGE = 975_000
LIQUID_ALPHA_FLOOR = 1638  # 65535 / 40
MAX_MECHANISMS = 16
U16_MAX = 65_535

# Events and errors


@pallet.event(1)
@dataclass(frozen=True)
class Yuma3EnableToggled:
    """Yuma3 was switched for a subnet."""

    netuid: NetUid
    enabled: bool


@pallet.event(2)
@dataclass(frozen=True)
class BondsResetToggled:
    """Bonds reset was switched for a subnet."""

    netuid: NetUid
    enabled: bool


@pallet.event(3)
@dataclass(frozen=True)
class BurnHalfLifeSet:
    """The half-life of a subnet's registration price was set."""

    netuid: NetUid
    burn_half_life: U16


@pallet.event(4)
@dataclass(frozen=True)
class BurnIncreaseMultSet:
    """What a registration multiplies a subnet's price by was set."""

    netuid: NetUid
    burn_increase_mult: Fixed128


@pallet.event(5)
@dataclass(frozen=True)
class SubnetEmissionEnabledSet:
    """TAO emission into a subnet's pool was switched."""

    netuid: NetUid
    enabled: bool


SubnetDoesNotExist = pallet.error(
    "SubnetDoesNotExist", 0, "The subnet does not exist, check the netuid parameter"
)
MaxValidatorsLargerThanMaxUIds = pallet.error(
    "MaxValidatorsLargerThanMaxUIds",
    1,
    "The maximum number of subnet validators must be less than the maximum number of allowed "
    "UIDs in the subnet.",
)
MaxAllowedUIdsLessThanCurrentUIds = pallet.error(
    "MaxAllowedUIdsLessThanCurrentUIds",
    2,
    "The maximum number of subnet validators must be more than the current number of UIDs "
    "already in the subnet.",
)
BondsMovingAverageMaxReached = pallet.error(
    "BondsMovingAverageMaxReached", 3, "The maximum value for bonds moving average is reached"
)
NegativeSigmoidSteepness = pallet.error(
    "NegativeSigmoidSteepness", 4, "Only root can set negative sigmoid steepness values"
)
ValueNotInBounds = pallet.error("ValueNotInBounds", 5, "Value not in allowed bounds.")
MinAllowedUidsGreaterThanCurrentUids = pallet.error(
    "MinAllowedUidsGreaterThanCurrentUids",
    6,
    "The minimum allowed UIDs must be less than the current number of UIDs in the subnet.",
)
MinAllowedUidsGreaterThanMaxAllowedUids = pallet.error(
    "MinAllowedUidsGreaterThanMaxAllowedUids",
    7,
    "The minimum allowed UIDs must be less than the maximum allowed UIDs.",
)
MaxAllowedUidsLessThanMinAllowedUids = pallet.error(
    "MaxAllowedUidsLessThanMinAllowedUids",
    8,
    "The maximum allowed UIDs must be greater than the minimum allowed UIDs.",
)
MaxAllowedUidsGreaterThanDefaultMaxAllowedUids = pallet.error(
    "MaxAllowedUidsGreaterThanDefaultMaxAllowedUids",
    9,
    "The maximum allowed UIDs must be less than the default maximum allowed UIDs.",
)
InvalidValue = pallet.error("InvalidValue", 10, "Bad parameter value")
NotPermittedOnRootSubnet = pallet.error(
    "NotPermittedOnRootSubnet", 11, "Operation is not permitted on the root network."
)
POWRegistrationDisabled = pallet.error(
    "POWRegistrationDisabled", 12, "POW Registration has been deprecated"
)
Deprecated = pallet.error("Deprecated", 13, "Call is deprecated")
CollateralLockShareTooHigh = pallet.error(
    "CollateralLockShareTooHigh",
    14,
    "The collateral lock share exceeds the settable maximum (95% of the registration price).",
)
CollateralDrainRatioOutOfBounds = pallet.error(
    "CollateralDrainRatioOutOfBounds",
    15,
    "The collateral drain ratio must be positive and at most the settable maximum.",
)
GrandpaChangeDelayMustBeZero = pallet.error(
    "GrandpaChangeDelayMustBeZero",
    16,
    "GRANDPA changes must take effect at the end of the current block.",
)

# How a setter is made

Check = Callable[[Ctx, NetUid, Any, bool], None]
"""Raises when a value may not be set: context, subnet, value, and whether the owner asks."""


@dataclass(frozen=True)
class Rule:
    """Who may set a hyperparameter of a subnet, and when; root always may, free of `limit`."""

    docs: str
    owner: bool
    frozen: bool
    limit: Limit | None = None


ROOT_ALWAYS = Rule("Only root may.", owner=False, frozen=False)
ROOT = Rule("Only root may, outside the freeze window.", owner=False, frozen=True)
OWNER = Rule("The subnet's owner or root may, outside the freeze window.", owner=True, frozen=True)
OWNER_ALWAYS = Rule("The subnet's owner or root may.", owner=True, frozen=False)


def _owner(limit: Limit) -> Rule:
    docs = "The subnet's owner, seldom, or root may, outside the freeze window."
    return Rule(docs, owner=True, frozen=True, limit=limit)


def _subnet(
    index: int,
    name: str,
    item: StorageMap[NetUid, V],
    rule: Rule,
    *events: Callable[[NetUid, V], Any],
    check: Check | None = None,
    argument: str | None = None,
) -> None:
    """Declare `sudo_set_<name>`, which sets a subnet's `item` to its `argument`, if not `name`.

    The argument has the type of the item.
    """

    def setter(ctx: Ctx, netuid: NetUid, value: V) -> None:
        # ORIGIN
        owner = _ensure_caller(ctx, netuid, rule)

        # CHECKS
        _ensure_rule(ctx, netuid, owner, rule)
        if check is not None:
            check(ctx, netuid, value, owner is not None)

        # EFFECTS
        item.put(ctx, netuid, value)
        _record(ctx, netuid, owner, rule)

        # EVENT
        for event in events:
            ctx.deposit(event(netuid, value))

    docs = f"Set {item.name} of a subnet. {rule.docs}"
    arguments = {"netuid": NetUid, argument or name: item.value}
    _declare(index, f"sudo_set_{name}", docs, setter, arguments)


def _chain(
    index: int,
    name: str,
    item: StorageValue[V],
    argument: str,
    *events: Callable[[V], Any],
    check: Callable[[V], bool] | None = None,
) -> None:
    """Declare `sudo_set_<name>`, which sets a value of the whole chain, for root alone.

    A value that `check` does not hold for is refused with InvalidValue.
    """

    def setter(ctx: Ctx, value: V) -> None:
        # ORIGIN
        ensure_root(ctx)

        # CHECKS
        ensure(check is None or check(value), InvalidValue)

        # EFFECTS
        item.put(ctx, value)

        # EVENT
        for event in events:
            ctx.deposit(event(value))

    docs = f"Set {item.name} of the chain. {ROOT_ALWAYS.docs}"
    _declare(index, f"sudo_set_{name}", docs, setter, {argument: item.value})


def _declare(
    index: int, name: str, docs: str, setter: Callable[..., None], arguments: dict[str, Any]
) -> None:
    """Make `setter`, which takes the context and then values, the call `name`."""

    def call(ctx: Ctx, **values: Any) -> None:
        setter(ctx, *(values[argument] for argument in arguments))

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [inspect.Parameter(a, inspect.Parameter.KEYWORD_ONLY) for a in arguments]
    call.__name__ = call.__qualname__ = name
    call.__doc__ = docs
    call.__annotations__ = {"ctx": Ctx, **arguments, "return": None}
    vars(call)["__signature__"] = inspect.Signature([context, *named])
    pallet.call(index)(call)


def _ensure_caller(ctx: Ctx, netuid: NetUid, rule: Rule) -> AccountId | None:
    """The owner, where it may call, or None for root. Raises BadOrigin."""
    if rule.owner:
        return ratelimits.ensure_owner_or_root(ctx, netuid)
    ensure_root(ctx)
    return None


def _ensure_rule(ctx: Ctx, netuid: NetUid, owner: AccountId | None, rule: Rule) -> None:
    """The checks that come before any look at the value, in the chain's order."""
    if rule.limit is not None:
        ratelimits.ensure_within(ctx, owner, netuid, rule.limit)
    if rule.frozen:
        ratelimits.ensure_window_open(ctx, netuid)
    ensure(s.NetworksAdded.get(ctx, netuid), SubnetDoesNotExist)


def _record(ctx: Ctx, netuid: NetUid, owner: AccountId | None, rule: Rule) -> None:
    if rule.limit is not None:
        ratelimits.record(ctx, owner, netuid, rule.limit)


# Bounds


def _not_root(ctx: Ctx, netuid: NetUid, value: Any, by_owner: bool) -> None:
    ensure(netuid != ROOT_NETUID, NotPermittedOnRootSubnet)


def _check_min_burn(ctx: Ctx, netuid: NetUid, value: Rao, by_owner: bool) -> None:
    ensure(value < MIN_BURN_BELOW, ValueNotInBounds)
    ensure(value < s.MaxBurn.get(ctx, netuid), ValueNotInBounds)


def _check_max_burn(ctx: Ctx, netuid: NetUid, value: Rao, by_owner: bool) -> None:
    ensure(value > MAX_BURN_ABOVE, ValueNotInBounds)
    ensure(value > s.MinBurn.get(ctx, netuid), ValueNotInBounds)


def _check_half_life(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(netuid != ROOT_NETUID, NotPermittedOnRootSubnet)
    ensure(1 <= value <= 36_100, InvalidValue)


def _check_increase(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(netuid != ROOT_NETUID, NotPermittedOnRootSubnet)
    ensure(U64F64.of(1) <= value <= U64F64.of(3), InvalidValue)


def _check_max_uids(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(value >= s.MinAllowedUids.get(ctx, netuid), MaxAllowedUidsLessThanMinAllowedUids)
    ensure(value >= s.SubnetworkN.get(ctx, netuid), MaxAllowedUIdsLessThanCurrentUIds)
    ensure(value <= MAX_UIDS, MaxAllowedUidsGreaterThanDefaultMaxAllowedUids)
    count = s.MechanismCountCurrent.get(ctx, netuid)
    ensure(value * count <= MAX_UIDS, er.TooManyUIDsPerMechanism)


def _check_min_uids(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    maximum = s.MaxAllowedUids.get(ctx, netuid)
    ensure(value < maximum, MinAllowedUidsGreaterThanMaxAllowedUids)
    ensure(value < s.SubnetworkN.get(ctx, netuid), MinAllowedUidsGreaterThanCurrentUids)


def _check_validators(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(value <= s.MaxAllowedUids.get(ctx, netuid), MaxValidatorsLargerThanMaxUIds)


def _check_cutoff(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(value >= s.MinActivityCutoff.get(ctx), er.ActivityCutoffTooLow)


def _check_owner_uids(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(1 <= value <= 10, InvalidValue)


def _check_reveal_period(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(value <= 100, er.RevealPeriodTooLarge)
    ensure(value >= 1, er.RevealPeriodTooSmall)


def _check_bonds_average(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    ensure(not by_owner or value <= MAX_OWNER_BONDS_AVERAGE, BondsMovingAverageMaxReached)


def _check_steepness(ctx: Ctx, netuid: NetUid, value: I16, by_owner: bool) -> None:
    ensure(not by_owner or value >= 0, NegativeSigmoidSteepness)


def _check_childkey_take(ctx: Ctx, netuid: NetUid, value: int, by_owner: bool) -> None:
    least, most = s.MinChildkeyTake.get(ctx), s.MaxChildkeyTake.get(ctx)
    ensure(least <= value <= most, er.InvalidChildkeyTake)


# Of a subnet: consensus and weights

_subnet(16, "kappa", s.Kappa, ROOT_ALWAYS, ev.KappaSet)
_subnet(17, "rho", s.Rho, _owner(H.Rho), ev.RhoSet)
_subnet(
    6,
    "weights_version_key",
    s.WeightsVersionKey,
    _owner(Transaction.SetWeightsVersionKey),
    ev.WeightsVersionKeySet,
)
_subnet(
    7,
    "weights_set_rate_limit",
    s.WeightsSetRateLimit,
    ROOT_ALWAYS,
    ev.WeightsSetRateLimitSet,
)
_subnet(
    14,
    "min_allowed_weights",
    s.MinAllowedWeights,
    _owner(H.MinAllowedWeights),
    ev.MinAllowedWeightSet,
)
_subnet(
    18,
    "activity_cutoff",
    s.ActivityCutoff,
    _owner(H.ActivityCutoff),
    ev.ActivityCutoffSet,
    check=_check_cutoff,
)
_subnet(
    25,
    "max_allowed_validators",
    s.MaxAllowedValidators,
    ROOT,
    ev.MaxAllowedValidatorsSet,
    check=_check_validators,
)
_subnet(
    26,
    "bonds_moving_average",
    s.BondsMovingAverage,
    _owner(H.BondsMovingAverage),
    ev.BondsMovingAverageSet,
    check=_check_bonds_average,
)
_subnet(60, "bonds_penalty", s.BondsPenalty, _owner(H.BondsPenalty), ev.BondsPenaltySet)
_subnet(
    70,
    "bonds_reset_enabled",
    s.BondsResetOn,
    _owner(H.BondsResetEnabled),
    BondsResetToggled,
    ev.BondsResetOnSet,
    argument="enabled",
)
_subnet(
    49,
    "commit_reveal_weights_enabled",
    s.CommitRevealWeightsEnabled,
    _owner(H.CommitRevealEnabled),
    ev.CommitRevealEnabled,
    argument="enabled",
)
_subnet(
    57,
    "commit_reveal_weights_interval",
    s.RevealPeriodEpochs,
    _owner(H.WeightCommitInterval),
    ev.CommitRevealPeriodsSet,
    check=_check_reveal_period,
    argument="interval",
)
_subnet(
    50,
    "liquid_alpha_enabled",
    s.LiquidAlphaOn,
    _owner(H.LiquidAlphaEnabled),
    argument="enabled",
)
_subnet(
    68,
    "alpha_sigmoid_steepness",
    s.AlphaSigmoidSteepness,
    _owner(H.AlphaSigmoidSteepness),
    ev.AlphaSigmoidSteepnessSet,
    check=_check_steepness,
    argument="steepness",
)
_subnet(
    69,
    "yuma3_enabled",
    s.Yuma3On,
    _owner(H.Yuma3Enabled),
    Yuma3EnableToggled,
    argument="enabled",
)


@pallet.call(51)
def sudo_set_alpha_values(ctx: Ctx, netuid: NetUid, alpha_low: U16, alpha_high: U16) -> None:
    """Set between what a subnet's liquid alpha moves, in parts of 65535. Owner or root."""
    # ORIGIN
    rule = _owner(H.AlphaValues)
    owner = _ensure_caller(ctx, netuid, rule)

    # CHECKS
    _ensure_rule(ctx, netuid, owner, rule)
    ensure(s.LiquidAlphaOn.get(ctx, netuid), er.LiquidAlphaDisabled)
    ensure(alpha_high >= LIQUID_ALPHA_FLOOR, er.AlphaHighTooLow)
    ensure(LIQUID_ALPHA_FLOOR <= alpha_low <= alpha_high, er.AlphaLowOutOfRange)

    # EFFECTS
    s.AlphaValues.put(ctx, netuid, (alpha_low, alpha_high))
    _record(ctx, netuid, owner, rule)


# Of a subnet: seats and their price

_subnet(
    15,
    "max_allowed_uids",
    s.MaxAllowedUids,
    _owner(H.MaxAllowedUids),
    ev.MaxAllowedUidsSet,
    check=_check_max_uids,
)
_subnet(79, "min_allowed_uids", s.MinAllowedUids, ROOT, ev.MinAllowedUidsSet, check=_check_min_uids)
_subnet(
    84,
    "min_non_immune_uids",
    s.MinNonImmuneUids,
    ROOT_ALWAYS,
    ev.MinNonImmuneUidsSet,
    argument="min",
)
_subnet(13, "immunity_period", s.ImmunityPeriod, _owner(H.ImmunityPeriod), ev.ImmunityPeriodSet)
_subnet(
    72,
    "owner_immune_neuron_limit",
    s.ImmuneOwnerUidsLimit,
    _owner(H.ImmuneNeuronLimit),
    check=_check_owner_uids,
    argument="immune_neurons",
)
_subnet(
    19,
    "network_registration_allowed",
    s.NetworkRegistrationAllowed,
    OWNER_ALWAYS,
    ev.RegistrationAllowed,
    argument="registration_allowed",
)
_subnet(22, "min_burn", s.MinBurn, _owner(H.MinBurn), ev.MinBurnSet, check=_check_min_burn)
_subnet(23, "max_burn", s.MaxBurn, _owner(H.MaxBurn), ev.MaxBurnSet, check=_check_max_burn)
_subnet(
    89,
    "burn_half_life",
    s.BurnHalfLife,
    _owner(H.BurnHalfLife),
    ev.BurnHalfLifeSet,
    BurnHalfLifeSet,
    check=_check_half_life,
)
_subnet(
    90,
    "burn_increase_mult",
    s.BurnIncreaseMult,
    _owner(H.BurnIncreaseMult),
    ev.BurnIncreaseMultSet,
    BurnIncreaseMultSet,
    check=_check_increase,
)
_subnet(24, "difficulty", s.Difficulty, ROOT, ev.DifficultySet)
_subnet(4, "min_difficulty", s.MinDifficulty, ROOT, ev.MinDifficultySet)
_subnet(5, "max_difficulty", s.MaxDifficulty, _owner(H.MaxDifficulty), ev.MaxDifficultySet)
_subnet(8, "adjustment_interval", s.AdjustmentInterval, ROOT_ALWAYS, ev.AdjustmentIntervalSet)
_subnet(9, "adjustment_alpha", s.AdjustmentAlpha, _owner(H.AdjustmentAlpha), ev.AdjustmentAlphaSet)
_subnet(
    21,
    "target_registrations_per_interval",
    s.TargetRegistrationsPerInterval,
    ROOT,
    ev.RegistrationPerIntervalSet,
)
_subnet(
    27,
    "max_registrations_per_block",
    s.MaxRegistrationsPerBlock,
    ROOT,
    ev.MaxRegistrationsPerBlockSet,
)
_subnet(
    39,
    "rao_recycled",
    s.RAORecycledForRegistration,
    ROOT_ALWAYS,
    ev.RAORecycledForRegistrationSet,
)
_subnet(
    3, "serving_rate_limit", s.ServingRateLimit, _owner(H.ServingRateLimit), ev.ServingRateLimitSet
)


@pallet.call(20)
def sudo_set_network_pow_registration_allowed(
    ctx: Ctx, netuid: NetUid, registration_allowed: bool
) -> None:
    """Refuse: there is no registration by proof of work."""
    raise POWRegistrationDisabled()


@pallet.call(78)
def sudo_trim_to_max_allowed_uids(ctx: Ctx, netuid: NetUid, max_n: U16) -> None:
    """Close all seats above `max_n`; those who earned least leave first. Owner or root."""
    # ORIGIN
    rule = _owner(Transaction.MaxUidsTrimming)
    owner = _ensure_caller(ctx, netuid, rule)

    # CHECKS
    _ensure_rule(ctx, netuid, owner, rule)
    least, most = s.MinAllowedUids.get(ctx, netuid), s.MaxAllowedUids.get(ctx, netuid)
    ensure(least <= max_n <= most, er.InvalidValue)

    # EFFECTS
    uids.trim(ctx, netuid, max_n)
    s.MaxAllowedUids.put(ctx, netuid, max_n)
    _record(ctx, netuid, owner, rule)


# Of a subnet: when it runs


@pallet.call(30)
def sudo_set_tempo(ctx: Ctx, netuid: NetUid, tempo: U16) -> None:
    """Set the blocks per epoch: the owner within 360 to 50,400 and seldom, root as it likes."""
    # ORIGIN
    owner = ratelimits.ensure_owner_or_root(ctx, netuid)

    # CHECKS, EFFECTS and EVENT
    if owner is None:
        ratelimits.ensure_window_open(ctx, netuid)
    ensure(s.NetworksAdded.get(ctx, netuid), SubnetDoesNotExist)
    subnets.change_tempo(ctx, netuid, tempo, owner)


@pallet.call(97)
def sudo_set_activity_cutoff_factor(ctx: Ctx, netuid: NetUid, factor_milli: U32) -> None:
    """Set after how many thousandths of a tempo a silent neuron is inactive. Owner or root."""
    subnets.set_activity_cutoff_factor(ctx, netuid, factor_milli)


# Of a subnet: its token and what is paid

_subnet(
    61,
    "toggle_transfer",
    s.TransferToggle,
    _owner(H.TransferEnabled),
    ev.TransferToggle,
    argument="toggle",
)
_subnet(80, "recycle_or_burn", s.RecycleOrBurn, _owner(H.RecycleOrBurn))
_subnet(92, "owner_cut_enabled", s.OwnerCutEnabled, OWNER, check=_not_root, argument="enabled")
_subnet(
    95,
    "owner_cut_auto_lock_enabled",
    s.OwnerCutAutoLockEnabled,
    OWNER,
    check=_not_root,
    argument="enabled",
)
_subnet(
    94,
    "subnet_emission_enabled",
    s.SubnetEmissionEnabled,
    ROOT_ALWAYS,
    SubnetEmissionEnabledSet,
    check=_not_root,
    argument="enabled",
)
_subnet(66, "subtoken_enabled", s.SubtokenEnabled, ROOT)
_subnet(
    93,
    "min_childkey_take_per_subnet",
    s.MinChildkeyTakePerSubnet,
    _owner(H.MinChildkeyTake),
    ev.MinChildKeyTakePerSubnetSet,
    check=_check_childkey_take,
    argument="take",
)
_subnet(
    65,
    "ema_price_halving_period",
    s.EMAPriceHalvingBlocks,
    ROOT_ALWAYS,
    argument="ema_halving",
)


@pallet.call(67)
def sudo_set_sn_owner_hotkey(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    """Name another neuron as the subnet owner's, once in 50,400 blocks. Owner or root."""
    # ORIGIN
    ratelimits.ensure_owner_or_root(ctx, netuid)

    # CHECKS
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    # Root is held back as well, and is counted: this is the one limit that knows no root.
    key = ratelimits.owner_hotkey_change(netuid)
    last = s.LastRateLimitedBlock.get(ctx, key)
    ensure(ratelimits.passes(ctx, last, ratelimits.OWNER_HOTKEY_INTERVAL), er.TxRateLimitExceeded)
    ensure(not is_system_account(hotkey), er.CannotUseSystemAccount)

    # EFFECTS
    s.LastRateLimitedBlock.put(ctx, key, ctx.block)

    # EVENT
    subnets.set_owner_hotkey(ctx, netuid, hotkey)


# Of a subnet: its mechanisms


@pallet.call(76)
def sudo_set_mechanism_count(ctx: Ctx, netuid: NetUid, mechanism_count: MechId) -> None:
    """Set how many incentive mechanisms a subnet has; a dropped one loses its data."""
    # ORIGIN
    rule = _owner(Transaction.MechanismCountUpdate)
    owner = _ensure_caller(ctx, netuid, rule)

    # CHECKS
    _ensure_rule(ctx, netuid, owner, rule)
    ensure(netuid != ROOT_NETUID, er.MechanismDoesNotExist)
    most = min(s.MaxMechanismCount.get(ctx), MAX_MECHANISMS)
    ensure(1 <= mechanism_count <= most, er.InvalidValue)
    seats = s.MaxAllowedUids.get(ctx, netuid)
    ensure(seats * mechanism_count <= MAX_UIDS, er.TooManyUIDsPerMechanism)

    # EFFECTS
    uids.set_mechanism_count(ctx, netuid, mechanism_count)
    _record(ctx, netuid, owner, rule)


@pallet.call(77)
def sudo_set_mechanism_emission_split(
    ctx: Ctx, netuid: NetUid, maybe_split: list[U16] | None
) -> None:
    """Set what part of the emission, of 65535, each mechanism gets; None for even parts."""
    # ORIGIN
    rule = _owner(Transaction.MechanismEmission)
    owner = _ensure_caller(ctx, netuid, rule)

    # CHECKS
    _ensure_rule(ctx, netuid, owner, rule)
    if maybe_split is not None:
        count = s.MechanismCountCurrent.get(ctx, netuid)
        ensure(1 <= len(maybe_split) <= count, er.InvalidValue)
        ensure(sum(maybe_split) == U16_MAX, er.InvalidValue)

    # EFFECTS
    if maybe_split is None:
        s.MechanismEmissionSplit.remove(ctx, netuid)
    else:
        s.MechanismEmissionSplit.put(ctx, netuid, maybe_split)
    _record(ctx, netuid, owner, rule)


# Of the chain

_chain(74, "admin_freeze_window", s.AdminFreezeWindow, "window", ev.AdminFreezeWindowSet)
_chain(
    75,
    "owner_hparam_rate_limit",
    s.OwnerHyperparamRateLimit,
    "epochs",
    ev.OwnerHyperparamRateLimitSet,
)
_chain(
    96,
    "max_epochs_per_block",
    s.MaxEpochsPerBlock,
    "max_epochs_per_block",
    ev.MaxEpochsPerBlockSet,
    check=lambda value: value >= 1,
)
_chain(
    88,
    "max_mechanism_count",
    s.MaxMechanismCount,
    "max_mechanism_count",
    check=lambda value: 1 <= value <= MAX_MECHANISMS,
)
_chain(1, "default_take", s.MaxDelegateTake, "default_take", ev.MaxDelegateTakeSet)
_chain(46, "min_delegate_take", s.MinDelegateTake, "take", ev.MinDelegateTakeSet)
_chain(2, "tx_rate_limit", s.TxRateLimit, "tx_rate_limit", ev.TxRateLimitSet)
_chain(
    45,
    "tx_delegate_take_rate_limit",
    s.TxDelegateTakeRateLimit,
    "tx_rate_limit",
    ev.TxDelegateTakeRateLimitSet,
)
_chain(42, "stake_threshold", s.StakeThreshold, "min_stake", ev.StakeThresholdSet)
_chain(28, "subnet_owner_cut", s.SubnetOwnerCut, "subnet_owner_cut", ev.SubnetOwnerCutSet)
_chain(29, "network_rate_limit", s.NetworkRateLimit, "rate_limit", ev.NetworkRateLimitSet)
_chain(
    35,
    "network_immunity_period",
    s.NetworkImmunityPeriod,
    "immunity_period",
    ev.NetworkImmunityPeriodSet,
)
_chain(36, "network_min_lock_cost", s.NetworkMinLockCost, "lock_cost", ev.NetworkMinLockCostSet)
_chain(
    38,
    "lock_reduction_interval",
    s.NetworkLockReductionInterval,
    "interval",
    ev.NetworkLockCostReductionIntervalSet,
)
_chain(37, "subnet_limit", s.SubnetLimit, "max_subnets", ev.SubnetLimitSet)
_chain(85, "start_call_delay", s.StartCallDelay, "delay", ev.StartCallDelaySet)
_chain(73, "ck_burn", s.CKBurn, "burn")
_chain(63, "subnet_moving_alpha", s.SubnetMovingAlpha, "alpha")
_chain(
    71,
    "commit_reveal_version",
    s.CommitRevealWeightsVersion,
    "version",
    ev.CommitRevealVersionSet,
)
_chain(91, "net_tao_flow_enabled", s.NetTaoFlowEnabled, "enabled")
_chain(81, "tao_flow_cutoff", s.TaoFlowCutoff, "flow_cutoff")
_chain(
    82,
    "tao_flow_normalization_exponent",
    s.FlowNormExponent,
    "exponent",
    check=lambda value: U64F64.of(1) <= value <= U64F64.of(2),
)
_chain(83, "tao_flow_smoothing_factor", s.FlowEmaSmoothingFactor, "smoothing_factor")
_chain(
    86,
    "coldkey_swap_announcement_delay",
    s.ColdkeySwapAnnouncementDelay,
    "duration",
    ev.ColdkeySwapAnnouncementDelaySet,
)
_chain(
    87,
    "coldkey_swap_reannouncement_delay",
    s.ColdkeySwapReannouncementDelay,
    "duration",
    ev.ColdkeySwapReannouncementDelaySet,
)
_chain(
    55,
    "dissolve_network_schedule_duration",
    s.DissolveNetworkScheduleDuration,
    "duration",
    ev.DissolveNetworkScheduleDurationSet,
)


@pallet.call(43)
def sudo_set_nominator_min_required_stake(ctx: Ctx, min_stake: U64) -> None:
    """Set the least a nominator may hold, in millionths of the least stake, by root.

    Raising it sells what is smaller.
    """
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    # The chain compares the millionths with the old minimum in rao.
    raised = min_stake > int(staking.min_nomination(ctx))
    s.NominatorMinRequiredStake.put(ctx, min_stake)
    if raised:
        staking.clear_small_nominations(ctx)
