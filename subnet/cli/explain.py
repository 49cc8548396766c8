"""`subnet explain`: why a miner got what it got, from a journal here or from its validator."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from subnet.cli import output
from subnet.cli.neuron import Chain, Config, Hotkey, NetUid, Wallet, WalletPath

if TYPE_CHECKING:
    from subnet.config import ValidatorSettings
    from validators.explain import Explanation

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ASK_S = 15.0


@app.command()
def explain(
    who: Annotated[
        str | None,
        typer.Argument(metavar="HOTKEY", help="The miner (ss58); with --ask it is your own."),
    ] = None,
    round: Annotated[int | None, typer.Option(help="About this round only.")] = None,
    ask: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask the validator that serves explanations there."),
    ] = None,
    validator: Annotated[
        str | None, typer.Option(help="Its hotkey (ss58): it alone can sign the answer.")
    ] = None,
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    wallet: Wallet = None,
    hotkey: Hotkey = None,
    wallet_path: WalletPath = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the ledger and the journal.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why a miner got what it got: rounds, reasons, standing and weight.

    A validator's operator reads the journal; a miner asks, with --ask and --validator, signed with
    the hotkey of --wallet and --hotkey.
    """
    from subnet.config import ValidatorSettings, load
    from validators.explain import words

    flags: dict[str, dict[str, object]] = {
        "network": {
            "chain": network,
            "netuid": netuid,
            "wallet": wallet,
            "hotkey": hotkey,
            "wallet_path": wallet_path,
        },
        "validator": {"state": state},
    }
    settings = load(ValidatorSettings, file=config, flags=flags)
    if ask is not None:
        if validator is None:
            raise typer.BadParameter("--ask needs --validator HOTKEY")
        found = asyncio.run(_ask(settings, ask, validator, round))
    elif who is None:
        raise typer.BadParameter("name the HOTKEY to explain")
    else:
        found = _read(settings, who, round)
    if as_json:
        output.data(found.model_dump(mode="json"))
    else:
        output.result(words(found))


def _read(settings: ValidatorSettings, hotkey: str, round: int | None) -> Explanation:
    from subnet.errors import StateError
    from validators import journal
    from validators.explain import Recent, Unknown

    path = settings.state_folder() / "journal.jsonl"
    if not path.exists():
        raise StateError(path, "there is no journal; name its folder with --state")
    # All rounds: a journal is bounded, and of one hotkey there is little in each.
    recent = Recent(rounds=2**31, only=hotkey, burn=settings.weights.burn)
    for line in journal.read(path):
        if round in (None, line.get("round")):
            recent.note(line)
    try:
        return recent.explain(hotkey, round)
    except Unknown:
        when = "in any round of this journal" if round is None else f"in round {round}"
        raise StateError(path, f"{hotkey} was not asked {when}") from None


async def _ask(
    settings: ValidatorSettings, url: str, validator: str, round: int | None
) -> Explanation:
    from subnet.config import open_hotkey
    from subnet.protocol import Target
    from subnet.wire.dendrite import Dendrite
    from validators.explain import PATH, Explanation, Why

    keypair = open_hotkey(settings.network)
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme != "http" or parts.hostname is None or parts.port is None:
        raise typer.BadParameter(f"{url!r} is not http://HOST:PORT")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise typer.BadParameter(f"{parts.hostname}: {error.strerror}") from None
    target = Target(0, validator, str(found[0][4][0]), parts.port)
    why = Why(hotkey=str(keypair.ss58_address), round=round)
    # The address was given by the person who asks, and not read from a chain.
    async with Dendrite(keypair, allow_private=True) as dendrite:
        (reply,) = await dendrite.ask([target], PATH, why, Explanation, timeout_s=ASK_S)
    if reply.answer is None:
        output.fail(f"the validator gave no explanation: {reply.failure}: {reply.detail}")
        raise typer.Exit(1)
    return reply.answer
