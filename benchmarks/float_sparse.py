"""The epoch in float64 over scipy's sparse matrices: what one would write for a large, thin subnet.

The yardstick of `benchmarks/epoch.py` where few of the weights are set. It is `float_yuma` for
Yuma3 with liquid alpha and full bonds penalty, and leaves out what that leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from chain.runtime.yuma import Csr, EpochInput

__all__ = ["SparseInput", "epoch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SparseInput:
    """An epoch's input: a row of the matrices for every uid."""

    block: int
    activity_cutoff: int
    last_epoch: int
    last_update: Ints
    registered: Ints
    stake: Floats
    max_validators: int
    permits: NDArray[np.bool_]
    weights: sparse.csc_array
    bonds: sparse.csc_array
    kappa: float
    alpha_low: float
    alpha_high: float
    steepness: float

    @classmethod
    def of(cls, given: EpochInput) -> SparseInput:
        """Convert an exact input, which must be of the kind described above."""
        assert given.yuma3 and given.liquid_alpha and given.bonds_penalty == 65_535
        n = len(given.stake)

        def matrix(rows: Csr) -> sparse.csc_array:
            indptr = np.append(rows.indptr, [rows.indptr[-1]] * (n - len(rows)))
            data = rows.values.astype(np.float64) / 65_535
            return sparse.csr_array((data, rows.uids.astype(np.int32), indptr), (n, n)).tocsc()

        return cls(
            block=given.block,
            activity_cutoff=given.activity_cutoff,
            last_epoch=given.last_step_block + 1,
            last_update=np.array(given.last_update),
            registered=np.array(given.block_at_registration),
            stake=np.array([float(raw >> 32) for raw in given.stake]),
            max_validators=given.max_validators,
            permits=np.array(given.validator_permit),
            weights=matrix(Csr.of(given.weights)),
            bonds=matrix(Csr.of(given.bonds)),
            kappa=given.kappa / 65_535,
            alpha_low=given.alpha_low / 65_535,
            alpha_high=given.alpha_high / 65_535,
            steepness=given.alpha_sigmoid_steepness / 100,
        )


@dataclass(frozen=True)
class SparseOutput:
    """What the epoch finds, as proportions."""

    permits: NDArray[np.bool_]
    consensus: Floats
    incentive: Floats
    dividends: Floats
    trust: Floats
    bonds: sparse.csr_array


def epoch(given: SparseInput) -> SparseOutput:
    """Run one epoch."""
    active = given.last_update + given.activity_cutoff >= given.block
    stake = given.stake / given.stake.sum()
    n = len(stake)
    permits = np.zeros(n, np.bool_)
    permits[np.argsort(stake, kind="stable")[-given.max_validators :]] = True
    voting = np.where(active & given.permits, stake, 0.0)
    voting /= voting.sum()

    matrix = given.weights.tocoo()
    row, col = matrix.row, matrix.col
    usable = (given.last_update[row] > given.registered[col]) & given.permits[row] & (row != col)
    row, col, weight = row[usable], col[usable], matrix.data[usable]
    sums = _sums(row, weight, n)
    weight = weight / np.where(sums > 0, sums, 1.0)[row]

    consensus = _weighted_median(row, col, weight, voting, given.kappa)
    clipped = np.minimum(weight, consensus[col])
    trust = _sums(row, clipped, n)
    incentive = _normalized(_sums(col, clipped * voting[row], n))

    held = given.bonds * (given.registered < given.last_epoch)
    old = np.asarray(held.tocsr()[row, col]).ravel()
    buying = np.clip(clipped - consensus[col], 0.0, 1.0)
    selling = np.clip(old - clipped, 0.0, 1.0)
    difference = np.where(clipped >= old, buying, selling)
    sigmoid = 1.0 / (1.0 + np.exp(-given.steepness * (difference - 0.5)))
    alpha = given.alpha_low + sigmoid * (given.alpha_high - given.alpha_low)
    new = np.minimum((1.0 - alpha) * old + alpha * clipped, 1.0)
    bonds = sparse.csr_array((new, (row, col)), (n, n))
    totals = bonds.sum(axis=0)
    shares = bonds @ np.where(totals > 0, incentive / np.where(totals > 0, totals, 1.0), 0.0)
    dividends = _normalized(shares * voting)
    return SparseOutput(permits, consensus, incentive, dividends, trust, bonds)


def _weighted_median(row: Ints, col: Ints, weight: Floats, stake: Floats, kappa: float) -> Floats:
    """Per column the least weight such that more than 1 - kappa of stake gives it or less."""
    order = np.lexsort((weight, col))
    col, weight, votes = col[order], weight[order], stake[row[order]]
    n = len(stake)
    silent = 1.0 - _sums(col, votes, n)
    starts = np.searchsorted(col, np.arange(n))
    total = np.concatenate(([0.0], np.cumsum(votes)))
    below = total[1:] - total[starts][col] + silent[col]
    reached = np.flatnonzero(below > 1.0 - kappa + 1e-12)
    first = np.searchsorted(col[reached], np.arange(n))
    found = np.zeros(n)
    known = np.flatnonzero(first < len(reached))
    known = known[col[reached[first[known]]] == known]
    found[known] = weight[reached[first[known]]]
    found[silent > 1.0 - kappa] = 0.0
    return found


def _sums(index: Ints, values: Floats, n: int) -> Floats:
    return np.bincount(index, values, n).astype(np.float64, copy=False)


def _normalized(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total > 0 else values
