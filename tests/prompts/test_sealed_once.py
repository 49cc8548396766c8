"""An epoch has one set of questions: whatever becomes of the process, its disk and the schedule."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from chain.client import Chain
from chain.client.calls import admin, batch
from chain.errors import ChainAway
from chain.runtime.pallets.subtensor import storage
from chain.types import NetUid
from tests.neurons.ground import ALICE
from tests.patience import PATIENCE_S
from tests.prompts.town import HOTKEY, TEMPO, Sums, Town, town
from validators.audit.roots import find_commitments
from validators.bench import Bench
from validators.loop import next_moment, publish, run_round, seal
from validators.moment import Moment, next_start
from validators.prompts.leaf import Statement
from validators.prompts.posting import QuestionsSpent, next_turn
from validators.prompts.vault import Vault

Lines = list[dict[str, Any]]


async def roots(place: Town) -> dict[int, set[str]]:
    """All that was ever on the chain, by epoch."""
    found: dict[int, set[str]] = {}
    head = await place.chain.block()
    held = await find_commitments(place.chain, place.netuid, HOTKEY.ss58_address, 1, head)
    for statement in (Statement.parse(data) for item in held for data in item.fields):
        assert statement is not None
        found.setdefault(statement.epoch, set()).add(statement.root.hex())
    return found


async def sealed_once(place: Town) -> bool:
    return all(len(same) == 1 for same in (await roots(place)).values())


def reopened(place: Town, bench: Bench, path: Path | None = None) -> Bench:
    """The same validator in a new process: of its questions only the file is left."""
    vault = Vault(
        bench.subnet,
        seed=b"of another start",
        asked=bench.ledger.was_asked,
        path=place.folder / "sealed.json" if path is None else path,
    )
    return dataclasses.replace(bench, vault=vault)


async def next_of(place: Town, bench: Bench, done: tuple[int, int] | None = None) -> Moment:
    """What the validator's own loop waits for, while blocks come."""
    return await mined(place, asyncio.create_task(next_moment(bench, done)))


async def mined(place: Town, waiting: asyncio.Task[Moment]) -> Moment:
    async with asyncio.timeout(PATIENCE_S):
        while not waiting.done():
            await place.node.mine(1)
            await asyncio.wait([waiting], timeout=0.1)
    return await waiting


async def test_a_restart_asks_no_second_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), rounds_per_epoch=2) as place:
        moment = await next_of(place, place.bench)
        epoch = moment.schedule.epochs
        first = await run_round(place.bench, moment)
        # Killed after its first round: the second turn is the one that was sealed with it.
        bench = reopened(place, place.bench)
        assert bench.vault.left(epoch) == 1
        moment = await next_of(place, bench, (epoch, 0))
        assert (moment.schedule.epochs, moment.last) == (epoch, True)
        second = await run_round(bench, moment)
        assert second["root"] == first["root"] and second["weights"]["set"]
        # Killed again: nothing is left, and the epoch is not over.
        for published in (False, True):
            if published:
                await publish(bench, moment.schedule)
            bench = reopened(place, bench)
            assert bench.vault.left(epoch) == 0
            with pytest.raises(QuestionsSpent):
                await next_turn(
                    bench.vault, place.chain, HOTKEY, moment.metagraph, moment.schedule, tasks=1
                )
        moment = await next_of(place, bench)
        assert moment.schedule.epochs == epoch + 1
        await run_round(bench, moment)
        await run_round(bench, await next_of(place, bench, (epoch + 1, 0)))
        await place.end_epoch(bench)
        assert await sealed_once(place)
        # And the second set follows from the first, across three processes.
        for number in (epoch, epoch + 1):
            found = await place.audit(number)
            assert (found.verdict, found.differences, found.unchecked) == ("honest", [], [])


@pytest.mark.slow
async def test_killed_or_cut_off_before_the_root_was_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        now = await place.now()
        metagraph, schedule = now.metagraph, now.schedule
        start, part = next_start(schedule, rounds_per_epoch=1, done=None)
        async with Chain.connect(place.node.url) as away:
            bench = dataclasses.replace(place.bench, chain=away)
        with pytest.raises(ChainAway):
            await seal(bench, metagraph, schedule, start, part)
        sealing = place.bench.vault.find(schedule.epochs)
        assert sealing is not None and sealing.block is None
        assert await roots(place) == {}
        moment = await next_of(place, reopened(place, place.bench))
        await run_round(place.bench, moment)
        assert await roots(place) == {schedule.epochs: {sealing.tree.root.hex()}}


@pytest.mark.slow
async def test_an_owner_who_moves_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), rounds_per_epoch=2) as place:
        unlimited = admin("sudo_set_admin_freeze_window", window=0)
        limits = admin("sudo_set_owner_hparam_rate_limit", epochs=0)
        await place.chain.submit(batch([unlimited, limits]), ALICE)
        schedule = await place.chain.schedule(place.netuid)
        # Started in the second half: one turn is sealed. Then the cycle begins anew.
        await place.node.mine(schedule.last_block + TEMPO // 2 - schedule.block)
        moment = await next_of(place, place.bench)
        epoch = moment.schedule.epochs
        assert moment.last and place.bench.vault.left(epoch) == 1
        tempo = admin("sudo_set_tempo", netuid=place.netuid, tempo=2 * TEMPO)
        await place.chain.submit(tempo, ALICE)
        moment = await next_of(place, place.bench)
        assert (moment.schedule.epochs, moment.part, moment.last) == (epoch, 0, True)
        await run_round(place.bench, moment)
        # There is time for another part, and there are no questions for it.
        moment = await next_of(place, place.bench, (epoch, 0))
        assert (moment.schedule.epochs, moment.part) == (epoch + 1, 0)
        await run_round(place.bench, moment)
        # The next epoch comes before this one's second part: it gets all its turns.
        key = storage.PendingEpochAt._key(NetUid(place.netuid))
        early = moment.schedule.last_block + TEMPO // 2
        place.node.set_storage({key: storage.PendingEpochAt.value.encode(early)})
        moment = await next_of(place, place.bench, (epoch + 1, 0))
        assert (moment.schedule.epochs, moment.part) == (epoch + 2, 0)
        assert place.bench.vault.left(epoch + 2) == 2
        await run_round(place.bench, moment)
        assert await sealed_once(place)
        assert (await place.audit(epoch)).verdict == "honest"


@pytest.mark.slow
async def test_an_epoch_that_is_due_and_has_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain runs few epochs in one block, and short ones are due together."""
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await next_of(place, place.bench)
        epoch = moment.schedule.epochs
        await run_round(place.bench, moment)
        (key,) = (storage.MaxEpochsPerBlock._key(),)
        place.node.set_storage({key: storage.MaxEpochsPerBlock.value.encode(0)})
        waiting = asyncio.create_task(next_moment(place.bench, (epoch, 0)))
        for _ in range(2 * TEMPO):
            await place.node.mine(1)
            await asyncio.wait([waiting], timeout=0.05)
        assert (await place.chain.schedule(place.netuid)).epochs == epoch
        assert not waiting.done()
        place.node.set_storage({key: storage.MaxEpochsPerBlock.value.encode(2)})
        moment = await mined(place, waiting)
        assert moment.schedule.epochs == epoch + 1
        await run_round(place.bench, moment)
        assert await sealed_once(place)
