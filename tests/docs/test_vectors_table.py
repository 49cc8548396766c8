"""The table of vectors in docs/chain.md names tests that exist, and no vector is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "tests" / "runtime"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
VECTORS = [
    *(f"E{number}" for number in range(1, 21)),
    *(f"M{number}" for number in range(1, 17)),
    *(f"R{number}" for number in range(1, 11)),
]


def table() -> list[list[str]]:
    text = (ROOT / "docs" / "chain.md").read_text()
    section = text.split("### Vectors\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_every_row_names_tests_that_exist() -> None:
    for vector, tests, tolerance in table():
        named = NAMED.findall(tests)
        assert named and tolerance, vector
        for file, function in named:
            body = ast.parse((RUNTIME / file).read_text()).body
            assert function in [n.name for n in body if isinstance(n, ast.FunctionDef)], vector


def test_every_numbered_vector_is_there() -> None:
    listed: list[str] = []
    for vector, _, _ in table():
        span = re.match(r"([EMR])(\d+)(?:( to |, )\1(\d+))?\b", vector)
        if span:
            kind, first, _, last = span.groups()
            listed += [f"{kind}{n}" for n in range(int(first), int(last or first) + 1)]
    assert listed == VECTORS
