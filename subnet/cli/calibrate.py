"""`subnet calibrate`: measure the honest floor between a miner's engine and a judge's."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from subnet.cli import output

if TYPE_CHECKING:
    from scoring.verify.floors import Calibration, Side
    from subnet.engines.base import Engine
    from subnet.engines.torch_engine import Precision

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ENGINES = (
    "llamacpp, llamacpp:untuned, torch:float32, torch:bfloat16, torch:float16, or a server as "
    "NAME:PRECISION@URL (vllm:bfloat16@http://127.0.0.1:8000)"
)
PACKAGES = {"llamacpp": ("xllamacpp",), "torch": ("torch", "transformers")}
SEED = "calibrate"


@app.command()
def calibrate(
    miner: Annotated[str, typer.Option(help=f"Who answers: {ENGINES}.")] = "llamacpp",
    judge: Annotated[str, typer.Option(help="Who judges: the same choices.")] = "llamacpp",
    answers: Annotated[int, typer.Option(min=2, help="How many honest answers.")] = 256,
    length: Annotated[int, typer.Option(min=1, max=512, help="Tokens an answer.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.05, max=2.0)] = 0.8,
    prompts: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="One prompt a line; else made up as a subnet does."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A GGUF file; else the model in the cache."),
    ] = None,
    device: Annotated[str, typer.Option(help="Of torch: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Of torch on the CPU.")] = 1,
    key: Annotated[
        str | None,
        typer.Option(envvar="SUBNET_ENGINE_KEY", help="Of a server; better in the environment."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Where to write the floor; else floor-MINER-JUDGE.json."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what honest answers look like to a judge, and write it down as a floor.

    One engine answers, the other judges, and every measure of every verifier is kept. A judge holds
    answers against the floor of just this model, precision, pair of engines, length and
    temperature. Exit 6 when the model is not in the cache.
    """
    from scoring.verify.floors import Calibration, dumps
    from subnet.engines.models import SMOLLM2_135M, get_model, hash_file

    target = out or Path(f"floor-{_word(miner)}-{_word(judge)}.json")
    if not target.parent.is_dir():  # now, and not after the last answer
        raise typer.BadParameter(f"there is no folder {target.parent}", param_hint="--out")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise typer.BadParameter(f"cannot write {target}", param_hint="--out")
    sides = _side(miner, device, "--miner"), _side(judge, device, "--judge")
    path = get_model(SMOLLM2_135M.sha256) if model is None else model
    sha256 = SMOLLM2_135M.sha256 if model is None else hash_file(path)
    asked = _prompts(prompts, answers)
    opened = _Opened(path, sha256, device, threads, key)
    with output.counted(f"{_called(miner)} answers, {_called(judge)} judges", answers) as done:
        measures = asyncio.run(_measure(opened, miner, judge, asked, length, temperature, done))
    floor = Calibration(
        model=SMOLLM2_135M.name if model is None else path.name,
        model_sha256=sha256,
        miner=sides[0],
        judge=sides[1],
        length=length,
        temperature=temperature,
        prompts="open questions" if prompts is None else prompts.name,
        answers=answers,
        measures=measures,
    )
    target.write_text(dumps(floor), encoding="utf-8")
    output.data(_facts(floor, target)) if json else output.result(_table(floor, target))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What every engine is opened with."""

    path: Path
    sha256: str
    device: str
    threads: int
    key: str | None

    @contextlib.asynccontextmanager
    async def engine(self, name: str) -> AsyncIterator[Engine]:
        called, _, url = name.partition("@")
        kind, _, precision = called.partition(":")
        if url:
            from subnet.engines.openai import connect

            async with connect(
                url, sha256=self.sha256, api_key=self.key, timeout_s=600.0
            ) as server:
                yield server
        elif kind == "llamacpp":
            from subnet.engines.llamacpp import LlamaEngine

            async with LlamaEngine.open(
                self.path, sha256=self.sha256, exact=precision != "untuned"
            ) as llama:
                yield llama
        else:
            from subnet.engines.torch_engine import TransformersEngine

            async with TransformersEngine.open(
                self.path,
                sha256=self.sha256,
                device=self.device,
                dtype=cast("Precision", precision),  # `_side` has let no other through
                threads=self.threads,
                step_timeout_s=600.0,
            ) as torch:
                yield torch


async def _measure(
    opened: _Opened,
    miner: str,
    judge: str,
    prompts: list[str],
    length: int,
    temperature: float,
    done: Any,
) -> dict[str, tuple[float, ...]]:
    from subnet.engines.calibration import Plan, honest_measures

    plan = Plan(prompts, length, temperature, SEED)
    async with opened.engine(miner) as answering, opened.engine(judge) as judging:
        return await honest_measures(answering, judging, plan, done=done)


def _side(name: str, device: str, option: str) -> Side:
    """Return how an engine computes; raise a usage error for one that there is not."""
    from scoring.verify.floors import Side

    called, _, url = name.partition("@")
    kind, _, precision = called.partition(":")
    if url.startswith(("http://", "https://")) and kind and precision:
        # What its operator says; the address is nobody's business.
        return Side(kind, precision, "elsewhere", {})
    known = {"llamacpp": ("", "untuned"), "torch": ("float32", "bfloat16", "float16")}
    if url or precision not in known.get(kind, ()):
        raise typer.BadParameter(f"{name!r} is none of {ENGINES}", param_hint=option)
    versions = {}
    for package in PACKAGES[kind]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    computed = precision or "file"
    return Side(kind, computed, device if kind == "torch" else "cpu", versions)


def _prompts(path: Path | None, count: int) -> list[str]:
    if path is None:
        from subnet.templates.inference.prompts import write_prompt

        source = random.Random(SEED)
        return [write_prompt(source) for _ in range(count)]
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is no text: {error}", param_hint="--prompts") from None
    if len(lines) < count:
        raise typer.BadParameter(
            f"{path} has {len(lines)} prompts for {count} answers", param_hint="--prompts"
        )
    return lines[:count]


def _called(engine: str) -> str:
    """Return an engine's name without the address of a server."""
    return engine.partition("@")[0]


def _word(engine: str) -> str:
    return re.sub(r"\W+", "-", _called(engine))


def _facts(floor: Calibration, target: Path) -> dict[str, Any]:
    return {
        "floor": str(target),
        "model_sha256": floor.model_sha256,
        "answers": floor.answers,
        "measures": {name: _quantiles(values) for name, values in sorted(floor.measures.items())},
    }


def _quantiles(values: tuple[float, ...]) -> dict[str, float]:
    at = len(values) - 1
    return {"median": values[at // 2], "p99": values[-(-at * 99 // 100)], "most": values[-1]}


def _table(floor: Calibration, target: Path) -> str:
    lines = [f"{'measure':22}{'median':>12}{'99%':>12}{'most':>12}"]
    for name, values in sorted(floor.measures.items()):
        row = _quantiles(values)
        lines.append(f"{name:22}" + "".join(f"{value:12.4g}" for value in row.values()))
    return "\n".join([*lines, f"{floor.answers} honest answers, written to {target}"])
