"""The ledger: what a validator remembers of every hotkey it asked, safe against power cuts.

Memory is keyed by hotkey, never by uid: a seat is given to somebody else after pruning. One
round is one transaction; whatever happens to the process, the file holds whole rounds. Knows
nothing of weights, metagraphs or the wire.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
)
"""Step n takes a ledger from version n to n + 1; steps are only ever added at the end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question to one hotkey came to; a failure is a score of 0 that is no answer."""

    hotkey: str
    score: float
    answered: bool


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


class Ledger:
    """One validator's memory in one SQLite file; only one process may have it open."""

    def __init__(self, path: Path, *, half_life_rounds: float, clock: Callable[[], float]) -> None:
        """Open or create. Raises StateError: locked, damaged, or written by a newer version."""
        self.path = path
        self._half_life = half_life_rounds
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        except OSError as error:
            raise StateError.of(path, error) from error
        except sqlite3.Error as error:
            raise StateError(path, _advice(error)) from error
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()
            self.run = self._begin_run(clock())
        except sqlite3.OperationalError as error:
            self._db.close()
            raise StateError(path, _advice(error)) from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StateError(path, f"not a ledger: {error}; move it away") from error
        except StateError:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

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
    ) -> None:
        """Add one round, all of it or nothing. Raises StateError when the disk says no."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute(
                    "INSERT INTO rounds VALUES (?, ?, ?, ?)", (round, self.run, block, epoch)
                )
                self._db.executemany(
                    "INSERT INTO asked VALUES (?, ?)", [(digest, round) for digest in digests]
                )
                for outcome in outcomes:
                    self._add(round, outcome)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # on a full disk SQLite may have ended it already
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StateError(
                self.path, f"round {round} is not remembered: {_advice(error)}"
            ) from error

    def evidence(self) -> Mapping[str, Evidence]:
        """Everything remembered, by hotkey."""
        rows = self._db.execute("SELECT hotkey, total, weight, questions, answers FROM evidence")
        return {
            hotkey: Evidence(total / weight, weight, questions, answers)
            for hotkey, total, weight, questions, answers in rows
        }

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

    def _begin_run(self, now: float) -> int:
        cursor = self._db.execute("INSERT INTO runs (started) VALUES (?)", (now,))
        return int(cursor.lastrowid or 0)

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StateError(
                self.path, f"version {version}; this program knows up to {len(MIGRATIONS)}"
            )
        for step in range(version, len(MIGRATIONS)):
            self._db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
            )


def _advice(error: sqlite3.Error) -> str:
    """What is wrong and what to do about it."""
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what is above says where in SQLite
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "in use by another validator; stop it, or give this one another folder"
    if kind == sqlite3.SQLITE_FULL:
        return "the disk is full; make room and start again"
    if kind == sqlite3.SQLITE_IOERR:
        return f"{error}; the disk may be full or broken"
    return str(error)
