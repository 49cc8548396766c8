"""What miners and judges need of a model, whichever library runs it.

Token ids are the model's own. Log-probabilities are in nats, at temperature 1 and over the whole
vocabulary, whatever a request says about sampling. An engine may answer many callers at once; what
one of them gets does not depend on the others beyond the last bits of arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scoring.verify.steps import LEAST_TEMPERATURE
from subnet.errors import EngineRefused

TOP = 64
"""How many of the likeliest tokens every `Step` reports, and the most a `Token` can."""

Pick: TypeAlias = Callable[[int, NDArray[np.int64], NDArray[np.float64]], int | None]
"""(position in the answer from 0, ids (k,), logprobs (k,), likeliest first) -> token; None ends.

Called while the model waits, perhaps on another thread: it should be quick and touch only its own.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One token of an answer and what the model thought just before it."""

    token: int
    logprob: float
    """Of `token`, in nats, also when it is not among the likeliest."""
    top_ids: NDArray[np.int64]
    """The likeliest tokens, likeliest first, shape (k,)."""
    top_logprobs: NDArray[np.float64]
    """Their log-probabilities in nats, shape (k,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one pass over an answer of n tokens tells of it."""

    steps: list[Step]
    activations: NDArray[np.float32]
    """(n, d): see `Engine.activations`; empty if they were not asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token of an answer as it is generated."""

    id: int
    text: str
    """What the text of the answer gained. Nothing inside a character; the end token has no text,
    but bytes that waited in vain for the rest of a character come with it."""
    logprob: float
    """Of `id`, in nats."""
    top_ids: NDArray[np.int64]
    """As many of the likeliest tokens as were asked for, likeliest first, shape (k,)."""
    top_logprobs: NDArray[np.float64]
    """Their log-probabilities in nats, shape (k,)."""


@dataclass(frozen=True, slots=True)
class SeedLock:
    """What fixes an answer: the challenge's seed, and the public key of who answers."""

    seed: bytes
    hotkey: bytes


@dataclass(frozen=True, slots=True)
class Params:
    """How to generate an answer. Raises EngineRefused for what no engine does."""

    max_tokens: int
    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability, of the `top_k`."""
    top_k: int = TOP
    seed: int | None = None
    """Of ordinary sampling: the same engine says the same again."""
    logprobs: int = 0
    """How many alternatives every token reports."""
    lock: SeedLock | None = None
    """Take what the seed lock prescribes instead of what chance does."""

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise EngineRefused(problem)

    def _problem(self) -> str | None:
        if self.max_tokens < 0:
            return f"max_tokens is {self.max_tokens}; it must not be negative"
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            return f"temperature is {self.temperature}; it must be finite and not negative"
        if not 0 < self.top_p <= 1:
            return f"top_p is {self.top_p}; it must be above 0 and at most 1"
        if not 1 <= self.top_k <= TOP:
            return f"top_k is {self.top_k}; it must be in 1..{TOP}"
        if not 0 <= self.logprobs <= TOP:
            return f"logprobs is {self.logprobs}; it must be in 0..{TOP}"
        if self.seed is not None and not 0 <= self.seed < 2**32:
            return f"seed is {self.seed}; it must fit 32 bits"
        if self.lock is not None and self.temperature < LEAST_TEMPERATURE:
            return f"a seed lock needs a temperature of {LEAST_TEMPERATURE} or more"
        return None


class Engine(Protocol):
    """A model that answers many callers.

    Every method raises EngineBusy if too many callers wait already, EngineRefused if the request
    is wrong, and EngineAway if the engine died or hangs; after that one it must be opened again.
    """

    @property
    def model_sha256(self) -> str:
        """Hash of the model file that is really open."""

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""

    def generate(self, prompt_ids: Sequence[int], params: Params) -> AsyncGenerator[Token, None]:
        """Stream an answer; the end token is last if the model ends it before `max_tokens`.

        Errors come with the first token. Closing the stream (`contextlib.aclosing`) frees its
        place in the engine.
        """

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`; the end token is last if picked."""

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids` after `prompt_ids`."""

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return the last hidden layer that each token of `answer_ids` was chosen from: (n, d).

        After the final norm, rounded to bfloat16 and kept as float32: what the output matrix is
        multiplied with to give the `score` of that token. Raises Unsupported where the engine has
        no way to it.
        """

    async def read(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Reading:
        """Return the `score` and the `activations` of an answer for the price of one of them.

        Raises Unsupported where the engine gives no activations.
        """
