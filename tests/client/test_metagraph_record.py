"""The runtime's record becomes a frozen view in the chain's own integers."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from chain.client.metagraph import from_record
from chain.types import Alpha


def record(**changes: Any) -> dict[str, Any]:
    def axon(ip: str, port: int) -> dict[str, int]:
        address = ipaddress.ip_address(ip)
        return {"ip": int(address), "port": port, "ip_type": address.version}

    return {
        "block": 400,
        "tempo": 90,
        "last_step": 390,
        "owner_hotkey": "owner",
        "owner_coldkey": "owner-cold",
        "hotkeys": ["a", "b", "c"],
        "coldkeys": ["A", "B", "C"],
        "active": [True, False, True],
        "validator_permit": [False, True, False],
        "total_stake": [5, 7, 0],
        "alpha_stake": [4, 6, 0],
        "consensus": [1, 2, 3],
        "incentives": [65535, 0, 11],
        "dividends": [0, 65535, 0],
        "emission": [9, 8, 0],
        "last_update": [380, 381, 0],
        "block_at_registration": [3, 4, 399],
        "axons": [axon("127.0.0.2", 8091), axon("2001:db8::1", 9), axon("0.0.0.0", 1)],
        **changes,
    }


def test_seats_in_order_of_uid() -> None:
    metagraph = from_record(2, record())
    assert [neuron.uid for neuron in metagraph.neurons] == [0, 1, 2]
    first, second, third = metagraph.neurons
    assert (first.host, first.port) == ("127.0.0.2", 8091)
    assert (second.host, second.port) == ("2001:db8::1", 9)
    assert (third.host, third.port) == (None, None)
    assert (first.incentive, second.dividends, third.registered_at) == (65535, 65535, 399)
    assert second.permit and not second.active
    assert (second.stake, second.alpha) == (Alpha(7), Alpha(6))
    assert metagraph.incentive == 65546
    assert metagraph.find("c") is third
    assert metagraph.find("d") is None


def test_what_the_owner_earns_is_burned_and_pays_nobody() -> None:
    assert from_record(2, record(owner_coldkey="A")).incentive == 11


def test_columns_shorter_than_the_seats() -> None:
    # A neuron that joined after the last epoch has no entry in the epoch's vectors yet.
    metagraph = from_record(2, record(incentives=[65535], axons=[]))
    assert [neuron.incentive for neuron in metagraph.neurons] == [65535, 0, 0]
    assert [neuron.host for neuron in metagraph.neurons] == [None, None, None]


def test_nothing_can_be_changed() -> None:
    metagraph = from_record(2, record())
    with pytest.raises(AttributeError):
        metagraph.neurons[0].incentive = 1  # type: ignore[misc]
