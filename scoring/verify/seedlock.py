"""Seed-locked sampling: what a model says is fixed by a seed, so saying it proves the work.

The sampler adds noise keyed by (seed, hotkey, position, token id) to the log-probabilities and
takes the largest. A judge with the same model steps along the answer and measures the margin by
which each token lost to the one the seed prescribed. Nothing that a miner reports is used.

The protocol, to the bit where it is, is docs/seed-locked-inference.md; the figures behind the
constants are in docs/seedlock-calibration.md, and benchmarks/seedlock.py measures them again.
It does not see who ran the model: one machine may answer for many hotkeys.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.verify.statement import Measure, Outcome, Sample, Statement, measured
from scoring.verify.steps import LEAST_TEMPERATURE, Asked, Step, fault, unmeasurable

CHECK = "seedlock"

TOP = 64
"""How many of the likeliest tokens the seed chooses among."""

MARGIN_CLIP = 4.0
"""Nats: no single token says more than this against an answer."""

HALF_SCORE_MARGIN = 0.12
"""Nats: the mean clipped margin at which the score is one half."""

STEEPNESS = 6
"""How sharply the score falls around `HALF_SCORE_MARGIN`."""

SHORT_ANSWER = 8
"""Tokens: margins of a shorter answer are averaged as if it had this many."""

NATS_A_TOKEN = 1.75
"""Nats: what a token of an answer must carry to count as one. A text that goes on by itself, the
prompt repeated or a list counted up, loses little because there is little to choose; so it is
averaged over the few tokens' worth of choice that it holds."""

END_MARGIN = 1.0
"""Nats: an answer that ends early must end where the seed said so, within this."""

ENOUGH_INFORMATION = 16.0
"""Nats: a reference answer that carries less proves too little to be asked for."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The measures of many honest answers, per model, precision and pair of engines."""

    margin: Sample
    early: Sample


def noise(seed: bytes, hotkey: bytes, position: int, token_ids: ArrayLike) -> NDArray[np.float64]:
    """Return the Gumbel(0, 1) noise of `token_ids` at `position` (0 = first answer token), (k,)."""
    key = hashlib.blake2b(
        struct.pack("<I", len(seed)) + seed + struct.pack("<I", len(hotkey)) + hotkey,
        digest_size=32,
        person=b"seedlock/1",
    ).digest()
    at = hashlib.blake2b(struct.pack("<I", position), digest_size=8, key=key)
    drawn = []
    for token in np.asarray(token_ids, dtype=np.int64).tolist():
        hashed = at.copy()  # a third cheaper than to key each anew
        hashed.update(token.to_bytes(4, "little"))
        drawn.append(hashed.digest())
    # 52 bits, not 53: with 53 the half is rounded away at the top, and u becomes 1.
    u = (
        (np.frombuffer(b"".join(drawn), dtype="<u8") >> np.uint64(12)).astype(np.float64) + 0.5
    ) * 2.0**-52
    gumbel: NDArray[np.float64] = -np.log(-np.log(u))
    return gumbel


def choose(
    token_ids: ArrayLike,
    logprobs: ArrayLike,
    seed: bytes,
    hotkey: bytes,
    position: int,
    temperature: float,
    *,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> int:
    """Return the token the seed prescribes: the largest of logprob / temperature + noise.

    `token_ids` and `logprobs` are the model's `top_k` likeliest or more, both (k,), at temperature
    1 or short of it by any one constant (logits will do). A tie goes to the lower id. Raises
    ValueError without tokens, without a finite largest log-probability, with a temperature
    below `LEAST_TEMPERATURE`, a `top_p` outside (0, 1] or a `top_k` below 1.
    """
    ids, values = _candidates(token_ids, logprobs, temperature, top_k)
    if top_p != 1.0:
        kept = _inside(values, top_p) > 0.0
        ids, values = ids[kept], values[kept]
    noisy = values + noise(seed, hotkey, position, ids)
    return int(ids[noisy == noisy.max()].min())


def margin(
    step: Step,
    seed: bytes,
    hotkey: bytes,
    position: int,
    temperature: float,
    *,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> float:
    """Return by how many nats the token of `step` lost to what the seed prescribed; 0 if it won.

    The token's own log-probability counts, also outside the likeliest: an honest token that fell
    out of them by a hair of arithmetic has lost a hair, not everything. So at the edge of `top_p`:
    a token outside has lost as far as it is outside, and one beaten by a token inside has lost no
    more than that one is inside. Infinite where a step is not of numbers; ValueError as `choose`.
    """
    own = step.logprob / temperature
    if not (step.top_ids.size and math.isfinite(step.top_logprobs.max()) and math.isfinite(own)):
        return math.inf
    ids, values = _candidates(step.top_ids, step.top_logprobs, temperature, top_k)
    noises = noise(seed, hotkey, position, [*ids.tolist(), step.token])
    ahead = values + noises[:-1] - (own + noises[-1])
    if top_p == 1.0:
        return max(0.0, float(ahead.max()))
    inside = _inside(values, top_p)
    rank = np.flatnonzero(ids == step.token)
    # A token that is not among the likeliest would have the place of the last of them.
    outside = -float(inside[rank[0] if rank.size else -1])
    return max(0.0, outside, float(np.minimum(ahead, inside).max()))


def margins(
    steps: Sequence[Step],
    seed: bytes,
    hotkey: bytes,
    temperature: float,
    *,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> NDArray[np.float64]:
    """Return the margin of every token of an answer, shape (len(steps),)."""
    return np.array(
        [
            margin(step, seed, hotkey, at, temperature, top_p=top_p, top_k=top_k)
            for at, step in enumerate(steps)
        ],
        dtype=np.float64,
    )


def mean_margin(margins: ArrayLike, information: float = math.inf) -> float:
    """Return the mean, nats, of the margins of one answer clipped at `MARGIN_CLIP`; 0 of none.

    With the `information` of the answer itself (nats, `seed_information` of its steps) the mean is
    over no more tokens than `NATS_A_TOKEN` makes of it. What is no number counts as the clip, or as
    no information.
    """
    clipped = np.fmin(np.asarray(margins, dtype=np.float64), MARGIN_CLIP)
    tokens: float = max(clipped.size, SHORT_ANSWER)
    if not information / NATS_A_TOKEN >= tokens:
        tokens = max(information / NATS_A_TOKEN, 0.1) if information > 0.0 else 0.1
    return float(clipped.sum()) / tokens


def score(margins: ArrayLike, information: float = math.inf) -> float:
    """Return 0..1 for the margins of one answer's tokens: 1 if the seed was followed; 0 if empty.

    1 / (1 + (m / HALF_SCORE_MARGIN) ** STEEPNESS), m their `mean_margin`. Flat near 0, so that
    other arithmetic costs an honest miner next to nothing. No margins are always worth 1.
    """
    if np.asarray(margins).size == 0:
        return 0.0
    return 1.0 / (1.0 + (mean_margin(margins, information) / HALF_SCORE_MARGIN) ** STEEPNESS)


def is_complete(token_ids: Sequence[int], length: int, end_token: int) -> bool:
    """Say whether an answer has `length` tokens, or fewer and then the end token last.

    Nothing may follow an end token, and an empty answer is never complete.
    """
    if not 0 < len(token_ids) <= length or end_token in token_ids[:-1]:
        return False
    return len(token_ids) == length or token_ids[-1] == end_token


def score_answer(
    steps: Sequence[Step],
    *,
    length: int,
    end_token: int,
    seed: bytes,
    hotkey: bytes,
    temperature: float,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> float:
    """Return 0..1 for an answer asked to have `length` tokens, stepped by the judge's own model.

    0 if it is incomplete, or ends early where the seed did not say so: short answers hold few
    margins, and ending at once would be the cheapest way to have none.
    """
    if not is_complete([step.token for step in steps], length, end_token):
        return 0.0
    measured = margins(steps, seed, hotkey, temperature, top_p=top_p, top_k=top_k)
    if len(steps) < length and measured[-1] > END_MARGIN:
        return 0.0
    return score(measured, seed_information(steps, temperature, top_p=top_p, top_k=top_k))


def seed_information(
    steps: Sequence[Step], temperature: float, *, top_p: float = 1.0, top_k: int = TOP
) -> float:
    """Return how many nats of choice the seed had along an answer.

    The sum over the steps of the entropy of what the seed chooses from. Where it is small every
    seed prescribes the same text, so following the seed proves nothing.
    """
    return math.fsum(
        _entropy(step.top_ids, step.top_logprobs, temperature, top_p, top_k) for step in steps
    )


def verify(
    token_ids: Sequence[int],
    steps: Sequence[Step],
    asked: Asked,
    floor: Floor,
    *,
    seed: bytes,
    hotkey: bytes,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> Statement:
    """Return what the margins say of an answer; `steps` are the judge's, one per token.

    Invalid: an answer that is not of the form asked for. Unknown: steps that are not numbers, or of
    other tokens; that is the judge's engine, but the tokens it stumbled over were the miner's
    choice. Raises ValueError for a `top_p` or `top_k` that nobody can be asked for.
    """
    wrong = fault(token_ids, asked)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, wrong)
    unsure = unmeasurable(token_ids, steps)
    if unsure is not None:
        return Statement(CHECK, Outcome.UNKNOWN, unsure)
    found = measure(steps, asked, seed=seed, hotkey=hotkey, top_p=top_p, top_k=top_k)
    samples = {"margin": floor.margin, "early": floor.early}
    return measured(
        CHECK, [Measure(name, found[name], kept.p(found[name])) for name, kept in samples.items()]
    )


def measure(
    steps: Sequence[Step],
    asked: Asked,
    *,
    seed: bytes,
    hotkey: bytes,
    top_p: float = 1.0,
    top_k: int = TOP,
) -> dict[str, float]:
    """Return the measures, nats, of an answer without `fault`; a floor is made of these too.

    margin: its `mean_margin`, as `score` takes it. early: the clipped margin of an end token that
    came before the length was reached, else 0.
    """
    lost = margins(steps, seed, hotkey, asked.temperature, top_p=top_p, top_k=top_k)
    information = seed_information(steps, asked.temperature, top_p=top_p, top_k=top_k)
    ended = len(steps) < asked.length
    return {
        "margin": mean_margin(lost, information),
        "early": min(float(lost[-1]), MARGIN_CLIP) if ended else 0.0,
    }


def _candidates(
    token_ids: ArrayLike, logprobs: ArrayLike, temperature: float, top_k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `top_k` likeliest and their tempered log-probabilities, likeliest first: (k,)."""
    ids = np.asarray(token_ids, dtype=np.int64)
    values = np.asarray(logprobs, dtype=np.float64)
    if values.size == 0:
        raise ValueError("the seed has no tokens to choose among")
    if not math.isfinite(values.max()):
        raise ValueError("the largest log-probability is not finite")
    if not LEAST_TEMPERATURE <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}, not {LEAST_TEMPERATURE} or more")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be 1 or more")
    ranked = np.lexsort((ids, -values))[:top_k]
    return ids[ranked], values[ranked] / temperature


def _inside(values: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """Return how far inside the nucleus each of the ranked `values` is, nats; 0 or less: outside.

    ln(1 - c) - ln(1 - top_p), c what the tokens before it have together of the probability. Other
    arithmetic, by which each value is off by d at most, moves that by about d. The first token is
    always in.
    """
    if not 0.0 < top_p < 1.0:
        raise ValueError(f"top_p is {top_p}; it must be above 0 and at most 1")
    weights = np.exp(values - values[0])
    left = np.cumsum(weights[::-1])[::-1] / weights.sum()  # 1 - c, exact also where it is small
    with np.errstate(divide="ignore"):
        inside: NDArray[np.float64] = np.log(left) - math.log1p(-top_p)
    inside[0] = math.inf
    return inside


def _entropy(
    token_ids: ArrayLike, logprobs: ArrayLike, temperature: float, top_p: float, top_k: int
) -> float:
    _, values = _candidates(token_ids, logprobs, temperature, top_k)
    if top_p != 1.0:
        values = values[_inside(values, top_p) > 0.0]
    values = values[values > -math.inf] - values[0]
    weights = np.exp(values)
    total = weights.sum()
    return float(np.log(total) - (weights * values).sum() / total)
