"""Sparse rows and exact I32F32 arithmetic on whole numpy arrays, for the epoch.

Raw values live in int64 arrays. Almost all of them are proportions, 0 <= raw <= 2^32, and the
functions here are exact on that range only; each says what it needs of its operands and why that
is enough. `chain.runtime.fixed` is the same arithmetic without the limits, one number at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

from chain.runtime import fixed

__all__ = [
    "LINE_BITS",
    "MAX_UIDS",
    "ONE",
    "Bools",
    "Csr",
    "Ints",
    "Table",
    "col_normalized",
    "exp",
    "inverse",
    "mul",
    "ratio",
    "ratio_u16",
]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Row = tuple[tuple[int, int], ...]

FRAC_BITS = 32
ONE = 1 << FRAC_BITS
_SHIFT = np.uint64(FRAC_BITS)
_LOW_HALF = np.uint64(ONE - 1)
_UNIT = 2.0**-FRAC_BITS
_JUST_OVER_UNIT = _UNIT * (1 + 2.0**-51)
_EXP_ONE = np.int64(fixed.exp_safe(ONE))  # a rounded constant, not the series

# 512 KiB of 64-bit values: a few temporaries fit a second-level cache.
BLOCK_CELLS = 1 << 16

# A sum of 2^15 raw values of a whole u16 each is the largest that fits an I32F32, and a uid must
# fit 15 bits of a sort key.
LINE_BITS = 15
MAX_UIDS = 1 << LINE_BITS


@dataclass(frozen=True, eq=False)
class Csr(Sequence[Row]):
    """Rows of (uid, u16) pairs in stored order, packed: row i is [indptr[i], indptr[i + 1]).

    Reads as a sequence of rows, each a tuple of pairs of ints. Explicit zeros are kept, and uids
    need not be sorted, but no uid may stand twice in a row (the chain refuses such weights).
    """

    indptr: NDArray[np.int64]
    uids: NDArray[np.uint16]
    values: NDArray[np.uint16]

    @classmethod
    def of(cls, rows: Csr | Iterable[Sequence[tuple[int, int]]]) -> Csr:
        """Pack any sequence of rows; a `Csr` is returned as it is."""
        if isinstance(rows, Csr):
            return rows
        rows = list(rows)
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=indptr[1:])
        numbers = chain.from_iterable(chain.from_iterable(rows))
        flat = np.fromiter(numbers, np.uint16, 2 * int(indptr[-1]))
        return cls(indptr, flat[0::2], flat[1::2])

    def counts(self, n: int) -> NDArray[np.int64]:
        """Length of each row, missing ones up to `n` being empty."""
        counts = np.zeros(n, np.int64)
        counts[: len(self)] = np.diff(self.indptr)
        return counts

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        span = slice(self.indptr[i], self.indptr[i + 1])
        return tuple(zip(self.uids[span].tolist(), self.values[span].tolist(), strict=True))

    def __iter__(self) -> Iterator[Row]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Csr):
            return NotImplemented
        return (
            np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.uids, other.uids)
            and np.array_equal(self.values, other.values)
        )

    __hash__ = None  # type: ignore[assignment]


class Table:
    """Stored rows spread out: a line for each of the uids `lines`, a column for every uid.

    `lines` must name every row of `stored` that is not empty. Uids past the end share one more
    column: nobody reads their values, but in a row they stand between the others.

    Attributes:
        values: the u16 values, shaped (lines, uids); 0 where there is no entry.
    """

    def __init__(self, stored: Csr, lines: NDArray[np.intp], n: int) -> None:
        self._lines = lines
        self._spread = np.zeros((len(lines), n + 1), np.uint16)
        # Where the entries lie in `_spread`, in stored order.
        starts = np.arange(len(lines)) * (n + 1)
        self._cell = np.repeat(starts, stored.counts(n)[lines])
        self._cell += np.minimum(stored.uids, n)
        self._spread.ravel()[self._cell] = stored.values
        self._kept = np.ones((1, n + 1), np.bool_)
        self.values = self._spread[:, :n]

    @cached_property
    def is_sorted(self) -> bool:
        """Whether every row is in strictly ascending uid order."""
        return bool((self._cell[1:] > self._cell[:-1]).all())

    def mask(self, keep: Bools) -> None:
        """Remove the entries outside `keep`, which broadcasts to (lines, uids + 1)."""
        self._kept = keep
        self._spread *= keep

    def listed(self) -> Bools:
        """Mark the cells with an entry, explicit zeros included, shaped (lines, uids + 1)."""
        marks = np.zeros(self._spread.shape, np.bool_)
        marks.ravel()[self._cell] = True
        marks &= self._kept
        return marks

    def out_of_order(self, listed: Bools) -> Bools:
        """Mark the cells, of those `listed`, that do not exceed all listed before in their row.

        `listed` is shaped (lines, uids + 1), the answer (lines, uids).
        """
        cell = self._cell[listed.ravel()[self._cell]]
        late = cell[1:] <= np.maximum.accumulate(cell)[:-1]
        marks = np.zeros(self._spread.shape, np.bool_)
        marks.ravel()[cell[1:][late]] = True
        return marks[:, :-1]

    def pack(self, values: NDArray[np.uint16], chosen: Bools, *, as_stored: bool) -> Csr:
        """Pack the `chosen` cells of `values`, in ascending order or that of the rows stored here.

        For the stored order every chosen cell must have an entry.
        """
        n = values.shape[1]
        every_uid = np.arange(n, dtype=np.uint16)
        cells: tuple[NDArray[np.intp], NDArray[np.intp]] | Bools = chosen
        if as_stored and not self.is_sorted:
            line, col = np.divmod(self._cell, n + 1)
            line, col = line[col < n], col[col < n]
            keep = chosen[line, col]
            cells = line[keep], col[keep]
        counts = np.zeros(n, np.int64)
        counts[self._lines] = chosen.sum(axis=1)
        indptr = np.concatenate(([0], np.cumsum(counts)))
        return Csr(indptr, np.broadcast_to(every_uid, chosen.shape)[cells], values[cells])

    def blocks(self) -> Iterator[slice]:
        """Cut the columns so that a matrix of 64-bit values of one block stays in the cache."""
        lines, n = self.values.shape
        width = max(1, BLOCK_CELLS // max(1, lines))
        return (slice(start, start + width) for start in range(0, n, width))


def mul(x: Ints, y: Ints) -> Ints:
    """floor(x * y / 2^32) of proportions; `y` is the one to be broadcast, if any."""
    product = x.view(np.uint64) * y.view(np.uint64)
    product >>= _SHIFT
    result = product.view(np.int64)
    if (y == ONE).any():
        # ONE * ONE alone reaches 2^64 and wraps to 0: then, and only then, both have bit 32 set.
        result |= x & y & ONE
    return result


def ratio(x: Ints, y: Ints) -> Ints:
    """floor(x * 2^32 / y) for 0 <= x <= y < 2^53 and y > 0."""
    # Rounding the divisor and the quotient errs by 2^-52 of it, while the divisor is 2^-51 too
    # large: the float is never above the true quotient and, at most 2^32, less than 2^-18 below.
    # So its floor is right or one too small, and the remainder, exact although its terms may
    # wrap, tells which.
    quotient = (x / (y * _JUST_OVER_UNIT)).astype(np.int64)
    remainder = x << FRAC_BITS
    remainder -= quotient * y
    quotient += remainder >= y
    return quotient


def ratio_u16(x: NDArray[np.uint16], y: Ints) -> Ints:
    """floor(x * 2^32 / y) for a u16 numerator, 0 <= x <= y and 0 < y < 2^53."""
    # A quotient that is no whole number lies at least 1/y below the next one, and the float is
    # off by at most (x * 2^32 / y) * 2^-53 < 2^-5 / y: the floor is exact.
    return (x / (y * _UNIT)).astype(np.int64)


def col_normalized(x: Ints) -> Ints:
    """Each column divided by its sum; a column of zeros stays."""
    return ratio(x, np.maximum(x.sum(axis=0), 1))


def inverse(x: Ints) -> Ints:
    """floor(2^64 / x) for ONE <= x < 2^63: one divided by a value of one or more."""
    quotient: Ints = (np.uint64(2**64 - 1) // x.view(np.uint64)).view(np.int64)
    # The numerator is one less than 2^64: that shows only when x divides 2^64.
    quotient += (x & (x - 1)) == 0
    return quotient


def exp(x: Ints) -> Ints:
    """The exponential of I32F32 values within -20..20, as `fixed.I32F32.exp` has it."""
    magnitude = np.abs(x).view(np.uint64)
    largest = int(magnitude.max(initial=0))
    high, low = magnitude >> _SHIFT, magnitude & _LOW_HALF
    term, bound = magnitude.copy(), largest
    result = magnitude + np.uint64(ONE)
    for i in range(2, FRAC_BITS):
        # Floors in a row are one floor: the product's and the division's by i become one. `bound`
        # is the largest term, computed alike.
        if bound * largest < 2**64:
            term *= magnitude
            term //= np.uint64(i << FRAC_BITS)
        else:
            # Terms reach 20^20 / 20! < 2^26 whole and products 20 times that, so neither this sum
            # of partial products nor any part of it reaches 2^63.
            term_low = term & _LOW_HALF
            term >>= _SHIFT
            term *= magnitude
            term += term_low * high
            term_low *= low
            term_low >>= _SHIFT
            term += term_low
            term //= np.uint64(i)
        bound = ((bound * largest) >> FRAC_BITS) // i
        if bound == 0:
            break
        result += term
    series = result.view(np.int64)
    series[x == ONE] = _EXP_ONE
    return np.where(x < 0, inverse(series), series)
