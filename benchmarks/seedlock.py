"""Scores of the seed-locked check: honest answers and every cheat on the same prompts.

Prints the tables of docs/seedlock-calibration.md. Needs the model in the cache:

    subnet model fetch && python benchmarks/seedlock.py --prompts 30
    python benchmarks/seedlock.py --information 60      how much choice a task needs
    python benchmarks/seedlock.py --hotkeys 8           one engine behind many hotkeys; needs torch
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scoring.verify import seedlock
from subnet.engines.base import Engine, Params, Pick, SeedLock, Step
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.engines.torch_engine import TransformersEngine
from subnet.engines.truncated import truncated_model
from subnet.templates.inference.prompts import write_prompt

LENGTH = 24
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16"
WORDS = (
    "river stone lamp paper market engine copper bread winter music garden silver doctor planet "
    "window coffee island orange letter bridge candle forest mirror pepper sailor temple violin "
    "wagon anchor basket carpet desert feather hammer jacket kettle ladder marble needle parrot"
).split()


def words(rng: random.Random, count: int) -> list[str]:
    """Return `count` different words."""
    return rng.sample(WORDS, count)


def story(rng: random.Random) -> str:
    """Open-ended: nearly every token is a choice."""
    a, b, c = words(rng, 3)
    return f"Write a short story about a {a}, a {b} and the number {rng.randrange(100, 1000)}."


def advice(rng: random.Random) -> str:
    """Open-ended, in another register."""
    a, b = words(rng, 2)
    return f"Explain how a {a} could be used to repair a {b} within {rng.randrange(3, 60)} days."


def lookup(rng: random.Random) -> str:
    """A record and a question about it: little choice."""
    names = words(rng, 4)
    record = ", ".join(f"{name}: {rng.randrange(10, 1000)}" for name in names)
    return f"Here are some prices. {record}. What is the price of the {rng.choice(names)}?"


def repeat(rng: random.Random) -> str:
    """Nothing to choose, if the model does as told."""
    return f"Repeat these words exactly: {' '.join(words(rng, 6))}"


FAMILIES: tuple[Callable[[random.Random], str], ...] = (story, advice, lookup, repeat)


@dataclass(frozen=True)
class Case:
    """One prompt, the lock on its answer, and what seed-locked answers to it look like."""

    family: str
    text: str
    prompt: list[int]
    seed: bytes
    temperature: float
    information: float
    """Nats that the reference answer carries."""


@dataclass(frozen=True)
class Judged:
    """What the judge found of one answer."""

    score: float
    margins: NDArray[np.float64]


@dataclass
class Bench:
    """The judge, an honest miner, an honest miner with other arithmetic, and a downgraded one."""

    judge: LlamaEngine
    honest: LlamaEngine
    other: LlamaEngine
    downgraded: LlamaEngine
    hotkey: bytes = b"\x01" * 32
    discarded: int = 0
    """Cases that carried too little."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Bench]:
        """Open four engines in four processes."""
        path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
        short = truncated_model(path, 27)
        async with (
            LlamaEngine.open(path, sha256=sha256) as judge,
            LlamaEngine.open(path, sha256=sha256) as honest,
            LlamaEngine.open(path, sha256=sha256, exact=False) as other,
            LlamaEngine.open(short, sha256=sha256, allow_other_weights=True) as downgraded,
        ):
            yield cls(judge, honest, other, downgraded)

    def pick(self, case: Case, hotkey: bytes | None = None) -> Pick:
        """Return what the lock of `case` prescribes for `hotkey`."""
        key = self.hotkey if hotkey is None else hotkey
        return lambda position, ids, logprobs: seedlock.choose(
            ids, logprobs, case.seed, key, position, case.temperature
        )

    async def case(self, rng: random.Random, family: Callable[[random.Random], str]) -> Case:
        """Make a case and measure how much its reference answer carries."""
        text, seed, temperature = family(rng), rng.randbytes(16), rng.choice((0.8, 0.9, 1.0))
        prompt = await self.judge.chat(text)
        case = Case(family.__name__, text, prompt, seed, temperature, 0.0)
        steps = await self.judge.score(
            prompt, await self.judge.sample(prompt, LENGTH, self.pick(case, b"reference"))
        )
        information = seedlock.seed_information(steps, temperature)
        return Case(family.__name__, text, prompt, seed, temperature, information)

    async def cases(self, rng: random.Random, count: int) -> list[Case]:
        """Return `count` cases whose reference carries enough, the families in turn."""
        kept: list[Case] = []
        while len(kept) < count:
            case = await self.case(rng, FAMILIES[len(kept) % len(FAMILIES)])
            if case.information >= seedlock.ENOUGH_INFORMATION:
                kept.append(case)
            else:
                self.discarded += 1
        return kept

    async def answer(self, kind: str, case: Case, sibling: Case) -> list[int]:
        """Return what a miner of this kind answers; `sibling` was asked and recorded before."""
        started = time.perf_counter()
        answer = await KINDS[kind](self, case, sibling)
        if kind == "honest":
            self.seconds["sample"].append((time.perf_counter() - started) / len(answer))
        return answer

    async def judged(self, case: Case, answer: Sequence[int]) -> Judged:
        """Step the judge's engine along one answer."""
        started = time.perf_counter()
        steps = await self.judge.score(case.prompt, answer) if answer else []
        if len(answer) == LENGTH:
            self.seconds["force"].append((time.perf_counter() - started) / LENGTH)
        score = seedlock.score_answer(
            steps,
            length=LENGTH,
            end_token=self.judge.end_token,
            seed=case.seed,
            hotkey=self.hotkey,
            temperature=case.temperature,
        )
        return Judged(score, seedlock.margins(steps, case.seed, self.hotkey, case.temperature))


Miner: TypeAlias = Callable[[Bench, Case, Case], Awaitable[list[int]]]


async def honest(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The model, the seed, the own hotkey."""
    return await bench.honest.sample(case.prompt, LENGTH, bench.pick(case))


async def other_arithmetic(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """Honest, on an engine that sums in another order."""
    return await bench.other.sample(case.prompt, LENGTH, bench.pick(case))


async def downgraded(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The seed followed with the first 27 of the model's 30 layers."""
    return await bench.downgraded.sample(case.prompt, LENGTH, bench.pick(case))


async def counting(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """A text that any model finds likely once it has begun."""
    return (await bench.honest.tokenize(COUNTING))[:LENGTH]


async def recorded_sibling(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """An honest answer to another prompt of the same family."""
    return await honest(bench, sibling, case)


async def relayed(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """Another miner's honest answer to the same challenge."""
    return await bench.honest.sample(case.prompt, LENGTH, bench.pick(case, b"\x02" * 32))


async def wrong_seed(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The model, sampled with a seed of one's own."""
    return await honest(bench, replace(case, seed=b"wrong"), sibling)


async def likeliest(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The model without any seed: always the likeliest token."""
    return await bench.honest.sample(
        case.prompt, LENGTH, lambda position, ids, logprobs: int(ids[0])
    )


async def seed_without_model(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The right noise over log-probabilities recorded once, wherever."""
    start = await bench.honest.tokenize("The")
    prior = (await bench.honest.score(start, start))[0]
    pick = bench.pick(case)
    picked = [pick(position, prior.top_ids, prior.top_logprobs) for position in range(LENGTH)]
    return [token for token in picked if token is not None]


async def half(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """Honest for half of the tokens, then counting."""
    first = await bench.honest.sample(case.prompt, LENGTH // 2, bench.pick(case))
    first = [token for token in first if token != bench.judge.end_token]
    return [*first, *await counting(bench, case, sibling)][:LENGTH]


async def echo(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """The prompt itself, over and over."""
    return (await bench.honest.tokenize(case.text * 3))[:LENGTH]


async def end_at_once(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """Nothing but the end token."""
    return [bench.judge.end_token]


async def end_early(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """Honest for six tokens, then the end token."""
    first = await bench.honest.sample(case.prompt, 6, bench.pick(case))
    return [*(token for token in first if token != bench.judge.end_token), bench.judge.end_token]


async def nothing(bench: Bench, case: Case, sibling: Case) -> list[int]:
    """No tokens at all."""
    return []


KINDS: dict[str, Miner] = {
    miner.__name__: miner
    for miner in (
        *(honest, other_arithmetic, downgraded, counting, recorded_sibling, relayed, wrong_seed),
        *(likeliest, seed_without_model, half, echo, end_at_once, end_early, nothing),
    )
}


async def measure(
    bench: Bench, prompts: int, seed: int, kinds: Sequence[str]
) -> dict[str, list[Judged]]:
    """Judge every kind of miner on the same `prompts` prompts."""
    rng = random.Random(seed)
    cases = await bench.cases(rng, prompts)
    judged: dict[str, list[Judged]] = {kind: [] for kind in kinds}
    # Of the same family where there are enough of them.
    far = len(FAMILIES) if prompts > len(FAMILIES) else 1
    for at, case in enumerate(cases):
        sibling = cases[at - far]
        for kind in kinds:
            judged[kind].append(await bench.judged(case, await bench.answer(kind, case, sibling)))
    return judged


BINS = (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, math.inf)
"""Nats of the reference answer, by which answers are put together."""

LOCKS = 50
"""Every answer is held against so many that are not its own: noise is cheap, models are not."""


@dataclass(frozen=True)
class Carried:
    """What one prompt's reference carries, and who passes with an answer that has no such lock."""

    nats: float
    foreign: tuple[float, ...]
    """Scores of the reference under other hotkeys: what a relay and a copy have."""
    likeliest: tuple[float, ...]
    """Scores of the likeliest tokens."""


async def carried(count: int, seed: int) -> AsyncIterator[Carried]:
    """Ask `count` prompts of all kinds, hot and cold, and discard none."""
    rng = random.Random(seed)
    kinds = (*FAMILIES, write_prompt)
    async with LlamaEngine.open(
        get_model(SMOLLM2_135M.sha256), sha256=SMOLLM2_135M.sha256
    ) as judge:
        for at in range(count):
            prompt = await judge.chat(kinds[at % len(kinds)](rng))
            lock, temperature = rng.randbytes(16), rng.choice((0.2, 0.3, 0.5, 0.8, 1.0))
            hotkeys = [rng.randbytes(32) for _ in range(LOCKS)]

            def scores(
                steps: Sequence[Step],
                lock: bytes = lock,
                hotkeys: Sequence[bytes] = hotkeys,
                temperature: float = temperature,
            ) -> tuple[float, ...]:
                return tuple(
                    seedlock.score_answer(
                        steps,
                        length=LENGTH,
                        end_token=judge.end_token,
                        seed=lock,
                        hotkey=hotkey,
                        temperature=temperature,
                    )
                    for hotkey in hotkeys
                )

            reference = await walk(judge, prompt, lock, b"reference", temperature)
            likeliest = await walk(judge, prompt, None, b"", temperature)
            nats = seedlock.seed_information(reference, temperature)
            yield Carried(nats, scores(reference), scores(likeliest))


async def print_information(count: int, seed: int) -> None:
    """Print who passes, by what the prompt carries."""
    show_information([found async for found in carried(count, seed)])


def show_information(rows: Sequence[Carried]) -> None:
    """Print the table."""
    print(f"{len(rows)} prompts, answers of {LENGTH} tokens, each held against {LOCKS} locks")
    print(f"{'nats':>10}{'prompts':>9}   share that scores one half: foreign, likeliest")
    for low, high in itertools.pairwise(BINS):
        within = [row for row in rows if low <= row.nats < high]
        if within:
            foreign, likeliest = (
                float(np.mean([np.array(scores) >= 0.5 for scores in kind]))
                for kind in ([row.foreign for row in within], [row.likeliest for row in within])
            )
            print(f"{low:5g}-{high:<4g}{len(within):9}{foreign:14.4f}{likeliest:11.4f}")


async def walk(
    engine: LlamaEngine, prompt: list[int], seed: bytes | None, hotkey: bytes, temperature: float
) -> list[Step]:
    """Return the steps of an answer under a lock, or of the likeliest tokens without one."""
    steps: list[Step] = []

    def pick(position: int, ids: NDArray[np.int64], logprobs: NDArray[np.float64]) -> int:
        token = int(ids[0])
        if seed is not None:
            token = seedlock.choose(ids, logprobs, seed, hotkey, position, temperature)
        steps.append(Step(token, float(logprobs[ids == token][0]), ids, logprobs))
        return token

    await engine.sample(prompt, LENGTH, pick)
    return steps


async def print_hotkeys(most: int, seed: int) -> None:
    """Ask one engine for 1, 2, 4 ... hotkeys at once, and print how long the last one waits."""
    path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
    async with LlamaEngine.open(path, sha256=sha256) as engine:
        await print_load("llama.cpp", engine, most, seed)
    async with TransformersEngine.open(path, sha256=sha256) as batching:
        await print_load("torch", batching, most, seed)


async def print_load(name: str, engine: Engine, most: int, seed: int) -> None:
    """Every round asks one hotkey alone and then all at once: both meet the same machine."""
    rng, rounds = random.Random(seed), 3

    async def seconds(prompt: list[int], hotkeys: int) -> float:
        started = time.perf_counter()
        locks = [SeedLock(rng.randbytes(16), rng.randbytes(32)) for _ in range(hotkeys)]
        await asyncio.gather(*(drain(engine, prompt, lock) for lock in locks))
        return time.perf_counter() - started

    await seconds(await engine.chat("warm"), 1)
    hotkeys = 2
    while hotkeys <= most:
        ratios, alone = [], []
        for _ in range(rounds):
            # No prompt twice: the state of one that was read is kept.
            prompts = [await engine.chat(story(rng)) for _ in range(2)]
            alone.append(await seconds(prompts[0], 1))
            ratios.append(await seconds(prompts[1], hotkeys) / alone[-1])
        print(
            f"{name}: {hotkeys} hotkeys at once: {np.median(ratios):.2f} x one alone "
            f"({min(ratios):.2f} to {max(ratios):.2f}; alone {np.median(alone):.2f} s)"
        )
        hotkeys *= 2


async def drain(engine: Engine, prompt: list[int], lock: SeedLock) -> None:
    """Have one locked answer made to its end."""
    async for _ in engine.generate(prompt, Params(LENGTH, temperature=0.8, lock=lock)):
        pass


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--information", type=int, default=0, metavar="PROMPTS")
    parser.add_argument("--hotkeys", type=int, default=0, metavar="MOST")
    options = parser.parse_args()
    if options.information:
        asyncio.run(print_information(options.information, options.seed))
    elif options.hotkeys:
        asyncio.run(print_hotkeys(options.hotkeys, options.seed))
    else:
        asyncio.run(print_table(options.prompts, options.seed))


async def print_table(prompts: int, seed: int) -> None:
    """Measure and print."""
    async with Bench.open() as bench:
        judged = await measure(bench, prompts, seed, list(KINDS))
    print(f"{prompts} prompts asked, {bench.discarded} discarded for carrying too little")
    for what, seconds in bench.seconds.items():
        print(f"{what}: {1000 * float(np.median(seconds)):.1f} ms a token, prompt included")
    print(
        f"{'answer':20}{'score min':>10}{'mean':>9}{'max':>9}"
        f"{'margin mean min':>17}{'max':>8}{'largest':>9}"
    )
    for kind, rows in judged.items():
        scores = [row.score for row in rows]
        means = [float(row.margins.mean()) if row.margins.size else 0.0 for row in rows]
        largest = max((float(row.margins.max()) for row in rows if row.margins.size), default=0.0)
        print(
            f"{kind:20}{min(scores):10.4f}{np.mean(scores):9.4f}{max(scores):9.4f}"
            f"{min(means):17.4f}{max(means):8.4f}{largest:9.2f}"
        )


if __name__ == "__main__":
    main()
