"""How questions were chosen: their seed follows from a secret and a block that nobody chose.

The root before commits to the secret, and the hash of the block that first held that root was not
known then. A validator that would like other questions has to let an epoch go by for each try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from chain.client.chain import Chain
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.roots import find_commitments, newest_commitment, parsed, start_of_epoch
from validators.audit.sealed import Leaves
from validators.prompts.leaf import Statement
from validators.prompts.secret import sealing_seed

ATTEMPTS = 4
"""A seed whose tasks broke off is tried so often with another one, and that is said."""
MOST_BACK = 100
"""So many commitments are looked through for the root before an epoch's."""

History = Sequence[tuple[int, Statement]]
"""Roots by the block that first held them, oldest first."""


async def check_seeds(
    chain: Chain, found: Audit, history: History, published: Sequence[Line], leaves: Leaves
) -> None:
    """Make the seed again of every root that rounds are under. Raises ChainAway."""
    told = {str(line["root"]): line for line in reversed(published)}
    for root, sealed in leaves.items():
        line = told.get(root)
        if line is None or root not in found.roots or not sealed:
            continue  # which is said elsewhere
        landed = found.roots[root]
        before: History | None = [(at, item) for at, item in history if at < landed]
        if not before:
            earliest = min([landed, *(block for block, _ in history)])
            before = await _look_back(chain, found, earliest)
        where = f"root {root[:16]}: how its questions were chosen"
        if before is None:
            found.unchecked.append(f"{where}: no root in {MOST_BACK} commitments before it")
            continue
        if not before:
            found.notes.append(f"{where}: freely, it is the first here of this hotkey")
            continue
        problem, wrong = await _problem(
            chain, found, before, line, {leaf.seed for leaf in sealed.values()}
        )
        if wrong:
            found.differences.append(Difference(Flaw.SEED, f"{where}: {problem}"))
        elif problem is not None:
            found.unchecked.append(f"{where}: {problem}")


async def _look_back(chain: Chain, found: Audit, block: int) -> History | None:
    """The newest root from before `block`, if there is one; None where nobody can tell.

    Other things can have been published under the same hotkey.
    """
    for _ in range(MOST_BACK):
        held = await newest_commitment(chain, found.netuid, found.validator, block - 1)
        if held is None:
            return []
        if statements := parsed(held):
            return [(held.block, item) for item in statements]
        block = held.block
    return None


async def _problem(
    chain: Chain, found: Audit, before: History, line: Line, seeds: set[str]
) -> tuple[str | None, bool]:
    """What is wrong with seeds after the roots `before`, and whether it is proved."""
    epochs = [item.epoch for _, item in before]
    (block, last), secret, after = before[-1], line.get("secret"), line.get("after")
    first = await _first_block(chain, found, block, last)
    if first is None or any(
        one >= other for one, other in zip(epochs, [*epochs[1:], found.epoch], strict=True)
    ):
        return "after several roots of one epoch, or one that was not due: it was to be had", False
    if last.next is None:
        return "freely, the root before is of version 1, which binds nothing", False
    if secret is None or after is None:
        return "not as the root before bound it: a folder was lost, or it was picked", False
    beacon = bytes.fromhex((await chain.block_hash(first)).removeprefix("0x"))
    known = bytes.fromhex(secret)
    if hashlib.sha256(known).digest() != last.next:
        return "its secret is not the one that the root before commits to", True
    for attempt in range(ATTEMPTS):
        if seeds == {sealing_seed(known, beacon, attempt).hex()}:
            return (f"after {attempt} seeds that were dropped" if attempt else None), False
    return f"not by its secret and the hash of block {first}", True


async def _first_block(chain: Chain, found: Audit, block: int, root: Statement) -> int | None:
    """The block that first held `root`, which is there at `block`.

    None where its epoch has several, or it came more than an epoch early, or when it was over:
    each could be tried until its block's hash pleased.
    """
    present = (await chain.schedule(found.netuid, block)).epochs
    if present not in (root.epoch - 1, root.epoch):
        return None
    since = await start_of_epoch(chain, found.netuid, block)
    if present == root.epoch and since > 1:
        since = await start_of_epoch(chain, found.netuid, since - 1)
    for held in await find_commitments(chain, found.netuid, found.validator, since, block):
        for item in parsed(held):
            if item == root:
                block = held.block
            elif item.epoch >= root.epoch:
                return None
    return block
