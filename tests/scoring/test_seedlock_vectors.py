"""The published vectors against the protocol written again: integers and `math`, token by token."""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from typing import Any

import pytest

from tests.scoring.make_seedlock_vectors import PATH, vectors

PUBLISHED: dict[str, Any] = json.loads(PATH.read_text())


def gumbel(seed: bytes, hotkey: bytes, position: int, token: int) -> float:
    data = len(seed).to_bytes(4, "little") + seed + len(hotkey).to_bytes(4, "little") + hotkey
    key = blake2b(data, digest_size=32, person=b"seedlock/1").digest()
    counter = (token * 2**32 + position).to_bytes(8, "little")
    bits = int.from_bytes(blake2b(counter, digest_size=8, key=key).digest(), "little") // 2**12
    return -math.log(-math.log((2 * bits + 1) / 2**53))


def ranked(case: dict[str, Any]) -> list[tuple[int, float]]:
    """The candidates before top-p: (token, tempered), likeliest first, lower ids first in ties."""
    pairs = sorted(
        zip(case["token_ids"], case["logprobs"], strict=True), key=lambda p: (-p[1], p[0])
    )
    return [(token, value / case["temperature"]) for token, value in pairs[: case["top_k"]]]


def edges(case: dict[str, Any], candidates: list[tuple[int, float]]) -> list[float]:
    """How far inside the nucleus each is."""
    if case["top_p"] == 1.0:
        return [math.inf] * len(candidates)
    total = math.fsum(math.exp(value) for _, value in candidates)
    tails = [
        math.fsum(math.exp(value) for _, value in candidates[rank:]) / total
        for rank in range(len(candidates))
    ]
    far = [math.log(tail) - math.log1p(-case["top_p"]) for tail in tails]
    return [math.inf, *far[1:]]


def lock(case: dict[str, Any]) -> tuple[bytes, bytes, int]:
    return bytes.fromhex(case["seed"]), bytes.fromhex(case["hotkey"]), case["position"]


def test_the_published_file_is_what_the_code_says_now() -> None:
    assert same(vectors(), PUBLISHED)


def same(ours: Any, published: Any) -> bool:
    """Equal, reals within 1e-9."""
    if isinstance(ours, dict):
        return ours.keys() == published.keys() and all(same(ours[k], published[k]) for k in ours)
    if isinstance(ours, list):
        return len(ours) == len(published) and all(map(same, ours, published))
    if isinstance(ours, float):
        return math.isclose(ours, published, rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == published)


def test_noise() -> None:
    assert len(PUBLISHED["noise"]) == 16
    for case in PUBLISHED["noise"]:
        for token, value in zip(case["token_ids"], case["noise"], strict=True):
            assert gumbel(*lock(case), token) == pytest.approx(value, abs=1e-9)


def test_choices_and_information() -> None:
    inside = 0
    for case in PUBLISHED["choices"]:
        candidates = ranked(case)
        kept = [
            pair
            for pair, edge in zip(candidates, edges(case, candidates), strict=True)
            if edge > 0.0
        ]
        inside += len(kept) < len(candidates)
        noisy = [(value + gumbel(*lock(case), token), -token) for token, value in kept]
        assert -max(noisy)[1] == case["chosen"]
        total = math.fsum(math.exp(value) for _, value in kept)
        shares = [math.exp(value) / total for _, value in kept]
        entropy = -math.fsum(share * math.log(share) for share in shares)
        assert entropy == pytest.approx(case["information"], abs=1e-9)
    assert inside > 20  # or top-p was never put to the test


def test_margins() -> None:
    outside = unseen = 0
    for case in PUBLISHED["choices"]:
        candidates = ranked(case)
        near = edges(case, candidates)
        for judged in case["judged"]:
            own = judged["logprob"] / case["temperature"]
            own += gumbel(*lock(case), judged["token"])
            ranks = [rank for rank, pair in enumerate(candidates) if pair[0] == judged["token"]]
            unseen += not ranks
            margin = max(0.0, -near[ranks[0] if ranks else -1])
            outside += margin > 0.0
            for (token, value), edge in zip(candidates, near, strict=True):
                margin = max(margin, min(value + gumbel(*lock(case), token) - own, edge))
            assert margin == pytest.approx(judged["margin"], abs=1e-9), (case, judged)
    assert outside > 10 and unseen > 10


def test_scores() -> None:
    for case in PUBLISHED["scores"]:
        margins, tokens = case["margins"], max(len(case["margins"]), 8)
        mean = sum(min(margin, 4.0) for margin in margins)
        mean /= max(min(tokens, case["information"] / 1.75), 0.1)
        expected = 1.0 / (1.0 + (mean / 0.12) ** 6) if margins else 0.0
        assert expected == pytest.approx(case["score"], abs=1e-9)
