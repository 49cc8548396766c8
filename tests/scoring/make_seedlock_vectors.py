"""Writes docs/seed-locked-inference-vectors.json anew.

    python -m tests.scoring.make_seedlock_vectors

Floats are written so that reading them gives the same double again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.verify import seedlock
from subnet.engines.base import Step

PATH = Path(__file__).parents[2] / "docs" / "seed-locked-inference-vectors.json"
ABOUT = (
    "Bytes are hex. What is a real number must be met within 1e-9, everything else exactly. "
    "docs/seed-locked-inference.md says what the names mean."
)
LOCKS = (
    (b"", b""),
    (bytes(16), bytes(32)),
    (bytes(range(16)), bytes(range(32))),
    (b"\xff" * 32, b"\x80" + bytes(31)),
)
IDS = (0, 1, 2, 255, 256, 49151, 49152, 2**31, 2**32 - 1)
POSITIONS = (0, 1, 999, 2**32 - 1)


def noises() -> Iterator[dict[str, Any]]:
    """Every part of the lock, at its edges too."""
    for seed, hotkey in LOCKS:
        for position in POSITIONS:
            yield {
                **written(seed, hotkey),
                "position": position,
                "token_ids": list(IDS),
                "noise": seedlock.noise(seed, hotkey, position, IDS).tolist(),
            }


def choices() -> Iterator[dict[str, Any]]:
    """Distributions flat and steep, of few and many tokens, each under several rules; and ties."""
    rng = np.random.default_rng(1)
    seed, hotkey = LOCKS[2]
    for case in range(60):
        size = (1, 2, 5, 64, 65, 200)[case % 6]
        logits = rng.normal(0.0, (0.5, 2.0, 6.0)[case % 3], size)
        if case % 4 == 3:
            logits = np.round(logits)  # ties, as low precision has them
        logprobs = logits - math.log(np.exp(logits).sum())
        ids = rng.choice(50_000, size, replace=False)
        temperature, top_p = (0.8, 1.0, 0.3, 2.0)[case % 4], (1.0, 0.9, 0.5, 0.999, 0.05)[case % 5]
        top_k = (64, 64, 3, 1)[case // 15]
        position = case * 17
        lock = (seed, hotkey, position, temperature)
        chosen = seedlock.choose(ids, logprobs, *lock, top_p=top_p, top_k=top_k)
        likeliest = np.lexsort((ids, -logprobs))[: seedlock.TOP]
        judged = []
        for at in sorted({*rng.integers(size, size=3).tolist(), int(np.argmin(logprobs))}):
            token = int(ids[at])
            step = Step(token, float(logprobs[at]), ids[likeliest], logprobs[likeliest])
            margin = seedlock.margin(step, *lock, top_p=top_p, top_k=top_k)
            judged.append({"token": token, "logprob": step.logprob, "margin": margin})
        step = Step(chosen, 0.0, ids[likeliest], logprobs[likeliest])
        yield {
            **written(seed, hotkey),
            "position": position,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "token_ids": ids.tolist(),
            "logprobs": logprobs.tolist(),
            "chosen": chosen,
            "information": seedlock.seed_information([step], temperature, top_p=top_p, top_k=top_k),
            "judged": judged,
        }
    tied: tuple[tuple[list[int], list[float]], ...] = (
        ([7, 3, 5], [-1.0] * 3),
        ([9, 8], [-math.log(2)] * 2),
    )
    for names, values in tied:
        yield {
            **written(seed, hotkey),
            "position": 0,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 1,
            "token_ids": names,
            "logprobs": values,
            "chosen": seedlock.choose(names, values, seed, hotkey, 0, 1.0, top_k=1),
            "information": 0.0,
            "judged": [],
        }


def scores() -> Iterator[dict[str, Any]]:
    """Margins to a score."""
    some: Sequence[tuple[list[float], float]] = (
        ([0.0] * 24, 40.0),
        ([0.0] * 24, 0.0),
        ([1.5] + [0.0] * 23, 39.0),
        ([1.5] + [0.0] * 23, 10.7),
        ([0.42], 3.0),
        ([0.12] * 24, 100.0),
        ([9.0] + [0.0] * 99, 200.0),
        ([0.01] * 1000, 1900.0),
        ([], 0.0),
    )
    for margins, information in some:
        yield {
            "margins": margins,
            "information": information,
            "score": seedlock.score(margins, information),
        }


def written(seed: bytes, hotkey: bytes) -> dict[str, str]:
    """The lock in hex."""
    return {"seed": seed.hex(), "hotkey": hotkey.hex()}


def vectors() -> dict[str, Any]:
    """Return the whole file."""
    return {
        "about": ABOUT,
        "noise": list(noises()),
        "choices": list(choices()),
        "scores": list(scores()),
    }


def main() -> None:
    """Write it: a case a line."""
    parts = []
    for name, value in vectors().items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            parts.append(f' "{name}": [\n{rows}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(value)}')
    PATH.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
