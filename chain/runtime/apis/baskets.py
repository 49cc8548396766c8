"""BetaBasketRuntimeApi: declared in full and always empty, since this chain has no baskets.

Clients ask it on ordinary errands, such as listing a wallet's stake, and fail when a name is
missing. The runtime's source is not public: the shapes are those that the SDK 11.3 unpacks.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.runtime.apis.api import RuntimeApi
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor.records import Fixed128
from chain.scale import U32, U64
from chain.types import AccountId, Alpha, NetUid, Rao

api = RuntimeApi("BetaBasketRuntimeApi", 4)

_PATH = ("pallet_subtensor", "rpc_info", "basket")


@dataclass(frozen=True)
class BasketHolding:
    """What a basket holds of one subnet's alpha."""

    __scale_path__ = (*_PATH, "BasketHolding")
    netuid: NetUid
    alpha: Alpha
    spot_tao: Rao
    realizable_tao: Rao


@dataclass(frozen=True)
class BasketSummary:
    """A validator's whole basket."""

    __scale_path__ = (*_PATH, "BasketSummary")
    hotkey: AccountId
    shares: U64
    nav_tao: Rao
    spot_nav_tao: Rao
    deposited_tao: Rao
    redeemed_tao: Rao
    holdings: list[BasketHolding]


@dataclass(frozen=True)
class BasketPosition:
    """A staker's part of one basket."""

    __scale_path__ = (*_PATH, "BasketPosition")
    hotkey: AccountId
    beta: U64
    beta_total: U64
    nav_tao: Rao
    value_tao: Rao
    spot_value_tao: Rao


@dataclass(frozen=True)
class BasketTradingStatus:
    """What a validator may still trade."""

    __scale_path__ = (*_PATH, "BasketTradingStatus")
    enabled: bool
    frozen: bool
    refill_blocks: U64
    budget_tao: Rao
    tao_available: Rao


@dataclass(frozen=True)
class BasketClaimPreview:
    """What a claim would do."""

    __scale_path__ = (*_PATH, "BasketClaimPreview")
    hotkey: AccountId
    accrued_tao: Rao
    redeemable_tao: Rao
    forfeited_tao_est: Rao
    rows: U32
    rows_to_sell: U32
    dust_rows: U32
    swept: U32
    flushed_credits: U32


@dataclass(frozen=True)
class BetaPricing:
    """How a basket's token is priced."""

    __scale_path__ = (*_PATH, "BetaPricing")
    hotkey: AccountId
    spot_price: Fixed128
    display_price: Fixed128
    stake_price: Fixed128
    staker_yield: Fixed128
    staker_twr: Fixed128
    bag_index: Fixed128
    stake_index: Fixed128
    first_block: U64
    provisional: bool
    display_shares: Fixed128


@dataclass(frozen=True)
class BetaPricingPage:
    """Prices of some baskets, and where to go on."""

    __scale_path__ = (*_PATH, "BetaPricingPage")
    pricing: list[BetaPricing]
    next: AccountId | None


# A validator's basket


@api.method
def get_validator_basket(ctx: Ctx, hotkey: AccountId) -> list[tuple[NetUid, Alpha, Rao]]:
    """Alpha held and what it would sell for, subnet by subnet: nothing."""
    return []


@api.method
def get_validator_basket_nav(ctx: Ctx, hotkey: AccountId) -> Rao:
    """What it would sell for: 0."""
    return Rao(0)


@api.method
def get_validator_basket_summary(ctx: Ctx, hotkey: AccountId) -> BasketSummary:
    """All figures of it: 0."""
    return BasketSummary(hotkey, 0, Rao(0), Rao(0), Rao(0), Rao(0), [])


@api.method
def get_all_validator_baskets(ctx: Ctx) -> list[BasketSummary]:
    """Every basket there is: none."""
    return []


@api.method
def get_root_basket_total_nav(ctx: Ctx) -> Rao:
    """What all baskets would sell for: 0."""
    return Rao(0)


@api.method
def get_basket_trading_status(ctx: Ctx, hotkey: AccountId) -> BasketTradingStatus:
    """Trading is off."""
    return BasketTradingStatus(False, False, 0, Rao(0), Rao(0))


@api.method
def get_beta_pricing(ctx: Ctx, hotkey: AccountId) -> BetaPricing | None:
    """The price of its token: none."""
    return None


@api.method
def get_all_beta_pricing(ctx: Ctx, cursor: AccountId | None, limit: U32) -> BetaPricingPage:
    """The prices of all tokens: none."""
    return BetaPricingPage([], None)


# A staker's part


@api.method
def get_root_basket_owed(ctx: Ctx, coldkey: AccountId) -> Rao:
    """What all claims would pay: 0."""
    return Rao(0)


@api.method
def get_basket_payout(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> Rao:
    """What one claim would pay: 0."""
    return Rao(0)


@api.method
def get_root_basket_positions(ctx: Ctx, coldkey: AccountId) -> list[tuple[AccountId, U64, Rao]]:
    """Validator, share and payout of each position: none."""
    return []


@api.method
def get_basket_position(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> BasketPosition | None:
    """One position: none."""
    return None


@api.method
def get_root_basket_portfolio(ctx: Ctx, coldkey: AccountId) -> list[BasketPosition]:
    """All positions: none."""
    return []


@api.method
def get_basket_claim_preview(
    ctx: Ctx, hotkey: AccountId, coldkey: AccountId
) -> BasketClaimPreview | None:
    """What one claim would do: nothing."""
    return None


@api.method
def get_root_basket_claim_previews(ctx: Ctx, coldkey: AccountId) -> list[BasketClaimPreview]:
    """What each claim would do: nothing."""
    return []
