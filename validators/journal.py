"""The journal: what was asked, answered, judged and set, one JSON line a round, only ever added to.

It is the record for disputes, replays and live views; the validator itself never reads it back.
Each line is on the disk before the next round begins. A line cut short by a crash is removed
when the journal is opened again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from subnet.errors import StateError

SCHEMA = 1
"""Version of the lines; a reader refuses a higher one."""


class Journal:
    """One validator's journal, open for adding."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises StateError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
            _cut_unfinished_line(self._file.fileno())
        except OSError as error:
            raise StateError.of(path, error) from error

    def append(self, line: Mapping[str, Any]) -> None:
        """Add one line and wait until it is on the disk. Raises StateError (a full disk, say)."""
        text = json.dumps({"schema": SCHEMA, **line}, separators=(",", ":"), allow_nan=False)
        rest = text.encode() + b"\n"
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            # The next line must not go on where this one broke off.
            with contextlib.suppress(OSError):
                _cut_unfinished_line(self._file.fileno())
            raise StateError.of(self.path, error) from error

    def close(self) -> None:
        """Let go of the file."""
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


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal, oldest first; a last line still being written is left out."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            line = json.loads(raw)
            if line["schema"] > SCHEMA:
                raise StateError(path, f"line {number} has schema {line['schema']}, not {SCHEMA}")
            yield line


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
