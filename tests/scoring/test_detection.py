"""The detection benchmark's arithmetic: its shares are what a judge with statements would see."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")
pytest.importorskip("transformers", reason="needs the torch extra")

import torch

from benchmarks import detection
from benchmarks.detection import Answer
from scoring.evidence import Trial
from scoring.verify.statement import Measure, log_evidence, measured, total

NAMES = ("check.a", "check.b")


def rows(rng: np.random.Generator, count: int, shift: float) -> list[dict[str, float]]:
    return [{name: rng.normal() + shift for name in NAMES} for _ in range(count)]


def test_a_miners_evidence_is_the_total_of_his_statements() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 1.0, (5, 2))
    nats = np.vectorize(log_evidence)(p)
    said = [measured("check", [Measure("a", 0.0, one[0]), Measure("b", 0.0, one[1])]) for one in p]
    expected = total(said, invalid=math.nan, unknown=math.nan)
    assert detection.totals(nats, 5, rng) == pytest.approx(expected)


def test_many_miners_are_tried_at_once_as_the_trial_tries_one() -> None:
    rng = np.random.default_rng(4)
    trial = Trial(false_ban=1e-4, invalid=1.0, unknown=0.0, occasional=(0.1, 0.3), bad=0.05)
    ps = np.maximum(
        rng.uniform(size=(6, 80, 2)) ** np.array([1, 1, 2, 2, 3, 3])[:, None, None], 1e-3
    )
    ends = detection.banned_after(trial, ps)
    for row, end in zip(ps, ends, strict=True):
        said = [
            [measured("c", [Measure(f"m{n}", 0.0, p) for n, p in enumerate(one)])] for one in row
        ]
        bans = trial.run(enumerate(said)).bans
        assert end == (bans[0].round + 1 if bans else math.inf)
    assert np.isfinite(ends).any() and np.isinf(ends).any()


def test_what_is_far_is_caught_and_what_is_alike_is_not() -> None:
    rng = np.random.default_rng(2)
    found = {
        "honest": rows(rng, 100, 0.0),
        "honest, other hotkey": rows(rng, 100, 0.0),
        "far": rows(rng, 60, 6.0),
        "near": rows(rng, 60, 0.8),
        "alike": rows(rng, 60, 0.0),
    }
    caught = detection.detection(found, ["far", "near", "alike"], NAMES, rng)
    assert caught["far"] == [1.0, 1.0, 1.0]
    assert caught["near"][0] < 0.3 < 0.9 < caught["near"][2]
    assert max(caught["alike"]) < 0.2


def test_rounding_leaves_the_levels_it_says() -> None:
    weight = torch.randn(4, 128, generator=torch.Generator().manual_seed(1))
    for bits in (4, 5, 8):
        rounded = detection.rounded(weight, bits)
        groups = rounded.reshape(-1, 64)
        assert max(len(set(group.tolist())) for group in groups) <= 2**bits - 1
        step = weight.reshape(-1, 64).abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert ((rounded - weight).abs().reshape(-1, 64) <= step / 2 + 1e-6).all()


def test_answers_come_back_from_the_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    made = [
        Answer(
            list(range(n)),
            rng.normal(size=n).astype(np.float32),
            torch.randn(n, 8).to(torch.bfloat16).float().numpy(),
        )
        for n in (3, 1, 5)
    ]
    detection.save(tmp_path / "kind.npz", made)
    for was, now in zip(made, detection.load(tmp_path / "kind.npz"), strict=True):
        assert now.tokens == was.tokens
        assert np.array_equal(now.reported, was.reported)
        assert np.array_equal(now.hidden, was.hidden)


def test_the_table_and_the_plot_have_every_cell() -> None:
    one = {"x": [0.0, 0.5, 1.0], "y": [0.1, 0.2, 0.3]}
    two = {"x": [1.0, 1.0, 1.0], "y": [0.0, 0.0, 0.0]}
    caught = {"one": one, "two": two}
    assert "| x | 0 / 50 / 100 | 100 / 100 / 100 |" in detection.table(caught, ["x", "y"])
    drawn = ElementTree.fromstring(detection.plot(caught, ["x", "y"]))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 12
