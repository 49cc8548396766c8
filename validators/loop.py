"""A validator's rounds: wait for the next one, then ask, judge, remember, set weights, write down.

A round pins the chain once. What one miner sends can fail only that miner's own question; what
fails a whole round is logged and followed by another round.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from chain.errors import ChainAway
from subnet.definition import Subnet
from subnet.errors import (
    DefinitionError,
    EngineAway,
    LeaseLost,
    NotRegistered,
    StateError,
    WeightsNotLanded,
)
from subnet.protocol import Reply, Target, Task
from subnet.seat import buying_command
from subnet.wire.dendrite import Dendrite
from validators.bench import Bench
from validators.commits import Settled, settle
from validators.drawing import draw, next_beacon
from validators.judge import Judged, judge
from validators.memory import Standings, by_turns, look_back, remember_round, together
from validators.moment import Moment, coming_block, next_start
from validators.prompts.posting import find_beside, fix_questions, next_turn, published
from validators.prompts.vault import Turn
from validators.record import record
from validators.recovery import CUT_SHORT, finish_held
from validators.rows import RETRY_S, set_weights_at_last
from validators.sampler import sample
from validators.weights import WeightsReport

log = logging.getLogger(__name__)

LOOK_BLOCKS = 20
"""While waiting, the schedule is read again this often: an owner can move the next epoch."""
UNMENDABLE = (
    DefinitionError, EngineAway, LeaseLost, NotRegistered, StateError, WeightsNotLanded
)  # fmt: skip
"""What another round would not mend."""


async def run_rounds(bench: Bench) -> None:
    """Round after round until cancelled.

    Raises what another round would not mend: EngineAway (open the judge's model again),
    NotRegistered (the seat is gone), StateError (nothing can be remembered), DefinitionError
    (there is nothing to ask), WeightsNotLanded and LeaseLost.
    """
    done: tuple[int, int] | None = None
    failures = 0
    while True:
        try:
            moment = await next_moment(bench, done)
            done = (moment.schedule.epochs, moment.part)
            await run_round(bench, moment)
            failures = 0
            continue
        except UNMENDABLE:
            raise
        except ChainAway as error:
            log.warning("%s", error)
        except Exception:
            log.exception("round %d failed", bench.ledger.next_round())
        await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
        failures += 1


async def next_moment(bench: Bench, done: tuple[int, int] | None) -> Moment:
    """Wait for a permit and for the next round's block; meanwhile reveal, and make its tasks.

    `done` is (number of epochs so far, part) of the last round.
    """
    rounds = bench.settings.validator.rounds_per_epoch
    told: int | None = -1
    while True:
        metagraph = await bench.chain.metagraph(bench.netuid)
        schedule = await bench.chain.schedule(bench.netuid, metagraph.block)
        me = metagraph.find(bench.hotkey)
        if me is None:
            command = buying_command(bench.settings.network, bench.netuid)
            raise NotRegistered(bench.hotkey, bench.netuid, command)
        # First of all: what was committed can be revealed in one epoch only.
        await reveal(bench, metagraph, schedule)
        await publish(bench, schedule)
        await bench.watch.look(bench.chain, metagraph, schedule, me, bench.note)
        if bench.vault.left(schedule.epochs) == 0:
            if done is None:
                log.info("epoch %d was asked already; an epoch is sealed once", schedule.epochs)
            done = schedule.epochs, rounds - 1
        if me.permit:
            start, part = next_start(schedule, rounds_per_epoch=rounds, done=done)
            # They are fixed, for anybody to check, before the first of them is asked.
            if await seal(bench, metagraph, schedule, start, part):
                continue
            if start <= schedule.block:
                # A schedule that was moved can leave fewer questions than parts.
                last = part == rounds - 1 or bench.vault.left(schedule.epochs) == 1
                return Moment(metagraph, schedule, part, last)
        else:
            start = schedule.next_block or schedule.block + 1
            if told != start:
                log.info("miners answer only who has a permit: permit at block %d", start)
                told = start
            await bench.vault.prepare(bench.settings.validator.tasks_per_round)
        soon = min(start, schedule.block + LOOK_BLOCKS)
        await bench.chain.wait_for_block(max(soon, schedule.block + 1))


async def reveal(bench: Bench, metagraph: Metagraph, schedule: Schedule) -> None:
    """Reveal the weights that are due, and write down what became of them."""

    def note(settled: Settled) -> None:
        bench.note(settled.line())
        ended = settled.commit
        last = all(c.round != ended.round or c.key == ended.key for c in bench.commits.pending)
        bench.watch.settled(settled, schedule.epochs, last=last)

    await settle(bench.chain, bench.keypair, bench.commits, metagraph, schedule, note)


async def seal(
    bench: Bench, metagraph: Metagraph, schedule: Schedule, start: int, part: int
) -> bool:
    """Seal the questions of the epoch whose `part` begins at block `start`; whether that took."""
    block = coming_block(schedule)
    return await fix_questions(
        bench.vault,
        bench.chain,
        bench.keypair,
        metagraph,
        schedule.epochs + (block is not None and start >= block),
        turns=bench.settings.validator.rounds_per_epoch - part,
        tasks=bench.settings.validator.tasks_per_round,
    )


async def publish(bench: Bench, schedule: Schedule) -> None:
    """Write down what nobody will be asked any more. Raises ChainAway."""
    for sealing in bench.vault.finished(schedule.epochs):
        beside = await find_beside(bench.chain, bench.netuid, bench.hotkey, sealing)
        bench.note(published(sealing, beside, netuid=bench.netuid, validator=bench.hotkey))
        bench.vault.drop(sealing)


async def ask(
    dendrite: Dendrite, subnet: Subnet[Any, Any], turn: Turn[Any], targets: Sequence[Target]
) -> list[tuple[Task[Any], Reply[Any]]]:
    """Everybody's questions; the dendrite keeps only few of them in flight."""
    pairs = turn.pairs(targets)
    replies = await dendrite.ask(
        [target for _, target in pairs],
        subnet.path,
        [task.challenge for task, _ in pairs],
        subnet.answer,
        timeout_s=subnet.timeout_s,
    )
    return [(task, reply) for (task, _), reply in zip(pairs, replies, strict=True)]


async def remember(
    bench: Bench,
    round: int,
    moment: Moment,
    judged: Sequence[Judged],
    targets: Sequence[Target],
) -> Standings:
    """Write the round into the ledger, by hotkey; return what every past is worth after it."""
    moved = remember_round(
        bench.ledger,
        round,
        moment,
        judged,
        digests={known for item in judged for known in bench.vault.digests(item.task)},
        follow_swaps=bench.subnet.memory is not None,
    )
    looking = look_back(bench.ledger, bench.subnet.memory, targets, round)
    found = {hotkey: standing async for hotkey, standing in by_turns(looking)}
    seats = bench.settings.weights.coldkey_seats
    return together(found, moment.metagraph, coldkey_seats=seats, moved=moved)


async def run_round(bench: Bench, moment: Moment) -> dict[str, Any]:
    """One round, in order. Returns the line it wrote into the journal.

    Once a round is remembered its line is written, whatever becomes of its weights.
    """
    finish_held(bench.journal, bench.ledger)
    round = bench.ledger.next_round()
    order = hashlib.blake2b(round.to_bytes(8, "little"), key=bench.seed).digest()
    targets = sample(moment.metagraph.neurons, asker=bench.hotkey, seed=order)
    turn = await next_turn(
        bench.vault,
        bench.chain,
        bench.keypair,
        moment.metagraph,
        moment.schedule,
        tasks=bench.settings.validator.tasks_per_round,
    )
    asked, beacon = await ask(bench.dendrite, bench.subnet, turn, targets), None
    if bench.subnet.audit_rate < 1.0:
        beacon = await next_beacon(
            bench.chain, bench.subnet.audit_rate, since=moment.metagraph.block
        )
        asked = draw(beacon, asked)
    judged = await judge(bench.subnet, asked)
    weights = WeightsReport(problem=CUT_SHORT)
    line = record(
        round=round,
        run=bench.ledger.run,
        time=bench.clock(),
        validator=bench.hotkey,
        moment=moment,
        turn=turn,
        path=bench.subnet.path,
        judged=judged,
        beacon=beacon,
        weights=weights,
        most_bytes=bench.journal.part_bytes,
    )
    bench.vault.withhold(turn, [(item.task.id, item.reply) for item in judged])
    # Whatever ends this process from here on, ledger and journal will agree: see `recovery`.
    bench.journal.hold(line)
    standings = await remember(bench, round, moment, judged, targets)
    try:
        weights = await set_weights_at_last(bench, moment, standings.scores)
        bench.watch.set_weights(weights, moment.schedule.epochs)
    finally:
        line |= {
            "time": bench.clock(),
            "scores": dict(standings.scores),
            **standings.line(),
            "weights": dataclasses.asdict(weights),
        }
        bench.journal.append_held(line)
    bench.sinks.write(line)
    answered = sum(item.reply.answer is not None for item in judged)
    bench.watch.round_over(len(judged), answered)
    log.info(
        "round %d, block %d: %d of %d answered, weights %s",
        round,
        moment.metagraph.block,
        answered,
        len(judged),
        weights.problem
        or ("burned, " if weights.burned else "")
        + ("committed" if weights.found is None else "read back" if weights.read_back else "set"),
    )
    return line
