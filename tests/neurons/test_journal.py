"""One whole line a round, whatever happens to the process; parts are closed, packed, dropped."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import json
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scoring.policies import Claim
from scoring.verify.statement import Measure, Outcome, Statement
from subnet.cli import exits
from subnet.cli.app import app
from subnet.definition import Judgement
from subnet.errors import StateError
from subnet.protocol import Reply, Task
from subnet.wire.codec import decode, encode
from tests.neurons.history import Double, Doubled, Doubling, History, bare, bare_reply
from validators.explain import Explanation, Recent, Unknown
from validators.hints import find_hints
from validators.journal import SCHEMA, Journal, last_round, read
from validators.replay import Rules, replay
from validators.status import read_status

PATIENCE_S = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def rounds(path: Path, since: float | None = None) -> list[int]:
    return [line["round"] for line in read(path, since=since) if line.get("kind") != "dropped"]


def parts(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one.name.startswith("journal-"))


def folder_size(path: Path) -> int:
    """Bytes of all its files; one that goes meanwhile counts nothing."""
    total = 0
    for one in path.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += one.stat().st_size
    return total


def until_packed(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(not name.endswith(".gz") for name in parts(path)):
        assert time.monotonic() < deadline, parts(path)
        time.sleep(0.005)


def test_lines_come_back_in_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.append({"round": 1})
        journal.append({"round": 2})
        assert rounds(path) == [1, 2]
    with Journal(path, code={"package": "7"}) as journal:
        journal.append({"round": 3})
    codes = (None, None, {"package": "7"})
    expected = [{"schema": SCHEMA, "code": c, "round": n} for n, c in enumerate(codes, 1)]
    assert list(read(path)) == expected


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
    assert rounds(path) == [1]
    with Journal(path) as journal:
        journal.append({"round": 3})
    assert rounds(path) == [1, 3]


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


def test_lines_of_version_1_are_brought_up_to_date(path: Path) -> None:
    path.parent.mkdir()
    replies = [bare_reply(reason=""), bare_reply(failure="timeout", reason="timeout")]
    reveal = {"round": 1, "time": 1.0, "ending": "revealed", "block": 9, "epoch": 1}
    old = [
        {"schema": 1, **bare(1, replies=replies)},
        {"schema": 1, "kind": "reveal", **reveal},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    with Journal(path) as journal:
        journal.append(bare(2))
    first, reveal, new = read(path)
    assert [reply["reason"] for reply in first["replies"]] == ["scored", "timeout"]
    assert (first["schema"], first["code"], reveal["schema"]) == (SCHEMA, None, SCHEMA)
    assert (new["round"], last_round(path)) == (2, 2)


def test_parts_are_closed_by_size_and_packed_beside(path: Path) -> None:
    with Journal(path, part_bytes=1000) as journal:
        for number in range(40):
            journal.append({"round": number, "text": "x" * 100})
            assert rounds(path) == list(range(number + 1))
        until_packed(path)
        assert rounds(path) == list(range(40))
    names = parts(path)
    assert len(names) > 3 and names[0] == "journal-000001.jsonl.gz"
    sizes = [len(gzip.decompress((path.parent / name).read_bytes())) for name in names]
    assert 0 < min(sizes) and max(sizes) <= 1000
    with Journal(path, part_bytes=1000) as journal:  # and goes on with the same part
        journal.append({"round": 40})
    assert rounds(path) == list(range(41))


def test_all_of_it_is_its_owners_until_the_owner_says_otherwise(path: Path) -> None:
    """A hidden row could be copied by whoever reads it before it is revealed."""

    def modes() -> set[int]:
        return {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    before = os.umask(0)
    try:
        with Journal(path, part_bytes=200) as book:
            for number in range(4):
                book.append(bare(number, text="x" * 150))
            until_packed(path)
            assert modes() == {0o600}
            path.chmod(0o640)
            book.append(bare(5, text="x" * 150))
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_line_larger_than_a_part_has_one_of_its_own(path: Path) -> None:
    with Journal(path, part_bytes=1000) as journal:
        for number in range(4):
            journal.append({"round": number, "text": "x" * 5000})
    assert len(parts(path)) == 3
    assert rounds(path) == [0, 1, 2, 3]


def test_killed_between_the_two_steps_of_closing_a_part(path: Path) -> None:
    """The part has its new name already, and no other has taken its old one."""
    with Journal(path) as journal:
        journal.append({"round": 1})
    os.link(path, path.with_name("journal-000001.jsonl"))
    assert rounds(path) == [1]
    with Journal(path, part_bytes=10) as journal:
        assert parts(path) == []
        journal.append({"round": 2})
        until_packed(path)
    assert rounds(path) == [1, 2] and parts(path) == ["journal-000001.jsonl.gz"]


def test_a_part_that_was_moved_away_takes_no_older_ones_with_it(path: Path) -> None:
    with Journal(path, part_bytes=10) as journal:
        for number in range(3):
            journal.append({"round": number})
        until_packed(path)
    path.unlink()
    with Journal(path, part_bytes=10) as journal:
        assert last_round(path) == 0 and rounds(path) == [0, 1]
        journal.append({"round": 3})
        journal.append({"round": 4})
    assert rounds(path) == [0, 1, 3, 4]
    # One that is not older is never removed: whoever put it there decides.
    other = path.with_name("journal-000009.jsonl")
    other.write_text("{}")
    with pytest.raises(StateError, match="000009.*move it away"):
        Journal(path)
    assert other.read_text() == "{}"


def test_parts_are_closed_by_age_and_looked_for_by_age(path: Path) -> None:
    now = time.time() - 100_000
    with Journal(path, part_s=1000, clock=lambda: now) as journal:
        for number in range(6):
            journal.append({"round": number, "time": now})
            until_packed(path)
            for name in parts(path):
                if (path.parent / name).stat().st_mtime > now:
                    os.utime(path.parent / name, (now, now))
            now += 600
    assert len(parts(path)) == 2
    assert rounds(path) == list(range(6))
    assert rounds(path, since=now - 1250) == [4, 5]
    # Whole parts are left out unread: a damaged one that is too old is not looked into.
    (path.parent / parts(path)[0]).write_bytes(b"damaged")
    os.utime(path.parent / parts(path)[0], (0, 0))
    assert rounds(path, since=now - 1250) == [4, 5]
    with pytest.raises(StateError, match=r"000001.*damaged"):
        rounds(path)


def test_the_oldest_parts_go_and_it_is_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    most = 20_000
    noise = random.Random(1)
    with (
        caplog.at_level(logging.WARNING),
        Journal(path, most_bytes=most, part_bytes=2000) as journal,
    ):
        for number in range(300):
            journal.append({"round": number, "text": noise.randbytes(100).hex()})
            assert folder_size(path) <= most
    kept = rounds(path)
    assert kept[0] > 0 and kept == list(range(kept[0], 300))
    dropped = [line for line in read(path) if line.get("kind") == "dropped"]
    assert dropped and all(line["bytes"] > 0 and line["parts"] for line in dropped)
    assert "dropped its oldest parts, journal-000001.jsonl" in caplog.text


def test_a_reader_follows_while_parts_are_closed_and_packed(path: Path) -> None:
    """Whoever reads at any moment sees every round that was there when it began, once each."""
    count = 500
    written = 0

    def write() -> None:
        nonlocal written
        with Journal(path, part_bytes=3000) as journal:
            for number in range(count):
                journal.append({"round": number, "text": "x" * 60})
                written = number + 1

    with Journal(path):
        pass
    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while writer.is_alive():
        before = written
        found = rounds(path)
        assert found == list(range(len(found))) and len(found) >= before
        looks += 1
    writer.join()
    assert rounds(path) == list(range(count)) and looks > 1


KILLED = """
import sys
from pathlib import Path
from typing import Any
from tests.neurons.history import bare
from validators.journal import Journal, last_round
path = Path(sys.argv[1])
with Journal(path, part_bytes=4000) as journal:
    number = last_round(path)
    while True:
        number += 1
        journal.append(bare(number, text="x" * 200))
        print(number, flush=True)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_while_it_writes_and_closes_and_packs(path: Path, kills: int) -> None:
    last = 0
    for attempt in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(random.Random(attempt).randrange(1, 60)):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")[:-1]
            last = int(rest[-1]) if rest else last
        found = rounds(path)
        assert found == list(range(1, len(found) + 1)) and len(found) >= last
    with Journal(path):
        until_packed(path)
    assert not [name for name in parts(path) if "partial" in name]
    assert rounds(path) == list(range(1, last_round(path) + 1))


async def test_the_loop_goes_on_while_a_part_is_packed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressor that is stuck holds up neither an append nor the loop."""
    go_on, begun = threading.Event(), threading.Event()
    read_part = Path.open

    def stuck(one: Path, *args: Any, **kwargs: Any) -> Any:
        if threading.current_thread().name == "journal":
            begun.set()
            assert go_on.wait(PATIENCE_S)
        return read_part(one, *args, **kwargs)

    monkeypatch.setattr(Path, "open", stuck)
    with Journal(path, part_bytes=1000) as journal:
        for number in range(20):
            journal.append({"round": number, "text": "x" * 100})
            await asyncio.sleep(0)
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        assert rounds(path) == list(range(20))
        assert not [name for name in parts(path) if name.endswith(".gz")]
        go_on.set()
        await asyncio.to_thread(until_packed, path)
    assert rounds(path) == list(range(20))


def test_what_is_held_outlives_the_process_that_held_it(path: Path) -> None:
    with Journal(path, code={"package": "1"}) as journal:
        assert journal.find_held() is None
        journal.hold(bare(1))
        journal.hold(bare(2))
    with Journal(path, code={"package": "2"}) as journal:
        held = journal.find_held()
        assert held == {"schema": SCHEMA, **bare(2), "code": {"package": "1"}}
        journal.append(held)
        journal.release()
        assert journal.find_held() is None
    assert list(read(path)) == [{"schema": SCHEMA, "code": {"package": "1"}, **bare(2)}]


async def test_a_line_that_is_none_of_its_kind_is_named_by_every_reader(tmp_path: Path) -> None:
    """Each field taken away, or of another type: all read the line well, or it is named."""
    history = History(tmp_path, subnet=Weighed())
    await history.write(1)
    good = [json.loads(line) for line in history.path.read_bytes().splitlines()]
    standing = {
        "schema": SCHEMA, "kind": "standing", "time": 1.0, "epoch": 1, "vtrust": 1.0, "missed": 0,
        "distance": 0.0, "balance_rao": 5, "above": [[1, "5Right", 0.5]], "differences": [],
        "seats": [[1, "5Right", 0.5, 0.5]],
    }  # fmt: skip
    reveal = {
        "schema": SCHEMA, "kind": "reveal", "round": 1, "time": 1.0, "ending": "revealed",
        "block": 9, "epoch": 1, "differences": [],
    }  # fmt: skip
    good += [reveal, standing, standing]
    refused = 0
    for number, line in enumerate(good, start=1):
        for place in places(line):
            for value in (None, GONE, "x", 7, [1], {"x": [1]}, float("nan")):
                bad = changed(line, place, value)
                data = b"".join(
                    json.dumps(bad if n == number else one).encode() + b"\n"
                    for n, one in enumerate(good, start=1)
                )
                history.path.write_bytes(data)
                try:
                    lines = list(read(history.path, since=-1.0))
                except StateError as error:
                    assert f"line {number} " in str(error) and len(str(error)) < 500
                    refused += 1
                    continue
                read_status(lines)
                find_hints(lines)
                for only in ("5Right", None):
                    recent = Recent(only=only)
                    for one in lines:
                        recent.note(one)
                    with contextlib.suppress(Unknown):
                        recent.explain("5Right")
    assert refused > 100


async def test_a_reply_that_is_none_is_named_by_a_replay(tmp_path: Path) -> None:
    """Or it is judged again, or counted as one that cannot be."""
    history = History(tmp_path, subnet=Weighed())
    await history.write(1, leaves=False)
    good = json.loads(history.path.read_bytes())
    refused = 0
    for place in places(good["replies"][0]):
        for value in (GONE, "x"):
            bad = changed(good, ("replies", 0, *place), value)
            history.path.write_text(json.dumps(bad) + "\n")
            try:
                found = await replay(history.path, Weighed(), rules=Rules(half_life_rounds=8))
            except StateError as error:
                assert str(history.path) in str(error)
                refused += 1
            else:
                assert found.judged + sum(found.problems.values()) == len(good["replies"])
    assert refused > 30


@pytest.mark.parametrize(
    ("place", "value"), [(("replies", 0, "score"), 7), (("written",), "x"), (("time",), "x")]
)
def test_a_value_that_cannot_be_is_named(path: Path, place: Any, value: Any) -> None:
    path.parent.mkdir()
    line = {"schema": SCHEMA, **bare(1, replies=[bare_reply()])}
    path.write_text(json.dumps(changed(line, place, value)) + "\n")
    with pytest.raises(StateError, match=f"line 1 is damaged: {'.'.join(map(str, place))}"):
        list(read(path))


@pytest.mark.parametrize("part", ["x", None, [1], 1.5])
def test_a_head_that_is_none_is_named_and_not_stumbled_over(path: Path, part: Any) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": SCHEMA, "kind": "part", "part": part, "time": 1}) + "\n")
    with Journal(path):  # a validator looks into it before it writes
        for look in (last_round, lambda path: list(read(path))):
            with pytest.raises(StateError, match="line 1 is damaged: part"):
                look(path)


def test_a_first_line_without_end_is_named_and_not_stumbled_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[" * 200_000 + "\n")
    with Journal(path), pytest.raises(StateError, match="line 1 is damaged: RecursionError"):
        last_round(path)


def test_what_an_author_s_judge_said_before_it_was_looked_at(path: Path) -> None:
    """Earlier versions wrote down whatever it gave: such a journal is read all the same."""
    path.parent.mkdir()
    facts = {"tokens": [1, 2], "off": False, "why": "x" * 900, "half": "\ud800"}
    reply = bare_reply(score=True, facts=facts)
    path.write_text(json.dumps({"schema": 3, **bare(1, replies=[reply])}) + "\n")
    recent = Recent()
    for line in read(path):
        recent.note(line)
    explanation = recent.explain("5Hot")
    (question,) = explanation.questions
    assert question.score == 1.0
    kept = {"tokens": "[1, 2]", "off": False, "why": "x" * 200, "half": "?"}
    assert question.facts == kept
    assert decode(Explanation, encode(explanation)) == explanation


@pytest.mark.parametrize("lacks", ["weights", "round", "replies"])
@pytest.mark.parametrize("command", ["status", "explain", "replay", "hints"])
def test_a_command_says_which_line_lacks_what(tmp_path: Path, command: str, lacks: str) -> None:
    history = History(tmp_path)
    asyncio.run(history.write(1, leaves=False))
    line = json.loads(history.path.read_bytes())
    del line[lacks]
    history.path.write_text(json.dumps(line | {"time": time.time()}) + "\n")
    more = {
        "explain": ["5Right"],
        "replay": ["--definition", "tests.neurons.history:Doubling"],
        "hints": ["--offline"],
    }.get(command, [])
    found = CliRunner().invoke(app, [command, *more, "--state", str(tmp_path)])
    assert found.exit_code == exits.STATE, found.output
    assert f"{history.path}: line 1 is damaged: {lacks}: Field required" in found.output


def test_what_is_no_text_is_not_quoted_whole(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"schema":3,"text":"' + b"y" * 100_000 + b'\xff"}\n')
    with pytest.raises(StateError, match="line 1 is damaged: byte 100020 is no UTF-8") as caught:
        list(read(path))
    assert len(str(caught.value)) < 300


class Weighed(Doubling):
    """Whose judge says all that a line has room for."""

    async def score(self, task: Task[Double], reply: Reply[Doubled]) -> Judgement:
        said = Statement("sum", Outcome.MEASURED, "", 0.5, (Measure("off", 1.0, 0.5),))
        judgement = await super().score(task, reply)
        return dataclasses.replace(judgement, statements=(said,), claim=Claim(0.5, 0.25))


GONE = object()


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to everything inside of `value`; of a list to its first item."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for key, item in inside:
        yield (*at, key)
        if isinstance(item, dict | list) and key not in ("answer", "challenge", "path"):
            yield from places(item, (*at, key))


def changed(line: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A copy of `line` with `value` in that place, or without it."""
    copy = json.loads(json.dumps(line))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if value is not GONE:
        inner[place[-1]] = value
    else:
        del inner[place[-1]]
    return copy
