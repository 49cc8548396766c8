"""When a round takes place. Pure: block numbers in, block numbers out.

An epoch is divided into as many parts as it has rounds; a round begins with its part, and at
once when its part has begun already. Weights are set after the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule

SETTLE_BLOCKS = 10
"""After an epoch, before the first question: miners look up who has a permit now."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One view of the chain, pinned for one round, and which part of its epoch this is."""

    metagraph: Metagraph
    schedule: Schedule
    part: int
    last: bool
    """Whether this is the epoch's last round."""


def next_start(
    schedule: Schedule, *, rounds_per_epoch: int, done: tuple[int, int] | None
) -> tuple[int, int]:
    """Block at which the next round begins, and its part (from 0).

    `done` is (number of epochs so far, part) of the round before; a part that passed without a
    round is left out, and so is one that an epoch which comes early leaves no room for. The block
    is `schedule.block` or earlier when it is time already, and then it is in the present epoch.
    """
    settle = min(SETTLE_BLOCKS, schedule.tempo // 10)
    starts = [
        schedule.last_block + max(settle, part * schedule.tempo // rounds_per_epoch)
        for part in range(rounds_per_epoch)
    ]
    present = max((part for part, start in enumerate(starts) if start <= schedule.block), default=0)
    if done is not None and done[0] == schedule.epochs:
        present = max(present, done[1] + 1)
    elif done is not None and done[0] > schedule.epochs:
        present = rounds_per_epoch  # a node that is behind the one before
    coming = coming_block(schedule)
    if present < rounds_per_epoch and (coming is None or starts[present] < coming):
        return starts[present], present
    return (coming or schedule.block) + max(settle, 1), 0


def coming_block(schedule: Schedule) -> int | None:
    """When the next epoch runs, as far as anybody knows; None where none does.

    The chain runs few epochs in one block: one that is due may have to wait.
    """
    return None if schedule.next_block is None else max(schedule.next_block, schedule.block + 1)
