"""Every event of the pallet. Fields that the chain leaves unnamed are named here for the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chain.errors import DispatchError
from chain.runtime.outcome import DISPATCH_ERROR, DISPATCH_RESULT
from chain.runtime.pallets.subtensor import records
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import I16, U8, U16, U32, U64, Compact, Vector, codec
from chain.types import H256, AccountId, Alpha, NetUid, Rao


@pallet.event(0, named=False)
@dataclass(frozen=True)
class NetworkAdded:
    """NetworkAdded."""

    netuid: NetUid
    mechanism: U16


@pallet.event(1, named=False)
@dataclass(frozen=True)
class NetworkRemoved:
    """NetworkRemoved."""

    netuid: NetUid


@pallet.event(2, named=False)
@dataclass(frozen=True)
class StakeAdded:
    """StakeAdded."""

    coldkey: AccountId
    hotkey: AccountId
    tao: Rao
    alpha: Alpha
    netuid: NetUid
    fee: U64


@pallet.event(3, named=False)
@dataclass(frozen=True)
class StakeRemoved:
    """StakeRemoved."""

    coldkey: AccountId
    hotkey: AccountId
    tao: Rao
    alpha: Alpha
    netuid: NetUid
    fee: U64


@pallet.event(4, named=False)
@dataclass(frozen=True)
class StakeMoved:
    """StakeMoved."""

    coldkey: AccountId
    origin_hotkey: AccountId
    origin_netuid: NetUid
    destination_hotkey: AccountId
    destination_netuid: NetUid
    tao: Rao


@pallet.event(5, named=False)
@dataclass(frozen=True)
class WeightsSet:
    """WeightsSet."""

    index: records.StorageIndex
    uid: U16


@pallet.event(6, named=False)
@dataclass(frozen=True)
class NeuronRegistered:
    """NeuronRegistered."""

    netuid: NetUid
    uid: U16
    hotkey: AccountId


@pallet.event(7, named=False)
@dataclass(frozen=True)
class BulkNeuronsRegistered:
    """BulkNeuronsRegistered."""

    value0: U16
    value1: U16


@pallet.event(8, named=False)
@dataclass(frozen=True)
class BulkBalancesSet:
    """BulkBalancesSet."""

    value0: U16
    value1: U16


@pallet.event(9, named=False)
@dataclass(frozen=True)
class MaxAllowedUidsSet:
    """MaxAllowedUidsSet."""

    netuid: NetUid
    value: U16


@pallet.event(10, named=False)
@dataclass(frozen=True)
class MaxWeightLimitSet:
    """MaxWeightLimitSet."""

    netuid: NetUid
    value: U16


@pallet.event(11, named=False)
@dataclass(frozen=True)
class DifficultySet:
    """DifficultySet."""

    netuid: NetUid
    value: U64


@pallet.event(12, named=False)
@dataclass(frozen=True)
class AdjustmentIntervalSet:
    """AdjustmentIntervalSet."""

    netuid: NetUid
    value: U16


@pallet.event(13, named=False)
@dataclass(frozen=True)
class RegistrationPerIntervalSet:
    """RegistrationPerIntervalSet."""

    netuid: NetUid
    value: U16


@pallet.event(14, named=False)
@dataclass(frozen=True)
class MaxRegistrationsPerBlockSet:
    """MaxRegistrationsPerBlockSet."""

    netuid: NetUid
    value: U16


@pallet.event(15, named=False)
@dataclass(frozen=True)
class ActivityCutoffSet:
    """ActivityCutoffSet."""

    netuid: NetUid
    value: U16


@pallet.event(16, named=False)
@dataclass(frozen=True)
class RhoSet:
    """RhoSet."""

    netuid: NetUid
    value: U16


@pallet.event(17, named=False)
@dataclass(frozen=True)
class AlphaSigmoidSteepnessSet:
    """AlphaSigmoidSteepnessSet."""

    netuid: NetUid
    value: I16


@pallet.event(18, named=False)
@dataclass(frozen=True)
class KappaSet:
    """KappaSet."""

    netuid: NetUid
    value: U16


@pallet.event(19, named=False)
@dataclass(frozen=True)
class MinAllowedWeightSet:
    """MinAllowedWeightSet."""

    netuid: NetUid
    value: U16


@pallet.event(20, named=False)
@dataclass(frozen=True)
class ValidatorPruneLenSet:
    """ValidatorPruneLenSet."""

    netuid: NetUid
    value: U64


@pallet.event(21, named=False)
@dataclass(frozen=True)
class ScalingLawPowerSet:
    """ScalingLawPowerSet."""

    netuid: NetUid
    value: U16


@pallet.event(22, named=False)
@dataclass(frozen=True)
class WeightsSetRateLimitSet:
    """WeightsSetRateLimitSet."""

    netuid: NetUid
    value: U64


@pallet.event(23, named=False)
@dataclass(frozen=True)
class ImmunityPeriodSet:
    """ImmunityPeriodSet."""

    netuid: NetUid
    value: U16


@pallet.event(24, named=False)
@dataclass(frozen=True)
class BondsMovingAverageSet:
    """BondsMovingAverageSet."""

    netuid: NetUid
    value: U64


@pallet.event(25, named=False)
@dataclass(frozen=True)
class BondsPenaltySet:
    """BondsPenaltySet."""

    netuid: NetUid
    value: U16


@pallet.event(26, named=False)
@dataclass(frozen=True)
class BondsResetOnSet:
    """BondsResetOnSet."""

    netuid: NetUid
    value: bool


@pallet.event(27, named=False)
@dataclass(frozen=True)
class MaxAllowedValidatorsSet:
    """MaxAllowedValidatorsSet."""

    netuid: NetUid
    value: U16


@pallet.event(28, named=False)
@dataclass(frozen=True)
class AxonServed:
    """AxonServed."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(29, named=False)
@dataclass(frozen=True)
class PrometheusServed:
    """PrometheusServed."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(30, named=False)
@dataclass(frozen=True)
class DelegateAdded:
    """DelegateAdded."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(31, named=False)
@dataclass(frozen=True)
class DefaultTakeSet:
    """DefaultTakeSet."""

    value: U16


@pallet.event(32, named=False)
@dataclass(frozen=True)
class WeightsVersionKeySet:
    """WeightsVersionKeySet."""

    netuid: NetUid
    value: U64


@pallet.event(33, named=False)
@dataclass(frozen=True)
class MinDifficultySet:
    """MinDifficultySet."""

    netuid: NetUid
    value: U64


@pallet.event(34, named=False)
@dataclass(frozen=True)
class MaxDifficultySet:
    """MaxDifficultySet."""

    netuid: NetUid
    value: U64


@pallet.event(35, named=False)
@dataclass(frozen=True)
class ServingRateLimitSet:
    """ServingRateLimitSet."""

    netuid: NetUid
    value: U64


@pallet.event(36, named=False)
@dataclass(frozen=True)
class BurnSet:
    """BurnSet."""

    netuid: NetUid
    value: Rao


@pallet.event(37, named=False)
@dataclass(frozen=True)
class MaxBurnSet:
    """MaxBurnSet."""

    netuid: NetUid
    value: Rao


@pallet.event(38, named=False)
@dataclass(frozen=True)
class MinBurnSet:
    """MinBurnSet."""

    netuid: NetUid
    value: Rao


@pallet.event(39, named=False)
@dataclass(frozen=True)
class MaxEpochsPerBlockSet:
    """MaxEpochsPerBlockSet."""

    value: U8


@pallet.event(40, named=False)
@dataclass(frozen=True)
class TxRateLimitSet:
    """TxRateLimitSet."""

    value: U64


@pallet.event(41, named=False)
@dataclass(frozen=True)
class TxDelegateTakeRateLimitSet:
    """TxDelegateTakeRateLimitSet."""

    value: U64


@pallet.event(42, named=False)
@dataclass(frozen=True)
class TxChildKeyTakeRateLimitSet:
    """TxChildKeyTakeRateLimitSet."""

    value: U64


@pallet.event(43, named=False)
@dataclass(frozen=True)
class AdminFreezeWindowSet:
    """AdminFreezeWindowSet."""

    value: U16


@pallet.event(44, named=False)
@dataclass(frozen=True)
class OwnerHyperparamRateLimitSet:
    """OwnerHyperparamRateLimitSet."""

    value: U16


@pallet.event(45, named=False)
@dataclass(frozen=True)
class MinChildKeyTakeSet:
    """MinChildKeyTakeSet."""

    value: U16


@pallet.event(46, named=False)
@dataclass(frozen=True)
class MinChildKeyTakePerSubnetSet:
    """MinChildKeyTakePerSubnetSet."""

    netuid: NetUid
    value: U16


@pallet.event(47, named=False)
@dataclass(frozen=True)
class MaxChildKeyTakeSet:
    """MaxChildKeyTakeSet."""

    value: U16


@pallet.event(48, named=False)
@dataclass(frozen=True)
class ChildKeyTakeSet:
    """ChildKeyTakeSet."""

    hotkey: AccountId
    take: U16


@pallet.event(49, named=False)
@dataclass(frozen=True)
class Sudid:
    """Sudid."""

    value: Annotated[DispatchError | None, DISPATCH_RESULT]


@pallet.event(50, named=False)
@dataclass(frozen=True)
class RegistrationAllowed:
    """RegistrationAllowed."""

    netuid: NetUid
    value: bool


@pallet.event(51, named=False)
@dataclass(frozen=True)
class PowRegistrationAllowed:
    """PowRegistrationAllowed."""

    netuid: NetUid
    value: bool


@pallet.event(52, named=False)
@dataclass(frozen=True)
class TempoSet:
    """TempoSet."""

    netuid: NetUid
    value: U16


@pallet.event(53, named=False)
@dataclass(frozen=True)
class RAORecycledForRegistrationSet:
    """RAORecycledForRegistrationSet."""

    netuid: NetUid
    value: Rao


@pallet.event(54, named=False)
@dataclass(frozen=True)
class StakeThresholdSet:
    """StakeThresholdSet."""

    value: U64


@pallet.event(55, named=False)
@dataclass(frozen=True)
class AdjustmentAlphaSet:
    """AdjustmentAlphaSet."""

    netuid: NetUid
    value: U64


@pallet.event(56, named=False)
@dataclass(frozen=True)
class Faucet:
    """Faucet."""

    account: AccountId
    amount: U64


@pallet.event(57, named=False)
@dataclass(frozen=True)
class SubnetOwnerCutSet:
    """SubnetOwnerCutSet."""

    value: U16


@pallet.event(58, named=False)
@dataclass(frozen=True)
class NetworkRateLimitSet:
    """NetworkRateLimitSet."""

    value: U64


@pallet.event(59, named=False)
@dataclass(frozen=True)
class NetworkImmunityPeriodSet:
    """NetworkImmunityPeriodSet."""

    value: U64


@pallet.event(60, named=False)
@dataclass(frozen=True)
class StartCallDelaySet:
    """StartCallDelaySet."""

    value: U64


@pallet.event(61, named=False)
@dataclass(frozen=True)
class NetworkMinLockCostSet:
    """NetworkMinLockCostSet."""

    value: Rao


@pallet.event(62, named=False)
@dataclass(frozen=True)
class SubnetLimitSet:
    """SubnetLimitSet."""

    value: U16


@pallet.event(63, named=False)
@dataclass(frozen=True)
class NetworkLockCostReductionIntervalSet:
    """NetworkLockCostReductionIntervalSet."""

    value: U64


@pallet.event(64, named=False)
@dataclass(frozen=True)
class TakeDecreased:
    """TakeDecreased."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(65, named=False)
@dataclass(frozen=True)
class TakeIncreased:
    """TakeIncreased."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(66)
@dataclass(frozen=True)
class HotkeySwapped:
    """HotkeySwapped."""

    coldkey: AccountId
    old_hotkey: AccountId
    new_hotkey: AccountId


@pallet.event(67, named=False)
@dataclass(frozen=True)
class MaxDelegateTakeSet:
    """MaxDelegateTakeSet."""

    value: U16


@pallet.event(68, named=False)
@dataclass(frozen=True)
class MinDelegateTakeSet:
    """MinDelegateTakeSet."""

    value: U16


@pallet.event(69)
@dataclass(frozen=True)
class ColdkeySwapAnnounced:
    """ColdkeySwapAnnounced."""

    who: AccountId
    new_coldkey_hash: H256


@pallet.event(70)
@dataclass(frozen=True)
class ColdkeySwapReset:
    """ColdkeySwapReset."""

    who: AccountId


@pallet.event(71)
@dataclass(frozen=True)
class ColdkeySwapped:
    """ColdkeySwapped."""

    old_coldkey: AccountId
    new_coldkey: AccountId


@pallet.event(72)
@dataclass(frozen=True)
class ColdkeySwapDisputed:
    """ColdkeySwapDisputed."""

    coldkey: AccountId


@pallet.event(73)
@dataclass(frozen=True)
class AllBalanceUnstakedAndTransferredToNewColdkey:
    """AllBalanceUnstakedAndTransferredToNewColdkey."""

    current_coldkey: AccountId
    new_coldkey: AccountId
    total_balance: Rao


@pallet.event(74)
@dataclass(frozen=True)
class ArbitrationPeriodExtended:
    """ArbitrationPeriodExtended."""

    coldkey: AccountId


@pallet.event(75, named=False)
@dataclass(frozen=True)
class SetChildrenScheduled:
    """SetChildrenScheduled."""

    hotkey: AccountId
    netuid: NetUid
    cooldown_block: U64
    children: list[tuple[U64, AccountId]]


@pallet.event(76, named=False)
@dataclass(frozen=True)
class SetChildren:
    """SetChildren."""

    hotkey: AccountId
    netuid: NetUid
    children: list[tuple[U64, AccountId]]


@pallet.event(77, named=False)
@dataclass(frozen=True)
class ChainIdentitySet:
    """ChainIdentitySet."""

    account: AccountId


@pallet.event(78, named=False)
@dataclass(frozen=True)
class SubnetIdentitySet:
    """SubnetIdentitySet."""

    netuid: NetUid


@pallet.event(79, named=False)
@dataclass(frozen=True)
class SubnetIdentityRemoved:
    """SubnetIdentityRemoved."""

    netuid: NetUid


@pallet.event(80)
@dataclass(frozen=True)
class DissolveNetworkScheduled:
    """DissolveNetworkScheduled."""

    account: AccountId
    netuid: NetUid
    execution_block: U32


@pallet.event(81, named=False)
@dataclass(frozen=True)
class ColdkeySwapAnnouncementDelaySet:
    """ColdkeySwapAnnouncementDelaySet."""

    value: U32


@pallet.event(82, named=False)
@dataclass(frozen=True)
class ColdkeySwapReannouncementDelaySet:
    """ColdkeySwapReannouncementDelaySet."""

    value: U32


@pallet.event(83, named=False)
@dataclass(frozen=True)
class DissolveNetworkScheduleDurationSet:
    """DissolveNetworkScheduleDurationSet."""

    value: U32


@pallet.event(84, named=False)
@dataclass(frozen=True)
class CRV3WeightsCommitted:
    """CRV3WeightsCommitted."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(85, named=False)
@dataclass(frozen=True)
class WeightsCommitted:
    """WeightsCommitted."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(86, named=False)
@dataclass(frozen=True)
class WeightsRevealed:
    """WeightsRevealed."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(87, named=False)
@dataclass(frozen=True)
class WeightsBatchRevealed:
    """WeightsBatchRevealed."""

    hotkey: AccountId
    netuid: NetUid
    commit_hashes: list[H256]


@pallet.event(88, named=False)
@dataclass(frozen=True)
class BatchWeightsCompleted:
    """BatchWeightsCompleted."""

    netuids: Annotated[list[NetUid], Vector(Compact(codec(NetUid)))]
    hotkey: AccountId


@pallet.event(89, named=False)
@dataclass(frozen=True)
class BatchCompletedWithErrors:
    """BatchCompletedWithErrors."""


@pallet.event(90, named=False)
@dataclass(frozen=True)
class BatchWeightItemFailed:
    """BatchWeightItemFailed."""

    netuid: NetUid
    error: Annotated[DispatchError, DISPATCH_ERROR]


@pallet.event(91, named=False)
@dataclass(frozen=True)
class StakeTransferred:
    """StakeTransferred."""

    origin_coldkey: AccountId
    destination_coldkey: AccountId
    hotkey: AccountId
    origin_netuid: NetUid
    destination_netuid: NetUid
    tao: Rao


@pallet.event(92, named=False)
@dataclass(frozen=True)
class StakeSwapped:
    """StakeSwapped."""

    coldkey: AccountId
    hotkey: AccountId
    origin_netuid: NetUid
    destination_netuid: NetUid
    tao: Rao


@pallet.event(93, named=False)
@dataclass(frozen=True)
class TransferToggle:
    """TransferToggle."""

    netuid: NetUid
    value: bool


@pallet.event(94, named=False)
@dataclass(frozen=True)
class SubnetOwnerHotkeySet:
    """SubnetOwnerHotkeySet."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(95, named=False)
@dataclass(frozen=True)
class FirstEmissionBlockNumberSet:
    """FirstEmissionBlockNumberSet."""

    netuid: NetUid
    value: U64


@pallet.event(96, named=False)
@dataclass(frozen=True)
class AlphaRecycled:
    """AlphaRecycled."""

    coldkey: AccountId
    hotkey: AccountId
    amount: Alpha
    netuid: NetUid


@pallet.event(97, named=False)
@dataclass(frozen=True)
class AlphaBurned:
    """AlphaBurned."""

    coldkey: AccountId
    hotkey: AccountId
    amount: Alpha
    netuid: NetUid


@pallet.event(99, named=False)
@dataclass(frozen=True)
class CRV3WeightsRevealed:
    """CRV3WeightsRevealed."""

    netuid: NetUid
    value: AccountId


@pallet.event(100, named=False)
@dataclass(frozen=True)
class CommitRevealPeriodsSet:
    """CommitRevealPeriodsSet."""

    netuid: NetUid
    value: U64


@pallet.event(101, named=False)
@dataclass(frozen=True)
class CommitRevealEnabled:
    """CommitRevealEnabled."""

    netuid: NetUid
    value: bool


@pallet.event(102)
@dataclass(frozen=True)
class HotkeySwappedOnSubnet:
    """HotkeySwappedOnSubnet."""

    coldkey: AccountId
    old_hotkey: AccountId
    new_hotkey: AccountId
    netuid: NetUid


@pallet.event(103)
@dataclass(frozen=True)
class SubnetLeaseCreated:
    """SubnetLeaseCreated."""

    beneficiary: AccountId
    lease_id: U32
    netuid: NetUid
    end_block: U32 | None


@pallet.event(104)
@dataclass(frozen=True)
class SubnetLeaseTerminated:
    """SubnetLeaseTerminated."""

    beneficiary: AccountId
    netuid: NetUid


@pallet.event(105)
@dataclass(frozen=True)
class SymbolUpdated:
    """SymbolUpdated."""

    netuid: NetUid
    symbol: bytes


@pallet.event(106, named=False)
@dataclass(frozen=True)
class CommitRevealVersionSet:
    """CommitRevealVersionSet."""

    value: U16


@pallet.event(107, named=False)
@dataclass(frozen=True)
class TimelockedWeightsCommitted:
    """TimelockedWeightsCommitted."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256
    reveal_round: U64


@pallet.event(108, named=False)
@dataclass(frozen=True)
class TimelockedWeightsRevealed:
    """TimelockedWeightsRevealed."""

    index: records.StorageIndex
    hotkey: AccountId


@pallet.event(109)
@dataclass(frozen=True)
class AutoStakeAdded:
    """AutoStakeAdded."""

    netuid: NetUid
    destination: AccountId
    hotkey: AccountId
    owner: AccountId
    incentive: Alpha


@pallet.event(110)
@dataclass(frozen=True)
class IncentiveAlphaEmittedToMiners:
    """IncentiveAlphaEmittedToMiners."""

    netuid: records.StorageIndex
    emissions: list[Alpha]


@pallet.event(111, named=False)
@dataclass(frozen=True)
class MinAllowedUidsSet:
    """MinAllowedUidsSet."""

    netuid: NetUid
    value: U16


@pallet.event(112)
@dataclass(frozen=True)
class AutoStakeDestinationSet:
    """AutoStakeDestinationSet."""

    coldkey: AccountId
    netuid: NetUid
    hotkey: AccountId


@pallet.event(113, named=False)
@dataclass(frozen=True)
class MinNonImmuneUidsSet:
    """MinNonImmuneUidsSet."""

    netuid: NetUid
    value: U16


@pallet.event(114)
@dataclass(frozen=True)
class RootClaimed:
    """RootClaimed."""

    coldkey: AccountId


@pallet.event(116)
@dataclass(frozen=True)
class VotingPowerTrackingEnabled:
    """VotingPowerTrackingEnabled."""

    netuid: NetUid


@pallet.event(117)
@dataclass(frozen=True)
class VotingPowerTrackingDisableScheduled:
    """VotingPowerTrackingDisableScheduled."""

    netuid: NetUid
    disable_at_block: U64


@pallet.event(118)
@dataclass(frozen=True)
class VotingPowerTrackingDisabled:
    """VotingPowerTrackingDisabled."""

    netuid: NetUid


@pallet.event(119)
@dataclass(frozen=True)
class VotingPowerEmaAlphaSet:
    """VotingPowerEmaAlphaSet."""

    netuid: NetUid
    alpha: U64


@pallet.event(120)
@dataclass(frozen=True)
class SubnetLeaseDividendsDistributed:
    """SubnetLeaseDividendsDistributed."""

    lease_id: U32
    contributor: AccountId
    alpha: Alpha


@pallet.event(121)
@dataclass(frozen=True)
class AddStakeBurn:
    """AddStakeBurn."""

    netuid: NetUid
    hotkey: AccountId
    amount: Rao
    alpha: Alpha


@pallet.event(122)
@dataclass(frozen=True)
class ColdkeySwapCleared:
    """ColdkeySwapCleared."""

    who: AccountId


@pallet.event(123)
@dataclass(frozen=True)
class TransactionFeePaidWithAlpha:
    """TransactionFeePaidWithAlpha."""

    who: AccountId
    netuid: NetUid
    alpha_fee: Alpha
    tao_amount: Rao


@pallet.event(124)
@dataclass(frozen=True)
class BurnHalfLifeSet:
    """BurnHalfLifeSet."""

    netuid: NetUid
    burn_half_life: U16


@pallet.event(125)
@dataclass(frozen=True)
class BurnIncreaseMultSet:
    """BurnIncreaseMultSet."""

    netuid: NetUid
    burn_increase_mult: Annotated[int, records.FIXED_U128]


@pallet.event(126)
@dataclass(frozen=True)
class AutoParentDelegationEnabledSet:
    """AutoParentDelegationEnabledSet."""

    hotkey: AccountId
    enabled: bool


@pallet.event(127)
@dataclass(frozen=True)
class StakeLocked:
    """StakeLocked."""

    coldkey: AccountId
    hotkey: AccountId
    netuid: NetUid
    amount: Alpha


@pallet.event(128)
@dataclass(frozen=True)
class StakeUnlocked:
    """StakeUnlocked."""

    coldkey: AccountId
    hotkey: AccountId
    netuid: NetUid
    amount: Alpha


@pallet.event(129)
@dataclass(frozen=True)
class LockMoved:
    """LockMoved."""

    coldkey: AccountId
    origin_hotkey: AccountId
    destination_hotkey: AccountId
    netuid: NetUid


@pallet.event(130)
@dataclass(frozen=True)
class ActivityCutoffFactorMilliSet:
    """ActivityCutoffFactorMilliSet."""

    netuid: NetUid
    factor_milli: U32


@pallet.event(131)
@dataclass(frozen=True)
class EpochTriggered:
    """EpochTriggered."""

    netuid: NetUid
    by: AccountId
    fires_at: U64


@pallet.event(132)
@dataclass(frozen=True)
class EpochDeferred:
    """EpochDeferred."""

    netuid: NetUid
    from_block: U64
    to_block: U64


@pallet.event(133)
@dataclass(frozen=True)
class EpochSkipped:
    """EpochSkipped."""

    netuid: NetUid
    block: U64


@pallet.event(134)
@dataclass(frozen=True)
class SubnetOwnerChanged:
    """SubnetOwnerChanged."""

    netuid: NetUid
    old_coldkey: AccountId
    new_coldkey: AccountId


@pallet.event(135)
@dataclass(frozen=True)
class PerpetualLockUpdated:
    """PerpetualLockUpdated."""

    coldkey: AccountId
    netuid: NetUid
    enabled: bool


@pallet.event(136)
@dataclass(frozen=True)
class RejectLockedAlphaUpdated:
    """RejectLockedAlphaUpdated."""

    coldkey: AccountId
    enabled: bool
