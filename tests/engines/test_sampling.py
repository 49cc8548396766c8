"""How tokens are chosen and texts grow, without any model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verify import seedlock
from subnet.engines.base import Params, SeedLock
from subnet.engines.sampling import GrowingText, Sampler, check_request
from subnet.errors import EngineRefused

IDS = np.array([7, 3, 9, 1], dtype=np.int64)
LOGPROBS = np.log([0.5, 0.25, 0.15, 0.1])
END = 256


def shares(params: Params, draws: int = 4000) -> list[float]:
    sampler = Sampler(params)
    drawn = [sampler.choose(at, IDS, LOGPROBS) for at in range(draws)]
    return [drawn.count(int(token)) / draws for token in IDS]


def test_tokens_come_as_often_as_they_are_likely() -> None:
    assert shares(Params(1, seed=1)) == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.04)
    # At temperature 1/2 the probabilities are squared.
    squared = np.array([0.25, 0.0625, 0.0225, 0.01])
    assert shares(Params(1, seed=1, temperature=0.5)) == pytest.approx(
        list(squared / squared.sum()), abs=0.04
    )
    assert shares(Params(1, seed=1, temperature=0)) == [1, 0, 0, 0]


def test_the_unlikely_are_left_out() -> None:
    assert shares(Params(1, seed=1, top_k=2)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.04)
    # The token that crosses the line is in.
    assert shares(Params(1, seed=1, top_p=0.6)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.04)
    assert shares(Params(1, seed=1, top_p=0.49)) == [1, 0, 0, 0]
    assert shares(Params(1, seed=1, temperature=0.01, top_p=0.99)) == [1, 0, 0, 0]


def test_the_lock_prescribes_every_token() -> None:
    lock = SeedLock(b"s" * 32, b"h" * 32)
    sampler = Sampler(Params(1, temperature=0.7, top_p=0.9, top_k=3, lock=lock))
    for position in range(50):
        assert sampler.choose(position, IDS, LOGPROBS) == seedlock.choose(
            IDS, LOGPROBS, lock.seed, lock.hotkey, position, 0.7, top_p=0.9, top_k=3
        )


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 65}, "top_k"),
        ({"logprobs": 65}, "logprobs"),
        ({"seed": -1}, "seed"),
        ({"temperature": 0.0, "lock": SeedLock(b"s", b"h")}, "seed lock"),
    ],
)
def test_what_no_engine_does_is_refused(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises(EngineRefused, match=problem):
        Params(**{"max_tokens": 1, **wrong})  # type: ignore[arg-type]


def test_a_request_is_checked_before_any_work() -> None:
    check_request([1, 2], [3], 2, vocabulary=4, context=4)
    for prompt, answer, length in [([], [1], 1), ([4], [1], 1), ([1], [-1], 1), ([1, 1], [1], 3)]:
        with pytest.raises(EngineRefused):
            check_request(prompt, answer, length, vocabulary=4, context=4)


async def decode(tokens: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(token for token in tokens if token != END).decode(errors="replace")


async def gains(tokens: Sequence[int]) -> list[str]:
    text = GrowingText(decode, END)
    return [await text.add(token, last=at == len(tokens) - 1) for at, token in enumerate(tokens)]


@given(st.text(max_size=80))
async def test_the_gains_are_the_text(said: str) -> None:
    tokens = list(said.encode())
    assert "".join(await gains(tokens)) == said
    assert "".join(await gains([*tokens, END])) == said


async def test_a_character_comes_when_it_is_whole() -> None:
    face = list("🙂".encode())
    assert await gains([65, *face, 66]) == ["A", "", "", "", "🙂", "B"]
    # What never becomes one is told in the end, or when it is too long to become one.
    assert await gains([65, *face[:2], END]) == ["A", "", "", "\ufffd"]
    assert "".join(await gains([0x80] * 40)) == "\ufffd" * 40
    assert sum(map(bool, await gains([0x80] * 40))) > 3
