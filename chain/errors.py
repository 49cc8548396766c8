"""Everything that can go wrong around the chain, as one tree.

    ChainError
    +-- ChainAway            the chain did not answer: try again later, or elsewhere
    +-- ChainRefused         the chain answered no: do not repeat the same request
    +-- ScaleError           bytes that are not what their type says
    +-- DispatchError        a call was refused while it ran
    |   +-- ModuleError      ... by a rule of a pallet (one subclass a rule)
    |   +-- BadOrigin        ... because of who called
    |   +-- TokenError, ArithmeticFault, CallFiltered are spelled as the chain spells them
    +-- InvalidTransaction   an extrinsic that must not enter the pool or a block
    |   +-- NeedsRealRuntime ... because of a call that this runtime does not have
    +-- UnknownApi           a runtime API that this runtime does not have

A refusal (ChainRefused, DispatchError, InvalidTransaction) is an answer.
ChainAway is the absence of one; no class is both.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadOrigin",
    "ChainAway",
    "ChainError",
    "ChainRefused",
    "DispatchError",
    "InvalidTransaction",
    "ModuleError",
    "NeedsRealRuntime",
    "OtherError",
    "ScaleError",
    "TokenError",
    "UnknownApi",
]


class ChainError(Exception):
    """Base of all errors around the chain."""


class ChainAway(ChainError):
    """The chain could not be reached or stopped answering."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint} is away: {reason}")
        self.endpoint = endpoint
        self.reason = reason


class ChainRefused(ChainError):
    """The chain said no. `name` is the chain's own word for the rule, if it gave one."""

    def __init__(self, name: str, message: str, code: int | None = None) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name
        self.message = message
        self.code = code


class ScaleError(ChainError, ValueError):
    """Bytes or values that do not fit their SCALE type."""


class DispatchError(ChainError):
    """A call ran and was refused; all it wrote is dropped."""

    docs: ClassVar[str] = ""


class ModuleError(DispatchError):
    """A rule of one pallet. Subclasses are made by `Pallet.error`, one for each rule."""

    pallet: ClassVar[str]
    pallet_index: ClassVar[int]
    name: ClassVar[str]
    index: ClassVar[int]

    def __str__(self) -> str:
        return f"{self.pallet}.{self.name}"


class BadOrigin(DispatchError):
    """The caller may not make this call."""


class OtherError(DispatchError):
    """A refusal without a name of its own."""


class TokenError(DispatchError):
    """A balance operation that the token rules forbid; `kind` is the chain's variant name."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class InvalidTransaction(ChainError):
    """An extrinsic the pool or a block must not take.

    `kind` is the chain's variant name: Call, Payment, Future, Stale, BadProof, AncientBirthBlock,
    ExhaustsResources, Custom, BadMandatory, MandatoryValidation, BadSigner. `custom` is the code
    of Custom.
    """

    def __init__(self, kind: str, custom: int | None = None) -> None:
        super().__init__(f"Custom error: {custom}" if custom is not None else kind)
        self.kind = kind
        self.custom = custom


class NeedsRealRuntime(InvalidTransaction):
    """An extrinsic with a call that only a real runtime has: it is known here, and refused."""

    def __init__(self, call: str) -> None:
        super().__init__("Call")
        self.args = (f"{call} needs the real-runtime engine: the Python runtime does not have it",)
        self.call = call


class UnknownApi(ChainError):
    """A runtime API method that the runtime does not export."""

    def __init__(self, method: str) -> None:
        super().__init__(f"Exported method {method} is not found")
        self.method = method
