"""What a validator remembers, and that nothing but whole rounds ever is."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subnet.errors import StateError
from validators import ledger as ledgers
from validators.ledger import Ledger, Outcome


def open_ledger(path: Path, half_life: float = 4.0) -> Ledger:
    return Ledger(path, half_life_rounds=half_life, clock=lambda: 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path) as opened:
        yield opened


def add(ledger: Ledger, *outcomes: Outcome, digests: tuple[bytes, ...] = ()) -> int:
    round = ledger.next_round()
    ledger.remember(round, block=1, epoch=1, digests=digests, outcomes=outcomes)
    return round


def test_rounds_and_questions_survive_a_restart(path: Path) -> None:
    with open_ledger(path) as ledger:
        assert add(ledger, Outcome("a", 1.0, True), digests=(b"q",)) == 1
        first = ledger.run
    with open_ledger(path) as ledger:
        assert ledger.next_round() == 2
        assert ledger.run == first + 1
        assert ledger.was_asked(b"q") and not ledger.was_asked(b"r")
        assert ledger.evidence()["a"].score == 1.0


def test_recent_scores_count_more(ledger: Ledger) -> None:
    for score in (0.0, 0.0, 0.0, 0.0, 1.0):
        add(ledger, Outcome("a", score, True))
    known = ledger.evidence()["a"]
    fade = 0.5**0.25
    assert known.score == pytest.approx(1 / (1 + fade + fade**2 + fade**3 + fade**4))
    assert (known.questions, known.answers) == (5, 5)


def test_who_was_not_asked_forgets_nothing_and_gains_nothing(ledger: Ledger) -> None:
    add(ledger, Outcome("a", 0.75, True), Outcome("b", 0.0, False))
    for _ in range(9):
        add(ledger, Outcome("b", 0.5, True))
    assert ledger.evidence()["a"].score == 0.75


def test_half_life(ledger: Ledger) -> None:
    add(ledger, Outcome("a", 1.0, True))
    for _ in range(3):
        add(ledger)
    add(ledger, Outcome("a", 0.0, True))
    assert ledger.evidence()["a"].score == pytest.approx(0.5 / 1.5)


def test_memory_is_the_hotkey_s_not_the_seat_s(ledger: Ledger) -> None:
    """A newcomer on a used seat has another hotkey, and nothing is known of that."""
    add(ledger, Outcome("old", 1.0, True))
    assert "new" not in ledger.evidence()


def test_failures_are_questions_without_answers(ledger: Ledger) -> None:
    add(ledger, Outcome("a", 1.0, True), Outcome("a", 0.0, False))
    known = ledger.evidence()["a"]
    assert (known.score, known.questions, known.answers) == (0.5, 2, 1)


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_remembered_score_lies_between_the_scores(scores: list[float]) -> None:
    with Ledger(Path(":memory:"), half_life_rounds=3.0, clock=lambda: 0.0) as ledger:
        for score in scores:
            add(ledger, Outcome("a", score, True))
        assert min(scores) - 1e-9 <= ledger.evidence()["a"].score <= max(scores) + 1e-9


def test_a_round_that_fails_halfway_leaves_no_trace(ledger: Ledger) -> None:
    add(ledger, Outcome("a", 1.0, True), digests=(b"q",))
    with pytest.raises(StateError):
        add(ledger, Outcome("a", 0.0, True), digests=(b"new", b"q"))
    assert ledger.next_round() == 2
    assert not ledger.was_asked(b"new")
    assert ledger.evidence()["a"].score == 1.0
    add(ledger, Outcome("a", 0.0, True))
    assert ledger.next_round() == 3


WRITER = """
import sys
from pathlib import Path
from validators.ledger import Ledger, Outcome
with Ledger(Path(sys.argv[1]), half_life_rounds=1e9, clock=lambda: 0.0) as ledger:
    while True:
        round = ledger.next_round()
        outcomes = [Outcome(f"h{n}", round % 2, True) for n in range(20)]
        ledger.remember(round, block=round, epoch=0, digests=[round.to_bytes(8, "big")],
                        outcomes=outcomes)
        print(round, flush=True)
"""


def test_a_kill_between_or_inside_writes_keeps_the_last_round(path: Path) -> None:
    told = 0
    for stop_after in (3, 8, 5):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(stop_after):
                told = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            told = max([told, *(int(line) for line in writer.stdout)])
        with open_ledger(path) as ledger:
            last = ledger.next_round() - 1
            assert last >= told
            evidence = ledger.evidence()
            assert {known.questions for known in evidence.values()} == {last}
            assert len(evidence) == 20
            assert ledger.was_asked(last.to_bytes(8, "big"))
            assert not ledger.was_asked((last + 1).to_bytes(8, "big"))


def test_a_disk_that_fills_up_loses_the_round_at_hand_and_no_other(ledger: Ledger) -> None:
    ledger._db.execute("PRAGMA max_page_count = 16")  # SQLite then says what it says of a full disk
    outcomes = [Outcome(f"{'5' * 40}-{n}", 1.0, True) for n in range(20)]
    with pytest.raises(StateError, match="the disk is full; make room and start again"):
        for _ in range(1000):
            last = ledger.next_round()
            add(ledger, *outcomes, digests=tuple(b"%d-%032d" % (last, n) for n in range(50)))
    assert ledger.next_round() == last > 1
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    assert add(ledger, *outcomes) == last
    assert {known.questions for known in ledger.evidence().values()} == {last}


def test_one_process_at_a_time(ledger: Ledger, path: Path) -> None:
    with pytest.raises(StateError, match="in use"):
        open_ledger(path)


def test_a_file_that_is_no_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, and long enough to show it" * 100)
    with pytest.raises(StateError, match="not a ledger"):
        open_ledger(path)


def test_a_ledger_of_a_newer_version_is_left_alone(path: Path) -> None:
    open_ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StateError, match="version 99"):
        open_ledger(path)


def test_migration_keeps_what_is_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_ledger(path) as ledger:
        add(ledger, Outcome("a", 1.0, True))
    step = "ALTER TABLE rounds ADD COLUMN note TEXT NOT NULL DEFAULT 'old';"
    monkeypatch.setattr(ledgers, "MIGRATIONS", (*ledgers.MIGRATIONS, step))
    with open_ledger(path) as ledger:
        assert ledger.evidence()["a"].score == 1.0
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT note FROM rounds").fetchall() == [("old",)]
    db.close()


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(path).close()
    step = "CREATE TABLE half (x); INSERT INTO absent VALUES (1);"
    with monkeypatch.context() as patch:
        patch.setattr(ledgers, "MIGRATIONS", (*ledgers.MIGRATIONS, step))
        with pytest.raises(StateError):
            open_ledger(path)
    with open_ledger(path):
        pass
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []
    db.close()
