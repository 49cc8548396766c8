"""SCALE types: one declaration is the codec and the description that metadata publishes.

A type is an ordinary Python class or annotation (`U16`, `Rao`, `list[U16]`, `tuple[U64, bool]`,
a frozen dataclass, an IntEnum); `codec(tp)` finds how it is written. What Python cannot say
(compact integers, fixed arrays, type names) is said with `Annotated[T, some_codec]`.
Knows nothing of pallets, storage or metadata versions: a codec only offers its `shape`.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import operator
import struct
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from chain.errors import ScaleError
from chain.types import H256, AccountId, Alpha, NetUid, Rao

T = TypeVar("T")

if TYPE_CHECKING:
    # To the type checker these are plain integers, so that arithmetic reads naturally;
    # at run time they are the marks by which a declaration names its width.
    U8 = int
    U16 = int
    U32 = int
    U64 = int
    U128 = int
    I8 = int
    I16 = int
    I32 = int
    I64 = int
    I128 = int
else:

    class U8(int):
        """An unsigned 8-bit integer."""

    class U16(int):
        """An unsigned 16-bit integer."""

    class U32(int):
        """An unsigned 32-bit integer."""

    class U64(int):
        """An unsigned 64-bit integer."""

    class U128(int):
        """An unsigned 128-bit integer."""

    class I8(int):
        """A signed 8-bit integer."""

    class I16(int):
        """A signed 16-bit integer."""

    class I32(int):
        """A signed 32-bit integer."""

    class I64(int):
        """A signed 64-bit integer."""

    class I128(int):
        """A signed 128-bit integer."""


MAX_DEPTH = 64
"""How deep a type may stand inside itself (calls in calls). The chain's limit is 256, which would
be deeper than Python's own stack allows."""


class Reader:
    """A cursor over bytes. Reading past the end is a ScaleError."""

    __slots__ = ("data", "depth", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.depth = 0
        self.position = 0

    def descend(self) -> None:
        """Begin a value of a type that may contain itself; ScaleError when that is too deep."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ScaleError(f"nested more than {MAX_DEPTH} deep")

    def ascend(self) -> None:
        """End such a value."""
        self.depth -= 1

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self.position
        end = start + count
        if end > len(self.data):
            raise ScaleError(f"needs {count} bytes at offset {start}, has {len(self.data) - start}")
        self.position = end
        return self.data[start:end]

    def byte(self) -> int:
        """The next byte as an integer."""
        position = self.position
        try:
            value = self.data[position]
        except IndexError:
            raise ScaleError(f"needs 1 bytes at offset {position}, has 0") from None
        self.position = position + 1
        return value

    def compact(self) -> int:
        """The next compact integer; ScaleError for a form longer than needed."""
        first = self.byte()
        mode = first & 3
        if mode == 0:
            return first >> 2
        if mode == 1:
            value = (first | self.byte() << 8) >> 2
            shortest = value > 0x3F
        elif mode == 2:
            value = (first | int.from_bytes(self.take(3), "little") << 8) >> 2
            shortest = value > 0x3FFF
        else:
            count = (first >> 2) + 4
            value = int.from_bytes(self.take(count), "little")
            shortest = value >> (8 * (count - 1)) != 0 and value > 0x3FFFFFFF
        if not shortest:
            raise ScaleError(f"compact integer {value} is not in its shortest form")
        return value

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.position


_COMPACT = [bytes([value << 2]) for value in range(0x40)]


def compact(value: int) -> bytes:
    """`value` as a compact integer."""
    if value < 0:
        raise ScaleError(f"a compact integer is not negative: {value}")
    if value <= 0x3F:
        return _COMPACT[value]
    if value <= 0x3FFF:
        return (value << 2 | 1).to_bytes(2, "little")
    if value <= 0x3FFFFFFF:
        return (value << 2 | 2).to_bytes(4, "little")
    raw = value.to_bytes((value.bit_length() + 7) // 8, "little")
    if len(raw) > 67:
        raise ScaleError("a compact integer has at most 536 bits")
    return bytes([(len(raw) - 4) << 2 | 3]) + raw


# Shapes: what metadata says about a type


@dataclass(frozen=True)
class Field:
    """One field of a composite or a variant."""

    codec: Codec[Any]
    name: str | None = None
    type_name: str | None = None


@dataclass(frozen=True)
class VariantShape:
    """One variant of an enum."""

    name: str
    index: int
    fields: tuple[Field, ...] = ()
    docs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """A type as the portable registry has it; `definition` decides which fields are used."""

    definition: str  # composite, variant, sequence, array, tuple, primitive, compact
    path: tuple[str, ...] = ()
    params: tuple[tuple[str, Codec[Any] | None], ...] = ()
    fields: tuple[Field, ...] = ()
    variants: tuple[VariantShape, ...] = ()
    items: tuple[Codec[Any], ...] = ()
    length: int = 0
    primitive: str = ""


class Codec(Generic[T]):
    """How values of one type are written, read and described."""

    def encode(self, value: T) -> bytes:
        """`value` in SCALE. Raises ScaleError when it does not fit."""
        raise TypeError(f"{type(self).__name__} does not encode")

    def read(self, reader: Reader) -> T:
        """The next value. Raises ScaleError."""
        raise TypeError(f"{type(self).__name__} does not decode")

    def shape(self) -> Shape:
        """What metadata says about this type."""
        raise TypeError(f"{type(self).__name__} has no shape")

    def decode(self, data: bytes) -> T:
        """The one value that `data` is. Raises ScaleError, also for bytes left over."""
        reader = Reader(data)
        value = self.read(reader)
        if reader.remaining:
            raise ScaleError(f"{reader.remaining} bytes left over")
        return value


@dataclass(frozen=True)
class Integer(Codec[int]):
    """A fixed-width little-endian integer."""

    bits: int
    signed: bool = False

    def encode(self, value: int) -> bytes:
        try:
            return int.to_bytes(value, self.bits // 8, "little", signed=self.signed)
        except (OverflowError, TypeError) as error:
            raise ScaleError(f"{value!r} is not {self.name}") from error

    def read(self, reader: Reader) -> int:
        return int.from_bytes(reader.take(self.bits // 8), "little", signed=self.signed)

    @property
    def name(self) -> str:
        """The type's name in metadata: u16, i64, ..."""
        return f"{'i' if self.signed else 'u'}{self.bits}"

    def shape(self) -> Shape:
        return Shape("primitive", primitive=self.name)


@dataclass(frozen=True)
class Boolean(Codec[bool]):
    """One byte, 0 or 1."""

    def encode(self, value: bool) -> bytes:
        return b"\x01" if value else b"\x00"

    def read(self, reader: Reader) -> bool:
        byte = reader.byte()
        if byte > 1:
            raise ScaleError(f"a bool is 0 or 1, not {byte}")
        return byte == 1

    def shape(self) -> Shape:
        return Shape("primitive", primitive="bool")


@dataclass(frozen=True)
class Text(Codec[str]):
    """UTF-8 with its length."""

    def encode(self, value: str) -> bytes:
        try:
            raw = value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair, as JSON can carry it
            raise ScaleError("text is not Unicode") from error
        return compact(len(raw)) + raw

    def read(self, reader: Reader) -> str:
        try:
            return reader.take(reader.compact()).decode()
        except UnicodeDecodeError as error:
            raise ScaleError("text is not UTF-8") from error

    def shape(self) -> Shape:
        return Shape("primitive", primitive="str")


@dataclass(frozen=True)
class Bytes(Codec[bytes]):
    """Bytes with their length, at most `limit`."""

    limit: int | None = None

    def encode(self, value: bytes) -> bytes:
        self._ensure(len(value))
        return compact(len(value)) + bytes(value)

    def read(self, reader: Reader) -> bytes:
        length = reader.compact()
        self._ensure(length)
        return reader.take(length)

    def _ensure(self, length: int) -> None:
        if self.limit is not None and length > self.limit:
            raise ScaleError(f"at most {self.limit} bytes, not {length}")

    def shape(self) -> Shape:
        if self.limit is None:
            return Shape("sequence", items=(codec(U8),))
        return _bounded(Bytes(), codec(U8))


@dataclass(frozen=True)
class FixedBytes(Codec[bytes]):
    """Exactly `length` bytes, without a length prefix."""

    length: int

    def encode(self, value: bytes) -> bytes:
        if len(value) != self.length:
            raise ScaleError(f"needs {self.length} bytes, got {len(value)}")
        return bytes(value)

    def read(self, reader: Reader) -> bytes:
        return reader.take(self.length)

    def shape(self) -> Shape:
        return Shape("array", items=(codec(U8),), length=self.length)


@dataclass(frozen=True)
class Compact(Codec[Any]):
    """An integer, or a newtype of one, in compact form. A compact unit is no bytes."""

    inner: Codec[Any]

    def encode(self, value: Any) -> bytes:
        raw = self.inner.encode(value)  # the width of the inner type is the limit
        return raw if isinstance(self.inner, Tuple) else compact(int(value))

    def read(self, reader: Reader) -> Any:
        inner = self.inner
        if isinstance(inner, Tuple):
            return inner.read(reader)
        value = reader.compact()
        while isinstance(inner, Newtype):
            inner = inner.inner
        if isinstance(inner, Integer) and value.bit_length() > inner.bits:
            raise ScaleError(f"{value} is not a compact {inner.name}")
        return self.inner.make(value) if isinstance(self.inner, Newtype) else value

    def shape(self) -> Shape:
        return Shape("compact", items=(self.inner,))


@dataclass(frozen=True)
class Newtype(Codec[Any]):
    """A named wrapper around one type; `make` builds the Python value from the inner one."""

    path: tuple[str, ...]
    inner: Codec[Any]
    make: Callable[[Any], Any]
    field_name: str | None = None

    def encode(self, value: Any) -> bytes:
        return self.inner.encode(value)

    def read(self, reader: Reader) -> Any:
        try:
            return self.make(self.inner.read(reader))
        except ValueError as error:
            raise ScaleError(str(error)) from error

    def shape(self) -> Shape:
        return Shape("composite", path=self.path, fields=(Field(self.inner, self.field_name),))


@dataclass(frozen=True)
class Vector(Codec[Any]):
    """Any number of one type, at most `limit`."""

    item: Codec[Any]
    limit: int | None = None

    @functools.cached_property
    def _packed(self) -> tuple[str, int] | None:
        """How `struct` names an item that is one integer or several of one width: "H", 2."""
        item = self.item
        if isinstance(item, Newtype):
            item = item.inner
        parts = item.items if isinstance(item, Tuple) else (item,)
        codes = {_struct_code(part) for part in parts}
        code = codes.pop() if len(codes) == 1 else None
        return None if code is None else (code, len(parts))

    def encode(self, value: Sequence[Any]) -> bytes:
        self._ensure(len(value))
        if self._packed is not None:  # weights and metagraph columns: no call for each item
            body = self._pack(value, *self._packed)
        elif isinstance(self.item, Boolean):
            body = bytes(map(bool, value))
        else:
            body = b"".join([self.item.encode(v) for v in value])
        return compact(len(value)) + body

    def _pack(self, value: Sequence[Any], code: str, width: int) -> bytes:
        if width > 1:
            if any(len(v) != width for v in value):
                raise ScaleError(f"an item needs {width} values")
            value = [part for v in value for part in v]
        try:
            return struct.pack(f"<{len(value)}{code}", *value)
        except struct.error as error:
            raise ScaleError(f"an item does not fit: {error}") from error

    def read(self, reader: Reader) -> list[Any]:
        length = reader.compact()
        self._ensure(length)
        if length > reader.remaining:
            raise ScaleError(f"a list of {length} items in {reader.remaining} bytes")
        if self._packed is not None:
            return self._unpack(reader, length, *self._packed)
        if isinstance(self.item, Boolean):
            flags = reader.take(length)
            if max(flags, default=0) > 1:
                raise ScaleError(f"a bool is 0 or 1, not {max(flags)}")
            return list(map(bool, flags))
        read = self.item.read
        return [read(reader) for _ in range(length)]

    def _unpack(self, reader: Reader, length: int, code: str, width: int) -> list[Any]:
        form = struct.Struct(f"<{length * width}{code}")
        values = form.unpack(reader.take(form.size))
        item, items = self.item, iter(values)
        if isinstance(item.inner if isinstance(item, Newtype) else item, Tuple):
            items = zip(*[items] * width, strict=True)
        if isinstance(item, Newtype):
            items = map(item.make, items)
        return list(items)

    def _ensure(self, length: int) -> None:
        if self.limit is not None and length > self.limit:
            raise ScaleError(f"at most {self.limit} items, not {length}")

    def shape(self) -> Shape:
        if self.limit is None:
            return Shape("sequence", items=(self.item,))
        return _bounded(Vector(self.item), self.item)


def _struct_code(item: Codec[Any]) -> str | None:
    """The letter `struct` has for an integer, if it has one."""
    if not isinstance(item, Integer):
        return None
    code = {8: "b", 16: "h", 32: "i", 64: "q"}.get(item.bits)
    return code if item.signed or code is None else code.upper()


def _bounded(inner: Codec[Any], item: Codec[Any]) -> Shape:
    path = ("bounded_collections", "bounded_vec", "BoundedVec")
    return Shape("composite", path=path, params=(("T", item), ("S", None)), fields=(Field(inner),))


@dataclass(frozen=True)
class Array(Codec[Any]):
    """Exactly `length` of one type."""

    item: Codec[Any]
    length: int

    def encode(self, value: Sequence[Any]) -> bytes:
        if len(value) != self.length:
            raise ScaleError(f"needs {self.length} items, got {len(value)}")
        return b"".join([self.item.encode(v) for v in value])

    def read(self, reader: Reader) -> list[Any]:
        return [self.item.read(reader) for _ in range(self.length)]

    def shape(self) -> Shape:
        return Shape("array", items=(self.item,), length=self.length)


@dataclass(frozen=True)
class Tuple(Codec[Any]):
    """One value of each type, in order. The empty tuple is the unit type."""

    items: tuple[Codec[Any], ...] = ()

    def encode(self, value: Sequence[Any]) -> bytes:
        if len(value) != len(self.items):
            raise ScaleError(f"needs {len(self.items)} values, got {len(value)}")
        return b"".join([c.encode(v) for c, v in zip(self.items, value, strict=True)])

    def read(self, reader: Reader) -> tuple[Any, ...]:
        return tuple([c.read(reader) for c in self.items])

    def shape(self) -> Shape:
        return Shape("tuple", items=self.items)


@dataclass(frozen=True)
class SomeNone:
    """An option that holds an empty option, which None cannot say."""


SOME_NONE = SomeNone()


@dataclass(frozen=True)
class Option(Codec[Any]):
    """None, or a value; SOME_NONE where the value is itself an empty option."""

    item: Codec[Any]

    def encode(self, value: Any) -> bytes:
        if value is None:
            return b"\x00"
        return b"\x01" + self.item.encode(None if value is SOME_NONE else value)

    def read(self, reader: Reader) -> Any:
        tag = reader.byte()
        if tag > 1:
            raise ScaleError(f"an option starts with 0 or 1, not {tag}")
        if not tag:
            return None
        value = self.item.read(reader)
        return SOME_NONE if value is None else value

    def shape(self) -> Shape:
        some = VariantShape("Some", 1, (Field(self.item),))
        return Shape(
            "variant",
            path=("Option",),
            params=(("T", self.item),),
            variants=(VariantShape("None", 0), some),
        )


@dataclass(frozen=True)
class OrderedSet(Codec[Any]):
    """A BTreeSet: distinct values in the order of the values."""

    item: Codec[Any]

    def encode(self, value: Iterable[Any]) -> bytes:
        return Vector(self.item).encode(sorted(set(value)))

    def read(self, reader: Reader) -> frozenset[Any]:
        return frozenset(Vector(self.item).read(reader))

    def shape(self) -> Shape:
        return Shape(
            "composite",
            path=("BTreeSet",),
            params=(("T", self.item),),
            fields=(Field(Vector(self.item)),),
        )


@dataclass(frozen=True)
class OrderedMap(Codec[Any]):
    """A BTreeMap: pairs in the order of the keys."""

    key: Codec[Any]
    value: Codec[Any]

    def encode(self, value: dict[Any, Any]) -> bytes:
        key, item = self.key.encode, self.value.encode
        return compact(len(value)) + b"".join([key(k) + item(v) for k, v in sorted(value.items())])

    def read(self, reader: Reader) -> dict[Any, Any]:
        length = reader.compact()
        if length > reader.remaining:
            raise ScaleError(f"a map of {length} items in {reader.remaining} bytes")
        key, item = self.key.read, self.value.read
        return {key(reader): item(reader) for _ in range(length)}

    def shape(self) -> Shape:
        return Shape(
            "composite",
            path=("BTreeMap",),
            params=(("K", self.key), ("V", self.value)),
            fields=(Field(Vector(Tuple((self.key, self.value)))),),
        )


@dataclass(frozen=True)
class Struct(Codec[Any]):
    """A frozen dataclass, its fields in order. `path` is its name in metadata."""

    cls: type[Any]
    path: tuple[str, ...]

    @functools.cached_property
    def members(self) -> tuple[tuple[str, Codec[Any]], ...]:
        """Each field's name and codec."""
        return members(self.cls)

    @functools.cached_property
    def _leaves(self) -> tuple[tuple[str, Codec[Any]], ...]:
        """The fields, and instead of a struct or a newtype what is inside: path and codec."""
        leaves: list[tuple[str, Codec[Any]]] = []
        for name, inner in self.members:
            bare = _unwrapped(inner)
            if isinstance(bare, Struct):
                leaves += [(f"{name}.{path}", leaf) for path, leaf in bare._leaves]
            else:
                leaves.append((name, bare))
        return tuple(leaves)

    @functools.cached_property
    def _write(self) -> Callable[[Any], bytes]:
        """Writes a value: its leaves are fetched at once, integers side by side packed at once."""
        codes = [_struct_code(leaf) for _, leaf in self._leaves]
        parts: list[tuple[slice, Callable[..., bytes]]] = []  # of the leaves, and what writes it
        for packed, run in itertools.groupby(range(len(codes)), lambda i: codes[i] is not None):
            leaves = list(run)
            if packed:
                form = struct.Struct("<" + "".join(str(codes[i]) for i in leaves))
                parts.append((slice(leaves[0], leaves[-1] + 1), form.pack))
            else:
                parts += [(slice(i, i + 1), self._leaves[i][1].encode) for i in leaves]
        values_of = _getter([path for path, _ in self._leaves])

        def write(value: Any) -> bytes:
            values = values_of(value)
            try:
                return b"".join([pack(*values[part]) for part, pack in parts])
            except struct.error as error:
                raise ScaleError(f"{value!r} does not fit: {error}") from error

        return write

    def encode(self, value: Any) -> bytes:
        return self._write(value)

    def read(self, reader: Reader) -> Any:
        return self.cls(*[c.read(reader) for _, c in self.members])

    def shape(self) -> Shape:
        fields = tuple(Field(c, wire_name(name)) for name, c in self.members)
        return Shape("composite", path=self.path, fields=fields)


@dataclass(frozen=True)
class Record(Codec[dict[str, Any]]):
    """Named fields in order, as a dict: for answers that are wide tables rather than values."""

    path: tuple[str, ...]
    fields: tuple[tuple[str, Codec[Any]], ...]

    def encode(self, value: dict[str, Any]) -> bytes:
        try:
            return b"".join([c.encode(value[name]) for name, c in self.fields])
        except KeyError as error:
            raise ScaleError(f"{self.path[-1]} needs the field {error}") from error

    def read(self, reader: Reader) -> dict[str, Any]:
        return {name: c.read(reader) for name, c in self.fields}

    def shape(self) -> Shape:
        fields = tuple(Field(c, name) for name, c in self.fields)
        return Shape("composite", path=self.path, fields=fields)


@dataclass(frozen=True)
class Enumeration(Codec[Any]):
    """An IntEnum: one byte. Members are written in CamelCase in Python as on the chain."""

    cls: type[enum.IntEnum]
    path: tuple[str, ...]

    def encode(self, value: enum.IntEnum) -> bytes:
        return bytes([int(value)])

    def read(self, reader: Reader) -> enum.IntEnum:
        byte = reader.byte()
        try:
            return self.cls(byte)
        except ValueError as error:
            raise ScaleError(f"{self.cls.__name__} has no variant {byte}") from error

    def shape(self) -> Shape:
        variants = tuple(VariantShape(member.name, int(member)) for member in self.cls)
        return Shape("variant", path=self.path, variants=variants)


@dataclass(frozen=True)
class Tagged:
    """A value of an enum whose variants carry data: `Tagged("Id", account)`."""

    name: str
    value: Any = None


@dataclass(frozen=True)
class Variants(Codec[Tagged]):
    """An enum whose variants carry nothing or one value."""

    path: tuple[str, ...]
    variants: tuple[tuple[int, str, Codec[Any] | None], ...]
    params: tuple[tuple[str, Codec[Any] | None], ...] = ()

    @functools.cached_property
    def _by_name(self) -> dict[str, tuple[int, Codec[Any] | None]]:
        return {name: (index, inner) for index, name, inner in self.variants}

    @functools.cached_property
    def _by_index(self) -> dict[int, tuple[str, Codec[Any] | None]]:
        return {index: (name, inner) for index, name, inner in self.variants}

    def encode(self, value: Tagged) -> bytes:
        if value.name not in self._by_name:
            raise ScaleError(f"{self.path[-1]} has no variant {value.name}")
        index, inner = self._by_name[value.name]
        return bytes([index]) + (inner.encode(value.value) if inner is not None else b"")

    def read(self, reader: Reader) -> Tagged:
        index = reader.byte()
        if index not in self._by_index:
            raise ScaleError(f"{self.path[-1]} has no variant {index}")
        name, inner = self._by_index[index]
        return Tagged(name, inner.read(reader) if inner is not None else None)

    def shape(self) -> Shape:
        variants = tuple(
            VariantShape(name, index, _fields(inner)) for index, name, inner in self.variants
        )
        return Shape("variant", path=self.path, params=self.params, variants=variants)


def _fields(inner: Codec[Any] | None) -> tuple[Field, ...]:
    """A struct in a variant is its named fields, a tuple its unnamed ones, all else one field."""
    if inner is None:
        return ()
    if isinstance(inner, Struct) and not inner.path:
        return tuple(Field(c, wire_name(name)) for name, c in inner.members)
    if isinstance(inner, Tuple):
        return tuple(Field(c) for c in inner.items)
    return (Field(inner),)


@dataclass(frozen=True, eq=False)
class Described(Codec[Any]):
    """A codec with a hand-made shape, for what the generic ones cannot say (era, call, event)."""

    describe: Callable[[], Shape]
    write: Callable[[Any], bytes] = dataclasses.field(compare=False)
    parse: Callable[[Reader], Any] = dataclasses.field(compare=False)
    name: str = ""  # what a type that contains itself is called without describing it

    def encode(self, value: Any) -> bytes:
        return self.write(value)

    def read(self, reader: Reader) -> Any:
        return self.parse(reader)

    def shape(self) -> Shape:
        return self.describe()


def writer(inner: Codec[Any]) -> Callable[[Any], bytes]:
    """`inner.encode`, or what does the same in fewer calls."""
    bare = _unwrapped(inner)
    return bare._write if isinstance(bare, Struct) else bare.encode


def _unwrapped(inner: Codec[Any]) -> Codec[Any]:
    """A newtype is written as what it wraps."""
    while isinstance(inner, Newtype):
        inner = inner.inner
    return inner


def _getter(paths: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What fetches several attributes, of attributes too, as a tuple."""
    if not paths:
        return lambda _: ()
    fetch = operator.attrgetter(*paths)
    return fetch if len(paths) > 1 else lambda value: (fetch(value),)


def members(cls: type[Any]) -> tuple[tuple[str, Codec[Any]], ...]:
    """The fields of a dataclass in order: Python name and codec."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple((f.name, codec(hints[f.name])) for f in dataclasses.fields(cls))


def is_immutable(inner: Codec[Any]) -> bool:
    """Whether values of this type can be shared, since nobody can change them."""
    match inner:
        case Integer() | Boolean() | Text() | Bytes() | FixedBytes() | Enumeration():
            return True
        case Newtype() | Compact():
            return is_immutable(inner.inner)
        case Option() | OrderedSet():
            return is_immutable(inner.item)
        case Tuple():
            return all(map(is_immutable, inner.items))
        case Struct():
            return all(is_immutable(c) for _, c in inner.members)
    return False


def type_name(inner: Codec[Any]) -> str:
    """A type as a reader writes it: `NetUid`, `Vec<u16>`, `(u64, AccountId32)`."""
    if isinstance(inner, Described) and inner.name:
        return inner.name
    shape = inner.shape()
    items = [type_name(item) for item in shape.items]
    if shape.path:
        named = [type_name(c) for _, c in shape.params if c is not None]
        generic = shape.path[-1] in ("Option", "BTreeSet", "BTreeMap", "BoundedVec")
        return shape.path[-1] + (f"<{', '.join(named)}>" if generic else "")
    return {
        "primitive": shape.primitive,
        "compact": f"Compact<{items[0] if items else ''}>",
        "sequence": f"Vec<{items[0] if items else ''}>",
        "array": f"[{items[0] if items else ''}; {shape.length}]",
        "tuple": f"({', '.join(items)})",
    }[shape.definition]


def wire_name(name: str) -> str:
    """A field's name on the chain: Python keywords carry a trailing underscore (`from_`)."""
    return name.rstrip("_")


# From Python types to codecs


_NAMED: dict[Any, Codec[Any]] = {
    U8: Integer(8),
    U16: Integer(16),
    U32: Integer(32),
    U64: Integer(64),
    U128: Integer(128),
    I8: Integer(8, True),
    I16: Integer(16, True),
    I32: Integer(32, True),
    I64: Integer(64, True),
    I128: Integer(128, True),
    bool: Boolean(),
    str: Text(),
    bytes: Bytes(),
    AccountId: Newtype(("sp_core", "crypto", "AccountId32"), FixedBytes(32), AccountId),
    H256: Newtype(("primitive_types", "H256"), FixedBytes(32), H256),
    Rao: Newtype(("subtensor_runtime_common", "TaoBalance"), Integer(64), Rao),
    Alpha: Newtype(("subtensor_runtime_common", "AlphaBalance"), Integer(64), Alpha),
    NetUid: Newtype(("subtensor_runtime_common", "NetUid"), Integer(16), NetUid),
}


def declare(tp: type[Any], inner: Codec[Any]) -> None:
    """Make `inner` the codec of the class `tp`."""
    _NAMED[tp] = inner


def codec(tp: Any) -> Codec[Any]:
    """The codec of a Python type or annotation. Raises TypeError for one that has none."""
    return _codec(tp)


@functools.cache
def _codec(tp: Any) -> Codec[Any]:
    if isinstance(tp, Codec):
        return tp
    if tp in _NAMED:
        return _NAMED[tp]
    origin, arguments = typing.get_origin(tp), typing.get_args(tp)
    if origin is Annotated:
        return next((c for c in arguments[1:] if isinstance(c, Codec)), None) or codec(arguments[0])
    if origin is list:
        return Vector(codec(arguments[0]))
    if origin is tuple:
        return Tuple(tuple(codec(a) for a in arguments if a != ()))
    if origin in (frozenset, set):
        return OrderedSet(codec(arguments[0]))
    if origin is dict:
        return OrderedMap(codec(arguments[0]), codec(arguments[1]))
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2:
        inner = [a for a in arguments if a is not type(None)]
        if len(inner) == 1:
            return Option(codec(inner[0]))
    if isinstance(tp, type) and issubclass(tp, enum.IntEnum):
        return Enumeration(tp, _path(tp))
    if isinstance(tp, type) and dataclasses.is_dataclass(tp):
        return Struct(tp, _path(tp))
    raise TypeError(f"{tp!r} has no SCALE codec")


def _path(cls: type[Any]) -> tuple[str, ...]:
    """A type's name in metadata: its `__scale_path__`, else its own name."""
    path: tuple[str, ...] = getattr(cls, "__scale_path__", (cls.__name__,))
    return path


UNIT = Tuple()
