"""A ledger's file from outside: look at it, copy it, put a copy back, bring it up to date.

Looking and copying are allowed while a validator runs; copies are made by SQLite itself, page by
page, so that they hold whole rounds. What writes refuses where a validator holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from subnet.errors import StateError
from validators.ledger import MIGRATIONS, Lock, ensure_sound, explained, lock_path, migrate


@dataclass(frozen=True, slots=True)
class Report:
    """What a ledger holds. `rounds` are remembered in all, up to `last_round` at `last_block`.

    `outcomes` are those still kept one by one; `banned` counts bans that run at the last round.
    `held` says whether a validator has it open now. `problems` is empty for a sound file.
    """

    path: Path
    version: int
    bytes: int
    held: bool
    runs: int
    rounds: int
    last_round: int | None
    last_block: int | None
    hotkeys: int
    questions: int
    outcomes: int
    bans: int
    banned: int
    problems: tuple[str, ...]


def inspect(path: Path) -> Report:
    """Read a ledger whole, indexes too. Raises StateError: none there, newer, or not readable."""
    with _reading(path) as db:
        version = ensure_sound(db, path)

        def count(query: str, since: int = 1) -> int:
            return int(db.execute(query).fetchone()[0] or 0) if version >= since else 0

        last = db.execute("SELECT round, block FROM rounds ORDER BY round DESC LIMIT 1").fetchone()
        checked = [row for (row,) in db.execute("PRAGMA integrity_check(20)")]
        return Report(
            path=path,
            version=version,
            bytes=path.stat().st_size,
            held=is_held(path),
            runs=count("SELECT COUNT(*) FROM runs"),
            rounds=count("SELECT COUNT(*) FROM rounds"),
            last_round=last and last[0],
            last_block=last and last[1],
            hotkeys=count("SELECT COUNT(*) FROM evidence"),
            questions=count("SELECT SUM(questions) FROM evidence"),
            outcomes=count("SELECT COUNT(*) FROM outcomes", since=2),
            bans=count("SELECT COUNT(*) FROM bans", since=2),
            banned=count(
                "SELECT COUNT(DISTINCT hotkey) FROM bans"
                " WHERE until > (SELECT MAX(round) FROM rounds)",
                since=2,
            ),
            problems=tuple(line for line in checked if line != "ok"),
        )


def backup(path: Path, to: Path, *, overwrite: bool = False) -> None:
    """Copy a ledger, also of a running validator, to a file of its own: all of it or nothing.

    Raises StateError: nothing sound to copy, or `to` is there already and `overwrite` is not set.
    """
    if not overwrite and _is_there(to):
        raise StateError(to, "there is a file already; give --yes to replace it")
    with _reading(path) as source:
        ensure_sound(source, path)
        partial = to.with_name(f".{to.name}.partial")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            with explained(to), closing(sqlite3.connect(partial)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            _sync(partial)
            os.replace(partial, to)
            _sync(to.parent)
        except OSError as error:
            raise StateError.of(to, error) from error
        finally:
            partial.unlink(missing_ok=True)


def restore(path: Path, source: Path, *, overwrite: bool = False) -> Path | None:
    """Put the copy `source` in the place of the ledger at `path`.

    What was there is kept beside it; its new path is returned. What was asked since the copy was
    made is forgotten with it, so the next run has a number that no run had: questions grow from
    that. Raises StateError: a validator runs, `source` is no sound ledger, or there is a ledger and
    `overwrite` is not set.
    """
    with _reading(source) as copy:
        ensure_sound(copy, source)
    with _locked(path):
        if path.exists() and not overwrite:
            raise StateError(path, "there is a ledger; give --yes to put the backup in its place")
        new = path.with_name(f".{path.name}.restored")
        backup(source, new, overwrite=True)
        _skip_runs(new)
        kept = _set_aside(path) if path.exists() else None
        try:
            os.replace(new, path)
            _sync(path.parent)
        except OSError as error:
            raise StateError.of(path, error) from error
        return kept


def bring_up_to_date(path: Path) -> tuple[int, int, Path | None]:
    """Migrate a ledger; return its version before and after, and where the old one is kept.

    A validator does the same when it starts, without a copy. Raises StateError.
    """
    with _locked(path):
        with _reading(path) as db:
            version = ensure_sound(db, path)
        if version == len(MIGRATIONS):
            return version, version, None
        kept = path.with_name(f"{path.name}.version-{version}")
        backup(path, kept, overwrite=True)
        with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
            migrate(db)
        return version, len(MIGRATIONS), kept


def is_held(path: Path) -> bool:
    """Whether a process has the ledger open for writing."""
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY)
    except OSError:
        return False  # a validator makes the file before anything else
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = Lock(path)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing; a log left by a crash is read with it."""
    if not _is_there(path) or not path.is_file():
        raise StateError(path, "there is no ledger")
    with explained(path):
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")  # one view, however long it is read
            if db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,):
                raise StateError(path, "there is no ledger in it")
            yield db


def _is_there(path: Path) -> bool:
    try:
        path.stat()  # from Python 3.14 on `exists` is False whatever went wrong
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # a folder that this user may not look into, say
        raise StateError.of(path, error) from error
    return True


def _skip_runs(path: Path) -> None:
    with explained(path), closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO runs SELECT MAX(run) + ?, MAX(started) FROM runs HAVING COUNT(*) > 0",
            (1 + secrets.randbits(31),),
        )


def _set_aside(path: Path) -> Path:
    """Rename a ledger and the logs that belong to it: SQLite would play them into the new one."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a damaged one keeps its logs
    number = 1
    while (kept := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    try:
        os.replace(path, kept)
        for end in ("-wal", "-shm"):
            log = path.with_name(path.name + end)
            if log.exists():
                os.replace(log, kept.with_name(kept.name + end))
    except OSError as error:
        raise StateError.of(path, error) from error
    return kept


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
