"""BetaBasketRuntimeApi: declared and empty. This chain has no baskets; clients ask all the same."""

from __future__ import annotations

from chain.runtime.apis.api import RuntimeApi
from chain.runtime.frame import Ctx
from chain.scale import U64
from chain.types import AccountId, NetUid, Rao

api = RuntimeApi("BetaBasketRuntimeApi", 3)

Row = tuple[NetUid, U64]


@api.method
def get_root_basket_owed(ctx: Ctx, coldkey: AccountId) -> Rao:
    """Nothing is owed."""
    return Rao(0)


@api.method
def get_root_basket_positions(ctx: Ctx, coldkey: AccountId) -> list[Row]:
    """No positions."""
    return []


@api.method
def get_basket_payout(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> Rao:
    """Nothing to pay out."""
    return Rao(0)


@api.method
def get_validator_basket_nav(ctx: Ctx, hotkey: AccountId) -> Rao:
    """Worth nothing."""
    return Rao(0)


@api.method
def get_validator_basket(ctx: Ctx, hotkey: AccountId) -> list[Row]:
    """Holds nothing."""
    return []


@api.method
def get_root_basket_total_nav(ctx: Ctx) -> Rao:
    """Worth nothing."""
    return Rao(0)


@api.method
def get_all_validator_baskets(ctx: Ctx) -> list[Row]:
    """There are none."""
    return []


@api.method
def get_root_basket_claim_previews(ctx: Ctx, coldkey: AccountId) -> list[Row]:
    """Nothing to claim."""
    return []
