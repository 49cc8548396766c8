"""Emission: the curve, what each subnet gets, the pots, when epochs run, and who is paid."""

from __future__ import annotations

import pytest

from chain.runtime.fixed import I96F32, U64_MAX, U64F64, U96F32
from chain.runtime.pallets import alpha_assets, balances, swap
from chain.runtime.pallets.subtensor import (
    blockstep,
    coinbase,
    payout,
    shares,
    staking,
    tempo,
    weights,
)
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet as subtensor
from chain.runtime.pallets.subtensor.payout import Pots
from chain.runtime.pallets.subtensor.records import RecycleOrBurn, StorageIndex
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao
from tests.runtime.economy import ROOT, Economy, account

TAO = RAO_PER_TAO
S = coinbase.MAX_SUPPLY


def pots(server: int = 0, validator: int = 0, root: int = 0, owner: int = 0) -> Pots:
    return Pots(Alpha(server), Alpha(validator), Alpha(root), Alpha(owner))


def fill(world: Economy, netuid: NetUid, given: Pots) -> None:
    """Make `given` part of the issuance, as pots that have been drained already are."""
    total = given.server + given.validator + given.root + given.owner
    s.SubnetAlphaOut.put(world.ctx, netuid, s.SubnetAlphaOut.get(world.ctx, netuid) + total)


# The curve


@pytest.mark.parametrize(
    ("issuance", "emission"),
    [
        (0, 10**9),
        (10_500_000_000_000_000 - 1, 10**9),
        (10_500_000_000_000_000, 5 * 10**8),
        (15_750_000_000_000_000 - 1, 5 * 10**8),
        (15_750_000_000_000_000, 25 * 10**7),
        (18_375_000_000_000_000, 125 * 10**6),
        (S - 1, 0),
        (S, 0),
        (S + 1, 0),
    ],
)
def test_emission_halves_with_what_is_left(issuance: int, emission: int) -> None:
    assert coinbase.emission_for(issuance) == emission


def test_the_curve_is_the_floor_of_a_logarithm_in_fixed_point() -> None:
    # As the chain writes it, with its own logarithm.
    for issuance in [*range(0, S, S // 500), *(S - S // 2**k for k in range(1, 30))]:
        ratio = I96F32.ratio(issuance, S)
        log = I96F32.log2(I96F32.div(I96F32.ONE, I96F32.ONE - ratio))
        assert log is not None
        assert coinbase.emission_for(issuance) == 10**9 >> I96F32.to_int(log)


def test_the_last_tao_is_only_what_there_is_room_for() -> None:
    world = Economy()
    balances.TotalIssuance.put(world.ctx, Rao(S - 7))
    s.TotalIssuance.put(world.ctx, Rao(0))
    assert coinbase.block_emission(world.ctx) == Rao(7)


# TAO to subnets


def run(world: Economy, emission: int) -> dict[NetUid, int]:
    """One coinbase; by how much the TAO of each subnet rose."""
    netuids = coinbase.subnets(world.ctx)
    before = {n: int(s.SubnetTAO.get(world.ctx, n)) for n in netuids}
    coinbase.run_coinbase(world.ctx, Rao(emission))
    world.laws.check()
    return {n: int(s.SubnetTAO.get(world.ctx, n)) - before[n] for n in netuids}


def test_one_subnet_gets_it_all() -> None:
    world = Economy()
    netuid = world.subnet(price=1)
    issued, staked = int(s.TotalIssuance.get(world.ctx)), int(s.TotalStake.get(world.ctx))
    assert run(world, 1_234_567) == {netuid: 1_234_567}
    assert s.TotalIssuance.get(world.ctx) == Rao(issued + 1_234_567)
    assert s.TotalStake.get(world.ctx) == Rao(staked + 1_234_567)


def test_equal_subnets_share_equally() -> None:
    world = Economy()
    for name in "abc":
        world.subnet(name, price=1)
    issued = int(s.TotalIssuance.get(world.ctx))
    got = run(world, 3_333_333)
    assert list(got.values()) == pytest.approx([1_111_111] * 3, abs=1)
    # What rounding leaves over is not minted.
    assert int(s.TotalIssuance.get(world.ctx)) == issued + sum(got.values())


def test_emission_follows_the_moving_price() -> None:
    world = Economy()
    first, second = world.subnet("a", price=0.1), world.subnet("b", price=0.2)
    got = run(world, 10**8)
    assert abs(got[first] - 33_333_333) <= 1
    assert abs(got[second] - 66_666_666) <= 1


def test_root_proportion_does_not_change_the_share() -> None:
    world = Economy()
    first, second = world.subnet("a", price=0.5), world.subnet("b", price=0.5)
    world.give_stake(ROOT, "staker", 1000)
    s.SubnetAlphaOut.put(world.ctx, second, Alpha(10**16))
    assert coinbase.root_proportion(world.ctx, first) > coinbase.root_proportion(world.ctx, second)
    shared = coinbase.emission_shares(world.ctx, [first, second])
    assert shared == {first: U64F64.ONE // 2, second: U64F64.ONE // 2}


def test_shares_are_parts_of_the_sum() -> None:
    parts = {NetUid(n): U64F64.of(part) for n, part in enumerate((2, 3, 5))}
    shares = [share / U64F64.ONE for share in coinbase._normalized(parts).values()]
    assert shares == pytest.approx([0.2, 0.3, 0.5], abs=1e-15)


def test_a_subnet_without_emission_leaves_its_share_to_others() -> None:
    world = Economy()
    a, b, c = (world.subnet(name, price=1) for name in "abc")
    s.SubnetEmissionEnabled.put(world.ctx, b, False)
    s.SubnetExcessTao.put(world.ctx, b, Rao(99))
    got = run(world, 10**6)
    assert got[b] == 0
    assert abs(got[a] - 500_000) <= 1
    assert abs(got[c] - 500_000) <= 1
    assert s.SubnetExcessTao.get(world.ctx, b) == Rao(0)
    assert s.SubnetAlphaInEmission.get(world.ctx, b) == Alpha(0)
    assert s.SubnetAlphaOutEmission.get(world.ctx, b) == Alpha(10**9)


def test_withheld_miner_pay_lowers_the_share() -> None:
    world = Economy()
    first, second = world.subnet("a", price=1), world.subnet("b", price=1)
    s.MinerBurned.put(world.ctx, first, U96F32.ONE // 2)
    got = run(world, 3 * 10**6)
    assert abs(got[first] - 10**6) <= 1
    assert abs(got[second] - 2 * 10**6) <= 1
    # Where everything is withheld everywhere, prices alone decide again.
    s.MinerBurned.put(world.ctx, first, U96F32.ONE)
    s.MinerBurned.put(world.ctx, second, 2 * U96F32.ONE)
    assert set(coinbase.emission_shares(world.ctx, [first, second]).values()) == {U64F64.ONE // 2}


@pytest.mark.parametrize("missing", ["start", "subtoken", "registration"])
def test_only_started_and_open_subnets_get_anything(missing: str) -> None:
    world = Economy()
    netuid = world.subnet(price=1)
    if missing == "start":
        s.FirstEmissionBlockNumber.remove(world.ctx, netuid)
    elif missing == "subtoken":
        s.SubtokenEnabled.put(world.ctx, netuid, False)
    else:
        s.NetworkRegistrationAllowed.put(world.ctx, netuid, False)
    issued = s.TotalIssuance.get(world.ctx)
    assert run(world, 10**6) == {netuid: 0}
    assert s.PendingServerEmission.get(world.ctx, netuid) == Alpha(0)
    assert s.TotalIssuance.get(world.ctx) == issued


# TAO and alpha into the pool


def with_root_stake(world: Economy, tao: float = 10**6) -> None:
    """So much that pools take all their TAO with alpha beside it."""
    world.give_stake(ROOT, "staker", tao)


def test_a_pool_takes_tao_and_alpha_at_its_price() -> None:
    world = Economy()
    first = world.subnet("a", tao=1000, alpha=1000, price=1)
    second = world.subnet("b", tao=2000, alpha=1000, price=2)
    with_root_stake(world)
    got = run(world, 10**6)
    assert [got[n] for n in (first, second)] == pytest.approx([333_333, 666_666], abs=1)
    for netuid in (first, second):
        assert abs(int(s.SubnetAlphaInEmission.get(world.ctx, netuid)) - 333_333) <= 1
        assert s.SubnetExcessTao.get(world.ctx, netuid) == Rao(0)
        assert s.SubnetProtocolAlpha.get(world.ctx, netuid) == Alpha(0)
        assert s.SubnetProtocolFlow.get(world.ctx, netuid) == got[netuid]


def test_two_equal_pools_take_half_the_alpha_each() -> None:
    world = Economy()
    netuids = [world.subnet(name, price=1) for name in "ab"]
    with_root_stake(world)
    run(world, 10**6)
    for netuid in netuids:
        assert s.SubnetAlphaIn.get(world.ctx, netuid) == Alpha(1000 * TAO + 500_000)


def test_without_root_stake_all_of_it_buys_alpha() -> None:
    world = Economy()
    netuid = world.subnet(price=1)
    before = swap.price(world.ctx, netuid)
    assert run(world, 10**9) == {netuid: 10**9}
    assert s.SubnetExcessTao.get(world.ctx, netuid) == Rao(10**9)
    bought = 1000 * TAO * 10**9 // (1000 * TAO + 10**9)
    assert s.SubnetProtocolAlpha.get(world.ctx, netuid) == Alpha(bought)
    assert s.SubnetAlphaIn.get(world.ctx, netuid) == Alpha(1000 * TAO - bought)
    assert swap.price(world.ctx, netuid) > before


def test_the_root_proportion_caps_the_injection() -> None:
    world = Economy()
    netuid = world.subnet(price=1)
    with_root_stake(world, 1000)
    proportion = coinbase.root_proportion(world.ctx, netuid) / U96F32.ONE
    assert proportion == pytest.approx(0.0526769743872833 / 1.0526769743872833, rel=1e-6)
    run(world, 10**9)
    assert s.SubnetAlphaInEmission.get(world.ctx, netuid) == Alpha(int(proportion * 10**9))
    assert s.SubnetTaoInEmission.get(world.ctx, netuid) == Rao(int(proportion * 10**9))
    excess = int(s.SubnetExcessTao.get(world.ctx, netuid))
    assert abs(excess - (10**9 - int(proportion * 10**9))) <= 1


def test_weights_keep_the_price_there_was_before_the_buying() -> None:
    world = Economy()
    netuid = world.subnet(tao=10, alpha=10, price=1)
    with_root_stake(world, 10)
    run(world, 10**9)
    injected = int(s.SubnetTaoInEmission.get(world.ctx, netuid))
    excess = int(s.SubnetExcessTao.get(world.ctx, netuid))
    assert 10**7 < injected < excess
    # At a price of one as much TAO as alpha is injected: the weights stay even.
    assert swap.SwapBalancer.get(world.ctx, netuid) == pytest.approx(swap.EVEN_WEIGHT, rel=1e-8)
    # And the buying met the reserves without them.
    bought = swap.Pool(10 * TAO, 10 * TAO).alpha_for(excess)
    assert int(s.SubnetProtocolAlpha.get(world.ctx, netuid)) == pytest.approx(bought, abs=2)


def test_alpha_stops_at_its_supply_and_all_tao_buys() -> None:
    world = Economy()
    netuid = world.subnet(price=1)
    with_root_stake(world)
    s.SubnetAlphaOut.put(world.ctx, netuid, Alpha(S))
    before = swap.price(world.ctx, netuid)
    got = coinbase.terms(world.ctx, netuid, U96F32.of(10**9))
    assert got == coinbase.Terms(0, 0, 0, U96F32.of(10**9))
    coinbase.run_coinbase(world.ctx, Rao(10**9))
    assert s.SubnetExcessTao.get(world.ctx, netuid) == Rao(10**9)
    assert swap.price(world.ctx, netuid) > before


def test_what_a_pool_refuses_is_never_minted() -> None:
    world = Economy()
    netuid = world.subnet(tao=1000, alpha=0.000_5, price=1)
    issued = s.TotalIssuance.get(world.ctx)
    assert run(world, 10**9) == {netuid: 0}
    assert s.TotalIssuance.get(world.ctx) == issued
    assert s.SubnetExcessTao.get(world.ctx, netuid) == Rao(0)


# Alpha into the pots


@pytest.mark.parametrize(("cut", "pending"), [(0, 0), (65_535, 10**9), (11_796, 179_995_422)])
def test_the_owner_is_cut_in_first(cut: int, pending: int) -> None:
    world = Economy()
    netuid = world.subnet()
    s.SubnetOwnerCut.put(world.ctx, cut)
    run(world, 0)
    assert s.PendingOwnerCut.get(world.ctx, netuid) == Alpha(pending)
    rest = 10**9 - pending
    assert abs(int(s.PendingServerEmission.get(world.ctx, netuid)) - rest // 2) <= 1
    assert abs(int(s.PendingValidatorEmission.get(world.ctx, netuid)) - rest // 2) <= 1


def test_no_owner_cut_where_it_is_off() -> None:
    world = Economy()
    netuid = world.subnet()
    s.OwnerCutEnabled.put(world.ctx, netuid, False)
    run(world, 0)
    assert s.PendingOwnerCut.get(world.ctx, netuid) == Alpha(0)
    assert s.PendingServerEmission.get(world.ctx, netuid) == Alpha(5 * 10**8)


def quarter_of_root(price: float) -> tuple[Economy, NetUid]:
    """Root stake 10^9 that counts in full, alpha 3 * 10^9 once this block's is there."""
    world = Economy()
    netuid = world.subnet(tao=1, alpha=1, price=price)
    world.give_stake(ROOT, "staker", 1)
    s.TaoWeight.put(world.ctx, U64_MAX)
    s.SubnetOwnerCut.put(world.ctx, 0)
    world.give_stake(netuid, "staker", 1)
    return world, netuid


def test_root_stakers_draw_from_the_validators_half() -> None:
    world, netuid = quarter_of_root(price=2)
    run(world, 0)
    assert s.PendingServerEmission.get(world.ctx, netuid) == Alpha(500_000_000)
    assert s.PendingValidatorEmission.get(world.ctx, netuid) == Alpha(375_000_000)
    assert s.PendingRootAlphaDivs.get(world.ctx, netuid) == Alpha(125_000_000)


def test_while_subnets_are_worth_no_more_than_tao_root_gets_nothing() -> None:
    world, netuid = quarter_of_root(price=1)
    run(world, 0)
    assert s.PendingRootAlphaDivs.get(world.ctx, netuid) == Alpha(0)
    assert s.PendingValidatorEmission.get(world.ctx, netuid) == Alpha(375_000_000)
    assert alpha_assets.AlphaRecycled.get(world.ctx, netuid) == Alpha(125_000_000)
    assert s.SubnetAlphaOut.get(world.ctx, netuid) == Alpha(10**9 + 875_000_000)


# The moving price


def test_the_moving_price_approaches_the_spot_price() -> None:
    world = Economy()
    netuid = world.subnet()
    s.SubnetMovingAlpha.put(world.ctx, I96F32.of_float(0.1))
    s.FirstEmissionBlockNumber.put(world.ctx, netuid, 1)
    world.ctx.block_env.number = 7200 * 28
    for _ in range(14):
        coinbase.update_moving_price(world.ctx, netuid)
    moving = coinbase.moving_price(world.ctx, netuid) / U64F64.ONE
    assert moving == pytest.approx(0.512325, abs=0.001)


@pytest.mark.parametrize(("block", "low", "high"), [(144_000_500, 0.499, 0.5), (510, 0, 0.001)])
def test_a_young_price_moves_slowly(block: int, low: float, high: float) -> None:
    world = Economy()
    netuid = world.subnet()
    s.SubnetMovingAlpha.put(world.ctx, I96F32.of_float(0.5))
    s.FirstEmissionBlockNumber.put(world.ctx, netuid, 500)
    world.ctx.block_env.number = block
    coinbase.update_moving_price(world.ctx, netuid)
    assert low <= coinbase.moving_price(world.ctx, netuid) / U64F64.ONE <= high


def test_a_spot_price_above_one_counts_as_one() -> None:
    world = Economy()
    netuid = world.subnet(tao=5000, alpha=1000)
    s.SubnetMovingAlpha.put(world.ctx, I96F32.ONE)
    s.EMAPriceHalvingBlocks.put(world.ctx, netuid, 0)
    world.ctx.block_env.number = 100
    coinbase.update_moving_price(world.ctx, netuid)
    assert coinbase.moving_price(world.ctx, netuid) == U64F64.ONE


# When epochs run


@pytest.mark.parametrize(
    ("blocks", "now", "left"),
    [
        (10, 5, 5),
        (20, 15, 5),
        (30, 25, 5),
        (10, 9, 1),
        (20, 21, 0),
        (65_535, 0, 65_535),
        (65_535, U64_MAX, 0),
        (0, 0, U64_MAX),
        (0, 99, U64_MAX),
    ],
)
@pytest.mark.parametrize("netuid", [NetUid(0), NetUid(1), NetUid(77)])
def test_blocks_until_the_next_epoch(blocks: int, now: int, left: int, netuid: NetUid) -> None:
    world = Economy()
    s.Tempo.put(world.ctx, netuid, blocks)
    assert tempo.blocks_until_next_auto_epoch(world.ctx, netuid, now) == left


def test_an_epoch_is_due_by_schedule_by_trigger_or_by_neglect() -> None:
    world = Economy()
    netuid = world.subnet(tempo=10)
    s.LastEpochBlock.put(world.ctx, netuid, 100)
    assert not tempo.should_run_epoch(world.ctx, netuid, 109)
    assert tempo.should_run_epoch(world.ctx, netuid, 110)
    s.PendingEpochAt.put(world.ctx, netuid, 105)
    assert not tempo.should_run_epoch(world.ctx, netuid, 104)
    assert tempo.should_run_epoch(world.ctx, netuid, 105)
    assert tempo.next_epoch_start_block(world.ctx, netuid) == 105
    s.PendingEpochAt.put(world.ctx, netuid, 0)
    s.BlocksSinceLastStep.put(world.ctx, netuid, 50_401)
    assert tempo.should_run_epoch(world.ctx, netuid, 101)
    s.Tempo.put(world.ctx, netuid, 0)
    assert not tempo.should_run_epoch(world.ctx, netuid, 10**6)
    assert tempo.next_epoch_start_block(world.ctx, netuid) is None


def test_commits_count_by_the_epoch_that_is_due() -> None:
    world = Economy()
    netuid = world.subnet(tempo=5)
    world.give_stake(netuid, "owner", 1)
    world.run_block(4)
    assert tempo.epoch_index(world.ctx, netuid) == 0
    # Before the block's own work the epoch has not run yet; its reveals are the next epoch's.
    world.ctx.block_env.number += 1
    assert tempo.epoch_index(world.ctx, netuid) == 1
    blockstep.block_step(world.ctx)
    assert tempo.epoch_index(world.ctx, netuid) == s.SubnetEpochIndex.get(world.ctx, netuid) == 1


def test_hyperparameters_freeze_before_an_epoch() -> None:
    world = Economy()
    netuid = world.subnet(tempo=100)
    s.LastEpochBlock.put(world.ctx, netuid, 0)
    frozen = []
    for block in (89, 90, 91, 99):
        world.ctx.block_env.number = block
        frozen.append(tempo.in_freeze_window(world.ctx, netuid))
    assert frozen == [False, False, True, True]
    world.ctx.block_env.number = 50
    s.PendingEpochAt.put(world.ctx, netuid, 60)
    assert tempo.in_freeze_window(world.ctx, netuid)
    s.Tempo.put(world.ctx, netuid, 0)
    assert not tempo.in_freeze_window(world.ctx, netuid)


@pytest.mark.parametrize(
    ("blocks", "factor", "cutoff"), [(360, 13_889, 5_000), (1, 1_000, 1), (0, 13_889, 1)]
)
def test_the_activity_cutoff_follows_the_tempo(blocks: int, factor: int, cutoff: int) -> None:
    world = Economy()
    netuid = world.subnet(tempo=blocks)
    s.ActivityCutoffFactorMilli.put(world.ctx, netuid, factor)
    assert tempo.activity_cutoff(world.ctx, netuid) == cutoff


def test_an_epoch_runs_every_tempo_blocks() -> None:
    world = Economy()
    netuid = world.subnet(tempo=7)
    world.give_stake(netuid, "owner", 1)
    blocks = []
    for _ in range(30):
        world.run_block()
        if s.LastEpochBlock.get(world.ctx, netuid) == world.ctx.block:
            blocks.append(world.ctx.block)
            assert s.BlocksSinceLastStep.get(world.ctx, netuid) == 0
            assert s.LastMechansimStepBlock.get(world.ctx, netuid) == world.ctx.block
            assert s.PendingServerEmission.get(world.ctx, netuid) == Alpha(0)
    assert blocks == [8, 15, 22, 29]
    assert s.SubnetEpochIndex.get(world.ctx, netuid) == 4


def test_epochs_over_the_cap_wait_for_the_next_block() -> None:
    world = Economy()
    netuids = [world.subnet(name, tempo=5) for name in "abc"]
    for netuid, name in zip(netuids, "abc", strict=True):
        world.give_stake(netuid, name, 1)
    world.run_block(4)
    world.ctx.block_env.number += 1
    assert tempo.epochs_deferred_now(world.ctx, netuids) == {netuids[2]}
    world.ctx.block_env.number -= 1
    world.run_block()
    assert ev.EpochDeferred(netuids[2], 6, 7) in world.events
    assert [s.LastEpochBlock.get(world.ctx, n) for n in netuids] == [6, 6, 1]
    assert s.PendingServerEmission.get(world.ctx, netuids[2]) > 0
    world.run_block()
    assert s.LastEpochBlock.get(world.ctx, netuids[2]) == 7
    assert s.PendingEpochAt.get(world.ctx, netuids[2]) == 0


def test_an_epoch_is_skipped_when_a_hotkey_sits_twice() -> None:
    world = Economy()
    netuid = world.subnet(tempo=5)
    world.seat(netuid, "twice")
    s.Keys.put(world.ctx, netuid, 0, world.hotkey("twice"))
    world.run_block(5)
    assert ev.EpochSkipped(netuid, 6) in world.events
    assert s.LastEpochBlock.get(world.ctx, netuid) == 6
    assert s.SubnetEpochIndex.get(world.ctx, netuid) == 1
    assert s.LastMechansimStepBlock.get(world.ctx, netuid) == 0
    assert s.PendingServerEmission.get(world.ctx, netuid) > 0


def test_the_price_decays_before_emission_and_averages_come_after() -> None:
    world = Economy()
    netuid = world.subnet(price=0.5)
    s.EMAPriceHalvingBlocks.put(world.ctx, netuid, 1)
    burn = int(s.Burn.get(world.ctx, netuid))
    world.run_block()
    assert int(s.Burn.get(world.ctx, netuid)) < burn
    # The root proportion is that after the block's emission.
    assert s.RootProp.get(world.ctx, netuid) == coinbase.root_proportion(world.ctx, netuid)
    assert coinbase.moving_price(world.ctx, netuid) > U64F64.ONE // 2


# Payout


def paid(world: Economy, netuid: NetUid, given: Pots, *names: str) -> list[int]:
    """What each neuron's coldkey gained through its own hotkey when `given` was paid out."""
    fill(world, netuid, given)
    before = [world.stake(netuid, name) for name in names]
    payout.distribute(world.ctx, netuid, given)
    s.SubnetEpochIndex.put(world.ctx, netuid, s.SubnetEpochIndex.get(world.ctx, netuid) + 1)
    world.laws.check()
    return [world.stake(netuid, name) - b for name, b in zip(names, before, strict=True)]


def test_validators_without_miners_share_everything() -> None:
    world = Economy()
    netuid = world.subnet()
    for name in ("ada", "ben"):
        world.seat(netuid, name)
        world.give_stake(netuid, name, 10)
    gained = paid(world, netuid, pots(server=5 * 10**8, validator=5 * 10**8), "ada", "ben")
    assert gained == [pytest.approx(5 * 10**8, abs=2)] * 2
    assert s.MinerBurned.get(world.ctx, netuid) == 0


def judged(miners: tuple[str, ...] = ("cyd", "dan")) -> tuple[Economy, NetUid]:
    """Two validators with permits that weigh the miners equally; the epoch to come pays."""
    world = Economy()
    netuid = world.subnet()
    for name in ("ada", "ben", *miners):
        if name != "owner":
            world.seat(netuid, name)
    for name in ("ada", "ben"):
        world.give_stake(netuid, name, 10)
    s.MaxAllowedValidators.put(world.ctx, netuid, 2)
    world.ctx.block_env.number += 1
    payout.distribute(world.ctx, netuid, pots())
    s.LastMechansimStepBlock.put(world.ctx, netuid, world.ctx.block)
    world.ctx.block_env.number += 1
    uids = [s.Uids.get(world.ctx, netuid, world.hotkey(name)) for name in miners]
    for name in ("ada", "ben"):
        who = world.hotkey(name)
        world.call(who, weights.set_weights, netuid, uids, [1] * len(uids), 0)
    world.ctx.block_env.events.clear()
    return world, netuid


def test_miners_and_validators_draw_on_their_own_pots() -> None:
    world, netuid = judged()
    world.laws.tight = False  # nobody has root stake to take the root pot
    given = pots(server=4 * 10**8, validator=3 * 10**8, root=10**8, owner=10**8)
    gained = paid(world, netuid, given, "ada", "ben", "cyd", "dan", "owner")
    expected = [150_000_000, 150_000_000, 200_000_000, 200_000_000, 100_000_000]
    assert gained == pytest.approx(expected, abs=2)


def test_of_equal_pots_every_unit_is_paid() -> None:
    world, netuid = judged()
    gained = paid(world, netuid, pots(server=10**9, validator=10**9), "ada", "ben", "cyd", "dan")
    assert sum(gained) == pytest.approx(2 * 10**9, abs=8)


@pytest.mark.parametrize("choice", list(RecycleOrBurn))
def test_the_owners_own_miners_are_not_paid(choice: RecycleOrBurn) -> None:
    world, netuid = judged(("cyd", "owner"))
    s.RecycleOrBurn.put(world.ctx, netuid, choice)
    before = int(s.SubnetAlphaOut.get(world.ctx, netuid))
    gained = paid(world, netuid, pots(server=10**9, validator=10**9), "cyd", "owner")
    assert gained == [pytest.approx(5 * 10**8, abs=1), 0]
    assert s.MinerBurned.get(world.ctx, netuid) == pytest.approx(U96F32.ONE // 2, abs=9)
    withheld = 10**9 - gained[0]
    recycled = withheld if choice == RecycleOrBurn.Recycle else 0
    now = int(s.SubnetAlphaOut.get(world.ctx, netuid))
    assert now == pytest.approx(before + 2 * 10**9 - recycled, abs=2)
    burned = int(alpha_assets.AlphaBurned.get(world.ctx, netuid))
    assert burned == pytest.approx(withheld - recycled, abs=2)


def test_what_is_withheld_is_remembered_as_a_share_of_all_incentive() -> None:
    """Of both mechanisms together: the owner's miner is all of the second, which earns a third."""
    world, netuid = judged(("cyd", "owner"))
    ctx = world.ctx
    s.MechanismCountCurrent.put(ctx, netuid, 2)
    s.MechanismEmissionSplit.put(ctx, netuid, [43_690, 21_845])
    first, second = StorageIndex.of(netuid), StorageIndex.of(netuid, 1)
    s.LastUpdate.put(ctx, second, s.LastUpdate.get(ctx, first))
    owner, cyd = (s.Uids.get(ctx, netuid, world.hotkey(name)) for name in ("owner", "cyd"))
    for name in ("ada", "ben"):
        uid = s.Uids.get(ctx, netuid, world.hotkey(name))
        s.Weights.put(ctx, first, uid, [(cyd, 65_535)])
        s.Weights.put(ctx, second, uid, [(owner, 65_535)])
    gained = paid(world, netuid, pots(server=3 * 10**9, validator=3 * 10**9), "cyd", "owner")
    assert gained == [2 * 10**9, 0]
    assert s.MinerBurned.get(ctx, netuid) == U96F32.ratio(10**9, 3 * 10**9)
    kept = U64F64.sub(U64F64.ONE, U64F64.convert(U96F32.ratio(1, 3), U96F32))
    other = world.subnet("elsewhere", price=1)
    s.SubnetMovingPrice.put(ctx, netuid, I96F32.ONE)
    half = U64F64.ONE // 2
    cut = U64F64.mul(half, kept)
    assert coinbase.emission_shares(ctx, [netuid, other]) == {
        netuid: U64F64.safe_div(cut, cut + half),
        other: U64F64.safe_div(half, cut + half),
    }


def test_any_hotkey_of_the_owners_coldkey_is_the_owners() -> None:
    world, netuid = judged()
    owned = s.OwnedHotkeys.get(world.ctx, account("owner"))
    s.OwnedHotkeys.put(world.ctx, account("owner"), [*owned, world.hotkey("cyd")])
    gained = paid(world, netuid, pots(server=10**9, validator=10**9), "cyd", "dan")
    assert gained == [0, pytest.approx(5 * 10**8, abs=1)]


def test_incentive_goes_where_the_coldkey_wants_it_staked() -> None:
    world, netuid = judged()
    s.AutoStakeDestination.put(world.ctx, account("cyd"), netuid, world.hotkey("ada"))
    paid(world, netuid, pots(server=10**9, validator=10**9))
    assert world.stake(netuid, "cyd") == 0
    # It is staked before dividends are shared, and so shares in them.
    assert world.stake(netuid, "cyd", through="ada") > 5 * 10**8
    assert world.hotkey("ada") in s.StakingHotkeys.get(world.ctx, account("cyd"))
    [event] = [e for e in world.events if isinstance(e, ev.AutoStakeAdded)]
    assert (event.destination, event.owner) == (world.hotkey("ada"), account("cyd"))
    assert int(event.incentive) == pytest.approx(5 * 10**8, abs=1)


def test_a_validator_keeps_its_take_and_nominators_share_the_rest() -> None:
    world, netuid = judged()
    world.give_stake(netuid, "nominator", 30, through="ada")  # ada itself has 10
    s.Delegates.put(world.ctx, world.hotkey("ada"), 6_553)  # a tenth, nearly
    nominated = world.stake(netuid, "nominator", through="ada")
    [ada] = paid(world, netuid, pots(server=10**9, validator=10**9), "ada")
    nominator = world.stake(netuid, "nominator", through="ada") - nominated
    dividend = ada + nominator
    take = dividend * 6_553 // 65_535
    # The take is staked before the rest is shared, so it has its part of that too.
    assert nominator == pytest.approx((dividend - take) * 30 * TAO / (40 * TAO + take), abs=3)
    rest = s.AlphaDividendsPerSubnet.get(world.ctx, netuid, world.hotkey("ada"))
    assert int(rest) == pytest.approx(dividend - take, abs=2)
    total = shares.total(world.ctx, world.hotkey("ada"), netuid)
    last = s.TotalHotkeyAlphaLastEpoch.get(world.ctx, world.hotkey("ada"), netuid)
    assert last == total


def test_root_stake_earns_from_the_root_pot() -> None:
    world, netuid = judged()
    world.give_stake(ROOT, "ada", 1000)
    fill(world, netuid, given := pots(server=10**9, validator=10**9, root=10**8))
    payout.distribute(world.ctx, netuid, given)
    hotkey = world.hotkey("ada")
    rate = s.RootClaimable.get(world.ctx, hotkey)[netuid]
    take = 10**8 * 11_796 // 65_535
    assert rate * 1000 * TAO >> 32 == pytest.approx(10**8 - take, abs=300)
    kept = s.RootAlphaDividendsPerSubnet.get(world.ctx, netuid, hotkey)
    assert int(kept) == pytest.approx(10**8 - take, abs=2)
    assert s.RootAlphaDividendsPerSubnet.get(world.ctx, netuid, world.hotkey("ben")) == Alpha(0)


def test_pots_are_shared_out_in_full() -> None:
    ada, ben = account("ada"), account("ben")
    alpha, root = payout.split_dividends(
        183_123_567_452,
        837_120_949_872,
        U96F32.of_float(0.18),
        {ada: (4_859_302, 2_342_352), ben: (23_423, 859_273)},
        {ada: U96F32.of(77_783_738), ben: U96F32.of(19_283_940)},
    )
    assert sum(alpha.values()) / U96F32.ONE == pytest.approx(183_123_567_452, abs=1000)
    assert sum(root.values()) / U96F32.ONE == pytest.approx(837_120_949_872, abs=1000)
    # By hand: of ada's dividend the part 0.18 * root / (alpha + 0.18 * root) is root's.
    part = 0.18 * 2_342_352 / (4_859_302 + 0.18 * 2_342_352) * 77_783_738
    other = 0.18 * 859_273 / (23_423 + 0.18 * 859_273) * 19_283_940
    assert root[ada] / root[ben] == pytest.approx(part / other, rel=1e-6)


@pytest.mark.parametrize("same_coldkey", [False, True])
def test_a_childkey_takes_from_strangers_only(same_coldkey: bool) -> None:
    world = Economy()
    netuid = world.subnet()
    child, parent = world.hotkey("child"), world.hotkey("parent")
    world.give_stake(netuid, "parent", 10)
    s.ChildKeys.put(world.ctx, parent, netuid, [(U64_MAX, child)])
    s.ParentKeys.put(world.ctx, child, netuid, [(U64_MAX, parent)])
    s.ChildkeyTake.put(world.ctx, child, netuid, 6_554)  # a tenth
    if same_coldkey:
        s.Owner.put(world.ctx, child, account("parent"))
    split = payout.split_among_parents(world.ctx, netuid, child, 10**9)
    assert [key for key, _ in split] == [parent, child]
    taken = 0 if same_coldkey else 10**9 * 6_554 // 65_535
    assert [amount for _, amount in split] == pytest.approx([10**9 - taken, taken], abs=2)


def test_a_parent_gets_what_its_stake_weighed() -> None:
    world = Economy()
    netuid = world.subnet()
    child, parent = world.hotkey("child"), world.hotkey("parent")
    world.give_stake(netuid, "parent", 30)
    world.give_stake(netuid, "child", 20)
    half = U64_MAX // 2
    s.ParentKeys.put(world.ctx, child, netuid, [(half, parent)])
    s.Owner.put(world.ctx, child, account("parent"))
    split = dict(payout.split_among_parents(world.ctx, netuid, child, 700))
    assert split == {parent: 300 - 1, child: 400}  # 15 and 20 alpha voted; rounded down


# Together


def test_three_hundred_blocks_of_two_subnets_lose_nothing() -> None:
    world = Economy(account("author"))
    world.fund(account("author"), 1)
    world.fund(account("trader"), 5_000)
    world.hotkey("trader")
    a = world.subnet("a", tao=1000, alpha=1000, tempo=11, price=0.9)
    b = world.subnet("b", tao=300, alpha=900, tempo=17, price=0.3)
    for name in ("a-v1", "b-v1"):
        world.give_stake(ROOT, name, 2000)
    for netuid, name in ((a, "a"), (b, "b")):
        for seat in ("v1", "v2", "m1", "m2", "m3"):
            world.seat(netuid, f"{name}-{seat}")
        for seat, stake in (("v1", 100), ("v2", 70)):
            world.give_stake(netuid, f"{name}-{seat}", stake)
    for block in range(1, 301):
        world.run_block()
        if block % 10 == 0:
            for netuid, name in ((a, "a"), (b, "b")):
                for seat in ("v1", "v2"):
                    hotkey = world.hotkey(f"{name}-{seat}")
                    uid = s.Uids.get(world.ctx, netuid, hotkey)
                    if s.ValidatorPermit.get(world.ctx, netuid)[uid]:
                        values = [1 + block % 7, 2, 3]
                        world.call(hotkey, weights.set_weights, netuid, [3, 4, 5], values, 0)
        if block % 25 == 0:
            key = world.hotkey("a-v1")
            trader = account("trader")
            world.call(trader, staking.add_stake, key, a, Rao(20 * TAO))
            held = shares.value(world.ctx, key, trader, a)
            world.call(trader, staking.remove_stake, key, a, Alpha(int(held) // 2))
            world.call(trader, staking.add_stake, key, ROOT, Rao(TAO))
    assert s.Incentive.get(world.ctx, StorageIndex.of(a))[3:] != [0, 0, 0]
    assert world.stake(a, "a-m1") > 0
    assert s.SubnetEpochIndex.get(world.ctx, a) == 300 // 11


def test_the_block_step_is_registered_and_runs_without_subnets() -> None:
    world = Economy()
    blockstep.block_step(world.ctx)
    world.laws.check()
    assert blockstep.block_step in subtensor.initialize_hooks
