"""JSON-RPC as such: framing, batches, errors, limits, over both transports. Then nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.devnet.node import Node, NodeConfig
from chain.devnet.rpc.methods import METHODS
from chain.devnet.schedule import Manual
from chain.devnet.server import CannotListen, Server, ServerLimits
from tests.devnet.conftest import Client, Running, run_devnet
from tests.devnet.tiny import TinyEngine


def request(method: object = "system_chain", **fields: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **fields}


BROKEN: list[tuple[str, int, str]] = [
    ("{", -32700, "Parse error"),
    ("", -32700, "Parse error"),
    ('{"a":NaN}', -32700, "NaN"),
    ("[" * 100_000, -32700, "Parse error"),
    ("9" * 10_000, -32700, "Parse error"),
    ("[]", -32600, "empty batch"),
    ("7", -32600, "not an object"),
    ('"text"', -32600, "not an object"),
    ("{}", -32600, "jsonrpc"),
    (json.dumps({**request(), "jsonrpc": "1.0"}), -32600, "jsonrpc"),
    (json.dumps(request(7)), -32600, "method"),
    (json.dumps(request(params="x")), -32600, "params"),
    (json.dumps(request(id={})), -32600, "id"),
    (json.dumps(request(id=True)), -32600, "id"),
    ('{"jsonrpc":"2.0","method":"system_chain","id":1e999}', -32600, "id"),
    (json.dumps(request("no_such")), -32601, "no_such"),
    (json.dumps(request("__class__")), -32601, "__class__"),
    (json.dumps(request("chain_getHeader", params=["zz"])), -32602, "parameter 1 (at)"),
    (json.dumps(request("chain_getHeader", params=["0x00"])), -32602, "32 bytes"),
    (json.dumps(request("chain_getHeader", params=[None, 1])), -32602, "at most 1"),
    (json.dumps(request("state_getStorage")), -32602, "missing parameter 1 (key)"),
    (json.dumps(request("state_getStorage", params=["0a 0b"])), -32602, "hex"),
    (json.dumps(request("state_getStorage", params=["0xabc"])), -32602, "hex"),
    (json.dumps(request("state_getStorage", params={"kee": "00"})), -32602, "kee"),
    (json.dumps(request("state_queryStorageAt", params=["0x00"])), -32602, "an array"),
    (json.dumps(request("state_queryStorageAt", params=[[1]])), -32602, "hex bytes"),
    (json.dumps(request("devnet_mine", params=[True])), -32602, "integer"),
    (json.dumps(request("devnet_mine", params=[0])), -32602, "from 1"),
    (json.dumps(request("devnet_setStorage", params=[[["00"]]])), -32602, "an array of 2"),
    (json.dumps(request("devnet_setBlockTime", params=[-1])), -32602, "interval"),
    (json.dumps(request("devnet_setBlockTime", params=["soon"])), -32602, "neither seconds"),
    (json.dumps(request("devnet_setBlockTime", params=[True])), -32602, "manual"),
    (json.dumps(request("devnet_setBalance", params=["5Alice", 1])), -32602, "an account"),
    (
        json.dumps(request("devnet_impersonate", params=["0x" + "00" * 32, 1])),
        -32602,
        "true or false",
    ),
    (json.dumps(request("devnet_loadState", params=["0x00"])), -32602, "(dump)"),
    (json.dumps(request("chain_getBlockHash", params=[2**32])), -32602, "2^32"),
    (json.dumps(request("system_accountNextIndex", params=["5G"])), -32602, "account"),
]


@pytest.mark.parametrize(("text", "code", "says"), BROKEN, ids=range(len(BROKEN)))
async def test_what_is_wrong_is_said(
    devnet: Running, client: Client, text: str, code: int, says: str
) -> None:
    await client.socket.send_str(text)
    answer = await client.receive()
    status, posted = await devnet.post(text)
    assert (status, posted) == (200, answer)
    assert answer["error"]["code"] == code
    assert says in answer["error"]["message"]
    assert answer["id"] == (1 if '"id": 1,' in text else None)
    assert await client.get("system_chain")


async def test_a_batch_is_answered_as_one(client: Client) -> None:
    batch = [
        request(id="a"),
        request("no_such", id=None),
        {"jsonrpc": "2.0", "method": "devnet_mine"},  # a notification: done, not answered
        3,
        request("chain_getHeader", id=2.5),
    ]
    await client.socket.send_str(json.dumps(batch))
    answers = await client.receive()
    assert [answer["id"] for answer in answers] == ["a", None, None, 2.5]
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        None,
        -32601,
        -32600,
        None,
    ]
    assert answers[-1]["result"]["number"] == "0x1"
    await client.socket.send_str(json.dumps([request()] * 4097))
    refused = (await client.receive())["error"]
    assert (refused["code"], refused["data"]) == (-32010, "Exceeded max limit of 4096")


async def test_notifications_are_not_answered(devnet: Running, client: Client) -> None:
    silent = json.dumps({"jsonrpc": "2.0", "method": "devnet_mine"})
    await client.socket.send_str(silent)
    await client.socket.send_str(json.dumps([json.loads(silent)]))
    assert (await client.get("chain_getHeader"))["number"] == "0x2"
    assert await devnet.post(silent) == (204, None)


async def test_subscribing_in_a_batch_answers_before_it_notifies(client: Client) -> None:
    names = ["chain_subscribeNewHeads", "state_subscribeRuntimeVersion"]
    batch = [request(name, id=n) for n, name in enumerate(names)]
    await client.socket.send_str(json.dumps(batch))
    answers = await client.receive()
    for answer in answers:
        assert (await client.receive())["params"]["subscription"] == answer["result"]


async def test_a_batch_that_ends_the_connection_is_answered_first(client: Client) -> None:
    snapshot = await client.get("devnet_snapshot")
    names = [("devnet_revert", [snapshot]), ("chain_getHead", []), ("chain_getHead", [])]
    batch = [request(name, params=params) for name, params in names]
    await client.socket.send_str(json.dumps(batch))
    assert len(await client.receive()) == 3
    assert (await client.socket.receive(timeout=5)).data == 1012


async def test_named_parameters_and_bytes_instead_of_text(devnet: Running, client: Client) -> None:
    body = request("devnet_mine", params={"blocks": 3})
    await client.socket.send_bytes(json.dumps(body).encode())
    assert (await client.receive())["result"]["number"] == 3
    _, answer = await devnet.post(json.dumps(request("chain_getHeader", params={"at": None})))
    assert answer["result"]["number"] == "0x3"


async def test_http_says_what_it_wants(devnet: Running) -> None:
    url = devnet.node.server.url.replace("ws", "http")
    async with devnet.http.get(url) as response:
        assert response.status == 405
        assert "POST" in await response.text()
    assert (await devnet.post(b"\xff\xfe"))[1]["error"]["code"] == -32700


async def test_messages_are_bounded() -> None:
    async with run_devnet(limits=ServerLimits(message_bytes=1000)) as devnet:
        client = await devnet.connect()
        status, answer = await devnet.post(b" " * 2000)
        assert (status, answer["error"]["code"]) == (413, -32007)
        await client.socket.send_str(" " * 2000)
        assert await client.receive() == answer
        message = await client.socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
        assert await (await devnet.connect()).get("system_chain")


async def test_connections_are_bounded() -> None:
    async with run_devnet(limits=ServerLimits(connections=2)) as devnet:
        first, _ = await devnet.connect(), await devnet.connect()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await devnet.connect()
        assert refused.value.status == 503
        await first.socket.close()
        async with asyncio.timeout(5):
            while True:
                try:
                    await devnet.connect()
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.01)


async def test_a_taken_port_is_an_error_of_its_own(devnet: Running) -> None:
    async with Node(TinyEngine(), NodeConfig(Manual())) as node:
        with pytest.raises(CannotListen, match=str(devnet.node.server.port)) as error:
            await Server(node, port=devnet.node.server.port).__aenter__()
        assert error.value.taken
        with pytest.raises(CannotListen) as error:
            await Server(node, "192.0.2.1", 0).__aenter__()
        assert not error.value.taken


async def test_stopping_does_not_wait_for_clients() -> None:
    async with run_devnet() as devnet:
        clients = [await devnet.connect() for _ in range(5)]
        await clients[0].get("chain_subscribeNewHeads")
        deaf = clients[1].socket._response.connection.transport  # type: ignore[union-attr]
        assert deaf is not None
        deaf.pause_reading()
        async with asyncio.timeout(5):
            await devnet.node.server.__aexit__(None, None, None)
        assert (await clients[2].socket.receive(timeout=5)).data == 1001
        deaf.abort()
        await devnet.node.server.__aenter__()


# Nonsense

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0x", "0x00", "0xzz", "00" * 32, "0x" + "00" * 32, "0x1", -1, 2**70]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
REQUESTS = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": st.integers(0, 9),
        "method": st.sampled_from(sorted(METHODS)),
    },
    optional={"params": st.lists(JSON, max_size=5) | JSON},
)
LIVES = ("devnet_mine", "devnet_revert")  # may make many blocks, or end the connection


def texts() -> st.SearchStrategy[str]:
    wild = st.text(max_size=60) | st.builds(json.dumps, JSON | st.lists(REQUESTS, max_size=3))
    plain = REQUESTS.filter(lambda r: r["method"] not in LIVES)
    return wild | st.builds(json.dumps, plain)


@pytest.fixture(scope="module")
def nonsense_devnet() -> Iterator[tuple[asyncio.Runner, Client]]:
    """One devnet for all examples, on a loop that outlives each of them."""
    with asyncio.Runner() as runner:
        context = run_devnet()
        devnet = runner.run(context.__aenter__())
        try:
            yield runner, runner.run(devnet.connect())
        finally:
            runner.run(context.__aexit__(None, None, None))


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=texts())
def test_nonsense_gets_an_answer_and_does_no_harm(
    nonsense_devnet: tuple[asyncio.Runner, Client], text: str
) -> None:
    runner, client = nonsense_devnet

    async def send() -> Any:
        try:
            await client.socket.send_str(text)
        except UnicodeEncodeError:  # not a text that can be sent
            return None
        probe = await client.ask("system_chain")
        assert probe["result"]
        notes, client.notes = client.notes, []
        return [note for note in notes if isinstance(note, list) or "params" not in note]

    for answer in runner.run(send()) or ():
        for one in answer if isinstance(answer, list) else [answer]:
            assert ("result" in one) != ("error" in one)
            if "error" in one:
                assert one["error"]["code"] != -32603, one
                assert one["error"]["message"]


async def test_a_refused_socket_leaves_the_port_free() -> None:
    async with run_devnet() as devnet:
        port = devnet.node.server.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
