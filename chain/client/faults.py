"""The SDK's errors in our words, in one place: the chain said no, or the chain was away.

The SDK raises its ChainError for both, and reports failed extrinsics in a result. A lost
connection inside an extrinsic reaches us as a ChainError whose only mark is its text or cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chain.errors import ChainAway, ChainError, ChainRefused

__all__ = ["EXPIRED", "refusal", "translated"]

EXPIRED = "Expired"
"""Our name for a shielded call that was not opened within its eight blocks; the SDK has none."""

# Texts of the SDK's transport for a connection that ended while something was under way.
_AWAY = (
    "connection lost",
    "connection dropped",
    "connection closed",
    "rpc session closed",
    "extrinsic watch for",
    "block subscription ended",
    "could not connect",
)

_UNKNOWN = ("Dropped", "FinalityTimeout", "Retracted")
"""An extrinsic that is watched no more and may land all the same: the block with it lost to another
and it is in the pool again, finality is late, or one node of many has no room for it."""

# The SDK refuses some weights before sending them, with a code instead of the chain's name.
_PREFLIGHT_NAMES = {
    "not_registered": "HotKeyNotRegisteredInSubNet",
    "rate_limited": "SettingWeightsTooFast",
}


@contextmanager
def translated(endpoint: str) -> Iterator[None]:
    """Raise ChainAway or ChainRefused for whatever the SDK raises inside."""
    from bittensor import BittensorError, ConnectionNotReady, RpcConnectionError
    from bittensor import ChainError as SdkChainError

    try:
        yield
    except (RpcConnectionError, ConnectionNotReady, OSError, TimeoutError) as error:
        raise ChainAway(endpoint, _reason(error)) from error
    except SdkChainError as error:
        raise refusal(endpoint, error) from error
    except BittensorError as error:
        raise ChainRefused("InvalidRequest", str(error)) from error


def refusal(endpoint: str, error: Any) -> ChainError:
    """An SDK ChainError as ours: ChainAway when the chain gave no answer, else ChainRefused."""
    text = str(error)
    lowered = text.lower()
    silent = isinstance(error.__cause__, OSError | TimeoutError) or lowered.startswith(_AWAY)
    if silent or error.name in _UNKNOWN:
        return ChainAway(endpoint, _reason(error))
    if "before its era expired" in lowered:
        return ChainRefused(EXPIRED, text)
    code = str(getattr(error.code, "value", error.code))
    return ChainRefused(error.name or _PREFLIGHT_NAMES.get(code, code), text)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if not text and isinstance(error, TimeoutError):
        return "no answer in time"
    return text or type(error).__name__
