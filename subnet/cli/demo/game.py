"""Follows a running subnet from outside, epoch by epoch: over RPC, and through the journals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from chain.client import Chain, Metagraph, Neuron, Schedule
from chain.errors import ChainAway
from subnet.cli.demo.cast import Cast, Player
from subnet.cli.demo.report import Epoch, Played
from subnet.cli.demo.rounds import Round, load
from subnet.cli.demo.view import Row, Scene, View

SPARE_EPOCHS = 8
"""How many epochs may fail to pay before a run is given up; the first one never pays, because
permits come with it."""
FEWEST_EPOCHS = 2
"""Paying epochs that are played in any case: a miner that answers every other question is known
from an honest one by its second."""
REFRESH_BLOCKS = 4
SILENCE_S = 60.0
"""Longest wait for a block of a chain that is there."""


class Game:
    """One subnet with its players, from `start`, the metagraph before the clock started."""

    def __init__(
        self,
        chain: Chain,
        cast: Cast,
        journals: Mapping[str, Path],
        start: Metagraph,
        view: View,
        *,
        hidden: bool = False,
    ) -> None:
        """`hidden` says that weights hold only an epoch after they were made."""
        self._hidden = hidden
        self._chain = chain
        self._cast = cast
        self._journals = journals
        self._view = view
        self._ran: list[tuple[int, int]] = []
        self._told: dict[str, int] = dict.fromkeys(journals, 0)
        self.start = start
        self.metagraph = start
        self.history: list[Metagraph] = []
        """The metagraph after each epoch."""
        self.first_pay: float | None = None
        """When, on the monotonic clock, the first paying epoch was seen."""

    def played(self) -> Played:
        """Every validator's finished rounds, by its name."""
        return {name: load(path) for name, path in self._journals.items()}

    def epochs(self, played: Played) -> list[Epoch]:
        """The epochs that ran, judged by what the journals say by now."""
        judges = {player.name: played[player.name] for player in self._cast.judges}
        return judge_epochs(self.start.block, self._ran, judges, hidden=self._hidden)

    async def play(self, wanted: int) -> None:
        """Follow until `wanted` epochs have paid, or until it is clear that they will not."""
        wanted = max(wanted, FEWEST_EPOCHS)
        schedule = await self._chain.schedule(self.start.netuid)
        async with asyncio.timeout(SILENCE_S) as silence:
            try:
                async with aclosing(self._chain.blocks()) as blocks:
                    async for block in blocks:
                        silence.reschedule(asyncio.get_running_loop().time() + SILENCE_S)
                        if schedule.next_block is not None and block >= schedule.next_block:
                            schedule = await self._chain.schedule(self.start.netuid, block)
                            await self._see_epoch(schedule)
                        elif block % REFRESH_BLOCKS == 0:
                            self.metagraph = await self._chain.metagraph(self.start.netuid)
                        else:
                            continue
                        if await self._refresh(block, schedule, wanted):
                            return
            except TimeoutError as error:
                reason = f"no block for {SILENCE_S:g} s"
                raise ChainAway(self._chain.endpoint, reason) from error

    async def _see_epoch(self, schedule: Schedule) -> None:
        seen = self._ran[-1][0] if self._ran else self.start.block
        if schedule.last_block > seen:
            self.metagraph = await self._chain.metagraph(self.start.netuid, schedule.last_block)
            self.history.append(self.metagraph)
            self._ran.append((schedule.last_block, self.metagraph.incentive))
            self._view.tell(
                f"block {schedule.last_block}: epoch {len(self._ran)}, "
                + ("miners were paid" if self.metagraph.incentive else "no miner was paid")
            )

    async def _refresh(self, block: int, schedule: Schedule, wanted: int) -> bool:
        """Show how things stand; whether the game is over."""
        played = self.played()
        epochs = self.epochs(played)
        paying = sum(epoch.paying for epoch in epochs)
        if paying and self.first_pay is None:
            self.first_pay = time.monotonic()
        for name, done in played.items():
            for round in done[self._told[name] :]:
                self._view.tell(
                    f"block {block}: {name} finished round {round.number}, {_gist(round)}"
                )
            self._told[name] = len(done)
        self._view.scene = Scene(
            block=block,
            next_epoch=schedule.next_block,
            epochs=len(epochs),
            paying=paying,
            wanted=wanted,
            rounds={name: len(done) for name, done in played.items()},
            rows=await self._rows(played),
        )
        return paying >= wanted or len(epochs) >= wanted + SPARE_EPOCHS

    async def _rows(self, played: Played) -> tuple[Row, ...]:
        seats = {
            player: seat
            for player in self._cast.everybody
            if (seat := self.find_seat(player)) is not None
        }
        judges = [seats[player].uid for player in self._cast.of("validator")]
        shares: dict[int, float] = {}
        for judge in judges:
            row = await self._chain.weights(self.start.netuid, judge)
            for uid, value in row.items() if any(row.values()) else ():
                shares[uid] = shares.get(uid, 0.0) + value / sum(row.values()) / len(judges)
        last = {
            question.hotkey: question.score
            for done in played.values()
            for round in done
            for question in round.questions
        }
        rows = []
        for player, seat in seats.items():
            start = self.start.find(seat.hotkey)
            rows.append(
                Row(
                    uid=seat.uid,
                    kind=player.kind,
                    score=last.get(seat.hotkey) if player.role == "miner" else None,
                    weight=shares.get(seat.uid, 0.0),
                    incentive=seat.incentive / 65535,
                    earned=(int(seat.alpha) - (0 if start is None else int(start.alpha))) / 1e9,
                )
            )
        return tuple(sorted(rows, key=lambda row: row.uid))

    def find_seat(self, player: Player) -> Neuron | None:
        """Where a player sits, by the newest metagraph; None before it came and after it left."""
        return self.metagraph.find(player.hotkey.ss58_address)


def judge_epochs(
    start: int,
    ran: Sequence[tuple[int, int]],
    played: Played,
    *,
    hidden: bool = False,
) -> list[Epoch]:
    """The epochs `ran` (block, sum of incentive) of a clock started at block `start`.

    An epoch is from answers when a round began after the epoch before, and its weights were
    accepted before this one. Where weights are `hidden` they were revealed in that time, and the
    round began an epoch earlier.
    """
    bounds = [start, *(block for block, _ in ran)]
    epochs = []
    for number, (block, incentive) in enumerate(ran):
        since = bounds[number]
        asked_since = bounds[max(number - 1, 0)] if hidden else since
        from_answers = any(
            round.weights_set
            and round.weights_block is not None
            and asked_since <= round.block
            and since <= round.weights_block < block
            for done in played.values()
            for round in done
        )
        epochs.append(Epoch(block, incentive, from_answers))
    return epochs


def _gist(round: Round) -> str:
    answered = sum(question.answered for question in round.questions)
    good = sum(question.score > 0.5 for question in round.questions)
    weights = (
        "no weights set"
        if not round.weights_set
        else f"weights committed in block {round.commit_block}"
        if round.is_waiting
        else "weights set and read back"
        if round.weights_read_back
        else "weights set, NOT read back as meant"
    )
    if not round.questions:
        return f"nobody asked; {weights}"
    return f"{answered} of {len(round.questions)} answered, {good} well; {weights}"
