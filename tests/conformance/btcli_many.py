"""Many commands of btcli in one process, since each takes two seconds to start.

Argument lists come as JSON on the standard input; a line of JSON goes out for each, with its exit
status and what it printed.

Before Python 3.12 `asyncio.wait_for` can lose a cancellation that comes together with what it waits
for. The SDK's session receives under it and its close() waits for the cancelled task, so a command
that ends right after an answer may wait for ever. The loops here cancel such a task again.
"""

import asyncio
import contextlib
import io
import json
import sys

from bittensor.cli.main import main

CANCELLED_AGAIN_AFTER_S = 5


class Loops(asyncio.DefaultEventLoopPolicy):
    """Makes loops in which a task that was cancelled and lives on is cancelled once more."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()

        def look(seen: set[asyncio.Task[object]]) -> None:
            cancelled = {task for task in asyncio.all_tasks(loop) if task.cancelling()}
            for task in cancelled & seen:
                task.cancel()
            loop.call_later(CANCELLED_AGAIN_AFTER_S, look, cancelled - seen)

        loop.call_soon(look, set())
        return loop


def run(words: list[str]) -> dict[str, object]:
    """One command, as its own process would run it."""
    sys.argv = ["btcli", *words]
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    asyncio.set_event_loop_policy(Loops())
    for words in json.load(sys.stdin):
        sys.stdout.write(json.dumps(run(words)) + "\n")
        sys.stdout.flush()
