"""Where a validator's parts are tried without its process: a subnet of Alice's, and a bench."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import Call, admin, batch, transfer
from chain.devnet import Devnet
from chain.types import RAO_PER_TAO, Rao
from subnet.config import Flags, ValidatorSettings, load
from subnet.definition import Subnet
from validators import journal
from validators.bench import Bench
from validators.commits import Commits
from validators.journal import Journal
from validators.ledger import Ledger
from validators.moment import Moment
from validators.prompts.vault import Vault
from validators.sinks import Sinks

ALICE = Keypair.create_from_uri("//Alice")


@asynccontextmanager
async def alices_subnet(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stakes: Sequence[tuple[Keypair, int]],
    miners: Sequence[Keypair],
    hidden: bool,
    **rules: int,
) -> AsyncIterator[tuple[Devnet, Chain, int]]:
    """A chain in this process, which waits to be told to go on, and a netuid on it.

    Seat 0 is the owner's; then come the validators of `stakes`, in TAO, and the miners. `hidden`
    weights are committed and revealed. `rules` are hyperparameters by the names of their setters.
    """
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(folder / "symbols.json"))
    monkeypatch.setattr("chain.devnet.node.FINALITY_LAG_S", 0.02)  # each call waits for it
    keys = [*(key for key, _ in stakes), *miners]
    async with Devnet("minimal") as node, Chain.connect(node.url) as chain:
        netuid = await chain.register_network(ALICE, Keypair.create_from_uri("//own").ss58_address)
        await chain.start_call(ALICE, netuid)
        hiding = {"netuid": netuid, "enabled": hidden}
        for call in (
            Call("AdminUtils", "sudo_set_commit_reveal_weights_enabled", hiding),
            batch([transfer(key.ss58_address, RAO_PER_TAO) for key in keys]),
            *(admin(f"sudo_set_{name}", netuid=netuid, **{name: rules[name]}) for name in rules),
        ):
            await chain.submit(call, ALICE)
        for key in keys:
            await chain.register(ALICE, netuid, key.ss58_address)
        for key, tao in stakes:
            stake = Rao(tao * RAO_PER_TAO)
            await chain.add_stake(ALICE, key.ss58_address, netuid, stake, tolerance=None)
        yield node, chain, netuid


@dataclasses.dataclass
class Stage:
    """One validator's bench on such a subnet."""

    node: Devnet
    chain: Chain
    netuid: int
    bench: Bench

    async def next_epoch(self) -> None:
        """Let the chain go on to the block of the next epoch."""
        await to_next_epoch(self.node, self.chain, self.netuid)

    async def moment(self) -> Moment:
        """Now, as the last part of its epoch."""
        metagraph = await self.chain.metagraph(self.netuid)
        schedule = await self.chain.schedule(self.netuid, metagraph.block)
        return Moment(metagraph, schedule, part=0, last=True)

    def lines(self) -> list[dict[str, Any]]:
        """The journal's."""
        return list(journal.read(self.bench.journal.path))


async def to_next_epoch(node: Devnet, chain: Chain, netuid: int) -> None:
    """Let the chain go on to the block of the subnet's next epoch."""
    schedule = await chain.schedule(netuid)
    assert schedule.next_block is not None
    await node.mine(schedule.next_block - node.head.number)


def settings_of(netuid: int, **flags: dict[str, object]) -> ValidatorSettings:
    """A validator's settings: the defaults, and `flags` as {table: {key: value}}."""
    given: Flags = {**flags, "network": {"netuid": netuid, **flags.get("network", {})}}
    return load(ValidatorSettings, environment={}, flags=given)


@contextmanager
def open_bench(
    folder: Path,
    settings: ValidatorSettings,
    hotkey: Keypair,
    chain: Chain,
    subnet: Subnet[Any, Any],
    **others: Any,
) -> Iterator[Bench]:
    """A validator's bench, its ledger and journal in `folder`; `others` are fields to change.

    Nobody can be asked unless a dendrite is among them.
    """
    with (
        Ledger(folder / "ledger.sqlite", half_life_rounds=8, clock=lambda: 0.0) as ledger,
        Journal(folder / "journal.jsonl") as book,
    ):
        bench = Bench(
            settings=settings,
            keypair=hotkey,
            chain=chain,
            dendrite=cast("Any", None),
            subnet=subnet,
            vault=Vault(subnet, seed=b"s", asked=ledger.was_asked, path=folder / "sealed.json"),
            ledger=ledger,
            commits=Commits(folder / "commits.json"),
            journal=book,
            sinks=Sinks(),
            seed=b"s",
            clock=lambda: 0.0,
        )
        yield dataclasses.replace(bench, **others)
