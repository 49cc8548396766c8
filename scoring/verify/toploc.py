"""Activation proofs by TOPLOC's scheme: the largest hidden values of an answer, as a polynomial.

A miner sends, for every chunk of tokens, a polynomial through the points (place, value) of the k
largest last-layer activations. A judge prefills the answer with its own model and evaluates the
polynomial at its own k places. Where both ran one model the values differ by arithmetic; otherwise
they have nothing to do with each other. (Ong et al., arXiv 2501.16007. The bytes are theirs; the
rules for ties, signs and what is malformed are ours.)

The proof of a chunk of activations, shape (tokens, hidden), to the bit:

    v      each float32 as bfloat16, rounded to nearest, ties to even; flattened row by row
    top    the K places of the largest |v|; of values alike in size, the lower place first
    m      the largest modulus <= P that keeps the places apart; above LEAST_MODULUS
    f      the polynomial of degree < K over GF(P), f(place mod m) = the 16 bits of v there
    proof  u16(m), then u16 of K coefficients, the constant first        (big endian)

P = 65497 is prime and above the bits of every finite bfloat16 (at most 0xff7f), so each has its
own residue. Many values of a chunk are alike in bfloat16, and other arithmetic swaps them: never
compare proofs as bytes.

It binds the hidden states of a text, not who wrote the text: the right model run in prefill over a
cheaper one's answer gives a good proof. Nor does it bind the question; the judge prefills the one
it asked.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.verify.statement import Measure, Outcome, Sample, Statement, measured

CHECK = "toploc"

P = 65497
"""The field: the prime below 2**16 that the published scheme uses."""

LEAST_MODULUS = 1 << 15
"""A smaller modulus would let one polynomial of a few values stand for any places."""

CHUNK = 32
"""Tokens to a proof."""

K = 128
"""Places to a proof."""

MANTISSA_CLIP = 128.0
"""What a mean mantissa difference is called where no exponent agrees; any other is below."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The measures of many honest answers, per model, precision, pair of engines and length."""

    exponents: Sample
    """Of the worst chunk: share of the places whose sign or exponent differs, 0..1."""
    mantissas: Sample
    """Of the worst chunk: mean difference of the 7-bit mantissas where they do not."""


class NoProof(ValueError):
    """These activations have none: too few values, or one that is not finite."""


def prove(activations: NDArray[np.floating], k: int = K) -> bytes:
    """Return the proof of one chunk of activations, shape (tokens, hidden): 2 + 2 `k` bytes.

    Raises NoProof for fewer than `k` values, NaN, infinity, or places that no modulus keeps apart.
    """
    places, bits = _top(activations, k)
    modulus = _modulus(places)
    coefficients = _interpolate(places % modulus, bits)
    return struct.pack(f">{k + 1}H", modulus, *coefficients.tolist())


def prove_all(
    activations: NDArray[np.floating], chunk: int = CHUNK, k: int = K
) -> tuple[bytes, ...]:
    """Return the proofs of an answer's activations, shape (tokens, hidden), one per `chunk`."""
    return tuple(prove(activations[at : at + chunk], k) for at in range(0, len(activations), chunk))


def compare(proof: bytes, activations: NDArray[np.floating], k: int = K) -> tuple[float, float]:
    """Return (share of signs or exponents that differ, mean mantissa difference of the others).

    Raises ValueError for a malformed proof and NoProof for activations that have none.
    """
    wrong = fault(proof, k)
    if wrong is not None:
        raise ValueError(wrong)
    modulus, *coefficients = struct.unpack(f">{k + 1}H", proof)
    places, bits = _top(activations, k)
    claimed = _evaluate(coefficients, places % modulus)
    apart = claimed >> 7 != bits >> 7
    if apart.all():
        return 1.0, MANTISSA_CLIP
    differences = np.abs((claimed & 0x7F) - (bits & 0x7F))[~apart]
    return float(apart.mean()), float(differences.mean())


def fault(proof: bytes, k: int = K) -> str | None:
    """Return what is malformed about a proof, or None."""
    if not isinstance(proof, bytes) or len(proof) != 2 + 2 * k:
        return f"a proof is {2 + 2 * k} bytes"
    modulus, *coefficients = struct.unpack(f">{k + 1}H", proof)
    if not LEAST_MODULUS < modulus <= P:
        return f"a modulus of {modulus}"
    return "a coefficient outside the field" if max(coefficients) >= P else None


def verify(
    proofs: Sequence[bytes],
    activations: NDArray[np.floating],
    floor: Floor,
    chunk: int = CHUNK,
    k: int = K,
) -> Statement:
    """Return what the proofs of an answer say, given the judge's own activations of that answer.

    Invalid: proofs malformed, or too few or many. Unknown: activations that have no proof.
    """
    expected = -(-len(activations) // chunk)
    if not isinstance(proofs, (list, tuple)) or len(proofs) != expected:
        return Statement(CHECK, Outcome.INVALID, f"not one proof for each of {expected} chunks")
    if not expected:
        return Statement(CHECK, Outcome.UNKNOWN, "no activations")
    for at, proof in enumerate(proofs):
        wrong = fault(proof, k)
        if wrong is not None:
            return Statement(CHECK, Outcome.INVALID, f"chunk {at}: {wrong}")
    try:
        found = measure(proofs, activations, chunk, k)
    except NoProof as error:
        return Statement(CHECK, Outcome.UNKNOWN, f"the judge's activations: {error}")
    samples = {"exponents": floor.exponents, "mantissas": floor.mantissas}
    return measured(
        CHECK, [Measure(name, found[name], kept.p(found[name])) for name, kept in samples.items()]
    )


def measure(
    proofs: Sequence[bytes],
    activations: NDArray[np.floating],
    chunk: int = CHUNK,
    k: int = K,
) -> dict[str, float]:
    """Return the measures of an answer's proofs, each of its worst chunk; a floor is made of these.

    One proof for each chunk, one chunk or more. Raises as `compare` does.
    """
    compared = [
        compare(proof, activations[at * chunk : (at + 1) * chunk], k)
        for at, proof in enumerate(proofs)
    ]
    return {
        "exponents": max(row[0] for row in compared),
        "mantissas": max(row[1] for row in compared),
    }


def _top(activations: NDArray[np.floating], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of the `k` largest values, and their bfloat16 bits, both (k,)."""
    with np.errstate(over="ignore"):  # a double too large becomes infinity, and is refused
        single = np.ascontiguousarray(activations, dtype=np.float32).ravel()
    if single.size < k or not np.isfinite(single).all():
        raise NoProof(f"{single.size} values for {k} places, or one not finite")
    raw = single.view(np.uint32).astype(np.int64)
    bits = (raw + 0x7FFF + (raw >> 16 & 1)) >> 16
    size = bits & 0x7FFF
    if size.max() >= 0x7F80:
        raise NoProof("a value that bfloat16 rounds to infinity")
    # Only what is as large as the k-th need be sorted; all its equals, for the tie rule.
    kth = np.partition(size, size.size - k)[size.size - k]
    large = np.flatnonzero(size >= kth)
    places = large[np.argsort(-size[large], kind="stable")][:k]
    return places, bits[places]


def _modulus(places: NDArray[np.int64]) -> int:
    for modulus in range(P, LEAST_MODULUS, -1):
        if np.unique(places % modulus).size == places.size:
            return modulus
    raise NoProof("no modulus keeps the places apart")


@functools.cache
def _inverses() -> NDArray[np.int64]:
    """The inverse of every element of the field; of 0, which has none, 0."""
    found = [0, 1]
    for x in range(2, P):
        found.append((P - P // x) * found[P % x] % P)
    return np.array(found, dtype=np.int64)


def _interpolate(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Coefficients over GF(P), the constant first, of the polynomial through (x, y); Newton."""
    inverse = _inverses()
    divided = y % P
    for step in range(1, x.size):
        run = (x[step:] - x[:-step]) % P
        divided[step:] = (divided[step:] - divided[step - 1 : -1]) * inverse[run] % P
    # Horner over (x - x_i): from the last divided difference to the first.
    coefficients = np.zeros(x.size, dtype=np.int64)
    for at in range(x.size - 1, -1, -1):
        shifted = np.concatenate([[0], coefficients[:-1]])
        coefficients = (shifted - x[at] * coefficients) % P
        coefficients[0] = (coefficients[0] + divided[at]) % P
    return coefficients


def _evaluate(coefficients: Sequence[int], x: NDArray[np.int64]) -> NDArray[np.int64]:
    values = np.zeros(x.size, dtype=np.int64)
    for coefficient in reversed(coefficients):
        values = (values * x + coefficient) % P
    return values
