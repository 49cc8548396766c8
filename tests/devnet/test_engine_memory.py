"""What the engine remembers from block to block is never seen in a block."""

from __future__ import annotations

from typing import Any

import pytest
import sr25519
from bittensor_core import Keypair

from chain.devnet.engine import SetBalance, state_root
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Manual
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import storage as s
from chain.types import NetUid, Rao
from tests.devnet.signer import Signer

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")
BURN = s.Burn.raw_key(NetUid(1))


def a_node() -> Node:
    return Node(dev_engine(), NodeConfig(Manual(), wall=lambda: 0))


async def ensure_forgetful(node: Node) -> None:
    """The next blocks are those of an engine that has built none before."""
    for _ in range(2):
        head = node.head
        state = node.state()
        wanted = dev_engine().build_block(state, head.header, (), head.timestamp_ms + 1)
        block = await node.mine()
        assert block.hash == wanted.hash
        assert {key: node.state().get(key) for key in wanted.changes} == wanted.changes


async def test_blocks_are_those_of_an_engine_without_memory() -> None:
    async with a_node() as node:
        await ensure_forgetful(node)
        signer = Signer(node)
        node.submit(signer.sign(BOB, "SubtensorModule.register_network", hotkey=BOB.ss58_address))
        await node.mine()
        assert s.NetworksAdded.raw_key(NetUid(2)) in node.store.changed(node.head)
        await ensure_forgetful(node)

        node.cheat(SetBalance(bytes(ALICE.public_key), 7 * 10**9))
        await ensure_forgetful(node)

        snapshot, dump = node.snapshot(), node.dump()
        node.set_storage({BURN: s.Burn.value.encode(Rao(10**12))})
        await ensure_forgetful(node)
        node.set_storage({s.NetworksAdded.raw_key(NetUid(2)): None})
        await ensure_forgetful(node)
        node.revert(snapshot.number)
        await ensure_forgetful(node)
        node.load(dump)
        await ensure_forgetful(node)


async def test_what_storage_was_set_to_is_part_of_the_block() -> None:
    async with a_node() as node, a_node() as other:
        parent = node.head.header
        first = node.set_storage({b"key": b"1"})
        second = other.set_storage({b"key": b"2"})
        assert first.hash != second.hash
        changes = {key: node.state().get(key) for key in node.store.changed(first)}
        assert first.header.state_root == state_root(parent.state_root, changes)


async def test_the_pool_judges_by_the_head_and_not_by_the_one_before() -> None:
    async with a_node() as node:
        signer = Signer(node)
        rich = {"dest": BOB.ss58_address, "value": 10**9}
        first = signer.sign(ALICE, "Balances.transfer_keep_alive", **rich)
        node.submit(first)
        await node.mine()
        node.cheat(SetBalance(bytes(ALICE.public_key), int(balances.EXISTENTIAL_DEPOSIT)))
        second = signer.sign(ALICE, "Balances.transfer_keep_alive", **rich)
        for raw, reason in ((first, "Stale"), (second, "Payment")):
            with pytest.raises(Exception, match=reason):
                node.submit(raw)


async def test_a_signature_is_verified_once_between_the_door_and_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified: list[bytes] = []
    verify = sr25519.verify

    def counted(signature: bytes, message: bytes, account: bytes) -> Any:
        verified.append(signature)
        return verify(signature, message, account)

    monkeypatch.setattr(sr25519, "verify", counted)
    async with a_node() as node:
        signer = Signer(node)
        transfer = {"dest": BOB.ss58_address, "value": 10**9}
        submitted = signer.sign(ALICE, "Balances.transfer_keep_alive", **transfer)
        node.submit(submitted)
        await node.mine()
        assert submitted in node.head.extrinsics and len(verified) == 1

        # One that came by another way is verified there, and a forged one is left out.
        direct = signer.sign(ALICE, "Balances.transfer_keep_alive", **transfer)
        forged = direct[:-1] + bytes([direct[-1] ^ 1])
        built = node.engine.build_block(
            node.state(), node.head.header, [forged, direct], node.head.timestamp_ms + 1
        )
        assert len(verified) == 3
        assert [raw for raw, _ in built.rejected] == [forged] and direct in built.extrinsics
