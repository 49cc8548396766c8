"""`subnet hints`: who may be one operator, who copies, whose weights stand apart. For a person."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Annotated

import typer

from subnet.cli import output
from subnet.cli.place import ValidatorPlace, a_number, find_journal, with_place

if TYPE_CHECKING:
    from chain.client.metagraph import Metagraph
    from validators.hints import Hints, Weighers

app = typer.Typer(add_completion=False, rich_markup_mode=None)

DAY_S = 86_400.0


@app.command()
@with_place
def hints(
    place: ValidatorPlace,
    days: Annotated[
        float,
        typer.Option(min=0.0, callback=a_number, help="Look at so many days of the journal."),
    ] = 7.0,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the chain: the journal alone.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show what looks like one operator, a copy, or a validator that stands apart.

    Hints, no proof: look at each before you act. Nothing here changes anybody's weight.
    """
    from subnet.errors import MissingExtra
    from validators import journal
    from validators.hints import find_hints

    path = find_journal(place.folder())
    metagraph, weighers = (None, None) if offline else asyncio.run(_look(place))
    lines = journal.read(path, since=time.time() - days * DAY_S)
    try:
        found = find_hints(lines, metagraph, weighers)
    except ImportError as error:
        raise MissingExtra("scipy", "judging") from error
    if json:
        output.data(dataclasses.asdict(found))
    else:
        output.result(_text(found, metagraph))


async def _look(place: ValidatorPlace) -> tuple[Metagraph, Weighers]:
    from chain.client import Chain
    from subnet.config import ValidatorSettings
    from validators.hints import read_weighers

    settings = place.settings(ValidatorSettings)
    async with Chain.connect(settings.network.endpoint) as chain:
        metagraph = await chain.metagraph(settings.netuid)
        return metagraph, await read_weighers(chain, metagraph)


def _text(found: Hints, metagraph: Metagraph | None) -> str:
    uids = {} if metagraph is None else {n.hotkey: f"uid {n.uid} " for n in metagraph.neurons}
    rows = [
        (
            hint.what,
            "" if hint.p is None else f"{hint.p:.2g}",
            hint.detail,
            ", ".join(f"{uids.get(hotkey, '')}{hotkey}" for hotkey in hint.hotkeys),
        )
        for hint in found.hints
    ]
    where = "the journal alone" if found.block is None else f"block {found.block}"
    heading = (
        f"{found.rounds} rounds, {found.miners} miners, answers to {found.questions} questions, "
        f"{where}; {found.left_out} miners asked too seldom"
    )
    if not rows:
        return f"{heading}\nno hints"
    table = output.table(("what", "p", "detail", "who"), rows, {1})
    return f"{heading}\n{table}\nhints, no proof: look at each before you act"
