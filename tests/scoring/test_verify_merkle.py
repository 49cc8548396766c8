"""The Merkle tree against the vectors of Certificate Transparency, and against forgery."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verify import merkle

# Published with Certificate Transparency's reference implementation.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    0: (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    5: (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}


@pytest.mark.parametrize("count", range(9))
def test_roots_as_published(count: int) -> None:
    assert merkle.Tree(LEAVES[:count]).root.hex() == ROOTS[count]


@pytest.mark.parametrize("index", PATHS)
def test_paths_as_published(index: int) -> None:
    assert tuple(part.hex() for part in merkle.Tree(LEAVES).path(index)) == PATHS[index]


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40), st.data())
def test_every_leaf_is_a_member_at_its_place_and_nowhere_else(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    tree = merkle.Tree(leaves)
    root, path = tree.root, tree.path(index)
    assert merkle.is_member(root, leaves[index], index, len(leaves), path)
    other = data.draw(st.integers(-1, len(leaves)).filter(lambda i: i != index))
    if not 0 <= other < len(leaves) or tree.path(other) != path:
        assert not merkle.is_member(root, leaves[index], other, len(leaves), path)
    assert not merkle.is_member(root, leaves[index] + b"x", index, len(leaves), path)
    assert not merkle.is_member(root, leaves[index], index, len(leaves), (*path, b"\0" * 32))
    for at, part in enumerate(path):
        forged = (*path[:at], bytes([part[0] ^ 1]) + part[1:], *path[at + 1 :])
        assert not merkle.is_member(root, leaves[index], index, len(leaves), forged)
        assert not merkle.is_member(root, leaves[index], index, len(leaves), path[:at])


def test_a_node_does_not_pass_for_a_leaf() -> None:
    leaves = [b"a", b"b", b"c", b"d"]
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    node = hashes[0] + hashes[1]
    tree = merkle.Tree(leaves)
    assert not merkle.is_member(tree.root, node, 0, 2, tree.path(0)[1:])


@given(
    st.binary(max_size=40) | st.none(),
    st.integers(-(2**70), 2**70),
    st.integers(-(2**70), 2**70),
    st.lists(st.binary(max_size=40) | st.none(), max_size=70),
)
def test_nothing_from_outside_crashes_it_or_is_a_member(
    leaf: bytes, index: int, count: int, path: list[bytes]
) -> None:
    assert not merkle.is_member(bytes(32), leaf, index, count, path)


def test_a_path_of_no_leaf_is_an_error() -> None:
    for index in (-1, 2):
        with pytest.raises(IndexError):
            merkle.Tree([b"a", b"b"]).path(index)
