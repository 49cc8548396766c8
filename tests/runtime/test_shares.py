"""Share pools: decimal floats against fractions, and what holders hold whatever happened."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime.pallets.subtensor import shares
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import SafeFloat
from chain.types import Alpha, NetUid
from tests.runtime.economy import Economy, account

NETUID = NetUid(1)
HOTKEY = account("hotkey")
COLDKEYS = [account(name) for name in ("ada", "ben", "cyd")]
numbers = st.integers(1, 21 * 10**15)


def exact(a: SafeFloat) -> Fraction:
    return Fraction(a.mantissa) * Fraction(10) ** a.exponent


def values(world: Economy) -> list[int]:
    return [int(shares.value(world.ctx, HOTKEY, c, NETUID)) for c in COLDKEYS]


def total(world: Economy) -> int:
    return int(shares.total(world.ctx, HOTKEY, NETUID))


# Decimal floats


@pytest.mark.parametrize(
    ("number", "mantissa", "exponent"),
    [
        (0, 0, 0),
        (1, 10**21, -21),  # the largest mantissa, not the smallest: the lower end is exclusive
        (10**21, 10**21, 0),
        (10**21 + 9, 10**21, 0),  # cut to 10^20, and scaled up again
        (123, 123 * 10**18, -18),
        (2 * 10**25 + 99_999, 2 * 10**20, 5),
    ],
)
def test_numbers_keep_21_digits(number: int, mantissa: int, exponent: int) -> None:
    assert shares.of(number) == SafeFloat(mantissa, exponent)


@given(a=numbers, b=numbers, c=numbers)
def test_arithmetic_is_exact_to_20_digits_and_never_above(a: int, b: int, c: int) -> None:
    x, y, z = shares.of(a), shares.of(b), shares.of(c)
    part = 1 - Fraction(1, 10**20)
    assert (a + b) * part <= exact(shares.add(x, y)) <= a + b
    assert Fraction(a * b, c) * (1 - Fraction(1, 10**19)) <= exact(shares.mul_div(x, y, z))
    assert exact(shares.mul_div(x, y, z)) <= Fraction(a * b, c)
    big, small = max(a, b), min(a, b)
    difference = exact(shares.sub(shares.of(big), shares.of(small)))
    assert abs(difference - (big - small)) <= Fraction(big, 10**20)


def test_a_number_far_smaller_does_not_count() -> None:
    large, small = SafeFloat(5 * 10**20, 30), SafeFloat(5 * 10**20, 0)
    assert shares.add(large, small) == large
    assert shares.sub(large, small) == large
    assert shares.sub(small, large).mantissa == 0


@pytest.mark.parametrize(
    ("a", "whole"),
    [
        (SafeFloat(0, 0), 0),
        (SafeFloat(2 * 10**20, -20), 2),
        (SafeFloat(299_999_999_999_999_999_999, -20), 2),
        (SafeFloat(2 * 10**20, -21), 0),
        (SafeFloat(2 * 10**20, 3), 2**64 - 1),
        (SafeFloat(2 * 10**20, -40), 0),
    ],
)
def test_the_whole_part_of_a_number(a: SafeFloat, whole: int) -> None:
    assert shares.to_u64(a) == whole


# Pools


def test_the_first_holder_has_a_share_for_each_unit() -> None:
    world = Economy()
    shares.increase(world.ctx, HOTKEY, COLDKEYS[0], NETUID, Alpha(5_000))
    assert s.AlphaV2.get(world.ctx, HOTKEY, COLDKEYS[0], NETUID) == shares.of(5_000)
    assert s.TotalHotkeySharesV2.get(world.ctx, HOTKEY, NETUID) == shares.of(5_000)
    assert values(world) == [5_000, 0, 0]


def test_dividends_are_shared_by_holding_and_newcomers_get_none() -> None:
    world = Economy()
    shares.increase(world.ctx, HOTKEY, COLDKEYS[0], NETUID, Alpha(3_000))
    shares.increase(world.ctx, HOTKEY, COLDKEYS[1], NETUID, Alpha(1_000))
    shares.increase_all(world.ctx, HOTKEY, NETUID, Alpha(400))
    assert values(world) == [3_300, 1_100, 0]
    shares.increase(world.ctx, HOTKEY, COLDKEYS[2], NETUID, Alpha(4_400))
    # The newcomer's shares are cut off at the 21st digit, and its holding then to a whole unit.
    assert values(world) == [3_300, 1_100, 4_400]
    shares.increase_all(world.ctx, HOTKEY, NETUID, Alpha(80))
    assert values(world) == [3_330, 1_110, 4_440]


def test_taking_all_of_it_leaves_an_empty_pool() -> None:
    world = Economy()
    shares.increase(world.ctx, HOTKEY, COLDKEYS[0], NETUID, Alpha(7_777))
    shares.increase_all(world.ctx, HOTKEY, NETUID, Alpha(123))
    shares.decrease(world.ctx, HOTKEY, COLDKEYS[0], NETUID, Alpha(7_900))
    for item in (s.TotalHotkeyAlpha, s.TotalHotkeySharesV2):
        assert not item.contains(world.ctx, HOTKEY, NETUID)
    assert s.AlphaV2.find(world.ctx, HOTKEY, COLDKEYS[0], NETUID) is None
    assert s.TotalAlphaStaked.get(world.ctx, NETUID) == Alpha(0)


def test_an_amount_not_worth_a_share_is_told_apart() -> None:
    world = Economy()
    assert shares.can_increase(world.ctx, HOTKEY, NETUID, Alpha(1))
    shares.increase(world.ctx, HOTKEY, COLDKEYS[0], NETUID, Alpha(1))
    shares.increase_all(world.ctx, HOTKEY, NETUID, Alpha(10**16))
    assert shares.can_increase(world.ctx, HOTKEY, NETUID, Alpha(1))
    assert not shares.can_increase(world.ctx, HOTKEY, NETUID, Alpha(0))


steps = st.lists(
    st.tuples(
        st.sampled_from(["increase", "decrease", "dividend"]),
        st.integers(0, 2),
        st.integers(1, 10**15),
    ),
    max_size=60,
)


@given(steps=steps)
def test_holdings_sum_to_the_pool_and_only_their_owner_moves_them(
    steps: list[tuple[str, int, int]],
) -> None:
    world = Economy()
    staked = 0
    for what, who, amount in steps:
        before = values(world)
        if what == "increase":
            if not shares.can_increase(world.ctx, HOTKEY, NETUID, Alpha(amount)):
                continue
            shares.increase(world.ctx, HOTKEY, COLDKEYS[who], NETUID, Alpha(amount))
        elif what == "decrease":
            amount = min(amount, before[who])
            shares.decrease(world.ctx, HOTKEY, COLDKEYS[who], NETUID, Alpha(amount))
            amount = -amount
        elif not any(before):
            continue
        else:
            shares.increase_all(world.ctx, HOTKEY, NETUID, Alpha(amount))
        staked += amount
        after = values(world)
        assert total(world) == staked == int(s.TotalAlphaStaked.get(world.ctx, NETUID))
        assert 0 <= staked - sum(after) <= len(COLDKEYS)
        if what != "dividend":
            moved = [b - a for a, b in zip(before, after, strict=True)]
            # A unit of the sum comes and goes with rounding, for anybody.
            assert abs(moved[who] - amount) <= 1
            assert all(abs(m) <= 1 for other, m in enumerate(moved) if other != who)


def test_who_takes_all_leaves_no_crumb_to_own_the_empty_pool() -> None:
    world = Economy()
    ctx = world.ctx
    holders = COLDKEYS[:2]
    for holder, alpha in zip(holders, (3, 7_777_777), strict=True):
        shares.increase(ctx, HOTKEY, holder, NETUID, Alpha(alpha))
    shares.increase_all(ctx, HOTKEY, NETUID, Alpha(1_000_003))
    for holder in holders:
        held = shares.value(ctx, HOTKEY, holder, NETUID)
        shares.decrease(ctx, HOTKEY, holder, NETUID, held)
        assert s.AlphaV2.find(ctx, HOTKEY, holder, NETUID) is None
    shares.increase_all(ctx, HOTKEY, NETUID, Alpha(5_000))
    assert values(world) == [0, 0, 0]
