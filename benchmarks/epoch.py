"""How long one exact epoch takes, beside plain float64 in the same run.

    python -m benchmarks.epoch [--repeat N]

64 validators weigh (nearly) every uid; "sparse" is 4,096 uids with 200 weights in a row. The
ratio is exact time over float time, medians of alternating runs. The float side is timed on
ready dense matrices, the exact side from packed rows of u16 to packed rows of u16.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import time

from benchmarks import float_yuma
from chain.runtime.yuma import Csr, EpochInput, epoch

VALIDATORS = 64
MODES = {"yuma2": (False, False), "yuma3": (True, False), "liquid": (True, True)}


def build_input(n: int, per_row: int, seed: int = 7) -> EpochInput:
    """A subnet in its stride: noisy agreement, every uid staked, a few newcomers."""
    rng = random.Random(seed)
    validators = min(VALIDATORS, n // 2)
    merit = [rng.paretovariate(1.2) for _ in range(n)]
    rows = []
    for i in range(validators):
        uids = sorted(rng.sample(range(n), min(per_row, n)))
        scores = [merit[j] * rng.uniform(0.8, 1.2) for j in uids]
        scale = 65_535 / max(scores)
        rows.append([(j, int(s * scale)) for j, s in zip(uids, scores, strict=True) if j != i])
    stake = [
        rng.randrange(10**12, 10**15) if i < validators else rng.randrange(10**9) for i in range(n)
    ]
    return EpochInput(
        block=100_000,
        tempo=360,
        activity_cutoff=5_000,
        last_update=[rng.randrange(99_600, 100_000) for _ in range(n)],
        block_at_registration=[rng.randrange(99_900) for _ in range(n)],
        last_step_block=99_639,
        stake=[units << 64 for units in stake],
        stake_threshold=0,
        owner_uid=None,
        validator_permit=[i < validators for i in range(n)],
        max_validators=validators,
        weights=Csr.of(rows),
        bonds=[],
        kappa=32_767,
        bonds_penalty=65_535,
        bonds_moving_average=900_000,
        yuma3=True,
        liquid_alpha=False,
        alpha_low=45_875,
        alpha_high=58_982,
        alpha_sigmoid_steepness=1_000,
        commit_block=None,
        emission=10**9,
    )


def settle(given: EpochInput, epochs: int = 3) -> EpochInput:
    """Let bonds build up under slightly shifting weights."""
    for _ in range(epochs):
        given = dataclasses.replace(given, bonds=epoch(given).bonds)
    return given


def measure(given: EpochInput, repeat: int) -> tuple[float, float]:
    """Median seconds of the exact and of the float epoch."""
    prepared = float_yuma.FloatInput.of(given)
    exact, floats = [], []
    for _ in range(repeat):
        start = time.perf_counter()
        epoch(given)
        middle = time.perf_counter()
        float_yuma.epoch(prepared)
        floats.append(time.perf_counter() - middle)
        exact.append(middle - start)
    return statistics.median(exact), statistics.median(floats)


def check_agreement(given: EpochInput) -> None:
    """Raise when the two do not compute the same thing."""
    exact, floats = epoch(given), float_yuma.epoch(float_yuma.FloatInput.of(given))
    for name in ("consensus", "incentive", "dividends"):
        for u16, proportion in zip(getattr(exact, name), getattr(floats, name), strict=True):
            if abs(u16 / 65_535 - proportion) > 1e-4:
                raise AssertionError(f"{name}: {u16} is not {proportion * 65_535:.2f}")


def main() -> None:
    """Print one line for every size and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=31)
    repeat = parser.parse_args().repeat
    print(f"{'uids':>6} {'row':>6} {'mode':>7} {'exact ms':>9} {'float ms':>9} {'ratio':>6}")
    for n, per_row in [(64, 64), (256, 256), (1_024, 1_024), (4_096, 4_096), (4_096, 200)]:
        base = build_input(n, per_row)
        for mode, (yuma3, liquid) in MODES.items():
            given = settle(dataclasses.replace(base, yuma3=yuma3, liquid_alpha=liquid))
            check_agreement(given)
            exact, floats = measure(given, repeat)
            print(
                f"{n:>6} {per_row:>6} {mode:>7} {exact * 1e3:>9.2f} {floats * 1e3:>9.2f} "
                f"{exact / floats:>6.2f}"
            )


if __name__ == "__main__":
    main()
