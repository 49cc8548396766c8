"""What the time of an answer is worth: everything within the limit, nothing after it.

One wide bin on purpose: were faster worth more, miners would be paid for standing next to the
validator and for serving a smaller model.
"""

from __future__ import annotations


def latency(seconds: float, limit: float = 30.0) -> float:
    """Return 1.0 if an answer took at most `limit` seconds, else 0.0; negative or NaN is 0.0."""
    return 1.0 if 0.0 <= seconds <= limit else 0.0
