"""SwapRuntimeApi and SubnetRegistrationRuntimeApi: prices, quotes, and what a subnet costs."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import DispatchError
from chain.runtime.apis.api import RuntimeApi
from chain.runtime.fixed import U64F64
from chain.runtime.frame import Ctx
from chain.runtime.pallets import swap
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import subnets
from chain.scale import U64
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao

prices = RuntimeApi("SwapRuntimeApi")
registration = RuntimeApi("SubnetRegistrationRuntimeApi")


def _price(ctx: Ctx, netuid: NetUid) -> int:
    """Rao for one whole alpha."""
    return U64F64.to_u64(U64F64.mul(swap.price(ctx, netuid), U64F64.of(RAO_PER_TAO)))


@dataclass(frozen=True)
class SubnetPrice:
    """A subnet's price: rao for one whole alpha."""

    __scale_path__ = ("pallet_subtensor_swap_runtime_api", "SubnetPrice")
    netuid: NetUid
    price: U64


@dataclass(frozen=True)
class SimSwapResult:
    """What a swap would give and cost."""

    __scale_path__ = ("pallet_subtensor_swap_runtime_api", "SimSwapResult")
    tao_amount: Rao
    alpha_amount: Alpha
    tao_fee: Rao
    alpha_fee: Alpha
    tao_slippage: Rao
    alpha_slippage: Alpha


@prices.method
def current_alpha_price(ctx: Ctx, netuid: NetUid) -> U64:
    """Rao for one whole alpha at the pool's spot price."""
    return _price(ctx, netuid)


@prices.method
def current_alpha_price_all(ctx: Ctx) -> list[SubnetPrice]:
    """Every subnet's spot price."""
    return [
        SubnetPrice(netuid, _price(ctx, netuid))
        for netuid, added in s.NetworksAdded.items(ctx)
        if added
    ]


_NOTHING = SimSwapResult(Rao(0), Alpha(0), Rao(0), Alpha(0), Rao(0), Alpha(0))


@prices.method
def sim_swap_tao_for_alpha(ctx: Ctx, netuid: NetUid, tao: Rao) -> SimSwapResult:
    """What `tao` would buy; all zeros when the pool would refuse."""
    try:
        result = swap.quote_buy(ctx, netuid, tao)
    except DispatchError:
        return _NOTHING
    at_spot = int(result.paid_in) * RAO_PER_TAO // max(_price(ctx, netuid), 1)
    slippage = Alpha(max(at_spot - int(result.paid_out), 0))
    return SimSwapResult(
        Rao(int(result.paid_in)),
        Alpha(int(result.paid_out)),
        Rao(int(result.fee)),
        Alpha(0),
        Rao(0),
        slippage,
    )


@prices.method
def sim_swap_alpha_for_tao(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> SimSwapResult:
    """What selling `alpha` would give; all zeros when the pool would refuse."""
    try:
        result = swap.quote_sell(ctx, netuid, alpha)
    except DispatchError:
        return _NOTHING
    at_spot = int(result.paid_in) * _price(ctx, netuid) // RAO_PER_TAO
    slippage = Rao(max(at_spot - int(result.paid_out), 0))
    return SimSwapResult(
        Rao(int(result.paid_out)),
        Alpha(int(result.paid_in)),
        Rao(0),
        Alpha(int(result.fee)),
        slippage,
        Alpha(0),
    )


@registration.method
def get_network_registration_cost(ctx: Ctx) -> Rao:
    """What registering a subnet costs now."""
    return subnets.lock_cost(ctx)
