"""Whose turn it is when the miner is busy: bigger stakes first, and nobody waits for ever.

Knows callers by hotkey and stake, and nothing of what they ask.
"""

from __future__ import annotations

import asyncio
import bisect
from typing import Final

from subnet.errors import RequestRefused

PATIENCE: Final = 4
"""Of so many turns one goes to whoever has waited longest, whatever its stake."""


class WaitingRoom:
    """`places` for requests being answered, and room for `waiting` more that wait `waiting_s`.

    The rule: a turn goes to the biggest stake waiting, among equals to the first; every fourth
    turn goes to whoever came first of all. When the room is full, whoever has the smallest stake
    (among equals: came last) is sent away, the one that just came included. One caller holds at
    most `per_key` places and seats together, so that it cannot fill the room alone.
    """

    def __init__(self, places: int, waiting: int, waiting_s: float, per_key: int) -> None:
        self._places = places
        self._seats = waiting
        self._waiting_s = waiting_s
        self._per_key = per_key
        self._held: dict[str, int] = {}
        self._line: list[_Wait] = []
        self._came = 0
        self._turns = 0
        self.taken = 0
        """Places in use."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    async def enter(self, hotkey: str, stake: int) -> None:
        """Take a place, perhaps after some waiting; then `leave` it exactly once.

        Raises RequestRefused: 429 for a caller that has enough of them, 503 for one that is sent
        away or waits too long.
        """
        held = self._held.get(hotkey, 0)
        if held >= self._per_key:
            raise RequestRefused(429, "caller_busy", "too many requests of this caller at once")
        self._held[hotkey] = held + 1
        if self.taken < self._places:
            self.taken += 1
            return
        try:
            await self._wait(stake)
        except BaseException:
            self._forget(hotkey)
            raise

    def leave(self, hotkey: str) -> None:
        """Give the place to the next one."""
        self._forget(hotkey)
        self._give()

    async def _wait(self, stake: int) -> None:
        """Until a place was handed over."""
        self._came += 1
        wait = _Wait(stake, self._came)
        bisect.insort(self._line, wait)
        if len(self._line) > self._seats:
            sent_away = self._line.pop().turn
            if not sent_away.done():
                sent_away.set_exception(_busy())
        try:
            async with asyncio.timeout(self._waiting_s):
                await wait.turn
        except BaseException as error:
            if wait in self._line:
                self._line.remove(wait)
            elif wait.came_to_turn:
                self._give()  # in the very moment of giving up
            if isinstance(error, TimeoutError):
                raise _busy() from None
            raise

    def _give(self) -> None:
        """Hand a place to the next one, or put it back."""
        while self._line:
            self._turns += 1
            next_one = self._line[0]
            if self._turns % PATIENCE == 0:
                next_one = min(self._line, key=lambda wait: wait.came)
            self._line.remove(next_one)
            if not next_one.turn.done():  # or it has just given up
                next_one.turn.set_result(None)
                return
        self.taken -= 1

    def _forget(self, hotkey: str) -> None:
        self._held[hotkey] -= 1
        if not self._held[hotkey]:
            del self._held[hotkey]


class _Wait:
    """One that waits; the one that goes first is the smallest."""

    __slots__ = ("came", "stake", "turn")

    def __init__(self, stake: int, came: int) -> None:
        self.stake = stake
        self.came = came
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def came_to_turn(self) -> bool:
        """Whether a place was handed over."""
        turn = self.turn
        return turn.done() and not turn.cancelled() and turn.exception() is None

    def __lt__(self, other: _Wait) -> bool:
        return (-self.stake, self.came) < (-other.stake, other.came)


def _busy() -> RequestRefused:
    return RequestRefused(503, "busy", "the miner is answering as much as it can")
