"""The rows of weights: made again of what is remembered, and compared with those of the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chain.client.calls import quantize
from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from scoring.shaping import burn
from subnet.config import WeightsTable
from subnet.definition import Subnet
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.roots import end_of_epoch, start_of_epoch
from validators.proof import U16_MAX, Cause, explain
from validators.recovery import CUT_SHORT


async def check_weights(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    lines: Sequence[Line],
    rounds: Sequence[Line],
    weights: WeightsTable,
) -> None:
    """The rows of the epoch follow from what is remembered, and the chain has them."""
    told = [line for line in rounds if line["weights"]["set"]]
    for line in told:
        await _check_meant(chain, found, subnet, line, weights)
        await _check_landed(chain, found, lines, line, last=line is told[-1])
    if told or any(line.get("recovered") for line in rounds):
        return
    report = rounds[-1]["weights"]
    found.notes.append(f"no weights were set in this epoch: {report['problem']}")
    # Weights in the block in which an epoch runs count for the next one.
    first = await start_of_epoch(chain, found.netuid, int(rounds[0]["block"]))
    end = await end_of_epoch(chain, found, int(rounds[-1]["block"]))
    me = (await chain.metagraph(found.netuid, end)).find(found.validator)
    if me is None or me.last_update < first or me.last_update == me.registered_at:
        return  # a seat counts as updated in the block it was bought in
    if report.get("code") == "refused":
        found.unchecked.append(
            f"the chain took a row in block {me.last_update}, and round {rounds[-1]['round']} says "
            "that it refused it"
        )
        return
    if report["problem"] == CUT_SHORT:
        found.unchecked.append(f"round {rounds[-1]['round']} was stopped while it set its weights")
        return
    if report.get("code") == "window_taken":
        found.unchecked.append(
            "another instance of this validator set the weights: see its journal"
        )
        return
    where = f"weights taken in block {me.last_update}"
    found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where, "none", "a row"))


def _reports(line: Line) -> dict[int, Mapping[str, Any]]:
    """What became of the row of each mechanism that was set."""
    told = line["weights"]
    others = told.get("others") or {}
    reports = {0: told} | {int(number): other for number, other in others.items()}
    return {number: report for number, report in reports.items() if report["set"]}


async def _check_meant(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    line: Line,
    weights: WeightsTable,
) -> None:
    """The rows, made again of what is remembered and of who sat where."""
    block = line["weights"]["block"]
    rows = _make_again(subnet, line, weights, await chain.metagraph(found.netuid, block - 1))
    for number in sorted(rows.keys() - _reports(line).keys()):
        found.unchecked.append(f"{_name(number)} was not set in round {line['round']}")
    for number, report in _reports(line).items():
        again, meant = rows.get(number, {}), _row(report["meant"])
        if meant == again:
            continue
        # It was made some blocks before it landed: a seat may have changed hands in between.
        then = await chain.metagraph(found.netuid, line["block"])
        if meant == _make_again(subnet, line, weights, then).get(number, {}):
            text = f"{_name(number)} is of the seats as they were in block {then.block}"
            found.notes.append(f"{text}, and landed in block {report['block']}")
            continue
        where = f"round {line['round']}, {_name(number)} of block {block}"
        found.differences.append(Difference(Flaw.WEIGHTS, where, meant, again))


def _make_again(
    subnet: Subnet[Any, Any], line: Line, weights: WeightsTable, metagraph: Metagraph
) -> dict[int, dict[int, int]]:
    """The row of each mechanism by the seats of `metagraph`, as the chain would store it."""
    scores, owner = line["scores"], metagraph.owner_uid
    by_uid = {n.uid: float(scores[n.hotkey]) for n in metagraph.neurons if n.hotkey in scores}
    rows = {}
    for number, row in subnet.mechanisms(by_uid).items():
        shares = burn(row, owner, weights.burn)
        if not any(shares.values()) and owner is not None:
            shares = {owner: 1.0}
        rows[number] = quantize(shares) if any(shares.values()) else {}
    return rows


async def _check_landed(
    chain: Chain, found: Audit, lines: Sequence[Line], line: Line, *, last: bool
) -> None:
    """The rows that the chain took, at once or when they were revealed, and at the epoch's end."""
    for number, report in _reports(line).items():
        block = report["block"]
        if report["commit"] is None and report["reveal_round"] is None:
            blocks = [block]
            if last:
                blocks.append(await end_of_epoch(chain, found, block))
        else:
            endings = [
                later
                for later in lines
                if later["kind"] == "reveal" and later["round"] == line["round"]
                if later.get("mechanism", 0) == number
            ]
            if not endings:
                what = f"{_name(number)} of round {line['round']}"
                found.unchecked.append(f"{what} is not revealed yet, by the journal")
                continue
            if endings[-1]["ending"] not in ("revealed", "different"):
                where = f"round {line['round']}: its commit was {endings[-1]['ending']}"
                found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where))
                continue
            blocks = [int(endings[-1]["block"])]
            if blocks[0] <= block:
                where = f"round {line['round']}: revealed before it was committed"
                text = f"block {blocks[0]}"
                found.differences.append(
                    Difference(Flaw.WEIGHTS_ON_CHAIN, where, text, f"committed in block {block}")
                )
        for at in dict.fromkeys(blocks):
            await _compare_row(chain, found, line, number, report, at)
        hidden = report["commit"] is not None or report["reveal_round"] is not None
        if last and hidden:
            end = await end_of_epoch(chain, found, blocks[0])
            # Where the owner has rows hidden no more, the next epoch's is there at once.
            if await _are_hidden(chain, found, end):
                await _compare_row(chain, found, line, number, report, end, later=True)


async def _are_hidden(chain: Chain, found: Audit, block: int) -> bool:
    name = "CommitRevealWeightsEnabled"
    return bool(await chain.query("SubtensorModule", name, found.netuid, block=block))


async def _compare_row(
    chain: Chain,
    found: Audit,
    line: Line,
    mechanism: int,
    report: Mapping[str, Any],
    block: int,
    *,
    later: bool = False,
) -> None:
    """A row as it was meant against the one of the chain at `block`.

    The chain takes away what was set on a seat that is sold, and cuts shares above its limit. One
    that took its place `later` may be another instance's.
    """
    then = await chain.metagraph(found.netuid, report["block"] - 1)
    now = await chain.metagraph(found.netuid, block)
    me = now.find(found.validator)
    where = f"round {line['round']}, {_name(mechanism)} in block {block}"
    if block > report["block"] and (me is None or me.registered_at > report["block"]):
        found.unchecked.append(f"{where}: the validator has lost its seat")
        return
    held = {} if me is None else await chain.weights(
        found.netuid, me.uid, block, mechanism=mechanism
    )  # fmt: skip
    there, meant = _row(held), _row(report["meant"])
    if mechanism == 0 and not later:
        found.row = there
    seats = {neuron.uid: neuron.hotkey for neuron in now.neurons}
    sold = {n.uid for n in then.neurons if seats.get(n.uid) != n.hotkey}
    if all(there.get(uid) == meant.get(uid) for uid in {*there, *meant} - sold):
        return
    limit = await chain.query("SubtensorModule", "MaxWeightsLimit", found.netuid, block=block)
    if limit and int(limit) < U16_MAX:
        shares = {uid: float(value) for uid, value in meant.items()}
        causes = explain(shares, there, limit=int(limit), moved=sold)
        if causes and all(item.cause in (Cause.CLIPPED, Cause.PRUNED) for item in causes):
            found.notes.append(f"{_name(mechanism)} was cut to the chain's limit of {limit}")
            return
    if later:
        found.unchecked.append(f"{where}: another one has taken its place, {there}")
        return
    found.differences.append(Difference(Flaw.WEIGHTS_ON_CHAIN, where, meant, there))


def _name(mechanism: int) -> str:
    return f"the row of mechanism {mechanism}" if mechanism else "the row"


def _row(published: Mapping[Any, Any]) -> dict[int, int]:
    return {int(uid): int(value) for uid, value in published.items() if value}
