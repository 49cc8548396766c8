"""A lease in Redis at which instances of one validator take turns: one row a window, never two.

One instance leads and renews; the others wait. Who leads has a token that only grows, and claims
each epoch with it before a row is sent. A new leader that finds an epoch claimed by an older token
first waits to see whether that row still lands: a process that was killed may have sent it.
When Redis cannot be asked, nobody sets weights. Needs the `redis` extra, imported when opened.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from subnet.errors import InvalidSetting, LeaseLost, MissingExtra

log = logging.getLogger(__name__)

GRACE_BLOCKS: Final = 8
"""So many blocks after a claim its row is on the chain, or was not sent."""
TIMEOUT_S: Final = 2.0
"""Longest wait for one answer of Redis."""

_ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
"""

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

_CLAIM = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost', '0'} end
local window = redis.call('HMGET', KEYS[2], 'epoch', 'token', 'block')
if window[1] == ARGV[2] and window[2] ~= ARGV[3] and ARGV[5] ~= 'over' then
  return {'other', window[3]}
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'token', ARGV[3], 'block', ARGV[4])
return {'mine', ARGV[4]}
"""


class Lease:
    """One instance's hold on the lease of (`netuid`, `hotkey`); see `open_lease`."""

    def __init__(self, redis: Any, errors: tuple[type[BaseException], ...], prefix: str, s: float):
        self._redis = redis
        self._errors = errors
        self._keys = {name: f"{prefix}:{name}" for name in ("lease", "token", "window")}
        self._me = secrets.token_hex(16)
        self._lease_s = s
        self._until = 0.0
        self.token = 0
        """Grows with each leader; 0 before this instance has led."""

    async def acquire(self) -> None:
        """Wait until this instance leads, however long that takes, Redis being away included."""
        told = ""
        while True:
            asked = time.monotonic()
            try:
                token = int(
                    await self._redis.eval(
                        _ACQUIRE, 2, self._keys["lease"], self._keys["token"],
                        self._me, int(self._lease_s * 1000),
                    )
                )  # fmt: skip
                now = "another instance leads; waiting for its lease"
            except self._errors as error:
                token, now = 0, f"Redis is away, so nobody leads: {type(error).__name__}"
            if token:
                self.token, self._until = token, asked + self._lease_s
                log.info("this instance leads, token %d", token)
                return
            if now != told:
                log.info("%s", now)
                told = now
            await asyncio.sleep(self._lease_s / 5)

    async def keep(self) -> None:
        """Renew until cancelled. Raises LeaseLost."""
        problem = "it was not renewed in time"
        while True:
            await asyncio.sleep(self._lease_s / 4)
            asked = time.monotonic()
            try:
                renewed = await self._redis.eval(
                    _RENEW, 1, self._keys["lease"], self._me, int(self._lease_s * 1000)
                )
            except self._errors as error:
                problem = f"Redis is away: {type(error).__name__}"
                if asked + self._lease_s / 4 >= self._until:
                    raise LeaseLost(problem) from error
                continue
            if not renewed:
                raise LeaseLost("another instance has it, or Redis has forgotten it")
            self._until = asked + self._lease_s

    async def claim(self, epoch: int, block: int, last_update: int) -> int | None:
        """Claim the row of `epoch`, seen from `block`: None when it is this instance's to set.

        Otherwise the block to look again at, or `block` itself when the row is there already:
        `last_update` is the block of the chain's newest row of this hotkey. Raises LeaseLost.
        """
        if time.monotonic() >= self._until:
            raise LeaseLost("it has run out")
        claimed = await self._claim(epoch, block, "")
        if claimed is None:
            return None
        if last_update > claimed:
            return block
        if block < claimed + GRACE_BLOCKS:
            return claimed + GRACE_BLOCKS
        log.warning("the row that was claimed at block %d never came; setting it now", claimed)
        await self._claim(epoch, block, "over")
        return None

    async def _claim(self, epoch: int, block: int, how: str) -> int | None:
        """The block at which an older token claimed `epoch`; None when it is claimed for us."""
        try:
            outcome, number = await self._redis.eval(
                _CLAIM, 2, self._keys["lease"], self._keys["window"],
                self._me, epoch, self.token, block, how,
            )  # fmt: skip
        except self._errors as error:
            raise LeaseLost(f"Redis is away: {type(error).__name__}") from error
        if outcome == b"lost":
            raise LeaseLost("another instance has it, or Redis has forgotten it")
        return int(number) if outcome == b"other" else None

    async def release(self) -> None:
        """Let another instance lead at once."""
        with suppress(*self._errors):
            await self._redis.eval(_RELEASE, 1, self._keys["lease"], self._me)


@asynccontextmanager
async def open_lease(url: str, *, netuid: int, hotkey: str, lease_s: float) -> AsyncIterator[Lease]:
    """A lease that nobody holds yet; given back at the end. Raises MissingExtra, InvalidSetting."""
    try:
        import redis.asyncio
        from redis import exceptions
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise MissingExtra("redis", "redis") from error
    try:
        client: Any = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # A script is not sent twice: the first one may have arrived.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        # Without its words: they quote what they take for the port, which may be of a password.
        raise InvalidSetting("validator.lease", "the settings", "no address of Redis") from None
    errors = (exceptions.RedisError, OSError, TimeoutError)
    # The braces keep all keys on one node of a cluster.
    lease = Lease(client, errors, f"subnet:{{{netuid}:{hotkey}}}", lease_s)
    try:
        yield lease
    finally:
        await lease.release()
        await client.aclose()
