"""Proof of Sampling: how often to audit so that cheating does not pay, and whom.

The game is of one answer. Honest work costs `cost` and is paid `reward`; cheating saves `saved` of
the cost; who is caught, rightly or not, loses the reward and a further loss S. With p the audit
rate, r `collusion`, f `false_alarm`, m `miss`:

    honest   reward - cost - p f (reward + S)
    cheat    reward - cost + saved - p (1 - r) (1 - m) (reward + S)

so honesty is the best reply when p > saved / (((1 - r)(1 - m) - f) (reward + S)), and worth its
while when p f (reward + S) < reward - cost. (Zhang et al., "Proof of Sampling", arXiv 2405.00295,
has f = m = 0; the rest follows as above.)

Where nobody is slashed, S is what a ban costs: `ban` answers not paid for, and a `fee`. What an
honest miner would have earned on them is itself less by false alarms, so S depends on p:
S = ban (reward - cost - p f (reward + S)) + fee. The functions below solve for that; with a ban of
0, S is the fee and they are the two conditions above.

Not covered: auditors who do not look (plant answers known to be bad), and false alarms that hit
the same honest miner again and again (f is the chance per answer, independent between answers).
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

U64 = 1 << 64


class NoRate(ValueError):
    """No audit rate makes honest work pay best; the message says which condition fails."""


@dataclass(frozen=True, slots=True)
class Game:
    """What is at stake in one answer, in any one unit of money. Raises ValueError outside ranges.

    `saved` is 0 or more and at most `cost`: the whole of it for an answer made of nothing, less
    for a smaller model. The bounds of a rate need both.
    """

    reward: float
    """Paid for an answer; above 0."""
    cost: float
    """Of an honest answer."""
    saved: float
    """By cheating, out of `cost`."""
    fee: float = 0.0
    """Lost when caught, apart from the reward and the ban: collateral, registering again."""
    ban: float = 0.0
    """Answers that who is caught would have given, and may not. Where he comes back at once under a
    new hotkey it is 0, and what that hotkey costs him is the fee."""
    collusion: float = 0.0
    """Chance that the auditor drawn covers up for a cheat."""
    false_alarm: float = 0.0
    """Chance that an audit condemns an honest answer: per answer, not per token."""
    miss: float = 0.0
    """Chance that an audit passes a cheat."""

    def __post_init__(self) -> None:
        """Refuse what is no game."""
        amounts = (self.reward, self.cost, self.saved, self.fee, self.ban)
        if not all(0.0 <= amount < math.inf for amount in amounts) or self.reward == 0.0:
            raise ValueError(f"amounts are finite, 0 or more, and the reward above 0: {self}")
        if self.saved > self.cost:
            raise ValueError(f"cheating saves {self.saved} of a cost of {self.cost}")
        if not all(0.0 <= c <= 1.0 for c in (self.collusion, self.false_alarm, self.miss)):
            raise ValueError(f"a chance is not in 0..1: {self}")

    @property
    def power(self) -> float:
        """How much likelier an audit condemns a cheat than an honest answer, -1..1."""
        return (1.0 - self.collusion) * (1.0 - self.miss) - self.false_alarm


def loss_if_caught(game: Game, rate: float) -> float:
    """Return S at this audit rate: the profit of the banned answers, and the fee."""
    _check(rate)
    alarms = rate * game.false_alarm
    profit = game.reward - game.cost - alarms * game.reward
    return (game.ban * profit + game.fee) / (1.0 + game.ban * alarms)


def honest_loss(game: Game, rate: float) -> float:
    """Return what an honest answer is expected to lose to false alarms at this audit rate."""
    return rate * game.false_alarm * (game.reward + loss_if_caught(game, rate))


def honest_payoff(game: Game, rate: float) -> float:
    """Return what an honest answer is expected to earn at this audit rate."""
    return game.reward - game.cost - honest_loss(game, rate)


def cheat_payoff(game: Game, rate: float) -> float:
    """Return what a cheating answer is expected to earn, by one who would else be honest."""
    caught = rate * (1.0 - game.collusion) * (1.0 - game.miss)
    at_stake = game.reward + loss_if_caught(game, rate)
    return game.reward - game.cost + game.saved - caught * at_stake


def least_rate(game: Game) -> float:
    """Return the audit rate above which, up to 1, honesty is the best reply; at it, a draw.

    saved / (power W - ban false_alarm saved), with W = reward + fee + ban (reward - cost): the
    crossing of the two payoffs with S solved for. Raises NoRate if it is not below 1, or if honest
    work does not pay at it, or an audit tells nothing.
    """
    if not game.power > 0.0:
        raise NoRate("an audit condemns honest answers as often as cheats")
    if game.cost >= game.reward:
        raise NoRate(f"honest work earns {game.reward} and costs {game.cost}")
    stakes = game.reward + game.fee + game.ban * (game.reward - game.cost)
    force = game.power * stakes - game.ban * game.false_alarm * game.saved
    if not force > game.saved or game.saved / force >= 1.0:
        raise NoRate(f"cheating saves {game.saved:.6g}; auditing every answer takes {force:.6g}")
    least = game.saved / force
    most = _bearable(game)
    if not least < most:
        raise NoRate(
            f"cheating stops paying above a rate of {least:.6g}, honest work at {most:.6g}"
        )
    return least


def most_rate(game: Game) -> float:
    """Return the audit rate below which honest work pays, at most 1 (which may then be used).

    (reward - cost) / (false_alarm (reward + fee)): a ban does not move it, since a ban from work
    that earns nothing costs nothing. Raises NoRate when `least_rate` does.
    """
    least_rate(game)
    return min(1.0, _bearable(game))


def is_audited(
    *, beacon: bytes, beacon_at: int, committed_at: int, hotkey: bytes, request: bytes, rate: float
) -> bool:
    """Say whether the answer to `request` is audited; anyone who knows the beacon can check it.

    To the bit: the first 8 bytes, read as a big endian u64, of SHA-256 over

        "audit/1" || u32(len(beacon)) || beacon || u32(len(hotkey)) || hotkey
                  || u32(len(request)) || request            (lengths big endian)

    are below floor(rate * 2**64), `rate` an IEEE double. `beacon_at` is when the beacon came out
    and `committed_at` when the answer's digest was fixed, rounds or heights of one clock: the
    request id must be older still. Raises ValueError for a beacon that was known by then, since
    whoever knows it answers well only when he will be looked at, and for a rate outside 0..1.
    """
    _check(rate)
    if not committed_at < beacon_at:
        raise ValueError(f"the answer of {committed_at} could have known the beacon of {beacon_at}")
    parts = b"".join(struct.pack(">I", len(part)) + part for part in (beacon, hotkey, request))
    drawn = int.from_bytes(hashlib.sha256(b"audit/1" + parts).digest()[:8], "big")
    # Times a power of two is exact in a double; at a rate of 1 the bound is above every u64.
    return drawn < math.floor(rate * U64)


def _bearable(game: Game) -> float:
    burden = game.false_alarm * (game.reward + game.fee)
    return (game.reward - game.cost) / burden if burden > 0.0 else math.inf


def _check(rate: float) -> None:
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate {rate} is not in 0..1")
