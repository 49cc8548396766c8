"""Metadata V14 and V15: everything declared, as one blob that clients decode the chain with.

The portable registry is filled by walking the codecs; ids are given before a type is described, so
that types may contain themselves. Nothing here is written by hand a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.runtime.extrinsic import (
    EXTENSIONS,
    EXTRA,
    EXTRINSIC_VERSION,
    SIGNATURE,
    UNCHECKED_EXTRINSIC,
)
from chain.runtime.frame import (
    PALLETS,
    RUNTIME_CALL,
    RUNTIME_ERROR,
    RUNTIME_EVENT,
    ConstantSpec,
    Item,
    Pallet,
    pallet_codec,
)
from chain.runtime.pallets.balances import MULTI_ADDRESS
from chain.scale import Codec, Described, Field, Shape, Tuple, VariantShape, compact

MAGIC = b"meta"
_DEFINITIONS = (
    "composite", "variant", "sequence", "array", "tuple", "primitive", "compact",
)  # fmt: skip
_PRIMITIVES = (
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256",
    "i8", "i16", "i32", "i64", "i128", "i256",
)  # fmt: skip


@dataclass(frozen=True)
class ApiMethod:
    """A runtime API method as V15 publishes it."""

    name: str
    inputs: tuple[tuple[str, Codec[Any]], ...]
    output: Codec[Any]
    docs: str = ""


@dataclass(frozen=True)
class Api:
    """A runtime API: a named group of methods."""

    name: str
    methods: tuple[ApiMethod, ...]
    docs: str = ""


def _text(value: str) -> bytes:
    raw = value.encode()
    return compact(len(raw)) + raw


def _list(items: list[bytes]) -> bytes:
    return compact(len(items)) + b"".join(items)


def _docs(*lines: str) -> bytes:
    return _list([_text(line) for line in lines if line])


def _option(value: bytes | None) -> bytes:
    return b"\x00" if value is None else b"\x01" + value


class Registry:
    """The portable type registry: every type once, by number."""

    def __init__(self) -> None:
        self._ids: dict[Codec[Any], int] = {}
        self._types: list[bytes] = []

    def id(self, codec: Codec[Any]) -> int:
        """The number of a type, described on first sight."""
        known = self._ids.get(codec)
        if known is not None:
            return known
        number = len(self._types)
        self._ids[codec] = number
        self._types.append(b"")
        self._types[number] = self._type(codec.shape())
        return number

    def ref(self, codec: Codec[Any]) -> bytes:
        """A reference to a type."""
        return compact(self.id(codec))

    def encode(self) -> bytes:
        """All types with their numbers."""
        return _list([compact(i) + raw for i, raw in enumerate(self._types)])

    def _type(self, shape: Shape) -> bytes:
        path = _list([_text(segment) for segment in shape.path])
        params = _list(
            [_text(n) + _option(None if c is None else self.ref(c)) for n, c in shape.params]
        )
        definition = bytes([_DEFINITIONS.index(shape.definition)]) + self._definition(shape)
        return path + params + definition + _docs()

    def _definition(self, shape: Shape) -> bytes:
        if shape.definition == "composite":
            return self._fields(shape.fields)
        if shape.definition == "variant":
            return _list([self._variant(v) for v in shape.variants])
        if shape.definition == "array":
            return shape.length.to_bytes(4, "little") + self.ref(shape.items[0])
        if shape.definition == "tuple":
            return _list([self.ref(c) for c in shape.items])
        if shape.definition == "primitive":
            return bytes([_PRIMITIVES.index(shape.primitive)])
        return self.ref(shape.items[0])  # sequence, compact

    def _variant(self, variant: VariantShape) -> bytes:
        fields = self._fields(variant.fields)
        return _text(variant.name) + fields + bytes([variant.index]) + _docs(*variant.docs)

    def _fields(self, fields: tuple[Field, ...]) -> bytes:
        encoded = []
        for field in fields:
            name = _option(_text(field.name) if field.name else None)
            type_name = _option(_text(field.type_name) if field.type_name else None)
            encoded.append(name + self.ref(field.codec) + type_name + _docs())
        return _list(encoded)


def _storage_item(registry: Registry, item: Item[Any]) -> bytes:
    modifier = 0 if item.default is None else 1
    if not item.keys:
        kind = b"\x00" + registry.ref(item.value)
    else:
        hashers = _list([bytes([hasher.index]) for hasher, _ in item.keys])
        codecs = tuple(key for _, key in item.keys)
        key = codecs[0] if len(codecs) == 1 else Tuple(codecs)
        kind = b"\x01" + hashers + registry.ref(key) + registry.ref(item.value)
    default = b"\x00" if item.default is None else item.value.encode(item.default)
    fallback = compact(len(default)) + default
    return _text(item.name) + bytes([modifier]) + kind + fallback + _docs(item.docs)


def _pallet(
    registry: Registry, pallet: Pallet, version: int, own: tuple[ConstantSpec, ...]
) -> bytes:
    storage = None
    if pallet.storage:
        items = _list([_storage_item(registry, item) for item in pallet.storage.values()])
        storage = _text(pallet.name) + items

    def enum(declared: bool, inner: Any) -> bytes:
        return _option(registry.ref(pallet_codec(pallet, inner)) if declared else None)

    constants = []
    for constant in (*pallet.constants.values(), *own):
        value = constant.codec.encode(constant.value)
        constants.append(
            _text(constant.name)
            + registry.ref(constant.codec)
            + compact(len(value))
            + value
            + _docs(constant.docs)
        )
    parts = [
        _text(pallet.name),
        _option(storage),
        enum(bool(pallet.calls), Pallet.call_shape),
        enum(bool(pallet.events), Pallet.event_shape),
        _list(constants),
        enum(bool(pallet.errors), Pallet.error_shape),
        bytes([pallet.index]),
    ]
    if version >= 15:
        parts.append(_docs())
    return b"".join(parts)


def _extensions(registry: Registry) -> bytes:
    return _list(
        [_text(n) + registry.ref(extra) + registry.ref(more) for n, extra, more in EXTENSIONS]
    )


RUNTIME: Codec[Any] = Described(
    lambda: Shape("composite", ("node_subtensor_runtime", "Runtime")), lambda _: b"", lambda _: ()
)


def metadata(
    version: int, apis: tuple[Api, ...], constants: Mapping[str, tuple[ConstantSpec, ...]]
) -> bytes:
    """The blob of `version` 14 or 15, `meta` first.

    `apis` are published by V15 only; `constants` are those, by pallet, that one chain sets itself.
    Raises ValueError for another version.
    """
    registry = Registry()
    pallets = _list(
        [_pallet(registry, pallet, version, constants.get(pallet.name, ())) for pallet in PALLETS]
    )
    if version == 14:
        extrinsic = b"".join(
            (
                registry.ref(UNCHECKED_EXTRINSIC),
                bytes([EXTRINSIC_VERSION]),
                _extensions(registry),
            )
        )
        tail = registry.ref(RUNTIME)
    elif version == 15:
        extrinsic = b"".join(
            (
                bytes([EXTRINSIC_VERSION]),
                registry.ref(MULTI_ADDRESS),
                registry.ref(RUNTIME_CALL),
                registry.ref(SIGNATURE),
                registry.ref(EXTRA),
                _extensions(registry),
            )
        )
        tail = b"".join(
            (
                registry.ref(RUNTIME),
                _list([_api(registry, api) for api in apis]),
                registry.ref(RUNTIME_CALL),
                registry.ref(RUNTIME_EVENT),
                registry.ref(RUNTIME_ERROR),
                _list([]),  # custom values
            )
        )
    else:
        raise ValueError(f"metadata version {version} is not made here, only 14 and 15")
    # Outer enums are reached through storage (events) and calls; the registry comes first.
    registry.id(RUNTIME_CALL)
    registry.id(RUNTIME_EVENT)
    registry.id(RUNTIME_ERROR)
    return MAGIC + bytes([version]) + registry.encode() + pallets + extrinsic + tail


def _api(registry: Registry, api: Api) -> bytes:
    methods = []
    for method in api.methods:
        inputs = _list([_text(name) + registry.ref(c) for name, c in method.inputs])
        output = registry.ref(method.output)
        methods.append(_text(method.name) + inputs + output + _docs(method.docs))
    return _text(api.name) + _list(methods) + _docs(api.docs)
