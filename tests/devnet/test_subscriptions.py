"""What is pushed to clients, and in what order."""

from __future__ import annotations

import asyncio

import pytest

from chain.devnet.node import NodeConfig
from chain.devnet.schedule import Interval
from chain.devnet.server import ServerLimits
from tests.devnet.conftest import Client, Running, run_devnet
from tests.devnet.tiny import FOREVER, NUMBER, data_key, extrinsic

ALICE = b"a" * 32


@pytest.mark.parametrize(
    "name",
    ["chain_subscribeNewHeads", "chain_subscribeNewHead", "chain_subscribeAllHeads"],
)
async def test_heads_come_from_the_present_one_on(client: Client, name: str) -> None:
    await client.get("devnet_mine", 2)
    subscription = await client.get(name)
    assert (await client.note(subscription))["number"] == "0x2"
    await client.get("devnet_mine", 2)
    heads = [await client.note(subscription) for _ in range(2)]
    assert [head["number"] for head in heads] == ["0x3", "0x4"]
    assert heads[1] == await client.get("chain_getHeader")
    assert await client.get(name.replace("subscribe", "unsubscribe"), subscription) is True
    assert await client.get(name.replace("subscribe", "unsubscribe"), subscription) is False
    await client.get("devnet_mine")
    assert client.notes == []


async def test_the_methods_that_notifications_name(client: Client) -> None:
    names = {
        "chain_subscribeNewHeads": "chain_newHead",
        "chain_subscribeNewHead": "chain_newHead",
        "chain_subscribeAllHeads": "chain_allHead",
        "chain_subscribeFinalizedHeads": "chain_finalizedHead",
        "state_subscribeRuntimeVersion": "state_runtimeVersion",
        "state_subscribeStorage": "state_storage",
    }
    for method, notification in names.items():
        subscription = await client.get(method, *([["0x00"]] if "Storage" in method else []))
        message = client.notes.pop(0) if client.notes else await client.receive()
        assert message["method"] == notification
        assert message["params"]["subscription"] == subscription


async def test_a_block_is_final_when_the_next_is_made() -> None:
    async with run_devnet(NodeConfig(Interval(0.05))) as devnet:
        client = await devnet.connect()
        heads = await client.get("chain_subscribeNewHeads")
        await client.get("chain_subscribeFinalizedHeads")
        head, final = 0, [0]
        while len(final) < 6:
            params = (client.notes.pop(0) if client.notes else await client.receive())["params"]
            number = int(params["result"]["number"], 16)
            if params["subscription"] == heads:
                head = number
            else:
                assert number < head or number == 0
                final.append(number)
        assert final[2:] == list(range(final[2], final[2] + 4))


async def test_final_blocks_without_an_interval_lag_a_moment(client: Client) -> None:
    await client.get("devnet_mine", 5)
    assert await client.get("chain_getFinalizedHead") != await client.get("chain_getHead")
    subscription = await client.get("chain_subscribeFinalizedHeads")
    numbers = [int((await client.note(subscription))["number"], 16) for _ in range(3)]
    assert numbers == [3, 4, 5]
    assert await client.get("chain_getFinalizedHead") == await client.get("chain_getHead")


async def test_what_was_to_become_final_before_a_revert_does_not(
    devnet: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = await client.get("devnet_snapshot")
    await client.get("devnet_mine", 3)
    await client.get("devnet_revert", snapshot)
    client = await devnet.connect()
    final = await client.get("chain_subscribeFinalizedHeads")
    made = await client.get("devnet_mine")
    assert [(await client.note(final))["number"] for _ in range(2)] == ["0x0", "0x1"]
    assert await client.get("chain_getFinalizedHead") == made["hash"]
    await client.get("devnet_revert", snapshot)
    client = await devnet.connect()
    assert await client.get("chain_getFinalizedHead") == await client.get("chain_getBlockHash", 0)
    assert "Exception in callback" not in caplog.text


async def test_an_extrinsic_s_life(client: Client) -> None:
    # The subscription's id comes first, even where the first update is known at once.
    life = await client.get("author_submitAndWatchExtrinsic", extrinsic(ALICE, 0).hex())
    assert client.notes == []
    assert await client.note(life) == "ready"
    head = await client.get("devnet_mine")
    assert await client.note(life) == {"inBlock": head["hash"]}
    await client.get("devnet_mine")
    assert await client.note(life) == {"finalized": head["hash"]}
    assert await client.get("author_unwatchExtrinsic", life) is False  # it ended by itself


async def test_an_extrinsic_from_the_future(client: Client) -> None:
    later = await client.get("author_submitAndWatchExtrinsic", extrinsic(ALICE, 1).hex())
    assert await client.note(later) == "future"
    await client.get("devnet_mine")
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 0).hex())
    assert await client.note(later) == "ready"
    head = await client.get("devnet_mine")
    assert await client.note(later) == {"inBlock": head["hash"]}


async def test_an_extrinsic_that_is_replaced(client: Client) -> None:
    slow = await client.get("author_submitAndWatchExtrinsic", extrinsic(ALICE, 0).hex())
    assert await client.note(slow) == "ready"
    tip = extrinsic(ALICE, 0, b"k", b"tip", priority=9).hex()
    digest = await client.get("author_submitExtrinsic", tip)
    assert await client.note(slow) == {"usurped": digest}


async def test_an_extrinsic_that_grows_too_old(client: Client) -> None:
    waits = await client.get("author_submitAndWatchExtrinsic", extrinsic(ALICE, 1, dies=3).hex())
    assert await client.note(waits) == "future"
    await client.get("devnet_mine", 2)
    assert await client.note(waits) == "invalid"


async def test_storage_changes_of_the_keys_asked_for(client: Client) -> None:
    key, other = f"0x{data_key(b'k').hex()}", f"0x{data_key(b'other').hex()}"
    one = await client.get("state_subscribeStorage", [key, other])
    first = await client.note(one)
    assert first["changes"] == [[key, None], [other, None]]
    await client.get("devnet_mine", 5)  # none of these changes a key that is asked for
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 0, b"k", b"\x01").hex())
    head = await client.get("devnet_mine")
    assert await client.note(one) == {"block": head["hash"], "changes": [[key, "0x01"]]}
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 1, b"k", b"").hex())
    await client.get("devnet_mine")
    assert (await client.note(one))["changes"] == [[key, None]]


async def test_all_storage_changes(client: Client) -> None:
    everything = await client.get("state_subscribeStorage", None)
    assert (await client.note(everything))["changes"] == []
    await client.get("devnet_mine")
    changes = dict((await client.note(everything))["changes"])
    assert changes[f"0x{NUMBER.hex()}"] == "0x01000000"


async def test_http_cannot_subscribe(devnet: Running) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"chain_subscribeNewHeads","params":[]}'
    _, answer = await devnet.post(body)
    assert "WebSocket" in answer["error"]["message"]


async def test_subscriptions_are_counted(client: Client) -> None:
    for _ in range(1024):
        subscription = await client.get("state_subscribeRuntimeVersion")
    error = await client.error("state_subscribeRuntimeVersion")
    assert (error["code"], error["data"]) == (-32006, "Exceeded max limit of 1024")
    await client.get("state_unsubscribeRuntimeVersion", subscription)
    await client.get("state_subscribeRuntimeVersion")


async def test_a_closed_connection_leaves_nothing_behind(devnet: Running) -> None:
    client = await devnet.connect()
    await client.get("chain_subscribeNewHeads")
    await client.get("state_subscribeStorage", None)
    raw = extrinsic(ALICE, 5, dies=FOREVER)
    await client.get("author_submitAndWatchExtrinsic", raw.hex())
    assert len(devnet.node.heads) == 2
    await client.socket.close()
    async with asyncio.timeout(5):
        while len(devnet.node.heads) or devnet.node.watched_count:
            await asyncio.sleep(0.01)


async def test_a_client_that_does_not_read_is_cut_off_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with run_devnet(limits=ServerLimits(waiting=64)) as devnet:
        deaf, well = await devnet.connect(), await devnet.connect()
        for _ in range(20):
            await deaf.get("state_subscribeStorage", None)
        heads = await well.get("chain_subscribeNewHeads")
        transport = deaf.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.pause_reading()
        for number in range(40):
            big = [[data_key(b"big").hex(), f"{number:02x}" * 50_000]]
            await devnet.node.mine(1)
            await well.get("devnet_setStorage", big)
        assert "does not read" in caplog.text
        assert await well.get("chain_getHead")
        assert await well.note(heads)
        async with asyncio.timeout(5):
            while len(devnet.node.heads) > 1:
                await asyncio.sleep(0.01)
        transport.abort()
