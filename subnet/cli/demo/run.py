"""One run from an empty folder to a report: the chain, the founding, the players, the judgement."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from chain.client import Chain, Metagraph, alpha_supply, issuance
from chain.errors import ChainAway, ChainError
from subnet.cli.demo import report
from subnet.cli.demo.cast import (
    COPIER,
    GUEST,
    HONEST,
    MINERS,
    NEWCOMER,
    Cast,
    Player,
    assemble,
    write_wallets,
)
from subnet.cli.demo.founding import Founding
from subnet.cli.demo.game import Game
from subnet.cli.demo.mainnet import BURN, Director
from subnet.cli.demo.processes import Processes
from subnet.cli.demo.rounds import Round
from subnet.cli.demo.view import View
from subnet.errors import InvalidSetting, PortTaken
from subnet.race import race

BLOCK_TIME_S = 0.25
CHAIN_START_S = 60.0
"""Longest wait for the first block, on a machine that is busy with something else."""

PUBLISH_S = 60.0
"""Longest wait for all miners to have loaded their models and published their axons."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for. `guest` is a command line or None; `folder` holds `logs` and `wallets`."""

    folder: Path
    epochs: int
    seed: int
    port: int
    wandb: str
    guest: tuple[str, ...] | None
    mainnet: bool = False
    """Whether the chain keeps mainnet's rules; else it spares the waits."""
    miners: tuple[str, ...] = MINERS
    """Kinds, one a miner; other casts than the demo's are for tests of fairness."""


async def run(options: Options, view: View, started: float) -> dict[str, Any]:
    """Run it all; the report. `started` is when, on the monotonic clock, the command began.

    Raises ProcessDied when a process ends too early, and the errors of the chain.
    """
    cast = assemble(
        options.seed,
        guest=options.guest is not None,
        miners=options.miners,
        mainnet=options.mainnet,
    )
    write_wallets(cast, options.folder / "wallets")
    url = f"ws://127.0.0.1:{options.port}"
    view.tell(f"seed {options.seed}; chain {url}; logs in {options.folder / 'logs'}")

    async with Processes(options.folder / "logs") as processes:
        preset = "mainnet" if options.mainnet else "devnet"
        await processes.start(
            "chain",
            _subnet(
                "devnet",
                *("--port", str(options.port), "--block-time", str(BLOCK_TIME_S)),
                *("--preset", preset),
            ),
            _environment(options.folder, "chain"),
            options.folder / "chain",
        )
        async with _connected(url, processes) as chain:
            first_block = await _guarded(_first_block(chain), processes)
            founding = Founding(chain, cast, view.tell, mainnet=options.mainnet)
            netuid, start = await _guarded(
                _found(founding, chain, cast, processes, options, url), processes
            )
            journals = {
                player.name: options.folder / player.name / "state" / "journal.jsonl"
                for player in cast.of("validator")
            }
            game = Game(chain, cast, journals, start, view, hidden=options.mainnet)
            director = None
            if options.mainnet:
                director = Director(
                    chain,
                    netuid,
                    cast,
                    processes,
                    journals,
                    start=partial(_start, processes, options, netuid, url),
                    http=f"http://127.0.0.1:{options.port}",
                    tell=view.tell,
                )
            with view.showing():
                await _guarded(_play(game, options.epochs, director), processes)
            facts = await _guarded(
                _facts(chain, netuid, cast, game, director, started, first_block), processes
            )
    return report.compose(facts)


async def _play(game: Game, epochs: int, director: Director | None) -> None:
    """Follow the game to its end, while the director, if there is one, lets time pass."""
    if director is None:
        await game.play(epochs)
    else:
        await race(game.play(epochs), director.direct())


async def _start(
    processes: Processes, options: Options, netuid: int, url: str, player: Player
) -> None:
    """Start one player's process."""
    environment = _environment(options.folder, player.name) | _settings(
        player, options, netuid, url
    )
    folder = options.folder / player.name
    if player.kind == GUEST and options.guest is not None:
        environment |= _guest_facts(player, options, netuid, url, environment)
        command, folder = list(options.guest), Path.cwd()
    elif player.kind == COPIER:
        command = [sys.executable, "-m", "subnet.cli.demo.copier"]
    else:
        command = _subnet(player.role)
    await processes.start(player.name, command, environment, folder)


async def _found(
    founding: Founding,
    chain: Chain,
    cast: Cast,
    processes: Processes,
    options: Options,
    url: str,
) -> tuple[int, Metagraph]:
    """The netuid of the running subnet, and its metagraph at the block its clock started in."""
    await founding.open_chain()
    netuid = await founding.create_subnet()
    await founding.seat(netuid)
    # Models take seconds to load: the players start while the validators are being staked.
    for player in cast.players:
        await _start(processes, options, netuid, url, player)
    await founding.stake(netuid)
    await _guarded(_all_published(chain, netuid, cast, founding.tell), processes)
    if options.mainnet:
        # The clock runs as it does on mainnet: from the subnet's first block.
        await founding.fill(netuid)
        return netuid, await chain.metagraph(netuid)
    block = await founding.set_tempo(netuid)
    return netuid, await chain.metagraph(netuid, block)


async def _all_published(
    chain: Chain, netuid: int, cast: Cast, tell: Callable[[str], None]
) -> None:
    """Wait until every miner can be asked, so that all begin the game together.

    Not for a guest, which may never get that far, and not for ever.
    """
    hotkeys = {p.hotkey.ss58_address: p.name for p in cast.of("miner") if p.kind != GUEST}
    deadline = time.monotonic() + PUBLISH_S
    while time.monotonic() < deadline:
        metagraph = await chain.metagraph(netuid)
        there = {neuron.hotkey for neuron in metagraph.neurons if neuron.host is not None}
        if there >= hotkeys.keys():
            tell(f"block {metagraph.block}: serve_axon: all {len(hotkeys)} miners are there")
            return
        await chain.wait_for_block(metagraph.block + 2)
    late = ", ".join(sorted(name for hotkey, name in hotkeys.items() if hotkey not in there))
    tell(f"not waiting any longer for {late}")


async def _facts(
    chain: Chain,
    netuid: int,
    cast: Cast,
    game: Game,
    director: Director | None,
    started: float,
    first_block: float,
) -> report.Facts:
    """Everything the report needs, read at one finalized block: that of the last epoch."""
    played = game.played()
    epochs = game.epochs(played)
    block = epochs[-1].block
    while await chain.finalized_block() < block:
        await asyncio.sleep(BLOCK_TIME_S)
    after, tao, alpha = await asyncio.gather(
        chain.metagraph(netuid, block), issuance(chain, block), alpha_supply(chain, netuid, block)
    )
    uids = {
        player.name: seat.uid
        for player in cast.of("validator")
        if (seat := game.find_seat(player)) is not None
    }
    return report.Facts(
        genesis=await chain.block_hash(0),
        spec_version=await chain.spec_version(),
        block_time_s=await chain.block_time(),
        before=game.start,
        after=after,
        epochs=epochs,
        players=[
            player
            for player in cast.everybody
            if any(m.find(player.hotkey.ss58_address) for m in (game.start, after))
        ],
        rounds=played,
        read_back={
            player.name: await _count_read_back(
                chain, netuid, uids[player.name], played[player.name]
            )
            for player in cast.of("validator")
        },
        issuance=tao,
        alpha=alpha,
        seconds={
            "start_to_first_block": round(first_block - started, 3),
            "start_to_first_emission": (
                None if game.first_pay is None else round(game.first_pay - started, 3)
            ),
            "total": round(time.monotonic() - started, 3),
        },
        versions={
            "python": ".".join(map(str, sys.version_info[:3])),
            **{
                name: version(name)
                for name in ("subnetkit", "bittensor", "bittensor-core", "numpy", "xllamacpp")
            },
        },
        history=game.history,
        story=None if director is None else director.story,
    )


async def _count_read_back(chain: Chain, netuid: int, uid: int, rounds: Sequence[Round]) -> int:
    """How many of the rows that were set the chain held, as meant, when they were accepted."""
    count = 0
    for round in rounds:
        if round.weights_set and round.weights_read_back:
            row = await chain.weights(netuid, uid, round.weights_block)
            count += row == round.meant
    return count


# Processes


async def _guarded(work: Coroutine[Any, Any, T], processes: Processes) -> T:
    """The result of `work`, or ProcessDied as soon as a process ends."""
    task = asyncio.create_task(work)
    guard = asyncio.create_task(processes.watch())
    try:
        await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and isinstance(task.exception(), ChainError):
            # A chain that died looks away before its process is seen to have ended.
            await asyncio.wait({guard}, timeout=1.0)
        if guard.done():
            guard.result()
        return await task
    finally:
        task.cancel()
        guard.cancel()
        await asyncio.gather(task, guard, return_exceptions=True)


@asynccontextmanager
async def _connected(url: str, processes: Processes) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        yield await _guarded(_reach(url, stack), processes)


async def _reach(url: str, stack: AsyncExitStack) -> Chain:
    deadline = time.monotonic() + CHAIN_START_S
    while True:
        try:
            return await stack.enter_async_context(Chain.connect(url))
        except ChainAway:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _first_block(chain: Chain) -> float:
    await chain.wait_for_block(1)
    return time.monotonic()


def _subnet(verb: str, *arguments: str) -> list[str]:
    """The command line of one of our own verbs, run by this very interpreter."""
    return [sys.executable, "-m", "subnet.cli.app", verb, *arguments]


def sdk_environment(folder: Path, name: str) -> dict[str, str]:
    """Where the SDK keeps its caches in process `name`: never in the user's home."""
    caches = folder / "caches"
    caches.mkdir(exist_ok=True)
    return {
        "BITTENSOR_RUNTIME_CACHE_DIR": str(caches / "runtime"),
        "BTCLI_CONFIG": str(caches / "btcli.json"),
        # Not shared: the SDK writes this file in place, and readers beside it would see half.
        "BTCLI_TOKEN_SYMBOLS_CACHE": str(caches / f"symbols-{name}.json"),
    }


def _environment(folder: Path, name: str) -> dict[str, str]:
    """What every process inherits: ours, without settings the user has for neurons of their own."""
    inherited = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith("SUBNET_") or variable == "SUBNET_CACHE_DIR"
    }
    return inherited | sdk_environment(folder, name) | {"OMP_WAIT_POLICY": "passive"}


def _settings(player: Player, options: Options, netuid: int, url: str) -> dict[str, str]:
    """The settings of one neuron, as it would read them on any network."""
    settings = {
        "SUBNET_NETWORK_CHAIN": url,
        "SUBNET_NETWORK_NETUID": str(netuid),
        "SUBNET_NETWORK_WALLET_PATH": str(options.folder / "wallets"),
        "SUBNET_NETWORK_WALLET": player.name,
        "SUBNET_NETWORK_HOTKEY": "default",
    }
    if player.role == "validator":
        secret = hashlib.blake2b(player.hotkey_seed, key=b"tasks", digest_size=16)
        return settings | {
            "SUBNET_VALIDATOR_STATE": str(options.folder / player.name / "state"),
            "SUBNET_VALIDATOR_SEED": secret.hexdigest(),
            "SUBNET_VALIDATOR_WANDB": options.wandb,
            "SUBNET_WEIGHTS_BURN": str(BURN if options.mainnet else 0.0),
        }
    port = free_port(player.host) if player.kind == GUEST else 0
    settings |= {
        "SUBNET_MINER_HOST": player.host,
        "SUBNET_MINER_PORT": str(port),
        "SUBNET_MINER_DRAIN_S": "1",  # all must be gone five seconds after Ctrl-C
    }
    if player.kind != GUEST:
        honest = player.kind == NEWCOMER
        settings["SUBNET_MINER_BEHAVIOUR"] = HONEST if honest else player.kind
    if player.kind == "downgraded":
        settings["SUBNET_MINER_ALLOW_OTHER_WEIGHTS"] = "true"
    return settings


def _guest_facts(
    player: Player, options: Options, netuid: int, url: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The same facts for a miner in any language, which knows nothing of our settings."""
    return {
        "DEMO_CHAIN": url,
        "DEMO_NETUID": str(netuid),
        "DEMO_HOST": player.host,
        "DEMO_PORT": environment["SUBNET_MINER_PORT"],
        "DEMO_HOTKEY": player.hotkey.ss58_address,
        "DEMO_HOTKEY_SEED": "0x" + player.hotkey_seed.hex(),
        "DEMO_HOTKEY_FILE": str(options.folder / "wallets" / player.name / "hotkeys" / "default"),
    }


def guest_command(text: str) -> tuple[str, ...]:
    """The words of a command line. Raises InvalidSetting when there is no such program."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise InvalidSetting("--miner-cmd", "the command line", str(error)) from error
    if not command or shutil.which(command[0]) is None:
        raise InvalidSetting("--miner-cmd", "the command line", f"there is no program {text!r}")
    return tuple(command)


def free_port(host: str) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def ensure_free(host: str, port: int) -> None:
    """Raise PortTaken when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port) from error
