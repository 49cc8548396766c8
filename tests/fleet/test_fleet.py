"""256 hotkeys, two validators, seats that change hands: scores follow hotkeys, memory stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fleet

EPOCHS = 16
SEATS = 256
TEMPO = 32
GROWTH = 1.05


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_fleet_for_some_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    ran = await fleet.play(tmp_path, EPOCHS, SEATS, tempo=TEMPO)
    ran.report()
    ran.check()
    for run in ran.runs:
        before, after = run.memory()
        assert after <= GROWTH * before, [round(sample.memory, 1) for sample in run.samples]
        assert any(line["weights"]["read_back"] for line in run.rounds()[-3:])
