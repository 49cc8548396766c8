"""Root dividends that the chain claims for stakers, the sums it passes over, and auto-stake."""

from __future__ import annotations

import pytest

from chain.runtime.fixed import I96F32, U64_MAX
from chain.runtime.pallets.subtensor import autostake, rootclaims, rootdividends, shares
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao
from tests.runtime.economy import Laws
from tests.runtime.world import World, account

ROOT_NETUID = NetUid(0)
NETUID = NetUid(2)
HOTKEY = account("owner/hotkey")
BOB = account("bob")


@pytest.fixture
def world() -> World:
    """Everybody stakes 10 TAO on root through the owner's hotkey; subnet 2 owes them 3 alpha."""
    world = World("owner", "alice", "bob")
    world.skip(9)
    world.create_subnet()
    world.call("owner", "start_call", netuid=NETUID)
    for who in ("owner", "alice", "bob"):
        args = {"netuid": ROOT_NETUID, "amount_staked": Rao(10 * RAO_PER_TAO)}
        world.call(who, "add_stake", hotkey=HOTKEY, **args)
    alpha = Alpha(3 * RAO_PER_TAO)
    rootdividends.accrue(world.ctx, HOTKEY, NETUID, alpha)
    s.SubnetAlphaOut.put(world.ctx, NETUID, s.SubnetAlphaOut.get(world.ctx, NETUID) + alpha)
    world.block.events.clear()
    return world


def owed(world: World, coldkey: AccountId = BOB) -> Alpha:
    return rootdividends.owed(world.ctx, HOTKEY, coldkey, NETUID)


def run_epoch(world: World) -> None:
    s.LastEpochBlock.put(world.ctx, NETUID, world.block.number)
    rootclaims.claim_for_some(world.ctx, [NETUID])


# Drawing


def test_the_draw_walks_by_the_steps_of_the_hash() -> None:
    steps = [3, 5, 2**63, U64_MAX]
    block_hash = b"".join(step.to_bytes(8, "big") for step in steps)
    # From 3: +3 = 6; +5 = 11 = 1; +2^63 = 2^63 + 1 = 9 (mod 10); capped at 2^64-1 = 5; +3 = 8.
    assert rootclaims.draw(block_hash, 5, 10) == [1, 5, 6, 8, 9]
    assert rootclaims.draw(block_hash, 2, 10) == [1, 6]


def test_nobody_is_drawn_twice_nor_from_nobody() -> None:
    assert rootclaims.draw(bytes(32), 5, 7) == [0]
    assert rootclaims.draw(bytes(32), 5, 0) == []
    assert rootclaims.draw(b"\xff" * 32, 5, 1) == [0]


# Claiming


def test_only_root_stakers_of_hotkeys_that_owe_are_listed(world: World) -> None:
    ctx, other = world.ctx, account("other/hotkey")
    shares.increase(ctx, HOTKEY, account("trader"), NETUID, Alpha(RAO_PER_TAO))
    shares.increase(ctx, other, account("elsewhere"), ROOT_NETUID, Alpha(RAO_PER_TAO))
    s.RootClaimable.put(ctx, other, {})
    run_epoch(world)
    assert s.NumStakingColdkeys.get(ctx) == 3
    assert not s.StakingColdkeys.contains(ctx, account("trader"))
    assert not s.StakingColdkeys.contains(ctx, account("elsewhere"))
    # They are listed in the order of storage: by hotkey, then by coldkey.
    order = [coldkey for (_, coldkey, on), _ in s.AlphaV2.items(ctx) if on == ROOT_NETUID]
    listed = dict(s.StakingColdkeysByIndex.items(ctx))
    assert [listed[i] for i in range(3)] == [who for who in order if who != account("elsewhere")]


def test_stakers_are_listed_at_epochs_and_claimed_for(world: World) -> None:
    ctx = world.ctx
    rootclaims.claim_for_some(ctx, [NETUID])
    assert s.NumStakingColdkeys.get(ctx) == 0
    run_epoch(world)
    listed = dict(s.StakingColdkeysByIndex.items(ctx))
    assert set(listed.values()) == {account(name) for name in ("owner", "alice", "bob")}
    # A parent hash of zeros draws the first alone.
    first = listed[0]
    assert world.events(ev.RootClaimed) == [ev.RootClaimed(first)]
    assert owed(world, first) <= 1  # the new stake's own part of the rate is rounded down
    assert owed(world, listed[1]) == owed(world, listed[2]) > RAO_PER_TAO // 2
    stake = shares.value(ctx, HOTKEY, first, ROOT_NETUID)
    assert stake > 10 * RAO_PER_TAO
    Laws(ctx, tight=False).check()


def test_who_is_owed_nothing_worth_a_claim_is_passed_over(world: World) -> None:
    ctx = world.ctx
    s.RootClaimableThreshold.put(ctx, NETUID, I96F32.of(int(owed(world)) + 1))
    run_epoch(world)
    assert owed(world) and not world.events(ev.RootClaimed)
    s.RootClaimableThreshold.put(ctx, NETUID, I96F32.of(int(owed(world))))
    run_epoch(world)
    assert len(world.events(ev.RootClaimed)) == 1
    run_epoch(world)
    assert len(world.events(ev.RootClaimed)) == 1


def test_a_claim_that_the_pool_cannot_take_waits(world: World) -> None:
    ctx = world.ctx
    s.SubnetTAO.put(ctx, NETUID, Rao(10))
    run_epoch(world)
    assert all(owed(world, account(name)) for name in ("owner", "alice", "bob"))


def test_a_block_claims(world: World) -> None:
    rootclaims.list_staker(world.ctx, BOB)
    world.advance()
    assert owed(world) <= 1


def test_whoever_leaves_the_list_makes_room_for_the_last(world: World) -> None:
    ctx = world.ctx
    everybody = [account(name) for name in ("owner", "alice", "bob")]
    for who in (*everybody, everybody[0]):
        rootclaims.list_staker(ctx, who)
    rootclaims.unlist_staker(ctx, everybody[0])
    assert dict(s.StakingColdkeysByIndex.items(ctx)) == {0: everybody[2], 1: everybody[1]}
    assert dict(s.StakingColdkeys.items(ctx)) == {everybody[2]: 0, everybody[1]: 1}
    for who in (*everybody, everybody[1]):
        rootclaims.unlist_staker(ctx, who)
    assert s.NumStakingColdkeys.get(ctx) == 0
    assert not list(s.StakingColdkeysByIndex.items(ctx)) + list(s.StakingColdkeys.items(ctx))


def test_a_staker_claims_of_all_subnets_through_one_hotkey(world: World) -> None:
    ctx = world.ctx
    world.call("bob", "add_stake", hotkey=HOTKEY, netuid=ROOT_NETUID, amount_staked=Rao(10**10))
    other = account("other")
    world.call("alice", "try_associate_hotkey", hotkey=other)
    world.call("bob", "add_stake", hotkey=other, netuid=ROOT_NETUID, amount_staked=Rao(10**10))
    rootdividends.accrue(ctx, other, NETUID, Alpha(RAO_PER_TAO))
    before, due = shares.value(ctx, HOTKEY, BOB, ROOT_NETUID), owed(world)
    assert due > RAO_PER_TAO // 2
    assert world.call("bob", "claim_root_with_hotkey", hotkey=HOTKEY)[-1] == ev.RootClaimed(BOB)
    assert owed(world) <= 1
    gained = int(shares.value(ctx, HOTKEY, BOB, ROOT_NETUID)) - int(before)
    assert gained == pytest.approx(int(due), rel=0.02)  # an alpha is worth about a TAO here
    waiting = rootdividends.owed(ctx, other, BOB, NETUID)
    assert int(waiting) == pytest.approx(RAO_PER_TAO, abs=2)  # not asked for
    world.call("bob", "claim_root_with_hotkey", hotkey=account("nobody"))
    assert rootdividends.owed(ctx, other, BOB, NETUID) == waiting


def test_root_alone_stands_for_all_subnets(world: World) -> None:
    world.refuse("InvalidValue", "bob", "claim_root", subnets=frozenset())
    six = frozenset(map(NetUid, range(1, 7)))
    world.refuse("InvalidValue", "bob", "claim_root", subnets=six)
    world.call("bob", "claim_root", subnets=frozenset({NetUid(1)}))
    assert owed(world) > 1
    world.call("bob", "claim_root", subnets=frozenset({ROOT_NETUID, NetUid(1)}))
    assert owed(world) > 1
    world.call("bob", "claim_root", subnets=frozenset({ROOT_NETUID}))
    assert owed(world) <= 1


# The threshold


def test_roots_threshold_is_that_of_subnets_without_one(world: World) -> None:
    ctx, due = world.ctx, int(owed(world))
    s.RootClaimableThreshold.put(ctx, ROOT_NETUID, I96F32.of(due + 1))
    world.call("bob", "claim_root_with_hotkey", hotkey=HOTKEY)
    assert owed(world) == due
    s.RootClaimableThreshold.put(ctx, NETUID, I96F32.of(due))
    world.call("bob", "claim_root_with_hotkey", hotkey=HOTKEY)
    assert owed(world) <= 1


def test_the_owner_and_root_set_the_threshold(world: World) -> None:
    call = "sudo_set_root_claim_threshold"
    world.refuse("BadOrigin", "alice", call, netuid=NETUID, new_value=1)
    world.call("owner", call, netuid=NETUID, new_value=10_000_000)
    assert s.RootClaimableThreshold.get(world.ctx, NETUID) == 10_000_000 << 32
    world.refuse("InvalidRootClaimThreshold", "owner", call, netuid=NETUID, new_value=10_000_001)
    world.root(call, netuid=ROOT_NETUID, new_value=0)
    assert s.RootClaimableThreshold.get(world.ctx, ROOT_NETUID) == 0


# Auto-stake


def choose(world: World, who: str, hotkey: AccountId, netuid: NetUid = NETUID) -> list[object]:
    return world.call(who, "set_coldkey_auto_stake_hotkey", netuid=netuid, hotkey=hotkey)


def test_a_coldkey_chooses_where_its_pay_is_staked(world: World) -> None:
    ctx = world.ctx
    world.register(NETUID, "miner")
    assert choose(world, "bob", HOTKEY) == [ev.AutoStakeDestinationSet(BOB, NETUID, HOTKEY)]
    choose(world, "alice", HOTKEY)
    both = [BOB, account("alice")]
    assert s.AutoStakeDestinationColdkeys.get(ctx, HOTKEY, NETUID) == both
    choose(world, "bob", account("miner"))
    assert s.AutoStakeDestination.get(ctx, BOB, NETUID) == account("miner")
    assert s.AutoStakeDestinationColdkeys.get(ctx, HOTKEY, NETUID) == both[1:]
    assert s.AutoStakeDestinationColdkeys.get(ctx, account("miner"), NETUID) == [BOB]


def test_each_reason_to_refuse_a_choice(world: World) -> None:
    call = "set_coldkey_auto_stake_hotkey"
    world.refuse("SubnetNotExists", "bob", call, netuid=NetUid(9), hotkey=BOB)
    world.refuse("HotKeyNotRegisteredInSubNet", "bob", call, netuid=NETUID, hotkey=BOB)
    choose(world, "bob", HOTKEY)
    world.refuse("SameAutoStakeHotkeyAlreadySet", "bob", call, netuid=NETUID, hotkey=HOTKEY)


def test_an_heir_takes_the_choice_over(world: World) -> None:
    ctx, alice = world.ctx, account("alice")
    world.register(NETUID, "miner")
    choose(world, "bob", HOTKEY)
    choose(world, "alice", account("miner"))
    autostake.rename_coldkey(ctx, NETUID, BOB, alice)
    assert s.AutoStakeDestination.get(ctx, alice, NETUID) == HOTKEY
    assert s.AutoStakeDestinationColdkeys.get(ctx, HOTKEY, NETUID) == [alice]
    assert not s.AutoStakeDestinationColdkeys.contains(ctx, account("miner"), NETUID)
    assert not s.AutoStakeDestination.contains(ctx, BOB, NETUID)
