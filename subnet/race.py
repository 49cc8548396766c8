"""A race: several pieces of work side by side, until the first of them ends.

Unlike a task group it raises errors as they are, and it ends the work in order: a server is
drained before the model it asks is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def race(*work: Coroutine[Any, Any, object]) -> None:
    """Run all of `work`; when one ends, cancel the others, last to first, each awaited in turn.

    What stands on something else comes after it. Raises what the first to end raised; if several
    ended at once, the error of the earliest in order.
    """
    tasks = [asyncio.create_task(piece) for piece in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])
    for task in tasks:
        if not task.cancelled():
            task.result()
