"""The Yuma epoch: who is trusted, what the miners did, who gets how much.

One pure function over raw chain integers, equal to the runtime's sparse epoch to the last bit:
Yuma2 and Yuma3, liquid alpha, bonds penalty, activity, registration and commit masks, owner
rules. Reading the inputs from storage, stake inheritance, splitting emission between mechanisms
and paying it out are the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chain.runtime.fixed import I32F32, I64F64, U16_MAX, U64_MAX
from chain.runtime.yuma_arrays import (
    MAX_UIDS,
    ONE,
    Bools,
    Csr,
    Entries,
    Ints,
    Layout,
    exp,
    inverse,
    layout,
    mul,
    ratio,
    ratio_u16,
)

__all__ = ["Csr", "EpochInput", "EpochOutput", "Rows", "epoch"]

Rows = Csr | Sequence[Sequence[tuple[int, int]]]

PER_MILLION = 1_000_000  # the unit of the bonds moving average


@dataclass(frozen=True)
class EpochInput:
    """What one mechanism of one subnet brings to its epoch. The index of every sequence is a uid.

    Attributes:
        block: the current block.
        tempo: blocks per epoch.
        activity_cutoff: blocks after which a uid that set no weights is inactive.
        last_update: block of each uid's last weights; missing ends count as 0.
        block_at_registration: block in which each uid was last registered, 0 for an empty uid.
        last_step_block: block of the last epoch, 0 when there was none.
        stake: I64F64 raw bits (value x 2^64), inherited stake and the TAO weight applied.
        stake_threshold: whole stake below which a uid other than the owner counts for nothing.
        owner_uid: uid of the subnet owner's hotkey, None when it has none.
        validator_permit: permits as the previous epoch stored them.
        max_validators: how many permits there are.
        weights: rows of (uid, u16) pairs in stored order, explicit zeros included.
        bonds: the same, as the previous epoch stored them.
        kappa: u16 proportion of stake that makes a majority.
        bonds_penalty: u16 proportion; how far bonds follow the clipped weights.
        bonds_moving_average: millionths of the old bonds that stay, at most 1_000_000.
        yuma3: Yuma3 bonds, otherwise Yuma2.
        liquid_alpha: moving averages per validator and miner; Yuma2 ignores it.
        alpha_low: u16 proportion, the slowest liquid alpha.
        alpha_high: u16 proportion, the fastest liquid alpha; not below `alpha_low`.
        alpha_sigmoid_steepness: hundredths, an i16.
        commit_block: block of each uid's earliest unexpired commit, 2^64-1 where it has none;
            None when commit-reveal is off.
        emission: what the mechanism has to share out, in units.
    """

    block: int
    tempo: int
    activity_cutoff: int
    last_update: Sequence[int]
    block_at_registration: Sequence[int]
    last_step_block: int
    stake: Sequence[int]
    stake_threshold: int
    owner_uid: int | None
    validator_permit: Sequence[bool]
    max_validators: int
    weights: Rows
    bonds: Rows
    kappa: int
    bonds_penalty: int
    bonds_moving_average: int
    yuma3: bool
    liquid_alpha: bool
    alpha_low: int
    alpha_high: int
    alpha_sigmoid_steepness: int
    commit_block: Sequence[int] | None
    emission: int

    def __post_init__(self) -> None:
        """Refuse what no chain state holds, and what the arithmetic is not proven for."""
        n = len(self.stake)
        for name in ("block_at_registration", "validator_permit", "commit_block"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise ValueError(f"{name} has {len(column)} entries for {n} uids")
        limits = {
            "number of uids": (n, MAX_UIDS),
            "last_update entries": (len(self.last_update), n),
            "weights rows": (len(self.weights), n),
            "bonds rows": (len(self.bonds), n),
            "owner_uid": (self.owner_uid or 0, max(n - 1, 0)),
            "sum of stake": (sum(self.stake), I64F64.MAX),
            "bonds_moving_average": (self.bonds_moving_average, PER_MILLION),
            "alpha_low": (self.alpha_low, self.alpha_high),
            "alpha_high": (self.alpha_high, U16_MAX),
            "alpha_sigmoid_steepness": (abs(self.alpha_sigmoid_steepness), 1 << 15),
            "emission": (self.emission, U64_MAX),
        }
        for name, (value, limit) in limits.items():
            if value > limit:
                raise ValueError(f"{name} is {value}, more than {limit}")


@dataclass(frozen=True)
class EpochOutput:
    """What one epoch stores, in stored form. The index of every sequence is a uid.

    Attributes:
        active: set weights within the activity cutoff.
        consensus: u16 proportions, the weight a majority of stake grants each uid.
        incentive: u16 proportions, the miners' shares.
        dividends: u16 proportions, the validators' shares.
        validator_trust: u16 proportions, how much of its weights each validator kept.
        validator_permit: permits for the next epoch.
        stake_weight: u16 proportions of the filtered stake.
        emission: units of alpha, server and validator emission together.
        server_emission: units of alpha earned by incentive.
        validator_emission: units of alpha earned by dividends.
        bonds: a row of (uid, u16) pairs for every uid, empty without a new permit.
    """

    active: list[bool]
    consensus: list[int]
    incentive: list[int]
    dividends: list[int]
    validator_trust: list[int]
    validator_permit: list[bool]
    stake_weight: list[int]
    emission: list[int]
    server_emission: list[int]
    validator_emission: list[int]
    bonds: Csr


def epoch(given: EpochInput) -> EpochOutput:
    """Run one epoch."""
    n = len(given.stake)
    last_update = np.zeros(n, np.uint64)
    last_update[: len(given.last_update)] = np.array(given.last_update, np.uint64)

    # Activity, stake and permits. Weights count under the permits of the previous epoch.
    active = last_update >= np.uint64(max(given.block - given.activity_cutoff, 0))
    stake = _stake_shares(given)
    old_permits = np.array(given.validator_permit, np.bool_)
    new_permits = _largest(stake, given.max_validators)
    if given.owner_uid is not None:
        old_permits[given.owner_uid] = new_permits[given.owner_uid] = True
    active_stake = _normalized(np.where(active & old_permits, stake, 0))

    # Weights that count, their rows normalised. An entry that a mask or the clipping removes is a
    # 0 from there on: only liquid alpha can tell it from no entry.
    weights = Entries.of(Csr.of(given.weights), n)
    weights = weights.where(_usable(given, weights, old_permits, last_update))
    bonds = Entries.of(Csr.of(given.bonds), n)
    bonds = bonds.where(_lasting(given, bonds))
    cells = layout(weights, bonds)
    weight = cells.spread(weights)
    weight = ratio_u16(weight, cells.of_rows(np.maximum(cells.row_sums(weight), 1)))
    stake_of_row = cells.of_rows(active_stake)

    # Consensus and incentive.
    consensus = _consensus(cells, weight, active_stake, I32F32.ratio(given.kappa, U16_MAX))
    clipped = np.minimum(weight, cells.of_cols(consensus))
    trust = cells.row_sums(clipped)
    incentive = _normalized(cells.col_sums(mul(clipped, stake_of_row)))

    # Bonds follow the weights, as they are, clipped, or in between.
    followed = _interpolated(weight, clipped, I32F32.ratio(given.bonds_penalty, U16_MAX))
    old = cells.spread(bonds)
    kept = I32F32.convert(I64F64.ratio(given.bonds_moving_average, PER_MILLION), I64F64)
    liquid = None
    if given.yuma3:
        old = ratio_u16(old, np.array([U16_MAX]))
        if given.liquid_alpha and consensus.any():
            liquid = LiquidAlpha(given, consensus)
            new = liquid.average(cells, weight, followed, old, weights, bonds)
        else:
            new = _average(followed, old, kept)
        share = _col_normalized(cells, new)
    else:
        delta = _col_normalized(cells, mul(followed, stake_of_row))
        old = ratio_u16(old, cells.of_cols(np.maximum(cells.col_sums(old), 1)))
        share = _col_normalized(cells, _average(delta, old, kept))
        new = ratio(share, cells.of_cols(np.maximum(cells.col_max(share), 1)))
    # A row of column shares times incentive is at most the sum of incentive, at most one.
    earned = cells.row_sums(mul(share, cells.of_cols(incentive)))
    dividends = _normalized(mul(earned, active_stake) if given.yuma3 else earned)

    # Emission: incentive and dividends alike are shares of their common sum.
    combined = incentive + dividends
    total = int(combined.sum())
    if total:
        combined_share, validator_share = _shares(combined, total), _shares(dividends, total)
        server_share = _shares(incentive, total)
    else:
        # Nobody earned anything: pay active stake, or all stake where none is active.
        combined_share = validator_share = active_stake if active_stake.any() else stake
        server_share = incentive

    return EpochOutput(
        active=active.tolist(),
        consensus=_to_u16(consensus).tolist(),
        incentive=_to_u16(incentive).tolist(),
        dividends=_to_u16(dividends).tolist(),
        validator_trust=_to_u16(trust).tolist(),
        validator_permit=new_permits.tolist(),
        stake_weight=_to_u16(stake).tolist(),
        emission=_emission(combined_share, given.emission),
        server_emission=_emission(server_share, given.emission),
        validator_emission=_emission(validator_share, given.emission),
        bonds=cells.pack(
            _to_u16(new),
            (new > 0) & cells.of_rows(new_permits),
            weights if liquid is not None and liquid.as_stored else None,
        ),
    )


def _stake_shares(given: EpochInput) -> Ints:
    """Normalise the stake of every uid at or above the threshold; the owner is always counted."""
    threshold = given.stake_threshold << I64F64.frac_bits
    counted = [
        raw if raw >= threshold or uid == given.owner_uid else 0
        for uid, raw in enumerate(given.stake)
    ]
    total = sum(counted) or 1
    # Normalising in I64F64 and then dropping to I32F32 floors twice, which is flooring once.
    return np.array([(raw << I32F32.frac_bits) // total if raw else 0 for raw in counted], np.int64)


def _largest(stake: Ints, count: int) -> Bools:
    """Mark the `count` largest non-zero values; of equal ones the highest uids."""
    chosen: Bools = stake != 0
    surplus = len(stake) - count
    if surplus > 0:
        chosen[np.argsort(stake, kind="stable")[:surplus]] = False
    return chosen


def _usable(
    given: EpochInput, weights: Entries, permits: Bools, last_update: NDArray[np.uint64]
) -> Bools:
    """Mark the weights that count: their setter may vote, their target is still the one meant."""
    # A row without a permit is never fresh. A target that came in the very block of the commit
    # counts, one that came in the block of the update does not.
    fresh = np.where(permits, last_update, np.uint64(0))
    if given.commit_block is not None:
        committed = np.array(given.commit_block, np.uint64)
        fresh = np.minimum(fresh, committed + (committed < np.uint64(U64_MAX)))
    # Uids past the end read as registered at the end of time.
    registered = np.array([*given.block_at_registration, U64_MAX], np.uint64)
    usable: Bools = fresh[weights.rows] > registered[weights.cols]
    itself = weights.rows == weights.cols
    if given.owner_uid is not None:
        itself &= weights.rows != given.owner_uid
    usable &= ~itself
    return usable


def _lasting(given: EpochInput, bonds: Entries) -> Bools:
    """Mark the bonds to uids that were there at the last epoch."""
    # Uids past the end read as registered at block 0.
    registered = np.array([*given.block_at_registration, 0], np.uint64)
    if given.last_step_block:
        last_epoch = min(given.last_step_block + 1, U64_MAX)
    else:
        last_epoch = max(given.block - given.tempo, 0)
    lasting: Bools = (registered < np.uint64(last_epoch))[bonds.cols]
    return lasting


def _consensus(cells: Layout, scores: Ints, active_stake: Ints, kappa: int) -> Ints:
    """Stake-weighted median of each column; who has not scored a uid scored it 0.

    The runtime bisects; what it finds is the least score such that the stake on it and below
    exceeds the minority, or the largest score when none does. (A minority below 0 finds the least
    score, as one of 0 does.) So it is 0 where the stake on 0 alone exceeds the minority.
    """
    stake = _normalized(active_stake)
    total = int(stake.sum())
    on_zero = total - cells.col_sums(cells.of_rows(stake) * (scores > 0))
    return cells.medians(scores, stake, on_zero, max(total - kappa, 0))


def _interpolated(weight: Ints, clipped: Ints, penalty: int) -> Ints:
    """Move weights towards themselves clipped at consensus, by `penalty`."""
    if penalty == 0:
        return weight
    if penalty == ONE:
        return clipped
    excess = (weight - clipped).view(np.uint64)
    # The runtime adds the floor of a negative product: the step down rounds up. It fits 64 bits,
    # since a penalty below one is at most 65534/65535 and so leaves room for the carry.
    step = (excess * np.uint64(penalty) + np.uint64(ONE - 1)) >> np.uint64(32)
    interpolated: Ints = weight - step.view(np.int64)
    return interpolated


def _average(new: Ints, old: Ints, kept: int) -> Ints:
    """(1 - kept) * new + kept * old."""
    return mul(new, np.array([ONE - kept])) + mul(old, np.array([kept]))


class LiquidAlpha:
    """Moving averages with an alpha of its own for every validator and miner.

    Alpha lies between low and high: low + (high - low) / (1 + exp(-steepness * (d - 1/2))), where
    d is how far a weight exceeds consensus, or how far a bond exceeds its weight. A bond without
    an entry among the weights is forgotten at once.

    Attributes:
        as_stored: new bonds come in the order of the stored weights, not in that of uids.
    """

    def __init__(self, given: EpochInput, consensus: Ints) -> None:
        self._consensus = consensus
        self._low = I32F32.ratio(given.alpha_low, U16_MAX)
        self._high = I32F32.ratio(given.alpha_high, U16_MAX)
        self._slope = I32F32.div(I32F32.of(given.alpha_sigmoid_steepness), I32F32.of(-100))
        # Interpolation writes rows anew, in order and without zeros.
        self.as_stored = given.bonds_penalty in (0, U16_MAX)
        self._clipped = given.bonds_penalty == U16_MAX

    def average(
        self,
        cells: Layout,
        weight: Ints,
        followed: Ints,
        held: Ints,
        weights: Entries,
        bonds: Entries,
    ) -> Ints:
        """alpha * followed + (1 - alpha) * held, where `followed` is `weight` interpolated.

        `weights` and `bonds` are what is stored.
        """
        consensus = cells.of_cols(self._consensus)
        if self.as_stored:
            listed = cells.marks(weights)
            if self._clipped:  # clipping drops what is above a consensus of 0
                listed &= (consensus > 0) | (weight == 0)
        else:
            listed = followed > 0
        # The runtime looks up weight and bond for alpha by walking the row with a pointer that
        # stops at the first uid not yet due: after a uid out of order the smaller ones read as 0.
        # The average itself reads every entry.
        seen_weight, seen_bond = followed, held
        if self.as_stored and not weights.is_sorted:
            walked = weights.where(cells.has(listed, weights))
            seen_weight = np.where(cells.marks(walked.late()), 0, followed)
        if not bonds.is_sorted:
            seen_bond = np.where(cells.marks(bonds.late()), 0, held)
        above = np.where(seen_weight >= seen_bond, seen_weight - consensus, seen_bond - seen_weight)
        alpha = self._alpha(np.maximum(above, 0))
        average = mul(ONE - alpha, held) + mul(alpha, followed)  # of two proportions: at most one
        average *= listed
        return average

    def _alpha(self, difference: Ints) -> Ints:
        # Most cells follow consensus and differ by nothing.
        differing = np.flatnonzero(difference)
        values = np.append(difference.ravel()[differing], 0)
        # The slope reaches 2^9 whole, so its product is taken in two halves; the low one is
        # floored and below 2^63.
        centred = values - ONE // 2
        exponent = (self._slope >> 32) * centred + ((self._slope & (ONE - 1)) * centred >> 32)
        sigmoid = inverse(ONE + exp(np.clip(exponent, -20 * ONE, 20 * ONE)))
        values = self._low + mul(sigmoid, np.array([self._high - self._low]))
        alpha = np.full(difference.shape, values[-1])
        alpha.ravel()[differing] = values[:-1]
        return alpha


def _col_normalized(cells: Layout, values: Ints) -> Ints:
    """Each column divided by its sum; a column of zeros stays."""
    return ratio(values, cells.of_cols(np.maximum(cells.col_sums(values), 1)))


def _normalized(values: Ints) -> Ints:
    return _shares(values, int(values.sum()) or 1)


def _shares(values: Ints, total: int) -> Ints:
    return ratio(values, np.array([total]))


def _to_u16(proportions: Ints) -> Ints:
    return (proportions * U16_MAX) >> 32


def _emission(shares: Ints, emission: int) -> list[int]:
    """floor(share * emission), the product of 2^32 and 2^64 taken in two halves."""
    share = shares.view(np.uint64)
    high, low = np.uint64(emission >> 32), np.uint64(emission & (ONE - 1))
    units: list[int] = (share * high + ((share * low) >> np.uint64(32))).tolist()
    return units
