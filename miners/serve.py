"""Run one miner: take the seat, open the model, serve the axon, publish it, drain at the end.

While it serves, the miner keeps looking at the chain: who may call, whether its address is still
the published one, whether its seat is still its own. The chain may go away meanwhile; callers
known before are served on. Knows nothing of what is asked and answered: the definition does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from typing import Any

from bittensor_core import Keypair

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from chain.errors import ChainAway, ChainRefused
from miners.desk import Desk
from subnet.config import MinerSettings, open_hotkey
from subnet.definition import MinerOptions, Subnet, load
from subnet.errors import InvalidSetting, NotRegistered
from subnet.race import race
from subnet.seat import buying_command, guard_coldkey, take_seat
from subnet.wire.axon import Axon
from subnet.wire.limits import Limits
from subnet.wire.policy import PermitPolicy

log = logging.getLogger(__name__)

ALPHA = 1_000_000_000
"""Integer units to one alpha."""
LOCAL_HOST = "127.0.0.2"
"""Published on a local network: the chain refuses 127.0.0.1, and takes its neighbours."""
LOOK_BLOCKS = 20
"""Blocks between two looks at the chain: an owner can move the next epoch."""
CALLER_REQUESTS = 4
"""Questions of one caller at a time. Validators ask one or two; the model answers one after the
other, and nobody shall fill its queue until the others' questions are late."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses while the chain is away, after so many failures in a row; the last one repeats."""


async def serve(settings: MinerSettings, *, stop: asyncio.Event) -> None:
    """Mine until `stop` is set. Raises what cannot be mended: settings, wallet, model, no seat."""
    await race(stop.wait(), _mine(settings))


async def _mine(settings: MinerSettings) -> None:
    netuid = settings.netuid
    guard_coldkey(settings.network)
    keypair = open_hotkey(settings.network)
    hotkey = keypair.ss58_address
    subnet = load(settings.subnet.definition, model_sha256=settings.model.sha256)
    table = settings.miner
    options = MinerOptions(hotkey, table.behaviour, table.model_file, table.allow_other_weights)
    published_address(settings, table.port)  # what cannot be published is said before any work

    async with Chain.connect(settings.network.endpoint) as chain:
        await take_seat(chain, settings.network, netuid, hotkey, wait=table.wait)
        desk = Desk()
        await race(desk.keep_open(subnet, options), _attend(settings, chain, keypair, subnet, desk))


async def _attend(
    settings: MinerSettings, chain: Chain, keypair: Keypair, subnet: Subnet[Any, Any], desk: Desk
) -> None:
    """Serve once the miner is open, and look after it until cancelled; then drain."""
    table = settings.miner
    policy = PermitPolicy(int(table.min_stake * ALPHA), allow=table.allow or None, deny=table.deny)
    axon = Axon(keypair, policy=policy, limits=Limits(hotkey_requests=CALLER_REQUESTS))
    axon.handle(subnet.path, subnet.challenge, subnet.answer, desk.answer)
    await desk.opened.wait()
    try:
        host, port = await axon.start(table.host, table.port)
    except OSError as error:
        problem = f"cannot listen on {table.host}:{table.port}: {error.strerror or error}"
        raise InvalidSetting("miner.host", "the settings", problem) from error
    try:
        address = published_address(settings, port)
        log.info("%s miner serves %s on %s:%d", table.behaviour, subnet.path, host, port)
        await _watch(settings, chain, keypair, policy, address)
    finally:
        await axon.stop(table.drain_s)


async def _watch(
    settings: MinerSettings,
    chain: Chain,
    keypair: Keypair,
    policy: PermitPolicy,
    address: tuple[str, int],
) -> None:
    """Look at the chain after every epoch, and in between; act on what is seen."""
    failures = 0
    while True:
        try:
            metagraph = await chain.metagraph(settings.netuid)
            policy.update({n.hotkey: (int(n.stake), n.permit) for n in metagraph.neurons})
            next_epoch = (await chain.schedule(settings.netuid, metagraph.block)).next_block
            if not any(neuron.permit for neuron in metagraph.neurons):
                log.info("nobody has a permit to ask yet; permit at block %s", next_epoch)
            await _publish(settings, chain, keypair, metagraph, address)
            soon = metagraph.block + LOOK_BLOCKS
            soon = soon if next_epoch is None else min(soon, max(next_epoch, metagraph.block + 1))
            await _pause(chain, soon, settings.miner.refresh_s)
            failures = 0
        except (ChainAway, ChainRefused) as error:  # a node may lag, prune or ration its answers
            log.warning("%s; callers known so far are served on", error)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1


async def _publish(
    settings: MinerSettings,
    chain: Chain,
    keypair: Keypair,
    metagraph: Metagraph,
    address: tuple[str, int],
) -> None:
    """See to it that the chain says where this miner is."""
    me = metagraph.find(keypair.ss58_address)
    if me is None:
        raise NotRegistered(
            keypair.ss58_address,
            settings.netuid,
            buying_command(settings.network, settings.netuid),
        )
    if (me.host, me.port) == address:
        return
    try:
        await chain.serve_axon(keypair, settings.netuid, *address)
    except ChainRefused as error:
        log.warning("not published, will try again: the chain says %s", error)
    else:
        log.info("published %s:%d for uid %d", *address, me.uid)


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
