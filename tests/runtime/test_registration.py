"""Registration: who may take a seat, what it costs, and whose seat is taken when none is free."""

from __future__ import annotations

from typing import Any

import pytest

from chain.runtime.fixed import U64F64
from chain.runtime.frame import ROOT
from chain.runtime.pallets import alpha_assets, balances
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import registration, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import NO_AXON, StorageIndex
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao
from tests.runtime.world import World, account


@pytest.fixture
def world() -> World:
    world = World("owner", "alice", "bob", author=account("author"))
    world.skip(10)
    world.create_subnet()
    return world


NETUID = NetUid(2)
HOTKEY = account("alice/hotkey")


def burn(world: World) -> Rao:
    return s.Burn.get(world.ctx, NETUID)


def test_a_seat_is_bought(world: World) -> None:
    price = burn(world)
    held = balances.free(world.ctx, account("alice"))
    pool, alpha = s.SubnetTAO.get(world.ctx, NETUID), s.SubnetAlphaIn.get(world.ctx, NETUID)

    events = world.call("alice", "burned_register", netuid=NETUID, hotkey=HOTKEY)

    assert price == RAO_PER_TAO
    assert ev.NeuronRegistered(NETUID, 1, HOTKEY) == events[-1]
    assert balances.free(world.ctx, account("alice")) == held - price
    assert s.Owner.get(world.ctx, HOTKEY) == account("alice")
    assert s.OwnedHotkeys.get(world.ctx, account("alice")) == [HOTKEY]
    assert s.Uids.get(world.ctx, NETUID, HOTKEY) == 1
    assert s.Keys.get(world.ctx, NETUID, 1) == HOTKEY
    assert s.BlockAtRegistration.get(world.ctx, NETUID, 1) == world.ctx.block
    assert s.LastUpdate.get(world.ctx, StorageIndex.of(NETUID)) == [11, 11]
    # The price went into the pool, less the fee to the author; what it bought is recycled.
    fee = int(price) * 33 // 65535
    assert balances.free(world.ctx, account("author")) == fee
    assert s.SubnetTAO.get(world.ctx, NETUID) == pool + Rao(int(price) - fee)
    bought = alpha - s.SubnetAlphaIn.get(world.ctx, NETUID)
    assert bought > 0
    assert s.SubnetAlphaOut.get(world.ctx, NETUID) == 0
    assert alpha_assets.AlphaRecycled.get(world.ctx, NETUID) == bought
    account_holds = balances.free(world.ctx, subnet_account(NETUID))
    assert account_holds == s.SubnetTAO.get(world.ctx, NETUID)
    assert s.RAORecycledForRegistration.get(world.ctx, NETUID) == price
    assert s.RegistrationsThisBlock.get(world.ctx, NETUID) == 1
    world.check_issuance()
    world.check_seats()


def test_refusals_in_order(world: World) -> None:
    register = "burned_register"
    world.refuse("BadOrigin", ROOT, register, netuid=NETUID, hotkey=HOTKEY)
    world.refuse(
        "RegistrationNotPermittedOnRootSubnet", "alice", register, netuid=NetUid(0), hotkey=HOTKEY
    )
    world.refuse("SubnetNotExists", "alice", register, netuid=NetUid(9), hotkey=HOTKEY)
    world.refuse(
        "RegistrationPriceLimitExceeded",
        "alice",
        "register_limit",
        netuid=NETUID,
        hotkey=HOTKEY,
        limit_price=int(burn(world)) - 1,
    )
    owned = account("owner/hotkey")
    s.NetworkRegistrationAllowed.put(world.ctx, NETUID, False)
    world.refuse("SubNetRegistrationDisabled", "alice", register, netuid=NETUID, hotkey=owned)
    s.NetworkRegistrationAllowed.put(world.ctx, NETUID, True)
    world.refuse("HotKeyAlreadyRegisteredInSubNet", "poor", register, netuid=NETUID, hotkey=owned)
    seat = subnet_account(NetUid(77))
    world.refuse("NotEnoughBalanceToStake", "poor", register, netuid=NETUID, hotkey=seat)
    world.refuse("CannotUseSystemAccount", "alice", register, netuid=NETUID, hotkey=seat)
    world.call("bob", "try_associate_hotkey", hotkey=HOTKEY)
    world.refuse("NonAssociatedColdKey", "alice", register, netuid=NETUID, hotkey=HOTKEY)
    s.MaxAllowedUids.put(world.ctx, NETUID, 0)
    other = account("alice/other")
    world.refuse("NoNeuronIdAvailable", "alice", register, netuid=NETUID, hotkey=other)


def test_all_three_calls_buy_a_seat(world: World) -> None:
    world.call("alice", "burned_register", netuid=NETUID, hotkey=account("a"))
    world.call(
        "alice",
        "register",
        netuid=NETUID,
        block_number=0,
        nonce=0,
        work=b"",
        hotkey=account("b"),
        coldkey=account("bob"),
    )
    limit = int(burn(world))
    world.call("alice", "register_limit", netuid=NETUID, hotkey=account("c"), limit_price=limit)
    assert [s.Keys.get(world.ctx, NETUID, uid) for uid in (1, 2, 3)] == [
        account("a"),
        account("b"),
        account("c"),
    ]
    assert s.Owner.get(world.ctx, account("b")) == account("alice")  # not the coldkey it named


def test_a_coldkey_pays_what_keeps_it_alive(world: World) -> None:
    price = burn(world)
    balances.transfer(world.ctx, account("bob"), account("thin"), price)
    before = s.SubnetTAO.get(world.ctx, NETUID)
    world.call("thin", "burned_register", netuid=NETUID, hotkey=HOTKEY)
    assert balances.free(world.ctx, account("thin")) == balances.EXISTENTIAL_DEPOSIT
    paid = int(price) - int(balances.EXISTENTIAL_DEPOSIT)
    assert s.SubnetTAO.get(world.ctx, NETUID) - before == paid - paid * 33 // 65535


# The price


@pytest.mark.parametrize(
    ("half_life", "factor"),
    [
        (0, 1 << 32),
        (1, 2_147_483_648),
        (2, 3_037_000_500),
        (360, 4_286_705_684),
        (1000, 4_291_991_283),
        (36_100, 4_294_884_830),
    ],
)
def test_decay_factor(half_life: int, factor: int) -> None:
    assert registration.decay_factor(half_life) == factor


def price_world(
    world: World,
    burn: int,
    half_life: int,
    *,
    multiplier: int = 2,
    least: int = 0,
    most: int = 10**11,
) -> World:
    s.Burn.put(world.ctx, NETUID, Rao(burn))
    s.BurnHalfLife.put(world.ctx, NETUID, half_life)
    s.BurnIncreaseMult.put(world.ctx, NETUID, U64F64.of(multiplier))
    s.MinBurn.put(world.ctx, NETUID, Rao(least))
    s.MaxBurn.put(world.ctx, NETUID, Rao(most))
    return world


def decay(world: World, blocks: int = 1) -> int:
    for _ in range(blocks):
        world.skip(1)
        registration.update_registration_prices(world.ctx)
    return int(burn(world))


def register(world: World, name: str) -> int:
    world.call("alice", "burned_register", netuid=NETUID, hotkey=account(name))
    return int(burn(world))


def test_r1_a_price_doubles_then_decays(world: World) -> None:
    assert register(price_world(world, 1000, 1000), "a") == 2000
    assert decay(world) == 1998


def test_r2_a_price_decays(world: World) -> None:
    assert decay(price_world(world, 1000, 1000)) == 999


def test_r3_half_life_of_two(world: World) -> None:
    price_world(world, 1024, 2)
    assert [decay(world) for _ in range(4)] == [724, 511, 361, 255]


def test_r4_a_price_stays_in_bounds(world: World) -> None:
    price_world(world, 1, 1, least=100_000, most=150_000)
    assert decay(world) == 100_000
    assert register(world, "a") == 150_000
    assert decay(world) == 100_000


def test_r5_a_price_triples(world: World) -> None:
    assert register(price_world(world, 1000, 1000, multiplier=3), "a") == 3000


def test_r6_default_half_life(world: World) -> None:
    assert decay(world) == 998_076_443
    price_world(world, 10**9, 360)
    assert decay(world, 360) == 499_999_865


def test_r7_default_multiplier(world: World) -> None:
    assert register(world, "a") == 1_260_000_000


def test_a_price_never_falls_by_registering(world: World) -> None:
    price_world(world, 1_000_000, 1000, multiplier=0)
    assert register(world, "a") == 1_000_000


def test_a_price_does_not_decay_before_block_two() -> None:
    world = World()
    before = s.Burn.get(world.ctx, NetUid(1))
    registration.update_registration_prices(world.ctx)
    assert s.Burn.get(world.ctx, NetUid(1)) == before


def test_counters_start_anew(world: World) -> None:
    register(world, "a")
    s.RegistrationsThisInterval.put(world.ctx, NetUid(0), 2)
    decay(world)
    assert s.RegistrationsThisBlock.get(world.ctx, NETUID) == 0
    assert s.RegistrationsThisInterval.get(world.ctx, NetUid(0)) == 2
    world.skip(100)
    decay(world)
    assert s.RegistrationsThisInterval.get(world.ctx, NetUid(0)) == 0


# Taking a seat


@pytest.fixture
def full(world: World) -> World:
    """A subnet of four seats, all taken: the owner's, then a, b and c, a block apart."""
    s.MaxAllowedUids.put(world.ctx, NETUID, 4)
    s.MinNonImmuneUids.put(world.ctx, NETUID, 0)
    s.ImmunityPeriod.put(world.ctx, NETUID, 10)
    for name in ("a", "b", "c"):
        world.skip(1)
        world.register(NETUID, name)
    world.skip(100)
    return world


def pay(world: World, *emission: int) -> None:
    s.Emission.put(world.ctx, NETUID, [Alpha(e) for e in emission])


def test_the_lowest_emission_leaves(full: World) -> None:
    pay(full, 0, 30, 10, 20)
    assert uids.find_prunable(full.ctx, NETUID) == 2


def test_of_equals_the_oldest_leaves(full: World) -> None:
    pay(full, 0, 5, 5, 5)
    assert uids.find_prunable(full.ctx, NETUID) == 1
    s.BlockAtRegistration.put(full.ctx, NETUID, 1, full.ctx.block - 50)
    assert uids.find_prunable(full.ctx, NETUID) == 2


def test_the_immune_stay_while_enough_others_are_left(full: World) -> None:
    pay(full, 0, 0, 5, 9)
    s.BlockAtRegistration.put(full.ctx, NETUID, 1, full.ctx.block - 9)
    assert uids.find_prunable(full.ctx, NETUID) == 2
    s.MinNonImmuneUids.put(full.ctx, NETUID, 2)
    assert uids.find_prunable(full.ctx, NETUID) == 1
    s.BlockAtRegistration.put(full.ctx, NETUID, 1, full.ctx.block - 10)
    s.MinNonImmuneUids.put(full.ctx, NETUID, 3)
    assert uids.find_prunable(full.ctx, NETUID) is None


def test_the_owners_oldest_seats_stay(full: World) -> None:
    pay(full, 0, 0, 0, 9)
    for name in ("a", "b"):
        s.OwnedHotkeys.put(
            full.ctx,
            account("owner"),
            [*s.OwnedHotkeys.get(full.ctx, account("owner")), account(name)],
        )
    assert uids.immortal_uids(full.ctx, NETUID) == [0]
    s.ImmuneOwnerUidsLimit.put(full.ctx, NETUID, 2)
    assert uids.immortal_uids(full.ctx, NETUID) == [0, 1]
    assert uids.find_prunable(full.ctx, NETUID) == 2
    s.SubnetOwnerHotkey.put(full.ctx, NETUID, account("c"))  # first, though the youngest
    assert uids.immortal_uids(full.ctx, NETUID) == [3, 0]


def test_a_newcomer_inherits_nothing(full: World) -> None:
    pay(full, 0, 7, 3, 9)
    index = StorageIndex.of(NETUID)
    old = account("b")
    s.Weights.put(full.ctx, index, 2, [(1, 65535)])
    s.Weights.put(full.ctx, index, 1, [(2, 65535), (3, 7)])
    s.Bonds.put(full.ctx, index, 2, [(1, 5)])
    for column in (s.Consensus, s.Dividends, s.ValidatorTrust):
        column.put(full.ctx, NETUID, [1, 2, 3, 4])
    s.Incentive.put(full.ctx, index, [1, 2, 3, 4])
    s.ValidatorPermit.put(full.ctx, NETUID, [True] * 4)
    s.Active.put(full.ctx, NETUID, [False] * 4)
    s.Axons.put(full.ctx, NETUID, old, NO_AXON)

    uid = full.register(NETUID, "new")

    assert uid == 2
    assert s.Uids.find(full.ctx, NETUID, old) is None
    assert not s.IsNetworkMember.get(full.ctx, old, NETUID)
    assert s.Axons.find(full.ctx, NETUID, old) is None
    assert s.Weights.get(full.ctx, index, 2) == []
    assert s.Weights.get(full.ctx, index, 1) == [(2, 0), (3, 7)]
    assert s.Bonds.get(full.ctx, index, 2) == []
    for column in (s.Consensus, s.Dividends, s.ValidatorTrust):
        assert column.get(full.ctx, NETUID) == [1, 2, 0, 4]
    assert s.Incentive.get(full.ctx, index) == [1, 2, 0, 4]
    assert s.Emission.get(full.ctx, NETUID) == [0, 7, 0, 9]
    assert s.ValidatorPermit.get(full.ctx, NETUID) == [True, True, False, True]
    assert s.Active.get(full.ctx, NETUID) == [False, False, True, False]
    assert s.LastUpdate.get(full.ctx, index)[2] == full.ctx.block
    assert s.BlockAtRegistration.get(full.ctx, NETUID, 2) == full.ctx.block
    assert s.SubnetworkN.get(full.ctx, NETUID) == 4
    full.check_seats()
    full.check_issuance()


def test_the_owners_hotkey_is_never_replaced(full: World) -> None:
    before = dict(full.block.state.changes())
    uids.replace(full.ctx, NETUID, 0, account("new"))
    assert full.block.state.changes() == before


# Owners and takes


def test_associating_a_hotkey_is_once(world: World) -> None:
    world.call("bob", "try_associate_hotkey", hotkey=HOTKEY)
    world.call("alice", "try_associate_hotkey", hotkey=HOTKEY)
    assert s.Owner.get(world.ctx, HOTKEY) == account("bob")
    assert s.StakingHotkeys.get(world.ctx, account("bob")) == [HOTKEY]
    assert s.OwnedHotkeys.get(world.ctx, account("alice")) == []
    system = subnet_account(NetUid(3))
    world.refuse("CannotUseSystemAccount", "bob", "try_associate_hotkey", hotkey=system)


def test_takes(world: World) -> None:
    nobody: AccountId = account("nobody")
    hotkey = account("owner/hotkey")
    world.refuse("HotKeyAccountNotExists", "bob", "decrease_take", hotkey=nobody, take=1)
    world.refuse("NonAssociatedColdKey", "bob", "decrease_take", hotkey=hotkey, take=1)
    world.guard("NonAssociatedColdKey", "bob", "increase_take", hotkey=hotkey, take=1)
    world.refuse("DelegateTakeTooHigh", "owner", "increase_take", hotkey=hotkey, take=11_797)
    events = world.call("owner", "decrease_take", hotkey=hotkey, take=5000)
    assert events == [ev.TakeDecreased(account("owner"), hotkey, 5000)]
    world.refuse("DelegateTakeTooLow", "owner", "decrease_take", hotkey=hotkey, take=5000)
    world.refuse("DelegateTakeTooLow", "owner", "increase_take", hotkey=hotkey, take=5000)
    world.skip(216_000)
    take = {"hotkey": hotkey, "take": 6000}
    world.refuse("DelegateTxRateLimitExceeded", "owner", "increase_take", **take)
    world.skip(1)
    assert world.call("owner", "increase_take", **take) == [
        ev.TakeIncreased(account("owner"), hotkey, 6000)
    ]
    assert s.Delegates.get(world.ctx, hotkey) == 6000
    s.MinDelegateTake.put(world.ctx, 100)
    world.refuse("DelegateTakeTooLow", "owner", "decrease_take", hotkey=hotkey, take=99)


def test_childkey_takes(world: World) -> None:
    hotkey, call = account("owner/hotkey"), "set_childkey_take"

    def args(take: int) -> dict[str, Any]:
        return {"hotkey": hotkey, "netuid": NETUID, "take": take}

    world.refuse("NonAssociatedColdKey", "bob", call, **args(1))
    world.refuse("InvalidChildkeyTake", "owner", call, **args(11_797))
    assert world.call("owner", call, **args(5)) == [ev.ChildKeyTakeSet(hotkey, 5)]
    world.refuse("TxChildkeyTakeRateLimitExceeded", "owner", call, **args(6))
    world.call("owner", call, **args(4))  # lowering is free
    world.refuse("BadOrigin", "owner", "sudo_set_tx_childkey_take_rate_limit", tx_rate_limit=0)
    world.root("sudo_set_tx_childkey_take_rate_limit", tx_rate_limit=0)
    world.call("owner", call, **args(6))
    assert s.ChildkeyTake.get(world.ctx, hotkey, NETUID) == 6
    for which, take in (("min", 3), ("max", 9)):
        world.refuse("BadOrigin", "owner", f"sudo_set_{which}_childkey_take", take=take)
        world.root(f"sudo_set_{which}_childkey_take", take=take)
    s.MinChildkeyTakePerSubnet.put(world.ctx, NETUID, 4)
    for take in (3, 10):
        world.refuse("InvalidChildkeyTake", "owner", call, **args(take))
