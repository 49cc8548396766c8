"""`subnet calibrate` with real engines: what it writes is a floor, and what is wrong has a code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scoring.verify import floors
from subnet.cli import exits
from subnet.cli.app import app
from subnet.engines.calibration import Plan, honest_measures
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.errors import EngineRefused
from tests.engines.servers import KEY, llama_server_of


def calibrate(*options: str, code: int) -> Any:
    done = CliRunner().invoke(app, ["calibrate", *options])
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return done


@pytest.mark.model
def test_two_equal_engines_have_a_floor_without_margins(tmp_path: Path) -> None:
    out = tmp_path / "floor.json"
    done = calibrate("--answers", "2", "--length", "6", "--out", str(out), "--json", code=0)
    said = json.loads(done.stdout)
    floor = floors.loads(out.read_text())
    assert said["floor"] == str(out) and said["answers"] == 2
    assert said["model_sha256"] == floor.model_sha256 == SMOLLM2_135M.sha256
    assert (floor.miner.engine, floor.length, floor.answers) == ("llamacpp", 6, 2)
    # Equal engines agree to the last bit: the seed is followed without a hair's loss.
    assert floor.measures["seedlock.margin"] == (0.0, 0.0)
    assert floor.measures["logprobs.gap"] == (0.0, 0.0)
    assert floor.measures["toploc.mantissas"] == (0.0, 0.0)
    assert "2 of 2" in done.stderr


@pytest.mark.slow
@pytest.mark.model
def test_a_server_at_a_url_is_called_what_its_operator_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "floor.json"
    monkeypatch.setenv("SUBNET_ENGINE_KEY", KEY)
    with llama_server_of(get_model(SMOLLM2_135M.sha256), 1024) as url:
        pair = ["--miner", f"theirs:q4@{url}", "--judge", f"theirs:q4@{url}"]
        calibrate(*pair, "--answers", "2", "--length", "4", "--out", str(out), code=0)
    assert url not in out.read_text()
    floor = floors.loads(out.read_text())
    assert (floor.miner.engine, floor.miner.precision) == ("theirs", "q4")


class Shouting:
    """An engine that asks for more than it was asked."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def chat(self, prompt: str) -> list[int]:
        return await self._engine.chat(prompt + "!")


@pytest.mark.model
async def test_engines_that_read_a_prompt_differently_have_no_floor() -> None:
    path = get_model(SMOLLM2_135M.sha256)
    async with LlamaEngine.open(path, sha256=SMOLLM2_135M.sha256) as engine:
        plan = Plan(["Say something"], 4, 0.8, "seed")
        with pytest.raises(EngineRefused, match="different tokens"):
            await honest_measures(Shouting(engine), engine, plan)


@pytest.mark.slow
@pytest.mark.model
def test_torch_in_two_precisions_gives_activations_too(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the torch extra")
    out = tmp_path / "floor.json"
    pair = ["--miner", "torch:bfloat16", "--judge", "torch:float32"]
    calibrate(*pair, "--answers", "2", "--length", "40", "--out", str(out), code=0)
    floor = floors.loads(out.read_text())
    assert (floor.miner.precision, floor.judge.precision) == ("bfloat16", "float32")
    assert 0.0 < max(floor.measures["toploc.mantissas"]) < 6.0
    assert 0.0 < max(floor.measures["logprobs.gap"]) < 0.2


def test_what_is_wrong_has_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tmp_path / "prompts.txt"
    few.write_text("one\n\ntwo\n")
    binary = tmp_path / "prompts.bin"
    binary.write_bytes(b"\xff\xfe\n" * 9)
    for options in (
        ["--miner", "vllm"],
        ["--judge", "torch:int4"],
        ["--judge", "vllm@http://127.0.0.1:1"],
        ["--judge", "vllm:bfloat16@ftp://127.0.0.1"],
        ["--miner", "llamacpp:float32"],
        ["--prompts", str(few), "--answers", "3"],
        ["--prompts", str(binary), "--answers", "2"],
        ["--answers", "1"],
        ["--out", str(tmp_path)],
        ["--out", str(tmp_path / "no folder" / "floor.json")],
    ):
        assert calibrate(*options, code=exits.USAGE).stdout == ""
    monkeypatch.setenv("SUBNET_CACHE_DIR", str(tmp_path / "empty"))
    calibrate(code=exits.MODEL)
