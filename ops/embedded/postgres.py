"""A private PostgreSQL on the loopback interface, with fsync, checksums and password sign-in over TCP only."""

import os
import re
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
from ops.embedded.privileges import check_reach, give, open_way
from ops.embedded.processes import Account, ChildSpec, end, wrapped
from ops.embedded.secrets import Secrets

OWNER, APPLICATION, SUPERUSER = "banking_es_owner", "banking_es_app", "postgres"
ROLES = ROOT / "deploy" / "roles.sql"
STOP_BY = 13.6
LEAST_CONNECTIONS = 200
POOLS = 10
"""At least as many as the bank's processes have between them."""
BESIDE_POOLS = 40
"""Connections of commands, jobs and people."""
READY_WITHIN = 120.0
"""Seconds; after a crash the server first replays its write-ahead log."""

CONFIGURATION = """\
# Written by the launcher at each start.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = {connections}

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

    def prepare(self, port: int, password: str, connections: int = LEAST_CONNECTIONS) -> None:
        """Have a data directory that is set up for `port` and so many clients, and that no older server still uses.

        Raises:
            Refusal: the directory cannot be reached or made.
        """
        place = self._place_of_work()
        check_reach(place, self._binaries["postgres"], self._account)
        if self.directory.exists():
            place.rmdir()
            give(self.directory, self._account)
        else:
            self._create(place, password)
        _end_leftover(self.directory)
        self._write_configuration(port, connections)

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

    def _place_of_work(self) -> Path:
        """An empty directory beside the data that belongs to the account: what initdb fills, and what shows
        whether the account can get there."""
        open_way(self.directory, self._account)
        place = self.directory.with_name(self.directory.name + ".new")
        shutil.rmtree(place, ignore_errors=True)
        give(make_directory(place), self._account)
        return place

    def _create(self, place: Path, password: str) -> None:
        """Run initdb in `place` and move the result to where it belongs, so that half a cluster never counts."""
        check_space(place, "a new database")
        password_file = place.with_name("postgres.password")
        write_private(password_file, password + "\n")
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

    def _write_configuration(self, port: int, connections: int) -> None:
        configuration = CONFIGURATION.format(host=LOOPBACK, port=port, connections=connections)
        write_private(self.directory / "postgresql.conf", configuration)
        write_private(self.directory / "pg_hba.conf", SIGN_IN)
        for name in ("postgresql.conf", "pg_hba.conf"):
            give(self.directory / name, self._account)


def connections_for(most_of_a_pool: str) -> int:
    """How many clients the server takes, so that all pools may be full at once. What is no number is refused by the
    settings, which each process reads."""
    if not re.fullmatch("[0-9]{1,4}", most_of_a_pool, re.ASCII):
        return LEAST_CONNECTIONS
    return max(LEAST_CONNECTIONS, POOLS * int(most_of_a_pool) + BESIDE_POOLS)


def data_major(directory: Path) -> int | None:
    """Which PostgreSQL made the data in `directory`; None when there is none yet."""
    try:
        return int((directory / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def url(role: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{database}"


def answers(address: str) -> bool:
    """Whether the server at this URL accepts connections.

    Raises:
        Refusal: it does, but not with this password.
    """
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise Refusal(
                "The passwords in var/secrets.json are not those of the data in var/postgres: put the file back from "
                "a copy, or move var/postgres away to begin an empty bank."
            ) from None
        return False
    return True


def prepare_database(port: int, secrets: Secrets, database: str) -> None:
    """Create the database where it is missing, apply deploy/roles.sql, and set the roles' passwords.

    Raises:
        Refusal: PostgreSQL could not do it.
    """
    try:
        _create_and_grant(port, secrets, database)
    except psycopg.Error as error:
        if disk_is_full([str(error)]):
            raise Refusal("The disk is full: free some space and run make again.") from None
        raise Refusal(f"PostgreSQL could not set up the database {database}: {error}") from None


def _create_and_grant(port: int, secrets: Secrets, database: str) -> None:
    with psycopg.connect(url(SUPERUSER, secrets.postgres, port, "postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
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
    if not shutil.which("locale"):
        return "C"
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return "C.UTF-8" if {"C.UTF-8", "C.utf8"} & set(known) else "C"


def _end_leftover(directory: Path) -> None:
    """End a server that a killed launcher left on this directory, and clear away a lock file without a server.

    A process is ours when it is a PostgreSQL that works in this very directory. One that merely got the id in
    the lock file, after a crash or a reboot, is left alone: the lock file is stale, which PostgreSQL itself
    could not tell. No new server may start while a process of the old one lives.
    """
    lock_file = directory / "postmaster.pid"
    leftovers = _servers_in(directory)
    main = _first_number(lock_file)
    if main in leftovers:
        end({"postgres": main})
    _wait_until_gone(directory)
    lock_file.unlink(missing_ok=True)


def _first_number(lock_file: Path) -> int:
    try:
        return int(lock_file.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return 0


def _servers_in(directory: Path) -> set[int]:
    place = str(directory.resolve())
    return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_server(pid, place)}


def _is_server(pid: int, place: str) -> bool:
    try:
        works_in, program = os.readlink(f"/proc/{pid}/cwd"), os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return works_in == place and Path(program.removesuffix(" (deleted)")).name == "postgres"


def _wait_until_gone(directory: Path, seconds: float = 5.0) -> None:
    """The processes of a killed server notice its end within a moment; those that do not are killed."""
    deadline = time.monotonic() + seconds
    while (pids := _servers_in(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    end({f"backend {pid}": pid for pid in pids}, seconds=1.0)
