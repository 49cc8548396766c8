"""The processes of a run, in one process group that cannot outlive it.

The group's leader is a warden: a shell that waits for the end of a pipe only this process holds
open. Whatever ends us, a clean stop, a bug or a SIGKILL, the pipe ends, and the warden ends the
group: SIGTERM, four seconds, SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from subnet.errors import ProcessDied

GRACE_S = 3.5
"""Time to end after SIGTERM; the whole stop is promised within five seconds."""
TAIL_LINES = 5

_WARDEN = 'trap "" TERM INT HUP; read -r _; kill -TERM 0; sleep 4; kill -KILL 0'


class Processes:
    """Starts processes into one group, watches them, and ends them all."""

    def __init__(self, logs: Path) -> None:
        """`logs` is the folder for one log file a process; it must exist."""
        self._logs = logs
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._started = asyncio.Event()
        self._warden: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._warden = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _WARDEN, stdin=asyncio.subprocess.PIPE, process_group=0
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.shield(self.stop())

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._logs / f"{name}.log"

    async def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        """Start one process in `folder`, its stdout and stderr in its log."""
        assert self._warden is not None
        folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                process_group=self._warden.pid,
            )
        self._started.set()

    async def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End one process by a signal, SIGKILL if that does not help; it is watched no more."""
        process = self._running.pop(name)
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def watch(self) -> None:
        """Wait until a process ends that we did not end, and raise ProcessDied; never returns."""
        while True:
            self._started.clear()
            started = asyncio.create_task(self._started.wait())
            endings = {
                asyncio.create_task(process.wait()): name for name, process in self._running.items()
            }
            try:
                await asyncio.wait({started, *endings}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (started, *endings):
                    task.cancel()
            for name, process in self._running.items():
                if process.returncode is not None:
                    raise ProcessDied(name, process.returncode, self.log(name), self._tail(name))

    async def stop(self) -> None:
        """End all: SIGTERM to the group, then SIGKILL to whatever is left of it."""
        if self._warden is None:
            return
        group, self._warden = self._warden, None
        _signal_group(group.pid, signal.SIGTERM)
        waits = [asyncio.create_task(process.wait()) for process in self._running.values()]
        if waits:
            await asyncio.wait(waits, timeout=GRACE_S)
        _signal_group(group.pid, signal.SIGKILL)  # the warden itself, and any grandchild
        await asyncio.gather(group.wait(), *waits)

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-TAIL_LINES:])


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
