"""The array arithmetic against the scalar one, and the runtime's matrix cases."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime import yuma
from chain.runtime.fixed import I32F32, exp_safe
from chain.runtime.yuma_arrays import (
    ONE,
    Csr,
    Ints,
    Table,
    col_normalized,
    exp,
    inverse,
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
    assert ratio_u16(x.astype(np.uint16), y).tolist() == [(a << 32) // b for a, b in pairs]


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


def median(scores: list[list[float]], stake: list[float], majority: float) -> list[int]:
    """Medians of the columns of `scores`, one row for each of `stake`."""
    n = max(len(scores), 1)
    voters = np.zeros(n, np.int64)
    voters[: len(stake)] = fixed(*stake)
    electorate = yuma.Electorate(voters, np.arange(len(scores)), I32F32.of_float(majority))
    rows = np.array([fixed(*row) for row in scores], np.int64).reshape(len(scores), -1)
    result: list[int] = electorate.median(rows).tolist()
    return result


@pytest.mark.parametrize(("stake", "scores", "expected"), MEDIANS)
def test_weighted_median(stake: list[float], scores: list[float], expected: float) -> None:
    majority = I32F32.of_float(0.51)
    if scores:
        assert median([[score] for score in scores], stake, 0.51) == fixed(expected).tolist()

    kept = [i for i, share in enumerate(stake) if share > 0]
    u = yuma_oracle.normalize(fixed(*(stake[i] for i in kept)).tolist())
    v = fixed(*(scores[i] for i in kept)).tolist()
    oracle = yuma_oracle.weighted_median(u, v, sum(u) - majority, sum(u))
    assert oracle == I32F32.of_float(expected)


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
    stake: list[float], last_row: list[float], majority: float, expected: list[float]
) -> None:
    scores = [[0, 0.1, 0], [0, 0.2, 0.4], [0, 0.3, 0.1], last_row]
    assert median(scores, stake, majority) == fixed(*expected).tolist()


def test_stake_without_a_row_votes_for_zero() -> None:
    stake = fixed(0.5, 0.3, 0.2)
    for lines, expected in [([0], 0), ([0, 2], 0.7), ([1, 2], 0), ([0, 1, 2], 0.7)]:
        electorate = yuma.Electorate(stake, np.array(lines), I32F32.of_float(0.6))
        found = electorate.median(np.tile(fixed(0.7), (len(lines), 1)))
        assert found.tolist() == fixed(expected).tolist()


def test_col_normalized() -> None:
    matrix = np.array([[0, ONE, 3], [0, ONE, 1]], np.int64)
    assert col_normalized(matrix).tolist() == [[0, ONE // 2, 3 * ONE // 4], [0, ONE // 2, ONE // 4]]


def test_interpolation_rounds_towards_the_clipped_weight() -> None:
    weight, consensus = array(0, 10, 10, 10, 10), array(5, 10, 7, 0, 9)
    assert yuma._interpolated(weight, consensus, 0).tolist() == weight.tolist()
    assert yuma._interpolated(weight, consensus, ONE).tolist() == [0, 10, 7, 0, 9]
    assert yuma._interpolated(weight, consensus, ONE // 2).tolist() == [0, 10, 8, 5, 9]
    penalty = I32F32.ratio(65_534, 65_535)
    assert yuma._interpolated(array(ONE), array(0), penalty).tolist() == [ONE - penalty]


def test_largest_prefers_the_higher_uid_on_ties() -> None:
    ten = array(0, 1, 2, 3, 4, 5, 5, 5, 5, 6)
    assert yuma._largest(ten, 5).tolist() == [False] * 5 + [True] * 5
    assert yuma._largest(ten, 2).tolist() == [False] * 8 + [True] * 2
    assert yuma._largest(ten, 11).tolist() == yuma._largest(ten, 10).tolist()
    assert yuma._largest(ten, 10).tolist() == [False] + [True] * 9


def test_a_table_keeps_zeros_and_order() -> None:
    stored = Csr.of([[(2, 0), (1, 9), (7, 4), (0, 3)], [], [(0, 5), (1, 6)]])
    table = Table(stored, np.array([0, 2]), 3)
    assert table.values.tolist() == [[3, 9, 0], [5, 6, 0]]
    assert table.listed().tolist() == [[True, True, True, True], [True, True, False, False]]
    assert not table.is_sorted
    assert table.out_of_order(table.listed()).tolist() == [[True, True, False], [False] * 3]

    chosen = table.listed()[:, :3]
    assert table.pack(table.values, chosen, as_stored=True) == Csr.of(
        [[(2, 0), (1, 9), (0, 3)], [], [(0, 5), (1, 6)]]
    )
    assert table.pack(table.values, chosen, as_stored=False)[0] == ((0, 3), (1, 9), (2, 0))

    table.mask(np.array([True, True, False, False]))
    assert table.out_of_order(table.listed()).tolist() == [[True, False, False], [False] * 3]
