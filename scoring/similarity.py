"""How near an answer is to a reference, or to another answer: tokens, vectors, votes.

Near is not right: "it is" and "it is not" share most of their tokens, and vectors of the two are
close. Pay by these only what no checkable answer can be had for, and behind a gate.
Ratings are for judges who can only say which of two is better. Answers are hostile, as in `exact`,
and score 0 where nothing can be compared; references and votes are the author's, and raise.
"""

from __future__ import annotations

import enum
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.exact import Unreadable, fold

K = TypeVar("K")

LEAST_PRIOR = 0.01
"""Ties. With next to none, strengths that only it holds are lost in the rounding of floats."""


def overlap(
    answer: str, reference: str, *, n: int = 1, unit: Literal["word", "character"] = "word"
) -> float:
    """Return the F1 of the n-grams that both texts have, in 0..1; repeated ones count as often.

    Words are runs of letters, their marks, and digits: punctuation does not count. Characters are
    those of the words, and suit languages that write no spaces. Texts are folded first. F1 is the
    harmonic mean of the shares of each one's n-grams that the other has (as in SQuAD, Rajpurkar et
    al. 2016, there without English articles). Raises ValueError for a reference of fewer than n.
    """
    if n < 1:
        raise ValueError(f"n is {n}; it must be 1 or more")
    expected = _grams(fold(reference), n, unit)
    if not expected:
        raise ValueError(f"the reference has no {n} {unit}s in a row")
    try:
        found = _grams(fold(answer), n, unit)
    except Unreadable:
        return 0.0
    return 2.0 * (found & expected).total() / (found.total() + expected.total())


def _grams(text: str, n: int, unit: str) -> Counter[tuple[str, ...]]:
    # Not \w, which parts a letter from its marks, and so most words of Hindi in two.
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split()
    units = words if unit == "word" else list(" ".join(words))
    return Counter(zip(*(units[start:] for start in range(n)), strict=False))


def cosine(answer: ArrayLike, reference: ArrayLike) -> float:
    """Return the cosine of the angle between two vectors, in 0..1; below 0 it is 0.

    Both are one-dimensional, of the same length. An answer that is not, or is all 0, or has an
    entry that is not finite, scores 0; a reference like that raises ValueError. Only the direction
    counts: the length of a vector says nothing.
    """
    theirs = _direction(reference)
    if theirs is None:
        raise ValueError("the reference has no direction")
    ours = _direction(answer)
    if ours is None or ours.shape != theirs.shape:
        return 0.0
    return min(1.0, max(0.0, float(ours @ theirs)))


def _direction(vector: ArrayLike) -> NDArray[np.float64] | None:
    try:
        entries = np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if entries.ndim != 1 or not entries.size or not np.isfinite(entries).all():
        return None
    most = np.abs(entries).max()
    if most == 0.0:
        return None
    relative = entries / most  # squares can overflow, and vanish
    return np.asarray(relative / np.linalg.norm(relative))


class Verdict(enum.Enum):
    """What a judge said of two answers, by the place in which they were shown."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class Vote(Generic[K]):
    """Two answers judged twice, with `left` shown first, and then (`swapped`) with `right` first.

    A judge who prefers a place, and not an answer, contradicts itself: that is a tie.
    """

    left: K
    right: K
    shown: Verdict
    swapped: Verdict

    @property
    def won(self) -> float:
        """What `left` got: 1, 1/2 for a tie of whatever kind, or 0."""
        if (self.shown, self.swapped) == (Verdict.FIRST, Verdict.SECOND):
            return 1.0
        if (self.shown, self.swapped) == (Verdict.SECOND, Verdict.FIRST):
            return 0.0
        return 0.5


class NoRating(ValueError):
    """Votes from which no strengths follow: between `groups` nothing was lost, or nothing played.

    Within a group every one has, by way of others, won and lost against every other.
    """

    def __init__(self, groups: Sequence[frozenset[object]]) -> None:
        sizes = ", ".join(str(len(group)) for group in groups)
        super().__init__(
            f"{len(groups)} groups, of {sizes}, of which none has both won and lost against "
            "another: more votes between them, or a prior above 0"
        )
        self.groups = tuple(groups)


@dataclass(frozen=True, slots=True)
class Ratings(Generic[K]):
    """`strengths` by key, in nats: the difference of two is the log-odds that one beats the other.

    `islands` are the groups that no vote connects, the largest first. With more than one, how
    those of different islands compare is the prior's doing alone.
    """

    strengths: Mapping[K, float]
    islands: tuple[frozenset[K], ...]

    def chance(self, key: K, other: K) -> float:
        """How likely `key` is preferred to `other`, in 0..1."""
        return float(_sigmoid(np.float64(self.strengths[key] - self.strengths[other])))

    def scores(self) -> dict[K, float]:
        """Return for each how likely it is preferred to one of strength 0, in 0..1."""
        return {key: float(_sigmoid(np.float64(s))) for key, s in self.strengths.items()}


def rate(votes: Iterable[Vote[K]], *, prior: float = 1.0) -> Ratings[K]:
    """Return the Bradley-Terry strengths that make the votes most likely; a tie is half a win each.

    `prior`, 0 or at least `LEAST_PRIOR`, is how many ties each had with a player of strength 0
    before the first vote: it keeps strengths finite, and draws those with few votes to 0. With a
    prior of 0 the mean strength is 0, and NoRating is raised where none follow (Ford 1957: exactly
    where some group never lost against the rest). Raises ValueError for a vote of one with itself.
    Not seen: decoys made to lose, and judges bought. Memory grows with the square of the number of
    keys, time with its cube; votes are only counted.
    """
    if not (prior == 0.0 or LEAST_PRIOR <= prior < math.inf):
        raise ValueError(f"prior is {prior}; it must be 0, or finite and {LEAST_PRIOR} or above")
    taken = list(votes)
    place: dict[K, int] = {}
    for vote in taken:
        if vote.left == vote.right:
            raise ValueError(f"a vote of {vote.left!r} with itself")
        place.setdefault(vote.left, len(place))
        place.setdefault(vote.right, len(place))
    wins = np.zeros((len(place), len(place)))
    for vote in taken:
        wins[place[vote.left], place[vote.right]] += vote.won
        wins[place[vote.right], place[vote.left]] += 1.0 - vote.won

    keys = list(place)
    if prior == 0.0:
        groups = _groups(keys, wins > 0.0)
        if len(groups) > 1:
            raise NoRating(groups)
    islands = _groups(keys, (wins + wins.T) > 0.0)
    strengths = _fit(wins, prior)
    return Ratings(dict(zip(keys, strengths.tolist(), strict=True)), tuple(islands))


def _fit(wins: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    """The maximum of the log-likelihood, which is concave, by Newton's method with halved steps."""
    games = wins + wins.T
    strengths = np.zeros(len(wins))
    # Without a prior only differences count; what holds the mean at 0 changes nothing else.
    pinned = 1.0 if prior == 0.0 else 0.0

    def height(at: NDArray[np.float64]) -> float:
        apart = at[:, None] - at[None, :]
        ties = np.logaddexp(0.0, at) + np.logaddexp(0.0, -at)
        return -float((wins * np.logaddexp(0.0, -apart)).sum() + prior / 2.0 * ties.sum())

    for _ in range(100):
        chance = _sigmoid(strengths[:, None] - strengths[None, :])
        alone = _sigmoid(strengths)
        slope = (wins - games * chance).sum(axis=1) + prior * (0.5 - alone)
        pull = games * chance * (1.0 - chance)
        bend = np.diag(pull.sum(axis=1) + prior * alone * (1.0 - alone)) - pull + pinned
        step = np.linalg.solve(bend, slope)
        here = height(strengths)
        while height(strengths + step) < here and np.abs(step).max() > 1e-12:
            step = step / 2.0
        strengths = strengths + step
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return strengths


def _groups(keys: Sequence[K], beats: NDArray[np.bool_]) -> list[frozenset[K]]:
    """The keys that reach each other along `beats`, largest group first."""
    reach = beats | np.eye(len(keys), dtype=np.bool_)
    for _ in range(len(keys).bit_length()):  # each time twice as far
        reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0.0
    both = reach & reach.T
    groups = {frozenset(keys[j] for j in np.flatnonzero(row).tolist()): None for row in both}
    return sorted(groups, key=len, reverse=True)


def _sigmoid(x: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))
