"""Hidden tasks: never twice, not even after a restart; and the secret they grow from."""

from __future__ import annotations

import json
import random
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest

from subnet.definition import Miner, MinerOptions, Subnet
from subnet.errors import DefinitionError, StateError
from subnet.protocol import Answer, Challenge, Reply, Task
from validators.prompts.secret import open_secret, stream_seed
from validators.prompts.stream import Stream, digest, normalized, prompt_digest
from validators.prompts.vault import Vault
from validators.prompts.withheld import Withheld, open_withheld


class Number(Challenge):
    value: int


class Same(Answer):
    value: int


class Echo:
    async def answer(self, challenge: Number, caller: str) -> Same:
        return Same(value=challenge.value)


class Dice(Subnet[Number, Same]):
    """Throws dice of few sides, so that it repeats itself soon."""

    challenge, answer = Number, Same

    def __init__(self, sides: int = 50) -> None:
        self.sides = sides

    def tasks(self, seed: bytes) -> Iterator[Task[Number]]:
        source = random.Random(seed)
        while True:
            value = source.randrange(self.sides)
            yield Task(str(value), Number(value=value))

    async def score(self, task: Task[Number], reply: Reply[Same]) -> float:
        return 1.0

    def miner(self, options: MinerOptions) -> AbstractAsyncContextManager[Miner[Number, Same]]:
        return nullcontext(Echo())


class SlowDice(Dice):
    async def tasks(self, seed: bytes) -> AsyncIterator[Task[Number]]:  # type: ignore[override]
        for task in super().tasks(seed):
            yield task


class TwoDice(Dice):
    def tasks(self, seed: bytes) -> Iterator[Task[Number]]:
        return iter([Task("1", Number(value=1)), Task("2", Number(value=2))])


def never(digest: bytes) -> bool:
    return False


async def take(stream: Stream[Number, Same], count: int) -> list[Task[Number]]:
    return [(await stream.draw()).task for _ in range(count)]


@pytest.mark.parametrize("kind", [Dice, SlowDice])
async def test_no_task_comes_twice(kind: type[Dice]) -> None:
    stream = Stream(kind(), seed=b"s", asked=never)
    drawn = [task.challenge.value for task in await take(stream, 50)]
    assert sorted(drawn) == list(range(50))


async def test_what_was_asked_before_this_run_is_left_out() -> None:
    before = {digest(Number(value=value)) for value in range(0, 50, 2)}
    stream = Stream(Dice(), seed=b"s", asked=before.__contains__)
    assert {task.challenge.value for task in await take(stream, 25)} == set(range(1, 50, 2))


async def test_what_reads_the_same_is_the_same() -> None:
    before = {prompt_digest(Dice(), Number(value=value)) for value in range(0, 50, 2)}
    stream = Stream(Dice(), seed=b"s", asked=before.__contains__)
    assert {task.challenge.value for task in await take(stream, 25)} == set(range(1, 50, 2))
    for one, other, same in (
        ("What is 2 + 2?", "  what IS\n2 + 2 ", True),
        ("“Who?” she said.", '"Who" - she said', False),
        ("“Who?” she said.", "who she said", True),
        ("ﬁve", "FIVE", True),
        ("What is 3.5?", "What is 35?", False),
        ("What is -3?", "What is 3?", False),
        ("at 10:30, say", "at 10:30 say", True),
        ("at 10:30", "at 1030", False),
        ("lone \ud800", "LONE \ud800", True),
    ):
        assert (normalized(one) == normalized(other)) == same, (one, other)


async def test_the_seed_decides() -> None:
    def draw(seed: bytes) -> Stream[Number, Same]:
        return Stream(Dice(10**9), seed=seed, asked=never)

    assert await take(draw(b"s"), 5) == await take(draw(b"s"), 5)
    assert await take(draw(b"s"), 5) != await take(draw(b"t"), 5)


async def test_a_definition_that_runs_dry_is_named() -> None:
    stream = Stream(Dice(), seed=b"s", asked=never)
    await take(stream, 50)
    with pytest.raises(DefinitionError, match="Dice"):
        await stream.draw()
    ending = Stream(TwoDice(), seed=b"s", asked=never)
    await take(ending, 2)
    with pytest.raises(DefinitionError, match="forever"):
        await ending.draw()


@pytest.mark.parametrize("kind", [Dice, SlowDice])
async def test_a_stream_that_broke_off_is_followed_by_another(
    kind: type[Dice], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(kind(10**9), seed=b"s", asked=never)
    before = await take(stream, 3)
    with monkeypatch.context() as patch:
        patch.setattr(random.Random, "randrange", lambda self, sides: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await stream.draw()
    after = await take(stream, 3)
    assert len({task.id for task in (*before, *after)}) == 6


async def test_seeds_of_sealings_differ_and_tell_nothing_of_the_next() -> None:
    vault = Vault(Dice(10**9), seed=b"s", asked=never)
    first, second = [
        await vault.seal(epoch, netuid=1, validator="v", turns=2, tasks=3) for epoch in (7, 8)
    ]
    assert len({leaf.seed for leaf in first.leaves}) == 1
    assert first.leaves[0].seed != second.leaves[0].seed
    salts = {leaf.salt for sealing in (first, second) for leaf in sealing.leaves}
    assert len(salts) == 12
    again = Stream(Dice(10**9), seed=bytes.fromhex(first.leaves[0].seed), asked=never)
    drawn = {task.challenge.value for task in await take(again, 6)}
    assert drawn == {leaf.challenge["value"] for leaf in first.leaves}


async def test_questions_of_their_own_where_nobody_is_there() -> None:
    class Each(Dice):
        groups = "each"

    vault = Vault(Each(10**9), seed=b"s", asked=never)
    nobody = await vault.seal(1, netuid=1, validator="v", turns=2, tasks=1)
    assert vault.find(1) == nobody and nobody.turns == 2
    some = await vault.seal(2, netuid=1, validator="v", turns=1, tasks=2, hotkeys=["b", "a"])
    assert sorted(leaf.audience for leaf in some.leaves) == ["a", "a", "b", "b"]


async def test_what_cannot_be_written_down_is_the_definitions_fault() -> None:
    class Odd(Dice):
        def __init__(self, task: Task[Number]) -> None:
            self.task = task

        def tasks(self, seed: bytes) -> Iterator[Task[Number]]:
            yield self.task

    for task in (
        Task("1", Number(value=1), reference=float("nan")),
        Task(1, Number(value=1)),  # type: ignore[arg-type]
    ):
        with pytest.raises(DefinitionError, match="task 1 cannot be written down"):
            await Vault(Odd(task), seed=b"s", asked=never).seal(
                1, netuid=1, validator="v", turns=1, tasks=1
            )


def test_a_sealed_file_that_is_damaged_or_newer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    for text, problem in (("{", "move it away"), ('{"schema": 9}', "schema 9")):
        path.write_text(text)
        with pytest.raises(StateError, match=problem):
            Vault(Dice(), seed=b"s", asked=never, path=path)


async def test_a_full_disk_keeps_questions_at_home(tmp_path: Path) -> None:
    path = tmp_path / "sealed.json"
    (tmp_path / "sealed.json.new").mkdir()
    vault = Vault(Dice(), seed=b"s", asked=never, path=path)
    with pytest.raises(StateError):
        await vault.seal(1, netuid=1, validator="v", turns=1, tasks=1)
    assert vault.find(1) is None
    (tmp_path / "sealed.json.new").rmdir()
    sealing = await vault.seal(1, netuid=1, validator="v", turns=1, tasks=1)
    (tmp_path / "sealed.json.new").mkdir()
    with pytest.raises(StateError):
        vault.take(sealing)
    assert vault.find(1) == sealing


async def test_a_file_that_does_not_tell_what_was_sealed_last(tmp_path: Path) -> None:
    """Those of earlier versions do not; the epoch of an upgrade is sealed once all the same."""
    path = tmp_path / "sealed.json"
    vault = Vault(Dice(), seed=b"s", asked=never, path=path)
    vault.take(await vault.seal(5, netuid=1, validator="v", turns=2, tasks=1))
    document = json.loads(path.read_text())
    for key in ("newest", "secret", "beacon"):
        del document[key]
    path.write_text(json.dumps(document))
    vault = Vault(Dice(), seed=b"t", asked=never, path=path)
    sealing = vault.find(5)
    assert sealing is not None and vault.left(5) == 1
    vault.take(sealing)
    (over,) = vault.finished(5)
    vault.drop(over)
    for again in (vault, Vault(Dice(), seed=b"u", asked=never, path=path)):
        assert (again.left(4), again.left(5), again.left(6)) == (0, 0, None)


def test_a_withheld_line_that_was_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    withheld = Withheld(tmp_path)
    withheld.keep(7, "root", 0, "{}", {}, {})
    path = tmp_path / "withheld.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    withheld.keep(7, "root", 1, "{}", {}, {})
    key = withheld.find_key(7)
    assert key is not None
    (found,) = open_withheld(path.read_bytes().splitlines(), 7, key)
    assert found.index == 1


def test_the_secret_is_drawn_once_and_kept_to_oneself(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = open_secret(path, None, run=1)
    assert open_secret(path, None, run=2) == secret
    assert open_secret(tmp_path / "other", None, run=2) != secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "secret"]


def test_a_secret_that_outlived_its_ledger_is_not_used_again(tmp_path: Path) -> None:
    """The ledger is what knows which questions were asked; its runs begin again with it."""
    path = tmp_path / "secret"
    before = open_secret(path, None, run=7)
    assert open_secret(path, None, run=1) != before


def test_a_given_secret_is_not_written_down(tmp_path: Path) -> None:
    given = {open_secret(tmp_path / "secret", "given once", run=run) for run in (1, 2)}
    assert len(given) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_cannot_be_written_leaves_nothing_behind_that_stops_the_next_start(
    tmp_path: Path,
) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from validators.prompts.secret import open_secret\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "open_secret(Path(sys.argv[1]), None, run=1)"
    )
    path = tmp_path / "secret"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert "StateError" in done.stderr and "File too large" in done.stderr
    assert len(open_secret(path, None, run=2)) == 32


def test_a_damaged_secret_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(StateError, match="remove it"):
        open_secret(tmp_path / "secret", None, run=2)


def test_every_start_and_every_judge_has_its_own_stream() -> None:
    seeds = {stream_seed(bytes(32), run, opening) for run in range(5) for opening in range(5)}
    assert len(seeds) == 25
    assert stream_seed(bytes(32), 1, 0) != stream_seed(bytes([1]) * 32, 1, 0)
