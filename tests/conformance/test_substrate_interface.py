"""substrate-interface beyond a transfer: maps, batches, events and every error's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bittensor._generated.errors import ERRORS
from substrateinterface import Keypair, SubstrateInterface

from tests.conformance.stored import connect
from tests.conformance.town import TAO, Town, ss58

NETUID = 2


@pytest.fixture(scope="module")
def chain(town: Town) -> Iterator[SubstrateInterface]:
    with connect(town.url) as connected:
        yield connected


def pair(uri: str) -> Any:
    return Keypair.create_from_uri(uri)


def submit(chain: SubstrateInterface, uri: str, call: Any, *, period: int | None = None) -> Any:
    era = None if period is None else {"period": period}
    extrinsic = chain.create_signed_extrinsic(call=call, keypair=pair(uri), era=era)
    return chain.submit_extrinsic(extrinsic, wait_for_finalization=True)


def call(chain: SubstrateInterface, name: str, **params: Any) -> Any:
    pallet, function = name.split(".")
    return chain.compose_call(pallet, function, params)


@pytest.mark.feature("connect: versions, properties, metadata", "substrate-interface")
def test_connect(chain: SubstrateInterface) -> None:
    chain.init_runtime()
    assert chain.token_symbol == "TAO"
    assert chain.runtime_version == 425
    assert len(chain.get_metadata_modules()) >= 13


@pytest.mark.feature("storage: values, maps, several at once", "substrate-interface")
def test_maps(chain: SubstrateInterface, town: Town) -> None:
    uids = chain.query_map("SubtensorModule", "Uids", [NETUID], page_size=2)
    found = {key.value: uid.value for key, uid in uids}
    for uri, uid in town.uids.items():
        assert found[ss58(f"{uri}//hot")] == uid
    keys = [chain.create_storage_key("SubtensorModule", "Tempo", [n]) for n in (NETUID, 1)]
    tempos = [chain.query("SubtensorModule", "Tempo", [n]).value for n in (NETUID, 1)]
    assert [value.value for _, value in chain.query_multi(keys)] == tempos
    every = {key.value for key, _ in chain.query_map("SubtensorModule", "Owner", page_size=3)}
    assert {ss58(f"{uri}//hot") for uri in town.uids} <= every
    below = [ss58("//V1//hot"), ss58("//V1")]
    shares = chain.query_map("SubtensorModule", "AlphaV2", below)
    assert {netuid.value for netuid, _ in shares} == {0, NETUID}


@pytest.mark.feature("the state of a past block", "substrate-interface")
def test_the_past(chain: SubstrateInterface, town: Town) -> None:
    before = chain.get_block_hash(town.registered_at - 1)
    assert chain.query("SubtensorModule", "SubnetworkN", [NETUID], before).value == 0
    after = chain.get_block_hash(town.registered_at)
    assert chain.query("SubtensorModule", "SubnetworkN", [NETUID], after).value == 1


@pytest.mark.feature("runtime APIs", "substrate-interface")
def test_runtime_calls(chain: SubstrateInterface) -> None:
    nonce = chain.runtime_call("AccountNonceApi", "account_nonce", [ss58("//Alice")]).value
    assert nonce == chain.get_account_nonce(ss58("//Alice"))
    version = chain.runtime_call("Core", "version").value
    assert version["spec_version"] == 425


@pytest.mark.feature("a signed transfer, followed until it is final", "substrate-interface")
@pytest.mark.feature("a fee, quoted and paid", "substrate-interface")
@pytest.mark.feature("events of a block", "substrate-interface")
def test_a_mortal_transfer_and_its_events(chain: SubstrateInterface) -> None:
    pay = call(chain, "Balances.transfer_keep_alive", dest=ss58("//Si payee"), value=TAO)
    quoted = chain.get_payment_info(pay, pair("//Bob"))["partialFee"]
    receipt = submit(chain, "//Bob", pay, period=32)
    assert receipt.is_success
    assert receipt.finalized
    assert receipt.total_fee_amount == pytest.approx(quoted, rel=0.05)
    mine = [record.value for record in chain.get_events(receipt.block_hash)
            if record.value["extrinsic_idx"] == receipt.extrinsic_idx]  # fmt: skip
    assert [event["event_id"] for event in mine] == [
        "Withdraw", "NewAccount", "Endowed", "Transfer", "Deposit", "TransactionFeePaid",
        "ExtrinsicSuccess",
    ]  # fmt: skip


@pytest.mark.feature("batches", "substrate-interface")
def test_batches(chain: SubstrateInterface) -> None:
    good = call(chain, "Balances.transfer_keep_alive", dest=ss58("//Si batch"), value=TAO)
    bad = call(chain, "SubtensorModule.burned_register", netuid=999, hotkey=ss58("//Si"))

    def held() -> int:
        found = chain.query("System", "Account", [ss58("//Si batch")]).value
        return int(found["data"]["free"])

    stopped = submit(chain, "//Bob", call(chain, "Utility.batch", calls=[good, bad, good]))
    names = [event.value["event_id"] for event in stopped.triggered_events]
    assert stopped.is_success
    assert "BatchInterrupted" in names
    assert held() == TAO
    undone = submit(chain, "//Bob", call(chain, "Utility.batch_all", calls=[good, bad]))
    assert undone.error_message["name"] == "SubnetNotExists"
    assert held() == TAO
    forced = submit(chain, "//Bob", call(chain, "Utility.force_batch", calls=[bad, good]))
    names = [event.value["event_id"] for event in forced.triggered_events]
    assert {"ItemFailed", "ItemCompleted", "BatchCompletedWithErrors"} <= set(names)
    assert held() == 2 * TAO


@pytest.mark.feature("errors by their names", "substrate-interface")
def test_every_error_has_the_sdks_name(chain: SubstrateInterface) -> None:
    chain.init_runtime()
    here = {pallet.value["index"] for pallet in chain.get_metadata().pallets}
    for (pallet, index), info in ERRORS.items():
        if pallet in here:
            found = chain.metadata.get_module_error(module_index=pallet, error_index=index)
            assert found is not None, (info.pallet, info.name)
            assert found.value["name"] == info.name


@pytest.mark.feature("subscriptions: heads, storage", "substrate-interface")
def test_storage_as_it_changes(chain: SubstrateInterface) -> None:
    start = chain.query("System", "Number").value

    def second(value: Any, number: int, _: str) -> Any:
        return value.value if number == 1 else None

    assert chain.query("System", "Number", subscription_handler=second) > start
