"""The beacon's pulses, from drand's HTTP API onto a development chain: an offchain worker's task.

Every few seconds the newest round is asked for; it, and whatever was missed since the last one that
the chain has stored, goes into the pool as an unsigned extrinsic. Nothing is trusted: the chain
itself verifies each pulse. A beacon that is away costs a line in the log, and the chain goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import aiohttp

from chain.devnet.node import Node
from chain.devnet.pool import AlreadyImported, PoolFull, PriorityTooLow
from chain.runtime.pallets import drand

__all__ = ["DRAND_URL", "follow_beacon"]

DRAND_URL = "https://api.drand.sh"
FETCH_S = 5.0

_log = logging.getLogger(__name__)


class _BadPulse(Exception):
    """What the API said is no pulse."""


async def follow_beacon(node: Node, url: str = DRAND_URL, every_s: float = drand.PERIOD_S) -> None:
    """Bring the pulses of drand's quicknet onto the chain of `node`, until cancelled."""
    trouble = ""
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            try:
                await _catch_up(node, session, f"{url.rstrip('/')}/{drand.QUICKNET}/public")
                if trouble:
                    _log.info("drand: %s answers again", url)
                trouble = ""
            except Exception as error:  # whatever it is, the chain goes on without the beacon
                text = str(error) or type(error).__name__
                if text != trouble:
                    _log.warning(
                        "drand: no pulse from %s (%s): sealed commits wait, and expire with their "
                        "epoch",
                        url,
                        text,
                    )
                trouble = text
            await asyncio.sleep(every_s)


async def _catch_up(node: Node, session: aiohttp.ClientSession, url: str) -> None:
    """Submit the newest pulse, and those between it and the last one that is stored."""
    newest = await _fetch(session, f"{url}/latest")
    last = drand.last_round(node.state())
    if newest.round <= last:
        return
    # The first one that a chain stores may be any; from then on none is left out.
    missed = range(last + 1, newest.round) if last else range(0)
    pulses = [
        await _fetch(session, f"{url}/{round}") for round in missed[: drand.PULSES_A_CALL - 1]
    ]
    if len(pulses) == len(missed):
        pulses.append(newest)
    # Until the block comes in which they are stored, the same ones are in the pool already.
    with contextlib.suppress(AlreadyImported, PriorityTooLow, PoolFull):
        node.submit(drand.extrinsic(pulses, node.head.number))


async def _fetch(session: aiohttp.ClientSession, url: str) -> drand.Pulse:
    async with session.get(url) as response:
        if response.status != 200:
            raise _BadPulse(f"HTTP {response.status}")
        try:
            body: dict[str, Any] = await response.json(content_type=None)
            return drand.Pulse(
                int(body["round"]),
                bytes.fromhex(body["randomness"]),
                bytes.fromhex(body["signature"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _BadPulse(f"not a pulse: {error}") from error
