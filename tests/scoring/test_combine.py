"""Gates: what must hold before anything is paid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.combine import combine, shut

SCORES = st.floats(0.0, 1.0)
PARTS = {"truth": 1.0, "speed": 9.0}


@given(truth=st.floats(0.0, 0.999), speed=SCORES)
def test_a_wrong_answer_earns_nothing_however_fast(truth: float, speed: float) -> None:
    scores = {"truth": truth, "speed": speed}
    assert combine(scores, PARTS, least={"truth": 1.0}) == 0.0
    assert combine({**scores, "truth": 1.0}, PARTS, least={"truth": 1.0}) == pytest.approx(
        speed**0.9
    )
    assert shut(scores, least={"truth": 1.0}) == ["truth"]


@given(st.tuples(SCORES, SCORES), SCORES, SCORES, st.booleans())
def test_a_better_part_never_earns_less(
    scores: tuple[float, float], better: float, bar: float, signed: bool
) -> None:
    before = dict(zip(PARTS, scores, strict=True))
    for part in PARTS:
        after = {**before, part: max(before[part], better)}
        low, high = (
            combine(found, PARTS, {"signed": signed}, {part: bar}) for found in (before, after)
        )
        assert 0.0 <= low <= 1.0
        assert high >= low * (1 - 1e-12)
        assert low == 0.0 or (signed and before[part] >= bar)


def test_the_gates_that_are_shut_are_named() -> None:
    scores = {"truth": 0.4, "speed": 1.0}
    gates = {"signed": True, "complete": False, "in time": np.bool_(False)}
    assert shut(scores, gates, {"truth": 0.5, "speed": 1.0}) == ["complete", "in time", "truth"]  # type: ignore[arg-type]
    assert shut(scores, {"signed": np.bool_(True)}, {"truth": 0.4}) == []  # type: ignore[dict-item]
    assert shut(scores) == []


@pytest.mark.parametrize("bad", [0.3, 1, None, "yes", math.nan])
def test_a_score_is_no_gate(bad: object) -> None:
    with pytest.raises(ValueError):
        combine({"truth": 1.0}, {"truth": 1.0}, {"right": bad})  # type: ignore[dict-item]


@pytest.mark.parametrize("least", [{"other": 0.5}, {"truth": math.nan}, {"truth": 1.1}])
def test_a_least_is_of_a_part_and_in_range(least: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        combine({"truth": 1.0}, {"truth": 1.0}, least=least)


def test_weights_of_any_size_keep_their_proportions() -> None:
    scores = {"truth": 0.5, "speed": 0.25}
    huge = combine(scores, {"truth": 1.5e308, "speed": 1.5e308})
    assert huge == pytest.approx(math.sqrt(0.125))
    assert combine(scores, {"truth": 1.0, "speed": 5e-324}) == pytest.approx(0.5)
