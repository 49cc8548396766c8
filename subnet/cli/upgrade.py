"""`subnet upgrade`: judge the last rounds by a new version beside the present one, then switch.

The new version is another Python environment, another definition, or both; either version runs in
a process of its own, so neither can disturb a running validator or the other.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import exits, output
from subnet.cli.place import Definition, ValidatorPlace, a_number, with_place

if TYPE_CHECKING:
    from subnet.config import ValidatorSettings

app = typer.Typer(add_completion=False, rich_markup_mode=None)

LIMIT = 0.02
"""Share of all weight that may change hands without a person's word."""
LINE_BYTES = 1 << 20
"""Of what a replay says, which an author's code may add to."""


@dataclass(frozen=True, slots=True)
class Move:
    """One hotkey's share of all weight by the present version and by the new one."""

    hotkey: str
    uid: int
    present: float
    new: float

    @property
    def change(self) -> float:
        """By how much it grows."""
        return self.new - self.present


@app.command()
@with_place
def upgrade(
    to: Annotated[
        Path | None, typer.Option(help="Folder of the new Python environment, if it is another.")
    ] = None,
    new: Annotated[
        str | None,
        typer.Option("--with", help="The new definition, FILE.py[:Class] or package.module:Class."),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back, as 7d, 12h or 90m.")] = "1d",
    limit: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, callback=a_number, help="Share of weight that may change hands."
        ),
    ] = LIMIT,
    canary: Annotated[
        bool, typer.Option("--canary", help="Only show the difference; switch nothing.")
    ] = False,
    link: Annotated[
        Path | None,
        typer.Option(help="The link that the service runs from; it is turned to the new folder."),
    ] = None,
    version_key: Annotated[
        int | None, typer.Option(help="The key that the new version will send with its weights.")
    ] = None,
    *,
    place: ValidatorPlace,
    definition: Definition = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show what the new version makes of the last rounds; switch when little weight moves.

    Exit 1 when more than the limit would change hands, answers cannot be judged again by one
    version alone, or the chain asks for a higher version key: then nothing was switched.
    """
    from subnet.config import ValidatorSettings

    if to is None and new is None:
        raise typer.BadParameter("name the new version: --to ENVIRONMENT, --with DEFINITION")
    if not canary and (to is None or link is None):
        raise typer.BadParameter("give --canary, or --to and the --link to turn")
    if link is not None:
        _ensure_link(link)
    flags = _words(asdict(place) | {"definition": definition, "since": since})
    settings = place.settings(ValidatorSettings)
    key = settings.weights.version_key if version_key is None else version_key
    python = sys.executable if to is None else _python(to)
    present, coming, wanted = asyncio.run(
        _gather(
            [sys.executable, *flags],
            [python, *flags, *_words({"with": new})],
            settings,
        )
    )
    moves = compare(present, coming)
    moved = sum(abs(move.change) for move in moves) / 2
    problems = _problems(present, coming, moved, limit, key, wanted)
    switched = False
    if not problems and not canary:
        assert to is not None and link is not None
        try:
            _turn(link, to)
        except OSError as error:
            output.fail(f"{link} cannot be turned: {error.strerror}")
            raise typer.Exit(exits.FAILED) from None
        switched = True
    document = {
        "rounds": coming["rounds"],
        "moved": moved,
        "limit": limit,
        "version_key": key,
        "version_key_wanted": wanted,
        "problems": problems,
        "switched": switched,
        "hotkeys": [asdict(move) | {"change": move.change} for move in moves],
    }
    if json:
        output.data(document)
    else:
        output.result(_text(moves, document))
    if problems:
        raise typer.Exit(exits.FAILED)


def _ensure_link(link: Path) -> None:
    try:
        if not link.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {link.parent}")
        if not stat.S_ISLNK(link.lstat().st_mode):
            raise typer.BadParameter(f"{link} is no link: the service must run from one")
    except FileNotFoundError:
        pass  # it will be made
    except OSError as error:
        raise typer.BadParameter(f"{link}: {error.strerror}") from None


def compare(present: dict[str, Any], coming: dict[str, Any]) -> list[Move]:
    """Shares by both versions, from two documents of `subnet replay`; the greatest gain first."""
    before = {item["hotkey"]: item for item in present["hotkeys"]}
    after = {item["hotkey"]: item for item in coming["hotkeys"]}
    moves = [
        Move(
            hotkey,
            int((after.get(hotkey) or before[hotkey])["uid"]),
            float(before.get(hotkey, {}).get("new_share", 0.0)),
            float(after.get(hotkey, {}).get("new_share", 0.0)),
        )
        for hotkey in before.keys() | after.keys()
    ]
    return sorted(moves, key=lambda move: (-move.change, move.uid))


def _words(options: Mapping[str, object]) -> list[str]:
    """The words of a command line; None is "not given"."""
    return [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


def _problems(
    present: dict[str, Any],
    coming: dict[str, Any],
    moved: float,
    limit: float,
    key: int,
    wanted: int | None,
) -> list[str]:
    problems = []
    if not coming["rounds"] or not coming["judged"]:
        problems.append("there are no rounds to judge: try a longer --since")
    if moved > limit:
        problems.append(f"{moved:.2%} of all weight would change hands; the limit is {limit:.2%}")
    if present["judged"] != coming["judged"]:
        problems.append(
            f"the present version judges {present['judged']} answers, the new one "
            f"{coming['judged']}: they cannot be compared"
        )
    if wanted is not None and key < wanted:
        problems.append(
            f"the chain takes no weights with version key {key}: it asks for {wanted}; set "
            "weights.version_key"
        )
    return problems


async def _gather(
    present: Sequence[str], coming: Sequence[str], settings: ValidatorSettings
) -> tuple[dict[str, Any], dict[str, Any], int | None]:
    """Both replays, one after the other, and the key that the chain asks for, if it can be asked.

    Together they would take twice the memory, for models that judge.
    """
    old = await _replay("present", *present)
    new = await _replay("new", *coming)
    return old, new, await _wanted_key(settings)


async def _replay(version: str, python: str, *flags: str) -> dict[str, Any]:
    # -P: what an environment has installed comes before what lies in the working folder.
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-P", "-m", "subnet.cli.app", "replay", "--json", *flags,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=LINE_BYTES,
        )  # fmt: skip
    except OSError as error:
        output.fail(f"{python} cannot be run: {error.strerror}")
        raise typer.Exit(exits.FAILED) from None
    assert process.stdout is not None and process.stderr is not None
    try:
        out, last = await asyncio.gather(process.stdout.read(), _pass_on(version, process.stderr))
        code = await process.wait()
    finally:
        if process.returncode is None:  # we were told to end: it is not to go on without us
            process.kill()
            await process.wait()
    if code:
        output.fail(f"the replay by the {version} version ended with code {code}: {last}")
        raise typer.Exit(code if code > 0 else exits.FAILED)
    try:
        found: dict[str, Any] = jsonlib.loads(out)
        found["rounds"], found["judged"], compare(found, found)
    except (ValueError, KeyError, TypeError) as error:
        output.fail(f"the {version} version did not print what its replay came to: {error!r}")
        raise typer.Exit(exits.FAILED) from None
    return found


async def _pass_on(version: str, talk: asyncio.StreamReader) -> str:
    """Say what a replay says while it works; the last line, without its "error: "."""
    last = ""
    async for raw in talk:
        last = raw.decode(errors="replace").rstrip()
        if not last.startswith("error: "):  # that is said once, and by us
            output.say(f"{version} version: {last}")
    return last.removeprefix("error: ")


async def _wanted_key(settings: ValidatorSettings) -> int | None:
    from chain.client.chain import Chain
    from chain.errors import ChainAway

    try:
        async with Chain.connect(settings.network.endpoint) as chain:
            return (await chain.hyperparameters(settings.netuid)).weights_version
    except ChainAway as error:
        output.say(f"the version key is not checked: {error}")
        return None


def _python(environment: Path) -> str:
    python = environment / "bin" / "python"
    try:
        there = python.exists()
    except OSError as error:
        raise typer.BadParameter(f"{environment}: {error.strerror}") from None
    if not there:
        raise typer.BadParameter(f"{environment} is no Python environment: no {python}")
    return str(python)


def _turn(link: Path, to: Path) -> None:
    """Point `link` to `to` at once: there is no moment without it."""
    new = link.with_name(link.name + ".new")
    new.unlink(missing_ok=True)
    new.symlink_to(to.absolute(), target_is_directory=True)
    os.replace(new, link)


def _text(moves: Sequence[Move], document: dict[str, Any]) -> str:
    rows = [
        (move.hotkey, str(move.uid), f"{move.present:.2%}", f"{move.new:.2%}",
         f"{move.change:+.2%}")
        for move in moves
    ]  # fmt: skip
    names = ("hotkey", "uid", "share", "new", "change")
    end = [f"{document['rounds']} rounds; {document['moved']:.2%} of all weight changes hands"]
    end += [f"not switched: {problem}" for problem in document["problems"]]
    if document["switched"]:
        end.append("switched; the next start runs the new version")
    return output.table(names, rows, right={1, 2, 3, 4}) + "\n\n" + "\n".join(end)
