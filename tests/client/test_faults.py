"""The chain said no is never the same as the chain was away, whatever the SDK makes of it."""

from __future__ import annotations

import asyncio

import bittensor
import pytest
from bittensor._transport.errors import SubstrateRequestException
from bittensor._transport.extrinsics import watch_status_block
from bittensor.result import chain_error_from_substrate_request

from chain.client import Chain
from chain.client.faults import EXPIRED, refusal, translated
from chain.errors import ChainAway, ChainRefused

ENDPOINT = "ws://127.0.0.1:1"


def test_nobody_listens() -> None:
    async def connect() -> None:
        async with Chain.connect(ENDPOINT):
            pass

    with pytest.raises(ChainAway) as caught:
        asyncio.run(connect())
    assert caught.value.endpoint == ENDPOINT
    assert str(caught.value).startswith(f"{ENDPOINT} is away: ")


def test_a_network_without_a_name() -> None:
    async def connect() -> None:
        async with Chain.connect("nowhere"):
            pass

    with pytest.raises(ChainRefused, match="UnknownNetwork") as caught:
        asyncio.run(connect())
    assert "nowhere" in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        bittensor.RpcConnectionError("the connection timed out without a response"),
        bittensor.ConnectionNotReady("not open"),
        ConnectionResetError("reset"),
        TimeoutError(),
        bittensor.ChainError("Connection lost while waiting for a subscription response (...)"),
        bittensor.ChainError("RPC session closed"),
    ],
)
def test_away(error: Exception) -> None:
    with pytest.raises(ChainAway), translated(ENDPOINT):
        raise error


def test_an_error_without_words_is_told_in_some() -> None:
    """The SDK and asyncio raise some that say nothing."""
    with pytest.raises(ChainAway) as timed_out, translated(ENDPOINT):
        raise TimeoutError
    assert timed_out.value.reason == "no answer in time"
    with pytest.raises(ChainAway) as reset, translated(ENDPOINT):
        raise ConnectionResetError
    assert reset.value.reason == "ConnectionResetError"


@pytest.mark.parametrize("status", ["retracted", "dropped", "finalityTimeout"])
def test_an_extrinsic_that_may_land_yet_was_not_refused(status: str) -> None:
    """Whoever took it for refused would forget the salt of a commit that the chain then holds."""
    with pytest.raises(SubstrateRequestException) as watched:
        watch_status_block({status: "0x00"}, wait_for_inclusion=True, wait_for_finalization=True)
    error = chain_error_from_substrate_request(watched.value)
    with pytest.raises(ChainAway), translated(ENDPOINT):
        raise error


def test_a_lost_connection_is_known_by_its_cause() -> None:
    error = bittensor.ChainError("[Errno 104]")
    error.__cause__ = ConnectionResetError(104, "reset")
    assert isinstance(refusal(ENDPOINT, error), ChainAway)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (bittensor.ChainError("docs", "SubNetRegistrationDisabled"), "SubNetRegistrationDisabled"),
        (
            bittensor.ChainError("x", code=bittensor.ErrorCode.NOT_REGISTERED),
            "HotKeyNotRegisteredInSubNet",
        ),
        (bittensor.ChainError("x", code=bittensor.ErrorCode.RATE_LIMITED), "SettingWeightsTooFast"),
        (bittensor.ChainError("x", code=bittensor.ErrorCode.INTERNAL), "internal"),
        (bittensor.ChainError("... (0x) was not included before its era expired"), EXPIRED),
        (bittensor.PolicyError(["no"]), "InvalidRequest"),
    ],
)
def test_refused(error: Exception, name: str) -> None:
    with pytest.raises(ChainRefused) as caught, translated(ENDPOINT):
        raise error
    assert caught.value.name == name


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), translated(ENDPOINT):
        raise ZeroDivisionError
