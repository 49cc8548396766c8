"""No process outlives a run, however the run ends; and one that ends early is named."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from subnet.cli.demo.processes import Processes
from subnet.errors import ProcessDied

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('here', flush=True); time.sleep(600)",
]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pids_of(processes: Processes) -> list[int]:
    return [process.pid for process in processes._running.values()]


async def heard(processes: Processes, *names: str) -> None:
    async with asyncio.timeout(20):
        while not all("here" in processes.log(name).read_text() for name in names):
            await asyncio.sleep(0.02)


async def test_all_end_even_the_stubborn(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        await processes.start("mild", SLEEPER, os.environ, tmp_path)
        await processes.start("stubborn", STUBBORN, os.environ, tmp_path)
        await heard(processes, "mild", "stubborn")
        pids = pids_of(processes)
        groups = {os.getpgid(pid) for pid in pids}
        assert len(groups) == 1 and groups != {os.getpgid(0)}
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert not any(is_alive(pid) for pid in pids)


async def test_the_one_that_died_is_named_with_its_last_words(tmp_path: Path) -> None:
    last_words = [sys.executable, "-c", "print('one'); print('two'); raise SystemExit(7)"]
    async with Processes(tmp_path) as processes:
        await processes.start("well", SLEEPER, os.environ, tmp_path)
        await processes.start("ill", last_words, os.environ, tmp_path)
        with pytest.raises(ProcessDied) as caught:
            await asyncio.wait_for(processes.watch(), 20)
    assert (caught.value.name, caught.value.code, caught.value.tail) == ("ill", 7, "one | two")
    assert str(caught.value) == (
        f"ill ended with exit code 7; its log {tmp_path / 'ill.log'} ends: one | two"
    )


async def test_one_that_was_ended_on_purpose_is_not_missed(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        watch = asyncio.create_task(processes.watch())
        for name, command in {"mild": SLEEPER, "stubborn": STUBBORN}.items():
            await processes.start(name, command, os.environ, tmp_path)
        await heard(processes, "mild", "stubborn")
        old = pids_of(processes)
        await processes.end("mild")
        await processes.end("stubborn", signal.SIGKILL)
        assert not any(is_alive(pid) for pid in old)
        await processes.start("mild", SLEEPER, os.environ, tmp_path)
        assert not watch.done()
        (again,) = pids_of(processes)
        os.kill(again, signal.SIGKILL)
        with pytest.raises(ProcessDied, match="mild ended by signal 9"):
            await asyncio.wait_for(watch, 20)


ORCHESTRATOR = """
import asyncio, os, sys
from pathlib import Path
from subnet.cli.demo.processes import Processes

async def main():
    folder = Path(sys.argv[1])
    async with Processes(folder) as processes:
        await processes.start("child", [sys.executable, "-c", sys.argv[2]], os.environ, folder)
        while not processes.log("child").read_text():
            await asyncio.sleep(0.02)
        print(*[process.pid for process in processes._running.values()], flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_no_child_outlives_a_killed_orchestrator(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORCHESTRATOR, str(tmp_path), STUBBORN[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as orchestrator:
        assert orchestrator.stdout is not None
        child = int(orchestrator.stdout.readline())
        assert is_alive(child)
        orchestrator.send_signal(signal.SIGKILL)
        orchestrator.wait()
    deadline = time.monotonic() + 8
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
