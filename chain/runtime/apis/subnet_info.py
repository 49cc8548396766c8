"""SubnetInfoRuntimeApi: what a subnet is, its hyperparameters, its pool, its metagraph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from chain.runtime.apis import metagraph
from chain.runtime.apis.api import RuntimeApi
from chain.runtime.apis.fields import (
    ACCOUNT,
    BOOL,
    C16,
    C64,
    C128,
    C_ALPHA,
    C_NETUID,
    C_RAO,
    COMPACT_TEXT,
    FIXED_I128,
    SUBNET_IDENTITY,
)
from chain.runtime.apis.metagraph import METAGRAPH, SELECTIVE_METAGRAPH
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import accounts, coinbase, records, tempo
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import (
    U16,
    U32,
    U64,
    U128,
    Array,
    Codec,
    Compact,
    Integer,
    Newtype,
    Record,
    Tagged,
    Variants,
    Vector,
    codec,
)
from chain.types import AccountId, NetUid, Rao

api = RuntimeApi("SubnetInfoRuntimeApi", 2)
_PATH = ("pallet_subtensor", "rpc_info", "subnet_info")


def _exists(ctx: Ctx, netuid: NetUid) -> bool:
    return s.NetworksAdded.get(ctx, netuid)


def _by_netuid(ctx: Ctx, answer: Callable[[Ctx, NetUid], Any]) -> list[Any]:
    """One answer for every number up to the highest subnet, None where there is none."""
    netuids = [netuid for netuid, added in s.NetworksAdded.items(ctx) if added]
    return [answer(ctx, NetUid(n)) for n in range(max(netuids, default=-1) + 1)]


# Subnet info

_INFO = (
    ("netuid", C_NETUID),
    ("rho", C16),
    ("kappa", C16),
    ("difficulty", C64),
    ("immunity_period", C16),
    ("max_allowed_validators", C16),
    ("min_allowed_weights", C16),
    ("max_weights_limit", C16),
    ("scaling_law_power", C16),
    ("subnetwork_n", C16),
    ("max_allowed_uids", C16),
    ("blocks_since_last_step", C64),
    ("tempo", C16),
    ("network_modality", C16),
    ("network_connect", Vector(Array(codec(U16), 2))),
)
SUBNET_INFO = Record(
    (*_PATH, "SubnetInfo"),
    (*_INFO, ("emission_values", C64), ("burn", C_RAO), ("owner", ACCOUNT)),
)
SUBNET_INFO_V2 = Record(
    (*_PATH, "SubnetInfov2"),
    (
        *_INFO,
        ("emission_value", C64),
        ("burn", C_RAO),
        ("owner", ACCOUNT),
        ("identity", SUBNET_IDENTITY),
    ),
)


def _subnet_info(ctx: Ctx, netuid: NetUid) -> dict[str, Any] | None:
    if not _exists(ctx, netuid):
        return None
    return {
        "netuid": netuid,
        "rho": s.Rho.get(ctx, netuid),
        "kappa": s.Kappa.get(ctx, netuid),
        "difficulty": s.Difficulty.get(ctx, netuid),
        "immunity_period": s.ImmunityPeriod.get(ctx, netuid),
        "max_allowed_validators": s.MaxAllowedValidators.get(ctx, netuid),
        "min_allowed_weights": s.MinAllowedWeights.get(ctx, netuid),
        "max_weights_limit": s.MaxWeightsLimit.get(ctx, netuid),
        "scaling_law_power": s.ScalingLawPower.get(ctx, netuid),
        "subnetwork_n": s.SubnetworkN.get(ctx, netuid),
        "max_allowed_uids": s.MaxAllowedUids.get(ctx, netuid),
        "blocks_since_last_step": s.BlocksSinceLastStep.get(ctx, netuid),
        "tempo": s.Tempo.get(ctx, netuid),
        "network_modality": 0,
        "network_connect": [],
        "emission_values": 0,
        "emission_value": 0,
        "burn": s.Burn.get(ctx, netuid),
        "owner": s.SubnetOwner.get(ctx, netuid),
        "identity": s.SubnetIdentitiesV3.find(ctx, netuid),
    }


@api.method
def get_subnet_info(ctx: Ctx, netuid: NetUid) -> Annotated[dict[str, Any], SUBNET_INFO] | None:
    """A subnet's main hyperparameters."""
    return _subnet_info(ctx, netuid)


@api.method
def get_subnets_info(ctx: Ctx) -> list[Annotated[dict[str, Any], SUBNET_INFO] | None]:
    """Every subnet's main hyperparameters."""
    return _by_netuid(ctx, _subnet_info)


@api.method
def get_subnet_info_v2(
    ctx: Ctx, netuid: NetUid
) -> Annotated[dict[str, Any], SUBNET_INFO_V2] | None:
    """A subnet's main hyperparameters and identity."""
    return _subnet_info(ctx, netuid)


@api.method
def get_subnets_info_v2(ctx: Ctx) -> list[Annotated[dict[str, Any], SUBNET_INFO_V2] | None]:
    """Every subnet's main hyperparameters and identity."""
    return _by_netuid(ctx, _subnet_info)


# Hyperparameters

_HYPERPARAMS = (
    ("rho", C16),
    ("kappa", C16),
    ("immunity_period", C16),
    ("min_allowed_weights", C16),
    ("max_weights_limit", C16),
    ("tempo", C16),
    ("min_difficulty", C64),
    ("max_difficulty", C64),
    ("weights_version", C64),
    ("weights_rate_limit", C64),
    ("adjustment_interval", C16),
    ("activity_cutoff", C64),
    ("registration_allowed", BOOL),
    ("target_regs_per_interval", C16),
    ("min_burn", C_RAO),
    ("max_burn", C_RAO),
    ("bonds_moving_avg", C64),
    ("max_regs_per_block", C16),
    ("serving_rate_limit", C64),
    ("max_validators", C16),
    ("adjustment_alpha", C64),
    ("difficulty", C64),
    ("commit_reveal_period", C64),
    ("commit_reveal_weights_enabled", BOOL),
    ("alpha_high", C16),
    ("alpha_low", C16),
    ("liquid_alpha_enabled", BOOL),
)
_FIXED_I64: Codec[int] = Newtype(("substrate_fixed", "FixedI64"), Integer(64, True), int, "bits")
HYPERPARAMS = Record((*_PATH, "SubnetHyperparams"), _HYPERPARAMS)
HYPERPARAMS_V2 = Record(
    (*_PATH, "SubnetHyperparamsV2"),
    (
        *_HYPERPARAMS,
        ("alpha_sigmoid_steepness", _FIXED_I64),
        ("yuma_version", C16),
        ("subnet_is_active", BOOL),
        ("transfers_enabled", BOOL),
        ("bonds_reset_enabled", BOOL),
        ("user_liquidity_enabled", BOOL),
    ),
)


def _hyperparams(ctx: Ctx, netuid: NetUid) -> dict[str, Any] | None:
    if not _exists(ctx, netuid):
        return None
    alpha_low, alpha_high = s.AlphaValues.get(ctx, netuid)
    return {
        "rho": s.Rho.get(ctx, netuid),
        "kappa": s.Kappa.get(ctx, netuid),
        "immunity_period": s.ImmunityPeriod.get(ctx, netuid),
        "min_allowed_weights": s.MinAllowedWeights.get(ctx, netuid),
        "max_weights_limit": s.MaxWeightsLimit.get(ctx, netuid),
        "tempo": s.Tempo.get(ctx, netuid),
        "min_difficulty": s.MinDifficulty.get(ctx, netuid),
        "max_difficulty": s.MaxDifficulty.get(ctx, netuid),
        "weights_version": s.WeightsVersionKey.get(ctx, netuid),
        "weights_rate_limit": s.WeightsSetRateLimit.get(ctx, netuid),
        "adjustment_interval": s.AdjustmentInterval.get(ctx, netuid),
        "activity_cutoff": tempo.activity_cutoff(ctx, netuid),
        "activity_cutoff_factor": s.ActivityCutoffFactorMilli.get(ctx, netuid),
        "registration_allowed": s.NetworkRegistrationAllowed.get(ctx, netuid),
        "target_regs_per_interval": s.TargetRegistrationsPerInterval.get(ctx, netuid),
        "min_burn": s.MinBurn.get(ctx, netuid),
        "max_burn": s.MaxBurn.get(ctx, netuid),
        "burn_half_life": s.BurnHalfLife.get(ctx, netuid),
        "burn_increase_mult": s.BurnIncreaseMult.get(ctx, netuid),
        "bonds_moving_avg": s.BondsMovingAverage.get(ctx, netuid),
        "max_regs_per_block": s.MaxRegistrationsPerBlock.get(ctx, netuid),
        "serving_rate_limit": s.ServingRateLimit.get(ctx, netuid),
        "max_validators": s.MaxAllowedValidators.get(ctx, netuid),
        "adjustment_alpha": s.AdjustmentAlpha.get(ctx, netuid),
        "difficulty": s.Difficulty.get(ctx, netuid),
        "commit_reveal_period": s.RevealPeriodEpochs.get(ctx, netuid),
        "commit_reveal_weights_enabled": s.CommitRevealWeightsEnabled.get(ctx, netuid),
        "alpha_high": alpha_high,
        "alpha_low": alpha_low,
        "liquid_alpha_enabled": s.LiquidAlphaOn.get(ctx, netuid),
        "alpha_sigmoid_steepness": s.AlphaSigmoidSteepness.get(ctx, netuid) << 32,
        "yuma_version": 3 if s.Yuma3On.get(ctx, netuid) else 2,
        "subnet_is_active": s.SubtokenEnabled.get(ctx, netuid),
        "transfers_enabled": s.TransferToggle.get(ctx, netuid),
        "bonds_reset_enabled": s.BondsResetOn.get(ctx, netuid),
        "user_liquidity_enabled": False,
        "owner_cut_enabled": s.OwnerCutEnabled.get(ctx, netuid),
        "owner_cut_auto_lock_enabled": s.OwnerCutAutoLockEnabled.get(ctx, netuid),
        "min_childkey_take": s.MinChildkeyTakePerSubnet.get(ctx, netuid),
    }


@api.method
def get_subnet_hyperparams(
    ctx: Ctx, netuid: NetUid
) -> Annotated[dict[str, Any], HYPERPARAMS] | None:
    """A subnet's hyperparameters, first form."""
    return _hyperparams(ctx, netuid)


@api.method
def get_subnet_hyperparams_v2(
    ctx: Ctx, netuid: NetUid
) -> Annotated[dict[str, Any], HYPERPARAMS_V2] | None:
    """A subnet's hyperparameters, second form."""
    return _hyperparams(ctx, netuid)


HYPERPARAM_VALUE: Codec[Tagged] = Variants(
    (*_PATH, "HyperparamValue"),
    (
        (0, "Bool", BOOL),
        (1, "U16", C16),
        (2, "U32", Compact(codec(U32))),
        (3, "U64", C64),
        (4, "U128", Compact(codec(U128))),
        (5, "TaoBalance", C_RAO),
        (6, "I32F32", _FIXED_I64),
        (7, "U64F64", records.FIXED_U128),
    ),
)


@dataclass(frozen=True)
class HyperparamEntry:
    """A hyperparameter by name. The list is meant to grow: look names up."""

    __scale_path__ = (*_PATH, "HyperparamEntry")
    name: bytes
    value: Annotated[Tagged, HYPERPARAM_VALUE]


V3_KINDS = {
    "kappa": "U16",
    "immunity_period": "U16",
    "min_allowed_weights": "U16",
    "max_weights_limit": "U16",
    "tempo": "U16",
    "weights_version": "U64",
    "weights_rate_limit": "U64",
    "activity_cutoff": "U64",
    "activity_cutoff_factor": "U32",
    "registration_allowed": "Bool",
    "target_regs_per_interval": "U16",
    "min_burn": "TaoBalance",
    "max_burn": "TaoBalance",
    "burn_half_life": "U16",
    "burn_increase_mult": "U64F64",
    "bonds_moving_avg": "U64",
    "max_regs_per_block": "U16",
    "serving_rate_limit": "U64",
    "max_validators": "U16",
    "commit_reveal_period": "U64",
    "commit_reveal_weights_enabled": "Bool",
    "alpha_high": "U16",
    "alpha_low": "U16",
    "liquid_alpha_enabled": "Bool",
    "alpha_sigmoid_steepness": "I32F32",
    "yuma_version": "U16",
    "subnet_is_active": "Bool",
    "transfers_enabled": "Bool",
    "bonds_reset_enabled": "Bool",
    "user_liquidity_enabled": "Bool",
    "owner_cut_enabled": "Bool",
    "owner_cut_auto_lock_enabled": "Bool",
    "min_childkey_take": "U16",
}


@api.method
def get_subnet_hyperparams_v3(ctx: Ctx, netuid: NetUid) -> list[HyperparamEntry] | None:
    """A subnet's hyperparameters by name."""
    values = _hyperparams(ctx, netuid)
    if values is None:
        return None
    return [
        HyperparamEntry(name.encode(), Tagged(kind, values[name]))
        for name, kind in V3_KINDS.items()
    ]


# Pools

DYNAMIC_INFO = Record(
    ("pallet_subtensor", "rpc_info", "dynamic_info", "DynamicInfo"),
    (
        ("netuid", C_NETUID),
        ("owner_hotkey", ACCOUNT),
        ("owner_coldkey", ACCOUNT),
        ("subnet_name", COMPACT_TEXT),
        ("token_symbol", COMPACT_TEXT),
        ("tempo", C16),
        ("last_step", C64),
        ("blocks_since_last_step", C64),
        ("emission", C64),
        ("alpha_in", C_ALPHA),
        ("alpha_out", C_ALPHA),
        ("tao_in", C_RAO),
        ("alpha_out_emission", C_ALPHA),
        ("alpha_in_emission", C_ALPHA),
        ("tao_in_emission", C_RAO),
        ("pending_alpha_emission", C_ALPHA),
        ("pending_root_emission", C_RAO),
        ("subnet_volume", C128),
        ("network_registered_at", C64),
        ("subnet_identity", SUBNET_IDENTITY),
        ("moving_price", FIXED_I128),
    ),
)


def _dynamic_info(ctx: Ctx, netuid: NetUid) -> dict[str, Any] | None:
    if not _exists(ctx, netuid):
        return None
    identity = s.SubnetIdentitiesV3.find(ctx, netuid)
    symbol = s.TokenSymbol.get(ctx, netuid)
    last_step = s.LastMechansimStepBlock.get(ctx, netuid)
    pending = s.PendingValidatorEmission.get(ctx, netuid) + s.PendingServerEmission.get(ctx, netuid)
    return {
        "netuid": netuid,
        "owner_hotkey": s.SubnetOwnerHotkey.get(ctx, netuid),
        "owner_coldkey": s.SubnetOwner.get(ctx, netuid),
        "subnet_name": list(metagraph.name_of(ctx, netuid)),
        "token_symbol": list(symbol),
        "tempo": s.Tempo.get(ctx, netuid),
        "last_step": last_step,
        "blocks_since_last_step": max(ctx.block - last_step, 0),
        "emission": 0,
        "alpha_in": s.SubnetAlphaIn.get(ctx, netuid),
        "alpha_out": s.SubnetAlphaOut.get(ctx, netuid),
        "tao_in": s.SubnetTAO.get(ctx, netuid),
        "alpha_out_emission": s.SubnetAlphaOutEmission.get(ctx, netuid),
        "alpha_in_emission": s.SubnetAlphaInEmission.get(ctx, netuid),
        "tao_in_emission": s.SubnetTaoInEmission.get(ctx, netuid),
        "pending_alpha_emission": pending,
        "pending_root_emission": 0,
        "subnet_volume": s.SubnetVolume.get(ctx, netuid),
        "network_registered_at": s.NetworkRegisteredAt.get(ctx, netuid),
        "subnet_identity": identity,
        "moving_price": s.SubnetMovingPrice.get(ctx, netuid),
    }


@api.method
def get_dynamic_info(ctx: Ctx, netuid: NetUid) -> Annotated[dict[str, Any], DYNAMIC_INFO] | None:
    """A subnet's pool and token."""
    return _dynamic_info(ctx, netuid)


@api.method
def get_all_dynamic_info(ctx: Ctx) -> list[Annotated[dict[str, Any], DYNAMIC_INFO] | None]:
    """Every subnet's pool and token."""
    return _by_netuid(ctx, _dynamic_info)


# Metagraphs

Graph = Annotated[dict[str, Any], METAGRAPH]
Selection = Annotated[dict[str, Any], SELECTIVE_METAGRAPH]
Mecid = Annotated[int, records.MECH_ID]


def _metagraph(ctx: Ctx, netuid: NetUid) -> dict[str, Any] | None:
    return metagraph.metagraph(ctx, netuid) if _exists(ctx, netuid) else None


def _has_mechanism(ctx: Ctx, netuid: NetUid, mecid: int) -> bool:
    return _exists(ctx, netuid) and mecid < s.MechanismCountCurrent.get(ctx, netuid)


@api.method
def get_metagraph(ctx: Ctx, netuid: NetUid) -> Graph | None:
    """A whole subnet."""
    return _metagraph(ctx, netuid)


@api.method
def get_all_metagraphs(ctx: Ctx) -> list[Graph | None]:
    """All subnets, whole."""
    return _by_netuid(ctx, _metagraph)


@api.method
def get_mechagraph(ctx: Ctx, netuid: NetUid, mecid: Mecid) -> Graph | None:
    """A whole subnet as one of its mechanisms sees it."""
    if not _has_mechanism(ctx, netuid, mecid):
        return None
    return metagraph.metagraph(ctx, netuid, mecid)


@api.method
def get_all_mechagraphs(ctx: Ctx) -> list[Graph | None]:
    """All mechanisms of all subnets."""
    return [
        metagraph.metagraph(ctx, netuid, mecid)
        for netuid, added in s.NetworksAdded.items(ctx)
        if added
        for mecid in range(s.MechanismCountCurrent.get(ctx, netuid))
    ]


@api.method
def get_selective_metagraph(
    ctx: Ctx, netuid: NetUid, metagraph_indexes: list[U16]
) -> Selection | None:
    """Only the fields of a subnet that were asked for."""
    if not _exists(ctx, netuid):
        return None
    return metagraph.selective(ctx, netuid, metagraph_indexes)


@api.method
def get_selective_mechagraph(
    ctx: Ctx, netuid: NetUid, mecid: Mecid, metagraph_indexes: list[U16]
) -> Selection | None:
    """Only the fields of a mechanism that were asked for."""
    if not _has_mechanism(ctx, netuid, mecid):
        return None
    return metagraph.selective(ctx, netuid, metagraph_indexes, mecid)


_STATE_COLUMNS = (
    "hotkeys", "coldkeys", "active", "validator_permit", "pruning_score", "last_update",
    "emission", "dividends", "incentives", "consensus", "trust", "rank",
    "block_at_registration", "alpha_stake", "tao_stake", "total_stake",
)  # fmt: skip
SUBNET_STATE = Record(
    ("pallet_subtensor", "rpc_info", "show_subnet", "SubnetState"),
    (
        ("netuid", C_NETUID),
        *((name, c) for name, c in metagraph.FIELDS if name in _STATE_COLUMNS),
        ("emission_history", Vector(Vector(C_ALPHA))),
    ),
)


@api.method
def get_subnet_state(ctx: Ctx, netuid: NetUid) -> Annotated[dict[str, Any], SUBNET_STATE] | None:
    """A subnet's neurons, column by column."""
    if not _exists(ctx, netuid):
        return None
    return {**metagraph.metagraph(ctx, netuid), "emission_history": []}


# Single facts


@api.method
def get_coldkey_auto_stake_hotkey(ctx: Ctx, coldkey: AccountId, netuid: NetUid) -> AccountId | None:
    """Where a coldkey's incentive is staked, if it chose."""
    return s.AutoStakeDestination.find(ctx, coldkey, netuid)


@api.method
def get_subnet_to_prune(ctx: Ctx) -> NetUid | None:
    """The subnet that the next registration would replace, None while all are immune."""
    immunity = s.NetworkImmunityPeriod.get(ctx)
    candidates = [
        (s.SubnetMovingPrice.get(ctx, netuid), registered_at, netuid)
        for netuid, added in s.NetworksAdded.items(ctx)
        if added and netuid != 0
        for registered_at in (s.NetworkRegisteredAt.get(ctx, netuid),)
        if ctx.block >= registered_at + immunity
    ]
    return min(candidates)[2] if candidates else None


@api.method
def get_subnet_account_id(ctx: Ctx, netuid: NetUid) -> AccountId | None:
    """The account that holds a subnet's TAO."""
    return accounts.subnet_account(netuid) if _exists(ctx, netuid) else None


@api.method
def get_next_epoch_start_block(ctx: Ctx, netuid: NetUid) -> U64 | None:
    """The block of a subnet's next epoch, None when it never runs one."""
    return tempo.next_epoch_start_block(ctx, netuid)


@api.method
def get_block_emission(ctx: Ctx) -> Rao:
    """The TAO a block mints now."""
    return coinbase.block_emission(ctx)
