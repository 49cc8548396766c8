"""What a past is worth: each policy by its law, and the way they work together."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.evidence import Ban, Trial
from scoring.policies import (
    BANNED,
    NEW,
    SILENT,
    UNPROVEN,
    Average,
    Claim,
    Memory,
    Proof,
    Ramp,
    Seen,
    Silence,
    Standing,
    Window,
)
from scoring.verify.statement import Outcome, Statement

SHARES = st.floats(0.0, 1.0)
INVALID = Statement("form", Outcome.INVALID, "not of the form asked for")
TRIAL = Trial(false_ban=1e-6, invalid=20.0, unknown=0.0, sentence=10)


@st.composite
def histories(draw: st.DrawFn, least: int = 0) -> list[Seen]:
    gaps = draw(st.lists(st.integers(0, 5), min_size=least, max_size=12))
    return [
        Seen(
            round,
            draw(SHARES) if answered else 0.0,
            answered,
            claim=draw(st.none() | st.builds(Claim, SHARES, st.none() | SHARES)),
        )
        for round in accumulate(gaps, initial=1)
        for answered in [draw(st.booleans())]
    ][1:]


def scored(*scores: float) -> list[Seen]:
    return [Seen(round, score, True) for round, score in enumerate(scores, 1)]


@settings(max_examples=30)
@pytest.mark.parametrize("mean", [Average(3.0), Average(1e-3), Window(1), Window(5)])
@given(history=histories())
def test_a_mean_lies_between_the_scores_and_rises_with_them(
    mean: Average | Window, history: list[Seen]
) -> None:
    scores = [seen.score for seen in history]
    found = mean.mean(history)
    assert min(scores, default=0.0) - 1e-12 <= found <= max(scores, default=0.0) + 1e-12
    better = [replace(seen, score=min(1.0, seen.score + 0.25)) for seen in history]
    assert mean.mean(better) >= found - 1e-12


def test_means_worked_by_hand() -> None:
    past = scored(0.0, 0.0, 1.0)
    fade = 0.5**0.25
    assert Average(4.0).mean(past) == pytest.approx(1 / (1 + fade + fade**2))
    assert Window(2).mean(past) == 0.5
    # A pause changes nothing: only its own questions age a score, and both by as much.
    assert Average(4.0).mean([Seen(1, 0.0, True), Seen(5, 1.0, True)]) == pytest.approx(2 / 3)
    # However long ago; a weight that vanishes is not a division by 0.
    assert Average(0.01).mean([Seen(1, 0.5, True), Seen(10**6, 1.0, True)]) == 1.0


def test_a_newcomer_is_paid_by_how_often_it_answered() -> None:
    ramp = Ramp(4)
    assert [ramp.factor(scored(*[1.0] * n)) for n in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert ramp.factor([Seen(n, 0.0, False) for n in range(9)]) == 0.0


def test_silence_fades_and_ends_with_an_answer() -> None:
    silence = Silence(grace_rounds=2, half_life_rounds=3.0)
    past = [Seen(10, 1.0, True), Seen(11, 0.0, False)]
    assert [silence.factor(past, now) for now in (10, 12, 15, 18)] == [1.0, 1.0, 0.5, 0.25]
    assert silence.factor([*past, Seen(18, 0.0, True)], 18) == 1.0
    assert silence.factor([Seen(1, 0.0, False)], 1) == 0.0


@given(histories(), st.integers(1, 10), st.floats(0.1, 50.0))
def test_factors_are_shares_and_silence_only_falls(
    history: list[Seen], answers: int, half_life: float
) -> None:
    now = history[-1].round if history else 0
    assert 0.0 <= Ramp(answers).factor(history) <= 1.0
    silence = Silence(1, half_life)
    factors = [silence.factor(history, now + later) for later in range(10)]
    assert factors == sorted(factors, reverse=True)
    assert all(0.0 <= factor <= 1.0 for factor in factors)


PROOFS = st.builds(Proof, step=st.floats(0.01, 1.0), keep=SHARES)


@settings(max_examples=60)
@given(PROOFS, histories(), st.data())
def test_claiming_more_never_pays_before_it_is_proven(
    proof: Proof, honest: list[Seen], data: st.DataObject
) -> None:
    """Whatever a miner showed: had it claimed more than that, then or at any time, it were never
    paid more for it, at that time or at any later one."""
    boastful, proven = [], 0.0
    for n, seen in enumerate(honest):
        claim = seen.claim
        if claim is not None:
            # More than was shown; where nothing was, more than was proven until then.
            least = claim.shown if claim.shown is not None else proven
            if claim.claimed >= least:
                more = data.draw(st.floats(claim.claimed, 1.0))
                claim = replace(claim, claimed=more)
        boastful.append(replace(seen, claim=claim))
        proven = proof.proven(honest[: n + 1])
        assert proof.proven(boastful) <= proven
        assert proof.factor(boastful) <= proof.factor(honest[: n + 1])


@given(PROOFS, histories())
def test_to_claim_what_one_can_show_is_best(proof: Proof, history: list[Seen]) -> None:
    for n in range(1, len(history) + 1):
        past = history[:n]
        assert proof.factor(past) <= proof.proven(past) <= 1.0
        shown = [seen.claim.shown for seen in past if seen.claim and seen.claim.shown is not None]
        assert proof.proven(past) <= max(shown, default=0.0)
        truthful = [
            replace(seen, claim=Claim(seen.claim.shown, seen.claim.shown))
            if seen.claim is not None and seen.claim.shown is not None
            else seen
            for seen in past
        ]
        assert proof.proven(truthful) >= proof.proven(past)


def test_a_proof_worked_by_hand() -> None:
    proof, told = Proof(step=0.5, keep=0.5), []
    past: list[Seen] = []
    for claim in (
        Claim(0.8),  # not tested: nothing is proven
        Claim(0.8, 0.8),
        Claim(0.8, 0.9),
        Claim(1.0),  # claims more: paid as far as proven
        Claim(0.1),  # claims less: paid less
        Claim(1.0, 0.5),  # found out
        Claim(0.5, 0.5),
    ):
        past.append(Seen(len(past), 1.0, True, claim=claim))
        told.append(proof.factor(past))
    assert told == pytest.approx([0.0, 0.4, 0.6, 0.6, 0.1, 0.25, 0.375])
    assert proof.factor([Seen(1, 1.0, True)]) == 0.0


def test_without_policies_a_memory_is_its_mean() -> None:
    assert Memory(mean=Window(2)).standing(scored(0.0, 0.5, 1.0), [], 3) == Standing(
        0.75, "", {"mean": 0.75}
    )
    assert Memory().standing([], [], 3) == Standing(0.0, "", {"mean": 0.0})


@given(histories(), st.integers(0, 100))
def test_a_standing_is_a_share_and_never_above_its_mean(history: list[Seen], later: int) -> None:
    memory = Memory(
        mean=Window(5), ramp=Ramp(5), silence=Silence(1, 3.0), proof=Proof(), trial=TRIAL
    )
    now = (history[-1].round if history else 0) + later
    found = memory.standing(history, [], now)
    assert 0.0 <= found.score <= found.facts["mean"] <= 1.0
    parts = [found.facts[name] for name in ("ramp", "silence", "proof")]
    assert bool(found.reason) == (min(parts) < 1.0)
    assert found.score == pytest.approx(found.facts["mean"] * parts[0] * parts[1] * parts[2])


def test_a_reason_names_what_held_most_back() -> None:
    past = scored(1.0, 1.0)
    assert Memory(ramp=Ramp(4)).standing(past, [], 2).reason == NEW
    both = Memory(ramp=Ramp(4), silence=Silence(0, 1.0))
    assert both.standing(past, [], 3).reason in (NEW, SILENT)
    assert both.standing(past, [], 9).reason == SILENT
    assert Memory(proof=Proof()).standing(past, [], 2).reason == UNPROVEN


def test_a_ban_its_end_and_the_way_back() -> None:
    """An invalid answer in round 3; the ban ends with round 13, and the past before it is gone."""
    memory = Memory(mean=Window(100), ramp=Ramp(4), trial=TRIAL)
    past = [
        Seen(round, 0.5 if round < 13 else 1.0, True, (INVALID,) if round == 3 else ())
        for round in range(1, 20)
    ]
    bans: list[Ban] = []
    told = []
    for now in range(1, 20):
        found = memory.standing(past[:now], bans, now)
        bans += found.new_bans
        told.append((found.reason, found.score))
    assert bans == [Ban(3, 13, 20.0)]
    assert told[:2] == [(NEW, 0.125), (NEW, 0.25)]
    assert told[2:12] == [(BANNED, 0.0)] * 10
    assert told[12:] == [(NEW, 0.25), (NEW, 0.5), (NEW, 0.75)] + [("", 1.0)] * 4
    # Found again where they were lost, as after a crash; and not pronounced twice.
    again = memory.standing(past, [], 19)
    assert (again.new_bans, again.score) == (tuple(bans), 1.0)


def test_a_ban_outlasts_the_answers_it_was_made_of() -> None:
    memory = Memory(trial=TRIAL, rounds=10)
    ban = Ban(3, 13, 20.0)
    assert memory.standing(scored(1.0)[:0], [ban], 12).reason == BANNED
    assert memory.standing([Seen(13, 1.0, True)], [ban], 13) == Standing(
        1.0, "", {"nats": 0.0, "mean": 1.0}
    )


def test_of_two_pasts_that_were_joined_the_longest_ban_holds() -> None:
    bans = [Ban(3, 40, 20.0), Ban(5, 15, 20.0)]
    assert Memory(trial=TRIAL).standing(scored(1.0), bans, 20).facts["banned_until"] == 40


def test_each_further_ban_is_twice_as_long_while_the_last_is_remembered() -> None:
    memory = Memory(trial=TRIAL, rounds=50)
    caught = [Seen(40, 0.0, True, (INVALID,))]
    assert memory.standing(caught, [Ban(3, 13, 20.0)], 40).new_bans == (Ban(40, 60, 20.0),)
    late = [Seen(63, 0.0, True, (INVALID,))]
    assert memory.standing(late, [Ban(3, 13, 20.0)], 63).new_bans == (Ban(63, 73, 20.0),)


def test_whoever_is_banned_by_another_policy_s_trial_is_free_without_one() -> None:
    assert Memory().standing(scored(1.0), [Ban(1, 99, 20.0)], 1).score == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Average(0.0),
        lambda: Average(float("inf")),
        lambda: Window(0),
        lambda: Ramp(0),
        lambda: Silence(-1, 1.0),
        lambda: Silence(0, 0.0),
        lambda: Proof(step=0.0),
        lambda: Proof(keep=1.1),
        lambda: Claim(1.1),
        lambda: Claim(0.5, float("nan")),
        lambda: Memory(rounds=0),
        lambda: Memory(trial=TRIAL, rounds=9),
        lambda: dataclasses.replace(TRIAL, false_ban=0.0),
        lambda: dataclasses.replace(TRIAL, invalid=-1.0),
        lambda: dataclasses.replace(TRIAL, unknown=float("nan")),
        lambda: dataclasses.replace(TRIAL, credit=-1.0),
        lambda: dataclasses.replace(TRIAL, sentence=0),
    ],
)
def test_what_is_no_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError):
        wrong()
