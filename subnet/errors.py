"""The errors of the framework, drawn as a tree: one class per thing a caller would do differently.

    SubnetError
    ├── SettingsError            fix the file, the environment or the flag
    │   ├── UnknownSetting
    │   └── InvalidSetting
    ├── DefinitionError          fix the subnet's definition, or the name it is loaded by
    ├── WalletError              create the key, or name another
    ├── NotRegistered            buy a seat, or wait for it
    ├── PortTaken                free the port, or take another
    ├── ProcessDied              read its log
    ├── StateError               repair or move the state folder
    ├── WeightsNotLanded         find out why the chain does not take this validator's weights
    ├── LeaseLost                start again, and wait: another instance leads
    ├── ModelError
    │   ├── ModelMissing         fetch it
    │   ├── ModelUnreadable      let this user read it, or name another cache
    │   ├── ModelMismatch        never use this file
    │   └── ModelFetchFailed     try again, or bring the file yourself
    ├── EngineError
    │   ├── EngineRefused        the request is wrong: do not repeat it
    │   ├── EngineBusy           too many wait already: ask again later
    │   ├── EngineAway           the engine died or hangs: open it again
    │   └── Unsupported          ask another kind of engine
    ├── RequestRefused           what an axon answers instead of an answer
    ├── Declined                 a miner chose not to answer this challenge
    └── MissingExtra             install the extra

Errors carry their facts as attributes; the text is made from them and ends with the next step.
The chain and scoring have trees of their own; exit codes are given in the command line.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Self


class SubnetError(Exception):
    """Anything this framework refuses or cannot do; a bug is never one of these."""


class SettingsError(SubnetError):
    """A setting cannot be used as given."""


@dataclass(eq=False)
class UnknownSetting(SettingsError):
    """`name`, found in `source`, is no setting; `suggestion` is the nearest one there is."""

    name: str
    source: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"unknown setting {self.name} in {self.source}{hint}"


@dataclass(eq=False)
class InvalidSetting(SettingsError):
    """`name`, found in `source`, has a value that cannot be used."""

    name: str
    source: str
    problem: str

    def __str__(self) -> str:
        return f"setting {self.name} in {self.source}: {self.problem}"


@dataclass(eq=False)
class DefinitionError(SubnetError):
    """The subnet definition `name` ("package.module:Subnet") cannot be loaded or is incomplete."""

    name: str
    problem: str

    def __str__(self) -> str:
        return f"subnet definition {self.name}: {self.problem}"


@dataclass(eq=False)
class WalletError(SubnetError):
    """A key file is missing, unreadable or of the wrong kind."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"wallet file {self.path}: {self.problem}"


@dataclass(eq=False)
class NotRegistered(SubnetError):
    """`hotkey` (ss58) has no seat on `netuid`; `command` buys one."""

    hotkey: str
    netuid: int
    command: str

    def __str__(self) -> str:
        return f"{self.hotkey} is not registered on netuid {self.netuid}; run: {self.command}"


@dataclass(eq=False)
class PortTaken(SubnetError):
    """Something else listens on `host`:`port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port} is taken; stop what listens there or choose another port"


@dataclass(eq=False)
class ProcessDied(SubnetError):
    """The process `name` ended before the run did, with `code` (negative: a signal's number).

    `tail` are the last lines of its `log`.
    """

    name: str
    code: int
    log: Path
    tail: str

    def __str__(self) -> str:
        how = f"by signal {-self.code}" if self.code < 0 else f"with exit code {self.code}"
        return f"{self.name} ended {how}; its log {self.log} ends: {self.tail or '(empty)'}"


@dataclass(eq=False)
class StateError(SubnetError):
    """What a process remembers at `path` cannot be used: locked, damaged, or of a newer version."""

    path: Path
    problem: str

    @classmethod
    def of(cls, path: Path, error: OSError) -> Self:
        """The operating system would not let us read or write `path`."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; make room and start again" if full else ""
        return cls(path, (error.strerror or str(error)) + advice)

    def __str__(self) -> str:
        return f"state at {self.path}: {self.problem}"


@dataclass(eq=False)
class WeightsNotLanded(SubnetError):
    """For `epochs` whole epochs the chain has not held what this validator meant to set."""

    epochs: int
    reason: str

    def __str__(self) -> str:
        return (
            f"no weights have landed for {self.epochs} epochs: "
            f"{self.reason or 'no round reached its weights'}; see: subnet status"
        )


@dataclass(eq=False)
class LeaseLost(SubnetError):
    """The lease at which instances of one validator take turns is another's, or cannot be seen."""

    problem: str

    def __str__(self) -> str:
        return f"this instance leads no more: {self.problem}"


class ModelError(SubnetError):
    """A model file cannot be had."""


@dataclass(eq=False)
class ModelMissing(ModelError):
    """No file with this hash lies in the cache; `command` brings it there."""

    sha256: str
    looked_in: Path
    command: str = "subnet model fetch"

    def __str__(self) -> str:
        return f"model {self.sha256[:16]}... is not in {self.looked_in}; run: {self.command}"


@dataclass(eq=False)
class ModelUnreadable(ModelError):
    """Whether there is a model at `path` cannot be seen."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"model file {self.path}: {self.problem}; SUBNET_CACHE_DIR names another cache"


@dataclass(eq=False)
class ModelMismatch(ModelError):
    """The file at `path` is not the model it should be."""

    path: Path
    expected: str
    actual: str

    def __str__(self) -> str:
        return (
            f"{self.path} has sha256 {self.actual[:16]}..., not {self.expected[:16]}...: "
            "it is another model or a damaged file"
        )


@dataclass(eq=False)
class ModelFetchFailed(ModelError):
    """The model could not be brought from `source`."""

    source: str
    problem: str
    command: str = "subnet model fetch"

    def __str__(self) -> str:
        return (
            f"cannot fetch the model from {self.source}: {self.problem}; "
            f"try again, or run: {self.command} --model FILE"
        )


class EngineError(SubnetError):
    """A model engine gave no result."""


@dataclass(eq=False)
class EngineRefused(EngineError):
    """The engine is well and will not do this: too long, no such token, an empty prompt."""

    problem: str

    def __str__(self) -> str:
        return f"the model engine refused: {self.problem}"


@dataclass(eq=False)
class EngineBusy(EngineError):
    """Nothing is wrong, but `waiting` callers wait already: come back later.

    `retry_after_s` is what a server asked for, where it did.
    """

    waiting: int
    retry_after_s: float | None = None

    def __str__(self) -> str:
        when = "" if self.retry_after_s is None else f"; ask again in {self.retry_after_s:g} s"
        return f"the model engine is busy: {self.waiting} callers wait already{when}"


@dataclass(eq=False)
class EngineAway(EngineError):
    """The engine did not start, died, or does not answer."""

    problem: str

    def __str__(self) -> str:
        return f"the model engine is away: {self.problem}"


@dataclass(eq=False)
class Unsupported(EngineError):
    """`engine` works and will never be able to do `what`: another kind of engine can."""

    engine: str
    what: str

    def __str__(self) -> str:
        return f"the {self.engine} engine cannot give {self.what}; use another engine for that"


@dataclass(eq=False)
class RequestRefused(SubnetError):
    """An axon's refusal: `status` (4xx, 5xx), a stable `code`, and a message fit for strangers."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


@dataclass(eq=False)
class Declined(SubnetError):
    """A miner's handler chose not to answer; the axon says 503 and the reason, signed."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class MissingExtra(SubnetError):
    """An optional dependency is not installed."""

    package: str
    extra: str

    def __str__(self) -> str:
        return f"{self.package} is not installed; run: pip install 'subnetkit[{self.extra}]'"
