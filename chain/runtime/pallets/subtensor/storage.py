"""Every storage item of the pallet, with the hashers and defaults of the chain.

Values of fixed-point types are raw bits. Hyperparameters of a subnet default here to what an item
reads as before it is written; `register_network` writes its own.
"""

from __future__ import annotations

from chain.runtime.frame import Blake2_128Concat, Identity, Twox64Concat
from chain.runtime.pallets.subtensor import records
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import (
    I16,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    UNIT,
    OrderedMap,
    Tuple,
    Vector,
    codec,
)
from chain.types import H256, AccountId, Alpha, NetUid, Rao

ZERO = AccountId(bytes(32))
"""The account that owns nothing and signs nothing."""
ZERO_FLOAT = records.SafeFloat(0, 0)

MinActivityCutoff = pallet.value("MinActivityCutoff", U16, default=360)
AdminFreezeWindow = pallet.value("AdminFreezeWindow", U16, default=10)
OwnerHyperparamRateLimit = pallet.value("OwnerHyperparamRateLimit", U16, default=2)
DissolveNetworkScheduleDuration = pallet.value(
    "DissolveNetworkScheduleDuration", U32, default=36_000
)
LastHotkeySwapOnNetuid = pallet.double_map(
    "LastHotkeySwapOnNetuid", NetUid, AccountId, U64, default=0
)
NextStakeJobId = pallet.value("NextStakeJobId", U64, default=0)
TaoWeight = pallet.value("TaoWeight", U64, default=971_718_665_099_567_868)
CKBurn = pallet.value("CKBurn", U64, default=0)
MaxDelegateTake = pallet.value("MaxDelegateTake", records.PER_U16, default=11_796)
MinDelegateTake = pallet.value("MinDelegateTake", records.PER_U16, default=0)
MaxChildkeyTake = pallet.value("MaxChildkeyTake", records.PER_U16, default=11_796)
MinChildkeyTake = pallet.value("MinChildkeyTake", records.PER_U16, default=0)
MinChildkeyTakePerSubnet = pallet.map(
    "MinChildkeyTakePerSubnet", NetUid, records.PER_U16, default=0
)
Owner = pallet.map("Owner", AccountId, AccountId, default=ZERO)
AccountFlags = pallet.map("AccountFlags", AccountId, U128, default=0)
Delegates = pallet.map("Delegates", AccountId, records.PER_U16, default=11_796)
ChildkeyTake = pallet.double_map("ChildkeyTake", AccountId, NetUid, records.PER_U16, default=0)
PendingChildKeys = pallet.double_map(
    "PendingChildKeys", NetUid, AccountId, tuple[list[tuple[U64, AccountId]], U64], default=([], 0)
)
ChildKeys = pallet.double_map(
    "ChildKeys", AccountId, NetUid, list[tuple[U64, AccountId]], default=[]
)
ParentKeys = pallet.double_map(
    "ParentKeys", AccountId, NetUid, list[tuple[U64, AccountId]], default=[]
)
AlphaDividendsPerSubnet = pallet.double_map(
    "AlphaDividendsPerSubnet", NetUid, AccountId, Alpha, default=Alpha(0)
)
RootAlphaDividendsPerSubnet = pallet.double_map(
    "RootAlphaDividendsPerSubnet", NetUid, AccountId, Alpha, default=Alpha(0)
)
BlockEmission = pallet.value("BlockEmission", U64, default=0)
LastHotkeyEmissionOnNetuid = pallet.double_map(
    "LastHotkeyEmissionOnNetuid", AccountId, NetUid, Alpha, default=Alpha(0)
)
SubnetLimit = pallet.value("SubnetLimit", U16, default=128)
TotalIssuance = pallet.value("TotalIssuance", Rao, default=Rao(0))
TotalStake = pallet.value("TotalStake", Rao, default=Rao(0))
SubnetMovingAlpha = pallet.value("SubnetMovingAlpha", records.FIXED_I128, default=12_885)
SubnetMovingPrice = pallet.map("SubnetMovingPrice", NetUid, records.FIXED_I128, default=0)
RootProp = pallet.map("RootProp", NetUid, records.FIXED_U128, default=0)
SubnetVolume = pallet.map("SubnetVolume", NetUid, U128, default=0)
SubnetTAO = pallet.map("SubnetTAO", NetUid, Rao, default=Rao(0))
SubnetAlphaInEmission = pallet.map("SubnetAlphaInEmission", NetUid, Alpha, default=Alpha(0))
SubnetEmissionEnabled = pallet.map("SubnetEmissionEnabled", NetUid, bool, default=True)
SubnetAlphaOutEmission = pallet.map("SubnetAlphaOutEmission", NetUid, Alpha, default=Alpha(0))
SubnetTaoInEmission = pallet.map("SubnetTaoInEmission", NetUid, Rao, default=Rao(0))
SubnetExcessTao = pallet.map("SubnetExcessTao", NetUid, Rao, default=Rao(0))
SubnetRootSellTao = pallet.map("SubnetRootSellTao", NetUid, Rao, default=Rao(0))
SubnetAlphaIn = pallet.map("SubnetAlphaIn", NetUid, Alpha, default=Alpha(0))
SubnetAlphaOut = pallet.map("SubnetAlphaOut", NetUid, Alpha, default=Alpha(0))
SubnetProtocolAlpha = pallet.map("SubnetProtocolAlpha", NetUid, Alpha, default=Alpha(0))
StakingHotkeys = pallet.map("StakingHotkeys", AccountId, list[AccountId], default=[])
OwnedHotkeys = pallet.map("OwnedHotkeys", AccountId, list[AccountId], default=[])
AutoStakeDestination = pallet.double_map("AutoStakeDestination", AccountId, NetUid, AccountId)
AutoStakeDestinationColdkeys = pallet.double_map(
    "AutoStakeDestinationColdkeys", AccountId, NetUid, list[AccountId], default=[]
)
ColdkeySwapAnnouncementDelay = pallet.value("ColdkeySwapAnnouncementDelay", U32, default=36_000)
ColdkeySwapReannouncementDelay = pallet.value("ColdkeySwapReannouncementDelay", U32, default=7200)
ColdkeySwapAnnouncements = pallet.map(
    "ColdkeySwapAnnouncements", AccountId, tuple[U32, H256], hasher=Twox64Concat
)
ColdkeySwapDisputes = pallet.map("ColdkeySwapDisputes", AccountId, U32, hasher=Twox64Concat)
TotalHotkeyAlpha = pallet.double_map("TotalHotkeyAlpha", AccountId, NetUid, Alpha, default=Alpha(0))
TotalAlphaStaked = pallet.map("TotalAlphaStaked", NetUid, Alpha, default=Alpha(0))
TotalHotkeyAlphaLastEpoch = pallet.double_map(
    "TotalHotkeyAlphaLastEpoch", AccountId, NetUid, Alpha, default=Alpha(0)
)
TotalHotkeySharesV2 = pallet.double_map(
    "TotalHotkeySharesV2", AccountId, NetUid, records.SafeFloat, default=ZERO_FLOAT
)
AlphaV2 = pallet.triple_map(
    "AlphaV2", AccountId, AccountId, NetUid, records.SafeFloat, default=ZERO_FLOAT
)
Lock = pallet.triple_map("Lock", AccountId, NetUid, AccountId, records.LockState)
LockingColdkeys = pallet.triple_map("LockingColdkeys", NetUid, AccountId, AccountId, UNIT)
HotkeyLock = pallet.double_map("HotkeyLock", NetUid, AccountId, records.LockState)
DecayingHotkeyLock = pallet.double_map("DecayingHotkeyLock", NetUid, AccountId, records.LockState)
OwnerLock = pallet.map("OwnerLock", NetUid, records.LockState)
DecayingOwnerLock = pallet.map("DecayingOwnerLock", NetUid, records.LockState)
DecayingLock = pallet.double_map("DecayingLock", AccountId, NetUid, bool)
OwnerCutAutoLockEnabled = pallet.map("OwnerCutAutoLockEnabled", NetUid, bool, default=False)
MaturityRate = pallet.value("MaturityRate", U64, default=934_866)
UnlockRate = pallet.value("UnlockRate", U64, default=934_866)
TokenSymbol = pallet.map("TokenSymbol", NetUid, bytes, default=b"")
SubnetTaoFlow = pallet.map("SubnetTaoFlow", NetUid, I64, default=0)
SubnetEmaTaoFlow = pallet.map("SubnetEmaTaoFlow", NetUid, Tuple((codec(U64), records.FIXED_I128)))
NetTaoFlowEnabled = pallet.value("NetTaoFlowEnabled", bool, default=True)
SubnetProtocolFlow = pallet.map("SubnetProtocolFlow", NetUid, I64, default=0)
SubnetEmaProtocolFlow = pallet.map(
    "SubnetEmaProtocolFlow", NetUid, Tuple((codec(U64), records.FIXED_I128))
)
TaoFlowCutoff = pallet.value("TaoFlowCutoff", records.FIXED_I128, default=0)
FlowNormExponent = pallet.value("FlowNormExponent", records.FIXED_U128, default=1 << 64)
FlowEmaSmoothingFactor = pallet.value("FlowEmaSmoothingFactor", U64, default=29_597_889_189_277)
UsedWork = pallet.map("UsedWork", bytes, U64, default=0, hasher=Identity)
MaxRegistrationsPerBlock = pallet.map("MaxRegistrationsPerBlock", NetUid, U16, default=1)
TotalNetworks = pallet.value("TotalNetworks", U16, default=0)
NetworkImmunityPeriod = pallet.value("NetworkImmunityPeriod", U64, default=1_296_000)
StartCallDelay = pallet.value("StartCallDelay", U64, default=0)
NetworkMinLockCost = pallet.value("NetworkMinLockCost", Rao, default=Rao(1_000_000_000_000))
NetworkLastLockCost = pallet.value("NetworkLastLockCost", Rao, default=Rao(1_000_000_000_000))
NetworkLockReductionInterval = pallet.value("NetworkLockReductionInterval", U64, default=100_800)
SubnetOwnerCut = pallet.value("SubnetOwnerCut", U16, default=11_796)
OwnerCutEnabled = pallet.map("OwnerCutEnabled", NetUid, bool, default=True)
NetworkRateLimit = pallet.value("NetworkRateLimit", U64, default=7200)
NominatorMinRequiredStake = pallet.value("NominatorMinRequiredStake", U64, default=0)
WeightsVersionKeyRateLimit = pallet.value("WeightsVersionKeyRateLimit", U64, default=5)
LastRateLimitedBlock = pallet.map(
    "LastRateLimitedBlock", records.RATE_LIMIT_KEY, U64, default=0, hasher=Identity
)
TransferToggle = pallet.map("TransferToggle", NetUid, bool, default=True)
SubnetLocked = pallet.map("SubnetLocked", NetUid, Rao, default=Rao(0))
LargestLocked = pallet.map("LargestLocked", NetUid, U64, default=0)
Tempo = pallet.map("Tempo", NetUid, U16, default=360)
LastEpochBlock = pallet.map("LastEpochBlock", NetUid, U64, default=0)
PendingEpochAt = pallet.map("PendingEpochAt", NetUid, U64, default=0)
SubnetEpochIndex = pallet.map("SubnetEpochIndex", NetUid, U64, default=0)
ActivityCutoffFactorMilli = pallet.map("ActivityCutoffFactorMilli", NetUid, U32, default=13_889)
FirstEmissionBlockNumber = pallet.map("FirstEmissionBlockNumber", NetUid, U64)
SubnetMechanism = pallet.map("SubnetMechanism", NetUid, U16, default=0)
SubnetworkN = pallet.map("SubnetworkN", NetUid, U16, default=0)
NetworksAdded = pallet.map("NetworksAdded", NetUid, bool, default=False)
IsNetworkMember = pallet.double_map("IsNetworkMember", AccountId, NetUid, bool, default=False)
NetworkRegistrationAllowed = pallet.map("NetworkRegistrationAllowed", NetUid, bool, default=True)
NetworkPowRegistrationAllowed = pallet.map(
    "NetworkPowRegistrationAllowed", NetUid, bool, default=True
)
NetworkRegisteredAt = pallet.map("NetworkRegisteredAt", NetUid, U64, default=0)
RegisteredSubnetCounter = pallet.map("RegisteredSubnetCounter", NetUid, U64, default=0)
PendingServerEmission = pallet.map("PendingServerEmission", NetUid, Alpha, default=Alpha(0))
PendingValidatorEmission = pallet.map("PendingValidatorEmission", NetUid, Alpha, default=Alpha(0))
PendingRootAlphaDivs = pallet.map("PendingRootAlphaDivs", NetUid, Alpha, default=Alpha(0))
PendingOwnerCut = pallet.map("PendingOwnerCut", NetUid, Alpha, default=Alpha(0))
MinerBurned = pallet.map("MinerBurned", NetUid, records.FIXED_U128, default=0)
BlocksSinceLastStep = pallet.map("BlocksSinceLastStep", NetUid, U64, default=0)
LastMechansimStepBlock = pallet.map("LastMechansimStepBlock", NetUid, U64, default=0)
SubnetOwner = pallet.map("SubnetOwner", NetUid, AccountId, default=ZERO)
SubnetOwnerHotkey = pallet.map("SubnetOwnerHotkey", NetUid, AccountId, default=ZERO)
RecycleOrBurn = pallet.map(
    "RecycleOrBurn", NetUid, records.RecycleOrBurn, default=records.RecycleOrBurn.Burn
)
ServingRateLimit = pallet.map("ServingRateLimit", NetUid, U64, default=50)
Rho = pallet.map("Rho", NetUid, U16, default=10)
AlphaSigmoidSteepness = pallet.map("AlphaSigmoidSteepness", NetUid, I16, default=1000)
Kappa = pallet.map("Kappa", NetUid, U16, default=32_767)
RegistrationsThisInterval = pallet.map("RegistrationsThisInterval", NetUid, U16, default=0)
POWRegistrationsThisInterval = pallet.map("POWRegistrationsThisInterval", NetUid, U16, default=0)
BurnRegistrationsThisInterval = pallet.map("BurnRegistrationsThisInterval", NetUid, U16, default=0)
MinAllowedUids = pallet.map("MinAllowedUids", NetUid, U16, default=64)
MaxAllowedUids = pallet.map("MaxAllowedUids", NetUid, U16, default=256)
ImmunityPeriod = pallet.map("ImmunityPeriod", NetUid, U16, default=4096)
ActivityCutoff = pallet.map("ActivityCutoff", NetUid, U16, default=5000)
MaxWeightsLimit = pallet.map("MaxWeightsLimit", NetUid, U16, default=65_535)
WeightsVersionKey = pallet.map("WeightsVersionKey", NetUid, U64, default=0)
MinAllowedWeights = pallet.map("MinAllowedWeights", NetUid, U16, default=1024)
MaxAllowedValidators = pallet.map("MaxAllowedValidators", NetUid, U16, default=128)
AdjustmentInterval = pallet.map("AdjustmentInterval", NetUid, U16, default=100)
BondsMovingAverage = pallet.map("BondsMovingAverage", NetUid, U64, default=900_000)
BondsPenalty = pallet.map("BondsPenalty", NetUid, U16, default=65_535)
BondsResetOn = pallet.map("BondsResetOn", NetUid, bool, default=False)
WeightsSetRateLimit = pallet.map("WeightsSetRateLimit", NetUid, U64, default=100)
ValidatorPruneLen = pallet.map("ValidatorPruneLen", NetUid, U64, default=0)
ScalingLawPower = pallet.map("ScalingLawPower", NetUid, U16, default=0)
TargetRegistrationsPerInterval = pallet.map(
    "TargetRegistrationsPerInterval", NetUid, U16, default=2
)
AdjustmentAlpha = pallet.map("AdjustmentAlpha", NetUid, U64, default=0)
CommitRevealWeightsEnabled = pallet.map("CommitRevealWeightsEnabled", NetUid, bool, default=True)
Burn = pallet.map("Burn", NetUid, Rao, default=Rao(100_000_000))
Difficulty = pallet.map("Difficulty", NetUid, U64, default=10_000_000)
MinBurn = pallet.map("MinBurn", NetUid, Rao, default=Rao(500_000))
MaxBurn = pallet.map("MaxBurn", NetUid, Rao, default=Rao(100_000_000_000))
MinDifficulty = pallet.map("MinDifficulty", NetUid, U64, default=10_000_000)
MaxDifficulty = pallet.map("MaxDifficulty", NetUid, U64, default=(2**64 - 1) // 4)
LastAdjustmentBlock = pallet.map("LastAdjustmentBlock", NetUid, U64, default=0)
RegistrationsThisBlock = pallet.map("RegistrationsThisBlock", NetUid, U16, default=0)
EMAPriceHalvingBlocks = pallet.map("EMAPriceHalvingBlocks", NetUid, U64, default=201_600)
RAORecycledForRegistration = pallet.map("RAORecycledForRegistration", NetUid, Rao, default=Rao(0))
MaxEpochsPerBlock = pallet.value("MaxEpochsPerBlock", U8, default=2)
TxRateLimit = pallet.value("TxRateLimit", U64, default=1000)
TxDelegateTakeRateLimit = pallet.value("TxDelegateTakeRateLimit", U64, default=216_000)
TxChildkeyTakeRateLimit = pallet.value("TxChildkeyTakeRateLimit", U64, default=216_000)
LiquidAlphaOn = pallet.map("LiquidAlphaOn", NetUid, bool, default=False, hasher=Blake2_128Concat)
Yuma3On = pallet.map("Yuma3On", NetUid, bool, default=False, hasher=Blake2_128Concat)
AlphaValues = pallet.map("AlphaValues", NetUid, tuple[U16, U16], default=(45_875, 58_982))
SubnetEpochConsensus = pallet.map(
    "SubnetEpochConsensus", NetUid, records.EpochConsensus, default=records.EpochConsensus.Yuma
)
SubtokenEnabled = pallet.map("SubtokenEnabled", NetUid, bool, default=False)
VotingPower = pallet.double_map("VotingPower", NetUid, AccountId, U64, default=0)
VotingPowerTrackingEnabled = pallet.map("VotingPowerTrackingEnabled", NetUid, bool, default=False)
VotingPowerDisableAtBlock = pallet.map("VotingPowerDisableAtBlock", NetUid, U64, default=0)
VotingPowerEmaAlpha = pallet.map("VotingPowerEmaAlpha", NetUid, U64, default=0)
ImmuneOwnerUidsLimit = pallet.map("ImmuneOwnerUidsLimit", NetUid, U16, default=1)
StakeWeight = pallet.map("StakeWeight", NetUid, list[U16], default=[])
Uids = pallet.double_map("Uids", NetUid, AccountId, U16)
Keys = pallet.double_map("Keys", NetUid, U16, AccountId, default=ZERO, hashers=(Identity, Identity))
Active = pallet.map("Active", NetUid, list[bool], default=[])
Consensus = pallet.map("Consensus", NetUid, Vector(records.PER_U16), default=[])
Incentive = pallet.map(
    "Incentive", records.StorageIndex, Vector(records.PER_U16), default=[], hasher=Identity
)
Dividends = pallet.map("Dividends", NetUid, Vector(records.PER_U16), default=[])
Emission = pallet.map("Emission", NetUid, list[Alpha], default=[])
LastUpdate = pallet.map("LastUpdate", records.StorageIndex, list[U64], default=[], hasher=Identity)
ValidatorTrust = pallet.map("ValidatorTrust", NetUid, Vector(records.PER_U16), default=[])
ValidatorPermit = pallet.map("ValidatorPermit", NetUid, list[bool], default=[])
Weights = pallet.double_map(
    "Weights",
    records.StorageIndex,
    U16,
    list[tuple[U16, U16]],
    default=[],
    hashers=(Identity, Identity),
)
Bonds = pallet.double_map(
    "Bonds",
    records.StorageIndex,
    U16,
    list[tuple[U16, U16]],
    default=[],
    hashers=(Identity, Identity),
)
BlockAtRegistration = pallet.double_map(
    "BlockAtRegistration", NetUid, U16, U64, default=0, hashers=(Identity, Identity)
)
Axons = pallet.double_map("Axons", NetUid, AccountId, records.AxonInfo)
NeuronCertificates = pallet.double_map(
    "NeuronCertificates", NetUid, AccountId, records.NeuronCertificate
)
Prometheus = pallet.double_map("Prometheus", NetUid, AccountId, records.PrometheusInfo)
IdentitiesV2 = pallet.map("IdentitiesV2", AccountId, records.ChainIdentityV2)
SubnetIdentitiesV3 = pallet.map(
    "SubnetIdentitiesV3", NetUid, records.SubnetIdentityV3, hasher=Blake2_128Concat
)
TransactionKeyLastBlock = pallet.triple_map(
    "TransactionKeyLastBlock",
    AccountId,
    NetUid,
    U16,
    U64,
    default=0,
    hashers=(Blake2_128Concat, Identity, Identity),
)
LastTxBlock = pallet.map("LastTxBlock", AccountId, U64, default=0, hasher=Identity)
LastTxBlockChildKeyTake = pallet.map(
    "LastTxBlockChildKeyTake", AccountId, U64, default=0, hasher=Identity
)
LastTxBlockDelegateTake = pallet.map(
    "LastTxBlockDelegateTake", AccountId, U64, default=0, hasher=Identity
)
StakeThreshold = pallet.value("StakeThreshold", U64, default=0)
WeightCommits = pallet.double_map(
    "WeightCommits",
    records.StorageIndex,
    AccountId,
    list[tuple[H256, U64, U64, U64]],
    hashers=(Twox64Concat, Twox64Concat),
)
TimelockedWeightCommits = pallet.double_map(
    "TimelockedWeightCommits",
    records.StorageIndex,
    U64,
    records.TIMELOCKED_COMMITS,
    default=[],
    hashers=(Twox64Concat, Twox64Concat),
)
RevealPeriodEpochs = pallet.map("RevealPeriodEpochs", NetUid, U64, default=1, hasher=Twox64Concat)
LastColdkeyHotkeyStakeBlock = pallet.double_map(
    "LastColdkeyHotkeyStakeBlock", AccountId, AccountId, U64, hashers=(Twox64Concat, Twox64Concat)
)
RootStakeUnlockInterval = pallet.value("RootStakeUnlockInterval", U64, default=0)
RootClaimableThreshold = pallet.map(
    "RootClaimableThreshold",
    NetUid,
    records.FIXED_I128,
    default=500_000 << 32,
    hasher=Blake2_128Concat,
)
RootClaimable = pallet.map(
    "RootClaimable", AccountId, OrderedMap(codec(NetUid), records.FIXED_I128), default={}
)
RootClaimed = pallet.triple_map("RootClaimed", NetUid, AccountId, AccountId, U128, default=0)
StakingColdkeysByIndex = pallet.map("StakingColdkeysByIndex", U64, AccountId, hasher=Identity)
StakingColdkeys = pallet.map("StakingColdkeys", AccountId, U64, hasher=Identity)
NumStakingColdkeys = pallet.value("NumStakingColdkeys", U64, default=0)
SubnetUidToLeaseId = pallet.map("SubnetUidToLeaseId", NetUid, U32, hasher=Twox64Concat)
NextSubnetLeaseId = pallet.value("NextSubnetLeaseId", U32, default=0)
AccumulatedLeaseDividends = pallet.map(
    "AccumulatedLeaseDividends", U32, Alpha, default=Alpha(0), hasher=Twox64Concat
)
CommitRevealWeightsVersion = pallet.value("CommitRevealWeightsVersion", U16, default=4)
NetworkRegistrationStartBlock = pallet.value("NetworkRegistrationStartBlock", U64, default=0)
TaoInRefundDeploymentBlock = pallet.value("TaoInRefundDeploymentBlock", U64, default=0)
MinNonImmuneUids = pallet.map("MinNonImmuneUids", NetUid, U16, default=10)
MaxMechanismCount = pallet.value("MaxMechanismCount", records.MECH_ID, default=2)
MechanismCountCurrent = pallet.map(
    "MechanismCountCurrent", NetUid, records.MECH_ID, default=1, hasher=Twox64Concat
)
MechanismEmissionSplit = pallet.map(
    "MechanismEmissionSplit", NetUid, list[U16], hasher=Twox64Concat
)
BurnHalfLife = pallet.map("BurnHalfLife", NetUid, U16, default=360)
BurnIncreaseMult = pallet.map(
    "BurnIncreaseMult", NetUid, records.FIXED_U128, default=23_242_897_532_874_035_200
)
CollateralLockShare = pallet.map("CollateralLockShare", NetUid, U16, default=0)
CollateralDrainRatio = pallet.map(
    "CollateralDrainRatio", NetUid, records.FIXED_U128, default=1 << 64
)
# Clients read these two on other errands. Nobody has collateral or a basket, so they are never set.
MinerCollateral = pallet.triple_map(
    "MinerCollateral", NetUid, AccountId, AccountId, records.MinerCollateralState
)
BasketClaimed = pallet.double_map("BasketClaimed", AccountId, AccountId, I128, default=0)
AutoParentDelegationEnabled = pallet.map(
    "AutoParentDelegationEnabled", AccountId, bool, default=True
)
HasMigrationRun = pallet.map("HasMigrationRun", bytes, bool, default=False, hasher=Identity)
PendingChildKeyCooldown = pallet.value("PendingChildKeyCooldown", U64, default=7200)
