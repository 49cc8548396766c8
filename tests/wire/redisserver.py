"""A Redis server of a test's own: started on a free port, killed and restarted by pid."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 20.0

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed"
)


class RedisServer:
    """One server; with `snapshots`, what `save` wrote is there again after a restart."""

    def __init__(self, folder: Path, *, snapshots: bool = False) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._folder = folder
        self._snapshots = snapshots
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self._folder), "--dbfilename", "dump.rdb",
             "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + PATIENCE_S
        while self.ask("PING") != b"+PONG":
            assert time.monotonic() < until, "redis-server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once; what was not saved is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, paused: bool) -> None:
        """Have it stand still, its connections open, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def restart(self) -> None:
        """Kill it, and start it again on the same port."""
        self.kill()
        if not self._snapshots:
            (self._folder / "dump.rdb").unlink(missing_ok=True)
        self.start()

    def ask(self, command: str) -> bytes | None:
        """The first line of the answer to an inline command; None when nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(command.encode() + b"\r\n")
                return connection.recv(4096).split(b"\r\n")[0]
        except OSError:
            return None


@contextmanager
def redis_server(folder: Path, *, snapshots: bool = False) -> Iterator[RedisServer]:
    """A server that is gone with the context."""
    server = RedisServer(folder, snapshots=snapshots)
    try:
        yield server
    finally:
        server.kill()
