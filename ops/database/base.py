"""Django's PostgreSQL backend; its name is the setting DATABASES["default"]["ENGINE"]."""

from typing import Any

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from ops.database import watching
from ops.database.pool import Pool, check_connection
from ops.operations import backend
from ops.operations.backend import Backend
from ops.timeouts.connection import BoundedConnection

BACKEND_SINCE = "SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> Pool | None:
        """As Django's own, with a pool that knows what it has handed out (Django takes no class of ours)."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        pools: dict[str, Pool] = self._connection_pools  # type: ignore[attr-defined]
        pool = pools.get(self.alias)
        if pool is None:
            pool = pools.setdefault(self.alias, self._make_pool(options))
            watching.watch(pool)
        return pool

    def _make_pool(self, options: dict[str, Any]) -> Pool:
        return Pool(
            kwargs=self.get_connection_params() | {"autocommit": True},
            open=False,
            configure=self._configure_connection,
            check=check_connection if self.settings_dict["CONN_HEALTH_CHECKS"] else None,
            **options,
        )

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        """Called for each new connection. Notes when its backend began: a process id alone may be somebody else's
        later."""
        commit = super()._configure_connection(connection)  # type: ignore[misc]
        row = connection.execute(BACKEND_SINCE).fetchone()
        connection.backend = Backend(connection.info.backend_pid, row[0].isoformat())  # type: ignore[attr-defined,index]
        return bool(commit)

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        if self.pool is None:  # Celery's workers
            self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            return BoundedConnection[Any].connect(**conn_params)
        connection: psycopg.Connection[Any] = super().get_new_connection(conn_params)
        backend.takes(connection.backend)  # type: ignore[attr-defined]
        return connection

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self.connection is not None and self.pool is None:
            backend.takes(self.connection.backend)

    def _close(self) -> None:
        backend.takes(None)  # before it goes: from then on it may be somebody else's
        super()._close()  # type: ignore[misc]
