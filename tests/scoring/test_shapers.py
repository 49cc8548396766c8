"""Every way from scores to weights: range, order, conservation, ties, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scoring.shaping import (
    burn,
    cap,
    lift,
    mix,
    normalise,
    pools,
    ranked,
    shape,
    softmax,
    top,
    winner,
)

Scores = Mapping[int, float]
Shaper = Callable[[Scores], dict[int, float]]

OWNER = 99
PAY = pools((2, 0.7), (3, 0.3))

# Each by itself, and nested as an author would.
SHAPERS: dict[str, Shaper] = {
    "linear": shape,
    "power": lambda s: shape(s, power=3.3, floor=0.05),
    "softmax": lambda s: softmax(s, 0.1),
    "cold softmax": lambda s: softmax(s, 1e-300),
    "pools": lambda s: ranked(s, PAY),
    "places": lambda s: ranked(s, (5.0, 3.0, 1.0)),
    "winner": winner,
    "top": lambda s: shape(top(s, 3)),
    "cap": lambda s: cap(shape(s), 0.3),
    "lift": lambda s: lift(shape(s), 0.07),
    "all": lambda s: lift(cap(shape(top(s, 4), power=2.0), 0.4), 0.01),
    "capped pools": lambda s: cap(ranked(s, PAY), 0.25),
    "two tasks": lambda s: mix({"a": shape(s), "b": winner(s)}, {"a": 3.0, "b": 1.0}),
}
SCORES = st.one_of(
    st.floats(0.0, 1.0), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0.0, 1e-300)
)
TABLES = st.dictionaries(st.integers(0, 20), SCORES, max_size=8)
WEIGHTS = st.dictionaries(
    st.integers(0, 20),
    st.one_of(st.floats(0.0, 1.7e308), st.sampled_from([0.0, 1.0, 3.0])),
    max_size=8,
)

each = pytest.mark.parametrize("shaper", SHAPERS.values(), ids=SHAPERS.keys())


def not_less(more: float, less: float) -> bool:
    return more >= less * (1.0 - 1e-12)


def sums_to_one(weights: Mapping[int, float]) -> bool:
    return all(0.0 <= w <= 1.0 + 1e-12 for w in weights.values()) and math.isclose(
        math.fsum(weights.values()), 1.0, rel_tol=1e-12
    )


@settings(max_examples=200)
@given(scores=TABLES, data=st.data())
def test_the_laws_of_all_shapers(scores: Scores, data: st.DataObject) -> None:
    before = dict(scores)
    other_order = data.draw(st.permutations(list(scores)))
    raised = None
    if scores:
        key = data.draw(st.sampled_from(list(scores)))
        raised = {**scores, key: max(scores[key], data.draw(SCORES))}
    for name, shaper in SHAPERS.items():
        weights = shaper(scores)
        # Conservation: they sum to 1, or nobody earns.
        assert scores == before and weights.keys() == scores.keys(), name
        assert sums_to_one(weights) or not any(weights.values()), name
        assert sums_to_one(weights) or max(scores.values(), default=0.0) < 0.05, name
        # Monotonicity: a better score never earns less, and equal ones earn the same.
        for a in scores:
            assert scores[a] > 0.0 or weights[a] == 0.0, name
            for b in scores:
                assert scores[a] != scores[b] or weights[a] == weights[b], name
                assert scores[a] < scores[b] or not_less(weights[a], weights[b]), name
        # Determinism: the order of keys says nothing.
        assert shaper({key: scores[key] for key in other_order}) == weights, name
        # Incentive: who scores better than before earns no less than before.
        if raised is not None:
            assert not_less(shaper(raised)[key], weights[key]), name


@each
def test_a_single_miner_earns_everything_and_nobody_nothing(shaper: Shaper) -> None:
    assert shaper({7: 0.3}) == {7: 1.0}
    assert shaper({7: 0.3, 8: 0.0}) == {7: 1.0, 8: 0.0}
    assert shaper({7: 0.0}) == {7: 0.0}
    assert shaper({}) == {}


@each
@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1, math.inf, -math.inf])
def test_what_is_no_score_is_refused(shaper: Shaper, bad: float) -> None:
    with pytest.raises(ValueError):
        shaper({1: 0.5, 2: bad})


@pytest.mark.parametrize("bad", [math.nan, -0.1, math.inf])
@pytest.mark.parametrize(
    "shaper",
    [
        normalise,
        lambda w: cap(w, 0.5),
        lambda w: cap(w, 0.5, OWNER),
        lambda w: lift(w, 0.1),
        lambda w: burn(w, OWNER, 0.5),
        lambda w: mix({"a": w}, {"a": 1.0}),
        lambda w: mix({"a": {1: 1.0}, "b": {1: 1.0}}, {"a": 1.0, "b": w[2]}),
    ],
)
def test_what_is_no_weight_is_refused(shaper: Shaper, bad: float) -> None:
    with pytest.raises(ValueError):
        shaper({1: 0.5, 2: bad})


@pytest.mark.parametrize("bad", [math.nan, -0.1, math.inf])
@pytest.mark.parametrize(
    "shaper",
    [
        lambda x: shape({}, power=-abs(x)),
        lambda x: shape({}, floor=x),
        lambda x: softmax({}, -abs(x)),
        lambda x: ranked({}, (1.0, x)),
        lambda x: pools((1, x)),
        lambda x: winner({}, 1, x),
        lambda x: cap({}, x),
        lambda x: lift({}, x),
        lambda x: burn({}, OWNER, x),
    ],
)
def test_what_is_no_setting_is_refused(shaper: Callable[[float], object], bad: float) -> None:
    with pytest.raises(ValueError):
        shaper(bad)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ranked({}, ()),
        lambda: ranked({}, (0.0,)),
        lambda: ranked({}, (1.0, 2.0)),
        lambda: pools((0, 1.0)),
        lambda: cap({}, 0.0),
        lambda: top({}, 0),
        lambda: mix({"a": {1: 1.0}}, {"b": 1.0}),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()


def near(weights: Mapping[str, float]) -> dict[str, object]:
    return {key: pytest.approx(weight) for key, weight in weights.items()}


def test_softmax_by_hand() -> None:
    weights = softmax({"a": 0.9, "b": 0.8, "c": 0.0}, 0.1)
    assert weights == near({"a": math.e / (1 + math.e), "b": 1 / (1 + math.e), "c": 0.0})
    assert softmax({"a": 1.0, "b": 0.1}, math.inf) == {"a": 0.5, "b": 0.5}


def test_places_by_hand() -> None:
    scores = {"a": 0.9, "b": 0.8, "c": 0.8, "d": 0.1, "e": 0.0}
    assert ranked(scores, (4, 3, 2)) == near(
        {"a": 4 / 9, "b": 2.5 / 9, "c": 2.5 / 9, "d": 0, "e": 0}
    )
    # Of four for three places the two last share the last: nobody is chosen by its key.
    assert ranked({"a": 0.9, "b": 0.8, "c": 0.5, "d": 0.5}, (2, 1, 1)) == near(
        {"a": 2 / 4, "b": 1 / 4, "c": 0.5 / 4, "d": 0.5 / 4}
    )
    assert pools((2, 0.75), (1, 0.25)) == (0.375, 0.375, 0.25)
    assert ranked({"a": 0.2, "b": 0.1}, (1e308, 1e308)) == {"a": 0.5, "b": 0.5}


@given(st.lists(st.floats(0.0, 1e308), min_size=1, max_size=12), st.integers(1, 12))
def test_a_tie_takes_what_its_places_pay_and_no_more(pay: list[float], tied: int) -> None:
    pay = sorted(pay, reverse=True)
    assume(pay[0] > 0.0)
    below = ranked(dict.fromkeys(range(tied), 0.7) | {OWNER: 0.2}, pay)
    assert len({below[key] for key in range(tied)}) == 1
    exact = [Fraction(part) for part in pay] + [Fraction(0)] * 20
    taken = sum(exact[: tied + 1])
    assert below[0] == pytest.approx(float(sum(exact[:tied]) / tied / taken))
    assert below[OWNER] == pytest.approx(float(exact[tied] / taken), rel=1e-12, abs=1e-300)


def test_the_incumbent_keeps_its_place_until_beaten_by_more_than_the_margin() -> None:
    scores = {"old": 0.5, "new": 0.75, "slow": 0.1}
    assert winner(scores) == {"old": 0.0, "new": 1.0, "slow": 0.0}
    assert winner(scores, "old", 0.25) == {"old": 1.0, "new": 0.0, "slow": 0.0}
    assert winner(scores, "old", 0.2) == {"old": 0.0, "new": 1.0, "slow": 0.0}
    assert winner({"old": 0.5, "copy": 0.5}, "old") == {"old": 1.0, "copy": 0.0}
    assert winner({"a": 0.5, "copy": 0.5}, "gone", 0.3) == {"a": 0.5, "copy": 0.5}
    assert winner({"old": 0.0, "new": 0.1}, "old", 0.3) == {"old": 0.0, "new": 1.0}
    assert winner({"old": 0.9, "new": 1.0}, "old", 0.1) == {"old": 1.0, "new": 0.0}


@given(TABLES, st.integers(0, 20), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_challenger_within_the_margin_gets_nothing_and_one_beyond_it_all(
    scores: dict[int, float], incumbent: int, margin: float, better: float
) -> None:
    weights = winner(scores, incumbent, margin)
    assert sums_to_one(weights) or not any(scores.values())
    for key, weight in weights.items():
        assert weight == 0.0 or key == incumbent or scores[key] == max(scores.values())
    held = scores.get(incumbent, 0.0)
    if held > 0.0:
        assert (weights[incumbent] < 1.0) == (max(scores.values()) > held + margin)
        raised = {**scores, incumbent: max(held, better)}
        assert winner(raised, incumbent, margin)[incumbent] >= weights[incumbent]


@given(TABLES, st.integers(1, 9))
def test_top_keeps_the_best_and_all_who_tie_with_the_last(
    scores: dict[int, float], count: int
) -> None:
    kept = top(scores, count)
    for key, score in scores.items():
        better = sum(other > score for other in scores.values())
        assert kept[key] == (score if better < count else 0.0)


def test_a_cap_by_hand() -> None:
    weights = {"a": 6.0, "b": 2.0, "c": 1.0, "d": 1.0, "e": 0.0}
    assert cap(weights, 0.4) == near({"a": 0.4, "b": 0.3, "c": 0.15, "d": 0.15, "e": 0.0})
    # What a leaves lifts b over the cap as well.
    assert cap(weights, 0.28) == near({"a": 0.28, "b": 0.28, "c": 0.22, "d": 0.22, "e": 0.0})
    assert cap(weights, 0.2) == near(dict.fromkeys("abcd", 0.25) | {"e": 0.0})
    burned = near({"a": 0.2, "b": 0.2, "c": 0.1, "d": 0.1, "e": 0.0, "owner": 0.4})
    assert cap(weights, 0.2, "owner") == burned
    assert cap({"a": 1.0}, 0.2, "owner") == near({"a": 0.2, "owner": 0.8})
    assert cap({"owner": 9.0, "a": 1.0}, 0.2, "owner") == near({"a": 0.1, "owner": 0.9})
    assert cap({"owner": 0.0, "a": 0.0}, 0.2, "owner") == {"owner": 0.0, "a": 0.0}


def test_a_cap_just_below_a_tie_does_not_part_it() -> None:
    tied = dict.fromkeys(range(9), 5.0) | {9: 0.7982414192642243}
    capped = cap(tied, 0.1091744976455982)
    assert {capped[key] for key in range(9)} == {0.1091744976455982}


@given(WEIGHTS, st.floats(1e-3, 1.0))
def test_a_cap_holds_wherever_it_can(weights: dict[int, float], most: float) -> None:
    capped = cap(weights, most)
    whole = normalise(weights)
    paid = sum(w > 0.0 for w in whole.values())
    assert sums_to_one(capped) or paid == 0
    if paid * most > 1.0:
        assert max(capped.values()) <= most
        # Those not capped keep their proportions: one factor for all.
        free = [key for key, w in capped.items() if w < most and whole[key] > 1e-290]
        for a in free:
            assert capped[a] * whole[free[0]] == pytest.approx(capped[free[0]] * whole[a])
    burned = cap(weights, most, OWNER)
    assert sums_to_one(burned) or paid == 0
    for key, weight in whole.items():
        assert burned[key] == min(weight, most)


@given(WEIGHTS, st.floats(0.0, 1.0))
def test_a_lift_gives_each_its_least_and_keeps_the_order(
    weights: dict[int, float], least: float
) -> None:
    lifted, whole = lift(weights, least), normalise(weights)
    paid = [key for key, w in whole.items() if w > 0.0]
    assert sums_to_one(lifted) or not paid
    for key, weight in lifted.items():
        assert (weight == 0.0) == (key not in paid) or least == 0.0
        assert weight == 0.0 or weight >= min(least, 1.0 / len(paid)) * (1 - 1e-12)
    assert lift({1: 3.0, 2: 1.0, 3: 0.0}, 0.1) == {
        1: pytest.approx(0.7), 2: pytest.approx(0.3), 3: 0.0,
    }  # fmt: skip


@given(WEIGHTS, st.floats(0.0, 1.0))
def test_burning_takes_the_same_share_of_everyone(weights: dict[int, float], share: float) -> None:
    whole, burned = normalise(weights), burn(weights, OWNER, share)
    if not any(weights.values()):
        assert not any(burned.values())
        return
    assert sums_to_one(burned)
    assert burned.get(OWNER, 0.0) == share
    assert all(burned[key] == pytest.approx(w * (1 - share)) for key, w in whole.items())
    assert burn(weights, None, share) == whole
    assert burn({OWNER: 1.0, 1: 1.0}, OWNER, 0.5) == {OWNER: 0.75, 1: 0.25}


def test_tasks_are_mixed_by_weight_whatever_the_size_of_their_parts() -> None:
    parts = {"chat": {"a": 30.0, "b": 10.0}, "code": {"b": 0.1}, "idle": {"a": 0.0}}
    weights = {"chat": 2.0, "code": 1.0, "idle": 5.0}
    assert mix(parts, weights) == near({"a": 0.5, "b": 0.25 * 2 / 3 + 1 / 3})
    burned = mix({**parts, "idle": {"owner": 1.0}}, weights)
    assert burned == near({"a": 0.75 * 2 / 8, "b": 0.25 * 2 / 8 + 1 / 8, "owner": 5 / 8})
    small = mix(parts, {"chat": 1e-308, "code": 0.0, "idle": 1e308})
    assert small == near({"a": 0.75, "b": 0.25})
    assert mix({"chat": {"a": 1.0}}, {"chat": 0.0}) == {"a": 0.0}
    assert mix({}, {}) == {}


@given(WEIGHTS)
def test_normalised_is_in_proportion(weights: dict[int, float]) -> None:
    whole = normalise(weights)
    total = sum(map(Fraction, weights.values()))
    for key, weight in weights.items():
        exact = float(Fraction(weight) / total) if total else 0.0
        assert whole[key] == pytest.approx(exact, rel=1e-12, abs=1e-300)


def test_burning_by_hand() -> None:
    assert burn({1: 0.75, 2: 0.25}, 0, 0.5) == {0: 0.5, 1: 0.375, 2: 0.125}
    assert burn({0: 0.5, 1: 0.5}, 0, 0.5) == {0: 0.75, 1: 0.25}
    assert burn({1: 1.0}, None, 0.5) == {1: 1.0}
    assert burn({1: 0.0}, 0, 0.5) == {1: 0.0}
    assert burn({1: 1.0}, 0, 0.0) == {1: 1.0}
