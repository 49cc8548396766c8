"""Properties of the pure scoring functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.combine import combine
from scoring.evidence import Evidence, means, observe
from scoring.latency import latency
from scoring.shaping import shape

SCORES = st.floats(0.0, 1.0)
TABLES = st.dictionaries(st.integers(0, 20), SCORES, max_size=8)


@given(TABLES, st.floats(0.1, 50.0), st.floats(0.0, 1.0))
def test_shaped_weights_sum_to_one_and_keep_the_order(
    scores: dict[int, float], power: float, floor: float
) -> None:
    weights = shape(scores, power, floor)
    assert weights.keys() == scores.keys()
    paid = [key for key, score in scores.items() if score >= floor and score > 0.0]
    assert sum(weights.values()) == pytest.approx(1.0 if paid else 0.0)
    for a in scores:
        assert weights[a] == 0.0 or a in paid
        for b in scores:
            assert scores[a] < scores[b] or weights[a] >= weights[b]


def test_shape_is_a_normalised_power() -> None:
    assert shape({"a": 0.5, "b": 1.0, "c": 0.1}, power=2, floor=0.2) == {
        "a": pytest.approx(0.2),
        "b": pytest.approx(0.8),
        "c": 0.0,
    }
    assert shape({"a": 1e-3, "b": 1e-3}, power=200) == {"a": 0.5, "b": 0.5}
    assert shape({}) == {}
    assert shape({"a": 0.0}) == {"a": 0.0}


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1, math.inf])
def test_what_is_no_score_is_refused(bad: float) -> None:
    with pytest.raises(ValueError):
        shape({"a": bad})
    with pytest.raises(ValueError):
        combine({"a": bad}, {"a": 1.0})
    with pytest.raises(ValueError):
        Evidence().plus(bad)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(SCORES, st.floats(0.1, 10)), min_size=1))
def test_a_combined_score_lies_between_its_parts_and_rises_with_them(
    parts: dict[str, tuple[float, float]],
) -> None:
    scores = {part: score for part, (score, _) in parts.items()}
    weights = {part: weight for part, (_, weight) in parts.items()}
    whole = combine(scores, weights)
    assert min(scores.values()) - 1e-9 <= whole <= max(scores.values()) + 1e-9
    assert (whole == 0.0) == any(score == 0.0 for score in scores.values()) or whole < 1e-9
    for part in scores:
        assert combine({**scores, part: 1.0}, weights) >= whole - 1e-12
        assert combine({**scores, part: 0.0}, weights) == 0.0


def test_a_shut_gate_is_worth_nothing() -> None:
    scores, weights = {"truth": 1.0, "speed": 0.25}, {"truth": 3.0, "speed": 1.0}
    assert combine(scores, weights, {"signed": True}) == pytest.approx(0.25**0.25)
    assert combine(scores, weights, {"signed": True, "complete": False}) == 0.0
    with pytest.raises(ValueError):
        combine(scores, {"truth": 1.0})
    with pytest.raises(ValueError):
        combine({"truth": 1.0}, {"truth": 0.0})
    with pytest.raises(ValueError):
        combine({}, {})


def test_faster_is_never_worth_more() -> None:
    assert [latency(s) for s in (0.0, 0.01, 29.9, 30.0)] == [1.0] * 4
    assert [latency(s) for s in (30.001, 1e9, math.inf, math.nan, -1.0)] == [0.0] * 5
    assert latency(45.0, limit=60.0) == 1.0


@given(st.lists(st.tuples(st.sampled_from("ab"), SCORES), max_size=30))
def test_evidence_is_the_count_and_mean_by_key(scores: list[tuple[str, float]]) -> None:
    before: dict[str, Evidence] = {}
    evidence = observe(before, scores)
    assert before == {}
    for key in "ab":
        of_key = [score for name, score in scores if name == key]
        known = evidence.get(key, Evidence())
        assert known.count == len(of_key)
        assert known.mean == pytest.approx(sum(of_key) / len(of_key) if of_key else 0.0)
    assert means(evidence, 3) == {k: e.mean for k, e in evidence.items() if e.count >= 3}
    half = len(scores) // 2
    assert observe(observe({}, scores[:half]), scores[half:]) == evidence
