"""btcli as a user types it, each command a process of its own with wallets of its own.

A command takes two seconds to start, so that all but two are slow.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import serialized_keypair_to_keyfile_data

from tests.conformance.stored import Stored
from tests.conformance.test_sdk_reads import EMPTY, OTHERS, REFUSED, TIER_1
from tests.conformance.town import REST, TAO, Town, key, rpc, ss58

NETUID = 2
MANY = "tests.conformance.btcli_many"
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The townspeople's keys as wallet files, not encrypted."""
    folder: Path = tmp_path_factory.mktemp("wallets")
    for uri in ("//Owner", "//V1", "//M1", "//Ferdie", "//Dave", "//Secretary"):
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
def many(town: Town, wallets: Path) -> Callable[..., list[Any]]:
    """Runs commands one after the other in one process; each is its words and who asks."""

    def run(*commands: tuple[str, str], fails: bool = False) -> list[Any]:
        own = ("--network", town.url, "--json", "--wallet-path", str(wallets))
        lists = [[*shlex.split(words), *own, "--wallet", wallet] for words, wallet in commands]
        done = subprocess.run(
            [sys.executable, "-m", MANY],
            input=json.dumps(lists),
            check=True,
            capture_output=True,
            text=True,
            timeout=250,
            cwd=Path(__file__).parents[2],
        )
        said = [json.loads(line) for line in done.stdout.splitlines()]
        for (words, _), one in zip(commands, said, strict=True):
            assert (one["status"] != 0) == fails, (words, one)
        return [json.loads(one["out"] or one["err"]) for one in said]

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
def test_queries(btcli: Run, many: Callable[..., list[Any]], town: Town) -> None:
    assert "τ" in btcli("query", "balance", "--coldkey", ss58("//V1"))
    assert btcli("query", "uid", "--hotkey", ss58("//M1//hot"), "--netuid", NETUID) == 3
    graph = btcli("query", "metagraph", "--netuid", NETUID)
    assert graph["hotkeys"][town.uids["//V1"]] == ss58("//V1//hot")
    (refused,) = many((f"query proxies --coldkey {ss58('//V1')}", "V1"), fails=True)
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
    refused = btcli("stake", "remove", *target, "--amount-alpha", 5000, "--yes", fails=True)
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
    assert btcli("sudo", "get-take")["take_u16"] == 8192


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


def options(params: dict[str, Any]) -> str:
    """A read's parameters as options: `coldkey_ss58` is `--coldkey`, lists have commas."""
    words = []
    for name, value in params.items():
        plural = "s" if name.endswith("_ss58s") else ""
        option = name.removesuffix("s").removesuffix("_ss58") + plural if plural else name
        flag = "--" + option.removesuffix("_ss58").replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, ",".join(map(str, value))]
        else:
            words += [flag, str(value)]
    return " ".join(words)


@pytest.mark.slow
@pytest.mark.feature("every fourth of the 102 reads by its command", "btcli")
def test_a_quarter_of_the_queries(many: Callable[..., list[Any]]) -> None:
    """`query` has a command for each read, made from the SDK's; a command takes a second."""
    reads = {**TIER_1, **OTHERS, **EMPTY, **REFUSED}
    assert len(reads) == 102
    some = sorted(reads)[3::4]
    line = {name: f"query {name.replace('_', '-')} {options(reads[name][0])}" for name in some}
    good = [name for name in some if name not in REFUSED]
    said = dict(zip(good, many(*((line[name], "V1") for name in good)), strict=True))
    assert (said["immunity_period"], said["mechanism_count"]) == (1234, 2)
    bad = [name for name in some if name in REFUSED]
    answers = many(*((line[name], "V1") for name in bad), fails=True)
    for name, refusal in zip(bad, answers, strict=True):
        assert REFUSED[name][1] in json.dumps(refusal)


@pytest.mark.slow
@pytest.mark.feature("stake: add, remove, move, swap, transfer", "btcli")
@pytest.mark.feature("identity, takes, children", "btcli")
@pytest.mark.feature("auto-stake, hotkey and coldkey swaps", "btcli")
def test_what_a_staker_does(many: Callable[..., list[Any]], now: Callable[[], Stored]) -> None:
    v1, v2 = ss58("//V1//hot"), ss58("//V2//hot")
    place = f"--origin-hotkey {v1} --origin-netuid 2 --dest-hotkey {v2} --amount-alpha 1"
    plain = "--yes --no-mev-shield"
    said = many(
        (f"stake add --hotkey {v1} --netuid 2 --amount-tao 9 {plain}", "Dave"),
        (f"stake move {place} --dest-netuid 2 {plain}", "Dave"),
        (f"stake swap --hotkey {v1} --origin-netuid 2 --dest-netuid 0 --amount-alpha 1 {plain}",
         "Dave"),
        (f"stake transfer --dest {ss58('//Kept')} --hotkey {v1} --netuid 2 --amount-alpha 1 "
         f"{plain}", "Dave"),
        (f"stake set-auto --netuid 2 --hotkey {v1} --yes", "Dave"),
        ("wallet associate-hotkey --yes", "Dave"),
        ("stake child take --netuid 2 --take 0.05 --yes", "V1"),
        ("sudo set-take --take 0.1 --yes", "V1"),
        (f"wallet transfer --dest {ss58('//Kept')} --amount-tao 1 --yes", "Dave"),
        (f"stake unstake-all --hotkey {v2} {plain}", "Dave"),
        (f"tx batch --intents {BATCH} --yes", "Dave"),
    )  # fmt: skip
    assert all(one["success"] for one in said)
    state = now()
    assert state.position(v1, ss58("//Kept"), NETUID) > 0
    assert state.position(v1, ss58("//Dave"), 0) > 0
    assert state.module("AutoStakeDestination", ss58("//Dave"), NETUID) == v1
    assert state.module("Delegates", v1) == 6554
    assert state.get("System.Account", ss58("//Kept"))["data"]["free"] == 3 * TAO


TRANSFER = {"op": "transfer", "dest_ss58": ss58("//Kept"), "amount_tao": 1}
BATCH = shlex.quote(json.dumps([TRANSFER, TRANSFER]))


@pytest.mark.slow
@pytest.mark.feature("subnets: register, start, name", "btcli")
@pytest.mark.feature("weights: timelocked, salted commit and reveal", "btcli")
@pytest.mark.feature("calls that are not here, refused by name", "btcli")
def test_what_an_owner_does(
    many: Callable[..., list[Any]], now: Callable[[], Stored], town: Town
) -> None:
    created = many(("subnets create --yes --no-mev-shield", "Dave"))[0]
    netuid = created["data"]["netuid"]
    said = many(
        (f"sudo start --netuid {netuid} --yes", "Dave"),
        (f"sudo set-identity --netuid {netuid} --name Hamlet --yes", "Dave"),
        (f"sudo set-symbol --netuid {netuid} --symbol ψ --yes", "Dave"),
        (f"sudo trim --netuid {netuid} --max-n 128 --yes", "Dave"),
        (f"sudo mechanisms count --netuid {netuid} --value 2 --yes", "Dave"),
        (f"weights commit --netuid {town.secret} --uids 0 --weights 1 --yes", "Secretary"),
    )
    assert all(one["success"] for one in said)
    state = now()
    assert state.module("SubnetIdentitiesV3", netuid)["subnet_name"] == "Hamlet"
    assert state.module("TokenSymbol", netuid) == "ψ"
    assert state.module("MechanismCountCurrent", netuid) == 2
    assert state.rows("SubtensorModule.TimelockedWeightCommits", town.secret)
    refused = many(
        (f"weights reveal --netuid {town.secret} --uids 0 --weights 1 --salt 1,2 --yes",
         "Secretary"),
        ("tx set-perpetual-lock --netuid 2 --enabled --yes", "Dave"),
        (f"proxy add --delegate {ss58('//Kept')} --yes", "Dave"),
        fails=True,
    )  # fmt: skip
    assert "NoWeightsCommitFound" in json.dumps(refused[0])
    assert "set_perpetual_lock needs the real-runtime engine" in json.dumps(refused[1])
    assert "add_proxy needs the real-runtime engine" in json.dumps(refused[2])
