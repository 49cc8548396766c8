"""A new version is tried on the last rounds in a process of its own before anything is switched."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from subnet.cli import exits
from subnet.cli.upgrade import _ensure_link, _problems, _python, _replay, _turn, compare
from tests.neurons.history import History
from tests.patience import until

ROOT = Path(__file__).parents[2]
PRESENT = (
    "from tests.neurons.history import Doubling as Before\n\n\nclass Rules(Before):\n    pass\n"
)
LENIENT = PRESENT.replace("    pass", "    async def score(self, task, reply):\n        return 1.0")


def document(judged: int = 4, **shares: float) -> dict[str, Any]:
    hotkeys = [
        {"hotkey": hotkey, "uid": uid, "new_share": share}
        for uid, (hotkey, share) in enumerate(shares.items())
    ]
    return {"rounds": 2, "judged": judged, "hotkeys": hotkeys}


def test_shares_are_compared_by_hotkey() -> None:
    moves = compare(document(a=0.5, b=0.5), document(a=0.25, b=0.25, c=0.5))
    assert [(m.hotkey, m.change) for m in moves] == [("c", 0.5), ("a", -0.25), ("b", -0.25)]


def test_what_keeps_a_switch_from_being_made() -> None:
    one = document(a=1.0)
    assert _problems(one, one, 0.0, 0.0, 3, 3) == []
    assert _problems(one, one, 0.0, 0.0, 3, None) == []  # the chain could not be asked
    (key,) = _problems(one, one, 0.0, 0.0, 2, 3)
    assert "it asks for 3" in key
    (moved,) = _problems(one, one, 0.03, 0.02, 0, 0)
    assert "3.00% of all weight would change hands" in moved
    (other,) = _problems(one, document(judged=3, a=1.0), 0.0, 0.0, 0, 0)
    assert "cannot be compared" in other
    (none,) = _problems(document(judged=0), document(judged=0), 0.0, 0.0, 0, 0)
    assert "no rounds" in none


def test_the_link_is_turned_at_once(tmp_path: Path) -> None:
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "current"
    for folder in (old, new):
        folder.mkdir()
    link.symlink_to(old)
    _turn(link, new)
    assert link.resolve() == new and not (tmp_path / "current.new").is_symlink()


def environment(folder: Path, script: str) -> Path:
    """A folder with a Python that is a shell script."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return folder


async def test_what_a_replay_says_is_passed_on_and_its_code_is_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = 'echo "judged: 1 of 2 ($6)" >&2; echo "error: the model is missing" >&2; exit $7'
    python = str(environment(tmp_path / "one", script) / "bin" / "python")
    with pytest.raises(typer.Exit) as ended:
        await _replay("new", python, "--since", "6")
    assert ended.value.exit_code == 6
    assert capsys.readouterr().err.splitlines() == [
        "new version: judged: 1 of 2 (--since)",
        "error: the replay by the new version ended with code 6: the model is missing",
    ]
    python = str(environment(tmp_path / "two", "kill -9 $$") / "bin" / "python")
    with pytest.raises(typer.Exit) as ended:
        await _replay("new", python)
    assert ended.value.exit_code == exits.FAILED


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo", "did not print what its replay came to"),
        ("echo '[1]'", "did not print what its replay came to"),
        ('echo \'{"rounds": 1, "judged": 1, "hotkeys": [{}]}\'', "KeyError('hotkey')"),
        (None, "bin/python cannot be run: Exec format error"),
    ],
)
async def test_what_is_no_replay_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], script: str | None, problem: str
) -> None:
    python = environment(tmp_path, script or "") / "bin" / "python"
    if script is None:
        python.write_bytes(b"\x7fELF")
    with pytest.raises(typer.Exit) as ended:
        await _replay("new", str(python))
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.exit_code == exits.FAILED and problem in line


def test_a_place_to_switch_at_is_looked_at_before_any_work(tmp_path: Path) -> None:
    good = tmp_path / "current"
    _ensure_link(good)
    good.symlink_to(tmp_path)
    _ensure_link(good)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder", "file", "file/link", "missing/link", "x" * 300):
        with pytest.raises(typer.BadParameter):
            _ensure_link(tmp_path / name)
    with pytest.raises(typer.BadParameter):
        _python(tmp_path / ("x" * 300))


async def test_a_replay_does_not_go_on_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = environment(tmp_path / "one", "echo $$ >&2; exec sleep 600") / "bin" / "python"
    replaying = asyncio.create_task(_replay("new", str(python)))
    said: list[str] = []

    def has_said() -> bool:
        said.append(capsys.readouterr().err)
        return any(said)

    await until(has_said)
    replaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replaying
    with pytest.raises(ProcessLookupError):
        os.kill(int("".join(said).removeprefix("new version: ")), 0)


@pytest.mark.slow
async def test_another_environment_is_tried_and_switched_to(tmp_path: Path) -> None:
    history = History(tmp_path / "state")
    await history.write(3)
    present = tmp_path / "work"
    present.mkdir()
    (present / "rules.py").write_text(PRESENT)
    link = tmp_path / "current"
    environments = {}
    for name, text in (("lenient", LENIENT), ("same", PRESENT)):
        folder = tmp_path / name
        script = f'PYTHONPATH="{folder}:{ROOT}" exec "{sys.executable}" "$@"'
        environments[name] = environment(folder, script)
        (folder / "rules.py").write_text(text)
    link.symlink_to(tmp_path)

    def upgrade(to: str, *more: str) -> tuple[int, dict[str, Any], str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
        done = subprocess.run(
            [sys.executable, "-m", "subnet.cli.app", "upgrade", "--json", "--netuid", "1",
             "--network", "ws://127.0.0.1:9", "--definition", "rules:Rules",
             "--state", str(history.path.parent), "--since", "100000d",
             "--to", str(environments[to]), "--link", str(link), *more],
            capture_output=True, text=True, check=False, timeout=120, cwd=present,
            env=inherited | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    code, found, talk = upgrade("lenient")
    assert code == exits.FAILED, talk
    assert found["moved"] == pytest.approx(0.5) and not found["switched"]
    assert {one["hotkey"]: round(one["change"], 3) for one in found["hotkeys"]} == {
        "5Wrong": 0.5, "5Right": -0.5, "5Silent": 0.0,
    }  # fmt: skip
    assert "the version key is not checked" in talk
    assert link.resolve() == tmp_path
    code, found, talk = upgrade("same", "--canary")
    assert (code, found["moved"], found["switched"]) == (0, 0.0, False), talk
    assert link.resolve() == tmp_path
    code, found, talk = upgrade("same")
    assert (code, found["switched"]) == (0, True), talk
    assert link.resolve() == environments["same"]
