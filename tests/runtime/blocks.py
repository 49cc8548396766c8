"""A chain in a dict for tests of the runtime, and a stranger that signs for it.

Extrinsics are composed and signed by the SDK's own core from our metadata, never by our codec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bittensor_core

from chain.devnet.engine import BuiltBlock, Header, Validity
from chain.devnet.engines.python import PythonEngine
from chain.runtime.frame import Block, Ctx
from chain.runtime.genesis import GenesisConfig
from chain.runtime.runtime import SPEC_VERSION, TRANSACTION_VERSION, RuntimeConfig
from chain.runtime.state import State
from chain.types import AccountId, Rao

ALICE = bittensor_core.Keypair.create_from_uri("//Alice")
BOB = bittensor_core.Keypair.create_from_uri("//Bob")
RICH = Rao(10**15)


def account(keypair: Any) -> AccountId:
    """The account of a key."""
    return AccountId(bytes(keypair.public_key))


@dataclass
class DictState:
    """A state reader over a dict."""

    values: dict[bytes, bytes]

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        found = sorted(
            k for k in self.values if k.startswith(prefix) and (start is None or k > start)
        )
        return found if count is None else found[:count]


@dataclass
class Chain:
    """The Python engine with its state in a dict; Alice is root and author."""

    engine: PythonEngine
    state: DictState = field(init=False)
    head: Header = field(init=False)
    genesis_hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.state = DictState(dict(self.engine.genesis()))
        self.head = Header(bytes(32), 0, bytes(32), bytes(32))
        self.genesis_hash = self.head.hash()
        self.core = bittensor_core.Runtime(
            self.engine.metadata(15), SPEC_VERSION, TRANSACTION_VERSION
        )

    @classmethod
    def fresh(cls) -> Chain:
        rich = tuple((account(keypair), RICH) for keypair in (ALICE, BOB))
        config = RuntimeConfig(GenesisConfig(rich, account(ALICE)), account(ALICE))
        return cls(PythonEngine(config))

    def ctx(self) -> Ctx:
        """A context to read the head's state with."""
        return Ctx(Block(State(self.state), self.head.number))

    def call(self, module: str, function: str, **params: Any) -> bytes:
        """A call in SCALE, composed by the SDK's core."""
        composed: bytes = self.core.compose_call(module, function, params)
        return composed

    def sign(
        self,
        keypair: Any,
        call: bytes,
        *,
        nonce: int = 0,
        tip: int = 0,
        era: Any = "00",
        era_hash: bytes | None = None,
        genesis_hash: bytes | None = None,
    ) -> bytes:
        """A signed extrinsic, made by the SDK's core."""
        payload = self.core.signature_payload(
            call,
            era=era,
            nonce=nonce,
            tip=tip,
            tip_asset_id=None,
            genesis_hash=genesis_hash or self.genesis_hash,
            era_block_hash=era_hash or self.genesis_hash,
        )
        raw, _ = self.core.encode_signed_extrinsic(
            call,
            public_key=bytes(keypair.public_key),
            signature=bytes(keypair.sign(payload)),
            signature_version=keypair.crypto_type,
            era=era,
            nonce=nonce,
            tip=tip,
            tip_asset_id=None,
        )
        signed: bytes = raw
        return signed

    def validate(self, raw: bytes) -> Validity:
        return self.engine.validate(self.state, self.head, raw)

    def block(self, *extrinsics: bytes) -> BuiltBlock:
        """Build the next block and make it the head."""
        timestamp = 1_000 + self.head.number * 250
        built = self.engine.build_block(self.state, self.head, extrinsics, timestamp)
        for key, value in built.changes.items():
            if value is None:
                self.state.values.pop(key, None)
            else:
                self.state.values[key] = value
        self.head = built.header
        return built

    def events(self) -> list[tuple[str, str, Any]]:
        """The head's events as the SDK's core reads them: pallet, event, attributes."""
        key = bytes(self.core.storage_key("System", "Events", []))
        kind = self.core.storage_entry("System", "Events").value_type
        records = self.core.decode(kind, self.state.values[key])
        events = [record["event"] for record in records]
        return [(e["module_id"], e["event_id"], e.get("attributes")) for e in events]
