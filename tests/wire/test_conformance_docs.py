"""docs/wire.md says what the code does: its codes, its limits, its classes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from subnet.wire.limits import Limits
from subnet.wire.policy import Verdict
from tests.wire.test_differential import CLASSES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text()
REFUSAL = re.compile(r'\((4\d\d|5\d\d),\s*"([a-z_]+)"')


def said() -> set[tuple[int, str]]:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(rows) == len(set(rows)) > 30
    return {(int(status), code) for status, code in rows}


def test_every_code_that_the_wire_answers_is_there_and_no_other() -> None:
    made = {(503, verdict.value) for verdict in (Verdict.NOT_LOADED, Verdict.TOO_OLD)}
    made |= {(503, Verdict.NOT_KNOWN.value)}
    for verdict in Verdict:
        if verdict is not Verdict.ADMITTED and (503, verdict.value) not in made:
            made.add((403, verdict.value))
    for folder in ("subnet/wire", "miners"):
        for path in (ROOT / folder).glob("*.py"):
            made |= {(int(status), code) for status, code in REFUSAL.findall(path.read_text())}
    # Told by the parser's refusals, and by the door with one variable for both.
    made |= {(400, "bad_request"), (429, "too_many_connections")}
    made.discard((400, "refused"))  # of the inference subnet's own miner
    assert made == said()


def test_the_limits_are_the_defaults() -> None:
    rows = re.findall(r"`(\w+)` \| ([\d]+) \|", PAGE[PAGE.index("## 5.") : PAGE.index("## 6.")])
    assert len(rows) == 20
    limits = dataclasses.asdict(Limits())
    assert {name: float(value) for name, value in rows} == {
        name: float(limits[name]) for name, _ in rows
    }


def test_every_class_in_which_ours_is_stricter_is_there() -> None:
    table = PAGE[PAGE.index("| Class |") : PAGE.index("That the list is complete")]
    assert table.count("\n|") == len(CLASSES) + 1
