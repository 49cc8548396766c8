"""The demo's subnet with its real model: who is believed, over real sockets, and who is not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bittensor_core import Keypair
from pydantic import ValidationError

from scoring.verify import seedlock
from scoring.verify.statement import Outcome, Statement
from subnet.config import EngineTable
from subnet.definition import Judgement, Miner, MinerOptions
from subnet.engines.base import Engine
from subnet.errors import InvalidSetting, RequestRefused
from subnet.protocol import Failure, Reply, Target, Task, Timing
from subnet.templates.inference import Inference, definition
from subnet.templates.inference.cheats import Canned, Flaky, Relay, open_miner
from subnet.templates.inference.definition import (
    ANSWER_TOKENS,
    PAID_SECONDS,
    PROMPT_TOKENS,
    Ask,
    Honest,
    Tokens,
)
from subnet.templates.inference.prompts import write_prompt
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from validators.judge import judge
from validators.prompts.stream import Stream

pytestmark = pytest.mark.model

VALIDATOR = Keypair.create_from_uri("//Validator")
MINERS = {name: Keypair.create_from_uri(f"//{name}") for name in ("a", "b", "c", "d", "e", "f")}
HOTKEY = {name: str(key.ss58_address) for name, key in MINERS.items()}
CALLER = str(VALIDATOR.ss58_address)


@pytest.fixture
async def subnet() -> AsyncIterator[Inference]:
    opened = Inference()
    async with opened.judge():
        yield opened


async def draw(subnet: Inference, count: int, seed: bytes = b"test") -> tuple[Task[Ask], ...]:
    stream = Stream(subnet, seed=seed, asked=lambda digest: False)
    return tuple([(await stream.draw()).task for _ in range(count)])


def reply(hotkey: str, answer: Tokens, seconds: float = 1.0) -> Reply[Tokens]:
    return Reply(0, hotkey, answer, None, "", 200, True, Timing(0.0, seconds, seconds))


async def scores(
    subnet: Inference, tasks: Sequence[Task[Ask]], miner: Miner[Ask, Tokens], hotkey: str
) -> list[float]:
    answers = [await miner.answer(task.challenge, CALLER) for task in tasks]
    judgements = [
        await subnet.score(task, reply(hotkey, answer))
        for task, answer in zip(tasks, answers, strict=True)
    ]
    return [judgement.score for judgement in judgements]


async def test_prompts_are_short_and_answers_have_their_length(subnet: Inference) -> None:
    source = random.Random(b"lengths")
    lengths = [len(await subnet.engine.chat(write_prompt(source))) for _ in range(200)]
    assert max(lengths) <= PROMPT_TOKENS
    (task,) = await draw(subnet, 1)
    answer = await Honest(subnet.engine, HOTKEY["a"]).answer(task.challenge, CALLER)
    assert len(answer.tokens) == len(answer.logprobs) <= ANSWER_TOKENS


async def test_no_task_tells_the_next(subnet: Inference, monkeypatch: pytest.MonkeyPatch) -> None:
    """One generator for all tasks gives its state away, number by number, in what is asked."""
    sources: list[random.Random] = []

    def watched(source: random.Random) -> str:
        sources.append(source)
        return write_prompt(source)

    monkeypatch.setattr(definition, "write_prompt", watched)
    await draw(subnet, 3)
    assert len({id(source) for source in sources}) == len(sources) >= 3


async def test_a_task_to_which_the_seed_says_little_is_not_asked(
    subnet: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await draw(subnet, 2)
    assert isinstance(first.reference, float) and isinstance(second.reference, float)
    assert min(first.reference, second.reference) >= seedlock.ENOUGH_INFORMATION
    monkeypatch.setattr(seedlock, "ENOUGH_INFORMATION", first.reference + 0.1)
    (richer,) = await draw(subnet, 1)
    assert richer.challenge != first.challenge
    assert isinstance(richer.reference, float) and richer.reference > first.reference


class Echo:
    """Has only the tokenizer: says the prompt again, which the model would find likely."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        tokens = await self._engine.tokenize(challenge.prompt * 3)
        return Tokens(tokens=tuple(tokens[: challenge.max_tokens]))


async def compare(count: int) -> dict[str, list[float]]:
    """Scores by kind of miner, on the same tasks."""
    async with AsyncExitStack() as stack:
        subnet = Inference()
        await stack.enter_async_context(subnet.judge())
        tasks = await draw(subnet, count)
        downgraded = await stack.enter_async_context(
            open_miner(
                MinerOptions(HOTKEY["b"], "downgraded", allow_other_weights=True), EngineTable()
            )
        )
        honest = Honest(subnet.engine, HOTKEY["a"])
        return {
            "honest": await scores(subnet, tasks, honest, HOTKEY["a"]),
            "downgraded": await scores(subnet, tasks, downgraded, HOTKEY["b"]),
            "canned": await scores(subnet, [*tasks, *tasks, *tasks], Canned(), HOTKEY["c"]),
            "relay": await scores(subnet, tasks, Relay(honest), HOTKEY["d"]),
            "echo": await scores(subnet, tasks, Echo(subnet.engine), HOTKEY["e"]),
        }


def assert_apart(found: dict[str, list[float]]) -> None:
    honest = found.pop("honest")
    assert min(honest) > 0.99
    for kind, cheating in found.items():
        assert max(cheating) < 0.1, kind


async def test_only_the_honest_are_believed() -> None:
    assert_apart(await compare(2))


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_honest_and_cheating_scores_never_overlap_over_thirty_prompts() -> None:
    assert_apart(await compare(30))


async def test_speed_earns_nothing_and_lateness_loses(subnet: Inference) -> None:
    (task,) = await draw(subnet, 1)
    answer = await Honest(subnet.engine, HOTKEY["a"]).answer(task.challenge, CALLER)

    async def after(seconds: float) -> Judgement:
        return await subnet.score(task, reply(HOTKEY["a"], answer, seconds))

    assert (await after(0.01)).score == (await after(PAID_SECONDS)).score > 0.99
    late = await after(PAID_SECONDS + 0.01)
    assert (late.score, late.reason) == (0.0, "late")


async def test_what_a_miner_says_of_itself_is_not_believed(subnet: Inference) -> None:
    (task,) = await draw(subnet, 1)
    honest = await Honest(subnet.engine, HOTKEY["a"]).answer(task.challenge, CALLER)
    boasting = honest.model_copy(update={"logprobs": (0.0,) * len(honest.tokens)})
    silent = honest.model_copy(update={"logprobs": ()})
    found = [await subnet.score(task, reply(HOTKEY["a"], a)) for a in (honest, boasting, silent)]
    assert found[0] == found[1] == found[2]


async def test_an_answer_cut_short_is_worth_nothing(subnet: Inference) -> None:
    (task,) = await draw(subnet, 1)
    answer = await Honest(subnet.engine, HOTKEY["a"]).answer(task.challenge, CALLER)
    cut = Tokens(tokens=answer.tokens[:12])
    said = Statement(seedlock.CHECK, Outcome.INVALID, "cut off after 12 of 24 tokens")
    assert await subnet.score(task, reply(HOTKEY["a"], cut)) == Judgement(
        0.0, "incomplete", {"tokens": 12}, (said,)
    )


async def test_a_prompt_no_honest_judge_would_send_is_not_read(subnet: Inference) -> None:
    """A thousand characters can be a thousand tokens: eight seconds that others wait."""
    ask = Ask(prompt="\u202e" * 300, seed="00" * 16)
    with pytest.raises(RequestRefused, match="at most 80 tokens"):
        await Honest(subnet.engine, HOTKEY["a"]).answer(ask, CALLER)


@pytest.mark.parametrize("logprobs", ["NaN", "Infinity", "-1e999"])
def test_a_log_probability_that_is_no_number_is_no_answer(logprobs: str) -> None:
    with pytest.raises(ValidationError):
        Tokens.model_validate_json(f'{{"tokens":[1],"logprobs":[{logprobs}]}}')


async def test_tokens_that_end_in_the_middle_or_never_came_are_worth_nothing(
    subnet: Inference,
) -> None:
    (task,) = await draw(subnet, 1)
    end = subnet.engine.end_token
    for tokens in ((end, *range(100, 123)), (*range(100, 111), end, end), tuple(range(100, 125))):
        found = await subnet.score(task, reply(HOTKEY["a"], Tokens(tokens=tokens)))
        assert (found.score, found.reason) == (0.0, "incomplete")


async def test_flaky_answers_every_other_question_of_each_caller(subnet: Inference) -> None:
    async def handler(count: int, caller: str) -> list[bool]:
        answered = []
        for _ in range(count):
            try:
                await flaky.answer(Ask(prompt="x", seed="00" * 16), caller)
                answered.append(True)
            except Exception as error:
                assert str(error) == "not this time"
                answered.append(False)
        return answered

    flaky = Flaky(Canned())
    assert await handler(3, "one") == [True, False, True]
    assert await handler(2, "two") == [True, False]


@pytest.mark.parametrize(("behaviour", "hint"), [("downgraded", "allow-other"), ("x", "one of")])
async def test_a_cheat_is_never_run_by_accident(behaviour: str, hint: str) -> None:
    with pytest.raises(InvalidSetting, match=hint):
        async with Inference().miner(MinerOptions(HOTKEY["a"], behaviour)):
            pass


@asynccontextmanager
async def axon(name: str, miner: Miner[Ask, Tokens], uid: int) -> AsyncIterator[Target]:
    """A real axon in front of `miner`."""

    async def answer(challenge: Ask, caller: Caller) -> Tokens:
        return await miner.answer(challenge, caller.hotkey)

    served = Axon(MINERS[name], policy=AnyPolicy())
    served.handle("/ask", Ask, Tokens, answer)
    host, port = await served.start("127.0.0.2", 0)
    try:
        yield Target(uid, HOTKEY[name], host, port)
    finally:
        await served.stop(0.1)


@asynccontextmanager
async def unsigned(name: str, miner: Miner[Ask, Tokens], uid: int) -> AsyncIterator[Target]:
    """A server that answers perfectly and signs nothing."""

    async def answer(request: web.Request) -> web.Response:
        ask = Ask.model_validate_json(await request.read())
        found = await miner.answer(ask, CALLER)
        return web.Response(text=found.model_dump_json(), content_type="application/json")

    application = web.Application()
    application.router.add_post("/ask", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.2", 0)
    await site.start()
    try:
        yield Target(uid, HOTKEY[name], *runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def test_a_round_over_real_sockets(
    subnet: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition, "PAID_SECONDS", 240.0)  # how fast this machine is, is no matter
    engine = subnet.engine
    async with AsyncExitStack() as stack:
        targets = [
            await stack.enter_async_context(served)
            for served in (
                axon("a", Honest(engine, HOTKEY["a"]), 0),
                axon("b", Canned(), 1),
                axon("c", Relay(Honest(engine, HOTKEY["a"])), 2),
                unsigned("d", Honest(engine, HOTKEY["d"]), 3),
                axon("e", Honest(engine, HOTKEY["e"]), 4),
            )
        ]
        nobody = Target(5, HOTKEY["f"], "127.0.0.2", 9)
        dendrite = await stack.enter_async_context(Dendrite(VALIDATOR, allow_private=True))
        (task,) = await draw(subnet, 1)
        replies: list[Reply[Any]] = list(
            await dendrite.ask([*targets, nobody], "/ask", task.challenge, Tokens, timeout_s=240)
        )
        judged = await judge(subnet, [(task, reply) for reply in replies])
    found = {item.reply.uid: (item.judgement.score, item.judgement.reason) for item in judged}
    assert found[0][0] > 0.99 and found[4][0] > 0.99
    assert found[1][0] < 0.1 and found[2][0] < 0.1
    assert found[3] == (0.0, Failure.UNSIGNED.value)
    assert found[5] == (0.0, Failure.UNREACHABLE.value)
    assert judged[0].reply.answer != judged[4].reply.answer


async def test_an_honest_score_does_not_depend_on_load(subnet: Inference) -> None:
    """Six questions at once, all judged together, score what one alone scores."""
    tasks = await draw(subnet, 2)
    miner = Honest(subnet.engine, HOTKEY["a"])
    alone = await scores(subnet, tasks, miner, HOTKEY["a"])
    crowd = await asyncio.gather(*(miner.answer(task.challenge, CALLER) for task in tasks * 3))
    together = await asyncio.gather(
        *(
            subnet.score(task, reply(HOTKEY["a"], answer))
            for task, answer in zip(tasks * 3, crowd, strict=True)
        )
    )
    assert [judgement.score for judgement in together] == alone * 3
    assert min(alone) > 0.99


async def test_the_model_file_given_must_be_the_model(tmp_path: Path) -> None:
    from subnet.errors import ModelMismatch

    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    with pytest.raises(ModelMismatch):
        async with Inference().miner(MinerOptions(HOTKEY["a"], model_file=other)):
            pass
