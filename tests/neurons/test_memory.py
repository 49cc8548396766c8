"""From the ledger to scores: what the default is, and what policies and folding change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.client.metagraph import Metagraph
from scoring.evidence import Ban, Trial
from scoring.policies import Memory, Window
from scoring.verify.statement import Outcome as Seeing
from scoring.verify.statement import Statement
from subnet.config import ValidatorSettings, load
from subnet.errors import InvalidSetting
from subnet.protocol import Target
from tests.neurons.test_ledger import add, open_ledger
from validators.ledger import KEEP_ROUNDS, Ledger, Outcome
from validators.memory import Standings, by_turns, look_back, reach, stand, together

TRIAL = Trial(false_ban=1e-6, invalid=20.0, unknown=0.0, sentence=8)
FORGED = (Statement("form", Seeing.INVALID, "another form"),)
NOBODY = Metagraph(1, 1, 1, 1, "", "", ())


def targets(hotkeys: str) -> list[Target]:
    return [Target(uid, hotkey, "127.0.0.2", 1) for uid, hotkey in enumerate(hotkeys)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        add(opened, Outcome("a", 1.0, True), Outcome("b", 0.5, True, statements=FORGED))
        add(opened, Outcome("a", 0.0, False), Outcome("c", 1.0, True))
        yield opened


def test_without_policies_it_is_the_ledger_s_own_mean(ledger: Ledger) -> None:
    found = stand(ledger, None, NOBODY, targets("abd"), now=2, coldkey_seats=None, moved={})
    evidence = ledger.evidence()
    # c cannot be asked, and nothing is known of d.
    assert found == Standings({"a": evidence["a"].score, "b": 0.5})
    assert found.line() == {}


async def test_a_ban_is_written_down_once_and_found_again_if_it_was_not(ledger: Ledger) -> None:
    memory = Memory(mean=Window(8), trial=TRIAL)
    arguments = (ledger, memory, NOBODY, targets("abd"))
    for _ in range(2):
        each = {h: s async for h, s in by_turns(look_back(ledger, memory, targets("abd"), 2))}
        found = together(each, NOBODY, coldkey_seats=None, moved={"a": "z"})
        assert found == stand(*arguments, now=2, coldkey_seats=None, moved={"a": "z"})
        assert found.scores == {"a": 0.5, "b": 0.0, "d": 0.0}
        assert ledger.bans("b") == (Ban(1, 9, 20.0),)
    assert found.line() == {
        "withheld": {"b": "banned"},
        "memory": {
            "a": {"nats": 0.0, "mean": 0.5},
            "b": {"nats": 0.0, "banned_until": 9},
            "d": {"nats": 0.0, "mean": 0.0},
        },
        "moved": {"a": "z"},
    }


def test_a_memory_may_reach_further_back_than_a_ledger_would(ledger: Ledger) -> None:
    assert (reach(None), reach(Memory(rounds=2000))) == (KEEP_ROUNDS, 2000)
    only_last = Memory(mean=Window(8), rounds=1)
    found = stand(ledger, only_last, NOBODY, targets("ab"), now=2, coldkey_seats=None, moved={})
    assert found.scores == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_coldkey_seats_is_a_setting(value: str, tmp_path: Path) -> None:
    def seats(**environment: str) -> int | None:
        file = tmp_path / "subnet.toml"
        file.write_text("[weights]\ncoldkey_seats = 2\n" if "FILE" in environment else "")
        environment.pop("FILE", None)
        return load(ValidatorSettings, file=file, environment=environment).weights.coldkey_seats

    assert seats() is None
    assert seats(FILE="") == 2
    assert seats(FILE="", SUBNET_WEIGHTS_COLDKEY_SEATS="3") == 3
    with pytest.raises(InvalidSetting, match="coldkey_seats"):
        seats(SUBNET_WEIGHTS_COLDKEY_SEATS=value)
