"""Validators under attack run in folders of their own, and judge by a definition of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process find `tests.chaos.grader`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
