"""`subnet chain diff` on two devnets, alike or with something planted in one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair
from typer.testing import CliRunner

from chain.devnet import Devnet
from chain.devnet.genesis import dev_engine
from chain.devnet.node import NodeConfig
from chain.devnet.schedule import Manual
from chain.errors import ChainRefused
from chain.runtime.pallets import system
from chain.runtime.pallets.subtensor import storage
from chain.types import AccountId, NetUid
from subnet.cli import exits
from subnet.cli.app import app
from subnet.cli.comparison import BY_NATURE, Comparison, Scope, compare, take_over
from subnet.cli.explorer import Explorer
from tests.devnet.altered import altered_engine
from tests.devnet.signer import Signer

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


@dataclass
class Two:
    """A chain of five blocks, and another node."""

    left: Devnet
    right: Devnet

    async def diff(self, *options: str, code: int) -> str:
        """stdout, or stderr where that is all there is."""
        command = ["chain", "diff", self.left.url, self.right.url, *options]
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
        assert bool(done.stdout) != bool(done.stderr)
        return done.stdout or done.stderr

    async def json(self, *options: str, code: int) -> Any:
        return json.loads(await self.diff(*options, "--json", code=code))


async def live(node: Devnet) -> None:
    """Block 2: Alice pays Bob, who makes a subnet; Bob fails in block 4."""
    signer = Signer(node)
    pay = {"dest": BOB.ss58_address, "value": 10**9}
    await node.mine(1)
    node.submit(signer.sign(ALICE, "Balances.transfer_keep_alive", **pay))
    node.submit(signer.sign(BOB, "SubtensorModule.register_network", hotkey=ALICE.ss58_address))
    await node.mine(2)
    node.submit(signer.sign(BOB, "Balances.transfer_keep_alive", **pay | {"value": 10**18}))
    await node.mine(2)


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    config = NodeConfig(Manual())
    async with Devnet(config=config) as left, Devnet(config=config) as right:
        await live(left)
        yield Two(left, right)


async def test_what_one_did_the_other_does_too(two: Two) -> None:
    found = await two.json("--replay", code=exits.DONE)
    assert (found["same"], found["first"], found["last"], found["ignored"]) == (True, 0, 5, [])
    assert found["keys"] == len(two.left.state().keys(b""))
    assert two.right.head.hash == two.left.head.hash


async def test_a_rule_that_was_changed_shows_in_the_block_where_it_matters() -> None:
    engine = dev_engine()
    config = NodeConfig(Manual())
    async with Devnet(engine, config) as left, Devnet(altered_engine(engine), config) as right:
        await live(left)
        two = Two(left, right)
        lines = (await two.diff("--replay", code=exits.FAILED)).splitlines()
        assert lines[:2] == ["block 2: System.Events differs", ""]
        names = [line.split("  ")[0].strip() for line in lines[2:7]]
        assert names == ["key", "in it", left.url, right.url, "calls"]
        assert int(lines[4].split()[-1]) + 5 == int(lines[5].split()[-1])  # rao: the fee
        assert lines[6].endswith("Balances.transfer_keep_alive, SubtensorModule.register_network")
        assert re.fullmatch(r"\d+ more keys differ in this block:", lines[8])
        assert f"System.Account({ALICE.ss58_address})" in lines[9:]


async def test_values_that_were_set_by_hand(two: Two) -> None:
    burn, account = storage.Burn.raw_key(NetUid(1)), AccountId(bytes(BOB.public_key))
    born = int.from_bytes(two.left.state().get(burn) or b"", "little")

    async with opened(two) as (left, right):

        async def run(
            *only: str, ignore: tuple[str, ...] = (), first: int = 5, last: int = 0, **more: Any
        ) -> Comparison:
            def work() -> Comparison:
                scope = Scope(left, right, only, (*BY_NATURE, *ignore))
                return compare(left, right, scope, first, last or left.head(), **more)

            return await asyncio.to_thread(work)

        async def plant(*changes: dict[bytes, bytes | None]) -> None:
            for node, change in zip((two.left, two.right), changes, strict=True):
                node.set_storage(change)

        assert await asyncio.to_thread(take_over, left, right) == 0
        assert (await run(first=0, replay=True)).same
        assert two.right.head.hash == two.left.head.hash

        await plant({burn: born.to_bytes(8, "little")}, {burn: (born + 1).to_bytes(8, "little")})
        found = await run()
        (one,) = found.differing
        assert (found.last, str(one), one.apart()) == (
            6,
            "SubtensorModule.Burn(1)",
            ("", born, born + 1),
        )
        assert (one.key, one.left) == (f"0x{burn.hex()}", f"0x{born.to_bytes(8, 'little').hex()}")
        assert (await run("System")).same
        assert (await run("SubtensorModule", ignore=("SubtensorModule.Burn",))).same
        assert (await run(ignore=("SubtensorModule",))).same
        assert (await run(first=5, last=5)).same
        assert not (await run("SubtensorModule.Burn")).same

        await plant({}, {system.Account.raw_key(account): None, b":code": b"x", b"\xff": b"y"})
        found = await run(ignore=("SubtensorModule",), first=7)
        assert [(str(one), one.apart()[2]) for one in found.differing] == [
            (f"System.Account({BOB.ss58_address})", "nothing"),
            (":code", "0x78"),
            ("0xff", "0x79"),
        ]
        assert found.differing[0].left_value["nonce"] == 2

        event = two.left.state().get(system.Events.prefix) or b""
        await plant({}, {system.Events.prefix: b"\x00"})
        (one,) = (await run("System.Events", first=8)).differing
        assert len(event) > 1 and one.apart()[::2] == ("[0]", "nothing")
        await plant({}, {system.Events.prefix: b"\x04\xff"})  # nobody can read it
        (one,) = (await run("System.Events", first=9)).differing
        assert (one.right_value, one.right) == (None, "0x04ff")
        with pytest.raises(ChainRefused, match="neither node has a pallet or storage item Sistem"):
            await run("Sistem")


@asynccontextmanager
async def opened(two: Two) -> AsyncIterator[tuple[Explorer, Explorer]]:
    """Both nodes as the command sees them."""
    with ExitStack() as stack:

        def connect() -> tuple[Explorer, Explorer]:
            left = stack.enter_context(Explorer.connect(two.left.url))
            return left, stack.enter_context(Explorer.connect(two.right.url))

        yield await asyncio.to_thread(connect)
        await asyncio.to_thread(stack.close)  # the client waits for the node's last word


async def test_what_cannot_be_compared(two: Two) -> None:
    assert "the newest is 0" in await two.diff("--to", "1", code=exits.USAGE)
    async with Devnet(dev_engine(12_000), NodeConfig(Manual())) as other:
        stranger = Two(two.left, other)
        assert "what is signed names" in await stranger.diff("--replay", code=exits.CHAIN_REFUSED)
    await two.right.mine(1)
    assert "blocks of its own" in await two.diff("--replay", code=exits.CHAIN_REFUSED)
    assert "is away" in await stranger.diff(code=exits.CHAIN_AWAY)


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
