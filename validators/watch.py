"""What an operator wants to know of a validator while it runs, and what must not go unsaid.

One object beside the rounds: it holds the gate before the first weights, counts epochs without
weights, writes one line of kind "standing" an epoch into the journal, tells alerts, and feeds the
watchdog and the pages. It decides nothing about scores.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Hyperparameters, Schedule
from chain.errors import ChainRefused
from validators.alerts import Alerts
from validators.commits import Ending, Settled
from validators.landing import Gate, Landing
from validators.proof import Cause, Difference, Standing, explain, standing
from validators.watchdog import Watchdog
from validators.weights import Code, WeightsReport

log = logging.getLogger(__name__)

VTRUST_FALL = 0.1
"""Validator trust that fell by so much from one epoch to the next is told."""
LEAST_LIMIT_S = 600.0
"""However short a subnet's epochs are, a round may take so long, and weights to land."""
ROUND_EPOCHS = 3
"""A round waits for its part of an epoch, and its weights for the rate limit: within so many."""

Note = Callable[[Mapping[str, Any]], None]


@dataclass
class Counters:
    """What a run has done so far."""

    rounds: int = 0
    asked: int = 0
    answered: int = 0
    weights_set: int = 0
    weights_refused: int = 0


@dataclass
class Watch:
    """See the module. The defaults watch and never end anything: for tests and benches."""

    gate: Gate = field(default_factory=Gate)
    landing: Landing = field(default_factory=Landing)
    alerts: Alerts = field(default_factory=Alerts)
    watchdog: Watchdog | None = None
    round_limit_s: float | None = None
    """Longest time between two rounds; None takes it from the subnet's tempo."""
    clock: Callable[[], float] = lambda: 0.0
    counters: Counters = field(default_factory=Counters)
    seen_at: float | None = None
    """When the chain was last seen, by `clock`."""
    permit: bool = False
    standby: bool = False
    """Whether another instance leads."""
    dropped: Callable[[], Mapping[str, int]] = dict
    """Lines that each sink was too slow for."""
    epoch: int | None = None
    standing: Standing | None = None
    _limit_s: float | None = None

    async def look(
        self, chain: Chain, metagraph: Metagraph, schedule: Schedule, me: Neuron, note: Note
    ) -> None:
        """What is to be seen between rounds. Raises ChainAway and WeightsNotLanded."""
        self.seen_at = self.clock()
        self.permit = me.permit
        new_epoch = self.epoch != schedule.epochs
        if me.permit:
            self.landing.could(schedule.epochs, self.seen_at)
        else:
            self.landing.cannot()
        if new_epoch:
            settings = await chain.hyperparameters(metagraph.netuid, metagraph.block)
            await self._note_standing(chain, metagraph, schedule, me, note)
            self.epoch = schedule.epochs  # a chain that went away until here is looked at again
            grace = self._grace(schedule, settings)
            if self.landing.is_late(schedule.epochs, self.seen_at):
                missed = self.landing.missed(schedule.epochs)
                reason = self.landing.problem or "no round reached its weights"
                self.alerts.tell(
                    "weights_not_landed", f"no weights landed for {missed} epochs: {reason}"
                )
            self.landing.ensure(schedule.epochs, self.seen_at, grace)
        if self.watchdog is not None and (self._limit_s is None or new_epoch):
            first, self._limit_s = self._limit_s is None, await self._limit(chain, schedule)
            if first:
                self.watchdog.beat(self._limit_s)
        if not me.permit:
            self._beat()  # without a permit there are no rounds to wait for

    @staticmethod
    def _grace(schedule: Schedule, settings: Hyperparameters) -> int:
        """Epochs that a row of this subnet may take to hold, beyond the one it was made in."""
        hidden = settings.reveal_period_epochs if settings.commit_reveal_weights_enabled else 0
        return hidden + (settings.weights_rate_limit // schedule.tempo if schedule.tempo else 0)

    async def _limit(self, chain: Chain, schedule: Schedule) -> float:
        if self.round_limit_s is not None:
            return self.round_limit_s
        return max(LEAST_LIMIT_S, ROUND_EPOCHS * schedule.tempo * await chain.block_time())

    async def _note_standing(
        self, chain: Chain, metagraph: Metagraph, schedule: Schedule, me: Neuron, note: Note
    ) -> None:
        """How the last epoch took this validator's row: a line in the journal, and alerts."""
        netuid, block = metagraph.netuid, metagraph.block
        try:
            trusts = await chain.query("SubtensorModule", "ValidatorTrust", netuid, block=block)
            row = await chain.weights(netuid, me.uid, block)
            free = await chain.balance(me.hotkey)
        except ChainRefused as error:
            log.warning("how the weights stand cannot be read: %s", error)
            return
        trust = int(trusts[me.uid]) if trusts and me.uid < len(trusts) else 0
        now = standing(metagraph, row, trust, own=me.uid, epoch=schedule.epochs)
        differences = self._compare(row, metagraph, me)
        before, self.standing = self.standing, now
        note(
            {
                "kind": "standing",
                "netuid": netuid,
                "validator": me.hotkey,
                **now.line(),
                "balance_rao": int(free),
                "landed_epoch": self.landing.epoch,
                "missed": self.landing.missed(schedule.epochs),
                "differences": [difference.line() for difference in differences],
            }
        )
        if any(item.cause is Cause.SUPERSEDED for item in differences):
            text = "the chain holds another row than was set: does a second validator use this key?"
            self.alerts.tell("row_superseded", text)
            self.landing.row = {}
        if before is not None and before.vtrust - now.vtrust > VTRUST_FALL:
            seats = ", ".join(f"uid {uid} (+{share:.3f})" for uid, _, share in now.above)
            self.alerts.tell(
                "vtrust_fell",
                f"validator trust fell from {before.vtrust:.3f} to {now.vtrust:.3f}; "
                f"above the consensus: {seats or 'nobody'}",
            )

    def _compare(
        self, row: Mapping[int, int], metagraph: Metagraph, me: Neuron
    ) -> tuple[Difference, ...]:
        """The row that landed beside the one there now."""
        if not self.landing.row or self.landing.block is None:
            return ()
        since = self.landing.block
        moved = {n.uid for n in metagraph.neurons if n.registered_at > since}
        later = me.last_update > since
        meant = {uid: float(value) for uid, value in self.landing.row.items()}
        return explain(meant, row, moved=moved, superseded=later)

    def settled(self, settled: Settled, epoch: int) -> None:
        """What became of a commit."""
        if settled.ending is Ending.REVEALED:
            self._landed(epoch, settled.block, settled.found)
            return
        problem = f"the commit of round {settled.commit.round} ended {settled.ending.value}"
        self.landing.problem = f"{problem}: {settled.commit.problem or 'see the log'}"
        self.alerts.tell(f"commit_{settled.ending.value}", problem)

    def set_weights(self, report: WeightsReport, epoch: int) -> None:
        """What became of a round's weights."""
        if report.code in (Code.GATE, Code.WINDOW):
            self.landing.cannot()
        if report.set:
            self.gate.passed = True
            self.counters.weights_set += 1
        elif report.code is Code.REFUSED:
            self.counters.weights_refused += 1
            self.alerts.tell("weights_refused", report.problem or "")
        for number, other in report.others.items():
            if other.code is Code.REFUSED:
                self.landing.problem = f"mechanism {number}: {other.problem}"
                self.alerts.tell("weights_refused", self.landing.problem)
        if report.problem is not None and report.code is not Code.LATER:
            self.landing.problem = report.problem
        if report.landed and report.block is not None:
            self._landed(epoch, report.block, report.found or {})
        elif report.read_back is False:
            causes = sorted({item.cause.value for item in report.differences})
            self.landing.problem = f"the chain holds another row: {', '.join(causes)}"
            self.alerts.tell("row_differs", self.landing.problem)

    def _landed(self, epoch: int, block: int, row: Mapping[int, int]) -> None:
        self.landing.landed(epoch, block, self.clock(), row)

    def round_over(self, asked: int, answered: int) -> None:
        """A round was judged and written down."""
        self.counters.rounds += 1
        self.counters.asked += asked
        self.counters.answered += answered
        self._beat()

    def _beat(self) -> None:
        if self.watchdog is not None and self._limit_s is not None:
            self.watchdog.beat(self._limit_s)
