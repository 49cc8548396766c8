"""The validator's secret, from which all its hidden tasks grow, and the seeds that nobody chooses.

Whoever knows it knows every question to come: it stays in a file that only its owner may read.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from subnet.errors import StateError

SECRET_BYTES = 32


def open_secret(path: Path, given: str | None, *, run: int) -> bytes:
    """32 secret bytes: made of `given` if there is one, else read from `path`, else drawn once.

    `run` numbers the validator's starts. A secret that is there at the first one outlived its
    ledger, and would ask everything again that only the ledger knew of: it is replaced.
    """
    if given is not None:
        return hashlib.blake2b(given.encode(), digest_size=SECRET_BYTES).digest()
    try:
        if run == 1 or not path.exists():
            _draw(path)
        secret = path.read_bytes()
    except OSError as error:
        raise StateError.of(path, error) from error
    if len(secret) != SECRET_BYTES:
        raise StateError(path, "not a secret of 32 bytes; remove it to have another one drawn")
    return secret


def _draw(path: Path) -> None:
    """Put a new secret at `path`, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        new.write(os.urandom(SECRET_BYTES))
        new.flush()
        os.fsync(new.fileno())
    os.replace(partial, path)


def stream_seed(secret: bytes, run: int, opening: int) -> bytes:
    """The seed of one stream of tasks: of the validator's `run`-th start, `opening`-th judge.

    Another stream each time, so that nothing is asked again. 32 bytes that do not give the
    secret away.
    """
    place = run.to_bytes(8, "little") + opening.to_bytes(8, "little")
    return hashlib.blake2b(place, key=secret, digest_size=32).digest()


def sealing_seed(secret: bytes, beacon: bytes, attempt: int = 0) -> bytes:
    """The seed of one sealing's questions, 32 bytes: nobody's choice.

    `secret` was committed to in the root before; `beacon` is the hash of the block that first held
    that root, which nobody knew then. `attempt` counts how often the tasks of a seed broke off.
    """
    place = beacon + attempt.to_bytes(8, "big")
    return hashlib.blake2b(place, key=secret, digest_size=32).digest()
