"""Faithful inference: miners are paid for really running one open model, token by token.

A challenge carries a prompt and a seed. The seed and the miner's own hotkey fix every token of
the answer, so an answer can neither be invented, nor recorded, nor taken from another miner. The
judge steps its own copy of the model along the miner's tokens and measures by how much each one
lost to what the seed prescribes. What a miner says about itself is recorded, never trusted.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar

from pydantic import Field

from chain.types import AccountId
from scoring.latency import latency
from scoring.shaping import shape
from scoring.verify import seedlock
from subnet.definition import Judgement, Miner, MinerOptions, Subnet
from subnet.engines.base import Engine, Params, SeedLock, Step
from subnet.engines.choice import open_engine
from subnet.engines.models import SMOLLM2_135M
from subnet.errors import RequestRefused
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.templates.inference.prompts import write_prompt

MODEL = SMOLLM2_135M
"""SmolLM2-135M-Instruct, Q4_1, Apache-2.0."""
ANSWER_TOKENS = 24
PROMPT_TOKENS = 80
"""Longest prompt, with everything the chat format adds: reading it is most of the work."""
TEMPERATURE = 0.8
VOCABULARY = 49152
SEED_BYTES = 16
PAID_SECONDS = 30.0
"""One wide bin: any answer this fast is worth the same, so speed and luck earn nothing."""
LEAST_SCORE = 0.1
"""Remembered scores below this are paid nothing."""

Token = Annotated[int, Field(ge=0, lt=VOCABULARY)]


class Ask(Challenge):
    """A prompt, and the seed that fixes what each hotkey has to say to it."""

    prompt: Annotated[str, Field(min_length=1, max_length=1000)]
    seed: Annotated[str, Field(pattern="^([0-9a-f]{2}){8,32}$")]
    max_tokens: Annotated[int, Field(ge=1, le=64)] = ANSWER_TOKENS
    temperature: Annotated[float, Field(gt=0, le=2)] = TEMPERATURE


class Tokens(Answer):
    """The answer as token ids, and the log-probabilities the miner says they had."""

    tokens: Annotated[tuple[Token, ...], Field(min_length=1, max_length=64)]
    logprobs: Annotated[tuple[float, ...], Field(max_length=64)] = ()


class Inference(Subnet[Ask, Tokens]):
    """Pays for the tokens that the seed prescribes."""

    challenge = Ask
    answer = Tokens
    timeout_s: ClassVar[float] = 60.0
    model_sha256: ClassVar[str | None] = MODEL.sha256
    seed_locked: ClassVar[bool] = True

    engine: Engine

    @asynccontextmanager
    async def judge(self) -> AsyncIterator[None]:
        """The judge's own copy of the model."""
        async with open_engine(self.engine_settings, MODEL.sha256) as self.engine:
            yield

    async def tasks(self, seed: bytes) -> AsyncIterator[Task[Ask]]:
        """Prompts to which the seed has much to say: where it has not, answers prove nothing."""
        for number in itertools.count():
            # Each task has a source of its own. One for all could be worked out from the tasks
            # that were asked, which show what it drew, and would then tell those to come.
            source = random.Random(hashlib.blake2b(seed + number.to_bytes(8, "little")).digest())
            ask = Ask(prompt=write_prompt(source), seed=source.randbytes(SEED_BYTES).hex())
            prompt = await self.engine.chat(ask.prompt)
            if len(prompt) > PROMPT_TOKENS:
                continue
            information = await self._information(prompt, ask)
            if information >= seedlock.ENOUGH_INFORMATION:
                yield Task(id=ask.seed, challenge=ask, reference=information)

    async def score(self, task: Task[Ask], reply: Reply[Tokens]) -> Judgement:
        """1 for the tokens the seed prescribes to this hotkey, falling to 0 with the margins."""
        ask, answer = task.challenge, reply.answer
        assert answer is not None
        if not seedlock.is_complete(answer.tokens, ask.max_tokens, self.engine.end_token):
            return Judgement(0.0, "incomplete", {"tokens": len(answer.tokens)})

        steps = await self.engine.score(await self.engine.chat(ask.prompt), answer.tokens)
        lock = (bytes.fromhex(ask.seed), bytes(AccountId.from_ss58(reply.hotkey)))
        margins = seedlock.margins(steps, *lock, ask.temperature)
        faithful = seedlock.score_answer(
            steps,
            length=ask.max_tokens,
            end_token=self.engine.end_token,
            seed=lock[0],
            hotkey=lock[1],
            temperature=ask.temperature,
        )
        in_time = latency(reply.timing.total_s, PAID_SECONDS)
        return Judgement(
            faithful * in_time,
            "late" if not in_time else "faithful" if faithful >= 0.5 else "unfaithful",
            {
                "margin_mean": float(margins.mean()),
                "margin_max": float(margins.max()),
                "tokens": len(answer.tokens),
            },
        )

    def prompt(self, challenge: Ask) -> str:
        """The prompt: the seed beside it is another one every time."""
        return challenge.prompt

    def weights(self, scores: Mapping[int, float]) -> Mapping[int, float]:
        """In proportion to the score, and nothing below `LEAST_SCORE`."""
        return shape(scores, floor=LEAST_SCORE)

    @asynccontextmanager
    async def miner(self, options: MinerOptions) -> AsyncIterator[Miner[Ask, Tokens]]:
        """The honest miner; other behaviours are for demos and tests and live in `cheats`."""
        if options.behaviour != "honest":
            from subnet.templates.inference.cheats import open_miner

            async with open_miner(options) as cheat:
                yield cheat
            return
        async with open_engine(
            self.engine_settings,
            MODEL.sha256,
            path=options.model_file,
            allow_other_weights=options.allow_other_weights,
        ) as engine:
            yield Honest(engine, options.hotkey)

    async def _information(self, prompt: list[int], ask: Ask) -> float:
        """How much the seed has to say along an answer bound to nobody's hotkey, in nats."""
        params = _locked(ask, bytes(32), logprobs=seedlock.TOP)
        steps = [
            Step(token.id, token.logprob, token.top_ids, token.top_logprobs)
            async for token in self.engine.generate(prompt, params)
        ]
        return seedlock.seed_information(steps, ask.temperature)


class Honest:
    """Runs the model and takes, of its 64 likeliest tokens, the one the seed prescribes."""

    def __init__(self, engine: Engine, hotkey: str) -> None:
        self._engine = engine
        self._hotkey = bytes(AccountId.from_ss58(hotkey))

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        """The prescribed tokens."""
        prompt = await self._engine.chat(challenge.prompt)
        if len(prompt) > PROMPT_TOKENS:
            # No honest judge asks this; reading it would make everybody behind it late.
            raise RequestRefused(400, "prompt_too_long", f"at most {PROMPT_TOKENS} tokens are read")
        tokens = [
            token async for token in self._engine.generate(prompt, _locked(challenge, self._hotkey))
        ]
        return Tokens(
            tokens=tuple(token.id for token in tokens),
            logprobs=tuple(round(token.logprob, 6) for token in tokens),
        )


def _locked(ask: Ask, hotkey: bytes, logprobs: int = 0) -> Params:
    """How `hotkey` has to answer."""
    return Params(
        ask.max_tokens,
        temperature=ask.temperature,
        logprobs=logprobs,
        lock=SeedLock(bytes.fromhex(ask.seed), hotkey),
    )
