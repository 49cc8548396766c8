"""Where questions wait for the miner: the axon stays while the model is opened again.

Knows nothing of the chain, and of the wire only what a refusal is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from miners.health import Durations
from subnet.definition import Miner, MinerOptions, Subnet
from subnet.errors import Declined, EngineAway, EngineBusy, EngineRefused, RequestRefused
from subnet.protocol import Answer, Challenge
from subnet.wire.auth import Caller

log = logging.getLogger(__name__)

PAUSE_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Before the model is opened again, after so many failures in a row; the last one repeats."""


class Desk:
    """Hands questions to a miner that may come and go, and says in words why there is no answer."""

    def __init__(self) -> None:
        self._miner: Miner[Any, Any] | None = None
        self._lost = asyncio.Event()
        self.opened = asyncio.Event()
        """Set when the miner was open for the first time."""
        self.durations = Durations()
        """Of the answers given."""

    @property
    def open(self) -> bool:
        """Whether the miner is open now."""
        return self._miner is not None

    async def answer(self, challenge: Challenge, caller: Caller) -> Answer:
        """The miner's answer; a miner that is busy or away declines, and says so."""
        miner = self._miner
        if miner is None:
            raise Declined("the model is being opened")
        begun = time.monotonic()
        try:
            answer: Answer = await miner.answer(challenge, caller.hotkey)
        except EngineBusy as error:
            raise RequestRefused(503, "busy", "the model is busy; come back later") from error
        except EngineRefused as error:  # too long, say: the caller's doing, and no fault of ours
            raise RequestRefused(400, "refused", str(error)) from error
        except EngineAway as error:
            log.error("%s", error)
            if self._miner is miner:  # not its successor, which is well
                self._miner = None
                self._lost.set()
            raise Declined("the model is being opened") from error
        self.durations.add(time.monotonic() - begun)
        return answer

    async def keep_open(self, subnet: Subnet[Any, Any], options: MinerOptions) -> None:
        """Open the miner, and again whenever its engine is lost. The first time must succeed."""
        failures = 0
        while True:
            self._lost.clear()
            try:
                async with subnet.miner(options) as self._miner:
                    self.opened.set()
                    await self._lost.wait()
                failures = 0
            except EngineAway as error:
                if not self.opened.is_set():
                    raise
                log.error("%s", error)
            finally:
                self._miner = None
            await asyncio.sleep(PAUSE_S[min(failures, len(PAUSE_S) - 1)])
            failures += 1
