"""`subnet state`: look at what a validator remembers, back it up, restore and migrate it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.place import ValidatorPlace, with_place

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Look at a validator's memory, back it up, restore and migrate it.",
)

Json = Annotated[bool, typer.Option("--json", help="Print a JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Replace what is there already.")]


@app.command()
@with_place
def inspect(
    place: ValidatorPlace,
    json: Json = False,
) -> None:
    """Read the whole ledger, also of a running validator; exit 1 where it is damaged."""
    from validators.state import inspect as read

    report = read(_ledger(place))
    if json:
        output.data({**dataclasses.asdict(report), "path": str(report.path)})
    else:
        output.result(
            "\n".join(
                [
                    f"ledger     {report.path}",
                    f"version    {report.version}, {report.bytes} bytes, "
                    + ("a validator runs on it" if report.held else "no validator runs"),
                    f"rounds     {report.rounds} in {report.runs} runs"
                    + (
                        f", the last is {report.last_round} at block {report.last_block}"
                        if report.rounds
                        else ""
                    ),
                    f"hotkeys    {report.hotkeys}, asked {report.questions} times;"
                    f" {report.outcomes} outcomes kept one by one",
                    f"bans       {report.bans}, {report.banned} hotkeys banned now",
                    *(f"damaged    {problem}" for problem in report.problems),
                ]
            )
        )
    if report.problems:
        raise typer.Exit(exits.FAILED)


@app.command()
@with_place
def backup(
    to: Annotated[Path, typer.Argument(metavar="TO", help="File to write.")],
    place: ValidatorPlace,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Copy the ledger to one file; the validator may run meanwhile."""
    from validators.state import backup as copy

    path = _ledger(place)
    copy(path, to, overwrite=yes)
    facts = {"ledger": str(path), "backup": str(to), "bytes": to.stat().st_size}
    output.data(facts) if json else output.result(str(to))


@app.command()
@with_place
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` wrote.")],
    place: ValidatorPlace,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put a backup in the ledger's place; the ledger that was there is kept beside it."""
    from validators.state import restore as put_back

    path = _ledger(place)
    kept = put_back(path, source, overwrite=yes)
    facts = {"ledger": str(path), "backup": str(source), "kept": kept and str(kept)}
    output.data(facts) if json else output.result(str(path))
    if kept is not None:
        output.say(f"what was there is kept at {kept}")


@app.command()
@with_place
def migrate(
    place: ValidatorPlace,
    json: Json = False,
) -> None:
    """Bring the ledger to this program's version; the old one is kept beside it."""
    from validators.state import bring_up_to_date

    path = _ledger(place)
    before, after, kept = bring_up_to_date(path)
    if json:
        facts = {"ledger": str(path), "before": before, "after": after, "kept": kept and str(kept)}
        output.data(facts)
    else:
        output.result(f"version {before}" if before == after else f"version {before} -> {after}")
    if kept is not None:
        output.say(f"version {before} is kept at {kept}")


def _ledger(place: ValidatorPlace) -> Path:
    from validators.ledger import FILE_NAME

    return place.folder() / FILE_NAME
