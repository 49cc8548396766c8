"""`subnet status`: how a validator stands, from its journal; the validator may run or not."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.place import ValidatorPlace, find_journal, with_place

if TYPE_CHECKING:
    from validators.status import Mover, Row, Status

app = typer.Typer(add_completion=False, rich_markup_mode=None)

RAO_PER_TAO = 1_000_000_000
MOVERS = 5
"""So many seats are named as what moved validator trust."""


@app.command()
@with_place
def status(
    place: ValidatorPlace,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Weights that landed, validator trust and what moved it, costs a day.

    Exit 1 when no weights have landed in the last whole epoch.
    """
    from validators import journal
    from validators.status import read_status

    path = find_journal(place.folder())
    with output.busy("reading the journal"):
        found = read_status(journal.read(path))
    if json:
        output.data(dataclasses.asdict(found))
    else:
        output.result(_text(found, time.time()))
    if found.missed:
        raise typer.Exit(exits.FAILED)


def _text(found: Status, now: float) -> str:
    rows = [("rounds", _rounds(found, now)), ("weights", _weights(found, now))]
    if found.problem:
        rows.append(("problem", found.problem))
    for row in found.rows:
        if row.mechanism or len(found.rows) > 1:
            rows.append((f"mech. {row.mechanism}", _row(row, now)))
        for item in row.differences:
            text = f"uid {item['uid']}: meant {item['meant']:.4%}, found {item['found']:.4%}"
            rows.append(("differs", f"{text}: {item['cause']}"))
    if found.vtrust is not None:
        before = "" if found.vtrust_before is None else f", {found.vtrust_before:.4f} before"
        rows.append(("vtrust", f"{found.vtrust:.4f} in epoch {found.epoch}{before}"))
        rows.append(("distance", f"{found.distance:.4f} from the consensus"))
    rows += [("moved by", _mover(mover)) for mover in found.movers[:MOVERS]]
    if rest := found.movers[MOVERS:]:
        text = f"{len(rest)} more: {-sum(mover.change for mover in rest):+.4f}"
        rows.append(("moved by", text))
    if found.balance_rao is not None:
        rows.append(("balance", f"{found.balance_rao / RAO_PER_TAO:.9f} TAO on the hotkey"))
    if found.rao_per_day is not None:
        rows.append(("costs", f"{found.rao_per_day / RAO_PER_TAO:.9f} TAO a day from the hotkey"))
    if found.coldkey_rao_per_day is not None:
        text = f"{found.coldkey_rao_per_day / RAO_PER_TAO:.9f} TAO a day from the coldkey"
        bought = f", which bought {found.seats_bought} seats" if found.seats_bought else ""
        rows.append(("costs", f"{text}, all that it pays for{bought}"))
    return "\n".join(f"{name:<10} {text}" for name, text in rows)


def _row(row: Row, now: float) -> str:
    parts = ["none has landed"]
    if row.landed is not None:
        landed = row.landed
        parts = [f"landed at block {landed.block}, round {landed.round}, {_ago(now - landed.time)}"]
    if row.committed is not None:
        parts.append(f"that of round {row.committed} is hidden until it is revealed")
    if row.problem is not None:
        parts.append(row.problem)
    return "; ".join(parts)


def _mover(mover: Mover) -> str:
    text = f"uid {mover.uid} {mover.hotkey}: {-mover.change:+.4f}"
    if mover.own is None or mover.consensus is None:
        return text
    return f"{text} (its share here {mover.own:+.4f}, in the consensus {mover.consensus:+.4f})"


def _rounds(found: Status, now: float) -> str:
    if found.last_round is None or found.last_time is None:
        return "none yet"
    return f"{found.rounds} kept, the last is {found.last_round}, {_ago(now - found.last_time)}"


def _weights(found: Status, now: float) -> str:
    missed = f"; none for {found.missed} whole epochs" if found.missed else ""
    if found.landed is None:
        return f"none have landed{missed}"
    landed = found.landed
    return (
        f"landed at block {landed.block}, round {landed.round}, "
        f"epoch {landed.epoch}, {_ago(now - landed.time)}{missed}"
    )


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
