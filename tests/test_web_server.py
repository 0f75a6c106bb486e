"""The web server ends in order, and takes nothing with it: `python -m bankes.server`."""

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings

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


def test_a_client_with_too_many_requests_in_hand_is_told_so_and_others_are_served(
    db: None, bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which worker a request falls to is the kernel's to say: one of them is full for sure."""
    monkeypatch.setenv("MAX_REQUESTS_PER_CLIENT", "3")
    acme, globex = new_caller("acme"), new_caller("globex")
    blocked, free, theirs = acme.open(), acme.open(), globex.open()
    with web_server() as web, ThreadPoolExecutor(40) as pool:

        def deposit(caller: Caller, account_id: str, key: str) -> tuple[int, dict[str, object]]:
            return web.post(f"/accounts/{account_id}/deposits", BODY, token=caller.token, key=key)

        for number in range(20):  # until both workers know the key
            assert deposit(acme, free, f"first-{number}")[0] == 200
        with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as holder:
            holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
            waiting = [pool.submit(deposit, acme, blocked, f"waits-{number}") for number in range(40)]
            time.sleep(1.5)
            told = [each.result() for each in waiting if each.done()]
            assert {(status, answer.get("code")) for status, answer in told} == {(429, "too_many_requests")}
            assert all(deposit(globex, theirs, f"unhindered-{number}")[0] == 200 for number in range(10))
        ends = Counter(each.result(20)[0] for each in waiting)
        assert set(ends) == {200, 429}
        assert ends[200] >= 3
        assert all(deposit(acme, free, f"again-{number}")[0] == 200 for number in range(10))
    balances = {str(each.pk): each.balance for each in Account.objects.all()}
    assert balances == {blocked: 100 * ends[200], free: 3000, theirs: 1000}


def test_a_client_whose_requests_wait_leaves_threads_to_others_and_is_counted_while_they_do(
    db: None, bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go the ordinary way, where each holds a thread while it waits for the account; the processes have heard of
    neither client before, and API_KEY_TRUST runs out meanwhile. Which of them a request falls to is
    the kernel's to say: one of them is full for sure."""
    monkeypatch.setenv("MAX_REQUESTS_PER_CLIENT", "12")
    monkeypatch.setenv("LOCK_TIMEOUT_MS", "25000")
    acme, globex = new_caller("acme"), new_caller("globex")
    blocked, theirs = acme.open("100.00"), globex.open("100.00")
    with web_server() as web, ThreadPoolExecutor(80) as pool:

        def hold(caller: Caller, account_id: str, key: str) -> tuple[int, dict[str, object]]:
            return web.post(f"/accounts/{account_id}/holds", BODY, token=caller.token, key=key)

        with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as holder:
            holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
            waiting = [pool.submit(hold, acme, blocked, f"waits-{number}") for number in range(40)]
            time.sleep(1.5)
            began = time.monotonic()
            told = [hold(globex, theirs, f"unhindered-{number}")[0] for number in range(5)]
            told += [
                web.post(f"/accounts/{theirs}/deposits", BODY, token=globex.token, key=f"quick-{number}")[0]
                for number in range(5)
            ]
            took = time.monotonic() - began
            late = [pool.submit(hold, acme, blocked, f"late-{number}") for number in range(40)]
            time.sleep(1)
            beyond = [each.result() for each in late if each.done()]
        ends = Counter(each.result(30)[0] for each in waiting + late)
    assert (set(told[:5]), set(told[5:])) == ({201}, {200})
    assert {(status, answer.get("code")) for status, answer in beyond} == {(429, "too_many_requests")}
    assert took < 10, "others would have waited for LOCK_TIMEOUT_MS"
    assert set(ends) == {201, 429}
    assert 12 <= ends[201] <= 24, "each process has as many in hand as may be, and no more"
    assert Account.objects.get(pk=theirs).balance == 10_500


def request_head(web: Web, caller: Caller, path: str, **headers: str) -> socket.socket:
    """A connection on which the head of a POST was sent, and nothing of its body."""
    head = {"Authorization": f"Bearer {caller.token}", "Idempotency-Key": "night-run"} | headers
    return anybodys_head(web, f"/api/v1{path}", **head)


def anybodys_head(web: Web, path: str, **headers: str) -> socket.socket:
    address = urlsplit(web.url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20)
    head = {"Host": "localhost"} | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def import_request(
    web: Web, caller: Caller, *, length: int, key: str = "night-run", media_type: str = "application/x-ndjson"
) -> socket.socket:
    head = {"Content-Type": media_type, "Content-Length": str(length), "Idempotency-Key": key}
    return request_head(web, caller, "/imports", **head)


def deposits(account_id: str, count: int) -> bytes:
    line = {"command": "deposit", "account_id": account_id, "amount": "0.01", "currency": "EUR"}
    return (json.dumps(line).encode() + b"\n") * count


def test_an_import_whose_connection_breaks_keeps_what_came_and_goes_on(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    body = deposits(account_id, 1000)
    with import_request(web, caller, length=len(body)) as connection:
        connection.sendall(body[: len(body) // 2 + 9])

    deadline = time.monotonic() + 10
    while caller.get("/imports/night-run").status_code == 404:
        assert time.monotonic() < deadline, "nothing was taken"
        time.sleep(0.05)
    time.sleep(0.5)
    stands = caller.get("/imports/night-run").json()
    assert (stands["position"], stands["finished"]) == (500, False)
    with import_request(web, caller, length=len(body)) as connection:
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert Account.objects.get(pk=account_id).balance == 1000


def test_an_import_whose_sender_falls_silent_is_given_up(
    db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    account_id = caller.open()
    with web_server() as web, import_request(web, caller, length=10_000_000) as silent:
        silent.sendall(deposits(account_id, 300))
        head = silent.recv(65536)
        assert head.startswith(b"HTTP/1.1 400")
        assert b"import_incomplete" in head.partition(b"\r\n\r\n")[2] or b"import_incomplete" in silent.recv(65536)
        rest = deposits(account_id, 300)
        with import_request(web, caller, length=len(rest)) as connection:
            connection.sendall(rest)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200"), "nobody holds it any more"
    assert Account.objects.get(pk=account_id).balance == 300


def test_a_refused_import_is_answered_while_its_file_still_comes(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    body = deposits(account_id, 10)
    with import_request(web, caller, length=len(body)) as connection:
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    other = deposits(account_id, 30_000)
    with import_request(web, caller, length=len(other)) as connection:
        connection.sendall(other)
        assert connection.recv(65536).startswith(b"HTTP/1.1 409")
    assert Account.objects.get(pk=account_id).balance == 10


def test_silent_senders_keep_nobody_waiting(db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than both workers have threads: of each the body is missing."""
    monkeypatch.setenv("BODY_READ_TIMEOUT", "3")
    account_id = caller.open()
    path = f"/accounts/{account_id}/deposits"
    with web_server() as web, ExitStack() as silent:
        head = {"Content-Type": "application/json", "Content-Length": "60"}
        senders = [silent.enter_context(request_head(web, caller, path, **head)) for _ in range(50)]
        for number in range(10):
            began = time.monotonic()
            assert web.post(path, BODY, token=caller.token, key=str(number))[0] == 200
            assert time.monotonic() - began < 2
        for sender in senders:
            told = sender.recv(65536)
            assert told.startswith(b"HTTP/1.1 400")
            assert b"did not come within 3 s. Nothing was done." in told
    assert Account.objects.get(pk=account_id).balance == 10 * 100


def test_what_is_refused_before_the_application_is_asked_is_told_as_the_application_tells(
    db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    path, auth = f"/accounts/{caller.open()}/deposits", {"Authorization": f"Bearer {caller.token}"}
    ids = {"X-Request-ID": "mine-1"}
    with web_server() as web:
        request = urllib.request.Request(f"{web.url}/api/v1/nowhere", headers=auth | ids)  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        head = {"Content-Type": "application/json", "Content-Length": "60"} | ids
        with request_head(web, caller, path, **head) as silent, http.client.HTTPResponse(silent) as refused:
            refused.begin()
            told = json.load(refused)
    assert (refused.status, told["code"]) == (400, "malformed_request")
    assert {"instance": f"/api/v1{path}", "request_id": "mine-1"}.items() <= told.items()
    assert list(told) == list(json.load(answered.value))
    ours, theirs = (
        {name.lower(): set(value.split("; ")) for name, value in headers.items()}  # each process has its own order
        for headers in (refused.headers, answered.value.headers)
    )
    of_one = {"date", "content-length", "connection", "vary"}
    assert {name: ours[name] for name in ours if name not in of_one} == {
        name: theirs[name] for name in theirs if name not in of_one
    }
    assert ours["connection"] == {"close"}, "what is still to come of the body is no request"


def test_bodies_that_are_only_announced_take_nobodys_room(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    path = f"/accounts/{account_id}/deposits"
    head = {"Content-Type": "application/json", "Content-Length": str(1024 * 1024)}
    with ExitStack() as announced:
        for _ in range(160):
            announced.enter_context(request_head(web, caller, path, **head))
        time.sleep(0.5)
        for number in range(4):
            assert web.post(path, BODY, token=caller.token, key=str(number))[0] == 200


def test_a_sender_that_leaves_within_its_request_leaves_nothing_behind(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    path = f"/accounts/{account_id}/deposits"
    for _ in range(40):
        head = {"Content-Type": "application/json", "Content-Length": "60"}
        with request_head(web, caller, path, **head) as connection:
            connection.sendall(b'{"amount"')
    assert web.post(path, BODY, token=caller.token, key="after")[0] == 200
    assert Account.objects.get(pk=account_id).balance == 100


def test_a_body_beyond_what_is_held_is_read_whole_by_its_route(web: Web, caller: Caller) -> None:
    account_id = caller.open()

    def deposit(length: int) -> tuple[int, str]:
        body = BODY | {"description": "x" * length}
        status, told = web.post(f"/accounts/{account_id}/deposits", body, token=caller.token, key=str(length))
        return status, told["code"]

    assert deposit(3_000_000) == (400, "validation_failed")
    assert deposit(9_000_000) == (413, "payload_too_large")
    assert Account.objects.get(pk=account_id).balance == 0


@pytest.mark.parametrize("came", [b"", json.dumps(BODY).encode()], ids=["nothing", "what reads like a whole one"])
@pytest.mark.parametrize("leaves", [False, True], ids=["it falls silent", "it leaves"])
def test_a_long_body_that_does_not_come_whole_is_refused(
    db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch, came: bytes, leaves: bool
) -> None:
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    account_id = caller.open()
    head = {"Content-Type": "application/json", "Content-Length": "2000000", "Idempotency-Key": "cut-off"}
    with web_server() as web, request_head(web, caller, f"/accounts/{account_id}/deposits", **head) as sender:
        sender.sendall(came)
        if leaves:
            sender.shutdown(socket.SHUT_WR)
            time.sleep(0.5)
        else:
            with http.client.HTTPResponse(sender) as refused:
                refused.begin()
                told = json.load(refused)
            assert (refused.status, told["code"]) == (400, "malformed_request")
            assert told["detail"] == "Nothing came for 1 s. Nothing was done."
    assert Account.objects.get(pk=account_id).balance == 0


def test_long_bodies_are_received_a_few_at_once_and_the_next_is_told_to_come_later(web: Web, caller: Caller) -> None:
    account_id = caller.open()
    head = {"Content-Type": "application/json", "Content-Length": "2000000"}
    with ExitStack() as held:
        for _ in range(2 * 4):
            held.enter_context(request_head(web, caller, f"/accounts/{account_id}/deposits", **head))
        time.sleep(0.5)
        told = []
        for _ in range(8):  # whichever worker it falls to
            late = held.enter_context(request_head(web, caller, f"/accounts/{account_id}/deposits", **head))
            late.settimeout(0.5)
            with suppress(TimeoutError):
                told.append(late.recv(65536))
        assert told
        assert all(answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer.lower() for answer in told)
        assert web.post(f"/accounts/{account_id}/deposits", BODY, token=caller.token, key="short")[0] == 200


def test_long_bodies_that_drip_shut_no_import_out_and_come_to_an_end(
    db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than both workers have places for, from anybody: no key is needed for the form."""
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    account_id = caller.open()
    body = deposits(account_id, 10)
    form = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": "2000000",
        "Cookie": f"{settings.CSRF_COOKIE_NAME}={'x' * 32}",  # without one it is refused unread
    }
    with web_server() as web, ExitStack() as dripping:
        senders = [dripping.enter_context(anybodys_head(web, "/admin/login/", **form)) for _ in range(16)]
        told: list[bytes] = []
        for number in range(15):
            for sender in senders:
                with suppress(OSError):
                    sender.sendall(b"x")
            if number < 4:
                with import_request(web, caller, length=len(body), key=f"file-{number}") as connection:
                    connection.sendall(body)
                    told.append(connection.recv(65536))
            time.sleep(0.4)
        for sender in senders:
            sender.settimeout(0.1)
        ends = Counter(sender.recv(65536)[:12] for sender in senders)
        late = anybodys_head(web, "/admin/login/", **form)
        late.settimeout(0.5)
        with late, pytest.raises(TimeoutError):  # there is a place again: it is waited for
            late.recv(65536)
    assert set(ends) == {b"HTTP/1.1 403", b"HTTP/1.1 503"}
    assert ends[b"HTTP/1.1 403"] >= 3, "as many were read as a worker has places, and no longer than for a while"
    assert [answer[:12] for answer in told] == [b"HTTP/1.1 200"] * 4
    assert Account.objects.get(pk=account_id).balance == 40


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "Application/X-NDJSON ; charset=UTF-8"])
def test_an_import_may_come_slowly_for_long(
    db: None, caller: Caller, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    account_id = caller.open()
    body = deposits(account_id, 12)
    with web_server() as web, import_request(web, caller, length=len(body), media_type=media_type) as slow:
        for line in body.splitlines(keepends=True):
            slow.sendall(line)
            time.sleep(0.5)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
    assert Account.objects.get(pk=account_id).balance == 12


def test_a_header_that_passes_for_another_is_not_heard(web: Web, caller: Caller) -> None:
    """`Idempotency_Key` would be `Idempotency-Key` to an application behind WSGI, past what a proxy cleans."""
    account_id = caller.open()
    body = json.dumps(BODY).encode()
    head = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Idempotency_Key": "other"}
    for _ in range(2):
        with request_head(web, caller, f"/accounts/{account_id}/deposits", **head) as connection:
            connection.sendall(body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert Account.objects.get(pk=account_id).balance == 100, "the key with the hyphen counts, both times the same"


def test_a_path_is_decoded_once(web: Web, caller: Caller) -> None:
    with urllib.request.urlopen(f"{web.url}/health/%6Cive", timeout=5) as answer:  # noqa: S310
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{web.url}/health/%256Cive", timeout=5)  # noqa: S310
