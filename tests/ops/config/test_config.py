"""/config shows what is in force and where it came from, and keeps secrets."""

import os
import subprocess
import sys

import psycopg
import pytest

from ops.conf import Settings, get_settings
from ops.timeouts.connection import connect_apart
from tests.configured import configured
from tests.ops.operators import ROOT, Operator

GUIDE = {
    "POOL_MAX_CONNECTIONS": "200",
    "POOL_MIN_CONNECTIONS": "20",
    "CONNECTION_ACQUIRE_TIMEOUT": "15",
    "POOL_ACQUIRE_TIMEOUT": "10",
    "TRANSACTION_TIMEOUT": "60",
    "POOL_AUTO_SCALING": "true",
    "DEADLOCK_CHECK_INTERVAL": "5",
    "DEADLOCK_OPERATION_TIMEOUT": "30",
    "MAX_CONCURRENT_OPERATIONS": "1000",
    "ENABLE_AUTO_RESOLUTION": "true",
    "DB_OPERATION_TIMEOUT": "30",
    "CACHE_OPERATION_TIMEOUT": "10",
    "KAFKA_OPERATION_TIMEOUT": "15",
    "REDIS_OPERATION_TIMEOUT": "5",
    "BATCH_PROCESSING_TIMEOUT": "60",
    "HEALTH_CHECK_TIMEOUT": "10",
    "CACHE_DEFAULT_TTL": "3600",
    "CACHE_MAX_SIZE": "5000",
    "CACHE_SHARD_COUNT": "8",
    "CACHE_WARMUP_BATCH_SIZE": "50",
    "CACHE_WARMUP_INTERVAL": "300",
    "KAFKA_ENABLED": "true",
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "KAFKA_GROUP_ID": "banking-es-group",
    "KAFKA_CONSUMER_MAX_POLL_RECORDS": "250",
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "30000",
    "KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS": "600000",
    "REDIS_MAX_CONNECTIONS": "50",
    "REDIS_MIN_CONNECTIONS": "5",
}
"""The troubleshooting guide's settings as it prints them."""


def by_name(operator: Operator, path: str, key: str) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in operator.get(path).json()[key]}


@pytest.mark.parametrize("path", ["/config", "/config/"])
def test_every_setting_is_there_with_its_effective_value(operator: Operator, path: str) -> None:
    told = by_name(operator, path, "settings")

    assert set(told) == {name.upper() for name in Settings.model_fields}
    assert set(GUIDE) <= set(told)
    assert told["CACHE_MAX_SIZE"]["value"] == get_settings().cache_max_size
    assert told["SHARD_COUNT"]["source"] == "default"
    assert told["DATABASE_URL"]["source"] == "environment"
    assert all(entry["description"] for entry in told.values())


def test_secrets_are_redacted(operator: Operator) -> None:
    text = operator.get("/config").content.decode()
    settings = get_settings()
    password = settings.kafka_sasl_password.get_secret_value()
    for secret in (settings.secret_key, settings.database_url, settings.redis_url):
        assert secret.get_secret_value() not in text
    assert not password or password not in text
    assert str(settings.database_parameters()["PASSWORD"]) not in by_name(operator, "/config", "settings").values()
    assert by_name(operator, "/config", "settings")["SECRET_KEY"]["value"] == "***"
    assert by_name(operator, "/config", "settings")["KAFKA_SASL_PASSWORD"]["value"] == ("***" if password else "")


@pytest.mark.parametrize("path", ["/config/timeouts", "/config/timeouts/"])
def test_the_time_limits_are_told_in_seconds_with_what_they_bound(operator: Operator, path: str) -> None:
    told = by_name(operator, path, "timeouts")

    assert {entry["component"] for entry in told.values()} == {
        "database",
        "cache",
        "kafka",
        "redis",
        "batch",
        "health",
        None,
    }
    assert told["HEALTH_CHECK_TIMEOUT"]["seconds"] == get_settings().health_check_timeout
    assert told["LOCK_TIMEOUT_MS"]["seconds"] == get_settings().lock_timeout_ms / 1000
    assert {name for name in GUIDE if name.endswith("_TIMEOUT")} <= set(told)


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from ops.conf import get_settings as g; s = g(); print(s.log_level, s.log_levels)",
    ]
    return subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH_PROCESSING_TIMEOUT", "0", "greater than or equal to 1"),
        ("HEALTH_CHECK_TIMEOUT", "soon", "valid integer"),
        ("OPS_ALLOWED_NETWORKS", "10.0.0.0/99", "must be a network"),
        ("LOG_LEVELS", "eventstore=loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LEDGER_PROOF_MAX_AGE_HOURS", "0", "greater than or equal to 1"),
        ("REDIS_URL", "unix:///run/redis/redis.sock", "must look like redis://"),
        ("REDIS_URL", "redis://:hidden@localhost:6379?db=3", "must not have ?db="),
        ("DATABASE_URL", "postgresql://bank:hidden@db/bank?sslmod=require", "must not have ?sslmod=, only"),
    ],
)
def test_a_wrong_value_stops_the_start_with_a_sentence_that_names_it(name: str, value: str, expected: str) -> None:
    ended = start(**{name: value})

    assert ended.returncode != 0
    sentence = ended.stderr.strip().splitlines()[-1]
    assert f"bankes does not start: {name}" in sentence
    assert expected in sentence
    assert "hidden" not in ended.stderr


def test_this_machine_s_own_names_always_count_among_the_hosts() -> None:
    with configured(allowed_hosts="bank.example, localhost,"):
        assert get_settings().allowed_hosts == ["localhost", "127.0.0.1", "[::1]", "bank.example"]


def test_a_secured_way_to_the_database_is_insisted_on_by_every_connection() -> None:
    """The tests' own server has no certificate."""
    url = get_settings().database_url.get_secret_value() + "?sslmode=require"
    command = [sys.executable, "manage.py", "showmigrations", "ops"]
    by_the_pool = subprocess.run(
        command, env={**os.environ, "DATABASE_URL": url}, check=False, timeout=60, capture_output=True, text=True
    )
    assert by_the_pool.returncode != 0
    assert "SSL" in by_the_pool.stderr

    with configured(database_url=url), pytest.raises(psycopg.OperationalError, match="SSL"):
        connect_apart("test")


def test_the_guide_s_names_for_logging_are_understood() -> None:
    told = start(RUST_LOG="debug", RUST_LOG_BANKING_ES="warning", RUST_LOG_FORMAT="json", LOG_LEVEL="")
    assert told.stdout.split(" ", 1)[0] == "DEBUG"
    assert "'eventstore': 'WARNING'" in told.stdout


def test_a_level_counts_for_its_module_alone() -> None:
    assert (
        "{'eventstore': 'DEBUG', 'ops.cache': 'ERROR'}"
        in start(LOG_LEVELS="eventstore=debug, ops.cache=ERROR").stdout
    )
