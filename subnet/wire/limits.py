"""How much a stranger may cost: the figures, and the counters that hold them.

All counters hold bounded memory whatever the strangers do. Knows nothing of HTTP.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one axon or dendrite takes. Sizes in bytes, times in seconds, rates per second."""

    body_bytes: int = MIB
    """Of one request."""
    reply_bytes: int = MIB
    """Of one answer, read by a dendrite."""
    buffered_bytes: int = 64 * MIB
    """Of all request bodies held at once."""
    ip_buffered_bytes: int = 16 * MIB
    """Of those, from one address."""
    head_bytes: int = 16 * KIB
    """Of request line and headers together."""
    headers: int = 64
    """Header lines of one request or answer."""
    head_s: float = 5.0
    """From the first byte (or the connection) to the end of the headers."""
    body_s: float = 10.0
    """From the end of the headers to the end of the body."""
    linger_s: float = 1.0
    """How long the rest of a refused request's body is read away, so that the refusal arrives."""
    handler_s: float = 120.0
    """For a handler to answer."""
    write_s: float = 20.0
    """For a caller to take an answer, or a chunk of one, off our hands."""
    keepalive_s: float = 75.0
    """An idle connection is closed after this."""
    connections: int = 1024
    """Open at once."""
    requests: int = 256
    """Authenticated and being answered at once; further ones wait."""
    waiting: int = 64
    """Waiting for their turn; the smallest stake is sent away when a bigger one comes."""
    waiting_s: float = 10.0
    """For a turn to come."""
    ip_connections: int = 64
    """Open at once from one address (IPv6: one /64)."""
    ip_rate: float = 50.0
    """Requests from one address in the long run."""
    ip_burst: int = 200
    """Requests from one address at once."""
    hotkey_requests: int = 16
    """One caller's requests being answered at once."""
    hotkey_rate: float = 20.0
    """One caller's requests in the long run."""
    hotkey_burst: int = 40
    """One caller's requests at once."""
    hotkey_streams: int = 4
    """One caller's streams being answered at once."""
    stream_s: float = 120.0
    """From the first chunk of a stream to its end."""
    stream_idle_s: float = 10.0
    """Between two chunks of a stream."""
    stream_bytes: int = 4 * MIB
    """Of one stream, on the wire."""
    stream_chunks: int = 8192
    """Of one stream."""
    sockets: int = 512
    """Miners a dendrite talks to at once; the others wait their turn, on the dendrite's account."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"limit {field.name} must be positive")


class RateLimiter:
    """A bucket of `burst` tokens a key, refilled at `rate` tokens a second.

    At most `keys` buckets: the one untouched longest is dropped, which fills it. `clock` returns
    monotonic seconds.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        keys: int = 16384,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._keys = keys
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take one token of `key`; False when there is none."""
        now = self._clock()
        tokens, filled = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - filled) * self._rate)
        granted = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if granted else tokens, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return granted


class Slots:
    """Places held at once: `total` of them, `per_key` for one key."""

    def __init__(self, total: int, per_key: int) -> None:
        self._total = total
        self._per_key = per_key
        self._held: dict[str, int] = {}
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether no place is left for anybody."""
        return self.taken >= self._total

    def take(self, key: str) -> bool:
        """Take a place for `key`; False when there is none. Give it back exactly once."""
        held = self._held.get(key, 0)
        if self.full or held >= self._per_key:
            return False
        self._held[key] = held + 1
        self.taken += 1
        return True

    def give(self, key: str) -> None:
        """Give a place of `key` back."""
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]
        self.taken -= 1


class ByteShares:
    """Bytes held at once: `total` of them, `per_key` for one key."""

    def __init__(self, total: int, per_key: int) -> None:
        self._total = total
        self._per_key = per_key
        self._held: dict[str, int] = {}
        self.taken = 0

    def take(self, key: str, count: int, *, spare: int = 0) -> bool:
        """Hold `count` more for `key`; False when there is no room. Give them back once.

        `spare` bytes of the total are left for others.
        """
        held = self._held.get(key, 0) + count
        if held > self._per_key or self.taken + count > self._total - spare:
            return False
        if count:
            self._held[key] = held
            self.taken += count
        return True

    def give(self, key: str, count: int) -> None:
        """Let go of `count` bytes of `key`."""
        if not count:
            return
        held = self._held[key] - count
        if held:
            self._held[key] = held
        else:
            del self._held[key]
        self.taken -= count


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 customer holds."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
