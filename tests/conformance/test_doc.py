"""docs/chain.md says what the conformance run showed, no more and no less."""

from __future__ import annotations

from tests.conformance import table


def test_every_mark_is_a_cell() -> None:
    for row, client in table.declared():
        assert row in table.ROWS
        assert client in table.CLIENTS
    assert {row for row, _ in table.declared()} == set(table.ROWS)


def test_the_table_claims_what_is_tested() -> None:
    claimed = table.claimed(table.DOC.read_text())
    assert set(claimed) == table.declared(), "run python -m tests.conformance.table"
    assert "no" not in claimed.values()


def test_the_lists_are_those_of_the_code() -> None:
    text = table.DOC.read_text()
    written = {"reads": table.reads(), "calls": table.calls(), "control": table.control()}
    for name, content in written.items():
        assert table.section(text, name) == content, "run python -m tests.conformance.table --text"
