"""turbobt, another client of Bittensor's own; installed into an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stored import Stored
from tests.conformance.town import COMMITMENT, REST, Town, rpc, ss58

pytestmark = pytest.mark.slow

PACKAGE = "turbobt==1.3.0"
SCRIPT = Path(__file__).with_name("turbo.py")
NETUID = 2


@pytest.fixture(scope="module")
def said(town: Town, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script found."""
    folder: Path = tmp_path_factory.mktemp("turbobt")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = str(folder / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", PACKAGE]
    installed = subprocess.run(install, check=False, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"pip cannot install {PACKAGE}: {installed.stderr[-200:]}")
    command = [python, str(SCRIPT), town.url, str(NETUID), str(folder / "wallets")]
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.feature("connect: versions, properties, metadata", "turbobt")
@pytest.mark.feature("runtime APIs", "turbobt")
@pytest.mark.feature("subnets: list, metagraph, prices", "turbobt")
def test_a_subnet(said: dict[str, Any], town: Town) -> None:
    assert said["networks"] >= 4
    assert said["subnet"] == ["Town", "β", REST, ss58("//Owner")]
    seats = {(uid, ss58(f"{uri}//hot"), ss58(uri)) for uri, uid in town.uids.items()}
    assert seats <= {tuple(row) for row in said["neurons"]}
    assert said["hotkeys"][: len(seats)] == [ss58(f"{uri}//hot") for uri in town.uids]


@pytest.mark.feature("storage: values, maps, several at once", "turbobt")
def test_what_is_stored(said: dict[str, Any], stored: Stored) -> None:
    assert said["tempo"] == REST
    assert said["commitments"][ss58("//M1//hot")] == repr(COMMITMENT.encode())
    rows = stored.rows("SubtensorModule.Weights", NETUID)
    assert {int(uid) for uid in said["weights"]} == {uid for uid, row in rows.items() if row}


@pytest.mark.feature("serving: axon, TLS, prometheus", "turbobt")
def test_serving(said: dict[str, Any], town: Town, stored: Stored) -> None:
    assert said["served"] == ["10.7.7.7", 7777]
    now = Stored(stored.chain, rpc(town.url, "chain_getBlockHash"))
    assert now.module("Axons", NETUID, ss58("//M2//hot"))["port"] == 7777
