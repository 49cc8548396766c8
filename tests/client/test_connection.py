"""One connection: refusals in the chain's words, one key used from several places, a chain away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import admin, transfer
from chain.devnet.devnet import Devnet
from chain.devnet.rpc.errors import SERVER_ERROR, RpcError
from chain.errors import ChainAway, ChainRefused
from chain.types import RAO_PER_TAO, Rao
from tests.patience import until

ALICE = Keypair.create_from_uri("//Alice")


class Node(Protocol):
    url: str

    async def start(self) -> None: ...

    async def kill(self) -> None: ...
    async def hang_up(self) -> None: ...


def tao(amount: int) -> Rao:
    return Rao(amount * RAO_PER_TAO)


def key(name: str) -> Any:
    return Keypair.create_from_uri(f"//{name}")


async def test_events_and_refusals_carry_the_chains_own_words(devnet: str) -> None:
    async with Chain.connect(devnet) as chain:
        bob = key("Bob").ss58_address
        receipt = await chain.submit(transfer(bob, tao(1)), ALICE)
        happened = await chain.events(receipt.block)
        mine = [event for event in happened if event.extrinsic == receipt.index]
        assert {"Transfer", "ExtrinsicSuccess"} <= {event.name for event in mine}
        assert mine == list(receipt.events)
        assert receipt.fee > 0

        with pytest.raises(ChainRefused) as refused:
            await chain.submit(admin("sudo_set_admin_freeze_window", window=0), key("Bob"))
        assert refused.value.name == "BadSigner"  # the pool knows who holds the sudo key
        with pytest.raises(ChainRefused) as refused:
            await chain.submit(transfer(bob, 10**18), key("Bob"))
        assert refused.value.name in ("FundsUnavailable", "InsufficientBalance", "Payment")
        with pytest.raises(ChainRefused, match="SubnetNotExists"):
            await chain.metagraph(77)


async def test_many_at_once_from_one_key(devnet: str) -> None:
    """The SDK keeps nonces in a cache; one key may be used from several tasks all the same."""
    async with Chain.connect(devnet) as chain:
        people = [key(f"Stranger{number}").ss58_address for number in range(5)]
        await asyncio.gather(*(chain.submit(transfer(person, tao(1)), ALICE) for person in people))
        assert [await chain.balance(person) for person in people] == [tao(1)] * 5


async def test_two_processes_sign_with_one_key(devnet: str) -> None:
    """Neither knows of the other's nonces: whoever comes second reads them again."""
    async with Chain.connect(devnet) as one, Chain.connect(devnet) as other:
        people = [key(f"Somebody{number}").ss58_address for number in range(6)]
        await asyncio.gather(
            *(
                chain.submit(transfer(person, tao(1)), ALICE)
                for person, chain in zip(people, (one, other) * 3, strict=True)
            )
        )
        assert [await one.balance(person) for person in people] == [tao(1)] * 6


async def test_a_chain_that_goes_away_and_comes_back(node: Node) -> None:
    async with Chain.connect(node.url) as chain:
        await chain.submit(transfer(key("Bob").ss58_address, tao(1)), ALICE)
        seen = await chain.block()
        genesis = await chain.block_hash(0)
        waiting = asyncio.create_task(chain.wait_for_block(seen + 100_000))
        await asyncio.sleep(0)
        await node.kill()
        with pytest.raises(ChainAway):
            await waiting
        with pytest.raises(ChainAway) as away:
            await chain.block()
        assert away.value.endpoint == node.url
        with pytest.raises(ChainAway):
            await chain.submit(transfer(key("Bob").ss58_address, tao(1)), ALICE)
        await node.start()
        assert await chain.block_hash(0) == genesis
        assert await chain.wait_for_block(seen + 1) > seen
        await chain.submit(transfer(key("Bob").ss58_address, tao(1)), ALICE)


class Frames(logging.Handler):
    """Sees every frame that the SDK sends; `act` is called with each."""

    def __init__(self, act: Callable[[str], object]) -> None:
        super().__init__()
        self._act = act
        self._logger = logging.getLogger("bittensor.transport.raw_websocket")

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("WEBSOCKET_SEND> "):
            self._act(text)

    def __enter__(self) -> None:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(logging.NOTSET)


async def test_one_registration_of_a_coldkey_at_a_time(devnet: str) -> None:
    """A shielded call takes two nonces: a second one beside it would take one of them."""
    sent: list[str] = []
    async with Chain.connect(devnet) as chain:
        hotkeys = [key(f"Bob//hot{number}").ss58_address for number in range(3)]
        with Frames(sent.append):
            uids = await asyncio.gather(
                *(chain.register(key("Bob"), 1, hotkey) for hotkey in hotkeys)
            )
    assert len(set(uids)) == 3
    assert sum("author_submit" in frame for frame in sent) == 3


async def test_a_submission_given_up_does_not_block_the_next(devnet: str) -> None:
    """The SDK counts the nonce of a call that was never sent; the next would wait for ever."""
    bob = key("Bob").ss58_address
    asked_nonce = asyncio.Event()

    def give_up(frame: str) -> None:
        if "account_nextIndex" in frame:
            asked_nonce.set()
        elif asked_nonce.is_set() and "chain_getFinalizedHead" in frame:
            task.cancel()

    async with Chain.connect(devnet) as chain:
        task = asyncio.create_task(chain.submit(transfer(bob, tao(1)), ALICE))
        with Frames(give_up):
            await asyncio.wait({task})
        assert task.cancelled()
        async with asyncio.timeout(10):
            await chain.submit(transfer(bob, tao(1)), ALICE)


async def test_a_node_that_hangs_up_is_away_and_may_come_back(node: Node) -> None:
    async with Chain.connect(node.url, answer_timeout_s=3.0) as chain:
        before = await chain.block()
        await node.hang_up()
        with pytest.raises(ChainAway):
            await chain.metagraph(1)
        with pytest.raises(ChainAway):
            await chain.wait_for_block(before + 1_000)
        await node.start()
        assert await chain.wait_for_block(before + 1) > before
        assert (await chain.metagraph(1)).netuid == 1


async def test_a_subscription_outlives_a_quiet_chain(devnet: str) -> None:
    async with Chain.connect(devnet, quiet_s=0.05) as chain:  # shorter than a block
        now = await chain.block()
        assert await chain.wait_for_block(now + 4) >= now + 4


async def test_a_read_that_is_refused_says_nothing_of_the_extrinsic_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public nodes ration reads; whoever took that for the extrinsic's would send it again."""
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))
    refused: list[object] = []

    def refuse(header: object) -> NoReturn:
        refused.append(header)
        raise RpcError(SERVER_ERROR, "rate limit exceeded")

    async with Devnet("minimal") as node, Chain.connect(node.url, quiet_s=0.05) as chain:
        number = await chain.nonce(ALICE.ss58_address)

        async def in_a_block() -> bool:
            return await chain.nonce(ALICE.ss58_address) > number

        with monkeypatch.context() as patch:
            patch.setattr("chain.devnet.node.Node._finalize", lambda self, number: None)
            sending = asyncio.create_task(chain.submit(transfer(ALICE.ss58_address, 1), ALICE))
            await until(in_a_block)
            patch.setattr("chain.devnet.rpc.chain._header", refuse)
            await until(lambda: len(refused) >= 2 or sending.done())
            assert not sending.done() or sending.exception() is None
        assert (await sending).block > 0
