"""Pages for whoever runs the miner, on a port of their own: is it alive, is it ready, what it did.

`/healthz` says 200 as long as the process runs its loop. `/readyz` says 200, or 503 with the
reasons why questions would not be answered. `/metrics` is for Prometheus, whose client library is
imported here alone, since it costs a tenth of a second. Knows nothing of where the facts come from.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prometheus_client.registry import CollectorRegistry

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass
class Durations:
    """How long something took, counted in buckets (upper ends, seconds) and one above them all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a miner would not answer (`reasons`, empty when it would), and what else to know."""

    reasons: tuple[str, ...]
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a miner has done since it began, and how it stands."""

    requests: int
    answered: int
    refused: Mapping[str, int]
    answer_s: Durations
    workers: int
    restarts: int
    model_open: bool
    metagraph: str
    metagraph_age_s: float | None


@asynccontextmanager
async def pages(
    host: str,
    port: int,
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    figures: Callable[[], Figures],
) -> AsyncIterator[tuple[str, int]]:
    """Serve the pages while the context lasts; yields the address bound. Raises OSError."""
    registry: CollectorRegistry | None = None

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal registry
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        match request.path:
            case "/healthz":
                return _json(200, {"status": "alive"})
            case "/readyz":
                ready = await readiness()
                status = "not ready" if ready.reasons else "ready"
                body = {"status": status, "reasons": ready.reasons, **ready.facts}
                return _json(503 if ready.reasons else 200, body)
            case "/metrics":
                registry = registry or _registry(figures)
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


def _json(status: int, data: object) -> web.Response:
    body = json.dumps(data, indent=2).encode() + b"\n"
    return web.Response(status=status, body=body, content_type="application/json")


def _registry(figures: Callable[[], Figures]) -> CollectorRegistry:
    from prometheus_client import ProcessCollector
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import CollectorRegistry

    class Miner:
        """Reads the figures whenever they are asked for; nothing is counted twice."""

        def collect(self) -> Iterator[Metric]:
            now = figures()
            yield CounterMetricFamily("subnet_requests", "Request heads seen.", now.requests)
            yield CounterMetricFamily("subnet_answers", "Signed answers sent.", now.answered)
            refused = CounterMetricFamily(
                "subnet_refusals", "Requests and connections refused.", labels=["code"]
            )
            for code, count in sorted(now.refused.items()):
                refused.add_metric([code], count)
            yield refused
            took = HistogramMetricFamily("subnet_answer_seconds", "Time of the model per answer.")
            took.add_metric([], *_cumulative(now.answer_s))
            yield took
            yield GaugeMetricFamily("subnet_workers", "Processes that serve.", now.workers)
            yield CounterMetricFamily(
                "subnet_worker_restarts", "Workers started again.", now.restarts
            )
            yield GaugeMetricFamily(
                "subnet_model_open", "Whether there is a model.", now.model_open
            )
            stage = GaugeMetricFamily(
                "subnet_metagraph_stage", "How far callers are known.", labels=["stage"]
            )
            stage.add_metric([now.metagraph], 1)
            yield stage
            if now.metagraph_age_s is not None:
                yield GaugeMetricFamily(
                    "subnet_metagraph_age_seconds", "Since the chain was seen.", now.metagraph_age_s
                )

    registry = CollectorRegistry()
    registry.register(Miner())
    ProcessCollector(registry=registry)
    return registry


def _cumulative(durations: Durations) -> tuple[list[Any], float]:
    ends = [*map(str, BUCKETS_S), "+Inf"]
    counts, seen = [], 0
    for count in durations.counts:
        seen += count
        counts.append(seen)
    return list(zip(ends, counts, strict=True)), durations.total_s
