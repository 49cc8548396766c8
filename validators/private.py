"""A file that only its owner may read, replaced as a whole: after a crash, the old or the new."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from subnet.errors import StateError


def write_private(path: Path, data: bytes) -> None:
    """Have `data` on the disk at `path`, mode 0600. Raises StateError (a full disk, say)."""
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise StateError.of(path, error) from error
