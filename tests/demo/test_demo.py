"""`subnet demo`, whole: real processes, sockets, model and chain, from the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from subnet.cli.demo.report import verdict

pytestmark = pytest.mark.model

DEMO = (sys.executable, "-m", "subnet.cli.app", "demo")
UNSIGNED_MINER = Path(__file__).with_name("unsigned_miner.py")


SEATS = {
    "2": ["flaky", "downgraded", "honest", "canned", "validator", "honest", "validator"],
    "6": ["flaky", "validator", "honest", "downgraded", "honest", "canned", "validator"],
}


def run_demo(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """A demo that must end well: its report, and its talk."""
    done = subprocess.run(
        [*DEMO, "--json", "--run-dir", str(folder / "run"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=420,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report == json.loads((folder / "demo-report.json").read_text())
    return report, done.stderr


def processes_in(folder: Path, mark: bytes = b"") -> list[int]:
    """Living processes whose environment names the run's folder and holds `mark`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in environment and mark in environment:
            found.append(int(entry.name))
    return found


def check_report(report: dict[str, Any], epochs: int) -> None:
    assert verdict(report, epochs=epochs) == []
    assert (report["schema"], report["regime"]) == (2, "devnet")
    assert report["chain"]["paying_epochs"] >= epochs
    assert report["chain"]["block_time_s"] == 0.25
    kinds = sorted(neuron["kind"] for neuron in report["neurons"] if neuron["role"] == "miner")
    assert kinds == ["canned", "downgraded", "flaky", "honest", "honest"]
    for validator in report["validators"]:
        assert validator["weights_set"] == validator["weights_read_back"] >= epochs
    laws = report["laws"]["issuance"]
    assert (
        laws["accounts_rao"]
        == laws["balances_total_issuance_rao"]
        == laws["subtensor_total_issuance_rao"]
    )


def test_one_paying_epoch(tmp_path: Path) -> None:
    report, talk = run_demo(tmp_path, "--epochs", "1", "--seed", "1")
    check_report(report, 1)
    calls = re.findall(r"^block \d+: (?:Sudo\.sudo\()?(\w+)\.(\w+)", talk, re.MULTILINE)
    names = [name for _, name in calls]
    assert names[0] == "sudo_set_admin_freeze_window"
    assert names[-1] == "sudo_set_tempo"
    assert talk.count("burned_register: ") == 7
    assert not processes_in(tmp_path)
    assert not list((tmp_path / "run").glob("wallets/*/coldkey"))


def test_ctrl_c_ends_all_of_it_within_five_seconds(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--run-dir", str(tmp_path / "run")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "add_stake" in line:  # by now every process has been started
                break
        assert len(processes_in(tmp_path)) >= 8
        demo.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, talk = demo.communicate(timeout=30)
        assert time.monotonic() - began < 5.0
    assert demo.returncode == 130
    assert "Traceback" not in talk
    assert not processes_in(tmp_path)
    assert not (tmp_path / "demo-report.json").exists()


def test_a_process_that_dies_ends_the_demo_by_name(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--run-dir", str(tmp_path / "run")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "add_stake" in line:
                break
        (canned,) = processes_in(tmp_path, b"SUBNET_MINER_BEHAVIOUR=canned")
        os.kill(canned, signal.SIGKILL)
        _, talk = demo.communicate(timeout=90)
    assert demo.returncode == 1
    last = talk.splitlines()[-1]
    assert last.startswith("error: canned ended by signal 9; its log ")
    assert not processes_in(tmp_path)


def test_a_taken_port(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [*DEMO, "--port", str(port), "--run-dir", str(tmp_path / "run")],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )
    assert done.returncode == 7
    assert f"error: 127.0.0.1:{port} is taken" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["2", "6"])
def test_pay_follows_behaviour_wherever_it_sits_within_four_minutes(
    seed: str, tmp_path: Path
) -> None:
    report, _ = run_demo(tmp_path, "--seed", seed)
    check_report(report, 3)
    assert report["seconds"]["total"] < 240
    kinds = [neuron["kind"] for neuron in report["neurons"]]
    assert kinds == SEATS[seed]


@pytest.mark.slow
def test_perfect_answers_without_a_signature_earn_nothing(tmp_path: Path) -> None:
    command = f"{sys.executable} {UNSIGNED_MINER}"
    report, _ = run_demo(tmp_path, "--epochs", "2", "--seed", "3", "--miner-cmd", command)
    (guest,) = [neuron for neuron in report["neurons"] if neuron["kind"] == "guest"]
    assert guest["emission_alpha_rao"] == 0
    assert guest["answers"] == 0 and guest["failures"] > 0
    journals = (tmp_path / "run").glob("validator-*/state/journal.jsonl")
    replies = [
        reply
        for path in journals
        for line in path.read_text().splitlines()
        for reply in json.loads(line).get("replies", ())
        if reply["hotkey"] == guest["hotkey"]
    ]
    assert {reply["failure"] for reply in replies} == {"unsigned"}


@pytest.mark.slow
async def test_equal_behaviour_earns_equal_pay(tmp_path: Path) -> None:
    from subnet.cli.demo.run import Options, free_port, run
    from subnet.cli.demo.view import View

    for part in ("logs", "wallets"):
        (tmp_path / part).mkdir()
    options = Options(
        folder=tmp_path,
        epochs=3,
        seed=4,
        port=free_port("127.0.0.1"),
        wandb="off",
        guest=None,
        miners=("honest",) * 4,
    )
    with closing(View(tmp_path / "logs" / "demo.log")) as view:
        report = await run(options, view, time.monotonic())
    pay = [n["emission_alpha_rao"] for n in report["neurons"] if n["role"] == "miner"]
    assert min(pay) > 0
    assert max(pay) / min(pay) < 1.1
