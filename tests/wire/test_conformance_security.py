"""docs/security.md names tests that are there: every promise has one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROW = re.compile(r"^\| (?!Tries|---)(.+) \| (.+) \| (.+) \|$", re.MULTILINE)


def test_every_named_test_exists() -> None:
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(set(named)) > 60
    assert [name for name in named if name not in there] == []


def test_every_promise_names_a_test() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) > 45
    for tries, _, shown_by in rows:
        assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", shown_by), tries


def test_every_chapter_says_what_is_not_stopped() -> None:
    chapters = PAGE.split("\n## ")[1:]
    assert len(chapters) == 8
    silent = [chapter.splitlines()[0] for chapter in chapters if "Not stopped:" not in chapter]
    # Those with a seat and no permit can do no more than strangers.
    assert silent == ["A caller"]
