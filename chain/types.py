"""The chain's units: balances that do not mix, accounts, subnet numbers, hashes.

`Rao(5) + Alpha(5)` and `Rao(5) + 5` are TypeErrors: an amount meets only its own kind.
To compute with an amount as a number, say so: `int(amount)`.
Knows nothing of SCALE, storage or sockets.
"""

from __future__ import annotations

import hashlib
from typing import Self

__all__ = [
    "RAO_PER_TAO",
    "SS58_FORMAT",
    "AccountId",
    "Alpha",
    "H256",
    "NetUid",
    "Rao",
    "Ss58Error",
    "blake2_256",
]

RAO_PER_TAO = 1_000_000_000
SS58_FORMAT = 42

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUE = {character: value for value, character in enumerate(_BASE58)}
_SS58_LENGTH = 48  # characters of a 32-byte account under the prefix 42
_U64_MAX = 2**64 - 1


def blake2_256(data: bytes) -> bytes:
    """BLAKE2b with a 32-byte digest, the chain's hash."""
    return hashlib.blake2b(data, digest_size=32).digest()


class Amount(int):
    """A u64 balance of one kind. Arithmetic stays inside the kind and inside u64."""

    __slots__ = ()

    def __new__(cls, value: int) -> Self:
        """An amount of `value` units; ValueError outside 0..2^64-1."""
        if not 0 <= value <= _U64_MAX:
            raise ValueError(f"{cls.__name__} out of range: {value}")
        return int.__new__(cls, value)

    def _same(self, other: object) -> int:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} does not mix with {type(other).__name__}")
        return int(other)

    # int's own signatures are wider on purpose here: an amount is not any integer.
    def __add__(self, other: Self) -> Self:  # type: ignore[override]
        return type(self)(int(self) + self._same(other))

    def __sub__(self, other: Self) -> Self:  # type: ignore[override]
        return type(self)(int(self) - self._same(other))

    def __radd__(self, other: object) -> Self:
        if other == 0 and type(other) is int:  # the start value of sum()
            return self
        raise TypeError(f"{type(other).__name__} does not mix with {type(self).__name__}")

    def __rsub__(self, other: object) -> Self:
        raise TypeError(f"{type(other).__name__} does not mix with {type(self).__name__}")

    def saturating_add(self, other: Self) -> Self:
        """The sum, clamped to 2^64-1."""
        kind = type(self)
        if type(other) is not kind:
            self._same(other)  # which tells what is wrong
        total = int.__add__(self, other)
        return int.__new__(kind, total if total <= _U64_MAX else _U64_MAX)

    def saturating_sub(self, other: Self) -> Self:
        """The difference, clamped to zero."""
        return type(self)(max(int(self) - self._same(other), 0))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    __str__ = int.__repr__


class Rao(Amount):
    """TAO in its smallest unit: 1 TAO = 10^9 rao."""

    __slots__ = ()


class Alpha(Amount):
    """A subnet's own token in its smallest unit: 1 alpha = 10^9."""

    __slots__ = ()


class NetUid(int):
    """The number of a subnet, u16; 0 is root."""

    __slots__ = ()

    def __new__(cls, value: int) -> Self:
        """Subnet `value`; ValueError outside u16."""
        if not 0 <= value <= 0xFFFF:
            raise ValueError(f"NetUid out of range: {value}")
        return int.__new__(cls, value)

    def __repr__(self) -> str:
        return f"NetUid({int(self)})"

    __str__ = int.__repr__


class H256(bytes):
    """A 32-byte hash."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        """ValueError unless `value` has 32 bytes."""
        if len(value) != 32:
            raise ValueError(f"{cls.__name__} needs 32 bytes, got {len(value)}")
        return super().__new__(cls, value)


class Ss58Error(ValueError):
    """Text that is not an address of this chain."""


class AccountId(H256):
    """A public key of 32 bytes: a coldkey, a hotkey, or an account without a key."""

    __slots__ = ()

    @classmethod
    def from_ss58(cls, address: str) -> Self:
        """The account of an ss58 `address` with prefix 42. Raises Ss58Error."""
        # The length first: base58 decoding is quadratic in it.
        if len(address) not in (_SS58_LENGTH - 1, _SS58_LENGTH):
            raise Ss58Error(f"an address has {_SS58_LENGTH} characters, not {len(address)}")
        number = 0
        for character in address:
            if character not in _BASE58_VALUE:
                raise Ss58Error(f"not a base58 character: {character!r}")
            number = number * 58 + _BASE58_VALUE[character]
        if number >= 1 << 280:
            raise Ss58Error("address is too long for a 32-byte account")
        raw = number.to_bytes(35, "big")
        body, checksum = raw[:33], raw[33:]
        if body[0] != SS58_FORMAT:
            raise Ss58Error(f"address has network prefix {body[0]}, not {SS58_FORMAT}")
        if _ss58_checksum(body) != checksum:
            raise Ss58Error("address has a wrong checksum")
        return cls(body[1:])

    def ss58(self) -> str:
        """The address as text, prefix 42."""
        body = bytes([SS58_FORMAT]) + self
        number = int.from_bytes(body + _ss58_checksum(body), "big")
        characters = []
        while number:
            number, remainder = divmod(number, 58)
            characters.append(_BASE58[remainder])
        return "".join(reversed(characters))

    def __repr__(self) -> str:
        return f"AccountId({self.ss58()})"

    __str__ = ss58


def _ss58_checksum(body: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + body).digest()[:2]
