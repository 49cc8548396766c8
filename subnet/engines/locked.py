"""The seed lock on rows of logits, for libraries that sample by themselves.

A locked row is left with one token to choose from, so whatever samples after it, greedily or not,
takes that one. Uses tensors without importing torch: servers load this beside a model, with no more
of this package installed than numpy needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scoring.verify import seedlock
from scoring.verify.steps import LEAST_TEMPERATURE

if TYPE_CHECKING:
    import torch

PREFIX = "seedlock_"
"""Of every argument of a request that is about the lock."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What fixes one answer. Raises ValueError for what nobody can be locked to."""

    seed: bytes
    hotkey: bytes
    """The public key, 32 bytes on Bittensor."""
    temperature: float
    top_p: float = 1.0
    top_k: int = seedlock.TOP

    def __post_init__(self) -> None:
        if not (self.seed and self.hotkey):
            raise ValueError("a lock has a seed and a hotkey")
        if not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}, not {LEAST_TEMPERATURE} or more")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if not 1 <= self.top_k <= seedlock.TOP:
            raise ValueError(f"top_k is {self.top_k}; it must be in 1..{seedlock.TOP}")

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any] | None) -> Lock | None:
        """Return the lock in a request's extra arguments; None if not one of them is about it.

        Raises ValueError for a lock that is incomplete or malformed, never for other arguments.
        """
        given = {name: value for name, value in (arguments or {}).items() if _is_ours(name)}
        if not given:
            return None
        names = {"seed", "hotkey", "temperature", "top_p", "top_k"}
        unknown = sorted(given.keys() - {PREFIX + name for name in names})
        if unknown:
            raise ValueError(f"{unknown[0]} is not an argument of the seed lock")
        try:
            return cls(
                bytes.fromhex(given[PREFIX + "seed"]),
                bytes.fromhex(given[PREFIX + "hotkey"]),
                float(given[PREFIX + "temperature"]),
                float(given.get(PREFIX + "top_p", 1.0)),
                _whole(given.get(PREFIX + "top_k", seedlock.TOP)),
            )
        except KeyError as error:
            raise ValueError(f"a seed lock needs {error.args[0]}") from None
        except (TypeError, OverflowError) as error:
            raise ValueError(f"malformed seed lock: {error}") from None

    def arguments(self) -> dict[str, str | float | int]:
        """Return the lock as a request's extra arguments, flat as vLLM's HTTP takes them."""
        return {
            PREFIX + "seed": self.seed.hex(),
            PREFIX + "hotkey": self.hotkey.hex(),
            PREFIX + "temperature": self.temperature,
            PREFIX + "top_p": self.top_p,
            PREFIX + "top_k": self.top_k,
        }

    def choose(self, position: int, ids: NDArray[np.int64], logits: NDArray[np.float64]) -> int:
        """Return the token prescribed at `position`: see `seedlock.choose`."""
        lock = (self.seed, self.hotkey, position, self.temperature)
        return seedlock.choose(ids, logits, *lock, top_p=self.top_p, top_k=self.top_k)


def lock_rows(logits: torch.Tensor, wanted: Sequence[tuple[int, int, Lock]]) -> None:
    """Leave in each wanted row only the token that its lock prescribes, at 0; all others at -inf.

    `logits` is (n, vocabulary), changed in place. `wanted` names rows, each with the position in
    its answer and its lock. A row that was locked before stays as it is. So does one whose largest
    value is not finite: it is no distribution.
    """
    if not wanted:
        return
    rows = [row for row, _, _ in wanted]
    taken = logits[rows].float()
    # One more than can be chosen from, to see whether the last place is shared.
    values, ids = taken.topk(min(seedlock.TOP + 1, taken.shape[-1]))
    numbers, tokens = values.double().cpu().numpy(), ids.cpu().numpy()
    locked, chosen = [], []
    for at, (row, position, lock) in enumerate(wanted):
        found, names = numbers[at], tokens[at]
        if not math.isfinite(found[0]) or (found[1:2] == -math.inf).any():
            continue
        last = found[min(lock.top_k, found.size) - 1]
        if math.isfinite(last) and (found[lock.top_k :] == last).any():
            # topk takes any of equals; the protocol takes the lower ids.
            tied = (taken[at] >= float(last)).nonzero().flatten()
            found, names = taken[at][tied].double().cpu().numpy(), tied.cpu().numpy()
        locked.append(row)
        chosen.append(lock.choose(position, names, found))
    if locked:
        logits[locked] = -math.inf
        logits[locked, chosen] = 0.0


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith(PREFIX)


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value} is no whole number")
    return number
