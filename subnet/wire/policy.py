"""Who may ask: authenticated is not authorised.

A policy is fed with what the chain says about hotkeys and decides from memory; it never asks the
chain itself. Stakes are integers in the subnet's alpha (1e9 to the whole).
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


class Verdict(enum.StrEnum):
    """What a policy says of a caller; the value is the code a refused caller reads."""

    ADMITTED = "admitted"
    NOT_LOADED = "metagraph_not_loaded"
    """Nothing is known yet: the caller should come back, not give up."""
    DENIED = "denied"
    NOT_REGISTERED = "not_registered"
    NO_PERMIT = "no_permit"
    LOW_STAKE = "stake_too_low"


_MESSAGES = {
    Verdict.ADMITTED: "",
    Verdict.NOT_LOADED: "metagraph not loaded: this miner does not know its callers yet",
    Verdict.DENIED: "this caller is not served here",
    Verdict.NOT_REGISTERED: "the caller is not registered on this subnet",
    Verdict.NO_PERMIT: "the caller has no validator permit",
    Verdict.LOW_STAKE: "the caller's stake is below this miner's minimum",
}


@dataclass(frozen=True, slots=True)
class Admission:
    """A policy's decision about one caller."""

    verdict: Verdict

    @property
    def allowed(self) -> bool:
        """Whether the caller may ask."""
        return self.verdict is Verdict.ADMITTED

    @property
    def message(self) -> str:
        """The reason, fit for the caller; empty when admitted."""
        return _MESSAGES[self.verdict]


class Freshness(enum.StrEnum):
    """How far a policy's knowledge of the chain can be relied on."""

    NONE = "none"
    FRESH = "fresh"
    STALE = "stale"


class Policy(Protocol):
    """Decides from memory, at once."""

    def decide(self, hotkey: str) -> Admission:
        """Whether `hotkey` (ss58) may ask. Called before its signature is checked."""

    @property
    def freshness(self) -> Freshness:
        """For the health page; a stale policy still decides."""


class PermitPolicy:
    """Serves callers with a validator permit and at least `min_stake` alpha (1e9 to the whole).

    `allow` (when given) and `deny` only narrow: no list lets in a caller without permit or stake.
    A snapshot older than `max_age_s` is stale and still decides: a miner goes on serving the
    validators it knew when its chain connection is away. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        min_stake: int,
        *,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        max_age_s: float = 1200.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._min_stake = min_stake
        self._allow = None if allow is None else frozenset(allow)
        self._deny = frozenset(deny)
        self._max_age_s = max_age_s
        self._clock = clock
        self._neurons: dict[str, tuple[int, bool]] = {}
        self._updated: float | None = None

    def update(self, neurons: Mapping[str, tuple[int, bool]]) -> None:
        """Replace what is known: hotkey (ss58) to its stake in alpha and its validator permit."""
        self._neurons = {
            hotkey: (int(stake), permit) for hotkey, (stake, permit) in neurons.items()
        }
        self._updated = self._clock()

    def decide(self, hotkey: str) -> Admission:
        """Whether `hotkey` may ask, by the latest snapshot."""
        return Admission(self._judge(hotkey))

    def _judge(self, hotkey: str) -> Verdict:
        if hotkey in self._deny or (self._allow is not None and hotkey not in self._allow):
            return Verdict.DENIED
        if self._updated is None:
            return Verdict.NOT_LOADED
        known = self._neurons.get(hotkey)
        if known is None:
            return Verdict.NOT_REGISTERED
        stake, permit = known
        if not permit:
            return Verdict.NO_PERMIT
        return Verdict.ADMITTED if stake >= self._min_stake else Verdict.LOW_STAKE

    @property
    def age_s(self) -> float | None:
        """Seconds since the last update; None before the first."""
        return None if self._updated is None else self._clock() - self._updated

    @property
    def freshness(self) -> Freshness:
        """NONE before the first update, STALE when the last one is too long ago."""
        age = self.age_s
        if age is None:
            return Freshness.NONE
        return Freshness.FRESH if age <= self._max_age_s else Freshness.STALE


class AnyPolicy:
    """A weakening: serves every hotkey that can sign. For tests and closed networks."""

    def decide(self, hotkey: str) -> Admission:
        """Always admitted."""
        return Admission(Verdict.ADMITTED)

    @property
    def freshness(self) -> Freshness:
        """Always FRESH: it knows nothing that could age."""
        return Freshness.FRESH
