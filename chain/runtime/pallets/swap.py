"""Swap: the pool in which a subnet's alpha trades against TAO.

A pool of two reserves and two weights that sum to one. Weights of one half make it the constant
product; injected liquidity moves the weights instead of the price. `Pool` is the arithmetic,
`quote_*` say what an order would do, `buy` and `sell` do it to the reserves and counters. Moving
the TAO itself between accounts is the caller's, as is what becomes of the fee.
A subnet that is not dynamic (root) trades one to one and free of fees.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from chain.runtime.fixed import U16_MAX, U64_MAX, U64F64
from chain.runtime.frame import Ctx, Pallet, Twox64Concat, ensure, ensure_root
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import U16, U64, Codec, Integer, Newtype
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao

pallet = Pallet("Swap", 28, path="pallet_subtensor_swap")

ACCURACY = 10**18
"""Weights and powers are counted in parts of this."""
EVEN_WEIGHT = ACCURACY // 2
MIN_WEIGHT = ACCURACY // 100
MAX_PRICE = 1_000_000_000_000_000
"""The limit of a buyer without one, in rao per alpha."""
MIN_PRICE = 1_000
"""The limit of a seller without one, in rao per alpha."""
MINIMUM_RESERVE = 1_000_000
MAX_FEE_RATE = 10_000
MAX_INPUT_FACTOR = 1_000
"""An order may bring at most this many times the reserve it adds to."""
DYNAMIC = 1
"""The `SubnetMechanism` of a subnet with a pool."""

_PERQUINTILL: Codec[int] = Newtype(("sp_arithmetic", "per_things", "Perquintill"), Integer(64), int)
BALANCER: Codec[int] = Newtype(
    ("pallet_subtensor_swap", "pallet", "balancer", "Balancer"), _PERQUINTILL, int, "quote"
)
"""Weight of the TAO side, in parts of 10^18; alpha has the rest."""

pallet.constant("MaxFeeRate", U16, MAX_FEE_RATE)
pallet.constant("MinimumReserve", U64, MINIMUM_RESERVE)

FeeRate = pallet.map("FeeRate", NetUid, U16, default=33, hasher=Twox64Concat)
SwapBalancer = pallet.map(
    "SwapBalancer", NetUid, BALANCER, default=EVEN_WEIGHT, hasher=Twox64Concat
)
PalSwapInitialized = pallet.map(
    "PalSwapInitialized", NetUid, bool, default=False, hasher=Twox64Concat
)


@pallet.event(0)
@dataclass(frozen=True)
class FeeRateSet:
    """The fee of a subnet's pool was set, in parts of 65535."""

    netuid: NetUid
    rate: U16


FeeRateTooHigh = pallet.error("FeeRateTooHigh", 0, "The fee rate is too high")
InsufficientInputAmount = pallet.error(
    "InsufficientInputAmount", 1, "The provided amount is insufficient for the swap."
)
InsufficientLiquidity = pallet.error(
    "InsufficientLiquidity", 2, "The provided liquidity is insufficient for the operation."
)
PriceLimitExceeded = pallet.error(
    "PriceLimitExceeded", 3, "The operation would exceed the price limit."
)
InsufficientBalance = pallet.error(
    "InsufficientBalance", 4, "The caller does not have enough balance for the operation."
)
InvalidTickRange = pallet.error("InvalidTickRange", 5, "The provided tick range is invalid.")
InvalidLiquidityValue = pallet.error("InvalidLiquidityValue", 6, "Invalid liquidity value.")
ReservesTooLow = pallet.error("ReservesTooLow", 7, "Reserves too low for operation.")
MechanismDoesNotExist = pallet.error("MechanismDoesNotExist", 8, "The subnet does not exist.")
SubtokenDisabled = pallet.error("SubtokenDisabled", 9, "The subnet has no subtoken yet.")
ReservesOutOfBalance = pallet.error("ReservesOutOfBalance", 10, "Swap reserves are too imbalanced")
SwapInputTooLarge = pallet.error(
    "SwapInputTooLarge", 11, "The input is too large for the reserves."
)
Deprecated = pallet.error("Deprecated", 12, "The call is deprecated.")

# Arithmetic


def power(num: int, den: int, exponent_num: int, exponent_den: int) -> int:
    """floor(10^18 * (num / den) ^ (exponent_num / exponent_den)); 0 when `den` or `num` is."""
    if not num or not den:
        return 0
    if exponent_num == exponent_den:
        return ACCURACY * num // den
    if 2 * exponent_num == exponent_den:
        return math.isqrt(ACCURACY * ACCURACY * num // den)
    with decimal.localcontext(_DIGITS):
        exponent = decimal.Decimal(exponent_num) / exponent_den
        result = ((decimal.Decimal(num) / den).ln() * exponent).exp() * ACCURACY
        # A power that is a whole number comes out a hair below it.
        return int(result + _HAIR)


_DIGITS = decimal.Context(prec=90, Emin=-999_999, Emax=999_999)
_HAIR = decimal.Decimal("1e-40")


def _power_fixed(num: int, den: int, exponent_num: int, exponent_den: int) -> int:
    """`power` as a U64F64; what does not fit 64 bits of 10^-18 parts stops there."""
    return U64F64.ratio(min(power(num, den, exponent_num, exponent_den), U64_MAX), ACCURACY)


@dataclass(frozen=True)
class Pool:
    """Reserves in units, and the weight of the TAO side in parts of 10^18.

    Prices are U64F64 raw bits, TAO per alpha.
    """

    alpha: int
    tao: int
    tao_weight: int = EVEN_WEIGHT

    @property
    def alpha_weight(self) -> int:
        """Weight of the alpha side."""
        return ACCURACY - self.tao_weight

    @property
    def price(self) -> int:
        """(alpha weight / TAO weight) * (TAO / alpha); 0 for a pool without alpha."""
        weights = U64F64.ratio(self.alpha_weight, self.tao_weight)
        return U64F64.mul(weights, U64F64.ratio(self.tao, self.alpha))

    def alpha_for(self, tao: int) -> int:
        """Alpha paid out: alpha * (1 - (TAO / (TAO + `tao`))^(TAO weight / alpha weight))."""
        kept = _power_fixed(self.tao, self.tao + tao, self.tao_weight, self.alpha_weight)
        return _share(self.alpha, U64F64.sub(U64F64.ONE, min(kept, U64F64.ONE)))

    def tao_for(self, alpha: int) -> int:
        """TAO paid out, by the same formula with the sides exchanged."""
        kept = _power_fixed(self.alpha, self.alpha + alpha, self.alpha_weight, self.tao_weight)
        return _share(self.tao, U64F64.sub(U64F64.ONE, min(kept, U64F64.ONE)))

    def tao_to_reach(self, price: int) -> int:
        """TAO that raises the price to `price`: TAO * ((price / now)^alpha weight - 1)."""
        grown = _power_fixed(price, self.price, self.alpha_weight, ACCURACY)
        return _share(self.tao, U64F64.sub(grown, U64F64.ONE))

    def alpha_to_reach(self, price: int) -> int:
        """Alpha that lowers the price to `price`: alpha * ((now / price)^TAO weight - 1)."""
        grown = _power_fixed(self.price, price, self.tao_weight, ACCURACY)
        return _share(self.alpha, U64F64.sub(grown, U64F64.ONE))

    def weight_after_adding(self, alpha: int, tao: int) -> int | None:
        """The TAO weight that keeps the price when both reserves grow; None when out of bounds."""
        alpha_side = _parts_rounded(self.alpha_weight, self.tao * (self.alpha + alpha))
        tao_side = _parts_rounded(self.tao_weight, self.alpha * (self.tao + tao))
        total = alpha_side + tao_side
        weight = ACCURACY * tao_side // total if total else EVEN_WEIGHT
        return weight if MIN_WEIGHT <= weight <= ACCURACY - MIN_WEIGHT else None


def _share(amount: int, part: int) -> int:
    return U64F64.to_u64(U64F64.mul(U64F64.of(amount), part))


def _parts_rounded(parts: int, value: int) -> int:
    return (parts * value + ACCURACY // 2) // ACCURACY


# Orders

In = TypeVar("In", Rao, Alpha)
Out = TypeVar("Out", Rao, Alpha)


@dataclass(frozen=True)
class SwapResult(Generic[In, Out]):
    """What an order does. The reserve takes `paid_in`; the fee is beside it, in the same token.

    What the order offered above paid_in + fee was not used, because the price limit was reached.
    """

    paid_in: In
    paid_out: Out
    fee: In


def is_dynamic(ctx: Ctx, netuid: NetUid) -> bool:
    """Whether the subnet trades in a pool."""
    return s.SubnetMechanism.get(ctx, netuid) == DYNAMIC


def pool(ctx: Ctx, netuid: NetUid) -> Pool:
    """The pool of a subnet as it stands."""
    alpha, tao = s.SubnetAlphaIn.get(ctx, netuid), s.SubnetTAO.get(ctx, netuid)
    return Pool(int(alpha), int(tao), SwapBalancer.get(ctx, netuid))


def price(ctx: Ctx, netuid: NetUid) -> int:
    """TAO per alpha as U64F64 raw bits: the spot price, or 1 without a pool."""
    return pool(ctx, netuid).price if is_dynamic(ctx, netuid) else U64F64.ONE


def price_after(ctx: Ctx, netuid: NetUid, *, alpha: int, tao: int) -> int:
    """The price once the reserves have changed by `alpha` and `tao`."""
    if not is_dynamic(ctx, netuid):
        return U64F64.ONE
    now = pool(ctx, netuid)
    return Pool(now.alpha + alpha, now.tao + tao, now.tao_weight).price


def fee_of(ctx: Ctx, netuid: NetUid, amount: int) -> int:
    """The fee on an order of `amount`, in its own token."""
    return amount * FeeRate.get(ctx, netuid) // U16_MAX if is_dynamic(ctx, netuid) else 0


def quote_buy(
    ctx: Ctx,
    netuid: NetUid,
    tao: Rao,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
) -> SwapResult[Rao, Alpha]:
    """What buying alpha for `tao` would do; nothing is written.

    `limit_price` is in rao per alpha: the order stops when the price reaches it. Raises
    ReservesTooLow, PriceLimitExceeded (the price is there already), SwapInputTooLarge,
    InsufficientLiquidity.
    """
    if not is_dynamic(ctx, netuid):
        return SwapResult(tao, Alpha(int(tao)), Rao(0))
    now = pool(ctx, netuid)
    limit = U64F64.ratio(MAX_PRICE if limit_price is None else limit_price, RAO_PER_TAO)
    ensure(now.alpha >= MINIMUM_RESERVE, ReservesTooLow)
    ensure(now.price < limit, PriceLimitExceeded)

    rate = 0 if drop_fees else FeeRate.get(ctx, netuid)
    fee = int(tao) * rate // U16_MAX
    paid_in = int(tao) - fee
    ensure(paid_in <= MAX_INPUT_FACTOR * now.tao, SwapInputTooLarge)
    paid_out = now.alpha_for(paid_in)
    after = Pool(max(now.alpha - paid_out, 0), now.tao + paid_in, now.tao_weight)
    if after.alpha == 0 or after.price > limit:
        paid_in = min(now.tao_to_reach(limit), paid_in)
        fee = min(paid_in * rate // (U16_MAX - rate), int(tao) - paid_in)
        paid_out = now.alpha_for(paid_in)
    _ensure_paid(paid_in, paid_out, now.alpha)
    return SwapResult(Rao(paid_in), Alpha(paid_out), Rao(fee))


def quote_sell(
    ctx: Ctx,
    netuid: NetUid,
    alpha: Alpha,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
) -> SwapResult[Alpha, Rao]:
    """What selling `alpha` would do; the mirror of `quote_buy`, with the limit from below."""
    if not is_dynamic(ctx, netuid):
        return SwapResult(alpha, Rao(int(alpha)), Alpha(0))
    now = pool(ctx, netuid)
    limit = U64F64.ratio(MIN_PRICE if limit_price is None else limit_price, RAO_PER_TAO)
    ensure(now.tao >= MINIMUM_RESERVE, ReservesTooLow)
    ensure(now.price > limit, PriceLimitExceeded)

    rate = 0 if drop_fees else FeeRate.get(ctx, netuid)
    fee = int(alpha) * rate // U16_MAX
    paid_in = int(alpha) - fee
    ensure(paid_in <= MAX_INPUT_FACTOR * now.alpha, SwapInputTooLarge)
    paid_out = now.tao_for(paid_in)
    after = Pool(now.alpha + paid_in, max(now.tao - paid_out, 0), now.tao_weight)
    if after.price < limit:
        paid_in = min(now.alpha_to_reach(limit), paid_in)
        fee = min(paid_in * rate // (U16_MAX - rate), int(alpha) - paid_in)
        paid_out = now.tao_for(paid_in)
    _ensure_paid(paid_in, paid_out, now.tao)
    return SwapResult(Alpha(paid_in), Rao(paid_out), Alpha(fee))


def _ensure_paid(paid_in: int, paid_out: int, reserve: int) -> None:
    ensure(paid_in == 0 or paid_out > 0, ReservesTooLow)
    ensure(paid_out <= reserve, InsufficientLiquidity)


def buy(
    ctx: Ctx,
    netuid: NetUid,
    tao: Rao,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
) -> SwapResult[Rao, Alpha]:
    """Buy alpha for `tao`, which already lies in the subnet's account. Raises as `quote_buy`.

    The fee and what the limit leaves over still lie there afterwards: the caller passes them on.
    `TotalStake` rises by all of `tao`, the fee included.
    """
    result = quote_buy(ctx, netuid, tao, limit_price=limit_price, drop_fees=drop_fees)
    _initialize(ctx, netuid)
    out = result.paid_out
    s.SubnetAlphaIn.put(ctx, netuid, s.SubnetAlphaIn.get(ctx, netuid).saturating_sub(out))
    s.SubnetAlphaOut.put(ctx, netuid, s.SubnetAlphaOut.get(ctx, netuid).saturating_add(out))
    s.SubnetTAO.put(ctx, netuid, s.SubnetTAO.get(ctx, netuid).saturating_add(result.paid_in))
    s.TotalStake.put(ctx, s.TotalStake.get(ctx).saturating_add(tao))
    s.SubnetVolume.put(ctx, netuid, s.SubnetVolume.get(ctx, netuid) + int(tao))
    return result


def sell(
    ctx: Ctx,
    netuid: NetUid,
    alpha: Alpha,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
) -> SwapResult[Alpha, Rao]:
    """Sell `alpha`, which nobody holds any more. Raises as `quote_sell`.

    The TAO paid out still lies in the subnet's account; the alpha fee is still in `SubnetAlphaOut`.
    """
    result = quote_sell(ctx, netuid, alpha, limit_price=limit_price, drop_fees=drop_fees)
    _initialize(ctx, netuid)
    paid = result.paid_in
    s.SubnetAlphaIn.put(ctx, netuid, s.SubnetAlphaIn.get(ctx, netuid).saturating_add(paid))
    s.SubnetAlphaOut.put(ctx, netuid, s.SubnetAlphaOut.get(ctx, netuid).saturating_sub(paid))
    s.SubnetTAO.put(ctx, netuid, s.SubnetTAO.get(ctx, netuid).saturating_sub(result.paid_out))
    s.TotalStake.put(ctx, s.TotalStake.get(ctx).saturating_sub(result.paid_out))
    s.SubnetVolume.put(ctx, netuid, s.SubnetVolume.get(ctx, netuid) + int(result.paid_out))
    return result


def _initialize(ctx: Ctx, netuid: NetUid) -> None:
    # Weights that an injection has moved already stay: even ones would move the price.
    if is_dynamic(ctx, netuid) and not PalSwapInitialized.get(ctx, netuid):
        SwapBalancer.put(ctx, netuid, SwapBalancer.get(ctx, netuid))
        PalSwapInitialized.put(ctx, netuid, True)


def max_buy(ctx: Ctx, netuid: NetUid, limit_price: int) -> Rao:
    """The most TAO, fee included, that an order can bring before the price is `limit_price`.

    Raises ReservesTooLow and PriceLimitExceeded, as the order would.
    """
    if not is_dynamic(ctx, netuid):
        return Rao(U64_MAX if limit_price >= RAO_PER_TAO else 0)
    now, limit = pool(ctx, netuid), U64F64.ratio(limit_price, RAO_PER_TAO)
    ensure(now.alpha >= MINIMUM_RESERVE, ReservesTooLow)
    ensure(now.price < limit, PriceLimitExceeded)
    return Rao(_with_fee(ctx, netuid, now.tao_to_reach(limit)))


def max_sell(ctx: Ctx, netuid: NetUid, limit_price: int) -> Alpha:
    """The most alpha, fee included, that an order can bring before the price is `limit_price`.

    Raises ReservesTooLow and PriceLimitExceeded, as the order would.
    """
    if not is_dynamic(ctx, netuid):
        return Alpha(U64_MAX if limit_price <= RAO_PER_TAO else 0)
    now, limit = pool(ctx, netuid), U64F64.ratio(limit_price, RAO_PER_TAO)
    ensure(now.tao >= MINIMUM_RESERVE, ReservesTooLow)
    ensure(now.price > limit, PriceLimitExceeded)
    if limit_price == 0:
        return Alpha(U64_MAX)
    return Alpha(_with_fee(ctx, netuid, now.alpha_to_reach(limit)))


def _with_fee(ctx: Ctx, netuid: NetUid, net: int) -> int:
    rate = FeeRate.get(ctx, netuid)
    return min(net + net * rate // (U16_MAX - rate), U64_MAX)


# Liquidity


def adjust_protocol_liquidity(
    ctx: Ctx, netuid: NetUid, tao: Rao, alpha: Alpha
) -> tuple[Rao, Alpha]:
    """Move the weights so that adding `tao` and `alpha` to the reserves leaves the price alone.

    Returns what may be added: all of it, or nothing where a weight would leave its bounds. The
    reserves themselves are the caller's to raise.
    """
    weight = pool(ctx, netuid).weight_after_adding(int(alpha), int(tao))
    if weight is None:
        return Rao(0), Alpha(0)
    SwapBalancer.put(ctx, netuid, weight)
    return tao, alpha


# Calls


@pallet.call(0)
def set_fee_rate(ctx: Ctx, netuid: NetUid, rate: U16) -> None:
    """Set the fee of a subnet's pool in parts of 65535, by root."""
    # ORIGIN
    ensure_root(ctx)

    # CHECKS
    ensure(s.NetworksAdded.get(ctx, netuid), MechanismDoesNotExist)
    ensure(rate <= MAX_FEE_RATE, FeeRateTooHigh)

    # EFFECTS
    FeeRate.put(ctx, netuid, rate)

    # EVENT
    ctx.deposit(FeeRateSet(netuid, rate))
