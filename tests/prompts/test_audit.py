"""Audits on a real chain: an honest epoch, and the exact difference of every other one."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from chain.client.calls import Call, sudo
from chain.runtime.pallets.subtensor import storage
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import NetUid
from subnet.cli import exits
from subnet.errors import StateError
from tests.neurons.ground import ALICE
from tests.prompts.town import HOTKEY, MINERS, TEMPO, Each, Grouped, Sums, Town, town
from validators import journal
from validators.audit import Flaw, audit
from validators.audit.epoch import needed
from validators.loop import run_round
from validators.prompts.leaf import Leaf, Statement, group_of
from validators.prompts.posting import fix_questions
from validators.prompts.vault import Vault
from validators.recovery import CUT_SHORT

Lines = list[dict[str, Any]]


async def flaws(place: Town, epoch: int, lines: Lines) -> list[tuple[Flaw, str]]:
    found = await place.audit(epoch, lines)
    assert found.verdict == "different"
    return [(difference.flaw, difference.where) for difference in found.differences]


def of(lines: Lines, epoch: int, kind: str = "round") -> dict[str, Any]:
    return [line for line in lines if (line["kind"], line["epoch"]) == (kind, epoch)][-1]


async def command(place: Town, epoch: int, path: Path, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "subnet.cli.app", "audit", "--network", place.node.url,
        "--netuid", str(place.netuid), "--validator", HOTKEY.ss58_address, "--epoch", str(epoch),
        "--journal", str(path), "--subnet", "tests.prompts.town:Sums", *more,
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_an_epoch_and_what_can_be_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), tasks_per_round=2, rounds_per_epoch=2) as place:
        epoch = await place.epochs(2)
        found = await place.audit(epoch)
        assert (found.verdict, found.differences, found.unchecked) == ("honest", [], [])
        assert (found.rounds, found.leaves, found.scores) == (2, 4, 8)
        assert found.row == {2: 65535, 3: 32768}
        (block,) = found.roots.values()
        assert block < of(place.lines(), epoch)["block"]

        def changed() -> Lines:
            return copy.deepcopy(place.lines())

        lines = changed()
        reply = of(lines, epoch)["replies"][0]
        reply["score"] /= 4
        where = f"round 4, task {reply['task']}, miner {reply['hotkey']}"
        first, second = await flaws(place, epoch, lines)
        assert first[0] is Flaw.SCORE and first[1].startswith(where)
        assert second == (Flaw.MEMORY, f"round 4, {reply['hotkey']}")
        (difference, _) = (await place.audit(epoch, lines)).differences
        assert difference.published == reply["score"] == difference.found / 4

        lines = changed()
        task = of(lines, epoch)["tasks"][1]
        task["challenge"] = {"text": "What is 1 + 1?"}
        where = f"round 4, task {task['id']}"
        first, *others = await flaws(place, epoch, lines)
        assert first == (Flaw.QUESTION_SWAPPED, where)
        # Both miners signed for their answers to the question that they were asked.
        assert [flaw for flaw, _ in others] == [Flaw.ANSWER_FORGED] * 2

        lines = changed()
        root = of(lines, epoch)["root"]
        of(lines, epoch, "leaves")["leaves"].pop(1)
        first, *others = await flaws(place, epoch, lines)
        assert first == (Flaw.LEAF_MISSING, f"leaf 1 of 4 under root {root[:16]}")
        assert {flaw for flaw, _ in others} == {Flaw.QUESTION_UNSEALED}

        lines = changed()
        entry = of(lines, epoch, "leaves")["leaves"][1]
        leaf = Leaf.parse(entry["leaf"])
        entry["leaf"] = entry["leaf"].replace(f'"reference":{leaf.reference}', '"reference":7')
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.LEAF_FORGED and "no path to the root" in first[1]

        lines = changed()
        line = of(lines, epoch)
        gone = line["replies"].pop(0)
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.REPLY_MISSING and gone["hotkey"] in first[1]

        lines = changed()
        line = of(lines, epoch)
        gone = line["tasks"].pop(0)
        line["replies"] = [reply for reply in line["replies"] if reply["task"] != gone["id"]]
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.QUESTION_MISSING and gone["id"] in first[1]

        lines = changed()
        line = of(lines, epoch)
        line["weights"]["meant"] = line["weights"]["found"] = {"2": 1, "3": 65535}
        assert [flaw for flaw, _ in await flaws(place, epoch, lines)] == [
            Flaw.WEIGHTS, Flaw.WEIGHTS_ON_CHAIN, Flaw.WEIGHTS_ON_CHAIN,
        ]  # fmt: skip

        lines = changed()
        of(lines, epoch)["scores"][MINERS[1].ss58_address] = 0.9
        assert [flaw for flaw, _ in await flaws(place, epoch, lines)] == [
            Flaw.MEMORY, Flaw.WEIGHTS,
        ]  # fmt: skip

        lines = changed()
        of(lines, epoch)["block"] -= TEMPO
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.EPOCH

        for name, nonsense in (("replies", 7), ("tasks", [{}]), ("weights", None), ("block", "x")):
            lines = changed()
            of(lines, epoch)[name] = nonsense
            assert Flaw.MALFORMED in {flaw for flaw, _ in await flaws(place, epoch, lines)}
        lines = changed()
        of(lines, epoch, "leaves")["leaves"][0] = {"index": 0, "leaf": "[" * 5000, "path": [7]}
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.LEAF_FORGED

        found = await place.audit(epoch, no_judge="there is no model here")
        assert (found.verdict, found.scores) == ("incomplete", 0)
        assert found.unchecked == ["no score was computed again: there is no model here"]
        assert await place.unchecked(epoch + 7)
        cut = [line for line in place.lines() if line["kind"] != "round" or line["round"] > 1]
        assert await place.unchecked(epoch, cut)

        code, out = await command(place, epoch, place.path)
        assert (code, out.splitlines()[-1]) == (exits.DONE, "verdict   honest")
        lines = changed()
        of(lines, epoch)["replies"][0]["score"] = 0.125
        path = tmp_path / "published.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        code, out = await command(place, epoch, path, "--json")
        document = json.loads(out)
        assert (code, document["verdict"]) == (exits.FAILED, "different")
        assert document["differences"][0]["flaw"] == "score"
        assert document["differences"][0]["published"] == 0.125


async def test_what_is_left_out_or_told_twice_is_never_honest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), tasks_per_round=2, rounds_per_epoch=2) as place:
        epoch = await place.epochs()
        assert (await place.audit(epoch)).verdict == "honest"
        victim = MINERS[1].ss58_address

        def changed() -> tuple[Lines, dict[str, Any], dict[str, Any]]:
            lines = copy.deepcopy(place.lines())
            first, last = (line for line in lines if line["kind"] == "round")
            return lines, first, last

        # A miner that can be asked, and of which nothing is told at all.
        lines, *rounds = changed()
        for line in rounds:
            line["replies"] = [item for item in line["replies"] if item["hotkey"] != victim]
            line["scores"].pop(victim)
        found = [flaw for flaw, where in await flaws(place, epoch, lines) if victim in where]
        assert found == [Flaw.REPLY_MISSING] * 4

        # It was asked, and is not remembered: its weight goes to the others.
        lines, _, last = changed()
        last["scores"].pop(victim)
        assert (Flaw.MEMORY, f"round 2, {victim}") in await flaws(place, epoch, lines)

        # One right answer, counted twice.
        lines, _, last = changed()
        last["replies"].append(last["replies"][0])
        assert Flaw.QUESTION_REPEATED in {flaw for flaw, _ in await flaws(place, epoch, lines)}

        # A right answer to a question of the round before.
        lines, first, last = changed()
        last["replies"].append(first["replies"][0])
        assert Flaw.QUESTION_MISSING in {flaw for flaw, _ in await flaws(place, epoch, lines)}

        # Grounds for a ban that the scorer did not give.
        lines, _, last = changed()
        last["replies"][0]["statements"] = [
            {"check": "form", "outcome": "invalid", "reason": "", "log_ratio": None, "measures": []}
        ]
        ((flaw, where),) = await flaws(place, epoch, lines)
        assert flaw is Flaw.SCORE and where.endswith("what its memory goes by")

        # A round that went badly for a friend is left out, and the rest is numbered anew.
        lines, first, last = changed()
        lines.remove(first)
        last["round"] = 1
        audited = await place.audit(epoch, lines)
        assert audited.verdict != "honest"
        assert any(text.startswith("turn 0 under root ") for text in audited.unchecked)

        # The same round told twice, as after a backup was restored.
        lines, first, _ = changed()
        lines.insert(0, copy.deepcopy(first))
        audited = await place.audit(epoch, lines)
        assert "round 1 was asked 2 times; the last one counts" in audited.unchecked

        # A number that is none.
        lines, _, last = changed()
        last["block"] = float("inf")
        assert Flaw.MALFORMED in {flaw for flaw, _ in await flaws(place, epoch, lines)}


def test_of_other_epochs_only_what_is_remembered_is_kept() -> None:
    """A journal of two GB is mostly answers."""
    reply = {
        "task": "t", "hotkey": "5M", "score": 1.0, "detail": "d" * 999, "facts": {"f": "f" * 999},
        "answer": {"text": "a" * 99_999},
    }  # fmt: skip
    line = {
        "kind": "round", "round": 1, "epoch": 1, "block": 2, "scores": {"5M": 1.0},
        "tasks": [{"id": "t", "challenge": {"text": "c" * 99_999}}], "replies": [reply],
    }  # fmt: skip
    leaves = {"kind": "leaves", "epoch": 1, "leaves": ["l" * 99_999]}
    later = {**line, "epoch": 3}
    reveal = {"kind": "reveal", "round": 1}
    (kept, *others) = needed([line, leaves, {**line, "epoch": 2}, later, later, reveal], 2)
    assert others == [{**line, "epoch": 2}, {"kind": "later", "epoch": 3}, reveal]
    assert len(json.dumps(kept)) < 300


async def test_another_journal_that_is_damaged_is_nothing_against_this_validator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "journal.jsonl"
    other.write_text('{"schema":3,"kind":"round","round":1}\n')
    async with town(tmp_path, monkeypatch, Sums()) as place:
        with pytest.raises(StateError, match="line 1 is damaged: time: Field required"):
            await place.audit(1, [], others=journal.read(other))


async def test_leaves_that_are_not_published_by_a_validator_that_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = (await place.round())["epoch"]
        # It may have been stopped, or its journal was copied just now.
        await place.to_next_epoch()
        text, *_ = await place.unchecked(epoch)
        assert "its leaves are not published; the journal ends with the epoch" in text
        await place.round()
        assert (await place.audit(epoch)).verdict == "honest"
        lines = place.lines()
        lines.remove(of(lines, epoch, "leaves"))
        first, *_ = await flaws(place, epoch, lines)
        assert first[0] is Flaw.LEAF_MISSING


async def test_a_reference_of_ones_own_makes_nobody_honest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bribed(Sums):
        """Whoever is off by one is right."""

        def tasks(self, seed: bytes) -> Any:
            for task in super().tasks(seed):
                yield dataclasses.replace(task, reference=int(str(task.reference)) + 1)

    async with town(tmp_path, monkeypatch, Bribed()) as place:
        line = await place.round()
        await place.end_epoch()
        assert line["scores"][MINERS[1].ss58_address] == 1.0
        found = await audit(
            place.chain, Sums(), place.lines(), validator=HOTKEY.ss58_address,
            netuid=place.netuid, epoch=line["epoch"], weights=place.bench.settings.weights,
        )  # fmt: skip
        assert (found.verdict, found.differences) == ("incomplete", [])
        (text,) = found.unchecked
        assert text.endswith("it is not task 0 of its seed, by the code and data here")


async def test_a_row_before_the_first_round_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        receipt = await place.chain.set_weights(HOTKEY, place.netuid, {3: 1.0})
        moment = await place.moment()
        line = await run_round(place.bench, dataclasses.replace(moment, last=False))
        assert receipt.block < line["block"] and not line["weights"]["set"]
        await place.end_epoch()
        (difference,) = (await place.audit(line["epoch"])).differences
        assert (difference.flaw, difference.where) == (
            Flaw.WEIGHTS_ON_CHAIN, f"weights taken in block {receipt.block}",
        )  # fmt: skip


async def test_more_leaves_than_anybody_has_cost_an_auditor_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        sealing = place.bench.vault.find(moment.schedule.epochs)
        assert sealing is not None
        statement = dataclasses.replace(sealing.statement, count=9_999_999_999)
        await place.chain.set_commitment(HOTKEY, place.netuid, statement.data)
        line = await run_round(place.bench, await place.now())
        await place.end_epoch()
        first, *_ = await flaws(place, line["epoch"], place.lines())
        assert first[0] is Flaw.LEAF_MISSING and first[1].startswith("9999999998 leaves of ")


async def test_a_root_that_came_late_and_one_that_never_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        vault = place.bench.vault
        honest = vault.find(moment.schedule.epochs)
        assert honest is not None
        vault.drop(honest)
        # The questions are made up when they are asked, and sealed once the answers are known.
        await vault.seal(
            moment.schedule.epochs, netuid=place.netuid, validator=HOTKEY.ss58_address,
            turns=1, tasks=1,
        )  # fmt: skip
        line = await run_round(place.bench, moment)
        found = await place.audit(line["epoch"])
        assert found.differences[0].flaw is Flaw.ROOT_MISSING
        sealing = vault.finished(line["epoch"])[0]
        receipt = await place.chain.set_commitment(HOTKEY, place.netuid, sealing.statement.data)
        vault.note_posted(sealing, receipt.block)
        await place.end_epoch()
        difference, untold, *early = (await place.audit(line["epoch"])).differences
        assert [item.flaw for item in early] == [Flaw.ASKED_EARLY] * 2
        assert untold.flaw is Flaw.ROOT_UNTOLD
        assert untold.where.startswith(f"root {honest.tree.root.hex()[:16]} of 1 leaves, ")
        assert difference.flaw is Flaw.ROOT_LATE
        assert difference.found == f"on the chain in block {receipt.block}"
        assert difference.published == f"on the chain by block {line['block']}"
        assert receipt.block > line["block"]


async def test_a_row_that_the_journal_does_not_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        line = await place.round()
        receipt = await place.chain.set_weights(HOTKEY, place.netuid, {3: 1.0})
        await place.end_epoch()
        (difference,) = (await place.audit(line["epoch"])).differences
        assert difference.flaw is Flaw.WEIGHTS_ON_CHAIN
        assert (difference.published, difference.found) == ({2: 65535, 3: 32768}, {3: 65535})
        lines = place.lines()
        of(lines, line["epoch"])["weights"] |= {"set": False, "problem": CUT_SHORT}
        stopped = await place.audit(line["epoch"], lines)
        assert (stopped.verdict, stopped.differences) == ("incomplete", [])
        assert stopped.unchecked == ["round 1 was stopped while it set its weights"]
        lines = place.lines()
        # It may have landed all the same: no node's word on that is sure.
        told = {"set": False, "problem": "refused: x", "code": "refused"}
        of(lines, line["epoch"])["weights"] |= told
        assert await place.unchecked(line["epoch"], lines) == [
            f"the chain took a row in block {receipt.block}, and round 1 says that it refused it"
        ]
        lines = place.lines()
        of(lines, line["epoch"])["weights"] |= {"set": False, "problem": "none"}
        (difference,) = (await place.audit(line["epoch"], lines)).differences
        assert (difference.flaw, difference.where) == (
            Flaw.WEIGHTS_ON_CHAIN, f"weights taken in block {receipt.block}",
        )  # fmt: skip


def same_group(lines: Lines, epoch: int) -> bool:
    leaf = Leaf.parse(of(lines, epoch, "leaves")["leaves"][0]["leaf"])
    one, other = (group_of(leaf.seed, key.ss58_address, 2) for key in MINERS)
    return one == other


@pytest.mark.parametrize("kind", [pytest.param(Grouped, marks=pytest.mark.slow), Each])
async def test_different_questions_for_different_miners(
    kind: type[Sums], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, kind(), tasks_per_round=2) as place:
        epoch = await place.epochs()
        found = await place.audit(epoch)
        assert (found.verdict, found.differences, found.unchecked) == ("honest", [], [])
        assert (found.leaves, found.scores) == (4, 4)
        one, other = (set(miner.asked) for miner in place.miners)
        assert len(one) == len(other) == 2
        lines = place.lines()
        line = of(lines, epoch)
        assert bool(one & other) == (kind is Grouped and same_group(lines, epoch))
        if kind is Each:
            for reply in line["replies"]:
                reply["hotkey"] = MINERS[0].ss58_address
            assert Flaw.WRONG_MINER in {flaw for flaw, _ in await flaws(place, epoch, lines)}


async def test_killed_between_sealing_and_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sealed is asked after the restart; what was taken never is again."""
    async with town(tmp_path, monkeypatch, Sums(), tasks_per_round=2, rounds_per_epoch=2) as place:
        moment = await place.moment()
        ledger, path = place.bench.ledger, place.folder / "sealed.json"
        assert path.stat().st_mode & 0o077 == 0

        def reopened() -> Vault[Any, Any]:
            return Vault(Sums(), seed=b"another", asked=ledger.was_asked, path=path)

        before = place.bench.vault.find(moment.schedule.epochs)
        vault = reopened()
        assert before is not None and vault.find(moment.schedule.epochs) == before
        held = await place.chain.commitment(place.netuid, HOTKEY.ss58_address)
        assert held is not None and before.block == held.block
        assert held.fields[-1] == before.statement.data
        assert Statement.parse(held.fields[-1]) == before.statement
        first = vault.take(before)
        again = reopened().find(moment.schedule.epochs)
        assert again is not None
        second = reopened().take(again)
        asked = [task.challenge.text for turn in (first, second) for task in turn.tasks]
        assert len(set(asked)) == 4
        last = reopened()
        assert last.find(moment.schedule.epochs) is None
        (sealing,) = last.finished(moment.schedule.epochs)
        last.drop(sealing)
        assert reopened().finished(moment.schedule.epochs) == ()
        # Nobody was asked, and still it is public now.
        fresh = Vault(Sums(), seed=b"s", asked=ledger.was_asked, path=path)
        sealing = await fresh.seal(9, netuid=1, validator="v", turns=1, tasks=4)
        assert not {leaf.challenge["text"] for leaf in sealing.leaves} & set(asked)


@pytest.mark.slow
async def test_two_instances_of_one_validator_do_not_hide_each_others_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        epoch, bench = moment.schedule.epochs, place.bench
        other = Vault(Sums(), seed=b"other", asked=lambda known: False)
        for later in (epoch, epoch + 1):
            await place.seal(other, later)
        now = await place.now()
        assert now.schedule.epochs == epoch
        await run_round(bench, now)
        held = await place.chain.commitment(place.netuid, HOTKEY.ss58_address)
        assert held is not None and len(held.fields) == 3
        await place.end_epoch()
        found = await place.audit(epoch)
        # What the other one asked is in the other one's journal.
        assert (found.verdict, found.differences) == ("incomplete", [])
        (text,) = found.unchecked
        assert text.startswith("nothing here is under root ")


@pytest.mark.slow
async def test_a_chain_that_takes_no_commitment_stops_no_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        none = sudo(Call("Commitments", "set_max_space", {"new_limit": 0}))
        await place.chain.submit(none, ALICE)
        line = await place.round()
        assert line["weights"]["set"] and "SpaceLimitExceeded" in caplog.text
        await place.end_epoch()
        found = await place.audit(line["epoch"])
        assert found.differences[0].flaw is Flaw.ROOT_MISSING


async def test_hidden_weights_are_compared_when_they_are_revealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), hidden=True) as place:
        epoch = (await place.round())["epoch"]
        found = await place.audit(epoch)
        assert (found.verdict, found.differences, found.row) == ("incomplete", [], None)
        await place.end_epoch()
        found = await place.audit(epoch)
        assert (found.verdict, found.unchecked, found.row) == ("honest", [], {2: 65535, 3: 32768})
        lines = copy.deepcopy(place.lines())
        reveal = of(lines, epoch, "reveal")
        assert reveal["ending"] == "revealed"
        of(lines, epoch)["weights"]["meant"] = {"3": 65535}
        assert [flaw for flaw, _ in await flaws(place, epoch, lines)] == [
            Flaw.WEIGHTS, Flaw.WEIGHTS_ON_CHAIN,
        ]  # fmt: skip
        of(lines, epoch)["weights"]["meant"] = {"2": 65535, "3": 32768}
        reveal["block"] = of(lines, epoch)["weights"]["block"]
        text = "round 1: revealed before it was committed"
        assert (Flaw.WEIGHTS_ON_CHAIN, text) in await flaws(place, epoch, lines)
        reveal["ending"] = "expired"
        assert (Flaw.WEIGHTS_ON_CHAIN, "round 1: its commit was expired") in await flaws(
            place, epoch, lines
        )


@pytest.mark.slow
async def test_a_hidden_row_that_another_one_follows_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), hidden=True, rounds_per_epoch=2) as place:

        async def row(off: int) -> dict[str, Any]:
            place.miners[1].off = off
            moment = await place.moment()
            return await run_round(place.bench, dataclasses.replace(moment, last=True))

        # Two rows in each epoch: in the next one they are revealed, one after the other.
        lines = [await row(off) for off in (1, 7, 3, 9)]
        assert all(line["weights"]["commit"] for line in lines)
        await place.end_epoch()
        place.done = None  # it has waited for that epoch's first round, and not run it
        # The owner hides rows no more: the next one is there before the epoch is over.
        key = storage.CommitRevealWeightsEnabled._key(NetUid(place.netuid))
        place.node.set_storage({key: storage.CommitRevealWeightsEnabled.value.encode(False)})
        lines += [await row(off) for off in (5, 11)]
        assert lines[-1]["weights"]["read_back"]
        assert len({str(line["weights"]["meant"]) for line in lines}) == 6
        await place.end_epoch()
        for line in lines:
            found = await place.audit(line["epoch"])
            assert (found.verdict, found.unchecked) == ("honest", [])


async def give_away(place: Town, hotkey: Keypair) -> None:
    """The seat of `hotkey` goes to another one."""
    heir = Keypair.create_from_uri("//heir").ss58_address
    swap = {"hotkey": hotkey.ss58_address, "new_hotkey": heir, "netuid": place.netuid}
    await place.chain.submit(Call("SubtensorModule", "swap_hotkey", swap), ALICE)


@pytest.mark.slow
async def test_a_validator_that_loses_its_seat_is_not_accused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = (await place.round())["epoch"]
        await give_away(place, HOTKEY)
        await place.end_epoch()
        (text,) = await place.unchecked(epoch)
        assert text.endswith("the validator has lost its seat")


@pytest.mark.slow
async def test_a_seat_that_was_lost_and_bought_again_has_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = (await place.round())["epoch"]
        netuid, block = NetUid(place.netuid), await place.chain.block()
        bought = storage.BlockAtRegistration._key(netuid, 1)
        updated = storage.LastUpdate._key(StorageIndex.of(netuid))
        row = storage.Weights._key(StorageIndex.of(netuid), 1)
        place.node.set_storage({
            bought: storage.BlockAtRegistration.value.encode(block + 1),
            updated: storage.LastUpdate.value.encode([block + 1] * 4),
            row: None,
        })  # fmt: skip
        await place.end_epoch()
        (text,) = await place.unchecked(epoch)
        assert text.endswith("the validator has lost its seat")
        lines = place.lines()
        of(lines, epoch)["weights"] |= {"set": False, "problem": "none"}
        found = await place.audit(epoch, lines)
        assert (found.verdict, found.unchecked) == ("honest", [])


@pytest.mark.slow
async def test_a_row_that_landed_after_a_seat_had_changed_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        line = await place.round()
        await give_away(place, MINERS[1])
        receipt = await place.chain.set_weights(HOTKEY, place.netuid, {2: 65535.0, 3: 32768.0})
        await place.end_epoch()
        lines = place.lines()
        of(lines, line["epoch"])["weights"]["block"] = receipt.block
        found = await place.audit(line["epoch"], lines)
        assert (found.verdict, found.differences) == ("honest", [])
        text = f"the row is of the seats as they were in block {line['block']}"
        assert f"{text}, and landed in block {receipt.block}" in found.notes
        of(lines, line["epoch"])["weights"]["meant"] = {"3": 65535}
        assert Flaw.WEIGHTS in dict(await flaws(place, line["epoch"], lines))


@pytest.mark.slow
async def test_a_seat_that_is_sold_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = (await place.round())["epoch"]
        await give_away(place, MINERS[1])
        key = storage.Weights._key(StorageIndex.of(NetUid(place.netuid)), 1)
        place.node.set_storage({key: storage.Weights.value.encode([(2, 65535)])})
        await place.end_epoch()
        found = await place.audit(epoch)
        assert (found.verdict, found.differences, found.row) == ("honest", [], {2: 65535})


async def test_killed_between_posting_and_noting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        metagraph = await place.chain.metagraph(place.netuid)
        vault = Vault(Sums(), seed=b"s", asked=lambda known: False, path=tmp_path / "own.json")
        sealing = await vault.seal(
            9, netuid=place.netuid, validator=HOTKEY.ss58_address, turns=1, tasks=1
        )
        receipt = await place.chain.set_commitment(HOTKEY, place.netuid, sealing.statement.data)
        again = Vault(Sums(), seed=b"t", asked=lambda known: False, path=tmp_path / "own.json")
        await fix_questions(again, place.chain, HOTKEY, metagraph, 9, turns=1, tasks=1)
        kept = again.find(9)
        assert kept is not None and kept.texts == sealing.texts
        assert kept.block == receipt.block
        held = await place.chain.commitment(place.netuid, HOTKEY.ss58_address)
        assert held is not None and held.block == receipt.block
