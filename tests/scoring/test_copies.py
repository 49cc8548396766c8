"""Answers that are too much alike, and what can be said of who was first."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.copies import Pair, alike, first, groups, shingles

KEY = b"a secret of this round"
WORDS = [f"w{n}" for n in range(400)]


def essay(seed: int, length: int = 120) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def likeness(a: str, b: str) -> float:
    (pair,) = alike({"a": a, "b": b}, 1e-9, key=KEY)
    return pair.likeness


def test_the_same_words_in_another_dress_are_the_same() -> None:
    assert likeness("The  quick brown FOX.", "the quick, brown\nfox") == 1.0
    assert likeness("Caf\u00e9 au lait, please", "CAFE\u0301 AU LAIT PLEASE!") == 1.0
    assert likeness("Yes", "yes.") == 1.0


def test_likeness_worked_by_hand() -> None:
    # abc bcd cde against abc bcd cdx: two of four.
    assert likeness("a b c d e", "a b c d x") == 0.5
    assert shingles("a b c d", 2) == {"a b", "b c", "c d"}


def test_a_few_words_changed_are_not_enough_to_hide() -> None:
    text = essay(1)
    changed = [f"x{n}" if n % 30 == 0 else word for n, word in enumerate(text)]
    cut = text[10:]
    answers = {"source": text, "changed": changed, "cut": cut, "other": essay(2)}
    pairs = alike({k: " ".join(v) for k, v in answers.items()}, 0.7, key=KEY)
    assert {(pair.a, pair.b) for pair in pairs} == {
        ("source", "changed"), ("source", "cut"), ("changed", "cut")
    }  # fmt: skip
    assert groups(pairs) == [{"source", "changed", "cut"}]


def test_in_other_words_is_not_seen() -> None:
    a = "the cat sat quietly on the old mat by the door all day"
    b = "beside the entrance a feline rested without noise upon worn fabric"
    assert alike({"a": a, "b": b}, 0.01, key=KEY) == []


@pytest.mark.parametrize("nothing", ["", " \n", "...", "\ud800", "x " * 40_000])
def test_who_says_nothing_copied_nobody(nothing: str) -> None:
    assert alike({"a": nothing, "b": nothing, "c": "word"}, 0.5, key=KEY) == []


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=9), max_size=6), st.floats(0.05, 1.0))
def test_it_finds_what_comparing_everything_finds(texts: list[list[str]], least: float) -> None:
    """The sketches may pass over pairs, and do so with chance 4e-5 at most."""
    answers = {n: " ".join(words) for n, words in enumerate(texts)}
    sets = {n: found for n, text in answers.items() if (found := shingles(text, 2))}
    expected = {
        (a, b): shared / len(sets[a] | sets[b])
        for a in sets
        for b in sets
        if a < b and (shared := len(sets[a] & sets[b])) >= least * len(sets[a] | sets[b])
    }
    pairs = alike(answers, least, key=KEY, words=2)
    assert {(pair.a, pair.b): pair.likeness for pair in pairs} == pytest.approx(expected)
    assert [p.likeness for p in pairs] == sorted((p.likeness for p in pairs), reverse=True)


def test_a_subnet_s_worth_of_answers() -> None:
    answers = {n: " ".join(essay(n, 300)) for n in range(255)}
    answers[255] = answers[17] + " indeed"
    assert [(pair.a, pair.b) for pair in alike(answers, 0.5, key=KEY)] == [(17, 255)]


def test_a_chain_hangs_together_though_its_ends_do_not() -> None:
    pairs = [Pair("a", "b", 0.8), Pair("b", "c", 0.8), Pair("x", "y", 0.9)]
    assert groups(pairs) == [{"a", "b", "c"}, {"x", "y"}]
    assert groups([]) == []


def test_only_the_order_of_commitments_says_who_was_first() -> None:
    assert first(["a", "b"], {"a": 5.0, "b": 9.0}, slack=1.0) == "a"
    assert first(["a", "b"], {"a": 5.0, "b": 6.0}, slack=1.0) is None
    assert first(["a", "b"], {"a": 5.0, "b": 5.0}, slack=0.0) is None
    assert first(["a", "b"], {"a": 5.0}, slack=0.0) is None
    assert first(["a"], {"a": 5.0}, slack=0.0) == "a"
    assert first([], {}, slack=0.0) is None


@pytest.mark.parametrize(
    ("least", "key", "words"), [(0.0, KEY, 3), (1.1, KEY, 3), (0.5, b"", 3), (0.5, KEY, 0)]
)
def test_what_cannot_be_asked(least: float, key: bytes, words: int) -> None:
    with pytest.raises(ValueError):
        alike({"a": "x"}, least, key=key, words=words)
