"""/metrics is Prometheus' text with the promised names, and each number is one that was measured."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventstore import projections
from eventstore.projections.runner import catch_up
from ops import board
from ops.board import facts
from ops.management.commands.describe_operations import OF_LIBRARIES, described_metrics, operations_page
from ops.metrics import machine
from ops.metrics.measures import MEASURES
from tests.bank import Bank
from tests.ops.operators import ROOT, Operator
from tests.parts import program
from tests.pools import all_connections_taken
from tests.processes import wait_until

IN_MEMORY = "/dev/shm"  # noqa: S108 - nothing is written there
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

KEY_METRICS = {
    "connection_pool_utilization",
    "component_seconds_total",
    "component_calls_total",
    "database_statement_seconds_total",
    "database_transactions_total",
    "deadlock_count",
    "cache_hits_total",
    "cache_misses_total",
    "cache_evictions_total",
    "redis_memory_bytes",
    "redis_evicted_keys_total",
    "consumer_lag",
    "timeout_rate",
    "bank_process_cpu_seconds_total",
    "bank_process_memory_bytes",
    "bank_process_disk_written_bytes_total",
    "machine_network_received_bytes_total",
    "machine_network_sent_bytes_total",
}
"""What the guide wants watched, on an installation without Kafka."""


def scraped(operator: Operator, path: str = "/metrics") -> Samples:
    answer = operator.http.get(path)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_a_rate_of_hits_is_told_once_there_were_reads_enough() -> None:
    [measure] = [measure for measure in MEASURES if measure.name == "cache_hit_rate"]
    quiet = {"hits": 9, "misses": 90, "hit_rate": 0.0909}
    busy = {"hits": 9, "misses": 91, "hit_rate": 0.09}
    assert list(measure.samples({"l1": quiet, "l2": busy})) == [(("l2",), 0.09)]


def test_the_disks_that_the_bank_writes_to_are_measured_each_once(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the board in memory, the checkout on a disk."""
    monkeypatch.setattr(machine, "directory", lambda: Path(IN_MEMORY))
    told = scraped(operator)
    disks = {dict(labels)["path"]: size for (name, labels), size in told.items() if name == "machine_disk_bytes"}
    assert disks[str(ROOT)] == shutil.disk_usage(ROOT).total
    assert disks[IN_MEMORY] == shutil.disk_usage(IN_MEMORY).total
    assert len(disks) == len({os.stat(path).st_dev for path in disks})


def test_what_the_machine_hides_is_left_out_and_the_rest_told(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with systemd's ProcSubset=pid: there are processes in /proc, and nothing else."""
    for part in ("self", str(os.getpid())):
        (tmp_path / part).symlink_to(f"/proc/{part}")
    monkeypatch.setattr(machine, "PROC", tmp_path)

    names = {name for name, _ in scraped(operator)}

    assert not {name for name in names if name.startswith(("machine_cpu", "machine_memory", "machine_network"))}
    assert {"machine_disk_bytes", "bank_process_memory_bytes", "deadlock_count"} <= names


ELSEWHERE = """
import django, sys
django.setup()
from ops.operations import operation
with operation("job", "elsewhere", timeout=None):
    sys.stdin.read()
"""


def test_processes_of_other_containers_on_the_same_volume_tell_of_themselves(
    operator: Operator, tmp_path: Path
) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(ELSEWHERE)
    unshare = program("unshare", "util-linux")
    container = [unshare, "--user", "--map-root-user", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
    with subprocess.Popen(
        [*container, sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
    ) as process:
        try:
            wait_until(lambda: "elsewhere" in {seen.process["host"] for seen in board.boards() if seen.facts}, 30)
            samples = scraped(operator)
        finally:
            process.kill()
    assert value(samples, "bank_processes", process="elsewhere.py") == 1
    assert value(samples, "bank_process_memory_bytes", process="elsewhere.py") > 10_000_000
    assert value(samples, "bank_process_cpu_seconds_total", process="elsewhere.py") > 0


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_the_guide_s_key_metrics_are_there(operator: Operator, bank: Bank, path: str) -> None:
    from accounts import cache

    ann = bank.open("1.00")
    catch_up(projections.registered())
    cache.account(ann, at_least=1)
    names = {name for name, _ in scraped(operator, path)}
    assert names >= KEY_METRICS


def test_every_sample_is_of_a_documented_metric_and_no_series_is_there_twice(operator: Operator) -> None:
    text = operator.http.get("/metrics").content.decode()
    documented = {name.partition("{")[0] for name in described_metrics()}
    families = [family.name for family in text_string_to_metric_families(text) if family.samples]
    foreign = {name for name in families if not name.startswith(OF_LIBRARIES)}

    assert {name for name in foreign if name not in documented and f"{name}_total" not in documented} == set()
    assert len(families) == len(set(families))
    assert not any(name.startswith(("django_db_", "django_cache_", "django_model_")) for name in families)


def test_the_documentation_is_that_of_the_code() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert page == operations_page(), "run: manage.py describe_operations > docs/operations.md"


def test_numbers_follow_what_happens(operator: Operator, bank: Bank) -> None:
    before = scraped(operator)
    ann = bank.open()
    bank.deposit(ann, "1.00")
    behind = scraped(operator)
    catch_up(projections.registered())
    after = scraped(operator)

    def grown(name: str, **labels: str) -> float:
        return value(behind, name, **labels) - before.get((name, frozenset(labels.items())), 0.0)

    assert grown("commands_total", command="Deposit", outcome="executed") == 1
    assert grown("component_calls_total", component="batch", outcome="ok") == 2
    assert grown("component_calls_total", component="database", outcome="ok") > 0
    assert value(after, "events_appended_total") >= 2
    assert value(after, "projection_lag_events", projection="journal") == 0
    assert value(after, "health_status", component="projections") == 0
    assert value(behind, "health_status", component="projections") == 1


def test_the_utilization_rises_with_use_and_falls_again(operator: Operator) -> None:
    operator.get("/health/database")
    with all_connections_taken(patience=0.2):
        facts.tell()
        assert value(scraped(operator), "connection_pool_utilization") == 1.0
    # A process tells of its pool once a second; what its thread saw before may be what is read now.
    wait_until(lambda: value(scraped(operator), "connection_pool_utilization") < 0.8)


def test_a_redis_that_is_gone_takes_its_numbers_along_and_leaves_the_rest(
    operator: Operator, settings: object
) -> None:
    caches = settings.CACHES  # type: ignore[attr-defined]
    settings.CACHES = {  # type: ignore[attr-defined]
        **caches,
        "default": {**caches["default"], "LOCATION": "redis://127.0.0.1:9/0"},
    }
    samples = scraped(operator)

    assert value(samples, "health_status", component="redis") == 2
    assert "redis_memory_bytes" not in {name for name, _ in samples}
    assert value(samples, "health_status", component="database") == 0


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("name", ["pool", "cache", "kafka", "redis"])
def test_each_component_s_metrics_are_json_too(operator: Operator, name: str, slash: str) -> None:
    answer = operator.get(f"/metrics/{name}{slash}")
    assert answer.status_code == 200
    assert answer.json()["component"] == name
    assert answer.json()["metrics"]


def test_there_are_no_metrics_of_what_is_no_component(operator: Operator) -> None:
    assert operator.get("/metrics/weather").status_code == 404


MANY = """
import django, os, sys
django.setup()
from ops.timeouts import record
for _ in range(5):
    record("kafka", "ok", 0.5)
if sys.argv[1] == "tell":
    from ops.metrics.exposition import exposition
    print(exposition().decode())
"""


def test_in_multi_process_mode_counters_are_those_of_all_also_of_the_dead(db: None, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "BOARD_DIR": str(tmp_path / "board"),
        "LOG_LEVEL": "ERROR",
    }
    (tmp_path / "gauge_livesum_999999999.db").write_bytes(b"")
    told = ""
    for what in ("count", "count", "tell"):
        command = [sys.executable, "-c", MANY, what]
        told = subprocess.run(
            command, env=environment, cwd=ROOT, check=True, timeout=60, capture_output=True, text=True
        ).stdout

    assert 'component_calls_total{component="kafka",outcome="ok"} 15.0' in told
    assert 'component_seconds_total{component="kafka"} 7.5' in told
    assert 'timeout_rate{component="kafka"} 0.0' in told
    assert not (tmp_path / "gauge_livesum_999999999.db").exists()
