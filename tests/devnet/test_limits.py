"""What one client may not do to the others: each limit is passed by one, and another goes on.

Whoever passes a limit is told so in JSON-RPC; only a client that does not read can be told nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from chain.devnet.server import ServerLimits
from tests.devnet.conftest import Client, Running, run_devnet
from tests.devnet.tiny import data_key

BIG = data_key(b"big")
LIMITS = ServerLimits(
    message_bytes=40_000, answer_bytes=50_000, waiting=64, waiting_bytes=400_000, connections=3
)


@asynccontextmanager
async def two_clients(
    limits: ServerLimits = LIMITS,
) -> AsyncIterator[tuple[Running, Client, Client]]:
    """A node with a value of 10,000 bytes, an abusive client, and one who must not notice.

    The latter follows heads all the while, and is asked in the end.
    """
    async with run_devnet(limits=limits) as devnet:
        devnet.node.set_storage({BIG: bytes(10_000)})
        abusive, well = await devnet.connect(), await devnet.connect()
        heads = await well.get("chain_subscribeNewHeads")
        assert await well.note(heads)
        yield devnet, abusive, well
        made = await well.get("devnet_mine", 1)
        assert int((await last_note(well, heads))["number"], 16) == made["number"]
        assert await well.get("chain_getHead") == made["hash"]


async def last_note(client: Client, subscription: str) -> Any:
    """The newest of the notifications that came with the last answer, or after it."""
    found = await client.note(subscription)
    while client.notes:
        found = await client.note(subscription)
    return found


def request(method: str, *params: object, request_id: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def refusal(code: int, message: str, limit: int, request_id: object = None) -> dict[str, object]:
    error = {"code": code, "message": message, "data": f"Exceeded max limit of {limit}"}
    return {"jsonrpc": "2.0", "error": error, "id": request_id}


async def test_a_message_that_is_too_large() -> None:
    async with two_clients() as (devnet, abusive, _):
        expected = refusal(-32007, "Request is too big", LIMITS.message_bytes)
        assert await devnet.post(b" " * 40_001) == (413, expected)
        assert (await devnet.post(b" " * 40_000))[1]["error"]["code"] == -32700
        await abusive.socket.send_str(" " * 40_001)
        assert await abusive.receive() == expected
        closed = await abusive.socket.receive(timeout=5)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_a_large_message_in_small_frames() -> None:
    async with two_clients() as (_, abusive, _):
        writer = abusive.socket._writer
        await writer.send_frame(b" " * 30_000, aiohttp.WSMsgType.TEXT.value)  # still one message
        assert (await abusive.receive())["error"]["code"] == -32700
        transport = abusive.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        for opcode in (0x01, 0x00, 0x00):  # text that is not at its end, continued
            transport.write(bytes([opcode, 0x80 | 126, 0x75, 0x30, 0, 0, 0, 0]) + b" " * 30_000)
        assert (await abusive.receive())["error"]["code"] == -32007


async def test_a_message_of_too_many_values() -> None:
    async with run_devnet() as devnet:
        well = await devnet.connect()
        abusive = await devnet.connect()
        expected = refusal(-32007, "Request is too big", 200_000)
        await abusive.socket.send_str("[" + "[]," * 150_000 + "[]]")
        assert await abusive.receive() == expected
        assert await devnet.post("[" + "1," * 200_001 + "1]") == (200, expected)
        assert await abusive.get("system_chain") == await well.get("system_chain")


async def test_a_batch_of_too_many() -> None:
    async with two_clients() as (_, abusive, _):
        await abusive.socket.send_str(json.dumps([0] * 4097))
        assert await abusive.receive() == refusal(-32010, "The batch request was too large", 4096)
        await abusive.socket.send_str(json.dumps([0] * 500))
        assert len(await abusive.receive()) == 500


async def test_answers_that_are_too_large() -> None:
    async with two_clients() as (devnet, abusive, _):
        limit = LIMITS.answer_bytes
        value = request("state_getStorage", f"0x{BIG.hex()}", request_id="one")
        keys = request("state_queryStorageAt", [f"0x{BIG.hex()}"] * 3, request_id="two")
        await abusive.socket.send_str(json.dumps(keys))
        assert await abusive.receive() == refusal(-32008, "Response is too big", limit, "two")
        await abusive.socket.send_str(json.dumps([value] * 2))
        assert [len(one["result"]) for one in await abusive.receive()] == [20_002] * 2
        before = devnet.node.head.number
        await abusive.socket.send_str(json.dumps([value, value, value, request("devnet_mine")]))
        expected = refusal(-32011, "The batch response was too large", limit)
        assert await abusive.receive() == expected
        assert await devnet.post(json.dumps([value] * 3)) == (200, expected)
        assert devnet.node.head.number == before  # what came after was not done


async def test_one_value_asked_for_many_times() -> None:
    """The answer is refused before it is made."""
    async with run_devnet() as devnet:
        devnet.node.set_storage({BIG: bytes(100_000)})
        abusive, well = await devnet.connect(), await devnet.connect()
        error = await abusive.error("state_queryStorageAt", [f"0x{BIG.hex()}"] * 10_000)
        assert error["code"] == -32008
        subscription = await abusive.get("state_subscribeStorage", [f"0x{BIG.hex()}"] * 4096)
        assert len((await abusive.note(subscription))["changes"]) == 1
        assert await well.get("system_chain")


async def test_subscriptions_of_every_kind_count_together() -> None:
    async with two_clients(ServerLimits()) as (devnet, abusive, well):
        kinds = ("chain_subscribeNewHeads", "state_subscribeStorage", "chain_subscribeAllHeads")
        asked = [request(kinds[n % 3], request_id=n) for n in range(1024)]
        for start in range(0, 1024, 256):
            await abusive.socket.send_str(json.dumps(asked[start : start + 256]))
            answers = await abusive.receive()
            while not isinstance(answers, list):
                answers = await abusive.receive()
            assert all("result" in one for one in answers)
        for kind in (*kinds, "state_subscribeRuntimeVersion", "chain_subscribeFinalizedHeads"):
            error = await abusive.error(kind)
            assert (error["code"], error["data"]) == (-32006, "Exceeded max limit of 1024")
        extrinsic = await abusive.error("author_submitAndWatchExtrinsic", "00" * 50)
        assert extrinsic["code"] == -32006
        assert devnet.node.watched_count == 0
        assert await well.note(await well.get("state_subscribeRuntimeVersion"))


@pytest.mark.parametrize(
    "limits", [ServerLimits(waiting=64), ServerLimits(waiting_bytes=400_000)], ids=["many", "large"]
)
async def test_a_client_that_does_not_read_its_notifications(
    limits: ServerLimits, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_clients(limits) as (devnet, deaf, well):
        for _ in range(20):
            await deaf.get("state_subscribeStorage", None)
        transport = deaf.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.pause_reading()
        for number in range(60):
            devnet.node.set_storage({BIG: bytes([number]) * 50_000})
            await asyncio.sleep(0)
            await well.get("system_chain")
        assert caplog.text.count("does not read") == 1
        async with asyncio.timeout(5):
            while len(devnet.node.heads) > 1:
                await asyncio.sleep(0.01)
        transport.abort()


async def test_a_client_that_reads_is_never_cut_off() -> None:
    async with two_clients() as (devnet, _, well):
        large = await well.get("state_subscribeStorage", [f"0x{BIG.hex()}"])
        assert await well.note(large)
        for number in range(30):  # more than may wait, many times over
            devnet.node.set_storage({BIG: bytes([number]) * 50_000})
            while not any(note["params"]["subscription"] == large for note in well.notes):
                well.notes.append(await well.receive())
            well.notes.clear()
        await well.get("state_unsubscribeStorage", large)
        assert LIMITS.waiting_bytes < 30 * 50_000


async def test_a_client_that_does_not_read_its_answers() -> None:
    """It is not answered further, and costs one answer, not as many as it asks for."""
    async with two_clients() as (devnet, deaf, well):
        transport = deaf.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.pause_reading()
        one = json.dumps(request("state_getStorage", f"0x{BIG.hex()}"))
        for _ in range(1000):
            await deaf.socket.send_str(one)
            await well.get("system_chain")
        kept = [
            connection._request.transport.get_write_buffer_size()
            for connection in devnet.node.server._connections
            if connection._request.transport is not None
        ]
        assert len(kept) == 2 and max(kept) < 10**6
        transport.abort()


async def test_too_many_connections() -> None:
    async with two_clients() as (devnet, _, _):
        await devnet.connect()
        url = devnet.node.url
        expected = refusal(-32009, "Server is busy, try again later", 3)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await devnet.connect()
        assert refused.value.status == 503
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with devnet.http.get(url.replace("ws", "http"), headers=headers) as response:
            assert await response.json() == expected
