"""The one typed reader of the environment.

Every setting of bankes is a field of `Settings`; nothing else in the project reads environment variables
(the launcher in `ops.embedded` prepares them, and passes on what the caller set). A wrong value stops the
start with one sentence that names the setting, what was given and what is expected.
"""

from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ops.conf_forms import (
    OWN_HOSTS,
    Hosts,
    LevelsByModule,
    LimitsByRole,
    LogLevel,
    Networks,
    Numbers,
    PostgresUrl,
    RedisUrl,
    Words,
)


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names each one and what it should be."""


class Settings(BaseSettings):
    """Effective configuration. Durations are whole seconds unless a name says otherwise."""

    model_config = SettingsConfigDict(case_sensitive=False, extra="ignore", frozen=True, env_ignore_empty=True)

    # -- web
    secret_key: SecretStr = Field(min_length=32, description="Django's signing key, at least 32 characters.")
    debug: bool = Field(False, description="Developer mode. Never on a machine that others can reach.")
    allowed_hosts: Hosts = Field(
        list(OWN_HOSTS),
        description="Host names the web server answers to, comma-separated. This machine's own always count.",
    )
    csrf_trusted_origins: Words = Field(
        [], description="Origins (https://host) that may post forms through a proxy, comma-separated."
    )
    secure_cookies: bool = Field(
        False, description="Send cookies over HTTPS only and redirect HTTP to HTTPS: set it behind a TLS proxy."
    )
    static_root: str = Field("var/static", description="Where collectstatic puts the files the web server sends.")
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="How many reverse proxies stand in front and append X-Forwarded-For."
    )

    # -- signing in
    require_second_factor: bool | None = Field(
        None, description="Staff sign in with a code of an authenticator app too. Not set: yes, unless DEBUG."
    )
    session_idle_timeout: int = Field(
        900, ge=60, le=86_400, description="Staff are signed out when nothing was done for so long."
    )
    session_lifetime: int = Field(28_800, ge=60, le=604_800, description="Longest that staff stay signed in.")
    reauthenticate_after: int = Field(
        600, ge=10, le=86_400, description="Age of a sign-in at which sensitive actions ask for it again."
    )
    sign_in_attempts: int = Field(5, ge=1, le=100, description="Failures to sign in before an account has to wait.")
    sign_in_address_attempts: int = Field(
        30, ge=1, le=10_000, description="Failures to sign in before an address has to wait."
    )
    sign_in_first_wait: int = Field(
        30, ge=1, le=3600, description="First such wait; each further failure doubles it."
    )
    sign_in_longest_wait: int = Field(900, ge=1, le=86_400, description="Longest such wait.")
    viewings_retention_days: int = Field(
        400, ge=91, le=36_500, description="How long it is kept who looked at which list, days."
    )

    # -- admin
    export_max_rows: int = Field(
        10_000, ge=1, le=1_000_000, description="Most rows of a list in one file that staff export from the admin."
    )

    # -- PostgreSQL
    database_url: PostgresUrl = Field(
        description="postgresql://user:password@host:port/name, with ?sslmode=verify-full&sslrootcert=FILE where the "
        "way to the server is not your own."
    )
    pool_min_connections: int = Field(2, ge=0, le=1000, description="Connections each process keeps open.")
    pool_max_connections: int = Field(20, ge=1, le=1000, description="Most connections of each process.")
    connection_acquire_timeout: int = Field(15, ge=1, le=300, description="Longest wait for a pooled connection.")
    pool_acquire_timeout: int = Field(
        15, ge=1, le=300, description="Another name of CONNECTION_ACQUIRE_TIMEOUT: set one of the two."
    )
    pool_auto_scaling: bool = Field(
        False, description="Each process moves its pool's ceiling, up to POOL_MAX_CONNECTIONS, by measured waits."
    )
    db_operation_timeout: int = Field(30, ge=1, le=3600, description="Longest run of one SQL statement.")
    lock_timeout_ms: int = Field(5000, ge=10, le=300_000, description="Longest wait for one lock, milliseconds.")
    transaction_timeout: int = Field(
        60,
        ge=1,
        le=3600,
        description="Longest a transaction may sit idle; with ENABLE_AUTO_RESOLUTION also the longest it may last, "
        "but for jobs.",
    )

    # -- Redis
    redis_url: RedisUrl = Field(description="redis://:password@host:port/0")
    redis_operation_timeout: int = Field(5, ge=1, le=60, description="Socket timeout of one Redis operation.")
    redis_max_connections: int = Field(50, ge=1, le=1000, description="Most connections of each Redis pool.")
    redis_min_connections: int = Field(5, ge=0, le=1000, description="Connections the cache opens at its first use.")

    # -- cache
    cache_default_ttl: int = Field(3600, ge=1, le=604_800, description="Longest life of a cached document.")
    cache_max_size: int = Field(5000, ge=1, le=10_000_000, description="Most documents in a process's memory.")
    cache_shard_count: int = Field(8, ge=1, le=1024, description="Parts of that memory, each with its own lock.")
    cache_operation_timeout: int = Field(10, ge=1, le=300, description="Longest run of one cache operation.")
    cache_redis_timeout_ms: int = Field(
        100, ge=5, le=60_000, description="Longest wait of a read for the shared cache, milliseconds."
    )
    cache_warmup_batch_size: int = Field(50, ge=1, le=10_000, description="Documents warmed in one pipeline.")
    cache_warmup_interval: int = Field(300, ge=1, le=86_400, description="Pause between two warm-ups.")

    # -- event store
    shard_count: int = Field(64, ge=1, le=1024, description="Shards of the event feed. Chosen once, then recorded.")
    snapshot_every: int = Field(100, ge=2, le=100_000, description="Events of one stream between two snapshots.")
    snapshots_kept: int = Field(20, ge=1, le=1000, description="Snapshots kept for each stream by the cleanup.")
    idempotency_retention_hours: int = Field(
        48,
        ge=24,
        le=8760,
        description="How long an idempotency key is remembered, hours. The same command sent again after that is "
        "executed again.",
    )
    projection_batch_size: int = Field(1000, ge=1, le=50_000, description="Events a projection applies at once.")
    projection_poll_ms: int = Field(100, ge=10, le=60_000, description="Pause of an idle projector, milliseconds.")

    # -- Kafka
    kafka_enabled: bool = Field(False, description="Read models follow Kafka; false: the feed in PostgreSQL.")
    kafka_bootstrap_servers: str = Field("localhost:9092", description="Brokers to begin with, host:port, ...")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to. Without SASL or SSL anybody on the way can write."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="How the user signs in to the brokers, with a SASL protocol."
    )
    kafka_sasl_username: str = Field("", description="User of the brokers.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="Its password.")
    kafka_ssl_ca_location: str = Field("", description="File of the authority that signed the brokers' certificates.")
    kafka_group_id: str = Field("banking-es-group", min_length=1, description="Consumer group of the read models.")
    kafka_topic: str = Field("banking-es.events", min_length=1, description="Topic of the events.")
    kafka_dead_letter_topic: str = Field(
        "banking-es.dead-letters", min_length=1, description="Topic of what could not be applied or read."
    )
    kafka_replication_factor: int = Field(1, ge=1, le=15, description="Copies of each partition, for new topics.")
    kafka_retention_hours: int = Field(
        168, ge=1, le=87_600, description="How long a new topic keeps messages, hours. PostgreSQL keeps all events."
    )
    kafka_consumer_max_poll_records: int = Field(
        250, ge=1, le=50_000, description="Most messages a consumer applies at once."
    )
    kafka_consumer_session_timeout_ms: int = Field(
        30_000, ge=6000, le=300_000, description="Silence after which a consumer counts as dead, milliseconds."
    )
    kafka_consumer_max_poll_interval_ms: int = Field(
        600_000, ge=6000, le=3_600_000, description="Longest work on one batch, milliseconds."
    )
    kafka_operation_timeout: int = Field(15, ge=1, le=300, description="Longest wait for an answer of the brokers.")

    # -- webhooks
    webhook_allow_http: bool = Field(False, description="Take http:// addresses too. Anybody on the way can read.")
    webhook_allow_private_addresses: bool = Field(
        False, description="Send to private networks and to this machine too, which a client could then probe."
    )
    webhook_allowed_ports: Numbers = Field(
        [443, 8443], description="Ports that a webhook's address may name, comma-separated."
    )
    webhook_ca_location: str = Field(
        "", description="File of further authorities that may have signed receivers' certificates."
    )
    webhook_max_per_client: int = Field(20, ge=1, le=1000, description="Most webhooks of one API client.")
    webhook_connect_timeout: int = Field(5, ge=1, le=60, description="Longest wait for a receiver's connection.")
    webhook_timeout: int = Field(
        10, ge=1, le=120, description="Longest wait for a receiver's answer, once connected."
    )
    webhook_lease: int = Field(60, ge=3, le=3600, description="Silence after which a delivery is tried by another.")
    webhook_max_in_flight: int = Field(4, ge=1, le=1000, description="Most deliveries at once to one webhook.")
    webhook_max_attempts: int = Field(15, ge=1, le=100, description="Tries of a delivery; 15 take about a day.")
    webhook_pause_after: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Failures in a row after which a webhook is paused; 100 take about 8 hours.",
    )
    webhook_secret_overlap_hours: int = Field(
        24, ge=0, le=720, description="How long a replaced secret still signs beside the new one, hours."
    )
    webhook_retention_days: int = Field(
        30, ge=2, le=3650, description="How long deliveries are kept, sent or not, days."
    )
    webhook_poll_ms: int = Field(250, ge=10, le=60_000, description="Pause of an idle sender, milliseconds.")

    # -- files of commands
    body_read_timeout: int = Field(
        30,
        ge=1,
        le=600,
        description="Longest wait of the web server for a request's body, or for the next piece of a long one, "
        "which has four times as long in all unless it is an import.",
    )
    import_time_limit: int = Field(
        3600, ge=1, le=86_400, description="Longest run of one request of an import; it can be gone on with."
    )
    import_retention_days: int = Field(
        400,
        ge=30,
        le=36_500,
        description="How long an import is remembered after its last line was taken, days. The same file sent again "
        "after that is executed again.",
    )

    # -- operations
    batch_processing_timeout: int = Field(
        60, ge=1, le=3600, description="Longest run of one batch of commands, or of events into a read model."
    )
    health_check_timeout: int = Field(10, ge=1, le=60, description="Longest wait for the health of one component.")
    ops_allowed_networks: Networks = Field(
        [],
        description="Networks that may read health, metrics, configuration and debug pages without a key, "
        "comma-separated (10.0.0.0/8).",
    )
    ledger_proof_max_age_hours: int = Field(
        26, ge=1, le=8760, description="Age of the last proof of the books beyond which health complains, hours."
    )
    board_dir: str = Field(
        "var/board", min_length=1, description="Where the processes of this machine tell each other what they do."
    )
    coalesce_commands: bool = Field(
        True,
        description="Execute commands that arrive together in one transaction, each with its own outcome.",
    )
    fast_lane: bool = Field(
        True, description="Serve transfers, deposits, withdrawals and balances in front of the web framework."
    )
    api_key_trust: float = Field(
        1.0, ge=0, le=60, description="Seconds after which a process notices that another one revoked an API key."
    )
    max_concurrent_operations: int = Field(
        1000, ge=1, le=100_000, description="Operations in hand on this machine beyond which commands are refused."
    )
    max_requests_per_client: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Requests of one API client in hand in a web process beyond which it gets 429.",
    )
    deadlock_check_interval: int = Field(5, ge=1, le=3600, description="Pause between two looks of the monitor.")
    deadlock_operation_timeout: int = Field(
        30, ge=1, le=3600, description="Age at which a command or a batch counts as stuck."
    )
    deadlock_window: int = Field(
        300, ge=5, le=600, description="Time over which deadlocks, lock timeouts and version conflicts are counted."
    )
    enable_auto_resolution: bool = Field(
        False, description="The monitor cancels, then ends, what the bank's own stuck operations do in PostgreSQL."
    )
    job_time_limit: int = Field(
        10_800, ge=1, le=86_400, description="Longest run of one job of the admin (a rebuild, a proof of the books)."
    )
    job_retention_days: int = Field(
        90, ge=1, le=3650, description="How long finished jobs are kept with their reports and logs, days."
    )
    approval_expires_hours: int = Field(
        72, ge=1, le=2160, description="How long a second person may take to approve what was asked for, hours."
    )
    approval_reversal_limits: LimitsByRole = Field(
        {"supervisor:EUR": "1000.00"},
        description="Up to which amount a role may reverse a transaction alone, `supervisor:EUR=1000.00,...`; above "
        "it, and in any other currency, a second person approves. `none`: always.",
    )
    approval_overdraft_limits: LimitsByRole = Field(
        {},
        description="Up to which new overdraft limit a role may change one alone, written likewise.",
    )
    approval_movement_limits: LimitsByRole = Field(
        {},
        description="Up to which amount a role may pay in or out, transfer, hold or capture alone in the admin, "
        "written likewise; what one person moves alone on an account in a day (UTC) counts together. Empty, or "
        "`none`: any amount.",
    )
    drills_allowed: bool = Field(
        False, description="`manage.py drill` may produce faults on purpose. For installations without real clients."
    )

    # -- logs
    log_level: LogLevel = Field(
        "INFO",
        validation_alias=AliasChoices("log_level", "rust_log"),
        description="DEBUG, INFO, WARNING or ERROR. (RUST_LOG is the guide's name for it.)",
    )
    log_levels: LevelsByModule = Field(
        {},
        validation_alias=AliasChoices("log_levels", "rust_log_banking_es"),
        description="Levels of single modules, `eventstore=DEBUG,ops.cache=WARNING`; a level alone is that of all of "
        "the bank's own. (RUST_LOG_BANKING_ES is the guide's name for it.)",
    )
    log_format: Literal["console", "json"] = Field(
        "console",
        validation_alias=AliasChoices("log_format", "rust_log_format"),
        description="`console` for people, `json` for machines. (RUST_LOG_FORMAT is the guide's name for it.)",
    )

    log_timestamps: bool = Field(
        True, description="Console lines carry the time. False where whoever collects them adds it."
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="Where OpenTelemetry traces go (http://host:4318); empty: nowhere. Needs requirements/otel.txt.",
    )

    @model_validator(mode="before")
    @classmethod
    def _two_names_of_one_wait(cls, data: dict[str, object]) -> dict[str, object]:
        """The guide knows the longest wait for a pooled connection by two names."""
        first, second = "connection_acquire_timeout", "pool_acquire_timeout"
        given = {name: data[name] for name in (first, second) if data.get(name) not in (None, "")}
        if len(given) == 1:
            (value,) = given.values()
            return data | {first: value, second: value}
        return data

    @model_validator(mode="after")
    def _one_wait_for_a_connection(self) -> "Settings":
        if self.pool_acquire_timeout != self.connection_acquire_timeout:
            raise ValueError(
                f"POOL_ACQUIRE_TIMEOUT is {self.pool_acquire_timeout} and CONNECTION_ACQUIRE_TIMEOUT "
                f"{self.connection_acquire_timeout}: they are two names of one setting, so give one, or both the same"
            )
        return self

    @model_validator(mode="after")
    def _pool_bounds_in_order(self) -> "Settings":
        if self.pool_min_connections > self.pool_max_connections:
            raise ValueError("POOL_MIN_CONNECTIONS must not be above POOL_MAX_CONNECTIONS")
        if self.redis_min_connections > self.redis_max_connections:
            raise ValueError("REDIS_MIN_CONNECTIONS must not be above REDIS_MAX_CONNECTIONS")
        return self

    @model_validator(mode="after")
    def _lease_outlives_a_try(self) -> "Settings":
        if self.webhook_lease <= self.webhook_connect_timeout + self.webhook_timeout:
            raise ValueError("WEBHOOK_LEASE must be above WEBHOOK_CONNECT_TIMEOUT and WEBHOOK_TIMEOUT together")
        return self

    @model_validator(mode="after")
    def _kafka_times_in_order(self) -> "Settings":
        if self.kafka_consumer_session_timeout_ms > self.kafka_consumer_max_poll_interval_ms:
            raise ValueError(
                "KAFKA_CONSUMER_SESSION_TIMEOUT_MS must not be above KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS"
            )
        return self

    @model_validator(mode="after")
    def _sign_in_times_in_order(self) -> "Settings":
        if self.session_idle_timeout > self.session_lifetime:
            raise ValueError("SESSION_IDLE_TIMEOUT must not be above SESSION_LIFETIME")
        if self.sign_in_first_wait > self.sign_in_longest_wait:
            raise ValueError("SIGN_IN_FIRST_WAIT must not be above SIGN_IN_LONGEST_WAIT")
        return self

    @property
    def second_factor_required(self) -> bool:
        return not self.debug if self.require_second_factor is None else self.require_second_factor

    def database_parameters(self) -> dict[str, str | int]:
        """DATABASE_URL in the form of Django's DATABASES entry (NAME, USER, PASSWORD, HOST, PORT)."""
        parts = urlsplit(self.database_url.get_secret_value())
        return {
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": parts.port or 5432,
        }

    def database_options(self) -> dict[str, str]:
        """What DATABASE_URL says of TLS, as libpq's parameters (sslmode, sslrootcert...)."""
        return dict(parse_qsl(urlsplit(self.database_url.get_secret_value()).query, keep_blank_values=True))

    @property
    def cache_redis_timeout(self) -> float:
        """Seconds that one exchange of a read with Redis may take."""
        return min(self.cache_redis_timeout_ms / 1000, self.redis_operation_timeout, self.cache_operation_timeout)

    def redis_database(self, number: int) -> str:
        """REDIS_URL with another database number: pools are keyed by URL, so each use has its own."""
        parts = urlsplit(self.redis_url.get_secret_value())
        return parts._replace(path=f"/{number}").geturl()


def describe(error: ValidationError) -> str:
    """One sentence per wrong setting; never its value where the setting is a secret."""
    sentences = []
    for item in error.errors():
        name = str(item["loc"][0]).upper() if item["loc"] else ""
        if item["type"] == "missing":
            field = Settings.model_fields.get(name.lower())
            hint = f" ({field.description})" if field and field.description else ""
            sentences.append(f"{name} is not set{hint}.")
            continue
        field = Settings.model_fields.get(name.lower())
        is_secret = field is not None and field.annotation is SecretStr
        given = "" if is_secret or not name else f" is {item['input']!r}:"
        sentences.append(f"{name}{given} {item['msg'].removeprefix('Value error, ')}.".strip())
    return " ".join(sentences)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        ConfigurationError: one or more settings are missing or wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError("bankes does not start: " + describe(error)) from None
