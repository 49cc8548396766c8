"""Validators that cheat on a real chain with a story that fits together: each is found out."""

from __future__ import annotations

import asyncio
import base64
import copy
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.client.calls import Call, batch
from chain.client.commitment import commitment_call
from chain.runtime.pallets.drand import extrinsic
from subnet.protocol import Task
from subnet.wire.dendrite import Dendrite
from tests.devnet.test_drand import PULSE
from tests.prompts.town import HOTKEY, MINERS, Each, Grouped, Sum, Sums, Town, town
from validators.audit import Audit, Flaw
from validators.audit.roots import parsed
from validators.loop import ask, run_round, seal
from validators.prompts.posting import published
from validators.prompts.sealing import Sealing
from validators.prompts.vault import Vault
from validators.sampler import sample

Lines = list[dict[str, Any]]


@dataclasses.dataclass
class TwoSets:
    """What the cheat leaves behind: the epoch, and the sealing of which it tells nothing."""

    epoch: int
    hidden: Sealing


async def ask_two_sets(place: Town, *, together: bool) -> TwoSets:
    """Ask one set of questions off the record, look at the answers, and tell of another one.

    With `together` both roots stand on the chain; else the second one takes the first one's place.
    """
    moment = await place.moment()
    epoch, bench = moment.schedule.epochs, place.bench
    targets = sample(moment.metagraph.neurons, asker=bench.hotkey, seed=b"")
    hidden = bench.vault.find(epoch)
    assert hidden is not None
    seen = await ask(bench.dendrite, bench.subnet, bench.vault.take(hidden), targets)
    assert all(reply.answer is not None for _, reply in seen)
    again = Vault(bench.subnet, seed=b"again", asked=bench.ledger.was_asked)
    if together:
        await place.seal(again, epoch)
    else:
        told = await again.seal(
            epoch, netuid=place.netuid, validator=bench.hotkey, turns=1, tasks=1
        )
        receipt = await place.chain.set_commitment(HOTKEY, place.netuid, told.statement.data)
        again.note_posted(told, receipt.block)
    liar = dataclasses.replace(bench, vault=again)
    await run_round(liar, await place.now())
    await place.end_epoch(liar)
    return TwoSets(epoch, hidden)


@pytest.mark.parametrize("together", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_two_sets_of_questions_and_only_the_better_told(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        cheat = await ask_two_sets(place, together=together)
        lines = copy.deepcopy(place.lines())
        (leaves,) = (line for line in lines if line["kind"] == "leaves")
        root = cheat.hidden.tree.root.hex()
        assert leaves["beside"] == ([root] if together else [])

        # Not a word of the other set.
        leaves["beside"] = []
        found = await place.audit(cheat.epoch, lines)
        (difference,) = found.differences
        assert difference.flaw is Flaw.ROOT_UNTOLD
        assert root[:16] in difference.where and found.verdict == "different"

        # "Another instance's": that can be so, and is never proved.
        leaves["beside"] = [root]
        text, seed = await place.unchecked(cheat.epoch, lines)
        assert text.startswith(f"nothing here is under root {root[:16]}")
        assert "several roots of one epoch" in seed

        # "It was never asked."
        lines.append({**leaves, **published(cheat.hidden, [], netuid=place.netuid,
                                            validator=HOTKEY.ss58_address)})  # fmt: skip
        leaves["beside"] = []
        assert await place.unchecked(cheat.epoch, lines) == [
            f"root {root[:16]}: 1 leaves, and no round here asked any, or its rounds were left out",
            seed,
        ]


@pytest.mark.slow
async def test_a_second_row_that_is_revealed_after_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums(), hidden=True) as place:
        epoch = (await place.round())["epoch"]
        (pending,) = place.bench.commits.pending
        assert pending.salted is not None
        other = dataclasses.replace(pending.salted, row={3: 65535}, salt=tuple(range(16)))
        await place.chain.commit_weights(HOTKEY, other)
        await place.end_epoch()
        assert (await place.audit(epoch)).unchecked == []
        await place.chain.reveal_weights(HOTKEY, other)
        await place.end_epoch()
        found = await place.audit(epoch)
        assert (found.verdict, found.row) == ("incomplete", pending.row)
        (text,) = found.unchecked
        assert text.endswith("another one has taken its place, {3: 65535}")


async def taken_over(place: Town) -> int:
    """Run a round, after which another instance seals that epoch, and some more: its number."""
    epoch = int((await place.round())["epoch"])
    heir = Vault(place.bench.subnet, seed=b"heir", asked=place.bench.ledger.was_asked)
    for number in range(epoch, epoch + 4):
        await place.seal(heir, number)
        await place.to_next_epoch()
    held = await place.chain.commitment(place.netuid, HOTKEY.ss58_address)
    assert held is not None and min(item.epoch for item in parsed(held)) > epoch
    return epoch


@pytest.mark.slow
async def test_an_instance_that_comes_back_long_after_the_other_one_took_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = await taken_over(place)
        await place.end_epoch(place.bench)
        text, *_ = await place.unchecked(epoch)
        assert "the journal says that it knows nothing of it" in text


@pytest.mark.slow
async def test_an_instance_that_comes_back_to_a_node_that_has_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        epoch = await taken_over(place)
        place.node.store.keep = 2
        await place.end_epoch(place.bench)
        (leaves,) = (line for line in place.lines() if line["kind"] == "leaves")
        assert (leaves["epoch"], leaves["beside"]) == (epoch, [])
        assert f"what came beside the root of epoch {epoch} is not known" in caplog.text


@pytest.mark.slow
async def test_a_root_that_a_sealed_commitment_takes_off_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is opened the chain holds nothing, as if there had never been a root."""
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        epoch, bench = moment.schedule.epochs, place.bench
        hidden = bench.vault.find(epoch)
        assert hidden is not None
        sealed = {"TimelockEncrypted": {"encrypted": "0x00", "reveal_round": PULSE.round}}
        args = {"netuid": place.netuid, "info": {"fields": [[sealed]]}}
        call = Call("Commitments", "set_commitment", args)
        await place.chain.submit(call, HOTKEY, role="hotkey")
        place.node.submit(extrinsic([PULSE], place.node.head.number))
        await place.node.mine(2)
        assert await place.chain.commitment(place.netuid, HOTKEY.ss58_address) is None
        again = Vault(bench.subnet, seed=b"again", asked=bench.ledger.was_asked)
        await place.seal(again, epoch)
        liar = dataclasses.replace(bench, vault=again)
        await run_round(liar, await place.now())
        await place.end_epoch(liar)
        found = await place.audit(epoch)
        (difference,) = found.differences
        assert difference.flaw is Flaw.ROOT_UNTOLD
        assert hidden.tree.root.hex()[:16] in difference.where
        assert "several roots of one epoch" in found.unchecked[-1]


@pytest.mark.parametrize("definition", [Sums(), Grouped(), Each()])
@pytest.mark.slow
async def test_a_validator_that_deals_a_friend_the_questions_it_likes(
    definition: Sums, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, definition) as place:
        await place.epochs()
        assert (await place.audit(await place.epochs())).verdict == "honest"
        hotkeys = [key.ss58_address for key in MINERS]
        dealt = sorted(hotkeys, reverse=definition.groups == "each")
        vault = place.bench.vault
        monkeypatch.setattr(vault, "_audiences", lambda hotkeys: dealt)
        await place.epochs()
        (text,) = await place.unchecked(await place.epochs())
        assert "not dealt as the definition does: task 0 of its seed goes to " in text


@pytest.mark.slow
async def test_several_commitments_in_one_block_are_not_all_to_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        sealing = place.bench.vault.find(moment.schedule.epochs)
        assert sealing is not None
        hidden = dataclasses.replace(sealing.statement, root=bytes(32)).data
        both = [commitment_call(place.netuid, [data]) for data in (hidden, sealing.statement.data)]
        receipt = await place.chain.submit(batch(both), HOTKEY, role="hotkey")
        epoch = (await run_round(place.bench, await place.now()))["epoch"]
        await place.end_epoch()
        assert await place.unchecked(epoch) == [
            f"block {receipt.block} took several commitments, of which only the last is left"
        ]


@pytest.mark.slow
async def test_a_folder_that_is_lost_leaves_a_second_root_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:
        moment = await place.moment()
        lost = place.bench.vault.find(moment.schedule.epochs)
        assert lost is not None
        (place.folder / "sealed.json").unlink()
        vault = Vault(
            Sums(), seed=b"t", asked=place.bench.ledger.was_asked, path=tmp_path / "sealed.json"
        )
        place.bench = dataclasses.replace(place.bench, vault=vault)
        place.done = None
        line = await place.round()
        assert line["epoch"] == lost.epoch and line["root"] != lost.tree.root.hex()
        await place.end_epoch()
        (leaves,) = (line for line in place.lines() if line["kind"] == "leaves")
        assert leaves["beside"] == [lost.tree.root.hex()]
        text, seed = await place.unchecked(lost.epoch)
        assert text.startswith(f"nothing here is under root {lost.tree.root.hex()[:16]}")
        assert "several roots of one epoch" in seed


async def test_a_validator_that_puts_words_into_miners_mouths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its story fits: scores, memory and weights follow from what it says was answered."""
    async with town(tmp_path, monkeypatch, Sums(), tasks_per_round=2) as place:
        liked, disliked = (key.ss58_address for key in MINERS)
        line = await place.round()
        epoch = line["epoch"]
        await place.end_epoch()
        assert (await place.audit(epoch)).verdict == "honest"

        async def named(change: Callable[[dict[str, Any]], object]) -> list[tuple[Flaw, str]]:
            lines = copy.deepcopy(place.lines())
            (told,) = (line for line in lines if line["kind"] == "round")
            entry = next(item for item in told["replies"] if item["hotkey"] == disliked)
            change(entry)
            entry["score"] = 0.0
            found = await place.audit(epoch, lines)
            assert found.verdict == "different"
            where = f"round 1, task {entry['task']}, miner {disliked}: "
            return [
                (item.flaw, item.where.removeprefix(where))
                for item in found.differences
                if item.flaw in (Flaw.ANSWER_FORGED, Flaw.ASKED_EARLY)
            ]

        ((flaw, problem),) = await named(lambda entry: entry.update(answer={"total": 7}))
        assert flaw is Flaw.ANSWER_FORGED and "did not sign this answer" in problem

        def unsigned(entry: dict[str, Any]) -> None:
            entry.update(answer={"total": 7}, signature=None, signed=False)

        assert await named(unsigned) == [(Flaw.ANSWER_FORGED, "an answer that no miner signed")]

        def hidden(entry: dict[str, Any]) -> None:
            unsigned(entry)
            entry.update(withheld=None)

        ((_, problem),) = await named(hidden)
        assert problem == "withheld, and the question is nobody's own words"

        def malformed(entry: dict[str, Any]) -> None:
            body = json.dumps(entry["answer"], separators=(",", ":")).encode()
            came = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            came["body"] = base64.b64encode(body).decode()
            entry.update(ok=False, failure="malformed", answer=None, came=came)

        assert await named(malformed) == [(Flaw.ANSWER_FORGED, "an answer, told as malformed")]

        def vanished(entry: dict[str, Any]) -> None:
            malformed(entry)
            entry.update(ok=True, failure=None)

        assert await named(vanished) == [(Flaw.ANSWER_FORGED, "an answer that is not there")]

        def late(entry: dict[str, Any]) -> None:
            malformed(entry)
            entry.update(failure="timeout")

        assert (await named(late))[0][1].startswith("timeout, and yet ")

        def refused(entry: dict[str, Any]) -> None:
            malformed(entry)
            entry.update(failure="refused")

        assert await named(refused) == [(Flaw.ANSWER_FORGED, "an answer, told as a refusal")]

        # The miner's answer to the other question.
        def swapped(entry: dict[str, Any]) -> None:
            (other,) = (
                item for item in line["replies"]
                if item["hotkey"] == disliked and item["task"] != entry["task"]
            )  # fmt: skip
            entry.update({key: other[key] for key in ("answer", "signature", "nonce")})

        first, second = await named(swapped)
        assert "did not sign this answer" in first[1] and "told twice" in second[1]

        # Another path than the definition's, of which a miner signs that it knows none.
        lines = copy.deepcopy(place.lines())
        (told,) = (line for line in lines if line["kind"] == "round")
        told["path"] = "/other"
        assert "asked at '/other'" in (await place.audit(epoch, lines)).unchecked[0]

        # An older version kept no signatures: whoever says so is not honest, and not proved wrong.
        lines = copy.deepcopy(place.lines())
        (told,) = (line for line in lines if line["kind"] == "round")
        told["written"] = 2
        for entry in told["replies"]:
            entry["signature"] = None
        (text,) = await place.unchecked(epoch, lines)
        assert text.startswith("round 1: whether 4 answers are the miners'; ")


@pytest.mark.slow
async def test_questions_asked_before_their_root_was_on_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block of a round is the validator's word; when it asked, the miners sign for."""
    async with town(tmp_path, monkeypatch, Sums()) as place:
        before = await place.now()
        bench, epoch = place.bench, before.schedule.epochs
        targets = sample(before.metagraph.neurons, asker=bench.hotkey, seed=b"")
        vault = Vault(Sums(), seed=b"s", asked=bench.ledger.was_asked)
        sealing = await vault.seal(
            epoch, netuid=place.netuid, validator=bench.hotkey, turns=1, tasks=1
        )
        turn = vault.take(sealing)
        early = await ask(bench.dendrite, bench.subnet, turn, targets)
        # It likes what it sees: now it commits to the questions, and tells of a round after that.
        await asyncio.sleep(0.05)
        receipt = await place.chain.set_commitment(HOTKEY, place.netuid, sealing.statement.data)
        await place.node.mine(1)

        class Patient(Dendrite):
            """Says what it was told before."""

            async def ask(self, *args: Any, **options: Any) -> Any:
                return [reply for _, reply in early]

        kept = Vault(Sums(), seed=b"s", asked=bench.ledger.was_asked, path=tmp_path / "own.json")
        kept._sealings.add(dataclasses.replace(sealing, block=receipt.block))
        async with Patient(HOTKEY, allow_private=True) as dendrite:
            liar = dataclasses.replace(bench, vault=kept, dendrite=dendrite)
            line = await run_round(liar, await place.now())
        assert line["block"] > receipt.block
        await place.end_epoch(liar)
        found = await place.audit(epoch)
        assert [item.flaw for item in found.differences] == [Flaw.ASKED_EARLY] * 2
        assert all(item.found < item.published for item in found.differences)


def reseeded(vault: Vault[Any, Any], place: Town, **changes: bytes) -> Vault[Any, Any]:
    """The vault of a validator that draws until it likes what it sees: `secret` and `beacon`."""
    picky = Vault(Sums(), seed=b"picky", asked=place.bench.ledger.was_asked)
    known = vault._sealings
    assert known.secret is not None and known.beacon is not None
    picky._secret = changes.get("secret", known.secret)
    picky._sealings.beacon = changes.get("beacon", known.beacon)
    picky._sealings.newest = known.newest
    picky._begin_stream()
    return picky


@pytest.mark.slow
async def test_a_validator_that_draws_until_it_likes_its_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Sums()) as place:

        async def next_epoch(vault: Vault[Any, Any] | None = None) -> Audit:
            if vault is not None:
                place.bench = dataclasses.replace(place.bench, vault=vault)
            line = await place.round()
            await place.end_epoch(place.bench)
            return await place.audit(line["epoch"])

        first = await next_epoch()
        assert (first.verdict, first.unchecked) == ("honest", [])
        assert [note.partition(": how")[2][-28:] for note in first.notes] == [
            "the first here of this hotkey"[-28:]
        ]
        second = await next_epoch()
        assert (second.verdict, second.unchecked, second.notes) == ("honest", [], [])

        # A secret that it did not commit to.
        vault = place.bench.vault
        found = await next_epoch(reseeded(vault, place, secret=b"x" * 32))
        (difference,) = found.differences
        assert difference.flaw is Flaw.SEED and "commits to" in difference.where

        # Another block than the one in which its root landed.
        vault = place.bench.vault
        found = await next_epoch(reseeded(vault, place, beacon=bytes(32)))
        (difference,) = found.differences
        assert difference.flaw is Flaw.SEED and "the hash of block" in difference.where

        # "My folder was lost": nothing binds what it draws then.
        vault = Vault(Sums(), seed=b"anew", asked=place.bench.ledger.was_asked)
        found = await next_epoch(vault)
        assert (found.verdict, found.differences) == ("incomplete", [])
        assert "a folder was lost, or it was picked" in found.unchecked[0]
        found = await next_epoch()
        assert (found.verdict, found.unchecked) == ("honest", [])

        # Nor does a root as versions before wrote it.
        vault, epoch = place.bench.vault, (await place.now()).schedule.epochs
        older = await vault.seal(
            epoch, netuid=place.netuid, validator=HOTKEY.ss58_address, turns=1, tasks=1
        )
        vault._sealings.replace(older, next=None)
        assert (await next_epoch()).verdict == "honest"
        found = await next_epoch()
        assert (found.verdict, found.differences) == ("incomplete", [])
        assert "the root before is of version 1, which binds nothing" in found.unchecked[0]

        # The root before is put there again, until the hash of its block leads to what it likes.
        await place.round()
        now = await place.now()
        assert now.schedule.next_block is not None
        following = now.schedule.next_block + 1
        assert await seal(place.bench, now.metagraph, now.schedule, following, 0)
        held = await place.chain.commitment(place.netuid, HOTKEY.ss58_address)
        assert held is not None
        root = held.fields[-1]
        receipt = await place.chain.set_commitment(HOTKEY, place.netuid, b"nothing", root)
        beacon = bytes.fromhex((await place.chain.block_hash(receipt.block)).removeprefix("0x"))
        await place.to_next_epoch()
        found = await next_epoch()
        assert (found.verdict, found.unchecked) == ("honest", [])
        found = await next_epoch(reseeded(place.bench.vault, place, beacon=beacon))
        assert [item.flaw for item in found.differences] == [Flaw.SEED]


class Counted(Sums):
    """The same questions whatever the seed: most of them were asked before."""

    def tasks(self, seed: bytes) -> Iterator[Task[Sum]]:
        for number in itertools.count():
            yield Task(f"count-{number}", Sum(text=f"What is {number} + 1?"), number + 1)


@pytest.mark.slow
async def test_a_validator_that_picks_among_the_questions_of_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town(tmp_path, monkeypatch, Counted(), tasks_per_round=2) as place:
        for numbers in ((0, 1), (2, 3)):
            line = await place.round()
            assert {task["id"] for task in line["tasks"]} == {f"count-{n}" for n in numbers}
            await place.end_epoch()
            place.done = None
            found = await place.audit(line["epoch"])
            assert (found.verdict, found.unchecked) == ("honest", [])
        # Its friend would not know the next one.
        vault = place.bench.vault
        hard = set(vault.digests(next(itertools.islice(Counted().tasks(b""), 6, None))))
        vault._asked = lambda known: known in hard or place.bench.ledger.was_asked(known)
        await place.to_next_epoch()
        line = await place.round()
        assert {task["id"] for task in line["tasks"]} == {"count-7", "count-8"}
        await place.end_epoch()
        (text,) = await place.unchecked(line["epoch"])
        assert "1 tasks of its seed were left out, the first of them task 6;" in text
