"""What miners' receipts change about an audit: a validator that denies what it signed is named."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from subnet.cli import exits
from subnet.wire.receipts import read_receipts
from tests.prompts.test_audit import command, of
from tests.prompts.town import Sums, town
from validators.audit import Flaw
from validators.audit.receipts import SHOWN


async def test_what_a_miner_can_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with town(tmp_path, monkeypatch, Sums(), tasks_per_round=2) as place:
        epoch = await place.epochs()
        files = [tmp_path / f"receipts-{number}.jsonl" for number in range(2)]
        receipts = [one for path in files for one in read_receipts(path)]
        assert len(receipts) == 4

        def of_receipts(texts: list[str]) -> list[str]:
            return [text for text in texts if text.startswith("receipt")]

        found = await place.audit(epoch, receipts=receipts)
        assert found.differences == [] and not of_receipts(found.notes + found.unchecked)

        async def told(change: Any, more: Any = None) -> Any:
            lines = copy.deepcopy(place.lines())
            change(of(lines, epoch))
            return await place.audit(epoch, lines, receipts=more or receipts)

        def deny(line: dict[str, Any]) -> None:
            line["replies"][1] |= {
                "failure": "timeout", "answer": None, "signature": None, "signed": False,
            }  # fmt: skip

        def swap(line: dict[str, Any]) -> None:
            first, second = line["replies"][0], line["replies"][2]
            assert first["hotkey"] == second["hotkey"]
            first["nonce"], second["nonce"] = second["nonce"], first["nonce"]

        found = await told(deny)
        (note,) = of_receipts(found.notes)
        assert note.startswith("receipt denied: round 1") and "and answered 200 after" in note
        assert Flaw.RECEIPT not in {difference.flaw for difference in found.differences}

        found = await told(swap)
        flaws = [difference for difference in found.differences if difference.flaw is Flaw.RECEIPT]
        assert len(flaws) == 2 and "other_question" in flaws[0].where

        found = await told(lambda line: line["replies"].pop(1))
        (text,) = of_receipts(found.unchecked)
        assert text.startswith("receipt untold: in no round")

        # Receipts that are nobody's are as many as their author likes, and cost a few lines.
        forged = [dataclasses.replace(receipts[0], signature="00" * 64)] * 1000
        found = await told(lambda line: None, forged)
        notes = of_receipts(found.notes)
        assert found.differences == [] and len(notes) == SHOWN + 1
        assert notes[-1] == f"receipts, not_signed: {1000 - SHOWN} more"

        text = place.path.read_text()
        nonces = [reply["nonce"] for reply in of(place.lines(), epoch)["replies"]]
        swapped = text.replace(nonces[0], "@").replace(nonces[2], nonces[0]).replace("@", nonces[2])
        changed = tmp_path / "changed.jsonl"
        changed.write_text(swapped)
        code, out = await command(place, epoch, changed, "--receipts", str(files[0]))
        assert code == exits.FAILED and "different receipt: receipt other_question" in out
