"""`subnet devnet` as people run it: what it prints, how it ends, what a kill -9 leaves."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from subnet.cli.app import app
from tests.devnet.conftest import Client
from tests.devnet.process import devnet_process


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


def test_a_chain_dumped_at_the_end_is_loaded_at_the_start(tmp_path: Path) -> None:
    dump = str(tmp_path / "dump.db")
    options = ("--block-time", "manual", "--preset", "minimal", "--accounts", "2")
    with devnet_process(tmp_path / "log", *options, "--dump", dump) as devnet:
        assert [account["uri"] for account in devnet.printed["accounts"]] == ["//Alice", "//Bob"]
        (head,) = ask(devnet.url, ("devnet_mine", 5))
        devnet.popen.terminate()
        assert devnet.popen.wait(10) == 0
    load = ("--load", dump, "--prune", "2")
    with devnet_process(tmp_path / "log", *options, *load) as devnet:
        made, again = ask(devnet.url, ("devnet_mine", 1), ("chain_getBlockHash", head["number"]))
        assert (made["number"], again) == (6, head["hash"])


def test_what_is_said_of_a_block_and_of_a_weakening() -> None:
    command = [sys.executable, "-m", "subnet.cli.app", "devnet", "--port", "0"]
    weak = ["--host", "0.0.0.0", "--allow-remote-control", "--block-time", "0.01"]
    with subprocess.Popen([*command, *weak], stderr=subprocess.PIPE, text=True) as popen:
        assert popen.stderr is not None
        lines = [popen.stderr.readline() for _ in range(11)]
        popen.terminate()
        assert popen.stderr.read() == ""
    assert "WARNING" in lines[0] and "remote control allowed" in lines[0]
    assert lines[1] == "#1      empty\n"
    assert lines[-1] == "#10     empty, more empty blocks are not shown\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--load", "nowhere"), (9, "nowhere: No such file")),
        (("--load", "text"), (9, "text: file is not a database")),
        (("--dump", "no/folder/here"), (2, "--dump")),
        (("--prune", "0"), (2, "--prune")),
        (("--preset", "maxnet"), (2, "--preset")),
        (("--accounts", "0"), (2, "--accounts")),
    ],
)
def test_options_that_make_no_sense(
    options: tuple[str, str], says: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", [])  # the command makes its own
    Path("text").write_text("long enough to be looked at, but not a database" * 99)
    runner = CliRunner()
    done = runner.invoke(app, ["devnet", "--port", "0", *options])
    assert (done.exit_code, done.stdout) == (says[0], "")
    assert done.stderr.count("\n") == 1
    assert says[1] in done.stderr


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
