"""The watermark: counted right, found where it was put, and not found by chance."""

from __future__ import annotations

import functools
import hashlib
import math
import random
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verify import watermark
from scoring.verify.statement import Outcome, Sample, Statement, total

KEY, OTHER = b"k" * 32, b"o" * 32
VOCABULARY = 1000


def text(rng: np.random.Generator, length: int, key: bytes | None = None) -> list[int]:
    """Tokens drawn from 8 likely ones each time, about 2 nats of choice, marked with `key`."""
    tokens: list[int] = []
    for _ in range(length):
        ids = rng.integers(0, VOCABULARY, 8)
        logprobs = np.log(rng.dirichlet(np.ones(8)))
        if key is not None:
            logprobs = watermark.marked(key, tokens, ids, logprobs)
        tokens.append(int(ids[(logprobs + rng.gumbel(size=8)).argmax()]))
    return tokens


def test_green_is_as_specified() -> None:
    found = watermark.green(KEY, [7, 9], range(200))
    by_hand = [
        int.from_bytes(
            hashlib.blake2b(
                struct.pack("<III", 1, 9, token), digest_size=8, key=KEY, person=b"watermark/1"
            ).digest(),
            "little",
        )
        < 2**62
        for token in range(200)
    ]
    assert found.tolist() == by_hand
    assert 30 < sum(by_hand) < 70


def test_marked_text_is_found_and_only_with_its_key() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        tokens = text(rng, 200, KEY)
        right, wrong = watermark.verify(tokens, KEY), watermark.verify(tokens, OTHER)
        assert right.measures[0].p < 1e-5
        assert wrong.measures[0].p > 1e-3


def test_unmarked_text_is_marked_no_more_often_than_p_says() -> None:
    rng = np.random.default_rng(2)
    ps = [watermark.verify(text(rng, 60), rng.bytes(32)).measures[0].p for _ in range(400)]
    assert 0.02 < np.mean([p <= 0.1 for p in ps]) < 0.14
    assert sum(p <= 0.001 for p in ps) <= 3


def test_a_repeated_text_says_no_more_than_once() -> None:
    rng = np.random.default_rng(3)
    tokens = text(rng, 30)
    once, often = watermark.count(tokens, KEY), watermark.count(tokens * 50, KEY)
    assert often[1] <= once[1] + 1
    # Over many keys, the boilerplate is no likelier to be marked.
    alarms = [watermark.verify(tokens * 50, rng.bytes(32)).measures[0].p < 0.01 for _ in range(300)]
    assert sum(alarms) < 12


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.05, 0.95))
def test_the_chance_is_binomial(scored: int, hits: int, share: float) -> None:
    exact = sum(
        math.comb(scored, k) * share**k * (1 - share) ** (scored - k)
        for k in range(hits, scored + 1)
    )
    if hits <= scored:
        assert watermark.chance(hits, scored, share) == pytest.approx(exact, rel=1e-9, abs=1e-290)


def test_a_floor_makes_the_chance_milder_and_never_harsher() -> None:
    rng = np.random.default_rng(4)
    tokens = text(rng, 200, KEY)
    unlucky = watermark.Floor(Sample(tuple(range(20))))
    assert watermark.verify(tokens, KEY, unlucky).measures[0].p >= 1 / 21
    plain = text(rng, 200)
    never = watermark.Floor(Sample((-50.0,) * 5000))
    assert (
        watermark.verify(plain, KEY, never).measures[0].p
        == watermark.verify(plain, KEY).measures[0].p
    )


def told_apart(verify: Callable[[list[int]], Statement]) -> None:
    rng = np.random.default_rng(5)
    plain = [verify(text(rng, 100)) for _ in range(10)]
    marked = [verify(text(rng, 100, KEY)) for _ in range(10)]
    assert total(plain, invalid=math.nan, unknown=math.nan) < 0
    assert total(marked, invalid=math.nan, unknown=math.nan) > math.log(100)
    assert verify([-1] * 20).outcome is Outcome.INVALID


def test_a_check_that_does_not_look_fails() -> None:
    """Wrong acceptance: "never marked" and "always marked" must not pass."""
    told_apart(lambda tokens: watermark.verify(tokens, KEY))
    unmarked = watermark.verify(text(np.random.default_rng(6), 100), KEY)
    marked = watermark.verify(text(np.random.default_rng(6), 100, KEY), KEY)
    for always in (unmarked, marked):
        with pytest.raises(AssertionError):
            told_apart(functools.partial(blind, always))


def blind(always: Statement, _: list[int]) -> Statement:
    """Say the same of everything."""
    return always


@pytest.mark.parametrize(
    "bad",
    [None, "text", [1, -1], [1, 2**32], [1.0, 2.0], [True, 1], [None], [math.nan], b"ab", {1: 2}],
)
def test_what_is_no_text_is_invalid(bad: object) -> None:
    assert watermark.verify(bad, KEY).outcome is Outcome.INVALID  # type: ignore[arg-type]


def test_too_long_is_invalid_and_too_short_unknown() -> None:
    long = [1] * (watermark.MOST_TOKENS + 1)
    assert watermark.verify(long, KEY).outcome is Outcome.INVALID
    assert watermark.verify([1] * 10000, KEY).outcome is Outcome.UNKNOWN
    for short in ([], [1], list(range(watermark.LEAST_SCORED))):
        assert watermark.verify(short, KEY).outcome is Outcome.UNKNOWN


def test_a_very_green_text_is_finite() -> None:
    rng = random.Random(7)
    tokens = [0]
    while len(tokens) < 3000:
        tries = [rng.randrange(2**32) for _ in range(40)]
        tokens.append(tries[int(watermark.green(KEY, tokens, tries).argmax())])
    said = watermark.verify(tokens, KEY)
    assert said.log_ratio is not None and 100 < said.log_ratio < 1000


def test_keys_and_shares_are_the_judges_own_doing() -> None:
    for key, share in ((b"short", 0.25), (b"l" * 65, 0.25), (KEY, 0.0), (KEY, 1.0)):
        with pytest.raises(ValueError, match="key"):
            watermark.green(key, [], [1], share)
