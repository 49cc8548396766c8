"""Fixed-point numbers as the runtime computes them, as plain functions on raw integers.

A raw integer is the value times 2^frac_bits; a `Fixed` names the format and holds the arithmetic.
Multiplication floors, division truncates toward zero, and everything saturates at the format's
ends. Raw integers carry no format of their own: mixing formats is the caller's mistake to avoid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

__all__ = [
    "I32F32",
    "I64F64",
    "I96F32",
    "U16_MAX",
    "U64F64",
    "U64_MAX",
    "U96F32",
    "Fixed",
    "exp_safe",
    "is_max_limited",
    "max_upscale_to_u16",
    "u16_of_proportion",
]

U16_MAX = 2**16 - 1
U64_MAX = 2**64 - 1

# The transcendental functions keep e and log2(e) truncated to 23 fractional bits in every format.
_CONSTANT_FRAC_BITS = 23
_E = math.floor(math.e * (1 << _CONSTANT_FRAC_BITS))
_LOG2_E = math.floor(math.log2(math.e) * (1 << _CONSTANT_FRAC_BITS))


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format of `int_bits` whole bits (the sign among them) and `frac_bits` others.

    Every method takes and returns raw integers of this format unless it says otherwise.
    """

    int_bits: int
    frac_bits: int
    signed: bool
    ONE: int = field(init=False, repr=False)
    MIN: int = field(init=False, repr=False)
    MAX: int = field(init=False, repr=False)
    _whole: int = field(init=False, repr=False)  # the largest whole number

    def __post_init__(self) -> None:
        """Derive the constants of the format."""
        bits = self.int_bits + self.frac_bits
        object.__setattr__(self, "ONE", 1 << self.frac_bits)
        object.__setattr__(self, "MIN", -(1 << (bits - 1)) if self.signed else 0)
        object.__setattr__(self, "MAX", (1 << (bits - self.signed)) - 1)
        object.__setattr__(self, "_whole", self.MAX >> self.frac_bits)

    def of(self, number: int) -> int:
        """Raw form of a whole number."""
        raw = number << self.frac_bits
        return raw if self.MIN <= raw <= self.MAX else self._saturate(raw)

    def of_float(self, number: float) -> int:
        """Raw form of the nearest value to a finite float literal, ties to even."""
        return self._saturate(round(Fraction(number) * self.ONE))

    def ratio(self, num: int, den: int) -> int:
        """Raw form of a quotient of two whole numbers, 0 when `den` is 0."""
        if 0 <= num <= self._whole and 0 < den <= self._whole:  # else the format changes them
            quotient = (num << self.frac_bits) // den
            return quotient if quotient <= self.MAX else 0
        return self.safe_div(self.of(num), self.of(den))

    def convert(self, a: int, source: Fixed) -> int:
        """Raw form of `a`, given in format `source`; surplus fractional bits are floored away."""
        shift = self.frac_bits - source.frac_bits
        return self._saturate(a << shift if shift >= 0 else a >> -shift)

    def add(self, a: int, b: int) -> int:
        """Sum."""
        total = a + b
        return total if self.MIN <= total <= self.MAX else self._saturate(total)

    def sub(self, a: int, b: int) -> int:
        """Difference; an unsigned format stops at 0."""
        return self._saturate(a - b)

    def mul(self, a: int, b: int) -> int:
        """Product, floored toward minus infinity."""
        product = (a * b) >> self.frac_bits
        return product if self.MIN <= product <= self.MAX else self._saturate(product)

    def div(self, a: int, b: int) -> int:
        """Quotient, truncated toward zero; a zero divisor raises ZeroDivisionError."""
        return self._saturate(self._quotient(a, b))

    def checked_div(self, a: int, b: int) -> int | None:
        """Quotient, truncated toward zero; None for a zero divisor or a quotient out of range."""
        return self._checked(self._quotient(a, b)) if b else None

    def safe_div(self, a: int, b: int, default: int = 0) -> int:
        """Quotient, truncated toward zero; `default` for a zero divisor or one out of range."""
        if a >= 0 and b > 0:  # as nearly always
            quotient = (a << self.frac_bits) // b
            return quotient if quotient <= self.MAX else default
        checked = self.checked_div(a, b)
        return default if checked is None else checked

    def floor(self, a: int) -> int:
        """The whole value at or below `a`."""
        return a >> self.frac_bits << self.frac_bits

    def round(self, a: int) -> int:
        """The nearest whole value, ties away from zero."""
        half = self.ONE >> 1
        magnitude = (abs(a) + half) >> self.frac_bits << self.frac_bits
        return self._saturate(magnitude if a >= 0 else -magnitude)

    def to_int(self, a: int) -> int:
        """The whole number at or below `a`."""
        return a >> self.frac_bits

    def to_u16(self, a: int) -> int:
        """The whole number at or below `a`, clamped to 0..2^16-1."""
        return min(max(a >> self.frac_bits, 0), U16_MAX)

    def to_u64(self, a: int) -> int:
        """The whole number at or below `a`, clamped to 0..2^64-1."""
        whole = a >> self.frac_bits
        return whole if 0 <= whole <= U64_MAX else min(max(whole, 0), U64_MAX)

    def exp(self, a: int) -> int | None:
        """Natural exponential by the first terms of its series; None on overflow.

        The runtime sums frac_bits - 1 terms and no more, so a large |a| comes out too small.
        """
        self._require_signed()
        if a == 0:
            return self.ONE
        if a == self.ONE:
            return _E << (self.frac_bits - _CONSTANT_FRAC_BITS)
        x = abs(a)
        term, result = x, x + self.ONE
        for i in range(2, self.frac_bits):
            product = self._checked((term * x) >> self.frac_bits)
            if product is None:
                return None
            term = product // i
            result += term
            if result > self.MAX:
                return None
        return result if a > 0 else self.checked_div(self.ONE, result)

    def log2(self, a: int) -> int | None:
        """Binary logarithm; None where a <= 0 or 1/a overflows the format."""
        self._require_signed()
        if a <= 0:
            return None
        if a < self.ONE:
            inverse = self.checked_div(self.ONE, a)
            return None if inverse is None else -self._log2_above_one(inverse)
        return self._log2_above_one(a)

    def ln(self, a: int) -> int | None:
        """Natural logarithm, log2(a) / log2(e); None where `log2` is None."""
        log2 = self.log2(a)
        if log2 is None:
            return None
        return self.div(log2, _LOG2_E << (self.frac_bits - _CONSTANT_FRAC_BITS))

    def _log2_above_one(self, x: int) -> int:
        whole = 0
        while x >= 2 * self.ONE:
            whole += 1
            x = (x >> 1) + (x & 1)
        if x == self.ONE:
            return whole << self.frac_bits
        result = whole
        for _ in range(self.frac_bits):
            x = (x * x) >> self.frac_bits
            result <<= 1
            if x >= 2 * self.ONE:
                result |= 1
                x = (x >> 1) + (x & 1)
        return result

    def _quotient(self, a: int, b: int) -> int:
        magnitude = (abs(a) << self.frac_bits) // abs(b)
        return magnitude if (a < 0) == (b < 0) else -magnitude

    def _saturate(self, raw: int) -> int:
        return min(max(raw, self.MIN), self.MAX)

    def _checked(self, raw: int) -> int | None:
        return raw if self.MIN <= raw <= self.MAX else None

    def _require_signed(self) -> None:
        if not self.signed:
            raise TypeError("exp and the logarithms exist in signed formats only")


I32F32 = Fixed(32, 32, signed=True)
I64F64 = Fixed(64, 64, signed=True)
I96F32 = Fixed(96, 32, signed=True)
U96F32 = Fixed(96, 32, signed=False)
U64F64 = Fixed(64, 64, signed=False)


def exp_safe(a: int) -> int:
    """I32F32 exponential of an argument first clamped to -20..20; never fails."""
    limit = I32F32.of(20)
    a = min(max(a, -limit), limit)
    result = I32F32.exp(a)
    if result is None:
        return 0 if a <= 0 else I32F32.MAX
    return result


def u16_of_proportion(a: int) -> int:
    """An I32F32 proportion as stored: a x 65535, floored and clamped to a u16."""
    return I32F32.to_u16(I32F32.mul(a, I32F32.of(U16_MAX)))


def max_upscale_to_u16(values: Sequence[int]) -> list[int]:
    """I32F32 values scaled so that the largest becomes 65535, rounded half away from zero.

    Above 32768 the factor 65535/max is taken first, lest the product overflow: the two orders
    differ in the last unit.
    """
    largest = max(values, default=0)
    scale = I32F32.of(U16_MAX)
    if largest == 0:
        return [I32F32.to_u16(I32F32.mul(value, scale)) for value in values]
    if largest > I32F32.of(32768):
        factor = I32F32.safe_div(scale, largest)
        scaled = [I32F32.mul(value, factor) for value in values]
    else:
        scaled = [I32F32.safe_div(I32F32.mul(value, scale), largest) for value in values]
    return [I32F32.to_u16(I32F32.round(value)) for value in scaled]


def is_max_limited(values: Sequence[int], limit: int) -> bool:
    """Whether no u16 value exceeds the share limit/65535 of the sum of `values`."""
    fixed = [I32F32.of(value) for value in values]
    total = sum(fixed)
    shares = [I32F32.safe_div(value, total) for value in fixed] if total else fixed
    return max(shares, default=0) <= I32F32.ratio(limit, U16_MAX)
