"""What the validators' journals say, as far as the demo looks: who answered, and what was set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from validators import journal


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one hotkey (ss58), and what its answer was worth; no answer is worth 0."""

    hotkey: str
    score: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round: asked from `block` on, its weights accepted in `weights_block`.

    `meant` is the row it meant to set, {uid: u16}. `weights_read_back` is the validator's own
    word that it found that row on the chain.
    """

    number: int
    block: int
    questions: tuple[Question, ...]
    weights_set: bool
    weights_read_back: bool
    weights_block: int | None
    meant: Mapping[int, int]


def load(path: Path) -> tuple[Round, ...]:
    """The finished rounds in the journal at `path`, oldest first; none before there is one."""
    if not path.exists():
        return ()
    return tuple(_round(line) for line in journal.read(path) if line["kind"] == "round")


def _round(line: Mapping[str, Any]) -> Round:
    weights = line["weights"]
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
        weights_read_back=bool(weights["read_back"]),
        weights_block=weights["block"],
        meant={int(uid): int(value) for uid, value in weights["meant"].items()},
    )
