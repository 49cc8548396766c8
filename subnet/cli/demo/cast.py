"""Who plays: names, kinds, keys, addresses and stakes, all fixed by one seed.

Hotkeys and coldkeypubs go to wallet files in the run's folder; coldkeys never leave the memory of
the orchestrator, and every neuron has its own: what the owner's coldkey owns earns nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chain.types import RAO_PER_TAO, Rao

Role = Literal["miner", "validator"]

HONEST = "honest"
BETWEEN = "flaky"
DISHONEST = ("downgraded", "canned")
MINERS = (HONEST, HONEST, BETWEEN, *DISHONEST)
GUEST = "guest"
"""A miner started from the user's own command; no law of the demo is about it."""
NEWCOMER = "newcomer"
"""An honest miner that buys a seat in the middle of the game."""
COPIER = "copier"
"""A validator that asks nobody and sets what the others have set."""

STAKES_TAO = (200, 180)
"""What the validators stake. Well above what a miner or the owner earns in a long demo: a miner
that outgrew a validator would take its permit."""
MAINNET_STAKES_TAO = (300, 500, 1000)
"""The same on mainnet, the copier's last. Each purchase raises the price: in this order all three
get about as much alpha, so that the two who judge hold the majority, and nobody loses a permit to
a miner."""


@dataclass(frozen=True, slots=True)
class Player:
    """One neuron to be: `name` is its wallet, its log and its folder."""

    name: str
    role: Role
    kind: str
    host: str
    stake: Rao
    hotkey_seed: bytes
    hotkey: Any
    coldkey: Any


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody. `players` are in the order in which they take their seats; `late` come later."""

    players: tuple[Player, ...]
    owner_hotkey: Any
    owner_coldkey: Any
    bank: Any
    """The account that pays for all and holds the sudo key."""
    late: tuple[Player, ...] = ()

    def of(self, role: Role) -> tuple[Player, ...]:
        """The miners, or the validators."""
        return tuple(player for player in self.players if player.role == role)

    @property
    def judges(self) -> tuple[Player, ...]:
        """The validators that judge for themselves."""
        return tuple(player for player in self.of("validator") if player.kind != COPIER)

    @property
    def everybody(self) -> tuple[Player, ...]:
        """Those who come late, too."""
        return self.players + self.late


def assemble(
    seed: int, *, guest: bool, miners: Sequence[str] = MINERS, mainnet: bool = False
) -> Cast:
    """The cast of one run: `miners` by kind, two validators, perhaps a guest.

    With the rules of `mainnet` a third validator copies, and a newcomer waits for a seat.

    Their seats are drawn by `seed`, so that no kind of miner is ever favoured by its uid.
    """
    from bittensor_core import Keypair

    kinds = (*miners, GUEST) if guest else tuple(miners)
    roles: list[tuple[str, Role, str, int]] = [
        (f"{kind}-{kinds[:n].count(kind) + 1}" if kinds.count(kind) > 1 else kind, "miner", kind, 0)
        for n, kind in enumerate(kinds)
    ]
    stakes = MAINNET_STAKES_TAO[:2] if mainnet else STAKES_TAO
    roles += [(f"validator-{n}", "validator", "validator", tao) for n, tao in enumerate(stakes, 1)]
    if mainnet:
        roles.append((COPIER, "validator", COPIER, MAINNET_STAKES_TAO[2]))
    random.Random(seed).shuffle(roles)
    if mainnet:
        roles.append((NEWCOMER, "miner", NEWCOMER, 0))

    def key(name: str) -> Any:
        return Keypair.create_from_seed(_secret(seed, name))

    players = tuple(
        Player(
            name=name,
            role=role,
            kind=kind,
            # The chain refuses 127.0.0.1, and Linux routes the whole of 127/8 to itself.
            host=f"127.0.0.{number}",
            stake=Rao(tao * RAO_PER_TAO),
            hotkey_seed=_secret(seed, f"{name} hotkey"),
            hotkey=key(f"{name} hotkey"),
            coldkey=key(f"{name} coldkey"),
        )
        for number, (name, role, kind, tao) in enumerate(roles, start=2)
    )
    return Cast(
        players=tuple(player for player in players if player.kind != NEWCOMER),
        late=tuple(player for player in players if player.kind == NEWCOMER),
        owner_hotkey=key("owner hotkey"),
        owner_coldkey=key("owner coldkey"),
        bank=Keypair.create_from_uri("//Alice"),
    )


def write_wallets(cast: Cast, folder: Path) -> None:
    """One wallet folder a player, in the SDK's format: its hotkey and its coldkey's public half."""
    from bittensor import Wallet

    for player in cast.everybody:
        wallet = Wallet(player.name, "default", path=str(folder))
        wallet.regenerate_hotkey(seed=player.hotkey_seed, use_password=False, suppress=True)
        wallet.regenerate_coldkeypub(ss58_address=player.coldkey.ss58_address)


def _secret(seed: int, name: str) -> bytes:
    """32 bytes for one purpose. Anybody can know them: they are worth something on no chain."""
    return hashlib.blake2b(f"subnet demo {seed} {name}".encode(), digest_size=32).digest()
