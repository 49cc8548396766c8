"""The seed-locked check on the real model: honest answers and every cheat, without overlap."""

from __future__ import annotations

import pytest

from benchmarks.seedlock import KINDS, Bench, measure

pytestmark = pytest.mark.model


@pytest.mark.slow
async def test_honest_answers_score_one_and_cheats_nothing() -> None:
    kinds = ["honest", "downgraded", "counting", "recorded_sibling", "relayed", "end_at_once"]
    async with Bench.open() as bench:
        judged = await measure(bench, 2, 5, kinds)
    assert all(row.score == 1.0 for row in judged.pop("honest"))
    for kind, rows in judged.items():
        assert max(row.score for row in rows) < 0.1, kind


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_thirty_prompts_without_overlap() -> None:
    async with Bench.open() as bench:
        judged = await measure(bench, 30, 1, list(KINDS))
    scores = {kind: [row.score for row in rows] for kind, rows in judged.items()}
    assert all(row.margins.max() == 0.0 for row in judged["honest"])
    assert set(scores.pop("honest")) == {1.0}
    other = scores.pop("other_arithmetic")
    assert sum(other) / len(other) > 0.95
    for kind, cheating in scores.items():
        assert max(cheating) < 0.1 < 0.3 < min(other), kind
