"""Activation proofs: the bytes by hand and by Lagrange, noise, other models, forgeries."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.verify import toploc
from scoring.verify.statement import Outcome, Sample, Statement, total

HIDDEN = 576
WEIRD = [0.0, -0.0, 1e-40, -1e-45, 3e38, 0.1, -0.1, 1.0, 1.00390625, 1.01171875]


def activations(seed: int, tokens: int = 32) -> NDArray[np.float32]:
    """A few large directions and much that is small, as in hidden states."""
    rng = np.random.default_rng(seed)
    scale = np.exp(np.random.default_rng(0).normal(size=HIDDEN))
    return np.asarray(rng.normal(size=(tokens, HIDDEN)) * scale, dtype=np.float32)


def noisy(values: NDArray[np.float32], seed: int, noise: float = 0.005) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.asarray(values * (1 + noise * rng.normal(size=values.shape)), dtype=np.float32)


def floor() -> toploc.Floor:
    rows = []
    for seed in range(60):
        mine = activations(seed, 40)
        chunks = zip(toploc.prove_all(noisy(mine, seed + 1)), (mine[:32], mine[32:]), strict=True)
        compared = [toploc.compare(proof, chunk) for proof, chunk in chunks]
        rows.append([max(column) for column in zip(*compared, strict=True)])
    exponents, mantissas = zip(*rows, strict=True)
    return toploc.Floor(Sample(exponents), Sample(mantissas))


FLOOR = floor()


def nats(said: Statement) -> float:
    assert said.outcome is Outcome.MEASURED and said.log_ratio is not None
    return said.log_ratio


def test_a_proof_by_hand() -> None:
    """Largest are 3 at place 3 (0x4040) and -2 at place 1 (0xc000).

    The slope is (16448 - 49152) / 2 = -16352 = 49145, the constant 49152 - 49145 = 7.
    """
    proof = toploc.prove(np.array([[1.0, -2.0], [0.5, 3.0]]), k=2)
    assert proof == bytes.fromhex("ffd90007bff9")


def bfloat16(value: float) -> int:
    """The bits by exact arithmetic: the nearer of two neighbours, ties to the even one."""
    low: int = struct.unpack(">I", struct.pack(">f", value))[0] >> 16
    ends = [struct.unpack(">f", struct.pack(">I", bits << 16))[0] for bits in (low, low + 1)]
    if math.isinf(ends[1]):
        ends[1] = math.copysign(2.0**128, value)
    below, above = (abs(Fraction(end) - Fraction(value)) for end in ends)
    if below == above:
        return low + (low & 1)
    return low if below < above else low + 1


@given(st.lists(st.sampled_from(WEIRD) | st.floats(-1e6, 1e6, width=32), min_size=5, max_size=9))
def test_proofs_are_what_their_specification_says(values: list[float]) -> None:
    k = 5
    array = np.array([values], dtype=np.float32)
    bits = [bfloat16(float(value)) for value in array[0]]
    top = sorted(range(len(bits)), key=lambda i: (-(bits[i] & 0x7FFF), i))[:k]
    proof = toploc.prove(array, k)
    modulus, *coefficients = struct.unpack(f">{k + 1}H", proof)
    assert modulus == 65497
    lagrange = [0] * k
    for i in top:
        basis, scale = [1], bits[i]
        for j in top:
            if j != i:
                basis = [
                    (low - j * high) % 65497
                    for low, high in zip([0, *basis], [*basis, 0], strict=True)
                ]
                scale = scale * pow(i - j, -1, 65497) % 65497
        lagrange = [(a + scale * b) % 65497 for a, b in zip(lagrange, basis, strict=True)]
    assert coefficients == lagrange
    assert toploc.compare(proof, array, k) == (0.0, 0.0)


def test_ties_go_to_the_lower_place() -> None:
    same = np.array([[1.0, -1.0, 1.001, 1.0]])  # alike in bfloat16 but for the sign
    assert toploc.prove(same, k=2) == toploc.prove(np.array([[1.0, -1.0]]), k=2)


def test_places_that_meet_under_the_modulus_are_kept_apart() -> None:
    values = np.full((32, 4096), 0.001, dtype=np.float32)
    values.flat[[5, 5 + 65497, 77]] = [9.0, -8.0, 7.0]
    proof = toploc.prove(values, k=3)
    assert struct.unpack(">H", proof[:2])[0] == 65496
    assert toploc.compare(proof, values, k=3) == (0.0, 0.0)


def test_honest_noise_weighs_against_nobody_and_ties_hardly_matter() -> None:
    said = [
        toploc.verify(toploc.prove_all(noisy(mine, seed + 1)), mine, FLOOR)
        for seed in range(1000, 1020)
        for mine in [activations(seed, 40)]
    ]
    assert total(said, invalid=math.nan, unknown=math.nan) < 0


def forged(kind: str, seed: int) -> tuple[bytes, ...]:
    mine = activations(seed, 40)
    match kind:
        case "another answer":
            return toploc.prove_all(activations(seed + 500, 40))
        case "one chunk of two":
            return (toploc.prove_all(mine)[0], toploc.prove_all(activations(seed + 500, 40))[1])
        case "quantised":
            return toploc.prove_all(noisy(mine, seed + 1, 0.1))
        case "negated":
            return toploc.prove_all(-mine)
        case "scaled":
            return toploc.prove_all(mine * np.float32(2.0))
        case "the likeliest value everywhere":
            large = np.sort(np.abs(mine[:32]), axis=None)[-64]
            bits = int(np.float32(large).view(np.uint32) >> 16)
            constant = struct.pack(">HH", 65497, bits) + bytes(2 * toploc.K - 2)
            return (constant, constant)
    raise AssertionError(kind)


FORGED = [
    "another answer",
    "one chunk of two",
    "quantised",
    "negated",
    "scaled",
    "the likeliest value everywhere",
]


@pytest.mark.parametrize("kind", FORGED)
def test_forgeries_weigh_against_whoever_sends_them(kind: str) -> None:
    said = [
        toploc.verify(forged(kind, seed), activations(seed, 40), FLOOR)
        for seed in range(2000, 2010)
    ]
    assert min(map(nats, said)) > 0.5
    assert total(said, invalid=math.nan, unknown=math.nan) > math.log(1000)


def test_an_answer_is_as_bad_as_its_worst_chunk() -> None:
    mine = activations(3, 64)
    halves = (mine[:32], mine[32:])
    for noises in ((0.001, 0.05), (0.05, 0.001)):
        proofs = [toploc.prove(noisy(h, 4, n)) for h, n in zip(halves, noises, strict=True)]
        rows = [toploc.compare(p, h) for p, h in zip(proofs, halves, strict=True)]
        assert rows[0][0] != rows[1][0] and rows[0][1] != rows[1][1]
        said = toploc.verify(proofs, mine, FLOOR)
        worst = tuple(max(column) for column in zip(*rows, strict=True))
        assert tuple(measure.value for measure in said.measures) == worst


def test_where_nothing_agrees_the_mantissas_are_as_bad_as_can_be() -> None:
    mine = activations(1)
    assert toploc.compare(toploc.prove(mine * np.float32(4.0)), mine) == (1.0, 128.0)


GOOD = toploc.prove(activations(1))


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        (b"", "258 bytes"),
        (GOOD[:-1], "258 bytes"),
        (GOOD + b"\0", "258 bytes"),
        (bytes(258), "a modulus of 0"),
        (b"\x80\x00" + GOOD[2:], "a modulus of 32768"),
        (b"\xff\xda" + GOOD[2:], "a modulus of 65498"),
        (GOOD[:2] + b"\xff\xd9" + GOOD[4:], "outside the field"),
        (GOOD.hex(), "258 bytes"),
        (None, "258 bytes"),
    ],
)
def test_what_is_no_proof_is_invalid(proof: bytes, why: str) -> None:
    said = toploc.verify([proof], activations(1), FLOOR)
    assert said.outcome is Outcome.INVALID
    assert why in said.reason
    with pytest.raises(ValueError, match=why):
        toploc.compare(proof, activations(1))


def test_a_proof_for_every_chunk_and_no_more() -> None:
    wrong: list[Any] = [(), (GOOD, GOOD), (GOOD,) * 10_000, None, GOOD, "x", {GOOD: GOOD}]
    for proofs in wrong:
        assert toploc.verify(proofs, activations(1), FLOOR).outcome is Outcome.INVALID
    assert toploc.verify((), activations(1)[:0], FLOOR).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3.4e38, 1e300])
def test_activations_that_are_no_numbers_prove_nothing(value: float) -> None:
    broken = activations(1).astype(np.float64)
    broken[3, 5] = value
    assert toploc.verify([GOOD], broken, FLOOR).outcome is Outcome.UNKNOWN
    with pytest.raises(toploc.NoProof):
        toploc.prove(broken)
    with pytest.raises(toploc.NoProof):
        toploc.prove(activations(1).ravel()[:127])


@given(st.binary(min_size=258, max_size=258) | st.binary(max_size=300))
def test_random_proofs_neither_crash_it_nor_pass(proof: bytes) -> None:
    said = toploc.verify([proof], activations(1), FLOOR)
    assert said.outcome is Outcome.INVALID or nats(said) > 0.5
