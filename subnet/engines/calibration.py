"""The honest floor between two engines: one answers by the seed lock, the other judges it.

What honest answers look like depends on the arithmetic of both sides, and on nothing else that is
measured here. It is not the place to find out whether an engine is right: a wrong one gives a
wide floor, which whoever reads it will notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scoring.verify import logprobs, seedlock, toploc
from scoring.verify.floors import kept
from scoring.verify.steps import Asked
from subnet.engines.base import Engine, Params, SeedLock
from subnet.errors import EngineRefused, Unsupported

VOCABULARY = 1 << 31
"""Above any model's: an honest engine's ids are not checked here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked. The same plan asks the same; `seed` is any text."""

    prompts: Sequence[str]
    length: int
    temperature: float
    seed: str


async def honest_measures(
    miner: Engine,
    judge: Engine,
    plan: Plan,
    *,
    at_once: int = 16,
    done: Callable[[int], None] = lambda answers: None,
) -> dict[str, tuple[float, ...]]:
    """Return the measures of honest answers to all prompts, by "check.measure", as floors have.

    Those of activation proofs are there if both engines give activations. `at_once` prompts are
    worked on at a time; `done` is told how many answers are measured. Raises EngineRefused if the
    engines read a prompt differently, since then one of them is not honest.
    """
    places = asyncio.Semaphore(at_once)
    found: defaultdict[str, list[float]] = defaultdict(list)
    finished = 0

    async def one(at: int) -> None:
        nonlocal finished
        async with places:
            for name, value in (await _measure(miner, judge, plan, at)).items():
                found[name].append(value)
        finished += 1
        done(finished)

    try:
        async with asyncio.TaskGroup() as group:
            for at in range(len(plan.prompts)):
                group.create_task(one(at))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return {name: kept(values) for name, values in found.items()}


async def _measure(miner: Engine, judge: Engine, plan: Plan, at: int) -> dict[str, float]:
    text = plan.prompts[at]
    prompt = await judge.chat(text)
    if await miner.chat(text) != prompt:
        raise EngineRefused(f"the two engines read prompt {at} as different tokens")
    lock = SeedLock(drawn(plan, at, "seed"), drawn(plan, at, "hotkey"))
    params = Params(max_tokens=plan.length, temperature=plan.temperature, lock=lock)
    async with contextlib.aclosing(miner.generate(prompt, params)) as stream:
        answer = [token async for token in stream]
    tokens = [token.id for token in answer]
    asked = Asked(plan.length, judge.end_token, plan.temperature, VOCABULARY)
    steps = await judge.score(prompt, tokens)
    lost = seedlock.measure(steps, asked, seed=lock.seed, hotkey=lock.hotkey)
    found = {f"{seedlock.CHECK}.{name}": value for name, value in lost.items()}
    seen = logprobs.measure(steps, asked)
    seen["gap"] = logprobs.gap(steps, [token.logprob for token in answer])
    found |= {f"{logprobs.CHECK}.{name}": value for name, value in seen.items()}
    with contextlib.suppress(Unsupported):
        proofs = toploc.prove_all(await miner.activations(prompt, tokens))
        compared = toploc.measure(proofs, await judge.activations(prompt, tokens))
        found |= {f"{toploc.CHECK}.{name}": value for name, value in compared.items()}
    return found


def drawn(plan: Plan, at: int, what: str) -> bytes:
    """Return the 32 bytes of a plan's prompt `at` that are its "seed", or its "hotkey"."""
    return hashlib.sha256(f"{plan.seed}/{at}/{what}".encode()).digest()
