"""Where copies of the round log go: Weights & Biases, OpenTelemetry. No sink can delay a round.

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
from validators.background import Background

log = logging.getLogger(__name__)

OPEN_S = 60.0
"""A sink that takes longer to open is not used."""
WRITE_S = 15.0
"""A sink that takes longer for one line is left alone."""
QUEUE = 64
"""Lines that wait for one sink at most."""
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
    """All sinks of a validator, behind the one door that lets no failure through.

    Each has a task, a thread and a queue of its own: neither a round nor another sink waits for it.
    """

    def __init__(self, sinks: tuple[Sink, ...] = ()) -> None:
        self._lanes: list[_Lane] = [_Lane(sink, _Hand()) for sink in sinks]

    async def open(self, factory: Callable[[], Sink]) -> None:
        """Take what `factory` makes; if it fails that is logged. Raises MissingExtra."""
        hand = _Hand()
        try:
            self._lanes.append(_Lane(await hand.do(factory, OPEN_S), hand))
        except MissingExtra:
            raise
        except Exception:
            log.exception("a sink could not be opened and is not used")

    def write(self, line: Mapping[str, Any]) -> None:
        """Hand one line to every sink that still works; returns at once."""
        for lane in self._lanes:
            lane.lines.put(line)

    async def close(self) -> None:
        """Write out what waits and close every sink that still works, all at the same time."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    @property
    def failed(self) -> frozenset[str]:
        """Names of the sinks that are left alone."""
        return frozenset(lane.sink.name for lane in self._lanes if lane.lines.failed)

    @property
    def dropped(self) -> dict[str, int]:
        """Lines that were dropped because a sink was too slow, by its name."""
        return {lane.sink.name: lane.lines.dropped for lane in self._lanes}


class _Lane:
    """One sink with its thread and what waits for it."""

    def __init__(self, sink: Sink, hand: _Hand) -> None:
        self.sink = sink
        self._hand = hand
        self.lines: Background[Mapping[str, Any]] = Background(
            f"sink {sink.name}", self._write, most=QUEUE
        )

    async def _write(self, line: Mapping[str, Any]) -> None:
        await self._hand.do(partial(self.sink.write, line), WRITE_S)

    async def close(self) -> None:
        await self.lines.close(CLOSE_S / 2)
        if self.lines.failed:
            return
        try:
            await self._hand.do(self.sink.close, CLOSE_S / 2)
        except Exception:
            log.exception("sink %s could not be closed", self.sink.name)


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
        # Not wait_for: in Python 3.11 it forgets that it was cancelled if `work` is done just then.
        async with asyncio.timeout(most_s):
            return await done

    def _run(self) -> None:
        while True:
            self._work.get()()


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """What a line of kind "round" says in numbers, without its scores."""
    return {
        "block": line["block"],
        "epoch": line["epoch"],
        "answered": sum(reply["ok"] for reply in line["replies"]),
        "weights/set": float(line["weights"]["set"]),
        "weights/read_back": float(bool(line["weights"]["read_back"])),
    }


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
        figures = numbers(line)
        for hotkey, score in line["scores"].items():
            figures[f"score/{hotkey}"] = score
        self._run.log(figures, step=line["round"])

    def close(self) -> None:
        """End the run."""
        self._run.finish()


class OtelSink:
    """Rounds as OpenTelemetry gauges, sent by OTLP over HTTP after each round."""

    name = "otel"

    def __init__(self, endpoint: str, *, facts: Mapping[str, Any]) -> None:
        """Send to the collector at `endpoint` (its base URL). Raises MissingExtra."""
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
            from opentelemetry.sdk.resources import Resource
        except ModuleNotFoundError as error:
            raise MissingExtra("opentelemetry", "otel") from error
        url = endpoint.rstrip("/") + "/v1/metrics"
        self._exporter: Any = OTLPMetricExporter(endpoint=url, timeout=WRITE_S / 2)
        self._success = MetricExportResult.SUCCESS
        # The SDK's own periodic reader sends by the clock, and hides whether that went well.
        self._reader: Any = InMemoryMetricReader()
        attributes = {"service.name": "subnet-validator"}
        attributes |= {f"subnet.{name}": str(value) for name, value in facts.items()}
        self._provider: Any = MeterProvider(
            metric_readers=[self._reader], resource=Resource(attributes), shutdown_on_exit=False
        )
        self._meter = self._provider.get_meter("subnet.validator")
        self._gauges: dict[str, Any] = {}

    def write(self, line: Mapping[str, Any]) -> None:
        """Send the numbers of one round. Raises OSError when the collector does not take them."""
        self._set("round", line["round"], {})
        for name, value in numbers(line).items():
            self._set(name.replace("/", "."), value, {})
        for hotkey, score in line["scores"].items():
            self._set("score", score, {"hotkey": hotkey})
        if self._exporter.export(self._reader.get_metrics_data()) is not self._success:
            raise OSError("the collector does not take them")

    def _set(self, name: str, value: float, attributes: Mapping[str, str]) -> None:
        if name not in self._gauges:
            self._gauges[name] = self._meter.create_gauge(f"subnet.{name}")
        self._gauges[name].set(value, attributes)

    def close(self) -> None:
        """End the exporter."""
        self._provider.shutdown()
        self._exporter.shutdown()
