"""`subnet demo`: the options, the run's folder, signals, and what is printed at the end."""

from __future__ import annotations

import asyncio
import json as json_module
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from subnet.cli import exits, output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    regime: Annotated[
        Literal["devnet", "mainnet"],
        typer.Option(
            help="`mainnet` plays by mainnet's rules, with time travel between rounds, and with a "
            "validator that copies, one that is killed, and a seat that is sold."
        ),
    ] = "devnet",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop after this many epochs that paid miners: 3, or 8 on mainnet."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Fixes keys, seats and questions; drawn and told if not given."),
    ] = None,
    report: Annotated[Path, typer.Option(metavar="PATH", help="Where the report goes.")] = Path(
        "demo-report.json"
    ),
    json: Annotated[
        bool, typer.Option("--json", help="Print the report instead of the table.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the chain; a free one if not given."),
    ] = None,
    wandb: Annotated[
        Literal["off", "offline", "online"],
        typer.Option(help="Copy the validators' rounds to Weights & Biases."),
    ] = "off",
    miner_cmd: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Start one more miner with this command. It gets a seat, and finds DEMO_CHAIN, "
            "DEMO_NETUID, DEMO_HOST, DEMO_PORT, DEMO_HOTKEY, DEMO_HOTKEY_SEED and "
            "DEMO_HOTKEY_FILE in its environment, and the same as SUBNET_... settings.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Keep wallets, logs and journals in this empty folder. If not given they lie in "
            "a temporary one, which is removed after a good run.",
        ),
    ] = None,
) -> None:
    """Run a whole subnet on this machine, and judge it.

    Starts a chain, founds a subnet on it, and runs five miners and two validators, each its own
    process. Exit 0: every epoch asked for has paid, every weight was read back as meant, nothing
    was minted or lost, and pay followed behaviour.
    """
    started = time.monotonic()
    from subnet.cli.demo import report as reports
    from subnet.cli.demo.mainnet import FEWEST_EPOCHS
    from subnet.cli.demo.run import (
        Options,
        ensure_free,
        free_port,
        guest_command,
        run,
        sdk_environment,
    )
    from subnet.cli.demo.view import View

    # Whatever can be found out now is, not after minutes.
    _ensure_writable(report)
    is_mainnet = regime == "mainnet"
    if epochs is None:
        epochs = FEWEST_EPOCHS if is_mainnet else 3
    elif is_mainnet and epochs < FEWEST_EPOCHS:
        raise typer.BadParameter(
            f"at least {FEWEST_EPOCHS}, or the story has no end", param_hint="--epochs"
        )
    guest = None if miner_cmd is None else guest_command(miner_cmd)
    chain_port = port or free_port("127.0.0.1")
    ensure_free("127.0.0.1", chain_port)
    if run_dir is not None:
        _ensure_empty(run_dir)
    _prepare_models()

    is_temporary = run_dir is None
    folder = _make_folder(run_dir)
    os.environ.update(sdk_environment(folder, "orchestrator"))
    options = Options(
        folder=folder,
        epochs=epochs,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        port=chain_port,
        wandb=wandb,
        guest=guest,
        mainnet=is_mainnet,
    )
    view = View(folder / "logs" / "demo.log")
    is_good = False
    try:
        document = asyncio.run(_until_signal(run(options, view, started)))
        wrong = reports.verdict(document, epochs=epochs)
        report.write_text(json_module.dumps(document, indent=2) + "\n")
        output.data(document) if json else output.result(reports.table(document))
        output.say(f"report: {report}")
        is_good = not wrong
    finally:
        view.close()
        if is_temporary and is_good and wandb == "off":
            shutil.rmtree(folder, ignore_errors=True)
        else:
            output.say(f"wallets, logs and journals: {folder}")
    if wrong:
        output.fail("; ".join(wrong))
        raise typer.Exit(exits.FAILED)


async def _until_signal(work: Any) -> Any:
    """The result of `work`, which is cancelled, and may clean up, when we are asked to end."""
    task = asyncio.ensure_future(work)
    asked: list[int] = []

    def end(number: int) -> None:
        asked.append(number)
        if len(asked) == 1:  # a second Ctrl-C must not cut the clean-up short
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not asked:
            raise
        code = exits.INTERRUPTED if asked[0] == signal.SIGINT else exits.TERMINATED
        raise typer.Exit(code) from None


def _prepare_models() -> None:
    """Bring the model, if it is not there whole, and write the downgraded miner's from it."""
    from subnet.engines import models
    from subnet.engines.truncated import truncated_model
    from subnet.templates.inference.cheats import KEPT_LAYERS

    if models.find_model(models.SMOLLM2_135M.sha256) is None:
        with output.progress(f"fetching {models.SMOLLM2_135M.name}") as told:
            path = models.fetch(models.SMOLLM2_135M, None, told)
    else:
        path = models.fetch(models.SMOLLM2_135M)  # a damaged file is better replaced now
    truncated_model(path, KEPT_LAYERS)  # once for all runs: it takes seconds


def _make_folder(wanted: Path | None) -> Path:
    from subnet.errors import InvalidSetting

    folder = Path(tempfile.mkdtemp(prefix="subnet-demo-")) if wanted is None else wanted.resolve()
    try:
        for part in ("logs", "wallets"):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise InvalidSetting("--run-dir", "the command line", str(error)) from error
    return folder


def _ensure_empty(folder: Path) -> None:
    from subnet.errors import InvalidSetting

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidSetting("--run-dir", "the command line", f"{folder} is not an empty folder")


def _ensure_writable(report: Path) -> None:
    from subnet.errors import InvalidSetting

    if not report.parent.is_dir() or not os.access(report.parent, os.W_OK) or report.is_dir():
        raise InvalidSetting("--report", "the command line", f"cannot write {report}")
