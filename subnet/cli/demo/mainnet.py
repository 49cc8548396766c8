"""The game under mainnet's rules: time travel between rounds, and what happens on the way.

An epoch has 360 blocks, of which a round needs a fifth. Once every validator has committed, the
rest is made at once by the chain's own time machine; nothing else about the chain is changed.
On the way one validator is killed between its commit and its reveal, and one seat is sold.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from chain.client import Chain
from chain.errors import ChainRefused
from subnet.cli.demo.cast import Cast, Player
from subnet.cli.demo.processes import Processes
from subnet.cli.demo.rounds import Round, load

BURN = 0.5
"""Share of the miners' pay that is burned."""
KILL_ROUND = 2
"""After this many rounds of its own the second validator is killed."""
SALE_ROUND = 4
"""After this many rounds of the first validator the newcomer buys its seat."""
FEWEST_EPOCHS = 8
"""Paying epochs it takes to tell the whole story, and what copying is worth."""
LOOK_S = 0.2

Start = Callable[[Player], Awaitable[None]]


@dataclass(slots=True)
class Story:
    """What has happened so far, in blocks; None for what has not."""

    jumped: int = 0
    """Blocks that were made at once."""
    killed: str | None = None
    killed_round: int | None = None
    killed_block: int | None = None
    sold_uid: int | None = None
    sold_block: int | None = None
    seller: str | None = None
    """Hotkey (ss58) of who lost the seat."""


class Director:
    """Lets time pass, and sees to what is to happen. Runs beside the game."""

    def __init__(
        self,
        chain: Chain,
        netuid: int,
        cast: Cast,
        processes: Processes,
        journals: Mapping[str, Path],
        *,
        start: Start,
        http: str,
        tell: Callable[[str], None],
    ) -> None:
        """`http` is where the node takes RPC over HTTP; `start` starts a player's process."""
        self._chain = chain
        self._netuid = netuid
        self._cast = cast
        self._processes = processes
        self._journals = journals
        self._start = start
        self._http = http
        self._tell = tell
        self.story = Story()

    async def direct(self) -> None:
        """Until cancelled. The first epoch brings permits, and nobody waits for it."""
        await self._jump()
        victim = self._cast.judges[-1]
        while True:
            if not await self._all_committed():
                continue  # too slow for this epoch: the next one has begun by itself
            rounds = load(self._journals[victim.name])
            if self.story.sold_block is None and len(rounds) >= SALE_ROUND:
                await self._sell()
            is_time = self.story.killed is None and len(rounds) >= KILL_ROUND
            if is_time and rounds[-1].is_waiting:
                await self._kill(victim, rounds[-1])
                await self._jump()
                await self._start(victim)
                self._tell(f"{victim.name} is started again")
            else:
                await self._jump()

    async def _all_committed(self) -> bool:
        """Wait until every validator is done with this epoch; False when it ended before."""
        epoch = (await self._chain.schedule(self._netuid)).epochs
        while True:
            done = [rounds[-1].epoch if (rounds := load(path)) else -1
                    for path in self._journals.values()]  # fmt: skip
            if min(done) >= epoch:
                return True
            await asyncio.sleep(LOOK_S)
            if (await self._chain.schedule(self._netuid)).epochs > epoch:
                return False

    async def _jump(self) -> None:
        """Make the rest of the epoch's blocks, the one it ends with too."""
        schedule = await self._chain.schedule(self._netuid)
        assert schedule.next_block is not None  # mainnet's tempo is never 0
        blocks = max(schedule.next_block - schedule.block, 1)
        self._tell(f"block {schedule.block}: {blocks} blocks at once")
        await self._rpc("devnet_mine", blocks)
        self.story.jumped += blocks

    async def _kill(self, victim: Player, last: Round) -> None:
        await self._processes.end(victim.name, signal.SIGKILL)
        story = self.story
        story.killed, story.killed_round = victim.name, last.number
        story.killed_block = await self._chain.block()
        self._tell(
            f"block {story.killed_block}: kill -9 of {victim.name}, which committed in block "
            f"{last.commit_block} and has not revealed"
        )

    async def _sell(self) -> None:
        """Let the newcomer buy a seat. All are taken, so the chain gives it the worst paid one's.

        Done between commits and reveals, when rows are on their way that name seats, not hotkeys.
        """
        (newcomer,) = self._cast.late
        chain, story = self._chain, self.story
        before = await chain.metagraph(self._netuid)
        hotkey = newcomer.hotkey.ss58_address
        uid = await chain.register(newcomer.coldkey, self._netuid, hotkey)
        story.sold_block = (await chain.metagraph(self._netuid)).neurons[uid].registered_at
        story.sold_uid, story.seller = uid, before.neurons[uid].hotkey
        loser = next(p for p in self._cast.players if p.hotkey.ss58_address == story.seller)
        self._tell(
            f"block {story.sold_block}: burned_register: {newcomer.name} takes uid {uid} "
            f"from {loser.name}"
        )
        await self._processes.end(loser.name)
        await self._start(newcomer)
        while (await chain.metagraph(self._netuid)).neurons[uid].host is None:
            await asyncio.sleep(LOOK_S)
        self._tell(f"serve_axon: {newcomer.name} is there")

    async def _rpc(self, method: str, *params: object) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._http, json=request) as response,
        ):
            answer = await response.json()
        if "error" in answer:
            raise ChainRefused(method, str(answer["error"].get("message")))
        return answer["result"]
