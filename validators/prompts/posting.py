"""Seal a coming round's questions, put their root on the chain, and publish them afterwards.

Whatever the chain says, the round goes on: questions without a root on the chain are as good as
ever, only that nobody else can check them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from chain.client.chain import Chain, Signer
from chain.client.commitment import MOST_FIELDS
from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from chain.errors import ChainRefused
from validators.prompts.leaf import Statement
from validators.prompts.sealing import Sealing
from validators.prompts.vault import Turn, Vault
from validators.sampler import sample

log = logging.getLogger(__name__)


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

    True when that took a while: the chain has moved on. Raises ChainAway, DefinitionError and
    StateError.
    """
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
    """The questions of a round of the present epoch. Raises as above."""
    sealing = vault.find(schedule.epochs)
    if sealing is None:
        await fix_questions(vault, chain, hotkey, metagraph, schedule.epochs, turns=1, tasks=tasks)
        sealing = vault.find(schedule.epochs)
        assert sealing is not None
    return vault.take(sealing)


async def _post(
    vault: Vault[Any, Any], chain: Chain, hotkey: Signer, netuid: int, sealing: Sealing
) -> bool:
    statement = sealing.statement
    # A process that was killed in between has posted it already.
    held = await chain.commitment(netuid, hotkey.ss58_address)
    if held is not None and statement.data in held.fields:
        vault.note_posted(sealing, held.block)
        return True
    others = _still_needed(() if held is None else held.fields, sealing.epoch)
    try:
        receipt = await chain.set_commitment(hotkey, netuid, *others, statement.data)
    except ChainRefused as error:
        log.warning(
            "the root of epoch %d's questions is not on the chain: %s", sealing.epoch, error
        )
        return False
    vault.note_posted(sealing, receipt.block)
    log.info(
        "%d questions of epoch %d are sealed; their root is in block %d",
        statement.count,
        statement.epoch,
        receipt.block,
    )
    return True


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


def published(sealing: Sealing, *, netuid: int, validator: str) -> dict[str, Any]:
    """The journal's line of kind "leaves": the leaves of one root, with their paths.

    Of an organic question there is the hash alone.
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
