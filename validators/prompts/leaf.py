"""Leaves: what is fixed of one question before anybody is asked, as bytes that can be checked.

The bytes are the text itself, published as it is: nobody has to write it down again to check it.
docs/hidden-prompts.md is the format. Pure: no clock, no chain, no files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subnet.errors import SubnetError

VERSION = 1
SALT_BYTES = 32
ALL = "all"
"""A question to every miner. Other audiences are "G/N" (group G of N, from 0), "not G/N" (everybody
else) and one hotkey."""
NOT = "not "

_GROUP = re.compile(r"^(not )?([0-9]{1,9})/([1-9][0-9]{0,8})$")
_STATEMENT = re.compile(rb"^subnet-prompts/1 (\d{1,20}) (\d{1,10}) ([0-9a-f]{64})$")
_BOUND = re.compile(rb"^subnet-prompts/2 (\d{1,20}) (\d{1,10}) ([\w-]{43}) ([\w-]{43})$", re.ASCII)
_HEX = re.compile("(?:[0-9a-f]{2})*")
_KEYS = {"version", "netuid", "validator", "epoch", "index", "turn", "task", "challenge",
         "reference", "seed", "number", "salt", "for", "organic", "canary"}  # fmt: skip


@dataclass(eq=False)
class NoLeaf(SubnetError):
    """A text that is not a leaf."""

    problem: str

    def __str__(self) -> str:
        return f"not a leaf: {self.problem}"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One question of one validator's epoch.

    `index` is its place in the tree, `turn` which of the epoch's rounds it is for (both from 0).
    `challenge` and `reference` are JSON values. `seed` and `number` say where it comes from: the
    `number`-th task of `Subnet.tasks(seed)`, or, below 0, one of its canaries. `audience` says who
    is asked. An `organic` question is somebody's own words; `canary` is what shows up in an answer
    of who has seen it.
    """

    netuid: int
    validator: str
    epoch: int
    index: int
    turn: int
    task: str
    challenge: Mapping[str, Any]
    reference: Any
    seed: str
    number: int
    salt: str
    audience: str = ALL
    organic: bool = False
    canary: str | None = None

    @property
    def text(self) -> str:
        """The leaf's bytes: ASCII JSON, keys in order, no blanks. Raises ValueError for NaN."""
        value = {
            "version": VERSION,
            "netuid": self.netuid,
            "validator": self.validator,
            "epoch": self.epoch,
            "index": self.index,
            "turn": self.turn,
            "task": self.task,
            "challenge": self.challenge,
            "reference": self.reference,
            "seed": self.seed,
            "number": self.number,
            "salt": self.salt,
            "for": self.audience,
            "organic": self.organic,
            "canary": self.canary,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def parse(cls, text: str) -> Leaf:
        """The leaf that `text` is. Raises NoLeaf."""
        try:
            value = json.loads(text)
            if not isinstance(value, dict) or set(value) != _KEYS:
                raise NoLeaf("other keys than a leaf has")
            if value.pop("version") != VERSION:
                raise NoLeaf(f"not of version {VERSION}")
            leaf = cls(audience=value.pop("for"), **value)
        except (ValueError, TypeError, RecursionError) as error:
            raise NoLeaf(str(error)) from error
        wrong = [name for name, kind in _TYPES.items() if type(getattr(leaf, name)) not in kind]
        if wrong:
            raise NoLeaf(f"{', '.join(wrong)} of another type")
        if not _HEX.fullmatch(leaf.seed) or not _HEX.fullmatch(leaf.salt):
            raise NoLeaf("seed and salt are not hex")
        if len(leaf.salt) < 2 * SALT_BYTES:
            raise NoLeaf("its salt is too short to hide it")
        return leaf


_TYPES: Mapping[str, tuple[type, ...]] = {
    "netuid": (int,),
    "validator": (str,),
    "epoch": (int,),
    "index": (int,),
    "turn": (int,),
    "task": (str,),
    "challenge": (dict,),
    "seed": (str,),
    "number": (int,),
    "salt": (str,),
    "audience": (str,),
    "organic": (bool,),
    "canary": (str, type(None)),
}


def is_for(audience: str, seed: str, hotkey: str) -> bool:
    """Whether `hotkey` (ss58) is among `audience`; `seed` (hex) deals the groups.

    The group of a hotkey is the first 8 bytes of SHA-256(seed, hotkey's ss58 text), as a big-endian
    number, modulo the number of groups: a newcomer has one, too.
    """
    found = _GROUP.match(audience)
    if found is None:
        return audience in (ALL, hotkey)
    inside = group_of(seed, hotkey, int(found[3])) == int(found[2])
    return inside != bool(found[1])


def group_names(groups: int) -> tuple[str, ...]:
    """The audiences that `groups` groups are, in order."""
    return (ALL,) if groups == 1 else tuple(f"{group}/{groups}" for group in range(groups))


def who_is_probed(audiences: Sequence[str], number: int) -> str:
    """Who gets the probe of the plant that `audiences[number]` gets: all others, or the next miner.

    There are at least two audiences, in order.
    """
    audience = audiences[number]
    return NOT + audience if _GROUP.match(audience) else audiences[(number + 1) % len(audiences)]


def group_of(seed: str, hotkey: str, groups: int) -> int:
    """The group of `hotkey` among `groups`, from 0."""
    drawn = hashlib.sha256(bytes.fromhex(seed) + hotkey.encode()).digest()
    return int.from_bytes(drawn[:8], "big") % groups


@dataclass(frozen=True, slots=True)
class Statement:
    """What goes on the chain: so many leaves of this epoch, under this root.

    `next` is the SHA-256 of the secret from which the seed of the sealing after it will follow;
    statements of version 1 have none.
    """

    epoch: int
    count: int
    root: bytes
    next: bytes | None = None

    @property
    def data(self) -> bytes:
        """The committed bytes: ASCII. A field has 128, too few for two hashes in hex."""
        place = f"{self.epoch} {self.count}"
        if self.next is None:
            return f"subnet-prompts/1 {place} {self.root.hex()}".encode()
        return f"subnet-prompts/2 {place} {_base64(self.root)} {_base64(self.next)}".encode()

    @classmethod
    def parse(cls, data: bytes) -> Statement | None:
        """The statement that `data` is; None for anything else that a hotkey may have published."""
        if found := _STATEMENT.match(data):
            return cls(int(found[1]), int(found[2]), bytes.fromhex(found[3].decode()))
        if found := _BOUND.match(data):
            root, following = (base64.urlsafe_b64decode(found[n] + b"=") for n in (3, 4))
            return cls(int(found[1]), int(found[2]), root, following)
        return None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
