"""Every difference between the row that was meant and the row that is there has a name."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.client.calls import quantize
from chain.client.metagraph import Metagraph, Neuron
from chain.types import Alpha
from validators.proof import Cause, explain, standing


def causes(meant: dict[int, float], found: dict[int, int], **more: Any) -> dict[int, Cause]:
    return {item.uid: item.cause for item in explain(meant, found, **more)}


@given(
    st.dictionaries(st.integers(0, 255), st.floats(1e-3, 1.0), min_size=1, max_size=40),
)
def test_rounding_alone_is_no_difference(meant: dict[int, float]) -> None:
    assert causes(meant, quantize(meant)) == {}


def test_what_rounds_to_nothing_is_quantised() -> None:
    meant = {1: 1.0, 2: 0.4 / 65535}
    assert causes(meant, quantize(meant)) == {2: Cause.QUANTISED}


@given(
    st.dictionaries(st.integers(0, 255), st.floats(1e-3, 1.0), min_size=2, max_size=40),
    st.integers(1, 65535),
)
def test_what_the_sdk_clips_is_never_unexplained(meant: dict[int, float], limit: int) -> None:
    from bittensor.intents.weights import clip_to_max_weight

    clipped = clip_to_max_weight(list(meant.values()), limit / 65535)
    found = quantize(dict(zip(meant, clipped, strict=True)))
    assert set(causes(meant, found, limit=limit).values()) <= {Cause.CLIPPED, Cause.QUANTISED}


def test_what_the_limit_cuts_is_clipped() -> None:
    meant = {1: 0.8, 2: 0.1, 3: 0.1}
    found = quantize({1: 0.5, 2: 0.25, 3: 0.25})
    assert causes(meant, found, limit=32768) == dict.fromkeys((1, 2, 3), Cause.CLIPPED)
    assert set(causes(meant, found).values()) == {Cause.UNEXPLAINED}


def test_a_difference_goes_into_the_journal_whatever_numbers_an_author_has() -> None:
    meant = {1: np.float32(0.75), 2: np.float32(0.25)}
    differences = explain(meant, {1: 65535})  # type: ignore[arg-type]
    assert [json.loads(json.dumps(item.line()))["meant"] for item in differences] == [0.75, 0.25]


def test_a_seat_that_was_sold_is_pruned_and_the_others_grow() -> None:
    meant = {1: 0.5, 2: 0.5}
    found = {1: 65535}
    assert causes(meant, found, moved={2}) == {1: Cause.PRUNED, 2: Cause.PRUNED}
    assert causes(meant, {1: 65535, 3: 9}, moved={2})[3] is Cause.UNEXPLAINED


def test_own_weight_later_rows_and_rows_never_shown() -> None:
    meant = {1: 0.5, 2: 0.5}
    assert causes(meant, quantize(meant), own=1) == {1: Cause.SELF_WEIGHT}
    other = {3: 65535}
    assert set(causes(meant, other, superseded=True).values()) == {Cause.SUPERSEDED}
    assert set(causes(meant, {}, revealed=False).values()) == {Cause.NOT_REVEALED}
    assert set(causes(meant, other).values()) == {Cause.UNEXPLAINED}


def metagraph(consensus: dict[int, float]) -> Metagraph:
    blank = Neuron(0, "", "", True, False, Alpha(0), Alpha(0), 0, 0, 0, Alpha(0), 0, 0, None, None)
    neurons = tuple(
        dataclasses.replace(
            blank, uid=uid, hotkey=f"5{uid}", consensus=round(consensus.get(uid, 0.0) * 65535)
        )
        for uid in range(4)
    )
    return Metagraph(1, 100, 20, 90, "5owner", "5cold", neurons)


def test_validator_trust_lacks_what_is_above_the_consensus() -> None:
    row = {1: 65535, 2: 65535}
    found = standing(metagraph({1: 0.5, 2: 0.25, 3: 0.25}), row, 49151, own=0, epoch=7)
    assert found.vtrust == pytest.approx(0.75, abs=1e-4)
    assert [(uid, hotkey) for uid, hotkey, _ in found.above] == [(2, "52")]
    assert sum(share for *_, share in found.above) == pytest.approx(1 - found.vtrust, abs=1e-4)
    assert found.distance == pytest.approx(0.25, abs=1e-4)


def test_weight_on_oneself_is_left_out() -> None:
    found = standing(metagraph({1: 1.0}), {0: 65535, 1: 65535}, 65535, own=0, epoch=7)
    assert (found.distance, found.above) == (0.0, ())
