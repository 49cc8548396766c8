"""Honest floors as data: what `subnet calibrate` measured, kept in one file a pair of engines.

A floor holds for one model, one precision and engine on either side, one length and temperature.
Whoever asks for another finds none; nothing is taken for close enough.

The file, JSON: "schema" `SCHEMA`, "model" (name, sha256), "miner" and "judge" (engine, precision,
device, versions), "length", "temperature", "prompts" (what they were), "answers" (how many), and
"measures": by "check.measure" the sorted values. Values are rounded up, and of more than `MOST`
only quantiles are kept, each bin's largest: either way a p-value can only become milder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from scoring.verify import logprobs, seedlock, toploc
from scoring.verify.statement import Sample

SCHEMA = "subnet-floor/1"

MOST = 256
"""Values kept of a measure."""

DIGITS = 4
"""Significant ones."""

LARGEST = 1e9
"""What an infinite measure is kept as; JSON has no infinity."""

LOGPROBS = ("surprise", "rarest", "perfect", "early", "late")


class BadFloor(ValueError):
    """This is no floor, or one of another version."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who computed, and how."""

    engine: str
    precision: str
    device: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The measures of honest answers of one pair of engines. Raises BadFloor for what is none."""

    model: str
    model_sha256: str
    miner: Side
    judge: Side
    length: int
    """Tokens the answers were asked to have."""
    temperature: float
    prompts: str
    """What was asked, for people."""
    answers: int
    measures: Mapping[str, tuple[float, ...]]
    """By "check.measure", sorted."""

    def __post_init__(self) -> None:
        """Refuse a floor that says nothing."""
        if self.answers < 1 or self.length < 1 or not 0.0 < self.temperature < math.inf:
            raise BadFloor("a floor is of one answer and one token or more, sampled")
        for name, values in self.measures.items():
            if not values or not all(map(math.isfinite, values)):
                raise BadFloor(f"{name}: no values, or one that is not finite")
            if list(values) != sorted(values):
                raise BadFloor(f"{name}: not sorted")

    def sample(self, name: str, doubt: float = 0.0) -> Sample:
        """Return one measure, named "check.measure"; raise BadFloor if it was not taken.

        For `doubt` see `Sample`; so in the methods below.
        """
        if name not in self.measures:
            raise BadFloor(f"{name} was not measured for this pair")
        values = self.measures[name]
        return Sample(values, doubt, self.answers if self.answers > len(values) else 0)

    def seedlock(self, doubt: float = 0.0) -> seedlock.Floor:
        """Return the floor of the seed lock."""
        return seedlock.Floor(
            self.sample("seedlock.margin", doubt), self.sample("seedlock.early", doubt)
        )

    def logprobs(self, *, reported: bool, doubt: float = 0.0) -> logprobs.Floor:
        """Return the floor of the log-probabilities, with or without those miners report."""
        taken = {name: self.sample(f"logprobs.{name}", doubt) for name in LOGPROBS}
        gap = self.sample("logprobs.gap", doubt) if reported else None
        return logprobs.Floor(**taken, gap=gap)

    def toploc(self, doubt: float = 0.0) -> toploc.Floor:
        """Return the floor of activation proofs; raise BadFloor where an engine has none."""
        return toploc.Floor(
            self.sample("toploc.exponents", doubt), self.sample("toploc.mantissas", doubt)
        )


def kept(values: Sequence[float]) -> tuple[float, ...]:
    """Return a measure's values as a floor keeps them. Raises ValueError for NaN, or for none."""
    if not values or any(math.isnan(value) for value in values):
        raise ValueError("a measure is of one number or more")
    ordered = sorted(values)
    count = min(len(ordered), MOST)
    return tuple(
        _rounded_up(ordered[math.ceil((at + 1) * len(ordered) / count) - 1]) for at in range(count)
    )


def dumps(floor: Calibration) -> str:
    """Return the file of a floor."""
    document = {
        "schema": SCHEMA,
        "model": {"name": floor.model, "sha256": floor.model_sha256},
        "miner": _side(floor.miner),
        "judge": _side(floor.judge),
        "length": floor.length,
        "temperature": floor.temperature,
        "prompts": floor.prompts,
        "answers": floor.answers,
    }
    head = json.dumps(document, indent=1, allow_nan=False)[:-2]
    rows = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(list(values), allow_nan=False)}"
        for name, values in sorted(floor.measures.items())
    )
    return f'{head},\n "measures": {{\n{rows}\n }}\n}}\n'


def loads(text: str) -> Calibration:
    """Return the floor in a file; raise BadFloor for anything else."""
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise BadFloor(f"schema {document['schema']!r}, not {SCHEMA!r}")
        return Calibration(
            model=str(document["model"]["name"]),
            model_sha256=str(document["model"]["sha256"]),
            miner=Side(**document["miner"]),
            judge=Side(**document["judge"]),
            length=int(document["length"]),
            temperature=float(document["temperature"]),
            prompts=str(document["prompts"]),
            answers=int(document["answers"]),
            measures={
                str(name): tuple(map(float, values))
                for name, values in document["measures"].items()
            },
        )
    except BadFloor:
        raise
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise BadFloor(f"no floor: {type(error).__name__}: {error}") from error


def shipped() -> tuple[Calibration, ...]:
    """Return the floors that come with the package, by file name."""
    folder = resources.files("scoring.verify") / "floor_data"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".json")),
        key=lambda file: file.name,
    )
    return tuple(loads(file.read_text(encoding="utf-8")) for file in files)


def find(
    floors: Sequence[Calibration],
    *,
    model_sha256: str,
    miner: tuple[str, str],
    judge: tuple[str, str],
    length: int,
) -> Calibration | None:
    """Return the floor of this model and length between two (engine, precision), or None."""
    for floor in floors:
        pair = (
            (floor.miner.engine, floor.miner.precision),
            (floor.judge.engine, floor.judge.precision),
        )
        if (floor.model_sha256, floor.length, *pair) == (model_sha256, length, miner, judge):
            return floor
    return None


def widest(
    floors: Sequence[Calibration],
    *,
    model_sha256: str,
    judge: tuple[str, str, str],
    length: int,
    temperature: float,
) -> Calibration | None:
    """Return the floor of whoever is honest, by this judge: (engine, precision, device); or None.

    A judge knows what it runs itself, and not what a miner runs: whatever that says, it would say
    what is measured widest. So a p is the largest of those by the floors of every miner's engine
    that were measured for this judge, in each measure; those that all of them have are there.
    """
    found = [
        floor
        for floor in floors
        if (floor.model_sha256, floor.length, floor.temperature)
        == (model_sha256, length, temperature)
        and (floor.judge.engine, floor.judge.precision, _kind(floor.judge.device))
        == (judge[0], judge[1], _kind(judge[2]))
    ]
    if not found:
        return None
    shared = set.intersection(*(set(floor.measures) for floor in found))
    return Calibration(
        model=found[0].model,
        model_sha256=model_sha256,
        miner=Side("any", ", ".join(sorted(_named(floor.miner) for floor in found)), "any", {}),
        judge=found[0].judge,
        length=length,
        temperature=temperature,
        prompts=found[0].prompts,
        answers=min(floor.answers for floor in found),
        measures={name: _envelope([floor.measures[name] for floor in found]) for name in shared},
    )


def _envelope(samples: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return, rank by rank, the largest; a longer sample is first cut to the shortest's bins.

    Of sorted samples, as many of the result are at least x as of that with the most such.
    """
    count = min(map(len, samples))
    ranks = [[math.ceil((at + 1) * len(s) / count) - 1 for at in range(count)] for s in samples]
    return tuple(max(s[r[at]] for s, r in zip(samples, ranks, strict=True)) for at in range(count))


def _kind(device: str) -> str:
    """Return a device without its number: cpu, cuda."""
    return device.partition(":")[0]


def _named(side: Side) -> str:
    return f"{side.engine} {side.precision}"


def _rounded_up(value: float) -> float:
    value = max(-LARGEST, min(value, LARGEST))
    if value == 0.0:
        return 0.0
    # The nearest decimal first: a value that has so few digits already stays as it is.
    nearest = float(f"{value:.{DIGITS - 1}e}")
    if nearest >= value:
        return nearest
    step = 10.0 ** (math.floor(math.log10(abs(value))) - DIGITS + 1)
    return float(f"{nearest + step:.{DIGITS - 1}e}")


def _side(side: Side) -> dict[str, Any]:
    return {
        "engine": side.engine,
        "precision": side.precision,
        "device": side.device,
        "versions": dict(side.versions),
    }
