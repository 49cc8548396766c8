"""Where neurons can be reached: axons, their TLS certificates, and metrics.

The chain keeps addresses and checks their form, not that anybody listens. It refuses the loopback
addresses 127.0.0.1 and ::1, and no other private ones.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from chain.runtime.frame import Call, Ctx, ensure, ensure_signed
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import ratelimits
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.runtime.pallets.subtensor.records import AxonInfo, NeuronCertificate, PrometheusInfo
from chain.scale import U8, U16, U32, U128
from chain.types import AccountId, NetUid

MAX_PUBLIC_KEY = 64  # bytes
_ADDRESS_BITS = {4: 32, 6: 128}
_LOOPBACK = {
    4: int(ipaddress.IPv4Address("127.0.0.1")),
    6: int(ipaddress.IPv6Address("::1")),
}


@pallet.call(4, pays=False)
def serve_axon(
    ctx: Ctx,
    netuid: NetUid,
    version: U32,
    ip: U128,
    port: U16,
    ip_type: U8,
    protocol: U8,
    placeholder1: U8,
    placeholder2: U8,
) -> None:
    """Publish where the signing hotkey's axon listens."""
    axon = AxonInfo(ctx.block, version, ip, port, ip_type, protocol, placeholder1, placeholder2)
    _serve_axon(ctx, netuid, axon, None)


@pallet.call(40, pays=False)
def serve_axon_tls(
    ctx: Ctx,
    netuid: NetUid,
    version: U32,
    ip: U128,
    port: U16,
    ip_type: U8,
    protocol: U8,
    placeholder1: U8,
    placeholder2: U8,
    certificate: bytes,
) -> None:
    """Publish where the signing hotkey's axon listens, and the public key it answers with."""
    axon = AxonInfo(ctx.block, version, ip, port, ip_type, protocol, placeholder1, placeholder2)
    _serve_axon(ctx, netuid, axon, certificate)


def _serve_axon(ctx: Ctx, netuid: NetUid, axon: AxonInfo, certificate: bytes | None) -> None:
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    _ensure_axon(ctx, hotkey, netuid, axon.ip, axon.port, axon.ip_type)

    # EFFECTS
    s.Axons.put(ctx, netuid, hotkey, axon)
    # A certificate of a wrong form is left out; the axon is published all the same.
    if certificate and len(certificate) <= 1 + MAX_PUBLIC_KEY:
        record = NeuronCertificate(certificate[1:], certificate[0])
        s.NeuronCertificates.put(ctx, netuid, hotkey, record)

    # EVENT
    ctx.deposit(ev.AxonServed(netuid, hotkey))


@pallet.call(5, pays=False)
def serve_prometheus(
    ctx: Ctx, netuid: NetUid, version: U32, ip: U128, port: U16, ip_type: U8
) -> None:
    """Publish where the signing hotkey's metrics are."""
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    _ensure_prometheus(ctx, hotkey, netuid, ip, port, ip_type)

    # EFFECTS
    info = PrometheusInfo(ctx.block, version, ip, port, ip_type)
    s.Prometheus.put(ctx, netuid, hotkey, info)

    # EVENT
    ctx.deposit(ev.PrometheusServed(netuid, hotkey))


def _ensure_axon(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid, ip: int, port: int, ip_type: int
) -> None:
    ensure(s.Uids.contains(ctx, netuid, hotkey), er.HotKeyNotRegisteredInNetwork)
    ensure(ip_type in _ADDRESS_BITS, er.InvalidIpType)
    ensure(_is_address(ip, ip_type), er.InvalidIpAddress)
    _ensure_rate(ctx, netuid, s.Axons.find(ctx, netuid, hotkey))
    ensure(port != 0, er.InvalidPort)


def _ensure_prometheus(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid, ip: int, port: int, ip_type: int
) -> None:
    ensure(ip_type in _ADDRESS_BITS, er.InvalidIpType)
    ensure(ip != 0 and _is_address(ip, ip_type), er.InvalidIpAddress)
    ensure(s.Uids.contains(ctx, netuid, hotkey), er.HotKeyNotRegisteredInNetwork)
    _ensure_rate(ctx, netuid, s.Prometheus.find(ctx, netuid, hotkey))
    ensure(port != 0, er.InvalidPort)


def _is_address(ip: int, ip_type: int) -> bool:
    return ip < (1 << _ADDRESS_BITS[ip_type]) - 1 and ip != _LOOPBACK[ip_type]


def _ensure_rate(ctx: Ctx, netuid: NetUid, served: AxonInfo | PrometheusInfo | None) -> None:
    last = served.block if served is not None else 0
    limit = s.ServingRateLimit.get(ctx, netuid)
    ensure(ratelimits.passes(ctx, last, limit), er.ServingRateLimitExceeded)


@pallet.guard
def check_serving(ctx: Ctx, who: AccountId, call: Call) -> None:
    """Keep an address that would be refused out of the pool."""
    if call.pallet != pallet.name:
        return
    args: dict[str, Any] = call.args
    if call.name in ("serve_axon", "serve_axon_tls"):
        check = _ensure_axon
    elif call.name == "serve_prometheus":
        check = _ensure_prometheus
    else:
        return
    check(ctx, who, args["netuid"], args["ip"], args["port"], args["ip_type"])
