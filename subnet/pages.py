"""Pages for whoever runs a neuron, on a port of their own: is it alive, is it ready, what it did.

`/healthz` says 200 as long as the process runs its loop, and 503 with the reasons when it should
be started again. `/readyz` says 200, or 503 with the reasons why it does not do its work.
`/metrics` is for Prometheus, whose client library is imported here alone, since it costs a tenth
of a second. Knows nothing of where the facts come from.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from subnet.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prometheus_client.registry import Collector, CollectorRegistry


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a neuron would not do its work (`reasons`, empty when it would), and more to know."""

    reasons: tuple[str, ...]
    facts: Mapping[str, object]


async def _always() -> Readiness:
    return Readiness((), {})


@asynccontextmanager
async def pages(
    host: str,
    port: int,
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    collect: Callable[[], Iterable[Any]],
    health: Callable[[], Awaitable[Readiness]] = _always,
) -> AsyncIterator[tuple[str, int]]:
    """Serve the pages while the context lasts; yields the address bound. Raises OSError.

    `collect` gives the metric families of prometheus_client whenever they are asked for.
    """
    registry: CollectorRegistry | None = None

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal registry
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        match request.path:
            case "/healthz":
                return _verdict(await health(), "alive", "not well")
            case "/readyz":
                return _verdict(await readiness(), "ready", "not ready")
            case "/metrics":
                registry = registry or _registry(collect)
                from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

                headers = {"Content-Type": CONTENT_TYPE_LATEST}
                return web.Response(body=generate_latest(registry), headers=headers)
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(respond, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        yield str(bound[0]), int(bound[1])
    finally:
        await runner.cleanup()


def cannot_listen(setting: str, host: str, port: int, error: OSError) -> InvalidSetting:
    """The error of a page's port that is taken, or an address that is not here."""
    problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
    return InvalidSetting(setting, "the settings", problem)


def _verdict(found: Readiness, well: str, unwell: str) -> web.Response:
    data: dict[str, object] = {"status": unwell if found.reasons else well}
    if found.reasons or found.facts:
        data |= {"reasons": found.reasons, **found.facts}
    body = json.dumps(data, indent=2).encode() + b"\n"
    status = 503 if found.reasons else 200
    return web.Response(status=status, body=body, content_type="application/json")


def _registry(collect: Callable[[], Iterable[Any]]) -> CollectorRegistry:
    from prometheus_client import ProcessCollector
    from prometheus_client.registry import CollectorRegistry

    class Neuron:
        """Reads the figures whenever they are asked for; nothing is counted twice."""

        def collect(self) -> Iterable[Any]:
            return collect()

    registry = CollectorRegistry()
    neuron: Collector = Neuron()
    registry.register(neuron)
    ProcessCollector(registry=registry)
    return registry
