"""A devnet of its own for each test that asks: a real process on a free port."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.client import Chain
from chain.errors import ChainAway


class Devnet:
    """A chain with a block every quarter of a second, in a file; it can be killed and started."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "subnet.cli.app", "devnet", "--block-time", "0.25"]
        command += ["--port", str(self._port), "--db", str(self._folder / "chain.sqlite")]
        log = self._folder / "devnet.log"
        with log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
        deadline = time.monotonic() + 60
        while True:
            try:
                async with Chain.connect(self.url) as chain:
                    await chain.wait_for_block(1)
                    return
            except ChainAway:
                if self._process.returncode is not None or time.monotonic() > deadline:
                    pytest.fail(f"the devnet is away: {log.read_text()[-2000:]}")
                await asyncio.sleep(0.1)

    async def hang_up(self) -> None:
        """Stop it the polite way: it closes its connections and ends."""
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Devnet]:
    """A running devnet of the test's own."""
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))
    devnet = Devnet(tmp_path)
    await devnet.start()
    try:
        yield devnet
    finally:
        await devnet.kill()


@pytest.fixture
def devnet(node: Devnet) -> str:
    """The ws:// address of that devnet."""
    return node.url
