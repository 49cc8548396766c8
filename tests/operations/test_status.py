"""`subnet status`, from a journal's lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app
from tests.neurons.history import bare
from validators.journal import Journal
from validators.status import DAY_S, read_status


def standing(epoch: int, vtrust: float, *above: tuple[int, str, float], **more: Any) -> Any:
    return {
        "kind": "standing", "epoch": epoch, "block": 20 * epoch, "time": epoch * DAY_S / 2,
        "vtrust": vtrust, "distance": 1 - vtrust, "above": [list(seat) for seat in above],
        "balance_rao": 1_000, "landed_epoch": None, "missed": 0, "differences": [],
    } | more  # fmt: skip


def a_round(number: int, **weights: Any) -> dict[str, Any]:
    line = bare(number, epoch=number, time=100.0 * number)
    return {**line, "weights": line["weights"] | {"code": None} | weights}


LANDED = {"set": True, "read_back": True, "block": 21}


def test_what_moved_validator_trust() -> None:
    status = read_status(
        [
            standing(1, 0.9, (4, "5D", 0.1)),
            standing(2, 0.7, (4, "5D", 0.05), (7, "5G", 0.25)),
        ]
    )
    assert (status.vtrust_before, status.vtrust) == (0.9, 0.7)
    assert [(m.uid, round(m.change, 3)) for m in status.movers] == [(7, 0.25), (4, -0.05)]


def test_costs_are_what_the_balance_fell_by_and_money_that_came_is_none() -> None:
    status = read_status(
        [
            standing(0, 1.0, balance_rao=1_000),
            standing(1, 1.0, balance_rao=900),
            standing(2, 1.0, balance_rao=5_000),
            standing(4, 1.0, balance_rao=4_900),
        ]
    )
    assert status.rao_per_day == pytest.approx(100.0)  # 200 in two days
    assert status.balance_rao == 4_900


def test_which_weights_landed_last_and_why_none_since() -> None:
    lines = [
        a_round(1, **LANDED),
        a_round(2, problem="refused: no", code="refused"),
        a_round(3, problem="not yet", code="later"),
    ]
    status = read_status(lines)
    assert status.landed is not None
    assert (status.landed.round, status.landed.block) == (1, 21)
    assert (status.rounds, status.last_round, status.problem) == (3, 3, "refused: no")
    other = {"set": True, "read_back": False, "block": 41}
    clipped = read_status([*lines, a_round(4, **other, differences=[{"cause": "clipped"}])])
    assert clipped.landed is not None and clipped.landed.block == 41
    gone = read_status([*lines, a_round(4, **other, differences=[{"cause": "superseded"}])])
    assert gone.landed == status.landed
    assert gone.problem == "the chain holds another row than round 4 set"
    hidden = a_round(4, set=True, block=40)
    reveal = {"kind": "reveal", "round": 4, "epoch": 4, "block": 61, "time": 9.0}
    assert read_status([*lines, hidden]).landed == status.landed  # not shown yet
    shown = read_status([*lines, hidden, reveal | {"ending": "revealed"}])
    assert shown.landed is not None and (shown.landed.block, shown.problem) == (61, None)
    lost = read_status([*lines, hidden, reveal | {"ending": "expired"}])
    assert lost.problem == "the commit of round 4 ended expired"


def test_the_command_says_it_and_ends_with_1_where_weights_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as book:
        for line in (a_round(1, **LANDED), standing(2, 0.75, (7, "5G", 0.25))):
            book.append(line)
    run = CliRunner().invoke
    found = run(app, ["status", "--state", str(tmp_path)])
    assert found.exit_code == 0, found.output
    assert "vtrust     0.7500 in epoch 2" in found.output
    assert "landed at block 21, round 1, epoch 1" in found.output
    with Journal(path) as book:
        book.append(standing(4, 0.75, missed=2))
    found = run(app, ["status", "--state", str(tmp_path), "--json"])
    assert found.exit_code == exits.FAILED
    told = json.loads(found.output)
    assert (told["missed"], told["landed"]["block"]) == (2, 21)
    assert run(app, ["status", "--state", str(tmp_path / "none")]).exit_code == exits.STATE
