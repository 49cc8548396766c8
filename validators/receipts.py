"""A miner's receipts beside a validator's journal: where the two tell of different things.

A receipt proves that the validator asked: its signature is in it. What the miner answered is the
miner's word there, and in the journal it is proved where the miner signed. So of an answer that
the journal denies there are two words, and of a question that it denies there is a proof.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from subnet.wire.auth import digest_of
from subnet.wire.receipts import Receipt
from validators.signatures import Signed, answer_digest, question_bytes, verified

OK = 200
"""Status of an answer."""

Line = Mapping[str, Any]


class Kind(enum.StrEnum):
    """In what a receipt and a journal differ."""

    NOT_SIGNED = "not_signed"
    """The validator did not sign this request: the receipt says nothing."""
    UNTOLD = "untold"
    """The validator asked this between two questions of the journal, which has it not. So does one
    that was killed before it could write the round down."""
    OTHER_QUESTION = "other_question"
    """Proved: the validator asked something else under this nonce than the journal says."""
    OTHER_MINER = "other_miner"
    """Proved: the validator asked this miner, and the journal names another one."""
    OTHER_ANSWER = "other_answer"
    """The miner has signed what the journal says, and its receipt says that it answered else."""
    DENIED = "denied"
    """Asked, which is proved; the miner says that it answered, the journal that nothing came."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A receipt that does not go with the journal; `where` names the reply, if there is one."""

    kind: Kind
    receipt: Receipt
    where: str

    @property
    def is_proved(self) -> bool:
        """Whether the validator's own signature shows that its journal is wrong."""
        return self.kind in (Kind.OTHER_QUESTION, Kind.OTHER_MINER)

    def __str__(self) -> str:
        took = self.receipt.time - self.receipt.nonce / 1e9
        return (
            f"{self.kind.value}: {self.where}: {self.receipt.miner} was asked at "
            f"{self.receipt.nonce / 1e9:.3f}, and answered {self.receipt.status} after {took:.3f} s"
        )


def compare(
    lines: Iterable[Line], receipts: Iterable[Receipt], validator: str
) -> Iterator[Contradiction]:
    """What `receipts` say of `validator` (ss58) otherwise than the rounds in `lines` do.

    Rounds of versions that wrote down no nonces are passed over. Raises KeyError, TypeError or
    ValueError for lines that are none.
    """
    told: dict[int, tuple[Line, Line]] = {}
    for line in lines:
        for entry in line["replies"] if line["validator"] == validator else ():
            if entry.get("nonce") is not None:
                told[int(entry["nonce"])] = (line, entry)
    if not told:
        return
    first, last = min(told), max(told)
    for receipt in receipts:
        # Before and after there may be rounds that are not published here.
        if receipt.validator != validator or not first <= receipt.nonce <= last:
            continue
        line, entry = told.get(receipt.nonce, ({}, {}))
        where = "in no round"
        if entry:
            where = f"round {line['round']}, task {entry['task']}, miner {entry['hotkey']}"
        kind = _differs(line, entry, receipt)
        if kind is not None:
            yield Contradiction(kind, receipt, where)


def _differs(line: Line, entry: Line, receipt: Receipt) -> Kind | None:
    if not receipt.holds:
        return Kind.NOT_SIGNED
    if not entry:
        return Kind.UNTOLD
    if entry["hotkey"] != receipt.miner:
        return Kind.OTHER_MINER
    if "withheld" in entry:  # somebody's own words: neither side tells what they were
        denied = entry["withheld"] is None and not entry["signed"]
        return Kind.DENIED if denied and receipt.status == OK else None
    if digest_of(question_bytes(line, entry["task"])) != receipt.request:
        return Kind.OTHER_QUESTION
    if verified(line, entry) in (Signed.QUESTION, Signed.ANSWER):
        return None if answer_digest(entry) == receipt.answer else Kind.OTHER_ANSWER
    return Kind.DENIED if receipt.status == OK else None
