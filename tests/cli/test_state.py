"""`subnet state`: what may be done to a validator's memory while it runs, and what may not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app
from tests.neurons.test_ledger import VERSION_1, WRITER, add, open_ledger, schema, write
from validators.ledger import FILE_NAME, Outcome


def state(*arguments: object) -> tuple[int, str, str]:
    words = ["state", *map(str, arguments)]
    result = CliRunner().invoke(app, words, env={"SUBNET_NETWORK_NETUID": "3"})
    return result.exit_code, result.stdout, result.stderr


def read(*arguments: object) -> Any:
    code, out, err = state(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with two rounds."""
    with open_ledger(tmp_path / "state" / FILE_NAME) as ledger:
        add(ledger, Outcome("a", 1.0, True), Outcome("b", 0.0, False), digests=(b"q",))
        add(ledger, Outcome("a", 1.0, True), digests=(b"r",))
    return tmp_path / "state"


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes one round after the other into the ledger."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder / FILE_NAME)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield writer
        os.kill(writer.pid, signal.SIGKILL)


def test_inspect(folder: Path) -> None:
    found = read("inspect", "--state", folder)
    assert {key: found[key] for key in found if key not in ("bytes", "path")} == {
        "version": 2, "held": False, "runs": 1, "rounds": 2, "last_round": 2, "last_block": 1,
        "hotkeys": 2, "questions": 3, "outcomes": 3, "bans": 0, "banned": 0, "problems": [],
    }  # fmt: skip
    code, out, err = state("inspect", "--state", folder)
    assert (code, err) == (0, "")
    assert "2 in 1 runs, the last is 2 at block 1" in out and "no validator runs" in out


def test_inspect_where_nothing_is(tmp_path: Path) -> None:
    code, out, err = state("inspect", "--state", tmp_path)
    assert (code, out) == (exits.STATE, "")
    assert "there is no ledger" in err
    assert list(tmp_path.iterdir()) == []


def test_inspect_names_an_index_that_lies(folder: Path) -> None:
    with sqlite3.connect(folder / FILE_NAME) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX outcomes_by_round ON outcomes (score)'"
            " WHERE name = 'outcomes_by_round'"
        )
    db.close()
    code, out, _ = state("inspect", "--state", folder)
    assert code == exits.FAILED
    assert "damaged    " in out and "outcomes_by_round" in out


def test_the_folder_is_the_one_that_the_settings_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "subnet.toml").write_text(f'[validator]\nstate = "{folder}"\n')
    monkeypatch.chdir(tmp_path)
    assert read("inspect")["path"] == str(folder / FILE_NAME)


def test_a_backup_of_a_running_validator_holds_whole_rounds(
    folder: Path, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    before = read("inspect", "--state", folder)
    assert before["held"] is True
    copy = tmp_path / "copy.sqlite"
    assert read("backup", copy, "--state", folder)["bytes"] == copy.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "state"]
    with open_ledger(copy) as ledger:
        last = ledger.next_round() - 1
        assert last >= before["last_round"] > 2  # what lies in the log beside it is there too
        evidence = ledger.evidence()
    # Each of the writer's hotkeys was asked once in each of its rounds.
    assert {evidence[f"h{n}"].questions for n in range(20)} == {last - 2}


def test_nothing_is_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_text("dear to somebody")
    code, _, err = state("backup", copy, "--state", folder)
    assert (code, copy.read_text()) == (exits.STATE, "dear to somebody")
    assert "--yes" in err
    assert state("backup", copy, "--state", folder, "--yes")[0] == 0
    with open_ledger(folder / FILE_NAME) as ledger:
        add(ledger, Outcome("late", 1.0, True))
    code, _, err = state("restore", copy, "--state", folder)
    assert code == exits.STATE and "--yes" in err
    with open_ledger(folder / FILE_NAME) as ledger:
        assert "late" in ledger.evidence()


def test_restore_keeps_what_was_there(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    read("backup", copy, "--state", folder)
    with open_ledger(folder / FILE_NAME) as ledger:
        add(ledger, Outcome("late", 1.0, True))
    kept = Path(read("restore", copy, "--state", folder, "--yes")["kept"])
    with open_ledger(folder / FILE_NAME) as ledger:
        assert ledger.next_round() == 3 and "late" not in ledger.evidence()
        assert ledger.run > 3  # or the questions of run 2 would be asked once more
    with open_ledger(kept) as ledger:
        assert "late" in ledger.evidence()


def test_restore_into_an_empty_place_and_over_ruins(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    read("backup", copy, "--state", folder)
    assert read("restore", copy, "--state", tmp_path / "new")["kept"] is None
    (folder / FILE_NAME).write_bytes(b"ruins" * 1000)
    assert state("inspect", "--state", folder)[0] == exits.STATE
    read("restore", copy, "--state", folder, "--yes")
    for place in (folder, tmp_path / "new"):
        assert read("inspect", "--state", place)["rounds"] == 2


def test_what_is_no_ledger_is_not_restored(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    write(other, "CREATE TABLE bookmarks (url TEXT);")
    newer = tmp_path / "newer.sqlite"
    write(newer, "CREATE TABLE rounds (round); PRAGMA user_version = 99;")
    for source, why in ((other, "not a ledger"), (newer, "version 99"), (folder / "no", "no led")):
        code, _, err = state("restore", source, "--state", folder, "--yes")
        assert code == exits.STATE and why in err
    assert read("inspect", "--state", folder)["rounds"] == 2


def test_what_writes_waits_for_the_validator_to_end(
    folder: Path, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite"
    read("backup", copy, "--state", folder)
    for words in (("restore", copy, "--yes"), ("migrate",)):
        code, out, err = state(*words, "--state", folder)
        assert (code, out) == (exits.STATE, "")
        assert "in use by another validator" in err
    before = read("inspect", "--state", folder)["rounds"]
    assert running.stdout is not None and running.poll() is None
    for _ in range(3):
        running.stdout.readline()
    assert read("inspect", "--state", folder)["rounds"] > before


def test_migrate(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    write(old / FILE_NAME, VERSION_1)
    assert read("inspect", "--state", old)["version"] == 1
    done = read("migrate", "--state", old)
    assert (done["before"], done["after"]) == (1, 2)
    assert schema(old / FILE_NAME) == schema(folder / FILE_NAME)
    with sqlite3.connect(done["kept"]) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    found = read("inspect", "--state", old)
    assert (found["version"], found["rounds"], found["hotkeys"]) == (2, 3, 2)
    assert read("migrate", "--state", old) == {
        "ledger": str(old / FILE_NAME), "before": 2, "after": 2, "kept": None,
    }  # fmt: skip
    assert state("migrate", "--state", old)[1] == "version 2\n"


@pytest.mark.parametrize("verb", ["inspect", "migrate", "backup"])
@pytest.mark.parametrize("data", [b"", b"x"])
def test_a_file_with_nothing_in_it_is_no_ledger(tmp_path: Path, verb: str, data: bytes) -> None:
    """To SQLite it is an empty database."""
    ledger = tmp_path / FILE_NAME
    ledger.write_bytes(data)
    more = [tmp_path / "copy"] if verb == "backup" else []
    problem = f"error: state at {ledger}: there is no ledger in it\n"
    assert state(verb, *more, "--state", tmp_path) == (exits.STATE, "", problem)
    assert ledger.read_bytes() == data


def test_a_backup_with_nothing_in_it_takes_no_ledger_s_place(folder: Path) -> None:
    before = (folder / FILE_NAME).read_bytes()
    source = folder / "copy"
    source.touch()
    code, out, err = state("restore", source, "--yes", "--state", folder)
    assert (code, out, err) == (
        exits.STATE,
        "",
        f"error: state at {source}: there is no ledger in it\n",
    )
    assert (folder / FILE_NAME).read_bytes() == before
    assert not list(folder.glob(".*"))


def test_a_name_that_the_file_system_refuses(folder: Path) -> None:
    long = folder / ("x" * 300)
    for words in (("inspect", "--state", long), ("backup", long), ("restore", long, "--yes")):
        code, out, err = state(*words, *(() if "--state" in words else ("--state", folder)))
        assert (code, out) == (exits.STATE, "") and err.endswith("File name too long\n")
