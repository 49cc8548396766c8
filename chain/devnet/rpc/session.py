"""One caller: its subscriptions, and what reaches a handler besides the parameters.

Transport-blind: a session hands finished texts to `push` and knows nothing of sockets.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass

from chain.devnet.node import Node
from chain.devnet.rpc.errors import SERVER_ERROR, TOO_MANY_SUBSCRIPTIONS, RpcError

__all__ = ["Context", "Session", "Subscription", "unsubscribe"]

SUBSCRIPTIONS_A_SESSION = 1024

_ids = itertools.count(1)


class Subscription:
    """A stream of notifications. Held back until the caller has been told its id."""

    def __init__(self, session: Session, method: str) -> None:
        self.id = f"0x{next(_ids):032x}"  # as nodes with an Ethereum side name theirs
        self.closed = False
        self._session = session
        self._method = method
        self._held: list[str] | None = []
        self._on_close: Callable[[], None] | None = None

    def send(self, result: object) -> None:
        """Notify the caller of `result`."""
        if self.closed:
            return
        params = {"subscription": self.id, "result": result}
        text = json.dumps(
            {"jsonrpc": "2.0", "method": self._method, "params": params}, separators=(",", ":")
        )
        if self._held is None:
            self._session.push(text)
        else:
            self._held.append(text)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the stream ends, from either side."""
        self._on_close = callback

    def release(self) -> None:
        """The caller knows the id: send what was held back, and hold back no more."""
        held, self._held = self._held or [], None
        for text in held:
            self._session.push(text)

    def close(self) -> None:
        """End the stream."""
        if not self.closed:
            self.closed = True
            self._session.forget(self)
            if self._on_close is not None:
                self._on_close()


class Session:
    """The subscriptions of one connection. `push(text)` must not block."""

    def __init__(self, push: Callable[[str], None]) -> None:
        self.push = push
        self._subscriptions: dict[str, Subscription] = {}
        self._fresh: list[Subscription] = []

    def subscribe(self, method: str) -> Subscription:
        """A new stream of `method` notifications. RpcError when there are too many."""
        if len(self._subscriptions) >= SUBSCRIPTIONS_A_SESSION:
            raise RpcError(
                TOO_MANY_SUBSCRIPTIONS,
                "Too many subscriptions on the connection",
                f"Exceeded max limit of {SUBSCRIPTIONS_A_SESSION}",
            )
        subscription = Subscription(self, method)
        self._subscriptions[subscription.id] = subscription
        self._fresh.append(subscription)
        return subscription

    def unsubscribe(self, subscription_id: str) -> bool:
        """End a stream; False if there is none of this id."""
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None:
            return False
        subscription.close()
        return True

    def release(self) -> None:
        """The answers so far are on their way: let new subscriptions speak."""
        fresh, self._fresh = self._fresh, []
        for subscription in fresh:
            subscription.release()

    def forget(self, subscription: Subscription) -> None:
        """Drop a closed stream."""
        self._subscriptions.pop(subscription.id, None)

    def close(self) -> None:
        """End all streams."""
        for subscription in list(self._subscriptions.values()):
            subscription.close()


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler works on, and for whom.

    `session` is None where notifications cannot be sent (HTTP); `may_control` says whether the
    caller may use control methods.
    """

    node: Node
    session: Session | None
    may_control: bool

    def subscribe(self, method: str) -> Subscription:
        """A new stream of `method` notifications."""
        return self._needed_session().subscribe(method)

    def unsubscribe(self, subscription_id: str) -> bool:
        """End a stream of this connection."""
        return self._needed_session().unsubscribe(subscription_id)

    def _needed_session(self) -> Session:
        if self.session is None:
            raise RpcError(SERVER_ERROR, "subscriptions need a WebSocket connection")
        return self.session


async def unsubscribe(ctx: Context, subscription: str) -> bool:
    """End a subscription of any kind; false if there is none of this id.

    Params: ["0x00000000000000000000000000000001"].
    """
    return ctx.unsubscribe(subscription)
