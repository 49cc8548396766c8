"""Proof that weights landed: why the chain's row is not the one that was meant, and what it earns.

Pure. Rows are {uid: u16} as the chain holds them; shares are parts of a whole row, 0..1. What
cannot be explained is called unexplained: that word in a journal is worth a person's time.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.client.metagraph import Metagraph
from scoring.shaping import cap, normalise

U16_MAX = 65_535
CLIP_SLACK = 2 / U16_MAX
"""The SDK clips a little below the limit, so that rounding does not lift a share above it."""
MOVED_MOST = 5
"""How many seats a line names first as what cost validator trust."""


class Cause(enum.StrEnum):
    """Why one seat's weight is not what was meant."""

    QUANTISED = "quantised"
    """Less than half of 1/65535 of the largest weight: the chain's u16 makes it 0."""
    CLIPPED = "clipped"
    """The subnet's max_weight_limit cut the largest shares, and the others grew by that."""
    SELF_WEIGHT = "self-weight"
    """The validator's own seat: an epoch counts nobody's weight on itself."""
    PRUNED = "pruned"
    """The seat changed hands: the chain takes away what was set on it."""
    NOT_REVEALED = "not revealed"
    """The row was committed, and never opened."""
    SUPERSEDED = "superseded"
    """A later row of the same hotkey is there: another commit, or a second validator with its
    key."""
    UNEXPLAINED = "unexplained"


NOT_LANDED = (Cause.SUPERSEDED, Cause.UNEXPLAINED, Cause.NOT_REVEALED)
"""Causes of a difference with which the row that was meant is not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One seat: its share as it was meant, its share in the row that is there, and why."""

    uid: int
    meant: float
    found: float
    cause: Cause

    def line(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "uid": self.uid,
            "meant": self.meant,
            "found": self.found,
            "cause": self.cause.value,
        }


def has_landed(differences: Iterable[Difference]) -> bool:
    """Whether a row that differs is the one that was meant, after the chain's own rules."""
    return all(item.cause not in NOT_LANDED for item in differences)


def explain(
    meant: Mapping[int, float],
    found: Mapping[int, int],
    *,
    own: int | None = None,
    limit: int = U16_MAX,
    moved: Collection[int] = (),
    superseded: bool = False,
    revealed: bool = True,
) -> tuple[Difference, ...]:
    """Every seat whose weight in `found` is not what `meant` (any scale) came to, by uid.

    `own` is the validator's own seat where an epoch ignores it, `limit` the subnet's
    max_weight_limit, `moved` the seats that changed hands. Rounding alone is no difference.
    """
    wanted = normalise(meant)
    whole = normalise({uid: float(value) for uid, value in found.items()})
    clipped = cap(wanted, limit / U16_MAX) if limit < U16_MAX and len(wanted) > 1 else wanted
    differences = []
    for uid in sorted(wanted.keys() | whole.keys()):
        share, there = wanted.get(uid, 0.0), whole.get(uid, 0.0)
        if uid == own and share > 0.0:
            cause = Cause.SELF_WEIGHT
        elif _same(share, there, wanted):
            if not share > 0.0 or there > 0.0:
                continue
            cause = Cause.QUANTISED
        elif not revealed:
            cause = Cause.NOT_REVEALED
        elif uid in moved:
            cause = Cause.PRUNED
        elif superseded:
            cause = Cause.SUPERSEDED
        elif _same(clipped.get(uid, 0.0), there, clipped, CLIP_SLACK):
            cause = Cause.CLIPPED
        elif _same(share, there, _without(moved, wanted)):
            cause = Cause.PRUNED  # the others' shares grew by what was taken away
        else:
            cause = Cause.UNEXPLAINED
        # Plain, whatever an author's shares are: they go into the journal.
        differences.append(Difference(uid, float(share), float(there), cause))
    return tuple(differences)


def _same(share: float, there: float, row: Mapping[int, float], slack: float = 1e-12) -> bool:
    """Whether a share of `row` is `there` once it went through u16, largest to 65535.

    Each of the values is off by half of one at most, and so is their sum, by half of one each.
    """
    top, total = max(row.values(), default=0.0), sum(row.values())
    if total == 0.0:
        return there == 0.0
    step = top / total / U16_MAX
    return abs(share / total - there) <= step * (0.5 + 0.5 * len(row) * max(there, share)) + slack


def _without(seats: Collection[int], row: Mapping[int, float]) -> dict[int, float]:
    return {uid: share for uid, share in row.items() if uid not in seats}


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat as an epoch saw it: the validator's own share of weight for it, and the consensus."""

    uid: int
    hotkey: str
    share: float
    consensus: float

    @property
    def excess(self) -> float:
        """What the share is above the consensus; rounding on the chain is no disagreement."""
        above = self.share - self.consensus
        return above if above > 2 / U16_MAX else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a validator's row stood in the epoch before `block`.

    `vtrust` is the share of its weights that the consensus bore out (0..1, as the chain has it),
    `distance` half the sum of the differences between its shares and the consensus (0 the same,
    1 nothing in common). `seats` are those that either of the two gives anything.
    """

    epoch: int
    block: int
    vtrust: float
    distance: float
    seats: tuple[Seat, ...]

    @property
    def above(self) -> tuple[tuple[int, str, float], ...]:
        """The seats it gave more than the consensus, largest first, as (uid, hotkey, share).

        These shares are what its validator trust lacks.
        """
        found = ((seat.uid, seat.hotkey, seat.excess) for seat in self.seats if seat.excess)
        return tuple(sorted(found, key=lambda seat: (-seat[2], seat[0])))

    def line(self) -> dict[str, Any]:
        """For a journal's line of kind "standing"."""
        return {
            "epoch": self.epoch,
            "block": self.block,
            "vtrust": self.vtrust,
            "distance": self.distance,
            "above": [list(seat) for seat in self.above[:MOVED_MOST]],
            "seats": [
                [seat.uid, seat.hotkey, round(seat.share, 6), round(seat.consensus, 6)]
                for seat in self.seats
            ],
        }


def standing(
    metagraph: Metagraph,
    row: Mapping[int, int],
    trust: int,
    *,
    own: int,
    epoch: int,
    others: Sequence[tuple[float, Mapping[int, int]]] = (),
) -> Standing:
    """How `row` of the seat `own` stands; `trust` is the chain's u16 of it.

    Yuma's validator trust is the sum over all seats of min(own share, consensus), so what it lacks
    is the sum of the shares above the consensus. Only the subnet's owner may weigh itself.

    Of several mechanisms the chain keeps means, weighted by what each one pays: so are the shares
    here, `others` being (what it pays of the whole, row). What one mechanism's share is above then
    hides behind what another's is below, and less is named than the trust lacks.
    """
    mine = metagraph.neurons[own]
    alone = None if mine.hotkey == metagraph.owner_hotkey else own
    shares: dict[int, float] = {}
    for part, each in [(1.0 - sum(part for part, _ in others), row), *others]:
        kept = {uid: float(value) for uid, value in each.items() if uid != alone}
        for uid, share in normalise(kept).items():
            shares[uid] = shares.get(uid, 0.0) + part * share
    consensus = {n.uid: n.consensus / U16_MAX for n in metagraph.neurons}
    whole = normalise(consensus)
    uids = shares.keys() | whole.keys()
    distance = sum(abs(shares.get(uid, 0.0) - whole.get(uid, 0.0)) for uid in uids) / 2
    seats = tuple(
        Seat(n.uid, n.hotkey, shares.get(n.uid, 0.0), consensus[n.uid])
        for n in metagraph.neurons
        if shares.get(n.uid) or consensus[n.uid]
    )
    return Standing(epoch, metagraph.block, trust / U16_MAX, distance, seats)
