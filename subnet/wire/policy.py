"""Who may ask: authenticated is not authorised.

A policy is fed with what the chain says about hotkeys and decides from memory; it never asks the
chain itself. As its knowledge grows old it serves fewer, step by step: see `Freshness`. Stakes are
integers in the subnet's alpha (1e9 to the whole).
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
    TOO_OLD = "metagraph_too_old"
    """What is known is too old to let anybody in."""
    NOT_KNOWN = "known_callers_only"
    """What is known is so old that only those who have asked before are served."""
    DENIED = "denied"
    NOT_REGISTERED = "not_registered"
    NO_PERMIT = "no_permit"
    LOW_STAKE = "stake_too_low"


_MESSAGES = {
    Verdict.ADMITTED: "",
    Verdict.NOT_LOADED: "metagraph not loaded: this miner does not know its callers yet",
    Verdict.TOO_OLD: "this miner has not seen the chain for too long to know its callers",
    Verdict.NOT_KNOWN: "this miner has lost the chain and serves only callers it knows",
    Verdict.DENIED: "this caller is not served here",
    Verdict.NOT_REGISTERED: "the caller is not registered on this subnet",
    Verdict.NO_PERMIT: "the caller has no validator permit",
    Verdict.LOW_STAKE: "the caller's stake is below this miner's minimum",
}
_NOT_NOW = frozenset({Verdict.NOT_LOADED, Verdict.TOO_OLD, Verdict.NOT_KNOWN})


@dataclass(frozen=True, slots=True)
class Admission:
    """A policy's decision about one caller, and the caller's stake: more of it, served sooner."""

    verdict: Verdict
    stake: int = 0

    @property
    def allowed(self) -> bool:
        """Whether the caller may ask."""
        return self.verdict is Verdict.ADMITTED

    @property
    def status(self) -> int:
        """The HTTP status of a refusal: 503 where the miner lacks knowledge, 403 otherwise."""
        return 503 if self.verdict in _NOT_NOW else 403

    @property
    def message(self) -> str:
        """The reason, fit for the caller; empty when admitted."""
        return _MESSAGES[self.verdict]


class Freshness(enum.StrEnum):
    """How far a policy's knowledge of the chain can be relied on."""

    NONE = "none"
    """Nothing is known yet; nobody is served."""
    FRESH = "fresh"
    DEGRADED = "degraded"
    """Old, and still decides."""
    KNOWN_ONLY = "known_callers_only"
    """So old that only callers who asked before are served."""
    CLOSED = "closed"
    """Too old; nobody is served."""


@dataclass(frozen=True, slots=True)
class Ages:
    """From which age of the snapshot on, in seconds, a policy trusts it less."""

    degraded_s: float = 300.0
    known_only_s: float = 3600.0
    closed_s: float = 21600.0

    def __post_init__(self) -> None:
        if not 0 < self.degraded_s <= self.known_only_s <= self.closed_s:
            raise ValueError("the ages must not fall: degraded, known callers only, closed")


class Policy(Protocol):
    """Decides from memory, at once."""

    def decide(self, hotkey: str) -> Admission:
        """Whether `hotkey` (ss58) may ask. Called before its signature is checked."""

    @property
    def freshness(self) -> Freshness:
        """For the health page and the log."""


class PermitPolicy:
    """Serves callers with a validator permit and at least `min_stake` alpha (1e9 to the whole).

    `allow` (when given) and `deny` only narrow: no list lets in a caller without permit or stake.
    `ages` say how long a snapshot is trusted, and how far. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        min_stake: int,
        *,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        ages: Ages | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._min_stake = min_stake
        self._allow = None if allow is None else frozenset(allow)
        self._deny = frozenset(deny)
        self._ages = ages or Ages()
        self._clock = clock
        self._neurons: dict[str, tuple[int, bool]] = {}
        self._known: set[str] = set()
        self._updated: float | None = None

    def update(self, neurons: Mapping[str, tuple[int, bool]], *, age_s: float = 0.0) -> None:
        """Replace what is known: hotkey (ss58) to its stake in alpha and its validator permit.

        `age_s` is how old the knowledge is already.
        """
        self._neurons = {
            hotkey: (int(stake), permit) for hotkey, (stake, permit) in neurons.items()
        }
        self._known &= self._neurons.keys()
        self._updated = self._clock() - age_s

    def learn(self, known: Collection[str]) -> None:
        """Know these callers: another process of this miner has served them."""
        self._known.update(known)

    def decide(self, hotkey: str) -> Admission:
        """Whether `hotkey` may ask, by the latest snapshot and its age."""
        if hotkey in self._deny or (self._allow is not None and hotkey not in self._allow):
            return Admission(Verdict.DENIED)
        freshness = self.freshness
        if freshness is Freshness.NONE:
            return Admission(Verdict.NOT_LOADED)
        if freshness is Freshness.CLOSED:
            return Admission(Verdict.TOO_OLD)
        known = self._neurons.get(hotkey)
        if known is None:
            return Admission(Verdict.NOT_REGISTERED)
        stake, permit = known
        if not permit:
            return Admission(Verdict.NO_PERMIT, stake)
        if stake < self._min_stake:
            return Admission(Verdict.LOW_STAKE, stake)
        if freshness is Freshness.KNOWN_ONLY:
            known_caller = hotkey in self._known
            return Admission(Verdict.ADMITTED if known_caller else Verdict.NOT_KNOWN, stake)
        # Its signature is not checked yet. Whoever names another's hotkey makes that one known,
        # which helps nobody but its holder, who is admitted anyway.
        self._known.add(hotkey)
        return Admission(Verdict.ADMITTED, stake)

    @property
    def neurons(self) -> Mapping[str, tuple[int, bool]]:
        """The latest snapshot."""
        return self._neurons

    @property
    def known(self) -> Collection[str]:
        """The callers that asked while the snapshot was young enough to admit them."""
        return self._known

    @property
    def age_s(self) -> float | None:
        """Seconds since the last update; None before the first."""
        return None if self._updated is None else self._clock() - self._updated

    @property
    def freshness(self) -> Freshness:
        """NONE before the first update, then by the snapshot's age."""
        age, ages = self.age_s, self._ages
        if age is None:
            return Freshness.NONE
        if age < ages.degraded_s:
            return Freshness.FRESH
        if age < ages.known_only_s:
            return Freshness.DEGRADED
        return Freshness.KNOWN_ONLY if age < ages.closed_s else Freshness.CLOSED


class AnyPolicy:
    """A weakening: serves every hotkey that can sign. For tests and closed networks."""

    def decide(self, hotkey: str) -> Admission:
        """Always admitted."""
        return Admission(Verdict.ADMITTED)

    @property
    def freshness(self) -> Freshness:
        """Always FRESH: it knows nothing that could age."""
        return Freshness.FRESH
