"""What `subnet service` prints is run: the unit's command, the container's health check."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data
from prometheus_client.parser import text_string_to_metric_families

from subnet.cli import exits
from subnet.cli.notify import keep_alive, notify
from subnet.cli.service import Neuron, containerfile, unit
from subnet.config import MinerTable, ValidatorTable
from subnet.pages import Readiness, pages
from tests.neurons import unanswered
from tests.neurons.test_neuron_processes import World, founded, player, set_tempo, world

__all__ = ["world"]  # the fixture

ROOT = Path(__file__).parents[2]


def option(text: str, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("neuron", Neuron)
def test_systemd_takes_the_unit(neuron: Neuron, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / f"subnet-{neuron}.service"
    path.write_text(unit(neuron, tmp_path / "100% mine" / "subnet.toml", "root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    mine = [line for line in done.stderr.splitlines() if path.name in line]
    assert mine == []


def test_a_restart_is_not_tried_where_it_mends_nothing() -> None:
    text = unit(Neuron.validator, Path("/srv/subnet.toml"), "subnet")
    codes = {int(code) for code in option(text, "RestartPreventExitStatus").split()}
    assert codes == {exits.USAGE, exits.NOT_REGISTERED, exits.MODEL, exits.WALLET}
    assert codes.isdisjoint({exits.NOT_LANDED, exits.STALLED, exits.LEASE, exits.CHAIN_AWAY})
    # The process's own watchdog bites first, and says why.
    assert int(option(text, "WatchdogSec")) > ValidatorTable().loop_limit_s


async def test_the_unit_s_command_tells_that_it_runs_and_has_pages(tmp_path: Path) -> None:
    hotkey = tmp_path / "wallets" / "default" / "hotkeys" / "default"
    hotkey.parent.mkdir(parents=True)
    key = Keypair.create_from_uri("//Alice")
    hotkey.write_bytes(serialized_keypair_to_keyfile_data(key))
    config = tmp_path / "my subnet.toml"
    silent = socket.create_server(("127.0.0.1", 0))  # a node that takes the call, no more
    port = silent.getsockname()[1]
    config.write_text(
        f'[network]\nchain = "ws://127.0.0.1:{port}"\nnetuid = 1\n'
        f'wallet_path = "{tmp_path / "wallets"}"\n'
    )
    command = option(unit(Neuron.validator, config, "root"), "ExecStart")
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    assert words[0] == sys.executable and words[-1] == str(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
        environment |= {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": str(ROOT),
        }
        environment["SUBNET_VALIDATOR_METRICS_PORT"] = "0"
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(120):
                heard = [await asyncio.get_running_loop().sock_recv(manager, 100) for _ in range(3)]
                assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
                assert process.stderr is not None
                while b"health and metrics on " not in (line := await process.stderr.readline()):
                    assert line
                await look_at_pages(line.split()[-1].decode())
                received(manager)  # it has room for the last word
                process.terminate()
                while heard[-1] != b"STOPPING=1":
                    heard.append(await asyncio.get_running_loop().sock_recv(manager, 100))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            silent.close()


async def look_at_pages(url: str) -> None:
    """Of a validator that has not seen the chain yet: it lives, and is not ready."""
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/healthz") as response:
            assert response.status == 200
        async with session.get("/readyz") as response:
            reasons = (await response.json())["reasons"]
            assert (response.status, reasons) == (
                503, ["the chain was not seen yet", "no weights have landed yet"],
            )  # fmt: skip
        async with session.get("/metrics") as response:
            families = text_string_to_metric_families(await response.text())
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert (values["subnet_rounds_total"], values["subnet_leads"]) == (0, 1)


def test_without_a_manager_nobody_is_told(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


async def test_a_manager_with_no_room_for_a_while_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who fell silent because of it would be ended by systemd's watchdog, in good health."""
    monkeypatch.setattr("subnet.cli.notify.RETRY_S", 0.01)
    path = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        telling = asyncio.create_task(keep_alive(environment))
        await asyncio.sleep(0.05)  # it is not there yet
        manager.bind(path)
        manager.setblocking(False)
        heard: list[bytes] = []
        async with asyncio.timeout(60):
            for _ in range(2):
                while notify("full", environment):
                    pass
                await asyncio.sleep(0.1)
                heard += received(manager)
                while heard[-1] != b"WATCHDOG=1":
                    await asyncio.sleep(0.01)
                    heard += received(manager)
        telling.cancel()
        await asyncio.wait([telling])
    assert telling.cancelled() and set(heard) == {b"full", b"READY=1", b"WATCHDOG=1"}


@pytest.mark.parametrize("period", ["0", "soon", ""])
async def test_a_manager_that_watches_nothing_is_told_of_the_start_alone(
    tmp_path: Path, period: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": period}
        async with asyncio.timeout(60):
            await keep_alive(environment)
        assert received(manager) == [b"READY=1"]


def instruction(text: str, name: str) -> str:
    (found,) = re.findall(rf"^{name} (.*)$", text, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("neuron", Neuron)
async def test_the_container_s_health_check_follows_the_page(neuron: Neuron) -> None:
    text = containerfile(neuron, Path("subnet.toml"))
    name, port = instruction(text, "ENV").split("=")
    table: Any = {"MINER": MinerTable, "VALIDATOR": ValidatorTable}[name.split("_")[1]]
    assert name.removeprefix(f"SUBNET_{neuron.upper()}_").lower() in table.model_fields
    check = json.loads(instruction(text, "HEALTHCHECK").partition("CMD ")[2])
    reasons: tuple[str, ...] = ()

    async def health() -> Readiness:
        return Readiness(reasons, {})

    async with pages("127.0.0.1", 0, readiness=health, health=health, collect=tuple) as (_, bound):
        command = [word.replace(f":{port}/", f":{bound}/") for word in check[1:]]
        assert command != check[1:]

        async def code() -> int:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stderr=asyncio.subprocess.DEVNULL
            )
            return await process.wait()

        assert await code() == 0
        reasons = ("no weights have landed for 1 epochs",)
        assert await code() != 0


@pytest.mark.parametrize("neuron", Neuron)
def test_the_container_s_command_is_there(neuron: Neuron) -> None:
    (program, *words) = json.loads(instruction(containerfile(neuron, Path("x.toml")), "ENTRYPOINT"))
    assert program == "subnet"
    command = [sys.executable, "-m", "subnet.cli.app", *words, "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
async def test_both_checks_follow_a_validator_that_runs_stands_still_and_dies(
    world: World, tmp_path: Path
) -> None:
    """The container's entry point, health check and settings; systemd's notices beside them."""
    shutil.copy(unanswered.__file__, tmp_path / "burning.py")
    validator = player(world, 4, "validator", "validator", stake=100)
    text = containerfile(Neuron.validator, Path("subnet.toml"))
    check = json.loads(instruction(text, "HEALTHCHECK").partition("CMD ")[2])
    setting, number = instruction(text, "ENV").split("=")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, *(word.replace(f":{number}/", f":{port}/") for word in check[1:])]

    async def code() -> int:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        async with founded(world, validator) as (chain, netuid):
            await set_tempo(chain, netuid)
            (tmp_path / "subnet.toml").write_text(
                f'[network]\nchain = "{world.url}"\nnetuid = {netuid}\nwallet = "validator"\n'
                f'wallet_path = "{tmp_path / "wallets"}"\n'
                '[subnet]\ndefinition = "burning:Unanswered"\n'
            )
            assert await code() != 0  # nobody is there yet
            (_, *words) = json.loads(instruction(text, "ENTRYPOINT"))
            os.environ |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
            try:
                key = setting.removeprefix("SUBNET_").lower()
                await world.start("validator", *words, **{key: port})
            finally:
                del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
            await world.until(lambda: "read back" in world.log("validator"))
            assert await code() == 0
            heard = received(manager)
            assert heard[0] == b"READY=1" and set(heard[1:]) == {b"WATCHDOG=1"}
            process = world.processes["validator"]
            process.send_signal(signal.SIGSTOP)
            await world.until(lambda: state_of(process.pid) == "T")
            received(manager)
            assert await code() != 0  # in the 8 s that it waits systemd hears nothing either
            assert received(manager) == []
            process.send_signal(signal.SIGCONT)

            async def is_well() -> bool:
                return await code() == 0

            await world.until(is_well)
            await world.until(lambda: b"WATCHDOG=1" in received(manager))
            await world.end("validator", signal.SIGKILL)
            assert await code() != 0


def state_of(pid: int) -> str:
    """As the system has it: "T" is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def received(manager: socket.socket) -> list[bytes]:
    """What a process has told its manager by now."""
    heard = []
    while True:
        try:
            heard.append(manager.recv(100))
        except BlockingIOError:
            return heard
