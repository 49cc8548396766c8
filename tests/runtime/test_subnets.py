"""Subnets: creating one, its price and pool, starting it, and who it says it is."""

from __future__ import annotations

from typing import Any

import pytest

from chain.runtime.fixed import U64F64
from chain.runtime.frame import ROOT
from chain.runtime.pallets import balances, devnet, swap
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import ratelimits, subnets
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import SubnetIdentityV3
from chain.types import RAO_PER_TAO, Alpha, NetUid, Rao
from tests.runtime.world import RICH, World, account

ROOT_NETUID = NetUid(0)
NETUID = NetUid(2)
HOTKEY = account("owner/hotkey")
TAO = RAO_PER_TAO
IDENTITY = SubnetIdentityV3(b"name", b"", b"", b"", b"", b"", b"", b"")


@pytest.fixture
def world() -> World:
    world = World("owner", "alice")
    world.skip(9)  # block 10
    return world


# Creating


def test_a_subnet_is_created(world: World) -> None:
    ctx = world.ctx
    staked = s.TotalStake.get(ctx)

    events = world.call("owner", "register_network", hotkey=HOTKEY)

    assert events[-1] == ev.NetworkAdded(NETUID, 1)
    assert ev.SubnetOwnerHotkeySet(NETUID, HOTKEY) in events
    lock = Rao(1000 * TAO)
    assert balances.free(ctx, account("owner")) == RICH - lock
    assert balances.free(ctx, subnet_account(NETUID)) == lock
    assert s.SubnetTAO.get(ctx, NETUID) == s.SubnetLocked.get(ctx, NETUID) == lock
    assert s.SubnetAlphaIn.get(ctx, NETUID) == 1000 * TAO  # at subnet 1's price of 1
    assert s.SubnetAlphaOut.get(ctx, NETUID) == 0
    assert s.TotalStake.get(ctx) == staked + lock
    assert s.NetworkLastLockCost.get(ctx) == lock
    assert s.LastRateLimitedBlock.get(ctx, ratelimits.NETWORK_REGISTRATION) == 10
    assert s.TotalNetworks.get(ctx) == 3
    assert s.SubnetOwner.get(ctx, NETUID) == account("owner")
    assert s.SubnetOwnerHotkey.get(ctx, NETUID) == HOTKEY
    assert s.Keys.get(ctx, NETUID, 0) == HOTKEY
    assert s.Owner.get(ctx, HOTKEY) == account("owner")
    assert s.TokenSymbol.get(ctx, NETUID).decode() == "\N{GREEK SMALL LETTER BETA}"
    assert s.NetworkRegisteredAt.get(ctx, NETUID) == 10
    assert s.RegisteredSubnetCounter.get(ctx, NETUID) == 1
    world.check_issuance()
    world.check_seats()


def test_what_a_new_subnet_begins_with(world: World) -> None:
    ctx = world.ctx
    devnet.SubnetDefaults.remove(ctx)  # as on the real chain
    assert world.create_subnet() == NETUID
    expected: dict[Any, Any] = {
        s.Tempo: 360,
        s.LastEpochBlock: 8,  # block 10 less netuid 2
        s.NetworkRegistrationAllowed: True,
        s.MaxAllowedUids: 256,
        s.MaxAllowedValidators: 64,
        s.MinAllowedWeights: 1,
        s.ImmunityPeriod: 5000,
        s.Yuma3On: True,
        s.Burn: TAO,
        s.Kappa: 32_767,
        s.WeightsSetRateLimit: 100,
        s.CommitRevealWeightsEnabled: True,
        s.SubnetMechanism: 1,
        s.SubnetEmissionEnabled: False,
        s.SubtokenEnabled: False,
    }
    assert {item.name: item.get(ctx, NETUID) for item in expected} == {
        item.name: value for item, value in expected.items()
    }


def test_refusals_in_order(world: World) -> None:
    ctx = world.ctx
    world.refuse("BadOrigin", ROOT, "register_network", hotkey=HOTKEY)
    world.call("alice", "try_associate_hotkey", hotkey=HOTKEY)
    world.refuse("NonAssociatedColdKey", "owner", "register_network", hotkey=HOTKEY)
    hotkey = account("owner/second")
    system = subnet_account(NetUid(5))
    world.refuse("CannotUseSystemAccount", "owner", "register_network", hotkey=system)
    s.NetworkRegistrationStartBlock.put(ctx, 11)
    world.refuse("SubNetRegistrationDisabled", "owner", "register_network", hotkey=hotkey)
    s.NetworkRegistrationStartBlock.put(ctx, 10)
    s.NetworkRateLimit.put(ctx, 3)
    s.SubnetLimit.put(ctx, 1)
    s.LastRateLimitedBlock.put(ctx, ratelimits.NETWORK_REGISTRATION, 8)
    world.refuse("NetworkTxRateLimitExceeded", "poor", "register_network", hotkey=hotkey)
    world.guard("NetworkTxRateLimitExceeded", "poor", "register_network", hotkey=hotkey)
    world.skip(1)
    world.guard(None, "poor", "register_network", hotkey=hotkey)
    world.refuse("SubnetLimitReached", "poor", "register_network", hotkey=hotkey)
    s.SubnetLimit.put(ctx, 2)
    world.refuse("CannotAffordLockCost", "poor", "register_network", hotkey=hotkey)
    long = SubnetIdentityV3(b"n" * 257, b"", b"", b"", b"", b"", b"", b"")
    world.refuse(
        "InvalidIdentity",
        "owner",
        "register_network_with_identity",
        hotkey=hotkey,
        identity=long,
    )


def test_a_subnet_with_an_identity(world: World) -> None:
    events = world.call("owner", "register_network_with_identity", hotkey=HOTKEY, identity=IDENTITY)
    assert ev.SubnetIdentitySet(NETUID) in events
    assert s.SubnetIdentitiesV3.get(world.ctx, NETUID) == IDENTITY


def test_netuids_fill_gaps(world: World) -> None:
    assert world.create_subnet() == 2
    world.create_subnet(hotkey="second")
    s.NetworksAdded.remove(world.ctx, NETUID)
    world.call("owner", "register_network", hotkey=account("third"))
    assert s.Keys.get(world.ctx, NETUID, 0) == account("third")


def test_a_pool_opens_at_the_median_price(world: World) -> None:
    ctx = world.ctx
    assert subnets.median_price(ctx) == U64F64.ONE
    s.SubnetTAO.put(ctx, NetUid(1), Rao(2 * 10**9))
    s.SubnetAlphaIn.put(ctx, NetUid(1), Alpha(8 * 10**9))  # a quarter
    world.create_subnet()
    assert s.SubnetAlphaIn.get(ctx, NETUID) == 4 * s.SubnetTAO.get(ctx, NETUID)
    s.SubnetAlphaIn.put(ctx, NETUID, Alpha(int(s.SubnetTAO.get(ctx, NETUID))))  # one
    assert subnets.median_price(ctx) == U64F64.ratio(5, 8)
    world.create_subnet(hotkey="second")
    assert abs(swap.price(ctx, NetUid(3)) - U64F64.ratio(5, 8)) < 1 << 40


def test_root_validators_become_parents(world: World) -> None:
    ctx = world.ctx
    world.call("alice", "root_register", hotkey=account("validator"))
    world.skip(101)
    s.RegistrationsThisBlock.put(ctx, ROOT_NETUID, 0)
    world.call("alice", "root_register", hotkey=account("stubborn"))
    s.AutoParentDelegationEnabled.put(ctx, account("stubborn"), False)
    netuid = world.create_subnet()
    everything = 2**64 - 1
    assert s.ChildKeys.get(ctx, account("validator"), netuid) == [(everything, HOTKEY)]
    assert s.ParentKeys.get(ctx, HOTKEY, netuid) == [(everything, account("validator"))]
    assert s.ChildKeys.get(ctx, account("stubborn"), netuid) == []


# The lock


def lock(world: World, last: int, last_block: int, block: int) -> float:
    world.block.number = block
    s.NetworkLastLockCost.put(world.ctx, Rao(last * TAO))
    s.LastRateLimitedBlock.put(world.ctx, ratelimits.NETWORK_REGISTRATION, last_block)
    return int(subnets.lock_cost(world.ctx)) / TAO


@pytest.fixture
def halved(world: World) -> World:
    """A chain that mints 0.5 TAO a block, so that the lock falls twice as fast: N = 50,400."""
    s.TotalIssuance.put(world.ctx, Rao(10_600_000 * TAO))
    return world


def test_r8_the_first_subnet(halved: World) -> None:
    assert lock(halved, 1000, 0, 5000) == 1000


@pytest.mark.parametrize(
    ("last", "block", "cost"),
    [
        (1000, 100, 2000),
        (1000, 25_300, 1500.0000212),
        (1000, 50_500, 1000.0000424),
        (1000, 60_000, 1000),
        (2000, 100, 4000),
        (2000, 50_500, 2000.0000344),
        (2000, 75_700, 1000.0000516),
    ],
)
def test_r9_r10_the_lock_falls(halved: World, last: int, block: int, cost: float) -> None:
    assert lock(halved, last, 100, block) == pytest.approx(cost, abs=1e-7)


def test_a_lock_falls_slower_while_more_is_minted(world: World) -> None:
    assert lock(world, 1000, 100, 50_500) == pytest.approx(1500, abs=1e-3)


# Starting


def test_start_call(world: World) -> None:
    world.refuse("SubnetNotExists", "owner", "start_call", netuid=NETUID)
    world.create_subnet()
    world.refuse("BadOrigin", ROOT, "start_call", netuid=NETUID)
    world.refuse("BadOrigin", "alice", "start_call", netuid=NETUID)
    s.StartCallDelay.put(world.ctx, 5)
    world.skip(4)
    world.refuse("NeedWaitingMoreBlocksToStarCall", "owner", "start_call", netuid=NETUID)
    world.skip(1)
    events = world.call("owner", "start_call", netuid=NETUID)
    assert events == [ev.FirstEmissionBlockNumberSet(NETUID, 16)]
    assert s.FirstEmissionBlockNumber.get(world.ctx, NETUID) == 16
    assert s.SubtokenEnabled.get(world.ctx, NETUID)
    world.refuse("FirstEmissionBlockNumberAlreadySet", "owner", "start_call", netuid=NETUID)


# Names


def test_subnet_identity(world: World) -> None:
    netuid = world.create_subnet()
    texts = vars(IDENTITY)
    call = "set_subnet_identity"
    world.refuse("NotSubnetOwner", "alice", call, netuid=netuid, **texts)
    long = {**texts, "logo_url": b"x" * 1025}
    world.refuse("InvalidIdentity", "owner", call, netuid=netuid, **long)
    assert world.call("owner", call, netuid=netuid, **texts) == [ev.SubnetIdentitySet(netuid)]
    assert s.SubnetIdentitiesV3.get(world.ctx, netuid) == IDENTITY


def test_coldkey_identity(world: World) -> None:
    fields = ("name", "url", "github_repo", "image", "discord", "description", "additional")
    texts = {field: b"text" for field in fields}
    world.refuse("HotKeyNotRegisteredInNetwork", "owner", "set_identity", **texts)
    world.create_subnet()
    long = {**texts, "discord": b"x" * 257}
    world.refuse("InvalidIdentity", "owner", "set_identity", **long)
    events = world.call("owner", "set_identity", **texts)
    assert events == [ev.ChainIdentitySet(account("owner"))]
    assert s.IdentitiesV2.get(world.ctx, account("owner")).name == b"text"


def test_symbols(world: World) -> None:
    netuid = world.create_subnet()
    beta, gamma = "\N{GREEK SMALL LETTER BETA}".encode(), "\N{GREEK SMALL LETTER GAMMA}".encode()
    world.refuse("BadOrigin", "alice", "update_symbol", netuid=netuid, symbol=gamma)
    world.refuse("SubnetNotExists", ROOT, "update_symbol", netuid=NetUid(9), symbol=b"$")
    world.refuse("SymbolDoesNotExist", "owner", "update_symbol", netuid=netuid, symbol=b"$")
    world.refuse("SymbolAlreadyInUse", "owner", "update_symbol", netuid=netuid, symbol=beta)
    events = world.call("owner", "update_symbol", netuid=netuid, symbol=gamma)
    assert events == [ev.SymbolUpdated(netuid, gamma)]
    third = world.create_subnet(hotkey="second")  # its own letter is taken
    assert s.TokenSymbol.get(world.ctx, third) == beta


# Root


def test_root_registration(world: World) -> None:
    ctx = world.ctx
    events = world.call("alice", "root_register", hotkey=account("a"))
    assert events == [ev.NeuronRegistered(ROOT_NETUID, 0, account("a"))]
    assert s.Delegates.find(ctx, account("a")) == 11_796
    assert s.Owner.get(ctx, account("a")) == account("alice")
    assert balances.free(ctx, account("alice")) == RICH
    hotkey = account("b")
    world.refuse("TooManyRegistrationsThisBlock", "alice", "root_register", hotkey=hotkey)
    s.MaxRegistrationsPerBlock.put(ctx, ROOT_NETUID, 9)
    world.refuse("HotKeyAlreadyRegisteredInSubNet", "alice", "root_register", hotkey=account("a"))
    for name in ("b", "c"):
        world.call("alice", "root_register", hotkey=account(name))
    world.refuse("TooManyRegistrationsThisInterval", "alice", "root_register", hotkey=account("d"))
    s.RegistrationsThisInterval.put(ctx, ROOT_NETUID, 0)
    s.MaxAllowedUids.put(ctx, ROOT_NETUID, 3)
    for name, stake in (("a", 5), ("b", 3), ("c", 3), ("d", 3)):
        s.TotalHotkeyAlpha.put(ctx, account(name), ROOT_NETUID, Alpha(stake))
    world.refuse("StakeTooLowForRoot", "alice", "root_register", hotkey=account("d"))
    s.TotalHotkeyAlpha.put(ctx, account("d"), ROOT_NETUID, Alpha(4))
    assert world.call("alice", "root_register", hotkey=account("d"))[-1].uid == 1
    world.check_seats()
    s.NetworksAdded.remove(ctx, ROOT_NETUID)
    world.refuse("RootNetworkDoesNotExist", "alice", "root_register", hotkey=account("e"))


# When it runs


@pytest.fixture
def owned(world: World) -> World:
    world.create_subnet()
    s.AdminFreezeWindow.put(world.ctx, 5)
    return world


def test_the_owner_sets_the_tempo(owned: World) -> None:
    ctx = owned.ctx
    owned.refuse("BadOrigin", "alice", "set_tempo", netuid=NETUID, tempo=400)
    owned.refuse("BadOrigin", ROOT, "set_tempo", netuid=NETUID, tempo=400)
    owned.refuse("TempoOutOfBounds", "owner", "set_tempo", netuid=NETUID, tempo=359)
    owned.refuse("TempoOutOfBounds", "owner", "set_tempo", netuid=NETUID, tempo=50_401)
    owned.skip(1)
    assert owned.call("owner", "set_tempo", netuid=NETUID, tempo=720) == [ev.TempoSet(NETUID, 720)]
    assert s.Tempo.get(ctx, NETUID) == 720
    assert s.LastEpochBlock.get(ctx, NETUID) == 11
    owned.skip(359)
    owned.refuse("TxRateLimitExceeded", "owner", "set_tempo", netuid=NETUID, tempo=400)
    owned.skip(1)
    owned.call("owner", "set_tempo", netuid=NETUID, tempo=400)
    owned.skip(396)  # four blocks before the epoch
    frozen = "AdminActionProhibitedDuringWeightsWindow"
    owned.refuse(frozen, "owner", "set_tempo", netuid=NETUID, tempo=500)


def test_activity_cutoff_factor(owned: World) -> None:
    call = "set_activity_cutoff_factor"
    error = "ActivityCutoffFactorMilliOutOfBounds"
    owned.refuse("BadOrigin", "alice", call, netuid=NETUID, factor_milli=2000)
    owned.refuse(error, "owner", call, netuid=NETUID, factor_milli=999)
    owned.refuse(error, ROOT, call, netuid=NETUID, factor_milli=50_001)
    assert owned.call("owner", call, netuid=NETUID, factor_milli=2000) == [
        ev.ActivityCutoffFactorMilliSet(NETUID, 2000)
    ]
    owned.refuse("TxRateLimitExceeded", "owner", call, netuid=NETUID, factor_milli=3000)
    owned.root(call, netuid=NETUID, factor_milli=3000)
    assert s.ActivityCutoffFactorMilli.get(owned.ctx, NETUID) == 3000


def test_triggering_an_epoch(owned: World) -> None:
    ctx = owned.ctx
    owned.skip(400)
    owned.refuse("BadOrigin", "alice", "trigger_epoch", netuid=NETUID)
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, True)
    owned.refuse("DynamicTempoBlockedByCommitReveal", "owner", "trigger_epoch", netuid=NETUID)
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, False)
    s.LastEpochBlock.put(ctx, NETUID, ctx.block - 356)
    owned.refuse("AutoEpochAlreadyImminent", "owner", "trigger_epoch", netuid=NETUID)
    s.LastEpochBlock.put(ctx, NETUID, ctx.block)
    assert owned.call("owner", "trigger_epoch", netuid=NETUID) == [
        ev.EpochTriggered(NETUID, account("owner"), ctx.block + 5)
    ]
    assert s.PendingEpochAt.get(ctx, NETUID) == ctx.block + 5
    owned.refuse("EpochTriggerAlreadyPending", "owner", "trigger_epoch", netuid=NETUID)
    s.PendingEpochAt.put(ctx, NETUID, 0)
    owned.refuse("TxRateLimitExceeded", "owner", "trigger_epoch", netuid=NETUID)
