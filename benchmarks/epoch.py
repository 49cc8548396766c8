"""Epochs beside plain floats, measured in one run, medians of rounds.

    python -m benchmarks.epoch [--rounds N] [--only yuma blocks growth thousand] [--json FILE]

    yuma       one exact epoch, from packed rows to packed rows, beside float64 on ready matrices
    blocks     a block with an epoch due, as the engine builds it: storage read, Yuma, neurons paid,
               storage written, hashed; beside float64 from the same packed rows, on scipy.sparse
               matrices where weights are few. Yuma3 with liquid alpha; before each block all
               validators set new weights.
    growth     such blocks at four sizes, beside what the smallest takes times the weights
    thousand   1,000 blocks of 32 subnets with 256 uids, beside the sum of their epochs run alone

The figures to quote are the ratios: both sides had the same input and the same machine at the same
time. Times are of the CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import float_sparse, float_yuma
from benchmarks.populated import Chain, Shape
from chain.runtime import frame
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import payout
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.payout import Pots
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.runtime.state import State, StateReader
from chain.runtime.yuma import Csr, EpochInput, epoch
from chain.types import Alpha, NetUid

Found = float_yuma.FloatOutput | float_sparse.SparseOutput

VALIDATORS = 64
MODES = {"yuma2": (False, False), "yuma3": (True, False), "liquid": (True, True)}
TEMPO = 3


@dataclass(frozen=True)
class Figure:
    """One line of the result: milliseconds of ours and of what stands beside it."""

    table: str
    name: str
    ours_ms: float
    beside_ms: float
    target: str = ""

    @property
    def ratio(self) -> float:
        """Ours in units of what stands beside it."""
        return self.ours_ms / self.beside_ms

    def __str__(self) -> str:
        target = f"  (target {self.target})" if self.target else ""
        return (
            f"{self.name:<44} {self.ours_ms:9.2f} {self.beside_ms:9.2f} {self.ratio:6.2f}{target}"
        )


def ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def middle(table: str, name: str, rounds: list[tuple[float, float]], target: str = "") -> Figure:
    """The round whose ratio is the median; the first, a warm-up, does not count."""
    rounds = sorted(rounds[1:], key=lambda pair: pair[0] / pair[1])
    return Figure(table, name, *rounds[len(rounds) // 2], target)


# Yuma alone


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


def check_agreement(given: EpochInput) -> None:
    """Raise when the two do not compute the same thing."""
    exact, floats = epoch(given), float_yuma.epoch(float_yuma.FloatInput.of(given))
    for name in ("consensus", "incentive", "dividends"):
        ensure_close(name, getattr(exact, name), getattr(floats, name).tolist())


def ensure_close(name: str, exact: list[int], floats: list[float]) -> None:
    """Raise unless u16 proportions are those of the float side, to 1e-4."""
    for u16, proportion in zip(exact, floats, strict=True):
        if abs(u16 / 65_535 - proportion) > 1e-4:
            raise AssertionError(f"{name}: {u16} is not {proportion * 65_535:.2f}")


def yuma_alone(rounds: int) -> Iterator[Figure]:
    """The exact epoch by size and mode."""
    for n, per_row in [(64, 64), (256, 256), (1_024, 1_024), (4_096, 4_096), (4_096, 200)]:
        base = build_input(n, per_row)
        for mode, (yuma3, liquid) in MODES.items():
            given = settle(dataclasses.replace(base, yuma3=yuma3, liquid_alpha=liquid))
            check_agreement(given)
            prepared = float_yuma.FloatInput.of(given)
            found = []
            for _ in range(2 * rounds + 1):
                ours = ms(partial(epoch, given))
                beside = ms(partial(float_yuma.epoch, prepared))
                found.append((ours, beside))
            yield middle("yuma", f"{n} uids, {per_row} weights a row, {mode}", found)


# Blocks


def building(chain: Chain) -> float:
    """CPU milliseconds that the next block takes to build; it is kept."""
    start = time.process_time()
    built = chain.build()
    taken = (time.process_time() - start) * 1e3
    chain.keep(built)
    return taken


def dense(given: EpochInput) -> Found:
    """The float epoch on dense matrices, from packed rows."""
    return float_yuma.epoch(float_yuma.FloatInput.of(given))


def thin(given: EpochInput) -> Found:
    """The float epoch on sparse matrices, from packed rows."""
    return float_sparse.epoch(float_sparse.SparseInput.of(given))


def epoch_block(
    shape: Shape, rounds: int, beside: Callable[[EpochInput], Found]
) -> list[tuple[float, float]]:
    """CPU milliseconds of a block with an epoch, and of the float epoch, by round."""
    chain = Chain()
    netuid = chain.add_subnet(shape, every=TEMPO)
    gc.collect()
    gc.freeze()  # as `subnet devnet` does
    found = []
    for _ in range(rounds + 1):
        chain.set_weights(netuid)
        given = chain.mine_until_due(netuid)
        taken = ms(partial(beside, given))
        found.append((building(chain), taken))
        floats, ctx = beside(given), chain.ctx()
        ensure_close("consensus", s.Consensus.get(ctx, netuid), floats.consensus.tolist())
        incentive = s.Incentive.get(ctx, StorageIndex.of(netuid))
        ensure_close("incentive", incentive, floats.incentive.tolist())
        ensure_close("dividends", s.Dividends.get(ctx, netuid), floats.dividends.tolist())
    gc.unfreeze()
    return found


def blocks(rounds: int) -> Iterator[Figure]:
    """Blocks with an epoch beside float epochs."""
    for shape, beside, target in (
        (Shape(256, 64, 256), dense, "<= 6"),
        (Shape(1_024, 64, 1_024), dense, "<= 6"),
        (Shape(1_024, 256, 1_024), dense, ""),
        (Shape(4_096, 4_096, 82), thin, "<= 6"),
        (Shape(4_096, 64, 82), thin, ""),
    ):
        count = max(3, rounds // 3) if shape.uids > 1_024 else rounds
        name = f"{shape.uids} uids, {shape.validators} validators, {shape.per_row} weights each"
        yield middle("blocks", name, epoch_block(shape, count, beside), target)


def growth(rounds: int) -> Iterator[Figure]:
    """Blocks of subnets four times as large each, beside as many times the smallest one."""
    smallest: tuple[Shape, float] | None = None
    for uids in (128, 256, 512, 1_024):
        shape = Shape(uids, uids // 4, uids)
        chain = Chain()
        netuid = chain.add_subnet(shape, every=TEMPO)
        taken = []
        for _ in range(rounds + 1):
            chain.set_weights(netuid)
            chain.mine_until_due(netuid)
            taken.append(building(chain))
        now = statistics.median(taken[1:])
        smallest = smallest or (shape, now)
        by_weights = smallest[1] * shape.weights / smallest[0].weights
        name = f"{uids} uids, {shape.validators} validators, {shape.weights:,} weights"
        yield Figure("growth", name, now, by_weights, "<= 1")


# A thousand blocks


class Remembered:
    """A state that has been read before."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._values: dict[bytes, bytes | None] = {}
        self._keys: dict[bytes, list[bytes]] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None."""
        if key not in self._values:
            self._values[key] = self._state.get(key)
        return self._values[key]

    def keys(
        self, prefix: bytes, start: bytes | None = None, count: int | None = None
    ) -> list[bytes]:
        """Keys under `prefix`; of pages nothing is remembered."""
        if start is not None or count is not None:
            return self._state.keys(prefix, start, count)
        if prefix not in self._keys:
            self._keys[prefix] = self._state.keys(prefix)
        return self._keys[prefix]


def alone(chain: Chain, netuid: NetUid) -> float:
    """CPU milliseconds of one epoch over the head's state, read before: Yuma, write, pay."""
    head = chain.store.head
    state = Remembered(chain.store.state(head))
    pots = Pots(*(Alpha(10**9) for _ in range(4)))
    taken = 0.0
    for _ in range(2):
        ctx = Ctx(frame.Block(State(state), head.number + 1))
        taken = ms(partial(payout.distribute, ctx, netuid, pots))
    return taken


def thousand(count: int) -> Iterator[Figure]:
    """Many blocks of many subnets beside the sum of their epochs."""
    for tempo in (20, 360):
        chain = Chain()
        netuids = [chain.add_subnet(Shape(256, 64, 256), every=tempo) for _ in range(32)]
        chain.set_weights(*netuids)
        chain.mine(tempo)  # until bonds exist
        gc.collect()
        gc.freeze()
        singly = [alone(chain, netuid) for netuid in netuids]
        before = epochs_run(chain, netuids)
        taken = 0.0
        for _ in range(count // 100):
            for _ in range(100):
                taken += building(chain)
            singly += [alone(chain, netuid) for netuid in netuids]
        ran = epochs_run(chain, netuids) - before
        if not ran:
            continue  # so few blocks were asked for
        name = f"{count} blocks, tempo {tempo}: {ran} epochs"
        target = "<= 1.5" if tempo == 20 else ""
        yield Figure("thousand", name, taken, ran * statistics.median(singly), target)
        gc.unfreeze()


def epochs_run(chain: Chain, netuids: list[NetUid]) -> int:
    """How many epochs these subnets have had."""
    ctx = chain.ctx()
    return sum(s.SubnetEpochIndex.get(ctx, netuid) for netuid in netuids)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--blocks", type=int, default=1000, help="of the thousand")
    parser.add_argument("--only", nargs="+", metavar="TABLE", help="some of the tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    tables = {
        "yuma": lambda: yuma_alone(options.rounds),
        "blocks": lambda: blocks(options.rounds),
        "growth": lambda: growth(options.rounds),
        "thousand": lambda: thousand(options.blocks),
    }
    figures = []
    for name in options.only or tables:
        print(f"\n{name:<44} {'ours ms':>9} {'beside':>9} {'ratio':>6}")
        for figure in tables[name]():
            print(figure, flush=True)
            figures.append({**dataclasses.asdict(figure), "ratio": figure.ratio})
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
