"""An audit: does what a validator published of one epoch hold together, and with the chain?

From the root on the chain to the row of weights: every root is told of, every leaf has its path,
every question is a leaf and of a seed that nobody chose, every answer is signed by its miner, every
score is computed again with the subnet's own code, memory and weights follow from the scores, and
the chain holds the row. What cannot be checked is said, and is never "honest".

It believes the chain and signatures, and nothing else. What it cannot see: whether a miner was
silent, and what a miner without a receipt was asked that was never sealed.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Container, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from zlib import compress, decompress

from chain.client.chain import Chain
from subnet.config import WeightsTable
from subnet.definition import Subnet
from subnet.errors import EngineError, MissingExtra, ModelError, StateError
from subnet.wire.receipts import Receipt
from validators.audit.drawn import check_draws
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.audit.memory import EXACT, check_memory
from validators.audit.receipts import check_receipts
from validators.audit.roots import check_roots
from validators.audit.rows import check_weights
from validators.audit.scores import check_origin, check_scores, find_leaks, note_asked, note_code
from validators.audit.sealed import check_dealt, check_leaves, check_questions, find_askable
from validators.audit.seeds import check_seeds
from validators.audit.signed import check_signed
from validators.prompts.withheld import Opened

MODEL_TOLERANCE = 0.01
"""Scores this close are the same where a model judged: another machine adds up in another order."""


@asynccontextmanager
async def open_judge(subnet: Subnet[Any, Any]) -> AsyncIterator[str | None]:
    """What `subnet` needs to score, open; or why it cannot be had here."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(subnet.judge())
        except (ModelError, EngineError, MissingExtra) as error:
            yield str(error)
            return
        yield None


async def audit(
    chain: Chain,
    subnet: Subnet[Any, Any],
    journal: Iterable[Line],
    *,
    validator: str,
    netuid: int,
    epoch: int,
    weights: WeightsTable,
    no_judge: str | None = None,
    tolerance: float | None = None,
    opened: Sequence[Opened] = (),
    others: Iterable[Line] = (),
    receipts: Iterable[Receipt] = (),
) -> Audit:
    """Audit `epoch` of `validator` (ss58) from its journal's lines, oldest first.

    `weights` is the public file's table. `no_judge` says why scores cannot be computed again; None
    when the judge is open. `opened` is what the epoch's audit key opens. `others` are lines of
    other validators, whose answers are searched for canaries too. `receipts` are those of
    miners. Raises ChainAway, ChainRefused, and StateError for what `others` raise.
    """
    found = Audit(validator, netuid, epoch)
    # What is published after the epoch may be known to anybody. Outside of what follows: that
    # another's journal is damaged is nothing against this validator.
    told = [line for line in others if (line.get("kind"), line.get("epoch")) == ("round", epoch)]
    try:
        mine = (
            line
            for line in journal
            if line.get("validator") == validator and line.get("netuid") == netuid
        )
        asked: set[bytes] = set()
        lines = list(needed(note_asked(mine, subnet, epoch, asked), epoch))
        await _audit(
            chain, found, subnet, lines, weights, no_judge, tolerance, list(opened), told, asked
        )
        rounds = [line for line in lines if (line["kind"], line.get("epoch")) == ("round", epoch)]
        check_receipts(found, rounds, receipts)
    except (
        KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError,
        RecursionError, StateError,
    ) as error:  # fmt: skip
        # The lines are a stranger's.
        found.differences.append(Difference(Flaw.MALFORMED, f"the journal: {error!r}"))
    return found


_REMEMBERED = (
    "task", "uid", "hotkey", "failure", "status", "signed", "queued_s", "first_byte_s", "total_s",
    "score", "reason", "statements", "claim",
)  # fmt: skip
"""Of a reply of an earlier epoch: what is remembered of it, which is little beside the answer."""


class _Earlier(dict[str, Any]):
    """A line of an earlier epoch. What it tells of miners is packed: there can be millions of
    replies, and as Python has them each takes a kilobyte."""

    def __missing__(self, key: str) -> Any:
        return json.loads(decompress(b64decode(self["packed"])))[key]


def needed(lines: Iterable[Line], epoch: int) -> Iterator[Line]:
    """What an audit of `epoch` goes by: a journal may be larger than the memory there is.

    Of what came after it a line of kind "later" tells that there is something.
    """
    is_over = False
    for line in lines:
        if line["kind"] == "reveal" or line.get("epoch") == epoch:
            yield line
        elif line["kind"] == "round" and line["epoch"] < epoch:
            replies = [
                {key: reply[key] for key in _REMEMBERED if key in reply}
                | {"detail": "", "facts": {}}
                for reply in line["replies"]
            ]
            kept = {key: line[key] for key in ("kind", "round", "epoch", "block")}
            told = {"scores": dict.fromkeys(line["scores"], 0.0), "replies": replies}
            yield _Earlier(kept, packed=b64encode(compress(json.dumps(told).encode())).decode())
        elif line["kind"] == "round" and not is_over:
            is_over = True
            yield {"kind": "later", "epoch": line["epoch"]}


async def _audit(
    chain: Chain,
    found: Audit,
    subnet: Subnet[Any, Any],
    lines: Sequence[Line],
    weights: WeightsTable,
    no_judge: str | None,
    tolerance: float | None,
    opened: Sequence[Opened],
    others: Sequence[Line],
    asked: Container[bytes],
) -> None:
    epoch = found.epoch
    rounds = [line for line in lines if line["kind"] == "round" and line["epoch"] == epoch]
    found.rounds = len(rounds)
    if not rounds:
        found.unchecked.append(f"the journal tells of no round of epoch {epoch}")
        return
    published = [line for line in lines if line["kind"] == "leaves" and line["epoch"] == epoch]
    statements, history = await check_roots(chain, found, rounds, published)
    known = {(item.root, item.index): item for item in opened}
    is_over = any(line["kind"] == "later" for line in lines)
    leaves = await check_leaves(chain, found, rounds, published, statements, known, is_over=is_over)
    askable = {
        block: find_askable(await chain.metagraph(found.netuid, block), found.validator)
        for block in sorted({int(line["block"]) for line in rounds})
    }
    await check_seeds(chain, found, history, published, leaves)
    check_questions(found, rounds, leaves, askable)
    check_dealt(found, subnet, leaves, statements)
    await check_signed(chain, found, subnet, rounds, leaves, known)
    await check_draws(chain, found, subnet, rounds)
    note_code(found, subnet, rounds)
    if no_judge is None:
        limit = tolerance if tolerance is not None else EXACT
        if tolerance is None and subnet.model_sha256 is not None:
            limit = MODEL_TOLERANCE
        answers = {(item.root, item.index): item.answers for item in opened}
        await check_origin(found, subnet, leaves, statements, limit, asked)
        await check_scores(found, subnet, rounds, leaves, limit, answers)
    else:
        found.unchecked.append(f"no score was computed again: {no_judge}")
    await check_memory(chain, found, subnet, lines, weights, askable)
    await check_weights(chain, found, subnet, lines, rounds, weights)
    found.leaks = list(find_leaks(found, rounds, leaves, [*rounds, *others]))
