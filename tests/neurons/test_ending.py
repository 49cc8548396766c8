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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_does_not_hear_the_signal_is_cut_off(
    number: signal.Signals, tmp_path: Path
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment | {"PYTHONPATH": root},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert "cut off" in said
