"""Fixed-point arithmetic against exact fractions and the runtime's own numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.runtime.fixed import (
    I32F32,
    I64F64,
    I96F32,
    U16_MAX,
    U64_MAX,
    U64F64,
    U96F32,
    Fixed,
    exp_safe,
    is_max_limited,
    max_upscale_to_u16,
    u16_of_proportion,
)

FORMATS = {
    "I32F32": (I32F32, -(2**63), 2**63 - 1),
    "I64F64": (I64F64, -(2**127), 2**127 - 1),
    "I96F32": (I96F32, -(2**127), 2**127 - 1),
    "U96F32": (U96F32, 0, 2**128 - 1),
    "U64F64": (U64F64, 0, 2**128 - 1),
}
every_format = pytest.mark.parametrize(
    ("fixed", "low", "high"), FORMATS.values(), ids=FORMATS.keys()
)


def real(fixed: Fixed, raw: int) -> Fraction:
    return Fraction(raw, fixed.ONE)


def raws(fixed: Fixed) -> st.SearchStrategy[int]:
    near_one = st.integers(max(fixed.MIN, -4 * fixed.ONE), 4 * fixed.ONE)
    return st.one_of(near_one, st.integers(fixed.MIN, fixed.MAX))


@every_format
def test_ends(fixed: Fixed, low: int, high: int) -> None:
    assert (fixed.MIN, fixed.MAX) == (low, high)
    assert fixed.of(3) == 3 * fixed.ONE
    assert fixed.of(2**200) == high
    assert fixed.of(-(2**200)) == low
    assert fixed.add(high, 1) == high
    assert fixed.sub(low, 1) == low
    assert fixed.mul(high, 2 * fixed.ONE) == high


@every_format
def test_division_by_zero_and_overflow(fixed: Fixed, low: int, high: int) -> None:
    with pytest.raises(ZeroDivisionError):
        fixed.div(1, 0)
    assert fixed.checked_div(1, 0) is None
    assert fixed.safe_div(fixed.ONE, 0) == 0
    assert fixed.safe_div(fixed.ONE, 0, default=7) == 7
    assert fixed.div(high, 1) == high
    assert fixed.checked_div(high, 1) is None
    assert fixed.safe_div(high, 1, default=7) == 7
    assert fixed.ratio(1, 0) == 0
    assert fixed.ratio(1, 4) == fixed.ONE // 4


@pytest.mark.parametrize("fixed", [I32F32, U64F64], ids=["I32F32", "U64F64"])
@given(data=st.data())
def test_arithmetic_is_exact_then_rounded_then_saturated(fixed: Fixed, data: st.DataObject) -> None:
    a, b = data.draw(raws(fixed)), data.draw(raws(fixed))

    def stored(value: int) -> int:
        return min(max(value, fixed.MIN), fixed.MAX)

    x, y = real(fixed, a), real(fixed, b)
    assert fixed.mul(a, b) == stored(math.floor(x * y * fixed.ONE))
    if b:
        assert fixed.div(a, b) == stored(math.trunc(x / y * fixed.ONE))
    assert fixed.to_int(a) == math.floor(x)
    assert fixed.floor(a) == math.floor(x) * fixed.ONE
    nearest = math.floor(abs(x) + Fraction(1, 2))
    assert fixed.round(a) == stored((nearest if x >= 0 else -nearest) * fixed.ONE)


@every_format
@given(data=st.data())
def test_a_ratio_of_whole_numbers_is_the_quotient_of_their_raw_forms(
    fixed: Fixed, low: int, high: int, data: st.DataObject
) -> None:
    whole = st.integers(-(2**66), 2**130) | st.integers(-3, 3)
    num, den = data.draw(whole), data.draw(whole)
    assert fixed.ratio(num, den) == fixed.safe_div(fixed.of(num), fixed.of(den))


def test_negative_results_round_as_the_runtime_does() -> None:
    assert I32F32.mul(-1, 1) == -1  # toward minus infinity
    assert I32F32.div(-1, I32F32.of(2)) == 0  # toward zero
    assert I32F32.div(I32F32.of(-7), I32F32.of(2)) == I32F32.of_float(-3.5)
    assert I32F32.to_int(-1) == -1
    assert I32F32.convert(-1, I64F64) == -1
    assert I32F32.round(I32F32.of_float(-2.5)) == I32F32.of(-3)


def test_conversions() -> None:
    assert I32F32.convert(I64F64.of_float(0.75), I64F64) == I32F32.of_float(0.75)
    assert I64F64.convert(3, I32F32) == 3 << 32
    assert I32F32.convert(I64F64.of(2**40), I64F64) == I32F32.MAX
    assert U96F32.convert(I96F32.of(-1), I96F32) == 0
    assert I32F32.of_float(2**-33) == 0 and I32F32.of_float(3 * 2**-33) == 2  # ties to even
    assert I96F32.to_u64(-1) == 0
    assert I96F32.to_u64(I96F32.of(2**70)) == U64_MAX
    assert I32F32.to_u16(I32F32.of(70_000)) == U16_MAX
    assert u16_of_proportion(I32F32.ratio(1, 2)) == 32_767
    assert u16_of_proportion(-1) == 0 and u16_of_proportion(I32F32.of(2)) == U16_MAX


@pytest.mark.parametrize("fixed", [I32F32, I64F64], ids=["I32F32", "I64F64"])
def test_transcendentals_are_close(fixed: Fixed) -> None:
    for number in (0.001, 0.3, 0.9999, 1.5, 2.0, 3.0, 4.0, 7.7):
        a = fixed.of_float(number)
        for result, expected, tolerance in [
            (fixed.exp(a), math.exp(number), 1e-6),
            (fixed.exp(-a), math.exp(-number), 1e-6),
            (fixed.log2(a), math.log2(number), 2e-6),
            (fixed.ln(a), math.log(number), 2e-6),
        ]:
            assert result is not None
            assert result / fixed.ONE == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_transcendentals_at_their_edges() -> None:
    assert I32F32.exp(0) == I32F32.ONE
    assert I32F32.exp(I32F32.ONE) == I32F32.of_float(2.71828174591064453125)
    assert I32F32.exp(I32F32.of(22)) is None
    assert I32F32.log2(I32F32.of(8)) == I32F32.of(3)
    assert I32F32.log2(I32F32.ratio(1, 8)) == I32F32.of(-3)
    assert I32F32.log2(0) is None and I32F32.log2(-5) is None and I32F32.log2(1) is None
    assert I32F32.ln(0) is None
    for function in (U64F64.exp, U64F64.log2, U64F64.ln):
        with pytest.raises(TypeError):
            function(U64F64.ONE)


def sigmoid(x: float, rho: int) -> float:
    """1 / (exp(-rho * (x - 1/2)) + 1), the form in which the runtime tests exp."""
    exponent = I32F32.mul(I32F32.of(-rho), I32F32.sub(I32F32.of_float(x), I32F32.ONE // 2))
    return I32F32.div(I32F32.ONE, I32F32.add(exp_safe(exponent), I32F32.ONE)) / I32F32.ONE


@pytest.mark.parametrize(
    ("rho", "x", "expected"),
    [
        (30, 0, 3.057e-7),
        (30, 0.4, 0.0474258729),
        (30, 0.5, 0.5),
        (30, 0.6, 0.952574127),
        (30, 1, 0.9999996943),
        # The runtime has these arguments from single-precision literals.
        (40, float(np.float32(0.1)), 1.125e-7),
        (40, float(np.float32(0.2)), 6.1442e-6),
        (40, float(np.float32(0.3)), 3.353502e-4),
        (40, float(np.float32(0.4)), 0.017986214),
        (40, float(np.float32(0.6)), 0.9820138067),
    ],
)
def test_exp_safe_in_a_sigmoid(rho: int, x: float, expected: float) -> None:
    assert sigmoid(x, rho) == pytest.approx(expected, abs=1e-9)


def test_exp_safe_is_clamped() -> None:
    assert exp_safe(I32F32.of(100)) == exp_safe(I32F32.of(20)) == I32F32.exp(I32F32.of(20))
    assert exp_safe(I32F32.of(-100)) == exp_safe(I32F32.of(-20))


def test_max_upscale() -> None:
    small = [1e-6, 6e-6, 7e-6, 1e-4, 0.001, 0.01, 0.1, 0.2, 0.3, 0.4]
    assert max_upscale_to_u16([I32F32.of_float(value) for value in small]) == [
        *[0, 1, 1, 16, 164, 1_638, 16_384, 32_768, 49_151, 65_535],
    ]
    large = [0, 0.5, 1, 1.5, 2, 32_768, 32_769]
    assert max_upscale_to_u16([I32F32.of_float(value) for value in large]) == [
        *[0, 1, 2, 3, 4, 65_533, 65_535],
    ]
    assert max_upscale_to_u16([0, 0]) == [0, 0]
    assert max_upscale_to_u16([]) == []


@pytest.mark.parametrize(
    ("values", "limit", "allowed"),
    [
        ([0, U16_MAX, U16_MAX], 32_767, False),
        ([0, U16_MAX, U16_MAX], 32_768, True),
        ([0, U16_MAX, U16_MAX, U16_MAX], 21_844, False),
        ([0, U16_MAX, U16_MAX, U16_MAX], 21_845, True),
        ([], 0, True),
        ([0, 0], 0, True),
    ],
)
def test_max_limited(values: list[int], limit: int, allowed: bool) -> None:
    assert is_max_limited(values, limit) == allowed
