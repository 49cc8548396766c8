"""The laws of the chain under random calls of all pallets by random keys.

TAO is neither made nor lost, alpha is accounted for, seats are dense, relations agree on both
sides, nonces only grow, and a refused call leaves no trace.
"""

from __future__ import annotations

import bisect
from typing import Any

import bittensor_core
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from chain.errors import DispatchError
from chain.runtime.construct import PALLETS
from chain.runtime.fixed import U64_MAX, U64F64
from chain.runtime.frame import ROOT, Call, Origin, dispatch, signed
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.state import State
from chain.scale import Tagged
from chain.types import H256, RAO_PER_TAO, AccountId, Alpha, NetUid, Rao, blake2_256
from tests.runtime import blocks
from tests.runtime.economy import Laws
from tests.runtime.random_calls import Calls, as_sent
from tests.runtime.world import World, account

COLDKEYS = ("owner", "alice", "bob", "poor", "heir 0", "heir 1")
HOTKEYS = tuple(f"{coldkey}/hotkey{i}" for coldkey in COLDKEYS[:4] for i in ("", " 1"))
NETUIDS = (NetUid(0), NetUid(1), NetUid(2), NetUid(3))
MISSING = NetUid(9)
SEATS = 4

netuids = st.sampled_from([NetUid(n) for n in (2, 2, 2, 0, 0, 3, 3, 1)])
any_hotkey = st.sampled_from(HOTKEYS).map(account)
HEIRS = {"alice": "heir 0", "bob": "heir 1", "heir 0": "alice"}
amounts = st.one_of(
    st.integers(2_000_000, 10**6 * RAO_PER_TAO),
    st.integers(0, 10_000),
    st.sampled_from((2_000_000, 10**9, U64_MAX)),
)
sums = st.integers(RAO_PER_TAO // 100, 100 * RAO_PER_TAO)
calls = Calls([account(name) for name in (*COLDKEYS, *HOTKEYS)], (*NETUIDS, MISSING), amounts)


def sensible(coldkey: str) -> st.SearchStrategy[Call]:
    """Calls that move the chain, by a coldkey, with arguments that are often right."""
    own = st.sampled_from([name for name in HOTKEYS if name.startswith(coldkey)] or HOTKEYS)
    hotkey = own.map(account)
    tao, alpha = sums.map(Rao), sums.map(Alpha)
    children = st.lists(st.tuples(st.integers(0, U64_MAX // 2), any_hotkey), max_size=3)
    pair = {"origin_netuid": netuids, "destination_netuid": netuids}
    new = {"hotkey": hotkey, "new_hotkey": hotkey, "netuid": st.none() | netuids}
    return st.one_of(
        calls.one("root_register", hotkey=hotkey),
        calls.one("add_stake", hotkey=any_hotkey, netuid=netuids, amount_staked=tao),
        calls.one("add_stake", hotkey=hotkey, netuid=netuids, amount_staked=tao),
        calls.one("remove_stake", hotkey=hotkey, netuid=netuids, amount_unstaked=alpha),
        calls.one("unstake_all", hotkey=hotkey),
        calls.one("unstake_all_alpha", hotkey=any_hotkey),
        calls.one(
            "move_stake",
            origin_hotkey=hotkey,
            destination_hotkey=any_hotkey,
            alpha_amount=alpha,
            **pair,
        ),
        calls.one("transfer_stake", hotkey=hotkey, alpha_amount=alpha, **pair),
        calls.one("recycle_alpha", hotkey=hotkey, netuid=netuids, amount=alpha),
        calls.one("burn_alpha", hotkey=hotkey, netuid=netuids, amount=alpha),
        calls.one("set_children", hotkey=hotkey, netuid=netuids, children=children),
        calls.one("set_coldkey_auto_stake_hotkey", netuid=netuids, hotkey=any_hotkey),
        calls.one("swap_hotkey", **new),
        calls.one("swap_hotkey_v2", **new),
        calls.one("claim_root", subnets=st.frozensets(netuids, min_size=1)),
        calls.one("register_network", hotkey=hotkey),
        calls.one("burned_register", hotkey=hotkey, netuid=netuids),
        calls.one("start_call", netuid=netuids),
        calls.one("Balances.transfer_allow_death"),
        calls.one("Utility.batch_all", calls=st.lists(calls.any(), max_size=2)),
    )


def by(coldkey: str) -> st.SearchStrategy[tuple[str, Call]]:
    return sensible(coldkey).map(lambda call: (coldkey, call))


def upheaval(coldkey: str) -> st.SearchStrategy[tuple[str, Call]]:
    """Steps of a coldkey's swap for its heir."""
    heir = account(HEIRS[coldkey])
    announce = calls.one("announce_coldkey_swap", new_coldkey_hash=st.just(H256(blake2_256(heir))))
    swap = calls.one("swap_coldkey_announced", new_coldkey=st.just(heir))
    dispute = calls.one("dispute_coldkey_swap")
    clear = calls.one("clear_coldkey_swap_announcement")
    steps = st.one_of(announce, swap, announce, swap, announce, swap, clear, dispute)
    return steps.map(lambda call: (coldkey, call))


deeds = st.one_of([by(coldkey) for coldkey in ("alice", "bob", "owner", "bob", *COLDKEYS[3:])])
upheavals = st.one_of([upheaval(coldkey) for coldkey in HEIRS])
reforms = st.one_of(
    calls.any(),
    calls.any(),
    calls.one("swap_coldkey", new_coldkey=st.just(account("heir 1")), swap_cost=st.just(Rao(0))),
    calls.one("root_dissolve_network", netuid=netuids),
    calls.one("AdminUtils.sudo_set_subnet_emission_enabled", netuid=netuids),
    calls.one("AdminUtils.sudo_set_tempo", netuid=netuids, tempo=st.integers(1, 6)),
    calls.one("AdminUtils.sudo_set_mechanism_count", netuid=netuids),
    calls.one(
        "AdminUtils.sudo_trim_to_max_allowed_uids",
        netuid=netuids,
        max_n=st.integers(1, SEATS + 1),
    ),
)


def weights_of(row: dict[int, int]) -> dict[str, st.SearchStrategy[list[int]]]:
    return {"dests": st.just(list(row)), "weights": st.just(list(row.values()))}


rows = st.dictionaries(st.integers(0, SEATS - 1), st.integers(0, 65_535), max_size=SEATS)
reports = st.one_of(
    rows.flatmap(
        lambda row: calls.one(
            "set_weights", netuid=netuids, version_key=st.just(0), **weights_of(row)
        )
    ),
    calls.one(
        "serve_axon",
        netuid=netuids,
        ip=st.sampled_from([5, 0x7F000001]),
        port=st.integers(0, 9),
        ip_type=st.just(4),
    ),
    calls.one("Commitments.set_commitment", netuid=netuids),
    calls.any(),
)


KEYS = (blocks.ALICE, blocks.BOB, bittensor_core.Keypair.create_from_uri("//Nobody"))
SIGNED: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {
    "remark": (("System", "remark"), {"remark": b"x"}),
    "too much": (
        ("Balances", "transfer_keep_alive"),
        {"dest": blocks.BOB.ss58_address, "value": 2**60},
    ),
    "not root": (("AdminUtils", "sudo_set_tx_rate_limit"), {"tx_rate_limit": 1}),
}
"""Calls that are done, and calls that fail once they are in the block."""


class Stored:
    """The state after the last step, its keys in order: the laws look at all of it after each."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values
        self.ordered = sorted(values)

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        first = bisect.bisect_left(self.ordered, prefix)
        last = bisect.bisect_left(self.ordered, prefix + b"\xff" * 128)
        found = self.ordered[first:last]
        return [key for key in found if start is None or key > start][:count]


class Chain(RuleBasedStateMachine):
    """Two subnets that pay, some stake on them and on root; then anything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World("owner", "alice", "bob", author=account("author"))
        self.stored = Stored({})
        self.nonces: dict[AccountId, int] = {}
        self.dust = 0
        self.seen_events = 0
        self.laws = Laws(self.world.ctx, tight=False)
        self.subnets: dict[NetUid, int] = {}

    @initialize()
    def found(self) -> None:
        """Not in the constructor: what fails here is shown as a step."""
        ctx = self.world.ctx
        self.world.skip(9)
        s.NetworkMinLockCost.put(ctx, Rao(RAO_PER_TAO))
        s.NetworkLastLockCost.put(ctx, Rao(1000 * RAO_PER_TAO))
        s.NetworkLockReductionInterval.put(ctx, 1)
        s.NetworkImmunityPeriod.put(ctx, 5)
        s.SubnetLimit.put(ctx, 3)
        s.PendingChildKeyCooldown.put(ctx, 2)
        s.ColdkeySwapAnnouncementDelay.put(ctx, 1)
        s.ColdkeySwapReannouncementDelay.put(ctx, 2)
        s.AdminFreezeWindow.put(ctx, 0)
        s.OwnerHyperparamRateLimit.put(ctx, 0)
        s.TargetRegistrationsPerInterval.put(ctx, NetUid(0), 100)
        for owner in ("owner", "bob"):
            self._found_subnet(owner)
        for name in HOTKEYS[2:]:
            coldkey = name.split("/")[0]
            self.world.call(coldkey, "try_associate_hotkey", hotkey=account(name))
        for name in ("alice", "bob"):
            hotkey = {"hotkey": account(f"{name}/hotkey")}
            for netuid, tao in ((0, 50), (2, 100)):
                on, amount = NetUid(netuid), Rao(tao * RAO_PER_TAO)
                self.world.call(name, "add_stake", netuid=on, amount_staked=amount, **hotkey)
        self.world.call("alice", "burned_register", netuid=NetUid(2), hotkey=account(HOTKEYS[2]))

    def _found_subnet(self, owner: str) -> None:
        """Few seats, short epochs, no waiting, and enough of a price to pay root stakers."""
        ctx = self.world.ctx
        netuid = self.world.create_subnet(owner)
        self.world.call(owner, "start_call", netuid=netuid)
        s.Tempo.put(ctx, netuid, 3)
        s.MaxAllowedUids.put(ctx, netuid, SEATS)
        s.MinAllowedUids.put(ctx, netuid, 1)
        s.MinNonImmuneUids.put(ctx, netuid, 0)
        s.ImmunityPeriod.put(ctx, netuid, 0)
        s.BurnIncreaseMult.put(ctx, netuid, U64F64.ONE)
        s.MaxBurn.put(ctx, netuid, Rao(1_000_000))
        s.Burn.put(ctx, netuid, Rao(1_000_000))
        s.SubnetEmissionEnabled.put(ctx, netuid, True)
        s.SubnetMovingPrice.put(ctx, netuid, 1 << 32)
        s.CommitRevealWeightsEnabled.put(ctx, netuid, False)
        s.WeightsSetRateLimit.put(ctx, netuid, 0)
        s.ServingRateLimit.put(ctx, netuid, 0)

    # Steps

    def store(self) -> None:
        """End a step: what was written becomes the state that the next one starts from."""
        block = self.world.block
        values = dict(self.stored.values)
        for key, value in block.state.changes().items():
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
        self.stored = Stored(values)
        block.state = self.world.ctx.state = State(self.stored)

    def attempt(self, who: str | Origin, call: Call) -> None:
        """Dispatch as the chain would, and see that a refusal leaves nothing behind."""
        block, ctx = self.world.block, self.world.ctx
        origin = who if isinstance(who, Origin) else signed(account(who))
        if origin.account is not None:
            system.inc_nonce(ctx, origin.account)
            self.nonces[origin.account] = self.nonces.get(origin.account, 0) + 1
        self.store()
        events = len(block.events)
        try:
            dispatch(ctx.as_origin(origin), as_sent(call))
        except DispatchError as error:
            event(f"{call.name}: {type(error).__name__}")
            assert not block.state.changes()
            assert len(block.events) == events
        else:
            event(f"{call.name}: done")
            for _, happened in block.events[events:]:
                PALLETS.encode_event(happened)
        self.store()

    @rule(blocks=st.integers(1, 4), salt=st.integers(0, 255), pause=st.sampled_from((0, 0, 0, 150)))
    def wait(self, blocks: int, salt: int, pause: int) -> None:
        """A pause is long enough for what may be done only now and then."""
        self.world.block.parent_hash = blake2_256(bytes([salt]))
        s.RegistrationsThisBlock.put(self.world.ctx, NetUid(0), 0)
        self.world.skip(pause)
        self.world.advance(blocks)
        self.store()

    @rule(who=st.sampled_from(COLDKEYS), heir=st.sampled_from(COLDKEYS), left=st.integers(0, 600))
    def give_nearly_all(self, who: str, heir: str, left: int) -> None:
        """Less than the existential deposit is lost with the account."""
        held = int(balances.free(self.world.ctx, account(who)))
        args = {"dest": Tagged("Id", account(heir)), "value": Rao(max(held - left, 0))}
        self.attempt(who, Call("Balances", "transfer_allow_death", args))

    @rule(deed=deeds)
    def act(self, deed: tuple[str, Call]) -> None:
        self.attempt(*deed)

    @rule(deed=deeds)
    def act_again(self, deed: tuple[str, Call]) -> None:
        self.attempt(*deed)

    @rule(hotkey=st.sampled_from(HOTKEYS), call=reports)
    def report(self, hotkey: str, call: Call) -> None:
        self.attempt(hotkey, call)

    @rule(call=reforms)
    def reform(self, call: Call) -> None:
        self.attempt(ROOT, call)

    @rule(deed=upheavals | st.tuples(st.sampled_from(COLDKEYS), calls.any()))
    def upset(self, deed: tuple[str, Call]) -> None:
        self.attempt(*deed)

    # Laws

    @invariant()
    def tao_is_conserved(self) -> None:
        """What accounts hold is what both pallets count, but for dust that only one writes off."""
        ctx = self.world.ctx
        events = self.world.block.events
        for _, happened in events[self.seen_events :]:
            if isinstance(happened, balances.DustLost):
                self.dust += int(happened.amount)
        self.seen_events = len(events)
        held = sum(int(info.data.free) for _, info in system.Account.items(ctx))
        assert held == int(balances.TotalIssuance.get(ctx))
        assert held == int(s.TotalIssuance.get(ctx)) - self.dust

    @invariant()
    def alpha_is_accounted_for(self) -> None:
        """Of a subnet that is new, or came anew under the same number, nothing is remembered."""
        ctx = self.world.ctx
        subnets = {n: s.RegisteredSubnetCounter.get(ctx, n) for n, _ in s.NetworksAdded.items(ctx)}
        if subnets != self.subnets:
            self.subnets = subnets
            self.laws = Laws(ctx, tight=False)
        for netuid in subnets:
            self.laws.pool_is_backed(netuid)
            self.laws.stakes_are_shared_out(netuid)
            if netuid:
                self.laws.alpha_is_conserved(netuid)

    @invariant()
    def stakes_sum_to_pools(self) -> None:
        ctx = self.world.ctx
        root = NetUid(0)
        assert int(s.SubnetTAO.get(ctx, root)) == int(s.TotalAlphaStaked.get(ctx, root))
        assert sum(int(tao) for _, tao in s.SubnetTAO.items(ctx)) <= int(s.TotalStake.get(ctx))

    @invariant()
    def subnets_are_counted(self) -> None:
        ctx = self.world.ctx
        netuids = {netuid for netuid, _ in s.NetworksAdded.items(ctx)}
        assert s.TotalNetworks.get(ctx) == len(netuids)
        assert {netuid for netuid, _ in s.SubnetOwner.items(ctx)} == netuids - {NetUid(0)}
        assert {netuid for netuid, _ in s.Tempo.items(ctx)} == netuids

    @invariant()
    def seats_are_dense(self) -> None:
        self.world.check_seats()

    @invariant()
    def hotkeys_have_one_owner(self) -> None:
        self.world.check_owners()

    @invariant()
    def whoever_holds_stake_lists_the_hotkey(self) -> None:
        ctx = self.world.ctx
        for (hotkey, coldkey, _), _ in s.AlphaV2.items(ctx):
            assert hotkey in s.StakingHotkeys.get(ctx, coldkey)

    @invariant()
    def children_and_parents_agree(self) -> None:
        ctx = self.world.ctx
        edges = set()
        for (parent, netuid), listed in s.ChildKeys.items(ctx):
            assert sum(proportion for proportion, _ in listed) <= U64_MAX
            edges |= {(netuid, parent, child, proportion) for proportion, child in listed}
            assert len({child for _, child in listed}) == len(listed) > 0
        back = set()
        for (child, netuid), listed in s.ParentKeys.items(ctx):
            back |= {(netuid, parent, child, proportion) for proportion, parent in listed}
            assert len({parent for _, parent in listed}) == len(listed) > 0
        assert edges == back
        pairs = {(netuid, parent, child) for netuid, parent, child, _ in edges}
        assert not {(netuid, child, parent) for netuid, parent, child in pairs} & pairs

    @invariant()
    def auto_stake_lists_agree(self) -> None:
        ctx = self.world.ctx
        chosen = {(*key, hotkey) for key, hotkey in s.AutoStakeDestination.items(ctx)}
        listed = [
            (coldkey, netuid, hotkey)
            for (hotkey, netuid), coldkeys in s.AutoStakeDestinationColdkeys.items(ctx)
            for coldkey in coldkeys
        ]
        assert len(listed) == len(set(listed))
        assert chosen == set(listed)

    @invariant()
    def root_stakers_are_listed_densely(self) -> None:
        ctx = self.world.ctx
        by_index = dict(s.StakingColdkeysByIndex.items(ctx))
        assert sorted(by_index) == list(range(s.NumStakingColdkeys.get(ctx)))
        assert {who: i for i, who in by_index.items()} == dict(s.StakingColdkeys.items(ctx))

    @invariant()
    def weights_speak_of_seats(self) -> None:
        self.world.check_weights()

    @invariant()
    def nonces_only_grow(self) -> None:
        """By one for each call, whatever becomes of the balance."""
        for who, nonce in self.nonces.items():
            assert system.Account.get(self.world.ctx, who).nonce == nonce


class Extrinsics(RuleBasedStateMachine):
    """Signed extrinsics with nonces right and wrong, several in a block."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = blocks.Chain.fresh()

    @rule(
        senders=st.lists(st.sampled_from((0, 1, 2)), max_size=4),
        shifts=st.lists(st.sampled_from((0, 0, 0, 1, -1, 2)), min_size=4, max_size=4),
        names=st.lists(st.sampled_from(sorted(SIGNED)), min_size=4, max_size=4),
    )
    def build(self, senders: list[int], shifts: list[int], names: list[str]) -> None:
        """A block takes each sender's next nonce and no other; what it leaves out did nothing.

        That is, without those candidates it would be the same block.
        """
        before = [self.nonce(key) for key in KEYS]
        expected = list(before)
        candidates = []
        for sender, shift, name in zip(senders, shifts, names, strict=False):
            nonce = max(expected[sender] + shift, 0)
            call = self.chain.call(*SIGNED[name][0], **SIGNED[name][1])
            raw = self.chain.sign(KEYS[sender], call, nonce=nonce)
            fits = nonce == expected[sender] and sender != 2  # the third has nothing to pay with
            expected[sender] += fits
            candidates.append((raw, fits))
        state, head = dict(self.chain.state.values), self.chain.head
        built = self.chain.block(*(raw for raw, _ in candidates))
        included = [raw for raw, fits in candidates if fits]
        assert list(built.extrinsics[1:]) == included
        assert [raw for raw, _ in built.rejected] == [raw for raw, fits in candidates if not fits]
        assert [self.nonce(key) for key in KEYS] == expected
        alone = self.chain.engine.build_block(
            blocks.DictState(state), head, included, 1_000 + head.number * 250
        )
        assert alone.changes == built.changes and alone.hash == built.hash

    def nonce(self, key: Any) -> int:
        return system.Account.get(self.chain.ctx(), blocks.account(key)).nonce


TestLaws = Chain.TestCase
TestLaws.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


TestExtrinsics = Extrinsics.TestCase
TestExtrinsics.settings = settings(max_examples=30, stateful_step_count=10, deadline=None)


@pytest.mark.slow
class TestLawsForLong(Chain.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(
        max_examples=300,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
