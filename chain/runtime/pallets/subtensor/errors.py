"""Every refusal of the pallet, at the index clients know it by."""

from __future__ import annotations

from chain.runtime.pallets.subtensor.pallet import pallet

RootNetworkDoesNotExist = pallet.error(
    "RootNetworkDoesNotExist", 0, "The root network does not exist."
)
InvalidIpType = pallet.error(
    "InvalidIpType",
    1,
    "The user is trying to serve an axon which is not of type 4 (IPv4) or 6 (IPv6).",
)
InvalidIpAddress = pallet.error(
    "InvalidIpAddress", 2, "An invalid IP address is passed to the serve function."
)
InvalidPort = pallet.error("InvalidPort", 3, "An invalid port is passed to the serve function.")
HotKeyNotRegisteredInSubNet = pallet.error(
    "HotKeyNotRegisteredInSubNet", 4, "The hotkey is not registered in subnet"
)
HotKeyAccountNotExists = pallet.error("HotKeyAccountNotExists", 5, "The hotkey does not exists")
HotKeyNotRegisteredInNetwork = pallet.error(
    "HotKeyNotRegisteredInNetwork", 6, "The hotkey is not registered in any subnet."
)
NonAssociatedColdKey = pallet.error(
    "NonAssociatedColdKey",
    7,
    "Request to stake, unstake or subscribe is made by a coldkey that is not associated "
    "with the hotkey account.",
)
NotEnoughStake = pallet.error(
    "NotEnoughStake", 8, "The caller does not have enought stake to perform this action."
)
NotEnoughStakeToWithdraw = pallet.error(
    "NotEnoughStakeToWithdraw",
    9,
    "The caller is requesting removing more stake than there exists in the staking account. "
    'See: "[remove_stake()]".',
)
NotEnoughStakeToSetWeights = pallet.error(
    "NotEnoughStakeToSetWeights",
    10,
    "The caller is requesting to set weights but the caller has less than minimum stake "
    "required to set weights (less than WeightsMinStake).",
)
NotEnoughStakeToSetChildkeys = pallet.error(
    "NotEnoughStakeToSetChildkeys",
    11,
    "The parent hotkey doesn't have enough own stake to set childkeys.",
)
NotEnoughBalanceToStake = pallet.error(
    "NotEnoughBalanceToStake",
    12,
    "The caller is requesting adding more stake than there exists in the coldkey account. "
    'See: "[add_stake()]"',
)
BalanceWithdrawalError = pallet.error(
    "BalanceWithdrawalError",
    13,
    "The caller is trying to add stake, but for some reason the requested amount could not "
    "be withdrawn from the coldkey account.",
)
ZeroBalanceAfterWithdrawn = pallet.error(
    "ZeroBalanceAfterWithdrawn",
    14,
    "Unsuccessfully withdraw, balance could be zero (can not make account exist) after withdrawal.",
)
NeuronNoValidatorPermit = pallet.error(
    "NeuronNoValidatorPermit",
    15,
    "The caller is attempting to set non-self weights without being a permitted validator.",
)
WeightVecNotEqualSize = pallet.error(
    "WeightVecNotEqualSize",
    16,
    "The caller is attempting to set the weight keys and values but these vectors have "
    "different size.",
)
DuplicateUids = pallet.error(
    "DuplicateUids",
    17,
    "The caller is attempting to set weights with duplicate UIDs in the weight matrix.",
)
UidVecContainInvalidOne = pallet.error(
    "UidVecContainInvalidOne",
    18,
    "The caller is attempting to set weight to at least one UID that does not exist in the "
    "metagraph.",
)
WeightVecLengthIsLow = pallet.error(
    "WeightVecLengthIsLow",
    19,
    "The dispatch is attempting to set weights on chain with fewer elements than are allowed.",
)
TooManyRegistrationsThisBlock = pallet.error(
    "TooManyRegistrationsThisBlock",
    20,
    "Number of registrations in this block exceeds the allowed number (i.e., exceeds the "
    'subnet hyperparameter "max_regs_per_block").',
)
HotKeyAlreadyRegisteredInSubNet = pallet.error(
    "HotKeyAlreadyRegisteredInSubNet",
    21,
    "The caller is requesting registering a neuron which already exists in the active set.",
)
NewHotKeyIsSameWithOld = pallet.error(
    "NewHotKeyIsSameWithOld", 22, "The new hotkey is the same as old one"
)
NewHotKeyNotCleanForRootSwap = pallet.error(
    "NewHotKeyNotCleanForRootSwap",
    23,
    "The new hotkey has outstanding root claimable or non-zero root stake, so the root "
    "rate-book cannot be merged without misallocating dividends.",
)
InvalidWorkBlock = pallet.error(
    "InvalidWorkBlock", 24, "The supplied PoW hash block is in the future or negative."
)
InvalidDifficulty = pallet.error(
    "InvalidDifficulty", 25, "The supplied PoW hash block does not meet the network difficulty."
)
InvalidSeal = pallet.error(
    "InvalidSeal", 26, "The supplied PoW hash seal does not match the supplied work."
)
MaxWeightExceeded = pallet.error(
    "MaxWeightExceeded",
    27,
    "The dispatch is attempting to set weights on chain with weight value exceeding the "
    "configured max weight limit (currently `u16::MAX`).",
)
HotKeyAlreadyDelegate = pallet.error(
    "HotKeyAlreadyDelegate",
    28,
    "The hotkey is attempting to become a delegate when the hotkey is already a delegate.",
)
SettingWeightsTooFast = pallet.error(
    "SettingWeightsTooFast", 29, "A transactor exceeded the rate limit for setting weights."
)
IncorrectWeightVersionKey = pallet.error(
    "IncorrectWeightVersionKey",
    30,
    "A validator is attempting to set weights from a validator with incorrect weight version.",
)
ServingRateLimitExceeded = pallet.error(
    "ServingRateLimitExceeded",
    31,
    "An axon or prometheus serving exceeded the rate limit for a registered neuron.",
)
UidsLengthExceedUidsInSubNet = pallet.error(
    "UidsLengthExceedUidsInSubNet",
    32,
    "The caller is attempting to set weights with more UIDs than allowed.",
)
NetworkTxRateLimitExceeded = pallet.error(
    "NetworkTxRateLimitExceeded",
    33,
    "A transactor exceeded the rate limit for add network transaction.",
)
DelegateTxRateLimitExceeded = pallet.error(
    "DelegateTxRateLimitExceeded",
    34,
    "A transactor exceeded the rate limit for delegate transaction.",
)
HotKeySetTxRateLimitExceeded = pallet.error(
    "HotKeySetTxRateLimitExceeded",
    35,
    "A transactor exceeded the rate limit for setting or swapping hotkey.",
)
StakingRateLimitExceeded = pallet.error(
    "StakingRateLimitExceeded", 36, "A transactor exceeded the rate limit for staking."
)
SubNetRegistrationDisabled = pallet.error(
    "SubNetRegistrationDisabled", 37, "Registration is disabled."
)
TooManyRegistrationsThisInterval = pallet.error(
    "TooManyRegistrationsThisInterval",
    38,
    "The number of registration attempts exceeded the allowed number in the interval.",
)
TransactorAccountShouldBeHotKey = pallet.error(
    "TransactorAccountShouldBeHotKey", 39, "The hotkey is required to be the origin."
)
FaucetDisabled = pallet.error("FaucetDisabled", 40, "Faucet is disabled.")
NotSubnetOwner = pallet.error("NotSubnetOwner", 41, "Not a subnet owner.")
RegistrationNotPermittedOnRootSubnet = pallet.error(
    "RegistrationNotPermittedOnRootSubnet", 42, "Operation is not permitted on the root subnet."
)
StakeTooLowForRoot = pallet.error(
    "StakeTooLowForRoot",
    43,
    "A root registrant must hold at least as much root stake as the seat it would evict.",
)
AllNetworksInImmunity = pallet.error(
    "AllNetworksInImmunity", 44, "All subnets are in the immunity period."
)
NotEnoughBalanceToPaySwapHotKey = pallet.error(
    "NotEnoughBalanceToPaySwapHotKey", 45, "Not enough balance to pay swapping hotkey."
)
NotRootSubnet = pallet.error(
    "NotRootSubnet", 46, "Netuid does not match for setting root network weights."
)
CanNotSetRootNetworkWeights = pallet.error(
    "CanNotSetRootNetworkWeights", 47, "Can not set weights for the root network."
)
NoNeuronIdAvailable = pallet.error("NoNeuronIdAvailable", 48, "No neuron ID is available.")
DelegateTakeTooLow = pallet.error("DelegateTakeTooLow", 49, "Delegate take is too low.")
DelegateTakeTooHigh = pallet.error("DelegateTakeTooHigh", 50, "Delegate take is too high.")
NoWeightsCommitFound = pallet.error(
    "NoWeightsCommitFound",
    51,
    "No commit found for the provided hotkey+netuid combination when attempting to reveal "
    "the weights.",
)
InvalidRevealCommitHashNotMatch = pallet.error(
    "InvalidRevealCommitHashNotMatch", 52, "Committed hash does not equal the hashed reveal data."
)
CommitRevealEnabled = pallet.error(
    "CommitRevealEnabled", 53, "Attempting to call set_weights when commit/reveal is enabled"
)
CommitRevealDisabled = pallet.error(
    "CommitRevealDisabled", 54, "Attemtping to commit/reveal weights when disabled."
)
LiquidAlphaDisabled = pallet.error(
    "LiquidAlphaDisabled", 55, "Attempting to set alpha high/low while disabled"
)
AlphaHighTooLow = pallet.error("AlphaHighTooLow", 56, "Alpha high is too low: alpha_high > 0.8")
AlphaLowOutOfRange = pallet.error(
    "AlphaLowOutOfRange", 57, "Alpha low is out of range: alpha_low > 0 && alpha_low < 0.8"
)
ColdKeyAlreadyAssociated = pallet.error(
    "ColdKeyAlreadyAssociated", 58, "The coldkey has already been swapped"
)
NotEnoughBalanceToPaySwapColdKey = pallet.error(
    "NotEnoughBalanceToPaySwapColdKey", 59, "The coldkey balance is not enough to pay for the swap"
)
InvalidChild = pallet.error(
    "InvalidChild", 60, "Attempting to set an invalid child for a hotkey on a network."
)
DuplicateChild = pallet.error("DuplicateChild", 61, "Duplicate child when setting children.")
ProportionOverflow = pallet.error(
    "ProportionOverflow", 62, "Proportion overflow when setting children."
)
TooManyChildren = pallet.error("TooManyChildren", 63, "Too many children MAX 5.")
TxRateLimitExceeded = pallet.error(
    "TxRateLimitExceeded", 64, "Default transaction rate limit exceeded."
)
ColdkeySwapAnnouncementNotFound = pallet.error(
    "ColdkeySwapAnnouncementNotFound", 65, "Coldkey swap announcement not found"
)
ColdkeySwapTooEarly = pallet.error("ColdkeySwapTooEarly", 66, "Coldkey swap too early.")
ColdkeySwapReannouncedTooEarly = pallet.error(
    "ColdkeySwapReannouncedTooEarly", 67, "Coldkey swap reannounced too early."
)
AnnouncedColdkeyHashDoesNotMatch = pallet.error(
    "AnnouncedColdkeyHashDoesNotMatch",
    68,
    "The announced coldkey hash does not match the new coldkey hash.",
)
ColdkeySwapAlreadyDisputed = pallet.error(
    "ColdkeySwapAlreadyDisputed", 69, "Coldkey swap already disputed"
)
NewColdKeyIsHotkey = pallet.error("NewColdKeyIsHotkey", 70, "New coldkey is hotkey")
InvalidChildkeyTake = pallet.error("InvalidChildkeyTake", 71, "Childkey take is invalid.")
TxChildkeyTakeRateLimitExceeded = pallet.error(
    "TxChildkeyTakeRateLimitExceeded", 72, "Childkey take rate limit exceeded."
)
InvalidIdentity = pallet.error("InvalidIdentity", 73, "Invalid identity.")
MechanismDoesNotExist = pallet.error(
    "MechanismDoesNotExist", 74, "Subnet mechanism does not exist."
)
StakeUnavailable = pallet.error(
    "StakeUnavailable", 75, "Trying to unstake or re-lock the locked amount."
)
SubnetNotExists = pallet.error(
    "SubnetNotExists", 76, "Trying to perform action on non-existent subnet."
)
TooManyUnrevealedCommits = pallet.error(
    "TooManyUnrevealedCommits", 77, "Maximum commit limit reached"
)
ExpiredWeightCommit = pallet.error(
    "ExpiredWeightCommit", 78, "Attempted to reveal weights that are expired."
)
RevealTooEarly = pallet.error("RevealTooEarly", 79, "Attempted to reveal weights too early.")
InputLengthsUnequal = pallet.error(
    "InputLengthsUnequal",
    80,
    "Attempted to batch reveal weights with mismatched vector input lenghts.",
)
CommittingWeightsTooFast = pallet.error(
    "CommittingWeightsTooFast", 81, "A transactor exceeded the rate limit for setting weights."
)
AmountTooLow = pallet.error("AmountTooLow", 82, "Stake amount is too low.")
InsufficientLiquidity = pallet.error("InsufficientLiquidity", 83, "Not enough liquidity.")
SlippageTooHigh = pallet.error("SlippageTooHigh", 84, "Slippage is too high for the transaction.")
TransferDisallowed = pallet.error("TransferDisallowed", 85, "Subnet disallows transfer.")
ActivityCutoffTooLow = pallet.error(
    "ActivityCutoffTooLow", 86, "Activity cutoff is being set too low."
)
CallDisabled = pallet.error("CallDisabled", 87, "Call is disabled")
FirstEmissionBlockNumberAlreadySet = pallet.error(
    "FirstEmissionBlockNumberAlreadySet", 88, "FirstEmissionBlockNumber is already set."
)
NeedWaitingMoreBlocksToStarCall = pallet.error(
    "NeedWaitingMoreBlocksToStarCall",
    89,
    "need wait for more blocks to accept the start call extrinsic.",
)
NotEnoughAlphaOutToRecycle = pallet.error(
    "NotEnoughAlphaOutToRecycle", 90, "Not enough AlphaOut on the subnet to recycle"
)
CannotBurnOrRecycleOnRootSubnet = pallet.error(
    "CannotBurnOrRecycleOnRootSubnet", 91, "Cannot burn or recycle TAO from root subnet"
)
UnableToRecoverPublicKey = pallet.error(
    "UnableToRecoverPublicKey", 92, "Public key cannot be recovered."
)
InvalidRecoveredPublicKey = pallet.error(
    "InvalidRecoveredPublicKey", 93, "Recovered public key is invalid."
)
SubtokenDisabled = pallet.error("SubtokenDisabled", 94, "SubToken disabled now")
HotKeySwapOnSubnetIntervalNotPassed = pallet.error(
    "HotKeySwapOnSubnetIntervalNotPassed", 95, "Too frequent hotkey swap on subnet"
)
KeepStakeBlockedByCollateral = pallet.error(
    "KeepStakeBlockedByCollateral",
    96,
    "`keep_stake` hotkey swap refused because the old hotkey still has standing miner "
    "collateral. Stake would stay on the old key while the UID moves, stranding the bond. "
    "Swap with `keep_stake=false` so collateral migrates with the UID (lineage maps track "
    "the rename).",
)
SameNetuid = pallet.error("SameNetuid", 97, "Invalid netuid duplication")
InsufficientTaoBalance = pallet.error(
    "InsufficientTaoBalance", 98, "The caller does not have enough TAO balance for the operation."
)
InvalidLeaseBeneficiary = pallet.error(
    "InvalidLeaseBeneficiary", 99, "Invalid lease beneficiary to register the leased network."
)
LeaseCannotEndInThePast = pallet.error(
    "LeaseCannotEndInThePast", 100, "Lease cannot end in the past."
)
LeaseNetuidNotFound = pallet.error("LeaseNetuidNotFound", 101, "Couldn't find the lease netuid.")
LeaseDoesNotExist = pallet.error("LeaseDoesNotExist", 102, "Lease does not exist.")
LeaseHasNoEndBlock = pallet.error("LeaseHasNoEndBlock", 103, "Lease has no end block.")
LeaseHasNotEnded = pallet.error("LeaseHasNotEnded", 104, "Lease has not ended.")
Overflow = pallet.error("Overflow", 105, "An overflow occurred.")
BeneficiaryDoesNotOwnHotkey = pallet.error(
    "BeneficiaryDoesNotOwnHotkey", 106, "Beneficiary does not own hotkey."
)
ExpectedBeneficiaryOrigin = pallet.error(
    "ExpectedBeneficiaryOrigin", 107, "Expected beneficiary origin."
)
AdminActionProhibitedDuringWeightsWindow = pallet.error(
    "AdminActionProhibitedDuringWeightsWindow",
    108,
    "Admin operation is prohibited during the protected weights window",
)
SymbolDoesNotExist = pallet.error("SymbolDoesNotExist", 109, "Symbol does not exist.")
SymbolAlreadyInUse = pallet.error("SymbolAlreadyInUse", 110, "Symbol already in use.")
IncorrectCommitRevealVersion = pallet.error(
    "IncorrectCommitRevealVersion", 111, "Incorrect commit-reveal version."
)
InvalidRevealRound = pallet.error(
    "InvalidRevealRound", 112, "Reveal round is older than the most recently stored DRAND round."
)
RevealPeriodTooLarge = pallet.error("RevealPeriodTooLarge", 113, "Reveal period is too large.")
RevealPeriodTooSmall = pallet.error("RevealPeriodTooSmall", 114, "Reveal period is too small.")
InvalidValue = pallet.error("InvalidValue", 115, "Generic error for out-of-range parameter value")
SubnetLimitReached = pallet.error(
    "SubnetLimitReached", 116, "Subnet limit reached & there is no eligible subnet to prune"
)
CannotAffordLockCost = pallet.error(
    "CannotAffordLockCost", 117, "Insufficient funds to meet the subnet lock cost"
)
EvmKeyAssociateRateLimitExceeded = pallet.error(
    "EvmKeyAssociateRateLimitExceeded", 118, "exceeded the rate limit for associating an EVM key."
)
EvmKeyAssociationLimitExceeded = pallet.error(
    "EvmKeyAssociationLimitExceeded",
    119,
    "The EVM address already has the maximum number of associated UIDs on this subnet.",
)
SameAutoStakeHotkeyAlreadySet = pallet.error(
    "SameAutoStakeHotkeyAlreadySet", 120, "Same auto stake hotkey already set"
)
UidMapCouldNotBeCleared = pallet.error(
    "UidMapCouldNotBeCleared", 121, "The UID map for the subnet could not be cleared"
)
TrimmingWouldExceedMaxImmunePercentage = pallet.error(
    "TrimmingWouldExceedMaxImmunePercentage",
    122,
    "Trimming would exceed the max immune neurons percentage",
)
ChildParentInconsistency = pallet.error(
    "ChildParentInconsistency", 123, "Violating the rules of Childkey-Parentkey consistency"
)
InvalidRootClaimThreshold = pallet.error(
    "InvalidRootClaimThreshold", 124, "Invalid value of root claim threshold"
)
TooManyUIDsPerMechanism = pallet.error(
    "TooManyUIDsPerMechanism",
    125,
    "The maximum allowed UIDs times mechanism count should not exceed 256.",
)
VotingPowerTrackingNotEnabled = pallet.error(
    "VotingPowerTrackingNotEnabled", 126, "Voting power tracking is not enabled for this subnet."
)
InvalidVotingPowerEmaAlpha = pallet.error(
    "InvalidVotingPowerEmaAlpha", 127, "Invalid voting power EMA alpha value (must be <= 10^18)."
)
Deprecated = pallet.error("Deprecated", 128, "Deprecated call.")
SubnetBuybackRateLimitExceeded = pallet.error(
    "SubnetBuybackRateLimitExceeded", 129, "Subnet buyback exceeded the operation rate limit"
)
NetworkDissolveAlreadyQueued = pallet.error(
    "NetworkDissolveAlreadyQueued", 130, "Network already in dissolved queue"
)
AddStakeBurnRateLimitExceeded = pallet.error(
    "AddStakeBurnRateLimitExceeded", 131, '"Add stake and burn" exceeded the operation rate limit'
)
ColdkeySwapAnnounced = pallet.error(
    "ColdkeySwapAnnounced", 132, "A coldkey swap has been announced for this account."
)
ColdkeySwapDisputed = pallet.error(
    "ColdkeySwapDisputed", 133, "A coldkey swap for this account is under dispute."
)
ColdkeySwapClearTooEarly = pallet.error(
    "ColdkeySwapClearTooEarly", 134, "Coldkey swap clear too early."
)
DisabledTemporarily = pallet.error("DisabledTemporarily", 135, "Disabled temporarily.")
RegistrationPriceLimitExceeded = pallet.error(
    "RegistrationPriceLimitExceeded", 136, "Registration Price Limit Exceeded"
)
LockHotkeyMismatch = pallet.error(
    "LockHotkeyMismatch", 137, "Lock hotkey mismatch: existing lock is for a different hotkey."
)
InsufficientStakeForLock = pallet.error(
    "InsufficientStakeForLock", 138, "Insufficient stake on subnet to cover the lock amount."
)
NoExistingLock = pallet.error(
    "NoExistingLock", 139, "No existing lock found for the given coldkey and subnet."
)
ActiveLockExists = pallet.error(
    "ActiveLockExists", 140, "There is already an active lock for the given coldkey."
)
CannotUseSystemAccount = pallet.error(
    "CannotUseSystemAccount", 141, "A system account cannot be used in this operation"
)
UnlockAmountTooHigh = pallet.error("UnlockAmountTooHigh", 142, "Trying to unlock more than locked")
WaitingForDissolvedSubnetCleanup = pallet.error(
    "WaitingForDissolvedSubnetCleanup", 143, "Waiting for dissolved subnet cleanup."
)
TempoOutOfBounds = pallet.error(
    "TempoOutOfBounds", 144, "The supplied tempo is outside the allowed range."
)
ActivityCutoffFactorMilliOutOfBounds = pallet.error(
    "ActivityCutoffFactorMilliOutOfBounds",
    145,
    "The supplied activity-cutoff factor is outside the allowed range.",
)
EpochTriggerAlreadyPending = pallet.error(
    "EpochTriggerAlreadyPending",
    146,
    "An epoch trigger is already pending for this subnet; wait for it to fire before "
    "triggering again.",
)
AutoEpochAlreadyImminent = pallet.error(
    "AutoEpochAlreadyImminent",
    147,
    "The next automatic epoch is already imminent; a manual trigger would have no effect.",
)
DynamicTempoBlockedByCommitReveal = pallet.error(
    "DynamicTempoBlockedByCommitReveal",
    148,
    "`trigger_epoch` is blocked because commit-reveal is enabled for this subnet: an out- "
    "of-band epoch would desync the CRv3 reveal window from the wall-clock Drand schedule "
    "and silently drop committed weights.",
)
AccountRejectsLockedAlpha = pallet.error(
    "AccountRejectsLockedAlpha", 149, "The destination coldkey rejects incoming locked alpha."
)
LockIdOverFlow = pallet.error(
    "LockIdOverFlow", 150, "The coldkey has already registered too many subnets"
)
StartCallNotReady = pallet.error(
    "StartCallNotReady", 151, "Need to wait more blocks to do the start call."
)
InsufficientAlphaBalance = pallet.error(
    "InsufficientAlphaBalance",
    152,
    "The caller does not have enough Alpha stake for the operation.",
)
ColdkeyCollateralIncomplete = pallet.error(
    "ColdkeyCollateralIncomplete",
    153,
    "Coldkey swap could not fully migrate miner collateral: the old coldkey's "
    "[`ColdkeyMinerCollateral`] aggregate remained non-zero after migrating every indexed "
    "collateral hotkey. Failing closed avoids under-locking the destination unstake guard.",
)
ColdkeyCollateralPositionsFull = pallet.error(
    "ColdkeyCollateralPositionsFull",
    154,
    "This coldkey already has the maximum number of distinct hotkeys with miner collateral "
    "on the subnet ([`crate::MAX_COLDKEY_COLLATERAL_HOTKEYS`]).",
)
BasketHasNoWeights = pallet.error(
    "BasketHasNoWeights",
    155,
    "Retired (kept for SCALE index stability): direct basket deposits into a fund with no "
    "holdings are held as the fund's root (TAO cash) slot instead of erroring.",
)
RootStakeLocked = pallet.error(
    "RootStakeLocked",
    156,
    "Root (netuid 0) stake is still within its `RootStakeUnlockInterval` hold window "
    "(measured from the last root stake add/remove/claim for that coldkey/hotkey) and "
    "cannot leave root yet. Prevents epoch-boundary just-in-time dividend sniping.",
)
BetaBasketSeedInProgress = pallet.error(
    "BetaBasketSeedInProgress",
    157,
    "The `migrate_seed_beta_basket_v2` seed has not completed. Basket deposits, claims, "
    "coldkey / root-touching hotkey swaps, and root stake add/remove/transfer/swap are "
    "paused until it finishes so snapshotted conversion cannot desync from live stake (`Σ "
    "owed == BasketShares`).",
)
RootWeightSettingDisabled = pallet.error(
    "RootWeightSettingDisabled",
    158,
    "Retired (kept for SCALE index stability): the `set_root_weights` extrinsic and its "
    "network-wide gate were removed. Funds have no target vector; dividends accumulate in "
    "place and composition changes only through `swap_basket`.",
)
RootClaimTooHeavy = pallet.error(
    "RootClaimTooHeavy",
    159,
    "A root claim would process more root hotkeys and basket rows than the fixed admission "
    "envelope. Use `claim_root_with_hotkey` per validator so admission weight matches the "
    "holdings actually walked.",
)
RootWeightCapExceeded = pallet.error(
    "RootWeightCapExceeded",
    160,
    "Retired (kept for SCALE index stability on the 463 testnet/devnet runtime): "
    "`set_root_weights` concentration cap. The live guard is "
    "[`Error::BasketConcentrationCapExceeded`].",
)
BasketDepositPending = pallet.error(
    "BasketDepositPending",
    161,
    "A queued root-dividend deposit could not be settled. Operations which change the "
    "hotkey's root claimant base must retry after the deposit becomes executable.",
)
InvalidBatchLength = pallet.error(
    "InvalidBatchLength",
    162,
    "A per-subnet weight batch is empty or has more items than there are networks.",
)
TooManyStakingHotkeys = pallet.error(
    "TooManyStakingHotkeys",
    163,
    "The destination coldkey already stakes through the maximum number of hotkeys that "
    "third-party transfers may add, or the signer's own `StakingHotkeys` list is at its "
    "cap. Staking to a hotkey the coldkey already stakes through is still accepted.",
)
ColdkeySwapTooHeavy = pallet.error(
    "ColdkeySwapTooHeavy",
    164,
    "The coldkey stakes through more hotkeys, or holds more stake positions, than a coldkey "
    "swap can move in one call. Consolidate (unstake or move stake) first.",
)
BasketConcentrationCapExceeded = pallet.error(
    "BasketConcentrationCapExceeded",
    165,
    "A `swap_basket` buy would leave the destination holding above "
    "[`crate::BasketConcentrationCap`] of fund NAV (holdings marked at realizable value). "
    "With the cap at 1/16 a traded fund must spread across at least 16 holdings. Not "
    "enforced while the chain has fewer subnets than the cap demands.",
)
BasketTradingDisabled = pallet.error(
    "BasketTradingDisabled",
    166,
    "`swap_basket` is disabled network-wide ([`crate::BasketTradingEnabled`] is false).",
)
BasketTradingFrozen = pallet.error(
    "BasketTradingFrozen",
    167,
    "Basket trading is frozen for this validator hotkey by governance "
    "([`crate::BasketTradingFrozen`]).",
)
BasketTurnoverBudgetExceeded = pallet.error(
    "BasketTurnoverBudgetExceeded",
    168,
    "The trade would push more TAO through the fund than its turnover bucket holds "
    "([`crate::BasketDailyTurnoverCap`] of fund NAV, refilling over "
    "[`crate::BASKET_TRADE_REFILL_BLOCKS`]). Wait for the bucket to refill or trade a "
    "smaller amount.",
)
BasketSameSubnet = pallet.error(
    "BasketSameSubnet", 169, "`swap_basket` origin and destination are the same subnet."
)
BasketLiquidityCapExceeded = pallet.error(
    "BasketLiquidityCapExceeded",
    170,
    "The trade would leave the fund holding more of the destination subnet than "
    "[`crate::BasketLiquidityCap`] allows as a share of that subnet's alpha reserve. Trade "
    "a smaller amount or pick a deeper pool.",
)
BasketMinOutNotMet = pallet.error(
    "BasketMinOutNotMet",
    171,
    "The `swap_basket` buy leg credited less than the caller's `min_amount_out` "
    "(destination alpha, or TAO when the destination is root). The trade rolled back. Re- "
    "quote and retry, or lower the floor.",
)
BasketSwapBatchEmpty = pallet.error(
    "BasketSwapBatchEmpty",
    172,
    "A `swap_basket_many` call contained no trade legs. Submit at least one leg; the "
    "bounded call argument enforces the maximum at decode time.",
)
CommitPayloadTooLarge = pallet.error(
    "CommitPayloadTooLarge", 173, "Ciphertext exceeds the selected consensus mode's payload limit."
)
CommitQueueFull = pallet.error(
    "CommitQueueFull",
    174,
    "The subnet's shared Null timelock queue has reached its byte or count budget.",
)
