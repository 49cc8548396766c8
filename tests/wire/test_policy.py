"""Who may ask."""

from __future__ import annotations

import pytest

from subnet.wire.policy import Ages, AnyPolicy, Freshness, PermitPolicy, Verdict


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


AGES = Ages(degraded_s=60, known_only_s=600, closed_s=6000)


def test_knowledge_grows_old_and_serves_fewer() -> None:
    clock = Seconds()
    policy = PermitPolicy(1000, ages=AGES, clock=clock)
    assert (policy.freshness, policy.age_s) == (Freshness.NONE, None)
    policy.update({"asks early": (1000, True), "asks old": (1000, True), "asks late": (1000, True)})

    def verdict_at(age_s: float, hotkey: str) -> tuple[Freshness, Verdict]:
        clock.now = 100.0 + age_s
        return policy.freshness, policy.decide(hotkey).verdict

    assert verdict_at(59, "asks early") == (Freshness.FRESH, Verdict.ADMITTED)
    assert verdict_at(60, "asks old") == (Freshness.DEGRADED, Verdict.ADMITTED)
    assert verdict_at(599, "stranger") == (Freshness.DEGRADED, Verdict.NOT_REGISTERED)
    for known in ("asks early", "asks old"):
        assert verdict_at(600, known) == (Freshness.KNOWN_ONLY, Verdict.ADMITTED)
    assert verdict_at(5999, "asks late") == (Freshness.KNOWN_ONLY, Verdict.NOT_KNOWN)
    assert verdict_at(5999, "asks late") == (Freshness.KNOWN_ONLY, Verdict.NOT_KNOWN)
    assert verdict_at(6000, "asks early") == (Freshness.CLOSED, Verdict.TOO_OLD)
    policy.update({"asks late": (1000, True)})
    assert verdict_at(6059, "asks late") == (Freshness.FRESH, Verdict.ADMITTED)


def test_a_known_caller_that_lost_its_seat_is_forgotten() -> None:
    clock = Seconds()
    policy = PermitPolicy(0, ages=AGES, clock=clock)
    policy.update({"rich": (1, True)})
    assert policy.decide("rich").allowed
    policy.update({})
    policy.update({"rich": (1, True)})
    clock.now += 700
    assert policy.decide("rich").verdict is Verdict.NOT_KNOWN


def test_what_one_process_knows_another_can_learn() -> None:
    clock = Seconds()
    here, there = (PermitPolicy(1000, ages=AGES, clock=clock) for _ in range(2))
    here.update(SNAPSHOT)
    here.decide("rich")
    there.update(here.neurons, age_s=700)
    assert there.decide("rich").verdict is Verdict.NOT_KNOWN
    there.learn(here.known)
    assert there.decide("rich").allowed
    there.learn(["poor", "stranger"])
    assert not there.decide("poor").allowed and not there.decide("stranger").allowed


def test_a_refusal_for_want_of_knowledge_says_come_back() -> None:
    clock = Seconds()
    policy = PermitPolicy(1000, ages=AGES, clock=clock)
    assert policy.decide("rich").status == 503
    policy.update(SNAPSHOT)
    assert policy.decide("poor").status == 403
    clock.now += 700
    assert policy.decide("rich").status == 503


def test_an_admission_carries_the_stake() -> None:
    policy = PermitPolicy(1000)
    policy.update(SNAPSHOT)
    assert policy.decide("rich").stake == 1000


@pytest.mark.parametrize("ages", [(0, 1, 2), (2, 1, 3), (1, 3, 2)])
def test_ages_that_fall_are_refused(ages: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError):
        Ages(*ages)


def test_any_policy_admits_anybody() -> None:
    assert AnyPolicy().decide("stranger").allowed
