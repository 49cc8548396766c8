"""A validator's rounds: wait for the next one, then ask, judge, remember, set weights, write down.

A round pins the chain once. What one miner sends can fail only that miner's own question; what
fails a whole round is logged and followed by another round.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bittensor_core import Keypair

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from chain.errors import ChainAway
from scoring.shaping import burn
from subnet.config import ValidatorSettings
from subnet.definition import Subnet
from subnet.errors import DefinitionError, EngineAway, NotRegistered, StateError
from subnet.protocol import Reply, Target, Task
from subnet.seat import buying_command
from subnet.wire.dendrite import Dendrite
from validators.commits import Commits, Settled, settle
from validators.journal import Journal
from validators.judge import Judged, judge
from validators.ledger import Ledger, Outcome
from validators.moment import Moment, next_start
from validators.prompts.vault import Vault, digest
from validators.record import record
from validators.sampler import sample
from validators.sinks import Sinks
from validators.weights import Hiding, WeightsReport, block_to_set, find_landed, set_weights

log = logging.getLogger(__name__)

LOOK_BLOCKS = 20
"""While waiting, the schedule is read again this often: an owner can move the next epoch."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after failed rounds in a row; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a round works with; the validator opens and closes it."""

    settings: ValidatorSettings
    keypair: Keypair
    chain: Chain
    dendrite: Dendrite
    subnet: Subnet[Any, Any]
    vault: Vault[Any, Any]
    ledger: Ledger
    commits: Commits
    journal: Journal
    sinks: Sinks
    seed: bytes
    clock: Callable[[], float]
    """Unix time in seconds, for the journal."""

    @property
    def hotkey(self) -> str:
        """This validator's hotkey (ss58)."""
        return str(self.keypair.ss58_address)

    @property
    def netuid(self) -> int:
        """The subnet it validates."""
        return self.settings.netuid


async def run_rounds(bench: Bench) -> None:
    """Round after round until cancelled.

    Raises what another round would not mend: EngineAway (open the judge's model again),
    NotRegistered (the seat is gone), StateError (nothing can be remembered) and DefinitionError
    (there is nothing to ask).
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
        except (DefinitionError, EngineAway, NotRegistered, StateError):
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
        if me.permit:
            start, part = next_start(schedule, rounds_per_epoch=rounds, done=done)
            if start <= schedule.block:
                return Moment(metagraph, schedule, part, last=part == rounds - 1)
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
        line = {**settled.line(), "run": bench.ledger.run, "time": bench.clock()}
        bench.journal.append(line)

    await settle(bench.chain, bench.keypair, bench.commits, metagraph, schedule, note)


async def ask(
    bench: Bench, tasks: Sequence[Task[Any]], targets: Sequence[Target]
) -> list[tuple[Task[Any], Reply[Any]]]:
    """Every task to every target; the dendrite keeps only few of them in flight."""
    pairs = [(task, target) for task in tasks for target in targets]
    replies = await bench.dendrite.ask(
        [target for _, target in pairs],
        bench.subnet.path,
        [task.challenge for task, _ in pairs],
        bench.subnet.answer,
        timeout_s=bench.subnet.timeout_s,
    )
    return [(task, reply) for (task, _), reply in zip(pairs, replies, strict=True)]


def remember(bench: Bench, round: int, moment: Moment, judged: Sequence[Judged]) -> None:
    """Write the round into the ledger, by hotkey."""
    bench.ledger.remember(
        round,
        block=moment.metagraph.block,
        epoch=moment.schedule.epochs,
        digests={digest(item.task.challenge) for item in judged},
        outcomes=[
            Outcome(item.reply.hotkey, item.judgement.score, item.reply.answer is not None)
            for item in judged
        ],
    )


def standing(bench: Bench, targets: Sequence[Target]) -> dict[str, float]:
    """What is remembered of every hotkey that can be asked; who cannot be asked earns nothing."""
    evidence = bench.ledger.evidence()
    asked = {target.hotkey for target in targets}
    return {hotkey: known.score for hotkey, known in evidence.items() if hotkey in asked}


async def set_weights_if_due(
    bench: Bench, moment: Moment, scores: Mapping[str, float]
) -> WeightsReport:
    """Turn scores into weights and set them, after the last round of an epoch."""
    if not moment.last:
        return WeightsReport(problem="not yet: another round follows in this epoch")
    while True:
        # Seats are looked up again, and after every wait: one that changed hands must not inherit.
        metagraph = await bench.chain.metagraph(bench.netuid)
        me = metagraph.find(bench.hotkey)
        if me is None:
            return WeightsReport(problem="the seat was lost during the round")
        schedule = await bench.chain.schedule(bench.netuid, metagraph.block)
        settings = await bench.chain.hyperparameters(bench.netuid, metagraph.block)
        hiding = None
        if settings.commit_reveal_weights_enabled:
            call = bench.settings.commit_call
            hiding = Hiding(call, bench.commits, bench.ledger.next_round() - 1, metagraph)
            landed = await find_landed(bench.chain, bench.keypair, hiding)
            if landed is not None:
                return landed
        block = block_to_set(
            schedule, last_update=me.last_update, rate_limit=settings.weights_rate_limit
        )
        if block is None:
            return WeightsReport(problem="the chain takes no more weights in this epoch")
        if block <= schedule.block:
            break
        await bench.chain.wait_for_block(block)
    owner = metagraph.find(metagraph.owner_hotkey)
    owner_uid = None if owner is None else owner.uid
    by_uid = {n.uid: scores[n.hotkey] for n in metagraph.neurons if n.hotkey in scores}
    return await set_weights(
        bench.chain,
        bench.keypair,
        bench.netuid,
        me.uid,
        burn(bench.subnet.weights(by_uid), owner_uid, bench.settings.weights.burn),
        owner=owner_uid,
        version_key=bench.settings.weights.version_key,
        hiding=hiding,
    )


async def set_weights_at_last(
    bench: Bench, moment: Moment, scores: Mapping[str, float]
) -> WeightsReport:
    """As above, however often the chain goes away meanwhile: nothing else can be done without."""
    for pause in itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1])):
        try:
            return await set_weights_if_due(bench, moment, scores)
        except ChainAway as error:
            log.warning("%s; the weights will be tried again", error)
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def run_round(bench: Bench, moment: Moment) -> dict[str, Any]:
    """One round, in order. Returns the line it wrote into the journal.

    Once a round is remembered its line is written, whatever becomes of its weights.
    """
    round = bench.ledger.next_round()
    order = hashlib.blake2b(round.to_bytes(8, "little"), key=bench.seed).digest()
    targets = sample(moment.metagraph.neurons, asker=bench.hotkey, seed=order)
    tasks = await bench.vault.take(bench.settings.validator.tasks_per_round)
    judged = await judge(bench.subnet, await ask(bench, tasks, targets))
    remember(bench, round, moment, judged)
    scores = standing(bench, targets)
    weights = WeightsReport(problem="the round was cut short before its weights")
    try:
        weights = await set_weights_at_last(bench, moment, scores)
    finally:
        line = record(
            round=round,
            run=bench.ledger.run,
            time=bench.clock(),
            validator=bench.hotkey,
            moment=moment,
            tasks=tasks,
            judged=judged,
            scores=scores,
            weights=weights,
        )
        bench.journal.append(line)
    await bench.sinks.write(line)
    log.info(
        "round %d, block %d: %d of %d answered, weights %s",
        round,
        moment.metagraph.block,
        sum(item.reply.answer is not None for item in judged),
        len(judged),
        weights.problem
        or ("burned, " if weights.burned else "")
        + ("committed" if weights.found is None else "read back" if weights.read_back else "set"),
    )
    return line
