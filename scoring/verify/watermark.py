"""A watermark: who chose these tokens liked those that a secret key calls green.

The key and the tokens just before split the vocabulary: a share of it is green there. A sampler
adds `BIAS` to the green ones' log-probabilities; whoever knows the key counts how many green tokens
a text has, beyond chance. (Kirchenbauer et al., "A watermark for large language models", 2023;
which token is green is drawn for each by itself here.) To the bit, integers little endian:

    h      BLAKE2b-64 of u32(context tokens) || u32 of each || u32(token), keyed with the key,
           personal "watermark/1"                                            read as u64
    green  h < floor(share * 2**64)

It is for attribution, whose text this is, and never the only ground for a penalty. An honest miner
cannot be asked to bear somebody's mark by accident, but whoever quotes marked text does; paraphrase
takes the mark away; text with nothing to choose takes none. Nothing here tells which model wrote.
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

CHECK = "watermark"

BIAS = 2.0
"""Nats that a sampler adds to green tokens."""

SHARE = 0.25
"""Of the vocabulary that is green."""

CONTEXT = 1
"""Tokens before it that decide which are green. More of them are harder to learn, and a text that
is changed a little loses more of its mark."""

MOST_TOKENS = 1 << 16
"""Longer texts are not looked at."""

LEAST_SCORED = 16
"""Different runs of tokens that a text needs: fewer say next to nothing."""

MOST_ID = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Floor:
    """The z of texts that nobody marked, of the kind that is looked at, under this very key.

    A key is unlucky with some turns of phrase; text from templates repeats them from one answer to
    the next, and with them the false alarm.
    """

    z: Sample


def green(
    key: bytes, context: Sequence[int], token_ids: ArrayLike, share: float = SHARE
) -> NDArray[np.bool_]:
    """Return which of `token_ids` are green after `context` (its last `CONTEXT` count), shape (k,).

    Raises ValueError for a key that is not of 16 to 64 bytes, a share outside (0, 1) or ids that
    are no u32.
    """
    if not 16 <= len(key) <= 64 or not 0.0 < share < 1.0:
        raise ValueError(f"a key of {len(key)} bytes, of 16 to 64, and a share of {share}")
    before = list(context[-CONTEXT:])
    ids = np.asarray(token_ids, dtype=np.int64).tolist()
    if not all(0 <= token <= MOST_ID for token in (*before, *ids)):
        raise ValueError("a token id is no u32")
    start = hashlib.blake2b(
        struct.pack(f"<{1 + len(before)}I", len(before), *before),
        digest_size=8,
        key=key,
        person=b"watermark/1",
    )
    bound = math.floor(share * 2.0**64)
    found = []
    for token in ids:
        hashed = start.copy()
        hashed.update(struct.pack("<I", token))
        found.append(int.from_bytes(hashed.digest(), "little") < bound)
    return np.array(found, dtype=np.bool_)


def marked(
    key: bytes, context: Sequence[int], token_ids: ArrayLike, logprobs: ArrayLike
) -> NDArray[np.float64]:
    """Return `logprobs` with `BIAS` added to the green tokens', shape (k,); not normalised."""
    values = np.asarray(logprobs, dtype=np.float64)
    return np.asarray(values + BIAS * green(key, context, token_ids), dtype=np.float64)


def verify(
    token_ids: Sequence[int], key: bytes, floor: Floor | None = None, share: float = SHARE
) -> Statement:
    """Return how far a text bears the mark of `key`; above 0 speaks for it.

    p is the chance of so many green tokens in a text written without the key, exact over all keys
    (binomial), and with a floor no less than that of its z in there. Invalid: no list of token ids.
    Unknown: fewer than `LEAST_SCORED` different runs. Raises ValueError as `green` does.
    """
    wrong = _fault(token_ids)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, wrong)
    hits, scored = count(token_ids, key, share)
    if scored < LEAST_SCORED:
        return Statement(CHECK, Outcome.UNKNOWN, f"{scored} different runs of tokens")
    z = (hits - share * scored) / math.sqrt(scored * share * (1.0 - share))
    p = chance(hits, scored, share)
    if floor is not None:
        p = max(p, floor.z.p(z))
    return measured(CHECK, [Measure("z", z, p)], f"{hits} of {scored} green, z {z:.2f}, p {p:.2g}")


def count(token_ids: Sequence[int], key: bytes, share: float = SHARE) -> tuple[int, int]:
    """Return (green, all) of the different runs of `CONTEXT` + 1 tokens.

    A run that comes again is green again, and says nothing more: counted each time, a boilerplate
    text is marked by chance, and often.
    """
    runs = {tuple(token_ids[at : at + CONTEXT + 1]) for at in range(len(token_ids) - CONTEXT)}
    hits = sum(bool(green(key, run[:-1], [run[-1]], share)[0]) for run in runs)
    return hits, len(runs)


def chance(hits: int, scored: int, share: float) -> float:
    """Return P(a binomial of `scored` and `share` is `hits` or more), in (0, 1]."""
    if hits <= 0:
        return 1.0
    logs = [
        math.lgamma(scored + 1)
        - math.lgamma(k + 1)
        - math.lgamma(scored - k + 1)
        + k * math.log(share)
        + (scored - k) * math.log1p(-share)
        for k in range(hits, scored + 1)
    ]
    # Of a very long and very green text nothing is left in a double.
    return min(1.0, max(math.exp(float(np.logaddexp.reduce(logs))), 1e-300))


def _fault(token_ids: Sequence[int]) -> str | None:
    if not isinstance(token_ids, (list, tuple)) or len(token_ids) > MOST_TOKENS:
        return f"no list of at most {MOST_TOKENS} tokens"
    for at, token in enumerate(token_ids):
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token <= MOST_ID:
            return f"token {at} is no token id"
    return None
