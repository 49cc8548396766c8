"""The pallet's constants: what its storage reads as before anybody writes it, and fixed bounds.

Clients read some of them in place of the storage item. Only those that this chain follows are
published.
"""

from __future__ import annotations

from typing import Any

from chain.runtime.frame import Item
from chain.runtime.pallets import admin
from chain.runtime.pallets.subtensor import accounts, subnets, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U8, U16, U32, U64, FixedBytes, Newtype, codec
from chain.types import Rao

_INITIAL: dict[str, Item[Any]] = {
    "InitialMinAllowedWeights": s.MinAllowedWeights,
    "InitialTempo": s.Tempo,
    "InitialDifficulty": s.Difficulty,
    "InitialMaxDifficulty": s.MaxDifficulty,
    "InitialMinDifficulty": s.MinDifficulty,
    "InitialBurn": s.Burn,
    "InitialMaxBurn": s.MaxBurn,
    "InitialMinBurn": s.MinBurn,
    "InitialAdjustmentInterval": s.AdjustmentInterval,
    "InitialBondsMovingAverage": s.BondsMovingAverage,
    "InitialBondsPenalty": s.BondsPenalty,
    "InitialBondsResetOn": s.BondsResetOn,
    "InitialTargetRegistrationsPerInterval": s.TargetRegistrationsPerInterval,
    "InitialRho": s.Rho,
    "InitialAlphaSigmoidSteepness": s.AlphaSigmoidSteepness,
    "InitialKappa": s.Kappa,
    "InitialMinAllowedUids": s.MinAllowedUids,
    "InitialMaxAllowedUids": s.MaxAllowedUids,
    "InitialImmunityPeriod": s.ImmunityPeriod,
    "InitialActivityCutoff": s.ActivityCutoff,
    "InitialMaxRegistrationsPerBlock": s.MaxRegistrationsPerBlock,
    "InitialMaxAllowedValidators": s.MaxAllowedValidators,
    "InitialDefaultDelegateTake": s.MaxDelegateTake,
    "InitialMinDelegateTake": s.MinDelegateTake,
    "InitialDefaultChildKeyTake": s.ChildkeyTake,
    "InitialMinChildKeyTake": s.MinChildkeyTake,
    "InitialMaxChildKeyTake": s.MaxChildkeyTake,
    "InitialWeightsVersionKey": s.WeightsVersionKey,
    "InitialServingRateLimit": s.ServingRateLimit,
    "InitialTxRateLimit": s.TxRateLimit,
    "InitialTxDelegateTakeRateLimit": s.TxDelegateTakeRateLimit,
    "InitialTxChildKeyTakeRateLimit": s.TxChildkeyTakeRateLimit,
    "InitialAdjustmentAlpha": s.AdjustmentAlpha,
    "InitialNetworkImmunityPeriod": s.NetworkImmunityPeriod,
    "InitialNetworkMinLockCost": s.NetworkMinLockCost,
    "InitialSubnetOwnerCut": s.SubnetOwnerCut,
    "InitialNetworkLockReductionInterval": s.NetworkLockReductionInterval,
    "InitialNetworkRateLimit": s.NetworkRateLimit,
    "InitialTaoWeight": s.TaoWeight,
    "InitialEmaPriceHalvingPeriod": s.EMAPriceHalvingBlocks,
    "InitialStartCallDelay": s.StartCallDelay,
    "InitialMaxEpochsPerBlock": s.MaxEpochsPerBlock,
    "InitialRAORecycledForRegistration": s.RAORecycledForRegistration,
    "InitialScalingLawPower": s.ScalingLawPower,
    "InitialColdkeySwapAnnouncementDelay": s.ColdkeySwapAnnouncementDelay,
    "InitialColdkeySwapReannouncementDelay": s.ColdkeySwapReannouncementDelay,
    "InitialDissolveNetworkScheduleDuration": s.DissolveNetworkScheduleDuration,
    "LiquidAlphaOn": s.LiquidAlphaOn,
    "Yuma3On": s.Yuma3On,
}
_PERCENT = Newtype(("sp_arithmetic", "per_things", "Percent"), codec(U8), int)
_PALLET_ID = Newtype(("frame_support", "PalletId"), FixedBytes(8), bytes)
_ALPHA_LOW, _ALPHA_HIGH = s.AlphaValues.default or (0, 0)
_FIXED: dict[str, tuple[Any, Any]] = {
    "AlphaLow": (U16, _ALPHA_LOW),
    "AlphaHigh": (U16, _ALPHA_HIGH),
    "MinBurnUpperBound": (Rao, admin.MIN_BURN_BELOW),
    "MaxBurnLowerBound": (Rao, admin.MAX_BURN_ABOVE),
    "MinTempo": (U16, subnets.MIN_TEMPO),
    "MaxTempo": (U16, subnets.MAX_TEMPO),
    "MinActivityCutoffFactorMilli": (U32, subnets.MIN_CUTOFF_FACTOR),
    "MaxActivityCutoffFactorMilli": (U32, subnets.MAX_CUTOFF_FACTOR),
    "MaxImmuneUidsPercentage": (_PERCENT, uids.MAX_IMMUNE_PERCENT),
    "InitialIssuance": (U64, 0),
    "InitialEmissionValue": (U16, 0),
    "InitialPruningScore": (U16, 65_535),
    "SubtensorPalletId": (_PALLET_ID, accounts.SUBNETS),
    "BurnAccountId": (_PALLET_ID, accounts.BURNS),
}

for _name, _item in _INITIAL.items():
    pallet.constant(_name, _item.value, _item.default)
for _name, (_type, _value) in _FIXED.items():
    pallet.constant(_name, _type, _value)
