"""How settings are written where a plain number or word will not do: lists, levels by module, limits, URLs."""

import re
from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

OWN_PACKAGES = ("bankes", "accounts", "eventstore", "ops")
OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")
DATABASE_OPTIONS = ("channel_binding", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert")
"""What may stand behind the `?` of DATABASE_URL: how the way to the server is secured. Time limits are settings."""


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _with_own_hosts(value: list[str]) -> list[str]:
    """Health checks and scrapes of the same machine use its own names, whatever names the bank has outside."""
    return list(dict.fromkeys([*OWN_HOSTS, *value]))


def _levels_by_module(value: object) -> object:
    """ "eventstore=DEBUG,WARNING": a level without a module is that of every package of the bank."""
    if not isinstance(value, str):
        return value
    levels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        module, _, level = part.rpartition("=")
        levels |= dict.fromkeys([module.strip()] if module else OWN_PACKAGES, level.strip().upper())
    return levels


def _limits_by_role(value: object) -> object:
    """ "supervisor:EUR=1000.00,supervisor:USD=1100.00": whether there are such roles, currencies and amounts is
    known by the floor of the accounts, which checks it at the start."""
    if not isinstance(value, str):
        return value
    limits: dict[str, str] = {}
    if value.strip().lower() == "none":
        return limits
    for part in filter(None, (part.strip() for part in value.split(","))):
        match = re.fullmatch(r"([\w-]+:[A-Z]{3})\s*=\s*(\d+(?:\.\d+)?)", part, re.ASCII)
        if match is None:
            raise ValueError(f"{part[:60]!r} must be role:currency=amount, such as supervisor:EUR=1000.00")
        limits[match[1]] = match[2]
    return limits


def _are_networks(value: list[str]) -> list[str]:
    for network in value:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"{network} must be a network such as 10.0.0.0/8 or 192.0.2.7") from None
    return value


def _is_postgresql(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or parts.path in ("", "/"):
        raise ValueError("must look like postgresql://user:password@host:port/name")
    for name in parse_qs(parts.query, keep_blank_values=True):
        if name not in DATABASE_OPTIONS:
            raise ValueError(f"must not have ?{name[:60]}=, only {', '.join(DATABASE_OPTIONS)}")
    return value


def _is_redis(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("must look like redis://:password@host:port/0")
    if "db" in parse_qs(parts.query, keep_blank_values=True):  # it would win over the path: see redis_database
        raise ValueError(
            "must not have ?db=, since the bank uses several databases: write redis://:password@host:port/0"
        )
    return value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
Hosts = Annotated[list[str], NoDecode, BeforeValidator(_split_commas), AfterValidator(_with_own_hosts)]
Numbers = Annotated[list[int], NoDecode, BeforeValidator(_split_commas)]
Networks = Annotated[list[str], NoDecode, BeforeValidator(_split_commas), AfterValidator(_are_networks)]
LevelsByModule = Annotated[dict[str, LogLevel], NoDecode, BeforeValidator(_levels_by_module)]
LimitsByRole = Annotated[dict[str, str], NoDecode, BeforeValidator(_limits_by_role)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_is_postgresql)]
RedisUrl = Annotated[SecretStr, AfterValidator(_is_redis)]
