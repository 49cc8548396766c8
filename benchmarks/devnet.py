"""The devnet beside the least that could do each job, measured in one run, medians of rounds.

    empty blocks a second, kept in SQLite   bare sqlite3 transactions that write the same bytes
    signed transfers, verified and run      bare bittensor_core.verify of the same signatures
    process start to the first RPC answer   python -c "import aiohttp, numpy"
    resident memory of an idle chain        a Python process that imported aiohttp and numpy
    a block of a long chain                 a block of a short one

The figures to quote are the ratios: both sides had the same input and the same machine at the same
time. Times are CPU seconds, except for the process start, which is the wall clock's. What the
figures are made of is in docs/devnet-speed.md.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bittensor_core
from bittensor_core import Keypair

from chain.devnet import Devnet
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Manual

IMPORTS = "import aiohttp, numpy"
ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


@dataclass(frozen=True)
class Figure:
    """One line of the result: `ours` beside `bare` in `unit`, and the ratio that is wanted."""

    name: str
    unit: str
    ours: float
    bare: float
    target: str

    def __str__(self) -> str:
        ratio = self.ours / self.bare
        sides = f"{self.ours:10,.2f} {self.bare:10,.2f} {self.unit:<12}"
        return f"{self.name:<34} {sides} ratio {ratio:5.2f}  (target {self.target})"


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


# Empty blocks


def empty_blocks(folder: Path, count: int) -> tuple[float, float]:
    """Blocks a second: ours, and bare sqlite3 writing what ours wrote."""
    path = folder / "chain.db"

    async def mine() -> float:
        async with Devnet(config=NodeConfig(Manual(), path)) as node:
            await node.mine(50)  # past the first blocks, in which everything is new
            start = time.process_time()
            await node.mine(count)
            return time.process_time() - start

    ours = asyncio.run(mine())
    with sqlite3.connect(path) as chain:
        blocks = chain.execute("SELECT * FROM blocks ORDER BY number").fetchall()[-count:]
        rows = {
            block[0]: chain.execute("SELECT * FROM kv WHERE block=?", (block[0],)).fetchall()
            for block in blocks
        }
    chain.close()
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
        bare.execute(f"PRAGMA {pragma}")
    bare.execute("CREATE TABLE blocks (a INTEGER PRIMARY KEY, b, c, d, e, f, g)")
    bare.execute("CREATE TABLE kv (a, b, c, PRIMARY KEY (a, b)) WITHOUT ROWID")

    def write() -> None:
        for block in blocks:
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", block)
            bare.executemany("INSERT INTO kv VALUES (?, ?, ?)", rows[block[0]])
            bare.execute("COMMIT")

    taken = cpu_s(write)
    bare.close()
    return count / ours, count / taken


# Signed transfers


def signed_transfers(node: Node, count: int) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Extrinsics of Alice, and the payload and signature of each."""
    version = node.engine.runtime_version()
    core = bittensor_core.Runtime(
        node.engine.metadata(15), version.spec_version, version.transaction_version
    )
    args = {"dest": BOB.ss58_address, "value": 10**6}
    call = core.compose_call("Balances", "transfer_keep_alive", args)
    genesis = node.store.genesis.hash
    extrinsics, signatures = [], []
    for nonce in range(count):
        common = {"era": "00", "nonce": nonce, "tip": 0, "tip_asset_id": None}
        payload = core.signature_payload(
            call, genesis_hash=genesis, era_block_hash=genesis, **common
        )
        signature = ALICE.sign(payload)
        raw, _ = core.encode_signed_extrinsic(
            call,
            public_key=bytes(ALICE.public_key),
            signature=bytes(signature),
            signature_version=ALICE.crypto_type,
            **common,
        )
        extrinsics.append(bytes(raw))
        signatures.append((bytes(payload), bytes(signature)))
    return extrinsics, signatures


def transfers(folder: Path, count: int) -> tuple[float, float]:
    """Transfers a second from pool to block on disk, and bare verifications a second."""

    async def run() -> tuple[float, list[tuple[bytes, bytes]]]:
        async with Devnet(config=NodeConfig(Manual(), folder / "chain.db")) as node:
            extrinsics, signatures = signed_transfers(node, count)
            await node.mine(50)
            before = node.head.number
            start = time.process_time()
            for extrinsic in extrinsics:
                node.submit(extrinsic)
            while node.pool.ready_count:
                await node.mine()
            taken = time.process_time() - start
            numbers = range(before + 1, node.head.number + 1)
            bodies = [block.extrinsics for n in numbers if (block := node.store.find_number(n))]
            assert sum(len(body) - 1 for body in bodies) == count
            return taken, signatures

    ours, signatures = asyncio.run(run())

    def verify() -> None:
        for payload, signature in signatures:
            assert bittensor_core.verify(payload, signature, ALICE.ss58_address)

    return count / ours, count / cpu_s(verify)


# Processes


@contextmanager
def devnet_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`subnet devnet` and its HTTP address, once it has printed it."""
    options = ("--port", "0", "--json", "--block-time", "manual")
    command = [sys.executable, "-m", "subnet.cli.app", "devnet", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or lines[-1] != "}\n":
                lines.append(process.stdout.readline())
            yield process, json.loads("".join(lines))["url"].replace("ws://", "http://")
        finally:
            process.terminate()


def ask(url: str, method: str, *params: object) -> object:
    """One JSON-RPC answer."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    with urllib.request.urlopen(url, body) as response:
        return json.load(response)["result"]


def process_start() -> tuple[float, float]:
    """Seconds to the first answer, and of a Python that imports aiohttp and numpy."""
    start = time.perf_counter()
    with devnet_process() as (_, url):
        ask(url, "chain_getHead")
        ours = time.perf_counter() - start
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return ours, time.perf_counter() - start


def resident_mib(pid: int) -> float:
    """What a process holds in memory now."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def idle_memory() -> tuple[float, float]:
    """MiB of a chain of one subnet, after an epoch, and of a Python with the two imports."""
    with devnet_process() as (process, url):
        ask(url, "devnet_mine", 400)
        ask(url, "state_getMetadata")
        ours = resident_mib(process.pid)
    command = [sys.executable, "-c", f"{IMPORTS}; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        resident = resident_mib(bare.pid)
        bare.communicate(b"\n")
    return ours, resident


def growth(short: int, long: int) -> tuple[float, float, float]:
    """CPU microseconds a block at each height, and bytes of memory that a block in between took."""
    count = 500

    async def run() -> tuple[float, float, float]:
        async with Devnet(config=NodeConfig(Manual())) as node:
            costs, resident = [], []
            for height in (short, long):
                await node.mine(height - count - node.head.number)
                resident.append(resident_mib(os.getpid()))
                start = time.process_time()
                await node.mine(count)
                costs.append((time.process_time() - start) / count * 1e6)
            return costs[1], costs[0], (resident[1] - resident[0]) * 2**20 / (long - short)

    return asyncio.run(run())


def median_of(rounds: int, measure: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """The round whose ratio is the middle one; the first, a warm-up, does not count."""
    measure()
    found = sorted((measure() for _ in range(rounds)), key=lambda pair: pair[0] / pair[1])
    ratio = statistics.median_low(pair[0] / pair[1] for pair in found)
    return next(pair for pair in found if pair[0] / pair[1] == ratio)


def in_a_folder(measure: Callable[[Path], tuple[float, float]]) -> tuple[float, float]:
    """One round of a measure that needs files."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("--transfers", type=int, default=1000)
    parser.add_argument("--height", type=int, default=20_000)
    options = parser.parse_args()
    dev_engine().genesis()  # what is imported and cached once is not what is measured
    gc.freeze()  # as `subnet devnet` does

    def show(name: str, unit: str, target: str, measure: Callable[[], tuple[float, float]]) -> None:
        print(Figure(name, unit, *median_of(options.rounds, measure), target), flush=True)

    print(f"{'':<34} {'devnet':>10} {'bare':>10}")
    show(
        "empty blocks, SQLite",
        "blocks/s",
        ">= 0.35",
        lambda: in_a_folder(lambda folder: empty_blocks(folder, options.blocks)),
    )
    show(
        "signed transfers, SQLite",
        "transfers/s",
        ">= 0.6",
        lambda: in_a_folder(lambda folder: transfers(folder, options.transfers)),
    )
    show("process start to first answer", "s", "<= 3", process_start)
    show("resident memory, idle", "MiB", "<= 2", idle_memory)
    late, early, memory = growth(1000, options.height)
    print(Figure(f"block {options.height:,} beside block 1,000", "us", late, early, "<= 1.1"))
    print(f"{'memory a block, nothing pruned':<34} {memory:10,.0f} bytes")


if __name__ == "__main__":
    main()
