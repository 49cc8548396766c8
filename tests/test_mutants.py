"""The table of planted faults: it is complete, its faults still apply, and each is caught."""

from __future__ import annotations

import re

import pytest

from tests import mutants

TABLE = (mutants.ROOT / "tests" / "mutants.md").read_text()


def test_the_table_lists_every_fault_and_what_catches_it() -> None:
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| `(\S+?)::.+` \|$", TABLE, re.MULTILINE)
    assert rows == [
        (mutant.fault, mutant.file.removeprefix("chain/runtime/"), mutant.test)
        for mutant in mutants.MUTANTS
    ]
    assert len(rows) >= 20


@pytest.mark.parametrize("mutant", [*mutants.MUTANTS, mutants.CONTROL], ids=lambda m: m.fault)
def test_the_fault_can_still_be_planted(mutant: mutants.Mutant) -> None:
    assert (mutants.ROOT / mutant.file).read_text().count(mutant.old) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)  # two seconds a fault, and more beside other work
def test_every_fault_is_caught_and_a_harmless_change_is_not() -> None:
    with mutants.copied_tree() as tree:
        tests = sorted({mutant.test for mutant in mutants.MUTANTS})
        assert mutants.run_tests(tree, tests)[0] == 0
        assert mutants.try_mutant(tree, mutants.CONTROL).caught_by is None
        outcomes = [mutants.try_mutant(tree, mutant) for mutant in mutants.MUTANTS]
    assert not [outcome.mutant.fault for outcome in outcomes if outcome.caught_by is None]
