"""Random calls of every pallet, made from the declarations: each argument by its codec.

Values are drawn from few: calls have to meet each other's keys, subnets and amounts to matter.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from chain.runtime.construct import PALLETS
from chain.runtime.frame import RUNTIME_CALL, Call
from chain.runtime.pallets.absent import ABSENT
from chain.runtime.pallets.balances import MULTI_ADDRESS
from chain.runtime.pallets.subtensor.records import MECH_ID
from chain.scale import (
    Array,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Enumeration,
    FixedBytes,
    Integer,
    Newtype,
    Option,
    OrderedSet,
    Struct,
    Tagged,
    Tuple,
    Variants,
    Vector,
    codec,
)
from chain.types import H256, AccountId, Alpha, NetUid, Rao, blake2_256

OUTSIDE_THE_LAWS = {
    "System.set_storage",  # root may write anything
    "System.kill_storage",
    "Balances.force_set_balance",  # makes TAO that the other pallet does not count
    "Timestamp.set",
}


@dataclass(frozen=True, eq=False, repr=False)
class Calls:
    """Strategies for calls about some accounts, subnets and amounts."""

    accounts: Sequence[AccountId]
    netuids: Sequence[NetUid]
    amounts: st.SearchStrategy[int]

    def any(self) -> st.SearchStrategy[Call]:
        """Any call of any pallet that the laws speak of, batches and sudo among them."""
        return st.sampled_from(sorted(self._lawful)).flatmap(self._lawful_call)

    @functools.cached_property
    def _lawful(self) -> dict[str, st.SearchStrategy[Call]]:
        names = {f"{pallet.name}.{name}" for pallet in PALLETS for name in pallet.calls}
        refused = {f"{pallet}.{name}" for pallet, name in ABSENT}
        return {name: self.one(name) for name in names - OUTSIDE_THE_LAWS - refused}

    def _lawful_call(self, name: str) -> st.SearchStrategy[Call]:
        return self._lawful[name]

    def one(self, name: str, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
        """The call `name` or `Pallet.name`, with any arguments but those `fixed`."""
        pallet, function = name.split(".") if "." in name else ("SubtensorModule", name)
        spec = PALLETS.by_name[pallet].calls[function]
        arguments = {
            argument: fixed[argument] if argument in fixed else self.value(kind)
            for argument, kind in spec.params
        }
        return st.fixed_dictionaries(arguments).map(lambda args: Call(pallet, function, args))

    def value(self, kind: Codec[Any]) -> st.SearchStrategy[Any]:
        """Values that `kind` writes."""
        chosen: list[tuple[Codec[Any], st.SearchStrategy[Any]]] = [
            (RUNTIME_CALL, st.deferred(lambda: self.any())),  # noqa: PLW0108
            (MULTI_ADDRESS, st.sampled_from(self.accounts).map(lambda who: Tagged("Id", who))),
            (MECH_ID, st.integers(0, 2)),
            (codec(AccountId), st.sampled_from(self.accounts)),
            (codec(NetUid), st.sampled_from(self.netuids)),
            (codec(Rao), self.amounts.map(Rao)),
            (codec(Alpha), self.amounts.map(Alpha)),
            (codec(H256), st.sampled_from(self.accounts).map(lambda who: H256(blake2_256(who)))),
        ]
        for known, strategy in chosen:
            if kind == known:
                return strategy
        return self._by_form(kind)

    def _by_form(self, kind: Codec[Any]) -> st.SearchStrategy[Any]:
        match kind:
            case Integer(bits, signed):
                low = -(2 ** (bits - 1)) if signed else 0
                high = low + 2**bits - 1
                return st.integers(0, 6) | st.sampled_from([low, high]) | st.integers(low, high)
            case Boolean():
                return st.booleans()
            case Bytes(limit):
                return st.binary(max_size=3 if limit is None else min(limit, 3))
            case FixedBytes(length):
                return st.binary(min_size=length, max_size=length)
            case Compact(inner):
                return self.value(inner)
            case Newtype(_, inner, make):
                return self.value(inner).map(make)
            case Vector(item, limit):
                return st.lists(self.value(item), max_size=3 if limit is None else min(limit, 3))
            case Array(item, length):
                return st.lists(self.value(item), min_size=length, max_size=length)
            case OrderedSet(item):
                return st.frozensets(self.value(item), max_size=3)
            case Tuple(items):
                return st.tuples(*map(self.value, items))
            case Option(item):
                return st.none() | self.value(item)
            case Struct(cls):
                fields = {name: self.value(inner) for name, inner in kind.members}
                return st.fixed_dictionaries(fields).map(lambda values: cls(**values))
            case Enumeration(cls):
                return st.sampled_from(list(cls))
            case Variants(_, variants):
                return st.sampled_from(variants).flatmap(self._variant)
        raise TypeError(f"no strategy for {kind}")

    def _variant(self, variant: tuple[int, str, Codec[Any] | None]) -> st.SearchStrategy[Tagged]:
        _, name, inner = variant
        if inner is None:
            return st.just(Tagged(name))
        return self.value(inner).map(lambda value: Tagged(name, value))


def as_sent(call: Call) -> Call:
    """The call after its way over the wire, as the chain reads it."""
    return RUNTIME_CALL.decode(PALLETS.encode_call(call))
