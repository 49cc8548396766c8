"""One populated chain for the whole run, in a process of its own, and the clients' caches aside."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.stored import Stored, connect
from tests.conformance.town import Town, found
from tests.devnet.process import devnet_process


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "feature(name, *clients): a row of the table in docs/chain.md"
    )


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for the clients, so that nothing of the user's is read or written."""
    home: Path = tmp_path_factory.mktemp("home")
    own = {
        "HOME": str(home),
        "BITTENSOR_RUNTIME_CACHE_DIR": str(home / "runtime"),
        "BTCLI_TOKEN_SYMBOLS_CACHE": str(home / "symbols.json"),
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    yield home
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, own_caches: Path) -> Iterator[Town]:
    """The town, on a chain that makes a block for each extrinsic."""
    log: Path = tmp_path_factory.mktemp("devnet") / "log"
    with devnet_process(log, "--block-time", "instant") as devnet:
        yield asyncio.run(found(devnet.url))


@pytest.fixture(scope="session")
def stored(town: Town) -> Iterator[Stored]:
    """The state at the town's block."""
    with connect(town.url) as chain:
        yield Stored(chain, town.block_hash)
