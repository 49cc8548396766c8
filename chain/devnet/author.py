"""The author makes the next block: date, candidates, engine, store, pool.

A block that cannot be built costs the extrinsic that is to blame, never the chain.
Knows nothing of when a block is due (`schedule`) or of who hears of it (`node`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chain.devnet.clock import ChainClock
from chain.devnet.engine import BuiltBlock, Cheat, Engine, state_root
from chain.devnet.pool import Pool
from chain.devnet.store import Block, Store
from chain.types import blake2_256

__all__ = ["Author"]

EXTRINSICS_A_BLOCK = 1024

_log = logging.getLogger(__name__)


class Author:
    """Builds blocks on the head from the pool. Does not announce them."""

    def __init__(self, engine: Engine, store: Store, pool: Pool, clock: ChainClock) -> None:
        self._engine = engine
        self._store = store
        self._pool = pool
        self._clock = clock

    def make(self) -> Block:
        """Build a block of what is ready and store it.

        Raises what the engine raises on a block without extrinsics, and DatabaseUnusable; then
        the chain and the pool are as before.
        """
        timestamp_ms = self._clock.stamp(self._store.head.timestamp_ms)
        candidates = self._pool.candidates(EXTRINSICS_A_BLOCK)
        try:
            built = self._build(candidates, timestamp_ms)
        except Exception:  # a bug of the engine costs the extrinsic that shows it, not the block
            if not candidates:
                raise
            _log.exception("no block can be built with all %d extrinsics", len(candidates))
            built = self._build_without_culprit(candidates, timestamp_ms)
        return self._keep(built, timestamp_ms, built.changes)

    def make_with(self, changes: Mapping[bytes, bytes | None]) -> Block:
        """Store a block without extrinsics, in whose state `changes` hold as given."""
        timestamp_ms = self._clock.stamp(self._store.head.timestamp_ms)
        built = self._build((), timestamp_ms)
        changes = {**built.changes, **changes}
        parent = self._store.head.header
        header = replace(built.header, state_root=state_root(parent.state_root, changes))
        return self._keep(replace(built, header=header, hash=header.hash()), timestamp_ms, changes)

    def make_cheating(self, cheat: Cheat) -> Block:
        """Store a block without extrinsics, in which `cheat` is done. Raises DispatchError."""
        timestamp_ms = self._clock.stamp(self._store.head.timestamp_ms)
        head = self._store.head
        state = self._store.state(head)
        built = self._engine.cheat_block(state, head.header, cheat, timestamp_ms)
        return self._keep(built, timestamp_ms, built.changes)

    def _keep(
        self, built: BuiltBlock, timestamp_ms: int, changes: Mapping[bytes, bytes | None]
    ) -> Block:
        block = Block(built.header, built.hash, tuple(built.extrinsics), timestamp_ms)
        self._store.append(block, changes)
        self._clock.stamped()
        if self._pool:
            included = [blake2_256(extrinsic) for extrinsic in block.extrinsics]
            self._pool.settle(included, built.rejected, self._store.state(block), block.header)
        return block

    def _build(self, extrinsics: Sequence[bytes], timestamp_ms: int) -> BuiltBlock:
        head = self._store.head
        state = self._store.state(head)
        return self._engine.build_block(state, head.header, extrinsics, timestamp_ms)

    def _build_without_culprit(self, candidates: list[bytes], timestamp_ms: int) -> BuiltBlock:
        """Build on the longest run of candidates that can be built; drop the one after it.

        The rest stays in the pool for the next block.
        """
        good = self._build((), timestamp_ms)
        low, high = 0, len(candidates)  # `low` candidates build, `high` do not
        while high - low > 1:
            middle = (low + high) // 2
            try:
                good, low = self._build(candidates[:middle], timestamp_ms), middle
            except Exception:  # it was logged once, when the whole block failed
                high = middle
        self._pool.drop_invalid(candidates[low])
        _log.error("dropped the extrinsic 0x%s", blake2_256(candidates[low]).hex())
        return good
