"""Writes over a state: nested transactions against plain copies of a dictionary."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.runtime.state import State
from tests.runtime.blocks import DictState

KEYS = st.binary(min_size=1, max_size=2)
WRITES = st.tuples(KEYS, st.none() | st.binary(max_size=1))
STEPS = st.recursive(
    WRITES, lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=5)), max_leaves=20
)


class Undone(Exception):
    """Ends a transaction."""


def run(state: State, model: dict[bytes, bytes], step: Any) -> dict[bytes, bytes]:
    """Do one step on both: a write, or a transaction that is kept or not."""
    first, second = step
    if isinstance(first, bytes):
        if second is None:
            state.remove(first)
            return {k: v for k, v in model.items() if k != first}
        state.put(first, second)
        return {**model, first: second}
    try:
        with state.transaction():
            inside = model
            for inner in second:
                inside = run(state, inside, inner)
                check(state, inside)
            if not first:
                raise Undone
        return inside
    except Undone:
        return model


def check(state: State, model: dict[bytes, bytes]) -> None:
    assert state.keys(b"") == sorted(model)
    for prefix in (b"\x00", b"\x01"):
        assert state.keys(prefix) == sorted(k for k in model if k.startswith(prefix))
    for key, value in model.items():
        assert state.get(key) == value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, st.binary(max_size=1), max_size=6), st.lists(STEPS, max_size=6))
def test_what_is_undone_was_never_written(base: dict[bytes, bytes], steps: list[Any]) -> None:
    state, model = State(DictState(dict(base))), dict(base)
    for step in steps:
        model = run(state, model, step)
        check(state, model)
    for key in base.keys() - model.keys():
        assert state.get(key) is None
    wanted = {k: model.get(k) for k in base.keys() | model.keys() if model.get(k) != base.get(k)}
    assert state.changes() == wanted
    after = sorted(k for k in model if k > b"\x01")
    assert state.keys(b"", b"\x01") == after
    assert state.keys(b"", b"\x01", 2) == after[:2]
