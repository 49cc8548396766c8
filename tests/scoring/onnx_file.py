"""A network of two layers as an ONNX file, written field by field: the onnx package is not needed.

y = relu(x W) V with x of 3 numbers, W (3, 4) and V (4, 1).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

W = (0.5, -0.25, 0.125, 1.0, 0.75, -1.0, 0.25, 0.5, -0.5, 1.0, 0.25, -0.75)
V = (1.0, -0.5, 0.25, 0.5)


def tiny_network(last: Sequence[float] = V) -> bytes:
    """Return the file, with `last` for V."""
    graph = (
        _node("MatMul", ["x", "w"], "h")
        + _node("Relu", ["h"], "r")
        + _node("MatMul", ["r", "v"], "y")
        + _field(2, "tiny")
        + _field(5, _tensor("w", (3, 4), W))
        + _field(5, _tensor("v", (4, 1), last))
        + _field(11, _value("x", (1, 3)))
        + _field(12, _value("y", (1, 1)))
    )
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


def expected(x: Sequence[float]) -> float:
    """Return y."""
    hidden = [max(0.0, sum(x[i] * W[4 * i + j] for i in range(3))) for j in range(4)]
    return sum(h * v for h, v in zip(hidden, V, strict=True))


def _node(op: str, inputs: Sequence[str], output: str) -> bytes:
    named = b"".join(_field(1, name) for name in inputs)
    return _field(1, named + _field(2, output) + _field(3, output) + _field(4, op))


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    sizes = b"".join(_field(1, size) for size in shape)
    raw = struct.pack(f"<{len(values)}f", *values)
    return sizes + _field(2, 1) + _field(8, name) + _field(9, raw)


def _value(name: str, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, sizes)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a varint, or text or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])
