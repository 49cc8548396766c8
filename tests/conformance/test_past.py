"""The state of every past block, read by two clients: what it was, and where it is pruned, so.

A balance and a stake change in every block of a short history; each client is then asked about all
of them, from the oldest to the newest and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bittensor
import pytest
from bittensor import calls
from substrateinterface.exceptions import SubstrateRequestException

from tests.conformance.conftest import living_in
from tests.conformance.stored import connect
from tests.conformance.town import ALICE, TAO, KeyPairs, rpc, send, ss58
from tests.devnet.process import devnet_process

BOB = ss58("//Bob the saver")
STEPS = 12
KEPT = 5
"""Blocks before the head whose state the pruned chain keeps."""


@dataclass(frozen=True)
class History:
    """What Bob had after which block."""

    url: str
    balances: dict[int, int]


async def lived(url: str) -> History:
    """Bob is given one TAO more than before in each block; other blocks lie between."""
    balances: dict[int, int] = {}
    sdk: Any
    async with bittensor.Subtensor(url) as sdk:
        for step in range(1, STEPS + 1):
            gift = calls.Balances.transfer_keep_alive(dest=BOB, value=step * TAO)
            result = await send(sdk, gift, ALICE)
            number = int(result.extrinsic_id.split("-")[0])
            balances[number] = sum(range(step + 1)) * TAO
            rpc(url, "devnet_mine", 1 + step % 3)
    return History(url, balances)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, own_caches: Path) -> Iterator[History]:
    log: Path = tmp_path_factory.mktemp("past") / "log"
    with devnet_process(log, "--block-time", "instant") as devnet, living_in(own_caches):
        yield asyncio.run(lived(devnet.url))


@pytest.mark.feature("the state of a past block", "bittensor")
async def test_the_sdk_reads_every_block(history: History) -> None:
    sdk: Any
    async with bittensor.Subtensor(history.url) as sdk:
        numbers = sorted(history.balances)
        for number in (*numbers, *reversed(numbers)):
            held = await (await sdk.at(number)).read("balance", coldkey_ss58=BOB)
            assert int(held.rao) == history.balances[number]
            view = await sdk.at(number - 1)
            before = await view.read("balance", coldkey_ss58=BOB)
            assert int(before.rao) == history.balances[number] - _gift(history, number)
            assert int(await view.query(("System", "Number"), [])) == number - 1


@pytest.mark.feature("the state of a past block", "substrate-interface")
def test_substrate_interface_reads_every_block(history: History) -> None:
    with connect(history.url) as chain:
        for number in reversed(sorted(history.balances)):
            at = chain.get_block_hash(number)
            found = chain.query("System", "Account", [BOB], block_hash=at).value
            assert found["data"]["free"] == history.balances[number]
            accounts = chain.query_map("System", "Account", block_hash=at)
            held = {account.value: info.value["data"]["free"] for account, info in accounts}
            assert held[BOB] == history.balances[number]
            issued = chain.query("Balances", "TotalIssuance", block_hash=at).value
            assert sum(held.values()) == issued
            nonce = chain.runtime_call("AccountNonceApi", "account_nonce", [ss58("//Alice")], at)
            assert nonce.value == sorted(history.balances).index(number) + 1
        first = chain.get_block_hash(0)
        assert chain.query("System", "Account", [BOB], block_hash=first).value["data"]["free"] == 0


def _gift(history: History, number: int) -> int:
    return (sorted(history.balances).index(number) + 1) * TAO


def test_what_is_pruned_is_told_and_the_rest_stays(
    tmp_path_factory: pytest.TempPathFactory, own_caches: Path
) -> None:
    log: Path = tmp_path_factory.mktemp("pruned") / "log"
    options = ("--block-time", "instant", "--prune", str(KEPT))
    with devnet_process(log, *options) as devnet, living_in(own_caches):
        history = asyncio.run(lived(devnet.url))
        rpc(history.url, "devnet_setBlockTime", "manual")  # or one comes of itself after a second
        with connect(history.url) as chain:
            head = chain.get_block_number(chain.get_chain_head())
            kept = [n for n in history.balances if n >= head - KEPT]
            assert kept and min(history.balances) not in kept
            for number, balance in history.balances.items():
                at = chain.get_block_hash(number)
                assert chain.get_block(at)["header"]["number"] == number  # blocks stay
                if number in kept:
                    found = chain.query("System", "Account", [BOB], block_hash=at).value
                    assert found["data"]["free"] == balance
                else:
                    with pytest.raises(SubstrateRequestException, match="State already discarded"):
                        chain.query("System", "Account", [BOB], block_hash=at)


async def test_a_wallet_is_read_as_it_was(history: History) -> None:
    """Runtime APIs run over the old state too."""
    sdk: Any
    async with bittensor.Subtensor(history.url) as sdk:
        saver = KeyPairs("//Alice")
        stake = calls.SubtensorModule.add_stake(
            hotkey=saver.hotkey.ss58_address, netuid=0, amount_staked=TAO
        )
        await send(sdk, calls.SubtensorModule.try_associate_hotkey(
            hotkey=saver.hotkey.ss58_address), saver)  # fmt: skip
        result = await send(sdk, stake, saver)
        at = int(result.extrinsic_id.split("-")[0])
        address = {"coldkey_ss58": saver.coldkey.ss58_address}
        assert await (await sdk.at(at - 1)).read("stake_for_coldkey", **address) == []
        (held,) = await (await sdk.at(at)).read("stake_for_coldkey", **address)
        assert int(held.stake.rao) == TAO
