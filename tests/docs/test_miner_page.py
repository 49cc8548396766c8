"""docs/miner.md tells all settings, refusals and log lines of a miner, and none that are not."""

from __future__ import annotations

import re
from pathlib import Path

from subnet.config import MinerTable
from subnet.wire.policy import Freshness, Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "miner.md").read_text()
SOURCES = [*(ROOT / "subnet" / "wire").glob("*.py"), *(ROOT / "miners").glob("*.py")]
SOURCE = "\n".join(path.read_text() for path in [*SOURCES, ROOT / "subnet" / "seat.py"])


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_settings_are_those_there_are() -> None:
    told = {key.strip("`"): default.strip("`") for key, default, _ in rows("Settings")}

    def spelled(value: object) -> str:
        return "" if value in (None, ()) else str(value).lower() if value is False else str(value)

    fields = MinerTable.model_fields
    assert told == {name: spelled(field.default) for name, field in fields.items()}
    assert list(told) == list(fields)


def test_the_refusals_are_those_there_are() -> None:
    told = {
        code: status
        for codes, status, _ in rows("Refusals")
        for code in re.findall("`([a-z_]+)`", codes)
    }
    made = {
        code: int(status)
        for status, code in re.findall(r'\(\s*(4\d\d|5\d\d),\s*"([a-z_]+)"', SOURCE)
    }
    made |= {verdict.value: 503 for verdict in (Verdict.NOT_LOADED, Verdict.TOO_OLD)}
    made |= {Verdict.NOT_KNOWN.value: 503}
    made |= {
        verdict.value: 403
        for verdict in (Verdict.DENIED, Verdict.NOT_REGISTERED, Verdict.NO_PERMIT)
    }
    made |= {Verdict.LOW_STAKE.value: 403, "too_many_connections": 429}
    assert {code: int(status) for code, status in told.items() if status} == made
    for code in (code for code, status in told.items() if not status):
        assert f'"{code}"' in SOURCE


def test_the_log_says_these_lines() -> None:
    lines = [cells[0].strip("`") for cells in rows("Log lines")]
    assert len(lines) > 10
    joined = re.sub(r'"\s*f?"', "", SOURCE)
    for line in lines:
        assert line in joined, line


def test_the_reasons_are_those_of_the_page() -> None:
    text = " ".join(section("Health").split())
    source = (ROOT / "miners" / "serve.py").read_text()
    reasons = re.findall("`([^`]+)`", text.split("The reasons are:")[1].split(". ")[0])
    assert len(reasons) == 6
    for reason in reasons:
        assert f'"{reason}' in source, reason


def test_the_stages_are_those_of_the_policy() -> None:
    told = [cells[0].strip("`") for cells in rows("When the chain is away")]
    assert told == [stage.value for stage in Freshness if stage is not Freshness.NONE]
    for row in rows("When the chain is away")[1:]:
        assert row[1].strip("`") in MinerTable.model_fields
