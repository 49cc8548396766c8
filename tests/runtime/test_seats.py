"""The laws of seats under random calls: dense uids, one seat a hotkey, no trace of a refusal."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chain.errors import DispatchError
from chain.runtime.fixed import U64F64
from chain.runtime.frame import ROOT, Origin
from chain.runtime.pallets.subtensor import storage as s
from chain.types import Alpha, NetUid, Rao
from tests.runtime.world import World, account

COLDKEYS = ("owner", "alice", "bob", "poor")
HOTKEYS = tuple(f"hotkey {i}" for i in range(7))
NETUIDS = (NetUid(0), NetUid(1), NetUid(2), NetUid(9))
coldkeys = st.sampled_from(COLDKEYS)
hotkeys = st.sampled_from(HOTKEYS)
netuids = st.sampled_from(NETUIDS)


class Seats(RuleBasedStateMachine):
    """Subnet 2 has four seats and no immunity; nobody waits for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World("owner", "alice", "bob", author=account("author"))
        self.world.skip(9)
        self.netuid = self.world.create_subnet()
        ctx = self.world.ctx
        s.MaxAllowedUids.put(ctx, self.netuid, 4)
        s.MinAllowedUids.put(ctx, self.netuid, 1)
        s.MinNonImmuneUids.put(ctx, self.netuid, 0)
        s.ImmunityPeriod.put(ctx, self.netuid, 0)
        s.BurnIncreaseMult.put(ctx, self.netuid, U64F64.ONE)
        s.MaxBurn.put(ctx, self.netuid, Rao(1_000_000))
        s.Burn.put(ctx, self.netuid, Rao(1_000_000))
        s.CommitRevealWeightsEnabled.put(ctx, self.netuid, False)
        s.WeightsSetRateLimit.put(ctx, self.netuid, 0)

    def attempt(self, who: str | Origin, call: str, **args: Any) -> None:
        state, events = dict(self.world.block.state.changes()), len(self.world.block.events)
        try:
            self.world.call(who, call, **args)
        except DispatchError:
            assert self.world.block.state.changes() == state
            assert len(self.world.block.events) == events

    @rule(blocks=st.integers(1, 5))
    def wait(self, blocks: int) -> None:
        self.world.skip(blocks)

    @rule(coldkey=coldkeys, netuid=netuids, hotkey=hotkeys)
    def register(self, coldkey: str, netuid: NetUid, hotkey: str) -> None:
        self.attempt(coldkey, "burned_register", netuid=netuid, hotkey=account(hotkey))

    @rule(coldkey=coldkeys, hotkey=hotkeys)
    def register_on_root(self, coldkey: str, hotkey: str) -> None:
        s.RegistrationsThisBlock.put(self.world.ctx, NetUid(0), 0)
        self.attempt(coldkey, "root_register", hotkey=account(hotkey))

    @rule(coldkey=coldkeys, hotkey=hotkeys)
    def associate(self, coldkey: str, hotkey: str) -> None:
        self.attempt(coldkey, "try_associate_hotkey", hotkey=account(hotkey))

    @rule(hotkey=hotkeys, port=st.integers(0, 2), ip=st.sampled_from([0, 5, 0x7F000001]))
    def serve(self, hotkey: str, port: int, ip: int) -> None:
        where = {"version": 1, "ip": ip, "port": port, "ip_type": 4}
        rest = {"protocol": 4, "placeholder1": 0, "placeholder2": 0}
        self.attempt(hotkey, "serve_axon", netuid=self.netuid, **where, **rest)

    @rule(
        hotkey=st.one_of(hotkeys, st.just("owner/hotkey")),
        row=st.dictionaries(st.integers(0, 4), st.integers(0, 65535), max_size=5),
    )
    def weigh(self, hotkey: str, row: dict[int, int]) -> None:
        values = list(row.values())
        args = {"netuid": self.netuid, "dests": list(row), "weights": values}
        self.attempt(hotkey, "set_weights", version_key=0, **args)

    @rule(pay=st.lists(st.integers(0, 3), min_size=9, max_size=9))
    def earn(self, pay: list[int]) -> None:
        n = s.SubnetworkN.get(self.world.ctx, self.netuid)
        s.Emission.put(self.world.ctx, self.netuid, [Alpha(e) for e in pay[:n]])

    @rule(seats=st.integers(0, 5))
    def trim(self, seats: int) -> None:
        call = "AdminUtils.sudo_trim_to_max_allowed_uids"
        self.attempt(ROOT, call, netuid=self.netuid, max_n=seats)

    @rule(seats=st.integers(0, 6))
    def resize(self, seats: int) -> None:
        call = "AdminUtils.sudo_set_max_allowed_uids"
        self.attempt(ROOT, call, netuid=self.netuid, max_allowed_uids=seats)

    @invariant()
    def seats_are_dense(self) -> None:
        self.world.check_seats()

    @invariant()
    def issuance_is_kept(self) -> None:
        self.world.check_issuance()

    @invariant()
    def the_owner_keeps_its_seat(self) -> None:
        assert s.Uids.contains(self.world.ctx, self.netuid, account("owner/hotkey"))

    @invariant()
    def hotkeys_have_one_owner(self) -> None:
        self.world.check_owners()

    @invariant()
    def weights_speak_of_seats(self) -> None:
        self.world.check_weights()


TestSeats = Seats.TestCase
TestSeats.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
