"""The unmodified SDK against `subnet devnet`: connect, read, pay, follow blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import bittensor
import pytest
from bittensor.intents import Transfer
from bittensor_core import Keypair

from tests.devnet.process import Process, devnet_process

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    log: Path = tmp_path_factory.mktemp("devnet") / "log"
    with devnet_process(log, "--block-time", "0.25") as devnet:
        yield devnet


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))


async def test_connect_and_read(process: Process) -> None:
    async with bittensor.Subtensor(process.url) as sdk:
        assert await sdk.block() >= 0
        assert await sdk.spec_version() == process.printed["spec_version"]
        assert await sdk.block_time() == 0.25
        assert await sdk.is_fast_blocks()
        assert (await sdk.balances.get(BOB.ss58_address)).rao > 0
        assert set(sdk.token_symbols) == {0, 1}
        first = await sdk.finalized_block()
        await sdk.wait_for_block(await sdk.block() + 3)
        assert await sdk.finalized_block() > first
        info = await sdk.block_info(1)
        assert info is not None and info.number == 1


async def test_pay_and_be_told(process: Process) -> None:
    async with bittensor.Subtensor(process.url) as sdk:
        before = await sdk.balances.get(BOB.ss58_address)
        intent = Transfer(dest_ss58=BOB.ss58_address, amount_tao=2)
        result = await sdk.execute(intent, wallet=ALICE)
        assert result.success, result
        after = await sdk.balances.get(BOB.ss58_address)
        assert (after - before).rao == 2 * 10**9
        assert result.fee is not None and result.fee.rao > 0


async def test_follow_heads_and_final_heads_at_once(process: Process) -> None:
    async with bittensor.Subtensor(process.url) as sdk:

        async def five(finalized: bool) -> list[int]:
            numbers = []
            async for header in sdk.blocks(finalized=finalized):
                numbers.append(header.number)
                if len(numbers) == 5:
                    break
            return numbers

        heads, final = await asyncio.gather(five(False), five(True))
        for numbers in (heads, final):
            assert numbers == list(range(numbers[0], numbers[0] + 5))


async def test_many_clients_pay_at_once(process: Process) -> None:
    names = ("Charlie", "Dave", "Eve", "Ferdie")

    async def pay(name: str) -> bool:
        async with bittensor.Subtensor(process.url) as sdk:
            intent = Transfer(dest_ss58=BOB.ss58_address, amount_tao=1)
            result = await sdk.execute(intent, wallet=Keypair.create_from_uri(f"//{name}"))
            return bool(result.success)

    assert all(await asyncio.gather(*map(pay, names)))
