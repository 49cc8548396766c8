"""The chain a devnet is born with: well-known accounts with money, the first of them root.

The accounts are those of every Substrate development chain, `//Alice` and her friends: their secret
keys are public. Never send anything of worth to them on a real network.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittensor_core import Keypair

from chain.devnet.engines.python import PythonEngine
from chain.runtime.genesis import GenesisConfig
from chain.runtime.runtime import RuntimeConfig
from chain.types import RAO_PER_TAO, AccountId, Rao

__all__ = ["ACCOUNTS", "BALANCE", "DevAccount", "dev_engine"]

BALANCE = Rao(1_000_000 * RAO_PER_TAO)
"""What each account is born with."""


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account whose secret is its derivation path."""

    uri: str
    account: AccountId


def _account(name: str) -> DevAccount:
    uri = f"//{name}"
    return DevAccount(uri, AccountId.from_ss58(Keypair.create_from_uri(uri).ss58_address))


ACCOUNTS = tuple(map(_account, ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")))
"""The funded accounts; the first signs for root."""

AUTHOR = _account("Author").account
"""Who is paid the fees: none of the above, so that their balances are easy to follow."""


def dev_engine(slot_duration_ms: int = 250) -> PythonEngine:
    """The Python runtime over the development genesis.

    `slot_duration_ms` is the block time clients are told (`Aura.SlotDuration`). It is part of the
    metadata and so of the genesis hash, and stays what it is however blocks are made.
    """
    root = ACCOUNTS[0].account
    balances = tuple((account.account, BALANCE) for account in ACCOUNTS)
    genesis = GenesisConfig(balances=balances, sudo=root)
    return PythonEngine(
        RuntimeConfig(genesis=genesis, author=AUTHOR, slot_duration_ms=slot_duration_ms)
    )
