"""The line that `subnet devnet` says of each block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bittensor_core import Keypair

from chain.devnet import Devnet
from chain.devnet.engine import SetBalance
from chain.devnet.genesis import accounts
from chain.devnet.node import NodeConfig
from chain.devnet.schedule import Manual
from chain.errors import InvalidTransaction
from subnet.cli.blocklog import BlockLog
from tests.devnet.signer import Signer

ALICE, BOB = (Keypair.create_from_uri(f"//{name}") for name in ("Alice", "Bob"))
STRANGER = Keypair.create_from_uri("//NobodyKnown")


def log_of(node: Devnet) -> tuple[list[str], Callable[..., None]]:
    """What is said from now on, and a way to submit."""
    said: list[str] = []
    names = {account.account.ss58(): account.uri for account in accounts()}
    node.heads.listen(BlockLog(node, names, said.append).show)
    signer = Signer(node)

    def submit(key: Keypair, call: str, **args: Any) -> None:
        node.submit(signer.sign(key, call, **args))

    return said, submit


async def test_who_did_what_and_how_it_ended() -> None:
    async with Devnet("minimal", NodeConfig(Manual())) as node:
        said, submit = log_of(node)
        address = STRANGER.ss58_address
        submit(ALICE, "Balances.transfer_keep_alive", dest=address, value=10**9)
        submit(BOB, "SubtensorModule.burned_register", netuid=99, hotkey=address)
        submit(BOB, "Balances.transfer_keep_alive", dest=address, value=10**18)
        await node.mine()
        submit(STRANGER, "System.remark", remark=b"")
        submit(ALICE, "SubtensorModule.register_network", hotkey=address)
        await node.mine()
        node.cheat(SetBalance(bytes(BOB.public_key), 10**9))
        assert said == [
            "#1      //Alice Balances.transfer_keep_alive, "
            "//Bob SubtensorModule.burned_register failed: SubnetNotExists, "
            "//Bob Balances.transfer_keep_alive failed: Token FundsUnavailable",
            f"#2      {address[:8]}.. System.remark, //Alice SubtensorModule.register_network",
            "#3      Balances.BalanceSet",
        ]
        await node.mine(20)
        assert said[-1] == "#20     epoch of subnet 2"


async def test_many_at_once_are_counted() -> None:
    async with Devnet(config=NodeConfig(Manual())) as node:
        said, submit = log_of(node)
        for _ in range(9):
            submit(ALICE, "System.remark", remark=b"")
        await node.mine()
        assert said[0].endswith("//Alice System.remark, and 3 more")


async def test_silence_when_nothing_happens() -> None:
    async with Devnet(config=NodeConfig(Manual())) as node:
        said, submit = log_of(node)
        await node.mine(15)
        assert said[0] == "#1      empty"
        assert said[9:] == ["#10     empty, more empty blocks are not shown"]
        submit(ALICE, "System.remark", remark=b"")
        await node.mine(2)
        assert said[10:] == ["#16     //Alice System.remark"]


async def test_what_never_got_in_is_not_there() -> None:
    async with Devnet(config=NodeConfig(Manual())) as node:
        said, submit = log_of(node)
        try:
            submit(STRANGER, "System.remark_with_event", remark=b"")
        except InvalidTransaction:
            pass
        await node.mine()
        assert said == ["#1      empty"]
