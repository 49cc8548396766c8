"""What the engines share whose model runs behind a URL: turns at it, and the loops over tokens.

Each kind of server says for itself how a text, a next token and an answer are asked for.
"""

from __future__ import annotations

import contextlib
import functools
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import Params, Pick, Reading, Step, Token
from subnet.engines.described import Described
from subnet.engines.http import ModelServer
from subnet.engines.sampling import check_tokens
from subnet.engines.turns import Turns, made_by
from subnet.errors import Unsupported


class ServedEngine(Described):
    """The `Engine` protocol over a server that somebody runs."""

    def __init__(self, server: ModelServer, sha256: str, turns: Turns) -> None:
        super().__init__(sha256)
        self._server = server
        self._turns = turns

    @property
    def model_sha256(self) -> str:
        """Hash of the model that the server runs, as its operator says; nothing proves it."""
        return self._model_sha256

    @property
    @abstractmethod
    def locks(self) -> bool:
        """Whether a seed lock is followed."""

    @abstractmethod
    async def health(self) -> None:
        """Return if the server is well and has the model; raise an EngineError if not."""

    @abstractmethod
    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""

    async def generate(
        self, prompt_ids: Sequence[int], params: Params
    ) -> AsyncGenerator[Token, None]:
        """Stream an answer; the end token is last if the model ends it before `max_tokens`.

        Raises Unsupported for a seed lock where the server follows none.
        """
        self._check(prompt_ids, (), params.max_tokens)
        if params.max_tokens == 0:
            return
        if params.lock is not None and not self.locks:
            raise Unsupported("openai", "seed-locked answers: its server runs no seed lock")
        made = made_by(functools.partial(self._make, prompt_ids, params))
        async with contextlib.aclosing(made):
            async for token in made:
                yield token

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`; one request a token."""
        self._check(prompt_ids, (), length)
        answer: list[int] = []
        async with self._turns.mine():
            while len(answer) < length and answer[-1:] != [self._end_token]:
                ids, logprobs = await self._next([*prompt_ids, *answer])
                token = pick(len(answer), ids, logprobs)
                if token is None:
                    break
                check_tokens([token], self._vocabulary)
                answer.append(token)
        return answer

    @abstractmethod
    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids`."""

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Raise Unsupported: a server keeps its hidden layers to itself."""
        raise Unsupported("openai", "activations")

    async def read(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Reading:
        """Raise Unsupported, as `activations` does."""
        raise Unsupported("openai", "activations")

    @abstractmethod
    async def _make(
        self, prompt_ids: Sequence[int], params: Params, hand_over: Callable[[Token], None]
    ) -> None:
        """Wait for a turn, then hand over the tokens of an answer as they are made."""

    @abstractmethod
    async def _next(self, tokens: list[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `TOP` likeliest tokens after `tokens`, and their log-probabilities."""
