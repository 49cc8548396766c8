"""Alerts: one HTTP POST to the operator's webhook. Bounded, retried, and never waited for.

The URL is a secret (whoever has it can post): it is in no log and in no error. The body is JSON
with a `text`, which is what chat systems show, and the facts beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from validators.background import Background

log = logging.getLogger(__name__)

QUEUE = 16
"""Alerts that wait at most."""
POST_S = 10.0
"""Longest wait for the webhook's answer."""
RETRY_S = (1.0, 5.0, 30.0)
"""Pauses before another try; then the alert is given up."""
CLOSE_S = 2.0
"""Time for what waits when the validator ends."""
LAST_S = 3.0
"""Time for the one alert of a process whose event loop may not run any more."""
HURRY_S = 0.5
"""Longest pause when there is so little time."""


class Alerts:
    """Says to the operator what must not wait; without a `url`, only the log hears of it."""

    def __init__(
        self,
        url: str | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        retry_s: tuple[float, ...] = RETRY_S,
    ) -> None:
        self._url = url
        self._facts = dict(facts or {})
        self._clock = clock
        self._retry_s = retry_s
        self._hurry = asyncio.Event()
        self._posts: Background[Mapping[str, Any]] = Background(
            "the webhook", self._post, most=QUEUE
        )
        self.sent = 0
        self.given_up = 0

    def tell(self, kind: str, text: str) -> None:
        """Log it as an error and post it; `kind` is a short stable code. Returns at once."""
        log.error("%s: %s", kind, text)
        if self._url is not None:
            self._posts.put(self._body(kind, text))

    def tell_last(self, kind: str, text: str) -> None:
        """As `tell`, from another thread than the event loop's, which need not run.

        Returns when it is posted, and after `LAST_S` seconds in any case.
        """
        body = self._body(kind, text)

        def post() -> None:
            if self._url is not None:
                asyncio.run(self._post_hastily(body))

        def say() -> None:
            log.error("%s: %s", kind, text)

        # In threads that can be left behind: to look up a name can take minutes, and a log whose
        # reader has stopped is never written.
        threads = [threading.Thread(target=work, daemon=True) for work in (say, post)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + LAST_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    async def close(self) -> None:
        """Post what waits, all of it at the same time, for a moment, and end."""
        self._hurry.set()
        # One that the webhook is slow with must not keep back the one that says how it ended.
        rest = [asyncio.create_task(self._post(body)) for body in self._posts.take()]
        closing = asyncio.create_task(self._posts.close(CLOSE_S))
        await asyncio.wait([closing, *rest], timeout=CLOSE_S)
        for task in rest:
            task.cancel()
        await asyncio.wait([closing, *rest])

    def _body(self, kind: str, text: str) -> Mapping[str, Any]:
        return {"kind": kind, "text": text, "time": self._clock(), **self._facts}

    async def _post(self, body: Mapping[str, Any]) -> None:
        for pause in (*self._retry_s, None):
            problem = await self._try(body)
            if problem is None:
                self.sent += 1
                return
            if pause is not None:
                await self._pause(pause)
        self.given_up += 1
        log.warning("the webhook did not take an alert: %s", problem)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        if self._hurry.is_set():
            await asyncio.sleep(min(seconds, HURRY_S))

    async def _post_hastily(self, body: Mapping[str, Any]) -> None:
        """On a loop of its own. Nothing is counted: the process ends."""
        while (problem := await self._try(body)) is not None:
            log.warning("the webhook did not take an alert: %s", problem)
            await asyncio.sleep(HURRY_S)

    async def _try(self, body: Mapping[str, Any]) -> str | None:
        """Why the webhook did not take it; never the URL, which aiohttp's own texts hold."""
        assert self._url is not None
        timeout = aiohttp.ClientTimeout(total=POST_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, json=body, allow_redirects=False) as answer,
            ):
                return None if answer.status < 300 else f"status {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return type(error).__name__
