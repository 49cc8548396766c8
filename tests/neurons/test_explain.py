"""Why a miner got what it got: from the journal, in words, and from the validator's own mouth."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app
from subnet.protocol import Failure, Reply, Target
from subnet.wire.dendrite import Dendrite
from tests.neurons.history import History
from tests.wire.world import MINER as VALIDATOR  # the keys of that world, with the roles turned
from tests.wire.world import STRANGER, Heard, hear, request_bytes, signed
from tests.wire.world import VALIDATOR as MINER
from validators import journal
from validators.explain import KEPT_ROUNDS, PATH, Explanation, Recent, Unknown, Why, words
from validators.explaining import LIMITS, explaining, serve_explanations
from validators.journal import Journal

OTHER = Keypair.create_from_uri("//Other")
MINERS = (MINER.ss58_address, OTHER.ss58_address, "5Silent")


async def history(folder: Path, rounds: int = 3) -> History:
    found = History(folder, validator=VALIDATOR.ss58_address, miners=MINERS)
    await found.write(rounds)
    return found


async def recent(folder: Path, rounds: int = 3) -> Recent:
    found = Recent(burn=0.5)
    for line in journal.read((await history(folder, rounds)).path):
        found.note(line)
    return found


async def test_what_a_miner_gets_to_know(tmp_path: Path) -> None:
    at_hand = await recent(tmp_path)
    found = at_hand.explain(MINER.ss58_address)
    assert (found.rounds, found.asked, found.answered, found.round) == (3, 3, 3, 3)
    assert (found.standing, found.rank, found.ranked) == (1.0, 1, 3)
    assert (found.reasons, found.burn) == ({"right": 3}, 0.5)
    assert found.weight is not None and (found.weight.value, found.weight.share) == (65535, 1.0)
    assert [question.round for question in found.questions] == [1, 2, 3]
    assert found.questions[0].facts == {"off": False}
    assert found.code is not None and found.code["definition"] == "tests.neurons.history:Doubling"
    other = at_hand.explain(OTHER.ss58_address, 2)
    assert (other.rounds, other.reasons, other.rank) == (1, {"wrong": 1}, 2)
    assert other.weight is not None and (other.weight.value, other.weight.share) == (0, 0.0)
    silent = at_hand.explain("5Silent")
    assert silent.reasons == {"timeout": 3} and silent.answered == 0
    assert silent.questions[0].detail == "no whole answer in 60 s"
    # What was answered is nobody's business, and nothing is said of anybody else.
    text = found.model_dump_json()
    assert OTHER.ss58_address not in text and '"answer"' not in text
    for hotkey, round in ((MINER.ss58_address, 9), ("5Nobody", None)):
        with pytest.raises(Unknown):
            at_hand.explain(hotkey, round)


async def test_a_long_journal_is_not_kept_for_one_hotkey(tmp_path: Path) -> None:
    whole = await recent(tmp_path, 3)
    only = Recent(rounds=2**31, only=MINER.ss58_address, burn=0.5)
    for line in journal.read(tmp_path / "journal.jsonl"):
        only.note(line)
    assert only.explain(MINER.ss58_address) == whole.explain(MINER.ss58_address)
    # What is written of everybody is of the newest round: 256 miners fill a journal with it.
    kept = json.dumps(list(only._rounds.values()))
    assert kept.count("5Silent") == kept.count("65535") == 1
    with pytest.raises(Unknown):
        only.explain("5Silent")


async def test_memory_folding_and_burning_are_named(tmp_path: Path) -> None:
    at_hand = Recent(burn=0.5)
    hotkey = MINER.ss58_address
    for line in journal.read((await history(tmp_path, 1)).path):
        if line["kind"] == "round":
            line["withheld"] = {hotkey: "folded", "5Silent": "banned"}
            line["memory"] = {hotkey: {"trial_nats": 3.5}, "5Silent": {"trial_nats": 99.0}}
            line["moved"] = {hotkey: "5Before"}
        at_hand.note(line)
    found = at_hand.explain(hotkey)
    assert (found.withheld, found.memory, found.follows) == (
        "folded",
        {"trial_nats": 3.5},
        "5Before",
    )
    told = words(found)
    for part in (
        "asked 1 question in 1 round",
        "1 x right",
        "standing 1.0000, rank 1 of 3",
        "folded (other hotkeys on its coldkey",
        "trial_nats = 3.5",
        "its past is that of 5Before",
        "100.00% of the row; read back",
        "50% of all weight is burned",
        "round 1, block 100: 1.0000 right in 0.200 s (off False)",
    ):
        assert part in told, told
    assert "99" not in told


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"set": False, "problem": "the gate"}, "no weights were set after round 1: the gate"),
        ({"burned": True}, "all weight was burned"),
        ({"read_back": None}, "hidden until it is revealed"),
        ({"read_back": False}, "the chain holds another row"),
    ],
)
async def test_what_became_of_the_weights(
    tmp_path: Path, weights: dict[str, Any], told: str
) -> None:
    at_hand = Recent()
    for line in journal.read((await history(tmp_path, 1)).path):
        if line["kind"] == "round":
            line["weights"] |= weights
        at_hand.note(line)
    assert told in words(at_hand.explain(MINER.ss58_address))


async def test_memory_is_bounded(tmp_path: Path) -> None:
    at_hand = await recent(tmp_path, KEPT_ROUNDS + 5)
    found = at_hand.explain(MINER.ss58_address)
    assert (found.rounds, found.round) == (KEPT_ROUNDS, KEPT_ROUNDS + 5)
    with pytest.raises(Unknown):
        at_hand.explain(MINER.ss58_address, 5)


# Over the wire


@asynccontextmanager
async def served(folder: Path, **limits: Any) -> AsyncIterator[tuple[str, int]]:
    at_hand = await recent(folder)
    some = dataclasses.replace(LIMITS, **limits)
    async with serve_explanations(VALIDATOR, at_hand, "127.0.0.1", 0, limits=some) as bound:
        yield bound


async def ask(
    bound: tuple[str, int], keypair: Keypair, why: Why, *, receiver: Keypair = VALIDATOR
) -> Reply[Explanation]:
    target = Target(0, receiver.ss58_address, *bound)
    async with Dendrite(keypair, allow_private=True) as dendrite:
        (reply,) = await dendrite.ask([target], PATH, why, Explanation, timeout_s=30)
    return reply


def about(keypair: Keypair, round: int | None = None) -> Why:
    return Why(hotkey=keypair.ss58_address, round=round)


async def test_a_miner_asks_about_itself(tmp_path: Path) -> None:
    async with served(tmp_path) as bound:
        reply = await ask(bound, MINER, about(MINER))
        one = await ask(bound, OTHER, about(OTHER, 2))
        none = await ask(bound, OTHER, about(OTHER, 7))
    assert reply.signed and reply.answer is not None
    assert (reply.answer.hotkey, reply.answer.standing) == (MINER.ss58_address, 1.0)
    assert one.answer is not None and [q.round for q in one.answer.questions] == [2]
    assert (none.answer, none.status, none.code, none.signed) == (None, 404, "unknown_round", True)


async def test_about_another_nobody_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as bound:
        reply = await ask(bound, MINER, about(OTHER))
        stranger = await ask(bound, STRANGER, about(STRANGER))
        posing = await ask(bound, STRANGER, about(MINER))
    assert (reply.answer, reply.status, reply.code) == (None, 403, "not_yours")
    for refused in (stranger, posing):
        assert (refused.answer, refused.status) == (None, 403)
        assert refused.code == "not_registered" and not refused.signed


async def raw(bound: tuple[str, int], data: bytes) -> Heard:
    reader, writer = await asyncio.open_connection(*bound)
    writer.write(data)
    try:
        return await hear(reader)
    finally:
        writer.close()


def request(why: Why, keypair: Keypair = MINER, nonce: int | None = None) -> bytes:
    body = why.model_dump_json().encode()
    headers = signed(
        body,
        nonce=nonce or time.time_ns(),
        keypair=keypair,
        receiver=VALIDATOR.ss58_address,
        target=PATH,
    )
    return request_bytes([*headers, ("Content-Type", "application/json")], body, target=PATH)


async def test_replayed_forged_stale_and_oversize_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as bound:
        once, other = request(about(MINER)), request(about(OTHER), OTHER)
        # The head of one with the body of another: signed by neither.
        forged = once.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + other.partition(b"\r\n\r\n")[2]
        assert (await raw(bound, forged)).error == "bad_signature"
        assert (await raw(bound, once)).status == 200
        again = await raw(bound, once)
        stale = await raw(bound, request(about(MINER), nonce=time.time_ns() - 60 * 10**9))
        large = await raw(bound, request(Why.model_construct(hotkey="x" * 2000, round=None)))
        elsewhere = await ask(bound, MINER, about(MINER), receiver=OTHER)
    assert (again.status, again.error, again.is_signed) == (401, "replayed", False)
    assert stale.error == "stale"
    assert (large.status, large.error) == (413, "body_too_large")
    assert elsewhere.answer is None and elsewhere.code == "wrong_receiver"


async def test_few_a_minute(tmp_path: Path) -> None:
    async with served(tmp_path, hotkey_rate=1e-6, hotkey_burst=2) as bound:
        replies = [await ask(bound, MINER, about(MINER)) for _ in range(3)]
        other = await ask(bound, OTHER, about(OTHER))
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].code == "caller_rate_limited" and other.answer is not None


async def test_new_rounds_are_at_hand_at_once_and_old_ones_after_a_start(tmp_path: Path) -> None:
    path = (await history(tmp_path, 2)).path
    lines = list(journal.read(path))
    at_hand = Recent()
    with Journal(path, watch=at_hand.note) as book:
        assert not at_hand.knows(MINER.ss58_address)
        async with explaining(VALIDATOR, at_hand, path, "127.0.0.1", 0):
            assert at_hand.explain(MINER.ss58_address).rounds == 2
            book.append({**lines[0], "round": 3})
            assert at_hand.explain(MINER.ss58_address).round == 3


# The command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["explain", *arguments])


def test_the_command_reads_the_journal(tmp_path: Path) -> None:
    asyncio.run(history(tmp_path))
    state = ("--state", str(tmp_path))
    done = run(OTHER.ss58_address, *state)
    assert done.exit_code == 0, done.stderr
    assert "3 x wrong" in done.stdout and "round 3" in done.stdout
    done = run(OTHER.ss58_address, *state, "--round", "2", "--json")
    document = json.loads(done.stdout)
    assert (document["rounds"], document["reasons"]) == (1, {"wrong": 1})
    done = run("5Nobody", *state)
    assert done.exit_code == exits.STATE and "was not asked in any round" in done.stderr
    assert run(*state).exit_code == exits.USAGE
    assert run("--ask", "http://127.0.0.1:1").exit_code == exits.USAGE


async def test_the_command_asks(tmp_path: Path) -> None:
    key = tmp_path / "wallets" / "mine" / "hotkeys" / "default"
    key.parent.mkdir(parents=True)
    key.write_bytes(serialized_keypair_to_keyfile_data(MINER))

    def asked(url: str, validator: Keypair) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable, "-m", "subnet.cli.app", "explain", "--ask", url,
                "--validator", validator.ss58_address, "--json",
                "--wallet", "mine", "--wallet-path", str(tmp_path / "wallets"),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    async with served(tmp_path) as (host, port):
        url = f"http://localhost:{port}"
        done = await asyncio.to_thread(asked, url, VALIDATOR)
        wrong = await asyncio.to_thread(asked, f"{host}:{port}", OTHER)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hotkey"] == MINER.ss58_address
    assert wrong.returncode == exits.FAILED and str(Failure.REFUSED) in wrong.stderr
