"""Files of commands, and ways to send them to POST /imports."""

import json
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.http import HttpResponse

from accounts.api.imports import line_reader
from accounts.api.items import Sender
from accounts.api.scopes import PAYMENTS_WRITE
from accounts.models import Import
from accounts.services import imports
from accounts.services.imports import ImportKey, Interrupted
from eventstore.events import Context
from tests.accounts.api.caller import API, Caller, refusal, require_documented

KEY = "night-run"


def deposit(account_id: object, amount: str = "1.00", **fields: Any) -> dict[str, Any]:
    return {"command": "deposit", "account_id": str(account_id), "amount": amount, "currency": "EUR", **fields}


def withdraw(account_id: object, amount: str) -> dict[str, Any]:
    return deposit(account_id, amount) | {"command": "withdraw"}


def file_of(*items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def send(api: Caller, body: bytes, *, key: str = KEY, after: int | str | None = None, **headers: str) -> HttpResponse:
    given = {"Authorization": f"Bearer {api.token}", "Idempotency-Key": key} | headers
    answer = api.http.generic(
        "POST",
        f"{API}/imports",
        body,
        content_type=given.pop("Content-Type", "application/x-ndjson"),
        query_params=None if after is None else {"after": str(after)},
        headers={name: value for name, value in given.items() if value},
    )
    require_documented("POST", "/imports", answer)
    return answer  # type: ignore[no-any-return]


def counts(answer: HttpResponse) -> tuple[int, int, int, bool]:
    """(position, executed, refused, finished)."""
    body = answer.json()
    return body["position"], body["executed"], body["refused"], body["finished"]


def where(answer: HttpResponse) -> tuple[int, str, int]:
    """(status, code, position) of a problem."""
    return (*refusal(answer), answer.json()["position"])


def take(api: Caller, pieces: Iterable[bytes], *, after: int = 0, key: str = KEY) -> Import:
    """As the route does, for bodies that the test client cannot send: through the service, in the client's name."""
    name = ImportKey(api.client.actor, key)
    sender = Sender.of_client(api.client, (PAYMENTS_WRITE,), key, Context(api.client.actor, "api"))
    record, _ = imports.run(name, pieces, line_reader(sender), actor="test", after=after)
    return record


def take_and_die(api: Caller, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends when the first chunk was executed, before that is written down."""
    with monkeypatch.context() as patch:
        patch.setattr(imports, "write", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take(api, [body])


def broken(body: bytes, size: int = 700) -> Iterator[bytes]:
    """A body whose connection breaks after it."""
    yield from (body[start : start + size] for start in range(0, len(body), size))
    raise Interrupted("The connection broke.")
