"""Salted commits: the client's hash is the chain's, whatever is in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain.client.commits import SALT_WORDS, SaltedCommit, WaitingCommit
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.runtime.pallets.subtensor.weights import commit_hash_of
from chain.types import AccountId, NetUid

u16 = st.integers(0, 65535)
rows = st.dictionaries(u16, st.integers(1, 65535), min_size=1, max_size=64)


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(1, 4095),
    rows,
    st.lists(u16, min_size=SALT_WORDS, max_size=SALT_WORDS),
    st.integers(0, 2**64 - 1),
)
def test_the_hash_is_what_the_chain_computes(
    account: bytes, netuid: int, row: dict[int, int], salt: list[int], version: int
) -> None:
    hotkey = AccountId(account)
    commit = SaltedCommit(hotkey.ss58(), netuid, row, tuple(salt), version)
    index = StorageIndex.of(NetUid(netuid))
    chains = commit_hash_of(hotkey, index, list(row), list(row.values()), salt, version)
    assert commit.hash == "0x" + chains.hex()


def test_every_part_of_it_counts() -> None:
    def digest(**changes: object) -> str:
        parts = {"hotkey": AccountId(bytes(32)).ss58(), "netuid": 2, "row": {1: 2}, "salt": (3,)}
        return SaltedCommit(**{**parts, **changes}).hash  # type: ignore[arg-type]

    other = AccountId(bytes([1] * 32)).ss58()
    seen = {
        digest(),
        digest(hotkey=other),
        digest(netuid=3),
        digest(row={1: 3}),
        digest(row={2: 2}),
        digest(salt=(4,)),
        digest(salt=(3, 0)),
        digest(version=1),
    }
    assert len(seen) == 8


def test_entries_of_the_chain() -> None:
    assert WaitingCommit.salted(("0xab", 7, 70, 0)) == WaitingCommit(7, 70, hash="0xab")
    assert WaitingCommit.salted((b"\xab", 7, 70, 0)) == WaitingCommit(7, 70, hash="0xab")
    sealed = ("5Someone", 70, b"text", 1000)
    assert WaitingCommit.sealed(7, sealed) == WaitingCommit(7, 70, reveal_round=1000)
