"""The rows of an epoch, one a mechanism: wait until each may be set, make it of the scores, set it.

Before each look nothing of the look before is believed: seats change hands, another instance of
this validator may have set a row, and so may an attempt of this one that seemed to fail.

Where instances share a lease, the chain itself sees to it that only one row lands. A row is sent
only when the view shows none of this epoch, and with the number that the hotkey's next extrinsic
had in that very view. Of two extrinsics with one number the chain takes one; whatever an instance
sent earlier had this number or a lower one. So no second row can land, whoever leads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from chain.client.calls import U16_MAX
from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Schedule
from chain.errors import ChainAway, ChainRefused
from scoring.shaping import burn
from validators.bench import Bench
from validators.moment import Moment
from validators.sampler import sample
from validators.weights import (
    Code,
    Hiding,
    Overtaken,
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
class _View:
    """What one block says of the rows of an epoch.

    `nonce` is the number of the hotkey's next extrinsic, where other instances may send some.
    """

    metagraph: Metagraph
    me: Neuron
    schedule: Schedule
    rate_limit: int
    rows: Mapping[int, Mapping[int, float]]
    hiding: Hiding | None
    nonce: int | None


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
    done: dict[int, WeightsReport] = {}
    while True:
        view = await _look(bench, scores)
        if isinstance(view, WeightsReport):
            return _together({0: view} | done)
        mechanism = next((number for number in sorted(view.rows) if number not in done), None)
        if mechanism is None:
            return _together(done)
        outcome = await _set_row(bench, view, mechanism, moment.metagraph.block if again else None)
        if isinstance(outcome, WeightsReport):
            done[mechanism] = outcome
        else:
            await bench.chain.wait_for_block(outcome)


def _together(reports: Mapping[int, WeightsReport]) -> WeightsReport:
    others = {number: report for number, report in reports.items() if number}
    return dataclasses.replace(reports[0], others=others)


async def _look(bench: Bench, scores: Mapping[str, float]) -> _View | WeightsReport:
    """The chain as it is now, and the rows to set; or why there are none."""
    # Seats are looked up again, and after every wait: one that changed hands must not inherit.
    chain = bench.chain
    metagraph = await chain.metagraph(bench.netuid)
    me = metagraph.find(bench.hotkey)
    if me is None:
        return WeightsReport(problem="the seat was lost during the round", code=Code.SEAT)
    if (shut := shut_gate(bench, metagraph)) is not None:
        return shut
    try:
        rows = rows_for(bench, metagraph, scores)
        if 0 not in rows:
            raise KeyError(0)
    except Exception as error:  # an author's code, and what it returned
        log.exception("the subnet's definition makes no weights of these scores")
        return WeightsReport(problem=f"no weights were made: {error!r}", code=Code.INVALID)
    settings = await chain.hyperparameters(bench.netuid, metagraph.block)
    hiding = None
    if settings.commit_reveal_weights_enabled:
        round = bench.ledger.next_round() - 1
        hiding = Hiding(bench.settings.commit_call, bench.commits, round, metagraph)
    return _View(
        metagraph=metagraph,
        me=me,
        schedule=await chain.schedule(bench.netuid, metagraph.block),
        rate_limit=settings.weights_rate_limit,
        rows=rows,
        hiding=hiding,
        nonce=None if bench.lease is None else await chain.nonce(bench.hotkey, metagraph.block),
    )


async def _set_row(
    bench: Bench, view: _View, mechanism: int, tried: int | None
) -> WeightsReport | int:
    """What became of the row of `mechanism`, or the block to look again at. Raises ChainAway.

    `tried` is the block before which no attempt was made that the chain went away under.
    """
    chain, me, metagraph, row = bench.chain, view.me, view.metagraph, view.rows[mechanism]
    last = await chain.last_update(bench.netuid, me.uid, metagraph.block, mechanism=mechanism)
    earlier = None
    if view.hiding is not None:
        earlier = await find_landed(chain, bench.keypair, view.hiding, mechanism=mechanism)
    elif tried is not None:
        earlier = await _find_tried(bench, metagraph, row, mechanism, tried)
    if earlier is not None:
        return earlier
    if bench.lease is not None and _is_of_this_epoch(view, last):
        return WeightsReport(problem="another instance has set this epoch's", code=Code.WINDOW)
    block = block_to_set(view.schedule, last_update=last, rate_limit=view.rate_limit)
    if block is None:
        return WeightsReport(
            problem="the chain takes no more weights in this epoch", code=Code.LATER
        )
    if block > metagraph.block:
        return block
    if bench.lease is not None:
        wait = await bench.lease.claim(view.schedule.epochs, metagraph.block, last)
        if wait is not None:
            return max(wait, metagraph.block + 1)
    try:
        report = await set_weights(
            chain, bench.keypair, bench.netuid, me.uid, row,
            owner=metagraph.owner_uid, version_key=bench.settings.weights.version_key,
            hiding=view.hiding, mechanism=mechanism, nonce=view.nonce,
        )  # fmt: skip
    except Overtaken as error:
        log.info("this hotkey has sent something else meanwhile; looking again: %s", error)
        return metagraph.block + 1
    if report.code is Code.REFUSED and view.hiding is None:
        # It may have landed all the same, or an earlier attempt meanwhile, and this came too soon.
        with suppress(ChainRefused):  # then the first refusal is the one to tell
            now = await chain.metagraph(bench.netuid)
            return await _find_tried(bench, now, row, mechanism, metagraph.block) or report
    return report


async def _find_tried(
    bench: Bench,
    metagraph: Metagraph,
    row: Mapping[int, float],
    mechanism: int,
    since: int,
) -> WeightsReport | None:
    """What a plain `row` came to that was sent after block `since`, if the chain holds it."""
    chain, me = bench.chain, metagraph.find(bench.hotkey)
    if me is None:
        return None
    last = await chain.last_update(bench.netuid, me.uid, metagraph.block, mechanism=mechanism)
    if last <= since:
        return None
    return await find_row(chain, metagraph, me, row, block=last, mechanism=mechanism)


def _is_of_this_epoch(view: _View, last: int) -> bool:
    """Whether block `last` belongs to the present epoch, and a row was set in it."""
    # A seat begins with the block it was bought in; weights in an epoch's own block are the next's.
    return last >= view.schedule.last_block and last not in (0, view.me.registered_at)


def rows_for(
    bench: Bench, metagraph: Metagraph, scores: Mapping[str, float]
) -> dict[int, dict[int, float]]:
    """The row of every mechanism; raises whatever an author's code does."""
    by_uid = {n.uid: scores[n.hotkey] for n in metagraph.neurons if n.hotkey in scores}
    return {
        _plain(mechanism): burn(
            {_plain(uid): weight for uid, weight in row.items()},
            metagraph.owner_uid,
            bench.settings.weights.burn,
        )
        for mechanism, row in bench.subnet.mechanisms(by_uid).items()
    }


def _plain(number: int) -> int:
    """A uid that may come out of an array: JSON has no word for that, or would say "1.0"."""
    plain = int(number)
    if plain != number or not 0 <= plain <= U16_MAX:
        raise ValueError(f"{number!r} is no uid and no mechanism")
    return plain


def shut_gate(bench: Bench, metagraph: Metagraph) -> WeightsReport | None:
    """Why the first weights of this run are not set yet, if they are not."""
    askable = sample(metagraph.neurons, asker=bench.hotkey, seed=b"")
    problem = bench.watch.gate.find_problem([t.hotkey for t in askable], bench.ledger.evidence())
    if problem is None:
        return None
    log.warning("%s", problem)
    return WeightsReport(problem=problem, code=Code.GATE)
