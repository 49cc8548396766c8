"""llama.cpp's own server somewhere else: a request for every token.

Its stream drops the ids of tokens that are only part of a character, and a seed lock has to choose
each token before the next, so every step is asked for by itself. With more than one slot, or other
batches than `LlamaEngine` computes, it agrees with that only roughly.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import TOP, Params, Pick, Reading, Step, Token
from subnet.engines.checked import field, step_of, token_ids
from subnet.engines.http import ModelServer
from subnet.engines.sampling import GrowingText, Sampler, check_request, check_text, check_tokens
from subnet.engines.turns import Turns, made_by
from subnet.errors import EngineAway, EngineRefused, Unsupported

FAR = 1024
"""How far down a token is looked for that is only part of a character. Looking through the whole
vocabulary would cost a judge half a second a token."""

UNSEEN = -100.0
"""Log-probability reported for such a token beyond that: as good as impossible, and finite."""

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


class LlamaServerEngine:
    """See the `Engine` protocol, and `openai.connect`, which opens it."""

    locks = True
    """The choice is ours at every step."""

    def __init__(self, server: ModelServer, sha256: str, context: int, turns: Turns) -> None:
        self._server = server
        self._model_sha256 = sha256
        self._context = context
        self._turns = turns
        self._vocabulary = 0
        self._end_token = -1
        self._before_prompt: list[int] = []
        self._after_prompt: list[int] = []

    @classmethod
    async def learn(
        cls, server: ModelServer, sha256: str, slots: int, waiting_limit: int
    ) -> LlamaServerEngine:
        """Return the engine over `server`; no more is sent at once than the server has slots."""
        properties = await server.get("props")
        own = properties.get("total_slots") if isinstance(properties, dict) else None
        context = field(field(properties, "default_generation_settings", dict), "n_ctx", int)
        slots = max(1, min(slots, own if isinstance(own, int) else 1))
        engine = cls(server, sha256, context, Turns(slots, waiting_limit))
        try:
            await engine._learn_model(properties)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineAway("it describes itself in a way that makes no sense") from error
        return engine

    async def _learn_model(self, properties: dict[str, Any]) -> None:
        models = await self._server.get("/v1/models")
        self._vocabulary = int(models["data"][0]["meta"]["n_vocab"])
        ends = await self._tokenize(properties["eos_token"], control=True)
        if len(ends) != 1:
            raise EngineRefused("the model names no end token")
        self._end_token = ends[0]
        turn = {"messages": [{"role": "user", "content": _PLACE}]}
        template = await self._server.post("/apply-template", turn)
        before, _, after = template["prompt"].partition(_PLACE)
        self._before_prompt = await self._tokenize(before, control=True)
        self._after_prompt = await self._tokenize(after, control=True)

    @property
    def model_sha256(self) -> str:
        """Hash of the model that the server runs, as its operator says; nothing proves it."""
        return self._model_sha256

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self._context

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""
        return self._end_token

    async def health(self) -> None:
        """Return if the server is well; raise an EngineError if not."""
        await self._server.get("health")

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        return await self._tokenize(text, control=False)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        reply = await self._server.post("/detokenize", {"tokens": [*map(int, token_ids)]})
        return str(field(reply, "content", str))

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""
        return [*self._before_prompt, *await self.tokenize(prompt), *self._after_prompt]

    async def generate(
        self, prompt_ids: Sequence[int], params: Params
    ) -> AsyncGenerator[Token, None]:
        """Stream an answer; the end token is last if the model ends it before `max_tokens`."""
        self._check(prompt_ids, (), params.max_tokens)
        made = made_by(functools.partial(self._make, prompt_ids, params))
        async with contextlib.aclosing(made):
            async for token in made:
                yield token

    async def _make(
        self, prompt_ids: Sequence[int], params: Params, hand_over: Callable[[Token], None]
    ) -> None:
        sampler = Sampler(params)
        text = GrowingText(self.detokenize, self._end_token)
        answer: list[int] = []
        async with self._turns.mine():
            while len(answer) < params.max_tokens and answer[-1:] != [self._end_token]:
                step = await self._step([*prompt_ids, *answer], self._end_token)
                token = sampler.choose(len(answer), step.top_ids, step.top_logprobs)
                answer.append(token)
                logprob = float(step.top_logprobs[step.top_ids == token][0])
                gained = await text.add(token, last=len(answer) == params.max_tokens)
                top = slice(params.logprobs)
                hand_over(Token(token, gained, logprob, step.top_ids[top], step.top_logprobs[top]))

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`; one request a token."""
        self._check(prompt_ids, (), length)
        answer: list[int] = []
        async with self._turns.mine():
            while len(answer) < length and answer[-1:] != [self._end_token]:
                step = await self._step([*prompt_ids, *answer], self._end_token)
                token = pick(len(answer), step.top_ids, step.top_logprobs)
                if token is None:
                    break
                check_tokens([token], self._vocabulary)
                answer.append(token)
        return answer

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids`; one request a token."""
        self._check(prompt_ids, answer_ids, len(answer_ids))
        async with self._turns.mine():
            return [
                await self._step([*prompt_ids, *answer_ids[:at]], token)
                for at, token in enumerate(answer_ids)
            ]

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Raise Unsupported: llama.cpp's server keeps its hidden layers to itself."""
        raise Unsupported("openai", "activations")

    async def read(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Reading:
        """Raise Unsupported, as `activations` does."""
        raise Unsupported("openai", "activations")

    async def _step(self, before: list[int], token: int) -> Step:
        """Return what the model thinks comes after `before`, seen from `token`."""
        seen = await self._likeliest(before, token, TOP)
        if seen is not None:
            return seen
        # llama.cpp keeps the probabilities of a token that is only part of a character to itself.
        seen = await self._likeliest(before, self._end_token, FAR)
        if seen is None:
            raise EngineAway("the server reports no probabilities")
        found = seen.top_logprobs[seen.top_ids == token]
        logprob = float(found[0]) if found.size else UNSEEN
        return Step(token, logprob, seen.top_ids[:TOP], seen.top_logprobs[:TOP])

    async def _likeliest(self, before: list[int], token: int, count: int) -> Step | None:
        """Return llama.cpp's record of `token` after `before` with the `count` likeliest."""
        request = {
            "prompt": [*map(int, before)],
            "n_predict": 1,
            "n_probs": count,
            "temperature": 0.0,
            "samplers": ["temperature"],
            "cache_prompt": True,
            "response_fields": ["completion_probabilities"],
            # The bias decides the token; the log-probabilities reported are those without it.
            "logit_bias": [[token, 1000.0]],
        }
        answer = await self._server.post("/completion", request)
        try:
            records = answer.get("completion_probabilities")
            return self._checked(records[0], token, count) if records else None
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise EngineAway("its log-probabilities make no sense") from error

    def _checked(self, seen: dict[str, Any], token: int, count: int) -> Step:
        likeliest = seen["top_logprobs"]
        # JSON has no word for what is no number: llama.cpp writes null.
        if seen["logprob"] is None and all(one["logprob"] is None for one in likeliest):
            raise EngineRefused("the model computed no numbers for this text")
        if seen["id"] != token:
            raise EngineAway(f"token {token} was forced and {seen['id']} came")
        ids = token_ids([one["id"] for one in likeliest])
        entries = [*zip(ids, (one["logprob"] for one in likeliest), strict=True)]
        if token not in ids:
            entries.append((token, seen["logprob"]))
        step = step_of(token, entries, min(count, self._vocabulary))
        if step.logprob != seen["logprob"]:
            raise EngineAway(f"it reported two log-probabilities of token {token}")
        values = [value for _, value in entries[: len(ids)]]
        if len(ids) > count or values != sorted(values, reverse=True):
            raise EngineAway("its likeliest tokens are too many, or not in order")
        return step

    async def _tokenize(self, text: str, *, control: bool) -> list[int]:
        check_text(text)
        request = {"content": text, "parse_special": control, "add_special": False}
        return token_ids(field(await self._server.post("/tokenize", request), "tokens", list))

    def _check(self, prompt_ids: Sequence[int], answer_ids: Sequence[int], length: int) -> None:
        check_request(
            prompt_ids, answer_ids, length, vocabulary=self._vocabulary, context=self._context
        )
