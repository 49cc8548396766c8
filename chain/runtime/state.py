"""State while a block is built: writes over a reader, kept or undone as a whole.

State is bytes to bytes under the real storage keys. Reads that find no write go to the base;
a deletion is a mark. Knows nothing of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


class _Values(dict[bytes, bytes | None]):
    """The state as far as it is known: a key that was never asked for is asked of the base."""

    __slots__ = ("_ask",)

    def __init__(self, base: StateReader) -> None:
        super().__init__()
        self.ask(base)

    def ask(self, base: StateReader) -> None:
        """Ask `base` from now on."""
        self._ask = base.get

    def __missing__(self, key: bytes) -> bytes | None:
        value = self[key] = self._ask(key)
        return value


_PREFIX = 32
"""Bytes of an item's prefix; keys that came or went are listed by them."""


_KNOWN = 1 << 18
_PAGES = 1 << 8
"""More values and lists of keys than these are not taken along from a block to the next."""


class State:
    """A writable view over `base`. What is written inside `transaction()` an exception undoes.

    `base` must not change while this is used: what was read once is not read again.
    `values[key]` is `get(key)` for those who read much; it is written by `put` and `remove` alone.
    `notes` is for what a reader makes of all values under an item's prefix (of 32 bytes); a note is
    dropped as soon as anything under its prefix is written.
    """

    __slots__ = ("_base", "_before", "_journal", "_moved", "_pages", "notes", "values")

    def __init__(self, base: StateReader) -> None:
        self._base = base
        self.values = _Values(base)
        self.notes: dict[bytes, Any] = {}
        self._before: dict[bytes, bytes | None] = {}  # of written keys, what the base has
        self._moved: dict[bytes, set[bytes]] = {}  # keys that came or went, perhaps back again
        self._pages: dict[bytes, list[bytes]] = {}
        self._journal: list[tuple[bytes, bytes | None]] | None = None

    def get(self, key: bytes) -> bytes | None:
        """The value under `key` as of the last write, or None."""
        return self.values[key]

    def remove(self, key: bytes) -> None:
        """Remove `key`."""
        self.put(key, None)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write `value` under `key`; None removes it."""
        now = self.values[key]
        if key not in self._before:
            self._before[key] = now
        if (now is None) != (value is None):
            self._moved.setdefault(key[:_PREFIX], set()).add(key)
        if self._journal is not None:
            self._journal.append((key, now))
        if self.notes:
            self.notes.pop(key[:_PREFIX], None)
        self.values[key] = value

    def put_all(self, prefix: bytes, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write each value under its key, as `put` does; what is there already is left alone.

        All keys begin with `prefix`, that of an item.
        """
        values, before, journal = self.values, self._before, self._journal
        self.notes.pop(prefix, None)
        for key, value in rows:
            now = values[key]
            if now == value:
                continue
            if key not in before:
                before[key] = now
            if now is None or value is None:
                self._moved.setdefault(prefix, set()).add(key)
            if journal is not None:
                journal.append((key, now))
            values[key] = value

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Keys under `prefix` in byte order, after `start` (exclusive), at most `count`."""
        if start is None:
            found = self._pages.get(prefix)
            if found is None:
                found = self._pages[prefix] = self._base.keys(prefix)
        else:
            found = self._base.keys(prefix, start)
        moved = self._moved_under(prefix)
        if moved:
            found = [k for k in found if k not in moved]
            came = [k for k in moved if self.values[k] is not None]
            found += came if start is None else [k for k in came if k > start]
            found.sort()
        return found[:count]

    def _moved_under(self, prefix: bytes) -> set[bytes]:
        if len(prefix) >= _PREFIX:
            group = self._moved.get(prefix[:_PREFIX])
            return {key for key in group if key.startswith(prefix)} if group else _NONE
        groups = [keys for first, keys in self._moved.items() if first.startswith(prefix)]
        return {key for keys in groups for key in keys}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes made inside are kept when the block ends well, and undone when it raises."""
        outermost = self._journal is None
        journal = self._journal = [] if self._journal is None else self._journal
        start = len(journal)
        try:
            yield
        except BaseException:
            while len(journal) > start:
                key, before = journal.pop()
                self.notes.pop(key[:_PREFIX], None)
                self.values[key] = before
            raise
        finally:
            if outermost:
                self._journal = None

    def onto(self, base: StateReader) -> State:
        """What is written here, as a view over `base`, in which it is written.

        What is known is taken along, so this view is not to be used any more.
        """
        view = State(base)
        if len(self.values) <= _KNOWN:
            view.values, view.notes = self.values, self.notes
            view.values.ask(base)
            view._pages = self._unmoved_pages()
        return view

    def _unmoved_pages(self) -> dict[bytes, list[bytes]]:
        if len(self._pages) > _PAGES:
            return {}
        return {
            prefix: page
            for prefix, page in self._pages.items()
            if len(prefix) >= _PREFIX and prefix[:_PREFIX] not in self._moved
        }

    def changes(self) -> Mapping[bytes, bytes | None]:
        """All writes so far that differ from the base, None for a removal."""
        values = self.values
        return {k: v for k, before in self._before.items() if (v := values[k]) != before}


_NONE: set[bytes] = set()
