"""Raw storage as a stranger decodes it: substrate-interface and scalecodec, at one block.

What the SDK answers is compared with this. The two share no code: not the keys, not the decoding.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

from substrateinterface import SubstrateInterface

# Its built-in type of a fee has a balance of 128 bits; this chain's have 64.
TYPES = {"types": {"Balance": "u64"}}


def connect(url: str) -> SubstrateInterface:
    """A substrate-interface client of the devnet."""
    return SubstrateInterface(url, ss58_format=42, type_registry=TYPES)


class Stored:
    """The state after one block."""

    def __init__(self, chain: SubstrateInterface, block_hash: str) -> None:
        self.chain = chain
        self.block_hash = block_hash
        self.get = functools.cache(self._get)

    def _get(self, item: str, *keys: Any) -> Any:
        """The value of `Pallet.Item`, its default where nothing is stored."""
        pallet, name = item.split(".")
        return self.chain.query(pallet, name, list(keys), block_hash=self.block_hash).value

    def module(self, name: str, *keys: Any) -> Any:
        """The value of an item of SubtensorModule."""
        return self.get(f"SubtensorModule.{name}", *keys)

    def rows(self, item: str, *keys: Any) -> dict[Any, Any]:
        """What is stored of a map, below some of its keys: {rest of the key: value}."""
        pallet, name = item.split(".")
        found = self.chain.query_map(pallet, name, list(keys), block_hash=self.block_hash)
        return {
            tuple(k.value for k in key) if isinstance(key, (list, tuple)) else key.value: v.value
            for key, v in found
        }

    def position(self, hotkey: str, coldkey: str, netuid: int) -> int:
        """A coldkey's part of its hotkey's alpha, from the share pool's own numbers."""
        mine, all_ = (
            Fraction(share["mantissa"]) * Fraction(10) ** share["exponent"]
            for share in (
                self.module("AlphaV2", hotkey, coldkey, netuid),
                self.module("TotalHotkeySharesV2", hotkey, netuid),
            )
        )
        if not all_:
            return 0
        return int(self.module("TotalHotkeyAlpha", hotkey, netuid) * mine / all_)

    def price(self, netuid: int) -> Fraction:
        """TAO for one alpha: the pool's ratio, as long as it weighs both sides the same."""
        if netuid == 0 or self.module("SubnetMechanism", netuid) == 0:
            return Fraction(1)
        return Fraction(self.module("SubnetTAO", netuid), self.module("SubnetAlphaIn", netuid))
