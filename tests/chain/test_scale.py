"""SCALE against two foreign implementations: scalecodec and polkadot's published examples."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset

from chain.errors import ScaleError
from chain.scale import (
    I16,
    U8,
    U16,
    U32,
    U64,
    U128,
    Bytes,
    Compact,
    FixedBytes,
    Reader,
    Tagged,
    Variants,
    Vector,
    codec,
    compact,
)
from chain.types import AccountId, Alpha, NetUid, Rao


class Color(enum.IntEnum):
    """An enumeration for the tests."""

    Red = 0
    Green = 2


@dataclass(frozen=True)
class Point:
    """A struct for the tests."""

    x: U16
    y: I16
    label: bytes
    color: Color
    next_: U8 | None


@dataclass(frozen=True)
class Nothing:
    """A struct without fields."""


@dataclass(frozen=True)
class Line:
    """Structs inside a struct, beside integers and newtypes of them."""

    start: Point
    amount: Rao
    width: U128
    nothing: Nothing
    end: Point


POINTS = st.builds(
    Point,
    st.integers(0, 65_535),
    st.integers(-(2**15), 2**15 - 1),
    st.binary(),
    st.sampled_from(Color),
    st.none() | st.integers(0, 255),
)

TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (U8, st.integers(0, 2**8 - 1)),
    (U64, st.integers(0, 2**64 - 1)),
    (U128, st.integers(0, 2**128 - 1)),
    (I16, st.integers(-(2**15), 2**15 - 1)),
    (bool, st.booleans()),
    (str, st.text()),
    (bytes, st.binary()),
    (list[U16], st.lists(st.integers(0, 65_535))),
    (tuple[U8, bool], st.tuples(st.integers(0, 255), st.booleans())),
    (U32 | None, st.none() | st.integers(0, 2**32 - 1)),
    (Rao, st.integers(0, 2**64 - 1).map(Rao)),
    (NetUid, st.integers(0, 65_535).map(NetUid)),
    (AccountId, st.binary(min_size=32, max_size=32).map(AccountId)),
    (dict[U8, U16], st.dictionaries(st.integers(0, 255), st.integers(0, 65_535))),
    (frozenset[U16], st.frozensets(st.integers(0, 65_535))),
    (Point, POINTS),
    (Nothing, st.just(Nothing())),
    (
        Line,
        st.builds(
            Line,
            POINTS,
            st.integers(0, 2**64 - 1).map(Rao),
            st.integers(0, 2**128 - 1),
            st.just(Nothing()),
            POINTS,
        ),
    ),
]


@pytest.mark.parametrize(("tp", "values"), TYPES, ids=lambda v: str(v)[:30])
def test_decode_undoes_encode(tp: Any, values: st.SearchStrategy[Any]) -> None:
    @given(values)
    def check(value: Any) -> None:
        assert codec(tp).decode(codec(tp).encode(value)) == value

    check()


@given(POINTS, st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1))
def test_a_struct_is_its_fields_side_by_side(point: Point, amount: int, width: int) -> None:
    line = Line(point, Rao(amount), width, Nothing(), point)
    (x, y), rest = (point.x, point.y), (point.label, point.color, point.next_)
    parts = [x.to_bytes(2, "little"), y.to_bytes(2, "little", signed=True)]
    parts += [
        codec(tp).encode(part) for tp, part in zip((bytes, Color, U8 | None), rest, strict=True)
    ]
    whole = b"".join(parts)
    sums = amount.to_bytes(8, "little") + width.to_bytes(16, "little")
    assert codec(Line).encode(line) == whole + sums + whole


@given(st.integers(0, 2**128 - 1))
def test_compact_integers_are_those_of_scalecodec(value: int) -> None:
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("legacy"))
    theirs = config.create_scale_object("Compact<u128>").encode(value)
    assert compact(value) == bytes(theirs.data)
    assert Reader(compact(value)).compact() == value


@pytest.mark.parametrize(
    ("name", "tp", "value"),
    [
        ("Vec<u16>", list[U16], [1, 2, 65_535]),
        ("Option<u32>", U32 | None, 7),
        ("(u8, bool)", tuple[U8, bool], (3, True)),
        ("Bytes", bytes, b"hello"),
        ("i16", I16, -2),
    ],
)
def test_bytes_are_those_of_scalecodec(name: str, tp: Any, value: Any) -> None:
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("legacy"))
    theirs = config.create_scale_object(name)
    given_value = value.decode() if isinstance(value, bytes) else value
    assert codec(tp).encode(value) == bytes(theirs.encode(given_value).data)
    back = config.create_scale_object(name, data=ScaleBytes(codec(tp).encode(value))).decode()
    assert back == given_value


@pytest.mark.parametrize(
    ("tp", "raw"),
    [
        (U32, b"\x01"),
        (bool, b"\x02"),
        (U8 | None, b"\x02\x00"),
        (str, b"\x04\xff"),
        (list[U16], b"\xfe\xff\xff\xff"),
        (Color, b"\x01"),
        (U8, b"\x01\x02"),
        (Annotated[int, Compact(codec(U8))], compact(256)),
        (Annotated[int, Compact(codec(U32))], b"\x01\x00"),
        (Annotated[bytes, Bytes(limit=2)], b"\x0cabc"),
        (Annotated[list[int], Vector(codec(U8), limit=1)], b"\x08ab"),
        (Annotated[Tagged, Variants(("E",), ((0, "A", None),))], b"\x01"),
    ],
)
def test_bytes_that_are_not_the_type_are_refused(tp: Any, raw: bytes) -> None:
    with pytest.raises(ScaleError):
        codec(tp).decode(raw)


@pytest.mark.parametrize(
    ("tp", "value"),
    [
        (U8, 256),
        (U16, -1),
        (U8, "x"),
        (list[U16], [70_000]),
        (Annotated[bytes, FixedBytes(4)], b""),
        (Point, Point(2**16, 0, b"", Color.Red, None)),
        (Point, Point(0, -(2**15) - 1, b"", Color.Red, None)),
        (Point, Point("0", 0, b"", Color.Red, None)),  # type: ignore[arg-type]
        (Point, Point(0, 0, b"", Color.Red, 256)),
    ],
)
def test_values_that_do_not_fit_are_refused(tp: Any, value: Any) -> None:
    with pytest.raises(ScaleError):
        codec(tp).encode(value)


def test_a_list_longer_than_its_bytes_is_refused_before_it_is_built() -> None:
    with pytest.raises(ScaleError, match="a list of 1073741823 items"):
        codec(list[Alpha]).decode(compact(2**30 - 1) + b"\x00" * 8)
