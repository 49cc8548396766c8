"""AdminUtils: who may set what, when, and within which bounds; and that clients know the calls."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from chain.runtime.construct import PALLETS
from chain.runtime.fixed import U64F64
from chain.runtime.frame import ROOT, StorageMap, StorageValue
from chain.runtime.pallets import admin
from chain.runtime.pallets.absent import ABSENT
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import RecycleOrBurn, StorageIndex
from chain.scale import Boolean, Codec, Compact, Enumeration, Integer, Newtype
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao
from tests.runtime.world import World, account

NETUID = NetUid(2)
FROZEN = "AdminActionProhibitedDuringWeightsWindow"
TAO = RAO_PER_TAO


@pytest.fixture
def world() -> World:
    """Subnet 2 with four neurons, far from its next epoch."""
    world = World("owner", "other")
    world.skip(9)
    world.create_subnet()
    for name in ("a", "b", "c"):
        world.register(NETUID, name)
    return world


def sudo(name: str) -> str:
    return f"AdminUtils.sudo_set_{name}"


OWNERS: list[tuple[str, str, StorageMap[NetUid, Any], Any]] = [
    ("rho", "rho", s.Rho, 11),
    ("weights_version_key", "weights_version_key", s.WeightsVersionKey, 5),
    ("min_allowed_weights", "min_allowed_weights", s.MinAllowedWeights, 2),
    ("activity_cutoff", "activity_cutoff", s.ActivityCutoff, 400),
    ("bonds_moving_average", "bonds_moving_average", s.BondsMovingAverage, 975_000),
    ("bonds_penalty", "bonds_penalty", s.BondsPenalty, 1),
    ("bonds_reset_enabled", "enabled", s.BondsResetOn, True),
    ("commit_reveal_weights_enabled", "enabled", s.CommitRevealWeightsEnabled, True),
    ("commit_reveal_weights_interval", "interval", s.RevealPeriodEpochs, 2),
    ("liquid_alpha_enabled", "enabled", s.LiquidAlphaOn, True),
    ("alpha_sigmoid_steepness", "steepness", s.AlphaSigmoidSteepness, 0),
    ("yuma3_enabled", "enabled", s.Yuma3On, False),
    ("max_allowed_uids", "max_allowed_uids", s.MaxAllowedUids, 64),
    ("immunity_period", "immunity_period", s.ImmunityPeriod, 7),
    ("owner_immune_neuron_limit", "immune_neurons", s.ImmuneOwnerUidsLimit, 10),
    ("min_burn", "min_burn", s.MinBurn, Rao(TAO - 1)),
    ("max_burn", "max_burn", s.MaxBurn, Rao(TAO // 10 + 1)),
    ("burn_half_life", "burn_half_life", s.BurnHalfLife, 36_100),
    ("burn_increase_mult", "burn_increase_mult", s.BurnIncreaseMult, U64F64.of(3)),
    ("max_difficulty", "max_difficulty", s.MaxDifficulty, 9),
    ("adjustment_alpha", "adjustment_alpha", s.AdjustmentAlpha, 3),
    ("serving_rate_limit", "serving_rate_limit", s.ServingRateLimit, 0),
    ("toggle_transfer", "toggle", s.TransferToggle, False),
    ("recycle_or_burn", "recycle_or_burn", s.RecycleOrBurn, RecycleOrBurn.Recycle),
    ("min_childkey_take_per_subnet", "take", s.MinChildkeyTakePerSubnet, 11_796),
]
"""What the owner may set, seldom and outside the freeze window."""

OWNERS_UNLIMITED: list[tuple[str, str, StorageMap[NetUid, Any], Any]] = [
    ("owner_cut_enabled", "enabled", s.OwnerCutEnabled, False),
    ("owner_cut_auto_lock_enabled", "enabled", s.OwnerCutAutoLockEnabled, True),
]

ROOTS: list[tuple[str, str, StorageMap[NetUid, Any], Any]] = [
    ("max_allowed_validators", "max_allowed_validators", s.MaxAllowedValidators, 256),
    ("min_allowed_uids", "min_allowed_uids", s.MinAllowedUids, 3),
    ("difficulty", "difficulty", s.Difficulty, 1),
    ("min_difficulty", "min_difficulty", s.MinDifficulty, 1),
    (
        "target_registrations_per_interval",
        "target_registrations_per_interval",
        s.TargetRegistrationsPerInterval,
        9,
    ),
    (
        "max_registrations_per_block",
        "max_registrations_per_block",
        s.MaxRegistrationsPerBlock,
        9,
    ),
    ("subtoken_enabled", "subtoken_enabled", s.SubtokenEnabled, True),
]
"""What root alone may set, outside the freeze window."""

ROOTS_ALWAYS: list[tuple[str, str, StorageMap[NetUid, Any], Any]] = [
    ("kappa", "kappa", s.Kappa, 1),
    ("weights_set_rate_limit", "weights_set_rate_limit", s.WeightsSetRateLimit, 0),
    ("min_non_immune_uids", "min", s.MinNonImmuneUids, 0),
    ("adjustment_interval", "adjustment_interval", s.AdjustmentInterval, 1),
    ("rao_recycled", "rao_recycled", s.RAORecycledForRegistration, Rao(5)),
    ("subnet_emission_enabled", "enabled", s.SubnetEmissionEnabled, True),
    ("ema_price_halving_period", "ema_halving", s.EMAPriceHalvingBlocks, 1),
]

CHAIN: list[tuple[str, str, StorageValue[Any], Any]] = [
    ("admin_freeze_window", "window", s.AdminFreezeWindow, 0),
    ("owner_hparam_rate_limit", "epochs", s.OwnerHyperparamRateLimit, 0),
    ("max_epochs_per_block", "max_epochs_per_block", s.MaxEpochsPerBlock, 1),
    ("max_mechanism_count", "max_mechanism_count", s.MaxMechanismCount, 16),
    ("default_take", "default_take", s.MaxDelegateTake, 1),
    ("min_delegate_take", "take", s.MinDelegateTake, 1),
    ("tx_rate_limit", "tx_rate_limit", s.TxRateLimit, 1),
    ("tx_delegate_take_rate_limit", "tx_rate_limit", s.TxDelegateTakeRateLimit, 1),
    ("stake_threshold", "min_stake", s.StakeThreshold, 1),
    ("nominator_min_required_stake", "min_stake", s.NominatorMinRequiredStake, 1),
    ("subnet_owner_cut", "subnet_owner_cut", s.SubnetOwnerCut, 1),
    ("network_rate_limit", "rate_limit", s.NetworkRateLimit, 1),
    ("network_immunity_period", "immunity_period", s.NetworkImmunityPeriod, 1),
    ("network_min_lock_cost", "lock_cost", s.NetworkMinLockCost, Rao(1)),
    ("lock_reduction_interval", "interval", s.NetworkLockReductionInterval, 1),
    ("subnet_limit", "max_subnets", s.SubnetLimit, 1),
    ("start_call_delay", "delay", s.StartCallDelay, 1),
    ("ck_burn", "burn", s.CKBurn, 1),
    ("subnet_moving_alpha", "alpha", s.SubnetMovingAlpha, 1),
    ("commit_reveal_version", "version", s.CommitRevealWeightsVersion, 1),
    ("net_tao_flow_enabled", "enabled", s.NetTaoFlowEnabled, False),
    ("tao_flow_cutoff", "flow_cutoff", s.TaoFlowCutoff, -1),
    ("tao_flow_normalization_exponent", "exponent", s.FlowNormExponent, U64F64.of(2)),
    ("tao_flow_smoothing_factor", "smoothing_factor", s.FlowEmaSmoothingFactor, 1),
    ("coldkey_swap_announcement_delay", "duration", s.ColdkeySwapAnnouncementDelay, 1),
    ("coldkey_swap_reannouncement_delay", "duration", s.ColdkeySwapReannouncementDelay, 1),
    ("dissolve_network_schedule_duration", "duration", s.DissolveNetworkScheduleDuration, 1),
]


def test_every_setter_is_in_a_table() -> None:
    own = {
        "alpha_values",
        "network_registration_allowed",
        "network_pow_registration_allowed",
        "tempo",
        "activity_cutoff_factor",
        "sn_owner_hotkey",
        "mechanism_count",
        "mechanism_emission_split",
    }
    tables = (OWNERS, OWNERS_UNLIMITED, ROOTS, ROOTS_ALWAYS, CHAIN)
    named = own | {name for table in tables for name, *_ in table}
    declared = {name.removeprefix("sudo_set_") for name in admin.pallet.calls}
    refused = {name.removeprefix("sudo_set_") for pallet, name in ABSENT if pallet == "AdminUtils"}
    assert named | {"sudo_trim_to_max_allowed_uids"} == declared - refused


@pytest.mark.parametrize(("name", "argument", "item", "value"), OWNERS)
def test_owners_setters(
    world: World, name: str, argument: str, item: StorageMap[NetUid, Any], value: Any
) -> None:
    args = {argument: value}
    world.refuse("BadOrigin", "other", sudo(name), netuid=NETUID, **args)
    before = item.get(world.ctx, NETUID)
    assert before != value
    world.call("owner", sudo(name), netuid=NETUID, **args)
    assert item.get(world.ctx, NETUID) == value
    world.refuse("TxRateLimitExceeded", "owner", sudo(name), netuid=NETUID, **args)
    # Root is not held back by what the owner did, and does not hold the owner back.
    world.skip(1)
    world.root(sudo(name), netuid=NETUID, **{argument: before})
    assert item.get(world.ctx, NETUID) == before
    tempos = 5 if name == "weights_version_key" else 2
    s.LastEpochBlock.put(world.ctx, NETUID, world.ctx.block + tempos * 360)
    world.skip(tempos * 360 - 2)
    world.refuse("TxRateLimitExceeded", "owner", sudo(name), netuid=NETUID, **args)
    world.skip(1)
    world.call("owner", sudo(name), netuid=NETUID, **args)


@pytest.mark.parametrize(("name", "argument", "item", "value"), [*OWNERS, *OWNERS_UNLIMITED])
def test_the_freeze_window_binds_owner_and_root(
    world: World, name: str, argument: str, item: StorageMap[NetUid, Any], value: Any
) -> None:
    args = {"netuid": NETUID, argument: value}
    world.skip(360 - 2 - 10 + 1)  # subnet 2 began at block 10 - 2
    for who in ("owner", ROOT):
        world.refuse(FROZEN, who, sudo(name), **args)
    world.refuse("BadOrigin", "other", sudo(name), **args)
    world.root(sudo("admin_freeze_window"), window=0)
    world.call("owner", sudo(name), **args)
    assert item.get(world.ctx, NETUID) == value


@pytest.mark.parametrize(("name", "argument", "item", "value"), OWNERS_UNLIMITED)
def test_owners_setters_without_a_limit(
    world: World, name: str, argument: str, item: StorageMap[NetUid, Any], value: bool
) -> None:
    for wanted in (value, not value):
        world.call("owner", sudo(name), netuid=NETUID, **{argument: wanted})
        assert item.get(world.ctx, NETUID) == wanted
    args = {"netuid": NetUid(0), argument: value}
    world.refuse("NotPermittedOnRootSubnet", ROOT, sudo(name), **args)


@pytest.mark.parametrize(("name", "argument", "item", "value"), [*ROOTS, *ROOTS_ALWAYS])
def test_roots_setters(
    world: World, name: str, argument: str, item: StorageMap[NetUid, Any], value: Any
) -> None:
    args = {"netuid": NETUID, argument: value}
    world.refuse("BadOrigin", "owner", sudo(name), **args)
    far = {"netuid": NetUid(9), argument: value}
    world.refuse("SubnetDoesNotExist", ROOT, sudo(name), **far)
    world.skip(360 - 2 - 10 + 1)
    if (name, argument, item, value) in ROOTS:
        world.refuse(FROZEN, ROOT, sudo(name), **args)
        world.root(sudo("admin_freeze_window"), window=0)
    world.root(sudo(name), **args)
    assert item.get(world.ctx, NETUID) == value


@pytest.mark.parametrize(("name", "argument", "item", "value"), CHAIN)
def test_setters_of_the_chain(
    world: World, name: str, argument: str, item: StorageValue[Any], value: Any
) -> None:
    world.refuse("BadOrigin", "owner", sudo(name), **{argument: value})
    assert item.get(world.ctx) != value
    world.root(sudo(name), **{argument: value})
    assert item.get(world.ctx) == value


@pytest.mark.parametrize(
    ("name", "error", "values"),
    [
        ("activity_cutoff", "ActivityCutoffTooLow", [359]),
        ("bonds_moving_average", "BondsMovingAverageMaxReached", [975_001]),
        ("commit_reveal_weights_interval", "RevealPeriodTooSmall", [0]),
        ("commit_reveal_weights_interval", "RevealPeriodTooLarge", [101]),
        ("alpha_sigmoid_steepness", "NegativeSigmoidSteepness", [-1]),
        ("max_allowed_uids", "MaxAllowedUidsLessThanMinAllowedUids", [63]),
        ("max_allowed_uids", "MaxAllowedUidsGreaterThanDefaultMaxAllowedUids", [257]),
        ("owner_immune_neuron_limit", "InvalidValue", [0, 11]),
        ("min_burn", "ValueNotInBounds", [Rao(TAO)]),
        ("max_burn", "ValueNotInBounds", [Rao(TAO // 10)]),
        ("burn_half_life", "InvalidValue", [0, 36_101]),
        ("burn_increase_mult", "InvalidValue", [U64F64.ONE - 1, U64F64.of(3) + 1]),
        ("min_childkey_take_per_subnet", "InvalidChildkeyTake", [11_797]),
    ],
)
def test_bounds_of_the_owner(world: World, name: str, error: str, values: list[Any]) -> None:
    argument = next(argument for other, argument, *_ in OWNERS if other == name)
    for value in values:
        world.refuse(error, "owner", sudo(name), netuid=NETUID, **{argument: value})


def test_bounds_that_depend_on_others(world: World) -> None:
    ctx = world.ctx
    s.MinAllowedUids.put(ctx, NETUID, 1)
    args: dict[str, Any] = {"netuid": NETUID, "max_allowed_uids": 3}
    world.refuse("MaxAllowedUIdsLessThanCurrentUIds", ROOT, sudo("max_allowed_uids"), **args)
    args["max_allowed_uids"] = 4
    world.root(sudo("max_allowed_uids"), **args)
    s.MechanismCountCurrent.put(ctx, NETUID, 2)
    args["max_allowed_uids"] = 129
    world.refuse("TooManyUIDsPerMechanism", ROOT, sudo("max_allowed_uids"), **args)
    s.MaxBurn.put(ctx, NETUID, Rao(1000))
    world.refuse("ValueNotInBounds", ROOT, sudo("min_burn"), netuid=NETUID, min_burn=Rao(1000))
    s.MinBurn.put(ctx, NETUID, Rao(TAO))
    world.refuse("ValueNotInBounds", ROOT, sudo("max_burn"), netuid=NETUID, max_burn=Rao(TAO))
    more: dict[str, Any] = {"netuid": NETUID, "max_allowed_validators": 5}
    call = sudo("max_allowed_validators")
    world.refuse("MaxValidatorsLargerThanMaxUIds", ROOT, call, **more)
    call = sudo("min_allowed_uids")
    least: dict[str, Any] = {"netuid": NETUID, "min_allowed_uids": 4}
    world.refuse("MinAllowedUidsGreaterThanMaxAllowedUids", ROOT, call, **least)
    s.MaxAllowedUids.put(ctx, NETUID, 9)
    world.refuse("MinAllowedUidsGreaterThanCurrentUids", ROOT, call, **least)


def test_root_may_go_beyond_the_owner(world: World) -> None:
    world.root(sudo("bonds_moving_average"), netuid=NETUID, bonds_moving_average=1_000_000)
    world.root(sudo("alpha_sigmoid_steepness"), netuid=NETUID, steepness=-1)
    assert s.AlphaSigmoidSteepness.get(world.ctx, NETUID) == -1


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("max_epochs_per_block", "max_epochs_per_block", 0),
        ("max_mechanism_count", "max_mechanism_count", 0),
        ("max_mechanism_count", "max_mechanism_count", 17),
        ("tao_flow_normalization_exponent", "exponent", U64F64.ONE - 1),
    ],
)
def test_bounds_of_the_chain(world: World, name: str, argument: str, value: int) -> None:
    world.refuse("InvalidValue", ROOT, sudo(name), **{argument: value})


def test_events(world: World) -> None:
    calls: list[tuple[str, dict[str, Any], list[Any]]] = [
        ("kappa", {"kappa": 7}, [ev.KappaSet(NETUID, 7)]),
        ("yuma3_enabled", {"enabled": True}, [admin.Yuma3EnableToggled(NETUID, True)]),
        (
            "burn_half_life",
            {"burn_half_life": 5},
            [ev.BurnHalfLifeSet(NETUID, 5), admin.BurnHalfLifeSet(NETUID, 5)],
        ),
        (
            "subnet_emission_enabled",
            {"enabled": True},
            [admin.SubnetEmissionEnabledSet(NETUID, True)],
        ),
        ("liquid_alpha_enabled", {"enabled": True}, []),
    ]
    for name, args, events in calls:
        assert world.root(sudo(name), netuid=NETUID, **args) == events
    assert world.root(sudo("admin_freeze_window"), window=3) == [ev.AdminFreezeWindowSet(3)]


# Setters with rules of their own


def test_tempo(world: World) -> None:
    call = sudo("tempo")
    assert world.root(call, netuid=NETUID, tempo=1) == [ev.TempoSet(NETUID, 1)]
    assert s.Tempo.get(world.ctx, NETUID) == 1
    assert s.LastEpochBlock.get(world.ctx, NETUID) == world.ctx.block
    # From here on root is shut out as well, as long as the window is longer than the tempo.
    world.refuse(FROZEN, ROOT, call, netuid=NETUID, tempo=360)
    world.root(sudo("admin_freeze_window"), window=1000)
    world.refuse(FROZEN, ROOT, call, netuid=NetUid(9), tempo=1)  # which is told first
    world.root(sudo("admin_freeze_window"), window=0)
    world.refuse("TempoOutOfBounds", "owner", call, netuid=NETUID, tempo=1)
    world.call("owner", call, netuid=NETUID, tempo=360)
    world.refuse("TxRateLimitExceeded", "owner", call, netuid=NETUID, tempo=361)
    world.refuse("SubnetDoesNotExist", ROOT, call, netuid=NetUid(9), tempo=1)
    world.refuse("BadOrigin", "other", call, netuid=NETUID, tempo=360)


def test_activity_cutoff_factor_ignores_the_window_for_root(world: World) -> None:
    call = sudo("activity_cutoff_factor")
    world.skip(360 - 2 - 10 + 1)
    world.refuse(FROZEN, "owner", call, netuid=NETUID, factor_milli=1000)
    world.root(call, netuid=NETUID, factor_milli=1000)
    assert s.ActivityCutoffFactorMilli.get(world.ctx, NETUID) == 1000


def test_alpha_values(world: World) -> None:
    call = sudo("alpha_values")

    def args(low: int, high: int) -> dict[str, Any]:
        return {"netuid": NETUID, "alpha_low": low, "alpha_high": high}

    world.refuse("LiquidAlphaDisabled", "owner", call, **args(2000, 3000))
    s.LiquidAlphaOn.put(world.ctx, NETUID, True)
    world.refuse("AlphaHighTooLow", "owner", call, **args(1000, 1637))
    world.refuse("AlphaLowOutOfRange", "owner", call, **args(1637, 1638))
    world.refuse("AlphaLowOutOfRange", "owner", call, **args(3001, 3000))
    world.call("owner", call, **args(3000, 3000))
    assert s.AlphaValues.get(world.ctx, NETUID) == (3000, 3000)
    world.refuse("TxRateLimitExceeded", "owner", call, **args(3000, 3000))


def test_registration_switches(world: World) -> None:
    call = sudo("network_registration_allowed")
    world.refuse("BadOrigin", "other", call, netuid=NETUID, registration_allowed=False)
    for who in ("owner", ROOT):
        events = world.call(who, call, netuid=NETUID, registration_allowed=False)
        assert events == [ev.RegistrationAllowed(NETUID, False)]
    assert not s.NetworkRegistrationAllowed.get(world.ctx, NETUID)
    proof = sudo("network_pow_registration_allowed")
    world.refuse("POWRegistrationDisabled", ROOT, proof, netuid=NETUID, registration_allowed=True)


def test_owner_hotkey(world: World) -> None:
    call, hotkey = sudo("sn_owner_hotkey"), account("new")
    world.refuse("BadOrigin", "other", call, netuid=NETUID, hotkey=hotkey)
    world.refuse("SubnetNotExists", ROOT, call, netuid=NetUid(9), hotkey=hotkey)
    system = subnet_account(NETUID)
    world.refuse("CannotUseSystemAccount", "owner", call, netuid=NETUID, hotkey=system)
    events = world.call("owner", call, netuid=NETUID, hotkey=hotkey)
    assert events == [ev.SubnetOwnerHotkeySet(NETUID, hotkey)]
    assert s.SubnetOwnerHotkey.get(world.ctx, NETUID) == hotkey
    world.skip(50_399)
    for who in ("owner", ROOT):
        world.refuse("TxRateLimitExceeded", who, call, netuid=NETUID, hotkey=hotkey)
    world.skip(1)
    world.root(call, netuid=NETUID, hotkey=hotkey)


def test_mechanisms(world: World) -> None:
    ctx, call = world.ctx, sudo("mechanism_count")
    for count in (0, 3):
        world.refuse("InvalidValue", "owner", call, netuid=NETUID, mechanism_count=count)
    world.refuse("TooManyUIDsPerMechanism", "owner", call, netuid=NETUID, mechanism_count=2)
    world.root(sudo("max_allowed_uids"), netuid=NETUID, max_allowed_uids=128)
    world.call("owner", call, netuid=NETUID, mechanism_count=2)
    second = StorageIndex.of(NETUID, 1)
    assert s.LastUpdate.get(ctx, second) == [0] * 4
    assert world.register(NETUID, "d") == 4
    assert s.LastUpdate.get(ctx, second) == [0, 0, 0, 0, ctx.block]
    world.refuse("TxRateLimitExceeded", "owner", call, netuid=NETUID, mechanism_count=1)

    split = sudo("mechanism_emission_split")
    for wrong in ([65_534], [65_535, 0, 0], [1, 65_535], []):
        world.refuse("InvalidValue", "owner", split, netuid=NETUID, maybe_split=wrong)
    world.call("owner", split, netuid=NETUID, maybe_split=[5535, 60_000])
    assert s.MechanismEmissionSplit.get(ctx, NETUID) == [5535, 60_000]
    world.root(split, netuid=NETUID, maybe_split=None)
    assert s.MechanismEmissionSplit.find(ctx, NETUID) is None
    world.root(split, netuid=NETUID, maybe_split=[65_535])

    s.Weights.put(ctx, second, 1, [(2, 65535)])
    s.WeightCommits.put(ctx, second, account("a"), [])
    world.root(call, netuid=NETUID, mechanism_count=1)
    assert s.MechanismEmissionSplit.find(ctx, NETUID) is None
    assert not list(s.Weights.row(ctx, second)) and not list(s.WeightCommits.row(ctx, second))
    assert s.LastUpdate.get(ctx, second) == s.Incentive.get(ctx, second) == []


def test_trimming(world: World) -> None:
    ctx, call = world.ctx, "AdminUtils.sudo_trim_to_max_allowed_uids"
    index = StorageIndex.of(NETUID)
    world.refuse("InvalidValue", "owner", call, netuid=NETUID, max_n=63)
    world.refuse("InvalidValue", "owner", call, netuid=NETUID, max_n=257)
    s.MinAllowedUids.put(ctx, NETUID, 1)
    percentage = "TrimmingWouldExceedMaxImmunePercentage"
    world.refuse(percentage, "owner", call, netuid=NETUID, max_n=3)  # all are immune
    s.ImmunityPeriod.put(ctx, NETUID, 0)
    world.refuse(percentage, "owner", call, netuid=NETUID, max_n=1)  # the owner's seat alone
    s.Emission.put(ctx, NETUID, [Alpha(e) for e in (0, 5, 9, 5)])
    s.Weights.put(ctx, index, 1, [(0, 1), (2, 2), (3, 3)])
    s.Weights.put(ctx, index, 2, [(1, 1), (3, 2), (0, 3)])
    s.Bonds.put(ctx, index, 3, [(0, 1)])
    s.Incentive.put(ctx, index, [1, 2, 3, 4])
    s.BlockAtRegistration.put(ctx, NETUID, 2, 3)

    world.call("owner", call, netuid=NETUID, max_n=2)

    # Both that earned 5 go; the owner's stays although it earned nothing.
    assert s.SubnetworkN.get(ctx, NETUID) == s.MaxAllowedUids.get(ctx, NETUID) == 2
    assert s.Keys.get(ctx, NETUID, 1) == account("b")
    assert s.BlockAtRegistration.get(ctx, NETUID, 1) == 3
    assert dict(s.Weights.row(ctx, index)) == {1: [(0, 3)]}
    assert not list(s.Bonds.row(ctx, index))
    assert s.Incentive.get(ctx, index) == [1, 3]
    assert s.Emission.get(ctx, NETUID) == [0, 9]
    assert not s.IsNetworkMember.get(ctx, account("a"), NETUID)
    world.check_seats()
    world.refuse("TxRateLimitExceeded", "owner", call, netuid=NETUID, max_n=2)


def test_trimming_gives_those_who_stay_new_numbers_everywhere(world: World) -> None:
    ctx, index = world.ctx, StorageIndex.of(NETUID)
    s.MinAllowedUids.put(ctx, NETUID, 1)
    s.ImmunityPeriod.put(ctx, NETUID, 0)
    s.Emission.put(ctx, NETUID, [Alpha(e) for e in (9, 0, 9, 9)])
    for rows in (s.Weights, s.Bonds):
        rows.put(ctx, index, 3, [(0, 1), (1, 2), (2, 3), (3, 4)])
    world.root("AdminUtils.sudo_trim_to_max_allowed_uids", netuid=NETUID, max_n=3)
    for rows in (s.Weights, s.Bonds):
        assert dict(rows.row(ctx, index)) == {2: [(0, 1), (1, 3), (2, 4)]}


def test_of_equals_the_highest_uid_is_trimmed(world: World) -> None:
    s.MinAllowedUids.put(world.ctx, NETUID, 1)
    s.ImmunityPeriod.put(world.ctx, NETUID, 0)
    world.root("AdminUtils.sudo_trim_to_max_allowed_uids", netuid=NETUID, max_n=3)
    assert s.Uids.find(world.ctx, NETUID, account("c")) is None
    world.check_seats()


# What clients know


def generated() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Calls as the SDK composes them: argument names and types, read without importing it."""
    spec = importlib.util.find_spec("bittensor")
    assert spec is not None and spec.origin is not None
    source = (Path(spec.origin).parent / "_generated" / "calls.py").read_text()
    return {
        (pallet.name, call.name): [
            (argument.arg, str(ast.literal_eval(argument.annotation)))
            for argument in call.args.args
            if argument.annotation is not None
        ]
        for pallet in ast.parse(source).body
        if isinstance(pallet, ast.ClassDef)
        for call in pallet.body
        if isinstance(call, ast.FunctionDef)
    }


def type_name(codec: Codec[Any]) -> str:
    if isinstance(codec, Integer):
        return codec.name
    if isinstance(codec, Boolean):
        return "bool"
    if isinstance(codec, Newtype | Enumeration):
        return codec.path[-1]
    return "Compact" if isinstance(codec, Compact) else "Any"


@pytest.mark.parametrize("pallet", ["AdminUtils", "Commitments", "SubtensorModule"])
def test_calls_are_those_the_sdk_composes(pallet: str) -> None:
    theirs = generated()
    for name, spec in PALLETS.by_name[pallet].calls.items():
        if (pallet, name) not in theirs:
            continue  # of an older runtime, which the SDK no longer composes
        wanted = theirs[pallet, name]
        assert [argument for argument, _ in spec.params] == [a for a, _ in wanted], name
        for (argument, codec), (_, kind) in zip(spec.params, wanted, strict=True):
            if type_name(codec) != "Any" and kind != "Any":
                assert type_name(codec) == kind, f"{name}({argument})"
