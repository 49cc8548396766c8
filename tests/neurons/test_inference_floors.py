"""The template's floor: what becomes of it in a judgement, and what of a judge without one."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bittensor_core import Keypair

from scoring.policies import BANNED, Seen
from scoring.verify import floors, logprobs, seedlock
from scoring.verify.floors import Calibration
from scoring.verify.statement import (
    Measure,
    Outcome,
    Sample,
    Statement,
    least_answers,
    measured,
)
from subnet.config import EngineTable, ValidatorSettings
from subnet.doctor import State, check_judge
from subnet.engines.base import Engine, Params, Token
from subnet.engines.choice import computes
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import get_model
from subnet.errors import DefinitionError, EngineRefused, Unsupported
from subnet.protocol import Reply, Task, Timing
from subnet.templates.inference import Inference
from subnet.templates.inference.definition import (
    ANSWER_TOKENS,
    DOUBT,
    MODEL,
    TEMPERATURE,
    Ask,
    Honest,
    Tokens,
)
from validators.prompts.stream import Stream

HOTKEY = str(Keypair.create_from_uri("//a").ss58_address)
CALLER = str(Keypair.create_from_uri("//Validator").ss58_address)
NOBODYS = "ab" * 32


SHORT = [floor for floor in floors.shipped() if floor.length == ANSWER_TOKENS]
"""Those of the template, which are of 24 tokens."""


def cut(floor: Calibration, answers: int) -> Calibration:
    """As it would be of so many answers."""
    measures = {name: values[-answers:] for name, values in floor.measures.items()}
    return replace(floor, answers=answers, measures=measures)


class Unmeasured(Inference):
    """An author's own model, of which nobody measured anything."""

    model_sha256 = NOBODYS


class OnTorch(Inference):
    engine_settings = EngineTable(kind="torch", device="cpu", dtype="float32")


class Unlocked(Inference):
    """Takes miners whose servers know no seed lock."""

    seed_locked = False


def test_the_floors_that_come_with_the_package_are_of_what_the_template_asks() -> None:
    for subnet, judge in ((Inference(), "llamacpp"), (OnTorch(), "torch")):
        floor = subnet.find_floor()
        assert floor is not None and subnet.advice() is None
        assert (floor.length, floor.temperature) == (ANSWER_TOKENS, TEMPERATURE)
        assert floor.judge.engine == judge
        assert "llamacpp" in floor.miner.precision and "torch" in floor.miner.precision
        # Enough of them for what the trial calls bad: see `Trial.bad`.
        trial = subnet.memory.trial
        assert trial is not None
        assert floor.sample("seedlock.margin", DOUBT).p(math.inf) <= trial.bad


def test_a_judge_on_a_gpu_or_a_server_has_no_floor_that_was_measured_elsewhere() -> None:
    for table in (
        EngineTable(kind="torch", device="cuda", dtype="float32"),
        EngineTable(kind="torch", device="cpu", dtype="float16"),
        EngineTable(kind="openai", url="http://127.0.0.1:1"),
    ):
        subnet = Inference()
        subnet.engine_settings = table
        assert subnet.find_floor() is None
        assert subnet.advice() is not None
    assert computes(EngineTable(kind="torch", device="cuda:1")) == ("torch", "bfloat16", "cuda:1")


def settings(definition: str) -> ValidatorSettings:
    return ValidatorSettings.model_validate({"subnet": {"definition": f"{__name__}:{definition}"}})


def test_doctor_names_the_command_that_measures_a_floor() -> None:
    (found,) = check_judge(settings("Unmeasured"))
    assert (found.name, found.state) == ("judge", State.WARN)
    assert "no honest floor" in found.found and "subnet calibrate" in found.todo
    assert check_judge(settings("Inference")) == []


def test_doctor_says_what_a_short_floor_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widest is as short as the shortest; without a lock a judge refuses less than 100."""

    def said(definition: str, own: Sequence[Calibration]) -> str:
        monkeypatch.setattr(Inference, "calibrations", lambda self: own)
        checks = check_judge(settings(definition))
        assert all("--answers 250, once for every" in check.todo for check in checks)
        return "".join(check.found for check in checks)

    for definition in ("Inference", "Unlocked"):
        assert said(definition, [*SHORT, *(cut(one, 250) for one in SHORT)]) == ""
        for answers in (249, 100):
            few = said(definition, [*SHORT, *(cut(one, answers) for one in SHORT)])
            assert few == f"a floor is of {answers} answers: who cheats seldom is not found"
    few = said("Unlocked", [cut(one, 99) for one in SHORT])
    assert few == "floors of 99 answers tell nothing without a seed lock"
    assert said("Unlocked", []).endswith("without a seed lock there is nothing to judge by")


def test_what_a_trial_calls_bad_says_how_many_answers_a_floor_is_of() -> None:
    for bad in (0.1, 0.021, 0.0053):
        least = least_answers(bad, DOUBT)
        enough, few = (Sample((0.0,) * count, DOUBT) for count in (least, least - 1))
        assert enough.p(1.0) <= bad < few.p(1.0)


async def draw(subnet: Inference) -> Task[Ask]:
    return (await Stream(subnet, seed=b"test", asked=lambda digest: False).draw()).task


def reply(answer: Tokens, seconds: float = 1.0) -> Reply[Tokens]:
    return Reply(0, HOTKEY, answer, None, "", 200, True, Timing(0.0, seconds, seconds))


@pytest.mark.model
async def test_what_the_verifiers_say_goes_with_the_score(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    subnet = Inference()
    async with subnet.judge():
        task = await draw(subnet)
        answer = await Honest(subnet.engine, HOTKEY).answer(task.challenge, CALLER)
        said = await subnet.score(task, reply(answer))
        assert await subnet.score(task, reply(answer)) == said  # as a replay would
        late = await subnet.score(task, reply(answer, 31.0))
        assert (late.score, late.reason, late.statements) == (0.0, "late", said.statements)
        assert [one.check for one in said.statements] == [seedlock.CHECK, logprobs.CHECK]
        assert all(one.outcome is Outcome.MEASURED for one in said.statements)
        margin = said.statements[0].measures[0]
        assert (margin.name, margin.value, margin.p) == ("margin", 0.0, 1.0)

        end = subnet.engine.end_token
        other = Tokens(tokens=tuple(t if t == end else t ^ 4 for t in answer.tokens))
        wrong = await subnet.score(task, reply(other))
        assert wrong.statements[0].measures[0].p < 0.1 and wrong.score < 0.1
        cut = await subnet.score(task, reply(Tokens(tokens=answer.tokens[:5])))
        assert [one.outcome for one in cut.statements] == [Outcome.INVALID]
        assert cut.score == 0.0 and "cut off" in cut.statements[0].reason

        # A challenge of another length is none that the floor is of.
        shorter = replace(task, challenge=task.challenge.model_copy(update={"max_tokens": 5}))
        scored = await subnet.score(shorter, reply(Tokens(tokens=answer.tokens[:5])))
        assert scored.score > 0.99 and scored.statements == ()
    assert not caplog.records

    monkeypatch.setattr(Inference, "calibrations", lambda self: ())
    with caplog.at_level(logging.WARNING):
        async with Inference().judge():
            pass
    (record,) = caplog.records
    assert "no honest floor" in record.message and "subnet calibrate" in record.message
    bare = Inference()
    async with bare.judge():
        found = await bare.score(task, reply(answer))
    assert (found.score, found.reason, found.statements) == (said.score, said.reason, ())


MEASURES = ("seedlock.margin", "seedlock.early", *(f"logprobs.{n}" for n in floors.LOGPROBS))


def lives(source: Calibration, cheat_share: float, miners: int, count: int) -> list[int | None]:
    """In which answer each of `miners` is banned, drawn from an honest engine's own floor.

    At `cheat_share` of the answers the margin is one that no honest answer has.
    """
    floor = floors.widest(
        floors.shipped(),
        model_sha256=source.model_sha256,
        judge=(source.judge.engine, source.judge.precision, source.judge.device),
        length=source.length,
        temperature=source.temperature,
    )
    assert floor is not None
    samples = {name: floor.sample(name, DOUBT) for name in MEASURES}
    rng = np.random.default_rng(miners + count)
    trial = Inference.memory.trial
    assert trial is not None
    ends: list[int | None] = []
    for _ in range(miners):
        drawn = {
            name: [sample.p(float(v)) for v in rng.choice(source.measures[name], count)]
            for name, sample in samples.items()
        }
        cheats = rng.uniform(size=count) < cheat_share
        worst = samples["seedlock.margin"].p(3.0)
        history = [
            [
                measured(
                    "template",
                    [
                        Measure(name, 0.0, worst if cheats[at] and "margin" in name else ps[at])
                        for name, ps in drawn.items()
                    ],
                )
            ]
            for at in range(count)
        ]
        bans = trial.run(enumerate(history)).bans
        ends.append(bans[0].round if bans else None)
    return ends


@pytest.mark.parametrize(
    "source", SHORT, ids=lambda f: f"{f.miner.engine} {f.miner.precision} by {f.judge.engine}"
)
def test_honest_miners_of_every_measured_engine_are_left_alone(source: Calibration) -> None:
    assert lives(source, 0.0, miners=4, count=300) == [None] * 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_a_thousand_honest_miners_none_is_banned() -> None:
    """In turn of every engine that was measured, 200 answers each."""
    each = -(-1000 // len(SHORT))
    for source in SHORT:
        assert lives(source, 0.0, miners=each, count=200) == [None] * each


def test_a_miner_that_cheats_at_a_quarter_of_its_answers_is_banned() -> None:
    source = next(floor for floor in SHORT if floor.judge.engine == "llamacpp")
    ends = lives(source, 0.25, miners=4, count=600)
    assert all(end is not None for end in ends), ends


def test_a_ban_is_the_templates_own_memory() -> None:
    invalid = Statement(seedlock.CHECK, Outcome.INVALID, "cut off")
    history = [Seen(round, 0.0, True, (invalid,)) for round in range(1, 8)]
    standing = Inference.memory.standing(history, (), now=7)
    assert (standing.score, standing.reason) == (0.0, BANNED)
    # Without statements it is the mean that a subnet without a memory has.
    plain = [Seen(round, 1.0, True) for round in range(1, 8)]
    assert Inference.memory.standing(plain, (), now=7).score == 1.0


# A server that cannot be seed-locked


class NoLock(LlamaEngine):
    """llama.cpp behind a face that takes no locks, as a server has that was started without."""

    locks = False

    async def generate(
        self, prompt_ids: Sequence[int], params: Params
    ) -> AsyncGenerator[Token, None]:
        if params.lock is not None:
            raise Unsupported("openai", "seed-locked answers: its server runs no seed lock")
        async for token in super().generate(prompt_ids, params):
            yield token


@asynccontextmanager
async def no_lock() -> AsyncIterator[Engine]:
    async with NoLock.open(get_model(MODEL.sha256), sha256=MODEL.sha256) as engine:
        yield engine


@pytest.mark.model
async def test_a_server_without_the_lock_is_told_so_and_chosen_for_token_by_token(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from subnet.definition import MinerOptions
    from subnet.templates.inference import definition

    subnet = Inference()
    async with subnet.judge():
        task = await draw(subnet)
        monkeypatch.setattr(definition, "open_engine", lambda *_, **__: no_lock())
        async with subnet.miner(MinerOptions(HOTKEY)) as miner:
            answer = await miner.answer(task.challenge, CALLER)
        assert any("keeps no seed lock" in record.message for record in caplog.records)
        assert (await subnet.score(task, reply(answer))).score > 0.99


@pytest.mark.model
async def test_an_author_may_take_answers_that_chance_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then log-probabilities are all there is: a text of the model's passes, another does not.

    Of ten of the model's, that is: each by itself has a chance of a few percent not to.
    """
    from subnet.definition import MinerOptions
    from subnet.templates.inference import definition

    monkeypatch.setattr(definition, "open_engine", lambda *_, **__: no_lock())
    subnet = Unlocked()
    async with subnet.judge():
        task = await draw(subnet)
        assert (await draw(subnet)).challenge == task.challenge  # the same seed, the same tasks
        async with subnet.miner(MinerOptions(HOTKEY)) as miner:
            answers = [await miner.answer(task.challenge, CALLER) for _ in range(10)]
        assert len({answer.tokens for answer in answers}) > 1
        opinions = [await subnet.score(task, reply(answer)) for answer in answers]
        plausible = [said for said in opinions if said.reason == "plausible"]
        assert len(plausible) >= 5 and {said.score for said in plausible} == {1.0}
        for said in opinions:
            assert [statement.check for statement in said.statements] == [logprobs.CHECK]
        nonsense = Tokens(tokens=tuple(range(100, 100 + ANSWER_TOKENS)))
        said = await subnet.score(task, reply(nonsense))
        assert (said.score, said.reason) == (0.0, "implausible")
        other = replace(task, challenge=task.challenge.model_copy(update={"temperature": 0.7}))
        with pytest.raises(EngineRefused, match="no floor is of"):
            await subnet.score(other, reply(answers[0]))
    short = [cut(floor, 64) for floor in floors.shipped()]
    monkeypatch.setattr(Unlocked, "calibrations", lambda self: short)
    with pytest.raises(DefinitionError, match="floors of 64 answers tell nothing"):
        async with Unlocked().judge():
            pass
    monkeypatch.setattr(Unlocked, "calibrations", lambda self: ())
    with pytest.raises(DefinitionError, match="no honest floor"):
        async with Unlocked().judge():
            pass
