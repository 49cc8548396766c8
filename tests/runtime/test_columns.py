"""Columns of storage read and write what the items themselves would, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import ScaleError
from chain.runtime.frame import Block, Ctx
from chain.runtime.pallets.subtensor import columns, shares
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import SafeFloat, StorageIndex
from chain.runtime.state import EmptyState, State
from chain.types import AccountId, Alpha, NetUid
from tests.runtime.economy import account

HERE = NetUid(3)
INDEX = StorageIndex.of(HERE, 1)
u64 = st.integers(0, 2**64 - 1)
rows = st.lists(
    st.none() | st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)), max_size=90),
    max_size=6,
)


def fresh() -> Ctx:
    return Ctx(Block(State(EmptyState()), 1))


def names(count: int) -> list[AccountId]:
    return [account(str(i)) for i in range(count)]


@given(st.lists(st.none() | u64, max_size=9))
def test_numbers_are_what_is_stored_or_the_default(amounts: list[int | None]) -> None:
    ctx, hotkeys = fresh(), names(len(amounts))
    for hotkey, amount in zip(hotkeys, amounts, strict=True):
        if amount is not None:
            s.TotalHotkeyAlpha.put(ctx, hotkey, HERE, Alpha(amount))
    found = columns.numbers(ctx, s.TotalHotkeyAlpha, hotkeys, HERE)
    assert found == [int(s.TotalHotkeyAlpha.get(ctx, hotkey, HERE)) for hotkey in hotkeys]
    rates = columns.numbers(ctx, s.Delegates, hotkeys)
    assert rates == [11_796] * len(amounts)


@given(st.lists(u64, max_size=9))
def test_numbers_are_stored_as_the_item_would(amounts: list[int]) -> None:
    ours, theirs, hotkeys = fresh(), fresh(), names(len(amounts))
    columns.put_numbers(ours, s.AlphaDividendsPerSubnet, HERE, hotkeys, values=amounts)
    for hotkey, amount in zip(hotkeys, amounts, strict=True):
        s.AlphaDividendsPerSubnet.put(theirs, HERE, hotkey, Alpha(amount))
    assert ours.state.changes() == theirs.state.changes()


@given(rows)
def test_matrices_are_what_is_stored(stored: list[list[tuple[int, int]] | None]) -> None:
    ctx = fresh()
    for uid, row in enumerate(stored):
        if row is not None:
            s.Weights.put(ctx, INDEX, uid, row)
    found = columns.matrix(ctx, s.Weights, INDEX, range(len(stored)))
    assert [list(row) for row in found] == [row or [] for row in stored]
    again = fresh()
    columns.put_matrix(again, s.Bonds, INDEX, range(len(stored)), rows=found)
    for uid, row in enumerate(stored):
        assert s.Bonds.find(again, INDEX, uid) == (row or [])
        assert again.state.get(s.Bonds.raw_key(INDEX, uid)) == s.Bonds.value.encode(row or [])


def test_long_rows_have_long_counts() -> None:
    ctx = fresh()
    for uid, length in enumerate((0, 63, 64, 16_383, 16_384)):
        s.Weights.put(ctx, INDEX, uid, [(i, 1) for i in range(length)])
    found = columns.matrix(ctx, s.Weights, INDEX, range(5))
    assert [len(row) for row in found] == [0, 63, 64, 16_383, 16_384]


def test_accounts() -> None:
    ctx, hotkeys = fresh(), names(3)
    s.Owner.put(ctx, hotkeys[1], account("owner"))
    assert columns.accounts(ctx, s.Owner, hotkeys) == [None, account("owner"), None]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"\x04\x01\x00\x02\x00" + b"left over", [[(1, 2)]]),
        (b"\x05\x00\x01\x00\x02\x00", None),  # a count that is not in its shortest form
        (b"\x08\x01\x00\x02\x00", None),  # a pair is missing
        (b"", None),
    ],
)
def test_what_no_codec_wrote_is_read_as_a_codec_would(
    raw: bytes, read: list[list[tuple[int, int]]] | None
) -> None:
    ctx = fresh()
    ctx.state.put(s.Weights.raw_key(INDEX, 0), raw)
    if read is not None:
        found = columns.matrix(ctx, s.Weights, INDEX, range(1))
        assert [list(row) for row in found] == read == [s.Weights.get(ctx, INDEX, 0)]
        return
    with pytest.raises(ScaleError):
        columns.matrix(ctx, s.Weights, INDEX, range(1))
    with pytest.raises(ScaleError):
        s.Weights.get(ctx, INDEX, 0)


def test_numbers_of_the_wrong_size() -> None:
    ctx, (hotkey,) = fresh(), names(1)
    ctx.state.put(s.TotalHotkeyAlpha.raw_key(hotkey, HERE), b"\x07" + bytes(9))
    assert columns.numbers(ctx, s.TotalHotkeyAlpha, [hotkey], HERE) == [7]
    ctx.state.put(s.TotalHotkeyAlpha.raw_key(hotkey, HERE), b"\x07")
    with pytest.raises(ScaleError):
        columns.numbers(ctx, s.TotalHotkeyAlpha, [hotkey], HERE)


def test_keys_are_remembered_by_item_and_columns() -> None:
    hotkeys = names(3)
    found = columns.raw_keys(s.AlphaDividendsPerSubnet, HERE, hotkeys)
    assert found == [s.AlphaDividendsPerSubnet.raw_key(HERE, hotkey) for hotkey in hotkeys]
    assert columns.raw_keys(s.AlphaDividendsPerSubnet, HERE, list(hotkeys)) is found
    other = columns.raw_keys(s.RootAlphaDividendsPerSubnet, HERE, hotkeys)
    assert other == [s.RootAlphaDividendsPerSubnet.raw_key(HERE, hotkey) for hotkey in hotkeys]
    elsewhere = columns.raw_keys(s.AlphaDividendsPerSubnet, NetUid(4), hotkeys)
    assert not set(found) & set(elsewhere)
    hotkeys.reverse()
    assert columns.raw_keys(s.AlphaDividendsPerSubnet, HERE, hotkeys) == found[::-1]


def test_too_many_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_KEYS_KNOWN", 100)
    monkeypatch.setattr(columns, "_COLUMNS_KNOWN", 6)
    monkeypatch.setattr(columns, "_rows", {})
    for count in range(40):
        assert len(columns.raw_keys(s.Keys, HERE, range(count))) == count
        assert len(columns._rows) <= 6
        assert sum(map(len, columns._rows.values())) <= 100 + count


def test_a_column_without_a_value_for_each_row_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        columns.put_numbers(fresh(), s.AlphaDividendsPerSubnet, HERE, names(3), values=[1, 2])


def test_a_share_of_the_wrong_length_is_read_as_its_item_would() -> None:
    ctx = fresh()
    whole, cut = names(2)
    s.AlphaV2.put(ctx, whole, whole, HERE, SafeFloat(2 * 10**20, -20))
    ctx.state.put(s.AlphaV2.raw_key(cut, cut, HERE), bytes(25))
    shares.increase_many(ctx, HERE, [(whole, whole, 1), (cut, cut, 1)])
    ctx.state.put(s.AlphaV2.raw_key(cut, cut, HERE), bytes(23))
    with pytest.raises(ScaleError):
        shares.increase_many(ctx, HERE, [(whole, whole, 1), (cut, cut, 1)])
