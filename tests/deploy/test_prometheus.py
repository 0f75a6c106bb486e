"""Prometheus' rules and the dashboard: each asks for metrics that exist, and alerts fire when they should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client import REGISTRY

from ops.management.commands.describe_operations import described_metrics
from tests.parts import program

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = (PROMETHEUS / "rules.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/bankes.json").read_text(encoding="utf-8"))

GUIDE = {
    "HighConnectionPoolUtilization": ("connection_pool_utilization > 0.8", "5m", "warning"),
    "HighDeadlockCount": ("deadlock_count > 5", "2m", "critical"),
    "HighTimeoutRate": ("timeout_rate > 0.1", "5m", "warning"),
}
"""The troubleshooting guide's alerts: expression, wait, severity."""

WORDS = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LANGUAGE = {"sum", "rate", "deriv", "by", "on", "unless", "or", "and", "le", "histogram_quantile", "instance"}


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool", "prometheus")


@pytest.mark.parametrize(
    "arguments",
    [["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]],
)
def test_prometheus_itself_agrees(promtool: str, arguments: list[str]) -> None:
    ran = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, check=False, timeout=60, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def alerts() -> dict[str, dict[str, str]]:
    """By name: every `key: value` of the rule."""
    found = {}
    for block in RULES.split("- alert: ")[1:]:
        name, _, rest = block.partition("\n")
        found[name.strip()] = {
            key: value.strip('"') for key, value in re.findall(r"^\s+(\w+): (.+)$", rest, re.MULTILINE)
        }
    return found


@pytest.mark.parametrize("name", sorted(GUIDE))
def test_the_guide_s_alerts_are_as_it_prints_them(name: str) -> None:
    rule = alerts()[name]
    assert (rule["expr"], rule["for"], rule["severity"]) == GUIDE[name]


def test_each_alert_is_explained_and_tested_both_ways() -> None:
    tests = (PROMETHEUS / "tests.yml").read_text(encoding="utf-8")
    manual = (ROOT / "docs/manual.md").read_text(encoding="utf-8")
    headings = {heading.strip().lower() for heading in re.findall(r"^#+ (.+)$", manual, re.MULTILINE)}
    for name, rule in alerts().items():
        assert rule["summary"], name
        assert rule["description"], name
        assert rule["runbook_url"] == f"docs/manual.md#{name.lower()}"
        assert name.lower() in headings, f"docs/manual.md has no section {name}"
        assert f"name: {name} fires" in tests
        assert f"name: {name} stays silent" in tests


def asked_for(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on) \([^)]*\)', " ", expression)
    return {word for word in WORDS.findall(bare) if word not in LANGUAGE}


def known() -> set[str]:
    ours = {name.partition("{")[0] for name in described_metrics()}
    libraries = {
        f"{metric.name}{suffix}"
        for metric in REGISTRY.collect()
        if metric.name.startswith("django_http")
        for suffix in ("_total", "_bucket")
    }
    return ours | libraries | {"up"}


def test_every_expression_asks_for_metrics_that_exist(client: Client) -> None:
    client.get("/health/live")  # django-prometheus has its metrics from the first request on
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    expressions += [rule["expr"] for rule in alerts().values()]

    assert len(expressions) > 50
    assert {metric for expression in expressions for metric in asked_for(expression)} - known() == set()


def test_the_dashboard_shows_everything_that_the_guide_wants_watched() -> None:
    shown = {
        metric
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
        for metric in asked_for(target["expr"])
    }
    assert {
        "connection_pool_utilization",
        "component_seconds_total",
        "database_transactions_total",
        "deadlock_count",
        "cache_hit_rate",
        "cache_misses_total",
        "cache_evictions_total",
        "redis_memory_bytes",
        "consumer_lag",
        "relay_position",
        "timeout_rate",
        "kafka_partitions",
        "bank_process_cpu_seconds_total",
        "bank_process_memory_bytes",
        "machine_network_received_bytes_total",
        "bank_process_disk_written_bytes_total",
    } <= shown
