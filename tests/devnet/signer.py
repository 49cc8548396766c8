"""Signed extrinsics for a node in this process, composed by the SDK's core from its metadata."""

from __future__ import annotations

from typing import Any, Protocol

from bittensor_core import Runtime

from chain.devnet.node import Node


class Key(Protocol):
    """What signs."""

    @property
    def public_key(self) -> bytes: ...
    @property
    def crypto_type(self) -> int: ...
    def sign(self, payload: bytes) -> bytes: ...


class Blank:
    """Somebody's key without the key: 64 zero bytes."""

    crypto_type = 1

    def __init__(self, account: bytes) -> None:
        self.public_key = bytes(account)

    def sign(self, payload: bytes) -> bytes:
        return bytes(64)


class Signer:
    """Makes immortal extrinsics and counts nonces itself."""

    def __init__(self, node: Node) -> None:
        version = node.engine.runtime_version()
        self.core = Runtime(
            node.engine.metadata(15), version.spec_version, version.transaction_version
        )
        self._genesis = node.store.genesis.hash
        self.nonces: dict[bytes, int] = {}

    def sign(self, key: Key, call: str, **args: Any) -> bytes:
        """`call` is "Pallet.call"; the nonce is one more than the last of this key."""
        call_bytes = self.core.compose_call(*call.split("."), args)
        nonce = self.nonces.setdefault(bytes(key.public_key), 0)
        self.nonces[bytes(key.public_key)] += 1
        common = {"era": "00", "nonce": nonce, "tip": 0, "tip_asset_id": None}
        payload = self.core.signature_payload(
            call_bytes, genesis_hash=self._genesis, era_block_hash=self._genesis, **common
        )
        raw, _ = self.core.encode_signed_extrinsic(
            call_bytes,
            public_key=bytes(key.public_key),
            signature=bytes(key.sign(payload)),
            signature_version=key.crypto_type,
            **common,
        )
        return bytes(raw)
