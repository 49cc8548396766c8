"""Hints from a journal and a real chain: one operator, a copier, a validator that stands apart.

And none where there is nothing: strangers, answers that everybody gives, validators that agree.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair
from typer.testing import CliRunner

from chain.client import Chain
from subnet.cli.app import app
from subnet.protocol import Answer, Challenge, Failure, Reply, Task, Timing
from subnet.wire.codec import encode
from tests.neurons.ground import alices_subnet
from tests.neurons.history import DAY, History, bare, bare_reply
from tests.neurons.unanswered import Unanswered
from validators import journal
from validators.hints import Hint, Hints, find_hints, read_weighers

pytest.importorskip("scipy", reason="needs subnetkit[judging]")

MINERS = [Keypair.create_from_uri(f"//miner{number}") for number in range(12)]
VALIDATORS = [Keypair.create_from_uri(f"//validator{number}") for number in range(5)]
NAMES = [str(key.ss58_address) for key in MINERS]
TWIN, OTHER_TWIN, SOURCE, COPIER = NAMES[:4]
ROUNDS = 40


class Say(Challenge):
    number: int


class Said(Answer):
    text: str
    number: int


class Talk(Unanswered):
    """Any text is an answer."""

    challenge, answer = Say, Said  # type: ignore[assignment]

    def tasks(self, seed: bytes) -> Any:
        drawn = random.Random(seed)
        while True:
            number = drawn.getrandbits(32)
            yield Task(str(number), Say(number=number))


def words(*seeds: object) -> str:
    drawn = random.Random(repr(seeds))
    return " ".join(hashlib.sha256(drawn.randbytes(4)).hexdigest()[:6] for _ in range(20))


@dataclass
class Gossip(History):
    """Two miners are down in the same rounds, and one says what another said."""

    miners: Sequence[str] = tuple(NAMES)
    subnet: Any = field(default_factory=Talk)
    twins: bool = True
    copier: bool = True
    same: bool = False
    """Whether everybody says the same."""

    def _reply(self, task: Task[Any], uid: int, hotkey: str) -> Reply[Any]:
        number = task.challenge.number
        whose = TWIN if hotkey == OTHER_TWIN and self.twins else hotkey
        drawn = random.Random(f"{number} {whose}")
        failed = drawn.random() < (0.2 if uid < 2 else 0.02)
        says = SOURCE if hotkey == COPIER and self.copier else hotkey
        text = words(number) if self.same else words(number, says)
        answer = None if failed else Said(text=text, number=number)
        seconds = 0.2 + random.Random(f"{number} {hotkey}").random()
        return Reply(
            uid, hotkey, answer, Failure.TIMEOUT if failed else None, "", None if failed else 200,
            not failed, Timing(0.001, None if failed else 0.1, 60.0 if failed else seconds),
            body=b"" if answer is None else encode(answer),
        )  # fmt: skip


async def written(folder: Path, **how: Any) -> list[dict[str, Any]]:
    gossip = Gossip(folder, **how)
    await gossip.write(ROUNDS, leaves=False)
    return list(journal.read(gossip.path))


def pairs(found: Hints, what: str) -> list[set[str]]:
    return [set(hint.hotkeys) for hint in found.hints if hint.what == what]


async def test_who_fails_together_and_who_copies(tmp_path: Path) -> None:
    found = find_hints(await written(tmp_path))
    assert (found.rounds, found.questions, found.miners, found.left_out) == (ROUNDS, ROUNDS, 12, 0)
    assert pairs(found, "failures") == [{TWIN, OTHER_TWIN}]
    assert pairs(found, "answers") == [{SOURCE, COPIER}]
    assert len(found.hints) == 2 and found.block is None
    assert all(hint.p is not None and hint.p < 0.01 for hint in found.hints)
    (copied,) = [hint for hint in found.hints if hint.what == "answers"]
    same, of = (int(word) for word in copied.detail.split()[::2][:2])
    assert same == of > ROUNDS / 2


async def test_strangers_give_no_hints(tmp_path: Path) -> None:
    assert find_hints(await written(tmp_path, twins=False, copier=False)).hints == ()


async def test_where_all_say_the_same_nobody_copies(tmp_path: Path) -> None:
    lines = await written(tmp_path, twins=False, same=True)
    assert find_hints(lines).hints == ()


def few(miners: int, says: Callable[[int, int], str]) -> list[dict[str, Any]]:
    """200 rounds of `miners` that are asked one question each, and what each of them says."""
    return [
        bare(
            number,
            replies=[
                bare_reply(uid=uid, hotkey=NAMES[uid], answer={"text": says(number, uid)})
                for uid in range(miners)
            ],
        )
        for number in range(200)
    ]


@pytest.mark.parametrize("miners", [2, 3, 8])
def test_where_few_say_the_same_nobody_copies_and_one_who_does_is_found(miners: int) -> None:
    assert find_hints(few(miners, lambda number, uid: words(number))).hints == ()

    def mostly(number: int, uid: int) -> str:
        return words(number, uid if random.Random(f"{number} {uid}").random() < 0.1 else "")

    assert find_hints(few(miners, mostly)).hints == ()
    copied = find_hints(few(miners, lambda number, uid: words(number, max(uid, 1))))
    # Of two, nobody can say what is usual.
    assert pairs(copied, "answers") == ([set(NAMES[:2])] if miners > 2 else [])


async def test_newcomers_are_left_out(tmp_path: Path) -> None:
    lines = await written(tmp_path)
    for line in lines[: ROUNDS // 2]:
        line["replies"] = [reply for reply in line["replies"] if reply["hotkey"] != TWIN]
    found = find_hints(lines)
    assert (found.miners, found.left_out) == (11, 1)
    assert pairs(found, "failures") == []


def test_an_empty_journal_hints_at_nothing() -> None:
    assert find_hints([]) == Hints(0, 0, 0, 0, None, ())


async def on_chain(chain: Chain, netuid: int) -> None:
    """Four validators pay all miners alike, the fifth one of them twice over."""
    first = len(VALIDATORS) + 1
    for key in VALIDATORS:
        row = {first + number: 1.0 for number in range(len(MINERS))}
        if key is VALIDATORS[4]:
            row[first] = 20.0
        await chain.set_weights(key, netuid, row)
    for number, key in enumerate(MINERS[:2]):
        await chain.serve_axon(key, netuid, "127.0.0.9", 8000 + number)


@pytest.mark.slow
async def test_the_command_says_it_with_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = await written(tmp_path)
    stakes = [(key, 100) for key in VALIDATORS]
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=stakes, miners=MINERS, hidden=False,
        weights_set_rate_limit=0, tempo=20,
    ) as (node, chain, netuid):  # fmt: skip
        await node.mine(25)
        await on_chain(chain, netuid)
        metagraph = await chain.metagraph(netuid)
        found = find_hints(lines, metagraph, await read_weighers(chain, metagraph))
        place = ["--state", str(tmp_path), "--network", node.url, "--netuid", str(netuid)]
        run = CliRunner().invoke
        days = ["--days", str(100_000)]
        told = await asyncio.to_thread(run, app, ["hints", *place, *days])
        document = await asyncio.to_thread(run, app, ["hints", *place, *days, "--json"])
    (apart,) = [hint for hint in found.hints if hint.what == "weights"]
    assert apart.hotkeys == (str(VALIDATORS[4].ss58_address), TWIN)
    # Alice has bought all the seats; the owner's is another's.
    (common,) = pairs(found, "coldkey")
    assert {TWIN, SOURCE} < common
    assert pairs(found, "address") == []  # one coldkey: said already
    assert told.exit_code == 0, told.output
    assert "failures" in told.output and "answers" in told.output
    assert f"uid 6 {TWIN}" in told.output and "hints, no proof" in told.output
    kinds = {hint["what"] for hint in json.loads(document.output)["hints"]}
    assert kinds == {"failures", "answers", "coldkey", "weights"}


async def test_the_command_without_the_chain(tmp_path: Path) -> None:
    lines = await written(tmp_path)
    assert lines[0]["time"] == DAY
    run = CliRunner().invoke
    place = ["--state", str(tmp_path), "--offline"]
    old = run(app, ["hints", *place])  # the newest of these rounds was in 1970
    assert old.exit_code == 0 and "no hints" in old.output
    told = run(app, ["hints", *place, "--days", "100000", "--json"])
    hints = [Hint(**hint) for hint in json.loads(told.output)["hints"]]
    assert {hint.what for hint in hints} == {"failures", "answers"}
