"""A hotkey's seat on a subnet: find it, or wait for it. Miners and validators both start here."""

from __future__ import annotations

import asyncio
import logging

from chain.client.chain import Chain
from chain.errors import ChainAway
from subnet.config import NetworkTable, find_bare_coldkey
from subnet.errors import InvalidSetting, NotRegistered, WalletError

log = logging.getLogger(__name__)

LOOK_EVERY_BLOCKS = 4
PAUSE_S = 5.0
"""Before the chain is asked again, when it went away while we wait."""


async def take_seat(
    chain: Chain, network: NetworkTable, netuid: int, hotkey: str, *, wait: bool
) -> int:
    """The uid of `hotkey` (ss58). Without a seat: wait for one, or raise NotRegistered.

    Raises InvalidSetting when there is no such subnet. Who waits already waits for the chain, too.
    """
    command = buying_command(network, netuid)
    told = False
    while True:
        try:
            uid = await chain.find_uid(netuid, hotkey)
            if uid is not None:
                log.info("%s has seat %d on netuid %d", hotkey, uid, netuid)
                return uid
            if not await chain.query("SubtensorModule", "NetworksAdded", netuid):
                problem = f"there is no subnet {netuid} on {network.endpoint}; give --netuid N"
                raise InvalidSetting("network.netuid", "the settings", problem)
            if not wait:
                raise NotRegistered(hotkey, netuid, command)
            if not told:
                log.warning(
                    "%s has no seat on netuid %d; waiting. To buy: %s", hotkey, netuid, command
                )
                told = True
            await chain.wait_for_block(await chain.block() + LOOK_EVERY_BLOCKS)
        except ChainAway as error:
            if not told:
                raise
            log.warning("%s", error)
            await asyncio.sleep(PAUSE_S)


def buying_command(network: NetworkTable, netuid: int) -> str:
    """What a person runs to buy a seat for this hotkey."""
    return (
        f"btcli --network {network.endpoint} --wallet {network.wallet} "
        f"subnets register --netuid {netuid} --hotkey {network.hotkey}"
    )


def guard_coldkey(network: NetworkTable) -> None:
    """Refuse to run beside an unencrypted coldkey; on a local network, only warn.

    Whoever breaks into a server that talks to strangers would own what the coldkey owns.
    """
    path = find_bare_coldkey(network)
    if path is None:
        return
    if not network.local:
        raise WalletError(path, "an unencrypted coldkey does not belong here; move it elsewhere")
    log.warning("%s is an unencrypted coldkey: never keep one where a neuron runs", path)
