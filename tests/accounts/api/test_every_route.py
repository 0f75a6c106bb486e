"""Every route of the document, with a key that is good but not for that: of another client, or without the scope."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.api.scopes import WEBHOOKS_MANAGE
from accounts.services.webhooks import subscribe
from tests.accounts.api.caller import ALL_SCOPES, API, Caller, new_caller, openapi, refusal
from tests.bank import Bank

EVERY_SCOPE = (*ALL_SCOPES, WEBHOOKS_MANAGE)
MONEY = {"amount": "1.00", "currency": "EUR"}
BODIES: dict[str, dict[str, Any]] = {
    "deposit": MONEY,
    "withdraw": MONEY,
    "transfer": MONEY,  # and whom to
    "place_hold": MONEY,
    "capture_hold": {},
    "extend_hold": MONEY,
    "release_hold": {},
    "change_overdraft_limit": {"overdraft_limit": "1.00", "currency": "EUR"},
}
"""Of routes that would do something if they were asked by the right one."""


def routes() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and documentation of each."""
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            if not path.endswith("/schema"):
                yield method.upper(), path.removeprefix(API), operation


@pytest.fixture
def things(bank: Bank) -> dict[str, str]:
    """What another client has, by the name of the path's parameter."""
    owner = new_caller("globex", scopes=EVERY_SCOPE)
    account_id = owner.open("7.77")
    hold = owner.post(f"/accounts/{account_id}/holds", MONEY).json()["hold"]["id"]
    moved = owner.post(f"/accounts/{account_id}/deposits", MONEY).json()["transaction_id"]
    line = f'{{"command": "deposit", "account_id": "{account_id}", "amount": "1.00", "currency": "EUR"}}\n'
    owner.http.generic(
        "POST",
        f"{API}/imports",
        line.encode(),
        content_type="application/x-ndjson",
        headers={"Authorization": f"Bearer {owner.token}", "Idempotency-Key": "theirs"},
    )
    webhook, _ = subscribe(owner.client, url="https://example.com/", event_types=["Deposited"])
    assert owner.get("/imports/theirs").status_code == 200
    return {
        "account_id": account_id,
        "hold_id": hold,
        "transaction_id": moved,
        "key": "theirs",
        "webhook_id": str(webhook.pk),
        "delivery_id": account_id,
    }


def asked(caller: Caller, method: str, path: str, things: dict[str, str], own: str) -> Any:
    name = path.rpartition("/")[2].replace("-", "_")
    command = {"deposits": "deposit", "withdrawals": "withdraw", "transfers": "transfer", "holds": "place_hold"}.get(
        name, "change_overdraft_limit" if name == "overdraft_limit" else f"{name}_hold"
    )
    body = BODIES.get(command, {}) | ({"target_account_id": own} if command == "transfer" else {})
    query = {"from": "2026-01-01", "to": "2026-01-02"} if name == "statement" else None
    return caller._send(
        method,
        re.sub(r"\{(\w+)\}", lambda found: things[found[1]], path),
        None if method == "GET" else body,
        {"Idempotency_Key": "mine"},
        query,
    )


def test_what_another_client_has_is_not_there(bank: Bank, things: dict[str, str]) -> None:
    caller = new_caller("acme", scopes=EVERY_SCOPE)
    own = caller.open("5.00")
    before = bank.footprint()
    tried = 0
    for method, path, _ in routes():
        if "{" in path:
            answer = asked(caller, method, path, things, own)
            status, code = refusal(answer)
            assert (status, code.endswith("_not_found")) == (404, True), f"{method} {path}: {answer.content!r}"
            assert "7.77" not in answer.content.decode(), f"{method} {path}"
            tried += 1
        elif method == "GET":
            listed = [each["id"] for each in caller.get(path).json()["results"]]
            assert not set(listed) & set(things.values()), path
    assert tried >= 25
    assert bank.footprint() == before


def test_each_route_takes_the_scopes_that_are_documented(bank: Bank, things: dict[str, str]) -> None:
    """With a key of the owner's, which is good for everything else."""
    before = bank.footprint()
    for method, path, operation in routes():
        needed = {scope for each in operation["security"] for scope in each["apiKey"]}
        lacking = new_caller("globex", scopes=tuple(set(EVERY_SCOPE) - needed))
        answer = asked(lacking, method, path, things, things["account_id"])
        assert refusal(answer) == (403, "permission_denied"), f"{method} {path}: {answer.content!r}"
    assert bank.footprint() == before
