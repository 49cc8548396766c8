"""A validator that copies: it asks nobody, and sets what it reads of the others on the chain.

The demo's cheat among validators, a process of its own: `python -m subnet.cli.demo.copier`, with
the settings of a validator in the environment. It plays by the chain's rules, and does what pays a
copier most: each epoch it waits until the others have revealed, and takes the mean of their rows
by stake, which is what the consensus was. Its journal has a validator's lines, without questions.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

from bittensor_core import Keypair

from chain.client import Chain, Metagraph, Schedule
from chain.errors import ChainAway
from subnet.cli.neuron import run
from subnet.config import ValidatorSettings, open_hotkey
from subnet.race import race
from validators.commits import Commits, Settled, settle
from validators.journal import Journal
from validators.weights import Hiding, WeightsReport, set_weights

log = logging.getLogger(__name__)

PATIENCE_BLOCKS = 40
"""After an epoch, before it looks: by then the others have revealed."""
LOOK_BLOCKS = 10
RETRY_S = 1.0


async def copy(settings: ValidatorSettings, *, stop: asyncio.Event) -> None:
    """Copy until `stop` is set."""
    await race(stop.wait(), _copy(settings))


async def _copy(settings: ValidatorSettings) -> None:
    hotkey, folder = open_hotkey(settings.network), settings.state_folder()
    commits = Commits(folder / "commits.json")
    with Journal(folder / "journal.jsonl") as journal:
        async with Chain.connect(settings.network.endpoint) as chain:
            copier = Copier(settings, hotkey, chain, commits, journal)
            while True:
                try:
                    await copier.look()
                except ChainAway as error:
                    log.warning("%s", error)
                    await asyncio.sleep(RETRY_S)


class Copier:
    """One copier at its work. Not to be restarted: it counts its rounds from 1."""

    def __init__(
        self,
        settings: ValidatorSettings,
        hotkey: Keypair,
        chain: Chain,
        commits: Commits,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._hotkey = hotkey
        self._chain = chain
        self._commits = commits
        self._journal = journal
        self._rounds = 0
        self._done = -1

    async def look(self) -> None:
        """Reveal what is due, copy if it is time, and wait for the next look."""
        chain, netuid = self._chain, self._settings.netuid
        metagraph = await chain.metagraph(netuid)
        schedule = await chain.schedule(netuid, metagraph.block)
        await settle(chain, self._hotkey, self._commits, metagraph, schedule, self._note)
        me = metagraph.find(self._hotkey.ss58_address)
        start = schedule.last_block + PATIENCE_BLOCKS
        if me is not None and me.permit and schedule.epochs != self._done:
            if schedule.block >= start:
                await self._copy(metagraph, schedule, me.uid)
                self._done = schedule.epochs
                return
            await chain.wait_for_block(min(start, schedule.block + LOOK_BLOCKS))
            return
        await chain.wait_for_block(schedule.block + LOOK_BLOCKS)

    def _note(self, settled: Settled) -> None:
        self._journal.append({**settled.line(), "time": time.time()})

    async def _copy(self, metagraph: Metagraph, schedule: Schedule, uid: int) -> None:
        rows = [
            (int(neuron.stake), await self._chain.weights(metagraph.netuid, neuron.uid))
            for neuron in metagraph.neurons
            if neuron.permit and neuron.uid != uid
        ]
        weights = mean_row(rows)
        report = WeightsReport(problem="nobody has set weights yet")
        self._rounds += 1
        if weights:
            settings = await self._chain.hyperparameters(metagraph.netuid)
            hiding = Hiding(self._settings.commit_call, self._commits, self._rounds, metagraph)
            report = await set_weights(
                self._chain,
                self._hotkey,
                metagraph.netuid,
                uid,
                weights,
                owner=None,
                version_key=self._settings.weights.version_key,
                hiding=hiding if settings.commit_reveal_weights_enabled else None,
            )
        log.info("round %d: %s", self._rounds, report.problem or f"copied {report.meant}")
        self._journal.append(
            {
                "kind": "round",
                "round": self._rounds,
                "time": time.time(),
                "netuid": metagraph.netuid,
                "validator": self._hotkey.ss58_address,
                "block": schedule.block,
                "epoch": schedule.epochs,
                "tasks": [],
                "replies": [],
                "scores": {},
                "weights": dataclasses.asdict(report),
            }
        )


def mean_row(rows: Sequence[tuple[int, Mapping[int, int]]]) -> dict[int, float]:
    """The mean of the (stake, row) by stake, each row first made to sum to 1; empty ones left out.

    Empty when nobody has a row.
    """
    mean: dict[int, float] = {}
    whole = sum(stake for stake, row in rows if any(row.values()))
    for stake, row in rows:
        total = sum(row.values())
        for uid, value in row.items() if total and whole else ():
            mean[uid] = mean.get(uid, 0.0) + stake / whole * value / total
    return {uid: weight for uid, weight in mean.items() if weight > 0}


if __name__ == "__main__":
    run(copy, ValidatorSettings, None, {})
