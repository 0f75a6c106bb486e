"""What the troubleshooting guide promises to the people on call, in the project's own words.

Every row is kept by a test of `tests/guide/test_promises.py`, which tries it on the live bank, or by the test that it
names. Where the guide itself stands beside the checkout, `test_the_guide.py` fails if it prints anything that has no
row here.
"""

from typing import NamedTuple


class Call(NamedTuple):
    """An endpoint on port 3000, with and without a trailing slash; `schema` is the one in docs/operations.schema.json
    ("": Prometheus' text format)."""

    method: str
    path: str
    schema: str


CALLS = (
    Call("GET", "/health", "health"),
    *(
        Call("GET", f"/health/{name}", "component")
        for name in ("database", "pool", "deadlocks", "timeouts", "cache", "kafka", "redis")
    ),
    Call("GET", "/metrics", ""),
    *(Call("GET", f"/metrics/{name}", "metrics") for name in ("pool", "cache", "kafka", "redis")),
    Call("GET", "/config", "config"),
    Call("GET", "/config/timeouts", "timeouts"),
    Call("GET", "/debug/state", "state"),
    Call("GET", "/debug/active-operations", "operations"),
    Call("GET", "/debug/stuck-operations", "findings"),
    Call("POST", "/debug/cleanup", "cleanup"),
)


class Setting(NamedTuple):
    """A setting as it is written into the environment, and what /config must tell then. Where the bank has another
    name for it, the guide's is understood as well."""

    name: str
    written: str
    effective: object
    known_as: str = ""


BLOCKS: dict[str, tuple[Setting, ...]] = {
    "a pool that runs out": (
        Setting("POOL_MAX_CONNECTIONS", "200", 200),
        Setting("POOL_MIN_CONNECTIONS", "20", 20),
        Setting("CONNECTION_ACQUIRE_TIMEOUT", "15", 15),
        Setting("TRANSACTION_TIMEOUT", "60", 60),
        Setting("POOL_AUTO_SCALING", "true", True),
    ),
    "deadlocks": (
        Setting("DEADLOCK_CHECK_INTERVAL", "5", 5),
        Setting("DEADLOCK_OPERATION_TIMEOUT", "30", 30),
        Setting("MAX_CONCURRENT_OPERATIONS", "1000", 1000),
        Setting("ENABLE_AUTO_RESOLUTION", "true", True),
    ),
    "timeouts": (
        Setting("DB_OPERATION_TIMEOUT", "30", 30),
        Setting("CACHE_OPERATION_TIMEOUT", "10", 10),
        Setting("KAFKA_OPERATION_TIMEOUT", "15", 15),
        Setting("REDIS_OPERATION_TIMEOUT", "5", 5),
        Setting("BATCH_PROCESSING_TIMEOUT", "60", 60),
        Setting("HEALTH_CHECK_TIMEOUT", "10", 10),
    ),
    "the cache": (
        Setting("CACHE_DEFAULT_TTL", "3600", 3600),
        Setting("CACHE_MAX_SIZE", "5000", 5000),
        Setting("CACHE_SHARD_COUNT", "8", 8),
        Setting("CACHE_WARMUP_BATCH_SIZE", "50", 50),
        Setting("CACHE_WARMUP_INTERVAL", "300", 300),
    ),
    "Kafka": (
        Setting("KAFKA_ENABLED", "true", True),
        Setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092", "localhost:9092"),
        Setting("KAFKA_GROUP_ID", "banking-es-group", "banking-es-group"),
        Setting("KAFKA_CONSUMER_MAX_POLL_RECORDS", "250", 250),
        Setting("KAFKA_CONSUMER_SESSION_TIMEOUT_MS", "30000", 30_000),
        Setting("KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS", "600000", 600_000),
    ),
    "Redis": (
        Setting("REDIS_OPERATION_TIMEOUT", "5", 5),
        Setting("REDIS_MAX_CONNECTIONS", "50", 50),
        Setting("REDIS_MIN_CONNECTIONS", "5", 5),
    ),
    "a pool under load": (
        Setting("POOL_MAX_CONNECTIONS", "200", 200),
        Setting("POOL_MIN_CONNECTIONS", "20", 20),
        Setting("POOL_ACQUIRE_TIMEOUT", "10", 10),
    ),
    "logs": (
        Setting("RUST_LOG", "debug", "DEBUG", known_as="LOG_LEVEL"),
        Setting(
            "RUST_LOG_BANKING_ES",
            "debug",
            dict.fromkeys(("bankes", "accounts", "eventstore", "ops"), "DEBUG"),
            known_as="LOG_LEVELS",
        ),
        Setting("RUST_LOG_FORMAT", "json", "json", known_as="LOG_FORMAT"),
    ),
}
"""As they stand together in a file of the environment: each block is one start of the bank."""


class Index(NamedTuple):
    """A CREATE INDEX that the schema has carried out already."""

    statement: str
    name: str
    table: str
    columns: tuple[str, ...]


INDEXES = (
    Index(
        "CREATE INDEX idx_events_aggregate_id_version ON events(aggregate_id, version)",
        "idx_events_aggregate_id_version",
        "events",
        ("aggregate_id", "version"),
    ),
    Index("CREATE INDEX idx_events_timestamp ON events(timestamp)", "idx_events_timestamp", "events", ("timestamp",)),
)
TERMINATE_LONG = """
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE state = 'active'
       AND query_start < NOW() - INTERVAL '5 minutes'
"""
"""For an administrator of PostgreSQL. `manage.py terminate_transactions --older-than 300` ends the bank's own alone,
and puts it on record."""
TERMINATE_ALL = """
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE datname = 'banking_es'
"""
"""Ends the session that it is typed in as well, where that is one of the bank's database. `manage.py reset_pool`
does without cutting off anybody's work."""
STATEMENTS = (*(index.statement for index in INDEXES), TERMINATE_LONG, TERMINATE_ALL)


class Alert(NamedTuple):
    name: str
    expression: str
    wait: str
    severity: str
    summary: str


ALERTS = (
    Alert(
        "HighConnectionPoolUtilization",
        "connection_pool_utilization > 0.8",
        "5m",
        "warning",
        "High connection pool utilization",
    ),
    Alert("HighDeadlockCount", "deadlock_count > 5", "2m", "critical", "High deadlock count detected"),
    Alert("HighTimeoutRate", "timeout_rate > 0.1", "5m", "warning", "High timeout rate detected"),
)

METRICS: dict[str, tuple[str, ...]] = {
    "Connection pool utilization": ("connection_pool_utilization",),
    "Query execution time": ("database_statement_seconds_total", "component_seconds_total"),
    "Transaction count": ("database_transactions_total",),
    "Deadlock count": ("deadlock_count", "database_deadlocks_total"),
    "Hit rate": ("cache_hit_rate", "cache_hits_total"),
    "Miss rate": ("cache_misses_total",),
    "Eviction rate": ("cache_evictions_total",),
    "Memory usage": ("bank_process_memory_bytes", "redis_memory_bytes"),
    "Consumer lag": ("consumer_lag",),
    "Producer throughput": ("relay_position",),
    "Error rate": ("component_calls_total",),
    "Partition count": ("kafka_partitions",),
    "CPU usage": ("bank_process_cpu_seconds_total",),
    "Network I/O": ("machine_network_received_bytes_total", "machine_network_sent_bytes_total"),
    "Disk I/O": ("bank_process_disk_read_bytes_total", "bank_process_disk_written_bytes_total"),
}
"""Key metrics, and under which names Prometheus finds them here."""

SERVICES = ("banking-es-event-store", "banking-es-kafka-processor", "banking-es-cache-service")
LOG_FILE = "/var/log/banking-es/application.log"
DATABASE = "banking_es"
PORT = 3000


class Kept(NamedTuple):
    """Something that the guide shows as code or as a command for people: by a word of it, with what does it here, and
    the tests that prove it ("tests/path.py::name")."""

    shown: str
    here: str
    proved_by: tuple[str, ...]


COMMANDS = (
    Kept(
        "kill -TERM <pid>",
        "each service drains on SIGTERM: requests in flight end, consumers finish their batch",
        (
            "tests/eventstore/kafka/test_consumers.py::test_row_23_sigterm_ends_busy_consumers_cleanly",
            "tests/test_what_the_reference_got_wrong.py::test_row_23_told_to_stop_the_server_finishes_the_command_in_hand",
        ),
    ),
    Kept(
        "kill -KILL <pid>",
        "a service may be killed at any moment: nothing is lost and nothing doubled",
        ("tests/faults/test_kafka.py::test_whoever_is_killed_nothing_is_lost_and_nothing_doubled",),
    ),
    *(
        Kept(
            f"systemctl restart {name}",
            f"deploy/systemd/{name}.service",
            ("tests/guide/test_promises.py::test_the_services_are_units_that_can_be_restarted",),
        )
        for name in SERVICES
    ),
    Kept(
        f"tail -f {LOG_FILE}",
        "the units append to this file",
        ("tests/guide/test_promises.py::test_the_services_write_the_log_file",),
    ),
    *(
        Kept(
            shown,
            "docs/manual.md, Profiling: cProfile for commands, py-spy for what runs",
            ("tests/guide/test_manual.py::test_a_command_can_be_profiled_as_the_manual_says",),
        )
        for shown in (
            "cargo install flamegraph",
            "cargo flamegraph",
            "perf record -g ./target/release/banking-es",
            "perf report",
        )
    ),
)

CODE = (
    Kept(
        "pool.acquire()",
        "CONNECTION_ACQUIRE_TIMEOUT bounds each wait for a connection; connections go back by themselves",
        (
            "tests/ops/database/test_acquire_timeout.py::test_it_is_the_pool_s_own_limit",
            "tests/ops/database/test_pool_facts.py::test_a_leaked_connection_is_found_with_the_stack_that_took_it",
        ),
    ),
    Kept(
        "OptimisticConcurrencyConflict",
        "append_events checks expected versions; transactions take two round trips",
        ("tests/eventstore/test_append.py::test_of_writers_at_one_version_exactly_one_wins",),
    ),
    Kept(
        "with_database_timeout",
        "each exchange with a component has a limit and is counted; lost races are retried with backoff and jitter",
        (
            "tests/ops/timeouts/test_timeouts.py::test_the_server_ends_a_statement_after_db_operation_timeout",
            "tests/drills/test_drills.py::test_the_symptom_is_reported_and_cured_and_nothing_is_lost",
        ),
    ),
    Kept(
        "warmup_cache",
        "manage.py warm_cache, in pipelines of CACHE_WARMUP_BATCH_SIZE",
        ("tests/accounts/commands/test_warm_cache.py::test_batches_are_as_large_as_the_setting_says",),
    ),
    Kept(
        'format!("account:{}:v{}"',
        "keys of the shared cache name document and version",
        ("tests/ops/cache/test_shared.py::test_what_one_process_stores_another_finds_under_the_documented_keys",),
    ),
    Kept(
        "send_to_dlq",
        "what cannot be applied becomes a dead letter; offsets are committed after the transaction",
        (
            "tests/eventstore/test_dead_letters.py::test_only_the_poisoned_stream_is_parked",
            "tests/eventstore/kafka/test_consumers.py::test_row_12_a_message_that_is_no_event_is_kept_and_stops_nothing",
        ),
    ),
    Kept(
        "process_batch(batch)",
        "consumers apply up to KAFKA_CONSUMER_MAX_POLL_RECORDS events in one transaction",
        (
            "tests/eventstore/kafka/test_consumers.py::"
            "test_the_read_models_that_came_by_kafka_equal_those_of_the_feed",
        ),
    ),
    Kept(
        "redis::pipe()",
        "a pointer is read with its document, and many are written, in one exchange",
        ("tests/ops/cache/test_shared.py::test_many_are_written_in_pipelines",),
    ),
    Kept(
        "warmup_frequently_accessed_accounts",
        "accounts are counted as they are read, and the most used are warmed",
        (
            "tests/accounts/commands/test_warm_cache.py::"
            "test_the_most_used_accounts_are_brought_to_redis_and_others_that_changed_lately_fill_up",
        ),
    ),
    Kept(
        "Use LRU for most cases",
        "memory evicts the least recently used; every document has a time to live",
        (
            "tests/ops/cache/test_local.py::test_the_least_recently_used_value_of_all_shards_makes_room",
            "tests/ops/cache/test_local.py::test_a_value_is_gone_after_its_time_and_a_little_before_for_some",
        ),
    ),
    Kept(
        "let workers = 8",
        "consume_events --workers 8, on any number of machines",
        (
            "tests/eventstore/kafka/test_sharing.py::"
            "test_row_11_one_of_two_consumers_dies_and_a_third_joins_and_each_account_stays_in_order",
        ),
    ),
    Kept(
        "replay_events_from_version",
        "manage.py replay_events --aggregate ID --from-version N",
        (
            "tests/eventstore/commands/test_replay_events.py::"
            "test_replaying_from_a_later_version_leaves_the_earlier_rows_alone",
        ),
    ),
    Kept(
        "recover_from_snapshot",
        "manage.py recover_from_snapshot --aggregate ID",
        (
            "tests/eventstore/commands/test_recover_from_snapshot.py::"
            "test_a_damaged_account_is_mended_from_the_snapshot",
        ),
    ),
)
