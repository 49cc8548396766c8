"""btcli as a user types it, each command a process of its own with wallets of its own.

A command takes two seconds to start, so that all but two are slow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import serialized_keypair_to_keyfile_data

from tests.conformance.stored import Stored
from tests.conformance.town import REST, TAO, Town, key, rpc, ss58

NETUID = 2
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The townspeople's keys as wallet files, not encrypted."""
    folder: Path = tmp_path_factory.mktemp("wallets")
    for uri in ("//Owner", "//V1", "//M1", "//Ferdie"):
        own = folder / uri.strip("/")
        (own / "hotkeys").mkdir(parents=True)
        pairs = {"coldkey": key(uri), "coldkeypub.txt": key(uri)}
        pairs["hotkeys/default"] = key(f"{uri}//hot")
        for name, pair in pairs.items():
            (own / name).write_bytes(serialized_keypair_to_keyfile_data(pair))
    return folder


@pytest.fixture
def btcli(town: Town, wallets: Path) -> Run:
    """Runs a command and returns its JSON; `wallet` is who asks, `fails` that it must not work."""
    program = Path(sys.executable).with_name("btcli")

    def run(*words: object, wallet: str = "V1", fails: bool = False) -> Any:
        command = [str(program), *map(str, words), "--network", town.url, "--json"]
        command += ["--wallet", wallet, "--wallet-path", str(wallets)]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return json.loads(done.stdout or done.stderr)

    return run


@pytest.fixture
def now(town: Town, stored: Stored) -> Callable[[], Stored]:
    """The state after the last block, decoded by other software."""
    return lambda: Stored(stored.chain, rpc(town.url, "chain_getBlockHash"))


def test_the_clients_home_is_not_the_users(own_caches: Path) -> None:
    assert os.environ["HOME"] == str(own_caches) == str(Path.home())


@pytest.mark.feature("connect: versions, properties, metadata", "btcli")
@pytest.mark.feature("wallets: balance, overview, registrations", "btcli")
def test_wallet_balance(btcli: Run, now: Callable[[], Stored]) -> None:
    said = btcli("wallet", "balance")
    assert said["coldkey"] == ss58("//V1")
    state = now()
    assert said["free_tao"] * TAO == pytest.approx(
        state.get("System.Account", ss58("//V1"))["data"]["free"], abs=1
    )
    assert said["stake_subnets"] == 2


@pytest.mark.feature("a MEV-shielded call, opened by the author", "btcli")
@pytest.mark.feature("stake: add, remove, move, swap, transfer", "btcli")
def test_stake_add_goes_shielded(btcli: Run, now: Callable[[], Stored]) -> None:
    before = now().position(ss58("//V1//hot"), ss58("//Ferdie"), NETUID)
    target = ("--hotkey", ss58("//V1//hot"), "--netuid", NETUID)
    said = btcli("stake", "add", *target, "--amount-tao", 1, "--yes", wallet="Ferdie")
    assert said["success"], said
    state = now()
    assert state.position(ss58("//V1//hot"), ss58("//Ferdie"), NETUID) > before
    number = int(said["extrinsic_id"].split("-")[0])
    block = state.chain.get_block(block_number=number)
    names = [x.value["call"]["call_function"] for x in block["extrinsics"]]
    assert names == ["set", "submit_encrypted", "add_stake_limit"]


@pytest.mark.slow
def test_wallet_reads(btcli: Run) -> None:
    (row,) = btcli("wallet", "overview")
    assert {stake["netuid"] for stake in row["stakes"]} == {0, NETUID}
    (row,) = btcli("wallet", "registrations")
    seats = row["hotkeys"][0]["registrations"]
    assert {"netuid": NETUID, "uid": 1} in seats
    assert btcli("wallet", "get-identity", wallet="M1")["name"] == "Miner One"


@pytest.mark.slow
@pytest.mark.feature("storage: values, maps, several at once", "btcli")
@pytest.mark.feature("runtime APIs", "btcli")
def test_queries(btcli: Run, town: Town) -> None:
    assert "τ" in btcli("query", "balance", "--coldkey", ss58("//V1"))
    assert btcli("query", "uid", "--hotkey", ss58("//M1//hot"), "--netuid", NETUID) == 3
    graph = btcli("query", "metagraph", "--netuid", NETUID)
    assert graph["hotkeys"][town.uids["//V1"]] == ss58("//V1//hot")
    refused = btcli("query", "proxies", "--coldkey", ss58("//V1"), fails=True)
    assert "Proxy.Proxies" in json.dumps(refused)


@pytest.mark.slow
@pytest.mark.feature("subnets: list, metagraph, prices", "btcli")
def test_subnets(btcli: Run, now: Callable[[], Stored]) -> None:
    rows = {row["netuid"]: row for row in btcli("subnets", "list")}
    assert rows[NETUID]["name"] == "Town"
    assert {0, 1, NETUID} <= set(rows)
    assert btcli("subnets", "show", NETUID)["owner_coldkey"] == ss58("//Owner")
    assert btcli("subnets", "metagraph", NETUID)["num_uids"] >= 5
    assert btcli("subnets", "create-cost")["tao"] > 0
    assert btcli("subnets", "burn-cost", NETUID)["tao"] > 0
    said = btcli("subnets", "register", "--netuid", NETUID, "--yes", wallet="Ferdie")
    assert said["success"], said
    assert now().module("Uids", NETUID, ss58("//Ferdie//hot")) is not None


@pytest.mark.slow
def test_stake_list_and_remove(btcli: Run, now: Callable[[], Stored]) -> None:
    rows = {row["netuid"]: row for row in btcli("stake", "list")}
    held = now().position(ss58("//V1//hot"), ss58("//V1"), NETUID)
    assert rows[NETUID]["stake_amount"] * TAO == pytest.approx(held, rel=0.2)  # epochs pay
    target = ("--hotkey", ss58("//V1//hot"), "--netuid", NETUID)
    said = btcli("stake", "remove", *target, "--amount-alpha", 1, "--yes")
    assert said["success"], said
    refused = btcli("stake", "remove", *target, "--amount-alpha", 10**6, "--yes", fails=True)
    assert "NotEnoughStakeToWithdraw" in json.dumps(refused)


@pytest.mark.slow
@pytest.mark.feature("errors by their names", "btcli")
@pytest.mark.feature("hyperparameters: read and set", "btcli")
def test_hyperparameters(btcli: Run, now: Callable[[], Stored]) -> None:
    found = btcli("sudo", "get", "--netuid", NETUID)
    assert found["tempo"] == REST
    change = ("sudo", "set", "--netuid", NETUID, "--name", "immunity_period", "--value", 777)
    assert btcli(*change, "--yes", wallet="Owner")["success"]
    assert now().module("ImmunityPeriod", NETUID) == 777
    refused = btcli(*change, "--yes", fails=True)
    assert refused["error"]["code"] == "not_authorized"
    assert btcli("sudo", "check-start", "--netuid", NETUID)["start_call_delay"] == 0
    assert btcli("sudo", "get-take")["take_u16"] == 11_796


@pytest.mark.slow
@pytest.mark.feature("a signed transfer, followed until it is final", "btcli")
@pytest.mark.feature("serving: axon, TLS, prometheus", "btcli")
@pytest.mark.feature("weights: plain", "btcli")
def test_weights_and_tx(btcli: Run, now: Callable[[], Stored], town: Town) -> None:
    said = btcli("weights", "set", "--netuid", NETUID, "--uids", "3,4", "--weights", "1,3", "--yes")
    assert said["success"], said
    row = now().rows("SubtensorModule.Weights", NETUID)[town.uids["//V1"]]
    assert [tuple(pair) for pair in row] == [(3, 21845), (4, 65535)]
    served = ("--ip", "10.9.8.7", "--port", 9000)
    assert btcli("tx", "serve-axon", "--netuid", NETUID, *served, "--yes", wallet="M1")["success"]
    assert now().module("Axons", NETUID, ss58("//M1//hot"))["port"] == 9000
    paid = ("--dest", ss58("//Payee by btcli"), "--amount-tao", 2)
    assert btcli("tx", "transfer", *paid, "--yes")["success"]
    assert now().get("System.Account", ss58("//Payee by btcli"))["data"]["free"] == 2 * TAO
