"""Seed-locked sampling: what a model says is fixed by a seed, so saying it proves the work.

The sampler adds noise keyed by (seed, hotkey, position, token id) to the log-probabilities and
takes the largest. A judge with the same model steps along the answer and measures the margin by
which each token lost to the one the seed prescribed. Nothing that a miner reports is used.

The noise, to the bit, so that any language can make it (all integers little endian):

    key = BLAKE2b-256(u32(len(seed)) || seed || u32(len(hotkey)) || hotkey), personal "seedlock/1"
    h   = BLAKE2b-64(u32(position) || u32(token id)), keyed with key      read as u64
    u   = ((h >> 12) + 0.5) * 2^-52                                       exact, never 0 or 1
    g   = -ln(-ln u)                                                      Gumbel(0, 1)

(BLAKE2b as in RFC 7693; "personal" is its parameter of that name, padded with zeros.) The two
logarithms are IEEE doubles: another library's last bit moves a margin by about 1e-15.

The figures behind the constants are in docs/seedlock-calibration.md; benchmarks/seedlock.py
measures them again.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


class Step(Protocol):
    """One token of an answer as the judge's own model saw it."""

    @property
    def token(self) -> int:
        """The token the answer has here."""

    @property
    def logprob(self) -> float:
        """Its log-probability at temperature 1, also when it is not among the likeliest."""

    @property
    def top_ids(self) -> NDArray[np.int64]:
        """Ids of the likeliest tokens, shape (k,)."""

    @property
    def top_logprobs(self) -> NDArray[np.float64]:
        """Their log-probabilities at temperature 1, nats, shape (k,)."""


def noise(seed: bytes, hotkey: bytes, position: int, token_ids: ArrayLike) -> NDArray[np.float64]:
    """Return the Gumbel(0, 1) noise of `token_ids` at `position` (0 = first answer token), (k,)."""
    key = hashlib.blake2b(
        struct.pack("<I", len(seed)) + seed + struct.pack("<I", len(hotkey)) + hotkey,
        digest_size=32,
        person=b"seedlock/1",
    ).digest()
    at = struct.pack("<I", position)
    hashes = b"".join(
        hashlib.blake2b(at + struct.pack("<I", token), digest_size=8, key=key).digest()
        for token in np.asarray(token_ids, dtype=np.int64).tolist()
    )
    # 52 bits, not 53: with 53 the half is rounded away at the top, and u becomes 1.
    u = ((np.frombuffer(hashes, dtype="<u8") >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    gumbel: NDArray[np.float64] = -np.log(-np.log(u))
    return gumbel


def choose(
    token_ids: ArrayLike,
    logprobs: ArrayLike,
    seed: bytes,
    hotkey: bytes,
    position: int,
    temperature: float,
) -> int:
    """Return the token the seed prescribes: the largest of logprob / temperature + noise.

    `token_ids` and `logprobs` are the model's `TOP` likeliest, both (k,), at temperature 1; a tie
    goes to the lower id. Raises ValueError without tokens or with a temperature of 0 or below.
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    noisy = _noisy(ids, logprobs, seed, hotkey, position, temperature)
    return int(ids[noisy == noisy.max()].min())


def margin(step: Step, seed: bytes, hotkey: bytes, position: int, temperature: float) -> float:
    """Return by how many nats the token of `step` lost to what the seed prescribed; 0 if it won.

    The token's own log-probability counts, also outside the likeliest: an honest token that fell
    out of them by a hair of arithmetic has lost a hair, not everything.
    """
    best = _noisy(step.top_ids, step.top_logprobs, seed, hotkey, position, temperature).max()
    own = _noisy([step.token], [step.logprob], seed, hotkey, position, temperature)[0]
    return max(0.0, float(best - own))


def margins(
    steps: Sequence[Step], seed: bytes, hotkey: bytes, temperature: float
) -> NDArray[np.float64]:
    """Return the margin of every token of an answer, shape (len(steps),)."""
    return np.array(
        [margin(step, seed, hotkey, at, temperature) for at, step in enumerate(steps)],
        dtype=np.float64,
    )


def score(margins: ArrayLike, information: float = math.inf) -> float:
    """Return 0..1 for the margins of one answer's tokens: 1 if the seed was followed; 0 if empty.

    1 / (1 + (m / HALF_SCORE_MARGIN) ** STEEPNESS), m the mean of the margins clipped at
    `MARGIN_CLIP`. Flat near 0, so that other arithmetic costs an honest miner next to nothing.
    With the `information` of the answer itself (nats, `seed_information` of its steps) the mean is
    over no more tokens than `NATS_A_TOKEN` makes of it. No margins are always worth 1.
    """
    clipped = np.minimum(np.asarray(margins, dtype=np.float64), MARGIN_CLIP)
    if clipped.size == 0:
        return 0.0
    tokens = min(max(clipped.size, SHORT_ANSWER), information / NATS_A_TOKEN)
    mean = float(clipped.sum()) / max(tokens, 0.1)
    return 1.0 / (1.0 + (mean / HALF_SCORE_MARGIN) ** STEEPNESS)


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
) -> float:
    """Return 0..1 for an answer asked to have `length` tokens, stepped by the judge's own model.

    0 if it is incomplete, or ends early where the seed did not say so: short answers hold few
    margins, and ending at once would be the cheapest way to have none.
    """
    if not is_complete([step.token for step in steps], length, end_token):
        return 0.0
    measured = margins(steps, seed, hotkey, temperature)
    if len(steps) < length and measured[-1] > END_MARGIN:
        return 0.0
    return score(measured, seed_information(steps, temperature))


def seed_information(steps: Sequence[Step], temperature: float) -> float:
    """Return how many nats of choice the seed had along an answer.

    The sum over the steps of the entropy of softmax(top logprobs / temperature). Where it is
    small every seed prescribes the same text, so following the seed proves nothing.
    """
    return math.fsum(_entropy(step.top_logprobs, temperature) for step in steps)


def _entropy(logprobs: ArrayLike, temperature: float) -> float:
    tempered = np.asarray(logprobs, dtype=np.float64) / temperature
    tempered = tempered - tempered.max()
    weights = np.exp(tempered)
    total = weights.sum()
    return float(np.log(total) - (weights * tempered).sum() / total)


def _noisy(
    token_ids: ArrayLike,
    logprobs: ArrayLike,
    seed: bytes,
    hotkey: bytes,
    position: int,
    temperature: float,
) -> NDArray[np.float64]:
    values = np.asarray(logprobs, dtype=np.float64)
    if values.size == 0:
        raise ValueError("the seed has no tokens to choose among")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return values / temperature + noise(seed, hotkey, position, token_ids)
