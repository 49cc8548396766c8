"""Short names for the field types of runtime API answers, which are mostly compact integers."""

from __future__ import annotations

from chain.runtime.pallets.subtensor import records
from chain.scale import U8, U16, U64, U128, Boolean, Bytes, Codec, Compact, Option, Vector, codec
from chain.types import AccountId, Alpha, NetUid, Rao

C8: Codec[int] = Compact(codec(U8))
C16: Codec[int] = Compact(codec(U16))
C64: Codec[int] = Compact(codec(U64))
C128: Codec[int] = Compact(codec(U128))
C_NETUID: Codec[int] = Compact(codec(NetUid))
C_RAO: Codec[int] = Compact(codec(Rao))
C_ALPHA: Codec[int] = Compact(codec(Alpha))
ACCOUNT = codec(AccountId)
BOOL = Boolean()
BYTES = Bytes()
COMPACT_TEXT: Codec[list[int]] = Vector(C8)
"""Text as compact bytes: those from 64 up take two."""
SUBNET_IDENTITY = Option(codec(records.SubnetIdentityV3))
CHAIN_IDENTITY = Option(codec(records.ChainIdentityV2))
AXON = codec(records.AxonInfo)
PROMETHEUS = codec(records.PrometheusInfo)
FIXED_I128 = records.FIXED_I128
