"""Recycling: TAO that leaves an account and the issuance, to be emitted again one day.

What a service of the chain costs is recycled. Burned TAO, in contrast, stays in the issuance.
"""

from __future__ import annotations

from chain.runtime.frame import Ctx
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import storage as s
from chain.types import AccountId, Rao


def recycle(ctx: Ctx, who: AccountId, amount: Rao) -> None:
    """Take `amount` from `who`, whose account stays alive, and out of both pallets' issuance.

    Raises InsufficientBalance and Expendability.
    """
    balances.withdraw(ctx, who, amount)
    balances.rescind(ctx, amount)
    s.TotalIssuance.put(ctx, s.TotalIssuance.get(ctx).saturating_sub(amount))
    if amount:
        ctx.deposit(balances.Withdraw(who, amount))
        ctx.deposit(balances.Rescinded(amount))
