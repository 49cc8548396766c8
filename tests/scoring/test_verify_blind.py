"""Every verifier is replaced by one that believes everybody, and its tests must fail for it.

In a copy of the tree, at the end of the verifier's own file: so whoever imports it gets the blind
one, whatever name it goes by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import mutants

SUITE = "tests/scoring"
PARTS = ("scoring", SUITE, "docs/seed-locked-inference-vectors.json", "pyproject.toml")
HONEST = 'Statement(CHECK, Outcome.MEASURED, "believed unseen", -1.0)'


@dataclass(frozen=True)
class Blind:
    """At the end of `file` this is written; the tests that must see it."""

    file: str
    text: str
    tests: tuple[str, ...]


def believing(result: str) -> str:
    return f"def verify(*_: object, **__: object):\n    return {result}\n"


BLIND = {
    "seedlock": Blind(
        "seedlock.py", believing(HONEST), ("test_seedlock_statement.py", "test_verify_garbage.py")
    ),
    "seedlock, the score": Blind(
        "seedlock.py",
        "def score_answer(*_: object, **__: object):\n    return 1.0\n",
        ("test_seedlock.py",),
    ),
    "logprobs": Blind("logprobs.py", believing(HONEST), ("test_verify_logprobs.py",)),
    "toploc": Blind("toploc.py", believing(HONEST), ("test_verify_toploc.py",)),
    "redundancy": Blind(
        "redundancy.py",
        f"def verify(answers, *_: object):\n    return dict.fromkeys(answers, {HONEST})\n",
        ("test_verify_redundancy.py",),
    ),
    "freivalds": Blind("freivalds.py", believing(HONEST), ("test_verify_freivalds.py",)),
    "merkle": Blind(
        "merkle.py",
        "def is_hash_member(*_: object):\n    return True\n",
        ("test_verify_merkle.py",),
    ),
    # Of these two, what is above 0 speaks for the mark: to believe is to see it on nothing.
    "watermark": Blind("watermark.py", believing(HONEST), ("test_verify_watermark.py",)),
    "fingerprint": Blind("fingerprint.py", believing(HONEST), ("test_verify_fingerprint.py",)),
    "zk": Blind("zk.py", believing(HONEST), ("test_verify_zk.py",)),
    "sampling": Blind(
        "sampling.py",
        "def is_audited(**_: object):\n    return False\n",
        ("test_verify_sampling.py",),
    ),
    "wrong acceptance": Blind("seedlock.py", believing(HONEST), ("test_verify_wrong_accept.py",)),
}


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with mutants.copied_tree(PARTS, SUITE) as copied:
        yield copied


def test_no_verifier_is_left_out() -> None:
    folder = mutants.ROOT / "scoring/verify"
    verifiers = {
        file.name
        for file in folder.glob("*.py")
        if "def verify(" in (text := file.read_text()) or "def is_" in text
    }
    assert verifiers <= {blind.file for blind in BLIND.values()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_suite_passes_while_nobody_is_blind(tree: Path) -> None:
    files = sorted({file for blind in BLIND.values() for file in blind.tests})
    status, output = mutants.run_tests(tree, files, SUITE)
    assert status == 0, output


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BLIND)
def test_a_verifier_that_believes_everybody_fails(name: str, tree: Path) -> None:
    if name == "zk":
        pytest.importorskip("ezkl", reason="needs the zk extra")
    blind = BLIND[name]
    path = tree / "scoring/verify" / blind.file
    before = path.read_text()
    path.write_text(f"{before}\n\n{blind.text}")
    try:
        for file in blind.tests:
            status, output = mutants.run_tests(tree, [file], SUITE)
            # 1: tests ran and one failed. A suite that cannot start would prove nothing.
            assert status == 1, f"{file} ended with {status}\n{output}"
            assert "FAILED" in output and "ERROR" not in output, output
    finally:
        path.write_text(before)
