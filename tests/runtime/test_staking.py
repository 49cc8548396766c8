"""Staking calls: what they pay and leave, in what order they refuse, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import ModuleError
from chain.runtime.frame import ROOT as ROOT_ORIGIN
from chain.runtime.pallets import admin, alpha_assets, balances, swap
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import rootdividends, staking
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import BURN_ACCOUNT, subnet_account
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao
from tests.runtime.economy import ROOT, Economy, Laws, account

ADA, BEN, AUTHOR = account("ada"), account("ben"), account("author")
KEY = account("ada/hotkey")
TAO = RAO_PER_TAO
ED = int(balances.EXISTENTIAL_DEPOSIT)
NO_SUBNET = NetUid(7)


def opened(author: AccountId | None = AUTHOR) -> tuple[Economy, NetUid]:
    """A pool of 1000 TAO and 1000 alpha; ada has 200 TAO and a hotkey, the author lives."""
    world = Economy(author)
    netuid = world.subnet()
    world.hotkey("ada")
    world.hotkey("ben")
    world.fund(ADA, 200)
    world.fund(AUTHOR, 1)
    return world, netuid


def free(world: Economy, who: AccountId) -> int:
    return int(balances.free(world.ctx, who))


def of_kind(world: Economy, kind: type[Any]) -> list[Any]:
    return [event for event in world.events if type(event) is kind]


def refused(
    world: Economy, error: type[ModuleError], call: Callable[..., None], *args: Any
) -> None:
    before = dict(world.ctx.state.changes())
    with pytest.raises(error):
        world.call(ADA, call, *args)
    assert world.ctx.state.changes() == before


# Accounts


def test_subnet_accounts_are_those_of_the_chain() -> None:
    assert subnet_account(NetUid(0)).ss58() == "5EYCAe5jLQhn6ofDSvqF6iY53erXNkwhyE1aCEgvi1NNs91F"
    assert subnet_account(NetUid(1)).ss58() == "5EYCAe5jLQhn6ofDSvqWqk5fA9XiqK3ahtx5kBNmAqF78mqL"
    assert BURN_ACCOUNT.ss58() == "5EYCAe5fvqwE4eNE7ddxEfasPGZe11e6SWKvos7FUXP2LUrp"


# Adding


def test_add_stake_buys_at_the_pool_and_pays_the_author() -> None:
    world, netuid = opened()
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(100 * TAO))
    fee = 100 * TAO * 33 // 65535
    net = 100 * TAO - fee
    bought = 1000 * TAO * net // (1000 * TAO + net)
    assert world.stake(netuid, "ada") == bought
    assert free(world, ADA) == 100 * TAO
    assert free(world, AUTHOR) == TAO + fee
    assert free(world, subnet_account(netuid)) == 1000 * TAO + net
    assert KEY in s.StakingHotkeys.get(world.ctx, ADA)
    assert s.SubnetTaoFlow.get(world.ctx, netuid) == net
    assert of_kind(world, ev.StakeAdded) == [
        ev.StakeAdded(ADA, KEY, Rao(100 * TAO), Alpha(bought), netuid, fee)
    ]
    world.laws.check()


def test_all_the_balance_is_staked_but_what_keeps_the_account_alive() -> None:
    world, netuid = opened()
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(200 * TAO))
    assert free(world, ADA) == ED
    assert of_kind(world, ev.StakeAdded)[0].tao == Rao(200 * TAO - ED)
    world.laws.check()


def test_without_an_author_the_fee_is_burned() -> None:
    world, netuid = opened(author=None)
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(100 * TAO))
    assert free(world, BURN_ACCOUNT) == 100 * TAO * 33 // 65535
    world.laws.check()


def test_staking_on_root_is_one_to_one() -> None:
    world, _ = opened()
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(50 * TAO))
    assert world.stake(ROOT, "ada") == 50 * TAO
    assert free(world, ADA) == 150 * TAO
    assert s.SubnetTAO.get(world.ctx, ROOT) == Rao(50 * TAO)
    world.call(ADA, staking.remove_stake, KEY, ROOT, Alpha(20 * TAO))
    assert free(world, ADA) == 170 * TAO
    assert s.SubnetTAO.get(world.ctx, ROOT) == Rao(30 * TAO)
    world.laws.check()


def test_staking_through_the_hotkey_of_another_makes_it_a_delegate() -> None:
    world, netuid = opened()
    ben = account("ben/hotkey")
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(TAO))
    assert not s.Delegates.contains(world.ctx, KEY)
    world.call(ADA, staking.add_stake, ben, netuid, Rao(TAO))
    assert s.Delegates.find(world.ctx, ben) == 11_796
    assert ben in s.StakingHotkeys.get(world.ctx, ADA)


def test_a_limit_takes_all_or_nothing_or_a_part() -> None:
    world, netuid = opened()
    limit = Rao(1_100_000_000)
    most = swap.max_buy(world.ctx, netuid, int(limit))  # about 48.8 TAO
    assert 48 * TAO < most < 49 * TAO
    refused(
        world, er.SlippageTooHigh, staking.add_stake_limit, KEY, netuid, Rao(60 * TAO), limit, False
    )
    world.call(ADA, staking.add_stake_limit, KEY, netuid, Rao(60 * TAO), limit, True)
    paid = 200 * TAO - free(world, ADA)
    assert abs(paid - int(most)) <= 1
    assert of_kind(world, ev.StakeAdded)[0].tao == most
    assert swap.price(world.ctx, netuid) / 2**64 == pytest.approx(1.1, rel=1e-8)
    world.laws.check()


def test_five_percent_of_tolerance_takes_24_tao_from_a_pool_of_1000() -> None:
    # What a client that protects against slippage sends by default.
    world, netuid = opened()
    limit = Rao(1_050_000_000)
    world.call(ADA, staking.add_stake_limit, KEY, netuid, Rao(24 * TAO), limit, False)
    refused(
        world, er.SlippageTooHigh, staking.add_stake_limit, KEY, netuid, Rao(24 * TAO), limit, False
    )


def test_what_the_limit_of_an_order_leaves_over_goes_back() -> None:
    world, netuid = opened()
    staking.stake_into_subnet(
        world.ctx, KEY, ADA, netuid, Rao(100 * TAO), limit_price=1_100_000_000
    )
    event = of_kind(world, ev.StakeAdded)[0]
    used = 200 * TAO - free(world, ADA)
    assert 48 * TAO < used < 49 * TAO
    assert event.tao == Rao(100 * TAO)
    assert s.TotalStake.get(world.ctx) == Rao(1000 * TAO + used)
    world.laws.check()


def test_refusals_of_adding_come_in_the_order_of_the_chain() -> None:
    """Each call has every later fault too, and is refused for the first."""
    world, netuid = opened()
    least = 2_000_000 + 2_000_000 * 33 // 65535
    stranger = account("stranger")
    limited, low = staking.add_stake_limit, Rao(1_000_000_001)  # just above the price
    much = Rao(10**6 * TAO + 1)
    refused(world, er.InsufficientLiquidity, limited, KEY, netuid, much, Rao(1), False)
    refused(world, swap.PriceLimitExceeded, limited, KEY, netuid, Rao(1), Rao(TAO), True)
    refused(world, er.SubnetNotExists, limited, stranger, NO_SUBNET, Rao(1), low, False)
    s.SubtokenEnabled.put(world.ctx, netuid, False)
    refused(world, er.SubtokenDisabled, limited, stranger, netuid, Rao(1), low, False)
    s.SubtokenEnabled.put(world.ctx, netuid, True)
    refused(world, er.AmountTooLow, limited, stranger, netuid, Rao(least - 1), low, False)
    refused(world, er.SlippageTooHigh, limited, stranger, netuid, Rao(least), low, False)
    refused(
        world, er.NotEnoughBalanceToStake, staking.add_stake, stranger, netuid, Rao(200 * TAO + 1)
    )
    refused(world, er.HotKeyAccountNotExists, staking.add_stake, stranger, netuid, Rao(200 * TAO))
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(least))


def test_a_pool_too_shallow_is_insufficient_liquidity() -> None:
    world, _ = opened()
    shallow = world.subnet("shallow", tao=1, alpha=0.000_5)
    refused(world, er.InsufficientLiquidity, staking.add_stake, KEY, shallow, Rao(TAO))


# Removing


def staked() -> tuple[Economy, NetUid, int]:
    """As `opened`, with 100 TAO of ada's staked."""
    world, netuid = opened()
    world.call(ADA, staking.add_stake, KEY, netuid, Rao(100 * TAO))
    world.ctx.block_env.events.clear()
    return world, netuid, world.stake(netuid, "ada")


def test_remove_stake_sells_at_the_pool_and_pays_the_author() -> None:
    world, netuid, held = staked()
    pool, author = swap.pool(world.ctx, netuid), free(world, AUTHOR)
    alpha = 40 * TAO
    world.call(ADA, staking.remove_stake, KEY, netuid, Alpha(alpha))
    fee = alpha * 33 // 65535
    net = alpha - fee
    paid = pool.tao * net // (pool.alpha + net)
    assert free(world, ADA) == 100 * TAO + paid
    # The fee is sold after the order, at its worse price, and bears none itself.
    for_author = (pool.tao - paid) * fee // (pool.alpha + net + fee)
    assert free(world, AUTHOR) == author + for_author
    assert held - world.stake(netuid, "ada") == alpha
    assert of_kind(world, ev.StakeRemoved) == [
        ev.StakeRemoved(ADA, KEY, Rao(paid), Alpha(net), netuid, fee)
    ]
    world.laws.check()


def test_asking_for_more_than_there_is_takes_all() -> None:
    world, netuid, _ = staked()
    world.call(ADA, staking.remove_stake, KEY, netuid, Alpha(10**6 * TAO))
    assert world.stake(netuid, "ada") == 0
    assert free(world, ADA) == pytest.approx(200 * TAO, rel=1e-3)
    assert not s.TotalHotkeyAlpha.contains(world.ctx, KEY, netuid)
    world.laws.check()


def test_a_remainder_may_be_any_size_but_a_part_not() -> None:
    world, netuid, held = staked()
    refused(world, er.AmountTooLow, staking.remove_stake, KEY, netuid, Alpha(1_000_000))
    world.call(ADA, staking.remove_stake, KEY, netuid, Alpha(held - 1_000_000))
    world.call(ADA, staking.remove_stake, KEY, netuid, Alpha(1_000_000))
    assert world.stake(netuid, "ada") == 0


def test_a_limit_on_removing_takes_all_or_nothing_or_a_part() -> None:
    world, netuid, held = staked()
    limit = Rao(1_100_000_000)  # the price stands at 1.21
    refused(
        world,
        er.SlippageTooHigh,
        staking.remove_stake_limit,
        KEY,
        netuid,
        Alpha(held),
        limit,
        False,
    )
    refused(world, er.SlippageTooHigh, staking.remove_stake_full_limit, KEY, netuid, limit)
    world.call(ADA, staking.remove_stake_limit, KEY, netuid, Alpha(held), limit, True)
    assert 0 < world.stake(netuid, "ada") < held
    assert swap.price(world.ctx, netuid) / 2**64 == pytest.approx(1.1, rel=1e-4)
    world.laws.check()
    world.call(ADA, staking.remove_stake_full_limit, KEY, netuid, None)
    assert world.stake(netuid, "ada") == 0
    world.laws.check()


def test_what_the_limit_of_a_sale_leaves_over_stays_staked() -> None:
    world, netuid, held = staked()
    args = (world.ctx, KEY, ADA, netuid, Alpha(held))
    staking.unstake_from_subnet(*args, limit_price=1_100_000_000)
    event = of_kind(world, ev.StakeRemoved)[0]
    assert 0 < int(event.alpha) < held // 2 + TAO
    assert world.stake(netuid, "ada") == held - int(event.alpha) - event.fee
    world.laws.check()


def test_refusals_of_removing_come_in_the_order_of_the_chain() -> None:
    """Each call has every later fault too, and is refused for the first."""
    world, netuid, held = staked()
    limited, high = staking.remove_stake_limit, Rao(12 * TAO // 10)  # the price stands at 1.21
    stranger = account("stranger")
    s.SubtokenEnabled.put(world.ctx, netuid, False)  # which this call does not ask
    much = Alpha(10**6 * TAO)
    refused(world, er.InsufficientLiquidity, limited, KEY, netuid, much, Rao(5 * TAO), False)
    refused(world, swap.PriceLimitExceeded, limited, KEY, netuid, Alpha(0), Rao(5 * TAO), True)
    refused(world, er.SubnetNotExists, limited, KEY, NO_SUBNET, Alpha(0), high, False)
    refused(world, er.AmountTooLow, limited, KEY, netuid, Alpha(0), high, False)
    refused(world, er.NotEnoughStakeToWithdraw, limited, KEY, netuid, Alpha(held + 1), high, False)
    refused(world, er.NotEnoughStakeToWithdraw, limited, stranger, netuid, Alpha(1), high, False)
    refused(world, er.AmountTooLow, limited, KEY, netuid, Alpha(1), high, False)
    refused(world, er.SlippageTooHigh, limited, KEY, netuid, Alpha(held), high, False)


def test_only_the_plain_sale_asks_whether_the_token_is_open() -> None:
    world, netuid, held = staked()
    refused(world, er.SubtokenDisabled, staking.remove_stake, KEY, NO_SUBNET, Alpha(0))
    refused(world, er.SubnetNotExists, staking.remove_stake_full_limit, KEY, NO_SUBNET, None)
    s.SubtokenEnabled.put(world.ctx, netuid, False)
    refused(world, er.SubtokenDisabled, staking.remove_stake, KEY, netuid, Alpha(held))
    refused(world, er.SubtokenDisabled, staking.remove_stake_full_limit, KEY, netuid, None)
    world.call(ADA, staking.remove_stake_limit, KEY, netuid, Alpha(held), Rao(1), False)
    assert world.stake(netuid, "ada") == 0
    world.laws.check()


def test_a_move_within_a_subnet_is_of_the_least_or_more() -> None:
    """And it is told last, where a trade's is told before whether a transfer may be."""
    world, netuid, _ = staked()
    price = swap.price(world.ctx, netuid)
    least = -(-2_000_000 * 2**64 // price)  # rounded up: worth 0.002 TAO and hardly more
    small = (BEN, KEY, netuid, netuid)
    refused(world, er.AmountTooLow, staking.transfer_stake, *small, Alpha(least - 1))
    s.TransferToggle.put(world.ctx, netuid, False)
    refused(world, er.TransferDisallowed, staking.transfer_stake, *small, Alpha(least - 1))
    s.TransferToggle.put(world.ctx, netuid, True)
    world.call(ADA, staking.transfer_stake, *small, Alpha(least))
    assert world.stake(netuid, "ben", through="ada") == least


def test_small_nominations_are_sold_when_root_raises_the_least() -> None:
    """The least is TAO: where alpha is worth more, less of it is enough."""
    world, netuid = opened()
    dear = world.subnet("dear", tao=4000)  # 4 TAO an alpha
    for place in (netuid, dear, ROOT):
        world.give_stake(place, "ben", 0.001, through="ada")
        world.give_stake(place, "ada", 0.001)
    world.laws = Laws(world.ctx, tight=False)
    before = free(world, BEN)
    admin.sudo_set_nominator_min_required_stake(world.ctx.as_origin(ROOT_ORIGIN), 1_000_000)
    assert world.stake(netuid, "ben", through="ada") == 0  # 0.001 TAO of 0.002
    assert world.stake(ROOT, "ben", through="ada") == 0
    assert world.stake(dear, "ben", through="ada") == TAO // 1000  # 0.004 TAO
    assert free(world, BEN) - before == pytest.approx(2 * TAO // 1000, rel=1e-2)
    for place in (netuid, dear, ROOT):
        assert world.stake(place, "ada") == TAO // 1000  # its own hotkey
    world.laws.check()


def test_lowering_the_least_sells_nothing() -> None:
    world, netuid = opened()
    s.NominatorMinRequiredStake.put(world.ctx, 1_000_000)
    world.give_stake(netuid, "ben", 0.001, through="ada")
    admin.sudo_set_nominator_min_required_stake(world.ctx.as_origin(ROOT_ORIGIN), 900_000)
    assert world.stake(netuid, "ben", through="ada") == TAO // 1000


def test_a_small_nomination_that_the_pool_cannot_take_is_lost() -> None:
    world, netuid = opened()
    world.give_stake(netuid, "ben", 0.001, through="ada")
    s.SubnetTAO.put(world.ctx, netuid, Rao(1000))
    admin.sudo_set_nominator_min_required_stake(world.ctx.as_origin(ROOT_ORIGIN), 1_000_000)
    assert world.stake(netuid, "ben", through="ada") == 0
    assert free(world, BEN) == 0


def test_a_nomination_left_too_small_is_paid_out() -> None:
    world, netuid = opened()
    s.NominatorMinRequiredStake.put(world.ctx, 1_000_000)
    ben = account("ben/hotkey")
    for key, name in ((ben, "ben"), (KEY, "ada")):
        world.call(ADA, staking.add_stake, key, netuid, Rao(10 * TAO))
        held = world.stake(netuid, "ada", through=name)
        world.call(ADA, staking.remove_stake, key, netuid, Alpha(held - 1_000_000))
    assert world.stake(netuid, "ada", through="ben") == 0
    assert world.stake(netuid, "ada") == 1_000_000  # its own hotkey: any sum may stay
    world.laws.check()


def test_unstake_all_sells_everywhere_and_passes_over_closed_subnets() -> None:
    world, netuid, _ = staked()
    other = world.subnet("other")
    for on in (other, ROOT):
        world.call(ADA, staking.add_stake, KEY, on, Rao(10 * TAO))
    s.SubtokenEnabled.put(world.ctx, other, False)
    world.call(ADA, staking.unstake_all, KEY)
    assert world.stake(netuid, "ada") == world.stake(ROOT, "ada") == 0
    assert world.stake(other, "ada") > 0
    world.laws.check()


def test_unstake_all_alpha_stakes_on_root_instead() -> None:
    world, netuid, _ = staked()
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(10 * TAO))
    before = free(world, ADA)
    world.call(ADA, staking.unstake_all_alpha, KEY)
    assert world.stake(netuid, "ada") == 0
    assert world.stake(ROOT, "ada") == pytest.approx(110 * TAO, rel=1e-3)
    assert free(world, ADA) == before
    world.laws.check()


def test_an_alpha_fee_worth_nothing_is_burned() -> None:
    world, _ = opened()
    netuid = world.subnet("cheap", tao=1, alpha=10_000)  # 10,000 alpha units to the rao
    world.give_stake(netuid, "ada", 0.01)
    world.call(ADA, staking.remove_stake, KEY, netuid, Alpha(10_000_000))
    assert alpha_assets.AlphaBurned.get(world.ctx, netuid) == Alpha(10_000_000 * 33 // 65535)
    world.laws.check()


# Moving


def test_moving_within_a_subnet_is_free() -> None:
    world, netuid, held = staked()
    ben = account("ben/hotkey")
    pool = swap.pool(world.ctx, netuid)
    world.call(ADA, staking.move_stake, KEY, ben, netuid, netuid, Alpha(30 * TAO))
    assert world.stake(netuid, "ada") == held - 30 * TAO
    assert world.stake(netuid, "ada", through="ben") == 30 * TAO
    assert swap.pool(world.ctx, netuid) == pool
    value = Rao(pool.price * 30 * TAO >> 64)
    assert world.events[-1] == ev.StakeMoved(ADA, KEY, netuid, ben, netuid, value)
    world.laws.check()


def test_moving_to_another_subnet_pays_one_fee() -> None:
    world, netuid, _ = staked()
    other = world.subnet("other")
    before = free(world, ADA)
    world.call(ADA, staking.swap_stake, KEY, netuid, other, Alpha(30 * TAO))
    removed, added = of_kind(world, ev.StakeRemoved)[0], of_kind(world, ev.StakeAdded)[0]
    assert removed.fee == 30 * TAO * 33 // 65535
    assert added.fee == 0
    assert added.tao == removed.tao
    assert world.stake(other, "ada") == int(added.alpha)
    assert free(world, ADA) == before
    assert world.events[-1] == ev.StakeSwapped(ADA, KEY, netuid, other, removed.tao)
    world.laws.check()


def test_moving_from_root_pays_its_fee_on_arrival() -> None:
    world, netuid = opened()
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(30 * TAO))
    world.ctx.block_env.events.clear()
    world.call(ADA, staking.swap_stake, KEY, ROOT, netuid, Alpha(30 * TAO))
    assert of_kind(world, ev.StakeAdded)[0].fee == 30 * TAO * 33 // 65535
    world.laws.check()


def test_stake_can_be_given_to_another_coldkey() -> None:
    world, netuid, held = staked()
    world.call(ADA, staking.transfer_stake, BEN, KEY, netuid, netuid, Alpha(held))
    assert world.stake(netuid, "ada") == 0
    assert world.stake(netuid, "ben", through="ada") == held
    assert KEY in s.StakingHotkeys.get(world.ctx, BEN)
    event = of_kind(world, ev.StakeTransferred)[0]
    assert (event.origin_coldkey, event.destination_coldkey) == (ADA, BEN)
    world.laws.check()


def test_stake_given_across_subnets_stays_with_the_taker() -> None:
    world, netuid, held = staked()
    other = world.subnet("other")
    world.call(ADA, staking.transfer_stake, BEN, KEY, netuid, other, Alpha(held))
    # Ben's account came to life with it: what keeps it alive is not staked.
    assert free(world, BEN) == ED
    assert world.stake(other, "ben", through="ada") > 0
    assert free(world, ADA) == 100 * TAO
    world.laws.check()


def test_a_swap_of_stake_keeps_to_a_ratio_of_prices() -> None:
    world, netuid, held = staked()
    other = world.subnet("other")
    limit, args = Rao(1_100_000_000), (KEY, netuid, other)  # the ratio stands at 1.21
    refused(world, er.SlippageTooHigh, staking.swap_stake_limit, *args, Alpha(held), limit, False)
    world.call(ADA, staking.swap_stake_limit, *args, Alpha(held), limit, True)
    ratio = swap.price(world.ctx, netuid) / swap.price(world.ctx, other)
    assert ratio == pytest.approx(1.1, rel=1e-4)
    assert 0 < world.stake(netuid, "ada") < held
    world.laws.check()


def test_stake_can_land_on_another_coldkey_and_hotkey_at_once() -> None:
    world, netuid, held = staked()
    ben = account("ben/hotkey")
    call = staking.transfer_stake_and_hotkey
    refused(world, er.SameNetuid, call, ADA, KEY, KEY, netuid, netuid, Alpha(held))
    world.call(ADA, call, BEN, KEY, ben, netuid, netuid, Alpha(held))
    assert world.stake(netuid, "ada") == 0
    assert world.stake(netuid, "ben") == held
    worth = held * int(swap.price(world.ctx, netuid)) >> 64
    assert of_kind(world, ev.StakeAndHotkeyTransferred) == [
        ev.StakeAndHotkeyTransferred(ADA, BEN, KEY, ben, netuid, netuid, Rao(worth))
    ]
    assert not of_kind(world, ev.StakeTransferred)
    world.laws.check()


def test_a_move_keeps_to_a_ratio_of_prices_where_there_is_one() -> None:
    world, netuid, held = staked()
    other, ben = world.subnet("other"), account("ben/hotkey")
    limit, call = Rao(1_100_000_000), staking.move_stake_limit
    across = (KEY, ben, netuid, other)
    refused(world, er.SlippageTooHigh, call, *across, Alpha(held), limit, False)
    # Within a subnet nothing is traded, whatever the limit says; the largest amount means all.
    everything = Alpha(2**64 - 1)
    world.call(ADA, call, KEY, ben, netuid, netuid, everything, Rao(10**18), False)
    assert world.stake(netuid, "ada", through="ben") == held
    world.call(ADA, call, ben, KEY, netuid, other, Alpha(held), limit, True)
    ratio = swap.price(world.ctx, netuid) / swap.price(world.ctx, other)
    assert ratio == pytest.approx(1.1, rel=1e-4)
    world.laws.check()


def test_refusals_of_moving_come_in_the_order_of_the_chain() -> None:
    world, netuid, held = staked()
    other, stranger = world.subnet("other"), account("stranger")
    move, give = staking.move_stake, staking.transfer_stake
    refused(world, er.SameNetuid, move, KEY, KEY, netuid, netuid, Alpha(1))
    refused(world, er.SubnetNotExists, move, stranger, KEY, netuid, NO_SUBNET, Alpha(1))
    s.SubtokenEnabled.put(world.ctx, other, False)
    refused(world, er.SubtokenDisabled, move, stranger, KEY, netuid, other, Alpha(1))
    s.SubtokenEnabled.put(world.ctx, other, True)
    refused(world, er.HotKeyAccountNotExists, move, KEY, stranger, netuid, other, Alpha(1))
    s.TransferToggle.put(world.ctx, other, False)
    refused(world, er.AmountTooLow, give, BEN, KEY, netuid, other, Alpha(1_000_000))
    refused(world, er.TransferDisallowed, give, BEN, KEY, netuid, other, Alpha(held))


# Destroying


def test_recycled_alpha_leaves_the_issuance_and_burned_stays() -> None:
    world, netuid, held = staked()
    out = int(s.SubnetAlphaOut.get(world.ctx, netuid))
    world.call(ADA, staking.burn_alpha, KEY, Alpha(5 * TAO), netuid)
    assert s.SubnetAlphaOut.get(world.ctx, netuid) == Alpha(out)
    assert alpha_assets.AlphaBurned.get(world.ctx, netuid) == Alpha(5 * TAO)
    assert world.events[-1] == ev.AlphaBurned(ADA, KEY, Alpha(5 * TAO), netuid)
    world.call(ADA, staking.recycle_alpha, KEY, Alpha(7 * TAO), netuid)
    assert s.SubnetAlphaOut.get(world.ctx, netuid) == Alpha(out - 7 * TAO)
    assert alpha_assets.AlphaRecycled.get(world.ctx, netuid) == Alpha(7 * TAO)
    assert world.events[-1] == ev.AlphaRecycled(ADA, KEY, Alpha(7 * TAO), netuid)
    assert world.stake(netuid, "ada") == held - 12 * TAO
    world.laws.check()


def test_refusals_of_destroying() -> None:
    world, netuid, _ = staked()
    burn, one = staking.burn_alpha, Alpha(1)
    refused(world, er.SubnetNotExists, burn, KEY, one, NO_SUBNET)
    refused(world, er.CannotBurnOrRecycleOnRootSubnet, burn, KEY, one, ROOT)
    refused(world, er.HotKeyAccountNotExists, burn, account("stranger"), one, netuid)
    refused(world, er.NotEnoughStakeToWithdraw, burn, account("ben/hotkey"), one, netuid)


# Root dividends


def test_root_stakers_are_owed_by_what_they_held_when_it_was_earned() -> None:
    world, netuid = opened()
    ctx = world.ctx
    world.fund(BEN, 100)
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(30 * TAO))
    assert rootdividends.accrue(ctx, KEY, netuid, Alpha(3 * TAO))
    world.call(BEN, staking.add_stake, KEY, ROOT, Rao(30 * TAO))
    assert rootdividends.owed(ctx, KEY, BEN, netuid) == Alpha(0)
    assert rootdividends.accrue(ctx, KEY, netuid, Alpha(6 * TAO))
    owed = [int(rootdividends.owed(ctx, KEY, who, netuid)) for who in (ADA, BEN)]
    assert owed == pytest.approx([6 * TAO, 3 * TAO], abs=60)
    world.call(BEN, staking.remove_stake, KEY, ROOT, Alpha(10 * TAO))
    after = int(rootdividends.owed(ctx, KEY, BEN, netuid))
    assert after == pytest.approx(3 * TAO, abs=60)


def test_a_claim_sells_what_is_owed_and_stakes_it_on_root() -> None:
    world, netuid = opened()
    ctx = world.ctx
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(30 * TAO))
    out = s.SubnetAlphaOut.get(ctx, netuid)
    s.SubnetAlphaOut.put(ctx, netuid, out + Alpha(3 * TAO))
    rootdividends.accrue(ctx, KEY, netuid, Alpha(3 * TAO))
    owed = int(rootdividends.owed(ctx, KEY, ADA, netuid))
    world.laws.tight = False
    world.laws.check()
    world.call(ADA, rootdividends.claim_root, frozenset({netuid}))
    paid = 1000 * TAO * owed // (1000 * TAO + owed)
    assert world.stake(ROOT, "ada") == 30 * TAO + paid
    assert s.SubnetTAO.get(ctx, ROOT) == Rao(30 * TAO + paid)
    assert s.SubnetRootSellTao.get(ctx, netuid) == Rao(paid)
    # The new stake has no claim on the old dividend; a rounded unit may stay owed.
    assert rootdividends.owed(ctx, KEY, ADA, netuid) <= Alpha(1)
    assert world.events[-1] == ev.RootClaimed(ADA)
    world.laws.check()
    world.run_block()
    assert s.SubnetRootSellTao.get(ctx, netuid) == Rao(0)


def test_small_claims_and_claims_on_a_shallow_pool_stay_owed() -> None:
    world, netuid = opened()
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(30 * TAO))
    rootdividends.accrue(world.ctx, KEY, netuid, Alpha(499_990))
    shallow = world.subnet("shallow", tao=0.000_5, alpha=1000)
    rootdividends.accrue(world.ctx, KEY, shallow, Alpha(TAO))
    before = [rootdividends.owed(world.ctx, KEY, ADA, n) for n in (netuid, shallow)]
    world.call(ADA, rootdividends.claim_root, frozenset({netuid, shallow}))
    after = [rootdividends.owed(world.ctx, KEY, ADA, n) for n in (netuid, shallow)]
    assert before == after
    assert all(before)
    refused(world, er.InvalidValue, rootdividends.claim_root, frozenset())
    refused(world, er.InvalidValue, rootdividends.claim_root, frozenset(map(NetUid, range(1, 7))))


def test_a_dividend_larger_than_all_root_stake_is_not_a_rate() -> None:
    world, netuid = opened()
    assert not rootdividends.accrue(world.ctx, KEY, netuid, Alpha(1))
    world.call(ADA, staking.add_stake, KEY, ROOT, Rao(TAO))
    assert not rootdividends.accrue(world.ctx, KEY, netuid, Alpha(TAO + 1))
    assert s.RootClaimable.get(world.ctx, KEY) == {}


# Anything


calls = st.lists(
    st.tuples(
        st.sampled_from(["add", "add limit", "remove", "remove limit", "move", "give", "block"]),
        st.sampled_from(["ada", "ben"]),
        st.sampled_from(["ada", "ben"]),
        st.integers(0, 2),
        st.integers(1, 10**12),
        st.integers(5 * 10**8, 2 * 10**9),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(calls=calls)
def test_whatever_is_called_nothing_is_lost(
    calls: list[tuple[str, str, str, int, int, int]],
) -> None:
    world, first = opened()
    world.fund(BEN, 500)
    subnets = [ROOT, first, world.subnet("other", tao=50, alpha=2000, price=0.2)]
    for what, who, through, on, amount, limit in calls:
        key, netuid = account(f"{through}/hotkey"), subnets[on]
        target = subnets[(on + amount) % 3]
        run: dict[str, tuple[Any, ...]] = {
            "add": (staking.add_stake, key, netuid, Rao(amount)),
            "add limit": (staking.add_stake_limit, key, netuid, Rao(amount), Rao(limit), True),
            "remove": (staking.remove_stake, key, netuid, Alpha(amount)),
            "remove limit": (
                staking.remove_stake_limit,
                key,
                netuid,
                Alpha(amount),
                Rao(limit),
                True,
            ),
            "move": (staking.swap_stake, key, netuid, target, Alpha(amount)),
            "give": (staking.transfer_stake, BEN, key, netuid, target, Alpha(amount)),
        }
        if what == "block":
            world.run_block()
            continue
        try:
            world.call(account(who), *run[what])
        except ModuleError:
            pass
        world.laws.check()
