"""Copies of the round log: they arrive, and whatever happens to them, validating goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from subnet.errors import MissingExtra
from tests.patience import until
from validators.sinks import QUEUE, OtelSink, Sinks, WandbSink, _Hand, open_sinks

LINE: dict[str, Any] = {
    "round": 1,
    "block": 40,
    "epoch": 3,
    "replies": [{"ok": True}, {"ok": False}],
    "scores": {"5Miner": 0.75},
    "weights": {"set": True, "read_back": True},
}


class Memory:
    """A sink that keeps what it is told, until it breaks."""

    name = "memory"

    def __init__(self, breaks_at: int = -1) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self.calls = 0
        self.closed = False
        self.breaks_at = breaks_at

    def write(self, line: Mapping[str, Any]) -> None:
        self.calls += 1
        if self.calls == self.breaks_at:
            raise OSError("the cable is out")
        self.lines.append(line)

    def close(self) -> None:
        self.closed = True


async def test_a_broken_sink_is_logged_once_and_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, sound = Memory(breaks_at=2), Memory()
    sinks = Sinks((broken, sound))
    for _ in range(4):
        sinks.write(LINE)
        await asyncio.sleep(0)
    await sinks.close()
    assert (broken.calls, broken.closed) == (2, False)
    assert (len(sound.lines), sound.closed) == (4, True)
    assert [record.getMessage() for record in caplog.records] == [
        "sink memory failed and is not used any more"
    ]


HANGING = """
import asyncio, sys, threading
from validators import sinks
sinks.OPEN_S = sinks.WRITE_S = sinks.CLOSE_S = 0.1

class Hanging:
    name = "hanging"
    def write(self, line):
        threading.Event().wait()
    def close(self):
        threading.Event().wait()

async def main():
    for lines in (0, 2):
        async with sinks.open_sinks(Hanging, threading.Event().wait) as opened:
            for _ in range(lines):
                opened.write({})
            while lines and not opened.failed:
                await asyncio.sleep(0.01)
asyncio.run(main())
sys.stdout.write("ended")
"""


def test_a_sink_that_hangs_holds_nothing_up_and_lets_the_process_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended"
    assert done.stderr.count("sink hanging failed and is not used any more") == 1
    assert done.stderr.count("sink hanging could not be closed") == 1
    assert done.stderr.count("a sink could not be opened") == 2


class Stuck(Memory):
    """A sink that hangs in its first line until it is let go."""

    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, line: Mapping[str, Any]) -> None:
        self.go.wait()
        super().write(line)


async def test_nobody_waits_for_a_sink_and_its_queue_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, sound = Stuck(), Memory()
    sinks = Sinks((stuck, sound))
    for number in range(QUEUE + 1):
        sinks.write({**LINE, "round": number})  # not a coroutine: it cannot wait
    await until(lambda: sound.lines)
    assert stuck.lines == [] and sinks.dropped == {"stuck": 1, "memory": 1}
    for number in range(10):
        sinks.write({**LINE, "round": 1000 + number})
    dropped = sinks.dropped["stuck"]
    stuck.go.set()  # before any assertion: nothing is left hanging when one fails
    await sinks.close()
    assert dropped > 1
    assert stuck.lines[-1]["round"] == sound.lines[-1]["round"] == 1009
    assert len(stuck.lines) <= QUEUE + 1
    assert caplog.text.count("sink stuck is too slow") == 1


async def test_cancelled_just_when_a_line_is_written_is_cancelled() -> None:
    """Or the task of that sink lives on, and the process with it, until a supervisor kills it."""
    hand, over = _Hand(), threading.Event()
    task = asyncio.create_task(hand.do(lambda: None, 60.0))
    await asyncio.sleep(0)
    hand._work.put(over.set)
    assert over.wait(60.0)  # the loop stands still: what was done is told, and not heard yet
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


@asynccontextmanager
async def collector(status: int = 200) -> AsyncIterator[tuple[str, list[Any]]]:
    """A real HTTP server that takes what an OTLP exporter sends."""
    proto = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    kind = proto.ExportMetricsServiceRequest
    got: list[Any] = []

    async def take(request: web.BaseRequest) -> web.Response:
        assert request.path == "/v1/metrics"
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        got.append(kind.FromString(body))
        return web.Response(status=status)

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", got
    finally:
        await runner.cleanup()


async def test_a_collector_gets_the_numbers_of_every_round() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs subnetkit[otel]")
    async with collector() as (url, got):
        async with open_sinks(lambda: OtelSink(url, facts={"netuid": 2})) as sinks:
            sinks.write(LINE)
            sinks.write({**LINE, "round": 2})
            await until(lambda: len(got) >= 2)
    (resource,) = got[1].resource_metrics
    facts = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert facts["subnet.netuid"] == "2"
    metrics = {m.name: m.gauge.data_points for m in resource.scope_metrics[0].metrics}
    assert metrics["subnet.round"][0].as_int == 2
    assert metrics["subnet.weights.read_back"][0].as_double == 1.0
    (score,) = metrics["subnet.score"]
    assert (score.as_double, score.attributes[0].value.string_value) == (0.75, "5Miner")


async def test_a_collector_that_refuses_or_is_not_there_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs subnetkit[otel]")
    async with collector(status=400) as (url, _):
        async with open_sinks(lambda: OtelSink(url, facts={})) as sinks:
            sinks.write(LINE)
            await until(lambda: sinks.failed)
    assert "sink otel failed and is not used any more" in caplog.text


async def test_a_sink_that_cannot_open_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Memory:
        raise RuntimeError("no such project")

    sound = Memory()
    async with open_sinks(fail, lambda: sound) as sinks:
        sinks.write(LINE)
    assert len(sound.lines) == 1 and sound.closed
    assert "no such project" in caplog.text


async def test_a_package_that_is_not_installed_is_a_setting_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra, match=r"subnetkit\[wandb\]"):
        async with open_sinks(lambda: WandbSink(tmp_path, mode="offline", run_name="x", facts={})):
            pass


async def test_an_offline_run_can_be_read_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> WandbSink:
        return WandbSink(tmp_path, mode="offline", run_name="netuid-2", facts={"netuid": 2})

    with caplog.at_level(logging.ERROR):
        async with open_sinks(make) as sinks:
            sinks.write(LINE)
            sinks.write({**LINE, "round": 2, "scores": {"5Miner": 0.5}})
    assert caplog.text == ""
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    # wandb's own process writes the file, a moment after close() has returned.
    await until(lambda: len(read_history(path)) >= 2)
    history = read_history(path)
    assert [(row["_step"], row["score/5Miner"]) for row in history] == [(1, 0.75), (2, 0.5)]
    assert (history[0]["block"], history[0]["answered"]) == (40, 1)
    assert history[0]["weights/read_back"] == 1.0


def read_history(path: Path) -> list[dict[str, Any]]:
    """The logged steps in an offline run's file."""
    from wandb.proto import wandb_internal_pb2

    kind: Any = vars(wandb_internal_pb2)["Record"]
    rows = []
    for data in read_chunks(path.read_bytes()):
        record = kind.FromString(data)
        if record.WhichOneof("record_type") == "history":
            rows.append(
                {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            )
    return rows


def read_chunks(raw: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB, chunks of crc32, length and kind."""
    assert raw.startswith(b":W&B")
    position, pending = 7, b""
    while position + 7 <= len(raw):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", raw, position)
        pending += raw[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield pending
            pending = b""
