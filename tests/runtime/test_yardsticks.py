"""What epochs are timed beside computes the same: the float epochs of the benchmarks."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import float_sparse, float_yuma
from benchmarks.epoch import MODES, build_input, ensure_close, settle
from chain.runtime.yuma import EpochInput, epoch


def settled(mode: str, per_row: int) -> EpochInput:
    yuma3, liquid = MODES[mode]
    given = dataclasses.replace(build_input(48, per_row), yuma3=yuma3, liquid_alpha=liquid)
    return settle(given)


@pytest.mark.parametrize("per_row", [48, 30])
@pytest.mark.parametrize("mode", MODES)
def test_plain_floats_are_the_same_epoch(mode: str, per_row: int) -> None:
    given = settled(mode, per_row)
    exact, floats = epoch(given), float_yuma.epoch(float_yuma.FloatInput.of(given))
    assert any(exact.incentive)
    for name in ("consensus", "incentive", "dividends"):
        ensure_close(name, getattr(exact, name), getattr(floats, name).tolist())
    voters = float_yuma.FloatInput.of(given).validators.tolist()
    for line, uid in enumerate(voters):
        row = dict(exact.bonds[uid])
        ensure_close("bonds", [row.get(j, 0) for j in range(48)], floats.bonds[line].tolist())


@pytest.mark.parametrize("per_row", [48, 30])
def test_sparse_floats_are_the_same_epoch(per_row: int) -> None:
    given = settled("liquid", per_row)
    exact, floats = epoch(given), float_sparse.epoch(float_sparse.SparseInput.of(given))
    for name in ("consensus", "incentive", "dividends"):
        ensure_close(name, getattr(exact, name), getattr(floats, name).tolist())
    bonds = floats.bonds.toarray()
    for uid in range(24):
        row = dict(exact.bonds[uid])
        ensure_close("bonds", [row.get(j, 0) for j in range(48)], bonds[uid].tolist())
