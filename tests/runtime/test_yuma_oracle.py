"""The epoch against its second, independent telling, on thousands of random subnets."""

from __future__ import annotations

import dataclasses
import random

import pytest

from chain.runtime import yuma_arrays
from chain.runtime.yuma import EpochInput, epoch
from tests.runtime import yuma_oracle

BATCHES = 25
CASES_PER_BATCH = 480
MAX_SUPPLY = 21 * 10**15
U64_MAX = 2**64 - 1

PairRow = list[tuple[int, int]]


def random_proportion(rng: random.Random, *favourites: int) -> int:
    return rng.choice([0, 1, 65_534, 65_535, rng.randrange(65_536), *favourites, *favourites])


def random_size(rng: random.Random) -> int:
    draw = rng.random()
    if draw < 0.01:
        return 0
    if draw < 0.02:
        return rng.randint(20, 40)
    return rng.randint(1, 12)


def random_stake(rng: random.Random, n: int, kappa: int) -> list[int]:
    kind = rng.randrange(6)
    if kind == 0:
        return [rng.choice([0, 1, 1, 2, 3]) << 64 for _ in range(n)]
    if kind == 1:
        return [rng.randrange(MAX_SUPPLY << 64) for _ in range(n)]
    if kind == 2:
        return [rng.choice([0, 1, rng.randrange(1 << 70), MAX_SUPPLY << 64]) for _ in range(n)]
    if kind == 3:
        # Two voters whose stake splits exactly at kappa: support equals the majority.
        split = [kappa << 64, (65_535 - kappa) << 64] + [0] * max(0, n - 2)
        rng.shuffle(split)
        return split[:n]
    if kind == 4:
        return [(1 << 64) - rng.randint(0, 1) for _ in range(n)]
    return [rng.randrange(10**12) * rng.randrange(1 << 64) for _ in range(n)]


def random_rows(rng: random.Random, n: int, stale: bool) -> list[PairRow]:
    """Rows of all kinds: full, sparse, empty, unsorted, with explicit zeros, with uids past n."""
    limit = n + (4 if stale else 0)
    density = rng.choice([0.3, 0.8, 1.0])
    shuffled = rng.random() < 0.4
    palette = [0, 1, 65_535, rng.randrange(65_536), rng.randrange(65_536)]
    shared = {j: rng.choice(palette) for j in range(limit)}
    agreement = rng.choice([0.3, 0.9, 1.0])
    rows = []
    for _ in range(rng.choice([n, n, n, rng.randint(0, n)])):
        uids = [j for j in range(limit) if rng.random() < density]
        if rng.random() < 0.1:
            uids = []
        if shuffled:
            rng.shuffle(uids)
        agreeing = rng.random() < agreement
        value = shared.__getitem__ if agreeing else lambda _: rng.choice([*palette, 40_000])
        rows.append([(j, value(j)) for j in uids])
    return rows


def random_blocks(rng: random.Random, n: int, block: int) -> list[int]:
    kind = rng.randrange(4)
    if kind == 0:
        return [rng.randint(0, 3) for _ in range(n)]
    if kind == 1:
        return [rng.randint(max(0, block - 12), block) for _ in range(n)]
    return [0] * n


def random_input(rng: random.Random) -> EpochInput:
    n = random_size(rng)
    block = rng.choice([0, 1, 5, 100, 100, rng.randrange(2**32), rng.randrange(2**32), U64_MAX])
    kappa = random_proportion(rng, 32_767, 32_767)
    stake = random_stake(rng, n, kappa)
    typical = sorted(raw >> 64 for raw in stake)[n // 2] if n else 0
    low, high = sorted((random_proportion(rng, 45_875), random_proportion(rng, 58_982)))
    stale = rng.random() < 0.3
    updates = rng.choice([[block] * n, [block] * n, random_blocks(rng, n, block)])
    commits = rng.choice([[U64_MAX] * n, random_blocks(rng, n, block)])
    return EpochInput(
        block=block,
        tempo=rng.choice([0, 1, 10, 360, 2**16 - 1]),
        activity_cutoff=rng.choice([1, 5, 5_000, 2**40, 2**40]),
        last_update=updates[: rng.choice([n, n, n, n // 2])],
        block_at_registration=random_blocks(rng, n, block),
        last_step_block=rng.choice([0, 0, max(0, block - 10), U64_MAX]),
        stake=stake,
        stake_threshold=rng.choice([0, 0, 0, 0, 0, typical, typical + 1, U64_MAX]),
        owner_uid=rng.choice([None, rng.randrange(n)]) if n else None,
        validator_permit=[rng.random() < 0.9 for _ in range(n)],
        max_validators=rng.choice([0, 1, 2, n, 64, rng.randint(0, n)]),
        weights=random_rows(rng, n, stale),
        bonds=random_rows(rng, n, stale),
        kappa=kappa,
        bonds_penalty=random_proportion(rng, 65_535, 32_768),
        bonds_moving_average=rng.choice([0, 1, 900_000, 975_000, 10**6, rng.randrange(10**6)]),
        yuma3=rng.random() < 0.7,
        liquid_alpha=rng.random() < 0.7,
        alpha_low=low,
        alpha_high=high,
        alpha_sigmoid_steepness=rng.choice(
            [1_000, 1_000, 200, 0, -1_000, 32_767, -32_768, rng.randint(-32_768, 32_767)]
        ),
        commit_block=rng.choice([None, commits]),
        emission=rng.choice([0, 1, 10**9, rng.randrange(2**64), U64_MAX]),
    )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_equals_the_oracle(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if batch % 2:  # small subnets fill their rows, so that only large ones are kept cell by cell
        monkeypatch.setattr(yuma_arrays, "SPREAD", 0)
        monkeypatch.setattr(yuma_arrays, "FEW_CELLS", -1)
    for case in range(CASES_PER_BATCH):
        seed = batch * CASES_PER_BATCH + case
        given = random_input(random.Random(seed))
        output = epoch(given)
        expected = yuma_oracle.epoch(given)
        for field in dataclasses.fields(output):
            actual = getattr(output, field.name)
            if field.name == "bonds":
                actual = [list(row) for row in actual]
            assert actual == expected[field.name], f"seed {seed}: {field.name} of {given}"


def test_random_inputs_reach_the_interesting_states() -> None:
    """Random inputs prove little where nearly all of them end with nobody paid."""
    inputs = [random_input(random.Random(seed)) for seed in range(600)]
    outputs = [epoch(given) for given in inputs]
    pairs = list(zip(inputs, outputs, strict=True))

    def share(hits: list[bool]) -> float:
        return sum(hits) / len(hits)

    assert share([any(o.incentive) for o in outputs]) > 0.25
    assert share([any(o.dividends) for o in outputs]) > 0.25
    assert share([i.yuma3 and i.liquid_alpha and any(o.consensus) for i, o in pairs]) > 0.1
    assert share([0 < i.bonds_penalty < 65_535 and any(o.consensus) for i, o in pairs]) > 0.1
    assert share([not i.yuma3 and any(o.dividends) for i, o in pairs]) > 0.06
    assert share([not all(o.active) for o in outputs]) > 0.1
