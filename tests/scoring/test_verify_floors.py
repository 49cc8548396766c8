"""Floors as data: what is kept makes no p-value harsher, and a file says what was written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verify import floors
from scoring.verify.floors import BadFloor, Calibration, Side
from scoring.verify.statement import Sample

MINER = Side("torch", "bfloat16", "cpu", {"torch": "2"})
JUDGE = Side("torch", "float32", "cpu", {"torch": "2"})
NAMES = (
    "seedlock.margin seedlock.early logprobs.surprise logprobs.rarest logprobs.perfect "
    "logprobs.early logprobs.late logprobs.gap toploc.exponents toploc.mantissas"
).split()
FLOOR = Calibration(
    "a model",
    "ab" * 32,
    MINER,
    JUDGE,
    64,
    0.8,
    "questions",
    3,
    {n: (-0.5, 0.0, 1.25) for n in NAMES},
)
ASKED_FOR: dict[str, Any] = {
    "model_sha256": "ab" * 32,
    "judge": ("torch", "float32", "cpu"),
    "length": 64,
    "temperature": 0.8,
}
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(NUMBERS, min_size=1, max_size=700), NUMBERS)
def test_what_is_kept_makes_no_p_value_harsher(values: list[float], value: float) -> None:
    whole, kept = Sample(tuple(values)), floors.kept(values)
    assert len(kept) == min(len(values), floors.MOST)
    assert list(kept) == sorted(kept)
    assert Sample(kept).p(value) >= whole.p(value)
    for at in (values[0], values[-1]):
        assert Sample(kept).p(at) >= whole.p(at)


@pytest.mark.parametrize("count", [257, 300, 1000])
def test_quantiles_of_many_values_make_no_p_value_harsher(count: int) -> None:
    whole, kept = Sample(tuple(map(float, range(count)))), Sample(floors.kept(range(count)))
    for value in range(-1, count + 1):
        assert 0 <= kept.p(value) - whole.p(value) < 0.008


@given(NUMBERS)
def test_values_are_rounded_up_and_not_far(value: float) -> None:
    (kept,) = floors.kept([value])
    assert value <= kept <= value + abs(value) * 1.1e-3 + 1e-300
    assert float(f"{kept:.3e}") == kept


def test_infinity_is_kept_as_a_large_number_and_nan_is_refused() -> None:
    assert floors.kept([math.inf, -math.inf]) == (-1e9, 1e9)
    for bad in ([], [math.nan]):
        with pytest.raises(ValueError, match="measure"):
            floors.kept(bad)


def test_a_file_gives_back_what_was_written() -> None:
    assert floors.loads(floors.dumps(FLOOR)) == FLOOR
    assert FLOOR.seedlock().margin.p(2.0) == 0.25
    assert FLOOR.logprobs(reported=True).gap is not None
    assert FLOOR.logprobs(reported=False).gap is None
    assert FLOOR.toploc().exponents == Sample((-0.5, 0.0, 1.25))


SORTED = st.lists(NUMBERS, min_size=1, max_size=40).map(sorted).map(tuple)


@given(SORTED, SORTED, NUMBERS)
def test_the_widest_floor_is_as_mild_as_the_mildest(
    one: tuple[float, ...], other: tuple[float, ...], value: float
) -> None:
    pairs = [
        replace(FLOOR, measures={"seedlock.margin": values}, answers=len(values), miner=side)
        for values, side in ((one, MINER), (other, JUDGE))
    ]
    widest = floors.widest(pairs, **ASKED_FOR)
    assert widest is not None and widest.answers == min(len(one), len(other))
    p = widest.sample("seedlock.margin").p(value)
    mildest = max(Sample(values).p(value) for values in (one, other))
    if len(one) == len(other):
        assert p == mildest
    assert p >= mildest


def test_the_widest_floor_is_of_this_judge_and_of_nothing_else() -> None:
    plain = replace(FLOOR, measures={"seedlock.margin": (0.0, 0.0, 0.5)})
    widest = floors.widest([FLOOR, plain], **ASKED_FOR)
    assert widest is not None
    assert widest.measures == {"seedlock.margin": (0.0, 0.0, 1.25)}  # what both have
    assert widest.miner.precision == "torch bfloat16, torch bfloat16"
    cuda = replace(FLOOR, judge=replace(JUDGE, device="cuda"))
    on_cuda: dict[str, Any] = {**ASKED_FOR, "judge": ("torch", "float32", "cuda:1")}
    assert floors.widest([FLOOR], **on_cuda) is None
    assert floors.widest([cuda], **on_cuda) is not None
    for change in (
        {"model_sha256": "cd" * 32},
        {"length": 24},
        {"temperature": 0.7},
        {"judge": ("torch", "bfloat16", "cpu")},
        {"judge": ("llamacpp", "float32", "cpu")},
    ):
        asked: dict[str, Any] = {**ASKED_FOR, **change}
        assert floors.widest([FLOOR], **asked) is None


def test_what_was_not_measured_has_no_floor() -> None:
    bare = replace(FLOOR, measures={"seedlock.margin": (0.0,)})
    for ask in (bare.seedlock, bare.toploc):
        with pytest.raises(BadFloor, match="not measured"):
            ask()


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(floors.dumps(FLOOR)), **values})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 5000,
        changed(schema="subnet-floor/2"),
        changed(miner={"engine": "torch"}),
        changed(model="SmolLM2"),
        changed(answers=0),
        changed(length="many"),
        changed(length=math.inf),
        changed(temperature=0),
        changed(measures=[]),
        changed(measures={"a.b": []}),
        changed(measures={"a.b": [2, 1]}),
        changed(measures={"a.b": ["x"]}),
        changed(measures={"a.b": [math.nan]}),
        changed(measures={"a.b": [math.inf]}),
    ],
)
def test_what_is_no_floor_is_refused(text: str) -> None:
    with pytest.raises(BadFloor):
        floors.loads(text)


def test_a_floor_is_found_for_its_own_pair_only() -> None:
    asked: dict[str, Any] = {
        "model_sha256": "ab" * 32,
        "miner": ("torch", "bfloat16"),
        "judge": ("torch", "float32"),
        "length": 64,
    }
    assert floors.find([FLOOR], **asked) is FLOOR
    for other in (
        {"model_sha256": "cd" * 32},
        {"miner": ("torch", "float32")},
        {"judge": ("llamacpp", "file")},
        {"length": 65},
    ):
        assert floors.find([FLOOR], **{**asked, **other}) is None


def test_the_shipped_floors_are_of_the_default_model_and_usable() -> None:
    found = floors.shipped()
    pairs = {
        (f.miner.engine, f.miner.precision, f.judge.engine, f.judge.precision, f.length)
        for f in found
    }
    assert len(pairs) == len(found)
    assert {("torch", "bfloat16", "torch", "float32", length) for length in (24, 64)} <= pairs
    for floor in found:
        assert floor.answers >= 60
        # Honest answers follow the seed, whoever computes: else the floor is of something else.
        assert floor.sample("seedlock.margin").p(0.4) < 0.05
        assert floor.logprobs(reported=True).gap is not None
        if floor.miner.engine == floor.judge.engine == "torch":
            assert floor.toploc().exponents.p(0.3) < 0.05
