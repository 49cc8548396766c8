"""What the validators' journals say, as far as the demo looks: who answered, what was set.

A round's line says what was sent; where weights are hidden a later line says what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from validators import journal
from validators.commits import Ending


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one hotkey (ss58), and what its answer was worth; no answer is worth 0."""

    hotkey: str
    score: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round: asked from `block` on, in the subnet's epoch number `epoch`.

    `meant` is the row it meant to set, {uid: u16}, and `weights_block` the block from which that
    row held. Where weights are hidden they were accepted in `commit_block`, and hold only once they
    are revealed; `ending` says what became of that, and is None before. `weights_read_back` is the
    validator's own word that it found the row on the chain.
    """

    number: int
    block: int
    questions: tuple[Question, ...]
    weights_set: bool
    weights_read_back: bool
    weights_block: int | None
    meant: Mapping[int, int]
    epoch: int = 0
    commit_block: int | None = None
    ending: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether its weights are hidden still."""
        return self.commit_block is not None and self.ending is None


def load(path: Path) -> tuple[Round, ...]:
    """The finished rounds in the journal at `path`, oldest first; none before there is one."""
    if not path.exists():
        return ()
    rounds: list[Mapping[str, Any]] = []
    reveals: dict[int, Mapping[str, Any]] = {}
    for line in journal.read(path):
        if line["kind"] == "round":
            rounds.append(line)
        elif line["kind"] == "reveal" and not line.get("mechanism"):
            reveals[int(line["round"])] = line
    return tuple(_round(line, reveals.get(int(line["round"]))) for line in rounds)


def _round(line: Mapping[str, Any], reveal: Mapping[str, Any] | None) -> Round:
    weights = line["weights"]
    is_hidden = bool(weights["set"]) and weights["read_back"] is None
    revealed = reveal is not None and reveal["ending"] == Ending.REVEALED
    return Round(
        number=int(line["round"]),
        block=int(line["block"]),
        questions=tuple(
            Question(
                hotkey=str(reply["hotkey"]),
                score=float(reply["score"]),
                answered=reply["failure"] is None,
            )
            for reply in line["replies"]
        ),
        weights_set=bool(weights["set"]),
        weights_read_back=revealed if is_hidden else bool(weights["read_back"]),
        weights_block=(
            weights["block"]
            if not is_hidden
            else reveal["block"]
            if reveal is not None and revealed
            else None
        ),
        meant={int(uid): int(value) for uid, value in weights["meant"].items()},
        epoch=int(line["epoch"]),
        commit_block=weights["block"] if is_hidden else None,
        ending=None if reveal is None else str(reveal["ending"]),
    )
