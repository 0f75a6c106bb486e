"""The web server ends in order, and takes nothing with it: `python -m bankes.server`."""

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest

from accounts.models import Account
from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank
from tests.web import Web, web_server

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def web(db: None) -> Iterator[Web]:
    with web_server() as running:
        yield running


@pytest.fixture
def caller(bank: Bank) -> Caller:
    return new_caller()


def listens(web: Web) -> bool:
    address = urlsplit(web.url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((str(address.hostname), int(address.port or 0))) == 0


def wait_until_silent(web: Web) -> None:
    deadline = time.monotonic() + 10
    while listens(web):
        assert time.monotonic() < deadline, "something still listens"
        time.sleep(0.05)


def test_a_command_in_flight_is_answered_before_the_server_ends(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (account_id,))
        path = f"/accounts/{account_id}/deposits"
        sent = pool.submit(web.post, path, BODY, token=caller.token, key=str(uuid.uuid4()))
        time.sleep(0.5)
        web.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert not sent.done()
        holder.rollback()
        status, _ = sent.result(timeout=10)
    assert status == 200
    assert web.process.wait(timeout=15) == 0
    assert Account.objects.get(pk=account_id).balance == 100
    wait_until_silent(web)


def test_its_workers_end_with_it_even_if_it_is_killed(web: Web) -> None:
    assert listens(web)
    web.process.kill()
    web.process.wait(timeout=10)
    wait_until_silent(web)


def test_many_callers_at_once_over_both_workers_are_each_booked_once(web: Web, caller: Caller) -> None:
    """Each sends some of its commands twice."""
    account_id = caller.open()
    gate = threading.Barrier(16)

    def deposit(number: int) -> list[int]:
        gate.wait(10)
        path, keys = f"/accounts/{account_id}/deposits", [f"{number}-{turn}" for turn in range(5)]
        return [web.post(path, BODY, token=caller.token, key=key)[0] for key in keys for _ in range(2)]

    with ThreadPoolExecutor(16) as pool:
        statuses = [status for some in pool.map(deposit, range(16)) for status in some]
    assert set(statuses) == {200}
    assert Account.objects.get(pk=account_id).balance == 16 * 5 * 100
