"""Faithful inference: miners are paid for really running one open model, token by token.

A challenge carries a prompt and a seed. The seed and the miner's own hotkey fix every token of
the answer, so an answer can neither be invented, nor recorded, nor taken from another miner. The
judge steps its own copy of the model along the miner's tokens and measures by how much each one
lost to what the seed prescribes. What a miner says about itself is recorded, never trusted.

What one answer is too short to show is added up: every answer is held against a floor of honest
ones, and a miner whose answers are worse than that, a little but always, or badly but seldom, is
banned in the end. See `Inference.memory` and docs/verification.md.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from chain.types import AccountId
from scoring.evidence import Trial
from scoring.latency import latency
from scoring.policies import Average, Memory
from scoring.shaping import shape
from scoring.verify import floors, logprobs, seedlock
from scoring.verify.statement import Outcome, Statement, least_answers
from scoring.verify.steps import Asked, fault
from subnet.definition import Judgement, Miner, MinerOptions, Subnet
from subnet.engines.base import Engine, Params, SeedLock, Step
from subnet.engines.choice import computes, open_engine
from subnet.engines.models import SMOLLM2_135M
from subnet.errors import DefinitionError, EngineRefused, RequestRefused
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
DOUBT = 0.01
"""Chance that a floor, a sample itself, makes honest answers look worse than they are."""
LEAST_P = 0.01
"""Without a seed lock an answer is worth nothing if one measure of it is less likely than this. A
floor of fewer than 100 answers could not say so of any."""

log = logging.getLogger(__name__)

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
    """False in a subclass: miners answer as chance has it, on servers that know no seed lock, and
    all that can be told is whether the model would have written the text."""
    memory = Memory(
        # As without a memory, while `weights.half_life_rounds` is left alone.
        mean=Average(half_life_rounds=8.0),
        # An honest miner is banned within 1,000 answers with a chance of 2 in a million or less, if
        # the floor holds for its engine: see `DOUBT`, and `Inference.find_floor`.
        trial=Trial(
            false_ban=1e-6,
            invalid=3.0,
            unknown=0.0,
            sentence=16,
            occasional=(0.05, 0.2),
            bad=0.021,  # what a floor of 256 answers can say, with `DOUBT`
        ),
    )

    engine: Engine
    floor: floors.Calibration | None = None
    """What honest answers look like to this judge, from whatever engine; see `calibrations`."""

    @asynccontextmanager
    async def judge(self) -> AsyncIterator[None]:
        """The judge's own copy of the model, and the floor that was measured for it."""
        self.floor = self.find_floor()
        advice = self.advice()
        if advice is not None:
            known = 0 if self.floor is None else self.floor.answers
            if not self.seed_locked and known < 1 / LEAST_P:  # the floor is all there is to go by
                raise DefinitionError(type(self).__qualname__, ": ".join(advice))
            log.warning("%s: %s", *advice)
        async with self._open() as self.engine:
            yield

    def calibrations(self) -> Sequence[floors.Calibration]:
        """The floors to choose from; a subclass adds those that `subnet calibrate` wrote for it."""
        return floors.shipped()

    def find_floor(self) -> floors.Calibration | None:
        """The widest floor by this judge's engine; a miner's engine is what it says and no more."""
        computed = computes(self.engine_settings)
        if computed is None or self.model_sha256 is None:
            return None
        return floors.widest(
            self.calibrations(),
            model_sha256=self.model_sha256,
            judge=computed,
            length=ANSWER_TOKENS,
            temperature=TEMPERATURE,
        )

    def advice(self) -> tuple[str, str] | None:
        """What a judge lacks without a floor or with a short one, and how to measure one."""
        floor, wanted = self.find_floor(), self._answers_wanted()
        if floor is None:
            computed = computes(self.engine_settings)
            judging = "a server" if computed is None else " ".join(computed)
            lost = (
                "answers are scored one by one, and no evidence is added up over many"
                if self.seed_locked
                else "without a seed lock there is nothing to judge by"
            )
            found = f"no honest floor of this model for a judge on {judging}: {lost}"
        elif not self.seed_locked and floor.answers < 1 / LEAST_P:
            found = f"floors of {floor.answers} answers tell nothing without a seed lock"
        elif floor.answers < wanted:
            found = f"a floor is of {floor.answers} answers: who cheats seldom is not found"
        else:
            return None
        return (
            found,
            f"subnet calibrate --judge ... --miner ... --length {ANSWER_TOKENS} --temperature"
            f" {TEMPERATURE} --answers {wanted}, once for every engine that miners may run; then"
            " add the files to the definition's calibrations()",
        )

    def _answers_wanted(self) -> int:
        """How many answers a floor must be of to say what the score and the trial ask of it."""
        wanted = math.ceil(1 / LEAST_P)
        memory: Memory | None = self.memory
        trial = None if memory is None else memory.trial
        if trial is None or not trial.occasional:
            return wanted
        return max(wanted, least_answers(trial.bad, DOUBT))

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
        asked = Asked(ask.max_tokens, self.engine.end_token, ask.temperature, VOCABULARY)
        wrong = fault(answer.tokens, asked)
        if wrong is not None:
            check = seedlock.CHECK if self.seed_locked else logprobs.CHECK
            statements = (Statement(check, Outcome.INVALID, wrong),) if self._fits(asked) else ()
            return Judgement(0.0, "incomplete", {"tokens": len(answer.tokens)}, statements)

        steps = await self.engine.score(await self.engine.chat(ask.prompt), answer.tokens)
        judge = self._score_locked if self.seed_locked else self._score_unlocked
        judgement = judge(ask, asked, bytes(AccountId.from_ss58(reply.hotkey)), steps)
        if latency(reply.timing.total_s, PAID_SECONDS) == 0.0:
            return replace(judgement, score=0.0, reason="late")
        return judgement

    def _score_locked(
        self, ask: Ask, asked: Asked, hotkey: bytes, steps: Sequence[Step]
    ) -> Judgement:
        """By the margins; what the text says of who wrote it is for the trial."""
        tokens, seed = [step.token for step in steps], bytes.fromhex(ask.seed)
        margins = seedlock.margins(steps, seed, hotkey, ask.temperature)
        faithful = seedlock.score_answer(
            steps,
            length=ask.max_tokens,
            end_token=self.engine.end_token,
            seed=seed,
            hotkey=hotkey,
            temperature=ask.temperature,
        )
        said: tuple[Statement, ...] = ()
        if self.floor is not None and self._fits(asked):
            lock, text = (
                self.floor.seedlock(DOUBT),
                self.floor.logprobs(reported=False, doubt=DOUBT),
            )
            said = (
                seedlock.verify(tokens, steps, asked, lock, seed=seed, hotkey=hotkey),
                logprobs.verify(tokens, steps, asked, text),
            )
        return Judgement(
            faithful,
            "faithful" if faithful >= 0.5 else "unfaithful",
            {
                "margin_mean": float(margins.mean()),
                "margin_max": float(margins.max()),
                "tokens": len(tokens),
            },
            said,
        )

    def _score_unlocked(
        self, ask: Ask, asked: Asked, hotkey: bytes, steps: Sequence[Step]
    ) -> Judgement:
        """By the text alone: 1 unless hardly any honest answer looks as bad in some measure."""
        if self.floor is None or not self._fits(asked):
            raise EngineRefused(f"no floor is of answers like {asked}")
        tokens = [step.token for step in steps]
        once, ever = (self.floor.logprobs(reported=False, doubt=doubt) for doubt in (0.0, DOUBT))
        seen = logprobs.verify(tokens, steps, asked, once)
        least = min((measure.p for measure in seen.measures), default=0.0)
        plausible = least >= LEAST_P
        return Judgement(
            float(plausible),
            "plausible" if plausible else "implausible",
            {"least_p": least, "tokens": len(tokens)},
            (logprobs.verify(tokens, steps, asked, ever),),
        )

    def _fits(self, asked: Asked) -> bool:
        """Whether the floor is of answers like this one."""
        floor = self.floor
        return floor is not None and (asked.length, asked.temperature) == (
            floor.length,
            floor.temperature,
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

            async with open_miner(options, self.engine_settings) as cheat:
                yield cheat
            return
        async with self._open(options) as engine:
            yield Honest(engine, options.hotkey, locked=self.seed_locked)

    @asynccontextmanager
    async def _open(self, options: MinerOptions | None = None) -> AsyncIterator[Engine]:
        """The engine of the settings, on the subnet's model."""
        assert self.model_sha256 is not None
        async with open_engine(
            self.engine_settings,
            self.model_sha256,
            path=None if options is None else options.model_file,
            allow_other_weights=options is not None and options.allow_other_weights,
        ) as engine:
            if self.seed_locked and not _locks(engine):
                log.warning(
                    "the server at %s keeps no seed lock: every token is chosen here and is a"
                    " request of its own; `subnet doctor` prints the line that starts a better one",
                    self.engine_settings.url,
                )
            yield engine

    async def _information(self, prompt: list[int], ask: Ask) -> float:
        """How much the seed has to say along an answer bound to nobody's hotkey, in nats."""
        params = _params(ask, bytes(32) if self.seed_locked else None, logprobs=seedlock.TOP)
        return seedlock.seed_information(
            await _answer(self.engine, prompt, params), ask.temperature
        )


class Honest:
    """Runs the model and takes, of its 64 likeliest tokens, the one the seed prescribes.

    Not `locked`, it takes whichever chance does.
    """

    def __init__(self, engine: Engine, hotkey: str, *, locked: bool = True) -> None:
        self._engine = engine
        self._hotkey = bytes(AccountId.from_ss58(hotkey)) if locked else None

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        """The tokens, and how likely the model held them to be."""
        prompt = await self._engine.chat(challenge.prompt)
        if len(prompt) > PROMPT_TOKENS:
            # No honest judge asks this; reading it would make everybody behind it late.
            raise RequestRefused(400, "prompt_too_long", f"at most {PROMPT_TOKENS} tokens are read")
        steps = await _answer(self._engine, prompt, _params(challenge, self._hotkey))
        return Tokens(
            tokens=tuple(step.token for step in steps),
            logprobs=tuple(round(step.logprob, 6) for step in steps),
        )


def _params(ask: Ask, hotkey: bytes | None, logprobs: int = 0) -> Params:
    """How `hotkey` has to answer; None is bound by nothing but the temperature."""
    lock = None if hotkey is None else SeedLock(bytes.fromhex(ask.seed), hotkey)
    # Without a lock the seed is still what makes a judge's tasks the same again.
    seed = None if lock or not logprobs else int(ask.seed[:8], 16)
    return Params(
        ask.max_tokens, temperature=ask.temperature, logprobs=logprobs, lock=lock, seed=seed
    )


def _locks(engine: Engine) -> bool:
    """Whether the engine follows a lock; those that run here all do."""
    return bool(getattr(engine, "locks", True))


async def _answer(engine: Engine, prompt: list[int], params: Params) -> list[Step]:
    """The engine's answer; where it keeps no lock itself, chosen here token by token."""
    lock = params.lock
    if lock is None or _locks(engine):
        async with aclosing(engine.generate(prompt, params)) as stream:
            return [Step(t.id, t.logprob, t.top_ids, t.top_logprobs) async for t in stream]
    steps: list[Step] = []

    def pick(at: int, ids: NDArray[np.int64], logprobs: NDArray[np.float64]) -> int:
        token = seedlock.choose(ids, logprobs, lock.seed, lock.hotkey, at, params.temperature)
        steps.append(Step(token, float(logprobs[ids == token][0]), ids, logprobs))
        return token

    await engine.sample(prompt, params.max_tokens, pick)
    return steps
