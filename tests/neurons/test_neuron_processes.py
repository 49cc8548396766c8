"""`subnet miner` and `subnet validator` as a person runs them: processes, on a real devnet."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from chain.client import Chain
from chain.client.calls import Call, admin
from chain.errors import ChainAway
from chain.types import RAO_PER_TAO, Rao
from subnet.cli import exits
from subnet.cli.demo.cast import Cast, Player
from subnet.cli.demo.founding import Founding
from subnet.wire.dendrite import Dendrite
from tests.neurons.ground import open_bench, settings_of
from tests.neurons.unanswered import Unanswered
from tests.patience import PATIENCE_S, until
from validators import journal
from validators.bench import Bench
from validators.loop import next_moment, run_round
from validators.rows import set_weights_at_last, set_weights_if_due

pytestmark = pytest.mark.model

TEMPO = 40


@dataclass
class World:
    """One run folder, one chain, and the processes on it."""

    folder: Path
    url: str
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    program: tuple[str, str] = ("-m", "subnet.cli.app")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def start(self, name: str, *arguments: str, **settings: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
        if "SUBNET_CACHE_DIR" in os.environ:
            environment["SUBNET_CACHE_DIR"] = os.environ["SUBNET_CACHE_DIR"]
        environment["XDG_STATE_HOME"] = str(self.folder / "xdg")
        environment |= {f"SUBNET_{key.upper()}": value for key, value in settings.items()}
        with (self.folder / f"{name}.log").open("ab") as out:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, *self.program, *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                env=environment, cwd=self.folder,
            )  # fmt: skip

    async def neuron(self, name: str, verb: str, netuid: int, **settings: str) -> None:
        settings = {"network_wallet": name} | settings
        await self.start(
            name, verb, "--network", self.url, "--netuid", str(netuid),
            "--wallet-path", str(self.folder / "wallets"), **settings,
        )  # fmt: skip

    async def ended(self, name: str) -> int:
        """The code that it ends with, by itself or by a signal that it was sent."""
        try:
            code = await asyncio.wait_for(self.processes[name].wait(), PATIENCE_S)
        except TimeoutError:
            pytest.fail(f"{name} goes on: {self.log(name)[-3000:]}")
        del self.processes[name]
        return code

    async def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        if self.processes[name].returncode is None:
            self.processes[name].send_signal(number)
        return await self.ended(name)

    async def start_chain(self) -> None:
        port = self.url.rpartition(":")[2]
        database = str(self.folder / "chain.sqlite")
        await self.start(
            "chain", "devnet", "--port", port, "--block-time", "0.25", "--db", database
        )
        await _answering(self)

    async def until(
        self, what: Callable[[], bool | Awaitable[bool]], *, pause_s: float = 0.1
    ) -> None:
        """Wait for `what`; a process that ends meanwhile, or none of it in time, is a failure."""

        def ensure_all_run() -> None:
            for name, process in self.processes.items():
                if process.returncode is not None:
                    pytest.fail(f"{name} ended: {self.log(name)[-3000:]}")

        def tell() -> str:
            return "\n".join(f"{name}: {self.log(name)[-2000:]}" for name in self.processes)

        await until(what, ensure=ensure_all_run, tell=tell, pause_s=pause_s)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = World(tmp_path, f"ws://127.0.0.1:{port}")
    try:
        await world.start_chain()
        yield world
    finally:
        for name in reversed(list(world.processes)):
            await world.end(name, signal.SIGKILL)


async def _answering(world: World) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            async with Chain.connect(world.url) as chain:
                await chain.wait_for_block(1)
                return
        except ChainAway:
            if world.processes["chain"].returncode is not None or time.monotonic() > deadline:
                pytest.fail(world.log("chain")[-3000:])
            await asyncio.sleep(0.1)


def player(world: World, number: int, name: str, role: Any, stake: int = 0) -> Player:
    """A neuron with its hotkey on the disk, as a wallet has it."""
    hotkey = Keypair.create_from_uri(f"//{name}//hotkey")
    path = world.folder / "wallets" / name / "hotkeys" / "default"
    path.parent.mkdir(parents=True)
    path.write_bytes(serialized_keypair_to_keyfile_data(hotkey))
    coldkey = Keypair.create_from_uri(f"//{name}")
    rao = Rao(stake * RAO_PER_TAO)
    return Player(name, role, name, f"127.0.0.{number}", rao, b"", hotkey, coldkey)


@asynccontextmanager
async def founded(world: World, *players: Player) -> AsyncIterator[tuple[Chain, int]]:
    """A subnet that pays, with everybody in their seat; no epoch has run."""
    cast = Cast(
        players,
        owner_hotkey=Keypair.create_from_uri("//owner//hotkey"),
        owner_coldkey=Keypair.create_from_uri("//owner"),
        bank=Keypair.create_from_uri("//Alice"),
    )
    async with Chain.connect(world.url) as chain:
        founding = Founding(chain, cast, lambda text: None)
        await founding.open_chain()
        netuid = await founding.create_subnet()
        await founding.seat(netuid)
        await founding.stake(netuid)
        yield chain, netuid


async def set_tempo(chain: Chain, netuid: int) -> None:
    """Begin a cycle of short epochs; until now the first one was minutes away."""
    bank = Keypair.create_from_uri("//Alice")
    await chain.submit(admin("sudo_set_tempo", netuid=netuid, tempo=TEMPO), bank)


async def test_a_hotkey_without_a_seat_ends_with_3_and_the_command_to_run(world: World) -> None:
    player(world, 2, "newcomer", "miner")
    await world.neuron("newcomer", "miner", 1)
    code = await world.ended("newcomer")
    assert code == exits.NOT_REGISTERED, world.log("newcomer")
    last = world.log("newcomer").strip().splitlines()[-1]
    assert "subnets register --netuid 1" in last


async def test_a_subnet_that_is_not_there_is_said_so_and_not_waited_for(world: World) -> None:
    player(world, 2, "lost", "validator")
    await world.neuron("lost", "validator", 99, validator_wait="true")
    code = await world.ended("lost")
    assert code == exits.USAGE, world.log("lost")
    assert "there is no subnet 99" in world.log("lost").strip().splitlines()[-1]


async def test_a_hotkey_without_a_seat_can_wait_for_one(world: World) -> None:
    player(world, 2, "patient", "miner")
    await world.neuron("patient", "miner", 1, miner_wait="true")
    await world.until(lambda: "waiting" in world.log("patient"))
    assert await world.end("patient") == 0


async def test_ask_judge_set_and_read_back_and_go_on_after_a_kill(world: World) -> None:
    honest, canned = player(world, 2, "honest", "miner"), player(world, 3, "canned", "miner")
    validator = player(world, 4, "validator", "validator", stake=100)
    async with founded(world, honest, canned, validator) as (chain, netuid):
        # The first epoch is minutes away, and before it nobody has a permit.
        await world.neuron("early", "validator", netuid, network_wallet="validator")
        await world.until(lambda: "permit at block" in world.log("early"))
        assert await world.end("early") == 0
        await set_tempo(chain, netuid)
        for miner in (honest, canned):
            await world.neuron(
                miner.name, "miner", netuid,
                miner_host=miner.host, miner_port="0", miner_behaviour=miner.kind,
            )  # fmt: skip
        state = world.folder / "state"
        path = state / "journal.jsonl"

        def rounds() -> list[dict[str, Any]]:
            return _rounds(path)

        def last_landed() -> bool:
            return bool(rounds()) and rounds()[-1]["weights"]["read_back"] is True

        await world.neuron("validator", "validator", netuid, validator_state=str(state))
        await world.until(last_landed)
        before = rounds()
        assert await world.end("validator", signal.SIGKILL) == -signal.SIGKILL
        await world.neuron("validator", "validator", netuid, validator_state=str(state))
        await world.until(lambda: len(rounds()) > len(before) + 1 and last_landed())
        assert await world.end("validator") == 0

        # Whoever has the journal, the chain and the model can check what was paid before the kill.
        await world.start(
            "audit", "audit", "--network", world.url, "--netuid", str(netuid),
            "--validator", str(validator.hotkey.ss58_address), "--journal", str(path),
            "--epoch", str(before[-1]["epoch"]),
        )  # fmt: skip
        told = await world.ended("audit"), world.log("audit").split()[-1]
        # On a slow machine a root can land when its epoch is over: what follows it is not checked.
        in_time = [
            (await chain.schedule(netuid, line["block"])).epochs <= line["epoch"]
            for line in journal.read(path)
            if line["kind"] == "leaves" and line["epoch"] < before[-1]["epoch"]
        ]
        allowed = {(0, "honest")} if all(in_time) else {(0, "honest"), (1, "incomplete")}
        assert told in allowed, world.log("audit")

        metagraph = await chain.metagraph(netuid)
        lines = rounds()
        taken = metagraph.neurons[_uid(metagraph, honest)].port
        assert taken is not None
        await world.neuron(
            "twin", "miner", netuid, network_wallet=honest.name,
            miner_host=honest.host, miner_port=str(taken),
        )  # fmt: skip
        code = await world.ended("twin")
        assert code == exits.PORT_TAKEN, world.log("twin")
        row = await chain.weights(netuid, _uid(metagraph, validator))
    numbers = [line["round"] for line in lines]
    assert numbers == list(range(1, len(lines) + 1)) and lines[: len(before)] == before
    assert {line["run"] for line in lines} == {1, 2}
    prompts = [task["challenge"]["prompt"] for line in lines for task in line["tasks"]]
    assert len(set(prompts)) == len(prompts)
    by_miner = {
        name: [reply["score"] for line in lines for reply in line["replies"]
               if reply["hotkey"] == who.hotkey.ss58_address]
        for name, who in {"honest": honest, "canned": canned}.items()
    }  # fmt: skip
    assert len(by_miner["honest"]) == len(lines) and min(by_miner["honest"]) > 0.99
    assert len(by_miner["canned"]) == len(lines) and max(by_miner["canned"]) < 0.1
    assert row == {_uid(metagraph, honest): 65535}
    assert metagraph.neurons[_uid(metagraph, honest)].incentive > 0
    assert metagraph.neurons[_uid(metagraph, canned)].incentive == 0
    for name in ("honest", "canned"):
        assert await world.end(name) == 0
    assert "Traceback" not in "".join(world.log(name) for name in ("honest", "canned"))


@asynccontextmanager
async def bench_of(world: World, who: Player, chain: Chain, netuid: int) -> AsyncIterator[Bench]:
    """A validator's bench without its process."""
    async with Dendrite(who.hotkey, allow_private=True) as dendrite:
        with open_bench(
            world.folder, settings_of(netuid), who.hotkey, chain, Unanswered(), dendrite=dendrite
        ) as bench:
            yield bench


async def test_weights_wait_for_their_block_and_go_to_nobody_who_was_not_judged(
    world: World,
) -> None:
    """Seats change hands, the chain goes away, the validator is stopped: all while they wait."""
    miner, validator = player(world, 2, "m", "miner"), player(world, 4, "v", "validator", stake=100)
    async with (
        founded(world, miner, validator) as (chain, netuid),
        bench_of(world, validator, chain, netuid) as bench,
    ):
        await set_tempo(chain, netuid)
        limit = admin("sudo_set_weights_set_rate_limit", netuid=netuid, weights_set_rate_limit=20)
        await chain.submit(limit, Keypair.create_from_uri("//Alice"))
        moment = await next_moment(bench, None)
        scores = {miner.hotkey.ss58_address: 1.0}
        before = await chain.metagraph(netuid)
        owner, seat = before.find(before.owner_hotkey), _uid(before, miner)
        assert owner is not None
        report = await set_weights_if_due(bench, moment, scores)
        async with asyncio.timeout(PATIENCE_S):
            while report.block is None:  # the first epoch's permits may leave no block for it
                moment = await next_moment(bench, (moment.schedule.epochs, moment.part))
                report = await set_weights_if_due(bench, moment, scores)
        assert (report.meant, report.burned) == ({seat: 65535}, False)

        waiting = asyncio.create_task(set_weights_at_last(bench, moment, scores))
        heir = Keypair.create_from_uri("//heir").ss58_address
        swap = {"hotkey": miner.hotkey.ss58_address, "new_hotkey": heir, "netuid": netuid}
        await chain.submit(Call("SubtensorModule", "swap_hotkey", swap), miner.coldkey)
        assert not waiting.done()
        await world.end("chain", signal.SIGKILL)
        await asyncio.sleep(1)
        assert not waiting.done()
        await world.start_chain()
        async with asyncio.timeout(PATIENCE_S):
            while (report := await waiting).block is None:
                moment = await next_moment(bench, (moment.schedule.epochs, moment.part))
                waiting = asyncio.create_task(set_weights_at_last(bench, moment, scores))
        assert (await chain.metagraph(netuid)).neurons[seat].hotkey == heir
        assert (report.meant, report.burned) == ({owner.uid: 65535}, True)
        assert report.read_back is True

        stopped = asyncio.create_task(run_round(bench, moment))
        await until(lambda: bench.ledger.next_round() > 1, pause_s=0)
        stopped.cancel()
        await asyncio.wait([stopped])
        # The SDK's close() can hang, before Python 3.12, when a frame comes in at that moment.
        await asyncio.sleep(0.5)
        (line,) = _rounds(bench.journal.path)
    assert (line["round"], line["weights"]["set"]) == (1, False)
    assert line["weights"]["problem"] == "the round was cut short before its weights"


@pytest.mark.slow
async def test_a_chain_that_is_killed_and_comes_back_is_gone_on_with(world: World) -> None:
    honest = player(world, 2, "honest", "miner")
    validator = player(world, 4, "validator", "validator", stake=100)
    async with founded(world, honest, validator) as (chain, netuid):
        await set_tempo(chain, netuid)
    state = world.folder / "state"
    await world.neuron("honest", "miner", netuid, miner_host=honest.host, miner_port="0")
    await world.neuron("validator", "validator", netuid, validator_state=str(state))

    def landed() -> int:
        path = state / "journal.jsonl"
        lines = _rounds(path)
        return sum(line["weights"]["read_back"] is True for line in lines)

    await world.until(lambda: landed() >= 1)
    await world.end("chain", signal.SIGKILL)
    await world.until(
        lambda: "is away" in world.log("validator") and "is away" in world.log("honest")
    )
    await world.start_chain()
    before = landed()
    await world.until(lambda: landed() >= before + 2)
    assert await world.end("honest") == 0
    assert await world.end("validator") == 0


def _rounds(path: Path) -> list[dict[str, Any]]:
    """The lines of rounds in a journal that may not be there yet."""
    lines = journal.read(path) if path.exists() else ()
    return [line for line in lines if line["kind"] == "round"]


def _uid(metagraph: Any, who: Player) -> int:
    found = metagraph.find(who.hotkey.ss58_address)
    assert found is not None
    return int(found.uid)
