"""Every method that clients use, asked over a socket."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chain.devnet.clock import MAX_TIMESTAMP_MS
from chain.types import AccountId
from tests.devnet.conftest import Client, Running, run_devnet
from tests.devnet.tiny import NOW, NUMBER, data_key, extrinsic

ALICE = b"a" * 32
BOB = b"b" * 32


def blake2(data: bytes) -> str:
    return "0x" + hashlib.blake2b(data, digest_size=32).hexdigest()


def scale_header(header: dict[str, Any]) -> bytes:
    """A header as polkadot.js encodes it, written apart from the node's own."""
    number = int(header["number"], 16)
    assert number < 2**14
    compact = bytes([number << 2]) if number < 64 else (number << 2 | 1).to_bytes(2, "little")
    logs = [bytes.fromhex(log[2:]) for log in header["digest"]["logs"]]
    roots = [bytes.fromhex(header[name][2:]) for name in ("stateRoot", "extrinsicsRoot")]
    parent = bytes.fromhex(header["parentHash"][2:])
    return b"".join([parent, compact, *roots, bytes([len(logs) << 2]), *logs])


async def test_the_list_of_methods_is_what_is_served(client: Client) -> None:
    methods = (await client.get("rpc_methods"))["methods"]
    assert methods == sorted(set(methods))
    needed = """
        account_nextIndex author_pendingExtrinsics author_submitAndWatchExtrinsic
        author_submitExtrinsic author_unwatchExtrinsic chain_getBlock chain_getBlockHash
        chain_getFinalizedHead chain_getHead chain_getHeader chain_getRuntimeVersion
        chain_subscribeAllHeads chain_subscribeFinalizedHeads chain_subscribeNewHead
        chain_subscribeNewHeads chain_unsubscribeAllHeads chain_unsubscribeFinalizedHeads
        chain_unsubscribeNewHead chain_unsubscribeNewHeads payment_queryInfo rpc_methods
        state_call state_getKeysPaged state_getMetadata state_getRuntimeVersion state_getStorage
        state_getStorageAt state_queryStorageAt state_subscribeRuntimeVersion
        state_subscribeStorage state_unsubscribeRuntimeVersion state_unsubscribeStorage
        system_accountNextIndex system_chain system_chainType system_health system_localPeerId
        system_name system_properties system_version
        """.split()
    assert set(needed) <= set(methods)
    for method in methods:
        error = (await client.ask(method)).get("error", {})
        assert error.get("code") in (None, -32602), (method, error)


async def test_what_the_system_says_of_itself(client: Client) -> None:
    assert await client.get("system_properties") == {
        "isEthereum": False,
        "ss58Format": 42,
        "tokenDecimals": 9,
        "tokenSymbol": "TAO",
    }
    assert await client.get("system_chainType") == "Development"
    assert (await client.get("system_health"))["isSyncing"] is False
    for method in ("system_chain", "system_name", "system_version", "system_localPeerId"):
        assert await client.get(method)


async def test_a_hash_is_that_of_the_scale_header(client: Client) -> None:
    for _ in range(70):  # beyond 63, where compact numbers become two bytes
        await client.get("devnet_mine")
    hashes = await client.get("chain_getBlockHash", [0, 1, 63, 64, 70])
    for number, block_hash in zip((0, 1, 63, 64, 70), hashes, strict=True):
        header = await client.get("chain_getHeader", block_hash)
        assert int(header["number"], 16) == number
        assert blake2(scale_header(header)) == block_hash
    child = await client.get("chain_getHeader", hashes[3])
    assert child["parentHash"] == hashes[2]


async def test_a_block_hash_by_height(client: Client) -> None:
    head = await client.get("devnet_mine", 3)
    assert await client.get("chain_getBlockHash") == head["hash"]
    assert await client.get("chain_getBlockHash", None) == head["hash"]
    assert await client.get("chain_getHead") == head["hash"]
    assert await client.get("chain_getBlockHash", 3) == head["hash"]
    assert await client.get("chain_getBlockHash", "0x3") == head["hash"]
    assert await client.get("chain_getBlockHash", 4) is None
    assert await client.get("chain_getBlockHash", [3, 4]) == [head["hash"], None]
    assert (await client.error("chain_getBlockHash", -1))["code"] == -32602
    assert (await client.error("chain_getBlockHash", [0, "x"]))["code"] == -32602


async def test_a_block_holds_its_extrinsics(client: Client) -> None:
    raw = extrinsic(ALICE, 0)
    assert await client.get("author_submitExtrinsic", raw.hex()) == blake2(raw)
    assert await client.get("author_pendingExtrinsics") == [f"0x{raw.hex()}"]
    head = await client.get("devnet_mine")
    block = await client.get("chain_getBlock", head["hash"])
    assert block["justifications"] is None
    assert block["block"]["header"] == await client.get("chain_getHeader")
    inherent, ours = block["block"]["extrinsics"]
    assert bytes.fromhex(inherent[2:]).startswith(b"inherent")
    assert ours == f"0x{raw.hex()}"
    assert await client.get("author_pendingExtrinsics") == []


async def test_an_unknown_hash(client: Client) -> None:
    unknown = "0x" + "12" * 32
    assert await client.get("chain_getHeader", unknown) is None
    assert await client.get("chain_getBlock", unknown) is None
    error = await client.error("state_getStorage", "0x00", unknown)
    assert (error["code"], unknown in error["message"]) == (4003, True)


async def test_storage_now_and_then(client: Client) -> None:
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 0, b"k", b"one").hex())
    first = await client.get("devnet_mine")
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 1, b"k", b"two").hex())
    second = await client.get("devnet_mine")
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 2, b"k", b"").hex())
    third = await client.get("devnet_mine", 2)
    genesis = await client.get("chain_getBlockHash", 0)
    key = data_key(b"k").hex()
    for at, value in ((genesis, None), (first, b"one"), (second, b"two"), (third, None)):
        at = at if isinstance(at, str) else at["hash"]
        expected = None if value is None else f"0x{value.hex()}"
        for method in ("state_getStorage", "state_getStorageAt"):
            assert await client.get(method, key, at) == expected
        assert await client.get("state_getStorageSize", key, at) == (value and len(value))
        assert await client.get("state_getStorageHash", key, at) == (value and blake2(value))
    assert await client.get("state_getStorage", f"0x{key}", None) is None


async def test_a_query_answers_every_key_in_order(client: Client) -> None:
    here, nowhere = data_key(b"genesis").hex(), data_key(b"nowhere").hex()
    head = await client.get("chain_getHead")
    answer = await client.get("state_queryStorageAt", [f"0x{nowhere}", here])
    assert answer == [
        {"block": head, "changes": [[f"0x{nowhere}", None], [f"0x{here}", "0x796573"]]}
    ]


async def test_pages_of_keys(client: Client) -> None:
    names = [bytes([n]) for n in (3, 1, 4, 9, 2, 6, 250)]
    changes = [[data_key(name).hex(), "01"] for name in names]
    made = await client.get("devnet_setStorage", changes)
    prefix = f"0x{data_key(b'').hex()}"
    keys = [f"0x{data_key(name).hex()}" for name in sorted(names)]
    genesis = f"0x{data_key(b'genesis').hex()}"
    everything = [*keys[:-1], genesis, keys[-1]]
    assert await client.get("state_getKeysPaged", prefix, 100) == everything
    # The SDK hands the prefix in as the start of the first page; a start is never in its page.
    assert await client.get("state_getKeysPaged", prefix, 3, prefix) == everything[:3]
    assert await client.get("state_getKeysPaged", prefix, 3, everything[2]) == everything[3:6]
    assert await client.get("state_getKeysPaged", prefix, 3, everything[-1]) == []
    assert await client.get("state_getKeysPaged", prefix, 0) == []
    between = f"0x{data_key(bytes([5])).hex()}"
    assert await client.get("state_getKeysPaged", prefix, 1, between) == [keys[4]]
    await client.get("devnet_setStorage", [[data_key(b"\x03").hex(), None]])
    assert keys[2] not in await client.get("state_getKeysPaged", prefix, 100)
    assert await client.get("state_getKeysPaged", prefix, 100, None, made["hash"]) == everything
    past = await client.get("chain_getBlockHash", 0)
    assert await client.get("state_getKeysPaged", prefix, 100, None, past) == [genesis]
    assert (await client.error("state_getKeysPaged", prefix, 1001))["code"] == -32602


async def test_runtime_apis_and_versions(client: Client) -> None:
    version = await client.get("state_getRuntimeVersion")
    assert version["apis"] == [["0x0101010101010101", 4]]
    assert (version["specVersion"], version["transactionVersion"]) == (1, 1)
    assert await client.get("chain_getRuntimeVersion", None) == version
    assert bytes.fromhex((await client.get("state_getMetadata"))[2:]) == b"meta\x0e\x01"
    for args in (ALICE.hex(), f"0x{ALICE.hex()}"):
        assert await client.get("state_call", "AccountNonceApi_account_nonce", args) == "0x00000000"
    error = await client.error("state_call", "Nobody_knows", "0x")
    assert error["code"] == 4003
    assert "Exported method Nobody_knows is not found" in error["message"]
    error = await client.error("state_call", "AccountNonceApi_account_nonce", "0x00")
    assert (error["code"], "32 bytes" in error["message"]) == (4003, True)


async def test_a_bug_of_the_engine_is_one_request_s_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    error = await client.error("state_call", "Tiny_crash", "0x")
    assert error["code"] == -32603
    assert "ZeroDivisionError" in error["message"]
    assert "Traceback" in caplog.text
    assert await client.get("chain_getHead")


async def test_the_next_nonce_counts_the_pool(client: Client) -> None:
    alice = AccountId(ALICE).ss58()
    for nonce in (0, 1, 3):
        await client.get("author_submitExtrinsic", extrinsic(ALICE, nonce).hex())
    for method in ("account_nextIndex", "system_accountNextIndex"):
        assert await client.get(method, alice) == 2  # 3 waits for 2
    await client.get("devnet_mine")
    assert await client.get("account_nextIndex", alice) == 2
    error = await client.error("account_nextIndex", alice[:-1])
    assert (error["code"], "account" in error["message"]) == (-32602, True)


async def test_the_fee_of_an_extrinsic(client: Client) -> None:
    raw = extrinsic(ALICE, 0)
    assert await client.get("payment_queryInfo", raw.hex()) == {
        "weight": {"ref_time": 1000, "proof_size": 7},
        "class": "normal",
        "partialFee": str(len(raw) + 4),
    }


@pytest.mark.parametrize(
    ("raw", "code", "data"),
    [
        (b"short", 1001, None),
        (extrinsic(ALICE, 0, b"poor"), 1010, "Inability to pay some fees"),
        (extrinsic(ALICE, 0, b"seven"), 1010, "Custom error: 7"),
        (extrinsic(ALICE, 0, dies=1), 1010, "Transaction has an ancient birth block"),
        (extrinsic(BOB, 0), 1010, "Transaction is outdated"),
        (extrinsic(ALICE, 0, b"doubt"), -32603, None),
        (
            extrinsic(BOB, 1),
            1013,
            f"0x{hashlib.blake2b(extrinsic(BOB, 1), digest_size=32).hexdigest()}",
        ),
        (extrinsic(BOB, 1, b"rival"), 1014, "The transaction has too low priority"),
    ],
)
async def test_refusals_in_the_words_of_substrate(
    client: Client, raw: bytes, code: int, data: str | None
) -> None:
    await client.get("author_submitExtrinsic", extrinsic(BOB, 0).hex())
    await client.get("devnet_mine")
    await client.get("author_submitExtrinsic", extrinsic(BOB, 1).hex())
    for method in ("author_submitExtrinsic", "author_submitAndWatchExtrinsic"):
        error = await client.error(method, raw.hex())
        assert error["code"] == code, error
        assert error.get("data") == data or error["data"].startswith(data)
    assert await client.get("author_pendingExtrinsics") == [f"0x{extrinsic(BOB, 1).hex()}"]


async def test_time_goes_where_it_is_told(client: Client) -> None:
    async def now() -> int:
        raw = await client.get("state_getStorage", NOW.hex())
        return int.from_bytes(bytes.fromhex(raw[2:]), "little")

    await client.get("devnet_mine")
    start = await now()
    assert await client.get("devnet_increaseTime", 3600) == 3_600_000
    await client.get("devnet_mine")
    assert 3_600_000 <= await now() - start < 3_660_000
    target = start + 10**10
    await client.get("devnet_setNextBlockTimestamp", target)
    await client.get("devnet_mine")
    assert await now() == target
    await client.get("devnet_mine")
    assert target < await now() < target + 60_000
    error = await client.error("devnet_setNextBlockTimestamp", target)
    assert (error["code"], "not after the head's" in error["message"]) == (-32602, True)
    for seconds in (-1, 1e300, MAX_TIMESTAMP_MS):
        assert (await client.error("devnet_increaseTime", seconds))["code"] == -32602


async def test_storage_is_set_exactly(client: Client) -> None:
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 0).hex())
    before = await client.get("chain_getHead")
    made = await client.get("devnet_setStorage", [["0x01", "0xff"], [NUMBER.hex(), "0x2a"]])
    assert made["number"] == 1
    assert await client.get("state_getStorage", "0x01") == "0xff"
    assert await client.get("state_getStorage", NUMBER.hex()) == "0x2a"
    assert await client.get("state_getStorage", "0x01", before) is None
    assert len(await client.get("author_pendingExtrinsics")) == 1
    await client.get("devnet_setStorage", [["0x01", None]])
    assert await client.get("state_getStorage", "0x01") is None


async def test_back_to_a_snapshot_again_and_again(devnet: Running, client: Client) -> None:
    await client.get("author_submitExtrinsic", extrinsic(ALICE, 0, b"k", b"old").hex())
    there = await client.get("devnet_mine", 3)
    snapshot = await client.get("devnet_snapshot")
    other = await devnet.connect()
    for value in (b"new", b"newer"):
        await client.get("devnet_increaseTime", 1000)
        await client.get("author_submitExtrinsic", extrinsic(ALICE, 1, b"k", value).hex())
        head = await client.get("devnet_mine", 5)
        later = await client.get("devnet_snapshot")
        await client.get("author_submitExtrinsic", extrinsic(ALICE, 2, b"k", value).hex())
        assert await client.get("devnet_revert", snapshot) == there
        # Clients remember blocks that are no more, so every connection is ended, after the answer.
        assert (await client.socket.receive(timeout=5)).data == 1012
        client = await devnet.connect()
        assert await client.get("chain_getHead") == there["hash"]
        assert await client.get("chain_getBlockHash", head["number"]) is None
        assert (await client.error("state_getStorage", "0x00", head["hash"]))["code"] == 4003
        key = data_key(b"k").hex()
        assert await client.get("state_getStorage", key) == f"0x{b'old'.hex()}"
        assert await client.get("author_pendingExtrinsics") == []
        assert await client.get("devnet_increaseTime", 0) == 0
        assert (await client.error("devnet_revert", later))["code"] == -32602
    assert (await other.socket.receive(timeout=5)).data == 1012


async def test_the_genesis_hash_follows_the_metadata() -> None:
    from tests.devnet.tiny import TinyEngine

    hashes = set()
    for version in (1, 2, 1):
        async with run_devnet(engine=TinyEngine(version)) as devnet:
            hashes.add(await (await devnet.connect()).get("chain_getBlockHash", 0))
    assert len(hashes) == 2
