"""A node: one chain that grows, its pool, its clock, and who hears of what happens to it.

    async with Node(engine, NodeConfig()) as node:
        await node.mine(10)

All state changes happen in plain functions on one event loop, so a block is never seen half made.
Differences from a real node: no peers, no forks, no finality gadget (a block is final when the next
one is made, or a moment later), no state root that could be proven, no offchain workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chain.devnet.author import Author
from chain.devnet.clock import ChainClock, wall_ms
from chain.devnet.database import Database, DatabaseUnusable
from chain.devnet.engine import Cheat, Engine, Header, StateReader, state_root
from chain.devnet.pool import Limits, Pool, Status
from chain.devnet.schedule import Interval, Schedule, Ticker
from chain.devnet.store import Block, Snapshot, Store
from chain.devnet.topic import Topic
from chain.errors import ChainError
from chain.types import blake2_256

__all__ = ["Node", "NodeConfig"]

FINALITY_LAG_S = 0.3
"""polkadot.js loses `inBlock` when `finalized` follows within 50 ms."""
FINALITY_LAG_BLOCKS = 2
"""No further is the final block behind the head, however fast blocks come: the SDK counts the eight
blocks that a shielded extrinsic lives from the final one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeConfig:
    """What a node is told at its start. `wall` is its clock, in ms since 1970.

    `load` is a dump to begin with; `keep` is how many states before the head's are kept, or all.
    """

    schedule: Schedule = field(default_factory=Interval)
    database: Path | None = None
    load: Path | None = None
    keep: int | None = None
    chain_name: str = "Bittensor devnet"
    limits: Limits = field(default_factory=Limits)
    wall: Callable[[], int] = wall_ms


def genesis_block(engine: Engine, state: Mapping[bytes, bytes]) -> Block:
    """Block 0. The metadata is mixed into its hash.

    Clients cache metadata on disk by genesis hash and spec version: another metadata under the
    same hash would make them decode with the old one.
    """
    header = Header(bytes(32), 0, state_root(bytes(32), state), metadata_digest(engine))
    return Block(header, header.hash(), (), 0)


def metadata_digest(engine: Engine) -> bytes:
    """What genesis blocks of `engine` have in the place of their extrinsics root."""
    return blake2_256(engine.metadata(14) + engine.metadata(15))


def _open(engine: Engine, config: NodeConfig) -> tuple[Store, int]:
    """The chain to go on with, and its clock's offset in ms."""
    state = engine.genesis()
    if config.database is None:
        store = Store.open(genesis_block(engine, state), state, keep=config.keep)
        return store, 0 if config.load is None else _load(engine, store, config.load)
    database = Database(config.database)
    try:
        is_new = database.is_empty()
        if config.load is not None and not is_new:
            raise DatabaseUnusable(
                config.database, "holds a chain already; load a dump into a file of its own"
            )
        store = Store.open(genesis_block(engine, state), state, database, config.keep)
        if config.load is not None:
            return store, _load(engine, store, config.load)
        return store, database.offset_ms()
    except BaseException:
        database.close()
        raise


def _load(engine: Engine, store: Store, source: Path, dump: bytes | None = None) -> int:
    """Make `store` the chain in `source`; returns its clock's offset in ms."""
    if dump is None:
        try:
            dump = source.read_bytes()
        except OSError as error:
            raise DatabaseUnusable(source, error.strerror or str(error)) from error
    with Database(source, dump) as database:
        if database.metadata_digest() != metadata_digest(engine):
            raise DatabaseUnusable(source, "was made with another runtime, or another block time")
        store.replace(database)
        return database.offset_ms()


class Node:
    """A running chain. Blocks are made while the `async with` block is open."""

    def __init__(self, engine: Engine, config: NodeConfig | None = None) -> None:
        """Make or reload the chain. Raises DatabaseUnusable."""
        self.config = config or NodeConfig()
        self.engine = engine
        self.store, offset_ms = _open(engine, self.config)
        self.clock = ChainClock(self.config.wall, offset_ms)
        self.pool = Pool(engine, self._tell, self.config.limits)
        self.finalized = self.store.head
        self.heads: Topic[Block] = Topic()
        self.finalized_heads: Topic[Block] = Topic()
        self.reverts: Topic[Block] = Topic()
        self._author = Author(engine, self.store, self.pool, self.clock)
        self._ticker = Ticker(self.config.schedule, self._tick)
        self._task: asyncio.Task[None] | None = None
        self._watched: dict[bytes, Topic[Status]] = {}
        self._finality_timers: set[asyncio.TimerHandle] = set()
        self._last_failure = ""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._ticker.run(), name="author")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cancel_timers()
        try:
            if self._task is not None:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
        finally:
            self.store.close()

    # Reading

    @property
    def head(self) -> Block:
        """The last block."""
        return self.store.head

    def state(self, block_hash: bytes | None = None) -> StateReader:
        """The state after a block, the head for None. Raises UnknownBlock."""
        return self.store.state(self.store.get(block_hash))

    def call(self, method: str, args: bytes, block_hash: bytes | None = None) -> bytes:
        """Run a runtime API after a block. Raises UnknownBlock, UnknownApi, ScaleError."""
        return self.engine.call(self.state(block_hash), method, args)

    # Extrinsics

    def submit(self, extrinsic: bytes) -> bytes:
        """Put `extrinsic` into the pool and return its hash. Raises what `Pool.submit` raises."""
        digest = self.pool.submit(extrinsic, self.state(), self.head.header)
        if self.pool.ready_count:
            self._ticker.poke()
        return digest

    def submit_and_watch(
        self, extrinsic: bytes, listener: Callable[[Status], None]
    ) -> Callable[[], None]:
        """Submit, and tell `listener` what becomes of it; the returned function ends that."""
        digest = blake2_256(extrinsic)
        topic = self._watched.setdefault(digest, Topic())
        stop = topic.listen(listener)

        def cancel() -> None:
            stop()
            if not topic and self._watched.get(digest) is topic:
                del self._watched[digest]

        try:
            self.submit(extrinsic)
        except BaseException:
            cancel()
            raise
        return cancel

    @property
    def watched_count(self) -> int:
        """How many extrinsics somebody follows."""
        return len(self._watched)

    def _tell(self, extrinsic_hash: bytes, status: Status) -> None:
        topic = self._watched.get(extrinsic_hash)
        if topic is not None:
            if status.final:
                del self._watched[extrinsic_hash]
            topic.publish(status)

    def _tell_all(self, block: Block, status: Status) -> None:
        if self._watched:
            for extrinsic in block.extrinsics:
                self._tell(blake2_256(extrinsic), status)

    # Blocks

    @property
    def schedule(self) -> Schedule:
        """When blocks are made."""
        return self._ticker.schedule

    def set_schedule(self, schedule: Schedule) -> None:
        """Make blocks by another schedule from now on."""
        self._ticker.change(schedule)
        if self.pool.ready_count:
            self._ticker.poke()

    async def mine(self, count: int = 1) -> Block:
        """Make `count` blocks at once and return the last. Raises what stopped it."""
        try:
            for _ in range(count):
                self._announce(self._author.make())
                await asyncio.sleep(0)
        finally:
            self._finalize_later()
        return self.head

    def set_storage(self, changes: Mapping[bytes, bytes | None]) -> Block:
        """Make a block without extrinsics, in whose state `changes` hold; None deletes a key."""
        return self._show(self._author.make_with(changes))

    def cheat(self, cheat: Cheat) -> Block:
        """Make a block without extrinsics in which `cheat` is done. Raises DispatchError."""
        return self._show(self._author.make_cheating(cheat))

    def _show(self, block: Block) -> Block:
        self._announce(block)
        self._finalize_later()
        return block

    def _tick(self) -> bool:
        """Make the block that is due; whether extrinsics are left for another one."""
        try:
            block = self._author.make()
        except Exception as error:  # the chain pauses, the node lives
            self._report(error)
            return False
        self._last_failure = ""
        self._announce(block)
        if isinstance(self.schedule, Interval):
            self._finalize(block.number - 1)
        else:
            self._finalize_later()
        return self.pool.ready_count > 0

    def _report(self, error: Exception) -> None:
        if repr(error) == self._last_failure:
            return
        self._last_failure = repr(error)
        known = isinstance(error, ChainError)
        _log.error("no block on %d: %s", self.head.number, error, exc_info=None if known else error)

    def _announce(self, block: Block) -> None:
        self._tell_all(block, Status("inBlock", block.hash))
        self.heads.publish(block)
        self._finalize(block.number - FINALITY_LAG_BLOCKS)

    # Finality

    def _finalize_later(self) -> None:
        number = self.head.number

        def due() -> None:
            self._finality_timers.discard(timer)
            self._finalize(number)

        timer = asyncio.get_running_loop().call_later(FINALITY_LAG_S, due)
        self._finality_timers.add(timer)

    def _finalize(self, number: int) -> None:
        while self.finalized.number < number:
            block = self.store.find_number(self.finalized.number + 1)
            assert block is not None, "timers of reverted blocks are cancelled"
            self.finalized = block
            self._tell_all(block, Status("finalized", block.hash))
            self.finalized_heads.publish(block)

    def _cancel_timers(self) -> None:
        for timer in self._finality_timers:
            timer.cancel()
        self._finality_timers.clear()

    # Time travel

    def increase_time(self, milliseconds: int) -> int:
        """Move block time ahead; returns by how much it is ahead of the wall clock, in ms."""
        self.clock.advance(milliseconds)
        self._keep_offset()
        return self.clock.offset_ms

    def set_next_timestamp(self, timestamp_ms: int) -> None:
        """Date the next block. Raises TimestampInThePast."""
        self.clock.set_next(timestamp_ms, self.head.timestamp_ms)
        self._keep_offset()

    def _keep_offset(self) -> None:
        if self.store.database is not None:
            self.store.database.put_offset(self.clock.offset_ms)

    def snapshot(self) -> Snapshot:
        """Remember this point of the chain."""
        return self.store.snapshot(self.clock.offset_ms)

    def revert(self, number: int) -> Block:
        """Return to snapshot `number`: later blocks, the pool and watchers are gone."""
        snapshot = self.store.revert(number)
        return self._begin_again(snapshot.offset_ms, min(self.finalized.number, self.head.number))

    def dump(self) -> bytes:
        """The whole chain and its clock; also a file that `NodeConfig.database` can name."""
        return self.store.dump(self.clock.offset_ms)

    def load(self, dump: bytes) -> Block:
        """Become the chain in `dump`; the pool and watchers are gone. Raises DatabaseUnusable."""
        offset_ms = _load(self.engine, self.store, Path("the dump"), dump)
        return self._begin_again(offset_ms, self.head.number)

    def _begin_again(self, offset_ms: int, finalized: int) -> Block:
        self._cancel_timers()
        self.clock.reset(offset_ms)
        self.pool.clear()
        self._watched.clear()
        last = self.store.find_number(finalized)
        assert last is not None, "no height above the head's is asked for"
        self.finalized = last
        self.reverts.publish(self.head)
        return self.head
