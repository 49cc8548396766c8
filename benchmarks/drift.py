"""Honest answers of every engine and of slight cheats, by both judges: the template's own floors.

Asks what the inference subnet asks (its prompts, 24 tokens, temperature 0.8). Every answer of every
engine is judged by llama.cpp and by torch in float32, and kept in a folder as soon as it is:

    subnet model fetch && python -m benchmarks.drift --folder A --floors scoring/verify/floor_data

An answer by llama.cpp takes a second and its judgement by llama.cpp another, so 100 prompts take
half an hour. The floors are what `subnet calibrate --length 24` measures of each pair; here an
answer is made once for both judges. Prints after how many answers the template's trial bans each
kind: the honest by their answers to every other prompt, held against floors of those between them;
cheats, and who gives int4's answers at a tenth or a quarter of them, against floors of all prompts.
Knows nothing of networks or of pay.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from scoring.verify import floors, logprobs, seedlock
from scoring.verify.steps import Asked
from subnet.engines.base import Engine, Params, SeedLock
from subnet.engines.calibration import VOCABULARY, Plan, drawn
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.templates.inference.definition import ANSWER_TOKENS, TEMPERATURE
from subnet.templates.inference.prompts import write_prompt

HONEST = ("llamacpp", "llamacpp untuned", "torch float32", "torch bfloat16")
Rows: TypeAlias = Sequence[dict[str, dict[str, dict[str, float]]]]
"""The measures of each prompt's answers: by judge, miner and "check.measure"."""
CHEATS = ("int8", "int4", "cooler")
COOLER = 0.9
"""What the temperature is multiplied by."""
JUDGES = ("llamacpp", "torch float32")
AT_ONCE = 16
"""Prompts: torch answers a batch of them."""
SEED = "calibrate"
"""As `subnet calibrate` has it: the same prompts and locks."""


async def measure_all(folder: Path, count: int, cheats: int) -> None:
    """Have the honest answer and judge `count` prompts, and the cheats the first so many.

    What is in the folder is passed over.
    """
    import torch

    from subnet.engines.torch_engine import TransformersEngine

    path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
    source = random.Random(SEED)
    plan = Plan([write_prompt(source) for _ in range(count)], ANSWER_TOKENS, TEMPERATURE, SEED)
    async with contextlib.AsyncExitStack() as stack:

        async def torch_engine(dtype: Any) -> TransformersEngine:
            opened = TransformersEngine.open(
                path, sha256=sha256, device="cpu", dtype=dtype, step_timeout_s=600.0
            )
            return await stack.enter_async_context(opened)

        async def llama(exact: bool) -> LlamaEngine:
            opened = LlamaEngine.open(
                path, sha256=sha256, exact=exact, waiting_limit=256, step_timeout_s=600.0
            )
            return await stack.enter_async_context(opened)

        engines: dict[str, Engine] = {
            "llamacpp": await llama(True),
            "llamacpp untuned": await llama(False),
            "torch float32": await torch_engine("float32"),
            "torch bfloat16": await torch_engine("bfloat16"),
        }
        for bits in (8, 4) if cheats else ():
            engine = await torch_engine("float32")
            round_layers(engine, bits)
            engines[f"int{bits}"] = engine
        engines["cooler"] = engines["torch float32"]
        torch.set_num_threads(1)
        places = asyncio.Semaphore(AT_ONCE)

        async def one(at: int) -> None:
            kept = folder / f"{at:04}.json"
            async with places:
                if not kept.is_file():
                    miners = (*HONEST, *CHEATS) if at < cheats else HONEST
                    rows = await measure_one(engines, plan, at, miners)
                    partial = kept.with_suffix(".part")
                    partial.write_text(json.dumps(rows))
                    partial.replace(kept)
                    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {at + 1} of {count}\n")

        await asyncio.gather(*map(one, range(count)))


def round_layers(engine: Any, bits: int) -> None:
    """Round the matrices of an open torch engine's layers to so many bits."""
    import torch

    from benchmarks.detection import rounded

    with torch.no_grad():
        for layer in engine._batch._model._model.model.layers:
            for module in layer.modules():
                if isinstance(module, torch.nn.Linear):
                    module.weight.copy_(rounded(module.weight, bits))


async def measure_one(
    engines: dict[str, Engine], plan: Plan, at: int, miners: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the measures of these miners' answers to one prompt, by judge and miner."""
    prompt = await engines["llamacpp"].chat(plan.prompts[at])
    lock = SeedLock(drawn(plan, at, "seed"), drawn(plan, at, "hotkey"))

    async def answer(miner: str) -> list[Any]:
        temperature = plan.temperature * (COOLER if miner == "cooler" else 1.0)
        params = Params(plan.length, temperature=temperature, lock=lock)
        async with contextlib.aclosing(engines[miner].generate(prompt, params)) as stream:
            return [token async for token in stream]

    answers = dict(zip(miners, await asyncio.gather(*map(answer, miners)), strict=True))

    async def judged(judge: str, miner: str) -> dict[str, float]:
        tokens = [token.id for token in answers[miner]]
        asked = Asked(plan.length, engines[judge].end_token, plan.temperature, VOCABULARY)
        steps = await engines[judge].score(prompt, tokens)
        lost = seedlock.measure(steps, asked, seed=lock.seed, hotkey=lock.hotkey)
        found = {f"{seedlock.CHECK}.{name}": value for name, value in lost.items()}
        seen = logprobs.measure(steps, asked)
        seen["gap"] = logprobs.gap(steps, [token.logprob for token in answers[miner]])
        return found | {f"{logprobs.CHECK}.{name}": value for name, value in seen.items()}

    async def by(judge: str) -> dict[str, dict[str, float]]:
        return {miner: await judged(judge, miner) for miner in miners}

    return dict(zip(JUDGES, await asyncio.gather(*map(by, JUDGES)), strict=True))


def floor_of(rows: Rows, miner: str, judge: str) -> floors.Calibration:
    """Return the floor of a pair, of the answers to all prompts in `rows`."""
    found = [row[judge][miner] for row in rows]
    return floors.Calibration(
        model=SMOLLM2_135M.name,
        model_sha256=SMOLLM2_135M.sha256,
        miner=SIDES[miner],
        judge=SIDES[judge],
        length=ANSWER_TOKENS,
        temperature=TEMPERATURE,
        prompts="open questions",
        answers=len(found),
        measures={name: floors.kept([row[name] for row in found]) for name in found[0]},
    )


def write_floors(rows: Rows, into: Path) -> None:
    """Write a floor for every pair with llama.cpp in it.

    Two torch engines have activations too, which are not taken here.
    """
    for judge in JUDGES:
        for miner in HONEST:
            if "llamacpp" in f"{judge} {miner}":
                names = [name.replace(" ", "-") for name in (miner, judge)]
                path = into / f"{names[0]}-{names[1]}-{ANSWER_TOKENS}.json"
                path.write_text(floors.dumps(floor_of(rows, miner, judge)), encoding="utf-8")


def banned(rows: Rows, judge: str) -> str:
    """Return, as Markdown, after how many answers the template's trial bans each kind."""
    from benchmarks.detection import bans

    rng = np.random.default_rng(1)
    honest = {miner: [row[judge][miner] for row in rows[1::2]] for miner in HONEST}
    cheats = {kind: [row[judge][kind] for row in rows if kind in row[judge]] for kind in CHEATS}
    if cheats["int4"]:
        for miner in HONEST:
            whole = [row[judge][miner] for row in rows]
            for share in (0.1, 0.25):
                sources = [cheats["int4"]] * round(4000 * share) + [whole] * round(
                    4000 * (1 - share)
                )
                name = f"{miner}, {100 * share:.0f}% int4"
                cheats[name] = [source[rng.integers(len(source))] for source in sources]
    table = bans(honest, _widest(rows[::2], judge), rng)
    if cheats["int4"]:
        more = bans(cheats, _widest(rows, judge), rng)
        table += more[more.index("\n", more.index("\n") + 1) :]
    return table


def _widest(rows: Rows, judge: str) -> floors.Calibration:
    side = SIDES[judge]
    found = floors.widest(
        [floor_of(rows, miner, judge) for miner in HONEST],
        model_sha256=SMOLLM2_135M.sha256,
        judge=(side.engine, side.precision, side.device),
        length=ANSWER_TOKENS,
        temperature=TEMPERATURE,
    )
    assert found is not None
    return found


def _versions(*packages: str) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


LLAMA, TORCH = _versions("xllamacpp"), _versions("torch", "transformers")
SIDES = {
    "llamacpp": floors.Side("llamacpp", "file", "cpu", LLAMA),
    "llamacpp untuned": floors.Side("llamacpp", "untuned", "cpu", LLAMA),
    "torch float32": floors.Side("torch", "float32", "cpu", TORCH),
    "torch bfloat16": floors.Side("torch", "bfloat16", "cpu", TORCH),
}


def main() -> None:
    """Answer and judge; print who is banned, and write the floors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--cheats", type=int, default=64, help="prompts that these answer too")
    parser.add_argument("--floors", type=Path, help="write floors here, at the end")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(measure_all(options.folder, options.prompts, options.cheats))
    rows = [json.loads(path.read_text()) for path in sorted(options.folder.glob("*.json"))]
    for judge in JUDGES:
        print(f"Judged by {judge}:\n\n{banned(rows, judge)}\n")
    if options.floors:
        write_floors(rows, options.floors)


if __name__ == "__main__":
    main()
