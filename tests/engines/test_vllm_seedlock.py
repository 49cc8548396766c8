"""The seed lock in real vLLM, on the CPU: locked answers pass judges that run other engines."""

from __future__ import annotations

import asyncio
import json
import os
import random
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scoring.verify import seedlock
from subnet.engines.base import Engine, Step
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.locked import Lock
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.engines.torch_engine import TransformersEngine
from tests.engines.servers import vllm_python

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.timeout(1500),
]


@dataclass(frozen=True)
class Asked:
    """One request, and the lock that its answer is judged by."""

    prompt: list[int]
    length: int
    lock: Lock
    locked: bool

    def as_json(self, more: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "length": self.length,
            "temperature": self.lock.temperature if self.length % 2 else 0.0,
            "lock": self.lock.arguments() if self.locked else None,
            "more": more or {},
        }

    def margins(self, steps: list[Step]) -> Any:
        lock = self.lock
        return seedlock.margins(
            steps,
            lock.seed,
            lock.hotkey,
            lock.temperature,
            top_p=lock.top_p,
            top_k=lock.top_k,
        )

    def score(self, steps: list[Step], end_token: int) -> float:
        return seedlock.score_answer(
            steps,
            length=self.length,
            end_token=end_token,
            seed=self.lock.seed,
            hotkey=self.lock.hotkey,
            temperature=self.lock.temperature,
            top_p=self.lock.top_p,
            top_k=self.lock.top_k,
        )


def write_safetensors(folder: Path) -> Path:
    """Write the model's GGUF, dequantised to float32, as a folder that vLLM opens."""
    source = str(get_model(SMOLLM2_135M.sha256).parent)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, gguf_file="model.gguf", dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file="model.gguf")
    finally:
        torch.set_num_threads(threads)
    # What it was read from, not what it is now; transformers would refuse to write it.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def install(folder: Path) -> Path:
    """Lay out what vLLM's Python sees of us: the packages, and the entry points of the project."""
    folder.mkdir()
    for package in ("scoring", "subnet"):
        (folder / package).symlink_to(ROOT / package)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    about = folder / "subnetkit-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: subnetkit\nVersion: 0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


async def ask_vllm(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Have vLLM answer `job` in a process of its own."""
    requests, answers = folder / "requests.json", folder / "answers.json"
    requests.write_text(json.dumps(job))
    process = await asyncio.create_subprocess_exec(
        vllm_python(),
        str(Path(__file__).with_name("vllm_answers.py")),
        str(requests),
        str(answers),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "PYTHONPATH": str(install(folder / "packages")),
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-3000:]
    found: dict[str, Any] = json.loads(answers.read_text())
    return found


def write_requests(prompts: list[list[int]]) -> list[Asked]:
    """More than are answered at once, of unlike lengths, so that rows change hands."""
    source = random.Random(4)
    return [
        Asked(
            prompt,
            (48, 33, 12, 5)[at % 4],
            Lock(source.randbytes(16), source.randbytes(32), 0.9, (1.0, 1.0, 0.9)[at % 3]),
            locked=at % 5 != 4,
        )
        for at, prompt in enumerate(prompts)
    ]


async def test_answers_locked_in_vllm_pass_other_judges(tmp_path: Path) -> None:
    vllm_python()  # or skip, before any work
    path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
    async with AsyncExitStack() as stack:
        llama = await stack.enter_async_context(LlamaEngine.open(path, sha256=sha256))
        subjects = "lamps bridges moss clocks otters maps salt kettles ropes tides".split()
        asked = write_requests([await llama.chat(f"Write about {one}.") for one in subjects])
        some = asked[0]
        half = {"seedlock_seed": "00"}
        job = {
            "model": str(write_safetensors(tmp_path / "model")),
            "context": 256,
            "at_once": 3,
            "asked": [one.as_json() for one in asked],
            "refused": [
                some.as_json({"repetition_penalty": 1.2}),
                some.as_json() | {"lock": half},
            ],
        }
        found = await ask_vllm(job, tmp_path)
        assert "repetition_penalty" in found["refused"][0]
        assert "seedlock_hotkey" in found["refused"][1]

        same = await stack.enter_async_context(TransformersEngine.open(path, sha256=sha256))
        judges: list[tuple[Engine, float]] = [(same, 0.01), (llama, 2.0)]
        for engine, floor in judges:
            for one, answer in zip(asked, found["answers"], strict=True):
                steps = list(await engine.score(one.prompt, answer))
                theirs = replace(one, lock=replace(one.lock, hotkey=b"theirs"))
                if one.locked:
                    assert one.margins(steps).max() <= floor
                    assert one.score(steps, engine.end_token) > 0.9
                elif len(answer) > 8:
                    assert one.score(steps, engine.end_token) < 0.5
                if len(answer) > 8:
                    assert theirs.score(steps, engine.end_token) < 0.5
