"""Parameters of a call, from JSON to what a handler's annotations ask for.

`bytes` is hex with or without 0x, `Hash` 32 bytes of it, `BlockNumber` a number or its hex,
`Account` an SS58 address or 32 bytes in hex, `BlockTime` seconds, "instant" or "manual".
A value that does not fit is refused with the parameter's name and what was expected.
"""

from __future__ import annotations

import inspect
import reprlib
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from chain.devnet.rpc.errors import INVALID_PARAMS, RpcError
from chain.devnet.schedule import Instant, Interval, Manual, Schedule, schedule
from chain.types import AccountId, Ss58Error

__all__ = ["Account", "BlockNumber", "BlockTime", "Handler", "Hash", "Signature", "fit", "hexed"]

Account = NewType("Account", AccountId)
BlockTime = Instant | Interval | Manual
Hash = NewType("Hash", bytes)
BlockNumber = NewType("BlockNumber", int)
Handler = Callable[..., Awaitable[object]]

_SHOWN = 80  # characters of a refused value that a message repeats
_HEX = frozenset("0123456789abcdefABCDEF")
_HEX_DIGITS_A_NUMBER = 64
_MAX_BLOCK_NUMBER = 2**32 - 1

_REAL_NODES = {
    "bytes": ("args", "extrinsic", "subscription"),
    "hash": ("at", "number"),
    "name": ("method",),
    "startKey": ("start_key",),
}
"""The words of a real node's interface, which clients that name their parameters use; ours."""


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = _SHOWN


class _Misfit(Exception):
    """A value that is not what the annotation says; the text names what was expected."""


class Signature:
    """The parameters of one handler after its first, the context."""

    def __init__(self, handler: Handler) -> None:
        hints = get_type_hints(handler)
        parameters = list(inspect.signature(handler).parameters.values())[1:]
        self._names = [parameter.name for parameter in parameters]
        self._types = [hints[name] for name in self._names]
        self._defaults = [parameter.default for parameter in parameters]

    def bind(self, params: object) -> list[Any]:
        """The arguments in `params`, a JSON array, object or null. Raises RpcError -32602."""
        given = self._in_order(params)
        arguments = []
        for position, name in enumerate(self._names):
            missing = position >= len(given)
            default = self._defaults[position]
            # A client that fills up with nulls means "the default".
            if missing or (given[position] is None and default is not inspect.Parameter.empty):
                if default is inspect.Parameter.empty:
                    raise RpcError(INVALID_PARAMS, f"missing parameter {position + 1} ({name})")
                arguments.append(default)
                continue
            where = f"parameter {position + 1} ({name})"
            arguments.append(fit(self._types[position], given[position], where))
        return arguments

    def _in_order(self, params: object) -> Sequence[object]:
        if params is None:
            return ()
        if isinstance(params, Mapping):
            if len(params) > len(self._names):
                raise self._too_many(params)
            params = {self._ours(name): value for name, value in params.items()}
            strange = sorted(set(params) - set(self._names))
            if strange:
                raise RpcError(
                    INVALID_PARAMS,
                    f"unknown parameter {strange[0][:_SHOWN]!r}; known: {', '.join(self._names)}",
                )
            return [params.get(name) for name in self._names]
        if not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "params must be an array or an object")
        if any(extra is not None for extra in params[len(self._names) :]):
            raise self._too_many(params)
        return params

    def _too_many(self, params: Sized) -> RpcError:
        return RpcError(
            INVALID_PARAMS, f"takes at most {len(self._names)} parameters, got {len(params)}"
        )

    def _ours(self, name: str) -> str:
        """Our word for a parameter that real nodes call by another one."""
        if name in self._names:
            return name
        return next((ours for ours in _REAL_NODES.get(name, ()) if ours in self._names), name)


def fit(wanted: Any, value: object, where: str) -> Any:
    """`value` as a `wanted`. Raises RpcError -32602 that says `where` it stood."""
    try:
        return _fit(wanted, value)
    except _Misfit as misfit:
        # A plain repr would walk all of a large value, of which hardly anything is shown.
        shown = _BRIEF.repr(value)[:_SHOWN]
        raise RpcError(INVALID_PARAMS, f"{where}: expected {misfit}, got {shown}") from None


def _fit(wanted: Any, value: object) -> Any:
    """`value` as a `wanted`; raises _Misfit."""
    if wanted is object:
        return value
    if wanted == BlockTime:
        return _block_time(value)
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = get_args(wanted)
        if value is None and type(None) in options:
            return None
        (inner,) = (option for option in options if option is not type(None))
        return _fit(inner, value)
    if origin is list:
        if not isinstance(value, list):
            raise _Misfit("an array")
        return [_fit(get_args(wanted)[0], item) for item in value]
    if origin is tuple:
        members = get_args(wanted)
        if not isinstance(value, list) or len(value) != len(members):
            raise _Misfit(f"an array of {len(members)}")
        return tuple(_fit(member, item) for member, item in zip(members, value, strict=True))
    return _PLAIN[wanted](value)


def _hex(value: object) -> bytes:
    if isinstance(value, str):
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        try:
            data = bytes.fromhex(digits)
        except ValueError:
            pass
        else:
            if len(data) * 2 == len(digits):  # fromhex also takes blanks
                return data
    raise _Misfit("hex bytes")


def _hash(value: object) -> bytes:
    data = _hex(value)
    if len(data) != 32:
        raise _Misfit("a hash of 32 bytes in hex")
    return data


def _account(value: object) -> AccountId:
    if isinstance(value, str) and value[:2] not in ("0x", "0X"):
        try:
            return AccountId.from_ss58(value)
        except Ss58Error as error:
            raise _Misfit(f"an account ({error})") from None
    return AccountId(_hash(value))


def _block_time(value: object) -> Schedule:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Misfit('seconds, "instant" or "manual"')
    try:
        return schedule(value)
    except (ValueError, OverflowError) as error:
        raise _Misfit(f'seconds, "instant" or "manual" ({error})') from None


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Misfit("an integer")
    return value


def _block_number(value: object) -> int:
    if isinstance(value, str) and value[:2] in ("0x", "0X"):
        digits = value[2:]
        if not 0 < len(digits) <= _HEX_DIGITS_A_NUMBER or not _HEX.issuperset(digits):
            raise _Misfit("a block number")  # int() also takes signs, blanks and underscores
        value = int(digits, 16)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Misfit("a block number")
    if not 0 <= value <= _MAX_BLOCK_NUMBER:
        raise _Misfit("a block number from 0 to 2^32-1")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Misfit("a number")
    try:
        return float(value)
    except OverflowError:
        raise _Misfit("a number that is not so large") from None


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Misfit("true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Misfit("a string")
    return value


_PLAIN: dict[object, Callable[[object], Any]] = {
    Account: _account,
    bytes: _hex,
    Hash: _hash,
    int: _integer,
    BlockNumber: _block_number,
    float: _number,
    bool: _boolean,
    str: _text,
}


def hexed(data: bytes) -> str:
    """Bytes as clients read them."""
    return f"0x{data.hex()}"
