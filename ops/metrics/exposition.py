"""The answer to a scrape.

Counters of the processes come from prometheus_client: under PROMETHEUS_MULTIPROC_DIR from the files of all processes
(`ops.metrics.places`), else from this one. To them is added what the health checks measure and what boards and /proc
tell, which is the same whichever process is asked. A scrape takes as long as its slowest check, which
HEALTH_CHECK_TIMEOUT bounds.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Metric,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ops.health.registry import registered_checks
from ops.health.report import ORDER
from ops.health.running import begin_checks, outcomes
from ops.metrics.machine import Machine
from ops.metrics.places import forget_the_dead
from ops.metrics.registry import registered_measures

disable_created_metrics()  # a second series for each counter, which says when its process began
HEALTH = "health_status"
HEALTH_HELP = "0 healthy, 1 degraded, 2 unhealthy."


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    begun = begin_checks(registered_checks().values())
    counted = generate_latest(_of_processes()) + generate_latest(Machine())  # while the checks wait for what they ask
    return counted + generate_latest(_Measured(outcomes(begun)))


def _of_processes() -> CollectorRegistry:
    gathered = CollectorRegistry()
    try:
        collector = multiprocess.MultiProcessCollector(gathered)
    except ValueError:  # not in multi-process mode
        return REGISTRY
    forget_the_dead(Path(collector._path))
    return gathered


class _Measured(Collector):
    """What the checks told, and what was measured in them."""

    def __init__(self, told: Mapping[str, dict[str, Any]]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        told = self._told
        health = GaugeMetricFamily(HEALTH, HEALTH_HELP, labels=["component"])
        for component, entry in told.items():
            health.add_metric([component], ORDER.index(entry["status"]))
        yield health
        for measure in registered_measures():
            kind = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
            family = kind(measure.name, measure.help, labels=measure.labels)
            values = told[measure.component]["values"]
            for labels, number in measure.samples(values) if values else ():
                if number is not None:
                    family.add_metric(list(labels), number)
            yield family
