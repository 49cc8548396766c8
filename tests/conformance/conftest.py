"""One populated chain for the whole run, in a process of its own, and the clients' caches aside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.stored import Stored, connect
from tests.conformance.town import Town, found
from tests.devnet.process import devnet_process


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "feature(name, *clients): a row of the table in docs/chain.md"
    )


@pytest.fixture(scope="session")
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for the clients, so that nothing of the user's is read or written."""
    home: Path = tmp_path_factory.mktemp("home")
    return home


@contextmanager
def living_in(home: Path) -> Iterator[None]:
    """Clients inside find their files in `home`; tests of other rooms are not moved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(home / "runtime"))
        patch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(home / "symbols.json"))
        yield


@pytest.fixture(scope="module", autouse=True)
def at_home(own_caches: Path) -> Iterator[None]:
    """Every test of this room runs there."""
    with living_in(own_caches):
        yield


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, own_caches: Path) -> Iterator[Town]:
    """The town, on a chain that makes a block for each extrinsic."""
    log: Path = tmp_path_factory.mktemp("devnet") / "log"
    with devnet_process(log, "--block-time", "instant") as devnet:
        with living_in(own_caches):
            town = asyncio.run(found(devnet.url))
        yield town


@pytest.fixture(scope="session")
def stored(town: Town) -> Iterator[Stored]:
    """The state at the town's block."""
    with connect(town.url) as chain:
        yield Stored(chain, town.block_hash)
