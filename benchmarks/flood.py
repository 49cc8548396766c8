"""What a flood from one address costs a validator at another, at a miner of two workers.

The flood opens connections from 127.0.0.66 as fast as one process with bare sockets can, sends an
unauthenticated request over each, and takes what comes. The validator asks from 127.0.0.2, at a
steady pace below its own limits, over a new connection each time, so that every question has to
get through the same accept queue. All limits are the defaults. Times alternate, without and with
the flood, in one run; everything stays on the loopback interface and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from subnet.definition import Miner, MinerOptions, Subnet
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.wire.auth import sign_request, verify_answer

MINER = Keypair.create_from_uri("//Flood//Miner")
VALIDATOR = Keypair.create_from_uri("//Flood//Validator")
HOST = "127.0.0.3"
VALIDATOR_HOST = "127.0.0.2"
FLOODER_HOST = "127.0.0.66"
MOST_CONNECTIONS = 1_000_000
TARGET = 10.0
"""The validator's p99 under the flood, in units of its own without."""
ROOT = Path(__file__).parents[1]


# The flood


def request_bytes() -> bytes:
    """An unauthenticated question: well formed HTTP, with a hotkey and a signature of nobody's."""
    body = b'{"text":"flood"}'
    head = (
        f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nX-Bittensor-Version: 1\r\n"
        f"X-Bittensor-Hotkey: {Keypair.create_from_uri('//Flooder').ss58_address}\r\n"
        f"X-Bittensor-Receiver: {MINER.ss58_address}\r\nX-Bittensor-Nonce: {time.time_ns()}\r\n"
        f"X-Bittensor-Signature: 0x{'ab' * 64}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def flood(host: str, port: int, seconds: float, *, at_once: int = 256) -> Counter[str]:
    """Hammer; what came back, by status ("opened" and "cut" besides)."""
    heard: Counter[str] = Counter()
    request = request_bytes()
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def open_one() -> None:
            sock = socket.socket()
            sock.setblocking(False)
            # A reset at the close: else the ports of this address run out in seconds.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((FLOODER_HOST, 0))
            sock.connect_ex((host, port))
            selector.register(sock, selectors.EVENT_WRITE)
            heard["opened"] += 1

        for _ in range(at_once):
            open_one()
        while time.monotonic() < end and heard["opened"] < MOST_CONNECTIONS:
            for key, events in selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    if events & selectors.EVENT_WRITE:
                        sock.send(request)
                        selector.modify(sock, selectors.EVENT_READ)
                        continue
                    answer = sock.recv(4096)
                    heard[answer[9:12].decode() or "cut"] += 1
                except OSError:
                    heard["cut"] += 1
                selector.unregister(sock)
                sock.close()
                open_one()
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    return heard


# The validator


async def ask(session: aiohttp.ClientSession, url: str) -> float:
    """Ask once, verify the answer; seconds it took. Raises whatever goes wrong."""
    body, nonce = b'{"text":"hi"}', time.time_ns()
    headers = sign_request(
        VALIDATOR, method="POST", target="/echo", body=body, receiver=MINER.ss58_address,
        nonce=nonce,
    )  # fmt: skip
    begun = time.perf_counter()
    async with session.post(url, data=body, headers=headers) as response:
        content = await response.read()
    took = time.perf_counter() - begun
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {content[:200]!r}")
    verify_answer(
        response.headers.items(), hotkey=MINER.ss58_address, nonce=nonce,
        sender=VALIDATOR.ss58_address, status=200, body=content,
    )  # fmt: skip
    return took


@contextlib.asynccontextmanager
async def validator() -> AsyncIterator[aiohttp.ClientSession]:
    """A client at 127.0.0.2 that opens a connection for each question."""
    connector = aiohttp.TCPConnector(local_addr=(VALIDATOR_HOST, 0), force_close=True)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def measure(port: int, questions: int, rate: float) -> tuple[list[float], list[str]]:
    """Ask `questions` times at `rate` a second, late or not; seconds of each, and what was lost."""
    took: list[float] = []
    lost: list[str] = []
    async with validator() as session:

        async def one() -> None:
            try:
                took.append(await ask(session, f"http://{HOST}:{port}/echo"))
            except Exception as error:
                lost.append(f"{type(error).__name__}: {error}")

        async with asyncio.TaskGroup() as group:
            for _ in range(questions):
                group.create_task(one())
                await asyncio.sleep(1 / rate)
    return took, lost


# The miner


class Ask(Challenge):
    """What is asked."""

    text: str


class Said(Answer):
    """What is answered."""

    text: str


class Echo(Subnet[Ask, Said]):
    """What the workers load; its miner is not asked for, since the handler stands beside it."""

    challenge, answer = Ask, Said
    path = "/echo"

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        """None."""
        return iter(())

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> float:
        """Nothing."""
        return 0.0

    def miner(
        self, options: MinerOptions
    ) -> contextlib.AbstractAsyncContextManager[Miner[Any, Any]]:
        """Never."""
        raise TypeError("not opened here")


def run_miner(workers: int, redis_url: str, folder: Path, pipe: Connection) -> None:
    """Serve with a crew until None comes through `pipe`; to anything else, tell the counters."""
    from miners.crew import Crew
    from miners.front import policy_of
    from subnet.config import MinerSettings, load
    from subnet.wire.listener import bind

    path = folder / "w" / "hotkeys" / "default"
    path.parent.mkdir(parents=True)
    path.write_bytes(serialized_keypair_to_keyfile_data(MINER))
    settings = load(
        MinerSettings,
        environment={},
        flags={
            "network": {"netuid": 1, "wallet": "w", "wallet_path": str(folder)},
            "subnet": {"definition": "benchmarks.flood:Echo"},
            "miner": {"workers": workers, "redis": redis_url, "min_stake": 0},
        },
    )

    async def answer(challenge: Any, caller: Any) -> Said:
        return Said(text=challenge.text)

    async def main() -> None:
        policy = policy_of(settings.miner)
        policy.update({VALIDATOR.ss58_address: (1, True)})
        command = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "subnet.cli.worker")
        crew = Crew(settings, command, Echo(), policy, answer)
        listener = bind(HOST, 0)
        port = listener.getsockname()[1]
        await crew.start(listener)
        pipe.send(port)
        asked = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
        try:
            while True:
                await asked.wait()
                asked.clear()
                while pipe.poll():
                    if pipe.recv() is None:
                        return
                    pipe.send(dict(crew.counters.refused))
        finally:
            await crew.stop(1.0)

    asyncio.run(main())


@contextlib.contextmanager
def redis_of(folder: Path) -> Iterator[str]:
    """A Redis of our own, gone with the context; its address."""
    path = folder / "redis.sock"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir",
         str(folder), "--loglevel", "warning"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not path.exists():
            time.sleep(0.02)
        yield f"unix://{path}"
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def miner_of(workers: int) -> Iterator[tuple[int, Connection]]:
    """A miner in a process of its own; its port, and the pipe to ask it for its counters."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name, redis_of(Path(name)) as url:
        ours, theirs = context.Pipe()
        process = context.Process(target=run_miner, args=(workers, url, Path(name), theirs))
        process.start()
        try:
            yield ours.recv(), ours
        finally:
            with contextlib.suppress(OSError):
                ours.send(None)
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


def _flood_process(port: int, seconds: float, pipe: Connection) -> None:
    pipe.send(flood(HOST, port, seconds))


async def until_answered(port: int) -> None:
    """A store that has just begun takes nothing that may have been used before."""
    async with validator() as session:
        while True:
            try:
                await ask(session, f"http://{HOST}:{port}/echo")
            except RuntimeError:
                await asyncio.sleep(0.2)
            else:
                return


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Run, print, and exit 1 if a question was lost or the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--questions", type=int, default=150, help="in each of the phases")
    parser.add_argument("--rate", type=float, default=15.0, help="questions a second")
    parser.add_argument("--phases", type=int, default=2, help="without and with the flood, each")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is not installed")
    context = multiprocessing.get_context("spawn")
    quiet: list[float] = []
    loud: list[float] = []
    lost: list[str] = []
    heard: Counter[str] = Counter()
    flood_s = 0.0
    with miner_of(args.workers) as (port, pipe):
        asyncio.run(until_answered(port))
        for _ in range(args.phases):
            took, gone = asyncio.run(measure(port, args.questions, args.rate))
            quiet += took
            lost += gone
            seconds = args.questions / args.rate + 1.0
            ours, theirs = context.Pipe()
            flooder = context.Process(target=_flood_process, args=(port, seconds, theirs))
            flooder.start()
            time.sleep(0.7)  # it has to start, too
            took, gone = asyncio.run(measure(port, args.questions, args.rate))
            loud += took
            lost += gone
            heard += ours.recv()
            flooder.join()
            flood_s += seconds
        pipe.send("counters")
        refused = pipe.recv()

    result = {
        "workers": args.workers,
        "flood_per_s": round(heard["opened"] / flood_s),
        "flood_heard": dict(heard),
        "refused": refused,
        "asked": len(quiet) + len(loud) + len(lost),
        "lost": len(lost),
        "quiet_ms": [round(1e3 * _percentile(quiet, share), 2) for share in (0.5, 0.99)],
        "loud_ms": [round(1e3 * _percentile(loud, share), 2) for share in (0.5, 0.99)],
        "p99_ratio": round(_percentile(loud, 0.99) / _percentile(quiet, 0.99), 2),
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:12} {value}")
        for line in lost[:5]:
            print("lost:", line)
    if lost or result["p99_ratio"] > TARGET:
        sys.exit(1)


if __name__ == "__main__":
    main()
