"""What a model server says, checked: shapes, token ids and log-probabilities that make sense."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from subnet.engines.base import TOP, Step
from subnet.errors import EngineAway

Entries: TypeAlias = "list[tuple[int, object]]"
"""Token ids and what the server says are their log-probabilities."""

ROUNDING = 1e-3
"""Nats: of a log-probability that was a float32, and of a margin made from two of them."""

UNKNOWN = 1 << 31
"""More than any vocabulary has."""


def field(answer: object, name: str, kind: type[Any]) -> Any:
    """Return what an answer has under a name. Raises EngineAway if that is not of a kind."""
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EngineAway(f"its answer has no {name}")
    return value


def token_ids(values: list[object]) -> list[int]:
    """Return the values if each is a token id. Raises EngineAway if not."""
    ids = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(ids) != len(values) or any(not 0 <= token < UNKNOWN for token in ids):
        raise EngineAway("it sent a token id that is none")
    return ids


def step_of(token: int, entries: Entries, count: int = TOP) -> Step:
    """Return the step of `token` from its own entry and those of the `count` likeliest.

    Raises EngineAway unless they are the log-probabilities of different tokens, which together
    are no more than certain. (vLLM writes -9999 for minus infinity.)
    """
    ids = np.array([one for one, _ in entries], dtype=np.int64)
    values = np.array([_number(value) for _, value in entries], dtype=np.float64)
    own = values[ids == token]
    if own.size != 1 or np.unique(ids).size != ids.size or not np.isfinite(values).all():
        raise EngineAway(f"the log-probabilities of token {token} make no sense")
    if np.logaddexp.reduce(values) > ROUNDING:
        raise EngineAway("its log-probabilities are more than certain")
    if ids.size < count:
        raise EngineAway(f"asked for the {count} likeliest tokens, it sent {ids.size}")
    order = np.argsort(-values, kind="stable")[:count]
    return Step(token, float(own[0]), ids[order], values[order])


def _number(value: object) -> float:
    if not isinstance(value, float | int) or isinstance(value, bool):
        return math.nan
    return float(value) if abs(value) < 1e9 else math.nan
