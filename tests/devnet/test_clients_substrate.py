"""Unmodified substrate-interface against `subnet devnet`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException

from tests.devnet.process import devnet_process

TAO = 10**9
# Its built-in type of a fee has a balance of 128 bits; this chain's have 64.
TYPES = {"types": {"Balance": "u64"}}
ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log: Path = tmp_path_factory.mktemp("devnet") / "log"
    with devnet_process(log, "--block-time", "instant") as devnet:
        yield devnet.url


@pytest.fixture(scope="module")
def chain(url: str) -> Iterator[SubstrateInterface]:
    with SubstrateInterface(url, ss58_format=42, type_registry=TYPES) as connected:
        yield connected


def free(chain: SubstrateInterface, account: str, at: str | None = None) -> int:
    value = chain.query("System", "Account", [account], block_hash=at).value
    return int(value["data"]["free"])


def transfer(
    chain: SubstrateInterface,
    keypair: Any,
    amount: int,
    *,
    era: dict[str, int] | None = None,
    dest: str = BOB.ss58_address,
) -> Any:
    call = chain.compose_call("Balances", "transfer_keep_alive", {"dest": dest, "value": amount})
    return chain.create_signed_extrinsic(call=call, keypair=keypair, era=era)


def test_what_it_reads_at_connect(chain: SubstrateInterface) -> None:
    assert chain.chain == "Bittensor devnet"
    assert chain.properties["ss58Format"] == 42
    assert chain.token_symbol == "TAO"
    assert chain.token_decimals == 9
    chain.init_runtime()
    assert chain.runtime_version
    names = [pallet.name for pallet in chain.get_metadata().pallets]
    assert {"System", "Balances", "SubtensorModule", "Sudo", "AdminUtils"} <= set(names)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_storage_maps_and_constants(url: str, scheme: str) -> None:
    address = url.replace("ws://", f"{scheme}://")
    with SubstrateInterface(address, ss58_format=42, type_registry=TYPES) as chain:
        assert chain.query("SubtensorModule", "TotalNetworks").value >= 2
        accounts = chain.query_map("System", "Account", page_size=2)
        found = {account.value: info.value for account, info in accounts}
        assert found[ALICE.ss58_address]["data"]["free"] > 0
        assert len(found) >= 6
        keys = [
            chain.create_storage_key("System", "Account", [key.ss58_address])
            for key in (ALICE, BOB)
        ]
        assert [value.value["nonce"] for _, value in chain.query_multi(keys)][1] == 0
        assert chain.get_constant("Balances", "ExistentialDeposit").value == 500
        networks = chain.query_map("SubtensorModule", "NetworksAdded")
        assert [netuid.value for netuid, added in networks if added.value] == [0, 1]


@pytest.mark.parametrize("era", [None, {"period": 64}])
def test_a_transfer_from_signature_to_receipt(
    chain: SubstrateInterface, era: dict[str, int] | None
) -> None:
    before = {key: free(chain, key.ss58_address) for key in (ALICE, BOB)}
    extrinsic = transfer(chain, ALICE, 3 * TAO, era=era)
    call = chain.compose_call(
        "Balances", "transfer_keep_alive", {"dest": BOB.ss58_address, "value": 3 * TAO}
    )
    quoted = chain.get_payment_info(call, ALICE)["partialFee"]
    receipt = chain.submit_extrinsic(extrinsic, wait_for_finalization=True)
    assert receipt.is_success, receipt.error_message
    assert receipt.finalized
    events = {event.value["event_id"] for event in receipt.triggered_events}
    assert {"Transfer", "TransactionFeePaid", "ExtrinsicSuccess"} <= events
    assert receipt.total_fee_amount == pytest.approx(quoted, rel=0.05)
    assert free(chain, BOB.ss58_address) - before[BOB] == 3 * TAO
    assert before[ALICE] - free(chain, ALICE.ss58_address) == 3 * TAO + receipt.total_fee_amount
    parent = chain.get_block(receipt.block_hash)["header"]["parentHash"]
    assert free(chain, BOB.ss58_address, parent) == before[BOB]


def test_an_extrinsic_that_fails_says_why(chain: SubstrateInterface) -> None:
    call = chain.compose_call(
        "SubtensorModule",
        "burned_register",
        {"netuid": 999, "hotkey": BOB.ss58_address},
    )
    extrinsic = chain.create_signed_extrinsic(call=call, keypair=ALICE)
    receipt = chain.submit_extrinsic(extrinsic, wait_for_inclusion=True)
    assert not receipt.is_success
    assert receipt.error_message["type"] == "Module"
    assert receipt.error_message["name"] == "SubnetNotExists"


def test_refusals_of_the_pool(chain: SubstrateInterface) -> None:
    poor = Keypair.create_from_uri("//NobodyWithMoney")
    with pytest.raises(SubstrateRequestException, match="Inability to pay some fees"):
        chain.submit_extrinsic(transfer(chain, poor, 1))
    good = transfer(chain, ALICE, TAO)
    forged = bytearray(good.data.data)
    forged[-1] ^= 1
    with pytest.raises(SubstrateRequestException, match="bad signature"):
        chain.rpc_request("author_submitExtrinsic", [f"0x{forged.hex()}"])
    chain.submit_extrinsic(good, wait_for_inclusion=True)
    with pytest.raises(SubstrateRequestException, match="outdated"):
        chain.submit_extrinsic(good)
    with pytest.raises(SubstrateRequestException, match="invalid format"):
        chain.rpc_request("author_submitExtrinsic", ["0x0102"])


def test_new_heads_and_storage_as_they_change(chain: SubstrateInterface) -> None:
    def on_head(head: Any, number: int, _: str) -> Any:
        return head["header"]["number"] if number == 2 else None

    start = chain.get_block_number(None)
    assert chain.subscribe_block_headers(on_head) >= start + 2
    assert chain.subscribe_block_headers(on_head, finalized_only=True)

    def on_number(value: Any, number: int, _: str) -> Any:
        return value.value if number == 2 else None

    assert chain.query("System", "Number", subscription_handler=on_number) >= start + 3


def test_blocks_and_runtime_apis(chain: SubstrateInterface) -> None:
    block = chain.get_block(include_author=False)
    first = block["extrinsics"][0].value
    assert (first["call"]["call_module"], first["call"]["call_function"]) == ("Timestamp", "set")
    nonce = chain.rpc_request(
        "state_call", ["AccountNonceApi_account_nonce", ALICE.public_key.hex()]
    )["result"]
    expected = chain.get_account_nonce(ALICE.ss58_address)
    assert int.from_bytes(bytes.fromhex(nonce[2:]), "little") == expected
    assert chain.retrieve_pending_extrinsics() == []
