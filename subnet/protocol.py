"""What travels between a validator and a miner, and what the validator holds around it.

A task is what the validator holds: the challenge it sends and the hidden reference it keeps.
A reply is what came back from one miner: an answer or a failure, its timing and whether it was
signed. Knows nothing of HTTP, keys or scoring.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of what travels: immutable; an unknown field is an error on both sides.

    So is a number that is none: NaN and infinity cannot be written down as JSON again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Challenge(Message):
    """What a validator sends. Subclass it with the fields of your question."""


class Answer(Message):
    """What a miner sends back. Subclass it with the fields of its answer."""


C = TypeVar("C", bound=Challenge)
A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Task(Generic[C]):
    """A question with what its asker keeps for itself: `reference` never travels.

    `id` is unique within one validator's life and names the task in its journal.
    """

    id: str
    challenge: C
    reference: object = None


@dataclass(frozen=True, slots=True)
class Target:
    """A miner to ask: its seat, its hotkey (ss58) and the address it published."""

    uid: int
    hotkey: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one question, counted from the moment the request was written to the socket.

    `queued_s` is the asker's own delay before that, and is never the miner's fault.
    `first_byte_s` is None when nothing came back.
    """

    queued_s: float
    first_byte_s: float | None
    total_s: float


class Failure(enum.StrEnum):
    """Why a reply holds no answer."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke before the answer was whole."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The miner answered with a 4xx or 5xx status."""
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"
    """A signed body that is not an answer."""
    OVERSIZE = "oversize"
    PRIVATE_ADDRESS = "private_address"
    """The address is loopback or private and the network is not local: never dialled."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """What came of asking one miner: exactly one of `answer` and `failure` is set."""

    uid: int
    hotkey: str
    answer: A | None
    failure: Failure | None
    detail: str
    status: int | None
    signed: bool
    timing: Timing
