"""How a validator stands, read from its journal alone: weights, validator trust, costs.

Works beside a running validator and after a dead one. What the journal's kept parts do not hold is
not known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validators.proof import NOT_LANDED, Seat

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Landed:
    """Weights that were seen on the chain."""

    round: int
    epoch: int
    block: int
    time: float


@dataclass(frozen=True, slots=True)
class Row:
    """What became of the row of one mechanism.

    `landed` is the last one that was seen on the chain, `problem` why no later one was;
    `committed` is the round of a row that waits to be revealed. `differences` are of the last row
    that was read back.
    """

    mechanism: int
    landed: Landed | None = None
    problem: str | None = None
    committed: int | None = None
    differences: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Mover:
    """One seat of which this validator's share above the consensus changed by `change`.

    That much validator trust was lost by it (above 0) or won back (below 0). `own` and `consensus`
    are by how much its own share and that of the consensus changed; None is not known.
    """

    uid: int
    hotkey: str
    change: float
    own: float | None = None
    consensus: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """`vtrust` and `distance` are of the newest epoch seen, `vtrust_before` of the one before.

    `landed` and `problem` are those of the first mechanism's row, `rows` has all. `rao_per_day` is
    what the hotkey's balance fell by between epochs, in a day of 86,400 s, and
    `coldkey_rao_per_day` the same of its coldkey, which buys seats and stakes; money that came in
    is no cost. `seats_bought` counts how often the hotkey got a new seat. None is not known.
    """

    rounds: int
    last_round: int | None
    last_time: float | None
    epoch: int | None
    landed: Landed | None
    missed: int
    problem: str | None
    rows: tuple[Row, ...]
    vtrust: float | None
    vtrust_before: float | None
    distance: float | None
    movers: tuple[Mover, ...]
    balance_rao: int | None
    rao_per_day: float | None
    coldkey_rao: int | None
    coldkey_rao_per_day: float | None
    seats_bought: int
    differences: tuple[Mapping[str, Any], ...]


def read_status(lines: Iterable[Mapping[str, Any]]) -> Status:
    """What `lines` of a journal, oldest first, come to."""
    rounds = 0
    last: Mapping[str, Any] | None = None
    rows = {0: Row(0)}
    standings: list[Mapping[str, Any]] = []
    hotkey, coldkey, bought = _Falls("balance_rao"), _Falls("coldkey_rao"), 0
    for line in lines:
        kind = line.get("kind")
        if kind == "round":
            rounds, last = rounds + 1, line
            for mechanism, report in _reports(line["weights"]).items():
                row = rows.get(mechanism, Row(mechanism))
                rows[mechanism] = _after_round(row, line, report)
        elif kind == "reveal":
            mechanism = int(line.get("mechanism", 0))
            rows[mechanism] = _after_reveal(rows.get(mechanism, Row(mechanism)), line)
        elif kind == "standing":
            if standings:
                seats = {standings[-1].get("registered_at"), line.get("registered_at")} - {None}
                bought += len(seats) > 1
                for falls in (hotkey, coldkey):
                    falls.note(standings[-1], line)
            standings = [*standings[-1:], line]
    now = standings[-1] if standings else None
    before = standings[-2] if len(standings) > 1 else None
    return Status(
        rounds=rounds,
        last_round=None if last is None else int(last["round"]),
        last_time=None if last is None else float(last["time"]),
        epoch=None if now is None else int(now["epoch"]),
        landed=rows[0].landed,
        missed=0 if now is None else int(now["missed"]),
        problem=rows[0].problem,
        rows=tuple(rows[mechanism] for mechanism in sorted(rows)),
        vtrust=None if now is None else float(now["vtrust"]),
        vtrust_before=None if before is None else float(before["vtrust"]),
        distance=None if now is None else float(now["distance"]),
        movers=() if now is None or before is None else _movers(before, now),
        balance_rao=None if now is None else int(now["balance_rao"]),
        rao_per_day=hotkey.per_day,
        coldkey_rao=None if now is None else now.get("coldkey_rao"),
        coldkey_rao_per_day=coldkey.per_day,
        seats_bought=bought,
        differences=() if now is None else tuple(now["differences"]),
    )


class _Falls:
    """What a balance fell by, and in what time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spent, self._span_s = 0, 0.0

    def note(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        if self._name in before and self._name in now:
            self._span_s += max(0.0, now["time"] - before["time"])
            self._spent += max(0, before[self._name] - now[self._name])

    @property
    def per_day(self) -> float | None:
        return self._spent / self._span_s * DAY_S if self._span_s > 0 else None


def _reports(weights: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """What became of the row of each mechanism, in one round."""
    others = weights.get("others") or {}
    return {0: weights} | {int(number): other for number, other in others.items()}


def _after_round(row: Row, line: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    number = int(line["round"])
    if not report["set"]:
        if report["problem"] and report.get("code") != "later":
            return dataclasses.replace(row, problem=str(report["problem"]))
        return row
    if report["read_back"] is None:
        return dataclasses.replace(row, committed=number)
    row = dataclasses.replace(row, differences=tuple(report.get("differences", ())))
    if _has_landed(row.differences, same=bool(report["read_back"])):
        landed = Landed(number, int(line["epoch"]), int(report["block"] or 0), float(line["time"]))
        return dataclasses.replace(row, landed=landed, problem=None)
    problem = f"the chain holds another row than round {number} set"
    return dataclasses.replace(row, problem=problem)


def _after_reveal(row: Row, line: Mapping[str, Any]) -> Row:
    number, differences = int(line["round"]), tuple(line.get("differences", ()))
    row = dataclasses.replace(
        row,
        differences=differences,
        committed=None if row.committed == number else row.committed,
    )
    ending = line["ending"]
    if ending == "revealed" or (ending == "different" and _has_landed(differences, same=False)):
        epoch = line["epoch"] if line["epoch"] is not None else 0
        landed = Landed(number, int(epoch), int(line["block"]), float(line["time"]))
        return dataclasses.replace(row, landed=landed, problem=None)
    problem = f"the commit of round {number} ended {ending}"
    return dataclasses.replace(row, problem=problem)


def _has_landed(differences: Sequence[Mapping[str, Any]], *, same: bool) -> bool:
    """As `validators.proof.has_landed`, of what was written down; differences must be explained."""
    causes = {difference["cause"] for difference in differences}
    return same or (bool(causes) and not causes & {cause.value for cause in NOT_LANDED})


def _movers(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Mover, ...]:
    """Seats by how much they moved validator trust, the greatest first; followed by hotkey."""
    if "seats" in before and "seats" in now:
        old, new = _seats(before), _seats(now)
        moved = []
        for hotkey in dict.fromkeys([*old, *new]):
            blank = Seat((new.get(hotkey) or old[hotkey]).uid, hotkey, 0.0, 0.0)
            was, seat = old.get(hotkey, blank), new.get(hotkey, blank)
            own, consensus = seat.share - was.share, seat.consensus - was.consensus
            moved.append(Mover(seat.uid, hotkey, seat.excess - was.excess, own, consensus))
    else:
        # An older program wrote down no more than the five seats highest above the consensus.
        high = {hotkey: share for _, hotkey, share in before["above"]}
        higher = {hotkey: share for _, hotkey, share in now["above"]}
        uids = {hotkey: uid for uid, hotkey, _ in [*before["above"], *now["above"]]}
        moved = [Mover(uids[h], h, higher.get(h, 0.0) - high.get(h, 0.0)) for h in uids]
    return tuple(sorted((m for m in moved if m.change), key=lambda m: (-abs(m.change), m.uid)))


def _seats(line: Mapping[str, Any]) -> dict[str, Seat]:
    return {
        hotkey: Seat(uid, hotkey, share, consensus)
        for uid, hotkey, share, consensus in line["seats"]
    }
