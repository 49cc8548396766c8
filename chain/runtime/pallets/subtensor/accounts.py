"""Accounts that nobody holds a key for: one for each subnet's TAO, and the grave of burned TAO."""

from __future__ import annotations

import functools

from chain.types import AccountId, NetUid

SUBNETS = b"subtensr"
BURNS = b"burntnsr"
"""What the accounts are derived from."""


def _pallet_account(pallet_id: bytes, sub: bytes = b"") -> AccountId:
    return AccountId((b"modl" + pallet_id + sub).ljust(32, b"\x00"))


BURN_ACCOUNT = _pallet_account(BURNS)
"""Where burned TAO lies; it stays in the issuance."""


@functools.cache
def subnet_account(netuid: NetUid) -> AccountId:
    """The account that holds the TAO of a subnet's pool; root's holds all root stake."""
    return _pallet_account(SUBNETS, int(netuid).to_bytes(2, "little"))


def is_system_account(account: AccountId) -> bool:
    """Whether `account` belongs to a subnet and so can be nobody's key."""
    netuid = NetUid(int.from_bytes(account[12:14], "little"))
    return account == subnet_account(netuid)
