"""Statements: what a p-value is worth, and that honest answers are seldom condemned by many."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from scoring.verify.statement import (
    Measure,
    Outcome,
    Sample,
    Statement,
    log_evidence,
    measured,
    total,
    weigh,
)

PS = st.floats(1e-300, 1.0)
FINITE = st.floats(-1e6, 1e6)


def test_what_a_p_value_is_worth_is_a_density() -> None:
    value, _ = integrate.quad(lambda x: math.exp(log_evidence(math.exp(-x)) - x), 0.0, 700.0)
    assert value + 1.0 / 700.0 == pytest.approx(1.0, abs=1e-4)  # beyond 700 it falls as 1 / x²
    assert log_evidence(1.0) == pytest.approx(math.log(0.5))
    # (e^x - 1 - x) / x² at p = 1/100, by hand: (100 - 1 - 4.60517) / 21.20759
    assert log_evidence(0.01) == pytest.approx(math.log(94.39483 / 21.20759), abs=1e-6)


@given(PS, PS)
def test_the_less_likely_the_more_it_is_worth(p: float, other: float) -> None:
    if p <= other:
        assert log_evidence(p) >= log_evidence(other) - 1e-9


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_what_is_no_chance_is_refused(p: float) -> None:
    with pytest.raises(ValueError):
        log_evidence(p)


@given(st.lists(FINITE, min_size=1, max_size=30), FINITE, FINITE)
def test_a_p_is_the_share_of_honest_answers_as_bad(
    values: list[float], value: float, worse: float
) -> None:
    sample = Sample(tuple(values))
    as_bad = sum(v >= value for v in values)
    assert sample.p(value) == (1 + as_bad) / (1 + len(values))
    assert sample.p(max(value, worse)) <= sample.p(value)
    assert sample.p(math.inf) == 1 / (1 + len(values))


@pytest.mark.parametrize("values", [(), (1.0, math.nan), (math.inf,)])
def test_a_sample_is_of_finite_values(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError):
        Sample(values)
    with pytest.raises(ValueError):
        Sample((1.0,)).p(math.nan)


def test_honest_answers_are_condemned_as_seldom_as_promised() -> None:
    """A floor of 200 answers; miners of 20 answers each, the sum watched after every one."""
    rng = np.random.default_rng(3)
    condemned = 0
    miners = 2000
    for _ in range(miners // 20):
        floor = Sample(tuple(rng.exponential(size=200)))
        nats = np.array(
            [[log_evidence(floor.p(x)) for x in row] for row in rng.exponential(size=(20, 20))]
        )
        condemned += int((nats.cumsum(axis=1).max(axis=1) >= math.log(100)).sum())
    assert 0 < condemned <= miners / 100


def test_measures_of_one_answer_are_averaged_and_not_multiplied() -> None:
    one = Measure("one", 3.0, 0.01)
    assert weigh([one]) == pytest.approx(log_evidence(0.01))
    # The same thing measured twice says nothing more; one good measure halves a bad one.
    assert weigh([one, one]) == pytest.approx(log_evidence(0.01))
    both = weigh([one, Measure("two", 0.0, 1.0)])
    assert math.exp(both) == pytest.approx((math.exp(log_evidence(0.01)) + 0.5) / 2)
    with pytest.raises(ValueError):
        weigh([])


def test_a_statement_names_its_worst_measure() -> None:
    said = measured("check", [Measure("fine", 0.0, 1.0), Measure("odd", 7.0, 0.02)])
    assert said.outcome is Outcome.MEASURED
    assert said.reason.startswith("odd 7")
    assert said.log_ratio is not None and said.log_ratio > 0


@pytest.mark.parametrize("ratio", [None, math.nan, math.inf])
def test_what_was_measured_has_a_ratio_and_nothing_else_has(ratio: float | None) -> None:
    with pytest.raises(ValueError):
        Statement("check", Outcome.MEASURED, "", ratio)
    for outcome in (Outcome.INVALID, Outcome.UNKNOWN):
        assert Statement("check", outcome, "why").log_ratio is None
        with pytest.raises(ValueError):
            Statement("check", outcome, "why", 0.0)


def test_a_sum_charges_for_what_was_not_measured() -> None:
    statements = [
        Statement("check", Outcome.MEASURED, "", -0.5),
        Statement("check", Outcome.INVALID, "malformed"),
        Statement("check", Outcome.UNKNOWN, "no answer"),
    ]
    assert total(statements, invalid=5.0, unknown=0.25) == 4.75
    assert total([], invalid=5.0, unknown=0.25) == 0.0
    assert total(statements[1:], invalid=5.0, unknown=0.25) == 5.25


def test_a_measure_that_always_says_a_little_is_not_drowned() -> None:
    quiet = [Measure(name, 0.0, 1.0) for name in ("a", "b", "c")]
    said = [measured("check", [Measure("odd", 2.0, 0.05), *quiet])] * 20
    one = said[0].log_ratio
    assert one is not None and one < 0.0
    expected = 20 * log_evidence(0.05) - math.log(4)  # next to it the others are nothing
    assert total(said, invalid=0.0, unknown=0.0) == pytest.approx(expected, abs=1e-6)
    # The same measure of another check is another one.
    twice = [*said, *[measured("other", [Measure("odd", 0.0, 1.0)])] * 20]
    expected = 20 * log_evidence(0.05) - math.log(5)
    assert total(twice, invalid=0.0, unknown=0.0) == pytest.approx(expected, abs=1e-6)


def test_a_floor_that_doubts_itself_is_too_narrow_as_seldom_as_it_says() -> None:
    """Somewhere in 4,000 floors of uniform honest answers, just above each of their values."""
    rng = np.random.default_rng(8)
    for doubt, count in ((0.2, 40), (0.05, 200)):
        ranks = tuple(map(float, range(count)))
        true = 1.0 - np.sort(rng.uniform(size=(4000, count)))
        for sample, least, most in (
            # Half the doubt is spent exactly, on the far end.
            (Sample(ranks, doubt), 0.35 * doubt, doubt),
            # Without any a floor is nearly always too narrow somewhere.
            (Sample(ranks), 0.9, 1.0),
        ):
            claimed = [sample.p(rank + 0.5) for rank in ranks]
            assert least < (claimed < true).any(axis=1).mean() < most


@given(st.lists(FINITE, min_size=1, max_size=40), FINITE, st.floats(1e-300, 0.9))
def test_doubt_makes_no_p_value_harsher(values: list[float], value: float, doubt: float) -> None:
    plain, doubting = Sample(tuple(values)), Sample(tuple(values), doubt)
    assert plain.p(value) <= doubting.p(value) <= 1.0
    assert doubting.p(max(values)) <= doubting.p(min(values)) == 1.0
    more = Sample(tuple(values), doubt, of=10 * len(values))
    assert plain.p(value) <= more.p(value) <= doubting.p(value) + 1e-12


def test_the_far_end_by_hand() -> None:
    """(1 - p)^n = doubt / 2: of 100 answers none was as bad, and p is 1 - 0.005^(1/100)."""
    kept = Sample(tuple(map(float, range(100))), 0.01)
    assert kept.p(1000.0) == pytest.approx(1 - 0.005**0.01) == pytest.approx(0.0516, abs=1e-4)


@pytest.mark.parametrize(("doubt", "of"), [(1.0, 0), (-0.1, 0), (math.nan, 0), (0.1, 1)])
def test_what_is_no_doubt(doubt: float, of: int) -> None:
    with pytest.raises(ValueError, match="doubt"):
        Sample((1.0, 2.0), doubt, of)
