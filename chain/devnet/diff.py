"""Two runtimes side by side: the same extrinsics into both, and the first key that differs.

For whoever changes a rule, or ports one: `first_difference(old, new, blocks)` names what changed
where. In one process, without pools and clocks; `subnet chain diff` does it to nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chain.devnet.engine import BuiltBlock, Engine, Header
from chain.devnet.node import genesis_block
from chain.devnet.store import Block, Store

__all__ = ["Difference", "differing", "first_difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A storage key whose value after `block` is not the same on both sides; None is no value."""

    block: int
    key: bytes
    left: bytes | None
    right: bytes | None


def differing(
    block: int, left: Mapping[bytes, bytes], right: Mapping[bytes, bytes]
) -> Iterator[Difference]:
    """Where two states after `block` differ, in the order of the keys."""
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            yield Difference(block, key, left.get(key), right.get(key))


def first_difference(
    left: Engine,
    right: Engine,
    blocks: Iterable[Sequence[bytes]],
    *,
    born_ms: int = 0,
    block_ms: int = 12_000,
) -> Difference | None:
    """The first key that differs when both engines build the same blocks; None if none does.

    `blocks` are the extrinsics of each block after genesis. Both sides build on the blocks of
    `left`, so that a signature which holds for `left` holds for `right`, whatever metadata and
    with it genesis hash `right` would have had: the version that is signed must be the same.
    The first block is dated `block_ms` after `born_ms`.
    """
    ours, theirs = _Side(left, left), _Side(left, right)
    found = next(differing(0, ours.born, theirs.born), None)
    for number, extrinsics in enumerate(blocks, 1):
        if found is not None:
            break
        time = born_ms + number * block_ms
        built = ours.build(ours.head, extrinsics, time)
        other = theirs.build(ours.head, extrinsics, time)
        ours.keep(built, built, time)
        theirs.keep(built, other, time)
        written = built.changes.keys() | other.changes.keys()
        found = next(differing(number, ours.values(written), theirs.values(written)), None)
    return found


class _Side:
    """One engine's state, under the blocks of another."""

    def __init__(self, blocks: Engine, engine: Engine) -> None:
        self.born = engine.genesis()
        self._engine = engine
        self._store = Store.open(genesis_block(blocks, blocks.genesis()), self.born)

    @property
    def head(self) -> Header:
        return self._store.head.header

    def build(self, parent: Header, extrinsics: Sequence[bytes], time: int) -> BuiltBlock:
        state = self._store.state(self._store.head)
        return self._engine.build_block(state, parent, extrinsics, time)

    def keep(self, block: BuiltBlock, built: BuiltBlock, time: int) -> None:
        one = Block(block.header, block.hash, block.extrinsics, time)
        self._store.append(one, built.changes)

    def values(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        state = self._store.state(self._store.head)
        found = ((key, state.get(key)) for key in keys)
        return {key: value for key, value in found if value is not None}
