"""Run one miner: take the seat, open the model, serve the axon, publish it, drain at the end.

While it serves, the miner keeps looking at the chain: who may call, whether its address is still
the published one, whether its seat is still its own. The chain may go away meanwhile: who is
served then, and how long, is the policy's. Knows nothing of what is asked and answered: the
definition does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bittensor_core import Keypair

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from chain.errors import ChainAway, ChainRefused
from miners.crew import Crew
from miners.desk import Desk
from miners.front import (
    Alone,
    Front,
    axon_of,
    find_store_problem,
    nonces_of,
    policy_of,
    receipts_of,
    store_of,
    tls_of,
)
from miners.health import Figures, families
from subnet.config import MinerSettings, open_hotkey
from subnet.definition import MinerOptions, Subnet, load
from subnet.errors import InvalidSetting, NotRegistered
from subnet.pages import Readiness, cannot_listen, pages
from subnet.race import race
from subnet.seat import buying_command, guard_coldkey, take_seat
from subnet.wire.listener import bind
from subnet.wire.policy import Freshness, PermitPolicy
from subnet.wire.shared import SharedStore
from subnet.wire.tls import NO_KEY

log = logging.getLogger(__name__)

LOCAL_HOST = "127.0.0.2"
"""Published on a local network: the chain refuses 127.0.0.1, and takes its neighbours."""
LOOK_BLOCKS = 20
"""Blocks between two looks at the chain: an owner can move the next epoch."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses while the chain is away, after so many failures in a row; the last one repeats."""
STAGE_S = 0.5
"""Between two looks at how old the knowledge of the chain is."""

_STAGES = {
    Freshness.FRESH: (logging.INFO, "callers are judged by what the chain says now"),
    Freshness.DEGRADED: (logging.WARNING, "callers are judged by what was known then"),
    Freshness.KNOWN_ONLY: (logging.WARNING, "only callers that asked before are answered"),
    Freshness.CLOSED: (logging.ERROR, "nobody is answered until the chain is back"),
}


@dataclass(frozen=True)
class _Published:
    """What the chain shall say of this miner."""

    host: str
    port: int
    tls_key: bytes | None


@dataclass
class _Miner:
    """One miner's parts, while it runs."""

    settings: MinerSettings
    keypair: Keypair
    subnet: Subnet[Any, Any]
    desk: Desk
    policy: PermitPolicy
    front: Front
    store: SharedStore | None
    tls_key: bytes | None
    draining: bool = False


async def serve(
    settings: MinerSettings, *, stop: asyncio.Event, worker: Sequence[str] = ()
) -> None:
    """Mine until `stop` is set. Raises what cannot be mended: settings, wallet, model, no seat.

    `worker` is the command that starts one worker; see `crew.Crew`.
    """
    await race(stop.wait(), _mine(settings, worker))


async def _mine(settings: MinerSettings, command: Sequence[str]) -> None:
    netuid, table = settings.netuid, settings.miner
    guard_coldkey(settings.network)
    keypair = open_hotkey(settings.network)
    hotkey = keypair.ss58_address
    subnet = load(
        settings.subnet.definition,
        model_sha256=settings.model.sha256,
        engine=settings.engine,
    )
    options = MinerOptions(hotkey, table.behaviour, table.model_file, table.allow_other_weights)
    # What cannot be published or served is said before any work.
    published_address(settings, table.port)
    policy, secret, store = policy_of(table), tls_of(settings), store_of(table, hotkey)
    desk = Desk()

    async with (
        nonces_of(store) as nonces,
        Chain.connect(settings.network.endpoint) as chain,
        contextlib.AsyncExitStack() as stack,
    ):
        front: Front
        if table.workers > 1:
            front = Crew(settings, command, subnet, policy, desk.answer)
        else:
            receipts = stack.enter_context(receipts_of(table))
            axon = axon_of(settings, keypair, subnet, policy, nonces, desk.answer, receipts)
            front = Alone(axon, secret and secret[0])
        key = secret and secret[1]
        miner = _Miner(settings, keypair, subnet, desk, policy, front, store, key)
        await take_seat(chain, settings.network, netuid, hotkey, wait=table.wait)
        await race(desk.keep_open(subnet, options), _attend(miner, chain))


async def _attend(miner: _Miner, chain: Chain) -> None:
    """Serve once the model is open, and look after it until cancelled; then drain."""
    table = miner.settings.miner
    async with _pages(miner):
        await miner.desk.opened.wait()
        try:
            listener = bind(table.host, table.port)
        except OSError as error:
            problem = f"cannot listen on {table.host}:{table.port}: {error.strerror or error}"
            raise InvalidSetting("miner.host", "the settings", problem) from error
        host, port = listener.getsockname()[:2]
        try:
            await miner.front.start(listener)
            address = _Published(*published_address(miner.settings, port), miner.tls_key)
            log.info(
                "%s miner serves %s on %s:%d%s",
                table.behaviour, miner.subnet.path, host, port, " with TLS" if table.tls else "",
            )  # fmt: skip
            await race(_watch(miner, chain, address), _tell_stages(miner.policy))
        finally:
            miner.draining = True
            await miner.front.stop(table.drain_s)


async def _watch(miner: _Miner, chain: Chain, address: _Published) -> None:
    """Look at the chain after every epoch, and in between; act on what is seen."""
    settings, failures, progress = miner.settings, 0, Progress()
    while True:
        try:
            metagraph = await chain.metagraph(settings.netuid)
            neurons = {n.hotkey: (int(n.stake), n.permit) for n in metagraph.neurons}
            miner.policy.update(neurons, age_s=progress.age_s(metagraph.block))
            miner.front.callers_changed()
            next_epoch = (await chain.schedule(settings.netuid, metagraph.block)).next_block
            if not any(neuron.permit for neuron in metagraph.neurons):
                log.info("nobody has a permit to ask yet; permit at block %s", next_epoch)
            await _publish(miner, chain, metagraph, address)
            soon = metagraph.block + LOOK_BLOCKS
            soon = soon if next_epoch is None else min(soon, max(next_epoch, metagraph.block + 1))
            await _pause(chain, soon, settings.miner.refresh_s)
            failures = 0
        except (ChainAway, ChainRefused) as error:  # a node may lag, prune or ration its answers
            log.warning("%s; will try again", error)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1


class Progress:
    """How long a chain has stood still: a node that is stuck answers, with what was long ago."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._block = -1
        self._since = clock()

    def age_s(self, block: int) -> float:
        """Seconds since a block as new as this was first seen."""
        if block > self._block:
            self._block, self._since = block, self._clock()
        return self._clock() - self._since


async def _tell_stages(policy: PermitPolicy) -> None:
    """Say it whenever the knowledge of the chain is trusted less, or again."""
    told = Freshness.NONE
    while True:
        now = policy.freshness
        if now is not told and now in _STAGES:
            level, text = _STAGES[now]
            log.log(level, "metagraph %s, %.0f s old: %s", now.value, policy.age_s or 0.0, text)
            told = now
        await asyncio.sleep(STAGE_S)


# Pages for whoever runs the miner


@asynccontextmanager
async def _pages(miner: _Miner) -> AsyncIterator[None]:
    table = miner.settings.miner
    if table.metrics_port is None:
        yield
        return

    async def readiness() -> Readiness:
        return await _readiness(miner)

    async with contextlib.AsyncExitStack() as stack:
        opening = pages(
            table.metrics_host,
            table.metrics_port,
            readiness=readiness,
            collect=lambda: families(_figures(miner)),
        )
        try:
            host, port = await stack.enter_async_context(opening)
        except OSError as error:
            taken = cannot_listen(
                "miner.metrics_port", table.metrics_host, table.metrics_port, error
            )
            raise taken from error
        log.info("health and metrics on http://%s:%d", host, port)
        yield


async def _readiness(miner: _Miner) -> Readiness:
    freshness, store = miner.policy.freshness, await find_store_problem(miner.store)
    workers = miner.settings.miner.workers
    reasons = {
        "draining": miner.draining,
        "the model is being opened": not miner.desk.open,
        "the chain was not seen yet": freshness is Freshness.NONE,
        "the chain was not seen for too long": freshness is Freshness.CLOSED,
        f"Redis is away: {store}": store is not None,
        "no worker serves": miner.front.serving == 0 and not miner.draining,
    }
    age_s = miner.policy.age_s
    facts = {
        "metagraph": freshness.value,
        "metagraph_age_s": None if age_s is None else round(age_s, 1),
        "workers": f"{miner.front.serving} of {workers}",
    }
    return Readiness(tuple(reason for reason, holds in reasons.items() if holds), facts)


def _figures(miner: _Miner) -> Figures:
    done = miner.front.counters
    return Figures(
        requests=done.requests,
        answered=done.answered,
        refused=dict(done.refused),
        answer_s=miner.desk.durations,
        workers=miner.front.serving,
        restarts=miner.front.restarts,
        model_open=miner.desk.open,
        metagraph=miner.policy.freshness.value,
        metagraph_age_s=miner.policy.age_s,
    )


# The chain


async def _publish(miner: _Miner, chain: Chain, metagraph: Metagraph, address: _Published) -> None:
    """See to it that the chain says where this miner is, and with which key it answers."""
    settings, keypair = miner.settings, miner.keypair
    me = metagraph.find(keypair.ss58_address)
    if me is None:
        raise NotRegistered(
            keypair.ss58_address,
            settings.netuid,
            buying_command(settings.network, settings.netuid),
        )
    if _Published(me.host or "", me.port or 0, me.tls_key) == address:
        return
    # Without TLS, a key published earlier would make validators refuse what we serve.
    key = address.tls_key or (None if me.tls_key is None else NO_KEY)
    try:
        await chain.serve_axon(keypair, settings.netuid, address.host, address.port, tls_key=key)
    except ChainRefused as error:
        log.warning("not published, will try again: the chain says %s", error)
    else:
        what = {None: "", NO_KEY: ", its TLS key withdrawn"}.get(key, " with its TLS key")
        log.info("published %s:%d%s for uid %d", address.host, address.port, what, me.uid)


async def _pause(chain: Chain, block: int, most_s: float) -> None:
    """Until `block` is there, at most `most_s` seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await chain.wait_for_block(block)


def published_address(settings: MinerSettings, port: int) -> tuple[str, int]:
    """What the chain shall say: an IP address that callers can reach, and a port."""
    table = settings.miner
    host = table.external_host or table.host
    if table.external_host is None and host == "0.0.0.0" and settings.network.local:
        host = LOCAL_HOST
    name = "miner.external_host" if table.external_host else "miner.host"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidSetting(name, "the settings", f"{host} is not an IP address") from None
    if address.is_unspecified:
        raise InvalidSetting(
            name, "the settings", f"{host} cannot be published; give --external-host ADDRESS"
        )
    if str(address) in ("127.0.0.1", "::1"):
        raise InvalidSetting(
            name, "the settings", f"the chain refuses {host}; take {LOCAL_HOST} on this machine"
        )
    return str(address), table.external_port or port
