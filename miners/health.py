"""What a miner has done since it began, and how it stands: for the pages of `subnet.pages`.

Knows nothing of where the facts come from.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

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


def families(now: Figures) -> Iterator[Metric]:
    """The figures as Prometheus has them; imports its client library."""
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

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
    yield CounterMetricFamily("subnet_worker_restarts", "Workers started again.", now.restarts)
    yield GaugeMetricFamily("subnet_model_open", "Whether there is a model.", now.model_open)
    stage = GaugeMetricFamily(
        "subnet_metagraph_stage", "How far callers are known.", labels=["stage"]
    )
    stage.add_metric([now.metagraph], 1)
    yield stage
    if now.metagraph_age_s is not None:
        yield GaugeMetricFamily(
            "subnet_metagraph_age_seconds", "Since the chain was seen.", now.metagraph_age_s
        )


def _cumulative(durations: Durations) -> tuple[list[Any], float]:
    ends = [*map(str, BUCKETS_S), "+Inf"]
    counts, seen = [], 0
    for count in durations.counts:
        seen += count
        counts.append(seen)
    return list(zip(ends, counts, strict=True)), durations.total_s
