"""What one miner sends costs that miner alone, and the judge's own trouble costs nobody."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import ClassVar

import numpy as np
import pytest

from scoring.policies import Claim
from scoring.verify.statement import Measure, measured
from subnet.definition import Fact, Judgement, Miner, MinerOptions, Subnet
from subnet.errors import EngineAway, EngineRefused
from subnet.protocol import Answer, Challenge, Failure, Reply, Task, Timing
from validators.judge import ENGINE_REFUSED, JUDGE_FAILED, UNNAMED, judge


class Ask(Challenge):
    pass


class Said(Answer):
    text: str


class Echo:
    async def answer(self, challenge: Ask, caller: str) -> Said:
        return Said(text="")


class Fragile(Subnet[Ask, Said]):
    """Scores what it is told to; breaks on words."""

    challenge, answer = Ask, Said

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        return iter(())

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> float | Judgement:
        assert reply.answer is not None
        if reply.answer.text == "away":
            raise EngineAway("it died")
        if reply.answer.text == "refused":
            raise EngineRefused("a token id is not in 0..9")
        if reply.answer.text == "ratio":
            return Judgement(1.0, "fine", {"ratio": math.inf})
        if reply.answer.text == "list":
            return Judgement(1.0, "fine", {"tokens": [1, 2]})  # type: ignore[dict-item]
        if reply.answer.text == "code":
            return Judgement(1.0, 7)  # type: ignore[arg-type]
        if reply.answer.text == "single":  # as an array has it, and JSON has not
            measure = Measure("margin", np.float32(0.5), 0.5)  # type: ignore[arg-type]
            return Judgement(1.0, "fine", statements=(measured("check", [measure]),))
        if reply.answer.text == "half":  # of a pair, for which UTF-8 has no bytes
            return Judgement(1.0, "\ud800")
        if reply.answer.text == "claim":
            return Judgement(1.0, "fine", claim=Claim(math.nan, 1.0))
        if reply.answer.text == "is":
            return Judgement(reply.answer.text == "is", "same")
        if reply.answer.text == "grounds":
            return Judgement(0.5, "half", {"tokens": 3})
        return float(reply.answer.text)

    def miner(self, options: MinerOptions) -> AbstractAsyncContextManager[Miner[Ask, Said]]:
        return nullcontext(Echo())


def reply(text: str | None, failure: Failure | None = None) -> Reply[Said]:
    answer = None if text is None else Said(text=text)
    return Reply(0, "5Miner", answer, failure, "", 200, True, Timing(0, 0, 0))


async def opinions(*replies: Reply[Said]) -> list[tuple[float, str]]:
    task = Task("1", Ask())
    judged = await judge(Fragile(), [(task, reply) for reply in replies])
    return [(item.judgement.score, item.judgement.reason) for item in judged]


async def test_scores_come_back_in_order() -> None:
    assert await opinions(reply("0.25"), reply("grounds"), reply("1")) == [
        (0.25, UNNAMED),
        (0.5, "half"),
        (1.0, UNNAMED),
    ]


async def test_a_score_is_a_number_whatever_was_compared() -> None:
    """Or the journal would say `true`."""
    ((score, reason),) = await opinions(reply("is"))
    assert (score, type(score), reason) == (1.0, float, "same")


async def test_facts_are_those_of_their_answer() -> None:
    class Lazy(Fragile):
        facts: ClassVar[dict[str, Fact]] = {}

        async def score(self, task: Task[Ask], reply: Reply[Said]) -> Judgement:
            assert reply.answer is not None
            self.facts["text"] = reply.answer.text
            return Judgement(1.0, "fine", self.facts)

    task = Task("1", Ask())
    judged = await judge(Lazy(), [(task, reply("a")), (task, reply("b"))])
    assert [item.judgement.facts for item in judged] == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("failure", list(Failure))
async def test_every_failure_is_worth_nothing_and_says_why(failure: Failure) -> None:
    assert await opinions(reply(None, failure)) == [(0.0, failure.value)]


BREAKING = [
    "poison", "nan", "inf", "-0.1", "1.1", "ratio", "list", "code", "single", "claim", "half",
]  # fmt: skip


@pytest.mark.parametrize("text", BREAKING)
async def test_an_answer_that_breaks_the_judge_costs_its_miner_only(text: str) -> None:
    assert await opinions(reply("1"), reply(text), reply("0.5")) == [
        (1.0, UNNAMED),
        (0.0, JUDGE_FAILED),
        (0.5, UNNAMED),
    ]


async def test_what_the_judge_s_model_refuses_costs_its_miner_only() -> None:
    assert await opinions(reply("1"), reply("refused"), reply("0.5")) == [
        (1.0, UNNAMED),
        (0.0, ENGINE_REFUSED),
        (0.5, UNNAMED),
    ]


async def test_a_judge_s_dead_engine_is_nobody_s_score() -> None:
    with pytest.raises(EngineAway):
        await opinions(reply("1"), reply("away"))
