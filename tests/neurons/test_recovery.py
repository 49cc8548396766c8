"""Wherever a validator dies, ledger and journal tell of the same rounds afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from subnet.errors import StateError
from tests.neurons.history import bare, bare_reply
from validators import journal as book
from validators.journal import Journal
from validators.ledger import Ledger, Outcome
from validators.recovery import UNKNOWN, finish_held, recover
from validators.signatures import Signed, verified


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def open_ledger(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.sqlite", half_life_rounds=8, clock=lambda: 0.0)


def open_journal(folder: Path, **limits: Any) -> Journal:
    return Journal(folder / "journal.jsonl", **limits)


def line(number: int) -> dict[str, Any]:
    weights = {"set": False, "problem": "the round was cut short before its weights"}
    found = bare(number, replies=[bare_reply(score=0.5)])
    return {**found, "weights": found["weights"] | weights}


def remember(ledger: Ledger, number: int) -> None:
    ledger.remember(
        number,
        block=number,
        epoch=number,
        digests=[number.to_bytes(32, "little")],
        outcomes=[Outcome("5Hot", 0.5, True)],
    )


def whole_round(ledger: Ledger, journal: Journal, number: int) -> None:
    journal.hold(line(number))
    remember(ledger, number)
    journal.append_held(line(number))


def lines(folder: Path) -> list[dict[str, Any]]:
    return list(book.read(folder / "journal.jsonl"))


def start(folder: Path, **limits: Any) -> list[dict[str, Any]]:
    """What a validator does first."""
    with open_ledger(folder) as ledger, open_journal(folder, **limits) as journal:
        recover(journal, ledger, clock=lambda: 7.0)
        assert journal.find_held() is None
        assert ledger.next_round() - 1 == book.last_round(journal.path)
    return lines(folder)


def test_nothing_to_mend(folder: Path) -> None:
    assert start(folder) == []
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 1)
    before = lines(folder)
    assert start(folder) == before


def test_killed_before_the_ledger_remembered(folder: Path) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 1)
        journal.hold(line(2))
    assert [found["round"] for found in start(folder)] == [1]


def test_killed_while_the_weights_waited(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 1)
        journal.hold(line(2))
        remember(ledger, 2)
    with caplog.at_level(logging.WARNING):
        first, second = start(folder)
    assert (second["round"], second["recovered"], second["replies"]) == (
        2,
        True,
        line(2)["replies"],
    )
    assert second["weights"] == line(2)["weights"] | {"problem": UNKNOWN}
    assert "recovered" not in first and "round 2 was cut off" in caplog.text


@pytest.mark.parametrize("part_bytes", [64 * 2**20, 100])
def test_killed_after_the_line_was_written(folder: Path, part_bytes: int) -> None:
    with (
        open_ledger(folder) as ledger,
        open_journal(folder, part_bytes=part_bytes) as journal,
    ):
        whole_round(ledger, journal, 1)
        whole_round(ledger, journal, 2)
        journal.hold(line(2))
    assert [found["round"] for found in start(folder, part_bytes=part_bytes)] == [1, 2]


def test_killed_while_the_line_was_written(folder: Path) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 1)
        journal.hold(line(2))
        remember(ledger, 2)
        with journal.path.open("ab") as file:
            file.write(b'{"schema":2,"kind":"round","round":2,"rep')
    assert [(found["round"], "recovered" in found) for found in start(folder)] == [
        (1, False),
        (2, True),
    ]


def test_a_journal_that_was_moved_away_is_said(folder: Path) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        for number in (1, 2, 3):
            whole_round(ledger, journal, number)
    (folder / "journal.jsonl").unlink()
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        recover(journal, ledger, clock=lambda: 7.0)
        whole_round(ledger, journal, 4)
    lost, after = lines(folder)
    assert (lost["kind"], lost["round"], lost["through"], lost["time"]) == ("lost", 1, 3, 7.0)
    assert after["round"] == 4


def test_a_ledger_restored_from_a_backup_is_said(folder: Path) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 1)
    backup = (folder / "ledger.sqlite").read_bytes()
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        whole_round(ledger, journal, 2)
    (folder / "ledger.sqlite").write_bytes(backup)
    assert [found["kind"] for found in start(folder)] == ["round", "round", "rewound"]
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        journal.hold(line(2))
        remember(ledger, 2)
    *_, rewound, again = start(folder)
    assert (rewound["round"], rewound["through"], again["round"]) == (2, 1, 2)
    assert start(folder)[-1] == again


def test_a_round_that_failed_after_it_was_remembered_is_written_by_the_next(folder: Path) -> None:
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        journal.hold(line(1))
        remember(ledger, 1)
        finish_held(journal, ledger)
        whole_round(ledger, journal, 2)
    assert [found["round"] for found in lines(folder)] == [1, 2]


def test_a_line_that_an_older_version_held_stays_of_that_version(folder: Path) -> None:
    """It has no signatures: else it would be said of every answer that nobody signed it."""
    with open_ledger(folder) as ledger, open_journal(folder) as journal:
        journal.hold(line(1))
        remember(ledger, 1)
    held = folder / "journal.jsonl.held"
    older = json.loads(held.read_text())
    del older["schema"]
    held.write_text(json.dumps(older))
    (found,) = start(folder)
    assert (found["schema"], found["written"], found["recovered"]) == (book.SCHEMA, 2, True)
    assert verified(found, found["replies"][0]) is Signed.NOT_KEPT


def test_a_held_line_that_is_no_rounds_is_said(folder: Path) -> None:
    with open_journal(folder) as journal:
        for data in (b"[]", b"{}", b'{"round": 1, "weights": 5}', b"\xff" * 9000):
            (folder / "journal.jsonl.held").write_bytes(data)
            with pytest.raises(StateError, match="held: not a line of a journal") as caught:
                journal.find_held()
            assert len(str(caught.value)) < 400
