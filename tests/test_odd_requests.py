"""Whatever bytes come: an answer in time, the same with the fast lane and without it, and nothing half done."""

import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from accounts.models import Account
from accounts.verification import verify
from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank
from tests.odd_requests import Request, odd_request
from tests.web import Web, web_server

SEED = int(os.environ.get("SEED") or "1")
REQUESTS = int(os.environ.get("REQUESTS") or "250")
ANSWERED_WITHIN = 10.0
"""Seconds, of which a body that does not come takes BODY_READ_TIMEOUT."""
OF_ONE = {"date", "content-length", "x-request-id"}
"""Headers that differ from one answer to the next."""


class Told(NamedTuple):
    """An answer, less what differs from one to the next. The body is empty where Granian itself refused."""

    status: int
    headers: dict[str, set[str]]
    body: Any


@dataclass
class World:
    """A server, and a client of its own with two accounts. The accounts of the other world are like them."""

    web: Web
    caller: Caller
    account: str
    target: str

    def named(self, text: bytes) -> bytes:
        """With the world's names in the places that are left for them."""
        for place, name in self._names():
            text = text.replace(place, name)
        return text

    def ask(self, request: Request) -> Told:
        """
        Raises:
            TimeoutError: there was no answer in time.
            http.client.HTTPException, AssertionError: it is none.
        """
        address = urlsplit(self.web.url)
        place = str(address.hostname), int(address.port or 0)
        with socket.create_connection(place, timeout=ANSWERED_WITHIN) as connection:
            with suppress(ConnectionError):  # what is refused early is not taken to its end
                connection.sendall(request.raw(self.named))
            return self._told(_received(connection), request.method)

    def _told(self, answer: bytes, method: bytes) -> Told:
        for place, name in self._names():
            answer = answer.replace(name, place)
        head, _, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if method == b"HEAD":
            assert not body
        kept = {name: set(value.split("; ")) for name, value in headers.items() if name not in OF_ONE}
        return Told(int(first.split()[1]), kept, _essence(body))

    def _names(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"<ACCOUNT>", self.account.encode()),
            (b"<TARGET>", self.target.encode()),
            (b"<UPPER>", self.account.upper().encode()),
            (b"<TOKEN>", self.caller.token.encode()),
        ]


def _received(connection: socket.socket) -> bytes:
    """All that comes of one answer, whose connection may stay open."""
    came = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            came += piece
            if b"connection: close" not in came.lower() and _is_whole(came):
                break
    assert came, "the connection ended without an answer"
    return came


def _is_whole(came: bytes) -> bool:
    head, end, body = came.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    length = head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(length or 0)


def _essence(body: bytes) -> Any:
    try:
        told = json.loads(body)
    except ValueError:
        return body
    of_one = ("transaction_id", "recorded_at", "as_of", "request_id")
    return {name: value for name, value in told.items() if name not in of_one}


@pytest.fixture
def worlds(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[World]]:
    """With the fast lane, and without it."""
    monkeypatch.setenv("BODY_READ_TIMEOUT", "1")
    with ExitStack() as running:
        found = []
        for name, fast_lane in (("acme", "true"), ("globex", "false")):
            monkeypatch.setenv("FAST_LANE", fast_lane)
            caller = new_caller(name)
            found.append(World(running.enter_context(web_server()), caller, caller.open("1000.00"), caller.open()))
        yield found


def test_odd_requests_are_answered_alike_with_the_fast_lane_and_without_it(
    worlds: list[World], capfd: pytest.CaptureFixture[str]
) -> None:
    """SEED and REQUESTS make other ones of them, and more."""
    rng = random.Random(SEED)
    statuses: set[int] = set()
    for number in range(REQUESTS):
        request = odd_request(rng, number)
        fast, ordinary = (world.ask(request) for world in worlds)
        assert fast == ordinary, f"number {number} of seed {SEED}: {request}"
        assert fast.status < 500, f"number {number} of seed {SEED}: {request}"
        statuses.add(fast.status)

    assert {200, 400, 401, 404, 405, 406, 415} <= statuses, "they are not odd in all ways"
    for mine, other in zip(*([world.account, world.target] for world in worlds), strict=True):
        one, two = Account.objects.get(pk=mine), Account.objects.get(pk=other)
        assert (one.balance, one.version) == (two.balance, two.version)
    assert not verify().first_differences
    assert "Traceback" not in capfd.readouterr().err, "something was not foreseen"
