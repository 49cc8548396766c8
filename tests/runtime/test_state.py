"""Writes over a state: nested transactions, block after block, against copies of a dictionary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.runtime.state import State
from tests.runtime.blocks import DictState

KEYS = st.binary(min_size=1, max_size=2)
WRITES = st.tuples(KEYS, st.none() | st.binary(max_size=1))
STEPS = st.recursive(
    WRITES, lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=5)), max_leaves=20
)
BLOCKS = st.lists(st.lists(STEPS, max_size=4), max_size=3)


class Undone(Exception):
    """Ends a transaction."""


def run(state: State, model: dict[bytes, bytes], step: Any, item: bytes) -> dict[bytes, bytes]:
    """Do one step on both: a write, or a transaction that is kept or not."""
    first, second = step
    if isinstance(first, bytes):
        key = item + first
        if len(first) > 1:  # as one of many
            state.put_all(key[:32], [(key, second)])
            rest = {k: v for k, v in model.items() if k != key}
            return rest if second is None else {**model, key: second}
        if second is None:
            state.remove(key)
            return {k: v for k, v in model.items() if k != key}
        state.put(key, second)
        return {**model, key: second}
    try:
        with state.transaction():
            inside = model
            for inner in second:
                inside = run(state, inside, inner, item)
                check(state, inside, item)
            if not first:
                raise Undone
        return inside
    except Undone:
        return model


def check(state: State, model: dict[bytes, bytes], item: bytes) -> None:
    assert state.keys(b"") == state.keys(item) == sorted(model)
    for first in (b"\x00", b"\x01"):
        prefix = item + first
        under = sorted(k for k in model if k.startswith(prefix))
        assert state.keys(prefix) == under
        note = [(key, model[key]) for key in under]
        if len(prefix) == 32:
            assert state.notes.get(prefix, note) == note
            state.notes[prefix] = note
    for key, value in model.items():
        assert state.get(key) == state.values[key] == value


@pytest.mark.parametrize("item", [b"", bytes(31), bytes(32)], ids=["short", "items", "rows"])
@settings(max_examples=100, deadline=None)
@given(base=st.dictionaries(KEYS, st.binary(max_size=1), max_size=6), blocks=BLOCKS)
def test_what_is_undone_was_never_written(item: bytes, base: Any, blocks: list[Any]) -> None:
    """Keys shorter than an item's prefix, under several items, and all under one."""
    model = {item + key: value for key, value in base.items()}
    before = dict(model)
    state = State(DictState(before))
    for steps in blocks:
        for step in steps:
            model = run(state, model, step, item)
            check(state, model, item)
        keys = before.keys() | model.keys()
        assert all(state.get(key) == model.get(key) for key in keys)
        wanted = {k: model.get(k) for k in keys if model.get(k) != before.get(k)}
        assert state.changes() == wanted
        after = sorted(k for k in model if k > item + b"\x01")
        assert state.keys(item, item + b"\x01") == after
        assert state.keys(item, item + b"\x01", 2) == after[:2]
        before = dict(model)
        state = state.onto(DictState(before))
        assert state.changes() == {}
        check(state, model, item)


def test_what_was_not_read_is_asked_of_the_new_base() -> None:
    """The old one may be pruned by then."""
    base = DictState({b"a": b"1", b"b": b"2"})
    state = State(base)
    state.put(b"a", b"3")
    state = state.onto(DictState({b"a": b"3", b"b": b"2"}))
    base.values.clear()
    assert state.get(b"b") == b"2" and state.keys(b"") == [b"a", b"b"]
