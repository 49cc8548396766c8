"""Child keys: who may have which children, when they come into force, and that both sides agree."""

from __future__ import annotations

import pytest

from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import children, epoch, shares
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.types import AccountId, Alpha, NetUid, Rao
from tests.runtime.world import World, account

ALL = children.EVERYTHING
HALF = ALL // 2
NETUID = NetUid(2)
PARENT = account("parent")
CHILD, OTHER = account("child"), account("other")


@pytest.fixture
def world() -> World:
    """Subnet 2 has started, with an epoch every 5 blocks; `alice` owns `parent`; block 1000."""
    world = World("owner", "alice", "bob")
    netuid = world.create_subnet()
    world.call("owner", "start_call", netuid=netuid)
    world.call("alice", "try_associate_hotkey", hotkey=PARENT)
    world.block.number = 1000
    s.Tempo.put(world.ctx, netuid, 5)
    s.LastEpochBlock.put(world.ctx, netuid, 1000)
    s.PendingChildKeyCooldown.put(world.ctx, 7)
    return world


@pytest.fixture
def young(world: World) -> World:
    """The same before the subnet has started."""
    s.SubtokenEnabled.put(world.ctx, NETUID, False)
    return world


def choose(world: World, *pairs: tuple[int, AccountId], who: str = "alice") -> list[object]:
    chosen = list(pairs)
    return world.call(who, "set_children", hotkey=PARENT, netuid=NETUID, children=chosen)


def children_of(ctx: Ctx, hotkey: AccountId) -> list[tuple[int, AccountId]]:
    return s.ChildKeys.get(ctx, hotkey, NETUID)


def parents_of(ctx: Ctx, hotkey: AccountId) -> list[tuple[int, AccountId]]:
    return s.ParentKeys.get(ctx, hotkey, NETUID)


# When they come into force


def test_children_wait_for_the_cooldown_and_then_for_an_epoch(world: World) -> None:
    ctx = world.ctx
    wanted = [(HALF, CHILD)]
    assert choose(world, *wanted) == [ev.SetChildrenScheduled(PARENT, NETUID, 1007, wanted)]
    assert s.PendingChildKeys.get(ctx, NETUID, PARENT) == (wanted, 1007)
    world.advance(9)  # an epoch ran at 1005, when the cooldown was not over
    assert not children_of(ctx, PARENT)
    world.advance()
    assert world.events(ev.SetChildren) == [ev.SetChildren(PARENT, NETUID, wanted)]
    assert children_of(ctx, PARENT) == [(HALF, CHILD)]
    assert parents_of(ctx, CHILD) == [(HALF, PARENT)]
    assert not s.PendingChildKeys.contains(ctx, NETUID, PARENT)


def test_the_block_that_ends_the_cooldown_is_too_early(world: World) -> None:
    choose(world, (HALF, CHILD))
    world.block.number = 1007
    children.apply_pending_children(world.ctx, NETUID)
    assert not children_of(world.ctx, PARENT)
    world.block.number = 1008
    children.apply_pending_children(world.ctx, NETUID)
    assert children_of(world.ctx, PARENT) == [(HALF, CHILD)]


def test_before_the_subnet_starts_children_are_set_at_once(young: World) -> None:
    assert choose(young, (ALL, CHILD)) == [ev.SetChildren(PARENT, NETUID, [(ALL, CHILD)])]
    assert children_of(young.ctx, PARENT) == [(ALL, CHILD)]


def test_what_waited_is_applied_where_the_subnet_has_not_started(world: World) -> None:
    choose(world, (HALF, CHILD))
    s.SubtokenEnabled.put(world.ctx, NETUID, False)
    children.apply_pending_children(world.ctx, NETUID)
    assert children_of(world.ctx, PARENT) == [(HALF, CHILD)]


def test_a_later_choice_replaces_one_that_waits(world: World) -> None:
    choose(world, (HALF, CHILD))
    world.skip(150)
    choose(world, (ALL, OTHER))
    assert s.PendingChildKeys.get(world.ctx, NETUID, PARENT) == ([(ALL, OTHER)], 1157)


def test_a_child_that_became_a_parent_meanwhile_undoes_the_choice(world: World) -> None:
    ctx = world.ctx
    choose(world, (HALF, CHILD))
    s.ParentKeys.put(ctx, PARENT, NETUID, [(HALF, CHILD)])
    s.ChildKeys.put(ctx, CHILD, NETUID, [(HALF, PARENT)])
    world.advance(10)
    assert not children_of(ctx, PARENT)
    assert not world.events(ev.SetChildren)
    assert not s.PendingChildKeys.contains(ctx, NETUID, PARENT)


# Both sides


def test_a_new_choice_replaces_all_children(young: World) -> None:
    ctx = young.ctx
    choose(young, (HALF, CHILD), (1, OTHER))
    young.skip(150)
    choose(young, (3, OTHER), (5, account("third")))
    assert sorted(children_of(ctx, PARENT)) == [(3, OTHER), (5, account("third"))]
    assert not s.ParentKeys.contains(ctx, CHILD, NETUID)
    assert parents_of(ctx, OTHER) == [(3, PARENT)]


def test_no_children_leave_nothing_stored(young: World) -> None:
    choose(young, (HALF, CHILD))
    young.skip(150)
    choose(young)
    assert not s.ChildKeys.contains(young.ctx, PARENT, NETUID)
    assert not s.ParentKeys.contains(young.ctx, CHILD, NETUID)


def test_children_are_stored_in_the_order_of_their_keys(young: World) -> None:
    names = [account(f"child {i}") for i in range(5)]
    choose(young, *((1 + i, name) for i, name in enumerate(names)))
    assert [child for _, child in children_of(young.ctx, PARENT)] == sorted(names)


def test_a_child_keeps_its_other_parents(young: World) -> None:
    ctx = young.ctx
    young.call("bob", "try_associate_hotkey", hotkey=account("second"))
    choose(young, (1, CHILD))
    args = {"netuid": NETUID, "children": [(2, CHILD)]}
    young.call("bob", "set_children", hotkey=account("second"), **args)
    assert parents_of(ctx, CHILD) == [(1, PARENT), (2, account("second"))]
    young.skip(150)
    choose(young)
    assert parents_of(ctx, CHILD) == [(2, account("second"))]


def test_a_child_votes_with_what_its_parent_lends(young: World) -> None:
    shares.increase(young.ctx, PARENT, account("alice"), NETUID, Alpha(1001))
    choose(young, (HALF, CHILD))
    assert epoch.inherited_alpha(young.ctx, CHILD, NETUID) == 500
    assert epoch.inherited_alpha(young.ctx, PARENT, NETUID) == 500  # floored too


# Refusals


def refuse(world: World, error: str, *pairs: tuple[int, AccountId], who: str = "alice") -> None:
    chosen = list(pairs)
    world.refuse(error, who, "set_children", hotkey=PARENT, netuid=NETUID, children=chosen)


def test_children_are_chosen_at_most_once_in_150_blocks(young: World) -> None:
    choose(young, (HALF, CHILD))
    young.skip(149)
    refuse(young, "TxRateLimitExceeded", (HALF, OTHER))
    young.refuse(
        "TxRateLimitExceeded",
        "bob",  # nor does it matter yet who asks
        "set_children",
        hotkey=PARENT,
        netuid=NETUID,
        children=[],
    )
    young.skip(1)
    choose(young, (HALF, OTHER))


def test_root_and_missing_subnets_have_no_children(world: World) -> None:
    for netuid, error in ((0, "RegistrationNotPermittedOnRootSubnet"), (9, "SubnetNotExists")):
        args = {"hotkey": PARENT, "netuid": NetUid(netuid), "children": [(1, CHILD)]}
        world.refuse(error, "bob", "set_children", **args)


def test_only_the_owner_chooses(world: World) -> None:
    refuse(world, "NonAssociatedColdKey", (1, CHILD), (1, CHILD), who="bob")


def test_each_fault_of_the_list_has_its_name_and_place(world: World) -> None:
    many = [(1, account(f"child {i}")) for i in range(5)]
    refuse(world, "DuplicateChild", (1, PARENT), (1, PARENT))
    refuse(world, "InvalidChild", (1, PARENT), *many)
    refuse(world, "TooManyChildren", (ALL, CHILD), *many)
    refuse(world, "ProportionOverflow", (ALL, CHILD), (1, OTHER))
    choose(world, (ALL - 4, CHILD), *many[:4])


def test_a_parent_cannot_be_a_child(world: World) -> None:
    s.ParentKeys.put(world.ctx, PARENT, NETUID, [(HALF, CHILD)])
    refuse(world, "ProportionOverflow", (ALL, CHILD), (1, OTHER))
    refuse(world, "ChildParentInconsistency", (1, OTHER), (1, CHILD))
    choose(world, (1, OTHER))


def test_children_need_stake_behind_them(world: World) -> None:
    ctx = world.ctx
    s.StakeThreshold.put(ctx, 1000)
    shares.increase(ctx, PARENT, account("bob"), NETUID, Alpha(998))  # a little is lost in pricing
    refuse(world, "NotEnoughStakeToSetChildkeys", (1, CHILD))
    shares.increase(ctx, PARENT, account("bob"), NetUid(0), Alpha(3))
    choose(world, (1, CHILD))


def test_revoking_children_and_the_owner_hotkey_need_no_stake(world: World) -> None:
    s.StakeThreshold.put(world.ctx, 1000)
    choose(world)
    hotkey = account("owner/hotkey")
    args = {"hotkey": hotkey, "netuid": NETUID, "children": [(1, CHILD)]}
    world.call("owner", "set_children", **args)


def test_waiting_children_are_dropped_when_the_stake_goes(world: World) -> None:
    ctx = world.ctx
    shares.increase(ctx, PARENT, account("alice"), NETUID, Alpha(1000))
    choose(world, (1, CHILD))
    s.StakeThreshold.put(ctx, 900)
    children.drop_pending_children(ctx, PARENT)
    assert s.PendingChildKeys.contains(ctx, NETUID, PARENT)
    s.StakeThreshold.put(ctx, 1001)
    children.drop_pending_children(ctx, PARENT)
    assert not s.PendingChildKeys.contains(ctx, NETUID, PARENT)


@pytest.mark.parametrize("limited", [False, True])
def test_selling_the_stake_drops_the_waiting_children(world: World, limited: bool) -> None:
    tao = 10**9
    world.call("alice", "add_stake", hotkey=PARENT, netuid=NETUID, amount_staked=Rao(10 * tao))
    choose(world, (1, CHILD))
    s.StakeThreshold.put(world.ctx, tao)
    held = shares.value(world.ctx, PARENT, account("alice"), NETUID)
    args = {"hotkey": PARENT, "netuid": NETUID, "amount_unstaked": held}
    if limited:
        prices = {"limit_price": Rao(1), "allow_partial": False}
        world.call("alice", "remove_stake_limit", **args, **prices)
    else:
        world.call("alice", "remove_stake", **args)
    assert not s.PendingChildKeys.contains(world.ctx, NETUID, PARENT)


# What root and root validators choose


def test_root_sets_the_cooldown(world: World) -> None:
    world.root("set_pending_childkey_cooldown", cooldown=3)
    assert s.PendingChildKeyCooldown.get(world.ctx) == 3
    world.refuse("BadOrigin", "alice", "set_pending_childkey_cooldown", cooldown=4)


def test_a_root_validator_opts_out_of_lending_to_new_subnets(world: World) -> None:
    ctx = world.ctx
    call = "set_auto_parent_delegation_enabled"
    world.refuse("NonAssociatedColdKey", "bob", call, hotkey=PARENT, enabled=False)
    world.refuse("HotKeyNotRegisteredInSubNet", "alice", call, hotkey=PARENT, enabled=False)
    world.call("alice", "root_register", hotkey=PARENT)
    events = world.call("alice", call, hotkey=PARENT, enabled=False)
    assert events == [ev.AutoParentDelegationEnabledSet(PARENT, False)]
    third = world.create_subnet(hotkey="owner/second")
    assert not s.ChildKeys.contains(ctx, PARENT, third)
    world.call("alice", call, hotkey=PARENT, enabled=True)
    fourth = world.create_subnet(hotkey="owner/third")
    assert s.ChildKeys.get(ctx, PARENT, fourth) == [(ALL, account("owner/third"))]


def test_a_root_validator_without_stake_is_passed_over(world: World) -> None:
    s.StakeThreshold.put(world.ctx, 1)
    world.call("alice", "root_register", hotkey=PARENT)
    third = world.create_subnet(hotkey="owner/second")
    assert not s.ChildKeys.contains(world.ctx, PARENT, third)


# When a hotkey is renamed


def test_a_renamed_hotkey_keeps_its_relations(young: World) -> None:
    ctx, new = young.ctx, account("new")
    choose(young, (1, CHILD), (2, OTHER))
    s.ParentKeys.put(ctx, PARENT, NETUID, [(3, account("grandparent"))])
    s.ChildKeys.put(ctx, account("grandparent"), NETUID, [(4, account("x")), (3, PARENT)])
    s.ChildKeys.put(ctx, new, NETUID, [(9, account("forgotten"))])
    s.ParentKeys.put(ctx, account("forgotten"), NETUID, [(9, new)])
    children.rename(ctx, NETUID, PARENT, new)
    assert sorted(children_of(ctx, new)) == [(1, CHILD), (2, OTHER)]
    assert parents_of(ctx, CHILD) == [(1, new)]
    assert parents_of(ctx, new) == [(3, account("grandparent"))]
    assert children_of(ctx, account("grandparent")) == [(4, account("x")), (3, new)]
    for nobody in (PARENT, account("forgotten")):
        assert not children_of(ctx, nobody) and not parents_of(ctx, nobody)


def test_what_waits_is_renamed_on_both_sides(world: World) -> None:
    ctx, new = world.ctx, account("new")
    choose(world, (1, CHILD))
    s.PendingChildKeys.put(ctx, NETUID, OTHER, ([(5, PARENT), (6, CHILD)], 77))
    children.rename(ctx, NETUID, PARENT, new)
    assert not s.PendingChildKeys.contains(ctx, NETUID, PARENT)
    assert s.PendingChildKeys.get(ctx, NETUID, new) == ([(1, CHILD)], 1007)
    assert s.PendingChildKeys.get(ctx, NETUID, OTHER) == ([(6, CHILD), (5, new)], 77)


@pytest.mark.parametrize("side", ["child", "parent", "waiting"])
def test_a_hotkey_is_not_renamed_into_its_own_relation(world: World, side: str) -> None:
    ctx, new = world.ctx, account("new")
    if side == "waiting":
        choose(world, (1, new))
    elif side == "child":
        s.ChildKeys.put(ctx, PARENT, NETUID, [(1, new)])
    else:
        s.ParentKeys.put(ctx, PARENT, NETUID, [(1, new)])
    with pytest.raises(er.InvalidChild):
        children.rename(ctx, NETUID, PARENT, new)
