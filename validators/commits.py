"""Weights that were committed: kept on disk until the chain shows them, revealed, and compared.

A commit is on the disk, its salt with it, before it leaves: a validator that is killed in between
reveals after its restart all the same. Which epoch a commit can be revealed in, and whether that
has been done, is asked of the chain each time; only what the chain cannot know is remembered.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.client.chain import ERA_BLOCKS, SIGN_ANEW_ATTEMPTS, Chain, Signer
from chain.client.commits import SaltedCommit, WaitingCommit
from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from chain.errors import ChainRefused
from subnet.errors import StateError
from validators.private import write_private
from validators.proof import U16_MAX, Cause, Difference, explain, has_landed

log = logging.getLogger(__name__)

SCHEMA = 2
"""Version of the file; a reader refuses a higher one. In 1 every row was that of mechanism 0."""
LANDING_BLOCKS = SIGN_ANEW_ATTEMPTS * ERA_BLOCKS
"""In so many blocks a commit has landed, or no signature that was made of it lives any more."""


class Ending(enum.StrEnum):
    """What became of a commit."""

    REVEALED = "revealed"
    """The chain holds the row that was meant."""
    DIFFERENT = "different"
    """It was opened, and the chain holds another row."""
    EXPIRED = "expired"
    """The epoch in which it could be opened went by."""
    REFUSED = "refused"
    """So it did, and before that the chain refused to have it revealed."""
    LOST = "lost"
    """It never got onto the chain."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A commit to `row` {uid: u16} of one round and mechanism, whose end is not known.

    `salt` is None for a row sealed to the drand beacon. `sent` is the block before it was sent,
    `block` and `epoch` are those of the commit, None until it is known to be on the chain. `seats`
    says who sat where (ss58) when the row was made.
    """

    round: int
    hotkey: str
    netuid: int
    row: Mapping[int, int]
    salt: tuple[int, ...] | None
    version: int
    sent: int
    seats: Mapping[int, str]
    block: int | None = None
    epoch: int | None = None
    reveal_round: int | None = None
    problem: str | None = None
    """Why the chain refused the last attempt to reveal it."""
    mechanism: int = 0

    @property
    def salted(self) -> SaltedCommit | None:
        """What to reveal; None when the chain opens it itself."""
        if self.salt is None:
            return None
        return SaltedCommit(
            self.hotkey, self.netuid, self.row, self.salt, self.version, self.mechanism
        )

    @property
    def key(self) -> str:
        """What tells it from the others."""
        salted = self.salted
        if salted is not None:
            return salted.hash
        return f"sealed after block {self.sent} for mechanism {self.mechanism}"

    def find(self, waiting: tuple[WaitingCommit, ...]) -> WaitingCommit | None:
        """This commit among those that the chain holds for its mechanism."""
        for commit in waiting:
            if self.salt is not None:
                if commit.hash == self.key:
                    return commit
            elif commit.reveal_round is not None and (
                commit.block > self.sent if self.block is None else commit.block == self.block
            ):
                return commit
        return None

    def held_as(self, commit: WaitingCommit) -> Pending:
        """The same, with what the chain knows of it."""
        return dataclasses.replace(
            self, block=commit.block, epoch=commit.epoch, reveal_round=commit.reveal_round
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """A commit that has ended, as seen in `block`; `found` is the row that the chain holds.

    `moved` are the seats in it that changed hands between commit and end: a hidden row cannot be
    changed any more, and what it says of them was meant for somebody else.
    """

    commit: Pending
    ending: Ending
    block: int
    found: Mapping[int, int] = field(default_factory=dict)
    moved: tuple[int, ...] = ()
    differences: tuple[Difference, ...] = ()
    """Why `found` is not what was meant, seat by seat."""

    @property
    def landed(self) -> bool:
        """Whether the chain holds the row, but for what its own rules make of it."""
        if self.ending is Ending.DIFFERENT:
            return has_landed(self.differences)
        return self.ending is Ending.REVEALED

    def line(self) -> dict[str, Any]:
        """The journal's line of kind "reveal"; rows are {uid: u16}."""
        return {
            "kind": "reveal",
            "round": self.commit.round,
            "mechanism": self.commit.mechanism,
            "netuid": self.commit.netuid,
            "validator": self.commit.hotkey,
            "ending": self.ending.value,
            "commit": None if self.commit.salt is None else self.commit.key,
            "commit_block": self.commit.block,
            "epoch": self.commit.epoch,
            "reveal_round": self.commit.reveal_round,
            "block": self.block,
            "meant": dict(self.commit.row),
            "found": dict(self.found),
            "moved": list(self.moved),
            "differences": [difference.line() for difference in self.differences],
            "problem": self.commit.problem,
        }


class Commits:
    """The commits that have not ended, in one file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """Open or begin. Raises StateError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            document = json.loads(path.read_bytes()) if path.exists() else {"commits": []}
            if document.get("schema", SCHEMA) > SCHEMA:
                raise StateError(path, f"has schema {document['schema']}, not {SCHEMA}")
            self._pending = {item.key: item for item in map(_from_json, document["commits"])}
        except OSError as error:
            raise StateError.of(path, error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(path, f"not a file of commits: {error}; move it away") from error

    @property
    def pending(self) -> tuple[Pending, ...]:
        """Oldest first."""
        return tuple(self._pending.values())

    def put(self, commit: Pending) -> None:
        """Remember `commit`, or what is newly known of it. Raises StateError (a full disk, say)."""
        self._replace({**self._pending, commit.key: commit})

    def drop(self, commit: Pending) -> None:
        """Forget one that has ended."""
        self._replace({key: kept for key, kept in self._pending.items() if key != commit.key})

    def _replace(self, pending: dict[str, Pending]) -> None:
        commits = [dataclasses.asdict(commit) for commit in pending.values()]
        # The salts in it are secret until they are revealed.
        write_private(self.path, json.dumps({"schema": SCHEMA, "commits": commits}).encode())
        self._pending = pending


def _from_json(item: Mapping[str, Any]) -> Pending:
    return Pending(
        **{
            **item,
            "row": {int(uid): int(value) for uid, value in item["row"].items()},
            "seats": {int(uid): str(hotkey) for uid, hotkey in item["seats"].items()},
            "salt": None if item["salt"] is None else tuple(map(int, item["salt"])),
        }
    )


async def settle(
    chain: Chain,
    hotkey: Signer,
    commits: Commits,
    metagraph: Metagraph,
    schedule: Schedule,
    note: Callable[[Settled], None],
) -> None:
    """Reveal what is due, and tell `note` of each commit that has ended, before it is forgotten.

    `metagraph` and `schedule` are of one block. Raises ChainAway, StateError and what `note`
    raises; whatever was not settled by then is taken up again by the next call.
    """
    mine = [
        commit
        for commit in commits.pending
        if (commit.netuid, commit.hotkey) == (metagraph.netuid, hotkey.ss58_address)
    ]
    if not mine:
        return
    settings = await chain.hyperparameters(metagraph.netuid, schedule.block)
    view = _View(chain, hotkey, metagraph, schedule, settings.reveal_period_epochs)
    for mechanism in sorted({commit.mechanism for commit in mine}):
        waiting = await chain.waiting_commits(
            metagraph.netuid, hotkey.ss58_address, schedule.block, mechanism=mechanism
        )
        for commit in mine:
            if commit.mechanism != mechanism:
                continue
            settled = await _settle(view, commits, commit, commit.find(waiting))
            if settled is not None:
                _tell(settled)
                note(settled)
                commits.drop(settled.commit)


@dataclass(frozen=True, slots=True)
class _View:
    """The chain at one block, and for how many epochs it holds a commit."""

    chain: Chain
    hotkey: Signer
    metagraph: Metagraph
    schedule: Schedule
    period: int


async def _settle(
    view: _View, commits: Commits, commit: Pending, held: WaitingCommit | None
) -> Settled | None:
    """What became of `commit`, which the chain holds as `held`; None while that is open."""
    chain, schedule = view.chain, view.schedule
    if held is not None and commit.epoch is None:
        commit = commit.held_as(held)
        commits.put(commit)
    if commit.block is None:
        # It may still be on its way, and whoever forgets the salt loses the row.
        is_lost = schedule.block > commit.sent + LANDING_BLOCKS
        return _unrevealed(commit, Ending.LOST, schedule.block) if is_lost else None
    if commit.epoch is None:
        commit = dataclasses.replace(
            commit, epoch=(await chain.schedule(commit.netuid, commit.block)).epochs
        )
    assert commit.epoch is not None
    due = commit.epoch + view.period
    missed = Ending.REFUSED if commit.problem else Ending.EXPIRED
    if held is not None:
        if schedule.epochs > due:
            return _unrevealed(commit, missed, schedule.block)
        salted = commit.salted
        if schedule.epochs < due or salted is None:
            return None
        try:
            receipt = await chain.reveal_weights(view.hotkey, salted)
        except ChainRefused as error:
            # What the chain refuses now it may take later in this epoch.
            if commit.problem != str(error):
                log.warning("the chain refused to have round %d revealed: %s", commit.round, error)
                commits.put(dataclasses.replace(commit, problem=str(error)))
            return None
        return await _compare(view, commit, receipt.block, set())
    # The chain holds it no more: it was opened, by us before a crash or by the beacon, or dropped.
    # When a seat is sold the chain takes away the weights on it.
    settled = await _compare(view, commit, schedule.block, set(_moved(commit, view.metagraph)))
    if schedule.epochs > due and not settled.landed:
        unrevealed = _unrevealed(commit, missed, settled.block, settled.found)
        return dataclasses.replace(unrevealed, moved=settled.moved)
    return settled


def _unrevealed(
    commit: Pending, ending: Ending, block: int, found: Mapping[int, int] | None = None
) -> Settled:
    meant = {uid: float(value) for uid, value in commit.row.items()}
    why = tuple(
        dataclasses.replace(item, cause=Cause.NOT_REVEALED)
        for item in explain(meant, found or {}, revealed=False)
    )
    return Settled(commit, ending, block, found or {}, differences=why)


async def _compare(view: _View, commit: Pending, block: int, sold: set[int]) -> Settled:
    """What the chain holds in `block`, beside what was meant.

    Zeros do not count, nor do seats `sold`. Without a seat of its own a validator has no row.
    """
    chain, me = view.chain, view.metagraph.find(commit.hotkey)
    moved = _moved(commit, view.metagraph)
    if me is None:
        row, last = dict[int, int](), 0
    else:
        where = {"block": block, "mechanism": commit.mechanism}
        row = await chain.weights(commit.netuid, me.uid, **where)
        last = await chain.last_update(commit.netuid, me.uid, **where)
    found = {uid: value for uid, value in row.items() if value}
    if _without(sold, found) == _without(sold, commit.row):
        return Settled(commit, Ending.REVEALED, block, found, moved)
    limit = await chain.query("SubtensorModule", "MaxWeightsLimit", commit.netuid, block=block)
    why = explain(
        {uid: float(value) for uid, value in commit.row.items()},
        found,
        limit=int(limit or U16_MAX),
        moved={*moved, *sold},
        superseded=last > (commit.block or commit.sent),
    )
    return Settled(commit, Ending.DIFFERENT, block, found, moved, why)


def _without(seats: set[int], row: Mapping[int, int]) -> dict[int, int]:
    return {uid: value for uid, value in row.items() if uid not in seats}


def _moved(commit: Pending, metagraph: Metagraph) -> tuple[int, ...]:
    now = {neuron.uid: neuron.hotkey for neuron in metagraph.neurons}
    return tuple(uid for uid, hotkey in commit.seats.items() if now.get(uid) != hotkey)


def _tell(settled: Settled) -> None:
    number = f"round {settled.commit.round}"
    if settled.commit.mechanism:
        number += f", mechanism {settled.commit.mechanism}"
    if settled.ending is Ending.REVEALED:
        log.info("weights of %s: revealed, and read back", number)
    elif settled.ending is Ending.DIFFERENT:
        log.log(
            logging.WARNING if settled.landed else logging.ERROR,
            "weights of %s: revealed, but the chain holds %s, not %s",
            number,
            settled.found,
            settled.commit.row,
        )
        for item in settled.differences:
            log.warning("uid %d: %s", item.uid, item.cause.value)
    else:
        log.error(
            "weights of %s never held: the commit %s%s",
            number,
            {
                Ending.EXPIRED: "expired before it was revealed",
                Ending.REFUSED: "expired, its reveal refused: ",
                Ending.LOST: "never got onto the chain",
            }[settled.ending],
            settled.commit.problem or "",
        )
    if settled.moved:
        log.warning("seats %s in it have changed hands since", list(settled.moved))
