"""`subnet doctor`: every check seen well and seen failing, on real files, sockets and a devnet."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from chain.client import Chain
from chain.client.calls import admin, batch, transfer
from chain.client.metagraph import Metagraph, Neuron
from chain.devnet import Devnet
from chain.types import RAO_PER_TAO, Alpha, Rao
from subnet import doctor
from subnet.cli import exits
from subnet.config import MinerSettings, ModelTable, SubnetTable, ValidatorSettings, load
from subnet.doctor import Check, State
from subnet.engines.llama_server import LlamaServerEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from tests.engines.servers import KEY, llama_server_of
from tests.wire.redisserver import needs_redis, redis_server
from tests.wire.world import Echo, Question, echo, serving

NETUID = 2
"""The first that is founded on a devnet."""
ALICE = Keypair.create_from_uri("//Alice")


def states(checks: Sequence[Check]) -> dict[str, State]:
    return {check.name: check.state for check in checks}


def settings(kind: Any, folder: Path, url: str = "ws://127.0.0.1:9", **flags: Any) -> Any:
    network = {"chain": url, "netuid": NETUID, "wallet_path": folder, "wallet": "w", "hotkey": "h"}
    tables = {"network": network | flags.pop("network", {})} | flags
    return load(kind, file=folder / "none.toml", environment={}, flags=tables)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "none.toml").touch()
    return tmp_path


def write_key(folder: Path, uri: str = "//Miner") -> Path:
    path = folder / "w" / "hotkeys" / "h"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(serialized_keypair_to_keyfile_data(Keypair.create_from_uri(uri)))
    path.chmod(0o600)
    return path


# This machine


def test_python() -> None:
    assert doctor.check_python(sys.version_info[:3]).state is State.OK
    assert doctor.check_python((3, 10, 4)).state is State.FAIL


def test_the_sdk() -> None:
    assert set(states(doctor.check_sdk(importlib.metadata.version)).values()) == {State.OK}

    def version_of(name: str) -> str:
        if name == "bittensor-core":
            raise importlib.metadata.PackageNotFoundError(name)
        return "10.2.0"

    old, missing = doctor.check_sdk(version_of)
    assert (old.state, missing.state) == (State.FAIL, State.FAIL)
    assert old.todo == "pip install 'bittensor>=11.3,<12'"
    assert {check.state for check in doctor.check_sdk(lambda name: "12.0.0rc1")} == {State.FAIL}


def test_the_hotkey(folder: Path) -> None:
    network = settings(MinerSettings, folder).network
    missing = doctor.check_hotkey(network)
    assert missing.state is State.FAIL and "no such hotkey" in missing.found
    path = write_key(folder)
    found = doctor.check_hotkey(network)
    assert found.state is State.OK
    assert Keypair.create_from_uri("//Miner").ss58_address in found.found
    path.chmod(0o644)
    bare = doctor.check_hotkey(network)
    assert (bare.state, bare.todo) == (State.WARN, f"chmod 600 {path}")


def test_the_coldkey(folder: Path) -> None:
    local = settings(MinerSettings, folder).network
    public = settings(MinerSettings, folder, network={"chain": "finney"}).network
    assert doctor.check_coldkey(public).state is State.OK
    write_key(folder)
    coldkey = folder / "w" / "coldkey"
    coldkey.write_bytes(serialized_keypair_to_keyfile_data(ALICE))
    assert doctor.check_coldkey(public).state is State.FAIL
    assert doctor.check_coldkey(local).state is State.WARN
    coldkey.write_bytes(b"$NACL and what follows")
    assert doctor.check_coldkey(public).state is State.WARN
    assert doctor.check_coldkey(local).state is State.OK


def _always(free: int) -> Callable[[Path], int]:
    return lambda path: free


def test_the_disk(folder: Path) -> None:
    places = {"disk": folder / "not" / "yet" / "there"}
    for free, state in (
        (100 * doctor.GIB, State.OK),
        (2 * doctor.GIB, State.WARN),
        (doctor.GIB - 1, State.FAIL),
    ):
        (check,) = doctor.check_disk(places, _always(free))
        assert check.state is state
    (check,) = doctor.check_disk(places)
    assert "GiB free at" in check.found
    (folder / "file").touch()
    (check,) = doctor.check_disk({"disk": folder / "file" / "below"})
    assert check.state is State.FAIL and "cannot be written" in check.found


def test_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_CACHE_DIR", str(folder / "cache"))
    missing = doctor.check_model(settings(MinerSettings, folder))
    assert (missing.state, missing.todo) == (State.FAIL, "subnet model fetch")
    other = folder / "other.gguf"
    other.write_bytes(b"GGUF, but not that one")
    wrong = settings(MinerSettings, folder, miner={"model_file": other})
    assert doctor.check_model(wrong).state is State.FAIL
    weak = settings(MinerSettings, folder, miner={"model_file": other, "allow_other_weights": True})
    assert doctor.check_model(weak).state is State.WARN
    nobody = settings(MinerSettings, folder, subnet={"definition": "no.such:Thing"})
    assert doctor.check_model(nobody).state is State.FAIL
    other_model = MinerSettings(subnet=SubnetTable(), model=ModelTable(sha256="0" * 64))
    assert doctor.check_model(other_model).state is State.FAIL


@pytest.mark.model
def test_the_model_that_is_there(folder: Path) -> None:
    assert doctor.check_model(settings(ValidatorSettings, folder)).state is State.OK


async def test_the_seed_lock(folder: Path) -> None:
    """A subnet of locked answers is told what serves them; another is told nothing."""
    found = await doctor.check_seed_lock(settings(MinerSettings, folder))
    (said,) = found
    assert said.state is State.OK and "without speculative decoding" in said.found
    assert "vllm serve MODEL --max-logprobs 64 --logits-processors " in said.found
    other = settings(MinerSettings, folder, subnet={"definition": "tests.prompts.town:Sums"})
    assert await doctor.check_seed_lock(other) == []
    (away,) = await doctor.check_seed_lock(settings(MinerSettings, folder), "http://127.0.0.1:9")
    assert away.state is State.FAIL and "vllm serve" in away.todo


@pytest.mark.model
async def test_a_server_that_cannot_be_locked_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    with llama_server_of(get_model(SMOLLM2_135M.sha256), 512) as url:
        for locks in (True, False):  # llama.cpp's own can, token by token
            monkeypatch.setattr(LlamaServerEngine, "locks", locks)
            found += await doctor.check_seed_lock(settings(MinerSettings, folder), url, KEY)
    assert [check.state for check in found] == [State.OK, State.WARN]
    assert "cannot be seed-locked" in found[1].found and "vllm serve" in found[1].todo


@pytest.mark.model
async def test_the_model_server_of_the_settings_is_tried(folder: Path) -> None:
    assert await doctor.check_engine(settings(MinerSettings, folder)) == []
    with llama_server_of(get_model(SMOLLM2_135M.sha256), 512) as url:
        for more, state, said in [
            ({"url": url, "api_key": KEY}, State.OK, "is well"),
            ({"url": url, "api_key": "wrong"}, State.FAIL, "does not accept the API key"),
            ({"url": url, "api_key": KEY, "served_model": "x"}, State.FAIL, "has no model x"),
            ({"url": "http://127.0.0.1:9"}, State.FAIL, "connection"),
            ({}, State.FAIL, "not where it is"),
        ]:
            engine = {"kind": "openai", **more}
            asked = settings(MinerSettings, folder, engine=engine)
            (check,) = await doctor.check_engine(asked)
            assert check.state is state and said in check.found
            assert "wrong" not in check.found and KEY not in check.found
            if state is State.OK:
                (lock,) = await doctor.check_seed_lock(asked)
                assert lock.state is State.OK and url in lock.found


def test_the_gpu(folder: Path) -> None:
    environment = {"PATH": str(folder)}
    assert doctor.check_gpu(environment).state is State.OK

    def say(script: str) -> Check:
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return doctor.check_gpu(environment)

    good = say('echo "NVIDIA H100 80GB HBM3, 80995 MiB"')
    assert (good.state, good.found) == (State.OK, "NVIDIA H100 80GB HBM3, 80995 MiB free")
    bad = say('echo "NVIDIA-SMI has failed because it could not reach the driver"; exit 9')
    assert bad.state is State.WARN and "ended with 9: NVIDIA-SMI has failed" in bad.found
    assert say("true").state is State.WARN


async def test_redis(folder: Path) -> None:
    def miner(**table: Any) -> Any:
        return settings(MinerSettings, folder, miner=table)

    assert (await doctor.check_redis(miner())).state is State.OK
    assert (await doctor.check_redis(miner(workers=2))).state is State.FAIL
    away = await doctor.check_redis(miner(workers=2, redis="redis://127.0.0.1:9"))
    assert away.state is State.FAIL and "start redis-server" in away.todo
    wrong = await doctor.check_redis(miner(redis="http://127.0.0.1"))
    assert wrong.state is State.FAIL
    secret = await doctor.check_redis(miner(redis="redis://me:secret@127.0.0.1:9/0"))
    assert secret.state is State.FAIL and "secret" not in secret.found


@needs_redis
async def test_redis_that_is_there(folder: Path) -> None:
    with redis_server(folder) as server:
        there = settings(MinerSettings, folder, miner={"workers": 2, "redis": server.url})
        assert (await doctor.check_redis(there)).state is State.OK
        assert server.ask("CONFIG SET maxmemory-policy allkeys-lru") == b"+OK"
        forgetful = await doctor.check_redis(there)
    assert forgetful.state is State.WARN and "allkeys-lru" in forgetful.found


@pytest.mark.parametrize(
    ("age_s", "state"),
    [(-1.9, State.OK), (0.0, State.OK), (30.0, State.OK), (-2.1, State.FAIL), (35.0, State.WARN)],
)
def test_the_clock(age_s: float, state: State) -> None:
    assert doctor.check_clock(age_s, 12.0, local=False).state is state
    local = doctor.check_clock(age_s, 12.0, local=True).state
    assert local is (State.WARN if state is State.FAIL else state)


# The chain


@dataclass
class World:
    """A chain, a connection to it, and a folder of wallets."""

    node: Devnet
    chain: Chain
    folder: Path

    def settings(self, kind: Any, **flags: Any) -> Any:
        return settings(kind, self.folder, self.node.url, **flags)

    async def checks(self, kind: Any, shift_s: float = 0.0, **flags: Any) -> dict[str, Check]:
        found = await doctor.check_chain(
            self.settings(kind, **flags), lambda: time.time() + shift_s
        )
        return {check.name: check for check in found}


@pytest.fixture
async def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder / "runtime"))
    write_key(folder)
    async with Devnet("minimal") as node, Chain.connect(node.url) as chain:
        owner, hotkey = (Keypair.create_from_uri(uri) for uri in ("//Owner", "//Owner//hot"))
        await chain.submit(admin("sudo_set_admin_freeze_window", window=0), ALICE)
        cost = await chain.network_cost()
        await chain.submit(transfer(owner.ss58_address, cost + Rao(RAO_PER_TAO)), ALICE)
        assert await chain.register_network(owner, hotkey.ss58_address) == NETUID
        await chain.start_call(owner, NETUID)
        yield World(node, chain, folder)


async def seat(world: World, name: str, stake: int = 0) -> int:
    coldkey, hotkey = (Keypair.create_from_uri(uri) for uri in (f"//{name}//cold", f"//{name}"))
    money = Rao((100 + stake) * RAO_PER_TAO)
    await world.chain.submit(batch([transfer(coldkey.ss58_address, money)]), ALICE)
    uid = await world.chain.register(coldkey, NETUID, hotkey.ss58_address)
    if stake:
        await world.chain.add_stake(coldkey, hotkey.ss58_address, NETUID, Rao(stake * RAO_PER_TAO))
    return uid


async def test_a_chain_that_is_away(folder: Path) -> None:
    write_key(folder)
    (check,) = await doctor.check_chain(settings(MinerSettings, folder))
    assert (check.name, check.state) == ("chain", State.FAIL)


async def test_a_subnet_that_is_none(world: World) -> None:
    found = await world.checks(MinerSettings, network={"netuid": 77})
    assert found["registration"].state is State.FAIL
    assert "there is no subnet 77" in found["registration"].found


async def test_a_miner_from_its_first_day_on(world: World) -> None:
    found = await world.checks(MinerSettings)
    assert found["chain"].state is found["clock"].state is State.OK
    assert found["registration"].state is State.FAIL
    assert "subnets register --netuid 2 --hotkey h" in found["registration"].todo
    assert found["axon"].state is found["callers"].state is found["peers"].state is State.WARN

    uid = await seat(world, "Miner")
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        host, port = free.getsockname()
    address = {"host": host, "port": port}
    found = await world.checks(MinerSettings, miner=address)
    assert found["registration"] == Check("registration", State.OK, f"seat {uid} on netuid 2")
    assert found["axon"].state is State.WARN and "nothing is published" in found["axon"].found
    assert found["port"].state is State.OK and "free to listen on" in found["port"].found
    with socket.socket() as taken:
        taken.bind((host, port))
        taken.listen()
        found = await world.checks(MinerSettings, miner=address)
        assert found["port"].state is State.FAIL

    hotkey = Keypair.create_from_uri("//Miner")
    await world.chain.serve_axon(hotkey, NETUID, host, port)
    found = await world.checks(MinerSettings, miner=address)
    assert found["axon"] == Check("axon", State.OK, f"{host}:{port}")
    assert found["port"].state is State.FAIL and "start the miner" in found["port"].todo
    assert found["peers"].state is State.WARN and "none of 1" in found["peers"].found
    moved = await world.checks(MinerSettings, miner=address | {"port": 8091})
    assert moved["axon"].state is State.WARN and "the settings say" in moved["axon"].found
    veiled = await world.checks(MinerSettings, miner=address | {"tls": True})
    assert veiled["axon"].state is State.WARN and "without a TLS key" in veiled["axon"].found
    nowhere = await world.checks(MinerSettings, miner={"host": "127.0.0.1"})
    assert nowhere["axon"].state is State.FAIL


async def test_a_miner_that_is_up_tells_its_clock(world: World) -> None:
    await seat(world, "Miner")
    async with serving() as served:
        served.axon.handle("/ask", Question, Echo, echo)
        hotkey = Keypair.create_from_uri("//Miner")
        await world.chain.serve_axon(hotkey, NETUID, served.host, served.port)
        address = {"host": served.host, "port": served.port}
        found = await world.checks(MinerSettings, miner=address)
        assert found["port"].state is State.OK
        assert found["peers"].state is State.OK
        assert re.search(r"of 1 of 1 miners minus this one: [+-]0\.0 s", found["peers"].found)
        assert served.axon.counters.refused["stale"] == 1
        # Our clock ahead, and behind.
        late = await world.checks(MinerSettings, shift_s=5.0, miner=address)
        assert late["peers"].state is State.WARN and ": -5.0 s" in late["peers"].found
        assert (await world.checks(MinerSettings, 1.5, miner=address))["peers"].state is State.WARN
        early = await world.checks(MinerSettings, shift_s=-5.0, miner=address)
        assert early["peers"].state is State.WARN and ": +5.0 s" in early["peers"].found
        assert early["clock"].state is State.WARN  # a local chain may have a time of its own


NO_CLOCKS = (
    ("", f'{{"server_time_ns": 1{"0" * 400}}}'),
    ("", '{"server_time_ns": NaN}'),
    ("", '{"server_time_ns": "now"}'),
    ("Date: Mon, 01 Jan 99999999999 00:00:00 GMT\r\n", ""),
)


@pytest.mark.parametrize(("head", "body"), NO_CLOCKS)
async def test_the_liar_about_the_time_does_not_break_the_doctor(head: str, body: str) -> None:
    async with telling(lambda: (head, body)) as port:
        assert await doctor._offset_of(neuron_at(port), "/", ALICE, time.time) is None


async def test_only_several_miners_can_say_that_the_clock_is_wrong(folder: Path) -> None:
    write_key(folder)
    alice = settings(ValidatorSettings, folder)
    async with telling(lambda: ("", f'{{"server_time_ns": {time.time_ns()}}}')) as port:
        states = []
        for count in (1, 2, 3):
            seats = [neuron_at(port)] * count
            graph = Metagraph(NETUID, 1, 10, 0, "", "", tuple(seats))
            states.append((await doctor.check_peers(alice, ALICE, graph, late)).state)
    assert states == [State.WARN, State.WARN, State.FAIL]


def late() -> float:
    return time.time() + 60


def neuron_at(port: int) -> Neuron:
    """Somebody who published a port of ours."""
    key, none = ALICE.ss58_address, Alpha(0)
    return Neuron(
        0, key, key, True, False, none, none, 0, 0, 0, none, 0, 0, host="127.0.0.1", port=port
    )


@asynccontextmanager
async def telling(what: Callable[[], tuple[str, str]]) -> AsyncIterator[int]:
    """A port where every request is refused with such a head and body."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head, body = what()
        length = f"Content-Length: {len(body)}"
        writer.write(f"HTTP/1.1 401 No\r\n{head}{length}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_miner_whom_only_the_poor_may_ask(world: World) -> None:
    await seat(world, "Miner")
    await seat(world, "Validator", stake=20)
    found = await world.checks(MinerSettings)
    assert found["callers"].state is State.WARN and "0 of 0 with a permit" in found["callers"].found
    await world.node.mine(45)  # two epochs: the first begins a cycle
    assert (await world.checks(MinerSettings))["callers"].state is State.OK
    choosy = await world.checks(MinerSettings, miner={"min_stake": 1e6})
    assert choosy["callers"].state is State.WARN


async def test_a_validator_needs_a_permit(world: World) -> None:
    write_key(world.folder, "//Validator")
    await seat(world, "Validator")
    poor = (await world.checks(ValidatorSettings))["permit"]
    assert poor.state is State.FAIL and "none, with 0.00 alpha" in poor.found
    hotkey, coldkey = (Keypair.create_from_uri(f"//Validator{end}") for end in ("", "//cold"))
    await world.chain.add_stake(coldkey, hotkey.ss58_address, NETUID, Rao(20 * RAO_PER_TAO))
    await world.node.mine(45)
    rich = (await world.checks(ValidatorSettings))["permit"]
    assert rich.state is State.OK, rich


async def test_an_axon_that_validators_never_dial(world: World) -> None:
    """On the public network: the same chain, told not to be one of this machine's."""
    me = Neuron(
        uid=0, hotkey="h", coldkey="c", active=True, permit=False, stake=Alpha(0),
        alpha=Alpha(0), consensus=0, incentive=0, dividends=0, emission=Alpha(0), last_update=0,
        registered_at=0, host="127.0.0.2", port=9, tls_key=None,
    )  # fmt: skip
    public = settings(
        MinerSettings, world.folder, "wss://chain.example", miner={"external_host": "127.0.0.2"}
    )
    axon, port = await doctor.check_axon(public, me)
    assert axon.state is State.FAIL and "validators never dial it" in axon.found
    assert port.state is State.FAIL
    unsaid = settings(MinerSettings, world.folder, "wss://chain.example")
    (axon,) = await doctor.check_axon(unsaid, me)
    assert axon.state is State.FAIL and "give --external-host" in axon.todo


# The command


async def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "subnet.cli.app", "doctor", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.model
async def test_the_command_when_all_is_well(world: World) -> None:
    await seat(world, "Miner")
    async with serving() as served:
        served.axon.handle("/ask", Question, Echo, echo)
        hotkey = Keypair.create_from_uri("//Miner")
        await world.chain.serve_axon(hotkey, NETUID, served.host, served.port)
        arguments = (
            "--role", "miner", "--network", world.node.url, "--netuid", str(NETUID),
            "--wallet-path", str(world.folder), "--wallet", "w", "--hotkey", "h",
        )  # fmt: skip
        given = {
            "SUBNET_MINER_HOST": served.host,
            "SUBNET_MINER_PORT": str(served.port),
            "PATH": "/usr/bin:/bin",
        }
        code, out, err = await command(*arguments, "--json", **given)
        assert code == exits.DONE, out + err
        found = {check["name"]: check["state"] for check in json.loads(out)}
        assert found == {
            "python": "ok", "bittensor": "ok", "bittensor-core": "ok", "hotkey": "ok",
            "coldkey": "ok", "disk (state)": "ok", "disk (models)": "ok", "model": "ok",
            "gpu": "ok", "seed lock": "ok", "redis": "ok", "chain": "ok", "clock": "ok",
            "registration": "ok",
            "callers": "warn", "axon": "ok", "port": "ok", "peers": "ok",
        }  # fmt: skip
        code, out, err = await command(*arguments, **given)
    lines = out.splitlines()
    assert code == exits.DONE and len(lines) == len(found)
    assert lines[0].startswith("ok    python          3.")


async def test_the_command_when_something_fails(folder: Path) -> None:
    code, out, _ = await command(
        "--role", "validator", "--network", "ws://127.0.0.1:9", "--netuid", str(NETUID),
        "--wallet-path", str(folder), "--json",
    )  # fmt: skip
    assert code == exits.FAILED
    found = {check["name"]: check for check in json.loads(out)}
    assert found["hotkey"]["state"] == found["chain"]["state"] == "fail"
    assert set(found["chain"]) == {"name", "state", "found", "todo"}
    assert "redis" not in found  # a validator's own affair


async def test_the_command_called_wrongly() -> None:
    code, out, err = await command("--role", "owner")
    assert (code, out) == (exits.USAGE, "")
    code, out, err = await command("--role", "miner")
    assert (code, out) == (exits.USAGE, "") and "network.netuid" in err
