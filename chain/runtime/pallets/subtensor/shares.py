"""Share pools: the alpha that many coldkeys hold through one hotkey on one subnet.

A pool has a value V (`TotalHotkeyAlpha`) and shares that sum to D (`TotalHotkeySharesV2`); a
coldkey with s shares holds floor(V * s / D). Dividends raise V alone, and so everybody's holding.
Shares are decimal floats of 21 digits, cut off rather than rounded, so holdings sum to at most V.
Knows nothing of TAO, of pools that trade, or of who may do what.
"""

from __future__ import annotations

from chain.runtime.fixed import U64_MAX
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import SafeFloat
from chain.types import AccountId, Alpha, NetUid

MAX_MANTISSA = 10**21
MIN_MANTISSA = 10**20  # exclusive
MAX_SHIFT = 22  # digits apart at which the smaller number no longer counts


def of(mantissa: int, exponent: int = 0) -> SafeFloat:
    """mantissa * 10^exponent with 21 digits kept; later ones are cut off."""
    if not mantissa:
        return s.ZERO_FLOAT
    while mantissa > MAX_MANTISSA:
        mantissa //= 10
        exponent += 1
    while mantissa <= MIN_MANTISSA:
        mantissa *= 10
        exponent -= 1
    return SafeFloat(mantissa, exponent)


def to_u64(a: SafeFloat) -> int:
    """The whole number at or below `a`, at most 2^64-1."""
    scale: int = 10 ** min(abs(a.exponent), MAX_SHIFT)
    return min(a.mantissa * scale if a.exponent > 0 else a.mantissa // scale, U64_MAX)


def add(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """Sum; digits of the smaller number past the 21st are cut off."""
    if not a.mantissa or not b.mantissa:
        return a if a.mantissa else b
    left, right, exponent = _aligned(a, b)
    return of(left + right, exponent)


def sub(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """Difference, 0 where `b` is larger."""
    if not a.mantissa or not b.mantissa:
        return a
    left, right, exponent = _aligned(a, b)
    return of(max(left - right, 0), exponent)


def mul_div(a: SafeFloat, b: SafeFloat, c: SafeFloat) -> SafeFloat:
    """a * b / c, 0 when `c` is 0."""
    if not c.mantissa:
        return s.ZERO_FLOAT
    return of(a.mantissa * b.mantissa // c.mantissa, a.exponent + b.exponent - c.exponent)


def _aligned(a: SafeFloat, b: SafeFloat) -> tuple[int, int, int]:
    exponent = max(a.exponent, b.exponent)
    left = a.mantissa // 10 ** min(exponent - a.exponent, MAX_SHIFT)
    right = b.mantissa // 10 ** min(exponent - b.exponent, MAX_SHIFT)
    return left, right, exponent


def total(ctx: Ctx, hotkey: AccountId, netuid: NetUid) -> Alpha:
    """What all coldkeys hold through `hotkey`."""
    return s.TotalHotkeyAlpha.get(ctx, hotkey, netuid)


def value(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid) -> Alpha:
    """What `coldkey` holds through `hotkey`."""
    share = s.AlphaV2.find(ctx, hotkey, coldkey, netuid)
    if share is None:
        return Alpha(0)
    shares = s.TotalHotkeySharesV2.get(ctx, hotkey, netuid)
    return Alpha(to_u64(mul_div(of(int(total(ctx, hotkey, netuid))), share, shares)))


def can_increase(ctx: Ctx, hotkey: AccountId, netuid: NetUid, alpha: Alpha) -> bool:
    """Whether `alpha` is enough to be worth a share."""
    shares = s.TotalHotkeySharesV2.get(ctx, hotkey, netuid)
    return not shares.mantissa or bool(_worth(ctx, hotkey, netuid, alpha, shares).mantissa)


def increase(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid, alpha: Alpha) -> None:
    """Give `coldkey` new shares worth `alpha`."""
    if not alpha:
        return
    shares = s.TotalHotkeySharesV2.get(ctx, hotkey, netuid)
    if shares.mantissa:
        worth = _worth(ctx, hotkey, netuid, alpha, shares)
        held = add(s.AlphaV2.get(ctx, hotkey, coldkey, netuid), worth)
        shares = add(shares, worth)
    else:
        held = shares = of(int(alpha))
    _put_shares(ctx, hotkey, coldkey, netuid, held, shares)
    increase_all(ctx, hotkey, netuid, alpha)


def decrease(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid, alpha: Alpha) -> None:
    """Take shares worth `alpha` from `coldkey`, which must hold as much.

    Who takes all keeps no share: a crumb left by rounding down would be worth nothing until the
    pool is empty, and then own all that comes into it.
    """
    if not alpha:
        return
    shares = s.TotalHotkeySharesV2.get(ctx, hotkey, netuid)
    held = s.AlphaV2.get(ctx, hotkey, coldkey, netuid)
    takes_all = alpha >= value(ctx, hotkey, coldkey, netuid)
    worth = held if takes_all else _worth(ctx, hotkey, netuid, alpha, shares)
    _put_shares(ctx, hotkey, coldkey, netuid, sub(held, worth), sub(shares, worth))
    now = total(ctx, hotkey, netuid)
    _put_total(ctx, hotkey, netuid, now.saturating_sub(alpha))
    staked = s.TotalAlphaStaked.get(ctx, netuid)
    s.TotalAlphaStaked.put(ctx, netuid, staked.saturating_sub(min(alpha, now)))


def increase_all(ctx: Ctx, hotkey: AccountId, netuid: NetUid, alpha: Alpha) -> None:
    """Raise the value of every share of the pool, by `alpha` in all."""
    if not alpha:
        return
    _put_total(ctx, hotkey, netuid, total(ctx, hotkey, netuid).saturating_add(alpha))
    staked = s.TotalAlphaStaked.get(ctx, netuid)
    s.TotalAlphaStaked.put(ctx, netuid, staked.saturating_add(alpha))


def _worth(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid, alpha: Alpha, shares: SafeFloat
) -> SafeFloat:
    return mul_div(of(int(alpha)), shares, of(int(total(ctx, hotkey, netuid))))


def _put_total(ctx: Ctx, hotkey: AccountId, netuid: NetUid, alpha: Alpha) -> None:
    if alpha:
        s.TotalHotkeyAlpha.put(ctx, hotkey, netuid, alpha)
    else:
        s.TotalHotkeyAlpha.remove(ctx, hotkey, netuid)


def _put_shares(
    ctx: Ctx,
    hotkey: AccountId,
    coldkey: AccountId,
    netuid: NetUid,
    held: SafeFloat,
    shares: SafeFloat,
) -> None:
    if held.mantissa:
        s.AlphaV2.put(ctx, hotkey, coldkey, netuid, held)
    else:
        s.AlphaV2.remove(ctx, hotkey, coldkey, netuid)
    if shares.mantissa:
        s.TotalHotkeySharesV2.put(ctx, hotkey, netuid, shares)
    else:
        s.TotalHotkeySharesV2.remove(ctx, hotkey, netuid)
