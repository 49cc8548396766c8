"""@polkadot/api as an application uses it; installed from npm for the run."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stored import Stored
from tests.conformance.town import REST, Town, rpc, ss58

pytestmark = pytest.mark.slow

PACKAGE = "@polkadot/api@16.4.6"
SCRIPT = Path(__file__).with_name("polkadot.mjs")
NETUID = 2


@pytest.fixture(scope="module")
def said(town: Town, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script found, step by step."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    folder: Path = tmp_path_factory.mktemp("npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
    installed = subprocess.run(install, cwd=folder, check=False, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {installed.stderr[-200:]}")
    shutil.copy(SCRIPT, folder)
    command = [node, SCRIPT.name, town.url, ss58("//V1//hot"), str(NETUID), "1"]
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stderr[-3000:]
    return {step["step"]: step["value"] for step in steps}


@pytest.fixture
def state(town: Town, stored: Stored) -> Stored:
    return Stored(stored.chain, rpc(town.url, "chain_getBlockHash"))


@pytest.mark.feature("connect: versions, properties, metadata", "@polkadot/api")
def test_connect(said: dict[str, Any], town: Town) -> None:
    assert said["connect"] == {
        "chain": "Bittensor devnet",
        "genesis": rpc(town.url, "chain_getBlockHash", 0),
        "spec": rpc(town.url, "state_getRuntimeVersion")["specVersion"],
        "metadata": 15,
    }


@pytest.mark.feature("a block's hash, computed by the client", "@polkadot/api")
def test_header_hashes_are_the_chains(said: dict[str, Any]) -> None:
    assert len(said["heads"]) == 2
    for computed, chains in said["heads"]:
        assert computed == chains


@pytest.mark.feature("a signed transfer, followed until it is final", "@polkadot/api")
@pytest.mark.feature("a fee, quoted and paid", "@polkadot/api")
def test_transfer(said: dict[str, Any]) -> None:
    found = said["transfer"]
    assert found["statuses"] == ["Ready", "InBlock", "Finalized"]
    assert found["moved"] == "2000000000"
    assert int(found["fee"]) == pytest.approx(int(found["quote"]), rel=0.05)


@pytest.mark.feature("subscriptions: heads, storage", "@polkadot/api")
def test_storage_subscription(said: dict[str, Any]) -> None:
    found = said["subscription"]
    assert found["pushes"] >= 2
    assert int(found["last"]) - int(found["before"]) == 2 * 10**9


@pytest.mark.feature("errors by their names", "@polkadot/api")
@pytest.mark.feature("batches", "@polkadot/api")
def test_errors_are_named(said: dict[str, Any]) -> None:
    assert said["dispatchError"] == said["batch"] == "subtensorModule.SubnetNotExists"


@pytest.mark.feature("storage: values, maps, several at once", "@polkadot/api")
def test_storage(said: dict[str, Any], state: Stored, town: Town) -> None:
    assert {netuid for netuid, added in said["entries"] if added} >= {0, 1, NETUID, town.secret}
    assert dict(said["partial"]) == state.rows("SubtensorModule.Uids", NETUID)
    assert said["multi"] == [REST, state.module("Tempo", 1)]
    assert said["constant"] == 500


@pytest.mark.feature("the state of a past block", "@polkadot/api")
def test_the_past(said: dict[str, Any]) -> None:
    assert said["past"] == 2


@pytest.mark.feature("runtime APIs", "@polkadot/api")
def test_runtime_apis(said: dict[str, Any], town: Town) -> None:
    found = said["runtime"]
    assert found["hotkeys"][town.uids["//V1"]] == ss58("//V1//hot")
    assert int(found["price"]) > 0
    assert found["nonce"] == found["next"]
    assert found["owner"] == ss58("//V1")
    assert said["block"][0] == "timestamp.set"
