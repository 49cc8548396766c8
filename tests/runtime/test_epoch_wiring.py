"""The epoch of a subnet: what it reads, what it leaves in storage, what each hotkey earned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime.fixed import I64F64, U64_MAX
from chain.runtime.pallets.subtensor import epoch, payout, uids, weights
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import H256, RAO_PER_TAO, Alpha, NetUid
from tests.runtime.economy import ROOT, Economy

UNIT = 1 / RAO_PER_TAO  # the least amount, in whole alpha
EMISSION = 10**9


def four(*, registered: int = 1) -> tuple[Economy, NetUid]:
    """Validators v0 and v1 (stake 1 unit each) and servers s2 and s3; no uid is the owner's."""
    world = Economy()
    netuid = world.subnet("v0")
    s.SubnetOwnerHotkey.remove(world.ctx, netuid)
    world.ctx.block_env.number = registered
    for name in ("v1", "s2", "s3"):
        world.seat(netuid, name)
    for name in ("v0", "v1"):
        world.give_stake(netuid, name, UNIT)
    s.ValidatorPermit.put(world.ctx, netuid, [True, True, False, False])
    s.Yuma3On.put(world.ctx, netuid, False)
    world.ctx.block_env.number += 1
    return world, netuid


def weigh(world: Economy, netuid: NetUid, who: str, values: list[int], mecid: int = 0) -> None:
    """Have a neuron set its weights on s2 and s3."""
    call = weights.set_mechanism_weights
    world.call(world.hotkey(who), call, netuid, mecid, [2, 3], values, 0)


def run(world: Economy, netuid: NetUid, emission: int = EMISSION) -> list[int]:
    """Run the epoch; the emission stored for each uid."""
    epoch.run(world.ctx, netuid, emission)
    s.LastMechansimStepBlock.put(world.ctx, netuid, world.ctx.block)
    return [int(amount) for amount in s.Emission.get(world.ctx, netuid)]


# What an epoch says, and where it stands


def test_weights_become_what_the_chain_makes_of_them() -> None:
    world, netuid = four()
    for who in ("s2", "s3"):
        world.give_stake(netuid, who, UNIT)
    s.ValidatorPermit.put(world.ctx, netuid, [True] * 4)
    for who in ("v0", "v1"):
        weigh(world, netuid, who, [43_690, 21_845])
    for uid, who in ((2, "s2"), (3, "s3")):
        world.call(world.hotkey(who), weights.set_weights, netuid, [uid], [1], 0)
    assert run(world, netuid) == [250_000_000, 250_000_000, 333_331_637, 166_668_361]

    # Another takes the seat of uid 3: weights on it count again once they are set anew.
    world.ctx.block_env.number += 1
    uids.replace(world.ctx, netuid, 3, world.hotkey("new"))
    world.ctx.block_env.number += 1
    weigh(world, netuid, "v0", [43_690, 21_845])
    assert run(world, netuid) == [250_000_000, 250_000_000, 500_000_000, 0]
    index = StorageIndex.of(netuid)
    assert s.Incentive.get(world.ctx, index) == [0, 0, 65_535, 0]
    assert s.Consensus.get(world.ctx, netuid)[2] == int(0.6666632756 * 65_535)
    assert s.Dividends.get(world.ctx, netuid) == [32_767, 32_767, 0, 0]
    assert s.Bonds.get(world.ctx, index, 0) == [(2, 65_535)]  # the newcomer inherits none


def test_permits_go_to_the_largest_stakes_and_bonds_go_with_them() -> None:
    world, netuid = four()
    s.MaxAllowedValidators.put(world.ctx, netuid, 1)
    for who in ("v0", "v1"):
        weigh(world, netuid, who, [1, 1])
    world.give_stake(netuid, "v0", UNIT)
    run(world, netuid)
    index = StorageIndex.of(netuid)
    assert s.ValidatorPermit.get(world.ctx, netuid) == [True, False, False, False]
    assert s.Bonds.get(world.ctx, index, 0) != []
    for uid in (1, 2, 3):
        assert s.Bonds.find(world.ctx, index, uid) == []
    assert s.StakeWeight.get(world.ctx, netuid) == [43_689, 21_844, 0, 0]
    assert s.Active.get(world.ctx, netuid) == [True] * 4
    assert s.ValidatorTrust.get(world.ctx, netuid)[2:] == [0, 0]


def test_a_neuron_is_inactive_after_the_cutoff() -> None:
    world, netuid = four()
    world.ctx.block_env.number = 1 + 5_000
    weigh(world, netuid, "v0", [1, 0])
    run(world, netuid)
    assert s.Active.get(world.ctx, netuid) == [True] * 4
    world.ctx.block_env.number += 1
    run(world, netuid)
    assert s.Active.get(world.ctx, netuid) == [True, False, False, False]


def test_the_owners_hotkey_always_has_a_permit() -> None:
    world, netuid = four()
    s.SubnetOwnerHotkey.put(world.ctx, netuid, world.hotkey("s3"))
    run(world, netuid)
    assert s.ValidatorPermit.get(world.ctx, netuid) == [True, True, False, True]


def test_what_each_hotkey_earned_comes_in_the_order_of_hotkeys() -> None:
    world, netuid = four()
    for who in ("v0", "v1"):
        weigh(world, netuid, who, [3, 1])
    earned = epoch.run(world.ctx, netuid, EMISSION)
    assert list(earned) == sorted(earned)
    assert earned[world.hotkey("s2")].dividend == 0
    assert earned[world.hotkey("v0")] == epoch.Earned(0, 250_000_000)
    miners = [earned[world.hotkey(name)].incentive for name in ("s2", "s3")]
    assert miners == pytest.approx([375_000_000, 125_000_000], abs=4_000)
    [event] = [e for e in world.events if isinstance(e, ev.IncentiveAlphaEmittedToMiners)]
    assert event.netuid == StorageIndex.of(netuid)
    assert [int(amount) for amount in event.emissions] == [0, 0, *miners]


def test_stake_below_the_threshold_counts_for_nothing() -> None:
    world, netuid = four()
    world.give_stake(netuid, "v0", 9 * UNIT)
    s.StakeThreshold.put(world.ctx, 10)
    run(world, netuid)
    assert s.StakeWeight.get(world.ctx, netuid) == [65_535, 0, 0, 0]


# Commits


@pytest.mark.parametrize(
    ("commit_block", "commit_epoch", "counts"),
    [
        (9, 1, False),  # committed before uid 3 changed hands
        (10, 1, True),  # in the block it did
        (9, 0, True),  # expired: two epochs on, and the reveal period is one
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_weights_committed_before_a_neuron_came_do_not_count_for_it(
    commit_block: int, commit_epoch: int, counts: bool, sealed: bool
) -> None:
    world, netuid = four(registered=10)
    for who in ("v0", "v1"):
        weigh(world, netuid, who, [1, 1])
    index = StorageIndex.of(netuid)
    s.CommitRevealWeightsEnabled.put(world.ctx, netuid, True)
    s.SubnetEpochIndex.put(world.ctx, netuid, 2)
    for who in ("v0", "v1"):
        hotkey = world.hotkey(who)
        if sealed:
            queue = s.TimelockedWeightCommits.get(world.ctx, index, commit_epoch)
            queue = [*queue, (hotkey, commit_block, b"", 0)]
            s.TimelockedWeightCommits.put(world.ctx, index, commit_epoch, queue)
        else:
            commit = (H256(bytes(32)), commit_epoch, commit_block, 0)
            s.WeightCommits.put(world.ctx, index, hotkey, [commit])
    s.BlockAtRegistration.put(world.ctx, netuid, 2, 0)
    run(world, netuid)
    expected = [0, 0, 32_767, 32_767] if counts else [0, 0, 65_535, 0]
    assert s.Incentive.get(world.ctx, index) == expected


# Stake


def test_root_stake_counts_by_the_tao_weight() -> None:
    world, netuid = four()
    world.give_stake(ROOT, "v1", 100)
    weight = epoch.stake_weight(world.ctx, netuid, world.hotkey("v1"))
    assert weight / I64F64.ONE == pytest.approx(1 + 0.0526769743872833 * 100 * RAO_PER_TAO)
    assert epoch.stake_weight(world.ctx, netuid, world.hotkey("v0")) == I64F64.ONE


def test_children_vote_with_their_parents_stake() -> None:
    world = Economy()
    netuid = world.subnet()
    child, parent = world.hotkey("child"), world.hotkey("parent")
    world.give_stake(netuid, "parent", 90)
    world.give_stake(netuid, "child", 10)
    world.give_stake(ROOT, "parent", 30)
    third = U64_MAX // 3
    s.ChildKeys.put(world.ctx, parent, netuid, [(third, child)])
    s.ParentKeys.put(world.ctx, child, netuid, [(third, parent)])
    alpha = [epoch.inherited_alpha(world.ctx, key, netuid) for key in (child, parent)]
    assert alpha == pytest.approx([40 * RAO_PER_TAO, 60 * RAO_PER_TAO], abs=30)
    tao = [epoch.inherited_tao(world.ctx, key, netuid) for key in (child, parent)]
    assert tao == pytest.approx([10 * RAO_PER_TAO, 20 * RAO_PER_TAO], abs=30)
    # Root stake itself is nobody's to inherit, and other subnets have their own children.
    assert epoch.inherited_alpha(world.ctx, parent, ROOT) == 30 * RAO_PER_TAO
    other = world.subnet("other")
    assert epoch.inherited_tao(world.ctx, child, other) == 0


# Mechanisms


@pytest.mark.parametrize(
    ("count", "split", "parts"),
    [
        (1, None, [1001]),
        (2, None, [501, 500]),
        (3, None, [335, 333, 333]),
        (2, [49_151, 16_384], [751, 250]),
        (3, [65_535], [1001, 0, 0]),
        (2, [0, 65_535], [0, 1001]),
    ],
)
def test_emission_is_split_between_mechanisms(
    count: int, split: list[int] | None, parts: list[int]
) -> None:
    world, netuid = four()
    s.MechanismCountCurrent.put(world.ctx, netuid, count)
    if split is not None:
        s.MechanismEmissionSplit.put(world.ctx, netuid, split)
    assert epoch.split_emission(world.ctx, netuid, 1001) == parts


def splits(count: int) -> st.SearchStrategy[list[int]]:
    """Any split between at most `count` mechanisms that the chain takes: it sums to 65535."""
    cuts = st.lists(st.integers(0, 65_535), max_size=count - 1).map(sorted)
    return cuts.map(lambda at: [b - a for a, b in pairwise([0, *at, 65_535])])


@given(data=st.data(), count=st.integers(1, 16), emission=st.integers(0, U64_MAX))
def test_shares_are_floored_and_the_first_mechanism_has_the_rest(
    data: st.DataObject, count: int, emission: int
) -> None:
    world = Economy()
    netuid = NetUid(1)
    s.MechanismCountCurrent.put(world.ctx, netuid, count)
    even = [emission // count] * count
    split = data.draw(st.none() | splits(count))
    if split is not None:
        s.MechanismEmissionSplit.put(world.ctx, netuid, split)
        even = [emission * share // 65_535 for share in split] + [0] * (count - len(split))
    parts = epoch.split_emission(world.ctx, netuid, emission)
    assert parts[1:] == even[1:]
    assert sum(parts) == emission


def test_each_mechanism_pays_its_miners_from_its_own_share() -> None:
    """Three units do not divide by 65535: what flooring leaves of them is the first one's."""
    world, netuid = two_mechanisms()
    emission = 8 * 65_535 + 3
    parts = epoch.split_emission(world.ctx, netuid, emission)
    assert parts == [8 * 49_151 + 3, 8 * 16_384]
    earned = epoch.run(world.ctx, netuid, emission)
    miners = [earned[world.hotkey(name)].incentive for name in ("s2", "s3")]
    # Each is the only miner of its mechanism: half of all its emission, floored.
    assert miners == [part // 2 for part in parts]
    by_mechanism = {
        e.netuid: [int(amount) for amount in e.emissions]
        for e in world.events
        if isinstance(e, ev.IncentiveAlphaEmittedToMiners)
    }
    first, second = StorageIndex.of(netuid), StorageIndex.of(netuid, 1)
    assert by_mechanism == {first: [0, 0, miners[0], 0], second: [0, 0, 0, miners[1]]}
    both = [e.dividend for e in (earned[world.hotkey("v0")], earned[world.hotkey("v1")])]
    assert both == [parts[0] // 4 + parts[1] // 4] * 2


def two_mechanisms() -> tuple[Economy, NetUid]:
    """Validators judge s2 good on the first mechanism and s3 on the second, which earns 1/4."""
    world, netuid = four()
    s.MechanismCountCurrent.put(world.ctx, netuid, 2)
    s.MechanismEmissionSplit.put(world.ctx, netuid, [49_151, 16_384])
    second = StorageIndex.of(netuid, 1)
    s.LastUpdate.put(world.ctx, second, s.LastUpdate.get(world.ctx, StorageIndex.of(netuid)))
    for who in ("v0", "v1"):
        weigh(world, netuid, who, [1, 0])
        weigh(world, netuid, who, [0, 1], mecid=1)
    return world, netuid


def test_mechanisms_have_incentive_of_their_own_and_share_the_rest() -> None:
    world, netuid = two_mechanisms()
    earned = epoch.run(world.ctx, netuid, 8 * 65_535)
    first, second = StorageIndex.of(netuid), StorageIndex.of(netuid, 1)
    assert second == 4096 + netuid
    assert s.Incentive.get(world.ctx, first) == [0, 0, 65_535, 0]
    assert s.Incentive.get(world.ctx, second) == [0, 0, 0, 65_535]
    assert s.Bonds.get(world.ctx, first, 0) == [(2, 65_535)]
    assert s.Bonds.get(world.ctx, second, 0) == [(3, 65_535)]
    assert earned[world.hotkey("s2")].incentive == 8 * 49_151 // 2
    assert earned[world.hotkey("s3")].incentive == 8 * 16_384 // 2
    assert earned[world.hotkey("v0")].dividend == 4 * 65_535 // 2
    # What is stored once is the mean by emission, floored after each mechanism.
    consensus = s.Consensus.get(world.ctx, netuid)
    assert consensus == pytest.approx([0, 0, 49_151, 16_384], abs=1)
    assert s.Dividends.get(world.ctx, netuid) == pytest.approx([32_767, 32_767, 0, 0], abs=1)
    assert s.StakeWeight.get(world.ctx, netuid) == pytest.approx([32_767, 32_767, 0, 0], abs=1)
    kinds = [e.netuid for e in world.events if isinstance(e, ev.IncentiveAlphaEmittedToMiners)]
    assert kinds == [first, second]


def test_without_emission_the_first_mechanism_alone_counts() -> None:
    world, netuid = two_mechanisms()
    epoch.run(world.ctx, netuid, 0)
    assert s.Consensus.get(world.ctx, netuid) == [0, 0, 65_535, 0]


# Odd states


def test_a_seat_without_a_key_has_no_stake_and_earns_nothing() -> None:
    world, netuid = four()
    weigh(world, netuid, "v0", [1, 1])
    s.Keys.remove(world.ctx, netuid, 1)
    s.LastUpdate.put(world.ctx, StorageIndex.of(netuid), [2])  # the others read as never
    earned = epoch.run(world.ctx, netuid, EMISSION)
    assert world.hotkey("v1") not in earned
    assert len(earned) == 3
    assert s.StakeWeight.get(world.ctx, netuid) == [65_535, 0, 0, 0]


def test_two_seats_of_one_hotkey_are_noticed() -> None:
    world, netuid = four()
    assert epoch.is_consistent(world.ctx, netuid)
    s.Keys.put(world.ctx, netuid, 3, world.hotkey("s2"))
    assert not epoch.is_consistent(world.ctx, netuid)


def test_an_empty_subnet_has_an_epoch_too() -> None:
    world = Economy()
    netuid = world.subnet()
    s.SubnetworkN.put(world.ctx, netuid, 0)
    for item in (s.Keys, s.Uids):
        item.clear(world.ctx, netuid)
    payout.distribute(world.ctx, netuid, payout.Pots(*[Alpha(0)] * 4))
    assert s.Incentive.get(world.ctx, StorageIndex.of(netuid)) == []
