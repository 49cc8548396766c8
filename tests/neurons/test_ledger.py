"""What a validator remembers, and that nothing but whole rounds ever is."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.evidence import Ban
from scoring.policies import Claim, Seen
from scoring.verify.statement import Measure, Statement, measured
from scoring.verify.statement import Outcome as Seeing
from subnet.errors import StateError
from validators import ledger as ledgers
from validators.ledger import Ledger, Outcome, Seat


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
    newer = (*ledgers.MIGRATIONS, step)
    monkeypatch.setattr(ledgers, "MIGRATIONS", newer)
    with open_ledger(path) as ledger:
        assert ledger.evidence()["a"].score == 1.0
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(newer),)
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


VERSION_1 = """
CREATE TABLE runs (run INTEGER PRIMARY KEY, started REAL NOT NULL);
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY, run INTEGER NOT NULL, block INTEGER NOT NULL,
    epoch INTEGER NOT NULL
);
CREATE TABLE asked (digest BLOB PRIMARY KEY, round INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE evidence (
    hotkey TEXT PRIMARY KEY, total REAL NOT NULL, weight REAL NOT NULL,
    round INTEGER NOT NULL, questions INTEGER NOT NULL, answers INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO runs VALUES (1, 1700000000.0), (2, 1700000100.0);
INSERT INTO rounds VALUES (1, 1, 100, 5), (2, 1, 200, 6), (3, 2, 300, 7);
INSERT INTO asked VALUES (x'71', 1), (x'72', 3);
INSERT INTO evidence VALUES ('a', 1.5, 2.0, 3, 3, 3), ('b', 0.0, 1.0, 2, 2, 0);
PRAGMA user_version = 1;
"""
"""A file of the first version, as its own program wrote it. Never change it."""


def write(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript(f"PRAGMA journal_mode=WAL; {script}")
    db.close()


def schema(path: Path) -> set[str]:
    with sqlite3.connect(path) as db:
        found = {
            " ".join(str(sql).split()) for (sql,) in db.execute("SELECT sql FROM sqlite_master")
        }
    db.close()
    return found


def test_a_ledger_of_version_1(path: Path, tmp_path: Path) -> None:
    write(path, VERSION_1)
    with open_ledger(path) as ledger:
        assert (ledger.run, ledger.next_round()) == (3, 4)
        assert ledger.was_asked(b"q") and ledger.was_asked(b"r") and not ledger.was_asked(b"s")
        assert ledger.evidence()["a"] == ledgers.Evidence(0.75, 2.0, 3, 3)
        assert ledger.history("a") == ()
        add(ledger, Outcome("a", 1.0, True))
        assert ledger.history("a") == (Seen(4, 1.0, True),)
    new = tmp_path / "new.sqlite"
    open_ledger(new).close()
    assert schema(path) == schema(new)


def test_every_earlier_version_leads_to_this_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is added: a step that forgets a column is seen here."""
    open_ledger(path).close()
    for version in range(1, len(ledgers.MIGRATIONS)):
        old = tmp_path / f"{version}.sqlite"
        with monkeypatch.context() as patch:
            patch.setattr(ledgers, "MIGRATIONS", ledgers.MIGRATIONS[:version])
            open_ledger(old).close()
        open_ledger(old).close()
        assert schema(old) == schema(path)


def test_a_database_of_something_else(path: Path) -> None:
    write(path, "CREATE TABLE bookmarks (url TEXT);")
    with pytest.raises(StateError, match="not a ledger"):
        open_ledger(path)
    assert schema(path) == {"CREATE TABLE bookmarks (url TEXT)"}


def test_a_page_that_rotted_is_found_when_the_ledger_is_opened(path: Path) -> None:
    with open_ledger(path) as ledger:
        for _ in range(30):
            add(ledger, *(Outcome(f"{n:04d}" * 12, 1.0, True) for n in range(20)))
    data = bytearray(path.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StateError, match="subnet state restore|malformed"):
        open_ledger(path)


def test_who_dies_lets_go_and_who_only_reads_may(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StateError, match="in use by another validator"):
            open_ledger(path)
        reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        assert reader.execute("SELECT MAX(round) FROM rounds").fetchone()[0] >= 1
        reader.close()
        os.kill(writer.pid, signal.SIGKILL)
    open_ledger(path).close()


def test_a_ledger_that_could_not_be_opened_is_not_held(path: Path) -> None:
    write(path, "PRAGMA user_version = 99;")
    with pytest.raises(StateError, match="version 99; this program knows up to 2"):
        open_ledger(path)
    path.unlink()
    open_ledger(path).close()


SAID = (
    measured("logprobs", [Measure("gap", 0.25, 1 / 3), Measure("rank", 4.0, 0.1)]),
    Statement("redundancy", Seeing.MEASURED, "3 of 4 agree", -1.5),
    Statement("toploc", Seeing.UNKNOWN, "no answer"),
)


def test_what_a_policy_needs_comes_back_as_it_was(path: Path) -> None:
    with open_ledger(path) as ledger:
        add(
            ledger,
            Outcome("a", 1 / 3, True, "match", "cold", 0.25, SAID, Claim(0.7, 0.1)),
            Outcome("a", 0.0, False, "timeout", "cold", 60.0, claim=Claim(0.5)),
        )
    with open_ledger(path) as ledger:
        first, second = ledger.history("a")
    assert (first.round, first.score, first.answered) == (1, 1 / 3, True)
    assert first.claim == Claim(0.7, 0.1) and second.claim == Claim(0.5)
    for said, meant in zip(first.statements, SAID, strict=True):
        assert (said.check, said.outcome, said.log_ratio, said.measures) == (
            meant.check, meant.outcome, meant.log_ratio, meant.measures,
        )  # fmt: skip
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT reason, coldkey, seconds FROM outcomes").fetchall()
    db.close()
    assert rows == [("match", "cold", 0.25), ("timeout", "cold", 60.0)]


def test_only_so_many_rounds_are_kept_one_by_one(path: Path) -> None:
    with Ledger(path, half_life_rounds=4, clock=lambda: 0.0, keep_rounds=3) as ledger:
        for _ in range(10):
            add(ledger, Outcome("a", 1.0, True), Outcome("a", 0.0, True))
        assert [seen.round for seen in ledger.history("a")] == [8, 8, 9, 9, 10, 10]
        assert [seen.score for seen in ledger.history("a", since=10)] == [1.0, 0.0]
        assert ledger.evidence()["a"].questions == 20


def test_bans_are_kept_and_are_the_hotkey_s(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.ban("a", [Ban(1, 65, 14.5), Ban(70, 198, 15.0)])
    with open_ledger(path) as ledger:
        assert ledger.bans("a") == (Ban(1, 65, 14.5), Ban(70, 198, 15.0))
        assert ledger.bans("b") == ()


def sit(
    ledger: Ledger, *seats: Seat, asked: Mapping[str, float] | None = None, follow: bool = True
) -> dict[str, str]:
    return dict(
        ledger.remember(
            ledger.next_round(),
            block=1,
            epoch=1,
            digests=(),
            outcomes=[Outcome(hotkey, score, True) for hotkey, score in (asked or {}).items()],
            seats=seats,
            follow_swaps=follow,
        )
    )


def test_a_past_follows_a_hotkey_that_was_swapped(ledger: Ledger) -> None:
    assert sit(ledger, Seat("a", 1, 10), Seat("b", 2, 10), asked={"a": 1.0, "b": 0.5}) == {}
    ledger.ban("a", [Ban(1, 65, 14.5)])
    assert sit(ledger, Seat("c", 1, 10), Seat("b", 2, 10), asked={"b": 0.5, "c": 0.0}) == {"c": "a"}
    assert [seen.score for seen in ledger.history("c")] == [1.0, 0.0]
    assert ledger.bans("c") == (Ban(1, 65, 14.5),)
    fade = 0.5**0.25
    assert ledger.evidence()["c"].score == pytest.approx(fade / (1 + fade))
    # Moved, not copied: whoever registers the old key again begins anew.
    assert ledger.history("a") == () and ledger.bans("a") == ()
    assert "a" not in ledger.evidence()
    assert [seen.score for seen in ledger.history("b")] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([Seat("a", 1, 10), Seat("c", 2, 30)], "a seat that was bought has another block"),
        ([Seat("b", 1, 10)], "seats were moved together; b was bought in one block with a"),
        ([Seat("a", 2, 10), Seat("c", 1, 10)], "the hotkey is still there"),
    ],
)
def test_nobody_else_inherits(ledger: Ledger, after: list[Seat], why: str) -> None:
    sit(ledger, Seat("a", 1, 10), Seat("b", 2, 10), asked={"a": 1.0, "b": 0.5})
    assert sit(ledger, *after) == {}, why
    assert len(ledger.history("a")) == len(ledger.history("b")) == 1


def test_a_swap_is_not_followed_unless_asked_for(ledger: Ledger) -> None:
    sit(ledger, Seat("a", 1, 10), asked={"a": 1.0}, follow=False)
    assert sit(ledger, Seat("c", 1, 10), follow=False) == {}
    assert len(ledger.history("a")) == 1
    # Nor later, when it is: what was before was never the new key's.
    assert sit(ledger, Seat("c", 1, 10)) == {}


def test_a_past_that_moves_joins_the_one_that_is_there(ledger: Ledger) -> None:
    """A banned hotkey cannot be washed by swapping a clean seat onto it."""
    sit(ledger, Seat("bad", 1, 10), asked={"bad": 0.0})
    ledger.ban("bad", [Ban(1, 65, 14.5)])
    sit(ledger, Seat("good", 2, 20), asked={"good": 1.0})
    assert sit(ledger, Seat("bad", 2, 20)) == {"bad": "good"}
    assert [seen.score for seen in ledger.history("bad")] == [0.0, 1.0]
    assert ledger.bans("bad") == (Ban(1, 65, 14.5),)
    assert ledger.evidence()["bad"].questions == 2


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_seats_that_change_hands_never_mix_two_pasts(data: st.DataObject) -> None:
    """Against a model that knows who is who: swaps, pruned seats, gaps, re-registrations."""
    block = itertools.count(1)
    names = itertools.count()
    seats: dict[int, tuple[str, int]] = {}
    past: dict[str, list[int]] = {}
    with Ledger(Path(":memory:"), half_life_rounds=3.0, clock=lambda: 0.0) as ledger:
        for round in range(1, 12):
            for uid in range(3):
                act = data.draw(st.sampled_from(["stay", "swap", "buy", "leave"]))
                if act == "buy" or uid not in seats:
                    seats[uid] = (f"h{next(names)}", next(block))
                elif act == "swap":
                    old, born = seats[uid]
                    seats[uid] = (f"h{next(names)}", born)
                    past[seats[uid][0]] = past.pop(old, [])
                elif act == "leave":
                    del seats[uid]
            asked = {hotkey: 1.0 for hotkey, _ in seats.values()}
            sit(ledger, *(Seat(h, uid, born) for uid, (h, born) in seats.items()), asked=asked)
            for hotkey in asked:
                past.setdefault(hotkey, []).append(round)
            if not seats:
                continue
            for hotkey, rounds in past.items():
                assert [seen.round for seen in ledger.history(hotkey)] == rounds
