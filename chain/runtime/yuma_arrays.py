"""Sparse matrices and exact I32F32 arithmetic on whole numpy arrays, for the epoch.

Raw values live in int64 arrays. Almost all of them are proportions, 0 <= raw <= 2^32, and the
functions here are exact on that range only; each says what it needs of its operands and why that
is enough. `chain.runtime.fixed` is the same arithmetic without the limits, one number at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from chain.runtime import fixed

__all__ = [
    "MAX_UIDS",
    "ONE",
    "Bools",
    "Cells",
    "Csr",
    "Entries",
    "Ints",
    "Layout",
    "Lines",
    "exp",
    "inverse",
    "layout",
    "mul",
    "ratio",
    "ratio_u16",
]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Row = tuple[tuple[int, int], ...]
Numbers = TypeVar("Numbers", Ints, Bools)

FRAC_BITS = 32
ONE = 1 << FRAC_BITS
_SHIFT = np.uint64(FRAC_BITS)
_LOW_HALF = np.uint64(ONE - 1)
_UNIT = 2.0**-FRAC_BITS
_JUST_OVER_UNIT = _UNIT * (1 + 2.0**-51)
_EXP_ONE = np.int64(fixed.exp_safe(ONE))  # a rounded constant, not the series

# A sum of 2^15 raw values of a whole u16 each is the largest that fits an I32F32, and a column, a
# score and a row have to fit one sort key.
UID_BITS = 15
MAX_UIDS = 1 << UID_BITS


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

    __hash__ = None  # type: ignore[assignment]  # it is compared by what may change


@dataclass(frozen=True)
class Entries:
    """Stored rows entry by entry, in stored order: whose, about which uid, and how much.

    Uids past the end all read as `n`: nobody asks for their values, but in a row they stand
    between the others.
    """

    n: int
    rows: Ints
    cols: Ints
    values: Ints

    @classmethod
    def of(cls, stored: Csr, n: int) -> Entries:
        """The entries of at most `n` rows."""
        rows = np.repeat(np.arange(len(stored)), np.diff(stored.indptr))
        cols = stored.uids.astype(np.int64)
        return cls(n, rows, np.minimum(cols, n, out=cols), stored.values.astype(np.int64))

    def where(self, keep: Bools) -> Entries:
        """The entries that `keep` marks."""
        if keep.all():
            return self
        return Entries(self.n, self.rows[keep], self.cols[keep], self.values[keep])

    @cached_property
    def _place(self) -> Ints:
        return self.rows * (self.n + 1) + self.cols

    @cached_property
    def is_sorted(self) -> bool:
        """Whether every row is in strictly ascending uid order."""
        return bool((self._place[1:] > self._place[:-1]).all())

    def late(self) -> Entries:
        """The entries that do not exceed all before them in their row."""
        late = np.zeros(len(self.rows), np.bool_)
        if not self.is_sorted:
            late[1:] = self._place[1:] <= np.maximum.accumulate(self._place)[:-1]
        return self.where(late)

    def inside(self) -> Entries:
        """The entries of uids before the end."""
        return self.where(self.cols < self.n)


class Layout(Protocol):
    """Those cells of a matrix of `n` rows and columns that may hold something but 0.

    Values of the cells are arrays whose shape is the layout's own; two of them combine cell by
    cell, and with what `of_rows` and `of_cols` make of one number for each uid.
    """

    n: int

    def of_rows(self, numbers: Numbers) -> Numbers:
        """Each cell has the number of its row."""

    def of_cols(self, numbers: Numbers) -> Numbers:
        """Each cell has the number of its column."""

    def spread(self, entries: Entries) -> Ints:
        """Each cell has the value of its entry, 0 where it has none."""

    def marks(self, entries: Entries) -> Bools:
        """Mark the cells that have an entry."""

    def has(self, marks: Bools, entries: Entries) -> Bools:
        """Which of `entries`, all of uids before the end, stand in a marked cell."""

    def row_sums(self, values: Ints) -> Ints:
        """The sum of each row."""

    def col_sums(self, values: Ints) -> Ints:
        """The sum of each column."""

    def col_max(self, values: Ints) -> Ints:
        """The largest value of each column."""

    def medians(self, scores: Ints, stake: Ints, base: Ints, limit: int) -> Ints:
        """For each column with base <= limit the least positive score that matters, else 0.

        That is the least such that `base` and the `stake` of the rows with this score and lower
        positive ones exceed `limit`, or the largest when none does. Rows without stake have none.
        """

    def pack(self, values: Ints, chosen: Bools, order: Entries | None = None) -> Csr:
        """Pack the `chosen` cells with their u16 `values`: rows in ascending order.

        With `order`, rows are in its order; then every chosen cell must have an entry there.
        """


def layout(weights: Entries, bonds: Entries) -> Layout:
    """The layout that suits the entries: rows spread out where they fill them, else cell by cell.

    Both give the same results; either is many times slower where the other belongs.
    """
    n = weights.n
    filled = np.zeros(n, np.bool_)
    filled[weights.rows] = filled[bonds.rows] = True
    lines = np.flatnonzero(filled)
    if len(lines) * n <= max(SPREAD * (len(weights.rows) + len(bonds.rows)), FEW_CELLS):
        return Lines(n, lines)
    keys = np.concatenate((_keys(weights.inside()), _keys(bonds.inside())))
    keys.sort()
    return Cells(n, keys[_run_starts(keys)])


SPREAD = 3
"""Spread rows out when that makes at most so many cells for each entry ..."""
FEW_CELLS = 1 << 13
"""... or no more than this in all."""


class Lines:
    """A layout that spreads out the rows `lines`, ascending: values are shaped (lines, n)."""

    def __init__(self, n: int, lines: Ints) -> None:
        self.n = n
        self._lines = lines
        self._start = np.zeros(n, np.int64)  # of a row's line, when there is a column more
        self._start[lines] = np.arange(len(lines)) * (n + 1)

    def of_rows(self, numbers: Numbers) -> Numbers:
        of_lines: Numbers = numbers[self._lines, None]
        return of_lines

    def of_cols(self, numbers: Numbers) -> Numbers:
        of_every: Numbers = numbers[None, :]
        return of_every

    def spread(self, entries: Entries) -> Ints:
        values = np.zeros((len(self._lines), self.n + 1), np.int64)
        values.ravel()[self._start[entries.rows] + entries.cols] = entries.values
        return values[:, :-1]

    def marks(self, entries: Entries) -> Bools:
        marks = np.zeros((len(self._lines), self.n + 1), np.bool_)
        marks.ravel()[self._start[entries.rows] + entries.cols] = True
        return marks[:, :-1]

    def has(self, marks: Bools, entries: Entries) -> Bools:
        lines, cols = np.divmod(self._start[entries.rows] + entries.cols, self.n + 1)
        return marks[lines, cols]

    def row_sums(self, values: Ints) -> Ints:
        sums = np.zeros(self.n, np.int64)
        sums[self._lines] = values.sum(axis=1)
        return sums

    def col_sums(self, values: Ints) -> Ints:
        sums: Ints = values.sum(axis=0)
        return sums

    def col_max(self, values: Ints) -> Ints:
        largest: Ints = values.max(axis=0, initial=0)
        return largest

    def medians(self, scores: Ints, stake: Ints, base: Ints, limit: int) -> Ints:
        median = np.zeros(self.n, np.int64)
        stake = stake[self._lines]
        voters = np.flatnonzero(stake)
        cols = np.flatnonzero(base <= limit)
        if not len(voters) or not len(cols):
            return median
        # Score and voter in one key. Scores of 0 sort first, and their stake is in `base`.
        keys = scores[np.ix_(voters, cols)].T << UID_BITS | voters
        keys.sort(axis=1)
        counted = stake[keys & (MAX_UIDS - 1)]
        counted[keys < MAX_UIDS] = 0
        exceeds = np.cumsum(counted, axis=1) + base[cols, None] > limit
        exceeds[:, -1] = True
        at = exceeds.argmax(axis=1)
        median[cols] = keys[np.arange(len(keys)), at] >> UID_BITS
        return median

    def pack(self, values: Ints, chosen: Bools, order: Entries | None = None) -> Csr:
        n = self.n
        if order is None or order.is_sorted:
            counts = np.zeros(n, np.int64)
            counts[self._lines] = chosen.sum(axis=1)
            every_uid = np.broadcast_to(np.arange(n, dtype=np.uint16), chosen.shape)
            return _csr(counts, every_uid[chosen], values[chosen])
        kept = order.where(self.has(chosen, order))
        lines = self._start[kept.rows] // (n + 1)
        return _csr(np.bincount(kept.rows, minlength=n), kept.cols, values[lines, kept.cols])


class Cells:
    """A layout of single cells, named by `keys`: column and row in one number, ascending."""

    def __init__(self, n: int, keys: Ints) -> None:
        self.n = n
        self._keys = keys
        self._row = keys & (MAX_UIDS - 1)
        self._col = keys >> UID_BITS
        self._starts = _run_starts(self._col)

    def of_rows(self, numbers: Numbers) -> Numbers:
        of_cells: Numbers = numbers[self._row]
        return of_cells

    def of_cols(self, numbers: Numbers) -> Numbers:
        of_cells: Numbers = numbers[self._col]
        return of_cells

    def spread(self, entries: Entries) -> Ints:
        inside = entries.inside()
        values = np.zeros(len(self._keys), np.int64)
        values[np.searchsorted(self._keys, _keys(inside))] = inside.values
        return values

    def marks(self, entries: Entries) -> Bools:
        marks = np.zeros(len(self._keys), np.bool_)
        marks[np.searchsorted(self._keys, _keys(entries.inside()))] = True
        return marks

    def has(self, marks: Bools, entries: Entries) -> Bools:
        return marks[np.searchsorted(self._keys, _keys(entries))]

    def row_sums(self, values: Ints) -> Ints:
        # At most 2^15 values of at most 2^32: exact in the float64 that `bincount` adds.
        return np.bincount(self._row, values, self.n).astype(np.int64)

    def col_sums(self, values: Ints) -> Ints:
        return self._by_column(np.add, values)

    def col_max(self, values: Ints) -> Ints:
        return self._by_column(np.maximum, values)

    def _by_column(self, combine: np.ufunc, values: Ints) -> Ints:
        result = np.zeros(self.n, np.int64)
        if len(values):
            result[self._col[self._starts]] = combine.reduceat(values, self._starts)
        return result

    def medians(self, scores: Ints, stake: Ints, base: Ints, limit: int) -> Ints:
        median = np.zeros(self.n, np.int64)
        voting = (base <= limit)[self._col] & (stake[self._row] > 0) & (scores > 0)
        cells = np.flatnonzero(voting)
        if not len(cells):
            return median
        # Column, score and voter in one key: 15 bits, 33 (ONE included) and 15.
        keys = (self._col[cells] << 33 | scores[cells]) << UID_BITS | self._row[cells]
        keys.sort()
        cols = keys >> 33 + UID_BITS
        starts = _run_starts(cols)
        ends = np.append(starts[1:], len(keys))
        counted = stake[keys & (MAX_UIDS - 1)]
        below = np.cumsum(counted)
        below += np.repeat(base[cols[starts]] + counted[starts] - below[starts], ends - starts)
        at = starts + np.add.reduceat((below <= limit).astype(np.int64), starts)
        found = keys[np.minimum(at, ends - 1)] >> UID_BITS
        median[cols[starts]] = found & ((1 << 33) - 1)
        return median

    def pack(self, values: Ints, chosen: Bools, order: Entries | None = None) -> Csr:
        if order is None or order.is_sorted:
            cells = np.flatnonzero(chosen)
            by_row = (self._row[cells] << UID_BITS | self._col[cells]) << 16 | values[cells]
            by_row.sort()
            rows, cols, values = by_row >> UID_BITS + 16, by_row >> 16, by_row
        else:
            cells = np.searchsorted(self._keys, _keys(order))
            known = chosen[cells]
            rows, cols, values = order.rows[known], order.cols[known], values[cells[known]]
        return _csr(np.bincount(rows, minlength=self.n), cols & (MAX_UIDS - 1), values)


def _keys(entries: Entries) -> Ints:
    return entries.cols << UID_BITS | entries.rows


def _run_starts(values: Ints) -> Ints:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1]))[: len(values)])


def _csr(counts: Ints, uids: NDArray[Any], values: Ints) -> Csr:
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return Csr(indptr, uids.astype(np.uint16), values.astype(np.uint16))


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


def ratio_u16(x: Ints, y: Ints) -> Ints:
    """floor(x * 2^32 / y) for a u16 numerator, 0 <= x <= y and 0 < y < 2^53."""
    # A quotient that is no whole number lies at least 1/y below the next one, and the float is
    # off by at most (x * 2^32 / y) * 2^-53 < 2^-5 / y: the floor is exact.
    return (x / (y * _UNIT)).astype(np.int64)


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
