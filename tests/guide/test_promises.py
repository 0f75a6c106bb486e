"""Every row of the table of promises, on the live bank and the real schema."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from bankes import server
from eventstore.models import Event
from ops.conf import Settings
from ops.embedded.servers import DATABASE
from tests.accounts.api.caller import new_caller
from tests.bank import Bank
from tests.deploy.test_services import UNITS, unit
from tests.guide import promises
from tests.guide.promises import Alert, Call, Index, Kept, Setting
from tests.installation import ROOT, Installation
from tests.ops.operators import validator
from tests.processes import wait_until

# -- endpoints


@pytest.mark.parametrize("slash", ["", "/"], ids=["plain", "slash"])
@pytest.mark.parametrize("call", promises.CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_the_endpoint_answers_as_printed_in_its_schema(db: None, live: Installation, call: Call, slash: str) -> None:
    answer = live.call(call.path + slash, call.method)

    assert answer.status in (200, 503)
    if call.schema:
        assert answer.headers["Content-Type"] == "application/json"
        validator(call.schema).validate(answer.json())
        assert answer.status == (503 if answer.json().get("status") == "unhealthy" else 200)
    else:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert len(list(text_string_to_metric_families(answer.body.decode()))) > 50
    assert Event.objects.count() == 0


def test_the_port_is_the_printed_one_unless_told_otherwise() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from bankes import server; print(server.HOST, server.PORT)"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ("HOST", "PORT")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.split() == ["127.0.0.1", str(promises.PORT)]
    assert server.WORKERS > 1


def test_it_is_told_what_the_guide_watches(bank: Bank, live: Installation) -> None:
    """The cache's counters begin with the first read."""
    token = new_caller(reach="all").token
    assert live.call(f"/api/v1/accounts/{bank.open()}/balance", Authorization=f"Bearer {token}").status == 200
    told = live.call("/metrics").body.decode()
    named = set(re.findall(r"^# TYPE (\w+) ", told, re.MULTILINE))
    for name, metrics in promises.METRICS.items():
        assert set(metrics) <= named, name


# -- settings

TELL = """
import json, django
django.setup()
from django.test import Client
print(json.dumps(Client(SERVER_NAME="localhost").get("/config").json()))
"""


@pytest.mark.parametrize("name", promises.BLOCKS)
def test_the_block_of_settings_is_in_force(name: str) -> None:
    block = promises.BLOCKS[name]
    environment = {key: value for key, value in os.environ.items() if key.lower() not in Settings.model_fields}
    needed = {key: os.environ[key] for key in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "BOARD_DIR")}
    told = subprocess.run(
        [sys.executable, "-c", TELL],
        cwd=ROOT,
        env={**environment, **needed, **{row.name: row.written for row in block}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-1000:]
    effective = {entry["name"]: entry for entry in json.loads(told.stdout.splitlines()[-1])["settings"]}

    for row in block:
        entry = effective[row.known_as or row.name]
        assert (row.name, entry["value"], entry["source"]) == (row.name, row.effective, "environment")


@cache
def used_names() -> set[str]:
    """Attributes that the code reads outside of the class of settings."""
    found: set[str] = set()
    for package in ("bankes", "accounts", "eventstore", "ops"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            if path.name == "timeouts.py" and path.parent.name == "health":
                found |= {
                    node.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
    return found


@pytest.mark.parametrize(
    "row", {row.known_as or row.name: row for block in promises.BLOCKS.values() for row in block}.values(),
    ids=lambda row: row.name,
)  # fmt: skip
def test_no_setting_is_only_declared(row: Setting) -> None:
    """POOL_ACQUIRE_TIMEOUT is a second name: it is held equal to the first, which is used."""
    name = (row.known_as or row.name).lower()
    assert name in used_names()


# -- statements


@pytest.fixture
def owner() -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as conn:
        yield conn
        conn.rollback()


@pytest.mark.parametrize("index", promises.INDEXES, ids=lambda index: index.name)
def test_the_index_exists_as_printed(owner: psycopg.Connection, index: Index) -> None:
    """And the statement itself is sound: where the index is missing, it makes the same one."""
    before = _columns(owner, index)
    owner.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index.name)))
    assert _columns(owner, index) == ()
    owner.execute(index.statement.encode())
    assert before == _columns(owner, index) == index.columns


def _columns(conn: psycopg.Connection, index: Index) -> tuple[str, ...]:
    rows = conn.execute(
        """
        SELECT a.attname FROM pg_class i
          JOIN pg_index x ON x.indexrelid = i.oid AND x.indrelid = %s::regclass
          JOIN pg_attribute a ON a.attrelid = i.oid
         WHERE i.relname = %s ORDER BY a.attnum
        """,
        (index.table, index.name),
    ).fetchall()
    return tuple(name for (name,) in rows)


class Backends:
    """Sessions that may be ended, and an administrator who sees only them, under the name of the guide's view: a
    temporary view comes before PostgreSQL's own, so that the printed statement runs word for word and harms no
    other session of the server."""

    def __init__(self, stack: ExitStack) -> None:
        url = os.environ["DATABASE_SUPERUSER_URL"]
        self._made = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(2)]
        self.admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        stack.callback(self._hang_up)
        self.pids = {name: conn.info.backend_pid for name, conn in zip(("busy", "idle"), self._made, strict=True)}
        self._made[0].pgconn.send_query(b"SELECT pg_sleep(60)")
        wait_until(lambda: self._state(self.pids["busy"]) == "active", 5)
        self.admin.execute(
            f"""
            CREATE TEMPORARY VIEW pg_stat_activity AS
            SELECT pid, state, query_start - interval '10 minutes' AS query_start,
                   '{promises.DATABASE}'::name AS datname
              FROM pg_catalog.pg_stat_activity
             WHERE pid IN ({", ".join(map(str, self.pids.values()))})
            """.encode()
        )

    def _hang_up(self) -> None:
        for conn in self._made:
            conn.pgconn.finish()

    def _state(self, pid: int) -> str | None:
        row = self.admin.execute("SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        return row[0] if row else None

    def living(self) -> list[str]:
        return [name for name, pid in self.pids.items() if self._state(pid) is not None]


@pytest.mark.parametrize(
    ("statement", "left"),
    [(promises.TERMINATE_LONG, ["idle"]), (promises.TERMINATE_ALL, [])],
    ids=["long-running", "all of the bank's"],
)
def test_the_emergency_statement_ends_what_it_says(statement: str, left: list[str]) -> None:
    with ExitStack() as stack:
        backends = Backends(stack)
        ended = backends.admin.execute(statement.encode()).fetchall()
        assert ended == [(True,)] * (2 - len(left))
        wait_until(lambda: backends.living() == left, 5)


def test_the_emergency_statements_are_sound_on_the_real_view(owner: psycopg.Connection) -> None:
    """Planned, not run: on the server's own list of sessions they would end those of whoever else is at work."""
    for statement in (promises.TERMINATE_LONG, promises.TERMINATE_ALL):
        assert owner.execute(f"EXPLAIN {statement}".encode()).fetchall()


def test_the_database_has_the_printed_name() -> None:
    assert DATABASE == promises.DATABASE


# -- alerts


def rules() -> dict[str, dict[str, object]]:
    content = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    return {rule["alert"]: rule for group in content["groups"] for rule in group["rules"]}


@pytest.mark.parametrize("alert", promises.ALERTS, ids=lambda alert: alert.name)
def test_the_alert_is_among_the_rules_as_printed(alert: Alert) -> None:
    rule = rules()[alert.name]
    assert (rule["expr"], rule["for"]) == (alert.expression, alert.wait)
    assert rule["labels"] == {"severity": alert.severity}
    assert rule["annotations"]["summary"] == alert.summary  # type: ignore[index]


# -- services, log file, commands and code


def test_the_services_are_units_that_can_be_restarted() -> None:
    by_name = {path.stem: unit(path) for path in UNITS}
    for name in promises.SERVICES:
        service = by_name[name]["Service"]
        assert service["Type"] == "notify", "a restart returns when the service works"
        assert float(service["TimeoutStopSec"]) >= 20, "what is in hand gets its time"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_services_write_the_log_file(path: object) -> None:
    service = unit(path)["Service"]  # type: ignore[arg-type]
    assert service["StandardOutput"] == service["StandardError"] == f"append:{promises.LOG_FILE}"


@pytest.mark.parametrize("row", [*promises.COMMANDS, *promises.CODE], ids=lambda row: row.shown[:40])
def test_what_the_guide_shows_is_proved_by_a_test_that_exists(row: Kept) -> None:
    assert row.proved_by
    for reference in row.proved_by:
        path, _, name = reference.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), reference
