"""Wrong acceptance: a verifier that believes everybody must not pass these tests.

For each there are honest answers and cheating ones, and one check over both. The check is also
put to "always honest" and to "always a cheat", and must fail: else it would prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from scoring.verify import freivalds, logprobs, redundancy, sampling, seedlock, toploc
from scoring.verify.statement import Measure, Outcome, Sample, Statement, measured, total
from tests.scoring.seen import Seen

Verifier = Callable[[Any], Statement]

LITTLE = Sample(tuple(np.linspace(0.0, 1.0, 199).tolist()))
"""A floor for measures that are small in honest answers."""


@dataclass(frozen=True)
class Case:
    verify: Verifier
    honest: Sequence[Any]
    cheats: Sequence[Any]
    malformed: Sequence[Any]


def logprobs_case() -> Case:
    asked = logprobs.Asked(length=8, end_token=0, temperature=1.0, vocabulary=10)
    floor = logprobs.Floor(LITTLE, LITTLE, LITTLE, LITTLE, LITTLE)
    q = np.log([0.4, 0.3, 0.2, 0.1])

    def verify(tokens: list[int]) -> Statement:
        steps = [
            Seen(t, float(q[t - 1]) if 1 <= t <= 4 else -30.0, np.arange(1, 5), q) for t in tokens
        ]
        return logprobs.verify(tokens, steps, asked, floor)

    return Case(
        verify,
        honest=[[1, 2, 1, 3, 2, 1, 4, 2], [2, 1, 1, 2, 3, 3, 1, 2]],
        cheats=[[9] * 8, [1] * 8, [0], [4] * 8],
        malformed=[[], [1] * 7, [1] * 9, [10] * 8],
    )


def seedlock_case() -> Case:
    asked = logprobs.Asked(length=8, end_token=0, temperature=1.0, vocabulary=10)
    q, ids = np.log([0.3, 0.3, 0.2, 0.1, 0.1]), np.arange(5)

    def locked(hotkey: bytes, length: int = 8) -> list[int]:
        return [seedlock.choose(ids[1:], q[1:], b"s", hotkey, at, 1.0) for at in range(length)]

    def verify(tokens: list[int]) -> Statement:
        steps = [
            Seen(t, float(q[t]) if t < 5 else -30.0, ids[1:] if t else ids, q[1:] if t else q)
            for t in map(int, tokens)
        ]
        small = Sample(tuple(np.linspace(0.0, 0.1, 199).tolist()))
        floor = seedlock.Floor(small, LITTLE)
        return seedlock.verify(tokens, steps, asked, floor, seed=b"s", hotkey=b"mine")

    return Case(
        verify,
        honest=[locked(b"mine")],
        cheats=[locked(b"theirs"), [1] * 8, [9] * 8, [*locked(b"mine", 3), 0]],
        malformed=[[], [1] * 7, [1] * 9, [10] * 8, [-1] * 8, [True] * 8, [0, 1, 1, 1, 1, 1, 1, 1]],
    )


def redundancy_case() -> Case:
    floor = redundancy.Floor(error=0.01, cheats=0.2, luck=0.01, collusion=0.1, wrong=1000)

    def verify(answer: bytes) -> Statement:
        return redundancy.verify({0: b"x", 1: b"x", 2: b"x", 3: answer}, floor)[3]

    return Case(verify, honest=[b"x"], cheats=[b"y"], malformed=[b""])


def toploc_case() -> Case:
    rng = np.random.default_rng(1)
    mine = rng.normal(size=(32, 64)).astype(np.float32)
    other = rng.normal(size=(32, 64)).astype(np.float32)
    floor = toploc.Floor(Sample(tuple(np.linspace(0.0, 0.1, 199).tolist())), LITTLE)

    def verify(proofs: Sequence[bytes]) -> Statement:
        return toploc.verify(proofs, mine, floor)

    good = toploc.prove(mine)
    return Case(
        verify,
        honest=[(good,), toploc.prove_all(mine * np.float32(1.0001))],
        cheats=[toploc.prove_all(other), toploc.prove_all(-mine)],
        malformed=[(), (good, good), (good[:-1],), (bytes(258),)],
    )


def freivalds_case() -> Case:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-9, 9, (20, 10)), rng.integers(-9, 9, (10, 15))
    floor = freivalds.Floor(fault=1e-6, share=0.2)

    def verify(claim: tuple[bytes, freivalds.Opening]) -> Statement:
        return freivalds.verify(a, b, *claim, floor, beacon=b"b", openings=30)

    def claim(c: Any) -> tuple[bytes, freivalds.Opening]:
        return freivalds.commit(c), freivalds.open_rows(c, b"b", 30)

    root, opening = claim(a @ b)
    return Case(
        verify,
        honest=[(root, opening)],
        cheats=[claim(a @ b + 1), claim(0 * a @ b)],
        malformed=[
            (b"", opening),
            (bytes(32), opening),
            (root, replace(opening, rows=opening.rows[1:])),
        ],
    )


CASES = {
    "logprobs": logprobs_case(),
    "seedlock": seedlock_case(),
    "redundancy": redundancy_case(),
    "toploc": toploc_case(),
    "freivalds": freivalds_case(),
}


def check(case: Case, verify: Verifier) -> None:
    for answer in case.honest:
        said = verify(answer)
        assert said.outcome is Outcome.MEASURED
        assert total([said] * 20, invalid=math.nan, unknown=math.nan) < 0
    for answer in case.cheats:
        said = verify(answer)
        assert said.outcome is Outcome.MEASURED
        assert total([said] * 20, invalid=math.nan, unknown=math.nan) > math.log(100)
    for answer in case.malformed:
        assert verify(answer).outcome is Outcome.INVALID


def always_honest(_: Any) -> Statement:
    return measured("anything", [Measure("fine", 0.0, 1.0)])


def always_a_cheat(_: Any) -> Statement:
    return measured("anything", [Measure("odd", 9.0, 1e-9)])


BLIND: list[tuple[Verifier, list[str]]] = [
    (always_honest, ["cheats", "malformed"]),
    (always_a_cheat, ["honest", "malformed"]),
]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_honest_and_cheats_are_told_apart_and_only_by_looking(case: Case) -> None:
    check(case, case.verify)
    nothing: dict[str, Any] = {"honest": (), "cheats": (), "malformed": ()}
    for blind, parts in BLIND:
        for part in parts:
            alone = replace(case, **{**nothing, part: getattr(case, part)})
            with pytest.raises(AssertionError):
                check(alone, blind)


def test_auditing_nobody_is_not_sampling() -> None:
    """The audit of Proof of Sampling: replaced by "nobody", cheating pays; by its rule, not."""
    game = sampling.Game(reward=1.2, cost=1.0, saved=1.0, fee=10.0)
    rate = 1.2 * sampling.least_rate(game)
    drawn = sum(
        sampling.is_audited(
            beacon=b"b",
            beacon_at=1,
            committed_at=0,
            hotkey=b"h",
            request=i.to_bytes(4, "big"),
            rate=rate,
        )
        for i in range(5000)
    )
    assert sampling.cheat_payoff(game, 0.0) > sampling.honest_payoff(game, 0.0)
    assert sampling.cheat_payoff(game, drawn / 5000) < sampling.honest_payoff(game, drawn / 5000)
