"""What would keep a miner or validator from working: one line each, and what to do about it.

Every check looks at the thing itself: the key file, the chain, the published port. Nothing is
changed, nothing is signed but one request that is too old to be answered, by which miners tell
their clocks. Knows nothing of how the lines are shown.
"""

from __future__ import annotations

import asyncio
import enum
import importlib.metadata
import ipaddress
import json
import os
import shutil
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from bittensor_core import Keypair

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph, Neuron
from chain.errors import ChainError
from miners.serve import published_address
from subnet.config import (
    MinerSettings,
    NetworkTable,
    ValidatorSettings,
    find_bare_coldkey,
    open_hotkey,
)
from subnet.conformance.exchange import Endpoint, Shot, exchange
from subnet.definition import load
from subnet.engines.models import cache_folder, ensure_hash, find_model
from subnet.engines.openai import SERVE_FLAGS, connect
from subnet.errors import DefinitionError, EngineError, InvalidSetting, ModelMismatch, WalletError
from subnet.seat import buying_command
from subnet.wire import auth
from subnet.wire.clock import QUORUM
from subnet.wire.shared import OLDEST

ALPHA: Final = 1_000_000_000
GIB: Final = 1 << 30
SDK: Final = {"bittensor": ("11.3", "12"), "bittensor-core": ("0.1.5", "0.2")}
"""Distribution, and the versions it must be: from, and below."""
DIAL_S: Final = 5.0
PEERS: Final = 8
"""Miners that are asked at most."""
CHAIN_S: Final = 20.0
SERVER_S: Final = 30.0
DISK_WARN: Final = 5 * GIB
DISK_FAIL: Final = GIB
AHEAD_S: Final = auth.MAX_AHEAD_NS / 1e9
"""So far a clock may be ahead of a miner's before the miner refuses."""


class State(enum.StrEnum):
    """How it stands with one thing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do about it if it is not well."""

    name: str
    state: State
    found: str
    todo: str = ""


Settings = MinerSettings | ValidatorSettings


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, State.OK, found)


def warn(name: str, found: str, todo: str) -> Check:
    """It works, or may work, and should be looked after."""
    return Check(name, State.WARN, found, todo)


def fail(name: str, found: str, todo: str) -> Check:
    """It cannot work like this."""
    return Check(name, State.FAIL, found, todo)


async def examine(
    settings: Settings, *, server: str | None = None, server_key: str | None = None
) -> list[Check]:
    """Every check that `settings` call for, in the order in which to mend what they find.

    `server` is the URL of a model server that is to answer, `server_key` what it wants to be told.
    """
    checks = [
        check_python(sys.version_info[:3]),
        *check_sdk(importlib.metadata.version),
        check_hotkey(settings.network),
        check_coldkey(settings.network),
        *check_disk(folders(settings)),
        check_model(settings),
        check_gpu(os.environ),
        *await check_engine(settings),
        *await check_seed_lock(settings, server, server_key),
        *check_judge(settings),
    ]
    if isinstance(settings, MinerSettings):
        checks.append(await check_redis(settings))
    return checks + await check_chain(settings)


# This machine


def check_python(version: Sequence[int]) -> Check:
    """Whether this Python runs us."""
    found = ".".join(map(str, version))
    if tuple(version[:2]) < (3, 11):
        return fail("python", found, "run it with Python 3.11 or later")
    return ok("python", found)


def check_sdk(version_of: Callable[[str], str]) -> list[Check]:
    """Whether the Bittensor SDK is one we know; `version_of` raises PackageNotFoundError."""
    checks = []
    for name, (first, end) in SDK.items():
        todo = f"pip install '{name}>={first},<{end}'"
        try:
            version = version_of(name)
        except importlib.metadata.PackageNotFoundError:
            checks.append(fail(name, "not installed", todo))
            continue
        known = _numbers(first) <= _numbers(version) < _numbers(end)
        checks.append(ok(name, version) if known else fail(name, version, todo))
    return checks


def check_hotkey(network: NetworkTable) -> Check:
    """Whether the neuron's key is there, usable, and nobody else's to read."""
    try:
        keypair = open_hotkey(network)
    except WalletError as error:
        return fail("hotkey", str(error), "name it with --wallet, --hotkey and --wallet-path")
    path = network.hotkey_file
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return warn("hotkey", f"{path} can be read by others", f"chmod 600 {path}")
    return ok("hotkey", f"{network.wallet}/{network.hotkey} is {keypair.ss58_address}")


def check_coldkey(network: NetworkTable) -> Check:
    """Whether a coldkey lies where a server that talks to strangers runs."""
    bare = find_bare_coldkey(network)
    path = network.wallet_folder / "coldkey"
    if bare is not None:
        found, todo = f"{bare} is not encrypted", "move it to a machine that serves nobody"
        return warn("coldkey", found, todo) if network.local else fail("coldkey", found, todo)
    # Path.exists would raise where we may not look.
    if os.path.exists(path) and not network.local:
        found = f"{path} is encrypted, and here"
        return warn("coldkey", found, "keep it on a machine that serves nobody")
    return ok("coldkey", "none to be stolen here")


def folders(settings: Settings) -> dict[str, Path]:
    """Where a neuron writes: its own folder, and that of the model."""
    own = (
        settings.state_folder()
        if isinstance(settings, ValidatorSettings)
        else settings.own_folder()
    )
    return {"disk (state)": own, "disk (models)": cache_folder()}


def check_disk(
    places: Mapping[str, Path],
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> list[Check]:
    """Room and the right to write at each place; `free` says bytes."""
    checks = []
    for name, path in places.items():
        there = next(
            (one for one in (path, *path.parents) if one.exists()), Path(path.anchor or ".")
        )
        if not there.is_dir() or not os.access(there, os.W_OK):
            checks.append(fail(name, f"{path} cannot be written", f"see to {there}"))
            continue
        room = free(there)
        found = f"{room / GIB:.1f} GiB free at {path}"
        if room < DISK_FAIL:
            checks.append(fail(name, found, "make room"))
        elif room < DISK_WARN:
            checks.append(warn(name, found, "make room before it is full"))
        else:
            checks.append(ok(name, found))
    return checks


def check_model(settings: Settings) -> Check:
    """Whether the model file that the subnet is about is here, and is that model."""
    try:
        subnet = load(settings.subnet.definition, model_sha256=settings.model.sha256)
    except DefinitionError as error:
        return fail("model", str(error), "name the subnet with --definition package.module:Class")
    if subnet.model_sha256 is None:
        return ok("model", "this subnet is about none")
    given = settings.miner.model_file if isinstance(settings, MinerSettings) else None
    path = given or find_model(subnet.model_sha256)
    if path is None:
        found = f"{subnet.model_sha256[:16]}... is not in {cache_folder()}"
        return fail("model", found, "subnet model fetch")
    try:
        ensure_hash(path, subnet.model_sha256)
    except (ModelMismatch, OSError) as error:
        if isinstance(settings, MinerSettings) and settings.miner.allow_other_weights:
            return warn("model", str(error), "take the subnet's model; this one earns nothing")
        return fail("model", str(error), f"remove {path} and run: subnet model fetch")
    return ok("model", f"{path}, its hash is right")


def check_gpu(environment: Mapping[str, str]) -> Check:
    """What `nvidia-smi` says, where there is one."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH", os.defpath))
    if program is None:
        return ok("gpu", "none found: models run on the CPU")
    command = [program, "--query-gpu=name,memory.free", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn("gpu", f"nvidia-smi: {type(error).__name__}", "mend the driver")
    cards = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not cards:
        said = (done.stderr or done.stdout).strip().splitlines()
        found = f"nvidia-smi ended with {done.returncode}: {said[0] if said else 'no card'}"
        return warn("gpu", found, "mend the driver")
    return ok("gpu", "; ".join(f"{card} free" for card in cards))


async def check_engine(settings: Settings) -> list[Check]:
    """Whether the model server that the settings name, if they name one, can be an engine."""
    table = settings.engine
    if table.kind != "openai":
        return []
    if table.url is None:
        return [fail("engine", "a server, but not where it is", "give its address as engine.url")]
    key = table.api_key.get_secret_value() if table.api_key else None
    try:
        async with connect(
            table.url, sha256="", model=table.served_model, api_key=key, timeout_s=SERVER_S
        ) as engine:
            await engine.health()
    except EngineError as error:
        return [fail("engine", f"{table.url}: {error}", "start the server, or mend [engine]")]
    found = f"{table.url} is well and reports what is needed; which weights it runs is your word"
    return [ok("engine", found)]


async def check_seed_lock(
    settings: Settings, server: str | None = None, server_key: str | None = None
) -> list[Check]:
    """Whether the model server at `server` keeps a seed lock, and what starts one that does.

    Nothing where the subnet's answers are not locked. A server is not asked but tried.
    """
    try:
        subnet = load(settings.subnet.definition, model_sha256=settings.model.sha256)
    except DefinitionError:
        return []  # said already
    if not subnet.seed_locked:
        return []
    line = f"vllm serve MODEL {SERVE_FLAGS} --generation-config vllm"
    table = settings.engine
    if server is None and table.kind == "openai":
        server = table.url
        server_key = table.api_key.get_secret_value() if table.api_key else None
    if server is None:
        found = f"our own engines keep it; so does vLLM without speculative decoding: {line}"
        return [ok("seed lock", found)]
    todo = f"start it without speculative decoding: {line}"
    try:
        async with connect(
            server, sha256=subnet.model_sha256 or "", api_key=server_key, timeout_s=SERVER_S
        ) as engine:
            locks = engine.locks
    except EngineError as error:
        return [fail("seed lock", f"{server}: {error}", todo)]
    if not locks:
        found = f"{server} cannot be seed-locked: log-probabilities and audits are all that is left"
        return [warn("seed lock", found, todo)]
    return [ok("seed lock", f"{server} keeps it")]


async def check_redis(settings: MinerSettings) -> Check:
    """Whether the store that several processes share is there, and forgets nothing by itself."""
    table = settings.miner
    if table.redis is None:
        if table.workers > 1:
            found = f"{table.workers} workers and no store: what one answered another would again"
            return fail("redis", found, "give --redis URL")
        return ok("redis", "not needed by one process")
    try:
        import redis.asyncio as redis
        from redis.exceptions import RedisError
    except ImportError:
        return fail("redis", "redis-py is not installed", "pip install 'subnetkit[redis]'")
    where = table.redis.rpartition("@")[2]  # without a password
    todo = "start redis-server there, or give another --redis URL"
    try:
        client = redis.from_url(table.redis, socket_timeout=DIAL_S, socket_connect_timeout=DIAL_S)
    except ValueError as error:
        return fail("redis", f"{where}: {error}", "give redis://HOST:PORT/NUMBER")
    try:
        facts = await client.info()
        policy = str(facts.get("maxmemory_policy", "noeviction"))
    except (RedisError, OSError, TimeoutError) as error:
        return fail("redis", f"{where}: {type(error).__name__}: {error}", todo)
    finally:
        await client.aclose()
    version = str(facts.get("redis_version"))
    if _numbers(version) < (OLDEST,):
        return fail("redis", f"{where} is Redis {version}", f"take Redis {OLDEST} or later")
    if policy != "noeviction":
        return warn(
            "redis",
            f"maxmemory-policy {policy} lets it forget nonces: then nobody is served for 3 s",
            "redis-cli config set maxmemory-policy noeviction",
        )
    return ok("redis", f"{where} answers")


def check_judge(settings: Settings) -> list[Check]:
    """What the subnet's own definition says that its judge lacks; of a miner nothing."""
    if isinstance(settings, MinerSettings):
        return []
    try:
        subnet = load(
            settings.subnet.definition,
            model_sha256=settings.model.sha256,
            engine=settings.engine,
        )
    except DefinitionError:
        return []  # said already
    lacks = subnet.advice()
    return [] if lacks is None else [warn("judge", *lacks)]


# The chain, and what it says of us


async def check_chain(settings: Settings, clock: Callable[[], float] = time.time) -> list[Check]:
    """Everything that only the chain, or somebody it names, can tell. `clock` is Unix seconds."""
    endpoint = settings.network.endpoint
    try:
        async with asyncio.timeout(CHAIN_S), Chain.connect(endpoint) as chain:
            block = await chain.block()
            stamp = int(await chain.query("Timestamp", "Now", block=block)) / 1000
            block_s = await chain.block_time()
            checks = [ok("chain", f"{endpoint} is at block {block}")]
            if block:  # the first one has no time
                age_s = clock() - stamp
                checks.append(check_clock(age_s, block_s, local=settings.network.local))
            netuid = settings.netuid
            if not await chain.query("SubtensorModule", "NetworksAdded", netuid):
                found = f"there is no subnet {netuid} on {endpoint}"
                return [*checks, fail("registration", found, "give --netuid N")]
            metagraph = await chain.metagraph(netuid)
    except TimeoutError:
        found = f"{endpoint} did not answer within {CHAIN_S:g} s"
        return [fail("chain", found, "start a node, or give --network")]
    except ChainError as error:
        return [fail("chain", str(error), "start a node, or give --network")]

    try:
        keypair = open_hotkey(settings.network)
    except WalletError:
        return checks  # said already
    me = metagraph.find(keypair.ss58_address)
    checks.append(check_registration(settings, keypair.ss58_address, me))
    if isinstance(settings, MinerSettings):
        checks.append(check_callers(settings, metagraph))
        checks += await check_axon(settings, me)
    elif me is not None:
        checks.append(check_permit(me, metagraph))
    checks.append(await check_peers(settings, keypair, metagraph, clock))
    return checks


def check_clock(age_s: float, block_s: float, *, local: bool) -> Check:
    """This clock against the newest block's, `age_s` older; blocks come every `block_s` seconds.

    A block in the future proves our clock wrong. An old one may be the chain's own fault. A local
    chain may have been given a time of its own.
    """
    todo = "keep it by NTP: timedatectl set-ntp true"
    if age_s < -AHEAD_S:
        found = f"{-age_s:.1f} s behind the newest block's"
        return warn("clock", found, todo) if local else fail("clock", found, todo)
    if age_s > 2 * block_s + 10:
        found = f"{age_s:.0f} s ahead of the newest block's: this clock is ahead, or the chain late"
        return warn("clock", found, todo)
    return ok("clock", f"{age_s:.1f} s after the newest block's")


def check_registration(settings: Settings, hotkey: str, me: Neuron | None) -> Check:
    """Whether the hotkey has a seat."""
    if me is None:
        found = f"{hotkey} has no seat on netuid {settings.netuid}"
        return fail("registration", found, buying_command(settings.network, settings.netuid))
    return ok("registration", f"seat {me.uid} on netuid {settings.netuid}")


def check_permit(me: Neuron, metagraph: Metagraph) -> Check:
    """Whether miners will answer this validator at all."""
    if not me.permit:
        permitted = [int(neuron.stake) for neuron in metagraph.neurons if neuron.permit]
        least = (
            f"; the least of those with one is {min(permitted) / ALPHA:.2f}" if permitted else ""
        )
        found = f"none, with {int(me.stake) / ALPHA:.2f} alpha of stake{least}"
        return fail("permit", found, "stake more, and wait for the next epoch")
    return ok("permit", f"a permit, with {int(me.stake) / ALPHA:.2f} alpha of stake")


def check_callers(settings: MinerSettings, metagraph: Metagraph) -> Check:
    """Whether anybody there is whom this miner answers."""
    least = settings.miner.min_stake
    permitted = [neuron for neuron in metagraph.neurons if neuron.permit]
    answered = [neuron for neuron in permitted if int(neuron.stake) >= least * ALPHA]
    found = f"{len(answered)} of {len(permitted)} with a permit have {least:g} alpha"
    if not answered:
        return warn("callers", found, "nobody will be answered: wait, or lower --min-stake")
    return ok("callers", found)


async def check_axon(settings: MinerSettings, me: Neuron | None) -> list[Check]:
    """What the chain says where this miner is, and whether somebody answers there."""
    table = settings.miner
    try:
        host, port = published_address(settings, table.port or 1)
    except InvalidSetting as error:
        return [fail("axon", str(error), "give --external-host ADDRESS")]
    if me is None:
        return [warn("axon", "not published, for want of a seat", "see registration")]
    if me.host is None or me.port is None:
        return [
            warn("axon", "nothing is published", "the miner publishes it when it starts"),
            await _check_free(table.host, table.port),
        ]
    where = f"{me.host}:{me.port}"
    checks = []
    if not settings.network.local and not ipaddress.ip_address(me.host).is_global:
        checks.append(fail("axon", f"{where}: validators never dial it", "give --external-host"))
    elif me.host != host or (table.port and me.port != port):
        checks.append(
            warn("axon", f"{where}; the settings say {host}:{port}", "the miner mends it at start")
        )
    elif (me.tls_key is not None) != table.tls:
        said = "with a TLS key" if me.tls_key is not None else "without a TLS key"
        todo = "the settings say otherwise; the miner mends it at start"
        checks.append(warn("axon", f"{where} {said}", todo))
    else:
        checks.append(ok("axon", where))
    return [*checks, await _check_port(me.host, me.port)]


async def check_peers(
    settings: Settings, keypair: Keypair, metagraph: Metagraph, clock: Callable[[], float]
) -> Check:
    """This clock against those of miners, who tell theirs when a request is too old."""
    if not settings.network.local:
        published = [n for n in metagraph.neurons if n.host and _is_public(n.host)]
    else:
        published = [n for n in metagraph.neurons if n.host]
    asked = published[:PEERS]
    if not asked:
        return warn("peers", "no miner has published where it is", "wait until one has")
    try:  # a miner looks for the path before it looks at the time
        path = load(settings.subnet.definition).path
    except DefinitionError:
        path = "/"
    offsets = await asyncio.gather(*(_offset_of(one, path, keypair, clock) for one in asked))
    told = [offset for offset in offsets if offset is not None]
    if not told:
        found = f"none of {len(asked)} miners told its clock"
        return warn("peers", found, "see whether this machine may connect to others")
    offset = statistics.median(told)
    found = f"the clocks of {len(told)} of {len(asked)} miners minus this one: {offset:+.1f} s"
    # Nobody has signed for it: the word of one or two may be a lie.
    if abs(offset) > AHEAD_S and len(told) >= QUORUM:
        return fail("peers", found, "keep this clock by NTP: timedatectl set-ntp true")
    if abs(offset) > AHEAD_S / 2:
        return warn("peers", found, "keep this clock by NTP: timedatectl set-ntp true")
    return ok("peers", found)


async def _check_free(host: str, port: int) -> Check:
    try:
        server = await asyncio.start_server(lambda reader, writer: None, host, port)
    except OSError as error:
        todo = "stop what listens there, or give --port"
        return fail("port", f"{host}:{port}: {error.strerror or error}", todo)
    server.close()
    await server.wait_closed()
    return ok("port", f"{host}:{port} is free to listen on")


async def _check_port(host: str, port: int) -> Check:
    """As far as can be told from here: a router may not lead us back to ourselves."""
    where = f"{host}:{port}"
    outside = f"ask from another machine: subnet conformance http://{where} --receiver SS58"
    try:
        async with asyncio.timeout(DIAL_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return warn(
            "port", f"{where} does not answer from here", f"open the firewall, or {outside}"
        )
    except OSError as error:
        found = f"{where}: {error.strerror or error}"
        return fail("port", found, "start the miner, and see that the port leads to it")
    writer.transport.abort()
    return ok("port", f"{where} takes connections, from this machine; {outside}")


async def _offset_of(
    neuron: Neuron, path: str, keypair: Keypair, clock: Callable[[], float]
) -> float | None:
    """Seconds a miner's clock is ahead of ours; None when it does not tell."""
    assert neuron.host is not None and neuron.port is not None
    headers = auth.sign_request(
        keypair, method="POST", target=path, body=b"", receiver=neuron.hotkey, nonce=1
    )
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [
        f"POST {path} HTTP/1.1",
        "Host: miner",
        "Connection: close",
        "Content-Length: 0",
        *lines,
    ]
    request = "\r\n".join([*head, "", ""]).encode()
    endpoint = Endpoint(neuron.host, neuron.port, neuron.tls_key is not None)
    before = clock()
    heard = await exchange(endpoint, Shot([request], nonce=1, sender="", wait_s=DIAL_S))
    ours = (before + clock()) / 2
    try:
        told = json.loads(heard.body)["server_time_ns"]
    except (ValueError, TypeError, KeyError, RecursionError):
        told = None
    if isinstance(told, int) and 0 <= told < 1 << 64:
        return told / 1e9 - ours
    dates = [value for name, value in heard.headers if name.lower() == "date"]
    try:
        # Whole seconds, cut down: half a second is right on the average.
        return parsedate_to_datetime(dates[0]).timestamp() + 0.5 - ours
    except (IndexError, ValueError, OverflowError):
        return None


def _is_public(host: str) -> bool:
    return ipaddress.ip_address(host).is_global


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; what follows a letter does not count."""
    numbers = []
    for part in version.split("."):
        digits = "".join(char for char in part if char.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
