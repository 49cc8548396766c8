"""Whatever a neuron is doing, and whatever part of it is deaf: asked to end, it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEAF = """
import asyncio, sys
from subnet.cli.neuron import run
from subnet.config import MinerSettings

async def deaf(settings, *, stop):
    sys.stdout.write("up\\n")
    sys.stdout.flush()
    await asyncio.Event().wait()

run(deaf, MinerSettings, None, {})
"""


def started(program: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=folder, env=environment | {"PYTHONPATH": root},
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_does_not_hear_the_signal_is_cut_off(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started(DEAF, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert "cut off" in said


STUCK = """
import asyncio, sys, time
from subnet.cli.neuron import run
from subnet.config import MinerSettings

async def stuck(settings, *, stop):
    computing = asyncio.create_task(asyncio.to_thread(time.sleep, 60))
    sys.stdout.write("up\\n")
    sys.stdout.flush()
    await stop.wait()

run(stuck, MinerSettings, None, {})
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_thread_that_computes_on_does_not_hold_the_end_up(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    with started(STUCK, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert "cut off" in said and process.returncode == code


FILES = """
import resource, sys
from subnet.cli.neuron import run
from subnet.config import MinerSettings

async def count(settings, *, stop):
    sys.stdout.write("%d %d\\n" % resource.getrlimit(resource.RLIMIT_NOFILE))

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
run(count, MinerSettings, None, {})
"""


@pytest.mark.parametrize(("soft", "hard", "then"), [(1024, 9000, 8192), (1024, 2048, 2048)])
def test_a_neuron_may_hold_more_files_than_its_connections_need(
    soft: int, hard: int, then: int, tmp_path: Path
) -> None:
    with started(FILES, tmp_path, str(soft), str(hard)) as process:
        heard, _ = process.communicate(timeout=20)
    assert heard == f"{then} {hard}\n"


BUG = """
from subnet.cli.neuron import run
from subnet.config import MinerSettings

async def breaks(settings, *, stop):
    assert settings is None

run(breaks, MinerSettings, None, {})
"""


def test_a_bug_leaves_its_trace_in_the_log(tmp_path: Path) -> None:
    with started(BUG, tmp_path) as process:
        _, said = process.communicate(timeout=20)
    said, _, logged = said.partition("a bug ended this process")
    assert "Traceback" not in said and "in breaks" in logged[:2000]
