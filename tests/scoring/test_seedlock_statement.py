"""The seed lock as evidence, top-p at its edge, and input that is not an answer or no numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.verify import seedlock
from scoring.verify.statement import Outcome, Sample, Statement, total
from scoring.verify.steps import Asked
from tests.scoring.seen import Seen

FLOOR = seedlock.Floor(
    Sample((0.0,) * 90 + tuple(np.linspace(0.0, 0.05, 109))), Sample((0.0,) * 99)
)
VOCABULARY = 300


def world(at: int, spread: float = 2.0, moved: float = 0.0) -> NDArray[np.float64]:
    """Log-probabilities of a step; `moved`: as other arithmetic has them, so far off at most."""
    logits = np.random.default_rng(at).normal(0.0, spread, VOCABULARY)
    logits += np.random.default_rng([at, 1]).uniform(-moved, moved, VOCABULARY)
    return np.asarray(logits - np.log(np.exp(logits).sum()))


def top(logprobs: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    ids = np.lexsort((np.arange(logprobs.size), -logprobs))[: seedlock.TOP]
    return ids, logprobs[ids]


def seen(logprobs: NDArray[np.float64], token: int) -> Seen:
    return Seen(token, float(logprobs[token]), *top(logprobs))


def answer(length: int = 24, hotkey: bytes = b"mine", moved: float = 0.0) -> list[int]:
    return [
        seedlock.choose(*top(world(at, moved=moved)), b"seed", hotkey, at, 0.8)
        for at in range(length)
    ]


def asked(length: int = 24) -> Asked:
    return Asked(length, end_token=VOCABULARY - 1, temperature=0.8, vocabulary=VOCABULARY)


def verify(tokens: Any, **changes: Any) -> Statement:
    steps = [seen(world(at), token) for at, token in enumerate(tokens)]
    given: dict[str, Any] = {"asked": asked(), "floor": FLOOR, "seed": b"seed", "hotkey": b"mine"}
    return seedlock.verify(tokens, steps, **(given | changes))


def test_honest_answers_speak_for_themselves_and_foreign_ones_against() -> None:
    honest, other, foreign = (
        verify(answer()),
        verify(answer(moved=0.02)),
        verify(answer(hotkey=b"theirs")),
    )
    assert honest.log_ratio is not None and honest.log_ratio < 0
    assert [measure.value for measure in honest.measures] == [0.0, 0.0]
    assert total([other] * 5, invalid=math.inf, unknown=math.inf) < math.log(100)
    assert total([foreign] * 5, invalid=0.0, unknown=0.0) > math.log(100)
    assert foreign.measures[0].value == pytest.approx(
        seedlock.mean_margin(
            seedlock.margins(
                [seen(world(at), token) for at, token in enumerate(answer(hotkey=b"theirs"))],
                b"seed",
                b"mine",
                0.8,
            ),
            seedlock.seed_information([seen(world(at), 0) for at in range(24)], 0.8),
        )
    )


def test_an_early_end_that_nobody_prescribed_is_its_own_measure() -> None:
    tokens = [*answer(5), VOCABULARY - 1]
    ended = verify(tokens)
    margin, early = ended.measures
    assert early.value > seedlock.END_MARGIN and early.p <= 0.01
    assert verify(answer()).measures[1].value == 0.0
    at_its_length = verify(tokens, asked=asked(6))
    assert at_its_length.measures == (margin, replace(early, value=0.0, p=1.0))


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        None,
        "text",
        [1] * 23,
        [1] * 25,
        [1] * 100_000,
        [-1] * 24,
        [VOCABULARY] * 24,
        [2**70] * 24,
        [1.0] * 24,
        [math.nan] * 24,
        [True] * 24,
        [VOCABULARY - 1] * 24,
    ],
)
def test_what_is_no_answer_is_invalid(tokens: Any) -> None:
    said = seedlock.verify(tokens, [], asked(), FLOOR, seed=b"seed", hotkey=b"mine")
    assert (said.outcome, said.log_ratio) == (Outcome.INVALID, None) and said.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.0])
@pytest.mark.parametrize("where", ["own", "one", "all"])
def test_what_is_no_number_is_unknown_and_never_passes(bad: float, where: str) -> None:
    tokens = answer()
    steps = [seen(world(at), token) for at, token in enumerate(tokens)]
    if where == "own":
        steps[3] = replace(steps[3], logprob=bad)
    else:
        broken = steps[3].top_logprobs.copy()
        broken[0 if where == "one" else slice(None)] = bad
        steps[3] = replace(steps[3], top_logprobs=broken)
    said = seedlock.verify(tokens, steps, asked(), FLOOR, seed=b"seed", hotkey=b"mine")
    assert said.outcome is Outcome.UNKNOWN and "at 3" in said.reason
    if not math.isfinite(bad):
        assert seedlock.margin(steps[3], b"seed", b"mine", 3, 0.8) == math.inf


def test_steps_along_another_answer_are_unknown() -> None:
    tokens = answer()
    steps = [seen(world(at), token) for at, token in enumerate(tokens)]
    for others in (steps[:-1], [], [*steps[:-1], seen(world(23), 5)]):
        said = seedlock.verify(tokens, others, asked(), FLOOR, seed=b"seed", hotkey=b"mine")
        assert said.outcome is Outcome.UNKNOWN


def test_margins_that_are_no_numbers_are_worth_nothing() -> None:
    for bad in (math.nan, math.inf):
        assert seedlock.score([bad] * 24) < 1e-6
        assert seedlock.score([0.0] * 23 + [bad]) < 0.5
    assert seedlock.score([0.5] * 24, math.nan) < 1e-6
    assert seedlock.score([0.0] * 24, math.nan) == 1.0


def test_an_impossible_step_is_clipped_and_carries_no_nonsense() -> None:
    sure = np.full(VOCABULARY, -math.inf)
    sure[7] = 0.0
    assert seedlock.seed_information([seen(sure, 7)], 0.8) == 0.0
    assert seedlock.margin(seen(sure, 7), b"seed", b"mine", 0, 0.8) == 0.0
    assert seedlock.margin(seen(sure, 8), b"seed", b"mine", 0, 0.8) == math.inf


# Top-p


@pytest.mark.parametrize("top_p", [0.999, 0.9, 0.5, 0.05])
def test_only_the_likeliest_that_make_up_top_p_are_chosen(top_p: float) -> None:
    for at in range(200):
        ids, logprobs = top(world(at))
        weights = np.exp(logprobs / 0.8)
        shares = np.cumsum(weights) / weights.sum()
        inside = int(np.searchsorted(shares, top_p)) + 1
        chosen = seedlock.choose(ids, logprobs, b"seed", b"mine", at, 0.8, top_p=top_p)
        assert chosen in ids[:inside]
        among = seedlock.choose(ids[:inside], logprobs[:inside], b"seed", b"mine", at, 0.8)
        assert chosen == among
        assert seedlock.margin(seen(world(at), chosen), b"seed", b"mine", at, 0.8, top_p=top_p) == 0


def test_who_leaves_top_p_out_is_seen() -> None:
    tokens = answer(60)
    steps = [seen(world(at), token) for at, token in enumerate(tokens)]
    kept = seedlock.margins(steps, b"seed", b"mine", 0.8, top_p=0.5)
    assert seedlock.margins(steps, b"seed", b"mine", 0.8).max() == 0.0
    assert seedlock.score(kept, seedlock.seed_information(steps, 0.8, top_p=0.5)) < 0.01


@given(st.integers(0, 5000), st.floats(0.05, 0.999), st.sampled_from([1e-6, 1e-4, 1e-3]))
def test_other_arithmetic_loses_little_at_the_edge_of_top_p(
    at: int, top_p: float, moved: float
) -> None:
    """Whatever falls in or out of the nucleus by a change of d costs a few d, not nats."""
    theirs = world(at, moved=moved)
    token = seedlock.choose(*top(theirs), b"seed", b"mine", at, 0.8, top_p=top_p)
    margin = seedlock.margin(seen(world(at), token), b"seed", b"mine", at, 0.8, top_p=top_p)
    # Two that trade places shift the edge by a token: so a bound in d holds for all but those.
    if (top(theirs)[0] == top(world(at))[0]).all():
        assert margin <= 40 * moved


def test_information_is_less_with_less_to_choose_from() -> None:
    step = seen(world(1), 0)
    nats = [seedlock.seed_information([step], 0.8, top_p=p) for p in (0.05, 0.5, 0.9, 1.0)]
    assert nats == sorted(nats) and nats[0] < nats[-1]
    few = [seedlock.seed_information([step], 0.8, top_k=k) for k in (1, 2, 10, 64)]
    assert few[0] == 0.0 and few == sorted(few)


@pytest.mark.parametrize(
    "rule", [{"top_p": 0.0}, {"top_p": 1.5}, {"top_p": math.nan}, {"top_k": 0}]
)
def test_what_nobody_can_be_asked_is_a_value_error(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        seedlock.choose(*top(world(0)), b"seed", b"mine", 0, 0.8, **rule)
    with pytest.raises(ValueError):
        seedlock.margin(seen(world(0), 1), b"seed", b"mine", 0, 0.8, **rule)
    with pytest.raises(ValueError):
        seedlock.choose([1, 2], [math.nan, -1.0], b"seed", b"mine", 0, 0.8)
