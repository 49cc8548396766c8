"""`subnet explain`: why a miner got what it got, from a journal here or from its validator."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from subnet.cli import exits, output
from subnet.cli.place import ValidatorPlace, find_journal, with_place

if TYPE_CHECKING:
    from subnet.config import ValidatorSettings
    from subnet.protocol import Target
    from validators.explain import Explanation

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ASK_S = 15.0


@app.command()
@with_place
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
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="VALIDATOR",
            help="Ask the validator with this hotkey (ss58) where the chain says that it answers.",
        ),
    ] = None,
    *,
    place: ValidatorPlace,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why a miner got what it got: rounds, reasons, standing and weight.

    A validator's operator reads the journal; a miner asks, with --from, or with --ask and
    --validator, signed with the hotkey of --wallet and --hotkey.
    """
    from subnet.config import ValidatorSettings
    from validators.explain import words

    settings = place.settings(ValidatorSettings)
    if from_ is not None:
        found = asyncio.run(_ask_published(settings, from_, round))
    elif ask is not None:
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

    path = find_journal(settings.state_folder())
    # All rounds: a journal is bounded, and of one hotkey there is little in each.
    recent = Recent(rounds=2**31, only=hotkey, burn=settings.weights.burn)
    with output.busy("reading the journal"):
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
    from subnet.protocol import Target

    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme != "http" or host is None or port is None:
        raise typer.BadParameter(f"{url!r} is not http://HOST:PORT")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise typer.BadParameter(f"{host}: {error.strerror}") from None
    target = Target(0, validator, str(found[0][4][0]), port)
    # The address was given by the person who asks, and not read from a chain.
    return await _ask_at(settings, target, round, allow_private=True)


async def _ask_published(
    settings: ValidatorSettings, validator: str, round: int | None
) -> Explanation:
    from chain.client import Chain
    from subnet.protocol import Target

    async with Chain.connect(settings.network.endpoint) as chain:
        neuron = (await chain.metagraph(settings.netuid)).find(validator)
    if neuron is None:
        raise typer.BadParameter(f"{validator} has no seat on subnet {settings.netuid}")
    if not neuron.explains or neuron.host is None or neuron.port is None or neuron.tls_key is None:
        output.fail(f"{validator} has not published where it explains; ask its operator")
        raise typer.Exit(exits.FAILED)
    target = Target(neuron.uid, validator, neuron.host, neuron.port, neuron.tls_key)
    return await _ask_at(settings, target, round, allow_private=settings.network.local)


async def _ask_at(
    settings: ValidatorSettings, target: Target, round: int | None, *, allow_private: bool
) -> Explanation:
    from subnet.config import open_hotkey
    from subnet.wire.dendrite import Dendrite
    from validators.explain import PATH, Explanation, Why

    keypair = open_hotkey(settings.network)
    why = Why(hotkey=str(keypair.ss58_address), round=round)
    async with Dendrite(keypair, allow_private=allow_private) as dendrite:
        (reply,) = await dendrite.ask([target], PATH, why, Explanation, timeout_s=ASK_S)
    if reply.answer is None:
        output.fail(f"the validator gave no explanation: {reply.failure}: {reply.detail}")
        raise typer.Exit(exits.FAILED)
    return reply.answer
