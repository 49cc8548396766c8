"""`subnet doctor`: what would keep this miner or validator from working, and what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import os
from typing import Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.place import Definition, Place, search_working_folder, with_place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Role(enum.StrEnum):
    """Who is to work here."""

    MINER = "miner"
    VALIDATOR = "validator"


@app.command()
@with_place
def doctor(
    role: Annotated[Role, typer.Option(help="Who is to work here.")],
    place: Place,
    definition: Definition = None,
    server: Annotated[
        str | None,
        typer.Option(help="URL of a model server that is to answer; $OPENAI_API_KEY is its key."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at everything a miner or validator needs, with the settings it would have.

    One line each: ok, warn or fail, and what to do. Exit 0 when nothing fails, 1 when something
    does. Nothing is changed.
    """
    from subnet.config import MinerSettings, ValidatorSettings
    from subnet.doctor import State, examine

    search_working_folder()
    settings = place.settings(
        MinerSettings if role is Role.MINER else ValidatorSettings,
        subnet={"definition": definition},
    )
    assert isinstance(settings, MinerSettings | ValidatorSettings)
    _ = settings.netuid  # said before any work
    key = os.environ.get("OPENAI_API_KEY")
    with output.busy("looking at everything it needs"):
        checks = asyncio.run(examine(settings, server=server, server_key=key))
    if json:
        output.data([dataclasses.asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            todo = f"; {check.todo}" if check.todo else ""
            output.result(f"{check.state:<4}  {check.name:<{width}}  {check.found}{todo}")
    if any(check.state is State.FAIL for check in checks):
        raise typer.Exit(exits.FAILED)
