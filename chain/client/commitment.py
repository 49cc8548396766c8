"""What a neuron has published about itself with `set_commitment`: a few short fields of bytes.

The chain keeps the newest one of each hotkey, and the block in which it came. Nothing here talks
to a chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.client.calls import Call

__all__ = ["MOST_BYTES", "MOST_FIELDS", "Commitment", "commitment_call"]

MOST_FIELDS = 3
MOST_BYTES = 128
"""Longest field whose bytes stand on the chain as they are."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """What stood on the chain, since `block`: the fields of plain bytes, others left out."""

    block: int
    fields: tuple[bytes, ...]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Commitment:
        """From an entry of `CommitmentOf`."""
        fields = []
        for field in record["info"]["fields"]:
            # The chain gives every length of raw bytes a variant of its own: Raw0 to Raw128.
            for name, value in field.items() if isinstance(field, Mapping) else ():
                if name.startswith("Raw"):
                    fields.append(_bytes(value))
        return cls(int(record["block"]), tuple(fields))


def commitment_call(netuid: int, fields: Sequence[bytes]) -> Call:
    """The call that publishes `fields`. Raises ValueError when there are too many, or too long."""
    if len(fields) > MOST_FIELDS or any(len(data) > MOST_BYTES for data in fields):
        raise ValueError(f"{MOST_FIELDS} fields at most, of {MOST_BYTES} bytes each")
    info = {"fields": [{f"Raw{len(data)}": "0x" + data.hex()} for data in fields]}
    return Call("Commitments", "set_commitment", {"netuid": int(netuid), "info": info})


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return bytes(value)
