"""Whoever reads a journal reads it line by line: none takes the memory that the journal would."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from bittensor_core import Keypair

from benchmarks.journal import HOTKEYS, Essays, Library
from tests.neurons.history import History
from tests.neurons.test_replay import RULES
from validators import replay as replaying
from validators.audit.epoch import needed
from validators.explain import Recent
from validators.explaining import explaining
from validators.journal import MIB, Journal, read
from validators.ledger import Ledger
from validators.recovery import recover
from validators.replay import NO_REFERENCE, replay
from validators.status import read_status

SEATS = 16
TEXT = 8000
LINES = 4 * MIB
"""Bytes of lines: decoded they take more than that."""
MOST = MIB + MIB // 2
"""Bytes that any reader may take: some lines, and what it found."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture
async def path(folder: Path) -> Path:
    path = folder / "journal.jsonl"
    if not path.exists():
        library = Library(folder / "whole", SEATS, TEXT)
        await library.write(1)
        await library.write(LINES // library.path.stat().st_size, first=2)
        with Journal(path, part_bytes=MIB // 2) as journal:
            for line in read(library.path):
                journal.append(line)
    return path


async def status(path: Path) -> None:
    assert read_status(read(path)).rounds > 20


async def explain(path: Path) -> None:
    recent = Recent(rounds=2**31, only=HOTKEYS[7])
    for line in read(path):
        recent.note(line)
    assert recent.explain(HOTKEYS[7]).rounds > 20


async def judge_again(path: Path) -> None:
    assert (await replay(path, Essays(), rules=RULES)).judged > 20 * SEATS


async def start(path: Path) -> None:
    recent = Recent()
    with (
        Ledger(path.parent / "ledger.sqlite", half_life_rounds=8, clock=lambda: 0.0) as ledger,
        Journal(path, part_bytes=MIB // 2, watch=recent.note) as journal,
    ):
        recover(journal, ledger, clock=lambda: 0.0)
        keypair = Keypair.create_from_uri("//start")
        async with explaining(keypair, recent, path, "127.0.0.1", 0):
            pass


async def keep_for_audit(path: Path) -> None:
    lines = list(needed(read(path), 10**6))
    assert len(lines) > 20 and len(lines[-1]["replies"]) == SEATS


@pytest.mark.parametrize("reader", [status, explain, judge_again, start, keep_for_audit])
async def test_no_reader_takes_it_whole(
    reader: Callable[[Path], Awaitable[None]], path: Path
) -> None:
    await reader(path)  # whatever is imported and cached the first time is not what is meant
    gc.collect()
    tracemalloc.start()
    try:
        await reader(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST, f"{most / MIB:.1f} MiB of {LINES / MIB:.0f}"


async def test_replay_has_room_for_more_questions_than_memory(tmp_path: Path) -> None:
    """Every question of every epoch is looked up while its answers are judged again."""
    history = History(tmp_path / "small")
    await history.write(1)
    _, told = read(history.path)
    (leaf,) = told["leaves"]
    task = json.loads(leaf["leaf"])["task"]
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for number in range(40):
            texts = [leaf["leaf"].replace(task, rf"\ud800{number}-{n}") for n in range(50)]
            journal.append({**told, "leaves": [{**leaf, "leaf": text} for text in texts]})
    tracemalloc.start()
    try:
        await replay(path, history.subnet, rules=RULES)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < path.stat().st_size / 4, most


async def test_what_cannot_be_judged_is_counted_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "SHOWN", 3)
    history = History(tmp_path)
    await history.write(4, leaves=False)
    found = await replay(history.path, history.subnet, rules=RULES)
    assert found.problems == {NO_REFERENCE: 8}  # of three miners one is silent
    assert [entry.round for entry in found.not_judged] == [1, 1, 2]


async def test_a_reader_that_does_would_be_noticed(path: Path) -> None:
    tracemalloc.start()
    try:
        lines = list(read(path))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines and most > 2 * MOST
