"""The report of a run, and the verdict on it: numbers in, one JSON document and a list out.

Tools depend on the document's shape: `SCHEMA` grows with it. The verdict reads nothing but the
document, so that anybody who has one can repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.client import AlphaSupply, Issuance, Metagraph, Neuron
from subnet.cli.demo.cast import BETWEEN, COPIER, DISHONEST, HONEST, NEWCOMER, Player
from subnet.cli.demo.mainnet import Story
from subnet.cli.demo.rounds import Round

SCHEMA = 2
EQUAL = 1.1
"""How much more than the worst paid honest miner the best paid one may have earned."""
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

    `before` and `after` are the first and last metagraph, `history` those after each epoch;
    `read_back` says, by validator, how many of its rows both it and the demo itself found on the
    chain as they were meant. `story` is None but under mainnet's rules.
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
    history: Sequence[Metagraph] = ()
    story: Story | None = None


def compose(facts: Facts) -> dict[str, Any]:
    """The report document."""
    neurons = [_neuron(player, facts) for player in facts.players]
    neurons.sort(key=lambda neuron: int(neuron["uid"]))
    return {
        "schema": SCHEMA,
        "regime": "devnet" if facts.story is None else "mainnet",
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
                "uid": _seat(facts, player).uid,
                "kind": player.kind,
                "rounds": len(facts.rounds[player.name]),
                "weights_set": sum(round.weights_set for round in facts.rounds[player.name]),
                "weights_read_back": facts.read_back[player.name],
                "weights_waiting": sum(r.is_waiting for r in facts.rounds[player.name]),
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
        "mainnet": None if facts.story is None else _mainnet(facts, facts.story),
        "seconds": dict(facts.seconds),
        "versions": dict(facts.versions),
    }


def _mainnet(facts: Facts, story: Story) -> dict[str, Any]:
    """What happened on the way, and what copying was worth."""
    judges = [p for p in facts.players if p.role == "validator" and p.kind != COPIER]
    (copier,) = (player for player in facts.players if player.kind == COPIER)
    newcomer = next((player for player in facts.players if player.kind == NEWCOMER), None)
    killed = next(
        (
            round
            for round in facts.rounds.get(story.killed or "", ())
            if round.number == story.killed_round
        ),
        None,
    )
    before: list[float] = []
    after: list[float] = []
    for player in judges:
        for round in facts.rounds[player.name]:
            if round.meant and story.sold_block is not None and story.sold_uid is not None:
                share = round.meant.get(story.sold_uid, 0) / sum(round.meant.values())
                (after if round.block >= story.sold_block else before).append(share)
    return {
        "blocks_jumped": story.jumped,
        "copier": _copier(facts, copier, judges),
        "kill": {
            "validator": story.killed,
            "round": story.killed_round,
            "commit_block": None if killed is None else killed.commit_block,
            "killed_block": story.killed_block,
            "revealed_block": None if killed is None else killed.weights_block,
        },
        "sale": {
            "uid": story.sold_uid,
            "block": story.sold_block,
            "from": story.seller,
            "to": None if newcomer is None else newcomer.hotkey.ss58_address,
            "share_before": max(before, default=None),
            "share_after": min(after, default=None),
        },
    }


def _copier(facts: Facts, copier: Player, judges: Sequence[Player]) -> dict[str, Any]:
    """Alpha earned per alpha staked, of the copier and of the worse paid honest validator.

    Counted from the last epoch that paid no miner: what comes before is paid by stake alone, since
    nobody's weights count yet. `by_epoch` is the copier's share of dividends per stake over the
    mean of the others', epoch by epoch.
    """
    first = next((n for n, m in enumerate(facts.history) if m.incentive), len(facts.history))
    base = facts.history[first - 1] if first else facts.before

    def pay(player: Player) -> float:
        seats = [m.find(player.hotkey.ss58_address) for m in (base, facts.after)]
        begin, end = (0 if seat is None else int(seat.alpha) for seat in seats)
        return (end - begin) / begin if begin else 0.0

    def rate(metagraph: Metagraph, player: Player) -> float:
        seat = metagraph.find(player.hotkey.ss58_address)
        return seat.dividends / int(seat.stake) if seat is not None and int(seat.stake) else 0.0

    by_epoch = []
    for metagraph in facts.history[first:]:
        others = sum(rate(metagraph, player) for player in judges) / len(judges)
        by_epoch.append(round(rate(metagraph, copier) / others, 4) if others else None)
    own, honest = pay(copier), min(map(pay, judges))
    return {
        "uid": _seat(facts, copier).uid,
        "pay_per_stake": own,
        "honest_pay_per_stake": honest,
        "ratio": own / honest if honest else None,
        "by_epoch": by_epoch,
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
        waiting = validator.get("weights_waiting", 0)  # new in schema 2
        if meant == 0:
            wrong.append(f"validator {validator['uid']} set no weights")
        elif waiting > 1:
            wrong.append(f"validator {validator['uid']} has not revealed weights {waiting} times")
        elif found != meant - waiting:
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
    return wrong + ([] if report.get("mainnet") is None else _mainnet_verdict(report))


def _mainnet_verdict(report: Mapping[str, Any]) -> list[str]:
    wrong = []
    neurons, mainnet = report["neurons"], report["mainnet"]
    honest = _pay(neurons, HONEST)
    if max(honest) > EQUAL * min(honest):
        wrong.append("honest miners did not earn the same")
    ratio = mainnet["copier"]["ratio"]
    if ratio is None or ratio >= 1:
        wrong.append("copying weights paid as well as judging")
    kill, sale = mainnet["kill"], mainnet["sale"]
    if kill["revealed_block"] is None or kill["revealed_block"] <= kill["killed_block"]:
        wrong.append("the validator that was killed did not reveal what it had committed")
    if sale["share_before"] is None or sale["share_after"] is None:
        wrong.append("no seat changed hands between two rounds")
    elif not sale["share_before"] < sale["share_after"] or min(_pay(neurons, NEWCOMER)) <= 0:
        wrong.append("the newcomer was judged by who sat there before")
    return wrong


def _pay(neurons: Sequence[Mapping[str, Any]], *kinds: str) -> list[int]:
    return [int(n["emission_alpha_rao"]) for n in neurons if n["kind"] in kinds]


def _neuron(player: Player, facts: Facts) -> dict[str, Any]:
    hotkey = player.hotkey.ss58_address
    seat, start = _seat(facts, player), facts.before.find(hotkey)
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
        "emission_alpha_rao": int(seat.alpha) - (0 if start is None else int(start.alpha)),
        "seated": facts.after.find(hotkey) is not None,
    }


def _seat(facts: Facts, player: Player) -> Neuron:
    """The last seat of a player; one that was sold is as it was after its last epoch."""
    for metagraph in (facts.after, *reversed(facts.history), facts.before):
        seat = metagraph.find(player.hotkey.ss58_address)
        if seat is not None:
            return seat
    raise LookupError(f"{player.name} has never had a seat")


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
    if report["mainnet"] is not None:
        lines += _mainnet_lines(report["mainnet"])
    return "\n".join(line.rstrip() for line in lines)


def _mainnet_lines(mainnet: Mapping[str, Any]) -> list[str]:
    copier, kill, sale = mainnet["copier"], mainnet["kill"], mainnet["sale"]
    ratio = "-" if copier["ratio"] is None else f"{copier['ratio']:.3f}"
    shares = [
        "-" if share is None else f"{share:.3f}"
        for share in (sale["share_before"], sale["share_after"])
    ]
    by_epoch = " ".join("-" if r is None else f"{r:.2f}" for r in copier["by_epoch"])
    return [
        f"time travel: {mainnet['blocks_jumped']} blocks at once",
        f"copier: {ratio} of the pay per stake of an honest validator (by epoch: {by_epoch})",
        f"kill -9: {kill['validator']} committed in block {kill['commit_block']}, was killed in "
        f"{kill['killed_block']}, revealed in {kill['revealed_block']}",
        f"sale: uid {sale['uid']} changed hands in block {sale['block']}; share of the weights "
        f"before {shares[0]}, after {shares[1]}",
    ]
