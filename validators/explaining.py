"""Serve explanations: a miner asks its validator about itself, signed, and about nobody else.

Whoever was asked in one of the last rounds may ask; the answers are signed. Of a round nothing is
told before the weights made of it are on the chain for all to see: while they are hidden, a few
miners in league could put them together from what each is told. Everything a stranger can cost is
small: requests of a few hundred bytes, one at a time and few a minute for each caller.
Where the address is published, this speaks TLS with a key published beside it, as a miner does.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chain.client.chain import Chain
from chain.errors import ChainError
from subnet.config import ValidatorTable
from subnet.errors import InvalidSetting, RequestRefused
from subnet.wire import tls
from subnet.wire.auth import Caller, Signer
from subnet.wire.axon import Axon
from subnet.wire.limits import KIB, MIB, Limits
from subnet.wire.policy import Admission, Freshness, Verdict
from validators.explain import PATH, Explanation, Hidden, Recent, Unknown, Why
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
LOOK_S = 60.0
"""So often the chain is looked at for what it says of the address."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What to serve TLS with, and the key to publish."""

    context: ssl.SSLContext
    key: bytes


def secret_of(table: ValidatorTable, folder: Path) -> Secret | None:
    """The certificate kept in `folder`, made at the first start, if an address is to be published.

    Raises InvalidSetting.
    """
    if table.explain_address is None:
        return None
    if table.explain_port is None:
        problem = "nobody would answer there; give explain_port too"
        raise InvalidSetting("validator.explain_address", "the settings", problem)
    path = folder / "explain.pem"
    try:
        tls.ensure_certificate(path)
        return Secret(*tls.server_context(path))
    except (tls.KeyUnusable, OSError) as error:
        problem = f"no TLS key for it in {path}: {error}"
        raise InvalidSetting("validator.explain_address", "the settings", problem) from error


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
    keypair: Signer,
    recent: Recent,
    host: str,
    port: int,
    *,
    secret: Secret | None = None,
    limits: Limits = LIMITS,
) -> AsyncIterator[tuple[str, int]]:
    """Answer at `host`:`port` (0 takes a free one) while the context lasts: the address bound.

    With `secret` over TLS. Raises PortTaken.
    """

    async def explain(why: Why, caller: Caller) -> Explanation:
        if why.hotkey != caller.hotkey:
            raise RequestRefused(403, "not_yours", "ask about your own hotkey only")
        try:
            return recent.explain(caller.hotkey, why.round, shown_only=True)
        except Unknown:
            message = "you were not asked in that round, or it is too long ago"
            raise RequestRefused(404, "unknown_round", message) from None
        except Hidden:
            message = "no weights made of that are on the chain for all to see; ask again later"
            raise RequestRefused(403, "not_shown_yet", message) from None

    axon = Axon(keypair, policy=AskedPolicy(recent), limits=limits)
    axon.handle(PATH, Why, Explanation, explain)
    bound = await axon.start(host, port, tls=None if secret is None else secret.context)
    scheme = "http" if secret is None else "https"
    log.info("miners can ask about themselves at %s://%s:%d%s", scheme, *bound, PATH)
    try:
        yield bound
    finally:
        await axon.stop(0.5)


@asynccontextmanager
async def explaining(
    keypair: Signer,
    recent: Recent,
    journal: Path,
    host: str,
    port: int,
    *,
    secret: Secret | None = None,
) -> AsyncIterator[None]:
    """As above, about the newest rounds of `journal` too. Raises PortTaken and StateError."""

    def look_back() -> None:
        for line in read(journal, parts=1):
            recent.note(line)

    await asyncio.to_thread(look_back)
    async with serve_explanations(keypair, recent, host, port, secret=secret):
        yield


@asynccontextmanager
async def publishing(
    chain: Chain, keypair: Signer, netuid: int, address: str, secret: Secret
) -> AsyncIterator[None]:
    """See to it that the chain says `address` (IP:PORT) and the key, while the context lasts.

    What fails is tried again: nothing else waits for it.
    """
    host, _, port = address.rpartition(":")
    where = (host.removeprefix("[").removesuffix("]"), int(port))

    async def look() -> None:
        me = (await chain.metagraph(netuid)).find(keypair.ss58_address)
        if me is None or (me.host, me.port, me.tls_key, me.explains) == (*where, secret.key, True):
            return
        if me.host is not None and not me.explains:
            log.warning("the axon at %s:%s that this hotkey published goes", me.host, me.port)
        await chain.serve_explanations(keypair, netuid, *where, tls_key=secret.key)
        log.info("published %s: miners find it with subnet explain --from", address)

    async def keep_looking() -> None:
        while True:
            try:
                await look()
            except ChainError as error:
                log.warning("%s is not published, will try again: %s", address, error)
            await asyncio.sleep(LOOK_S)

    task = asyncio.create_task(keep_looking())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
