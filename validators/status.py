"""How a validator stands, read from its journal alone: weights, validator trust, costs.

Works beside a running validator and after a dead one. What the journal's kept parts do not hold is
not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from validators.weights import NOT_LANDED

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Landed:
    """Weights that were seen on the chain."""

    round: int
    epoch: int
    block: int
    time: float


@dataclass(frozen=True, slots=True)
class Mover:
    """One seat of which this validator's share above the consensus changed by `change`.

    That much validator trust was lost by it (above 0) or won back (below 0).
    """

    uid: int
    hotkey: str
    change: float


@dataclass(frozen=True, slots=True)
class Status:
    """`vtrust` and `distance` are of the newest epoch seen, `vtrust_before` of the one before.

    `rao_per_day` is what the hotkey's balance fell by between epochs, in a day of 86,400 s; money
    that came in is no cost. None is not known.
    """

    rounds: int
    last_round: int | None
    last_time: float | None
    epoch: int | None
    landed: Landed | None
    missed: int
    problem: str | None
    vtrust: float | None
    vtrust_before: float | None
    distance: float | None
    movers: tuple[Mover, ...]
    balance_rao: int | None
    rao_per_day: float | None
    differences: tuple[Mapping[str, Any], ...]


def read_status(lines: Iterable[Mapping[str, Any]]) -> Status:
    """What `lines` of a journal, oldest first, come to."""
    rounds = 0
    last: Mapping[str, Any] | None = None
    landed: Landed | None = None
    problem: str | None = None
    standings: list[Mapping[str, Any]] = []
    spent, span_s = 0, 0.0
    for line in lines:
        kind = line.get("kind")
        if kind == "round":
            rounds, last = rounds + 1, line
            weights = line["weights"]
            if weights["set"] and _has_landed(weights):
                landed = _landed(line, int(weights["block"]))
                problem = None
            elif weights["set"] and weights["read_back"] is not None:
                problem = f"the chain holds another row than round {line['round']} set"
            elif weights["problem"] and weights.get("code") != "later":
                problem = str(weights["problem"])
        elif kind == "reveal":
            if line["ending"] == "revealed":
                epoch = line["epoch"] if line["epoch"] is not None else 0
                landed = Landed(line["round"], int(epoch), int(line["block"]), line["time"])
                problem = None
            else:
                problem = f"the commit of round {line['round']} ended {line['ending']}"
        elif kind == "standing":
            if standings:
                earlier = standings[-1]
                span_s += max(0.0, line["time"] - earlier["time"])
                spent += max(0, earlier["balance_rao"] - line["balance_rao"])
            standings = [*standings[-1:], line]
    now = standings[-1] if standings else None
    before = standings[-2] if len(standings) > 1 else None
    return Status(
        rounds=rounds,
        last_round=None if last is None else int(last["round"]),
        last_time=None if last is None else float(last["time"]),
        epoch=None if now is None else int(now["epoch"]),
        landed=landed,
        missed=0 if now is None else int(now["missed"]),
        problem=problem,
        vtrust=None if now is None else float(now["vtrust"]),
        vtrust_before=None if before is None else float(before["vtrust"]),
        distance=None if now is None else float(now["distance"]),
        movers=() if now is None or before is None else _movers(before, now),
        balance_rao=None if now is None else int(now["balance_rao"]),
        rao_per_day=spent / span_s * DAY_S if span_s > 0 else None,
        differences=() if now is None else tuple(now["differences"]),
    )


def _has_landed(weights: Mapping[str, Any]) -> bool:
    """As `WeightsReport.landed`, of what was written down of one."""
    causes = {difference["cause"] for difference in weights.get("differences", ())}
    explained = bool(causes) and not causes & {cause.value for cause in NOT_LANDED}
    return bool(weights["read_back"]) or (weights["read_back"] is False and explained)


def _landed(line: Mapping[str, Any], block: int) -> Landed:
    return Landed(int(line["round"]), int(line["epoch"]), block, float(line["time"]))


def _movers(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Mover, ...]:
    """Seats by how much they moved validator trust, the greatest first; followed by hotkey."""
    old = {hotkey: share for _, hotkey, share in before["above"]}
    new = {hotkey: share for _, hotkey, share in now["above"]}
    uids = {hotkey: uid for uid, hotkey, _ in [*before["above"], *now["above"]]}
    moved = [Mover(uids[h], h, new.get(h, 0.0) - old.get(h, 0.0)) for h in uids]
    return tuple(sorted((m for m in moved if m.change), key=lambda m: (-abs(m.change), m.uid)))
