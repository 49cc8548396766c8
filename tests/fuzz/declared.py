"""Every SCALE type that the runtime declares, by where it stands, and well-formed bytes of each."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from chain.runtime import extrinsic
from chain.runtime.apis import APIS
from chain.runtime.construct import PALLETS
from chain.runtime.frame import RUNTIME_CALL
from chain.runtime.pallets.balances import MULTI_ADDRESS
from chain.scale import (
    Array,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Described,
    Enumeration,
    FixedBytes,
    Integer,
    Newtype,
    Option,
    OrderedMap,
    OrderedSet,
    Record,
    Struct,
    Text,
    Tuple,
    Variants,
    Vector,
    compact,
)


def _named() -> Iterator[tuple[str, Codec[Any]]]:
    for pallet in PALLETS:
        for call in pallet.calls.values():
            yield from ((f"{pallet.name}.{call.name}({n})", c) for n, c in call.params)
        for item in pallet.storage.values():
            yield f"{pallet.name}.{item.name}", item.value
            yield from ((f"{pallet.name}.{item.name}[]", key) for _, key in item.keys)
        for event in pallet.events.values():
            yield from ((f"{pallet.name}.{event.cls.__name__}.{n}", c) for n, c in event.members)
        for constant in pallet.constants.values():
            yield f"{pallet.name}.{constant.name}", constant.codec
    for api in APIS.apis:
        for name, method in api.methods.items():
            yield f"{api.name}_{name}", method.output
            yield from ((f"{api.name}_{name}({n})", c) for n, c in method.inputs)
    for name, sent, signed in extrinsic.EXTENSIONS:
        yield name, sent
        yield f"{name} (signed)", signed
    yield "RuntimeCall", RUNTIME_CALL
    yield "MultiAddress", MULTI_ADDRESS
    yield "MultiSignature", extrinsic.SIGNATURE
    yield "Era", extrinsic.ERA
    yield "UncheckedExtrinsic", extrinsic.UNCHECKED_EXTRINSIC


def declared() -> list[tuple[str, Codec[Any]]]:
    """Each type once, under the first name it has."""
    found: dict[Codec[Any], str] = {}
    for name, codec in _named():
        found.setdefault(codec, name)
    return [(name, codec) for codec, name in found.items()]


EDGES = (0, 1, 2, 3, 63, 64, 255, 256, 16383, 16384, 65535, 2**30 - 1, 2**30, 2**32 - 1, 2**63)


def _integer(bits: int, rng: Random) -> int:
    """Small and edge values more often than not."""
    pick = rng.random()
    if pick < 0.4:
        return rng.randrange(5)
    if pick < 0.7:
        return min(rng.choice(EDGES), (1 << bits) - 1)
    return (1 << bits) - 1 if pick < 0.8 else rng.getrandbits(bits)


def sample(codec: Codec[Any], rng: Random, accounts: tuple[bytes, ...], depth: int = 0) -> bytes:
    """Bytes that are one value of `codec`; 32 bytes are often one of `accounts`."""

    def one(inner: Codec[Any]) -> bytes:
        return sample(inner, rng, accounts, depth + 1)

    def several(inner: Codec[Any], limit: int | None) -> bytes:
        most = min(3, 3 if limit is None else limit) if depth < 6 else 0
        count = rng.randint(0, most)
        return compact(count) + b"".join(one(inner) for _ in range(count))

    match codec:
        case Integer(bits):
            raw = _integer(bits, rng)
            return int.to_bytes(raw, bits // 8, "little")
        case Boolean():
            return rng.choice((b"\x00", b"\x01"))
        case Text():
            text = rng.choice(("", "a", "subnet", "\u00e9", "\U0001f600" * 3)).encode()
            return compact(len(text)) + text
        case Bytes(limit):
            size = min(rng.choice((0, 1, 4, 32, 100)), 100 if limit is None else limit)
            return compact(size) + rng.randbytes(size)
        case FixedBytes(32):
            return rng.choice(accounts) if rng.random() < 0.8 else rng.randbytes(32)
        case FixedBytes(length):
            return rng.randbytes(length)
        case Compact(inner):
            while isinstance(inner, Newtype):
                inner = inner.inner
            return compact(_integer(inner.bits, rng)) if isinstance(inner, Integer) else b""
        case Newtype(inner=inner):
            return one(inner)
        case Vector(item, limit):
            return several(item, limit)
        case Array(item, length):
            return b"".join(one(item) for _ in range(length))
        case Tuple(items):
            return b"".join(map(one, items))
        case Option(item):
            return b"\x01" + one(item) if rng.random() < 0.6 else b"\x00"
        case OrderedSet(item):
            return several(item, None)
        case OrderedMap(key, value):
            return several(Tuple((key, value)), None)
        case Struct():
            return b"".join(one(c) for _, c in codec.members)
        case Record(fields=fields):
            return b"".join(one(c) for _, c in fields)
        case Enumeration(cls):
            return bytes([int(rng.choice(list(cls)))])
        case Variants(variants=variants):
            index, _, held = variants[0] if rng.random() < 0.5 else rng.choice(variants)
            return bytes([index]) + (b"" if held is None else one(held))
        case Described() if codec is RUNTIME_CALL:
            return call(rng, accounts, depth + 1)
    return rng.randbytes(rng.randrange(8))


CALLS = [
    (pallet, spec)
    for pallet in PALLETS
    for spec in sorted(pallet.calls.values(), key=lambda spec: spec.index)
]


def call(rng: Random, accounts: tuple[bytes, ...], depth: int = 0) -> bytes:
    """Some call with arguments that are well-formed, whether or not they make sense."""
    pallet, spec = rng.choice(CALLS)
    arguments = (sample(c, rng, accounts, depth) for _, c in spec.params)
    return bytes([pallet.index, spec.index]) + b"".join(arguments)
