"""Freivalds' check: honest products pass, and every lie but an unopened one is seen."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.verify import freivalds, merkle
from scoring.verify.freivalds import Floor, Opening
from scoring.verify.statement import Outcome, Statement

FLOOR = Floor(fault=1e-6, share=0.1)
OPENINGS = freivalds.rows_to_open(0.1, 1e-3)
BEACON = b"beacon"
RNG = np.random.default_rng(1)
A = RNG.integers(-128, 128, (60, 40))
B = RNG.integers(-128, 128, (40, 30))
C = A @ B


def judged(
    claimed: NDArray[np.int64], opening: Opening | None = None, root: bytes | None = None
) -> Statement:
    return freivalds.verify(
        A,
        B,
        freivalds.commit(claimed) if root is None else root,
        opening or freivalds.open_rows(claimed, BEACON, OPENINGS),
        FLOOR,
        beacon=BEACON,
        openings=OPENINGS,
    )


def nats(said: Statement) -> float:
    assert said.outcome is Outcome.MEASURED and said.log_ratio is not None
    return said.log_ratio


def test_an_honest_product_weighs_for_whoever_made_it() -> None:
    assert OPENINGS == 66  # 0.9 ** 66 = 0.00096
    assert nats(judged(C)) == pytest.approx(math.log(0.9**66 + 1 / (2**31 - 1)), abs=1e-5)


def test_the_kind_of_integer_does_not_matter() -> None:
    small_a, small_b, c = A.astype(np.int8), B.astype(np.int8), C.astype(np.int32)
    root, opening = freivalds.commit(c), freivalds.open_rows(c, BEACON, OPENINGS)
    assert (root, opening) == (freivalds.commit(C), OPENING)
    said = freivalds.verify(
        small_a, small_b, root, opening, FLOOR, beacon=BEACON, openings=OPENINGS
    )
    assert nats(said) < 0


@given(st.integers(0, 59), st.integers(0, 29), st.integers(1, 1000))
def test_one_wrong_entry_is_seen(row: int, column: int, by: int) -> None:
    wrong = C.copy()
    wrong[row, column] += by
    assert nats(judged(wrong)) == pytest.approx(-math.log(1e-6))


def test_rows_left_out_are_seen_when_opened() -> None:
    """C x made from A and B, a tenth of the rows of C not: seen but for a chance in a thousand."""
    wrong = C.copy()
    wrong[::10] = 0
    seen = 0
    for beacon in (i.to_bytes(2, "big") for i in range(50)):
        root = freivalds.commit(wrong)
        opening = freivalds.open_rows(wrong, beacon, OPENINGS)
        x = freivalds._vector(root, beacon, 30)
        product = (C @ x.astype(object) % freivalds.P).astype(">u4").tobytes()
        rows = [row.astype(">i8").tobytes() for row in wrong]
        asked = freivalds._asked(root, product, beacon, 60, OPENINGS)
        opening = Opening(
            product,
            tuple(rows[at] for at in asked),
            tuple(map(merkle.Tree(rows).path, asked)),
        )
        said = freivalds.verify(A, B, root, opening, FLOOR, beacon=beacon, openings=OPENINGS)
        seen += nats(said) > 0
    assert seen >= 49


def test_right_rows_under_another_root_are_invalid() -> None:
    """The product computed after the beacon, the root made up before it."""
    said = judged(C, freivalds.open_rows(C, BEACON, OPENINGS), freivalds.commit(C + 1))
    assert said.outcome is Outcome.INVALID or nats(said) > 0


def test_an_opening_for_another_beacon_is_worth_nothing() -> None:
    said = judged(C, freivalds.open_rows(C, b"older", OPENINGS))
    assert said.outcome is Outcome.INVALID or nats(said) > 0


def test_entries_equal_modulo_p_but_not_equal_are_invalid() -> None:
    said = judged(C + freivalds.P)
    assert said.outcome is Outcome.INVALID
    assert "no product has" in said.reason


def test_the_challenge_is_what_its_specification_says() -> None:
    root = freivalds.commit(C)
    assert root == merkle.Tree([struct.pack(">30q", *row) for row in C.tolist()]).root
    stream = hashlib.shake_256(b"freivalds/1 x" + root + BEACON).digest(8 * 30)
    x = [value % (2**31 - 1) for value in struct.unpack(">30Q", stream)]
    product = [sum(map(int.__mul__, row, x)) % (2**31 - 1) for row in C.tolist()]
    opening = freivalds.open_rows(C, BEACON, 3)
    assert opening.product == struct.pack(">60I", *product)
    digest = hashlib.sha256(opening.product).digest()
    stream = hashlib.shake_256(b"freivalds/1 o" + root + digest + BEACON).digest(24)
    asked = [value % 60 for value in struct.unpack(">3Q", stream)]
    assert opening.rows == tuple(struct.pack(">30q", *C[at].tolist()) for at in asked)


OPENING = freivalds.open_rows(C, BEACON, OPENINGS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"product": b""}, "240 bytes"),
        ({"product": None}, "240 bytes"),
        ({"product": b"\xff" * 240}, "outside the field"),
        ({"rows": ()}, "were asked for"),
        ({"rows": None}, "were asked for"),
        ({"paths": 5}, "were asked for"),
        ({"rows": OPENING.rows[1:]}, "were asked for"),
        ({"paths": OPENING.paths * 1000}, "were asked for"),
        ({"rows": (b"",) * OPENINGS}, "a row is"),
        ({"rows": (OPENING.rows[0] + b"\0",) * OPENINGS}, "a row is"),
        ({"rows": (None,) * OPENINGS}, "a row is"),
        ({"paths": (None,) * OPENINGS}, "under the root"),
        ({"paths": ((),) * OPENINGS}, "under the root"),
        ({"paths": ((None,),) * OPENINGS}, "under the root"),
        ({"rows": (OPENING.rows[0],) * OPENINGS}, "under the root"),
    ],
)
def test_what_is_no_opening_is_invalid(change: dict[str, object], why: str) -> None:
    said = judged(C, dataclasses.replace(OPENING, **change))  # type: ignore[arg-type]
    assert said.outcome is Outcome.INVALID
    assert why in said.reason


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(32), None])
def test_what_is_no_root_is_never_passed(root: bytes) -> None:
    said = freivalds.verify(A, B, root, OPENING, FLOOR, beacon=BEACON, openings=OPENINGS)
    assert said.outcome is Outcome.INVALID or nats(said) > 0


@given(st.binary(min_size=240, max_size=240), st.binary(min_size=240, max_size=240))
def test_random_openings_neither_crash_it_nor_pass(product: bytes, row: bytes) -> None:
    said = judged(C, Opening(product, (row,) * OPENINGS, OPENING.paths))
    assert said.outcome is Outcome.INVALID or nats(said) > 0


def test_what_the_judge_may_not_ask() -> None:
    refused: list[tuple[Any, Any]] = [
        (A, A),
        (A[0], B),
        (A[:0], B),
        (A * 2000, B),
        (A, np.full_like(B, -(2**63))),
        (A.astype(np.float64), B),
        (A, B.astype(np.uint64)),
    ]
    for a, b in refused:
        with pytest.raises(ValueError):
            freivalds.verify(a, b, bytes(32), OPENING, FLOOR, beacon=BEACON, openings=OPENINGS)
    with pytest.raises(ValueError):
        freivalds.verify(A, B, bytes(32), OPENING, FLOOR, beacon=BEACON, openings=0)
    for share, miss in ((0.0, 0.1), (0.1, 1.0), (math.nan, 0.1)):
        with pytest.raises(ValueError):
            freivalds.rows_to_open(share, miss)
    with pytest.raises(ValueError):
        Floor(fault=0.0, share=0.1)
