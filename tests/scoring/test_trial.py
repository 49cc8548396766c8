"""The sequential test: what it does to the honest and to cheats, by hand and by simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from scoring.evidence import EXPONENTS, Ban, Trial
from scoring.verify.statement import (
    Measure,
    Outcome,
    Sample,
    Statement,
    measured,
    total,
)

TRIAL = Trial(false_ban=1e-4, invalid=12.0, unknown=0.5, credit=7.0, sentence=8)
UNKNOWN = Statement("c", Outcome.UNKNOWN, "not measured")
INVALID = Statement("c", Outcome.INVALID, "no such form")


def weighing(nats: float, check: str = "c") -> Statement:
    return Statement(check, Outcome.MEASURED, "", nats)


def seen(*ps: float) -> Statement:
    return measured("c", [Measure(f"m{n}", 0.0, p) for n, p in enumerate(ps)])


def course(*answers: Sequence[Statement], trial: Trial = TRIAL) -> float:
    return trial.run(enumerate(answers)).nats


def test_nats_are_summed_and_fall_no_further_than_the_credit() -> None:
    assert course() == 0.0
    assert course([weighing(2.0)], [weighing(1.5)], [], [weighing(-0.5)]) == 3.0
    assert course(*[[weighing(-1.0)]] * 50) == -7.0
    assert course(*[[weighing(-1.0)]] * 50, trial=replace(TRIAL, credit=math.inf)) == -50.0
    assert course(*[[weighing(-1.0)]] * 50, [weighing(3.0)]) == -4.0


def test_what_was_not_measured_is_charged() -> None:
    assert course([UNKNOWN], [UNKNOWN], [weighing(1.0)]) == 2.0
    assert course([weighing(1.0)], [UNKNOWN], [UNKNOWN]) == 2.0


def test_a_ban_at_the_bound_and_what_follows() -> None:
    assert pytest.approx(math.log(1e4)) == TRIAL.bound
    below, answers = TRIAL.bound - 1e-9, list(enumerate([[INVALID]] * 40))
    assert TRIAL.run([(1, [weighing(below)])]).bans == ()
    assert TRIAL.run([(1, [weighing(TRIAL.bound)])]).bans == (Ban(1, 9, TRIAL.bound),)
    bans = TRIAL.run(answers).bans
    assert [(ban.round, ban.until) for ban in bans] == [(0, 8), (8, 24), (24, 56)]
    assert TRIAL.run(answers, bans[:1]).bans == bans
    assert TRIAL.run(answers[:24], bans[:2]).nats == 0.0


def test_a_slight_cheat_is_not_drowned_by_the_measures_that_see_nothing() -> None:
    """p = 0.2 at each of 120 answers, beside two measures that look as honest as can be."""
    answers = [[seen(0.2, 0.9, 0.9)]] * 120
    assert total([said for answer in answers for said in answer], invalid=0, unknown=0) < 0.0
    assert course(*answers[:60]) > 4.0
    assert TRIAL.run(enumerate(answers)).bans
    assert not TRIAL.run(enumerate([[seen(0.5, 0.9, 0.9)]] * 120)).bans


P = st.floats(1e-3, 1.0)


@settings(max_examples=60)
@given(st.lists(st.tuples(P, P, st.floats(-2.0, 2.0), st.booleans()), min_size=1, max_size=8))
def test_it_is_the_mean_likelihood_ratio_of_all_cheats_looked_for(
    answers: list[tuple[float, float, float, bool]],
) -> None:
    trial = Trial(false_ban=1e-300, invalid=0.0, unknown=0.25, credit=math.inf)
    densities = [
        math.prod(k * p ** (k - 1.0) for p in ps)
        for ps in ([a for a, *_ in answers], [b for _, b, *_ in answers])
        for k in EXPONENTS
    ]
    ratio = math.exp(math.fsum(nats for *_, nats, _ in answers))
    mean = (math.fsum(densities) + len(EXPONENTS) * ratio) / (3 * len(EXPONENTS))
    charged = 0.25 * sum(unknown for *_, unknown in answers)
    said = [
        [seen(a, b), weighing(nats, "d"), *([UNKNOWN] if unknown else [])]
        for a, b, nats, unknown in answers
    ]
    assert trial.run(enumerate(said)).nats == pytest.approx(math.log(mean) + charged)


def test_every_ratio_is_one_in_the_mean_for_the_honest() -> None:
    """The density of each cheat integrates to 1 over the p-values of honest answers."""
    grid = np.linspace(0.0, 1.0, 2001)[1:] ** 8  # dense where the density is steep
    middles, widths = (grid[1:] + grid[:-1]) / 2, np.diff(grid)
    for k in EXPONENTS:
        tail = grid[0] ** k  # of the integral, below the first point
        assert tail + (k * middles ** (k - 1.0) * widths).sum() == pytest.approx(1.0, abs=5e-3)


def lives(
    strength: float, miners: int, answers: int, seed: int, floor: int = 1000
) -> NDArray[np.float64]:
    """p-values of answers whose measure is normal, `strength` standard deviations too high, against
    one floor of honest answers."""
    random = np.random.default_rng(seed)
    honest = Sample(tuple(random.normal(size=floor)))
    values = random.normal(loc=strength, size=(miners, answers))
    # The floor's own p-values, by its sorted values, many at once.
    ordered = np.sort(honest.values)
    at_least = floor - np.searchsorted(ordered, values, side="left")
    ps = (1 + at_least) / (1 + floor)
    assert ps[0, 0] == honest.p(values[0, 0])
    return np.asarray(ps)


def caught_after(trial: Trial, ps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Answers until each miner is banned; infinite if it never is."""
    table = {float(p): [seen(float(p))] for p in np.unique(ps)}
    times = []
    for row in ps:
        bans = trial.run((n, table[float(p)]) for n, p in enumerate(row)).bans
        times.append(bans[0].round + 1 if bans else math.inf)
    return np.array(times)


POLICY = Trial(false_ban=1e-6, invalid=20.0, unknown=0.0)
"""What docs/scoring.md works with."""


def test_cheats_are_caught_the_sooner_the_stronger() -> None:
    medians = [
        float(np.median(caught_after(POLICY, lives(strength, 60, 400, seed=5))))
        for strength in (0.5, 1.0, 2.0, 3.0)
    ]
    assert medians == sorted(medians, reverse=True)
    assert 100 < medians[0] < 250
    assert 25 < medians[1] < 60 and 7 < medians[2] < 16 and 4 <= medians[3] < 9


def test_a_long_honest_past_buys_little() -> None:
    """With a credit of 7 nats whoever turns is caught soon; without a floor, later."""
    honest, cheating = lives(0.0, 40, 300, seed=1), lives(1.0, 40, 300, seed=2)
    turned = np.hstack([honest, cheating])
    fresh = np.median(caught_after(POLICY, cheating))
    with_credit = np.median(caught_after(POLICY, turned)) - 300
    plain = replace(POLICY, credit=math.inf)
    whole_life = np.median(caught_after(plain, turned)) - 300
    assert fresh < with_credit < 2.5 * fresh
    assert whole_life > 1.3 * with_credit


MIXING = replace(POLICY, occasional=(0.05, 0.2), bad=0.05)


def test_who_cheats_at_times_looks_honest_at_the_others_and_is_found_all_the_same() -> None:
    """A tenth or a quarter of the answers as bad as the floor can say, the others better than it.

    Without the cheats of `occasional` each good answer takes back more than a bad one adds.
    """
    random = np.random.default_rng(6)
    for share, within in ((0.1, 1400), (0.25, 250)):
        ps = np.where(random.uniform(size=(8, 1500)) < share, 0.04, 1.0)
        assert not np.isfinite(caught_after(POLICY, ps)[: 8 if share == 0.1 else 0]).any()
        assert np.median(caught_after(MIXING, ps)) < within


def test_who_is_honest_is_not_taken_for_one_that_mixes() -> None:
    assert not np.isfinite(caught_after(MIXING, lives(0.0, 100, 300, seed=12))).any()
    for share in MIXING.occasional:  # the density of its p integrates to 1
        assert 1 - share + MIXING.bad * share / MIXING.bad == pytest.approx(1.0)


def test_an_occasional_cheat_by_hand() -> None:
    """Two answers, one bad: the mean over 6 steady cheats and one occasional."""
    trial = replace(POLICY, credit=math.inf, occasional=(0.2,), bad=0.05)
    steady = [k * 0.05 ** (k - 1) * k for k in EXPONENTS]
    mean = (math.fsum(steady) + (0.8 + 0.2 / 0.05) * 0.8) / 7
    assert course([seen(0.05)], [seen(1.0)], trial=trial) == pytest.approx(math.log(mean))


@pytest.mark.parametrize("change", [{"occasional": (0.0,)}, {"occasional": (1.0,)}, {"bad": 0.0}])
def test_what_is_no_share(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="within"):
        replace(POLICY, **change)


@pytest.mark.slow
def test_a_thousand_honest_miners_with_a_thousand_answers_each() -> None:
    """The bound is 1e-6 * (1 + 1000 * exp(-7)): two in a million miners. None is banned."""
    times = caught_after(POLICY, lives(0.0, 1000, 1000, seed=11))
    assert not np.isfinite(times).any()


@pytest.mark.slow
@pytest.mark.parametrize("credit", [0.0, 2.0, math.inf])
def test_false_bans_stay_below_the_bound_also_where_it_is_loose(credit: float) -> None:
    """p-values drawn uniformly: the bound is about them, a floor of 1,000 only comes near that."""
    trial = replace(POLICY, false_ban=2e-4, credit=credit)
    miners, answers = 1000, 300
    times = caught_after(trial, np.random.default_rng(3).uniform(size=(miners, answers)))
    bound = trial.false_ban * (1 + answers * math.exp(-credit))
    banned = np.isfinite(times).sum()
    assert banned <= miners * bound + 4 * math.sqrt(miners * bound)


def test_the_bound_is_not_empty() -> None:
    """Break the floor and honest miners are banned: p-values that say too little."""
    ps = lives(0.0, 40, 300, seed=4) ** 1.5
    assert np.isfinite(caught_after(POLICY, ps)).mean() > 0.5


def test_normal_strengths_are_what_they_say() -> None:
    assert lives(0.0, 50, 200, seed=9).mean() == pytest.approx(0.5, abs=0.02)
    assert lives(1.0, 50, 200, seed=9).mean() == pytest.approx(
        float(ndtr(-1 / math.sqrt(2))), abs=0.02
    )
