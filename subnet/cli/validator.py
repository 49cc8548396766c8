"""`subnet validator`: run one validator."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from subnet.cli.neuron import Engine, Fuse, Wait, end_now, run
from subnet.cli.place import Definition, ValidatorPlace, with_place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_place
def validator(
    place: ValidatorPlace,
    definition: Definition = None,
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

    flags = place.flags(
        subnet={"definition": definition},
        engine={"kind": engine},
        validator={
            "rounds_per_epoch": rounds_per_epoch,
            "tasks_per_round": tasks_per_round,
            "in_flight": in_flight,
            "wandb": wandb,
            "explain_port": explain_port,
            "metrics_port": metrics_port,
            "lease": lease,
            "wait": wait,
        },
    )
    program = functools.partial(validate, bite=end_now, fuse=Fuse())
    run(program, ValidatorSettings, place.config, flags)
