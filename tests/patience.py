"""Waiting in tests: for what is to come, however slow the machine is, and never for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

PATIENCE_S = 120.0


async def until(
    what: Callable[[], object | Awaitable[object]],
    *,
    ensure: Callable[[], object] = lambda: None,
    tell: Callable[[], str] = lambda: "",
    pause_s: float = 0.01,
) -> None:
    """Wait for `what`. Not in time is a failure that shows what `tell` gives.

    `ensure` is called between two looks: it fails where waiting has become useless.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = what()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        ensure()
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE_S:g} s\n{tell()}")
        await asyncio.sleep(pause_s)
