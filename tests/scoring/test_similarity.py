"""Likeness by tokens, by vectors, and strength by votes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.similarity import (
    LEAST_PRIOR,
    NoRating,
    Ratings,
    Verdict,
    Vote,
    cosine,
    overlap,
    rate,
)

WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8)


def test_overlap_by_hand() -> None:
    assert overlap("The cat sat.", "the  CAT sat down") == pytest.approx(6 / 7)
    assert overlap("the the the", "the cat") == pytest.approx(2 / 5)
    assert overlap("cat the", "the cat") == 1.0
    assert overlap("cat the", "the cat", n=2) == 0.0
    assert overlap("a b c d", "b c d e", n=2) == pytest.approx(2 / 3)
    assert overlap("東京都", "東京", unit="character") == pytest.approx(4 / 5)
    assert overlap("東京都", "東京") == 0.0
    assert overlap("r\u00e9sum\u00e9", "re\u0301sume\u0301") == 1.0
    assert overlap("re sume", "r\u00e9sum\u00e9") == 0.0
    assert overlap("किताब", "कताब") == 0.0


@given(WORDS, WORDS)
def test_overlap_is_the_harmonic_mean_of_precision_and_recall(
    answer: list[str], reference: list[str]
) -> None:
    both = (Counter(answer) & Counter(reference)).total()
    precision, recall = both / len(answer), both / len(reference)
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    score = overlap(" ".join(answer), " ".join(reference))
    assert score == pytest.approx(f1)
    assert score == overlap(" ".join(reference), " ".join(answer))
    assert (score == 1.0) == (Counter(answer) == Counter(reference))


@given(WORDS, st.integers(1, 3))
def test_a_word_that_is_right_never_lowers_the_overlap(reference: list[str], n: int) -> None:
    text = " ".join(reference + ["e"] * n)
    scores = [overlap(text[:end], text, n=n) for end in range(1, len(text) + 1, 2)]
    assert scores == sorted(scores) and scores[-1] == 1.0


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(codec=None)))
def test_overlap_of_any_text_is_in_range(answer: str) -> None:
    for unit in ("word", "character"):
        assert 0.0 <= overlap(answer, "Paris, France", unit=unit) <= 1.0


@pytest.mark.parametrize(
    "answer", ["", "...", "\ud800", "a" * 10**7, "a" + "\u0315\u0316" * 30_000, "\u0f73" * 60_000]
)
def test_poison_overlaps_with_nothing(answer: str) -> None:
    assert overlap(answer, "a b") == 0.0


def test_a_reference_without_tokens_is_refused() -> None:
    for reference, n in (("", 1), ("?!", 1), ("one two", 3), ("a", 0)):
        with pytest.raises(ValueError):
            overlap("a", reference, n=n)


VECTORS = st.lists(st.floats(-1e308, 1e308), min_size=3, max_size=3)


def test_cosine_by_hand() -> None:
    assert cosine([1.0, 0.0], [1.0, 1.0]) == pytest.approx(math.sqrt(0.5))
    assert cosine([1, 2], [10, 20]) == pytest.approx(1.0)
    assert cosine([1.0, 0.0], [0.0, 1.0]) == 0.0
    assert cosine([1.0, 0.0], [-1.0, 0.0]) == 0.0
    assert cosine([1e308, 1e308], [1e-320, 1e-320]) == pytest.approx(1.0)
    assert cosine(np.full(4, 6e4, dtype=np.float16), np.ones(4, np.float32)) == pytest.approx(1.0)


@given(VECTORS, VECTORS, st.floats(1e-3, 1e3))
def test_cosine_is_symmetric_in_range_and_knows_no_length(
    one: list[float], other: list[float], factor: float
) -> None:
    if not any(one) or not any(other):
        return
    score = cosine(one, other)
    assert 0.0 <= score <= 1.0
    assert score == pytest.approx(cosine(other, one), abs=1e-12)
    assert cosine(one, one) == pytest.approx(1.0)
    if 1e-200 < max(map(abs, one)) < 1e300:
        assert cosine([x * factor for x in one], other) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    "bad",
    [
        [0.0, 0.0],
        [1.0, math.nan],
        [1.0, math.inf],
        [1.0, 2.0, 3.0],
        [],
        [[1.0, 0.0]],
        1.0,
        None,
        ["a", "b"],
        [[1.0], [1.0, 2.0]],
        [10**400, 1],
        {"a": 1.0},
    ],
)
def test_a_vector_without_direction_is_like_nothing(bad: Any) -> None:
    assert cosine(bad, [1.0, 1.0]) == 0.0
    if bad != [1.0, 2.0, 3.0]:
        with pytest.raises(ValueError):
            cosine([1.0, 1.0], bad)


def votes(left: str, right: str, won: int, tied: int = 0, lost: int = 0) -> list[Vote[str]]:
    return (
        [Vote(left, right, Verdict.FIRST, Verdict.SECOND)] * won
        + [Vote(left, right, Verdict.TIE, Verdict.TIE)] * tied
        + [Vote(left, right, Verdict.SECOND, Verdict.FIRST)] * lost
    )


def test_a_vote_that_turns_with_the_places_is_a_tie() -> None:
    won = {
        (shown, swapped): Vote("a", "b", shown, swapped).won
        for shown, swapped in itertools.product(Verdict, repeat=2)
    }
    assert won.pop((Verdict.FIRST, Verdict.SECOND)) == 1.0
    assert won.pop((Verdict.SECOND, Verdict.FIRST)) == 0.0
    assert set(won.values()) == {0.5} and len(won) == 7
    # A judge that always takes the first shown says nothing.
    biased = [Vote("a", "b", Verdict.FIRST, Verdict.FIRST)] * 9
    assert rate(biased).scores() == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}


def test_two_by_hand() -> None:
    ratings = rate(votes("a", "b", won=3, lost=1), prior=0.0)
    assert ratings.chance("a", "b") == pytest.approx(0.75)
    assert ratings.strengths == {
        "a": pytest.approx(math.log(3) / 2), "b": pytest.approx(-math.log(3) / 2),
    }  # fmt: skip
    assert rate(votes("a", "b", 1, 2, 1), prior=0.0).chance("a", "b") == pytest.approx(0.5)
    assert rate(votes("a", "b", 2, 2, 0), prior=0.0).chance("a", "b") == pytest.approx(0.75)


def check_that_each_wins_as_often_as_expected(cast: list[Vote[str]], prior: float) -> None:
    ratings = rate(cast, prior=prior)
    for player, score in ratings.scores().items():
        won, expected = prior / 2, prior * score
        for vote in cast:
            if player in (vote.left, vote.right):
                won += vote.won if vote.left == player else 1 - vote.won
                other = vote.right if vote.left == player else vote.left
                expected += ratings.chance(player, other)
        assert won == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=12, max_size=12), st.sampled_from([0.0, 0.5, 2.0]))
def test_every_player_wins_as_often_as_expected(counts: list[int], prior: float) -> None:
    # The maximum of the likelihood is where that holds (Zermelo 1929), with the prior's ties in it.
    pairs = list(itertools.permutations("abcd", 2))
    cast = [v for (x, y), n in zip(pairs, counts, strict=True) for v in votes(x, y, won=n)]
    cast += votes("a", "b", 0, tied=1) + votes("b", "c", 0, tied=1) + votes("c", "d", 0, tied=1)
    ratings = rate(cast, prior=prior)
    check_that_each_wins_as_often_as_expected(cast, prior)
    assert sum(ratings.strengths.values()) == pytest.approx(0.0, abs=1e-6) or prior > 0.0
    # One win more never lowers the winner, whoever lost.
    for other in "bcd":
        more = rate(cast + votes("a", other, won=1), prior=prior)
        assert more.scores()["a"] >= ratings.scores()["a"] - 1e-9


def test_the_fit_holds_where_everything_goes_one_way() -> None:
    cast = votes("a", "b", won=2000) + votes("c", "d", won=1)
    cast += [v for x, y in itertools.pairwise("efghijklmnopqrstuvwxyz") for v in votes(x, y, 3)]
    for prior in (LEAST_PRIOR, 1.0, 1e9):
        check_that_each_wins_as_often_as_expected(cast, prior)


def test_the_fit_holds_where_a_whole_step_goes_too_far() -> None:
    wins = {"ba": 5, "bc": 300, "bd": 1, "cd": 300, "da": 5, "db": 1, "ea": 300, "eb": 300, "ec": 1}
    cast = [vote for pair, won in wins.items() for vote in votes(pair[0], pair[1], won)]
    check_that_each_wins_as_often_as_expected(cast, LEAST_PRIOR)


def test_strengths_that_do_not_follow_are_not_given() -> None:
    apart = votes("a", "b", 2, 1) + votes("c", "d", 1, 0, 1)
    with pytest.raises(NoRating, match="2 groups, of 2, 2") as none:
        rate(apart, prior=0.0)
    assert set(none.value.groups) == {frozenset("ab"), frozenset("cd")}
    # They met, but always with the same end.
    with pytest.raises(NoRating) as none:
        rate(apart + votes("a", "c", won=5), prior=0.0)
    assert set(none.value.groups) == {frozenset("ab"), frozenset("cd")}
    round_about = votes("a", "b", 1) + votes("b", "c", 1) + votes("c", "a", 1)
    assert rate(round_about, prior=0.0).scores() == dict.fromkeys("abc", pytest.approx(0.5))


def test_a_prior_gives_finite_strengths_and_the_islands_are_named() -> None:
    ratings = rate(votes("a", "b", won=10_000) + votes("c", "d", won=1) + votes("b", "e", won=1))
    assert ratings.islands == (frozenset("abe"), frozenset("cd"))
    assert all(map(math.isfinite, ratings.strengths.values()))
    assert ratings.strengths["a"] > ratings.strengths["c"] > 0.0 > ratings.strengths["b"]
    assert rate(votes("a", "b", won=1), prior=1.0).islands == (frozenset("ab"),)
    assert rate([]) == Ratings({}, ())


def test_a_chain_of_many_is_put_in_order() -> None:
    names = [f"m{i:02}" for i in range(40)]
    cast = [v for x, y in itertools.pairwise(names) for v in votes(x, y, won=9, lost=1)]
    for prior in (0.0, 0.1):
        strengths = rate(cast, prior=prior).strengths
        assert sorted(strengths, key=lambda name: -strengths[name]) == names
    step = math.log(9)
    free = rate(cast, prior=0.0).strengths
    assert [free[x] - free[y] for x, y in itertools.pairwise(names)] == pytest.approx([step] * 39)


@pytest.mark.parametrize("prior", [-1.0, 1e-3, math.nan, math.inf])
def test_what_is_no_prior_is_refused(prior: float) -> None:
    with pytest.raises(ValueError):
        rate([], prior=prior)
    with pytest.raises(ValueError):
        rate([Vote("a", "a", Verdict.TIE, Verdict.TIE)])
