"""The pallet's own data types, with the names metadata gives them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Self

from chain.scale import (
    I64,
    U8,
    U16,
    U32,
    U64,
    U128,
    Bytes,
    Codec,
    Integer,
    Newtype,
    Tuple,
    Variants,
    codec,
    declare,
)
from chain.types import AccountId, Alpha, NetUid

FIXED_I128: Codec[int] = Newtype(("substrate_fixed", "FixedI128"), Integer(128, True), int, "bits")
"""Raw bits of an I96F32 or I64F64."""
FIXED_U128: Codec[int] = Newtype(("substrate_fixed", "FixedU128"), Integer(128), int, "bits")
"""Raw bits of a U64F64 or U96F32."""
PER_U16: Codec[int] = Newtype(("sp_arithmetic", "per_things", "PerU16"), Integer(16), int)
"""A proportion: value / 65535."""
MECH_ID: Codec[int] = Newtype(("subtensor_runtime_common", "MechId"), Integer(8), int)

MechId = Annotated[int, MECH_ID]
Fixed128 = Annotated[int, FIXED_U128]
PerU16 = Annotated[int, PER_U16]


class StorageIndex(int):
    """`NetUidStorageIndex`: mecid * 4096 + netuid, the key of what each mechanism has its own."""

    __slots__ = ()

    @classmethod
    def of(cls, netuid: NetUid, mecid: int = 0) -> Self:
        """The index of mechanism `mecid` of subnet `netuid`."""
        return cls(mecid * 4096 + int(netuid))


declare(
    StorageIndex,
    Newtype(("subtensor_runtime_common", "NetUidStorageIndex"), Integer(16), StorageIndex),
)


class RecycleOrBurn(enum.IntEnum):
    """What happens to incentive of the subnet owner's own hotkeys."""

    __scale_path__ = ("pallet_subtensor", "pallet", "RecycleOrBurnEnum")
    Burn = 0
    Recycle = 1


@dataclass(frozen=True)
class AxonInfo:
    """Where a neuron serves. `ip` is the address as a number."""

    __scale_path__ = ("pallet_subtensor", "pallet", "AxonInfo")
    block: U64
    version: U32
    ip: U128
    port: U16
    ip_type: U8
    protocol: U8
    placeholder1: U8
    placeholder2: U8


NO_AXON = AxonInfo(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class PrometheusInfo:
    """Where a neuron's metrics are."""

    __scale_path__ = ("pallet_subtensor", "pallet", "PrometheusInfo")
    block: U64
    version: U32
    ip: U128
    port: U16
    ip_type: U8


NO_PROMETHEUS = PrometheusInfo(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class NeuronCertificate:
    """A TLS public key."""

    __scale_path__ = ("pallet_subtensor", "pallet", "NeuronCertificate")
    public_key: Annotated[bytes, Bytes(limit=64)]
    algorithm: U8


@dataclass(frozen=True)
class ChainIdentityV2:
    """Who a coldkey says it is."""

    __scale_path__ = ("pallet_subtensor", "pallet", "ChainIdentityV2")
    name: bytes
    url: bytes
    github_repo: bytes
    image: bytes
    discord: bytes
    description: bytes
    additional: bytes


@dataclass(frozen=True)
class SubnetIdentityV3:
    """What a subnet says it is."""

    __scale_path__ = ("pallet_subtensor", "pallet", "SubnetIdentityV3")
    subnet_name: bytes
    github_repo: bytes
    subnet_contact: bytes
    subnet_url: bytes
    discord: bytes
    description: bytes
    logo_url: bytes
    additional: bytes


@dataclass(frozen=True)
class SafeFloat:
    """mantissa * 10^exponent, the number of a share pool."""

    __scale_path__ = ("share_pool", "SafeFloat")
    mantissa: U128
    exponent: I64


@dataclass(frozen=True)
class LockState:
    """A conviction lock."""

    __scale_path__ = ("pallet_subtensor", "staking", "lock", "LockState")
    locked_mass: U64
    conviction: Annotated[int, FIXED_U128]
    last_update: U64


@dataclass(frozen=True)
class MinerCollateralState:
    """Alpha a miner has pledged."""

    __scale_path__ = ("pallet_subtensor", "pallet", "MinerCollateralState")
    locked: Alpha
    min_locked: Alpha
    earned: Alpha
    drain_ratio: Annotated[int, FIXED_U128]


class EpochConsensus(enum.IntEnum):
    """How a subnet's epoch turns weights into incentive."""

    __scale_path__ = ("pallet_subtensor", "pallet", "EpochConsensus")
    Yuma = 0
    Null = 1


class Hyperparameter(enum.IntEnum):
    """What an owner's rate limit is counted by."""

    __scale_path__ = ("pallet_subtensor", "utils", "rate_limiting", "Hyperparameter")
    Unknown = 0
    ServingRateLimit = 1
    MaxDifficulty = 2
    AdjustmentAlpha = 3
    MaxWeightLimit = 4
    ImmunityPeriod = 5
    MinAllowedWeights = 6
    Kappa = 7
    Rho = 8
    ActivityCutoff = 9
    PowRegistrationAllowed = 10
    MinBurn = 11
    MaxBurn = 12
    BondsMovingAverage = 13
    BondsPenalty = 14
    CommitRevealEnabled = 15
    LiquidAlphaEnabled = 16
    AlphaValues = 17
    WeightCommitInterval = 18
    TransferEnabled = 19
    AlphaSigmoidSteepness = 20
    Yuma3Enabled = 21
    BondsResetEnabled = 22
    ImmuneNeuronLimit = 23
    RecycleOrBurn = 24
    MaxAllowedUids = 25
    BurnHalfLife = 26
    BurnIncreaseMult = 27
    SubnetEmissionEnabled = 28
    MinChildkeyTake = 29
    ActivityCutoffFactorMilli = 30
    TriggerEpoch = 31


RATE_LIMIT_KEY = Variants(
    ("pallet_subtensor", "RateLimitKey"),
    (
        (0, "SetSNOwnerHotkey", codec(NetUid)),
        (1, "OwnerHyperparamUpdate", Tuple((codec(NetUid), codec(Hyperparameter)))),
        (2, "NetworkLastRegistered", None),
        (3, "LastTxBlock", codec(AccountId)),
        (4, "LastTxBlockChildKeyTake", codec(AccountId)),
        (5, "LastTxBlockDelegateTake", codec(AccountId)),
        (6, "AddStakeBurn", codec(NetUid)),
    ),
    params=(("AccountId", codec(AccountId)),),
)

TIMELOCKED_COMMITS: Codec[Any] = codec(
    list[tuple[AccountId, U64, Annotated[bytes, Bytes(limit=5000)], U64]]
)
