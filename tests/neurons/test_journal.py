"""One whole line a round, whatever happens to the process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from subnet.errors import StateError
from validators.journal import SCHEMA, Journal, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def test_lines_come_back_in_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.append({"round": 1})
        journal.append({"round": 2})
        assert [line["round"] for line in read(path)] == [1, 2]
    with Journal(path) as journal:
        journal.append({"round": 3})
    assert list(read(path)) == [{"schema": SCHEMA, "round": n} for n in (1, 2, 3)]


def test_a_line_is_on_the_disk_when_append_returns(path: Path) -> None:
    with Journal(path) as journal:
        journal.append({"round": 1})
        assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("length", [10, 70_000, 200_000])
def test_a_line_cut_short_is_left_out_and_then_removed(path: Path, length: int) -> None:
    with Journal(path) as journal:
        journal.append({"round": 1})
    with path.open("ab") as file:
        file.write(b'{"schema":1,"round":2,"x":"' + b"y" * length)
    assert [line["round"] for line in read(path)] == [1]
    with Journal(path) as journal:
        journal.append({"round": 3})
    assert [line["round"] for line in read(path)] == [1, 3]


def test_nothing_but_a_cut_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"sch')
    with Journal(path):
        pass
    assert path.read_bytes() == b""


def test_not_a_number_is_refused_before_it_is_written(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(ValueError):
            journal.append({"score": float("nan")})
        journal.append({"round": 1})
    assert len(list(read(path))) == 1


def test_a_newer_schema_is_not_misread(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": SCHEMA + 1}) + "\n")
    with pytest.raises(StateError, match="schema"):
        list(read(path))


def test_a_full_disk_is_said(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    with Journal(path) as journal, pytest.raises(StateError, match="No space left.*make room"):
        journal.append({"round": 1})
