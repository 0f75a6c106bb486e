"""`make run`: the whole bank in this checkout, from an empty directory to a URL, until it is told to stop."""

import http.client
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ops.embedded import environment, kafka, layout, ports, steps
from ops.embedded.environment import Addresses
from ops.embedded.errors import Refusal
from ops.embedded.layout import PYTHON, VAR
from ops.embedded.log import Log
from ops.embedded.processes import ChildSpec, Register, end
from ops.embedded.secrets import Secrets, load_or_generate
from ops.embedded.servers import Servers
from ops.embedded.supervisor import StopRequest, Supervisor

RUNNING = VAR / "running.json"
PROCESSES = VAR / "run"
METRICS = VAR / "prometheus"
WEB_STOP_BY, WORKERS_STOP_BY = 10.4, 12.4
"""Seconds; the web server itself gives requests in flight 10 s (bankes/server.py)."""
WEB_READY_WITHIN = 60.0
RESTART_SIGNALS = {"web": signal.SIGHUP}
"""Of services that are restarted without an end: their new code takes over from the old (bankes/server.py)."""
FEED_COMMANDS: dict[str, list[str | Path]] = {"projector": [PYTHON, "manage.py", "run_projections"]}
KAFKA_COMMANDS: dict[str, list[str | Path]] = {
    "relay": [PYTHON, "manage.py", "run_relay"],
    "consumers": [PYTHON, "manage.py", "consume_events", "--workers", "2"],
}
"""How the read models come by their events: one or the other."""


def run(stop: StopRequest) -> None:
    """Returns after an orderly stop.

    Raises:
        Refusal: something is missing or in the way.
        Stopped: a signal came while it was still preparing.
    """
    os.umask(0o077)
    caller = dict(os.environ)
    host, port = ports.web_address(caller)
    layout.check_ownership()
    lock = layout.try_lock(layout.make_directory(VAR) / "run.lock")
    if lock is None:
        raise Refusal(
            "The bank already runs in this checkout: stop it with Ctrl-C where it runs, or use another checkout "
            "with another PORT."
        )
    with lock:
        register = Register(PROCESSES)
        end(register.leftovers())
        register.take_restarts()  # asked of a launcher that is gone
        ports.check_web_port(host, port)
        log = Log(sys.stdout)
        try:
            _run_servers_and_bank(caller, (host, port), Supervisor(log, stop, register), log, stop)
        finally:
            RUNNING.unlink(missing_ok=True)
            log.close()


def _run_servers_and_bank(
    caller: dict[str, str], address: tuple[str, int], supervisor: Supervisor, log: Log, stop: StopRequest
) -> None:
    secrets = load_or_generate(VAR / "secrets.json")
    with supervisor:
        addresses, kafka_settings = _start_servers(caller, secrets, supervisor, log)
        application = environment.for_application(caller, addresses, secrets.secret_key) | kafka_settings
        _prepare(caller, addresses, secrets, log, stop)
        _start_bank(application | {"HOST": address[0], "PORT": str(address[1])}, supervisor, address)
        layout.write_json(
            RUNNING,
            {
                "database": addresses.database,
                "database_owner": addresses.database_owner,
                "redis": addresses.redis,
                "kafka": kafka_settings,
            },
        )
        log.plain(_welcome(address))
        supervisor.watch()
        log.line("launcher", "stopping; requests in flight are answered first")
        RUNNING.unlink(missing_ok=True)
        began = time.monotonic()
    log.line("launcher", f"stopped in {time.monotonic() - began:.1f} s")


def _start_servers(
    caller: dict[str, str], secrets: Secrets, supervisor: Supervisor, log: Log
) -> tuple[Addresses, dict[str, str]]:
    """Start what the caller did not name by DATABASE_URL, REDIS_URL and KAFKA_BOOTSTRAP_SERVERS."""
    own_database, own_redis = not caller.get("DATABASE_URL"), not caller.get("REDIS_URL")
    servers = Servers(VAR, secrets, caller)
    for private, name in ((own_database, "PostgreSQL"), (own_redis, "Redis")):
        log.line("launcher", f"starting a private {name}" if private else f"using the {name} that the caller named")
    own_kafka = _wants_own_kafka(caller, log)
    servers.start(supervisor, with_postgres=own_database, with_redis=own_redis, with_kafka=own_kafka)
    own = servers.addresses()
    addresses = Addresses(
        database=own.database if own_database else caller["DATABASE_URL"],
        database_owner=own.database_owner if own_database else external_owner(caller),
        redis=own.redis if own_redis else caller["REDIS_URL"],
    )
    if own_kafka:
        return addresses, servers.kafka.address.settings() | {"KAFKA_ENABLED": "true"}
    return addresses, {"KAFKA_ENABLED": str(_uses_callers_kafka(caller)).lower()}


def _uses_callers_kafka(caller: Mapping[str, str]) -> bool:
    return bool(caller.get("KAFKA_BOOTSTRAP_SERVERS")) and not _declines_kafka(caller)


def _declines_kafka(caller: Mapping[str, str]) -> bool:
    return caller.get("KAFKA_ENABLED", "").lower() in ("false", "0", "no", "off", "f", "n")


def _wants_own_kafka(caller: Mapping[str, str], log: Log) -> bool:
    """Says in one line which way the read models will go."""
    missing = kafka.missing(environment.base(caller))
    if _declines_kafka(caller):
        log.line("launcher", "no Kafka, as asked: read models follow the feed in PostgreSQL")
    elif _uses_callers_kafka(caller):
        log.line("launcher", "using the Kafka that the caller named")
    elif missing:
        log.line(
            "launcher",
            f"no private Kafka, which needs {' and '.join(missing)} (KAFKA_ENABLED=false): read models follow the "
            "feed in PostgreSQL",
        )
    else:
        log.line("launcher", "starting a private Kafka")
        return True
    return False


def external_owner(caller: Mapping[str, str]) -> str:
    """Whom migrations sign in as on a server that the caller named."""
    return caller.get("DATABASE_OWNER_URL") or caller["DATABASE_URL"]


def _prepare(caller: dict[str, str], addresses: Addresses, secrets: Secrets, log: Log, stop: StopRequest) -> None:
    """Bring the tables up to date and, the first time, make staff and a small bank to look at."""
    application = environment.for_application(caller, addresses, secrets.secret_key)
    log.line("launcher", "bringing the tables up to date")
    log.flush()
    owner = environment.for_owner(caller, addresses, secrets.secret_key)
    steps.manage("migrate --noinput --verbosity 0", owner, stop)
    steps.collect_static(application, stop)
    steps.manage("create_demo_staff", application, stop)
    steps.manage("create_demo_bank", application, stop)


def _start_bank(application: dict[str, str], supervisor: Supervisor, address: tuple[str, int]) -> None:
    shutil.rmtree(METRICS, ignore_errors=True)
    layout.make_directory(METRICS)
    # Each line gets its time here: one is enough.
    application = {"LOG_TIMESTAMPS": "false"} | application | {"PROMETHEUS_MULTIPROC_DIR": str(METRICS)}
    web, *others = bank_children(application)
    supervisor.wait_until(lambda: is_live(address), supervisor.start(web), WEB_READY_WITHIN)
    for spec in others:  # after the web, which a person waits for: loading all at once would slow it down
        supervisor.start(spec)


def bank_children(application: dict[str, str]) -> list[ChildSpec]:
    """Web first: it is the one that stops first and that the start waits for."""
    celery: list[str | Path] = [PYTHON, "-m", "celery", "-q", "-A", "bankes"]
    schedule = VAR / "celerybeat-schedule"
    with_kafka = application.get("KAFKA_ENABLED") == "true"
    commands: dict[str, list[str | Path]] = {
        "web": [PYTHON, "-m", "bankes.server"],
        "beat": [*celery, "beat", "--schedule", schedule, "--pidfile", ""],
        "worker": [*celery, "worker", "--concurrency", "2"],
        "jobs": [*celery, "worker", "--concurrency", "2", "--queues", "jobs"],
        **(KAFKA_COMMANDS if with_kafka else FEED_COMMANDS),
        "webhooks": [PYTHON, "manage.py", "deliver_webhooks"],
        "monitor": [PYTHON, "manage.py", "run_monitor"],
    }
    return [
        ChildSpec(
            name,
            command,
            application,
            WEB_STOP_BY if name == "web" else WORKERS_STOP_BY,
            restart_signal=RESTART_SIGNALS.get(name),
        )
        for name, command in commands.items()
    ]


def is_live(address: tuple[str, int]) -> bool:
    """Whether the web server answers `GET /health/live` with 200."""
    host, port = address
    host = {"0.0.0.0": ports.LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - asked for by the caller
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _welcome(address: tuple[str, int]) -> str:
    site = f"http://localhost:{address[1]}"
    return "\n".join(
        [
            "",
            f"  The bank is open:  {site}/admin/",
            f"  API reference:     {site}/api/docs/",
            "",
            "  Names and passwords of the staff are printed once, by the first start (above, if this was it).",
            "  A new password:",
            '    make manage ARGS="changepassword NAME"',
            "  Ctrl-C stops everything in order.",
            "",
        ]
    )
