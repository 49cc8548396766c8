"""The report of a run, and the verdict on it: numbers in, one JSON document and a list out.

Tools depend on the document's shape: `SCHEMA` grows with it. The verdict reads nothing but the
document, so that anybody who has one can repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.client import AlphaSupply, Issuance, Metagraph, Neuron
from subnet.cli.demo.cast import BETWEEN, DISHONEST, HONEST, Player
from subnet.cli.demo.rounds import Round

SCHEMA = 1
RATIO = 3.0
"""How many times the pay of every dishonest miner every honest one must have earned."""

# The chain counts what it mints and floors what it hands out: each block three shares of the
# emission, at each epoch a few shares a neuron. What the floors leave over belongs to nobody.
DUST_PER_BLOCK = 3
DUST_PER_PAYOUT = 4


Played = Mapping[str, Sequence[Round]]
"""Finished rounds by the name of their validator."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch that ran at `block`.

    It is paying when miners got incentive, and some validator set, since the epoch before,
    weights from answers it had asked for since the epoch before.
    """

    block: int
    incentive: int
    from_answers: bool

    @property
    def paying(self) -> bool:
        """Whether it counts."""
        return self.incentive > 0 and self.from_answers


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report is made of.

    `before` and `after` are the first and last metagraph; `read_back` says, by validator, how many
    of its rows both it and the demo itself found on the chain as they were meant.
    """

    genesis: str
    spec_version: int
    block_time_s: float
    before: Metagraph
    after: Metagraph
    epochs: Sequence[Epoch]
    players: Sequence[Player]
    rounds: Played
    read_back: Mapping[str, int]
    issuance: Issuance
    alpha: AlphaSupply
    seconds: Mapping[str, float | None]
    versions: Mapping[str, str]


def compose(facts: Facts) -> dict[str, Any]:
    """The report document."""
    neurons = [_neuron(player, facts) for player in facts.players]
    neurons.sort(key=lambda neuron: int(neuron["uid"]))
    return {
        "schema": SCHEMA,
        "chain": {
            "genesis": facts.genesis,
            "spec_version": facts.spec_version,
            "netuid": facts.after.netuid,
            "blocks": facts.after.block,
            "epochs": len(facts.epochs),
            "paying_epochs": sum(epoch.paying for epoch in facts.epochs),
            "block_time_s": facts.block_time_s,
        },
        "neurons": neurons,
        "validators": [
            {
                "uid": _seat(facts.after, player).uid,
                "rounds": len(facts.rounds[player.name]),
                "weights_set": sum(round.weights_set for round in facts.rounds[player.name]),
                "weights_read_back": facts.read_back[player.name],
            }
            for player in facts.players
            if player.role == "validator"
        ],
        "laws": {
            "issuance": {
                "block": facts.issuance.block,
                "accounts_rao": int(facts.issuance.accounts),
                "balances_total_issuance_rao": int(facts.issuance.balances),
                "subtensor_total_issuance_rao": int(facts.issuance.subtensor),
                "alpha_hotkeys": int(facts.alpha.hotkeys),
                "alpha_pending": int(facts.alpha.pending),
                "alpha_burned": int(facts.alpha.burned),
                "alpha_protocol": int(facts.alpha.protocol),
                "alpha_out": int(facts.alpha.out),
            },
            "emission_conserved": facts.issuance.conserved and is_only_dust(facts),
            "honest_over_dishonest_min_ratio": min_ratio(neurons),
        },
        "seconds": dict(facts.seconds),
        "versions": dict(facts.versions),
    }


def is_only_dust(facts: Facts) -> bool:
    """Whether the alpha nobody holds is what floors can leave over, and not negative."""
    payouts = len(facts.epochs) * (len(facts.after.neurons) + 1)
    most = DUST_PER_BLOCK * facts.after.block + DUST_PER_PAYOUT * payouts
    return 0 <= facts.alpha.dust <= most


def min_ratio(neurons: Sequence[Mapping[str, Any]]) -> float | None:
    """What the worst paid honest miner earned over what the best paid dishonest one did."""
    honest = _pay(neurons, HONEST)
    dishonest = _pay(neurons, *DISHONEST)
    return min(honest) / max(dishonest) if honest and max(dishonest, default=0) > 0 else None


def verdict(report: Mapping[str, Any], *, epochs: int) -> list[str]:
    """What is wrong with a run that was to have `epochs` paying epochs; empty for a good one."""
    wrong = []
    chain, laws, neurons = report["chain"], report["laws"], report["neurons"]
    if chain["paying_epochs"] < epochs:
        wrong.append(f"{chain['paying_epochs']} of {epochs} epochs paid")
    for validator in report["validators"]:
        meant, found = validator["weights_set"], validator["weights_read_back"]
        if meant == 0:
            wrong.append(f"validator {validator['uid']} set no weights")
        elif found != meant:
            wrong.append(
                f"validator {validator['uid']} set weights {meant} times, "
                f"and read them back as meant {found} times"
            )
    if not laws["emission_conserved"]:
        wrong.append("issuance is not conserved")
    honest, between = _pay(neurons, HONEST), _pay(neurons, BETWEEN)
    dishonest = _pay(neurons, *DISHONEST)
    if min(honest) <= 0:
        wrong.append("an honest miner earned nothing")
    if min(honest) < RATIO * max(dishonest):
        wrong.append(f"an honest miner earned less than {RATIO:g} times what a dishonest one did")
    if not max(dishonest) < min(between) <= max(between) < min(honest):
        wrong.append("the flaky miner's pay is not between the dishonest and the honest")
    return wrong


def _pay(neurons: Sequence[Mapping[str, Any]], *kinds: str) -> list[int]:
    return [int(n["emission_alpha_rao"]) for n in neurons if n["kind"] in kinds]


def _neuron(player: Player, facts: Facts) -> dict[str, Any]:
    hotkey = player.hotkey.ss58_address
    seat, start = _seat(facts.after, player), _seat(facts.before, player)
    asked = [
        question
        for rounds in facts.rounds.values()
        for round in rounds
        for question in round.questions
        if question.hotkey == hotkey
    ]
    scores = [question.score for question in asked]
    is_miner = player.role == "miner"
    return {
        "uid": seat.uid,
        "hotkey": hotkey,
        "role": player.role,
        "kind": player.kind,
        "score_mean": sum(scores) / len(scores) if is_miner and scores else None,
        "answers": sum(question.answered for question in asked),
        "failures": sum(not question.answered for question in asked),
        "incentive": seat.incentive,
        "dividends": seat.dividends,
        "stake_rao": int(seat.alpha),
        # Nobody but its own coldkey stakes on a player, and that before `before`.
        "emission_alpha_rao": int(seat.alpha) - int(start.alpha),
    }


def _seat(metagraph: Metagraph, player: Player) -> Neuron:
    seat = metagraph.find(player.hotkey.ss58_address)
    if seat is None:
        raise LookupError(f"{player.name} has no seat at block {metagraph.block}")
    return seat


COLUMNS = ("uid", "kind", "score", "answers", "failed", "incentive", "dividends", "alpha earned")


def table(report: Mapping[str, Any]) -> str:
    """The neurons and the laws as plain text, for people."""
    rows = [COLUMNS]
    for n in report["neurons"]:
        score = "-" if n["score_mean"] is None else f"{n['score_mean']:.3f}"
        rows.append(
            (
                str(n["uid"]),
                n["kind"],
                score,
                str(n["answers"]),
                str(n["failures"]),
                f"{n['incentive'] / 65535:.4f}",
                f"{n['dividends'] / 65535:.4f}",
                f"{n['emission_alpha_rao'] / 1e9:.6f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    chain, laws, seconds = report["chain"], report["laws"], report["seconds"]
    ratio = laws["honest_over_dishonest_min_ratio"]
    lines += [
        "",
        f"subnet {chain['netuid']}: {chain['paying_epochs']} paying epochs of {chain['epochs']}, "
        f"{chain['blocks']} blocks, {seconds['total']:.0f} s",
        "honest over dishonest: "
        + ("the dishonest earned nothing" if ratio is None else f"at least {ratio:.1f} times"),
        "issuance: " + ("conserved" if laws["emission_conserved"] else "NOT CONSERVED"),
    ]
    return "\n".join(line.rstrip() for line in lines)
