"""The gate before the first weights, and the count of epochs without any."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from subnet.cli import exits
from subnet.errors import LeaseLost, WeightsNotLanded
from validators.landing import SILENT_QUESTIONS, Gate, Landing


@dataclass(frozen=True)
class Past:
    questions: int = 1
    answers: int = 1


MINERS = [f"5{number}" for number in range(4)]


def test_the_gate_opens_when_enough_miners_are_known_and_stays_open() -> None:
    gate = Gate(0.5)
    problem = gate.find_problem(MINERS, {"50": Past()})
    assert problem == "the first weights wait: 1 of 4 miners are known, and 50% must be"
    assert gate.find_problem(MINERS, {"50": Past(), "53": Past()}) is None
    gate.passed = True
    assert gate.find_problem(MINERS, {}) is None


def test_silence_is_known_only_after_a_while_and_strangers_do_not_count() -> None:
    gate = Gate(1.0)
    silent = {hotkey: Past(SILENT_QUESTIONS - 1, 0) for hotkey in MINERS}
    assert gate.find_problem(MINERS, silent) is not None
    assert gate.find_problem(MINERS, dict.fromkeys(MINERS, Past(SILENT_QUESTIONS, 0))) is None
    assert gate.find_problem(["5new"], {**silent, "5gone": Past()}) is not None
    assert gate.find_problem([], {}) is None


def test_two_whole_epochs_without_weights_are_the_end() -> None:
    landing = Landing(most=2)
    landing.could(5, 0.0)  # the epoch it began in is not whole
    landing.ensure(7, 0.0, grace=0)
    assert landing.missed(7) == 1
    landing.problem = "refused: no"
    with pytest.raises(WeightsNotLanded, match="for 2 epochs: refused: no") as ended:
        landing.ensure(8, 0.0, grace=0)
    assert exits.code_of(ended.value) == exits.NOT_LANDED == 10
    landing.ensure(8, 0.0, grace=1)  # a subnet that hides weights takes one more
    landing.landed(8, 160, 1.0)
    assert (landing.missed(9), landing.missed(10)) == (0, 1)


def test_nothing_is_missed_without_a_permit_and_zero_is_never() -> None:
    landing = Landing(most=2)
    landing.could(1, 0.0)
    landing.cannot()
    landing.ensure(100, 0.0, grace=0)
    forever = Landing(most=0)
    forever.could(1, 0.0)
    forever.ensure(100, 0.0, grace=0)
    assert forever.missed(100) == 98


def test_short_epochs_alone_are_not_the_end() -> None:
    landing = Landing(most=2, least_s=600.0)
    landing.could(5, 1000.0)
    landing.ensure(50, 1599.0, grace=0)
    with pytest.raises(WeightsNotLanded):
        landing.ensure(50, 1600.0, grace=0)
    landing.landed(50, 1, 1600.0)
    assert landing.missed(53) == 2 and not landing.is_late(53, 1700.0)


def test_a_lost_lease_has_a_code_of_its_own() -> None:
    assert exits.code_of(LeaseLost("x")) == exits.LEASE
