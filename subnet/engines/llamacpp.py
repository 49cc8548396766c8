"""An engine over llama.cpp: its server in a child process, spoken to over loopback HTTP.

A child, because llama.cpp aborts the process it lives in when it is unhappy, cannot be stopped,
and writes to the terminal. One thread and one slot: log-probabilities then depend neither on load
nor on how a prompt was cut into batches (see `BATCH`), so two engines with one model agree to the
last bit, and the state of a prompt is re-used from answer to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import numpy as np
from numpy.typing import NDArray

from subnet.engines.base import TOP, Params, Pick, Step, Token
from subnet.engines.models import check_model
from subnet.engines.sampling import GrowingText, Sampler, check_request, check_tokens
from subnet.errors import EngineAway, EngineBusy, EngineRefused, Unsupported

logger = logging.getLogger(__name__)

BATCH = 32
"""Prompt tokens a batch. Flash attention computes 64 queries and more in tiles, in another order of
sums: below 64 a token has the same bits however it was batched; above, up to 0.6 nats apart."""

FAR = 1024
"""How far down a token is looked for that is only part of a character. Looking through the whole
vocabulary would cost a judge half a second a token."""

UNSEEN = -100.0
"""Log-probability reported for such a token beyond that: as good as impossible, and finite."""

_START_S = 120.0
_STOP_S = 1.0  # a model being loaded hears nothing; and there is nothing to lose
_IDLE_CLOSE_S = 3.0  # the server closes idle connections after 5 s, at times under our request
_LAST_BREATH_S = 0.2
_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


class Server(Protocol):
    """What an engine needs of llama.cpp's server: JSON there, JSON back, or an EngineError."""

    async def get(self, path: str) -> Any:
        """Return what lies at `path`."""

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return what `path` answers to `body`."""


class LlamaEngine:
    """One open model; see the `Engine` protocol. Use `async with LlamaEngine.open(...)`."""

    def __init__(
        self,
        server: Server,
        model_sha256: str,
        *,
        context: int,
        waiting_limit: int,
        slots: int = 1,
    ) -> None:
        self._server = server
        self._model_sha256 = model_sha256
        self._context = context
        self._waiting_limit = waiting_limit
        self._waiting = 0
        self._turn = asyncio.Semaphore(slots)
        self._vocabulary = 0
        self._end_token = -1
        self._before_prompt: list[int] = []
        self._after_prompt: list[int] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        sha256: str,
        allow_other_weights: bool = False,
        context: int = 1024,
        exact: bool = True,
        waiting_limit: int = 32,
        step_timeout_s: float = 60.0,
    ) -> AsyncIterator[LlamaEngine]:
        """Open the GGUF at `path` after checking its hash; prompt + answer fit `context` tokens.

        While one caller has its turn, `waiting_limit` more may wait. `step_timeout_s` is what one
        step (a whole prompt, or one token) may take before the engine counts as hanging.
        `allow_other_weights` is a weakening: it opens a file that is not the model asked for.
        `exact=False` computes as an untuned server would (no flash attention, whole prompts a
        batch): an honest engine with other arithmetic, to measure what a judge must forgive.

        Raises ModelMismatch (another file), EngineRefused (the file holds no usable model),
        EngineAway (the engine did not start), OSError (the file cannot be read).
        """
        found = await asyncio.to_thread(check_model, path, sha256, allow_other=allow_other_weights)
        async with _Server.run(
            path, context=context, exact=exact, timeout_s=step_timeout_s
        ) as server:
            engine = cls(server, found, context=context, waiting_limit=waiting_limit)
            await engine._learn_model()
            yield engine

    @property
    def model_sha256(self) -> str:
        """Hash of the model file that is really open."""
        return self._model_sha256

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""
        return self._end_token

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        return await self._tokenize(text, control=False)

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`, control tokens spelled out."""
        check_tokens(token_ids, self._vocabulary)
        reply = await self._server.post("/detokenize", {"tokens": list(token_ids)})
        return str(reply["content"])

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""
        return [*self._before_prompt, *await self.tokenize(prompt), *self._after_prompt]

    async def generate(
        self, prompt_ids: Sequence[int], params: Params
    ) -> AsyncGenerator[Token, None]:
        """Stream an answer; the end token is last if the model ends it before `max_tokens`."""
        self._check(prompt_ids, (), params.max_tokens)
        made: asyncio.Queue[Token | None] = asyncio.Queue()
        # Apart from the reader: one who reads slowly must not keep the others waiting.
        making = asyncio.create_task(self._make(prompt_ids, params, made))
        try:
            while (token := await made.get()) is not None:
                yield token
            await making
        finally:
            making.cancel()
            # Whoever closes the stream no longer cares how it would have ended.
            await asyncio.gather(making, return_exceptions=True)

    async def _make(
        self, prompt_ids: Sequence[int], params: Params, made: asyncio.Queue[Token | None]
    ) -> None:
        """Put the tokens of an answer into `made`, and None after the last, however it came."""
        sampler = Sampler(params)
        text = GrowingText(self.detokenize, self._end_token)
        answer: list[int] = []
        try:
            async with self._my_turn():
                while len(answer) < params.max_tokens and answer[-1:] != [self._end_token]:
                    step = await self._step([*prompt_ids, *answer], self._end_token)
                    token = sampler.choose(len(answer), step.top_ids, step.top_logprobs)
                    answer.append(token)
                    logprob = float(step.top_logprobs[step.top_ids == token][0])
                    gained = await text.add(token, last=len(answer) == params.max_tokens)
                    top = slice(params.logprobs)
                    made.put_nowait(
                        Token(token, gained, logprob, step.top_ids[top], step.top_logprobs[top])
                    )
        finally:
            made.put_nowait(None)

    async def sample(self, prompt_ids: Sequence[int], length: int, pick: Pick) -> list[int]:
        """Return up to `length` tokens, each picked by `pick`; the end token is last if picked."""
        self._check(prompt_ids, (), length)
        answer: list[int] = []
        async with self._my_turn():
            while len(answer) < length:
                step = await self._step([*prompt_ids, *answer], self._end_token)
                token = pick(len(answer), step.top_ids, step.top_logprobs)
                if token is None:
                    break
                check_tokens([token], self._vocabulary)
                answer.append(token)
                if token == self._end_token:
                    break
        return answer

    async def score(self, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> list[Step]:
        """Return what the model thought of each token of `answer_ids` after `prompt_ids`."""
        self._check(prompt_ids, answer_ids, len(answer_ids))
        async with self._my_turn():
            return [
                await self._step([*prompt_ids, *answer_ids[:at]], token)
                for at, token in enumerate(answer_ids)
            ]

    async def activations(
        self, prompt_ids: Sequence[int], answer_ids: Sequence[int]
    ) -> NDArray[np.float32]:
        """Raise Unsupported: llama.cpp's server keeps its hidden layers to itself."""
        raise Unsupported("llama.cpp", "activations")

    async def _learn_model(self) -> None:
        properties = await self._server.get("/props")
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

    async def _step(self, before: list[int], token: int) -> Step:
        """Return what the model thinks comes after `before`, seen from `token`."""
        seen = await self._likeliest(before, token, TOP)
        if seen is not None:
            return _as_step(token, seen["logprob"], seen["top_logprobs"])
        # llama.cpp keeps the probabilities of a token that is only part of a character to itself.
        seen = await self._likeliest(before, self._end_token, FAR)
        if seen is None:
            raise EngineAway("the engine reports no probabilities")
        likeliest = seen["top_logprobs"]
        found = (entry["logprob"] for entry in likeliest if entry["id"] == token)
        return _as_step(token, next(found, UNSEEN), likeliest[:TOP])

    async def _likeliest(self, before: list[int], token: int, count: int) -> Any:
        """Return llama.cpp's record of `token` after `before` with the `count` likeliest others."""
        request = {
            "prompt": before,
            "n_predict": 1,
            "n_probs": count,
            "temperature": 0.0,
            "samplers": ["temperature"],
            "cache_prompt": True,
            "response_fields": ["completion_probabilities"],
            # The bias decides the token; the log-probabilities reported are those without it.
            "logit_bias": [[token, 1000.0]],
        }
        seen = (await self._server.post("/completion", request)).get("completion_probabilities")
        if not seen:
            return None
        if seen[0]["id"] != token:
            raise EngineAway(f"token {token} was forced and {seen[0]['id']} came")
        return seen[0]

    async def _tokenize(self, text: str, *, control: bool) -> list[int]:
        request = {"content": text, "parse_special": control, "add_special": False}
        reply = await self._server.post("/tokenize", request)
        return [int(token) for token in reply["tokens"]]

    def _check(self, prompt_ids: Sequence[int], answer_ids: Sequence[int], length: int) -> None:
        """Raise EngineRefused for what llama.cpp would ignore, or refuse halfway through."""
        check_request(
            prompt_ids, answer_ids, length, vocabulary=self._vocabulary, context=self._context
        )

    @contextlib.asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        if self._waiting > self._waiting_limit:
            raise EngineBusy(self._waiting_limit)
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1


def _as_step(token: int, logprob: float, likeliest: list[dict[str, Any]]) -> Step:
    # JSON has no word for what is no number: llama.cpp writes null.
    if logprob is None or any(entry["logprob"] is None for entry in likeliest):
        raise EngineAway("the model computed no numbers")
    return Step(
        token=token,
        logprob=logprob,
        top_ids=np.array([entry["id"] for entry in likeliest], dtype=np.int64),
        top_logprobs=np.array([entry["logprob"] for entry in likeliest], dtype=np.float64),
    )


class _Server:
    """The child process, its last words, and requests to it."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._last_lines: deque[str] = deque(maxlen=50)
        self._session: aiohttp.ClientSession

    @classmethod
    @contextlib.asynccontextmanager
    async def run(
        cls, path: Path, *, context: int, exact: bool, timeout_s: float
    ) -> AsyncIterator[_Server]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(Path(__file__).with_name("llama_server.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Threads that spin while they wait starve the other processes of a small machine.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
        server = cls(process, timeout_s)
        listening = asyncio.create_task(server._listen())
        key = secrets.token_hex(16)
        settings = {
            "path": str(path),
            "context": context,
            "batch": BATCH if exact else context,
            "flash_attention": exact,
            "key": key,
        }
        try:
            address = await server._start(settings)
            async with aiohttp.ClientSession(
                address,
                headers={"Authorization": f"Bearer {key}"},
                connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE_CLOSE_S),
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as server._session:
                yield server
        finally:
            await server._stop()
            await listening

    async def get(self, path: str) -> Any:
        return await self._request("GET", path, None)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        return await self._request("POST", path, body)

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        # Every request only reads, so one that met a closing connection can be sent again.
        for attempt in range(2):
            try:
                async with self._session.request(method, path, json=body) as response:
                    raw = await response.read()
            except TimeoutError as error:
                self._kill()
                raise EngineAway(f"no answer within {self._timeout_s:g} s") from error
            except aiohttp.ClientError as error:
                if attempt == 0 and not await self._is_dead():
                    continue
                raise EngineAway(self._obituary()) from error
            reply = json.loads(raw)
            if response.status == 200:
                return reply
            problem = str(reply.get("error", {}).get("message", response.reason))
            raise EngineRefused(problem) if response.status < 500 else EngineAway(problem)
        raise AssertionError("unreachable")

    async def _start(self, settings: dict[str, Any]) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                with contextlib.suppress(ConnectionError):
                    self._process.stdin.write(json.dumps(settings).encode() + b"\n")
                    await self._process.stdin.drain()
                address = (await self._process.stdout.readline()).decode().strip()
                if not address:
                    if await self._process.wait() < 0:  # by a signal: no memory left, say
                        raise EngineAway(self._obituary())
                    raise EngineRefused(f"cannot open {settings['path']}: {self._obituary()}")
        except TimeoutError as error:
            raise EngineAway(f"it did not start within {_START_S:g} s") from error
        return address

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._last_lines.append(line.decode(errors="replace").strip())
            logger.debug("llama.cpp: %s", self._last_lines[-1])

    async def _is_dead(self) -> bool:
        """Say whether the process ended; a crash breaks the connection a moment before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _LAST_BREATH_S)
        return self._process.returncode is not None

    def _obituary(self) -> str:
        errors = [line.partition(" E ")[2].strip() for line in self._last_lines if " E " in line]
        said = (errors or [*self._last_lines, "it said nothing"])[0]
        if self._process.returncode is None:
            return f"no connection: {said}"
        return f"exit code {self._process.returncode}: {said}"

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def _stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._kill()
            await self._process.wait()
