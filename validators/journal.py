"""The journal: what was asked, answered, judged and set, one JSON line a round, only ever added to.

It is the record for disputes, replays and live views. Each line is on the disk before the next
round begins; a line cut short by a crash is removed when the journal is opened again. The file
being written is closed when it is large or old, compressed beside the others in a thread, and the
oldest are dropped when all of them take too much room, which the log and a line say.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import queue
import re
import shutil
import stat
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from subnet.errors import StateError
from validators.form import find_problem
from validators.judge import UNNAMED
from validators.private import write_private

log = logging.getLogger(__name__)

FILE_NAME = "journal.jsonl"
"""In a validator's folder."""
SCHEMA = 3
"""Version of the lines; a reader refuses a higher one and brings lower ones up to this."""
MIB: Final = 1024 * 1024
MOST_BYTES: Final = 4096 * MIB
PART_BYTES: Final = 64 * MIB
PART_S: Final = 86400.0
SHARES: Final = 4
"""A journal has room for so many parts at least: one written, one compressed, two to keep."""


class Journal:
    """One validator's journal, open for adding.

    A part is closed before it passes `part_bytes`, and when its first line is `part_s` seconds
    old; all of it takes `most_bytes` at most, and a line that is larger than a part. `code` says
    which code is at work and goes into every line. `clock` is Unix time in seconds. `watch` is
    shown each line that was written.
    """

    def __init__(
        self,
        path: Path,
        *,
        code: Mapping[str, Any] | None = None,
        most_bytes: int = MOST_BYTES,
        part_bytes: int = PART_BYTES,
        part_s: float = PART_S,
        clock: Callable[[], float] = time.time,
        watch: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Open or create. Raises StateError."""
        self.path = path
        self._watch = watch
        self._code = None if code is None else dict(code)
        self._most_bytes = most_bytes
        self.part_bytes = min(part_bytes, most_bytes // SHARES)
        self._part_s = part_s
        self._clock = clock
        self._press = _Press()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_private(path)
        except OSError as error:
            raise StateError.of(path, error) from error
        try:
            _cut_unfinished_line(self._file.fileno())
            self._begin()
            self._tidy()
        except OSError as error:
            self.close()
            raise StateError.of(path, error) from error
        except StateError:
            self.close()
            raise

    def append(self, line: Mapping[str, Any]) -> None:
        """Add one line and wait until it is on the disk. Raises StateError (a full disk, say)."""
        line = {"schema": SCHEMA, "code": self._code, **line}
        data = _encode(line)
        try:
            if self._is_full(len(data)):
                self._close_part()
            self._write(data)
        except OSError as error:
            # The next line must not go on where this one broke off.
            with contextlib.suppress(OSError):
                _cut_unfinished_line(self._file.fileno())
            raise StateError.of(self.path, error) from error
        if self._watch is not None:
            self._watch(line)

    def hold(self, line: Mapping[str, Any]) -> None:
        """Keep `line` safe beside the journal until it is appended; there is one at most.

        It is held before the ledger remembers its round, for the case that the process dies before
        the round is over: see `recovery`. Raises StateError.
        """
        write_private(self._held, _encode({"schema": SCHEMA, "code": self._code, **line}))

    def append_held(self, line: Mapping[str, Any]) -> None:
        """Add the line that was held, as it has become. Raises StateError."""
        self.append(line)
        self.release()

    def release(self) -> None:
        """Let go of the line held. Raises StateError."""
        try:
            self._held.unlink(missing_ok=True)
        except OSError as error:
            raise StateError.of(self._held, error) from error

    def find_held(self) -> dict[str, Any] | None:
        """The line of a round whose own end its process did not live to write down."""
        try:
            data = self._held.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError.of(self._held, error) from error
        try:
            line: dict[str, Any] = json.loads(data)
            problem = find_problem({**line, "kind": "round"})
        except (ValueError, TypeError, RecursionError) as error:
            raise StateError(self._held, f"not a line of a journal: {_short(error)}") from error
        if problem is not None:
            raise StateError(self._held, f"not a line of a journal: {problem}")
        # Before version 3 a line that was held did not say of which version it was.
        return migrate({"schema": 2, **line})

    def close(self) -> None:
        """Let go of the file; a part that is being compressed is left for the next start."""
        self._press.stop()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _held(self) -> Path:
        return self.path.with_name(self.path.name + ".held")

    def _write(self, data: bytes) -> None:
        _write_all(self._file, data)
        self._size += len(data)
        self._has_lines = True

    # Parts

    def _begin(self) -> None:
        """Learn number, size and age of the part being written."""
        self._size = os.fstat(self._file.fileno()).st_size
        self._number = 1
        first: dict[str, Any] = {}
        self._has_lines = self._size > 0
        if self._has_lines:
            with self.path.open("rb") as file:
                first = _peek(file)
                self._has_lines = self._size > (len(file.readline()) if "part" in first else 0)
            self._number = _number(first)
        self._since = first.get("time", self._clock())
        older = max((number for number, _ in _closed(self.path)), default=0)
        if older and not self._size:  # somebody moved the part being written away
            self._number = older + 1
            self._write(_encode(self._head(self._number)))
            self._has_lines = False

    def _is_full(self, more: int) -> bool:
        if not self._has_lines:
            self._since = self._clock()
            return False
        # A clock that was set back must not keep a part open for years.
        aged = abs(self._clock() - self._since) >= self._part_s
        return aged or self._size + more > self.part_bytes

    def _close_part(self) -> None:
        """Begin the next part; there is one under the journal's name at every moment."""
        data = _encode(self._head(self._number + 1))
        new = self.path.with_name(self.path.name + ".new")
        new.unlink(missing_ok=True)
        file = _open_private(new)
        try:
            # Whoever let others read the journal means its next parts, too.
            os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(self._file.fileno()).st_mode))
            _write_all(file, data)
            closed = _part_path(self.path, self._number)
            os.link(self.path, closed)
            try:
                new.replace(self.path)
            except OSError:
                closed.unlink()
                raise
            _sync_folder(self.path.parent)
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file = file
        self._number += 1
        self._size, self._since, self._has_lines = len(data), self._clock(), False
        self._press.take(closed)
        self._drop()

    def _head(self, number: int) -> dict[str, Any]:
        return {"schema": SCHEMA, "kind": "part", "part": number, "time": self._clock()}

    def _tidy(self) -> None:
        """Clear away what a kill left half done."""
        for leftover in self.path.parent.glob(f"{self.path.stem}-*.gz.partial"):
            leftover.unlink(missing_ok=True)
        for number, part in _closed(self.path):
            if number >= self._number:
                if not part.samefile(self.path):
                    problem = f"not older than {self.path.name}, whose part it is; move it away"
                    raise StateError(part, problem)
                part.unlink()  # killed while it was closed: it is still the one being written
            elif part.suffix != ".gz":
                # Packed by halves, or packed and not yet removed: it is packed anew.
                part.with_name(part.name + ".gz").unlink(missing_ok=True)
                self._press.take(part)

    def _drop(self) -> None:
        """Drop the oldest parts until there is room for the one being written, and one more."""
        room = self._most_bytes - 2 * self.part_bytes
        dropped: list[str] = []
        freed = 0
        with self._press.lock:
            parts = [(part, part.stat().st_size) for _, part in _closed(self.path)]
            total = sum(size for _, size in parts)
            for part, size in parts:
                if total - freed <= room:
                    break
                part.unlink()
                dropped.append(part.name)
                freed += size
        if dropped:
            log.warning(
                "the journal is full: dropped its oldest parts, %s, %d bytes",
                ", ".join(dropped),
                freed,
            )
            line = {"schema": SCHEMA, "kind": "dropped", "time": self._clock()}
            self._write(_encode({**line, "parts": dropped, "bytes": freed, "code": self._code}))


def read(
    path: Path, *, since: float | None = None, parts: int | None = None
) -> Iterator[dict[str, Any]]:
    """The lines of a journal, oldest first, through all its parts, while it may be written.

    With `since`, Unix time in seconds, only those of that time and later; with `parts` only those
    in the part being written and so many before it. A last line still being written is left out.
    Raises StateError for what is damaged or was written by a newer version, FileNotFoundError where
    there is no journal.
    """
    for line in _read_all(path, since, parts):
        if since is None or line.get("time", since) >= since:
            yield line


def _read_all(path: Path, since: float | None, parts: int | None) -> Iterator[dict[str, Any]]:
    # The part being written is opened first: it stays this part, whatever it is called later.
    with path.open("rb") as file:
        number = _number(_peek(file))
        for closed, _ in _closed(path):
            if closed < number and (parts is None or closed >= number - parts):
                yield from _read_closed(_part_path(path, closed), since)
        yield from _lines(path, file)


def last_round(path: Path) -> int:
    """The number of the last round that the journal tells of, 0 if there is none.

    Reads the newest parts only.
    """
    with path.open("rb") as file:
        number = _number(_peek(file))
        parts = [part for closed, part in _closed(path) if closed < number]
        found = _last(_lines(path, file))
    while found is None and parts:
        part = parts.pop()
        found = _last(_read_closed(part.with_name(part.name.removesuffix(".gz")), None))
    return found or 0


def _last(lines: Iterator[dict[str, Any]]) -> int | None:
    found: int | None = None
    for line in lines:
        if line.get("kind") == "round":
            found = int(line["round"])
        elif line.get("kind") in ("lost", "rewound"):
            found = int(line["through"])
    return found


def _read_closed(part: Path, since: float | None) -> Iterator[dict[str, Any]]:
    packed = part.with_name(part.name + ".gz")
    for candidate in (part, packed):
        try:
            file: BinaryIO = candidate.open("rb")
        except FileNotFoundError:
            continue
        with file:
            if since is not None and os.fstat(file.fileno()).st_mtime < since:
                return
            if candidate is part:
                yield from _lines(candidate, file)
                return
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield from _lines(candidate, unpacked)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise StateError(candidate, f"damaged: {error}; move it away") from error
        return
    # Dropped since the parts were listed: as if it had been dropped before.


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for number, raw in enumerate(file, start=1):
        if not raw.endswith(b"\n"):
            return
        try:
            line = json.loads(raw)
            schema = line["schema"]
            if type(schema) is not int:
                raise TypeError(f"schema {schema!r}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StateError(path, f"line {number} is damaged: {_short(error)}") from error
        if schema > SCHEMA:
            raise StateError(path, f"line {number} has schema {schema}, not {SCHEMA}")
        if (problem := find_problem(line)) is not None:
            raise StateError(path, f"line {number} is damaged: {problem}")
        if line.get("kind") != "part":
            yield migrate(line)


def _short(error: Exception) -> str:
    """What is wrong, without the line: an error of decoding has all of it."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8"
    return f"{type(error).__name__}: {error}"[:200]


def migrate(line: dict[str, Any]) -> dict[str, Any]:
    """A line of any version so far, as one of this version; `written` says which it was.

    Whoever verifies what miners signed goes by that: before version 3 no signature was kept.
    """
    written = line["schema"]
    line.setdefault("code", None)
    if written == SCHEMA:
        return line
    line = {**line, "schema": SCHEMA, "written": written}
    if "replies" in line:
        line["replies"] = [
            {"nonce": None, "signature": None, **reply, "reason": reply.get("reason") or UNNAMED}
            for reply in line["replies"]
        ]
    return line


def _encode(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _part_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:06}{path.suffix}")


def _closed(path: Path) -> list[tuple[int, Path]]:
    """The closed parts with their numbers, in order; one in both its forms counts once."""
    form = re.compile(rf"{re.escape(path.stem)}-(\d+){re.escape(path.suffix)}(\.gz)?")
    found: dict[int, Path] = {}
    for name in sorted(os.listdir(path.parent), reverse=True):
        if match := form.fullmatch(name):
            found[int(match[1])] = path.with_name(name)
    return sorted(found.items())


def _open_private(path: Path, buffering: int = 0) -> BinaryIO:
    """Open for adding; a new file is its owner's only.

    It has scores and rows before the chain reveals them, and anybody could copy a hidden row.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    return open(descriptor, "a+b", buffering=buffering)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write, and wait until it is on the disk."""
    rest = data
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _number(first: Mapping[str, Any]) -> int:
    """The number of the part that begins with this line; the first one has no head."""
    part = first.get("part") if first.get("kind") == "part" else 1
    return part if isinstance(part, int) else 1  # one that is none is found when it is read


def _peek(file: BinaryIO) -> dict[str, Any]:
    """The first line, if it is whole and sound; the file stays at its start."""
    try:
        line = json.loads(file.readline())
    except (ValueError, RecursionError):
        line = {}
    file.seek(0)
    return line if isinstance(line, dict) else {}


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut_unfinished_line(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    position = end
    while position > 0:
        start = max(0, position - 65536)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position < end:
        os.ftruncate(descriptor, position)


class _Press:
    """Compresses closed parts, one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while a part changes its name or goes."""
        self._parts: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, part: Path) -> None:
        """Compress `part` when those before it are done."""
        self._parts.put(part)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leave off within a block; what is not done is found at the next start."""
        self._stopped.set()
        self._parts.put(None)
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while (part := self._parts.get()) is not None and not self._stopped.is_set():
            try:
                self._compress(part)
            except OSError as error:
                log.warning("%s stays uncompressed until the next start: %s", part, error)

    def _compress(self, part: Path) -> None:
        packed = part.with_name(part.name + ".gz")
        partial = packed.with_name(packed.name + ".partial")
        try:
            partial.unlink(missing_ok=True)
            with part.open("rb") as source, _open_private(partial, -1) as target:
                times = os.fstat(source.fileno())
                with gzip.GzipFile("", "wb", 6, target, mtime=0) as gz:
                    while block := source.read(MIB // 4):
                        if self._stopped.is_set():
                            partial.unlink(missing_ok=True)
                            return
                        gz.write(block)
                target.flush()
                # A reader that looks for some days only goes by it.
                os.utime(partial, (times.st_atime, times.st_mtime))
                os.fsync(target.fileno())
            with self.lock:
                if part.exists():  # or it was dropped meanwhile
                    shutil.copymode(part, partial)
                    partial.replace(packed)
                    _sync_folder(part.parent)
                    part.unlink()
        except FileNotFoundError:
            log.debug("%s was dropped before it was compressed", part)
        finally:
            partial.unlink(missing_ok=True)
