"""The operations endpoints, as a table: what docs/operations.md lists, and what tests hold the answers to.

Each path works with and without a trailing slash. `schema` names the definition in docs/operations.schema.json.
"""

from typing import NamedTuple


class Endpoint(NamedTuple):
    method: str
    path: str
    schema: str
    tells: str
    public: bool = False


COMPONENTS = {
    "database": "PostgreSQL: latency, connections, the oldest transaction.",
    "pool": "The connection pools of all processes, and who holds connections too long.",
    "deadlocks": "Deadlocks, lock timeouts, version conflicts of the last 5 minutes, and who waits for whose lock.",
    "timeouts": "Attempts, timeouts and errors by component in the last minute, and the circuit breakers.",
    "cache": "Both tiers: hits, misses, evictions, failures.",
    "kafka": "Brokers, relay, consumer lag, dead letters; without Kafka the projector's lag.",
    "redis": "Latency, memory, clients, evictions.",
    "operations": "Operations in hand, and stuck ones.",
    "monitor": "When the monitor looked last, and its open incidents.",
    "jobs": "Whether Celery's beat and workers are at work, and the jobs that wait or run.",
    "feed": "Up to where events can be read, and what holds that back.",
    "projections": "How far each read model is behind.",
    "dead_letters": "Events that could not be applied.",
    "holds": "Holds that are past their time and still reserve money.",
    "ledger": "The last proof of the books: its result and age.",
}
"""What /health/NAME tells; the same names are in /health."""

ENDPOINTS = (
    Endpoint("GET", "/health", "health", "Every component, and which are to blame; 503 when one is unhealthy."),
    *(Endpoint("GET", f"/health/{name}", "component", tells) for name, tells in COMPONENTS.items()),
    Endpoint("GET", "/health/live", "live", "This process answers. Touches nothing else.", public=True),
    Endpoint("GET", "/health/ready", "ready", "This process can serve requests; 503 when not.", public=True),
    Endpoint("GET", "/metrics", "", "All metrics, in Prometheus' text format."),
    *(
        Endpoint("GET", f"/metrics/{name}", "metrics", f"What is measured of the {name}, as JSON.")
        for name in ("pool", "cache", "kafka", "redis")
    ),
    Endpoint("GET", "/config", "config", "Every setting: effective value, source, default. Secrets are redacted."),
    Endpoint("GET", "/config/timeouts", "timeouts", "The settings that bound how long something takes, in seconds."),
    Endpoint("GET", "/debug/state", "state", "Processes, pools, held connections, transactions, who blocks whom."),
    Endpoint("GET", "/debug/active-operations", "operations", "Operations in hand, oldest first."),
    Endpoint("GET", "/debug/stuck-operations", "findings", "Those past their deadline, or not moving."),
    Endpoint(
        "POST", "/debug/cleanup", "cleanup", "Removes what is past its retention; dry_run=true only counts. Audited."
    ),
)
