"""Payout of many neurons together against payout one by one: the same state, the same events."""

from __future__ import annotations

import random

import pytest

from chain.runtime.fixed import U64_MAX
from chain.runtime.frame import Block, Ctx
from chain.runtime.pallets.subtensor import epoch, payout, shares
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import RecycleOrBurn, SafeFloat, StorageIndex
from chain.runtime.state import State
from chain.types import AccountId, Alpha, NetUid
from tests.runtime import payout_oracle
from tests.runtime.blocks import DictState
from tests.runtime.economy import ROOT, Economy, account

CASES = 60


def random_world(rng: random.Random) -> tuple[Economy, NetUid]:
    """A subnet whose neurons are related in all the ways that pay, and some that do not."""
    world = Economy()
    netuid = world.subnet("owner", price=1)
    ctx = world.ctx
    names = ["owner", *(f"n{i}" for i in range(rng.randint(0, 9)))]
    for name in names[1:]:
        world.seat(netuid, name)
    keys = [world.hotkey(name) for name in names]
    outside = world.hotkey("outside")
    world.give_stake(ROOT, "outside", 1)
    for name in names:
        for on, chance, amount in ((netuid, 0.8, 10**4), (ROOT, 0.5, 10**3)):
            if rng.random() < chance:
                world.give_stake(on, name, rng.random() * rng.choice([1e-9, 1, amount]))
        if rng.random() < 0.4:
            world.give_stake(netuid, f"nominator of {name}", rng.random() * 50, through=name)
        if rng.random() < 0.2:  # one coldkey has several hotkeys
            s.Owner.put(ctx, world.hotkey(name), account(rng.choice(names)))
        if rng.random() < 0.2:
            chosen = rng.choice([*keys, outside])
            s.AutoStakeDestination.put(ctx, account(name), netuid, chosen)
        s.Delegates.put(ctx, world.hotkey(name), rng.choice([0, 11_796, 65_535]))
        if rng.random() < 0.3:  # dividends of an earlier epoch, of those who left since too
            gone = rng.choice([world.hotkey(name), outside])
            s.AlphaDividendsPerSubnet.put(ctx, netuid, gone, Alpha(5))
            s.RootAlphaDividendsPerSubnet.put(ctx, netuid, gone, Alpha(6))
    for child in keys:
        parents = [key for key in [*keys, outside] if key != child and rng.random() < 0.2]
        part = rng.choice([0, U64_MAX // 3, U64_MAX // max(1, len(parents))])
        if parents or rng.random() < 0.1:
            s.ParentKeys.put(ctx, child, netuid, [(part, key) for key in parents])
        for parent in parents:
            listed = s.ChildKeys.get(ctx, parent, netuid)
            s.ChildKeys.put(ctx, parent, netuid, [*listed, (part // 4, child)])
        if rng.random() < 0.3:
            s.ChildkeyTake.put(ctx, child, netuid, rng.choice([1, 6_554, 11_796]))
    s.CKBurn.put(ctx, rng.choice([0, U64_MAX // 5]))
    s.RecycleOrBurn.put(ctx, netuid, rng.choice(list(RecycleOrBurn)))
    owned = s.OwnedHotkeys.get(ctx, account("owner"))
    s.OwnedHotkeys.put(ctx, account("owner"), [*owned, rng.choice(keys)])
    _let_them_judge(rng, world, netuid, len(names))
    ctx.block_env.number += 1
    return world, netuid


def _let_them_judge(rng: random.Random, world: Economy, netuid: NetUid, n: int) -> None:
    ctx = world.ctx
    s.MechanismCountCurrent.put(ctx, netuid, rng.choice([1, 1, 2, 3]))
    s.ValidatorPermit.put(ctx, netuid, [rng.random() < 0.8 for _ in range(n)])
    s.MaxAllowedValidators.put(ctx, netuid, rng.choice([1, 3, 64]))
    for mecid in range(s.MechanismCountCurrent.get(ctx, netuid)):
        index = StorageIndex.of(netuid, mecid)
        s.LastUpdate.put(ctx, index, [ctx.block + 1] * n)
        for uid in range(n):
            if rng.random() < 0.7:
                row = [(to, rng.randrange(65_536)) for to in range(n) if rng.random() < 0.7]
                s.Weights.put(ctx, index, uid, row)
    if rng.random() < 0.1:
        s.Keys.remove(ctx, netuid, rng.randrange(n))


def random_pots(rng: random.Random) -> payout.Pots:
    sizes = [0, 1, 10**9, rng.randrange(10**12)]
    return payout.Pots(*(Alpha(rng.choice(sizes)) for _ in range(4)))


@pytest.mark.parametrize("batch", range(5))
def test_many_are_paid_as_one_by_one(batch: int) -> None:
    paid = 0
    for seed in range(batch * CASES, (batch + 1) * CASES):
        rng = random.Random(seed)
        world, netuid = random_world(rng)
        pots = random_pots(rng)
        born = {k: v for k, v in world.ctx.state.changes().items() if v is not None}
        told = []
        for distribute in (payout.distribute, payout_oracle.distribute):
            ctx = Ctx(Block(State(DictState(born)), world.ctx.block))
            distribute(ctx, netuid, pots)
            told.append((dict(ctx.state.changes()), [event for _, event in ctx.block_env.events]))
        (ours, events), (theirs, expected) = told
        assert ours.keys() == theirs.keys(), f"seed {seed}"
        for key, value in theirs.items():
            assert ours[key] == value, f"seed {seed}: {key.hex()}"
        assert events == expected, f"seed {seed}"
        paid += any(isinstance(event, ev.AutoStakeAdded) for event in events)
    assert paid > 3  # else the worlds have become too poor to prove anything


def test_stake_counts_the_same_asked_for_many_or_one() -> None:
    for seed in range(40):
        world, netuid = random_world(random.Random(seed))
        hotkeys = [hotkey for _, hotkey in s.Keys.row(world.ctx, netuid)]
        singly = [epoch.stake_weight(world.ctx, netuid, hotkey) for hotkey in hotkeys]
        assert epoch.stake_weights(world.ctx, netuid, hotkeys) == singly


def test_shares_are_the_same_given_to_many_or_one() -> None:
    here = NetUid(3)
    for seed in range(300):
        rng = random.Random(seed)
        grants = [
            (
                AccountId(bytes([rng.randrange(3)]) * 32),
                AccountId(bytes([9 + rng.randrange(3)]) * 32),
                rng.choice([0, 1, rng.randrange(10**12), U64_MAX]),
            )
            for _ in range(rng.randint(0, 8))
        ]
        pools: dict[AccountId, tuple[int, SafeFloat]] = {
            hotkey: (rng.choice([0, 1, rng.randrange(U64_MAX)]), shares.of(rng.randrange(10**25)))
            for hotkey, _, _ in grants
            if rng.random() < 0.7
        }
        states = []
        for together in (True, False):
            ctx = Economy().ctx
            for hotkey, (total, issued) in pools.items():
                shares.increase_all(ctx, hotkey, here, Alpha(total))
                s.TotalHotkeySharesV2.put(ctx, hotkey, here, issued)
            if together:
                shares.increase_many(ctx, here, grants)
            else:
                for hotkey, coldkey, alpha in grants:
                    shares.increase(ctx, hotkey, coldkey, here, Alpha(alpha))
            states.append(ctx.state.changes())
        assert states[0] == states[1], seed
