"""Databases of their own for the yardstick and the peers, on the same server as the bank's."""

import os
from urllib.parse import urlsplit

import psycopg
from psycopg import sql


def fresh(name: str) -> str:
    """An empty database; returns its address."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlsplit(os.environ["DATABASE_SUPERUSER_URL"])._replace(path=f"/{name}").geturl()


def as_variables(address: str) -> dict[str, str]:
    """The address as libpq's programs read it from the environment, so that the password is on no command line."""
    parts = urlsplit(address)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
    }
