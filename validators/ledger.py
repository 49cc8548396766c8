"""The ledger: what a validator remembers of every hotkey it asked, safe against power cuts.

Memory is keyed by hotkey, never by uid: a seat is given to somebody else after pruning. One
round is one transaction; whatever happens to the process, the file holds whole rounds. Others may
read the file meanwhile. Knows nothing of weights, metagraphs or the wire.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from scoring.evidence import Ban
from scoring.policies import Claim, Seen
from scoring.verify.statement import Measure, Statement
from scoring.verify.statement import Outcome as Seeing
from subnet.errors import StateError

MIGRATIONS: tuple[str, ...] = (
    """
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
    """,
    """
    CREATE TABLE outcomes (
        round INTEGER NOT NULL, hotkey TEXT NOT NULL, coldkey TEXT, score REAL NOT NULL,
        reason TEXT NOT NULL, answered INTEGER NOT NULL, seconds REAL, statements TEXT,
        claimed REAL, shown REAL
    );
    CREATE INDEX outcomes_by_hotkey ON outcomes (hotkey, round);
    CREATE INDEX outcomes_by_round ON outcomes (round);
    CREATE TABLE bans (
        hotkey TEXT NOT NULL, round INTEGER NOT NULL, until INTEGER NOT NULL, nats REAL NOT NULL
    );
    CREATE INDEX bans_by_hotkey ON bans (hotkey, round);
    CREATE TABLE seats (
        hotkey TEXT PRIMARY KEY, uid INTEGER NOT NULL, registered_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
)
"""Step n takes a ledger from version n to n + 1; steps are only ever added at the end."""

FILE_NAME = "ledger.sqlite"
"""In a validator's state folder."""

KEEP_ROUNDS = 512
"""Outcomes of so many rounds are kept one by one: at 20 rounds a day, those of 25 days."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question to one hotkey came to; a failure is a score of 0 that is no answer.

    `coldkey` is who owned the hotkey then; `seconds` is the time from the socket write to the end
    of the answer, as the validator saw it.
    """

    hotkey: str
    score: float
    answered: bool
    reason: str = ""
    coldkey: str | None = None
    seconds: float | None = None
    statements: tuple[Statement, ...] = ()
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is remembered of one hotkey.

    `score` is the mean of its scores, a score counting half after each half-life. Rounds in
    which it was not asked change nothing. `weight` is how many fresh questions that mean is worth.
    """

    score: float
    weight: float
    questions: int
    answers: int


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits where. A seat keeps `uid` and `registered_at` (a block) when its hotkey is swapped,
    and gets another `registered_at` when somebody else buys it.
    """

    hotkey: str
    uid: int
    registered_at: int


class Lock:
    """One process alone may write to a ledger; whoever dies lets go. Reading needs no lock."""

    def __init__(self, ledger: Path) -> None:
        """Take it. Raises StateError where another process has it."""
        path = lock_path(ledger)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError.of(path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StateError(ledger, IN_USE) from error

    def release(self) -> None:
        """Let go. The file stays: to remove it would let two processes hold one each."""
        os.close(self._descriptor)


IN_USE = "in use by another validator; stop it, or give this one another folder"


def lock_path(ledger: Path) -> Path:
    """Beside the ledger, and not the ledger: SQLite loses its own locks when another opens it."""
    return ledger.with_name(f"{ledger.name}.lock")


class Ledger:
    """One validator's memory in one SQLite file; only one process may have it open for writing."""

    def __init__(
        self,
        path: Path,
        *,
        half_life_rounds: float,
        clock: Callable[[], float],
        keep_rounds: int = KEEP_ROUNDS,
    ) -> None:
        """Open or create. Raises StateError: locked, damaged, or written by a newer version.

        `keep_rounds` is how many rounds `history` reaches back; ":memory:" is a ledger of its own.
        """
        self.path = path
        self._half_life = half_life_rounds
        self._keep = keep_rounds
        self._lock = None if str(path) == ":memory:" else Lock(path)
        try:
            self._db = _open(path)
        except BaseException:
            self._unlock()
            raise
        try:
            with explained(path):
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                ensure_sound(self._db, path)
                migrate(self._db)
                self.run = self._begin_run(clock())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def next_round(self) -> int:
        """The number the coming round has; rounds count from 1, over all runs."""
        (last,) = self._db.execute("SELECT COALESCE(MAX(round), 0) FROM rounds").fetchone()
        return int(last) + 1

    def was_asked(self, digest: bytes) -> bool:
        """Whether a question with this digest was part of a remembered round."""
        row = self._db.execute("SELECT 1 FROM asked WHERE digest = ?", (digest,)).fetchone()
        return row is not None

    def remember(
        self,
        round: int,
        *,
        block: int,
        epoch: int,
        digests: Iterable[bytes],
        outcomes: Iterable[Outcome],
        seats: Sequence[Seat] = (),
        follow_swaps: bool = False,
    ) -> Mapping[str, str]:
        """Add one round, all of it or nothing. Raises StateError when the disk says no.

        `seats` are all there are now, none for "not looked at". With `follow_swaps`, what is
        remembered of a hotkey that was swapped for another moves there; {new: old} is returned.
        """
        with self._transaction(f"round {round} is not remembered"):
            moved = self._take_seats(seats, follow_swaps)
            self._db.execute(
                "INSERT INTO rounds VALUES (?, ?, ?, ?)", (round, self.run, block, epoch)
            )
            self._db.executemany(
                "INSERT INTO asked VALUES (?, ?)", [(digest, round) for digest in digests]
            )
            for outcome in outcomes:
                self._add(round, outcome)
            self._db.execute("DELETE FROM outcomes WHERE round <= ?", (round - self._keep,))
        return moved

    def move(self, old: str, new: str) -> None:
        """Let everything that is remembered of `old` be remembered of `new`. Raises StateError."""
        with self._transaction(f"what is remembered of {old} has not moved"):
            self._move(old, new)

    def ban(self, hotkey: str, bans: Iterable[Ban]) -> None:
        """Remember `bans`, which outlast the answers they were made of. Raises StateError."""
        with self._transaction(f"a ban of {hotkey} is not remembered"):
            rows = [(hotkey, ban.round, ban.until, ban.nats) for ban in bans]
            self._db.executemany("INSERT INTO bans VALUES (?, ?, ?, ?)", rows)

    def evidence(self) -> Mapping[str, Evidence]:
        """Everything remembered, by hotkey."""
        rows = self._db.execute("SELECT hotkey, total, weight, questions, answers FROM evidence")
        return {
            hotkey: Evidence(total / weight, weight, questions, answers)
            for hotkey, total, weight, questions, answers in rows
        }

    def history(self, hotkey: str, *, since: int = 0) -> tuple[Seen, ...]:
        """What was asked of `hotkey` from round `since` on, as far as it is kept, in order."""
        rows = self._db.execute(
            "SELECT round, score, answered, statements, claimed, shown FROM outcomes"
            " WHERE hotkey = ? AND round >= ? ORDER BY round, rowid",
            (hotkey, since),
        )
        return tuple(
            Seen(
                round,
                score,
                bool(answered),
                _statements(statements),
                None if claimed is None else Claim(claimed, shown),
            )
            for round, score, answered, statements, claimed, shown in rows
        )

    def bans(self, hotkey: str) -> tuple[Ban, ...]:
        """Every ban of `hotkey`, oldest first."""
        rows = self._db.execute(
            "SELECT round, until, nats FROM bans WHERE hotkey = ? ORDER BY round", (hotkey,)
        )
        return tuple(Ban(*row) for row in rows)

    @contextmanager
    def _transaction(self, failure: str) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # on a full disk SQLite may have ended it already
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StateError(self.path, f"{failure}: {_advice(error)}") from error

    def _add(self, round: int, outcome: Outcome) -> None:
        row = self._db.execute(
            "SELECT total, weight, round, questions, answers FROM evidence WHERE hotkey = ?",
            (outcome.hotkey,),
        ).fetchone()
        total, weight, last, questions, answers = row or (0.0, 0.0, round, 0, 0)
        fade = 0.5 ** ((round - last) / self._half_life)
        self._db.execute(
            "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?, ?, ?, ?)",
            (
                outcome.hotkey,
                total * fade + outcome.score,
                weight * fade + 1.0,
                round,
                questions + 1,
                answers + outcome.answered,
            ),
        )
        claim = outcome.claim
        self._db.execute(
            "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                round,
                outcome.hotkey,
                outcome.coldkey,
                outcome.score,
                outcome.reason,
                outcome.answered,
                outcome.seconds,
                _text(outcome.statements),
                None if claim is None else claim.claimed,
                None if claim is None else claim.shown,
            ),
        )

    def _take_seats(self, seats: Sequence[Seat], follow_swaps: bool) -> dict[str, str]:
        """Write down who sits where; return {new: old} of the hotkeys whose memory moved."""
        if not seats:
            return {}
        before = {
            hotkey: (uid, registered_at)
            for hotkey, uid, registered_at in self._db.execute("SELECT * FROM seats")
        }
        self._db.execute("DELETE FROM seats")
        rows = [(seat.hotkey, seat.uid, seat.registered_at) for seat in seats]
        self._db.executemany("INSERT INTO seats VALUES (?, ?, ?)", rows)
        if not follow_swaps:
            return {}
        # A seat that only moved to another uid has its hotkey still; two bought in one block could
        # else be taken for each other.
        present = {seat.hotkey for seat in seats}
        left = {place: hotkey for hotkey, place in before.items() if hotkey not in present}
        moved = {
            seat.hotkey: left[seat.uid, seat.registered_at]
            for seat in seats
            if seat.hotkey not in before and (seat.uid, seat.registered_at) in left
        }
        for new, old in moved.items():
            self._move(old, new)
        return moved

    def _move(self, old: str, new: str) -> None:
        """Moved and never copied: else one past would earn twice. Joined to what `new` has."""
        for table in ("outcomes", "bans"):
            self._db.execute(f"UPDATE {table} SET hotkey = ? WHERE hotkey = ?", (new, old))
        columns = "total, weight, round, questions, answers"
        rows = self._db.execute(
            f"SELECT {columns} FROM evidence WHERE hotkey IN (?, ?)", (old, new)
        ).fetchall()
        if not rows:
            return
        last = max(row[2] for row in rows)
        fades = [0.5 ** ((last - row[2]) / self._half_life) for row in rows]
        self._db.execute("DELETE FROM evidence WHERE hotkey = ?", (old,))
        self._db.execute(
            "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?, ?, ?, ?)",
            (
                new,
                sum(row[0] * fade for row, fade in zip(rows, fades, strict=True)),
                sum(row[1] * fade for row, fade in zip(rows, fades, strict=True)),
                last,
                sum(row[3] for row in rows),
                sum(row[4] for row in rows),
            ),
        )

    def _begin_run(self, now: float) -> int:
        cursor = self._db.execute("INSERT INTO runs (started) VALUES (?)", (now,))
        return int(cursor.lastrowid or 0)


def ensure_sound(db: sqlite3.Connection, path: Path) -> int:
    """Return the version of a ledger's file. Raises StateError: damaged, newer, or no ledger.

    Every page is read. Indexes are not compared with their tables; `state.inspect` does that.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StateError(
            path,
            f"version {version}; this program knows up to {len(MIGRATIONS)}: take a newer program,"
            " or restore a backup that an older one made",
        )
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StateError(path, f"damaged ({found}); run: subnet state restore BACKUP")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and (version == 0 or "rounds" not in tables):
        raise StateError(path, "not a ledger: a database of something else; move it away")
    return int(version)


def _open(path: Path) -> sqlite3.Connection:
    with explained(path):
        return sqlite3.connect(path, isolation_level=None, timeout=1.0)


def migrate(db: sqlite3.Connection) -> None:
    """Take an open ledger to the newest version, one transaction a step."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for step in range(version, len(MIGRATIONS)):
        db.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever SQLite says of the file at `path`, as a StateError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StateError(path, _advice(error)) from error
    except sqlite3.DatabaseError as error:
        raise StateError(path, f"not a ledger: {error}; move it away") from error


def _advice(error: sqlite3.Error) -> str:
    """What is wrong and what to do about it."""
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what is above says where in SQLite
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return IN_USE
    if kind == sqlite3.SQLITE_FULL:
        return "the disk is full; make room and start again"
    if kind == sqlite3.SQLITE_IOERR:
        return f"{error}; the disk may be full or broken"
    return str(error)


def _text(statements: tuple[Statement, ...]) -> str | None:
    """What a trial needs of the statements; floats come back as they were."""
    if not statements:
        return None
    return json.dumps(
        [
            [said.check, said.outcome.value, said.log_ratio]
            + [[measure.name, measure.value, measure.p] for measure in said.measures]
            for said in statements
        ],
        separators=(",", ":"),
    )


def _statements(text: str | None) -> tuple[Statement, ...]:
    return tuple(
        Statement(check, Seeing(outcome), "", ratio, tuple(Measure(*row) for row in measures))
        for check, outcome, ratio, *measures in json.loads(text or "[]")
    )
