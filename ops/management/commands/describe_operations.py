"""Prints docs/operations.md."""

from typing import Any

from django.core.management.base import BaseCommand
from prometheus_client import REGISTRY

from ops.endpoints import ENDPOINTS
from ops.metrics import machine
from ops.metrics.exposition import HEALTH, HEALTH_HELP
from ops.metrics.registry import registered_measures

OF_LIBRARIES = ("stamina_", "python_", "process_", "django_")

PAGE = """\
# Endpoints and metrics

Printed by `manage.py describe_operations`; a test holds it equal to the code.

## Endpoints

Live and ready are open to all. The rest is for callers on the machine itself (straight, without a proxy), from
`OPS_ALLOWED_NETWORKS`, with an API key of scope `ops:read` (the cleanup: `ops:write`), or signed in as staff with
the permission "Can see health, metrics, configuration and what is in hand" (the cleanup: "Can run the cleanup",
and with dry_run=true alone: in the admin a cleanup takes two persons). Others get 403 as a problem that says so.
Paths work with and without a trailing slash; answers follow [operations.schema.json](operations.schema.json).

A component is `healthy`, `degraded` (it works, and somebody should look) or `unhealthy` (503), with a reason, what
was measured, and the thresholds that crossed. One that does not answer within `HEALTH_CHECK_TIMEOUT` is unhealthy.

{endpoints}

## Metrics

They are the same whichever web process is asked. What comes from boards tells of one machine, what comes from
PostgreSQL, Redis and Kafka of the whole bank. Besides there are `django_http_*` (requests by view, method, status),
`stamina_retries_total` (once there was a retry) and, outside of multi-process mode, `process_*` and `python_*`
of the answering process.

{metrics}
"""


class Command(BaseCommand):
    help = "Prints the lists of endpoints and metrics as Markdown: docs/operations.md."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(operations_page(), ending="")


def operations_page() -> str:
    return PAGE.format(endpoints=_endpoints(), metrics=_metrics())


def _endpoints() -> str:
    rows = [f"| `{entry.method} {entry.path}` | {entry.tells} |" for entry in ENDPOINTS]
    return "\n".join(["| endpoint | tells |", "|---|---|", *rows])


def _metrics() -> str:
    rows = sorted(f"| `{name}` | {help} |" for name, help in described_metrics().items())
    return "\n".join(["| metric | |", "|---|---|", *rows])


def described_metrics() -> dict[str, str]:
    """Every metric of the bank's own by the name that Prometheus knows it by, with its labels."""
    found = {HEALTH + "{component}": HEALTH_HELP}
    for measure in registered_measures():
        found[_named(measure.name, measure.kind == "counter", measure.labels)] = measure.help
    for name, text in machine.DESCRIBED.items():
        found[_named(name, name in machine.COUNTERS, machine.labels_of(name))] = text
    for metric in REGISTRY.collect():
        if not metric.name.startswith(OF_LIBRARIES):
            labels = REGISTRY._names_to_collectors[metric.name]._labelnames  # type: ignore[attr-defined]
            found[_named(metric.name, metric.type == "counter", labels)] = metric.documentation
    return found


def _named(name: str, counter: bool, labels: tuple[str, ...]) -> str:
    shown = "{" + ", ".join(labels) + "}" if labels else ""
    return f"{name}{'_total' if counter else ''}{shown}"
