"""`subnet miner` with everything on: workers, Redis, TLS, its pages, and a chain that is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data
from prometheus_client.parser import text_string_to_metric_families

from chain.client import Chain
from chain.client.calls import admin, batch, transfer
from chain.types import RAO_PER_TAO, Rao
from subnet.cli import exits
from subnet.protocol import Failure, Reply, Target
from subnet.wire.dendrite import Dendrite
from tests.neurons.parrot import Said, Say
from tests.neurons.test_neuron_processes import World
from tests.neurons.test_neuron_processes import world as world  # a fixture
from tests.wire.redisserver import RedisServer, needs_redis, redis_server

ALICE = Keypair.create_from_uri("//Alice")
PARROT = Path(__file__).with_name("parrot.py")


def tao(amount: int) -> Rao:
    return Rao(amount * RAO_PER_TAO)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


async def get(base: str, path: str) -> tuple[int, str]:
    """Status and text of one of the miner's pages."""

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(base + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def ready(base: str) -> tuple[int, dict[str, Any]]:
    status, text = await get(base, "/readyz")
    return status, json.loads(text)


async def asked(
    key: Keypair, target: Target, text: str = "hi", after_s: float = 0.0
) -> Reply[Said]:
    async with Dendrite(key, allow_private=True) as dendrite:
        (reply,) = await dendrite.ask(
            [target], "/say", Say(text=text, after_s=after_s), Said, timeout_s=10
        )
    return reply


async def published(chain: Chain, netuid: int, hotkey: str) -> Target:
    me = (await chain.metagraph(netuid)).find(hotkey)
    assert me is not None and me.host is not None and me.port is not None
    return Target(me.uid, hotkey, me.host, me.port, me.tls_key)


def pages_of(world: World, name: str) -> str:
    return world.log(name).partition("health and metrics on ")[2].split()[0]


def hotkey_of(world: World, name: str) -> Keypair:
    """A hotkey on the disk, as a wallet has it."""
    hotkey = Keypair.create_from_uri(f"//{name}//hotkey")
    path = world.folder / "wallets" / name / "hotkeys" / "default"
    path.parent.mkdir(parents=True)
    path.write_bytes(serialized_keypair_to_keyfile_data(hotkey))
    return hotkey


async def found(chain: Chain, hotkeys: dict[str, Keypair]) -> int:
    """A subnet with a seat for every hotkey; the coldkeys of `v` and `w` stake on theirs."""
    owner = Keypair.create_from_uri("//owner")
    colds = {name: Keypair.create_from_uri(f"//{name}") for name in hotkeys}
    cost = await chain.network_cost()
    gifts = [transfer(cold.ss58_address, tao(300)) for cold in colds.values()]
    await chain.submit(admin("sudo_set_admin_freeze_window", window=0), ALICE)
    await chain.submit(batch([transfer(owner.ss58_address, cost + tao(10)), *gifts]), ALICE)
    netuid = await chain.register_network(owner, owner.ss58_address)
    no_limit = admin("sudo_set_serving_rate_limit", netuid=netuid, serving_rate_limit=0)
    await chain.submit(no_limit, ALICE)
    await chain.start_call(owner, netuid)
    for name, hotkey in hotkeys.items():
        await chain.register(colds[name], netuid, hotkey.ss58_address)
    for name in ("v", "w"):
        hotkey = hotkeys[name].ss58_address
        await chain.add_stake(colds[name], hotkey, netuid, tao(50), tolerance=None)
    await chain.submit(admin("sudo_set_tempo", netuid=netuid, tempo=10), ALICE)
    return netuid


@asynccontextmanager
async def mining(
    world: World, *settings: tuple[str, str]
) -> AsyncIterator[tuple[Chain, int, dict[str, Keypair]]]:
    """A subnet with a miner `m` that runs, and two validators `v` and `w` with permits."""
    shutil.copy(PARROT, world.folder)
    keys = {name: hotkey_of(world, name) for name in ("m", "v", "w")}
    async with Chain.connect(world.url) as chain:
        netuid = await found(chain, keys)
        await world.neuron(
            "m", "miner", netuid,
            subnet_definition="parrot:Parrot", miner_host="127.0.0.2", miner_port="0",
            miner_metrics_port="0", **dict(settings),
        )  # fmt: skip

        async def permitted() -> bool:
            seats = (await chain.metagraph(netuid)).neurons
            found = {seat.hotkey for seat in seats if seat.permit}
            return {keys["v"].ss58_address, keys["w"].ss58_address} <= found

        await world.until(permitted)
        await world.until(lambda: "published" in world.log("m"))
        yield chain, netuid, keys


@pytest.mark.slow
@needs_redis
async def test_a_miner_of_two_workers_behind_tls_that_loses_redis_and_the_chain(
    world: World,  # noqa: F811
    redis: RedisServer,
) -> None:
    settings = [
        ("miner_workers", "2"), ("miner_redis", redis.url), ("miner_tls", "true"),
        ("miner_degraded_s", "4"), ("miner_known_only_s", "8"), ("miner_closed_s", "14"),
        ("miner_refresh_s", "1"),
    ]  # fmt: skip
    async with mining(world, *settings) as (chain, netuid, keys):
        first, second = keys["v"], keys["w"]
        target = await published(chain, netuid, keys["m"].ss58_address)
        base = pages_of(world, "m")
        assert target.tls_key is not None and len(target.tls_key) == 33
        assert await get(base, "/healthz") == (200, '{\n  "status": "alive"\n}\n')

        async def is_served() -> bool:
            reply = await asked(first, target)
            assert reply.answer is not None or reply.failure is Failure.REFUSED, reply
            return reply.answer == Said(text="hi")

        await world.until(is_served, pause_s=0.5)
        status, facts = await ready(base)
        assert (status, facts["reasons"], facts["workers"]) == (200, [], "2 of 2")
        plain = Target(target.uid, target.hotkey, target.host, target.port)
        assert (await asked(first, plain)).answer is None

        redis.kill()
        assert (await asked(first, target)).code == "store_away"
        status, facts = await ready(base)
        assert status == 503 and facts["reasons"][0].startswith("Redis is away")
        redis.start()

        async def is_answered() -> bool:
            return (await asked(first, target)).answer is not None

        await world.until(is_answered, pause_s=0.5)
        await asyncio.sleep(1.0)  # what one worker knows, the others hear

    await world.end("chain", signal.SIGKILL)
    await world.until(lambda: "metagraph degraded" in world.log("m"))
    assert (await asked(first, target)).answer is not None
    await world.until(lambda: "metagraph known_callers_only" in world.log("m"))
    for _ in range(4):
        assert (await asked(first, target)).answer is not None
        reply = await asked(second, target)
        assert (reply.status, reply.code) == (503, "known_callers_only")
    assert (await ready(base))[0] == 200
    await world.until(lambda: "metagraph closed" in world.log("m"))
    assert (await asked(first, target)).code == "metagraph_too_old"
    status, facts = await ready(base)
    assert (status, facts["reasons"]) == (503, ["the chain was not seen for too long"])

    await world.start_chain()
    await world.until(lambda: world.log("m").count("metagraph fresh") == 2)
    assert (await asked(second, target)).answer is not None

    families = {f.name: f for f in text_string_to_metric_families((await get(base, "/metrics"))[1])}
    refused = {s.labels["code"]: s.value for s in families["subnet_refusals"].samples}
    assert refused["store_away"] >= 1 and refused["known_callers_only"] >= 4
    assert families["subnet_answers"].samples[0].value >= 6
    assert families["subnet_workers"].samples[0].value == 2

    asking = asyncio.create_task(asked(second, target, "last words", after_s=2.0))
    await asyncio.sleep(0.5)
    process = world.processes["m"]
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    status, facts = await ready(base)
    assert (status, facts["reasons"][0]) == (503, "draining")
    assert (await get(base, "/healthz"))[0] == 200
    assert (await asking).answer == Said(text="last words")
    assert await world.end("m") == 0
    # The SDK complains of its own lost connection; nothing of ours does.
    assert "miners/" not in world.log("m") and "subnet/wire/" not in world.log("m")
    async with Chain.connect(world.url) as chain:
        assert await published(chain, netuid, keys["m"].ss58_address) == target


@pytest.mark.slow
async def test_a_miner_without_tls_withdraws_the_key_it_once_published(
    world: World,  # noqa: F811
) -> None:
    async with mining(world, ("miner_tls", "true")) as (chain, netuid, keys):
        hotkey, first = keys["m"].ss58_address, keys["v"]
        with_key = await published(chain, netuid, hotkey)
        assert (await asked(first, with_key)).answer is not None
        assert await world.end("m") == 0
        await world.neuron(
            "again", "miner", netuid, network_wallet="m",
            subnet_definition="parrot:Parrot", miner_host="127.0.0.2", miner_port="0",
        )  # fmt: skip
        await world.until(lambda: "key withdrawn" in world.log("again"))
        without = await published(chain, netuid, hotkey)
        assert with_key.tls_key is not None and without.tls_key is None
        await asyncio.sleep(2.5)
        assert (await asked(first, without)).answer is not None
        assert await world.end("again") == 0


async def test_more_workers_than_one_without_redis_end_with_the_code_of_settings(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, "ws://127.0.0.1:1")  # noqa: F811
    shutil.copy(PARROT, world.folder)
    hotkey_of(world, "m")
    await world.neuron(
        "m", "miner", 1, subnet_definition="parrot:Parrot",
        miner_host="127.0.0.2", miner_workers="2",
    )  # fmt: skip
    code = await world.ended("m")
    assert code == exits.USAGE
    assert world.log("m").strip().splitlines()[-1].endswith("give --redis URL, or --workers 1")


async def test_redis_without_its_package_names_the_extra(tmp_path: Path) -> None:
    """The package is hidden behind one that cannot be imported."""
    world = World(tmp_path, "ws://127.0.0.1:1")  # noqa: F811
    shutil.copy(PARROT, world.folder)
    (tmp_path / "redis.py").write_text("raise ImportError('no redis here')")
    hotkey_of(world, "m")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "subnet.cli.app", "miner", "--netuid", "1",
        "--network", world.url, "--wallet", "m", "--wallet-path", str(tmp_path / "wallets"),
        "--definition", "parrot:Parrot", "--host", "127.0.0.2", "--redis", "redis://127.0.0.1:1",
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(tmp_path)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == exits.USAGE
    assert b"pip install 'subnetkit[redis]'" in told


async def test_the_coldkey_on_the_server_is_refused_before_anything_is_dialled(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, "wss://192.0.2.1:443")  # noqa: F811
    shutil.copy(PARROT, world.folder)
    hotkey_of(world, "m")
    coldkey = Keypair.create_from_uri("//m")
    (tmp_path / "wallets" / "m" / "coldkey").write_bytes(
        serialized_keypair_to_keyfile_data(coldkey)
    )
    await world.neuron("m", "miner", 1, subnet_definition="parrot:Parrot", miner_host="192.0.2.2")
    code = await world.ended("m")
    assert code == exits.WALLET
    assert "an unencrypted coldkey does not belong here" in world.log("m")
