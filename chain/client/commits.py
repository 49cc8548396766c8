"""Commit-reveal from the client's side: weights behind a salted hash, and what waits on the chain.

The chain takes a commit of either form: a hash, which its author opens in a later epoch by showing
the row and the salt, or a text sealed to a future round of the drand beacon, which the chain opens
itself. Nothing here talks to a chain, and nothing is kept: whoever loses the salt loses the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.client.calls import Call, storage_index
from chain.scale import U16, U64, Codec, codec
from chain.types import AccountId, blake2_256

__all__ = ["SALT_WORDS", "SaltedCommit", "WaitingCommit"]

SALT_WORDS = 16
"""u16 words in a salt: 256 bits, so that a row of few likely values cannot be guessed."""

_PREIMAGE: Codec[tuple[AccountId, int, list[int], list[int], list[int], int]] = codec(
    tuple[AccountId, U16, list[U16], list[U16], list[U16], U64]
)


@dataclass(frozen=True, slots=True)
class SaltedCommit:
    """A row {uid: u16} that `hotkey` (ss58) hides behind a hash until it reveals it.

    `salt` are u16 words that nobody can guess; `version` is the weights version key. The row is
    that of one of the subnet's mechanisms.
    """

    hotkey: str
    netuid: int
    row: Mapping[int, int]
    salt: tuple[int, ...]
    version: int = 0
    mechanism: int = 0

    @property
    def hash(self) -> str:
        """What goes to the chain first: BLAKE2b-256 of the SCALE tuple, 0x and 64 hex digits.

        The second member is the index of the weights, which for a subnet's first mechanism is the
        netuid.
        """
        account = AccountId.from_ss58(self.hotkey)
        row, salt = list(self.row), list(self.salt)
        values = list(self.row.values())
        index = storage_index(self.netuid, self.mechanism)
        preimage = (account, index, row, values, salt, self.version)
        return "0x" + blake2_256(_PREIMAGE.encode(preimage)).hex()

    def commit(self) -> Call:
        """The call that hides the row."""
        return self._call("commit", {"commit_hash": self.hash})

    def reveal(self) -> Call:
        """The call that shows it."""
        shown = {
            "uids": list(self.row),
            "values": list(self.row.values()),
            "salt": list(self.salt),
            "version_key": self.version,
        }
        return self._call("reveal", shown)

    def _call(self, verb: str, args: dict[str, object]) -> Call:
        if self.mechanism == 0:
            return Call("SubtensorModule", f"{verb}_weights", {"netuid": self.netuid, **args})
        where = {"netuid": self.netuid, "mecid": self.mechanism}
        return Call("SubtensorModule", f"{verb}_mechanism_weights", {**where, **args})


@dataclass(frozen=True, slots=True)
class WaitingCommit:
    """A commit that the chain holds: made in `block`, in the subnet's epoch number `epoch`.

    One of the two is None: `hash` of a salted commit, `reveal_round` of a sealed one.
    """

    epoch: int
    block: int
    hash: str | None = None
    reveal_round: int | None = None

    @classmethod
    def salted(cls, entry: Any) -> WaitingCommit:
        """From an entry of `WeightCommits`: hash, epoch, block, and a number without a meaning."""
        digest, epoch, block = entry[0], int(entry[1]), int(entry[2])
        return cls(epoch, block, hash=digest if isinstance(digest, str) else "0x" + digest.hex())

    @classmethod
    def sealed(cls, epoch: int, entry: Any) -> WaitingCommit:
        """From an entry of `TimelockedWeightCommits`: hotkey, block, text, round."""
        return cls(int(epoch), int(entry[1]), reveal_round=int(entry[3]))
