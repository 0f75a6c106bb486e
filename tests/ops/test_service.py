"""A service tells systemd that it is ready and alive, from its own loop, and ends when it is asked to."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from accounts.projections.transactions import Transactions
from eventstore.models import ProjectionState
from eventstore.projections.runner import catch_up
from ops.database.locks import advisory_key
from ops.service import StopRequest, seldom_heard
from tests.bank import Bank


@pytest.fixture
def systemd(tmp_path: Path):  # type: ignore[no-untyped-def]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        yield channel


def heard(channel: socket.socket) -> list[str]:
    channel.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(channel.recv(100).decode())
        except BlockingIOError:
            return messages


def test_the_first_turn_of_the_loop_says_ready_and_later_ones_alive(systemd: socket.socket) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=0.03)
    for _ in range(3):
        assert not stop.is_set()
        time.sleep(0.02)
    assert heard(systemd) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_a_long_pause_does_not_look_like_death(systemd: socket.socket) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=0.06)
    assert not stop.wait(0.2)
    assert heard(systemd).count("WATCHDOG=1") >= 5


def test_a_loop_that_hangs_falls_silent_even_if_other_threads_go_on(systemd: socket.socket) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=0.03)
    stop.is_set()
    heard(systemd)
    thread = threading.Thread(target=lambda: [stop.is_set() or time.sleep(0.02) for _ in range(5)])
    thread.start()
    thread.join()
    assert heard(systemd) == []


def test_a_pause_ends_at_once_when_the_end_is_asked_for(systemd: socket.socket) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=30)
    threading.Timer(0.05, stop.request).start()
    began = time.monotonic()
    assert stop.wait(20)
    assert time.monotonic() - began < 5
    assert "STOPPING=1" in heard(systemd)


def test_without_systemd_it_is_a_plain_event() -> None:
    stop = StopRequest(None, None)
    assert not stop.wait(0.01)
    stop.request()
    assert stop.is_set()
    assert stop.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_projector_is_ready_alive_and_ends_cleanly(db: None, systemd: socket.socket, number: int) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "300000"}
    command = [sys.executable, "manage.py", "run_projections"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            systemd.settimeout(30)
            assert systemd.recv(100) == b"READY=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            process.send_signal(number)
            _, errors = process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_what_rarely_asks_is_ready_first_and_has_the_watchdog_wait_longer(systemd: socket.socket) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=30)
    with seldom_heard(stop, 600):
        assert heard(systemd) == ["READY=1", "WATCHDOG_USEC=600000000"]
    assert heard(systemd) == ["WATCHDOG_USEC=30000000"]
    with seldom_heard(threading.Event(), 600):
        pass


def test_what_is_done_beside_the_loop_does_not_have_the_watchdog_wait_longer_for_the_loop(
    systemd: socket.socket,
) -> None:
    stop = StopRequest(systemd.getsockname(), watchdog_seconds=30)

    def beside() -> None:
        with seldom_heard(stop, 600):
            pass

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert heard(systemd) == []


def test_the_projector_is_ready_before_it_makes_anew_what_older_code_has_filled(
    bank: Bank, sweeper: psycopg.Connection, systemd: socket.socket
) -> None:
    bank.open("1.00")
    catch_up([Transactions()])
    sweeper.execute("UPDATE projections SET code_version = 0 WHERE name = 'transactions'")
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "60000000"}
    command = [sys.executable, "manage.py", "run_projections", "--only", "transactions"]
    systemd.settimeout(30)
    with (
        psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as other,
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            other.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("projection:transactions"),))
            assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG_USEC=3600000000"]
            assert ProjectionState.objects.get(name="transactions").code_version == 0
            other.rollback()
            assert systemd.recv(100) == b"WATCHDOG_USEC=60000000"
            assert ProjectionState.objects.get(name="transactions").code_version == Transactions.version
            process.terminate()
            _, errors = process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode == 0, errors


def test_the_web_server_is_alive_while_it_answers(db: None, systemd: socket.socket, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "900000",
        "PORT": port,
        "ALLOWED_HOSTS": "bank.example",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "bankes.server"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            systemd.settimeout(30)
            messages = {systemd.recv(200).decode().split("\n")[0] for _ in range(4)}
            assert {"READY=1", "WATCHDOG=1"} <= messages
        finally:
            process.terminate()
            process.wait(timeout=20)
