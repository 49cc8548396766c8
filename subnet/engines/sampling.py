"""How a token is chosen among the likeliest, and how token ids become a text that grows.

The same for every engine that computes log-probabilities and leaves the choice to us; no model, no
input or output here.
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.verify import seedlock
from subnet.engines.base import Params
from subnet.errors import EngineRefused

_LONGEST_CHARACTER = 8
"""Tokens. More of them that are no text yet are bytes that never will be."""
_ANCHOR_EVERY = 32
"""Tokens decoded anew for every token: enough to know what came before, few enough to be fast."""


class Sampler:
    """Chooses the tokens of one answer as `params` say."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._random = np.random.default_rng(params.seed)

    def choose(self, position: int, ids: NDArray[np.int64], logprobs: NDArray[np.float64]) -> int:
        """Return one of `ids`, (k,) with log-probabilities at temperature 1, likeliest first."""
        params = self._params
        if params.lock is not None:
            return seedlock.choose(
                ids,
                logprobs,
                params.lock.seed,
                params.lock.hotkey,
                position,
                params.temperature,
                top_p=params.top_p,
                top_k=params.top_k,
            )
        if params.temperature == 0:
            return int(ids[0])
        tempered = logprobs[: params.top_k] / params.temperature
        weights = np.exp(tempered - tempered[0])
        if params.top_p < 1:
            shares = np.cumsum(weights) / weights.sum()
            weights = weights[: int(np.searchsorted(shares, params.top_p)) + 1]
        at = np.searchsorted(np.cumsum(weights), self._random.random() * weights.sum(), "right")
        return int(ids[min(int(at), weights.size - 1)])


class GrowingText:
    """What the text of an answer gains with every token.

    The gains together are the text of all tokens. Bytes of an unfinished character wait for the
    rest of it, or for the last token.
    """

    def __init__(self, decode: Callable[[Sequence[int]], Awaitable[str]], end_token: int) -> None:
        self._decode = decode
        self._end_token = end_token
        self._ids: list[int] = []
        self._said = 0
        self._silent = 0

    async def add(self, token: int, *, last: bool) -> str:
        """Return what the text gained with `token`; the end token itself has no text."""
        if token == self._end_token:
            last = True
        else:
            self._ids.append(token)
        text = await self._decode(self._ids)
        whole = last or self._silent >= _LONGEST_CHARACTER or not text.endswith("\ufffd")
        if not whole:
            self._silent += 1
            return ""
        gained, self._said, self._silent = text[self._said :], len(text), 0
        if len(self._ids) >= _ANCHOR_EVERY:
            self._ids = self._ids[-1:]
            self._said = len(await self._decode(self._ids))
        return gained


def check_request(
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    length: int,
    *,
    vocabulary: int,
    context: int,
) -> None:
    """Raise EngineRefused unless the ids are tokens, and prompt and answer fit the context."""
    if len(prompt_ids) == 0:
        raise EngineRefused("the prompt is empty")
    check_tokens(prompt_ids, vocabulary)
    check_tokens(answer_ids, vocabulary)
    if len(prompt_ids) + length > context:
        raise EngineRefused(
            f"{len(prompt_ids)} + {length} tokens do not fit the context of {context}"
        )


def check_text(text: str) -> None:
    """Raise EngineRefused for half a surrogate pair: no model reads it, and a library may die."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EngineRefused("the text holds half a character") from None


def check_tokens(token_ids: Sequence[int], vocabulary: int) -> None:
    """Raise EngineRefused unless every id is one of the model's."""
    try:
        there = all(0 <= operator.index(token) < vocabulary for token in token_ids)
    except TypeError:
        there = False
    if not there:
        raise EngineRefused(f"a token id is not in 0..{vocabulary - 1}")
