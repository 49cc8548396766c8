"""Ends sessions of the SDK that miss their own cancellation.

Before Python 3.12 `asyncio.wait_for` can lose a cancellation that comes together with what it waits
for. The SDK's session receives under it, and its close() waits without a bound for the cancelled
task: whoever closes right after an answer or a block may wait for ever. The loops made here cancel
such a session once more, and nothing else.
"""

from __future__ import annotations

import asyncio
import sys

SESSION = "rpc-session"
"""What the SDK calls the task."""
AGAIN_AFTER_S = 5.0


class _Loops(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()

        def look(cancelled_before: set[asyncio.Task[object]]) -> None:
            sessions = {task for task in asyncio.all_tasks(loop) if task.get_name() == SESSION}
            cancelled = {task for task in sessions if task.cancelling()}
            for task in cancelled & cancelled_before:
                task.cancel()
            loop.call_later(AGAIN_AFTER_S, look, cancelled - cancelled_before)

        loop.call_soon(look, set())
        return loop


def install() -> None:
    """Make such loops from now on, where this Python needs them."""
    if sys.version_info < (3, 12):
        asyncio.set_event_loop_policy(_Loops())
