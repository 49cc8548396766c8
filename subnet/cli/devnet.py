"""`subnet devnet`: run a development chain until stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import exits, output

if TYPE_CHECKING:
    from chain.devnet.schedule import Schedule
    from chain.devnet.server import Server

app = typer.Typer(add_completion=False, rich_markup_mode=None)

DEFAULT_SLOT_MS = 250


@app.command()
def devnet(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anyone who can connect may do anything.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 9944,
    block_time: Annotated[
        str, typer.Option(help="Seconds (0.25, 12), `instant` or `manual`.")
    ] = "0.25",
    db: Annotated[
        str, typer.Option(help="File to keep the chain in; `memory` forgets it at the end.")
    ] = "memory",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a development chain that unmodified Bittensor clients can use, until stopped."""
    output.log_to_stderr()
    schedule = _schedule(block_time)
    database = None if db == "memory" else Path(db).absolute()
    stopped_by = _run_loop(_serve(host, port, schedule, database, as_json))
    if stopped_by is signal.SIGINT:
        raise typer.Exit(exits.INTERRUPTED)


def _schedule(text: str) -> Schedule:
    from chain.devnet.schedule import Instant, Interval, Manual

    if text == "instant":
        return Instant()
    if text == "manual":
        return Manual()
    try:
        return Interval(float(text))
    except ValueError as error:
        reason = str(error) if text.replace(".", "", 1).isdigit() else "is no block time"
        raise typer.BadParameter(
            f"{text}: {reason}; give seconds, `instant` or `manual`", param_hint="--block-time"
        ) from None


def _run_loop(main: Coroutine[Any, Any, signal.Signals | None]) -> signal.Signals | None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def _serve(
    host: str, port: int, schedule: Schedule, database: Path | None, as_json: bool
) -> signal.Signals | None:
    from chain.devnet.database import DatabaseUnusable
    from chain.devnet.genesis import dev_engine
    from chain.devnet.node import Node, NodeConfig
    from chain.devnet.schedule import Interval
    from chain.devnet.server import CannotListen, Server
    from subnet.errors import PortTaken, StateError

    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)

    slot_ms = round(schedule.seconds * 1000) if isinstance(schedule, Interval) else DEFAULT_SLOT_MS
    try:
        node = Node(dev_engine(slot_ms), NodeConfig(schedule, database))
    except DatabaseUnusable as error:
        raise StateError(error.path, error.reason) from error
    try:
        async with node, Server(node, host, port) as server:
            _announce(server, as_json)
            await stop.wait()
    except CannotListen as error:
        if error.taken:
            raise PortTaken(host, port) from error
        raise
    return received[0] if received else None


def _announce(server: Server, as_json: bool) -> None:
    from chain.devnet.genesis import ACCOUNTS, BALANCE
    from chain.types import RAO_PER_TAO

    node = server.node
    if as_json:
        output.data(
            {
                "url": server.url,
                "genesis": f"0x{node.store.genesis.hash.hex()}",
                "block": node.head.number,
                "spec_version": node.engine.runtime_version().spec_version,
                "sudo": ACCOUNTS[0].account.ss58(),
                "accounts": [
                    {
                        "uri": account.uri,
                        "ss58": account.account.ss58(),
                        "balance_rao": int(BALANCE),
                    }
                    for account in ACCOUNTS
                ],
            }
        )
        return
    tao = int(BALANCE) // RAO_PER_TAO
    lines = [f"{a.uri:<10} {a.account.ss58()}  {tao:,} TAO" for a in ACCOUNTS]
    lines[0] += "  root"
    at = f" at block {node.head.number}" if node.head.number else ""
    output.result(
        "\n".join(
            (
                f"A chain of your own{at}: {server.url}",
                "Accounts at genesis (their secrets are public, use them nowhere else):",
                *lines,
            )
        )
    )
