"""The pool: its arithmetic against exact fractions, orders and their limits, refusals, fees."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chain.errors import BadOrigin, ModuleError
from chain.runtime.fixed import U64F64
from chain.runtime.pallets import balances, swap
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.swap import ACCURACY, Pool
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao
from tests.runtime.economy import ROOT, Economy, account

reserves = st.integers(10**6, 10**16)
weights = st.integers(swap.MIN_WEIGHT, ACCURACY - swap.MIN_WEIGHT)


def tao_per_alpha(price: int) -> float:
    return price / U64F64.ONE


def shallow(world: Economy) -> NetUid:
    """A pool of 1 TAO and 4 alpha: a price of a quarter."""
    return world.subnet(tao=1, alpha=4)


# Arithmetic


@pytest.mark.parametrize(
    ("amount", "fee", "out"), [(1_000, 0, 3_999), (2_000, 1, 7_995), (123_456, 62, 493_515)]
)
def test_small_buys_pay_out_what_the_chain_pays(amount: int, fee: int, out: int) -> None:
    world = Economy()
    result = swap.quote_buy(world.ctx, shallow(world), Rao(amount))
    assert result == swap.SwapResult(Rao(amount - fee), Alpha(out), Rao(fee))


@given(alpha=reserves, tao=reserves, offered=st.integers(0, 10**16))
def test_even_weights_are_the_constant_product(alpha: int, tao: int, offered: int) -> None:
    # One part in 10^18 of the reserve is lost to the power: less than a unit.
    bought, sold = Pool(alpha, tao).alpha_for(offered), Pool(tao, alpha).tao_for(offered)
    exact = Fraction(alpha * offered, tao + offered)
    assert bought == sold
    assert exact - 1 < bought < exact + Fraction(1, 10)


@given(
    num=st.integers(1, 10**16), den=st.integers(1, 10**16), times=st.sampled_from([1, 2, 3, 9, 99])
)
def test_whole_powers_are_exact(num: int, den: int, times: int) -> None:
    num, den = min(num, den), max(num, den)
    assert swap.power(num, den, times, 1) == ACCURACY * num**times // den**times


@given(num=reserves, den=reserves, root=st.integers(2, 9))
def test_roots_are_exact(num: int, den: int, root: int) -> None:
    found = swap.power(num, den, 1, root)
    assert found**root * den <= ACCURACY**root * num < (found + 1) ** root * den


def test_a_square_root_that_is_a_number_is_that_number() -> None:
    # The cube of 3/10, computed as a cube root: the transcendental way, which lands a hair below.
    assert swap.power(27, 1000, 1, 3) == 3 * ACCURACY // 10
    assert swap.power(9, 100, 1, 2) == 3 * ACCURACY // 10


def test_a_power_of_nothing_is_nothing() -> None:
    assert swap.power(0, 5, 1, 3) == 0
    assert swap.power(5, 0, 1, 3) == 0


@pytest.mark.parametrize("weight", [ACCURACY // 10, ACCURACY // 2, 9 * ACCURACY // 10])
@given(alpha=reserves, tao=reserves, more=st.floats(0, 0.01), unbalance=st.floats(0.5, 2))
def test_injected_liquidity_leaves_the_price_alone(
    weight: int, alpha: int, tao: int, more: float, unbalance: float
) -> None:
    alpha, tao = alpha * 1000, tao * 1000
    alpha_in, tao_in = int(alpha * more), int(tao * more * unbalance)
    pool = Pool(alpha, tao, weight)
    moved = pool.weight_after_adding(alpha_in, tao_in)
    assert moved is not None
    after = Pool(alpha + alpha_in, tao + tao_in, moved)
    # Weights have 18 digits and prices 64 bits; a price of 2 and 10^-10 keep different parts.
    assert after.price == pytest.approx(pool.price, rel=1e-15, abs=200)


def test_injection_stops_where_a_weight_would_leave_its_bounds() -> None:
    assert Pool(10**9, 10**9).weight_after_adding(0, 10**12) is None
    assert Pool(10**9, 10**9).weight_after_adding(10**12, 0) is None
    assert Pool(10**9, 10**9).weight_after_adding(0, 98 * 10**9) is not None


def test_an_empty_pool_takes_even_weights() -> None:
    assert Pool(0, 0, ACCURACY // 4).weight_after_adding(0, 5) == swap.EVEN_WEIGHT


@given(alpha=reserves, tao=reserves, weight=weights, part=st.integers(1, 10**6))
def test_a_trade_back_and_forth_gains_nothing(alpha: int, tao: int, weight: int, part: int) -> None:
    offered = max(tao * part // 10**6, 1)
    bought = Pool(alpha, tao, weight).alpha_for(offered)
    assume(bought < alpha)  # orders stop at a price long before that
    after = Pool(alpha - bought, tao + offered, weight)
    assert after.tao_for(bought) <= offered + 1 + tao // 10**15


def test_the_price_is_the_ratio_of_reserves_and_weights() -> None:
    pool = Pool(alpha=4 * 10**9, tao=10**9, tao_weight=ACCURACY // 4)
    assert tao_per_alpha(pool.price) == 0.75
    assert Pool(0, 10**9).price == 0


# Orders


def test_buying_moves_reserves_and_counters() -> None:
    world = Economy()
    netuid = world.subnet(tao=100, alpha=400)
    before = s.TotalStake.get(world.ctx)
    result = swap.buy(world.ctx, netuid, Rao(10 * RAO_PER_TAO))
    fee = 10 * RAO_PER_TAO * 33 // 65535
    assert result.fee == Rao(fee)
    assert result.paid_in == Rao(10 * RAO_PER_TAO - fee)
    assert s.SubnetTAO.get(world.ctx, netuid) == Rao(110 * RAO_PER_TAO - fee)
    assert s.SubnetAlphaOut.get(world.ctx, netuid) == result.paid_out
    assert s.SubnetAlphaIn.get(world.ctx, netuid) + result.paid_out == Alpha(400 * RAO_PER_TAO)
    assert s.TotalStake.get(world.ctx) == before + Rao(10 * RAO_PER_TAO)
    assert s.SubnetVolume.get(world.ctx, netuid) == 10 * RAO_PER_TAO


def test_selling_moves_them_the_other_way() -> None:
    world = Economy()
    netuid = world.subnet(tao=100, alpha=400)
    s.SubnetAlphaOut.put(world.ctx, netuid, Alpha(50 * RAO_PER_TAO))
    before = s.TotalStake.get(world.ctx)
    result = swap.sell(world.ctx, netuid, Alpha(40 * RAO_PER_TAO))
    fee = 40 * RAO_PER_TAO * 33 // 65535
    assert result.fee == Alpha(fee)
    assert s.SubnetAlphaIn.get(world.ctx, netuid) == Alpha(440 * RAO_PER_TAO - fee)
    assert s.SubnetAlphaOut.get(world.ctx, netuid) == Alpha(10 * RAO_PER_TAO + fee)
    assert s.SubnetTAO.get(world.ctx, netuid) + result.paid_out == Rao(100 * RAO_PER_TAO)
    assert s.TotalStake.get(world.ctx) == before - result.paid_out
    assert s.SubnetVolume.get(world.ctx, netuid) == int(result.paid_out)


def test_a_quote_is_what_the_order_does_and_writes_nothing() -> None:
    world = Economy()
    netuid = shallow(world)
    before = swap.pool(world.ctx, netuid)
    quote = swap.quote_buy(world.ctx, netuid, Rao(10**8), limit_price=280_000_000)
    assert swap.pool(world.ctx, netuid) == before
    assert not swap.PalSwapInitialized.get(world.ctx, netuid)
    assert swap.buy(world.ctx, netuid, Rao(10**8), limit_price=280_000_000) == quote


def test_the_first_order_keeps_weights_that_an_injection_moved() -> None:
    world = Economy()
    netuid = shallow(world)
    swap.adjust_protocol_liquidity(world.ctx, netuid, Rao(10**8), Alpha(0))
    weight = swap.SwapBalancer.get(world.ctx, netuid)
    assert weight > swap.EVEN_WEIGHT
    swap.buy(world.ctx, netuid, Rao(10**6))
    assert swap.SwapBalancer.get(world.ctx, netuid) == weight


def test_root_trades_one_to_one_and_free() -> None:
    world = Economy()
    bought = swap.buy(world.ctx, ROOT, Rao(5_000))
    assert bought == swap.SwapResult(Rao(5_000), Alpha(5_000), Rao(0))
    sold = swap.sell(world.ctx, ROOT, Alpha(2_000))
    assert sold == swap.SwapResult(Alpha(2_000), Rao(2_000), Alpha(0))
    assert s.SubnetTAO.get(world.ctx, ROOT) == Rao(3_000)
    assert s.SubnetAlphaOut.get(world.ctx, ROOT) == Alpha(3_000)
    assert swap.price(world.ctx, ROOT) == U64F64.ONE


# Limits


@given(
    limit=st.integers(250_000_100, 4_000_000_000), weight=weights, offered=st.integers(1, 10**12)
)
def test_a_buy_stops_at_its_limit(limit: int, weight: int, offered: int) -> None:
    world = Economy()
    netuid = shallow(world)
    ctx = world.ctx
    swap.SwapBalancer.put(ctx, netuid, weight)
    before, stop = swap.price(ctx, netuid), U64F64.ratio(limit, RAO_PER_TAO)
    try:
        result = swap.buy(ctx, netuid, Rao(offered), limit_price=limit)
    except ModuleError as error:
        assert isinstance(error, (swap.PriceLimitExceeded, swap.ReservesTooLow))
        return
    after = swap.price(ctx, netuid)
    used = int(result.paid_in) + int(result.fee)
    assert used <= offered
    assert before <= after <= stop * (1 + 1e-7)
    if used < offered:
        # It stopped because it had to: one more percent would have passed the limit.
        assert after >= stop * 0.999 or swap.max_buy(ctx, netuid, limit) < Rao(offered)


def test_a_limit_clips_the_order_and_its_fee() -> None:
    world = Economy()
    netuid = world.subnet(tao=1000, alpha=1000)
    # A price of 1.21 is where the TAO reserve has grown by a tenth.
    result = swap.quote_buy(world.ctx, netuid, Rao(500 * RAO_PER_TAO), limit_price=1_210_000_000)
    assert abs(int(result.paid_in) - 100 * RAO_PER_TAO) <= 1
    assert int(result.fee) == int(result.paid_in) * 33 // (65535 - 33)
    most = swap.max_buy(world.ctx, netuid, 1_210_000_000)
    assert most == result.paid_in + result.fee


def test_a_sale_is_clipped_from_below() -> None:
    world = Economy()
    netuid = world.subnet(tao=1000, alpha=1000)
    # A price of 1/1.21 is where the alpha reserve has grown by a tenth.
    limit = round(RAO_PER_TAO / 1.21)
    result = swap.quote_sell(world.ctx, netuid, Alpha(500 * RAO_PER_TAO), limit_price=limit)
    assert int(result.paid_in) == pytest.approx(100 * RAO_PER_TAO, rel=1e-8)
    assert int(result.fee) == int(result.paid_in) * 33 // (65535 - 33)
    assert swap.max_sell(world.ctx, netuid, limit) == result.paid_in + result.fee


def test_an_order_whose_limit_is_the_price_already_is_refused() -> None:
    world = Economy()
    netuid = world.subnet(tao=1000, alpha=1000)
    with pytest.raises(swap.PriceLimitExceeded):
        swap.quote_buy(world.ctx, netuid, Rao(10**9), limit_price=RAO_PER_TAO)
    with pytest.raises(swap.PriceLimitExceeded):
        swap.quote_sell(world.ctx, netuid, Alpha(10**9), limit_price=RAO_PER_TAO)
    for most in (swap.max_buy, swap.max_sell):
        with pytest.raises(swap.PriceLimitExceeded):
            most(world.ctx, netuid, RAO_PER_TAO)
        s.SubnetTAO.put(world.ctx, netuid, Rao(999_999))
        s.SubnetAlphaIn.put(world.ctx, netuid, Alpha(999_999))
        with pytest.raises(swap.ReservesTooLow):
            most(world.ctx, netuid, RAO_PER_TAO)
        s.SubnetTAO.put(world.ctx, netuid, Rao(1000 * RAO_PER_TAO))
        s.SubnetAlphaIn.put(world.ctx, netuid, Alpha(1000 * RAO_PER_TAO))


@pytest.mark.parametrize(
    ("tao", "alpha", "offered", "refusal"),
    [
        (1, 0.000_999_999, 1_000, swap.ReservesTooLow),  # alpha reserve below the minimum
        (1, 1000, 1_000 * 10**9 + 10**9, swap.SwapInputTooLarge),
        (100, 0.001, 100, swap.ReservesTooLow),  # buys less than a unit
    ],
)
def test_buys_that_the_pool_refuses(
    tao: float, alpha: float, offered: int, refusal: type[ModuleError]
) -> None:
    world = Economy()
    netuid = world.subnet(tao=tao, alpha=alpha)
    with pytest.raises(refusal):
        swap.quote_buy(world.ctx, netuid, Rao(offered))


@pytest.mark.parametrize(
    ("tao", "alpha", "offered", "refusal"),
    [
        (0.000_999_999, 1, 1_000, swap.ReservesTooLow),
        (1000, 1, 1_000 * 10**9 + 10**9, swap.SwapInputTooLarge),
        (0.001, 1000, 1_000, swap.PriceLimitExceeded),  # worth less than the least price
        (0.01, 1000, 1_000, swap.ReservesTooLow),
    ],
)
def test_sales_that_the_pool_refuses(
    tao: float, alpha: float, offered: int, refusal: type[ModuleError]
) -> None:
    world = Economy()
    netuid = world.subnet(tao=tao, alpha=alpha)
    with pytest.raises(refusal):
        swap.quote_sell(world.ctx, netuid, Alpha(offered))


# The fee rate


def test_only_root_sets_the_fee_and_within_its_bound() -> None:
    world = Economy()
    netuid = shallow(world)
    with pytest.raises(BadOrigin):
        world.call(account("owner"), swap.set_fee_rate, netuid, 100)
    with pytest.raises(swap.FeeRateTooHigh):
        swap.set_fee_rate(world.ctx, netuid, 10_001)
    with pytest.raises(swap.MechanismDoesNotExist):
        swap.set_fee_rate(world.ctx, NetUid(9), 100)
    swap.set_fee_rate(world.ctx, netuid, 10_000)
    assert world.events[-1] == swap.FeeRateSet(netuid, 10_000)
    assert swap.quote_buy(world.ctx, netuid, Rao(65_535)).fee == Rao(10_000)
    assert swap.quote_buy(world.ctx, netuid, Rao(65_535), drop_fees=True).fee == Rao(0)


def test_the_swap_itself_moves_no_balance() -> None:
    world = Economy(author=account("author"))
    netuid = shallow(world)
    issued = balances.TotalIssuance.get(world.ctx)
    swap.buy(world.ctx, netuid, Rao(10**8))
    assert balances.TotalIssuance.get(world.ctx) == issued
    assert balances.free(world.ctx, account("author")) == Rao(0)
