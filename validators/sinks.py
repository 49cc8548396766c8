"""Where copies of the round log go: Weights & Biases today. A sink can never stop a validator.

Whatever a sink raises, and a sink that hangs, is logged once; from then on it is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from subnet.errors import MissingExtra

log = logging.getLogger(__name__)

OPEN_S = 60.0
"""A sink that takes longer to open is not used."""
WRITE_S = 15.0
CLOSE_S = 3.0
"""Little: a process that is asked to end is gone within 5 seconds."""

T = TypeVar("T")


class Sink(Protocol):
    """Somewhere to copy rounds to. Its methods may block: they are called in a thread."""

    name: str

    def write(self, line: Mapping[str, Any]) -> None:
        """Copy one line of the journal."""
        ...

    def close(self) -> None:
        """Write out what is left."""
        ...


class Sinks:
    """All sinks of a validator, behind the one door that lets no failure through."""

    def __init__(self, sinks: tuple[Sink, ...] = ()) -> None:
        self._sinks = [(sink, _Hand()) for sink in sinks]

    async def open(self, factory: Callable[[], Sink]) -> None:
        """Take what `factory` makes; if it fails that is logged. Raises MissingExtra."""
        hand = _Hand()
        try:
            self._sinks.append((await hand.do(factory, OPEN_S), hand))
        except MissingExtra:
            raise
        except Exception:
            log.exception("a sink could not be opened and is not used")

    async def write(self, line: Mapping[str, Any]) -> None:
        """Copy one line to every sink that still works."""
        await self._each(lambda sink: sink.write(line), WRITE_S)

    async def close(self) -> None:
        """Close every sink that still works."""
        await self._each(lambda sink: sink.close(), CLOSE_S)

    async def _each(self, act: Callable[[Sink], None], most_s: float) -> None:
        for sink, hand in tuple(self._sinks):
            try:
                await hand.do(partial(act, sink), most_s)
            except Exception:
                log.exception("sink %s failed and is not used any more", sink.name)
                self._sinks.remove((sink, hand))


@asynccontextmanager
async def open_sinks(*factories: Callable[[], Sink]) -> AsyncIterator[Sinks]:
    """Open what `factories` make, each in a thread; one that fails is logged and left out.

    Raises MissingExtra: a package the settings ask for is a setting to mend, not a failure.
    """
    sinks = Sinks()
    for factory in factories:
        await sinks.open(factory)
    try:
        yield sinks
    finally:
        await sinks.close()


class _Hand:
    """One sink's own thread: it is opened, written and closed by the same one, in order.

    A daemon thread, not one of the loop's pool: a process cannot end while one of those hangs.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="sink", daemon=True).start()

    async def do(self, work: Callable[[], T], most_s: float) -> T:
        """What `work` returns or raises; TimeoutError after `most_s` seconds."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def tell(outcome: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(lambda: None if done.done() else outcome())

        def act() -> None:
            try:
                found = work()
            except BaseException as error:
                tell(partial(done.set_exception, error))
            else:
                tell(partial(done.set_result, found))

        self._work.put(act)
        return await asyncio.wait_for(done, most_s)

    def _run(self) -> None:
        while True:
            self._work.get()()


class WandbSink:
    """Rounds as a Weights & Biases run; `offline` writes it to `folder` and never dials out."""

    name = "wandb"

    def __init__(
        self,
        folder: Path,
        *,
        mode: Literal["offline", "online"],
        run_name: str,
        facts: Mapping[str, Any],
    ) -> None:
        """Start a run about `facts`. Raises MissingExtra without the `wandb` package."""
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise MissingExtra("wandb", "wandb") from error
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project="subnet",
            name=run_name,
            dir=str(folder),
            mode=mode,
            config=dict(facts),
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def write(self, line: Mapping[str, Any]) -> None:
        """Log the numbers of one round, scores by hotkey."""
        numbers: dict[str, float] = {
            "block": line["block"],
            "epoch": line["epoch"],
            "answered": sum(reply["ok"] for reply in line["replies"]),
            "weights/set": float(line["weights"]["set"]),
            "weights/read_back": float(bool(line["weights"]["read_back"])),
        }
        for hotkey, score in line["scores"].items():
            numbers[f"score/{hotkey}"] = score
        self._run.log(numbers, step=line["round"])

    def close(self) -> None:
        """End the run."""
        self._run.finish()
