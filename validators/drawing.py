"""Who is looked at, where looking at everybody would cost too much: drawn, when all have answered.

The hash of the first block after the last answer decides, so that no miner knows while it answers
whether it will be looked at, and no validator chooses at whom to look. See
`scoring.verify.sampling` for how often to look, and for the draw itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from chain.client.chain import Chain
from chain.errors import ChainAway
from chain.types import AccountId
from scoring.verify.sampling import is_audited
from subnet.protocol import Reply, Task
from validators.rows import RETRY_S

log = logging.getLogger(__name__)

Asked = Sequence[tuple[Task[Any], Reply[Any]]]


@dataclass(frozen=True, slots=True)
class Beacon:
    """The draw of one round: of all answers the share `rate` (0..1), by the `hash` of `block`.

    `block` came after `answered_at`, the newest block when the last answer had come.
    """

    rate: float
    answered_at: int
    block: int
    hash: str
    """0x and 64 hex digits."""

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Beacon:
        """As a journal has it. Raises ValueError for what is none."""
        try:
            found = cls(
                float(written["rate"]),
                int(written["answered_at"]),
                int(written["block"]),
                str(written["hash"]),
            )
            found.draws("", bytes(32))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no beacon: {error!r}") from error
        return found

    def draws(self, task: str, hotkey: bytes) -> bool:
        """Whether the answer of `hotkey` (its 32 bytes) to `task` is looked at."""
        return is_audited(
            beacon=bytes.fromhex(self.hash.removeprefix("0x")),
            beacon_at=self.block,
            committed_at=self.answered_at,
            hotkey=hotkey,
            request=task.encode(),
            rate=self.rate,
        )


async def next_beacon(chain: Chain, rate: float, *, since: int = 0) -> Beacon:
    """Wait for the block after the newest one to be final, however often the chain goes away
    meanwhile: the answers that came are not to be lost. Raises ChainRefused.

    `since` is the round's own block: the node that is asked now may be behind the one that gave it.
    """
    for pause in itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1])):
        try:
            return await _next_beacon(chain, rate, since)
        except ChainAway as error:
            log.warning("%s; who is looked at will be drawn by a later block", error)
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def _next_beacon(chain: Chain, rate: float, since: int) -> Beacon:
    answered_at = max(await chain.block(), since)
    block = answered_at + 1
    async with aclosing(chain.blocks(finalized=True)) as numbers:
        async for number in numbers:
            if number >= block:
                break
    return Beacon(rate, answered_at, block, await chain.block_hash(block))


def draw(beacon: Beacon, asked: Asked) -> list[tuple[Task[Any], Reply[Any]]]:
    """`asked`, in order, with every reply told whether it is looked at."""
    return [
        (task, dataclasses.replace(reply, audited=beacon.draws(task.id, _bytes(reply.hotkey))))
        for task, reply in asked
    ]


def _bytes(hotkey: str) -> bytes:
    return bytes(AccountId.from_ss58(hotkey))
