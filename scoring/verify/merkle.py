"""A Merkle tree over byte strings, as in RFC 6962 (Certificate Transparency), with SHA-256.

Whoever publishes the 32-byte root is bound to every leaf and its place. Publish the number of
leaves beside it: a path alone does not tell. The tree hides nothing: a leaf that can be guessed
needs a salt, which is the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

MOST_LEAVES = 1 << 32


class Tree:
    """The tree over `leaves` in their order. It is built once; a path is then read off it."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [[leaf_hash(leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            level = [_node(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)]
            # An odd one out goes up as it is.
            self._levels.append(level + below[len(below) - len(below) % 2 :])

    @property
    def root(self) -> bytes:
        """The root, 32 bytes; of no leaves, the hash of nothing."""
        return self._levels[-1][0] if self._levels[-1] else hashlib.sha256().digest()

    def hash(self, index: int) -> bytes:
        """The hash of the leaf at `index`, 32 bytes; raises IndexError without one."""
        if index < 0:
            raise IndexError(f"leaf {index} of {len(self._levels[0])}")
        return self._levels[0][index]

    def path(self, index: int) -> tuple[bytes, ...]:
        """Return the siblings of the leaf at `index` from below; raise IndexError without one."""
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(f"leaf {index} of {len(self._levels[0])}")
        siblings = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1])
            index >>= 1
        return tuple(siblings)


def is_member(root: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Say whether `leaf` is the one at `index` of the `count` under `root`; never raises.

    RFC 9162, 2.1.3.2. A path of any length but the right one is none.
    """
    return isinstance(leaf, bytes) and is_hash_member(root, leaf_hash(leaf), index, count, path)


def is_hash_member(
    root: bytes, hashed: bytes, index: int, count: int, path: Sequence[bytes]
) -> bool:
    """As above, of a leaf of which only its hash is known."""
    if not isinstance(path, (list, tuple)) or len(path) > MOST_LEAVES.bit_length():
        return False
    if not isinstance(index, int) or not isinstance(count, int):
        return False
    if not 0 <= index < count <= MOST_LEAVES:
        return False
    if not all(isinstance(part, bytes) for part in (root, hashed, *path)):
        return False
    last = count - 1
    found = hashed
    left = list(path)
    while last:
        # The last node of a level without a sibling goes up as it is.
        if index & 1 or index != last:
            if not left or len(left[0]) != 32:
                return False
            sibling = left.pop(0)
            found = _node(sibling, found) if index & 1 else _node(found, sibling)
        index >>= 1
        last >>= 1
    return not left and found == root


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf, 32 bytes."""
    # The prefixes keep a leaf from passing for a node, and a node for a leaf.
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
