"""Nonce sources and the set of nonces seen."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from subnet.wire.auth import MAX_AGE_NS, MAX_AHEAD_NS
from subnet.wire.nonce import NonceSource, ReplaySet
from tests.wire.world import NOW, SECOND, FakeClock


def test_nonces_grow_in_one_nanosecond() -> None:
    source = NonceSource(FakeClock())
    assert [source.next() for _ in range(3)] == [NOW, NOW + 1, NOW + 2]


def test_nonces_grow_over_a_small_step_back_of_the_clock() -> None:
    clock = FakeClock()
    source = NonceSource(clock)
    source.next()
    clock.now -= SECOND
    assert source.next() == NOW + 1


def test_nonces_follow_the_clock_after_a_large_step_back() -> None:
    clock = FakeClock()
    source = NonceSource(clock)
    source.next()
    clock.now -= 3600 * SECOND
    assert source.next() == clock.now
    assert source.next() == clock.now + 1


async def test_a_nonce_is_accepted_once() -> None:
    seen = ReplaySet()
    assert await seen.claim("a", NOW, NOW)
    assert not await seen.claim("a", NOW, NOW)
    assert await seen.claim("b", NOW, NOW)


async def test_requests_that_overtake_each_other_are_all_accepted() -> None:
    nonces = list(range(NOW, NOW + 1000))
    random.Random(7).shuffle(nonces)
    seen = ReplaySet()
    for now in (NOW, NOW + 5 * SECOND):
        accepted = [await seen.claim("a", now - NOW + nonce - SECOND, now) for nonce in nonces]
        assert all(accepted)
    assert not any([await seen.claim("a", nonce - SECOND, NOW) for nonce in nonces])


async def test_old_nonces_are_forgotten() -> None:
    seen = ReplaySet()
    for step in range(10_000):
        now = NOW + step * SECOND // 10
        assert await seen.claim("a", now, now)
        assert len(seen) <= 101


async def test_the_replayer_who_waits_for_the_clock_to_be_set_back_is_refused() -> None:
    seen = ReplaySet()
    assert await seen.claim("a", NOW, NOW)
    later = NOW + 3600 * SECOND
    assert await seen.claim("a", later, later)
    assert not await seen.claim("a", NOW, NOW)


async def test_the_replayer_across_a_restart_is_refused() -> None:
    seen = ReplaySet(floor_ns=NOW)
    assert not await seen.claim("a", NOW, NOW + 1)
    assert await seen.claim("a", NOW + 1, NOW + 1)


async def test_the_flooder_with_a_permit_pushes_out_only_its_own_nonces() -> None:
    seen = ReplaySet(per_key=100)
    assert await seen.claim("honest", NOW - SECOND, NOW)
    for nonce in range(NOW, NOW + 1000):
        assert await seen.claim("flooder", nonce, NOW)
    assert len(seen) == 101
    assert not any([await seen.claim("flooder", nonce, NOW) for nonce in range(NOW, NOW + 1000)])
    assert await seen.claim("honest", NOW - SECOND + 1, NOW)


async def test_many_keys_fail_closed_in_bounded_memory() -> None:
    seen = ReplaySet(keys=50)
    for index in range(1000):
        assert await seen.claim(f"key {index}", NOW + index, NOW)
    assert len(seen) == 50
    for index in range(1000):
        assert not await seen.claim(f"key {index}", NOW + index, NOW)


async def test_the_hotkey_unheard_of_longest_is_forgotten_first() -> None:
    seen = ReplaySet(keys=2)
    assert await seen.claim("a", NOW, NOW)
    assert await seen.claim("b", NOW + 1, NOW)
    assert await seen.claim("a", NOW + 5, NOW)
    assert await seen.claim("c", NOW + 6, NOW)  # b goes, and leaves its floor
    assert await seen.claim("a", NOW + 2, NOW)
    assert not await seen.claim("c", NOW + 1, NOW)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(-12, 4),
            st.sampled_from([-30, -5, -1, 0, 0, 0, 1, 5, 30]),
        )
    )
)
async def test_no_order_of_requests_and_clock_steps_lets_a_nonce_in_twice(
    moves: list[tuple[str, int, int]],
) -> None:
    seen = ReplaySet(per_key=3, keys=2)
    accepted = set()
    now = NOW
    for key, offset, step in moves:
        now += step * SECOND
        nonce = now + offset * SECOND
        fresh = now - MAX_AGE_NS <= nonce <= now + MAX_AHEAD_NS
        if fresh and await seen.claim(key, nonce, now):
            assert (key, nonce) not in accepted
            accepted.add((key, nonce))
