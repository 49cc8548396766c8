"""Questions a second through a signed dendrite and axon, and through bare aiohttp, in one run.

Server and client each have a process of their own. The figure to quote is the ratio: bare
aiohttp echoes the same JSON with no signature, policy, limit or message model.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

import aiohttp
from aiohttp import web
from bittensor_core import Keypair

from subnet.protocol import Answer, Challenge, Target
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from subnet.wire.policy import PermitPolicy

VALIDATOR = Keypair.create_from_uri("//Validator")
MINER = Keypair.create_from_uri("//Miner")
HOST = "127.0.0.2"
OPEN = Limits(
    hotkey_requests=10_000,
    requests=10_000,
    hotkey_rate=1e9,
    hotkey_burst=10**9,
    ip_rate=1e9,
    ip_burst=10**9,
    ip_connections=10_000,
    connections=10_000,
)


class Question(Challenge):
    """About 200 bytes."""

    prompt: str
    count: int


class Reply(Answer):
    """About 200 bytes."""

    text: str


async def _serve(pipe: Connection) -> None:
    async def echo(question: Question, caller: Caller) -> Reply:
        return Reply(text=question.prompt)

    policy = PermitPolicy(1)
    policy.update({VALIDATOR.ss58_address: (1, True)})
    axon = Axon(MINER, policy=policy, limits=OPEN)
    axon.handle("/echo", Question, Reply, echo)
    _, axon_port = await axon.start(HOST, 0)

    async def bare(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    server = await asyncio.get_running_loop().create_server(web.Server(bare), HOST, 0)
    pipe.send((axon_port, server.sockets[0].getsockname()[1]))
    while not pipe.poll():
        await asyncio.sleep(0.1)
    server.close()
    await axon.stop(1)


def serve(pipe: Connection) -> None:
    """Run both servers until something is sent through `pipe`."""
    asyncio.run(_serve(pipe))


async def signed_rate(port: int, at_once: int, seconds: float) -> float:
    """Questions a second, `at_once` in one ask after the other."""
    targets = [Target(uid, MINER.ss58_address, HOST, port) for uid in range(at_once)]
    question = Question(prompt="word " * 40, count=24)
    async with Dendrite(VALIDATOR, allow_private=True, limits=OPEN) as dendrite:
        await dendrite.ask(targets, "/echo", question, Reply, timeout_s=30)
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            replies = await dendrite.ask(targets, "/echo", question, Reply, timeout_s=30)
            failed = [reply for reply in replies if reply.answer is None]
            if failed:
                raise SystemExit(f"a question failed: {failed[0]}")
            done += at_once
        return done / (time.perf_counter() - started)


async def bare_rate(port: int, at_once: int, seconds: float) -> float:
    """The same, without anything of ours."""
    body = Question(prompt="word " * 40, count=24).model_dump_json().encode()
    url = f"http://{HOST}:{port}/echo"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            async with session.post(url, data=body) as response:
                await response.read()

        await asyncio.gather(*(ask() for _ in range(at_once)))
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            await asyncio.gather(*(ask() for _ in range(at_once)))
            done += at_once
        return done / (time.perf_counter() - started)


def main() -> None:
    """Print one line for each number of questions at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="alternating; the best counts")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    try:
        axon_port, bare_port = ours.recv()
        print(f"{'at once':>8} {'signed/s':>9} {'bare/s':>8} {'ratio':>6}")
        for at_once in (1, 16, 64, 256):
            signed = bare = 0.0
            for _ in range(options.rounds):
                signed = max(signed, asyncio.run(signed_rate(axon_port, at_once, options.seconds)))
                bare = max(bare, asyncio.run(bare_rate(bare_port, at_once, options.seconds)))
            print(f"{at_once:>8} {signed:>9.0f} {bare:>8.0f} {signed / bare:>6.2f}")
    finally:
        ours.send(None)
        server.join(10)


if __name__ == "__main__":
    main()
