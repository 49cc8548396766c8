"""Where copies of the round log go: Weights & Biases today. A sink can never stop a validator.

Whatever a sink raises is logged once, and from then on that sink is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from subnet.errors import MissingExtra

log = logging.getLogger(__name__)


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
        self._sinks = list(sinks)

    async def write(self, line: Mapping[str, Any]) -> None:
        """Copy one line to every sink that still works."""
        await self._each(lambda sink: sink.write(line))

    async def close(self) -> None:
        """Close every sink that still works."""
        await self._each(lambda sink: sink.close())

    async def _each(self, act: Callable[[Sink], None]) -> None:
        for sink in tuple(self._sinks):
            try:
                await asyncio.to_thread(act, sink)
            except Exception:
                log.exception("sink %s failed and is not used any more", sink.name)
                self._sinks.remove(sink)


@asynccontextmanager
async def open_sinks(*factories: Callable[[], Sink]) -> AsyncIterator[Sinks]:
    """Open what `factories` make, each in a thread; one that fails is logged and left out.

    Raises MissingExtra: a package the settings ask for is a setting to mend, not a failure.
    """
    opened = []
    for factory in factories:
        try:
            opened.append(await asyncio.to_thread(factory))
        except MissingExtra:
            raise
        except Exception:
            log.exception("a sink could not be opened and is not used")
    sinks = Sinks(tuple(opened))
    try:
        yield sinks
    finally:
        await sinks.close()


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
