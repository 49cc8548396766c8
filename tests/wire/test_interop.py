"""Our miner asked by the TaoWire kit's client, and its miner by ours: over sockets, both signed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bittensor_core import Keypair
from taowire.auth.signer import RequestSigner
from taowire.chain.axon import Endpoint
from taowire.chain.gateway import NeuronView
from taowire.validator.client import ValidatorClient

from subnet.errors import Declined
from subnet.protocol import Challenge, Chunk, Failure, Target
from subnet.wire.auth import Caller
from subnet.wire.dendrite import Dendrite
from tests.wire.strangers import taowire_miner
from tests.wire.world import (
    ED_VALIDATOR,
    MINER,
    STRANGER,
    VALIDATOR,
    Echo,
    Question,
    Served,
    serving,
)

BODY = b'{"text": "caf\xc3\xa9 and more"}'
BOTH = pytest.mark.parametrize("keypair", [VALIDATOR, ED_VALIDATOR], ids=["sr25519", "ed25519"])


class Word(Chunk):
    text: str


def neuron(served: Served, hotkey: str = MINER.ss58_address) -> NeuronView:
    return NeuronView(
        uid=7,
        hotkey=hotkey,
        coldkey=hotkey,
        validator_permit=False,
        active=True,
        total_stake_tao=0.0,
        alpha_stake=0.0,
        tao_stake=0.0,
        axon=Endpoint(served.host, served.port, is_ipv6=False),
        last_update=0,
        incentive=0.0,
        dividends=0.0,
    )


@asynccontextmanager
async def asking(keypair: Keypair) -> AsyncIterator[ValidatorClient]:
    """Its client as it comes: answers must be signed. One attempt, so that failures are seen."""
    async with ValidatorClient(RequestSigner(keypair), max_attempts=1) as client:
        yield client


# Its client asks our miner


@BOTH
async def test_its_client_takes_our_signed_answer(keypair: Keypair) -> None:
    async with serving() as served, asking(keypair) as client:
        for route in ("/echo", "/echo?n=3&m=a%20b"):
            result = await client.query(neuron(served), route, BODY, response_model=Echo)
            assert (result.ok, result.response_verified) == (True, True), result
            assert result.data == Echo(text="café and more")


async def test_its_client_takes_our_signed_refusals_for_ours() -> None:
    async def decline(question: Question, caller: Caller) -> Echo:
        raise Declined("not today")

    async with serving(decline) as served, asking(VALIDATOR) as client:
        result = await client.query(neuron(served), "/echo", BODY)
        assert (result.ok, result.status, result.response_verified) == (False, 503, True)
        result = await client.query(neuron(served), "/echo", b"{}")
        assert (result.ok, result.status, result.response_verified) == (False, 400, True)


async def test_its_client_is_refused_by_ours_unsigned_before_authentication() -> None:
    async with serving() as served, asking(STRANGER) as client:
        result = await client.query(neuron(served), "/echo", BODY)
        assert (result.ok, result.status, result.response_verified) == (False, 403, False)


async def test_its_client_sees_that_our_miner_is_not_the_one_it_asked() -> None:
    async with serving() as served, asking(VALIDATOR) as client:
        result = await client.query(neuron(served, STRANGER.ss58_address), "/echo", BODY)
        assert (result.ok, result.status) == (False, 401)


async def words(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    for word in question.text.split():
        yield Word(text=word)


async def broken_off(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    yield Word(text="and then")
    raise RuntimeError("the model died")


@BOTH
async def test_its_client_takes_our_signed_stream(keypair: Keypair) -> None:
    async with serving() as served, asking(keypair) as client:
        served.axon.handle_stream("/words", Question, Word, words)
        result = await client.query_stream(neuron(served), "/words", BODY, chunk_model=Word)
        assert (result.ok, result.response_verified) == (True, True), result
        assert [word.text for word in result.data or ()] == ["café", "and", "more"]


async def test_its_client_takes_nothing_of_our_stream_that_broke_off(caplog: Any) -> None:
    async with serving() as served, asking(VALIDATOR) as client:
        served.axon.handle_stream("/words", Question, Word, broken_off)
        result = await client.query_stream(neuron(served), "/words", BODY, chunk_model=Word)
        assert (result.ok, result.response_verified) == (False, False)
        assert result.error_code == "tw.bad_response_signature"


# Our client asks its miner


class Odd(Challenge):
    texts: int


@pytest.fixture
async def its_miner() -> AsyncIterator[Target]:
    async with taowire_miner() as (host, port):
        yield Target(uid=3, hotkey=MINER.ss58_address, host=host, port=port)


async def test_our_client_and_its_miner(its_miner: Target) -> None:
    question = Question(text="café and more")
    seen: list[str] = []
    for keypair in (VALIDATOR, ED_VALIDATOR):
        async with Dendrite(keypair, allow_private=True) as dendrite:
            (reply,) = await dendrite.ask([its_miner], "/echo", question, Echo, timeout_s=10)
            assert (reply.answer, reply.signed) == (Echo(text=question.text), True), reply
            seen.clear()
            (stream,) = await dendrite.ask_stream(
                [its_miner],
                "/words",
                question,
                Word,
                timeout_s=10,
                on_chunk=lambda shown: seen.append(shown.chunk.text),
            )
            assert stream.signed and stream.answer is not None, stream
            assert [word.text for word in stream.answer] == seen == ["café", "and", "more"]

    async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
        (malformed,) = await dendrite.ask([its_miner], "/echo", Odd(texts=1), Echo, timeout_s=10)
        assert (malformed.failure, malformed.signed) == (Failure.REFUSED, True), malformed
        other = Target(3, STRANGER.ss58_address, its_miner.host, its_miner.port)
        (wrong,) = await dendrite.ask([other], "/echo", question, Echo, timeout_s=10)
        assert (wrong.failure, wrong.status, wrong.signed) == (Failure.REFUSED, 401, False)
    async with Dendrite(STRANGER, allow_private=True) as dendrite:
        (stranger,) = await dendrite.ask([its_miner], "/echo", question, Echo, timeout_s=10)
        assert (stranger.failure, stranger.status) == (Failure.REFUSED, 403)
