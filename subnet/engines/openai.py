"""An engine over a model server that runs elsewhere: vLLM, or llama.cpp's own server, at a URL.

The server computes; nothing over HTTP proves with which weights. `model_sha256` is what its
operator says: a judge must run its own server, or one it trusts. Every number is checked for shape
and sense, and a server is asked for nothing it would silently leave out. Servers that do not report
token ids are refused: texts are no evidence.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.verify import seedlock
from subnet.engines.base import TOP, Params, SeedLock, Step, Token
from subnet.engines.checked import ROUNDING, UNKNOWN, Entries, field, step_of, token_ids
from subnet.engines.http import ANSWER_BYTES, ModelServer, complaint, parse
from subnet.engines.llama_server import LlamaServerEngine
from subnet.engines.locked import Lock
from subnet.engines.sampling import GrowingText, check_text, check_tokens
from subnet.engines.served import ServedEngine
from subnet.engines.turns import Turns
from subnet.errors import EngineAway, EngineBusy, EngineRefused, Unsupported

logger = logging.getLogger(__name__)

SERVE_FLAGS = (
    f"--max-logprobs {TOP} --logits-processors subnet.engines.vllm_seedlock:SeedLockProcessor"
)
"""What `vllm serve` needs besides its model; and no speculative decoding."""

_KEEP_CHECKING = 16
"""Every so many seed-locked answers one is checked: behind one URL there may be many servers."""

_MOST_CUTS = 256
"""Requests that reading one text may take; a text of nothing but control tokens takes many."""

_SPARE_EVENTS = 16
"""Of a stream, that bring no token: every event has the timeout anew, so they must have an end."""

_PROBE_TOKENS = 8
_HELD = 8  # tokens of bytes; no character has more
_PLACES = ("\N{OBJECT REPLACEMENT CHARACTER}", "A")  # no token begins or ends both
_TOKEN_BYTES = 1 << 13  # of JSON, for one token with its `TOP` likeliest
_MOST_BYTES = 1 << 28
_CONTROL = re.compile(r"<.*[^\W\d_].*>|\[.*[^\W\d_].*\]", re.DOTALL)
"""How control tokens are spelled. No ordinary token has both letters and brackets: the tokenizers
of today's models cut text between the two first."""


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    sha256: str,
    model: str | None = None,
    api_key: str | None = None,
    end_token: int | None = None,
    slots: int = 32,
    waiting_limit: int = 64,
    timeout_s: float = 60.0,
) -> AsyncIterator[OpenAIEngine | LlamaServerEngine]:
    """Open the model server at `url`, whichever of the kinds we know it is.

    `model` is its name there, and may be left out where the server has only one. `sha256` is what
    the operator says the weights are. `slots` requests are sent at once and `waiting_limit` more
    wait. `timeout_s` is what the first token, every further one, and any other answer may take.
    `end_token` has to be named where the model's chat format does not show it.

    Raises EngineRefused (another model, or a server that cannot give what an engine needs),
    EngineBusy, EngineAway.
    """
    async with ModelServer.connect(url, key=api_key, timeout_s=timeout_s) as server:
        listed = await server.get("v1/models")
        name, card = _choose_model(listed, model, server.quote)
        if card.get("owned_by") == "llamacpp":
            yield await LlamaServerEngine.learn(server, sha256, slots, waiting_limit)
        else:
            context = card.get("max_model_len")
            engine = OpenAIEngine(server, name, sha256, slots=slots, waiting_limit=waiting_limit)
            await engine._learn_model(context, end_token)
            yield engine


class OpenAIEngine(ServedEngine):
    """vLLM's server, or one that speaks as it does; see the `Engine` protocol and `connect`."""

    def __init__(
        self,
        server: ModelServer,
        model: str,
        sha256: str,
        *,
        slots: int,
        waiting_limit: int,
    ) -> None:
        super().__init__(server, sha256, Turns(slots, waiting_limit))
        self._model = model
        self._vocabulary = UNKNOWN
        self._locks = False
        self._locked_answers = itertools.count(1)

    @property
    def model(self) -> str:
        """The name under which the server has the model."""
        return self._model

    @property
    def locks(self) -> bool:
        """Whether the server followed a seed lock when it was opened."""
        return self._locks

    async def health(self) -> None:
        """Return if the server is well and has the model; raise an EngineError if not."""
        await self._server.health()
        listed = await self._server.get("v1/models")
        _choose_model(listed, self._model, self._server.quote)

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text.

        The server reads control tokens wherever they are spelled. A text in which it finds one is
        cut inside of each, and read in parts.
        """
        check_text(text)
        ids: list[int] = []
        parts = [text] if text else []
        asked = 0
        while parts:
            asked += 1
            if asked > _MOST_CUTS:
                raise EngineRefused("the text spells too many control tokens")
            part = parts.pop()
            found, pieces = await self._read_text(part)
            spelled = {piece for piece in pieces if _CONTROL.fullmatch(piece) and piece in part}
            if spelled:
                either = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
                cuts = [0, *(one.start() + 1 for one in re.finditer(either, part)), len(part)]
                parts += [part[at:to] for at, to in itertools.pairwise(cuts)][::-1]
            else:
                ids += found
        return ids

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        if len(token_ids) == 0:
            return ""
        reply = await self._post("detokenize", {"tokens": [*map(int, token_ids)]})
        return str(field(reply, "prompt", str))

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids`, read in one pass."""
        self._check(prompt_ids, answer_ids, len(answer_ids))
        if len(answer_ids) == 0:
            return []
        tokens = [*prompt_ids, *answer_ids]
        body = self._asked(tokens, Params(1, temperature=0.0)) | {"prompt_logprobs": TOP}
        async with self._turns.mine():
            choice = await self._complete(body, len(tokens))
        seen = field(choice, "prompt_logprobs", list)
        if len(seen) != len(tokens):
            raise EngineAway(f"it scored {len(seen)} of {len(tokens)} tokens")
        return [
            step_of(token, _scored(record))
            for token, record in zip(answer_ids, seen[len(prompt_ids) :], strict=True)
        ]

    # One answer

    async def _make(
        self, prompt_ids: Sequence[int], params: Params, hand_over: Callable[[Token], None]
    ) -> None:
        locked = params.lock is not None
        checked = locked and next(self._locked_answers) % _KEEP_CHECKING == 1
        async with self._turns.mine():
            answer = self._answer(prompt_ids, params, checked=checked)
            async with contextlib.aclosing(answer):
                async for token in answer:
                    hand_over(token)

    async def _answer(
        self, prompt_ids: Sequence[int], params: Params, *, checked: bool
    ) -> AsyncGenerator[Token, None]:
        """Yield the tokens of a whole answer; `checked` looks whether each follows the lock."""
        wanted = TOP if checked else params.logprobs
        top = slice(params.logprobs)
        lock = _lock_of(params)
        text = _Text(self.detokenize, self._end_token)
        answer: list[int] = []
        choices = self._stream(prompt_ids, params, wanted)
        async with contextlib.aclosing(choices):
            async for choice in choices:
                steps = _steps(choice, wanted)
                for step in steps:
                    self._check_next(answer, step, params)
                    if checked and lock is not None:
                        _check_lock(step, lock, len(answer))
                    answer.append(step.token)
                last = choice.get("finish_reason") is not None
                ids = [step.token for step in steps]
                gained = await text.add(ids, field(choice, "text", str), last=last)
                for at, step in enumerate(steps, 1):
                    yield Token(
                        step.token,
                        gained if at == len(steps) else "",
                        step.logprob,
                        step.top_ids[top],
                        step.top_logprobs[top],
                    )
        if len(answer) < params.max_tokens and answer[-1:] != [self._end_token]:
            raise EngineAway(f"it ended an answer after {len(answer)} tokens, with no end token")

    async def _stream(
        self, prompt_ids: Sequence[int], params: Params, logprobs: int
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the parts of one streamed completion; return only once it is whole."""
        body = self._asked(prompt_ids, params) | {
            "logprobs": logprobs,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        sent = heard = 0
        finished = done = False
        events = self._server.stream("v1/completions", body)
        async with contextlib.aclosing(events):
            async for event in events:
                if event == "[DONE]":
                    done = True
                    break
                heard += 1
                if heard > 2 * params.max_tokens + _SPARE_EVENTS:
                    raise EngineAway(f"it sent {heard} events and {sent} tokens of an answer")
                chunk = parse(event)
                self._raise_error(chunk)
                if not field(chunk, "choices", list):
                    _check_usage(chunk, sent)
                    continue
                choice = self._choice(chunk)
                if finished:
                    raise EngineAway("it went on after the end of an answer")
                finished = choice.get("finish_reason") is not None
                sent += len(choice.get("token_ids") or [])
                yield choice
        if not (finished and done):
            raise EngineAway(f"it hung up after {sent} tokens of an answer")

    def _asked(self, prompt_ids: Sequence[int], params: Params) -> dict[str, Any]:
        """Return the request of one answer.

        Every sampling parameter is named: what is left out, vLLM takes from the model's own files.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": [*map(int, prompt_ids)],
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "seed": params.seed,
            "min_p": 0.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "repetition_penalty": 1.0,
            # One token ends an answer, and it is this one, whatever else the model's files name.
            "ignore_eos": True,
            "stop_token_ids": [self._end_token] if self._end_token >= 0 else [],
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "add_special_tokens": False,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }
        lock = _lock_of(params)
        if lock is not None:
            # The processor leaves one token to choose from; nothing else may have a say.
            body |= {"temperature": 0.0, "vllm_xargs": lock.arguments()}
        return body

    def _check_next(self, answer: list[int], step: Step, params: Params) -> None:
        if len(answer) == params.max_tokens:
            raise EngineAway(f"it sent more than {params.max_tokens} tokens")
        if answer[-1:] == [self._end_token]:
            raise EngineAway("it went on after the end token")
        if step.token >= self._vocabulary:
            raise EngineAway(f"it sent token {step.token}, which the model has not")

    def _raise_error(self, chunk: object) -> None:
        """Raise what an error object inside a stream says: the status was sent long ago."""
        if not isinstance(chunk, dict) or "error" not in chunk:
            return
        error = chunk["error"]
        code = error.get("code") if isinstance(error, dict) else None
        said = self._server.quote(complaint(chunk) or "it does not say what")
        if code in (429, 503):
            raise EngineBusy(self._turns.taken)
        if isinstance(code, int) and 400 <= code < 500:
            raise EngineRefused(f"{said} ({code})")
        raise EngineAway(f"it broke off an answer: {said}")

    async def _next(
        self, tokens: list[int], temperature: float = 0.0
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        body = self._asked(tokens, Params(1, temperature=temperature)) | {"logprobs": TOP}
        steps = _steps(await self._complete(body, 1), TOP)
        if len(steps) != 1:
            raise EngineAway(f"asked for one token, it sent {len(steps)}")
        return steps[0].top_ids, steps[0].top_logprobs

    # What kind of server this is

    async def _learn_model(self, context: object, end_token: int | None) -> None:
        if not isinstance(context, int) or isinstance(context, bool) or context < 2:
            raise EngineRefused("the server does not say how long its context is; it is no vLLM")
        self._context = context - 1  # `score` has to let it add a token
        first, second = [await self._read_chat(user=place) for place in _PLACES]
        self._before_prompt = _common_start(first, second)
        self._after_prompt = _common_end(first, second)
        self._end_token = await self._find_end() if end_token is None else end_token
        self._vocabulary = await self._count_vocabulary()
        await self._ensure_honest_logprobs()
        self._locks = await self._follows_locks()

    async def _find_end(self) -> int:
        """Return the token that the chat format puts after what a model said."""
        first, second = [await self._read_chat(user="A", model=place) for place in _PLACES]
        after = _common_end(first, second)
        if not after:
            raise EngineRefused("the chat format does not show which token ends an answer; name it")
        return after[0]

    async def _count_vocabulary(self) -> int:
        """Return how many tokens there are, which vLLM only tells in an error."""
        body = {"prompt": [0], "max_tokens": 1, "logit_bias": {str(UNKNOWN - 1): 0}}
        try:
            await self._post("v1/completions", body)
        except EngineRefused as error:
            found = re.search(r"[Vv]ocab(?:ulary)? size: (\d{1,9})\b", error.problem)
            if found:
                return int(found[1])
        return UNKNOWN

    async def _ensure_honest_logprobs(self) -> None:
        """Raise EngineRefused if the server reports too few, or those of what it sampled from."""
        prompt = await self.chat("Tell me something.")
        try:
            ids, cold = await self._next(prompt, 0.5)
        except EngineRefused as error:
            raise EngineRefused(
                f"the server reports no {TOP} likeliest tokens: start it with --max-logprobs {TOP} "
                f"({error.problem})"
            ) from None
        again, hot = await self._next(prompt, 2.0)
        shared = np.intersect1d(ids, again, return_indices=True)
        moved = np.abs(cold[shared[1]] - hot[shared[2]])
        if not moved.size or moved.max() > 1.0:
            raise EngineRefused(
                "the server reports log-probabilities after temperature: "
                "start it with --logprobs-mode raw_logprobs"
            )

    async def _follows_locks(self) -> bool:
        lock = SeedLock(secrets.token_bytes(32), secrets.token_bytes(32))
        params = Params(_PROBE_TOKENS, temperature=1.5, lock=lock, logprobs=TOP)
        try:
            prompt = await self.chat("Tell me something.")
            answer = self._answer(prompt, params, checked=True)
            async with contextlib.aclosing(answer):
                async for _ in answer:
                    pass
        except (EngineRefused, _NotLocked) as error:
            logger.info("the model server follows no seed lock: %s", error)
            return False
        return True

    async def _read_text(self, text: str) -> tuple[list[int], list[str]]:
        """Return the token ids of `text`, and how each of them is spelled."""
        body = {"prompt": text, "add_special_tokens": False, "return_token_strs": True}
        limit = ANSWER_BYTES + 64 * len(text.encode())
        reply = await self._server.post("tokenize", {"model": self._model, **body}, limit)
        ids = token_ids(field(reply, "tokens", list))
        pieces = field(reply, "token_strs", list)
        if len(pieces) != len(ids) or not all(isinstance(piece, str) for piece in pieces):
            raise EngineAway("it spelled its tokens in a way that makes no sense")
        return ids, pieces

    async def _read_chat(self, user: str, model: str | None = None) -> list[int]:
        messages = [{"role": "user", "content": user}]
        if model is not None:
            messages.append({"role": "assistant", "content": model})
        body = {"messages": messages, "add_generation_prompt": model is None}
        return token_ids(field(await self._post("tokenize", body), "tokens", list))

    async def _complete(self, body: dict[str, Any], tokens: int) -> dict[str, Any]:
        """Return the choice that answers `body`, with log-probabilities of so many tokens."""
        limit = min(ANSWER_BYTES + tokens * _TOKEN_BYTES, _MOST_BYTES)
        return self._choice(await self._server.post("v1/completions", body, limit))

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return await self._server.post(path, {"model": self._model, **body})

    def _choice(self, answer: object) -> dict[str, Any]:
        """Return the one choice of a completion by our model."""
        choices = field(answer, "choices", list)
        if len(choices) != 1 or not isinstance(choices[0], dict):
            raise EngineAway("asked for one answer, it sent another number of them")
        model = field(answer, "model", str)
        if model != self._model:
            wanted, came = self._server.quote(self._model), self._server.quote(model)
            raise EngineAway(f"asked for {wanted}, {came} answered")
        return choices[0]


class _Text:
    """What an answer's text gains: what the server says, unless that is doubtful.

    A server holds back bytes that are no character yet, and those that never become one get lost
    or doubled on the way. From the first such byte on, the text is decoded by requests of its own.
    """

    def __init__(self, decode: Callable[[Sequence[int]], Awaitable[str]], end_token: int) -> None:
        self._decode = decode
        self._end_token = end_token
        self._before: list[int] = []
        self._held: list[int] = []
        self._own: GrowingText | None = None

    async def add(self, ids: list[int], text: str, *, last: bool) -> str:
        """Return what the text gained with `ids`, which the server says is `text`."""
        if self._own is None:
            self._held += ids
            lost = last and not text and self._held not in ([], [self._end_token])
            if not (lost or "\ufffd" in text or (not text and len(self._held) > _HELD)):
                if text:
                    self._before, self._held = self._held, []
                return text
            self._own = GrowingText(self._decode, self._end_token)
            for at, token in enumerate(self._before, 1):
                await self._own.add(token, last=at == len(self._before))
            ids = self._held
        gained = [
            await self._own.add(token, last=last and at == len(ids))
            for at, token in enumerate(ids, 1)
        ]
        return "".join(gained)


class _NotLocked(Unsupported):
    """A token came that the seed did not prescribe."""


def _choose_model(
    listed: object, wanted: str | None, quote: Callable[[str], str]
) -> tuple[str, dict[str, Any]]:
    """Return the name and the card of the wanted model; EngineRefused if it is not served."""
    cards = [card for card in field(listed, "data", list) if isinstance(card, dict)]
    named = {name: card for card in cards if isinstance(name := card.get("id"), str)}
    if wanted is None and len(named) == 1:
        return next(iter(named.items()))
    if wanted in named:
        return wanted, named[wanted]
    names = quote(", ".join(sorted(named)[:8]))
    if wanted is None:
        raise EngineRefused(f"the server has several models ({names}): name one")
    raise EngineRefused(f"the server has no model {wanted}; it has {names or 'none'}")


# What a server said, checked


def _check_usage(chunk: dict[str, Any], sent: int) -> None:
    """Raise EngineAway if the server counted other tokens than it sent."""
    usage = chunk.get("usage")
    counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if counted is not None and counted != sent:
        raise EngineAway(f"it counted {counted} tokens and sent {sent}")


def _steps(choice: dict[str, Any], count: int) -> list[Step]:
    """Return the tokens of a completion, or of a part of one, with their `count` likeliest."""
    if choice.get("token_ids") is None and choice.get("logprobs") is not None:
        raise EngineRefused("the server reports no token ids; it is no vLLM that we know")
    ids = token_ids(choice.get("token_ids") or [])
    if not ids:
        return []
    seen = field(choice, "logprobs", dict)
    own, tops = field(seen, "token_logprobs", list), field(seen, "top_logprobs", list)
    if not len(own) == len(tops) == len(ids):
        raise EngineAway(f"it sent {len(ids)} tokens and {len(own)} log-probabilities")
    steps = []
    for token, logprob, top in zip(ids, own, tops, strict=True):
        step = step_of(token, _named(top), count)
        if step.logprob != logprob:
            raise EngineAway(f"it reported two log-probabilities of token {token}")
        steps.append(step)
    return steps


def _named(top: object) -> Entries:
    """Return the entries of {"token_id:5": -1.0, ...}."""
    if not isinstance(top, dict):
        raise EngineAway("it left out the likeliest tokens")
    entries: Entries = []
    for name, logprob in top.items():
        number = name.removeprefix("token_id:")
        if number == name or not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise EngineRefused("the server names tokens by their text; it is no vLLM that we know")
        entries.append((int(number), logprob))
    return entries


def _scored(record: object) -> Entries:
    """Return the entries of {"5": {"logprob": -1.0, "rank": 3, ...}, ...}."""
    if not isinstance(record, dict):
        raise EngineAway("it left out the log-probabilities of the prompt")
    entries: Entries = []
    for name, entry in record.items():
        if not (name.isascii() and name.isdecimal() and len(name) < 10):
            raise EngineAway("it sent a token id that is none")
        entries.append((int(name), entry.get("logprob") if isinstance(entry, dict) else None))
    return entries


def _lock_of(params: Params) -> Lock | None:
    if params.lock is None:
        return None
    rule = (params.temperature, params.top_p, params.top_k)
    return Lock(params.lock.seed, params.lock.hotkey, *rule)


def _check_lock(step: Step, lock: Lock, position: int) -> None:
    keyed = (lock.seed, lock.hotkey, position, lock.temperature)
    if seedlock.margin(step, *keyed, top_p=lock.top_p, top_k=lock.top_k) > ROUNDING:
        raise _NotLocked("openai", "seed-locked answers: its server did not follow the lock")


def _common_start(first: list[int], second: list[int]) -> list[int]:
    pairs = zip(first, second, strict=False)
    return [one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _common_end(first: list[int], second: list[int]) -> list[int]:
    return _common_start(first[::-1], second[::-1])[::-1]
