"""Files that are damaged, foreign, locked or on a full disk: one clear line, and nothing lost."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from chain.devnet.database import DatabaseUnusable
from chain.devnet.engines.python import PythonEngine
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Manual
from subnet.cli.app import app
from tests.chaos.test_kill import check, ensure_replays
from tests.devnet.conftest import Client
from tests.devnet.process import devnet_process

BLOCKS = 40


@pytest.fixture(scope="module")
def engine() -> PythonEngine:
    return dev_engine()


@pytest.fixture(scope="module")
def good(engine: PythonEngine, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database file that was closed in order."""
    path = tmp_path_factory.mktemp("good") / "chain.db"

    async def make() -> None:
        async with Node(engine, NodeConfig(Manual(), path)) as node:
            await node.mine(BLOCKS)

    asyncio.run(make())
    return path.read_bytes()


def contents(engine: PythonEngine, path: Path) -> tuple[list[bytes], list[dict[bytes, Any]]]:
    """Every block, and the state after each."""
    node = Node(engine, NodeConfig(Manual(), path))
    try:
        blocks = [node.store.find_number(number) for number in range(node.head.number + 1)]
        states = [node.store.state(block) for block in blocks if block is not None]
        return (
            [block.hash + b"".join(block.extrinsics) for block in blocks if block is not None],
            [{key: state.get(key) for key in state.keys(b"")} for state in states],
        )
    finally:
        node.store.close()


def damaged(data: bytes, rng: Random) -> Iterator[bytes]:
    """Cut short, with a bit flipped, with zeros as after a power cut, with junk."""
    at = rng.randrange(len(data))
    yield data[:at]
    yield data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    for patch in (bytes(rng.choice((1, 100, 4096, 20_000))), rng.randbytes(rng.choice((1, 4, 99)))):
        yield (data[:at] + patch + data[at + len(patch) :])[: len(data)]


@pytest.mark.parametrize("rounds", [15, pytest.param(400, marks=pytest.mark.slow)])
def test_a_damaged_file_is_refused_or_holds_what_it_held(
    rounds: int, engine: PythonEngine, good: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "good.db"
    path.write_bytes(good)
    expected, rng = contents(engine, path), Random(rounds)
    refused = 0
    for number in range(rounds):
        for kind, data in enumerate(damaged(good, rng)):
            path = tmp_path / f"{number}-{kind}.db"
            path.write_bytes(data)
            try:
                assert contents(engine, path) == expected, f"round {number}, kind {kind}"
            except DatabaseUnusable:
                refused += 1
            assert path.read_bytes() == data
            path.unlink()
    assert refused > rounds


def test_a_log_that_was_torn_off(engine: PythonEngine, tmp_path: Path) -> None:
    """What a killed process leaves is two files; the end of the second may be missing or wrong."""
    path = tmp_path / "chain.db"
    node = Node(engine, NodeConfig(Manual(), path))
    for _ in range(BLOCKS):
        node._author.make()
    log = Path(f"{path}-wal")
    base, written = path.read_bytes(), log.read_bytes()
    node.store.close()
    blocks, states = contents(engine, path)
    rng = Random(1)
    for number in range(20):
        at = rng.randrange(len(written))
        path = tmp_path / f"{number}.db"
        path.write_bytes(base)
        torn = written[:at] + rng.randbytes(number % 2 * 4096)
        Path(f"{path}-wal").write_bytes(torn)
        found = contents(engine, path)  # never refused: the last whole block is the head
        kept = len(found[0])
        assert found == ((blocks[:kept], states[:kept]) if kept > 1 else (blocks[:1], states[:1]))


@pytest.mark.parametrize("kind", ["torn", "text", "empty dump", "of another program"])
def test_what_people_are_told(
    kind: str, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chain.db"
    if kind == "of another program":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE mine (a)")
            connection.execute("INSERT INTO mine VALUES (1)")
        connection.close()
    else:
        path.write_bytes({"torn": good[:30_000], "text": b"notes " * 999}.get(kind, good[:100]))
    before = path.read_bytes()
    monkeypatch.setattr(logging.root, "handlers", [])  # the command makes its own
    for option in ("--db", "--load"):
        done = CliRunner().invoke(app, ["devnet", "--port", "0", option, str(path)])
        assert (done.exit_code, done.stdout) == (9, ""), (done.stdout, done.stderr)
        assert done.stderr.count("\n") == 1 and str(path) in done.stderr
        assert path.read_bytes() == before
        assert [one.name for one in tmp_path.iterdir()] == ["chain.db"]


async def rpc(url: str, *requests: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The whole answers to some requests."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        client = Client(socket)
        return [await client.ask(*request) for request in requests]


def size_limit(pid: int, size: int) -> None:
    """How large a file of that process may become: to it the disk is full."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_disk_that_is_full_and_then_is_not(tmp_path: Path) -> None:
    path, log = tmp_path / "chain.db", tmp_path / "log"
    seen: dict[int, str] = {}

    async def heights(url: str, count: int) -> None:
        """Note the blocks so far, and make some more."""
        mined, numbers = await rpc(url, ("devnet_mine", count), ("chain_getHeader",))
        head = int(numbers["result"]["number"], 16)
        (hashes,) = await rpc(url, ("chain_getBlockHash", list(range(head + 1))))
        seen.update(enumerate(hashes["result"]))

    async def full(url: str) -> None:
        mined, head, key = await rpc(
            url,
            ("devnet_mine", 1000),
            ("chain_getHeader",),
            ("state_getStorage", "0x" + "00" * 16),
        )
        assert str(path) in mined["error"]["message"]
        last = int(head["result"]["number"], 16)
        assert last < len(seen) + 999 and key["result"] is None
        (again,) = await rpc(url, ("chain_getHeader",))
        assert int(again["result"]["number"], 16) == last
        (hashes,) = await rpc(url, ("chain_getBlockHash", list(range(last + 1))))
        assert {number: hashes["result"][number] for number in seen} == seen
        seen.update(enumerate(hashes["result"]))

    options = ("--db", str(path), "--block-time", "0.05")
    with devnet_process(log, *options) as devnet:
        asyncio.run(heights(devnet.url, 5))
        size_limit(devnet.popen.pid, 2**20)
        asyncio.run(full(devnet.url))
        asyncio.run(asyncio.sleep(0.3))  # its own blocks fail as well, and it says so once
        size_limit(devnet.popen.pid, resource.RLIM_INFINITY)
        asyncio.run(heights(devnet.url, 5))
        size_limit(devnet.popen.pid, 2**20)
        devnet.popen.kill()
        assert devnet.popen.wait(10) == -signal.SIGKILL
    lines = log.read_text().splitlines()
    assert len(lines) == 1 and "no block on" in lines[0] and str(path) in lines[0]
    with devnet_process(log, *options) as devnet:
        asyncio.run(check(devnet.url, seen))
        devnet.popen.terminate()
        assert devnet.popen.wait(10) == 0
    ensure_replays(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_dump_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    dump, log = tmp_path / "dump.db", tmp_path / "log"
    dump.write_bytes(b"the dump of yesterday")
    with devnet_process(log, "--dump", str(dump), "--block-time", "manual") as devnet:
        size_limit(devnet.popen.pid, 10_000)
        devnet.popen.terminate()
        assert devnet.popen.wait(10) == 9
    assert dump.read_bytes() == b"the dump of yesterday"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dump.db", "log"]
    assert log.read_text().count("\n") == 1 and str(dump) in log.read_text()
