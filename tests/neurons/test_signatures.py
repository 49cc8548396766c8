"""What a journal proves without its validator: real rounds over sockets, and everything forged."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import CRYPTO_ED25519, Keypair
from hypothesis import given
from hypothesis import strategies as st

from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from subnet.definition import Judgement, Subnet
from subnet.errors import Declined
from subnet.protocol import Answer, Challenge, Failure, Form, Reply, Target, Task
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from tests.wire.strangers import bare_miner, taowire_miner
from tests.wire.world import ED_VALIDATOR, MINER, VALIDATOR
from validators import journal
from validators.explain import Recent, words
from validators.journal import Journal
from validators.judge import judge
from validators.loop import ask
from validators.moment import Moment
from validators.prompts.vault import Vault
from validators.prompts.withheld import open_withheld
from validators.record import record
from validators.replay import Rules, replay
from validators.signatures import (
    Signed,
    answer_bytes,
    asked_at,
    find_forged,
    find_repeated,
    is_quoted,
    question_bytes,
    read_back,
    signed_for,
)
from validators.weights import WeightsReport

ROUND_S = 60.0
HONEST, LAZY, OTHER = (Keypair.create_from_uri(f"//Alice//signs{number}") for number in range(3))
ED = Keypair.create_from_uri("//Alice//signs", crypto_type=CRYPTO_ED25519)

Entry = dict[str, Any]


class Ask(Challenge):
    text: str
    count: int = 2


class Said(Answer):
    text: str


class Echoes(Subnet[Ask, Said]):
    """Pays who says it twice."""

    challenge, answer = Ask, Said
    path = "/echo"
    timeout_s = ROUND_S

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        for number in itertools.count():
            yield Task(f"{seed.hex()[:4]}-{number}", Ask(text=f"é {number} of {seed.hex()}"))

    async def score(self, task: Task[Any], reply: Reply[Any]) -> Judgement:
        return Judgement(1.0, "said")

    def miner(self, options: Any) -> AbstractAsyncContextManager[Any]:
        return nullcontext()


class Private(Echoes):
    """The same, all of it somebody's own words."""

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        for task in super().tasks(seed):
            yield Task(task.id, task.challenge, organic=True)


class Points(Challenge):
    form = Form.MSGPACK
    at: tuple[float, ...]


class Shifted(Answer):
    form = Form.MSGPACK
    at: tuple[float, ...]


class Packed(Subnet[Points, Shifted]):
    """Numbers by the thousand."""

    challenge, answer = Points, Shifted
    timeout_s = ROUND_S

    def tasks(self, seed: bytes) -> Iterator[Task[Points]]:
        for number in itertools.count():
            yield Task(str(number), Points(at=(number + 0.5, float(seed[0]))))

    async def score(self, task: Task[Any], reply: Reply[Any]) -> Judgement:
        return Judgement(1.0, "said")

    def miner(self, options: Any) -> AbstractAsyncContextManager[Any]:
        return nullcontext()


class Small(Points):
    """As JSON, and with numbers that Python would write otherwise."""

    form = Form.JSON


class Smalls(Packed):
    challenge = Small

    def tasks(self, seed: bytes) -> Iterator[Task[Any]]:
        for number in itertools.count():
            yield Task(str(number), Small(at=((number + 1) * 1e-7, float(seed[0]))))


async def twice(question: Ask, caller: Caller) -> Said:
    return Said(text=2 * question.text)


async def decline(question: Ask, caller: Caller) -> Said:
    raise Declined("not today")


async def shift(question: Points, caller: Caller) -> Shifted:
    return Shifted(at=tuple(value + 1e-9 for value in question.at))


@asynccontextmanager
async def served(
    subnet: Subnet[Any, Any], *miners: tuple[Keypair, Callable[..., Any]], answer: Any = None
) -> AsyncIterator[list[Target]]:
    """Our miners, each an axon of its own."""
    async with AsyncExitStack() as stack:
        targets = []
        for uid, (key, handler) in enumerate(miners):
            axon = Axon(key, policy=AnyPolicy())
            axon.handle(subnet.path, subnet.challenge, answer or subnet.answer, handler)
            host, port = await axon.start("127.0.0.2", 0)
            stack.push_async_callback(axon.stop, 1.0)
            targets.append(Target(uid, key.ss58_address, host, port))
        yield targets


async def rounds(
    folder: Path,
    subnet: Subnet[Any, Any],
    targets: Sequence[Target],
    *,
    count: int = 1,
    most_bytes: int = 10**7,
    keypair: Keypair = VALIDATOR,
) -> list[dict[str, Any]]:
    """The lines of so many rounds with two questions each, as they are read back."""
    path = folder / "journal.jsonl"
    vault = Vault(subnet, seed=b"seed", asked=lambda known: False, path=folder / "sealed.json")
    me = str(keypair.ss58_address)
    sealing = await vault.seal(1, netuid=1, validator=me, turns=count, tasks=2)
    async with Dendrite(keypair, allow_private=True) as dendrite:
        with Journal(path) as book:
            for number in range(1, count + 1):
                turn = vault.take(sealing)
                sealing = vault.find(1) or sealing
                asked = await ask(dendrite, subnet, turn, targets)
                view = Metagraph(1, number, 1, 0, "", "", ())
                moment = Moment(view, Schedule(number, 1, 1, 0, 0), 0, True)
                line = record(
                    round=number,
                    run=1,
                    time=float(number),
                    validator=me,
                    moment=moment,
                    turn=turn,
                    path=subnet.path,
                    judged=await judge(subnet, asked),
                    weights=WeightsReport(),
                    most_bytes=most_bytes,
                )
                vault.withhold(turn, [(task.id, reply) for task, reply in asked])
                book.append(line)
    return list(journal.read(path))


def proved(lines: Sequence[Entry]) -> list[Signed]:
    """What is signed for in each reply; nothing of it is forged."""
    found = []
    for line in lines:
        for entry in line["replies"]:
            assert find_forged(line, entry) is None, entry
            found.append(signed_for(line, entry))
    return found


async def test_answers_and_refusals_verify_from_the_journal_alone(tmp_path: Path) -> None:
    subnet = Echoes()
    miners = ((HONEST, twice), (ED, twice), (LAZY, decline))
    async with served(subnet, *miners) as targets:
        lines = await rounds(tmp_path, subnet, targets, count=2)
    assert proved(lines) == [Signed.QUESTION] * 12
    assert not list(find_repeated(lines))
    line = lines[0]
    first, second, third = line["replies"][:3]
    assert first["signature"].keys() == {"version", "value"}
    assert second["signature"]["crypto"] == "ed25519"
    assert (third["status"], third["failure"]) == (503, Failure.REFUSED)
    assert third["came"].keys() == {"bytes", "sha256"}
    body = answer_bytes(first)
    assert body is not None and json.loads(body) == {
        "text": 2 * line["tasks"][0]["challenge"]["text"]
    }
    assert json.loads(question_bytes(line, first["task"])) == line["tasks"][0]["challenge"]
    assert all(is_quoted(subnet, line, task["id"]) for task in line["tasks"])
    asked = asked_at(first)
    assert asked is not None and 0 < asked - 1.7e9


async def test_an_ed25519_validator(tmp_path: Path) -> None:
    async with served(Echoes(), (HONEST, twice)) as targets:
        lines = await rounds(tmp_path, Echoes(), targets, keypair=ED_VALIDATOR)
    assert proved(lines) == [Signed.QUESTION] * 2


def leaves(content: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The way to every value that holds no others."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, *path, key)
    elif isinstance(content, list):
        for key, value in enumerate(content):
            yield from leaves(value, *path, key)
    else:
        yield path


def flipped(value: Any, draw: random.Random) -> Any:
    """The value with one bit other than it was."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value ^ (1 << draw.randrange(8))
    at = draw.randrange(len(value))
    other = chr(ord(value[at]) ^ (1 << draw.randrange(3)))
    return value[:at] + other + value[at + 1 :]


async def test_every_byte_that_is_bound(tmp_path: Path) -> None:
    subnet = Echoes()
    async with served(subnet, (HONEST, twice), (LAZY, decline)) as targets:
        (line,) = await rounds(tmp_path, subnet, targets)
    draw = random.Random(7)
    bound = {
        ("validator",), ("path",), ("tasks", 0, "challenge", "text"),
        ("tasks", 0, "challenge", "count"),
        *(("replies", number, name) for number in (0, 1) for name in
          ("hotkey", "status", "signed", "task", "nonce")),
        *(("replies", number, "signature", name) for number in (0, 1) for name in
          ("version", "value")),
        ("replies", 0, "answer", "text"), ("replies", 1, "came", "sha256"),
    }  # fmt: skip
    everything = set(leaves(line))
    assert bound <= everything
    for path in sorted(bound, key=str):
        for _ in range(12):
            forged = copy.deepcopy(line)
            place: Any = forged
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = flipped(place[path[-1]], draw)
            told = [find_forged(forged, entry) for entry in forged["replies"][:2]]
            if path[0] == "replies":
                number = int(path[1])
                assert told[number] and not told[1 - number], path
            else:
                assert all(told), path
            if isinstance(forged["replies"][0]["signed"], bool) and path[-1] == "signed":
                break
    # And what is not bound is the validator's own word: no more of it than this.
    words = ("task", "uid", "ok", "failure", "detail", "queued_s", "first_byte_s", "total_s",
             "score", "reason", "facts", "signature", "answer", "came", "hotkey", "status",
             "signed", "nonce")  # fmt: skip
    assert set(line["replies"][1]) <= set(words)


async def test_the_validator_that_makes_answers_up_is_named(tmp_path: Path) -> None:
    subnet = Echoes()
    async with served(subnet, (HONEST, twice), (LAZY, decline)) as targets:
        (line,) = await rounds(tmp_path, subnet, targets)
    honest, lazy, other, _ = line["replies"]

    def told(entry: Entry, **changes: Any) -> str:
        found = find_forged(line, {**entry, **changes})
        assert found is not None
        return found

    right = {"failure": None, "ok": True, "status": 200, "answer": honest["answer"]}
    # An answer of a miner that gave none, with no signature, its own, and somebody else's.
    assert told(lazy, **right, signature=None, signed=True) == "an answer that no miner signed"
    assert told(lazy, **right, signature=None, signed=False) == "an answer that no miner signed"
    assert LAZY.ss58_address in told({**lazy, "came": None}, **right)
    assert LAZY.ss58_address in told(
        {**lazy, "came": None}, **right, signature=honest["signature"], nonce=honest["nonce"]
    )
    # A wrong answer put into a miner's mouth; an answer to another question.
    assert "did not sign this answer" in told(honest, answer={"text": "nothing"})
    assert "did not sign this answer" in told(honest, task=other["task"])
    swapped = {**other, "task": honest["task"]}
    assert "to this question" in told(swapped)
    # The one that it gave, and beside it another for whoever does not look there.
    signed = base64.b64encode(answer_bytes(honest) or b"").decode()
    assert find_forged(line, {**honest, "body": signed, "answer": None}) is None
    assert "more than one" in told(honest, body=signed, answer={"text": "nothing"})
    # A refusal that was none; an answer said to be no answer.
    came = {"bytes": 9, "sha256": lazy["came"]["sha256"]}
    refusal = {"failure": "refused", "ok": False, "status": 503, "answer": None, "came": came}
    assert "did not sign this response" in told(honest, **refusal)
    assert told(honest, signature=None).startswith("an answer")
    assert told(lazy, signature=None).startswith("said to be signed")
    # That a miner said nothing at all takes no signature, and none can be had: see journal.md.
    silent = {"failure": "timeout", "ok": False, "status": None, "answer": None}
    entry = {**honest, **silent, "signature": None, "signed": False}
    assert find_forged(line, entry) is None and signed_for(line, entry) is Signed.NOTHING


async def test_replay_and_explain_say_what_is_signed(tmp_path: Path) -> None:
    subnet = Echoes()
    async with served(subnet, (HONEST, twice), (LAZY, decline)) as targets:
        (line,) = await rounds(tmp_path, subnet, targets)
    path = tmp_path / "journal.jsonl"
    found = await replay(path, subnet, rules=Rules(8))
    assert found.signed == {"question": 4}
    other = path.read_text().replace(line["replies"][0]["signature"]["value"][:8], "AAAAAAAA")
    path.write_text(other)
    assert (await replay(path, subnet, rules=Rules(8))).signed == {"question": 3, "forged": 1}
    only = Recent(only=str(HONEST.ss58_address))
    for one in journal.read(path):
        only.note(one)
    told = only.explain(str(HONEST.ss58_address))
    assert told.signed == {"forged": 1, "question": 1}
    assert [question.signed for question in told.questions] == ["forged", "question"]
    text = words(told)
    assert "1 x with this hotkey's signature for answer and question" in text
    assert "1 x with a signature that is not this hotkey's for that" in text


@pytest.mark.parametrize(
    "nonsense",
    [
        7,
        "x",
        {},
        {"version": "1"},
        {"version": "1", "value": "AA=="},
        {"version": "2", "value": base64.b64encode(bytes(64)).decode()},
        {"version": "1", "value": base64.b64encode(bytes(64)).decode(), "crypto": 3},
        {"version": ["1"], "value": "not base64"},
        "9" * 5000,
    ],
)
async def test_nonsense_is_named_and_never_raises(nonsense: Any, tmp_path: Path) -> None:
    line = {
        "schema": 3, "validator": VALIDATOR.ss58_address, "path": "/echo",
        "tasks": [{"id": "a", "challenge": {"text": "x"}}],
    }  # fmt: skip
    entry = {
        "task": "a", "hotkey": HONEST.ss58_address, "failure": None, "status": 200,
        "signed": True, "answer": {"text": "x"}, "nonce": "7", "signature": nonsense,
    }  # fmt: skip
    assert find_forged(line, entry) is not None
    for name in entry:
        assert isinstance(find_forged(line, {**entry, name: nonsense}) or "", str)
        assert isinstance(find_forged({**line, name: nonsense}, entry), str)
    signed_for(line, entry)
    asked_at(entry)


async def test_bytes_that_python_would_write_otherwise(tmp_path: Path) -> None:
    for subnet, key in ((Packed(), "body"), (Smalls(), "text")):
        folder = tmp_path / key
        folder.mkdir()
        async with served(subnet, (HONEST, shift)) as targets:
            (line,) = await rounds(folder, subnet, targets)
        assert proved([line]) == [Signed.QUESTION] * 2
        assert all(key in task for task in line["tasks"])
        assert all(reply["body"] for reply in line["replies"])
        for task in line["tasks"]:
            assert is_quoted(subnet, line, task["id"])
        forged = copy.deepcopy(line)
        forged["tasks"][0]["challenge"]["at"][0] += 1
        assert not is_quoted_or_raises(subnet, forged, forged["tasks"][0]["id"])
        # Of JSON that shows without the definition, too.
        assert bool(find_forged(forged, forged["replies"][0])) == (key == "text")
        forged = copy.deepcopy(line)
        forged["tasks"][0][key] = forged["tasks"][1][key]
        assert find_forged(forged, forged["replies"][0])
        forged = copy.deepcopy(line)
        forged["replies"][0]["body"] = forged["replies"][1]["body"]
        assert find_forged(forged, forged["replies"][0])


def is_quoted_or_raises(subnet: Subnet[Any, Any], line: Entry, task: str) -> bool:
    try:
        return is_quoted(subnet, line, task)
    except ValueError:
        return False


async def test_too_large_and_no_answer_at_all(tmp_path: Path) -> None:
    class Other(Answer):
        number: int

    async def number(question: Ask, caller: Caller) -> Other:
        return Other(number=7)

    async def long(question: Ask, caller: Caller) -> Said:
        return Said(text="long" * 10_000)

    async with (
        served(Echoes(), (LAZY, number), answer=Other) as strange,
        served(Echoes(), (HONEST, long), (OTHER, twice)) as targets,
    ):
        (line,) = await rounds(tmp_path, Echoes(), [*targets, *strange], most_bytes=50_000)
    assert proved([line]) == [Signed.QUESTION] * 6
    huge, fits, malformed = line["replies"][:3]
    assert huge["left_out"]["bytes"] > 40_000 and huge["answer"] is None and fits["answer"]
    assert (malformed["failure"], malformed["status"]) == (Failure.MALFORMED, 200)
    assert answer_bytes(malformed) == b'{"number":7}'
    for entry, name in ((huge, "left_out"), (malformed, "came")):
        other = {**entry, name: {**entry[name], "sha256": "00" * 32}}
        assert find_forged(line, other)
    assert find_forged(line, {**malformed, "came": {**malformed["came"], "body": "AAAA"}})


async def test_somebodys_own_words_leave_nothing_to_guess_by(tmp_path: Path) -> None:
    subnet = Private()
    async with served(subnet, (HONEST, twice), (LAZY, decline)) as targets:
        (line,) = await rounds(tmp_path, subnet, targets)
    assert proved([line]) == [Signed.WITHHELD] * 4
    assert {entry["signature"] for entry in line["replies"]} == {None}
    assert not any("came" in entry or "challenge" in entry for entry in line["replies"])
    # Whoever is given the key can verify it all the same.
    keys = json.loads((tmp_path / "audit-keys.json").read_text())["keys"]
    raw = (tmp_path / "withheld.jsonl").read_bytes().splitlines()
    opened = open_withheld(raw, 1, keys["1"])
    assert len(opened) == 2
    for item, entry in zip(opened, line["replies"][::2], strict=True):
        leaf = json.loads(item.text)
        text = {"text": leaf["challenge"]["text"], "count": leaf["challenge"]["count"]}
        sent = json.dumps(text, ensure_ascii=False, separators=(",", ":"))
        body = base64.b64encode(item.answers[HONEST.ss58_address]).decode()
        told = {**entry, "signature": item.signatures[HONEST.ss58_address], "body": body}
        assert find_forged(line, told, question=sent.encode()) is None
        assert signed_for(line, told) is Signed.QUESTION
        assert find_forged(line, told, question=b"{}")
        assert find_forged(line, told)  # the line does not hold the question
        assert find_forged(line, {**told, "body": "AAAA"}, question=sent.encode())


async def test_kits_that_sign_otherwise_or_not_at_all(tmp_path: Path) -> None:
    async with taowire_miner() as one, bare_miner() as other:
        targets = [
            Target(uid, MINER.ss58_address, *address) for uid, address in enumerate((one, other))
        ]
        lines = await rounds(tmp_path, EchoesOfText(), targets, count=2)
    assert proved(lines) == [Signed.ANSWER, Signed.NOTHING] * 4
    line = lines[0]
    signed, unsigned, again, _ = line["replies"]
    assert signed["signature"]["version"] == "1"
    assert (unsigned["failure"], unsigned["signed"]) == (Failure.UNSIGNED, False)
    assert find_forged(line, {**signed, "answer": {"text": "another"}})
    assert find_forged(line, {**signed, "hotkey": HONEST.ss58_address})
    assert find_forged({**line, "validator": HONEST.ss58_address}, signed)
    # This kit does not sign for the question: one answer told as two is seen by its nonce.
    twice_told = {**again, "answer": signed["answer"]}
    twice_told |= {"signature": signed["signature"], "nonce": signed["nonce"]}
    assert find_forged(line, twice_told) is None
    told = [{**line, "replies": [signed, unsigned, twice_told]}]
    assert list(find_repeated(told)) == [(told[0], twice_told)]


class Text(Challenge):
    text: str


class EchoesOfText(Echoes):
    challenge = Text  # type: ignore[assignment]

    def tasks(self, seed: bytes) -> Iterator[Task[Any]]:
        for task in super().tasks(seed):
            yield Task(task.id, Text(text=task.challenge.text))


def test_lines_of_versions_that_kept_no_signature() -> None:
    reply: Entry = {"task": "a", "hotkey": "5A", "failure": None, "signed": True, "answer": {}}
    silent = {**reply, "failure": "timeout", "signed": False, "answer": None}
    # Somebody's own words: nor did they keep those with the answer.
    private = {**reply, "answer": None, "withheld": "00"}
    for schema in (1, 2):
        replies = [dict(entry) for entry in (reply, silent, private)]
        line = journal.migrate({"schema": schema, "kind": "round", "replies": replies})
        assert proved([line]) == [Signed.NOT_KEPT, Signed.NOTHING, Signed.NOT_KEPT]
        # A new line cannot pass for an old one unseen.
        assert [signed_for({**line, "written": 3}, entry) for entry in line["replies"]] == [
            Signed.FORGED, Signed.NOTHING, Signed.WITHHELD,
        ]  # fmt: skip
        assert find_forged({**line, "written": 3}, line["replies"][0])


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    TREES | st.dictionaries(st.text(), TREES),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", ":")]),
)
def test_what_is_read_back_gives_the_same_bytes(
    content: Any, ascii_only: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps(content, ensure_ascii=ascii_only, separators=separators)
    body = text.encode("utf-8", "surrogatepass")
    try:
        found, spelling = read_back(body)
    except ValueError:
        return
    kept = json.loads(json.dumps({"answer": found}))  # as a journal is written and read
    assert answer_bytes({**kept, "spelling": spelling}) == body
