"""Whatever one miner sends, it gets its reason code, and everybody else's round goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from scoring import exact
from scoring.similarity import overlap
from subnet.definition import Judgement, Subnet
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.wire.dendrite import Dendrite
from subnet.wire.limits import Limits
from tests.poison.corpus import CORPUS, poisoned
from validators import journal
from validators.journal import Journal
from validators.judge import Judged, judge
from validators.ledger import Ledger, Outcome
from validators.loop import ask
from validators.moment import Moment
from validators.prompts.vault import Turn, Vault
from validators.record import code_of, record
from validators.replay import Rules, replay
from validators.signatures import answer_bytes, find_forged
from validators.weights import WeightsReport

ROUND_S = 120.0
"""Many times what a round takes that nothing holds up, on any machine."""
VALIDATOR = Keypair.create_from_uri("//poison//validator")


class Ask(Challenge):
    number: int


class Said(Answer):
    number: int
    text: str = ""
    ratio: float = 0.0
    note: Any = None


class Twice(Subnet[Ask, Said]):
    """Pays for twice the number, and looks at everything else with every pure scorer."""

    challenge, answer = Ask, Said
    timeout_s = 6.0

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        return (Task(str(n), Ask(number=n + 7), 2 * (n + 7)) for n in itertools.count())

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> Judgement:
        said = reply.answer
        assert said is not None and isinstance(task.reference, int)
        exact.same_text(said.text, "some reference")
        off = abs(float(said.number) - task.reference)  # too large for a float: the author's bug
        return Judgement(float(not off), "wrong" if off else "right", {"chars": len(said.text)})

    def miner(self, options: Any) -> AbstractAsyncContextManager[Any]:
        return nullcontext()


def line_of(
    subnet: Twice, turn: Turn[Any], judged: Sequence[Judged], *, most_bytes: int
) -> dict[str, Any]:
    """The journal's line of a round on an empty subnet."""
    return record(
        round=1,
        run=1,
        time=1.0,
        validator=str(VALIDATOR.ss58_address),
        moment=Moment(Metagraph(1, 1, 1, 0, "", "", ()), Schedule(1, 1, 1, 0, 0), 0, True),
        turn=turn,
        path=subnet.path,
        judged=judged,
        weights=WeightsReport(),
        most_bytes=most_bytes,
    )


async def test_every_poison_gets_its_code_and_the_round_goes_on(tmp_path: Path) -> None:
    subnet = Twice()
    names = list(CORPUS)
    vault = Vault(subnet, seed=b"poison", asked=lambda known: False)
    sealing = await vault.seal(1, netuid=1, validator="v", turns=1, tasks=1)
    turn = vault.take(sealing)
    async with (
        poisoned(names) as targets,
        Dendrite(VALIDATOR, allow_private=True, limits=Limits(sockets=len(names))) as dendrite,
        asyncio.timeout(ROUND_S),
    ):
        judged = await judge(subnet, await ask(dendrite, subnet, turn, targets))
    assert [item.reply.hotkey for item in judged] == [target.hotkey for target in targets]
    codes = dict(zip(names, (item.judgement.reason for item in judged), strict=True))
    assert codes == {name: code for name, (_, code) in CORPUS.items()}
    assert {item.judgement.score for item in judged if item.judgement.reason == "right"} == {1.0}
    assert {item.judgement.score for item in judged if item.judgement.reason != "right"} == {0.0}

    line = line_of(subnet, turn, judged, most_bytes=64 * 2**20)
    with (
        Journal(tmp_path / "journal.jsonl", code=code_of(subnet)) as book,
        Ledger(tmp_path / "ledger.sqlite", half_life_rounds=8, clock=lambda: 0.0) as ledger,
    ):
        book.hold(line)
        outcomes = [Outcome(i.reply.hotkey, i.judgement.score, True) for i in judged]
        ledger.remember(1, block=1, epoch=1, digests=[], outcomes=outcomes)
        book.append_held(line)
        evidence = ledger.evidence()
    (found,) = journal.read(tmp_path / "journal.jsonl")
    assert [reply["reason"] for reply in found["replies"]] == list(codes.values())
    assert evidence[targets[0].hotkey].score == 1.0 and len(evidence) == len(names)
    by_name = dict(zip(names, found["replies"], strict=True))
    # What JSON has no word for is kept as it came, and all of it can be judged again.
    assert by_name["NaN where anything goes"]["body"]
    assert by_name["honest"]["answer"]["number"] == 14
    assert all(len(reply["detail"]) < 300 for reply in found["replies"])
    # And whoever signed for its poison has signed for what is written here, byte for byte.
    assert {find_forged(found, reply) for reply in found["replies"]} == {None}
    kept = {answer_bytes(reply) is not None or "came" in reply or "left_out" in reply
            for reply in found["replies"] if reply["signed"]}  # fmt: skip
    assert kept == {True}
    with Journal(tmp_path / "journal.jsonl") as book:
        (done,) = vault.finished(2)
        leaves = [{"index": leaf.index, "leaf": text} for leaf, text in
                  zip(done.leaves, done.texts, strict=True)]  # fmt: skip
        book.append({"kind": "leaves", "leaves": leaves, "time": 1.0})
    again = await replay(tmp_path / "journal.jsonl", subnet, rules=Rules(8))
    assert (again.judged, again.changed, again.not_judged) == (len(names), 0, ())


async def test_answers_that_are_too_much_together_leave_the_largest_out(tmp_path: Path) -> None:
    subnet = Twice()
    names = ["honest", "a megabyte of text", "a regex bomb"]
    task = next(subnet.tasks(b""))
    async with poisoned(names) as targets, Dendrite(VALIDATOR, allow_private=True) as dendrite:
        replies = await dendrite.ask(targets, subnet.path, task.challenge, Said, timeout_s=ROUND_S)
    judged = await judge(subnet, [(task, reply) for reply in replies])
    vault = Vault(subnet, seed=b"poison", asked=lambda known: False)
    turn = vault.take(await vault.seal(1, netuid=1, validator="v", turns=1, tasks=1))
    line = line_of(subnet, turn, judged, most_bytes=500_000)
    honest, large, bomb = line["replies"]
    assert honest["answer"]["number"] == 14 and bomb["answer"]["number"] == 14
    assert large["answer"] is None and large["left_out"]["bytes"] > 2**20 - 1000
    assert len(large["left_out"]["sha256"]) == 64 and large["score"] == 1.0
    assert len(json.dumps(line)) < 500_000


BOMBS = (
    "a" * 100_000 + "!",
    "9" * 100_000,
    "-" * 100_000,
    "1," * 50_000,
    "1" + "e9" * 50_000,
    "1e999999999",
    "0." + "0" * 100_000 + "1",
    "1/" * 50_000,
    "[" * 100_000,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000,
    '"' + "\\" * 99_999,
    " " * 100_000 + "x",
    "\n" * 100_000,
    "\u0300" * 100_000,
    "a\u0300" * 50_000,
    "\ud800" * 1000,
    "\0" * 100_000,
    "ﷺ" * 20_000,
    "(" * 100_000,
    "x" * 100_000 + " " * 100_000,
    "NaN",
    "Infinity",
    "9" * 5000,
    '{"a": NaN}',
    '{"a": 1, "a": 2}',
    '{"a": ' + "9" * 5000 + "}",
)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: repr(bomb[:12]))
async def test_no_text_holds_up_or_breaks_a_pure_scorer(bomb: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}

    def every_scorer() -> list[float]:
        marks = [
            exact.same_text(bomb, "reference"),
            exact.same_number(bomb, 12.5, relative=1e-6),
            exact.same_set(bomb, ["a", "b"]),
            exact.same_json(bomb, {"a": 1}),
            exact.fits_schema(bomb, schema),
        ]
        return [float(mark.score) for mark in marks] + [overlap(bomb, "some reference text")]

    async with asyncio.timeout(ROUND_S):
        scores = await asyncio.to_thread(every_scorer)
    assert all(0.0 <= score <= 1.0 for score in scores)
