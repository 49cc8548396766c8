"""What a pallet is made of: storage, events, errors, calls, hooks, constants, as declarations.

One declaration is codec, metadata, dispatcher and documentation. Storage items are stateless:
state arrives in `ctx`, so a call is a pure transition. A refused call is dropped whole, writes and
events alike, so calls need no clean-up. Knows nothing of any particular pallet or of blocks.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import xxhash

from chain.errors import BadOrigin, ModuleError, ScaleError
from chain.runtime.state import State
from chain.scale import (
    Codec,
    Described,
    Field,
    Reader,
    Shape,
    Struct,
    VariantShape,
    codec,
    is_immutable,
    members,
    type_name,
    wire_name,
    writer,
)
from chain.types import AccountId, NetUid

K = TypeVar("K")
K1 = TypeVar("K1")
K2 = TypeVar("K2")
K3 = TypeVar("K3")
V = TypeVar("V")
E = TypeVar("E", bound=type[Any])
F = TypeVar("F", bound=Callable[..., None])

# Hashers


@functools.lru_cache(maxsize=4096)
def twox_128(data: bytes) -> bytes:
    """XxHash64 with seeds 0 and 1, little-endian."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in (0, 1))


def _identity(encoded: bytes) -> bytes:
    return encoded


def _blake2_128_concat(encoded: bytes) -> bytes:
    return hashlib.blake2b(encoded, digest_size=16).digest() + encoded


def _twox_64_concat(encoded: bytes) -> bytes:
    return xxhash.xxh64_intdigest(encoded, 0).to_bytes(8, "little") + encoded


@dataclass(frozen=True)
class Hasher:
    """How a map hashes one key; all here are reversible: `skip` bytes, then the key itself."""

    name: str
    index: int
    skip: int
    apply: Callable[[bytes], bytes]


Blake2_128Concat = Hasher("Blake2_128Concat", 2, 16, _blake2_128_concat)
Twox64Concat = Hasher("Twox64Concat", 5, 8, _twox_64_concat)
Identity = Hasher("Identity", 6, 0, _identity)


def default_hasher(tp: Any) -> Hasher:
    """The chain hashes small sequential numbers by identity and all else by blake2."""
    return Identity if tp is NetUid else Blake2_128Concat


# Origins and the context of a call


@dataclass(frozen=True)
class Origin:
    """Who a call comes from: an account, root, or nobody (an inherent)."""

    kind: str
    account: AccountId | None = None


ROOT = Origin("Root")
NONE = Origin("None")


def signed(account: AccountId) -> Origin:
    """The origin of an extrinsic signed by `account`."""
    return Origin("Signed", account)


@dataclass
class Block:
    """What all calls of one block share. `author` receives the fees."""

    state: State
    number: int
    author: AccountId | None = None
    config: Any = None
    parent_hash: bytes = b"\x00" * 32
    events: list[tuple[int | None, Any]] = field(default_factory=list)
    extrinsic_index: int | None = None  # None while hooks run
    timestamp_ms: int = 0


class Ctx:
    """One call's view: the block, and who is calling."""

    __slots__ = ("block_env", "origin", "state")

    def __init__(self, block_env: Block, origin: Origin = ROOT) -> None:
        self.block_env = block_env
        self.origin = origin
        self.state = block_env.state  # the one of all calls of the block

    @property
    def block(self) -> int:
        """The number of the block being built; for a runtime API, the head's."""
        return self.block_env.number

    def deposit(self, event: Any) -> None:
        """Record an event, in the phase the block is in."""
        self.block_env.events.append((self.block_env.extrinsic_index, event))

    def as_origin(self, origin: Origin) -> Ctx:
        """The same block, called by another."""
        return Ctx(self.block_env, origin)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes and events made inside are kept together or, on an exception, dropped."""
        kept = len(self.block_env.events)
        try:
            with self.state.transaction():
                yield
        except BaseException:
            del self.block_env.events[kept:]
            raise


def ensure(condition: bool, error: type[ModuleError]) -> None:
    """Raise `error` unless `condition`."""
    if not condition:
        raise error()


def ensure_signed(ctx: Ctx) -> AccountId:
    """The account that signed. Raises BadOrigin for root and inherents."""
    if ctx.origin.account is None:
        raise BadOrigin("the call must be signed")
    return ctx.origin.account


def ensure_root(ctx: Ctx) -> None:
    """Raise BadOrigin unless root calls."""
    if ctx.origin != ROOT:
        raise BadOrigin("only root may call this")


def ensure_none(ctx: Ctx) -> None:
    """Raise BadOrigin unless this is an inherent."""
    if ctx.origin != NONE:
        raise BadOrigin("only an inherent may call this")


# Storage


DECODED_KEPT = 4096
"""Values an item remembers the meaning of."""


class Absent(LookupError):
    """`get` on an optional item that is not stored."""


KEYS_KEPT = 16384
"""Storage keys an item remembers."""


class _Keys(dict[Any, bytes]):
    """The storage key of each key of a map; when there are too many, all are forgotten."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> bytes:
        if len(self) >= KEYS_KEPT:
            self.clear()
        made = self[key] = self._make(key)
        return made


class Item(Generic[V]):
    """What all storage items share; `default` None makes the item optional."""

    def __init__(
        self,
        pallet: str,
        name: str,
        keys: tuple[tuple[Hasher, Codec[Any]], ...],
        value: Codec[V],
        default: V | None,
        docs: str,
    ) -> None:
        self.pallet = pallet
        self.name = name
        self.keys = keys
        self.value = value
        self.default = default
        self.docs = docs
        self.prefix = twox_128(pallet.encode()) + twox_128(name.encode())
        self._key = functools.lru_cache(maxsize=KEYS_KEPT)(self._make_key)
        self._keys = _Keys(self._make_key)  # of maps by one key, which are asked most
        self._row = functools.lru_cache(maxsize=KEYS_KEPT)(self._read_row)
        self._decoded: dict[bytes, V] = {}

    def _make_key(self, *keys: Any) -> bytes:
        parts = [self.prefix]
        for (hasher, key_codec), key in zip(self.keys, keys, strict=False):
            parts.append(hasher.apply(key_codec.encode(key)))
        return b"".join(parts)

    @property
    def raw_key(self) -> Callable[..., bytes]:
        """Makes the storage key of a row, or what all rows under the first keys begin with."""
        return self._key

    @functools.cached_property
    def _write(self) -> Callable[[Any], bytes]:
        return writer(self.value)

    @functools.cached_property
    def _is_shared(self) -> bool:
        return is_immutable(self.value)

    @functools.cached_property
    def _is_record(self) -> bool:
        return isinstance(self.value, Struct) and self._is_shared

    def _read_row(self, raw_key: bytes, fixed: int) -> tuple[Any, ...]:
        """The keys after the first `fixed` in a storage key."""
        reader = Reader(raw_key)
        reader.take(len(self.prefix))
        keys = []
        for hasher, key_codec in self.keys:
            reader.take(hasher.skip)
            keys.append(key_codec.read(reader))
        return tuple(keys[fixed:])

    def _read(self, raw: bytes) -> V:
        """`raw` decoded; what nobody can change is decoded once and remembered for a while."""
        value = self.value.read(Reader(raw))
        self._remember(raw, value)
        return value

    def _remember(self, raw: bytes, value: V) -> None:
        if self._is_shared:
            if len(self._decoded) >= DECODED_KEPT:
                self._decoded.clear()
            self._decoded[raw] = value

    def _at(self, ctx: Ctx, raw_key: bytes, default: V | None) -> V | None:
        raw = ctx.state.values[raw_key]
        if raw is None:
            return default
        value = self._decoded.get(raw)
        return self._read(raw) if value is None else value

    def _absent(self, *keys: Any) -> Absent:
        return Absent(f"{self.pallet}.{self.name}{keys} is not stored")

    def _put(self, ctx: Ctx, raw_key: bytes, value: V) -> None:
        raw = self._write(value)
        ctx.state.put(raw_key, raw)
        if self._is_record:  # what is written is often read next
            self._remember(raw, value)

    def _items(self, ctx: Ctx, fixed: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], V]]:
        """Rows under the first keys `fixed`: the remaining keys, and the value, in key order."""
        for raw_key in ctx.state.keys(self._key(*fixed)):
            value = self._at(ctx, raw_key, None)
            if value is not None or ctx.state.values[raw_key] is not None:
                yield self._row(raw_key, len(fixed)), cast("V", value)

    def keys_of(self, raw_key: bytes) -> tuple[Any, ...]:
        """The keys that a storage key was made of."""
        return self._row(raw_key, 0)

    def clear(self, ctx: Ctx, *fixed: Any) -> None:
        """Remove every row under the first keys `fixed`."""
        for raw_key in ctx.state.keys(self._key(*fixed)):
            ctx.state.remove(raw_key)


class StorageValue(Item[V]):
    """One value."""

    def get(self, ctx: Ctx) -> V:
        """The stored value or the default; raises Absent when there is neither."""
        found = self._at(ctx, self.prefix, self.default)
        if found is None:
            raise self._absent()
        return found

    def find(self, ctx: Ctx) -> V | None:
        """The stored value, or None."""
        return self._at(ctx, self.prefix, None)

    def put(self, ctx: Ctx, value: V) -> None:
        """Store `value`."""
        self._put(ctx, self.prefix, value)

    def remove(self, ctx: Ctx) -> None:
        """Forget the value."""
        ctx.state.remove(self.prefix)


class StorageMap(Item[V], Generic[K, V]):
    """Values by one key."""

    def get(self, ctx: Ctx, key: K) -> V:
        """The stored value or the default; raises Absent when there is neither."""
        # Half of all reads are these: `_at`, without the call.
        raw = ctx.state.values[self._keys[key]]
        found = self.default if raw is None else self._decoded.get(raw)
        if found is None:
            if raw is None:
                raise self._absent(key)
            found = self._read(raw)
        return found

    def find(self, ctx: Ctx, key: K) -> V | None:
        """The stored value, or None."""
        return self._at(ctx, self._keys[key], None)

    def put(self, ctx: Ctx, key: K, value: V) -> None:
        """Store `value` under `key`."""
        self._put(ctx, self._keys[key], value)

    def remove(self, ctx: Ctx, key: K) -> None:
        """Forget `key`."""
        ctx.state.remove(self._keys[key])

    def contains(self, ctx: Ctx, key: K) -> bool:
        """Whether `key` is stored."""
        return ctx.state.get(self._keys[key]) is not None

    def items(self, ctx: Ctx) -> Iterator[tuple[K, V]]:
        """All rows in the order of the storage keys, as they are now."""
        rows = ctx.state.notes.get(self.prefix)
        if rows is None:
            rows = [(key, value) for (key,), value in self._items(ctx, ())]
            if self._is_shared:
                ctx.state.notes[self.prefix] = rows
        return iter(rows)


class StorageDoubleMap(Item[V], Generic[K1, K2, V]):
    """Values by two keys."""

    def get(self, ctx: Ctx, key1: K1, key2: K2) -> V:
        """The stored value or the default; raises Absent when there is neither."""
        found = self._at(ctx, self._key(key1, key2), self.default)
        if found is None:
            raise self._absent(key1, key2)
        return found

    def find(self, ctx: Ctx, key1: K1, key2: K2) -> V | None:
        """The stored value, or None."""
        return self._at(ctx, self._key(key1, key2), None)

    def put(self, ctx: Ctx, key1: K1, key2: K2, value: V) -> None:
        """Store `value` under both keys."""
        self._put(ctx, self._key(key1, key2), value)

    def remove(self, ctx: Ctx, key1: K1, key2: K2) -> None:
        """Forget the pair of keys."""
        ctx.state.remove(self._key(key1, key2))

    def contains(self, ctx: Ctx, key1: K1, key2: K2) -> bool:
        """Whether the pair of keys is stored."""
        return ctx.state.get(self._key(key1, key2)) is not None

    def items(self, ctx: Ctx) -> Iterator[tuple[tuple[K1, K2], V]]:
        """All rows in the order of the storage keys."""
        return cast("Iterator[tuple[tuple[K1, K2], V]]", self._items(ctx, ()))

    def row(self, ctx: Ctx, key1: K1) -> Iterator[tuple[K2, V]]:
        """All rows under `key1`: second key and value."""
        for (key2,), value in self._items(ctx, (key1,)):
            yield key2, value


class StorageTripleMap(Item[V], Generic[K1, K2, K3, V]):
    """Values by three keys."""

    def get(self, ctx: Ctx, key1: K1, key2: K2, key3: K3) -> V:
        """The stored value or the default; raises Absent when there is neither."""
        found = self._at(ctx, self._key(key1, key2, key3), self.default)
        if found is None:
            raise self._absent(key1, key2, key3)
        return found

    def find(self, ctx: Ctx, key1: K1, key2: K2, key3: K3) -> V | None:
        """The stored value, or None."""
        return self._at(ctx, self._key(key1, key2, key3), None)

    def put(self, ctx: Ctx, key1: K1, key2: K2, key3: K3, value: V) -> None:
        """Store `value` under the three keys."""
        self._put(ctx, self._key(key1, key2, key3), value)

    def remove(self, ctx: Ctx, key1: K1, key2: K2, key3: K3) -> None:
        """Forget the three keys."""
        ctx.state.remove(self._key(key1, key2, key3))

    def items(self, ctx: Ctx) -> Iterator[tuple[tuple[K1, K2, K3], V]]:
        """All rows in the order of the storage keys."""
        return cast("Iterator[tuple[tuple[K1, K2, K3], V]]", self._items(ctx, ()))

    def rows(self, ctx: Ctx, key1: K1) -> Iterator[tuple[tuple[K2, K3], V]]:
        """All rows under `key1`: the other two keys and the value."""
        return cast("Iterator[tuple[tuple[K2, K3], V]]", self._items(ctx, (key1,)))

    def row(self, ctx: Ctx, key1: K1, key2: K2) -> Iterator[tuple[K3, V]]:
        """All rows under the first two keys: third key and value."""
        for (key3,), value in self._items(ctx, (key1, key2)):
            yield key3, value


# Calls, events, errors, constants


@dataclass(frozen=True)
class Call:
    """A call as a value: which function of which pallet, with which arguments."""

    pallet: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class CallSpec:
    """A declared call. `pays` False makes it free of fees; `weight` is its ref_time."""

    name: str
    index: int
    function: Callable[..., None]
    params: tuple[tuple[str, Codec[Any]], ...]
    pays: bool
    weight: int
    operational: bool
    docs: tuple[str, ...]


@dataclass(frozen=True)
class EventSpec:
    """A declared event; `named` says whether metadata names its fields."""

    cls: type[Any]
    index: int
    named: bool

    @functools.cached_property
    def members(self) -> tuple[tuple[str, Codec[Any]], ...]:
        """Each field's name and codec."""
        return members(self.cls)

    @functools.cached_property
    def write(self) -> Callable[[Any], bytes]:
        """Writes the fields of an event."""
        return writer(Struct(self.cls, ()))


@dataclass(frozen=True)
class ConstantSpec:
    """A constant that metadata publishes."""

    name: str
    codec: Codec[Any]
    value: Any
    docs: str


DEFAULT_WEIGHT = 200_000_000
"""ref_time of a call without one of its own: a flat stand-in for the chain's benchmarks."""


class Pallet:
    """A pallet's declarations. Declaring a name or an index twice raises at import."""

    def __init__(self, name: str, index: int, *, path: str) -> None:
        self.name = name
        self.index = index
        self.path = path  # the Rust crate, the first segment of type names: "pallet_subtensor"
        self.storage: dict[str, Item[Any]] = {}
        self.calls: dict[str, CallSpec] = {}
        self.events: dict[str, EventSpec] = {}
        self.errors: dict[str, type[ModuleError]] = {}
        self.constants: dict[str, ConstantSpec] = {}
        self.initialize_hooks: list[Callable[[Ctx], None]] = []
        self.finalize_hooks: list[Callable[[Ctx], None]] = []
        self.guards: list[Callable[[Ctx, AccountId, Call], None]] = []
        self._event_by_class: dict[type[Any], EventSpec] = {}

    # Storage

    def _store(self, item: Item[Any]) -> None:
        if item.name in self.storage:
            raise ValueError(f"{self.name}.{item.name} is declared twice")
        self.storage[item.name] = item

    def value(
        self, name: str, value: type[V] | Codec[V], *, default: V | None = None, docs: str = ""
    ) -> StorageValue[V]:
        """Declare a single value."""
        item: StorageValue[V] = StorageValue(self.name, name, (), codec(value), default, docs)
        self._store(item)
        return item

    def map(
        self,
        name: str,
        key: type[K] | Codec[K],
        value: type[V] | Codec[V],
        *,
        default: V | None = None,
        hasher: Hasher | None = None,
        docs: str = "",
    ) -> StorageMap[K, V]:
        """Declare a map. Netuids hash by identity and all else by blake2, unless said."""
        keys = ((hasher or default_hasher(key), codec(key)),)
        item: StorageMap[K, V] = StorageMap(self.name, name, keys, codec(value), default, docs)
        self._store(item)
        return item

    def double_map(
        self,
        name: str,
        key1: type[K1],
        key2: type[K2],
        value: type[V] | Codec[V],
        *,
        default: V | None = None,
        hashers: tuple[Hasher, Hasher] | None = None,
        docs: str = "",
    ) -> StorageDoubleMap[K1, K2, V]:
        """Declare a map of two keys."""
        first, second = hashers or (default_hasher(key1), default_hasher(key2))
        keys = ((first, codec(key1)), (second, codec(key2)))
        item: StorageDoubleMap[K1, K2, V] = StorageDoubleMap(
            self.name, name, keys, codec(value), default, docs
        )
        self._store(item)
        return item

    def triple_map(
        self,
        name: str,
        key1: type[K1],
        key2: type[K2],
        key3: type[K3],
        value: type[V] | Codec[V],
        *,
        default: V | None = None,
        hashers: tuple[Hasher, Hasher, Hasher] | None = None,
        docs: str = "",
    ) -> StorageTripleMap[K1, K2, K3, V]:
        """Declare a map of three keys."""
        picked = hashers or (default_hasher(key1), default_hasher(key2), default_hasher(key3))
        keys = tuple(zip(picked, (codec(key1), codec(key2), codec(key3)), strict=True))
        item: StorageTripleMap[K1, K2, K3, V] = StorageTripleMap(
            self.name, name, keys, codec(value), default, docs
        )
        self._store(item)
        return item

    def constant(self, name: str, tp: Any, value: Any, docs: str = "") -> None:
        """Declare a constant of the metadata."""
        self.constants[name] = ConstantSpec(name, codec(tp), value, docs)

    # Events and errors

    def event(self, index: int, *, named: bool = True) -> Callable[[E], E]:
        """Declare a frozen dataclass as an event of this pallet."""

        def declare(cls: E) -> E:
            if cls.__name__ in self.events or index in {e.index for e in self.events.values()}:
                raise ValueError(f"event {self.name}.{cls.__name__} ({index}) is declared twice")
            spec = EventSpec(cls, index, named)
            self.events[cls.__name__] = spec
            self._event_by_class[cls] = spec
            return cls

        return declare

    def error(self, name: str, index: int, docs: str = "") -> type[ModuleError]:
        """Declare a refusal; returns the exception to raise."""
        if name in self.errors or index in {e.index for e in self.errors.values()}:
            raise ValueError(f"error {self.name}.{name} ({index}) is declared twice")
        cls = type(
            name,
            (ModuleError,),
            {
                "pallet": self.name,
                "pallet_index": self.index,
                "name": name,
                "index": index,
                "docs": docs,
                "__doc__": docs or name,
                "__module__": __name__,
            },
        )
        self.errors[name] = cls
        return cls

    # Calls and hooks

    def call(
        self,
        index: int,
        *,
        pays: bool = True,
        weight: int = DEFAULT_WEIGHT,
        operational: bool = False,
    ) -> Callable[[F], F]:
        """Declare a function as a call: its annotations are its SCALE types."""

        def declare(function: F) -> F:
            name = function.__name__
            if name in self.calls or index in {c.index for c in self.calls.values()}:
                raise ValueError(f"call {self.name}.{name} ({index}) is declared twice")
            hints = typing.get_type_hints(function, include_extras=True)
            names = list(inspect.signature(function).parameters)[1:]
            params = tuple((n, codec(hints[n])) for n in names)
            docs = tuple(inspect.cleandoc(function.__doc__ or "").splitlines())
            self.calls[name] = CallSpec(
                name, index, function, params, pays, weight, operational, docs
            )
            return function

        return declare

    def on_initialize(self, function: Callable[[Ctx], None]) -> Callable[[Ctx], None]:
        """Run at the start of every block, in the order of the pallets."""
        self.initialize_hooks.append(function)
        return function

    def on_finalize(self, function: Callable[[Ctx], None]) -> Callable[[Ctx], None]:
        """Run at the end of every block."""
        self.finalize_hooks.append(function)
        return function

    def guard(
        self, function: Callable[[Ctx, AccountId, Call], None]
    ) -> Callable[[Ctx, AccountId, Call], None]:
        """A check before dispatch that also keeps the call out of the pool. It only reads."""
        self.guards.append(function)
        return function

    # Shapes for metadata

    def call_shape(self) -> Shape:
        """The pallet's call enum."""
        variants = tuple(
            VariantShape(
                spec.name,
                spec.index,
                tuple(Field(c, wire_name(name), type_name(c)) for name, c in spec.params),
                spec.docs,
            )
            for spec in sorted(self.calls.values(), key=lambda s: s.index)
        )
        return Shape("variant", path=(self.path, "pallet", "Call"), variants=variants)

    def event_shape(self) -> Shape:
        """The pallet's event enum."""
        variants = tuple(
            VariantShape(
                name,
                spec.index,
                tuple(Field(c, wire_name(n) if spec.named else None) for n, c in spec.members),
                tuple(inspect.cleandoc(spec.cls.__doc__ or "").splitlines()),
            )
            for name, spec in sorted(self.events.items(), key=lambda pair: pair[1].index)
        )
        return Shape("variant", path=(self.path, "pallet", "Event"), variants=variants)

    def error_shape(self) -> Shape:
        """The pallet's error enum."""
        variants = tuple(
            VariantShape(name, cls.index, (), (cls.docs,) if cls.docs else ())
            for name, cls in sorted(self.errors.items(), key=lambda pair: pair[1].index)
        )
        return Shape("variant", path=(self.path, "pallet", "Error"), variants=variants)

    def encode_event(self, event: Any) -> bytes:
        """An event of this pallet: its index, then its fields."""
        spec = self._event_by_class[type(event)]
        return bytes((self.index, spec.index)) + spec.write(event)

    @property
    def event_classes(self) -> Iterable[type[Any]]:
        """The classes of events declared here."""
        return self._event_by_class


class Pallets:
    """The pallets of a runtime, in order of index: how calls and events are told apart.

    A call can carry calls (batch, sudo), so this must be known where pallets are declared:
    the one instance is `PALLETS`, filled when `chain.runtime.pallets` is imported.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Pallet] = {}
        self.by_index: dict[int, Pallet] = {}
        self._event_owners: dict[type[Any], Pallet] = {}
        self.guards: tuple[Callable[[Ctx, AccountId, Call], None], ...] = ()

    def construct(self, pallets: list[Pallet]) -> None:
        """Set the pallets. Their indices are law: metadata, calls and errors carry them."""
        self.by_name = {p.name: p for p in sorted(pallets, key=lambda p: p.index)}
        self.by_index = {p.index: p for p in self.by_name.values()}
        if len(self.by_index) != len(pallets):
            raise ValueError("two pallets share an index")
        self._event_owners = {event: p for p in pallets for event in p.event_classes}
        self.guards = tuple(guard for p in self for guard in p.guards)

    def __iter__(self) -> Iterator[Pallet]:
        return iter(self.by_name.values())

    def spec(self, call: Call) -> CallSpec:
        """The declaration of `call`."""
        return self.by_name[call.pallet].calls[call.name]

    def encode_call(self, call: Call) -> bytes:
        """Pallet index, call index, arguments. Raises ScaleError for an unknown call."""
        pallet = self.by_name.get(call.pallet)
        spec = pallet.calls.get(call.name) if pallet else None
        if pallet is None or spec is None:
            raise ScaleError(f"no call {call.pallet}.{call.name}")
        args = b"".join(c.encode(call.args[name]) for name, c in spec.params)
        return bytes([pallet.index, spec.index]) + args

    def read_call(self, reader: Reader) -> Call:
        """The next call. Raises ScaleError."""
        reader.descend()
        pallet_index = reader.byte()
        pallet = self.by_index.get(pallet_index)
        if pallet is None or not pallet.calls:
            raise ScaleError(f"no pallet {pallet_index} with calls")
        call_index = reader.byte()
        spec = self._calls(pallet).get(call_index)
        if spec is None:
            raise ScaleError(f"{pallet.name} has no call {call_index}")
        call = Call(pallet.name, spec.name, {n: c.read(reader) for n, c in spec.params})
        reader.ascend()
        return call

    @functools.cache  # noqa: B019  one instance lives as long as the process
    def _calls(self, pallet: Pallet) -> dict[int, CallSpec]:
        return {spec.index: spec for spec in pallet.calls.values()}

    def encode_event(self, event: Any) -> bytes:
        """An event with its pallet index in front."""
        owner = self._event_owners.get(type(event))
        if owner is None:
            raise ScaleError(f"{type(event).__name__} is not an event of any pallet")
        return owner.encode_event(event)

    def outer(self, name: str, inner: Callable[[Pallet], Shape | None]) -> Shape:
        """The enum over all pallets: RuntimeCall, RuntimeEvent, RuntimeError."""
        variants = []
        for pallet in self.by_name.values():
            shape = inner(pallet)
            if shape is not None and shape.variants:
                variants.append(
                    VariantShape(pallet.name, pallet.index, (Field(pallet_codec(pallet, inner)),))
                )
        return Shape("variant", path=("node_subtensor_runtime", name), variants=tuple(variants))


def _unreadable(reader: Reader) -> Any:
    raise ScaleError("this enum is described, not decoded")


def _unwritable(value: Any) -> bytes:
    raise ScaleError("this enum is described, not encoded")


@functools.cache
def pallet_codec(pallet: Pallet, inner: Callable[[Pallet], Shape | None]) -> Codec[Any]:
    """A stand-in codec for one pallet's call, event or error enum in metadata."""
    return Described(lambda: inner(pallet) or Shape("variant"), _unwritable, _unreadable)


PALLETS = Pallets()

RUNTIME_CALL: Codec[Call] = Described(
    lambda: PALLETS.outer("RuntimeCall", Pallet.call_shape),
    PALLETS.encode_call,
    PALLETS.read_call,
    "RuntimeCall",
)
RUNTIME_EVENT: Codec[Any] = Described(
    lambda: PALLETS.outer("RuntimeEvent", Pallet.event_shape), PALLETS.encode_event, _unreadable
)
RUNTIME_ERROR: Codec[Any] = Described(
    lambda: PALLETS.outer("RuntimeError", Pallet.error_shape), _unwritable, _unreadable
)


def run_guards(ctx: Ctx, call: Call) -> None:
    """Every pallet's guards for a signed call; the first refusal is raised."""
    if ctx.origin.account is None:
        return
    for guard in PALLETS.guards:
        guard(ctx, ctx.origin.account, call)


def dispatch(ctx: Ctx, call: Call) -> None:
    """Run `call` by `ctx.origin` in an overlay that a refusal drops. Raises DispatchError."""
    spec = PALLETS.spec(call)
    with ctx.transaction():
        run_guards(ctx, call)
        spec.function(ctx, **call.args)
