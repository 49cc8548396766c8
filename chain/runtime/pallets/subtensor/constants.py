"""The pallet's constants: what its storage reads as before anybody writes it, by older names.

Clients read some of them in place of the storage item. Only those that this chain follows are
published.
"""

from __future__ import annotations

from typing import Any

from chain.runtime.frame import Item
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet

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
}

for _name, _item in _INITIAL.items():
    pallet.constant(_name, _item.value, _item.default)
