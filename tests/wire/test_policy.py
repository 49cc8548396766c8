"""Who may ask."""

from __future__ import annotations

import pytest

from subnet.wire.policy import AnyPolicy, Freshness, PermitPolicy, Verdict


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


SNAPSHOT = {"rich": (1000, True), "poor": (999, True), "miner": (10**12, False)}


@pytest.mark.parametrize(
    ("hotkey", "verdict"),
    [
        ("rich", Verdict.ADMITTED),
        ("poor", Verdict.LOW_STAKE),
        ("miner", Verdict.NO_PERMIT),
        ("stranger", Verdict.NOT_REGISTERED),
    ],
)
def test_permit_and_stake_are_needed(hotkey: str, verdict: Verdict) -> None:
    policy = PermitPolicy(1000)
    policy.update(SNAPSHOT)
    admission = policy.decide(hotkey)
    assert admission.verdict is verdict
    assert admission.allowed == (verdict is Verdict.ADMITTED)
    assert bool(admission.message) != admission.allowed


def test_before_the_first_snapshot_nobody_is_judged() -> None:
    assert PermitPolicy(0).decide("rich").verdict is Verdict.NOT_LOADED


def test_an_empty_snapshot_is_knowledge() -> None:
    policy = PermitPolicy(0)
    policy.update({})
    assert policy.decide("rich").verdict is Verdict.NOT_REGISTERED


def test_lists_only_narrow() -> None:
    allowing = PermitPolicy(1000, allow=["poor", "miner", "stranger"])
    allowing.update(SNAPSHOT)
    verdicts = {name: allowing.decide(name).verdict for name in [*SNAPSHOT, "stranger"]}
    assert verdicts == {
        "rich": Verdict.DENIED,
        "poor": Verdict.LOW_STAKE,
        "miner": Verdict.NO_PERMIT,
        "stranger": Verdict.NOT_REGISTERED,
    }
    denying = PermitPolicy(1000, deny=["rich"])
    denying.update(SNAPSHOT)
    assert denying.decide("rich").verdict is Verdict.DENIED


def test_a_snapshot_replaces_the_last_one() -> None:
    policy = PermitPolicy(1000)
    policy.update(SNAPSHOT)
    policy.update({"poor": (5000, True)})
    assert policy.decide("poor").allowed
    assert policy.decide("rich").verdict is Verdict.NOT_REGISTERED


def test_a_snapshot_ages_and_still_decides() -> None:
    clock = Seconds()
    policy = PermitPolicy(1000, max_age_s=60, clock=clock)
    assert (policy.freshness, policy.age_s) == (Freshness.NONE, None)
    policy.update(SNAPSHOT)
    clock.now += 60
    assert (policy.freshness, policy.age_s) == (Freshness.FRESH, 60)
    clock.now += 1
    assert policy.freshness is Freshness.STALE
    assert policy.decide("rich").allowed


def test_any_policy_admits_anybody() -> None:
    assert AnyPolicy().decide("stranger").allowed
