"""What an operator wants to know of a validator while it runs, and what must not go unsaid.

One object beside the rounds: it holds the gate before the first weights, counts epochs without
weights, writes one line of kind "standing" an epoch into the journal, tells alerts, and feeds the
watchdog and the pages. It decides nothing about scores.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Hyperparameters, Schedule
from chain.errors import ChainRefused
from validators.alerts import Alerts
from validators.commits import Settled
from validators.landing import Gate, Landing
from validators.proof import (
    MOVED_MOST,
    U16_MAX,
    Cause,
    Difference,
    Standing,
    explain,
    has_landed,
    standing,
)
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
    held: dict[int, tuple[int, Mapping[int, int]]] = field(default_factory=dict)
    """By mechanism: in which block a row of this run was last seen to hold, and that row."""
    _failed_round: int | None = None
    """The newest round of which a committed row did not come to hold."""
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
        try:
            then, row, trusts, others = await _as_it_was(chain, metagraph, schedule, me)
            free = await chain.balance(me.hotkey)
            cold = await chain.balance(me.coldkey)
            differences = await self._compare(chain, metagraph, me)
        except ChainRefused as error:
            log.warning("how the weights stand cannot be read: %s", error)
            return
        trust = int(trusts[me.uid]) if trusts and me.uid < len(trusts) else 0
        now = standing(then, row, trust, own=me.uid, epoch=schedule.epochs, others=others)
        before, self.standing = self.standing, now
        note(
            {
                "kind": "standing",
                "netuid": metagraph.netuid,
                "validator": me.hotkey,
                **now.line(),
                "balance_rao": int(free),
                "coldkey_rao": int(cold),
                "registered_at": me.registered_at,
                "landed_epoch": self.landing.epoch,
                "missed": self.landing.missed(schedule.epochs),
                "differences": [
                    {"mechanism": number, **item.line()}
                    for number, items in differences.items()
                    for item in items
                ],
            }
        )
        for number, items in differences.items():
            if any(item.cause is Cause.SUPERSEDED for item in items):
                text = "another row than was set: does a second validator use this key?"
                self.alerts.tell("row_superseded", f"the chain holds{_of(number)} {text}")
                del self.held[number]
        if before is not None and before.vtrust - now.vtrust > VTRUST_FALL:
            seats = ", ".join(
                f"uid {uid} (+{share:.3f})" for uid, _, share in now.above[:MOVED_MOST]
            )
            self.alerts.tell(
                "vtrust_fell",
                f"validator trust fell from {before.vtrust:.3f} to {now.vtrust:.3f}; "
                f"above the consensus: {seats or 'nobody'}",
            )

    async def _compare(
        self, chain: Chain, metagraph: Metagraph, me: Neuron
    ) -> dict[int, tuple[Difference, ...]]:
        """By mechanism, the row that was seen to hold beside the one there now."""
        found = {}
        for number, (since, row) in self.held.items():
            where = {"block": metagraph.block, "mechanism": number}
            found[number] = explain(
                {uid: float(value) for uid, value in row.items()},
                await chain.weights(metagraph.netuid, me.uid, **where),
                moved={n.uid for n in metagraph.neurons if n.registered_at > since},
                superseded=await chain.last_update(metagraph.netuid, me.uid, **where) > since,
            )
        return found

    def settled(self, settled: Settled, epoch: int, *, last: bool = True) -> None:
        """What became of a commit; `last` if no other of its round is still open.

        The weights of a round hold when those of all its mechanisms do.
        """
        commit = settled.commit
        if settled.landed:
            self.held[commit.mechanism] = (settled.block, settled.found)
            if last and self._failed_round != commit.round:
                self._landed(epoch, settled.block)
            return
        self._failed_round = commit.round
        problem = f"the commit{_of(commit.mechanism)} of round {commit.round} ended"
        problem = f"{problem} {settled.ending.value}"
        self.landing.problem = f"{problem}: {commit.problem or 'see the log'}"
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
            elif other.read_back is False and not has_landed(other.differences):
                self._differs(other, number)
        if report.problem is not None and report.code is not Code.LATER:
            self.landing.problem = report.problem
        for number, shown in ({0: report} | dict(report.others)).items():
            if shown.read_back is not None and has_landed(shown.differences):
                self.held[number] = (shown.block or 0, shown.found or {})
        if report.landed and report.block is not None:
            self._landed(epoch, report.block)
        elif report.read_back is False and not has_landed(report.differences):
            self._differs(report, 0)

    def _differs(self, report: WeightsReport, mechanism: int) -> None:
        causes = sorted({item.cause.value for item in report.differences})
        self.landing.problem = f"the chain holds{_of(mechanism)} another row: {', '.join(causes)}"
        self.alerts.tell("row_differs", self.landing.problem)

    def _landed(self, epoch: int, block: int) -> None:
        self.landing.landed(epoch, block, self.clock())

    def round_over(self, asked: int, answered: int) -> None:
        """A round was judged and written down."""
        self.counters.rounds += 1
        self.counters.asked += asked
        self.counters.answered += answered
        self._beat()

    def _beat(self) -> None:
        if self.watchdog is not None and self._limit_s is not None:
            self.watchdog.beat(self._limit_s)


async def _as_it_was(
    chain: Chain, metagraph: Metagraph, schedule: Schedule, me: Neuron
) -> tuple[Metagraph, dict[int, int], Sequence[int], list[tuple[float, dict[int, int]]]]:
    """What the last epoch saw: seats, this validator's row, trusts, and the other mechanisms' rows.

    Read as of that epoch's own block, since a row may have changed or been revealed since. A node
    that has thrown that block away tells of now.
    """
    netuid, block = metagraph.netuid, schedule.last_block
    try:
        then = await chain.metagraph(netuid, block)
    except ChainRefused:
        then, block = metagraph, metagraph.block
    if (seat := then.find(me.hotkey)) is None or seat.uid != me.uid:
        then, block = metagraph, metagraph.block  # it has no part in that epoch
    trusts = await chain.query("SubtensorModule", "ValidatorTrust", netuid, block=block)
    row = await chain.weights(netuid, me.uid, block)
    return then, row, trusts or (), await _other_rows(chain, netuid, me.uid, block)


async def _other_rows(
    chain: Chain, netuid: int, uid: int, block: int
) -> list[tuple[float, dict[int, int]]]:
    """What each mechanism but the first pays of the whole, and the row of `uid` in it."""
    count = await chain.query("SubtensorModule", "MechanismCountCurrent", netuid, block=block)
    if int(count or 1) == 1:
        return []
    split = await chain.query("SubtensorModule", "MechanismEmissionSplit", netuid, block=block)
    parts = [int(part) / U16_MAX for part in split] if split else [1 / count] * count
    return [
        (part, await chain.weights(netuid, uid, block, mechanism=number))
        for number, part in enumerate(parts)
        if number
    ]


def _of(mechanism: int) -> str:
    return f" for mechanism {mechanism}" if mechanism else ""
