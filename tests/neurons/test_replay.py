"""What a change of rules would do to whom, from the journal alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app
from subnet.cli.replay import find_definition, seconds
from subnet.definition import Judgement
from subnet.errors import DefinitionError, EngineAway
from subnet.protocol import Reply, Task
from tests.neurons.history import DAY, Double, Doubled, Doubling, History
from validators import journal
from validators.journal import Journal
from validators.replay import (
    NO_ANSWER,
    NO_REFERENCE,
    OTHER_MESSAGES,
    Rules,
    replay,
)

RULES = Rules(half_life_rounds=8)


class Lenient(Doubling):
    """Forgives being off by one."""

    async def score(self, task: Task[Double], reply: Reply[Doubled]) -> Judgement:
        assert reply.answer is not None and isinstance(task.reference, int)
        off = abs(reply.answer.number - task.reference)
        return Judgement(1.0 if off <= 1 else 0.0, "near")


class Fast(Doubling):
    """Looks at the time alone."""

    async def score(self, task: Task[Double], reply: Reply[Doubled]) -> Judgement:
        return Judgement(1.0 if reply.timing.total_s < 1 else 0.25)

    def weights(self, scores: Mapping[int, float]) -> Mapping[int, float]:
        return {uid: score**2 for uid, score in scores.items()}


async def shifts(path: Path, new: Doubling, **more: Any) -> dict[str, tuple[float, ...]]:
    found = await replay(path, new, old=Doubling(), rules=RULES, **more)
    return {
        one.hotkey: tuple(
            round(x, 4) for x in (one.old_standing, one.new_standing, one.old_share, one.new_share)
        )
        for one in found.shifts
    }


async def test_the_same_rules_change_nothing(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(5)
    found = await replay(history.path, Doubling(), rules=RULES)
    assert (found.rounds, found.judged, found.changed, found.not_judged) == (5, 15, 0, ())
    assert [one.change for one in found.shifts] == [0.0, 0.0, 0.0]
    (code,) = found.codes
    assert code["definition"].endswith("history:Doubling") and len(code["sha256"]) == 64


async def test_who_would_gain_and_who_would_lose(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(5)
    told: list[tuple[int, int]] = []
    found = await replay(
        history.path,
        Lenient(),
        old=Doubling(),
        rules=RULES,
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 5) for n in range(1, 6)]
    assert [(one.hotkey, one.change) for one in found.shifts] == [
        ("5Wrong", 0.5),
        ("5Silent", 0.0),
        ("5Right", -0.5),
    ]
    assert found.changed == 5
    assert await shifts(history.path, Fast()) == {
        "5Right": (1.0, 1.0, 1.0, round(1 / 1.0625, 4)),
        "5Wrong": (0.0, 0.25, 0.0, round(0.0625 / 1.0625, 4)),
        "5Silent": (0.0, 0.0, 0.0, 0.0),
    }


async def test_burned_weight_is_nobodys(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(1)
    found = await replay(history.path, Lenient(), rules=Rules(8, burn=0.5))
    assert sum(one.new_share for one in found.shifts) == pytest.approx(0.5)


async def test_what_was_not_revealed_is_judged_only_where_it_is_not_needed(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(2)
    await history.write(1, first=3, leaves=False)
    found = await replay(history.path, Lenient(), old=Doubling(), rules=RULES)
    assert found.problems == {NO_REFERENCE: 2}  # whoever was silent is judged all the same
    assert [(one.round, one.hotkey, one.new) for one in found.not_judged] == [
        (3, "5Right", None),
        (3, "5Wrong", None),
    ]
    assert (found.rounds, found.judged) == (3, 7)
    assert found.shifts[0].old_standing == found.shifts[2].new_standing - 1.0 == 0.0
    assert (await replay(history.path, Fast(), rules=RULES)).not_judged == ()


async def test_only_the_last_days(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(5)
    found = await replay(history.path, Lenient(), rules=RULES, since=4 * DAY)
    assert found.rounds == 2


async def test_of_rounds_asked_twice_the_later_holds(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(2)
    with Journal(history.path) as book:
        book.append({"kind": "rewound", "round": 2, "through": 1, "time": 2 * DAY})
    await history.write(1, first=2)
    found = await replay(history.path, Doubling(), rules=RULES)
    assert (found.rounds, found.judged) == (2, 6)


async def test_answers_that_no_journal_holds(tmp_path: Path) -> None:
    history = History(tmp_path)
    await history.write(1)
    lines = list(journal.read(history.path))
    history.path.unlink()
    lines[0]["replies"][0] |= {"answer": None, "left_out": {"bytes": 9, "sha256": "00"}}
    lines[0]["replies"][1]["answer"] = {"number": "no number"}
    with Journal(history.path) as book:
        for line in lines:
            book.append(line)
    found = await replay(history.path, Lenient(), rules=RULES)
    assert found.problems == {NO_ANSWER: 1, OTHER_MESSAGES: 1}


async def test_a_judge_that_is_away_ends_the_replay(tmp_path: Path) -> None:
    class Away(Doubling):
        async def score(self, task: Task[Double], reply: Reply[Doubled]) -> Judgement:
            raise EngineAway("it died")

    history = History(tmp_path)
    await history.write(1)
    with pytest.raises(EngineAway):
        await replay(history.path, Away(), rules=RULES)


NEW = """
from tests.neurons.history import Doubling
class Harsh(Doubling):
    async def score(self, task, reply):
        return 0.5 * (reply.answer.number == task.reference)
"""


def test_the_command(tmp_path: Path) -> None:
    asyncio.run(History(tmp_path).write(3))
    file = tmp_path / "new_scoring.py"
    file.write_text(NEW)

    def run(*arguments: str) -> Any:
        common = ("--state", str(tmp_path), "--definition", "tests.neurons.history:Doubling")
        return CliRunner().invoke(app, ["replay", *common, *arguments])

    done = run("--with", str(file), "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["rounds"], document["changed"]) == (3, 3)
    right = document["hotkeys"][0]
    assert (right["old_standing"], right["new_standing"], right["change"]) == (1.0, 0.5, 0.0)
    assert "judging rounds again" in done.stderr
    done = run("--with", f"{file}:Harsh")
    assert done.exit_code == 0 and "5Right" in done.stdout and "3 rounds" in done.stdout
    done = run("--with", str(file), "--since", "3d")  # all of it is older than that
    assert done.exit_code == 0 and "0 rounds" in done.stdout
    assert run("--since", "soon").exit_code == exits.USAGE
    assert run("--with", str(tmp_path / "none.py")).exit_code == exits.USAGE
    done = CliRunner().invoke(app, ["replay", "--state", str(tmp_path / "empty")])
    assert done.exit_code == exits.STATE and "there is no journal" in done.stderr


def test_lengths_of_time() -> None:
    assert [seconds(text) for text in ("30s", "90m", "12h", "7d", "1.5w")] == [
        30.0,
        5400.0,
        43200.0,
        604800.0,
        907200.0,
    ]


def test_a_file_with_two_definitions_needs_a_name(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text(NEW + NEW.replace("Harsh", "Other"))
    with pytest.raises(DefinitionError, match="Harsh, Other"):
        find_definition(str(file))
    assert type(find_definition(f"{file}:Other")).__name__ == "Other"
    file.write_text("1 / 0")
    with pytest.raises(DefinitionError, match="ZeroDivisionError"):
        find_definition(str(file))
