"""Sealings: the questions of one epoch, fixed, and kept on this disk until they are published.

The file is secret: it holds what will be asked. It is replaced as a whole, and it is on the disk
before the root leaves this machine; a validator that is killed asks on from it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scoring.verify.merkle import Tree
from subnet.errors import StateError
from validators.private import write_private
from validators.prompts.leaf import Leaf, Statement

SCHEMA = 1
"""Version of the file; a reader refuses a higher one."""


@dataclass(frozen=True)
class Sealing:
    """Leaves of one epoch in their order.

    `block` is where their root got onto the chain, None until that is known. The first `taken`
    of their turns have been asked, or would have been: what is taken is never asked again.
    `beside` are other roots (hex) of the epoch that the chain held when this one got there: of
    another instance, or of a process whose file is lost.

    Its seed is `secret.sealing_seed` of `secret` and `after`, the hash of the block that first held
    the root before it; None where there was none to follow. `next` is the SHA-256 of the secret for
    the sealing after it. All three are hex.
    """

    epoch: int
    texts: tuple[str, ...]
    block: int | None = None
    taken: int = 0
    beside: tuple[str, ...] = ()
    secret: str | None = None
    after: str | None = None
    next: str | None = None

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, read."""
        return tuple(map(Leaf.parse, self.texts))

    @cached_property
    def tree(self) -> Tree:
        """The tree over their bytes."""
        return Tree([text.encode() for text in self.texts])

    @property
    def turns(self) -> int:
        """For how many rounds there are questions."""
        return 1 + max((leaf.turn for leaf in self.leaves), default=-1)

    @property
    def statement(self) -> Statement:
        """What goes on the chain."""
        following = None if self.next is None else bytes.fromhex(self.next)
        return Statement(self.epoch, len(self.texts), self.tree.root, following)


class Sealings:
    """All sealings that are not published yet, and the digests of what was published unasked."""

    def __init__(self, path: Path | None) -> None:
        """Open or begin; without a path they are kept in memory only. Raises StateError."""
        self.path = path
        self.items: tuple[Sealing, ...] = ()
        self.newest: int | None = None
        """The epoch that was sealed last. It outlives its sealing: no epoch is sealed twice."""
        self.secret: bytes | None = None
        """That of the next sealing, to which the newest one commits."""
        self.beacon: bytes | None = None
        """The hash of the block that holds the newest one's root, once it is there."""
        self.spent: frozenset[bytes] = frozenset()
        if path is None or not path.exists():
            return
        try:
            document = json.loads(path.read_bytes())
            if document["schema"] > SCHEMA:
                raise StateError(path, f"has schema {document['schema']}, not {SCHEMA}")
            self.items = tuple(
                Sealing(
                    item["epoch"],
                    tuple(item["leaves"]),
                    item["block"],
                    item["taken"],
                    tuple(item.get("beside", ())),
                    *(item.get(name) for name in ("secret", "after", "next")),
                )
                for item in document["sealings"]
            )
            self.newest = document.get("newest")
            if self.newest is None:  # a file of a version that did not tell
                self.newest = max((item.epoch for item in self.items), default=None)
            secret, beacon = document.get("secret"), document.get("beacon")
            self.secret = None if secret is None else bytes.fromhex(secret)
            self.beacon = None if beacon is None else bytes.fromhex(beacon)
            self.spent = frozenset(map(bytes.fromhex, document["spent"]))
        except OSError as error:
            raise StateError.of(path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(path, f"no file of sealed questions: {error}; move it away") from error

    def add(self, sealing: Sealing, secret: bytes | None = None) -> None:
        """Keep a new one, and the secret of the next. Raises StateError."""
        self.newest, self.secret, self.beacon = sealing.epoch, secret, None
        self._write((*self.items, sealing), self.spent)

    def replace(self, sealing: Sealing, **changes: Any) -> Sealing:
        """Keep what has become of `sealing`. Raises StateError."""
        changed = dataclasses.replace(sealing, **changes)
        items = tuple(changed if item == sealing else item for item in self.items)
        self._write(items, self.spent)
        return changed

    def drop(self, sealing: Sealing, unasked: Sequence[bytes]) -> None:
        """Let go of one that is published; `unasked` are digests that nobody else remembers."""
        items = tuple(item for item in self.items if item != sealing)
        self._write(items, self.spent.union(unasked))

    def _write(self, items: tuple[Sealing, ...], spent: frozenset[bytes]) -> None:
        if self.path is not None:
            document = {
                "schema": SCHEMA,
                "newest": self.newest,
                "secret": None if self.secret is None else self.secret.hex(),
                "beacon": None if self.beacon is None else self.beacon.hex(),
                "sealings": [
                    {
                        "epoch": item.epoch,
                        "block": item.block,
                        "taken": item.taken,
                        "beside": item.beside,
                        "secret": item.secret,
                        "after": item.after,
                        "next": item.next,
                        "leaves": item.texts,
                    }
                    for item in items
                ],
                "spent": sorted(known.hex() for known in spent),
            }
            write_private(self.path, json.dumps(document).encode())
        self.items, self.spent = items, spent
