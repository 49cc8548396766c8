"""The key that a miner answers with over TLS: published beside its axon, read with the seats."""

from __future__ import annotations

import os

from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin, transfer
from chain.types import RAO_PER_TAO, Rao

ALICE = Keypair.create_from_uri("//Alice")


async def test_a_key_is_published_replaced_kept_and_withdrawn(devnet: str) -> None:
    owner = Keypair.create_from_uri("//Owner")
    hotkey = Keypair.create_from_uri("//Owner//hot")
    async with Chain.connect(devnet) as chain:
        gift = Rao(await chain.network_cost() + Rao(10 * RAO_PER_TAO))
        await chain.submit(transfer(owner.ss58_address, gift), ALICE)
        netuid = await chain.register_network(owner, hotkey.ss58_address)
        no_limit = admin("sudo_set_serving_rate_limit", netuid=netuid, serving_rate_limit=0)
        await chain.submit(no_limit, ALICE)

        async def published(port: int, key: bytes | None) -> tuple[int | None, bytes | None]:
            await chain.serve_axon(hotkey, netuid, "127.0.0.2", port, tls_key=key)
            neuron = (await chain.metagraph(netuid)).find(hotkey.ss58_address)
            assert neuron is not None and neuron.host == "127.0.0.2"
            return neuron.port, neuron.tls_key

        assert await published(1, None) == (1, None)
        first, second = b"\1" + os.urandom(32), b"\2" + os.urandom(64)
        assert await published(2, first) == (2, first)
        assert await published(3, second) == (3, second)
        # Going back to the plain call does not take the key back: nobody can be made to fall
        # back to plain HTTP by it.
        assert await published(4, None) == (4, second)
        assert await published(5, b"\0") == (5, None)
