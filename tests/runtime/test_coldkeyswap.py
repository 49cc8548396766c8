"""Swapping a coldkey: announcing, waiting, disputing, and that all it owned passes to its heir."""

from __future__ import annotations

from typing import Any

import pytest

from chain.runtime.frame import Call
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import coldkeyswap, rootclaims, rootdividends, shares
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import ChainIdentityV2
from chain.runtime.runtime import CUSTOM_CODES
from chain.scale import Tagged
from chain.types import H256, RAO_PER_TAO, Alpha, NetUid, Rao, blake2_256
from tests.runtime.economy import Laws
from tests.runtime.world import World, account

ROOT_NETUID = NetUid(0)
NETUID = NetUid(2)
ALICE, HEIR = account("alice"), account("heir")
HASH = H256(blake2_256(HEIR))
COST = Rao(RAO_PER_TAO // 10)


@pytest.fixture
def world() -> World:
    """`alice` owns subnet 2 and stakes through its hotkey and another's; block 10, delays 5, 3."""
    world = World("alice", "bob")
    world.skip(9)
    world.create_subnet("alice")
    world.call("alice", "start_call", netuid=NETUID)
    world.call("bob", "try_associate_hotkey", hotkey=account("bob/hotkey"))
    for name in ("alice", "bob"):
        for netuid in (ROOT_NETUID, NETUID):
            args = {"netuid": netuid, "amount_staked": Rao(10 * RAO_PER_TAO)}
            world.call("alice", "add_stake", hotkey=account(f"{name}/hotkey"), **args)
    s.ColdkeySwapAnnouncementDelay.put(world.ctx, 5)
    s.ColdkeySwapReannouncementDelay.put(world.ctx, 3)
    return world


def announce(world: World, new_coldkey_hash: H256 = HASH) -> list[Any]:
    return world.call("alice", "announce_coldkey_swap", new_coldkey_hash=new_coldkey_hash)


# Announcing


def test_the_first_announcement_costs(world: World) -> None:
    ctx = world.ctx
    before = balances.free(ctx, ALICE)
    assert announce(world)[-1] == ev.ColdkeySwapAnnounced(ALICE, HASH)
    assert s.ColdkeySwapAnnouncements.get(ctx, ALICE) == (15, HASH)
    assert before - balances.free(ctx, ALICE) == COST
    world.check_issuance()


def test_who_cannot_pay_cannot_announce(world: World) -> None:
    balances.mint_into(world.ctx, account("poor"), COST)  # but not the account's own life besides
    call = "announce_coldkey_swap"
    world.refuse("NotEnoughBalanceToPaySwapColdKey", "poor", call, new_coldkey_hash=HASH)


def test_an_announcement_is_replaced_for_nothing_once_it_is_due_for_a_while(world: World) -> None:
    ctx = world.ctx
    announce(world)
    other = H256(blake2_256(account("other")))
    world.skip(7)  # block 17: due at 15, and 3 blocks more
    call = "announce_coldkey_swap"
    world.refuse("ColdkeySwapReannouncedTooEarly", "alice", call, new_coldkey_hash=other)
    world.skip(1)
    before = balances.free(ctx, ALICE)
    announce(world, other)
    assert s.ColdkeySwapAnnouncements.get(ctx, ALICE) == (23, other)
    assert balances.free(ctx, ALICE) == before


def test_an_announcement_is_taken_back_once_it_is_due_for_a_while(world: World) -> None:
    call = "clear_coldkey_swap_announcement"
    world.refuse("ColdkeySwapAnnouncementNotFound", "alice", call)
    announce(world)
    world.skip(7)
    world.refuse("ColdkeySwapClearTooEarly", "alice", call)
    world.skip(1)
    assert world.call("alice", call) == [ev.ColdkeySwapCleared(ALICE)]
    assert not s.ColdkeySwapAnnouncements.contains(world.ctx, ALICE)


# The swap


def test_all_of_a_coldkey_passes_on(world: World) -> None:
    ctx = world.ctx
    identity = ChainIdentityV2(*[b"x"] * 7)
    s.IdentitiesV2.put(ctx, ALICE, identity)
    world.call(
        "alice", "set_coldkey_auto_stake_hotkey", netuid=NETUID, hotkey=account("alice/hotkey")
    )
    rootclaims.list_staker(ctx, ALICE)
    hotkeys = [account("alice/hotkey"), account("bob/hotkey")]
    held = {
        (hotkey, netuid): shares.value(ctx, hotkey, ALICE, netuid)
        for hotkey in hotkeys
        for netuid in (ROOT_NETUID, NETUID)
    }
    dividend = Alpha(4 * RAO_PER_TAO)
    rootdividends.accrue(ctx, hotkeys[1], NETUID, dividend)
    s.SubnetAlphaOut.put(ctx, NETUID, s.SubnetAlphaOut.get(ctx, NETUID) + dividend)
    s.RootClaimed.put(ctx, NETUID, hotkeys[1], ALICE, RAO_PER_TAO)
    owed = rootdividends.owed(ctx, hotkeys[1], ALICE, NETUID)
    announce(world)
    world.skip(5)
    free = balances.free(ctx, ALICE)

    events = world.call("alice", "swap_coldkey_announced", new_coldkey=HEIR)

    assert events[-1] == ev.ColdkeySwapped(ALICE, HEIR)
    assert not balances.free(ctx, ALICE) and balances.free(ctx, HEIR) == free
    for (hotkey, netuid), alpha in held.items():
        assert shares.value(ctx, hotkey, HEIR, netuid) == alpha > 0
        assert not shares.value(ctx, hotkey, ALICE, netuid)
    assert 0 < owed == rootdividends.owed(ctx, hotkeys[1], HEIR, NETUID)
    assert s.SubnetOwner.get(ctx, NETUID) == HEIR
    assert s.Owner.get(ctx, hotkeys[0]) == HEIR and s.Owner.get(ctx, hotkeys[1]) == account("bob")
    assert s.OwnedHotkeys.get(ctx, HEIR) == hotkeys[:1] and not s.OwnedHotkeys.get(ctx, ALICE)
    assert s.StakingHotkeys.get(ctx, HEIR) == hotkeys and not s.StakingHotkeys.get(ctx, ALICE)
    assert s.IdentitiesV2.get(ctx, HEIR) == identity and not s.IdentitiesV2.contains(ctx, ALICE)
    assert s.AutoStakeDestination.get(ctx, HEIR, NETUID) == hotkeys[0]
    assert s.AutoStakeDestinationColdkeys.get(ctx, hotkeys[0], NETUID) == [HEIR]
    assert not s.AutoStakeDestination.contains(ctx, ALICE, NETUID)
    assert dict(s.StakingColdkeys.items(ctx)) == {HEIR: 0}
    assert not s.ColdkeySwapAnnouncements.contains(ctx, ALICE)
    world.check_issuance()
    Laws(ctx, tight=False).check()


def test_an_heir_keeps_the_identity_it_has(world: World) -> None:
    ctx = world.ctx
    own = ChainIdentityV2(*[b"own"] * 7)
    s.IdentitiesV2.put(ctx, ALICE, ChainIdentityV2(*[b"x"] * 7))
    s.IdentitiesV2.put(ctx, HEIR, own)
    args = {"old_coldkey": ALICE, "new_coldkey": HEIR, "swap_cost": Rao(0)}
    world.root("swap_coldkey", **args)
    assert s.IdentitiesV2.get(ctx, HEIR) == own


def test_each_reason_to_refuse_a_swap(world: World) -> None:
    ctx = world.ctx
    call, args = "swap_coldkey_announced", {"new_coldkey": HEIR}
    world.refuse("ColdkeySwapAnnouncementNotFound", "alice", call, **args)
    announce(world)
    world.skip(4)
    world.refuse("AnnouncedColdkeyHashDoesNotMatch", "alice", call, new_coldkey=account("bob"))
    world.refuse("ColdkeySwapTooEarly", "alice", call, **args)
    world.skip(1)
    s.StakingHotkeys.put(ctx, HEIR, [account("bob/hotkey")])
    s.Owner.put(ctx, HEIR, account("bob"))
    world.refuse("ColdKeyAlreadyAssociated", "alice", call, **args)
    s.StakingHotkeys.remove(ctx, HEIR)
    world.refuse("NewColdKeyIsHotkey", "alice", call, **args)
    s.Owner.remove(ctx, HEIR)
    world.call("alice", call, **args)


def test_root_swaps_at_once_and_charges_what_it_likes(world: World) -> None:
    ctx = world.ctx
    announce(world)
    s.ColdkeySwapDisputes.put(ctx, ALICE, 10)
    free = balances.free(ctx, ALICE)
    args = {"old_coldkey": ALICE, "new_coldkey": HEIR, "swap_cost": Rao(7)}
    world.refuse("BadOrigin", "bob", "swap_coldkey", **args)
    assert ev.ColdkeySwapped(ALICE, HEIR) in world.root("swap_coldkey", **args)
    assert balances.free(ctx, HEIR) == free - Rao(7)
    assert not s.ColdkeySwapAnnouncements.contains(ctx, ALICE)
    assert not s.ColdkeySwapDisputes.contains(ctx, ALICE)
    world.check_issuance()


def test_the_call_of_old_is_refused(world: World) -> None:
    world.refuse("Deprecated", "alice", "schedule_swap_coldkey", new_coldkey=HEIR)


# While it is announced


def test_an_announced_coldkey_can_do_nothing_else(world: World) -> None:
    announce(world)
    dest = {"dest": Tagged("Id", account("bob")), "value": Rao(1000)}
    for pallet_call, args in (
        ("Balances.transfer_keep_alive", dest),
        ("System.remark", {"remark": b""}),
        ("unstake_all", {"hotkey": account("bob/hotkey")}),
    ):
        world.guard("ColdkeySwapAnnounced", "alice", pallet_call, **args)
        world.refuse("ColdkeySwapAnnounced", "alice", pallet_call, **args)
        world.guard(None, "bob", pallet_call, **args)
    remark = Call("System", "remark", {"remark": b""})
    assert CUSTOM_CODES["ColdkeySwapAnnounced"] == 0
    # Whoever acts for it is free, and so is what comes sealed.
    world.guard(None, "bob", "Utility.batch_all", calls=[remark])
    world.guard(None, "alice", "MevShield.submit_encrypted", ciphertext=b"")


def test_an_announced_coldkey_may_follow_up(world: World) -> None:
    announce(world)
    for call, args in (
        ("announce_coldkey_swap", {"new_coldkey_hash": HASH}),
        ("swap_coldkey_announced", {"new_coldkey": HEIR}),
        ("clear_coldkey_swap_announcement", {}),
        ("dispute_coldkey_swap", {}),
    ):
        assert call in coldkeyswap.FOLLOWING_UP
        world.guard(None, "alice", call, **args)
    assert len(coldkeyswap.FOLLOWING_UP) == 4


def test_the_swap_is_told_before_any_other_refusal(world: World) -> None:
    args = {"hotkey": account("nobody's"), "take": 1}
    world.guard("HotKeyAccountNotExists", "alice", "decrease_take", **args)
    announce(world)
    world.guard("ColdkeySwapAnnounced", "alice", "decrease_take", **args)


def test_a_dispute_stops_all_until_root_resets(world: World) -> None:
    ctx = world.ctx
    call = "dispute_coldkey_swap"
    world.refuse("ColdkeySwapAnnouncementNotFound", "alice", call)
    announce(world)
    assert world.call("alice", call) == [ev.ColdkeySwapDisputed(ALICE)]
    world.refuse_in_block("ColdkeySwapAlreadyDisputed", "alice", call)
    world.skip(5)
    world.refuse("ColdkeySwapDisputed", "alice", "swap_coldkey_announced", new_coldkey=HEIR)
    world.guard("ColdkeySwapDisputed", "alice", "MevShield.submit_encrypted", ciphertext=b"")
    assert CUSTOM_CODES["ColdkeySwapDisputed"] == 21
    world.refuse("BadOrigin", "bob", "reset_coldkey_swap", coldkey=ALICE)
    assert world.root("reset_coldkey_swap", coldkey=ALICE) == [ev.ColdkeySwapReset(ALICE)]
    assert not s.ColdkeySwapDisputes.contains(ctx, ALICE)
    world.call("alice", "System.remark", remark=b"")
