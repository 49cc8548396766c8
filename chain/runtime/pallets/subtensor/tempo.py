"""When a subnet's epoch runs, and what follows from it: freeze window, activity cutoff.

The schedule is stored, not computed from the block number: an epoch is due `tempo` blocks after
the last one, or when it was triggered. The cap on epochs in one block is the coinbase's.
"""

from __future__ import annotations

from chain.runtime.fixed import U64_MAX
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import storage as s
from chain.types import NetUid

MAX_TEMPO = 50_400
"""The longest tempo, and after how many blocks an epoch runs whatever the schedule says."""


def should_run_epoch(ctx: Ctx, netuid: NetUid, block: int | None = None) -> bool:
    """Whether an epoch of `netuid` is due in `block` (the current one unless given)."""
    now = ctx.block if block is None else block
    tempo = s.Tempo.get(ctx, netuid)
    if tempo == 0:
        return False
    pending = s.PendingEpochAt.get(ctx, netuid)
    if 0 < pending <= now:
        return True
    if s.BlocksSinceLastStep.get(ctx, netuid) > MAX_TEMPO:
        return True
    return max(now - s.LastEpochBlock.get(ctx, netuid), 0) >= tempo


def blocks_until_next_auto_epoch(ctx: Ctx, netuid: NetUid, block: int | None = None) -> int:
    """Blocks until the schedule alone runs an epoch; 2^64-1 for a tempo of 0."""
    now = ctx.block if block is None else block
    tempo = s.Tempo.get(ctx, netuid)
    if tempo == 0:
        return U64_MAX
    return max(min(s.LastEpochBlock.get(ctx, netuid) + tempo, U64_MAX) - now, 0)


def next_epoch_start_block(ctx: Ctx, netuid: NetUid) -> int | None:
    """The block of the next epoch, triggers counted, the cap per block not; None for tempo 0."""
    tempo = s.Tempo.get(ctx, netuid)
    if tempo == 0:
        return None
    auto = s.LastEpochBlock.get(ctx, netuid) + tempo
    pending = s.PendingEpochAt.get(ctx, netuid)
    return min(auto, pending) if pending else auto


def epoch_index(ctx: Ctx, netuid: NetUid) -> int:
    """The epoch that commits and reveals of the current block count by.

    One ahead of the stored counter while an epoch is due and has not run yet, as it is before the
    coinbase of the block in which it runs.
    """
    return s.SubnetEpochIndex.get(ctx, netuid) + should_run_epoch(ctx, netuid)


def in_freeze_window(ctx: Ctx, netuid: NetUid) -> bool:
    """Whether hyperparameters are frozen because an epoch is near or triggered."""
    if s.Tempo.get(ctx, netuid) == 0:
        return False
    if s.PendingEpochAt.get(ctx, netuid) > ctx.block:
        return True
    return blocks_until_next_auto_epoch(ctx, netuid) < s.AdminFreezeWindow.get(ctx)


def activity_cutoff(ctx: Ctx, netuid: NetUid) -> int:
    """Blocks without an update after which a uid is inactive."""
    factor = s.ActivityCutoffFactorMilli.get(ctx, netuid)
    return max(1, factor * s.Tempo.get(ctx, netuid) // 1000)


def epochs_deferred_now(ctx: Ctx, netuids: list[NetUid]) -> set[NetUid]:
    """Of `netuids` in chain order, those whose epoch is due but over this block's cap."""
    due = [netuid for netuid in netuids if should_run_epoch(ctx, netuid)]
    return set(due[s.MaxEpochsPerBlock.get(ctx) :])
