"""What a miner's receipts say of an epoch otherwise than its validator's journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from subnet.wire.receipts import Receipt
from validators.audit.findings import Audit, Difference, Flaw, Line
from validators.receipts import Contradiction, Kind, compare

SHOWN = 8
"""Of one kind: a receipt is a stranger's word until its signature is verified, and may be many."""


def check_receipts(found: Audit, rounds: Sequence[Line], receipts: Iterable[Receipt]) -> None:
    """Hold `receipts` against the rounds of the epoch: what they prove, and what they only say."""
    kinds: dict[Kind, list[Contradiction]] = defaultdict(list)
    counts: dict[Kind, int] = defaultdict(int)
    for item in compare(rounds, receipts, found.validator):
        counts[item.kind] += 1
        if len(kinds[item.kind]) < SHOWN:
            kinds[item.kind].append(item)
    for kind, items in kinds.items():
        texts = [f"receipt {item}" for item in items]
        if counts[kind] > SHOWN:
            texts.append(f"receipts, {kind.value}: {counts[kind] - SHOWN} more")
        if items[0].is_proved:
            found.differences += [Difference(Flaw.RECEIPT, text) for text in texts]
        elif kind is Kind.UNTOLD:
            found.unchecked += texts
        else:
            found.notes += texts
