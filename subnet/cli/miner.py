"""`subnet miner`: run one miner."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated

import typer

from subnet.cli.neuron import AllowOtherWeights, Engine, Wait, run
from subnet.cli.place import Definition, Place, with_place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_place
def miner(
    place: Place,
    definition: Definition = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    external_host: Annotated[
        str | None, typer.Option(help="IP address to publish, where it is not the host.")
    ] = None,
    external_port: Annotated[
        int | None, typer.Option(help="Port to publish, where it is not the port.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that check and sign at the port; more than one need --redis."),
    ] = None,
    redis: Annotated[
        str | None, typer.Option(help="redis:// address that all who serve this hotkey share.")
    ] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls", help="Serve TLS, and publish the key to pin.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1 of /healthz, /readyz and /metrics.")
    ] = None,
    min_stake: Annotated[
        float | None, typer.Option(help="Alpha a caller must have staked.")
    ] = None,
    behaviour: Annotated[
        str | None,
        typer.Option(
            help="Which of the definition's miners to run. All but `honest` are for demos and "
            "tests; the inference subnet has flaky, downgraded and canned."
        ),
    ] = None,
    model_file: Annotated[
        Path | None, typer.Option(help="Model file to run instead of the cached one.")
    ] = None,
    allow_other_weights: AllowOtherWeights = None,
    engine: Engine = None,
    wait: Wait = None,
) -> None:
    """Run one miner: take the seat, open the model, publish the axon, answer until stopped."""
    from miners.serve import serve
    from subnet.config import MinerSettings

    flags = place.flags(
        subnet={"definition": definition},
        engine={"kind": engine},
        miner={
            "host": host,
            "port": port,
            "external_host": external_host,
            "external_port": external_port,
            "workers": workers,
            "redis": redis,
            "tls": tls,
            "metrics_port": metrics_port,
            "min_stake": min_stake,
            "behaviour": behaviour,
            "model_file": model_file,
            "allow_other_weights": allow_other_weights,
            "wait": wait,
        },
    )
    worker = (sys.executable, "-m", "subnet.cli.worker")
    run(functools.partial(serve, worker=worker), MinerSettings, place.config, flags)
