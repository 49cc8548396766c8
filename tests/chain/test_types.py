"""Units do not mix, and addresses are those of the SDK's own library."""

from __future__ import annotations

import bittensor_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import H256, AccountId, Alpha, NetUid, Rao, Ss58Error

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def test_amounts_of_one_kind_add_and_subtract() -> None:
    assert Rao(5) + Rao(6) == Rao(11)
    assert type(Rao(5) - Rao(2)) is Rao
    assert sum([Alpha(1), Alpha(2)], start=Alpha(0)) == Alpha(3)
    assert Rao(3).saturating_sub(Rao(5)) == Rao(0)
    assert Rao(2**64 - 1).saturating_add(Rao(5)) == Rao(2**64 - 1)


@pytest.mark.parametrize(
    "mix",
    [
        lambda: Rao(5) + Alpha(5),
        lambda: Rao(5) - Alpha(5),
        lambda: Rao(5) + 5,
        lambda: 5 + Rao(5),
        lambda: Rao(5) - 5,
        lambda: 5 - Rao(5),
        lambda: Rao(5).saturating_add(Alpha(5)),  # type: ignore[arg-type]
    ],
)
def test_amounts_do_not_mix(mix: object) -> None:
    assert callable(mix)
    with pytest.raises(TypeError, match="does not mix"):
        mix()


@pytest.mark.parametrize("make", [lambda: Rao(-1), lambda: Alpha(2**64), lambda: NetUid(65_536)])
def test_values_outside_their_width_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="out of range"):
        make()


def test_an_amount_does_not_go_below_zero() -> None:
    with pytest.raises(ValueError, match="out of range"):
        Rao(1) - Rao(2)


@given(st.binary(min_size=32, max_size=32))
def test_addresses_are_those_of_the_sdk(key: bytes) -> None:
    address = AccountId(key).ss58()
    assert address == bittensor_core.ss58_encode(key)
    assert AccountId.from_ss58(address) == key


@pytest.mark.parametrize(
    "address",
    [
        "",
        "5" * 100_000,
        ALICE[:-1],
        ALICE[:-1] + "Z",
        ALICE[:-1] + "0",
        "1" * 48,
        "z" * 48,
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Ss58Error):
        AccountId.from_ss58(address)


def test_a_hash_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        H256(b"short")
