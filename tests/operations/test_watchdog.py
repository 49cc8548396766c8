"""A watchdog of its own thread: a blocked event loop ends a real process, a busy one does not.

What ends it is told to the webhook first, and a webhook that does not answer holds nothing up.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import create_server

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from chain.devnet.node import Node
from subnet.cli import exits
from tests.operations.test_alerts import webhook
from tests.patience import until
from tests.prompts.test_drawn import Drawn
from tests.prompts.town import town
from validators import watchdog
from validators.loop import run_round
from validators.watch import Watch
from validators.watchdog import Watchdog

ROOT = Path(__file__).parents[2]

BLOCKED = """
import asyncio, threading
from subnet.cli import output
from subnet.cli.neuron import end_now
from validators.watchdog import Watchdog

async def main():
    async with Watchdog(end_now, loop_s=0.5):
        threading.Event().wait()  # as a scorer that never returns
output.log_to_stderr()
asyncio.run(main())
"""


def test_a_blocked_event_loop_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == exits.STALLED
    assert "the event loop has not run for" in done.stderr


async def test_rounds_that_are_not_over_in_their_time_are_noticed() -> None:
    now = 0.0
    bitten: list[str] = []
    async with Watchdog(bitten.append, loop_s=1e9, clock=lambda: now) as dog:
        assert dog.find_problem() is None
        dog.beat(60.0)
        now = 59.0
        assert dog.find_problem() is None
        dog.beat(60.0)
        now = 120.0
        assert dog.find_problem() == "no round was over within 60 s"
        await until(lambda: bitten)
    assert bitten == ["no round was over within 60 s"]


async def test_a_round_waits_for_a_final_block_until_the_watchdog_bites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late finality is waited for; where it stands still, that ends as other silence does."""
    now, bitten = 0.0, list[str]()
    async with (
        asyncio.timeout(200),
        town(tmp_path, monkeypatch, Drawn()) as place,
        Watchdog(bitten.append, loop_s=1e9, clock=lambda: now) as dog,
    ):
        watch = Watch(watchdog=dog, round_limit_s=60.0)
        bench = dataclasses.replace(place.bench, watch=watch)
        moment = await place.moment()
        me = moment.metagraph.find(bench.hotkey)
        assert me is not None
        await watch.look(bench.chain, moment.metagraph, moment.schedule, me, bench.note)
        with monkeypatch.context() as still:
            still.setattr(Node, "_finalize", lambda self, number: None)
            running = asyncio.create_task(run_round(bench, moment))
            asked = moment.metagraph.block
            while not all(miner.asked for miner in place.miners) or place.node.head.number <= asked:
                await asyncio.sleep(0.05)
            now = 59.0
            assert dog.find_problem() is None
            now = 61.0
            while not bitten:
                await asyncio.sleep(0.05)
            assert bitten == ["no round was over within 60 s"]
            assert not running.done()
        assert (await running)["beacon"]["block"] > asked
        assert dog.find_problem() is None


GRABBED = """
import asyncio, re
from subnet.cli.neuron import Fuse, end_now
from validators import watchdog
from validators.watchdog import Watchdog

async def main():
    watchdog.FUSE_S = 0.5
    async with Watchdog(end_now, loop_s=0.5, fuse=Fuse()):
        await asyncio.sleep(0)
        re.match("(a+)+$", "a" * 64 + "b")  # lets no other thread of Python run, for ages
asyncio.run(main())
"""


def test_a_loop_that_lets_no_thread_run_ends_the_process_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GRABBED], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == exits.FAILED
    assert "Timeout" in done.stderr and "in main" in done.stderr  # where it hung


MUTE = """
import asyncio, logging
from subnet.cli import output
from subnet.cli.neuron import end_now
from validators.alerts import Alerts
from validators.watchdog import Watchdog

async def main():
    alerts = Alerts()
    def bite(problem):
        alerts.tell_last("stalled", problem)
        end_now(problem)
    async with Watchdog(bite, loop_s=0.5):
        while True:  # until the pipe is full, and then for ever in one write
            logging.getLogger("chatty").warning("x" * 1000)
output.log_to_stderr()
asyncio.run(main())
"""


def test_a_log_that_nobody_reads_holds_no_bite_up() -> None:
    with subprocess.Popen([sys.executable, "-c", MUTE], stderr=subprocess.PIPE) as process:
        assert process.wait(200) == exits.STALLED


class _Candle:
    """A fuse that only says what is done with it."""

    def __init__(self) -> None:
        self.lit: list[float] = []
        self.out = False

    def light(self, seconds: float) -> None:
        self.lit.append(seconds)

    def put_out(self) -> None:
        self.out = True


async def test_the_fuse_is_lit_anew_while_the_loop_runs_and_put_out_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "TICK_S", 0.001)
    candle = _Candle()
    async with Watchdog(None, loop_s=300.0, fuse=candle):
        await until(lambda: len(candle.lit) >= 3)
        assert not candle.out
    assert candle.out and set(candle.lit) == {300.0 + watchdog.FUSE_S}
    count = len(candle.lit)
    await asyncio.sleep(0.01)
    assert len(candle.lit) == count


def _bitten(folder: Path, url: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """A real validator whose event loop stands still at once: its author's module hangs."""
    (folder / "stuck.py").write_text(f"import threading\n{before}\nthreading.Event().wait()\n")
    key = folder / "wallets" / "w" / "hotkeys" / "default"
    key.parent.mkdir(parents=True)
    key.write_bytes(serialized_keypair_to_keyfile_data(Keypair.create_from_uri("//bitten")))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "SUBNET_VALIDATOR_ALERTS": url,
        "SUBNET_VALIDATOR_LOOP_LIMIT_S": "0.5",
    }
    return subprocess.run(
        [
            sys.executable, "-m", "subnet.cli.app", "validator", "--netuid", "2", "--wallet", "w",
            "--wallet-path", str(folder / "wallets"), "--definition", "stuck:Stuck",
        ],
        capture_output=True, text=True, timeout=200, check=False, cwd=folder, env=environment,
    )  # fmt: skip


async def test_a_bite_is_told_before_the_process_ends(tmp_path: Path) -> None:
    async with webhook(503, 200) as (url, got):
        patient = "from validators import alerts; alerts.LAST_S = 100.0"  # the machine may be slow
        done = await asyncio.to_thread(_bitten, tmp_path, url, patient)
    assert done.returncode == exits.STALLED, done.stderr
    assert [alert["kind"] for alert in got] == ["stalled", "stalled"]
    assert "the event loop has not run for" in got[-1]["text"] and got[-1]["netuid"] == 2
    assert url not in done.stderr and "status 503" in done.stderr


async def test_a_webhook_that_does_not_answer_holds_no_bite_up(tmp_path: Path) -> None:
    with closing(create_server(("127.0.0.1", 0))) as silent:  # takes connections, says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/s3cret"
        done = await asyncio.to_thread(_bitten, tmp_path, url)
    assert done.returncode == exits.STALLED, done.stderr
    assert "s3cret" not in done.stderr
