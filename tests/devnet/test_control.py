"""devnet_*: each as its documentation shows it, who may call them, and what a refusal leaves."""

from __future__ import annotations

import inspect
import json
import re
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from bittensor_core import Keypair

from chain.devnet import Devnet
from chain.devnet.database import DatabaseUnusable
from chain.devnet.node import Node, NodeConfig
from chain.devnet.rpc.devnet import HANDLERS
from chain.devnet.schedule import Instant, Interval, Manual
from chain.devnet.server import is_loopback
from chain.types import AccountId
from tests.devnet.conftest import Client, Running, run_devnet
from tests.devnet.signer import Blank, Signer
from tests.devnet.tiny import TinyEngine, data_key, extrinsic

ALICE = Keypair.create_from_uri("//Alice")
STRANGER = AccountId.from_ss58("5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT")
NAME = re.compile(r"\$(\w+)")
SAMPLE = re.compile(r"^(-->|<--) (?:(\w+) )?(.+)$", re.MULTILINE)


def steps(method: str) -> list[tuple[str, str, str]]:
    """(method, params, result) of the example in a method's documentation."""
    found = SAMPLE.findall(re.sub(r"^ +", "", inspect.getdoc(HANDLERS[method]) or "", flags=re.M))
    asked, answered = found[::2], found[1::2]
    assert {arrow for arrow, _, _ in asked} == {"-->"} and len(asked) == len(answered)
    return [(name, params, result) for (_, name, params), (_, _, result) in zip(asked, answered)]  # noqa: B905


def matches(expected: Any, found: Any) -> bool:
    if expected == "...":
        return found is not None
    if isinstance(expected, dict):
        return expected.keys() == found.keys() and all(
            matches(value, found[key]) for key, value in expected.items()
        )
    return bool(expected == found)


async def commit_weights(node: Devnet) -> str:
    """Have Alice own subnet 2, and her hotkey there wait with a sealed commit; its address."""
    signer = Signer(node)
    hotkey = Keypair.create_from_uri("//Alice/hotkey")
    address = hotkey.ss58_address
    for key, call, args in (
        (ALICE, "SubtensorModule.register_network", {"hotkey": address}),
        (
            ALICE,
            "AdminUtils.sudo_set_commit_reveal_weights_enabled",
            {"netuid": 2, "enabled": True},
        ),
        (
            hotkey,
            "SubtensorModule.commit_timelocked_weights",
            {"netuid": 2, "commit": b"sealed", "reveal_round": 1, "commit_reveal_version": 4},
        ),
    ):
        node.submit(signer.sign(key, call, **args))
        await node.mine(101)  # past the limit on how often weights are set
    assert node.pool.ready_count == 0
    return str(address)


@pytest.mark.parametrize("method", sorted(HANDLERS))
async def test_the_example_in_the_documentation(method: str) -> None:
    shown = steps(method)
    assert method in {name for name, _, _ in shown}
    async with Devnet(config=NodeConfig(Manual())) as node, aiohttp.ClientSession() as http:
        known: dict[str, object] = {}
        if "$hotkey" in str(shown):
            known["hotkey"] = await commit_weights(node)
        if "$extrinsic" in str(shown):
            raw = Signer(node).sign(Blank(STRANGER), "System.remark", remark=b"hello")
            known["extrinsic"] = f"0x{raw.hex()}"
        client = Client(await http.ws_connect(node.url))
        for name, params, result in shown:
            filled = NAME.sub(lambda match: json.dumps(known[match[1]]), params)
            found = await client.get(name, *json.loads(filled))
            if binding := NAME.fullmatch(result):
                known[binding[1]] = found
            else:
                assert matches(json.loads(result), found), (name, found)


async def test_block_time_is_any_of_three_kinds(devnet: Running, client: Client) -> None:
    for given, schedule in (("instant", Instant()), (12, Interval(12)), ("manual", Manual())):
        await client.get("devnet_setBlockTime", given)
        assert devnet.node.schedule == schedule
    for wrong in (0, "soon", None, True, [1], 10**400):
        assert (await client.error("devnet_setBlockTime", wrong))["code"] == -32602
    assert devnet.node.schedule == Manual()


async def test_a_cheat_that_is_refused_makes_no_block(devnet: Running, client: Client) -> None:
    await client.get("author_submitExtrinsic", extrinsic(b"a" * 32, 0).hex())
    account = "0x" + (b"b" * 32).hex()
    error = await client.error("devnet_setBalance", account, 13)
    assert (error["code"], error["message"]) == (-32000, "OtherError: unlucky")
    assert devnet.node.head.number == 0
    for wrong in (-1, 2**64, 1.5, "12"):
        assert (await client.error("devnet_setBalance", account, wrong))["code"] == -32602
    made = await client.get("devnet_setBalance", account, 14)
    assert made["number"] == 1
    assert await client.get("state_getStorage", data_key(b"cheat").hex())
    assert len(await client.get("author_pendingExtrinsics")) == 1


async def test_a_reveal_without_a_commit_says_so() -> None:
    async with Devnet(config=NodeConfig(Manual())) as node, aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(node.url))
        error = await client.error("devnet_revealWeights", 1, STRANGER.ss58(), [0], [1])
        assert error["message"] == "SubtensorModule.NoWeightsCommitFound"
        error = await client.error("devnet_revealWeights", 1, STRANGER.ss58(), [0], [65536])
        assert error["code"] == -32602


# Dumps


async def test_a_dump_goes_to_another_chain_with_its_past_and_its_clock(
    devnet: Running, client: Client
) -> None:
    await client.get("devnet_setStorage", [["0x01", "0xff"]])
    past = await client.get("devnet_snapshot")
    await client.get("devnet_increaseTime", 60)
    head = await client.get("devnet_setStorage", [["0x01", None]])
    dump = await client.get("devnet_dumpState")
    async with run_devnet() as other:
        await other.node.mine(9)
        there = await other.connect()
        assert await there.get("devnet_loadState", dump) == head
        assert (await there.socket.receive(timeout=5)).data == 1012
        there = await other.connect()
        assert await there.get("devnet_increaseTime", 0) == 60_000
        first = await there.get("chain_getBlockHash", 1)
        assert await there.get("state_getStorage", "0x01", first) == "0xff"
        assert await there.get("state_getStorage", "0x01") is None
        assert await there.get("chain_getFinalizedHead") == head["hash"]
        assert (await there.get("devnet_mine"))["number"] == 3
        assert (await there.get("devnet_revert", past))["number"] == 1


async def test_a_dump_that_cannot_be_loaded_changes_nothing(devnet: Running) -> None:
    client = await devnet.connect()
    head = await client.get("devnet_mine", 2)
    async with run_devnet(engine=TinyEngine(2)) as other:
        foreign = await (await other.connect()).get("devnet_dumpState")
    for dump, text in (
        (foreign, "another runtime"),
        ("0x789c", "cut short"),
        ("0x" + "00" * 100, "(dump)"),
    ):
        assert text in (await client.error("devnet_loadState", dump))["message"]
        assert await client.get("chain_getHead") == head["hash"]


async def test_a_dump_loaded_at_the_start(tmp_path: Path) -> None:
    dump, database = tmp_path / "dump", tmp_path / "chain.db"
    async with run_devnet() as first:
        head = await first.node.mine(3)
        dump.write_bytes(first.node.dump())
    for config in (
        NodeConfig(Manual(), load=dump),
        NodeConfig(Manual(), database=database, load=dump),
        NodeConfig(Manual(), database=database),
        NodeConfig(Manual(), database=dump),
    ):
        async with run_devnet(config) as again:
            assert again.node.store.find_number(3) == head
            before = again.node.head
            assert (await again.node.mine()).header.parent_hash == before.hash
    with pytest.raises(DatabaseUnusable, match="holds a chain already"):
        Node(TinyEngine(), NodeConfig(database=database, load=dump))
    with pytest.raises(DatabaseUnusable, match="No such file"):
        Node(TinyEngine(), NodeConfig(load=tmp_path / "nowhere"))


async def test_states_are_pruned_and_blocks_are_not() -> None:
    async with run_devnet(NodeConfig(Manual(), keep=2)) as devnet:
        await devnet.node.mine(5)
        client = await devnet.connect()
        hashes = await client.get("chain_getBlockHash", [0, 1, 2, 3, 4, 5])
        for block_hash in hashes[:3]:
            error = await client.error("state_getStorage", "0x00", block_hash)
            assert error["code"] == 4003
            assert f"State already discarded for {block_hash}" in error["message"]
            header = (await client.get("chain_getBlock", block_hash))["block"]["header"]
            assert header == await client.get("chain_getHeader", block_hash)
        for block_hash in hashes[3:]:
            await client.get("state_getStorage", "0x00", block_hash)


# Who may


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
def test_who_is_on_this_machine(address: str | None, expected: bool) -> None:
    assert is_loopback(address) is expected


def own_address() -> str:
    """An address of this machine that others could reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; a route is enough
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("allowed", [False, True])
async def test_control_from_elsewhere(allowed: bool, caplog: pytest.LogCaptureFixture) -> None:
    address = own_address()
    async with Devnet(
        config=NodeConfig(Manual()), host="0.0.0.0", allow_remote_control=allowed
    ) as node:
        assert ("whoever reaches" in caplog.text) is allowed
        for host, may in (("127.0.0.1", True), (address, allowed)):
            async with aiohttp.ClientSession() as http:
                client = Client(await http.ws_connect(f"ws://{host}:{node.server.port}"))
                assert await client.get("chain_getHead")
                answers = [await client.ask(method) for method in HANDLERS]
                request = {"jsonrpc": "2.0", "id": 1, "method": "devnet_mine"}
                posted = await http.post(f"http://{host}:{node.server.port}", json=request)
                answers.append(await posted.json())
            refused = [
                answer
                for answer in answers
                if "only to clients on the node's host" in str(answer.get("error"))
            ]
            assert refused == ([] if may else answers)
