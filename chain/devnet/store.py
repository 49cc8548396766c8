"""Blocks and every version of the state, in memory, and in a database if there is one.

State is multi-version: each key keeps its values by block, so the state after any past block is a
bisect away, and so is a page of its keys. Knows nothing of what keys and blocks mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from chain.devnet.database import Database
from chain.devnet.engine import Header, StateReader
from chain.errors import ChainError

__all__ = ["Block", "Snapshot", "State", "Store", "UnknownBlock", "UnknownSnapshot"]


class UnknownBlock(ChainError):
    """No block of this chain has the hash: never had, or it was reverted."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"Header was not found in the database: 0x{block_hash.hex()}")
        self.block_hash = block_hash


class UnknownSnapshot(ChainError):
    """No snapshot has this number: never had, or an earlier one was reverted to."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no snapshot {number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain: its header, body and date."""

    header: Header
    hash: bytes
    extrinsics: tuple[bytes, ...]
    timestamp_ms: int

    @property
    def number(self) -> int:
        """Its height; genesis is 0."""
        return self.header.number


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point to return to: the head it was taken at and the clock's offset there."""

    number: int
    block: int
    offset_ms: int


class _Versions:
    """The values of one key: `values[i]` holds from block `blocks[i]` on."""

    __slots__ = ("blocks", "values")

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.values: list[bytes | None] = []

    def at(self, block: int) -> bytes | None:
        if self.blocks[-1] <= block:
            return self.values[-1]
        index = bisect_right(self.blocks, block) - 1
        return self.values[index] if index >= 0 else None


class State:
    """The state after one block. Stale once that block is reverted: read it, do not keep it."""

    __slots__ = ("_block", "_versions")

    def __init__(self, versions: SortedDict, block: int) -> None:
        self._versions = versions
        self._block = block

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None."""
        versions: _Versions | None = self._versions.get(key)
        return None if versions is None else versions.at(self._block)

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Up to `count` existing keys under `prefix` in byte order, strictly after `start`."""
        after = start is not None and start >= prefix
        found: list[bytes] = []
        for key in self._versions.irange(start if after else prefix, inclusive=(not after, True)):
            if not key.startswith(prefix) or (count is not None and len(found) >= count):
                break
            if self._versions[key].at(self._block) is not None:
                found.append(key)
        return found


@dataclass
class Store:
    """The chain: `head` is its last block. Written by one author, a block at a time."""

    database: Database | None
    _blocks: list[Block] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _changed: list[tuple[bytes, ...]] = field(default_factory=list)
    _versions: SortedDict = field(default_factory=SortedDict)
    _snapshots: dict[int, Snapshot] = field(default_factory=dict)

    @classmethod
    def open(
        cls, genesis: Block, state: Mapping[bytes, bytes], database: Database | None = None
    ) -> Store:
        """A chain that begins with `genesis`, or goes on where `database` left off.

        Raises DatabaseUnusable if the database holds another chain.
        """
        store = cls(database)
        if database is None or database.is_empty():
            store.append(genesis, dict(state))
            return store
        database.ensure_genesis(genesis.hash)
        for record, changes in database.load():
            store._remember(Block(*record), changes)
        for number, block, offset_ms in database.snapshots():
            store._snapshots[number] = Snapshot(number, block, offset_ms)
        return store

    @property
    def head(self) -> Block:
        """The last block."""
        return self._blocks[-1]

    @property
    def genesis(self) -> Block:
        """Block 0."""
        return self._blocks[0]

    def find_number(self, number: int) -> Block | None:
        """The block at this height, or None."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def find(self, block_hash: bytes) -> Block | None:
        """The block with this hash, or None."""
        number = self._numbers.get(block_hash)
        return None if number is None else self._blocks[number]

    def get(self, block_hash: bytes | None) -> Block:
        """The block with this hash, the head for None. Raises UnknownBlock."""
        if block_hash is None:
            return self.head
        block = self.find(block_hash)
        if block is None:
            raise UnknownBlock(block_hash)
        return block

    def state(self, block: Block) -> StateReader:
        """The state after `block`."""
        return State(self._versions, block.number)

    def changed(self, block: Block) -> tuple[bytes, ...]:
        """The keys that `block` wrote or deleted."""
        return self._changed[block.number]

    def append(self, block: Block, changes: Mapping[bytes, bytes | None]) -> None:
        """Make `block` the head. On DatabaseUnusable (a full disk) nothing has changed."""
        if self.database is not None:
            self.database.append(
                (block.header, block.hash, block.extrinsics, block.timestamp_ms), changes
            )
        self._remember(block, changes)

    def _remember(self, block: Block, changes: Mapping[bytes, bytes | None]) -> None:
        fresh = {}
        for key, value in changes.items():
            versions = self._versions.get(key)
            if versions is None:
                versions = fresh[key] = _Versions()
            versions.blocks.append(block.number)
            versions.values.append(value)
        self._versions.update(fresh)
        self._numbers[block.hash] = block.number
        self._changed.append(tuple(changes))
        self._blocks.append(block)

    def snapshot(self, offset_ms: int) -> Snapshot:
        """Remember the head as a point to return to."""
        number = max(self._snapshots, default=0) + 1
        snapshot = Snapshot(number, self.head.number, offset_ms)
        if self.database is not None:
            self.database.put_snapshot(number, snapshot.block, offset_ms)
        self._snapshots[number] = snapshot
        return snapshot

    def revert(self, number: int) -> Snapshot:
        """Drop all blocks after snapshot `number`, and the snapshots after it.

        The snapshot itself stays, so one can return to it again. Raises UnknownSnapshot.
        """
        snapshot = self._snapshots.get(number)
        if snapshot is None:
            raise UnknownSnapshot(number)
        if self.database is not None:
            self.database.revert(snapshot.block, number, snapshot.offset_ms)
        while self.head.number > snapshot.block:
            self._forget_head()
        self._snapshots = {n: s for n, s in self._snapshots.items() if n <= number}
        return snapshot

    def _forget_head(self) -> None:
        block = self._blocks.pop()
        del self._numbers[block.hash]
        for key in self._changed.pop():
            versions = self._versions[key]
            versions.blocks.pop()
            versions.values.pop()
            if not versions.blocks:
                del self._versions[key]

    def close(self) -> None:
        """Close the database."""
        if self.database is not None:
            self.database.close()
