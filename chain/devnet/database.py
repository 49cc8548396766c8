"""The chain on disk: an SQLite file that only grows, one transaction a block.

Memory holds the whole chain; the file is its log, read once at the start. A killed process loses
at most the block it was writing (a power cut may lose the last few). One process at a time.
A dump of a chain is the bytes of such a file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from chain.devnet.engine import Header
from chain.errors import ChainError
from chain.scale import Reader, compact

__all__ = ["Database", "DatabaseUnusable"]

SCHEMA = 2
APPLICATION_ID = 0x5B7E7DB1  # SQLite's mark of whose file it is

_TABLES = """
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL, state_root BLOB NOT NULL,
    extrinsics_root BLOB NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL
);
CREATE TABLE kv (
    block INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, PRIMARY KEY (block, key)
) WITHOUT ROWID;
CREATE TABLE snapshots (number INTEGER PRIMARY KEY, block INTEGER NOT NULL, offset_ms INTEGER);
CREATE TABLE node (
    id INTEGER PRIMARY KEY CHECK (id = 0), offset_ms INTEGER NOT NULL, oldest_state INTEGER NOT NULL
);
INSERT INTO node VALUES (0, 0, 0);
"""
MEMORY = Path(":memory:")
_WAL_MARKS = slice(18, 20)
"""Where a file says that it has a write-ahead log, which a database in memory cannot have."""

Record = tuple[Header, bytes, tuple[bytes, ...], int]
"""Header, hash, extrinsics, timestamp in ms."""


class DatabaseUnusable(ChainError):
    """The file cannot be read, written or trusted, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"database {path}: {reason}")
        self.path = path
        self.reason = reason


class Database:
    """An open database file, locked against other processes until `close`."""

    def __init__(self, path: Path, dump: bytes | None = None) -> None:
        """Open or create `path`. Raises DatabaseUnusable.

        With a `dump`, hold that chain in memory; `path` only says where it came from.
        """
        self.path = path
        with self._explained():
            self._connection = sqlite3.connect(
                path if dump is None else MEMORY, isolation_level=None
            )
        try:
            with self._explained():
                if dump is not None:
                    data = bytearray(dump)
                    data[_WAL_MARKS] = b"\x01\x01"
                    self._connection.deserialize(data)
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        execute("PRAGMA locking_mode=EXCLUSIVE")
        execute("PRAGMA busy_timeout=0")
        is_new = self._ensure_ours()  # before anything is written
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=NORMAL")
        execute("BEGIN EXCLUSIVE")
        if is_new:
            for statement in _TABLES.split(";"):
                execute(statement)
            execute(f"PRAGMA application_id={APPLICATION_ID}")
            execute(f"PRAGMA user_version={SCHEMA}")
        execute("COMMIT")

    def _ensure_ours(self) -> bool:
        """Whether there is nothing in the file yet. Raises DatabaseUnusable for another's file."""
        execute = self._connection.execute
        (mark,) = execute("PRAGMA application_id").fetchone()
        (schema,) = execute("PRAGMA user_version").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0:
            return True
        if mark != APPLICATION_ID:
            raise DatabaseUnusable(self.path, "is not a devnet database; name another file")
        if schema != SCHEMA:
            raise DatabaseUnusable(
                self.path, f"has schema {schema}, this version reads {SCHEMA}; name another file"
            )
        return False

    def is_empty(self) -> bool:
        """Whether it holds no block yet."""
        with self._explained():
            return self._connection.execute("SELECT 1 FROM blocks").fetchone() is None

    def ensure_genesis(self, block_hash: bytes) -> None:
        """Raise DatabaseUnusable unless the chain in the file begins with this block."""
        with self._explained():
            row = self._connection.execute("SELECT hash FROM blocks WHERE number=0").fetchone()
        if row is None or row[0] != block_hash:
            theirs = "none" if row is None else f"0x{bytes(row[0] or b'').hex()[:16]}"
            raise DatabaseUnusable(
                self.path,
                f"holds another chain (genesis {theirs}, this one is 0x{block_hash.hex()[:16]}): "
                "made with another runtime or other settings; name another file",
            )

    def metadata_digest(self) -> bytes:
        """What the genesis block says of the runtime: its extrinsics root."""
        with self._explained():
            row = self._connection.execute(
                "SELECT extrinsics_root FROM blocks WHERE number=0"
            ).fetchone()
        if row is None:
            raise DatabaseUnusable(self.path, "holds no chain")
        return bytes(row[0])

    def load(self) -> Iterator[tuple[Record, dict[bytes, bytes | None]]]:
        """All blocks from genesis on, each with its changes."""
        with self._explained():
            parent = bytes(32)
            rows = self._connection.execute(
                "SELECT number, hash, state_root, extrinsics_root, digest, body, timestamp_ms "
                "FROM blocks ORDER BY number"
            ).fetchall()
            for number, block_hash, state_root, extrinsics_root, digest, body, timestamp in rows:
                header = Header(parent, number, state_root, extrinsics_root, _split(digest))
                if header.hash() != block_hash:
                    raise DatabaseUnusable(self.path, f"block {number} is damaged")
                changes: dict[bytes, bytes | None] = dict(
                    self._connection.execute(
                        "SELECT key, value FROM kv WHERE block=? ORDER BY key", (number,)
                    )
                )
                yield (header, block_hash, _split(body), timestamp), changes
                parent = block_hash

    def append(
        self,
        record: Record,
        changes: Mapping[bytes, bytes | None],
        discarded: Iterable[tuple[int, bytes]] = (),
        oldest_state: int = 0,
    ) -> None:
        """Write one block, whole or not at all.

        `discarded` are the (block, key) whose value nobody can ask for any more, now that the
        state after `oldest_state` is the oldest that is kept.
        """
        header, block_hash, body, timestamp_ms = record
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    header.number,
                    block_hash,
                    header.state_root,
                    header.extrinsics_root,
                    _join(header.digest),
                    _join(body),
                    timestamp_ms,
                ),
            )
            number = header.number
            connection.executemany(
                "INSERT INTO kv VALUES (?, ?, ?)",
                [(number, key, value) for key, value in changes.items()],
            )
            if oldest_state:
                connection.executemany("DELETE FROM kv WHERE block=? AND key=?", discarded)
                connection.execute("UPDATE node SET oldest_state=?", (oldest_state,))

    def oldest_state(self) -> int:
        """The first block whose state is kept."""
        with self._explained():
            (number,) = self._connection.execute("SELECT oldest_state FROM node").fetchone()
            return int(number)

    def dump(self) -> bytes:
        """The whole file, as it would be after `close`."""
        with self._explained(), contextlib.closing(sqlite3.connect(MEMORY)) as copy:
            self._connection.backup(copy)
            return copy.serialize()

    def replace(self, other: Database) -> None:
        """Hold what `other` holds, whole or not at all."""
        with self._explained():
            other._connection.backup(self._connection)

    def revert(self, block: int, snapshot: int, offset_ms: int) -> None:
        """Drop the blocks after `block` and the snapshots after `snapshot`; set the clock back."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM kv WHERE block>?", (block,))
            connection.execute("DELETE FROM blocks WHERE number>?", (block,))
            connection.execute("DELETE FROM snapshots WHERE number>?", (snapshot,))
            connection.execute("UPDATE node SET offset_ms=?", (offset_ms,))

    def put_snapshot(self, number: int, block: int, offset_ms: int) -> None:
        """Remember a snapshot."""
        with self._transaction() as connection:
            connection.execute("INSERT INTO snapshots VALUES (?, ?, ?)", (number, block, offset_ms))

    def snapshots(self) -> list[tuple[int, int, int]]:
        """(number, block, clock offset in ms) of each snapshot."""
        with self._explained():
            return self._connection.execute("SELECT * FROM snapshots ORDER BY number").fetchall()

    def offset_ms(self) -> int:
        """The clock's offset, 0 at first."""
        with self._explained():
            (offset,) = self._connection.execute("SELECT offset_ms FROM node").fetchone()
            return int(offset)

    def put_offset(self, offset_ms: int) -> None:
        """Remember the clock's offset."""
        with self._transaction() as connection:
            connection.execute("UPDATE node SET offset_ms=?", (offset_ms,))

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except (TypeError, ValueError) as error:  # values of another kind than were written
            raise DatabaseUnusable(self.path, f"is damaged: {error}") from error

    def _explain(self, error: sqlite3.Error) -> DatabaseUnusable:
        reason = str(error)
        if "locked" in reason:
            reason = "is in use by another process"
        return DatabaseUnusable(self.path, reason)


def _join(items: Sequence[bytes]) -> bytes:
    return b"".join(compact(len(item)) + item for item in items)


def _split(data: bytes) -> tuple[bytes, ...]:
    reader = Reader(data)
    items = []
    while reader.remaining:
        items.append(reader.take(reader.compact()))
    return tuple(items)
