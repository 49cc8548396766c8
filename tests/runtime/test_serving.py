"""Serving: which addresses the chain takes, from whom, and how often."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from chain.runtime.frame import ROOT
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import AxonInfo, NeuronCertificate, PrometheusInfo
from chain.types import NetUid
from tests.runtime.world import World, account

NETUID = NetUid(2)
MINER = account("miner")


@pytest.fixture
def world() -> World:
    world = World("owner")
    world.skip(9)
    world.create_subnet()
    world.register(NETUID, "miner")
    return world


def axon(ip: str | int = "127.0.0.2", port: int = 8091, **other: Any) -> dict[str, Any]:
    address = ipaddress.ip_address(ip) if isinstance(ip, str) else None
    return {
        "netuid": NETUID,
        "version": 1,
        "ip": ip if address is None else int(address),
        "port": port,
        "ip_type": 4 if address is None else address.version,
        "protocol": 4,
        "placeholder1": 1,
        "placeholder2": 2,
        **other,
    }


def prometheus(**other: Any) -> dict[str, Any]:
    args = axon(**other)
    return {name: args[name] for name in ("netuid", "version", "ip", "port", "ip_type")}


def test_an_axon_is_published(world: World) -> None:
    events = world.call("miner", "serve_axon", **axon("1.2.3.4"))
    assert events == [ev.AxonServed(NETUID, MINER)]
    assert s.Axons.get(world.ctx, NETUID, MINER) == AxonInfo(10, 1, 0x01020304, 8091, 4, 4, 1, 2)


@pytest.mark.parametrize("ip", ["127.0.0.2", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1"])
def test_addresses_taken(world: World, ip: str) -> None:
    world.guard(None, "miner", "serve_axon", **axon(ip))
    world.call("miner", "serve_axon", **axon(ip))


@pytest.mark.parametrize("ip", ["127.0.0.1", "255.255.255.255", "::1", "ff" * 2 + ":ffff" * 7])
def test_addresses_refused(world: World, ip: str) -> None:
    world.refuse("InvalidIpAddress", "miner", "serve_axon", **axon(ip))
    world.guard("InvalidIpAddress", "miner", "serve_axon", **axon(ip))
    world.refuse("InvalidIpAddress", "miner", "serve_prometheus", **prometheus(ip=ip))


def test_axon_refusals_in_order(world: World) -> None:
    serve = "serve_axon"
    bad: dict[str, Any] = {"ip": 1 << 40, "ip_type": 5, "port": 0}
    world.refuse("BadOrigin", ROOT, serve, **axon())
    world.refuse("HotKeyNotRegisteredInNetwork", "other", serve, **axon(**bad))
    world.refuse("InvalidIpType", "miner", serve, **axon(**bad))
    world.refuse("InvalidIpAddress", "miner", serve, **axon(**{**bad, "ip_type": 4}))
    world.call("miner", serve, **axon())
    world.skip(49)
    world.refuse("ServingRateLimitExceeded", "miner", serve, **axon(port=0))
    world.guard("ServingRateLimitExceeded", "miner", serve, **axon())
    world.skip(1)
    world.refuse("InvalidPort", "miner", serve, **axon(port=0))
    world.call("miner", serve, **axon(port=1))


def test_no_limit_means_no_wait(world: World) -> None:
    s.ServingRateLimit.put(world.ctx, NETUID, 0)
    world.call("miner", "serve_axon", **axon(port=1))
    world.call("miner", "serve_axon", **axon(port=2))
    assert s.Axons.get(world.ctx, NETUID, MINER).port == 2


@pytest.mark.parametrize(
    ("certificate", "stored"),
    [
        (b"\x01" + b"k" * 64, NeuronCertificate(b"k" * 64, 1)),
        (b"\x07", NeuronCertificate(b"", 7)),
        (b"\x01" + b"k" * 65, None),
        (b"", None),
    ],
)
def test_certificates(world: World, certificate: bytes, stored: NeuronCertificate | None) -> None:
    events = world.call("miner", "serve_axon_tls", **axon(), certificate=certificate)
    assert events == [ev.AxonServed(NETUID, MINER)]
    assert s.Axons.get(world.ctx, NETUID, MINER).port == 8091
    assert s.NeuronCertificates.find(world.ctx, NETUID, MINER) == stored


def test_metrics_are_published(world: World) -> None:
    events = world.call("miner", "serve_prometheus", **prometheus(ip="1.2.3.4"))
    assert events == [ev.PrometheusServed(NETUID, MINER)]
    expected = PrometheusInfo(10, 1, 0x01020304, 8091, 4)
    assert s.Prometheus.get(world.ctx, NETUID, MINER) == expected


def test_prometheus_refusals_in_order(world: World) -> None:
    serve = "serve_prometheus"
    world.refuse("InvalidIpType", "other", serve, **prometheus(ip=0, ip_type=0, port=0))
    world.refuse("InvalidIpAddress", "other", serve, **prometheus(ip=0, port=0))
    world.refuse("HotKeyNotRegisteredInNetwork", "other", serve, **prometheus(port=0))
    world.call("miner", serve, **prometheus())
    world.refuse("ServingRateLimitExceeded", "miner", serve, **prometheus(port=0))
    world.skip(50)
    world.refuse("InvalidPort", "miner", serve, **prometheus(port=0))
    world.guard("InvalidPort", "miner", serve, **prometheus(port=0))
