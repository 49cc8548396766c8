"""`subnet status`: how a validator stands, from its journal; the validator may run or not."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.neuron import Chain, Config, Hotkey, NetUid, Wallet

if TYPE_CHECKING:
    from validators.status import Status

app = typer.Typer(add_completion=False, rich_markup_mode=None)

RAO_PER_TAO = 1_000_000_000


@app.command()
def status(
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal; if not given, the settings say where."),
    ] = None,
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    wallet: Wallet = None,
    hotkey: Hotkey = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Weights that landed, validator trust and what moved it, costs a day.

    Exit 1 when no weights have landed in the last whole epoch.
    """
    from subnet.config import ValidatorSettings, load
    from subnet.errors import StateError
    from validators import journal
    from validators.status import read_status

    if state is None:
        network_flags: dict[str, object] = {
            "chain": network, "netuid": netuid, "wallet": wallet, "hotkey": hotkey
        }  # fmt: skip
        settings = load(ValidatorSettings, file=config, flags={"network": network_flags})
        state = settings.state_folder()
    path = state / "journal.jsonl"
    if not path.exists():
        raise StateError(path, "there is no journal; name its folder with --state")
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
    if found.vtrust is not None:
        before = "" if found.vtrust_before is None else f", {found.vtrust_before:.4f} before"
        rows.append(("vtrust", f"{found.vtrust:.4f} in epoch {found.epoch}{before}"))
        rows.append(("distance", f"{found.distance:.4f} from the consensus"))
    for mover in found.movers:
        text = f"uid {mover.uid} {mover.hotkey}: {-mover.change:+.4f}"
        rows.append(("moved by", text))
    if found.balance_rao is not None:
        rows.append(("balance", f"{found.balance_rao / RAO_PER_TAO:.9f} TAO on the hotkey"))
    if found.rao_per_day is not None:
        rows.append(("costs", f"{found.rao_per_day / RAO_PER_TAO:.9f} TAO a day"))
    return "\n".join(f"{name:<10} {text}" for name, text in rows)


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
