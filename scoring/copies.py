"""Answers that are the same, or nearly so, from miners who should have found them each alone.

Only for questions that many different answers can meet: two honest miners who sum the same numbers,
or run the same model with the same seed, agree. Texts are compared by the words they have in a row;
who says the same in other words is not seen. And who copied whom no text can tell: only the order
in which answers were fixed can, see `first`.
"""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.exact import Unreadable, fold

K = TypeVar("K", bound=Hashable)

HASHES = 128
"""Of a sketch. The likeness it tells has a standard error of at most 1 / (2 sqrt(128)) = 0.044."""
SLACK = 0.2
"""Pairs that a sketch puts so far below are compared whole: exp(-2 * 128 * 0.2**2) = 4e-5."""


@dataclass(frozen=True, slots=True)
class Pair(Generic[K]):
    """`likeness` is the share of the two answers' shingles that both have (Jaccard), in 0..1."""

    a: K
    b: K
    likeness: float


def shingles(text: str, words: int = 3) -> frozenset[str]:
    """Return every run of `words` words, folded as `scoring.exact.same_text` folds them.

    A shorter text is one run; one without any word, or that cannot be read, has none.
    """
    if words < 1:
        raise ValueError(f"words is {words}; it must be 1 or more")
    try:
        folded = fold(text)
    except Unreadable:
        return frozenset()
    units = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split()
    if len(units) < words:
        return frozenset({" ".join(units)} if units else ())
    return frozenset(" ".join(units[n : n + words]) for n in range(len(units) - words + 1))


def alike(answers: Mapping[K, str], least: float, *, key: bytes, words: int = 3) -> list[Pair[K]]:
    """Return the pairs of answers with a likeness of `least` (above 0, up to 1) or more.

    The most alike first. `key` is secret and drawn anew: sketches (MinHash: Broder, "On the
    resemblance and containment of documents", 1997) say which pairs to compare whole, and whoever
    knew the key could write around them. A pair at or above `least` is missed with chance 4e-5 at
    most. Answers without words are like nobody's: silence is no copy.
    """
    if not 0.0 < least <= 1.0:
        raise ValueError(f"least is {least}, not above 0 and up to 1")
    if not key:
        raise ValueError("a key that everybody knows is none")
    sets = {name: found for name, text in answers.items() if (found := shingles(text, words))}
    names = list(sets)
    if len(names) < 2:
        return []
    numbers = random.Random(key)
    odd = np.array([numbers.getrandbits(64) | 1 for _ in range(HASHES)], dtype=np.uint64)
    plus = np.array([numbers.getrandbits(64) for _ in range(HASHES)], dtype=np.uint64)
    digest_key = hashlib.blake2b(key, digest_size=32).digest()
    sketches = np.stack([_sketch(sets[name], odd, plus, digest_key) for name in names])
    pairs = []
    for i, j in combinations(range(len(names)), 2):
        if float((sketches[i] == sketches[j]).mean()) < least - SLACK:
            continue
        a, b = sets[names[i]], sets[names[j]]
        shared = len(a & b)
        likeness = shared / (len(a) + len(b) - shared)
        if likeness >= least:
            pairs.append(Pair(names[i], names[j], likeness))
    return sorted(pairs, key=lambda pair: -pair.likeness)


def _sketch(
    found: frozenset[str], odd: NDArray[np.uint64], plus: NDArray[np.uint64], key: bytes
) -> NDArray[np.uint64]:
    digests = b"".join(
        hashlib.blake2b(shingle.encode(), digest_size=8, key=key).digest() for shingle in found
    )
    hashed = np.frombuffer(digests, dtype=np.uint64)
    least = np.full(HASHES, np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(hashed), 4096):  # a long answer must not take memory with it
        part = hashed[None, start : start + 4096]
        # Modulo 2**64 on purpose; the upper half of the product is the well mixed one.
        least = np.minimum(least, ((odd[:, None] * part + plus[:, None]) >> np.uint64(32)).min(1))
    return least


def groups(pairs: Iterable[Pair[K]]) -> list[frozenset[K]]:
    """Return who hangs together by pairs, the largest group first.

    Likeness is not transitive: at the two ends of a chain answers may differ. Where that would cost
    somebody something, look at the pairs.
    """
    of: dict[K, set[K]] = {}
    for pair in pairs:
        joined = of.get(pair.a, {pair.a}) | of.get(pair.b, {pair.b})
        of.update(dict.fromkeys(joined, joined))
    found = {id(group): frozenset(group) for group in of.values()}
    return sorted(found.values(), key=len, reverse=True)


def first(group: Iterable[K], fixed_at: Mapping[K, float], slack: float) -> K | None:
    """Return who of `group` fixed its answer first, None where that cannot be told.

    `fixed_at` is when each one's commitment (a hash of answer, hotkey and salt) was seen, in blocks
    or seconds; without the hotkey in it a commitment can be copied too. The first must be ahead of
    every other by more than `slack`, the error of those times. The moment an answer arrived is no
    such time: a relay on a fast line overtakes its source. One who has no time could have been
    first, so nobody is.
    """
    keys = list(group)
    if not keys or any(key not in fixed_at for key in keys):
        return None
    in_order = sorted(keys, key=lambda key: fixed_at[key])
    if len(in_order) > 1 and not fixed_at[in_order[1]] - fixed_at[in_order[0]] > slack:
        return None
    return in_order[0]
