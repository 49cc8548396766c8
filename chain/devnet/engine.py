"""What a node needs of a runtime: the `Engine` protocol and the values that cross it.

A runtime's state is only bytes -> bytes under the real Substrate storage keys; everything else
(pallets, calls, fees, epochs) stays behind this protocol. An engine holds no chain state: the same
arguments give the same answer. Errors that cross it are `InvalidTransaction`, `UnknownApi`,
`ScaleError` and, for cheats, `DispatchError` of `chain.errors`; any other exception is a bug of the
engine.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.errors import InvalidTransaction
from chain.scale import compact
from chain.types import blake2_256

__all__ = [
    "BuiltBlock",
    "Cheat",
    "Engine",
    "Header",
    "Impersonate",
    "RevealWeights",
    "RuntimeVersion",
    "SetBalance",
    "StateReader",
    "Validity",
    "extrinsics_root",
    "nonce_tag",
    "state_root",
]


class StateReader(Protocol):
    """The state after one block."""

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None."""

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Up to `count` existing keys under `prefix` in byte order, strictly after `start`."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block header. `digest` holds SCALE encoded digest items."""

    parent_hash: bytes
    number: int
    state_root: bytes
    extrinsics_root: bytes
    digest: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The SCALE encoding that clients hash for themselves."""
        return b"".join(
            (
                self.parent_hash,
                compact(self.number),
                self.state_root,
                self.extrinsics_root,
                compact(len(self.digest)),
                *self.digest,
            )
        )

    def hash(self) -> bytes:
        """The block hash: BLAKE2b-256 of the encoding."""
        return blake2_256(self.encode())


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """One block and what it does to the state; None in `changes` deletes the key.

    `extrinsics` are all that the block holds, inherents and opened shielded ones included;
    `rejected` are the candidates that were left out, each with the reason.
    """

    header: Header
    hash: bytes
    extrinsics: tuple[bytes, ...]
    changes: Mapping[bytes, bytes | None]
    rejected: tuple[tuple[bytes, InvalidTransaction], ...] = ()


@dataclass(frozen=True, slots=True)
class Validity:
    """How an extrinsic stands in the pool.

    It may enter a block once every tag of `requires` was provided, and only one of the next
    `longevity` blocks; of two that provide one tag, the higher `priority` stays.
    """

    requires: tuple[bytes, ...]
    provides: tuple[bytes, ...]
    longevity: int
    priority: int


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    """The runtime's name and numbers; `apis` are (BLAKE2b-64 of the trait name, version)."""

    spec_name: str
    impl_name: str
    authoring_version: int
    spec_version: int
    impl_version: int
    apis: tuple[tuple[bytes, int], ...]
    transaction_version: int
    system_version: int


@dataclass(frozen=True, slots=True)
class SetBalance:
    """Give `account` this much free balance, making or destroying what that takes."""

    account: bytes
    rao: int


@dataclass(frozen=True, slots=True)
class Impersonate:
    """Take extrinsics of `account` signed with 64 zero bytes, or no longer."""

    account: bytes
    enabled: bool


@dataclass(frozen=True, slots=True)
class RevealWeights:
    """Open the oldest sealed commit of `hotkey`, as if these weights had been in it."""

    netuid: int
    mecid: int
    hotkey: bytes
    uids: tuple[int, ...]
    weights: tuple[int, ...]


Cheat = SetBalance | Impersonate | RevealWeights
"""What only the master of a development chain may do, and only an engine knows how to."""


class Engine(Protocol):
    """A runtime as the node sees it."""

    def runtime_version(self) -> RuntimeVersion:
        """Name and versions; constant for the life of the engine."""

    def metadata(self, version: int = 14) -> bytes:
        """The SCALE metadata blob, which begins with b"meta"."""

    def genesis(self) -> Mapping[bytes, bytes]:
        """The state of block 0."""

    def call(self, state: StateReader, method: str, args: bytes) -> bytes:
        """Run the runtime API `method` ("AccountNonceApi_account_nonce") on SCALE `args`.

        Raises UnknownApi, and ScaleError for arguments that do not decode.
        """

    def validate(self, state: StateReader, head: Header, extrinsic: bytes) -> Validity:
        """Whether the pool may take `extrinsic`, `state` being that after `head`.

        A nonce that is too high is valid and has `requires`. Raises InvalidTransaction, and
        ScaleError for bytes that are not an extrinsic.
        """

    def build_block(
        self, state: StateReader, parent: Header, extrinsics: Sequence[bytes], timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent`: hooks, inherents, then the candidates in order.

        `state` is that after `parent`, always the same for one and the same Header object.
        Candidates that cannot go in are named in `rejected`.
        """

    def cheat_block(
        self, state: StateReader, parent: Header, cheat: Cheat, timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent`, without extrinsics, in which `cheat` is done.

        Raises DispatchError when the runtime's own rules forbid it.
        """


def nonce_tag(account: bytes, nonce: int) -> bytes:
    """The tag an extrinsic of `account` (32 bytes) provides, as Substrate's CheckNonce makes it."""
    return account + nonce.to_bytes(4, "little")


def extrinsics_root(extrinsics: Iterable[bytes]) -> bytes:
    """A digest of the body of a block: H(H(extrinsic) of each)."""
    return blake2_256(b"".join(map(blake2_256, extrinsics)))


_length = functools.cache(compact)


def state_root(parent_root: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
    """A digest of the whole history of changes: H(parent root, changes in byte order).

    No client verifies state roots, so there is no trie; equal histories have equal roots.
    """
    parts = [parent_root]
    for key in sorted(changes):
        value = changes[key]
        if value is None:
            parts += (_length(len(key)), key, b"\x00")
        else:
            parts += (_length(len(key)), key, b"\x01", _length(len(value)), value)
    return blake2_256(b"".join(parts))
