"""What no journal holds: somebody's own words and the answers to them, encrypted, one key an epoch.

Who is given an epoch's key and this file can check that epoch's hashes, and no other's. The keys
are private to the validator; the file is worth nothing without them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from subnet.errors import StateError
from validators.private import write_private

SCHEMA = 1
KEYS = "audit-keys.json"
FILE = "withheld.jsonl"
KEY_BYTES, NONCE_BYTES = 32, 12


def answer_hash(salt: str, body: bytes) -> str:
    """What a journal says of an answer to somebody's own words; `salt` (hex) is the leaf's."""
    return hashlib.sha256(bytes.fromhex(salt) + body).hexdigest()


@dataclass(frozen=True, slots=True)
class Opened:
    """One withheld question: its leaf's text, and the answers' bytes by hotkey (ss58).

    `signatures` are the miners' for them, as a journal's line has them.
    """

    root: str
    index: int
    text: str
    answers: Mapping[str, bytes]
    signatures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Withheld:
    """The two files in a validator's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        epoch: int,
        root: str,
        index: int,
        text: str,
        answers: Mapping[str, bytes],
        signatures: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Add one question: on the disk when it returns. Raises StateError."""
        keys = self._keys()
        if str(epoch) not in keys:
            keys[str(epoch)] = os.urandom(KEY_BYTES).hex()
            write_private(
                self._folder / KEYS, json.dumps({"schema": SCHEMA, "keys": keys}).encode()
            )
        plain = json.dumps(
            {
                "root": root,
                "index": index,
                "leaf": text,
                "answers": {who: base64.b64encode(body).decode() for who, body in answers.items()},
                "signatures": signatures,
            }
        ).encode()
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(bytes.fromhex(keys[str(epoch)])).encrypt(nonce, plain, None)
        line = {"schema": SCHEMA, "epoch": epoch, "sealed": base64.b64encode(sealed).decode()}
        path = self._folder / FILE
        try:
            with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b") as file:
                if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                    file.write(b"\n")  # a line that a kill cut short must not take this one with it
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StateError.of(path, error) from error

    def find_key(self, epoch: int) -> str | None:
        """The key (hex) that opens `epoch`, to be handed out; None where nothing was withheld."""
        return self._keys().get(str(epoch))

    def _keys(self) -> dict[str, str]:
        path = self._folder / KEYS
        try:
            document = json.loads(path.read_bytes()) if path.exists() else {"keys": {}}
            return dict(document["keys"])
        except OSError as error:
            raise StateError.of(path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(path, f"not a file of audit keys: {error}; move it away") from error


def open_withheld(lines: Iterable[bytes], epoch: int, key: str) -> list[Opened]:
    """What `key` (hex) opens of a file of withheld questions; what it does not is left out."""
    cipher, found = AESGCM(bytes.fromhex(key)), []
    for raw in lines:
        try:
            line: dict[str, Any] = json.loads(raw)
            if line["epoch"] != epoch:
                continue
            sealed = base64.b64decode(line["sealed"])
            plain = json.loads(cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None))
            answers = {who: base64.b64decode(body) for who, body in plain["answers"].items()}
            signatures = dict(plain.get("signatures", {}))  # not kept by earlier versions
            found.append(Opened(plain["root"], plain["index"], plain["leaf"], answers, signatures))
        except (InvalidTag, ValueError, KeyError, TypeError):
            continue
    return found
