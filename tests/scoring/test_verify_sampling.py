"""Proof of Sampling: the crossing points, played out; and who is audited, to the bit."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scoring.verify import sampling
from scoring.verify.sampling import Game, NoRate

SLASHED = Game(reward=1.2, cost=1.0, saved=1.0, fee=10.0, collusion=0.1)
BANNED = Game(
    reward=2.0, cost=1.0, saved=0.7, fee=1.5, ban=14.0, collusion=0.1, false_alarm=0.02, miss=0.2
)

AMOUNTS = st.floats(0.01, 100.0)
CHANCES = st.floats(0.0, 0.5)


@st.composite
def games(draw: st.DrawFn, ban: bool = True) -> Game:
    reward = draw(AMOUNTS)
    cost = reward * draw(st.floats(0.01, 1.5))
    return Game(
        reward=reward,
        cost=cost,
        saved=cost * draw(st.floats(0.01, 1.0)),
        fee=draw(AMOUNTS),
        ban=draw(st.floats(0.0, 100.0)) if ban else 0.0,
        collusion=draw(CHANCES),
        false_alarm=draw(CHANCES),
        miss=draw(CHANCES),
    )


def played(game: Game, rate: float, cheat: bool, rng: np.random.Generator) -> float:
    """Earnings per answer of a miner who always does the same, over many answers and bans."""
    answers = 2_000_000
    audited = rng.random(answers) < rate
    if cheat:
        covered = rng.random(answers) < game.collusion
        missed = rng.random(answers) < game.miss
        caught = int((audited & ~covered & ~missed).sum())
    else:
        caught = int((audited & (rng.random(answers) < game.false_alarm)).sum())
    margin = game.reward - game.cost + (game.saved if cheat else 0.0)
    earned = answers * margin - caught * (game.reward + game.fee)
    return earned / (answers + caught * game.ban)  # who is banned earns nothing meanwhile


@pytest.mark.parametrize("game", [SLASHED, BANNED, dataclasses.replace(BANNED, ban=0.0, fee=20.0)])
def test_the_crossing_is_where_the_game_played_out_crosses(game: Game) -> None:
    rng = np.random.default_rng(7)
    least = sampling.least_rate(game)

    def advantage(rate: float) -> float:
        return played(game, rate, False, rng) - played(game, rate, True, rng)

    below, above = advantage(0.9 * least), advantage(1.1 * least)
    assert below < 0 < above
    crossing = least * (0.9 + 0.2 * below / (below - above))
    assert crossing == pytest.approx(least, rel=0.02)


def test_honest_work_stops_paying_where_the_game_says_so() -> None:
    game = dataclasses.replace(BANNED, false_alarm=0.1, fee=20.0)
    rng = np.random.default_rng(8)
    least, most = sampling.least_rate(game), sampling.most_rate(game)
    assert least < most < 1
    assert played(game, 0.9 * most, False, rng) > 0 > played(game, 1.1 * most, False, rng)
    assert sampling.honest_payoff(game, most) == pytest.approx(0.0, abs=1e-12)


def test_payoffs_are_what_the_game_played_out_pays() -> None:
    rng = np.random.default_rng(9)
    for rate in (0.05, 0.3):
        honest = played(BANNED, rate, False, rng)
        assert sampling.honest_payoff(BANNED, rate) == pytest.approx(honest, abs=0.01)
        # Losing a ban of an honest miner's answers is worth what they would have earned.
        assert sampling.loss_if_caught(BANNED, rate) == pytest.approx(14.0 * honest + 1.5, abs=0.1)


def test_figures_worked_by_hand() -> None:
    # 1 / (0.9 * (1.2 + 10)); without a loss 1 / (0.9 * 1.2)
    assert sampling.least_rate(SLASHED) == pytest.approx(1 / 10.08)
    assert sampling.least_rate(dataclasses.replace(SLASHED, fee=0.0)) == pytest.approx(1 / 1.08)
    # Power 0.9 * 0.8 - 0.02 = 0.7; stakes 2 + 1.5 + 14 = 17.5; 12.25 - 14 * 0.02 * 0.7 = 12.054
    assert sampling.least_rate(BANNED) == pytest.approx(0.7 / 12.054)
    # 1 / (0.02 * 3.5) = 14.3: any rate can be borne
    assert sampling.most_rate(BANNED) == 1.0


@given(games(ban=False))
def test_without_a_ban_the_conditions_are_those_of_a_fixed_loss(game: Game) -> None:
    power = (1 - game.collusion) * (1 - game.miss) - game.false_alarm
    try:
        least = sampling.least_rate(game)
    except NoRate:
        needed = game.saved / (power * (game.reward + game.fee)) if power > 0 else math.inf
        alarms = needed * game.false_alarm * (game.reward + game.fee)
        assert needed >= 1 - 1e-9 or alarms >= (game.reward - game.cost) * (1 - 1e-9)
    else:
        assert least == pytest.approx(game.saved / (power * (game.reward + game.fee)))
        lost = least * game.false_alarm * (game.reward + game.fee)
        assert sampling.honest_loss(game, least) == pytest.approx(lost)
        # What false alarms cost at the least rate does not depend on the loss.
        assert lost == pytest.approx(game.false_alarm * game.saved / power)


@given(games(), st.floats(0.001, 0.999))
def test_between_the_bounds_honesty_pays_and_pays_best(game: Game, at: float) -> None:
    try:
        least, most = sampling.least_rate(game), sampling.most_rate(game)
    except NoRate:
        # Then it fails wherever one looks.
        for rate in np.linspace(0.0, 1.0, 21):
            honest = sampling.honest_payoff(game, rate)
            slack = 1e-9 * (game.reward + game.fee) * (1 + game.ban)
            assert honest <= slack or honest <= sampling.cheat_payoff(game, rate) + slack
        return
    assume(most - least > 1e-6)
    rate = least + at * (most - least)
    assert sampling.honest_payoff(game, rate) > 0
    assert sampling.honest_payoff(game, rate) > sampling.cheat_payoff(game, rate)
    below = least * at
    assert sampling.honest_payoff(game, below) < sampling.cheat_payoff(game, below)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"fee": 0.0, "collusion": 0.5}, "auditing every answer"),
        ({"collusion": 1.0}, "condemns honest answers as often"),
        ({"false_alarm": 0.9}, "condemns honest answers as often"),  # 7% a chunk, 31 chunks
        ({"cost": 1.2}, "honest work earns"),
        ({"false_alarm": 0.3}, "cheating stops paying above"),
    ],
)
def test_no_rate_is_said_and_why(change: dict[str, float], why: str) -> None:
    with pytest.raises(NoRate, match=why):
        sampling.least_rate(dataclasses.replace(SLASHED, **change))
    with pytest.raises(NoRate, match=why):
        sampling.most_rate(dataclasses.replace(SLASHED, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"reward": 0.0},
        {"reward": math.nan},
        {"cost": math.inf},
        {"fee": -1.0},
        {"ban": math.nan},
        {"saved": 1.01},
        {"collusion": 1.01},
        {"false_alarm": math.nan},
        {"miss": -0.1},
    ],
)
def test_what_is_no_game_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(SLASHED, **change)


def audited(rate: float, request: bytes = b"request-1", beacon: bytes = b"\x01" * 32) -> bool:
    return sampling.is_audited(
        beacon=beacon, beacon_at=8, committed_at=7, hotkey=b"\x02" * 32, request=request, rate=rate
    )


def test_who_is_audited_to_the_bit() -> None:
    """The number is from coreutils' sha256sum, fed by printf: see `is_audited` for the parts."""
    drawn = Fraction(0xB0146C8CBBCEB89A, 2**64)
    below, above = math.nextafter(float(drawn), 0.0), math.nextafter(float(drawn), 1.0)
    assert not audited(below)
    assert audited(above)
    assert audited(1.0)
    assert not audited(0.0)


def test_audits_come_at_the_rate_and_every_part_counts() -> None:
    requests = [i.to_bytes(4, "big") for i in range(20_000)]
    drawn = [audited(0.3, request) for request in requests]
    assert sum(drawn) == pytest.approx(6000, abs=4 * math.sqrt(20_000 * 0.21))
    other = [audited(0.3, request, b"\x03" * 32) for request in requests]
    both = sum(a and b for a, b in zip(drawn, other, strict=True))
    assert both == pytest.approx(1800, abs=4 * math.sqrt(20_000 * 0.09 * 0.91))
    # A higher rate audits the same ones, and more.
    assert all(audited(0.4, r) for r, d in zip(requests[:500], drawn, strict=False) if d)


def test_parts_do_not_run_into_each_other() -> None:
    def drawn(at: int) -> bool:
        hotkey, request = b"k" * at, b"k" * (40 - at)
        return sampling.is_audited(
            beacon=b"b", beacon_at=1, committed_at=0, hotkey=hotkey, request=request, rate=0.5
        )

    assert {drawn(at) for at in range(40)} == {True, False}


@pytest.mark.parametrize("committed_at", [8, 9])
def test_a_beacon_known_when_the_answer_was_committed_chooses_nobody(committed_at: int) -> None:
    with pytest.raises(ValueError, match="could have known"):
        sampling.is_audited(
            beacon=b"b", beacon_at=8, committed_at=committed_at, hotkey=b"h", request=b"r", rate=0.5
        )


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_is_a_chance(rate: float) -> None:
    with pytest.raises(ValueError):
        audited(rate)
    with pytest.raises(ValueError):
        sampling.honest_payoff(SLASHED, rate)
