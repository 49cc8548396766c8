"""What a miner can show when a validator's journal tells otherwise, kept small."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from miners.front import receipts_of
from subnet.config import MinerTable
from subnet.errors import StateError
from subnet.protocol import Target
from subnet.wire.auth import Claim, digest_of
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from subnet.wire.receipts import Receipt, Receipts, older, read_receipts
from tests.neurons.test_signatures import HONEST, LAZY, Ask, Echoes, Said, decline, rounds, twice
from tests.wire.world import VALIDATOR
from validators.receipts import Contradiction, Kind, compare

ME = str(VALIDATOR.ss58_address)


async def told(
    folder: Path, subnet: Echoes, *, count: int = 2
) -> tuple[list[dict[str, Any]], list[Receipt]]:
    """Real rounds with two miners that keep receipts: the journal's lines, and the first's."""
    files, targets, axons = [], [], []
    for uid, (key, handler) in enumerate(((HONEST, twice), (LAZY, decline))):
        files.append(Receipts(folder / f"receipts-{uid}.jsonl"))
        axon = Axon(key, policy=AnyPolicy(), receipts=files[-1])
        axon.handle(subnet.path, subnet.challenge, subnet.answer, handler)
        targets.append(Target(uid, key.ss58_address, *await axon.start("127.0.0.2", 0)))
        axons.append(axon)
    try:
        lines = await rounds(folder, subnet, targets, count=count)
    finally:
        for axon, file in zip(axons, files, strict=True):
            await axon.stop(1.0)
            file.close()
    kept = [list(read_receipts(folder / f"receipts-{uid}.jsonl")) for uid in (0, 1)]
    assert [one.status for one in kept[1]] == [503] * 2 * count
    assert list(compare(lines, kept[1], ME)) == []
    return lines, kept[0]


def differences(
    lines: Sequence[dict[str, Any]], receipts: Sequence[Receipt]
) -> list[Contradiction]:
    return list(compare(lines, receipts, ME))


async def test_receipts_go_with_an_honest_journal_and_no_other(tmp_path: Path) -> None:
    lines, receipts = await told(tmp_path, Echoes())
    assert len(receipts) == 4 and all(receipt.holds for receipt in receipts)
    assert {receipt.status for receipt in receipts} == {200}
    assert all(0 <= one.time - one.nonce / 1e9 < 60 for one in receipts)
    assert differences(lines, receipts) == []
    words = (tmp_path / "receipts-0.jsonl").read_text()
    assert lines[0]["tasks"][0]["challenge"]["text"] not in words

    changed = copy.deepcopy(lines)
    entry = changed[0]["replies"][0]
    entry |= {"failure": "timeout", "answer": None, "signature": None, "signed": False}
    (found,) = differences(changed, receipts)
    assert (found.kind, found.is_proved) == (Kind.DENIED, False)
    assert entry["task"] in str(found) and "answered 200 after" in str(found)

    changed = copy.deepcopy(lines)
    gone = changed[0]["replies"].pop(2)  # neither the first nor the last
    (found,) = differences(changed, receipts)
    assert (found.kind, found.receipt.nonce) == (Kind.UNTOLD, int(gone["nonce"]))

    changed = copy.deepcopy(lines)
    changed[1]["tasks"][0]["challenge"]["text"] += "?"
    (found,) = differences(changed, receipts)
    assert (found.kind, found.is_proved) == (Kind.OTHER_QUESTION, True)

    changed = copy.deepcopy(lines)
    changed[0]["replies"][0]["hotkey"] = LAZY.ss58_address
    (found,) = differences(changed, receipts)
    assert (found.kind, found.is_proved) == (Kind.OTHER_MINER, True)

    other = [dataclasses.replace(receipts[0], answer="00" * 32), *receipts[1:]]
    (found,) = differences(lines, other)
    assert (found.kind, found.is_proved) == (Kind.OTHER_ANSWER, False)


@pytest.mark.parametrize(
    "change",
    [
        {"request": "00" * 32},
        {"target": "/other"},
        {"target": "/ec\nho"},
        {"miner": LAZY.ss58_address},
        {"signature": "00" * 64},
        {"signature": "zz"},
        {"scheme": "ed25519"},
        {"scheme": "none"},
    ],
)
async def test_a_receipt_that_its_validator_did_not_sign(
    change: dict[str, Any], tmp_path: Path
) -> None:
    lines, receipts = await told(tmp_path, Echoes(), count=1)
    made_up = dataclasses.replace(receipts[0], **change)
    assert not made_up.holds
    assert [found.kind for found in differences(lines, [made_up])] == [Kind.NOT_SIGNED]
    # A time outside the rounds, or another validator, is nothing that this journal denies.
    for other in ({"nonce": 7}, {"validator": LAZY.ss58_address}):
        assert differences(lines, [dataclasses.replace(made_up, **other)]) == []


CLAIM = Claim("sr25519", ME, "5Miner", 1_790_000_000_000_000_000, bytes(64))


def add(receipts: Receipts, nonce: int) -> None:
    receipts.add(
        dataclasses.replace(CLAIM, nonce=nonce),
        miner="5Miner",
        target="/echo",
        request=digest_of(b""),
        status=200,
        answer=digest_of(b"{}"),
        time=1.5,
    )


def test_receipts_are_bounded_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "receipts.jsonl"
    receipts = Receipts(path, most_bytes=20_000)
    for nonce in range(1, 201):
        add(receipts, nonce)
        size = sum(one.stat().st_size for one in path.parent.iterdir())
        assert size <= 20_000
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, older(path).name]
    kept = [one.nonce for one in read_receipts(path)]
    assert kept == list(range(kept[0], 201)) and len(kept) > 15
    assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {0o600}
    receipts.close()
    with path.open("ab") as file:  # the machine stopped in the middle of a line
        file.write(b'{"schema":1,"miner":\n7\n{"schema":1,"miner":"a","nonce":{}}\n[[[\n\xff')
    assert [one.nonce for one in read_receipts(path)] == kept


WRITER = """
import sys
from pathlib import Path
from subnet.wire.auth import Claim
from subnet.wire.receipts import Receipts
receipts = Receipts(Path(sys.argv[1]), most_bytes=400_000)
for nonce in range(int(sys.argv[2]), int(sys.argv[2]) + 500):
    receipts.add(Claim("sr25519", "5Validator", "5Miner", nonce, bytes(64)), miner="5Miner",
                 target="/echo", request="00" * 32, status=200, answer="00" * 32, time=1.5)
"""


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(start)], cwd=Path(__file__).parents[2]
        )
        for start in (1_000, 2_000)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    data = older(path).read_bytes() + path.read_bytes()
    nonces = [int(json.loads(line)["nonce"]) for line in data.splitlines()]
    # Each may have looked before the other wrote a line.
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 401_000
    # More than one part was filled, and of each process the newest are there, in order.
    assert 500 < len(nonces) < 1000
    for start in (1_000, 2_000):
        own = [nonce for nonce in nonces if start <= nonce < start + 500]
        assert own == sorted(own) and own[-1] == start + 499


async def test_a_full_disk_keeps_no_answer_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "receipts.jsonl"
    path.symlink_to("/dev/full")
    receipts = Receipts(path)
    axon = Axon(HONEST, policy=AnyPolicy(), receipts=receipts)
    axon.handle("/echo", Ask, Said, twice)
    host, port = await axon.start("127.0.0.2", 0)
    target = Target(0, HONEST.ss58_address, host, port)
    async with Dendrite(VALIDATOR, allow_private=True) as dendrite:
        for _ in range(3):
            (reply,) = await dendrite.ask([target], "/echo", Ask(text="x"), Said, timeout_s=60)
            assert reply.answer == Said(text="xx")
    await axon.stop(1.0)
    receipts.close()
    assert sum("receipts are not kept" in record.message for record in caplog.records) == 1


def test_the_setting(tmp_path: Path) -> None:
    with receipts_of(MinerTable()) as receipts:
        assert receipts is None
    path = tmp_path / "receipts.jsonl"
    with receipts_of(MinerTable(receipts=path, receipts_mib=1)) as receipts:
        assert receipts is not None
        add(receipts, 7)
    assert [one.nonce for one in read_receipts(path)] == [7]
    os.mkdir(tmp_path / "folder")
    with pytest.raises(StateError), receipts_of(MinerTable(receipts=tmp_path / "folder")):
        pass
