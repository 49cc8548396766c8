"""The epoch against recordings of a real runtime, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chain.runtime.yuma import EpochInput, epoch

DIRECTORY = Path(__file__).parents[1] / "vectors" / "epoch"

Recording = dict[str, Any]


def recorded_epochs() -> list[Any]:
    params = []
    for path in sorted(DIRECTORY.glob("*.json")):
        recording = json.loads(path.read_text())
        for number, step in enumerate(recording["epochs"]):
            params.append(pytest.param(recording, step, id=f"{path.stem}-{number}"))
    return params


def rows(stored: dict[str, list[list[int]]], n: int) -> list[list[tuple[int, int]]]:
    return [[(uid, value) for uid, value in stored.get(str(i), [])] for i in range(n)]


def read_input(recording: Recording, step: Recording) -> EpochInput:
    rules, state, n = recording["hyperparams"], step["input"], recording["n"]
    assert not rules["commitReveal"]
    return EpochInput(
        block=state["epoch_block"],
        tempo=rules["tempo"],
        activity_cutoff=rules["activityCutoff"],
        last_update=state["last_update"],
        block_at_registration=state["block_at_registration"],
        last_step_block=0,
        stake=[int(units) << 64 for units in state["stake"]],
        stake_threshold=rules["stakeThreshold"],
        owner_uid=recording["owner_uid"],
        validator_permit=state["validator_permit"],
        max_validators=rules["maxAllowedValidators"],
        weights=rows(state["weights"], n),
        bonds=rows(state["bonds"], n),
        kappa=rules["kappa"],
        bonds_penalty=rules["bondsPenalty"],
        bonds_moving_average=rules["bondsMovingAverage"],
        yuma3=rules["yuma3"],
        liquid_alpha=rules["liquidAlpha"],
        alpha_low=rules["alphaLow"],
        alpha_high=rules["alphaHigh"],
        alpha_sigmoid_steepness=rules["alphaSigmoidSteepness"],
        commit_block=None,
        emission=int(state["emission_to_distribute"]),
    )


def test_all_recordings_are_there() -> None:
    assert len(recorded_epochs()) == 1 + 3 + 7 + 7


@pytest.mark.parametrize(("recording", "step"), recorded_epochs())
def test_equals_the_runtime(recording: Recording, step: Recording) -> None:
    output, stored = epoch(read_input(recording, step)), step["output"]
    assert output.active == stored["active"]
    assert output.consensus == stored["consensus"]
    assert output.incentive == stored["incentive"]
    assert output.dividends == stored["dividends"]
    assert output.validator_trust == stored["validator_trust"]
    assert output.validator_permit == stored["validator_permit"]
    assert output.stake_weight == stored["stake_weight"]
    assert output.emission == [int(units) for units in stored["emission"]]
    assert [list(row) for row in output.bonds] == rows(stored["bonds"], recording["n"])
