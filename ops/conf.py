"""The one typed reader of the environment.

Every setting of bankes is a field of `Settings`; nothing else in the project reads environment variables
(the launcher in `ops.embedded` prepares them, and passes on what the caller set). A wrong value stops the
start with one sentence that names the setting, what was given and what is expected.
"""

from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names each one and what it should be."""


class Settings(BaseSettings):
    """Effective configuration. Durations are whole seconds unless a name says otherwise."""

    model_config = SettingsConfigDict(case_sensitive=False, extra="ignore", frozen=True, env_ignore_empty=True)

    # -- web
    secret_key: SecretStr = Field(min_length=32, description="Django's signing key, at least 32 characters.")
    debug: bool = Field(False, description="Developer mode. Never on a machine that others can reach.")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        ["localhost", "127.0.0.1", "[::1]"], description="Host names the web server answers to, comma-separated."
    )
    csrf_trusted_origins: Annotated[list[str], NoDecode] = Field(
        [], description="Origins (https://host) that may post forms through a proxy, comma-separated."
    )
    secure_cookies: bool = Field(
        False, description="Send cookies over HTTPS only and redirect HTTP to HTTPS: set it behind a TLS proxy."
    )
    static_root: str = Field("var/static", description="Where collectstatic puts the files the web server sends.")
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="How many reverse proxies stand in front and append X-Forwarded-For."
    )

    # -- PostgreSQL
    database_url: SecretStr = Field(description="postgresql://user:password@host:port/name")
    pool_min_connections: int = Field(2, ge=0, le=1000, description="Connections each process keeps open.")
    pool_max_connections: int = Field(20, ge=1, le=1000, description="Most connections of each process.")
    connection_acquire_timeout: int = Field(15, ge=1, le=300, description="Longest wait for a pooled connection.")
    db_operation_timeout: int = Field(30, ge=1, le=3600, description="Longest run of one SQL statement.")
    lock_timeout_ms: int = Field(5000, ge=10, le=300_000, description="Longest wait for one lock, milliseconds.")
    transaction_timeout: int = Field(60, ge=1, le=3600, description="Longest a transaction may sit idle.")

    # -- Redis
    redis_url: SecretStr = Field(description="redis://:password@host:port/0")
    redis_operation_timeout: int = Field(5, ge=1, le=60, description="Socket timeout of one Redis operation.")
    redis_max_connections: int = Field(50, ge=1, le=1000, description="Most Redis connections of each process.")

    # -- event store
    shard_count: int = Field(64, ge=1, le=1024, description="Shards of the event feed. Chosen once, then recorded.")
    snapshot_every: int = Field(100, ge=2, le=100_000, description="Events of one stream between two snapshots.")
    snapshots_kept: int = Field(20, ge=1, le=1000, description="Snapshots kept for each stream by the cleanup.")
    idempotency_retention_hours: int = Field(
        48, ge=24, le=8760, description="How long an idempotency key is remembered, hours."
    )
    projection_batch_size: int = Field(1000, ge=1, le=50_000, description="Events a projection applies at once.")
    projection_poll_ms: int = Field(100, ge=10, le=60_000, description="Pause of an idle projector, milliseconds.")

    # -- logs
    log_level: LogLevel = "INFO"
    log_format: Literal["console", "json"] = "console"

    @field_validator("allowed_hosts", "csrf_trusted_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or parts.path in ("", "/"):
            raise ValueError("must look like postgresql://user:password@host:port/name")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("must look like redis://:password@host:port/0")
        return value

    @model_validator(mode="after")
    def _pool_bounds_in_order(self) -> "Settings":
        if self.pool_min_connections > self.pool_max_connections:
            raise ValueError("POOL_MIN_CONNECTIONS must not be above POOL_MAX_CONNECTIONS")
        return self

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
