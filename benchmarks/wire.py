"""What a question costs through our axon and dendrite, and through bare aiohttp with the SDK.

The baseline is what one writes without us: an aiohttp server that verifies btauth/1 with
`bittensor.http_auth`, and an aiohttp client that signs with it; no policy, no limits, no signed
answers. Ours has all of them on, and the client verifies every answer. Servers and clients have a
process each; processor time is the operating system's (getrusage), so other load on the machine
moves the rates and hardly the costs. Both sides alternate in one run: quote the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bittensor_core import Keypair

VALIDATOR = Keypair.create_from_uri("//Validator")
HOST = "127.0.0.2"
MINERS = 256
TIMEOUT_S = 30.0
PROMPT = "word " * 40
DELAY_S = 0.3
"""Of a miner whose latency is measured."""
BURST_S = 0.05
"""For so long a validator's own work holds its loop at a time."""
SIDES = ("ours", "bare")

Asker = Callable[[int, str], Awaitable[float]]
"""Asks the miner of this number at this path, raises unless the answer is good, and says the
seconds that its side would hold the miner to."""


def miner_key(index: int) -> Keypair:
    """The hotkey of one of the miners."""
    return Keypair.create_from_uri(f"//Miner{index}")


def cpu_s() -> float:
    """Processor seconds of this process so far, by the operating system's account."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# Servers


async def serve_ours(count: int) -> list[int]:
    """Start axons with everything on; their ports."""
    from subnet.protocol import Answer, Challenge
    from subnet.wire.auth import Caller
    from subnet.wire.axon import Axon
    from subnet.wire.policy import PermitPolicy

    class Question(Challenge):
        prompt: str
        count: int

    class Echo(Answer):
        text: str

    async def echo(question: Question, caller: Caller) -> Echo:
        return Echo(text=question.prompt)

    async def delay(question: Question, caller: Caller) -> Echo:
        await asyncio.sleep(DELAY_S)
        return Echo(text=question.prompt)

    ports = []
    for index in range(count):
        policy = PermitPolicy(1)
        policy.update({VALIDATOR.ss58_address: (1, True)})
        axon = Axon(miner_key(index), policy=policy, limits=_open_limits())
        axon.handle("/echo", Question, Echo, echo)
        axon.handle("/delay", Question, Echo, delay)
        ports.append((await axon.start(HOST, 0))[1])
    return ports


async def serve_bare(count: int) -> list[int]:
    """Start servers that verify with the SDK and answer unsigned; their ports."""
    from aiohttp import web
    from bittensor import http_auth

    def app(hotkey: str) -> web.Application:
        async def echo(request: web.Request) -> web.Response:
            body = await request.read()
            http_auth.verify(
                request.headers,
                body,
                method=request.method,
                path=request.raw_path,
                self_hotkey_ss58=hotkey,
            )
            if request.path == "/delay":
                await asyncio.sleep(DELAY_S)
            return web.json_response({"text": json.loads(body)["prompt"]})

        application = web.Application()
        application.router.add_post("/echo", echo)
        application.router.add_post("/delay", echo)
        return application

    ports = []
    for index in range(count):
        runner = web.AppRunner(app(miner_key(index).ss58_address), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0, backlog=1024)
        await site.start()
        ports.append(runner.addresses[0][1])
    return ports


def _open_limits() -> Any:
    """Every limit in place, none within reach of a benchmark."""
    from subnet.wire.limits import Limits

    return Limits(
        hotkey_requests=10_000,
        requests=10_000,
        hotkey_rate=1e9,
        hotkey_burst=10**9,
        ip_rate=1e9,
        ip_burst=10**9,
        ip_connections=10_000,
        connections=10_000,
    )


def run_server(side: str, count: int, uvloop: bool, pipe: Connection) -> None:
    """Serve until None comes through `pipe`; to anything else, tell the processor time used."""

    async def main() -> None:
        ports = await (serve_ours if side == "ours" else serve_bare)(count)
        pipe.send(ports)
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pipe.fileno(), asked.set)
        while True:
            await asked.wait()
            asked.clear()
            while pipe.poll():
                if pipe.recv() is None:
                    return
                pipe.send(cpu_s())

    _run(main(), uvloop)


# Clients


async def ask_ours(ports: list[int], work: Callable[[Asker, Any], Awaitable[Any]]) -> Any:
    """Do `work` with a dendrite: an asker of one, and one of all at once."""
    from subnet.protocol import Answer, Challenge, Target
    from subnet.wire.dendrite import Dendrite

    class Question(Challenge):
        prompt: str
        count: int

    class Echo(Answer):
        text: str

    question = Question(prompt=PROMPT, count=24)
    targets = [
        Target(uid, miner_key(uid).ss58_address, HOST, port) for uid, port in enumerate(ports)
    ]
    async with Dendrite(VALIDATOR, allow_private=True, limits=_open_limits()) as dendrite:

        async def ask(index: int, path: str) -> float:
            [reply] = await dendrite.ask(
                targets[index : index + 1], path, question, Echo, timeout_s=TIMEOUT_S
            )
            if reply.answer is None:
                raise SystemExit(f"a question failed: {reply}")
            return reply.timing.total_s

        async def fan_out() -> int:
            replies = await dendrite.ask(targets, "/echo", question, Echo, timeout_s=TIMEOUT_S)
            return sum(reply.answer is not None for reply in replies)

        return await work(ask, fan_out)


async def ask_bare(ports: list[int], work: Callable[[Asker, Any], Awaitable[Any]]) -> Any:
    """Do `work` with an aiohttp session and the SDK's signatures."""
    import aiohttp
    from bittensor import http_auth

    hotkeys = [miner_key(index).ss58_address for index in range(len(ports))]
    question = {"prompt": PROMPT, "count": 24}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    ) as session:

        async def ask(index: int, path: str) -> float:
            body = json.dumps(question).encode()
            headers = http_auth.sign(
                VALIDATOR, method="POST", path=path, body=body, receiver_ss58=hotkeys[index]
            )
            headers["Content-Type"] = "application/json"
            url = f"http://{HOST}:{ports[index]}{path}"
            started = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as response:
                if response.status != 200:
                    raise SystemExit(f"a question failed: {await response.text()}")
                json.loads(await response.read())["text"]
            return time.perf_counter() - started

        async def fan_out() -> int:
            await asyncio.gather(*(ask(index, "/echo") for index in range(len(ports))))
            return len(ports)

        return await work(ask, fan_out)


def run_client(side: str, ports: list[int], uvloop: bool, pipe: Connection) -> None:
    """Do what comes through `pipe` until None: (at once, seconds), busy or not, rounds of all."""

    async def serve(ask: Asker, fan_out: Callable[[], Awaitable[int]]) -> None:
        loop = asyncio.get_running_loop()
        while (job := await loop.run_in_executor(None, pipe.recv)) is not None:
            if isinstance(job, tuple):
                pipe.send(await round_trips(ask, *job))
            elif isinstance(job, bool):
                pipe.send(await latencies_of_one(ask, busy=job))
            else:
                pipe.send([await timed(fan_out) for _ in range(job)])

    async def main() -> None:
        await (ask_ours if side == "ours" else ask_bare)(ports, serve)

    _run(main(), uvloop)


async def round_trips(ask: Asker, at_once: int, seconds: float) -> tuple[int, float, list[float]]:
    """Ask the first miner, always `at_once` questions under way: how many, CPU, latencies."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def worker() -> None:
        while (started := time.perf_counter()) < end:
            await ask(0, "/echo")
            latencies.append(time.perf_counter() - started)

    started = cpu_s()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return len(latencies), cpu_s() - started, latencies


async def latencies_of_one(ask: Asker, *, busy: bool) -> list[float]:
    """What a miner that takes `DELAY_S` is held to, by a validator with time and by one without."""

    async def burn() -> None:
        while True:
            end = time.perf_counter() + BURST_S
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)

    burning = asyncio.create_task(burn()) if busy else None
    latencies = await asyncio.gather(*(ask(0, "/delay") for _ in range(8)))
    if burning is not None:
        burning.cancel()
    return latencies


async def timed(fan_out: Callable[[], Awaitable[int]]) -> tuple[int, float, float]:
    """Good answers, seconds and processor seconds of one round of questions to all."""
    started, used = time.perf_counter(), cpu_s()
    good = await fan_out()
    return good, time.perf_counter() - started, cpu_s() - used


def _run(main: Any, uvloop: bool) -> None:
    if uvloop:
        import uvloop as fast

        with asyncio.Runner(loop_factory=fast.new_event_loop) as runner:
            runner.run(main)
    else:
        asyncio.run(main)


# Both sides in one run


@dataclass(frozen=True)
class Cost:
    """Of one measurement: questions a second, and processor microseconds of a question."""

    rate: float
    server_us: float
    client_us: float
    p50_ms: float
    p99_ms: float


class Side:
    """A server process and a client process, and the pipes to them."""

    def __init__(self, side: str, miners: int, uvloop: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._server, theirs = context.Pipe()
        self._processes = [context.Process(target=run_server, args=(side, miners, uvloop, theirs))]
        self._processes[0].start()
        self._client, theirs = context.Pipe()
        ports = self._server.recv()
        client = context.Process(target=run_client, args=(side, ports, uvloop, theirs))
        self._processes.append(client)
        client.start()

    def server_cpu_s(self) -> float:
        """Processor seconds of the server so far."""
        self._server.send("cpu")
        return float(self._server.recv())

    def round_trips(self, at_once: int, seconds: float) -> Cost:
        """One measurement."""
        used = self.server_cpu_s()
        started = time.perf_counter()
        self._client.send((at_once, seconds))
        count, client_s, latencies = self._client.recv()
        elapsed = time.perf_counter() - started
        used = self.server_cpu_s() - used
        cuts = statistics.quantiles(latencies, n=100)
        return Cost(
            count / elapsed,
            used / count * 1e6,
            client_s / count * 1e6,
            cuts[49] * 1e3,
            cuts[98] * 1e3,
        )

    def fan_out(self, rounds: int) -> list[tuple[int, float, float]]:
        """Good answers, seconds and client processor seconds of each round."""
        self._client.send(rounds)
        answer: list[tuple[int, float, float]] = self._client.recv()
        return answer

    def latencies(self, busy: bool) -> list[float]:
        """What a miner that takes `DELAY_S` is held to."""
        self._client.send(busy)
        answer: list[float] = self._client.recv()
        return answer

    def close(self) -> None:
        """End both processes."""
        for pipe, process in zip((self._client, self._server), self._processes[::-1], strict=True):
            pipe.send(None)
            process.join(10)


def median_cost(costs: list[Cost]) -> Cost:
    """Each figure's median."""
    names = ("rate", "server_us", "client_us", "p50_ms", "p99_ms")
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in names))


_IDLE = """
import asyncio, sys, time
started = time.process_time()
{imports}
spent = time.process_time() - started
import os, resource
sys.path.insert(0, os.getcwd())
from benchmarks import wire
async def main():
    await wire.{serve}(1)
    pages = int(open("/proc/self/statm").read().split()[1])
    print(spent, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
asyncio.run(main())
"""
_IMPORTS = {
    "ours": "import subnet.wire.axon, subnet.wire.policy",
    "bare": "from aiohttp import web; import bittensor; from bittensor import http_auth",
}


def idle(side: str, times: int) -> tuple[float, float]:
    """Processor seconds to import a serving process, and MiB it holds when it waits."""
    program = _IDLE.format(imports=_IMPORTS[side], serve=f"serve_{side}")
    spent, held = [], []
    for _ in range(times):
        out = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout
        spent.append(float(out.split()[0]))
        held.append(float(out.split()[1]))
    return min(spent), statistics.median(held)


def signatures() -> tuple[float, float]:
    """Processor microseconds to sign and to verify 250 bytes with sr25519."""
    from subnet.wire.auth import is_signed_by

    message, times = b"x" * 250, 2000
    started = time.process_time()
    for _ in range(times):
        signature = VALIDATOR.sign(message)
    sign = (time.process_time() - started) / times
    key = bytes(VALIDATOR.public_key)
    started = time.process_time()
    for _ in range(times):
        is_signed_by(key, "sr25519", message, signature)
    return sign * 1e6, (time.process_time() - started) / times * 1e6


def main() -> None:
    """Print the tables, and what of the costs is arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="alternating; medians are printed")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--only", choices=["round-trip", "fan-out", "fair", "idle"])
    options = parser.parse_args()
    uvloop = options.loop == "uvloop"
    if options.only in (None, "round-trip"):
        print_round_trips(options.at_once, options.seconds, options.rounds, uvloop)
    if options.only in (None, "fan-out"):
        print_fan_out(options.rounds, uvloop)
    if options.only in (None, "fair"):
        print_fairness(options.rounds, uvloop)
    if options.only in (None, "idle"):
        print_idle(options.rounds)
    sign_us, verify_us = signatures()
    print(
        f"\nsr25519: a signature takes {sign_us:.0f} us and a verification {verify_us:.0f} us. Of"
        f" every question the bare server verifies one and the bare client signs one; since answers"
        f" are signed, ours do both on both sides: {sign_us:.0f} us more for the server and"
        f" {verify_us:.0f} us more for the client, that no better code takes away. One core thus"
        f" answers at most {1e6 / (sign_us + verify_us):.0f} questions a second."
    )


def print_round_trips(at_once: list[int], seconds: float, rounds: int, uvloop: bool) -> None:
    """One line for each number of questions under way; every round measures all of them."""
    sides = {side: Side(side, 1, uvloop) for side in SIDES}
    costs: dict[int, dict[str, list[Cost]]] = {
        number: {side: [] for side in SIDES} for number in at_once
    }
    try:
        for turn in range(rounds):
            for number in at_once:
                for side in SIDES if turn % 2 else SIDES[::-1]:
                    sides[side].round_trips(number, 0.3)
                    costs[number][side].append(sides[side].round_trips(number, seconds))
    finally:
        for pair in sides.values():
            pair.close()
    print(
        f"{'at once':>8} {'side':>5} {'asks/s':>7} {'server us':>10} {'client us':>10}"
        f" {'p50 ms':>7} {'p99 ms':>7}"
    )
    for number, of in costs.items():
        for side in SIDES:
            cost = median_cost(of[side])
            print(
                f"{number:>8} {side:>5} {cost.rate:>7.0f} {cost.server_us:>10.0f}"
                f" {cost.client_us:>10.0f} {cost.p50_ms:>7.1f} {cost.p99_ms:>7.1f}"
            )
        print(
            f"{'':>8} {'ratio':>5} {_ratio(of, 'rate'):>7.2f} {_ratio(of, 'server_us'):>10.2f}"
            f" {_ratio(of, 'client_us'):>10.2f}",
            flush=True,
        )
    if {16, 256} <= costs.keys():
        for side in SIDES:
            few, many = costs[16][side], costs[256][side]
            kept = statistics.median(b.rate / a.rate for a, b in zip(few, many, strict=True))
            print(f"{side}, 256 at once against 16: {kept:.2f} x the rate")


def _ratio(costs: dict[str, list[Cost]], name: str) -> float:
    """The median over rounds of ours to bare: the two of a round saw the same machine."""
    ratios: list[float] = [
        getattr(ours, name) / getattr(bare, name)
        for ours, bare in zip(costs["ours"], costs["bare"], strict=True)
    ]
    return statistics.median(ratios)


def print_fan_out(rounds: int, uvloop: bool) -> None:
    """One validator asks 256 miners at once."""
    sides = {side: Side(side, MINERS, uvloop) for side in SIDES}
    try:
        times: dict[str, list[tuple[int, float, float]]] = {side: [] for side in SIDES}
        for turn in range(rounds + 1):
            for side in SIDES if turn % 2 else SIDES[::-1]:
                measured = sides[side].fan_out(3)
                if turn:  # the first opens the connections
                    times[side] += measured
        print(f"\nfan-out to {MINERS}: side, seconds, client CPU ms, answers")
        for side in SIDES:
            total = statistics.median(taken for _, taken, _ in times[side])
            used = statistics.median(used for _, _, used in times[side]) * 1e3
            good = min(good for good, _, _ in times[side])
            print(f"{side:>5} {total:.3f} {used:.0f} {good}")
        ratio = statistics.median(
            ours[1] / bare[1] for ours, bare in zip(times["ours"], times["bare"], strict=True)
        )
        print(f"ratio {ratio:.2f}", flush=True)
    finally:
        for pair in sides.values():
            pair.close()


def print_fairness(rounds: int, uvloop: bool) -> None:
    """What a miner with a fixed delay is held to, with and without work in the asker's loop."""
    sides = {side: Side(side, 1, uvloop) for side in SIDES}
    try:
        print(
            f"\na miner that takes {DELAY_S * 1e3:.0f} ms: side, ms by an idle validator, ms by one"
            f" whose loop is held {BURST_S * 1e3:.0f} ms at a time"
        )
        for name, side in sides.items():
            seen: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds + 1):
                for busy in seen:
                    seen[busy] += side.latencies(busy)
            idle_ms, busy_ms = (statistics.median(seen[busy]) * 1e3 for busy in (False, True))
            print(
                f"{name:>5} {idle_ms:.1f} {busy_ms:.1f} ratio {busy_ms / idle_ms:.3f}", flush=True
            )
    finally:
        for pair in sides.values():
            pair.close()


def print_idle(times: int) -> None:
    """What a serving process costs before the first question."""
    print("\nidle: side, import CPU s, resident MiB")
    figures = {side: idle(side, times) for side in SIDES}
    for side in SIDES:
        print(f"{side:>5} {figures[side][0]:.2f} {figures[side][1]:.0f}")
    ours, bare = figures["ours"], figures["bare"]
    print(f"ratio {ours[0] / bare[0]:.2f} {ours[1] / bare[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
