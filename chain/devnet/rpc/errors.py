"""What a JSON-RPC error object says: the codes of the specification and those of Substrate."""

from __future__ import annotations

from chain.devnet.clock import TimestampInThePast, TimestampTooLarge
from chain.devnet.database import DatabaseUnusable
from chain.devnet.pool import AlreadyImported, PoolFull, PriorityTooLow
from chain.devnet.store import StateDiscarded, UnknownBlock, UnknownSnapshot
from chain.errors import (
    ChainError,
    InvalidTransaction,
    ModuleError,
    NeedsRealRuntime,
    ScaleError,
    UnknownApi,
)

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "OVERSIZED_REQUEST",
    "OVERSIZED_RESPONSE",
    "PARSE_ERROR",
    "SERVER_ERROR",
    "SERVER_IS_BUSY",
    "TOO_BIG_BATCH_REQUEST",
    "TOO_BIG_BATCH_RESPONSE",
    "TOO_MANY_SUBSCRIPTIONS",
    "RpcError",
    "explain",
    "explain_submission",
]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000

# What real nodes answer where a limit is passed.
TOO_MANY_SUBSCRIPTIONS = -32006
OVERSIZED_REQUEST = -32007
OVERSIZED_RESPONSE = -32008
SERVER_IS_BUSY = -32009
TOO_BIG_BATCH_REQUEST = -32010
TOO_BIG_BATCH_RESPONSE = -32011

BAD_FORMAT = 1001
INVALID_TRANSACTION = 1010
UNKNOWN_VALIDITY = 1011
ALREADY_IMPORTED = 1013
TOO_LOW_PRIORITY = 1014
IMMEDIATELY_DROPPED = 1016
CLIENT_ERROR = 4003

# The texts clients match on, word for word as sp-runtime has them.
_INVALID = {
    "Call": "Transaction call is not expected",
    "Payment": "Inability to pay some fees (e.g. account balance too low)",
    "Future": "Transaction will be valid in the future",
    "Stale": "Transaction is outdated",
    "BadProof": "Transaction has a bad signature",
    "AncientBirthBlock": "Transaction has an ancient birth block",
    "ExhaustsResources": "Transaction would exhaust the block limits",
    "BadMandatory": "A call was labelled as mandatory, but resulted in an Error.",
    "MandatoryValidation": (
        "Transaction dispatch is mandatory; transactions must not be validated."
    ),
    "BadSigner": "Invalid signing address",
}
_UNKNOWN = {
    "CannotLookup": "Could not lookup information required to validate the transaction",
    "NoUnsignedValidator": "Could not find an unsigned validator for the unsigned transaction",
}


class RpcError(ChainError):
    """An error object: `code`, `message` and optional `data`."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def explain(error: ChainError) -> RpcError:
    """The error object for what went wrong anywhere below the handlers."""
    match error:
        case RpcError():
            return error
        case UnknownBlock() | StateDiscarded():
            return RpcError(CLIENT_ERROR, f"Client error: UnknownBlock: {error}")
        case UnknownApi():
            return RpcError(CLIENT_ERROR, f"Client error: Execution failed: {error}")
        case TimestampInThePast() | TimestampTooLarge() | UnknownSnapshot():
            return RpcError(INVALID_PARAMS, str(error))
        case DatabaseUnusable() | ModuleError():
            return RpcError(SERVER_ERROR, str(error))
        case _:
            return RpcError(SERVER_ERROR, f"{type(error).__name__}: {error}")


def explain_submission(error: ChainError) -> RpcError:
    """The error object for an extrinsic the pool did not take."""
    match error:
        case InvalidTransaction(kind=kind) if kind in _UNKNOWN:
            return RpcError(UNKNOWN_VALIDITY, "Unknown Transaction Validity", _UNKNOWN[kind])
        case NeedsRealRuntime():
            return RpcError(INVALID_TRANSACTION, "Invalid Transaction", str(error))
        case InvalidTransaction(kind=kind, custom=custom):
            data = f"Custom error: {custom}" if kind == "Custom" else _INVALID.get(kind, kind)
            return RpcError(INVALID_TRANSACTION, "Invalid Transaction", data)
        case AlreadyImported():
            return RpcError(ALREADY_IMPORTED, str(error), f"0x{error.extrinsic_hash.hex()}")
        case PriorityTooLow():
            return RpcError(
                TOO_LOW_PRIORITY,
                str(error),
                "The transaction has too low priority to replace another transaction already in "
                "the pool.",
            )
        case PoolFull():
            return RpcError(
                IMMEDIATELY_DROPPED,
                "Immediately Dropped",
                f"The transaction couldn't enter the pool because of the limit: {error.limit}",
            )
        case ScaleError():
            return RpcError(BAD_FORMAT, f"Extrinsic has invalid format: {error}")
        case _:
            return explain(error)
