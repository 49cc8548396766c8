"""The template that pays for the best answer: right over wrong, and nothing for tricks."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from subnet.definition import Judgement, MinerOptions, Subnet, load
from subnet.errors import InvalidSetting, ModelMissing
from subnet.protocol import Failure, Reply, Target, Task, Timing
from subnet.templates.quality import Meaning, Quality
from subnet.templates.quality.definition import Ask, Said, cut, is_echo, tells
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from tests.quality.people import INJECTION, Parrot, Program, Saying, Soberly, solve
from validators.judge import judge
from validators.prompts.vault import Vault, task_of

SEED = b"seed of the tests" * 2


async def drawn(subnet: Subnet[Any, Any], number: int, seed: bytes = SEED) -> list[Task[Ask]]:
    tasks: list[Task[Ask]] = []
    stream = subnet.tasks(seed)
    assert isinstance(stream, AsyncIterator)
    async for task in stream:
        tasks.append(task)
        if len(tasks) == number:
            break
    return tasks


async def of_kind(kind: str, subnet: Subnet[Any, Any] | None = None) -> Task[Ask]:
    tasks = await drawn(subnet or Quality(), 40)
    return next(task for task in tasks if task.challenge.kind == kind)


async def worth(
    task: Task[Ask], text: str, seconds: float = 1.0, subnet: Quality | None = None
) -> Judgement:
    reply = Reply(0, "5Miner", Said(text=text), None, "", 200, True, Timing(0, seconds, seconds))
    return await (subnet or Quality()).score(task, reply)


async def test_the_same_seed_asks_the_same_and_another_something_else() -> None:
    once, again, other = [await drawn(Quality(), 30, seed) for seed in (SEED, SEED, b"another" * 5)]
    assert once == again
    assert not {t.challenge.prompt for t in once} & {t.challenge.prompt for t in other}
    assert {task.challenge.kind for task in once} == {"number", "text", "json", "open"}


async def test_a_program_that_knows_the_templates_is_always_right() -> None:
    for task in await drawn(Quality(), 60):
        found = await worth(task, solve(task.challenge))
        assert (found.score, found.reason) == (1.0, task.challenge.kind), task


@pytest.mark.parametrize("kind", ["number", "text", "json", "open"])
async def test_whoever_is_late_earns_nothing(kind: str) -> None:
    task = await of_kind(kind)
    right = solve(task.challenge)
    assert (await worth(task, right, Quality.paid_s)).score == 1.0
    found = await worth(task, right, Quality.paid_s + 0.1)
    assert (found.score, found.reason) == (0.0, "late")


LOOK_ALIKES = str.maketrans(
    "aeoABCEHKMOPTX",
    "\u0430\u0435\u043e\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u041e\u0420\u0422\u0425",
)
"""Cyrillic letters that look like Latin ones."""


def tricks(task: Task[Ask]) -> dict[str, str]:
    """What somebody may send who cannot answer, or wants more than the answer is worth."""
    prompt, right = task.challenge.prompt, solve(task.challenge)
    found = {
        "nothing": "",
        "blanks": " \n\t ",
        "the question": prompt,
        "the question, doubled": prompt + prompt,
        "an order to the judge": INJECTION,
        "another answer": "Nobody knows what is asked here.",
        "a thousand answers": " ".join(map(str, range(300)))[:1000],
        "look-alikes": right.translate(LOOK_ALIKES),
    }
    if task.challenge.kind == "json":
        answer = json.loads(right)
        found["a name twice"] = right[:-1] + f', "age": {answer["age"] + 1}}}'
        found["a name twice, the same"] = right[:-1] + f', "age": {answer["age"]}}}'
        found["in another object"] = json.dumps({"answer": answer})
        found["in an array"] = f"[{right}, {right}]"
        found["as text"] = json.dumps({name: str(value) for name, value in answer.items()})
    if task.challenge.kind == "number":
        found["two numbers"] = f"{right} {int(right) + 1}"
        found["another script"] = right.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
        del found["look-alikes"]  # there are no letters in it
    if task.challenge.kind == "text":
        found["every code"] = " ".join(re.findall(r"\w+-\w+-\w+-\w+", prompt))
        found["another code"] = right[::-1]
    if task.challenge.kind == "open":
        facts = task.reference["facts"]  # type: ignore[index]
        found["a part of the question"] = prompt.partition("about ")[2]
        found["the question, and a lot more"] = prompt + " And nobody knows why that is so." * 4
        found["the question, and more"] = f"{prompt} That is what I think."
        found["the facts"] = " ".join(facts)
        found["the facts, as a list"] = ", ".join(facts) + "."
        found["all words of the answer, sorted"] = " ".join(sorted(right.split()))
        found["forty words more"] = right + " and so on" * 20
        found["one fact less"] = right.replace(facts[2], "that")
    return found


@pytest.mark.parametrize("kind", ["number", "text", "json", "open"])
async def test_tricks_earn_nothing(kind: str) -> None:
    task = await of_kind(kind)
    earned = {name: (await worth(task, text, 0.01)).score for name, text in tricks(task).items()}
    # Some words happen to be beside each other: that is worth little beside an answer's 1.
    sorted_words = earned.pop("all words of the answer, sorted", 0.0)
    assert sorted_words < 0.5
    assert earned == dict.fromkeys(earned, 0.0)


async def test_more_than_the_answer_is_worth_less_and_not_more() -> None:
    task = await of_kind("open")
    right = solve(task.challenge)
    plain, injected = [await worth(task, right + more) for more in ("", f" {INJECTION}")]
    assert plain.score == 1.0 and 0.0 < injected.score < 0.9
    for kind in ("number", "text", "json"):
        task = await of_kind(kind)
        assert (await worth(task, f"{solve(task.challenge)} {INJECTION}")).score == 0.0


def test_every_fact_counts_however_it_is_spelled_but_for_look_alikes() -> None:
    facts = ["Mila", "baker", "soup"]
    assert tells("MILA, a baker; likes SOUP!", facts)
    assert not tells("Mila the baker", facts)
    assert not tells("Milan bakers soups", facts)
    assert not tells("Mila, a baker, soup".translate(LOOK_ALIKES), facts)
    assert not tells("", facts) and tells("anything", [])
    assert tells("She lives in New  York.", ["new york"])
    assert not tells("York is not new.", ["new york"])


def test_an_echo_is_known_with_more_behind_it_and_in_part() -> None:
    prompt = "Write one sentence about Mila, a baker who likes soup."
    for echo in (prompt, prompt.upper(), f"{prompt} {prompt}", "Mila, a baker who likes soup!"):
        assert is_echo(echo, prompt)
    assert is_echo(f"{prompt} That is all.", prompt)
    for own in ("Mila is a baker who likes soup.", "Mila bakes, and soup is what she likes.", ""):
        assert not is_echo(own, prompt)


def test_a_miner_cuts_the_answer_out_of_what_its_model_says() -> None:
    assert cut("11 + 28 = 39.\n\nThis is 1 of", "number") == "39"
    assert cut("Mila: K2TB-77AQ.", "text") == "K2TB-77AQ"
    assert cut('Here:\n```json\n{\n "age": 3\n}\n```', "json") == '{\n "age": 3\n}'
    assert cut("Mila is 3.5 years old. She likes", "open") == "Mila is 3.5 years old."
    assert cut("I do not know", "number") == "I do not know"
    assert cut("", "open") == ""


async def test_what_is_sealed_is_what_is_scored(tmp_path: Path) -> None:
    subnet = Soberly()
    vault = Vault(subnet, seed=SEED, asked=lambda digest: False, path=tmp_path / "sealed.json")
    sealing = await vault.seal(1, netuid=1, validator="5V", turns=1, tasks=20)
    for leaf in sealing.leaves:
        task = task_of(subnet, leaf)
        answer = solve(task.challenge)
        assert (await worth(task, answer, subnet=subnet)).score == 1.0


async def test_of_the_settings_only_an_honest_miner_can_be_had() -> None:
    options = MinerOptions("5Miner", behaviour="canned")
    with pytest.raises(InvalidSetting, match="canned is not a behaviour"):
        async with Quality().miner(options):
            raise AssertionError("unreachable")


async def test_without_minilm_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBNET_CACHE_DIR", str(tmp_path))
    subnet = load("subnet.templates.quality:Meaning")
    with pytest.raises(ModelMissing, match="run: subnet model fetch --which minilm"):
        async with subnet.judge():
            raise AssertionError("unreachable")


@pytest.mark.slow  # 91 MB of weights, read and hashed
async def test_by_meaning_other_words_are_worth_something_and_tricks_are_not() -> None:
    subnet = Meaning()
    try:
        stack = AsyncExitStack()
        await stack.enter_async_context(subnet.judge())
    except ModelMissing as missing:
        pytest.skip(str(missing))
    async with stack:
        task = await of_kind("open", subnet)
        name, job, food = task.reference["facts"]  # type: ignore[index]
        right, other = [
            (await worth(task, text, subnet=subnet)).score
            for text in (solve(task.challenge), f"{name} works as a {job} and is fond of {food}.")
        ]
        assert right == pytest.approx(1.0) and 0.7 < other < 1.0
        assert (await worth(task, f"{name} is a {job}.", subnet=subnet)).score == 0.0
        for trick, text in tricks(task).items():
            if trick != "all words of the answer, sorted":
                assert (await worth(task, text, subnet=subnet)).score == 0.0, trick


async def asked(
    subnet: Quality, tasks: Sequence[Task[Ask]], miners: Mapping[str, Any]
) -> dict[str, list[Judgement]]:
    """Ask every miner everything over sockets, as a validator does; what each is worth."""
    numbers = count(2)
    async with AsyncExitStack() as stack:
        targets: list[Target] = []
        for name, miner in miners.items():
            key = Keypair.create_from_uri(f"//{name}")
            axon = Axon(key, policy=AnyPolicy())
            said = Saying if isinstance(miner, Parrot) else Said
            axon.handle(subnet.path, subnet.challenge, said, miner.answer)
            host, port = await axon.start(f"127.0.0.{next(numbers)}", 0)
            stack.push_async_callback(axon.stop, 1.0)
            targets.append(Target(len(targets), key.ss58_address, host, port))
        dendrite = await stack.enter_async_context(
            Dendrite(Keypair.create_from_uri("//Alice"), allow_private=True)
        )
        pairs = [(task, target) for task in tasks for target in targets]
        replies = await dendrite.ask(
            [target for _, target in pairs],
            subnet.path,
            [task.challenge for task, _ in pairs],
            subnet.answer,
            timeout_s=60.0,
        )
    judged = await judge(
        subnet, [(task, reply) for (task, _), reply in zip(pairs, replies, strict=True)]
    )
    names = list(miners)
    found: dict[str, list[Judgement]] = {name: [] for name in names}
    for item in judged:
        found[names[item.reply.uid]].append(item.judgement)
    return found


def mean(found: Sequence[Judgement]) -> float:
    return sum(item.score for item in found) / len(found)


async def test_on_real_sockets_right_earns_and_wrong_does_not() -> None:
    miners = {
        "right": Program(),
        "injector": Program(f" {INJECTION}"),
        "echo": Parrot(),
        "silent": Parrot(""),
        "flood": Parrot("9" * 100_000),
    }
    subnet = Quality()
    found = await asked(subnet, await drawn(subnet, 24), miners)
    earned = {name: mean(judgements) for name, judgements in found.items()}
    assert earned["right"] == 1.0
    assert 0.0 < earned["injector"] < 0.5
    assert (earned["echo"], earned["silent"], earned["flood"]) == (0.0, 0.0, 0.0)
    # An answer beyond what the message allows is no answer: nobody reads it.
    assert {item.reason for item in found["flood"]} <= {f.value for f in Failure}
    assert subnet.weights({0: 1.0, 1: 0.5, 2: 0.005}) == pytest.approx({0: 4 / 5, 1: 1 / 5, 2: 0})
