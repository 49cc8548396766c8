"""State while a block is built: writes over a reader, kept or undone as a whole.

State is bytes to bytes under the real storage keys. Reads that find no write go to the base;
a deletion is a mark. Knows nothing of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["EmptyState", "State", "StateReader"]


class StateReader(Protocol):
    """The state after one block."""

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None."""

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Keys under `prefix` in byte order, after `start` (exclusive), at most `count`."""


class EmptyState:
    """The state before genesis."""

    def get(self, key: bytes) -> bytes | None:
        """Nothing is stored."""
        return None

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Nothing is stored."""
        return []


_ABSENT = object()
"""Marks a key without an entry, where None marks one that was removed."""


class State:
    """A writable view over `base`. What is written inside `transaction()` an exception undoes.

    `base` must not change while this is used: what was read once is not read again.
    """

    def __init__(self, base: StateReader) -> None:
        self._base = base
        self._seen: dict[bytes, bytes | None] = {}
        self._written: dict[bytes, bytes | None] = {}
        self._pages: dict[bytes, list[bytes]] = {}
        self._undo: list[list[tuple[bytes, Any]]] = []

    def get(self, key: bytes) -> bytes | None:
        """The value under `key` as of the last write, or None."""
        if key in self._written:
            return self._written[key]
        if key not in self._seen:
            self._seen[key] = self._base.get(key)
        return self._seen[key]

    def put(self, key: bytes, value: bytes) -> None:
        """Write `value` under `key`."""
        if self._undo:
            self._undo[-1].append((key, self._written.get(key, _ABSENT)))
        self._written[key] = value

    def remove(self, key: bytes) -> None:
        """Remove `key`."""
        if self._undo:
            self._undo[-1].append((key, self._written.get(key, _ABSENT)))
        self._written[key] = None

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Keys under `prefix` in byte order, after `start` (exclusive), at most `count`."""
        touched = {k: v for k, v in self._written.items() if k.startswith(prefix)}
        if start is None:
            found = self._pages.get(prefix)
            if found is None:
                found = self._pages[prefix] = self._base.keys(prefix)
        else:
            found = self._base.keys(prefix, start)
        if touched:
            found = [k for k in found if k not in touched]
            found += [
                k for k, v in touched.items() if v is not None and (start is None or k > start)
            ]
            found.sort()
        return found[:count]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes made inside are kept when the block ends well, and undone when it raises."""
        undo: list[tuple[bytes, Any]] = []
        self._undo.append(undo)
        try:
            yield
        except BaseException:
            self._undo.pop()
            for key, before in reversed(undo):
                if before is _ABSENT:
                    del self._written[key]
                else:
                    self._written[key] = before
            raise
        self._undo.pop()
        if self._undo:
            self._undo[-1] += undo

    def changes(self) -> Mapping[bytes, bytes | None]:
        """All writes so far that differ from the base, None for a removal."""
        return {k: v for k, v in self._written.items() if self._base.get(k) != v}
