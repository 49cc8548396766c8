"""Seal a coming round's questions, put their root on the chain, and publish them afterwards.

Whatever the chain says, the round goes on: questions without a root on the chain are as good as
ever, only that nobody else can check them. An epoch is sealed once: who could seal it again could
ask two sets of questions, and tell of the better one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chain.client.chain import Chain, Signer
from chain.client.commitment import MOST_FIELDS
from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from chain.errors import ChainRefused
from subnet.errors import SubnetError
from validators.prompts.leaf import Statement
from validators.prompts.sealing import Sealing
from validators.prompts.vault import Turn, Vault
from validators.sampler import sample

log = logging.getLogger(__name__)


@dataclass(eq=False)
class QuestionsSpent(SubnetError):
    """All that was sealed for an epoch has been asked, or is not to be asked any more."""

    epoch: int

    def __str__(self) -> str:
        return f"the questions of epoch {self.epoch} are spent, and it is not sealed twice"


async def fix_questions(
    vault: Vault[Any, Any],
    chain: Chain,
    hotkey: Signer,
    metagraph: Metagraph,
    epoch: int,
    *,
    turns: int,
    tasks: int,
) -> bool:
    """Have questions for `turns` rounds of `epoch` sealed, and their root on the chain.

    True when that took a while: the chain has moved on. Of an epoch whose questions are spent
    nothing is sealed. Raises ChainAway, DefinitionError and StateError.
    """
    if vault.left(epoch) == 0:
        return False
    sealing = vault.find(epoch)
    if sealing is None:
        targets = sample(metagraph.neurons, asker=hotkey.ss58_address, seed=b"")
        sealing = await vault.seal(
            epoch,
            netuid=metagraph.netuid,
            validator=hotkey.ss58_address,
            turns=turns,
            tasks=tasks,
            hotkeys=[target.hotkey for target in targets],
        )
    return sealing.block is None and await _post(vault, chain, hotkey, metagraph.netuid, sealing)


async def next_turn(
    vault: Vault[Any, Any],
    chain: Chain,
    hotkey: Signer,
    metagraph: Metagraph,
    schedule: Schedule,
    *,
    tasks: int,
) -> Turn[Any]:
    """The questions of a round of the present epoch. Raises as above, and QuestionsSpent."""
    sealing = vault.find(schedule.epochs)
    if sealing is None:
        await fix_questions(vault, chain, hotkey, metagraph, schedule.epochs, turns=1, tasks=tasks)
        sealing = vault.find(schedule.epochs)
    if sealing is None:
        raise QuestionsSpent(schedule.epochs)
    return vault.take(sealing)


async def _post(
    vault: Vault[Any, Any], chain: Chain, hotkey: Signer, netuid: int, sealing: Sealing
) -> bool:
    statement = sealing.statement
    # A process that was killed in between has posted it already.
    held = await chain.commitment(netuid, hotkey.ss58_address)
    fields = () if held is None else held.fields
    beside = _beside(fields, sealing)
    if held is not None and statement.data in fields:
        vault.note_posted(sealing, held.block, beside, beacon=await _hash(chain, held.block))
        return True
    if beside:
        log.warning(
            "epoch %d has another root on the chain already: is there another instance, "
            "or was a folder lost?",
            sealing.epoch,
        )
    others = _still_needed(fields, sealing.epoch)
    try:
        receipt = await chain.set_commitment(hotkey, netuid, *others, statement.data)
    except ChainRefused as error:
        log.warning(
            "the root of epoch %d's questions is not on the chain: %s", sealing.epoch, error
        )
        return False
    vault.note_posted(sealing, receipt.block, beside, beacon=await _hash(chain, receipt.block))
    log.info(
        "%d questions of epoch %d are sealed; their root is in block %d",
        statement.count,
        statement.epoch,
        receipt.block,
    )
    return True


async def _hash(chain: Chain, block: int) -> bytes:
    return bytes.fromhex((await chain.block_hash(block)).removeprefix("0x"))


def _still_needed(fields: tuple[bytes, ...], epoch: int) -> tuple[bytes, ...]:
    """Other roots on the chain of this epoch and the one before, which may not be over.

    Two instances of one validator share its hotkey, and each asks questions of its own.
    """
    found = [
        data
        for data in fields
        if (statement := Statement.parse(data)) is not None and statement.epoch >= epoch - 1
    ]
    return tuple(found[1 - MOST_FIELDS :])


async def find_beside(chain: Chain, netuid: int, hotkey: str, sealing: Sealing) -> frozenset[str]:
    """Other roots (hex) that the chain has held of the epoch of `sealing`. Raises ChainAway.

    Those that were there when its own came, and those that came since, as far as the node still
    knows: another instance may have gone on for long.
    """
    found, at = set(sealing.beside), None
    try:
        while (held := await chain.commitment(netuid, hotkey, at)) is not None:
            found |= _beside(held.fields, sealing)
            at = held.block - 1
            if sealing.block is None or at < sealing.block:
                break
    except ChainRefused as error:
        log.warning("what came beside the root of epoch %d is not known: %s", sealing.epoch, error)
    return frozenset(found)


def _beside(fields: Iterable[bytes], sealing: Sealing) -> frozenset[str]:
    statements = filter(None, map(Statement.parse, fields))
    roots = {item.root for item in statements if item.epoch == sealing.epoch}
    return frozenset(root.hex() for root in roots - {sealing.tree.root})


def published(
    sealing: Sealing, beside: Iterable[str], *, netuid: int, validator: str
) -> dict[str, Any]:
    """The journal's line of kind "leaves": the leaves of one root, with their paths.

    Of an organic question there is the hash alone. `beside` are the epoch's other roots.
    """
    return {
        "kind": "leaves",
        "netuid": netuid,
        "validator": validator,
        "epoch": sealing.epoch,
        "root": sealing.tree.root.hex(),
        "count": len(sealing.texts),
        "block": sealing.block,
        "taken": sealing.taken,
        "beside": sorted(beside),
        "secret": sealing.secret,
        "after": sealing.after,
        "leaves": list(_entries(sealing)),
    }


def _entries(sealing: Sealing) -> Iterator[dict[str, Any]]:
    for leaf, text in zip(sealing.leaves, sealing.texts, strict=True):
        path = [node.hex() for node in sealing.tree.path(leaf.index)]
        if leaf.organic:
            hidden = sealing.tree.hash(leaf.index).hex()
            yield {"index": leaf.index, "task": leaf.task, "hash": hidden, "path": path}
        else:
            yield {"index": leaf.index, "leaf": text, "path": path}
