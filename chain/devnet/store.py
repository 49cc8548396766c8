"""Blocks and every version of the state, in memory, and in a database if there is one.

State is multi-version: each key keeps its values by block, so the state after any past block is a
bisect away, and so is a page of its keys. A store that prunes forgets old states, never blocks.
Knows nothing of what keys and blocks mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from chain.devnet.database import MEMORY, Database, DatabaseUnusable
from chain.devnet.engine import Header, StateReader, extrinsics_root, state_root
from chain.errors import ChainError

__all__ = [
    "Block",
    "Snapshot",
    "State",
    "StateDiscarded",
    "Store",
    "UnknownBlock",
    "UnknownSnapshot",
]


class UnknownBlock(ChainError):
    """No block of this chain has the hash: never had, or it was reverted."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"Header was not found in the database: 0x{block_hash.hex()}")
        self.block_hash = block_hash


class StateDiscarded(ChainError):
    """The state after this block was pruned; the block itself is still there."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"State already discarded for 0x{block_hash.hex()}")
        self.block_hash = block_hash


class UnknownSnapshot(ChainError):
    """No snapshot has this number: never had, pruned, or an earlier one was reverted to."""

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
        if versions is None:
            return None
        if versions.blocks[-1] <= self._block:  # as nearly all are, asked for at the head
            return versions.values[-1]
        return versions.at(self._block)

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Up to `count` existing keys under `prefix` in byte order, strictly after `start`."""
        after = start is not None and start >= prefix
        found: list[bytes] = []
        for key in self._versions.irange(start if after else prefix, inclusive=(not after, True)):
            if not key.startswith(prefix) or (count is not None and len(found) >= count):
                break
            if self.get(key) is not None:
                found.append(key)
        return found


@dataclass
class Store:
    """The chain: `head` is its last block. Written by one author, a block at a time.

    With `keep`, of the states before the head's only so many are kept.
    """

    database: Database | None
    keep: int | None = None
    _oldest: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _changed: list[tuple[bytes, ...]] = field(default_factory=list)
    _versions: SortedDict = field(default_factory=SortedDict)
    _snapshots: dict[int, Snapshot] = field(default_factory=dict)
    _head_state: State | None = None

    @classmethod
    def open(
        cls,
        genesis: Block,
        state: Mapping[bytes, bytes],
        database: Database | None = None,
        keep: int | None = None,
    ) -> Store:
        """A chain that begins with `genesis`, or goes on where `database` left off.

        Raises DatabaseUnusable if the database holds another chain.
        """
        store = cls(database, keep)
        if database is None or database.is_empty():
            store.append(genesis, dict(state))
            return store
        database.ensure_genesis(genesis.hash)
        store._read(database)
        return store

    def _read(self, database: Database) -> None:
        self._oldest = database.oldest_state()
        root = bytes(32)
        for record, changes in database.load():
            one = Block(*record)
            if not self._is_whole(one, root, changes):
                raise DatabaseUnusable(database.path, f"block {one.number} is damaged")
            root = one.header.state_root
            self._remember(one, changes)
        for number, block, offset_ms in database.snapshots():
            if block >= self._oldest:
                self._snapshots[number] = Snapshot(number, block, offset_ms)

    def _is_whole(self, block: Block, root: bytes, changes: Mapping[bytes, bytes | None]) -> bool:
        """Whether body and changes are those of the header; `root` is the state root before."""
        header = block.header
        if header.number and extrinsics_root(block.extrinsics) != header.extrinsics_root:
            return False
        if self._oldest and header.number <= self._oldest:  # of these only some changes are kept
            return True
        try:
            return state_root(root, changes) == header.state_root
        except TypeError:  # not even bytes
            return False

    def dump(self, offset_ms: int) -> bytes:
        """The whole chain as a database file; `offset_ms` is the clock's."""
        if self.database is not None:
            return self.database.dump()
        with Database(MEMORY) as copy:
            values: dict[int, dict[bytes, bytes | None]] = {}
            for key, versions in self._versions.items():
                for number, value in zip(versions.blocks, versions.values, strict=True):
                    values.setdefault(number, {})[key] = value
            for block in self._blocks:
                record = (block.header, block.hash, block.extrinsics, block.timestamp_ms)
                copy.append(record, values.get(block.number, {}), (), self._oldest)
            for snapshot in self._snapshots.values():
                copy.put_snapshot(snapshot.number, snapshot.block, snapshot.offset_ms)
            copy.put_offset(offset_ms)
            return copy.dump()

    def replace(self, dump: Database) -> None:
        """Become the chain in `dump`. Raises DatabaseUnusable, and then nothing has changed."""
        other = Store(None)
        other._read(dump)
        if self.database is not None:
            self.database.replace(dump)
        self._oldest = other._oldest
        self._blocks, self._numbers = other._blocks, other._numbers
        self._changed, self._versions = other._changed, other._versions
        self._snapshots = other._snapshots
        self._head_state = None

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
        """The state after `block`, for the head always the same object. Raises StateDiscarded."""
        number = block.header.number
        if number < self._oldest:
            raise StateDiscarded(block.hash)
        if number != len(self._blocks) - 1:
            return State(self._versions, number)
        if self._head_state is None:
            self._head_state = State(self._versions, number)
        return self._head_state

    def changed(self, block: Block) -> tuple[bytes, ...]:
        """The keys that `block` wrote or deleted."""
        return self._changed[block.number]

    def append(self, block: Block, changes: Mapping[bytes, bytes | None]) -> None:
        """Make `block` the head. On DatabaseUnusable (a full disk) nothing has changed."""
        oldest = self._oldest if self.keep is None else block.number - self.keep
        discarded = list(self._outdated(oldest)) if oldest > self._oldest else []
        if self.database is not None:
            record = (block.header, block.hash, block.extrinsics, block.timestamp_ms)
            self.database.append(record, changes, discarded, max(oldest, self._oldest))
        if oldest > self._oldest:
            self._discard(discarded, oldest)
        self._remember(block, changes)

    def _outdated(self, oldest: int) -> Iterator[tuple[int, bytes]]:
        """The (block, key) of values that no state from that of `oldest` on has."""
        for number in range(self._oldest + 1, oldest + 1):
            for key in self._changed[number]:
                versions = self._versions[key]
                last = bisect_right(versions.blocks, oldest) - 1
                if versions.blocks[last] == number:  # else a later block of these tells
                    ends = versions.values[last] is None
                    yield from ((old, key) for old in versions.blocks[: last + ends])

    def _discard(self, outdated: list[tuple[int, bytes]], oldest: int) -> None:
        counts = Counter(key for _, key in outdated)
        for key, count in counts.items():
            versions = self._versions[key]
            del versions.blocks[:count], versions.values[:count]
            if not versions.blocks:
                del self._versions[key]
        self._changed[self._oldest : oldest] = [()] * (oldest - self._oldest)
        self._oldest = oldest
        self._snapshots = {n: s for n, s in self._snapshots.items() if s.block >= oldest}

    def _remember(self, block: Block, changes: Mapping[bytes, bytes | None]) -> None:
        number = block.header.number
        fresh = {}
        for key, value in changes.items():
            versions = self._versions.get(key)
            if versions is None:
                versions = fresh[key] = _Versions()
            versions.blocks.append(number)
            versions.values.append(value)
        self._versions.update(fresh)
        self._numbers[block.hash] = number
        self._changed.append(tuple(changes))
        self._blocks.append(block)
        self._head_state = None

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
        self._head_state = None
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
