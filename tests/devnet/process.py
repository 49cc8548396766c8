"""`subnet devnet` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Process:
    """A running devnet, and what it printed."""

    popen: subprocess.Popen[str]
    printed: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.printed["url"])


@contextmanager
def devnet_process(log: Path, *options: str) -> Iterator[Process]:
    """Start one on a free port, wait until it listens, and end it if it has not ended."""
    command = [sys.executable, "-m", "subnet.cli.app", "devnet", "--port", "0", "--json", *options]
    with (
        log.open("a") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as popen,
    ):
        try:
            assert popen.stdout is not None
            lines: list[str] = []
            for line in popen.stdout:
                lines.append(line)
                if line == "}\n":
                    break
            assert lines, f"it ended at once: {log.read_text()}"
            yield Process(popen, json.loads("".join(lines)))
        finally:
            popen.kill()
