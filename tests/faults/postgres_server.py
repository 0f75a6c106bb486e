"""A PostgreSQL of a test's own, with the bank's schema, to be killed, hung, and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ops.embedded import environment, postgres
from ops.embedded.binaries import find_postgres
from ops.embedded.layout import ROOT
from ops.embedded.ports import kept_or_free
from ops.embedded.privileges import choose_account
from ops.embedded.processes import wrapped
from ops.embedded.secrets import generate

DATABASE = "banking_es"


class PostgresServer:
    """The server that the launcher would run, configured as the launcher configures it."""

    def __init__(self, directory: Path) -> None:
        caller = environment.base(os.environ)
        self.port = kept_or_free(None)
        self._secrets = generate()
        self._directory = directory / "postgres"
        self._log = directory / "postgres.log"
        self._cluster = postgres.Cluster(self._directory, find_postgres(caller, None), choose_account(), caller)
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self) -> Mapping[str, str]:
        return {
            "DATABASE_URL": self._url(postgres.APPLICATION, self._secrets.banking_es_app),
            "DATABASE_OWNER_URL": self._url(postgres.OWNER, self._secrets.banking_es_owner),
        }

    def make(self) -> None:
        """Starts it the first time: with the roles, and migrated."""
        self.start()
        postgres.prepare_database(self.port, self._secrets, DATABASE)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0", "--skip-checks"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": self.settings()["DATABASE_OWNER_URL"]},
            check=True,
            timeout=120,
        )

    def start(self) -> None:
        self._cluster.prepare(self.port, self._secrets.postgres)
        spec = self._cluster.spec()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                wrapped(spec.command, spec.account, signal.SIGQUIT),
                cwd=spec.directory,
                env=dict(spec.environment),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        administrator = self._url(postgres.SUPERUSER, self._secrets.postgres, "postgres")
        deadline = time.monotonic() + 60
        while not postgres.answers(administrator):
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """To the server and each of its sessions, which have process groups of their own."""
        for pid in postgres._servers_in(self._directory):
            with suppress(ProcessLookupError):  # those of a server that is killed go with it
                os.kill(pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self.kill()

    def _url(self, role: str, password: str, database: str = DATABASE) -> str:
        return postgres.url(role, password, self.port, database)
