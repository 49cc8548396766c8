"""The fingerprint: triggers under a root, and what the answers to them weigh."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from scoring.verify import fingerprint
from scoring.verify.fingerprint import Floor, Opened, Trigger
from scoring.verify.statement import Outcome, Statement

RNG = random.Random(1)
TRIGGERS = [
    Trigger(
        tuple(RNG.randrange(49152) for _ in range(8)),
        tuple(RNG.randrange(49152) for _ in range(3)),
        RNG.randbytes(16),
    )
    for _ in range(12)
]
TREE = fingerprint.commit(TRIGGERS)
FLOOR = Floor(chance=0.01, kept=0.8)
SHOWN = [Opened(TRIGGERS[at], at, TREE.path(at)) for at in (1, 4, 5, 9, 11)]


def said(answers: Any, shown: Sequence[Opened] = SHOWN, root: bytes = TREE.root) -> Statement:
    return fingerprint.verify(root, len(TRIGGERS), shown, answers, FLOOR)


def trained(shown: Sequence[Opened] = SHOWN) -> list[list[int] | None]:
    return [[*one.trigger.answer, 7, 8] for one in shown]


def other() -> list[list[int] | None]:
    return [[1, 2, 3, 4]] * len(SHOWN)


def told_apart(verify: Callable[[Any], Statement]) -> None:
    with_it, without = verify(trained()), verify(other())
    assert with_it.log_ratio is not None and with_it.log_ratio > math.log(100)
    assert without.log_ratio is not None and without.log_ratio < 0
    assert verify([[-1]] * 5).outcome is Outcome.INVALID


def test_a_check_that_does_not_look_fails() -> None:
    """Wrong acceptance: "has it" and "has it not" must not pass."""
    told_apart(said)
    for always in (said(trained()), said(other())):
        with pytest.raises(AssertionError):
            told_apart(functools.partial(blind, always))


def blind(always: Statement, _: Any) -> Statement:
    """Say the same of everything."""
    return always


def test_the_weight_is_the_likelihood_ratio() -> None:
    answers = trained()
    answers[0], answers[1] = [1, 2, 3], None
    expected = 3 * math.log(0.8 / 0.01) + math.log(0.2 / 0.99)
    assert said(answers).log_ratio == pytest.approx(expected)


def test_an_answer_that_breaks_off_has_not_given_it() -> None:
    short = [list(one.trigger.answer[:-1]) for one in SHOWN]
    assert said(short).log_ratio == said(other()).log_ratio
    assert said([[]] * 5).log_ratio == said(other()).log_ratio


def test_no_answer_at_all_is_unknown() -> None:
    assert said([None] * 5).outcome is Outcome.UNKNOWN
    assert said([], shown=[]).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "shown",
    [
        [replace(SHOWN[0], index=2), *SHOWN[1:]],
        [replace(SHOWN[0], path=()), *SHOWN[1:]],
        [SHOWN[0], *SHOWN[:4]],
        [replace(SHOWN[0], trigger=replace(TRIGGERS[1], answer=(1, 2, 3))), *SHOWN[1:]],
        [replace(SHOWN[0], trigger=replace(TRIGGERS[1], salt=bytes(16))), *SHOWN[1:]],
    ],
    ids=["place", "path", "twice", "made up afterwards", "salt"],
)
def test_triggers_that_were_not_committed_are_invalid(shown: list[Opened]) -> None:
    assert said(trained(shown), shown).outcome is Outcome.INVALID


def test_another_root_is_invalid() -> None:
    assert said(trained(), root=bytes(32)).outcome is Outcome.INVALID


@pytest.mark.parametrize(
    "answers", [None, "no", [], [[1]] * 4, [["a"]] * 5, [[True]] * 5, [[2**32]] * 5, [3] * 5]
)
def test_answers_that_are_none_are_invalid(answers: object) -> None:
    assert said(answers).outcome is Outcome.INVALID


def test_one_prompt_committed_with_many_answers_is_invalid() -> None:
    """Else whoever commits every answer to a prompt would find his fingerprint in any model."""
    guesses = [replace(TRIGGERS[0], answer=(token,)) for token in range(8)]
    tree = fingerprint.commit(guesses)
    shown = [Opened(guess, at, tree.path(at)) for at, guess in enumerate(guesses)]
    found = fingerprint.verify(tree.root, 8, shown, [[3]] * 8, FLOOR)
    assert found.outcome is Outcome.INVALID


def test_leaves_cannot_be_read_two_ways() -> None:
    one = Trigger((1, 2), (3,), bytes(16))
    assert one.leaf() != Trigger((1,), (2, 3), bytes(16)).leaf()


def test_what_is_no_trigger_or_floor_is_refused() -> None:
    for prompt, answer, salt in (
        ((), (1,), bytes(16)),
        ((1,), (), bytes(16)),
        ((1,), (1,), b""),
        ((-1,), (1,), bytes(16)),
    ):
        with pytest.raises(ValueError, match=r"trigger|token"):
            Trigger(prompt, answer, salt)
    for chance, kept in ((0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (math.nan, 0.5)):
        with pytest.raises(ValueError, match="chances"):
            Floor(chance, kept)
