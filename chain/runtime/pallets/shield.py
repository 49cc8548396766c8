"""MevShield: extrinsics carried encrypted until they are in a block.

A client encrypts a signed extrinsic to `NextKey` (ML-KEM-768, XChaCha20-Poly1305) and submits the
carrier; the block that takes the carrier also takes what is inside. A development chain keeps one
key pair for its life: the secret is the genesis configuration's, and nobody's secret.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

from chain.errors import InvalidTransaction
from chain.runtime.frame import Ctx, Pallet, ensure_signed, twox_128
from chain.scale import U32, Bytes
from chain.types import H256, AccountId, blake2_256

pallet = Pallet("MevShield", 30, path="pallet_shield")

MAX_ERA_PERIOD = 8
"""Blocks a carrier may live: the key it is encrypted to rotates on a real chain."""
KEY_HASH_BYTES = 16
NONCE_BYTES = 24
TAG_BYTES = 16

KEY = Bytes(limit=2048)
CurrentKey = pallet.value("CurrentKey", KEY)
PendingKey = pallet.value("PendingKey", KEY)
NextKey = pallet.value("NextKey", KEY)
PendingKeyExpiresAt = pallet.value("PendingKeyExpiresAt", U32)
NextKeyExpiresAt = pallet.value("NextKeyExpiresAt", U32)


@pallet.event(0)
@dataclass(frozen=True)
class EncryptedSubmitted:
    """Encrypted wrapper accepted."""

    id: H256
    who: AccountId


BadEncKeyLen = pallet.error("BadEncKeyLen", 0)
Unreachable = pallet.error("Unreachable", 1)
TooManyPendingExtrinsics = pallet.error("TooManyPendingExtrinsics", 2)
WeightExceedsAbsoluteMax = pallet.error("WeightExceedsAbsoluteMax", 3)


@pallet.call(1)
def submit_encrypted(ctx: Ctx, ciphertext: Annotated[bytes, Bytes(limit=8192)]) -> None:
    """Carry an encrypted extrinsic; what is inside follows in the same block."""
    # ORIGIN
    who = ensure_signed(ctx)

    # EVENT
    ctx.deposit(EncryptedSubmitted(H256(blake2_256(ciphertext)), who))


@functools.cache
def _key_pair(seed: bytes) -> MLKEM768PrivateKey:
    return MLKEM768PrivateKey.from_seed_bytes(seed)


def public_key(seed: bytes) -> bytes:
    """The 1184-byte encapsulation key of a 64-byte seed."""
    return _key_pair(seed).public_key().public_bytes_raw()


def ensure_known_key(ctx: Ctx, ciphertext: bytes) -> None:
    """Raise InvalidTransaction.Custom(24) unless the carrier names the published key."""
    key = NextKey.find(ctx)
    if key is None or ciphertext[:KEY_HASH_BYTES] != twox_128(key):
        raise InvalidTransaction("Custom", 24)


def unseal(seed: bytes, ciphertext: bytes) -> bytes:
    """The extrinsic inside a carrier: hash 16, length u16, KEM text, nonce 24, AEAD text and tag.

    Raises ValueError for anything that was not sealed to this key.
    """
    kem_length = int.from_bytes(ciphertext[KEY_HASH_BYTES : KEY_HASH_BYTES + 2], "little")
    kem_end = KEY_HASH_BYTES + 2 + kem_length
    kem_text = ciphertext[KEY_HASH_BYTES + 2 : kem_end]
    nonce = ciphertext[kem_end : kem_end + NONCE_BYTES]
    sealed = ciphertext[kem_end + NONCE_BYTES :]
    if len(sealed) < TAG_BYTES:
        raise ValueError("the carrier is too short")
    from Crypto.Cipher import ChaCha20_Poly1305  # a tenth of a node's start, and seldom needed

    secret = _key_pair(seed).decapsulate(kem_text)
    cipher = ChaCha20_Poly1305.new(key=secret, nonce=nonce)
    return cipher.decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:])
