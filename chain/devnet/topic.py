"""Something that happens again and again, and who wants to hear of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Topic"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Topic(Generic[T]):
    """Listeners called in the order they came. One that raises does not stop the others."""

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[T], None]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(self, listener: Callable[[T], None]) -> Callable[[], None]:
        """Call `listener` with each value from now on; the returned function ends it."""
        key = self._next
        self._next += 1
        self._listeners[key] = listener

        def cancel() -> None:
            self._listeners.pop(key, None)

        return cancel

    def publish(self, value: T) -> None:
        """Hand `value` to every listener."""
        for listener in list(self._listeners.values()):
            try:
                listener(value)
            except Exception:  # a listener's bug must not stop the chain
                _log.exception("a listener failed")
