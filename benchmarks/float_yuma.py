"""The epoch in plain float64, as one would write it in numpy without caring for the last bits.

The yardstick of `benchmarks/epoch.py`. Matrices are dense, one row for each validator with stake
and a permit; owner rules, commits and explicit zeros are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chain.runtime.yuma import Csr, EpochInput

__all__ = ["FloatInput", "FloatOutput", "epoch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FloatInput:
    """An epoch's input as arrays; rows of the matrices belong to `validators`."""

    block: int
    activity_cutoff: int
    last_epoch: int
    last_update: Ints
    registered: Ints
    stake: Floats
    max_validators: int
    validators: Ints
    weights: Floats
    bonds: Floats
    kappa: float
    penalty: float
    bonds_moving_average: float
    yuma3: bool
    liquid_alpha: bool
    alpha_low: float
    alpha_high: float
    steepness: float
    emission: int

    @classmethod
    def of(cls, given: EpochInput) -> FloatInput:
        """Convert an exact input."""
        stake = np.array([float(raw >> 32) for raw in given.stake])
        permits = np.array(given.validator_permit)
        validators = np.flatnonzero(permits & (stake > 0))
        line = np.zeros(len(stake), np.int64)
        line[validators] = np.arange(len(validators))
        matrices = []
        for stored in (given.weights, given.bonds):
            rows = Csr.of(stored)
            uids = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
            voting = np.isin(uids, validators)
            dense = np.zeros((len(validators), len(stake)))
            dense[line[uids[voting]], rows.uids[voting]] = rows.values[voting] / 65_535
            matrices.append(dense)
        return cls(
            block=given.block,
            activity_cutoff=given.activity_cutoff,
            last_epoch=given.last_step_block + 1,
            last_update=np.array(given.last_update),
            registered=np.array(given.block_at_registration),
            stake=stake,
            max_validators=given.max_validators,
            validators=validators,
            weights=matrices[0],
            bonds=matrices[1],
            kappa=given.kappa / 65_535,
            penalty=given.bonds_penalty / 65_535,
            bonds_moving_average=given.bonds_moving_average / 1e6,
            yuma3=given.yuma3,
            liquid_alpha=given.liquid_alpha,
            alpha_low=given.alpha_low / 65_535,
            alpha_high=given.alpha_high / 65_535,
            steepness=given.alpha_sigmoid_steepness / 100,
            emission=given.emission,
        )


@dataclass(frozen=True)
class FloatOutput:
    """What the epoch finds, as proportions; bonds of the validators only."""

    active: NDArray[np.bool_]
    permits: NDArray[np.bool_]
    consensus: Floats
    incentive: Floats
    dividends: Floats
    trust: Floats
    emission: Floats
    bonds: Floats


def epoch(given: FloatInput) -> FloatOutput:
    """Run one epoch."""
    active = given.last_update + given.activity_cutoff >= given.block
    stake = given.stake / given.stake.sum()
    permits = np.zeros(len(stake), np.bool_)
    permits[np.argsort(stake, kind="stable")[-given.max_validators :]] = True

    rows = given.validators
    voting = np.where(active[rows], stake[rows], 0.0)
    voting /= voting.sum()

    outdated = given.last_update[rows, None] <= given.registered[None, :]
    weights = np.where(outdated, 0.0, given.weights)
    weights[np.arange(len(rows)), rows] = 0.0
    sums = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(sums > 0, sums, 1.0)

    consensus = _weighted_median(weights, voting, given.kappa)
    clipped = np.minimum(weights, consensus)
    trust = clipped.sum(axis=1)
    incentive = _normalized(voting @ clipped)

    if given.penalty == 1.0:
        bond_weights = clipped
    else:
        bond_weights = weights + given.penalty * (clipped - weights)
    old = np.where(given.registered >= given.last_epoch, 0.0, given.bonds)
    kept = given.bonds_moving_average
    if given.yuma3:
        if given.liquid_alpha:
            buying = np.clip(bond_weights - consensus, 0.0, 1.0)
            selling = np.clip(old - bond_weights, 0.0, 1.0)
            difference = np.where(bond_weights >= old, buying, selling)
            sigmoid = 1.0 / (1.0 + np.exp(-given.steepness * (difference - 0.5)))
            alpha = given.alpha_low + sigmoid * (given.alpha_high - given.alpha_low)
            bonds = np.minimum((1.0 - alpha) * old + alpha * bond_weights, 1.0)
        else:
            bonds = (1.0 - kept) * bond_weights + kept * old
        dividends = _normalized((_col_normalized(bonds) @ incentive) * voting)
    else:
        delta = _col_normalized(bond_weights * voting[:, None])
        bonds = (1.0 - kept) * delta + kept * _col_normalized(old)
        bonds = _col_normalized(bonds)
        dividends = _normalized(bonds @ incentive)
        largest = bonds.max(axis=0)
        bonds = bonds / np.where(largest > 0, largest, 1.0)

    combined = incentive.copy()
    combined[rows] += dividends
    every_dividend = np.zeros(len(stake))
    every_dividend[rows] = dividends
    return FloatOutput(
        active=active,
        permits=permits,
        consensus=consensus,
        incentive=incentive,
        dividends=every_dividend,
        trust=trust,
        emission=np.floor(_normalized(combined) * given.emission),
        bonds=bonds,
    )


def _weighted_median(weights: Floats, stake: Floats, kappa: float) -> Floats:
    order = np.argsort(weights, axis=0)
    scores = np.take_along_axis(weights, order, axis=0)
    above = np.cumsum(stake[order], axis=0) > 1.0 - kappa
    at = np.where(above.any(axis=0), above.argmax(axis=0), len(stake) - 1)
    found: Floats = np.take_along_axis(scores, at[None, :], axis=0)[0]
    return found


def _normalized(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total > 0 else values


def _col_normalized(matrix: Floats) -> Floats:
    sums = matrix.sum(axis=0)
    return matrix / np.where(sums > 0, sums, 1.0)
