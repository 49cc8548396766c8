"""Share pools: the alpha that many coldkeys hold through one hotkey on one subnet.

A pool has a value V (`TotalHotkeyAlpha`) and shares that sum to D (`TotalHotkeySharesV2`); a
coldkey with s shares holds floor(V * s / D). Dividends raise V alone, and so everybody's holding.
Shares are decimal floats of 21 digits, cut off rather than rounded, so holdings sum to at most V.
Knows nothing of TAO, of pools that trade, or of who may do what.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from chain.runtime.fixed import U64_MAX
from chain.runtime.frame import Ctx, Item
from chain.runtime.pallets.subtensor import columns
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.columns import Column
from chain.runtime.pallets.subtensor.records import SafeFloat
from chain.scale import Reader
from chain.types import AccountId, Alpha, NetUid

Number = tuple[int, int]
"""A `SafeFloat` as a pair: mantissa * 10^exponent, (0, 0) for zero."""

MAX_MANTISSA = 10**21
MIN_MANTISSA = 10**20  # exclusive
MAX_SHIFT = 22  # digits apart at which the smaller number no longer counts
_TENS = [10**i for i in range(MAX_SHIFT + 1)]


def of(mantissa: int, exponent: int = 0) -> SafeFloat:
    """mantissa * 10^exponent with 21 digits kept; later ones are cut off."""
    return SafeFloat(*_kept(mantissa, exponent))


def to_u64(a: SafeFloat) -> int:
    """The whole number at or below `a`, at most 2^64-1."""
    scale: int = 10 ** min(abs(a.exponent), MAX_SHIFT)
    return min(a.mantissa * scale if a.exponent > 0 else a.mantissa // scale, U64_MAX)


def add(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """Sum; digits of the smaller number past the 21st are cut off."""
    return SafeFloat(*_sum((a.mantissa, a.exponent), (b.mantissa, b.exponent)))


def sub(a: SafeFloat, b: SafeFloat) -> SafeFloat:
    """Difference, 0 where `b` is larger."""
    if not a.mantissa or not b.mantissa:
        return a
    left, right, exponent = _aligned((a.mantissa, a.exponent), (b.mantissa, b.exponent))
    return of(max(left - right, 0), exponent)


def mul_div(a: SafeFloat, b: SafeFloat, c: SafeFloat) -> SafeFloat:
    """a * b / c, 0 when `c` is 0."""
    factors = (a.mantissa, a.exponent), (b.mantissa, b.exponent)
    return SafeFloat(*_scaled(*factors, (c.mantissa, c.exponent)))


def _kept(mantissa: int, exponent: int) -> Number:
    if MIN_MANTISSA < mantissa <= MAX_MANTISSA:
        return mantissa, exponent
    if not mantissa:
        return 0, 0
    # To within a digit in one step: digits cut off together are cut off as one by one.
    spare = 20 - ((mantissa.bit_length() - 1) * 1233 >> 12)  # 1233 / 4096 is just below log10(2)
    if spare > 0:
        mantissa *= _TENS[spare]
        exponent -= spare
    elif spare < -1:
        mantissa //= 10 ** (-1 - spare)
        exponent -= spare + 1
    while mantissa > MAX_MANTISSA:
        mantissa //= 10
        exponent += 1
    while mantissa <= MIN_MANTISSA:
        mantissa *= 10
        exponent -= 1
    return mantissa, exponent


def _sum(a: Number, b: Number) -> Number:
    if not a[0] or not b[0]:
        return a if a[0] else b
    left, right, exponent = _aligned(a, b)
    return _kept(left + right, exponent)


def _scaled(a: Number, b: Number, c: Number) -> Number:
    if not c[0]:
        return 0, 0
    return _kept(a[0] * b[0] // c[0], a[1] + b[1] - c[1])


def _aligned(a: Number, b: Number) -> tuple[int, int, int]:
    (left, exponent), (right, other) = a, b
    if exponent >= other:
        return left, right // _TENS[min(exponent - other, MAX_SHIFT)], exponent
    return left // _TENS[min(other - exponent, MAX_SHIFT)], right, other


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


def increase_many(
    ctx: Ctx, netuid: NetUid, grants: Iterable[tuple[AccountId, AccountId, int]]
) -> None:
    """Give each (hotkey, coldkey, alpha) in turn what `increase` would give it."""
    grants = [grant for grant in grants if grant[2]]
    if not grants:
        return
    hotkeys, coldkeys, alphas = zip(*grants, strict=True)
    totals = dict(
        zip(hotkeys, columns.numbers(ctx, s.TotalHotkeyAlpha, hotkeys, netuid), strict=True)
    )
    issued = dict(zip(hotkeys, _numbers(ctx, s.TotalHotkeySharesV2, hotkeys, netuid), strict=True))
    holders = list(zip(hotkeys, coldkeys, strict=True))
    held = dict(zip(holders, _numbers(ctx, s.AlphaV2, hotkeys, coldkeys, netuid), strict=True))
    for holder, alpha in zip(holders, alphas, strict=True):
        hotkey = holder[0]
        shares, total, own = issued[hotkey], totals[hotkey], held[holder]
        new = worth = _kept(alpha, 0)
        if shares[0]:
            worth = _scaled(worth, shares, _kept(total, 0))
            new = _sum(shares, worth)
        issued[hotkey] = new
        # Who holds all shares goes on to hold all.
        held[holder] = new if own == shares or not shares[0] else _sum(own, worth)
        totals[hotkey] = min(total + alpha, U64_MAX)

    _put_numbers(ctx, s.AlphaV2, *zip(*held, strict=True), netuid, numbers=held.values())
    _put_numbers(ctx, s.TotalHotkeySharesV2, issued, netuid, numbers=issued.values())
    columns.put_numbers(ctx, s.TotalHotkeyAlpha, totals, netuid, values=list(totals.values()))
    _count_staked(ctx, netuid, sum(alphas))


_PACKED = struct.Struct("<QQq")  # the halves of a mantissa, and the exponent
_ZERO = bytes(_PACKED.size)
_LOW_HALF = (1 << 64) - 1


def _numbers(ctx: Ctx, item: Item[SafeFloat], *keys: Column) -> list[Number]:
    found = [_ZERO if raw is None else raw for raw in columns.stored(ctx, item, *keys)]
    if {*map(len, found)} - {_PACKED.size}:  # only a cheat writes what no codec wrote
        return [(a.mantissa, a.exponent) for a in map(item.value.read, map(Reader, found))]
    packed = b"".join(found)
    return [(low | high << 64, exponent) for low, high, exponent in _PACKED.iter_unpack(packed)]


def _put_numbers(ctx: Ctx, item: Item[SafeFloat], *keys: Column, numbers: Iterable[Number]) -> None:
    pack = _PACKED.pack
    encoded = [
        pack(mantissa & _LOW_HALF, mantissa >> 64, exponent) if mantissa else None
        for mantissa, exponent in numbers
    ]
    columns.put(ctx, item, *keys, encoded=encoded)


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
    _count_staked(ctx, netuid, int(alpha))


def increase_all_of(
    ctx: Ctx, hotkeys: Sequence[AccountId], netuid: NetUid, alphas: Sequence[int]
) -> None:
    """Raise the value of the pool of each of `hotkeys`, all different, as `increase_all` does."""
    totals = columns.numbers(ctx, s.TotalHotkeyAlpha, hotkeys, netuid)
    raised = [
        (hotkey, min(total + alpha, U64_MAX))
        for hotkey, total, alpha in zip(hotkeys, totals, alphas, strict=True)
        if alpha
    ]
    if raised:
        changed, values = zip(*raised, strict=True)
        columns.put_numbers(ctx, s.TotalHotkeyAlpha, changed, netuid, values=values)
        _count_staked(ctx, netuid, sum(alphas))


def _count_staked(ctx: Ctx, netuid: NetUid, alpha: int) -> None:
    staked = int(s.TotalAlphaStaked.get(ctx, netuid))
    s.TotalAlphaStaked.put(ctx, netuid, Alpha(min(staked + alpha, U64_MAX)))


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
