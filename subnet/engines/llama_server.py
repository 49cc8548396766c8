"""llama.cpp's own server somewhere else: a request for every token.

Its stream drops the ids of tokens that are only part of a character, and a seed lock has to choose
each token before the next, so every step is asked for by itself. It agrees with `LlamaEngine`
closely where it computes with flash attention, and only roughly where not: see docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import TOP, Params, Step, Token
from subnet.engines.checked import field, step_of, token_ids
from subnet.engines.http import ModelServer
from subnet.engines.sampling import GrowingText, Sampler, check_text, check_tokens
from subnet.engines.served import ServedEngine
from subnet.engines.turns import Turns
from subnet.errors import EngineAway, EngineRefused

FAR = 1024
"""How far down a token is looked for that is only part of a character. Looking through the whole
vocabulary would cost a judge half a second a token."""

UNSEEN = -100.0
"""Log-probability reported for such a token beyond that: as good as impossible, and finite."""

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


class LlamaServerEngine(ServedEngine):
    """See the `Engine` protocol, and `openai.connect`, which opens it."""

    locks = True
    """The choice is ours at every step."""

    @classmethod
    async def learn(
        cls, server: ModelServer, sha256: str, slots: int, waiting_limit: int
    ) -> LlamaServerEngine:
        """Return the engine over `server`; no more is sent at once than the server has slots."""
        properties = await server.get("props")
        own = properties.get("total_slots") if isinstance(properties, dict) else None
        context = field(field(properties, "default_generation_settings", dict), "n_ctx", int)
        slots = max(1, min(slots, own if isinstance(own, int) else 1))
        engine = cls(server, sha256, Turns(slots, waiting_limit))
        engine._context = context
        try:
            await engine._learn_model(properties)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineAway("it describes itself in a way that makes no sense") from error
        return engine

    async def _learn_model(self, properties: dict[str, Any]) -> None:
        models = await self._server.get("/v1/models")
        self._vocabulary = int(models["data"][0]["meta"]["n_vocab"])
        ends = await self._tokenize(field(properties, "eos_token", str), control=True)
        if len(ends) != 1:
            raise EngineRefused("the model names no end token")
        self._end_token = ends[0]
        turn = {"messages": [{"role": "user", "content": _PLACE}]}
        template = await self._server.post("/apply-template", turn)
        before, place, after = field(template, "prompt", str).partition(_PLACE)
        if not place:
            raise EngineRefused("the model's chat format leaves out what the user says")
        self._before_prompt = await self._tokenize(before, control=True)
        self._after_prompt = await self._tokenize(after, control=True)

    async def health(self) -> None:
        """Return if the server is well and has the model; raise an EngineError if not."""
        await self._server.get("health")

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        return await self._tokenize(text, control=False)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        reply = await self._server.post("/detokenize", {"tokens": [*map(int, token_ids)]})
        return str(field(reply, "content", str))

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

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids`; one request a token."""
        self._check(prompt_ids, answer_ids, len(answer_ids))
        async with self._turns.mine():
            return [
                await self._step([*prompt_ids, *answer_ids[:at]], token)
                for at, token in enumerate(answer_ids)
            ]

    async def _next(self, tokens: list[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        step = await self._step(tokens, self._end_token)
        return step.top_ids, step.top_logprobs

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
