"""What a subnet has decided about itself: its hyperparameters and when its epochs run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Hyperparameters", "Schedule"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The settings that miners and validators act on; counts of blocks unless said otherwise."""

    tempo: int
    weights_rate_limit: int
    commit_reveal_weights_enabled: bool
    reveal_period_epochs: int
    min_allowed_weights: int
    weights_version: int
    max_validators: int
    immunity_period: int
    serving_rate_limit: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When epochs run. `next_block` is None for a tempo of 0, which never runs one.

    The chain's rule is stateful, not modular: an epoch runs when `tempo` blocks have passed since
    the last one, or at a block that was asked for before that.
    """

    block: int
    tempo: int
    epochs: int
    last_block: int
    next_block: int | None
