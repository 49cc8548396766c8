"""The metagraph record: a whole subnet in one answer, and selections of its fields."""

from __future__ import annotations

from typing import Any

from chain.runtime.apis.fields import (
    ACCOUNT,
    AXON,
    BOOL,
    C8,
    C16,
    C64,
    C128,
    C_ALPHA,
    C_NETUID,
    C_RAO,
    CHAIN_IDENTITY,
    COMPACT_TEXT,
    FIXED_I128,
    SUBNET_IDENTITY,
)
from chain.runtime.apis.neuron_info import Columns, at
from chain.runtime.fixed import I64F64, U96F32
from chain.runtime.frame import Ctx
from chain.runtime.pallets import commitments
from chain.runtime.pallets.subtensor import epoch, records, tempo
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import SOME_NONE, Codec, Option, Record, Tuple, Vector, codec
from chain.types import AccountId, NetUid

FIELDS: tuple[tuple[str, Codec[Any]], ...] = (
    ("netuid", C_NETUID),
    ("name", COMPACT_TEXT),
    ("symbol", COMPACT_TEXT),
    ("identity", SUBNET_IDENTITY),
    ("network_registered_at", C64),
    ("owner_hotkey", ACCOUNT),
    ("owner_coldkey", ACCOUNT),
    ("block", C64),
    ("tempo", C16),
    ("last_step", C64),
    ("blocks_since_last_step", C64),
    ("subnet_emission", C64),
    ("alpha_in", C_ALPHA),
    ("alpha_out", C_ALPHA),
    ("tao_in", C_RAO),
    ("alpha_out_emission", C_ALPHA),
    ("alpha_in_emission", C_ALPHA),
    ("tao_in_emission", C_RAO),
    ("pending_alpha_emission", C_ALPHA),
    ("pending_root_emission", C_RAO),
    ("subnet_volume", C128),
    ("moving_price", FIXED_I128),
    ("rho", C16),
    ("kappa", C16),
    ("min_allowed_weights", C16),
    ("max_weights_limit", C16),
    ("weights_version", C64),
    ("weights_rate_limit", C64),
    ("activity_cutoff", C64),
    ("max_validators", C16),
    ("num_uids", C16),
    ("max_uids", C16),
    ("burn", C_RAO),
    ("difficulty", C64),
    ("registration_allowed", BOOL),
    ("pow_registration_allowed", BOOL),
    ("immunity_period", C16),
    ("min_difficulty", C64),
    ("max_difficulty", C64),
    ("min_burn", C_RAO),
    ("max_burn", C_RAO),
    ("adjustment_alpha", C64),
    ("adjustment_interval", C16),
    ("target_regs_per_interval", C16),
    ("max_regs_per_block", C16),
    ("serving_rate_limit", C64),
    ("commit_reveal_weights_enabled", BOOL),
    ("commit_reveal_period", C64),
    ("liquid_alpha_enabled", BOOL),
    ("alpha_high", C16),
    ("alpha_low", C16),
    ("bonds_moving_avg", C64),
    ("hotkeys", Vector(ACCOUNT)),
    ("coldkeys", Vector(ACCOUNT)),
    ("identities", Vector(CHAIN_IDENTITY)),
    ("axons", Vector(AXON)),
    ("active", Vector(BOOL)),
    ("validator_permit", Vector(BOOL)),
    ("pruning_score", Vector(C16)),
    ("last_update", Vector(C64)),
    ("emission", Vector(C_ALPHA)),
    ("dividends", Vector(C16)),
    ("incentives", Vector(C16)),
    ("consensus", Vector(C16)),
    ("trust", Vector(C16)),
    ("rank", Vector(C16)),
    ("block_at_registration", Vector(C64)),
    ("alpha_stake", Vector(C_ALPHA)),
    ("tao_stake", Vector(C_RAO)),
    ("total_stake", Vector(C_RAO)),
    ("tao_dividends_per_hotkey", Vector(Tuple((ACCOUNT, C_RAO)))),
    ("alpha_dividends_per_hotkey", Vector(Tuple((ACCOUNT, C_ALPHA)))),
)
"""The field's position is the index by which a client selects it."""

SELECTABLE = (
    *FIELDS,
    ("validators", Vector(C16)),
    ("commitments", Vector(Tuple((ACCOUNT, Vector(C8))))),
)

_PATH = ("pallet_subtensor", "rpc_info", "metagraph")
METAGRAPH = Record((*_PATH, "Metagraph"), FIELDS)
SELECTIVE_METAGRAPH = Record(
    (*_PATH, "SelectiveMetagraph"),
    tuple((name, c if name == "netuid" else Option(c)) for name, c in SELECTABLE),
)


def name_of(ctx: Ctx, netuid: NetUid) -> bytes:
    """What a subnet calls itself; one that says nothing goes by its symbol."""
    identity = s.SubnetIdentitiesV3.find(ctx, netuid)
    named = identity.subnet_name if identity else b""
    return named or s.TokenSymbol.get(ctx, netuid)


def _root_stake(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> int:
    """Root stake behind a hotkey, as much as it counts on the subnet."""
    held = U96F32.of(epoch.inherited_tao(ctx, hotkey, netuid))
    return U96F32.to_u64(U96F32.mul(held, epoch.tao_weight(ctx)))


def metagraph(ctx: Ctx, netuid: NetUid, mecid: int = 0) -> dict[str, Any]:
    """All fields of subnet `netuid`; last_update and incentives are those of mechanism `mecid`."""
    columns = Columns(ctx, netuid)
    index = records.StorageIndex.of(netuid, mecid)
    last_update = s.LastUpdate.get(ctx, index)
    incentives = s.Incentive.get(ctx, index)
    uids = range(s.SubnetworkN.get(ctx, netuid))
    hotkeys = [s.Keys.get(ctx, netuid, uid) for uid in uids]
    coldkeys = [s.Owner.get(ctx, hotkey) for hotkey in hotkeys]
    identity = s.SubnetIdentitiesV3.find(ctx, netuid)
    last_step = s.LastMechansimStepBlock.get(ctx, netuid)
    alpha_low, alpha_high = s.AlphaValues.get(ctx, netuid)
    return {
        "netuid": netuid,
        "name": list(name_of(ctx, netuid)),
        "symbol": list(s.TokenSymbol.get(ctx, netuid)),
        "identity": identity,
        "network_registered_at": s.NetworkRegisteredAt.get(ctx, netuid),
        "owner_hotkey": s.SubnetOwnerHotkey.get(ctx, netuid),
        "owner_coldkey": s.SubnetOwner.get(ctx, netuid),
        "block": ctx.block,
        "tempo": s.Tempo.get(ctx, netuid),
        "last_step": last_step,
        "blocks_since_last_step": max(ctx.block - last_step, 0),
        "subnet_emission": 0,
        "alpha_in": s.SubnetAlphaIn.get(ctx, netuid),
        "alpha_out": s.SubnetAlphaOut.get(ctx, netuid),
        "tao_in": s.SubnetTAO.get(ctx, netuid),
        "alpha_out_emission": s.SubnetAlphaOutEmission.get(ctx, netuid),
        "alpha_in_emission": s.SubnetAlphaInEmission.get(ctx, netuid),
        "tao_in_emission": s.SubnetTaoInEmission.get(ctx, netuid),
        "pending_alpha_emission": s.PendingValidatorEmission.get(ctx, netuid)
        + s.PendingServerEmission.get(ctx, netuid),
        "pending_root_emission": 0,
        "subnet_volume": s.SubnetVolume.get(ctx, netuid),
        "moving_price": s.SubnetMovingPrice.get(ctx, netuid),
        "rho": s.Rho.get(ctx, netuid),
        "kappa": s.Kappa.get(ctx, netuid),
        "min_allowed_weights": s.MinAllowedWeights.get(ctx, netuid),
        "max_weights_limit": s.MaxWeightsLimit.get(ctx, netuid),
        "weights_version": s.WeightsVersionKey.get(ctx, netuid),
        "weights_rate_limit": s.WeightsSetRateLimit.get(ctx, netuid),
        "activity_cutoff": tempo.activity_cutoff(ctx, netuid),
        "max_validators": s.MaxAllowedValidators.get(ctx, netuid),
        "num_uids": len(uids),
        "max_uids": s.MaxAllowedUids.get(ctx, netuid),
        "burn": s.Burn.get(ctx, netuid),
        "difficulty": s.Difficulty.get(ctx, netuid),
        "registration_allowed": s.NetworkRegistrationAllowed.get(ctx, netuid),
        "pow_registration_allowed": s.NetworkPowRegistrationAllowed.get(ctx, netuid),
        "immunity_period": s.ImmunityPeriod.get(ctx, netuid),
        "min_difficulty": s.MinDifficulty.get(ctx, netuid),
        "max_difficulty": s.MaxDifficulty.get(ctx, netuid),
        "min_burn": s.MinBurn.get(ctx, netuid),
        "max_burn": s.MaxBurn.get(ctx, netuid),
        "adjustment_alpha": s.AdjustmentAlpha.get(ctx, netuid),
        "adjustment_interval": s.AdjustmentInterval.get(ctx, netuid),
        "target_regs_per_interval": s.TargetRegistrationsPerInterval.get(ctx, netuid),
        "max_regs_per_block": s.MaxRegistrationsPerBlock.get(ctx, netuid),
        "serving_rate_limit": s.ServingRateLimit.get(ctx, netuid),
        "commit_reveal_weights_enabled": s.CommitRevealWeightsEnabled.get(ctx, netuid),
        "commit_reveal_period": s.RevealPeriodEpochs.get(ctx, netuid),
        "liquid_alpha_enabled": s.LiquidAlphaOn.get(ctx, netuid),
        "alpha_high": alpha_high,
        "alpha_low": alpha_low,
        "bonds_moving_avg": s.BondsMovingAverage.get(ctx, netuid),
        "hotkeys": hotkeys,
        "coldkeys": coldkeys,
        "identities": [s.IdentitiesV2.find(ctx, coldkey) for coldkey in coldkeys],
        "axons": [s.Axons.find(ctx, netuid, hotkey) or records.NO_AXON for hotkey in hotkeys],
        "active": [bool(at(columns.active, uid)) for uid in uids],
        "validator_permit": [bool(at(columns.validator_permit, uid)) for uid in uids],
        "pruning_score": [],
        "last_update": [at(last_update, uid) for uid in uids],
        "emission": [at(columns.emission, uid) for uid in uids],
        "dividends": [at(columns.dividends, uid) for uid in uids],
        "incentives": [at(incentives, uid) for uid in uids],
        "consensus": [at(columns.consensus, uid) for uid in uids],
        "trust": [],
        "rank": [],
        "block_at_registration": [s.BlockAtRegistration.get(ctx, netuid, uid) for uid in uids],
        "alpha_stake": [epoch.inherited_alpha(ctx, hotkey, netuid) for hotkey in hotkeys],
        "tao_stake": [_root_stake(ctx, netuid, hotkey) for hotkey in hotkeys],
        "total_stake": [
            I64F64.to_u64(epoch.stake_weight(ctx, netuid, hotkey)) for hotkey in hotkeys
        ],
        "tao_dividends_per_hotkey": [
            (hotkey, s.RootAlphaDividendsPerSubnet.get(ctx, netuid, hotkey)) for hotkey in hotkeys
        ],
        "alpha_dividends_per_hotkey": [
            (hotkey, s.AlphaDividendsPerSubnet.get(ctx, netuid, hotkey)) for hotkey in hotkeys
        ],
    }


def selective(ctx: Ctx, netuid: NetUid, indexes: list[int], mecid: int = 0) -> dict[str, Any]:
    """The metagraph with only the fields asked for; the others are None.

    A field that was asked for and has no value, as an identity, is not None but SOME_NONE.
    """
    whole = metagraph(ctx, netuid, mecid)
    whole["validators"] = [uid for uid, permit in enumerate(whole["validator_permit"]) if permit]
    whole["commitments"] = [
        (who, list(codec(commitments.CommitmentInfo).encode(registration.info)))
        for who, registration in commitments.CommitmentOf.row(ctx, netuid)
    ]
    wanted = {SELECTABLE[i][0] for i in indexes if i < len(SELECTABLE)} | {"netuid"}
    return {
        name: (SOME_NONE if whole[name] is None else whole[name]) if name in wanted else None
        for name, _ in SELECTABLE
    }
