"""Who stands behind hotkeys: folding by its laws, and how often the hints are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.owners import fold, hints
from scoring.shaping import pools, ranked, shape, top, winner

SCORES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(0, 1), max_size=12)


@given(SCORES, st.data(), st.integers(1, 4))
def test_each_coldkey_keeps_its_best_seats(
    scores: dict[str, float], data: st.DataObject, seats: int
) -> None:
    owners = {key: data.draw(st.sampled_from("XYZ")) for key in scores if data.draw(st.booleans())}
    folded = fold(scores, owners, seats)
    assert folded.keys() == scores.keys()
    for key in scores:
        assert folded[key] in (0.0, scores[key])
        assert key in owners or folded[key] == scores[key]
    for owner in "XYZ":
        mine = [key for key in scores if owners.get(key) == owner]
        best = sorted((scores[key] for key in mine), reverse=True)[:seats]
        kept = sorted((folded[key] for key in mine), reverse=True)[:seats]
        assert kept == best
        assert math.fsum(folded[key] for key in mine) == math.fsum(best)
    assert fold(folded, owners, seats) == folded


@pytest.mark.parametrize(
    "policy",
    [
        shape,
        lambda scores: shape(scores, power=4),
        lambda scores: shape(top(scores, 3)),
        lambda scores: ranked(scores, pools((2, 0.75), (3, 0.25))),
        winner,
    ],
)
@given(others=st.lists(st.floats(0, 1), max_size=5), mine=st.lists(st.floats(0, 1), min_size=1))
def test_many_hotkeys_on_one_coldkey_earn_what_the_best_one_does(
    policy: object, others: list[float], mine: list[float]
) -> None:
    """Whatever the shape of the weights. Without folding a second hotkey pays in most of them."""
    assert callable(policy)
    them = {f"other{n}": score for n, score in enumerate(others)}
    many = {f"mine{n}": score for n, score in enumerate(mine)}
    owners = dict.fromkeys(many, "me")
    alone = policy({**them, "mine": max(mine)})
    folded = policy(fold({**them, **many}, owners))
    assert math.fsum(folded[key] for key in many) == pytest.approx(alone["mine"])
    for key in them:
        assert folded[key] == pytest.approx(alone[key])


def test_of_equals_one_stays_and_seats_are_counted() -> None:
    owners = dict.fromkeys("abc", "me")
    assert fold(dict.fromkeys("cab", 0.5), owners) == {"a": 0.5, "b": 0.0, "c": 0.0}
    assert fold(dict.fromkeys("cab", 0.5), owners, 2) == {"a": 0.5, "b": 0.5, "c": 0.0}
    with pytest.raises(ValueError):
        fold({}, {}, 0)


Seconds = dict[int, list[float | None]]


def rounds(
    random: np.random.Generator,
    miners: int = 24,
    count: int = 200,
    *,
    shared: tuple[int, int] | None = None,
    hardness: float = 0.5,
    outage: float = 0.01,
) -> Seconds:
    """Miners of their own speed, at questions of their own hardness, each failing now and then; in
    some rounds the validator's own line fails. `shared` two sit in one machine."""
    speed = random.normal(size=(miners, 1))
    times = speed + random.normal(scale=hardness, size=count)
    times = times + random.normal(scale=0.3, size=(miners, count))
    failed = random.uniform(size=(miners, count)) < random.uniform(0.01, 0.1, size=(miners, 1))
    if shared is not None:
        noise = random.normal(scale=0.3, size=count)
        down = random.uniform(size=count) < 0.06
        for miner in shared:
            times[miner] += noise
            failed[miner] |= down
    failed[:, random.uniform(size=count) < outage] = True
    return _table(np.exp(times), failed)


def _table(times: NDArray[np.float64], failed: NDArray[np.bool_]) -> Seconds:
    return {
        miner: [None if down else float(s) for s, down in zip(row, lost, strict=True)]
        for miner, (row, lost) in enumerate(zip(times, failed, strict=True))
    }


def test_two_on_one_machine_are_found() -> None:
    random = np.random.default_rng(7)
    found = hints(rounds(random, shared=(3, 11)))
    assert {(hint.a, hint.b, hint.what) for hint in found} == {
        (3, 11, "failures"), (3, 11, "latencies")
    }  # fmt: skip
    assert found == sorted(found, key=lambda hint: hint.p)


def test_strangers_are_seldom_hinted_at() -> None:
    """5 subnets of 24 strangers, 276 pairs each: at level 0.01 next to none has any."""
    random = np.random.default_rng(8)
    worlds = [hints(rounds(random)) for _ in range(5)]
    assert sum(map(bool, worlds)) <= 1


def test_hard_questions_and_outages_alone_make_nobody_alike() -> None:
    random = np.random.default_rng(9)
    assert hints(rounds(random, hardness=3.0, outage=0.1)) == []


def test_steady_miners_among_unsteady_ones_are_strangers_still() -> None:
    """What a round costs is hard to tell from the unsteady: an error that all the steady share."""
    random = np.random.default_rng(12)
    noise = np.where(np.arange(24) < 6, 0.02, 1.0)[:, None]
    times = random.normal(size=200) + random.normal(size=(24, 200)) * noise
    assert hints(_table(np.exp(times), np.zeros((24, 200), dtype=bool))) == []


def test_strangers_in_one_data_centre_look_like_one_operator() -> None:
    """What the module warns of: it is a hint, and here a wrong one."""
    random = np.random.default_rng(10)
    assert {(hint.a, hint.b) for hint in hints(rounds(random, shared=(0, 1)))} == {(0, 1)}


def test_too_little_says_nothing() -> None:
    assert hints({}) == []
    assert hints({"a": [1.0, None]}) == []
    assert hints({"a": [1.0, None] * 3, "b": [1.0, None] * 3}) == []
    assert hints({"a": [None] * 20, "b": [None] * 20}) == []
    assert hints({"a": [1.0] * 20, "b": [1.0] * 20}) == []
    with pytest.raises(ValueError):
        hints({"a": [1.0], "b": []})
