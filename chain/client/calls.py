"""What is sent: a call as a value, and the border where the floats end.

Left of `quantize` weights are floats that mean shares; right of it they are the u16 values that
the chain stores. Nothing here talks to a chain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Call", "admin", "batch", "quantize", "storage_index", "sudo", "transfer"]

U16_MAX = 65_535
MECHANISM_STRIDE = 4096


class Call(NamedTuple):
    """One chain call by its chain names; a value in `args` may be a Call, or a list of Calls."""

    pallet: str
    function: str
    args: dict[str, Any]

    def __str__(self) -> str:
        inner = [value for value in self.args.values() if isinstance(value, Call)]
        if inner:
            return f"{self.pallet}.{self.function}({inner[0]})"
        args = ", ".join(f"{name}={_short(value)}" for name, value in self.args.items())
        return f"{self.pallet}.{self.function}({args})"


def sudo(call: Call) -> Call:
    """`call` with root's origin; the sudo key must sign."""
    return Call("Sudo", "sudo", {"call": call})


def admin(function: str, **args: Any) -> Call:
    """An AdminUtils setter with root's origin, for example `admin("sudo_set_tempo", ...)`."""
    return sudo(Call("AdminUtils", function, args))


def batch(calls: list[Call]) -> Call:
    """All of `calls`, or none."""
    return Call("Utility", "batch_all", {"calls": calls})


def transfer(to_ss58: str, rao: int) -> Call:
    """Move `rao` to an account; the sender keeps its existential deposit."""
    return Call("Balances", "transfer_keep_alive", {"dest": to_ss58, "value": int(rao)})


def storage_index(netuid: int, mechanism: int) -> int:
    """The index under which the chain keeps the weights of a subnet's mechanism."""
    return mechanism * MECHANISM_STRIDE + int(netuid)


def quantize(weights: Mapping[int, float]) -> dict[int, int]:
    """The u16 row that the chain stores for `weights` {uid: share >= 0}, in uid order.

    Largest to 65535, the others in proportion, rounded half to even, zeros dropped: the SDK's
    `intents.weights.normalize`, which a test holds this function to. The chain's own upscaling
    leaves such a row as it is, so the row can be compared with what is read back.
    Raises ValueError for a weight that is negative or not finite, or when none is positive.
    """
    if any(not math.isfinite(weight) or weight < 0 for weight in weights.values()):
        raise ValueError("weights must be finite and not negative")
    if any(not 0 <= uid <= U16_MAX for uid in weights):
        raise ValueError("a uid is outside 0..65535")
    top = max(weights.values(), default=0.0)
    if top == 0:
        raise ValueError("no weight is positive: there is nothing to set")
    row = {uid: round(weights[uid] / top * U16_MAX) for uid in sorted(weights)}
    return {uid: value for uid, value in row.items() if value}


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{len(value)} calls]" if all(isinstance(v, Call) for v in value) else str(value)
    if isinstance(value, str) and len(value) > 12:
        return value[:8] + "…"
    return str(value)
