"""Serve explanations: a miner asks its validator about itself, signed, and about nobody else.

Whoever was asked in one of the last rounds may ask; the answers are signed. Everything a stranger
can cost is small: requests of a few hundred bytes, one at a time and few a minute for each caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from subnet.errors import RequestRefused
from subnet.wire.auth import Caller, Signer
from subnet.wire.axon import Axon
from subnet.wire.limits import KIB, MIB, Limits
from subnet.wire.policy import Admission, Freshness, Verdict
from validators.explain import PATH, Explanation, Recent, Unknown, Why
from validators.journal import read

log = logging.getLogger(__name__)

LIMITS = Limits(
    body_bytes=KIB,
    buffered_bytes=MIB,
    ip_buffered_bytes=64 * KIB,
    head_s=5.0,
    body_s=5.0,
    handler_s=10.0,
    write_s=10.0,
    keepalive_s=15.0,
    connections=256,
    requests=8,
    waiting=32,
    ip_connections=16,
    ip_rate=5.0,
    ip_burst=50,
    hotkey_requests=1,
    hotkey_rate=0.1,
    hotkey_burst=6,
)
"""One explanation every ten seconds, and six at once: rounds take minutes."""


class AskedPolicy:
    """Admits who was asked lately: the others have nothing to have explained."""

    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    def decide(self, hotkey: str) -> Admission:
        """Whether `hotkey` was asked in a round at hand."""
        known = self._recent.knows(hotkey)
        return Admission(Verdict.ADMITTED if known else Verdict.NOT_REGISTERED)

    @property
    def freshness(self) -> Freshness:
        """Always FRESH: it goes by this validator's own rounds."""
        return Freshness.FRESH


@asynccontextmanager
async def serve_explanations(
    keypair: Signer, recent: Recent, host: str, port: int, *, limits: Limits = LIMITS
) -> AsyncIterator[tuple[str, int]]:
    """Answer at `host`:`port` (0 takes a free one) while the context lasts: the address bound.

    Raises PortTaken.
    """

    async def explain(why: Why, caller: Caller) -> Explanation:
        if why.hotkey != caller.hotkey:
            raise RequestRefused(403, "not_yours", "ask about your own hotkey only")
        try:
            return recent.explain(caller.hotkey, why.round)
        except Unknown:
            message = "you were not asked in that round, or it is too long ago"
            raise RequestRefused(404, "unknown_round", message) from None

    axon = Axon(keypair, policy=AskedPolicy(recent), limits=limits)
    axon.handle(PATH, Why, Explanation, explain)
    bound = await axon.start(host, port)
    log.info("miners can ask about themselves at http://%s:%d%s", *bound, PATH)
    try:
        yield bound
    finally:
        await axon.stop(0.5)


@asynccontextmanager
async def explaining(
    keypair: Signer, recent: Recent, journal: Path, host: str, port: int
) -> AsyncIterator[None]:
    """As above, about the newest rounds of `journal` too. Raises PortTaken and StateError."""

    def look_back() -> None:
        for line in read(journal, parts=1):
            recent.note(line)

    await asyncio.to_thread(look_back)
    async with serve_explanations(keypair, recent, host, port):
        yield
