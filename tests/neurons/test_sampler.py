"""Who is asked, and in which order."""

from __future__ import annotations

import dataclasses
from collections import Counter

from chain.client.metagraph import Neuron
from chain.types import Alpha
from validators.sampler import sample


def seat(uid: int, *, permit: bool = False, host: str | None = "10.0.0.1") -> Neuron:
    return Neuron(
        uid=uid,
        hotkey=f"hotkey-{uid}",
        coldkey=f"coldkey-{uid}",
        active=True,
        permit=permit,
        stake=Alpha(0),
        alpha=Alpha(0),
        consensus=0,
        incentive=0,
        dividends=0,
        emission=Alpha(0),
        last_update=0,
        registered_at=0,
        host=host,
        port=None if host is None else 8000 + uid,
    )


def test_whoever_published_a_key_is_asked_with_it() -> None:
    keyed = dataclasses.replace(seat(1), tls_key=b"\1" + bytes(32))
    targets = sample([seat(0), keyed], asker="nobody", seed=b"s")
    assert {t.uid: t.tls_key for t in targets} == {0: None, 1: keyed.tls_key}


def test_everybody_with_an_axon_but_the_asker() -> None:
    neurons = [seat(0), seat(1, permit=True), seat(2, host=None), seat(3)]
    targets = sample(neurons, asker="hotkey-3", seed=b"s")
    assert {(t.uid, t.hotkey, t.port) for t in targets} == {
        (0, "hotkey-0", 8000),
        (1, "hotkey-1", 8001),
    }


def test_the_seed_alone_decides_the_order() -> None:
    neurons = [seat(uid) for uid in range(20)]
    first = sample(neurons, asker="nobody", seed=b"a")
    assert first == sample(reversed(neurons), asker="nobody", seed=b"a")
    assert first != sample(neurons, asker="nobody", seed=b"b")


def test_no_uid_is_favoured() -> None:
    neurons = [seat(uid) for uid in range(5)]
    firsts = Counter(
        sample(neurons, asker="", seed=n.to_bytes(2, "big"))[0].uid for n in range(1000)
    )
    assert set(firsts) == set(range(5))
    assert min(firsts.values()) > 140


def test_nobody_to_ask() -> None:
    assert sample([], asker="x", seed=b"s") == ()
