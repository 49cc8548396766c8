"""A watchdog of its own thread: a blocked event loop ends a real process, a busy one does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from subnet.cli import exits
from validators.watchdog import Watchdog

BLOCKED = """
import asyncio, threading
from subnet.cli import output
from subnet.cli.neuron import end_now
from validators.watchdog import Watchdog

async def main():
    async with Watchdog(end_now, loop_s=0.5):
        threading.Event().wait()  # as a scorer that never returns
output.log_to_stderr()
asyncio.run(main())
"""


def test_a_blocked_event_loop_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == exits.STALLED
    assert "the event loop has not run for" in done.stderr


async def test_rounds_that_are_not_over_in_their_time_are_noticed() -> None:
    now = 0.0
    bitten: list[str] = []
    async with Watchdog(bitten.append, loop_s=1e9, clock=lambda: now) as dog:
        assert dog.find_problem() is None
        dog.beat(60.0)
        now = 59.0
        assert dog.find_problem() is None
        dog.beat(60.0)
        now = 120.0
        assert dog.find_problem() == "no round was over within 60 s"
        while not bitten:
            await asyncio.sleep(0.05)
    assert bitten == ["no round was over within 60 s"]
