"""`subnet devnet`: run a development chain until stopped."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from subnet.cli import exits, output

if TYPE_CHECKING:
    from chain.devnet.devnet import Devnet
    from chain.devnet.genesis import DevAccount
    from chain.devnet.schedule import Schedule

app = typer.Typer(add_completion=False, rich_markup_mode=None)

DEFAULT_SLOT_MS = 250


@app.command()
def devnet(
    host: Annotated[
        str, typer.Option(help="Address to listen on; whoever can connect may use the chain.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 9944,
    block_time: Annotated[
        str, typer.Option(help="Seconds (0.25, 12), `instant` or `manual`.")
    ] = "0.25",
    preset: Annotated[
        Literal["devnet", "minimal", "mainnet"],
        typer.Option(
            help="`mainnet` has the chain's own rules; `devnet` spares the waits between subnets "
            "and takes plain weights; `minimal` has short epochs and no waits at all."
        ),
    ] = "devnet",
    accounts: Annotated[
        int, typer.Option(min=1, max=1000, help="How many accounts begin with money.")
    ] = 6,
    db: Annotated[
        str, typer.Option(help="File to keep the chain in; `memory` forgets it at the end.")
    ] = "memory",
    load: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Begin with the chain dumped in FILE.")
    ] = None,
    dump: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the chain to FILE when stopped.")
    ] = None,
    prune: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Keep the states of the last N blocks only; all, if not given."
        ),
    ] = None,
    allow_remote_control: Annotated[
        bool,
        typer.Option(
            "--allow-remote-control",
            help="Weakens the node: devnet_* methods also answer clients on other machines.",
        ),
    ] = False,
    drand: Annotated[
        Literal["online", "expire"],
        typer.Option(
            help="What opens weights that are sealed to the drand beacon: its pulses, fetched from "
            "the internet (`online`), or nothing (`expire`)."
        ),
    ] = "expire",
    drand_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where drand's HTTP API is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a development chain that unmodified Bittensor clients can use, until stopped."""
    output.log_to_stderr()
    _ensure_writable(dump)
    stopped_by = _run_loop(
        _serve(
            host,
            port,
            _schedule(block_time),
            preset,
            accounts,
            None if db == "memory" else Path(db).absolute(),
            load,
            dump,
            prune,
            allow_remote_control,
            drand,
            drand_url,
            as_json,
        )
    )
    if stopped_by is signal.SIGINT:
        raise typer.Exit(exits.INTERRUPTED)


def _schedule(text: str) -> Schedule:
    from chain.devnet.schedule import schedule

    try:
        return schedule(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {error}", param_hint="--block-time") from None


def _ensure_writable(dump: Path | None) -> None:
    """Not after hours of running is the time to learn that there is no such folder."""
    if dump is not None and (dump.is_dir() or not dump.absolute().parent.is_dir()):
        raise typer.BadParameter(f"cannot write {dump}", param_hint="--dump")


def _run_loop(main: Coroutine[Any, Any, signal.Signals]) -> signal.Signals:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def _serve(
    host: str,
    port: int,
    schedule: Schedule,
    preset: Literal["devnet", "minimal", "mainnet"],
    funded: int,
    database: Path | None,
    load: Path | None,
    dump: Path | None,
    prune: int | None,
    allow_remote_control: bool,
    drand: Literal["online", "expire"],
    drand_url: str | None,
    as_json: bool,
) -> signal.Signals:
    from chain.devnet.database import DatabaseUnusable
    from chain.devnet.devnet import Devnet
    from chain.devnet.drand import DRAND_URL
    from chain.devnet.genesis import accounts, dev_engine
    from chain.devnet.node import NodeConfig
    from chain.devnet.schedule import Interval
    from chain.devnet.server import CannotListen
    from subnet.cli.blocklog import BlockLog
    from subnet.errors import PortTaken, StateError

    stopped = _stop_signal()
    slot_ms = round(schedule.seconds * 1000) if isinstance(schedule, Interval) else DEFAULT_SLOT_MS
    config = NodeConfig(schedule, database, load, prune)
    try:
        node = Devnet(
            dev_engine(slot_ms, preset, funded),
            config,
            host=host,
            port=port,
            allow_remote_control=allow_remote_control,
            drand=drand,
            drand_url=drand_url or DRAND_URL,
        )
    except DatabaseUnusable as error:
        raise StateError(error.path, error.reason) from error
    rich = accounts(funded)
    gc.freeze()  # what is there by now stays: the collector need not walk it again and again
    try:
        async with node:
            _announce(node, rich, as_json)
            if not as_json:
                names = {account.account.ss58(): account.uri for account in rich}
                node.heads.listen(BlockLog(node, names, output.say).show)
            received = await stopped
            if dump is not None:
                _write(dump, node.dump())
    except CannotListen as error:
        if error.taken:
            raise PortTaken(host, port) from error
        raise
    return received


def _write(dump: Path, data: bytes) -> None:
    """An earlier dump stays as it was until this one is whole."""
    from subnet.errors import StateError

    part = dump.with_name(f"{dump.name}.part")
    try:
        part.write_bytes(data)
        part.replace(dump)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StateError.of(dump, error) from error


def _stop_signal() -> asyncio.Future[signal.Signals]:
    """SIGTERM or SIGINT, whichever comes first."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not stopped.done():
            stopped.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stopped


def _announce(node: Devnet, rich: tuple[DevAccount, ...], as_json: bool) -> None:
    from chain.devnet.genesis import BALANCE
    from chain.types import RAO_PER_TAO

    if as_json:
        output.data(
            {
                "url": node.url,
                "genesis": f"0x{node.store.genesis.hash.hex()}",
                "block": node.head.number,
                "spec_version": node.engine.runtime_version().spec_version,
                "sudo": rich[0].account.ss58(),
                "accounts": [
                    {
                        "uri": account.uri,
                        "ss58": account.account.ss58(),
                        "balance_rao": int(BALANCE),
                    }
                    for account in rich
                ],
            }
        )
        return
    tao = int(BALANCE) // RAO_PER_TAO
    lines = [f"{a.uri:<10} {a.account.ss58()}  {tao:,} TAO" for a in rich]
    lines[0] += "  root"
    at = f" at block {node.head.number}" if node.head.number else ""
    output.result(
        "\n".join(
            (
                f"A chain of your own{at}: {node.url}",
                "Accounts at genesis (their secrets are public, use them nowhere else):",
                *lines,
            )
        )
    )
