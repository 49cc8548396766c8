"""The array arithmetic against the scalar one, and the runtime's matrix cases."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime import yuma
from chain.runtime.fixed import I32F32, exp_safe
from chain.runtime.yuma_arrays import (
    ONE,
    Cells,
    Csr,
    Entries,
    Ints,
    Layout,
    Lines,
    _keys,
    exp,
    inverse,
    layout,
    mul,
    ratio,
    ratio_u16,
)
from tests.runtime import yuma_oracle

proportions = st.one_of(
    st.integers(0, ONE), st.sampled_from([0, 1, ONE - 1, ONE, ONE // 2]), st.integers(0, 1000)
)


def array(*values: int) -> Ints:
    return np.array(values, np.int64)


def fixed(*values: float) -> Ints:
    return array(*(I32F32.of_float(value) for value in values))


@given(st.lists(st.tuples(proportions, proportions), min_size=1))
def test_mul(pairs: list[tuple[int, int]]) -> None:
    x, y = (array(*side) for side in zip(*pairs, strict=True))
    assert mul(x, y).tolist() == [I32F32.mul(a, b) for a, b in pairs]
    assert mul(x, y[:1]).tolist() == [I32F32.mul(a, pairs[0][1]) for a, _ in pairs]


@given(st.lists(st.tuples(proportions, st.integers(0, 2**52)), min_size=1))
def test_ratio(pairs: list[tuple[int, int]]) -> None:
    pairs = [(x, max(1, x + extra)) for x, extra in pairs]
    x, y = (array(*side) for side in zip(*pairs, strict=True))
    assert ratio(x, y).tolist() == [(a << 32) // b for a, b in pairs]


def test_ratio_beside_every_whole_quotient() -> None:
    """Where the quotient is a whole number or just misses one, floats round the wrong way."""
    rng = random.Random(0)
    pairs = []
    for _ in range(20_000):
        whole = rng.randrange(ONE, 2**45)
        edge = -(-rng.randrange(1, ONE) * whole // ONE)
        pairs += [(part, whole) for part in (edge - 1, edge, edge + 1) if part <= whole]
    x, y = (array(*side) for side in zip(*pairs, strict=True))
    assert ratio(x, y).tolist() == [(a << 32) // b for a, b in pairs]


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**40)), min_size=1))
def test_ratio_u16(pairs: list[tuple[int, int]]) -> None:
    pairs = [(x, max(1, x + extra)) for x, extra in pairs]
    x, y = (array(*side) for side in zip(*pairs, strict=True))
    assert ratio_u16(x, y).tolist() == [(a << 32) // b for a, b in pairs]


@given(st.lists(st.integers(ONE, 2**62), min_size=1))
def test_inverse(values: list[int]) -> None:
    values += [ONE, ONE + 1, 2 * ONE, 2**62]
    assert inverse(array(*values)).tolist() == [2**64 // value for value in values]


@given(st.lists(st.integers(-20 * ONE, 20 * ONE), min_size=1))
def test_exp(values: list[int]) -> None:
    values += [0, 1, -1, ONE, -ONE, 20 * ONE, -20 * ONE]
    assert exp(array(*values)).tolist() == [exp_safe(value) for value in values]


MEDIANS: list[tuple[list[float], list[float], float]] = [
    ([0.49, 0.51], [0.5, 1], 1),
    ([0.51, 0.49], [0.5, 1], 0.5),
    ([0.49, 0, 0.51], [0.5, 0.7, 1], 1),
    ([0.49, 0.01, 0.5], [0.5, 0.7, 1], 0.7),
    ([0.49, 0.51, 0], [0.5, 0.7, 1], 0.7),
    ([0, 0.49, 0.51], [0.5, 0.7, 1], 1),
    ([0, 0.49, 0, 0.51], [0.5, 0.5, 1, 1], 1),
    ([0.2] * 5, [0.8, 0.2, 1, 0.6, 0.4], 0.6),
    ([0.1] * 10, [0.8, 0.8, 0.2, 0.2, 1, 1, 0.6, 0.6, 0.4, 0.4], 0.6),
    ([], [], 0),
]


def cells_of(scores: Sequence[Sequence[int]], n: int, kind: str) -> tuple[Layout, Ints]:
    """The layout of some rows of raw scores, whose values here may exceed a u16, and the scores."""
    rows, cols = np.indices((len(scores), n)).reshape(2, -1)
    values = np.array(scores, np.int64).reshape(-1)
    entries = Entries(n, rows, cols, values).where(values > 0)
    lines = np.arange(len(scores))
    cells = Lines(n, lines) if kind == "lines" else Cells(n, np.sort(_keys(entries)))
    return cells, cells.spread(entries)


def median(scores: list[list[float]], stake: list[float], majority: float, kind: str) -> list[int]:
    """Medians of the columns of `scores`, one row for each of `stake`."""
    n = max(len(scores), len(scores[0]) if scores else 1)
    voters = np.zeros(n, np.int64)
    voters[: len(stake)] = fixed(*stake)
    raw = [[*fixed(*row).tolist(), *[0] * (n - len(row))] for row in scores]
    cells, values = cells_of(raw, n, kind)
    found = yuma._consensus(cells, values, voters, I32F32.of_float(majority))
    medians: list[int] = found[: len(scores[0]) if scores else 1].tolist()
    return medians


layouts = pytest.mark.parametrize("kind", ["lines", "cells"])


@layouts
@pytest.mark.parametrize(("stake", "scores", "expected"), MEDIANS)
def test_weighted_median(
    stake: list[float], scores: list[float], expected: float, kind: str
) -> None:
    majority = I32F32.of_float(0.51)
    found = median([[score] for score in scores], stake, 0.51, kind)
    assert found == fixed(expected).tolist()

    kept = [i for i, share in enumerate(stake) if share > 0]
    u = yuma_oracle.normalize(fixed(*(stake[i] for i in kept)).tolist())
    v = fixed(*(scores[i] for i in kept)).tolist()
    oracle = yuma_oracle.weighted_median(u, v, sum(u) - majority, sum(u))
    assert oracle == I32F32.of_float(expected)


@layouts
@pytest.mark.parametrize(
    ("stake", "last_row", "majority", "expected"),
    [
        ([0, 0.75, 0.25, 0], [0, 0.4, 0.5], 0.24, [0, 0.3, 0.4]),
        ([0, 0.75, 0.25, 0], [0, 0.4, 0.5], 0.26, [0, 0.2, 0.4]),
        ([0, 0.75, 0.25, 0], [0, 0.4, 0.5], 0.76, [0, 0.2, 0.1]),
        ([0, 0.3, 0.2, 0.5], [0, 0, 0.5], 0.51, [0, 0, 0.4]),
    ],
)
def test_weighted_median_columns(
    stake: list[float], last_row: list[float], majority: float, expected: list[float], kind: str
) -> None:
    scores = [[0, 0.1, 0], [0, 0.2, 0.4], [0, 0.3, 0.1], last_row]
    assert median(scores, stake, majority, kind) == fixed(*expected).tolist()


@layouts
def test_stake_without_a_row_votes_for_zero(kind: str) -> None:
    stake = fixed(0.5, 0.3, 0.2)
    for voters, expected in [([0], 0), ([0, 2], 0.7), ([1, 2], 0), ([0, 1, 2], 0.7)]:
        scores = [[int(fixed(0.7)[0]) * (i in voters)] * 3 for i in range(3)]
        cells, values = cells_of(scores, 3, kind)
        found = yuma._consensus(cells, values, stake, I32F32.of_float(0.6))
        assert found.tolist() == fixed(expected).tolist() * 3


@layouts
def test_normalised_columns(kind: str) -> None:
    cells, values = cells_of([[0, ONE, 3], [0, ONE, 1]], 3, kind)
    shares = np.zeros((3, 3), np.int64)
    rows, cols = cells.of_rows(np.arange(3)), cells.of_cols(np.arange(3))
    np.add.at(shares, np.broadcast_arrays(rows, cols), yuma._col_normalized(cells, values))
    assert shares.tolist() == [[0, ONE // 2, 3 * ONE // 4], [0, ONE // 2, ONE // 4], [0, 0, 0]]


def test_interpolation_rounds_towards_the_clipped_weight() -> None:
    weight, clipped = array(0, 10, 10, 10, 10), array(0, 10, 7, 0, 9)
    assert yuma._interpolated(weight, clipped, 0).tolist() == weight.tolist()
    assert yuma._interpolated(weight, clipped, ONE).tolist() == [0, 10, 7, 0, 9]
    assert yuma._interpolated(weight, clipped, ONE // 2).tolist() == [0, 10, 8, 5, 9]
    penalty = I32F32.ratio(65_534, 65_535)
    assert yuma._interpolated(array(ONE), array(0), penalty).tolist() == [ONE - penalty]


def test_largest_prefers_the_higher_uid_on_ties() -> None:
    ten = array(0, 1, 2, 3, 4, 5, 5, 5, 5, 6)
    assert yuma._largest(ten, 5).tolist() == [False] * 5 + [True] * 5
    assert yuma._largest(ten, 2).tolist() == [False] * 8 + [True] * 2
    assert yuma._largest(ten, 11).tolist() == yuma._largest(ten, 10).tolist()
    assert yuma._largest(ten, 10).tolist() == [False] + [True] * 9


@layouts
def test_a_layout_keeps_zeros_and_order(kind: str) -> None:
    stored = Csr.of([[(2, 0), (1, 9), (7, 4), (0, 3)], [], [(0, 5), (1, 6)]])
    entries = Entries.of(stored, 3)
    assert not entries.is_sorted
    late = entries.late()
    assert list(zip(late.rows.tolist(), late.cols.tolist(), strict=True)) == [(0, 1), (0, 0)]
    gone = entries.where(entries.cols < 2).late()  # without what stood before it, only one is late
    assert gone.cols.tolist() == [0]

    if kind == "lines":
        cells: Layout = Lines(3, np.array([0, 2]))
    else:
        cells = Cells(3, np.sort(_keys(entries.inside())))
    values, listed = cells.spread(entries), cells.marks(entries)
    assert sorted(values[listed].tolist()) == [0, 3, 5, 6, 9]
    assert cells.row_sums(values).tolist() == [12, 0, 11]
    assert cells.col_sums(values).tolist() == [8, 15, 0]
    assert cells.col_max(values).tolist() == [5, 9, 0]
    as_stored = cells.pack(values, listed, entries.inside())
    assert as_stored == Csr.of([[(2, 0), (1, 9), (0, 3)], [], [(0, 5), (1, 6)]])
    assert cells.pack(values, listed)[0] == ((0, 3), (1, 9), (2, 0))
    assert cells.pack(values, values > 5, entries.inside()) == Csr.of([[(1, 9)], [], [(1, 6)]])


def test_a_layout_is_chosen_by_how_full_the_rows_are() -> None:
    none = Entries.of(Csr.of([]), 4096)
    sparse = Entries.of(Csr.of([[(i, 1)] for i in range(4096)]), 4096)
    full = Entries.of(Csr.of([[(j, 1) for j in range(4096)]] * 4), 4096)
    assert isinstance(layout(sparse, none), Cells)
    assert isinstance(layout(none, full), Lines)


# The runtime's own cases of clipping and of the moving average


def test_clipping_at_thresholds() -> None:
    rows = np.array([[0, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]) * ONE
    clipped = np.minimum(rows, array(0, 5, 12) * ONE) // ONE  # as an epoch clips at consensus
    assert clipped.tolist() == [[0, 2, 3], [0, 5, 6], [0, 5, 9], [0, 5, 12]]


OLD = [0.1, 0.2, 3, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.10, 0.11, 0.12]
AVERAGE = [0.19, 0.38, 1, 0.436, 0.545, 0.6539, 0.763, 0.8719, 0.981, 1, 1, 1]


def test_the_moving_average_moves_a_tenth() -> None:
    """In scalars: no epoch has numbers above one, for which alone the arrays are made."""
    tenth = I32F32.of_float(0.1)
    for number, (old, expected) in enumerate(zip(OLD, AVERAGE, strict=True), start=1):
        bought = I32F32.mul(tenth, I32F32.of(number))
        kept = I32F32.mul(I32F32.sub(ONE, tenth), I32F32.of_float(old))
        assert min(I32F32.add(bought, kept), ONE) / ONE == pytest.approx(expected, abs=2e-4)
    average = yuma._average(fixed(1), fixed(0.1), ONE - tenth)
    assert average[0] / ONE == pytest.approx(0.19, abs=1e-9)
