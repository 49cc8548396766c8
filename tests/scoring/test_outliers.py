"""Validators that stand apart: by hand, by law, and against the chain's own consensus."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import ANY

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.outliers import consensus, positions

ROWS = st.dictionaries(
    st.sampled_from("VWXYZ"), st.dictionaries(st.integers(0, 5), st.floats(0, 1), max_size=6)
)


def test_the_consensus_is_a_weighted_median() -> None:
    rows = {"v": {1: 1.0}, "w": {1: 0.6, 2: 0.4}, "x": {2: 1.0}}
    assert consensus(rows, {"v": 40.0, "w": 20.0, "x": 40.0}) == pytest.approx({1: 0.6, 2: 0.4})
    assert consensus(rows, {"v": 60.0, "w": 20.0, "x": 20.0}) == {1: 1.0, 2: 0.0}
    # Scale means nothing; an empty row abstains.
    tenfold = {"v": {1: 10.0}, "w": {1: 6.0, 2: 4.0}, "x": {2: 10.0}, "y": {3: 0.0}}
    stake = {"v": 40.0, "w": 20.0, "x": 40.0, "y": 900.0}
    assert consensus(tenfold, stake) == pytest.approx({1: 0.6, 2: 0.4})
    assert consensus({}, {}) == {}
    with pytest.raises(ValueError):
        consensus(rows, {"v": 1.0})
    with pytest.raises(ValueError):
        consensus(rows, dict.fromkeys("vwx", 1.0), kappa=1.0)


@given(ROWS, st.data())
def test_what_is_in_agreement_has_no_distance(
    rows: dict[str, dict[int, float]], data: st.DataObject
) -> None:
    stake = {v: data.draw(st.floats(0.1, 100.0)) for v in rows}
    for v, position in positions(rows, stake).items():
        assert 0.0 <= position.distance <= 1.0
        assert position.excess <= position.distance + 1e-9
        assert (position.favourite is None) == (position.excess <= 1e-12)
        assert any(rows[v].values())
    one = {v: {1: 0.25, 2: 0.75} for v in "VWXYZ"}
    assert all(p.distance < 1e-12 for p in positions(one, dict.fromkeys(one, 1.0)).values())


def test_one_who_favours_its_own_miner_is_named_with_the_miner() -> None:
    random = np.random.default_rng(2)
    honest = random.uniform(0.2, 1.0, size=20)
    rows = {
        f"v{n}": {u: float(w) for u, w in enumerate(honest * random.normal(1.0, 0.02, size=20))}
        for n in range(12)
    }
    rows["v5"][7] *= 6.0
    stake = {v: float(random.uniform(1, 10)) for v in rows}
    found = positions(rows, stake)
    assert max(found, key=lambda v: found[v].sigmas) == "v5"
    assert found["v5"].sigmas > 5.0 and found["v5"].favourite == 7
    assert all(p.sigmas < 4.0 for v, p in found.items() if v != "v5")
    # Were most of the stake its own, it would be the consensus: it is compared with the others'.
    assert positions(rows, {**stake, "v5": 1000.0})["v5"] == replace(found["v5"], sigmas=ANY)


def test_among_few_nobody_stands_apart_by_count() -> None:
    rows = {"v": {1: 1.0}, "w": {2: 1.0}}
    found = positions(rows, {"v": 1.0, "w": 1.0})
    assert [(p.distance, p.sigmas) for p in found.values()] == [(1.0, 0.0)] * 2
    assert positions({"v": {1: 1.0}}, {"v": 1.0}) == {}
