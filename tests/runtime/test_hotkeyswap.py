"""Swapping a hotkey: what it costs, how often, and that all it was is now the new one."""

from __future__ import annotations

from typing import Any

import pytest

from chain.runtime.frame import StorageDoubleMap
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import hotkeyswap, rootdividends, shares, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import (
    NO_AXON,
    NO_PROMETHEUS,
    NeuronCertificate,
    StorageIndex,
)
from chain.types import H256, RAO_PER_TAO, AccountId, Alpha, NetUid, Rao
from tests.runtime.economy import Laws
from tests.runtime.world import World, account

ROOT_NETUID = NetUid(0)
NETUID = NetUid(2)
OLD, NEW = account("miner"), account("fresh")
ALICE, BOB = account("alice"), account("bob")


@pytest.fixture
def world() -> World:
    """`alice` owns `miner`, uid 1 on subnet 2 and uid 0 on root; she and bob stake through it."""
    world = World("owner", "alice", "bob")
    world.skip(9)
    world.create_subnet()
    world.call("owner", "start_call", netuid=NETUID)
    world.call("alice", "burned_register", netuid=NETUID, hotkey=OLD)
    world.call("alice", "root_register", hotkey=OLD)
    for who in ("alice", "bob"):
        for netuid in (ROOT_NETUID, NETUID):
            amount = Rao(10 * RAO_PER_TAO)
            world.call(who, "add_stake", hotkey=OLD, netuid=netuid, amount_staked=amount)
    return world


def swap(world: World, netuid: NetUid | None = None, **more: Any) -> list[Any]:
    call = "swap_hotkey_v2" if more else "swap_hotkey"
    return world.call("alice", call, hotkey=OLD, new_hotkey=NEW, netuid=netuid, **more)


def refuse(world: World, error: str, netuid: NetUid | None = None, who: str = "alice") -> None:
    args = {"hotkey": OLD, "new_hotkey": NEW, "netuid": netuid}
    world.refuse(error, who, "swap_hotkey", **args)


def stake(world: World, hotkey: Any, coldkey: Any, netuid: NetUid = NETUID) -> Alpha:
    return shares.value(world.ctx, hotkey, coldkey, netuid)


# On all subnets


def test_a_hotkey_is_swapped_everywhere(world: World) -> None:
    ctx = world.ctx
    before = {
        (coldkey, netuid): stake(world, OLD, coldkey, netuid)
        for coldkey in (ALICE, BOB)
        for netuid in (ROOT_NETUID, NETUID)
    }
    assert all(before.values())
    world.call("alice", "decrease_take", hotkey=OLD, take=7)

    assert swap(world)[-1] == ev.HotkeySwapped(ALICE, OLD, NEW)

    assert s.Uids.get(ctx, NETUID, NEW) == 1
    assert s.Uids.get(ctx, ROOT_NETUID, NEW) == 0
    for (coldkey, netuid), alpha in before.items():
        assert stake(world, NEW, coldkey, netuid) == alpha
        assert not stake(world, OLD, coldkey, netuid)
    assert s.Owner.get(ctx, NEW) == ALICE
    assert not s.Owner.contains(ctx, OLD)
    assert s.OwnedHotkeys.get(ctx, ALICE) == [NEW]
    assert s.StakingHotkeys.get(ctx, ALICE) == s.StakingHotkeys.get(ctx, BOB) == [NEW]
    assert s.Delegates.get(ctx, NEW) == 7
    assert not s.Delegates.contains(ctx, OLD)
    assert s.LastTxBlockDelegateTake.get(ctx, NEW) == 10
    assert not s.LastTxBlockDelegateTake.get(ctx, OLD)
    world.check_seats()
    Laws(ctx, tight=False).check()


def test_the_whole_swap_is_recycled_for_a_tenth_of_a_tao(world: World) -> None:
    ctx = world.ctx
    before, issued = balances.free(ctx, ALICE), s.TotalIssuance.get(ctx)
    swap(world)
    assert before - balances.free(ctx, ALICE) == Rao(RAO_PER_TAO // 10)
    assert issued - s.TotalIssuance.get(ctx) == Rao(RAO_PER_TAO // 10)
    world.check_issuance()


def test_what_a_neuron_has_on_a_subnet_moves(world: World) -> None:
    ctx = world.ctx
    uids.set_mechanism_count(ctx, NETUID, 2)
    certificate = NeuronCertificate(b"key", 1)
    commits = [(H256(bytes(32)), 1, 2, 3)]
    s.Axons.put(ctx, NETUID, OLD, NO_AXON)
    s.Prometheus.put(ctx, NETUID, OLD, NO_PROMETHEUS)
    s.NeuronCertificates.put(ctx, NETUID, OLD, certificate)
    for mecid in (0, 1):
        s.WeightCommits.put(ctx, StorageIndex.of(NETUID, mecid), OLD, commits)
    s.Weights.put(ctx, StorageIndex.of(NETUID), 1, [(0, 65_535)])
    s.ChildkeyTake.put(ctx, OLD, NETUID, 5)
    s.ChildKeys.put(ctx, OLD, NETUID, [(9, BOB)])
    s.ParentKeys.put(ctx, BOB, NETUID, [(9, OLD)])
    s.AlphaDividendsPerSubnet.put(ctx, NETUID, OLD, Alpha(3))
    s.TotalHotkeyAlphaLastEpoch.put(ctx, OLD, NETUID, Alpha(4))
    world.call("bob", "set_coldkey_auto_stake_hotkey", netuid=NETUID, hotkey=OLD)

    events = swap(world, NETUID)

    assert events[-1] == ev.HotkeySwappedOnSubnet(ALICE, OLD, NEW, NETUID)
    assert list(s.Axons.row(ctx, NETUID)) == [(NEW, NO_AXON)]
    assert list(s.Prometheus.row(ctx, NETUID)) == [(NEW, NO_PROMETHEUS)]
    assert list(s.NeuronCertificates.row(ctx, NETUID)) == [(NEW, certificate)]
    for mecid in (0, 1):
        rows = s.WeightCommits.row(ctx, StorageIndex.of(NETUID, mecid))
        assert list(rows) == [(NEW, commits)]
    assert s.Weights.get(ctx, StorageIndex.of(NETUID), 1) == [(0, 65_535)]
    assert s.ChildkeyTake.get(ctx, NEW, NETUID) == 5
    assert s.ChildKeys.get(ctx, NEW, NETUID) == [(9, BOB)]
    assert s.ParentKeys.get(ctx, BOB, NETUID) == [(9, NEW)]
    assert s.AlphaDividendsPerSubnet.get(ctx, NETUID, NEW) == 3
    assert s.TotalHotkeyAlphaLastEpoch.get(ctx, NEW, NETUID) == 4
    assert s.AutoStakeDestination.get(ctx, BOB, NETUID) == NEW
    assert s.AutoStakeDestinationColdkeys.get(ctx, NEW, NETUID) == [BOB]
    by_subnet: list[StorageDoubleMap[NetUid, AccountId, Any]] = [
        s.Axons,
        s.Prometheus,
        s.NeuronCertificates,
        s.AlphaDividendsPerSubnet,
    ]
    by_hotkey: list[StorageDoubleMap[AccountId, NetUid, Any]] = [
        s.ChildkeyTake,
        s.ChildKeys,
        s.TotalHotkeyAlphaLastEpoch,
    ]
    assert not any(item.contains(ctx, NETUID, OLD) for item in by_subnet)
    assert not any(item.contains(ctx, OLD, NETUID) for item in by_hotkey)


def test_an_owner_hotkey_stays_one(world: World) -> None:
    args = {"hotkey": account("owner/hotkey"), "new_hotkey": NEW, "netuid": NETUID}
    events = world.call("owner", "swap_hotkey", **args)
    assert ev.SubnetOwnerHotkeySet(NETUID, NEW) in events
    assert s.SubnetOwnerHotkey.get(world.ctx, NETUID) == NEW


def test_claims_on_root_dividends_move_with_root_stake(world: World) -> None:
    ctx = world.ctx
    rootdividends.accrue(ctx, OLD, NETUID, Alpha(4 * RAO_PER_TAO))
    s.RootClaimed.put(ctx, NETUID, OLD, ALICE, RAO_PER_TAO)
    s.AutoParentDelegationEnabled.put(ctx, OLD, False)
    owed = [rootdividends.owed(ctx, OLD, coldkey, NETUID) for coldkey in (ALICE, BOB)]
    assert 0 < owed[0] < owed[1]
    swap(world)
    assert [rootdividends.owed(ctx, NEW, coldkey, NETUID) for coldkey in (ALICE, BOB)] == owed
    assert not s.RootClaimable.contains(ctx, OLD)
    assert not list(s.RootClaimed.row(ctx, NETUID, OLD))
    assert not s.AutoParentDelegationEnabled.get(ctx, NEW)


# On one subnet


def test_a_swap_on_one_subnet_leaves_the_others(world: World) -> None:
    ctx = world.ctx
    before, held = balances.free(ctx, ALICE), stake(world, OLD, ALICE)
    swap(world, NETUID)
    assert before - balances.free(ctx, ALICE) == Rao(RAO_PER_TAO // 1000)
    assert stake(world, NEW, ALICE) == held
    assert stake(world, OLD, ALICE, ROOT_NETUID) and not stake(world, NEW, ALICE, ROOT_NETUID)
    assert s.Uids.get(ctx, ROOT_NETUID, OLD) == 0
    assert s.Owner.get(ctx, OLD) == s.Owner.get(ctx, NEW) == ALICE
    assert s.OwnedHotkeys.get(ctx, ALICE) == [OLD, NEW]
    assert s.StakingHotkeys.get(ctx, BOB) == [OLD, NEW]


def test_stake_may_stay_behind(world: World) -> None:
    ctx = world.ctx
    held = stake(world, OLD, BOB)
    swap(world, None, keep_stake=True)
    assert s.Uids.get(ctx, NETUID, NEW) == 1
    assert stake(world, OLD, BOB) == held and not stake(world, NEW, BOB)
    assert s.Owner.get(ctx, OLD) == ALICE  # or nobody could take the stake out
    assert s.OwnedHotkeys.get(ctx, ALICE) == [OLD, NEW]
    assert s.StakingHotkeys.get(ctx, BOB) == [OLD]


# How often


def test_swaps_on_a_subnet_are_a_day_apart(world: World) -> None:
    swap(world, NETUID)
    assert s.LastHotkeySwapOnNetuid.get(world.ctx, NETUID, ALICE) == 10
    back = {"hotkey": NEW, "new_hotkey": OLD, "netuid": NETUID}
    world.skip(hotkeyswap.INTERVAL)
    world.refuse("HotKeySwapOnSubnetIntervalNotPassed", "alice", "swap_hotkey", **back)
    world.skip(1)
    world.call("alice", "swap_hotkey", **back)


def test_a_swap_everywhere_counts_where_the_hotkey_takes_part(world: World) -> None:
    ctx = world.ctx
    swap(world)
    limited = {netuid for (netuid, _), _ in s.LastHotkeySwapOnNetuid.items(ctx)}
    assert limited == {ROOT_NETUID, NETUID}
    back = {"hotkey": NEW, "new_hotkey": OLD, "netuid": None}
    world.refuse("HotKeySwapOnSubnetIntervalNotPassed", "alice", "swap_hotkey", **back)
    world.skip(hotkeyswap.INTERVAL + 1)
    world.call("alice", "swap_hotkey", **back)


def test_having_children_is_taking_part_and_being_one_is_not(world: World) -> None:
    ctx = world.ctx
    s.ChildKeys.put(ctx, OLD, NetUid(1), [(1, account("child"))])
    s.ParentKeys.put(ctx, account("child"), NetUid(1), [(1, OLD)])
    s.LastHotkeySwapOnNetuid.put(ctx, NetUid(1), ALICE, 5)
    refuse(world, "HotKeySwapOnSubnetIntervalNotPassed")
    s.ChildKeys.remove(ctx, OLD, NetUid(1))
    s.ParentKeys.remove(ctx, account("child"), NetUid(1))
    s.ParentKeys.put(ctx, OLD, NetUid(1), [(1, account("parent"))])
    s.ChildKeys.put(ctx, account("parent"), NetUid(1), [(1, OLD)])
    swap(world)


def test_old_records_of_swaps_are_forgotten_in_turn(world: World) -> None:
    ctx = world.ctx
    s.LastHotkeySwapOnNetuid.put(ctx, NETUID, ALICE, 2)
    s.LastHotkeySwapOnNetuid.put(ctx, NETUID, BOB, 1)
    for block, left in ((7201, {ALICE, BOB}), (7202, {ALICE}), (14_402, set())):
        world.block.number = block
        hotkeyswap.forget_old_swaps(ctx)
        assert {who for who, _ in s.LastHotkeySwapOnNetuid.row(ctx, NETUID)} == left


# Refusals


def test_a_subnet_that_does_not_exist(world: World) -> None:
    refuse(world, "SubnetNotExists", NetUid(9), who="bob")


def test_the_hotkey_must_be_ones_own(world: World) -> None:
    refuse(world, "NonAssociatedColdKey", who="bob")


def test_the_new_hotkey_must_be_ones_own_or_nobodys(world: World) -> None:
    world.call("bob", "try_associate_hotkey", hotkey=NEW)
    refuse(world, "NonAssociatedColdKey")
    args = {"hotkey": OLD, "new_hotkey": OLD, "netuid": None}
    world.refuse("NewHotKeyIsSameWithOld", "alice", "swap_hotkey", **args)


def test_the_new_hotkey_must_not_have_a_seat_where_it_is_to_get_one(world: World) -> None:
    world.call("alice", "burned_register", netuid=NetUid(1), hotkey=NEW)
    refuse(world, "HotKeyAlreadyRegisteredInSubNet")
    refuse(world, "HotKeyAlreadyRegisteredInSubNet", NetUid(1))
    swap(world, NETUID)


@pytest.mark.parametrize("past", ["claimable", "claimed", "stake"])
def test_a_hotkey_with_a_past_on_root_cannot_take_over_root(world: World, past: str) -> None:
    ctx = world.ctx
    if past == "claimable":
        s.RootClaimable.put(ctx, NEW, {NETUID: 1})
    elif past == "claimed":
        s.RootClaimed.put(ctx, ROOT_NETUID, NEW, BOB, 1)
    else:
        shares.increase(ctx, NEW, BOB, ROOT_NETUID, Alpha(1))
    refuse(world, "NewHotKeyNotCleanForRootSwap")
    refuse(world, "NewHotKeyNotCleanForRootSwap", ROOT_NETUID)
    swap(world, NETUID)


def test_no_subnet_account_becomes_a_hotkey(world: World) -> None:
    args = {"hotkey": OLD, "new_hotkey": subnet_account(NETUID), "netuid": NETUID}
    world.refuse("CannotUseSystemAccount", "alice", "swap_hotkey", **args)


def test_a_swap_must_be_paid(world: World) -> None:
    ctx = world.ctx
    left = int(hotkeyswap.COST_ON_SUBNET) - 1
    balances.transfer(ctx, ALICE, BOB, balances.free(ctx, ALICE) - Rao(left))
    refuse(world, "NotEnoughBalanceToPaySwapHotKey", NETUID)
    balances.transfer(ctx, BOB, ALICE, Rao(1 + int(balances.EXISTENTIAL_DEPOSIT)))
    refuse(world, "NotEnoughBalanceToPaySwapHotKey")
    swap(world, NETUID)
    assert balances.free(ctx, ALICE) == balances.EXISTENTIAL_DEPOSIT
