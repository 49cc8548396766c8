"""`subnet chain`: look at a chain, ours or a real one; nothing is signed, nothing is changed."""

from __future__ import annotations

import asyncio
import dataclasses
import json as jsonlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subnet.cli import exits, output

if TYPE_CHECKING:
    from subnet.cli.comparison import Comparison
    from subnet.cli.explorer import BlockRecord, EventRecord, ExtrinsicRecord

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Look at a chain.")

NETWORK_HELP = "`local`, `test`, `finney`, or the ws:// or wss:// address of a node."
Network = Annotated[str, typer.Option(envvar="SUBNET_NETWORK_CHAIN", help=NETWORK_HELP)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[
    int | None, typer.Option("--block", min=0, help="As of this block; the newest, if not given.")
]
SHOWN = 96  # characters of a value in a table; --json has all of it
OTHERS_SHOWN = 20
RAO = 10**9


@app.command()
def blocks(
    network: Network = "local",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 10,
    block: At = None,
    json: Json = False,
) -> None:
    """The newest blocks, newest first: when, and which calls were in them."""
    from subnet.cli.explorer import Explorer

    with Explorer.connect(_endpoint(network)) as explorer:
        newest = explorer.head() if block is None else block
        oldest = max(newest - count + 1, 0)
        with output.busy("reading blocks"):
            found = [explorer.block(number) for number in range(newest, oldest - 1, -1)]
    if json:
        output.data([_plain_block(one) for one in found])
        return
    rows = [
        (str(one.number), _time(one.time), one.hash[:18], str(len(one.events)), _calls(one))
        for one in found
    ]
    output.result(output.table(("block", "time", "hash", "events", "calls"), rows, right={0, 3}))


@app.command()
def events(
    block: Annotated[int | None, typer.Argument(min=0, help="The newest, if not given.")] = None,
    network: Network = "local",
    json: Json = False,
) -> None:
    """Everything that happened in a block, in order; `-` is what the block did by itself."""
    from subnet.cli.explorer import Explorer

    with Explorer.connect(_endpoint(network)) as explorer:
        found = explorer.block(explorer.head() if block is None else block).events
    if json:
        output.data([dataclasses.asdict(event) for event in found])
        return
    output.result(_event_table(found))


@app.command()
def extrinsic(
    which: Annotated[
        str, typer.Argument(metavar="BLOCK-INDEX|HASH", help="Such as 120-1, or 0x and 64 digits.")
    ],
    network: Network = "local",
    within: Annotated[
        int, typer.Option(min=1, help="Blocks back from the newest in which a hash is looked for.")
    ] = 256,
    json: Json = False,
) -> None:
    """One extrinsic: who signed what, how it ended, what it cost, which events it made."""
    from subnet.cli.explorer import Explorer

    place = _place(which)
    with Explorer.connect(_endpoint(network)) as explorer:
        if place is None:
            with output.busy("looking through the blocks"):
                found = explorer.find_extrinsic(which, explorer.head(), within)
        else:
            found = explorer.extrinsic(*place)
    if json:
        output.data(dataclasses.asdict(found))
        return
    output.result("\n\n".join((_facts(found), _event_table(found.events))))


@app.command()
def metagraph(
    netuid: Annotated[int, typer.Argument(min=0)],
    network: Network = "local",
    block: At = None,
    json: Json = False,
) -> None:
    """Every seat of a subnet: stake, permit, and what the last epoch gave it."""
    from chain.client import Chain

    async def read() -> Any:
        async with Chain.connect(_endpoint(network)) as chain:
            return await chain.metagraph(netuid, block)

    found = asyncio.run(read())
    if json:
        output.data(_with_integers(dataclasses.asdict(found)))
        return
    rows = [
        (
            str(neuron.uid),
            neuron.hotkey,
            _whole(int(neuron.stake)),
            "yes" if neuron.permit else "",
            f"{neuron.incentive / 65535:.4f}",
            f"{neuron.dividends / 65535:.4f}",
            _whole(int(neuron.emission)),
            str(neuron.last_update),
            "" if neuron.host is None else f"{neuron.host}:{neuron.port}",
        )
        for neuron in found.neurons
    ]
    heads = ("uid", "hotkey", "stake", "permit", "incentive", "dividends", "emission", "updated")
    table = output.table((*heads, "axon"), rows, right={0, 2, 4, 5, 6, 7})
    output.result(f"subnet {netuid} at block {found.block}, tempo {found.tempo}\n\n{table}")


_EMISSION = {
    "tao_in": "SubnetTaoInEmission",
    "alpha_in": "SubnetAlphaInEmission",
    "alpha_out": "SubnetAlphaOutEmission",
    "pending_miners": "PendingServerEmission",
    "pending_validators": "PendingValidatorEmission",
    "pending_owner": "PendingOwnerCut",
}
"""What is shown, and the storage item it is; a block's share first, then what waits."""


@app.command()
def emission(network: Network = "local", block: At = None, json: Json = False) -> None:
    """What each subnet is given by a block, and what waits for its next epoch."""
    from chain.client import Chain

    async def read() -> tuple[int, list[dict[str, Any]]]:
        async with Chain.connect(_endpoint(network)) as chain:
            at = await chain.block() if block is None else block

            async def column(item: str) -> dict[int, Any]:
                rows = await chain.query_map("SubtensorModule", item, block=at)
                return {int(netuid): value for netuid, value in rows}

            netuids = sorted(await column("NetworksAdded"))
            prices = await column("SubnetMovingPrice")
            amounts = {name: await column(item) for name, item in _EMISSION.items()}
            return at, [
                {
                    "netuid": netuid,
                    "price": _fixed(prices.get(netuid, 0), 32),
                    **{name: int(amounts[name].get(netuid, 0)) for name in _EMISSION},
                }
                for netuid in netuids
            ]

    at, found = asyncio.run(read())
    if json:
        output.data({"block": at, "subnets": found})
        return
    rows = [
        (
            str(row["netuid"]),
            f"{row['price']:.6f}",
            *(_whole(row[name]) for name in _EMISSION),
        )
        for row in found
    ]
    heads = ("netuid", "price", *(name.replace("_", " ") for name in _EMISSION))
    table = output.table(heads, rows, right=set(range(len(heads))))
    output.result(f"TAO and alpha at block {at}; price is the moving average\n\n{table}")


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help=NETWORK_HELP)],
    right: Annotated[str, typer.Argument(metavar="B", help="The same, for the other node.")],
    first: Annotated[int, typer.Option("--from", min=0, help="The block to begin with.")] = 0,
    last: Annotated[
        int | None, typer.Option("--to", min=0, help="The block to end with; the newest of both.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PALLET[.ITEM]", help="Compare this alone; may be repeated."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PALLET[.ITEM]", help="Leave this out; may be repeated."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Compare hashes of blocks and dates too, which no two nodes share."
        ),
    ] = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Make B, a devnet that was started like A with --block-time manual, do what A "
            "did from B's newest block on: the same extrinsics at the same times. Implies --exact.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """The first block after which the states of two nodes differ, and in which keys.

    Ends with 0 where all is the same, with 1 where it is not. Whole states are read: choose blocks
    and items on a large chain.
    """
    from subnet.cli.comparison import BY_NATURE, Scope, compare, take_over
    from subnet.cli.explorer import Explorer

    with (
        Explorer.connect(_endpoint(left, "A")) as ours,
        Explorer.connect(_endpoint(right, "B")) as theirs,
    ):
        if replay:
            first = take_over(ours, theirs)
        newest = ours.head() if replay else min(ours.head(), theirs.head())
        last = newest if last is None else last
        if not first <= last <= newest:
            raise typer.BadParameter(
                f"blocks {first} to {last}: the newest is {newest}", param_hint="--from, --to"
            )
        ignored = (*(ignore or ()), *(() if exact or replay else BY_NATURE))
        scope = Scope(ours, theirs, only or (), ignored)
        with output.counted("comparing blocks", last - first + 1, lines=False) as tell:
            found = compare(ours, theirs, scope, first, last, replay=replay, tell=tell)
        calls = "" if found.same else _calls(ours.block(found.last))
    if json:
        output.data(
            {"same": found.same, "ignored": ignored, "calls": calls} | dataclasses.asdict(found)
        )
    else:
        output.result(_comparison(found, (left, right), calls))
    if not found.same:
        raise typer.Exit(exits.FAILED)


# Reading what was typed


def _endpoint(network: str, hint: str = "--network") -> str:
    from subnet.config import ENDPOINTS

    if network not in ENDPOINTS and not network.startswith(("ws://", "wss://")):
        raise typer.BadParameter(
            f"{network!r} is not one of {', '.join(ENDPOINTS)} nor a ws:// address",
            param_hint=hint,
        )
    return ENDPOINTS.get(network, network)


def _place(which: str) -> tuple[int, int] | None:
    """The block and index that "120-1" means; None for a hash."""
    if which.lower().startswith("0x") and len(which) == 66:
        return None
    block, dash, index = which.partition("-")
    if not dash or not block.isdecimal() or not index.isdecimal():
        raise typer.BadParameter(
            f"{which!r} is neither like 120-1 nor a hash", param_hint="BLOCK-INDEX|HASH"
        )
    return int(block), int(index)


# Showing


def _event_table(found: Sequence[EventRecord]) -> str:
    rows = [
        (
            "-" if event.extrinsic is None else str(event.extrinsic),
            f"{event.pallet}.{event.name}",
            _short(event.attributes),
        )
        for event in found
    ]
    return output.table(("extrinsic", "event", "attributes"), rows, right={0})


def _facts(found: ExtrinsicRecord) -> str:
    facts = {
        "extrinsic": f"{found.block}-{found.index}",
        "hash": found.hash,
        "call": f"{found.pallet}.{found.call}",
        **{f"  {name}": _short(value) for name, value in found.args.items()},
        "signer": found.signer or "none: the block's own",
        "nonce": "" if found.nonce is None else str(found.nonce),
        "fee": "" if found.fee is None else f"{found.fee} rao",
        "result": "done" if found.failure is None else f"failed: {found.failure}",
    }
    return "\n".join(f"{name:<14} {value}" for name, value in facts.items() if value)


def _comparison(found: Comparison, names: tuple[str, str], calls: str) -> str:
    if found.same:
        return f"blocks {found.first} to {found.last}: no difference in {found.keys} keys"
    first, *others = found.differing
    path, ours, theirs = first.apart()
    facts = [("key", first.key), ("in it", path), (names[0], ours), (names[1], theirs)]
    facts.append(("calls", calls))
    width = max(len(name) for name, _ in facts)
    lines = [
        f"block {found.last}: {first} differs",
        "",
        *(
            f"{name:<{width}}  {_short(value)}"
            for name, value in facts
            if value != "" or name in names
        ),
        *(f"B did not take {refused}" for refused in found.refused),
    ]
    if others:
        named = [str(other) for other in others[:OTHERS_SHOWN]]
        rest = len(others) - len(named)
        more = [f"and {rest} more"] if rest else []
        lines += ["", f"{len(others)} more keys differ in this block:", *named, *more]
    return "\n".join(lines)


def _calls(block: BlockRecord) -> str:
    """The calls of a block but its own, each with how often and whether it failed."""
    counts: dict[str, int] = {}
    for extrinsic in block.extrinsics:
        if extrinsic.signer is not None:
            failed = "" if extrinsic.failure is None else f" ({extrinsic.failure})"
            name = f"{extrinsic.pallet}.{extrinsic.call}{failed}"
            counts[name] = counts.get(name, 0) + 1
    named = [name if count == 1 else f"{count} x {name}" for name, count in counts.items()]
    return _cut(", ".join(named))


def _plain_block(block: BlockRecord) -> dict[str, Any]:
    time = None if block.time is None else block.time.isoformat()
    return dataclasses.asdict(block) | {"time": time}


def _with_integers(value: Any) -> Any:
    """Units are integers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_integers(item) for item in value]
    return value if value is None or isinstance(value, bool | str | float) else int(value)


def _time(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def _whole(amount: int) -> str:
    """Billionths as the whole unit."""
    return f"{amount / RAO:,.4f}"


def _fixed(value: Any, fraction_bits: int) -> float:
    bits = value["bits"] if isinstance(value, dict) else value
    return float(bits) / (1 << fraction_bits)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 2]}.."
