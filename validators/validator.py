"""Run one validator: open its memory, the chain, the wire and the judge's model, and run rounds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from chain.client.chain import Chain
from chain.errors import ChainAway
from subnet.config import ValidatorSettings, open_hotkey
from subnet.definition import load
from subnet.errors import EngineAway, NotRegistered
from subnet.race import race
from subnet.seat import guard_coldkey, take_seat
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from validators.commits import Commits
from validators.journal import Journal
from validators.ledger import Ledger
from validators.loop import RETRY_S, Bench, run_rounds
from validators.prompts.secret import open_secret, stream_seed
from validators.prompts.vault import Vault
from validators.sinks import WandbSink, open_sinks

log = logging.getLogger(__name__)


async def validate(
    settings: ValidatorSettings,
    *,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.time,
) -> None:
    """Validate until `stop` is set. `clock` is Unix time, for what is written down.

    Raises what cannot be mended: settings, wallet, model, state, no seat, no chain at the start.
    """
    await race(stop.wait(), _validate(settings, clock))


async def _validate(settings: ValidatorSettings, clock: Callable[[], float]) -> None:
    netuid = settings.netuid
    guard_coldkey(settings.network)
    keypair = open_hotkey(settings.network)
    hotkey = str(keypair.ss58_address)
    subnet = load(settings.subnet.definition, model_sha256=settings.model.sha256)
    table, folder = settings.validator, settings.state_folder()

    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(
            Ledger(
                folder / "ledger.sqlite",
                half_life_rounds=settings.weights.half_life_rounds,
                clock=clock,
            )
        )
        # Under the ledger's lock: one process alone has this folder.
        commits = Commits(folder / "commits.json")
        journal = stack.enter_context(Journal(folder / "journal.jsonl"))
        secret = open_secret(folder / "secret", table.seed, run=ledger.run)
        chain = await stack.enter_async_context(Chain.connect(settings.network.endpoint))
        limits = Limits(sockets=table.in_flight)
        dendrite = await stack.enter_async_context(
            Dendrite(keypair, allow_private=settings.network.local, limits=limits)
        )
        sinks = await stack.enter_async_context(open_sinks(*_factories(settings, folder, hotkey)))

        opening = 0
        while True:
            try:
                await take_seat(chain, settings.network, netuid, hotkey, wait=table.wait)
                await _compare_hyperparameters(chain, settings)
                seed = stream_seed(secret, ledger.run, opening)
                async with subnet.judge():
                    opening += 1
                    await run_rounds(
                        Bench(
                            settings=settings,
                            keypair=keypair,
                            chain=chain,
                            dendrite=dendrite,
                            subnet=subnet,
                            vault=Vault(subnet, seed=seed, asked=ledger.was_asked),
                            ledger=ledger,
                            commits=commits,
                            journal=journal,
                            sinks=sinks,
                            seed=seed,
                            clock=clock,
                        )
                    )
            except NotRegistered:
                if not table.wait:
                    raise
            except EngineAway as error:
                if opening == 0:
                    raise
                log.error("%s; opening the judge's model again", error)
                await asyncio.sleep(RETRY_S[0])
            except ChainAway as error:
                if opening == 0:
                    raise
                log.warning("%s", error)
                await asyncio.sleep(RETRY_S[0])


async def _compare_hyperparameters(chain: Chain, settings: ValidatorSettings) -> None:
    """Warn where the chain and the subnet's public file disagree."""
    found = await chain.hyperparameters(settings.netuid)
    for name, meant in settings.hyperparameters.model_dump(exclude_none=True).items():
        if getattr(found, name) != meant:
            log.warning(
                "the chain says %s = %s; [hyperparameters] says %s",
                name,
                getattr(found, name),
                meant,
            )


def _factories(
    settings: ValidatorSettings, folder: Path, hotkey: str
) -> tuple[Callable[[], WandbSink], ...]:
    mode = settings.validator.wandb
    if mode == "off":
        return ()
    facts = {
        "netuid": settings.netuid,
        "validator": hotkey,
        "definition": settings.subnet.definition,
        "half_life_rounds": settings.weights.half_life_rounds,
    }
    name = f"netuid-{settings.netuid}-{hotkey[:8]}"
    return (partial(WandbSink, folder / "wandb", mode=mode, run_name=name, facts=facts),)
