"""What a validator left behind that kept no signatures yet, and bound no seed: it is gone on with.

The files in `version2` were recorded on a devnet, of a validator that was killed when it had
committed to its second row of weights.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from subnet.protocol import Task
from tests.neurons.history import Double, Doubling, bare
from validators import journal
from validators.commits import Commits
from validators.explain import Recent, words
from validators.hints import find_hints
from validators.journal import Journal
from validators.prompts.leaf import Statement
from validators.prompts.vault import Vault
from validators.prompts.withheld import Withheld, open_withheld
from validators.replay import Rules, replay
from validators.signatures import Signed, verified
from validators.status import read_status

LEFT = Path(__file__).parent / "version2"
RIGHT = "5HeGdGBKRUAvNMWdRVu39fxGigYgLN8ZRPXVPyYwgQQ8SX2M"


class Mixed(Doubling):
    """Every second question is somebody's own words."""

    def tasks(self, seed: bytes) -> Iterator[Task[Double]]:
        for number, task in enumerate(super().tasks(seed)):
            yield dataclasses.replace(task, organic=number % 2 == 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(LEFT, tmp_path / "state")


async def test_its_journal_is_read_by_all_that_read_one(folder: Path) -> None:
    path = folder / "journal.jsonl"
    with Journal(path, code={"package": "2"}) as book:
        assert book.find_held() is None and journal.last_round(path) == 2
        book.append(bare(3, epoch=3))
    lines = list(journal.read(path))
    rounds = [line for line in lines if line["kind"] == "round"]
    assert [(line["schema"], line.get("written")) for line in rounds] == [(3, 2), (3, 2), (3, None)]
    signed = Counter(verified(line, entry) for line in rounds for entry in line["replies"])
    assert signed == {Signed.NOT_KEPT: 8}

    status = read_status(lines)
    assert (status.rounds, status.last_round, status.epoch) == (3, 3, 2)
    assert status.landed is not None and (status.landed.round, status.landed.block) == (1, 100)
    find_hints(lines)
    recent = Recent(only=RIGHT)
    for line in lines:
        recent.note(line)
    text = words(recent.explain(RIGHT))
    assert "asked 4 questions in 2 rounds, the last is 2; answered 4" in text
    assert "4 x signed, by a version that did not keep signatures" in text
    # The second epoch's leaves are not published yet: they are in the file of sealed ones.
    found = await replay(path, Mixed(), rules=Rules(8), sealed=folder / "sealed.json")
    assert (found.rounds, found.judged, found.changed) == (3, 4, 0)
    assert found.problems == {"answer_not_kept": 4}


async def test_its_questions_are_not_asked_again_and_what_it_withheld_can_be_opened(
    folder: Path,
) -> None:
    vault = Vault(Mixed(), seed=b"s", asked=lambda known: False, path=folder / "sealed.json")
    assert (vault.left(1), vault.left(2), vault.left(3)) == (0, 0, None)
    (sealing,) = vault.finished(2)
    leaves = next(x for x in journal.read(folder / "journal.jsonl") if x["kind"] == "leaves")
    assert (leaves["epoch"], sealing.epoch, sealing.taken) == (1, 2, 1)
    # Its root is on the chain as that version wrote it.
    assert sealing.statement == Statement(2, 2, sealing.tree.root)
    assert sealing.statement.data.startswith(b"subnet-prompts/1 2 2 ")
    vault.drop(sealing)
    # The next one binds the seed of the one after it.
    following = await vault.seal(3, netuid=2, validator="5V", turns=1, tasks=2)
    assert following.after is None and following.statement.next is not None
    following = vault.note_posted(following, 140, beacon=b"b" * 32)
    vault.take(following)
    again = Vault(Mixed(), seed=b"t", asked=lambda known: False, path=folder / "sealed.json")
    assert again.left(3) == 0
    bound = await again.seal(4, netuid=2, validator="5V", turns=1, tasks=2)
    assert bound.after == (b"b" * 32).hex()

    withheld = Withheld(folder)
    withheld.keep(2, "root", 1, "{}", {}, {})
    raw = (folder / "withheld.jsonl").read_bytes().splitlines()
    for epoch, count in ((1, 1), (2, 2)):
        key = withheld.find_key(epoch)
        assert key is not None
        first, *others = open_withheld(raw, epoch, key)
        assert len(first.answers) == 2 and first.signatures == {} and len(others) == count - 1


def test_the_row_that_it_committed_to_is_revealed(folder: Path) -> None:
    """With its salt, and as that of the first mechanism."""
    path = folder / "commits.json"
    (pending,) = Commits(path).pending
    assert (pending.round, pending.mechanism, pending.block) == (2, 0, 104)
    assert pending.salted is not None and pending.salted.row == {1: 65535}
    commits = Commits(path)
    commits.put(dataclasses.replace(pending, epoch=2))
    assert json.loads(path.read_bytes())["schema"] == 2
    assert Commits(path).pending == (dataclasses.replace(pending, epoch=2),)
