"""A clock that nobody sets: Unix time at its start, and what has gone by since then.

How long something took must not depend on somebody setting the machine's clock meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def steady(
    clock: Callable[[], float], elapsed: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """`clock` (Unix time in seconds) as it would go on from now by `elapsed`."""
    start, begun = clock(), elapsed()
    return lambda: start + elapsed() - begun
