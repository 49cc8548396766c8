"""Buckets and places, and that they stay small."""

from __future__ import annotations

import pytest

from subnet.wire.limits import Limits, RateLimiter, Slots, address_key


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_and_refills() -> None:
    clock = Seconds()
    limiter = RateLimiter(2.0, 3, clock=clock)
    assert [limiter.take("a") for _ in range(4)] == [True, True, True, False]
    assert limiter.take("b")
    clock.now += 0.5
    assert [limiter.take("a") for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [limiter.take("a") for _ in range(4)] == [True, True, True, False]


def test_buckets_are_bounded() -> None:
    limiter = RateLimiter(1.0, 1, keys=10, clock=Seconds())
    for index in range(1000):
        assert limiter.take(str(index))
    assert len(limiter._buckets) == 10
    assert not limiter.take("999")


def test_places_are_counted_for_all_and_for_each() -> None:
    slots = Slots(3, 2)
    assert [slots.take("a") for _ in range(3)] == [True, True, False]
    assert [slots.take("b") for _ in range(2)] == [True, False]
    assert slots.full
    slots.give("a")
    assert slots.take("b")
    for key in ("a", "b", "b"):
        slots.give(key)
    assert slots.taken == 0
    assert not slots._held


def test_one_ipv6_customer_is_one_address() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1:2")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") == "192.0.2.1"
    assert address_key("fe80::1%eth0") == address_key("fe80::2%eth0")
    assert address_key("") == ""


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="body_bytes"):
        Limits(body_bytes=0)
