"""A miner's receipts: by whom it was asked, what it answered and when, one JSON line each.

A validator can say that a miner did not answer, and no signature of the miner's proves otherwise.
But the validator has signed its request: who keeps that can show that it was asked, and what.
Receipts hold hashes and no words. They are the miner's own file, and believed as far as the
validator's signature in them goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from subnet.errors import StateError
from subnet.wire.auth import (
    ED25519,
    SR25519,
    Claim,
    Digest,
    find_public_key,
    is_signed_by,
    request_payload,
)

log = logging.getLogger(__name__)

SCHEMA: Final = 1
METHOD: Final = "POST"
MOST_BYTES: Final = 64 * 1024 * 1024
_LINE_BYTES: Final = 65536
"""A request's head has no room for a target that makes a line longer."""
_DIGEST_FORM = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request that `validator` signed for `miner` (both ss58), and the answer to it.

    `nonce` is the validator's clock when it signed, in Unix nanoseconds; `time` the miner's when it
    had signed the answer, in Unix seconds. `request` and `answer` are sha256 of the bodies in hex,
    `signature` is the request's, in hex.
    """

    miner: str
    validator: str
    nonce: int
    scheme: str
    target: str
    request: str
    signature: str
    status: int
    answer: str
    time: float

    @property
    def holds(self) -> bool:
        """Whether the validator has signed this request, to this miner."""
        public_key = find_public_key(self.validator)
        if public_key is None or self.scheme not in (SR25519, ED25519):
            return False
        try:
            payload = request_payload(
                scheme=self.scheme,
                method=METHOD,
                target=self.target,
                body=Digest(self.request),
                nonce=self.nonce,
                sender=self.validator,
                receiver=self.miner,
            )
            signature = bytes.fromhex(self.signature)
        except ValueError:
            return False
        return is_signed_by(public_key, self.scheme, payload, signature)


class Receipts:
    """The file at `path`, for adding; with the one before it, `path` and `.1`, of `most_bytes`.

    Several processes may add to one file. What cannot be written is said in the log once, and
    never keeps an answer back.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        """Open or create. Raises StateError."""
        self._path = path
        self._part_bytes = most_bytes // 2
        self._failed = False
        self._file = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
        except OSError as error:
            raise StateError.of(path, error) from error

    def add(
        self,
        claim: Claim,
        *,
        miner: str,
        target: str,
        request: Digest,
        status: int,
        answer: Digest,
        time: float,
    ) -> None:
        """Keep one."""
        receipt = Receipt(
            miner, claim.hotkey, claim.nonce, claim.scheme, target, request,
            claim.signature.hex(), status, answer, time,
        )  # fmt: skip
        line = {"schema": SCHEMA, **asdict(receipt), "nonce": str(receipt.nonce)}
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            self._make_room(len(data))
            # At once and whole, or lines of several processes would run into each other.
            if os.write(self._file, data) < len(data):
                os.write(self._file, b"\n")
                raise OSError("only a part of it could be written")
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("receipts are not kept: %s: %s", self._path, error)
            self._failed = True

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _make_room(self, more: int) -> None:
        if os.fstat(self._file).st_size + more <= self._part_bytes:
            return
        # Whoever comes first moves the file away; the others find another one under its name.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), self._path.stat()):
                    self._path.replace(older(self._path))
            file = self._open()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self._file = file


def older(path: Path) -> Path:
    """The file that was full before the one at `path`."""
    return path.with_name(path.name + ".1")


def read_receipts(path: Path) -> Iterator[Receipt]:
    """The receipts at `path`, oldest first; what is none is left out, as a line cut short is.

    Raises FileNotFoundError and OSError.
    """
    if older(path).exists():
        yield from _read(older(path))
    yield from _read(path)


def _read(path: Path) -> Iterator[Receipt]:
    with path.open("rb") as file:
        while raw := file.readline(_LINE_BYTES):
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                line = json.loads(raw)
                if isinstance(line, dict) and line.pop("schema") == SCHEMA:
                    yield _receipt(line)


def _receipt(line: dict[str, Any]) -> Receipt:
    """A receipt of well-formed fields. Raises ValueError and TypeError."""
    receipt = Receipt(**{**line, "nonce": int(str(line["nonce"])[:20])})
    texts = (receipt.miner, receipt.validator, receipt.scheme, receipt.target, receipt.signature)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text that is none")
    if not all(_DIGEST_FORM.fullmatch(digest) for digest in (receipt.request, receipt.answer)):
        raise ValueError("a digest that is none")
    if type(receipt.status) is not int or not isinstance(receipt.time, (int, float)):
        raise TypeError("a number that is none")
    return receipt
