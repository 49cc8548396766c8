"""The extrinsic envelope, format 4: who signs what, until when, as which transaction of theirs.

    signed:   compact length, 0x84, MultiAddress, MultiSignature, extensions, call
    unsigned: compact length, 0x04, call

Extensions in the extrinsic: era, compact nonce, compact tip, metadata-hash mode. Signed besides:
spec version, transaction version, genesis hash, hash of the era's birth block, metadata hash.
Reads and checks bytes; what a call does, and whether it is paid for, is not known here.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import ed25519_zebra
import sr25519

from chain.errors import InvalidTransaction, ScaleError
from chain.runtime.frame import RUNTIME_CALL, Call
from chain.runtime.pallets.balances import MULTI_ADDRESS
from chain.scale import (
    U8,
    U32,
    U64,
    UNIT,
    Codec,
    Compact,
    Described,
    Field,
    FixedBytes,
    Option,
    Reader,
    Shape,
    Tagged,
    Variants,
    VariantShape,
    codec,
    compact,
)
from chain.types import AccountId, blake2_256

SIGNED = 0x84
UNSIGNED = 0x04
EXTRINSIC_VERSION = 4
HASHED_ABOVE = 256
"""Payloads longer than this are signed by their hash."""
REMEMBERED = 8192
"""Extrinsics whose reading and verification is remembered: pool and author ask about each."""

# Types of the envelope

SIGNATURE: Codec[Tagged] = Variants(
    ("sp_runtime", "MultiSignature"),
    (
        (0, "Ed25519", FixedBytes(64)),
        (1, "Sr25519", FixedBytes(64)),
        (2, "Ecdsa", FixedBytes(65)),
    ),
)


@dataclass(frozen=True)
class Era:
    """For which blocks an extrinsic holds; `period` 0 is immortal."""

    period: int = 0
    phase: int = 0

    def birth(self, block: int) -> int:
        """The block the era began with, seen from `block`."""
        if not self.period:
            return 0
        return (max(block, self.phase) - self.phase) // self.period * self.period + self.phase

    def death(self, block: int) -> int:
        """The first block after the era."""
        return self.birth(block) + self.period if self.period else 2**64 - 1


def _read_era(reader: Reader) -> Era:
    first = reader.byte()
    if first == 0:
        return Era()
    encoded = first | reader.byte() << 8
    period = 2 << (encoded % 16)
    phase = (encoded >> 4) * max(period >> 12, 1)
    if period < 4 or phase >= period:
        raise ScaleError("invalid period and phase of an era")
    return Era(period, phase)


def _write_era(era: Era) -> bytes:
    if not era.period:
        return b"\x00"
    factor = max(era.period >> 12, 1)
    low = min(max(era.period.bit_length() - 2, 1), 15)
    return (low | era.phase // factor << 4).to_bytes(2, "little")


def _era_shape() -> Shape:
    """Immortal, or Mortal1..Mortal255: the first byte is the variant, one more byte follows."""
    mortal = tuple(VariantShape(f"Mortal{i}", i, (Field(codec(U8)),)) for i in range(1, 256))
    path = ("sp_runtime", "generic", "era", "Era")
    return Shape("variant", path, variants=(VariantShape("Immortal", 0), *mortal))


ERA: Codec[Era] = Described(_era_shape, _write_era, _read_era)
HASH = FixedBytes(32)
NONCE = Compact(codec(U32))
TIP = Compact(codec(U64))


@dataclass(frozen=True)
class Mode:
    """CheckMetadataHash: 0 off, 1 on."""

    __scale_path__ = ("frame_metadata_hash_extension", "Mode")


MODE = Variants(Mode.__scale_path__, ((0, "Disabled", None), (1, "Enabled", None)))


def _extension(
    crate: str, name: str, inner: Codec[Any] | None = None, field: str | None = None
) -> Codec[Any]:
    """The type of a signed extension in metadata: a composite, empty or of one field."""
    fields = (Field(inner, field),) if inner is not None else ()
    return Described(
        lambda: Shape("composite", (*crate.split("::"), name), fields=fields),
        lambda value: b"" if inner is None else inner.encode(value),
        lambda reader: () if inner is None else inner.read(reader),
    )


_CHECKS = "frame_system::extensions"
EXTENSIONS: tuple[tuple[str, Codec[Any], Codec[Any]], ...] = (
    (
        "CheckNonZeroSender",
        _extension(f"{_CHECKS}::check_non_zero_sender", "CheckNonZeroSender"),
        UNIT,
    ),
    (
        "CheckSpecVersion",
        _extension(f"{_CHECKS}::check_spec_version", "CheckSpecVersion"),
        codec(U32),
    ),
    ("CheckTxVersion", _extension(f"{_CHECKS}::check_tx_version", "CheckTxVersion"), codec(U32)),
    ("CheckGenesis", _extension(f"{_CHECKS}::check_genesis", "CheckGenesis"), HASH),
    ("CheckMortality", _extension(f"{_CHECKS}::check_mortality", "CheckMortality", ERA), HASH),
    (
        "CheckNonce",
        _extension(f"{_CHECKS}::check_nonce", "CheckNonce", NONCE),
        UNIT,
    ),
    ("CheckWeight", _extension(f"{_CHECKS}::check_weight", "CheckWeight"), UNIT),
    (
        "ChargeTransactionPayment",
        _extension("pallet_transaction_payment", "ChargeTransactionPayment", TIP),
        UNIT,
    ),
    (
        "SudoTransactionExtension",
        _extension("node_subtensor_runtime::sudo_wrapper", "SudoTransactionExtension"),
        UNIT,
    ),
    (
        "CheckShieldedTxValidity",
        _extension("pallet_shield::extension", "CheckShieldedTxValidity"),
        UNIT,
    ),
    (
        "SubtensorTransactionExtension",
        _extension("pallet_subtensor::extensions", "SubtensorTransactionExtension"),
        UNIT,
    ),
    ("DrandPriority", _extension("pallet_drand::drand_priority", "DrandPriority"), UNIT),
    (
        "CheckMetadataHash",
        _extension("frame_metadata_hash_extension", "CheckMetadataHash", MODE, "mode"),
        Option(HASH),
    ),
)
"""Name, type in the extrinsic, type of what is signed besides; the order is law."""


def _extra_shape() -> Shape:
    return Shape("tuple", items=tuple(extra for _, extra, _ in EXTENSIONS))


EXTRA: Codec[Any] = Described(_extra_shape, lambda _: b"", lambda _: ())


def _unchecked_shape(crate: tuple[str, ...], inner: Codec[Any]) -> Shape:
    params = (
        ("Address", MULTI_ADDRESS),
        ("Call", RUNTIME_CALL),
        ("Signature", SIGNATURE),
        ("Extra", EXTRA),
    )
    path = (*crate, "unchecked_extrinsic", "UncheckedExtrinsic")
    return Shape("composite", path, params, fields=(Field(inner),))


def _read_opaque(reader: Reader) -> bytes:
    length = reader.compact()
    return compact(length) + reader.take(length)


_GENERIC: Codec[bytes] = Described(
    lambda: _unchecked_shape(("sp_runtime", "generic"), codec(bytes)), bytes, _read_opaque
)
UNCHECKED_EXTRINSIC: Codec[bytes] = Described(
    lambda: _unchecked_shape(("fp_self_contained",), _GENERIC), bytes, _read_opaque
)
"""An extrinsic as its bytes, length included; `decode` reads them. As on the chain it wraps the
generic one, by whose path older clients look for the types of addresses and signatures."""


@dataclass(frozen=True)
class Signing:
    """Who signed an extrinsic, and its extensions."""

    account: AccountId
    signature: Tagged
    era: Era
    nonce: int
    tip: int
    metadata_mode: Tagged


@dataclass(frozen=True)
class Extrinsic:
    """A decoded extrinsic; `raw` is all of it, `call_bytes` and `extra_bytes` its parts."""

    raw: bytes
    call: Call
    call_bytes: bytes
    extra_bytes: bytes = b""
    signing: Signing | None = None

    @property
    def hash(self) -> bytes:
        """blake2-256 of the extrinsic as submitted."""
        return blake2_256(self.raw)


@functools.lru_cache(maxsize=REMEMBERED // 4)
def decode(raw: bytes) -> Extrinsic:
    """Read an extrinsic. Raises ScaleError saying what is wrong with it.

    The result is shared: calls do not change their arguments.
    """
    reader = Reader(raw)
    length = reader.compact()
    if length != reader.remaining:
        raise ScaleError(f"an extrinsic of {length} bytes in {reader.remaining}")
    version = reader.byte()
    if version == UNSIGNED:
        start = reader.position
        call = RUNTIME_CALL.read(reader)
        _ensure_end(reader)
        return Extrinsic(raw, call, raw[start:])
    if version != SIGNED:
        raise ScaleError(f"extrinsic version byte {version:#x}, expected 0x84 or 0x04")
    address = MULTI_ADDRESS.read(reader)
    if address.name != "Id":
        raise ScaleError(f"the signer is given as {address.name}, expected Id")
    signature = SIGNATURE.read(reader)
    extra_start = reader.position
    era = ERA.read(reader)
    nonce = NONCE.read(reader)
    tip = TIP.read(reader)
    mode = MODE.read(reader)
    call_start = reader.position
    call = RUNTIME_CALL.read(reader)
    _ensure_end(reader)
    signing = Signing(address.value, signature, era, nonce, tip, mode)
    return Extrinsic(raw, call, raw[call_start:], raw[extra_start:call_start], signing)


def _ensure_end(reader: Reader) -> None:
    if reader.remaining:
        raise ScaleError(f"{reader.remaining} bytes after the call")


def unsigned(call: Call) -> bytes:
    """An unsigned extrinsic, the form of an inherent."""
    body = bytes([UNSIGNED]) + RUNTIME_CALL.encode(call)
    return compact(len(body)) + body


@dataclass(frozen=True)
class Implicit:
    """What is signed without being sent."""

    spec_version: int
    transaction_version: int
    genesis_hash: bytes
    birth_hash: bytes

    def encode(self) -> bytes:
        """In the order of the extensions; the metadata hash is always absent."""
        return b"".join(
            (
                self.spec_version.to_bytes(4, "little"),
                self.transaction_version.to_bytes(4, "little"),
                self.genesis_hash,
                self.birth_hash,
                b"\x00",
            )
        )


def is_blank(signing: Signing) -> bool:
    """Whether the signature is all zeros, which is nobody's signature of anything."""
    return not any(signing.signature.value)


def ensure_signature(extrinsic: Extrinsic, implicit: Implicit) -> None:
    """Raise InvalidTransaction.BadProof unless the signer signed exactly this extrinsic."""
    signing = extrinsic.signing
    if signing is None or signing.metadata_mode.name != "Disabled":
        raise InvalidTransaction("BadProof")
    payload = extrinsic.call_bytes + extrinsic.extra_bytes + implicit.encode()
    if len(payload) > HASHED_ABOVE:
        payload = blake2_256(payload)
    signature: Tagged = signing.signature
    if not _verified(signature.name, signature.value, payload, signing.account):
        raise InvalidTransaction("BadProof")


@functools.lru_cache(maxsize=REMEMBERED)
def _verified(scheme: str, signature: bytes, payload: bytes, account: AccountId) -> bool:
    # These verifiers are strict: a signature over <Bytes>payload</Bytes> is not one over payload.
    try:
        if scheme == "Sr25519":
            return bool(sr25519.verify(signature, payload, bytes(account)))
        if scheme == "Ed25519":
            return bool(ed25519_zebra.ed_verify(signature, payload, bytes(account)))
    except ValueError:  # bytes that are no point of the curve: not a key, not a signature
        return False
    return False  # ecdsa accounts are not keys of this chain's clients
