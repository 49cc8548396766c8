"""The pool: order, nonce gaps, replacement, age, limits; and its laws under random play."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.devnet.clock import ChainClock
from chain.devnet.engine import BuiltBlock, StateReader
from chain.devnet.node import genesis_block
from chain.devnet.pool import AlreadyImported, Limits, Pool, PoolFull, PriorityTooLow, Status
from chain.devnet.store import Block, Store
from chain.errors import InvalidTransaction
from chain.types import blake2_256
from tests.devnet.tiny import FOREVER, TinyEngine, Write, extrinsic, nonce_of

A, B, C = (bytes([letter]) * 32 for letter in b"abc")


class World:
    """A chain, a pool, and what the pool said of each extrinsic."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.engine = TinyEngine()
        genesis = self.engine.genesis()
        self.store = Store.open(genesis_block(self.engine, genesis), genesis)
        self.told: dict[bytes, list[str]] = {}
        self.pool = Pool(self.engine, self._tell, limits)
        self.clock = ChainClock()

    def _tell(self, digest: bytes, status: Status) -> None:
        self.told.setdefault(digest, []).append(status.name)

    @property
    def state(self) -> StateReader:
        return self.store.state(self.store.head)

    def submit(self, *args: Any, **options: Any) -> bytes:
        raw = extrinsic(*args, **options)
        self.pool.submit(raw, self.state, self.store.head.header)
        return raw

    def build(self, extrinsics: list[bytes]) -> BuiltBlock:
        """A block of exactly these, whatever the pool holds."""
        head = self.store.head
        return self.engine.build_block(self.state, head.header, extrinsics, head.timestamp_ms + 1)

    def settle(self, built: BuiltBlock) -> None:
        block = Block(built.header, built.hash, built.extrinsics, 0)
        self.store.append(block, built.changes)
        hashes = [blake2_256(raw) for raw in built.extrinsics]
        self.pool.settle(hashes, built.rejected, self.state, built.header)

    def mine(self) -> None:
        self.settle(self.build(self.pool.candidates(1000)))

    def last(self, raw: bytes) -> str:
        return self.told[blake2_256(raw)][-1]


def test_higher_priority_first_then_who_came_first_and_nobody_before_his_own() -> None:
    world = World()
    a1 = world.submit(A, 1, priority=9)
    a0 = world.submit(A, 0, priority=1)
    b0 = world.submit(B, 0, priority=5)
    c0 = world.submit(C, 0, priority=5)
    assert world.pool.candidates(10) == [b0, c0, a0, a1]
    assert world.pool.candidates(2) == [b0, c0]
    assert world.pool.pending() == [a1, a0, b0, c0]


def test_a_nonce_gap_waits_and_closes() -> None:
    world = World()
    a2 = world.submit(A, 2)
    a1 = world.submit(A, 1)
    assert (world.pool.candidates(9), world.last(a1), world.last(a2)) == ([], "future", "future")
    a0 = world.submit(A, 0)
    assert world.pool.candidates(9) == [a0, a1, a2]
    assert world.last(a2) == "ready"
    world.mine()
    assert nonce_of(world.state, A) == 3
    assert len(world.pool) == 0


def test_a_gap_closed_by_an_extrinsic_the_pool_never_saw() -> None:
    # So does a shielded one: it comes out of its carrier while the block is built.
    world = World()
    a1 = world.submit(A, 1)
    world.settle(world.build([extrinsic(A, 0)]))
    assert world.pool.candidates(9) == [a1]


def test_a_nonce_used_up_by_another_extrinsic_is_invalid() -> None:
    world = World()
    ours, next_one = world.submit(A, 0), world.submit(A, 1)
    world.settle(world.build([extrinsic(A, 0, b"other")]))
    assert world.last(ours) == "invalid"
    assert world.pool.candidates(9) == [next_one]


def test_the_same_again_and_the_same_place() -> None:
    world = World()
    a0 = world.submit(A, 0, priority=3)
    a1 = world.submit(A, 1)
    with pytest.raises(AlreadyImported) as imported:
        world.submit(A, 0, priority=3)
    assert imported.value.extrinsic_hash == blake2_256(a0)
    with pytest.raises(PriorityTooLow) as low:
        world.submit(A, 0, b"other", priority=3)
    assert (low.value.priority, low.value.held) == (3, 3)
    better = world.submit(A, 0, b"other", priority=4)
    assert world.last(a0) == "usurped"
    assert world.pool.candidates(9) == [better, a1]
    world.mine()
    with pytest.raises(InvalidTransaction):
        world.submit(A, 0, priority=9)


def test_whoever_waits_for_an_invalid_one_goes_back_to_the_future() -> None:
    world = World()
    a0 = world.submit(A, 0, dies=3)
    a1 = world.submit(A, 1)
    world.settle(world.build([]))
    assert world.pool.candidates(9) == [a0, a1]
    world.settle(world.build([]))
    assert (world.last(a0), world.last(a1)) == ("invalid", "future")
    assert world.pool.candidates(9) == []
    a0 = world.submit(A, 0)
    assert world.pool.candidates(9) == [a0, a1]
    a2 = world.submit(A, 2)
    world.pool.drop_invalid(a0)
    assert [world.last(raw) for raw in (a0, a1, a2)] == ["invalid", "future", "future"]
    assert world.pool.candidates(9) == []


def test_old_age_is_noticed_in_all_however_many_there_are() -> None:
    world = World()
    crowd = [world.submit(bytes([n]) * 32, 0, b"huge", dies=2) for n in range(200)]
    world.mine()
    assert {world.last(raw) for raw in crowd} == {"invalid"}
    assert len(world.pool) == 0


def test_what_does_not_fit_stays_and_what_is_bad_goes() -> None:
    world = World()
    huge = world.submit(A, 0, b"huge")
    behind = world.submit(A, 1)
    fine = world.submit(B, 0)
    world.mine()
    assert world.pool.candidates(9) == [huge, behind]
    assert world.store.head.extrinsics[1:] == (fine,)


def test_the_pool_is_bounded() -> None:
    world = World(Limits(ready=2, future=1, bytes=10_000))
    world.submit(A, 0)
    world.submit(A, 5)
    with pytest.raises(PoolFull, match="1 future"):
        world.submit(A, 6)
    b0 = world.submit(B, 0)
    with pytest.raises(PoolFull, match="2 ready"):
        world.submit(C, 0)
    world.submit(B, 0, b"better", priority=1)  # takes a place that is given up for it
    assert world.last(b0) == "usurped"
    world.mine()
    with pytest.raises(PoolFull, match="10000 bytes"):
        world.submit(C, 0, b"k", bytes(10_000))
    world.submit(C, 0)


def test_a_cleared_pool_tells_everyone() -> None:
    world = World()
    both = [world.submit(A, 0), world.submit(A, 7)]
    world.pool.clear()
    assert [world.last(raw) for raw in both] == ["dropped", "dropped"]
    world.submit(A, 0)
    assert len(world.pool) == 1


class Play(RuleBasedStateMachine):
    """Random submissions and blocks, ours and strangers'."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Limits(ready=12, future=6))

    @rule(
        account=st.sampled_from((A, B)),
        ahead=st.integers(-1, 4),
        priority=st.integers(0, 3),
        life=st.integers(1, 6) | st.none(),
        key=st.sampled_from((b"x", b"y", b"huge", b"poor")),
    )
    def submit(
        self, account: bytes, ahead: int, priority: int, life: int | None, key: bytes
    ) -> None:
        world = self.world
        nonce = max(nonce_of(world.state, account) + ahead, 0)
        dies = FOREVER if life is None else world.store.head.number + life
        try:
            raw = world.submit(account, nonce, key, priority=priority, dies=dies)
        except (InvalidTransaction, AlreadyImported, PriorityTooLow, PoolFull):
            return
        assert world.last(raw) in ("ready", "future")

    @rule()
    def mine(self) -> None:
        self.world.mine()

    @rule(account=st.sampled_from((A, B)), count=st.integers(1, 3))
    def a_block_of_strangers(self, account: bytes, count: int) -> None:
        nonce = nonce_of(self.world.state, account)
        self.world.settle(
            self.world.build([extrinsic(account, nonce + i, b"s") for i in range(count)])
        )

    @precondition(lambda self: self.world.pool.ready_count)
    @rule(data=st.data())
    def one_turns_bad(self, data: st.DataObject) -> None:
        self.world.pool.drop_invalid(data.draw(st.sampled_from(self.world.pool.pending())))

    @invariant()
    def every_candidate_can_go_in(self) -> None:
        world = self.world
        candidates = world.pool.candidates(100)
        assert len(candidates) == world.pool.ready_count <= 12
        fitting = [raw for raw in candidates if Write.parse(raw).key != b"huge"]
        accounts_held_up = {
            Write.parse(raw).account for raw in candidates if Write.parse(raw).key == b"huge"
        }
        built = world.build(fitting)
        for raw, error in built.rejected:
            assert error.kind == "Future"
            assert Write.parse(raw).account in accounts_held_up

    @invariant()
    def one_extrinsic_a_place(self) -> None:
        writes = [Write.parse(raw) for raw in self.world.pool.pending()]
        places = [(write.account, write.nonce) for write in writes]
        assert len(set(places)) == len(places)

    @invariant()
    def what_was_said_last_is_true(self) -> None:
        world = self.world
        ready = {blake2_256(raw) for raw in world.pool.pending()}
        for digest, said in world.told.items():
            if digest in ready:
                assert said[-1] == "ready"
            elif digest in world.pool:
                assert said[-1] == "future"

    @invariant()
    def the_pool_forgets_what_it_does_not_hold(self) -> None:
        if not len(self.world.pool):
            pool: Any = self.world.pool
            assert not (pool._ready or pool._provider or pool._waiting or pool._bytes)


Play.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPlay = Play.TestCase
