"""Properties of the seed-locked check that need no model: the noise, the choice, the margin."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from scoring.verify import seedlock
from tests.scoring.seen import Seen

IDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=64, unique=True)
SEEDS = st.binary(max_size=40)
END = 2


def distribution(rng: np.random.Generator, size: int = 200) -> NDArray[np.float64]:
    logits = rng.normal(0.0, 3.0, size)
    return np.asarray(logits - np.log(np.exp(logits).sum()), dtype=np.float64)


def seen(logprobs: NDArray[np.float64], token: int | None = None) -> Seen:
    """Return the step of `token` (the likeliest by default) in a model with these logprobs."""
    top = np.argsort(-logprobs)[: seedlock.TOP]
    token = int(top[0]) if token is None else token
    return Seen(token, float(logprobs[token]), top, logprobs[top])


def honest(rng: np.random.Generator, length: int, seed: bytes, hotkey: bytes) -> list[Seen]:
    steps = []
    for position in range(length):
        step = seen(distribution(rng))
        token = seedlock.choose(step.top_ids, step.top_logprobs, seed, hotkey, position, 0.8)
        logprob = float(step.top_logprobs[list(step.top_ids).index(token)])
        steps.append(Seen(token, logprob, step.top_ids, step.top_logprobs))
    return steps


@given(SEEDS, SEEDS, st.integers(0, 2**32 - 1), IDS)
def test_noise_is_what_its_specification_says(
    seed: bytes, hotkey: bytes, position: int, ids: list[int]
) -> None:
    got = seedlock.noise(seed, hotkey, position, ids)
    parts = [len(seed).to_bytes(4, "little"), seed, len(hotkey).to_bytes(4, "little"), hotkey]
    key = hashlib.blake2b(b"".join(parts), digest_size=32, person=b"seedlock/1").digest()
    for token, value in zip(ids, got, strict=True):
        message = position.to_bytes(4, "little") + token.to_bytes(4, "little")
        h = int.from_bytes(hashlib.blake2b(message, digest_size=8, key=key).digest(), "little")
        u = (2 * (h >> 12) + 1) / 2**53
        assert 0.0 < u < 1.0
        assert value == pytest.approx(-math.log(-math.log(u)), rel=1e-13)


def test_noise_is_gumbel_and_every_part_of_the_lock_changes_it() -> None:
    ids = np.arange(20_000)
    noise = seedlock.noise(b"seed", b"hotkey", 0, ids)
    assert stats.kstest(noise, "gumbel_r").pvalue > 0.01
    for other in (
        seedlock.noise(b"Seed", b"hotkey", 0, ids),
        seedlock.noise(b"seed", b"Hotkey", 0, ids),
        seedlock.noise(b"seed", b"hotkey", 1, ids),
        seedlock.noise(b"seedh", b"otkey", 0, ids),
    ):
        assert abs(stats.pearsonr(noise, other).statistic) < 0.03


def test_choices_follow_the_tempered_distribution() -> None:
    logprobs = np.log([0.5, 0.3, 0.15, 0.05])
    counts = np.zeros(4)
    for position in range(4_000):
        counts[seedlock.choose([0, 1, 2, 3], logprobs, b"s", b"h", position, 0.7)] += 1
    tempered = np.exp(logprobs / 0.7)
    assert stats.chisquare(counts, 4_000 * tempered / tempered.sum()).pvalue > 0.01


@given(SEEDS, st.integers(0, 1000), st.floats(0.3, 2.0), st.integers(0, 2**32))
def test_only_the_prescribed_token_has_no_margin(
    seed: bytes, position: int, temperature: float, world: int
) -> None:
    logprobs = distribution(np.random.default_rng(world))
    likeliest = seen(logprobs)
    chosen = seedlock.choose(
        likeliest.top_ids, likeliest.top_logprobs, seed, b"h", position, temperature
    )
    for token in likeliest.top_ids.tolist():
        margin = seedlock.margin(seen(logprobs, token), seed, b"h", position, temperature)
        assert (margin == 0.0) == (token == chosen)


@given(IDS, st.randoms())
def test_the_choice_does_not_depend_on_the_order(ids: list[int], shuffler: object) -> None:
    logprobs = np.linspace(-1.0, -9.0, len(ids))
    order = np.random.default_rng(len(ids)).permutation(len(ids))
    first = seedlock.choose(ids, logprobs, b"s", b"h", 3, 1.0)
    again = seedlock.choose(np.array(ids)[order], logprobs[order], b"s", b"h", 3, 1.0)
    assert first == again


def test_a_token_just_outside_the_likeliest_has_its_own_small_margin() -> None:
    logprobs = distribution(np.random.default_rng(5))
    outside = int(np.argsort(-logprobs)[seedlock.TOP])
    step = seen(logprobs, outside)
    noise = seedlock.noise(b"s", b"h", 0, np.arange(logprobs.size))
    best = max(logprobs[i] / 0.8 + noise[i] for i in step.top_ids.tolist())
    own = logprobs[outside] / 0.8 + noise[outside]
    assert seedlock.margin(step, b"s", b"h", 0, 0.8) == pytest.approx(max(0.0, best - own))


def test_a_token_outside_the_likeliest_that_beats_them_all_has_no_margin() -> None:
    even = np.full(seedlock.TOP + 1, -math.log(seedlock.TOP + 1))
    step = Seen(seedlock.TOP, float(even[0]), np.arange(seedlock.TOP), even[:-1])
    noises = [seedlock.noise(b"s", b"h", at, np.arange(even.size)) for at in range(1000)]
    wins = [at for at, noise in enumerate(noises) if noise.argmax() == seedlock.TOP]
    assert wins
    assert all(seedlock.margin(step, b"s", b"h", at, 0.8) == 0.0 for at in wins)


def test_a_token_out_of_all_sight_is_clipped_not_infinite() -> None:
    step = seen(distribution(np.random.default_rng(5)))
    gone = Seen(7, -math.inf, step.top_ids, step.top_logprobs)
    assert seedlock.margin(gone, b"s", b"h", 0, 0.8) == math.inf
    assert seedlock.score([math.inf, *[0.0] * 99]) == seedlock.score(
        [seedlock.MARGIN_CLIP, *[0.0] * 99]
    )


@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=40), st.data())
def test_score_falls_with_every_margin(margins: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(margins) - 1))
    worse = [m + (1.0 if i == at else 0.0) for i, m in enumerate(margins)]
    assert 0.0 <= seedlock.score(worse) <= seedlock.score(margins) <= 1.0


def test_score_forgives_arithmetic_and_not_cheating() -> None:
    assert seedlock.score([0.0] * 24) == 1.0
    assert seedlock.score([]) == 0.0
    assert seedlock.score([0.42] + [0.0] * 23) > 0.99  # the worst honest token ever measured
    assert seedlock.score([0.42]) > 0.98  # and if its answer was short
    assert seedlock.score([0.005] * 24) > 0.99  # bfloat16 on other hardware
    assert seedlock.score([0.43] * 24) < 0.01  # the best counting text


def test_little_margin_is_much_where_there_was_little_to_choose() -> None:
    """The prompt repeated, as measured: 1.5 nats lost, on a way that offered 10.7."""
    margins = [1.5] + [0.0] * 23
    assert seedlock.score(margins) > 0.97
    assert seedlock.score(margins, 10.7) < 0.05
    assert seedlock.score(margins, 39.0) > 0.96  # an honest answer's way, other arithmetic
    assert seedlock.score([0.0] * 24, 0.0) == 1.0  # who followed the seed owes nobody a choice
    assert seedlock.score([0.5] * 24, 0.0) == pytest.approx(0.0, abs=1e-9)


@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=40), st.floats(0.0, 100.0))
def test_less_to_choose_never_scores_more(margins: list[float], information: float) -> None:
    scores = [seedlock.score(margins, nats) for nats in (information, information + 1, math.inf)]
    assert scores == sorted(scores)


def test_an_honest_answer_scores_one_and_under_another_lock_nothing() -> None:
    rng = np.random.default_rng(1)
    for trial in range(50):
        seed = trial.to_bytes(4, "little")
        steps = honest(rng, 24, seed, b"mine")

        def scored(seed: bytes, hotkey: bytes, steps: list[Seen] = steps) -> float:
            return seedlock.score_answer(
                steps, length=24, end_token=END, seed=seed, hotkey=hotkey, temperature=0.8
            )

        if END in [step.token for step in steps]:
            continue
        assert scored(seed, b"mine") == 1.0
        assert scored(seed, b"theirs") < 0.01
        assert scored(seed + b"x", b"mine") < 0.01


@pytest.mark.parametrize(
    ("tokens", "complete"),
    [
        ([], False),
        ([END], True),
        ([5], False),
        ([5, 6, 7], False),
        ([5, 6, END], True),
        ([5, 6, 7, 8], True),
        ([5, 6, 7, END], True),
        ([5, END, 7, 8], False),
        ([END, END], False),
        ([5, 6, 7, 8, 9], False),
    ],
)
def test_an_answer_is_complete_or_ended(tokens: list[int], complete: bool) -> None:
    assert seedlock.is_complete(tokens, 4, END) is complete


def test_an_early_end_must_be_prescribed() -> None:
    likely, unlikely = np.log([0.001, 0.001, 0.998]), np.log([0.5, 0.499, 0.001])
    ends = seen(np.asarray(likely), END)
    goes_on = seen(np.asarray(unlikely), END)
    assert seedlock.margin(ends, b"s", b"h", 1, 0.8) == 0.0
    assert seedlock.margin(goes_on, b"s", b"h", 1, 0.8) > seedlock.END_MARGIN
    first = seen(np.asarray(np.log([0.999, 0.0005, 0.0005])))

    def scored(*steps: Seen) -> float:
        return seedlock.score_answer(
            steps, length=24, end_token=END, seed=b"s", hotkey=b"h", temperature=0.8
        )

    assert scored(first, ends) == 1.0
    assert scored(first, goes_on) == 0.0
    assert scored(*[first] * 8, goes_on) == 0.0
    assert scored() == 0.0


def test_information_is_the_entropy_the_seed_may_use() -> None:
    even = seen(np.full(64, -math.log(64)))
    sure = seen(np.asarray(np.log([1.0 - 1e-9, 1e-9])))
    assert seedlock.seed_information([even] * 3, 0.8) == pytest.approx(3 * math.log(64))
    assert seedlock.seed_information([sure] * 24, 0.8) < 1e-5
    assert seedlock.seed_information([], 0.8) == 0.0
    step = seen(distribution(np.random.default_rng(2)))
    cold, hot = (seedlock.seed_information([step], t) for t in (0.5, 1.0))
    assert cold < hot
    weights = np.exp(step.top_logprobs)
    assert hot == pytest.approx(stats.entropy(weights))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_without_temperature_or_tokens_there_is_no_choice(temperature: float) -> None:
    with pytest.raises(ValueError):
        seedlock.choose([1, 2], [-1.0, -2.0], b"s", b"h", 0, temperature)
    with pytest.raises(ValueError):
        seedlock.choose([], [], b"s", b"h", 0, 1.0)
