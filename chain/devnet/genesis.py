"""The chain a devnet is born with: well-known accounts with money, the first of them root.

The accounts are those of every Substrate development chain, `//Alice` and her friends, and then
`//Dev7`, `//Dev8`, ...: their secret keys are public. Never send anything of worth to them on a
real network.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittensor_core import Keypair

from chain.devnet.engines.python import PythonEngine
from chain.runtime.genesis import GenesisConfig, Preset
from chain.runtime.runtime import RuntimeConfig
from chain.types import RAO_PER_TAO, AccountId, Rao

__all__ = ["BALANCE", "DEFAULT_ACCOUNTS", "DevAccount", "accounts", "dev_engine"]

BALANCE = Rao(1_000_000 * RAO_PER_TAO)
"""What each account is born with."""


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account whose secret is its derivation path."""

    uri: str
    account: AccountId


NAMES = ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")
DEFAULT_ACCOUNTS = len(NAMES)


def _account(name: str) -> DevAccount:
    uri = f"//{name}"
    return DevAccount(uri, AccountId.from_ss58(Keypair.create_from_uri(uri).ss58_address))


def accounts(count: int = DEFAULT_ACCOUNTS) -> tuple[DevAccount, ...]:
    """The funded accounts; the first signs for root."""
    names = (*NAMES, *(f"Dev{number}" for number in range(DEFAULT_ACCOUNTS + 1, count + 1)))
    return tuple(map(_account, names[:count]))


AUTHOR = _account("Author").account
"""Who is paid the fees: none of the above, so that their balances are easy to follow."""


def dev_engine(
    slot_duration_ms: int = 250, preset: Preset = "devnet", funded: int = DEFAULT_ACCOUNTS
) -> PythonEngine:
    """The Python runtime over the development genesis, with so many `funded` accounts.

    `slot_duration_ms` is the block time clients are told (`Aura.SlotDuration`). It is part of the
    metadata and so of the genesis hash, and stays what it is however blocks are made.
    """
    born = [account.account for account in accounts(funded)]
    balances = tuple((account, BALANCE) for account in born)
    genesis = GenesisConfig(balances=balances, sudo=born[0], preset=preset)
    return PythonEngine(
        RuntimeConfig(genesis=genesis, author=AUTHOR, slot_duration_ms=slot_duration_ms)
    )
