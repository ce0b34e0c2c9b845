"""Prometheus metrics, computed from the events at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.incident.cascade import measure, outcomes
from bot.service.site import Site, load


class _Incidents(Collector):
    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of every open incident."""
        labels = ["incident"]
        crashed = GaugeMetricFamily("holdfast_crashed_hosts", "Hosts that crashed", labels=labels)
        down = GaugeMetricFamily("holdfast_down_hosts", "Hosts not seen since", labels=labels)
        drifts = GaugeMetricFamily("holdfast_hold_drifts", "Drifts seen by the hold", labels=labels)
        hosts = GaugeMetricFamily(
            "holdfast_hosts", "Hosts by outcome", labels=["incident", "outcome"]
        )
        rows = [row for row in self._site.store.incidents() if row.open]
        for row in rows:
            incident = load(self._site, row.id)
            cascade = measure(incident, self._site.clock.now())
            crashed.add_metric([row.id], cascade.crashed)
            down.add_metric([row.id], len(cascade.down))
            drifts.add_metric([row.id], incident.hold.drifts)
            for outcome, count in outcomes(incident).items():
                hosts.add_metric([row.id, outcome], count)
        yield GaugeMetricFamily("holdfast_open_incidents", "Open incidents", value=len(rows))
        yield from (crashed, down, drifts, hosts)


def exposition(site: Site) -> tuple[bytes, str]:
    """Return the metrics and their content type."""
    registry = CollectorRegistry()
    registry.register(_Incidents(site))
    return generate_latest(registry), CONTENT_TYPE_LATEST
