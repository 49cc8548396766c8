"""Extrinsics that wait for a block: who is ready, who waits for another, who has to go.

- *ready* entries could go into the next block, in the order `candidates` gives;
- *future* entries require a tag (an account's nonce) that nobody has provided yet;
- an entry that provides a tag another one provides replaces it if its priority is higher;
- after each block, entries are checked again: all of the future, and the ready in turn.

Bounded in number and bytes. Orders by tags alone and knows nothing of accounts or calls. It is not
written to disk: as on a real node, a restart empties it.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from chain.devnet.engine import Engine, Header, StateReader, Validity
from chain.errors import ChainError, InvalidTransaction
from chain.types import blake2_256

__all__ = ["AlreadyImported", "Limits", "Pool", "PoolFull", "PriorityTooLow", "Status"]

RECHECKED_A_BLOCK = 64
"""Ready entries validated again after a block: a signature check each, so not all of them."""

_WAITS = frozenset({"Future", "ExhaustsResources"})
"""Reasons to stay out of one block that do not speak against the next."""

_log = logging.getLogger(__name__)


class AlreadyImported(ChainError):
    """The very same extrinsic is in the pool."""

    def __init__(self, extrinsic_hash: bytes) -> None:
        super().__init__("Transaction Already Imported")
        self.extrinsic_hash = extrinsic_hash


class PriorityTooLow(ChainError):
    """Another extrinsic holds this one's place and has at least its priority."""

    def __init__(self, priority: int, held: int) -> None:
        super().__init__(f"Priority is too low: ({priority} vs {held})")
        self.priority = priority
        self.held = held


class PoolFull(ChainError):
    """The pool is at its limit."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"the pool is full: {limit}")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What the pool holds at most."""

    ready: int = 8192
    future: int = 1024
    bytes: int = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Status:
    """What became of an extrinsic, in the words of the JSON-RPC.

    `name` is ready, future, inBlock, finalized, usurped, dropped or invalid; `of` is the hash of
    the block, or of the extrinsic that took its place.
    """

    name: str
    of: bytes | None = None

    @property
    def final(self) -> bool:
        """Whether nothing follows it."""
        return self.name in ("finalized", "usurped", "dropped", "invalid")


@dataclass(slots=True, eq=False)
class _Entry:
    extrinsic: bytes
    hash: bytes
    arrival: int
    validity: Validity
    valid_until: int
    missing: set[bytes]


class Pool:
    """The waiting extrinsics of one node. `notify(hash, status)` hears of each change."""

    def __init__(
        self,
        engine: Engine,
        notify: Callable[[bytes, Status], None],
        limits: Limits | None = None,
    ) -> None:
        self._engine = engine
        self._notify = notify
        self._limits = limits or Limits()
        self._entries: dict[bytes, _Entry] = {}
        self._ready: dict[bytes, _Entry] = {}
        self._provider: dict[bytes, _Entry] = {}
        self._waiting: dict[bytes, set[bytes]] = {}
        self._bytes = 0
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, extrinsic_hash: object) -> bool:
        return extrinsic_hash in self._entries

    @property
    def ready_count(self) -> int:
        """How many extrinsics could go into the next block."""
        return len(self._ready)

    def provides(self, tag: bytes) -> bool:
        """Whether a ready extrinsic provides `tag`."""
        entry = self._provider.get(tag)
        return entry is not None and not entry.missing

    # Coming

    def submit(self, extrinsic: bytes, state: StateReader, head: Header) -> bytes:
        """Take `extrinsic` in and return its hash; `state` is that after `head`.

        Raises AlreadyImported, PriorityTooLow, PoolFull and what `Engine.validate` raises.
        """
        digest = blake2_256(extrinsic)
        if digest in self._entries:
            raise AlreadyImported(digest)
        validity = self._engine.validate(state, head, extrinsic)
        rivals = {id(e): e for e in map(self._provider.get, validity.provides) if e is not None}
        for rival in rivals.values():
            if validity.priority <= rival.validity.priority:
                raise PriorityTooLow(validity.priority, rival.validity.priority)
        entry = _Entry(
            extrinsic, digest, self._arrivals, validity, head.number + validity.longevity, set()
        )
        entry.missing = self._missing(validity, set(rivals))
        self._ensure_room(entry, rivals.values())
        for rival in rivals.values():
            self._remove(rival, Status("usurped", digest))
        self._arrivals += 1
        self._insert(entry)
        return digest

    def _missing(self, validity: Validity, leaving: set[int]) -> set[bytes]:
        return {
            tag
            for tag in validity.requires
            if not self.provides(tag) or id(self._provider[tag]) in leaving
        }

    def _ensure_room(self, entry: _Entry, leaving: Iterable[_Entry]) -> None:
        leaving = list(leaving)
        bytes_after = self._bytes + len(entry.extrinsic) - sum(len(e.extrinsic) for e in leaving)
        if bytes_after > self._limits.bytes:
            raise PoolFull(f"{self._limits.bytes} bytes")
        in_future = bool(entry.missing)
        limit = self._limits.future if in_future else self._limits.ready
        count = len(self._entries) - len(self._ready) if in_future else len(self._ready)
        if count - sum(bool(e.missing) == in_future for e in leaving) >= limit:
            raise PoolFull(f"{limit} {'future' if in_future else 'ready'} extrinsics")

    def _attach(self, entry: _Entry) -> None:
        self._entries[entry.hash] = entry
        self._bytes += len(entry.extrinsic)
        for tag in entry.validity.provides:
            self._provider[tag] = entry
        for tag in entry.validity.requires:
            self._waiting.setdefault(tag, set()).add(entry.hash)

    def _insert(self, entry: _Entry) -> None:
        self._attach(entry)
        if entry.missing:
            self._notify(entry.hash, Status("future"))
        else:
            self._promote(entry)

    def _promote(self, entry: _Entry) -> None:
        """Make `entry` ready, and everyone who waited only for it."""
        promoted = [entry]
        for one in promoted:
            self._ready[one.hash] = one
            self._notify(one.hash, Status("ready"))
            promoted += self._satisfy(one.validity.provides)

    def _satisfy(self, tags: Iterable[bytes]) -> list[_Entry]:
        """Note that `tags` are provided; returns those that miss nothing any more."""
        complete = []
        for tag in tags:
            for digest in sorted(self._waiting.get(tag, ())):
                entry = self._entries[digest]
                if tag in entry.missing:
                    entry.missing.discard(tag)
                    if not entry.missing:
                        complete.append(entry)
        return complete

    # Going

    def _detach(self, entry: _Entry) -> None:
        del self._entries[entry.hash]
        self._ready.pop(entry.hash, None)
        self._bytes -= len(entry.extrinsic)
        for tag in entry.validity.provides:
            if self._provider.get(tag) is entry:
                del self._provider[tag]
        for tag in entry.validity.requires:
            waiting = self._waiting[tag]
            waiting.discard(entry.hash)
            if not waiting:
                del self._waiting[tag]

    def _remove(self, entry: _Entry, status: Status) -> None:
        was_ready = not entry.missing
        self._detach(entry)
        if was_ready:
            self._demote(entry.validity.provides)
        self._notify(entry.hash, status)

    def _demote(self, tags: Iterable[bytes]) -> None:
        """Send whoever needs one of `tags`, which nobody provides now, to the future."""
        lost = list(tags)
        for tag in lost:
            for digest in sorted(self._waiting.get(tag, ())):
                entry = self._entries[digest]
                if not entry.missing:
                    del self._ready[digest]
                    lost += entry.validity.provides
                    self._notify(digest, Status("future"))
                entry.missing.add(tag)

    def clear(self) -> None:
        """Drop everything: the chain these were made for is gone."""
        gone = list(self._entries)
        self._entries.clear()
        self._ready.clear()
        self._provider.clear()
        self._waiting.clear()
        self._bytes = 0
        for digest in gone:
            self._notify(digest, Status("dropped"))

    def drop_invalid(self, extrinsic: bytes) -> None:
        """Drop an extrinsic that no block can be built with."""
        entry = self._entries.get(blake2_256(extrinsic))
        if entry is not None:
            self._remove(entry, Status("invalid"))

    # Into blocks

    def candidates(self, limit: int) -> list[bytes]:
        """Up to `limit` ready extrinsics: higher priority first, then earlier arrival.

        Nobody comes before those it requires.
        """
        blocked: dict[bytes, int] = {}
        heap: list[tuple[int, int, bytes]] = []
        for entry in self._ready.values():
            count = sum(self.provides(tag) for tag in entry.validity.requires)
            if count:
                blocked[entry.hash] = count
            else:
                heap.append((-entry.validity.priority, entry.arrival, entry.hash))
        heapq.heapify(heap)
        order: list[bytes] = []
        while heap and len(order) < limit:
            entry = self._ready[heapq.heappop(heap)[2]]
            order.append(entry.extrinsic)
            for tag in entry.validity.provides:
                for digest in self._waiting.get(tag, ()):
                    if digest in blocked:
                        blocked[digest] -= 1
                        if not blocked[digest]:
                            del blocked[digest]
                            then = self._ready[digest]
                            heapq.heappush(heap, (-then.validity.priority, then.arrival, digest))
        return order

    def pending(self) -> list[bytes]:
        """The ready extrinsics, in the order they came."""
        return [e.extrinsic for e in sorted(self._ready.values(), key=lambda e: e.arrival)]

    def settle(
        self,
        included: Sequence[bytes],
        rejected: Iterable[tuple[bytes, InvalidTransaction]],
        state: StateReader,
        head: Header,
    ) -> None:
        """Make the pool fit a new head: `included` (hashes) are in it, `rejected` could not be.

        What an opened shielded extrinsic changed is not visible in tags: the re-check finds it.
        """
        for digest in included:
            entry = self._entries.get(digest)
            if entry is not None:
                self._detach(entry)
                for complete in self._satisfy(entry.validity.provides):
                    self._promote(complete)
        for extrinsic, error in rejected:
            entry = self._entries.get(blake2_256(extrinsic))
            if entry is not None and error.kind not in _WAITS:
                self._remove(entry, Status("invalid"))
        for entry in list(self._entries.values()):
            if entry.valid_until <= head.number:
                self._remove(entry, Status("invalid"))
        self._recheck(state, head)

    def _recheck(self, state: StateReader, head: Header) -> None:
        future = [entry for entry in self._entries.values() if entry.missing]
        oldest_checked = list(islice(self._ready.values(), RECHECKED_A_BLOCK))
        for entry in future + oldest_checked:
            if self._entries.get(entry.hash) is not entry:
                continue
            try:
                validity = self._engine.validate(state, head, entry.extrinsic)
            except ChainError:
                self._remove(entry, Status("invalid"))
            except Exception:  # the engine's bug must cost one extrinsic, not the chain
                _log.exception("0x%s: validation failed", entry.hash.hex())
                self._remove(entry, Status("invalid"))
            else:
                self._renew(entry, validity, head.number)

    def _renew(self, entry: _Entry, validity: Validity, head: int) -> None:
        """Put `validity` in the place of what was known of `entry`."""
        if validity.provides != entry.validity.provides:
            # Its place in the order is another one now: whoever sent it may send it again.
            self._remove(entry, Status("dropped"))
            return
        was_ready = not entry.missing
        self._detach(entry)
        entry.validity = validity
        entry.valid_until = head + validity.longevity
        entry.missing = self._missing(validity, set())
        self._attach(entry)
        if was_ready and not entry.missing:
            self._ready[entry.hash] = entry  # at the end: the turn goes round
        elif was_ready:
            self._notify(entry.hash, Status("future"))
            self._demote(validity.provides)
        elif not entry.missing:
            self._promote(entry)
