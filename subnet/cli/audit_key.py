"""`subnet audit-key`: the key to what the journal withholds of one epoch, to be handed out."""

from __future__ import annotations

from typing import Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.place import ValidatorPlace, with_place

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(name="audit-key")
@with_place
def audit_key(
    epoch: Annotated[int, typer.Option(help="The epoch to open.")],
    place: ValidatorPlace,
) -> int:
    """Print the key that opens one epoch of `withheld.jsonl`: organic questions and their answers.

    Whoever has it can read that epoch's, and audit them. It opens no other epoch.
    """
    from validators.prompts.withheld import Withheld

    key = Withheld(place.folder()).find_key(epoch)
    if key is None:
        output.fail(f"nothing was withheld in epoch {epoch}; there is no key")
        return exits.FAILED
    output.result(key)
    return exits.DONE
