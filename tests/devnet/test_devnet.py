"""A devnet in a line, as a test of somebody else would have it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bittensor_core import Keypair
from substrateinterface import SubstrateInterface

from chain.devnet import Devnet
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Instant, Manual
from chain.devnet.server import CannotListen
from chain.runtime.genesis import Preset
from tests.devnet.signer import Signer
from tests.devnet.tiny import TinyEngine

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


async def test_in_a_line() -> None:
    async with Devnet() as node:
        assert node.schedule == Instant()
        assert (await node.mine(10)).number >= 10
        transfer = {"dest": BOB.ss58_address, "value": 10**9}
        node.submit(Signer(node).sign(ALICE, "Balances.transfer_keep_alive", **transfer))
        await node.mine()
        assert await asyncio.to_thread(free, node.url, BOB.ss58_address) == 10**15 + 10**9


def free(url: str, address: str) -> int:
    """What a stranger's client reads."""
    with SubstrateInterface(url, ss58_format=42) as chain:
        return int(chain.query("System", "Account", [address]).value["data"]["free"])


@pytest.mark.parametrize(("preset", "tempo"), [("minimal", 20), ("mainnet", 360)])
async def test_by_preset(preset: Preset, tempo: int) -> None:
    async with Devnet(preset, NodeConfig(Manual())) as node:
        signer = Signer(node)
        await node.mine(2)
        hotkey = Keypair.create_from_uri("//Alice/hotkey").ss58_address
        node.submit(signer.sign(ALICE, "SubtensorModule.register_network", hotkey=hotkey))
        await node.mine()
        key = bytes(signer.core.storage_key("SubtensorModule", "Tempo", [2]))
        assert node.state().get(key) == tempo.to_bytes(2, "little")


async def test_two_at_once_share_nothing() -> None:
    async with Devnet(TinyEngine()) as one, Devnet(TinyEngine()) as other:
        assert one.url != other.url
        await one.mine(3)
        assert other.head.number == 0


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    config = NodeConfig(Manual(), tmp_path / "chain.db")
    async with Devnet(TinyEngine()) as holder:
        with pytest.raises(CannotListen):
            async with Devnet(TinyEngine(), config, port=holder.server.port):
                pass
        Node(TinyEngine(), config).store.close()  # the file is free again
