"""Alerts reach a real HTTP server, are tried again, and never hold anybody up or tell the URL."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.patience import until
from validators.alerts import QUEUE, Alerts


@asynccontextmanager
async def served(take: Callable[[web.BaseRequest], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """The URL of a webhook that does `take` with each request."""
    runner = web.ServerRunner(web.Server(take, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook/s3cret"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def webhook(*statuses: int) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Answers with `statuses` in turn, the last one for ever."""
    got: list[dict[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        got.append(json.loads(await request.read()))
        return web.Response(status=statuses[min(len(got), len(statuses)) - 1])

    async with served(take) as url:
        yield url, got


async def test_an_alert_arrives_with_its_facts_after_a_failure() -> None:
    async with webhook(503, 200) as (url, got):
        alerts = Alerts(url, facts={"netuid": 2}, clock=lambda: 7.0, retry_s=(0.0,))
        alerts.tell("weights_not_landed", "no weights landed for 1 epochs")
        await until(lambda: alerts.sent)
        await alerts.close()
    assert len(got) == 2
    assert got[1] == {
        "kind": "weights_not_landed",
        "text": "no weights landed for 1 epochs",
        "time": 7.0,
        "netuid": 2,
    }


async def test_it_is_given_up_and_the_next_one_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    async with webhook(500, 500, 200) as (url, got):
        alerts = Alerts(url, retry_s=(0.0,))
        alerts.tell("one", "1")
        alerts.tell("two", "2")
        await until(lambda: alerts.sent)
        await alerts.close()
    assert (alerts.given_up, alerts.sent, got[-1]["kind"]) == (1, 1, "two")
    assert "s3cret" not in caplog.text and "status 500" in caplog.text


async def test_nobody_listens_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with webhook(200) as (url, _):
        pass
    alerts = Alerts(url, retry_s=())
    for number in range(QUEUE + 5):
        alerts.tell("many", str(number))  # not a coroutine: it cannot wait
    await until(lambda: alerts.given_up)
    await alerts.close()
    assert "s3cret" not in caplog.text
    alerts = Alerts("http://[half an address/s3cret", retry_s=())
    alerts.tell("bad", "url")
    await until(lambda: alerts.given_up)
    await alerts.close()
    assert "s3cret" not in caplog.text


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough at the end, however slow the machine is."""
    monkeypatch.setattr("validators.alerts.CLOSE_S", 60.0)


async def test_one_that_hangs_keeps_back_none_of_the_end(unhurried: None) -> None:
    """The first is not answered before the last has come, which says how the process ended."""
    got: list[str] = []
    told = asyncio.Event()

    async def take(request: web.BaseRequest) -> web.Response:
        kind = json.loads(await request.read())["kind"]
        got.append(kind)
        if kind == "ended":
            told.set()
        if kind == "first":
            await told.wait()
        return web.Response()

    async with served(take) as url:
        alerts = Alerts(url)
        alerts.tell("first", "1")
        await until(lambda: got)
        alerts.tell("second", "2")
        alerts.tell("ended", "3")
        await alerts.close()
    assert (sorted(got), alerts.sent) == (["ended", "first", "second"], 3)


async def test_the_end_waits_for_no_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validators.alerts.CLOSE_S", 0.1)

    async def take(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with served(take) as url:
        alerts = Alerts(url)
        alerts.tell("ended", "of everything")
        async with asyncio.timeout(60):
            await alerts.close()
    assert alerts.sent == 0


async def test_the_end_does_not_wait_for_the_pause_before_another_try(unhurried: None) -> None:
    async with webhook(503, 200) as (url, got):
        alerts = Alerts(url, retry_s=(3600.0,))
        alerts.tell("refused", "once")
        await until(lambda: got)
        await alerts.close()
    assert (len(got), alerts.sent) == (2, 1)
