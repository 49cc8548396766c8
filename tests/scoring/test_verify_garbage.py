"""What miners send may be anything: every verifier calls it invalid and says why.

One property for all of them: no exception, no floating-point warning (pytest makes errors of
those), and nothing that is not of the form asked for is ever measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.verify import (
    fingerprint,
    freivalds,
    logprobs,
    merkle,
    redundancy,
    seedlock,
    toploc,
    watermark,
)
from scoring.verify.statement import Outcome, Sample, Statement
from scoring.verify.steps import Asked, fault

LITTLE = Sample(tuple(np.linspace(0.0, 1.0, 99).tolist()))
ASKED = Asked(length=8, end_token=0, temperature=0.8, vocabulary=10)
TEXT_FLOOR = logprobs.Floor(LITTLE, LITTLE, LITTLE, LITTLE, LITTLE, gap=LITTLE)
LOCK_FLOOR = seedlock.Floor(LITTLE, LITTLE)

NUMBERS = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.booleans()
    | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e300, 2**31, 2**32, 2**63, 10**400])
)
LEAVES = st.none() | NUMBERS | st.text(max_size=20) | st.binary(max_size=600) | st.just(bytes(258))
ARRAYS = st.sampled_from(
    [
        np.zeros(0),
        np.full(8, np.nan),
        np.arange(8),
        np.zeros((3, 3, 3)),
        np.zeros(1 << 20, dtype=np.uint8),
        np.array([None, "x"], dtype=object),
    ]
)
GARBAGE = st.recursive(
    LEAVES | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=10)
        | st.lists(inner, max_size=10).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
IDS = st.lists(NUMBERS, max_size=10)


@dataclass(frozen=True, eq=False)
class Seen:
    token: int
    logprob: float
    top_ids: Any
    top_logprobs: Any


def steps_along(tokens: Sequence[Any]) -> list[Seen]:
    q = np.log([0.4, 0.3, 0.2, 0.1])
    return [Seen(token, float(q[at % 4]), np.arange(1, 5), q) for at, token in enumerate(tokens)]


GOOD = [1, 2, 1, 3, 2, 1, 4, 2]


def lock(tokens: Any, steps: Sequence[Any] | None = None) -> Statement:
    seen = steps_along(GOOD) if steps is None else steps
    return seedlock.verify(tokens, seen, ASKED, LOCK_FLOOR, seed=b"seed", hotkey=b"hotkey")


def text(tokens: Any, reported: Any = (-1.0,) * 8, steps: Sequence[Any] | None = None) -> Statement:
    seen = steps_along(GOOD) if steps is None else steps
    return logprobs.verify(tokens, seen, ASKED, TEXT_FLOOR, reported)


ACTIVATIONS = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)
PROOFS = toploc.prove_all(ACTIVATIONS)


def proofs(sent: Any) -> Statement:
    return toploc.verify(sent, ACTIVATIONS, toploc.Floor(LITTLE, LITTLE))


A = np.random.default_rng(2).integers(-9, 9, (6, 5))
B = np.random.default_rng(3).integers(-9, 9, (5, 4))
ROOT = freivalds.commit(A @ B)
OPENING = freivalds.open_rows(A @ B, b"beacon", 3)


def opened(root: Any, opening: Any) -> Statement:
    floor = freivalds.Floor(fault=1e-6, share=0.2)
    return freivalds.verify(A, B, root, opening, floor, beacon=b"beacon", openings=3)


def agreement(answer: Any) -> Statement:
    floor = redundancy.Floor(error=0.01, cheats=0.2, luck=0.01, collusion=0.1, wrong=1000)
    return redundancy.verify({0: b"x", 1: b"x", 2: answer}, floor)[2]


def mark(tokens: Any) -> Statement:
    return watermark.verify(tokens, bytes(16))


TRIGGERS = [fingerprint.Trigger((n, 1), (5, 6), bytes(16)) for n in range(3)]
TREE = fingerprint.commit(TRIGGERS)
SHOWN = [fingerprint.Opened(TRIGGERS[1], 1, TREE.path(1))]


def triggers(shown: Any, answers: Any) -> Statement:
    floor = fingerprint.Floor(chance=1e-4, kept=0.9)
    return fingerprint.verify(TREE.root, 3, shown, answers, floor)


SENT: dict[str, Callable[[Any], Statement]] = {
    "seedlock": lock,
    "logprobs": text,
    "logprobs, reported": lambda sent: text(GOOD, sent),
    "toploc": proofs,
    "toploc, one of two": lambda sent: proofs((PROOFS[0], sent)),
    "freivalds, root": lambda sent: opened(sent, OPENING),
    "freivalds, opening": lambda sent: opened(ROOT, sent),
    "freivalds, product": lambda sent: opened(ROOT, replace(OPENING, product=sent)),
    "freivalds, rows": lambda sent: opened(ROOT, replace(OPENING, rows=sent)),
    "freivalds, paths": lambda sent: opened(ROOT, replace(OPENING, paths=sent)),
    "freivalds, a path": lambda sent: opened(
        ROOT, replace(OPENING, paths=(sent, *OPENING.paths[1:]))
    ),
    "redundancy": agreement,
    "watermark": mark,
    "fingerprint, answers": lambda sent: triggers(SHOWN, sent),
    "fingerprint, an answer": lambda sent: triggers(SHOWN, [sent]),
    "fingerprint, triggers": lambda sent: triggers(sent, [[5, 6]]),
    "fingerprint, place": lambda sent: triggers([replace(SHOWN[0], index=sent)], [[5, 6]]),
    "fingerprint, path": lambda sent: triggers([replace(SHOWN[0], path=sent)], [[5, 6]]),
}
"""By verifier and part, what it says of an answer whose other parts are right."""
GOOD_ONES: dict[str, Any] = {
    "seedlock": GOOD,
    "logprobs": GOOD,
    "logprobs, reported": (-1.0,) * 8,
    "toploc": PROOFS,
    "toploc, one of two": PROOFS[1],
    "freivalds, root": ROOT,
    "freivalds, opening": OPENING,
    "freivalds, product": OPENING.product,
    "freivalds, rows": OPENING.rows,
    "freivalds, paths": OPENING.paths,
    "freivalds, a path": OPENING.paths[0],
    "redundancy": b"x",
    "watermark": list(range(40)),
    "fingerprint, answers": [[5, 6]],
    "fingerprint, an answer": [5, 6],
    "fingerprint, triggers": SHOWN,
    "fingerprint, place": 1,
    "fingerprint, path": SHOWN[0].path,
}


def is_in_form(part: str, sent: Any) -> bool:
    """Whether what Hypothesis made is, by luck, of the form asked for: then it may be measured."""

    def ids(values: Any, most: int) -> bool:
        return isinstance(values, (list, tuple)) and all(
            type(value) is int and 0 <= value <= most for value in values
        )

    match part:
        case "seedlock" | "logprobs":
            return fault(sent, ASKED) is None  # and then the judge stepped along another answer
        case "logprobs, reported":
            return isinstance(sent, (list, tuple)) and len(sent) == 8
        case "toploc, one of two":
            return isinstance(sent, bytes) and len(sent) == 258 and toploc.fault(sent) is None
        case "freivalds, product":
            return isinstance(sent, bytes) and len(sent) == 4 * 6
        case "redundancy":
            return sent is None or (isinstance(sent, bytes) and len(sent) > 0)
        case "watermark":
            return ids(sent, 2**32 - 1)
        case "fingerprint, an answer":
            return sent is None or ids(sent, 2**32 - 1)
        case "fingerprint, answers":
            one = isinstance(sent, (list, tuple)) and len(sent) == 1
            return one and is_in_form("fingerprint, an answer", sent[0])
        case "fingerprint, triggers" | "fingerprint, place":
            return type(sent) is int and sent == 1 or sent is True
    return False


@pytest.mark.parametrize("part", SENT)
def test_what_is_right_is_measured(part: str) -> None:
    assert SENT[part](GOOD_ONES[part]).outcome is Outcome.MEASURED


@pytest.mark.parametrize("part", SENT)
@settings(max_examples=40)
@given(sent=GARBAGE | IDS)
@example(sent=[])
@example(sent=[math.nan] * 8)
@example(sent=[1] * 1_000_000)
@example(sent=[10**400] * 8)
@example(sent=np.arange(8))
@example(sent=None)
@example(sent=10**5000)  # more digits than Python will write out
def test_garbage_is_invalid_and_the_reason_is_said(part: str, sent: Any) -> None:
    said = SENT[part](sent)
    if is_in_form(part, sent):
        return
    assert said.outcome is Outcome.INVALID and said.log_ratio is None
    assert 0 < len(said.reason) < 200


FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, -1e308, 1e308, 0.0, -1.0, 5e-324])


@settings(max_examples=100)
@given(
    own=FLOATS,
    top=st.lists(FLOATS, max_size=5),
    ids=st.lists(st.integers(0, 2**31 - 1), max_size=5),
    at=st.integers(0, 7),
)
def test_a_judge_whose_engine_says_no_numbers_does_not_pass_the_answer(
    own: float, top: list[float], ids: list[int], at: int
) -> None:
    """It is unknown, or weighed as at least as bad as the good answer."""
    steps = steps_along(GOOD)
    steps[at] = Seen(GOOD[at], own, np.array(ids, dtype=np.int64), np.array(top, dtype=np.float64))
    for said, good in (
        (lock(GOOD, steps), lock(GOOD)),
        (text(GOOD, steps=steps), text(GOOD)),
    ):
        if said.outcome is Outcome.MEASURED:
            assert math.isfinite(said.log_ratio or math.nan)
            assert all(0.0 < measure.p <= 1.0 for measure in said.measures)
        else:
            assert said.outcome is Outcome.UNKNOWN and said.reason
            assert good.outcome is Outcome.MEASURED


@settings(max_examples=100)
@given(data=st.data(), part=st.sampled_from(["toploc", "freivalds"]))
def test_no_byte_of_a_proof_can_be_changed_for_a_better_one(data: st.DataObject, part: str) -> None:
    """A proof with a byte changed is invalid, or says no more for the answer than the right one."""
    if part == "toploc":
        changed = list(PROOFS)
        changed[0] = _flipped(data, PROOFS[0])
        said, right = proofs(changed), proofs(PROOFS)
    else:
        name = data.draw(st.sampled_from(["product", "rows", "paths"]))
        if name == "product":
            broken = replace(OPENING, product=_flipped(data, OPENING.product))
        elif name == "rows":
            broken = replace(OPENING, rows=(_flipped(data, OPENING.rows[0]), *OPENING.rows[1:]))
        else:
            path = (_flipped(data, OPENING.paths[0][0]), *OPENING.paths[0][1:])
            broken = replace(OPENING, paths=(path, *OPENING.paths[1:]))
        said, right = opened(ROOT, broken), opened(ROOT, OPENING)
    assert right.log_ratio is not None
    if said.outcome is Outcome.MEASURED:
        assert said.log_ratio is not None and said.log_ratio >= right.log_ratio
    else:
        assert said.outcome is Outcome.INVALID and said.reason


def _flipped(data: st.DataObject, proof: bytes) -> bytes:
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 7))
    return proof[:at] + bytes([proof[at] ^ 1 << bit]) + proof[at + 1 :]


@given(GARBAGE, GARBAGE, GARBAGE, GARBAGE)
def test_nothing_is_in_a_tree_that_was_not_put_there(
    leaf: Any, index: Any, count: Any, path: Any
) -> None:
    assert not merkle.is_member(bytes(32), leaf, index, count, path)
    assert not merkle.is_member(ROOT, leaf, 0, 6, path)
    assert not merkle.is_member(ROOT, b"leaf", index, count, [])
    assert not merkle.is_member(ROOT, b"leaf", 0, count, [])


ezkl_sent: tuple[Any, ...] = (None, [], [math.nan], ["1"], [10**400], [1.0] * 5, np.zeros(1), {})


def test_garbage_for_the_circuits_is_invalid() -> None:
    """Before any of it reaches ezkl: so this needs none."""
    from scoring.verify import zk

    circuit = zk.Circuit(b"{}", b"", b"", inputs=1, outputs=1, proof_bytes=4)
    for outputs in ezkl_sent:
        said = zk.verify(b"four", circuit, inputs=[0.0], outputs=outputs, floor=zk.Floor())
        assert said.outcome is Outcome.INVALID and said.reason
    for proof in (None, b"", b"12345", "four", 4, [1, 2, 3, 4], bytes(1 << 22)):
        sent: Any = proof
        said = zk.verify(sent, circuit, inputs=[0.0], outputs=[0.0], floor=zk.Floor())
        assert said.outcome is Outcome.INVALID and said.reason
