"""`subnet devnet` as people run it: what it prints, how it ends, what a kill -9 leaves."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.devnet.conftest import Client
from tests.devnet.process import Process, devnet_process


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """A devnet that is expected to end by itself."""
    command = [sys.executable, "-m", "subnet.cli.app", "devnet", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def ask(url: str, *requests: tuple[str, *tuple[object, ...]]) -> list[Any]:
    """The results of some requests over one WebSocket."""

    async def go() -> list[Any]:
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            client = Client(socket)
            return [await client.get(*request) for request in requests]

    return asyncio.run(go())


def test_what_it_prints_and_how_it_ends(tmp_path: Path) -> None:
    with devnet_process(tmp_path / "log", "--block-time", "manual") as devnet:
        printed = devnet.printed
        assert printed["accounts"][0] == {
            "uri": "//Alice",
            "ss58": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
            "balance_rao": 10**15,
        }
        assert printed["sudo"] == printed["accounts"][0]["ss58"]
        assert len(printed["accounts"]) == 6
        genesis, head = ask(devnet.url, ("chain_getBlockHash", 0), ("chain_getHead",))
        assert genesis == printed["genesis"] == head
        devnet.popen.send_signal(signal.SIGTERM)
        assert devnet.popen.wait(10) == 0
    with devnet_process(tmp_path / "log") as devnet:
        devnet.popen.send_signal(signal.SIGINT)
        assert devnet.popen.wait(10) == 130
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_text_for_people() -> None:
    command = [sys.executable, "-m", "subnet.cli.app", "devnet", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as popen:
        assert popen.stdout is not None
        lines = [popen.stdout.readline() for _ in range(8)]
        popen.terminate()
    assert re.fullmatch(r"A chain of your own: ws://127\.0\.0\.1:\d+\n", lines[0])
    alice = r"//Alice    5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY  1,000,000 TAO  root\n"
    assert re.fullmatch(alice, lines[2])


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port} is taken" in done.stderr


@pytest.mark.parametrize("block_time", ["soon", "0", "-1", "nan", "1e9"])
def test_a_block_time_that_makes_no_sense_is_one_line(block_time: str) -> None:
    done = run("--port", "0", "--block-time", block_time)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--block-time" in done.stderr


def test_a_database_that_is_in_use_or_none_at_all_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    with devnet_process(tmp_path / "log", "--db", str(path)):
        in_use = run("--port", "0", "--db", str(path))
    nowhere = run("--port", "0", "--db", str(tmp_path / "no" / "chain.db"))
    other = run("--port", "0", "--db", str(path), "--block-time", "12")
    says = ("in use by another process", "unable to open", "holds another chain")
    for done, text in zip((in_use, nowhere, other), says, strict=True):
        assert done.returncode == 9, done.stderr
        assert done.stderr.count("\n") == 1
        assert text in done.stderr


def test_a_chain_that_is_killed_goes_on(tmp_path: Path) -> None:
    options = ("--db", str(tmp_path / "chain.db"), "--block-time", "manual")
    seen: dict[int, str] = {}
    for _ in range(3):
        with devnet_process(tmp_path / "log", *options) as devnet:
            top = devnet.printed["block"]
            assert top >= max(seen, default=0)
            if seen:
                numbers = sorted(seen)
                (hashes,) = ask(devnet.url, ("chain_getBlockHash", numbers))
                assert hashes == [seen[number] for number in numbers]
            seen |= asyncio.run(heads_until_killed(devnet, top))
            assert devnet.popen.wait(10) == -signal.SIGKILL
    with devnet_process(tmp_path / "log", *options) as devnet:
        (made,) = ask(devnet.url, ("devnet_mine", 1))
        assert made["number"] > max(seen)
    assert "Traceback" not in (tmp_path / "log").read_text()


async def heads_until_killed(devnet: Process, top: int) -> dict[int, str]:
    """Hashes by height of what was announced before a kill -9 in the midst of writing."""
    headers: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(devnet.url) as socket:
        client = Client(socket)
        heads = await client.get("chain_subscribeNewHeads")
        endless = {"jsonrpc": "2.0", "id": 0, "method": "devnet_mine", "params": [100_000]}
        await socket.send_json(endless)
        while len(headers) < 200:
            headers.append(await client.note(heads))
        devnet.popen.kill()
    hashes = [header["parentHash"] for header in headers[1:]]
    return dict(zip(range(top, top + 199), hashes, strict=True))
