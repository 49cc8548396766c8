"""docs/validator.md tells all settings, causes, reasons and alerts there are, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from subnet.cli import exits
from subnet.config import ValidatorTable
from validators.alerts import CLOSE_S, LAST_S, RETRY_S
from validators.alerts import QUEUE as ALERTS
from validators.lease import GRACE_BLOCKS
from validators.proof import Cause
from validators.sinks import QUEUE, WRITE_S
from validators.watchdog import FUSE_S

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "validator.md").read_text()
WORDS = " ".join(PAGE.split())


def source(name: str) -> str:
    return (ROOT / "validators" / f"{name}.py").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_settings_are_those_there_are() -> None:
    told = {key.strip("`"): default.strip("`") for key, default, _ in rows("Settings")}

    def spelled(value: object) -> str:
        return "" if value is None else str(value).lower() if value is False else str(value)

    fields = ValidatorTable.model_fields
    assert told == {name: spelled(field.default) for name, field in fields.items()}
    assert list(told) == list(fields)


def test_the_causes_are_those_there_are() -> None:
    assert [cells[0].strip("`") for cells in rows("Proof that they landed")] == list(Cause)


def test_the_codes_are_those_there_are() -> None:
    codes = {int(cells[0]) for cells in rows("What ends the process, and what does not")}
    assert codes == {
        exits.NOT_REGISTERED, exits.CHAIN_AWAY, exits.STATE,
        exits.NOT_LANDED, exits.STALLED, exits.LEASE,
    }  # fmt: skip


def test_the_reasons_and_alerts_are_those_there_are() -> None:
    health = PAGE.split("\n## Health\n")[1].split("\n## ")[0]
    told = {text.replace(" N ", " {missed} ") for text in re.findall(r"^- `(.*)`$", health, re.M)}
    ready = source("health").split("def readiness")[1].split("facts = ")[0]
    assert told == set(re.findall(r'^ +f?"([^"]+)":', ready, re.M))
    alerts = PAGE.split("\n## Alerts\n")[1].split("\n## ")[0]
    kinds = set(re.findall("`([a-z_]+)`", alerts.split("Kinds:")[1].split(", and")[0]))
    made = re.findall(r'alerts\.tell(?:_last)?\(\s*"(\w+)"', source("watch") + source("validator"))
    assert kinds == set(made)


def test_the_figures_are_those_of_the_code() -> None:
    assert f"waits {GRACE_BLOCKS} blocks" in WORDS
    assert f"a queue of {QUEUE} lines" in WORDS and f"takes {WRITE_S:.0f} s for a line" in WORDS
    assert "after {:.0f}, {:.0f} and {:.0f} s".format(*RETRY_S) in WORDS
    assert f"posted at once, for {CLOSE_S:.0f} s" in WORDS and f"for {LAST_S:.0f} s." in WORDS
    assert f"outside Python {FUSE_S:.0f} s later" in WORDS
    assert ALERTS == 16 and "Sixteen wait at most" in WORDS
