"""Run one validator: open its memory, the chain, the wire and the judge's model, and run rounds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bittensor_core import Keypair

from chain.client.chain import Chain
from chain.errors import ChainAway, ChainError
from subnet.config import ValidatorSettings, open_hotkey
from subnet.definition import Subnet, load
from subnet.errors import EngineAway, NotRegistered, SubnetError
from subnet.pages import Readiness, cannot_listen, pages
from subnet.race import race
from subnet.seat import guard_coldkey, take_seat
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from validators.alerts import Alerts
from validators.bench import Bench
from validators.commits import Commits
from validators.explain import Recent
from validators.explaining import Secret, explaining, publishing, secret_of
from validators.health import families, health, readiness
from validators.journal import FILE_NAME as JOURNAL
from validators.journal import MIB, Journal
from validators.landing import Gate, Landing
from validators.lease import Lease, open_lease
from validators.ledger import FILE_NAME, Ledger
from validators.loop import run_rounds
from validators.memory import reach
from validators.prompts.secret import open_secret, stream_seed
from validators.prompts.vault import Vault
from validators.record import code_of
from validators.recovery import recover
from validators.rows import RETRY_S
from validators.sinks import OtelSink, Sink, WandbSink, open_sinks
from validators.steady import steady
from validators.watch import LEAST_LIMIT_S, Watch
from validators.watchdog import Fuse, Watchdog

log = logging.getLogger(__name__)


async def validate(
    settings: ValidatorSettings,
    *,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.time,
    bite: Callable[[str], None] | None = None,
    fuse: Fuse | None = None,
) -> None:
    """Validate until `stop` is set. `clock` is Unix time, for what is written down.

    `bite` ends the process: a watchdog's thread calls it with the reason when nothing goes on, and
    `fuse` does when not even that thread can run.
    Raises what cannot be mended: settings, wallet, model, state, no seat, no chain at the start,
    weights that do not land, a lease that is lost.
    """
    await race(stop.wait(), _lead(settings, clock, bite, fuse))


async def _lead(
    settings: ValidatorSettings,
    clock: Callable[[], float],
    bite: Callable[[str], None] | None,
    fuse: Fuse | None,
) -> None:
    """Watch over the validator and, where there is a lease, wait for it before anything else."""
    guard_coldkey(settings.network)
    keypair = open_hotkey(settings.network)
    table, hotkey = settings.validator, str(keypair.ss58_address)
    url = None if table.alerts is None else table.alerts.get_secret_value()
    alerts = Alerts(url, facts={"netuid": settings.netuid, "validator": hotkey}, clock=clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(alerts.close)
        biting = None if bite is None else partial(_bite_aloud, alerts, bite)
        watchdog = await stack.enter_async_context(
            Watchdog(biting, loop_s=table.loop_limit_s, fuse=fuse)
        )
        watch = Watch(
            gate=Gate(table.first_weights),
            landing=Landing(table.not_landed_epochs, LEAST_LIMIT_S),
            alerts=alerts,
            watchdog=watchdog,
            round_limit_s=table.round_limit_s,
            clock=steady(clock),
        )
        await stack.enter_async_context(_pages(settings, watch))
        try:
            if table.lease is None:
                await _validate(settings, keypair, clock, watch, None)
                return
            lease = await stack.enter_async_context(
                open_lease(
                    table.lease, netuid=settings.netuid, hotkey=hotkey, lease_s=table.lease_s
                )
            )
            watch.standby = True
            await lease.acquire()
            watch.standby = False
            await race(lease.keep(), _validate(settings, keypair, clock, watch, lease))
        except Exception as error:
            known = isinstance(error, (ChainError, SubnetError))
            alerts.tell("ended", str(error) if known else f"a bug: {type(error).__name__}")
            raise


def _bite_aloud(alerts: Alerts, bite: Callable[[str], None], problem: str) -> None:
    """Called by the watchdog's thread: say it, which takes a few seconds at most, and end."""
    try:
        alerts.tell_last("stalled", problem)
    finally:
        bite(problem)


@asynccontextmanager
async def _pages(settings: ValidatorSettings, watch: Watch) -> AsyncIterator[None]:
    table = settings.validator
    if table.metrics_port is None:
        yield
        return

    async def is_ready() -> Readiness:
        return readiness(watch)

    async def is_well() -> Readiness:
        return health(watch)

    async with AsyncExitStack() as stack:
        opening = pages(
            table.metrics_host,
            table.metrics_port,
            readiness=is_ready,
            health=is_well,
            collect=lambda: families(watch),
        )
        try:
            host, port = await stack.enter_async_context(opening)
        except OSError as error:
            name = "validator.metrics_port"
            raise cannot_listen(name, table.metrics_host, table.metrics_port, error) from error
        log.info("health and metrics on http://%s:%d", host, port)
        yield


async def _validate(
    settings: ValidatorSettings,
    keypair: Keypair,
    clock: Callable[[], float],
    watch: Watch,
    lease: Lease | None,
) -> None:
    """Open all that rounds work with, and run them."""
    table, hotkey = settings.validator, str(keypair.ss58_address)
    subnet = load(
        settings.subnet.definition,
        model_sha256=settings.model.sha256,
        engine=settings.engine,
    )
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        memory = stack.enter_context(_remembering(settings, subnet, clock))
        chain = await enter(Chain.connect(settings.network.endpoint))
        await enter(_explaining(settings, keypair, chain, memory))
        limits = Limits(sockets=table.in_flight)
        dendrite = await enter(
            Dendrite(keypair, allow_private=settings.network.local, limits=limits)
        )
        sinks = await enter(open_sinks(*_factories(settings, memory.folder, hotkey)))
        watch.dropped = lambda: sinks.dropped

        def bench(opening: int) -> Bench:
            seed = stream_seed(memory.secret, memory.ledger.run, opening)
            path = memory.folder / "sealed.json"
            return Bench(
                settings=settings,
                keypair=keypair,
                chain=chain,
                dendrite=dendrite,
                subnet=subnet,
                vault=Vault(subnet, seed=seed, asked=memory.ledger.was_asked, path=path),
                ledger=memory.ledger,
                commits=memory.commits,
                journal=memory.journal,
                sinks=sinks,
                seed=seed,
                clock=clock,
                watch=watch,
                lease=lease,
            )

        await _run_always(settings, hotkey, subnet, chain, bench)


async def _run_always(
    settings: ValidatorSettings,
    hotkey: str,
    subnet: Subnet[Any, Any],
    chain: Chain,
    bench: Callable[[int], Bench],
) -> None:
    """Take the seat, open the judge's model and run rounds; again, when one of them goes away.

    What is away before the first round is raised: somebody is there to see it. `bench` makes one
    for each time the model is opened.
    """
    wait, opening = settings.validator.wait, 0
    while True:
        try:
            await take_seat(chain, settings.network, settings.netuid, hotkey, wait=wait)
            await _compare_hyperparameters(chain, settings)
            async with subnet.judge():
                opening += 1
                await run_rounds(bench(opening))
        except NotRegistered:
            if not wait:
                raise
        except (EngineAway, ChainAway) as error:
            if opening == 0:
                raise
            log.warning("%s; beginning again", error)
            await asyncio.sleep(RETRY_S[0])


@dataclass(frozen=True, slots=True)
class _Memory:
    """What outlives this process, and is in its folder."""

    folder: Path
    ledger: Ledger
    commits: Commits
    journal: Journal
    recent: Recent
    """The newest rounds of the journal, for miners that ask."""
    secret: bytes
    tls: Secret | None
    """What explanations are served with, where they are."""


@contextmanager
def _remembering(
    settings: ValidatorSettings, subnet: Subnet[Any, Any], clock: Callable[[], float]
) -> Iterator[_Memory]:
    """Open it, and see to it that ledger and journal agree. Raises StateError, InvalidSetting."""
    table, folder = settings.validator, settings.state_folder()
    recent = Recent(burn=settings.weights.burn)
    with ExitStack() as stack:
        ledger = stack.enter_context(
            Ledger(
                folder / FILE_NAME,
                half_life_rounds=settings.weights.half_life_rounds,
                clock=clock,
                keep_rounds=reach(subnet.memory),
            )
        )
        # Under the ledger's lock: one process alone has this folder.
        journal = stack.enter_context(
            Journal(
                folder / JOURNAL,
                code=code_of(subnet),
                most_bytes=table.journal_mib * MIB,
                clock=clock,
                watch=recent.note if table.explain_port is not None else None,
            )
        )
        recover(journal, ledger, clock=clock)
        yield _Memory(
            folder=folder,
            ledger=ledger,
            commits=Commits(folder / "commits.json"),
            journal=journal,
            recent=recent,
            secret=open_secret(folder / "secret", table.seed, run=ledger.run),
            tls=secret_of(table, folder),
        )


@asynccontextmanager
async def _explaining(
    settings: ValidatorSettings, keypair: Keypair, chain: Chain, memory: _Memory
) -> AsyncIterator[None]:
    """Explain scores to miners that ask, and publish where, as the settings say."""
    table = settings.validator
    async with AsyncExitStack() as stack:
        if table.explain_port is not None:
            where = (table.explain_host, table.explain_port)
            path, recent = memory.journal.path, memory.recent
            await stack.enter_async_context(
                explaining(keypair, recent, path, *where, secret=memory.tls)
            )
        if table.explain_address is not None and memory.tls is not None:
            address = table.explain_address
            await stack.enter_async_context(
                publishing(chain, keypair, settings.netuid, address, memory.tls)
            )
        yield


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
) -> tuple[Callable[[], Sink], ...]:
    table = settings.validator
    facts = {
        "netuid": settings.netuid,
        "validator": hotkey,
        "definition": settings.subnet.definition,
        "half_life_rounds": settings.weights.half_life_rounds,
    }
    factories: list[Callable[[], Sink]] = []
    if table.wandb != "off":
        name = f"netuid-{settings.netuid}-{hotkey[:8]}"
        factories.append(
            partial(WandbSink, folder / "wandb", mode=table.wandb, run_name=name, facts=facts)
        )
    if table.otlp is not None:
        factories.append(partial(OtelSink, table.otlp, facts=facts))
    return tuple(factories)
