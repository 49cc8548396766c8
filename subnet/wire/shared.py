"""Nonces and callers' shares kept in Redis, for processes and hosts that serve one hotkey together.

One round trip says whether a nonce is new and its caller has a token left; requests that come
meanwhile share the next one, since a trip costs more than what is asked on it. Whenever Redis
cannot say, or may have forgotten, the request is refused with a 503; nothing here ever accepts for
want of an answer. Needs the `redis` extra, which is imported when a store is opened.

What Redis forgets (a restart, a lost snapshot, a flush, a replica that took over) it forgets with
its script cache or with its marks, and either is noticed: then every nonce that could have been
accepted before is refused. Redis before 7 copies scripts to replicas and logs, where they outlive
what was forgotten: with such a one nobody is served. What is forgotten with age leaves a floor
under its hotkey, as in `nonce.ReplaySet`, so no clock that is set back lets a nonce in twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from subnet.errors import MissingExtra, RequestRefused
from subnet.wire.auth import MAX_AGE_NS, MAX_AHEAD_NS

logger = logging.getLogger(__name__)

CLOCK_SKEW_NS: Final = 1_000_000_000
"""How far apart the clocks of the hosts that share a store may be."""
TIMEOUT_S: Final = 1.0
"""Longest wait for Redis; then it counts as gone."""
_CONNECTIONS: Final = 2
"""Open to Redis at most: one for claims, one to look how it is."""
OLDEST: Final = 7
"""The first Redis whose scripts live nowhere but in its own memory."""
_TOGETHER: Final = 64
"""Claims in one round trip at most."""
_IDLE_S: Final = 1.0
"""After so long without a word the connection may lead to a Redis that is no more."""

# Marks that are there as long as nothing was lost: the field "*" of the floors, which is also the
# floor under everybody, and the empty member of the set.
_BEGIN = """
local floor = redis.call('HGET', KEYS[2], '*')
if not floor or floor < ARGV[1] then redis.call('HSET', KEYS[2], '*', ARGV[1]) end
redis.call('ZADD', KEYS[1], 0, '')
"""

# Nonces are 20 digits, so that they compare as text: a Lua number would round them.
_CLAIM = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local function claim(share, nonce, caller, oldest, newest)
  local floor = redis.call('HGET', KEYS[2], '*')
  if not floor or not redis.call('ZSCORE', KEYS[1], '') then
    if not floor or floor < newest then redis.call('HSET', KEYS[2], '*', newest) end
    redis.call('ZADD', KEYS[1], 0, '')
    return 'lost'
  end
  for _, old in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '(', '(' .. oldest, 'LIMIT', 0, 64)) do
    redis.call('HSET', KEYS[2], string.sub(old, 22), string.sub(old, 1, 20))
    redis.call('ZREM', KEYS[1], old)
  end
  if nonce <= floor then return 'new' end
  local mine = redis.call('HGET', KEYS[2], caller)
  if mine and nonce <= mine then return 'seen' end
  if redis.call('ZADD', KEYS[1], 0, nonce .. ' ' .. caller) == 0 then return 'seen' end
  local bucket = redis.call('HMGET', share, 'tokens', 'filled')
  local tokens = tonumber(bucket[1]) or burst
  tokens = math.min(burst, tokens + math.max(0, now - (tonumber(bucket[2]) or now)) * rate)
  local granted = tokens >= 1
  if granted then tokens = tokens - 1 end
  redis.call('HSET', share, 'tokens', tokens, 'filled', string.format('%.6f', now))
  redis.call('PEXPIRE', share, math.min(86400000, math.ceil(burst / rate * 1000) + 1000))
  return granted and 'taken' or 'poor'
end

local outcomes = {}
for i = 3, #KEYS do
  local at = 4 * (i - 3) + 3
  outcomes[i - 2] = claim(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
return outcomes
"""

_AWAY: Final = b"away"
"""The outcome of a claim that was not made; the script has the others."""


class StoreAway(RequestRefused):
    """The shared store cannot say whether a nonce is new: nobody is let in meanwhile."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, "store_away", "the miner cannot check for replays; come back later")
        self.reason = reason


class StoreNew(RequestRefused):
    """The nonce predates the shared store, which may have known it once: sign afresh."""

    def __init__(self) -> None:
        super().__init__(503, "store_new", "the miner's memory is new; ask again in a moment")


class SharedStore:
    """A `NonceStore` in Redis for everybody who serves the hotkey `receiver` (ss58).

    Each caller has `burst` requests, refilled at `rate` a second, over all who share the store.
    Raises MissingExtra without redis-py, ValueError for a `url` that is none. Close it at the end.
    """

    def __init__(
        self,
        url: str,
        *,
        receiver: str,
        rate: float,
        burst: int,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        try:
            import redis.asyncio
            from redis import exceptions
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise MissingExtra("redis", "redis") from error
        self._errors = (exceptions.RedisError, OSError, TimeoutError)
        self._no_script = exceptions.NoScriptError
        self._unfit = exceptions.RedisError
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A claim is not sent twice: the first one may have arrived.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Any = redis.asyncio.Redis.from_pool(pool)
        # The braces keep the three on one node of a cluster.
        self._prefix = f"subnet:{{{receiver}}}:"
        # A script of its own: finding another's would say nothing of this one's memory.
        self._script = f"-- {receiver}\n{_CLAIM}"
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._problem = ""  # empty while Redis is well
        self._heard = 0.0
        self._waiting: list[_Claim] = []
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See that Redis is there and begin. Raises StoreAway."""
        try:
            known = (await self._redis.script_exists(self._sha))[0]
            if not known or not await self._redis.hexists(self._key("floor"), "*"):
                await self._begin(self._clock())
        except self._errors as error:
            raise await self._away(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        await self._redis.aclose()

    async def find_problem(self) -> str | None:
        """Why the store cannot be used right now, or None."""
        try:
            # A replica that is read-only, or a full server, answers a PING as if all were well.
            await self._redis.set(self._key("probe"), 1, px=1000)
        except self._errors as error:
            return (await self._away(error)).reason
        self._is_back()
        return None

    async def claim(self, hotkey: str, nonce: int, now_ns: int) -> bool:
        """True once for each (hotkey, nonce); see `NonceStore`.

        Raises StoreAway, StoreNew, or RequestRefused when the caller has used up its share.
        """
        claim = _Claim(hotkey, nonce, now_ns, asyncio.get_running_loop().create_future())
        self._waiting.append(claim)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        outcome = await claim.outcome
        if outcome == b"lost":
            logger.error("Redis lost the nonces: all that may have been used are refused")
        if outcome == _AWAY:
            raise StoreAway(self._problem)
        if outcome in (b"lost", b"new"):
            raise StoreNew
        if outcome == b"poor":
            raise RequestRefused(429, "caller_rate_limited", "too many requests from this caller")
        return bool(outcome == b"taken")

    async def _send(self) -> None:
        """Make claims until none waits; those that came while Redis was asked go together."""
        while self._waiting:
            claims, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            outcomes: Sequence[bytes] = [_AWAY] * len(claims)
            try:
                outcomes = await self._ask(claims)
            except StoreAway:
                # Who came meanwhile need not wait as long, and then hear the same.
                claims, self._waiting = claims + self._waiting, []
                outcomes = [_AWAY] * len(claims)
            finally:  # whatever went wrong, nobody is left waiting, and nobody let in
                for claim, outcome in zip(claims, outcomes, strict=True):
                    if not claim.outcome.done():  # its caller may have hung up
                        claim.outcome.set_result(outcome)

    async def _ask(self, claims: Sequence[_Claim]) -> Sequence[bytes]:
        """The outcome of each claim. Raises StoreAway for all of them."""
        keys = [self._key("seen"), self._key("floor")]
        arguments: list[object] = [self._rate, self._burst]
        for claim in claims:
            keys.append(self._key(f"share:{claim.hotkey}"))
            oldest = _digits(claim.now_ns - MAX_AGE_NS - CLOCK_SKEW_NS)
            arguments += (_digits(claim.nonce), claim.hotkey, oldest, _newest(claim.now_ns))
        if time.monotonic() - self._heard > _IDLE_S:
            await self._wake()
        try:
            outcomes: list[bytes] = await self._redis.evalsha(
                self._sha, len(keys), *keys, *arguments
            )
        except self._no_script:
            await self._begin_again(max(claim.now_ns for claim in claims))
            return [b"new"] * len(claims)
        except self._errors as error:
            raise await self._away(error) from error
        self._heard = time.monotonic()
        self._is_back()
        return outcomes

    async def _wake(self) -> None:
        """Drop connections that died while nobody spoke: a claim cannot be sent a second time."""
        try:
            await self._redis.ping()
        except self._errors:
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _begin_again(self, now_ns: int) -> None:
        logger.warning("Redis is new, or was restarted: nonces used before are refused")
        try:
            await self._begin(now_ns)
        except self._errors as error:
            raise await self._away(error) from error

    async def _begin(self, now_ns: int) -> None:
        """Refuse all nonces that may be in use by now, and with that allow claims."""
        version = str((await self._redis.info("server")).get("redis_version"))
        if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < OLDEST:
            raise self._unfit(f"this is Redis {version}, and must be {OLDEST} or later")
        # The cache of scripts is the one thing in Redis that no restart, snapshot or replica
        # brings back; whoever finds this script has found the memory that goes with it.
        async with self._redis.pipeline(transaction=True) as both:
            both.eval(_BEGIN, 2, self._key("seen"), self._key("floor"), _newest(now_ns))
            both.execute_command("SCRIPT LOAD", self._script)
            await both.execute()

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def _away(self, error: BaseException) -> StoreAway:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if not self._problem:
            logger.error("Redis is away, every request is refused: %s", reason)
        self._problem = reason
        # The other idle connections lead to the same dead server.
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        return StoreAway(reason)

    def _is_back(self) -> None:
        if self._problem:
            self._problem = ""
            logger.info("Redis is back")


@dataclass(frozen=True, slots=True)
class _Claim:
    """One nonce, and who waits for what comes of it."""

    hotkey: str
    nonce: int
    now_ns: int
    outcome: asyncio.Future[bytes]


def _digits(nonce: int) -> str:
    return f"{nonce:020d}"


def _newest(now_ns: int) -> str:
    """The greatest nonce that anybody who shares the store may have accepted by now."""
    return _digits(now_ns + MAX_AHEAD_NS + CLOCK_SKEW_NS)
