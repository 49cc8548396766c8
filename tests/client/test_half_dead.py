"""A connection that is open and dead: nothing is closed, nothing comes. It is noticed, replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import transfer
from chain.errors import ChainAway
from chain.types import RAO_PER_TAO

ALICE = Keypair.create_from_uri("//Alice")
BOB = Keypair.create_from_uri("//Bob").ss58_address


class Proxy:
    """Carries bytes to a node; connections open when `silence` is called carry none any more."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._node = (parts.hostname, parts.port)
        self._generation = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.url = ""

    def silence(self) -> None:
        """Every connection of now stays open and goes silent; later ones work."""
        self._generation += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        generation = self._generation
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._node)
        self._writers += [writer, upstream_writer]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    if generation == self._generation:
                        sink.write(data)
                        await sink.drain()
            if generation == self._generation:
                sink.close()

        for pair in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(pump(*pair))
            self._pumps.add(task)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._pumps:
                task.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for writer in self._writers:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


@pytest.fixture
async def proxy(devnet: str) -> AsyncIterator[Proxy]:
    async with Proxy(devnet).open() as proxy:
        yield proxy


async def test_a_silent_connection_is_given_up_and_the_next_read_has_a_new_one(
    proxy: Proxy,
) -> None:
    async with Chain.connect(proxy.url, answer_timeout_s=4.0, quiet_s=1.0) as chain:
        before = await chain.block()
        assert proxy.connections == 1
        proxy.silence()
        with pytest.raises(ChainAway, match="no answer within 4 s"):
            await chain.block()
        assert await chain.block() >= before
        assert await chain.wait_for_block(before + 1) > before
        assert proxy.connections == 2


async def test_waiting_for_a_block_on_it_ends(proxy: Proxy) -> None:
    async with Chain.connect(proxy.url, answer_timeout_s=4.0, quiet_s=1.0) as chain:
        waiting = asyncio.create_task(chain.wait_for_block(10**9))
        await chain.block()
        proxy.silence()
        with pytest.raises(ChainAway):
            await waiting
        assert await chain.block() > 0


async def test_an_extrinsic_on_it_is_not_waited_for_to_the_end_of_its_era(proxy: Proxy) -> None:
    async with Chain.connect(proxy.url, answer_timeout_s=4.0, quiet_s=1.0) as chain:
        call = transfer(BOB, RAO_PER_TAO)
        await chain.submit(call, ALICE)  # the metadata is there
        sending = asyncio.create_task(chain.submit(call, ALICE))
        await asyncio.sleep(0)
        proxy.silence()
        with pytest.raises(ChainAway, match="no answer within 4 s"):  # not the SDK's own pings
            await sending
        await chain.submit(call, ALICE)


async def test_an_era_that_ends_first_does_not_hide_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that come fast make an era shorter than the wait for an answer."""
    async with Chain.connect(proxy.url, answer_timeout_s=4.0, quiet_s=1.0) as chain:
        call = transfer(BOB, RAO_PER_TAO)
        await chain.submit(call, ALICE)
        with monkeypatch.context() as patch:
            patch.setattr("chain.client.chain.ERA_BLOCKS", 8)  # two seconds
            sending = asyncio.create_task(chain.submit(call, ALICE))
            await asyncio.sleep(0)
            proxy.silence()
            with pytest.raises(ChainAway, match="no answer within 4 s"):
                await sending
        await chain.submit(call, ALICE)
        assert proxy.connections == 2


async def test_an_extrinsic_that_comes_to_no_end_is_told_in_words(
    devnet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.client.chain.ERA_BLOCKS", 0)
    async with Chain.connect(devnet) as chain:
        with pytest.raises(ChainAway, match="an extrinsic was not final within its era of 0 s"):
            await chain.submit(transfer(BOB, RAO_PER_TAO), ALICE)
        assert await chain.block() > 0
