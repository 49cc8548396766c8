"""From what is believed of each miner to the weight it gets.

Functions of scores return weights, those of weights return weights, so they nest:
`burn(cap(shape(top(scores, 10), power=2), 0.25), owner, 0.5)`. Weights sum to 1, or are all 0 where
nobody earns anything: there is then nothing to set. Equal scores earn the same, whatever the order
of the keys; a better score never earns less; a score of 0 earns nothing. Whatever is negative, NaN
or infinite raises ValueError. Knows nothing of who is behind a key: what pays for being many
(`lift`, `softmax`, pools) pays for many hotkeys of one owner too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


# From scores to weights


def shape(scores: Mapping[K, float], power: float = 1.0, floor: float = 0.0) -> dict[K, float]:
    """Return weights that sum to 1, proportional to score ** power; 0 for scores below `floor`.

    `scores` and `floor` are in 0..1. A power above 1 spreads good from better; a floor keeps luck
    and near misses from being paid. Raises ValueError for a `power` of 0 or below.
    """
    if not power > 0.0:
        raise ValueError(f"power is {power}; it must be above 0")
    if not 0.0 <= floor <= 1.0:
        raise ValueError(f"floor is {floor}, not in 0..1")
    _check_scores(scores)
    # Relative to the best, or a high power would round everyone down to 0.
    best = max(scores.values(), default=0.0)
    return normalise(
        {
            key: (score / best) ** power if best > 0.0 and score >= floor else 0.0
            for key, score in scores.items()
        }
    )


def softmax(scores: Mapping[K, float], temperature: float) -> dict[K, float]:
    """Return weights proportional to exp(score / temperature), among scores above 0.

    `temperature` is above 0, in units of the score: a lead of one temperature earns e times as
    much. A high one pays everybody nearly the same, for whatever answer above 0.
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    _check_scores(scores)
    best = max(scores.values(), default=0.0)
    return normalise(
        {
            key: math.exp((score - best) / temperature) if score > 0.0 else 0.0
            for key, score in scores.items()
        }
    )


def ranked(scores: Mapping[K, float], pay: Sequence[float]) -> dict[K, float]:
    """Return weights by place alone: the best gets `pay[0]` parts, the next `pay[1]`, and so on.

    Those who tie share what their places earn together. `pay` never rises, and begins above 0;
    beyond its end places earn nothing. Where fewer miners score than there are places, the parts
    of the places taken are all there is.
    """
    if not pay or not pay[0] > 0.0 or not all(0.0 <= part < math.inf for part in pay):
        raise ValueError("pay is of one part or more, finite, and begins above 0")
    if any(later > earlier for earlier, later in zip(pay, pay[1:], strict=False)):
        raise ValueError("pay rises: a better place would earn less")
    _check_scores(scores)
    relative = [part / pay[0] for part in pay]  # sums can overflow
    earned = dict.fromkeys(scores, 0.0)
    place = 0
    in_order = sorted((key for key in scores if scores[key] > 0.0), key=lambda key: -scores[key])
    for _, tied in groupby(in_order, key=lambda key: scores[key]):
        keys = list(tied)
        parts = relative[place : place + len(keys)]
        parts += [0.0] * (len(keys) - len(parts))
        # The mean rounds, and must not pass the places around it.
        mean = min(parts[0], max(parts[-1], math.fsum(parts) / len(parts)))
        earned.update(dict.fromkeys(keys, mean))
        place += len(keys)
    return normalise(earned)


def pools(*seats_and_share: tuple[int, float]) -> tuple[float, ...]:
    """Return the pay by place, for `ranked`, of pools that each share equally among their seats.

    Best pool first: `pools((20, 0.75), (10, 0.25))` pays three quarters to the first twenty.
    """
    if not all(seats >= 1 and 0.0 <= share < math.inf for seats, share in seats_and_share):
        raise ValueError(f"a pool has one seat or more and a share of 0 or more: {seats_and_share}")
    return tuple(share / seats for seats, share in seats_and_share for _ in range(seats))


def winner(
    scores: Mapping[K, float], incumbent: K | None = None, margin: float = 0.0
) -> dict[K, float]:
    """Return everything for the best; the incumbent keeps it until beaten by more than `margin`.

    `margin` is absolute, in 0..1, and should be above the noise of a score: else a copy of the
    incumbent overtakes it by luck. So within the margin, and only there, a better score earns
    less; and an incumbent at 1 - margin or above can not be beaten. Challengers that tie share.
    An incumbent that is gone or scores 0 is none.
    """
    if not 0.0 <= margin <= 1.0:
        raise ValueError(f"margin is {margin}, not in 0..1")
    _check_scores(scores)
    best = max(scores.values(), default=0.0)
    held = scores[incumbent] if incumbent is not None and incumbent in scores else 0.0
    if held > 0.0 and not best > held + margin:
        return {key: 1.0 if key == incumbent else 0.0 for key in scores}
    return normalise(
        {key: 1.0 if score == best and best > 0.0 else 0.0 for key, score in scores.items()}
    )


# From scores to fewer scores


def top(scores: Mapping[K, float], count: int) -> dict[K, float]:
    """Return `scores` with 0 for all but the best `count`, and those who tie with the last of them.

    A tie can so pay more than `count`: to choose among equals would take an order of keys, and
    whoever can choose its key would be first.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be 1 or more")
    _check_scores(scores)
    last = sorted(scores.values(), reverse=True)[:count][-1:]
    return {key: score if score >= last[0] else 0.0 for key, score in scores.items()}


# From weights to weights


def normalise(weights: Mapping[K, float]) -> dict[K, float]:
    """Return `weights`, 0 or above and finite, scaled to sum to 1; all 0 if they all are."""
    if not all(0.0 <= weight < math.inf for weight in weights.values()):
        raise ValueError(f"a weight is not 0 or above and finite: {dict(weights)}")
    most = max(weights.values(), default=0.0)
    if most == 0.0:
        return dict.fromkeys(weights, 0.0)
    # Relative to the largest, since sums can overflow. fsum, since it knows no order of keys.
    parts = {key: weight / most for key, weight in weights.items()}
    total = math.fsum(parts.values())
    return {key: part / total for key, part in parts.items()}


def cap(weights: Mapping[K, float], most: float, rest: K | None = None) -> dict[K, float]:
    """Return weights of which none is above `most` (above 0, up to 1).

    What is cut goes to `rest`, who is not capped (the owner, to burn it); without, to the others
    in proportion, again up to `most`. Fewer than 1 / most others can not hold it all: they then
    earn the same each, which is above `most`.
    """
    if not 0.0 < most <= 1.0:
        raise ValueError(f"most is {most}, not above 0 and up to 1")
    whole = normalise(weights)
    if rest is not None:
        kept = {key: min(weight, most) for key, weight in whole.items() if key != rest}
        if any(whole.values()):
            kept[rest] = max(0.0, 1.0 - math.fsum(kept.values()))
        else:
            kept.update((key, 0.0) for key in whole if key == rest)
        return kept
    free = {key: weight for key, weight in whole.items() if weight > 0.0}
    if len(free) * most <= 1.0:
        return normalise({key: 1.0 if key in free else 0.0 for key in whole})
    capped: dict[K, float] = {}
    while True:
        # Not one factor for all: next to nothing would have to be scaled beyond what floats hold.
        left, total = max(0.0, 1.0 - most * len(capped)), math.fsum(free.values())
        shared = {key: weight / total * left for key, weight in free.items()}
        # All that are over at once, so that those who tie are never told apart by rounding.
        over = [key for key, weight in shared.items() if weight > most]
        capped.update(dict.fromkeys(over, most))
        free = {key: weight for key, weight in free.items() if key not in capped}
        if not over or not free:  # without any free, by rounding alone: there was room for one
            return {key: capped.get(key, shared.get(key, 0.0)) for key in whole}


def lift(weights: Mapping[K, float], least: float) -> dict[K, float]:
    """Return weights in which whoever earns anything gets `least` (0..1), and a share of the rest.

    The rest is shared in proportion. Where there is not enough for that, all earn the same. Every
    hotkey more is paid once more: `least` should be below what a seat costs.
    """
    if not 0.0 <= least <= 1.0:
        raise ValueError(f"least is {least}, not in 0..1")
    whole = normalise(weights)
    paid = sum(weight > 0.0 for weight in whole.values())
    if paid == 0:
        return whole
    given = min(least, 1.0 / paid)
    left = max(0.0, 1.0 - given * paid)
    return {key: given + left * weight if weight > 0.0 else 0.0 for key, weight in whole.items()}


def burn(weights: Mapping[K, float], owner: K | None, share: float) -> dict[K, float]:
    """Return weights with `share` (0..1) of the whole given to `owner`, whom the chain never pays.

    The others keep their proportions. Without an owner's seat (None), and where nobody earns
    anything, nothing is burned.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}, not in 0..1")
    whole = normalise(weights)
    if owner is None or share == 0.0 or not any(whole.values()):
        return whole
    kept = {key: weight * (1.0 - share) for key, weight in whole.items()}
    kept[owner] = kept.get(owner, 0.0) + share
    return kept


def mix(parts: Mapping[T, Mapping[K, float]], weights: Mapping[T, float]) -> dict[K, float]:
    """Return the weights of several tasks as one: `parts[task]` by key, mixed by `weights[task]`.

    Each part is scaled to sum to 1 first. A task in which nobody earns anything leaves its part to
    the others; give it `{owner: 1.0}` to burn that instead. Raises ValueError unless both name the
    same tasks.
    """
    if parts.keys() != weights.keys():
        raise ValueError(f"parts name {sorted(map(str, parts))}, weights other tasks")
    whole = {task: normalise(part) for task, part in parts.items()}
    paying = {task: w if any(whole[task].values()) else 0.0 for task, w in weights.items()}
    counted = normalise(paying)
    keys = dict.fromkeys(key for part in whole.values() for key in part)
    return normalise(
        {
            key: math.fsum(counted[task] * part.get(key, 0.0) for task, part in whole.items())
            for key in keys
        }
    )


def _check_scores(scores: Mapping[K, float]) -> None:
    if not all(0.0 <= score <= 1.0 for score in scores.values()):
        raise ValueError(f"a score is not in 0..1: {dict(scores)}")
