"""The pages for whoever runs a neuron, with a miner's figures on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from miners.health import BUCKETS_S, Durations, Figures, families
from miners.serve import Progress
from subnet.pages import Readiness, pages

FIGURES = Figures(
    requests=9,
    answered=5,
    refused={"replayed": 3, "stale": 1},
    answer_s=Durations(),
    workers=2,
    restarts=1,
    model_open=True,
    metagraph="degraded",
    metagraph_age_s=301.5,
)


@asynccontextmanager
async def served(readiness: Readiness) -> AsyncIterator[aiohttp.ClientSession]:
    async def ready() -> Readiness:
        return readiness

    async with (
        pages("127.0.0.1", 0, readiness=ready, collect=lambda: families(FIGURES)) as (host, port),
        aiohttp.ClientSession(f"http://{host}:{port}") as session,
    ):
        yield session


async def test_ready_is_200_and_not_ready_is_503_with_reasons() -> None:
    async with served(Readiness((), {"workers": "2 of 2"})) as session:
        async with session.get("/readyz") as response:
            assert (response.status, (await response.json())["reasons"]) == (200, [])
    async with served(Readiness(("draining", "no model"), {"workers": "0 of 2"})) as session:
        async with session.get("/readyz") as response:
            told = json.loads(await response.read())
            assert response.status == 503
            assert told == {
                "status": "not ready",
                "reasons": ["draining", "no model"],
                "workers": "0 of 2",
            }
        # Not ready is no reason to be restarted.
        async with session.get("/healthz") as response:
            assert response.status == 200


async def test_metrics_are_read_by_prometheus() -> None:
    FIGURES.answer_s.add(0.02)
    FIGURES.answer_s.add(1e6)
    async with served(Readiness((), {})) as session, session.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = {f.name: f for f in text_string_to_metric_families(await response.text())}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["subnet_requests_total",] == 9
    assert values["subnet_refusals_total", "replayed"] == 3
    assert values["subnet_metagraph_stage", "degraded"] == 1
    assert values["subnet_metagraph_age_seconds",] == 301.5
    assert values["subnet_answer_seconds_bucket", "0.01"] == 0
    assert values["subnet_answer_seconds_bucket", "0.025"] == 1
    assert values["subnet_answer_seconds_bucket", str(BUCKETS_S[-1])] == 1
    assert values["subnet_answer_seconds_bucket", "+Inf"] == 2
    assert values["subnet_answer_seconds_count",] == 2
    assert values["process_resident_memory_bytes",] > 0


async def test_nothing_else_is_there() -> None:
    async with served(Readiness((), {})) as session:
        async with session.get("/") as response:
            assert response.status == 404
        async with session.post("/healthz") as response:
            assert response.status == 405


def test_a_node_that_stands_still_makes_its_word_old() -> None:
    now = 100.0
    progress = Progress(lambda: now)
    assert progress.age_s(7) == 0
    now += 50
    assert progress.age_s(7) == 50
    now += 1
    assert progress.age_s(8) == 0
    now += 2
    assert progress.age_s(6) == 2


def test_a_miner_loads_what_it_does_not_use_for_nobody() -> None:
    """Neither the SDK, nor Redis, nor Prometheus, nor certificates, nor arrays."""
    code = (
        "import sys, miners.serve, miners.worker, subnet.cli.worker\n"
        "heavy = {'bittensor', 'redis', 'prometheus_client', 'cryptography', 'numpy', 'torch'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
