"""The end of a subnet: who is paid what, that no TAO is lost or made, and that nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime.construct import PALLETS
from chain.runtime.frame import ROOT
from chain.runtime.pallets import alpha_assets, balances, commitments, swap, system
from chain.runtime.pallets.subtensor import dissolve, rootdividends, shares, uids
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import (
    NO_AXON,
    NO_PROMETHEUS,
    StorageIndex,
    SubnetIdentityV3,
)
from chain.scale import Reader
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao
from tests.runtime.world import RICH, World, account

NETUID = NetUid(2)
TAO = RAO_PER_TAO
ED = balances.EXISTENTIAL_DEPOSIT


@pytest.fixture
def world() -> World:
    """Subnet 2 of `owner`, created in block 10."""
    world = World("owner", "alice", "bob")
    world.skip(9)
    world.create_subnet()
    return world


def stake(world: World, coldkey: AccountId, alpha: int, hotkey: str = "owner/hotkey") -> None:
    """Alpha from nowhere for a coldkey."""
    ctx = world.ctx
    shares.increase(ctx, account(hotkey), coldkey, NETUID, Alpha(alpha))
    out = s.SubnetAlphaOut.get(ctx, NETUID)
    s.SubnetAlphaOut.put(ctx, NETUID, out + Alpha(alpha))


def set_pot(world: World, tao: int, pool_alpha: int = 0) -> None:
    """Make the pool `tao` rao, and bring the subnet's account to that."""
    ctx, there = world.ctx, subnet_account(NETUID)
    before = balances.free(ctx, there)
    if tao > before:
        balances.mint_into(ctx, there, Rao(tao) - before)
    else:
        balances.burn_from(ctx, there, before - Rao(tao), keep_alive=False)
    s.TotalIssuance.put(ctx, balances.TotalIssuance.get(ctx))
    total = s.TotalStake.get(ctx) - s.SubnetTAO.get(ctx, NETUID)
    s.TotalStake.put(ctx, total + Rao(tao))
    s.SubnetTAO.put(ctx, NETUID, Rao(tao))
    s.SubnetAlphaIn.put(ctx, NETUID, Alpha(pool_alpha))


def paid(world: World, name: str) -> int:
    return int(balances.free(world.ctx, account(name)) - RICH)


# Paying out


def test_stakers_share_the_pool_with_the_pool_itself(world: World) -> None:
    ctx = world.ctx
    set_pot(world, 1000 * TAO, pool_alpha=600)
    s.SubnetProtocolAlpha.put(ctx, NETUID, Alpha(100))
    stake(world, account("alice"), 200)
    stake(world, account("bob"), 100)
    staked = s.TotalStake.get(ctx)
    issued = s.TotalIssuance.get(ctx)

    events = world.root("root_dissolve_network", netuid=NETUID)

    assert events[-1] == ev.NetworkRemoved(NETUID)
    assert (paid(world, "alice"), paid(world, "bob")) == (200 * TAO, 100 * TAO)
    assert s.TotalStake.get(ctx) == staked - Rao(1000 * TAO)
    assert s.TotalIssuance.get(ctx) == issued - Rao(700 * TAO) + ED  # the account lives on
    assert balances.free(ctx, subnet_account(NETUID)) == ED
    world.check_issuance()


def test_single_rao_go_to_the_largest_remainders(world: World) -> None:
    set_pot(world, 100_000)
    # Shares of 100,000 by 3 : 3 : 1 are 42857.14, 42857.14 and 14285.71.
    stake(world, account("alice"), 3)
    stake(world, account("bob"), 3, hotkey="other")
    stake(world, account("carol"), 1)
    world.root("root_dissolve_network", netuid=NETUID)
    assert (paid(world, "alice"), paid(world, "bob")) == (42_857, 42_857)
    assert balances.free(world.ctx, account("carol")) == 14_286


def test_positions_of_one_coldkey_are_paid_together(world: World) -> None:
    set_pot(world, 800)  # each position alone would not bring an account to life
    stake(world, account("carol"), 1)
    stake(world, account("carol"), 1, hotkey="other")
    world.root("root_dissolve_network", netuid=NETUID)
    assert balances.free(world.ctx, account("carol")) == 800


def test_what_cannot_be_received_is_recycled(world: World) -> None:
    set_pot(world, 10_000, pool_alpha=96)
    stake(world, account("carol"), 4)  # 400 rao, less than an account needs
    world.root("root_dissolve_network", netuid=NETUID)
    assert not balances.free(world.ctx, account("carol"))
    assert balances.free(world.ctx, subnet_account(NETUID)) == ED
    world.check_issuance()


def test_the_pool_of_an_early_subnet_claims_nothing(world: World) -> None:
    s.TaoInRefundDeploymentBlock.put(world.ctx, 10)  # this one was created in block 10
    set_pot(world, 1000 * TAO, pool_alpha=600)
    stake(world, account("alice"), 1)
    world.root("root_dissolve_network", netuid=NETUID)
    assert paid(world, "alice") == 1000 * TAO


def test_without_stakers_all_is_recycled(world: World) -> None:
    ctx = world.ctx
    issued = s.TotalIssuance.get(ctx)
    world.root("root_dissolve_network", netuid=NETUID)
    assert s.TotalIssuance.get(ctx) == issued - Rao(1000 * TAO) + ED
    world.check_issuance()


def test_owners_of_old_subnets_get_their_lock_back_less_their_cut(world: World) -> None:
    ctx = world.ctx
    before = balances.free(ctx, account("owner"))
    s.NetworkRegistrationStartBlock.put(ctx, 11)
    s.SubnetOwnerCut.put(ctx, 13_107)  # a fifth
    set_pot(world, 2000 * TAO, pool_alpha=2000 * TAO)  # a price of 1
    s.SubnetLocked.put(ctx, NETUID, Rao(1000 * TAO))
    world.root("root_dissolve_network", netuid=NETUID)
    # A fifth of 2,000 alpha is worth 400 TAO; what nobody claims of the pot goes along.
    refund = int(balances.free(ctx, account("owner")) - before)
    assert abs(refund - 2000 * TAO) < 10
    world.check_issuance()


def test_an_owner_whose_cut_was_worth_the_lock_gets_nothing(world: World) -> None:
    ctx = world.ctx
    before = balances.free(ctx, account("owner"))
    s.NetworkRegistrationStartBlock.put(ctx, 11)
    set_pot(world, 2000 * TAO, pool_alpha=2000 * TAO)
    s.SubnetLocked.put(ctx, NETUID, Rao(300 * TAO))  # 18% of 2,000 is 360
    world.root("root_dissolve_network", netuid=NETUID)
    assert balances.free(ctx, account("owner")) == before


@given(
    pot=st.integers(0, 10**16),
    alphas=st.lists(st.integers(0, 10**16), max_size=12),
    protocol=st.integers(0, 10**16),
    holders=st.integers(1, 4),
)
def test_portions_are_fair_to_a_rao(
    pot: int, alphas: list[int], protocol: int, holders: int
) -> None:
    stakes = [(account(f"holder {i % holders}"), alpha) for i, alpha in enumerate(alphas)]
    total = protocol + sum(alphas)
    portions = dissolve._portions(pot, total, stakes)
    exact = pot * sum(alphas) // total if total else 0
    assert sum(portions.values()) == exact
    for coldkey, tao in portions.items():
        held = [alpha for who, alpha in stakes if who == coldkey]
        assert sum(pot * a // total for a in held) <= tao <= sum(-(-pot * a // total) for a in held)


@given(
    tao=st.integers(0, 10**15),
    stakes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 10**12))),
    pool=st.integers(0, 10**13),
    protocol=st.integers(0, 10**12),
)
def test_no_rao_is_made_or_lost(
    tao: int, stakes: list[tuple[int, int, int]], pool: int, protocol: int
) -> None:
    world = World("owner")
    world.skip(9)
    world.create_subnet()
    set_pot(world, tao + int(ED), pool)
    s.SubnetProtocolAlpha.put(world.ctx, NETUID, Alpha(protocol))
    for who, through, alpha in stakes:
        stake(world, account(f"coldkey {who}"), alpha, hotkey=f"hotkey {through}")
    world.root("root_dissolve_network", netuid=NETUID)
    dust = sum(int(event.amount) for event in world.events(balances.DustLost))
    held = sum(int(info.data.free) for _, info in system.Account.items(world.ctx))
    assert held == int(balances.TotalIssuance.get(world.ctx))
    assert held == int(s.TotalIssuance.get(world.ctx)) - dust
    assert int(s.TotalStake.get(world.ctx)) == 10 * TAO  # subnet 1's


# Forgetting


def fill(world: World) -> None:
    """Store something of subnet 2 under every kind of key there is."""
    ctx, who = world.ctx, account("alice")
    index, second = StorageIndex.of(NETUID), StorageIndex.of(NETUID, 1)
    world.register(NETUID, "miner")
    uids.set_mechanism_count(ctx, NETUID, 2)
    for each in (index, second):
        s.Weights.put(ctx, each, 0, [(0, 1)])
        s.Bonds.put(ctx, each, 0, [(0, 1)])
        s.WeightCommits.put(ctx, each, who, [])
        s.TimelockedWeightCommits.put(ctx, each, 7, [])
    s.SubnetIdentitiesV3.put(ctx, NETUID, SubnetIdentityV3(*[b"x"] * 8))
    s.Axons.put(ctx, NETUID, account("miner"), NO_AXON)
    s.Prometheus.put(ctx, NETUID, account("miner"), NO_PROMETHEUS)
    s.ChildKeys.put(ctx, who, NETUID, [(1, account("miner"))])
    s.ParentKeys.put(ctx, account("miner"), NETUID, [(1, who)])
    s.PendingChildKeys.put(ctx, NETUID, who, ([], 1))
    s.AutoStakeDestination.put(ctx, who, NETUID, account("miner"))
    s.TransactionKeyLastBlock.put(ctx, who, NETUID, 0, 5)
    s.RootClaimable.put(ctx, who, {NetUid(1): 4, NETUID: 5})
    s.RootClaimed.put(ctx, NETUID, who, who, 6)
    s.RevealPeriodEpochs.put(ctx, NETUID, 3)
    swap.FeeRate.put(ctx, NETUID, 1)
    alpha_assets.count_burned(ctx, NETUID, Alpha(1))
    info = commitments.CommitmentInfo([commitments.raw(b"data")])
    world.call("miner", "Commitments.set_commitment", netuid=NETUID, info=info)
    sealed = frozenset({(NETUID, who), (NetUid(1), who)})
    commitments.TimelockedIndex.put(ctx, sealed)
    stake(world, who, 5)


def of_subnet(world: World, netuid: NetUid) -> set[str]:
    """Storage items of any pallet that have `netuid`, or an index of it, among their keys."""
    found = set()
    for pallet in PALLETS:
        for item in pallet.storage.values():
            for row in world.ctx.state.keys(item.prefix):
                rest = row[len(item.prefix) :]
                keys = []
                for hasher, kind in item.keys:
                    rest = rest[hasher.skip :]
                    keys.append(kind.read(reader := Reader(rest)))
                    rest = rest[reader.position :]
                if any(_means(key, netuid) for key in keys):
                    found.add(item.name)
    return found


def _means(key: object, netuid: NetUid) -> bool:
    if isinstance(key, StorageIndex):
        return key % 4096 == netuid
    return isinstance(key, NetUid) and key == netuid


def test_nothing_of_the_subnet_is_left(world: World) -> None:
    ctx = world.ctx
    world.call("owner", "start_call", netuid=NETUID)
    others = of_subnet(world, NetUid(1))
    fill(world)
    assert len(of_subnet(world, NETUID)) > 60

    events = world.root("root_dissolve_network", netuid=NETUID)

    assert events[-2:] == [ev.SubnetIdentityRemoved(NETUID), ev.NetworkRemoved(NETUID)]
    assert of_subnet(world, NETUID) == {"RegisteredSubnetCounter"}
    assert of_subnet(world, NetUid(1)) == others
    assert s.TotalNetworks.get(ctx) == 2
    assert s.RootClaimable.get(ctx, account("alice")) == {NetUid(1): 4}
    assert commitments.TimelockedIndex.get(ctx) == {(NetUid(1), account("alice"))}
    world.check_seats()
    world.advance(3)


def test_a_later_subnet_with_the_number_starts_anew(world: World) -> None:
    ctx = world.ctx
    fill(world)
    world.root("root_dissolve_network", netuid=NETUID)
    world.create_subnet(hotkey="fresh")
    assert s.RegisteredSubnetCounter.get(ctx, NETUID) == 2
    assert s.SubnetworkN.get(ctx, NETUID) == 1
    assert s.MechanismCountCurrent.get(ctx, NETUID) == 1
    assert not shares.value(ctx, account("owner/hotkey"), account("alice"), NETUID)
    assert rootdividends.owed(ctx, account("alice"), account("alice"), NETUID) == 0
    world.check_issuance()


# Who may


@pytest.mark.parametrize("call", ["root_dissolve_network", "dissolve_network"])
def test_only_root_dissolves(world: World, call: str) -> None:
    args: dict[str, Any] = {"netuid": NETUID}
    if call == "dissolve_network":
        args["coldkey"] = account("owner")
    world.refuse("BadOrigin", "owner", call, **args)
    assert world.root(call, **args)[-1] == ev.NetworkRemoved(NETUID)


def test_root_and_missing_subnets_are_not_dissolved(world: World) -> None:
    for netuid in (0, 9):
        world.refuse("SubnetNotExists", ROOT, "root_dissolve_network", netuid=NetUid(netuid))


# Making room


@pytest.fixture
def full(world: World) -> World:
    """Three subnets where there may be three; all past their immunity but the last."""
    ctx = world.ctx
    world.skip(10)
    world.create_subnet(hotkey="third")
    s.SubnetLimit.put(ctx, 3)
    s.NetworkImmunityPeriod.put(ctx, 100)
    world.block.number = 119
    for netuid, price in ((1, 3), (2, 2), (3, 1)):
        s.SubnetMovingPrice.put(ctx, NetUid(netuid), price)
    return world


def test_the_cheapest_subnet_past_its_immunity_makes_room(full: World) -> None:
    assert dissolve.find_prunable(full.ctx) == NETUID
    full.skip(1)
    assert dissolve.find_prunable(full.ctx) == NetUid(3)


def test_of_equal_prices_the_oldest_subnet_makes_room(full: World) -> None:
    ctx = full.ctx
    full.skip(1)
    s.SubnetMovingPrice.put(ctx, NETUID, 1)
    assert dissolve.find_prunable(ctx) == NETUID
    s.SubnetMovingPrice.put(ctx, NetUid(1), 1)
    assert dissolve.find_prunable(ctx) == NetUid(1)


def test_a_new_subnet_takes_the_place_of_the_pruned_one(full: World) -> None:
    ctx = full.ctx
    stake(full, account("bob"), 10**12)
    events = full.call("alice", "register_network", hotkey=account("alice/hotkey"))
    kinds = [type(event) for event in events]
    assert kinds.index(ev.NetworkRemoved) < kinds.index(ev.NetworkAdded)
    assert events[-1] == ev.NetworkAdded(NETUID, 1)
    assert s.SubnetOwner.get(ctx, NETUID) == account("alice")
    assert s.TotalNetworks.get(ctx) == 4
    assert paid(full, "bob") == 500 * TAO  # as much alpha as the pool held
    full.check_issuance()
    full.check_seats()


def test_while_all_are_immune_nobody_creates_a_subnet(full: World) -> None:
    s.NetworkImmunityPeriod.put(full.ctx, 1_000)
    full.refuse("SubnetLimitReached", "poor", "register_network", hotkey=account("new"))
    s.NetworkImmunityPeriod.put(full.ctx, 100)
    full.refuse("CannotAffordLockCost", "poor", "register_network", hotkey=account("new"))


def test_below_the_limit_nothing_is_pruned(full: World) -> None:
    s.SubnetLimit.put(full.ctx, 4)
    full.call("alice", "register_network", hotkey=account("alice/hotkey"))
    assert s.SubnetOwner.get(full.ctx, NETUID) == account("owner")
    assert s.SubnetOwner.get(full.ctx, NetUid(4)) == account("alice")
