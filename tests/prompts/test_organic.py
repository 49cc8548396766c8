"""Real requests and canaries: what a miner can tell, what a journal tells, who is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from subnet.definition import Judgement, MinerOptions, Subnet
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.wire.auth import Caller
from tests.prompts.town import HOTKEY, Town, town
from validators.audit import Flaw
from validators.prompts.sources import Extract, Lookup, Mix, Rows, canary, check
from validators.prompts.vault import Vault
from validators.prompts.withheld import FILE, KEYS, Withheld, open_withheld

WORDS = [f"My landlord Ottokar {number} keeps wolves. What now?" for number in range(60)]
RECORDED = Rows([{"prompt": words} for words in WORDS], name="recorded", organic=True)


class Ask(Challenge):
    prompt: str


class Text(Answer):
    text: str


class Chat(Subnet[Ask, Text]):
    """Half real requests, half made-up ones."""

    challenge, answer = Ask, Text
    mix = Mix((1, Lookup()), (1, Extract()), (2, RECORDED))

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        for item in self.mix.items(seed):
            yield Task(item.id, Ask(prompt=item.prompt), item.reference, organic=item.organic)

    async def score(self, task: Task[Ask], reply: Reply[Text]) -> Judgement:
        assert reply.answer is not None
        if task.organic:
            return Judgement(0.5, "courtesy", {"said": reply.answer.text, "length": 3.0})
        return check(task.reference, reply.answer.text)

    def miner(self, options: MinerOptions) -> Any:
        raise AssertionError("the town has its own")


class Watched(Chat):
    """Every miner its own questions, and canaries; nobody else's words."""

    groups = "each"
    mix = Mix((1, Lookup()))

    def canary(self, seed: bytes) -> tuple[Task[Ask], Task[Ask]]:
        plant, probe = canary(seed)
        assert plant.reference is not None
        code = plant.reference["answer"]
        return (
            Task(plant.id, Ask(prompt=plant.prompt), plant.reference, canary=code),
            Task(probe.id, Ask(prompt=probe.prompt), probe.reference, canary=code),
        )


class Grouped(Watched):
    groups = 2  # type: ignore[assignment]


class Reader:
    """Looks codes up in the register before it; a gossip asks the others' registers too."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.known = known
        self.asked: list[str] = []

    async def answer(self, challenge: Ask, caller: Caller) -> Text:
        self.asked.append(challenge.prompt)
        wanted = self.known if self.known is not None else {}
        entries = [line.split(": ") for line in challenge.prompt.splitlines() if ": " in line]
        here = {name: code for name, code in entries}
        wanted.update(here)
        for name, code in wanted.items():
            question = challenge.prompt.splitlines()[-1]
            if name in question:
                return Text(text=code.lower())
        return Text(text=f"I do not know: {challenge.prompt}")


def journal_bytes(place: Town) -> bytes:
    return b"".join(path.read_bytes() for path in place.folder.glob("journal*"))


async def test_organic_words_are_in_no_journal_and_an_audit_key_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miners = [Reader(), Reader()]
    async with town(tmp_path, monkeypatch, Chat(), miners, tasks_per_round=8) as place:
        epoch = await place.epochs()
        asked = miners[0].asked + miners[1].asked
        assert 0 < sum("Ottokar" in prompt for prompt in asked) < len(asked)
        written = journal_bytes(place)
        for secret in (b"Ottokar", b"wolves", b"landlord", b"I do not know: My"):
            assert secret not in written
        assert b'"courtesy"' in written and b'"length"' in written

        assert await place.unchecked(epoch)
        withheld = Withheld(place.folder)
        key = withheld.find_key(epoch)
        assert key is not None and withheld.find_key(epoch + 1) is None
        for name in (FILE, KEYS):
            assert (place.folder / name).stat().st_mode & 0o077 == 0
        lines = (place.folder / FILE).read_bytes().splitlines()
        assert open_withheld(lines, epoch, "00" * 32) == []
        opened = open_withheld(lines, epoch, key)
        found = await place.audit(epoch, opened=opened)
        assert (found.verdict, found.differences, found.unchecked) == ("honest", [], [])
        assert found.scores == len(asked)

        first = opened[0]
        forged = dict.fromkeys(first.answers, b'{"text":"never said"}')
        other = [dataclasses.replace(first, answers=forged), *opened[1:]]
        found = await place.audit(epoch, opened=other)
        flaws = {difference.flaw for difference in found.differences}
        assert flaws == {Flaw.ANSWER_FORGED, Flaw.SCORE}
        other = [dataclasses.replace(first, text=first.text.replace("Ott", "X")), *opened[1:]]
        found = await place.audit(epoch, opened=other)
        assert found.differences[0].flaw is Flaw.LEAF_FORGED


async def test_on_the_wire_organic_is_like_synthetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a miner sees of a request but its words: the head, and the form of the body."""
    miners = [Reader(), Reader()]
    async with town(tmp_path, monkeypatch, Chat(), miners, tasks_per_round=10) as place:
        await place.epochs()
        await place.bench.dendrite.__aexit__(None, None, None)
    seen: dict[bool, list[Any]] = {True: [], False: []}
    for tap in place.taps:
        for headers, body in tap.requests():
            # Of values only the form: how long, and letters, digits or signs where.
            head = [(name, form(value)) for name, value in headers if "length" not in name.lower()]
            ask = Ask.model_validate_json(body)
            assert body == ask.model_dump_json().encode()
            seen["Ottokar" in ask.prompt].append(head)
    assert len(seen[True]) + len(seen[False]) == 20
    forms = {kind: {repr(head) for head in heads} for kind, heads in seen.items()}
    assert forms[True] == forms[False] and len(forms[True]) == 1


def form(value: str) -> str:
    kinds = [("0" if c.isdigit() else "a" if c.isalpha() else c) for c in value]
    return "hex" * (len(value) > 40) + str(len(value)) if len(value) > 40 else "".join(kinds)


async def test_places_and_names_tell_nothing() -> None:
    """A guesser that knows where organic ones stood in 40 turns does not do better in 40 more."""
    places: dict[bool, list[int]] = {True: [], False: []}
    names: dict[bool, set[int]] = {True: set(), False: set()}
    for number in range(30):
        vault = Vault(Chat(), seed=bytes([number + 1]), asked=lambda known: False)
        sealing = await vault.seal(1, netuid=1, validator="v", turns=2, tasks=10)
        for leaf in sealing.leaves:
            places[leaf.organic].append(leaf.index % 10)
            names[leaf.organic].add(len(leaf.task))
    assert names[True] == names[False] == {32}
    means = {kind: sum(found) / len(found) for kind, found in places.items()}
    assert len(places[True]) > 200 < len(places[False])
    # The spread of a place is 2.87; of the difference of two such means of 300, 0.23.
    assert abs(means[True] - means[False]) < 4 * 0.23


async def test_who_knows_what_only_another_was_told_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miners = [Reader(), Reader()]
    async with town(tmp_path, monkeypatch, Watched(), miners, tasks_per_round=2) as place:
        epoch = await place.epochs()
        found = await place.audit(epoch)
        assert (found.verdict, found.leaks, found.differences) == ("honest", [], [])
        assert found.leaves == 2 * 2 + 4
        shared: dict[str, str] = {}
        for miner in miners:
            miner.known = shared
        # Who is asked both probes before any plant, one time in four, knows nothing to tell.
        for _ in range(12):
            epoch = await place.epochs()
            found = await place.audit(epoch)
            if found.leaks:
                break
        assert (found.verdict, found.differences) == ("leaked", [])
        leak = found.leaks[0]
        assert leak.validator == leak.asker == HOTKEY.ss58_address
        (line,) = [line for line in place.lines()
                   if line["kind"] == "round" and line["epoch"] == epoch]  # fmt: skip
        given = {reply["hotkey"] for reply in line["replies"] if reply["task"] == leak.task}
        assert given == {leak.audience} and leak.hotkey not in given
        assert leak.hotkey in str(leak) and leak.audience in str(leak)

        # The same in the journal of a validator that never gave it to anybody.
        told = next(reply["answer"]["text"] for reply in line["replies"]
                    if reply["task"] == leak.task)  # fmt: skip
        stranger = {"kind": "round", "round": 3, "epoch": epoch, "validator": "5Other", "replies": [
            {"hotkey": "5Leaky", "answer": {"text": f"So: {told.upper()}."}, "task": "t"},
        ]}  # fmt: skip
        found = await place.audit(epoch, others=[stranger])
        assert ("5Leaky", "5Other") in {(leak.hotkey, leak.asker) for leak in found.leaks}
        # Once the epoch is over its leaves are published, and knowing them proves nothing.
        found = await place.audit(epoch, others=[stranger | {"epoch": epoch + 1}])
        assert "5Leaky" not in {leak.hotkey for leak in found.leaks}


async def test_canaries_are_dealt_to_one_group_and_asked_of_the_others() -> None:
    vault = Vault(Grouped(), seed=b"s", asked=lambda known: False)
    sealing = await vault.seal(1, netuid=1, validator="v", turns=3, tasks=2)
    assert len(sealing.leaves) == 3 * 2 * 2 + 4
    watched = [leaf for leaf in sealing.leaves if leaf.canary]
    assert sorted(leaf.audience for leaf in watched) == ["0/2", "1/2", "not 0/2", "not 1/2"]
    assert len({leaf.turn for leaf in watched}) == 1
    for leaf in watched:
        plant = not leaf.audience.startswith("not ")
        assert (str(leaf.canary) in leaf.challenge["prompt"]) == plant
    places = set()
    for number in range(20):
        vault = Vault(Grouped(), seed=bytes([number + 1]), asked=lambda known: False)
        sealing = await vault.seal(1, netuid=1, validator="v", turns=1, tasks=2)
        places |= {leaf.index for leaf in sealing.leaves if leaf.canary}
    assert places == set(range(8))
