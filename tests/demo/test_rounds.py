"""The demo reads what validators really write."""

from __future__ import annotations

from pathlib import Path

from chain.client import Metagraph, Schedule
from chain.types import AccountId
from subnet.cli.demo.rounds import Question, Round, load
from subnet.definition import Judgement
from subnet.protocol import Answer, Challenge, Failure, Reply, Task, Timing
from validators.commits import Ending, Pending, Settled
from validators.journal import Journal
from validators.judge import Judged
from validators.moment import Moment
from validators.prompts.vault import Turn
from validators.record import record
from validators.weights import WeightsReport

HOTKEY = AccountId(bytes(32)).ss58()
TASK = Task("1", Challenge())
TIMING = Timing(0.0, 0.1, 0.2)


def judged(hotkey: str, score: float, failure: Failure | None) -> Judged:
    answer = Answer() if failure is None else None
    reply = Reply(1, hotkey, answer, failure, "", 200, failure is None, TIMING)
    return Judged(TASK, reply, Judgement(score))


def write(path: Path, number: int, weights: WeightsReport) -> None:
    moment = Moment(
        Metagraph(2, 100 * number, 100, 90, "", "", ()),
        Schedule(100 * number, 100, number, 90, 190),
        part=0,
        last=True,
    )
    with Journal(path) as journal:
        journal.append(
            record(
                round=number,
                run=1,
                time=0.0,
                validator="v",
                moment=moment,
                turn=Turn("00", ()),
                path="/ask",
                judged=[judged("a", 0.9, None), judged("b", 0.0, Failure.TIMEOUT)],
                weights=weights,
                most_bytes=10**6,
            )
        )


def test_no_journal_yet(tmp_path: Path) -> None:
    assert load(tmp_path / "journal.jsonl") == ()


def test_rounds_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, 1, WeightsReport(set=True, read_back=True, block=160, meant={1: 65535}))
    write(path, 2, WeightsReport(set=True, read_back=False, block=260, meant={1: 65535}))
    write(path, 3, WeightsReport(problem="the chain takes no more weights in this epoch"))
    questions = (Question("a", 0.9, answered=True), Question("b", 0.0, answered=False))
    assert load(path) == (
        Round(1, 100, questions, True, True, 160, {1: 65535}, 1),
        Round(2, 200, questions, True, False, 260, {1: 65535}, 2),
        Round(3, 300, questions, False, False, None, {}, 3),
    )
    with path.open("a") as file:
        file.write('{"schema": 1, "kind": "round", "rou')  # a line still being written
    assert len(load(path)) == 3


def test_rounds_whose_weights_were_hidden(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    endings = (Ending.REVEALED, Ending.DIFFERENT, Ending.EXPIRED)
    for number in (1, 2, 3, 4):
        block = 100 * number + 60
        write(path, number, WeightsReport(set=True, block=block, meant={1: 65535}, commit="0x"))
    with Journal(path) as journal:
        for number, ending in enumerate(endings, 1):
            commit = Pending(number, HOTKEY, 2, {1: 65535}, (7,), 0, 9, {})
            journal.append({**Settled(commit, ending, 100 * number + 95).line(), "time": 0.0})
    one, two, three, four = load(path)
    assert (one.commit_block, one.weights_block, one.weights_read_back) == (160, 195, True)
    assert (two.weights_block, two.weights_read_back, two.ending) == (None, False, "different")
    assert (three.weights_block, three.ending) == (None, "expired")
    assert (four.weights_block, four.ending) == (None, None)
    assert [round.is_waiting for round in (one, two, three, four)] == [False, False, False, True]
