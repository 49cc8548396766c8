"""`subnet manifest`: what a subnet pays for, and where the pay goes, for everybody to read."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import output
from subnet.cli.place import Chain, Config, Definition, NetUid, search_working_folder

if TYPE_CHECKING:
    from subnet.config import Settings
    from subnet.manifest import Manifest, OnChain

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def manifest(
    config: Config = None,
    network: Chain = None,
    netuid: NetUid = None,
    definition: Definition = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Say what the chain says beside it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Print what is asked, who judges it, how the past counts, and who would be paid how much.

    With the share that is burned. `--compare` adds the chain's own hyperparameters, and the share
    of the last epoch's incentive that fell to the owner.
    """
    from subnet.config import Flags, Settings, load
    from subnet.definition import load as load_subnet
    from subnet.manifest import manifest

    search_working_folder()
    flags: Flags = {
        "network": {"chain": network, "netuid": netuid},
        "subnet": {"definition": definition},
    }
    settings = load(Settings, file=config, flags=flags)
    subnet = load_subnet(settings.subnet.definition, model_sha256=settings.model.sha256)
    found = manifest(subnet, settings)
    there = asyncio.run(_ask(settings, found)) if compare else None
    if json:
        beside: dict[str, Any] = {} if there is None else {"chain": dataclasses.asdict(there)}
        output.data(dataclasses.asdict(found) | beside)
    else:
        output.result(_text(found, there))


async def _ask(settings: Settings, found: Manifest) -> OnChain:
    from chain.client.chain import Chain as Client
    from subnet.manifest import on_chain

    netuid = settings.netuid  # said before any work
    async with Client.connect(settings.network.endpoint) as chain:
        return await on_chain(chain, netuid, found.hyperparameters)


def _text(found: Manifest, there: OnChain | None) -> str:
    from subnet.manifest import EXAMPLE

    groups = {1: "the same for all", "each": "every miner its own"}
    rows = [
        ("pays for", found.says or "(its class has no docstring)"),
        ("code", f"{found.definition}, sha256 {found.sha256 or 'unknown'}"),
        ("model", found.model_sha256 or "any"),
        ("sampled by", "the seed lock" if found.seed_locked else "whatever the miner likes"),
        ("asked", f"at {found.path}, {found.timeout_s:g} s to answer"),
        ("challenge", _fields(found.challenge)),
        ("answer", _fields(found.answer)),
        ("questions", groups.get(found.groups, f"{found.groups} groups")),
        ("canaries", "yes" if found.canaries else "no"),
        ("looked at", _looked_at(found.audit_rate)),
        ("memory", found.memory),
        ("coldkey", _seats(found.coldkey_seats)),
        ("burned", f"{found.burn:.1%} of all weight, to the owner's seat"),
        ("", ""),
        ("score", "".join(f"{score:8.1f}" for score in EXAMPLE)),
    ]
    for number, row in found.pay.items():
        name = "pay" if list(found.pay) == [0] else f"pay {number}"
        rows.append((name, "".join(f"{share:8.1%}" for share in row)))
    if there is not None:
        rows += [("", ""), *_beside(there)]
    return "\n".join(f"{name:<12}{text}".rstrip() for name, text in rows)


def _beside(there: OnChain) -> list[tuple[str, str]]:
    chain = there.hyperparameters
    rows = [
        ("chain", f"subnet {there.netuid} at block {there.block}, {there.seats} seats"),
        (
            "owner got",
            "no incentive was paid yet"
            if there.owner_share is None
            else f"{there.owner_share:.1%} of the last epoch's incentive, which is burned",
        ),
        ("tempo", f"{chain.tempo} blocks, weights every {chain.weights_rate_limit} at most"),
        ("weights", "hidden at first" if chain.commit_reveal_weights_enabled else "open at once"),
    ]
    for name, meant, found in there.differences:
        rows.append(("differs", f"{name} is {found}; [hyperparameters] says {meant}"))
    return rows


def _fields(schema: Any) -> str:
    return ", ".join(schema.get("properties", {})) or "(nothing)"


def _looked_at(rate: float) -> str:
    return "every answer" if rate == 1.0 else f"{rate:.1%} of the answers, drawn by a block's hash"


def _seats(seats: int | None) -> str:
    return "every hotkey is paid" if seats is None else f"the best {seats} of one coldkey are paid"
