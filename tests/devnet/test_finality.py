"""However fast blocks come, the final one stays close: clients count lifetimes from it."""

from __future__ import annotations

from bittensor_core import Keypair

from chain.client import Chain
from chain.devnet import Devnet
from chain.devnet.node import FINALITY_LAG_BLOCKS, NodeConfig
from chain.devnet.schedule import Manual
from tests.devnet.tiny import TinyEngine


async def test_the_final_block_is_never_far_behind() -> None:
    async with Devnet(TinyEngine(), NodeConfig(Manual())) as node:
        told: list[int] = []
        node.finalized_heads.listen(lambda block: told.append(block.number))
        await node.mine(20)
        assert node.finalized.number == 20 - FINALITY_LAG_BLOCKS
        assert told == list(range(1, 20 - FINALITY_LAG_BLOCKS + 1))


async def test_a_shielded_call_lands_after_a_burst_of_blocks() -> None:
    async with Devnet() as node, Chain.connect(node.url) as chain:
        alice, bob = (Keypair.create_from_uri(f"//{name}") for name in ("Alice", "Bob"))
        netuid = await chain.register_network(alice, alice.ss58_address)
        await node.mine(12)  # more than the eight blocks that a shielded call lives
        assert await chain.register(bob, netuid, bob.ss58_address) == 1
