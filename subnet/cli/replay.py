"""`subnet replay`: judge a validator's recorded rounds by other code, before a rule changes."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import inspect
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import output
from subnet.cli.place import (
    Definition,
    ValidatorPlace,
    find_journal,
    search_working_folder,
    with_place,
)

if TYPE_CHECKING:
    from subnet.definition import Subnet
    from validators.replay import Replayed

app = typer.Typer(add_completion=False, rich_markup_mode=None)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SHOWN_PROBLEMS = 10


@app.command()
@with_place
def replay(
    since: Annotated[
        str | None, typer.Option(help="How far back, as 7d, 12h or 90m; if not given, all of it.")
    ] = None,
    new: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="The new definition, FILE.py[:Class] or package.module:Class; if not given, the "
            "present one.",
        ),
    ] = None,
    *,
    place: ValidatorPlace,
    definition: Definition = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge recorded rounds again, by other code: who would gain, and who would lose.

    Asks neither the chain nor a miner. Standings are what these rounds alone say.
    """
    from subnet.config import ValidatorSettings
    from subnet.definition import load as load_definition
    from validators import replay as replaying

    search_working_folder()
    settings = place.settings(ValidatorSettings, subnet={"definition": definition})
    folder = settings.state_folder()
    journal = find_journal(folder)
    old = load_definition(settings.subnet.definition)
    rules = replaying.Rules(
        half_life_rounds=settings.weights.half_life_rounds,
        burn=settings.weights.burn,
        coldkey_seats=settings.weights.coldkey_seats,
    )
    with ExitStack() as stack:
        tell = _Bar(stack)
        found = asyncio.run(
            replaying.replay(
                journal,
                old if new is None else find_definition(new),
                old=old,
                rules=rules,
                since=None if since is None else time.time() - seconds(since),
                sealed=folder / "sealed.json",
                tell=tell,
            )
        )
    if as_json:
        output.data(_document(found))
    else:
        output.result(_text(found))


class _Bar:
    """Opens the bar when it is known how long it is."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._tell: Callable[[int], None] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._tell is None:
            self._tell = self._stack.enter_context(output.counted("judging rounds again", total))
        self._tell(done)


def seconds(text: str) -> float:
    """The seconds in "7d", "12h", "90m", "30s" or "2w". Raises a usage error."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no length of time such as 7d, 12h or 90m")
    return float(match[1]) * UNITS[match[2]]


def find_definition(name: str) -> Subnet[Any, Any]:
    """The subnet of "FILE.py", "FILE.py:Class" or "package.module:Class".

    A file with one subnet in it needs no class. Raises DefinitionError.
    """
    from subnet.definition import Subnet, load
    from subnet.errors import DefinitionError

    match = re.fullmatch(r"(?P<file>.*\.py)(?::(?P<kind>\w+))?", name)
    if match is None:
        return load(name)
    path = Path(match["file"])
    module_name = f"replayed_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise DefinitionError(name, "there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # an author's module may fail in any way while it is imported
        raise DefinitionError(name, f"running {path} failed: {error!r}") from error
    kind = match["kind"]
    if kind is None:
        kinds = [
            one
            for one, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, Subnet)
            and value.__module__ == module_name
        ]
        if len(kinds) != 1:
            found = ", ".join(kinds) or "none"
            raise DefinitionError(name, f"name one subnet of this file, as FILE:Class ({found})")
        (kind,) = kinds
    return load(f"{module_name}:{kind}")


def _document(found: Replayed) -> dict[str, Any]:
    return {
        "rounds": found.rounds,
        "judged": found.judged,
        "changed": found.changed,
        "problems": dict(found.problems),
        "codes": [dict(code) for code in found.codes],
        "signed": dict(found.signed),
        "hotkeys": [dataclasses.asdict(shift) | {"change": shift.change} for shift in found.shifts],
        "not_judged": [dataclasses.asdict(entry) for entry in found.not_judged],
    }


def _text(found: Replayed) -> str:
    rows = [
        (
            shift.hotkey,
            str(shift.uid),
            f"{shift.old_standing:.4f}",
            f"{shift.new_standing:.4f}",
            f"{shift.old_share:.2%}",
            f"{shift.new_share:.2%}",
            f"{shift.change:+.2%}",
        )
        for shift in found.shifts
    ]
    names = ("hotkey", "uid", "standing", "new", "share", "new", "change")
    parts = [
        output.table(names, rows, right=set(range(1, 7))),
        f"{found.rounds} rounds, {found.judged} answers judged again, {found.changed} of them "
        "otherwise than before",
        "what miners signed for: "
        + ", ".join(f"{count} {what}" for what, count in sorted(found.signed.items())),
    ]
    if found.not_judged:
        counts = ", ".join(f"{count} {why}" for why, count in sorted(found.problems.items()))
        total = sum(found.problems.values())
        parts.append(
            f"{total} cannot be judged again and count on neither side: {counts}\n"
            + "\n".join(
                f"  round {entry.round}, {entry.hotkey}, task {entry.task}: {entry.problem}"
                for entry in found.not_judged[:SHOWN_PROBLEMS]
            )
        )
        if total > SHOWN_PROBLEMS:
            parts[-1] += f"\n  and {total - SHOWN_PROBLEMS} more: see --json"
    return "\n\n".join(parts)
