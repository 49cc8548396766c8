"""Tokens per second through our engines, against the same libraries called bare.

All sides answer the same prompts with as many callers at once, as many threads, in the same
precision and with the log-probability of every token, in turns within one run; medians of the
rounds. Speeds are by the clock; "cpu" compares tokens for each second of processor time, of this
process and its children, which says more where a machine has other work. Prints the tables of
docs/engines.md. Needs the model in the cache:

    subnet model fetch && python -m benchmarks.engines
    python -m benchmarks.engines --engine torch --device cuda --tokens 128
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
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import aiohttp

from subnet.engines.base import Engine, Params, SeedLock
from subnet.engines.llamacpp import BATCH, LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from tests.engines import llama_server

THINGS = "river stone lamp market engine bread winter garden silver planet window coffee".split()
CONTEXT = 256

Prompts: TypeAlias = list[list[int]]
Side: TypeAlias = Callable[[Prompts], Awaitable[int]]
"""Answers all prompts at once and returns how many tokens came."""
Bare: TypeAlias = dict[str, tuple[Side, str]]
"""Ways to call the library, each with the side of ours that it is compared with."""


def ours(engine: Engine, tokens: int) -> dict[str, Side]:
    """Return how our engine answers: by itself, and under a seed lock, as miners do."""

    async def answer(prompt: list[int], params: Params) -> int:
        return len([token async for token in engine.generate(prompt, params)])

    async def free(prompts: Prompts) -> int:
        params = Params(tokens, temperature=0.0)
        return sum(await asyncio.gather(*(answer(prompt, params) for prompt in prompts)))

    async def locked(prompts: Prompts) -> int:
        locks = [SeedLock(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in prompts]
        return sum(
            await asyncio.gather(
                *(
                    answer(prompt, Params(tokens, temperature=0.8, lock=lock))
                    for prompt, lock in zip(prompts, locks, strict=True)
                )
            )
        )

    return {"free": free, "locked": locked}


@contextlib.asynccontextmanager
async def llamacpp(
    path: Path, options: argparse.Namespace, slots: int
) -> AsyncIterator[tuple[Engine, Bare]]:
    """Our engine, and llama.cpp's own server with as many slots."""
    settings = {
        "path": str(path),
        "context": CONTEXT,
        "batch": BATCH,
        "flash_attention": True,
        "key": "",
        "slots": slots,
    }
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
            aiohttp.ClientSession(
                address.decode().strip(),
                timeout=aiohttp.ClientTimeout(total=None),
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
            ) as session,
            LlamaEngine.open(
                path, sha256=SMOLLM2_135M.sha256, context=CONTEXT, slots=slots
            ) as engine,
        ):

            async def ask(request: dict[str, Any]) -> dict[str, Any]:
                request = {"temperature": 0.0, "cache_prompt": True, "ignore_eos": True} | request
                async with session.post("/completion", json=request) as response:
                    answer: dict[str, Any] = await response.json()
                    return answer

            async def whole(prompt: list[int], n_probs: int) -> int:
                asked = {"prompt": prompt, "n_predict": options.tokens, "n_probs": n_probs}
                return int((await ask(asked))["tokens_predicted"])

            async def steps(prompt: list[int]) -> int:
                """What a seed lock needs of the server: the likeliest, token by token."""
                asked = {"n_predict": 1, "n_probs": 64, "return_tokens": True}
                text = list(prompt)
                for _ in range(options.tokens):
                    text += (await ask({"prompt": text} | asked))["tokens"]
                return int(options.tokens)

            async def told(prompts: Prompts) -> int:
                return sum(await asyncio.gather(*(whole(prompt, 1) for prompt in prompts)))

            async def plain(prompts: Prompts) -> int:
                return sum(await asyncio.gather(*(whole(prompt, 0) for prompt in prompts)))

            async def stepped(prompts: Prompts) -> int:
                return sum(await asyncio.gather(*map(steps, prompts)))

            yield (
                engine,
                {
                    "whole answers": (told, "free"),
                    "no log-probabilities": (plain, "free"),
                    "token by token": (stepped, "locked"),
                },
            )
        child.stdin.close()


@contextlib.asynccontextmanager
async def transformers(
    path: Path, options: argparse.Namespace, slots: int
) -> AsyncIterator[tuple[Engine, Bare]]:
    """Our engine, and transformers' own generate() on the prompts as one padded batch."""
    import torch
    from transformers import AutoModelForCausalLM

    from subnet.engines.torch_engine import TransformersEngine

    async with TransformersEngine.open(
        path, sha256=SMOLLM2_135M.sha256, device=options.device, dtype=options.dtype, slots=slots
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

        yield engine, {"one padded batch": (bare, "free")}


async def prompts_of(engine: Engine, count: int, number: int) -> Prompts:
    """Return prompts of one length: nobody finds those of another number in its memory."""
    return [
        await engine.tokenize(
            f"Story {number + 1000}, of {THINGS[at % 12]} and {at + 10}. It is a long one:"
        )
        for at in range(count)
    ]


def seconds() -> tuple[float, float]:
    """Return the time by the clock, and that of processors spent by this process and children."""
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                ticks += int(fields[11]) + int(fields[12])
    return time.perf_counter(), time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def first_of(bare: Bare) -> str:
    """Return the way to call the library that everything is compared with."""
    return next(iter(bare))


async def compare(
    name: str, engine: Engine, bare: Bare, count: int, rounds: int, made: int
) -> None:
    """Time all sides in turns; print a row for each way to call the library."""
    own = ours(engine, made)
    sides = own | {way: side for way, (side, _) in bare.items()}
    speeds: dict[str, list[tuple[float, float]]] = {way: [] for way in sides}
    for round_ in range(rounds):
        for at, (way, side) in enumerate(sides.items()):
            prompts = await prompts_of(engine, count, 100 * count + 10 * round_ + at)
            before = seconds()
            tokens = await side(prompts)
            wall, cpu = (after - since for after, since in zip(seconds(), before, strict=True))
            speeds[way].append((tokens / wall, tokens / cpu))
    medians = {way: median(wall for wall, _ in speed) for way, speed in speeds.items()}
    for mine, way in [(mine, way) for way, (_, mine) in bare.items()] + [
        ("locked", first_of(bare))
    ]:
        pairs = list(zip(speeds[mine], speeds[way], strict=True))
        wall, cpu = (median(our[of] / their[of] for our, their in pairs) for of in (0, 1))
        print(
            f"{name:10}{count:>8}  {mine:8}{medians[mine]:>9.1f}  {way:22}{medians[way]:>9.1f}"
            f"{wall:>8.2f}{cpu:>8.2f}",
            flush=True,
        )


async def judge(name: str, engine: Engine, count: int, rounds: int, length: int) -> None:
    """Print the processor time of reading answers, relative to making them, all at once."""
    params = Params(length, temperature=0.8, seed=1)

    async def answer(prompt: list[int]) -> list[int]:
        return [token.id async for token in engine.generate(prompt, params)]

    async def time_of(task: Callable[[list[int], list[int]], Awaitable[object]]) -> float:
        since = seconds()[1]
        await asyncio.gather(*map(task, prompts, answers))
        return seconds()[1] - since

    async def both(prompt: list[int], said: list[int]) -> None:
        await engine.score(prompt, said)
        await engine.activations(prompt, said)

    for kind in ("many prompts", "one prompt"):
        shares: dict[str, list[float]] = {}
        for round_ in range(rounds):
            prompts = await prompts_of(engine, count, 100 + round_)
            if kind == "one prompt":
                prompts = prompts[:1] * count
            since = seconds()[1]
            answers = await asyncio.gather(*map(answer, prompts))
            making = seconds()[1] - since
            for way, task in (("score", engine.score), ("read", engine.read), ("both", both)):
                # Another engine's memory of the prompts, as a judge's is.
                await asyncio.gather(*(engine.score([5 + at] * 40, [6]) for at in range(4)))
                shares.setdefault(way, []).append(await time_of(task) / making)
        said = "  ".join(f"{way} {median(share):.0%}" for way, share in shares.items())
        print(f"{name:10}{count:>8}  judge, {kind:13} {said}", flush=True)


async def run(options: argparse.Namespace) -> None:
    """Print the tables."""
    path = options.model or get_model(SMOLLM2_135M.sha256)
    versions = " ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("xllamacpp", "torch", "transformers")
        if importlib.util.find_spec(package)
    )
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions}")
    print(f"{SMOLLM2_135M.name}, {options.tokens} tokens an answer, {options.rounds} rounds")
    print(
        f"{'engine':10}{'callers':>8}  {'ours':8}{'tok/s':>9}  {'bare':22}{'tok/s':>9}"
        f"{'ratio':>8}{'cpu':>8}"
    )
    for name in options.engine:
        if name == "torch" and not importlib.util.find_spec("torch"):
            print("torch: not measured, the torch extra is not installed")
            continue
        opened = {"llamacpp": llamacpp, "torch": transformers}[name]
        async with opened(path, options, options.slots) as (engine, bare):
            for count in options.concurrent:
                await compare(name, engine, bare, count, options.rounds, options.tokens)
            if options.judge:
                count = options.concurrent[-1]
                await judge(name, engine, count, options.rounds, options.judge)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", nargs="+", default=["llamacpp", "torch"])
    parser.add_argument("--concurrent", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--judge", type=int, default=0, help="tokens of the answers to be judged")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--model", type=Path)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
