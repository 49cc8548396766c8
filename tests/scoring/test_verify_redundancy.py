"""Redundancy: the weights against every possible world counted out, and what they say in words."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verify import redundancy
from scoring.verify.redundancy import Floor
from scoring.verify.statement import Outcome

FLOOR = Floor(error=0.01, cheats=0.2, luck=0.05, collusion=0.1, wrong=1000)
CHANCES = st.floats(0.01, 0.99)


def ratios(answers: list[bytes], floor: Floor = FLOOR) -> list[float]:
    said = redundancy.verify(dict(enumerate(answers)), floor)
    assert all(s.outcome is Outcome.MEASURED for s in said.values())
    return [s.log_ratio for s in said.values() if s.log_ratio is not None]


def counted_out(answers: list[int], floor: Floor) -> list[float]:
    """The same from the model as it is told: every truth, every plot, every set of cheats."""
    likelihoods = [[0.0, 0.0] for _ in answers]
    for truth, plot in itertools.permutations(range(floor.wrong + 1), 2):
        for types in itertools.product(["honest", "lone", "plotter"], repeat=len(answers)):
            chances = []
            priors = []
            for answer, kind in zip(answers, types, strict=True):
                if kind == "honest":
                    chances.append(
                        1 - floor.error if answer == truth else floor.error / floor.wrong
                    )
                elif kind == "plotter":
                    chances.append(float(answer == plot))
                else:
                    chances.append(
                        floor.luck if answer == truth else (1 - floor.luck) / floor.wrong
                    )
                among = {"honest": 1.0, "lone": 1 - floor.collusion, "plotter": floor.collusion}
                share = 1 - floor.cheats if kind == "honest" else floor.cheats
                priors.append((among[kind], share))
            for i, kind in enumerate(types):
                prior = math.prod(a * s if j != i else a for j, (a, s) in enumerate(priors))
                likelihoods[i][kind != "honest"] += prior * math.prod(chances)
    return [math.log(cheat / honest) for honest, cheat in likelihoods]


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=4),
    st.builds(Floor, CHANCES, CHANCES, CHANCES, CHANCES, st.just(3)),
)
def test_the_weights_are_those_of_all_worlds_counted_out(answers: list[int], floor: Floor) -> None:
    got = ratios([bytes([65 + answer]) for answer in answers], floor)
    assert got == pytest.approx(counted_out(answers, floor), abs=1e-9)


def test_who_disagrees_with_a_majority_is_the_one() -> None:
    a, b, c, odd = ratios([b"x", b"x", b"x", b"y"])
    assert a == b == c < -1.0
    assert odd > 3.0


def test_a_tie_says_the_same_of_both_sides() -> None:
    two = ratios([b"x", b"x", b"y", b"y"])
    assert len({round(ratio, 12) for ratio in two}) == 1
    # One side is wrong and nobody knows which: even odds, from one cheat to four honest before.
    assert two[0] == pytest.approx(math.log(4), abs=0.05)
    # That all differ speaks against everybody: most would have agreed, were they honest.
    assert all(ratio > 0 for ratio in ratios([b"x", b"y"]))


def test_a_majority_says_less_the_likelier_it_is_a_plot() -> None:
    answers = [b"plot", b"plot", b"plot", b"honest"]
    said = [
        ratios(answers, dataclasses.replace(FLOOR, collusion=chance, cheats=0.4))
        for chance in (0.001, 0.1, 0.9)
    ]
    against_one = [row[3] for row in said]
    assert against_one == sorted(against_one, reverse=True)
    # And when more are cheats than not, and they plot, the majority is what is suspect.
    plotting = ratios(answers, dataclasses.replace(FLOOR, collusion=0.99, cheats=0.9))
    assert plotting[0] > 0 > plotting[3]


def test_a_plot_of_all_is_seen_by_nobody() -> None:
    assert all(ratio < 0 for ratio in ratios([b"plot"] * 5))


def test_one_answer_none_and_an_empty_one() -> None:
    said = redundancy.verify({"a": b"x", "b": None, "c": b""}, FLOOR)
    assert [s.outcome for s in said.values()] == [
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
        Outcome.INVALID,
    ]
    assert redundancy.verify({}, FLOOR) == {}
    weird = redundancy.verify({"a": "x", "b": ["x"], "c": b"x"}, FLOOR)  # type: ignore[dict-item]
    assert [s.outcome for s in weird.values()] == [
        Outcome.INVALID,
        Outcome.INVALID,
        Outcome.UNKNOWN,
    ]
    both = redundancy.verify({"a": b"x", "b": b"x", "c": b""}, FLOOR)
    assert both["a"].log_ratio == ratios([b"x", b"x"])[0]


@given(st.lists(st.sampled_from([b"x", b"y", b"z"]), min_size=2, max_size=8), st.randoms())
def test_neither_order_nor_names_matter(answers: list[bytes], shuffler: random.Random) -> None:
    order = list(range(len(answers)))
    shuffler.shuffle(order)
    renamed = {b"x": b"2", b"y": b"0", b"z": b"1"}
    got = ratios([renamed[answers[i]] for i in order])
    assert got == pytest.approx([ratios(answers)[i] for i in order], abs=1e-9)


def test_a_whole_subnet_at_once_and_no_more() -> None:
    different = [str(i).encode() for i in range(redundancy.MOST_ANSWERS)]
    assert all(map(math.isfinite, ratios(different)))
    assert all(map(math.isfinite, ratios(different, dataclasses.replace(FLOOR, wrong=1))))
    assert ratios([b"x"] * 255 + [b"y"])[-1] > 3.0
    with pytest.raises(ValueError):
        redundancy.verify(dict(enumerate([*different, b"one more"])), FLOOR)


@pytest.mark.parametrize(
    "change",
    [{"error": 0.0}, {"cheats": 1.0}, {"luck": math.nan}, {"collusion": 0.0}, {"wrong": 0}],
)
def test_certainty_is_no_floor(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(FLOOR, **change)  # type: ignore[arg-type]
