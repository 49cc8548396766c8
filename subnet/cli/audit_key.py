"""`subnet audit-key`: the key to what the journal withholds of one epoch, to be handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.neuron import Chain, Config, Hotkey, NetUid, Wallet

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(name="audit-key")
def audit_key(
    epoch: Annotated[int, typer.Option(help="The epoch to open.")],
    state: Annotated[
        Path | None, typer.Option(help="Folder of the validator; by default that of its keys.")
    ] = None,
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    wallet: Wallet = None,
    hotkey: Hotkey = None,
) -> int:
    """Print the key that opens one epoch of `withheld.jsonl`: organic questions and their answers.

    Whoever has it can read that epoch's, and audit them. It opens no other epoch.
    """
    from subnet.config import ValidatorSettings, load
    from validators.prompts.withheld import Withheld

    flags: dict[str, dict[str, object]] = {
        "network": {"chain": network, "netuid": netuid, "wallet": wallet, "hotkey": hotkey},
        "validator": {"state": state},
    }
    settings = load(ValidatorSettings, file=config, flags=flags)
    key = Withheld(settings.state_folder()).find_key(epoch)
    if key is None:
        output.fail(f"nothing was withheld in epoch {epoch}; there is no key")
        return exits.FAILED
    output.result(key)
    return exits.DONE
