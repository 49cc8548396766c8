"""The laws of the chain as anybody can check them over RPC: both sides, at one block.

Nothing here trusts a node's own verdict: every number is read from storage and added up here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chain.client.chain import Chain
from chain.types import Alpha, Rao

__all__ = ["AlphaSupply", "Issuance", "alpha_supply", "issuance"]


@dataclass(frozen=True, slots=True)
class Issuance:
    """All TAO at `block`, counted three times."""

    block: int
    accounts: Rao
    balances: Rao
    subtensor: Rao

    @property
    def conserved(self) -> bool:
        """Whether what the accounts hold is what both pallets say was issued."""
        return self.accounts == self.balances == self.subtensor


@dataclass(frozen=True, slots=True)
class AlphaSupply:
    """All alpha of `netuid` outside its pool at `block`, and where it lies.

    `protocol` was bought by the chain with emission that the pool could not take. `out` is the
    chain's own count. The chain floors every share it hands out and counts the whole, so `out`
    may exceed the sum by units, never fall below it: that is `dust`.
    """

    netuid: int
    block: int
    hotkeys: Alpha
    pending: Alpha
    burned: Alpha
    protocol: Alpha
    out: Alpha

    @property
    def dust(self) -> int:
        """Units that `out` counts and nobody holds; negative would be alpha out of nothing."""
        return int(self.out) - sum(
            int(part) for part in (self.hotkeys, self.pending, self.burned, self.protocol)
        )


async def issuance(chain: Chain, block: int) -> Issuance:
    """Add up every account's free and reserved TAO, and read both totals, at `block`."""
    accounts, balances, subtensor = await asyncio.gather(
        chain.query_map("System", "Account", block=block),
        chain.query("Balances", "TotalIssuance", block=block),
        chain.query("SubtensorModule", "TotalIssuance", block=block),
    )
    held = sum(int(info["data"]["free"]) + int(info["data"]["reserved"]) for _, info in accounts)
    return Issuance(block, Rao(held), Rao(int(balances)), Rao(int(subtensor)))


async def alpha_supply(chain: Chain, netuid: int, block: int) -> AlphaSupply:
    """Find every holder of `netuid`'s alpha at `block`."""
    pending = (
        "PendingServerEmission",
        "PendingValidatorEmission",
        "PendingRootAlphaDivs",
        "PendingOwnerCut",
    )
    holders = await chain.query_map("SubtensorModule", "TotalHotkeyAlpha", block=block)
    values = await asyncio.gather(
        *(chain.query("SubtensorModule", name, netuid, block=block) for name in pending),
        chain.query("AlphaAssets", "AlphaBurned", netuid, block=block),
        chain.query("SubtensorModule", "SubnetProtocolAlpha", netuid, block=block),
        chain.query("SubtensorModule", "SubnetAlphaOut", netuid, block=block),
    )
    amounts = [int(value or 0) for value in values]
    return AlphaSupply(
        netuid=netuid,
        block=block,
        hotkeys=Alpha(sum(int(held) for (_, where), held in holders if int(where) == netuid)),
        pending=Alpha(sum(amounts[: len(pending)])),
        burned=Alpha(amounts[-3]),
        protocol=Alpha(amounts[-2]),
        out=Alpha(amounts[-1]),
    )
