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
    """A subnet was created."""

    netuid: NetUid
    mechanism: U16


@pallet.event(1, named=False)
@dataclass(frozen=True)
class NetworkRemoved:
    """A subnet was dissolved."""

    netuid: NetUid


@pallet.event(2, named=False)
@dataclass(frozen=True)
class StakeAdded:
    """A coldkey bought alpha and staked it to a hotkey."""

    coldkey: AccountId
    hotkey: AccountId
    tao: Rao
    alpha: Alpha
    netuid: NetUid
    fee: U64


@pallet.event(3, named=False)
@dataclass(frozen=True)
class StakeRemoved:
    """A coldkey sold alpha staked to a hotkey."""

    coldkey: AccountId
    hotkey: AccountId
    tao: Rao
    alpha: Alpha
    netuid: NetUid
    fee: U64


@pallet.event(4, named=False)
@dataclass(frozen=True)
class StakeMoved:
    """A coldkey moved stake to another hotkey or subnet."""

    coldkey: AccountId
    origin_hotkey: AccountId
    origin_netuid: NetUid
    destination_hotkey: AccountId
    destination_netuid: NetUid
    tao: Rao


@pallet.event(5, named=False)
@dataclass(frozen=True)
class WeightsSet:
    """A validator set weights for a mechanism."""

    index: records.StorageIndex
    uid: U16


@pallet.event(6, named=False)
@dataclass(frozen=True)
class NeuronRegistered:
    """A hotkey took a seat."""

    netuid: NetUid
    uid: U16
    hotkey: AccountId


@pallet.event(7, named=False)
@dataclass(frozen=True)
class BulkNeuronsRegistered:
    """Several seats were taken at once."""

    value0: U16
    value1: U16


@pallet.event(8, named=False)
@dataclass(frozen=True)
class BulkBalancesSet:
    """Several balances were set."""

    value0: U16
    value1: U16


@pallet.event(9, named=False)
@dataclass(frozen=True)
class MaxAllowedUidsSet:
    """The max allowed uids was set."""

    netuid: NetUid
    value: U16


@pallet.event(10, named=False)
@dataclass(frozen=True)
class MaxWeightLimitSet:
    """The max weight limit was set."""

    netuid: NetUid
    value: U16


@pallet.event(11, named=False)
@dataclass(frozen=True)
class DifficultySet:
    """The difficulty was set."""

    netuid: NetUid
    value: U64


@pallet.event(12, named=False)
@dataclass(frozen=True)
class AdjustmentIntervalSet:
    """The adjustment interval was set."""

    netuid: NetUid
    value: U16


@pallet.event(13, named=False)
@dataclass(frozen=True)
class RegistrationPerIntervalSet:
    """The registration per interval was set."""

    netuid: NetUid
    value: U16


@pallet.event(14, named=False)
@dataclass(frozen=True)
class MaxRegistrationsPerBlockSet:
    """The max registrations per block was set."""

    netuid: NetUid
    value: U16


@pallet.event(15, named=False)
@dataclass(frozen=True)
class ActivityCutoffSet:
    """The activity cutoff was set."""

    netuid: NetUid
    value: U16


@pallet.event(16, named=False)
@dataclass(frozen=True)
class RhoSet:
    """The rho was set."""

    netuid: NetUid
    value: U16


@pallet.event(17, named=False)
@dataclass(frozen=True)
class AlphaSigmoidSteepnessSet:
    """The alpha sigmoid steepness was set."""

    netuid: NetUid
    value: I16


@pallet.event(18, named=False)
@dataclass(frozen=True)
class KappaSet:
    """The kappa was set."""

    netuid: NetUid
    value: U16


@pallet.event(19, named=False)
@dataclass(frozen=True)
class MinAllowedWeightSet:
    """The min allowed weight was set."""

    netuid: NetUid
    value: U16


@pallet.event(20, named=False)
@dataclass(frozen=True)
class ValidatorPruneLenSet:
    """The validator prune len was set."""

    netuid: NetUid
    value: U64


@pallet.event(21, named=False)
@dataclass(frozen=True)
class ScalingLawPowerSet:
    """The scaling law power was set."""

    netuid: NetUid
    value: U16


@pallet.event(22, named=False)
@dataclass(frozen=True)
class WeightsSetRateLimitSet:
    """The weights set rate limit was set."""

    netuid: NetUid
    value: U64


@pallet.event(23, named=False)
@dataclass(frozen=True)
class ImmunityPeriodSet:
    """The immunity period was set."""

    netuid: NetUid
    value: U16


@pallet.event(24, named=False)
@dataclass(frozen=True)
class BondsMovingAverageSet:
    """The bonds moving average was set."""

    netuid: NetUid
    value: U64


@pallet.event(25, named=False)
@dataclass(frozen=True)
class BondsPenaltySet:
    """The bonds penalty was set."""

    netuid: NetUid
    value: U16


@pallet.event(26, named=False)
@dataclass(frozen=True)
class BondsResetOnSet:
    """The bonds reset on was set."""

    netuid: NetUid
    value: bool


@pallet.event(27, named=False)
@dataclass(frozen=True)
class MaxAllowedValidatorsSet:
    """The max allowed validators was set."""

    netuid: NetUid
    value: U16


@pallet.event(28, named=False)
@dataclass(frozen=True)
class AxonServed:
    """A neuron published its axon."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(29, named=False)
@dataclass(frozen=True)
class PrometheusServed:
    """A neuron published its metrics endpoint."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(30, named=False)
@dataclass(frozen=True)
class DelegateAdded:
    """A hotkey became a delegate."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(31, named=False)
@dataclass(frozen=True)
class DefaultTakeSet:
    """The default take was set."""

    value: U16


@pallet.event(32, named=False)
@dataclass(frozen=True)
class WeightsVersionKeySet:
    """The weights version key was set."""

    netuid: NetUid
    value: U64


@pallet.event(33, named=False)
@dataclass(frozen=True)
class MinDifficultySet:
    """The min difficulty was set."""

    netuid: NetUid
    value: U64


@pallet.event(34, named=False)
@dataclass(frozen=True)
class MaxDifficultySet:
    """The max difficulty was set."""

    netuid: NetUid
    value: U64


@pallet.event(35, named=False)
@dataclass(frozen=True)
class ServingRateLimitSet:
    """The serving rate limit was set."""

    netuid: NetUid
    value: U64


@pallet.event(36, named=False)
@dataclass(frozen=True)
class BurnSet:
    """The burn was set."""

    netuid: NetUid
    value: Rao


@pallet.event(37, named=False)
@dataclass(frozen=True)
class MaxBurnSet:
    """The max burn was set."""

    netuid: NetUid
    value: Rao


@pallet.event(38, named=False)
@dataclass(frozen=True)
class MinBurnSet:
    """The min burn was set."""

    netuid: NetUid
    value: Rao


@pallet.event(39, named=False)
@dataclass(frozen=True)
class MaxEpochsPerBlockSet:
    """The max epochs per block was set."""

    value: U8


@pallet.event(40, named=False)
@dataclass(frozen=True)
class TxRateLimitSet:
    """The tx rate limit was set."""

    value: U64


@pallet.event(41, named=False)
@dataclass(frozen=True)
class TxDelegateTakeRateLimitSet:
    """The tx delegate take rate limit was set."""

    value: U64


@pallet.event(42, named=False)
@dataclass(frozen=True)
class TxChildKeyTakeRateLimitSet:
    """The tx child key take rate limit was set."""

    value: U64


@pallet.event(43, named=False)
@dataclass(frozen=True)
class AdminFreezeWindowSet:
    """The admin freeze window was set."""

    value: U16


@pallet.event(44, named=False)
@dataclass(frozen=True)
class OwnerHyperparamRateLimitSet:
    """The owner hyperparam rate limit was set."""

    value: U16


@pallet.event(45, named=False)
@dataclass(frozen=True)
class MinChildKeyTakeSet:
    """The min child key take was set."""

    value: U16


@pallet.event(46, named=False)
@dataclass(frozen=True)
class MinChildKeyTakePerSubnetSet:
    """The min child key take per subnet was set."""

    netuid: NetUid
    value: U16


@pallet.event(47, named=False)
@dataclass(frozen=True)
class MaxChildKeyTakeSet:
    """The max child key take was set."""

    value: U16


@pallet.event(48, named=False)
@dataclass(frozen=True)
class ChildKeyTakeSet:
    """The child key take was set."""

    hotkey: AccountId
    take: U16


@pallet.event(49, named=False)
@dataclass(frozen=True)
class Sudid:
    """A call was made as root."""

    value: Annotated[DispatchError | None, DISPATCH_RESULT]


@pallet.event(50, named=False)
@dataclass(frozen=True)
class RegistrationAllowed:
    """Registration on a subnet was opened or closed."""

    netuid: NetUid
    value: bool


@pallet.event(51, named=False)
@dataclass(frozen=True)
class PowRegistrationAllowed:
    """Registration by work was opened or closed."""

    netuid: NetUid
    value: bool


@pallet.event(52, named=False)
@dataclass(frozen=True)
class TempoSet:
    """The number of blocks in a subnet's epoch was set."""

    netuid: NetUid
    value: U16


@pallet.event(53, named=False)
@dataclass(frozen=True)
class RAORecycledForRegistrationSet:
    """The count of rao recycled for seats was set."""

    netuid: NetUid
    value: Rao


@pallet.event(54, named=False)
@dataclass(frozen=True)
class StakeThresholdSet:
    """The stake threshold was set."""

    value: U64


@pallet.event(55, named=False)
@dataclass(frozen=True)
class AdjustmentAlphaSet:
    """The adjustment alpha was set."""

    netuid: NetUid
    value: U64


@pallet.event(56, named=False)
@dataclass(frozen=True)
class Faucet:
    """An account was given TAO for work."""

    account: AccountId
    amount: U64


@pallet.event(57, named=False)
@dataclass(frozen=True)
class SubnetOwnerCutSet:
    """The subnet owner cut was set."""

    value: U16


@pallet.event(58, named=False)
@dataclass(frozen=True)
class NetworkRateLimitSet:
    """The network rate limit was set."""

    value: U64


@pallet.event(59, named=False)
@dataclass(frozen=True)
class NetworkImmunityPeriodSet:
    """The network immunity period was set."""

    value: U64


@pallet.event(60, named=False)
@dataclass(frozen=True)
class StartCallDelaySet:
    """The start call delay was set."""

    value: U64


@pallet.event(61, named=False)
@dataclass(frozen=True)
class NetworkMinLockCostSet:
    """The network min lock cost was set."""

    value: Rao


@pallet.event(62, named=False)
@dataclass(frozen=True)
class SubnetLimitSet:
    """The subnet limit was set."""

    value: U16


@pallet.event(63, named=False)
@dataclass(frozen=True)
class NetworkLockCostReductionIntervalSet:
    """The network lock cost reduction interval was set."""

    value: U64


@pallet.event(64, named=False)
@dataclass(frozen=True)
class TakeDecreased:
    """A delegate lowered its take."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(65, named=False)
@dataclass(frozen=True)
class TakeIncreased:
    """A delegate raised its take."""

    coldkey: AccountId
    hotkey: AccountId
    take: U16


@pallet.event(66)
@dataclass(frozen=True)
class HotkeySwapped:
    """A hotkey was replaced by another everywhere."""

    coldkey: AccountId
    old_hotkey: AccountId
    new_hotkey: AccountId


@pallet.event(67, named=False)
@dataclass(frozen=True)
class MaxDelegateTakeSet:
    """The max delegate take was set."""

    value: U16


@pallet.event(68, named=False)
@dataclass(frozen=True)
class MinDelegateTakeSet:
    """The min delegate take was set."""

    value: U16


@pallet.event(69)
@dataclass(frozen=True)
class ColdkeySwapAnnounced:
    """A coldkey announced that it will be replaced."""

    who: AccountId
    new_coldkey_hash: H256


@pallet.event(70)
@dataclass(frozen=True)
class ColdkeySwapReset:
    """Root cleared the announcement of a coldkey."""

    who: AccountId


@pallet.event(71)
@dataclass(frozen=True)
class ColdkeySwapped:
    """A coldkey was replaced by another."""

    old_coldkey: AccountId
    new_coldkey: AccountId


@pallet.event(72)
@dataclass(frozen=True)
class ColdkeySwapDisputed:
    """A coldkey disputed its announced replacement."""

    coldkey: AccountId


@pallet.event(73)
@dataclass(frozen=True)
class AllBalanceUnstakedAndTransferredToNewColdkey:
    """All a coldkey had was moved to another."""

    current_coldkey: AccountId
    new_coldkey: AccountId
    total_balance: Rao


@pallet.event(74)
@dataclass(frozen=True)
class ArbitrationPeriodExtended:
    """The arbitration over a coldkey was extended."""

    coldkey: AccountId


@pallet.event(75, named=False)
@dataclass(frozen=True)
class SetChildrenScheduled:
    """A hotkey's children will change after a cool-down."""

    hotkey: AccountId
    netuid: NetUid
    cooldown_block: U64
    children: list[tuple[U64, AccountId]]


@pallet.event(76, named=False)
@dataclass(frozen=True)
class SetChildren:
    """A hotkey's children changed."""

    hotkey: AccountId
    netuid: NetUid
    children: list[tuple[U64, AccountId]]


@pallet.event(77, named=False)
@dataclass(frozen=True)
class ChainIdentitySet:
    """A coldkey's identity was set."""

    account: AccountId


@pallet.event(78, named=False)
@dataclass(frozen=True)
class SubnetIdentitySet:
    """A subnet's identity was set."""

    netuid: NetUid


@pallet.event(79, named=False)
@dataclass(frozen=True)
class SubnetIdentityRemoved:
    """A subnet's identity was removed."""

    netuid: NetUid


@pallet.event(80)
@dataclass(frozen=True)
class DissolveNetworkScheduled:
    """A subnet will be dissolved."""

    account: AccountId
    netuid: NetUid
    execution_block: U32


@pallet.event(81, named=False)
@dataclass(frozen=True)
class ColdkeySwapAnnouncementDelaySet:
    """The coldkey swap announcement delay was set."""

    value: U32


@pallet.event(82, named=False)
@dataclass(frozen=True)
class ColdkeySwapReannouncementDelaySet:
    """The coldkey swap reannouncement delay was set."""

    value: U32


@pallet.event(83, named=False)
@dataclass(frozen=True)
class DissolveNetworkScheduleDurationSet:
    """The dissolve network schedule duration was set."""

    value: U32


@pallet.event(84, named=False)
@dataclass(frozen=True)
class CRV3WeightsCommitted:
    """Weights were committed, third form."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(85, named=False)
@dataclass(frozen=True)
class WeightsCommitted:
    """Weights were committed by their hash."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(86, named=False)
@dataclass(frozen=True)
class WeightsRevealed:
    """Committed weights were revealed."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256


@pallet.event(87, named=False)
@dataclass(frozen=True)
class WeightsBatchRevealed:
    """Several commits were revealed."""

    hotkey: AccountId
    netuid: NetUid
    commit_hashes: list[H256]


@pallet.event(88, named=False)
@dataclass(frozen=True)
class BatchWeightsCompleted:
    """A batch of weights calls is done."""

    netuids: Annotated[list[NetUid], Vector(Compact(codec(NetUid)))]
    hotkey: AccountId


@pallet.event(89, named=False)
@dataclass(frozen=True)
class BatchCompletedWithErrors:
    """Something in a batch of weights calls failed."""


@pallet.event(90, named=False)
@dataclass(frozen=True)
class BatchWeightItemFailed:
    """One item of a batch of weights calls failed."""

    netuid: NetUid
    error: Annotated[DispatchError, DISPATCH_ERROR]


@pallet.event(91, named=False)
@dataclass(frozen=True)
class StakeTransferred:
    """Stake changed its coldkey."""

    origin_coldkey: AccountId
    destination_coldkey: AccountId
    hotkey: AccountId
    origin_netuid: NetUid
    destination_netuid: NetUid
    tao: Rao


@pallet.event(92, named=False)
@dataclass(frozen=True)
class StakeSwapped:
    """Stake moved between subnets."""

    coldkey: AccountId
    hotkey: AccountId
    origin_netuid: NetUid
    destination_netuid: NetUid
    tao: Rao


@pallet.event(93, named=False)
@dataclass(frozen=True)
class TransferToggle:
    """Transfers of a subnet's stake were allowed or forbidden."""

    netuid: NetUid
    value: bool


@pallet.event(94, named=False)
@dataclass(frozen=True)
class SubnetOwnerHotkeySet:
    """A subnet's owner hotkey was set."""

    netuid: NetUid
    hotkey: AccountId


@pallet.event(95, named=False)
@dataclass(frozen=True)
class FirstEmissionBlockNumberSet:
    """A subnet was started; it emits from this block on."""

    netuid: NetUid
    value: U64


@pallet.event(96, named=False)
@dataclass(frozen=True)
class AlphaRecycled:
    """Alpha was recycled: it can be emitted again."""

    coldkey: AccountId
    hotkey: AccountId
    amount: Alpha
    netuid: NetUid


@pallet.event(97, named=False)
@dataclass(frozen=True)
class AlphaBurned:
    """Alpha was burned: it is gone but counts as emitted."""

    coldkey: AccountId
    hotkey: AccountId
    amount: Alpha
    netuid: NetUid


@pallet.event(99, named=False)
@dataclass(frozen=True)
class CRV3WeightsRevealed:
    """Committed weights were revealed, third form."""

    netuid: NetUid
    value: AccountId


@pallet.event(100, named=False)
@dataclass(frozen=True)
class CommitRevealPeriodsSet:
    """The commit reveal periods was set."""

    netuid: NetUid
    value: U64


@pallet.event(101, named=False)
@dataclass(frozen=True)
class CommitRevealEnabled:
    """Commit-reveal was switched on or off."""

    netuid: NetUid
    value: bool


@pallet.event(102)
@dataclass(frozen=True)
class HotkeySwappedOnSubnet:
    """A hotkey was replaced by another on one subnet."""

    coldkey: AccountId
    old_hotkey: AccountId
    new_hotkey: AccountId
    netuid: NetUid


@pallet.event(103)
@dataclass(frozen=True)
class SubnetLeaseCreated:
    """A subnet was leased."""

    beneficiary: AccountId
    lease_id: U32
    netuid: NetUid
    end_block: U32 | None


@pallet.event(104)
@dataclass(frozen=True)
class SubnetLeaseTerminated:
    """A lease ended."""

    beneficiary: AccountId
    netuid: NetUid


@pallet.event(105)
@dataclass(frozen=True)
class SymbolUpdated:
    """A subnet's token symbol changed."""

    netuid: NetUid
    symbol: bytes


@pallet.event(106, named=False)
@dataclass(frozen=True)
class CommitRevealVersionSet:
    """The commit reveal version was set."""

    value: U16


@pallet.event(107, named=False)
@dataclass(frozen=True)
class TimelockedWeightsCommitted:
    """Weights were committed under a time lock."""

    hotkey: AccountId
    index: records.StorageIndex
    commit_hash: H256
    reveal_round: U64


@pallet.event(108, named=False)
@dataclass(frozen=True)
class TimelockedWeightsRevealed:
    """Time-locked weights were opened."""

    index: records.StorageIndex
    hotkey: AccountId


@pallet.event(109)
@dataclass(frozen=True)
class AutoStakeAdded:
    """Incentive was staked where its coldkey wanted it."""

    netuid: NetUid
    destination: AccountId
    hotkey: AccountId
    owner: AccountId
    incentive: Alpha


@pallet.event(110)
@dataclass(frozen=True)
class IncentiveAlphaEmittedToMiners:
    """An epoch paid miners; one amount for each uid."""

    netuid: records.StorageIndex
    emissions: list[Alpha]


@pallet.event(111, named=False)
@dataclass(frozen=True)
class MinAllowedUidsSet:
    """The min allowed uids was set."""

    netuid: NetUid
    value: U16


@pallet.event(112)
@dataclass(frozen=True)
class AutoStakeDestinationSet:
    """The auto stake destination was set."""

    coldkey: AccountId
    netuid: NetUid
    hotkey: AccountId


@pallet.event(113, named=False)
@dataclass(frozen=True)
class MinNonImmuneUidsSet:
    """The min non immune uids was set."""

    netuid: NetUid
    value: U16


@pallet.event(114)
@dataclass(frozen=True)
class RootClaimed:
    """A coldkey claimed its root dividends."""

    coldkey: AccountId


@pallet.event(116)
@dataclass(frozen=True)
class VotingPowerTrackingEnabled:
    """Voting power of a subnet is tracked."""

    netuid: NetUid


@pallet.event(117)
@dataclass(frozen=True)
class VotingPowerTrackingDisableScheduled:
    """Tracking of voting power will end."""

    netuid: NetUid
    disable_at_block: U64


@pallet.event(118)
@dataclass(frozen=True)
class VotingPowerTrackingDisabled:
    """Voting power is no longer tracked."""

    netuid: NetUid


@pallet.event(119)
@dataclass(frozen=True)
class VotingPowerEmaAlphaSet:
    """The voting power ema alpha was set."""

    netuid: NetUid
    alpha: U64


@pallet.event(120)
@dataclass(frozen=True)
class SubnetLeaseDividendsDistributed:
    """A lease paid a contributor."""

    lease_id: U32
    contributor: AccountId
    alpha: Alpha


@pallet.event(121)
@dataclass(frozen=True)
class AddStakeBurn:
    """Alpha was bought and burned."""

    netuid: NetUid
    hotkey: AccountId
    amount: Rao
    alpha: Alpha


@pallet.event(122)
@dataclass(frozen=True)
class ColdkeySwapCleared:
    """A coldkey withdrew its announcement."""

    who: AccountId


@pallet.event(123)
@dataclass(frozen=True)
class TransactionFeePaidWithAlpha:
    """A fee was paid by selling alpha."""

    who: AccountId
    netuid: NetUid
    alpha_fee: Alpha
    tao_amount: Rao


@pallet.event(124)
@dataclass(frozen=True)
class BurnHalfLifeSet:
    """The burn half life was set."""

    netuid: NetUid
    burn_half_life: U16


@pallet.event(125)
@dataclass(frozen=True)
class BurnIncreaseMultSet:
    """The burn increase mult was set."""

    netuid: NetUid
    burn_increase_mult: Annotated[int, records.FIXED_U128]


@pallet.event(126)
@dataclass(frozen=True)
class AutoParentDelegationEnabledSet:
    """The auto parent delegation enabled was set."""

    hotkey: AccountId
    enabled: bool


@pallet.event(127)
@dataclass(frozen=True)
class StakeLocked:
    """Stake was locked toward a hotkey."""

    coldkey: AccountId
    hotkey: AccountId
    netuid: NetUid
    amount: Alpha


@pallet.event(128)
@dataclass(frozen=True)
class StakeUnlocked:
    """A lock on stake ended."""

    coldkey: AccountId
    hotkey: AccountId
    netuid: NetUid
    amount: Alpha


@pallet.event(129)
@dataclass(frozen=True)
class LockMoved:
    """A lock was moved to another hotkey."""

    coldkey: AccountId
    origin_hotkey: AccountId
    destination_hotkey: AccountId
    netuid: NetUid


@pallet.event(130)
@dataclass(frozen=True)
class ActivityCutoffFactorMilliSet:
    """The activity cutoff factor milli was set."""

    netuid: NetUid
    factor_milli: U32


@pallet.event(131)
@dataclass(frozen=True)
class EpochTriggered:
    """An owner asked for an epoch before its time."""

    netuid: NetUid
    by: AccountId
    fires_at: U64


@pallet.event(132)
@dataclass(frozen=True)
class EpochDeferred:
    """An epoch waits: the block had as many as it may."""

    netuid: NetUid
    from_block: U64
    to_block: U64


@pallet.event(133)
@dataclass(frozen=True)
class EpochSkipped:
    """An epoch did not run: the subnet's keys are inconsistent."""

    netuid: NetUid
    block: U64


@pallet.event(134)
@dataclass(frozen=True)
class SubnetOwnerChanged:
    """A subnet changed its owner."""

    netuid: NetUid
    old_coldkey: AccountId
    new_coldkey: AccountId


@pallet.event(135)
@dataclass(frozen=True)
class PerpetualLockUpdated:
    """A lock was made perpetual, or decaying again."""

    coldkey: AccountId
    netuid: NetUid
    enabled: bool


@pallet.event(136)
@dataclass(frozen=True)
class RejectLockedAlphaUpdated:
    """A coldkey accepts, or refuses, locked alpha."""

    coldkey: AccountId
    enabled: bool


@pallet.event(137)
@dataclass(frozen=True)
class StakeAndHotkeyTransferred:
    """Stake was given to another coldkey, on another hotkey; `amount` is its value in TAO."""

    origin_coldkey: AccountId
    destination_coldkey: AccountId
    origin_hotkey: AccountId
    destination_hotkey: AccountId
    origin_netuid: NetUid
    destination_netuid: NetUid
    amount: Rao
