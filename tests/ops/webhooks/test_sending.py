"""One request to a receiver that may be slow, broken or hostile."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ops.webhooks.addresses import MOST_ADDRESSES
from ops.webhooks.sending import ANSWER_BYTES, Result, post
from tests.ops.webhooks.conftest import Configure
from tests.ops.webhooks.receiver import (
    Receiver,
    certificate_for,
    close_early,
    drip,
    endless,
    free_port,
    not_http,
    receiving,
    status,
)


@pytest.fixture
def port(port: int, configure: Configure) -> int:
    """With time enough, where no test is about the time."""
    configure(WEBHOOK_CONNECT_TIMEOUT="5", WEBHOOK_TIMEOUT="20", WEBHOOK_LEASE="60")
    return port


def send(port: int, host: str = "127.0.0.1", path: str = "/hook?a=b", scheme: str = "http") -> Result:
    return post(f"{scheme}://{host}:{port}{path}", b'{"n": 1}', {"X-Test": "1"})


def test_the_body_arrives_as_it_is_with_its_headers(port: int, receiver: Receiver) -> None:
    result = send(port, host="localhost")

    [got] = receiver.received
    assert result.delivered
    assert (result.status, result.address, result.error) == (204, "127.0.0.1", "")
    assert (got.path, got.body) == ("/hook?a=b", b'{"n": 1}')
    assert got.headers["Host"] == f"localhost:{port}"
    assert (got.headers["X-Test"], got.headers["Connection"]) == ("1", "close")


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(port: int, receiver: Receiver, code: int) -> None:
    receiver.always = status(code)
    assert send(port).delivered


@pytest.mark.parametrize("code", [300, 304, 400, 401, 404, 410, 429, 500, 503])
def test_anything_else_is_none(port: int, receiver: Receiver, code: int) -> None:
    receiver.always = status(code, b"not now")
    result = send(port)
    assert (result.delivered, result.status, result.gone) == (False, code, code == 410)


NO_ZONE = format_datetime((datetime.now(UTC) + timedelta(hours=2)).replace(tzinfo=None))
"""Written as "-0000": it is of UTC."""


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 120),
        pytest.param(format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True), 3600, 7200, id="a date"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0, 0),
        pytest.param(
            format_datetime(datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=2)),
            3600,
            7200,
            id="a date of no zone",
        ),
        pytest.param("\xb2", 0, 0, id="a digit that is no number"),
        ("-5", 0, 0),
        ("soon", 0, 0),
        ("Mon, 99999999999 Jan 2024 00:00:00 GMT", 0, 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0, 0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", 0, 0),
        pytest.param("9" * 5000, 999_999_999, 999_999_999, id="many digits"),
        pytest.param("Mon, 01 Jan " + "9" * 5000, 0, 0, id="a year of many digits"),
        ("", 0, 0),
    ],
)
def test_a_pause_that_is_asked_for_is_heard_in_seconds_or_as_a_date(
    port: int, receiver: Receiver, header: str, least: float, most: float
) -> None:
    receiver.always = status(503, headers={"Retry-After": header})
    result = send(port)
    assert (result.status, result.error) == (503, "")
    assert least <= result.retry_after <= most


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(port: int, receiver: Receiver, code: int) -> None:
    receiver.answers = [status(code, headers={"Location": f"http://127.0.0.1:{port}/inside"})]

    result = send(port)

    assert (result.delivered, result.error) == (False, f"Redirects are not followed ({code}).")
    assert [got.path for got in receiver.received] == ["/hook?a=b"]


def test_a_receiver_that_hangs_is_given_up_after_the_limit(
    port: int, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_TIMEOUT="1")
    receiver.always = status(200, after=10)

    result = send(port)

    assert (result.delivered, result.error) == (False, "TimeoutError: no answer within 1 s")
    assert 0.9 < result.seconds < 5


def test_a_receiver_that_drips_is_given_up_after_the_limit(
    port: int, receiver: Receiver, configure: Configure
) -> None:
    configure(WEBHOOK_TIMEOUT="1")
    receiver.always = drip

    result = send(port)

    assert (result.delivered, result.error) == (False, "TimeoutError: no answer within 1 s")
    assert 0.9 < result.seconds < 5


def test_a_receiver_that_takes_no_connection(port: int) -> None:
    assert "ConnectionRefusedError" in send(port).error


@contextmanager
def never_accepting(port: int, host: str = "127.0.0.1") -> Iterator[None]:
    with socket.socket() as full:
        full.bind((host, port))
        full.listen(0)
        queued = [socket.socket() for _ in range(3)]
        for sock in queued:
            sock.setblocking(False)
            sock.connect_ex((host, port))
        yield
        for sock in queued:
            sock.close()


def test_a_receiver_that_never_accepts(port: int, configure: Configure) -> None:
    configure(WEBHOOK_CONNECT_TIMEOUT="1")
    with never_accepting(port):
        result = send(port)
    assert "imed out" in result.error or "no answer" in result.error
    assert result.seconds < 5


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name does."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    genuine = socket.getaddrinfo

    def resolver(host: str, *args: Any, **kwargs: Any) -> Any:
        return found if host == "hooks.example.com" else genuine(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)


def test_where_one_address_takes_no_connection_the_next_one_is_tried(
    port: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")

    result = send(port, host="hooks.example.com")

    assert (result.delivered, result.address) == (True, "127.0.0.1")


def test_of_many_addresses_the_first_few_are_tried(
    port: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, *(f"127.0.0.{number}" for number in range(2, 2 + MOST_ADDRESSES)), "127.0.0.1")

    result = send(port, host="hooks.example.com")

    assert "ConnectionRefusedError" in result.error
    assert receiver.received == []


def test_all_addresses_together_get_the_time_of_one(
    port: int, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(WEBHOOK_CONNECT_TIMEOUT="1")
    leads_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    with never_accepting(port), never_accepting(port, "127.0.0.2"):
        result = send(port, host="hooks.example.com")
    assert result.error == "TimeoutError: timed out"
    assert result.seconds < 5


def test_a_receiver_that_closes_early(port: int, receiver: Receiver) -> None:
    receiver.always = close_early
    assert send(port).error == "The receiver closed the connection without an answer."


def test_a_receiver_that_speaks_something_else(port: int, receiver: Receiver) -> None:
    receiver.always = not_http
    assert send(port).error == "The answer is not HTTP: BadStatusLine."


def test_of_an_answer_without_an_end_only_the_beginning_is_read(port: int, receiver: Receiver) -> None:
    receiver.always = endless

    result = send(port)

    assert result.delivered
    assert result.answer == "x" * ANSWER_BYTES
    assert result.seconds < 10, "whoever reads on is cut off after 20"


def test_an_answer_that_is_no_text_can_be_kept(port: int, receiver: Receiver) -> None:
    receiver.always = status(500, b"\x00\xff\xfe ok")
    assert send(port).answer == "\ufffd\ufffd\ufffd ok"


def test_a_name_that_does_not_resolve(port: int) -> None:
    assert "does not resolve" in send(port, host="no-such-host.invalid").error


def test_the_connection_goes_to_the_address_that_was_checked(
    port: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name would lead elsewhere the second time that anybody asks."""
    asked: list[str] = []
    genuine = socket.getaddrinfo

    def resolver(host: str, *args: object, **kwargs: object) -> object:
        if host == "rebinding.example.com":
            asked.append(host)
            return genuine("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)  # type: ignore[arg-type]
        return genuine(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)

    result = send(port, host="rebinding.example.com")

    assert (result.delivered, result.address, len(asked)) == (True, "127.0.0.1", 1)


def test_a_name_that_leads_to_this_machine_is_not_connected_to(
    port: int, receiver: Receiver, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(WEBHOOK_ALLOW_PRIVATE_ADDRESSES="false")
    genuine = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: genuine("127.0.0.1", *a, **k))

    result = send(port, host="inside.example.com")

    assert result.error == "Not sent: 127.0.0.1 does not lie in the public Internet."
    assert receiver.received == []


def test_a_proxy_of_the_environment_is_not_used(
    port: int, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert send(port).delivered


def test_a_certificate_is_checked_against_the_name(
    port: int, tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, context = certificate_for("hooks.example.com", tmp_path)
    genuine = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: genuine("127.0.0.1", *a, **k))

    with receiving(port, tls=context) as receiver:
        unknown = send(port, host="hooks.example.com", scheme="https")
        configure(WEBHOOK_CA_LOCATION=str(made))
        good = send(port, host="hooks.example.com", scheme="https")
        other = send(port, host="other.example.com", scheme="https")

    assert "CERTIFICATE_VERIFY_FAILED" in unknown.error
    assert (good.delivered, good.address) == (True, "127.0.0.1")
    assert "certificate is not valid for 'other.example.com'" in other.error
    assert len(receiver.received) == 1


def test_a_receiver_that_hangs_in_the_handshake_is_given_up(port: int, configure: Configure) -> None:
    configure(WEBHOOK_CONNECT_TIMEOUT="1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", port))
        silent.listen()
        began = time.monotonic()
        result = send(port, scheme="https")
    assert "timed out" in result.error
    assert time.monotonic() - began < 5
