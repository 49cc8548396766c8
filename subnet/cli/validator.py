"""`subnet validator`: run one validator."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from subnet.cli.neuron import (
    Chain,
    Config,
    Definition,
    Engine,
    Hotkey,
    NetUid,
    Wait,
    Wallet,
    WalletPath,
    end_now,
    run,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def validator(
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    wallet: Wallet = None,
    hotkey: Hotkey = None,
    wallet_path: WalletPath = None,
    definition: Definition = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the ledger and the journal.")
    ] = None,
    rounds_per_epoch: Annotated[
        int | None, typer.Option(help="Rounds in each epoch; weights follow the last one.")
    ] = None,
    tasks_per_round: Annotated[
        int | None, typer.Option(help="Questions to every miner in each round.")
    ] = None,
    in_flight: Annotated[
        int | None, typer.Option(help="Most questions waiting for an answer at any moment.")
    ] = None,
    wandb: Annotated[
        str | None, typer.Option(help="Copy the round log to W&B: off, offline or online.")
    ] = None,
    explain_port: Annotated[
        int | None, typer.Option(help="Port at which miners may ask about themselves.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1 of /healthz, /readyz and /metrics.")
    ] = None,
    lease: Annotated[
        str | None,
        typer.Option(help="redis:// address at which instances of this validator take turns."),
    ] = None,
    engine: Engine = None,
    wait: Wait = None,
) -> None:
    """Run one validator: ask the miners, judge their answers, set weights, until stopped."""
    from subnet.config import ValidatorSettings
    from validators.validator import validate

    flags: dict[str, dict[str, object]] = {
        "network": {
            "chain": network,
            "netuid": netuid,
            "wallet": wallet,
            "hotkey": hotkey,
            "wallet_path": wallet_path,
        },
        "subnet": {"definition": definition},
        "engine": {"kind": engine},
        "validator": {
            "state": state,
            "rounds_per_epoch": rounds_per_epoch,
            "tasks_per_round": tasks_per_round,
            "in_flight": in_flight,
            "wandb": wandb,
            "explain_port": explain_port,
            "metrics_port": metrics_port,
            "lease": lease,
            "wait": wait,
        },
    }
    run(functools.partial(validate, bite=end_now), ValidatorSettings, config, flags)
