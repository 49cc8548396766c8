"""A fingerprint: prompts to which only one model gives the answers that were put into it.

Its owner trains a few secret answers into a model and publishes the Merkle root over them before
anyone else has it. Later some of the triggers are asked, and opened so that anyone can check them.
A trigger that was shown is spent.

A leaf, so that it can neither be guessed nor read two ways (integers big endian):

    salt (16 bytes) || u32(number of prompt tokens) || u32 of each || u32 of each answer token

It is for attribution, whose weights these are, and never the only ground for a penalty: a host
that filters the triggers shows nothing, fine-tuning wears them out, and who learnt the triggers
can put them into any model. It cannot see who serves the model, or at what precision.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.verify import merkle
from scoring.verify.statement import Outcome, Statement

CHECK = "fingerprint"

SALT_BYTES = 16
MOST_ID = 2**32 - 1
MOST_TRIGGERS = 1024


@dataclass(frozen=True, slots=True)
class Floor:
    """How often the answers come; both within (0, 1). Raises ValueError for others."""

    chance: float
    """That a model without the fingerprint gives the answer to a trigger all the same; measure it
    on models that cannot have it."""
    kept: float
    """That the model with it does: below 1, for sampling, other precision and fine-tuning."""

    def __post_init__(self) -> None:
        """Refuse certainty, and a fingerprint that is no likelier with the model than without."""
        if not 0.0 < self.chance < self.kept < 1.0:
            raise ValueError(f"chances are within (0, 1), and kept is the larger: {self}")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One prompt and the answer it was trained to get. Raises ValueError for what is none."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    salt: bytes

    def __post_init__(self) -> None:
        """Refuse an empty answer, which everybody gives, and a salt that can be guessed."""
        if not isinstance(self.prompt, tuple) or not isinstance(self.answer, tuple):
            raise ValueError("prompt and answer are tuples of token ids")
        ids = (*self.prompt, *self.answer)
        salted = isinstance(self.salt, bytes) and len(self.salt) == SALT_BYTES
        if not self.prompt or not self.answer or not salted:
            raise ValueError(f"a trigger has a prompt, an answer and {SALT_BYTES} bytes of salt")
        if not all(_is_id(token) for token in ids):
            raise ValueError("a token id is no u32")

    def leaf(self) -> bytes:
        """Return the leaf of this trigger."""
        ids = struct.pack(f">{len(self.prompt)}I", *self.prompt)
        answer = struct.pack(f">{len(self.answer)}I", *self.answer)
        return self.salt + struct.pack(">I", len(self.prompt)) + ids + answer


@dataclass(frozen=True, slots=True)
class Opened:
    """A trigger that is shown, and its place under the root."""

    trigger: Trigger
    index: int
    path: tuple[bytes, ...]


def commit(triggers: Sequence[Trigger]) -> merkle.Tree:
    """Return the tree whose root is published, with the number of triggers."""
    return merkle.Tree([trigger.leaf() for trigger in triggers])


def verify(
    root: bytes,
    count: int,
    opened: Sequence[Opened],
    answers: Sequence[Sequence[int] | None],
    floor: Floor,
) -> Statement:
    """Return how far a model's `answers` to the `opened` triggers bear the fingerprint.

    Above 0 speaks for its being the model of `root` (over `count` triggers); None is no answer and
    counts for nothing. An answer that begins with the trained one has it. Invalid: triggers that
    are not under the root or are shown twice, answers that are no token ids or not one for each.
    Unknown: no answer at all.
    """
    wrong = _fault(root, count, opened, answers)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, wrong)
    given = [(o.trigger.answer, a) for o, a in zip(opened, answers, strict=True) if a is not None]
    if not given:
        return Statement(CHECK, Outcome.UNKNOWN, "no trigger was answered")
    hits = sum(tuple(answer[: len(trained)]) == trained for trained, answer in given)
    misses = len(given) - hits
    ratio = hits * (math.log(floor.kept) - math.log(floor.chance))
    ratio += misses * (math.log1p(-floor.kept) - math.log1p(-floor.chance))
    return Statement(CHECK, Outcome.MEASURED, f"{hits} of {len(given)} triggers", ratio)


def _fault(
    root: bytes, count: int, opened: Sequence[Opened], answers: Sequence[Sequence[int] | None]
) -> str | None:
    if not isinstance(opened, (list, tuple)) or not all(map(_is_opened, opened)):
        return "no list of opened triggers"
    if not isinstance(answers, (list, tuple)) or len(answers) != len(opened):
        return f"not one answer for each of {len(opened)} triggers"
    if len(opened) > MOST_TRIGGERS:
        return f"more than {MOST_TRIGGERS} triggers"
    if len({one.index for one in opened}) != len(opened):
        return "a trigger is shown twice"
    if len({one.trigger.prompt for one in opened}) != len(opened):
        return "two triggers have one prompt"
    for at, one in enumerate(opened):
        if not merkle.is_member(root, one.trigger.leaf(), one.index, count, one.path):
            return f"opened trigger {at} is not under the root"  # its index may be any number
    for at, answer in enumerate(answers):
        if answer is None:
            continue
        if not isinstance(answer, (list, tuple)) or not all(map(_is_id, answer)):
            return f"answer {at} is no list of token ids"
    return None


def _is_opened(one: object) -> bool:
    # Its place is looked up in a set before the tree sees it, so it has to be a number.
    return (
        isinstance(one, Opened) and isinstance(one.trigger, Trigger) and isinstance(one.index, int)
    )


def _is_id(token: object) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and 0 <= token <= MOST_ID
