"""What many neurons have in one storage item, read or written together.

An epoch asks a dozen items about every neuron of a subnet; a call for each would cost more than
Yuma does. What is read and written is what the items themselves would read and write.
Keys come as columns, one entry a row; a number is a key that all rows share.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Collection, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from chain.runtime.frame import Ctx, Item
from chain.scale import Integer, Newtype, Reader, compact
from chain.types import AccountId

if TYPE_CHECKING:
    from chain.runtime.yuma import Csr

__all__ = [
    "Column",
    "accounts",
    "matrix",
    "numbers",
    "put",
    "put_matrix",
    "put_numbers",
    "raw_keys",
    "stored",
]

_account = functools.lru_cache(maxsize=1 << 15)(AccountId)
_length = functools.cache(compact)
_COUNT_BYTES = {0: 1, 1: 2, 2: 4}
"""How long a compact integer is, by the two lowest bits of its first byte."""

Column = Collection[Any] | int

_KEYS_KNOWN = 1 << 18
_COLUMNS_KNOWN = 1 << 11
"""More storage keys or columns of them than about these are not remembered."""
_rows: dict[tuple[Any, ...], list[bytes]] = {}


def raw_keys(item: Item[Any], *keys: Column) -> list[bytes]:
    """The storage key of each row. Those of a subnet's neurons are the same from epoch to epoch."""
    columns = tuple(key if isinstance(key, int | range) else tuple(key) for key in keys)
    rows = _rows.get((item, *columns))
    if rows is None:
        if len(_rows) >= _COLUMNS_KNOWN or sum(map(len, _rows.values())) > _KEYS_KNOWN:
            _rows.clear()
        each = (repeat(column) if isinstance(column, int) else column for column in columns)
        rows = _rows[item, *columns] = list(map(item.raw_key, *each))
    return rows


def stored(ctx: Ctx, item: Item[Any], *keys: Column) -> list[bytes | None]:
    """What is stored in each row, encoded."""
    values = ctx.state.values
    return [values[key] for key in raw_keys(item, *keys)]


def put(ctx: Ctx, item: Item[Any], *keys: Column, encoded: Iterable[bytes | None]) -> None:
    """Store `encoded` in the rows, None to remove one; a row that has it is left alone."""
    ctx.state.put_all(item.prefix, zip(raw_keys(item, *keys), encoded, strict=True))


# Numbers


def numbers(ctx: Ctx, item: Item[Any], *keys: Column) -> list[int]:
    """The integer in each row, as a plain one; the item's default where nothing is stored."""
    code, size = _form(item)
    default = int(item.default or 0).to_bytes(size, "little")
    found = [default if raw is None else raw for raw in stored(ctx, item, *keys)]
    if {*map(len, found)} - {size}:  # only a cheat writes what no codec wrote
        return [int(item.value.read(Reader(raw))) for raw in found]
    return list(struct.unpack(f"<{len(found)}{code}", b"".join(found)))


def put_numbers(ctx: Ctx, item: Item[Any], *keys: Column, values: Sequence[int]) -> None:
    """Store an integer in each row."""
    code, size = _form(item)
    packed = struct.pack(f"<{len(values)}{code}", *values)
    put(ctx, item, *keys, encoded=[packed[i : i + size] for i in range(0, len(packed), size)])


def _form(item: Item[Any]) -> tuple[str, int]:
    """The letter and the size that `struct` has for an item of u16 or u64, or a newtype of one."""
    codec = item.value.inner if isinstance(item.value, Newtype) else item.value
    assert isinstance(codec, Integer) and not codec.signed
    return {16: "H", 64: "Q"}[codec.bits], codec.bits // 8


def accounts(ctx: Ctx, item: Item[AccountId], *keys: Column) -> list[AccountId | None]:
    """The account in each row, None where nothing is stored."""
    return [None if raw is None else _account(raw) for raw in stored(ctx, item, *keys)]


# Rows of (uid, u16) pairs


def matrix(ctx: Ctx, item: Item[Any], *keys: Column) -> Csr:
    """Rows of pairs of u16, packed; none where nothing is stored."""
    import numpy as np  # not before an epoch: it is a tenth of a node's start

    from chain.runtime.yuma import Csr

    rows = stored(ctx, item, *keys)
    bodies = [raw[_COUNT_BYTES.get(raw[0] & 3, 0) :] if raw else b"" for raw in rows]
    counts = [len(body) >> 2 for body in bodies]
    for raw, body, count in zip(rows, bodies, counts, strict=True):
        if raw is not None and (len(body) & 3 or raw[: -len(body) or None] != _length(count)):
            # Only a cheat writes what no codec wrote; read what a codec would.
            return Csr.of([[] if r is None else item.value.read(Reader(r)) for r in rows])
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    flat = np.frombuffer(b"".join(bodies), "<u2")
    return Csr(indptr, flat[0::2], flat[1::2])


def put_matrix(ctx: Ctx, item: Item[Any], *keys: Column, rows: Csr) -> None:
    """Store rows of pairs of u16."""
    import numpy as np

    pairs = np.empty((len(rows.uids), 2), "<u2")
    pairs[:, 0], pairs[:, 1] = rows.uids, rows.values
    packed, ends = pairs.tobytes(), rows.indptr.tolist()
    put(
        ctx,
        item,
        *keys,
        encoded=(
            _length(end - start) + packed[4 * start : 4 * end]
            for start, end in zip(ends[:-1], ends[1:], strict=True)
        ),
    )
