"""The rows of an epoch: wait until they may be set, make them of the scores, set them.

Before each look nothing of the look before is believed: seats change hands, another instance of
this validator may have set the row, and so may an attempt of this one that seemed to fail.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Schedule
from chain.errors import ChainAway
from scoring.shaping import burn
from validators.bench import Bench
from validators.moment import Moment
from validators.sampler import sample
from validators.weights import (
    Code,
    Hiding,
    WeightsReport,
    block_to_set,
    find_landed,
    find_row,
    set_weights,
)

log = logging.getLogger(__name__)

RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after failures in a row; the last one repeats."""


@dataclass(frozen=True, slots=True)
class _Window:
    """The chain takes a row of this epoch from `block` on, seen from `schedule.block`."""

    metagraph: Metagraph
    me: Neuron
    schedule: Schedule
    block: int
    hiding: Hiding | None


async def set_weights_at_last(
    bench: Bench, moment: Moment, scores: Mapping[str, float]
) -> WeightsReport:
    """As below, however often the chain goes away meanwhile: nothing else can be done without."""
    for attempt, pause in enumerate(itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1]))):
        try:
            return await set_weights_if_due(bench, moment, scores, again=attempt > 0)
        except ChainAway as error:
            log.warning("%s; the weights will be tried again", error)
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def set_weights_if_due(
    bench: Bench, moment: Moment, scores: Mapping[str, float], *, again: bool = False
) -> WeightsReport:
    """Turn scores into weights and set them, after the last round of an epoch.

    `again` when the chain went away under an earlier attempt, which may have landed all the same.
    """
    if not moment.last:
        return WeightsReport(
            problem="not yet: another round follows in this epoch", code=Code.LATER
        )
    while True:
        window = await _find_window(bench, moment, scores, again)
        if isinstance(window, WeightsReport):
            return window
        block = window.block
        if block <= window.schedule.block:
            wait = await claim_window(bench, window.schedule, window.me)
            if wait is None:
                return await _set_rows(bench, window, scores)
            if wait <= window.schedule.block:
                return WeightsReport(
                    problem="another instance has set this epoch's", code=Code.WINDOW
                )
            block = wait
        await bench.chain.wait_for_block(block)


async def _find_window(
    bench: Bench, moment: Moment, scores: Mapping[str, float], again: bool
) -> _Window | WeightsReport:
    """When the row may be set, or why it is not, or that it has been."""
    # Seats are looked up again, and after every wait: one that changed hands must not inherit.
    metagraph = await bench.chain.metagraph(bench.netuid)
    me = metagraph.find(bench.hotkey)
    if me is None:
        return WeightsReport(problem="the seat was lost during the round", code=Code.SEAT)
    if (shut := shut_gate(bench, metagraph)) is not None:
        return shut
    schedule = await bench.chain.schedule(bench.netuid, metagraph.block)
    settings = await bench.chain.hyperparameters(bench.netuid, metagraph.block)
    hiding, report = None, None
    if settings.commit_reveal_weights_enabled:
        call = bench.settings.commit_call
        hiding = Hiding(call, bench.commits, bench.ledger.next_round() - 1, metagraph)
        report = await find_landed(bench.chain, bench.keypair, hiding)
    elif again and me.last_update > moment.metagraph.block:
        row = rows_for(bench, metagraph, scores)[0]
        report = await find_row(bench.chain, metagraph, me, row)
    if report is not None:
        return report
    block = block_to_set(
        schedule, last_update=me.last_update, rate_limit=settings.weights_rate_limit
    )
    if block is None:
        return WeightsReport(
            problem="the chain takes no more weights in this epoch", code=Code.LATER
        )
    return _Window(metagraph, me, schedule, block, hiding)


async def _set_rows(bench: Bench, window: _Window, scores: Mapping[str, float]) -> WeightsReport:
    """Set the row of every mechanism. Raises ChainAway."""
    try:
        rows = rows_for(bench, window.metagraph, scores)
        first = rows.pop(0)
    except Exception as error:  # an author's code, and what it returned
        log.exception("the subnet's definition makes no weights of these scores")
        return WeightsReport(problem=f"no weights were made: {error!r}", code=Code.INVALID)
    set_row = partial(
        set_weights, bench.chain, bench.keypair, bench.netuid, window.me.uid,
        owner=window.metagraph.owner_uid, version_key=bench.settings.weights.version_key,
    )  # fmt: skip
    report = await set_row(first, hiding=window.hiding)
    others = {number: await set_row(row, mechanism=number) for number, row in rows.items()}
    return dataclasses.replace(report, others=others)


def rows_for(
    bench: Bench, metagraph: Metagraph, scores: Mapping[str, float]
) -> dict[int, dict[int, float]]:
    """The row of every mechanism; raises whatever an author's code does."""
    by_uid = {n.uid: scores[n.hotkey] for n in metagraph.neurons if n.hotkey in scores}
    return {
        mechanism: burn(row, metagraph.owner_uid, bench.settings.weights.burn)
        for mechanism, row in bench.subnet.mechanisms(by_uid).items()
    }


def shut_gate(bench: Bench, metagraph: Metagraph) -> WeightsReport | None:
    """Why the first weights of this run are not set yet, if they are not."""
    askable = sample(metagraph.neurons, asker=bench.hotkey, seed=b"")
    problem = bench.watch.gate.find_problem([t.hotkey for t in askable], bench.ledger.evidence())
    if problem is None:
        return None
    log.warning("%s", problem)
    return WeightsReport(problem=problem, code=Code.GATE)


async def claim_window(bench: Bench, schedule: Schedule, me: Neuron) -> int | None:
    """None when this instance may set the row of this epoch; otherwise see `Lease.claim`."""
    if bench.lease is None:
        return None
    return await bench.lease.claim(schedule.epochs, schedule.block, me.last_update)
