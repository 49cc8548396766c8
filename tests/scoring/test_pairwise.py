"""Whom to compare with whom, and what is made of a judge's word."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.pairwise import schedule, vote
from scoring.similarity import Verdict, Vote, rate


async def longer(first: str, second: str) -> Verdict:
    return Verdict.FIRST if len(first) > len(second) else Verdict.SECOND


async def first(_first: str, _second: str) -> Verdict:
    return Verdict.FIRST


async def never(_first: str, _second: str) -> Verdict:
    raise AssertionError("nobody is asked about that")


@given(st.integers(0, 40), st.integers(2, 8), st.integers(0, 9))
def test_everybody_meets_as_many_others_and_nobody_is_an_island(
    count: int, opponents: int, seed: int
) -> None:
    pairs = schedule(range(count), opponents, random.Random(seed))
    assert len({frozenset(pair) for pair in pairs}) == len(pairs), "a pair is met twice"
    met = [sum(key in pair for pair in pairs) for key in range(count)]
    wanted = min(opponents, count - 1)
    if count % 2 == 0 and count:
        assert met == [wanted] * count
    elif count > 1:
        assert min(met) >= wanted - 1 and max(met) <= wanted
        assert sum(met) == 2 * len(pairs) == min(opponents, count) * (count - 1)
    if count > 1:
        assert len(rate(Vote(*pair, Verdict.TIE, Verdict.TIE) for pair in pairs).islands) == 1


def test_who_meets_whom_is_the_callers_chance() -> None:
    one, same, other = (schedule(range(20), 2, random.Random(seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_a_schedule_that_is_none_is_refused() -> None:
    for keys, opponents in (([1, 2, 3], 1), ([1, 1, 2], 2)):
        with pytest.raises(ValueError):
            schedule(keys, opponents, random.Random(0))


async def test_both_orders_are_asked() -> None:
    assert (await vote("a", "good one", "b", "bad", longer)).won == 1.0
    assert (await vote("a", "bad", "b", "good one", longer)).won == 0.0
    assert (await vote("a", "bad", "b", "good one", first)).won == 0.5


@pytest.mark.parametrize("empty", ["", " \n", "\ud800", "a" * 70_000])
async def test_who_says_nothing_loses_unasked(empty: str) -> None:
    assert (await vote("a", empty, "b", "yes", never)).won == 0.0
    assert (await vote("a", "yes", "b", empty, never)).won == 1.0
    assert (await vote("a", empty, "b", "", never)).won == 0.5
    assert (await vote("a", "Yes  sir", "b", "Yes sir ", never)).won == 0.5


VERDICTS = st.sampled_from(list(Verdict))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.permutations(range(5)), VERDICTS, VERDICTS), min_size=1, max_size=20),
    st.data(),
)
def test_a_win_more_never_lowers_a_strength(
    said: list[tuple[list[int], Verdict, Verdict]], data: st.DataObject
) -> None:
    votes = [Vote(keys[0], keys[1], shown, swapped) for keys, shown, swapped in said]
    at = data.draw(st.integers(0, len(votes) - 1))
    lucky = votes[at].left
    won = [*votes]
    won[at] = Vote(lucky, votes[at].right, Verdict.FIRST, Verdict.SECOND)
    before, after = rate(votes).strengths, rate(won).strengths
    assert after[lucky] >= before[lucky] - 1e-9
    again = rate([*votes, won[at]]).strengths
    assert again[lucky] >= before[lucky] - 1e-9
    assert again[lucky] > before[lucky] or votes[at].won == 1.0


def test_a_judge_of_places_makes_everybody_equal_and_an_honest_one_an_order() -> None:
    texts = {name: "word " * (at + 1) for at, name in enumerate("abcdefgh")}
    pairs = schedule(list(texts), 4, random.Random(1))

    async def votes(of: object) -> list[Vote[str]]:
        return [await vote(a, texts[a], b, texts[b], of) for a, b in pairs]  # type: ignore[arg-type]

    strengths = rate(asyncio.run(votes(first))).strengths
    assert max(map(abs, strengths.values())) < 1e-9
    strengths = rate(asyncio.run(votes(longer))).strengths
    assert strengths["h"] == max(strengths.values()) and strengths["a"] == min(strengths.values())
