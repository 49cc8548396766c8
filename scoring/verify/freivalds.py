"""A matrix product checked in the time it takes to read its factors, the product never sent whole.

Who claims C = A B sends a Merkle root over the rows of C. A beacon that came out after it gives a
vector x and a few rows to open; he sends C x and those rows. The judge, who has A and B, checks
that C x = A (B x) and that every opened row is under the root and gives its entry of C x.
(Freivalds, "Probabilistic machines can use less running time", 1977.)

Integers, modulo P = 2**31 - 1: products of such size that none wraps, so that equal modulo P is
equal. To the bit (all integers big endian):

    row      each entry an i64; leaf i of the tree (`merkle`) is row i
    x_j      u64 number j of SHAKE-256("freivalds/1 x" || root || beacon), modulo P
    C x      each entry a u32 below P
    opened   u64 number j of SHAKE-256("freivalds/1 o" || root || SHA-256(C x) || beacon), modulo
             the number of rows, for j below `openings`; some may be the same

What it cannot see: a wrong row that was not opened, when C x was made from A and B and not from C.
With a share d of the rows wrong that passes with (1 - d) ** openings. Nor who computed it, nor on
what; a time limit is another check.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.verify import merkle
from scoring.verify.statement import Outcome, Statement

CHECK = "freivalds"

P = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Floor:
    """What honest machines do, and the least that is called a cheat; both within (0, 1)."""

    fault: float
    """Chance that an honest product is wrong all the same: memory, drivers."""
    share: float
    """Of the rows that a cheat leaves uncomputed, at least."""

    def __post_init__(self) -> None:
        """Refuse certainty."""
        if not (0.0 < self.fault < 1.0 and 0.0 < self.share < 1.0):
            raise ValueError(f"chances are within (0, 1): {self}")


@dataclass(frozen=True, slots=True)
class Opening:
    """What is sent once the beacon is out."""

    product: bytes
    """C x, u32 each."""
    rows: tuple[bytes, ...]
    """The rows asked for, i64 each, in the order asked."""
    paths: tuple[tuple[bytes, ...], ...]
    """Of each row, its Merkle path."""


def commit(c: NDArray[np.signedinteger]) -> bytes:
    """Return the root over the rows of the product, shape (n, m)."""
    return merkle.Tree(_rows(c)).root


def open_rows(c: NDArray[np.signedinteger], beacon: bytes, openings: int) -> Opening:
    """Return what answers the beacon for the product `c`, shape (n, m)."""
    rows = _rows(c)
    tree = merkle.Tree(rows)
    product = _times(c, _vector(tree.root, beacon, c.shape[1])).astype(">u4").tobytes()
    asked = _asked(tree.root, product, beacon, len(rows), openings)
    return Opening(product, tuple(rows[at] for at in asked), tuple(map(tree.path, asked)))


def verify(
    a: NDArray[np.signedinteger],
    b: NDArray[np.signedinteger],
    root: bytes,
    opening: Opening,
    floor: Floor,
    *,
    beacon: bytes,
    openings: int,
) -> Statement:
    """Return what an opening says of the claim that `root` is of a @ b, shapes (n, k) and (k, m).

    The judge sees to it that the beacon came out after the root. Invalid: lengths, numbers out of
    range, rows that are not under the root. Raises ValueError for matrices that are no product or
    whose product could wrap, and without openings: the judge's own doing.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"no product of shapes {a.shape} and {b.shape}")
    if a.dtype.kind != "i" or b.dtype.kind != "i":
        raise ValueError(f"not signed integers: {a.dtype} and {b.dtype}")
    if openings < 1:
        raise ValueError("without openings nothing is tied to the root")
    bound = a.shape[1] * _largest(a) * _largest(b)
    if bound > P // 2:
        raise ValueError(f"entries up to {bound} wrap modulo {P}")
    n, m = a.shape[0], b.shape[1]
    wrong = _fault(root, opening, n, m, openings)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, wrong)

    x = _vector(root, beacon, m)
    product = np.frombuffer(opening.product, dtype=">u4").astype(np.int64)
    asked = _asked(root, opening.product, beacon, n, openings)
    against = -math.log(floor.fault)
    for at, row, path in zip(asked, opening.rows, opening.paths, strict=True):
        if not merkle.is_member(root, row, at, n, path):
            return Statement(CHECK, Outcome.INVALID, f"row {at} is not under the root")
        entries = np.frombuffer(row, dtype=">i8").astype(np.int64)
        if entries.max() > bound or entries.min() < -bound:
            return Statement(CHECK, Outcome.INVALID, f"row {at} has an entry no product has")
        if _times(entries[None, :], x)[0] != product[at]:
            return Statement(CHECK, Outcome.MEASURED, f"row {at} is not as claimed", against)
    if not np.array_equal(product, _times(a, _times(b, x))):
        return Statement(CHECK, Outcome.MEASURED, "not the product of these matrices", against)
    passes = (1.0 - floor.share) ** openings + 1.0 / P
    ratio = math.log(passes) - math.log1p(-floor.fault)
    return Statement(CHECK, Outcome.MEASURED, f"{openings} rows opened, all right", ratio)


def _fault(root: bytes, opening: Opening, n: int, m: int, openings: int) -> str | None:
    if not isinstance(root, bytes) or len(root) != 32:
        return "a root is 32 bytes"
    if not isinstance(opening, Opening):
        return "no opening"
    if not isinstance(opening.product, bytes) or len(opening.product) != 4 * n:
        return f"the product with x is {4 * n} bytes"
    if np.frombuffer(opening.product, dtype=">u4").max() >= P:
        return "an entry outside the field"
    lists = (opening.rows, opening.paths)
    if not all(isinstance(sent, (list, tuple)) and len(sent) == openings for sent in lists):
        return f"{openings} rows and paths were asked for"
    if not all(isinstance(row, bytes) and len(row) == 8 * m for row in opening.rows):
        return f"a row is {8 * m} bytes"
    return None


def _largest(matrix: NDArray[np.signedinteger]) -> int:
    # In Python's integers: the least i64 has no positive of its own.
    return max(abs(int(matrix.max())), abs(int(matrix.min())))


def _rows(c: NDArray[np.signedinteger]) -> list[bytes]:
    return [row.tobytes() for row in np.asarray(c, dtype=np.int64).astype(">i8")]


def _vector(root: bytes, beacon: bytes, size: int) -> NDArray[np.int64]:
    return (_u64s(b"freivalds/1 x" + root + beacon, size) % np.uint64(P)).astype(np.int64)


def _asked(root: bytes, product: bytes, beacon: bytes, n: int, openings: int) -> list[int]:
    """Drawn after C x is fixed: who knew them sooner would make x fit the rows he opens."""
    seed = b"freivalds/1 o" + root + hashlib.sha256(product).digest() + beacon
    drawn: list[int] = (_u64s(seed, openings) % np.uint64(n)).tolist()
    return drawn


def _u64s(seed: bytes, count: int) -> NDArray[np.uint64]:
    return np.frombuffer(hashlib.shake_256(seed).digest(8 * count), dtype=">u8").astype(np.uint64)


def _times(matrix: NDArray[np.signedinteger], vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """The product modulo P; each term is below P before it is added, so that no sum overflows."""
    terms = (matrix.astype(np.int64) % P) * vector % P
    return np.asarray(terms.sum(axis=1) % P, dtype=np.int64)


def rows_to_open(share: float, miss: float) -> int:
    """Return how many openings let a `share` of wrong rows pass with chance `miss` or less."""
    if not (0.0 < share < 1.0 and 0.0 < miss < 1.0):
        raise ValueError(f"chances are within (0, 1): {share}, {miss}")
    return math.ceil(math.log(miss) / math.log1p(-share))
