"""How a validator stands, for the pages that `subnet.pages` serves: health follows the weights.

Alive is who gets on: rounds are over in their time, and weights have landed in every whole epoch.
Ready is who has weights on the chain, a permit, and the chain in sight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from subnet.pages import Readiness
from validators.watch import Watch

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

UNSEEN_S = 600.0
"""After so long without the chain a validator is not ready."""


def health(watch: Watch) -> Readiness:
    """Why this validator should be started again, or looked at."""
    missed = _missed(watch)
    stuck = None if watch.watchdog is None else watch.watchdog.find_problem()
    reasons = [stuck] if stuck else []
    if missed:
        reasons.append(f"no weights have landed for {missed} epochs")
    return Readiness(tuple(reasons), {})


def readiness(watch: Watch) -> Readiness:
    """Why no weights of this validator count now."""
    landing, now = watch.landing, watch.clock()
    age_s = None if watch.seen_at is None else now - watch.seen_at
    missed = _missed(watch)
    reasons = {
        "another instance leads": watch.standby,
        "the chain was not seen yet": age_s is None and not watch.standby,
        "the chain was not seen for too long": age_s is not None and age_s > UNSEEN_S,
        "no validator permit": age_s is not None and not watch.permit,
        "no weights have landed yet": landing.epoch is None,
        f"no weights have landed for {missed} epochs": missed > 0,
    }
    facts = {
        "epoch": watch.epoch,
        "landed_epoch": landing.epoch,
        "landed_block": landing.block,
        "landed_s_ago": None if landing.time is None else round(now - landing.time, 1),
        "problem": landing.problem,
        "vtrust": None if watch.standing is None else round(watch.standing.vtrust, 5),
        "rounds": watch.counters.rounds,
    }
    return Readiness(tuple(reason for reason, holds in reasons.items() if holds), facts)


def _missed(watch: Watch) -> int:
    if watch.epoch is None or not watch.landing.is_late(watch.epoch, watch.clock()):
        return 0
    return watch.landing.missed(watch.epoch)


def families(watch: Watch) -> Iterator[Metric]:
    """The figures as Prometheus has them."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    done, landing = watch.counters, watch.landing
    yield CounterMetricFamily("subnet_rounds", "Rounds that are over.", done.rounds)
    yield CounterMetricFamily("subnet_questions", "Questions put to miners.", done.asked)
    yield CounterMetricFamily("subnet_replies", "Questions that were answered.", done.answered)
    yield CounterMetricFamily("subnet_weights_set", "Rows sent and accepted.", done.weights_set)
    yield CounterMetricFamily(
        "subnet_weights_refused", "Rows that the chain refused.", done.weights_refused
    )
    yield GaugeMetricFamily(
        "subnet_epochs_without_weights", "Whole epochs since weights landed.", _missed(watch)
    )
    yield GaugeMetricFamily("subnet_leads", "0 while another instance leads.", not watch.standby)
    if landing.block is not None and landing.time is not None:
        yield GaugeMetricFamily("subnet_landed_block", "Block of the last row.", landing.block)
        yield GaugeMetricFamily(
            "subnet_landed_time_seconds", "When it was read back, Unix time.", landing.time
        )
    if watch.standing is not None:
        yield GaugeMetricFamily(
            "subnet_validator_trust", "Of the last epoch, 0..1.", watch.standing.vtrust
        )
        yield GaugeMetricFamily(
            "subnet_consensus_distance", "Of the row, 0..1.", watch.standing.distance
        )
    yield CounterMetricFamily("subnet_alerts_sent", "Alerts posted.", watch.alerts.sent)
    yield CounterMetricFamily(
        "subnet_alerts_given_up", "Alerts that the webhook did not take.", watch.alerts.given_up
    )
    lost = CounterMetricFamily("subnet_sink_lines_dropped", "A sink was slow.", labels=["sink"])
    for name, count in sorted(watch.dropped().items()):
        lost.add_metric([name], count)
    yield lost
