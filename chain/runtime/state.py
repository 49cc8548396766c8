"""State while a block is built: writes stacked on top of a reader, dropped or kept as a whole.

State is bytes to bytes under the real storage keys. Reads fall through the layers to the base;
a deletion is a mark. Knows nothing of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

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


class State:
    """A writable view over `base`. `transaction()` opens a layer; an exception drops it."""

    def __init__(self, base: StateReader) -> None:
        self._base = base
        self._seen: dict[bytes, bytes | None] = {}
        self._layers: list[dict[bytes, bytes | None]] = [{}]

    def get(self, key: bytes) -> bytes | None:
        """The value under `key` as of the last write, or None."""
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        if key not in self._seen:
            self._seen[key] = self._base.get(key)
        return self._seen[key]

    def put(self, key: bytes, value: bytes) -> None:
        """Write `value` under `key`."""
        self._layers[-1][key] = value

    def remove(self, key: bytes) -> None:
        """Remove `key`."""
        self._layers[-1][key] = None

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Keys under `prefix` in byte order, after `start` (exclusive), at most `count`."""
        touched: dict[bytes, bytes | None] = {}
        for layer in self._layers:
            touched.update((k, v) for k, v in layer.items() if k.startswith(prefix))
        if not touched:
            return self._base.keys(prefix, start, count)
        found = [k for k in self._base.keys(prefix, start) if k not in touched]
        found += [k for k, v in touched.items() if v is not None and (start is None or k > start)]
        found.sort()
        return found if count is None else found[:count]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A layer that is merged when the block ends well and dropped when it raises."""
        self._layers.append({})
        try:
            yield
        except BaseException:
            self._layers.pop()
            raise
        top = self._layers.pop()
        self._layers[-1].update(top)

    def changes(self) -> Mapping[bytes, bytes | None]:
        """All writes so far that differ from the base, None for a removal."""
        return {k: v for k, v in self._layers[0].items() if self._base.get(k) != v}
