"""The settings name an engine, and that one is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from subnet.config import EngineTable, MinerSettings, load
from subnet.definition import load as load_definition
from subnet.engines.choice import open_engine
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M
from subnet.errors import EngineAway, InvalidSetting, ModelMismatch


def test_every_process_reads_its_engine(tmp_path: Path) -> None:
    file = tmp_path / "subnet.toml"
    file.write_text(f'[engine]\nkind = "torch"\nmodel = "{tmp_path}"\nslots = 4\n')
    table = load(MinerSettings, file=file, environment={"SUBNET_ENGINE_SLOTS": "5"}).engine
    assert (table.kind, table.model, table.slots) == ("torch", tmp_path, 5)
    flags = {"engine": {"kind": "openai"}}
    assert load(MinerSettings, file=file, environment={}, flags=flags).engine.kind == "openai"
    for key, value, problem in [
        ("KIND", "gpu", "--engine|KIND"),
        ("MODEL", str(tmp_path / "none"), "there is no file"),
        ("SLOTS", "0", "greater"),
    ]:
        with pytest.raises(InvalidSetting, match=problem):
            load(MinerSettings, file=file, environment={f"SUBNET_ENGINE_{key}": value})


def test_a_definition_is_told() -> None:
    table = EngineTable(kind="torch")
    name = "subnet.templates.inference:Inference"
    assert load_definition(name, engine=table).engine_settings is table
    assert load_definition(name).engine_settings == EngineTable()


async def test_a_server_needs_its_address() -> None:
    with pytest.raises(InvalidSetting, match=r"engine\.url"):
        open_engine(EngineTable(kind="openai"), "0" * 64)
    with pytest.raises(EngineAway):
        async with open_engine(EngineTable(kind="openai", url="http://127.0.0.1:1"), "0" * 64):
            pass


@pytest.mark.model
async def test_llamacpp_is_the_default() -> None:
    async with open_engine(EngineTable(context=64), SMOLLM2_135M.sha256) as engine:
        assert isinstance(engine, LlamaEngine)
        assert engine.model_sha256 == SMOLLM2_135M.sha256


async def test_torch_opens_the_folder_that_is_named() -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    pytest.importorskip("transformers", reason="the torch extra is not installed")
    from tests.engines.tiny import tiny_model

    path, sha256 = tiny_model()
    table = EngineTable(kind="torch", model=path, device="cpu", slots=1, waiting_limit=0)
    async with open_engine(table, sha256) as engine:
        assert engine.model_sha256 == sha256
        assert len(await engine.score([70], [71, 72])) == 2
    with pytest.raises(ModelMismatch):
        async with open_engine(table, "0" * 64):
            pass
