"""Tokens per second through our engines, against the same libraries called bare.

Both sides answer the same prompts greedily, with as many threads and in the same precision, in
turns within one run. Prints the table of docs/engines.md. Needs the model in the cache:

    subnet model fetch && python benchmarks/engines.py
    python benchmarks/engines.py --engine torch --device cuda --tokens 128
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import aiohttp

from subnet.engines import llama_server
from subnet.engines.base import Engine, Params
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model

THINGS = "river stone lamp market engine bread winter garden silver planet window coffee".split()

Prompts: TypeAlias = list[list[int]]
Side: TypeAlias = Callable[[Prompts], Awaitable[int]]
"""Answers all prompts at once and returns how many tokens came."""
Pair: TypeAlias = tuple[Engine, Side]


async def through_engine(engine: Engine, prompts: Prompts, tokens: int) -> int:
    """Answer all prompts by `generate`."""

    async def answer(prompt: list[int]) -> int:
        params = Params(tokens, temperature=0.0)
        return len([token async for token in engine.generate(prompt, params)])

    return sum(await asyncio.gather(*map(answer, prompts)))


@contextlib.asynccontextmanager
async def llamacpp(path: Path, options: argparse.Namespace) -> AsyncIterator[Pair]:
    """Our engine, and llama.cpp's server asked for whole answers."""
    # The same child with the same settings; what differs is who makes the answer.
    settings = {"path": str(path), "context": 1024, "batch": 32, "flash_attention": True, "key": ""}
    with subprocess.Popen(
        [sys.executable, "-P", llama_server.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(settings).encode() + b"\n")
        child.stdin.flush()
        address = await asyncio.to_thread(child.stdout.readline)
        async with (
            aiohttp.ClientSession(address.decode().strip()) as session,
            LlamaEngine.open(path, sha256=SMOLLM2_135M.sha256) as engine,
        ):

            async def answer(prompt: list[int]) -> int:
                request = {"prompt": prompt, "n_predict": options.tokens, "temperature": 0.0}
                async with session.post("/completion", json=request) as response:
                    return int((await response.json())["tokens_predicted"])

            async def bare(prompts: Prompts) -> int:
                return sum(await asyncio.gather(*map(answer, prompts)))

            yield engine, bare
        child.stdin.close()


@contextlib.asynccontextmanager
async def transformers(path: Path, options: argparse.Namespace) -> AsyncIterator[Pair]:
    """Our engine, and transformers' own generate() on the prompts as one padded batch."""
    import torch
    from transformers import AutoModelForCausalLM

    from subnet.engines.torch_engine import TransformersEngine

    async with TransformersEngine.open(
        path, sha256=SMOLLM2_135M.sha256, device=options.device, dtype=options.dtype
    ) as engine:
        device = "cuda" if options.device == "auto" and torch.cuda.is_available() else "cpu"
        device = device if options.device == "auto" else options.device
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
        dtype = dtype if options.dtype == "auto" else options.dtype
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=getattr(torch, dtype)
        ).to(device)

        def generate(prompts: Prompts) -> int:
            torch.set_num_threads(1)
            longest = max(map(len, prompts))
            padded = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
            mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
            made = model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=options.tokens,
                min_new_tokens=options.tokens,
                do_sample=False,
            )
            return int(made[:, longest:].numel())

        async def bare(prompts: Prompts) -> int:
            return await asyncio.to_thread(generate, prompts)

        yield engine, bare


async def compare(name: str, pair: Pair, options: argparse.Namespace) -> None:
    """Time both sides in turns and print a row for each number of callers."""
    engine, bare = pair
    for count in options.concurrent:
        prompts = [
            await engine.chat(f"Write a long story about a {THINGS[at % len(THINGS)]} and {at}.")
            for at in range(count)
        ]
        sides: tuple[Side, Side] = (
            lambda prompts: through_engine(engine, prompts, options.tokens),
            bare,
        )
        speeds: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.rounds):
            for side, speed in zip(sides, speeds, strict=True):
                started = time.perf_counter()
                made = await side(prompts)
                speed.append(made / (time.perf_counter() - started))
        ours, theirs = map(median, speeds)
        ratio = median(a / b for a, b in zip(*speeds, strict=True))
        print(f"{name:10}{count:>10}{ours:>12.1f}{theirs:>12.1f}{ratio:>8.2f}", flush=True)


async def run(options: argparse.Namespace) -> None:
    """Print the table."""
    path = options.model or get_model(SMOLLM2_135M.sha256)
    versions = " ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("xllamacpp", "torch", "transformers")
        if importlib.util.find_spec(package)
    )
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions}")
    print(f"{SMOLLM2_135M.name}, {options.tokens} tokens an answer, {options.rounds} rounds")
    print(f"{'engine':10}{'callers':>10}{'ours tok/s':>12}{'bare tok/s':>12}{'ratio':>8}")
    for name in options.engine:
        if name == "torch" and not importlib.util.find_spec("torch"):
            print("torch: not measured, the torch extra is not installed")
            continue
        async with {"llamacpp": llamacpp, "torch": transformers}[name](path, options) as pair:
            await compare(name, pair, options)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", nargs="+", default=["llamacpp", "torch"])
    parser.add_argument("--concurrent", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--model", type=Path)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
