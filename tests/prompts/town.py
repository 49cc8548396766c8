"""A subnet without a model, a devnet, real miners on sockets and one real validator, in process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.devnet import Devnet
from subnet.definition import Judgement, Miner, MinerOptions, Subnet
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from subnet.wire.receipts import Receipts
from tests.neurons.ground import alices_subnet, open_bench, settings_of
from validators import journal, loop
from validators.audit import Audit, audit
from validators.bench import Bench
from validators.moment import Moment, next_start
from validators.prompts.posting import fix_questions
from validators.prompts.vault import Vault

TEMPO = 20
HOTKEY = Keypair.create_from_uri("//Alice//validator")
MINERS = [Keypair.create_from_uri(f"//Alice//miner{number}") for number in range(2)]


class Sum(Challenge):
    text: str


class Total(Answer):
    total: int


class Sums(Subnet[Sum, Total]):
    """Pays for sums, less for those that are off by a little."""

    challenge, answer = Sum, Total
    path = "/sum"
    timeout_s = 20.0

    def tasks(self, seed: bytes) -> Iterator[Task[Sum]]:
        for number in itertools.count():
            drawn = hashlib.blake2b(b"%d" % number, key=seed, digest_size=8).digest()
            left, right = (int.from_bytes(drawn[at : at + 4], "big") for at in (0, 4))
            yield Task(drawn.hex(), Sum(text=f"What is {left} + {right}?"), reference=left + right)

    async def score(self, task: Task[Sum], reply: Reply[Total]) -> Judgement:
        assert reply.answer is not None and isinstance(task.reference, int)
        off = abs(reply.answer.total - task.reference)
        return Judgement(1 / (1 + off), "right" if off == 0 else "wrong")

    @asynccontextmanager
    async def miner(self, options: MinerOptions) -> AsyncIterator[Miner[Sum, Total]]:
        raise AssertionError("the town has its own")
        yield


class Grouped(Sums):
    groups = 2


class Each(Sums):
    groups = "each"


@dataclass
class Adder:
    """Answers sums, `off` by a little, and remembers what it was asked."""

    off: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, challenge: Sum, caller: Caller) -> Total:
        self.asked.append(challenge.text)
        words = challenge.text.removesuffix("?").split()
        return Total(total=int(words[2]) + int(words[4]) + self.off)


@dataclass
class Wiretap:
    """A door before a miner that passes everything on, and keeps what came in."""

    heard: bytearray = field(default_factory=bytearray)

    async def open(self, host: str, port: int) -> tuple[asyncio.Server, int]:
        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs, ours = await asyncio.open_connection(host, port)

            async def back() -> None:
                while data := await theirs.read(65536):
                    writer.write(data)

            task = asyncio.create_task(back())
            mine = bytearray()
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    mine += data
                    ours.write(data)
            self.heard += mine
            ours.close()
            writer.close()
            await asyncio.gather(task, return_exceptions=True)

        server = await asyncio.start_server(meet, host, 0)
        return server, server.sockets[0].getsockname()[1]

    def requests(self) -> list[tuple[list[tuple[str, str]], bytes]]:
        """Head and body of every request on a connection that is closed."""
        found, rest = [], bytes(self.heard)
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = [("", first)] + [
                (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
            ]
            size = int({name.lower(): value for name, value in headers}["content-length"])
            found.append((headers, rest[:size]))
            rest = rest[size:]
        return found


@dataclass
class Town:
    """One validator at work on a subnet of two miners, the second of them a little off."""

    node: Devnet
    chain: Chain
    netuid: int
    folder: Path
    bench: Bench
    miners: list[Any]
    taps: list[Wiretap]
    done: tuple[int, int] | None = None

    @property
    def path(self) -> Path:
        return self.folder / "journal.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        return list(journal.read(self.path))

    async def to_next_epoch(self) -> None:
        schedule = await self.chain.schedule(self.netuid)
        assert schedule.next_block is not None
        # Past the blocks in which a validator lets miners look up new permits.
        await self.node.mine(schedule.next_block - self.node.head.number + TEMPO // 10)

    async def moment(self) -> Moment:
        """The next round's, sealed; the chain is moved on until it is there."""
        while True:
            metagraph = await self.chain.metagraph(self.netuid)
            schedule = await self.chain.schedule(self.netuid, metagraph.block)
            rounds = self.bench.settings.validator.rounds_per_epoch
            start, part = next_start(schedule, rounds_per_epoch=rounds, done=self.done)
            await loop.publish(self.bench, schedule)
            await loop.reveal(self.bench, metagraph, schedule)
            if await loop.seal(self.bench, metagraph, schedule, start, part):
                continue
            if start <= schedule.block:
                self.done = (schedule.epochs, part)
                return Moment(metagraph, schedule, part, last=part == rounds - 1)
            await self.node.mine(start - schedule.block)

    async def now(self) -> Moment:
        """This block, as the only part of its epoch."""
        metagraph = await self.chain.metagraph(self.netuid)
        schedule = await self.chain.schedule(self.netuid, metagraph.block)
        return Moment(metagraph, schedule, part=0, last=True)

    async def end_epoch(self, bench: Bench | None = None) -> None:
        """Let it end, and be published: by `bench`, or by the town's own, which goes on."""
        await self.to_next_epoch()
        if bench is None:
            await self.moment()
        else:
            await loop.publish(bench, await self.chain.schedule(self.netuid))

    async def seal(self, vault: Vault[Any, Any], epoch: int) -> None:
        """Have one round's questions of `epoch` in `vault`, and their root on the chain."""
        metagraph = await self.chain.metagraph(self.netuid)
        assert await fix_questions(vault, self.chain, HOTKEY, metagraph, epoch, turns=1, tasks=1)

    async def round(self) -> dict[str, Any]:
        return await loop.run_round(self.bench, await self.moment())

    async def epochs(self, count: int = 1) -> int:
        """Run whole epochs, and publish them; the number of the last one."""
        for _ in range(count * self.bench.settings.validator.rounds_per_epoch):
            line = await self.round()
        await self.end_epoch()
        return int(line["epoch"])

    async def audit(
        self, epoch: int, lines: list[dict[str, Any]] | None = None, **options: Any
    ) -> Audit:
        return await audit(
            self.chain,
            self.bench.subnet,
            self.lines() if lines is None else lines,
            validator=HOTKEY.ss58_address,
            netuid=self.netuid,
            epoch=epoch,
            weights=self.bench.settings.weights,
            **options,
        )

    async def unchecked(self, epoch: int, lines: list[dict[str, Any]] | None = None) -> list[str]:
        """What an audit in which nothing is wrong could not check."""
        found = await self.audit(epoch, lines)
        assert (found.verdict, found.differences) == ("incomplete", [])
        return found.unchecked


@asynccontextmanager
async def town(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    subnet: Subnet[Any, Any],
    miners: Sequence[Any] = (),
    *,
    hidden: bool = False,
    **table: Any,
) -> AsyncIterator[Town]:
    """A town on a chain of its own, with Adders for miners if none are given.

    `hidden` weights are committed and revealed. `table` is [validator].
    """
    async with AsyncExitStack() as stack:
        node, chain, netuid = await stack.enter_async_context(
            alices_subnet(
                folder, monkeypatch, stakes=[(HOTKEY, 100)], miners=MINERS, hidden=hidden,
                tempo=TEMPO, weights_set_rate_limit=0,
            )
        )  # fmt: skip
        miners = miners or [Adder(), Adder(off=1)]
        taps = [Wiretap() for _ in MINERS]
        for number, (key, miner, tap) in enumerate(zip(MINERS, miners, taps, strict=True)):
            receipts = stack.enter_context(closing(Receipts(folder / f"receipts-{number}.jsonl")))
            axon = Axon(key, policy=AnyPolicy(), receipts=receipts)
            axon.handle(subnet.path, subnet.challenge, subnet.answer, miner.answer)
            host, port = await axon.start(f"127.0.0.{number + 2}", 0)
            stack.push_async_callback(axon.stop, 1.0)
            server, port = await tap.open(host, port)
            stack.callback(server.close)
            await chain.serve_axon(key, netuid, host, port)
        settings = settings_of(netuid, network={"chain": node.url}, validator=table)
        dendrite = await stack.enter_async_context(Dendrite(HOTKEY, allow_private=True))
        bench = stack.enter_context(
            open_bench(folder, settings, HOTKEY, chain, subnet, dendrite=dendrite)
        )
        whole = Town(node, chain, netuid, folder, bench, list(miners), taps)
        await whole.to_next_epoch()
        yield whole
