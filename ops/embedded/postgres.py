"""A private PostgreSQL on the loopback interface, with fsync, checksums and password sign-in over TCP only."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from ops.embedded.binaries import Binaries
from ops.embedded.errors import Refusal, disk_is_full
from ops.embedded.layout import ROOT, check_space, make_directory, write_private
from ops.embedded.ports import LOOPBACK
from ops.embedded.privileges import check_reach, give
from ops.embedded.processes import Account, ChildSpec, end, wrapped
from ops.embedded.secrets import Secrets

OWNER, APPLICATION, SUPERUSER = "banking_es_owner", "banking_es_app", "postgres"
ROLES = ROOT / "deploy" / "roles.sql"
STOP_BY = 13.6
READY_WITHIN = 120.0
"""Seconds; after a crash the server first replays its write-ahead log."""

CONFIGURATION = """\
# Written by the launcher at each start.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200

fsync = on
synchronous_commit = on
full_page_writes = on
wal_compression = on
max_wal_size = '1GB'

shared_buffers = '128MB'
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '[%p] %q%u@%d '
log_lock_waits = on
log_checkpoints = off
"""
SIGN_IN = f"host all all {LOOPBACK}/32 scram-sha-256\n"


class Cluster:
    """One PostgreSQL data directory and the programs that run it."""

    def __init__(self, directory: Path, binaries: Binaries, account: Account, environment: dict[str, str]) -> None:
        self.directory = directory
        self._binaries = binaries
        self._account = account
        self._environment = environment

    def prepare(self, port: int, password: str) -> None:
        """Have a data directory that is set up for `port` and that no older server still uses.

        Raises:
            Refusal: the directory cannot be reached or made.
        """
        check_reach(self._make_reachable(), self._binaries["postgres"], self._account)
        if not self.directory.exists():
            self._create(password)
        give(self.directory, self._account)
        _end_leftover(self.directory)
        self._write_configuration(port)

    def spec(self) -> ChildSpec:
        """SIGINT is PostgreSQL's fast shutdown; SIGQUIT its immediate one, after which it recovers on start."""
        return ChildSpec(
            "postgres",
            [self._binaries["postgres"], "-D", self.directory],
            self._environment,
            STOP_BY,
            stop_signal=signal.SIGINT,
            last_resorts=(signal.SIGQUIT, signal.SIGKILL),
            account=self._account,
            directory=Path("/"),
        )

    def _make_reachable(self) -> Path:
        """A directory beside the data that belongs to the account, made to try whether the account gets there."""
        place = make_directory(self.directory.with_name(self.directory.name + ".new"))
        give(place, self._account)
        return place

    def _create(self, password: str) -> None:
        """Run initdb beside the final place and move the result there, so that half a cluster never counts."""
        check_space(self.directory.parent, "a new database")
        place = self.directory.with_name(self.directory.name + ".new")
        password_file = place.with_name("postgres.password")
        shutil.rmtree(place, ignore_errors=True)
        make_directory(place)
        write_private(password_file, password + "\n")
        give(place, self._account)
        give(password_file, self._account)
        choices = ["--username=" + SUPERUSER, "--encoding=UTF8", "--auth=scram-sha-256", "--data-checksums"]
        choices += ["--locale=C", f"--lc-ctype={_character_type()}", f"--pwfile={password_file}"]
        command = wrapped([self._binaries["initdb"], "-D", place, *choices], self._account)
        try:
            result = subprocess.run(
                command, cwd="/", env=self._environment, capture_output=True, text=True, check=False
            )
        finally:
            password_file.unlink()
        lines = (result.stdout + result.stderr).splitlines()
        if result.returncode:
            if disk_is_full(lines):
                raise Refusal(
                    "The disk is full: PostgreSQL could not make its files; free some space and run make again."
                )
            raise Refusal(
                "PostgreSQL could not make its files (initdb failed); what it said stands above.", lines[-10:]
            )
        place.rename(self.directory)

    def _write_configuration(self, port: int) -> None:
        write_private(self.directory / "postgresql.conf", CONFIGURATION.format(host=LOOPBACK, port=port))
        write_private(self.directory / "pg_hba.conf", SIGN_IN)
        for name in ("postgresql.conf", "pg_hba.conf"):
            give(self.directory / name, self._account)


def data_major(directory: Path) -> int | None:
    """Which PostgreSQL made the data in `directory`; None when there is none yet."""
    try:
        return int((directory / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def url(role: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{database}"


def answers(address: str) -> bool:
    """Whether the server at this URL accepts connections."""
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def prepare_database(port: int, secrets: Secrets, database: str) -> None:
    """Create the database where it is missing, apply deploy/roles.sql, and set the roles' passwords."""
    with psycopg.connect(url(SUPERUSER, secrets.postgres, port, "postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    with psycopg.connect(url(SUPERUSER, secrets.postgres, port, database)) as connection:
        connection.execute(ROLES.read_bytes())
        for role, password in ((OWNER, secrets.banking_es_owner), (APPLICATION, secrets.banking_es_app)):
            _set_password(connection, role, password)


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Sends the password's SCRAM verifier, so that the password itself cannot end up in the server's log."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _character_type() -> str:
    """C.UTF-8 where the machine has it, so that upper and lower case work beyond ASCII; order is by bytes."""
    known = (
        subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)
        if shutil.which("locale")
        else None
    )
    return "C.UTF-8" if known and {"C.UTF-8", "C.utf8"} & set(known.stdout.split()) else "C"


def _end_leftover(directory: Path) -> None:
    """End a server that a killed launcher left on this directory, and clear away a lock file without a server.

    A server is ours when it works in this very directory. A process that merely got the same id after a
    crash or a reboot is left alone; the lock file then is stale, and PostgreSQL itself could not tell.
    """
    lock_file = directory / "postmaster.pid"
    try:
        pid = int(lock_file.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if _works_in(pid, directory):
        end({"postgres": pid})
        _wait_for_backends(directory)
    lock_file.unlink(missing_ok=True)


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(directory.resolve())
    except OSError:
        return False


def _wait_for_backends(directory: Path, seconds: float = 5.0) -> None:
    """Processes of a killed server notice its end within a moment; a new one must not start before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(
            _works_in(int(entry.name), directory) for entry in Path("/proc").iterdir() if entry.name.isdigit()
        ):
            return
        time.sleep(0.1)
