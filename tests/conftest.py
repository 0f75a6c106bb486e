"""One real PostgreSQL and Redis for the whole run, prepared by `make test`; each test starts with empty books.

The tests run with the application's own role, so that a missing privilege is noticed; only the sweeping between
tests uses the superuser, since nobody else can remove an event.
"""

import json
import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.cache import cache
from django.db import connection, connections

from ops.conf import get_settings
from ops.embedded.throwaway import SERVERS_OF_WORKERS
from tests.bank import Bank

KEPT_TABLES = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "store_choices",
    "read_model_tables",
}


def pytest_configure(config: pytest.Config) -> None:
    """A board of this run alone: what other processes of the checkout do is none of its business."""
    os.environ["BOARD_DIR"] = folder = tempfile.mkdtemp(prefix="board-")
    get_settings.cache_clear()
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Each process has the servers that `make test` started for it."""
    for spec, own in zip(specs, json.loads(os.environ[SERVERS_OF_WORKERS]), strict=True):
        spec.env.update(own)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """A command that is called here handles signals as a service does; pytest needs its own handlers back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database is there and migrated: `make test` made it."""


@pytest.fixture(scope="session")
def sweeper() -> Iterator[psycopg.Connection]:
    """A superuser's connection that may empty the books (triggers do not fire for a replica)."""
    url = os.environ.get("DATABASE_SUPERUSER_URL")
    if not url:
        pytest.exit("The tests need servers of their own: run them with `make test`.", returncode=2)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        yield conn


@pytest.fixture(scope="session")
def sweep(sweeper: psycopg.Connection) -> Callable[[], None]:
    """Empties the books and everything else that a test may have left."""

    def empty_all_tables() -> None:
        rows = sweeper.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = sorted({name for (name,) in rows} - KEPT_TABLES)
        sweeper.execute(";".join(f'DELETE FROM "{name}"' for name in names).encode())

    return empty_all_tables


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any, sweep: Callable[[], None]) -> Iterator[None]:
    """Empty books, and transactions that really commit."""
    with empty_books(django_db_blocker, sweep):
        yield


@contextmanager
def empty_books(django_db_blocker: Any, sweep: Callable[[], None]) -> Iterator[None]:
    """The same, for as long as the block lasts: for tests that share their books."""
    sweep()
    with django_db_blocker.unblock():
        cache.clear()
        yield
        connections.close_all()
        _notice_kept_connections()


def _notice_kept_connections() -> None:
    """A connection that a test's thread kept would be missing to those that come after."""
    pool = connection.pool
    deadline = time.monotonic() + 2
    while pool is not None:
        stats = pool.get_stats()
        kept = stats.get("pool_size", 0) - stats.get("pool_available", 0)
        if kept <= _kept["by earlier tests"]:
            return
        if time.monotonic() > deadline:
            _kept["by earlier tests"] = kept
            warnings.warn(f"{kept} connections of the pool stay in use: threads must close theirs", stacklevel=1)
            return
        time.sleep(0.02)


_kept = {"by earlier tests": 0}


@pytest.fixture
def transactional_db(db: None) -> None:
    """Every test's transactions are real ones."""


@pytest.fixture
def bank(db: None) -> Bank:
    """The bank, through its public way in: the executor."""
    return Bank()
