"""Versions of the state against a naive model, and the same chain read back from disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.devnet.database import MEMORY, Database, DatabaseUnusable
from chain.devnet.engine import Header, extrinsics_root, state_root
from chain.devnet.store import Block, StateDiscarded, Store, UnknownBlock, UnknownSnapshot

KEYS = st.binary(max_size=3)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=2), max_size=6)
PREFIXES = st.binary(max_size=2)


def block(
    number: int,
    changes: Mapping[bytes, bytes | None],
    parent: Header | None = None,
    body: tuple[bytes, ...] = (),
    log: bytes = b"\x06log",
) -> Block:
    above = (bytes(32), bytes(32)) if parent is None else (parent.hash(), parent.state_root)
    root = state_root(above[1], changes)
    header = Header(above[0], number, root, extrinsics_root(body), (log,))
    return Block(header, header.hash(), body, number * 250)


def opened(
    state: dict[bytes, bytes],
    database: Database | None = None,
    keep: int | None = None,
    log: bytes = b"\x06log",
) -> Store:
    """A chain that was born with `state`, and by `log` is told from others."""
    return Store.open(block(0, state, log=log), state, database, keep)


def append(store: Store, changes: dict[bytes, bytes | None], body: tuple[bytes, ...] = ()) -> None:
    store.append(block(store.head.number + 1, changes, store.head.header, body), changes)


def dump(store: Store) -> list[tuple[Block, list[tuple[bytes, bytes | None]]]]:
    """Every block with the whole state after it."""
    found = []
    number = 0
    while (one := store.find_number(number)) is not None:
        state = store.state(one)
        found.append((one, [(key, state.get(key)) for key in state.keys(b"")]))
        number += 1
    return found


@settings(max_examples=200, deadline=None)
@given(
    history=st.lists(CHANGES, min_size=1, max_size=8),
    prefix=PREFIXES,
    start=st.none() | KEYS,
    count=st.none() | st.integers(0, 4),
    cut=st.integers(0, 7),
)
def test_any_past_state_is_what_a_plain_dictionary_was(
    history: list[dict[bytes, bytes | None]],
    prefix: bytes,
    start: bytes | None,
    count: int | None,
    cut: int,
) -> None:
    store = opened({b"\x01": b"g", b"\x02\x01": b"h"})
    model = {b"\x01": b"g", b"\x02\x01": b"h"}
    models = [model]
    for position, changes in enumerate(history):
        if position == cut:
            store.snapshot(0)
        append(store, changes)
        model = {k: v for k, v in {**model, **changes}.items() if v is not None}
        models.append(model)

    def check() -> None:
        for number, expected in enumerate(models):
            at = store.find_number(number)
            assert at is not None
            state = store.state(at)
            found = sorted(
                key for key in expected if key.startswith(prefix) and (start is None or key > start)
            )
            assert state.keys(prefix, start, count) == found[:count]
            for key in {key for changes in history for key in changes} | set(expected):
                assert state.get(key) == expected.get(key)

    check()
    if cut < len(history):
        store.revert(1)
        del models[cut + 1 :]
        check()
        append(store, {b"\x07": b"again"})
        models.append({**models[-1], b"\x07": b"again"})
        check()


@settings(max_examples=100, deadline=None)
@given(
    history=st.lists(CHANGES, min_size=1, max_size=12),
    keep=st.integers(1, 4),
    from_block=st.integers(0, 8),
)
def test_pruning_forgets_old_states_and_nothing_else(
    history: list[dict[bytes, bytes | None]], keep: int, from_block: int
) -> None:
    """`from_block` is where pruning begins, as when a long chain is opened with it."""
    genesis = {b"\x01": b"g", b"\x02\x01": b"h"}
    full = opened(genesis)
    pruned = opened(genesis, Database(MEMORY))
    for number, changes in enumerate(history):
        pruned.keep = keep if number >= from_block else None
        append(full, changes)
        append(pruned, changes)
    oldest = max(len(history) - keep, 0) if len(history) > from_block else 0
    assert pruned.database is not None
    with Database(Path("a dump"), pruned.dump(0)) as dumped:
        again = opened(genesis, dumped)
        for store in (pruned, again):
            for one, expected in dump(full)[oldest:]:
                state = store.state(one)
                assert [(key, state.get(key)) for key in state.keys(b"")] == expected
            for number in range(oldest):
                one = full.find_number(number)  # type: ignore[assignment]
                assert store.find_number(number) == one
                with pytest.raises(StateDiscarded, match=f"discarded for 0x{one.hash.hex()}"):
                    store.state(one)
        rows = dumped._connection.execute("SELECT count(*) FROM kv").fetchone()[0]
        # Nothing is kept that no state has: all rows but the first of each key are newer.
        assert rows == sum(len(versions.blocks) for versions in pruned._versions.values())
        for versions in pruned._versions.values():
            assert all(number > oldest for number in versions.blocks[1:])
            assert versions.values[0] is not None or versions.blocks[0] > oldest
    pruned.close()


def test_a_pruned_snapshot_is_no_more(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    store = opened({}, Database(path), keep=3)
    append(store, {b"k": b"1"})
    old, same = store.snapshot(0), store.snapshot(0)
    append(store, {b"k": b"2"})
    late = store.snapshot(0)
    for value in (b"3", b"4", b"5"):
        append(store, {b"k": value})
    store.close()
    store = opened({}, Database(path), keep=3)
    for snapshot in (old, same):
        with pytest.raises(UnknownSnapshot):
            store.revert(snapshot.number)
    store.revert(late.number)
    assert store.state(store.head).get(b"k") == b"2"
    store.close()


def test_a_chain_becomes_another(tmp_path: Path) -> None:
    first = opened({b"g": b"1"}, Database(tmp_path / "first.db"))
    memory = opened({b"g": b"1"})
    for store in (first, memory):
        append(store, {b"k": b"v"}, (b"body",))
        store.snapshot(5)
        append(store, {b"k": None})
    for source in (first, memory):
        target = opened({b"o": b"x"}, Database(tmp_path / "other.db"))
        append(target, {b"p": b"q"})
        with Database(Path("a dump"), source.dump(7)) as dumped:
            target.replace(dumped)
        append(target, {b"k": b"on"})
        seen = dump(target)
        assert seen[:-1] == dump(source)
        target.close()
        target = opened({b"g": b"1"}, Database(tmp_path / "other.db"))
        assert dump(target) == seen
        target.revert(1)
        assert dump(target) == seen[:2]
        target.close()
        (tmp_path / "other.db").unlink()
    first.close()


def test_a_dump_that_is_none_changes_nothing() -> None:
    store = opened({b"g": b"1"})
    append(store, {b"k": b"v"})
    before = dump(store)
    good = store.dump(0)
    for bad in (b"", b"text", bytes(4096), good[:5000], good[:-4096], b"x" + good[1:]):
        with pytest.raises(DatabaseUnusable), Database(Path("a dump"), bad) as dumped:
            store.replace(dumped)
        assert dump(store) == before


def test_a_block_by_hash_and_height() -> None:
    store = opened({})
    append(store, {b"k": b"v"}, (b"one", b"two"))
    assert store.find(store.head.hash) is store.find_number(1) is store.get(None) is store.head
    assert store.find_number(2) is store.find_number(-1) is store.find(bytes(32)) is None
    assert store.changed(store.head) == (b"k",)
    with pytest.raises(UnknownBlock) as unknown:
        store.get(bytes(32))
    assert unknown.value.block_hash == bytes(32)
    with pytest.raises(UnknownSnapshot):
        store.revert(1)


def test_a_chain_on_disk_is_the_same_chain(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    store = opened({b"g": b"1"}, Database(path))
    for number in range(1, 30):
        value = None if number % 7 == 0 else bytes([number])
        append(store, {b"k": value, bytes([number % 3]): b"x"}, (b"", bytes(number * 40)))
        if number == 10:
            store.snapshot(77)
    expected = dump(store)
    store.close()

    store = opened({b"g": b"1"}, Database(path))
    assert dump(store) == expected
    snapshot = store.revert(1)
    assert (snapshot.block, snapshot.offset_ms) == (10, 77)
    append(store, {b"other": b"branch"})
    branch = dump(store)
    assert branch[:11] == expected[:11]
    store.close()

    database = Database(path)
    assert database.offset_ms() == 77
    store = opened({b"g": b"1"}, database)
    assert dump(store) == branch
    store.close()


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    store = opened({}, Database(path))
    with pytest.raises(DatabaseUnusable, match="another process"):
        Database(path)
    store.close()

    database = Database(path)
    with pytest.raises(DatabaseUnusable, match="holds another chain"):
        opened({}, database, log=b"\x06other")
    database.close()

    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(DatabaseUnusable, match="schema 3"):
        Database(path)

    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(DatabaseUnusable, match="not a devnet database"):
        Database(foreign)

    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like one" * 20)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        Database(text)
    with pytest.raises(DatabaseUnusable, match="unable to open"):
        Database(tmp_path / "nowhere" / "chain.db")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET state_root=x'00' WHERE number=1",
        "UPDATE blocks SET body=x'04ff' WHERE number=1",
        "UPDATE blocks SET body=x'ff' WHERE number=1",
        "UPDATE blocks SET digest='text' WHERE number=1",
        "UPDATE kv SET value=x'00' WHERE block=1",
        "UPDATE kv SET key='text' WHERE block=1",
        "UPDATE kv SET value=NULL WHERE block=0",
        "DELETE FROM kv WHERE block=1",
        "DELETE FROM blocks WHERE number=1",
        "INSERT INTO kv VALUES (2, x'00', x'00')",
        "DELETE FROM node",
    ],
)
def test_damage_is_noticed_and_not_made_worse(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    store = opened({b"g": b"1"}, Database(path))
    for value in (b"v", b"w"):
        append(store, {b"k": value}, (b"body",))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    before = path.read_bytes()
    with Database(path) as database, pytest.raises(DatabaseUnusable, match="is damaged"):
        opened({b"g": b"1"}, database)
    assert path.read_bytes() == before


def test_of_pruned_blocks_what_is_left_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    store = opened({}, Database(path), keep=2)
    for number in range(9):
        append(store, {b"k": bytes([number]), bytes([number]): b"v"})
    store.close()
    opened({}, Database(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kv SET value=x'00' WHERE block=8 AND key=x'6b'")
    connection.close()
    with Database(path) as database, pytest.raises(DatabaseUnusable, match="8 is damaged"):
        opened({}, database)


def test_a_full_disk_costs_a_block_and_nothing_else(tmp_path: Path) -> None:
    database = Database(tmp_path / "chain.db")
    store = opened({}, database)
    append(store, {b"k": b"1"})
    before = dump(store)
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DatabaseUnusable, match="full"):
        append(store, {b"k": bytes(100_000)})
    assert dump(store) == before
    database._connection.execute("PRAGMA max_page_count=100000")
    append(store, {b"k": bytes(100_000)})
    after = dump(store)
    store.close()
    store = opened({}, Database(tmp_path / "chain.db"))
    assert dump(store) == after
    store.close()
