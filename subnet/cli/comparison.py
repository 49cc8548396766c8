"""The states of two nodes, block by block, up to the first that differ.

Reads both through plain JSON-RPC and the nodes' own metadata, so either may be a real node.
`replay` makes the second do what the first did; for that it must be a devnet of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from chain.errors import ChainRefused
from subnet.cli.explorer import PALLET_BYTES, PREFIX_BYTES, Explorer, Item

__all__ = ["BY_NATURE", "Comparison", "Differing", "Scope", "compare", "take_over"]

BY_NATURE = ("System.BlockHash", "System.Digest", "System.ParentHash", "Timestamp.Now")
"""What two nodes that make their own blocks have never in common."""
NOTHING = "nothing"
SIGNED_BIT = 0x80  # of the byte that begins an extrinsic


@dataclass(frozen=True, slots=True)
class Differing:
    """One storage key after one block; values as hex, and as the metadata reads them."""

    block: int
    key: str
    name: str
    keys: list[Any] | None
    left: str | None
    right: str | None
    left_value: Any
    right_value: Any

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.keys))})" if self.keys else self.name

    def apart(self) -> tuple[str, Any, Any]:
        """Where the values part: a path into them, and what each has there; bytes if unreadable."""
        left, right = self.left_value, self.right_value
        if left is None or right is None or left == right:  # absent, or not to be read
            return "", _shown(left, self.left), _shown(right, self.right)
        return _apart("", left, right)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and how the first differing block differs: not at all if empty.

    `refused` are extrinsics of that block which the second node did not take, with its reason.
    """

    first: int
    last: int
    keys: int
    differing: tuple[Differing, ...]
    refused: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether no key differs."""
        return not self.differing


class Scope:
    """Which keys count: all, or those under `only`; never those under `ignore`."""

    def __init__(
        self, left: Explorer, right: Explorer, only: Sequence[str], ignore: Sequence[str]
    ) -> None:
        """Raises ChainRefused for a name that neither node's metadata has."""
        self._items = {**right.items(), **left.items()}
        self._only = self._all_prefixes(only)
        self._ignored = self._all_prefixes(ignore)

    def _all_prefixes(self, names: Sequence[str]) -> frozenset[bytes]:
        return frozenset(prefix for name in names for prefix in self._prefixes(name))

    def _prefixes(self, name: str) -> set[bytes]:
        """What the keys of an item, or of all items of a pallet, begin with."""
        found = {
            prefix if name == str(item) else prefix[:PALLET_BYTES]
            for prefix, item in self._items.items()
            if name in (str(item), item.pallet)
        }
        if not found and name not in BY_NATURE:
            raise ChainRefused("ItemNotFound", f"neither node has a pallet or storage item {name}")
        return found

    def state(self, node: Explorer, number: int) -> dict[bytes, bytes]:
        """What counts of the state of `node` after a block."""
        block_hash = node.hash(number)
        found: dict[bytes, bytes] = {}
        for prefix in self._only or (b"",):
            found |= node.state(block_hash, prefix)
        return {key: value for key, value in found.items() if not self._is_ignored(key)}

    def _is_ignored(self, key: bytes) -> bool:
        return not self._ignored.isdisjoint((key[:PREFIX_BYTES], key[:PALLET_BYTES]))


def _shown(value: Any, raw: str | None) -> Any:
    if raw is None:
        return NOTHING
    return raw if value is None else value


def _apart(path: str, left: Any, right: Any) -> tuple[str, Any, Any]:
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = [(f".{key}", left.get(key), right.get(key)) for key in left | right]
    elif isinstance(left, list) and isinstance(right, list):
        both = zip_longest(left, right, fillvalue=NOTHING)
        pairs = [(f"[{place}]", *pair) for place, pair in enumerate(both)]
    else:
        return path, left, right
    step, ours, theirs = next(pair for pair in pairs if pair[1] != pair[2])
    return _apart(path + step, ours, theirs)


def compare(
    left: Explorer,
    right: Explorer,
    scope: Scope,
    first: int,
    last: int,
    *,
    replay: bool = False,
    tell: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Compare the blocks from `first` to `last`, and stop at the first that differ.

    With `replay`, `right` has the blocks up to `first`, as `take_over` said, and makes the others.
    `tell` hears after each block how many are done.
    """
    keys = 0
    for number in range(first, last + 1):
        refused = tuple(_repeat(left, right, number)) if replay and number > first else ()
        ours, theirs = scope.state(left, number), scope.state(right, number)
        keys = len(ours)
        names = sorted(
            key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
        )
        if names:
            found = tuple(
                _differing(left, right, number, key, ours.get(key), theirs.get(key))
                for key in names
            )
            return Comparison(first, number, keys, found, refused)
        tell(number - first + 1)
    return Comparison(first, last, keys, ())


def take_over(left: Explorer, right: Explorer) -> int:
    """Keep `right` from making blocks of its own; the last block that it shares with `left`.

    Raises ChainRefused where it has others.
    """
    right.ask("devnet_setBlockTime", "manual")
    head = right.head()
    for number, why in (
        (0, "start both with the same options and metadata: what is signed names the chain"),
        (head, "it made blocks of its own; start it with --block-time manual"),
    ):
        ours, theirs = left.hash(number), right.hash(number)
        if ours != theirs:
            raise ChainRefused(
                "AnotherChain",
                f"block {number} of {right.endpoint} is {theirs[:18]}, of {left.endpoint} "
                f"{ours[:18]}: {why}",
            )
    return head


def _repeat(left: Explorer, right: Explorer, number: int) -> Iterator[str]:
    """Make the block of `left` once more; yields what `right` did not take."""
    block_hash = left.hash(number)
    block = left.ask("chain_getBlock", block_hash)["block"]
    key = next(key for key, item in left.items().items() if str(item) == "Timestamp.Now")
    date = left.ask("state_getStorage", f"0x{key.hex()}", block_hash)
    milliseconds = int.from_bytes(bytes.fromhex(date[2:]), "little")
    right.ask("devnet_setNextBlockTimestamp", milliseconds)
    for index, extrinsic in enumerate(block["extrinsics"]):
        if _is_signed(bytes.fromhex(extrinsic[2:])):
            try:
                right.ask("author_submitExtrinsic", extrinsic)
            except ChainRefused as error:
                yield f"{number}-{index}: {error.message}"
    right.ask("devnet_mine", 1)


def _is_signed(extrinsic: bytes) -> bool:
    prefix = (1, 2, 4, 5)[extrinsic[0] & 3]  # bytes of the length before it
    return bool(extrinsic[prefix] & SIGNED_BIT)


def _differing(
    left: Explorer,
    right: Explorer,
    block: int,
    key: bytes,
    ours: bytes | None,
    theirs: bytes | None,
) -> Differing:
    def place(node: Explorer) -> Item | None:
        return node.items().get(key[:PREFIX_BYTES])

    def value(node: Explorer, raw: bytes | None) -> Any:
        item = place(node)
        return None if item is None or raw is None else node.read_value(item, raw)

    reader = left if place(left) is not None else right
    item = place(reader)
    keys = None if item is None else reader.read_keys(item, key)
    return Differing(
        block,
        f"0x{key.hex()}",
        _raw_name(key) if item is None else str(item),
        None if keys is None else list(keys),
        None if ours is None else f"0x{ours.hex()}",
        None if theirs is None else f"0x{theirs.hex()}",
        value(left, ours),
        value(right, theirs),
    )


def _raw_name(key: bytes) -> str:
    """Well-known keys such as `:code` are text; of others only bytes are known."""
    return key.decode() if key.isascii() and key.startswith(b":") else f"0x{key.hex()}"
