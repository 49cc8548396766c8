"""Drand: rounds of a randomness beacon, by which what was sealed to them is opened.

The beacon is drand's quicknet: a round every three seconds, each with a BLS signature that nobody
can make before its time. Whoever brings a round's pulse to the chain is not asked who he is: the
signature proves itself, here by opening something that was sealed to the round. Fetching pulses is
the node's work. The beacon cannot be another one: its public key is built into the sealing.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import bittensor_core

from chain.errors import InvalidTransaction
from chain.runtime.extrinsic import SIGNATURE, unsigned
from chain.runtime.frame import Call, Ctx, Pallet, ensure, ensure_none, ensure_root
from chain.runtime.state import StateReader
from chain.scale import U32, U64, Bytes, Codec, FixedBytes, Option, Tagged, Variants, compact

pallet = Pallet("Drand", 26, path="pallet_drand")

QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
"""The beacon's chain hash."""
PERIOD_S = 3
PULSES_A_CALL = 10
"""The worker of a real node brings 50; ten are verified here in less than a tenth of a second."""
PULSES_KEPT = 216_000
PRUNED_AT_ONCE = 100
PRIORITY = 2**20 + 10_000
LONGEVITY = 5

pallet.constant("UnsignedPriority", U64, 2**20)
pallet.constant("HttpFetchTimeout", U64, 1_000)

Short = Annotated[bytes, Bytes(limit=32)]
SIGNER: Codec[Tagged] = Variants(
    ("sp_runtime", "MultiSigner"),
    (
        (0, "Ed25519", FixedBytes(32)),
        (1, "Sr25519", FixedBytes(32)),
        (2, "Ecdsa", FixedBytes(33)),
    ),
)


@dataclass(frozen=True)
class Metadata:
    """Which of drand's beacons it is."""

    __scale_path__ = ("pallet_drand", "types", "Metadata")
    beacon_id: Short


@dataclass(frozen=True)
class BeaconConfiguration:
    """What drand publishes about a beacon; times in seconds."""

    __scale_path__ = ("pallet_drand", "types", "BeaconConfiguration")
    public_key: Annotated[bytes, Bytes(limit=96)]
    period: U32
    genesis_time: U32
    hash: Short
    group_hash: Short
    scheme_id: Short
    metadata: Metadata


@dataclass(frozen=True)
class Pulse:
    """One round: its signature (a compressed point of G1, 48 bytes) and the SHA-256 of that."""

    __scale_path__ = ("pallet_drand", "types", "Pulse")
    round: U64
    randomness: Short
    signature: Annotated[bytes, Bytes(limit=144)]


@dataclass(frozen=True)
class PulsesPayload:
    """What the worker of a node brings: pulses in order of their rounds."""

    __scale_path__ = ("pallet_drand", "types", "PulsesPayload")
    block_number: U32
    pulses: list[Pulse]
    public: Annotated[Tagged, SIGNER]


CONFIGURATION = BeaconConfiguration(
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c"
        "8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb"
        "5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
    period=PERIOD_S,
    genesis_time=1_692_803_367,
    hash=bytes.fromhex(QUICKNET),
    group_hash=bytes.fromhex("f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"),
    scheme_id=b"bls-unchained-g1-rfc9380",
    metadata=Metadata(b"quicknet"),
)

BeaconConfig = pallet.value("BeaconConfig", BeaconConfiguration, default=CONFIGURATION)
Pulses = pallet.map("Pulses", U64, Pulse)
LastStoredRound = pallet.value("LastStoredRound", U64, default=0)
OldestStoredRound = pallet.value("OldestStoredRound", U64, default=0)
NextUnsignedAt = pallet.value("NextUnsignedAt", U32, default=0)


@pallet.event(0)
@dataclass(frozen=True)
class BeaconConfigChanged:
    """Beacon Configuration has changed."""


@pallet.event(1)
@dataclass(frozen=True)
class NewPulse:
    """Successfully set a new pulse(s)."""

    rounds: list[U64]


@pallet.event(2, named=False)
@dataclass(frozen=True)
class SetOldestStoredRound:
    """Oldest Stored Round has been set."""

    round: U64


NoneValue = pallet.error("NoneValue", 0)
StorageOverflow = pallet.error("StorageOverflow", 1)
DrandConnectionFailure = pallet.error("DrandConnectionFailure", 2)
UnverifiedPulse = pallet.error("UnverifiedPulse", 3)
InvalidRoundNumber = pallet.error("InvalidRoundNumber", 4)
PulseVerificationError = pallet.error("PulseVerificationError", 5)

# What a signature opens


def envelope(sealed: bytes, round: int) -> bytes:
    """A sealed text as `bittensor_core` takes it: the text with its length, and its round."""
    return compact(len(sealed)) + sealed + round.to_bytes(8, "little")


def unseal(sealed: bytes, pulse: Pulse) -> bytes | None:
    """What is inside, or None when it was not sealed to the pulse's round."""
    try:
        text: bytes = bittensor_core.decrypt_with_signature(
            envelope(sealed, pulse.round), pulse.signature.hex()
        )
    except ValueError:
        return None
    return text


@functools.lru_cache(maxsize=4 * PULSES_A_CALL)
def is_genuine(pulse: Pulse) -> bool:
    """Whether the beacon signed this round.

    A probe that is sealed to the round can be opened by the beacon's signature and by nothing
    else. The probe is sealed with fresh randomness, which the answer does not depend on.
    """
    if pulse.randomness != hashlib.sha256(pulse.signature).digest():
        return False
    sealed, _ = bittensor_core.encrypt_at_round(b"probe", pulse.round)
    try:
        bittensor_core.decrypt_with_signature(sealed, pulse.signature.hex())
    except ValueError:
        return False
    return True


# Calls


@pallet.call(0, pays=False)
def write_pulse(
    ctx: Ctx,
    pulses_payload: PulsesPayload,
    signature: Annotated[Tagged | None, Option(SIGNATURE)],
) -> None:
    """Store pulses that the beacon signed, newer than all before. Those it did not are left out."""
    # ORIGIN
    ensure_none(ctx)

    # CHECKS
    last = LastStoredRound.get(ctx)
    genuine = [pulse for pulse in pulses_payload.pulses if is_genuine(pulse)]
    for pulse in genuine:
        ensure(pulse.round > last, InvalidRoundNumber)
        last = pulse.round

    # EFFECTS
    if not genuine:
        return
    for pulse in genuine:
        Pulses.put(ctx, pulse.round, pulse)
    LastStoredRound.put(ctx, last)
    if not OldestStoredRound.get(ctx):
        OldestStoredRound.put(ctx, genuine[0].round)
    NextUnsignedAt.put(ctx, ctx.block + 1)
    _prune(ctx, last)

    # EVENT
    ctx.deposit(NewPulse([pulse.round for pulse in genuine]))


@pallet.call(2)
def set_oldest_stored_round(ctx: Ctx, oldest_round: U64) -> None:
    """Say from which round on pulses are pruned; root only."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    OldestStoredRound.put(ctx, oldest_round)

    # EVENT
    ctx.deposit(SetOldestStoredRound(oldest_round))


def _prune(ctx: Ctx, last: int) -> None:
    oldest = OldestStoredRound.get(ctx)
    end = min(last - PULSES_KEPT + 1, oldest + PRUNED_AT_ONCE)
    for round in range(oldest, end):
        Pulses.remove(ctx, round)
    if end > oldest:
        OldestStoredRound.put(ctx, end)


# Outside blocks


def ensure_unsigned(ctx: Ctx, call: Call) -> bytes:
    """The tag that an unsigned extrinsic provides: of a round, one is enough.

    Raises InvalidTransaction: BadSigner for all but `write_pulse`, Stale for rounds that are known,
    ExhaustsResources for too many, BadProof for what the beacon did not sign.
    """
    if (call.pallet, call.name) != (pallet.name, "write_pulse"):
        raise InvalidTransaction("BadSigner")
    pulses: Sequence[Pulse] = call.args["pulses_payload"].pulses
    if len(pulses) > PULSES_A_CALL:
        raise InvalidTransaction("ExhaustsResources")
    if not pulses or pulses[0].round <= LastStoredRound.get(ctx):
        raise InvalidTransaction("Stale")
    if not all(map(is_genuine, pulses)):
        raise InvalidTransaction("BadProof")
    return b"drand" + pulses[-1].round.to_bytes(8, "little")


def last_round(state: StateReader) -> int:
    """The newest round that is stored in `state`; 0 for none."""
    return int.from_bytes(state.get(LastStoredRound.prefix) or b"", "little")


def extrinsic(pulses: Sequence[Pulse], block: int) -> bytes:
    """The unsigned extrinsic that brings `pulses`, seen from `block`."""
    payload = PulsesPayload(block, list(pulses), Tagged("Sr25519", bytes(32)))
    args = {"pulses_payload": payload, "signature": None}
    return unsigned(Call(pallet.name, "write_pulse", args))
