"""kill -9 while extrinsics stream in: what a client saw is never gone, and the chain goes on."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from bittensor_core import Keypair

from chain.devnet.engine import Header
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.rpc.chain import HEIGHTS_A_CALL
from tests.devnet.conftest import Client
from tests.devnet.process import devnet_process
from tests.devnet.signer import Signer

BLOCK_TIME = 0.05
ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


def hash_of(header: dict[str, Any]) -> str:
    """The block hash, from what was announced."""

    def data(text: str) -> bytes:
        return bytes.fromhex(text[2:])

    number = int(header["number"], 16)
    logs = tuple(data(log) for log in header["digest"]["logs"])
    roots = data(header["stateRoot"]), data(header["extrinsicsRoot"])
    return f"0x{Header(data(header['parentHash']), number, *roots, logs).hash().hex()}"


async def check(url: str, seen: dict[int, str]) -> None:
    """Every block of `seen` is there, and a new one comes."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        client = Client(socket)
        numbers = sorted(seen)
        for start in range(0, len(numbers), HEIGHTS_A_CALL):
            asked = numbers[start : start + HEIGHTS_A_CALL]
            expected = [seen[number] for number in asked]
            assert await client.get("chain_getBlockHash", asked) == expected
        assert (await client.get("devnet_mine"))["number"] > max(seen, default=0)


async def stream(url: str, signer: Signer, seen: dict[int, str], *, mine: bool) -> None:
    """Send transfers without a pause, and note each block that is announced, until cut off.

    With `mine`, blocks are made without a pause too, so that the end comes while one is written.
    """
    with suppress(aiohttp.ClientError, ConnectionError, TypeError):  # it may come at any await
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(url) as socket,
            http.ws_connect(url) as other,
        ):
            client = Client(socket)
            if mine:
                request = {"jsonrpc": "2.0", "id": 0, "method": "devnet_mine", "params": [100_000]}
                await other.send_json(request)
            nonce = await client.get("account_nextIndex", ALICE.ss58_address)
            signer.nonces[bytes(ALICE.public_key)] = nonce
            await client.get("chain_subscribeNewHeads")
            while True:
                transfer = {"dest": BOB.ss58_address, "value": 10**6}
                raw = signer.sign(ALICE, "Balances.transfer_keep_alive", **transfer)
                await client.get("author_submitExtrinsic", raw.hex())
                for note in client.notes:
                    header = note["params"]["result"]
                    seen[int(header["number"], 16)] = hash_of(header)
                client.notes.clear()


def ensure_replays(path: Path) -> int:
    """Build every block again from its extrinsics alone; returns how many transfers there were.

    Each state is that of the block before and what the block changes, the last one key by key.
    """
    node = Node(dev_engine(round(BLOCK_TIME * 1000)), NodeConfig(database=path))
    transfers = 0
    replayed: dict[bytes, bytes | None] = dict(node.engine.genesis())
    try:
        parent = node.store.genesis
        while (block := node.store.find_number(parent.number + 1)) is not None:
            extrinsics = block.extrinsics[1:]  # the first is the date
            built = node.engine.build_block(
                node.state(parent.hash), parent.header, extrinsics, block.timestamp_ms
            )
            assert (built.hash, built.extrinsics) == (block.hash, block.extrinsics)
            state = node.state(block.hash)
            for key, value in built.changes.items():
                assert state.get(key) == value
            replayed.update(built.changes)
            transfers += len(extrinsics)
            parent = block
        state = node.state()
        found = {key: state.get(key) for key in state.keys(b"")}
        assert found == {key: value for key, value in replayed.items() if value is not None}
    finally:
        node.store.close()
    return transfers


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills: int, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  shown by pytest when it fails
    rng = random.Random(seed)
    path = tmp_path / "chain.db"
    options = ("--db", str(path), "--block-time", str(BLOCK_TIME))
    signer = Signer(Node(dev_engine(round(BLOCK_TIME * 1000))))
    seen: dict[int, str] = {}

    async def until_killed(url: str, kill: Any, mine: bool) -> None:
        await check(url, seen)
        asyncio.get_running_loop().call_later(rng.uniform(0.02, 0.3), kill)
        await stream(url, signer, seen, mine=mine)

    for attempt in range(kills):
        if attempt % 5 == 4:  # while it reads the file
            command = [sys.executable, "-m", "subnet.cli.app", "devnet", "--port", "0", *options]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as starting:
                time.sleep(rng.uniform(0.0, 0.6))
                starting.kill()
            continue
        with devnet_process(tmp_path / "log", *options) as devnet:
            asyncio.run(until_killed(devnet.url, devnet.popen.kill, attempt % 2 == 0))
            assert devnet.popen.wait(10) == -signal.SIGKILL
    with devnet_process(tmp_path / "log", *options) as devnet:
        asyncio.run(check(devnet.url, seen))
        devnet.popen.terminate()
        assert devnet.popen.wait(10) == 0
    assert ensure_replays(path) > kills
    assert len(seen) > kills
    assert "Traceback" not in (tmp_path / "log").read_text()
