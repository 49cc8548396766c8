"""How a dispatch ended, in SCALE: its errors, its result, its weight and whether it paid."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from chain.errors import BadOrigin, DispatchError, ModuleError, ScaleError, TokenError
from chain.scale import (
    U8,
    U64,
    UNIT,
    Codec,
    Compact,
    Described,
    FixedBytes,
    Reader,
    Shape,
    Tagged,
    Variants,
    codec,
)


@dataclass(frozen=True)
class ModuleErrorRecord:
    """Which error of which pallet."""

    __scale_path__ = ("sp_runtime", "ModuleError")
    index: U8
    error: Annotated[bytes, FixedBytes(4)]


TOKEN_ERRORS = (
    "FundsUnavailable",
    "OnlyProvider",
    "BelowMinimum",
    "CannotCreate",
    "UnknownAsset",
    "Frozen",
    "Unsupported",
    "CannotCreateHold",
    "NotExpendable",
    "Blocked",
)


def _names(path: tuple[str, ...], names: tuple[str, ...]) -> Variants:
    return Variants(path, tuple((i, name, None) for i, name in enumerate(names)))


_TOKEN = _names(("sp_runtime", "TokenError"), TOKEN_ERRORS)
_ARITHMETIC = _names(
    ("sp_arithmetic", "ArithmeticError"), ("Underflow", "Overflow", "DivisionByZero")
)
_TRANSACTIONAL = _names(("sp_runtime", "TransactionalError"), ("LimitReached", "NoLayer"))
_VARIANTS = Variants(
    ("sp_runtime", "DispatchError"),
    (
        (0, "Other", None),
        (1, "CannotLookup", None),
        (2, "BadOrigin", None),
        (3, "Module", codec(ModuleErrorRecord)),
        (4, "ConsumerRemaining", None),
        (5, "NoProviders", None),
        (6, "TooManyConsumers", None),
        (7, "Token", _TOKEN),
        (8, "Arithmetic", _ARITHMETIC),
        (9, "Transactional", _TRANSACTIONAL),
        (10, "Exhausted", None),
        (11, "Corruption", None),
        (12, "Unavailable", None),
        (13, "RootNotAllowed", None),
        (14, "Trie", None),
    ),
)


def tagged(error: DispatchError) -> Tagged:
    """The chain's form of a refusal."""
    if isinstance(error, ModuleError):
        raw = bytes([error.index, 0, 0, 0])
        return Tagged("Module", ModuleErrorRecord(error.pallet_index, raw))
    if isinstance(error, BadOrigin):
        return Tagged("BadOrigin")
    if isinstance(error, TokenError):
        return Tagged("Token", Tagged(error.kind))
    return Tagged("Other")


def _unreadable(reader: Reader) -> Any:
    raise ScaleError("what became of a call is written, not read")


DISPATCH_ERROR: Codec[DispatchError] = Described(
    _VARIANTS.shape, lambda error: _VARIANTS.encode(tagged(error)), _unreadable
)


def _write_result(error: DispatchError | None) -> bytes:
    return b"\x00" if error is None else b"\x01" + DISPATCH_ERROR.encode(error)


def _result_shape() -> Shape:
    inner = Variants(("Result",), ((0, "Ok", UNIT_FIELD), (1, "Err", DISPATCH_ERROR)))
    params = (("T", UNIT), ("E", DISPATCH_ERROR))
    return Shape("variant", ("Result",), params, variants=inner.shape().variants)


# The Ok of a DispatchResult carries a unit, which metadata lists as one unnamed field.
UNIT_FIELD: Codec[Any] = Described(UNIT.shape, UNIT.encode, UNIT.read)
DISPATCH_RESULT: Codec[DispatchError | None] = Described(_result_shape, _write_result, _unreadable)


@dataclass(frozen=True)
class Weight:
    """What a call costs to execute: computation in picoseconds, and proof bytes."""

    __scale_path__ = ("sp_weights", "weight_v2", "Weight")
    ref_time: Annotated[int, Compact(codec(U64))]
    proof_size: Annotated[int, Compact(codec(U64))]


class DispatchClass(enum.IntEnum):
    """Which share of a block a call draws on."""

    __scale_path__ = ("frame_support", "dispatch", "DispatchClass")
    Normal = 0
    Operational = 1
    Mandatory = 2


class Pays(enum.IntEnum):
    """Whether a call pays a fee."""

    __scale_path__ = ("frame_support", "dispatch", "Pays")
    Yes = 0
    No = 1


@dataclass(frozen=True)
class DispatchInfo:
    """Weight, class and whether a fee was due, as the receipt events carry it."""

    __scale_path__ = ("frame_system", "DispatchEventInfo")
    weight: Weight
    class_: DispatchClass
    pays_fee: Pays
