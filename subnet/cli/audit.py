"""`subnet audit`: check what a validator published of one epoch, against the chain."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import exits, output
from subnet.cli.place import Chain, Config, NetUid, a_number, search_working_folder

if TYPE_CHECKING:
    from subnet.config import Settings
    from validators.audit import Audit
    from validators.prompts.withheld import Opened

_KEY = re.compile("[0-9a-fA-F]{64}")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def audit(
    validator: Annotated[str, typer.Option(help="The validator's hotkey (ss58).")],
    epoch: Annotated[int, typer.Option(help="The subnet's epoch, as the journal counts it.")],
    journal: Annotated[
        Path,
        typer.Option(help="The journal that it published.", exists=True, dir_okay=False),
    ],
    others: Annotated[
        list[Path] | None,
        typer.Option("--other-journal", help="Another validator's journal, searched for canaries."),
    ] = None,
    withheld: Annotated[
        Path | None,
        typer.Option(help="File of what the journal withholds, with --audit-key."),
    ] = None,
    audit_key: Annotated[
        str | None, typer.Option(help="The epoch's key, if the validator gave it to you.")
    ] = None,
    receipts: Annotated[
        list[Path] | None,
        typer.Option(help="A miner's receipts, held against the journal.", exists=True),
    ] = None,
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    definition: Annotated[
        str | None,
        typer.Option("--definition", "--subnet", help="The subnet, as package.module:Class."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            callback=a_number,
            help="Scores this close are the same; by default almost none, 0.01 where "
            "a model judges.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> int:
    """Check one epoch of a validator: from the root on the chain to the row of weights.

    The verdict is "honest", "different" (and where first), "leaked" when a miner knew what only
    others were told, or "incomplete" when nothing is wrong but not all could be checked. Ends with
    0 for an honest epoch only.
    """
    from subnet.config import Settings, load
    from subnet.wire.receipts import read_receipts

    search_working_folder()
    flags: dict[str, dict[str, object]] = {
        "network": {"chain": network, "netuid": netuid},
        "subnet": {"definition": definition},
    }
    settings = load(Settings, file=config, flags=flags)
    more: dict[str, Any] = {"tolerance": tolerance}
    if withheld is not None or audit_key is not None:
        more["opened"] = _open(withheld, audit_key, epoch)
    more["receipts"] = itertools.chain.from_iterable(map(read_receipts, receipts or []))
    with output.busy("auditing"):
        found = asyncio.run(_audit(settings, journal, others or [], validator, epoch, more))
    if as_json:
        output.data({**dataclasses.asdict(found), "verdict": found.verdict})
    else:
        output.result("\n".join(_report(found)))
    return exits.DONE if found.verdict == "honest" else exits.FAILED


def _open(path: Path | None, key: str | None, epoch: int) -> list[Opened]:
    from validators.prompts.withheld import open_withheld

    if path is None or key is None or not _KEY.fullmatch(key):
        raise typer.BadParameter("--withheld FILE and --audit-key (64 hex digits) go together")
    try:
        return open_withheld(path.read_bytes().splitlines(), epoch, key)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from error


async def _audit(
    settings: Settings,
    path: Path,
    others: list[Path],
    validator: str,
    epoch: int,
    more: dict[str, Any],
) -> Audit:
    from chain.client.chain import Chain
    from subnet.definition import load
    from validators.audit import audit, open_judge
    from validators.journal import read

    subnet = load(
        settings.subnet.definition,
        model_sha256=settings.model.sha256,
        engine=settings.engine,
    )
    async with Chain.connect(settings.network.endpoint) as chain, open_judge(subnet) as no_judge:
        return await audit(
            chain,
            subnet,
            read(path),
            validator=validator,
            netuid=settings.netuid,
            epoch=epoch,
            weights=settings.weights,
            no_judge=no_judge,
            others=itertools.chain.from_iterable(read(other) for other in others),
            **more,
        )


def _report(found: Audit) -> list[str]:
    lines = [f"validator {found.validator}, netuid {found.netuid}, epoch {found.epoch}"]
    lines += [f"root      {root}, in block {block}" for root, block in found.roots.items()]
    lines.append(
        f"checked   {found.leaves} leaves, {found.rounds} rounds, {found.scores} scores again"
    )
    if found.row is not None:
        lines.append(f"weights   {_row(found.row)}")
    lines += [f"note      {text}" for text in found.notes]
    lines += [f"unchecked {text}" for text in found.unchecked]
    lines += [f"leak      {leak}" for leak in found.leaks]
    lines += [f"different {difference}" for difference in found.differences]
    first = f"; first, {found.differences[0]}" if found.differences else ""
    return [*lines, f"verdict   {found.verdict}{first}"]


def _row(row: Any) -> str:
    return ", ".join(f"uid {uid}: {value}" for uid, value in sorted(row.items())) or "none"
