"""A web server that is told SIGHUP goes on with the code that stands there, and who calls it meanwhile sees answers
and nothing else: `python -m bankes.server` under load, counted by its clients."""

import http.client
import os
import shutil
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from accounts.models import Account
from ops.embedded import layout, running
from ops.embedded.bank import bank_children, is_live
from ops.embedded.errors import Refusal
from ops.embedded.log import Log
from ops.embedded.ports import kept_or_free
from ops.embedded.processes import Register, children, start_time
from ops.embedded.supervisor import StopRequest, Supervisor
from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank
from tests.processes import wait_until
from tests.web import Web, web_server

ROOT = Path(__file__).resolve().parents[1]
BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def web(db: None) -> Iterator[Web]:
    with web_server() as running:
        yield running


@pytest.fixture
def caller(bank: Bank) -> Caller:
    return new_caller()


def change(web: Web) -> None:
    """Returns when what served before is gone, or a generation that did not come up."""
    before = children(web.process.pid)
    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children(web.process.pid)) == 2, 10)
    wait_until(lambda: len(children(web.process.pid)) == 1, 40)
    assert children(web.process.pid) != before
    assert web.process.poll() is None


class Load:
    """Clients that call without pause: some connect anew each time, some keep their connection for as long as the
    server lets them, and none tries anything again."""

    def __init__(self, web: Web, caller: Caller, account_id: str) -> None:
        self._web, self._caller, self._account_id = web, caller, account_id
        self._is_over = threading.Event()
        self.answers: Counter[object] = Counter()
        """By status; what was no answer by what it was."""
        self.deposited = 0

    def go_on(self, *, keeps: bool, deposits: bool) -> None:
        address = urlsplit(self._web.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=15)
        while not self._is_over.is_set():
            try:
                status = self._call(connection, deposits=deposits)
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
                connection.close()
            self.answers[status] += 1
            if not keeps:
                connection.close()

    def _call(self, connection: http.client.HTTPConnection, *, deposits: bool) -> object:
        headers = {"Authorization": f"Bearer {self._caller.token}", "Content-Type": "application/json"}
        path = f"/api/v1/accounts/{self._account_id}"
        if not deposits:
            connection.request("GET", f"{path}/balance", headers=headers)
        else:
            body = '{"amount": "0.01", "currency": "EUR"}'
            headers["Idempotency-Key"] = str(uuid.uuid4())
            connection.request("POST", f"{path}/deposits", body, headers)
        answer = connection.getresponse()
        answer.read()
        self.deposited += deposits and answer.status == 200
        return answer.status

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def under_load(web: Web, caller: Caller, account_id: str) -> Iterator[Load]:
    load = Load(web, caller, account_id)
    with ThreadPoolExecutor(8) as pool:
        clients = [
            pool.submit(load.go_on, keeps=keeps, deposits=deposits)
            for keeps in (True, False)
            for deposits in (True, False)
            for _ in range(2)
        ]
        try:
            time.sleep(0.5)
            yield load
            time.sleep(0.5)
        finally:
            load.stop()
    for client in clients:
        client.result()


def test_whoever_calls_while_it_changes_is_answered(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    with under_load(web, caller, account_id) as load:
        for _ in range(2):
            change(web)
    assert set(load.answers) == {200}
    assert load.answers[200] > 500
    assert Account.objects.get(pk=account_id).balance == load.deposited


def test_a_command_in_flight_is_answered_by_those_that_leave(
    web: Web, caller: Caller, sweeper: psycopg.Connection
) -> None:
    account_id = caller.open()
    with (
        psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as holder,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (account_id,))
        path = f"/accounts/{account_id}/deposits"
        sent = pool.submit(web.post, path, BODY, token=caller.token, key="waits")
        time.sleep(0.5)
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(children(web.process.pid)) == 2)
        time.sleep(3)
        assert not sent.done()
        holder.rollback()
        assert sent.result(timeout=10)[0] == 200
    assert Account.objects.get(pk=account_id).balance == 100


def test_it_is_told_to_stop_while_it_changes_and_leaves_nothing_behind(web: Web) -> None:
    web.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children(web.process.pid)) == 2)
    ours = children(web.process.pid)
    ours |= {worker for each in ours for worker in children(each)}
    web.process.send_signal(signal.SIGTERM)
    assert web.process.wait(timeout=15) == 0
    wait_until(lambda: not any(map(start_time, ours)))


@dataclass
class Launcher:
    """That of `make run`, with the web server alone."""

    supervisor: Supervisor
    port: int

    def start(self, directory: Path) -> Web:
        """Of the code in that directory."""
        environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(self.port), "LOG_LEVEL": "WARNING"}
        child = self.supervisor.start(replace(bank_children(environment)[0], directory=directory))
        self.supervisor.wait_until(lambda: is_live(("127.0.0.1", self.port)), child, 30)
        return Web(f"http://127.0.0.1:{self.port}", child.process)

    def make_restart(self) -> None:
        """`make restart SERVICE=web` in another terminal, which is here another thread."""
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(running.restart, ["web"])
            self.supervisor.watch(until=told.done)
            told.result()


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setattr(running, "VAR", tmp_path)
    monkeypatch.setattr(running, "PROCESSES", tmp_path / "run")
    lock = layout.try_lock(tmp_path / "run.lock")
    assert lock is not None
    with (
        lock,
        (tmp_path / "launcher.log").open("w") as said,
        Supervisor(Log(said), StopRequest(), Register(tmp_path / "run")) as supervisor,
    ):
        yield Launcher(supervisor, kept_or_free(None))


def test_make_restart_has_the_web_server_change_and_says_so(
    db: None, caller: Caller, checkout: Path, launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    account_id = caller.open()
    write_version(checkout, "1")
    web = launcher.start(checkout)
    with under_load(web, caller, account_id) as load:
        write_version(checkout, "2")
        launcher.make_restart()
        assert {told_by(web) for _ in range(20)} == {"2"}
    assert set(load.answers) == {200}
    told = "web was restarted: its new processes have taken over from the old, and nobody was refused.\n"
    assert capsys.readouterr().out == told

    (checkout / "bankes/urls.py").write_text("1 / 0\n")
    with pytest.raises(Refusal, match="The new web does not come up, and the old one goes on"):
        launcher.make_restart()
    assert told_by(web) == "2"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code, which may be changed while it runs."""
    for package in ("bankes", "accounts", "eventstore", "ops", "templates"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    return tmp_path


def told_by(web: Web) -> str:
    """What `write_version` wrote into the code that answers."""
    address = urlsplit(web.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=15)
    connection.request("GET", "/health/live")
    answer = connection.getresponse()
    connection.close()
    return answer.headers.get("X-Version", "none")


def write_version(checkout: Path, version: str) -> None:
    middleware = checkout / "bankes/middleware.py"
    line = "        return answer\n"
    text = (ROOT / "bankes/middleware.py").read_text()
    assert text.count(line) == 1
    middleware.write_text(text.replace(line, f'        answer["X-Version"] = "{version}"\n{line}'))


def test_the_code_that_stands_there_is_the_code_that_runs_after_it(db: None, checkout: Path) -> None:
    write_version(checkout, "1")
    with web_server(checkout) as web:
        assert told_by(web) == "1"
        write_version(checkout, "2")
        assert told_by(web) == "1"
        change(web)
        assert {told_by(web) for _ in range(20)} == {"2"}


def test_code_that_does_not_come_up_leaves_the_one_before_in_its_place(
    db: None, caller: Caller, checkout: Path, tmp_path: Path
) -> None:
    account_id, log = caller.open(), tmp_path / "web.log"
    with web_server(checkout, log) as web, under_load(web, caller, account_id) as load:
        before = children(web.process.pid)
        (checkout / "bankes/urls.py").write_text("1 / 0\n")
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(children(web.process.pid)) == 2)
        wait_until(lambda: children(web.process.pid) == before, 40)
        shutil.copy(ROOT / "bankes/urls.py", checkout / "bankes/urls.py")
        change(web)
    assert set(load.answers) == {200}
    said = log.read_text()
    assert "ZeroDivisionError" in said
    assert "New workers do not come up" in said
