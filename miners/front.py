"""The front of a miner, as its settings say: policy, limits, nonces, TLS, and the axon with them.

The same for a miner of one process and for each of many workers. Knows nothing of the model: the
questions go to a handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol

from bittensor_core import Keypair

from subnet.config import MinerSettings, MinerTable
from subnet.definition import Subnet
from subnet.errors import InvalidSetting
from subnet.protocol import Answer, Challenge
from subnet.wire import tls
from subnet.wire.auth import MAX_AHEAD_NS, Caller
from subnet.wire.axon import Axon, Counters
from subnet.wire.limits import MIB, Limits
from subnet.wire.nonce import NonceStore, ReplaySet
from subnet.wire.policy import Ages, PermitPolicy
from subnet.wire.receipts import Receipts
from subnet.wire.shared import SharedStore, StoreAway

log = logging.getLogger(__name__)

ALPHA = 1_000_000_000
"""Integer units to one alpha."""
CALLER_REQUESTS = 4
"""Questions of one caller at a time. Validators ask one or two; the model answers one after the
other, and nobody shall fill its queue until the others' questions are late."""

Handler = Callable[[Challenge, Caller], Awaitable[Answer]]


class Front(Protocol):
    """What stands between strangers and the desk: one axon here, or a crew of workers."""

    async def start(self, listener: socket.socket) -> None:
        """Serve at a socket that listens."""

    async def stop(self, drain_s: float) -> None:
        """Take no more questions, and let those under way end."""

    def callers_changed(self) -> None:
        """The policy knows more than before."""

    @property
    def counters(self) -> Counters:
        """What was done since the start."""

    @property
    def serving(self) -> int:
        """How many processes serve right now."""

    @property
    def restarts(self) -> int:
        """How many processes had to be started again."""


class Alone:
    """A front of one axon, in this process."""

    def __init__(self, axon: Axon, context: ssl.SSLContext | None) -> None:
        self._axon = axon
        self._context = context
        self.serving = 0
        self.restarts = 0

    async def start(self, listener: socket.socket) -> None:
        """Serve at a socket that listens."""
        await self._axon.start("", 0, sock=listener, tls=self._context)
        self.serving = 1

    async def stop(self, drain_s: float) -> None:
        """Take no more questions, and let those under way end."""
        self.serving = 0
        await self._axon.stop(drain_s)

    def callers_changed(self) -> None:
        """The axon asks the policy itself."""

    @property
    def counters(self) -> Counters:
        """What the axon has done."""
        return self._axon.counters


def policy_of(table: MinerTable) -> PermitPolicy:
    """Who may call. Raises InvalidSetting."""
    try:
        ages = Ages(table.degraded_s, table.known_only_s, table.closed_s)
    except ValueError as error:
        raise InvalidSetting("miner.degraded_s", "the settings", str(error)) from None
    stake = int(table.min_stake * ALPHA)
    return PermitPolicy(stake, allow=table.allow or None, deny=table.deny, ages=ages)


def limits_of(table: MinerTable) -> Limits:
    """What one process takes. What protects model and memory is divided between the workers."""
    whole = Limits(
        hotkey_requests=CALLER_REQUESTS,
        requests=table.requests,
        ip_connections=table.ip_connections,
        ip_rate=table.ip_rate,
        ip_burst=math.ceil(4 * table.ip_rate),
    )
    parts = {
        name: math.ceil(getattr(whole, name) / table.workers) for name in ("requests", "waiting")
    }
    # One address's part of the bytes as well, or it could be all that a worker has; but never so
    # small that no whole body fits.
    sharers = min(table.workers, whole.ip_buffered_bytes // whole.body_bytes)
    for name in ("buffered_bytes", "ip_buffered_bytes"):
        parts[name] = getattr(whole, name) // sharers
    return dataclasses.replace(whole, **parts)


def store_of(table: MinerTable, hotkey: str) -> SharedStore | None:
    """The store in Redis, if the settings name one. Raises InvalidSetting, MissingExtra."""
    if table.redis is None:
        if table.workers > 1:
            problem = (
                f"{table.workers} workers must know each other's nonces; "
                "give --redis URL, or --workers 1"
            )
            raise InvalidSetting("miner.workers", "the settings", problem)
        return None
    limits = Limits()
    try:
        return SharedStore(
            table.redis, receiver=hotkey, rate=limits.hotkey_rate, burst=limits.hotkey_burst
        )
    except ValueError as error:
        raise InvalidSetting("miner.redis", "the settings", str(error)) from None


@contextlib.asynccontextmanager
async def nonces_of(store: SharedStore | None) -> AsyncIterator[NonceStore]:
    """What remembers nonces: `store`, begun and closed here, or this process."""
    if store is None:
        # What a former process accepted may have been ahead of its clock.
        yield ReplaySet(floor_ns=time.time_ns() + MAX_AHEAD_NS)
        return
    try:
        # Without it nobody is served, and the log says so; it may come back, and may come late.
        with contextlib.suppress(StoreAway):
            await store.open()
        yield store
    finally:
        await store.close()


def tls_of(settings: MinerSettings) -> tuple[ssl.SSLContext, bytes] | None:
    """What to serve TLS with and the key to publish, if the settings want TLS.

    Without a certificate of its own the miner makes one at the first start, and keeps it. Raises
    InvalidSetting.
    """
    table = settings.miner
    if table.tls_key and not table.tls_certificate:
        raise InvalidSetting("miner.tls_key", "the settings", "give tls_certificate with it")
    if not table.tls:
        if table.tls_certificate:
            problem = "it would not be used; give --tls, or leave it out"
            raise InvalidSetting("miner.tls_certificate", "the settings", problem)
        return None
    name = "miner.tls_certificate" if table.tls_certificate else "miner.tls"
    certificate = table.tls_certificate or settings.own_folder() / "tls.pem"
    try:
        if table.tls_certificate is None:
            tls.ensure_certificate(certificate)
        return tls.server_context(certificate, table.tls_key)
    except tls.KeyUnusable as error:
        raise InvalidSetting(name, "the settings", str(error)) from None
    except OSError as error:
        problem = f"{error.filename or certificate}: {error.strerror or error}"
        raise InvalidSetting(name, "the settings", problem) from None


@contextlib.contextmanager
def receipts_of(table: MinerTable) -> Iterator[Receipts | None]:
    """What keeps receipts, if the settings want it. Raises StateError."""
    if table.receipts is None:
        yield None
        return
    path = table.receipts.expanduser()
    with contextlib.closing(Receipts(path, most_bytes=table.receipts_mib * MIB)) as receipts:
        yield receipts


def axon_of(
    settings: MinerSettings,
    keypair: Keypair,
    subnet: Subnet[Any, Any],
    policy: PermitPolicy,
    nonces: NonceStore,
    handler: Handler,
    receipts: Receipts | None = None,
) -> Axon:
    """An axon that hands the subnet's questions to `handler`; it does not listen yet."""
    limits = limits_of(settings.miner)
    axon = Axon(keypair, policy=policy, nonces=nonces, limits=limits, receipts=receipts)
    axon.handle(subnet.path, subnet.challenge, subnet.answer, handler)
    return axon


async def find_store_problem(store: SharedStore | None) -> str | None:
    """Why the shared store cannot be used, or None; no store has no problem."""
    if store is None:
        return None
    try:
        async with asyncio.timeout(2.0):
            return await store.find_problem()
    except TimeoutError:
        return "no answer in time"
