"""Copies of the round log: they arrive, and whatever happens to them, validating goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from subnet.errors import MissingExtra
from validators.sinks import Sinks, WandbSink, open_sinks

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
        await sinks.write(LINE)
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
                await opened.write({})
asyncio.run(main())
sys.stdout.write("ended")
"""


def test_a_sink_that_hangs_holds_nothing_up_and_lets_the_process_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended"
    assert done.stderr.count("sink hanging failed and is not used any more") == 2
    assert done.stderr.count("a sink could not be opened") == 2


async def test_a_sink_that_cannot_open_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Memory:
        raise RuntimeError("no such project")

    sound = Memory()
    async with open_sinks(fail, lambda: sound) as sinks:
        await sinks.write(LINE)
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
            await sinks.write(LINE)
            await sinks.write({**LINE, "round": 2, "scores": {"5Miner": 0.5}})
    assert caplog.text == ""
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    # wandb's own process writes the file, a moment after close() has returned.
    while len(history := read_history(path)) < 2:
        await asyncio.sleep(0.1)
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
