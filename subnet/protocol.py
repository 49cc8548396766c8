"""What travels between a validator and a miner, and what the validator holds around it.

A task is what the validator holds: the challenge it sends and the hidden reference it keeps.
A reply is what came back from one miner: an answer or a failure, its timing and whether it was
signed. A streamed answer comes in chunks. Knows nothing of HTTP, keys or scoring.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class Form(enum.StrEnum):
    """How a message is written down; the value is its content type."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"
    """For numbers and bytes by the thousand: they travel as they are."""
    RAW = "application/octet-stream"
    """For one file: the body is the message's only field, of type bytes."""


class Message(BaseModel):
    """Base of what travels: immutable; an unknown field is an error on both sides.

    So is a number that is none: NaN and infinity cannot be written down as JSON again.
    The class decides its `form`, on both sides: what a header on the way says decides nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    form: ClassVar[Form] = Form.JSON

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a raw message that is more than its bytes."""
        fields = [field.annotation for field in cls.model_fields.values()]
        if cls.form is Form.RAW and fields != [bytes]:
            raise TypeError(f"{cls.__name__} travels raw: it needs one field, of type bytes")


class Challenge(Message):
    """What a validator sends. Subclass it with the fields of your question."""


class Answer(Message):
    """What a miner sends back. Subclass it with the fields of its answer."""


class Chunk(Message):
    """A piece of a streamed answer, always JSON. Subclass it with the fields of a piece."""


C = TypeVar("C", bound=Challenge)
A = TypeVar("A", bound=Answer)
K = TypeVar("K", bound=Chunk)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task(Generic[C]):
    """A question with what its asker keeps for itself: `reference` never travels.

    `id` is unique within one validator's life and names the task in its journal. An `organic`
    challenge is somebody's own words: no journal holds it, nor what was answered. `canary` is a
    text that an answer can hold only if its author has seen this very challenge.
    """

    id: str
    challenge: C
    reference: object = None
    organic: bool = False
    canary: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A miner to ask: its seat, its hotkey (ss58) and the address it published.

    `tls_key` is the key it published with the address, if it did: then it is asked over TLS, and
    only whoever holds that key.
    """

    uid: int
    hotkey: str
    host: str
    port: int
    tls_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one question, counted from the moment the request was written to the socket.

    `queued_s` is the asker's own delay before that, connecting included, and is never the miner's
    fault. `first_byte_s` is None when nothing came back; of a stream it is the first whole chunk,
    since a head without an answer costs nothing. `total_s` is the last byte, or the giving up.
    Where the system tells when bytes arrived, that counts, and not when the asker found the time
    to read them.
    """

    queued_s: float
    first_byte_s: float | None
    total_s: float


class Failure(enum.StrEnum):
    """Why a reply holds no answer."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke before the answer was whole."""
    TLS = "tls"
    """The miner published a key, and whoever answers did not prove to hold it: nothing was sent."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The miner answered with a 4xx or 5xx status."""
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"
    """A signed body that is not an answer, or a stream that is none."""
    BROKEN_STREAM = "broken_stream"
    """Chunks without the signed end that vouches for them: worth nothing, all of them."""
    OVERSIZE = "oversize"
    PRIVATE_ADDRESS = "private_address"
    """The address is loopback or private and the network is not local: never dialled."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A miner's signature for what came, kept: whoever has both bodies can verify it again.

    `version` is "1+request" where the question was signed for too, and "1" where only the answer,
    the asker and `nonce` were: the asker's clock as it signed the request, in Unix nanoseconds.
    `scheme` is "sr25519" or "ed25519", `digest` the sha256 of what came in lowercase hex, `value`
    64 bytes.
    """

    version: str
    scheme: str
    nonce: int
    digest: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What came of asking one miner: exactly one of `answer` and `failure` is set.

    The answer of a stream is the tuple of its chunks. `signed` says that the miner signed what
    came, be it an answer or a refusal; only then is `code`, a refusing miner's own word for why,
    more than somebody's on the way. `body` is what came, byte for byte (empty for a stream).
    `asked` counts the times the question was sent, `nonce` is that of the last time: the asker's
    clock in Unix nanoseconds. `signature` is what the miner signed with, where it did. `audited`
    is False where the answer was not drawn to be looked at: see `Subnet.audit_rate`.
    """

    uid: int
    hotkey: str
    answer: T | None
    failure: Failure | None
    detail: str
    status: int | None
    signed: bool
    timing: Timing
    code: str = ""
    body: bytes = field(default=b"", repr=False)
    asked: int = 1
    nonce: int | None = None
    signature: Signature | None = None
    audited: bool = True


@dataclass(frozen=True, slots=True)
class Unverified(Generic[K]):
    """A chunk of miner `uid` as it came by, the `index`-th from 0. Show it, never score it.

    Nobody has signed for it yet: only the reply at the end of the stream says what holds.
    """

    uid: int
    index: int
    chunk: K
