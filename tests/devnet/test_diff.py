"""The same extrinsics into two runtimes: nothing where they are alike, and the key where not."""

from __future__ import annotations

from typing import Any

from bittensor_core import Keypair

from chain.devnet.diff import Difference, differing, first_difference
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Manual
from chain.runtime.frame import Item
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import storage
from tests.devnet.altered import altered_engine
from tests.devnet.signer import Signer

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


def blocks() -> list[list[bytes]]:
    """Two empty blocks, one with a transfer and a registration, and one more."""
    signer = Signer(Node(dev_engine(), NodeConfig(Manual())))
    transfer = signer.sign(
        ALICE, "Balances.transfer_keep_alive", dest=BOB.ss58_address, value=10**9
    )
    register = signer.sign(BOB, "SubtensorModule.register_network", hotkey=BOB.ss58_address)
    return [[], [], [transfer, register], []]


def test_a_runtime_is_like_itself() -> None:
    assert first_difference(dev_engine(), dev_engine(), blocks()) is None


def test_the_first_key_of_the_first_block_that_differs() -> None:
    engine = dev_engine()
    found = first_difference(engine, altered_engine(engine), blocks())
    assert found is not None and found.left is not None and found.right is not None
    assert found.block == 3
    assert found.key.startswith(min(touched.prefix for touched in FEES))


FEES: tuple[Item[Any], ...] = (
    system.Account, system.Events, balances.TotalIssuance, storage.TotalIssuance
)  # fmt: skip


def test_another_genesis_differs_at_once_and_signatures_hold_all_the_same() -> None:
    small = dev_engine(preset="minimal")
    found = first_difference(dev_engine(), small, blocks())
    assert found is not None and found.block == 0
    slower = dev_engine(slot_duration_ms=12_000)  # other metadata, and with it another hash
    assert slower.metadata() != dev_engine().metadata()
    assert first_difference(dev_engine(), slower, blocks()) is None


def test_states_are_compared_in_the_order_of_the_keys() -> None:
    left, right = {b"a": b"1", b"b": b"", b"d": b"4"}, {b"b": b"2", b"c": b"3", b"d": b"4"}
    assert list(differing(7, left, right)) == [
        Difference(7, b"a", b"1", None),
        Difference(7, b"b", b"", b"2"),
        Difference(7, b"c", None, b"3"),
    ]
