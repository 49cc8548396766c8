"""`subnet demo --regime mainnet`: the whole game, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from subnet.cli.demo.report import verdict
from tests.demo.test_demo import processes_in

DEMO = (sys.executable, "-m", "subnet.cli.app", "demo", "--regime", "mainnet")


def journal_of(folder: Path, name: str) -> list[dict[str, Any]]:
    text = (folder / "run" / name / "state" / "journal.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_too_few_epochs_to_tell_the_story(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--epochs", "7"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--epochs" in done.stderr and "at least 8" in done.stderr


@pytest.mark.slow
@pytest.mark.model
def test_the_whole_game(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--seed", "1", "--json", "--run-dir", str(tmp_path / "run")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert verdict(report, epochs=8) == []
    assert (report["schema"], report["regime"]) == (2, "mainnet")
    assert report["chain"]["paying_epochs"] >= 8
    assert report["chain"]["blocks"] > 10 * 360
    assert report["seconds"]["total"] < 600
    assert not processes_in(tmp_path)

    # Whoever was killed says the same on disk as the report does.
    mainnet = report["mainnet"]
    kill, sale, copier = mainnet["kill"], mainnet["sale"], mainnet["copier"]
    lines = journal_of(tmp_path, kill["validator"])
    assert {line["run"] for line in lines} == {1, 2}
    (reveal,) = [
        line for line in lines if line["kind"] == "reveal" and line["round"] == kill["round"]
    ]
    (committed,) = [
        line for line in lines if line["kind"] == "round" and line["round"] == kill["round"]
    ]
    assert (committed["run"], reveal["run"], reveal["ending"]) == (1, 2, "revealed")
    assert reveal["commit"] == committed["weights"]["commit"]
    assert reveal["meant"] == reveal["found"] == committed["weights"]["meant"]
    assert kill["commit_block"] < kill["killed_block"] < kill["revealed_block"]

    # Half of all weight is burned, and nobody but the copier copies.
    for validator in ("validator-1", "validator-2"):
        for line in journal_of(tmp_path, validator):
            if line["kind"] == "round" and line["weights"]["set"]:
                row = line["weights"]["meant"]
                assert row["0"] / sum(row.values()) == pytest.approx(0.5, abs=1e-3)
    assert copier["ratio"] < 1
    assert copier["by_epoch"][0] == 0  # an epoch behind from the first one on
    assert max(copier["by_epoch"]) < 1

    # The seat has another hotkey, whose scores are its own.
    (newcomer,) = [n for n in report["neurons"] if n["kind"] == "newcomer"]
    loser = next(n for n in report["neurons"] if n["hotkey"] == sale["from"])
    assert (newcomer["uid"], newcomer["hotkey"]) == (sale["uid"], sale["to"])
    assert (loser["uid"], loser["seated"]) == (sale["uid"], False)
    assert newcomer["score_mean"] > 0.99 and loser["score_mean"] < 0.1
    assert newcomer["emission_alpha_rao"] > 0 == loser["emission_alpha_rao"]
    assert sale["share_before"] == 0 and sale["share_after"] > 0.1
