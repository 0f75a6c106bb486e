"""Health of what the event store runs: the feed, what follows it, Kafka, and the dead letters."""

import time
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.db import Error

from eventstore import following, projections
from eventstore.kafka import clients
from ops import board
from ops.conf import get_settings
from ops.detectors.outages import register_server
from ops.health.registry import register_check
from ops.health.report import Limit, Report, judge, worst
from ops.metrics.registry import Measure, each, register_measures, value
from ops.timeouts import attempt
from ops.trends import Trend, register_trend

BROKERS_WITHIN = 5.0
"""Seconds that the brokers get to answer a health check, or KAFKA_OPERATION_TIMEOUT where that is less."""
SILENT_AFTER = 2.0
"""Seconds without an answer from which on the monitor calls it an outage."""
FOLLOWERS = ("run_projections", "consume_events")
SIGN_OF_LIFE = 5.0
"""Seconds; processes tell of themselves once a second, and one that hangs does not."""
FEED_LIMITS = (Limit("held_seconds", "an open transaction holds the feed back", degraded=5, unhealthy=60),)
FOLLOWING_LIMITS = (
    Limit("lag_seconds", "read models are behind", degraded=10, unhealthy=60),
    Limit("unattended_lag", "read models are behind, and no process of this machine carries them on", degraded=0),
    Limit("not_running", "read models are stopped", degraded=0),
    Limit("not_begun", "read models have never been carried along", degraded=0),
)
KAFKA_LIMITS = (
    Limit("brokers", "the brokers do not answer", unhealthy=1, least=True),
    Limit("offline_partitions", "partitions have no leader", unhealthy=0),
    Limit("relay_without_leader", "no relay leads", unhealthy=0),
    Limit("relay_seconds", "the relay is behind the feed", degraded=10, unhealthy=60),
    Limit("lag_seconds", "consumers are behind", degraded=10, unhealthy=60),
    Limit("unattended_seconds", "consumers are behind, and none on this machine gives a sign of life", degraded=3),
    Limit("dead_letters", "dead letters wait", degraded=0),
)
LETTER_LIMITS = (Limit("waiting", "events could not be applied", degraded=0),)
MEASURES = (
    Measure("events_appended", "Position of the last event.", "feed", value("last"), kind="counter"),
    Measure("feed_lag_events", "Events that an open append holds back.", "feed", value("held_events")),
    Measure("feed_held_seconds", "Age of the oldest append that holds the feed back.", "feed", value("held_seconds")),
    Measure(
        "projection_lag_events",
        "Events between a read model and what it follows.",
        "projections",
        each("projections", "projection", "behind"),
        ("projection",),
    ),
    Measure(
        "projection_lag_seconds",
        "Age of the oldest event that a read model lacks; 0 where it lacks none.",
        "projections",
        lambda values: [((entry["projection"],), entry["seconds"] or 0.0) for entry in values["projections"]],
        ("projection",),
    ),
    Measure(
        "projection_position",
        "How far a read model has come; its rate is the events applied per second.",
        "projections",
        each("projections", "projection", "position"),
        ("projection",),
    ),
    Measure("projections_not_running", "Read models that are stopped.", "projections", value("not_running")),
    Measure("kafka_enabled", "1: read models follow Kafka.", "kafka", value("enabled")),
    Measure("kafka_brokers", "Brokers that the cluster has.", "kafka", value("brokers")),
    Measure("kafka_partitions", "Partitions of the topic of events.", "kafka", value("partitions")),
    Measure("kafka_offline_partitions", "Partitions without a leader.", "kafka", value("offline_partitions")),
    Measure(
        "kafka_under_replicated_partitions",
        "Partitions that lack a replica.",
        "kafka",
        value("under_replicated_partitions"),
    ),
    Measure("consumer_lag", "Events that the slowest read model is behind.", "kafka", value("lag_events")),
    Measure("consumer_lag_seconds", "Age of the oldest event not applied.", "kafka", value("lag_seconds")),
    Measure(
        "relay_position",
        "Events confirmed by the brokers; its rate is the producer's throughput.",
        "kafka",
        value("relay.position"),
    ),
    Measure("relay_lag_events", "Events that are not relayed yet.", "kafka", value("relay_events")),
    Measure("relay_lag_seconds", "Age of the oldest of them.", "kafka", value("relay_seconds")),
    Measure("relay_leader", "1: a relay leads.", "kafka", value("relay.leads")),
    Measure("relay_epoch", "Terms of relays so far.", "kafka", value("relay.epoch")),
    Measure("relay_lease_seconds", "What is left of the leader's lease.", "kafka", value("relay.lease_seconds_left")),
    Measure(
        "dead_letters",
        "Events that wait for somebody.",
        "dead_letters",
        lambda values: [((state,), values[state]) for state in ("failed", "parked", "unreadable")],
        ("state",),
    ),
)
NO_DATABASE = Report("unhealthy", "PostgreSQL, which knows, does not answer")


def register() -> None:
    register_check("feed", check_feed, asks="postgresql")
    register_check("projections", check_projections, asks="postgresql")
    register_check("kafka", check_kafka)
    register_check("dead_letters", check_dead_letters, asks="postgresql")
    register_server("kafka", "Kafka", silence)
    register_measures(MEASURES)
    register_trend(Trend("events", "Events appended", "a minute", "feed", "last", per_minute=True))
    register_trend(Trend("read_model_lag", "Age of what read models lack", "seconds", "projections", "lag_seconds"))


def check_feed() -> Report:
    """The feed moves as events are appended: no open transaction holds it back."""
    try:
        state = following.feed_state()
    except Error:
        return NO_DATABASE
    held = max(0, state.last - state.mark)
    values = {**asdict(state), "held_events": held, "held_seconds": _rounded(state.held_seconds)}
    return judge(values, FEED_LIMITS, well="everything appended can be read")


def check_projections() -> Report:
    """The read models keep up. What counts is the oldest event that they lack: it ages while a projector is dead."""
    try:
        return judge(following_values(), FOLLOWING_LIMITS, well="read models keep up")
    except Error:
        return NO_DATABASE


def following_values() -> dict[str, Any]:
    found = following.read_models()
    followers = sum(map(_follows, board.boards()))
    known = {projection.name for projection in projections.registered()}
    begun = {model.projection for model in found}
    last, mark = following.ends()
    behind = max((model.behind for model in found), default=0)
    seconds = max((model.seconds for model in found if model.seconds is not None), default=0.0)
    return {
        "lag_seconds": _rounded(seconds),
        "lag_events": behind,
        "unattended_lag": behind if behind and not followers else 0,
        "unattended_seconds": None if followers else _rounded(seconds),
        "not_running": sum(model.state != "running" for model in found),
        "not_begun": len(known - begun) if last else 0,
        "followers_on_this_machine": followers,
        "mark": mark,
        "projections": [asdict(model) | {"seconds": _rounded(model.seconds)} for model in found],
    }


def _follows(seen: board.Seen) -> bool:
    name, told = seen.process["command"].partition(" ")[0], seen.facts.get("told", 0.0)
    return name in FOLLOWERS and time.time() - told < SIGN_OF_LIFE


def check_kafka() -> Report:
    """Brokers, relay, consumers and dead letters; without Kafka what takes its place: the projector of the feed."""
    if not get_settings().kafka_enabled:
        report = check_projections()
        text = f"disabled (KAFKA_ENABLED=false), read models follow the feed in PostgreSQL: {report.reason}"
        return Report(report.status, text, {"enabled": False, **report.values}, report.thresholds)
    brokers = ask_brokers()
    try:
        known = _relay_values() | following_values() | {"dead_letters": sum(following.dead_letters().values())}
    except Error:
        known = {}
    report = judge({"enabled": True, **brokers, **known}, KAFKA_LIMITS, well="events are carried and applied")
    if known:
        return report
    reasons = f"{report.reason}; {NO_DATABASE.reason}" if report.thresholds else NO_DATABASE.reason
    return Report(worst([report.status, NO_DATABASE.status]), reasons, report.values, report.thresholds)


def _relay_values() -> dict[str, Any]:
    relay = following.relaying()
    if relay is None:
        return {"relay": None, "relay_without_leader": 1, "relay_seconds": None, "relay_events": None}
    seconds = relay.seconds if relay.behind else None
    return {
        "relay": asdict(relay),
        "relay_without_leader": int(not relay.leads),
        "relay_seconds": _rounded(seconds),
        "relay_events": relay.behind,
    }


def ask_brokers() -> dict[str, Any]:
    """What the brokers say of themselves; no brokers where they do not answer."""
    settings = get_settings()
    try:
        with attempt("kafka"):
            found = _client().list_topics(timeout=min(BROKERS_WITHIN, settings.kafka_operation_timeout))
    except KafkaException as error:
        return {"brokers": 0, "error": error.args[0].str(), "bootstrap_servers": settings.kafka_bootstrap_servers}
    partitions = [
        partition
        for name in (settings.kafka_topic, settings.kafka_dead_letter_topic)
        if name in found.topics
        for partition in found.topics[name].partitions.values()
    ]
    topic = found.topics.get(settings.kafka_topic)
    return {
        "brokers": len(found.brokers),
        "partitions": len(topic.partitions) if topic else 0,
        "offline_partitions": sum(partition.leader < 0 for partition in partitions),
        "under_replicated_partitions": sum(len(part.isrs) < len(part.replicas) for part in partitions),
    }


def silence() -> str | None:
    """Why the brokers did not answer; None where they did, or where there is no Kafka."""
    if not get_settings().kafka_enabled:
        return None
    try:
        _client().list_topics(timeout=SILENT_AFTER)
    except KafkaException as error:
        return str(error.args[0].name())
    return None


@lru_cache(maxsize=1)
def _client() -> AdminClient:
    """One for the life of the process: each has threads and connections of its own."""
    return clients.admin()


def check_dead_letters() -> Report:
    """Events that a read model could not take: somebody must look."""
    try:
        letters = following.dead_letters()
    except Error:
        return NO_DATABASE
    return judge({"waiting": sum(letters.values()), **letters}, LETTER_LIMITS, well="none waits")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
