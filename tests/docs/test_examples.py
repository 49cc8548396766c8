"""The README and the docs are true: their examples run, their links lead somewhere.

`python` blocks run whole. `console` blocks are commands of ours: each must exit 0. In `sh` blocks,
which start something that stays, every flag must be one that the command knows. The `text` table
in the README must have the columns that a demo prints.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from subnet.cli.demo import report

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@dataclass(frozen=True)
class Example:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples(*languages: str) -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Example(page, line, match[1], match[2]))
    return [example for example in found if example.language in languages]


def commands(example: Example) -> list[list[str]]:
    """The commands of a shell block, continued lines joined, comments dropped."""
    lines = example.text.replace("\\\n", " ").splitlines()
    return [
        words for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))
    ]


@pytest.fixture
def away_from_home(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing touches the user's own files."""
    folder = str(tmp_path)
    return {
        **os.environ,
        "HOME": folder,
        "BITTENSOR_RUNTIME_CACHE_DIR": folder,
        "BTCLI_TOKEN_SYMBOLS_CACHE": f"{folder}/symbols.json",
        "PYTHONPATH": str(ROOT),
    }


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_python_runs(example: Example, tmp_path: Path, away_from_home: dict[str, str]) -> None:
    script = tmp_path / "example.py"
    script.write_text(example.text)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=away_from_home,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", examples("console"), ids=str)
def test_console_commands_succeed(
    example: Example, tmp_path: Path, away_from_home: dict[str, str]
) -> None:
    for words in commands(Example(example.page, example.line, "console", _typed(example.text))):
        assert words[0] == "subnet"
        done = subprocess.run(
            [sys.executable, "-m", "subnet.cli.app", *words[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=away_from_home,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def _typed(text: str) -> str:
    """The lines a person types; the others are what comes back."""
    return "\n".join(line for line in text.splitlines() if line.startswith("$ "))


@pytest.mark.parametrize("example", examples("sh"), ids=str)
def test_shell_commands_exist(example: Example, away_from_home: dict[str, str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for words in commands(example):
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        elif words[0] == "subnet":
            verbs = [w for w in words[1:3] if re.fullmatch("[a-z]+", w)]
            verbs = verbs if verbs[:1] in (["model"], ["chain"], ["state"]) else verbs[:1]
            helped = subprocess.run(
                [sys.executable, "-m", "subnet.cli.app", *verbs, "--help"],
                capture_output=True,
                text=True,
                timeout=60,
                env=away_from_home | {"COLUMNS": "200"},
                check=True,
            )
            for flag in (w for w in words if w.startswith("--")):
                assert flag in helped.stdout, f"{words[:2]} has no {flag}"


def test_the_readme_shows_the_table_that_a_demo_prints() -> None:
    (shown,) = [e.text for e in examples("text") if e.page.name == "README.md"]
    assert shown.splitlines()[0].split() == " ".join(report.COLUMNS).split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
