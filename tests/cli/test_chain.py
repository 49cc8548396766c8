"""`subnet chain` on a chain whose every block is known, as tables and as JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair
from typer.testing import CliRunner

from chain.devnet import Devnet
from chain.devnet.node import NodeConfig
from chain.devnet.schedule import Manual
from subnet.cli import exits
from subnet.cli.app import app
from tests.devnet.signer import Signer

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")
OWNER = Keypair.create_from_uri("//Alice/hotkey")
BORN_MS = 1_893_456_000_000  # 2030-01-01


@dataclass
class Shown:
    """A chain, and the command that looks at it."""

    node: Devnet
    extrinsics: tuple[bytes, ...]

    async def text(self, *arguments: str, code: int = exits.DONE) -> str:
        """stdout; on a failure, stderr, which is then all there is."""
        command = ["chain", *arguments, "--network", self.node.url]
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert done.exit_code == code, done.stderr
        assert bool(done.stdout) is (code == exits.DONE)
        return done.stdout if code == exits.DONE else done.stderr

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self.text(*arguments, "--json"))


@pytest.fixture
async def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shown]:
    """Block 1: a subnet is made, a transfer is done, another fails. Blocks 2 and 3: empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))
    async with Devnet("minimal", NodeConfig(Manual())) as node:
        signer = Signer(node)
        extrinsics = (
            signer.sign(ALICE, "SubtensorModule.register_network", hotkey=OWNER.ss58_address),
            signer.sign(ALICE, "Balances.transfer_keep_alive", dest=BOB.ss58_address, value=10**9),
            signer.sign(BOB, "Balances.transfer_keep_alive", dest=ALICE.ss58_address, value=10**18),
            signer.sign(BOB, "SubtensorModule.burned_register", netuid=99, hotkey=BOB.ss58_address),
        )
        for extrinsic in extrinsics:
            node.submit(extrinsic)
        node.set_next_timestamp(BORN_MS)
        await node.mine(3)
        await asyncio.sleep(0.4)  # until the head is final: the SDK reads there
        yield Shown(node, extrinsics)


async def test_blocks(shown: Shown) -> None:
    lines = (await shown.text("blocks", "-n", "3")).splitlines()
    assert lines[0].split() == ["block", "time", "hash", "events", "calls"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "2030-01-01 00:00:00Z" in lines[3]
    assert lines[3].endswith(
        "SubtensorModule.register_network, Balances.transfer_keep_alive, "
        "Balances.transfer_keep_alive (.."
    )
    newest, *_, genesis = await shown.json("blocks")
    assert newest["hash"] == f"0x{shown.node.head.hash.hex()}"
    assert (genesis["number"], genesis["time"], genesis["extrinsics"]) == (0, None, [])
    (one,) = await shown.json("blocks", "--block", "1", "-n", "1")
    failures = [extrinsic["failure"] for extrinsic in one["extrinsics"]]
    assert failures == [None, None, None, "Token FundsUnavailable", "SubnetNotExists"]


async def test_events(shown: Shown) -> None:
    found = await shown.json("events", "1")
    assert {"Transfer", "NetworkAdded", "ExtrinsicFailed"} <= {event["name"] for event in found}
    added = next(event for event in found if event["name"] == "NetworkAdded")
    assert added == {
        "extrinsic": 1,
        "pallet": "SubtensorModule",
        "name": "NetworkAdded",
        "attributes": [2, 1],
    }
    lines = (await shown.text("events", "1")).splitlines()
    assert len(lines) == len(found) + 1
    assert any(line.split() == ["1", "SubtensorModule.NetworkAdded", "[2,", "1]"] for line in lines)
    assert len((await shown.text("events")).splitlines()) == 2  # the date of block 3


async def test_an_extrinsic_by_place_and_by_hash(shown: Shown) -> None:
    by_place = await shown.json("extrinsic", "1-2")
    assert (by_place["pallet"], by_place["call"]) == ("Balances", "transfer_keep_alive")
    assert by_place["args"] == {"dest": BOB.ss58_address, "value": 10**9}
    assert (by_place["signer"], by_place["nonce"]) == (ALICE.ss58_address, 1)
    assert by_place["fee"] > 0
    digest = f"0x{hashlib.blake2b(shown.extrinsics[1], digest_size=32).hexdigest()}"
    assert await shown.json("extrinsic", digest) == by_place
    text = await shown.text("extrinsic", "1-4")
    assert "result         failed: SubnetNotExists\n" in text
    assert "  netuid       99\n" in text
    assert "no extrinsic 9" in await shown.text("extrinsic", "1-9", code=exits.CHAIN_REFUSED)
    too_near = ("--within", "2")
    said = await shown.text("extrinsic", digest, *too_near, code=exits.CHAIN_REFUSED)
    assert "not in the blocks 2 to 3" in said
    for wrong in ("1", "1-x", "0x12"):
        assert "nor a hash" in await shown.text("extrinsic", wrong, code=exits.USAGE)


async def test_a_metagraph(shown: Shown) -> None:
    found = await shown.json("metagraph", "2")
    assert [neuron["hotkey"] for neuron in found["neurons"]] == [OWNER.ss58_address]
    assert (found["netuid"], found["tempo"]) == (2, 20)
    lines = (await shown.text("metagraph", "2", "--block", "1")).splitlines()
    assert lines[0] == "subnet 2 at block 1, tempo 20"
    assert lines[3].split()[:3] == ["0", OWNER.ss58_address, "0.0000"]
    assert "there is no subnet 9" in await shown.text("metagraph", "9", code=exits.CHAIN_REFUSED)


async def test_emission(shown: Shown) -> None:
    found = await shown.json("emission")
    assert found["block"] == 3
    assert [row["netuid"] for row in found["subnets"]] == [0, 1, 2]
    lines = (await shown.text("emission")).splitlines()
    assert len(lines) == 3 + 3
    assert lines[2].split()[:2] == ["netuid", "price"]


async def test_a_chain_that_is_not_there(shown: Shown) -> None:
    for command in (("blocks",), ("emission",)):
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["chain", *command, "--network", "ws://127.0.0.1:9"]
        )
        assert (done.exit_code, done.stdout) == (exits.CHAIN_AWAY, "")
        assert done.stderr.count("\n") == 1
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["chain", "blocks", "--network", "finny"]
    )
    assert (done.exit_code, done.stdout) == (exits.USAGE, "")
