"""Teacher-forced log-probabilities: a small made-up model, honest answers from it, and cheats."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.verify import logprobs, statement
from scoring.verify.logprobs import Asked, Floor
from scoring.verify.seedlock import TOP
from scoring.verify.statement import Outcome, Sample, Statement
from tests.scoring.seen import Seen

VOCABULARY = 150
END = 2
ASKED = Asked(length=32, end_token=END, temperature=0.8, vocabulary=VOCABULARY)
WITHOUT_REPORTS = {"surprise", "rarest", "perfect", "early", "late"}


@functools.cache
def model(last: int, position: int, noise: float) -> NDArray[np.float64]:
    """Log-probabilities of the next token; `noise` makes it another model, of other weights."""
    rng = np.random.default_rng([last, position])
    logits = rng.normal(0.0, 2.5, VOCABULARY)
    logits[END] = logits.max() - (0.5 if position > 6 else 12.0)
    logits += noise * np.random.default_rng([last, position, 1]).normal(size=VOCABULARY)
    return np.asarray(logits - np.logaddexp.reduce(logits))


def likeliest(logprob: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-logprob, kind="stable")[:TOP]


def answer(
    rng: np.random.Generator,
    noise: float = 0.0,
    temperature: float = ASKED.temperature,
    end: float = 0.0,
) -> list[int]:
    """Sample from the model; `end` is added to the end token's log-probability."""
    tokens: list[int] = []
    while len(tokens) < ASKED.length and (not tokens or tokens[-1] != END):
        logprob = model(tokens[-1] if tokens else 0, len(tokens), noise).copy()
        logprob[END] += end
        top = likeliest(logprob)
        q = np.exp((logprob[top] - logprob[top].max()) / temperature)
        tokens.append(int(rng.choice(top, p=q / q.sum())))
    return tokens


def forced(tokens: Sequence[int], noise: float = 0.0) -> list[Seen]:
    steps = []
    for position, token in enumerate(tokens):
        logprob = model(tokens[position - 1] if position else 0, position, noise)
        top = likeliest(logprob)
        steps.append(Seen(token, float(logprob[token]), top, logprob[top]))
    return steps


def reports(tokens: Sequence[int], noise: float) -> list[float]:
    return [step.logprob for step in forced(tokens, noise)]


ARITHMETIC = 0.01
"""By so much the logits of an honest miner differ from the judge's."""


@functools.cache
def floor() -> Floor:
    rng = np.random.default_rng(100)
    rows: dict[str, list[float]] = {name: [] for name in (*WITHOUT_REPORTS, "gap")}
    for _ in range(300):
        tokens = answer(rng, ARITHMETIC)
        steps = forced(tokens)
        for name, value in logprobs.measure(steps, ASKED).items():
            rows[name].append(value)
        rows["gap"].append(logprobs.gap(steps, reports(tokens, ARITHMETIC)))
    return Floor(**{name: Sample(tuple(values)) for name, values in rows.items()})


def judged(tokens: list[int], noise: float = ARITHMETIC) -> Statement:
    return logprobs.verify(tokens, forced(tokens), ASKED, floor(), reports(tokens, noise))


def nats(said: Statement) -> float:
    assert said.outcome is Outcome.MEASURED
    assert said.log_ratio is not None
    return said.log_ratio


def total(said: list[Statement]) -> float:
    return statement.total(said, invalid=math.nan, unknown=math.nan)


def mean_nats(said: list[Statement], name: str) -> float:
    ps = [measure.p for s in said for measure in s.measures if measure.name == name]
    return sum(map(statement.log_evidence, ps)) / len(said)


def test_honest_answers_weigh_against_nobody() -> None:
    rng = np.random.default_rng(1)
    said = [judged(answer(rng, ARITHMETIC)) for _ in range(100)]
    assert {measure.name for measure in said[0].measures} == {*WITHOUT_REPORTS, "gap"}
    totals = [total(said[at : at + 20]) for at in range(0, 100, 20)]
    assert max(totals) < math.log(100)
    assert sum(totals) < 0


def cheats(kind: str, rng: np.random.Generator) -> tuple[list[int], float]:
    """Tokens of a cheat, and how far off the model is whose log-probabilities he reports."""
    match kind:
        case "other model":
            return answer(rng, 2.5), 2.5
        case "other model, reports of the right one":
            return answer(rng, 2.5), 0.0
        case "quantised":  # its text is fine, its numbers are not
            return answer(rng, 0.1), 0.1
        case "likeliest tokens":
            return answer(rng, temperature=1e-6), 0.0
        case "ends early":
            return answer(rng, end=6.0), 0.0
        case "skips the end":
            return answer(rng, end=-math.inf), 0.0
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "measure"),
    [
        ("other model", "gap"),
        ("other model, reports of the right one", "surprise"),
        ("quantised", "gap"),
        ("likeliest tokens", "perfect"),
        ("ends early", "early"),
        ("skips the end", "late"),
    ],
)
def test_cheats_weigh_by_the_measure_made_for_them(kind: str, measure: str) -> None:
    rng = np.random.default_rng(2)
    said = [judged(*cheats(kind, rng)) for _ in range(20)]
    assert total(said) > math.log(100)
    assert mean_nats(said, measure) > 0.3


def test_text_that_is_not_surprising_enough_is_surprising() -> None:
    rng = np.random.default_rng(4)
    said = [judged(answer(rng, temperature=0.4)) for _ in range(20)]
    assert total(said) > math.log(100)
    assert mean_nats(said, "surprise") > 0.3


def test_measures_worked_by_hand() -> None:
    even = Seen(5, math.log(0.25), np.arange(4), np.log([0.25, 0.25, 0.25, 0.25]))
    asked = Asked(length=2, end_token=3, temperature=1.0, vocabulary=10)
    # Two tokens outside the likeliest, as likely as they: no surprise, no variance; both ties.
    got = logprobs.measure([even, even], asked)
    assert got["surprise"] == pytest.approx(0.0, abs=1e-12)
    assert got["perfect"] == pytest.approx((2 - 0.5) / math.sqrt(1 + 2 * 0.25 * 0.75))
    assert got["rarest"] == 0.0
    assert got["early"] == 0.0
    assert got["late"] == pytest.approx(-2 * math.log(0.75))
    # Ends at once, of four tokens: an honest one does with 1/4; at the second with 7/16.
    ends = replace(even, token=3)
    longer = replace(asked, length=4)
    assert logprobs.measure([ends], longer)["early"] == pytest.approx(-math.log(0.25))
    assert logprobs.measure([even, ends], longer)["early"] == pytest.approx(-math.log(7 / 16))
    assert logprobs.measure([even, ends], longer)["late"] == pytest.approx(-math.log(0.75))
    assert logprobs.measure([even, ends], asked)["early"] == 0.0
    # A quarter is the rarest of four that are alike, but one of 1/100 among the likeliest is not.
    rare = Seen(1, math.log(0.01), np.arange(3), np.log([0.98, 0.01, 0.01]))
    assert logprobs.measure([rare, even], asked)["rarest"] == pytest.approx(-math.log(2 * 0.02))
    # One nat too surprising on a choice of p = .5: variance 0, so over sqrt(1).
    half = Seen(9, math.log(0.5) - 1.0, np.arange(2), np.log([0.5, 0.5]))
    assert logprobs.measure([half], asked)["surprise"] == pytest.approx(1.0)
    # Temperature 1/2 makes .8 and .2 of the choice 16/17 and 1/17.
    cold = Seen(0, math.log(0.8), np.arange(2), np.log([0.8, 0.2]))
    mean = 16 / 17 * math.log(17 / 16) + 1 / 17 * math.log(17)
    square = 16 / 17 * math.log(17 / 16) ** 2 + 1 / 17 * math.log(17) ** 2
    expected = abs(math.log(17 / 16) - mean) / math.sqrt(1 + square - mean**2)
    got = logprobs.measure([cold], replace(asked, temperature=0.5))
    assert got["surprise"] == pytest.approx(expected)


def test_surprise_is_standardised() -> None:
    rng = np.random.default_rng(6)
    values = np.array(
        [logprobs.measure(forced(answer(rng)), ASKED)["surprise"] for _ in range(200)]
    )
    assert np.sqrt((values**2).mean()) == pytest.approx(1.0, abs=0.15)


def test_a_token_held_impossible_is_weighed_and_not_excused() -> None:
    plain = replace(floor(), gap=None)
    steps = [Seen(5, math.log(0.5), np.array([5, 6]), np.log([0.5, 0.5]))] * 32
    steps[7] = replace(steps[7], logprob=-math.inf)
    said = logprobs.verify([5] * 32, steps, ASKED, plain)
    found = {measure.name: measure for measure in said.measures}
    assert found["surprise"].value == pytest.approx(logprobs.SURPRISE_CLIP - math.log(2))
    assert found["rarest"].value == math.inf
    assert found["rarest"].p == 1 / 301
    assert nats(said) > 0
    # And an end that is impossible is the earliest there is.
    ended = [replace(steps[0], token=END, logprob=-math.inf)]
    early = logprobs.measure(ended, ASKED)["early"]
    assert early > 25.0
    assert nats(logprobs.verify([END], ended, ASKED, plain)) > 0


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ([], "0 tokens"),
        ([5] * 33, "33 tokens"),
        ([5] * 31, "cut off"),
        ([5, END, 5], "and tokens after it"),
        ([5, VOCABULARY, END], "token 1 is not in"),
        ([-1, END], "token 0 is not in"),
        ([10**400, END], "token 0 is not in"),
        ([True, END], "token 0 is no number"),
        ([5.0, END], "token 0 is no number"),
        (["5", END], "token 0 is no number"),
    ],
)
def test_what_is_no_answer_is_invalid(tokens: list[int], why: str) -> None:
    said = logprobs.verify(tokens, [], ASKED, floor(), [-1.0] * len(tokens))
    assert said.outcome is Outcome.INVALID
    assert why in said.reason


@pytest.mark.parametrize("answer", [None, 5, "5", {}, {5}, math.nan])
def test_what_is_not_even_a_list_is_invalid(answer: list[int]) -> None:
    assert logprobs.verify(answer, [], ASKED, floor(), []).outcome is Outcome.INVALID
    tokens = [5] * 31 + [END]
    said = logprobs.verify(tokens, forced(tokens), ASKED, floor(), answer)
    assert said.outcome is Outcome.INVALID


def test_a_huge_answer_is_refused_unread() -> None:
    class Endless(list[int]):
        def __iter__(self) -> object:  # type: ignore[override]
            raise AssertionError("read")

        def __len__(self) -> int:
            return 10**12

    assert logprobs.verify(Endless(), [], ASKED, floor()).outcome is Outcome.INVALID
    said = logprobs.verify([5, END], [], ASKED, floor(), Endless())
    assert said.outcome is Outcome.INVALID


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.5, -1e9, 10**400, None, "x"])
def test_reports_that_are_no_log_probabilities_are_invalid(value: float) -> None:
    tokens = answer(np.random.default_rng(5))
    reported = reports(tokens, 0.0)
    for at in (0, len(tokens) - 1):
        bad = [*reported[:at], value, *reported[at + 1 :]]
        said = logprobs.verify(tokens, forced(tokens), ASKED, floor(), bad)
        assert said.outcome is Outcome.INVALID
        assert said.reason.endswith(f"at {at}")
    for bad in (reported[:-1], [*reported, -1.0]):
        said = logprobs.verify(tokens, forced(tokens), ASKED, floor(), bad)
        assert said.outcome is Outcome.INVALID
    assert logprobs.verify(tokens, forced(tokens), ASKED, floor()).outcome is Outcome.INVALID


@pytest.mark.parametrize("value", [-math.inf, -1e308, -5e-324, -0.0])
def test_the_ends_of_what_a_number_can_be(value: float) -> None:
    """All the likeliest but one, and the token itself: measured, and without overflow."""
    top = np.array([-1e-9, value, value])
    for own in (-1e-9, value):
        steps = [Seen(7, own, np.array([7, 8, 9]), top)] * 32
        for temperature in (logprobs.LEAST_TEMPERATURE, 1.0, 1e300):
            asked = replace(ASKED, temperature=temperature)
            said = logprobs.verify([7] * 32, steps, asked, replace(floor(), gap=None))
            assert math.isfinite(nats(said))


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_what_the_judges_engine_got_wrong_is_not_the_miners(value: float) -> None:
    tokens = answer(np.random.default_rng(5))
    steps = forced(tokens)
    broken_top = steps[0].top_logprobs.copy()
    broken_top[3] = value
    for bad in (
        replace(steps[0], logprob=value),
        replace(steps[0], top_logprobs=broken_top),
        replace(steps[0], top_logprobs=np.full(TOP, -math.inf)),
        replace(steps[0], top_ids=steps[0].top_ids[:-1]),
        replace(steps[0], top_ids=steps[0].top_ids[:0], top_logprobs=broken_top[:0]),
        replace(steps[0], token=tokens[0] + 1),
    ):
        said = logprobs.verify(
            tokens, [bad, *steps[1:]], ASKED, floor(), reports(tokens, ARITHMETIC)
        )
        assert said.outcome is Outcome.UNKNOWN
    assert (
        logprobs.verify(tokens, steps[:-1], ASKED, floor(), reports(tokens, ARITHMETIC)).outcome
        is Outcome.UNKNOWN
    )


NUMBERS = st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=2)


@given(
    st.lists(st.integers(-2, VOCABULARY + 2) | NUMBERS, max_size=40),
    st.none() | st.lists(NUMBERS | st.floats(-9, 0), max_size=40),
    st.lists(st.floats(), min_size=40, max_size=40),
)
def test_no_bytes_from_outside_crash_it_or_pass(
    tokens: list[int], reported: list[float] | None, own: list[float]
) -> None:
    """Also with a judge that stumbles: whatever is not a number is never measured."""
    steps = [
        Seen(token, logprob, np.arange(3), np.array([logprob, -1.0, -2.0]))
        for token, logprob in zip(tokens, own, strict=False)
    ]
    said = logprobs.verify(tokens, steps, ASKED, floor(), reported)
    if said.outcome is Outcome.MEASURED:
        assert logprobs.fault(tokens, ASKED) is None
        assert not any(map(math.isnan, own[: len(tokens)]))
    else:
        assert said.reason


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"end_token": VOCABULARY},
        {"end_token": -1},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
    ],
)
def test_what_nobody_can_be_asked(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        replace(ASKED, **change)  # type: ignore[arg-type]
