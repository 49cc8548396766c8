"""What `subnet miner` and `subnet validator` share: their common flags, and a run until stopped."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import resource
import signal
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from subnet.cli import exits, notify, output
from subnet.cli.place import search_working_folder

if TYPE_CHECKING:
    from subnet.config import Flags, Settings

END_S = 4.0
"""What is not over so long after a signal is cut off."""
LEAVE_S = 4.8
"""So long after a signal the process ends, whatever goes on in threads, which nobody can stop."""
SAY_S = 1.0
"""For the last line of a log, whose reader may have stopped: then none is written."""
FILES = 8192
"""Open at once, if the system lets us: by default it gives 1,024, which strangers' connections
alone can use up."""

log = logging.getLogger(__name__)

S_contra = TypeVar("S_contra", bound="Settings", contravariant=True)

AllowOtherWeights = Annotated[
    bool | None,
    typer.Option(
        "--allow-other-weights",
        help="Weakening: run a model file that is not the subnet's. For demos and tests.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(help="What runs the model: llamacpp, torch or openai. The rest is in [engine]."),
]
Wait = Annotated[
    bool | None,
    typer.Option("--wait", help="Wait for a seat instead of ending when there is none."),
]


class Program(Protocol[S_contra]):
    """A process: it runs until `stop` is set."""

    def __call__(self, settings: S_contra, *, stop: asyncio.Event) -> Awaitable[None]:
        """Run."""
        ...


def _allow_files() -> None:
    """Allow this process, and those it starts, to hold enough connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _code_of(number: signal.Signals | None) -> int:
    return exits.INTERRUPTED if number is signal.SIGINT else 0


def end_now(reason: str) -> None:
    """End this process for its supervisor, whatever hangs in it: for a watchdog's thread."""
    saying = threading.Thread(
        target=log.critical, args=("%s; ending, to be started again", reason), daemon=True
    )
    saying.start()
    saying.join(SAY_S)
    os._exit(exits.STALLED)


class Fuse:
    """Ends this process when Python itself is stuck, with code 1 and where it was on stderr."""

    def light(self, seconds: float) -> None:
        """Let it burn so long from now."""
        faulthandler.dump_traceback_later(seconds, exit=True)

    def put_out(self) -> None:
        """Let it not burn any more."""
        faulthandler.cancel_dump_traceback_later()


def _leave_anyway(number: signal.Signals) -> None:
    def leave() -> None:
        log.warning("a thread computes on after %g s; cut off", LEAVE_S)
        os._exit(_code_of(number))

    timer = threading.Timer(LEAVE_S, leave)
    timer.daemon = True
    timer.start()


def run(
    program: Program[S_contra], kind: type[S_contra], config: Path | None, flags: Flags
) -> None:
    """Read the settings and run until SIGTERM (exit 0) or Ctrl-C (exit 130)."""
    from chain.errors import ChainAway
    from subnet.config import load

    output.log_to_stderr()
    _allow_files()
    search_working_folder()
    settings = load(kind, file=config, flags=flags)

    async def until_stopped() -> signal.Signals | None:
        stop = asyncio.Event()
        received: list[signal.Signals] = []

        def on_signal(number: signal.Signals) -> None:
            if not received:
                _leave_anyway(number)
            received.append(number)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        telling = asyncio.create_task(notify.keep_alive())
        running = asyncio.ensure_future(program(settings, stop=stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        telling.cancel()
        notify.notify("STOPPING=1")
        if not running.done():
            await asyncio.wait([running], timeout=END_S)
        if not running.done():
            # Something that was told to end did not hear it: leaving the loop tells it once more.
            log.warning("not everything ended in %g s; cut off", END_S)
        else:
            running.result()
        return received[0] if received else None

    try:
        stopped_by = asyncio.run(until_stopped())
    except ChainAway as error:
        advice = "see --network; a chain of your own starts with: subnet devnet"
        raise ChainAway(error.endpoint, f"{error.reason}; {advice}") from error
    except Exception as error:
        if exits.code_of(error) is None:
            log.exception("a bug ended this process")  # it may not be seen a second time
        raise
    if _code_of(stopped_by):
        raise typer.Exit(_code_of(stopped_by))
