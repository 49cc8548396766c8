"""The roots of an epoch's questions: what the chain held of them, and when.

The chain keeps a hotkey's newest commitment only, but its old states can be asked: an audit reads
them all, back through the epoch before. That needs an archive node.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.client.chain import Chain
from chain.client.commitment import Commitment
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.prompts.leaf import Statement


async def check_roots(
    chain: Chain, found: Audit, rounds: Sequence[Line], published: Sequence[Line]
) -> tuple[dict[str, Statement], list[tuple[int, Statement]]]:
    """What the chain says of every root that rounds are under, by its hex digits.

    And all roots that were fixed in this epoch and the one before, with the block that first held
    each, oldest first.
    """
    statements: dict[str, Statement] = {}
    told = {str(line.get("root")) for line in [*rounds, *published]}
    inside: int | None = None
    for line in rounds:
        root, block = str(line.get("root")), int(line["block"])
        epochs = (await chain.schedule(found.netuid, block)).epochs
        if epochs != found.epoch:
            where = f"round {line['round']}, block {block}"
            found.differences.append(Difference(Flaw.EPOCH, where, found.epoch, epochs))
        else:
            inside = block
        held = await _statement(chain, found, root, block)
        if held is not None:
            found.roots.setdefault(root, held[0])
            statements[root] = held[1]
            continue
        where = f"round {line['round']}, asked from block {block} on, root {root[:16]}"
        late = await _find_late(chain, found, root, [*rounds, *published])
        if late is None:
            found.differences.append(Difference(Flaw.ROOT_MISSING, where))
        else:
            found.roots.setdefault(root, late[0])
            statements[root] = late[1]
            text = f"on the chain in block {late[0]}"
            before = f"on the chain by block {block}"
            found.differences.append(Difference(Flaw.ROOT_LATE, where, before, text))
    history: list[tuple[int, Statement]] = []
    if inside is not None:
        history = await _check_all_roots(chain, found, inside, published, told)
    return statements, history


async def _statement(
    chain: Chain, found: Audit, root: str, block: int | None
) -> tuple[int, Statement] | None:
    """What the chain said at `block` of this root, and since which block."""
    held = await chain.commitment(found.netuid, found.validator, block)
    for data in () if held is None else held.fields:
        statement = Statement.parse(data)
        if statement is not None and (statement.root.hex(), statement.epoch) == (root, found.epoch):
            assert held is not None
            return held.block, statement
    return None


async def _check_all_roots(
    chain: Chain, found: Audit, block: int, published: Sequence[Line], told: set[str]
) -> list[tuple[int, Statement]]:
    """Questions that were fixed for this epoch, and of which the journal tells nothing.

    Whoever asks two sets of questions needs two roots that are on the chain while it asks. All
    that stood there at any block of the epoch that `block` is in, and of the one before, is looked
    through: a record names the block in which it came, and the one before it stood till then.
    """
    start = await start_of_epoch(chain, found.netuid, block)
    since = await start_of_epoch(chain, found.netuid, max(start - 1, 1))
    end = await end_of_epoch(chain, found, block)
    known = {str(root) for line in published for root in line.get("beside") or ()}
    others: dict[str, tuple[int, Statement]] = {}
    first: dict[str, tuple[int, Statement]] = {}
    for held in await find_commitments(chain, found.netuid, found.validator, since, end):
        for statement in parsed(held):
            root = statement.root.hex()
            first[root] = held.block, statement
            if statement.epoch == found.epoch and root not in told:
                others[root] = held.block, statement
            elif statement.epoch == found.epoch and root in found.roots:
                # A record has the block of its newest field: a root may have been there before.
                found.roots[root] = min(found.roots[root], held.block)
        if await _count_commitments(chain, found, held.block) > 1:
            text = f"block {held.block} took several commitments, of which only the last is left"
            found.unchecked.append(text)
    for root, (at, statement) in others.items():
        if root in known:
            text = f"nothing here is under root {root[:16]}, which the chain has too"
            found.unchecked.append(f"{text}; the journal says that it knows nothing of it")
        else:
            where = f"root {root[:16]} of {statement.count} leaves, on the chain in block {at}"
            found.differences.append(Difference(Flaw.ROOT_UNTOLD, where))
    return sorted(first.values(), key=lambda item: (item[0], item[1].epoch))


def parsed(held: Commitment) -> list[Statement]:
    """What a commitment says of roots; a hotkey can publish other things, too."""
    return [item for item in map(Statement.parse, held.fields) if item is not None]


async def find_commitments(
    chain: Chain, netuid: int, hotkey: str, since: int, through: int
) -> list[Commitment]:
    """All that `hotkey` (ss58) had published at any block from `since` to `through`, newest first.

    Of several that came in one block the last; the oldest one may have come before `since`.
    """
    found: list[Commitment] = []
    at = through
    while at >= max(since, 1):
        held = await newest_commitment(chain, netuid, hotkey, at)
        if held is None:
            break
        found.append(held)
        at = held.block - 1
    return found


async def newest_commitment(
    chain: Chain, netuid: int, hotkey: str, block: int
) -> Commitment | None:
    """What `hotkey` (ss58) published last until `block`, also where it stands there no more.

    Of what was sealed to a later time nothing is left once that is opened: who could leave no trace
    so could hide the root before it.
    """
    held = await chain.commitment(netuid, hotkey, block)
    if held is not None:
        return held
    last = await chain.query("Commitments", "LastCommitment", netuid, hotkey, block=block)
    return await chain.commitment(netuid, hotkey, int(last)) if last else None


async def _count_commitments(chain: Chain, found: Audit, block: int) -> int:
    return sum(
        event.pallet == "Commitments"
        and event.name in ("Commitment", "TimelockCommitment")
        and event.attributes["who"] == found.validator
        and int(event.attributes["netuid"]) == found.netuid
        for event in await chain.events(block)
    )


async def start_of_epoch(chain: Chain, netuid: int, block: int) -> int:
    """First block of the epoch that `block` is in."""
    schedule = await chain.schedule(netuid, block)
    while schedule.last_block > 1:
        before = await chain.schedule(netuid, schedule.last_block - 1)
        if before.epochs != schedule.epochs:
            return schedule.last_block
        schedule = before  # a tempo that is set begins the cycle anew, in the same epoch
    return 1


async def end_of_epoch(chain: Chain, found: Audit, block: int) -> int:
    """Last block of the epoch that `block` is in, as far as there are blocks."""
    low, high = block, await chain.block() + 1
    present = await chain.schedule(found.netuid, block)
    planned = present.next_block
    # As planned, most of the time; but an owner can have an epoch run early, and the chain late.
    guesses = [] if planned is None else [planned, planned - 1]
    while high - low > 1:
        at = guesses.pop() if guesses else (low + high) // 2
        if not low < at < high:
            continue
        if (await chain.schedule(found.netuid, at)).epochs <= present.epochs:
            low = at
        else:
            high = at
    return low


async def _find_late(
    chain: Chain, found: Audit, root: str, lines: Sequence[Line]
) -> tuple[int, Statement] | None:
    """The same root, where it got onto the chain after it was needed."""
    blocks: set[int] = {line["block"] for line in lines if line.get("block") is not None}
    for block in [*sorted(blocks), None]:
        held = await _statement(chain, found, root, block)
        if held is not None:
            return held
    return None
